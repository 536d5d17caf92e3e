//! Matrix-free second-order solvers.
#![forbid(unsafe_code)]

mod base;
pub mod check;
mod control;
mod curvature;
mod operator;
#[cfg(feature = "problems")]
pub mod problems;
mod solver;
mod step;

pub use base::{Error, Result, Scalar};
pub use control::{Evaluation, Iteration, Progress, Report, Stopping, Termination};
pub use curvature::*;
pub use operator::*;
pub use solver::{CubicRegularization, Memory, NewtonCg, TrustRegion};
pub use step::*;
