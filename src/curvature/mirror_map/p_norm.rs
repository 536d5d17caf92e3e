//! The p-norms: φ = ½‖x‖ₚ² on ℝⁿ.
//!
//!   ∇φ(x)ᵢ = sign(xᵢ)|xᵢ|^(p−1) ‖x‖ₚ^(2−p),   ∇φ⁻¹ is the same with q = p/(p − 1)
//!
//! (Grove, Littlestone & Schuurmans, Mach. Learn. 43 (2001); Gentile, Mach. Learn. 53 (2003)). φ is (p − 1)-strongly convex
//! in ‖·‖ₚ for 1 < p ≤ 2: p = 2 is gradient descent, p = 1 + 1/ln n behaves as the simplex does, on all of ℝⁿ.

use super::MirrorMap;
use crate::base::{Result, check_positive_dimension, check_range, kernels};
use crate::operator::forward;

/// φ = ½‖x‖ₚ² on ℝⁿ, for 1 < p < ∞.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PNorm {
    dim: usize,
    p: f64,
}

impl PNorm {
    /// The p-norm on ℝⁿ.
    ///
    /// # Errors
    /// For n = 0, and a p that is not above 1 and finite.
    pub fn new(dim: usize, p: f64) -> Result<Self> {
        check_positive_dimension("the norm's dimension", dim)?;
        check_range("p", p, p > 1.0 && p.is_finite(), "above 1 and finite")?;
        Ok(PNorm { dim, p })
    }
}

/// ‖x‖ₚ, scaled against overflow.
fn norm(x: &[f64], p: f64) -> f64 {
    let largest = kernels::max_abs(x);
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    largest * kernels::sum_terms(x.len(), |i| (x[i].abs() / largest).powf(p)).powf(p.recip())
}

/// out ← ∇ ½‖x‖ₚ².
fn gradient(x: &[f64], p: f64, out: &mut [f64]) {
    let norm = norm(x, p);
    let part = |x: f64| if x == 0.0 { 0.0 } else { x.signum() * norm * (x.abs() / norm).powf(p - 1.0) };
    out.iter_mut().zip(x).for_each(|(out, &x)| *out = part(x));
}

impl MirrorMap for PNorm {
    forward!(fields; dim);
    fn potential_at(&self, x: &[f64]) -> f64 {
        0.5 * norm(x, self.p).powi(2)
    }
    fn dual_at(&self, x: &[f64], dual: &mut [f64]) {
        gradient(x, self.p, dual);
    }
    fn point_at(&self, dual: &[f64], x: &mut [f64]) {
        gradient(dual, self.p / (self.p - 1.0), x);
    }
}
