//! l(y, h) = eʰ − yh, up to a constant −log of the Poisson probability of the count y at the rate λ = eʰ, summed over the
//! outputs. ∇l = λ − y and ∇²l = F_h = λ, diagonal.

use std::borrow::Cow;

use super::shared::{Targets, multiply_diagonal, not_negative};
use crate::base::{Result, Scalar, SplitMix64, kernels};
use crate::curvature::exponential_family::poisson_divergence;
use crate::curvature::loss::{Likelihood, Loss};
use crate::operator::forward;

/// l(y, h) = Σⱼ exp hⱼ − yⱼhⱼ for counts y ≥ 0; the outputs h are logarithms of rates.
///
/// ```
/// use newton_krylov::losses::{Loss, PoissonLoss};
///
/// let loss = PoissonLoss::new(vec![3.0, 0.0], 1)?; // two samples of one output
/// assert_eq!(loss.value(0, &[0.0]), 1.0);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PoissonLoss<'y, T: Clone> {
    counts: Targets<'y, T>,
}

impl<'y, T: Scalar> PoissonLoss<'y, T> {
    /// The loss for these counts, `outputs` of them for each sample, owned or borrowed.
    ///
    /// # Errors
    /// If there are no outputs, the counts do not divide into samples, or one is negative, NaN or infinite.
    pub fn new(counts: impl Into<Cow<'y, [T]>>, outputs: usize) -> Result<Self> {
        let counts = Targets::new("counts", counts.into(), outputs)?;
        counts.check("counts", |y| y >= T::zero(), "at least 0")?;
        Ok(PoissonLoss { counts })
    }
}

impl<T: Scalar> Loss<T> for PoissonLoss<'_, T> {
    forward!(self.counts; samples, outputs_per_sample);
    fn value(&self, sample: usize, h: &[T]) -> f64 {
        let y = &self.counts[sample];
        kernels::sum_terms(h.len(), |j| {
            let (h, y): (f64, f64) = (h[j].into(), y[j].into());
            h.exp() - y * h
        })
    }
    fn gradient(&self, sample: usize, h: &[T], out: &mut [T]) {
        for ((out, &h), &y) in out.iter_mut().zip(h).zip(&self.counts[sample]) {
            *out = h.exp() - y;
        }
    }
    fn curvature_len(&self) -> usize {
        self.counts.count
    }
    fn hessian(&self, _: usize, h: &[T], out: &mut [T]) {
        out.iter_mut().zip(h).for_each(|(out, h)| *out = h.exp());
    }
    fn multiply(&self, curvature: &[T], v: &[T], out: &mut [T]) {
        multiply_diagonal(curvature, v, out);
    }
    fn likelihood(&self) -> Option<&dyn Likelihood<T>> {
        Some(self)
    }
}

impl<T: Scalar> Likelihood<T> for PoissonLoss<'_, T> {
    fn draw_score(&self, _: usize, h: &[T], random: &mut SplitMix64, out: &mut [T]) {
        for (out, &h) in out.iter_mut().zip(h) {
            let rate = h.into().exp();
            *out = T::from_f64(deviation(rate, random));
        }
    }
    fn fisher(&self, sample: usize, h: &[T], out: &mut [T]) {
        self.hessian(sample, h, out);
    }
    fn divergence(&self, _: usize, before: &[T], after: &[T]) -> f64 {
        not_negative(kernels::sum_terms(before.len(), |j| poisson_divergence(before[j].into(), after[j].into())))
    }
}

/// Rates up to which counts are drawn exactly.
const EXACT: f64 = 64.0;
/// A rate whose exponential is far from underflow.
const PIECE: f64 = 16.0;

/// ŷ − λ for a count ŷ of rate λ: by Knuth's products of uniform numbers (*The Art of Computer Programming* 2, section
/// 3.4.1) for pieces of the rate. Beyond [`EXACT`] it is a normal number with the same variance, all that the Fisher
/// matrix depends on.
fn deviation(rate: f64, random: &mut SplitMix64) -> f64 {
    if rate > EXACT {
        return rate.sqrt() * random.normal();
    }
    let (mut left, mut count) = (rate, 0.0);
    while left > 0.0 {
        let limit = (-left.min(PIECE)).exp();
        let mut product = random.uniform();
        while product > limit {
            product *= random.uniform();
            count += 1.0;
        }
        left -= PIECE;
    }
    count - rate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_mean_and_variance_of_their_rate() {
        for rate in [0.1, 3.0, 40.0, 63.9, 1000.0] {
            let (n, mut random) = (40_000, SplitMix64::new(3));
            let draws: Vec<f64> = (0..n).map(|_| deviation(rate, &mut random)).collect();
            let mean = draws.iter().sum::<f64>() / n as f64;
            let variance = draws.iter().map(|d| d * d).sum::<f64>() / n as f64;
            // Standard errors: √(λ/n), and √((2λ² + λ)/n).
            assert!(mean.abs() < 4.0 * (rate / n as f64).sqrt(), "{rate}: {mean}");
            let error = ((2.0 * rate * rate + rate) / n as f64).sqrt();
            assert!((variance - rate).abs() < 4.0 * error, "{rate}: {variance}");
        }
        assert!(deviation(f64::NAN, &mut SplitMix64::new(0)).is_nan());
    }
}
