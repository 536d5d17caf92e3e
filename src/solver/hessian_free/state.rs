//! What a run is between two iterations, but for what is rebuilt.

use std::fmt;
use std::marker::PhantomData;

use crate::base::{Scalar, kernels};
use crate::control::{Batches, Identity, Iteration, type_name};
use crate::operator::Counts;

/// Everything that fixes how a run goes on, and nothing else. `P` is the preconditioner. Storage: 3 or 4 vectors of length d, the
/// preconditioner, and the history.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct State<T, P> {
    pub x: Vec<T>,
    /// What the next step starts from: the last step, or the last solution of conjugate gradients; 0 if there is none.
    pub step: Vec<T>,
    /// m: the moving average of gradients, or g; empty for conjugate gradients, and where it is to start anew.
    pub mean_gradient: Vec<T>,
    /// λ.
    pub damping: f64,
    pub preconditioner: P,
    pub batches: Batches,
    /// Iterations, those without a step included.
    pub iterations: usize,
    /// Iterations in a row without a step, and how many of them for want of a finite number.
    pub failures: usize,
    pub not_finite: usize,
    /// f(x) on the whole set, where it is known.
    pub value: Option<f64>,
    /// The best point whose value is known.
    pub best: Vec<T>,
    pub best_value: f64,
    /// Samples in gradients since a value on the whole set was computed.
    pub since_value: usize,
    pub initial_value: f64,
    pub initial_gradient_norm: Option<f64>,
    pub gradient_norm: f64,
    pub counts: Counts,
    /// Values, gradients and products times the samples of each.
    pub sample_counts: Counts,
    pub seconds: f64,
    pub asymmetry: f64,
    pub history: Vec<Iteration>,
}

impl<T: Scalar, P> State<T, P> {
    /// m ← βm + (1 − β)g, from 0 on.
    pub fn average_gradient(&mut self, momentum: f64, gradient: &[T]) {
        self.mean_gradient.resize(gradient.len(), T::zero());
        kernels::axpby(1.0 - momentum, gradient, momentum, &mut self.mean_gradient);
    }
}

/// The solver with a preconditioner. Its options may be changed on the way.
#[cfg_attr(not(feature = "serde"), allow(dead_code, reason = "only saved states ask"))]
pub(super) struct Named<P>(PhantomData<P>);

impl<P> Default for Named<P> {
    fn default() -> Self {
        Named(PhantomData)
    }
}

impl<P> Identity for Named<P> {
    fn identify(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HessianFree with {}", type_name::<P>())
    }
}
