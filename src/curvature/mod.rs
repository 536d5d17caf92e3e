//! Floor 2: curvature that is known beforehand.

mod diagonal;
mod feature_variance;
mod preconditioned;

pub use diagonal::{DiagonalPreconditioner, estimate_diagonal, with_diagonal};
pub use preconditioned::{Preconditioned, PreconditionedObjective, Preconditioner, with_preconditioner};
