//! Floor 2: curvature. What model, loss and metric make of it, and what is known of it beforehand.

mod diagonal;
mod fit;
mod kronecker;
mod learned;
mod loss;
mod losses;
mod metric;
mod preconditioned;
mod stacked;

pub use diagonal::{DiagonalPreconditioner, estimate_diagonal, with_diagonal};
pub use fit::{ModelObjective, SampledModelObjective, fit, fit_samples};
pub use kronecker::KroneckerPreconditioner;
pub use learned::{EmpiricalFisherDiagonal, LearnedPreconditioner};
pub use loss::{Likelihood, Loss};
pub use losses::{BernoulliCrossEntropy, GaussianLoss, PoissonLoss, SoftmaxCrossEntropy, SquaredError};
pub use metric::Metric;
pub use preconditioned::{Preconditioned, PreconditionedObjective, Preconditioner, with_preconditioner};
