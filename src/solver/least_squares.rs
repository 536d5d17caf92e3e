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
//! **Bounds.** At x the components that lie at a bound and would leave the box along −g are held (Sⱼ = 0), the step is
//! made in the others, and x + δ is projected onto the box; the model's decrease is that of the projected step. It is the
//! projected Levenberg–Marquardt method of Kanzow, Yamashita & Fukushima (J. Comput. Appl. Math. 172 (2004)), section 3,
//! with the active set of Bertsekas (SIAM J. Control Optim. 20 (1982)). Since S is diagonal a short step descends also
//! when it is projected. Reflective interior methods (Coleman & Li 1996; SciPy's `trf`) stay off the bounds and approach
//! an active one in the limit only; projection reaches it exactly, after which the method is the unbounded one in the
//! other components, with its speed and its last digits.
//!
//! **The end.** x is stationary when |Jⱼᵀr| ≤ ‖Jⱼ‖ τ‖r‖ for every column, MINPACK's `gtol`. On the exact path J is at hand
//! then, and steps go on while they promise more than [`POLISHED`] of the value and help. Where the norms of the columns are
//! not known the test is ‖Jᵀr‖ ≤ ‖J‖ τ‖r‖ until it holds; then ‖Jⱼ‖ is taken to be the largest |Jⱼᵀs| for [`PROBES`] normal
//! vectors s. Each is normal with the variance ‖Jⱼ‖², so that one in 10⁵ estimates is ten times too low, which costs steps,
//! and none is ten times too high.
//!
//! Residuals that vanish become rounding before they become orthogonal. x is stationary as well when
//! |Jⱼᵀr| ≤ ‖Jⱼ‖ 8εt *and* steps have stopped to help. Terms of the size t are what r is made of, seen from x, which is
//! given to ε: t = ‖(‖Jⱼ‖xⱼ)ⱼ‖. Where the solution is at or near 0 that vanishes with r, and the unit of x is the largest
//! |xⱼ| met so far, X; then t = min(‖r₀‖, ‖(‖Jⱼ‖Xⱼ)ⱼ‖). Neither of the two alone would do: far from the solution r₀ and J
//! may be 10¹⁷ times what they are near it. J is always that at x.

use std::ops::ControlFlow;
use std::time::Instant;

use super::globalisation::{Globalisation, Scales, Trial};
use crate::base::{Error, Result, Scalar, SplitMix64, check_finite, check_length, check_positive_dimension, kernels};
use crate::control::{
    EqualRatios, Evaluation, Iteration, LeastSquaresProgress, LeastSquaresReport, Stopping, Termination, Verdict,
    judge_decrease, rounding,
};
use crate::curvature::{LeastCurvature, LeastSquares, LossSum, RobustLoss, Weighted, Weights};
use crate::operator::{CountedModel, LinearMap, Model};
use crate::step::{Accuracy, Answer, GaussNewtonSteps, InnerStop, System};

/// Rejections of one step, each at least halving it, after which it is given up.
const MOST_REJECTIONS: usize = 200;
/// Steps in a row, within rounding of the value, that do not lower the gradient.
const MOST_ROUNDING_STEPS: usize = 4;
/// Multiples of εt that count as rounding of residuals.
const ROUNDING: f64 = 8.0;
/// Products with Jᵀ from which the norms of its columns are estimated.
const PROBES: usize = 4;
/// The share of the value below which a further decrease is of no interest: the square of a cosine of 1e-10.
const POLISHED: f64 = 1e-20;

/// The largest share of the scaled gradient that an inexact step may leave (Dembo, Eisenstat & Steihaug 1982).
const LOOSEST: f64 = 0.1;
/// The same as a share of the model's decrease that is still to be had.
const LOOSEST_ENERGY: f64 = 0.03;
/// The smallest; rounding has the say below.
const TIGHTEST: f64 = 1e-10;
/// The length at which the second derivative along a step is probed, as a fraction of the step (Transtrum & Sethna).
const PROBE: f64 = 0.1;
/// The largest ratio of acceleration and step (Transtrum & Sethna, α).
const LARGEST_ACCELERATION: f64 = 0.75;
/// Steps that promise less than this share of the value are not accelerated.
const ACCELERATED: f64 = 1e-6;

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
    let model = CountedModel::new(fit.model());
    let mut weights = Weights::new(fit.model().output_dim(), fit.block());
    let mut x = x0.to_vec();
    let mut run = Run::new(fit, &model, settings, source, globalisation);
    model.evaluate(&x, &mut run.residual);
    check_finite("the residuals at x0", &run.residual)?;
    run.value = run.sum.value(fit.loss(), &run.residual);
    if !run.value.is_finite() {
        return Err(Error::NotFinite { argument: "the value at x0", index: None, value: run.value });
    }
    run.initial_value = run.value;
    run.initial_size = kernels::norm(&run.residual);
    let termination = loop {
        weights.update(fit.loss(), &run.residual, run.least_curvature);
        let jacobian = Weighted { jacobian: model.linearize(&x), weights: &weights };
        let here = Here { jacobian: &jacobian, weights: &weights, residual: weights.weighted(), x: &x };
        match run.arrive(&here, &mut observer)? {
            Arrival::Stay => {
                if let Err(termination) = run.find_step(&here) {
                    break termination;
                }
            }
            Arrival::Move => {}
            Arrival::End(termination) => break termination,
        }
        drop(jacobian);
        std::mem::swap(&mut x, &mut run.other_x);
        std::mem::swap(&mut run.residual, &mut run.other_residual);
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
            sum: LossSum::new(m, fit.block()),
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
            return Ok(Arrival::End(Termination::MaxProducts)); // only at x0: steps leave enough
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
                    return Ok(Arrival::Move);
                }
                std::mem::swap(&mut self.gradient, &mut self.new_gradient);
                let cosine = self.cosine;
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
                    return Ok(Arrival::Move);
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
            Some(termination) => Arrival::End(termination),
            None if stop => Arrival::End(Termination::Observer),
            None => Arrival::Stay,
        })
    }

    /// The scaling, the components that bounds hold, the gradient's norm and cosine, from the new Jacobian.
    fn rescale<J: LinearMap<T>>(&mut self, here: &Here<'_, T, J>) {
        let known = self.source.column_norms(here.jacobian, &mut self.norms);
        let size = kernels::norm(here.residual);
        let (mut largest, mut squares) = (0.0_f64, 0.0);
        let (mut terms, mut met) = (0.0, 0.0);
        for j in 0..self.gradient.len() {
            let x: f64 = here.x[j].into();
            self.met[j] = self.met[j].max(x.abs());
            let norm = if known { self.norms[j] } else { 1.0 };
            (terms, met) = (f64::hypot(terms, norm * x), f64::hypot(met, norm * self.met[j]));
            if known {
                self.columns[j] = self.columns[j].max(norm);
            }
            let scale = match self.settings.scaling {
                Scaling::Columns if self.columns[j] > 0.0 => 1.0 / self.columns[j],
                _ => 1.0,
            };
            let held = self.fit.bounds().is_some_and(|bounds| bounds.holds(j, here.x[j], self.gradient[j]));
            self.scaling[j] = if held { T::zero() } else { T::from_f64(scale) };
            if held {
                continue;
            }
            let g: f64 = self.gradient[j].into();
            squares = f64::hypot(squares, g);
            if known && g != 0.0 {
                largest = largest.max(g.abs() / norm);
            }
        }
        self.gradient_norm = squares;
        let tolerance = self.settings.stopping.gradient_relative.max(ROUNDING * T::epsilon_f64());
        let mut verified = true;
        if !known {
            let bound = self.source.largest_singular_value();
            (terms, met) = (bound * terms, bound * met);
            if self.gradient_norm > 0.0 {
                largest = self.gradient_norm / bound.max(self.gradient_norm / size);
            }
            if largest > 0.0 && largest <= tolerance * size {
                let probed = self.probe(here);
                verified = probed.is_some();
                largest = probed.unwrap_or(largest);
            }
        }
        self.terms = terms.max(met.min(self.initial_size));
        self.cosine = if largest == 0.0 { 0.0 } else { largest / size };
        self.orthogonal = verified && largest <= tolerance * size;
        self.stationary = self.orthogonal || largest <= ROUNDING * T::epsilon_f64() * self.terms;
    }

    /// The largest |gⱼ|/‖Jⱼ‖ with estimates of ‖Jⱼ‖, for [`PROBES`] products; `None` if these are not
    /// allowed or not finite.
    fn probe<J: LinearMap<T>>(&mut self, here: &Here<'_, T, J>) -> Option<f64> {
        let products = self.model.counts().totals().products;
        if products.saturating_add(PROBES) > self.settings.stopping.max_products {
            return None;
        }
        self.norms.fill(0.0);
        for _ in 0..PROBES {
            self.image.iter_mut().for_each(|s| *s = T::from_f64(self.random.normal()));
            here.jacobian.apply_transpose(&self.image, &mut self.new_gradient);
            for (norm, &v) in self.norms.iter_mut().zip(&self.new_gradient) {
                *norm = norm.max(v.into().abs());
            }
        }
        let mut largest = 0.0_f64;
        for ((&g, &norm), &s) in self.gradient.iter().zip(&self.norms).zip(&self.scaling) {
            if s > T::zero() && g != T::zero() {
                largest = largest.max(g.into().abs() / norm);
            }
        }
        kernels::all_finite(&self.new_gradient).then_some(largest)
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

    /// Whether the run is over at x.
    fn finished(&self, x: &[T]) -> Option<Termination> {
        let stopping = self.settings.stopping;
        if self.gradient_norm <= stopping.gradient_absolute || self.orthogonal && !self.source.exact() {
            return Some(Termination::GradientTolerance);
        }
        if self.value <= stopping.target_value {
            return Some(Termination::TargetValue);
        }
        if let Some(last) = self.history.last() {
            let before = self.history.len().checked_sub(2).map_or(self.initial_value, |i| self.history[i].value);
            let small = stopping.small_step(before - last.value, last.value, last.step_norm, x);
            if small.is_some() {
                return small;
            }
        }
        if self.rounding_steps >= if self.stationary { 1 } else { MOST_ROUNDING_STEPS } {
            return Some(self.stalled(Termination::Stalled));
        }
        self.limit().map(|limit| if self.stationary { Termination::GradientTolerance } else { limit })
    }

    fn limit(&self) -> Option<Termination> {
        self.settings.stopping.limit(self.history.len(), self.model.counts().totals(), self.started.elapsed())
    }

    /// Parts 1 and 2: finds a step that decreases the value, or says why there is none.
    fn find_step<J: LinearMap<T>>(&mut self, here: &Here<'_, T, J>) -> Outcome<()> {
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
        let reserve = self.source.entry_cost(here.jacobian);
        let more = || {
            model.counts().totals().products.saturating_add(reserve) < stopping.max_products
                && stopping.max_time.is_none_or(|most| started.elapsed() < most)
        };
        if !self.scaled {
            self.scaled = true;
            let weighted = |v: &[T]| {
                let squares =
                    v.iter().zip(&self.scaling).map(|(&v, &s)| (v / s).into()).filter(|v: &f64| v.is_finite());
                squares.fold(0.0, f64::hypot)
            };
            let (point, size) = (weighted(here.x), kernels::norm(here.residual));
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
        let (mut answer, inner) = answered.ok_or_else(|| match more() {
            true => Termination::NotFinite(Evaluation::Product),
            false => self.limit().unwrap_or(Termination::MaxProducts),
        })?;
        self.source.step(&mut self.step);
        let length = self.globalisation.length(&answer);
        kernels::scale(length, &mut self.step);
        kernels::add_scaled(here.x, 1.0, &self.step, &mut self.other_x);
        self.projected = self.fit.bounds().is_some_and(|bounds| bounds.project(&mut self.other_x));
        if self.projected {
            // What the model says of the projected step, as if it were `length` times an answer.
            kernels::add_scaled(&self.other_x, -1.0, here.x, &mut self.step);
            here.jacobian.apply(&self.step, &mut self.image);
            let scaled = self.step.iter().zip(&self.scaling).filter(|(_, s)| **s > T::zero());
            answer.norm = scaled.fold(0.0, |norm: f64, (&v, &s)| norm.hypot((v / s).into())) / length;
            answer.slope = kernels::dot(&self.gradient, &self.step) / length;
            answer.curvature = kernels::dot(&self.image, &self.image) / (length * length);
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
        if !answer.norm.is_finite() || self.other_x == here.x {
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
            actual = self.sum.decrease(self.fit.loss(), &self.residual, &self.other_residual);
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
        let second = kernels::norm(&self.other_residual);
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
    fn reject(&mut self, trial: &Trial, evaluation: Evaluation) {
        if trial.ratio != f64::NEG_INFINITY {
            self.not_finite = None;
        } else if self.rejected == 0 || self.not_finite.is_some() {
            self.not_finite = Some(evaluation);
        }
        self.rejected += 1;
        self.globalisation.shorten(trial);
    }

    /// The reason to give when no step is to be found.
    fn stalled(&self, otherwise: Termination) -> Termination {
        match self.not_finite {
            _ if self.stationary => Termination::GradientTolerance,
            Some(evaluation) => Termination::NotFinite(evaluation),
            None => otherwise,
        }
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
