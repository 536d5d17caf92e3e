//! Covariances against closed forms and against each other.

use newton_krylov::statistics::{ParameterTable, covariance, covariance_known, covariance_of};
use newton_krylov::{
    LevenbergMarquardt,
    differences::Difference,
    least_squares, least_squares_dense, least_squares_from_residuals,
    losses::{Huber, Parts, Squares},
};

/// A straight line through (tᵢ, yᵢ): everything has a closed form.
const T: [f64; 6] = [0.0, 1.0, 2.0, 3.0, 4.0, 7.0];
const Y: [f64; 6] = [1.1, 2.9, 5.2, 6.8, 9.1, 15.2];

macro_rules! line {
    ($t:ty) => {
        least_squares_dense(
            6,
            2,
            |x: &[$t], r: &mut [$t]| (0..6).for_each(|i| r[i] = x[0] + x[1] * T[i] as $t - Y[i] as $t),
            |_: &[$t], j: &mut [$t]| {
                j[..6].fill(1.0);
                (0..6).for_each(|i| j[6 + i] = T[i] as $t);
            },
        )
    };
}

#[test]
fn a_straight_line_has_its_textbook_errors() {
    let line = line!(f64);
    let report = LevenbergMarquardt::default().minimize(&line, &[0.0, 0.0]).unwrap();
    let found = covariance(&line, &report.x).unwrap();
    let mean = T.iter().sum::<f64>() / 6.0;
    let spread: f64 = T.iter().map(|t| (t - mean).powi(2)).sum();
    let square: f64 = T.iter().zip(Y).map(|(t, y)| (report.x[0] + report.x[1] * t - y).powi(2)).sum();
    let variance = square / 4.0;
    let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-12, "{a} {b}");
    close(found.residual_variance, variance);
    close(found.standard_errors[1], (variance / spread).sqrt());
    close(found.standard_errors[0], (variance * (1.0 / 6.0 + mean * mean / spread)).sqrt());
    close(found.get(0, 1), -variance * mean / spread);
    close(found.correlation(0, 1), -mean / (mean * mean + spread / 6.0).sqrt());
    assert_eq!((found.rank, found.degrees_of_freedom), (2, 4));
    // t₀.₉₇₅ with 4 degrees of freedom: Abramowitz & Stegun, table 26.10.
    assert!((found.half_widths(0.95).unwrap()[1] / found.standard_errors[1] - 2.776).abs() < 1e-3);
    // The band at t = mean is s/√m wide.
    let t95 = found.half_widths(0.95).unwrap()[1] / found.standard_errors[1];
    close(found.half_width_of(&[1.0, mean], 0.95).unwrap(), t95 * (variance / 6.0).sqrt());
    assert!(found.half_widths(1.0).is_err() && found.half_width_of(&[1.0], 0.9).is_err());

    let x: Vec<f32> = report.x.iter().map(|&x| x as f32).collect();
    let single = covariance(&line!(f32), &x).unwrap();
    assert!((single.standard_errors[1] / found.standard_errors[1] - 1.0).abs() < 1e-3);
}

#[test]
fn chosen_parameters_have_the_covariance_of_all() {
    // A chain of distances, 40 parameters in three units.
    let (m, n) = (79, 40);
    let scale = |j: usize| 10f64.powi((j % 3) as i32 - 1);
    let row = |i: usize| if i < n { (i, i, 1.0) } else { (i - n, i - n + 1, 0.5) };
    let apply = |v: &[f64], out: &mut [f64]| {
        for i in 0..m {
            let (a, b, w) = row(i);
            out[i] = if a == b { v[a] * scale(a) } else { w * (v[a] * scale(a) - v[b] * scale(b)) };
        }
    };
    let fit = least_squares(
        m,
        n,
        |x: &[f64], r: &mut [f64]| {
            apply(x, r);
            (0..m).for_each(|i| r[i] -= (i as f64 * 0.7).sin());
        },
        |_, v, jv| apply(v, jv),
        |_, u, jtu| {
            jtu.fill(0.0);
            for i in 0..m {
                let (a, b, w) = row(i);
                if a == b {
                    jtu[a] += scale(a) * u[i];
                } else {
                    jtu[a] += w * scale(a) * u[i];
                    jtu[b] -= w * scale(b) * u[i];
                }
            }
        },
    );
    let x = LevenbergMarquardt::default().minimize(&fit, &vec![0.0; n]).unwrap().run.x;
    let all = covariance(&fit, &x).unwrap();
    let chosen = [3, 17, 39];
    let some = covariance_of(&fit, &x, &chosen).unwrap();
    assert!((some.residual_variance / all.residual_variance - 1.0).abs() < 1e-10);
    for (a, &i) in chosen.iter().enumerate() {
        let ratio = some.standard_errors[a] / all.standard_errors[i];
        assert!((ratio - 1.0).abs() < 1e-9, "{i}: {ratio} {:?}", some.outcomes);
        for (b, &j) in chosen.iter().enumerate() {
            let size = all.standard_errors[i] * all.standard_errors[j];
            assert!((some.matrix[b * 3 + a] - all.get(i, j)).abs() < 1e-7 * size, "{i} {j}");
        }
    }
}

#[test]
fn what_is_not_determined_has_no_finite_error() {
    // x₀ + x₁ and x₂ are measured; x₃ is not.
    let fit = least_squares_dense(
        5,
        4,
        |x: &[f64], r| (0..5).for_each(|i| r[i] = if i < 3 { x[0] + x[1] - i as f64 } else { x[2] - i as f64 }),
        |_, j| {
            j.fill(0.0);
            j[..3].fill(1.0);
            j[5..8].fill(1.0);
            j[13..15].fill(1.0);
        },
    );
    let x = LevenbergMarquardt::default().minimize(&fit, &[0.0; 4]).unwrap().run.x;
    let found = covariance(&fit, &x).unwrap();
    assert_eq!((found.rank, found.degrees_of_freedom), (2, 3));
    assert!(found.condition.is_infinite());
    let infinite: Vec<bool> = found.standard_errors.iter().map(|e| e.is_infinite()).collect();
    assert_eq!(infinite, [true, true, false, true]);
    let chosen = covariance_of(&fit, &x, &[0, 2, 3]).unwrap();
    let infinite: Vec<bool> = chosen.standard_errors.iter().map(|e| e.is_infinite()).collect();
    assert_eq!(infinite, [true, false, true]);
    assert!(chosen.matrix[1].is_nan());
}

#[test]
fn bounds_make_known_and_few_residuals_leave_no_variance() {
    let held = line!(f64).with_bounds(&[f64::NEG_INFINITY, 0.0], &[f64::INFINITY, 1.5]).unwrap();
    let x = LevenbergMarquardt::default().minimize(&held, &[0.0, 0.0]).unwrap().run.x;
    assert_eq!(x[1], 1.5);
    let found = covariance(&held, &x).unwrap();
    assert_eq!((found.rank, found.standard_errors[1]), (1, 0.0));
    assert!((found.standard_errors[0] - (found.residual_variance / 6.0).sqrt()).abs() < 1e-14);

    let exact = least_squares_dense(1, 1, |x: &[f64], r| r[0] = x[0] - 3.0, |_, j| j[0] = 1.0);
    let found = covariance(&exact, &[3.0]).unwrap();
    assert!(found.residual_variance.is_nan() && found.half_widths(0.95).is_err());
}

#[test]
fn a_robust_loss_hardly_changes_clean_data() {
    let plain = covariance(&line!(f64), &[1.0, 2.0]).unwrap();
    let robust = line!(f64).with_loss(Huber::new(10.0).unwrap(), 1).unwrap();
    let found = covariance(&robust, &[1.0, 2.0]).unwrap();
    for j in 0..2 {
        assert!((found.standard_errors[j] / plain.standard_errors[j] - 1.0).abs() < 1e-12);
    }
}

#[test]
fn faults_are_named() {
    let line = line!(f64);
    assert!(covariance(&line, &[1.0]).unwrap_err().to_string().contains("x has length 1"));
    assert!(covariance(&line, &[1.0, f64::NAN]).unwrap_err().to_string().contains("x[1]"));
    assert!(covariance_of(&line, &[1.0, 2.0], &[2]).unwrap_err().to_string().contains("chosen is 2"));
    let broken = least_squares_dense(2, 1, |_: &[f64], r| r.fill(f64::NAN), |_, j| j.fill(1.0));
    assert!(covariance(&broken, &[0.0]).is_err());
    let broken = least_squares_dense(2, 1, |_: &[f64], r| r.fill(1.0), |_, j| j.fill(f64::INFINITY));
    assert!(covariance(&broken, &[0.0]).is_err());
}

#[test]
fn a_known_variance_is_not_rescaled() {
    // σ = 0.2 for all: the covariance is σ²(AᵀA)⁻¹ whatever the residuals are, and needs no degree of freedom.
    let weighted = line!(f64).with_weights(&[5.0; 6]).unwrap();
    let report = LevenbergMarquardt::default().minimize(&weighted, &[0.0, 0.0]).unwrap();
    let found = covariance_known(&weighted, &report.x, 1.0).unwrap();
    let mean = T.iter().sum::<f64>() / 6.0;
    let spread: f64 = T.iter().map(|t| (t - mean).powi(2)).sum();
    assert!((found.standard_errors[1] / (0.2 / spread.sqrt()) - 1.0).abs() < 1e-12);
    assert!(found.variance_known && found.residual_variance == 1.0);
    // Estimated, weights cancel.
    let plain = covariance(&line!(f64), &report.x).unwrap();
    let estimated = covariance(&weighted, &report.x).unwrap();
    assert!((estimated.standard_errors[1] / plain.standard_errors[1] - 1.0).abs() < 1e-12);
    // Normal quantile: Abramowitz & Stegun, table 26.6.
    assert!((found.half_widths(0.99).unwrap()[0] / found.standard_errors[0] - 2.575829).abs() < 1e-6);
    assert!(covariance_known(&weighted, &report.x, 0.0).is_err());
    assert!(line!(f64).with_weights(&[1.0; 5]).is_err() && line!(f64).with_weights(&[-1.0; 6]).is_err());
}

#[test]
fn a_prior_is_ridge_regression_and_stays_outside_the_robust_loss() {
    // (AᵀA + diag(1/τ²)) x = Aᵀy + μ/τ², the second parameter without a prior.
    let (mean, deviation) = ([0.5, 0.0], [0.1, f64::INFINITY]);
    let (n, t, tt) = (6.0 + 100.0, T.iter().sum::<f64>(), T.iter().map(|t| t * t).sum::<f64>());
    let (y, ty) = (Y.iter().sum::<f64>() + 50.0, T.iter().zip(Y).map(|(t, y)| t * y).sum::<f64>());
    let determinant = n * tt - t * t;
    let expected = [(tt * y - t * ty) / determinant, (n * ty - t * y) / determinant];
    let prior = line!(f64).with_prior(&mean, &deviation).unwrap();
    let dense = LevenbergMarquardt::default().minimize(&prior, &[0.0, 0.0]).unwrap();
    let huge = line!(f64).with_loss(Huber::new(1e6).unwrap(), 1).unwrap().with_prior(&mean, &deviation).unwrap();
    let robust = LevenbergMarquardt::default().minimize(&huge, &[0.0, 0.0]).unwrap();
    let by_differences = least_squares_from_residuals(
        6,
        2,
        |x: &[f64], r: &mut [f64]| (0..6).for_each(|i| r[i] = x[0] + x[1] * T[i] - Y[i]),
        Difference::Central,
    );
    let by_differences = by_differences.with_prior(&mean, &deviation).unwrap();
    let difference = LevenbergMarquardt::default().minimize(&by_differences, &[0.0, 0.0]).unwrap();
    for report in [&dense, &robust, &difference] {
        for j in 0..2 {
            assert!((report.x[j] - expected[j]).abs() < 1e-8, "{j} {} {}", report.x[j], expected[j]);
        }
    }
    // Its variance is that of the posterior.
    let found = covariance_known(&prior, &dense.x, 1.0).unwrap();
    assert!((found.standard_errors[0] - (tt / determinant).sqrt()).abs() < 1e-12);
    assert!(line!(f64).with_prior(&mean, &[0.0, 1.0]).is_err());
    assert!(line!(f64).with_prior(&mean, &[f64::INFINITY; 2]).is_err());
    // A loss over blocks of two takes no single further residual.
    let pairs = line!(f64).with_loss(Parts::new(Huber::new(1.0).unwrap(), 2, Squares), 2).unwrap();
    assert!(pairs.with_prior(&mean, &deviation).is_err());
}

#[test]
fn f32_keeps_its_columns_however_many_rows_there_are() {
    // Two columns that differ by 10⁻³ in f32, and 10⁵ rows: ε·m would be 0.01.
    let m = 100_000;
    let column = |j: usize, i: usize| 1.0 + 1e-3 * (j * (i % 2)) as f32;
    let fit = least_squares_dense(
        m,
        2,
        |x: &[f32], r: &mut [f32]| (0..m).for_each(|i| r[i] = x[0] * column(0, i) + x[1] * column(1, i) - 1.0),
        |_: &[f32], j: &mut [f32]| (0..2 * m).for_each(|at| j[at] = column(at / m, at % m)),
    );
    assert_eq!(covariance(&fit, &[0.2, 0.3]).unwrap().rank, 2);
}

#[test]
fn derived_quantities_have_the_errors_of_the_delta_method() {
    let line = line!(f64);
    let x = LevenbergMarquardt::default().minimize(&line, &[0.0, 0.0]).unwrap().x.clone();
    let found = covariance(&line, &x).unwrap();
    // The zero of the line, −x₀/x₁.
    let (value, error) = found.derived(&x, |x: &[f64]| -x[0] / x[1]).unwrap();
    let exact = found.standard_error_of(&[-1.0 / x[1], x[0] / (x[1] * x[1])]).unwrap();
    assert!(value == -x[0] / x[1] && (error / exact - 1.0).abs() < 1e-8, "{error} {exact}");
    assert!(found.derived(&x, |_: &[f64]| f64::NAN).is_err() && found.derived(&x[..1], |_: &[f64]| 0.0).is_err());
    let table = found.table(&["offset", "slope"], &x).unwrap().to_string();
    assert!(table.lines().count() == 2 && table.contains("slope ") && table.contains('±'), "{table}");
    assert!(ParameterTable::new(&["a"], &x, None).is_err());
}
