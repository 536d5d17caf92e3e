//! x ∈ {0, 1}: T = x, η = ln p/(1 − p), A = ln(1 + e^η), μ = p, F = p(1 − p).

use super::{Coordinates, ExponentialFamily};
use crate::base::{Result, check_component};

/// The Bernoulli family: η = logit p, μ = p.
///
/// ```
/// use newton_krylov::exponential_family::{Bernoulli, ExponentialFamily};
///
/// let mut natural = [0.0];
/// Bernoulli.to_natural(&[0.75], &mut natural)?;
/// assert!((natural[0] - 3.0_f64.ln()).abs() < 1e-15);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bernoulli;

/// ln(1 + e^η) without overflow.
pub(in crate::curvature) fn softplus(eta: f64) -> f64 {
    eta.max(0.0) + (-eta.abs()).exp().ln_1p()
}

/// 1/(1 + e^−η) without overflow.
fn logistic(eta: f64) -> f64 {
    let e = (-eta.abs()).exp();
    if eta >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

impl ExponentialFamily for Bernoulli {
    fn parameters(&self) -> usize {
        1
    }
    fn check_domain(&self, coordinates: Coordinates, parameters: &[f64]) -> Result<()> {
        match coordinates {
            Coordinates::Natural => Ok(()),
            Coordinates::Mean => {
                let p = parameters[0];
                check_component("mean", 0, p, 0.0 < p && p < 1.0, "above 0 and below 1")
            }
        }
    }
    fn check_support(&self, x: &[f64]) -> Result<()> {
        check_component("x", 0, x[0], x[0] == 0.0 || x[0] == 1.0, "0 or 1")
    }
    fn log_partition_at(&self, natural: &[f64]) -> f64 {
        softplus(natural[0])
    }
    fn mean_at(&self, natural: &[f64], mean: &mut [f64]) {
        mean[0] = logistic(natural[0]);
    }
    fn natural_at(&self, mean: &[f64], natural: &mut [f64]) {
        natural[0] = mean[0].ln() - (-mean[0]).ln_1p();
    }
    fn divergence_at(&self, p: &[f64], q: &[f64]) -> f64 {
        // For either outcome the logarithm of the ratio, from the side where it does not cancel.
        let log_ratio = |sign: f64| softplus(-sign * q[0]) - softplus(-sign * p[0]);
        logistic(p[0]) * log_ratio(1.0) + logistic(-p[0]) * log_ratio(-1.0)
    }
    fn fisher_product_at(&self, natural: &[f64], v: &[f64], out: &mut [f64]) {
        out[0] = logistic(natural[0]) * logistic(-natural[0]) * v[0];
    }
}
