//! Floor 1: operators and objectives, how they are composed and counted, and what can be built from them.

mod block_jacobian;
mod block_layout;
mod blocks;
mod closures;
mod compose;
mod counted;
mod finite_difference;
mod form;
mod linear_map;
mod model;
mod objective;
mod sampled;
mod symmetric;

pub(crate) use block_jacobian::{BlockJacobian, ChunkValues};
pub(crate) use block_layout::{BlockLayout, Chunk, NONE as NO_PARAMETER};
pub use blocks::{BlockModel, BlockStructure};
pub use closures::{ClosureObjective, FnOperator, objective, operator};
pub use compose::{DiagonalOperator, Scaled, Shifted, ShiftedDiagonal, Sum};
pub use counted::{Counted, Counts};
pub use finite_difference::{Difference, GradientObjective, objective_from_gradient};
pub use form::form_parallel;
pub use linear_map::{FnLinearMap, LinearMap, linear_map};
pub use model::{ClosureModel, Linearization, Model, model};
pub use objective::{Expansion, Objective};
pub use sampled::SampledObjective;
pub use symmetric::SymmetricOperator;
