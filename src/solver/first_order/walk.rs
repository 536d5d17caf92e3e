//! The loop that all first-order methods share.
//!
//! At x with value and gradient: stop, or have the [`Mover`] make the next point, evaluate there, and go on. Points of a
//! given rate may be worse than those before, so the best one is kept: by exchanging buffers, and only once a worse
//! point is met, so it costs no copy.

use std::ops::ControlFlow;

use super::mover::{End, Limits, Moment, Moved, Mover, Place, Since};
use super::oracle::{Oracle, Preconditioned};
use crate::base::{Error, Result, Scalar, check_finite, kernels, space};
#[cfg(feature = "serde")]
use crate::control::RunState;
use crate::control::{
    self, Evaluation, History, Identity, Iteration, Progress, Report, Run, Start, Stopping, Termination,
};
use crate::operator::Counts;

/// Steps within which a run may turn out to have been started at a minimum.
const RESTART: usize = 2;
/// Steps in a row that do not change x, after which it never will.
const MOST_STILL_STEPS: usize = 100;

/// A run. With an exact oracle its report has the best point. Otherwise it has the last one, nothing but the limits ends
/// the run, and value and gradient are those of the whole at its two ends: a batch is drawn only for a step that is made.
pub(super) struct Walk<'r, T, O, M: Mover<T, O>>
where
    T: Scalar,
    O: Oracle<T>,
{
    oracle: O,
    mover: M,
    limits: control::Limits<'r>,
    state: State<T, M::Memory>,
    #[cfg_attr(not(feature = "serde"), expect(dead_code, reason = "only saved states ask"))]
    solver: &'r dyn Identity,
}

#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct State<T, M> {
    place: Place<T>,
    memory: M,
    initial_value: f64,
    initial_gradient_norm: f64,
    best: Best<T>,
    history: History,
    /// The step that led to x, until x is looked at; the last that was looked at, and f before it.
    pending: Option<Moved>,
    last: Option<Iteration>,
    before: f64,
    /// Steps in a row that did not change x.
    still: usize,
}

impl<'r, T: Scalar, O: Oracle<T>, M: Mover<T, O>> Walk<'r, T, O, M> {
    /// Starts at x₀, which has been checked; or where another run was.
    pub fn start(
        oracle: O,
        (mover, memory): (M, M::Memory),
        start: Start<'_, T>,
        (solver, stopping): (&'r dyn Identity, &'r Stopping),
    ) -> Result<Self> {
        let _ = oracle.take_error(); // of an earlier run
        let x0 = start.point().unwrap_or_default();
        let zeros = || vec![T::zero(); x0.len()];
        let place = Place {
            x: x0.to_vec(),
            next: zeros(),
            value: f64::NAN,
            gradient: zeros(),
            gradient_norm: f64::NAN,
            preconditioned: Preconditioned::new(mover.preconditionable(), x0.len()),
        };
        // Where there is no best point, x₀ takes its place.
        let x = if O::EXACT { Vec::new() } else { x0.to_vec() };
        let state = State {
            place,
            memory,
            initial_value: f64::NAN,
            initial_gradient_norm: f64::NAN,
            best: Best { x, value: f64::NAN, gradient_norm: f64::NAN, is_here: true },
            history: History::default(),
            pending: None,
            last: None,
            before: f64::NAN,
            still: 0,
        };
        let limits = control::Limits::new(stopping, 0.0);
        let mut run = Walk { oracle, mover, limits, state, solver };
        #[cfg(feature = "serde")]
        if let Start::State(saved) = start {
            space::accepted(run.resume(saved))?;
        }
        if run.state.place.value.is_nan() && run.limits.allow_value(run.oracle.counts()) {
            run.evaluate_start()?;
        }
        Ok(run)
    }

    #[cfg(feature = "serde")]
    fn resume(&mut self, saved: &RunState) -> Result<()> {
        let (calls, state, seconds) = saved.parts::<T, _>(self.solver, self.oracle.dimensions())?;
        self.oracle.resume(calls);
        self.state = state;
        self.limits = control::Limits::new(self.limits.stopping(), seconds);
        Ok(())
    }

    /// Value and gradient at x₀, unless a callback fails; refuses a start at which f cannot be evaluated.
    fn evaluate_start(&mut self) -> Result<()> {
        let (place, oracle) = (&mut self.state.place, &mut self.oracle);
        let value = if O::EXACT {
            oracle.evaluate(&place.x, &mut place.gradient, &mut place.preconditioned)
        } else {
            oracle.whole(&place.x, &mut place.gradient)
        };
        if self.limits.fails(oracle.take_error()) {
            return Ok(());
        }
        let finite = |argument, value: f64| {
            if value.is_finite() { Ok(value) } else { Err(Error::NotFinite { argument, index: None, value }) }
        };
        finite("the value at x0", value)?;
        space::accepted(check_finite("the gradient at x0", &place.gradient))?;
        finite("the norm of the gradient at x0", kernels::norm(&place.gradient))?;
        (place.value, place.gradient_norm) = (value, oracle.stationarity(&place.gradient));
        (self.state.best.value, self.state.best.gradient_norm) = (value, place.gradient_norm);
        (self.state.initial_value, self.state.initial_gradient_norm) = (value, place.gradient_norm);
        Ok(())
    }

    /// Steps that were made.
    fn iterations(&self) -> usize {
        self.state.history.steps() + usize::from(self.state.pending.is_some())
    }

    fn limit(&self) -> Option<Termination> {
        limits::<T, O>(&self.limits, self.iterations()).reached(&self.oracle)
    }
}

impl<T: Scalar, O: Oracle<T>, M: Mover<T, O>> Run<T> for Walk<'_, T, O, M> {
    type Report = Report<T>;

    fn iterate_with(
        &mut self,
        observer: &mut dyn FnMut(&Progress<'_, T>) -> ControlFlow<()>,
    ) -> Result<Option<Termination>> {
        if (!O::EXACT || self.state.place.value.is_nan())
            && let Some(limit) = self.limit()
        {
            return Ok(Some(limit));
        }
        let State { place, memory, pending, best, history, last, before, initial_value, .. } = &mut self.state;
        let value = if O::EXACT && pending.is_none() {
            place.value
        } else {
            self.mover.arrive(memory, place, &mut self.oracle)
        };
        let gradient_norm = self.oracle.stationarity(&place.gradient);
        if !value.is_finite() || !gradient_norm.is_finite() {
            if pending.take().is_some() {
                std::mem::swap(&mut place.x, &mut place.next);
            }
            let termination = match value {
                _ if self.limits.fails(self.oracle.take_error()) => Termination::CallbackFailed,
                f64::NEG_INFINITY => Termination::Unbounded,
                _ if place.value > *initial_value => Termination::Diverged,
                value if value.is_finite() => Termination::NotFinite(Evaluation::Gradient),
                _ => Termination::NotFinite(Evaluation::Value),
            };
            return Ok(Some(termination));
        }
        if let Some(moved) = pending.take() {
            *before = place.value;
            if O::EXACT {
                best.compare(value, gradient_norm, &mut place.next);
                place.next.resize(place.x.len(), T::zero());
            }
            let iteration = moved.record(value, gradient_norm);
            history.push(iteration);
            *last = Some(iteration);
        }
        (place.value, place.gradient_norm) = (value, gradient_norm);

        let [stop] = space::agree([observer(&self.progress()).is_break()]);
        let mut lower = None;
        if O::EXACT {
            let converged = match self.moment().and_then(|moment| self.end(moment)) {
                Some(End::Converged) => Some(Termination::GradientTolerance),
                Some(End::Lower(moved)) => {
                    lower = Some(moved);
                    None
                }
                None => None,
            };
            if let Some(termination) = converged.or_else(|| self.finished()).or_else(|| self.limit()) {
                let end = if stop && !termination.converged() { Termination::Observer } else { termination };
                return Ok(Some(end));
            }
        }
        if stop {
            return Ok(Some(Termination::Observer));
        }
        Ok(self.advance(lower).err())
    }

    fn progress(&self) -> Progress<'_, T> {
        let State { place, pending, last, .. } = &self.state;
        Progress {
            iteration: self.state.history.steps(),
            x: self.oracle.shown(if pending.is_some() { &place.next } else { &place.x }),
            value: place.value,
            gradient: &place.gradient,
            gradient_norm: place.gradient_norm,
            residual: None,
            counts: self.oracle.counts(),
            seconds: self.limits.seconds(),
            last: last.as_ref(),
        }
    }

    #[cfg(feature = "serde")]
    fn save(&self) -> RunState {
        let parts = (self.oracle.calls(), &self.state, self.limits.seconds());
        RunState::new::<T>(self.solver, self.oracle.dimensions(), &parts)
    }

    fn finish(mut self, termination: Termination) -> Report<T> {
        let (dim, steps) = (self.state.place.x.len(), self.iterations());
        if O::EXACT && self.state.pending.take().is_some() {
            std::mem::swap(&mut self.state.place.x, &mut self.state.place.next);
        }
        let vectors = 3
            + usize::from(!self.state.best.x.is_empty())
            + self.state.place.preconditioned.vectors()
            + self.mover.vectors(&self.state.memory, dim);
        let State { mut place, mut memory, best, initial_value, initial_gradient_norm, mut history, pending, .. } =
            self.state;
        let mut termination = termination;
        let mut end = (place.x, place.value, place.gradient_norm);
        if O::EXACT {
            if !best.is_here && !termination.converged() {
                end = (best.x, best.value, best.gradient_norm);
            }
        } else if steps == 0 {
            end = (end.0, initial_value, initial_gradient_norm);
        } else if self.limits.allow_value(self.oracle.counts()) {
            end.0 = self.mover.reported(&mut memory, end.0, pending.is_some());
            let value = self.oracle.whole(&end.0, &mut place.gradient);
            let gradient_norm = self.oracle.stationarity(&place.gradient);
            if self.limits.fails(self.oracle.take_error()) {
                termination = Termination::CallbackFailed;
            } else if value.is_finite() && gradient_norm.is_finite() {
                (end.1, end.2) = (value, gradient_norm);
            } else {
                termination = Termination::Diverged;
                end = (best.x, initial_value, initial_gradient_norm);
            }
        }
        if let Some(moved) = pending {
            history.push(moved.record(end.1, end.2));
        }
        let (x, value, gradient_norm) = end;
        Report {
            x: self.oracle.reported(x),
            value,
            gradient_norm,
            initial_value,
            initial_gradient_norm,
            counts: self.oracle.counts(),
            termination,
            seconds: self.limits.seconds(),
            error: self.limits.error(),
            reductions: self.limits.reductions(),
            memory_numbers: vectors * dim,
            asymmetry: 0.0,
            steps: history.steps(),
            history: history.into_entries(),
        }
    }
}

impl<T: Scalar, O: Oracle<T>, M: Mover<T, O>> Walk<'_, T, O, M> {
    /// Makes the next step, unless it was made.
    fn advance(&mut self, made: Option<Moved>) -> std::result::Result<(), Termination> {
        let moved = match made {
            Some(moved) => moved,
            None => self.step()?,
        };
        let State { place, still, .. } = &mut self.state;
        if !moved.step_norm.is_finite() {
            let risen = place.value > self.state.initial_value;
            return Err(if risen { Termination::Diverged } else { Termination::Unbounded });
        }
        *still = if moved.step_norm == 0.0 { *still + 1 } else { 0 };
        if O::EXACT && *still >= MOST_STILL_STEPS {
            return Err(Termination::Stalled);
        }
        std::mem::swap(&mut place.x, &mut place.next);
        self.state.pending = Some(moved);
        Ok(())
    }

    fn step(&mut self) -> std::result::Result<Moved, Termination> {
        let limits = limits::<T, O>(&self.limits, self.iterations());
        let tolerance = self.tolerance();
        let State { place, memory, .. } = &mut self.state;
        let moved = match self.mover.advance(memory, place, &mut self.oracle, &limits) {
            Err(Termination::InconsistentGradient) if place.gradient_norm <= tolerance => Err(Termination::Stalled),
            moved => moved,
        };
        if !O::EXACT || !matches!(moved, Err(Termination::Stalled)) {
            return moved;
        }
        limits.reached(&self.oracle).map_or(Ok(()), Err)?;
        let _ = self.limits.take_refusal();
        match self.end(Moment::Stalled) {
            Some(End::Converged) => Err(Termination::GradientTolerance),
            Some(End::Lower(moved)) => Ok(moved),
            None => Err(self.limit().or_else(|| self.limits.take_refusal()).unwrap_or(Termination::Stalled)),
        }
    }

    /// The gradient norm at which a run may be over.
    fn tolerance(&self) -> f64 {
        self.limits.stopping().gradient_tolerance::<T>(self.state.initial_gradient_norm)
    }

    /// Whether the run may be over at this place.
    fn moment(&self) -> Option<Moment> {
        if self.state.place.gradient_norm <= self.tolerance() {
            return Some(Moment::Small);
        }
        (self.iterations() <= RESTART).then_some(Moment::Early)
    }

    fn end(&mut self, moment: Moment) -> Option<End> {
        let limits = limits::<T, O>(&self.limits, self.iterations());
        let State { place, memory, last, initial_value, initial_gradient_norm, .. } = &mut self.state;
        let step = last.map_or(f64::INFINITY, |last| last.step_norm);
        let since = Since { value: *initial_value, gradient_norm: *initial_gradient_norm, step };
        self.mover.end(memory, place, &mut self.oracle, &limits, since, moment)
    }

    /// Whether the run is over at this place for another reason than its gradient.
    fn finished(&self) -> Option<Termination> {
        let State { place, last, before, .. } = &self.state;
        let stopping = self.limits.stopping();
        if place.value <= stopping.target_value {
            return Some(Termination::TargetValue);
        }
        // A method that may rise as well has settled only where f hardly changes at all.
        stopping.small_step((before - place.value).abs(), place.value, last.as_ref()?.step_norm, &place.x)
    }
}

/// The limits after so many iterations. For the end of a run whose oracle is not exact one evaluation of the whole is kept.
fn limits<'l, 's, T, O: Oracle<T>>(run: &'l control::Limits<'s>, iterations: usize) -> Limits<'l, 's> {
    let one = usize::from(!O::EXACT);
    Limits { run, iterations, reserve: Counts { values: one, gradients: one, ..Counts::default() } }
}

/// The best point so far.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Best<T> {
    /// Empty until a worse point is met.
    x: Vec<T>,
    value: f64,
    gradient_norm: f64,
    /// Whether it is the point where the run is.
    is_here: bool,
}

impl<T> Best<T> {
    /// At a new point: is it better? Takes the buffer of the point before where that was the best and stays so.
    fn compare(&mut self, value: f64, gradient_norm: f64, before: &mut Vec<T>) {
        if value <= self.value {
            (self.value, self.gradient_norm, self.is_here) = (value, gradient_norm, true);
        } else if self.is_here {
            std::mem::swap(&mut self.x, before);
            self.is_here = false;
        }
    }
}
