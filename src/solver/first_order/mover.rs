//! What makes the steps of a first-order method.

use super::oracle::{Oracle, Preconditioned};
use crate::base::{Scalar, Stored};
use crate::control::{self, Iteration, Termination};
use crate::operator::{Caller, Counts};
use crate::step::InnerStop;

/// Where a run is.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Place<T> {
    pub x: Vec<T>,
    /// The point that a step leads to; after the move, the point that it came from.
    pub next: Vec<T>,
    pub value: f64,
    pub gradient: Vec<T>,
    pub gradient_norm: f64,
    pub preconditioned: Preconditioned<T>,
}

/// A step that was made.
#[derive(Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Moved {
    pub step_norm: f64,
    pub control: f64,
    pub ratio: f64,
    pub rejected: usize,
}

/// When a step may no longer be made.
pub(super) struct Limits<'l, 's> {
    pub run: &'l control::Limits<'s>,
    pub iterations: usize,
    /// Values and gradients that are kept for the end of the run.
    pub reserve: Counts,
}

impl Limits<'_, '_> {
    pub fn reached(&self, oracle: &impl Caller) -> Option<Termination> {
        self.run.note(oracle.take_error());
        self.run.reached(self.iterations, oracle.counts() + self.reserve)
    }
}

/// What makes steps.
pub(super) trait Mover<T: Scalar, O: Oracle<T>> {
    /// What it remembers.
    type Memory: Stored;

    /// Whether P⁻¹g is wanted for g.
    fn preconditionable(&self) -> bool;

    /// Makes the next point.
    fn advance(
        &self,
        memory: &mut Self::Memory,
        place: &mut Place<T>,
        oracle: &mut O,
        limits: &Limits<'_, '_>,
    ) -> std::result::Result<Moved, Termination>;

    /// The value at x, with the gradient and what belongs to it.
    fn arrive(&self, _memory: &mut Self::Memory, place: &mut Place<T>, oracle: &mut O) -> f64 {
        oracle.evaluate(&place.x, &mut place.gradient, &mut place.preconditioned)
    }

    /// Whether, and how, the run is over at x, where it may be. Asked where the oracle is exact.
    fn end(
        &self,
        _memory: &mut Self::Memory,
        _place: &mut Place<T>,
        _oracle: &mut O,
        _limits: &Limits<'_, '_>,
        _since: Since,
        moment: Moment,
    ) -> Option<End> {
        (moment == Moment::Small).then_some(End::Converged)
    }

    /// What is reported of a run that ends at x, where the oracle is not exact; `new` if x has not been arrived at.
    fn reported(&self, _memory: &mut Self::Memory, x: Vec<T>, _new: bool) -> Vec<T> {
        x
    }

    /// Its storage in vectors of length d.
    fn vectors(&self, memory: &Self::Memory, dim: usize) -> usize;
}

/// Why a run may be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// The gradient is within the tolerance.
    Small,
    /// These are its first points.
    Early,
    /// No step was found.
    Stalled,
}

/// What becomes of it.
pub(super) enum End {
    Converged,
    /// x is no minimum, and `next` is lower: a step as [`Mover::advance`] makes it.
    Lower(Moved),
}

/// What a run has seen.
#[derive(Clone, Copy)]
pub(super) struct Since {
    /// f and ‖g‖ at the start.
    pub value: f64,
    pub gradient_norm: f64,
    /// The length of the last step; ∞ before the first.
    pub step: f64,
}

impl Moved {
    /// The step's entry in the history.
    pub fn record(&self, value: f64, gradient_norm: f64) -> Iteration {
        Iteration {
            value,
            gradient_norm,
            step_norm: self.step_norm,
            ratio: self.ratio,
            control: self.control,
            shift: 0.0,
            rejected: self.rejected,
            products: 0,
            inner: InnerStop::ClosedForm,
            lowest_ritz_value: f64::NAN,
        }
    }
}
