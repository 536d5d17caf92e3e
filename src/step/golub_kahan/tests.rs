//! The Golub–Kahan space against dense singular value decompositions.

use std::cell::Cell;

use super::GolubKahan;
use super::test_problem::Problem;
use crate::base::random::SplitMix64;
use crate::base::{Scalar, kernels};
use crate::operator::{LinearMap, linear_map};
use crate::step::dense_least_squares::DenseLeastSquares;
use crate::step::family::{Accuracy, InnerStop};
use crate::step::gauss_newton::{GaussNewtonSteps, System};
use crate::step::spectral::{Solution, Subproblem};

const STRICT: Accuracy = Accuracy::of_residual(1e-13);

/// Asks subproblems at one point.
struct At<T, S> {
    residual: Vec<T>,
    gradient: Vec<T>,
    scaling: Vec<T>,
    steps: S,
}

impl<T: Scalar, S: GaussNewtonSteps<T>> At<T, S> {
    fn new(problem: &Problem, mut steps: S) -> Self {
        let convert = |v: &[f64]| v.iter().map(|&v| T::from_f64(v)).collect::<Vec<T>>();
        let (residual, scaling) = (convert(&problem.residual), convert(&problem.scaling));
        let mut gradient = vec![T::nan(); scaling.len()];
        assert!(steps.enter(&problem.map(), &residual, &mut gradient));
        At { residual, gradient, scaling, steps }
    }

    fn ask_limited(
        &mut self,
        problem: &Problem,
        subproblem: Subproblem,
        accuracy: Option<Accuracy>,
        most: usize,
    ) -> Option<(Solution, InnerStop, Vec<f64>)> {
        let before = problem.products.get();
        let system = System {
            jacobian: &problem.map(),
            residual: &self.residual,
            gradient: &self.gradient,
            scaling: &self.scaling,
            more: &|further| problem.products.get() - before + further <= most,
        };
        let (solution, stop) = self.steps.solution(&system, subproblem, accuracy)?;
        let mut step = vec![T::nan(); self.scaling.len()];
        self.steps.step(&mut step);
        Some((solution, stop, step.iter().map(|&v| v.into()).collect()))
    }

    fn solve(
        &mut self,
        problem: &Problem,
        subproblem: Subproblem,
        accuracy: Accuracy,
    ) -> (Solution, InnerStop, Vec<f64>) {
        self.ask_limited(problem, subproblem, Some(accuracy), usize::MAX).unwrap()
    }
}

fn distance(x: &[f64], y: &[f64]) -> f64 {
    kernels::norm(&x.iter().zip(y).map(|(x, y)| x - y).collect::<Vec<_>>())
}

fn krylov<T: Scalar>(problem: &Problem, capacity: usize) -> At<T, GolubKahan<T>> {
    At::new(problem, GolubKahan::new(problem.a.nrows(), problem.a.ncols(), capacity))
}

/// The same subproblem for the dense path, which refuses to damp a singular matrix by 0.
fn regular(subproblem: Subproblem) -> Subproblem {
    if subproblem == Subproblem::Damped(0.0) { Subproblem::Radius(1e30) } else { subproblem }
}

fn dense(problem: &Problem) -> At<f64, DenseLeastSquares<f64>> {
    At::new(problem, DenseLeastSquares::new(problem.a.nrows(), problem.a.ncols()))
}

#[test]
fn answers_are_those_of_the_dense_path() {
    for (m, n) in [(1, 1), (7, 1), (1, 7), (12, 12), (40, 15), (15, 40)] {
        let mut problem = Problem::random(m, n, (m + 100 * n) as u64);
        if n > 3 {
            problem.scaling[2] = 0.0; // held
        }
        let (mut krylov, mut dense) = (krylov::<f64>(&problem, 100), dense(&problem));
        let newton = dense.solve(&problem, regular(Subproblem::Damped(0.0)), STRICT).0.norm;
        let subproblems = [1e-3, 0.1, 1.0, 1e3].map(Subproblem::Damped).into_iter();
        let radii = [2.0, 0.9, 0.1, 1e-6].map(|share| Subproblem::Radius(share * newton));
        for subproblem in subproblems.chain(radii).chain([Subproblem::Damped(0.0)]) {
            let (theirs, _, expected) = dense.solve(&problem, regular(subproblem), STRICT);
            let (solution, _, step) = krylov.solve(&problem, subproblem, STRICT);
            let error = distance(&step, &expected) / kernels::norm(&expected);
            assert!(error < 1e-8, "{m} {n} {subproblem:?} {error:e}");
            assert!((solution.norm - theirs.norm).abs() <= 1e-8 * theirs.norm);
            assert!((solution.shift - theirs.shift).abs() <= 1e-6 * theirs.shift, "{solution:?} {theirs:?}");
            assert_eq!(solution.on_boundary, theirs.on_boundary);
            let (decrease, norm) = problem.truth(&step);
            assert!((solution.decrease() - decrease).abs() <= 1e-12 * kernels::norm(&problem.residual).powi(2));
            assert!((solution.norm - norm).abs() <= 1e-12 * norm);
        }
    }
}

#[test]
fn ill_conditioned_steps_are_those_of_the_dense_path() {
    let sigma: Vec<f64> = (0..40).map(|i| 10.0_f64.powf(-12.0 * i as f64 / 39.0)).collect();
    let problem = Problem::with_singular_values(90, 40, &sigma, 7);
    let (mut krylov, mut dense) = (krylov::<f64>(&problem, 40), dense(&problem));
    for damping in [1e-2, 1e-6, 1e-10, 1e-14] {
        let (_, _, expected) = dense.solve(&problem, Subproblem::Damped(damping), STRICT);
        let (_, _, step) = krylov.solve(&problem, Subproblem::Damped(damping), STRICT);
        // Both are backward stable: the error is that of the data times ‖J‖/λ^½, at most, and with r again.
        let error = distance(&step, &expected) / kernels::norm(&expected);
        assert!(error < 1e-14 / damping.sqrt() * 100.0, "{damping:e} {error:e}");
    }
    for radius in [1e-1, 1e3, 1e6, 1e9] {
        let theirs = dense.solve(&problem, Subproblem::Radius(radius), STRICT).0;
        let (solution, _, step) = krylov.solve(&problem, Subproblem::Radius(radius), STRICT);
        // λ down to 1e-24 of ‖J‖² and still not lost: JᵀJ would know nothing below 1e-16.
        assert!((solution.shift / theirs.shift - 1.0).abs() < 1e-3, "{radius:e} {solution:?} {theirs:?}");
        assert!(
            (solution.decrease() / theirs.decrease() - 1.0).abs() < 1e-12 + 1e-15 * radius,
            "{solution:?} {theirs:?}"
        );
        assert!((problem.truth(&step).1 / radius - 1.0).abs() < 1e-12);
    }
    let (largest, lowest) = krylov.steps.singular_values().unwrap();
    assert!((largest - 1.0).abs() < 1e-7, "{largest}");
    // From inside: the last radius does not need the last singular vectors.
    assert!((0.99e-12..1e-9).contains(&lowest), "{lowest:e}");
}

#[test]
fn further_questions_cost_nothing() {
    let problem = Problem::random(90, 45, 5);
    let mut at = krylov::<f64>(&problem, 45);
    assert_eq!(problem.products.get(), 2); // Jᵀr, and a bound on ‖J‖ from J times that
    let accuracy = Accuracy { residual: 0.1, ..STRICT };
    let (first, _, step) = at.solve(&problem, Subproblem::Radius(0.5), accuracy);
    let made = problem.products.get();
    assert!(made > 2 && made < 42 && made.is_multiple_of(2), "{made}");
    // Rejected: shorter and shorter, from what is there.
    for radius in [0.25, 0.1, 1e-3] {
        let (solution, _, _) = at.ask_limited(&problem, Subproblem::Radius(radius), None, 0).unwrap();
        assert!((solution.norm - radius).abs() <= 1e-14);
    }
    // More damping is solved accurately by the same space.
    at.solve(&problem, Subproblem::Damped(10.0 * first.shift), accuracy);
    assert_eq!(at.solve(&problem, Subproblem::Radius(0.5), accuracy).2, step);
    assert_eq!(problem.products.get(), made);
}

#[test]
fn limits_are_kept_and_taken_up_again() {
    let problem = Problem::random(60, 30, 6);
    let subproblem = Subproblem::Damped(1e-3);
    let mut at = krylov::<f64>(&problem, 30);
    assert!(at.ask_limited(&problem, subproblem, Some(STRICT), 0).is_none());
    assert!(at.ask_limited(&problem, subproblem, None, 0).is_none());
    let mut before = 0.0_f64;
    loop {
        let made = problem.products.get();
        let (solution, stop, step) = at.ask_limited(&problem, subproblem, Some(STRICT), 3).unwrap();
        assert!((solution.decrease() - problem.truth(&step).0).abs() < 1e-12 * before.max(1.0));
        let gain = solution.decrease() - 0.5e-3 * solution.norm * solution.norm;
        assert!(gain >= before * (1.0 - 1e-14));
        before = gain;
        if stop != InnerStop::Limit {
            break;
        }
        assert_eq!(problem.products.get() - made, 3);
    }
    // The same solution as at once, for the same products.
    let made = problem.products.get() - 1;
    let other = Problem::random(60, 30, 6);
    let mut at_once = krylov::<f64>(&other, 30);
    let (solution, _, _) = at_once.solve(&other, subproblem, STRICT);
    assert_eq!(other.products.get() - 1, made);
    assert!((solution.decrease() - 0.5e-3 * solution.norm * solution.norm - before).abs() <= 1e-15 * before);
}

#[test]
fn beyond_the_memory_answers_are_as_accurate() {
    let sigma: Vec<f64> = (0..50).map(|i| 10.0_f64.powf(-2.0 * i as f64 / 49.0)).collect();
    let problem = Problem::with_singular_values(120, 50, &sigma, 8);
    let mut dense = dense(&problem);
    let newton = dense.solve(&problem, regular(Subproblem::Damped(0.0)), STRICT).0.norm;
    for capacity in [1, 3, 10] {
        for damping in [0.0, 1e-4, 1e-2] {
            let mut at = krylov::<f64>(&problem, capacity);
            let accuracy = Accuracy { residual: 1e-10, ..STRICT };
            let (_, _, expected) = dense.solve(&problem, Subproblem::Damped(damping), STRICT);
            let (solution, stop, step) = at.solve(&problem, Subproblem::Damped(damping), accuracy);
            assert_eq!(stop, InnerStop::Accurate);
            let error = distance(&step, &expected) / kernels::norm(&expected);
            assert!(error < 1e-6, "{capacity} {damping} {error:e}");
            let (decrease, norm) = problem.truth(&step);
            assert!((solution.decrease() - decrease).abs() < 1e-11 && (solution.norm - norm).abs() < 1e-10 * norm);
            // The same subproblem again: the same solution, for nothing.
            let made = problem.products.get();
            assert_eq!(at.solve(&problem, Subproblem::Damped(damping), accuracy).2, step);
            assert_eq!(at.ask_limited(&problem, Subproblem::Damped(damping), None, 0).unwrap().2, step);
            // Another one from the space.
            let (short, _, _) = at.ask_limited(&problem, Subproblem::Radius(0.1), None, 0).unwrap();
            assert!((short.norm - 0.1).abs() < 1e-14);
            assert_eq!(problem.products.get(), made);
        }
        for share in [1.5, 0.8, 0.3, 0.05] {
            let radius = share * newton;
            let mut at = krylov::<f64>(&problem, capacity);
            let space = {
                let rough = Accuracy { residual: 1e3, ..STRICT };
                at.solve(&problem, Subproblem::Radius(radius), rough).0.decrease()
            };
            let accuracy = Accuracy { residual: 1e-3, truncated: true, ..STRICT };
            let (best, _, _) = dense.solve(&problem, Subproblem::Radius(radius), STRICT);
            let (solution, _, step) = at.solve(&problem, Subproblem::Radius(radius), accuracy);
            let (decrease, norm) = problem.truth(&step);
            assert!((solution.decrease() - decrease).abs() < 1e-11, "{solution:?} {decrease}");
            assert!(norm <= radius * (1.0 + 1e-12), "{norm} {radius}");
            assert!(decrease >= 0.9 * best.decrease() && decrease >= space, "{capacity} {share} {solution:?} {best:?}");
        }
    }
}

#[test]
fn single_precision_answers_to_its_own() {
    let problem = Problem::random(80, 20, 9);
    let (mut single, mut dense) = (krylov::<f32>(&problem, 20), dense(&problem));
    for subproblem in [Subproblem::Damped(0.0), Subproblem::Damped(1.0), Subproblem::Radius(0.2)] {
        let (_, _, expected) = dense.solve(&problem, regular(subproblem), STRICT);
        let (_, stop, step) = single.solve(&problem, subproblem, STRICT);
        let error = distance(&step, &expected) / kernels::norm(&expected);
        assert!(error < 1e-5 && stop == InnerStop::Exhausted, "{subproblem:?} {error:e} {stop:?}");
    }
}

#[test]
fn rank_deficient_steps_are_the_shortest() {
    for (m, n) in [(30, 12), (12, 30)] {
        let problem = Problem::with_singular_values(m, n, &[3.0, 2.0, 1.0, 0.1], 10);
        let (mut krylov, mut dense) = (krylov::<f64>(&problem, 30), dense(&problem));
        let (_, _, expected) = dense.solve(&problem, regular(Subproblem::Damped(0.0)), STRICT);
        let before = problem.products.get();
        let (_, stop, step) = krylov.solve(&problem, Subproblem::Damped(0.0), STRICT);
        assert_eq!(stop, InnerStop::Exhausted);
        assert_eq!(problem.products.get() - before, 7); // the first was made on entering
        assert!(distance(&step, &expected) < 1e-11 * kernels::norm(&expected));
    }
}

#[test]
fn nothing_to_gain_is_a_zero_step() {
    let mut problem = Problem::random(6, 3, 11);
    problem.residual.fill(0.0);
    let (solution, stop, step) = krylov::<f64>(&problem, 3).solve(&problem, Subproblem::Radius(1.0), STRICT);
    assert_eq!((solution.norm, solution.decrease(), stop, step), (0.0, 0.0, InnerStop::Exhausted, vec![0.0; 3]));
    // All components held.
    let mut problem = Problem::random(6, 3, 12);
    problem.scaling.fill(0.0);
    let (solution, _, step) = krylov::<f64>(&problem, 3).solve(&problem, Subproblem::Damped(0.0), STRICT);
    assert_eq!((solution.norm, step), (0.0, vec![0.0; 3]));
}

#[test]
fn products_that_are_not_finite_end_the_space() {
    let problem = Problem::random(30, 20, 13);
    let inner = problem.map::<f64>();
    for fails_at in 0..12 {
        let calls = Cell::new(0);
        let fails = || calls.replace(calls.get() + 1) == fails_at;
        let broken = linear_map(
            30,
            20,
            |v: &[f64], out: &mut [f64]| {
                inner.apply(v, out);
                out[7] = if fails() { f64::NAN } else { out[7] };
            },
            |u: &[f64], out: &mut [f64]| {
                inner.apply_transpose(u, out);
                out[7] = if fails() { f64::INFINITY } else { out[7] };
            },
        );
        for capacity in [20, 3] {
            calls.set(0);
            let mut steps = GolubKahan::new(30, 20, capacity);
            let mut gradient = vec![0.0; 20];
            let entered = steps.enter(&broken, &problem.residual, &mut gradient);
            assert_eq!(entered, fails_at > 1);
            if !entered {
                continue;
            }
            let system = System {
                jacobian: &broken,
                residual: &problem.residual,
                gradient: &gradient,
                scaling: &problem.scaling,
                more: &|_| true,
            };
            let Some((solution, stop)) = steps.solution(&system, Subproblem::Radius(0.5), Some(STRICT)) else {
                assert_eq!(fails_at, 2);
                continue;
            };
            let mut step = vec![0.0; 20];
            steps.step(&mut step);
            let (decrease, norm) = problem.truth(&step);
            assert_eq!(stop, InnerStop::NotFinite, "{fails_at}");
            assert!(decrease > 0.0 && (solution.decrease() - decrease).abs() < 1e-12 * decrease.max(1.0));
            assert!(norm <= 0.5 * (1.0 + 1e-12));
        }
    }
}

#[test]
fn invariants() {
    for seed in 0..128 {
        let mut random = SplitMix64::new(seed);
        let mut within = |low: f64, high: f64| low + (high - low) * random.uniform();
        let [m, n, capacity] = [(); 3].map(|()| within(1.0, 30.0) as usize);
        let (damping, more, radius) = (within(-6.0, 3.0), within(0.01, 2.0), within(-6.0, 3.0));
        let problem = Problem::random(m, n, seed);
        let mut at = krylov::<f64>(&problem, capacity);
        let accuracy = Accuracy { residual: 0.1, truncated: true, ..STRICT };
        let (damping, more, radius) = (10.0_f64.powf(damping), 10.0_f64.powf(damping + more), 10.0_f64.powf(radius));
        at.solve(&problem, Subproblem::Damped(damping), accuracy);
        // In one space: more damping is shorter; a larger radius gains more.
        let free = |at: &mut At<f64, _>, subproblem| at.ask_limited(&problem, subproblem, None, 0).unwrap().0;
        let less_damped =
            at.ask_limited(&problem, Subproblem::Radius(f64::MAX), None, 0).map(|(solution, ..)| solution.norm);
        assert!(free(&mut at, Subproblem::Damped(more)).norm <= less_damped.unwrap() * (1.0 + 1e-12));
        assert!(
            free(&mut at, Subproblem::Radius(radius)).decrease()
                <= free(&mut at, Subproblem::Radius(2.0 * radius)).decrease() * (1.0 + 1e-12)
        );
        for subproblem in [Subproblem::Damped(damping), Subproblem::Radius(radius)] {
            let (solution, _, step) = at.solve(&problem, subproblem, accuracy);
            let (decrease, norm) = problem.truth(&step);
            assert!((solution.decrease() - decrease).abs() <= 1e-12 * kernels::norm(&problem.residual).powi(2));
            assert!(decrease >= 0.0);
            assert!((solution.norm - norm).abs() <= 1e-10 * norm);
            if let Subproblem::Radius(radius) = subproblem {
                assert!(norm <= radius * (1.0 + 1e-12));
            }
        }
    }
}
