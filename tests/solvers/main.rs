//! Floors 4 and 5: the solvers for smooth functions, first-order and mirror descent, what they count, and checkpoints.

mod checkpoint;
#[path = "../common/mod.rs"]
mod common;
mod counts;
#[path = "../common/derivative.rs"]
mod derivative;
mod descent;
mod epsilon;
mod every_solver;
mod faults;
mod first_order;
mod first_order_theory;
mod gauge;
mod interruptions;
mod magnitude;
mod mirror_descent;
mod mirror_maps;
mod noise;
mod observers;
mod ordinary;
mod pinned_runs;
mod proximity;
mod reference_runs;
mod resume;
mod soap;
mod symmetry;
mod torch_optimizers;
mod value_noise;
#[path = "../common/vectors.rs"]
mod vectors;
