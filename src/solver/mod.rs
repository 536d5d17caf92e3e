//! Floor 5: solvers.

mod cubic_regularization;
mod escape;
mod globalisation;
mod memory;
mod minibatch;
mod natural_gradient;
mod newton;
mod newton_cg;
mod source;
mod trust_region;

pub use cubic_regularization::CubicRegularization;
pub use memory::Memory;
pub use natural_gradient::NaturalGradient;
pub use newton_cg::NewtonCg;
pub use trust_region::TrustRegion;
