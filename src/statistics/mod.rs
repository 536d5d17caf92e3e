//! What statisticians ask of a fit: covariance and standard errors of the parameters, residual variance, intervals.
//!
//! At a solution of min ½‖r(x)‖² whose residuals are independent errors of variance σ², the parameters are, to first
//! order, normal with covariance σ²(JᵀJ)⁻¹, and σ² is estimated by s² = ‖r‖²/(m − n) (Seber & Wild, *Nonlinear
//! Regression* (1989), section 2.1.2). [`covariance`] has all of it for few parameters, [`covariance_of`] that of chosen
//! parameters where there are many.

mod covariance;
mod selected;
mod student_t;
mod table;

pub use covariance::{Covariance, covariance, covariance_known};
pub use selected::{SelectedCovariance, covariance_of};
pub use table::ParameterTable;

use crate::base::{Result, Scalar, check_callback, check_finite, check_length, check_positive_dimension, space};
use crate::curvature::{Bounds, LeastCurvature, LeastSquares, LossSum, RobustLoss, Weighted, Weights};
use crate::operator::{Around, LinearMap, Linearization, Model};

/// Calls `f` with the weighted Jacobian and residuals at x, and the value there.
fn at<T: Scalar, M: Model<T>, L: RobustLoss, R>(
    fit: &LeastSquares<T, M, L>,
    x: &[T],
    f: impl FnOnce(&dyn LinearMap<T>, &[T], f64) -> Result<R>,
) -> Result<R> {
    space::check_whole_residuals("statistics")?;
    let (m, n) = (fit.model().output_dim(), fit.model().dim());
    check_positive_dimension("the number of parameters", n)?;
    check_positive_dimension("the number of residuals", m)?;
    check_length("x", x, n)?;
    check_finite("x", x)?;
    let jacobian =
        fit.model().linearize_within(x, Around { bounds: fit.bounds().map(Bounds::slices), ..Around::default() });
    let residual = jacobian.outputs();
    check_callback(jacobian.take_error())?;
    check_finite("the residuals at x", residual)?;
    let value = LossSum::new(m, fit.block(), !fit.loss().is_identity()).value(fit.loss(), residual);
    let mut weights = Weights::new(m, fit.block(), !fit.loss().is_identity());
    weights.update(fit.loss(), residual, LeastCurvature::SMALLEST);
    let found = f(&Weighted { jacobian, weights: &weights }, weights.weighted(), value);
    check_callback(fit.model().take_error())?;
    found
}
