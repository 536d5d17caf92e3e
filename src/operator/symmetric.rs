//! A symmetric matrix that is only ever seen through its products.

use super::{Preconditioner, forward};
use crate::base::{CallbackError, Scalar, parallel::over_parts};

/// Columns of the identity that go into one call of `apply_block`.
const COLUMNS: usize = 16;

/// A symmetric operator v ↦ Mv on ℝᵈ.
///
/// Only [`dim`](Self::dim) and [`apply`](Self::apply) are needed. The other methods say how to do several products at
/// once and how to write down the whole matrix, for operators that have a cheaper way than one product after the other.
///
/// ```
/// use newton_krylov::{SymmetricOperator, operator};
///
/// let m = operator(2, |v: &[f64], mv: &mut [f64]| {
///     mv[0] = 2.0 * v[0] + v[1];
///     mv[1] = v[0] + 3.0 * v[1];
/// });
/// let mut out = [0.0; 2];
/// m.apply(&[1.0, 1.0], &mut out);
/// assert_eq!(out, [3.0, 4.0]);
/// ```
pub trait SymmetricOperator<T> {
    /// d, the number of rows and columns.
    fn dim(&self) -> usize;

    /// out ← Mv. Overwrites `out`, whose previous contents are arbitrary, without reading it. An operator that cannot
    /// be evaluated writes NaN.
    fn apply(&self, v: &[T], out: &mut [T]);

    /// Products with several columns of length d, stored one after the other: out ← MV. One by one by default.
    fn apply_block(&self, v: &[T], out: &mut [T]) {
        let dim = self.dim();
        for (v, out) in v.chunks_exact(dim).zip(out.chunks_exact_mut(dim)) {
            self.apply(v, out);
        }
    }

    /// Writes the whole matrix (d² numbers by columns, both triangles). By default through
    /// [`apply_block`](Self::apply_block) with blocks of columns of the identity, several at once where it may be
    /// [shared](Self::shared) between threads: the same numbers, whatever their number.
    fn form(&self, matrix: &mut [T])
    where
        T: Scalar,
    {
        let dim = self.dim();
        assert_eq!(matrix.len(), dim * dim, "the matrix needs dim² numbers");
        match self.shared() {
            Some(shared) => form_in_parallel(shared, dim, matrix),
            None => form_blocks(dim, 0, matrix, &|v, out| self.apply_block(v, out)),
        }
    }

    /// Itself, if several threads may call it at once. It then is: where its matrix is formed. By default they may not.
    fn shared(&self) -> Option<&(dyn SymmetricOperator<T> + Sync)> {
        None
    }

    /// The cost of [`form`](Self::form) in units of one product: d by default. An operator that overrides `form` says
    /// here what that costs; the automatic choice of the dense path compares it with the products that a Krylov solve
    /// takes, and reports count it as so many products.
    fn forming_cost(&self) -> usize {
        self.dim()
    }

    /// P⁻¹ for a symmetric positive definite P ≈ M + shift·I, if the operator knows one; by default it does not. Solvers
    /// use it to choose where a Krylov space grows; it changes the number of products that an answer takes, never the
    /// answer. [`Preconditioned`](crate::preconditioners::Preconditioned) adds one to any operator.
    fn preconditioner(&self) -> Option<&dyn Preconditioner<T>> {
        None
    }

    /// The relative error of a product, if it is more than rounding: √ε for forward differences of gradients, ε^⅔ for
    /// central ones. By default there is none. What is to tell a product from noise asks for it.
    fn accuracy(&self) -> Option<f64> {
        None
    }

    /// Takes note that gradients are accurate to η = `accuracy` only, relative to their size, as a run has found: differences
    /// go by that. By default nothing does.
    fn learn_accuracy(&self, accuracy: f64) {
        let _ = accuracy;
    }

    /// Gradients that products have cost until now, by differences; none by default.
    fn evaluations(&self) -> usize {
        0
    }

    /// Gradients that the next product takes at most, by differences; none by default.
    fn evaluations_ahead(&self) -> usize {
        0
    }

    /// Hands out the first error that a callback has returned since this was last asked, if there is one; see
    /// [`ErrorSlot`](crate::callbacks::ErrorSlot).
    fn take_error(&self) -> Option<CallbackError> {
        None
    }
}

impl<T, M: SymmetricOperator<T> + ?Sized> SymmetricOperator<T> for &M {
    forward!(*; dim, apply, apply_block, form, abilities, learn_accuracy, preconditioner, shared);
}

impl<T, M: SymmetricOperator<T> + ?Sized> SymmetricOperator<T> for Box<M> {
    forward!(*; dim, apply, apply_block, form, abilities, learn_accuracy, preconditioner, shared);
}

/// The matrix of a shared operator, several blocks of columns at once.
fn form_in_parallel<T: Scalar>(operator: &(dyn SymmetricOperator<T> + Sync), dim: usize, matrix: &mut [T]) {
    let bounds: Vec<usize> = (0..dim).step_by(COLUMNS).chain([dim]).map(|j| j * dim).collect();
    over_parts(&bounds, matrix, 0, &|blocks, part| {
        form_blocks(dim, blocks.start, part, &|v, out| operator.apply_block(v, out));
    });
}

/// columns ← M E for the columns of the identity from block `first` on, block by block.
fn form_blocks<T: Scalar>(dim: usize, first: usize, columns: &mut [T], apply_block: &dyn Fn(&[T], &mut [T])) {
    let mut identity = vec![T::zero(); dim * COLUMNS.min(dim)];
    for (block, columns) in columns.chunks_mut(dim * COLUMNS).enumerate() {
        let (start, count) = ((first + block) * COLUMNS, columns.len() / dim);
        (0..count).for_each(|j| identity[j * dim + start + j] = T::one());
        apply_block(&identity[..count * dim], columns);
        (0..count).for_each(|j| identity[j * dim + start + j] = T::zero());
    }
}
