//! The loop that all first-order methods share.
//!
//! At x with value and gradient: stop, or have the [`Mover`] make the next point, evaluate there, and go on. Points of a
//! given rate may be worse than those before, so the best one is kept: by exchanging buffers, and only once a worse
//! point is met, so it costs no copy.

use std::ops::ControlFlow;

use super::oracle::{Oracle, Preconditioned};
use crate::base::{Error, Result, Scalar, check_finite, kernels};
use crate::control::{self, Evaluation, History, Iteration, Progress, Report, Stopping, Termination};
use crate::operator::Counts;
use crate::step::InnerStop;

/// Steps within which a run may turn out to have been started at a minimum.
const RESTART: usize = 2;
/// Steps in a row that do not change x, after which it never will.
const MOST_STILL_STEPS: usize = 100;

/// Where a run is.
pub(super) struct Place<T> {
    pub x: Vec<T>,
    /// The point that a step leads to.
    pub next: Vec<T>,
    pub value: f64,
    pub gradient: Vec<T>,
    pub gradient_norm: f64,
    pub preconditioned: Preconditioned<T>,
}

/// A step that was made: `next` is where it leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moved {
    pub step_norm: f64,
    pub control: f64,
    pub ratio: f64,
    pub rejected: usize,
    /// f(next), if the gradient and what belongs to it have been exchanged for those of `next`.
    pub arrived: Option<f64>,
}

/// When a step may no longer be made.
pub(super) struct Limits<'s> {
    pub run: control::Limits<'s>,
    pub iterations: usize,
    /// Values and gradients that are kept for the end of the run.
    pub reserve: Counts,
}

impl Limits<'_> {
    pub fn reached<T>(&self, oracle: &impl Oracle<T>) -> Option<Termination> {
        self.run.note(oracle.take_error());
        self.run.reached(self.iterations, oracle.counts() + self.reserve)
    }
}

/// What makes steps.
pub(super) trait Mover<T, O> {
    /// Whether P⁻¹g is wanted for g.
    fn preconditionable(&self) -> bool;

    /// Makes the next point.
    fn advance(
        &mut self,
        place: &mut Place<T>,
        oracle: &mut O,
        limits: &Limits<'_>,
        since: &mut Since,
    ) -> std::result::Result<Moved, Termination>;

    /// Its storage in vectors of length d.
    fn vectors(&self, dim: usize) -> usize;

    /// Whether, and how, the run is over at this place, where it may be.
    fn end(&mut self, _: &mut Place<T>, _: &mut O, _: &Limits<'_>, _: &Since, moment: Moment) -> Option<End> {
        (moment == Moment::Small).then_some(End::Converged)
    }
}

/// Why a run may be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// The gradient is within the tolerance.
    Small,
    /// These are its first points.
    Early,
    /// No step was found.
    Stalled,
}

/// What becomes of it.
pub(super) enum End {
    Converged,
    /// x is no minimum, and `next` is lower.
    Lower,
}

/// What a run has seen.
pub(super) struct Since {
    /// f and ‖g‖ at the start.
    pub value: f64,
    pub gradient_norm: f64,
    /// The largest ‖x‖ met.
    pub farthest: f64,
    /// The length of the last step; ∞ before the first.
    pub step: f64,
    /// The largest decrease that the slope promised between two values that are the same.
    pub resolution: f64,
}

/// Refuses a start at which f cannot be evaluated.
fn check_evaluated<T: Scalar>(value: f64, gradient: &[T]) -> Result<()> {
    let finite = |argument, value: f64| {
        if value.is_finite() { Ok(value) } else { Err(Error::NotFinite { argument, index: None, value }) }
    };
    finite("the value at x0", value)?;
    check_finite("the gradient at x0", gradient)?;
    finite("the norm of the gradient at x0", kernels::norm(gradient)).map(|_| ())
}

/// Goes from `x0`, which has been checked, until the run is over.
///
/// With an exact oracle the report has the best point. Otherwise it has the last one, nothing but the limits ends the
/// run, and value and gradient are those of the whole at its two ends: a batch is drawn only for a step that is made.
pub(super) fn walk<T: Scalar, O: Oracle<T>>(
    oracle: &mut O,
    x0: &[T],
    mover: &mut impl Mover<T, O>,
    stopping: &Stopping,
    mut observer: impl FnMut(&Progress<'_, T>) -> ControlFlow<()>,
) -> Result<Report<T>> {
    let dim = x0.len();
    let one = usize::from(!O::EXACT);
    let reserve = Counts { values: one, gradients: one, ..Counts::default() };
    let mut limits = Limits { run: control::Limits::new(stopping, 0.0), iterations: 0, reserve };
    let zeros = || vec![T::zero(); dim];
    let mut place = Place {
        x: x0.to_vec(),
        next: zeros(),
        value: f64::NAN,
        gradient: zeros(),
        gradient_norm: f64::NAN,
        preconditioned: Preconditioned::new(mover.preconditionable(), dim),
    };
    let start = if O::EXACT {
        oracle.evaluate(&place.x, &mut place.gradient, &mut place.preconditioned)
    } else {
        oracle.whole(&place.x, &mut place.gradient)
    };
    check_evaluated(start, &place.gradient)?;
    place.gradient_norm = oracle.stationarity(&place.gradient);
    place.value = start;
    let (initial_value, initial_gradient_norm) = (place.value, place.gradient_norm);
    let tolerance = stopping.gradient_tolerance::<T>(initial_gradient_norm);

    let mut best = Best { x: Vec::new(), value: place.value, gradient_norm: place.gradient_norm, is_here: true };
    let mut history = History::default();
    // The step that led here, its record, and f before it.
    let (mut pending, mut last, mut before): (Option<Moved>, Option<Iteration>, f64) = (None, None, f64::NAN);
    let mut still = 0;
    let mut since = Since {
        value: initial_value,
        gradient_norm: initial_gradient_norm,
        farthest: kernels::norm(x0),
        step: f64::INFINITY,
        resolution: 0.0,
    };
    let termination = loop {
        if !O::EXACT
            && let Some(limit) = limits.reached(oracle)
        {
            break limit;
        }
        let arrived = pending.as_ref().and_then(|moved| moved.arrived);
        let value = match arrived {
            Some(value) => value,
            None if O::EXACT && pending.is_none() => place.value,
            None => oracle.evaluate(&place.x, &mut place.gradient, &mut place.preconditioned),
        };
        let gradient_norm = oracle.stationarity(&place.gradient);
        if !value.is_finite() || !gradient_norm.is_finite() {
            if pending.take().is_some() {
                std::mem::swap(&mut place.x, &mut place.next);
            }
            if limits.run.note(oracle.take_error()) {
                break Termination::CallbackFailed;
            }
            break match value {
                f64::NEG_INFINITY => Termination::Unbounded,
                _ if place.value > initial_value => Termination::Diverged,
                value if value.is_finite() => Termination::NotFinite(Evaluation::Gradient),
                _ => Termination::NotFinite(Evaluation::Value),
            };
        }
        before = if pending.is_some() { place.value } else { before };
        (place.value, place.gradient_norm) = (value, gradient_norm);
        if let Some(moved) = pending.take() {
            if O::EXACT {
                best.compare(value, gradient_norm, &mut place.next);
                place.next.resize(dim, T::zero());
            }
            last = Some(moved.record(value, gradient_norm));
            last.into_iter().for_each(|iteration| history.push(iteration));
        }

        let progress = Progress {
            iteration: limits.iterations,
            x: &place.x,
            value: place.value,
            gradient: &place.gradient,
            gradient_norm: place.gradient_norm,
            residual: None,
            counts: oracle.counts(),
            seconds: limits.run.seconds(),
            last: last.as_ref(),
        };
        let stop = observer(&progress).is_break();
        let mut end = None;
        if O::EXACT {
            since.farthest = since.farthest.max(kernels::norm(&place.x));
            let moment = if place.gradient_norm <= tolerance { Some(Moment::Small) } else { None };
            let moment = moment.or((limits.iterations <= RESTART).then_some(Moment::Early));
            end = moment.and_then(|moment| mover.end(&mut place, oracle, &limits, &since, moment));
            let converged = matches!(end, Some(End::Converged)).then_some(Termination::GradientTolerance);
            let over = converged.or_else(|| finished(stopping, &place, last.as_ref(), before));
            if let Some(termination) = over.or_else(|| limits.reached(oracle)) {
                break if stop && !termination.converged() { Termination::Observer } else { termination };
            }
        }
        if stop {
            break Termination::Observer;
        }

        let advanced = match end {
            None => mover.advance(&mut place, oracle, &limits, &mut since),
            Some(_) => Err(Termination::Stalled),
        };
        if advanced == Err(Termination::Stalled) && end.is_none() && limits.reached(oracle).is_none() {
            end = mover.end(&mut place, oracle, &limits, &since, Moment::Stalled);
        }
        let moved = match (advanced, end) {
            (_, Some(End::Converged)) => break Termination::GradientTolerance,
            (_, Some(End::Lower)) => place.jump(),
            (advanced, None) => match advanced {
                Ok(moved) => moved,
                Err(termination) => break termination,
            },
        };
        since.step = moved.step_norm;
        if !moved.step_norm.is_finite() {
            break if place.value > initial_value { Termination::Diverged } else { Termination::Unbounded };
        }
        still = if moved.step_norm == 0.0 { still + 1 } else { 0 };
        if O::EXACT && still >= MOST_STILL_STEPS {
            break Termination::Stalled;
        }
        std::mem::swap(&mut place.x, &mut place.next);
        pending = Some(moved);
        limits.iterations += 1;
    };

    let vectors = 3 + usize::from(!best.x.is_empty()) + place.preconditioned.vectors() + mover.vectors(dim);
    let mut report = Report {
        x: place.x,
        value: place.value,
        gradient_norm: place.gradient_norm,
        initial_value,
        initial_gradient_norm,
        counts: oracle.counts(),
        termination,
        seconds: 0.0,
        error: None,
        memory_numbers: vectors * dim,
        asymmetry: 0.0,
        steps: 0,
        history: Vec::new(),
    };
    if !O::EXACT {
        report.value = oracle.whole(&report.x, &mut place.gradient);
        report.gradient_norm = oracle.stationarity(&place.gradient);
        if let Some(moved) = pending {
            history.push(moved.record(report.value, report.gradient_norm));
        }
        if !report.value.is_finite() || !report.gradient_norm.is_finite() {
            report.termination = Termination::Diverged;
            report.x.copy_from_slice(x0);
            (report.value, report.gradient_norm) = (initial_value, initial_gradient_norm);
        }
    } else if !best.is_here && !termination.converged() {
        (report.x, report.value, report.gradient_norm) = (best.x, best.value, best.gradient_norm);
    }
    report.counts = oracle.counts();
    report.error = limits.run.error();
    report.steps = history.steps();
    report.history = history.into_entries();
    report.seconds = limits.run.seconds();
    Ok(report)
}

impl<T: Scalar> Place<T> {
    /// A step to `next` that no method made.
    fn jump(&self) -> Moved {
        let square = |j: usize| (self.next[j].into() - self.x[j].into()).powi(2);
        let step_norm = kernels::sum_terms(self.x.len(), square).sqrt();
        Moved { step_norm, control: f64::NAN, ratio: f64::NAN, rejected: 0, arrived: None }
    }
}

impl Moved {
    /// The step's entry in the history.
    fn record(&self, value: f64, gradient_norm: f64) -> Iteration {
        Iteration {
            value,
            gradient_norm,
            step_norm: self.step_norm,
            ratio: self.ratio,
            control: self.control,
            shift: 0.0,
            rejected: self.rejected,
            products: 0,
            inner: InnerStop::ClosedForm,
            lowest_ritz_value: f64::NAN,
        }
    }
}

/// The best point so far.
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

/// Whether the run is over at this place.
fn finished<T: Scalar>(
    stopping: &Stopping,
    place: &Place<T>,
    last: Option<&Iteration>,
    before: f64,
) -> Option<Termination> {
    if place.value <= stopping.target_value {
        return Some(Termination::TargetValue);
    }
    // A method that may rise as well has settled only where f hardly changes at all.
    stopping.small_step((before - place.value).abs(), place.value, last?.step_norm, &place.x)
}
