//! The diagonal preconditioner. Where the diagonal is not known, [`spectrum::diagonal`](crate::spectrum::diagonal())
//! estimates it from products.

use super::{Preconditioned, PreconditionedObjective, with_preconditioner};
use crate::base::{CallbackError, CallbackOutput, Result, Scalar, check_finite, check_length};
use crate::operator::{Objective, Preconditioner, SymmetricOperator};

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
    fn repaired(mut diagonal: Vec<T>) -> Self {
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

/// A diagonal preconditioner, or why there is none.
type MadeDiagonal<T> = std::result::Result<DiagonalPreconditioner<T>, CallbackError>;

/// The objective preconditioned by the diagonal of its Hessian, which `diagonal(x, d)` writes to `d` at every point.
/// Entries that are not positive are replaced as [`DiagonalPreconditioner`] says.
///
/// ```
/// use newton_krylov::{TrustRegion, objective};
/// use newton_krylov::preconditioners::with_diagonal;
///
/// // Σ wᵢ xᵢ²/2 with weights over six orders of magnitude
/// let w: Vec<f64> = (0..60).map(|i| 10f64.powf(i as f64 / 10.0)).collect();
/// let f = objective(
///     60,
///     |x: &[f64]| x.iter().zip(&w).map(|(x, w)| 0.5 * w * x * x).sum::<f64>(),
///     |x, g| (0..60).for_each(|i| g[i] = w[i] * x[i]),
///     |_, v, hv| (0..60).for_each(|i| hv[i] = w[i] * v[i]),
/// );
/// let f = with_diagonal(f, |_, d| d.copy_from_slice(&w));
/// let report = TrustRegion::default().minimize(&f, &[1.0; 60])?;
/// assert!(report.termination.converged() && report.counts.products <= 10);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
pub fn with_diagonal<T, O, F, R>(
    objective: O,
    diagonal: F,
) -> PreconditionedObjective<O, MadeDiagonal<T>, impl Fn(&[T]) -> MadeDiagonal<T>>
where
    T: Scalar,
    O: Objective<T>,
    F: Fn(&[T], &mut [T]) -> R,
    R: CallbackOutput<()>,
{
    with_preconditioner(objective, move |x: &[T]| {
        let mut d = vec![T::zero(); x.len()];
        diagonal(x, &mut d).into_result()?;
        Ok(DiagonalPreconditioner::repaired(d))
    })
}

impl<T: Scalar, M: SymmetricOperator<T>> Preconditioned<M, DiagonalPreconditioner<T>> {
    /// The operator with a diagonal preconditioner.
    ///
    /// # Errors
    /// If the diagonal has another length than the operator, or an entry that is NaN or infinite.
    pub fn diagonal(operator: M, diagonal: Vec<T>) -> Result<Self> {
        check_length("diagonal", &diagonal, operator.dim())?;
        Ok(Preconditioned { operator, preconditioner: DiagonalPreconditioner::new(diagonal)? })
    }
}
