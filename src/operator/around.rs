//! What is known around a point where a Jacobian is wanted.

use std::sync::{Mutex, MutexGuard};

use crate::base::Scalar;

/// What is known around a point where a Jacobian is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a, T> {
    /// lower ≤ x ≤ upper, for an x that stays in a box.
    pub bounds: Option<[&'a [T]; 2]>,
    /// What differences at earlier points of the same run have shown.
    pub units: Option<&'a Units>,
    /// The most evaluations: where they do not suffice for other steps the first ones stay, and for any the Jacobian is NaN.
    pub most: usize,
}

impl<T> Default for Around<'_, T> {
    /// Nothing, and no limit.
    fn default() -> Self {
        Around { bounds: None, units: None, most: usize::MAX }
    }
}

impl<T: Scalar> Around<'_, T> {
    /// η, where the user knows it as `declared`; not below ε.
    pub(super) fn accuracy(&self, declared: f64) -> f64 {
        let found = self.units.map_or(0.0, |units| units.shown().accuracy);
        T::epsilon_f64().max(declared).max(found)
    }
}

/// The units of the parameters, and the accuracy of the outputs, as a run has found them: one for each run, so that a run
/// depends on nothing before it.
#[derive(Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Units(Mutex<Shown>);

/// What differences have shown.
#[derive(Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Shown {
    pub units: Vec<Unit>,
    /// η, where it is more than rounding; otherwise 0.
    accuracy: f64,
}

impl Units {
    pub(super) fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Takes note that outputs are accurate to η = `accuracy` only, if that is so many times what was known.
    pub(super) fn learns_accuracy<T: Scalar>(&self, accuracy: f64, more: f64) -> bool {
        let known = &mut self.shown().accuracy;
        let worse = accuracy > more * known.max(T::epsilon_f64()) && accuracy < 1.0;
        if worse {
            *known = accuracy;
        }
        worse
    }
}

/// The unit of a parameter.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Unit {
    /// The largest |x| met.
    pub largest: f64,
    /// The unit that was needed where |x| was too small; 0 where it never was.
    pub least: f64,
    /// Whether a longer step showed nothing more.
    pub shown: bool,
}
