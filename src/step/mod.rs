//! Floor 3: the step family. How the steps δ(λ), δ(Δ), δ(σ), δ(ε) come out of products.

mod backtracking_cg;
mod bidiagonal;
mod bidiagonalization;
mod completion;
mod conjugate_gradient;
mod corrected_lsmr;
mod dense;
mod dense_least_squares;
mod factors;
mod family;
mod gauss_newton;
mod golub_kahan;
mod inner;
mod krylov;
mod least_squares_steps;
mod linear_least_squares;
mod lsmr;
mod minres;
mod orthonormal;
mod projected;
mod projected_model;
#[cfg(test)]
mod projected_tests;
mod reflected;
mod remembered;
#[cfg(test)]
mod remembered_tests;
mod secular;
mod spectral;
mod steps;
mod units;

pub use corrected_lsmr::linear_least_squares;
pub use family::{InnerSolver, InnerStop};
pub use least_squares_steps::{LeastSquaresStep, LeastSquaresSteps};
pub use linear_least_squares::{LinearLeastSquares, LinearOutcome, LinearReport};
pub use minres::{MinresOptions, MinresOutcome, MinresReport, NonpositiveCurvature, minres};
pub use spectral::Subproblem;
pub use steps::{Step, StepOptions, StepOutcome, Steps, damped_step};

pub(crate) use backtracking_cg::{BacktrackingCg, CgStop};
pub(crate) use dense::check_memory;
pub(crate) use dense_least_squares::{DenseLeastSquares, rank_noise};
pub(crate) use family::{Accuracy, Resources, StepFamily};
pub(crate) use gauss_newton::{Factors, GaussNewtonSteps, System};
pub(crate) use golub_kahan::{ENTRY_COST, GolubKahan};
pub(crate) use krylov::{Growth, KrylovSpace};
pub(crate) use remembered::RememberedModel;
pub(crate) use spectral::{Indefinite, Solution};
pub(crate) use steps::MOST_BASIS;
pub(crate) use units::binade;
