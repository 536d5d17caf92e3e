//! Small symmetric matrices of long columns, and rotations of the columns by their eigenvectors.

use crate::base::columns::Columns;
use crate::base::{Eigen, Scalar};

/// out ← (AᵀB + BᵀA)/2 for columns A and B of length `dim`.
pub(super) fn symmetric_products<T: Scalar>(dim: usize, a: &[T], b: &[T], out: &mut Vec<f64>) {
    let (a, b) = (Columns::new(dim, a), Columns::new(dim, b));
    let count = a.data.len() / dim;
    out.clear();
    out.resize(count * count, 0.0);
    out.chunks_exact_mut(count).enumerate().for_each(|(j, row)| a.transpose_times(b.column(j), row));
    for j in 0..count {
        for i in j + 1..count {
            out[j * count + i] = 0.5 * (out[j * count + i] + out[i * count + j]);
        }
    }
}

/// The columns scale(θ)·q of the eigenvectors q of a small matrix, the largest θ first, for those θ above `noise` × the
/// largest (all for −∞): how many they are. None if there is none, or the matrix is not finite.
pub(super) fn scaled_eigenvectors(
    eigen: &mut Eigen,
    small: &[f64],
    count: usize,
    noise: f64,
    scale: impl Fn(f64) -> f64,
    columns: &mut Vec<f64>,
) -> Option<usize> {
    columns.clear();
    if !eigen.decompose(small, count, count, faer::Par::Seq) {
        return None;
    }
    let values = eigen.values();
    let least = if noise == f64::NEG_INFINITY { noise } else { (noise * values[count - 1]).max(0.0) };
    for j in (0..count).rev().take_while(|&j| values[j] > least) {
        let scale = scale(values[j]);
        columns.extend(eigen.vector(j).iter().map(|q| scale * q));
    }
    let found = columns.len() / count;
    (found > 0 && columns.iter().all(|c| c.is_finite())).then_some(found)
}
