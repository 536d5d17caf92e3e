//! What the least-squares solvers descend on: residuals, with steps from products with J and Jᵀ.
//!
//! - A step δ = Sz of the linear problem ½‖Jδ + r‖² (Levenberg 1944, Marquardt 1963; Moré, *Numerical Analysis*, Dundee
//!   1977, LNM 630, sections 3 to 6). S is 1 over the largest norms of J's columns met so far (Moré, section 6), so nothing
//!   depends on the units of the parameters.
//! - The actual decrease is ½(r − r₊)ᵀ(r + r₊), which keeps the digits that ½‖r‖² − ½‖r₊‖² loses. After a rejection the
//!   same factors serve for a shorter step: no product. Steps are not lengthened as they are for a Hessian: far from a
//!   minimum longer Gauss–Newton steps that do decrease the value led to worse basins (54 of 54 of NIST's problems are
//!   solved without, 52 with).
//!
//! The loop is [`DescentRun`]. Steps, trials and bounds: [`trial`]; the end: [`stationarity`], [`null_directions`];
//! residuals that are not accurate to rounding: [`noise`].

mod errors;
mod noise;
mod null_directions;
mod path;
mod stationarity;
mod trial;

use crate::base::{Error, Result, Scalar, SplitMix64, check_finite, check_positive_dimension, kernels, space};
use crate::control::{
    DescentRun, Identity, LeastSquaresReport, LocalProblem, Oracle, Report, Start, Stopping, StoredGlobalisation,
};
use crate::curvature::{AnyFit, Bounds, LeastCurvature, LossSum, Weighted, Weights};
use crate::operator::{CountedMap, CountedModel};
use crate::step::GaussNewtonSteps;

use errors::Errors;
pub(super) use path::GaussNewtonPath;

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
    pub solver: &'s dyn Identity,
    pub stopping: &'s Stopping,
    pub scaling: Scaling,
    pub acceleration: bool,
}

/// Starts a descent on ½ Σ ρ(‖r_b‖²).
pub(super) fn start<'r, T: Scalar>(
    fit: AnyFit<'r, T>,
    at: Start<'_, T>,
    Settings { solver, stopping, scaling, acceleration }: Settings<'r>,
    source: GaussNewtonPath<T>,
    globalisation: impl StoredGlobalisation + 'r,
) -> Result<DescentRun<'r, T, Residuals<'r, T>>> {
    let (m, n) = (fit.model.output_dim(), fit.model.dim());
    let check = || {
        check_positive_dimension("the number of parameters", n)?;
        check_positive_dimension("the number of residuals", m)?;
        at.check(n)?;
        at.point().zip(fit.bounds).map_or(Ok(()), |(x0, bounds)| bounds.check(x0))?;
        stopping.check()
    };
    space::accepted(check())?;
    let weighs = !fit.loss.is_identity();
    let oracle = Residuals { fit, model: CountedModel::new(fit.model, stopping.max_values), scaling, acceleration };
    let state = FitState::new(m, n, source, LossSum::new(m, fit.block, weighs));
    DescentRun::start(
        oracle,
        (state, Weights::new(m, fit.block, weighs)),
        Box::new(globalisation),
        at,
        (solver, stopping),
    )
}

/// The residuals and how they count.
pub(super) struct Residuals<'f, T> {
    fit: AnyFit<'f, T>,
    model: CountedModel<'f, T>,
    scaling: Scaling,
    acceleration: bool,
}

/// What a fit keeps from point to point.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct FitState<T> {
    source: GaussNewtonPath<T>,
    sum: LossSum,
    /// ‖r₀‖.
    initial_size: f64,
    /// The largest |xⱼ| met.
    met: Vec<f64>,
    errors: Errors,
    /// The parameter that makes the largest of them.
    largest_term: usize,
    /// Whether the last step was cut off at a bound.
    projected: bool,
    /// Whether the cosine is within the tolerance.
    orthogonal: bool,
    /// Whether it is so only to the errors of columns.
    only_to_errors: bool,
    /// The decrease that a step would have to bring, where only the errors of J make it so; 0 otherwise.
    worth_a_step: f64,
    /// Whether Jᵀr and ‖r‖² are in the range of numbers: below it all points look stationary.
    seen: bool,
    residual: Vec<T>,
    /// The residuals at the point that a step leads to; after the move those that it came from.
    other_residual: Vec<T>,
    /// The residuals at the best point, once it was left.
    best_residual: Vec<T>,
    /// D, the largest norms of the columns.
    columns: Vec<f64>,
    norms: Vec<f64>,
    /// S = 1/D, 0 for components that bounds hold.
    scaling: Vec<T>,
    image: Vec<T>,
    /// Whether the globalisation knows its scale.
    scaled: bool,
    /// The share of the scaled gradient that the next inner solve may leave: (1 − ratio)² of the last step, as Eisenstat
    /// & Walker's first choice follows the nonlinearity that was met (SIAM J. Sci. Comput. 17 (1996)).
    forcing: f64,
    /// Learnt from the ratios; only robust losses use it.
    least_curvature: LeastCurvature,
    random: SplitMix64,
}

impl<T: Scalar> FitState<T> {
    fn new(m: usize, n: usize, source: GaussNewtonPath<T>, sum: LossSum) -> Self {
        let (of_x, of_r) = (|| vec![T::zero(); n], || vec![T::zero(); m]);
        FitState {
            source,
            sum,
            initial_size: f64::NAN,
            met: vec![0.0; n],
            errors: Errors::default(),
            largest_term: 0,
            projected: false,
            orthogonal: false,
            only_to_errors: false,
            worth_a_step: 0.0,
            seen: true,
            residual: of_r(),
            other_residual: of_r(),
            best_residual: Vec::new(),
            columns: vec![0.0; n],
            norms: vec![0.0; n],
            scaling: of_x(),
            image: of_r(),
            scaled: false,
            forcing: LOOSEST,
            least_curvature: LeastCurvature::FIRST,
            random: SplitMix64::new(0),
        }
    }
}

impl<'f, T: Scalar> Oracle<T> for Residuals<'f, T> {
    type State = FitState<T>;
    type Frame = Weights<T>;
    type Caller = CountedModel<'f, T>;
    type Report = LeastSquaresReport<T>;

    fn caller(&self) -> &Self::Caller {
        &self.model
    }

    #[cfg(feature = "serde")]
    fn caller_mut(&mut self) -> &mut Self::Caller {
        &mut self.model
    }

    fn first_value(&self, x: &[T], state: &mut FitState<T>) -> Result<f64> {
        self.model.evaluate(x, &mut state.residual);
        check_finite("the residuals at x0", &state.residual)?;
        state.initial_size = space::of_residuals(|| kernels::norm(&state.residual));
        let value = state.sum.value(self.fit.loss, &state.residual);
        if value.is_finite() {
            Ok(value)
        } else {
            Err(Error::NotFinite { argument: "the value at x0", index: None, value })
        }
    }

    fn frame(&self, state: &FitState<T>, weights: &mut Weights<T>) {
        weights.update(self.fit.loss, &state.residual, state.least_curvature);
    }

    fn local<'a>(&'a self, weights: &'a Weights<T>, x: &'a [T]) -> impl LocalProblem<T, Self> + 'a {
        let jacobian = Weighted { jacobian: self.model.linearize(x, self.fit.bounds.map(Bounds::slices)), weights };
        FitLocal { residuals: self, jacobian, weights, x }
    }

    fn residual(state: &FitState<T>) -> Option<&[T]> {
        Some(&state.residual)
    }

    fn numbers(state: &FitState<T>, weights: &Weights<T>) -> usize {
        4 * state.norms.len() + 3 * state.image.len() + weights.numbers() + state.source.numbers()
    }

    fn report(mut state: FitState<T>, cosine: f64, elsewhere: bool, run: Report<T>) -> LeastSquaresReport<T> {
        let held = (0..state.scaling.len()).filter(|&j| state.scaling[j] == T::zero()).collect();
        let rank = state.source.factors().and_then(|factors| factors.rank(&state.residual, &state.scaling));
        let residual = if elsewhere { state.best_residual } else { state.residual };
        LeastSquaresReport { rank, residual, cosine, held, run }
    }
}

/// The weighted linear problem at x.
pub(super) struct FitLocal<'a, T> {
    residuals: &'a Residuals<'a, T>,
    jacobian: Weighted<'a, T, CountedMap<'a, T>>,
    weights: &'a Weights<T>,
    x: &'a [T],
}

impl<T: Scalar> FitLocal<'_, T> {
    /// r, weighted.
    fn residual(&self) -> &[T] {
        self.weights.weighted()
    }

    /// Whether so many products may be made.
    fn allows(&self, limits: &crate::control::Limits<'_>, products: usize) -> bool {
        limits.allow(&self.residuals.model, products, 0)
    }
}
