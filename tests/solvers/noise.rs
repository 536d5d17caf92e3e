//! Values with more noise than their rounding, as where terms cancel or an inner iteration computes them: gradients go on.

use newton_krylov::problems::{ChainedRosenbrock, MoreGarbowHillstrom};
use newton_krylov::{Expansion, Lbfgs, Objective, SymmetricOperator, objective};

use crate::ordinary::second_order;

/// f + 1, and noise of this share of it, the same at the same x.
fn noisy(f: &ChainedRosenbrock, noise: f64) -> impl Objective<f64> + '_ {
    let shaken = move |x: &[f64]| {
        let hash = x.iter().fold(17_u64, |hash, x| {
            let mixed = (hash ^ x.to_bits()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            mixed ^ (mixed >> 29)
        });
        (f.value(x) + 1.0) * (1.0 + noise * ((hash >> 11) as f64 / (1_u64 << 52) as f64 - 1.0))
    };
    objective(
        Objective::<f64>::dim(f),
        shaken,
        move |x: &[f64], g: &mut [f64]| f.expand(x).gradient(g),
        move |x: &[f64], v: &[f64], hv: &mut [f64]| f.expand(x).apply(v, hv),
    )
}

#[test]
fn gradients_go_on_where_values_are_noise() {
    for n in [2, 6, 20] {
        let f = ChainedRosenbrock::new(n).unwrap();
        for noise in [1e-13, 1e-12, 1e-11, 1e-10, 1e-9] {
            let shaken = noisy(&f, noise);
            for (solver, report) in second_order(&shaken, &vec![0.5; n]) {
                assert!(report.termination.converged(), "{n}, {noise}, {solver}: {report}");
                assert!(f.value(&report.x) < 1e-14, "{n}, {noise}, {solver}: {}", f.value(&report.x));
                let again = second_order(&shaken, &report.x).into_iter().find(|again| again.0 == solver).unwrap().1;
                let at_once = again.termination.converged() && again.iterations() <= 2;
                assert!(at_once, "{n}, {noise}, {solver}, again: {again}");
            }
        }
    }
}

/// The line search of L-BFGS sees it between the slopes at both ends of a trial, without a further call.
#[test]
fn a_line_search_goes_on_by_slopes() {
    for n in [2, 6, 20] {
        let f = ChainedRosenbrock::new(n).unwrap();
        for noise in [1e-13, 1e-12, 1e-11, 1e-10, 1e-9] {
            let report = Lbfgs::default().minimize(&noisy(&f, noise), &vec![0.5; n]).unwrap();
            assert!(report.termination.converged() && f.value(&report.x) < 1e-10, "{n}, {noise}: {report}");
            assert!(report.counts.values < 20 * report.iterations().max(10), "{n}, {noise}: {report}");
        }
    }
    // Rounding of terms 10⁷ times as large as f.
    let report = Lbfgs::default().minimize(&MoreGarbowHillstrom::all()[8], &[0.4, 1.0, 0.0]).unwrap();
    assert!(report.termination.converged() && report.counts.values < 30, "{report}");
}

/// Sums of squares of residuals that cancel to 10⁻⁴ of their terms.
#[test]
fn sums_that_cancel_converge() {
    for n in [60, 100, 150] {
        let problem = MoreGarbowHillstrom::new(26, n).unwrap();
        for (solver, report) in second_order(&problem, &problem.start()) {
            assert!(report.termination.converged(), "{n}, {solver}: {report}");
        }
    }
}

/// Gradients of another function, whose minimum is 10⁻³ away: what values say against them is no noise.
#[test]
fn a_wrong_gradient_is_no_noise() {
    let f = objective(
        3,
        |x: &[f64]| 1.0 + x.iter().map(|x| (x - 1.0).powi(2)).sum::<f64>(),
        |x: &[f64], g: &mut [f64]| (0..3).for_each(|i| g[i] = 2.0 * (x[i] - 1.001)),
        |_: &[f64], v: &[f64], hv: &mut [f64]| (0..3).for_each(|i| hv[i] = 2.0 * v[i]),
    );
    for (solver, report) in second_order(&f, &[1.0001, 1.0, 1.0]) {
        assert!(!report.termination.converged(), "{solver}: {report}");
    }
}
