//! Steps of least squares, and what comes of them.
//!
//! **Bounds.** At x the components that lie at a bound and would leave the box along −g are held (Sⱼ = 0), the step is
//! made in the others, and x + δ is projected onto the box; the model's decrease is that of the projected step. It is the
//! projected Levenberg–Marquardt method of Kanzow, Yamashita & Fukushima (J. Comput. Appl. Math. 172 (2004)), section 3,
//! with the active set of Bertsekas (SIAM J. Control Optim. 20 (1982)). Since S is diagonal a short step descends also
//! when it is projected. Reflective interior methods (Coleman & Li 1996; SciPy's `trf`) stay off the bounds and approach
//! an active one in the limit only; projection reaches it exactly, after which the method is the unbounded one in the
//! other components, with its speed and its last digits.

use super::stationarity::{ROUNDING, polished};
use super::{FitLocal, FitState, LOOSEST, Residuals, TIGHTEST};
use crate::base::{Scalar, kernels, space};
use crate::control::{
    Confirmation, Entry, Globalisation, Judgement, Limits, LocalProblem, Outcome, Pending, Promise, Scales, Stopping,
    Termination, Track, Trial, judge_decrease,
};
use crate::operator::{Caller, LinearMap};
use crate::step::{Accuracy, GaussNewtonSteps, InnerStop, Solution, System};

/// The largest share of the decrease to be had that an inexact step may forgo, where a preconditioner tells how much that is.
const LOOSEST_ENERGY: f64 = 0.03;
/// The length at which the second derivative along a step is probed, as a fraction of the step (Transtrum & Sethna).
const PROBE: f64 = 0.1;
/// The largest ratio of acceleration and step (Transtrum & Sethna, α).
const LARGEST_ACCELERATION: f64 = 0.75;
/// Steps that promise less than this share of the value are not accelerated.
const ACCELERATED: f64 = 1e-6;

impl<'f, T: Scalar> LocalProblem<T, Residuals<'f, T>> for FitLocal<'_, T> {
    fn entry_cost(&self, fit: &FitState<T>) -> usize {
        fit.source.entry_cost(&self.jacobian)
    }

    fn entry_values(&self) -> usize {
        self.jacobian.evaluations_ahead()
    }

    /// Takes up the Jacobian at x, also where the run came back: its factors are gone.
    fn enter(&self, fit: &mut FitState<T>, track: &mut Track<T>, _: bool) -> Entry {
        let finite = fit.source.enter(&self.jacobian, self.residual(), &mut track.new_gradient);
        if finite { Entry::Finite } else { Entry::NotFinite }
    }

    fn assess(&self, fit: &mut FitState<T>, track: &mut Track<T>, limits: &Limits<'_>) {
        self.rescale(fit, track, limits);
    }

    fn value(&self, fit: &mut FitState<T>, _: &Trial) -> f64 {
        fit.sum.value(self.residuals.fit.loss, &fit.residual)
    }

    fn learn(
        &self,
        fit: &mut FitState<T>,
        _: &mut Track<T>,
        Pending { trial, verdict, .. }: &Pending,
        rejected: usize,
    ) {
        if matches!(verdict, Judgement::Ratio(_)) {
            fit.least_curvature.learn(if rejected > 0 { f64::NEG_INFINITY } else { trial.ratio });
        }
        fit.forcing = match verdict {
            Judgement::Ratio(ratio) => (1.0 - ratio).powi(2).clamp(TIGHTEST, LOOSEST),
            Judgement::Rounding => TIGHTEST,
        };
    }

    fn converged(&self, fit: &FitState<T>, track: &Track<T>, stopping: &Stopping) -> bool {
        let orthogonal = fit.orthogonal && !fit.source.exact() && fit.worth_a_step == 0.0;
        fit.seen && track.gradient_norm <= stopping.gradient_absolute || orthogonal
    }

    fn tried(&self, fit: &mut FitState<T>, track: &mut Track<T>, limits: &Limits<'_>) -> bool {
        fit.worth_a_step > 0.0 && self.fails_as_noise(fit, track, limits)
    }

    fn confirm(&self, fit: &mut FitState<T>, track: &mut Track<T>, limits: &Limits<'_>) -> Confirmation {
        if self.contradicted(fit, track, limits) || self.terms_contradicted(fit, track, limits) {
            Confirmation::End(self.contradiction())
        } else {
            self.look_along_null_directions(fit, track, limits)
        }
    }

    fn promises(&self) -> bool {
        true
    }

    /// Where the factors of J are at hand; lengths are those of the scaled parameters.
    fn promise(&self, fit: &mut FitState<T>, _: &[T], solution: &Solution, _: InnerStop) -> Option<Promise> {
        let free = fit.scaling.iter().filter(|&&s| s > T::zero()).count();
        let complete = fit.source.factors()?.rank(self.residual(), &fit.scaling)? == free;
        let (decrease, position) = (-0.5 * solution.slope, fit.errors.terms * fit.errors.terms);
        (complete && fit.seen).then_some(Promise { decrease, step: solution.norm, accurate: true, complete, position })
    }

    /// Scales the step to the globalisation's length and into the box.
    fn propose(
        &self,
        fit: &mut FitState<T>,
        track: &mut Track<T>,
        globalisation: &mut dyn Globalisation,
        limits: &Limits<'_>,
        grow: bool,
    ) -> Outcome<(Solution, InnerStop)> {
        let bounds = self.residuals.fit.bounds;
        // For the next point, and the image of a projected step.
        let reserve = fit.source.entry_cost(&self.jacobian) + usize::from(bounds.is_some());
        let more = |further: usize| self.allows(limits, reserve + further);
        if !fit.scaled {
            fit.scaled = true;
            let weighted = |v: &[T]| {
                let squares = v.iter().zip(&fit.scaling).map(|(&v, &s)| (v / s).into()).filter(|v: &f64| v.is_finite());
                space::norm(squares.fold(0.0, f64::hypot))
            };
            let (point, size) = (weighted(self.x), space::of_residuals(|| kernels::norm(self.residual())));
            // From as good as the origin x is no unit: a step of its length would be lost in the rounding of r.
            let point = if point > ROUNDING * T::epsilon_f64() * size { point } else { size };
            globalisation.start(Scales { gradient_norm: track.gradient_norm, length: point, point });
        }
        let system = System {
            jacobian: &self.jacobian,
            residual: self.residual(),
            gradient: &track.gradient,
            scaling: &fit.scaling,
            more: &more,
        };
        // A tenth of what the test at the end asks for is enough.
        let last = 0.1 * limits.stopping().gradient_relative / track.measure;
        let residual = if last > fit.forcing { last.min(LOOSEST) } else { fit.forcing };
        let energy = residual.min(LOOSEST_ENERGY);
        let accuracy = grow.then_some(Accuracy { residual, energy, enough: 0.0, truncated: true });
        let solved = fit.source.solution(&system, globalisation.subproblem(), accuracy);
        let (mut solution, inner) = solved.ok_or_else(|| match more(1) {
            true => Termination::NotFinite(crate::control::Evaluation::Product),
            false => Termination::MaxProducts,
        })?;
        fit.source.step(&mut track.step);
        let length = globalisation.length(&solution);
        kernels::scale(length, &mut track.step);
        kernels::add_scaled(self.x, 1.0, &track.step, &mut track.other_x);
        fit.projected = bounds.is_some_and(|bounds| space::anywhere(bounds.project(&mut track.other_x)));
        if fit.projected {
            // What the model says of the projected step, as if it were `length` times a solution.
            kernels::add_scaled(&track.other_x, -1.0, self.x, &mut track.step);
            self.jacobian.apply(&track.step, &mut fit.image);
            let scaled = track.step.iter().zip(&fit.scaling).filter(|(_, s)| **s > T::zero());
            let norm = scaled.fold(0.0, |norm: f64, (&v, &s)| norm.hypot((v / s).into()));
            solution.norm = space::norm(norm) / length;
            solution.slope = kernels::dot(&track.gradient, &track.step) / length;
            solution.curvature = space::of_residuals(|| kernels::dot(&fit.image, &fit.image)) / (length * length);
            solution.on_boundary = false;
        }
        Ok((solution, inner))
    }

    fn judge(
        &self,
        fit: &mut FitState<T>,
        track: &mut Track<T>,
        globalisation: &dyn Globalisation,
        limits: &Limits<'_>,
        solution: Solution,
    ) -> Outcome<(Trial, Judgement)> {
        let problem = self.residuals;
        let predicted = globalisation.predicted(&solution);
        if track.stationary && predicted <= polished(limits.stopping()) * track.value {
            // Where r is not orthogonal to J either, the rank that J has to rounding hides what there is to gain.
            return Err(if fit.orthogonal { Termination::GradientTolerance } else { Termination::Stalled });
        }
        let inside = solution.norm.is_finite() && kernels::all_finite(&track.other_x);
        if !solution.norm.is_finite() || kernels::same(&track.other_x, self.x) {
            return Err(track.stalled(0.0, Termination::Stalled));
        }
        let length = globalisation.length(&solution);
        let (before, after, ratio) = (track.value, f64::NAN, f64::NEG_INFINITY);
        let mut trial = Trial { solution, length, before, after, predicted, ratio, divergence: 0.0 };
        let promising = predicted > 0.0;
        if !promising {
            // A projected step that the model does not trust; a shorter one it will.
            return if trial.norm() > 0.0 && problem.fit.bounds.is_some() {
                trial.ratio = 0.0;
                Ok((trial, Judgement::Ratio(0.0)))
            } else {
                Err(track.stalled(0.0, Termination::Stalled))
            };
        }
        if problem.acceleration
            && inside
            && !track.stationary
            && predicted > ACCELERATED * track.value
            && !fit.projected
            && problem.model.counts().values + 1 < limits.stopping().max_values
            && let Some(factors) = fit.source.factors()
        {
            factors.image(&mut fit.image);
            if let Err(ratio) = self.accelerate(fit, track, &trial) {
                trial.ratio = ratio;
                return Ok((trial, Judgement::Ratio(ratio)));
            }
        }
        let actual = if inside { self.decrease(fit, &track.other_x) } else { f64::NAN };
        trial.after = track.value - actual;
        let verdict = judge_decrease(fit.errors.of_decrease::<T>(track.value, actual, 0.0), actual, predicted);
        trial.ratio = match verdict {
            Judgement::Ratio(ratio) => ratio,
            Judgement::Rounding => actual / predicted,
        };
        Ok((trial, verdict))
    }

    fn elastic(&self) -> bool {
        false
    }

    fn doubts_values(&self, fit: &mut FitState<T>, track: &mut Track<T>, limits: &Limits<'_>, claimed: bool) -> bool {
        self.finds_noise(fit, track, limits, claimed)
    }

    fn contradiction(&self) -> Termination {
        if self.jacobian.accuracy().is_some() { Termination::Stalled } else { Termination::InconsistentGradient }
    }

    fn keep_best(&self, fit: &mut FitState<T>, here: bool) {
        fit.best_residual.clone_from(if here { &fit.residual } else { &fit.other_residual });
    }

    fn leave(&self, fit: &mut FitState<T>) {
        std::mem::swap(&mut fit.residual, &mut fit.other_residual);
    }
}

impl<T: Scalar> FitLocal<'_, T> {
    /// How much lower f is at another point, whose residuals become `other_residual`; NaN where they are not finite.
    pub(super) fn decrease(&self, fit: &mut FitState<T>, there: &[T]) -> f64 {
        let Residuals { fit: problem, model, .. } = self.residuals;
        model.evaluate(there, &mut fit.other_residual);
        // A bounded loss takes NaN for an outlier.
        if problem.loss.is_identity() || space::of_residuals(|| kernels::all_finite(&fit.other_residual)) {
            fit.sum.decrease(problem.loss, &fit.residual, &fit.other_residual)
        } else {
            f64::NAN
        }
    }

    /// Adds the second-order correction of Transtrum & Sethna to the step. The ratio with which to reject it, where the
    /// correction is not small beside it, or where the residuals on the way are not finite.
    fn accelerate(&self, fit: &mut FitState<T>, track: &mut Track<T>, trial: &Trial) -> std::result::Result<(), f64> {
        let problem = self.residuals;
        let h = PROBE;
        kernels::add_scaled(self.x, h, &track.step, &mut track.other_x);
        problem.model.evaluate(&track.other_x, &mut fit.other_residual);
        // Wr″ = (2/h) (W(r(x + hδ) − r)/h − WJδ)
        kernels::axpby(-1.0, &fit.residual, 1.0, &mut fit.other_residual);
        self.weights.weight(&mut fit.other_residual);
        kernels::axpby(-2.0 / h, &fit.image, 2.0 / (h * h), &mut fit.other_residual);
        let second = space::of_residuals(|| kernels::norm(&fit.other_residual));
        if !second.is_finite() {
            return Err(f64::NEG_INFINITY);
        }
        let noise = ROUNDING * fit.errors.of_residual::<T>() * 2.0 / (h * h);
        let mut small = true;
        if second > noise {
            let factors = fit.source.factors();
            let size = factors.map(|f| f.accelerate(&fit.other_residual, trial.solution.shift, &mut track.step));
            small = size.is_none_or(|size| 2.0 * size <= LARGEST_ACCELERATION * trial.norm());
        }
        kernels::add_scaled(self.x, 1.0, &track.step, &mut track.other_x);
        if problem.fit.bounds.is_some_and(|bounds| bounds.project(&mut track.other_x)) {
            kernels::add_scaled(&track.other_x, -1.0, self.x, &mut track.step);
        }
        if small { Ok(()) } else { Err(0.0) }
    }
}
