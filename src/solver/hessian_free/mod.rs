//! Hessian-free training: sampled gradients, curvature products, and a state that survives.

mod conjugate_gradients;
mod drawn;
mod one_space;
mod options;
mod proposal;
mod run;
mod start;
mod state;
mod tally;

pub use options::{AcceptanceBatch, ConjugateGradients, CurvatureBatch, GradientBatch, HessianFree, OneSpace, Recipe};
pub use run::HessianFreeRun;
pub use state::HessianFreeState;
