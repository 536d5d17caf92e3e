//! Least-squares steps for people with their own loop.

use super::family::{Accuracy, InnerStop};
use super::gauss_newton::{GaussNewtonSteps, System};
use super::golub_kahan::GolubKahan;
use super::spectral::Subproblem;
use super::steps::StepOutcome;
use crate::base::{
    Result, Scalar, check_callback, check_finite, check_length, check_not_negative, check_positive,
    check_positive_dimension, check_range, kernels,
};
use crate::operator::LinearMap;

/// A least-squares step, and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct LeastSquaresStep<T> {
    /// δ.
    pub step: Vec<T>,
    /// λ: δ minimises ½‖Jδ + r‖² + ½λ‖δ‖².
    pub shift: f64,
    /// ‖δ‖.
    pub norm: f64,
    /// ½‖r‖² − ½‖Jδ + r‖².
    pub decrease: f64,
    /// Whether ‖δ‖ is the radius.
    pub on_boundary: bool,
    /// Products, of both kinds, that this subproblem took: twice the dimensions that it added to the space. The first
    /// product with J is made beforehand.
    pub products: usize,
    /// How it came out: accurate where ‖Jᵀ(Jδ + r) + λδ‖ ≤ tolerance·‖Jᵀr‖, or as small as rounding allows.
    pub outcome: StepOutcome,
}

/// All least-squares steps at one point: a Golub–Kahan space that is built once and solves for any λ and any Δ.
///
///   argmin ½‖Jδ + r‖² + ½λ‖δ‖²,   argmin ½‖Jδ + r‖²  s.t. ‖δ‖ ≤ Δ
///
/// A subproblem costs products, one with J and one with Jᵀ for each dimension, only while its solution is not accurate. JᵀJ
/// is not formed, so its condition number does not come in. Where J has no full column rank the shortest step is found.
/// Storage: 2m + 6n numbers and n for each vector of the basis, as many as `basis`; where these do not suffice, LSMR goes
/// on with 2m + 6n more. A preconditioner of J is not used: for another norm of δ, give the product of J with its inverse.
///
/// ```
/// use newton_krylov::linear_map;
/// use newton_krylov::steps::LeastSquaresSteps;
///
/// let j = linear_map(
///     3,
///     2,
///     |v: &[f64], jv: &mut [f64]| jv.copy_from_slice(&[v[0], 2.0 * v[1], v[0] - v[1]]),
///     |u: &[f64], jtu: &mut [f64]| jtu.copy_from_slice(&[u[0] + u[2], 2.0 * u[1] - u[2]]),
/// );
/// let mut steps = LeastSquaresSteps::new(&j, &[1.0, 1.0, 1.0], 1e-8, 100)?;
/// let newton = steps.damped(0.0)?;
/// let short = steps.within(0.5 * newton.norm)?;
/// assert!((short.norm - 0.5 * newton.norm).abs() < 1e-15 && short.products == 0);
/// let (largest, lowest) = steps.singular_values().unwrap();
/// assert!((largest * lowest - 3.0).abs() < 1e-6); // √det(JᵀJ)
/// # Ok::<(), newton_krylov::Error>(())
/// ```
pub struct LeastSquaresSteps<'a, T> {
    jacobian: &'a dyn LinearMap<T>,
    residual: &'a [T],
    gradient: Vec<T>,
    scaling: Vec<T>,
    tolerance: f64,
    entered: bool,
    space: GolubKahan<T>,
}

impl<'a, T: Scalar> LeastSquaresSteps<'a, T> {
    /// Takes up r and makes the first products: Jᵀr, and J times that.
    ///
    /// # Errors
    /// If J has no columns, r has not as many components as J has rows or is not finite, the tolerance is not in [0, 1),
    /// or the basis is empty.
    pub fn new(jacobian: &'a impl LinearMap<T>, residual: &'a [T], tolerance: f64, basis: usize) -> Result<Self> {
        let (m, n) = (jacobian.rows(), jacobian.columns());
        check_positive_dimension("the Jacobian's number of columns", n)?;
        check_length("residual", residual, m)?;
        check_finite("residual", residual)?;
        check_range("tolerance", tolerance, (0.0..1.0).contains(&tolerance), "in [0, 1)")?;
        check_range("basis", basis as f64, basis > 0, "at least 1")?;
        let mut space = GolubKahan::new(m, n, basis);
        let mut gradient = vec![T::zero(); n];
        let entered = space.enter(jacobian, residual, &mut gradient);
        check_callback(jacobian.take_error())?;
        let tolerance = tolerance.max(4.0 * T::epsilon_f64());
        Ok(LeastSquaresSteps { jacobian, residual, gradient, scaling: vec![T::one(); n], tolerance, entered, space })
    }

    /// argmin ½‖Jδ + r‖² + ½λ‖δ‖² for the damping λ.
    ///
    /// # Errors
    /// If λ is negative, NaN or infinite.
    pub fn damped(&mut self, damping: f64) -> Result<LeastSquaresStep<T>> {
        check_not_negative("damping", damping)?;
        self.solve(Subproblem::Damped(damping))
    }

    /// argmin ½‖Jδ + r‖² subject to ‖δ‖ ≤ Δ for the radius Δ.
    ///
    /// # Errors
    /// If Δ is not positive and finite.
    pub fn within(&mut self, radius: f64) -> Result<LeastSquaresStep<T>> {
        check_positive("radius", radius)?;
        self.solve(Subproblem::Radius(radius))
    }

    /// The largest and the lowest singular value of J in the space, from inside: their ratio is a lower bound on the
    /// condition number. `None` before the first subproblem.
    pub fn singular_values(&self) -> Option<(f64, f64)> {
        self.space.singular_values()
    }

    fn solve(&mut self, subproblem: Subproblem) -> Result<LeastSquaresStep<T>> {
        let before = self.space.products_made();
        let system = System {
            jacobian: self.jacobian,
            residual: self.residual,
            gradient: &self.gradient,
            scaling: &self.scaling,
            more: &|_| true,
        };
        let accuracy = Accuracy::of_residual(self.tolerance);
        let solution = if self.entered { self.space.solution(&system, subproblem, Some(accuracy)) } else { None };
        check_callback(self.jacobian.take_error())?;
        let products = self.space.products_made() - before;
        let mut step = vec![T::zero(); self.gradient.len()];
        let Some((solution, stop)) = solution else {
            let (shift, outcome) = (f64::NAN, StepOutcome::NotFinite);
            let (norm, decrease) = (0.0, 0.0);
            return Ok(LeastSquaresStep { step, shift, norm, decrease, on_boundary: false, products, outcome });
        };
        self.space.step(&mut step);
        let outcome = match stop {
            _ if self.space.mismatch() > T::epsilon_f64().powf(0.25) => StepOutcome::Asymmetric,
            InnerStop::Limit => StepOutcome::Limit,
            InnerStop::NotFinite => StepOutcome::NotFinite,
            _ => StepOutcome::Accurate,
        };
        Ok(LeastSquaresStep {
            norm: kernels::norm(&step),
            step,
            shift: solution.shift,
            decrease: solution.decrease(),
            on_boundary: solution.on_boundary,
            products,
            outcome,
        })
    }
}
