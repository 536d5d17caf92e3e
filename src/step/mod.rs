//! Floor 3: the step family. How the steps δ(λ), δ(Δ), δ(σ), δ(ε) come out of products.
mod conjugate_gradient;
mod dense;
mod family;
mod krylov;
mod remembered;
mod spectral;
pub use family::{Inner, InnerStop};
pub use spectral::{Answer, Indefinite, Question};

pub(crate) use family::{Accuracy, Resources, StepFamily};
pub(crate) use remembered::RememberedModel;
