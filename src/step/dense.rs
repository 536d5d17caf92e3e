//! The dense path: the matrix is formed once, and the same questions are answered from its factors.
//!
//! An interior step (λ = 0, or a given damping) comes from faer's Cholesky factorisation M + λI = LLᵀ. Where that fails
//! because the matrix is not positive definite, and for every question whose λ must be searched, the
//! eigendecomposition is computed, once for a point: then each further λ, Δ, σ or ε costs O(d²). All arithmetic is in
//! f64, also for f32 vectors.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{LltParams, LltRegularization, cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::cholesky::llt::solve::solve_in_place;
use faer::{MatMut, MatRef, Spec};

use super::spectral::{self, Answer, Indefinite, Question};
use crate::base::native::clean_registers;
use crate::base::{Eigen, Scalar, parallel};
use crate::operator::SymmetricOperator;

/// A formed matrix and its factors. Storage: 4d² numbers.
pub struct DenseModel<T> {
    dim: usize,
    /// The matrix as the operator forms it.
    formed: Vec<T>,
    /// Its symmetric part.
    matrix: Vec<f64>,
    factor: Vec<f64>,
    scratch: MemBuffer,
    eigen: Eigen,
    decomposed: bool,
    gradient: Vec<f64>,
    step: Vec<f64>,
    c: Vec<f64>,
    y: Vec<f64>,
    /// maxᵢⱼ |Mᵢⱼ − Mⱼᵢ| / 2 max |M|.
    pub asymmetry: f64,
}

impl<T: Scalar> DenseModel<T> {
    pub fn new(dim: usize) -> Self {
        let params: Spec<LltParams, f64> = Spec::default();
        DenseModel {
            dim,
            formed: vec![T::zero(); dim * dim],
            matrix: vec![0.0; dim * dim],
            factor: vec![0.0; dim * dim],
            scratch: MemBuffer::new(cholesky_in_place_scratch::<f64>(dim, parallel::dense(dim), params)),
            eigen: Eigen::new(dim),
            decomposed: false,
            gradient: vec![0.0; dim],
            step: vec![0.0; dim],
            c: vec![0.0; dim],
            y: vec![0.0; dim],
            asymmetry: 0.0,
        }
    }

    /// Forms the matrix; false if it is not finite.
    pub fn form(&mut self, operator: &impl SymmetricOperator<T>, gradient: &[T]) -> bool {
        let d = self.dim;
        operator.form(&mut self.formed);
        let (mut largest, mut difference) = (0.0_f64, 0.0_f64);
        for j in 0..d {
            for i in j..d {
                let (a, b): (f64, f64) = (self.formed[j * d + i].into(), self.formed[i * d + j].into());
                let mean = 0.5 * (a + b);
                self.matrix[j * d + i] = mean;
                self.matrix[i * d + j] = mean;
                if !mean.is_finite() {
                    return false;
                }
                largest = largest.max(mean.abs());
                difference = difference.max((a - b).abs());
            }
        }
        self.asymmetry = if difference > 0.0 { 0.5 * difference / largest.max(0.5 * difference) } else { 0.0 };
        self.gradient.iter_mut().zip(gradient).for_each(|(out, &g)| *out = g.into());
        self.decomposed = false;
        true
    }

    /// Eigenvalues of M in rising order.
    pub fn eigenvalues(&mut self) -> &[f64] {
        self.decompose();
        self.eigen.values()
    }

    /// gᵀMg / gᵀg.
    pub fn curvature(&self) -> f64 {
        let (mut along, mut size) = (0.0, 0.0);
        for (column, g) in self.matrix.chunks_exact(self.dim).zip(&self.gradient) {
            along += g * column.iter().zip(&self.gradient).map(|(m, g)| m * g).sum::<f64>();
            size += g * g;
        }
        along / size
    }

    fn decompose(&mut self) -> bool {
        if !self.decomposed {
            self.decomposed = self.eigen.decompose(&self.matrix, self.dim, self.dim, parallel::dense(self.dim));
        }
        self.decomposed
    }

    /// Answers `question`; the step is then had from [`step`](Self::step).
    pub fn answer(&mut self, question: Question) -> Result<Answer, Indefinite> {
        let damping = match question {
            Question::Damped(damping) => Some((damping, f64::INFINITY)),
            Question::Radius(radius) => Some((0.0, radius)),
            Question::SaddleFree(longest) => Some((0.0, longest)),
            Question::Cubic(_) | Question::MetricBall(_) => None,
        };
        if let Some((damping, longest)) = damping.filter(|_| !self.decomposed)
            && let Some(answer) = self.solve(damping)
            && answer.norm <= longest
        {
            return Ok(answer);
        }
        if !self.decompose() {
            return Err(Indefinite { lowest: f64::NAN });
        }
        self.eigen.to_eigenbasis(&self.gradient, &mut self.c);
        // What is rounding of the eigenvectors must not become a step along one whose eigenvalue is rounding as well.
        let size = spectral::length(self.c.iter().copied());
        let rounding = 16.0 * f64::EPSILON * self.dim as f64 * size;
        self.c.iter_mut().filter(|c| c.abs() <= rounding).for_each(|c| *c = 0.0);
        let answer = spectral::answer(question, self.eigen.values(), &self.c, &mut self.y)?;
        self.eigen.from_eigenbasis(&self.y, &mut self.step);
        Ok(answer)
    }

    /// δ = −(M + λI)⁻¹g by Cholesky; `None` if M + λI is not positive definite to working precision.
    fn solve(&mut self, damping: f64) -> Option<Answer> {
        let d = self.dim;
        self.factor.copy_from_slice(&self.matrix);
        (0..d).for_each(|i| self.factor[i * d + i] += damping);
        let stack = MemStack::new(&mut self.scratch);
        let factor = MatMut::from_column_major_slice_mut(&mut self.factor, d, d);
        let done = cholesky_in_place(factor, LltRegularization::default(), parallel::dense(d), stack, Spec::default());
        clean_registers();
        done.ok()?;
        let (least, largest) = (0..d).fold((f64::INFINITY, 0.0_f64), |(least, largest), i| {
            let pivot = self.factor[i * d + i];
            (least.min(pivot), largest.max(pivot))
        });
        if least * least <= f64::EPSILON * d as f64 * largest * largest {
            return None; // singular to working precision
        }
        self.step.iter_mut().zip(&self.gradient).for_each(|(s, g)| *s = -g);
        let factor = MatRef::from_column_major_slice(&self.factor, d, d);
        let step = MatMut::from_column_major_slice_mut(&mut self.step, d, 1);
        solve_in_place(factor, step, parallel::dense(d), MemStack::new(&mut self.scratch));
        clean_registers();
        let norm = self.step.iter().map(|s| s * s).sum::<f64>().sqrt();
        if !norm.is_finite() {
            return None;
        }
        let slope: f64 = self.step.iter().zip(&self.gradient).map(|(s, g)| s * g).sum();
        // (M + λI)δ = −g gives δᵀMδ without a product.
        let curvature = -slope - damping * norm * norm;
        Some(Answer { shift: damping, norm, slope, curvature, on_boundary: false, hard_case: false })
    }

    /// δ for the last answer.
    pub fn step(&self, step: &mut [T]) {
        step.iter_mut().zip(&self.step).for_each(|(out, &s)| *out = T::from_f64(s));
    }

    /// out ← Mδ for the last answer.
    pub fn product(&self, out: &mut [T]) {
        for (i, out) in out.iter_mut().enumerate() {
            let row = &self.matrix[i * self.dim..(i + 1) * self.dim];
            *out = T::from_f64(row.iter().zip(&self.step).map(|(m, s)| m * s).sum());
        }
    }

    /// out ← the eigenvector of the lowest eigenvalue, which is returned.
    pub fn lowest_direction(&mut self, out: &mut [T]) -> Option<f64> {
        if !self.decompose() {
            return None;
        }
        out.iter_mut().zip(self.eigen.vector(0)).for_each(|(out, &v)| *out = T::from_f64(v));
        Some(self.eigen.values()[0])
    }
}
