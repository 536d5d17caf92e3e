//! Several eigenpairs at one end of the spectrum: Lanczos' method with thick restarts.
//!
//! Wu & Simon, SIAM J. Matrix Anal. Appl. 22 (2000), algorithm 3: when the basis V of m vectors is full, the Ritz
//! vectors nearest to the wanted end are kept, and the space grows on from the vector that came after V. That spans what
//! ARPACK's implicit restarts span. With G = VᵀMV = SΘSᵀ and MV = VG + βv₊eᵀ, the pair (θᵢ, Vsᵢ) has the residual β|s_{mi}|.
//!
//! Deviations: the new vector is orthogonalised twice against all of V (Giraud et al. 2005), and the coefficients that
//! this gives are G's column, so that arrow and tridiagonal part need no code of their own; convergence is looked for
//! between restarts as well; and the residuals that are reported are those of one more product with every vector.
//! A space that grows from one vector contains one copy of a multiple eigenvalue. So pairs that have converged are kept
//! and the space grows on from a random vector, until the next Ritz value has converged too or is well apart from the
//! wanted ones; if a pair turned up that belongs before them this is repeated.

use faer::Par;

use super::end::End;
use super::lanczos::{Lanczos, asymmetry_allowed};
use super::{Status, dimension, exact};
use crate::base::{
    Eigen, Result, Scalar, check_callback, check_count, check_range, columns, columns::Columns, compiled, kernels,
    random::SplitMix64,
};
use crate::operator::{Counted, SymmetricOperator};

/// Approximate eigenpairs.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Eigenpairs<T> {
    /// θ, in the order of [`End`]. Fewer than asked for only if a product was not finite or the products ran out.
    pub values: Vec<f64>,
    /// ‖Mv − θv‖ for every pair, which bounds its distance from an eigenvalue. Infinite where there is no bound.
    pub residuals: Vec<f64>,
    /// v, of length 1, one after the other.
    pub vectors: Vec<T>,
    /// How the computation ended.
    pub status: Status,
    /// Products made.
    pub products: usize,
    /// The largest relative difference between uᵀMv and vᵀMu met.
    pub asymmetry: f64,
}

impl<T> Eigenpairs<T> {
    /// The `j`-th eigenvector.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn vector(&self, j: usize) -> &[T] {
        let dim = self.vectors.len() / self.values.len();
        &self.vectors[j * dim..(j + 1) * dim]
    }
}

impl Lanczos {
    /// The `count` eigenpairs at one end.
    ///
    /// Storage: [`basis`](Self::basis) + `count` + 2 vectors. A multiple eigenvalue counts as often as it occurs; about
    /// as many products as the pairs themselves need are spent on looking for copies and neighbours that were missed,
    /// and the last `count` products check the residuals. The matrix is formed and decomposed instead where that costs
    /// at most 64 products and d ≤ 1024.
    ///
    /// ```
    /// use newton_krylov::spectrum::{End, Lanczos};
    /// use newton_krylov::operators::DiagonalOperator;
    ///
    /// let m = DiagonalOperator((0..500).map(|i| f64::from(i) - 300.0).collect());
    /// let pairs = Lanczos::default().eigenpairs(&m, 2, End::LargestMagnitude)?;
    /// assert!(pairs.status.converged());
    /// assert!((pairs.values[0] + 300.0).abs() < 1e-6 && (pairs.values[1] + 299.0).abs() < 1e-6);
    /// assert!(pairs.vector(0)[0].abs() > 0.999);
    /// # Ok::<(), newton_krylov::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the operator has no dimension, `count` is not between 1 and d, the tolerance is negative or not finite, no
    /// product is allowed, or a basis is given that is smaller than min(`count` + 2, d).
    pub fn eigenpairs<T: Scalar>(
        &self,
        operator: &impl SymmetricOperator<T>,
        count: usize,
        end: End,
    ) -> Result<Eigenpairs<T>> {
        let (options, operator): (_, &dyn SymmetricOperator<T>) = (self, operator);
        compiled!(<'r, 's, T>(
            options: &'s Lanczos, operator: &'s dyn SymmetricOperator<T>, count: usize, end: End
        ) -> Result<Eigenpairs<T>> {
            options.find_eigenpairs(operator, count, end)
        })
    }

    fn find_eigenpairs<T: Scalar>(
        &self,
        operator: &dyn SymmetricOperator<T>,
        count: usize,
        end: End,
    ) -> Result<Eigenpairs<T>> {
        let dim = dimension(operator)?;
        self.check()?;
        check_range("count", count as f64, 1 <= count && count <= dim, "between 1 and the operator's dimension")?;
        let basis = self.basis.unwrap_or((2 * count + 1).max(32)).min(dim);
        check_count("basis", basis, (count + 2).min(dim), "at least count + 2")?;
        let operator = Counted::new(operator);
        if let Some(exact) = exact::decompose(&operator, self.max_products)? {
            let mut order = vec![];
            end.sort(exact.eigen.values(), &mut order);
            order.truncate(count);
            let regular = exact.status.is_regular();
            let residual = if regular { exact.error } else { f64::INFINITY };
            let values: Vec<f64> = order.iter().map(|&i| exact.eigen.values()[i]).collect();
            let accurate = values.iter().all(|&v| residual <= self.allowed::<T>(v));
            return Ok(Eigenpairs {
                residuals: vec![residual; values.len()],
                vectors: order.iter().flat_map(|&i| exact.eigen.vector(i)).map(|&v| T::from_f64(v)).collect(),
                values,
                status: if regular && !accurate { Status::Rounding } else { exact.status },
                products: operator.counts().products,
                asymmetry: exact.asymmetry,
            });
        }
        let mut space = Space::new(dim, basis, count, end, self.seed);
        let status = space.run(self, &operator);
        let pairs = space.into_pairs(self, &operator, status);
        check_callback(operator.take_error())?;
        Ok(pairs)
    }
}

/// The basis, and M in it.
struct Space<T> {
    dim: usize,
    capacity: usize,
    count: usize,
    end: End,
    len: usize,
    /// V and the vector after it, by columns.
    basis: Vec<T>,
    product: Vec<T>,
    /// G by columns with stride `capacity`, both triangles.
    projected: Vec<f64>,
    /// Vᵀ M v for the vector v after V, as the products with V tell it.
    coupling: Vec<f64>,
    /// ‖M V − V G‖.
    leaving: f64,
    column: Vec<f64>,
    correction: Vec<f64>,
    eigen: Eigen,
    order: Vec<usize>,
    scale: f64,
    asymmetry: f64,
    random: SplitMix64,
    /// The wanted values that were kept when the space last went on from a random vector.
    kept: Vec<f64>,
    /// Whether the vector after the basis is a random one, whose coupling is not known.
    drawn: bool,
}

/// The next Ritz value is apart from the wanted ones if its residual is at most this share of the distance.
const APART: f64 = 0.01;

impl<T: Scalar> Space<T> {
    fn new(dim: usize, capacity: usize, count: usize, end: End, seed: u64) -> Self {
        let mut space = Space {
            dim,
            capacity,
            count,
            end,
            len: 0,
            basis: vec![T::zero(); dim * (capacity + 1)],
            product: vec![T::zero(); dim],
            projected: vec![0.0; capacity * capacity],
            coupling: vec![0.0; capacity],
            leaving: 0.0,
            column: vec![0.0; capacity],
            correction: vec![0.0; capacity + 1],
            eigen: Eigen::new(capacity),
            order: Vec::with_capacity(capacity),
            scale: 0.0,
            asymmetry: 0.0,
            random: SplitMix64::new(seed),
            kept: Vec::with_capacity(count),
            drawn: false,
        };
        space.draw();
        space
    }

    /// Puts a random unit vector behind the basis.
    fn draw(&mut self) {
        self.product.iter_mut().for_each(|v| *v = T::from_f64(self.random.normal()));
        let (basis, norm) = (Columns::new(self.dim, &self.basis[..self.len * self.dim]), kernels::norm(&self.product));
        let left = basis.remove_all_from(&mut self.product, &mut self.correction[..=self.len], norm, 0.0);
        let place = self.len * self.dim..(self.len + 1) * self.dim;
        kernels::scale_into(left.recip(), &self.product, &mut self.basis[place]);
        self.drawn = true;
    }

    fn run(&mut self, options: &Lanczos, operator: &Counted<impl SymmetricOperator<T>>) -> Status {
        loop {
            // The last products are for the residuals.
            if operator.counts().products + self.count.min(self.len) >= options.max_products {
                return Status::MaxProducts;
            }
            if !self.grow(operator) {
                return Status::NotFinite;
            }
            if self.asymmetry > asymmetry_allowed::<T>() {
                return Status::Asymmetric;
            }
            let full = self.len == self.capacity;
            let look = full || self.len.is_multiple_of(1 + self.capacity / 32);
            if self.len >= self.count && look {
                if !self.decompose() {
                    return Status::NotFinite;
                }
                if let Some(status) = self.judge(options) {
                    if self.len == self.dim || self.is_confirmed(options) {
                        return status;
                    }
                    if !self.is_confirming(options) {
                        self.restart(self.count);
                        self.kept = self.order[..self.count].iter().map(|&i| self.eigen.values()[i]).collect();
                        self.draw();
                        continue;
                    }
                }
                if full {
                    // With the next one at least: of two with the same measure neither stays apart from the other.
                    self.restart(self.count + ((self.len - self.count) * 2 / 5).clamp(1, self.len - self.count - 1));
                }
            }
        }
    }

    /// Whether the wanted values are still those that were kept.
    fn is_confirming(&self, options: &Lanczos) -> bool {
        let values = self.eigen.values();
        let same = |(&i, &kept): (&usize, &f64)| {
            let change = (self.end.measure(values[i]) - self.end.measure(kept)).abs();
            change <= options.allowed::<T>(kept).max(16.0 * T::epsilon_f64() * self.scale)
        };
        self.kept.len() == self.count && self.order.iter().zip(&self.kept).all(same)
    }

    /// Whether the search for what was missed has ended with nothing.
    fn is_confirmed(&self, options: &Lanczos) -> bool {
        if !self.is_confirming(options) || self.len <= self.count {
            return false;
        }
        let [last, next] = [self.order[self.count - 1], self.order[self.count]];
        let [wanted, other] = [last, next].map(|i| self.end.measure(self.eigen.values()[i]));
        let residual = self.residual(next);
        residual <= options.allowed::<T>(other).max(self.rounding()) || residual <= APART * (wanted - other).abs()
    }

    /// ‖My − θy‖ for the `i`-th Ritz pair.
    fn residual(&self, i: usize) -> f64 {
        self.leaving * self.eigen.vector(i)[self.len - 1].abs()
    }

    /// One product.
    fn grow(&mut self, operator: &impl SymmetricOperator<T>) -> bool {
        let (dim, k, stride) = (self.dim, self.len, self.capacity);
        operator.apply(&self.basis[k * dim..(k + 1) * dim], &mut self.product);
        let size = kernels::norm(&self.product);
        if !size.is_finite() {
            return false;
        }
        self.scale = self.scale.max(size);
        let basis = Columns::new(dim, &self.basis[..(k + 1) * dim]);
        let (h, correction) = (&mut self.column[..k + 1], &mut self.correction[..k + 1]);
        basis.transpose_times(&self.product, h);
        basis.add_times(-1.0, h, &mut self.product);
        basis.transpose_times(&self.product, correction);
        basis.add_times(-1.0, correction, &mut self.product);
        h.iter_mut().zip(&*correction).for_each(|(h, c)| *h += c);
        for i in 0..=k {
            if i < k && self.scale > 0.0 && !self.drawn {
                self.asymmetry = self.asymmetry.max(0.5 * (h[i] - self.coupling[i]).abs() / self.scale);
            }
            self.projected[k * stride + i] = h[i];
            self.projected[i * stride + k] = h[i];
        }
        self.len += 1;
        self.drawn = false;
        self.coupling.fill(0.0);
        self.leaving = kernels::norm(&self.product);
        if self.len == dim {
            self.leaving = 0.0;
        } else if self.leaving <= 4.0 * T::epsilon_f64() * self.scale {
            self.draw();
        } else {
            self.coupling[k] = self.leaving;
            let place = (k + 1) * dim..(k + 2) * dim;
            kernels::scale_into(self.leaving.recip(), &self.product, &mut self.basis[place]);
        }
        true
    }

    fn decompose(&mut self) -> bool {
        let done = self.eigen.decompose(&self.projected, self.capacity, self.len, Par::Seq);
        self.end.sort(self.eigen.values(), &mut self.order);
        done
    }

    /// What rounding hides of a residual.
    fn rounding(&self) -> f64 {
        4.0 * T::epsilon_f64() * self.scale
    }

    /// The status, once every wanted pair has converged or cannot be improved.
    fn judge(&self, options: &Lanczos) -> Option<Status> {
        let mut status = Status::Converged;
        for &i in &self.order[..self.count] {
            let residual = self.residual(i);
            // Half, for the difference to the residual that is measured at the end.
            if residual > 0.5 * options.allowed::<T>(self.eigen.values()[i]) {
                if residual > self.rounding() {
                    return None;
                }
                status = Status::Rounding;
            }
        }
        Some(status)
    }

    /// Keeps the `kept` most wanted Ritz vectors and the vector after the basis.
    fn restart(&mut self, kept: usize) {
        let (dim, m) = (self.dim, self.len);
        let mut rotation = vec![0.0; m * kept];
        self.projected.fill(0.0);
        self.coupling.fill(0.0);
        for (j, &i) in self.order[..kept].iter().enumerate() {
            let s = self.eigen.vector(i);
            rotation[j * m..(j + 1) * m].copy_from_slice(s);
            self.projected[j * self.capacity + j] = self.eigen.values()[i];
            self.coupling[j] = self.leaving * s[m - 1];
        }
        columns::rotate(dim, &mut self.basis[..m * dim], &rotation);
        self.basis.copy_within(m * dim..(m + 1) * dim, kept * dim);
        self.len = kept;
    }

    fn into_pairs(
        mut self,
        options: &Lanczos,
        operator: &Counted<impl SymmetricOperator<T>>,
        mut status: Status,
    ) -> Eigenpairs<T> {
        let dim = self.dim;
        if self.len == 0 || !self.decompose() {
            self.order.clear();
        }
        self.order.truncate(self.count);
        let values: Vec<f64> = self.order.iter().map(|&i| self.eigen.values()[i]).collect();
        let mut vectors = vec![T::zero(); values.len() * dim];
        let mut residuals = vec![f64::INFINITY; values.len()];
        let basis = Columns::new(dim, &self.basis[..self.len * dim]);
        for (j, vector) in vectors.chunks_exact_mut(dim).enumerate() {
            basis.times(self.eigen.vector(self.order[j]), vector);
            kernels::scale(kernels::norm(vector).recip(), vector);
            if status.is_regular() && operator.counts().products < options.max_products {
                operator.apply(vector, &mut self.product);
                kernels::axpy(-values[j], vector, &mut self.product);
                residuals[j] = kernels::norm(&self.product);
            }
        }
        let accurate = residuals.iter().zip(&values).all(|(&r, &v)| r <= options.allowed::<T>(v));
        let exhausted = residuals
            .iter()
            .zip(&values)
            .all(|(&r, &v)| r <= options.allowed::<T>(v).max(16.0 * T::epsilon_f64() * self.scale));
        if residuals.iter().any(|r| r.is_nan()) {
            status = Status::NotFinite;
        } else if status == Status::Converged && !accurate {
            status = Status::Rounding;
        } else if status == Status::MaxProducts && values.len() == self.count && exhausted {
            status = if accurate { Status::Converged } else { Status::Rounding };
        }
        if !status.is_regular() {
            residuals.fill(f64::INFINITY);
        }
        let products = operator.counts().products;
        Eigenpairs { values, residuals, vectors, status, products, asymmetry: self.asymmetry }
    }
}
