//! Floor 2: losses, metrics, exponential families and preconditioners, against dense matrices and differences.

#[path = "../common/derivative.rs"]
mod derivative;
mod exponential_families;
mod feature_variances;
mod kronecker;
mod losses;
mod low_rank_preconditioners;
mod metrics;
