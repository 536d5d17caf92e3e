//! How a run starts, or goes on from a saved state.

use std::cell::RefCell;
use std::ops::ControlFlow;

use super::drawn::Drawn;
use super::options::{HessianFree, StepMethod};
use super::run::{HessianFreeRun, SolverState, whole_value};
#[cfg(feature = "serde")]
use super::state::Named;
use super::state::State;
use super::subspace_descent::SubspaceStep;
use super::tally::Tally;
use crate::base::{Result, Scalar, check_finite, check_length, check_positive_dimension, space};
#[cfg(feature = "serde")]
use crate::control::RunState;
use crate::control::{Batches, Progress, Report, Run};
use crate::curvature::{LearnedPreconditioner, ProductRecord};
use crate::operator::{Counts, SampledObjective};
use crate::step::BacktrackingCg;

impl HessianFree {
    /// Minimises `objective` from `x0`, preconditioned as the objective's operators themselves are.
    ///
    /// # Errors
    /// If the objective has no unknowns or no samples, `x0` has another length or is not finite, or an option is out of
    /// its range.
    pub fn minimize<T: Scalar, S: SampledObjective<T>>(&self, objective: &S, x0: &[T]) -> Result<Report<T>> {
        self.minimize_with(objective, (), x0, |_| ControlFlow::Continue(()))
    }

    /// As [`minimize`](Self::minimize), with a preconditioner that learns during the run (`()` for none), and with an
    /// observer that sees every step and may stop the run.
    ///
    /// # Errors
    /// As [`minimize`](Self::minimize).
    pub fn minimize_with<T, S, P>(
        &self,
        objective: &S,
        preconditioner: P,
        x0: &[T],
        observer: impl FnMut(&Progress<'_, T>) -> ControlFlow<()>,
    ) -> Result<Report<T>>
    where
        T: Scalar,
        S: SampledObjective<T>,
        P: LearnedPreconditioner<T, S>,
    {
        self.start(objective, preconditioner, x0)?.complete_with(observer)
    }

    /// Starts a run. Computes f(x₀) on the whole set.
    ///
    /// # Errors
    /// As [`minimize`](Self::minimize).
    pub fn start<'r, T, S, P>(
        &'r self,
        objective: &'r S,
        preconditioner: P,
        x0: &[T],
    ) -> Result<HessianFreeRun<'r, T, S, P>>
    where
        T: Scalar,
        S: SampledObjective<T>,
        P: LearnedPreconditioner<T, S>,
    {
        let (dim, samples) = (objective.dim(), objective.samples());
        check_positive_dimension("the objective's dimension", dim)?;
        check_positive_dimension("the objective's samples", samples)?;
        check_length("x0", x0, dim)?;
        space::accepted(check_finite("x0", x0))?;
        self.check()?;
        let size = self.gradient_batch.size(0, samples);
        let state = State {
            x: x0.to_vec(),
            step: vec![T::zero(); dim],
            mean_gradient: vec![],
            damping: self.damping,
            preconditioner,
            batches: Batches::new(samples, size, self.seed)?,
            iterations: 0,
            failures: 0,
            not_finite: 0,
            value: None,
            best: x0.to_vec(),
            best_value: f64::INFINITY,
            since_value: 0,
            initial_value: f64::NAN,
            initial_gradient_norm: None,
            gradient_norm: f64::NAN,
            counts: Counts::default(),
            sample_counts: Counts::default(),
            seconds: 0.0,
            asymmetry: 0.0,
            history: vec![],
        };
        let mut run = self.go_on(objective, state)?;
        let limits = run.limits();
        if limits.allow_value(run.tally.calls.get()) {
            let value = whole_value(objective, &run.tally, &limits, &run.state.x);
            run.state.initial_value = value;
            run.know_value(value);
        }
        run.end_part(&limits);
        Ok(run)
    }

    /// Goes on from where a run was saved. With the same options, objective and number type the trajectory is bitwise that of
    /// the run that was not interrupted; with other options the run goes on under those.
    ///
    /// # Errors
    /// For the state of another solver or preconditioner, version of the library, number type, dimension or number of samples,
    /// a preconditioner of another shape, or an option out of its range.
    #[cfg(feature = "serde")]
    pub fn resume<'r, T, S, P>(&'r self, objective: &'r S, state: &RunState) -> Result<HessianFreeRun<'r, T, S, P>>
    where
        T: Scalar,
        S: SampledObjective<T>,
        P: LearnedPreconditioner<T, S>,
    {
        let dimensions = [objective.dim(), objective.samples()];
        let (state, gradient) = state.parts::<T, (State<T, P>, Vec<T>)>(&Named::<P>::default(), dimensions)?;
        Ok(HessianFreeRun { gradient, ..self.go_on(objective, state)? })
    }

    /// The run in this state.
    fn go_on<'r, T, S, P>(&'r self, objective: &'r S, state: State<T, P>) -> Result<HessianFreeRun<'r, T, S, P>>
    where
        T: Scalar,
        S: SampledObjective<T>,
        P: LearnedPreconditioner<T, S>,
    {
        self.check()?;
        let dim = objective.dim();
        state.preconditioner.fits(objective)?;
        let inner = match self.method {
            StepMethod::SubspaceDescent(method) => {
                SolverState::SubspaceDescent(Box::new(SubspaceStep::new(dim, method)))
            }
            StepMethod::ConjugateGradients(_) => SolverState::ConjugateGradients(BacktrackingCg::new(dim)),
        };
        let tally = Tally::default();
        tally.calls.set(state.counts);
        tally.samples.set(state.sample_counts);
        let pairs = state.preconditioner.pairs();
        let record = if pairs > 0 { Some(RefCell::new(ProductRecord::new(pairs)?)) } else { None };
        let zeros = || vec![T::zero(); dim];
        Ok(HessianFreeRun {
            options: self,
            objective,
            state,
            inner,
            tally,
            gradient: zeros(),
            trial: zeros(),
            product: RefCell::default(),
            drawn: Drawn::default(),
            error: None,
            reductions: 0,
            record,
        })
    }
}
