//! Functions (32)–(35): three linear systems, of full and of deficient rank, and Chebyshev quadrature.

use super::Minimum;
use super::function::{Function, at, known};
use crate::problems::number::Number;

/// (32) rᵢ = xᵢ − (2/m) Σ xⱼ − 1 for i ≤ n, rᵢ = −(2/m) Σ xⱼ − 1 for n < i ≤ m.
pub(super) struct LinearFullRank;

impl Function for LinearFullRank {
    const NAME: &'static str = "Linear, full rank";
    const LARGE: Option<usize> = Some(500);
    const SIZES: &'static str = "1 ≤ n ≤ m";

    fn terms(n: usize) -> usize {
        2 * n
    }
    fn admits(n: usize, m: usize) -> bool {
        n >= 1 && m >= n
    }
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
    fn start(n: usize) -> Vec<f64> {
        vec![1.0; n]
    }
    fn minima(n: usize, m: usize) -> Vec<Minimum> {
        vec![at((m - n) as f64, &vec![-1.0; n])]
    }
}

/// (33) rᵢ = i Σ j xⱼ − 1.
pub(super) struct LinearRankOne;

impl Function for LinearRankOne {
    const NAME: &'static str = "Linear, rank 1";
    const LARGE: Option<usize> = Some(100);
    const SIZES: &'static str = "1 ≤ n ≤ m";

    fn terms(n: usize) -> usize {
        2 * n
    }
    fn admits(n: usize, m: usize) -> bool {
        n >= 1 && m >= n
    }
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
    fn start(n: usize) -> Vec<f64> {
        vec![1.0; n]
    }
    /// At every point where Σ j xⱼ = 3/(2m + 1).
    fn minima(n: usize, m: usize) -> Vec<Minimum> {
        let m = m as f64;
        let mut minimizer = vec![0.0; n];
        minimizer[0] = 3.0 / (2.0 * m + 1.0);
        vec![at(m * (m - 1.0) / (2.0 * (2.0 * m + 1.0)), &minimizer)]
    }
}

/// (34) r₁ = −1, rᵢ = (i − 1) Σ j xⱼ − 1 with the sum over 1 < j < n, 1 < i < m, rₘ = −1.
pub(super) struct LinearRankOneZeros;

impl Function for LinearRankOneZeros {
    const NAME: &'static str = "Linear, rank 1, zero columns and rows";
    const LARGE: Option<usize> = Some(100);
    const SIZES: &'static str = "3 ≤ n ≤ m";

    fn terms(n: usize) -> usize {
        2 * n
    }
    fn admits(n: usize, m: usize) -> bool {
        n >= 3 && m >= n
    }
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
    fn start(n: usize) -> Vec<f64> {
        vec![1.0; n]
    }
    /// At every point where the sum is 3/(2m − 3).
    fn minima(n: usize, m: usize) -> Vec<Minimum> {
        let m = m as f64;
        let mut minimizer = vec![0.0; n];
        minimizer[1] = 1.5 / (2.0 * m - 3.0);
        vec![at((m * m + 3.0 * m - 6.0) / (2.0 * (2.0 * m - 3.0)), &minimizer)]
    }
}

/// (35) rᵢ = (1/n) Σⱼ Tᵢ(xⱼ) − ∫₀¹ Tᵢ, where Tᵢ is the Chebyshev polynomial of degree i shifted to \[0, 1\]; the
/// integral is 0 for odd i and −1/(i² − 1) for even i.
pub(super) struct Chebyquad;

impl Function for Chebyquad {
    const NAME: &'static str = "Chebyquad";
    const N: usize = 8;
    const LARGE: Option<usize> = Some(50);
    const SIZES: &'static str = "1 ≤ n ≤ m";

    fn admits(n: usize, m: usize) -> bool {
        n >= 1 && m >= n
    }
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
    fn start(n: usize) -> Vec<f64> {
        (1..=n).map(|j| j as f64 / (n as f64 + 1.0)).collect()
    }
    fn minima(n: usize, m: usize) -> Vec<Minimum> {
        match n {
            _ if m != n => vec![],
            1..=7 | 9 => vec![known(0.0)],
            8 => vec![known(3.51687e-3)],
            10 => vec![known(6.50395e-3)],
            _ => vec![],
        }
    }
}
