//! x ≥ 0 with density βe^(−βx): T = x, η = −β, A = −ln(−η), μ = 1/β, F = 1/β².

use super::{Coordinates, ExponentialFamily};
use crate::base::{Result, check_component};

/// The exponential family of one rate β, the waiting times: η = −β, μ = 1/β.
///
/// ```
/// use newton_krylov::exponential_family::{Exponential, ExponentialFamily};
///
/// let mut mean = [0.0];
/// Exponential.to_mean(&[-4.0], &mut mean)?;
/// assert_eq!(mean, [0.25]);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exponential;

impl ExponentialFamily for Exponential {
    fn parameters(&self) -> usize {
        1
    }
    fn check_domain(&self, coordinates: Coordinates, parameters: &[f64]) -> Result<()> {
        let value = parameters[0];
        let invertible = value.recip().is_finite();
        match coordinates {
            Coordinates::Natural => check_component("natural", 0, value, value < 0.0 && invertible, "below 0"),
            Coordinates::Mean => check_component("mean", 0, value, value > 0.0 && invertible, "above 0"),
        }
    }
    fn check_support(&self, x: &[f64]) -> Result<()> {
        check_component("x", 0, x[0], x[0] >= 0.0, "at least 0")
    }
    fn log_partition_at(&self, natural: &[f64]) -> f64 {
        -(-natural[0]).ln()
    }
    fn mean_at(&self, natural: &[f64], mean: &mut [f64]) {
        mean[0] = -natural[0].recip();
    }
    fn natural_at(&self, mean: &[f64], natural: &mut [f64]) {
        natural[0] = -mean[0].recip();
    }
    fn divergence_at(&self, p: &[f64], q: &[f64]) -> f64 {
        let excess = (q[0] - p[0]) / p[0];
        excess - excess.ln_1p()
    }
    fn fisher_product_at(&self, natural: &[f64], v: &[f64], out: &mut [f64]) {
        out[0] = v[0] / natural[0] / natural[0];
    }
}
