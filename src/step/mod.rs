//! Floor 3: the step family. How the steps δ(λ), δ(Δ), δ(σ), δ(ε) come out of products.

mod backtracking_cg;
mod conjugate_gradient;
mod dense;
mod dense_least_squares;
mod family;
mod gauss_newton;
mod krylov;
mod minres;
mod remembered;
mod spectral;
mod steps;

pub use family::{Inner, InnerStop};
pub use minres::{Minres, MinresOptions, MinresOutcome, NonpositiveCurvature, minres};
pub use spectral::Question;
pub use steps::{Step, StepOptions, StepOutcome, Steps, damped_step};

pub(crate) use backtracking_cg::{BacktrackingCg, CgStop};
pub(crate) use dense_least_squares::DenseLeastSquares;
pub(crate) use family::{Accuracy, Resources, StepFamily};
pub(crate) use gauss_newton::{GaussNewtonSteps, System};
pub(crate) use krylov::{Growth, KrylovSpace};
pub(crate) use remembered::RememberedModel;
pub(crate) use spectral::Answer;
