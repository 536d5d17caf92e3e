//! The options of the eigenvalue computations, and what both of them need.

use crate::base::{Result, Scalar, check_count, check_not_negative};

/// Eigenvalues by Lanczos' method: [`extremes`](Self::extremes) for the two ends in three vectors,
/// [`eigenpairs`](Self::eigenpairs) for several pairs at one end.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Lanczos {
    /// An eigenvalue θ has converged when its error bound is at most this × |θ|. Default 1e-8. Values below 64ε of the
    /// vector type count as that (7.6e-6 for `f32`): the rounding of a few hundred steps.
    pub tolerance: f64,
    /// Most products. Default 100,000.
    pub max_products: usize,
    /// Vectors that [`eigenpairs`](Self::eigenpairs) keeps before it restarts, at least k + 2, at most d. Default, `None`:
    /// max(2k + 1, 32); 2k + 1 as in ARPACK, and 32 since a restart costs more products than 12 vectors more.
    pub basis: Option<usize>,
    /// Fixes the random first vector. Default 0.
    pub seed: u64,
}

impl Default for Lanczos {
    fn default() -> Self {
        Lanczos { tolerance: 1e-8, max_products: 100_000, basis: None, seed: 0 }
    }
}

impl Lanczos {
    pub(super) fn check(&self) -> Result<()> {
        check_not_negative("tolerance", self.tolerance)?;
        check_count("max_products", self.max_products, 1, "at least 1")
    }

    /// The error that `theta` may have.
    pub(super) fn allowed<T: Scalar>(&self, theta: f64) -> f64 {
        self.tolerance.max(64.0 * T::epsilon_f64()) * theta.abs()
    }
}

/// The relative difference between uᵀMv and vᵀMu from which a matrix is not symmetric, as in
/// [`check::operator`](crate::check::operator()).
pub(super) fn asymmetry_allowed<T: Scalar>() -> f64 {
    T::epsilon_f64().powf(0.375)
}
