//! Lanczos' process in three vectors: M Q = Q T + β_k q_{k+1} e_kᵀ with a tridiagonal T.
//!
//! Golub & Van Loan, *Matrix Computations* (2013), algorithm 10.1.1, in two passes over the vectors. There is no
//! reorthogonalisation beyond the last two vectors: T then has copies of eigenvalues that have converged, which hurts
//! neither its extreme eigenvalues (Paige, Linear Algebra Appl. 34 (1980)) nor its quadrature (Knizhnerman, Comput.
//! Math. Math. Phys. 36 (1996); Chen, Trogdon & Ubaru, "Randomized matrix-free quadrature", section 5).

use super::tridiagonal::Tridiagonal;
use crate::base::{Scalar, kernels};
use crate::operator::SymmetricOperator;

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grown {
    /// T has a row more.
    Further,
    /// T has a row more, and the space is invariant: its eigenvalues are exact to rounding.
    Invariant,
    /// The product was not finite: T is as before.
    NotFinite,
}

/// The process. Storage: three vectors, and two numbers for every step.
pub(super) struct Process<T> {
    /// The vector before.
    u: Vec<T>,
    v: Vec<T>,
    q: Vec<T>,
    pub matrix: Tridiagonal,
    /// The largest |uᵀMv − vᵀMu| / (‖Mu‖ + ‖Mv‖) met.
    pub asymmetry: f64,
    scale: f64,
    size_before: f64,
}

impl<T: Scalar> Process<T> {
    pub fn new(dim: usize) -> Self {
        let vector = || vec![T::zero(); dim];
        Process {
            u: vector(),
            v: vector(),
            q: vector(),
            matrix: Tridiagonal::default(),
            asymmetry: 0.0,
            scale: 0.0,
            size_before: 0.0,
        }
    }

    /// Starts at the vector whose components `draw` gives.
    pub fn start(&mut self, mut draw: impl FnMut() -> f64) {
        self.matrix.clear();
        self.u.fill(T::zero());
        self.v.iter_mut().for_each(|v| *v = T::from_f64(draw()));
        let norm = kernels::norm(&self.v);
        kernels::scale(norm.recip(), &mut self.v);
        (self.scale, self.size_before) = (0.0, 0.0);
    }

    /// One product.
    pub fn step(&mut self, operator: &impl SymmetricOperator<T>) -> Grown {
        let beta = self.matrix.leaving();
        operator.apply(&self.v, &mut self.q);
        let [_, mut alpha, uq] = kernels::lanczos_update([0.0, -beta, 1.0], &self.v, &self.u, &mut self.q);
        let [mut next, left, _] = kernels::lanczos_update([-alpha, 0.0, 1.0], &self.v, &self.u, &mut self.q);
        let size = alpha.hypot(beta).hypot(next);
        if !size.is_finite() {
            return Grown::NotFinite;
        }
        if next < 0.1 * size {
            // What cancelled is orthogonalised again.
            let across = kernels::dot(&self.u, &self.q);
            [next, ..] = kernels::lanczos_update([-left, -across, 1.0], &self.v, &self.u, &mut self.q);
            alpha += left;
        }
        if self.matrix.len() > 0 && size + self.size_before > 0.0 {
            // uᵀMv must be vᵀMu, which is β.
            self.asymmetry = self.asymmetry.max((uq - beta).abs() / (size + self.size_before));
        }
        self.scale = self.scale.max(size);
        self.size_before = size;
        self.matrix.diagonal.push(alpha);
        self.matrix.off_diagonal.push(next);
        if next <= 4.0 * T::epsilon_f64() * self.scale {
            return Grown::Invariant;
        }
        std::mem::swap(&mut self.u, &mut self.v);
        kernels::scale_into(next.recip(), &self.q, &mut self.v);
        Grown::Further
    }
}
