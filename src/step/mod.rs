//! Floor 3: the step family. How the steps δ(λ), δ(Δ), δ(σ), δ(ε) come out of products.
mod conjugate_gradient;
mod dense;
mod family;
mod krylov;
mod remembered;
mod spectral;
mod steps;
pub use family::{Inner, InnerStop};
pub use spectral::Question;
pub use steps::{Step, StepOptions, StepOutcome, Steps, damped_step};

pub(crate) use spectral::Answer;

pub(crate) use family::{Accuracy, Resources, StepFamily};
pub(crate) use remembered::RememberedModel;
