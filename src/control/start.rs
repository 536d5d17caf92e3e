//! Where a run starts.

#[cfg(feature = "serde")]
use super::RunState;
use super::Stopping;
use crate::base::{Result, Scalar, check_finite, check_length, check_positive_dimension, space};

/// Where a run starts.
#[derive(Debug)]
pub(crate) enum Start<'s, T> {
    /// x₀.
    Point(&'s [T]),
    /// Where another run was.
    #[cfg(feature = "serde")]
    State(&'s RunState),
}

impl<T> Clone for Start<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Start<'_, T> {}

impl<'s, T> Start<'s, T> {
    /// x₀, for a new run.
    pub fn point(self) -> Option<&'s [T]> {
        match self {
            Start::Point(x0) => Some(x0),
            #[cfg(feature = "serde")]
            Start::State(_) => None,
        }
    }

    /// Refuses an x₀ of another length, or that is not finite.
    pub fn check(self, dim: usize) -> Result<()>
    where
        T: Scalar,
    {
        let Some(x0) = self.point() else { return Ok(()) };
        check_length("x0", x0, dim)?;
        check_finite("x0", x0)
    }
}

/// Refuses what no run can start from.
pub(crate) fn check_start<T: Scalar>(dim: usize, start: Start<'_, T>, stopping: &Stopping) -> Result<()> {
    let check = || {
        check_positive_dimension("the objective's dimension", dim)?;
        start.check(dim)?;
        stopping.check()
    };
    space::accepted(check())
}
