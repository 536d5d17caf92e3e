//! One iteration: the gradient of its batch, products of its curvature batch, and the step that the method finds.

use super::conjugate_gradients;
use super::drawn::Drawn;
use super::options::{AcceptanceBatch, StepMethod};
use super::proposal::{Accepted, CurrentPoint, Failure, Outcome};
use super::run::{HessianFreeRun, SolverState, whole_value};
use super::tally::Metered;
use crate::base::{Scalar, kernels};
use crate::control::{Evaluation, Limits};
use crate::curvature::LearnedPreconditioner;
use crate::operator::{Counts, Expansion, Objective, SampledObjective};

impl<T: Scalar, S: SampledObjective<T>, P: LearnedPreconditioner<T, S>> HessianFreeRun<'_, T, S, P> {
    /// Gradient, products, step: writes x + δ to `trial`.
    pub(super) fn step_from(
        &mut self,
        x: &[T],
        drawn: &Drawn,
        limits: &Limits<'_>,
    ) -> std::result::Result<Accepted, Outcome> {
        let (objective, options) = (self.objective, self.options);
        let batch = objective.batch(&drawn.gradient);
        let at = batch.expand(x);
        let value = at.value();
        self.tally.value(drawn.gradient.len());
        if limits.fails(batch.take_error()) || !value.is_finite() {
            return Err(Outcome::NoStep(Failure::NotFinite(Evaluation::Value)));
        }
        at.gradient(&mut self.gradient);
        self.tally.gradient(drawn.gradient.len());
        let norm = kernels::norm(&self.gradient);
        if limits.fails(batch.take_error()) || !norm.is_finite() {
            return Err(Outcome::NoStep(Failure::NotFinite(Evaluation::Gradient)));
        }
        self.state.gradient_norm = norm;
        if let Some(momentum) = options.method.momentum() {
            self.state.average_gradient(if drawn.whole() { 0.0 } else { momentum }, &self.gradient);
        }
        self.state.since_value += drawn.gradient.len();
        let reference = *self.state.initial_gradient_norm.get_or_insert(norm);
        if drawn.whole() {
            self.state.x.clear();
            self.state.x.extend_from_slice(x);
            self.know_value(value);
            if let Some(termination) = self.converged(norm, reference) {
                return Err(Outcome::End(termination));
            }
        }
        if norm == 0.0 {
            return Err(Outcome::NoStep(Failure::NoDecrease));
        }
        let damping = self.state.damping;
        let left = options.stopping.max_products.saturating_sub(self.tally.calls.get().products);
        if self.state.preconditioner.next_products(x.len()) <= left {
            self.tally.learning(self.state.preconditioner.learn(objective, x, &drawn.curvature, damping));
        }
        if drawn.curvature.len() == drawn.gradient.len() {
            return self.solve(&at, &batch, &batch, Point { x, drawn, value, curvature_value: value, limits });
        }
        let curvature_batch = objective.batch(&drawn.curvature);
        let curvature_at = curvature_batch.expand(x);
        let curvature_value = if options.acceptance_batch == AcceptanceBatch::Curvature {
            self.tally.value(drawn.curvature.len());
            curvature_at.value()
        } else {
            value
        };
        self.solve(&curvature_at, &batch, &curvature_batch, Point { x, drawn, value, curvature_value, limits })
    }

    /// Has the method find a step.
    fn solve(
        &mut self,
        at: &impl Expansion<T>,
        batch: &impl Objective<T>,
        curvature_batch: &impl Objective<T>,
        Point { x, drawn, value, curvature_value, limits }: Point<'_, T>,
    ) -> std::result::Result<Accepted, Outcome> {
        let (objective, options, tally) = (self.objective, self.options, &self.tally);
        let before = match options.acceptance_batch {
            AcceptanceBatch::Gradient => value,
            AcceptanceBatch::Curvature => curvature_value,
            AcceptanceBatch::All => self.state.value.unwrap_or_else(|| whole_value(objective, tally, limits, x)),
        };
        // Where no further value is allowed a trial counts as not finite; one is kept for the end of the run.
        let allowed = || {
            limits.note(batch.take_error().or_else(|| curvature_batch.take_error()));
            limits.allow_value(tally.calls.get() + Counts { values: 1, ..Counts::default() })
        };
        let value_at = |x: &[T]| match options.acceptance_batch {
            _ if !allowed() => f64::NAN,
            AcceptanceBatch::Curvature => {
                tally.value(drawn.curvature.len());
                curvature_batch.value(x)
            }
            AcceptanceBatch::All if !drawn.whole() => whole_value(objective, tally, limits, x),
            AcceptanceBatch::All | AcceptanceBatch::Gradient => {
                tally.value(drawn.gradient.len());
                batch.value(x)
            }
        };
        let more = || {
            limits.note(batch.take_error().or_else(|| curvature_batch.take_error()));
            limits.allow_products(tally.calls.get(), 1, 0)
        };
        let preconditioner = self.state.preconditioner.preconditioner().or_else(|| at.preconditioner());
        let operator = Metered {
            at,
            damping: self.state.damping,
            samples: drawn.curvature.len(),
            tally,
            structural: at.structural_damping(),
            record: self.record.as_ref(),
        };
        // A further product, where one is allowed.
        let undamped = |step: &[T], curvature: f64| {
            if operator.structural.is_none() || !more() {
                return curvature;
            }
            let mut product = self.product.borrow_mut();
            product.resize(step.len(), T::zero());
            tally.product(drawn.curvature.len());
            at.apply(step, &mut product);
            kernels::dot(step, &product)
        };
        let here = CurrentPoint {
            operator: &operator,
            structural: operator.structural.is_some(),
            undamped: &undamped,
            precondition: &|damping, r| {
                if let Some(preconditioner) = preconditioner {
                    preconditioner.precondition(damping, r);
                }
            },
            x,
            gradient: &self.gradient,
            mean_gradient: &self.state.mean_gradient,
            value: before,
            value_at: &value_at,
            more: &more,
        };
        let mut damping = self.state.damping;
        let (step, trial) = (&mut self.state.step, &mut self.trial);
        let proposed = match (&mut self.inner, &options.method) {
            (SolverState::SubspaceDescent(space), StepMethod::SubspaceDescent(method)) => {
                let proposed = space.propose(&here, method, drawn.curvature_whole(), &mut damping, step, trial);
                self.state.asymmetry = self.state.asymmetry.max(space.asymmetry());
                proposed
            }
            (SolverState::ConjugateGradients(cg), StepMethod::ConjugateGradients(method)) => {
                conjugate_gradients::propose(cg, &here, method, &mut damping, step, trial)
            }
            _ => unreachable!("made for this method"),
        };
        limits.note(batch.take_error().or_else(|| curvature_batch.take_error()));
        self.state.damping = damping;
        if let Some(record) = &mut self.record {
            self.state.preconditioner.learn_products(record.get_mut());
            record.get_mut().clear();
        }
        proposed.map_err(Outcome::NoStep)
    }
}

/// Where an iteration starts.
struct Point<'a, T> {
    x: &'a [T],
    drawn: &'a Drawn,
    /// f(x) on the gradient batch, and on the curvature batch if steps are judged there.
    value: f64,
    curvature_value: f64,
    limits: &'a Limits<'a>,
}
