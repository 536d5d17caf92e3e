//! Floor 5: solvers.

mod cubic_regularization;
mod escape;
mod first_order;
mod globalisation;
mod memory;
mod newton;
mod newton_cg;
mod source;
mod trust_region;

pub use cubic_regularization::CubicRegularization;
pub use first_order::{
    AdaGrad, Adam, FirstOrder, FullAdaGrad, GradientDescent, GradientMethod, HeavyBall, Lbfgs, LineSearch,
    MirrorDescent, Moments, Momentum, Nesterov, RmsProp, Schedule, SteepestDescent,
};
pub use memory::Memory;
pub use newton_cg::NewtonCg;
pub use trust_region::TrustRegion;
