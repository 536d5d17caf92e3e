//! Conjugate gradients that keep some of their iterates, for Hessian-free training.
//!
//! Minimises φ(z) = gᵀz + ½ zᵀ(M + λI)z from any z₀ by the preconditioned method of Hestenes & Stiefel (1952). After
//! Martens, "Deep learning via Hessian-free optimization" (ICML 2010), section 4:
//!
//! - it stops by relative progress in φ instead of the residual (section 4.4): at iteration i > k, with k = max(10, 0.1 i),
//!   where φᵢ < 0 and (φᵢ − φᵢ₋ₖ) / φᵢ < kε;
//! - the iterates at i = ⌈5·1.3ʲ⌉ are kept, since an earlier one can be the better step for the objective itself (Martens &
//!   Sutskever, "Training deep and recurrent networks with Hessian-free optimization" (2012), section 20.5 gives 1.3).
//!
//! φᵢ and zᵀMz come from the residual r = (M + λI)z + g, without a product: φ = ½zᵀ(r + g), zᵀMz = zᵀ(r − g) − λzᵀz.
//!
//! Storage: z, r, p, Mp and P⁻¹r, and one vector for every iterate kept.

use crate::base::{Scalar, kernels};
use crate::operator::SymmetricOperator;

/// Iterates are kept at ⌈5·1.3ʲ⌉.
const SPACING: f64 = 1.3;
const FIRST_KEPT: f64 = 5.0;

/// Why the iteration stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgStop {
    /// φ no longer falls by the fraction that was asked for.
    Progress,
    /// The residual is zero to rounding.
    Exact,
    /// pᵀ(M + λI)p ≤ 0: the metric is not positive semidefinite.
    NegativeCurvature,
    /// The most products were made.
    Limit,
    /// A product is not finite, or the preconditioner is not positive definite.
    NotFinite,
}

/// What the model says of an iterate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kept {
    /// gᵀz.
    pub slope: f64,
    /// zᵀMz, without the damping.
    pub curvature: f64,
}

/// The vectors of the iteration and the iterates kept, reused between calls.
pub struct BacktrackingCg<T> {
    /// The last iterate.
    pub z: Vec<T>,
    r: Vec<T>,
    p: Vec<T>,
    product: Vec<T>,
    preconditioned: Vec<T>,
    pool: Vec<Vec<T>>,
    kept: Vec<Kept>,
    phi: Vec<f64>,
}

impl<T: Scalar> BacktrackingCg<T> {
    pub fn new(dim: usize) -> Self {
        let zero = || vec![T::zero(); dim];
        BacktrackingCg {
            z: zero(),
            r: zero(),
            p: zero(),
            product: zero(),
            preconditioned: zero(),
            pool: vec![],
            kept: vec![],
            phi: vec![],
        }
    }

    /// The iterates kept, from the first to the last.
    pub fn kept(&self) -> impl DoubleEndedIterator<Item = (&[T], Kept)> {
        self.pool.iter().map(Vec::as_slice).zip(self.kept.iter().copied())
    }

    /// Storage in vectors of length d.
    pub fn vectors(&self) -> usize {
        5 + self.pool.len()
    }

    /// Iterates from [`z`](Self::z), which the caller sets, as long as `more` allows another product; a z ≠ 0 needs
    /// one to begin with.
    pub fn solve(
        &mut self,
        operator: &impl SymmetricOperator<T>,
        gradient: &[T],
        shift: f64,
        progress: f64,
        mut precondition: impl FnMut(&mut [T]),
        mut more: impl FnMut() -> bool,
    ) -> CgStop {
        self.kept.clear();
        self.phi.clear();
        self.r.copy_from_slice(gradient);
        if kernels::max_abs(&self.z) > 0.0 {
            if !more() {
                return CgStop::Limit;
            }
            operator.apply(&self.z, &mut self.product);
            kernels::axpy(1.0, &self.product, &mut self.r);
            kernels::axpy(shift, &self.z, &mut self.r);
            if !kernels::norm(&self.r).is_finite() {
                return CgStop::NotFinite;
            }
        }
        let scale = kernels::norm(gradient);
        let (mut rho_before, mut next_kept, mut fresh) = (f64::INFINITY, FIRST_KEPT, false);
        let stop = loop {
            if kernels::norm(&self.r) <= 4.0 * T::epsilon_f64() * scale {
                break CgStop::Exact;
            }
            if !more() {
                break CgStop::Limit;
            }
            self.preconditioned.copy_from_slice(&self.r);
            precondition(&mut self.preconditioned);
            let rho = kernels::dot(&self.r, &self.preconditioned);
            if rho.is_nan() || rho <= 0.0 {
                break CgStop::NotFinite;
            }
            if rho_before.is_finite() {
                kernels::axpby(-1.0, &self.preconditioned, rho / rho_before, &mut self.p);
            } else {
                kernels::scale_into(-1.0, &self.preconditioned, &mut self.p);
            }
            rho_before = rho;
            operator.apply(&self.p, &mut self.product);
            let (pp, p_mp) = kernels::norm_and_dot(&self.p, &self.product);
            let curvature = p_mp + shift * pp;
            if !curvature.is_finite() {
                break CgStop::NotFinite;
            }
            if curvature <= 0.0 {
                break CgStop::NegativeCurvature;
            }
            let alpha = rho / curvature;
            kernels::conjugate_gradient_update(alpha, shift, &self.p, &self.product, &mut self.z, &mut self.r);
            let phi = 0.5 * (kernels::dot(&self.z, &self.r) + kernels::dot(&self.z, gradient));
            self.phi.push(phi);
            let i = self.phi.len();
            fresh = i as f64 >= next_kept.ceil();
            if fresh {
                self.keep(gradient, shift);
                next_kept *= SPACING;
            }
            let k = 10.max((0.1 * i as f64).ceil() as usize);
            if i > k && phi < 0.0 && (phi - self.phi[i - 1 - k]) / phi < k as f64 * progress {
                break CgStop::Progress;
            }
        };
        if !fresh {
            self.keep(gradient, shift);
        }
        stop
    }

    fn keep(&mut self, gradient: &[T], shift: f64) {
        let slope = kernels::dot(&self.z, gradient);
        let (zz, zr) = kernels::norm_and_dot(&self.z, &self.r);
        if self.pool.len() == self.kept.len() {
            self.pool.push(vec![T::zero(); self.z.len()]);
        }
        self.pool[self.kept.len()].copy_from_slice(&self.z);
        self.kept.push(Kept { slope, curvature: zr - slope - shift * zz });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::DiagonalOperator;

    fn diagonal(n: usize) -> Vec<f64> {
        (0..n).map(|i| 10f64.powf(3.0 * i as f64 / n as f64)).collect()
    }

    #[test]
    fn the_solution_and_what_is_said_of_it_are_exact() {
        let d = diagonal(40);
        let g: Vec<f64> = (0..40).map(|i| (i as f64).sin() + 0.1).collect();
        let mut cg = BacktrackingCg::new(40);
        for start in [0.0, 0.3] {
            cg.z.fill(start);
            let stop = cg.solve(&DiagonalOperator(d.clone()), &g, 0.5, f64::NEG_INFINITY, |_| (), || true);
            assert_eq!(stop, CgStop::Exact);
            for i in 0..40 {
                assert!((cg.z[i] + g[i] / (d[i] + 0.5)).abs() < 1e-13);
            }
            let (z, last) = cg.kept().last().unwrap();
            let slope: f64 = (0..40).map(|i| g[i] * z[i]).sum();
            let curvature: f64 = (0..40).map(|i| d[i] * z[i] * z[i]).sum();
            assert!((last.slope - slope).abs() < 1e-12 && (last.curvature - curvature).abs() < 1e-12);
        }
    }

    #[test]
    fn the_test_of_progress_is_martens_and_iterates_are_kept_on_the_grid() {
        let d = diagonal(1000);
        let g = vec![1.0; 1000];
        let mut cg = BacktrackingCg::new(1000);
        let stop = cg.solve(&DiagonalOperator(d), &g, 0.0, 5e-4, |_| (), || true);
        assert_eq!(stop, CgStop::Progress);
        let (i, phi) = (cg.phi.len(), &cg.phi);
        let relative = |i: usize| {
            let k = 10.max((0.1 * i as f64).ceil() as usize);
            (i > k).then(|| (phi[i - 1] - phi[i - 1 - k]) / phi[i - 1] / k as f64)
        };
        assert!(relative(i).unwrap() < 5e-4);
        assert!((1..i).all(|i| relative(i).is_none_or(|r| r >= 5e-4)));
        // 5, 6.5, 8.45, …: kept at 5, 7, 9, 11, 15, 19, 25, … and the last.
        let expected = (0..).map(|j| (5.0 * 1.3f64.powi(j)).ceil() as usize).take_while(|&at| at < i).count() + 1;
        assert_eq!(cg.kept().count(), expected);
    }

    #[test]
    fn limits_indefinite_and_infinite_products_end_it() {
        let g = [1.0, 1.0];
        let once = |mut left: i32| {
            move || {
                left -= 1;
                left >= 0
            }
        };
        let mut cg = BacktrackingCg::new(2);
        assert_eq!(
            cg.solve(&DiagonalOperator(vec![1.0, -3.0]), &g, 0.0, 0.0, |_| (), || true),
            CgStop::NegativeCurvature
        );
        assert_eq!(cg.kept().next().unwrap().0, [0.0, 0.0]);
        cg.z.fill(0.0);
        assert_eq!(cg.solve(&DiagonalOperator(vec![1.0, f64::NAN]), &g, 0.0, 0.0, |_| (), || true), CgStop::NotFinite);
        cg.z.fill(0.0);
        assert_eq!(cg.solve(&DiagonalOperator(vec![1.0, 2.0]), &g, 0.0, 0.0, |_| (), once(1)), CgStop::Limit);
        assert!(cg.kept().last().unwrap().1.slope < 0.0);
        cg.z.fill(1.0);
        assert_eq!(cg.solve(&DiagonalOperator(vec![1.0, 2.0]), &g, 0.0, 0.0, |_| (), once(0)), CgStop::Limit);
    }
}
