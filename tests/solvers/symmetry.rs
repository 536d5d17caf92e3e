//! Symmetric problems: freedoms that f does not know, and unknowns that it treats alike, given the same start.

use newton_krylov::differences::Difference;
use newton_krylov::{Objective, Report, Termination, objective, objective_from_gradient};

use crate::ordinary::{all, second_order};

/// Converged at this value.
fn check(name: &str, reports: impl IntoIterator<Item = (&'static str, Report<f64>)>, right: f64, within: f64) {
    for (solver, report) in reports {
        assert!(report.termination.converged(), "{name}, {solver}: {report}");
        assert!((report.value - right).abs() <= within, "{name}, {solver}: {report}");
    }
}

/// Marks of d players from results of all against all, Σ wᵢⱼ ln(1 + e^{xⱼ−xᵢ}) (Bradley & Terry 1952), wᵢⱼ = 40/(1 + e^{cⱼ−cᵢ})
/// with c = sin i: minimal at x = c, and wherever all marks are larger by the same.
fn marks(d: usize) -> impl Objective<f64> {
    let share = |z: f64| 1.0 / (1.0 + z.exp());
    let w = move |i: usize, j: usize| if i == j { 0.0 } else { 40.0 * share((j as f64).sin() - (i as f64).sin()) };
    let pairs = move || (0..d).flat_map(move |i| (0..d).map(move |j| (i, j)));
    objective(
        d,
        move |x: &[f64]| pairs().map(|(i, j)| w(i, j) * (x[j] - x[i]).exp().ln_1p()).sum::<f64>(),
        move |x: &[f64], g: &mut [f64]| {
            g.fill(0.0);
            for (i, j) in pairs() {
                let slope = w(i, j) * (1.0 - share(x[j] - x[i]));
                (g[i], g[j]) = (g[i] - slope, g[j] + slope);
            }
        },
        move |x: &[f64], v: &[f64], hv: &mut [f64]| {
            hv.fill(0.0);
            for (i, j) in pairs() {
                let p = share(x[j] - x[i]);
                let bend = w(i, j) * p * (1.0 - p) * (v[j] - v[i]);
                (hv[i], hv[j]) = (hv[i] - bend, hv[j] + bend);
            }
        },
    )
}

#[test]
fn where_a_freedom_remains_a_restart_ends_at_once() {
    for d in [3, 5, 7, 10, 14] {
        let f = marks(d);
        for x0 in [vec![0.0; d], (0..d).map(|i| 3.0 + (5 * i) as f64).collect()] {
            for (solver, report) in second_order(&f, &x0) {
                assert!(report.termination.converged(), "{d}, {solver}: {report}");
                let wrong =
                    (0..d).map(|i| report.x[i] - report.x[0] - (i as f64).sin()).fold(0.0, |w: f64, e| w.max(e.abs()));
                assert!(wrong < 1e-6, "{d}, {solver}: {wrong} {report}");
                let again = second_order(&f, &report.x).into_iter().find(|again| again.0 == solver).unwrap().1;
                assert!(again.termination.converged() && again.iterations() <= 2, "{d}, {solver}, again: {again}");
            }
        }
    }
}

/// ½ Σ (x₀e^{−x₁t} + x₂e^{−x₃t} − y)², y = 3e^{−t/5} + 2e^{−2t}, with equal terms at the start: no step parts them, and where
/// they fit best together is a saddle.
#[test]
fn equal_terms_are_parted() {
    let data: Vec<[f64; 2]> =
        (0..20).map(|i| 0.4 * i as f64).map(|t| [t, 3.0 * (-0.2 * t).exp() + 2.0 * (-2.0 * t).exp()]).collect();
    let residual = |x: &[f64], [t, y]: [f64; 2]| x[0] * (-x[1] * t).exp() + x[2] * (-x[3] * t).exp() - y;
    let slopes = |x: &[f64], t: f64| {
        let [p, q] = [(-x[1] * t).exp(), (-x[3] * t).exp()];
        [p, -t * x[0] * p, q, -t * x[2] * q]
    };
    let f = objective_from_gradient(
        4,
        |x: &[f64]| data.iter().map(|&at| 0.5 * residual(x, at).powi(2)).sum::<f64>(),
        |x: &[f64], g: &mut [f64]| {
            g.fill(0.0);
            for &at in &data {
                let r = residual(x, at);
                g.iter_mut().zip(slopes(x, at[0])).for_each(|(g, slope)| *g += r * slope);
            }
        },
        Difference::Central,
    );
    check("equal", all(&f, &[1.0; 4]), 0.0, 1e-12);
    check("in pairs", all(&f, &[2.0, 0.5, 2.0, 0.5]), 0.0, 1e-12);
}

/// s² − u⁴ + u⁶ + Σ cosh(xᵢ − i), i from 2 to 6, with s = x₀ + x₁ − 2 and u = x₀ − x₁: where s and u are 0 there is no
/// curvature along u, and f falls by 4/27 to u² = ⅔.
#[test]
fn equal_unknowns_are_parted_where_no_curvature_tells() {
    let parts = |x: &[f64]| (x[0] + x[1] - 2.0, x[0] - x[1]);
    let f = objective_from_gradient(
        7,
        |x: &[f64]| {
            let (s, u) = parts(x);
            s * s - u.powi(4) + u.powi(6) + (2..7).map(|i| (x[i] - i as f64).cosh()).sum::<f64>()
        },
        |x: &[f64], g: &mut [f64]| {
            let (s, u) = parts(x);
            let along = -4.0 * u.powi(3) + 6.0 * u.powi(5);
            (g[0], g[1]) = (2.0 * s + along, 2.0 * s - along);
            (2..7).for_each(|i| g[i] = (x[i] - i as f64).sinh());
        },
        Difference::Central,
    );
    check("u⁴", all(&f, &[0.3, 0.3, 3.0, 2.0, 4.5, 7.0, 5.9]), 5.0 - 4.0 / 27.0, 1e-9);
}

/// A network x₂ tanh(x₀t + x₁) + x₃ from zeros: a saddle between x₀ and x₂, and the row of x₁ is rounding there.
#[test]
fn rows_of_rounding_do_not_hide_a_saddle() {
    let data = [[-1.0, -0.9], [-0.3, -0.4], [0.1, 0.2], [0.5, 0.6], [1.3, 1.0], [0.2, 0.1_f64]];
    let f = objective_from_gradient(
        4,
        |x: &[f64]| data.iter().map(|[t, y]| 0.5 * (x[2] * (x[0] * t + x[1]).tanh() + x[3] - y).powi(2)).sum::<f64>(),
        |x: &[f64], g: &mut [f64]| {
            g.fill(0.0);
            for [t, y] in data {
                let h = (x[0] * t + x[1]).tanh();
                let r = x[2] * h + x[3] - y;
                let inner = r * x[2] * (1.0 - h * h);
                g.iter_mut().zip([inner * t, inner, r * h, r]).for_each(|(g, slope)| *g += slope);
            }
        },
        Difference::Central,
    );
    for (solver, report) in second_order(&f, &[0.0; 4]) {
        // The mean alone leaves 1.14.
        assert!(report.value < 0.03, "{solver}: {report}");
    }
}

/// −Σ ln(wᵀr), w the softmax of x: the weight of a share that loses goes to 0, and products come to be rounding.
#[test]
fn products_that_have_come_to_be_rounding_are_not_called_asymmetric() {
    let shares: Vec<[f64; 4]> = (0..40)
        .map(|i| [1.0, 2.0, 3.0, 4.0].map(|k| 1.0 + 0.05 + 0.2 * (i as f64 * (k + 0.37) * k).sin() - 0.04 * k))
        .collect();
    let weights = |x: &[f64]| {
        let most = x.iter().fold(f64::NEG_INFINITY, |most, x| most.max(*x));
        let e: Vec<f64> = x.iter().map(|x| (x - most).exp()).collect();
        let sum: f64 = e.iter().sum();
        e.into_iter().map(|e| e / sum).collect::<Vec<f64>>()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let relative = |w: &[f64], r: &[f64]| r.iter().map(|one| one / dot(w, r)).collect::<Vec<f64>>();
    let f = objective(
        4,
        |x: &[f64]| -shares.iter().map(|r| dot(&weights(x), r).ln()).sum::<f64>(),
        |x: &[f64], g: &mut [f64]| {
            let w = weights(x);
            g.fill(0.0);
            for u in shares.iter().map(|r| relative(&w, r)) {
                (0..4).for_each(|j| g[j] -= w[j] * (u[j] - 1.0));
            }
        },
        |x: &[f64], v: &[f64], hv: &mut [f64]| {
            let w = weights(x);
            let change: Vec<f64> = w.iter().zip(v).map(|(wj, vj)| wj * (vj - dot(&w, v))).collect();
            hv.fill(0.0);
            for u in shares.iter().map(|r| relative(&w, r)) {
                let along = dot(&u, &change);
                (0..4).for_each(|j| hv[j] -= change[j] * (u[j] - 1.0) - w[j] * u[j] * along);
            }
        },
    );
    for (solver, report) in second_order(&f, &[0.0; 4]) {
        assert_ne!(report.termination, Termination::Asymmetric, "{solver}: {report}");
    }
}
