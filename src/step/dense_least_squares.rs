//! The dense path of least squares: J is formed once for a point, and every λ and Δ is solved from its factors.
//!
//!   [JS  r] = Q [R  c],   R = UΣVᵀ,   z(λ) = −Σᵢ vᵢ σᵢ(uᵢᵀc) / (σᵢ² + λ)
//!
//! A Householder QR factorisation carries r along, so Q is never formed; the singular value decomposition of the small
//! R then solutions any subproblem in O(n) (Golub & Van Loan, *Matrix Computations* (2013), sections 5.3 and 5.5; both
//! factorisations by faer). JᵀJ is never formed: its condition number would be the square. Moré (1978) factorises
//! [R; √λD] anew for each λ; with Σ at hand no subproblem costs a factorisation. Singular values within
//! [`rank_noise`] of zero count as zero, and steps have no component along their vectors: where J has no full rank, or
//! m < n, it is the step of least ‖z‖ that is returned. All arithmetic is in f64, also for f32 vectors.

use faer::diag::DiagMut;
use faer::dyn_stack::StackReq;
use faer::linalg::qr::no_pivoting::factor::{QrParams, qr_in_place, qr_in_place_scratch, recommended_block_size};
use faer::linalg::svd::{ComputeSvdVectors, SvdParams, svd, svd_scratch};
use faer::{MatMut, MatRef, Spec};

use super::family::{Accuracy, InnerStop};
use super::gauss_newton::{Factors, GaussNewtonSteps, System};
use super::spectral::{self, Solution, Subproblem};
use crate::base::native::{Scratch, clean_registers};
use crate::base::{Scalar, columns, kernels, parallel};
use crate::operator::LinearMap;

/// A formed Jacobian and its factors. Storage: (2m + 4n)·n numbers and some vectors.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DenseLeastSquares<T> {
    m: usize,
    n: usize,
    /// J, by columns.
    jacobian: Vec<T>,
    /// [JS r], then R.
    work: Vec<f64>,
    reflectors: Vec<f64>,
    block: usize,
    /// R, k × n with k = min(m, n), and its factors.
    r: Vec<f64>,
    u: Vec<f64>,
    v: Vec<f64>,
    sigma: Vec<f64>,
    #[cfg_attr(feature = "serde", serde(skip))]
    scratch: Scratch,
    /// σᵢ² in rising order, in units of the squared size of JS.
    theta: Vec<f64>,
    /// σᵢ uᵢᵀc in the same order and units.
    c: Vec<f64>,
    y: Vec<f64>,
    z: Vec<f64>,
    scaling: Vec<f64>,
    projected: Vec<f64>,
    correction: Vec<f64>,
    size: f64,
    rank: usize,
    /// The relative error of J, if it is more than rounding.
    accuracy: Option<f64>,
    factored: bool,
}

/// What the factorisations need.
fn request(m: usize, n: usize, block: usize) -> StackReq {
    let (qr, values): (Spec<QrParams, f64>, Spec<SvdParams, f64>) = Default::default();
    let thin = ComputeSvdVectors::Thin;
    StackReq::any_of(&[
        qr_in_place_scratch::<f64>(m, n + 1, block, parallel::dense(n), qr),
        svd_scratch::<f64>(m.min(n), n, thin, thin, parallel::dense(n), values),
    ])
}

/// Up to where a singular value of an m × n matrix may be noise. The factorisation in f64 changes it by some
/// ε max(m, n) σ₁ (Golub & Van Loan 2013, section 5.4.1); columns with the relative error e, that of `T` or `accuracy`, by
/// at most e√n times their length, of which that of the shortest counts: one that is short by its scaling is no noise.
pub(crate) fn rank_noise<T: Scalar>(m: usize, n: usize, largest: f64, shortest: f64, accuracy: Option<f64>) -> f64 {
    let entries = accuracy.unwrap_or(0.0).max(T::epsilon_f64()) * (n as f64).sqrt() * shortest;
    entries.max(f64::EPSILON * m.max(n) as f64 * largest)
}

impl<T: Scalar> DenseLeastSquares<T> {
    pub fn new(m: usize, n: usize) -> Self {
        let (k, wide) = (m.min(n), n + 1);
        let block = recommended_block_size::<f64>(m, wide);
        DenseLeastSquares {
            m,
            n,
            jacobian: vec![T::zero(); m * n],
            work: vec![0.0; m * wide],
            reflectors: vec![0.0; block * m.min(wide)],
            block,
            r: vec![0.0; k * n],
            u: vec![0.0; k * k],
            v: vec![0.0; n * k],
            sigma: vec![0.0; k],
            scratch: Scratch::new(request(m, n, block)),
            theta: vec![0.0; k],
            c: vec![0.0; k],
            y: vec![0.0; k],
            z: vec![0.0; n],
            scaling: vec![0.0; n],
            projected: vec![0.0; n],
            correction: vec![0.0; n],
            size: 1.0,
            rank: 0,
            accuracy: None,
            factored: false,
        }
    }

    /// QR and SVD of the scaled Jacobian; false if they fail.
    fn factor(&mut self, residual: &[T], scaling: &[T]) -> bool {
        let (m, n, k) = (self.m, self.n, self.m.min(self.n));
        for j in 0..n {
            let s: f64 = scaling[j].into();
            self.scaling[j] = s;
            for (w, &a) in self.work[j * m..(j + 1) * m].iter_mut().zip(&self.jacobian[j * m..]) {
                *w = s * a.into();
            }
        }
        let largest = kernels::max_abs(&self.work[..m * n]);
        self.size = if largest > 0.0 { largest } else { 1.0 };
        let unit = self.size;
        self.work[..m * n].iter_mut().for_each(|w| *w /= unit);
        self.work[m * n..].iter_mut().zip(residual).for_each(|(w, &r)| *w = r.into() / unit);
        if !kernels::all_finite(&self.work) {
            return false;
        }
        let lengths = self.work[..m * n].chunks_exact(m).map(kernels::norm);
        let shortest = lengths.filter(|&length| length > 0.0).fold(f64::INFINITY, f64::min);
        let shortest = if shortest.is_finite() { shortest } else { 0.0 };
        let work = MatMut::from_column_major_slice_mut(&mut self.work, m, n + 1);
        let reflectors = MatMut::from_column_major_slice_mut(&mut self.reflectors, self.block, m.min(n + 1));
        let stack = self.scratch.stack(request(m, n, self.block));
        qr_in_place(work, reflectors, parallel::dense(n), stack, Spec::default());
        for j in 0..n {
            for i in 0..k {
                self.r[j * k + i] = if i <= j { self.work[j * m + i] } else { 0.0 };
            }
        }
        let decomposed = svd(
            MatRef::from_column_major_slice(&self.r, k, n),
            DiagMut::from_slice_mut(&mut self.sigma),
            Some(MatMut::from_column_major_slice_mut(&mut self.u, k, k)),
            Some(MatMut::from_column_major_slice_mut(&mut self.v, n, k)),
            parallel::dense(n),
            self.scratch.stack(StackReq::EMPTY),
            Spec::default(),
        );
        clean_registers();
        if decomposed.is_err() || !kernels::all_finite(&self.sigma) {
            return false;
        }
        let least = rank_noise::<T>(m, n, self.sigma[0], shortest, self.accuracy);
        self.rank = self.sigma.iter().filter(|&&sigma| sigma > least).count();
        let q = &self.work[m * n..m * n + k];
        for i in 0..k {
            let (sigma, at) = (self.sigma[i], k - 1 - i);
            let used = i < self.rank;
            self.theta[at] = if used { sigma * sigma } else { 0.0 };
            let along: f64 = self.u[i * k..(i + 1) * k].iter().zip(q).map(|(u, q)| u * q).sum();
            self.c[at] = if used { sigma * along } else { 0.0 };
        }
        true
    }
}

impl<T: Scalar> GaussNewtonSteps<T> for DenseLeastSquares<T> {
    fn entry_cost(&self, jacobian: &dyn LinearMap<T>) -> usize {
        jacobian.forming_cost()
    }

    fn enter(&mut self, jacobian: &dyn LinearMap<T>, residual: &[T], gradient: &mut [T]) -> bool {
        self.factored = false;
        self.accuracy = jacobian.accuracy();
        jacobian.form(&mut self.jacobian);
        for (g, column) in gradient.iter_mut().zip(self.jacobian.chunks_exact(self.m)) {
            *g = T::from_f64(kernels::dot(column, residual));
        }
        kernels::all_finite(&self.jacobian) && kernels::all_finite(gradient)
    }

    fn column_norms(&mut self, _: &dyn LinearMap<T>, norms: &mut [f64]) -> bool {
        for (norm, column) in norms.iter_mut().zip(self.jacobian.chunks_exact(self.m)) {
            *norm = kernels::norm(column);
        }
        true
    }

    fn largest_singular_value(&self) -> f64 {
        self.jacobian.chunks_exact(self.m).map(|column| kernels::norm(column)).fold(0.0, f64::max)
    }

    fn exact(&self) -> bool {
        // Between √ε of forward differences and ε^⅔ of central ones: half of the digits leave nothing to polish.
        self.accuracy.is_none_or(|accuracy| accuracy < T::epsilon_f64().powf(0.6))
    }

    fn solution(
        &mut self,
        system: &System<'_, T>,
        subproblem: Subproblem,
        _: Option<Accuracy>,
    ) -> Option<(Solution, InnerStop)> {
        if !self.factored {
            self.factored = self.factor(system.residual, system.scaling);
        }
        if !self.factored {
            return None;
        }
        let square = self.size * self.size;
        let subproblem = match subproblem {
            // Of all the minima the shortest.
            Subproblem::Damped(0.0) => Subproblem::Radius(f64::INFINITY),
            Subproblem::Damped(damping) => Subproblem::Damped(damping / square),
            other => other,
        };
        let mut solution = spectral::solution(subproblem, &self.theta, &self.c, &mut self.y).ok()?;
        let k = self.y.len();
        self.z.fill(0.0);
        for (i, v) in self.v.chunks_exact(self.n).enumerate() {
            let y = self.y[k - 1 - i];
            self.z.iter_mut().zip(v).for_each(|(z, v)| *z += y * v);
        }
        solution.shift *= square;
        solution.slope *= square;
        solution.curvature *= square;
        Some((solution, InnerStop::Dense))
    }

    fn step(&self, step: &mut [T]) {
        for ((step, z), s) in step.iter_mut().zip(&self.z).zip(&self.scaling) {
            *step = T::from_f64(s * z);
        }
    }

    fn factors(&mut self) -> Option<&mut dyn Factors<T>> {
        Some(self)
    }

    fn numbers(&self) -> usize {
        self.jacobian.len() + self.work.len() + self.reflectors.len() + self.r.len() + self.u.len() + self.v.len()
    }
}

impl<T: Scalar> Factors<T> for DenseLeastSquares<T> {
    fn accelerate(&mut self, second: &[T], shift: f64, step: &mut [T]) -> f64 {
        // z = −V (Σ² + λ)⁻¹ Vᵀ S Jᵀr″
        for j in 0..self.n {
            let column = &self.jacobian[j * self.m..(j + 1) * self.m];
            self.projected[j] = self.scaling[j] * kernels::dot(column, second);
        }
        let (k, square) = (self.y.len(), self.size * self.size);
        self.correction.fill(0.0);
        for (i, v) in self.v.chunks_exact(self.n).enumerate() {
            let theta = square * self.theta[k - 1 - i];
            if theta > 0.0 {
                let along: f64 = v.iter().zip(&self.projected).map(|(v, p)| v * p).sum();
                let y = -along / (theta + shift);
                self.correction.iter_mut().zip(v).for_each(|(z, v)| *z += y * v);
            }
        }
        for (step, (z, s)) in step.iter_mut().zip(self.correction.iter().zip(&self.scaling)) {
            *step += T::from_f64(0.5 * s * z);
        }
        kernels::norm(&self.correction)
    }

    fn image(&mut self, out: &mut [T]) {
        self.projected.iter_mut().zip(self.z.iter().zip(&self.scaling)).for_each(|(p, (z, s))| *p = s * z);
        columns::Columns::new(self.m, &self.jacobian).times(&self.projected, out);
    }

    fn rank(&mut self, residual: &[T], scaling: &[T]) -> Option<usize> {
        self.factored = self.factored || self.factor(residual, scaling);
        self.factored.then_some(self.rank)
    }

    fn null_direction(&self, k: usize, out: &mut [T]) -> bool {
        let from = (self.rank + k) * self.n;
        let Some(v) = self.v.get(from..from + self.n) else { return false };
        for ((out, v), s) in out.iter_mut().zip(v).zip(&self.scaling) {
            *out = T::from_f64(s * v);
        }
        kernels::max_abs(out) > 0.0
    }
}
