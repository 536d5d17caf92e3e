//! The diagonal preconditioner, given or estimated from products.
//!
//! The estimate is that of Bekas, Kokiopoulou & Saad (Appl. Numer. Math. 57 (2007)), Hutchinson's trace estimator
//! (1990) componentwise: with random signs v, E[v ∘ Mv] = diag(M), since vᵢ² = 1. Its standard error in component i
//! after s probes is √(Σ_{j≠i} Mᵢⱼ² / s): none for a diagonal matrix.

use super::Preconditioner;
use crate::base::random::SplitMix64;
use crate::base::{Error, Result, Scalar, check_finite, check_positive_dimension};
use crate::operator::SymmetricOperator;

/// r ← (|D| + shift)⁻¹ r with a diagonal D.
///
/// Entries with |dᵢ| below ε times the largest, in particular zeros, count as that bound, so that P is definite.
#[derive(Clone, Debug)]
pub struct DiagonalPreconditioner<T> {
    diagonal: Vec<T>,
}

impl<T: Scalar> DiagonalPreconditioner<T> {
    /// The preconditioner from the diagonal of M.
    ///
    /// # Errors
    /// If an entry is NaN or infinite.
    pub fn new(diagonal: Vec<T>) -> Result<Self> {
        check_finite("diagonal", &diagonal)?;
        Ok(Self::repaired(diagonal))
    }

    /// Takes any diagonal: what is not finite counts as the largest entry that is.
    pub(super) fn repaired(mut diagonal: Vec<T>) -> Self {
        let largest = diagonal.iter().filter(|d| d.is_finite()).fold(T::zero(), |l, d| l.max(d.abs()));
        let largest = if largest > T::zero() { largest } else { T::one() };
        let least = largest * T::epsilon();
        for d in &mut diagonal {
            *d = if d.is_finite() { d.abs().max(least) } else { largest };
        }
        DiagonalPreconditioner { diagonal }
    }
}

impl<T: Scalar> Preconditioner<T> for DiagonalPreconditioner<T> {
    fn precondition(&self, shift: f64, r: &mut [T]) {
        assert_eq!(r.len(), self.diagonal.len(), "the diagonal needs the operator's dimension");
        let shift = T::from_f64(shift.max(0.0));
        for (r, &d) in r.iter_mut().zip(&self.diagonal) {
            *r /= d + shift;
        }
    }
}

/// An unbiased estimate of diag(M) from `probes` products with random signs, fixed by `seed`.
///
/// ```
/// use newton_krylov::{DiagonalOperator, estimate_diagonal};
///
/// let m = DiagonalOperator(vec![1.0, 2.0, 3.0]);
/// assert_eq!(estimate_diagonal(&m, 1, 7)?, [1.0, 2.0, 3.0]);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// If the operator has no dimension, `probes` is 0, or a product is not finite.
pub fn estimate_diagonal<T: Scalar>(operator: &impl SymmetricOperator<T>, probes: usize, seed: u64) -> Result<Vec<T>> {
    let dim = operator.dim();
    check_positive_dimension("the operator's dimension", dim)?;
    if probes == 0 {
        return Err(Error::OutOfRange { argument: "probes", value: 0.0, requirement: "at least 1" });
    }
    let mut random = SplitMix64::new(seed);
    let mut sum = vec![0.0; dim];
    let (mut v, mut product) = (vec![T::zero(); dim], vec![T::zero(); dim]);
    for _ in 0..probes {
        v.iter_mut().for_each(|v| *v = T::from_f64(random.rademacher()));
        operator.apply(&v, &mut product);
        check_finite("the operator's product", &product)?;
        for ((sum, &v), &product) in sum.iter_mut().zip(&v).zip(&product) {
            *sum += (v * product).into();
        }
    }
    Ok(sum.iter().map(|s| T::from_f64(s / probes as f64)).collect())
}
