//! Objectives, models and sampled objectives of any type: what the solvers run on, so that a run is compiled once for each
//! number type, and not again for each closure. A call costs one more jump, an expansion a small allocation.

use super::{Around, Expansion, Linearization, Model, Objective, SampledObjective, forward};
use crate::base::CallbackError;

/// What an [`Objective`] of any type does.
trait DynObjective<T> {
    fn dim(&self) -> usize;
    fn value(&self, x: &[T]) -> f64;
    fn expand<'a>(&'a self, x: &'a [T]) -> Box<dyn Expansion<T> + 'a>;
    fn take_error(&self) -> Option<CallbackError>;
}

impl<T, O: Objective<T>> DynObjective<T> for O {
    forward!(Objective::; fn dim() -> usize, fn value(x: &[T]) -> f64, fn take_error() -> Option<CallbackError>);
    fn expand<'a>(&'a self, x: &'a [T]) -> Box<dyn Expansion<T> + 'a> {
        Box::new(Objective::expand(self, x))
    }
}

/// An [`Objective`] of any type.
pub(crate) struct AnyObjective<'o, T>(Box<dyn DynObjective<T> + 'o>);

impl<'o, T> AnyObjective<'o, T> {
    pub fn new(objective: impl Objective<T> + 'o) -> Self {
        AnyObjective(Box::new(objective))
    }
}

impl<T> Objective<T> for AnyObjective<'_, T> {
    forward!(self.0; dim, take_error, value_at);
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        self.0.expand(x)
    }
}

/// A [`SampledObjective`] of any type.
pub(crate) trait AnySampledObjective<T> {
    fn dim(&self) -> usize;
    fn samples(&self) -> usize;
    fn batch<'a>(&'a self, samples: &'a [usize]) -> AnyObjective<'a, T>;
}

impl<T, S: SampledObjective<T>> AnySampledObjective<T> for S {
    forward!(SampledObjective::; fn dim() -> usize, fn samples() -> usize);
    fn batch<'a>(&'a self, samples: &'a [usize]) -> AnyObjective<'a, T> {
        AnyObjective::new(SampledObjective::batch(self, samples))
    }
}

/// A [`Model`] of any type, for its residuals and their Jacobians.
pub(crate) trait AnyModel<T> {
    fn dim(&self) -> usize;
    fn output_dim(&self) -> usize;
    fn in_blocks_of(&self, rows: usize) -> bool;
    fn evaluate(&self, x: &[T], out: &mut [T]);
    fn linearize_within<'a>(&'a self, x: &'a [T], around: Around<'a, T>) -> Box<dyn Linearization<T> + 'a>;
    fn take_error(&self) -> Option<CallbackError>;
}

impl<T, M: Model<T>> AnyModel<T> for M {
    forward!(Model::;
        fn dim() -> usize,
        fn output_dim() -> usize,
        fn in_blocks_of(rows: usize) -> bool,
        fn evaluate(x: &[T], out: &mut [T]),
        fn take_error() -> Option<CallbackError>,
    );
    fn linearize_within<'a>(&'a self, x: &'a [T], around: Around<'a, T>) -> Box<dyn Linearization<T> + 'a> {
        Box::new(Model::linearize_within(self, x, around))
    }
}
