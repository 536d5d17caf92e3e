//! The run: batches, one iteration after the other, and what must never be lost.
//!
//! An iteration in which no step is found leaves x where it is, and the next one draws other samples. Twenty in a row end
//! the run, the last of them on the whole set, where it may turn out to have converged. So one bad batch (NaN in a sample)
//! costs one iteration.

use std::cell::RefCell;
use std::ops::ControlFlow;

use super::drawn::Drawn;
use super::options::{AcceptanceBatch, HessianFree};
use super::proposal::{Accepted, Failure, Outcome};
#[cfg(feature = "serde")]
use super::state::Named;
use super::state::State;
use super::subspace_descent::SubspaceStep;
use super::tally::Tally;
use crate::base::{CallbackError, Result, Scalar, space};
#[cfg(feature = "serde")]
use crate::control::RunState;
use crate::control::{Evaluation, Iteration, Limits, Progress, Report, Run, Termination};
use crate::curvature::{LearnedPreconditioner, ProductRecord};
use crate::operator::{Counts, Objective, SampledObjective};
use crate::step::BacktrackingCg;

/// Iterations without a step, in a row, after which a run ends.
const MOST_FAILURES: usize = 20;
/// Epochs of gradients between two values on the whole set.
const EPOCHS: usize = 20;
/// Samples in a part of the whole set: few enough for their forward pass to stay in the cache of the processor.
const PART: usize = 1000;

/// A run of [`HessianFree`] that goes on one iteration at a time.
///
/// ```
/// # use newton_krylov::{Objective, SampledObjective, objective};
/// # struct Mean(Vec<f64>);
/// # impl SampledObjective<f64> for Mean {
/// #     fn dim(&self) -> usize { 1 }
/// #     fn samples(&self) -> usize { self.0.len() }
/// #     fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Objective<f64> + 'a {
/// #         let count = samples.len() as f64;
/// #         objective(
/// #             1,
/// #             move |x: &[f64]| samples.iter().map(|&i| 0.5 * (x[0] - self.0[i]).powi(2)).sum::<f64>() / count,
/// #             move |x, g| g[0] = samples.iter().map(|&i| x[0] - self.0[i]).sum::<f64>() / count,
/// #             |_, v, hv| hv[0] = v[0],
/// #         )
/// #     }
/// # }
/// use newton_krylov::hessian_free::HessianFreeRun;
/// use newton_krylov::{HessianFree, Run, RunState, checkpoint};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("mean.checkpoint");
/// let mean = Mean(vec![1.0, 2.0, 6.0]);
/// let solver = HessianFree::default();
/// let mut run = solver.start(&mean, (), &[0.0])?;
/// for _ in 0..3 {
///     run.iterate()?;
///     checkpoint::save(&path, "mean", &run.save())?;
/// }
/// // Later, perhaps in another process: the same trajectory, to the bit.
/// let state: RunState = checkpoint::load(&path, "mean")?;
/// let run: HessianFreeRun<f64, _> = solver.resume(&mean, &state)?;
/// let report = run.complete()?;
/// assert!(report.termination.converged() && (report.x[0] - 3.0).abs() < 1e-7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct HessianFreeRun<'r, T, S, P = ()> {
    pub(super) options: &'r HessianFree,
    pub(super) objective: &'r S,
    pub(super) state: State<T, P>,
    pub(super) inner: SolverState<T>,
    pub(super) tally: Tally,
    pub(super) gradient: Vec<T>,
    pub(super) trial: Vec<T>,
    /// Mδ, where it is needed.
    pub(super) product: RefCell<Vec<T>>,
    pub(super) drawn: Drawn,
    /// Of a callback, where one ended the run.
    pub(super) error: Option<CallbackError>,
    /// Of this part of the run.
    pub(super) reductions: usize,
    /// Of the solve that goes on.
    pub(super) record: Option<RefCell<ProductRecord<T>>>,
}

/// What a method keeps between steps.
pub(super) enum SolverState<T> {
    SubspaceDescent(Box<SubspaceStep<T>>),
    ConjugateGradients(BacktrackingCg<T>),
}

impl<'r, T: Scalar, S: SampledObjective<T>, P: LearnedPreconditioner<T, S>> HessianFreeRun<'r, T, S, P> {
    /// Samples in all values, gradients and products so far.
    pub fn sample_counts(&self) -> Counts {
        self.state.sample_counts
    }

    /// The limits of the part of the run that begins now.
    pub(super) fn limits(&self) -> Limits<'r> {
        let limits = Limits::new(&self.options.stopping, self.state.seconds);
        limits.note(self.error.clone());
        limits
    }

    pub(super) fn end_part(&mut self, limits: &Limits<'_>) {
        self.state.counts = self.tally.calls.get();
        self.state.sample_counts = self.tally.samples.get();
        self.state.seconds = limits.seconds();
        limits.failed(); // notes it where that was on another rank
        self.error = limits.error();
        self.reductions += limits.reductions();
    }

    fn limit(&self, limits: &Limits<'_>) -> Option<Termination> {
        // One value is kept for the end.
        let spent = self.tally.calls.get() + Counts { values: 1, ..Counts::default() };
        let not_finite = Termination::NotFinite(Evaluation::Value);
        limits.reached(self.state.iterations, spent).or((!self.has_started()).then_some(not_finite))
    }

    /// Whether f(x₀) is known.
    fn has_started(&self) -> bool {
        self.state.best_value < f64::INFINITY
    }

    /// f(x) on the whole set is known: x may be the best point.
    pub(super) fn know_value(&mut self, value: f64) {
        let state = &mut self.state;
        state.value = Some(value);
        state.since_value = 0;
        if value < state.best_value {
            state.best_value = value;
            state.best.copy_from_slice(&state.x);
        }
    }

    /// One iteration within the limits.
    fn attempt(&mut self, limits: &Limits<'_>) -> Option<Termination> {
        let everything = self.state.failures + 1 == MOST_FAILURES;
        let (mut drawn, x) = (std::mem::take(&mut self.drawn), std::mem::take(&mut self.state.x));
        drawn.draw(self.options, &mut self.state.batches, self.state.iterations, everything);
        self.state.iterations += 1;
        let outcome = self.step_from(&x, &drawn, limits);
        (self.drawn, self.state.x) = (drawn, x);
        match outcome {
            Ok(accepted) => self.arrive(accepted, limits),
            Err(Outcome::End(termination)) => Some(termination),
            Err(Outcome::NoStep(failure)) => self.fail(failure),
        }
    }

    /// The tests of convergence, where the gradient is that of the whole set.
    pub(super) fn converged(&self, norm: f64, reference: f64) -> Option<Termination> {
        let (stopping, state) = (&self.options.stopping, &self.state);
        if norm <= stopping.gradient_tolerance::<T>(reference) {
            return Some(Termination::GradientTolerance);
        }
        (state.value? <= stopping.target_value).then_some(Termination::TargetValue)
    }

    /// Moves to the point that was found.
    fn arrive(&mut self, accepted: Accepted, limits: &Limits<'_>) -> Option<Termination> {
        let state = &mut self.state;
        std::mem::swap(&mut state.x, &mut self.trial);
        let before = state.value.take();
        (state.failures, state.not_finite) = (0, 0);
        let products = self.tally.calls.get().products - state.counts.products;
        state.history.push(Iteration {
            value: accepted.value,
            gradient_norm: state.gradient_norm,
            step_norm: accepted.norm,
            ratio: accepted.ratio,
            control: accepted.damping,
            shift: accepted.damping,
            rejected: accepted.rejected,
            products,
            inner: accepted.inner,
            lowest_ritz_value: accepted.lowest_ritz_value,
        });
        let whole = self.drawn.whole();
        let exact = match self.options.acceptance_batch {
            AcceptanceBatch::All => true,
            AcceptanceBatch::Gradient => whole,
            AcceptanceBatch::Curvature => self.drawn.curvature_whole(),
        };
        if exact {
            self.know_value(accepted.value);
        } else if state.since_value >= EPOCHS * self.drawn.all && limits.allow_value(self.tally.calls.get()) {
            let value = whole_value(self.objective, &self.tally, limits, &self.state.x);
            self.know_value(value);
        }
        let (stopping, state) = (&self.options.stopping, &self.state);
        if let (true, Some(before), Some(value)) = (exact && whole, before, state.value) {
            let small = stopping.small_step(before - value, value, accepted.norm, &state.x);
            if small.is_some() {
                return small;
            }
        }
        (state.value? <= stopping.target_value).then_some(Termination::TargetValue)
    }

    /// Stays, and forgets the last step and m, which may be the reason.
    fn fail(&mut self, failure: Failure) -> Option<Termination> {
        let state = &mut self.state;
        state.step.fill(T::zero());
        state.mean_gradient.clear();
        state.failures += 1;
        state.not_finite += usize::from(matches!(failure, Failure::NotFinite(_)));
        match failure {
            Failure::Unbounded => Some(Termination::Unbounded),
            Failure::NotFinite(what) if state.failures >= MOST_FAILURES && state.not_finite == state.failures => {
                Some(Termination::NotFinite(what))
            }
            _ if state.failures >= MOST_FAILURES => Some(Termination::Stalled),
            _ => None,
        }
    }
}

impl<T: Scalar, S: SampledObjective<T>, P: LearnedPreconditioner<T, S>> Run<T> for HessianFreeRun<'_, T, S, P> {
    type Report = Report<T>;

    /// One iteration. Calls after the end say so again, or go on where a limit was raised.
    fn iterate_with(
        &mut self,
        observer: &mut dyn FnMut(&Progress<'_, T>) -> ControlFlow<()>,
    ) -> Result<Option<Termination>> {
        if self.has_started() && space::agree([observer(&self.progress()).is_break()]) == [true] {
            return Ok(Some(Termination::Observer));
        }
        let limits = self.limits();
        let termination = self.limit(&limits).or_else(|| self.attempt(&limits));
        self.end_part(&limits);
        Ok(if self.error.is_some() { Some(Termination::CallbackFailed) } else { termination })
    }

    fn progress(&self) -> Progress<'_, T> {
        let state = &self.state;
        Progress {
            iteration: state.iterations,
            x: &state.x,
            value: state.history.last().map_or(state.initial_value, |last| last.value),
            gradient: &self.gradient,
            gradient_norm: state.gradient_norm,
            residual: None,
            counts: state.counts,
            seconds: state.seconds,
            last: state.history.last(),
        }
    }

    #[cfg(feature = "serde")]
    fn save(&self) -> RunState {
        let dimensions = [self.objective.dim(), self.objective.samples()];
        RunState::new::<T>(&Named::<P>::default(), dimensions, &(&self.state, &self.gradient))
    }

    /// Ends the run: computes f(x) on the whole set, unless it is known, and reports the best point, or where the run
    /// converged the last one.
    fn finish(mut self, termination: Termination) -> Report<T> {
        let limits = self.limits();
        if self.state.value.is_none() && limits.allow_value(self.tally.calls.get()) {
            let value = whole_value(self.objective, &self.tally, &limits, &self.state.x);
            self.know_value(value);
        }
        self.end_part(&limits);
        let inner = match &self.inner {
            SolverState::SubspaceDescent(space) => 1 + space.vectors(),
            SolverState::ConjugateGradients(cg) => cg.vectors(),
        };
        let (state, dim) = (self.state, self.gradient.len());
        let (x, value) = match state.value {
            // What has converged is x, also where another point had a lower value.
            Some(value) if termination.converged() => (state.x, value),
            _ => (state.best, if state.best_value < f64::INFINITY { state.best_value } else { state.initial_value }),
        };
        Report {
            x,
            value,
            gradient_norm: state.gradient_norm,
            initial_value: state.initial_value,
            initial_gradient_norm: state.initial_gradient_norm.unwrap_or(f64::NAN),
            counts: state.counts,
            termination,
            seconds: state.seconds,
            error: limits.error(),
            reductions: self.reductions,
            memory_numbers: dim * (5 + inner + usize::from(!self.product.borrow().is_empty())),
            asymmetry: state.asymmetry,
            steps: state.history.len(),
            history: state.history,
        }
    }
}

/// f on the whole set, by parts: Σ |B| f_B / N, the regulariser being the same in each. NaN where a callback fails.
pub(super) fn whole_value<T>(objective: &impl SampledObjective<T>, tally: &Tally, limits: &Limits<'_>, x: &[T]) -> f64 {
    let samples = objective.samples();
    let all: Vec<usize> = (0..samples).collect();
    tally.value(samples);
    let mut sum = 0.0;
    for part in all.chunks(PART) {
        let batch = objective.batch(part);
        sum += batch.value(x) * part.len() as f64;
        if limits.fails(batch.take_error()) {
            return f64::NAN;
        }
    }
    sum / samples as f64
}
