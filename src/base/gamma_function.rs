//! The gamma function's logarithm and its derivatives, for positive arguments.
//!
//! Asymptotic series in the Bernoulli numbers (Abramowitz & Stegun, *Handbook of Mathematical Functions* (1964), 6.1.41,
//! 6.3.18, 6.4.12) from x = 12 on, where seven terms leave less than 1e-16, and the recurrences (6.1.15, 6.3.5, 6.4.6)
//! up to there. A dependency for three short series would take longer to compile than this crate's own step family.

/// Where the series begin.
const LARGE: f64 = 12.0;
/// B₂ … B₁₄.
const BERNOULLI: [f64; 7] = [1.0 / 6.0, -1.0 / 30.0, 1.0 / 42.0, -1.0 / 30.0, 5.0 / 66.0, -691.0 / 2730.0, 7.0 / 6.0];

/// Σₖ f(2k, B₂ₖ) x^(−2k), the smallest first.
fn series(x: f64, coefficient: impl Fn(f64, f64) -> f64) -> f64 {
    let y = 1.0 / (x * x);
    BERNOULLI.iter().enumerate().rev().fold(0.0, |sum, (k, &b)| (sum + coefficient(2.0 * (k as f64 + 1.0), b)) * y)
}

/// How many steps of the recurrence lead to the series.
fn steps(x: f64) -> usize {
    (LARGE - x).ceil().max(0.0) as usize
}

/// ln Γ(x), to 1e-14 or 1e-14 relative: below 12 the recurrence cancels against ln Γ(12) ≈ 17.5.
pub fn ln_gamma(x: f64) -> f64 {
    let (n, product) = (steps(x), (0..steps(x)).fold(1.0, |product, k| product * (x + k as f64)));
    let y = x + n as f64;
    let half_log_tau = 0.5 * std::f64::consts::TAU.ln();
    (y - 0.5) * y.ln() - y + half_log_tau + y * series(y, |k, b| b / (k * (k - 1.0))) - product.ln()
}

/// ψ(x) = d ln Γ(x)/dx.
pub fn digamma(x: f64) -> f64 {
    x.ln() - log_minus_digamma(x)
}

/// ln x − ψ(x), which is positive and falls from ∞ to 0, without the cancellation for large x.
pub fn log_minus_digamma(x: f64) -> f64 {
    let n = steps(x);
    let y = x + n as f64;
    let sum: f64 = (0..n).rev().map(|k| 1.0 / (x + k as f64)).sum();
    let log = if n > 0 { (x / y).ln() } else { 0.0 };
    sum + log + 0.5 / y + series(y, |k, b| b / k)
}

/// ψ′(x).
pub fn trigamma(x: f64) -> f64 {
    1.0 / x + trigamma_excess(x)
}

/// ψ′(x) − 1/x, which is positive, without the cancellation for large x.
fn trigamma_excess(x: f64) -> f64 {
    let n = steps(x);
    let y = x + n as f64;
    let sum: f64 = (0..n).rev().map(|k| (x + k as f64).powi(-2)).sum();
    // 1/y − 1/x
    let shift = -(n as f64) / (x * y);
    sum + shift + 0.5 / (y * y) + series(y, |_, b| b) / y
}

/// The x > 0 with ln x − ψ(x) = s, for s > 0.
///
/// Newton's method on 1/x (Minka, "Estimating a gamma distribution" (2002), equations 8 to 10), which converges in four or
/// five steps.
pub fn inverse_log_minus_digamma(s: f64) -> f64 {
    let root = ((s - 3.0) * (s - 3.0) + 24.0 * s).sqrt();
    let mut x = if s > 3.0 { 2.0 / (root + s - 3.0) } else { (3.0 - s + root) / (12.0 * s) };
    for _ in 0..20 {
        // d(ln x − ψ)/d(1/x) = x²(ψ′ − 1/x)
        let next = 1.0 / (1.0 / x - (log_minus_digamma(x) - s) / (x * x * trigamma_excess(x)));
        let settled = (next - x).abs() <= 2.0 * f64::EPSILON * x;
        x = if next > 0.0 { next } else { 0.5 * x };
        if settled {
            break;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    const EULER: f64 = 0.577_215_664_901_532_9;

    fn close(found: f64, exact: f64) {
        assert!((found - exact).abs() <= 4e-15 * exact.abs().max(1.0), "{found} is not {exact}");
    }

    #[test]
    fn closed_forms_are_met() {
        use std::f64::consts::{LN_2, PI};
        let mut factorial = 1.0_f64;
        let (mut harmonic, mut squares) = (0.0, 0.0);
        for n in 1..30 {
            let x = f64::from(n);
            assert!((ln_gamma(x) - factorial.ln()).abs() < 1e-14 * factorial.ln().max(1.0));
            close(digamma(x), harmonic - EULER);
            close(trigamma(x), PI * PI / 6.0 - squares);
            (factorial, harmonic, squares) = (factorial * x, harmonic + 1.0 / x, squares + 1.0 / (x * x));
        }
        assert!((ln_gamma(0.5) - 0.5 * PI.ln()).abs() < 1e-14);
        close(digamma(0.5), -EULER - 2.0 * LN_2);
        close(trigamma(0.5), PI * PI / 2.0);
        close(digamma(0.25), -EULER - PI / 2.0 - 3.0 * LN_2);
    }

    #[test]
    fn values_of_tables_are_met() {
        // mpmath, 40 digits, rounded.
        close(ln_gamma(1e-3), 6.907_178_885_383_854);
        close(digamma(1e-3) / 1000.0, -1.000_575_571_931_810_3);
        close(ln_gamma(1e5) / 1e6, 1.051_287_708_973_657);
        let large = 1e8_f64;
        close(log_minus_digamma(large) * 2.0 * large, 1.0 + 1.0 / (6.0 * large));
    }

    #[test]
    fn the_inverse_inverts() {
        for exponent in -60..=60 {
            let x = 10f64.powf(0.2 * f64::from(exponent));
            let found = inverse_log_minus_digamma(log_minus_digamma(x));
            assert!((found / x - 1.0).abs() < 1e-13, "{x}: {found}");
        }
    }
}
