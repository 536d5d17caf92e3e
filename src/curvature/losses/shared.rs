//! What several losses need.

use crate::base::{Error, Result, Scalar, check_finite, check_positive_dimension};

/// Refuses targets that do not divide into samples of `outputs`, or are not finite.
pub(super) fn check_targets<T: Scalar>(argument: &'static str, targets: &[T], outputs: usize) -> Result<()> {
    check_positive_dimension("outputs", outputs)?;
    check_positive_dimension(argument, targets.len())?;
    if !targets.len().is_multiple_of(outputs) {
        let expected = targets.len().next_multiple_of(outputs);
        return Err(Error::Length { argument, expected, found: targets.len() });
    }
    check_finite(argument, targets)
}

/// out ← diag(d) v.
pub(super) fn multiply_diagonal<T: Scalar>(d: &[T], v: &[T], out: &mut [T]) {
    for ((out, &d), &v) in out.iter_mut().zip(d).zip(v) {
        *out = d * v;
    }
}

/// What rounding made negative is 0; NaN stays.
pub(super) fn not_negative(divergence: f64) -> f64 {
    if divergence < 0.0 { 0.0 } else { divergence }
}
