//! Problems from ordinary use: far starts, restarts, saddles and maxima. Each is held against its known minimum.

use newton_krylov::differences::Difference;
use newton_krylov::first_order::SteepestDescent;
use newton_krylov::problems::{ChainedRosenbrock, MoreGarbowHillstrom};
use newton_krylov::{
    CubicRegularization, Expansion, Lbfgs, NewtonCg, Objective, Report, SymmetricOperator, Termination, TrustRegion,
    objective, objective_from_gradient,
};

/// A sum of one term of each unknown: value, first and second derivative.
fn separable(d: usize, term: impl Fn(f64) -> [f64; 3] + Copy) -> impl Objective<f64> {
    objective(
        d,
        move |x: &[f64]| x.iter().map(|&x| term(x)[0]).sum::<f64>(),
        move |x: &[f64], g: &mut [f64]| (0..d).for_each(|i| g[i] = term(x[i])[1]),
        move |x: &[f64], v: &[f64], hv: &mut [f64]| (0..d).for_each(|i| hv[i] = term(x[i])[2] * v[i]),
    )
}

/// Σ aᵢ cos(xᵢ/u).
fn waves(a: Vec<f64>, unit: f64) -> impl Objective<f64> {
    let (slopes, bends) = (a.clone(), a.clone());
    let each = |x: &[f64], a: &[f64], out: &mut [f64], term: &dyn Fn(f64) -> f64| {
        (0..a.len()).for_each(|i| out[i] = a[i] * term(x[i]));
    };
    objective(
        a.len(),
        move |x: &[f64]| x.iter().zip(&a).map(|(x, a)| a * (x / unit).cos()).sum::<f64>(),
        move |x: &[f64], g: &mut [f64]| each(x, &slopes, g, &|x| -(x / unit).sin() / unit),
        move |x: &[f64], v: &[f64], hv: &mut [f64]| {
            each(x, &bends, hv, &|x| -(x / unit).cos() / unit / unit);
            hv.iter_mut().zip(v).for_each(|(hv, v)| *hv *= v);
        },
    )
}

/// The second-order solvers' reports, by name.
pub fn second_order(f: &impl Objective<f64>, x0: &[f64]) -> [(&'static str, Report<f64>); 3] {
    [
        ("trust region", TrustRegion::default().minimize(f, x0).unwrap()),
        ("Newton-CG", NewtonCg::default().minimize(f, x0).unwrap()),
        ("cubic", CubicRegularization::default().minimize(f, x0).unwrap()),
    ]
}

/// Those, and that of L-BFGS.
pub fn all(f: &impl Objective<f64>, x0: &[f64]) -> [(&'static str, Report<f64>); 4] {
    let [radius, line, cubic] = second_order(f, x0);
    [radius, line, cubic, ("L-BFGS", Lbfgs::default().minimize(f, x0).unwrap())]
}

/// Converged at a value that is right, and at once when started there.
fn check(name: &str, f: &impl Objective<f64>, x0: &[f64], right: f64) {
    for (solver, report) in all(f, x0) {
        assert!(report.termination.converged(), "{name}, {solver}: {report}");
        assert!((report.value - right).abs() <= 1e-9 * right.abs() + 1e-12, "{name}, {solver}: {report}");
        let again = all(f, &report.x).into_iter().find(|again| again.0 == solver).unwrap().1;
        assert!(again.termination.converged() && again.iterations() <= 2, "{name}, {solver}, again: {again}");
    }
}

#[test]
fn cones_are_minimised_from_far_and_restarts_end_at_once() {
    let root = |x: f64| {
        let r = x.hypot(1.0);
        [r, x / r, r.powi(-3)]
    };
    check("√(1 + x²)", &separable(3, root), &[1e4, 2e4, 3e4], 3.0);
    check("√(1 + x²)", &separable(1, root), &[1e6], 1.0);
    // softplus(x − 200) − x/2, whose curvature at the origin is 1e-87
    let quantile = |x: f64| {
        let (z, e) = (x - 200.0, (-(x - 200.0).abs()).exp());
        let s = if z < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) };
        [z.max(0.0) + e.ln_1p() - 0.5 * x, s - 0.5, e / (1.0 + e).powi(2)]
    };
    let f = separable(1, quantile);
    for (solver, report) in all(&f, &[0.0]) {
        assert_ne!(report.termination, Termination::InconsistentGradient, "{solver}: {report}");
        let right = 2.0_f64.ln() - 100.0;
        assert!(!report.termination.converged() || (report.value - right).abs() < 1e-9, "{solver}: {report}");
    }
}

/// Σ log cosh x, with curvatures of 1e-260 and 1e-174 at the start: what bounds the step is all that there is.
#[test]
fn starts_without_curvature_are_left() {
    let f = separable(2, |x| {
        let e = (-2.0 * x.abs()).exp();
        [x.abs() + e.ln_1p() - 2.0_f64.ln(), x.tanh(), 4.0 * e / (1.0 + e).powi(2)]
    });
    for (solver, report) in second_order(&f, &[300.0, -200.0]) {
        assert!(report.termination.converged() && report.value < 1e-12, "{solver}: {report}");
    }
}

#[test]
fn maxima_and_saddles_are_left() {
    let f = separable(2, |x| [x.cos(), -x.sin(), -x.cos()]);
    let pi = std::f64::consts::PI;
    for x0 in [[0.0, 0.0], [1e-9, 0.0], [0.0, pi], [2.0 * pi, pi], [1.0, 2.0]] {
        for (solver, report) in all(&f, &x0) {
            assert!(report.termination.converged(), "{solver} from {x0:?}: {report}");
            assert!((report.value + 2.0).abs() < 1e-12, "{solver} from {x0:?}: {report}");
        }
    }
    let report = SteepestDescent::default().minimize(&f, &[0.0, 0.0]).unwrap();
    assert!(report.termination.converged() && (report.value + 2.0).abs() < 1e-12, "{report}");
}

/// A gradient within rounding gives no scale, and the radius that it suggests is of no use where the way down has led.
#[test]
fn scales_are_those_beyond_a_maximum() {
    for unit in [1e-90, 1e-9, 1.0, 1e9, 1e90] {
        let f = waves(vec![1.0, 2.0], unit);
        for (solver, report) in all(&f, &[2.0 * std::f64::consts::PI * unit, 0.0]) {
            assert!(report.termination.converged() && (report.value + 3.0).abs() < 1e-12, "{solver}, {unit}: {report}");
        }
    }
}

/// No gradient ever leaves an axis of symmetry, and the way down from the saddle on it is in no Krylov space of one.
#[test]
fn axes_of_symmetry_are_left() {
    for unit in [1e-90, 1e-9, 1.0, 1e9, 1e90] {
        for x0 in [[unit, 0.0], [3.0 * unit, 0.0], [0.0, 2.0 * unit]] {
            for (solver, report) in second_order(&waves(vec![1.0, 2.0], unit), &x0) {
                let right = report.termination.converged() && (report.value + 3.0).abs() < 1e-12;
                assert!(right, "{solver} from {x0:?}: {report}");
            }
        }
    }
    // (Σx)² + Σ (x⁴/4 − x²/2 − 0.3x): among equal unknowns the minimum is at x = 0.0567…, a saddle.
    let wells = objective(
        6,
        |x: &[f64]| {
            let sum: f64 = x.iter().sum();
            sum * sum + x.iter().map(|x| 0.25 * x.powi(4) - 0.5 * x * x - 0.3 * x).sum::<f64>()
        },
        |x: &[f64], g: &mut [f64]| {
            let sum: f64 = x.iter().sum();
            g.iter_mut().zip(x).for_each(|(g, x)| *g = 2.0 * sum + x.powi(3) - x - 0.3);
        },
        |x: &[f64], v: &[f64], hv: &mut [f64]| {
            let sum: f64 = v.iter().sum();
            (0..6).for_each(|i| hv[i] = 2.0 * sum + (3.0 * x[i] * x[i] - 1.0) * v[i]);
        },
    );
    for (solver, report) in second_order(&wells, &[1.0; 6]) {
        assert!(report.termination.converged() && report.value < -1.0, "{solver}: {report}");
    }
}

/// Where all curvatures are the same one product more says that there is no other.
#[test]
fn a_minimum_on_an_axis_costs_one_product_more() {
    let f = separable(5, |x| [1.0 + 0.5 * (x - 2.0).powi(2), x - 2.0, 1.0]);
    for (solver, report) in second_order(&f, &[0.0; 5]) {
        assert!(report.termination.converged() && report.counts.products <= 3, "{solver}: {report}");
    }
}

/// Σ aᵢ cos xᵢ with every other unknown on its maximum, where no gradient and no product with one leads away from.
#[test]
fn planes_of_symmetry_are_left() {
    for n in [2, 4, 12, 30] {
        let a: Vec<f64> = (0..n).map(|i| 1.0 + (7 * i % 5) as f64 / 3.0).collect();
        let x0: Vec<f64> = (0..n).map(|i| if i % 2 == 0 { 0.0 } else { 1.0 + 0.1 * i as f64 }).collect();
        let lowest = -a.iter().sum::<f64>();
        for (solver, report) in all(&waves(a, 1.0), &x0) {
            let right = report.termination.converged() && (report.value - lowest).abs() < 1e-9;
            assert!(right, "{solver}, {n} unknowns: {report}");
        }
    }
}

/// Two unknowns in units so far apart that all of the second is lost in the rounding of ‖∇f‖, and its curvature in that
/// of the first, are not at a minimum where the first is.
#[test]
fn an_unknown_in_another_unit_is_not_left_out() {
    for (u, v) in [(1e7, 1e-16), (1e10, 1e-10), (1e7, 1e-9)] {
        let slopes = move |x: &[f64]| [u * x[0] - 1.0, v * x[1] - 3.0];
        let f = objective(
            2,
            move |x: &[f64]| 0.5 * slopes(x).iter().map(|r| r * r).sum::<f64>(),
            move |x: &[f64], g: &mut [f64]| g.copy_from_slice(&[u * slopes(x)[0], v * slopes(x)[1]]),
            move |_: &[f64], d: &[f64], hd: &mut [f64]| hd.copy_from_slice(&[u * u * d[0], v * v * d[1]]),
        );
        for (solver, report) in all(&f, &[1.0000001 / u, 1e-3 / v]) {
            assert!(!report.termination.converged() || report.value < 1e-8, "{u}, {v}, {solver}: {report}");
        }
    }
}

/// Σ log cosh(uᵢxᵢ − 1), and a saddle in the unknown with the smallest unit: beside the first unknown ‖∇f‖ and products do not
/// show the others, of which f is made.
#[test]
fn unknowns_in_other_units_find_their_minimum() {
    let units = [1e4, 1e-8, 1e-4];
    for (n, saddle) in [3, 12, 48].into_iter().flat_map(|n| [(n, false), (n, true)]) {
        let term = move |j: usize, x: f64| match units[j % 3] * x - 1.0 {
            p if saddle && j % 3 == 1 => [0.25 * (p * p - 1.0).powi(2), p * (p * p - 1.0), 3.0 * p * p - 1.0],
            p => [p.abs() + (-2.0 * p.abs()).exp().ln_1p() - 2.0_f64.ln(), p.tanh(), 1.0 - p.tanh().powi(2)],
        };
        let f = objective(
            n,
            move |x: &[f64]| (0..n).map(|j| term(j, x[j])[0]).sum::<f64>(),
            move |x: &[f64], g: &mut [f64]| (0..n).for_each(|j| g[j] = units[j % 3] * term(j, x[j])[1]),
            move |x: &[f64], v: &[f64], hv: &mut [f64]| {
                (0..n).for_each(|j| hv[j] = units[j % 3].powi(2) * term(j, x[j])[2] * v[j])
            },
        );
        let x0: Vec<f64> = (0..n).map(|j| [3.0, if saddle { 1e8 } else { 1e-5 }, 2.0][j % 3]).collect();
        let [radius, quasi] =
            [TrustRegion::default().minimize(&f, &x0).unwrap(), Lbfgs::default().minimize(&f, &x0).unwrap()];
        for report in [radius, quasi] {
            assert!(report.termination.converged() && report.value < 1e-8, "{n}, {saddle}: {report}");
        }
    }
}

/// ½Σ (a e^(−bt) + c e^(−dt) − y)² with amplitudes in units of 10⁻⁶ and rates in those of 10⁶, by gradients alone, from equal
/// terms: differences of gradients show only the rates.
#[test]
fn units_do_not_hide_a_fit_from_differences() {
    let unit = [1e6, 1e-6, 1e6, 1e-6];
    let t: Vec<f64> = (0..40).map(|i| 0.2 * i as f64).collect();
    let y: Vec<f64> =
        t.iter().map(|t| 3.0 * (-0.3 * t).exp() + 2.0 * (-1.5 * t).exp() + 0.1 * (7.0 * t).sin()).collect();
    let curve = move |x: &[f64], t: f64| {
        let (p, q) = ((-x[1] / unit[1] * t).exp(), (-x[3] / unit[3] * t).exp());
        let (a, c) = (x[0] / unit[0], x[2] / unit[2]);
        (a * p + c * q, [p / unit[0], -a * t * p / unit[1], q / unit[2], -c * t * q / unit[3]])
    };
    let data: Vec<(f64, f64)> = t.into_iter().zip(y).collect();
    let f = objective_from_gradient(
        4,
        |x: &[f64]| data.iter().map(|&(t, y)| 0.5 * (curve(x, t).0 - y).powi(2)).sum::<f64>(),
        |x: &[f64], g: &mut [f64]| {
            g.fill(0.0);
            for &(t, y) in &data {
                let (value, slopes) = curve(x, t);
                g.iter_mut().zip(slopes).for_each(|(g, slope)| *g += (value - y) * slope);
            }
        },
        Difference::Forward,
    );
    let x0: Vec<f64> = [1.0, 1.0, 1.0, 0.9].iter().zip(unit).map(|(x, unit)| x * unit).collect();
    for x0 in [x0, unit.to_vec()] {
        let found = second_order(&f, &x0);
        for (solver, report) in &found {
            assert!(report.termination.converged() && report.value < 0.11, "{solver} from {x0:?}: {report}");
        }
    }
}

/// Of a far start a gradient may keep an error of 10⁻⁹ of the first, as one by differences does, which values contradict.
#[test]
fn a_gradient_with_errors_of_its_first_size_accuses_nobody() {
    let rosenbrock = ChainedRosenbrock::new(4).unwrap();
    let x0 = [1e3, -1e3, 2e3, 5.0];
    let mut first = [0.0; 4];
    rosenbrock.expand(&x0).gradient(&mut first);
    let size = 1e-9 * first.iter().map(|g| g * g).sum::<f64>().sqrt();
    let f = objective(
        4,
        |x: &[f64]| rosenbrock.value(x),
        |x: &[f64], g: &mut [f64]| {
            rosenbrock.expand(x).gradient(g);
            g.iter_mut().zip(x).for_each(|(g, x)| *g += size * (1e6 * x).sin());
        },
        |x: &[f64], v: &[f64], hv: &mut [f64]| rosenbrock.expand(x).apply(v, hv),
    );
    for (solver, report) in all(&f, &x0) {
        assert_ne!(report.termination, Termination::InconsistentGradient, "{solver}: {report}");
    }
}

/// Σ|aᵢᵀx − bᵢ|: at a kink f rises in proportion to every step, whose slope says so beyond it.
#[test]
fn a_kink_accuses_nobody() {
    let rows: Vec<[f64; 4]> = (0..30).map(|i| [0.7, 1.3, 2.9, 4.1].map(|w| (w * (i + 1) as f64).sin())).collect();
    let residual = |x: &[f64], row: &[f64; 4]| row[0] * x[0] + row[1] * x[1] + row[2] * x[2] - 5.0 * row[3];
    let f = objective_from_gradient(
        3,
        |x: &[f64]| rows.iter().map(|row| residual(x, row).abs()).sum::<f64>(),
        |x: &[f64], g: &mut [f64]| {
            g.fill(0.0);
            for row in &rows {
                (0..3).for_each(|j| g[j] += row[j] * residual(x, row).signum());
            }
        },
        Difference::Forward,
    );
    for x0 in [[0.0; 3], [100.0, -200.0, 300.0], [1.0, 2.0, -1.0], [3.0, 3.0, 3.0]] {
        let report = Lbfgs::default().minimize(&f, &x0).unwrap();
        assert_ne!(report.termination, Termination::InconsistentGradient, "from {x0:?}: {report}");
    }
}

/// Σ x⁴: where curvature vanishes with x, and what is remembered of it is out of date, the cubic weight is all there is in a
/// model. It is not to hide that f has come to its end.
#[test]
fn a_cubic_weight_does_not_hide_the_end() {
    let f = separable(3, |x| [x.powi(4), 4.0 * x.powi(3), 12.0 * x * x]);
    for (solver, report) in second_order(&f, &[1.0, 4.0 / 3.0, 5.0 / 3.0]) {
        let ended = report.iterations() < 100 && report.value > 1e-60;
        assert!(report.termination.converged() && ended, "{solver}: {report}");
    }
}

/// 100(y − x²)² + (1 − x)² from afar: the gradient falls by 10⁸ and more in the valley, which is no minimum.
#[test]
fn a_far_valley_is_no_minimum() {
    let f = objective(
        2,
        |x: &[f64]| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2),
        |x: &[f64], g: &mut [f64]| {
            let across = 200.0 * (x[1] - x[0] * x[0]);
            g.copy_from_slice(&[-2.0 * x[0] * across - 2.0 * (1.0 - x[0]), across]);
        },
        |x: &[f64], v: &[f64], hv: &mut [f64]| {
            hv[0] = (1200.0 * x[0] * x[0] - 400.0 * x[1] + 2.0) * v[0] - 400.0 * x[0] * v[1];
            hv[1] = -400.0 * x[0] * v[0] + 200.0 * v[1];
        },
    );
    for x0 in [[1e3, -1e3], [-1e5, 1e5]] {
        for (solver, report) in all(&f, &x0) {
            assert!(report.termination.converged() && report.value < 1e-8, "{solver} from {x0:?}: {report}");
        }
    }
}

/// exp(x) − x from 360, where ‖g‖² is beyond the numbers of f64, and on the way curvature falls by as many of its digits.
#[test]
fn a_gradient_whose_square_overflows_is_followed() {
    let f = separable(1, |x| [x.exp() - x, x.exp() - 1.0, x.exp()]);
    for (solver, report) in all(&f, &[360.0]) {
        assert!(report.termination.converged() && (report.value - 1.0).abs() < 1e-9, "{solver}: {report}");
    }
}

/// A restart of L-BFGS costs products only where it is one, and no more than two for each unknown and a few.
#[test]
fn a_closer_look_costs_products_only_near_the_start() {
    let f = separable(5, |x| {
        [
            1.0 + 0.5 * (x - 2.0).powi(2) + (x - 2.0).powi(4),
            x - 2.0 + 4.0 * (x - 2.0).powi(3),
            1.0 + 12.0 * (x - 2.0).powi(2),
        ]
    });
    let report = Lbfgs::default().minimize(&f, &[7.0, -3.0, 1.0, 0.5, 4.0]).unwrap();
    assert!(report.termination.converged() && report.counts.products == 0, "{report}");
    let again = Lbfgs::default().minimize(&f, &report.x).unwrap();
    assert!(again.iterations() == 0 && (1..=12).contains(&again.counts.products), "{again}");
}

/// Terms of the size 10² whose gradients cancel to 10⁻⁵ in f32: what is left has any slope.
#[test]
fn a_gradient_of_rounding_accuses_nobody() {
    for (n, factor) in [60, 100].into_iter().flat_map(|n| [1.0, 10.0, 100.0].map(|factor| (n, factor))) {
        let problem = MoreGarbowHillstrom::new(26, n).unwrap();
        let report = NewtonCg::default().minimize(&problem, &problem.scaled_start::<f32>(factor)).unwrap();
        let truthful = report.termination.converged() || report.termination == Termination::Stalled;
        assert!(truthful && report.value < 1e-4, "{n} {factor}: {report}");
    }
}
