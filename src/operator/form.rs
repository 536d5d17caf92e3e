//! Writing down the matrix of an operator with all threads, for small d.

use super::SymmetricOperator;
use super::symmetric::{COLUMNS, apply_to_identity};
use crate::base::Scalar;
use crate::base::parallel::{Chunked, for_each};

/// Forms M by blocks of columns, several blocks at once, for an operator that may be shared between threads. The same
/// numbers as [`SymmetricOperator::form`], whatever the number of threads. Costs d products.
///
/// `matrix` receives d² numbers by columns.
///
/// ```
/// use newton_krylov::{form_parallel, operator};
///
/// let m = operator(2, |v: &[f64], mv: &mut [f64]| {
///     mv[0] = 2.0 * v[0] + v[1];
///     mv[1] = v[0] + 3.0 * v[1];
/// });
/// let mut matrix = [0.0; 4];
/// form_parallel(&m, &mut matrix);
/// assert_eq!(matrix, [2.0, 1.0, 1.0, 3.0]);
/// ```
///
/// # Panics
/// If `matrix` does not hold d² numbers.
pub fn form_parallel<T: Scalar>(operator: &(impl SymmetricOperator<T> + Sync), matrix: &mut [T]) {
    let dim = operator.dim();
    assert_eq!(matrix.len(), dim * dim, "the matrix needs dim² numbers");
    for_each(Chunked(matrix, dim * COLUMNS), &|block, columns| {
        let mut identity = vec![T::zero(); dim * COLUMNS.min(dim)];
        apply_to_identity(operator, block * COLUMNS, &mut identity, columns);
    });
}
