//! Preconditioners that learn during a run, from the samples of one iteration after the other.
//!
//! The diagonal one is Martens' (2010, section 4.7): P = (1/|B| Σᵢ ∇fᵢ ∘ ∇fᵢ + λ)^α, the diagonal of the empirical Fisher
//! matrix with the damping, raised to the power α = ¾, which keeps its condition number in bounds.

use super::product_record::ProductRecord;
use crate::base::{Result, Scalar, Stored, check_count, check_length, check_range};
use crate::operator::{Counts, Expansion, Objective, Preconditioner, SampledObjective};

/// P⁻¹ for a symmetric positive definite P ≈ M + λI that is learned during a run on an objective `S`.
///
/// It belongs to the state of the run: with the feature `serde` it has to be serialisable, in full, so that a resumed run
/// goes on as if it had not been interrupted. `()` is the preconditioner that the objective's own operators have, if any.
pub trait LearnedPreconditioner<T, S: ?Sized>: Stored {
    /// Learns from the samples `samples` at x, under the damping λ. Called once in every iteration, before
    /// [`preconditioner`](Self::preconditioner) is asked for with the same λ; not where the run may not make as many products as
    /// [`next_products`](Self::next_products) says. Returns what it has called.
    fn learn(&mut self, objective: &S, x: &[T], samples: &[usize], damping: f64) -> LearningCost;

    /// Products that the next call of [`learn`](Self::learn) makes for d unknowns. Default: none.
    fn next_products(&self, dim: usize) -> usize {
        let _ = dim;
        0
    }

    /// How many of the products of a solve [`learn_products`](Self::learn_products) wants to see, at most 32. Default: none.
    fn pairs(&self) -> usize {
        0
    }

    /// Learns from the products of the solve that has ended, if [`pairs`](Self::pairs) were wanted. It may take the record's
    /// contents.
    fn learn_products(&mut self, record: &mut ProductRecord<T>) {
        let _ = record;
    }

    /// P⁻¹, whose shift is the damping λ; `None` while nothing is known.
    fn preconditioner(&self) -> Option<&dyn Preconditioner<T>>;

    /// Refuses a preconditioner that was saved for another objective.
    ///
    /// # Errors
    /// If what it has learned has other shapes than the objective needs.
    fn fits(&self, objective: &S) -> Result<()>;
}

/// What a preconditioner has called to learn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LearningCost {
    /// Calls, on batches of any size.
    pub calls: Counts,
    /// Calls times the samples of each.
    pub samples: Counts,
}

impl LearningCost {
    /// So many calls, each on a batch of `samples`.
    pub fn on(samples: usize, calls: Counts) -> Self {
        let Counts { values, gradients, products, .. } = calls;
        let samples =
            Counts { values: values * samples, gradients: gradients * samples, products: products * samples, ..calls };
        LearningCost { calls, samples }
    }
}

impl<T, S: ?Sized> LearnedPreconditioner<T, S> for () {
    fn learn(&mut self, _: &S, _: &[T], _: &[usize], _: f64) -> LearningCost {
        LearningCost::default()
    }
    fn preconditioner(&self) -> Option<&dyn Preconditioner<T>> {
        None
    }
    fn fits(&self, _: &S) -> Result<()> {
        Ok(())
    }
}

/// r ← (D + λ)^−α r with the diagonal D of the empirical Fisher matrix.
///
/// Every iteration takes the gradients of single samples, as many as it was made for: for networks the
/// dearest way to a preconditioner, but one that works for every objective. Storage: 2 vectors.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EmpiricalFisherDiagonal<T> {
    exponent: f64,
    samples: usize,
    diagonal: Vec<T>,
}

impl<T: Scalar> EmpiricalFisherDiagonal<T> {
    /// With the exponent α (Martens: 0.75), learned from at most `samples` samples of each iteration.
    ///
    /// # Errors
    /// If the exponent is not in (0, 1], or `samples` is 0.
    pub fn new(exponent: f64, samples: usize) -> Result<Self> {
        check_range("exponent", exponent, exponent > 0.0 && exponent <= 1.0, "above 0 and at most 1")?;
        check_count("samples", samples, 1, "at least 1")?;
        Ok(EmpiricalFisherDiagonal { exponent, samples, diagonal: vec![] })
    }
}

impl<T: Scalar> Preconditioner<T> for EmpiricalFisherDiagonal<T> {
    fn precondition(&self, damping: f64, r: &mut [T]) {
        let damping = T::from_f64(damping);
        let exponent = T::from_f64(-self.exponent);
        for (r, &d) in r.iter_mut().zip(&self.diagonal) {
            *r *= (d + damping).powf(exponent);
        }
    }
}

impl<T: Scalar, S: SampledObjective<T>> LearnedPreconditioner<T, S> for EmpiricalFisherDiagonal<T> {
    fn learn(&mut self, objective: &S, x: &[T], samples: &[usize], _: f64) -> LearningCost {
        let used = &samples[..self.samples.min(samples.len())];
        let mut gradient = vec![T::zero(); x.len()];
        self.diagonal.clear();
        self.diagonal.resize(x.len(), T::zero());
        let weight = T::from_f64((used.len() as f64).recip());
        for sample in used.chunks(1) {
            objective.batch(sample).expand(x).gradient(&mut gradient);
            for (d, &g) in self.diagonal.iter_mut().zip(&gradient) {
                *d += weight * g * g;
            }
        }
        // What is not finite must not spread to the step.
        self.diagonal.iter_mut().filter(|d| !d.is_finite()).for_each(|d| *d = T::zero());
        LearningCost::on(1, Counts { gradients: used.len(), ..Counts::default() })
    }

    fn preconditioner(&self) -> Option<&dyn Preconditioner<T>> {
        (!self.diagonal.is_empty()).then_some(self)
    }

    fn fits(&self, objective: &S) -> Result<()> {
        if self.diagonal.is_empty() { Ok(()) } else { check_length("preconditioner", &self.diagonal, objective.dim()) }
    }
}
