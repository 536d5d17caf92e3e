//! Truncated conjugate gradients, for when no more basis vectors can be stored.
//!
//! Solves (M + λI)z = −r by the preconditioned method of Hestenes & Stiefel (1952), stopped as Steihaug (SIAM J. Numer.
//! Anal. 20 (1983)) and Toint (1981) do: at an accurate residual, at a direction of negative curvature, or outside the
//! trust region. Unlike theirs the step is not cut off at the boundary here: z and the last direction p, with their
//! products, go into the stored space, whose trust-region step is at least as good as the cut one.
//!
//! Storage: z, p, Mp and r, and one more with a preconditioner.

use crate::base::{Scalar, kernels, space};
use crate::operator::SymmetricOperator;

/// Why the iteration stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truncation {
    /// ‖r‖ has reached the tolerance.
    Accurate,
    /// pᵀ(M + λI)p ≤ 0.
    NegativeCurvature,
    /// ‖z‖ exceeds the radius.
    Outside,
    /// No more products are allowed, or they bring nothing.
    Exhausted,
    /// A product is not finite.
    NotFinite,
}

/// Vectors of the iteration, reused between calls.
pub struct ConjugateGradient<T> {
    /// The solution.
    pub z: Vec<T>,
    /// r₀ − r is −(M + λI)z.
    pub r: Vec<T>,
    /// The last direction.
    pub p: Vec<T>,
    /// Mp.
    pub product: Vec<T>,
    preconditioned: Vec<T>,
}

impl<T: Scalar> ConjugateGradient<T> {
    pub fn new(dim: usize) -> Self {
        let zero = || vec![T::zero(); dim];
        ConjugateGradient { z: zero(), r: zero(), p: zero(), product: zero(), preconditioned: zero() }
    }

    /// Iterates from z = 0 with the residual `residual`, until ‖r‖ ≤ `tolerance`. `more()` says whether another product
    /// is allowed.
    #[expect(clippy::too_many_arguments, reason = "all that an inner solve depends on, none of it kept")]
    pub fn solve(
        &mut self,
        operator: &impl SymmetricOperator<T>,
        shift: f64,
        residual: &[T],
        tolerance: f64,
        radius: f64,
        mut precondition: impl FnMut(&mut [T]) -> bool,
        mut more: impl FnMut() -> bool,
    ) -> Truncation {
        self.z.fill(T::zero());
        self.p.fill(T::zero());
        self.product.fill(T::zero());
        self.r.copy_from_slice(residual);
        let mut rho_before = f64::INFINITY;
        let mut rr = kernels::dot(residual, residual);
        let mut best = rr;
        let mut since_best = 0;
        for _ in 0..2 * space::whole(self.z.len()) {
            if rr.sqrt() <= tolerance {
                return Truncation::Accurate;
            }
            // In finite precision the residual may stop falling; a long stretch without progress ends the loop.
            (best, since_best) = if rr < 0.998 * best { (rr, 0) } else { (best, since_best + 1) };
            if since_best > 200 || !more() {
                return Truncation::Exhausted;
            }
            // p ← −P⁻¹r + βp
            self.preconditioned.copy_from_slice(&self.r);
            let rho = if precondition(&mut self.preconditioned) {
                let rho = kernels::dot(&self.r, &self.preconditioned);
                kernels::axpby(-1.0, &self.preconditioned, rho / rho_before, &mut self.p);
                rho
            } else {
                kernels::axpby(-1.0, &self.r, rr / rho_before, &mut self.p);
                rr
            };
            if rho.is_nan() || rho <= 0.0 {
                return Truncation::Exhausted;
            }
            rho_before = rho;
            operator.apply(&self.p, &mut self.product);
            let (pp, p_mp) = kernels::norm_and_dot(&self.p, &self.product);
            let curvature = p_mp + shift * pp;
            if !curvature.is_finite() {
                return Truncation::NotFinite;
            }
            if curvature <= f64::EPSILON * pp * shift.abs() {
                return Truncation::NegativeCurvature;
            }
            let alpha = rho / curvature;
            let zz;
            (rr, zz) =
                kernels::conjugate_gradient_update(alpha, shift, &self.p, &self.product, &mut self.z, &mut self.r);
            if zz.sqrt() > radius {
                return Truncation::Outside;
            }
        }
        Truncation::Exhausted
    }
}
