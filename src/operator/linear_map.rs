//! A rectangular matrix that is only ever seen through its products.

use super::blocks::BlockJacobian;
use super::callback::WriteFn;
use super::forward;
use crate::base::{CallbackError, CallbackOutput, ErrorSlot, Scalar};

/// A linear map J : ℝⁿ → ℝᵐ, seen through v ↦ Jv and u ↦ Jᵀu.
///
/// Both products must belong to the same matrix, (Jv)ᵀu = vᵀ(Jᵀu).
///
/// ```
/// use newton_krylov::{LinearMap, linear_map};
///
/// // [1 2]
/// // [0 3]
/// // [4 0]
/// let j = linear_map(
///     3,
///     2,
///     |v: &[f64], jv: &mut [f64]| jv.copy_from_slice(&[v[0] + 2.0 * v[1], 3.0 * v[1], 4.0 * v[0]]),
///     |u, jtu| jtu.copy_from_slice(&[u[0] + 4.0 * u[2], 2.0 * u[0] + 3.0 * u[1]]),
/// );
/// let mut jv = [0.0; 3];
/// j.apply(&[1.0, 1.0], &mut jv);
/// assert_eq!(jv, [3.0, 3.0, 4.0]);
/// ```
pub trait LinearMap<T> {
    /// m, the length of Jv.
    fn rows(&self) -> usize;

    /// n, the length of Jᵀu.
    fn columns(&self) -> usize;

    /// out ← Jv. Overwrites `out`, whose previous contents are arbitrary, without reading it. A map that cannot be
    /// evaluated writes NaN.
    fn apply(&self, v: &[T], out: &mut [T]);

    /// out ← Jᵀu. Overwrites `out` without reading it.
    fn apply_transpose(&self, u: &[T], out: &mut [T]);

    /// Writes the whole matrix, m·n numbers by columns. By default n products with the columns of the identity, or m
    /// transposed ones where that is fewer.
    fn form(&self, matrix: &mut [T])
    where
        T: Scalar,
    {
        form_by_products(self, matrix);
    }

    /// The cost of [`form`](Self::form) in units of one product: min(m, n) by default. A map that overrides `form` says
    /// here what that costs; the automatic choice of the dense path goes by it, and reports count it as so many products.
    fn forming_cost(&self) -> usize {
        self.rows().min(self.columns())
    }

    /// out ← ‖Jⱼ‖, the norms of the columns, if the map knows them; `false`, and `out` is as before, if it does not (the
    /// default).
    fn column_norms(&self, out: &mut [T]) -> bool {
        let _ = out;
        false
    }

    /// The relative error of a column, if it is more than rounding: √ε for a Jacobian by forward differences, ε^⅔ by
    /// central ones. By default there is none. What is to tell a number from noise asks for it.
    fn accuracy(&self) -> Option<f64> {
        None
    }

    /// Evaluations of the model itself that this map has made until now, for differences; none by default.
    fn evaluations(&self) -> usize {
        0
    }

    /// Evaluations that the next call will make at least, for differences; none by default.
    fn evaluations_ahead(&self) -> usize {
        0
    }

    /// Hands out the first error that a callback has returned since this was last asked, if there is one; see
    /// [`ErrorSlot`](crate::callbacks::ErrorSlot).
    fn take_error(&self) -> Option<CallbackError> {
        None
    }

    /// The small dense blocks that this map consists of.
    #[doc(hidden)]
    fn blocks(&self) -> Option<BlockJacobian<'_, T>> {
        None
    }

    /// Counts passes over the blocks, each as much as a product of both kinds.
    #[doc(hidden)]
    fn count_passes(&self, passes: usize) {
        let _ = passes;
    }
}

impl<T, J: LinearMap<T> + ?Sized> LinearMap<T> for &J {
    forward!(*; rows, columns, apply, apply_transpose, form, abilities, column_norms, blocks, count_passes);
}

fn form_by_products<T: Scalar, J: LinearMap<T> + ?Sized>(map: &J, matrix: &mut [T]) {
    let (m, n) = (map.rows(), map.columns());
    assert_eq!(matrix.len(), m * n, "the matrix needs m·n numbers");
    if n <= m {
        let mut unit = vec![T::zero(); n];
        for (j, column) in matrix.chunks_exact_mut(m).enumerate() {
            unit[j] = T::one();
            map.apply(&unit, column);
            unit[j] = T::zero();
        }
    } else {
        let (mut unit, mut row) = (vec![T::zero(); m], vec![T::zero(); n]);
        for i in 0..m {
            unit[i] = T::one();
            map.apply_transpose(&unit, &mut row);
            unit[i] = T::zero();
            for (j, &entry) in row.iter().enumerate() {
                matrix[j * m + i] = entry;
            }
        }
    }
}

/// A linear map from two closures; see [`linear_map`].
#[derive(Clone, Debug)]
pub struct FnLinearMap<F, G> {
    rows: usize,
    columns: usize,
    product: F,
    transpose_product: G,
    errors: ErrorSlot,
}

/// The linear map with m = `rows` and n = `columns` whose products are `product(v, out)`, which overwrites `out` with Jv,
/// and `transpose_product(u, out)`, which overwrites `out` with Jᵀu. They return nothing or a `Result<(), E>`.
pub fn linear_map<T, F, G, R, S>(rows: usize, columns: usize, product: F, transpose_product: G) -> FnLinearMap<F, G>
where
    F: Fn(&[T], &mut [T]) -> R,
    G: Fn(&[T], &mut [T]) -> S,
    R: CallbackOutput<()>,
    S: CallbackOutput<()>,
{
    FnLinearMap { rows, columns, product, transpose_product, errors: ErrorSlot::new() }
}

impl<T: Scalar, F: WriteFn<T>, G: WriteFn<T>> LinearMap<T> for FnLinearMap<F, G> {
    forward!(fields; rows, columns, errors);
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.product.write(&self.errors, v, out);
    }
    fn apply_transpose(&self, u: &[T], out: &mut [T]) {
        self.transpose_product.write(&self.errors, u, out);
    }
}
