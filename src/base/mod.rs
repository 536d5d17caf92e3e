//! Floor 0: the scalar type, vector kernels and errors. Everything above imports from here; it imports nothing.

mod callback;
#[cfg(feature = "serde")]
pub(crate) mod checksum;
pub(crate) mod cholesky;
pub(crate) mod columns;
mod compiled;
mod eigen;
mod error;
pub(crate) mod gamma_function;
pub(crate) mod kernels;
pub(crate) mod native;
pub(crate) mod parallel;
pub(crate) mod random;
mod scalar;
pub(crate) mod small;
pub(crate) mod space;
mod stored;
mod update;

pub use callback::{CallbackError, CallbackOutput, ErrorSlot};
pub use error::{Error, Result};
pub use random::SplitMix64;
pub use scalar::Scalar;
pub use space::{Communicator, Slices, check_equal, distributed, reductions};
pub use update::Move;

pub(crate) use callback::{is_unwritten, unwritten};
pub(crate) use cholesky::Cholesky;
pub(crate) use compiled::{GenericFunction, compiled};
pub(crate) use eigen::Eigen;
pub(crate) use error::{
    check_callback, check_component, check_count, check_dimension, check_finite, check_length, check_not_negative,
    check_positive, check_positive_dimension, check_range,
};
pub(crate) use stored::Stored;
pub(crate) use update::{Square, update};
