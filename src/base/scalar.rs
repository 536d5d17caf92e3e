//! The number type of vectors: `f32` or `f64`.

use std::fmt::{Debug, Display, LowerExp};

use num_traits::{Float, NumAssign};

use super::CallbackOutput;
use super::compiled::Compiled;
use super::native::Native;
use super::stored::Stored;

/// The element type of all vectors: `f32` or `f64`.
///
/// Only vectors have this type. Every scalar that the library computes itself (inner products, radii, dampings, the
/// small projected matrices) is an `f64`, so an `f32` run loses nothing to the summation of long vectors.
pub trait Scalar:
    Float
    + NumAssign
    + Into<f64>
    + CallbackOutput<f64>
    + Default
    + Debug
    + Display
    + LowerExp
    + Send
    + Sync
    + Native
    + Compiled
    + Stored
    + 'static
{
    /// The nearest value of this type; values out of its range become infinite.
    fn from_f64(value: f64) -> Self;

    /// Unit roundoff spacing of this type as an `f64` (2⁻⁵² or 2⁻²³).
    fn epsilon_f64() -> f64 {
        Self::epsilon().into()
    }
}

impl Scalar for f32 {
    #[inline]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
}

impl Scalar for f64 {
    #[inline]
    fn from_f64(value: f64) -> Self {
        value
    }
}
