//! A run of any type: what a solver gives out, so that a run is compiled once, and not for each way of looking at it.

use std::ops::ControlFlow;

#[cfg(feature = "serde")]
use super::RunState;
use super::{Progress, Run, Termination};
use crate::base::Result;

/// What a [`Run`] of any type does.
trait DynRun<T, R> {
    fn iterate_with(
        &mut self,
        observer: &mut dyn FnMut(&Progress<'_, T>) -> ControlFlow<()>,
    ) -> Result<Option<Termination>>;
    fn progress(&self) -> Progress<'_, T>;
    fn finish(self: Box<Self>, termination: Termination) -> R;
    #[cfg(feature = "serde")]
    fn save(&self) -> RunState;
}

impl<T, R: Run<T>> DynRun<T, R::Report> for R {
    fn iterate_with(
        &mut self,
        observer: &mut dyn FnMut(&Progress<'_, T>) -> ControlFlow<()>,
    ) -> Result<Option<Termination>> {
        Run::iterate_with(self, observer)
    }
    fn progress(&self) -> Progress<'_, T> {
        Run::progress(self)
    }
    fn finish(self: Box<Self>, termination: Termination) -> R::Report {
        Run::finish(*self, termination)
    }
    #[cfg(feature = "serde")]
    fn save(&self) -> RunState {
        Run::save(self)
    }
}

/// A [`Run`] that ends in a report `R`: what the solvers' `start` gives, whatever the objective.
///
/// ```
/// use newton_krylov::{AnyRun, Report};
///
/// /// A type of yours that goes on with a run from time to time.
/// struct Estimator<'r> {
///     run: AnyRun<'r, f64, Report<f64>>,
/// }
/// ```
pub struct AnyRun<'r, T, R>(Box<dyn DynRun<T, R> + 'r>);

impl<'r, T, R> AnyRun<'r, T, R> {
    pub(crate) fn new(run: impl Run<T, Report = R> + 'r) -> Self {
        AnyRun(Box::new(run))
    }
}

impl<T, R> Run<T> for AnyRun<'_, T, R> {
    type Report = R;

    fn iterate_with(
        &mut self,
        observer: &mut dyn FnMut(&Progress<'_, T>) -> ControlFlow<()>,
    ) -> Result<Option<Termination>> {
        self.0.iterate_with(observer)
    }

    fn progress(&self) -> Progress<'_, T> {
        self.0.progress()
    }

    fn finish(self, termination: Termination) -> R {
        self.0.finish(termination)
    }

    #[cfg(feature = "serde")]
    fn save(&self) -> RunState {
        self.0.save()
    }
}
