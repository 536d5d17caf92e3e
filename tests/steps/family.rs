//! The step family against the truth: random symmetric matrices QΘQᵀ with known spectrum, on both paths, in both
//! precisions, for every subproblem.

use std::cell::Cell;

use crate::numbers::numbers;
use crate::vectors::{dot, norm};
use newton_krylov::{
    Error, InnerSolver, Scalar, SymmetricOperator, damped_step, operator,
    operators::DiagonalOperator,
    preconditioners::Preconditioned,
    random::SplitMix64,
    steps::{Step, StepOptions, StepOutcome, Steps, Subproblem},
};

// ---------------------------------------------------------------------------------------------------------------------
// Matrices of which everything is known

/// M = QΘQᵀ, Q = (I − 2uuᵀ)(I − 2wwᵀ)(I − 2zzᵀ) with unit vectors.
struct Known {
    theta: Vec<f64>,
    reflectors: Vec<Vec<f64>>,
}

impl Known {
    fn new(theta: Vec<f64>, seed: u64) -> Self {
        let reflectors = (0..3)
            .map(|i| {
                let u = numbers::<f64>(theta.len(), seed + 1000 * i);
                let size = norm(&u);
                u.into_iter().map(|u| u / size).collect()
            })
            .collect();
        Known { theta, reflectors }
    }

    fn reflect(u: &[f64], x: &mut [f64]) {
        let along = 2.0 * dot(u, x);
        x.iter_mut().zip(u).for_each(|(x, u)| *x -= along * u);
    }

    /// Qx.
    fn out_of_eigenbasis(&self, x: &[f64]) -> Vec<f64> {
        let mut x = x.to_vec();
        self.reflectors.iter().rev().for_each(|u| Self::reflect(u, &mut x));
        x
    }

    /// Qᵀx.
    fn to_eigenbasis(&self, x: &[f64]) -> Vec<f64> {
        let mut x = x.to_vec();
        self.reflectors.iter().for_each(|u| Self::reflect(u, &mut x));
        x
    }

    fn product(&self, x: &[f64]) -> Vec<f64> {
        let mut c = self.to_eigenbasis(x);
        c.iter_mut().zip(&self.theta).for_each(|(c, t)| *c *= t);
        self.out_of_eigenbasis(&c)
    }

    fn operator<T: Scalar>(&self) -> impl SymmetricOperator<T> + '_ {
        operator(self.theta.len(), |v: &[T], out: &mut [T]| {
            let v: Vec<f64> = v.iter().map(|&v| v.into()).collect();
            out.iter_mut().zip(self.product(&v)).for_each(|(out, p)| *out = T::from_f64(p));
        })
    }

    /// The components of −(Θ + λI)⁻¹c.
    fn shifted(&self, c: &[f64], shift: f64) -> Vec<f64> {
        c.iter().zip(&self.theta).map(|(c, t)| if *c == 0.0 { 0.0 } else { -c / (t + shift) }).collect()
    }

    fn lowest(&self) -> f64 {
        self.theta.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The exact step by bisection on λ, for the subproblems without a hard case. `c` has a component along the lowest
    /// eigenvector, unless M is positive definite.
    fn exact(&self, subproblem: Subproblem, c: &[f64]) -> Vec<f64> {
        let least = (-self.lowest()).max(0.0);
        // The λ at which a function that falls in λ crosses zero.
        let root = |f: &dyn Fn(f64) -> f64| {
            let (mut low, mut high) = (0.0, 1.0);
            while f(least + high) > 0.0 {
                high *= 2.0;
            }
            for _ in 0..2000 {
                let middle = 0.5 * (low + high);
                if f(least + middle) > 0.0 { low = middle } else { high = middle }
            }
            least + high
        };
        match subproblem {
            Subproblem::Damped(damping) => self.shifted(c, damping),
            Subproblem::Radius(radius) => {
                let newton = self.shifted(c, 0.0);
                if self.lowest() > 0.0 && norm(&newton) <= radius {
                    return newton;
                }
                self.shifted(c, root(&|l| norm(&self.shifted(c, l)) - radius))
            }
            Subproblem::Cubic(weight) => self.shifted(c, root(&|l| weight * norm(&self.shifted(c, l)) - l)),
            Subproblem::MetricBall(size) => {
                let newton = self.shifted(c, 0.0);
                let alpha = size / (-dot(&newton, c)).sqrt();
                newton.iter().map(|y| alpha * y).collect()
            }
            Subproblem::SaddleFree(longest) => {
                let y: Vec<f64> = c.iter().zip(&self.theta).map(|(c, t)| -c / t.abs()).collect();
                let factor = (longest / norm(&y)).min(1.0);
                y.iter().map(|y| factor * y).collect()
            }
        }
    }
}

/// n eigenvalues from `low` to `high`, geometrically where both are positive.
fn spectrum(n: usize, low: f64, high: f64) -> Vec<f64> {
    (0..n)
        .map(|i| {
            let t = i as f64 / (n - 1).max(1) as f64;
            if low > 0.0 { low * (high / low).powf(t) } else { low + (high - low) * t }
        })
        .collect()
}

fn options(inner: InnerSolver, tolerance: f64) -> StepOptions {
    StepOptions { inner, tolerance, ..StepOptions::default() }
}

fn cast<T: Scalar>(v: &[f64]) -> Vec<T> {
    v.iter().map(|&v| T::from_f64(v)).collect()
}

fn widen<T: Scalar>(v: &[T]) -> Vec<f64> {
    v.iter().map(|&v| v.into()).collect()
}

/// What every solution must be: numbers that fit the step, whatever the step is.
fn consistent<T: Scalar>(m: &Known, g: &[f64], subproblem: Subproblem, step: &Step<T>, accuracy: f64) {
    let delta = widen(&step.step);
    let product = m.product(&delta);
    let size = norm(&delta);
    assert!((step.norm - size).abs() <= accuracy * size, "norm {} {size}", step.norm);
    let decrease = -(dot(g, &delta) + 0.5 * dot(&delta, &product));
    let scale = dot(g, &delta).abs() + dot(&delta, &product).abs();
    assert!((step.decrease - decrease).abs() <= accuracy * scale, "decrease {} {decrease}", step.decrease);
    // A step to the surface of a metric ball may lead beyond the minimum.
    let beyond = matches!(subproblem, Subproblem::MetricBall(_));
    assert!(beyond || decrease >= -accuracy * scale, "{subproblem:?}: decrease {decrease}");
}

// ---------------------------------------------------------------------------------------------------------------------
// Both paths against the truth

fn against_the_truth<T: Scalar>(accuracy: f64, tolerance: f64) {
    let spectra = [
        (spectrum(1, 2.0, 2.0), false),
        (spectrum(2, 0.5, 3.0), false),
        (spectrum(40, 0.01, 1.0), false),
        (spectrum(30, -1.0, 2.0), true),
        (spectrum(12, -3.0, -1.0), true),
    ];
    for (seed, (theta, indefinite)) in spectra.into_iter().enumerate() {
        let n = theta.len();
        let m = Known::new(theta, seed as u64);
        let c: Vec<f64> = numbers::<f64>(n, 77 + seed as u64).iter().map(|c| c + 0.1 * c.signum()).collect();
        let g = m.out_of_eigenbasis(&c);
        let gradient: Vec<T> = cast(&g);
        for inner in [InnerSolver::Krylov, InnerSolver::Dense] {
            let subproblems = [
                Subproblem::Damped(5.0),
                Subproblem::Damped(if indefinite { 3.5 } else { 0.0 }),
                Subproblem::Radius(0.1),
                Subproblem::Radius(1.0),
                Subproblem::Radius(30.0),
                Subproblem::Cubic(0.01),
                Subproblem::Cubic(1.0),
                Subproblem::Cubic(100.0),
                Subproblem::SaddleFree(1e6),
                Subproblem::SaddleFree(0.3),
                Subproblem::MetricBall(0.5),
            ];
            // Each subproblem alone, and all of them to one space.
            let operator = m.operator::<T>();
            let mut shared = Steps::new(&operator, &gradient, options(inner, tolerance)).unwrap();
            for subproblem in subproblems {
                let mut alone = Steps::new(&operator, &gradient, options(inner, tolerance)).unwrap();
                for steps in [&mut alone, &mut shared] {
                    let step = steps.solve(subproblem).unwrap();
                    if indefinite && matches!(subproblem, Subproblem::MetricBall(_)) {
                        assert_eq!(step.outcome, StepOutcome::Indefinite, "{subproblem:?} {inner:?}");
                        continue;
                    }
                    consistent(&m, &g, subproblem, &step, accuracy);
                    if step.outcome == StepOutcome::Limit
                        && indefinite
                        && matches!(subproblem, Subproblem::SaddleFree(_))
                    {
                        continue; // A space that is not yet the whole one has no |M|⁻¹g, and says so.
                    }
                    assert_eq!(step.outcome, StepOutcome::Accurate, "{n} {subproblem:?} {inner:?}");
                    let exact = m.out_of_eigenbasis(&m.exact(subproblem, &c));
                    let delta = widen(&step.step);
                    let error: Vec<f64> = delta.iter().zip(&exact).map(|(a, b)| a - b).collect();
                    assert!(
                        norm(&error) <= accuracy * norm(&exact),
                        "{n} {subproblem:?} {inner:?}: {:e} of {:e}, {} products",
                        norm(&error),
                        norm(&exact),
                        step.products
                    );
                }
            }
        }
    }
}

#[test]
fn every_question_has_its_exact_answer_in_f64() {
    against_the_truth::<f64>(1e-8, 1e-12);
}

#[test]
fn every_question_has_its_exact_answer_in_f32() {
    against_the_truth::<f32>(1e-3, 1e-6);
}

#[test]
fn accurate_means_a_small_residual_also_in_little_memory() {
    let m = Known::new(spectrum(120, 0.01, 10.0), 5);
    let g = m.out_of_eigenbasis(&numbers::<f64>(120, 6));
    let operator = m.operator::<f64>();
    for basis in [1, 3, 10, 40] {
        for subproblem in [
            Subproblem::Damped(0.0),
            Subproblem::Damped(0.1),
            Subproblem::Radius(1e9),
            Subproblem::Radius(1.0),
            Subproblem::Radius(20.0),
            Subproblem::Cubic(0.1),
        ] {
            let options = StepOptions { basis, tolerance: 1e-6, inner: InnerSolver::Krylov, ..StepOptions::default() };
            let step = Steps::new(&operator, &g, options).unwrap().solve(subproblem).unwrap();
            let mut r = m.product(&step.step);
            (0..120).for_each(|i| r[i] += step.shift * step.step[i] + g[i]);
            assert!((norm(&r) - step.residual_norm).abs() <= 1e-6 * norm(&g), "{basis} {subproblem:?}");
            if step.outcome == StepOutcome::Accurate {
                assert!(norm(&r) <= 1.02e-6 * norm(&g), "{basis} {subproblem:?}: {:e}", norm(&r) / norm(&g));
            }
            // Where λ is not known, one run of conjugate gradients does not do.
            if basis > 1 || matches!(subproblem, Subproblem::Damped(_) | Subproblem::Radius(1e9)) {
                assert_eq!(step.outcome, StepOutcome::Accurate, "{basis} {subproblem:?}: {:e}", norm(&r) / norm(&g));
            }
        }
    }
}

/// A path's Laplacian, which no v changes the sum of: the residual keeps that of the gradient, in any number of products.
#[test]
fn a_residual_out_of_reach_ends_the_search() {
    let n = 3000;
    let laplacian = operator(n, |v: &[f64], out: &mut [f64]| {
        let at = |i: usize| v[i.min(n - 1)];
        (0..n).for_each(|i| out[i] = 2.0 * v[i] - at(i.saturating_sub(1)) - at(i + 1));
    });
    let gradient: Vec<f64> = numbers(n, 1).iter().map(|g: &f64| g + 0.5).collect();
    let options = StepOptions { basis: 5, ..options(InnerSolver::Krylov, 1e-8) };
    let step = Steps::new(&laplacian, &gradient, options).unwrap().solve(Subproblem::Damped(0.0)).unwrap();
    assert!(step.outcome == StepOutcome::Limit && step.products < 300, "{:?} {}", step.outcome, step.products);
}

/// The residual is as long as at the start for more than a hundred products, and then falls.
#[test]
fn conjugate_gradients_outlast_a_plateau() {
    let n = 400;
    let m = DiagonalOperator((0..n).map(|i| 1e5_f64.powf(i as f64 / (n - 1) as f64)).collect::<Vec<f64>>());
    let options = StepOptions { basis: 5, ..options(InnerSolver::Krylov, 1e-2) };
    let step = Steps::new(&m, &vec![1.0; n], options).unwrap().solve(Subproblem::Damped(0.0)).unwrap();
    assert_eq!(step.outcome, StepOutcome::Accurate, "{}", step.products);
}

/// Without curvature along part of g there is no minimum. No step is so long that its product is not finite.
#[test]
fn conjugate_gradients_end_where_there_is_no_curvature() {
    let n = 3000;
    for kinds in [10, 50] {
        let m = DiagonalOperator((0..n).map(|i| (i % kinds) as f64).collect::<Vec<f64>>());
        let options = StepOptions { basis: 5, ..options(InnerSolver::Krylov, 1e-8) };
        let step = Steps::new(&m, &numbers::<f64>(n, 1), options).unwrap().solve(Subproblem::Damped(0.0)).unwrap();
        assert!(matches!(step.outcome, StepOutcome::Indefinite | StepOutcome::Limit), "{kinds} {:?}", step.outcome);
        assert!(step.products < 2 * kinds, "{kinds} {}", step.products);
    }
}

/// Rounding along one large curvature does not excuse what is left along the others.
#[test]
fn a_stiff_direction_excuses_no_residual() {
    let n = 50;
    for stiff in [1e4_f32, 1e5] {
        let d: Vec<f32> = (0..n).map(|i| if i == 0 { stiff } else { 1.0 + 9.0 * i as f32 / n as f32 }).collect();
        let (m, g) = (DiagonalOperator(d.clone()), vec![1.0_f32; n]);
        let options = StepOptions { inner: InnerSolver::Krylov, tolerance: 1e-6, ..StepOptions::default() };
        let step = Steps::new(&m, &g, options).unwrap().solve(Subproblem::Damped(0.0)).unwrap();
        let left = step.step.iter().zip(&d).map(|(&x, &d)| (f64::from(x) * f64::from(d) + 1.0).powi(2)).sum::<f64>();
        assert!((left / n as f64).sqrt() <= 1e-3, "{stiff:e}: {:e}", (left / n as f64).sqrt());
    }
}

#[test]
fn the_hard_case_is_solved() {
    // Eigenvalues −1, 1, …; g has no component along the first eigenvector.
    let n = 10;
    let mut theta = spectrum(n, 1.0, 4.0);
    theta[0] = -1.0;
    for (seed, radius) in [(1, 1.0), (2, 5.0), (3, 100.0)] {
        let m = Known::new(theta.clone(), seed);
        let mut c = numbers::<f64>(n, seed);
        c[0] = 0.0;
        let operator = m.operator::<f64>();
        let g = m.out_of_eigenbasis(&c);
        let short = m.shifted(&c, 1.0);
        let missing = (radius * radius - dot(&short, &short)).sqrt();
        assert!(missing > 0.0, "the case is hard");
        let mut steps = Steps::new(&operator, &g, options(InnerSolver::Dense, 1e-12)).unwrap();
        let step = steps.solve(Subproblem::Radius(radius)).unwrap();
        consistent(&m, &g, Subproblem::Radius(radius), &step, 1e-10);
        assert!((step.norm / radius - 1.0).abs() < 1e-10 && step.on_boundary);
        let y = m.to_eigenbasis(&step.step);
        assert!((y[0].abs() / missing - 1.0).abs() < 1e-8, "{} {missing}", y[0]);
        (1..n).for_each(|i| assert!((y[i] - short[i]).abs() < 1e-8 * radius));
        // The cubic model: λ = σ‖δ‖ = 1.
        let step = steps.solve(Subproblem::Cubic(1.0 / radius)).unwrap();
        assert!((step.norm / radius - 1.0).abs() < 1e-8 && (step.shift - 1.0).abs() < 1e-8);

        // Exactly hard: a diagonal matrix and an exact zero.
        let exact = DiagonalOperator(theta.clone());
        let mut steps = Steps::new(&exact, &c, options(InnerSolver::Dense, 1e-12)).unwrap();
        let step = steps.solve(Subproblem::Radius(radius)).unwrap();
        assert!(step.hard_case && (step.step[0].abs() / missing - 1.0).abs() < 1e-8);

        // A Krylov space from g cannot know that direction: its step is the best among those orthogonal to it.
        let mut steps = Steps::new(&operator, &g, options(InnerSolver::Krylov, 1e-12)).unwrap();
        let step = steps.solve(Subproblem::Radius(radius)).unwrap();
        consistent(&m, &g, Subproblem::Radius(radius), &step, 1e-10);
        assert!(step.norm <= radius * (1.0 + 1e-12) && step.residual_norm <= 1e-8 * norm(&g));
    }
}

#[test]
fn without_gradient_the_step_is_zero_or_along_negative_curvature() {
    let zero = [0.0; 10];
    let convex = Known::new(spectrum(10, 1.0, 2.0), 1);
    let saddle = Known::new(spectrum(10, -1.0, 2.0), 2);
    for inner in [InnerSolver::Krylov, InnerSolver::Dense] {
        for subproblem in
            [Subproblem::Radius(2.0), Subproblem::Cubic(0.5), Subproblem::Damped(0.0), Subproblem::MetricBall(1.0)]
        {
            let operator = convex.operator::<f64>();
            let step = Steps::new(&operator, &zero, options(inner, 1e-8)).unwrap().solve(subproblem).unwrap();
            assert!(step.step == zero && step.outcome == StepOutcome::Accurate, "{inner:?} {subproblem:?} {step:?}");
        }
        // ‖δ‖ = Δ, or σ‖δ‖ = −θ₁ = 1: in both cases 2.
        for subproblem in [Subproblem::Radius(2.0), Subproblem::Cubic(0.5)] {
            let operator = saddle.operator::<f64>();
            let step = Steps::new(&operator, &zero, options(inner, 1e-8)).unwrap().solve(subproblem).unwrap();
            assert_eq!(step.outcome, StepOutcome::Accurate, "{inner:?} {subproblem:?}");
            assert!((step.norm - 2.0).abs() < 1e-6, "{inner:?} {subproblem:?} {step:?}");
            consistent(&saddle, &zero, subproblem, &step, 1e-8);
        }
    }
}

#[test]
fn an_indefinite_metric_is_proven() {
    let m = Known::new(spectrum(20, -1.0, 2.0), 3);
    let g = m.out_of_eigenbasis(&numbers::<f64>(20, 4));
    let operator = m.operator::<f64>();
    for inner in [InnerSolver::Krylov, InnerSolver::Dense] {
        for subproblem in [Subproblem::Damped(0.0), Subproblem::Damped(0.5), Subproblem::MetricBall(1.0)] {
            let mut steps = Steps::new(&operator, &g, options(inner, 1e-10)).unwrap();
            let step = steps.solve(subproblem).unwrap();
            assert_eq!(step.outcome, StepOutcome::Indefinite);
            assert!(step.step.iter().all(|&s| s == 0.0));
            let mut v = vec![f64::NAN; 20];
            let curvature = steps.lowest_direction(&mut v).unwrap().unwrap();
            let damping = if let Subproblem::Damped(damping) = subproblem { damping } else { 0.0 };
            assert!(curvature + damping <= 0.0);
            assert!((dot(&v, &m.product(&v)) - curvature).abs() < 1e-10 && (norm(&v) - 1.0).abs() < 1e-10);
            assert!(steps.lowest_direction(&mut [0.0; 3]).is_err());
        }
    }
}

#[test]
fn many_unknowns_on_the_dense_path_use_threads() {
    let theta = spectrum(520, -1.0, 1.0);
    let m = DiagonalOperator(theta.clone());
    let g = numbers::<f64>(520, 9);
    let step = Steps::new(&m, &g, options(InnerSolver::Dense, 1e-8)).unwrap().solve(Subproblem::Radius(1.0)).unwrap();
    assert!((step.norm - 1.0).abs() < 1e-10 && step.shift >= 1.0);
    (0..520).for_each(|i| assert!(((theta[i] + step.shift) * step.step[i] + g[i]).abs() < 1e-8));
}

// ---------------------------------------------------------------------------------------------------------------------
// Costs and faults

#[test]
fn after_one_accurate_answer_other_questions_are_free() {
    let m = Known::new(spectrum(60, 0.1, 1.0), 7);
    let g = m.out_of_eigenbasis(&numbers::<f64>(60, 8));
    let calls = Cell::new(0);
    let counted = operator(60, |v: &[f64], out: &mut [f64]| {
        calls.set(calls.get() + 1);
        out.copy_from_slice(&m.product(v));
    });
    for inner in [InnerSolver::Krylov, InnerSolver::Dense] {
        calls.set(0);
        let mut steps = Steps::new(&counted, &g, options(inner, 1e-8)).unwrap();
        let first = steps.solve(Subproblem::Damped(0.0)).unwrap();
        assert_eq!(first.products, calls.get(), "{inner:?}");
        let others = [0.01, 0.3, 1.0, 50.0].into_iter().flat_map(|size| {
            [Subproblem::Damped(size), Subproblem::Radius(size), Subproblem::Cubic(size), Subproblem::MetricBall(size)]
        });
        for subproblem in others.chain([Subproblem::SaddleFree(1.0)]) {
            let step = steps.solve(subproblem).unwrap();
            assert_eq!((step.products, calls.get()), (0, first.products), "{inner:?} {subproblem:?}");
            assert_eq!(step.outcome, StepOutcome::Accurate, "{inner:?} {subproblem:?}");
        }
    }
}

#[test]
fn most_products_are_kept() {
    let m = Known::new(spectrum(60, 1e-4, 1.0), 7);
    let g = m.out_of_eigenbasis(&numbers::<f64>(60, 8));
    let calls = Cell::new(0);
    let counted = operator(60, |v: &[f64], out: &mut [f64]| {
        calls.set(calls.get() + 1);
        out.copy_from_slice(&m.product(v));
    });
    for inner in [InnerSolver::Automatic, InnerSolver::Krylov] {
        for basis in [2, 100] {
            for max_products in [1, 2, 7, 20] {
                calls.set(0);
                let options = StepOptions { inner, max_products, basis, tolerance: 1e-12 };
                let mut steps = Steps::new(&counted, &g, options).unwrap();
                let mut decrease = 0.0;
                for subproblem in [Subproblem::Damped(0.0), Subproblem::Radius(1e5), Subproblem::Cubic(1e-3)] {
                    let step = steps.solve(subproblem).unwrap();
                    assert!(calls.get() <= max_products, "{basis} {max_products} {subproblem:?}");
                    assert_eq!(step.outcome, StepOutcome::Limit, "{basis} {max_products} {subproblem:?}");
                    consistent(&m, &g, subproblem, &step, 1e-8);
                    decrease = step.decrease.max(decrease);
                }
                assert!(decrease > 0.0);
            }
        }
    }
}

#[test]
fn the_model_decreases_as_the_space_grows() {
    for (low, subproblem) in
        [(1e-3, Subproblem::Damped(0.0)), (-1.0, Subproblem::Radius(2.0)), (-1.0, Subproblem::Cubic(1.0))]
    {
        let m = Known::new(spectrum(50, low, 1.0), 11);
        let g = m.out_of_eigenbasis(&numbers::<f64>(50, 12));
        let operator = m.operator::<f64>();
        let mut before = 0.0;
        for max_products in 1..40 {
            let options =
                StepOptions { inner: InnerSolver::Krylov, max_products, tolerance: 1e-12, ..StepOptions::default() };
            let step = Steps::new(&operator, &g, options).unwrap().solve(subproblem).unwrap();
            let model = match subproblem {
                Subproblem::Cubic(weight) => step.decrease - weight * step.norm.powi(3) / 3.0,
                _ => step.decrease,
            };
            assert!(model >= before * (1.0 - 1e-10), "{subproblem:?} {max_products}: {model} {before}");
            before = model;
        }
    }
}

#[test]
fn asymmetric_and_failing_products_are_named() {
    let m = Known::new(spectrum(20, 0.1, 1.0), 13);
    let g = m.out_of_eigenbasis(&numbers::<f64>(20, 14));
    for inner in [InnerSolver::Krylov, InnerSolver::Dense] {
        let skewed = operator(20, |v: &[f64], out: &mut [f64]| {
            out.copy_from_slice(&m.product(v));
            (0..19).for_each(|i| out[i] += 0.3 * v[i + 1]);
        });
        for subproblem in [Subproblem::Damped(1.0), Subproblem::Radius(1.0), Subproblem::Cubic(1.0)] {
            let step = Steps::new(&skewed, &g, options(inner, 1e-10)).unwrap().solve(subproblem).unwrap();
            assert_eq!(step.outcome, StepOutcome::Asymmetric, "{inner:?} {subproblem:?}");
        }
        for (bad, from) in [(f64::NAN, 1), (f64::INFINITY, 1), (f64::NAN, 4), (f64::NEG_INFINITY, 4)] {
            let calls = Cell::new(0);
            let failing = operator(20, |v: &[f64], out: &mut [f64]| {
                calls.set(calls.get() + 1);
                out.copy_from_slice(&m.product(v));
                if calls.get() >= from {
                    out[3] = bad;
                }
            });
            let mut steps = Steps::new(&failing, &g, options(inner, 1e-10)).unwrap();
            for subproblem in [Subproblem::Damped(0.0), Subproblem::Radius(1.0), Subproblem::Cubic(1.0)] {
                let step = steps.solve(subproblem).unwrap();
                assert_eq!(step.outcome, StepOutcome::NotFinite, "{inner:?} {subproblem:?} {bad} from {from}");
                assert!(step.step.iter().all(|s| s.is_finite()));
                assert!(calls.get() < 100);
            }
        }
    }
}

#[test]
fn mistakes_are_errors() {
    let m = DiagonalOperator(vec![1.0, 2.0]);
    let g = [1.0, 1.0];
    assert!(matches!(damped_step(&m, &[1.0], 0.0), Err(Error::Length { .. })));
    assert!(matches!(damped_step(&m, &[f64::NAN, 0.0], 0.0), Err(Error::NotFinite { .. })));
    assert!(matches!(damped_step(&DiagonalOperator::<f64>(vec![]), &[], 0.0), Err(Error::ZeroDimension { .. })));
    for bad in [
        StepOptions { tolerance: -1.0, ..StepOptions::default() },
        StepOptions { tolerance: f64::NAN, ..StepOptions::default() },
    ] {
        assert!(Steps::new(&m, &g, bad).is_err());
    }
    assert!(Steps::new(&m, &g, StepOptions { max_products: 0, ..StepOptions::default() }).is_err());
    let mut steps = Steps::new(&m, &g, StepOptions::default()).unwrap();
    for bad in [f64::NAN, f64::INFINITY, -1.0] {
        for subproblem in
            [Subproblem::Damped(bad), Subproblem::Radius(bad), Subproblem::Cubic(bad), Subproblem::MetricBall(bad)]
        {
            assert!(steps.solve(subproblem).is_err(), "{subproblem:?}");
        }
    }
    for bad in
        [Subproblem::Radius(0.0), Subproblem::Cubic(0.0), Subproblem::MetricBall(0.0), Subproblem::SaddleFree(0.0)]
    {
        assert!(steps.solve(bad).is_err(), "{bad:?}");
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// What holds for any matrix

/// Calls `check(within, seed)` for 48 seeds; `within(low, high)` is a number between them.
fn for_cases(check: impl Fn(&mut dyn FnMut(f64, f64) -> f64, u64)) {
    for seed in 0..48 {
        let mut random = SplitMix64::new(seed);
        check(&mut |low, high| low + (high - low) * random.uniform(), seed);
    }
}

#[test]
fn radii_are_kept_and_used() {
    for_cases(|within, seed| {
        let (n, low, exponent) = (within(1.0, 40.0) as usize, within(-2.0, 0.5), within(-4.0, 3.0));
        let dense = within(0.0, 1.0) < 0.5;
        let m = Known::new(spectrum(n, low, low + 2.0), seed);
        let g = m.out_of_eigenbasis(&numbers::<f64>(n, seed + 1));
        let operator = m.operator::<f64>();
        let inner = if dense { InnerSolver::Dense } else { InnerSolver::Krylov };
        let radius = 10_f64.powf(exponent);
        let step = Steps::new(&operator, &g, options(inner, 1e-10)).unwrap().solve(Subproblem::Radius(radius)).unwrap();
        assert_eq!(step.outcome, StepOutcome::Accurate);
        assert!(norm(&step.step) <= radius * (1.0 + 1e-10));
        assert!(step.shift >= 0.0 && step.shift >= -m.lowest() - 1e-8);
        assert!(step.shift <= 1e-10 || (step.norm / radius - 1.0).abs() <= 1e-10);
        assert!(step.residual_norm <= 1e-8 * norm(&g));
        consistent(&m, &g, Subproblem::Radius(radius), &step, 1e-8);
    });
}

#[test]
fn more_damping_and_weight_shorten_the_step() {
    for_cases(|within, seed| {
        let (n, low, dense) = (within(1.0, 30.0) as usize, within(0.001, 1.0), within(0.0, 1.0) < 0.5);
        let m = Known::new(spectrum(n, low, 10.0), seed);
        let g = m.out_of_eigenbasis(&numbers::<f64>(n, seed + 1));
        let operator = m.operator::<f64>();
        let inner = if dense { InnerSolver::Dense } else { InnerSolver::Krylov };
        let mut steps = Steps::new(&operator, &g, options(inner, 1e-12)).unwrap();
        let (mut damped, mut cubic) = (f64::INFINITY, f64::INFINITY);
        for size in [0.001, 0.1, 1.0, 10.0, 1000.0] {
            let step = steps.solve(Subproblem::Damped(size)).unwrap();
            assert!(step.norm < damped);
            damped = step.norm;
            let step = steps.solve(Subproblem::Cubic(size)).unwrap();
            assert!(step.norm < cubic && (step.shift - size * step.norm).abs() <= 1e-8 * step.shift);
            cubic = step.norm;
        }
    });
}

#[test]
fn a_preconditioner_changes_no_answer() {
    for_cases(|within, seed| {
        let n = within(2.0, 30.0) as usize;
        let low = if within(0.0, 1.0) < 0.5 { -1.0 } else { 0.05 };
        let m = Known::new(spectrum(n, low, 5.0), seed);
        let g = m.out_of_eigenbasis(&numbers::<f64>(n, seed + 1));
        let weights: Vec<f64> = numbers::<f64>(n, seed + 2).iter().map(|w| 1.5 + w).collect();
        let plain = m.operator::<f64>();
        let aided = Preconditioned {
            operator: m.operator::<f64>(),
            preconditioner: |_: f64, r: &mut [f64]| r.iter_mut().zip(&weights).for_each(|(r, w)| *r *= w),
        };
        for subproblem in [Subproblem::Damped(1.5), Subproblem::Radius(0.7), Subproblem::Cubic(2.0)] {
            let a = Steps::new(&plain, &g, options(InnerSolver::Krylov, 1e-11)).unwrap().solve(subproblem).unwrap();
            let b = Steps::new(&aided, &g, options(InnerSolver::Krylov, 1e-11)).unwrap().solve(subproblem).unwrap();
            let error: Vec<f64> = a.step.iter().zip(&b.step).map(|(a, b)| a - b).collect();
            assert!(norm(&error) <= 1e-6 * a.norm, "{:?} {}", subproblem, norm(&error));
        }
    });
}
