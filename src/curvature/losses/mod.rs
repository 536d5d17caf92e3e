//! Losses, each with its likelihood.

mod softmax;
mod squared_error;

pub use softmax::SoftmaxCrossEntropy;
pub use squared_error::SquaredError;
