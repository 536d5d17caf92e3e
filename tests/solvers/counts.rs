//! Reported counts are the calls that were made, and a step that is rejected or lengthened costs no product.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;

use crate::common::{METHODS, Method, Solver, Watched};
use newton_krylov::problems::{ChainedRosenbrock, MoreGarbowHillstrom};
use newton_krylov::{
    InnerSolver, Lbfgs, Memory, Objective, Stopping, Termination, TrustRegion, differences::Difference, objective,
    objective_from_gradient, operators::Counted, steps::InnerStop,
};

#[test]
fn counts_are_exact_on_both_paths() {
    for method in METHODS {
        for inner in [InnerSolver::Automatic, InnerSolver::Krylov, InnerSolver::Dense] {
            for memory in [Memory::Automatic, Memory::Vectors(24), Memory::Forgetful(60)] {
                let solver = Solver { inner, memory, ..Solver::new(method) };
                for problem in MoreGarbowHillstrom::all().into_iter().step_by(3) {
                    let watched = Watched::new(problem);
                    let x0: Vec<f64> = problem.start();
                    let mut seen = vec![];
                    let report = solver
                        .minimize_with(&watched, &x0, |progress| {
                            assert_eq!(progress.counts, watched.calls());
                            seen.push(progress.counts);
                            if progress.iteration == 200 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                        })
                        .unwrap();
                    assert_eq!(report.counts, watched.calls(), "{problem} {solver:?}");
                    assert!(seen.windows(2).all(|s| s[0].values < s[1].values && s[0].products <= s[1].products));
                    // The library's own counter agrees when it is put around an objective.
                    let counted = Counted::new(problem);
                    let again = solver
                        .minimize_with(&counted, &x0, |progress| {
                            if progress.iteration == 200 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                        })
                        .unwrap();
                    assert_eq!(again.counts, counted.counts(), "{problem} {solver:?}");
                    assert_eq!(again.counts, report.counts, "a run repeats itself: {problem} {solver:?}");
                }
            }
        }
    }
}

#[test]
fn the_history_accounts_for_every_product() {
    for method in METHODS {
        for inner in [InnerSolver::Krylov, InnerSolver::Dense] {
            for problem in [21, 14, 25, 18, 22].map(|number| MoreGarbowHillstrom::all()[number - 1]) {
                let solver = Solver { inner, ..Solver::new(method) };
                let report = solver.minimize(&problem, &problem.start::<f64>()).unwrap();
                if report.termination.converged() && report.gradient_norm > 0.0 {
                    let sum: usize = report.history.iter().map(|i| i.products).sum();
                    // What the last point's products promised ended the run.
                    assert!(sum <= report.counts.products, "{problem} {solver:?}");
                    // One or two more, where it was asked whether f falls on at the end of a trial, or whether it is noise.
                    let gradients = report.iterations() + 1;
                    assert!(report.counts.gradients - gradients <= 2, "{problem} {solver:?}");
                }
            }
        }
    }
}

/// Calls in the order in which they were made: f, g, or H.
struct Order<O> {
    inner: O,
    calls: RefCell<String>,
}

struct OrderAt<'a, E> {
    inner: E,
    calls: &'a RefCell<String>,
}

impl<T, O: Objective<T>> Objective<T> for Order<O> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn value(&self, x: &[T]) -> f64 {
        self.calls.borrow_mut().push('f');
        self.inner.value(x)
    }
    fn expand<'a>(&'a self, x: &'a [T]) -> impl newton_krylov::Expansion<T> + 'a {
        OrderAt { inner: self.inner.expand(x), calls: &self.calls }
    }
}

impl<T, E: newton_krylov::SymmetricOperator<T>> newton_krylov::SymmetricOperator<T> for OrderAt<'_, E> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.calls.borrow_mut().push('H');
        self.inner.apply(v, out);
    }
}

impl<T, E: newton_krylov::Expansion<T>> newton_krylov::Expansion<T> for OrderAt<'_, E> {
    fn value(&self) -> f64 {
        self.calls.borrow_mut().push('f');
        self.inner.value()
    }
    fn gradient(&self, out: &mut [T]) {
        self.calls.borrow_mut().push('g');
        self.inner.gradient(out);
    }
}

/// Where the space is the whole one, all products of a point come before its first value, whatever becomes of the steps.
#[test]
fn rejected_and_lengthened_steps_cost_no_product() {
    for method in METHODS {
        let (mut rejected, mut lengthened) = (0, 0);
        for problem in MoreGarbowHillstrom::all().into_iter().filter(|p| p.unknowns() <= 4) {
            for factor in [1.0, 10.0] {
                for inner in [InnerSolver::Krylov, InnerSolver::Dense] {
                    let f = Order { inner: problem, calls: RefCell::default() };
                    let x0: Vec<f64> = problem.scaled_start(factor);
                    // Nothing remembered: every step is taken from products at its own point.
                    let mut solver = Solver { inner, memory: Memory::Forgetful(60), ..Solver::new(method) };
                    solver.stopping.max_iterations = 300;
                    let Ok(report) = solver.minimize(&f, &x0) else { continue };
                    let n = problem.unknowns();
                    for i in &report.history {
                        // Twice, where a start that may have been a minimum was looked at; and in units of its own, if singular.
                        assert!(
                            i.inner != InnerStop::Remembered && i.products <= 3 * n,
                            "{problem} {solver:?}\n{report:#}"
                        );
                    }
                    rejected += report.history.iter().map(|i| i.rejected).sum::<usize>();
                    for point in f.calls.into_inner().split('g').skip(1) {
                        let products = point.matches('H').count();
                        assert!(products <= 3 * n + 1, "{problem} {solver:?}: {point}");
                        let values = point.matches('f').count();
                        if products == n && values > 1 {
                            lengthened += values - 1;
                            let first = point.find('f').unwrap();
                            let all_first = point[first..].matches('H').count();
                            assert!(all_first == 0 || point[..first].matches('H').count() < n, "{problem}: {point}");
                        }
                    }
                }
            }
        }
        assert!(rejected >= 10, "{method:?}: only {rejected} rejected steps to look at");
        assert!(lengthened >= 30, "{method:?}: only {lengthened} further values to look at");
    }
}

/// A long way through rejected and lengthened steps; a shorter step asks the space for less, never for a product.
#[test]
fn a_rejection_in_a_large_space_costs_no_product() {
    let problem = ChainedRosenbrock::new(40).unwrap();
    for method in [Method::TrustRegion, Method::Cubic] {
        let f = Order { inner: problem, calls: RefCell::default() };
        let solver = Solver { inner: InnerSolver::Krylov, memory: Memory::Forgetful(200), ..Solver::new(method) };
        let report = solver.minimize(&f, &problem.start::<f64>()).unwrap();
        assert!(report.termination.converged(), "{report}");
        assert!(report.history.iter().any(|i| i.rejected > 0));
        for (point, iteration) in f.calls.into_inner().split('g').skip(1).zip(&report.history) {
            if iteration.rejected > 0 && !point.starts_with('f') {
                // After rejections alone the step can only have become shorter.
                let values = point.matches('f').count();
                if values == iteration.rejected + 1 {
                    let first = point.find('f').unwrap();
                    assert!(!point[first..].contains('H'), "{point} {iteration:?}");
                }
            }
        }
    }
}

/// HUMPS of CUTEst: a shallow bowl under waves of length 0.3, from a thousand waves away.
#[test]
fn waves_on_the_way_do_not_set_the_length_of_steps() {
    let f = objective(
        2,
        |x: &[f64]| 0.05 * (x[0] * x[0] + x[1] * x[1]) + ((20.0 * x[0]).sin() * (20.0 * x[1]).sin()).powi(2),
        |x, g| {
            let ([a, b], [c, d]) = (waves(x[0]), waves(x[1]));
            g.copy_from_slice(&[0.1 * x[0] + b * c, 0.1 * x[1] + a * d]);
        },
        |x, v, hv| {
            let ([a, b], [c, d]) = (waves(x[0]), waves(x[1]));
            hv[0] = (0.1 + 800.0 * (1.0 - 2.0 * a) * c) * v[0] + b * d * v[1];
            hv[1] = b * d * v[0] + (0.1 + 800.0 * (1.0 - 2.0 * c) * a) * v[1];
        },
    );
    /// sin² 20x and its derivative.
    fn waves(x: f64) -> [f64; 2] {
        [(20.0 * x).sin().powi(2), 20.0 * (40.0 * x).sin()]
    }
    let report = TrustRegion::default().minimize(&f, &[-506.0, -506.2]).unwrap();
    let counts = report.counts;
    let calls = counts.values + counts.gradients + 2 * counts.products;
    // 2,130 where only steps that are predicted well are lengthened.
    assert!(report.termination.converged() && calls < 500, "{}: {counts}", report.termination);
}

/// A product by differences takes one gradient or two, and is not begun where that would pass the limit of gradients.
#[test]
fn gradients_that_products_take_keep_to_their_limit() {
    let made = Cell::new(0);
    let value = |x: &[f64]| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2);
    let gradient = |x: &[f64], g: &mut [f64]| {
        made.set(made.get() + 1);
        let across = 200.0 * (x[1] - x[0] * x[0]);
        g.copy_from_slice(&[2.0 * (x[0] - 1.0) - 2.0 * x[0] * across, across]);
    };
    for difference in [Difference::Forward, Difference::Central] {
        let f = objective_from_gradient(2, value, gradient, difference);
        for (most, x0) in (1..=40).flat_map(|most| [(most, [-1.2, 1.0]), (most, [1.0, 1.0])]) {
            let stopping = Stopping { max_gradients: most, ..Stopping::default() };
            let examine = |name: String, report: newton_krylov::Result<newton_krylov::Report<f64>>| {
                let report = report.unwrap();
                assert_eq!(report.counts.gradients, made.replace(0), "{name}");
                assert!(report.counts.gradients <= most, "{name}, {difference:?}: {} of {most}", report.counts);
                let told = report.termination == Termination::MaxGradients || report.termination.converged();
                assert!(told, "{name}, {difference:?}, {most}: {}", report.termination);
            };
            for method in METHODS {
                let solver = Solver { stopping: stopping.clone(), ..Solver::new(method) };
                examine(format!("{method:?}"), solver.minimize(&f, &x0));
            }
            examine("L-BFGS".into(), Lbfgs { stopping, ..Lbfgs::default() }.minimize(&f, &x0));
        }
    }
}
