//! Floor 5: solvers.

mod cubic_regularization;
mod escape;
mod globalisation;
mod hessian_free;
mod memory;
mod newton;
mod newton_cg;
mod source;
mod trust_region;

pub use cubic_regularization::CubicRegularization;
pub use hessian_free::{
    AcceptanceBatch, ConjugateGradients, CurvatureBatch, GradientBatch, HessianFree, HessianFreeRun, HessianFreeState,
    OneSpace, Recipe,
};
pub use memory::Memory;
pub use newton_cg::NewtonCg;
pub use trust_region::TrustRegion;
