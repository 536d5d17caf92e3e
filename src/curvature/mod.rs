//! Floor 2: curvature: what is known of it beforehand, and what a loss makes of a model.

mod diagonal;
mod least_squares;
mod preconditioned;
mod robust;

pub use diagonal::{DiagonalPreconditioner, estimate_diagonal, with_diagonal};
pub use least_squares::{LeastSquares, least_squares, least_squares_dense, least_squares_from_residuals};
pub use preconditioned::{Preconditioned, PreconditionedObjective, Preconditioner, with_preconditioner};
pub use robust::{Arctan, Cauchy, Huber, RobustLoss, SoftL1, Squares, Tukey};

pub(crate) use least_squares::Bounds;
pub(crate) use robust::{LossSum, Weighted, Weights};
