//! Hessian-free training: sampled gradients, curvature products, and a state that survives.

mod conjugate_gradients;
mod drawn;
mod iteration;
mod options;
mod proposal;
mod run;
mod start;
mod state;
mod subspace_descent;
mod tally;

pub use options::{
    AcceptanceBatch, ConjugateGradients, CurvatureBatch, GradientBatch, HessianFree, StepMethod, SubspaceDescent,
};
pub use run::HessianFreeRun;
