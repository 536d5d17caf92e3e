//! A model that can be restricted to batches: a batch is its samples, and each is a model with the right products.

use std::fmt;

use super::numbers::{larger, normal, ratio};
use super::table::{write_failures, write_table};
use super::{Finding, LeastSquaresVerdict, Outcome, Property, check_point, least_squares, tolerance};
use crate::base::{Result, Scalar, check_callback, check_positive_dimension, kernels, random::SplitMix64};
use crate::curvature::LeastSquares;
use crate::operator::{Model, SampledModel};

/// Samples in the batch that is examined; the first of them comes twice.
const BATCH: usize = 4;

/// What was found about a sampled model.
///
/// Its `Display` is a table, with a sentence for every check that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct SampledModelVerdict {
    /// A batch has the model's dimension, and k outputs for each sample.
    pub dimension: Finding,
    /// The outputs of a batch are those of its samples, one after the other.
    pub batches: Finding,
    /// The batch by itself: its outputs (here "residuals"), and the products of its Jacobian.
    pub model: LeastSquaresVerdict,
}

/// Checks a sampled model at the parameters `x`, on a batch of four samples drawn with `seed`, one of them twice. Costs what
/// [`least_squares`] does on the batch, and the outputs of its samples.
///
/// # Errors
/// If there are no samples or outputs, or `x` has the wrong length or is not finite; what a callback returned as an error.
pub fn sampled_model<T: Scalar>(model: &impl SampledModel<T>, x: &[T], seed: u64) -> Result<SampledModelVerdict> {
    let (count, k) = (model.samples(), model.outputs_per_sample());
    check_positive_dimension("the number of samples", count)?;
    check_positive_dimension("the number of outputs per sample", k)?;
    check_point(model.dim(), x)?;
    let mut random = SplitMix64::new(seed);
    let mut samples: Vec<usize> = (1..BATCH).map(|_| (random.next_u64() % count as u64) as usize).collect();
    samples.push(samples[0]);
    let batch = model.batch(&samples);
    let dimension = if batch.dim() != x.len() {
        Outcome::DimensionDiffers { objective: x.len(), expansion: batch.dim() }
    } else if batch.output_dim() != k * BATCH {
        Outcome::DimensionDiffers { objective: k * BATCH, expansion: batch.output_dim() }
    } else {
        Outcome::Passed
    };
    let mut verdict = SampledModelVerdict {
        dimension: Finding::exact(Property::Dimension, dimension),
        batches: Finding::skipped(Property::Batches),
        model: LeastSquaresVerdict::skipped(),
    };
    if !dimension.passed() {
        return Ok(verdict);
    }
    let mut whole: Vec<T> = normal(k * BATCH, &mut random);
    batch.evaluate(x, &mut whole);
    let mut error = 0.0_f64;
    for (sample, together) in samples.chunks(1).zip(whole.chunks(k)) {
        let single = model.batch(sample);
        let mut alone = vec![T::nan(); k];
        if single.output_dim() == k {
            single.evaluate(x, &mut alone);
        }
        check_callback(single.take_error())?;
        let size = kernels::norm(&alone) + kernels::norm(together);
        kernels::axpy(-1.0, together, &mut alone);
        error = larger(error, ratio(kernels::norm(&alone), size));
    }
    check_callback(batch.take_error())?;
    verdict.batches = Finding::measured(Property::Batches, error, tolerance::<T>(), Outcome::BatchDiffers);
    verdict.model = least_squares(&LeastSquares::new(batch), x, seed)?;
    Ok(verdict)
}

impl SampledModelVerdict {
    /// Whether every check passed.
    pub fn passed(&self) -> bool {
        self.dimension.passed() && self.batches.passed() && self.model.passed()
    }
}

impl fmt::Display for SampledModelVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let findings = [&self.dimension, &self.batches];
        write_table(f, &findings, &[])?;
        write_failures(f, &findings)?;
        write!(f, "{}", self.model)
    }
}
