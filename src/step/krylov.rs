//! A Krylov space with everything that its products tell, kept to solve any subproblem without a further product.
//!
//! The space V (orthonormal columns) grows by preconditioned residuals, as in Davidson's method (Morgan & Scott, SIAM
//! J. Sci. Stat. Comput. 7 (1986); for linear systems this is the flexible form of FOM, Saad, *Iterative Methods for
//! Sparse Linear Systems* (2003), section 9.4). With no preconditioner and g as first direction V is the Krylov space
//! of Lanczos' method. W = MV is stored as well, so that with G = VᵀW and the eigendecomposition of G
//!
//!   δ = Vy,   (G + λI) y = −Vᵀg,   r = (M + λI)δ + g = Wy + λVy + g
//!
//! solves every subproblem of [`spectral`](super::spectral) with its true residual r, for any λ, Δ, σ or ε.
//!
//! Deviations from the textbook Lanczos process, and why: the basis is reorthogonalised in full (classical
//! Gram–Schmidt, repeated where more than half of a vector cancelled: Daniel, Gragg, Kaufman & Stewart 1976; Giraud et
//! al. 2005), since k stays small; G is held as a full matrix, since a preconditioner, a remembered first direction
//! or an operator that is not quite symmetric make it so; radius and shift are measured in the Euclidean norm also with
//! a preconditioner, which therefore changes the number of products but never the solution.

use super::projected::Projected;
use super::spectral::{Indefinite, Solution, Subproblem};
use super::units::binade;
use crate::base::columns::{CANCELLED, Columns, ROUNDING};
use crate::base::{Scalar, kernels};
use crate::operator::SymmetricOperator;

/// Inner products that are made together with those of a new column.
const SUMS: usize = 3;

/// What became of an attempt to enlarge the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// One product was made and the space has one more dimension.
    Grown,
    /// The direction lies in the space already (or is zero): no product was made.
    Dependent,
    /// One product was made and is not finite: the space is as before.
    NotFinite,
}

/// The space, its products, and the solution last asked for. Storage: 2·capacity + 1 vectors of length d.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KrylovSpace<T> {
    dim: usize,
    capacity: usize,
    len: usize,
    /// V, by columns.
    basis: Vec<T>,
    /// W = MV, by columns.
    products: Vec<T>,
    /// r, and the next direction.
    work: Vec<T>,
    /// G = VᵀMV and Vᵀg.
    projected: Projected,
    scratch: Vec<f64>,
    /// ‖work‖ and ‖Mvₖ‖ for the newest vₖ, where they are known.
    direction_norm: Option<f64>,
    newest_norm: Option<f64>,
    /// The largest ‖Mvⱼ‖ met: ‖M‖ from below.
    pub size: f64,
    /// The largest |vᵢᵀMvⱼ − vⱼᵀMvᵢ| / (‖Mvᵢ‖ + ‖Mvⱼ‖) met.
    pub asymmetry: f64,
}

impl<T: Scalar> KrylovSpace<T> {
    pub fn new(dim: usize, capacity: usize) -> Self {
        let capacity = capacity.max(1);
        KrylovSpace {
            dim,
            capacity,
            len: 0,
            basis: vec![T::zero(); dim * capacity],
            products: vec![T::zero(); dim * capacity],
            work: vec![T::zero(); dim],
            projected: Projected::new(capacity),
            scratch: vec![0.0; capacity + SUMS],
            direction_norm: None,
            newest_norm: None,
            size: 0.0,
            asymmetry: 0.0,
        }
    }

    /// Storage in vectors of length d.
    pub fn vectors(&self) -> usize {
        2 * self.capacity + 1
    }

    pub fn clear(&mut self) {
        self.len = 0;
        self.projected.clear();
        (self.size, self.asymmetry) = (0.0, 0.0);
    }

    /// Makes room for so many directions.
    pub fn reserve(&mut self, capacity: usize) {
        let capacity = capacity.min(self.dim);
        if capacity > self.capacity {
            self.basis.resize(self.dim * capacity, T::zero());
            self.products.resize(self.dim * capacity, T::zero());
            self.projected.reserve(capacity);
            self.scratch.resize(capacity + SUMS, 0.0);
            self.capacity = capacity;
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_full(&self) -> bool {
        self.len == self.capacity
    }

    /// Keeps the first `len` directions.
    pub fn truncate(&mut self, len: usize) {
        self.len = len.min(self.len);
        self.newest_norm = None;
        self.projected.truncate(len);
    }

    /// Keeps the space for the gradient 0.
    pub fn forget_gradient(&mut self) {
        self.projected.set_linear(std::iter::repeat(0.0));
    }

    /// V.
    pub fn basis(&self) -> Columns<'_, T> {
        Columns::new(self.dim, &self.basis[..self.len * self.dim])
    }

    /// W = MV.
    pub fn products(&self) -> Columns<'_, T> {
        Columns::new(self.dim, &self.products[..self.len * self.dim])
    }

    /// The next direction, to be written before [`grow`](Self::grow); after [`residual`](Self::residual) it holds r.
    pub fn direction(&mut self) -> &mut [T] {
        self.direction_norm = None;
        &mut self.work
    }

    /// ‖a‖ and aᵀb, b being [`direction`](Self::direction).
    pub fn compare(&mut self, a: &[T]) -> (f64, f64) {
        let [norm, dot, direction] = kernels::norms_and_dot(a, &self.work);
        self.direction_norm = Some(direction);
        (norm, dot)
    }

    /// Orthonormalises [`direction`](Self::direction) against V, multiplies it by M and adds it. One product.
    pub fn grow(&mut self, operator: &impl SymmetricOperator<T>, gradient: &[T]) -> Growth {
        debug_assert!(!self.is_full());
        let (dim, k) = (self.dim, self.len);
        if !self.orthonormalise() {
            return Growth::Dependent;
        }
        self.basis[k * dim..(k + 1) * dim].copy_from_slice(&self.work);
        let v = &self.basis[k * dim..(k + 1) * dim];
        let product = &mut self.products[k * dim..(k + 1) * dim];
        operator.apply(v, product);
        match self.project(gradient) {
            Some(size) => {
                self.size = self.size.max(size);
                Growth::Grown
            }
            None => Growth::NotFinite,
        }
    }

    /// Adds a direction whose product is known: both are overwritten. No product.
    pub fn adopt(&mut self, direction: &mut [T], product: &mut [T], gradient: &[T]) {
        let (dim, k) = (self.dim, self.len);
        if k == self.capacity {
            return;
        }
        let original = kernels::norm(direction);
        let basis = Columns::new(dim, &self.basis[..k * dim]);
        let products = Columns::new(dim, &self.products[..k * dim]);
        let mut left = original;
        for _ in 0..2 {
            let h = &mut self.scratch[..k];
            basis.transpose_times(direction, h);
            basis.add_times(-1.0, h, direction);
            products.add_times(-1.0, h, product);
            left = kernels::norm(direction);
            if left >= CANCELLED * original {
                break;
            }
        }
        // The product loses as many digits as the direction.
        if !(left > 1e-4 * original && left.is_finite()) {
            return;
        }
        kernels::scale_into(left.recip(), direction, &mut self.basis[k * dim..(k + 1) * dim]);
        kernels::scale_into(left.recip(), product, &mut self.products[k * dim..(k + 1) * dim]);
        self.project(gradient);
    }

    /// Extends G and Vᵀg by the column that has been written behind the basis, and returns the norm of its product; does
    /// nothing where that is not finite. One reduction.
    fn project(&mut self, gradient: &[T]) -> Option<f64> {
        let (dim, k) = (self.dim, self.len);
        let basis = Columns::new(dim, &self.basis[..(k + 1) * dim]);
        let products = Columns::new(dim, &self.products[..(k + 1) * dim]);
        let (v, product) = (basis.column(k), products.column(k));
        let previous = if k > 0 { products.column(k - 1) } else { product };
        let sums = &mut self.scratch[..k + 1 + SUMS];
        basis.transpose_times_and(product, sums, [[product, product], [v, gradient], [v, previous]]);
        let (column, &[squared, slope, across]) = sums.split_last_chunk::<SUMS>()?;
        let size = kernels::norm_of_square(squared, product);
        if !size.is_finite() {
            return None;
        }
        if k > 0 {
            // Symmetry, for one inner product: v_kᵀ(M v_{k−1}) against v_{k−1}ᵀ(M v_k).
            let difference = (across - column[k - 1]).abs();
            let scale = size + self.newest_norm.unwrap_or_else(|| kernels::norm(previous));
            if scale > 0.0 {
                self.asymmetry = self.asymmetry.max(difference / scale);
            }
        }
        self.newest_norm = Some(size);
        self.projected.push(column, slope);
        self.projected.begin();
        self.len += 1;
        Some(size)
    }

    /// work ← work / ‖work‖ after removing its part in V. False if nothing is left.
    fn orthonormalise(&mut self) -> bool {
        let original = self.direction_norm.take().unwrap_or_else(|| kernels::norm(&self.work));
        if !(original > 0.0 && original.is_finite()) {
            return false;
        }
        scale_to_one(original, &mut self.work);
        let basis = Columns::new(self.dim, &self.basis[..self.len * self.dim]);
        let mut left = 1.0;
        if self.len > 0 {
            let h = &mut self.scratch[..self.len + 1];
            left = basis.remove_all_from(&mut self.work, h, left, ROUNDING * T::epsilon_f64());
        }
        if left == 0.0 {
            return false;
        }
        kernels::scale(left.recip(), &mut self.work);
        true
    }

    /// Eigenvalues of G (Ritz values of M) in rising order; empty if there is none.
    pub fn ritz_values(&mut self) -> &[f64] {
        self.projected.eigenvalues()
    }

    /// The lowest Ritz value, or an estimate of it from above that costs less.
    pub fn lowest_ritz_value(&mut self) -> Option<f64> {
        self.projected.lowest_eigenvalue()
    }

    /// Answers `subproblem` in the space; the step is then had from [`step`](Self::step).
    pub fn solution(&mut self, subproblem: Subproblem) -> Result<Solution, Indefinite> {
        self.projected.solution(subproblem)
    }

    /// The `j`-th lowest Ritz vector and its product. Expects Ritz values to have been asked for.
    pub fn ritz_pair(&self, j: usize, vector: &mut [T], product: &mut [T]) {
        let q = self.projected.eigenvector(j);
        self.basis().times(q, vector);
        self.products().times(q, product);
    }

    /// direction ← Mv + λv for the newest basis vector v: with a fixed preconditioner this spans the same spaces as the
    /// residual does, and needs no solution.
    pub fn point_to_newest_product(&mut self, shift: f64) {
        let newest = (self.len - 1) * self.dim..self.len * self.dim;
        self.direction_norm = None;
        self.work.copy_from_slice(&self.products[newest.clone()]);
        kernels::axpy(shift, &self.basis[newest], &mut self.work);
    }

    /// out ← the unit vector in the space along which the curvature is lowest; returns that curvature. `None` for an
    /// empty space.
    pub fn lowest_direction(&mut self, out: &mut [T]) -> Option<f64> {
        let lowest = self.projected.eigenvalues().first().copied()?;
        self.basis().times(self.projected.eigenvector(0), out);
        Some(lowest)
    }

    /// δ ← Vy for the last solution.
    pub fn step(&self, step: &mut [T]) {
        self.basis().times(self.projected.coefficients(), step);
    }

    /// out ← Mδ for the last solution.
    pub fn product(&self, out: &mut [T]) {
        self.products().times(self.projected.coefficients(), out);
    }

    /// ‖r‖ of [`write_residual`](Self::write_residual).
    pub fn residual(&mut self, alpha: f64, shift: f64, gradient: &[T]) -> f64 {
        self.write_residual(alpha, shift, gradient);
        self.norm_of_direction()
    }

    /// ‖[`direction`](Self::direction)‖.
    pub fn norm_of_direction(&mut self) -> f64 {
        *self.direction_norm.insert(kernels::norm(&self.work))
    }

    /// Leaves r = (M + λI)δ/α + g for the last solution in [`direction`](Self::direction). α = 1 but for subproblems whose
    /// solution is a multiple of the Newton step.
    pub fn write_residual(&mut self, alpha: f64, shift: f64, gradient: &[T]) {
        self.direction_norm = None;
        let (k, dim) = (self.len, self.dim);
        let y = self.projected.coefficients();
        self.work.copy_from_slice(gradient);
        Columns::new(dim, &self.products[..k * dim]).add_times(alpha.recip(), y, &mut self.work);
        if shift != 0.0 {
            Columns::new(dim, &self.basis[..k * dim]).add_times(shift / alpha, y, &mut self.work);
        }
    }
}

/// v ← v / ‖v‖, given ‖v‖, in two steps: its inverse may be out of the range of T.
pub fn scale_to_one<T: Scalar>(norm: f64, v: &mut [T]) {
    let least: f64 = T::min_positive_value().into();
    let root = if (1e3 * least..1e-3 / least).contains(&norm) { 1.0 } else { binade(norm).sqrt() };
    if root != 1.0 {
        kernels::scale(root.recip(), v);
    }
    kernels::scale(root / norm, v);
}
