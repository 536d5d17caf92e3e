//! Whether a run may go on: its limits, its cancellation, and the errors of its callbacks, asked for between any two calls.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Stopping, Termination};
use crate::base::{CallbackError, space};
use crate::operator::Counts;

/// A flag that ends runs from outside: another thread, a signal handler. Runs look at it between any two calls of their
/// callbacks, products included, and end with [`Termination::Cancelled`] and the best point so far.
///
/// Clones are the same flag. In [`Stopping`] it is not saved.
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

/// The one judge of whether a run may go on.
#[derive(Debug)]
pub(crate) struct Limits<'s> {
    stopping: &'s Stopping,
    /// `None` where there is no clock: WebAssembly without a host. Time stands still there.
    started: Option<Instant>,
    /// The time that earlier parts of the run took.
    before: Duration,
    error: RefCell<Option<CallbackError>>,
}

impl<'s> Limits<'s> {
    /// From now on, after `seconds` in earlier parts of the run.
    pub fn new(stopping: &'s Stopping, seconds: f64) -> Self {
        let before = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let clock = !cfg!(all(target_family = "wasm", target_os = "unknown"));
        Limits { stopping, started: clock.then(Instant::now), before, error: RefCell::new(None) }
    }

    pub fn stopping(&self) -> &'s Stopping {
        self.stopping
    }

    /// The time that the run has taken.
    pub fn seconds(&self) -> f64 {
        self.time().as_secs_f64()
    }

    fn time(&self) -> Duration {
        self.before + self.started.map_or(Duration::ZERO, |started| started.elapsed())
    }

    /// Takes note of a callback's error; the first is kept. Whether there is one.
    pub fn note(&self, error: Option<CallbackError>) -> bool {
        let mut kept = self.error.borrow_mut();
        if kept.is_none() {
            *kept = error;
        }
        kept.is_some()
    }

    /// The error that ended the run.
    pub fn error(&self) -> Option<CallbackError> {
        self.error.borrow().clone()
    }

    /// Why no further call may be made, if none may.
    pub fn reached(&self, iterations: usize, counts: Counts) -> Option<Termination> {
        let stopping = self.stopping;
        if self.error.borrow().is_some() {
            Some(Termination::CallbackFailed)
        } else if stopping.cancellation.is_cancelled() {
            Some(Termination::Cancelled)
        } else if iterations >= stopping.max_iterations {
            Some(Termination::MaxIterations)
        } else if counts.values >= stopping.max_values {
            Some(Termination::MaxValues)
        } else if counts.gradients >= stopping.max_gradients {
            Some(Termination::MaxGradients)
        } else if counts.all_products() >= stopping.max_products {
            Some(Termination::MaxProducts)
        } else if self.out_of_time() {
            Some(Termination::MaxTime)
        } else {
            None
        }
    }

    /// Whether another value may be computed.
    pub fn allow_value(&self, counts: Counts) -> bool {
        counts.values < self.stopping.max_values
            && self.error.borrow().is_none()
            && !self.stopping.cancellation.is_cancelled()
    }

    /// Whether so many `further` products may be made.
    pub fn allow_products(&self, counts: Counts, further: usize) -> bool {
        let stopping = self.stopping;
        counts.all_products().saturating_add(further) <= stopping.max_products
            && self.error.borrow().is_none()
            && !stopping.cancellation.is_cancelled()
            && !self.out_of_time()
    }

    /// Whether the time is used up, by rank 0's clock.
    fn out_of_time(&self) -> bool {
        let out = |most| space::agreed(self.time() >= most);
        self.stopping.max_time.is_some_and(out)
    }
}
