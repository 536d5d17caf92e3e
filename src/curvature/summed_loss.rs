//! A loss over the stacked outputs of all samples of a batch: loops over samples, in parallel, and their mean.

use super::loss::{Likelihood, Loss};
use crate::base::{Scalar, SplitMix64, kernels};

/// A loss and the samples that it is the mean over: all of them, or a batch with the given indices.
#[derive(Clone, Copy, Debug)]
pub(super) struct SummedLoss<'s, L> {
    pub loss: L,
    pub batch: Option<&'s [usize]>,
}

impl<L> SummedLoss<'_, L> {
    /// Samples in the batch.
    pub fn count<T: Scalar>(&self) -> usize
    where
        L: Loss<T>,
    {
        self.batch.map_or(self.loss.samples(), <[usize]>::len)
    }

    fn sample(&self, row: usize) -> usize {
        self.batch.map_or(row, |batch| batch[row])
    }

    /// 1/N Σ l(yᵢ, hᵢ).
    pub fn value<T: Scalar>(&self, h: &[T]) -> f64
    where
        L: Loss<T>,
    {
        let (count, k) = (self.count(), self.loss.outputs_per_sample());
        let term = |row: usize| self.loss.value(self.sample(row), &h[row * k..(row + 1) * k]);
        kernels::sum_rows(count, k, &term) / count as f64
    }

    /// 1/N Σ KL(p(· | beforeᵢ) ‖ p(· | afterᵢ)); `None` without a likelihood.
    pub fn divergence<T: Scalar>(&self, before: &[T], after: &[T]) -> Option<f64>
    where
        L: Loss<T>,
    {
        let (count, k) = (self.count(), self.loss.outputs_per_sample());
        let likelihood = self.loss.likelihood()?;
        let term = |row: usize| {
            let outputs = row * k..(row + 1) * k;
            likelihood.divergence(self.sample(row), &before[outputs.clone()], &after[outputs])
        };
        Some(kernels::sum_rows(count, k, &term) / count as f64)
    }

    /// out ← ∇l for every sample, not divided by N.
    pub fn gradients<T: Scalar>(&self, h: &[T], out: &mut [T])
    where
        L: Loss<T>,
    {
        let k = self.loss.outputs_per_sample();
        kernels::for_rows(out, k, &|row, out| self.loss.gradient(self.sample(row), &h[row * k..(row + 1) * k], out));
    }

    /// out ← `write(sample, hᵢ, ·)` for every sample, `width` numbers each.
    pub fn write<T: Scalar>(&self, h: &[T], width: usize, out: &mut [T], write: impl Fn(usize, &[T], &mut [T]) + Sync)
    where
        L: Loss<T>,
    {
        let k = self.loss.outputs_per_sample();
        kernels::for_rows(out, width, &|row, out| write(self.sample(row), &h[row * k..(row + 1) * k], out));
    }

    /// out ← `draws` scores ŝ for every sample, at targets drawn from the likelihood. Each sample has its own stream of random
    /// numbers, fixed by the seed, the batch and the sample's place in it.
    pub fn draw_scores<T: Scalar>(
        &self,
        likelihood: &dyn Likelihood<T>,
        h: &[T],
        seed: u64,
        draws: usize,
        out: &mut [T],
    ) where
        L: Loss<T>,
    {
        let k = self.loss.outputs_per_sample();
        let key = SplitMix64::new(seed).next_u64() ^ self.key();
        kernels::for_rows(out, k * draws, &|row, out| {
            let mut random = SplitMix64::new(SplitMix64::new(key.wrapping_add(row as u64)).next_u64());
            for score in out.chunks_exact_mut(k) {
                likelihood.draw_score(self.sample(row), &h[row * k..(row + 1) * k], &mut random, score);
            }
        });
    }

    /// Which samples these are and in which order, mixed into one number; 0 for the whole set.
    fn key(&self) -> u64 {
        let mix = |key: u64, &i: &usize| SplitMix64::new(key).next_u64() ^ i as u64;
        self.batch.map_or(0, |batch| SplitMix64::new(batch.iter().fold(batch.len() as u64, mix)).next_u64())
    }
}
