//! Whether a run may go on: its limits, its cancellation, and the errors of its callbacks, asked for between any two calls.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use super::{Stopping, Termination};
use crate::base::{CallbackError, space};
use crate::operator::Counts;

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
        let most = self.stopping.max_time;
        most < Duration::MAX && space::agreed(self.time() >= most)
    }
}
