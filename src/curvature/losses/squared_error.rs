//! l(y, h) = ½‖h − y‖², up to a factor and a constant −log N(y; h, σ²I).
//!
//! ∇l = h − y and ∇²l = I. The score is (y − h)/σ² and F_h = I/σ², so that classical Gauss–Newton is σ² times Fisher.

use std::borrow::Cow;

use super::shared::Targets;
use crate::base::{Result, Scalar, SplitMix64, check_positive, kernels};
use crate::curvature::loss::{Likelihood, Loss};
use crate::operator::forward;

/// l(y, h) = ½‖h − y‖²; as a likelihood, normal with mean h and a fixed variance σ² in every output.
///
/// ```
/// use newton_krylov::losses::{Loss, SquaredError};
///
/// let loss = SquaredError::new(vec![1.0, 2.0, 3.0, 4.0], 2)?; // two samples of two outputs
/// assert_eq!(loss.value(1, &[3.0, 7.0]), 4.5);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SquaredError<'y, T: Clone> {
    targets: Targets<'y, T>,
    variance: f64,
}

impl<'y, T: Scalar> SquaredError<'y, T> {
    /// The loss for these targets, `outputs` of them for each sample, owned or borrowed. The variance is 1.
    ///
    /// # Errors
    /// If there are no outputs, the targets do not divide into samples, or one is NaN or infinite.
    pub fn new(targets: impl Into<Cow<'y, [T]>>, outputs: usize) -> Result<Self> {
        let targets = Targets::new("targets", targets.into(), outputs)?;
        Ok(SquaredError { targets, variance: 1.0 })
    }

    /// Sets σ², in units of the targets squared. Only the likelihood depends on it: score, Fisher and divergence.
    ///
    /// # Errors
    /// If it is not positive and finite.
    pub fn with_variance(mut self, variance: f64) -> Result<Self> {
        check_positive("variance", variance)?;
        self.variance = variance;
        Ok(self)
    }
}

impl<T: Scalar> Loss<T> for SquaredError<'_, T> {
    forward!(self.targets; samples, outputs_per_sample);
    fn value(&self, sample: usize, h: &[T]) -> f64 {
        0.5 * squared_distance(h, &self.targets[sample])
    }
    fn gradient(&self, sample: usize, h: &[T], out: &mut [T]) {
        for ((out, &h), &y) in out.iter_mut().zip(h).zip(&self.targets[sample]) {
            *out = h - y;
        }
    }
    fn curvature_len(&self) -> usize {
        1
    }
    fn hessian(&self, _: usize, _: &[T], out: &mut [T]) {
        out[0] = T::one();
    }
    fn multiply(&self, curvature: &[T], v: &[T], out: &mut [T]) {
        for (out, &v) in out.iter_mut().zip(v) {
            *out = curvature[0] * v;
        }
    }
    fn likelihood(&self) -> Option<&dyn Likelihood<T>> {
        Some(self)
    }
}

impl<T: Scalar> Likelihood<T> for SquaredError<'_, T> {
    fn score(&self, sample: usize, h: &[T], out: &mut [T]) {
        let precision = T::from_f64(1.0 / self.variance);
        for ((out, &h), &y) in out.iter_mut().zip(h).zip(&self.targets[sample]) {
            *out = precision * (y - h);
        }
    }
    fn draw_score(&self, _: usize, _: &[T], random: &mut SplitMix64, out: &mut [T]) {
        let deviation = self.variance.sqrt();
        out.iter_mut().for_each(|out| *out = T::from_f64(random.normal() / deviation));
    }
    fn fisher(&self, _: usize, _: &[T], out: &mut [T]) {
        out[0] = T::from_f64(1.0 / self.variance);
    }
    fn divergence(&self, _: usize, before: &[T], after: &[T]) -> f64 {
        0.5 * squared_distance(before, after) / self.variance
    }
}

/// ‖a − b‖², the differences taken in `f64`.
fn squared_distance<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    kernels::sum_terms(a.len(), |i| {
        let difference: f64 = a[i].into() - b[i].into();
        difference * difference
    })
}
