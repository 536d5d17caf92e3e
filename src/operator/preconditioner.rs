//! Preconditioners: what solvers ask an operator for, to choose where a Krylov space grows.
//!
//! A preconditioner is a symmetric positive definite P ≈ M + λI that is easy to invert. Radius, damping and residual stay in
//! the Euclidean norm, so answers do not depend on it; only where memory is so short that conjugate gradients take over does
//! it also define the norm that they minimise in.

use crate::base::{CallbackError, Scalar};

/// P⁻¹ for some symmetric positive definite P ≈ M + shift·I.
///
/// Closures `Fn(f64, &mut [T])` are preconditioners: the shift, and the vector r that P⁻¹r overwrites.
pub trait Preconditioner<T> {
    /// r ← P⁻¹r. A preconditioner that does not know the shift may ignore it.
    fn precondition(&self, shift: f64, r: &mut [T]);

    /// As [`SymmetricOperator::take_error`](crate::SymmetricOperator::take_error).
    fn take_error(&self) -> Option<CallbackError> {
        None
    }
}

impl<T, F: Fn(f64, &mut [T])> Preconditioner<T> for F {
    fn precondition(&self, shift: f64, r: &mut [T]) {
        self(shift, r);
    }
}

/// A preconditioner that could not be made: P⁻¹r is NaN, and the error is that of whoever uses it.
impl<T: Scalar, P: Preconditioner<T>> Preconditioner<T> for std::result::Result<P, CallbackError> {
    fn precondition(&self, shift: f64, r: &mut [T]) {
        match self {
            Ok(preconditioner) => preconditioner.precondition(shift, r),
            Err(_) => r.fill(T::nan()),
        }
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.as_ref().map_or_else(|error| Some(error.clone()), P::take_error)
    }
}
