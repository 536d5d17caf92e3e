//! Default options on the reference problems: all are solved, to published minima, at no more than a known cost.

use std::ops::ControlFlow;

use crate::common::{METHODS, Method, Solver, Watched};
use newton_krylov::problems::{ChainedRosenbrock, MoreGarbowHillstrom};
use newton_krylov::{CubicRegularization, Expansion, Objective, Report, Scalar, Stopping, TrustRegion};

fn gradient_norm<T: Scalar>(f: &impl Objective<T>, x: &[T]) -> f64 {
    let mut g = vec![T::zero(); x.len()];
    f.expand(x).gradient(&mut g);
    g.iter().map(|&g| g.into()).map(|g: f64| g * g).sum::<f64>().sqrt()
}

/// A run until ‖g‖ ≤ 1e-6 max(1, ‖g₀‖), and values + gradients + 2·products up to there if it got there.
fn cost(method: Method, problem: &MoreGarbowHillstrom, factor: f64) -> Option<(Report<f64>, usize)> {
    let x0: Vec<f64> = problem.scaled_start(factor);
    let mut solver = Solver::new(method);
    solver.stopping.max_iterations = 5000;
    let mut tolerance = f64::NAN;
    let mut found = None;
    let watched = Watched::new(*problem);
    let report = solver
        .minimize_with(&watched, &x0, |progress| {
            if progress.iteration == 0 {
                tolerance = 1e-6 * progress.gradient_norm.max(1.0);
            }
            if progress.gradient_norm <= tolerance {
                let counts = progress.counts;
                found = Some(counts.values + counts.gradients + 2 * counts.products);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })
        .ok()?;
    assert_eq!(report.counts, watched.calls());
    let found = found?;
    assert!(gradient_norm(problem, &report.x) <= tolerance);
    Some((report, found))
}

#[test]
fn all_standard_starts_are_solved_at_a_known_cost() {
    // The geometric mean of the cost, which no single problem dominates: 46.0, 53.7 and 52.2 measured, and 10 % more.
    // The total besides, 15 % above what was measured; for the line search Brown badly scaled alone exceeds it (2,276).
    let totals = [Some(2719), None, Some(2967)];
    for ((method, most), most_in_all) in METHODS.into_iter().zip([50.6, 59.1, 57.4]).zip(totals) {
        let mut total = 0;
        let (mut logarithms, mut count) = (0.0_f64, 0.0_f64);
        for problem in MoreGarbowHillstrom::all() {
            let Some((_, cost)) = cost(method, &problem, 1.0) else { panic!("{method:?} fails on {problem}") };
            println!("{method:?} {cost:>6} {problem}");
            total += cost;
            logarithms += (cost as f64).ln();
            count += 1.0;
        }
        let mean = (logarithms / count).exp();
        println!("{method:?} mean {mean:.1}");
        assert!(
            most_in_all.is_none_or(|most| total <= most),
            "{method:?}: cost {total}, at most {most_in_all:?} so far"
        );
        assert!(mean <= most, "{method:?}: mean cost {mean}, at most {most} so far");
    }
}

#[test]
fn runs_end_at_published_minima() {
    for problem in MoreGarbowHillstrom::all() {
        let x0: Vec<f64> = problem.start();
        let report = TrustRegion::default().minimize(&problem, &x0).unwrap();
        assert!(report.gradient_norm <= 1e-6 * report.initial_gradient_norm.max(1.0), "{problem}\n{report}");
        // From a gradient of 1e11 (Meyer) the default tolerance is still far from the digits of the paper.
        let stopping = Stopping { gradient_relative: 0.0, gradient_absolute: 1e-6, ..Stopping::default() };
        let report = TrustRegion { stopping, ..TrustRegion::default() }.minimize(&problem, &x0).unwrap();
        let minima = problem.minima();
        // Trigonometric has a second minimum that the paper does not list.
        let other = if problem.number() == 26 { 2.795056e-5 } else { f64::NAN };
        let near = (report.value - other).abs() < 1e-9;
        let near = near || minima.iter().any(|m| (report.value - m.value).abs() <= 1e-5 * m.value.abs() + 1e-6);
        assert!(minima.is_empty() || near, "{problem}: {} is none of {minima:?}\n{report}", report.value);
    }
}

#[test]
fn nine_of_ten_far_starts_are_solved() {
    for method in METHODS {
        let (mut solved, mut usable, mut failed) = (0, 0, vec![]);
        for problem in MoreGarbowHillstrom::all() {
            for factor in [10.0, 100.0] {
                let x0: Vec<f64> = problem.scaled_start(factor);
                if !(problem.value(&x0).is_finite() && gradient_norm(&problem, &x0).is_finite()) {
                    continue; // exponentials overflow
                }
                usable += 1;
                match cost(method, &problem, factor) {
                    Some(_) => solved += 1,
                    None => failed.push(format!("{problem} × {factor}")),
                }
            }
        }
        println!("{method:?}: {solved} of {usable}, not {failed:?}");
        assert!(usable >= 60 && 10 * solved >= 9 * usable, "{method:?}: {solved} of {usable}, not {failed:?}");
    }
}

/// From x₀ to the minimum the Hessian falls by 10⁹: products lie in what is remembered, to rounding.
#[test]
fn a_large_penalty_function_is_solved_from_where_its_hessian_is_a_billion_times_larger() {
    for factor in [1.0, 10.0] {
        let problem = MoreGarbowHillstrom::new(23, 1000).unwrap();
        let report = TrustRegion::default().minimize(&problem, &problem.scaled_start::<f64>(factor)).unwrap();
        assert!(report.termination.converged() && (report.value - 9.686175e-3).abs() < 1e-8, "{report}");
    }
}

/// From Hessians of 10²⁰⁰, beside which all later ones are nothing, remembered curvature has steps that promise nothing.
#[test]
fn remembered_steps_that_promise_nothing_do_not_end_a_run() {
    let problem = MoreGarbowHillstrom::new(27, 60).unwrap();
    let report = CubicRegularization::default().minimize(&problem, &problem.scaled_start::<f64>(100.0)).unwrap();
    assert!(report.termination.converged() && report.value < 1e-9, "{report}");
}

#[test]
fn a_long_valley_takes_a_bounded_number_of_products() {
    let problem = ChainedRosenbrock::new(100).unwrap();
    let x0: Vec<f64> = problem.start();
    // Measured and 15 % more.
    for (method, most) in METHODS.into_iter().zip([728, 830, 732]) {
        let report = Solver::new(method).minimize(&problem, &x0).unwrap();
        println!("{method:?}: {}", report.counts);
        assert!(report.termination.converged(), "{report}");
        assert!(gradient_norm(&problem, &report.x) <= 1e-8 * gradient_norm(&problem, &x0) * 1.001);
        assert!(report.counts.products <= most, "{method:?}: {}", report.counts);
    }
}

#[test]
fn extended_rosenbrock_in_f32() {
    let problem = MoreGarbowHillstrom::new(21, 1000).unwrap();
    for method in METHODS {
        let report = Solver::new(method).minimize(&problem, &problem.start::<f32>()).unwrap();
        assert!(report.termination.converged(), "{report}");
        assert!(gradient_norm(&problem, &report.x) <= 1e-6 * report.initial_gradient_norm);
        assert!(report.x.iter().all(|x| (x - 1.0).abs() < 1e-2), "{report}");
        assert!(report.counts.products < 200, "{report}");
    }
}
