//! Functions (28)–(31): a discretised differential and an integral equation, and Broyden's banded systems.

use super::function::{FREE, Facts, Function};
use crate::problems::number::Number;

/// h = 1/(n + 1) and tᵢ = ih for a zero-based index.
fn grid(n: usize, i: usize) -> (f64, f64) {
    let h = 1.0 / (n as f64 + 1.0);
    (h, (i as f64 + 1.0) * h)
}

/// tᵢ (tᵢ − 1), the start of both equations.
fn parabola(n: usize) -> Vec<f64> {
    (0..n)
        .map(|i| {
            let (_, t) = grid(n, i);
            t * (t - 1.0)
        })
        .collect()
}

/// (28) rᵢ = 2xᵢ − xᵢ₋₁ − xᵢ₊₁ + ½h² (xᵢ + tᵢ + 1)³, x₀ = xₙ₊₁ = 0.
pub(super) struct DiscreteBoundaryValue;

impl Function for DiscreteBoundaryValue {
    const FACTS: Facts = Facts { name: "Discrete boundary value", large: Some(50), start: parabola, ..FREE };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let (n, c) = (x.len(), V::from_f64);
        for i in 0..n {
            let (h, t) = grid(n, i);
            let w = x[i] + c(t + 1.0);
            r[i] = c(2.0) * x[i] + c(0.5 * h * h) * w * w * w;
            if i > 0 {
                r[i] -= x[i - 1];
            }
            if i + 1 < n {
                r[i] -= x[i + 1];
            }
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let (n, c) = (x.len(), V::from_f64);
        for i in 0..n {
            let (h, t) = grid(n, i);
            let w = x[i] + c(t + 1.0);
            out[i] = (c(2.0) + c(1.5 * h * h) * w * w) * u[i];
            if i > 0 {
                out[i] -= u[i - 1];
            }
            if i + 1 < n {
                out[i] -= u[i + 1];
            }
        }
    }
}

/// (29) rᵢ = xᵢ + ½h ((1 − tᵢ) Σⱼ≤ᵢ tⱼ qⱼ + tᵢ Σⱼ>ᵢ (1 − tⱼ) qⱼ), qⱼ = (xⱼ + tⱼ + 1)³.
///
/// The sums run along the grid, so residuals and products cost O(n).
pub(super) struct DiscreteIntegralEquation;

impl Function for DiscreteIntegralEquation {
    const FACTS: Facts = Facts { name: "Discrete integral equation", large: Some(200), start: parabola, ..FREE };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let (n, c) = (x.len(), V::from_f64);
        let q = |i: usize, t: f64| {
            let w = x[i] + c(t + 1.0);
            w * w * w
        };
        let mut above = c(0.0);
        for i in (0..n).rev() {
            let (h, t) = grid(n, i);
            r[i] = x[i] + c(0.5 * h * t) * above;
            above += c(1.0 - t) * q(i, t);
        }
        let mut below = c(0.0);
        for i in 0..n {
            let (h, t) = grid(n, i);
            below += c(t) * q(i, t);
            r[i] += c(0.5 * h * (1.0 - t)) * below;
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let (n, c) = (x.len(), V::from_f64);
        let mut above = c(0.0);
        for j in (0..n).rev() {
            let (_, t) = grid(n, j);
            above += c(1.0 - t) * u[j];
            out[j] = c(t) * above;
        }
        let mut below = c(0.0);
        for j in 0..n {
            let (h, t) = grid(n, j);
            let w = x[j] + c(t + 1.0);
            out[j] = u[j] + c(1.5 * h) * w * w * (out[j] + c(1.0 - t) * below);
            below += c(t) * u[j];
        }
    }
}

/// (30) rᵢ = (3 − 2xᵢ) xᵢ − xᵢ₋₁ − 2xᵢ₊₁ + 1, x₀ = xₙ₊₁ = 0.
pub(super) struct BroydenTridiagonal;

impl Function for BroydenTridiagonal {
    const FACTS: Facts = Facts { name: "Broyden tridiagonal", large: Some(1000), start: |n| vec![-1.0; n], ..FREE };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let (n, c) = (x.len(), V::from_f64);
        for i in 0..n {
            r[i] = (c(3.0) - c(2.0) * x[i]) * x[i] + c(1.0);
            if i > 0 {
                r[i] -= x[i - 1];
            }
            if i + 1 < n {
                r[i] -= c(2.0) * x[i + 1];
            }
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let (n, c) = (x.len(), V::from_f64);
        for j in 0..n {
            out[j] = (c(3.0) - c(4.0) * x[j]) * u[j];
            if j > 0 {
                out[j] -= c(2.0) * u[j - 1];
            }
            if j + 1 < n {
                out[j] -= u[j + 1];
            }
        }
    }
}

/// (31) rᵢ = xᵢ (2 + 5xᵢ²) + 1 − Σ xⱼ (1 + xⱼ) over j ≠ i from i − 5 to i + 1.
pub(super) struct BroydenBanded;

/// Neighbours before and after.
const BAND: (usize, usize) = (5, 1);

impl Function for BroydenBanded {
    const FACTS: Facts = Facts { name: "Broyden banded", large: Some(1000), start: |n| vec![-1.0; n], ..FREE };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let (n, c) = (x.len(), V::from_f64);
        for i in 0..n {
            r[i] = x[i] * (c(2.0) + c(5.0) * x[i] * x[i]) + c(1.0);
            for j in i.saturating_sub(BAND.0)..=(i + BAND.1).min(n - 1) {
                if j != i {
                    r[i] -= x[j] * (c(1.0) + x[j]);
                }
            }
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let (n, c) = (x.len(), V::from_f64);
        for j in 0..n {
            let mut sum = c(0.0);
            for i in j.saturating_sub(BAND.1)..=(j + BAND.0).min(n - 1) {
                if i != j {
                    sum += u[i];
                }
            }
            out[j] = (c(2.0) + c(15.0) * x[j] * x[j]) * u[j] - (c(1.0) + c(2.0) * x[j]) * sum;
        }
    }
}
