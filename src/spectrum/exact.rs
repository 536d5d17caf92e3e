//! Small matrices, or such as are cheap to write down, are formed and decomposed.

use faer::Par;

use super::Status;
use super::lanczos::asymmetry_allowed;
use crate::base::{Eigen, Result, Scalar, check_callback};
use crate::operator::SymmetricOperator;

/// Products that forming may cost: fewer would not do for Lanczos' method either.
const FORMING: usize = 64;
/// Rows up to which a decomposition takes less than a second.
const ROWS: usize = 1024;

/// A decomposition of the whole matrix.
pub(super) struct Exact {
    pub eigen: Eigen,
    pub asymmetry: f64,
    /// What rounding leaves uncertain in every eigenvalue.
    pub error: f64,
    /// [`Status::Converged`] if there is a decomposition.
    pub status: Status,
}

/// Decomposes M if that is worth its cost.
pub(super) fn decompose<T: Scalar>(operator: &impl SymmetricOperator<T>, max_products: usize) -> Result<Option<Exact>> {
    let dim = operator.dim();
    let cost = operator.forming_cost();
    if cost > FORMING.min(max_products) || dim > ROWS {
        return Ok(None);
    }
    let mut formed = vec![T::zero(); dim * dim];
    operator.form(&mut formed);
    check_callback(operator.take_error())?;
    let mut matrix = vec![0.0; dim * dim];
    let (mut largest, mut difference) = (0.0_f64, 0.0_f64);
    for j in 0..dim {
        for i in 0..dim {
            let (a, b): (f64, f64) = (formed[j * dim + i].into(), formed[i * dim + j].into());
            matrix[j * dim + i] = 0.5 * (a + b);
            largest = largest.max(a.abs());
            difference = difference.max((a - b).abs());
        }
    }
    let mut eigen = Eigen::new(dim);
    let asymmetry = if difference > 0.0 { 0.5 * difference / largest } else { 0.0 };
    let decomposed = eigen.decompose(&matrix, dim, dim, Par::Seq);
    let status = if !decomposed {
        Status::NotFinite
    } else if asymmetry > asymmetry_allowed::<T>() {
        Status::Asymmetric
    } else {
        Status::Converged
    };
    let norm = eigen.values().iter().fold(0.0_f64, |norm, v| norm.max(v.abs()));
    // The entries are rounded to T, the decomposition is backward stable in f64.
    let error = dim as f64 * T::epsilon_f64() * norm;
    Ok(Some(Exact { eigen, asymmetry, error, status }))
}
