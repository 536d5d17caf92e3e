//! What residuals, and decreases of half the sum of their squares, are accurate to.

use crate::base::Scalar;
use crate::control::rounding;

/// What residuals are accurate to.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Errors {
    /// t, the size of the terms that make up the residuals. Their rounding is in r.
    pub terms: f64,
    /// The standard deviation of a residual, where that was found to be more than rounding.
    pub noise: f64,
}

impl Errors {
    /// What of a residual is rounding of its terms, or noise.
    pub fn of_residual<T: Scalar>(&self) -> f64 {
        (T::epsilon_f64() * self.terms).max(self.noise)
    }

    /// What of a decrease from `value` may be so, where x is not given to its own digits but to those of something longer
    /// by `further`.
    pub fn of_decrease<T: Scalar>(&self, value: f64, decrease: f64, further: f64) -> f64 {
        let of_residual = Errors { terms: self.terms + further, ..*self }.of_residual::<T>();
        rounding(T::epsilon_f64(), value, value - decrease) + of_residual * (2.0 * value).sqrt()
    }
}
