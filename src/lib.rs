//! Matrix-free second-order solvers.

mod base;
pub mod check;
mod operator;
#[cfg(feature = "problems")]
pub mod problems;

pub use base::*;
pub use operator::*;
