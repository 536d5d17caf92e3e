//! Exponential families: natural and mean parameters, and the metric between them.
//!
//! A family is p(x | η) = h(x) exp(ηᵀT(x) − A(η)); here each is in its minimal form, so that η ↦ μ is one to one.
//!
//! | family | T(x) | η | μ |
//! | --- | --- | --- | --- |
//! | [`Bernoulli`] | x | ln p/(1 − p) | p |
//! | [`Categorical`] | 1\[x = i\] | ln pᵢ/p_{K−1} | pᵢ |
//! | [`Poisson`] | x | ln λ | λ |
//! | [`Exponential`] | x | −β | 1/β |
//! | [`Gamma`] | ln x, x | α − 1, −β | ψ(α) − ln β, α/β |
//! | [`Gaussian`] | xᵢ, xᵢxⱼ | Σ⁻¹m, −½Σ⁻¹ | m, Σ + mmᵀ |
//!
//! [`MirrorDescent`](crate::first_order::MirrorDescent) minimises over a family, which is a [mirror map](crate::mirror_map).

mod bernoulli;
mod categorical;
mod exponential;
mod family;
mod gamma;
mod gaussian;
mod poisson;

pub use bernoulli::Bernoulli;
pub use categorical::Categorical;
pub use exponential::Exponential;
pub use family::{Coordinates, ExponentialFamily, Fisher};
pub use gamma::Gamma;
pub use gaussian::Gaussian;
pub use poisson::Poisson;

pub(super) use bernoulli::softplus;
pub(super) use family::{narrow, widened};
pub(super) use poisson::divergence as poisson_divergence;
