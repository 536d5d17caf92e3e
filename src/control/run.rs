//! Runs as values.

use super::{Progress, Termination};
use crate::base::Result;

/// A run that goes on one step at a time: to be looked at, stopped, saved and resumed between any two of them.
///
/// Every solver's `start` gives one, and its `minimize` is no more than a loop over it:
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

    /// Looks at the point where the run is, and finds the next. The reason, if the run is over.
    ///
    /// # Errors
    /// Where the first gradient or Jacobian is not finite.
    fn iterate(&mut self) -> Result<Option<Termination>>;

    /// The point that was looked at last.
    fn progress(&self) -> Progress<'_, T>;

    /// Ends the run, at the point that was looked at last.
    fn finish(self, termination: Termination) -> Self::Report;
}
