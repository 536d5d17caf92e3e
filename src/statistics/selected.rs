//! The covariance of chosen parameters, by solves.
//!
//! With uⱼ = argmin ‖u‖ subject to Jᵀu = eⱼ it is cov(xᵢ, xⱼ) = s² uᵢᵀuⱼ: (JᵀJ)⁻¹ = J⁺(J⁺)ᵀ, and uⱼ is column j of (J⁺)ᵀ.
//! One sparse least-squares problem for each parameter, without JᵀJ (Paige & Saunders, ACM Trans. Math. Softw. 8 (1982),
//! section 6, estimate the diagonal from the recurrences instead, from below).

use std::cell::RefCell;

use super::at;
use crate::base::{CallbackError, Result, Scalar, check_range, kernels};
use crate::curvature::{LeastSquares, RobustLoss};
use crate::operator::{LinearMap, Model};
use crate::step::{LinearLeastSquares, LinearOutcome};

/// Covariance and standard errors of chosen parameters; see [`covariance_of`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SelectedCovariance {
    /// s² = 2f/(m − n), in squared units of the residuals; NaN unless m > n.
    pub residual_variance: f64,
    /// The square root of each chosen parameter's variance, in the order of the choice; infinite for one that the
    /// residuals do not determine.
    pub standard_errors: Vec<f64>,
    /// The covariance matrix of the chosen parameters, k × k by columns; NaN with one that is not determined.
    pub matrix: Vec<f64>,
    /// How each solve ended: [`LinearOutcome::Consistent`] where the parameter is determined, to ε^¼ or better.
    pub outcomes: Vec<LinearOutcome>,
    /// Products Jv and Jᵀu.
    pub products: usize,
}

/// Jᵀ, scaled: u ↦ SJᵀu.
struct Transposed<'a, T> {
    jacobian: &'a dyn LinearMap<T>,
    scaling: &'a [T],
    scaled: RefCell<Vec<T>>,
}

impl<T: Scalar> LinearMap<T> for Transposed<'_, T> {
    fn rows(&self) -> usize {
        self.jacobian.columns()
    }
    fn columns(&self) -> usize {
        self.jacobian.rows()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.jacobian.apply_transpose(v, out);
        kernels::multiply(self.scaling, out);
    }
    fn apply_transpose(&self, u: &[T], out: &mut [T]) {
        let scaled = &mut *self.scaled.borrow_mut();
        scaled.copy_from_slice(u);
        kernels::multiply(self.scaling, scaled);
        self.jacobian.apply(scaled, out);
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.jacobian.take_error()
    }
}

/// Covariance and standard errors of the parameters `chosen` at a solution x of `fit`, for any number of parameters.
///
/// All parameters count as free and as determined when s² is estimated, m − n degrees of freedom. With a robust loss J
/// and f are those of the weighted problem at x, an approximation.
///
/// Costs a solve by [`LinearLeastSquares`] for each chosen parameter, as accurate as rounding allows: ‖J‖‖J⁺‖ε. Storage:
/// one vector of length m for each.
///
/// ```
/// use newton_krylov::{least_squares, statistics::covariance_of};
///
/// // Parameter j is measured 1 + j times.
/// let n = 1000;
/// let rows: Vec<usize> = (0..n).flat_map(|j| vec![j; 1 + j % 3]).collect();
/// let m = rows.len();
/// let fit = least_squares(
///     m,
///     n,
///     |x: &[f64], r| (0..m).for_each(|i| r[i] = x[rows[i]] + if i % 2 == 0 { 1.0 } else { -1.0 }),
///     |_, v, jv| (0..m).for_each(|i| jv[i] = v[rows[i]]),
///     |_, u, jtu| {
///         jtu.fill(0.0);
///         (0..m).for_each(|i| jtu[rows[i]] += u[i]);
///     },
/// );
/// let found = covariance_of(&fit, &vec![0.0; n], &[3, 5])?;
/// let s = found.residual_variance.sqrt();
/// assert!((found.standard_errors[0] / s - 1.0).abs() < 1e-12);
/// assert!((found.standard_errors[1] / s - 3.0_f64.sqrt().recip()).abs() < 1e-12);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// If x has not the length n or is not finite, an index is not below n, or the residuals at x are not finite.
pub fn covariance_of<T: Scalar, M: Model<T>, L: RobustLoss>(
    fit: &LeastSquares<T, M, L>,
    x: &[T],
    chosen: &[usize],
) -> Result<SelectedCovariance> {
    for &index in chosen {
        check_range("chosen", index as f64, index < fit.model().dim(), "below the number of parameters")?;
    }
    at(fit, x, |jacobian, _, value| by_solves(jacobian, value, chosen))
}

fn by_solves<T: Scalar>(jacobian: &dyn LinearMap<T>, value: f64, chosen: &[usize]) -> Result<SelectedCovariance> {
    let (m, n) = (jacobian.rows(), jacobian.columns());
    // Rows of Jᵀ of length 1, where their lengths are known: the solution is the same, sooner.
    let mut scaling = vec![T::one(); n];
    if jacobian.column_norms(&mut scaling) {
        for s in &mut scaling {
            *s = if *s > T::zero() && s.is_finite() { T::one() / *s } else { T::one() };
        }
    }
    let scaled = RefCell::new(vec![T::zero(); n]);
    let transposed = Transposed { jacobian, scaling: &scaling, scaled };
    let solver = LinearLeastSquares {
        tolerance: T::epsilon_f64(),
        condition_limit: f64::INFINITY,
        ..LinearLeastSquares::default()
    };
    let (mut solutions, mut outcomes, mut products) = (vec![], vec![], 0);
    let mut unit = vec![T::zero(); n];
    for &index in chosen {
        unit[index] = scaling[index];
        let solved = solver.solve(&transposed, &unit)?;
        unit[index] = T::zero();
        products += solved.products + solved.transpose_products;
        // It is determined if the system has a solution, and not only something nearest to one.
        let consistent = solved.residual_norm <= T::epsilon_f64().powf(0.25) * scaling[index].into();
        outcomes.push(if consistent { LinearOutcome::Consistent } else { solved.outcome });
        solutions.push(consistent.then_some(solved.x));
    }
    let residual_variance = if m > n { 2.0 * value / (m - n) as f64 } else { f64::NAN };
    let entry = |i: usize, j: usize| match (&solutions[i], &solutions[j]) {
        (Some(u), Some(v)) => residual_variance * kernels::dot(u, v),
        _ => f64::NAN,
    };
    let k = chosen.len();
    let matrix: Vec<f64> = (0..k * k).map(|at| entry(at % k, at / k)).collect();
    let standard_errors = (0..k).map(|j| match &solutions[j] {
        Some(_) => matrix[j * k + j].sqrt(),
        None => f64::INFINITY,
    });
    let standard_errors = standard_errors.collect();
    Ok(SelectedCovariance { residual_variance, standard_errors, matrix, outcomes, products })
}
