//! The entropies: the simplex, φ = Σ x ln x, and the positive orthant, φ = Σ x ln x − x.
//!
//! ∇φ(x) = ln x, on the simplex up to a constant, which is normal to it. Steps multiply, xᵢ ∝ xᵢe^(−ηgᵢ): the exponentiated
//! gradient of Kivinen & Warmuth (Inf. Comput. 132 (1997)), whose regret grows with √(ln n) where that of a projected gradient
//! does with √n (Beck & Teboulle (2003), section 5). D is the Kullback–Leibler divergence Σ z ln(z/x) − z + x.

use super::MirrorMap;
use crate::base::{Result, check_component, check_positive_dimension, check_range, kernels};
use crate::operator::forward;

/// How far the components of a start on the simplex may be from summing to 1: half the digits of `f32`, so that a sum in
/// that precision passes.
const SUM: f64 = 3e-4;

/// The probability simplex, x > 0 and Σx = 1, with the entropy: exponentiated gradients.
///
/// Points sum to 1 up to the rounding of their components; components that vanish become 0, never negative. Any dual
/// coordinates are valid, and a constant added to all of them changes nothing. The measure of stationarity is Frank & Wolfe's
/// gap, gᵀx − min g, in units of f.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simplex {
    dim: usize,
}

impl Simplex {
    /// The simplex of n components.
    ///
    /// # Errors
    /// For none.
    pub fn new(dim: usize) -> Result<Self> {
        check_positive_dimension("the simplex's dimension", dim)?;
        Ok(Simplex { dim })
    }
}

impl MirrorMap for Simplex {
    forward!(fields; dim);
    fn check_point(&self, x: &[f64]) -> Result<()> {
        check_positive(x)?;
        let sum = kernels::sum(x);
        check_range("the sum of x", sum, (sum - 1.0).abs() <= SUM, "1")
    }
    fn potential_at(&self, x: &[f64]) -> f64 {
        kernels::sum_terms(x.len(), |i| if x[i] > 0.0 { x[i] * x[i].ln() } else { 0.0 })
    }
    fn dual_at(&self, x: &[f64], dual: &mut [f64]) {
        dual.iter_mut().zip(x).for_each(|(dual, x)| *dual = x.ln());
    }
    fn point_at(&self, dual: &[f64], x: &mut [f64]) {
        let largest = dual.iter().fold(f64::NEG_INFINITY, |largest, &dual| largest.max(dual));
        x.iter_mut().zip(dual).for_each(|(x, dual)| *x = (dual - largest).exp());
        kernels::scale(1.0 / kernels::sum(x), x);
    }
    fn bregman_at(&self, z: &[f64], x: &[f64]) -> f64 {
        divergence(z, x)
    }
    fn stationarity_at(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let least = gradient.iter().fold(f64::INFINITY, |least, &g| least.min(g));
        gradient.iter_mut().for_each(|g| *g -= least);
        let gap = kernels::dot(gradient, x);
        // The mean is normal to the simplex; without it the dual coordinates of what matters stay where they are.
        gradient.iter_mut().for_each(|g| *g -= gap);
        gap
    }
}

/// The positive orthant, x > 0, with the entropy: steps multiply.
///
/// Dual coordinates are logarithms, between −745 and 709. The measure of stationarity is Frank & Wolfe's gap for the box of
/// twice the largest component, in units of f: where ∇f > 0 what x → 0 would gain, elsewhere what growing would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orthant {
    dim: usize,
}

impl Orthant {
    /// The positive orthant of ℝⁿ.
    ///
    /// # Errors
    /// For n = 0.
    pub fn new(dim: usize) -> Result<Self> {
        check_positive_dimension("the orthant's dimension", dim)?;
        Ok(Orthant { dim })
    }
}

impl MirrorMap for Orthant {
    forward!(fields; dim);
    fn check_point(&self, x: &[f64]) -> Result<()> {
        check_positive(x)
    }
    fn check_dual(&self, dual: &[f64]) -> Result<()> {
        dual.iter().enumerate().try_for_each(|(index, &dual)| {
            let valid = dual.exp() > 0.0 && dual.exp().is_finite();
            check_component("dual", index, dual, valid, "between -745 and 709, so that its exponential is a number")
        })
    }
    fn potential_at(&self, x: &[f64]) -> f64 {
        kernels::sum_terms(x.len(), |i| if x[i] > 0.0 { x[i] * x[i].ln() - x[i] } else { 0.0 })
    }
    fn dual_at(&self, x: &[f64], dual: &mut [f64]) {
        dual.iter_mut().zip(x).for_each(|(dual, x)| *dual = x.ln());
    }
    fn point_at(&self, dual: &[f64], x: &mut [f64]) {
        x.iter_mut().zip(dual).for_each(|(x, dual)| *x = dual.exp());
    }
    fn bregman_at(&self, z: &[f64], x: &[f64]) -> f64 {
        divergence(z, x)
    }
    fn stationarity_at(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let end = 2.0 * kernels::max_abs(x);
        let g = &*gradient;
        kernels::sum_terms(x.len(), |i| if g[i] > 0.0 { g[i] * x[i] } else { g[i] * (x[i] - end) })
    }
}

fn check_positive(x: &[f64]) -> Result<()> {
    x.iter().enumerate().try_for_each(|(index, &x)| check_component("x", index, x, x > 0.0, "above 0"))
}

/// Σ z ln(z/x) − z + x; with t = (z − x)/x, x((1 + t) ln(1 + t) − t) where z is near x.
fn divergence(z: &[f64], x: &[f64]) -> f64 {
    kernels::sum_terms(x.len(), |i| match (z[i] - x[i]) / x[i] {
        _ if z[i] == 0.0 => x[i],
        t if t < 1.0 => x[i] * ((1.0 + t) * t.ln_1p() - t),
        _ => z[i] * (z[i].ln() - x[i].ln()) - z[i] + x[i],
    })
}
