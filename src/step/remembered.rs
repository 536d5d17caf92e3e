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
//! Nearly everything comes from Cholesky factors of C + λI ([`Projected`]); in the hard case, with several negative
//! eigenvalues, and where half is forgotten, from the spectrum.
//! For d ≤ capacity, B becomes a full matrix, and U = I; so it does where the matrix was formed.

use super::krylov::{KrylovSpace, scale_to_one};
use super::orthonormal::OrthonormalBasis;
use super::projected::Projected;
use super::spectral::{self, Solution, Subproblem};
use super::units::Units;
use crate::base::{Scalar, kernels, space};

/// Least |zᵀs| / ‖z‖‖s‖ for the rank-one formula.
const RANK_ONE: f64 = 0.05;
/// Unknowns up to which a formed matrix is remembered whole: one thread factors it in about 20 ms.
const WHOLE: usize = 512;

/// The model. Storage: capacity + 3 vectors of length d.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RememberedModel<T> {
    dim: usize,
    /// The unknowns of all ranks.
    whole: usize,
    capacity: usize,
    basis: OrthonormalBasis<T>,
    /// C; one row more while a question is answered.
    core: Projected,
    /// γ: curvature of the directions that U does not span. 0 while nothing is known.
    complement: f64,
    work: Vec<T>,
    direction: Vec<T>,
    /// A Ritz vector and its product, where not every product can be learnt.
    pair: (Vec<T>, Vec<T>),
    a: Vec<f64>,
    b: Vec<f64>,
    c: Vec<f64>,
    /// For [`forget`](Self::forget).
    order: Vec<usize>,
    rotation: Vec<T>,
}

impl<T: Scalar> RememberedModel<T> {
    pub fn new(dim: usize, capacity: usize) -> Self {
        let whole = space::whole(dim);
        let capacity = capacity.min(whole);
        RememberedModel {
            dim,
            whole,
            capacity,
            basis: OrthonormalBasis::new(dim, capacity),
            core: Projected::new(capacity + 1),
            complement: 0.0,
            work: vec![T::zero(); dim],
            direction: vec![T::zero(); dim],
            pair: (Vec::new(), Vec::new()),
            a: vec![0.0; capacity + 1],
            b: vec![0.0; capacity + 1],
            c: vec![0.0; capacity + 1],
            order: Vec::with_capacity(capacity),
            rotation: Vec::with_capacity(capacity * capacity / 2),
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

    /// out ← Bv.
    pub fn product(&mut self, v: &[T], out: &mut [T]) {
        let m = self.core.len();
        self.basis.inside(v, &mut self.a[..m]);
        self.core.times(&self.a, &mut self.b);
        self.spread(self.complement, v, out);
    }

    /// out ← αv + U(b − αa), where a = Uᵀv.
    fn spread(&mut self, alpha: f64, v: &[T], out: &mut [T]) {
        let m = self.core.len();
        if m == self.whole {
            out.fill(T::zero());
        } else {
            (0..m).for_each(|i| self.b[i] -= alpha * self.a[i]);
            kernels::scale_into(alpha, v, out);
        }
        self.basis.add(1.0, &self.b[..m], out);
    }

    /// r ← |B + λI|⁻¹ r, eigenvalues bounded away from 0: the preconditioner for (M + λI).
    pub fn precondition(&mut self, shift: f64, r: &mut [T]) {
        if self.is_empty() {
            return;
        }
        let m = self.core.len();
        self.basis.inside(r, &mut self.a[..m]);
        self.b[..m].copy_from_slice(&self.a[..m]);
        if !self.core.solve(shift, &mut self.b) && !self.core.solve_reflected(shift, &mut self.b) {
            let Some((eigen, unit)) = self.core.spectrum() else { return };
            let largest = eigen.values().iter().fold(self.complement, |l, t| l.max((t * unit).abs())) + shift;
            let floor = 1e-10 * largest;
            eigen.to_eigenbasis(&self.a[..m], &mut self.c[..m]);
            for (c, theta) in self.c.iter_mut().zip(eigen.values()) {
                *c *= (theta * unit + shift).abs().max(floor).recip();
            }
            eigen.from_eigenbasis(&self.c[..m], &mut self.b[..m]);
        }
        let mut v = std::mem::take(&mut self.work);
        v.copy_from_slice(r);
        self.spread((self.complement + shift).recip(), &v, r);
        self.work = v;
    }

    /// Answers `subproblem` about gᵀδ + ½δᵀBδ and writes the step. No product.
    pub fn solution(&mut self, subproblem: Subproblem, gradient: &[T], step: &mut [T]) -> Option<Solution> {
        if self.is_empty() {
            return None;
        }
        let m = self.core.len();
        // The gradient's part outside U is one more direction, with curvature γ.
        self.basis.inside(gradient, &mut self.a[..m]);
        step.copy_from_slice(gradient);
        let outside = self.basis.remove(&mut self.a[..m], kernels::norm(gradient), step);
        let (solution, along) = match self.definite_solution(subproblem, outside) {
            Some(known) => known,
            None => self.spectral_answer(subproblem, outside)?,
        };
        if outside > 0.0 {
            kernels::scale(along / outside, step);
        } else {
            step.fill(T::zero());
        }
        self.basis.add(1.0, &self.b[..m], step);
        Some(solution)
    }

    /// The answer by Cholesky factors, for Uᵀg in `a` and the length of g's part outside; Uᵀδ goes to `b`, the step along
    /// that part is returned.
    fn definite_solution(&mut self, subproblem: Subproblem, outside: f64) -> Option<(Solution, f64)> {
        let m = self.core.len();
        self.core.set_linear(self.a[..m].iter().copied());
        if m == self.whole {
            let solution = self.core.definite_solution(subproblem)?;
            self.b[..m].copy_from_slice(self.core.coefficients());
            return Some((solution, 0.0));
        }
        self.c[..m].fill(0.0);
        self.c[m] = self.complement;
        self.core.push(&self.c[..=m], outside);
        let solution = self.core.definite_solution(subproblem);
        self.b[..=m].copy_from_slice(self.core.coefficients());
        self.core.pop();
        Some((solution?, self.b[m]))
    }

    /// The same by the spectrum.
    fn spectral_answer(&mut self, subproblem: Subproblem, outside: f64) -> Option<(Solution, f64)> {
        let m = self.core.len();
        let (eigen, unit) = self.core.spectrum()?;
        eigen.to_eigenbasis(&self.a[..m], &mut self.b[..m]);
        spectral::drop_rounding(eigen.values(), &mut self.b[..m]);
        let units = Units::new(unit, spectral::length(self.b[..m].iter().copied().chain([outside])));
        let complement = self.complement / unit;
        let place = eigen.values().partition_point(|&t| t < complement);
        let total = if m < self.whole { m + 1 } else { m };
        self.c[..m].copy_from_slice(eigen.values());
        if total > m {
            self.b.copy_within(place..m, place + 1);
            self.b[place] = outside;
            self.c.copy_within(place..m, place + 1);
            self.c[place] = complement;
        }
        self.b[..total].iter_mut().for_each(|b| *b *= units.linear);
        let asked = units.of_question(subproblem);
        let solution = spectral::solution(asked, &self.c[..total], &self.b[..total], &mut self.a[..total]).ok()?;
        self.a[..total].iter_mut().for_each(|a| *a = units.back(*a));
        let along = if total > m { self.a[place] } else { 0.0 };
        if total > m {
            self.a.copy_within(place + 1..=m, place);
        }
        eigen.from_eigenbasis(&self.a[..m], &mut self.b[..m]);
        Some((units.of_solution(solution), along))
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
        self.basis.become_identity();
        self.core.set_matrix(matrix, unit, d);
        self.set_complement(unit);
    }

    /// Learns every product of a Krylov space. The first one met sets γ, to the geometric mean of its Ritz values.
    pub fn learn_space(&mut self, space: &mut KrylovSpace<T>) {
        if space.len() == 0 {
            return;
        }
        if self.is_empty() {
            let theta = space.ritz_values();
            let floor = f64::EPSILON * theta.iter().fold(0.0, |l: f64, t| l.max(t.abs()));
            if floor == 0.0 {
                return;
            }
            let logarithms: f64 = theta.iter().map(|t| t.abs().max(floor).ln()).sum();
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

    /// Whether it knows curvature along every direction, and none is negative.
    pub fn is_definite(&mut self) -> bool {
        self.core.len() == self.whole && self.core.lowest_eigenvalue().is_some_and(|lowest| lowest > 0.0)
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
            self.set_complement(norm_y / norm_s);
            if self.is_empty() {
                return;
            }
        }
        if self.capacity == 0 {
            return;
        }
        if self.core.len() + 2 > self.capacity && self.core.len() < self.whole && self.capacity < self.whole {
            self.forget();
        }
        // In units of ‖s‖.
        let m = self.core.len();
        let (mut s_unit, mut z) = (std::mem::take(&mut self.direction), std::mem::take(&mut self.work));
        s_unit.copy_from_slice(s);
        scale_to_one(norm_s, &mut s_unit);
        kernels::scale_into(norm_s.recip(), y, &mut z);
        let size = norm_y / norm_s;
        self.basis.inside(&s_unit, &mut self.a[..m]);
        self.basis.inside(&z, &mut self.c[..m]);
        if m < self.whole {
            self.adapt_complement(kernels::dot(&s_unit, &z));
            kernels::axpy(-self.complement, &s_unit, &mut z);
        }
        // z = y − Bs = (y − γs) + U(γI − C)Uᵀs: its part outside U is that of y − γs, and b = Uᵀz.
        let gamma = self.complement;
        self.c.iter_mut().zip(&self.a[..m]).for_each(|(c, a)| *c -= gamma * a);
        let left = self.basis.remove(&mut self.c[..m], kernels::norm(&z), &mut z);
        self.core.times(&self.a, &mut self.b);
        (0..m).for_each(|i| self.b[i] = self.c[i] + gamma * self.a[i] - self.b[i]);
        let norm_z = spectral::length(self.b[..m].iter().copied().chain([left]));
        if norm_z > 1e-14 * size && norm_z.is_finite() {
            let along = if left > 0.0 { kernels::dot(&s_unit, &z) } else { 0.0 };
            let zs = self.a[..m].iter().zip(&self.b).map(|(a, b)| a * b).sum::<f64>() + along;
            if self.extend(&z, left, norm_z) {
                (self.a[m], self.b[m]) = (along / left, left);
            }
            let m = self.core.len();
            if zs.abs() >= RANK_ONE * norm_z {
                // zzᵀ / zᵀs
                let root = zs.abs().sqrt();
                for (c, b) in self.c.iter_mut().zip(&mut self.b[..m]) {
                    *b /= root;
                    *c = *b * 0.5_f64.copysign(zs);
                }
            } else {
                // wsᵀ + swᵀ with w = z − ½(zᵀs)s
                let left = self.basis.remove(&mut self.a[..m], 1.0, &mut s_unit);
                if self.extend(&s_unit, left, 1.0) {
                    (self.a[m], self.b[m]) = (left, 0.0);
                }
                for ((c, b), a) in self.c.iter_mut().zip(&mut self.b).zip(&self.a[..self.core.len()]) {
                    *c = *b - 0.5 * zs * a;
                    *b = *a;
                }
            }
            self.core.add(&mut self.c, &self.b);
        }
        (self.direction, self.work) = (s_unit, z);
        self.core.begin();
        if self.core.len() == self.dim && !space::in_parts() && !self.basis.is_identity() {
            self.core.rotate(|i, j| self.basis.entry(i, j));
            self.basis.become_identity();
        }
    }

    /// Moves γ halfway (geometrically) to the curvature that s, of length 1, shows outside U, for a = Uᵀs, c = Uᵀy.
    fn adapt_complement(&mut self, sy: f64) {
        let m = self.core.len();
        let outside = 1.0 - self.a[..m].iter().map(|a| a * a).sum::<f64>();
        if outside > 0.01 {
            let inside: f64 = self.a[..m].iter().zip(&self.c).map(|(a, c)| a * c).sum();
            let observed = (sy - inside) / outside;
            if observed > 0.0 && observed.is_finite() {
                self.complement = observed.sqrt() * self.complement.sqrt();
            }
        }
    }

    /// Adds the direction of `v`, orthogonal to U and so long, to U, if it is new in a vector of length `size`.
    fn extend(&mut self, v: &[T], left: f64, size: f64) -> bool {
        let m = self.core.len();
        let new = m < self.capacity && left > 1e-7 * size;
        if new {
            self.basis.push(left, v);
            self.c[..m].fill(0.0);
            self.c[m] = self.complement;
            self.core.push(&self.c[..=m], 0.0);
        }
        new
    }

    /// Forgets the eigenvectors of B whose eigenvalues are closest to γ, half of all: a spectrum for as many pairs.
    fn forget(&mut self) {
        let m = self.core.len();
        let keep = m - m.div_ceil(2).max(2).min(m);
        let RememberedModel { order, rotation, basis, core, complement, a, .. } = self;
        order.clear();
        rotation.clear();
        if let Some((eigen, unit)) = core.spectrum() {
            let distance = |i: usize| distance(eigen.values()[i] * unit, *complement);
            order.extend(0..m);
            order.sort_unstable_by(|&i, &j| distance(j).total_cmp(&distance(i)).then(i.cmp(&j)));
            order.truncate(keep);
            for (a, &i) in a.iter_mut().zip(&*order) {
                *a = eigen.values()[i] * unit;
                rotation.extend(eigen.vector(i).iter().map(|&q| T::from_f64(q)));
            }
        }
        basis.multiply(rotation);
        core.set_diagonal(&a[..order.len()]);
    }
}

/// How far an eigenvalue is from γ: the logarithm of their ratio, infinite for a negative one.
fn distance(theta: f64, complement: f64) -> f64 {
    if theta < 0.0 { f64::INFINITY } else { (theta.max(f64::MIN_POSITIVE) / complement).ln().abs() }
}
