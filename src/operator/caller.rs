//! Who makes the calls of a run: they are counted, may fail, and are saved with it.

use super::Counts;
use crate::base::{CallbackError, Stored};

/// What a run asks for values, gradients and products, as far as the calls themselves go.
pub(crate) trait Caller {
    /// What is saved of the calls.
    type Calls: Stored;

    /// Calls so far.
    fn counts(&self) -> Counts;

    /// The error of a callback, if one has failed.
    fn take_error(&self) -> Option<CallbackError>;

    /// The numbers of unknowns, and of residuals or samples.
    #[cfg(feature = "serde")]
    fn dimensions(&self) -> [usize; 2];

    /// What another one has to be told, to go on as this.
    #[cfg(feature = "serde")]
    fn calls(&self) -> impl serde::Serialize + '_;

    /// Goes on from there.
    #[cfg(feature = "serde")]
    fn resume(&mut self, calls: Self::Calls);
}
