//! A point that may be stationary, and how steep f was along each of few unknowns on the way there.

use crate::base::{Scalar, space};
use crate::operator::Counts;
use crate::step::RememberedModel;

/// A look that costs one call of so many is made in any case.
const LITTLE: usize = 20;
/// Unknowns up to which the whole matrix is looked at where some of the gradient has not fallen: that may cost d products.
pub(super) const FEW: usize = 50;

/// The largest |gⱼ| met, of few unknowns. Where ‖g‖ has fallen, those that have not were lost in it: in other units, or on an
/// axis of symmetry, they may be worth all of f.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Steepest(Vec<f64>);

impl Steepest {
    /// Nothing where the whole matrix would cost more than a look.
    pub fn new(dim: usize) -> Self {
        Steepest(if dim <= FEW && !space::in_parts() { vec![0.0; dim] } else { Vec::new() })
    }

    /// The unknowns that have never had a gradient and have none here.
    pub fn flat<T: Scalar>(&self, gradient: &[T]) -> Vec<usize> {
        (0..self.0.len()).filter(|&i| gradient[i].is_zero() && self.0[i] == 0.0).collect()
    }

    /// Whether it is kept.
    pub fn is_kept(&self) -> bool {
        !self.0.is_empty()
    }

    pub fn meet<T: Scalar>(&mut self, gradient: &[T]) {
        self.0.iter_mut().zip(gradient).for_each(|(most, g)| *most = most.max(g.abs().into()));
    }

    /// Whether d products are worth it: where a component has not fallen to ε^¼ of the largest, as all do on the way to a
    /// minimum, or where they are next to nothing beside the calls that were made, a product being two.
    pub fn doubts<T: Scalar>(&self, gradient: &[T], counts: Counts) -> bool {
        let share = T::epsilon_f64().powf(0.25);
        let left_out = self.0.iter().zip(gradient).any(|(most, g)| g.abs().into() >= share * most);
        let calls = (counts.values + counts.gradients).saturating_add(2 * counts.all_products());
        left_out || self.is_kept() && 2 * self.0.len() <= calls / LITTLE
    }
}

/// A stationary point, as far as its gradient tells.
pub(super) struct Stationary<'a, T> {
    pub x: &'a [T],
    pub value: f64,
    pub gradient: &'a [T],
    pub gradient_norm: f64,
    /// The largest ‖x‖ met.
    pub farthest: f64,
    /// The decrease that is not worth a step.
    pub least: f64,
    /// Whether the whole matrix is to be looked at.
    pub doubtful: bool,
    /// Whether all of its curvature was seen, or none is to be.
    pub whole: bool,
    /// The curvature met on the way.
    pub remembered: Option<&'a mut RememberedModel<T>>,
}

impl<T> Stationary<'_, T> {
    /// x, f(x), and the decrease that is not worth a step.
    pub fn here(&self) -> (&[T], f64, f64) {
        (self.x, self.value, self.least)
    }
}
