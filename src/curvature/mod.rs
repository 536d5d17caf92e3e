//! Floor 2: curvature that is known beforehand.

mod diagonal;
mod preconditioned;

pub use diagonal::{DiagonalPreconditioner, with_diagonal};
pub use preconditioned::{Preconditioned, PreconditionedObjective, Preconditioner, with_preconditioner};
