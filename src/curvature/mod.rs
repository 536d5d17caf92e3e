//! Floor 2: curvature that is known beforehand, preconditioners and the Fisher matrices of exponential families.

mod diagonal;
pub mod exponential_family;
mod feature_variance;
mod preconditioned;

pub use diagonal::{DiagonalPreconditioner, with_diagonal};
pub use preconditioned::{Preconditioned, PreconditionedObjective, Preconditioner, with_preconditioner};
