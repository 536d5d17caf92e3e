//! Floor 3: the step family. How the steps δ(λ), δ(Δ), δ(σ), δ(ε) come out of products.
mod conjugate_gradient;
mod dense;
mod krylov;
mod minres;
mod remembered;
mod spectral;
pub use krylov::{Growth, KrylovSpace};
pub use minres::{Minres, MinresOptions, MinresOutcome, NonpositiveCurvature, minres};
pub use remembered::RememberedModel;
pub use spectral::{Answer, Indefinite, Question};
