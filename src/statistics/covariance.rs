//! The covariance of all parameters, from the singular values of the Jacobian.
//!
//!   cov(x) = s² S V Σ⁻² Vᵀ S,   JS = UΣVᵀ,   S = diag(1/‖Jⱼ‖),   s² = 2f/(m − rank)
//!
//! JᵀJ is not formed: half of the digits would be lost (Golub & Van Loan, *Matrix Computations* (2013), section 5.3.8).

use faer::MatRef;
use faer::linalg::solvers::Svd;

use super::at;
use super::student_t::two_sided_quantile;
use super::table::ParameterTable;
use crate::base::{Error, Result, Scalar, check_finite, check_length, check_positive, check_range, kernels};
use crate::curvature::{LeastSquares, RobustLoss};
use crate::operator::{LinearMap, Model};
use crate::step::rank_noise;

/// Degrees of freedom at which Student's distribution is the normal one to nine digits.
const NORMAL: usize = 1_000_000_000;

/// Covariance and standard errors of fitted parameters; see [`covariance`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Covariance {
    /// m − rank, the residuals that are left to estimate their variance from.
    pub degrees_of_freedom: usize,
    /// s² = 2f/(m − rank) = ‖r‖²/(m − rank), in squared units of the residuals; NaN if no degree of freedom is left. The
    /// given one where it is known.
    pub residual_variance: f64,
    /// Whether the variance was given, and intervals are those of the normal distribution.
    pub variance_known: bool,
    /// The numerical rank of J: the number of singular values of JS above what its rounding, or the error of its
    /// differences, makes of the largest.
    pub rank: usize,
    /// The largest over the smallest singular value of JS, whose columns have length 1: how far the parameters are from
    /// being determined by themselves. Infinite where the rank is not full.
    pub condition: f64,
    /// The square root of each variance, in units of the parameter. 0 for one that a bound holds; infinite for one that
    /// the residuals do not determine.
    pub standard_errors: Vec<f64>,
    /// The covariance matrix, n × n by columns. Where the rank is not full, that of the determined combinations of
    /// parameters (the pseudo-inverse).
    pub matrix: Vec<f64>,
}

impl Covariance {
    /// cov(xᵢ, xⱼ).
    ///
    /// # Panics
    /// If i or j is not below n.
    pub fn get(&self, i: usize, j: usize) -> f64 {
        let n = self.standard_errors.len();
        assert!(i < n && j < n, "there are {n} parameters");
        self.matrix[j * n + i]
    }

    /// The correlation of xᵢ and xⱼ, in [−1, 1]; NaN if one of them has no variance.
    ///
    /// # Panics
    /// If i or j is not below n.
    pub fn correlation(&self, i: usize, j: usize) -> f64 {
        let scale = self.get(i, i).sqrt() * self.get(j, j).sqrt();
        if i == j && scale > 0.0 { 1.0 } else { self.get(i, j) / scale }
    }

    /// Half the width of each parameter's confidence interval at `level` (0.95 for 95 %): standard error times the
    /// quantile of Student's t distribution (Seber & Wild 1989, section 5.1).
    ///
    /// # Errors
    /// If the level is not between 0 and 1, or no degree of freedom is left.
    pub fn half_widths(&self, level: f64) -> Result<Vec<f64>> {
        let t = self.quantile(level)?;
        Ok(self.standard_errors.iter().map(|error| t * error).collect())
    }

    /// Half the width of the confidence interval of a function of the parameters with the given gradient, to first order:
    /// t √(∇ᵀ cov ∇). With the gradient of the fitted curve in a point it is the confidence band.
    ///
    /// # Errors
    /// If the gradient has not n components, the level is not between 0 and 1, or no degree of freedom is left.
    pub fn half_width_of(&self, gradient: &[f64], level: f64) -> Result<f64> {
        Ok(self.standard_error_of(gradient)? * self.quantile(level)?)
    }

    /// The standard error of a function of the parameters with the given gradient, to first order: √(∇ᵀ cov ∇).
    ///
    /// # Errors
    /// If the gradient has not n components.
    pub fn standard_error_of(&self, gradient: &[f64]) -> Result<f64> {
        let n = self.standard_errors.len();
        check_length("gradient", gradient, n)?;
        let variance: f64 =
            (0..n).map(|j| gradient[j] * kernels::dot(&self.matrix[j * n..(j + 1) * n], gradient)).sum();
        Ok(variance.max(0.0).sqrt())
    }

    /// The value and the standard error of a quantity derived from the parameters x, to first order. Its gradient is had
    /// by central differences over ∛ε of the larger of each parameter and its standard error.
    ///
    /// # Errors
    /// If x has not n components, or the quantity is not finite at x.
    pub fn derived<T: Scalar>(&self, x: &[T], quantity: impl Fn(&[T]) -> f64) -> Result<(f64, f64)> {
        check_length("x", x, self.standard_errors.len())?;
        let value = quantity(x);
        check_finite("the quantity at x", &[value])?;
        let mut at = x.to_vec();
        let gradient: Vec<f64> = (0..x.len())
            .map(|j| {
                let error = self.standard_errors[j];
                let size = x[j].abs().into().max(if error.is_finite() { error } else { 0.0 });
                let t = T::from_f64(T::epsilon_f64().cbrt() * if size > 0.0 { size } else { 1.0 });
                at[j] = x[j] + t;
                let (ahead, to) = (quantity(&at), at[j]);
                at[j] = x[j] - t;
                let (behind, from) = (quantity(&at), std::mem::replace(&mut at[j], x[j]));
                (ahead - behind) / (to - from).into()
            })
            .collect();
        Ok((value, self.standard_error_of(&gradient)?))
    }

    /// A table of the parameters x under their names, with their standard errors.
    ///
    /// # Errors
    /// If there are not n names and numbers.
    pub fn table<T: Scalar>(&self, names: &[&str], x: &[T]) -> Result<ParameterTable> {
        ParameterTable::new(names, x, Some(&self.standard_errors))
    }

    fn quantile(&self, level: f64) -> Result<f64> {
        check_range("level", level, level > 0.0 && level < 1.0, "between 0 and 1")?;
        if self.variance_known {
            return Ok(two_sided_quantile(level, NORMAL));
        }
        check_range(
            "degrees of freedom",
            self.degrees_of_freedom as f64,
            self.degrees_of_freedom > 0,
            "at least 1: more residuals are needed",
        )?;
        Ok(two_sided_quantile(level, self.degrees_of_freedom))
    }
}

/// Covariance, standard errors and residual variance at a solution x of `fit`.
///
/// The residuals must be in units in which all have the same variance (divide each by its standard deviation, up to a
/// common factor). With a robust loss J and f are those of the weighted problem at x, an approximation. Parameters that a
/// bound holds count as known.
///
/// Costs one linearisation, one formed Jacobian and O(mn² + n³) operations; storage 2mn + 3n² numbers. For many
/// parameters see [`covariance_of`](super::covariance_of).
///
/// ```
/// use newton_krylov::{LevenbergMarquardt, least_squares_dense, statistics::covariance};
///
/// // A mean: its standard error is s/√m.
/// let y = [1.0, 2.0, 4.0, 5.0];
/// let mean = least_squares_dense(4, 1, |x: &[f64], r| (0..4).for_each(|i| r[i] = x[0] - y[i]), |_, j| j.fill(1.0));
/// let x = LevenbergMarquardt::default().minimize(&mean, &[0.0])?.run.x;
/// let found = covariance(&mean, &x)?;
/// assert_eq!(found.degrees_of_freedom, 3);
/// assert!((found.standard_errors[0] - (10.0 / 3.0 / 4.0_f64).sqrt()).abs() < 1e-15);
/// assert!((found.half_widths(0.95)?[0] / found.standard_errors[0] - 3.182).abs() < 1e-3);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// If x has not the length n or is not finite, there are no residuals, or residuals or Jacobian are not finite at x.
pub fn covariance<T: Scalar, M: Model<T>, L: RobustLoss>(fit: &LeastSquares<T, M, L>, x: &[T]) -> Result<Covariance> {
    with_variance(fit, x, None)
}

/// As [`covariance`], where the variance of the residuals is known and is not estimated from them: 1 where each was
/// divided by its standard deviation ([`with_weights`](LeastSquares::with_weights)). The covariance is then not rescaled by
/// how well the model fits, and needs no degree of freedom; intervals are those of the normal distribution.
///
/// ```
/// use newton_krylov::{least_squares_dense, statistics::covariance_known};
///
/// // One reading of known accuracy, 0.5.
/// let reading = least_squares_dense(1, 1, |x: &[f64], r| r[0] = x[0] - 3.0, |_, j| j[0] = 1.0).with_weights(&[2.0])?;
/// let found = covariance_known(&reading, &[3.0], 1.0)?;
/// assert_eq!(found.standard_errors, [0.5]);
/// assert!((found.half_widths(0.95)?[0] / 0.5 - 1.959964).abs() < 1e-6);
/// // And that of a quantity derived from it: the square, 9 ± 2·3·0.5.
/// let (value, error) = found.derived(&[3.0], |x| x[0] * x[0])?;
/// assert!(value == 9.0 && (error - 3.0).abs() < 1e-6);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// As [`covariance`], and for a variance that is not positive and finite.
pub fn covariance_known<T: Scalar, M: Model<T>, L: RobustLoss>(
    fit: &LeastSquares<T, M, L>,
    x: &[T],
    variance: f64,
) -> Result<Covariance> {
    check_positive("variance", variance)?;
    with_variance(fit, x, Some(variance))
}

fn with_variance<T: Scalar, M: Model<T>, L: RobustLoss>(
    fit: &LeastSquares<T, M, L>,
    x: &[T],
    known: Option<f64>,
) -> Result<Covariance> {
    at(fit, x, |jacobian, residual, value| {
        let held = |j: usize, slope: f64| fit.bounds().is_some_and(|b| b.holds(j, x[j], T::from_f64(slope)));
        from_jacobian(jacobian, residual, value, held, known)
    })
}

/// UΣVᵀ; no generic function, so that only this library compiles it.
fn decompose(matrix: &[f64], rows: usize, columns: usize) -> Result<Svd<f64>> {
    let not_finite =
        |_| Error::NotFinite { argument: "the Jacobian's singular values at x", index: None, value: f64::NAN };
    MatRef::from_column_major_slice(matrix, rows, columns).thin_svd().map_err(not_finite)
}

/// As [`covariance`], with `held(j, slope)` for the parameters that count as known.
fn from_jacobian<T: Scalar>(
    jacobian: &dyn LinearMap<T>,
    residual: &[T],
    value: f64,
    held: impl Fn(usize, f64) -> bool,
    known: Option<f64>,
) -> Result<Covariance> {
    let (m, n) = (jacobian.rows(), jacobian.columns());
    let mut entries = vec![T::zero(); m * n];
    jacobian.form(&mut entries);
    check_finite("the Jacobian at x", &entries)?;
    let mut scaled: Vec<f64> = entries.iter().map(|&v| v.into()).collect();
    let (mut scaling, mut free) = (vec![0.0; n], vec![true; n]);
    for (j, (column, entries)) in scaled.chunks_exact_mut(m).zip(entries.chunks_exact(m)).enumerate() {
        free[j] = !held(j, kernels::dot(entries, residual));
        let norm = kernels::norm(column);
        if free[j] && norm > 0.0 {
            scaling[j] = 1.0 / norm;
            column.iter_mut().for_each(|v| *v /= norm);
        } else {
            column.fill(0.0);
        }
    }
    let unknowns = free.iter().filter(|&&free| free).count();

    let svd = decompose(&scaled, m, n)?;
    let (sigma, v) = (svd.S().column_vector(), svd.V());
    let least = rank_noise::<T>(m, n, sigma[0], 1.0, jacobian.accuracy());
    let rank = (0..m.min(n)).take_while(|&i| sigma[i] > least).count();
    let degrees_of_freedom = m - rank;
    let estimated = if degrees_of_freedom > 0 { 2.0 * value / degrees_of_freedom as f64 } else { f64::NAN };
    let residual_variance = known.unwrap_or(estimated);

    let mut matrix = vec![0.0; n * n];
    for j in 0..n {
        for i in 0..=j {
            let sum: f64 = (0..rank).map(|k| v[(i, k)] / sigma[k] * (v[(j, k)] / sigma[k])).sum();
            let entry = residual_variance * (scaling[i] * scaling[j] * sum);
            (matrix[j * n + i], matrix[i * n + j]) = (entry, entry);
        }
    }
    let standard_errors = (0..n).map(|j| {
        // How much of the parameter lies in the determined directions.
        let determined: f64 = (0..rank).map(|k| v[(j, k)] * v[(j, k)]).sum();
        match free[j] {
            false => 0.0,
            true if rank < unknowns && determined < 1.0 - T::epsilon_f64().sqrt() => f64::INFINITY,
            true => matrix[j * n + j].sqrt(),
        }
    });
    Ok(Covariance {
        degrees_of_freedom,
        residual_variance,
        variance_known: known.is_some(),
        rank,
        condition: if rank == unknowns && rank > 0 { sigma[0] / sigma[rank - 1] } else { f64::INFINITY },
        standard_errors: standard_errors.collect(),
        matrix,
    })
}
