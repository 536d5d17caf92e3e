//! The step family for people with their own loop.

use super::dense::check_memory;
use super::family::{Accuracy, InnerSolver, InnerStop, Resources, StepFamily};
use super::spectral::{Solution, Subproblem};
use crate::base::random::SplitMix64;
use crate::base::{
    Result, Scalar, check_callback, check_finite, check_length, check_not_negative, check_positive,
    check_positive_dimension, check_range, compiled, kernels, space,
};
use crate::operator::SymmetricOperator;

/// Basis vectors beyond which solutions cost more than they are worth, O(k³) each.
pub const MOST_BASIS: usize = 2000;

/// How steps are computed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StepOptions {
    /// How subproblems are solved.
    pub inner: InnerSolver,
    /// A step is accurate when ‖(M + λI)δ + g‖ ≤ this × ‖g‖. Default 1e-8; values below 4ε of the vector type count as
    /// that. Solvers with an outer loop want far less: 0.1 to 0.5 (Dembo, Eisenstat & Steihaug, SIAM J. Numer. Anal. 19
    /// (1982)).
    pub tolerance: f64,
    /// Most products, over all subproblems. Default: no limit but the method's own.
    pub max_products: usize,
    /// Basis vectors that are stored, each with its product; conjugate gradients take over beyond. Default 100; more than
    /// 2000 count as that.
    pub basis: usize,
}

impl Default for StepOptions {
    fn default() -> Self {
        StepOptions { inner: InnerSolver::Automatic, tolerance: 1e-8, max_products: usize::MAX, basis: 100 }
    }
}

/// How a step came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum StepOutcome {
    /// The residual is within the tolerance, or as small as rounding allows.
    Accurate,
    /// The most products were made, or more bring nothing: the step is the best in the space so far.
    Limit,
    /// M + λI (for a metric ball, M) is not positive definite: there is no such step. `step` is zero and
    /// [`Steps::lowest_direction`] has the proof. Ask for a radius or a cubic weight instead, which always have one, or
    /// solve the indefinite system with [`minres`](crate::minres).
    Indefinite,
    /// A product was not finite; the step is the best without it.
    NotFinite,
    /// The products are not those of a symmetric matrix, and the step is that of the symmetric part met; in least
    /// squares, not those of a matrix and its transpose, and the step is of no use.
    Asymmetric,
}

/// A step, and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<T> {
    /// δ.
    pub step: Vec<T>,
    /// λ, with (M + λI)δ = −g.
    pub shift: f64,
    /// ‖δ‖.
    pub norm: f64,
    /// The decrease of the quadratic model, −(gᵀδ + ½δᵀMδ).
    pub decrease: f64,
    /// ‖(M + λI)δ + g‖, computed from δ itself.
    pub residual_norm: f64,
    /// Whether the subproblem's constraint is active.
    pub on_boundary: bool,
    /// Whether δ has a component along the lowest eigenvector that g lacks.
    pub hard_case: bool,
    /// Products that this subproblem took.
    pub products: usize,
    /// How it came out.
    pub outcome: StepOutcome,
}

/// All steps at one point: a space that is built once and solves for any number of subproblems.
///
/// A subproblem costs products only while its solution is not accurate; any other λ, Δ, σ or ε after that is free.
/// Storage: 2·`basis` + 10 vectors of length d (or 4d² numbers on the dense path).
///
/// ```
/// use newton_krylov::operators::DiagonalOperator;
/// use newton_krylov::steps::{StepOptions, Steps, Subproblem};
///
/// let m = DiagonalOperator((1..=50).map(f64::from).collect());
/// let mut steps = Steps::new(&m, &[1.0; 50], StepOptions::default())?;
/// let newton = steps.solve(Subproblem::Damped(0.0))?;
/// let short = steps.solve(Subproblem::Radius(0.1))?;
/// assert!((newton.step[9] + 0.1).abs() < 1e-7);
/// assert!((short.norm - 0.1).abs() < 1e-12 && short.products == 0);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
pub struct Steps<'a, T> {
    operator: &'a dyn SymmetricOperator<T>,
    gradient: &'a [T],
    options: StepOptions,
    family: StepFamily<T>,
}

impl<'a, T: Scalar> Steps<'a, T> {
    /// Prepares; makes no product yet.
    ///
    /// # Errors
    /// For zero dimension, a gradient of another length or with NaN or ∞, a negative tolerance, zero `max_products`, a dense
    /// path for which there is no memory.
    pub fn new(operator: &'a impl SymmetricOperator<T>, gradient: &'a [T], options: StepOptions) -> Result<Self> {
        let dim = operator.dim();
        check_positive_dimension("the operator's dimension", dim)?;
        check_length("gradient", gradient, dim)?;
        check_finite("gradient", gradient)?;
        check_range("tolerance", options.tolerance, options.tolerance >= 0.0, "at least 0")?;
        check_range("max_products", options.max_products as f64, options.max_products > 0, "at least 1")?;
        if options.inner == InnerSolver::Dense {
            check_memory(dim)?;
        }
        Ok(Steps { operator, gradient, options, family: StepFamily::new(dim, options.basis.min(MOST_BASIS)) })
    }

    /// Answers a subproblem, with as many products as its accuracy needs.
    ///
    /// # Errors
    /// If the subproblem's number is NaN, infinite, or negative (zero, but for a damping); the error of the operator's
    /// callback.
    pub fn solve(&mut self, subproblem: Subproblem) -> Result<Step<T>> {
        let Steps { operator, gradient, options, ref mut family } = *self;
        compiled!(<'r, 's, T>(
            operator: &'s dyn SymmetricOperator<T>,
            gradient: &'s [T],
            options: StepOptions,
            family: &'s mut StepFamily<T>,
            subproblem: Subproblem
        ) -> Result<Step<T>> {
            let step = Point { operator, gradient, options, family }.solution(subproblem)?;
            check_callback(operator.take_error())?;
            Ok(step)
        })
    }

    /// Ritz values of M in rising order, on the dense path its eigenvalues: bounds of the spectrum from inside.
    pub fn ritz_values(&mut self) -> &[f64] {
        self.family.ritz_values()
    }

    /// Writes the unit vector of lowest curvature known to `out` and returns that curvature; `None` before the first
    /// subproblem.
    ///
    /// # Errors
    /// If `out` has the wrong length.
    pub fn lowest_direction(&mut self, out: &mut [T]) -> Result<Option<f64>> {
        check_length("out", out, self.gradient.len())?;
        Ok(self.family.lowest_direction(out))
    }
}

/// The point of [`Steps`], where one of them is asked for.
struct Point<'s, T> {
    operator: &'s dyn SymmetricOperator<T>,
    gradient: &'s [T],
    options: StepOptions,
    family: &'s mut StepFamily<T>,
}

impl<T: Scalar> Point<'_, T> {
    fn solution(&mut self, subproblem: Subproblem) -> Result<Step<T>> {
        match subproblem {
            Subproblem::Damped(damping) => check_not_negative("damping", damping)?,
            Subproblem::Radius(radius) => check_positive("radius", radius)?,
            Subproblem::Cubic(weight) => check_positive("weight", weight)?,
            Subproblem::MetricBall(size) => check_positive("size", size)?,
            Subproblem::SaddleFree(longest) => check_range("longest", longest, longest > 0.0, "positive")?,
        }
        let before = self.family.products_made();
        self.family.allow(self.options.max_products);
        let zero = vec![T::zero(); self.gradient.len()];
        let trivial = !matches!(subproblem, Subproblem::Radius(_) | Subproblem::Cubic(_));
        if kernels::norm(self.gradient) == 0.0 && self.family.is_empty() && trivial {
            return Ok(Step { shift: 0.0, ..self.without_step(zero, StepOutcome::Accurate, before) });
        }
        if self.family.is_empty() && !self.enter() {
            return Ok(self.without_step(zero, StepOutcome::NotFinite, before));
        }
        let (limit, made) = (self.options.max_products, std::cell::Cell::new(self.family.products_made()));
        let more = || {
            made.set(made.get() + 1);
            made.get() <= limit
        };
        let accuracy = self.accuracy();
        let resources = Resources { remembered: None, more: &more };
        let Ok((solution, stop)) = self.family.refine(&self.operator, self.gradient, subproblem, accuracy, resources)
        else {
            return Ok(self.without_step(zero, StepOutcome::Indefinite, before));
        };
        let Solution { shift, norm, on_boundary, hard_case, .. } = solution;
        let mut step = zero;
        self.family.step(&mut step);
        let products = self.family.products_made() - before;
        let residual_norm = self.family.residual_norm(&solution, self.gradient);
        let scale = kernels::norm(self.gradient);
        let scale = if scale > 0.0 { scale } else { shift * norm };
        let small = residual_norm <= 1.01 * accuracy.residual * scale;
        let accurate = match subproblem {
            Subproblem::MetricBall(_) => true,
            // Where M is indefinite only the whole space has |M|⁻¹g.
            Subproblem::SaddleFree(_) => {
                let known = self.family.ritz_values();
                known.first().is_none_or(|&lowest| lowest >= 0.0) || self.family.is_whole()
            }
            _ => small,
        };
        let outcome = match stop {
            _ if self.family.asymmetry() > T::epsilon_f64().powf(0.25) => StepOutcome::Asymmetric,
            InnerStop::Accurate if !accurate => StepOutcome::Limit,
            InnerStop::Limit => StepOutcome::Limit,
            InnerStop::NotFinite => StepOutcome::NotFinite,
            _ => StepOutcome::Accurate,
        };
        Ok(Step {
            step,
            shift,
            norm,
            decrease: solution.decrease(),
            residual_norm,
            on_boundary,
            hard_case,
            products,
            outcome,
        })
    }

    fn enter(&mut self) -> bool {
        let accuracy = self.accuracy();
        let Point { operator, gradient, options, family } = self;
        let operator = &*operator;
        if operator.forming_cost() <= options.max_products && family.prefers_dense(options.inner, operator) {
            return family.form(operator, gradient);
        }
        let made = std::cell::Cell::new(1);
        let more = || {
            made.set(made.get() + 1);
            made.get() <= options.max_products
        };
        if kernels::norm(gradient) > 0.0 {
            return family.start(operator, gradient, |_| false, &more);
        }
        // Nothing shows the way: Lanczos' method from a random vector looks for negative curvature.
        let mut random = SplitMix64::new(0);
        let mut start = vec![T::zero(); gradient.len()];
        space::normals(&mut random, 1.0, &mut start);
        if !family.start(operator, &start, |_| false, &more) {
            return false;
        }
        let resources = Resources { remembered: None, more: &more };
        let found = family.refine(operator, &start, Subproblem::Radius(1.0), accuracy, resources);
        family.krylov().forget_gradient();
        found.is_ok()
    }

    fn accuracy(&self) -> Accuracy {
        Accuracy::of_residual(self.options.tolerance.max(4.0 * T::epsilon_f64()))
    }

    fn without_step(&self, zero: Vec<T>, outcome: StepOutcome, before: usize) -> Step<T> {
        Step {
            step: zero,
            shift: f64::NAN,
            norm: 0.0,
            decrease: 0.0,
            residual_norm: kernels::norm(self.gradient),
            on_boundary: false,
            hard_case: false,
            products: self.family.products_made() - before,
            outcome,
        }
    }
}

/// The damped step δ = −(M + λI)⁻¹g: the inner solver alone.
///
/// Costs as many products as a residual of 1e-8 ‖g‖ takes; see [`Steps`] for other accuracies and further subproblems.
///
/// ```
/// use newton_krylov::{damped_step, operator};
/// use newton_krylov::steps::StepOutcome;
///
/// let m = operator(2, |v: &[f64], out: &mut [f64]| {
///     out[0] = 2.0 * v[0];
///     out[1] = 4.0 * v[1];
/// });
/// let step = damped_step(&m, &[3.0, 5.0], 1.0)?;
/// assert_eq!(step.outcome, StepOutcome::Accurate);
/// assert!((step.step[0] + 1.0).abs() < 1e-12 && (step.step[1] + 1.0).abs() < 1e-12);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// For zero dimension, a gradient of another length or with NaN or ∞, a damping that is negative, NaN or infinite; the
/// error of the operator's callback.
pub fn damped_step<T: Scalar>(operator: &impl SymmetricOperator<T>, gradient: &[T], damping: f64) -> Result<Step<T>> {
    Steps::new(operator, gradient, StepOptions::default())?.solve(Subproblem::Damped(damping))
}
