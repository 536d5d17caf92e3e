//! Floor 2: curvature that is known beforehand.

mod diagonal;
mod learned;
mod preconditioned;

pub use diagonal::{DiagonalPreconditioner, estimate_diagonal, with_diagonal};
pub use learned::{EmpiricalFisherDiagonal, LearnedPreconditioner};
pub use preconditioned::{Preconditioned, PreconditionedObjective, Preconditioner, with_preconditioner};
