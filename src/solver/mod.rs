//! Floor 6: solvers.

mod bare;
mod blind_spot;
mod control;
mod cubic_regularization;
mod damping;
mod descent;
mod entry_points;
mod first_order;
mod gain;
mod gauss_newton;
mod hessian_free;
mod in_units;
mod least_squares;
mod levenberg_marquardt;
mod memory;
mod minibatch;
mod natural_gradient;
mod newton;
mod newton_cg;
mod own_units;
mod second_look;
mod source;
mod stationary;
mod trust_region;
mod value_noise;

pub use control::Control;
pub use cubic_regularization::CubicRegularization;
pub use descent::Descent;
pub use first_order::{
    AdaGrad, Adam, Epsilon, FirstOrder, FullAdaGrad, GradientDescent, GradientMethod, HeavyBall, IterateAverage, Lbfgs,
    LineSearch, MirrorDescent, Moments, Momentum, Nesterov, RmsProp, Schedule, Soap, SteepestDescent,
};
pub use gauss_newton::GaussNewton;
pub use hessian_free::{
    AcceptanceBatch, ConjugateGradients, CurvatureBatch, GradientBatch, HessianFree, HessianFreeRun, StepMethod,
    SubspaceDescent,
};
pub use least_squares::Scaling;
pub use levenberg_marquardt::LevenbergMarquardt;
pub use memory::Memory;
pub use natural_gradient::NaturalGradient;
pub use newton_cg::NewtonCg;
pub use trust_region::TrustRegion;
