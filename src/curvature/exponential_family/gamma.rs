//! x > 0 with density β^α x^(α−1) e^(−βx)/Γ(α): T = (ln x, x), η = (α − 1, −β), A = ln Γ(α) − α ln β,
//! μ = (ψ(α) − ln β, α/β), F = [ψ′(α), 1/β; 1/β, α/β²].

use super::{Coordinates, ExponentialFamily};
use crate::base::gamma_function::{digamma, inverse_log_minus_digamma, ln_gamma, log_minus_digamma, trigamma};
use crate::base::{Result, check_component};

/// The gamma family with shape α and rate β: η = (α − 1, −β), μ = (E\[ln x\], E\[x\]) = (ψ(α) − ln β, α/β).
///
/// From μ the shape solves ln α − ψ(α) = ln μ₁ − μ₀, by Newton's method; where that difference is small, α is large and
/// the difference has lost about log₁₀ α digits.
///
/// ```
/// use newton_krylov::exponential_family::{ExponentialFamily, Gamma};
///
/// // With shape 1 it is the exponential density 2e^(−2x).
/// let log_density = Gamma.log_density(&[0.0, -2.0], &[0.7])?;
/// assert!((log_density - (2.0_f64.ln() - 1.4)).abs() < 1e-14);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gamma;

impl ExponentialFamily for Gamma {
    fn parameters(&self) -> usize {
        2
    }
    fn check_domain(&self, coordinates: Coordinates, parameters: &[f64]) -> Result<()> {
        let [first, second] = [parameters[0], parameters[1]];
        match coordinates {
            Coordinates::Natural => {
                check_component("natural", 0, first, first > -1.0, "above -1")?;
                check_component("natural", 1, second, second < 0.0, "below 0")
            }
            Coordinates::Mean => {
                check_component("mean", 1, second, second > 0.0, "above 0")?;
                check_component("mean", 0, first, second.ln() > first, "below the logarithm of mean[1]")
            }
        }
    }
    fn check_support(&self, x: &[f64]) -> Result<()> {
        check_component("x", 0, x[0], x[0] > 0.0, "above 0")
    }
    fn log_partition_at(&self, natural: &[f64]) -> f64 {
        let (alpha, beta) = (natural[0] + 1.0, -natural[1]);
        ln_gamma(alpha) - alpha * beta.ln()
    }
    fn mean_at(&self, natural: &[f64], mean: &mut [f64]) {
        let (alpha, beta) = (natural[0] + 1.0, -natural[1]);
        mean[0] = (alpha / beta).ln() - log_minus_digamma(alpha);
        mean[1] = alpha / beta;
    }
    fn natural_at(&self, mean: &[f64], natural: &mut [f64]) {
        let alpha = inverse_log_minus_digamma(mean[1].ln() - mean[0]);
        natural[0] = alpha - 1.0;
        natural[1] = -alpha / mean[1];
    }
    fn divergence_at(&self, p: &[f64], q: &[f64]) -> f64 {
        let (alpha_p, alpha_q) = (p[0] + 1.0, q[0] + 1.0);
        // β_q/β_p − 1
        let excess = (q[1] - p[1]) / p[1];
        (alpha_p - alpha_q) * digamma(alpha_p) - ln_gamma(alpha_p) + ln_gamma(alpha_q) + alpha_p * excess
            - alpha_q * excess.ln_1p()
    }
    fn fisher_product_at(&self, natural: &[f64], v: &[f64], out: &mut [f64]) {
        let (alpha, beta) = (natural[0] + 1.0, -natural[1]);
        out[0] = trigamma(alpha) * v[0] + v[1] / beta;
        out[1] = (v[0] + alpha / beta * v[1]) / beta;
    }
    fn statistics_at(&self, x: &[f64], out: &mut [f64]) {
        out[0] = x[0].ln();
        out[1] = x[0];
    }
}
