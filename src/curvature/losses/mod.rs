//! Losses, each with its likelihood.

mod bernoulli;
mod gaussian;
mod poisson;
mod robust_error;
mod shared;
mod softmax;
mod squared_error;

pub use bernoulli::BernoulliCrossEntropy;
pub use gaussian::GaussianLoss;
pub use poisson::PoissonLoss;
pub use robust_error::RobustError;
pub use softmax::SoftmaxCrossEntropy;
pub use squared_error::SquaredError;
