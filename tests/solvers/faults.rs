//! Every solver meets everything that can go wrong: it neither panics nor hangs, returns the best finite point, and
//! never claims convergence falsely.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::time::Duration;

use crate::common::{METHODS, Method, Solver, Watched};
use crate::vectors::norm;
use newton_krylov::problems::{ChainedRosenbrock, MoreGarbowHillstrom};
use newton_krylov::{
    Counts, Error, Evaluation, Expansion, InnerSolver, Memory, Objective, Report, Scalar, Stopping, SymmetricOperator,
    Termination, objective,
};

// ---------------------------------------------------------------------------------------------------------------------
// The means

/// An objective whose solutions are changed on the way: each hook sees the number of the call, from 1.
struct Faulty<O, V, G, H> {
    inner: O,
    value: V,
    gradient: G,
    product: H,
    calls: Cell<Counts>,
}

fn faulty<T, O, V, G, H>(inner: O, value: V, gradient: G, product: H) -> Faulty<O, V, G, H>
where
    V: Fn(usize, &[T], f64) -> f64,
    G: Fn(usize, &[T], &mut [T]),
    H: Fn(usize, &[T], &mut [T]),
{
    Faulty { inner, value, gradient, product, calls: Cell::default() }
}

/// The hooks that change nothing.
fn same_value<T>(_: usize, _: &[T], value: f64) -> f64 {
    value
}
fn same<T>(_: usize, _: &[T], _: &mut [T]) {}

struct FaultyAt<'a, T, E, O, V, G, H> {
    inner: E,
    x: &'a [T],
    faulty: &'a Faulty<O, V, G, H>,
}

impl<O, V, G, H> Faulty<O, V, G, H> {
    fn calls(&self, change: impl FnOnce(&mut Counts)) -> Counts {
        let mut calls = self.calls.get();
        change(&mut calls);
        self.calls.set(calls);
        calls
    }
}

impl<T, O, V, G, H> Objective<T> for Faulty<O, V, G, H>
where
    O: Objective<T>,
    V: Fn(usize, &[T], f64) -> f64,
    G: Fn(usize, &[T], &mut [T]),
    H: Fn(usize, &[T], &mut [T]),
{
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn value(&self, x: &[T]) -> f64 {
        let call = self.calls(|c| c.values += 1).values;
        (self.value)(call, x, self.inner.value(x))
    }
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        FaultyAt { inner: self.inner.expand(x), x, faulty: self }
    }
}

impl<T, E, O, V, G, H> SymmetricOperator<T> for FaultyAt<'_, T, E, O, V, G, H>
where
    E: SymmetricOperator<T>,
    H: Fn(usize, &[T], &mut [T]),
{
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        let call = self.faulty.calls(|c| c.products += 1).products;
        self.inner.apply(v, out);
        (self.faulty.product)(call, v, out);
    }
}

impl<T, E, O, V, G, H> Expansion<T> for FaultyAt<'_, T, E, O, V, G, H>
where
    E: Expansion<T>,
    V: Fn(usize, &[T], f64) -> f64,
    G: Fn(usize, &[T], &mut [T]),
    H: Fn(usize, &[T], &mut [T]),
{
    fn value(&self) -> f64 {
        let call = self.faulty.calls(|c| c.values += 1).values;
        (self.faulty.value)(call, self.x, self.inner.value())
    }
    fn gradient(&self, out: &mut [T]) {
        let call = self.faulty.calls(|c| c.gradients += 1).gradients;
        self.inner.gradient(out);
        (self.faulty.gradient)(call, self.x, out);
    }
}

fn gradient_norm<T: Scalar>(f: &impl Objective<T>, x: &[T]) -> f64 {
    let mut g = vec![T::zero(); x.len()];
    f.expand(x).gradient(&mut g);
    norm(&g)
}

/// By the power method.
fn largest_curvature<T: Scalar>(f: &impl Objective<T>, x: &[T]) -> f64 {
    let expansion = f.expand(x);
    let (mut v, mut hv) = (vec![T::one(); x.len()], vec![T::zero(); x.len()]);
    let mut largest = 0.0;
    for _ in 0..30 {
        let size = norm(&v);
        v.iter_mut().for_each(|v| *v = T::from_f64((*v).into() / size));
        expansion.apply(&v, &mut hv);
        largest = norm(&hv);
        std::mem::swap(&mut v, &mut hv);
    }
    largest
}

/// Runs and holds the report against what must be true of every run; `truth` is the objective without faults.
fn run<T: Scalar>(solver: &Solver, f: impl Objective<T>, truth: &impl Objective<T>, x0: &[T]) -> Report<T> {
    let f = Watched::new(f);
    let report = solver.minimize(&f, x0).unwrap();
    let context = || format!("{solver:?}\n{report}");
    assert_eq!(report.counts, f.calls(), "{}", context());
    assert!(report.x.iter().all(|x| x.is_finite()), "{}", context());
    assert!(report.value.is_finite() && report.gradient_norm.is_finite(), "{}", context());
    assert!(report.value <= report.initial_value, "{}", context());
    let Stopping { gradient_relative, gradient_absolute, .. } = solver.stopping;
    if report.termination.converged() {
        let relative = gradient_relative.max(8.0 * T::epsilon_f64());
        let tolerance = (relative * gradient_norm(truth, x0)).max(gradient_absolute);
        let found = gradient_norm(truth, &report.x);
        // Or what is left to gain is within the rounding of f: over the size of x, or by a Newton step.
        let flat = T::epsilon_f64().sqrt() * report.value.abs() / norm(&report.x);
        let rounding = 10.0 * T::epsilon_f64() * report.value.abs();
        let newton = (2.0 * rounding * largest_curvature(truth, &report.x)).sqrt();
        let most = tolerance.max(flat).max(newton);
        assert!(found <= 1.001 * most, "claims convergence at ‖g‖ = {found:e}\n{}", context());
    }
    let limits = &solver.stopping;
    let counts = report.counts;
    assert!(report.iterations() <= limits.max_iterations, "{}", context());
    assert!(counts.values <= limits.max_values.max(1), "{}", context());
    assert!(counts.gradients <= limits.max_gradients.max(1), "{}", context());
    assert!(counts.products <= limits.max_products, "{}", context());
    report
}

fn solvers() -> Vec<Solver> {
    METHODS
        .iter()
        .flat_map(|&method| {
            [InnerSolver::Krylov, InnerSolver::Dense].map(|inner| Solver { inner, ..Solver::new(method) })
        })
        .collect()
}

fn rosenbrock(n: usize) -> ChainedRosenbrock {
    ChainedRosenbrock::new(n).unwrap()
}

/// Σ wᵢ xᵢ² / 2.
fn quadratic(weights: &[f64]) -> impl Objective<f64> + '_ {
    objective(
        weights.len(),
        move |x: &[f64]| x.iter().zip(weights).map(|(x, w)| 0.5 * w * x * x).sum::<f64>(),
        move |x: &[f64], g: &mut [f64]| (0..x.len()).for_each(|i| g[i] = weights[i] * x[i]),
        move |_: &[f64], v: &[f64], hv: &mut [f64]| (0..v.len()).for_each(|i| hv[i] = weights[i] * v[i]),
    )
}

/// Σ φ(xᵢ) with φ, φ′ and φ″.
fn separable<T: Scalar>(
    n: usize,
    phi: impl Fn(f64) -> f64 + Copy,
    slope: impl Fn(f64) -> f64 + Copy,
    bend: impl Fn(f64) -> f64 + Copy,
) -> impl Objective<T> {
    objective(
        n,
        move |x: &[T]| x.iter().map(|&x| phi(x.into())).sum::<f64>(),
        move |x: &[T], g: &mut [T]| (0..x.len()).for_each(|i| g[i] = T::from_f64(slope(x[i].into()))),
        move |x: &[T], v: &[T], hv: &mut [T]| {
            (0..x.len()).for_each(|i| hv[i] = T::from_f64(bend(x[i].into())) * v[i]);
        },
    )
}

// ---------------------------------------------------------------------------------------------------------------------
// Callers' mistakes

fn mistakes<T: Scalar>() {
    let f = rosenbrock(3);
    let one = T::one();
    for solver in solvers() {
        for length in [0, 2, 4] {
            let error = solver.minimize(&f, &vec![one; length]).unwrap_err();
            assert_eq!(error, Error::Length { argument: "x0", expected: 3, found: length });
        }
        for (bad, index) in [(T::nan(), 0), (T::infinity(), 1), (T::neg_infinity(), 2)] {
            let mut x0 = vec![one; 3];
            x0[index] = bad;
            match solver.minimize(&f, &x0).unwrap_err() {
                Error::NotFinite { argument: "x0", index: Some(found), .. } => assert_eq!(found, index),
                other => panic!("{other:?}"),
            }
        }
        let empty = objective(0, |_: &[T]| 0.0, |_, _| {}, |_, _, _| {});
        assert!(matches!(solver.minimize(&empty, &[]), Err(Error::ZeroDimension { .. })));
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let f = faulty(rosenbrock(3), |_, _: &[T], _| bad, same, same);
            match solver.minimize(&f, &[one; 3]).unwrap_err() {
                Error::NotFinite { argument, index: None, .. } => assert!(argument.contains("value"), "{argument}"),
                other => panic!("{other:?}"),
            }
            let f = faulty(rosenbrock(3), same_value, |_, _, g: &mut [T]| g[1] = T::from_f64(bad), same);
            match solver.minimize(&f, &[one; 3]).unwrap_err() {
                Error::NotFinite { argument, index: Some(1), .. } => {
                    assert!(argument.contains("gradient"), "{argument}")
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn mistakes_are_errors_that_name_the_argument() {
    mistakes::<f64>();
    mistakes::<f32>();
}

#[test]
fn bad_options_are_errors_that_name_the_option() {
    let default = Stopping::default;
    for bad in [f64::NAN, -1.0, f64::NEG_INFINITY] {
        let cases = [
            ("gradient_relative", Stopping { gradient_relative: bad, ..default() }),
            ("gradient_absolute", Stopping { gradient_absolute: bad, ..default() }),
            ("step", Stopping { step: bad, ..default() }),
            ("decrease", Stopping { decrease: bad, ..default() }),
        ];
        for (name, stopping) in cases {
            for solver in solvers() {
                let solver = Solver { stopping: stopping.clone(), ..solver };
                match solver.minimize(&rosenbrock(2), &[0.0, 0.0]).unwrap_err() {
                    Error::OutOfRange { argument, .. } => assert!(argument.ends_with(name), "{argument}"),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    let stopping = Stopping { target_value: f64::NAN, ..default() };
    for solver in solvers() {
        let solver = Solver { stopping: stopping.clone(), ..solver };
        assert!(matches!(solver.minimize(&rosenbrock(2), &[0.0, 0.0]), Err(Error::OutOfRange { .. })));
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Evaluations that fail

fn one_failure<T: Scalar>() {
    let truth = rosenbrock(4);
    let x0: Vec<T> = truth.start();
    for solver in solvers() {
        let products = run(&solver, truth, &truth, &x0).counts.products;
        for bad in [f64::NAN, f64::INFINITY] {
            for k in 2..12 {
                let f = faulty(truth, |call, _: &[T], v| if call == k { bad } else { v }, same, same);
                let report = run(&solver, f, &truth, &x0);
                assert!(report.termination.converged(), "value {k}: {solver:?}\n{report}");

                let f = faulty(
                    truth,
                    same_value,
                    |call, _: &[T], g: &mut [T]| {
                        if call == k {
                            g[0] = T::from_f64(bad)
                        }
                    },
                    same,
                );
                let report = run(&solver, f, &truth, &x0);
                assert!(report.termination.converged(), "gradient {k}: {solver:?}\n{report}");
            }
            for k in (1..products).step_by(3) {
                let f = faulty(truth, same_value, same, |call, _: &[T], hv: &mut [T]| {
                    if call == k {
                        hv[1] = T::from_f64(bad)
                    }
                });
                let report = run(&solver, f, &truth, &x0);
                assert!(report.termination.converged(), "product {k}: {solver:?}\n{report}");
            }
        }
    }
}

#[test]
fn one_failed_evaluation_does_not_end_a_run() {
    one_failure::<f64>();
    one_failure::<f32>();
}

#[test]
fn products_that_always_fail_end_in_a_finite_point() {
    let truth = rosenbrock(4);
    let x0: Vec<f64> = truth.start();
    for solver in solvers() {
        for bad in [f64::NAN, f64::INFINITY] {
            for from in [1, 2, 20] {
                let f = faulty(truth, same_value, same, |call, _: &[f64], hv: &mut [f64]| {
                    if call >= from {
                        hv.fill(bad)
                    }
                });
                let report = run(&solver, f, &truth, &x0);
                let counts = report.counts;
                assert!(counts.values < 20_000 && counts.products < 20_000, "{solver:?} from {from}\n{report}");
                let ended = report.termination;
                assert!(
                    ended.converged() || ended == Termination::NotFinite(Evaluation::Product),
                    "{solver:?} from {from}\n{report}"
                );
            }
        }
    }
}

#[test]
fn values_and_gradients_that_exist_only_at_x0_are_named() {
    let truth = rosenbrock(4);
    let x0: Vec<f64> = truth.start();
    for solver in solvers() {
        for bad in [f64::NAN, f64::INFINITY] {
            let f = faulty(truth, |_, x: &[f64], v| if x == x0 { v } else { bad }, same, same);
            let report = run(&solver, f, &truth, &x0);
            assert_eq!(report.termination, Termination::NotFinite(Evaluation::Value), "{solver:?}\n{report}");
            assert_eq!(report.x, x0);
            assert!(report.counts.values < 250 && report.counts.products <= 8, "{solver:?}\n{report}");

            let f = faulty(
                truth,
                same_value,
                |_, x, g: &mut [f64]| {
                    if x != x0 {
                        g.fill(bad)
                    }
                },
                same,
            );
            let report = run(&solver, f, &truth, &x0);
            assert_eq!(report.termination, Termination::NotFinite(Evaluation::Gradient), "{solver:?}\n{report}");
            assert_eq!(report.x, x0);
            assert!(report.counts.gradients < 250 && report.counts.products <= 8, "{solver:?}\n{report}");
        }
    }
}

#[test]
fn a_domain_with_an_edge_is_kept() {
    // x − ln x, NaN for x ≤ 0; the Newton step from 3 leads outside.
    let edge = || separable::<f64>(2, |x| x - x.ln(), |x| 1.0 - 1.0 / x, |x| 1.0 / (x * x));
    for solver in solvers() {
        for x0 in [3.0, 1e3, 1e-2] {
            let report = run(&solver, edge(), &edge(), &[x0, 0.5 * x0]);
            assert!(report.termination.converged(), "{solver:?} from {x0}\n{report}");
            assert!(report.x.iter().all(|x| (x - 1.0).abs() < 1e-2), "{report}");
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Derivatives that are wrong

#[test]
fn a_gradient_of_wrong_sign_is_noticed() {
    let weights = [1.0, 10.0, 100.0];
    for solver in solvers() {
        let flip = |_: usize, _: &[f64], g: &mut [f64]| g.iter_mut().for_each(|g| *g = -*g);
        let f = faulty(quadratic(&weights), same_value, flip, same);
        let report = run(&solver, f, &quadratic(&weights), &[1.0, 2.0, 3.0]);
        assert_eq!(report.termination, Termination::InconsistentGradient, "{solver:?}\n{report}");
        assert!(report.counts.values < 200);

        let truth = rosenbrock(4);
        let x0: Vec<f64> = truth.start();
        let report = run(&solver, faulty(truth, same_value, flip, same), &truth, &x0);
        assert!(!report.termination.converged(), "{solver:?}\n{report}");
        assert!(report.counts.values < 200, "{solver:?}\n{report}");
    }
}

#[test]
fn a_gradient_of_twice_its_size_does_no_harm() {
    let truth = rosenbrock(4);
    let x0: Vec<f64> = truth.start();
    for solver in solvers() {
        let twice = |_: usize, _: &[f64], g: &mut [f64]| g.iter_mut().for_each(|g| *g *= 2.0);
        let report = run(&solver, faulty(truth, same_value, twice, same), &truth, &x0);
        assert!(report.counts.values < 2000, "{solver:?}\n{report}");
    }
}

#[test]
fn asymmetric_products_are_reported() {
    let truth = rosenbrock(6);
    let x0: Vec<f64> = truth.start();
    for solver in solvers() {
        for size in [0.1, 10.0, 1e3] {
            let skew = |_: usize, v: &[f64], hv: &mut [f64]| {
                for i in 0..v.len() - 1 {
                    hv[i] += size * v[i + 1];
                    hv[i + 1] -= size * v[i];
                }
            };
            let report = run(&solver, faulty(truth, same_value, same, skew), &truth, &x0);
            assert!(report.asymmetry > 0.0, "{solver:?} {size}\n{report}");
            let ended = report.termination;
            assert!(ended.converged() || ended == Termination::Asymmetric, "{solver:?} {size}\n{report}");
            assert!(report.counts.values < 100_000, "{solver:?} {size}\n{report}");
        }
    }
}

#[test]
fn products_that_say_nothing_or_lie_do_not_fool_a_run() {
    let truth = rosenbrock(4);
    let x0: Vec<f64> = truth.start();
    for mut solver in solvers() {
        solver.stopping.max_iterations = 5000;
        for factor in [0.0, -1.0, 1e-3, 1e3] {
            let scale = |_: usize, _: &[f64], hv: &mut [f64]| hv.iter_mut().for_each(|hv| *hv *= factor);
            let report = run(&solver, faulty(truth, same_value, same, scale), &truth, &x0);
            assert!(report.counts.values < 100_000, "{solver:?} {factor}\n{report}");
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Functions without a minimum, and stationary points that are none

#[test]
fn constants_and_minima_converge_at_once() {
    for solver in solvers() {
        let constant = || objective(3, |_: &[f64]| 7.0, |_, g| g.fill(0.0), |_, _, hv| hv.fill(0.0));
        let report = run(&solver, constant(), &constant(), &[1.0, 2.0, 3.0]);
        assert!(report.termination.converged(), "{report}");
        // Twenty more along a direction that f may not know, where products are looked at.
        assert!(matches!((report.counts.values, report.counts.gradients), (1 | 21, 1)), "{report}");
        assert!(report.counts.products <= 10 && report.x == [1.0, 2.0, 3.0], "{report}");

        let weights = [1.0, 10.0, 100.0];
        let report = run(&solver, quadratic(&weights), &quadratic(&weights), &[0.0; 3]);
        assert!(report.termination.converged() && report.x == [0.0; 3], "{report}");
        assert_eq!((report.counts.values, report.counts.gradients), (1, 1), "{report}");
        assert!(report.counts.products <= 10, "{report}");
    }
}

fn unbounded<T: Scalar>() {
    let x0 = [1.0, 2.0].map(T::from_f64);
    let (linear, bowl, cubic, exponential) = (
        || separable::<T>(2, |x| -x, |_| -1.0, |_| 0.0),
        || separable::<T>(2, |x| -0.5 * x * x, |x| -x, |_| -1.0),
        || separable::<T>(2, |x| x * x * x, |x| 3.0 * x * x, |x| 6.0 * x),
        || separable::<T>(2, |x| -x.exp(), |x| -x.exp(), |x| -x.exp()),
    );
    for solver in solvers() {
        let reports = [
            run(&solver, linear(), &linear(), &x0),
            run(&solver, bowl(), &bowl(), &x0),
            run(&solver, cubic(), &cubic(), &x0),
            run(&solver, exponential(), &exponential(), &x0),
        ];
        for (i, report) in reports.iter().enumerate() {
            // x³ has a stationary point at 0 that a run may approach.
            if i != 2 {
                assert_eq!(report.termination, Termination::Unbounded, "{i} {solver:?}\n{report}");
            }
            assert!(report.counts.values < 5000 && report.counts.products < 5000, "{i} {solver:?}\n{report}");
        }
        let down = [-1.0, -2.0].map(T::from_f64);
        let report = run(&solver, cubic(), &cubic(), &down);
        // In f32 the gradient leaves the range of numbers before x and f do.
        let f32_ends = T::epsilon_f64() > 1e-10 && !report.termination.converged() && report.value < -1e50;
        assert!(report.termination == Termination::Unbounded || f32_ends, "{solver:?}\n{report}");
        assert!(report.counts.values < 5000);
    }
}

#[test]
fn unbounded_functions_are_called_so() {
    unbounded::<f64>();
    unbounded::<f32>();
}

/// x² − y² + y⁴, with minima −1/4 at (0, ±1/√2) and a saddle at the origin.
fn saddle<T: Scalar>() -> impl Objective<T> {
    let c = T::from_f64;
    objective(
        2,
        |x: &[T]| {
            let (x, y): (f64, f64) = (x[0].into(), x[1].into());
            x * x - y * y + y.powi(4)
        },
        move |x: &[T], g: &mut [T]| {
            g[0] = c(2.0) * x[0];
            g[1] = c(-2.0) * x[1] + c(4.0) * x[1].powi(3);
        },
        move |x: &[T], v: &[T], hv: &mut [T]| {
            hv[0] = c(2.0) * v[0];
            hv[1] = (c(-2.0) + c(12.0) * x[1] * x[1]) * v[1];
        },
    )
}

fn saddles<T: Scalar>() {
    for solver in solvers() {
        for x0 in [[0.0, 0.0], [1.0, 0.0], [-3.0, 0.0], [1.0, 1e-6]] {
            // A Newton step hits the saddle exactly; a cubic one comes to a point near it.
            if x0[1] == 0.0 && x0[0] != 0.0 && solver.method == Method::Cubic {
                continue;
            }
            let report = run_from_saddle(&solver, saddle::<T>(), &x0.map(T::from_f64));
            assert!(report.termination.converged(), "{solver:?} from {x0:?}\n{report}");
            assert!((report.value + 0.25).abs() < 1e-5, "{solver:?} from {x0:?}\n{report}");
        }
    }
}

/// As `run`, for runs whose gradient at x0 may be zero, which leaves no tolerance to hold them to.
fn run_from_saddle<T: Scalar>(solver: &Solver, f: impl Objective<T>, x0: &[T]) -> Report<T> {
    let f = Watched::new(f);
    let report = solver.minimize(&f, x0).unwrap();
    assert_eq!(report.counts, f.calls());
    let initial = gradient_norm(&f.inner, x0);
    assert!((report.initial_gradient_norm - initial).abs() <= 1e-6 * initial, "‖g₀‖ = {initial} {solver:?}\n{report}");
    assert!(gradient_norm(&f.inner, &report.x) <= 1e-5, "{solver:?}\n{report}");
    report
}

#[test]
fn saddles_are_left() {
    saddles::<f64>();
    saddles::<f32>();
}

/// (cosh x − 1) − y² + y⁴: on y = 0 Newton's method converges to the saddle without ever hitting it exactly.
#[test]
fn a_saddle_is_left_also_from_its_stable_manifold() {
    let f = || {
        objective(
            2,
            |x: &[f64]| x[0].cosh() - 1.0 - x[1] * x[1] + x[1].powi(4),
            |x, g| {
                g[0] = x[0].sinh();
                g[1] = -2.0 * x[1] + 4.0 * x[1].powi(3);
            },
            |x, v, hv| {
                hv[0] = x[0].cosh() * v[0];
                hv[1] = (-2.0 + 12.0 * x[1] * x[1]) * v[1];
            },
        )
    };
    // The radius asks for the lowest eigenvector, which the dense path knows, already at the first step.
    {
        let solver = Solver { inner: InnerSolver::Dense, ..Solver::new(Method::TrustRegion) };
        let report = run(&solver, f(), &f(), &[1.3, 0.0]);
        assert!(report.termination.converged() && report.value < -0.24, "{solver:?}\n{report}");
    }
}

#[test]
fn an_observer_stops_also_at_a_saddle() {
    for solver in solvers() {
        let report = solver.minimize_with(&saddle::<f64>(), &[0.0, 0.0], |_| ControlFlow::Break(())).unwrap();
        assert_eq!(report.iterations(), 0, "{solver:?}\n{report}");
        assert_eq!(report.x, [0.0, 0.0], "{solver:?}\n{report}");
    }
}

#[test]
fn a_gradient_that_fails_beyond_a_saddle_is_no_error() {
    for solver in solvers() {
        let f = faulty(
            saddle::<f64>(),
            same_value,
            |call, _: &[f64], g: &mut [f64]| {
                if call == 2 {
                    g[0] = f64::NAN
                }
            },
            same,
        );
        let report = solver.minimize(&f, &[0.0, 0.0]);
        assert!(report.is_ok(), "{solver:?} {report:?}");
        assert!(report.unwrap().x.iter().all(|x| x.is_finite()));
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Degenerate curvature, scales, noise

fn degenerate<T: Scalar>() {
    let quartic = || separable::<T>(3, |x| x.powi(4), |x| 4.0 * x.powi(3), |x| 12.0 * x * x);
    // −x + x⁴: no curvature at 0, minimum at 4^(−1/3).
    let flat_start = || separable::<T>(3, |x| x.powi(4) - x, |x| 4.0 * x.powi(3) - 1.0, |x| 12.0 * x * x);
    // (x₀ + x₁ + x₂ − 1)⁴ + (x₀ + x₁ + x₂)²: flat in two directions.
    let valley = || {
        let sum = |x: &[T]| -> f64 { x.iter().map(|&x| Into::<f64>::into(x)).sum() };
        objective(
            3,
            move |x: &[T]| (sum(x) - 1.0).powi(4) + sum(x).powi(2),
            move |x: &[T], g: &mut [T]| g.fill(T::from_f64(4.0 * (sum(x) - 1.0).powi(3) + 2.0 * sum(x))),
            move |x: &[T], v: &[T], hv: &mut [T]| {
                hv.fill(T::from_f64((12.0 * (sum(x) - 1.0).powi(2) + 2.0) * sum(v)));
            },
        )
    };
    for solver in solvers() {
        let start = [1.0, -2.0, 0.5].map(T::from_f64);
        let reports = [
            run(&solver, quartic(), &quartic(), &start),
            run(&solver, flat_start(), &flat_start(), &[T::zero(); 3]),
            run(&solver, flat_start(), &flat_start(), &start),
            run(&solver, valley(), &valley(), &start),
        ];
        for (i, report) in reports.iter().enumerate() {
            assert!(report.termination.converged(), "{i} {solver:?} {:?}\n{report:#}", report.x);
            // Directions without curvature are no reason to go far.
            let far = report.x.iter().any(|x| x.abs() > T::from_f64(100.0));
            assert!(!far, "{i} {solver:?} {:?}\n{report:#}", report.x);
            assert!(report.iterations() < 200, "{i} {solver:?}\n{report}");
        }
    }
}

#[test]
fn degenerate_hessians_are_no_obstacle() {
    degenerate::<f64>();
    degenerate::<f32>();
}

/// c · f(x / u).
fn rescaled(c: f64, u: f64) -> impl Objective<f64> {
    let f = rosenbrock(8);
    let at = move |x: &[f64]| x.iter().map(|x| x / u).collect::<Vec<f64>>();
    objective(
        8,
        move |x: &[f64]| c * f.value(&at(x)),
        move |x: &[f64], g: &mut [f64]| {
            f.expand(&at(x)).gradient(g);
            g.iter_mut().for_each(|g| *g *= c / u);
        },
        move |x: &[f64], v: &[f64], hv: &mut [f64]| {
            f.expand(&at(x)).apply(v, hv);
            hv.iter_mut().for_each(|hv| *hv *= c / u / u);
        },
    )
}

#[test]
fn units_do_not_matter() {
    for solver in solvers() {
        let start: Vec<f64> = rosenbrock(8).start();
        let plain = run(&solver, rescaled(1.0, 1.0), &rescaled(1.0, 1.0), &start);
        assert!(plain.termination.converged(), "{plain}");
        for c in [1e-12, 1.0, 1e12] {
            for u in [1e-8, 1.0, 1e8] {
                let x0: Vec<f64> = start.iter().map(|x| u * x).collect();
                let report = run(&solver, rescaled(c, u), &rescaled(c, u), &x0);
                assert!(report.termination.converged(), "{c} {u} {solver:?}\n{report}");
                let (found, expected) = (report.iterations(), plain.iterations());
                assert!(found <= 2 * expected && expected <= 2 * found, "{c} {u} {found} {expected} {solver:?}");
            }
        }
    }
}

fn one_unknown<T: Scalar>() {
    let f = || separable::<T>(1, |x| x.cosh() + 0.5 * x, |x| x.sinh() + 0.5, |x| x.cosh());
    for solver in solvers() {
        let report = run(&solver, f(), &f(), &[T::from_f64(3.0)]);
        assert!(report.termination.converged() && report.counts.products < 40, "{report}");
    }
}

#[test]
fn one_unknown_is_enough() {
    one_unknown::<f64>();
    one_unknown::<f32>();
}

#[test]
fn noise_ends_a_run_and_does_not_hang_it() {
    let truth = rosenbrock(6);
    let x0: Vec<f64> = truth.start();
    // A large constant makes the noise absolute near the minimum.
    for (offset, noise) in [(0.0, 1e-13), (1.0, 1e-13), (1e3, 1e-13), (1e3, 1e-10)] {
        for mut solver in solvers() {
            solver.stopping.gradient_relative = 1e-15;
            let shaken = |_: usize, x: &[f64], v: f64| {
                let hash = x.iter().fold(17_u64, |h, x| (h ^ x.to_bits()).wrapping_mul(0x9E37_79B9_7F4A_7C15));
                (v + offset) * (1.0 + noise * ((hash >> 11) as f64 / (1_u64 << 52) as f64 - 1.0))
            };
            let f = faulty(truth, shaken, same, same);
            let report = run(&solver, f, &truth, &x0);
            assert!(report.counts.values < 2000 && report.counts.products < 5000, "{solver:?}\n{report}");
            assert!(
                report.gradient_norm < 1e-2 * report.initial_gradient_norm,
                "{offset} {noise} {solver:?}\n{report}"
            );
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Ends

#[test]
fn an_observer_stops_at_the_best_point() {
    let truth = rosenbrock(10);
    let x0: Vec<f64> = truth.start();
    for solver in solvers() {
        for stop_at in [0, 1, 5] {
            let best = RefCell::new((f64::INFINITY, vec![]));
            let seen = Cell::new(0);
            let report = solver
                .minimize_with(&truth, &x0, |progress| {
                    assert_eq!(progress.iteration, seen.get());
                    assert_eq!(progress.value, truth.value(progress.x));
                    assert_eq!(progress.last.is_some(), progress.iteration > 0);
                    seen.set(seen.get() + 1);
                    let mut best = best.borrow_mut();
                    if progress.value < best.0 {
                        *best = (progress.value, progress.x.to_vec());
                    }
                    if progress.iteration == stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })
                .unwrap();
            assert_eq!(report.termination, Termination::Observer, "{report}");
            assert_eq!((report.value, report.x.clone()), best.into_inner(), "{report}");
            assert_eq!(report.iterations(), stop_at);
        }
    }
}

#[test]
fn the_lowest_point_tried_is_reported() {
    let truth = rosenbrock(2);
    let x0: Vec<f64> = truth.start();
    let start = truth.value(&x0);
    for method in METHODS {
        // The only trial lowers f, though too little to be taken.
        let little = |call: usize, _: &[f64], value: f64| if call == 2 { start * (1.0 - 1e-6) } else { value };
        let stopping = Stopping { max_values: 2, ..Stopping::default() };
        let solver = Solver { stopping, ..Solver::new(method) };
        let report = solver.minimize(&faulty(&truth, little, same, same), &x0).unwrap();
        assert_eq!(report.termination, Termination::MaxValues);
        assert!(report.value == start * (1.0 - 1e-6) && report.x != x0, "{solver:?}: {report}");
        assert!(report.gradient_norm.is_nan());

        // It is taken, and the run is cancelled before the gradient there.
        let stopping = Stopping::default();
        let lowest = Cell::new(start);
        let cancelling = |call: usize, _: &[f64], value: f64| {
            if call > 1 {
                stopping.cancellation.cancel();
            }
            lowest.set(lowest.get().min(value));
            value
        };
        let solver = Solver { stopping: stopping.clone(), ..Solver::new(method) };
        let report = solver.minimize(&faulty(&truth, cancelling, same, same), &x0).unwrap();
        assert_eq!(report.termination, Termination::Cancelled);
        assert!(report.value == lowest.get() && lowest.get() < start, "{solver:?}: {report}");
        assert_eq!(report.value, truth.value(&report.x));
    }
}

#[test]
fn time_is_kept() {
    let truth = rosenbrock(1000);
    let x0: Vec<f64> = truth.start();
    for method in METHODS {
        for milliseconds in [0, 30] {
            let mut solver = Solver { inner: InnerSolver::Krylov, ..Solver::new(method) };
            solver.stopping.max_time = Duration::from_millis(milliseconds);
            let slow = |_: usize, _: &[f64], _: &mut [f64]| std::thread::sleep(Duration::from_millis(2));
            let report = run(&solver, faulty(truth, same_value, same, slow), &truth, &x0);
            assert_eq!(report.termination, Termination::MaxTime, "{report}");
            assert!(report.counts.products <= 30, "{report}");
        }
    }
}

#[test]
fn target_step_and_decrease_tests_are_reached() {
    let truth = rosenbrock(3);
    let x0: Vec<f64> = truth.start();
    for solver in solvers() {
        let with = |stopping: Stopping| run(&Solver { stopping, ..solver.clone() }, truth, &truth, &x0);
        let report = with(Stopping { target_value: 1.0, ..Stopping::default() });
        assert_eq!(report.termination, Termination::TargetValue, "{report}");
        assert!(report.value <= 1.0 && report.history.iter().rev().skip(1).all(|i| i.value > 1.0), "{report}");

        let report = with(Stopping { step: 1e-2, ..Stopping::default() });
        assert_eq!(report.termination, Termination::StepTolerance, "{report}");
        assert!(report.history.last().unwrap().step_norm <= 1e-2 * norm(&report.x), "{report}");

        let report = with(Stopping { decrease: 0.5, ..Stopping::default() });
        assert_eq!(report.termination, Termination::DecreaseTolerance, "{report}");
        let values: Vec<f64> =
            std::iter::once(report.initial_value).chain(report.history.iter().map(|i| i.value)).collect();
        let [.., before, after] = values[..] else { panic!() };
        assert!(before - after <= 0.5 * after.abs(), "{report}");
    }
}

#[test]
fn a_dirty_gradient_ends_truthfully() {
    // Near the minimum the gradient's noise is far above the tolerance. Where it is within the rounding of f all the same,
    // `run` holds a claim against the truth.
    let weights = [1.0, 10.0, 100.0];
    for mut solver in solvers() {
        solver.stopping.gradient_relative = 1e-14;
        let dirt = |call: usize, _: &[f64], g: &mut [f64]| {
            g.iter_mut().enumerate().for_each(|(i, g)| *g += 1e-5 * ((call * 37 + i * 11) as f64).sin());
        };
        let f = faulty(quadratic(&weights), |_, _: &[f64], v| v + 1e6, dirt, same);
        let report = run(&solver, f, &quadratic(&weights), &[1.0, 2.0, 3.0]);
        let ended = report.termination;
        let fits = matches!(ended, Termination::Stalled | Termination::InconsistentGradient);
        assert!(fits || ended.converged(), "{solver:?}\n{report}");
        assert!(report.counts.values < 1000, "{report}");
    }
}

#[test]
fn a_stall_with_asymmetric_products_is_named() {
    let truth = rosenbrock(6);
    let x0: Vec<f64> = truth.start();
    for mut solver in solvers() {
        solver.stopping.gradient_relative = 1e-15;
        let dirt = |call: usize, _: &[f64], g: &mut [f64]| {
            g.iter_mut().enumerate().for_each(|(i, g)| *g += 1e-5 * ((call * 37 + i * 11) as f64).sin());
        };
        let skew = |_: usize, v: &[f64], hv: &mut [f64]| {
            for i in 0..v.len() - 1 {
                hv[i] += 100.0 * v[i + 1];
                hv[i + 1] -= 100.0 * v[i];
            }
        };
        let report = run(&solver, faulty(truth, |_, _: &[f64], v| v + 1e6, dirt, skew), &truth, &x0);
        assert_eq!(report.termination, Termination::Asymmetric, "{solver:?}\n{report}");
        assert!(report.asymmetry > 1e-3, "{solver:?}\n{report}");
    }
}

#[test]
fn every_termination_has_advice_and_a_name() {
    use Termination::*;
    let all = [
        GradientTolerance,
        StepTolerance,
        DecreaseTolerance,
        TargetValue,
        MaxIterations,
        MaxValues,
        MaxGradients,
        MaxProducts,
        MaxTime,
        Observer,
        Unbounded,
        Stalled,
        InconsistentGradient,
        NotFinite(Evaluation::Value),
        NotFinite(Evaluation::Gradient),
        NotFinite(Evaluation::Product),
        Asymmetric,
    ];
    for (i, a) in all.iter().enumerate() {
        assert!(!a.advice().is_empty() && !a.to_string().is_empty());
        assert_eq!(a.converged(), *a == GradientTolerance);
        assert!(all[..i].iter().all(|b| a.to_string() != b.to_string()));
    }
}

#[test]
fn products_at_every_point_failing_is_named() {
    // With products, and the memory of them, useless from the start and f steep, the run has nothing to go by.
    let truth = rosenbrock(30);
    let x0: Vec<f64> = truth.start();
    for method in METHODS {
        let solver = Solver { memory: Memory::Forgetful(60), inner: InnerSolver::Krylov, ..Solver::new(method) };
        let f = faulty(truth, same_value, same, |_, _: &[f64], hv: &mut [f64]| hv.fill(f64::NAN));
        let report = run(&solver, f, &truth, &x0);
        assert_eq!(report.termination, Termination::NotFinite(Evaluation::Product), "{report}");
        assert!(report.value < report.initial_value, "{report}");
    }
}

#[test]
fn overflowing_functions_end() {
    // Exponentials that overflow a short way from here.
    for number in [6, 10, 17, 18] {
        let truth = MoreGarbowHillstrom::all()[number - 1];
        for factor in [10.0, 100.0] {
            let x0: Vec<f64> = truth.scaled_start(factor);
            let usable = truth.value(&x0).is_finite() && gradient_norm(&truth, &x0).is_finite();
            for mut solver in solvers().into_iter().filter(|_| usable) {
                solver.stopping.max_iterations = 2000;
                run(&solver, truth, &truth, &x0);
            }
        }
    }
}
