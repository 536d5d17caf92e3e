//! First-order methods: δ = −αM⁻¹g with a metric M that is given, or made of gradients.
//!
//! | method | M | momentum | storage beside x, g |
//! | --- | --- | --- | --- |
//! | gradient descent, steepest descent | I, or a given P | – | – |
//! | heavy ball | I, or a given P | δ ← βδ − αM⁻¹g | 1 |
//! | Nesterov | I, or a given P | the gradient is taken ahead | 1 |
//! | AdaGrad | ε + √Σg² or √(Σg² + ε), diagonal | – | 1 |
//! | AdaGrad, full matrix | εI + (Σggᵀ)^½ or (εI + Σggᵀ)^½ | – | d |
//! | RMSProp | √v + ε or √(v + ε), v a mean of g², diagonal | – | 1 |
//! | Adam, AdamW | the same without bias, diagonal | m̂ for g | 2 |
//! | SOAP | Adam's, in the eigenbases of each layer's GGᵀ and GᵀG | m̂ for g | 2, and those |
//! | L-BFGS | the inverse of two loops over m pairs | – | 2m |
//! | mirror descent | ∇²φ of a mirror map, to first order; for an exponential family exactly F | – | 1 |
//!
//! All run in one loop (`walk`), with values and gradients from an oracle: the whole objective, or batches.

mod ada_grad;
mod adam;
mod average;
mod ending;
mod epsilon;
mod gradient_descent;
mod heavy_ball;
mod lbfgs;
mod limited_memory;
mod method;
mod mirror_descent;
mod mover;
mod nesterov;
mod oracle;
mod rms_prop;
mod run;
mod schedule;
mod search;
mod soap;
mod steepest_descent;
mod walk;

pub use ada_grad::{AdaGrad, FullAdaGrad};
pub use adam::Adam;
pub use average::IterateAverage;
pub use epsilon::Epsilon;
pub use gradient_descent::GradientDescent;
pub use heavy_ball::HeavyBall;
pub use lbfgs::Lbfgs;
pub use method::{GradientMethod, Moments};
pub use mirror_descent::MirrorDescent;
pub use nesterov::{Momentum, Nesterov};
pub use rms_prop::RmsProp;
pub use run::FirstOrder;
pub use schedule::Schedule;
pub use soap::Soap;
pub use steepest_descent::{LineSearch, SteepestDescent};
