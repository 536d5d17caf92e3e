//! Where values and gradients come from: the whole objective, or a batch at a time.

use std::cell::Cell;

use crate::base::{CallbackError, Scalar, kernels};
use crate::control::Batches;
use crate::operator::{AnyObjective, AnySampledObjective, Caller, Counted, Counts, Expansion, Objective};

/// P⁻¹g, where the objective has a preconditioner P and the method wants it.
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Preconditioned<T> {
    Unwanted,
    /// Filled by every evaluation.
    Wanted(Vec<T>),
}

impl<T: Scalar> Preconditioned<T> {
    pub fn new(wanted: bool, dim: usize) -> Self {
        if wanted { Preconditioned::Wanted(vec![T::zero(); dim]) } else { Preconditioned::Unwanted }
    }

    /// P⁻¹g, or where there is none the gradient itself.
    pub fn or<'a>(&'a self, gradient: &'a [T]) -> &'a [T] {
        match self {
            Preconditioned::Unwanted => gradient,
            Preconditioned::Wanted(direction) => direction,
        }
    }

    pub fn vectors(&self) -> usize {
        match self {
            Preconditioned::Unwanted => 0,
            Preconditioned::Wanted(_) => 1,
        }
    }

    /// Asks for P⁻¹g; an objective without a preconditioner is not asked again.
    fn fill(&mut self, expansion: &impl Expansion<T>, gradient: &[T]) {
        if let Preconditioned::Wanted(direction) = self {
            match expansion.preconditioner() {
                Some(preconditioner) => {
                    direction.copy_from_slice(gradient);
                    preconditioner.precondition(0.0, direction);
                }
                None => *self = Preconditioned::Unwanted,
            }
        }
    }
}

/// A source of values and gradients.
pub(super) trait Oracle<T>: Caller {
    /// Whether they are those of f itself, not of a batch.
    const EXACT: bool;

    /// f(x), with its gradient, which is NaN where f is not finite: it is not asked for.
    fn evaluate(&mut self, x: &[T], gradient: &mut [T], preconditioned: &mut Preconditioned<T>) -> f64;

    /// f(x) of the whole, with its gradient.
    fn whole(&mut self, x: &[T], gradient: &mut [T]) -> f64
    where
        T: Scalar,
    {
        self.evaluate(x, gradient, &mut Preconditioned::Unwanted)
    }

    /// How far the point of the last evaluation is from stationary: ‖∇f‖₂, but on a set with an edge.
    fn stationarity(&self, gradient: &[T]) -> f64
    where
        T: Scalar,
    {
        kernels::norm(gradient)
    }

    /// x as it is shown after the last evaluation, which was there, and as it is reported.
    fn shown<'a>(&'a self, x: &'a [T]) -> &'a [T] {
        x
    }
    fn reported(&mut self, x: Vec<T>) -> Vec<T> {
        x
    }
}

/// The whole objective.
pub(super) type Exact<'o, T> = Counted<AnyObjective<'o, T>>;

/// ∇f(x) alone.
pub(super) fn gradient_at<T: Scalar>(
    objective: &Exact<'_, T>,
    x: &[T],
    gradient: &mut [T],
    preconditioned: &mut Preconditioned<T>,
) {
    let expansion = objective.expand(x);
    expansion.gradient(gradient);
    preconditioned.fill(&expansion, gradient);
}

impl<T: Scalar> Oracle<T> for Exact<'_, T> {
    const EXACT: bool = true;

    fn evaluate(&mut self, x: &[T], gradient: &mut [T], preconditioned: &mut Preconditioned<T>) -> f64 {
        let expansion = self.expand(x);
        let value = expansion.value();
        if value.is_finite() {
            expansion.gradient(gradient);
            preconditioned.fill(&expansion, gradient);
        } else {
            gradient.fill(T::nan());
        }
        value
    }
}

/// The next batch, every time.
pub(super) struct Sampled<'o, T> {
    pub objective: &'o dyn AnySampledObjective<T>,
    pub batches: Batches,
    pub counts: Counts,
    /// The error of the last batch.
    pub error: Cell<Option<CallbackError>>,
}

impl<T: Scalar> Caller for Sampled<'_, T> {
    type Calls = (Counts, Batches);

    fn counts(&self) -> Counts {
        self.counts
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.error.take()
    }
    #[cfg(feature = "serde")]
    fn dimensions(&self) -> [usize; 2] {
        [self.objective.dim(), self.objective.samples()]
    }
    #[cfg(feature = "serde")]
    fn calls(&self) -> impl serde::Serialize + '_ {
        (self.counts, &self.batches)
    }
    #[cfg(feature = "serde")]
    fn resume(&mut self, calls: (Counts, Batches)) {
        (self.counts, self.batches) = calls;
    }
}

impl<T: Scalar> Oracle<T> for Sampled<'_, T> {
    const EXACT: bool = false;

    fn evaluate(&mut self, x: &[T], gradient: &mut [T], preconditioned: &mut Preconditioned<T>) -> f64 {
        let mut batch = Exact::new(self.objective.batch(self.batches.draw()));
        let value = batch.evaluate(x, gradient, preconditioned);
        self.counts = self.counts + batch.counts();
        self.error.set(Caller::take_error(&batch));
        value
    }

    fn whole(&mut self, x: &[T], gradient: &mut [T]) -> f64 {
        let all: Vec<usize> = (0..self.objective.samples()).collect();
        let mut whole = Exact::new(self.objective.batch(&all));
        let value = whole.evaluate(x, gradient, &mut Preconditioned::Unwanted);
        self.counts = self.counts + whole.counts();
        self.error.set(Caller::take_error(&whole));
        value
    }
}
