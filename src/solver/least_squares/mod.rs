//! The loop that the least-squares solvers share.
//!
//! From x with residuals r and Jacobian J, until r is orthogonal to the columns of J:
//!
//! 1. A step δ = Sz of the linear problem ½‖Jδ + r‖², as the [`Globalisation`] asks for it (Levenberg 1944, Marquardt
//!    1963; Moré, *Numerical Analysis*, Dundee 1977, LNM 630, sections 3 to 6). S is 1 over the largest norms of J's columns
//!    met so far (Moré, section 6), so nothing depends on the units of the parameters.
//! 2. A trial: r(x + δ). The actual decrease is ½(r − r₊)ᵀ(r + r₊), which keeps the digits that ½‖r‖² − ½‖r₊‖² loses.
//!    After a rejection the same factors answer for a shorter step: no product. Steps are not lengthened as they are for
//!    a Hessian: far from a minimum longer Gauss–Newton steps that do decrease the value led to worse basins (54 of 54
//!    of NIST's problems are solved without, 52 with).
//! 3. The Jacobian at the new point. Where the decrease drowned in rounding, its gradient judges the step:
//!    −½(g + g₊)ᵀδ in place of the decrease.
//!
//! Steps, trials and bounds: [`trial`]; the end: [`stationarity`].

mod stationarity;
mod trial;

use std::ops::ControlFlow;
use std::time::Instant;

use super::globalisation::{Globalisation, Trial};
use crate::base::{
    Error, Result, Scalar, SplitMix64, check_finite, check_length, check_positive_dimension, kernels, space,
};
use crate::control::{Evaluation, Iteration, LeastSquaresProgress, LeastSquaresReport, Stopping, Termination, Verdict};
use crate::curvature::{LeastCurvature, LeastSquares, LossSum, RobustLoss, Weighted, Weights};
use crate::operator::{CountedModel, LinearMap, Model};
use crate::step::{GaussNewtonSteps, InnerStop};

/// The largest share of the scaled gradient that an inexact step may leave (Dembo, Eisenstat & Steihaug 1982).
const LOOSEST: f64 = 0.1;
/// The smallest; rounding has the say below.
const TIGHTEST: f64 = 1e-10;

/// How the parameters are scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Scaling {
    /// By the largest norm that each column of the Jacobian has had (Moré 1978, section 6, as in MINPACK), where the
    /// norms are known; then the steps do not depend on the parameters' units.
    #[default]
    Columns,
    /// Not at all: the trust region is a ball in the parameters' own units.
    None,
}

/// What the solvers have in common.
pub(super) struct Settings<'s> {
    pub stopping: &'s Stopping,
    pub scaling: Scaling,
    pub acceleration: bool,
}

/// Minimises ½ Σ ρ(‖r_b‖²) from `x0`.
pub(super) fn minimize<T, M, L>(
    fit: &LeastSquares<T, M, L>,
    x0: &[T],
    settings: Settings<'_>,
    source: impl GaussNewtonSteps<T>,
    globalisation: impl Globalisation,
    mut observer: impl FnMut(&LeastSquaresProgress<'_, T>) -> ControlFlow<()>,
) -> Result<LeastSquaresReport<T>>
where
    T: Scalar,
    M: Model<T>,
    L: RobustLoss,
{
    check(fit, x0)?;
    settings.stopping.check()?;
    let (model, bounds) = (CountedModel::new(fit.model()), fit.bound_slices());
    let mut weights = Weights::new(fit.model().output_dim(), fit.block(), !fit.loss().is_identity());
    let mut x = x0.to_vec();
    let mut run = Run::new(fit, &model, settings, source, globalisation);
    model.evaluate(&x, &mut run.residual);
    check_finite("the residuals at x0", &run.residual)?;
    run.value = run.sum.value(fit.loss(), &run.residual);
    if !run.value.is_finite() {
        return Err(Error::NotFinite { argument: "the value at x0", index: None, value: run.value });
    }
    run.initial_value = run.value;
    run.initial_size = space::of_residuals(|| kernels::norm(&run.residual));
    let termination = loop {
        weights.update(fit.loss(), &run.residual, run.least_curvature);
        let jacobian = Weighted { jacobian: model.linearize(&x, bounds), weights: &weights };
        let here = Here { jacobian: &jacobian, weights: &weights, residual: weights.weighted(), x: &x };
        let mut end = None;
        match run.arrive(&here, &mut observer)? {
            Arrival::Stay => {
                if let Err(termination) = run.find_step(&here) {
                    break termination;
                }
            }
            Arrival::Move => {}
            Arrival::Back(termination) => end = Some(termination),
            Arrival::End(termination) => break termination,
        }
        drop(jacobian);
        std::mem::swap(&mut x, &mut run.other_x);
        std::mem::swap(&mut run.residual, &mut run.other_residual);
        if let Some(termination) = end {
            break termination;
        }
    };
    let weights = weights.numbers();
    Ok(run.report(x, termination, weights))
}

/// Refuses what no run can start from.
pub(super) fn check<T: Scalar, M: Model<T>, L>(fit: &LeastSquares<T, M, L>, x0: &[T]) -> Result<()> {
    check_positive_dimension("the number of parameters", fit.model().dim())?;
    check_positive_dimension("the number of residuals", fit.model().output_dim())?;
    check_length("x0", x0, fit.model().dim())?;
    check_finite("x0", x0)?;
    fit.bounds().map_or(Ok(()), |bounds| bounds.check(x0))
}

/// A point, and the weighted linear problem there.
struct Here<'a, T, J> {
    jacobian: &'a J,
    weights: &'a Weights<T>,
    residual: &'a [T],
    x: &'a [T],
}

/// What to do at a point.
enum Arrival {
    /// Look for a step from here.
    Stay,
    /// Go to `other_x`.
    Move,
    /// Go back to `other_x`, whose value and gradient are known: this is the end.
    Back(Termination),
    /// This is the end.
    End(Termination),
}

/// A step that was taken, until the gradient at its end has judged it.
struct Pending {
    trial: Trial,
    verdict: Verdict,
    inner: InnerStop,
    control: f64,
}

type Outcome<V> = std::result::Result<V, Termination>;

/// The state of a run, apart from x itself, which linearisations borrow.
struct Run<'r, T, M, L, S, G> {
    fit: &'r LeastSquares<T, M, L>,
    model: &'r CountedModel<'r, M>,
    settings: Settings<'r>,
    source: S,
    globalisation: G,
    started: Instant,
    sum: LossSum,
    value: f64,
    initial_value: f64,
    /// ‖r₀‖.
    initial_size: f64,
    /// The largest |xⱼ| met.
    met: Vec<f64>,
    /// t, the size of the terms that make up the residuals. Their rounding is in r.
    terms: f64,
    /// Whether the last step was cut off at a bound.
    projected: bool,
    gradient_norm: f64,
    cosine: f64,
    /// Whether the cosine is within the tolerance.
    orthogonal: bool,
    /// Whether x is stationary: that, or the gradient is within the rounding of the residuals.
    stationary: bool,
    residual: Vec<T>,
    gradient: Vec<T>,
    new_gradient: Vec<T>,
    /// D, the largest norms of the columns.
    columns: Vec<f64>,
    norms: Vec<f64>,
    /// S = 1/D, 0 for components that bounds hold.
    scaling: Vec<T>,
    step: Vec<T>,
    image: Vec<T>,
    /// The point that a step leads to, and its residuals; after the move those that it came from.
    other_x: Vec<T>,
    other_residual: Vec<T>,
    pending: Option<Pending>,
    /// Whether the globalisation knows its scale.
    scaled: bool,
    /// Rejections since the last step.
    rejected: usize,
    /// Whether all of them were for want of a finite number, and which.
    not_finite: Option<Evaluation>,
    rounding_steps: usize,
    /// The share of the scaled gradient that the next inner solve may leave: (1 − ratio)² of the last step, as Eisenstat
    /// & Walker's first choice follows the nonlinearity that was met (SIAM J. Sci. Comput. 17 (1996)).
    forcing: f64,
    /// Learnt from the ratios; only robust losses use it.
    least_curvature: LeastCurvature,
    least_cosine: f64,
    random: SplitMix64,
    /// Products when this point was entered.
    products_before: usize,
    history: Vec<Iteration>,
}

impl<'r, T, M, L, S, G> Run<'r, T, M, L, S, G>
where
    T: Scalar,
    M: Model<T>,
    L: RobustLoss,
    S: GaussNewtonSteps<T>,
    G: Globalisation,
{
    fn new(
        fit: &'r LeastSquares<T, M, L>,
        model: &'r CountedModel<'r, M>,
        settings: Settings<'r>,
        source: S,
        globalisation: G,
    ) -> Self {
        let (n, m) = (fit.model().dim(), fit.model().output_dim());
        let (of_x, of_r) = (|| vec![T::zero(); n], || vec![T::zero(); m]);
        Run {
            fit,
            model,
            settings,
            source,
            globalisation,
            started: Instant::now(),
            sum: LossSum::new(m, fit.block(), !fit.loss().is_identity()),
            value: f64::NAN,
            initial_value: f64::NAN,
            initial_size: f64::NAN,
            met: vec![0.0; n],
            terms: 0.0,
            projected: false,
            gradient_norm: f64::NAN,
            cosine: f64::NAN,
            orthogonal: false,
            stationary: false,
            residual: of_r(),
            gradient: of_x(),
            new_gradient: of_x(),
            columns: vec![0.0; n],
            norms: vec![0.0; n],
            scaling: of_x(),
            step: of_x(),
            image: of_r(),
            other_x: of_x(),
            other_residual: of_r(),
            pending: None,
            scaled: false,
            rejected: 0,
            not_finite: None,
            rounding_steps: 0,
            forcing: LOOSEST,
            least_curvature: LeastCurvature::FIRST,
            least_cosine: f64::INFINITY,
            random: SplitMix64::new(0),
            products_before: 0,
            history: Vec::new(),
        }
    }

    /// Part 3: takes up the Jacobian at x, judges the step that led there, and asks whether the run is over.
    fn arrive<J: LinearMap<T>>(
        &mut self,
        here: &Here<'_, T, J>,
        observer: &mut impl FnMut(&LeastSquaresProgress<'_, T>) -> ControlFlow<()>,
    ) -> Result<Arrival> {
        let products = self.model.counts().totals().products;
        if products.saturating_add(self.source.entry_cost(here.jacobian)) > self.settings.stopping.max_products {
            return Ok(match self.pending.take() {
                None => Arrival::End(Termination::MaxProducts),
                Some(_) => Arrival::Back(Termination::MaxProducts),
            });
        }
        let entered = self.source.enter(here.jacobian, here.residual, &mut self.new_gradient);
        match self.pending.take() {
            // Back from a step that failed, or at x0.
            None => {
                let back = !self.gradient_norm.is_nan();
                if !entered && back {
                    return Ok(Arrival::End(Termination::NotFinite(Evaluation::Gradient)));
                }
                check_finite("the gradient at x0", &self.new_gradient)?;
                if !entered {
                    let argument = "the Jacobian at x0";
                    return Err(Error::NotFinite { argument, index: None, value: f64::NAN });
                }
                std::mem::swap(&mut self.gradient, &mut self.new_gradient);
                self.rescale(here);
                if back {
                    return Ok(Arrival::Stay);
                }
            }
            Some(mut pending) => {
                if !entered {
                    pending.trial.ratio = f64::NEG_INFINITY;
                    self.reject(&pending.trial, Evaluation::Gradient);
                    return Ok(self.limit().map_or(Arrival::Move, |limit| Arrival::Back(self.stalled(limit))));
                }
                std::mem::swap(&mut self.gradient, &mut self.new_gradient);
                let (cosine, gradient_norm) = (self.cosine, self.gradient_norm);
                if pending.verdict == Verdict::Rounding {
                    let slopes =
                        kernels::dot(&self.gradient, &self.step) + kernels::dot(&self.new_gradient, &self.step);
                    pending.trial.ratio = -0.5 * slopes / pending.trial.predicted;
                }
                self.rescale(here);
                if pending.verdict == Verdict::Rounding && self.cosine > cosine && pending.trial.ratio <= 0.0 {
                    self.rounding_steps += 1;
                    self.reject(&pending.trial, Evaluation::Value);
                    self.not_finite = None;
                    let Some(limit) = self.limit() else { return Ok(Arrival::Move) };
                    (self.cosine, self.gradient_norm) = (cosine, gradient_norm);
                    return Ok(Arrival::Back(limit));
                }
                self.learn(&pending, products);
            }
        }
        self.least_cosine = self.least_cosine.min(self.cosine);
        self.products_before = products;
        let progress = LeastSquaresProgress {
            iteration: self.history.len(),
            x: here.x,
            residual: &self.residual,
            value: self.value,
            gradient: &self.gradient,
            gradient_norm: self.gradient_norm,
            cosine: self.cosine,
            counts: self.model.counts(),
            seconds: self.started.elapsed().as_secs_f64(),
            last: self.history.last(),
        };
        let stop = observer(&progress).is_break();
        Ok(match self.finished(here.x) {
            Some(Termination::GradientTolerance) if self.contradicted(here) => {
                Arrival::End(Termination::InconsistentGradient)
            }
            Some(termination) => Arrival::End(termination),
            None if stop => Arrival::End(Termination::Observer),
            None => Arrival::Stay,
        })
    }

    /// Takes over a step: the history and the radius.
    fn learn(&mut self, pending: &Pending, products: usize) {
        let Pending { trial, verdict, inner, control } = *pending;
        self.value = self.sum.value(self.fit.loss(), &self.residual);
        self.history.push(Iteration {
            value: self.value,
            gradient_norm: self.gradient_norm,
            step_norm: kernels::norm(&self.step),
            ratio: trial.ratio,
            control,
            shift: trial.answer.shift,
            rejected: self.rejected,
            products: products - self.products_before,
            inner,
            lowest_ritz_value: f64::NAN,
        });
        self.globalisation.taken(&trial);
        if matches!(verdict, Verdict::Ratio(_)) {
            self.least_curvature.learn(if self.rejected > 0 { f64::NEG_INFINITY } else { trial.ratio });
        }
        self.forcing = match verdict {
            Verdict::Ratio(ratio) => (1.0 - ratio).powi(2).clamp(TIGHTEST, LOOSEST),
            Verdict::Rounding => TIGHTEST,
        };
        self.rounding_steps = match verdict {
            Verdict::Rounding if self.cosine > 0.9 * self.least_cosine => self.rounding_steps + 1,
            _ => 0,
        };
        self.rejected = 0;
        self.not_finite = None;
    }

    fn limit(&self) -> Option<Termination> {
        self.settings.stopping.limit(self.history.len(), self.model.counts().totals(), self.started.elapsed())
    }

    fn report(self, x: Vec<T>, termination: Termination, weights: usize) -> LeastSquaresReport<T> {
        let (n, m) = (x.len(), self.residual.len());
        LeastSquaresReport {
            held: (0..n).filter(|&j| self.scaling[j] == T::zero()).collect(),
            x,
            value: self.value,
            gradient_norm: self.gradient_norm,
            cosine: self.cosine,
            initial_value: self.initial_value,
            counts: self.model.counts(),
            termination,
            rank: self.source.rank(),
            seconds: self.started.elapsed().as_secs_f64(),
            memory_numbers: 9 * n + 3 * m + weights + self.source.numbers(),
            residual: self.residual,
            history: self.history,
        }
    }
}
