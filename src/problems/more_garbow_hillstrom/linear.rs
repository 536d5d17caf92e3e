//! Functions (32)–(35): three linear systems, of full and of deficient rank, and Chebyshev quadrature.

use super::function::{FREE, Facts, Function, at, known};
use crate::problems::number::Number;

/// What the four have in common, but for what each says otherwise.
const LINEAR: Facts = Facts {
    terms: |n| 2 * n,
    sizes: "1 ≤ n ≤ m",
    admits: Some(|n, m| 1 <= n && n <= m),
    start: |n| vec![1.0; n],
    ..FREE
};

/// (32) rᵢ = xᵢ − (2/m) Σ xⱼ − 1 for i ≤ n, rᵢ = −(2/m) Σ xⱼ − 1 for n < i ≤ m.
pub(super) struct LinearFullRank;

impl Function for LinearFullRank {
    const FACTS: Facts = Facts {
        name: "Linear, full rank",
        large: Some(500),
        minima: |n, m| vec![at((m - n) as f64, &vec![-1.0; n])],
        ..LINEAR
    };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let mut sum = V::from_f64(0.0);
        for &x in x {
            sum += x;
        }
        let common = -sum * V::from_f64(2.0 / r.len() as f64) - V::from_f64(1.0);
        r.fill(common);
        for (r, &x) in r.iter_mut().zip(x) {
            *r += x;
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let mut sum = V::from_f64(0.0);
        for &u in u {
            sum += u;
        }
        let common = sum * V::from_f64(2.0 / u.len() as f64);
        for j in 0..x.len() {
            out[j] = u[j] - common;
        }
    }
}

/// (33) rᵢ = i Σ j xⱼ − 1.
pub(super) struct LinearRankOne;

impl Function for LinearRankOne {
    const FACTS: Facts = Facts {
        name: "Linear, rank 1",
        large: Some(100),
        // At every point where Σ j xⱼ = 3/(2m + 1).
        minima: |n, m| {
            let m = m as f64;
            let mut minimizer = vec![0.0; n];
            minimizer[0] = 3.0 / (2.0 * m + 1.0);
            vec![at(m * (m - 1.0) / (2.0 * (2.0 * m + 1.0)), &minimizer)]
        },
        ..LINEAR
    };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        let mut sum = c(0.0);
        for (j, &x) in x.iter().enumerate() {
            sum += c(j as f64 + 1.0) * x;
        }
        for (i, r) in r.iter_mut().enumerate() {
            *r = c(i as f64 + 1.0) * sum - c(1.0);
        }
    }
    fn transpose<V: Number>(_: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        let mut sum = c(0.0);
        for (i, &u) in u.iter().enumerate() {
            sum += c(i as f64 + 1.0) * u;
        }
        for (j, out) in out.iter_mut().enumerate() {
            *out = c(j as f64 + 1.0) * sum;
        }
    }
}

/// (34) r₁ = −1, rᵢ = (i − 1) Σ j xⱼ − 1 with the sum over 1 < j < n, 1 < i < m, rₘ = −1.
pub(super) struct LinearRankOneZeros;

impl Function for LinearRankOneZeros {
    const FACTS: Facts = Facts {
        name: "Linear, rank 1, zero columns and rows",
        large: Some(100),
        sizes: "3 ≤ n ≤ m",
        admits: Some(|n, m| n >= 3 && m >= n),
        // At every point where the sum is 3/(2m − 3).
        minima: |n, m| {
            let m = m as f64;
            let mut minimizer = vec![0.0; n];
            minimizer[1] = 1.5 / (2.0 * m - 3.0);
            vec![at((m * m + 3.0 * m - 6.0) / (2.0 * (2.0 * m - 3.0)), &minimizer)]
        },
        ..LINEAR
    };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let (n, m, c) = (x.len(), r.len(), V::from_f64);
        let mut sum = c(0.0);
        for j in 1..n - 1 {
            sum += c(j as f64 + 1.0) * x[j];
        }
        r.fill(c(-1.0));
        for i in 1..m - 1 {
            r[i] += c(i as f64) * sum;
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let (n, m, c) = (x.len(), u.len(), V::from_f64);
        let mut sum = c(0.0);
        for i in 1..m - 1 {
            sum += c(i as f64) * u[i];
        }
        out.fill(c(0.0));
        for j in 1..n - 1 {
            out[j] = c(j as f64 + 1.0) * sum;
        }
    }
}

/// (35) rᵢ = (1/n) Σⱼ Tᵢ(xⱼ) − ∫₀¹ Tᵢ, where Tᵢ is the Chebyshev polynomial of degree i shifted to \[0, 1\]; the
/// integral is 0 for odd i and −1/(i² − 1) for even i.
pub(super) struct Chebyquad;

impl Function for Chebyquad {
    const FACTS: Facts = Facts {
        name: "Chebyquad",
        n: 8,
        large: Some(50),
        terms: |n| n,
        start: |n| (1..=n).map(|j| j as f64 / (n as f64 + 1.0)).collect(),
        minima: |n, m| match n {
            _ if m != n => vec![],
            1..=7 | 9 => vec![known(0.0)],
            8 => vec![known(3.51687e-3)],
            10 => vec![known(6.50395e-3)],
            _ => vec![],
        },
        ..LINEAR
    };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        let share = c(1.0 / x.len() as f64);
        for (i, r) in r.iter_mut().enumerate() {
            let degree = i as f64 + 1.0;
            *r = c(if i % 2 == 1 { 1.0 / (degree * degree - 1.0) } else { 0.0 });
        }
        for &x in x {
            let y = c(2.0) * x - c(1.0);
            let (mut lower, mut current) = (c(1.0), y);
            for r in r.iter_mut() {
                *r += share * current;
                (lower, current) = (current, c(2.0) * y * current - lower);
            }
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        let share = c(1.0 / x.len() as f64);
        for (&x, out) in x.iter().zip(out) {
            let y = c(2.0) * x - c(1.0);
            let (mut lower, mut current) = (c(1.0), y);
            let (mut lower_slope, mut slope) = (c(0.0), c(2.0));
            let mut sum = c(0.0);
            for &u in u {
                sum += slope * u;
                (lower_slope, slope) = (slope, c(4.0) * current + c(2.0) * y * slope - lower_slope);
                (lower, current) = (current, c(2.0) * y * current - lower);
            }
            *out = share * sum;
        }
    }
}
