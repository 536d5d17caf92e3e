//! Matrix-free second-order solvers.

mod base;
pub mod check;
mod curvature;
mod operator;
pub mod solver;
pub mod step;
#[cfg(feature = "problems")]
pub mod problems;

pub use base::*;
pub use curvature::*;
pub use operator::*;
pub use step::*;
