//! Mirror maps: the geometry that [`MirrorDescent`](crate::first_order::MirrorDescent) steps in, and the set that it stays in.
//!
//! | map | set | φ(x) | step |
//! | --- | --- | --- | --- |
//! | [`Euclidean`] | ℝⁿ | ½‖x‖₂² | x − ηg |
//! | [`Mahalanobis`] | ℝⁿ | ½xᵀAx | x − ηA⁻¹g |
//! | [`PNorm`] | ℝⁿ | ½‖x‖ₚ² | in the coordinates ∇φ |
//! | [`Simplex`] | x > 0, Σx = 1 | Σ x ln x | xᵢe^(−ηgᵢ)/Σⱼxⱼe^(−ηgⱼ), exponentiated gradient |
//! | [`Orthant`] | x > 0 | Σ x ln x − x | xᵢe^(−ηgᵢ) |
//! | an [`exponential_family`](crate::exponential_family) | its mean parameters | ηᵀμ − A(η) | η − α∇_μf |
//! | [`potential`] | yours | yours | ∇φ⁻¹(∇φ(x) − ηg) |

mod entropy;
mod family;
mod map;
mod p_norm;
mod potential;
mod quadratic;

pub use entropy::{Orthant, Simplex};
pub use map::MirrorMap;
pub use p_norm::PNorm;
pub use potential::{Potential, potential};
pub use quadratic::{Euclidean, Mahalanobis};
