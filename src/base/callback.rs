//! Callbacks that may fail: what they return, and where their error waits until it is asked for.
//!
//! The traits' methods return plain numbers, and NaN means "not here". A closure may return a `Result` instead: its error
//! is stored in a slot, NaN is all that the caller sees from then on, and whoever runs the callbacks takes the error
//! ([`SymmetricOperator::take_error`](crate::SymmetricOperator::take_error) and its kin), ends, and hands it out.

use std::error::Error as StdError;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use num_traits::Float;

/// The error of a callback, as the callback returned it.
///
/// Two are equal if they are the same error, not only alike.
#[derive(Clone)]
pub struct CallbackError(Arc<dyn StdError + Send + Sync>);

impl CallbackError {
    /// Takes up an error, or a text.
    pub fn new(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        CallbackError(error.into().into())
    }

    /// The error, if it is of this type.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for CallbackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for CallbackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a callback failed: {}", self.0)
    }
}

impl StdError for CallbackError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

impl PartialEq for CallbackError {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What a closure returns: a number or nothing, or a `Result` of that whose error is any
/// [`Error`](std::error::Error) or text.
///
/// `V` is `f64` for values, which may also be given as `f32`, and `()` for closures that write.
pub trait CallbackOutput<V> {
    /// The value, or the error.
    ///
    /// # Errors
    /// What the callback returned as its error.
    fn into_result(self) -> Result<V, CallbackError>;
}

impl CallbackOutput<()> for () {
    fn into_result(self) -> Result<(), CallbackError> {
        Ok(())
    }
}

impl CallbackOutput<f64> for f64 {
    fn into_result(self) -> Result<f64, CallbackError> {
        Ok(self)
    }
}

impl CallbackOutput<f64> for f32 {
    fn into_result(self) -> Result<f64, CallbackError> {
        Ok(self.into())
    }
}

impl<V, R: CallbackOutput<V>, E: Into<Box<dyn StdError + Send + Sync>>> CallbackOutput<V> for Result<R, E> {
    fn into_result(self) -> Result<V, CallbackError> {
        self.map_err(CallbackError::new)?.into_result()
    }
}

/// What the entries of a matrix hold before a closure writes them: a NaN that arithmetic does not make, in `f32` too.
pub(crate) fn unwritten<T: Float>() -> T {
    T::from(f64::from_bits(0x7ff8_beef_0000_0000)).unwrap_or_else(T::nan)
}

/// Whether an entry is still that.
pub(crate) fn is_unwritten<T: Float>(entry: T) -> bool {
    let bits = |v: T| v.to_f64().map(f64::to_bits);
    bits(entry) == bits(unwritten())
}

/// The type of what never returns, like `|_, _| unreachable!()`.
type Never = <fn() -> ! as Returns>::Output;

#[doc(hidden)]
pub trait Returns {
    type Output;
}

impl<R> Returns for fn() -> R {
    type Output = R;
}

impl<V> CallbackOutput<V> for Never {
    fn into_result(self) -> Result<V, CallbackError> {
        self
    }
}

/// Where the first error of an object's callbacks waits until it is taken; for own implementations of the traits.
///
/// Until then no callback is called again: what is asked for is NaN. It may be shared between threads. No lock is held
/// while a callback runs, so that one that panics leaves nothing behind. A clone is empty.
///
/// ```
/// use newton_krylov::{SymmetricOperator, damped_step};
/// use newton_krylov::callbacks::{CallbackError, ErrorSlot};
///
/// /// A matrix that is read by rows from somewhere.
/// struct Remote {
///     row: fn(usize) -> Result<[f64; 2], std::io::Error>,
///     errors: ErrorSlot,
/// }
///
/// impl SymmetricOperator<f64> for Remote {
///     fn dim(&self) -> usize {
///         2
///     }
///     fn apply(&self, v: &[f64], out: &mut [f64]) {
///         self.errors.write(out, |out| {
///             for (i, out) in out.iter_mut().enumerate() {
///                 let row = (self.row)(i)?;
///                 *out = row[0] * v[0] + row[1] * v[1];
///             }
///             Ok::<(), std::io::Error>(())
///         });
///     }
///     fn take_error(&self) -> Option<CallbackError> {
///         self.errors.take()
///     }
/// }
///
/// let m = Remote { row: |_| Err(std::io::ErrorKind::TimedOut.into()), errors: ErrorSlot::new() };
/// let newton_krylov::Error::Callback(error) = damped_step(&m, &[1.0, 2.0], 0.0).unwrap_err() else { panic!() };
/// assert_eq!(error.downcast_ref::<std::io::Error>().unwrap().kind(), std::io::ErrorKind::TimedOut);
/// ```
#[derive(Default)]
pub struct ErrorSlot {
    /// Whether there is an error, so that asking for one costs a read.
    full: AtomicBool,
    error: Mutex<Option<CallbackError>>,
}

impl ErrorSlot {
    /// An empty slot.
    pub const fn new() -> Self {
        ErrorSlot { full: AtomicBool::new(false), error: Mutex::new(None) }
    }

    /// The value that `call` returns; NaN if it is an error, which is stored, or if one waits already.
    #[inline]
    pub fn value<R: CallbackOutput<f64>>(&self, call: impl FnOnce() -> R) -> f64 {
        self.run(call).unwrap_or(f64::NAN)
    }

    /// Has `call` write to `out`; fills it with NaN if it returns an error, which is stored, or if one waits already.
    #[inline]
    pub fn write<T: Float, R: CallbackOutput<()>>(&self, out: &mut [T], call: impl FnOnce(&mut [T]) -> R) {
        if self.run(|| call(out)).is_none() {
            out.fill(T::nan());
        }
    }

    #[inline]
    fn run<V, R: CallbackOutput<V>>(&self, call: impl FnOnce() -> R) -> Option<V> {
        if self.is_full() {
            return None;
        }
        match call().into_result() {
            Ok(value) => Some(value),
            Err(error) => {
                self.store(error);
                None
            }
        }
    }

    /// Stores an error, unless one waits already.
    #[cold]
    pub fn store(&self, error: CallbackError) {
        let mut slot = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = Some(error);
            self.full.store(true, Ordering::Release);
        }
    }

    /// Whether an error waits.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// Hands the error out, and leaves the slot empty.
    pub fn take(&self) -> Option<CallbackError> {
        if !self.is_full() {
            return None;
        }
        let mut slot = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        self.full.store(false, Ordering::Release);
        slot.take()
    }
}

impl Clone for ErrorSlot {
    fn clone(&self) -> Self {
        ErrorSlot::new()
    }
}

impl fmt::Debug for ErrorSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_full() { "ErrorSlot(full)" } else { "ErrorSlot(empty)" })
    }
}
