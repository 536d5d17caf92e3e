//! Whether a run may go on: its limits, its cancellation, and the errors of its callbacks, asked for between any two calls.
//!
//! Ranks of a distributed run may differ in their clocks, cancellations and errors, not in their counts. What any of them
//! wants is agreed on by a reduction between steps; between products it goes along with the sums that are made anyhow.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::{Stopping, Termination};
use crate::base::{CallbackError, space};
use crate::operator::{Caller, Counts};

/// The one judge of whether a run may go on.
#[derive(Debug)]
pub(crate) struct Limits<'s> {
    stopping: &'s Stopping,
    /// `None` where there is no clock: WebAssembly without a host. Time stands still there.
    started: Option<Instant>,
    /// The time that earlier parts of the run took.
    before: Duration,
    /// Reductions before the run.
    reductions: usize,
    error: RefCell<Option<CallbackError>>,
    /// The limit that last refused calls which were asked for.
    refused: Cell<Option<Termination>>,
}

impl<'s> Limits<'s> {
    /// From now on, after `seconds` in earlier parts of the run.
    pub fn new(stopping: &'s Stopping, seconds: f64) -> Self {
        let before = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        space::start_run();
        let clock = !cfg!(all(target_family = "wasm", target_os = "unknown"));
        let (started, reductions) = (clock.then(Instant::now), space::reductions());
        Limits { stopping, started, before, reductions, error: RefCell::new(None), refused: Cell::new(None) }
    }

    pub fn stopping(&self) -> &'s Stopping {
        self.stopping
    }

    /// The time that the run has taken.
    pub fn seconds(&self) -> f64 {
        self.time().as_secs_f64()
    }

    /// Reductions that the run has made.
    pub fn reductions(&self) -> usize {
        space::reductions() - self.reductions
    }

    fn time(&self) -> Duration {
        self.before + self.started.map_or(Duration::ZERO, |started| started.elapsed())
    }

    /// Takes note of a callback's error; the first is kept.
    pub fn note(&self, error: Option<CallbackError>) {
        let mut kept = self.error.borrow_mut();
        if kept.is_none() {
            *kept = error;
        }
    }

    /// Takes note of a callback's error. Whether one has failed, on any rank.
    pub fn fails(&self, error: Option<CallbackError>) -> bool {
        self.note(error);
        self.failed()
    }

    /// Why this caller may make no further call, if it may not.
    pub fn stop(&self, iterations: usize, caller: &impl Caller) -> Option<Termination> {
        self.note(caller.take_error());
        self.reached(iterations, caller.counts())
    }

    /// Products that may still be made, each of which takes so many gradients at most, and the limit that says so.
    pub fn products_left(&self, counts: Counts, gradients: usize) -> (usize, Termination) {
        let products = self.stopping.max_products.saturating_sub(counts.all_products());
        let most = self.stopping.max_gradients.saturating_sub(counts.gradients);
        match most.checked_div(gradients) {
            Some(most) if most < products => (most, Termination::MaxGradients),
            _ => (products, Termination::MaxProducts),
        }
    }

    /// Whether this caller may make so many `further` products, each of which takes so many gradients at most.
    pub fn allow(&self, caller: &impl Caller, further: usize, gradients: usize) -> bool {
        self.note(caller.take_error());
        self.allow_products(caller.counts(), further, gradients)
    }

    /// Whether a callback has failed, on any rank.
    pub fn failed(&self) -> bool {
        self.interruption() == Some(Termination::CallbackFailed)
    }

    /// Why the run is to end at once, on all ranks.
    pub fn interruption(&self) -> Option<Termination> {
        let [failed, cancelled, _] = self.agree();
        failed.then_some(Termination::CallbackFailed).or(cancelled.then_some(Termination::Cancelled))
    }

    /// Whether a callback has failed, the run was cancelled, or time is up, on any rank.
    fn agree(&self) -> [bool; 3] {
        let here = self.here();
        let [failed, cancelled, late] = space::agree(here);
        if failed && !here[0] {
            self.note(Some(CallbackError::new("a callback on another rank failed")));
        }
        [failed, cancelled, late]
    }

    /// The same on this rank.
    fn here(&self) -> [bool; 3] {
        let most = self.stopping.max_time;
        let late = most < Duration::MAX && self.time() >= most;
        [self.error.borrow().is_some(), self.stopping.cancellation.is_cancelled(), late]
    }

    /// The error that ended the run.
    pub fn error(&self) -> Option<CallbackError> {
        self.error.borrow().clone()
    }

    /// Why no further call may be made, if none may.
    pub fn reached(&self, iterations: usize, counts: Counts) -> Option<Termination> {
        let stopping = self.stopping;
        let [failed, cancelled, late] = self.agree();
        if failed {
            Some(Termination::CallbackFailed)
        } else if cancelled {
            Some(Termination::Cancelled)
        } else if iterations >= stopping.max_iterations {
            Some(Termination::MaxIterations)
        } else if counts.values >= stopping.max_values {
            Some(Termination::MaxValues)
        } else if counts.gradients >= stopping.max_gradients {
            Some(Termination::MaxGradients)
        } else if counts.all_products() >= stopping.max_products {
            Some(Termination::MaxProducts)
        } else {
            late.then_some(Termination::MaxTime)
        }
    }

    /// Whether another value may be computed.
    pub fn allow_value(&self, counts: Counts) -> bool {
        self.allow_values(counts, 1)
    }

    /// Whether so many `further` values may be computed.
    pub fn allow_values(&self, counts: Counts, further: usize) -> bool {
        let left = self.stopping.max_values.saturating_sub(counts.values);
        self.grants(further, (left, Termination::MaxValues)) && self.interruption().is_none()
    }

    /// Whether so many `further` products may be made, each of which takes so many gradients at most.
    pub fn allow_products(&self, counts: Counts, further: usize, gradients: usize) -> bool {
        self.grants(further, self.products_left(counts, gradients)) && !space::stops(self.here().contains(&true))
    }

    fn grants(&self, further: usize, (left, limit): (usize, Termination)) -> bool {
        if further > left {
            self.refuse(limit);
        }
        further <= left
    }

    /// Takes note that this limit has refused calls.
    pub fn refuse(&self, limit: Termination) {
        self.refused.set(Some(limit));
    }

    /// The limit that has refused calls since this was last asked, if one has: what they were to tell is not known.
    pub fn take_refusal(&self) -> Option<Termination> {
        self.refused.take()
    }
}
