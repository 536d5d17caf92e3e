//! What a family knows once its space is large enough, and at no cost in products.

use super::StepFamily;
use crate::base::{Scalar, kernels};
use crate::step::conjugate_gradient::ConjugateGradient;
use crate::step::dense::DenseModel;
use crate::step::krylov::KrylovSpace;
use crate::step::spectral::{Indefinite, Solution, Subproblem};

impl<T: Scalar> StepFamily<T> {
    /// Answers `subproblem` in the space as it is. No product.
    pub fn solution(&mut self, subproblem: Subproblem) -> Result<Solution, Indefinite> {
        match &mut self.dense {
            Some(dense) if self.on_dense => dense.solution(subproblem),
            _ => self.krylov.solution(subproblem),
        }
    }

    /// δ for the last solution.
    pub fn step(&self, step: &mut [T]) {
        match &self.dense {
            Some(dense) if self.on_dense => dense.step(step),
            _ => self.krylov.step(step),
        }
    }

    /// Mδ for the last solution.
    pub fn product(&self, out: &mut [T]) {
        match &self.dense {
            Some(dense) if self.on_dense => dense.product(out),
            _ => self.krylov.product(out),
        }
    }

    /// ‖(M + λI)δ + g‖ for the last solution.
    pub fn residual_norm(&mut self, solution: &Solution, gradient: &[T]) -> f64 {
        match &self.dense {
            Some(dense) if self.on_dense => {
                let (step, out) = (self.krylov.direction(), &mut self.residual);
                dense.step(step);
                dense.product(out);
                kernels::axpy(solution.shift, step, out);
                kernels::axpy(1.0, gradient, out);
                kernels::norm(out)
            }
            _ => self.krylov.residual(1.0, solution.shift, gradient),
        }
    }

    /// Ritz values, or eigenvalues on the dense path, in rising order.
    pub fn ritz_values(&mut self) -> &[f64] {
        match &mut self.dense {
            Some(dense) if self.on_dense => dense.eigenvalues(),
            _ => self.krylov.ritz_values(),
        }
    }

    /// The lowest Ritz value, or an estimate of it from above that costs less; NaN where nothing is known.
    pub fn lowest_ritz_value(&mut self) -> f64 {
        match &mut self.dense {
            Some(dense) if self.on_dense => dense.lowest_eigenvalue(),
            _ => self.krylov.lowest_ritz_value(),
        }
        .unwrap_or(f64::NAN)
    }

    /// The symmetric matrix and the unit of its entries, where it was formed.
    pub fn matrix(&self) -> Option<(&[f64], f64)> {
        self.dense.as_ref().filter(|_| self.on_dense).map(DenseModel::matrix)
    }

    /// Σ Mⱼⱼxⱼ² where the matrix was formed, and otherwise xᵀMx for the part of x that lies in the space. No product.
    pub fn metric_size(&self, x: &[T]) -> f64 {
        match self.matrix() {
            // x first: its square alone may leave the range of numbers.
            Some((matrix, unit)) => {
                kernels::sum_terms(x.len(), |j| unit * matrix[j * (x.len() + 1)] * x[j].into() * x[j].into())
            }
            None => {
                let (v, products) = (self.krylov.basis(), self.krylov.products());
                let columns = (0..self.krylov.len()).map(|j| (v.column(j), products.column(j)));
                columns.map(|(v, product)| kernels::dot(v, x) * kernels::dot(product, x)).sum()
            }
        }
    }

    /// The curvature along the first direction of the space, on the dense path along g.
    pub fn first_curvature(&mut self) -> f64 {
        match &self.dense {
            Some(dense) if self.on_dense => dense.curvature(),
            _ => self.krylov.ritz_values().first().copied().unwrap_or(0.0),
        }
    }

    /// The unit direction of lowest curvature known, and that curvature.
    pub fn lowest_direction(&mut self, out: &mut [T]) -> Option<f64> {
        match &mut self.dense {
            Some(dense) if self.on_dense => dense.lowest_direction(out),
            _ => self.krylov.lowest_direction(out),
        }
    }

    /// How far from symmetric the operator showed itself, relative to its size.
    pub fn asymmetry(&self) -> f64 {
        match &self.dense {
            Some(dense) if self.on_dense => dense.asymmetry,
            _ => self.krylov.asymmetry,
        }
    }

    /// Products made at this point.
    pub fn products_made(&self) -> usize {
        self.made
    }

    /// The basis and its products, for [`RememberedModel::learn`]; empty on the dense path.
    pub fn krylov(&mut self) -> &mut KrylovSpace<T> {
        &mut self.krylov
    }

    /// Storage in vectors of length d.
    pub fn vectors(&self) -> usize {
        let dense = if self.dense.is_some() { 4 * self.dim } else { 0 };
        self.krylov.vectors() + 1 + self.conjugate_gradient.as_ref().map_or(0, ConjugateGradient::vectors) + dense
    }
}
