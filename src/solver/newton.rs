//! What the second-order solvers descend on: an [`Objective`], with steps from its products.
//!
//! A step comes from remembered curvature, without a product, where that predicted the last gradient well; otherwise from
//! products at x, a space that starts with the remembered step and grows until the model's remaining decrease is small
//! ([`StepSource`]). The gradient at the new point teaches the remembered model by y = g₊ − g, which costs nothing. The
//! loop is [`DescentRun`].

use super::in_units::{InUnits, UnitsOfSteps};
use super::memory::Memory;
use super::second_look::{self, Outlook};
use super::source::{CurrentPoint, StepSource};
use super::stationary::Stationary;
use super::value_noise;
use crate::base::{Error, Result, Scalar, kernels};
use crate::control::{
    Confirmation, DescentRun, Entry, Globalisation, Identity, Judgement, Limits, LocalProblem, Look, Oracle, Outcome,
    Pending, Promise, Report, Start, Stopping, StoredGlobalisation, Termination, Track, Trial, check_start, judge,
    not_worth_a_step,
};
use crate::operator::{AnyObjective, Counted, Expansion, Objective};
use crate::step::{InnerSolver, InnerStop, Solution, check_memory};

/// What the solvers have in common.
pub(super) struct Settings<'s> {
    pub solver: &'s dyn Identity,
    pub stopping: &'s Stopping,
    pub inner: InnerSolver,
    pub memory: Memory,
    /// Whether the metric is taken for the curvature of f, and has the last word on convergence.
    pub curvature: bool,
}

/// Starts a descent on `objective`.
pub(super) fn start<'r, T: Scalar>(
    objective: AnyObjective<'r, T>,
    at: Start<'_, T>,
    settings: Settings<'r>,
    globalisation: impl StoredGlobalisation + 'r,
) -> Result<DescentRun<'r, T, SecondOrder<'r, T>>> {
    let dim = objective.dim();
    check_start(dim, at, settings.stopping)?;
    if settings.inner == InnerSolver::Dense {
        check_memory(dim)?;
    }
    let plan = settings.memory.plan(dim, size_of::<T>());
    let source = StepSource::new(settings.inner, plan, dim, globalisation.keeps_length());
    let oracle = SecondOrder { objective: Counted::new(objective), curvature: settings.curvature };
    DescentRun::start(
        oracle,
        (source, UnitsOfSteps::default()),
        Box::new(globalisation),
        at,
        (settings.solver, settings.stopping),
    )
}

/// Values, gradients and products of an objective.
pub(super) struct SecondOrder<'o, T> {
    objective: Counted<AnyObjective<'o, T>>,
    curvature: bool,
}

impl<'o, T: Scalar> Oracle<T> for SecondOrder<'o, T> {
    type State = StepSource<T>;
    type Frame = UnitsOfSteps<T>;
    type Caller = Counted<AnyObjective<'o, T>>;
    type Report = Report<T>;

    fn caller(&self) -> &Self::Caller {
        &self.objective
    }

    #[cfg(feature = "serde")]
    fn caller_mut(&mut self) -> &mut Self::Caller {
        &mut self.objective
    }

    fn first_value(&self, x: &[T], _: &mut StepSource<T>) -> Result<f64> {
        let value = self.objective.value(x);
        if value.is_finite() {
            Ok(value)
        } else {
            Err(Error::NotFinite { argument: "the value at x0", index: None, value })
        }
    }

    fn frame(&self, source: &StepSource<T>, units: &mut UnitsOfSteps<T>) {
        units.clone_from(&source.units);
    }

    fn local<'a>(&'a self, units: &'a UnitsOfSteps<T>, x: &'a [T]) -> impl LocalProblem<T, Self> + 'a {
        let SecondOrder { objective, curvature } = self;
        NewtonLocal { objective, curvature: *curvature, expansion: objective.expand(x), units, x }
    }

    fn slope(&self, x: &[T], v: &[T], gradient: &mut [T]) -> Option<f64> {
        self.objective.expand(x).gradient(gradient);
        Some(kernels::dot(gradient, v))
    }

    fn numbers(state: &StepSource<T>, units: &UnitsOfSteps<T>) -> usize {
        (1 + state.vectors() + units.vectors()) * state.dim()
    }

    fn report(_: StepSource<T>, _: f64, _: bool, report: Report<T>) -> Report<T> {
        report
    }
}

/// The objective at x.
struct NewtonLocal<'a, T, E> {
    objective: &'a Counted<AnyObjective<'a, T>>,
    curvature: bool,
    expansion: E,
    units: &'a UnitsOfSteps<T>,
    x: &'a [T],
}

impl<T: Scalar, E: Expansion<T>> NewtonLocal<'_, T, E> {
    /// f at `y`, and its divergence from x if that is bounded. A divergence that is NaN makes f NaN.
    fn probe(&self, y: &[T], globalisation: &dyn Globalisation) -> (f64, f64) {
        let bounded = globalisation.most_divergence().is_some();
        match bounded.then(|| self.expansion.value_and_divergence(y)).flatten() {
            Some((_, divergence)) if divergence.is_nan() => (f64::NAN, divergence),
            Some(probe) => probe,
            None => (self.objective.value(y), 0.0),
        }
    }

    /// Whether gradients of which products are differences are less accurate than was thought; then this is known.
    fn measure_gradients(&self, source: &mut StepSource<T>, track: &mut Track<T>, limits: &Limits<'_>) -> bool {
        if self.expansion.accuracy().is_none() {
            return false;
        }
        source.measured = true;
        let found = value_noise::accuracy_of_gradients(self.objective, self.x, track, limits, source.accuracy);
        if let Some(accuracy) = found {
            source.learn_accuracy(accuracy);
            self.expansion.learn_accuracy(accuracy);
        }
        found.is_some()
    }
}

impl<'o, T: Scalar, E: Expansion<T>> LocalProblem<T, SecondOrder<'o, T>> for NewtonLocal<'_, T, E> {
    fn enter(&self, source: &mut StepSource<T>, track: &mut Track<T>, back: bool) -> Entry {
        self.expansion.learn_accuracy(source.accuracy);
        if back {
            return Entry::Known;
        }
        self.expansion.gradient(&mut track.new_gradient);
        if kernels::norm(&track.new_gradient).is_finite() { Entry::Finite } else { Entry::NotFinite }
    }

    fn assess(&self, source: &mut StepSource<T>, track: &mut Track<T>, _: &Limits<'_>) {
        source.steepest.meet(&track.gradient);
        track.gradient_norm = kernels::norm(&track.gradient);
        track.measure = track.gradient_norm;
    }

    fn lowest_ritz_value(&self, source: &mut StepSource<T>) -> f64 {
        source.family.lowest_ritz_value()
    }

    fn learn(&self, source: &mut StepSource<T>, track: &mut Track<T>, pending: &Pending, rejected: usize) {
        let (step, change) = (self.units.of_step(&track.step), self.units.of_gradient(&track.new_gradient));
        source.learn(&step, &change, pending, rejected, track.gradient_norm_before, track.gradient_norm);
    }

    fn converged(&self, _: &StepSource<T>, track: &Track<T>, stopping: &Stopping) -> bool {
        let all = stopping.gradient_tolerance::<T>(track.reference_gradient_norm);
        track.gradient_norm <= if self.curvature { stopping.gradient_absolute } else { all }
    }

    fn promises(&self) -> bool {
        self.curvature
    }

    fn promise(
        &self,
        source: &mut StepSource<T>,
        gradient: &[T],
        solution: &Solution,
        inner: InnerStop,
    ) -> Option<Promise> {
        let at = (&*self.units.of_step(self.x), &*self.units.of_gradient(gradient));
        second_look::promise(&mut source.family, &InUnits::new(&self.expansion, self.units), at, solution, inner)
    }

    fn whole_settles(
        &self,
        source: &mut StepSource<T>,
        track: &Track<T>,
        limits: &Limits<'_>,
        wanted: bool,
        settles: &dyn Fn(Promise) -> bool,
    ) -> bool {
        let (at, family) = ((self.x, track.value, &*track.gradient), (&mut source.family, wanted));
        let expansion = (&self.expansion, self.units);
        let promise = second_look::promise_of_whole(self.objective, expansion, at, limits, family);
        let settled = promise.is_some_and(settles);
        source.remembers_all |= settled;
        settled
    }

    fn doubts_values(
        &self,
        source: &mut StepSource<T>,
        track: &mut Track<T>,
        limits: &Limits<'_>,
        claimed: bool,
    ) -> bool {
        if claimed {
            return false;
        }
        let found = value_noise::finds_noise(self.objective, self.x, track, limits);
        if found {
            source.start_again();
        }
        let coarse = self.measure_gradients(source, track, limits);
        if coarse {
            track.other_x.copy_from_slice(self.x);
        }
        found || coarse
    }

    fn tried(&self, source: &mut StepSource<T>, track: &mut Track<T>, limits: &Limits<'_>) -> bool {
        if source.doubtful && !source.measured {
            self.measure_gradients(source, track, limits);
        }
        false
    }

    fn confirm(&self, source: &mut StepSource<T>, track: &mut Track<T>, limits: &Limits<'_>) -> Confirmation {
        let point = Stationary {
            x: self.x,
            value: track.value,
            gradient: &track.gradient,
            gradient_norm: track.gradient_norm,
            farthest: track.farthest,
            least: not_worth_a_step(
                T::epsilon_f64(),
                limits.stopping().relative_tolerance::<T>(),
                track.value,
                track.initial_value - track.value,
            ),
            doubtful: source.steepest.doubts(&track.gradient, self.objective.counts()),
            whole: source.remembers_all || !self.curvature,
            remembered: Some(&mut source.remembered),
        };
        let (family, lower) = (&mut source.family, &mut track.other_x);
        let outlook = match self.units.are_known() {
            true => second_look::way_down_in_own_units(self.objective, &self.expansion, &point, limits, lower),
            false => second_look::way_down(self.objective, &self.expansion, point, limits, family, lower),
        };
        match outlook {
            Outlook::Lower(value, units) => {
                source.leave_saddle(units);
                Confirmation::Lower(value)
            }
            Outlook::Promise(_) | Outlook::Nothing => Confirmation::Minimum,
        }
    }

    fn propose(
        &self,
        source: &mut StepSource<T>,
        track: &mut Track<T>,
        globalisation: &mut dyn Globalisation,
        limits: &Limits<'_>,
        grow: bool,
    ) -> Outcome<(Solution, InnerStop)> {
        let stopping = limits.stopping();
        // Once the gradient is small, the model's minimum decides: it has to be found, about as well as before.
        let tolerance = stopping.gradient_tolerance::<T>(track.reference_gradient_norm).min(0.2 * track.gradient_norm);
        let (x, gradient) = (self.units.of_step(self.x), self.units.of_gradient(&track.gradient));
        let gradient_norm = if self.units.are_known() { kernels::norm(&gradient) } else { track.gradient_norm };
        let expansion = InUnits::new(&self.expansion, self.units);
        let gradients = self.expansion.evaluations_ahead();
        let more = || limits.allow(self.objective, 1, gradients);
        let (products_left, limit) = limits.products_left(self.objective.counts(), gradients);
        let here = CurrentPoint {
            expansion: &expansion,
            x: &x,
            value: track.value,
            gradient: &gradient,
            gradient_norm,
            tolerance: tolerance * (gradient_norm / track.gradient_norm),
            more: &more,
            products_left,
            limit,
        };
        loop {
            let (solution, inner) = source.propose(&here, globalisation, grow, &mut track.step)?;
            self.units.apply(&mut track.step);
            let length = globalisation.length(&solution);
            if length != 1.0 {
                kernels::scale(length, &mut track.step);
                kernels::scale(length, &mut source.product);
            }
            kernels::add_scaled(self.x, 1.0, &track.step, &mut track.other_x);
            let replaceable = inner == InnerStop::Remembered && source.can_ask_for_products();
            let useful = || globalisation.predicted(&solution) > 0.0 && !kernels::same(&track.other_x, self.x);
            if !replaceable || useful() {
                return Ok((solution, inner));
            }
            source.trust_memory = false;
        }
    }

    fn remembers_all(&self, source: &StepSource<T>) -> bool {
        source.remembers_all
    }

    fn look_closer(&self, source: &mut StepSource<T>, look: Option<Look>) {
        (source.look, source.trust_memory) = (look, false);
    }

    fn look_away(&self, source: &mut StepSource<T>, remembered: bool) {
        (source.look, source.trust_memory) = (None, remembered);
        source.family.clear();
    }

    fn judge(
        &self,
        source: &mut StepSource<T>,
        track: &mut Track<T>,
        globalisation: &dyn Globalisation,
        _: &Limits<'_>,
        solution: Solution,
    ) -> Outcome<(Trial, Judgement)> {
        let predicted = globalisation.predicted(&solution);
        let inside = solution.norm.is_finite() && kernels::all_finite(&track.other_x);
        let (position, promising) = (kernels::norm(self.x), predicted > 0.0);
        // Out of the range of numbers: of the vectors, or of the model's squares.
        let far = !inside && position > T::max_value().into().sqrt();
        let still = kernels::same(&track.other_x, self.x);
        let too_large = (!promising || still) && position.max(solution.norm) > f64::MAX.sqrt();
        if far || too_large {
            let risen = track.value > track.initial_value;
            return Err(if risen { Termination::Diverged } else { Termination::Unbounded });
        }
        if !promising || !solution.norm.is_finite() || still {
            return Err(track.stalled(self.asymmetry(source), Termination::Stalled));
        }
        let (after, divergence) = if inside { self.probe(&track.other_x, globalisation) } else { (f64::NAN, f64::NAN) };
        let verdict = match judge(T::epsilon_f64(), track.value, after, predicted) {
            Judgement::Rounding if globalisation.bare() => Judgement::Ratio((track.value - after) / predicted),
            Judgement::Ratio(_) if predicted.max((track.value - after).abs()) <= track.noise => Judgement::Rounding,
            verdict => verdict,
        };
        let ratio = match verdict {
            Judgement::Ratio(ratio) => ratio,
            Judgement::Rounding => (track.value - after) / predicted,
        };
        let length = globalisation.length(&solution);
        Ok((Trial { solution, length, before: track.value, after, predicted, ratio, divergence }, verdict))
    }

    fn knows_better(&self, source: &StepSource<T>) -> bool {
        source.can_ask_for_products()
    }

    fn rejected(&self, source: &mut StepSource<T>) {
        source.trust_memory = false;
    }

    fn asymmetry(&self, source: &StepSource<T>) -> f64 {
        if self.expansion.accuracy().is_some() { 0.0 } else { source.family.asymmetry() }
    }
}
