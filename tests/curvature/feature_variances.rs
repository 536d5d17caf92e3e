//! The preconditioner of features' variances.

use newton_krylov::preconditioners::{DiagonalPreconditioner, Preconditioner};

#[test]
fn variances_survive_a_large_mean() {
    let rows: Vec<[f64; 2]> = (0..1000).map(|i| [1e8 + (i % 2) as f64, 1e-5 * (i % 3) as f64]).collect();
    let p = DiagonalPreconditioner::from_feature_variances(2, rows.iter().map(|row| &row[..])).unwrap();
    let mut r = [1.0; 2];
    p.precondition(0.0, &mut r);
    assert!((r[0] / 4.0 - 1.0).abs() < 1e-6, "{r:?}");
    assert!((r[1] * 1e-10 * 2.0 / 3.0 - 1.0).abs() < 1e-2, "{r:?}");
}

#[test]
fn mistakes_are_refused() {
    let p = |features, rows: &[&[f32]]| DiagonalPreconditioner::from_feature_variances(features, rows.iter().copied());
    assert!(p(0, &[]).is_err() && p(1, &[]).is_err());
    assert!(p(1, &[&[1.0, 2.0]]).is_err() && p(1, &[&[f32::NAN]]).is_err());
    assert!(p(1, &[&[1.0]]).is_ok());
}
