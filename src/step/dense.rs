//! The dense path: the matrix is formed once, and the same subproblems are solved from its factors.
//!
//! A solution comes from faer's Cholesky factorisations M + λI = LLᵀ, by [`secular`](super::secular) where λ must be searched.
//! Where that gives up (the hard case, a singular M), the eigendecomposition is computed, once for a point: then each further
//! λ, Δ, σ or ε costs O(d²). All arithmetic is in f64, also for f32 vectors, and in units in which the matrix and the gradient
//! are of size 1.

use faer::dyn_stack::StackReq;
use faer::linalg::cholesky::llt::factor::{LltParams, LltRegularization, cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::cholesky::llt::solve::solve_in_place;
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{MatMut, MatRef, Par, Spec};

use super::completion;
use super::krylov::KrylovSpace;
use super::secular::{self, Shifted};
use super::spectral::{self, Indefinite, Solution, Subproblem};
use super::units::{Units, binade};
use crate::base::native::{Scratch, clean_registers};
use crate::base::{Eigen, Error, Result, Scalar, kernels, parallel, space};
use crate::operator::SymmetricOperator;

/// Numbers per entry of the matrix: as formed, its symmetric part, its factor, and the eigenvectors.
const COPIES: usize = 4;

/// A formed matrix and its factors. Storage: 4d² numbers.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DenseModel<T> {
    dim: usize,
    /// The matrix as the operator forms it.
    formed: Vec<T>,
    /// Its symmetric part, in its unit.
    matrix: Vec<f64>,
    unit: f64,
    units: Units,
    /// L below the diagonal, and its λ if it is one.
    factor: Vec<f64>,
    factored: Option<f64>,
    /// The largest λ for which M + λI is known to be not positive definite.
    indefinite: f64,
    #[cfg_attr(feature = "serde", serde(skip))]
    scratch: Scratch,
    /// The shift of the last solution.
    hint: f64,
    eigen: Eigen,
    decomposed: bool,
    /// The gradient in units.
    linear: Vec<f64>,
    step: Vec<f64>,
    c: Vec<f64>,
    y: Vec<f64>,
    /// maxᵢⱼ |Mᵢⱼ − Mⱼᵢ| / 2 max |M|.
    pub asymmetry: f64,
}

/// The bytes of a [`DenseModel`]; infinite beyond the range of numbers.
pub fn bytes(dim: usize) -> f64 {
    (COPIES * size_of::<f64>()) as f64 * dim as f64 * dim as f64
}

/// What the factorisation needs.
fn request(dim: usize) -> StackReq {
    let params: Spec<LltParams, f64> = Spec::default();
    cholesky_in_place_scratch::<f64>(dim, parallel::dense(dim), params)
}

/// Whether the dense path may have its memory.
///
/// # Errors
/// If it may not: with the number of bytes; or where nobody has all columns.
pub fn check_memory(dim: usize) -> Result<()> {
    space::check_whole("InnerSolver::Dense")?;
    let refused = || Error::Memory { argument: "InnerSolver::Dense", bytes: bytes(dim) };
    let numbers = dim.checked_mul(dim).and_then(|n| n.checked_mul(COPIES)).ok_or_else(refused)?;
    Vec::<f64>::new().try_reserve_exact(numbers).map_err(|_| refused())
}

impl<T: Scalar> DenseModel<T> {
    pub fn new(dim: usize) -> Self {
        DenseModel {
            dim,
            formed: vec![T::zero(); dim * dim],
            matrix: vec![0.0; dim * dim],
            unit: 0.0,
            units: Units::new(0.0, 0.0),
            factor: vec![0.0; dim * dim],
            factored: None,
            indefinite: f64::NEG_INFINITY,
            scratch: Scratch::new(request(dim)),
            hint: 0.0,
            eigen: Eigen::new(0),
            decomposed: false,
            linear: vec![0.0; dim],
            step: vec![0.0; dim],
            c: vec![0.0; dim],
            y: vec![0.0; dim],
            asymmetry: 0.0,
        }
    }

    /// Forms the matrix; false if it is not finite.
    pub fn form(&mut self, operator: &impl SymmetricOperator<T>, gradient: &[T]) -> bool {
        operator.form(&mut self.formed);
        self.asymmetry = 0.0;
        self.take(gradient)
    }

    /// Forms the matrix from a space and d − k products; false if it is not finite.
    pub fn complete(&mut self, operator: &impl SymmetricOperator<T>, space: &KrylovSpace<T>, gradient: &[T]) -> bool {
        let mut columns = vec![T::zero(); self.dim * (self.dim - space.len())];
        completion::complete(operator, space, &mut columns, &mut self.formed, &mut self.asymmetry)
            && self.take(gradient)
    }

    /// Takes over what was formed: its symmetric part and its unit.
    fn take(&mut self, gradient: &[T]) -> bool {
        let d = self.dim;
        let largest = kernels::max_abs(&self.formed);
        if !largest.is_finite() {
            return false;
        }
        self.unit = if largest > 0.0 { binade(largest) } else { 1.0 };
        let mut difference = 0.0_f64;
        for j in 0..d {
            for i in j..d {
                let (a, b): (f64, f64) = (self.formed[j * d + i].into(), self.formed[i * d + j].into());
                let (a, b) = (a / self.unit, b / self.unit);
                let mean = 0.5 * (a + b);
                self.matrix[j * d + i] = mean;
                self.matrix[i * d + j] = mean;
                difference = difference.max((a - b).abs());
            }
        }
        let largest = largest / self.unit;
        if difference > 0.0 {
            self.asymmetry = self.asymmetry.max(0.5 * difference / largest.max(0.5 * difference));
        }
        self.units = Units::new(self.unit, kernels::norm(gradient));
        self.linear.iter_mut().zip(gradient).for_each(|(out, &g)| *out = g.into() * self.units.linear);
        (self.decomposed, self.factored, self.hint) = (false, None, 0.0);
        self.indefinite = f64::NEG_INFINITY;
        true
    }

    /// The symmetric part of M, and the unit of its entries.
    pub fn matrix(&self) -> (&[f64], f64) {
        (&self.matrix, self.unit)
    }

    /// Eigenvalues of M in rising order, in `self.c`.
    pub fn eigenvalues(&mut self) -> &[f64] {
        if !self.decompose() {
            return &[];
        }
        self.c.iter_mut().zip(self.eigen.values()).for_each(|(value, theta)| *value = theta * self.unit);
        &self.c
    }

    /// The lowest eigenvalue; where M is positive definite and a factor is at hand an estimate from above by inverse
    /// iteration, which costs O(d²).
    pub fn lowest_eigenvalue(&mut self) -> Option<f64> {
        let definite = self.indefinite < 0.0 && !self.decomposed;
        let Some(shift) = self.factored.filter(|_| definite) else {
            return self.eigenvalues().first().copied();
        };
        let DenseModel { factor, dim, scratch, y, .. } = self;
        let lowest = secular::lowest_eigenvalue(y, |y| substitute(factor, *dim, scratch, y));
        Some((lowest - shift) * self.unit)
    }

    /// gᵀMg / gᵀg.
    pub fn curvature(&self) -> f64 {
        let (mut along, mut size) = (0.0, 0.0);
        for (column, g) in self.matrix.chunks_exact(self.dim).zip(&self.linear) {
            along += g * column.iter().zip(&self.linear).map(|(m, g)| m * g).sum::<f64>();
            size += g * g;
        }
        along / size * self.unit
    }

    fn decompose(&mut self) -> bool {
        if !self.decomposed {
            self.decomposed = self.eigen.decompose(&self.matrix, self.dim, self.dim, parallel::dense(self.dim));
        }
        self.decomposed
    }

    /// Answers `subproblem`; the step is then had from [`step`](Self::step).
    pub fn solution(&mut self, subproblem: Subproblem) -> std::result::Result<Solution, Indefinite> {
        let asked = self.units.of_question(subproblem);
        let definite = if self.decomposed { None } else { secular::solution(asked, self.hint, self) };
        let solution = match definite {
            Some(solution) => {
                self.step.copy_from_slice(&self.y);
                solution
            }
            None => {
                if !self.decompose() {
                    return Err(Indefinite { lowest: f64::NAN });
                }
                self.eigen.to_eigenbasis(&self.linear, &mut self.c);
                spectral::drop_rounding(self.eigen.values(), &mut self.c);
                let solution = spectral::solution(asked, self.eigen.values(), &self.c, &mut self.y)
                    .map_err(|indefinite| Indefinite { lowest: indefinite.lowest * self.unit })?;
                self.eigen.from_eigenbasis(&self.y, &mut self.step);
                solution
            }
        };
        self.hint = solution.shift;
        self.step.iter_mut().for_each(|s| *s = self.units.back(*s));
        Ok(self.units.of_solution(solution))
    }

    /// Corrects the last solution, whose δ was rounded to `step`, by one step of iterative refinement: `residual` is
    /// (M + λI)δ + g by products. Nothing where there is no factor.
    pub fn correct(&mut self, step: &[T], residual: &[T]) {
        if self.decomposed {
            return;
        }
        let factor = self.units.linear;
        self.y.iter_mut().zip(residual).for_each(|(y, &r)| *y = -r.into() * factor);
        Shifted::substitute(self);
        for ((to, &from), y) in self.step.iter_mut().zip(step).zip(&self.y) {
            *to = from.into() + self.units.back(*y);
        }
    }

    /// δ for the last solution.
    pub fn step(&self, step: &mut [T]) {
        step.iter_mut().zip(&self.step).for_each(|(out, &s)| *out = T::from_f64(s));
    }

    /// out ← Mδ for the last solution.
    pub fn product(&self, out: &mut [T]) {
        for (i, out) in out.iter_mut().enumerate() {
            let row = &self.matrix[i * self.dim..(i + 1) * self.dim];
            let sum: f64 = row.iter().zip(&self.step).map(|(m, s)| m * s).sum();
            *out = T::from_f64(sum * self.unit);
        }
    }

    /// out ← the eigenvector of the lowest eigenvalue, which is returned.
    pub fn lowest_direction(&mut self, out: &mut [T]) -> Option<f64> {
        if !self.decompose() {
            return None;
        }
        out.iter_mut().zip(self.eigen.vector(0)).for_each(|(out, &v)| *out = T::from_f64(v));
        Some(self.eigen.values()[0] * self.unit)
    }
}

/// y ← (LLᵀ)⁻¹y for faer's factor L.
fn substitute(factor: &[f64], d: usize, scratch: &mut Scratch, y: &mut [f64]) {
    let factor = MatRef::from_column_major_slice(factor, d, d);
    let y = MatMut::from_column_major_slice_mut(y, d, 1);
    solve_in_place(factor, y, Par::Seq, scratch.stack(StackReq::EMPTY));
    clean_registers();
}

impl<T: Scalar> Shifted for DenseModel<T> {
    fn matrix(&self) -> (&[f64], usize) {
        (&self.matrix, self.dim)
    }

    fn vectors(&mut self) -> (&[f64], &mut [f64]) {
        (&self.linear, &mut self.y)
    }

    fn factor(&mut self, shift: f64) -> bool {
        if self.factored == Some(shift) || shift <= self.indefinite {
            return self.factored == Some(shift);
        }
        let d = self.dim;
        self.factor.copy_from_slice(&self.matrix);
        (0..d).for_each(|i| self.factor[i * d + i] += shift);
        let stack = self.scratch.stack(request(d));
        let factor = MatMut::from_column_major_slice_mut(&mut self.factor, d, d);
        let done = cholesky_in_place(factor, LltRegularization::default(), parallel::dense(d), stack, Spec::default());
        clean_registers();
        let (least, largest) = (0..d).fold((f64::INFINITY, 0.0_f64), |(least, largest), i| {
            let pivot = self.factor[i * d + i];
            (least.min(pivot), largest.max(pivot))
        });
        // Otherwise singular to working precision.
        let definite = done.is_ok() && least * least > f64::EPSILON * d as f64 * largest * largest;
        self.factored = definite.then_some(shift);
        if !definite {
            self.indefinite = shift;
        }
        definite
    }

    fn indefinite_up_to(&self) -> f64 {
        self.indefinite
    }

    fn substitute(&mut self) {
        substitute(&self.factor, self.dim, &mut self.scratch, &mut self.y);
    }

    fn rate(&mut self, norm: f64) -> f64 {
        let d = self.dim;
        self.c.iter_mut().zip(&self.y).for_each(|(c, y)| *c = y / norm);
        let factor = MatRef::from_column_major_slice(&self.factor, d, d);
        solve_lower_triangular_in_place(factor, MatMut::from_column_major_slice_mut(&mut self.c, d, 1), Par::Seq);
        clean_registers();
        secular::square(&self.c)
    }
}
