//! How an operator or an objective comes by a preconditioner.

use std::marker::PhantomData;

use crate::base::CallbackError;
use crate::operator::{Expansion, Objective, Preconditioner, SymmetricOperator, forward};

/// An operator with a preconditioner.
///
/// ```
/// use newton_krylov::damped_step;
/// use newton_krylov::operators::DiagonalOperator;
/// use newton_krylov::preconditioners::{DiagonalPreconditioner, Preconditioned};
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
    forward!(self.operator; dim, apply, apply_block, form, forming_cost, accuracy, learn_accuracy, evaluations, evaluations_ahead);
    fn preconditioner(&self) -> Option<&dyn Preconditioner<T>> {
        Some(&self.preconditioner)
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.operator.take_error().or_else(|| self.preconditioner.take_error())
    }
}

impl<T, M: Expansion<T>, P: Preconditioner<T>> Expansion<T> for Preconditioned<M, P> {
    forward!(self.operator; value, gradient, value_and_divergence, structural_damping);
}

/// An objective whose expansions have a preconditioner; see [`with_preconditioner`] and [`with_diagonal`](crate::preconditioners::with_diagonal).
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
    forward!(self.objective; dim, take_error, value_at);
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        Preconditioned { operator: self.objective.expand(x), preconditioner: (self.preconditioner_at)(x) }
    }
}

/// The objective with the preconditioner that `preconditioner_at(x)` makes for every point x. Where that may fail it
/// returns a `Result` with a [`CallbackError`].
pub fn with_preconditioner<T, O, P, F>(objective: O, preconditioner_at: F) -> PreconditionedObjective<O, P, F>
where
    O: Objective<T>,
    P: Preconditioner<T>,
    F: Fn(&[T]) -> P,
{
    PreconditionedObjective { objective, preconditioner_at, preconditioner: PhantomData }
}
