//! Floor 3: the step family. How the steps δ(λ), δ(Δ), δ(σ), δ(ε) come out of products.
mod conjugate_gradient;
mod dense;
mod family;
mod krylov;
mod remembered;
mod spectral;
pub use family::{Accuracy, Inner, InnerStop, Resources, StepFamily};
pub use krylov::{Growth, KrylovSpace};
pub use remembered::RememberedModel;
pub use spectral::{Answer, Indefinite, Question};
