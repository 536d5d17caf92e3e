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
//! For d ≤ capacity, B is in effect a full matrix; and where the matrix was formed, it becomes that. Where C + λI is
//! positive definite everything comes from its Cholesky factors ([`Projected`]), otherwise from its spectrum; that is
//! computed as well when the model is full and forgets, once for a quarter of its capacity.

use super::krylov::{KrylovSpace, scale_to_one};
use super::projected::Projected;
use super::spectral::{self, Answer, Question};
use super::units::Units;
use crate::base::native::{Matrix, MatrixMut};
use crate::base::{Scalar, columns::Columns, kernels, space};

/// Least |zᵀs| / ‖z‖‖s‖ for the rank-one formula.
const RANK_ONE: f64 = 0.05;
/// Rows of U that are multiplied at once when it is compressed.
const ROWS: usize = 256;
/// Unknowns up to which a formed matrix is remembered whole: one thread factors it in about 20 ms.
const WHOLE: usize = 512;
/// Units of roundoff that U may be off from orthogonal before a direction is orthogonalised again.
const LOST: f64 = 1e12;

/// The model. Storage: capacity + 4 vectors of length d.
pub struct RememberedModel<T> {
    dim: usize,
    /// The unknowns of all ranks.
    whole: usize,
    capacity: usize,
    basis: Vec<T>,
    /// C; one row more while a question is answered.
    core: Projected,
    /// γ: curvature of the directions that U does not span. 0 while nothing is known.
    exterior: f64,
    work: Vec<T>,
    direction: Vec<T>,
    /// A Ritz vector and its product, where not every product can be learnt.
    pair: (Vec<T>, Vec<T>),
    a: Vec<f64>,
    b: Vec<f64>,
    c: Vec<f64>,
    /// For [`compress`](Self::compress).
    order: Vec<usize>,
    rotation: Vec<T>,
    rows: Vec<T>,
}

impl<T: Scalar> RememberedModel<T> {
    pub fn new(dim: usize, capacity: usize) -> Self {
        let whole = space::whole(dim);
        let capacity = capacity.min(whole);
        let shrinks = if capacity < whole { capacity } else { 0 };
        RememberedModel {
            dim,
            whole,
            capacity,
            basis: vec![T::zero(); dim * capacity],
            core: Projected::new(capacity + 1),
            exterior: 0.0,
            work: vec![T::zero(); dim],
            direction: vec![T::zero(); dim],
            pair: (Vec::new(), Vec::new()),
            a: vec![0.0; capacity + 1],
            b: vec![0.0; capacity + 1],
            c: vec![0.0; capacity + 1],
            order: Vec::with_capacity(shrinks),
            rotation: vec![T::zero(); shrinks * shrinks],
            rows: vec![T::zero(); ROWS * shrinks],
        }
    }

    /// Whether anything is known.
    pub fn is_empty(&self) -> bool {
        self.exterior == 0.0
    }

    /// Sets γ > 0.
    pub fn set_exterior(&mut self, exterior: f64) {
        if exterior > 0.0 && exterior.is_finite() {
            self.exterior = exterior;
        }
    }

    /// out ← Bv.
    pub fn product(&mut self, v: &[T], out: &mut [T]) {
        let m = self.core.len();
        let basis = Columns::new(self.dim, &self.basis[..m * self.dim]);
        basis.transpose_times(v, &mut self.a[..m]);
        self.core.times(&self.a, &mut self.b);
        (0..m).for_each(|i| self.b[i] -= self.exterior * self.a[i]);
        kernels::scale_into(self.exterior, v, out);
        basis.add_times(1.0, &self.b[..m], out);
    }

    /// r ← |B + λI|⁻¹ r, eigenvalues bounded away from 0: the preconditioner for (M + λI).
    pub fn precondition(&mut self, shift: f64, r: &mut [T]) {
        if self.is_empty() {
            return;
        }
        let m = self.core.len();
        let outside = (self.exterior + shift).recip();
        let basis = Columns::new(self.dim, &self.basis[..m * self.dim]);
        basis.transpose_times(r, &mut self.a[..m]);
        self.b[..m].copy_from_slice(&self.a[..m]);
        if self.core.solve(shift, &mut self.b) {
            (0..m).for_each(|i| self.a[i] = self.b[i] - outside * self.a[i]);
        } else {
            let Some((eigen, unit)) = self.core.spectrum() else { return };
            let largest = eigen.values().iter().fold(self.exterior, |l, t| l.max((t * unit).abs())) + shift;
            let floor = 1e-10 * largest;
            eigen.to_eigenbasis(&self.a[..m], &mut self.b[..m]);
            for (b, theta) in self.b.iter_mut().zip(eigen.values()) {
                *b *= (theta * unit + shift).abs().max(floor).recip() - outside;
            }
            eigen.from_eigenbasis(&self.b[..m], &mut self.a[..m]);
        }
        kernels::scale(outside, r);
        basis.add_times(1.0, &self.a[..m], r);
    }

    /// Answers `question` about gᵀδ + ½δᵀBδ and writes the step. No product.
    pub fn answer(&mut self, question: Question, gradient: &[T], step: &mut [T]) -> Option<Answer> {
        if self.is_empty() {
            return None;
        }
        let m = self.core.len();
        let basis = Columns::new(self.dim, &self.basis[..m * self.dim]);
        // The gradient's part outside U is one more direction, with curvature γ.
        basis.transpose_times(gradient, &mut self.a[..m]);
        step.copy_from_slice(gradient);
        basis.add_times(-1.0, &self.a[..m], step);
        let outside = if m < self.whole { kernels::norm(step) } else { 0.0 };
        let (answer, along) = match self.definite_answer(question, outside) {
            Some(known) => known,
            None => self.spectral_answer(question, outside)?,
        };
        kernels::scale(if outside > 0.0 { along / outside } else { 0.0 }, step);
        let basis = Columns::new(self.dim, &self.basis[..m * self.dim]);
        basis.add_times(1.0, &self.b[..m], step);
        Some(answer)
    }

    /// The answer by Cholesky factors, for Uᵀg in `a` and the length of g's part outside; Uᵀδ goes to `b`, the step along
    /// that part is returned.
    fn definite_answer(&mut self, question: Question, outside: f64) -> Option<(Answer, f64)> {
        let m = self.core.len();
        self.core.set_linear(self.a[..m].iter().copied());
        if m == self.whole {
            let answer = self.core.definite_answer(question)?;
            self.b[..m].copy_from_slice(self.core.coefficients());
            return Some((answer, 0.0));
        }
        if self.core.is_decomposed() {
            return None;
        }
        self.c[..m].fill(0.0);
        self.c[m] = self.exterior;
        self.core.push(&self.c[..=m], outside);
        let answer = self.core.definite_answer(question);
        self.b[..=m].copy_from_slice(self.core.coefficients());
        self.core.pop();
        Some((answer?, self.b[m]))
    }

    /// The same by the spectrum.
    fn spectral_answer(&mut self, question: Question, outside: f64) -> Option<(Answer, f64)> {
        let m = self.core.len();
        let (eigen, unit) = self.core.spectrum()?;
        eigen.to_eigenbasis(&self.a[..m], &mut self.b[..m]);
        spectral::drop_rounding(eigen.values(), &mut self.b[..m]);
        let units = Units::new(unit, spectral::length(self.b[..m].iter().copied().chain([outside])));
        let exterior = self.exterior / unit;
        let place = eigen.values().partition_point(|&t| t < exterior);
        let total = if m < self.whole { m + 1 } else { m };
        self.c[..m].copy_from_slice(eigen.values());
        if total > m {
            self.b.copy_within(place..m, place + 1);
            self.b[place] = outside;
            self.c.copy_within(place..m, place + 1);
            self.c[place] = exterior;
        }
        self.b[..total].iter_mut().for_each(|b| *b *= units.linear);
        let asked = units.of_question(question);
        let answer = spectral::answer(asked, &self.c[..total], &self.b[..total], &mut self.a[..total]).ok()?;
        self.a[..total].iter_mut().for_each(|a| *a = units.back(*a));
        let along = if total > m { self.a[place] } else { 0.0 };
        if total > m {
            self.a.copy_within(place + 1..=m, place);
        }
        eigen.from_eigenbasis(&self.a[..m], &mut self.b[..m]);
        Some((units.of_answer(answer), along))
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
        self.core.set_matrix(matrix, unit, d);
        self.set_exterior(unit);
    }

    /// Learns every product of a Krylov space. The first one met sets γ, to the geometric mean of its Ritz values.
    pub fn learn_space(&mut self, space: &mut KrylovSpace<T>) {
        if space.len() == 0 {
            return;
        }
        if self.is_empty() {
            let theta = space.ritz_values();
            let logarithms: f64 = theta.iter().map(|t| t.abs().max(f64::MIN_POSITIVE).ln()).sum();
            self.set_exterior((logarithms / theta.len() as f64).exp());
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
        let distance = |i: &usize| distance(theta[*i], self.exterior);
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
        self.capacity + 2 + self.pair.0.len() / self.dim * 2
    }

    /// Makes Bs = y, as far as the update allows. `s` and `y` are finite.
    pub fn learn(&mut self, s: &[T], y: &[T]) {
        let (norm_s, norm_y) = (kernels::norm(s), kernels::norm(y));
        if !(norm_s > 0.0 && norm_s.is_finite() && norm_y.is_finite()) {
            return;
        }
        if self.is_empty() {
            self.set_exterior(norm_y / norm_s);
            if self.is_empty() {
                return;
            }
        }
        if self.capacity == 0 {
            return;
        }
        if self.core.len() + 2 > self.capacity && self.core.len() < self.whole && self.capacity < self.whole {
            self.compress();
        }
        // In units of ‖s‖: a = Uᵀs, b = Uᵀz and z = y − Bs less its part in U, which is y − γs less its own.
        let m = self.core.len();
        let (mut s_unit, mut z) = (std::mem::take(&mut self.direction), std::mem::take(&mut self.work));
        s_unit.copy_from_slice(s);
        scale_to_one(norm_s, &mut s_unit);
        kernels::scale_into(norm_s.recip(), y, &mut z);
        let size = norm_y / norm_s;
        let basis = Columns::new(self.dim, &self.basis[..m * self.dim]);
        basis.transpose_times(&s_unit, &mut self.a[..m]);
        basis.transpose_times(&z, &mut self.c[..m]);
        let (inside, outside) = (&self.a[..m], 1.0 - self.a[..m].iter().map(|a| a * a).sum::<f64>());
        if m < self.whole && outside > 0.01 {
            // γ moves halfway (geometrically) to the curvature that s shows outside U.
            let across: f64 = inside.iter().zip(&self.c).map(|(a, c)| a * c).sum();
            let observed = (kernels::dot(&s_unit, &z) - across) / outside;
            if observed > 1e-12 * self.exterior && observed.is_finite() {
                self.exterior = observed.sqrt() * self.exterior.sqrt();
            }
        }
        let gamma = self.exterior;
        self.core.times(&self.a, &mut self.b);
        for i in 0..m {
            (self.b[i], self.c[i]) = (self.c[i] - self.b[i], gamma * self.a[i] - self.c[i]);
        }
        kernels::axpy(-gamma, &s_unit, &mut z);
        basis.add_times(1.0, &self.c[..m], &mut z);
        let mut left = kernels::norm(&z);
        if left < (LOST * T::epsilon_f64()).min(0.7) * (gamma + size) {
            basis.transpose_times(&z, &mut self.c[..m]);
            basis.add_times(-1.0, &self.c[..m], &mut z);
            (0..m).for_each(|i| self.b[i] += self.c[i]);
            left = kernels::norm(&z);
        }
        let norm_z = spectral::length(self.b[..m].iter().copied().chain([left]));
        if norm_z > 1e-14 * size && norm_z.is_finite() {
            let along = kernels::dot(&s_unit, &z);
            let zs = self.a[..m].iter().zip(&self.b).map(|(a, b)| a * b).sum::<f64>() + along;
            if self.extend(&mut z, left, norm_z) {
                (self.a[m], self.b[m]) = (along / left, left);
            }
            if zs.abs() >= RANK_ONE * norm_z {
                let root = zs.abs().sqrt();
                self.b.iter_mut().for_each(|z| *z /= root);
                let z = &self.b[..self.core.len()];
                self.core.add(|i, j| z[i] * z[j] * zs.signum());
            } else {
                let m = self.core.len();
                let basis = Columns::new(self.dim, &self.basis[..m * self.dim]);
                basis.transpose_times(&s_unit, &mut self.a[..m]);
                basis.add_times(-1.0, &self.a[..m], &mut s_unit);
                let left = kernels::norm(&s_unit);
                if self.extend(&mut s_unit, left, 1.0) {
                    (self.a[m], self.b[m]) = (left, 0.0);
                }
                let (s, z) = (&self.a[..self.core.len()], &self.b[..self.core.len()]);
                self.core.add(|i, j| z[i] * s[j] + s[i] * z[j] - zs * (s[i] * s[j]));
            }
        }
        (self.direction, self.work) = (s_unit, z);
    }

    /// Adds the direction of `v`, orthogonal to U and so long, to U, if it is new in a vector of length `size`; overwrites it.
    fn extend(&mut self, v: &mut [T], left: f64, size: f64) -> bool {
        let m = self.core.len();
        let new = m < self.capacity && left > 1e-7 * size;
        if new {
            kernels::scale(left.recip(), v);
            self.basis[m * self.dim..(m + 1) * self.dim].copy_from_slice(v);
            self.c[..m].fill(0.0);
            self.c[m] = self.exterior;
            self.core.push(&self.c[..=m], 0.0);
        }
        new
    }

    /// Forgets the eigenvectors of B whose eigenvalues are closest to γ, a quarter of all.
    fn compress(&mut self) {
        let (m, dim) = (self.core.len(), self.dim);
        let keep = m - (m / 4).max(2).min(m);
        let RememberedModel { order, rotation, rows, basis, core, exterior, a, .. } = self;
        let Some((eigen, unit)) = core.spectrum() else {
            core.truncate(0);
            return;
        };
        let theta = eigen.values();
        order.clear();
        order.extend(0..m);
        let distance = |i: &usize| distance(theta[*i] * unit, *exterior);
        order.sort_unstable_by(|i, j| distance(j).total_cmp(&distance(i)).then(i.cmp(j)));
        order.truncate(keep);
        for (k, &i) in order.iter().enumerate() {
            a[k] = theta[i] * unit;
            let vector = eigen.vector(i).iter().map(|&q| T::from_f64(q));
            rotation[k * m..(k + 1) * m].iter_mut().zip(vector).for_each(|(to, q)| *to = q);
        }
        // U ← UQ, a block of rows at a time.
        for start in (0..dim).step_by(ROWS) {
            let height = ROWS.min(dim - start);
            for j in 0..m {
                let from = j * dim + start;
                rows[j * height..(j + 1) * height].copy_from_slice(&basis[from..from + height]);
            }
            let target = MatrixMut::by_columns(&mut basis[start..], height, keep, dim);
            let from = Matrix::by_columns(&rows[..height * m], height, m, height);
            T::multiply(target, false, from, Matrix::by_columns(&rotation[..m * keep], m, keep, m));
        }
        core.set_diagonal(&a[..keep]);
    }
}

/// How far an eigenvalue is from γ: the logarithm of their ratio, infinite for a negative one.
fn distance(theta: f64, exterior: f64) -> f64 {
    if theta < 0.0 { f64::INFINITY } else { (theta.max(f64::MIN_POSITIVE) / exterior).ln().abs() }
}
