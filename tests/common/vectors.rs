//! Inner products and norms in `f64`, summed as they come.

use newton_krylov::Scalar;

/// aᵀb.
pub fn dot<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| Into::<f64>::into(a) * Into::<f64>::into(b)).sum()
}

/// ‖a‖.
pub fn norm<T: Scalar>(a: &[T]) -> f64 {
    dot(a, a).sqrt()
}
