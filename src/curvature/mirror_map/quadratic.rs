//! The quadratic potentials ½‖x‖₂² and ½xᵀAx on ℝⁿ, whose mirror descent is gradient descent, plain and preconditioned.

use super::MirrorMap;
use crate::base::{Cholesky, Result, check_finite, check_length, check_positive_dimension, check_range};
use crate::operator::forward;

/// φ = ½‖x‖₂² on ℝⁿ: gradient descent, x − ηg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Euclidean {
    dim: usize,
}

impl Euclidean {
    /// ℝⁿ.
    ///
    /// # Errors
    /// For n = 0.
    pub fn new(dim: usize) -> Result<Self> {
        check_positive_dimension("the space's dimension", dim)?;
        Ok(Euclidean { dim })
    }
}

impl MirrorMap for Euclidean {
    forward!(fields; dim);
    fn potential_at(&self, x: &[f64]) -> f64 {
        0.5 * x.iter().map(|x| x * x).sum::<f64>()
    }
    fn dual_at(&self, x: &[f64], dual: &mut [f64]) {
        dual.copy_from_slice(x);
    }
    fn point_at(&self, dual: &[f64], x: &mut [f64]) {
        x.copy_from_slice(dual);
    }
    fn bregman_at(&self, z: &[f64], x: &[f64]) -> f64 {
        0.5 * z.iter().zip(x).map(|(z, x)| (z - x) * (z - x)).sum::<f64>()
    }
}

/// φ = ½xᵀAx on ℝⁿ with a symmetric positive definite A: x − ηA⁻¹g, the steepest descent in the Mahalanobis distance
/// √((z − x)ᵀA(z − x)). For few unknowns: A and its factor are stored, and a step costs O(n²).
#[derive(Clone, Debug)]
pub struct Mahalanobis {
    matrix: Vec<f64>,
    factor: Cholesky,
    dim: usize,
}

impl Mahalanobis {
    /// The n × n matrix A, by rows.
    ///
    /// # Errors
    /// For n = 0, a matrix of another size, with NaN or ∞, that is not symmetric to half the digits of `f64`, or not
    /// positive definite.
    pub fn new(dim: usize, matrix: Vec<f64>) -> Result<Self> {
        check_positive_dimension("the matrix's dimension", dim)?;
        check_length("matrix", &matrix, dim * dim)?;
        check_finite("matrix", &matrix)?;
        let entry = |i: usize, j: usize| matrix[i * dim + j];
        let pairs = || (0..dim).flat_map(|i| (0..i).map(move |j| (i, j)));
        let apart = pairs().fold(0.0, |apart: f64, (i, j)| apart.max((entry(i, j) - entry(j, i)).abs()));
        let size = matrix.iter().fold(0.0, |size: f64, a| size.max(a.abs()));
        check_range("the asymmetry of matrix", apart, apart <= f64::EPSILON.sqrt() * size, "0")?;
        let factor = Cholesky::new("pivot of matrix", dim, matrix.clone())?;
        Ok(Mahalanobis { matrix, factor, dim })
    }
}

impl MirrorMap for Mahalanobis {
    forward!(fields; dim);
    fn potential_at(&self, x: &[f64]) -> f64 {
        let mut dual = vec![0.0; x.len()];
        self.dual_at(x, &mut dual);
        0.5 * x.iter().zip(&dual).map(|(x, dual)| x * dual).sum::<f64>()
    }
    fn dual_at(&self, x: &[f64], dual: &mut [f64]) {
        for (dual, row) in dual.iter_mut().zip(self.matrix.chunks_exact(self.dim)) {
            *dual = row.iter().zip(x).map(|(a, x)| a * x).sum();
        }
    }
    fn point_at(&self, dual: &[f64], x: &mut [f64]) {
        x.copy_from_slice(dual);
        self.factor.solve(x);
    }
    fn bregman_at(&self, z: &[f64], x: &[f64]) -> f64 {
        let apart: Vec<f64> = z.iter().zip(x).map(|(z, x)| z - x).collect();
        self.potential_at(&apart)
    }
}
