//! Least-squares problems with known solutions, for tests.

use std::cell::Cell;

use faer::Mat;

use crate::base::random::SplitMix64;
use crate::base::{Scalar, kernels};
use crate::operator::{LinearMap, linear_map};

/// A problem, its products counted.
pub struct Problem {
    pub a: Mat<f64>,
    pub residual: Vec<f64>,
    pub scaling: Vec<f64>,
    pub products: Cell<usize>,
}

impl Problem {
    /// UΣVᵀ with random orthogonal factors, random r, and S = I.
    pub fn with_singular_values(m: usize, n: usize, sigma: &[f64], seed: u64) -> Self {
        let mut random = SplitMix64::new(seed);
        let mut matrix = |m: usize, n: usize| Mat::from_fn(m, n, |_, _| random.normal());
        let k = sigma.len();
        let (u, v) = (matrix(m, k).qr().compute_thin_Q(), matrix(n, k).qr().compute_thin_Q());
        let a = Mat::from_fn(m, n, |i, j| (0..k).map(|l| u[(i, l)] * sigma[l] * v[(j, l)]).sum());
        let residual = (0..m).map(|_| random.normal()).collect();
        Problem { a, residual, scaling: vec![1.0; n], products: Cell::new(0) }
    }

    pub fn random(m: usize, n: usize, seed: u64) -> Self {
        let mut random = SplitMix64::new(seed);
        let a = Mat::from_fn(m, n, |_, _| random.normal());
        let residual = (0..m).map(|_| random.normal()).collect();
        let scaling = (0..n).map(|_| 10.0_f64.powf(random.uniform() - 0.5)).collect();
        Problem { a, residual, scaling, products: Cell::new(0) }
    }

    pub fn map<T: Scalar>(&self) -> impl LinearMap<T> + '_ {
        let (m, n) = (self.a.nrows(), self.a.ncols());
        let count = || self.products.set(self.products.get() + 1);
        linear_map(
            m,
            n,
            move |v: &[T], out: &mut [T]| {
                count();
                (0..m).for_each(|i| out[i] = T::from_f64((0..n).map(|j| self.a[(i, j)] * v[j].into()).sum()));
            },
            move |u: &[T], out: &mut [T]| {
                count();
                (0..n).for_each(|j| out[j] = T::from_f64((0..m).map(|i| self.a[(i, j)] * u[i].into()).sum()));
            },
        )
    }

    /// −(gᵀδ + ½‖Jδ‖²) as ½‖r‖² − ½‖r + Jδ‖², and ‖S⁻¹δ‖ over the components that are not held.
    pub fn truth(&self, step: &[f64]) -> (f64, f64) {
        let image: Vec<f64> =
            (0..self.a.nrows()).map(|i| (0..step.len()).map(|j| self.a[(i, j)] * step[j]).sum()).collect();
        let decrease = -image.iter().zip(&self.residual).map(|(d, r)| d * (r + 0.5 * d)).sum::<f64>();
        let scaled: Vec<f64> = step.iter().zip(&self.scaling).filter(|(_, s)| **s > 0.0).map(|(d, s)| d / s).collect();
        (decrease, kernels::norm(&scaled))
    }
}
