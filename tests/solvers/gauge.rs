//! Functions that do not know some directions, and ends without a minimum: restarts at answers where M is singular, gradients
//! that are differences themselves, limits that leave no room for a closer look, kinks. What is right is known in advance.

use newton_krylov::differences::Difference;
use newton_krylov::{
    InnerSolver, NewtonCg, Objective, Report, Stopping, Termination, TrustRegion, objective, objective_from_gradient,
};

use crate::ordinary::{all, second_order};

/// Twelve points on a line: ½u Σ ((xᵢ − xⱼ)² − a²ᵢⱼ)², whatever is added to all of them.
fn line(u: f64, error: f64, difference: Difference) -> impl Objective<f64> {
    let left = move |x: &[f64], i: usize, j: usize| {
        let apart = 0.9 * (i - j) as f64 + 0.3 * ((i as f64).sin() - (j as f64).sin());
        (x[i] - x[j]).powi(2) - apart * apart - error * ((7 * i + 3 * j) as f64).cos()
    };
    let pairs = || (0..12).flat_map(|i| (0..i).map(move |j| (i, j)));
    let value = move |x: &[f64]| 0.5 * u * pairs().map(|(i, j)| left(x, i, j).powi(2)).sum::<f64>();
    let gradient = move |x: &[f64], g: &mut [f64]| {
        g.fill(0.0);
        pairs().for_each(|(i, j)| {
            let slope = 2.0 * u * left(x, i, j) * (x[i] - x[j]);
            (g[i], g[j]) = (g[i] + slope, g[j] - slope);
        });
    };
    objective_from_gradient(12, value, gradient, difference)
}

#[test]
fn a_freedom_of_gauge_does_not_hide_an_answer_from_differences() {
    let x0: Vec<f64> = (0..12).map(|i| 3.0 + 1.1 * i as f64 + 0.3 * (2.0 * i as f64).cos()).collect();
    for (u, error) in [1.0, 1e6, 1e-6].into_iter().flat_map(|u| [(u, 0.0), (u, 0.05)]) {
        for difference in [Difference::Forward, Difference::Central] {
            let f = line(u, error, difference);
            for (solver, report) in second_order(&f, &x0) {
                assert!(report.termination.converged(), "{u}, {error}, {solver}: {report}");
                let again = second_order(&f, &report.x).into_iter().find(|again| again.0 == solver).unwrap().1;
                let at_once = again.termination.converged() && again.iterations() <= 2;
                assert!(at_once, "{u}, {error}, {difference:?}, {solver}, again: {again}");
            }
        }
    }
}

/// (x − 1)² + w² − w, w = exp(−1/y²), from y = 0.02, where w and all of its derivatives are 0 in the numbers.
#[test]
fn a_plateau_with_lower_ground_in_reach_is_left() {
    let w = |y: f64| (-1.0 / (y * y)).exp();
    let f = objective(
        2,
        move |x: &[f64]| (x[0] - 1.0).powi(2) + w(x[1]).powi(2) - w(x[1]),
        move |x: &[f64], g: &mut [f64]| {
            let (w, y) = (w(x[1]), x[1]);
            g.copy_from_slice(&[2.0 * (x[0] - 1.0), (2.0 * w - 1.0) * 2.0 * w / y.powi(3)]);
        },
        move |x: &[f64], v: &[f64], hv: &mut [f64]| {
            let (w, y) = (w(x[1]), x[1]);
            let (first, second) = (2.0 * w / y.powi(3), w * (4.0 / y.powi(6) - 6.0 / y.powi(4)));
            hv.copy_from_slice(&[2.0 * v[0], ((2.0 * w - 1.0) * second + 2.0 * first * first) * v[1]]);
        },
    );
    for x0 in [[1.0 + 1e-9, 0.02], [1.0, 0.02], [5.0, 0.02]] {
        let dense = TrustRegion { inner: InnerSolver::Dense, ..Default::default() };
        for (solver, report) in all(&f, &x0).into_iter().chain([("dense", dense.minimize(&f, &x0).unwrap())]) {
            assert!(report.termination.converged() && (report.value + 0.25).abs() < 1e-9, "{x0:?}, {solver}: {report}");
        }
    }
}

/// ½‖UVᵀ − A‖² for U, 6 × 2, and V, 5 × 2, with the singular values s of A: the minimum is ½Σ s² of all but the two largest
/// (Eckart & Young), along an orbit of U ← UG, V ← VG⁻ᵀ of four dimensions.
fn factors(s: [f64; 5]) -> impl Objective<f64> {
    let wave = |n: usize, i: usize, k: usize| {
        let size = if k == 0 { 1.0 } else { 2.0 } / n as f64;
        size.sqrt() * (std::f64::consts::PI * (i as f64 + 0.5) * k as f64 / n as f64).cos()
    };
    let entry = move |i: usize, j: usize| (0..5).map(|k| s[k] * wave(6, i, k) * wave(5, j, k)).sum::<f64>();
    let a: Vec<f64> = (0..30).map(|k| entry(k / 5, k % 5)).collect();
    let times = |x: &[f64], y: &[f64], i: usize, j: usize| x[2 * i] * y[12 + 2 * j] + x[2 * i + 1] * y[13 + 2 * j];
    let data = a.clone();
    let residual = move |x: &[f64], k: usize| times(x, x, k / 5, k % 5) - data[k];
    let add = |x: &[f64], weights: &dyn Fn(usize) -> f64, out: &mut [f64]| {
        for k in 0..30 {
            let (i, j, w) = (k / 5, k % 5, weights(k));
            for q in 0..2 {
                out[2 * i + q] += w * x[12 + 2 * j + q];
                out[12 + 2 * j + q] += w * x[2 * i + q];
            }
        }
    };
    let (of_value, of_gradient) = (residual.clone(), residual.clone());
    objective(
        22,
        move |x: &[f64]| (0..30).map(|k| 0.5 * of_value(x, k).powi(2)).sum::<f64>(),
        move |x: &[f64], g: &mut [f64]| {
            g.fill(0.0);
            add(x, &|k| of_gradient(x, k), g);
        },
        move |x: &[f64], v: &[f64], hv: &mut [f64]| {
            hv.fill(0.0);
            add(x, &|k| times(x, v, k / 5, k % 5) + times(v, x, k / 5, k % 5), hv);
            add(v, &|k| residual(x, k), hv);
        },
    )
}

#[test]
fn a_freedom_of_gauge_does_not_hide_an_answer_from_a_restart() {
    let x0: Vec<f64> = (0..22).map(|i| (1.7 * (i + 1) as f64).sin()).collect();
    for (s, right) in [([4.0, 3.0, 0.3, 0.2, 0.1], 0.07), ([4.0, 3.0, 0.0, 0.0, 0.0], 0.0)] {
        let f = factors(s);
        for (solver, report) in second_order(&f, &x0) {
            assert!(report.termination.converged() && (report.value - right).abs() < 1e-12, "{solver}: {report}");
            let again = second_order(&f, &report.x).into_iter().find(|again| again.0 == solver).unwrap().1;
            let at_once = again.termination.converged() && again.iterations() <= 2;
            assert!(at_once, "{right}, {solver}, again: {again}");
        }
    }
}

/// x² − y² + y⁴ from (1, 0): at the end of the axis neither x nor f is a length that leads down from the saddle.
#[test]
fn a_saddle_at_the_origin_is_left() {
    let f = objective(
        2,
        |x: &[f64]| x[0] * x[0] - x[1] * x[1] + x[1].powi(4),
        |x: &[f64], g: &mut [f64]| g.copy_from_slice(&[2.0 * x[0], -2.0 * x[1] + 4.0 * x[1].powi(3)]),
        |x: &[f64], v: &[f64], hv: &mut [f64]| {
            hv.copy_from_slice(&[2.0 * v[0], (12.0 * x[1] * x[1] - 2.0) * v[1]]);
        },
    );
    for (solver, report) in all(&f, &[1.0, 0.0]) {
        assert!(report.termination.converged() && (report.value + 0.25).abs() < 1e-12, "{solver}: {report}");
    }
}

/// 1 + Σ (cosh zⱼ − 1) + ½ Σ (zⱼ₊₁ − zⱼ)², z = x − 1, whose gradient is a forward difference: its noise is √ε of f, and
/// differences over √ε of x would be noise alone.
#[test]
fn differences_of_differences_go_by_their_noise() {
    for n in [2, 5, 20] {
        let f = |x: &[f64]| {
            let bends = |j: usize| 0.5 * (x[j + 1] - x[j]).powi(2);
            1.0 + x.iter().map(|x| (x - 1.0).cosh() - 1.0).sum::<f64>() + (0..n - 1).map(bends).sum::<f64>()
        };
        let gradient = |x: &[f64], g: &mut [f64]| {
            let (here, mut y) = (f(x), x.to_vec());
            for j in 0..n {
                let h = 1.5e-8 * x[j].abs().max(1.0);
                y[j] = x[j] + h;
                g[j] = (f(&y) - here) / (y[j] - x[j]);
                y[j] = x[j];
            }
        };
        let x0: Vec<f64> = (0..n).map(|j| if j % 2 == 0 { -1.0 } else { 3.0 }).collect();
        for difference in [Difference::Forward, Difference::Central] {
            let found = objective_from_gradient(n, f, gradient, difference);
            for (solver, report) in second_order(&found, &x0) {
                assert!(report.termination.converged(), "{n}, {solver}: {report}");
                assert!(report.value < 1.0 + 1e-12 && report.counts.gradients < 300, "{n}, {solver}: {report}");
            }
        }
    }
}

/// What cannot be told from a minimum for want of calls ends with their limit.
#[test]
fn a_look_that_a_limit_leaves_no_room_for_ends_with_the_limit() {
    let f = factors([4.0, 3.0, 0.3, 0.2, 0.1]);
    let x0: Vec<f64> = (0..22).map(|i| (1.7 * (i + 1) as f64).sin()).collect();
    let answer = TrustRegion::default().minimize(&f, &x0).unwrap().x;
    let run = |stopping: Stopping| -> [Report<f64>; 2] {
        let line = NewtonCg { stopping: stopping.clone(), ..Default::default() };
        let radius = TrustRegion { stopping, ..Default::default() };
        [line.minimize(&f, &answer).unwrap(), radius.minimize(&f, &answer).unwrap()]
    };
    for most in 1..60 {
        let of_values = run(Stopping { max_values: most, ..Stopping::default() });
        let of_products = run(Stopping { max_products: most, ..Stopping::default() });
        for report in of_values.into_iter().chain(of_products) {
            let limit = matches!(report.termination, Termination::MaxValues | Termination::MaxProducts);
            assert!(limit || report.termination.converged(), "{most}: {report}");
        }
    }
}

/// max of planes: a line search that is led by one of them crawls along a kink, and comes to an end.
#[test]
fn a_crawl_along_a_kink_has_an_end() {
    let planes: Vec<[f64; 3]> = (0..8).map(|i| 1.3 * i as f64).map(|t| [t.sin(), t.cos(), t / 13.0]).collect();
    let of = |x: &[f64], p: &[f64; 3]| p[0] * x[0] + p[1] * x[1] + p[2];
    let top = |x: &[f64]| planes.iter().copied().max_by(|p, q| of(x, p).total_cmp(&of(x, q))).unwrap();
    let f = objective(
        2,
        |x: &[f64]| of(x, &top(x)),
        |x: &[f64], g: &mut [f64]| g.copy_from_slice(&top(x)[..2]),
        |_: &[f64], _: &[f64], hv: &mut [f64]| hv.fill(0.0),
    );
    for (solver, report) in second_order(&f, &[5.0, 3.0]) {
        assert!(!report.termination.converged() && report.iterations() <= 512, "{solver}: {report}");
    }
}
