//! A small quadratic model bᵀy + ½ yᵀAy, k × k, and the solutions to all subproblems about it.
//!
//! A solution comes from Cholesky factors of A + λI by [`secular`](super::secular): k³/3 operations for a new λ, and O(k²)
//! where a known factor gains the rows by which A has grown. In the hard case, and for the spectrum itself, the
//! eigendecomposition is computed, once for an A, and solves by [`spectral`](super::spectral) whatever is asked.
//!
//! A and b are held in units (powers of two) in which the first curvature met and ‖b‖ are about 1, so that no square
//! overflows or vanishes whatever the units of f and x.

use faer::Par;

use super::factors::Factors;
use super::projected_model::ProjectedModel;
use super::reflected::Reflected;
use super::secular;
use super::spectral::{self, Indefinite, Solution, Subproblem};
use super::units::{FAR, Units, binade};
use crate::base::Eigen;
use crate::base::native::vectorized;

/// The model, its factor and its spectrum.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Projected {
    capacity: usize,
    len: usize,
    /// A by rows with stride `capacity`, both triangles, in units.
    matrix: Vec<f64>,
    /// b as it is.
    linear: Vec<f64>,
    /// The unit of A.
    unit: f64,
    factors: Factors,
    reflected: Reflected,
    /// The shift of the last solution, and that of the last for another model: where searches begin, so that the same
    /// subproblem has the same solution to the last bit.
    hint: f64,
    start: f64,
    eigen: Eigen,
    decomposed: bool,
    /// Eigenvalues as they are.
    values: Vec<f64>,
    /// The last solution's y.
    y: Vec<f64>,
    c: Vec<f64>,
    work: Vec<f64>,
}

impl Projected {
    pub fn new(capacity: usize) -> Self {
        let zeros = || vec![0.0; capacity];
        Projected {
            capacity,
            len: 0,
            matrix: vec![0.0; capacity * capacity],
            linear: zeros(),
            unit: 0.0,
            factors: Factors::new(capacity),
            reflected: Reflected::new(),
            hint: 0.0,
            start: 0.0,
            eigen: Eigen::new(capacity),
            decomposed: false,
            values: zeros(),
            y: zeros(),
            c: zeros(),
            work: zeros(),
        }
    }

    pub fn clear(&mut self) {
        (self.unit, self.hint, self.start) = (0.0, 0.0, 0.0);
        self.truncate(0);
    }

    /// Keeps the leading block.
    pub fn truncate(&mut self, len: usize) {
        self.len = len.min(self.len);
        self.factors.keep(self.len);
        self.reflected.clear();
        self.decomposed = false;
    }

    /// Room for `capacity` rows.
    pub fn reserve(&mut self, capacity: usize) {
        if capacity <= self.capacity {
            return;
        }
        let (mut larger, k) = (Projected::new(capacity), self.len);
        for i in 0..k {
            larger.matrix[i * capacity..i * capacity + k]
                .copy_from_slice(&self.matrix[i * self.capacity..i * self.capacity + k]);
        }
        larger.linear[..k].copy_from_slice(&self.linear[..k]);
        larger.y[..k].copy_from_slice(&self.y[..k]);
        (larger.len, larger.unit, larger.hint, larger.start) = (k, self.unit, self.hint, self.start);
        *self = larger;
    }

    /// Adds the last row (and column) of A, without its unit, and the last component of b.
    pub fn push(&mut self, row: &[f64], linear: f64) {
        let (k, n) = (self.len, self.capacity);
        let largest = row.iter().fold(0.0, |l: f64, a| l.max(a.abs()));
        if largest > 0.0 && (self.unit == 0.0 || largest > FAR * self.unit) {
            self.change_unit(binade(largest));
        }
        for (i, &a) in row.iter().enumerate() {
            let a = if a == 0.0 { 0.0 } else { a / self.unit };
            self.matrix[k * n + i] = a;
            self.matrix[i * n + k] = a;
        }
        self.linear[k] = linear;
        self.len += 1;
        self.reflected.clear();
        self.decomposed = false;
    }

    fn change_unit(&mut self, unit: f64) {
        let factor = if self.unit == 0.0 { 1.0 } else { self.unit / unit };
        self.matrix.iter_mut().for_each(|a| *a *= factor);
        self.hint *= factor;
        self.start *= factor;
        self.unit = unit;
        self.changed();
    }

    /// A is another one.
    fn changed(&mut self) {
        self.factors.keep(0);
        self.reflected.clear();
        self.decomposed = false;
    }

    /// The model is another one: searches begin at the last solution's shift.
    pub fn begin(&mut self) {
        self.start = self.hint;
    }

    /// Takes the last row away again.
    pub fn pop(&mut self) {
        self.truncate(self.len - 1);
    }

    /// Replaces b.
    pub fn set_linear(&mut self, linear: impl Iterator<Item = f64>) {
        self.linear.iter_mut().zip(linear).for_each(|(b, value)| *b = value);
    }

    /// Replaces A by a matrix given by rows, in a unit.
    pub fn set_matrix(&mut self, matrix: &[f64], unit: f64, len: usize) {
        self.len = len;
        for (row, from) in self.matrix.chunks_exact_mut(self.capacity).zip(matrix.chunks_exact(len)) {
            row[..len].copy_from_slice(from);
        }
        (self.unit, self.hint, self.start) = (unit, 0.0, 0.0);
        self.changed();
    }

    /// A ← UAUᵀ for an orthogonal U given by its entries.
    pub fn rotate(&mut self, u: impl Fn(usize, usize) -> f64) {
        let (k, n) = (self.len, self.capacity);
        let mut half = vec![0.0; k];
        let from = self.matrix.clone();
        for i in 0..k {
            half.fill(0.0);
            for (l, row) in from.chunks_exact(n).take(k).enumerate() {
                let u = u(i, l);
                half.iter_mut().zip(row).for_each(|(half, a)| *half += u * a);
            }
            for j in 0..=i {
                let entry = half.iter().enumerate().map(|(l, half)| half * u(j, l)).sum();
                self.matrix[i * n + j] = entry;
                self.matrix[j * n + i] = entry;
            }
        }
        self.changed();
    }

    /// Replaces A by a diagonal matrix.
    pub fn set_diagonal(&mut self, values: &[f64]) {
        self.len = values.len();
        for (i, row) in self.matrix.chunks_exact_mut(self.capacity).enumerate().take(self.len) {
            row[..values.len()].fill(0.0);
            row[i] = values[i] / self.unit;
        }
        self.changed();
    }

    /// A ← A + uvᵀ + vuᵀ; u is scaled.
    pub fn add(&mut self, u: &mut [f64], v: &[f64]) {
        let (k, n, inverse) = (self.len, self.capacity, self.unit.recip());
        let (u, v, matrix) = (&mut u[..k], &v[..k], &mut self.matrix);
        u.iter_mut().for_each(|u| *u *= inverse);
        let mut most = [0.0_f64; 8];
        vectorized(
            k,
            #[inline(always)]
            || {
                for (i, row) in matrix.chunks_exact_mut(n).take(k).enumerate() {
                    let (row, alpha, beta) = (&mut row[..k], u[i], v[i]);
                    row.iter_mut().zip(&*u).zip(v).for_each(|((a, u), v)| *a += alpha * v + beta * u);
                    let (chunks, last) = row.as_chunks::<8>();
                    let largest = |most: &mut f64, a: &f64| *most = if a.abs() > *most { a.abs() } else { *most };
                    for chunk in chunks {
                        most.iter_mut().zip(chunk).for_each(|(most, a)| largest(most, a));
                    }
                    most.iter_mut().zip(last).for_each(|(most, a)| largest(most, a));
                }
            },
        );
        self.changed();
        let largest = most.into_iter().fold(0.0, f64::max);
        let far = largest > FAR || largest < FAR.recip();
        if far && largest > 0.0 && largest.is_finite() {
            self.change_unit(self.unit * binade(largest));
        }
    }

    /// out ← Ax.
    pub fn times(&self, x: &[f64], out: &mut [f64]) {
        let (k, out) = (self.len, &mut out[..self.len]);
        out.fill(0.0);
        vectorized(
            k,
            #[inline(always)]
            || {
                for (row, &x) in self.matrix.chunks_exact(self.capacity).zip(&x[..k]) {
                    out.iter_mut().zip(&row[..k]).for_each(|(out, a)| *out += x * a);
                }
            },
        );
        out.iter_mut().for_each(|out| *out *= self.unit);
    }

    pub fn len(&self) -> usize {
        self.len
    }

    fn decompose(&mut self) -> bool {
        if !self.decomposed {
            self.decomposed = self.eigen.decompose(&self.matrix, self.capacity, self.len, Par::Seq);
            let unit = if self.unit == 0.0 { 1.0 } else { self.unit };
            self.values.iter_mut().zip(self.eigen.values()).for_each(|(value, &theta)| *value = theta * unit);
        }
        self.decomposed
    }

    /// Eigenvalues in rising order; empty if there is none.
    pub fn eigenvalues(&mut self) -> &[f64] {
        let known = if self.decompose() { self.len } else { 0 };
        &self.values[..known]
    }

    /// The eigendecomposition, in the unit of A; `None` if there is none.
    pub fn spectrum(&mut self) -> Option<(&Eigen, f64)> {
        self.decompose().then_some((&self.eigen, self.unit))
    }

    /// The eigenvector of the `j`-th lowest eigenvalue. Expects the eigenvalues to have been asked for.
    pub fn eigenvector(&self, j: usize) -> &[f64] {
        self.eigen.vector(j)
    }

    /// x ← (A + λI)⁻¹x; false, and nothing was done, where that is not positive definite or the eigenvalues are known.
    pub fn solve(&mut self, shift: f64, x: &mut [f64]) -> bool {
        let (k, shift) = (self.len, shift / self.unit);
        if self.decomposed {
            return false;
        }
        if !self.factors.make(&self.matrix, shift, k) {
            return false;
        }
        self.factors.solve(&mut x[..k]);
        x[..k].iter_mut().for_each(|x| *x /= self.unit);
        true
    }

    /// x ← |A + λI|⁻¹x where A + λI has one negative eigenvalue; false, and nothing was done, where it has more, or where
    /// there is no solution to start from.
    pub fn solve_reflected(&mut self, shift: f64, x: &mut [f64]) -> bool {
        if self.decomposed {
            return false;
        }
        let (k, unit) = (self.len, self.unit);
        let Projected { matrix, capacity, factors, reflected, hint, c, .. } = self;
        let done = reflected.solve(matrix, *capacity, shift / unit, &mut x[..k], |q| {
            let value = factors.make(matrix, *hint, k).then(|| factors.lowest_eigenvalue(&mut c[..k]))?;
            q.copy_from_slice(&c[..k]);
            Some(value)
        });
        if done {
            x[..k].iter_mut().for_each(|x| *x /= unit);
        }
        done
    }

    /// The lowest eigenvalue; where a factor is at hand an estimate from above by inverse iteration, with the right sign.
    pub fn lowest_eigenvalue(&mut self) -> Option<f64> {
        let k = self.len;
        if self.decomposed || k <= 2 || !self.factors.has(k) {
            return self.eigenvalues().first().copied();
        }
        if self.factors.indefinite_up_to() < 0.0 && !self.factors.make(&self.matrix, 0.0, k) {
            return self.eigenvalues().first().copied();
        }
        Some(self.factors.lowest_eigenvalue(&mut self.c[..k]) * self.unit)
    }

    /// Answers `subproblem`; y is then had from [`coefficients`](Self::coefficients).
    pub fn solution(&mut self, subproblem: Subproblem) -> Result<Solution, Indefinite> {
        if let Some(solution) = self.definite_solution(subproblem) {
            return Ok(solution);
        }
        let (k, units) = (self.len, self.units());
        if !self.decompose() {
            return Err(Indefinite { lowest: f64::NAN });
        }
        self.c[..k].iter_mut().zip(&self.linear).for_each(|(c, &b)| *c = b * units.linear);
        self.eigen.to_eigenbasis(&self.c[..k], &mut self.work);
        let asked = units.of_question(subproblem);
        let solution = spectral::solution(asked, self.eigen.values(), &self.work[..k], &mut self.c[..k])
            .map_err(|indefinite| Indefinite { lowest: indefinite.lowest * self.unit })?;
        self.eigen.from_eigenbasis(&self.c[..k], &mut self.y[..k]);
        self.hint = solution.shift;
        Ok(self.finish(&units, solution))
    }

    /// As [`solution`](Self::solution), where Cholesky factors can give it.
    pub fn definite_solution(&mut self, subproblem: Subproblem) -> Option<Solution> {
        let (k, units) = (self.len, self.units());
        // The search has to be the same, whatever was asked before.
        self.factors.forget_failures();
        self.c[..k].iter_mut().zip(&self.linear).for_each(|(c, &b)| *c = b * units.linear);
        let mut shifted = ProjectedModel {
            matrix: &self.matrix,
            stride: self.capacity,
            linear: &self.c[..k],
            factors: &mut self.factors,
            y: &mut self.y[..k],
            work: &mut self.work[..k],
        };
        let solution = secular::solution(units.of_question(subproblem), self.start, &mut shifted)?;
        self.hint = solution.shift;
        Some(self.finish(&units, solution))
    }

    fn units(&self) -> Units {
        Units::new(self.unit, spectral::length(self.linear[..self.len].iter().copied()))
    }

    fn finish(&mut self, units: &Units, solution: Solution) -> Solution {
        self.y[..self.len].iter_mut().for_each(|y| *y = units.back(*y));
        units.of_solution(solution)
    }

    /// y of the last solution.
    pub fn coefficients(&self) -> &[f64] {
        &self.y[..self.len]
    }
}
