//! Numbers and vectors that the checks share.

use crate::base::{Scalar, random::SplitMix64};

/// Pairs of vectors for each identity.
pub(super) const PAIRS: usize = 3;

/// A normal vector.
pub(super) fn normal<T: Scalar>(len: usize, random: &mut SplitMix64) -> Vec<T> {
    (0..len).map(|_| T::from_f64(random.normal())).collect()
}

/// The larger, or NaN if either is.
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b <= a { a } else { b }
}

pub(super) fn ratio(numerator: f64, denominator: f64) -> f64 {
    if numerator == 0.0 { 0.0 } else { numerator / denominator }
}
