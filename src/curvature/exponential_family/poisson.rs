//! x ∈ {0, 1, 2, …}: T = x, η = ln λ, A = e^η = λ = μ = F, h = 1/x!.

use super::{Coordinates, ExponentialFamily};
use crate::base::{Result, check_component, gamma_function::ln_gamma};

/// The Poisson family: η = ln λ, μ = λ.
///
/// ```
/// use newton_krylov::exponential_family::{ExponentialFamily, Poisson};
///
/// // KL = λ_q − λ_p + λ_p ln(λ_p/λ_q)
/// let divergence = Poisson.divergence(&[3.0_f64.ln()], &[5.0_f64.ln()])?;
/// assert!((divergence - (2.0 + 3.0 * 0.6_f64.ln())).abs() < 1e-14);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Poisson;

/// KL for the logarithms of two rates: λ_q − λ_p − λ_p d with d = ln λ_q − ln λ_p.
pub(in crate::curvature) fn divergence(p: f64, q: f64) -> f64 {
    let d = q - p;
    if d.abs() <= 1.0 { p.exp() * (d.exp_m1() - d) } else { q.exp() - p.exp() * (1.0 + d) }
}

impl ExponentialFamily for Poisson {
    fn parameters(&self) -> usize {
        1
    }
    fn check_domain(&self, coordinates: Coordinates, parameters: &[f64]) -> Result<()> {
        let value = parameters[0];
        match coordinates {
            Coordinates::Natural => {
                let valid = value.exp() > 0.0 && value.exp().is_finite();
                check_component("natural", 0, value, valid, "between -745 and 709, so that its exponential is a number")
            }
            Coordinates::Mean => check_component("mean", 0, value, value > 0.0, "above 0"),
        }
    }
    fn check_support(&self, x: &[f64]) -> Result<()> {
        check_component("x", 0, x[0], x[0] >= 0.0 && x[0].fract() == 0.0, "a whole number from 0")
    }
    fn log_partition_at(&self, natural: &[f64]) -> f64 {
        natural[0].exp()
    }
    fn mean_at(&self, natural: &[f64], mean: &mut [f64]) {
        mean[0] = natural[0].exp();
    }
    fn natural_at(&self, mean: &[f64], natural: &mut [f64]) {
        natural[0] = mean[0].ln();
    }
    fn divergence_at(&self, p: &[f64], q: &[f64]) -> f64 {
        divergence(p[0], q[0])
    }
    fn fisher_product_at(&self, natural: &[f64], v: &[f64], out: &mut [f64]) {
        out[0] = natural[0].exp() * v[0];
    }
    fn log_base_at(&self, x: &[f64]) -> f64 {
        -ln_gamma(x[0] + 1.0)
    }
}
