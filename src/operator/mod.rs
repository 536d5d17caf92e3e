//! Floor 1: operators and objectives, how they are composed and counted, and what can be built from them.

mod any;
mod blocks;
mod callback;
mod caller;
mod closures;
mod compose;
mod counted;
mod counted_model;
mod differences;
mod divergence;
mod finite_difference;
mod forward;
mod jacobian_model;
mod linear_map;
mod model;
mod objective;
mod observations;
mod pattern;
mod sampled;
mod second_order;
mod summed;
mod symmetric;

pub(crate) use blocks::{BlockJacobian, BlockLayout, BlockValues, Chunk, ChunkValues, NO_PARAMETER, RowWeights};
pub use blocks::{BlockModel, BlockStructure};
pub use closures::{ClosureObjective, FnOperator, objective, operator};
pub use compose::{DiagonalOperator, Scaled, Shifted, ShiftedDiagonal, Sum};
pub use counted::{Counted, Counts};
pub use differences::{Around, Difference, Units};
pub use divergence::{DivergenceObjective, with_divergence};
pub use finite_difference::{GradientObjective, objective_from_gradient};
pub use jacobian_model::{DifferenceModel, JacobianModel};
pub use linear_map::{FnLinearMap, LinearMap, linear_map};
pub use model::{ClosureModel, LayerShape, Linearization, Model, model};
pub use objective::{Expansion, Objective};
pub use observations::{PriorModel, WeightedModel, complex};
pub use pattern::Pattern;
pub use sampled::{SampledModel, SampledObjective};
pub use second_order::{SecondOrderModel, with_second_order};
pub use summed::Summed;
pub use symmetric::SymmetricOperator;

pub(crate) use any::{AnyModel, AnyObjective, AnySampledObjective};
pub(crate) use caller::Caller;
pub(crate) use counted_model::{CountedMap, CountedModel};
pub(crate) use forward::forward;
