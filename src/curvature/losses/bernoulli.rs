//! l(y, h) = −y log p − (1 − y) log(1 − p) with p = 1/(1 + e⁻ʰ), summed over the outputs.
//!
//! ∇l = p − y and ∇²l = F_h = p(1 − p), diagonal. With e = exp(−|h|) all of them are written without a difference of
//! numbers that are nearly equal: log(1 + eʰ) = max(h, 0) + log(1 + e), and 1 − p = e/(1 + e) for h ≥ 0.

use std::borrow::Cow;

use super::shared::{Targets, multiply_diagonal, not_negative};
use crate::base::{Result, Scalar, SplitMix64, kernels};
use crate::curvature::exponential_family::softplus;
use crate::curvature::loss::{Likelihood, Loss};
use crate::operator::forward;

/// l(y, h) = Σⱼ log(1 + exp hⱼ) − yⱼhⱼ for targets y in \[0, 1\]; the outputs h are logits.
///
/// Each output is a coin of its own. Targets between 0 and 1 are mean outcomes, such as grey values.
///
/// ```
/// use newton_krylov::losses::{BernoulliCrossEntropy, Loss};
///
/// let loss = BernoulliCrossEntropy::new(vec![1.0, 0.0, 0.25, 1.0], 2)?; // two samples of two outputs
/// assert_eq!(loss.value(0, &[1e4, -1e4]), 0.0);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BernoulliCrossEntropy<'y, T: Clone> {
    targets: Targets<'y, T>,
}

impl<'y, T: Scalar> BernoulliCrossEntropy<'y, T> {
    /// The loss for these targets, `outputs` of them for each sample, owned or borrowed.
    ///
    /// # Errors
    /// If there are no outputs, the targets do not divide into samples, or one is not in \[0, 1\].
    pub fn new(targets: impl Into<Cow<'y, [T]>>, outputs: usize) -> Result<Self> {
        let targets = Targets::new("targets", targets.into(), outputs)?;
        targets.check("targets", |y| T::zero() <= y && y <= T::one(), "between 0 and 1")?;
        Ok(BernoulliCrossEntropy { targets })
    }
}

/// Outputs whose logarithms are computed together.
const BLOCK: usize = 64;

/// p and 1 − p from h and e = exp(−|h|).
fn probabilities<T: Scalar>(h: T, e: T) -> (T, T) {
    let (larger, smaller) = (T::one() / (T::one() + e), e / (T::one() + e));
    if h >= T::zero() { (larger, smaller) } else { (smaller, larger) }
}

impl<T: Scalar> Loss<T> for BernoulliCrossEntropy<'_, T> {
    forward!(self.targets; samples, outputs_per_sample);
    fn value(&self, sample: usize, h: &[T]) -> f64 {
        let mut room = [T::zero(); BLOCK];
        let blocks = h.chunks(BLOCK).zip(self.targets[sample].chunks(BLOCK));
        let sums = blocks.map(|(h, y)| {
            let log = &mut room[..h.len()];
            log.copy_from_slice(h);
            T::exp_minus_abs_all(log);
            T::ln_1p_all(log);
            kernels::sum_terms(h.len(), |j| {
                let (h, y): (f64, f64) = (h[j].into(), y[j].into());
                let linear = if h >= 0.0 { (1.0 - y) * h } else { -y * h };
                linear + log[j].into()
            })
        });
        sums.sum()
    }
    fn gradient(&self, sample: usize, h: &[T], out: &mut [T]) {
        out.copy_from_slice(h);
        T::exp_minus_abs_all(out);
        for ((out, &h), &y) in out.iter_mut().zip(h).zip(&self.targets[sample]) {
            let (p, rest) = probabilities(h, *out);
            *out = if h >= T::zero() { (T::one() - y) - rest } else { p - y };
        }
    }
    fn curvature_len(&self) -> usize {
        self.targets.count
    }
    fn hessian(&self, _: usize, h: &[T], out: &mut [T]) {
        out.copy_from_slice(h);
        T::exp_minus_abs_all(out);
        for (out, &h) in out.iter_mut().zip(h) {
            let (p, rest) = probabilities(h, *out);
            *out = p * rest;
        }
    }
    fn multiply(&self, curvature: &[T], v: &[T], out: &mut [T]) {
        multiply_diagonal(curvature, v, out);
    }
    fn likelihood(&self) -> Option<&dyn Likelihood<T>> {
        Some(self)
    }
}

impl<T: Scalar> Likelihood<T> for BernoulliCrossEntropy<'_, T> {
    fn draw_score(&self, _: usize, h: &[T], random: &mut SplitMix64, out: &mut [T]) {
        out.copy_from_slice(h);
        T::exp_minus_abs_all(out);
        for (out, &h) in out.iter_mut().zip(h) {
            let (p, rest) = probabilities(h, *out);
            *out = if random.uniform() < p.into() { rest } else { -p };
        }
    }
    fn fisher(&self, sample: usize, h: &[T], out: &mut [T]) {
        self.hessian(sample, h, out);
    }
    fn divergence(&self, _: usize, before: &[T], after: &[T]) -> f64 {
        // p(a − b) + log(1 + eᵇ) − log(1 + eᵃ), and log(1 + p(eᵈ − 1)) − pd for the small d = b − a.
        let sum = kernels::sum_terms(before.len(), |j| {
            let (a, b): (f64, f64) = (before[j].into(), after[j].into());
            let (p, d) = (probabilities(a, (-a.abs()).exp()).0, b - a);
            if d.abs() <= 1.0 { (p * d.exp_m1()).ln_1p() - p * d } else { softplus(b) - softplus(a) - p * d }
        });
        not_negative(sum)
    }
}
