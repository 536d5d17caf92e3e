//! Steps of least squares, and what comes of them.
//!
//! **Bounds.** At x the components that lie at a bound and would leave the box along −g are held (Sⱼ = 0), the step is
//! made in the others, and x + δ is projected onto the box; the model's decrease is that of the projected step. It is the
//! projected Levenberg–Marquardt method of Kanzow, Yamashita & Fukushima (J. Comput. Appl. Math. 172 (2004)), section 3,
//! with the active set of Bertsekas (SIAM J. Control Optim. 20 (1982)). Since S is diagonal a short step descends also
//! when it is projected. Reflective interior methods (Coleman & Li 1996; SciPy's `trf`) stay off the bounds and approach
//! an active one in the limit only; projection reaches it exactly, after which the method is the unbounded one in the
//! other components, with its speed and its last digits.

use super::super::globalisation::{Globalisation, Scales, Trial};
use super::stationarity::{MOST_ROUNDING_STEPS, POLISHED, ROUNDING};
use super::{Here, LOOSEST, Outcome, Pending, Run};
use crate::base::{Scalar, kernels, space};
use crate::control::{EqualRatios, Evaluation, Termination, Verdict, judge_decrease, rounding};
use crate::curvature::RobustLoss;
use crate::operator::{LinearMap, Model};
use crate::step::{Accuracy, Answer, GaussNewtonSteps, InnerStop, System};

/// Rejections of one step, each at least halving it, after which it is given up.
const MOST_REJECTIONS: usize = 200;
/// The largest share of the decrease to be had that an inexact step may forgo, where a preconditioner tells how much that is.
const LOOSEST_ENERGY: f64 = 0.03;
/// The length at which the second derivative along a step is probed, as a fraction of the step (Transtrum & Sethna).
const PROBE: f64 = 0.1;
/// The largest ratio of acceleration and step (Transtrum & Sethna, α).
const LARGEST_ACCELERATION: f64 = 0.75;
/// Steps that promise less than this share of the value are not accelerated.
const ACCELERATED: f64 = 1e-6;

impl<T, M, L, S, G> Run<'_, T, M, L, S, G>
where
    T: Scalar,
    M: Model<T>,
    L: RobustLoss,
    S: GaussNewtonSteps<T>,
    G: Globalisation,
{
    /// Parts 1 and 2: finds a step that decreases the value, or says why there is none.
    pub(super) fn find_step<J: LinearMap<T>>(&mut self, here: &Here<'_, T, J>) -> Outcome<()> {
        if self.rounding_steps >= MOST_ROUNDING_STEPS || self.rejected >= MOST_REJECTIONS {
            return Err(self.stalled(Termination::Stalled));
        }
        let mut ratios = EqualRatios::new();
        let mut grow = true;
        loop {
            if let Some(limit) = self.limit() {
                return Err(limit);
            }
            let (trial, verdict, inner) = self.try_step(here, grow)?;
            grow = false;
            if verdict == Verdict::Rounding || self.globalisation.acceptable(&trial) {
                let control = self.globalisation.control(&trial);
                self.pending = Some(Pending { trial, verdict, inner, control });
                return Ok(());
            }
            if ratios.reject(trial.ratio, trial.norm()) {
                return Err(self.stalled(Termination::InconsistentGradient));
            }
            self.reject(&trial, Evaluation::Value);
            if self.rejected >= MOST_REJECTIONS
                || kernels::norm(&self.step) <= T::epsilon_f64() * 0.01 * kernels::norm(here.x)
            {
                return Err(self.stalled(Termination::Stalled));
            }
        }
    }

    /// Asks for a step, scales it to the globalisation's length and into the box, and moves `other_x` to its end.
    fn propose<J: LinearMap<T>>(&mut self, here: &Here<'_, T, J>, grow: bool) -> Outcome<(Answer, InnerStop)> {
        let (model, stopping, started) = (self.model, self.settings.stopping, self.started);
        // For the next point, and the image of a projected step.
        let reserve = self.source.entry_cost(here.jacobian) + usize::from(self.fit.bounds().is_some());
        let more = |further: usize| {
            model.counts().totals().products.saturating_add(reserve + further) <= stopping.max_products
                && !stopping.out_of_time(started)
        };
        if !self.scaled {
            self.scaled = true;
            let weighted = |v: &[T]| {
                let squares =
                    v.iter().zip(&self.scaling).map(|(&v, &s)| (v / s).into()).filter(|v: &f64| v.is_finite());
                space::norm(squares.fold(0.0, f64::hypot))
            };
            let (point, size) = (weighted(here.x), space::of_residuals(|| kernels::norm(here.residual)));
            let point = if point > 0.0 { point } else { size };
            self.globalisation.start(Scales { gradient_norm: self.gradient_norm, curvature: 0.0, point });
        }
        let system = System {
            jacobian: here.jacobian,
            residual: here.residual,
            gradient: &self.gradient,
            scaling: &self.scaling,
            more: &more,
        };
        // A tenth of what the test at the end asks for is enough.
        let last = 0.1 * self.settings.stopping.gradient_relative / self.cosine;
        let residual = if last > self.forcing { last.min(LOOSEST) } else { self.forcing };
        let energy = residual.min(LOOSEST_ENERGY);
        let accuracy = grow.then_some(Accuracy { residual, energy, enough: 0.0, truncated: true });
        let answered = self.source.answer(&system, self.globalisation.question(), accuracy);
        let (mut answer, inner) = answered.ok_or_else(|| match more(1) {
            true => Termination::NotFinite(Evaluation::Product),
            false => self.limit().unwrap_or(Termination::MaxProducts),
        })?;
        self.source.step(&mut self.step);
        let length = self.globalisation.length(&answer);
        kernels::scale(length, &mut self.step);
        kernels::add_scaled(here.x, 1.0, &self.step, &mut self.other_x);
        self.projected = self.fit.bounds().is_some_and(|bounds| space::anywhere(bounds.project(&mut self.other_x)));
        if self.projected {
            // What the model says of the projected step, as if it were `length` times an answer.
            kernels::add_scaled(&self.other_x, -1.0, here.x, &mut self.step);
            here.jacobian.apply(&self.step, &mut self.image);
            let scaled = self.step.iter().zip(&self.scaling).filter(|(_, s)| **s > T::zero());
            let norm = scaled.fold(0.0, |norm: f64, (&v, &s)| norm.hypot((v / s).into()));
            answer.norm = space::norm(norm) / length;
            answer.slope = kernels::dot(&self.gradient, &self.step) / length;
            answer.curvature = space::of_residuals(|| kernels::dot(&self.image, &self.image)) / (length * length);
            answer.on_boundary = false;
        }
        Ok((answer, inner))
    }

    /// Makes a step and evaluates the residuals at its end.
    fn try_step<J: LinearMap<T>>(&mut self, here: &Here<'_, T, J>, grow: bool) -> Outcome<(Trial, Verdict, InnerStop)> {
        let (answer, inner) = self.propose(here, grow)?;
        let predicted = self.globalisation.predicted(&answer);
        if self.stationary && predicted <= POLISHED * self.value {
            // Where r is not orthogonal to J either, the rank that J has to rounding hides what there is to gain.
            return Err(if self.orthogonal { Termination::GradientTolerance } else { Termination::Stalled });
        }
        let inside = answer.norm.is_finite() && kernels::all_finite(&self.other_x);
        if !answer.norm.is_finite() || kernels::same(&self.other_x, here.x) {
            return Err(self.stalled(Termination::Stalled));
        }
        let length = self.globalisation.length(&answer);
        let mut trial = Trial {
            answer,
            length,
            before: self.value,
            after: f64::NAN,
            predicted,
            ratio: f64::NEG_INFINITY,
            divergence: 0.0,
        };
        let promising = predicted > 0.0;
        if !promising {
            // A projected step that the model does not trust; a shorter one it will.
            return if trial.norm() > 0.0 && self.fit.bounds().is_some() {
                trial.ratio = 0.0;
                Ok((trial, Verdict::Ratio(0.0), inner))
            } else {
                Err(self.stalled(Termination::Stalled))
            };
        }
        if self.settings.acceleration
            && inside
            && !self.stationary
            && predicted > ACCELERATED * self.value
            && !self.projected
            && self.model.counts().residuals + 1 < self.settings.stopping.max_values
            && self.source.image(&mut self.image)
            && let Err(ratio) = self.accelerate(here, &trial)
        {
            trial.ratio = ratio;
            return Ok((trial, Verdict::Ratio(ratio), inner));
        }
        let mut actual = f64::NAN;
        if inside {
            self.model.evaluate(&self.other_x, &mut self.other_residual);
            // A bounded loss takes NaN for an outlier.
            if self.fit.loss().is_identity() || space::of_residuals(|| kernels::all_finite(&self.other_residual)) {
                actual = self.sum.decrease(self.fit.loss(), &self.residual, &self.other_residual);
            }
        }
        trial.after = self.value - actual;
        let noise = rounding(T::epsilon_f64(), self.value, trial.after)
            + T::epsilon_f64() * (2.0 * self.value).sqrt() * self.terms;
        let verdict = judge_decrease(noise, actual, predicted);
        trial.ratio = match verdict {
            Verdict::Ratio(ratio) => ratio,
            Verdict::Rounding => actual / predicted,
        };
        Ok((trial, verdict, inner))
    }

    /// Adds the second-order correction of Transtrum & Sethna to the step. The ratio with which to reject it, where the
    /// correction is not small beside it, or where the residuals on the way are not finite.
    fn accelerate<J: LinearMap<T>>(&mut self, here: &Here<'_, T, J>, trial: &Trial) -> std::result::Result<(), f64> {
        let h = PROBE;
        kernels::add_scaled(here.x, h, &self.step, &mut self.other_x);
        self.model.evaluate(&self.other_x, &mut self.other_residual);
        // Wr″ = (2/h) (W(r(x + hδ) − r)/h − WJδ)
        kernels::axpby(-1.0, &self.residual, 1.0, &mut self.other_residual);
        here.weights.weight(&mut self.other_residual);
        kernels::axpby(-2.0 / h, &self.image, 2.0 / (h * h), &mut self.other_residual);
        let second = space::of_residuals(|| kernels::norm(&self.other_residual));
        if !second.is_finite() {
            return Err(f64::NEG_INFINITY);
        }
        let noise = ROUNDING * T::epsilon_f64() * self.terms * 2.0 / (h * h);
        let mut small = true;
        if second > noise {
            let size = self.source.accelerate(&self.other_residual, trial.answer.shift, &mut self.step);
            small = size.is_none_or(|size| 2.0 * size <= LARGEST_ACCELERATION * trial.norm());
        }
        kernels::add_scaled(here.x, 1.0, &self.step, &mut self.other_x);
        if self.fit.bounds().is_some_and(|bounds| bounds.project(&mut self.other_x)) {
            kernels::add_scaled(&self.other_x, -1.0, here.x, &mut self.step);
        }
        if small { Ok(()) } else { Err(0.0) }
    }

    /// Counts a step that failed and shortens the next.
    pub(super) fn reject(&mut self, trial: &Trial, evaluation: Evaluation) {
        if trial.ratio != f64::NEG_INFINITY {
            self.not_finite = None;
        } else if self.rejected == 0 || self.not_finite.is_some() {
            self.not_finite = Some(evaluation);
        }
        self.rejected += 1;
        self.globalisation.shorten(trial);
    }
}
