//! The loop that all descents share: second-order methods, least squares, and first-order methods with line searches.
//!
//! From x with gradient g, until the gradient is small:
//!
//! 1. A step, from where the [`Oracle`] has its steps.
//! 2. A trial: f(x + δ). A step that fails is shortened, one that the model describes well is lengthened, as the
//!    [`Globalisation`](super::Globalisation) says; a stored space solves the new subproblem without a product.
//! 3. The gradient at the new point judges the step where f is too noisy to ([`judge`](super::judge)).
//!
//! Everything about a step and about the end of a run is decided here, for all of them: whether it is taken, rejected or
//! lengthened, what is rounding, what is not finite, which limit is met, which point is the best, when the observer is
//! called, and what is reported. What differs is given: the oracle, with its steps, and the globalisation.
//!
//! A run is a value. [`Run::iterate`] [visits](super::visit) one point: it computes the gradient there, judges the step that
//! led there, and [finds](super::search) the next step. Between two visits nothing is borrowed, and the run can be saved.

use std::ops::ControlFlow;

#[cfg(feature = "serde")]
use super::RunState;
use super::globalisation::StoredGlobalisation;
use super::oracle::{LocalProblem, Oracle};
use super::track::Track;
use super::visit::{Arrival, Visit};
use super::{Identity, Limits, Progress, Report, Run, Start, Stopping, Termination};
use crate::base::{Result, Scalar};
use crate::operator::Caller;

/// A run.
pub(crate) struct DescentRun<'r, T, O: Oracle<T>>
where
    T: Scalar,
{
    pub oracle: O,
    pub frame: O::Frame,
    pub state: O::State,
    pub globalisation: Box<dyn StoredGlobalisation + 'r>,
    pub track: Track<T>,
    pub limits: Limits<'r>,
    /// x, where the run is; apart, since places borrow it.
    pub x: Vec<T>,
    #[cfg_attr(not(feature = "serde"), expect(dead_code, reason = "only saved states ask"))]
    solver: &'r dyn Identity,
}

impl<'r, T: Scalar, O: Oracle<T>> DescentRun<'r, T, O> {
    /// Starts at x₀, which has been checked, and evaluates f there; or where another run was.
    pub fn start(
        oracle: O,
        (state, frame): (O::State, O::Frame),
        globalisation: Box<dyn StoredGlobalisation + 'r>,
        start: Start<'_, T>,
        (solver, stopping): (&'r dyn Identity, &'r Stopping),
    ) -> Result<Self> {
        let _ = oracle.caller().take_error(); // of an earlier run
        let (limits, x, track) = (Limits::new(stopping, 0.0), vec![], Track::new(0));
        let mut run = DescentRun { oracle, frame, state, globalisation, track, limits, x, solver };
        match start {
            Start::Point(x0) => (run.x, run.track) = (x0.to_vec(), Track::new(x0.len())),
            #[cfg(feature = "serde")]
            Start::State(state) => crate::base::space::accepted(run.resume(state))?,
        }
        if run.track.value.is_nan() && run.limits.allow_value(run.oracle.caller().counts()) {
            let value = run.oracle.first_value(&run.x, &mut run.state);
            run.limits.note(run.oracle.caller().take_error());
            run.track.start(if value.is_err() && run.limits.failed() { f64::NAN } else { value? });
        }
        Ok(run)
    }

    #[cfg(feature = "serde")]
    fn resume(&mut self, saved: &RunState) -> Result<()> {
        let (calls, globalisation, seconds): (_, Vec<u8>, f64);
        (calls, self.state, globalisation, self.track, self.x, seconds) =
            saved.parts::<T, _>(self.solver, self.oracle.caller().dimensions())?;
        self.globalisation.resume(&globalisation)?;
        self.oracle.caller_mut().resume(calls);
        self.limits = Limits::new(self.limits.stopping(), seconds);
        Ok(())
    }

    fn limit(&self) -> Option<Termination> {
        self.limits.stop(self.track.steps(), self.oracle.caller())
    }
}

impl<T: Scalar, O: Oracle<T>> Run<T> for DescentRun<'_, T, O> {
    type Report = O::Report;

    /// Visits a point: its gradient, the observer, and the next step.
    fn iterate_with(
        &mut self,
        observer: &mut dyn FnMut(&Progress<'_, T>) -> ControlFlow<()>,
    ) -> Result<Option<Termination>> {
        if let Some(ended) = self.track.ended.filter(|ended| !ended.passes()) {
            return Ok(Some(ended));
        }
        if let (true, Some(limit)) = (self.track.value.is_nan(), self.limit()) {
            return Ok(Some(limit)); // f(x₀) is not known
        }
        self.oracle.frame(&self.state, &mut self.frame);
        let DescentRun { oracle, frame, state, globalisation, track, limits, x, .. } = self;
        let local = oracle.local(frame, x);
        let mut visit = Visit { oracle: &*oracle, local, state, globalisation: &mut **globalisation, track, limits, x };
        let (termination, moves) = match visit.arrive(observer)? {
            Arrival::Stay => match visit.find_step().or_else(|termination| visit.conclude(termination)) {
                Ok(()) => (None, true),
                Err(termination) => (Some(termination), false),
            },
            Arrival::Move => (None, true),
            Arrival::End { termination, back } => (Some(termination), back),
        };
        if moves {
            visit.local.leave(visit.state);
        }
        drop(visit);
        if moves {
            std::mem::swap(&mut self.x, &mut self.track.other_x);
        }
        self.track.ended = termination;
        Ok(termination)
    }

    #[cfg(feature = "serde")]
    fn save(&self) -> RunState {
        let DescentRun { oracle, state, globalisation, track, x, .. } = self;
        let parts = (oracle.caller().calls(), state, globalisation.bytes(), track, x, self.limits.seconds());
        RunState::new::<T>(self.solver, oracle.caller().dimensions(), &parts)
    }

    fn progress(&self) -> Progress<'_, T> {
        let x = if self.track.pending.is_some() { &self.track.other_x } else { &self.x };
        let progress = self.track.progress(x, self.oracle.caller().counts(), self.limits.seconds());
        Progress { residual: O::residual(&self.state), ..progress }
    }

    fn finish(mut self, termination: Termination) -> O::Report {
        if self.track.pending.is_some() {
            std::mem::swap(&mut self.x, &mut self.track.other_x);
        }
        let (measure, elsewhere) = (self.track.measure, self.track.ends_elsewhere(termination));
        let numbers = 5 * self.x.len() + O::numbers(&self.state, &self.frame);
        let (counts, seconds) = (self.oracle.caller().counts(), self.limits.seconds());
        let report = self.track.report(self.x, termination, counts, seconds, self.limits.error());
        let reductions = self.limits.reductions();
        O::report(self.state, measure, elsewhere, Report { reductions, memory_numbers: numbers, ..report })
    }
}
