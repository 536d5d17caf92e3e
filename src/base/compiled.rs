//! Generic functions that this library compiles itself, for both number types, so that no program that calls them has to.

/// Calls `body`, which is generic over the type of numbers `$T`, in a version of it that this library compiles. Lifetimes: `$r` is
/// in what comes out, `$s` is not. The arguments may name no other generic type, and the body not even this one.
macro_rules! compiled {
    (<$r:lifetime, $s:lifetime, $T:ident>($($argument:ident: $Argument:ty),+) -> $Output:ty $body:block) => {{
        struct Here;
        impl $crate::base::GenericFunction for Here {
            type Input<$r, $s, $T: 'static> = ($($Argument,)+);
            type Output<$r, $T: 'static> = $Output;
            fn single<$r>(($($argument,)+): Self::Input<$r, '_, f32>) -> Self::Output<$r, f32> $body
            fn double<$r>(($($argument,)+): Self::Input<$r, '_, f64>) -> Self::Output<$r, f64> $body
        }
        $T::call::<Here>(($($argument,)+))
    }};
}
pub(crate) use compiled;

/// A function that is generic over the type of numbers. What implements it must not be generic itself: then its two methods
/// are compiled here, with everything that they call.
pub trait GenericFunction {
    /// What it takes.
    type Input<'r, 's, T: 'static>;
    /// What it gives back.
    type Output<'r, T: 'static>;
    /// It for `f32`.
    fn single<'r>(input: Self::Input<'r, '_, f32>) -> Self::Output<'r, f32>;
    /// It for `f64`.
    fn double<'r>(input: Self::Input<'r, '_, f64>) -> Self::Output<'r, f64>;
}

/// The part of `Scalar` that finds a function's version for the type.
pub trait Compiled: Sized + 'static {
    /// `F` for this type.
    fn call<'r, F: GenericFunction>(input: F::Input<'r, '_, Self>) -> F::Output<'r, Self>;
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
