//! Everything that fixes how a run goes on, and nothing else.

use std::time::Duration;

use crate::base::{Error, Result, Scalar, check_finite, check_length, check_range};
use crate::control::{Batches, Iteration};
use crate::operator::Counts;

/// The state of a Hessian-free run between two iterations: saved and loaded (feature `serde`, for instance with
/// [`checkpoint`](crate::checkpoint)), the run goes on bitwise as if it had not been interrupted.
///
/// `P` is the preconditioner. Storage: 3 vectors of length d, the preconditioner, and the history.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HessianFreeState<T, P = ()> {
    pub(super) x: Vec<T>,
    /// What the next step starts from: the last step, or the last solution of conjugate gradients; 0 if there is none.
    pub(super) step: Vec<T>,
    /// λ.
    pub(super) damping: f64,
    pub(super) preconditioner: P,
    pub(super) batches: Batches,
    /// Iterations, those without a step included.
    pub(super) iterations: usize,
    /// Iterations in a row without a step, and how many of them for want of a finite number.
    pub(super) failures: usize,
    pub(super) not_finite: usize,
    /// f(x) on the whole set, where it is known.
    pub(super) value: Option<f64>,
    /// The best point whose value is known.
    pub(super) best: Vec<T>,
    pub(super) best_value: f64,
    /// Samples in gradients since a value on the whole set was computed.
    pub(super) since_value: usize,
    pub(super) initial_value: f64,
    pub(super) initial_gradient_norm: Option<f64>,
    pub(super) gradient_norm: f64,
    pub(super) counts: Counts,
    /// Values, gradients and products times the samples of each.
    pub(super) sample_counts: Counts,
    pub(super) seconds: f64,
    pub(super) asymmetry: f64,
    pub(super) history: Vec<Iteration>,
}

impl<T: Scalar, P> HessianFreeState<T, P> {
    /// x, where the run is.
    pub fn x(&self) -> &[T] {
        &self.x
    }

    /// Iterations so far, those whose step was not taken included.
    pub fn iterations(&self) -> usize {
        self.iterations
    }

    /// λ.
    pub fn damping(&self) -> f64 {
        self.damping
    }

    /// The wall time of the run, without the time between its parts.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Refuses a state that was saved for another objective, or that no run has ever been in.
    pub(super) fn check(&self, dim: usize, samples: usize) -> Result<()> {
        check_length("the state's x", &self.x, dim)?;
        check_length("the state's step", &self.step, dim)?;
        check_length("the state's best x", &self.best, dim)?;
        check_finite("the state's x", &self.x)?;
        check_finite("the state's step", &self.step)?;
        let found = self.batches.samples();
        if found != samples {
            return Err(Error::Length { argument: "the state's set of samples", expected: samples, found });
        }
        let (damping, seconds) = (self.damping, self.seconds);
        let holds = damping > 0.0 && damping.is_finite();
        check_range("the state's damping", damping, holds, "positive and finite")?;
        let holds = Duration::try_from_secs_f64(seconds).is_ok();
        check_range("the state's seconds", seconds, holds, "at least 0 and the length of a run")?;
        for Counts { values, gradients, products, .. } in [self.counts, self.sample_counts] {
            let most = values.max(gradients).max(products);
            check_range(
                "a count of the state",
                most as f64,
                most <= usize::MAX / 2,
                "at most half the largest number of its type",
            )?;
        }
        Ok(())
    }
}
