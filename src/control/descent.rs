//! The loop that all descents share: second-order methods, least squares, and first-order methods with line searches.
//!
//! From x with gradient g, until the gradient is small:
//!
//! 1. A step, from where the [`Oracle`] has its steps.
//! 2. A trial: f(x + δ). A step that fails is shortened, one that the model describes well is lengthened, as the
//!    [`Globalisation`] says; a stored space solves the new subproblem without a product.
//! 3. The gradient at the new point judges the step where f is too noisy to ([`judge`](super::judge)).
//!
//! Everything about a step and about the end of a run is decided here, for all of them: whether it is taken, rejected or
//! lengthened, what is rounding, what is not finite, which limit is met, which point is the best, when the observer is
//! called, and what is reported. What differs is given: the oracle, with its steps, and the globalisation.
//!
//! A run is a value. [`Run::iterate`] visits one point: it computes the gradient there, judges the step that led
//! there, and finds the next step. Between two visits nothing is borrowed, and the run can be saved.

use std::ops::ControlFlow;

use super::convergence::Promise;
use super::globalisation::{Globalisation, Trial, reach};
use super::track::{Pending, Track};
use super::{EqualRatios, Evaluation, Judgement, Limits, Progress, Report, Run, Stopping, Termination};
use crate::base::{
    CallbackError, Error, Result, Scalar, check_finite, check_length, check_positive_dimension, kernels,
};
use crate::operator::Counts;
use crate::step::{InnerStop, Solution};

/// Times that one step may be lengthened: 2²⁰ times the first.
const MOST_LENGTHENINGS: usize = 20;
/// Steps in a row that neither promise nor bring anything, after which least squares gives a flat valley up.
const MOST_FLAT_STEPS: usize = 20;
/// Rejections of one step, each at least halving it, after which it is given up.
const MOST_REJECTIONS: usize = 200;
/// Steps in a row, within rounding of f, that do not lower the gradient.
const MOST_ROUNDING_STEPS: usize = 4;

/// A number, or why the run is over.
pub(crate) type Outcome<V> = std::result::Result<V, Termination>;

/// What is descended on, and where steps come from.
pub(crate) trait Oracle<T: Scalar> {
    /// What it keeps from point to point.
    type State;
    /// What it keeps of the point where the run is, while it is looked at.
    type Frame;
    /// What a run reports.
    type Report;

    /// Calls so far.
    fn counts(&self) -> Counts;

    /// The error of a callback, if one has failed.
    fn take_error(&self) -> Option<CallbackError>;

    /// f(x₀).
    ///
    /// # Errors
    /// Where it cannot be evaluated.
    fn first_value(&self, x: &[T], state: &mut Self::State) -> Result<f64>;

    /// Prepares the frame for the point where the run is.
    fn frame(&self, state: &Self::State, frame: &mut Self::Frame);

    /// The problem at x.
    fn place<'a>(&'a self, frame: &'a Self::Frame, x: &'a [T]) -> impl LocalProblem<T, Self> + 'a;

    /// ∇f(x)ᵀv, with room for a gradient, where that can be had at any x.
    fn slope(&self, _x: &[T], _v: &[T], _gradient: &mut [T]) -> Option<f64> {
        None
    }

    /// r(x), for least squares.
    fn residual(_state: &Self::State) -> Option<&[T]> {
        None
    }

    /// Storage in numbers, beside the vectors of the loop.
    fn numbers(state: &Self::State, frame: &Self::Frame) -> usize;

    /// What is reported beside what all runs report; `measure` is that of the [`Track`], and `elsewhere` says that the
    /// report is of the best point, which was left.
    fn report(state: Self::State, measure: f64, elsewhere: bool, report: Report<T>) -> Self::Report;
}

/// What became of the gradient at a new point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It is written.
    Finite,
    /// It is not finite.
    NotFinite,
    /// The run came back to this point, where it is known.
    Known,
}

/// How accurate a solution is to be, if not as the last steps were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// As where nothing is known of the last step.
    Rough,
    /// It leaves next to nothing of the gradient.
    Accurate,
}

/// What a small gradient is worth.
pub(crate) enum Confirmation {
    /// A minimum, as far as can be told.
    Minimum,
    /// The run is over for another reason.
    End(Termination),
    /// A saddle: `other_x` has this lower value.
    Lower(f64),
}

/// A descent's problem at a point: what can be asked there. Vectors and numbers of the run are in the [`Track`].
pub(crate) trait LocalProblem<T: Scalar, O: Oracle<T> + ?Sized> {
    /// Products that [`enter`](Self::enter) makes at most.
    fn entry_cost(&self, _state: &O::State) -> usize {
        0
    }

    /// track.new_gradient ← ∇f(x).
    fn enter(&self, state: &mut O::State, track: &mut Track<T>, back: bool) -> Entry;

    /// Measures the gradient, which is track.gradient now: its norm, and whether x is stationary.
    fn assess(&self, state: &mut O::State, track: &mut Track<T>, limits: &Limits<'_>);

    /// f(x) after the step that led here.
    fn value(&self, _state: &mut O::State, trial: &Trial) -> f64 {
        trial.after
    }

    /// The lowest Ritz value at the point before.
    fn lowest_ritz_value(&self, _state: &mut O::State) -> f64 {
        f64::NAN
    }

    /// Learns from a step that was taken, after so many that were rejected; y = g₊ − g is track.new_gradient.
    fn learn(&self, state: &mut O::State, track: &mut Track<T>, pending: &Pending, rejected: usize);

    /// Whether the gradient is within the tolerance.
    fn converged(&self, state: &O::State, track: &Track<T>, stopping: &Stopping) -> bool;

    /// Looks closer at a point that is about to be called converged.
    fn confirm(&self, state: &mut O::State, track: &mut Track<T>, limits: &Limits<'_>) -> Confirmation;

    /// The solution to the globalisation's subproblem: track.step ← δ, track.other_x ← x + δ. Without `grow` it is found from
    /// what is there, and the same subproblem has the same solution.
    fn propose(
        &self,
        state: &mut O::State,
        track: &mut Track<T>,
        globalisation: &mut impl Globalisation,
        limits: &Limits<'_>,
        grow: bool,
    ) -> Outcome<(Solution, InnerStop)>;

    /// What the model still promises with this solution, if it is convex as far as is known.
    fn promise(&self, _state: &mut O::State, _x: &[T], _solution: &Solution, _inner: InnerStop) -> Option<Promise> {
        None
    }

    /// Whether it ever promises anything: whether the metric is the curvature of f.
    fn promises(&self) -> bool {
        false
    }

    /// Whether what is remembered is the whole matrix at the point before.
    fn remembers_all(&self, _state: &O::State) -> bool {
        false
    }

    /// The next solutions at this point are to come from products at it, and to be as accurate as that.
    fn look_closer(&self, _state: &mut O::State, _look: Option<Look>) {}

    /// The space at this point is forgotten, and what is remembered trusted again if it was: as before a closer look.
    fn look_away(&self, _state: &mut O::State, _remembered: bool) {}

    /// Evaluates f at track.other_x and compares it with what the solution predicts.
    fn judge(
        &self,
        state: &mut O::State,
        track: &mut Track<T>,
        globalisation: &impl Globalisation,
        limits: &Limits<'_>,
        solution: Solution,
    ) -> Outcome<(Trial, Judgement)>;

    /// Whether, after the first try, a step may be lengthened, and the space enlarged for a shorter one.
    fn elastic(&self) -> bool {
        true
    }

    /// Whether a rejected step will be replaced by one that knows more, and is not to be shortened.
    fn knows_better(&self, _state: &O::State) -> bool {
        false
    }

    /// A step was rejected.
    fn rejected(&self, _state: &mut O::State) {}

    /// The largest relative difference between uᵀMv and vᵀMu met at this point.
    fn asymmetry(&self, _state: &O::State) -> f64 {
        0.0
    }

    /// The run has just left the best point that it has seen.
    fn leave_best(&self, _state: &mut O::State) {}

    /// The run goes to track.other_x, or back.
    fn leave(&self, _state: &mut O::State) {}
}

/// What to do at a point.
enum Arrival {
    /// Look for a step from here.
    Stay,
    /// Go to `other_x`.
    Move,
    /// The end; at `other_x`, if it is to go back there.
    End { termination: Termination, back: bool },
}

/// A run.
pub(crate) struct DescentRun<'r, T, O: Oracle<T>, G>
where
    T: Scalar,
{
    pub oracle: O,
    pub frame: O::Frame,
    pub state: O::State,
    pub globalisation: G,
    pub track: Track<T>,
    pub limits: Limits<'r>,
    /// x, where the run is; apart, since places borrow it.
    pub x: Vec<T>,
}

/// Refuses what no run can start from.
pub(crate) fn check_start<T: Scalar>(dim: usize, x0: &[T], stopping: &Stopping) -> Result<()> {
    check_positive_dimension("the objective's dimension", dim)?;
    check_length("x0", x0, dim)?;
    check_finite("x0", x0)?;
    stopping.check()
}

impl<'r, T: Scalar, O: Oracle<T>, G: Globalisation> DescentRun<'r, T, O, G> {
    /// Starts at x₀, which has been checked, and evaluates f there.
    pub fn start(
        oracle: O,
        (mut state, frame): (O::State, O::Frame),
        globalisation: G,
        x0: &[T],
        stopping: &'r Stopping,
    ) -> Result<Self> {
        let limits = Limits::new(stopping, 0.0);
        let mut track = Track::new(x0.len());
        let _ = oracle.take_error(); // of an earlier run
        if limits.allow_value(Counts::default()) {
            track.start(match oracle.first_value(x0, &mut state) {
                Err(_) if limits.note(oracle.take_error()) => f64::NAN,
                value => value?,
            });
        }
        Ok(DescentRun { oracle, frame, state, globalisation, track, limits, x: x0.to_vec() })
    }

    /// Visits a point: its gradient, the observer, and the next step. The reason, if the run is over.
    fn visit(&mut self, observer: &mut dyn FnMut(&Progress<'_, T>) -> ControlFlow<()>) -> Result<Option<Termination>> {
        if let (true, Some(limit)) = (self.track.value.is_nan(), self.limit()) {
            return Ok(Some(limit)); // f(x₀) is not known
        }
        self.oracle.frame(&self.state, &mut self.frame);
        let DescentRun { oracle, frame, state, globalisation, track, limits, x } = self;
        let place = oracle.place(frame, x);
        let mut visit = Visit { oracle: &*oracle, place, state, globalisation, track, limits, x };
        let (termination, moves) = match visit.arrive(observer)? {
            Arrival::Stay => match visit.find_step().or_else(|termination| visit.conclude(termination)) {
                Ok(()) => (None, true),
                Err(termination) => (Some(termination), false),
            },
            Arrival::Move => (None, true),
            Arrival::End { termination, back } => (Some(termination), back),
        };
        if moves {
            visit.place.leave(visit.state);
        }
        drop(visit);
        if moves {
            std::mem::swap(&mut self.x, &mut self.track.other_x);
        }
        Ok(termination)
    }

    /// As many visits as it takes.
    ///
    /// # Errors
    /// As [`iterate`](Run::iterate).
    pub fn complete(mut self, mut observer: impl FnMut(&Progress<'_, T>) -> ControlFlow<()>) -> Result<O::Report> {
        loop {
            if let Some(termination) = self.visit(&mut observer)? {
                return Ok(self.finish(termination));
            }
        }
    }

    fn limit(&self) -> Option<Termination> {
        self.limits.note(self.oracle.take_error());
        self.limits.reached(self.track.steps(), self.oracle.counts())
    }
}

impl<T: Scalar, O: Oracle<T>, G: Globalisation> Run<T> for DescentRun<'_, T, O, G> {
    type Report = O::Report;

    fn iterate(&mut self) -> Result<Option<Termination>> {
        self.visit(&mut |_| ControlFlow::Continue(()))
    }

    fn progress(&self) -> Progress<'_, T> {
        let x = if self.track.pending.is_some() { &self.track.other_x } else { &self.x };
        let progress = self.track.progress(x, self.oracle.counts(), self.limits.seconds());
        Progress { residual: O::residual(&self.state), ..progress }
    }

    fn finish(mut self, termination: Termination) -> O::Report {
        if self.track.pending.is_some() {
            std::mem::swap(&mut self.x, &mut self.track.other_x);
        }
        let (measure, elsewhere) = (self.track.measure, self.track.ends_elsewhere(termination));
        let numbers = 5 * self.x.len() + O::numbers(&self.state, &self.frame);
        let (counts, seconds) = (self.oracle.counts(), self.limits.seconds());
        let report = self.track.report(self.x, termination, counts, seconds, self.limits.error());
        O::report(self.state, measure, elsewhere, Report { memory_numbers: numbers, ..report })
    }
}

/// One visit to a point. How it may be the last: [`ending`](super::ending).
pub(super) struct Visit<'v, 'r, T: Scalar, O: Oracle<T>, P, G> {
    oracle: &'v O,
    pub(super) place: P,
    pub(super) state: &'v mut O::State,
    pub(super) globalisation: &'v mut G,
    pub(super) track: &'v mut Track<T>,
    pub(super) limits: &'v Limits<'r>,
    pub(super) x: &'v [T],
}

impl<T: Scalar, O: Oracle<T>, P: LocalProblem<T, O>, G: Globalisation> Visit<'_, '_, T, O, P, G> {
    pub(super) fn limit(&self) -> Option<Termination> {
        self.limits.note(self.oracle.take_error());
        self.limits.reached(self.track.steps(), self.oracle.counts())
    }

    /// Part 3: takes up the gradient at x, judges the step that led there and learns from it; then asks whether the run
    /// is over.
    fn arrive(&mut self, observer: &mut dyn FnMut(&Progress<'_, T>) -> ControlFlow<()>) -> Result<Arrival> {
        let counts = self.oracle.counts();
        let pending = self.track.pending.take();
        let back = pending.is_none() && !self.track.gradient_norm.is_nan();
        if let Some(termination @ (Termination::CallbackFailed | Termination::Cancelled | Termination::MaxGradients)) =
            self.limit()
        {
            return Ok(Arrival::End { termination, back: pending.is_some() });
        }
        let cost = self.place.entry_cost(self.state);
        if cost > 0 && !self.limits.allow_products(counts, cost) {
            let termination = self.limit().unwrap_or(Termination::MaxProducts);
            return Ok(Arrival::End { termination, back: pending.is_some() });
        }
        let entry = self.place.enter(self.state, self.track, back);
        if self.limits.note(self.oracle.take_error()) {
            let termination = Termination::CallbackFailed;
            return Ok(Arrival::End { termination, back: pending.is_some() });
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
                    self.place.assess(self.state, self.track, self.limits);
                    self.track.first_gradient_norm(saddle.is_none() && !back);
                }
                if back {
                    return Ok(Arrival::Stay);
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
                self.place.assess(self.state, track, self.limits);
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
                track.asymmetry = track.asymmetry.max(self.place.asymmetry(self.state));
                track.gradient_norm_before = before.1;
                let rejected = track.rejected;
                let value = self.place.value(self.state, &pending.trial);
                let (norm, lowest) = (kernels::norm(&track.step), self.place.lowest_ritz_value(self.state));
                if track.arrived(&pending, value, norm, counts.all_products(), lowest) {
                    self.place.leave_best(self.state);
                }
                kernels::axpby(1.0, &track.gradient, -1.0, &mut track.new_gradient);
                self.place.learn(self.state, track, &pending, rejected);
                self.globalisation.taken(&pending.trial);
                if pending.trial.after == pending.trial.before {
                    self.track.resolution = self.track.resolution.max(pending.trial.predicted);
                }
            }
        }
        self.track.products_before = counts.all_products();
        self.track.least_measure = self.track.least_measure.min(self.track.measure);
        let progress = self.track.progress(self.x, self.oracle.counts(), self.limits.seconds());
        let stop = observer(&Progress { residual: O::residual(self.state), ..progress }).is_break();
        let termination = match self.finished() {
            Some(Termination::GradientTolerance) if !stop && self.limit().is_none() => self.confirm(),
            Some(termination) => Err(termination),
            None if stop => Err(Termination::Observer),
            None => Ok(Arrival::Stay),
        };
        Ok(termination.unwrap_or_else(|termination| Arrival::End { termination, back: false }))
    }

    /// Refuses a first gradient that is not finite.
    fn first_gradient(&mut self, entry: Entry) -> Result<()> {
        check_finite("the gradient at x0", &self.track.new_gradient)?;
        if entry == Entry::NotFinite {
            let value = kernels::norm(&self.track.new_gradient);
            let argument = "the Jacobian, or the norm of the gradient, at x0";
            return Err(Error::NotFinite { argument, index: None, value });
        }
        std::mem::swap(&mut self.track.gradient, &mut self.track.new_gradient);
        Ok(())
    }

    fn confirm(&mut self) -> Outcome<Arrival> {
        self.conclude(Termination::GradientTolerance).map(|()| Arrival::Move)
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
        if self.place.converged(self.state, track, stopping) {
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

    /// Parts 1 and 2: finds a step that decreases f, or says why there is none.
    fn find_step(&mut self) -> Outcome<()> {
        if self.track.rounding_steps >= MOST_ROUNDING_STEPS || self.track.rejected >= MOST_REJECTIONS {
            return Err(self.stalled(Termination::Stalled));
        }
        // A good trial and its Δ, σ or α, while a longer step is tried.
        let mut longer_than: Option<(Trial, f64)> = None;
        let (mut lengthened, mut first) = (0, true);
        let mut ratios = EqualRatios::new(T::epsilon_f64(), kernels::norm(self.x));
        loop {
            let tried = match self.limit() {
                Some(limit) => Err(limit),
                None => self.try_step(lengthened == 0 && (first || self.place.elastic())),
            };
            first = false;
            let (trial, verdict, inner) = match (tried, longer_than) {
                (Ok(tried), _) => tried,
                (Err(termination @ (Termination::Unbounded | Termination::CallbackFailed)), _) => {
                    return Err(termination);
                }
                (Err(_), Some((shorter, control))) => return self.settle(shorter, control),
                (Err(termination), None) => return Err(termination),
            };
            let control = self.globalisation.control(&trial);
            let near = self.globalisation.most_divergence().is_none_or(|most| trial.divergence <= most);
            let good = match verdict {
                _ if !near => false,
                Judgement::Rounding => longer_than.is_none(),
                Judgement::Ratio(_) => self.globalisation.acceptable(&trial),
            };
            if let Some((shorter, its_control)) = longer_than
                && !(good && trial.after < shorter.after)
            {
                return self.settle(shorter, its_control);
            }
            if good {
                if trial.after == f64::NEG_INFINITY {
                    return Err(Termination::Unbounded);
                }
                // A step that led to no finite gradient was shortened and is not lengthened again.
                let may_be_longer =
                    verdict != Judgement::Rounding && self.track.not_finite != Some(Evaluation::Gradient);
                let try_longer = may_be_longer && lengthened < MOST_LENGTHENINGS && self.place.elastic();
                if try_longer && self.globalisation.lengthen(&trial) {
                    longer_than = Some((trial, control));
                    lengthened += 1;
                    continue;
                }
                self.track.pending = Some(Pending { trial, verdict, inner, control });
                return Ok(());
            }
            if ratios.reject(trial.ratio, trial.norm()) && self.still_falls() {
                return Err(self.stalled(Termination::InconsistentGradient));
            }
            self.reject(&trial, Evaluation::Value);
            let step_norm = kernels::norm(&self.track.step);
            if self.track.rejected >= MOST_REJECTIONS || step_norm <= T::epsilon_f64() * 0.01 * kernels::norm(self.x) {
                return Err(self.stalled(Termination::Stalled));
            }
        }
    }

    /// Makes a step and evaluates f at its end.
    fn try_step(&mut self, grow: bool) -> Outcome<(Trial, Judgement, InnerStop)> {
        let proposed = self.place.propose(self.state, self.track, self.globalisation, self.limits, grow);
        if self.limits.note(self.oracle.take_error()) {
            return Err(Termination::CallbackFailed);
        }
        let (mut solution, mut inner) = match proposed {
            Ok(proposed) => proposed,
            Err(termination) => return Err(self.limit().unwrap_or(termination)),
        };
        if self.limits.stopping().cancellation.is_cancelled() {
            return Err(Termination::Cancelled);
        }
        if grow && self.settled(&mut solution, &mut inner) {
            return Err(Termination::GradientTolerance);
        }
        let judged = self.place.judge(self.state, self.track, self.globalisation, self.limits, solution);
        judged.map(|(trial, verdict)| (trial, verdict, inner))
    }

    /// Comes back to a trial that was better than the longer one after it; the model gives the step again for nothing.
    fn settle(&mut self, trial: Trial, control: f64) -> Outcome<()> {
        self.globalisation.restore(control);
        let (_, inner) = self.place.propose(self.state, self.track, self.globalisation, self.limits, false)?;
        let verdict = Judgement::Ratio(trial.ratio);
        self.track.pending = Some(Pending { trial, verdict, inner, control });
        Ok(())
    }

    /// Whether the gradient at the end of a trial, where f has risen, says that it falls on. Beyond a minimum it does not.
    fn still_falls(&mut self) -> bool {
        let Track { other_x, step, new_gradient, .. } = &mut *self.track;
        self.oracle.slope(other_x, step, new_gradient).is_none_or(|slope| slope < 0.0)
    }

    /// Counts a step that failed and shortens the next. A remembered step that failed is not shortened: products at
    /// this point will say more.
    fn reject(&mut self, trial: &Trial, evaluation: Evaluation) {
        self.track.rejected(trial, evaluation);
        if !self.place.knows_better(self.state) {
            // Least squares has lengths of its own, and starts with that of x.
            let reach = match O::residual(self.state) {
                None => reach(self.x, self.track.value, self.track.gradient_norm),
                Some(_) => f64::INFINITY,
            };
            self.globalisation.shorten(&trial.within(reach));
        }
        self.place.rejected(self.state);
    }

    /// The reason to give when no step is to be found.
    fn stalled(&self, otherwise: Termination) -> Termination {
        match self.track.stalled(self.place.asymmetry(self.state), otherwise) {
            // Of the rules for steps only bare ones go up.
            Termination::NotFinite(_) if self.track.value > self.track.initial_value && self.globalisation.bare() => {
                Termination::Diverged
            }
            termination => termination,
        }
    }
}
