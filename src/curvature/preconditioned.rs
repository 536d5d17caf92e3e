//! Preconditioners, and how an operator or an objective comes by one.
//!
//! A preconditioner is a symmetric positive definite P ≈ M + λI that is easy to invert. It directs where a Krylov space
//! grows. Radius, damping and residual stay in the Euclidean norm, so answers do not depend on it; only where memory is
//! so short that conjugate gradients take over does it also define the norm that they minimise in.

use std::marker::PhantomData;

use super::DiagonalPreconditioner;
use crate::base::{Result, Scalar, check_length};
use crate::operator::{Expansion, Objective, SymmetricOperator};

/// P⁻¹ for some symmetric positive definite P ≈ M + shift·I.
///
/// Closures `Fn(f64, &mut [T])` are preconditioners: the shift, and the vector r that P⁻¹r overwrites.
pub trait Preconditioner<T> {
    /// r ← P⁻¹r. A preconditioner that does not know the shift may ignore it.
    fn precondition(&self, shift: f64, r: &mut [T]);
}

impl<T, F: Fn(f64, &mut [T])> Preconditioner<T> for F {
    fn precondition(&self, shift: f64, r: &mut [T]) {
        self(shift, r);
    }
}

/// An operator with a preconditioner.
///
/// ```
/// use newton_krylov::{DiagonalOperator, DiagonalPreconditioner, Preconditioned, damped_step};
///
/// let diagonal: Vec<f64> = (1..=1000).map(|i| (i * i) as f64).collect();
/// let m = DiagonalOperator(diagonal.clone());
/// let preconditioner = DiagonalPreconditioner::new(diagonal)?;
/// let m = Preconditioned { operator: m, preconditioner };
/// let step = damped_step(&m, &[1.0; 1000], 1.0)?;
/// assert!(step.products <= 2); // hundreds without
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Preconditioned<M, P> {
    /// M.
    pub operator: M,
    /// P⁻¹.
    pub preconditioner: P,
}

impl<T, M: SymmetricOperator<T>, P: Preconditioner<T>> SymmetricOperator<T> for Preconditioned<M, P> {
    fn dim(&self) -> usize {
        self.operator.dim()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.operator.apply(v, out);
    }
    fn apply_block(&self, v: &[T], out: &mut [T]) {
        self.operator.apply_block(v, out);
    }
    fn form(&self, matrix: &mut [T])
    where
        T: Scalar,
    {
        self.operator.form(matrix);
    }
    fn forming_cost(&self) -> usize {
        self.operator.forming_cost()
    }
    fn precondition(&self, shift: f64, r: &mut [T]) -> bool {
        self.preconditioner.precondition(shift, r);
        true
    }
}

impl<T, M: Expansion<T>, P: Preconditioner<T>> Expansion<T> for Preconditioned<M, P> {
    fn value(&self) -> f64 {
        self.operator.value()
    }
    fn gradient(&self, out: &mut [T]) {
        self.operator.gradient(out);
    }
}

/// An objective whose expansions have a preconditioner; see [`with_preconditioner`] and [`with_diagonal`].
#[derive(Clone, Debug)]
pub struct PreconditionedObjective<O, P, F> {
    objective: O,
    preconditioner_at: F,
    preconditioner: PhantomData<fn() -> P>,
}

impl<T, O, P, F> Objective<T> for PreconditionedObjective<O, P, F>
where
    O: Objective<T>,
    P: Preconditioner<T>,
    F: Fn(&[T]) -> P,
{
    fn dim(&self) -> usize {
        self.objective.dim()
    }
    fn value(&self, x: &[T]) -> f64 {
        self.objective.value(x)
    }
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        Preconditioned { operator: self.objective.expand(x), preconditioner: (self.preconditioner_at)(x) }
    }
}

/// The objective with the preconditioner that `preconditioner_at(x)` makes for every point x.
pub fn with_preconditioner<T, O, P, F>(objective: O, preconditioner_at: F) -> PreconditionedObjective<O, P, F>
where
    O: Objective<T>,
    P: Preconditioner<T>,
    F: Fn(&[T]) -> P,
{
    PreconditionedObjective { objective, preconditioner_at, preconditioner: PhantomData }
}

/// The objective preconditioned by the diagonal of its Hessian, which `diagonal(x, d)` writes to `d` at every point.
/// Entries that are not positive are replaced as [`DiagonalPreconditioner`] says.
///
/// ```
/// use newton_krylov::{TrustRegion, objective, with_diagonal};
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
pub fn with_diagonal<T, O, F>(
    objective: O,
    diagonal: F,
) -> PreconditionedObjective<O, DiagonalPreconditioner<T>, impl Fn(&[T]) -> DiagonalPreconditioner<T>>
where
    T: Scalar,
    O: Objective<T>,
    F: Fn(&[T], &mut [T]),
{
    with_preconditioner(objective, move |x: &[T]| {
        let mut d = vec![T::zero(); x.len()];
        diagonal(x, &mut d);
        DiagonalPreconditioner::repaired(d)
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
