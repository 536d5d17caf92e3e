//! Generic functions that this library compiles itself, for both number types, so that no program that calls them has to.

use super::Scalar;

/// A function that is generic over the type of numbers. What implements it must not be generic itself: then its two methods
/// are compiled here, with everything that they call.
pub trait GenericFunction {
    /// What it takes.
    type Input<'r, 's, T: Scalar>;
    /// What it gives back.
    type Output<'r, T: Scalar>;
    /// It for `f32`.
    fn single<'r>(input: Self::Input<'r, '_, f32>) -> Self::Output<'r, f32>;
    /// It for `f64`.
    fn double<'r>(input: Self::Input<'r, '_, f64>) -> Self::Output<'r, f64>;
}

/// The part of `Scalar` that finds a function's version for the type.
pub trait Compiled: Sized {
    /// `F` for this type.
    fn call<'r, F: GenericFunction>(input: F::Input<'r, '_, Self>) -> F::Output<'r, Self>
    where
        Self: Scalar;
}

impl Compiled for f32 {
    fn call<'r, F: GenericFunction>(input: F::Input<'r, '_, f32>) -> F::Output<'r, f32> {
        F::single(input)
    }
}

impl Compiled for f64 {
    fn call<'r, F: GenericFunction>(input: F::Input<'r, '_, f64>) -> F::Output<'r, f64> {
        F::double(input)
    }
}
