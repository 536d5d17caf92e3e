//! The loop over batches: a step from each batch's own gradient and metric, judged on the same batch.

use std::ops::ControlFlow;

use super::newton::Settings;
use crate::base::{Result, Scalar, kernels, space};
#[cfg(feature = "serde")]
use crate::control::RunState;
use crate::control::{
    Batches, Evaluation, Globalisation, History, Identity, Iteration, Limits, Progress, Report, Run, Start,
    StoredGlobalisation, Termination, Trial, check_start,
};
use crate::operator::{AnyObjective, AnySampledObjective, Counted, Counts, Expansion, Objective};
use crate::step::{Accuracy, InnerSolver, InnerStop, Resources, Solution, StepFamily, Subproblem};

/// ‖(M + λI)δ + g‖ ≤ this × ‖g‖: as loose as loops over whole sets begin, since the next batch has another g.
const RESIDUAL: f64 = 0.1;
/// Trials along one batch's step (Schulman et al. (2015) in their code).
const MOST_TRIALS: usize = 10;
/// Batches in a row that were of no use.
const MOST_FAILURES: usize = 20;

/// Why a batch brought no step.
enum Failure {
    NotFinite(Evaluation),
    NoDecrease,
    End(Termination),
}

/// A step that was taken.
struct Taken {
    trial: Trial,
    inner: InnerStop,
    control: f64,
    rejected: usize,
}

/// A run over batches.
pub(super) struct BatchRun<'r, T> {
    objective: &'r dyn AnySampledObjective<T>,
    inner: InnerSolver,
    limits: Limits<'r>,
    batches: Batches,
    globalisation: Box<dyn StoredGlobalisation + 'r>,
    state: State<T>,
    #[cfg_attr(not(feature = "serde"), expect(dead_code, reason = "only saved states ask"))]
    solver: &'r dyn Identity,
}

#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct State<T> {
    x: Vec<T>,
    /// The last value and gradient norm that were finite, and the first.
    value: f64,
    gradient_norm: f64,
    first: Option<(f64, f64)>,
    /// Of the batches so far.
    counts: Counts,
    gradient: Vec<T>,
    step: Vec<T>,
    trial_x: Vec<T>,
    family: StepFamily<T>,
    history: History,
    last: Option<Iteration>,
    asymmetry: f64,
    /// Batches in a row that were of no use.
    failures: usize,
}

impl<'r, T: Scalar> BatchRun<'r, T> {
    pub fn start(
        objective: &'r dyn AnySampledObjective<T>,
        batches: Batches,
        start: Start<'_, T>,
        settings: Settings<'r>,
        globalisation: impl StoredGlobalisation + 'r,
    ) -> Result<Self> {
        let dim = objective.dim();
        check_start(dim, start, settings.stopping)?;
        batches.check(objective.samples())?;
        let plan = settings.memory.plan(dim, size_of::<T>());
        let zeros = || vec![T::zero(); dim];
        let state = State {
            x: start.point().unwrap_or_default().to_vec(),
            value: f64::NAN,
            gradient_norm: f64::NAN,
            first: None,
            counts: Counts::default(),
            gradient: zeros(),
            step: zeros(),
            trial_x: zeros(),
            family: StepFamily::new(dim, plan.columns),
            history: History::default(),
            last: None,
            asymmetry: 0.0,
            failures: 0,
        };
        let Settings { solver, stopping, inner, .. } = settings;
        let (limits, globalisation) = (Limits::new(stopping, 0.0), Box::new(globalisation));
        let run = BatchRun { objective, inner, limits, batches, globalisation, state, solver };
        match start {
            Start::Point(_) => Ok(run),
            #[cfg(feature = "serde")]
            Start::State(saved) => {
                let (batches, rule, state, seconds): (_, Vec<u8>, _, _) =
                    saved.parts::<T, _>(solver, [dim, objective.samples()])?;
                let mut run = BatchRun { batches, state, limits: Limits::new(stopping, seconds), ..run };
                run.globalisation.resume(&rule)?;
                Ok(run)
            }
        }
    }
}

impl<T: Scalar> Run<T> for BatchRun<'_, T> {
    type Report = Report<T>;

    fn iterate_with(
        &mut self,
        observer: &mut dyn FnMut(&Progress<'_, T>) -> ControlFlow<()>,
    ) -> Result<Option<Termination>> {
        let BatchRun { objective, inner, limits, batches, globalisation, state, .. } = self;
        if let Some(limit) = limits.reached(state.history.steps(), state.counts) {
            return Ok(Some(limit));
        }
        let batch = Counted::new(objective.batch(batches.draw()));
        let x = std::mem::take(&mut state.x);
        let here = Here { inner: *inner, limits, batch: &batch, expansion: batch.expand(&x), x: &x };
        let step = state.visit(&here, &mut **globalisation, observer);
        drop(here);
        let failed = limits.fails(Objective::<T>::take_error(&batch));
        (state.x, state.counts) = (x, state.counts + batch.counts());
        match step {
            _ if failed => Ok(Some(Termination::CallbackFailed)),
            Ok(taken) => {
                state.failures = 0;
                state.arrive(&taken);
                Ok(None)
            }
            Err(Failure::End(termination)) => Ok(Some(termination)),
            Err(failure) => {
                state.failures += 1;
                Ok((state.failures >= MOST_FAILURES).then_some(match failure {
                    Failure::NotFinite(evaluation) => Termination::NotFinite(evaluation),
                    _ => Termination::Stalled,
                }))
            }
        }
    }

    fn progress(&self) -> Progress<'_, T> {
        let state = &self.state;
        Progress { counts: state.counts, ..state.progress(&state.x, state.value, state.gradient_norm, &self.limits) }
    }

    #[cfg(feature = "serde")]
    fn save(&self) -> RunState {
        let parts = (&self.batches, self.globalisation.bytes(), &self.state, self.limits.seconds());
        RunState::new::<T>(self.solver, [self.objective.dim(), self.objective.samples()], &parts)
    }

    fn finish(self, termination: Termination) -> Report<T> {
        let State { x, value, gradient_norm, first, counts, family, history, asymmetry, .. } = self.state;
        let (initial_value, initial_gradient_norm) = first.unwrap_or((f64::NAN, f64::NAN));
        Report {
            memory_numbers: x.len() * (4 + family.vectors()),
            x,
            value,
            gradient_norm,
            initial_value,
            initial_gradient_norm,
            counts,
            termination,
            error: self.limits.error(),
            reductions: self.limits.reductions(),
            seconds: self.limits.seconds(),
            asymmetry,
            steps: history.steps(),
            history: history.into_entries(),
        }
    }
}

/// A batch at x.
struct Here<'a, T, E> {
    inner: InnerSolver,
    limits: &'a Limits<'a>,
    batch: &'a Counted<AnyObjective<'a, T>>,
    expansion: E,
    x: &'a [T],
}

impl<T: Scalar> State<T> {
    fn progress<'a>(&'a self, x: &'a [T], value: f64, gradient_norm: f64, limits: &Limits<'_>) -> Progress<'a, T> {
        Progress {
            iteration: self.history.steps(),
            x,
            value,
            gradient: &self.gradient,
            gradient_norm,
            residual: None,
            counts: self.counts,
            seconds: limits.seconds(),
            last: self.last.as_ref(),
        }
    }

    /// Value and gradient of the batch, the observer, and a step.
    fn visit(
        &mut self,
        here: &Here<'_, T, impl Expansion<T>>,
        globalisation: &mut dyn Globalisation,
        observer: &mut dyn FnMut(&Progress<'_, T>) -> ControlFlow<()>,
    ) -> std::result::Result<Taken, Failure> {
        let interruption = || {
            here.limits.note(Objective::<T>::take_error(here.batch));
            here.limits.interruption().map_or(Ok(()), |interruption| Err(Failure::End(interruption)))
        };
        let before = here.expansion.value();
        interruption()?;
        here.expansion.gradient(&mut self.gradient);
        let size = kernels::norm(&self.gradient);
        interruption()?;
        let usable = before.is_finite() && size.is_finite();
        if usable {
            (self.value, self.gradient_norm) = (before, size);
            self.first.get_or_insert((before, size));
        }
        let counts = self.counts + here.batch.counts();
        let progress = Progress { counts, ..self.progress(here.x, before, size, here.limits) };
        if space::agree([observer(&progress).is_break()]) == [true] {
            return Err(Failure::End(Termination::Observer));
        }
        if usable && before <= here.limits.stopping().target_value {
            return Err(Failure::End(Termination::TargetValue));
        }
        match usable {
            true => self.step(here, globalisation, before, size),
            false if before.is_finite() => Err(Failure::NotFinite(Evaluation::Gradient)),
            false => Err(Failure::NotFinite(Evaluation::Value)),
        }
    }

    /// Takes a step on this batch to `trial_x`.
    fn step(
        &mut self,
        here: &Here<'_, T, impl Expansion<T>>,
        globalisation: &mut dyn Globalisation,
        before: f64,
        size: f64,
    ) -> std::result::Result<Taken, Failure> {
        let Here { limits, batch, expansion, x, .. } = here;
        if size == 0.0 {
            return Err(Failure::NoDecrease);
        }
        let (solution, inner) = self.solve(here, globalisation.subproblem())?;
        self.family.step(&mut self.step);
        self.asymmetry = self.asymmetry.max(self.family.asymmetry());
        let mut not_finite = true;
        let first_length = globalisation.length(&solution);
        for rejected in 0..MOST_TRIALS {
            let now = self.counts + batch.counts();
            limits.note(Objective::<T>::take_error(*batch));
            if let Some(limit) = limits.reached(self.history.steps(), now) {
                return Err(Failure::End(limit));
            }
            let (length, predicted) = (globalisation.length(&solution), globalisation.predicted(&solution));
            kernels::add_scaled(x, length, &self.step, &mut self.trial_x);
            if predicted.is_nan() || predicted <= 0.0 || kernels::same(&self.trial_x, x) {
                return Err(Failure::NoDecrease);
            }
            let (after, divergence) = if !kernels::all_finite(&self.trial_x) {
                (f64::NAN, f64::NAN)
            } else {
                expansion.value_and_divergence(&self.trial_x).unwrap_or_else(|| (batch.value(&self.trial_x), 0.0))
            };
            let finite = after.is_finite() && !divergence.is_nan();
            not_finite &= !finite;
            let ratio = if finite { (before - after) / predicted } else { f64::NEG_INFINITY };
            let trial = Trial { solution, length, before, after, predicted, ratio, divergence };
            let near = globalisation.most_divergence().is_none_or(|most| divergence <= most);
            if near && globalisation.acceptable(&trial) {
                let control = globalisation.control(&trial);
                globalisation.taken(&trial);
                return Ok(Taken { trial, inner, control, rejected });
            }
            globalisation.shorten(&trial);
        }
        // The next batch is not to suffer for this one.
        globalisation.restore(first_length);
        Err(if not_finite { Failure::NotFinite(Evaluation::Value) } else { Failure::NoDecrease })
    }

    /// The solution to the subproblem at this point.
    fn solve(
        &mut self,
        Here { inner, limits, batch, expansion, .. }: &Here<'_, T, impl Expansion<T>>,
        subproblem: Subproblem,
    ) -> std::result::Result<(Solution, InnerStop), Failure> {
        let State { counts, gradient, family, .. } = self;
        let (made, gradients) = (|| *counts + batch.counts(), expansion.evaluations_ahead());
        let more = || {
            limits.note(Objective::<T>::take_error(*batch));
            limits.allow_products(made(), 1, gradients)
        };
        family.clear();
        family.allow(limits.products_left(made(), gradients).0);
        let fits = limits.allow_products(made(), expansion.forming_cost(), gradients);
        let entered = if fits && family.prefers_dense(*inner, expansion) {
            family.form(expansion, gradient)
        } else {
            family.start(expansion, gradient, |_| false, &more)
        };
        if !entered {
            return Err(Failure::NotFinite(Evaluation::Product));
        }
        let accuracy = Accuracy { residual: RESIDUAL, energy: 0.0, enough: 0.0, truncated: true };
        let resources = Resources { remembered: None, more: &more };
        let solution = family.refine(expansion, gradient, subproblem, accuracy, resources);
        solution.map_err(|_| Failure::NoDecrease)
    }

    /// Takes the step.
    fn arrive(&mut self, taken: &Taken) {
        let Taken { trial, inner, control, rejected } = *taken;
        let iteration = Iteration {
            value: trial.after,
            gradient_norm: self.gradient_norm,
            step_norm: trial.norm(),
            ratio: trial.ratio,
            control,
            shift: trial.solution.shift,
            rejected,
            products: self.family.products_made(),
            inner,
            lowest_ritz_value: self.family.lowest_ritz_value(),
        };
        self.history.push(iteration);
        self.last = Some(iteration);
        self.value = trial.after;
        std::mem::swap(&mut self.x, &mut self.trial_x);
    }
}
