//! One visit to a point: the gradient there, what it says of the step that led there, and whether the run is over.

use std::ops::ControlFlow;

use super::globalisation::Globalisation;
use super::oracle::{Entry, LocalProblem, Oracle, Outcome};
use super::track::{Pending, Track};
use super::{Evaluation, Judgement, Limits, Progress, Termination, not_worth_a_step};
use crate::base::{Error, Result, Scalar, check_finite, kernels, space};
use crate::operator::Caller;

/// Steps in a row, within rounding of f, that do not lower the gradient.
pub(super) const MOST_ROUNDING_STEPS: usize = 4;
/// Steps in a row that neither promise nor bring anything, after which least squares gives a flat valley up.
const MOST_FLAT_STEPS: usize = 20;

/// What to do at a point.
pub(super) enum Arrival {
    /// Look for a step from here.
    Stay,
    /// Go to `other_x`.
    Move,
    /// The end; at `other_x`, if it is to go back there.
    End { termination: Termination, back: bool },
}

/// One visit to a point.
pub(super) struct Visit<'v, 'r, T: Scalar, O: Oracle<T>, P> {
    pub oracle: &'v O,
    pub local: P,
    pub state: &'v mut O::State,
    pub globalisation: &'v mut dyn Globalisation,
    pub track: &'v mut Track<T>,
    pub limits: &'v Limits<'r>,
    pub x: &'v [T],
}

impl<T: Scalar, O: Oracle<T>, P: LocalProblem<T, O>> Visit<'_, '_, T, O, P> {
    pub(super) fn limit(&self) -> Option<Termination> {
        self.limits.stop(self.track.steps(), self.oracle.caller())
    }

    /// Part 3: takes up the gradient at x, judges the step that led there and learns from it; then asks whether the run
    /// is over.
    pub(super) fn arrive(&mut self, observer: &mut dyn FnMut(&Progress<'_, T>) -> ControlFlow<()>) -> Result<Arrival> {
        let counts = self.oracle.caller().counts();
        let pending = self.track.pending.take();
        let back = pending.is_none() && !self.track.gradient_norm.is_nan();
        if let Some(termination @ (Termination::CallbackFailed | Termination::Cancelled | Termination::MaxGradients)) =
            self.limit()
        {
            return Ok(self.turn_back(pending, termination));
        }
        let cost = self.local.entry_cost(self.state);
        if cost > 0 && !self.limits.allow_products(counts, cost, 0) {
            let termination = self.limit().unwrap_or(Termination::MaxProducts);
            return Ok(self.turn_back(pending, termination));
        }
        if counts.values.saturating_add(self.local.entry_values()) > self.limits.stopping().max_values {
            return Ok(self.turn_back(pending, Termination::MaxValues));
        }
        let entry = self.local.enter(self.state, self.track, back);
        if self.limits.fails(self.oracle.caller().take_error()) {
            return Ok(self.turn_back(pending, Termination::CallbackFailed));
        }
        match pending {
            None if back && entry == Entry::NotFinite => {
                return Ok(Arrival::End { termination: Termination::NotFinite(Evaluation::Gradient), back: false });
            }
            None => {
                // At x₀, beside a saddle that was left, or back from a step that failed.
                let saddle = self.track.left_saddle.take();
                if let (Some(value), Entry::NotFinite) = (saddle, entry) {
                    (self.track.value, self.track.gradient_norm) = (value, 0.0);
                    let termination = Termination::NotFinite(Evaluation::Gradient);
                    return Ok(Arrival::End { termination, back: true });
                }
                if entry != Entry::Known {
                    self.first_gradient(entry)?;
                    self.local.assess(self.state, self.track, self.limits);
                    self.track.first_gradient_norm(saddle.is_none() && !back);
                }
                if back {
                    let over = self.track.ended.take().and_then(|_| self.finished());
                    return Ok(over.map_or(Arrival::Stay, |termination| Arrival::End { termination, back: false }));
                }
            }
            Some(mut pending) => {
                if entry == Entry::NotFinite {
                    pending.trial.ratio = f64::NEG_INFINITY;
                    self.reject(&pending.trial, Evaluation::Gradient);
                    return Ok(self.go_back());
                }
                let track = &mut *self.track;
                if pending.verdict == Judgement::Rounding {
                    let slopes =
                        kernels::dot(&track.gradient, &track.step) + kernels::dot(&track.new_gradient, &track.step);
                    pending.trial.ratio = -0.5 * slopes / pending.trial.predicted;
                }
                let before = (track.measure, track.gradient_norm, track.stationary);
                std::mem::swap(&mut track.gradient, &mut track.new_gradient);
                self.local.assess(self.state, track, self.limits);
                if pending.verdict == Judgement::Rounding && track.measure > before.0 && pending.trial.ratio <= 0.0 {
                    std::mem::swap(&mut track.gradient, &mut track.new_gradient);
                    (track.measure, track.gradient_norm, track.stationary) = before;
                    track.rounding_steps += 1;
                    self.reject(&pending.trial, Evaluation::Value);
                    self.track.not_finite = None;
                    return Ok(self.go_back());
                }
                // From here on `new_gradient` holds the change y.
                let track = &mut *self.track;
                track.meet_asymmetry(self.local.asymmetry(self.state));
                track.gradient_norm_before = before.1;
                let rejected = track.rejected;
                let value = self.local.value(self.state, &pending.trial);
                let (norm, lowest) = (kernels::norm(&track.step), self.local.lowest_ritz_value(self.state));
                if track.arrived(&pending, value, norm, counts.all_products(), lowest) {
                    self.local.keep_best(self.state, false);
                }
                kernels::axpby(1.0, &track.gradient, -1.0, &mut track.new_gradient);
                self.local.learn(self.state, track, &pending, rejected);
                self.globalisation.taken(&pending.trial);
                if pending.trial.after == pending.trial.before {
                    self.track.resolution = self.track.resolution.max(pending.trial.predicted);
                }
            }
        }
        self.track.products_before = counts.all_products();
        self.track.least_measure = self.track.least_measure.min(self.track.measure);
        let progress = self.track.progress(self.x, self.oracle.caller().counts(), self.limits.seconds());
        let stop = observer(&Progress { residual: O::residual(self.state), ..progress }).is_break();
        let [stop] = space::agree([stop]);
        let termination = match self.finished() {
            Some(claim @ Termination::GradientTolerance) if !stop && self.limit().is_none() => self.confirm(claim),
            Some(termination) => Err(termination),
            None if stop => Err(Termination::Observer),
            None if self.local.tried(self.state, self.track, self.limits) => {
                self.confirm(Termination::GradientTolerance)
            }
            None if self.stagnates() => self.confirm(self.stalled(Termination::Stalled)),
            None => Ok(Arrival::Stay),
        };
        Ok(termination.unwrap_or_else(|termination| Arrival::End { termination, back: false }))
    }

    /// Refuses a first gradient that is not finite.
    fn first_gradient(&mut self, entry: Entry) -> Result<()> {
        space::accepted(check_finite("the gradient at x0", &self.track.new_gradient))?;
        if entry == Entry::NotFinite {
            let value = kernels::norm(&self.track.new_gradient);
            let argument = "the Jacobian, or the norm of the gradient, at x0";
            return Err(Error::NotFinite { argument, index: None, value });
        }
        std::mem::swap(&mut self.track.gradient, &mut self.track.new_gradient);
        Ok(())
    }

    fn confirm(&mut self, end: Termination) -> Outcome<Arrival> {
        self.conclude(end).map(|()| Arrival::Move)
    }

    /// Whether the run has come to no more than an end leaves, for as long as it took to come here. Not by the tolerance that
    /// was asked: in a valley every step gains little of the first decrease.
    fn stagnates(&mut self) -> bool {
        let gained = self.track.initial_value - self.track.value;
        let little = not_worth_a_step(T::epsilon_f64(), 0.0, self.track.value, gained);
        self.track.half_in_vain(little) && !self.globalisation.bare()
    }

    /// The end before the gradient at x is known: at the point before, if there is one, unless f is clearly lower here.
    fn turn_back(&mut self, pending: Option<Pending>, termination: Termination) -> Arrival {
        if let Some(Pending { trial, verdict, .. }) = &pending {
            let value = self.local.value(self.state, trial);
            self.pass_by(*verdict, value, true);
        }
        Arrival::End { termination, back: pending.is_some() }
    }

    /// Keeps x, if that is meant by `here`, or `other_x`, where the run will not be, if f is clearly lower there.
    pub(super) fn pass_by(&mut self, verdict: Judgement, value: f64, here: bool) {
        let clear = matches!(verdict, Judgement::Ratio(_));
        if clear && self.track.passes_by(here.then_some(self.x), value) {
            self.local.keep_best(self.state, here);
        }
    }

    /// Whether the run goes back to the point before, or ends there.
    fn go_back(&self) -> Arrival {
        match self.limit() {
            Some(_) if self.track.stationary => {
                Arrival::End { termination: Termination::GradientTolerance, back: true }
            }
            Some(termination) => Arrival::End { termination, back: true },
            None => Arrival::Move,
        }
    }

    /// Whether the run is over at x.
    fn finished(&self) -> Option<Termination> {
        let (track, stopping) = (&*self.track, self.limits.stopping());
        if self.local.converged(self.state, track, stopping) {
            return Some(Termination::GradientTolerance);
        }
        if track.value <= stopping.target_value {
            return Some(Termination::TargetValue);
        }
        if let Some(last) = &track.last {
            let small =
                stopping.small_step((track.value_before - last.value).abs(), last.value, last.step_norm, self.x);
            if small.is_some() {
                return small;
            }
        }
        if track.stationary && track.rounding_steps > 0 {
            return Some(self.stalled(Termination::Stalled));
        }
        if track.flat_steps >= MOST_FLAT_STEPS && O::residual(self.state).is_some() {
            return Some(Termination::FlatValley);
        }
        self.limit().map(|limit| if track.stationary { Termination::GradientTolerance } else { limit })
    }

    /// The reason to give when no step is to be found.
    pub(super) fn stalled(&self, otherwise: Termination) -> Termination {
        match self.track.stalled(self.local.asymmetry(self.state), otherwise) {
            // Of the rules for steps only bare ones go up.
            Termination::NotFinite(_) if self.track.value > self.track.initial_value && self.globalisation.bare() => {
                Termination::Diverged
            }
            termination => termination,
        }
    }
}
