//! Curvature that is already paid for: a model of M learnt from products and gradient differences.
//!
//!   B = γI + U(C − γI)Uᵀ
//!
//! with orthonormal U (d × m, m small), a symmetric m × m matrix C and one number γ for all that is not known. It is
//! updated by pairs (s, y) that should satisfy Bs = y: products of earlier Krylov spaces (y = Ms) and the gradient
//! difference of every step (y = ∇f(x+s) − ∇f(x), a product for free).
//!
//! The update is the symmetric rank-one formula (Nocedal & Wright, *Numerical Optimization* (2006), equation 6.24),
//!
//!   B ← B + zzᵀ / zᵀs,  z = y − Bs,
//!
//! which keeps negative curvature and, for a quadratic, all earlier pairs. Where its denominator is small against
//! ‖z‖‖s‖ Powell's symmetric Broyden formula takes its place, whose change is bounded by 2‖z‖/‖s‖:
//!
//!   B ← B + (zsᵀ + szᵀ)/sᵀs − (zᵀs) ssᵀ/(sᵀs)².
//!
//! For d ≤ capacity, B is in effect a full matrix.

use faer::Par;

use super::krylov::KrylovSpace;
use super::spectral::{self, Solution, Subproblem};
use crate::base::{Eigen, Scalar, columns::Columns, kernels, space};

/// Least |zᵀs| / ‖z‖‖s‖ for the rank-one formula.
const RANK_ONE: f64 = 0.05;
/// Inner products that are made together with Uᵀv.
const SUMS: usize = 2;
/// Unknowns up to which a formed matrix is remembered whole: its spectrum takes about 30 ms.
const WHOLE: usize = 512;

/// The model. Storage: capacity + 3 vectors of length d.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RememberedModel<T> {
    dim: usize,
    /// d, which is more than `dim` where that is one rank's part.
    whole: usize,
    capacity: usize,
    len: usize,
    basis: Vec<T>,
    /// C by columns with stride `capacity`.
    core: Vec<f64>,
    /// γ: curvature of the directions that U does not span. 0 while nothing is known.
    complement: f64,
    eigen: Eigen,
    decomposed: bool,
    work: Vec<T>,
    /// A Ritz vector and its product, where not every product can be learnt.
    pair: (Vec<T>, Vec<T>),
    a: Vec<f64>,
    b: Vec<f64>,
    c: Vec<f64>,
    /// For [`compress`](Self::compress).
    order: Vec<usize>,
    rows: Vec<f64>,
}

/// Rows of U that are multiplied at once when it is compressed.
const ROWS: usize = 64;

impl<T: Scalar> RememberedModel<T> {
    pub fn new(dim: usize, capacity: usize) -> Self {
        let whole = space::whole(dim);
        let capacity = capacity.min(whole);
        RememberedModel {
            dim,
            whole,
            capacity,
            len: 0,
            basis: vec![T::zero(); dim * capacity],
            core: vec![0.0; capacity * capacity],
            complement: 0.0,
            eigen: Eigen::new(capacity),
            decomposed: false,
            work: vec![T::zero(); dim],
            pair: (Vec::new(), Vec::new()),
            a: vec![0.0; capacity + SUMS],
            b: vec![0.0; capacity + 1],
            c: vec![0.0; capacity + SUMS],
            order: Vec::with_capacity(capacity),
            rows: vec![0.0; ROWS * capacity],
        }
    }

    /// Whether anything is known.
    pub fn is_empty(&self) -> bool {
        self.complement == 0.0
    }

    /// Sets γ > 0.
    pub fn set_complement(&mut self, complement: f64) {
        if complement > 0.0 && complement.is_finite() {
            self.complement = complement;
        }
    }

    fn decompose(&mut self) -> bool {
        if !self.decomposed {
            self.decomposed = self.len == 0 || self.eigen.decompose(&self.core, self.capacity, self.len, Par::Seq);
        }
        self.decomposed
    }

    /// out ← Bv.
    pub fn product(&mut self, v: &[T], out: &mut [T]) {
        let m = self.len;
        Columns::new(self.dim, &self.basis[..m * self.dim]).transpose_times(v, &mut self.a[..m]);
        self.product_of(v, out);
    }

    /// As [`product`](Self::product), where self.a is Uᵀv.
    fn product_of(&mut self, v: &[T], out: &mut [T]) {
        let m = self.len;
        let basis = Columns::new(self.dim, &self.basis[..m * self.dim]);
        for i in 0..m {
            self.b[i] = -self.complement * self.a[i];
            for j in 0..m {
                self.b[i] += self.core[j * self.capacity + i] * self.a[j];
            }
        }
        kernels::scale_into(self.complement, v, out);
        basis.add_times(1.0, &self.b[..m], out);
    }

    /// r ← |B + λI|⁻¹ r, eigenvalues bounded away from 0: the preconditioner for (M + λI).
    pub fn precondition(&mut self, shift: f64, r: &mut [T]) {
        if self.is_empty() || !self.decompose() {
            return;
        }
        let m = self.len;
        let theta = self.eigen.values();
        let largest = theta.iter().fold(self.complement, |l, t| l.max(t.abs())) + shift;
        let floor = 1e-10 * largest;
        let outside = (self.complement + shift).recip();
        let basis = Columns::new(self.dim, &self.basis[..m * self.dim]);
        basis.transpose_times(r, &mut self.a[..m]);
        self.eigen.to_eigenbasis(&self.a[..m], &mut self.b[..m]);
        for i in 0..m {
            self.b[i] *= (theta[i] + shift).abs().max(floor).recip() - outside;
        }
        self.eigen.from_eigenbasis(&self.b[..m], &mut self.a[..m]);
        kernels::scale(outside, r);
        basis.add_times(1.0, &self.a[..m], r);
    }

    /// Answers `subproblem` about gᵀδ + ½δᵀBδ and writes the step. No product.
    pub fn solution(&mut self, subproblem: Subproblem, gradient: &[T], step: &mut [T]) -> Option<Solution> {
        if self.is_empty() || !self.decompose() {
            return None;
        }
        let m = self.len;
        let basis = Columns::new(self.dim, &self.basis[..m * self.dim]);
        // The gradient's part outside U is one more eigenvector, with eigenvalue γ.
        basis.transpose_times(gradient, &mut self.a[..m]);
        step.copy_from_slice(gradient);
        basis.add_times(-1.0, &self.a[..m], step);
        let outside = kernels::norm(step);
        self.eigen.to_eigenbasis(&self.a[..m], &mut self.b[..m]);
        // What is rounding must not become a step along an eigenvector whose eigenvalue is rounding as well.
        let rounding = 16.0 * f64::EPSILON * self.whole as f64 * kernels::norm(gradient);
        self.b[..m].iter_mut().filter(|b| b.abs() <= rounding).for_each(|b| *b = 0.0);
        let theta = self.eigen.values();
        if theta.len() < m {
            return None;
        }
        let place = theta.partition_point(|&t| t < self.complement);
        let total = if m < self.whole { m + 1 } else { m };
        if total > m {
            self.b.copy_within(place..m, place + 1);
            self.b[place] = outside;
            self.c[..place].copy_from_slice(&theta[..place]);
            self.c[place] = self.complement;
            self.c[place + 1..=m].copy_from_slice(&theta[place..]);
        } else {
            self.c[..m].copy_from_slice(theta);
        }
        let solution = spectral::solution(subproblem, &self.c[..total], &self.b[..total], &mut self.a[..total]).ok()?;
        let along = if total > m && outside > 0.0 { self.a[place] / outside } else { 0.0 };
        if total > m {
            self.a.copy_within(place + 1..=m, place);
        }
        self.eigen.from_eigenbasis(&self.a[..m], &mut self.b[..m]);
        kernels::scale(along, step);
        basis.add_times(1.0, &self.b[..m], step);
        Some(solution)
    }

    /// Learns the whole matrix, given in a unit, where it is small enough or would be learnt whole in any case.
    pub fn learn_matrix(&mut self, matrix: &[f64], unit: f64) {
        let d = self.dim;
        if self.capacity == 0 || d > WHOLE && self.capacity < d {
            return;
        }
        if self.capacity < d {
            *self = RememberedModel::new(d, d);
        }
        self.basis.fill(T::zero());
        (0..d).for_each(|i| self.basis[i * d + i] = T::one());
        self.core.iter_mut().zip(matrix).for_each(|(core, m)| *core = m * unit);
        (self.len, self.decomposed) = (d, false);
        self.set_complement(unit);
    }

    /// Learns every product of a Krylov space. The first one met sets γ, to the geometric mean of its Ritz values.
    pub fn learn_space(&mut self, space: &mut KrylovSpace<T>) {
        if space.len() == 0 {
            return;
        }
        if self.is_empty() {
            let theta = space.ritz_values();
            let logarithms: f64 = theta.iter().map(|t| t.abs().max(f64::MIN_POSITIVE).ln()).sum();
            self.set_complement((logarithms / theta.len() as f64).exp());
        }
        if 4 * space.len() <= self.capacity || self.capacity == self.whole {
            for j in 0..space.len() {
                self.learn(space.basis().column(j), space.products().column(j));
            }
            return;
        }
        // Not all fits: the Ritz pairs furthest from γ, which a preconditioner has most use for.
        let theta = space.ritz_values();
        let mut order: Vec<usize> = (0..theta.len()).collect();
        let distance = |i: &usize| distance(theta[*i], self.complement);
        order.sort_by(|i, j| distance(j).total_cmp(&distance(i)));
        order.truncate((self.capacity / 4).max(1));
        let (mut vector, mut product) = std::mem::take(&mut self.pair);
        vector.resize(self.dim, T::zero());
        product.resize(self.dim, T::zero());
        for &j in order.iter().rev() {
            space.ritz_pair(j, &mut vector, &mut product);
            self.learn(&vector, &product);
        }
        self.pair = (vector, product);
    }

    /// Whether anything can be remembered but γ.
    pub fn has_room(&self) -> bool {
        self.capacity > 0
    }

    /// Storage in vectors of length d.
    pub fn vectors(&self) -> usize {
        self.capacity + 1 + self.pair.0.len() / self.dim * 2
    }

    /// Makes Bs = y, as far as the update allows. `s` and `y` are finite.
    pub fn learn(&mut self, s: &[T], y: &[T]) {
        if self.len + 2 > self.capacity && self.len < self.whole && self.capacity < self.whole {
            self.compress();
        }
        let m = self.len;
        let basis = Columns::new(self.dim, &self.basis[..m * self.dim]);
        basis.transpose_times_and(s, &mut self.a[..m + SUMS], [[s, s], [y, y]]);
        let (ss, norm_y) = (self.a[m], kernels::norm_of_square(self.a[m + 1], y));
        if !(ss > 0.0 && ss.is_finite()) {
            return;
        }
        let norm_s = ss.sqrt();
        if self.is_empty() {
            self.set_complement(norm_y / norm_s);
            if self.is_empty() {
                return;
            }
        }
        if self.capacity == 0 {
            return;
        }
        // z = y − Bs
        let mut z = std::mem::take(&mut self.work);
        self.product_of(s, &mut z);
        kernels::axpby(1.0, y, -1.0, &mut z);
        let mut found = self.inner_products(&z, s);
        if self.adapt_exterior(s, ss, found[0], &mut z) {
            found = self.inner_products(&z, s);
        }
        let [zs, norm_z] = found;
        if norm_z > 1e-14 * norm_y && norm_z.is_finite() {
            std::mem::swap(&mut self.a, &mut self.c);
            self.extend(&mut z, norm_z);
            if zs.abs() >= RANK_ONE * norm_z * norm_s {
                let m = self.len;
                // self.a holds z in the extended basis.
                for j in 0..m {
                    for i in 0..m {
                        self.core[j * self.capacity + i] += self.a[i] * self.a[j] / zs;
                    }
                }
            } else {
                let before = self.len;
                self.b[..before].copy_from_slice(&self.a[..before]);
                z.copy_from_slice(s);
                Columns::new(self.dim, &self.basis[..before * self.dim]).transpose_times(s, &mut self.a[..before]);
                self.extend(&mut z, kernels::norm_of_square(ss, s));
                let m = self.len;
                self.b[before..m].fill(0.0);
                // self.b holds z, self.a holds s.
                for j in 0..m {
                    for i in 0..m {
                        self.core[j * self.capacity + i] +=
                            (self.b[i] * self.a[j] + self.a[i] * self.b[j]) / ss - zs / ss * self.a[i] * self.a[j] / ss;
                    }
                }
            }
            self.decomposed = false;
        }
        self.work = z;
    }

    /// self.c ← Uᵀz; returns zᵀs and ‖z‖. One reduction.
    fn inner_products(&mut self, z: &[T], s: &[T]) -> [f64; 2] {
        let m = self.len;
        let basis = Columns::new(self.dim, &self.basis[..m * self.dim]);
        basis.transpose_times_and(z, &mut self.c[..m + SUMS], [[z, s], [z, z]]);
        [self.c[m], kernels::norm_of_square(self.c[m + 1], z)]
    }

    /// Moves γ halfway (geometrically) to the curvature that `s` shows outside U; whether it did, and z = y − Bs follows.
    /// Expects Uᵀs in `self.a` and Uᵀz in `self.c`.
    fn adapt_exterior(&mut self, s: &[T], ss: f64, zs: f64, z: &mut [T]) -> bool {
        let m = self.len;
        let outside = ss - self.a[..m].iter().map(|a| a * a).sum::<f64>();
        if m == self.whole || outside <= 0.01 * ss {
            return false;
        }
        let inside: f64 = self.a[..m].iter().zip(&self.c[..m]).map(|(a, c)| a * c).sum();
        let old = self.complement;
        let observed = old + (zs - inside) / outside;
        let moves = observed > 1e-12 * old && observed.is_finite();
        if moves {
            let basis = Columns::new(self.dim, &self.basis[..m * self.dim]);
            self.complement = (observed * old).sqrt();
            self.decomposed = false;
            let change = old - self.complement;
            kernels::axpy(change, s, z);
            basis.add_times(-change, &self.a[..m], z);
        }
        moves
    }

    /// Adds the direction of `v`, of this norm, to U, if it is new; self.a, which is Uᵀv, becomes that of the new basis.
    /// Overwrites `v`.
    fn extend(&mut self, v: &mut [T], size: f64) {
        let m = self.len;
        let basis = Columns::new(self.dim, &self.basis[..m * self.dim]);
        let mut left = basis.remove(v, &self.a[..m], size);
        if left < 0.7 * size {
            [_, left] = basis.remove_from(v, &mut self.c[..m + 1], left);
            (0..m).for_each(|i| self.a[i] += self.c[i]);
        }
        if m < self.capacity && left > 1e-7 * size {
            kernels::scale(left.recip(), v);
            self.basis[m * self.dim..(m + 1) * self.dim].copy_from_slice(v);
            for i in 0..m {
                self.core[m * self.capacity + i] = 0.0;
                self.core[i * self.capacity + m] = 0.0;
            }
            self.core[m * self.capacity + m] = self.complement;
            self.a[m] = left;
            self.len += 1;
        }
    }

    /// Forgets the eigenvectors of B whose eigenvalues are closest to γ, a quarter of all.
    fn compress(&mut self) {
        if !self.decompose() {
            self.len = 0;
            return;
        }
        let m = self.len;
        let keep = m - (m / 4).max(2).min(m);
        let theta = self.eigen.values();
        let RememberedModel { order, rows, .. } = self;
        order.clear();
        order.extend(0..m);
        let distance = |i: &usize| distance(theta[*i], self.complement);
        order.sort_unstable_by(|i, j| distance(j).total_cmp(&distance(i)).then(i.cmp(j)));
        order.truncate(keep);
        // U ← UQ, a block of rows at a time.
        for start in (0..self.dim).step_by(ROWS) {
            let end = (start + ROWS).min(self.dim);
            rows.fill(0.0);
            for (column, &q) in order.iter().enumerate() {
                let q = self.eigen.vector(q);
                for (j, &q) in q.iter().enumerate() {
                    let u = &self.basis[j * self.dim + start..j * self.dim + end];
                    let target = &mut rows[column * ROWS..];
                    for (target, &u) in target.iter_mut().zip(u) {
                        *target += q * u.into();
                    }
                }
            }
            for column in 0..keep {
                let u = &mut self.basis[column * self.dim + start..column * self.dim + end];
                for (u, &v) in u.iter_mut().zip(&rows[column * ROWS..]) {
                    *u = T::from_f64(v);
                }
            }
        }
        let values = &mut self.a[..keep];
        values.iter_mut().zip(order.iter()).for_each(|(value, &i)| *value = theta[i]);
        self.len = keep;
        for j in 0..keep {
            for i in 0..keep {
                self.core[j * self.capacity + i] = if i == j { values[i] } else { 0.0 };
            }
        }
        self.decomposed = false;
    }
}

/// How far an eigenvalue is from γ: the logarithm of their ratio, infinite for a negative one.
fn distance(theta: f64, complement: f64) -> f64 {
    if theta < 0.0 { f64::INFINITY } else { (theta.max(f64::MIN_POSITIVE) / complement).ln().abs() }
}
