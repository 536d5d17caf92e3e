//! Quantiles of Student's t distribution.
//!
//! P(|T| > t) = I_{ν/(ν+t²)}(ν/2, ½) with the regularised incomplete beta function I (Abramowitz & Stegun, *Handbook of
//! Mathematical Functions* (1964), 26.7.1), which its continued fraction (26.5.8) gives; the quantile is found by
//! bisection, safe for any ν.

use crate::base::gamma_function::ln_gamma;

/// The t with P(|T| ≤ t) = `level` for `degrees` ≥ 1 degrees of freedom and 0 < level < 1.
pub fn two_sided_quantile(level: f64, degrees: usize) -> f64 {
    let outside = |t: f64| tail(t, degrees as f64);
    let (mut low, mut high) = (0.0, 1.0);
    while outside(high) > 1.0 - level && high < 1e300 {
        (low, high) = (high, 2.0 * high);
    }
    // Each halving adds a bit.
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if outside(middle) > 1.0 - level { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// P(|T| > t).
fn tail(t: f64, degrees: f64) -> f64 {
    let square = t * t;
    incomplete_beta(degrees / (degrees + square), square / (degrees + square), 0.5 * degrees, 0.5)
}

/// I_x(a, b) with y = 1 − x, which is given apart so that it keeps its digits.
fn incomplete_beta(x: f64, y: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || y <= 0.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    // The fraction converges fast below the mean of the distribution.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(y, x, b, a);
    }
    let front = (a * x.ln() + b * y.ln() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b)).exp() / a;
    front * fraction(x, a, b)
}

/// The continued fraction 1/(1 + d₁/(1 + d₂/(1 + …))), by Lentz's method (Thompson & Barnett, J. Comput. Phys. 64 (1986)).
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let apart = |v: f64| if v.abs() < TINY { TINY } else { v };
    let (mut c, mut d) = (1.0, 1.0 / apart(1.0 - (a + b) * x / (a + 1.0)));
    let mut value = d;
    for k in 1..100_000 {
        let k = k as f64;
        let even = k * (b - k) * x / ((a + 2.0 * k - 1.0) * (a + 2.0 * k));
        let odd = -(a + k) * (a + b + k) * x / ((a + 2.0 * k) * (a + 2.0 * k + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / apart(1.0 + term * d);
            c = apart(1.0 + term / c);
            change = c * d;
            value *= change;
        }
        if (change - 1.0).abs() < 1e-16 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // ν = 1 and 2 have closed forms: tan(πp/2), and √(2p²/(1 − p²)).
        for level in [0.5, 0.9, 0.95, 0.99, 0.999] {
            let cauchy = (0.5 * PI * level).tan();
            assert!((two_sided_quantile(level, 1) / cauchy - 1.0).abs() < 1e-12, "{level}");
            let two = (2.0 * level * level / (1.0 - level * level)).sqrt();
            assert!((two_sided_quantile(level, 2) / two - 1.0).abs() < 1e-12, "{level}");
        }
        // Abramowitz & Stegun, table 26.10, and the normal limit.
        for (degrees, level, t) in [(5, 0.95, 2.571), (10, 0.99, 3.169), (30, 0.9, 1.697), (120, 0.95, 1.980)] {
            assert!((two_sided_quantile(level, degrees) - t).abs() < 5e-4, "{degrees}");
        }
        assert!((two_sided_quantile(0.95, 100_000_000) - 1.959_963_984_540_054).abs() < 1e-7);
    }
}
