//! Fits as people make them, from the starts that they make them from: parameters at or near 0, in very different units,
//! by an exact Jacobian, by its products, and by differences. The right answers are known, since the data are exact, or the
//! problem is symmetric.

use std::cell::Cell;

use newton_krylov::losses::Tukey;
use newton_krylov::{
    LeastSquares, LevenbergMarquardt, Model, Termination, differences::Difference, least_squares, least_squares_dense,
    least_squares_from_residuals,
};

/// A curve: its value at t, and its derivatives by the parameters.
type Curve = fn(&[f64], f64, &mut [f64]) -> f64;

struct Fit {
    name: &'static str,
    curve: Curve,
    t: Vec<f64>,
    y: Vec<f64>,
    start: &'static [f64],
    right: &'static [f64],
    /// What a parameter's error is measured in.
    unit: &'static [f64],
}

fn grid(low: f64, high: f64, count: usize) -> Vec<f64> {
    (0..count).map(|i| low + (high - low) * i as f64 / (count - 1) as f64).collect()
}

/// With data from the curve itself.
fn exact(
    name: &'static str,
    curve: Curve,
    t: Vec<f64>,
    start: &'static [f64],
    right: &'static [f64],
    unit: &'static [f64],
) -> Fit {
    let mut g = vec![0.0; right.len()];
    let y = t.iter().map(|&t| curve(right, t, &mut g)).collect();
    Fit { name, curve, t, y, start, right, unit }
}

fn decay(x: &[f64], t: f64, g: &mut [f64]) -> f64 {
    let e = (-x[1] * t).exp();
    g.copy_from_slice(&[e, -x[0] * t * e, 1.0]);
    x[0] * e + x[2]
}

fn growth(x: &[f64], t: f64, g: &mut [f64]) -> f64 {
    let e = (x[1] * t).exp();
    g.copy_from_slice(&[e, x[0] * t * e]);
    x[0] * e
}

fn peak(x: &[f64], t: f64, g: &mut [f64]) -> f64 {
    let z = (t - x[1]) / x[2];
    let e = (-0.5 * z * z).exp();
    g.copy_from_slice(&[e, x[0] * e * z / x[2], x[0] * e * z * z / x[2]]);
    x[0] * e
}

fn saturation(x: &[f64], t: f64, g: &mut [f64]) -> f64 {
    let below = x[1] + t;
    g.copy_from_slice(&[t / below, -x[0] * t / (below * below)]);
    x[0] * t / below
}

fn polynomial(x: &[f64], t: f64, g: &mut [f64]) -> f64 {
    (0..x.len()).for_each(|j| g[j] = t.powi(j as i32));
    x.iter().zip(g).map(|(x, g)| x * *g).sum()
}

fn wave(x: &[f64], t: f64, g: &mut [f64]) -> f64 {
    let (sin, cos) = (x[1] * t + x[2]).sin_cos();
    g.copy_from_slice(&[cos, -x[0] * t * sin, -x[0] * sin]);
    x[0] * cos
}

fn fits() -> Vec<Fit> {
    let t = || grid(0.0, 5.0, 40);
    let parabola = |t: &[f64]| t.iter().map(|t| t * t).collect();
    let even = grid(-2.0, 2.0, 21);
    let mean = even.iter().map(|t| t * t).sum::<f64>() / 21.0;
    assert!((mean - 1.4666666666666666).abs() < 1e-14);
    vec![
        exact("a number from 1e-3", polynomial, vec![1.0], &[1e-3], &[3.0], &[1.0]),
        exact("a number from 1e-9", polynomial, vec![1.0], &[1e-9], &[3.0], &[1.0]),
        exact("a number from 1e-12", polynomial, vec![1.0], &[1e-12], &[3.0], &[1.0]),
        exact("decay, offset from 0", decay, t(), &[1.0, 1.0, 0.0], &[2.0, 0.7, 0.3], &[1.0; 3]),
        exact("decay, offset from 1e-12", decay, t(), &[1.0, 1.0, 1e-12], &[2.0, 0.7, 0.3], &[1.0; 3]),
        exact("decay without offset", decay, t(), &[1.0, 1.0, 0.1], &[2.0, 0.7, 0.0], &[1.0; 3]),
        exact("growth, rate from 0", growth, t(), &[1.0, 0.0], &[1.5, 0.13], &[1.0; 2]),
        exact("large growth, rate from 0", growth, t(), &[8e9, 0.0], &[9e9, 0.13], &[1e9, 1.0]),
        exact("peak, centre from 0", peak, grid(-4.0, 4.0, 60), &[1.0, 0.0, 1.0], &[1.3, 0.7, 1.2], &[1.0; 3]),
        exact(
            "high peak, centre from 0",
            peak,
            grid(-4.0, 4.0, 60),
            &[1e7, 0.0, 1.0],
            &[1.3e7, 0.7, 1.2],
            &[1e7, 1.0, 1.0],
        ),
        exact("peak centred at 0", peak, grid(-4.0, 4.0, 61), &[3.0, 0.5, 1.0], &[4.0, 0.0, 1.5], &[1.0; 3]),
        exact("saturation from 1e-9", saturation, grid(0.1, 9.0, 12), &[1e-9, 1e-9], &[2.5, 0.8], &[1.0; 2]),
        exact("a constant as a cubic", polynomial, grid(-1.0, 1.0, 21), &[1.0; 4], &[4.0, 0.0, 0.0, 0.0], &[1.0; 4]),
        exact("wave, phase from 0", wave, t(), &[1e5, 1.1, 0.0], &[1.2e5, 1.2, 0.4], &[1e5, 1.0, 1.0]),
        exact("wave, phase 0", wave, t(), &[2.0, 1.15, 0.2], &[3.0, 1.1, 0.0], &[1.0; 3]),
        Fit {
            name: "a line through a parabola, slope 0 by symmetry",
            curve: polynomial,
            y: parabola(&even),
            t: even,
            start: &[1.0, 1.0],
            right: &[1.4666666666666666, 0.0],
            unit: &[1.0; 2],
        },
    ]
}

/// The largest error, in units, and whether the run claims to have converged.
fn run<M: Model<f64>>(fit: &Fit, problem: LeastSquares<f64, M>) -> (f64, bool) {
    let report = LevenbergMarquardt::default().minimize(&problem, fit.start).unwrap();
    let errors = report.x.iter().zip(fit.right).zip(fit.unit).map(|((x, right), unit)| (x - right).abs() / unit);
    (errors.fold(0.0, f64::max), report.termination.converged())
}

#[test]
fn ordinary_fits_end_at_the_right_answer_by_any_derivative() {
    for fit in fits() {
        let (m, n) = (fit.t.len(), fit.start.len());
        let residual = |x: &[f64], r: &mut [f64]| {
            let mut g = vec![0.0; n];
            (0..m).for_each(|i| r[i] = (fit.curve)(x, fit.t[i], &mut g) - fit.y[i]);
        };
        let row = |x: &[f64], i: usize| {
            let mut g = vec![0.0; n];
            (fit.curve)(x, fit.t[i], &mut g);
            g
        };
        let dense = least_squares_dense(m, n, residual, |x: &[f64], j: &mut [f64]| {
            for i in 0..m {
                row(x, i).into_iter().enumerate().for_each(|(k, g)| j[k * m + i] = g);
            }
        });
        let products = least_squares(
            m,
            n,
            residual,
            |x: &[f64], v: &[f64], jv: &mut [f64]| {
                (0..m).for_each(|i| jv[i] = row(x, i).iter().zip(v).map(|(g, v)| g * v).sum());
            },
            |x: &[f64], u: &[f64], jtu: &mut [f64]| {
                jtu.fill(0.0);
                (0..m).for_each(|i| row(x, i).iter().zip(&mut *jtu).for_each(|(g, out)| *out += g * u[i]));
            },
        );
        let by = |difference| least_squares_from_residuals(m, n, residual, difference);
        let found = [
            ("exact", run(&fit, dense), 1e-7),
            ("products", run(&fit, products), 1e-7),
            ("forward", run(&fit, by(Difference::Forward)), 1e-5),
            ("central", run(&fit, by(Difference::Central)), 1e-6),
        ];
        for (way, (error, claimed), tolerance) in found {
            assert!(error < tolerance, "{}, {way}: error {error}, claims convergence: {claimed}", fit.name);
        }
    }
}

/// Saddles at which J has no full rank: two equal rates, and a circle of radius 0.
#[test]
fn null_directions_lead_down() {
    let t: Vec<f64> = (0..30).map(|i| 0.2 * i as f64).collect();
    let y: Vec<f64> = t.iter().map(|t| 2.0 * (-0.4 * t).exp() + 1.5 * (-2.5 * t).exp()).collect();
    let biexponential = least_squares_dense(
        30,
        4,
        |x: &[f64], r: &mut [f64]| {
            (0..30).for_each(|i| r[i] = x[0] * (-x[1] * t[i]).exp() + x[2] * (-x[3] * t[i]).exp() - y[i])
        },
        |x: &[f64], j: &mut [f64]| {
            for i in 0..30 {
                let (a, b) = ((-x[1] * t[i]).exp(), (-x[3] * t[i]).exp());
                (j[i], j[30 + i], j[60 + i], j[90 + i]) = (a, -x[0] * t[i] * a, b, -x[2] * t[i] * b);
            }
        },
    );
    let report = LevenbergMarquardt::default().minimize(&biexponential, &[1.0, 1.0, 1.0, 1.0]).unwrap();
    assert!(report.termination.converged() && report.value < 1e-20 && report.rank == Some(4), "{report}");

    // (t − a)² + (u − b)² − c², with points on the circle of radius 2 around (3, −1)
    let points: Vec<[f64; 2]> =
        (0..12).map(|i| 0.5 * i as f64).map(|p| [3.0 + 2.0 * p.cos(), -1.0 + 2.0 * p.sin()]).collect();
    let circle = least_squares_dense(
        12,
        3,
        |x: &[f64], r: &mut [f64]| {
            for (r, [t, u]) in r.iter_mut().zip(&points) {
                *r = (t - x[0]).powi(2) + (u - x[1]).powi(2) - x[2] * x[2];
            }
        },
        |x: &[f64], j: &mut [f64]| {
            for (i, [t, u]) in points.iter().enumerate() {
                (j[i], j[12 + i], j[24 + i]) = (-2.0 * (t - x[0]), -2.0 * (u - x[1]), -2.0 * x[2]);
            }
        },
    );
    let report = LevenbergMarquardt::default().minimize(&circle, &[0.0; 3]).unwrap();
    assert!(report.termination.converged() && (report.x[2].abs() - 2.0).abs() < 1e-9, "{report}");
}

/// A parameter of which the model knows nothing is said to be arbitrary, and is no reason not to converge.
#[test]
fn a_rank_below_the_number_of_parameters_is_in_the_advice() {
    let t: Vec<f64> = (0..10).map(f64::from).collect();
    let dependent = least_squares_dense(
        10,
        3,
        |x: &[f64], r: &mut [f64]| (0..10).for_each(|i| r[i] = x[0] + (x[1] + x[2]) * t[i] - (t[i] * 0.7).sin()),
        |_: &[f64], j: &mut [f64]| (0..10).for_each(|i| (j[i], j[10 + i], j[20 + i]) = (1.0, t[i], t[i])),
    );
    let report = LevenbergMarquardt::default().minimize(&dependent, &[1.0; 3]).unwrap();
    assert!(report.termination.converged() && report.rank == Some(2), "{report}");
    assert!(report.to_string().contains("The data determine 2 of 3 parameters"), "{report}");
}

#[test]
fn a_start_next_to_the_origin_is_one_at_the_origin() {
    for x0 in [1e-16, 1e-30, 1e-300] {
        let shifted = least_squares_dense(
            1,
            1,
            |x: &[f64], r: &mut [f64]| r[0] = x[0] - 3.0,
            |_: &[f64], j: &mut [f64]| j[0] = 1.0,
        );
        let report = LevenbergMarquardt::default().minimize(&shifted, &[x0]).unwrap();
        assert!(report.termination.converged() && report.x[0] == 3.0, "{report}");
    }
}

#[test]
fn a_plateau_has_an_end_of_its_own() {
    // Far beside a peak no parameter changes anything.
    let peak = least_squares_from_residuals(
        5,
        2,
        |x: &[f64], r: &mut [f64]| (0..5).for_each(|i| r[i] = x[0] * (-(i as f64 - x[1]).powi(2)).exp() - 1.0),
        Difference::Forward,
    );
    let report = LevenbergMarquardt::default().minimize(&peak, &[1.0, 1e3]).unwrap();
    assert!(!report.termination.converged() || report.value < 2.0, "{report}");
    // Nor anywhere.
    let constant = |_: &[f64], r: &mut [f64]| r.copy_from_slice(&[1.0, 2.0]);
    let constant = least_squares_from_residuals(2, 1, constant, Difference::Forward);
    let report = LevenbergMarquardt::default().minimize(&constant, &[1.0]).unwrap();
    assert_eq!(report.termination, Termination::FlatValley, "{report}");
}

/// A saturating curve with a small amplitude: from far off the way leads through a valley to straight lines at infinity,
/// where what differences tell of J has no full rank.
#[test]
fn a_valley_to_infinity_is_no_minimum() {
    let t = grid(0.0, 4.0, 50);
    let model = |x: &[f64], t: f64| x[0] - x[1] * (-x[2] * t).exp();
    let noise = |i: usize| 0.25 * (7.3 * i as f64).sin();
    let y: Vec<f64> = t.iter().enumerate().map(|(i, &t)| model(&[823.4, 5.3, 8.0], t) + noise(i)).collect();
    let residual = |x: &[f64], r: &mut [f64]| (0..50).for_each(|i| r[i] = model(x, t[i]) - y[i]);
    for difference in [Difference::Forward, Difference::Central] {
        let fit = least_squares_from_residuals(50, 3, residual, difference);
        let report = LevenbergMarquardt::default().minimize(&fit, &[1.0, 1.0, 1.0]).unwrap();
        assert_eq!(report.termination, Termination::FlatValley, "{difference:?}\n{report}");
        let near = LevenbergMarquardt::default().minimize(&fit, &[820.0, 4.0, 5.0]).unwrap();
        assert!(near.termination.converged() && near.value < 0.2 * report.value, "{difference:?}\n{near}");
    }
}

/// A straight line fitted by a curve that is one at infinity only: along the valley that leads there the columns of J
/// become sums of each other, and what forward differences say of it is their errors. By the cosine alone these runs would
/// have converged, where f can fall by 10⁻⁵ of itself.
#[test]
fn errors_of_differences_are_not_taken_for_a_minimum() {
    let t = grid(0.0, 4.0, 50);
    let model = |x: &[f64], t: f64| x[0] - x[1] * (-x[2] * t).exp();
    for k in 50..54 {
        for slope in [1.0, -1.0] {
            let noise = |i: usize| 0.1 * ((2.0 + 0.37 * k as f64) * i as f64).sin();
            let y: Vec<f64> = t.iter().enumerate().map(|(i, &t)| 3.0 + slope * t + noise(i)).collect();
            let residual = |x: &[f64], r: &mut [f64]| (0..50).for_each(|i| r[i] = model(x, t[i]) - y[i]);
            let fit = least_squares_from_residuals(50, 3, residual, Difference::Forward);
            let report = LevenbergMarquardt::default().minimize(&fit, &[0.0; 3]).unwrap();
            assert!(!report.termination.converged(), "{k}, {slope}\n{report}");
        }
    }
}

/// A trial of a claim that cannot be evaluated says nothing, also where a bounded loss would take what is infinite for one
/// more outlier: the run goes on.
#[test]
fn a_claim_is_not_believed_for_a_trial_that_failed() {
    let t = grid(0.0, 4.0, 50);
    let y: Vec<f64> = (0..50).map(|i| 3.0 + t[i] - 0.1 * t[i] * t[i] + 0.1 * (2.0 * i as f64).sin()).collect();
    let run = |failing: std::ops::RangeInclusive<usize>| {
        let calls = Cell::new(0);
        let residual = |x: &[f64], r: &mut [f64]| {
            calls.set(calls.get() + 1);
            (0..50).for_each(|i| r[i] = x[0] - x[1] * (-x[2] * t[i]).exp() - y[i]);
            r[0] = if failing.contains(&calls.get()) { f64::INFINITY } else { 100.0 };
        };
        let fit = least_squares_from_residuals(50, 3, residual, Difference::Forward);
        let fit = fit.with_loss(Tukey::new(1.0).unwrap(), 1).unwrap();
        let report = LevenbergMarquardt::default().minimize(&fit, &[1.0; 3]).unwrap();
        assert!(report.termination.converged(), "{report}");
        calls.get()
    };
    let calls = run(0..=0);
    // The last two are the whole step, to either side.
    assert!(run(calls - 1..=calls) > calls);
}

/// Terms of e²⁰⁰ on the way are not what residuals of the size 1 are made of, nor those of 10⁴⁴ in between.
#[test]
fn a_far_start_does_not_make_rounding_of_residuals() {
    let t = grid(-2.0, 2.0, 13);
    let y: Vec<f64> = (0..13).map(|i| 25.0 + 0.5 * (7.0 * i as f64).sin()).collect();
    let residual = |x: &[f64], r: &mut [f64]| {
        (0..13).for_each(|i| r[i] = 10.0 * x[0] - x[1] * (-100.0 * x[2] * t[i]).exp() - y[i]);
    };
    let jacobian = |x: &[f64], j: &mut [f64]| {
        for i in 0..13 {
            let e = (-100.0 * x[2] * t[i]).exp();
            (j[i], j[13 + i], j[26 + i]) = (10.0, -e, 100.0 * t[i] * x[1] * e);
        }
    };
    let fit = least_squares_dense(13, 3, residual, jacobian);
    let report = LevenbergMarquardt::default().minimize(&fit, &[1.0, 0.29, 1.0]).unwrap();
    assert!(report.value < 2.0, "{report}");
}

/// Zero times zero: J is 0 along both factors, and only where both change f falls.
#[test]
fn null_directions_are_looked_along_together() {
    let t = grid(0.0, 2.0, 9);
    for (sign, difference) in [(1.0, Difference::Forward), (-1.0, Difference::Forward), (1.0, Difference::Central)] {
        let residual = |x: &[f64], r: &mut [f64]| (0..9).for_each(|i| r[i] = x[0] * x[1] * t[i] + x[2] - sign * t[i]);
        let fit = least_squares_from_residuals(9, 3, residual, difference);
        let report = LevenbergMarquardt::default().minimize(&fit, &[0.0; 3]).unwrap();
        assert!(report.termination.converged() && report.value < 1e-20, "{report}");
    }
    // A parameter whose column is 0 has no scale but its own, however small all other terms are.
    let square = |x: &[f64], r: &mut [f64]| {
        (0..9).for_each(|i| r[i] = 1e-7 * (1e-6 * x[0] * x[0] * t[i] + 1e-6 * x[1] - 3e3 - t[i]))
    };
    let fit = least_squares_from_residuals(9, 2, square, Difference::Central);
    let report = LevenbergMarquardt::default().minimize(&fit, &[0.0; 2]).unwrap();
    assert!(report.termination.converged() && report.value < 1e-24, "{report}");
}

/// A direction that forward differences cannot tell from a null one is no valley at its minimum, and once a length shows
/// nothing shorter ones are not tried.
#[test]
fn a_direction_that_differences_hide_is_looked_along_in_vain() {
    // What the data have beside a line is orthogonal to 1, t and t².
    let t = grid(-1.0, 1.0, 20);
    let moment = |power: i32| t.iter().map(|t| t.powi(power)).sum::<f64>();
    let cubic = |t: f64| 10.0 * t * (t * t - moment(4) / moment(2));
    let residual = |x: &[f64], r: &mut [f64]| {
        for (r, &t) in r.iter_mut().zip(&t) {
            *r = x[0] + x[1] * t + x[2] * (t + 1e-8 * t * t) - (1.0 + t + cubic(t));
        }
    };
    let fit = least_squares_from_residuals(20, 3, residual, Difference::Forward);
    let report = LevenbergMarquardt::default().minimize(&fit, &[0.5, 300.0, -100.0]).unwrap();
    assert!(report.termination.converged() && report.rank == Some(2), "{report}");
    // The start, three differences at each point, the trials, and the look.
    let others = 1 + 3 * report.counts.gradients + report.steps;
    assert!(report.counts.values <= others + 4, "{} and {others}\n{report}", report.counts.values);
}
