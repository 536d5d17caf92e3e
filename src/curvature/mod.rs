//! Floor 2: curvature. What model, loss and metric make of it, and what is known of it beforehand.

mod diagonal;
pub mod exponential_family;
mod feature_variance;
mod fit;
mod kronecker;
mod learned;
mod least_squares;
mod limited_memory;
mod loss;
mod losses;
mod metric;
pub mod mirror_map;
mod nystrom;
mod preconditioned;
mod product_record;
mod ritz;
mod robust;
mod summed_loss;
mod weighted;

pub use diagonal::{DiagonalPreconditioner, with_diagonal};
pub use fit::{ModelObjective, fit, fit_samples};
pub use kronecker::KroneckerPreconditioner;
pub use learned::{EmpiricalFisherDiagonal, LearnedPreconditioner, LearningCost};
pub(crate) use least_squares::{AnyFit, Bounds};
pub use least_squares::{LeastSquares, least_squares, least_squares_dense, least_squares_from_residuals};
pub use limited_memory::LimitedMemoryPreconditioner;
pub use loss::{Likelihood, Loss};
pub use losses::{BernoulliCrossEntropy, GaussianLoss, PoissonLoss, RobustError, SoftmaxCrossEntropy, SquaredError};
pub use metric::Metric;
pub use nystrom::NystromPreconditioner;
pub use preconditioned::{Preconditioned, PreconditionedObjective, with_preconditioner};
pub use product_record::ProductRecord;
pub use robust::{Arctan, Cauchy, Huber, Parts, RobustLoss, SoftL1, Squares, Tukey};

pub(crate) use robust::LossSum;
pub(crate) use weighted::{LeastCurvature, Weighted, Weights};
