//! A flag that ends runs from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that ends runs from outside: another thread, a signal handler. Runs look at it between any two calls of their
/// callbacks, products included (those that form a matrix count as one), and end with
/// [`Termination::Cancelled`](crate::Termination::Cancelled) and the best point so far.
///
/// Clones are the same flag. In [`Stopping`](crate::Stopping) it is not saved.
///
/// ```
/// use newton_krylov::{Cancellation, Stopping, Termination, TrustRegion, objective};
///
/// let cancellation = Cancellation::default();
/// let from_outside = cancellation.clone();
/// let f = objective(
///     1,
///     |x: &[f64]| x[0].powi(4),
///     |x, g| g[0] = 4.0 * x[0].powi(3),
///     move |x, v, hv| {
///         from_outside.cancel(); // as Ctrl-C may at any time
///         hv[0] = 12.0 * x[0] * x[0] * v[0];
///     },
/// );
/// let stopping = Stopping { cancellation, ..Stopping::default() };
/// let report = TrustRegion { stopping, ..TrustRegion::default() }.minimize(&f, &[1.0])?;
/// assert_eq!((report.termination, report.counts.products), (Termination::Cancelled, 1));
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    /// Ends the runs that have this flag within one call.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl From<Arc<AtomicBool>> for Cancellation {
    fn from(flag: Arc<AtomicBool>) -> Self {
        Cancellation(flag)
    }
}

impl PartialEq for Cancellation {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.is_cancelled() == other.is_cancelled()
    }
}
