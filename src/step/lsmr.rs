//! LSMR: damped least squares by short recurrences.
//!
//!   x = argmin ‖Ax − b‖² + λ‖x‖²
//!
//! Fong & Saunders, SIAM J. Sci. Comput. 33 (2011): MINRES on the normal equations, without forming them. The lower
//! bidiagonal matrix of [`Bidiagonalization`](super::bidiagonalization::Bidiagonalization) is made upper bidiagonal by
//! rotations, √λ and β at a time, and a second time from the other side, so that ‖Aᵀr − λx‖ = |ζ̄| never rises. The
//! estimates of ‖r̄‖, ‖A‖ and of the condition number are theirs as well (section 3), with r̄ = [b − Ax; −√λx] and
//! [A; √λI] in the place of A. Letters are those of the paper.
//!
//! Deviations: h, h̄ and x do not matter to the bidiagonalisation, so that they fall behind by up to four iterations and
//! are brought up to date in one pass, which also sums up ‖x‖; since the shift acts on the scalars only,
//! [`replay`](Lsmr::replay) runs the recurrence for another λ over stored v, without a product.
//!
//! Storage: x, h, h̄ and three spent v, beside the vectors of the bidiagonalisation.

use super::bidiagonal::Bidiagonal;
use super::bidiagonalization::Bidiagonalization;
use crate::base::{Scalar, columns::Columns, kernels};

/// Iterations that one pass brings x up to date with: 10 vectors are read or written for 4 iterations, 24 one by one.
const PENDING: usize = 4;

/// The rotations, and what they know of the iterate.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Rotations {
    /// √λ.
    root: f64,
    alpha_bar: f64,
    zeta_bar: f64,
    zeta: f64,
    rho: f64,
    rho_bar: f64,
    c_bar: f64,
    s_bar: f64,
    // For ‖r̄‖: β̈, β̇, ρ̇, τ̃, θ̃, and Σβ̌².
    beta_ddot: f64,
    beta_dot: f64,
    rho_dot: f64,
    tau: f64,
    theta_tilde: f64,
    shed: f64,
    residual: f64,
    // For the norm and the condition number: ‖B‖² in the Frobenius norm, and the extreme ρ̄.
    squares: f64,
    largest: f64,
    least: f64,
    /// The ρ̄ that a last iteration would have.
    last: f64,
    first: bool,
}

/// c, s and r with [c s; s −c][a; b] = [r; 0].
fn rotation(a: f64, b: f64) -> (f64, f64, f64) {
    let r = a.hypot(b);
    if r > 0.0 { (a / r, b / r, r) } else { (1.0, 0.0, 0.0) }
}

/// a/b, and 0 where a is.
fn ratio(a: f64, b: f64) -> f64 {
    if a == 0.0 { 0.0 } else { a / b }
}

impl Rotations {
    fn start(alpha: f64, beta: f64, damping: f64) -> Self {
        Rotations {
            root: damping.sqrt(),
            alpha_bar: alpha,
            zeta_bar: alpha * beta,
            rho: 1.0,
            rho_bar: 1.0,
            c_bar: 1.0,
            beta_ddot: beta,
            rho_dot: 1.0,
            residual: beta,
            squares: alpha * alpha + damping,
            least: f64::INFINITY,
            last: alpha.hypot(damping.sqrt()),
            first: true,
            ..Rotations::default()
        }
    }

    /// One iteration, with the next α and β. Returns the factors of h̄, of h̄ in x, and of h.
    fn next(&mut self, alpha: f64, beta: f64) -> [f64; 3] {
        let (c_hat, s_hat, alpha_hat) = rotation(self.alpha_bar, self.root);
        let (rho_before, rho_bar_before, zeta_before) = (self.rho, self.rho_bar, self.zeta);
        let (c, s, rho) = rotation(alpha_hat, beta);
        let theta = s * alpha;
        self.rho = rho;
        self.alpha_bar = c * alpha;
        let theta_bar = self.s_bar * rho;
        self.last = self.c_bar * rho;
        (self.c_bar, self.s_bar, self.rho_bar) = rotation(self.last, theta);
        self.zeta = self.c_bar * self.zeta_bar;
        self.zeta_bar *= -self.s_bar;

        let beta_check = -s_hat * self.beta_ddot;
        let beta_acute = c_hat * self.beta_ddot;
        let beta_hat = c * beta_acute;
        self.beta_ddot = -s * beta_acute;
        let (c_tilde, s_tilde, rho_tilde) = rotation(self.rho_dot, theta_bar);
        self.tau = ratio(zeta_before - self.theta_tilde * self.tau, rho_tilde);
        self.theta_tilde = s_tilde * self.rho_bar;
        self.rho_dot = c_tilde * self.rho_bar;
        self.beta_dot = c_tilde * beta_hat - s_tilde * self.beta_dot;
        self.shed += beta_check * beta_check;
        let tau_dot = ratio(self.zeta - self.theta_tilde * self.tau, self.rho_dot);
        self.residual = self.shed.sqrt().hypot(self.beta_dot - tau_dot).hypot(self.beta_ddot);

        self.squares += beta * beta + alpha * alpha + self.root * self.root;
        if !self.first {
            self.largest = self.largest.max(rho_bar_before);
            self.least = self.least.min(rho_bar_before);
        }
        self.first = false;
        [-ratio(theta_bar * rho, rho_before * rho_bar_before), ratio(self.zeta, rho * self.rho_bar), -ratio(theta, rho)]
    }
}

/// The iterate and its recurrences.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Lsmr<T> {
    /// x.
    pub x: Vec<T>,
    h: Vec<T>,
    h_bar: Vec<T>,
    /// The v of all pending iterations but the last, and the factors of all.
    spent: [Vec<T>; PENDING - 1],
    factors: [[f64; 4]; PENDING],
    pending: usize,
    norm: f64,
    /// What h̄ was multiplied with in the last x.
    last: f64,
    rotations: Rotations,
}

impl<T: Scalar> Lsmr<T> {
    pub fn new(n: usize) -> Self {
        let zero = || vec![T::zero(); n];
        Lsmr {
            x: zero(),
            h: zero(),
            h_bar: zero(),
            spent: std::array::from_fn(|_| zero()),
            factors: [[0.0; 4]; PENDING],
            pending: 0,
            norm: 0.0,
            last: 0.0,
            rotations: Rotations::default(),
        }
    }

    /// Storage in numbers.
    pub fn numbers(&self) -> usize {
        (3 + self.spent.len()) * self.x.len()
    }

    /// x = 0, for β₁ and α₁v₁ and the damping λ.
    pub fn start(&mut self, v: &[T], alpha: f64, beta: f64, damping: f64) {
        self.x.fill(T::zero());
        self.h_bar.fill(T::zero());
        self.h.copy_from_slice(v);
        (self.norm, self.last, self.pending) = (0.0, 0.0, 0);
        self.rotations = Rotations::start(alpha, beta, damping);
    }

    /// One iteration, after `process` has made its next α, β and v. x may fall behind until [`update`](Self::update), and the
    /// numbers of v must be left as they are until then.
    pub fn next(&mut self, process: &mut Bidiagonalization<T>) {
        let [h_bar, x, h] = self.rotations.next(process.alpha, process.beta);
        self.last = x;
        if self.pending > 0 {
            std::mem::swap(&mut self.spent[self.pending - 1], &mut process.spent);
        }
        self.factors[self.pending] = [process.v.factor.recip(), h_bar, x, h];
        self.pending += 1;
        if self.pending == PENDING {
            self.update(process);
        }
    }

    /// Brings x and ‖x‖ up to date.
    pub fn update(&mut self, process: &Bidiagonalization<T>) {
        let Self { x, h, h_bar, spent, factors, pending, .. } = self;
        let v = |i: usize| if i + 1 == *pending { &process.v.numbers[..] } else { &spent[i] };
        if *pending == PENDING {
            self.norm = kernels::lsmr_updates(std::array::from_fn(v), *factors, h, h_bar, x);
        } else {
            for (i, &factors) in factors[..*pending].iter().enumerate() {
                self.norm = kernels::lsmr_updates([v(i)], [factors], h, h_bar, x);
            }
        }
        self.pending = 0;
    }

    /// The iterate after the columns of a bidiagonal matrix, whose vectors are stored, for another damping. `v` and
    /// `alpha` are the vector after these and its coefficient. No product.
    pub fn replay(&mut self, matrix: &Bidiagonal, basis: Columns<'_, T>, damping: f64, alpha: f64, v: &[T]) {
        let count = matrix.len();
        self.start(basis.column(0), matrix.column(0).0, matrix.first(), damping);
        for j in 0..count {
            let beta = matrix.column(j).1;
            let (next, alpha) = if j + 1 < count { (basis.column(j + 1), matrix.column(j + 1).0) } else { (v, alpha) };
            let [h_bar, x, h] = self.rotations.next(alpha, beta);
            self.last = x;
            kernels::axpby(1.0, &self.h, h_bar, &mut self.h_bar);
            kernels::axpy(x, &self.h_bar, &mut self.x);
            kernels::axpby(1.0, next, h, &mut self.h);
        }
        self.norm = kernels::norm(&self.x);
    }

    /// Makes ‖x‖ = `radius` where it is larger: back along the last update, or, unless `along`, towards 0.
    pub fn shorten(&mut self, radius: f64, along: bool) {
        let (hh, hx) = kernels::norm_and_dot(&self.h_bar, &self.x);
        let (hh, hx) = (hh * self.last * self.last, hx * self.last);
        // ‖x − t·last·h̄‖ = radius for the smallest t ≥ 0, if that does not go back beyond the iterate before.
        let excess = (self.norm - radius) * (self.norm + radius);
        let t = excess / (hx + (hx * hx - hh * excess).sqrt());
        if along && t <= 1.0 {
            kernels::axpy(-t * self.last, &self.h_bar, &mut self.x);
        }
        let norm = kernels::norm(&self.x);
        kernels::scale(radius / norm, &mut self.x);
        self.norm = radius;
    }

    /// ‖r̄‖.
    pub fn residual(&self) -> f64 {
        self.rotations.residual
    }

    /// ‖Aᵀr − λx‖.
    pub fn gradient(&self) -> f64 {
        self.rotations.zeta_bar.abs()
    }

    /// ‖x‖ when it was last brought up to date; it does not fall from iteration to iteration.
    pub fn solution(&self) -> f64 {
        self.norm
    }

    /// The Frobenius norm of what was seen of [A; √λI]: at most √k above the largest singular value.
    pub fn operator_norm(&self) -> f64 {
        self.rotations.squares.sqrt()
    }

    /// An estimate of the condition number of [A; √λI].
    pub fn condition(&self) -> f64 {
        let Rotations { largest, least, last, .. } = self.rotations;
        ratio(largest.max(last), least.min(last))
    }
}
