//! The loop over batches: a step from each batch's own gradient and metric, judged on the same batch.

use std::ops::ControlFlow;

use super::newton::Settings;
use crate::base::{Error, Result, Scalar, kernels, space};
use crate::control::{
    Batches, Evaluation, Globalisation, History, Iteration, Limits, Progress, Report, Termination, Trial, check_start,
};
use crate::operator::{Counted, Counts, Expansion, Objective, SampledObjective};
use crate::step::{Accuracy, InnerSolver, InnerStop, Resources, Solution, StepFamily};

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
    Limit(Termination),
}

/// A step that was taken.
struct Taken {
    trial: Trial,
    inner: InnerStop,
    control: f64,
    rejected: usize,
}

/// Minimises over batches from `x0`.
pub(super) fn minimize<T: Scalar, G: Globalisation>(
    objective: &impl SampledObjective<T>,
    batches: &mut Batches,
    x0: &[T],
    settings: Settings<'_>,
    globalisation: G,
    mut observer: impl FnMut(&Progress<'_, T>) -> ControlFlow<()>,
) -> Result<Report<T>> {
    let dim = objective.dim();
    check_start(dim, x0, settings.stopping)?;
    let (expected, found) = (objective.samples(), batches.samples());
    if expected != found {
        return Err(Error::Length { argument: "the set that batches are drawn from", expected, found });
    }

    let plan = settings.memory.plan(dim, size_of::<T>());
    let zeros = || vec![T::zero(); dim];
    let mut run = MinibatchRun {
        inner: settings.inner,
        globalisation,
        limits: Limits::new(settings.stopping, 0.0),
        counts: Counts::default(),
        gradient: zeros(),
        step: zeros(),
        trial_x: zeros(),
        family: StepFamily::new(dim, plan.columns),
        history: History::default(),
        last: None,
        asymmetry: 0.0,
    };
    let mut x = x0.to_vec();
    let (mut value, mut norm) = (f64::NAN, f64::NAN);
    let mut first = None;
    let mut failures = 0;
    let termination = loop {
        if let Some(limit) = run.limit() {
            break limit;
        }
        let batch = Counted::new(objective.batch(batches.draw()));
        let expansion = batch.expand(&x);
        let before = expansion.value();
        expansion.gradient(&mut run.gradient);
        let size = kernels::norm(&run.gradient);
        let usable = before.is_finite() && size.is_finite();
        if usable {
            (value, norm) = (before, size);
            first.get_or_insert((before, size));
        }
        let now = run.counts + batch.counts();
        let progress = Progress {
            iteration: run.history.steps(),
            x: &x,
            value: before,
            gradient: &run.gradient,
            gradient_norm: size,
            residual: None,
            counts: now,
            seconds: run.limits.seconds(),
            last: run.last.as_ref(),
        };
        if space::agree([observer(&progress).is_break()]) == [true] {
            run.counts = now;
            break Termination::Observer;
        }
        if usable && before <= run.limits.stopping().target_value {
            run.counts = now;
            break Termination::TargetValue;
        }
        let taken = if !before.is_finite() {
            Err(Failure::NotFinite(Evaluation::Value))
        } else if !size.is_finite() {
            Err(Failure::NotFinite(Evaluation::Gradient))
        } else {
            run.step(&batch, &expansion, &x, before, size)
        };
        drop(expansion);
        run.limits.note(Objective::<T>::take_error(&batch));
        run.counts = run.counts + batch.counts();
        match taken {
            Ok(taken) => {
                failures = 0;
                value = taken.trial.after;
                run.record(&taken, norm);
                std::mem::swap(&mut x, &mut run.trial_x);
            }
            Err(Failure::Limit(limit)) => break limit,
            Err(failure) => {
                failures += 1;
                if failures >= MOST_FAILURES {
                    break match failure {
                        Failure::NotFinite(evaluation) => Termination::NotFinite(evaluation),
                        _ => Termination::Stalled,
                    };
                }
            }
        }
    };
    let (initial_value, initial_gradient_norm) = first.unwrap_or((f64::NAN, f64::NAN));
    Ok(Report {
        x,
        value,
        gradient_norm: norm,
        initial_value,
        initial_gradient_norm,
        counts: run.counts,
        termination,
        error: run.limits.error(),
        seconds: run.limits.seconds(),
        reductions: run.limits.reductions(),
        memory_numbers: dim * (4 + run.family.vectors()),
        asymmetry: run.asymmetry,
        steps: run.history.steps(),
        history: run.history.into_entries(),
    })
}

/// The state of a run, apart from x.
struct MinibatchRun<'s, T, G> {
    inner: InnerSolver,
    globalisation: G,
    limits: Limits<'s>,
    /// Of the batches before this one.
    counts: Counts,
    gradient: Vec<T>,
    step: Vec<T>,
    trial_x: Vec<T>,
    family: StepFamily<T>,
    history: History,
    last: Option<Iteration>,
    asymmetry: f64,
}

impl<T: Scalar, G: Globalisation> MinibatchRun<'_, T, G> {
    fn limit(&self) -> Option<Termination> {
        self.limits.reached(self.history.steps(), self.counts)
    }

    /// Takes a step on this batch to `trial_x`.
    fn step<O: Objective<T>>(
        &mut self,
        batch: &Counted<O>,
        expansion: &impl Expansion<T>,
        x: &[T],
        before: f64,
        size: f64,
    ) -> std::result::Result<Taken, Failure> {
        if size == 0.0 {
            return Err(Failure::NoDecrease);
        }
        let (solution, inner) = self.solve(batch, expansion)?;
        self.family.step(&mut self.step);
        self.asymmetry = self.asymmetry.max(self.family.asymmetry());
        let mut not_finite = true;
        let first_length = self.globalisation.length(&solution);
        for rejected in 0..MOST_TRIALS {
            let now = self.counts + batch.counts();
            self.limits.note(Objective::<T>::take_error(batch));
            if let Some(limit) = self.limits.reached(self.history.steps(), now) {
                return Err(Failure::Limit(limit));
            }
            let (length, predicted) = (self.globalisation.length(&solution), self.globalisation.predicted(&solution));
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
            let near = self.globalisation.most_divergence().is_none_or(|most| divergence <= most);
            if near && self.globalisation.acceptable(&trial) {
                let control = self.globalisation.control(&trial);
                self.globalisation.taken(&trial);
                return Ok(Taken { trial, inner, control, rejected });
            }
            self.globalisation.shorten(&trial);
        }
        // The next batch is not to suffer for this one.
        self.globalisation.restore(first_length);
        Err(if not_finite { Failure::NotFinite(Evaluation::Value) } else { Failure::NoDecrease })
    }

    /// The solution to the globalisation's subproblem at this point.
    fn solve<O: Objective<T>>(
        &mut self,
        batch: &Counted<O>,
        expansion: &impl Expansion<T>,
    ) -> std::result::Result<(Solution, InnerStop), Failure> {
        let MinibatchRun { inner, globalisation, limits, counts, gradient, family, .. } = self;
        let made = || *counts + batch.counts();
        let more = || {
            limits.note(Objective::<T>::take_error(batch));
            limits.allow_products(made(), 1)
        };
        family.clear();
        let fits = limits.allow_products(made(), expansion.forming_cost());
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
        let solution = family.refine(expansion, gradient, globalisation.subproblem(), accuracy, resources);
        solution.map_err(|_| Failure::NoDecrease)
    }

    fn record(&mut self, taken: &Taken, gradient_norm: f64) {
        let Taken { trial, inner, control, rejected } = *taken;
        let iteration = Iteration {
            value: trial.after,
            gradient_norm,
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
    }
}
