//! l(y, h) = ½ρ(s) with s = ‖r‖², r = h − y, and a robust ρ.
//!
//! ∇l = ρ′r and ∇²l = ρ′I + 2ρ″rrᵀ, whose eigenvalue along r, κ = ρ′ + 2ρ″s, is negative for outliers where ρ is not
//! convex in ‖r‖. The positive semidefinite part of ∇²l has 0 there instead. (The least-squares loop keeps a tenth of ρ′,
//! since it needs W's square root and divides by it.)

use std::borrow::Cow;

use super::shared::Targets;
use crate::base::{Result, Scalar, kernels};
use crate::curvature::loss::Loss;
use crate::curvature::robust::RobustLoss;
use crate::operator::forward;

/// l(y, h) = ½ρ(‖h − y‖²) with a [`RobustLoss`] ρ of the residuals of a sample: large ones count less.
///
/// It is not taken for the logarithm of a likelihood: Fisher metrics are not to be had.
///
/// ```
/// use newton_krylov::losses::{Cauchy, Loss, RobustError};
///
/// let loss = RobustError::new(vec![1.0, 1.0, 0.0, 0.0], 2, Cauchy::new(1.0)?)?; // two samples of two outputs
/// assert_eq!(loss.value(1, &[3.0, 4.0]), 0.5 * 26f64.ln());
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RobustError<'y, T: Clone, R> {
    targets: Targets<'y, T>,
    robust: R,
}

impl<'y, T: Scalar, R: RobustLoss + Sync> RobustError<'y, T, R> {
    /// The loss for these targets, `outputs` of them for each sample, owned or borrowed.
    ///
    /// # Errors
    /// If there are no outputs, the targets do not divide into samples, or one is NaN or infinite.
    pub fn new(targets: impl Into<Cow<'y, [T]>>, outputs: usize, robust: R) -> Result<Self> {
        Ok(RobustError { targets: Targets::new("targets", targets.into(), outputs)?, robust })
    }

    fn residual(&self, sample: usize, h: &[T], j: usize) -> f64 {
        h[j].into() - self.targets[sample][j].into()
    }

    /// s, and ρ, ρ′ and ρ″ there.
    fn evaluate(&self, sample: usize, h: &[T]) -> (f64, [f64; 3]) {
        let s = kernels::sum_terms(self.targets.count, |j| self.residual(sample, h, j).powi(2));
        (s, self.robust.evaluate(s))
    }

    /// Writes ρ′, the coefficient c, and r̂, for W = ρ′I + c r̂r̂ᵀ.
    fn write(&self, sample: usize, h: &[T], out: &mut [T], along: impl Fn(f64, f64) -> f64) {
        let (s, [_, first, second]) = self.evaluate(sample, h);
        out[0] = T::from_f64(first);
        out[1] = T::from_f64(along(first, 2.0 * second * s));
        let inverse = if s == 0.0 { 0.0 } else { 1.0 / s.sqrt() };
        (0..self.targets.count).for_each(|j| out[2 + j] = T::from_f64(inverse * self.residual(sample, h, j)));
    }
}

impl<T: Scalar, R: RobustLoss + Sync> Loss<T> for RobustError<'_, T, R> {
    forward!(self.targets; samples, outputs_per_sample);
    fn value(&self, sample: usize, h: &[T]) -> f64 {
        0.5 * self.evaluate(sample, h).1[0]
    }
    fn gradient(&self, sample: usize, h: &[T], out: &mut [T]) {
        let (_, [_, first, _]) = self.evaluate(sample, h);
        for (j, out) in out.iter_mut().enumerate() {
            *out = T::from_f64(first * self.residual(sample, h, j));
        }
    }
    fn curvature_len(&self) -> usize {
        2 + self.targets.count
    }
    fn hessian(&self, sample: usize, h: &[T], out: &mut [T]) {
        self.write(sample, h, out, |_, excess| excess);
    }
    fn positive_hessian(&self, sample: usize, h: &[T], out: &mut [T]) {
        self.write(sample, h, out, |first, excess| excess.max(-first));
    }
    fn multiply(&self, curvature: &[T], v: &[T], out: &mut [T]) {
        let direction = &curvature[2..];
        let along = curvature[1] * T::from_f64(kernels::row_dot(direction, v));
        for ((out, &v), &r) in out.iter_mut().zip(v).zip(direction) {
            *out = curvature[0] * v + along * r;
        }
    }
}
