//! Truncated conjugate gradients, for when no more basis vectors can be stored.
//!
//! Solves (M + λI)z = −r by the preconditioned method of Hestenes & Stiefel (1952), stopped as Steihaug (SIAM J. Numer.
//! Anal. 20 (1983)) and Toint (1981) do: at an accurate residual, at a direction of negative curvature, or outside the
//! trust region. Unlike theirs the step is not cut off at the boundary here: z and the last direction p, with their
//! products, go into the stored space, whose trust-region step is at least as good as the cut one.
//!
//! Deviation: without a preconditioner β is known before the new residual is, from ‖(M + λI)p‖²,
//!
//!   rᵀr ← α²‖(M + λI)p‖² − rᵀr,
//!
//! so that r, z and p are updated in one pass, which also sums up the true rᵀr, for the next α (Chen & Carson, SIAM J. Sci.
//! Comput. 42 (2020): predict and recompute). Rounding hurts this β no more than it hurts r.
//!
//! Traffic: an iteration reads six vectors and writes three, beside its product; with a preconditioner, which needs the new r
//! before p, it reads eleven and writes four. Storage: z, p, Mp and r, and one more with a preconditioner.

use crate::base::{Scalar, kernels, space};
use crate::operator::SymmetricOperator;

/// Iterations in a row in which ‖r‖² has not fallen by this factor, after which it never will: M is singular and r has a part
/// that it does not reach, as a sum that no product changes. Without a limit a million unknowns would take two million products.
const PATIENCE: usize = 200;
const FALLS: f64 = 0.998;

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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ConjugateGradient<T> {
    /// The solution.
    pub z: Vec<T>,
    /// r₀ − r is −(M + λI)z.
    pub r: Vec<T>,
    /// The last direction.
    pub p: Vec<T>,
    /// Mp.
    pub product: Vec<T>,
    /// P⁻¹r, where there is a preconditioner.
    preconditioned: Vec<T>,
}

impl<T: Scalar> ConjugateGradient<T> {
    pub fn new(dim: usize) -> Self {
        let zero = || vec![T::zero(); dim];
        ConjugateGradient { z: zero(), r: zero(), p: zero(), product: zero(), preconditioned: Vec::new() }
    }

    /// Storage in vectors of length d.
    pub fn vectors(&self) -> usize {
        4 + usize::from(!self.preconditioned.is_empty())
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
        precondition: Option<impl Fn(&mut [T])>,
        mut more: impl FnMut() -> bool,
    ) -> Truncation {
        self.z.fill(T::zero());
        self.p.fill(T::zero());
        self.product.fill(T::zero());
        self.r.copy_from_slice(residual);
        let mut rho_before = f64::INFINITY;
        // β, where p is the next direction already.
        let mut ahead = None;
        let mut rr = kernels::dot(residual, residual);
        let (mut best, mut since_best) = (rr, 0);
        // ‖M + λI‖, from below.
        let mut largest = 0.0_f64;
        for _ in 0..2 * space::whole(self.z.len()) {
            if rr.sqrt() <= tolerance {
                return self.end(Truncation::Accurate, ahead);
            }
            (best, since_best) = if rr < FALLS * best { (rr, 0) } else { (best, since_best + 1) };
            if since_best > PATIENCE || !more() {
                return self.end(Truncation::Exhausted, ahead);
            }
            let mut rho = rr;
            if let Some(precondition) = &precondition {
                self.preconditioned.clear();
                self.preconditioned.extend_from_slice(&self.r);
                precondition(&mut self.preconditioned);
                rho = kernels::dot(&self.r, &self.preconditioned);
            }
            if rho.is_nan() || rho <= 0.0 {
                return self.end(Truncation::Exhausted, ahead);
            }
            if ahead.is_none() {
                // p ← −P⁻¹r + βp
                let r = if precondition.is_some() { &self.preconditioned } else { &self.r };
                kernels::axpby(-1.0, r, rho / rho_before, &mut self.p);
            }
            rho_before = rho;
            operator.apply(&self.p, &mut self.product);
            let [pp, curvature, size] = kernels::conjugate_gradient_dots(shift, &self.p, &self.product);
            if !curvature.is_finite() {
                return Truncation::NotFinite;
            }
            if curvature <= f64::EPSILON * pp * shift.abs() {
                return Truncation::NegativeCurvature;
            }
            // Less is what p's own rounding makes of a direction without curvature: a step along it would have no end.
            largest = largest.max((size / pp).sqrt());
            if curvature <= T::epsilon_f64().powi(2) * pp * largest {
                return self.end(Truncation::Exhausted, None);
            }
            let alpha = rho / curvature;
            let Self { z, r, p, product, .. } = self;
            let zz;
            if precondition.is_some() {
                (rr, zz) = kernels::conjugate_gradient_update(alpha, shift, p, product, z, r);
            } else {
                let beta = (alpha * alpha * size / rho - 1.0).max(0.0);
                [rr, zz] = kernels::conjugate_gradient_step([alpha, beta, shift], product, z, r, p);
                ahead = Some(beta);
            }
            if zz.sqrt() > radius {
                return self.end(Truncation::Outside, ahead);
            }
        }
        self.end(Truncation::Exhausted, ahead)
    }

    /// Leaves the last direction that was multiplied in p, also where p is `ahead`: p ← (p + r)/β, or 0 where too much of it
    /// would be rounding.
    fn end(&mut self, truncation: Truncation, ahead: Option<f64>) -> Truncation {
        match ahead {
            Some(beta) if beta > T::epsilon_f64().sqrt() => {
                kernels::axpby(beta.recip(), &self.r, beta.recip(), &mut self.p);
            }
            Some(_) => self.p.fill(T::zero()),
            None => {}
        }
        truncation
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::DiagonalOperator;

    fn system(n: usize, condition: f64) -> (Vec<f64>, Vec<f64>) {
        let d = (0..n).map(|i| condition.powf(i as f64 / (n - 1) as f64)).collect();
        (d, (0..n).map(|i| (1.0 + i as f64).sin()).collect())
    }

    /// Products that the textbook's method takes, with β from the new residual.
    fn textbook(d: &[f64], g: &[f64], shift: f64, tolerance: f64) -> usize {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (mut r, mut p, mut products) = (g.to_vec(), vec![0.0; g.len()], 0);
        let (mut rr, mut beta) = (dot(g, g), 0.0);
        while rr.sqrt() > tolerance {
            p = (0..p.len()).map(|i| beta * p[i] - r[i]).collect();
            let q: Vec<f64> = (0..p.len()).map(|i| (d[i] + shift) * p[i]).collect();
            let alpha = rr / dot(&p, &q);
            r = (0..p.len()).map(|i| r[i] + alpha * q[i]).collect();
            beta = dot(&r, &r) / rr;
            rr *= beta;
            products += 1;
        }
        products
    }

    #[test]
    fn a_beta_known_in_advance_takes_as_many_products() {
        for (condition, shift) in [(10.0, 0.0), (1e3, 0.0), (1e4, 0.0), (1e4, 1.0)] {
            let (d, g) = system(500, condition);
            let (mut cg, mut made) = (ConjugateGradient::new(500), 0);
            let tolerance = 1e-9 * kernels::norm(&g);
            let more = || {
                made += 1;
                true
            };
            let operator = DiagonalOperator(d.clone());
            let stop = cg.solve(&operator, shift, &g, tolerance, f64::INFINITY, None::<fn(&mut [f64])>, more);
            assert_eq!(stop, Truncation::Accurate);
            let expected = textbook(&d, &g, shift, tolerance);
            assert!(made as f64 <= 1.05 * expected as f64, "{made}, not {expected}");
            for i in 0..500 {
                let left = g[i] + (d[i] + shift) * cg.z[i];
                assert!(left.abs() < 2.0 * tolerance, "{i}: {left}");
            }
        }
    }

    #[test]
    fn the_last_direction_is_that_of_the_product() {
        let (d, g) = system(50, 100.0);
        let operator = DiagonalOperator(d.clone());
        for (limit, radius, tolerance, expected) in [
            (7, f64::INFINITY, 0.0, Truncation::Exhausted),
            (1000, 0.5, 0.0, Truncation::Outside),
            (1000, f64::INFINITY, 1e-3, Truncation::Accurate),
        ] {
            for precondition in [None, Some(|_: &mut [f64]| ())] {
                let (mut cg, mut made) = (ConjugateGradient::new(50), 0);
                let more = || {
                    made += 1;
                    made <= limit
                };
                let stop = cg.solve(&operator, 0.1, &g, tolerance, radius, precondition, more);
                assert_eq!(stop, expected);
                assert!(kernels::norm(&cg.p) > 0.0);
                let scale = kernels::norm(&cg.product);
                assert!((0..50).all(|i| (d[i] * cg.p[i] - cg.product[i]).abs() < 1e-13 * scale));
            }
        }
        // One iteration solves this: nothing is left of the direction.
        let mut cg = ConjugateGradient::new(2);
        let stop =
            cg.solve(&DiagonalOperator(vec![3.0; 2]), 0.0, &[1.0, 2.0], 0.0, 1e9, None::<fn(&mut [f64])>, || true);
        assert_eq!((stop, cg.p), (Truncation::Accurate, vec![0.0; 2]));
    }
}
