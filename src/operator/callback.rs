//! The closures of objectives, operators and models, whatever they return.

use crate::base::{CallbackOutput, ErrorSlot, Scalar};

/// x ↦ f(x).
pub trait ValueFn<T> {
    /// The value, NaN after an error.
    fn value(&self, errors: &ErrorSlot, x: &[T]) -> f64;
}

impl<T, R: CallbackOutput<f64>, F: Fn(&[T]) -> R> ValueFn<T> for F {
    #[inline]
    fn value(&self, errors: &ErrorSlot, x: &[T]) -> f64 {
        errors.value(|| self(x))
    }
}

/// (x, out), which overwrites `out`.
pub trait WriteFn<T> {
    /// Writes NaN after an error.
    fn write(&self, errors: &ErrorSlot, x: &[T], out: &mut [T]);
}

impl<T: Scalar, R: CallbackOutput<()>, F: Fn(&[T], &mut [T]) -> R> WriteFn<T> for F {
    #[inline]
    fn write(&self, errors: &ErrorSlot, x: &[T], out: &mut [T]) {
        errors.write(out, |out| self(x, out));
    }
}

/// (x, v, out), which overwrites `out` with a product at x.
pub trait ProductFn<T> {
    /// Writes NaN after an error.
    fn product(&self, errors: &ErrorSlot, x: &[T], v: &[T], out: &mut [T]);
}

impl<T: Scalar, R: CallbackOutput<()>, F: Fn(&[T], &[T], &mut [T]) -> R> ProductFn<T> for F {
    #[inline]
    fn product(&self, errors: &ErrorSlot, x: &[T], v: &[T], out: &mut [T]) {
        errors.write(out, |out| self(x, v, out));
    }
}
