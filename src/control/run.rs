//! Runs as values.

use std::ops::ControlFlow;

#[cfg(feature = "serde")]
use super::RunState;
use super::{Progress, Termination};
use crate::base::Result;

/// A run that goes on one step at a time: to be looked at, stopped, saved and resumed between any two of them.
///
/// Every solver's `start` gives one, and its `minimize` is no more than [`complete`](Self::complete) of it:
///
/// ```
/// use newton_krylov::{Run, TrustRegion, objective};
///
/// let f = objective(
///     1,
///     |x: &[f64]| x[0].powi(4),
///     |x, g| g[0] = 4.0 * x[0].powi(3),
///     |x, v, hv| hv[0] = 12.0 * x[0] * x[0] * v[0],
/// );
/// let solver = TrustRegion::default();
/// let mut run = solver.start(&f, &[1.0])?;
/// let termination = loop {
///     if let Some(termination) = run.iterate()? {
///         break termination;
///     }
///     println!("{} {:e}", run.progress().iteration, run.progress().value);
/// };
/// assert_eq!(run.finish(termination).x, solver.minimize(&f, &[1.0])?.x);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
pub trait Run<T> {
    /// What is reported in the end.
    type Report;

    /// Looks at the point where the run is, shows it to the observer, who may end the run, and finds the next. The reason, if
    /// the run is over.
    ///
    /// # Errors
    /// Where value, gradient or Jacobian at the start are not finite.
    fn iterate_with(
        &mut self,
        observer: &mut dyn FnMut(&Progress<'_, T>) -> ControlFlow<()>,
    ) -> Result<Option<Termination>>;

    /// The point that was looked at last.
    fn progress(&self) -> Progress<'_, T>;

    /// Ends the run, at the point that was looked at last.
    fn finish(self, termination: Termination) -> Self::Report;

    /// Everything that fixes how the run goes on: about as much as the run stores, which its report says.
    #[cfg(feature = "serde")]
    fn save(&self) -> RunState;

    /// As [`iterate_with`](Self::iterate_with), without an observer.
    ///
    /// # Errors
    /// As [`iterate_with`](Self::iterate_with).
    fn iterate(&mut self) -> Result<Option<Termination>> {
        self.iterate_with(&mut |_| ControlFlow::Continue(()))
    }

    /// As many steps as it takes.
    ///
    /// # Errors
    /// As [`iterate_with`](Self::iterate_with).
    fn complete(self) -> Result<Self::Report>
    where
        Self: Sized,
    {
        self.complete_with(|_| ControlFlow::Continue(()))
    }

    /// As many steps as it takes, with an observer that sees every one and may end the run.
    ///
    /// # Errors
    /// As [`iterate_with`](Self::iterate_with).
    fn complete_with(mut self, mut observer: impl FnMut(&Progress<'_, T>) -> ControlFlow<()>) -> Result<Self::Report>
    where
        Self: Sized,
    {
        let termination = last(&mut self, &mut observer)?;
        Ok(self.finish(termination))
    }
}

/// As many steps as it takes: why the run is over.
fn last<T, R: Run<T>>(
    run: &mut R,
    observer: &mut dyn FnMut(&Progress<'_, T>) -> ControlFlow<()>,
) -> Result<Termination> {
    loop {
        if let Some(termination) = run.iterate_with(observer)? {
            return Ok(termination);
        }
    }
}
