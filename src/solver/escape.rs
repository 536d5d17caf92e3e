//! A way down from a stationary point that is a saddle.
//!
//! Where the gradient is exactly zero no gradient method moves. A short Lanczos run from a random vector (fixed seed)
//! looks for negative curvature; if the lowest Ritz vector has some, f is probed along it in both senses, over a range of
//! lengths since a zero gradient gives no scale.

use crate::base::random::SplitMix64;
use crate::base::{Scalar, kernels, space};
use crate::control::{Limits, rounding};
use crate::operator::{Counted, Expansion, Objective};
use crate::step::{Accuracy, Resources, StepFamily, Subproblem};

/// Most products spent on the search.
const PRODUCTS: usize = 10;
/// Lengths tried, from ‖x‖ (or 1) down by factors of 4 to about 1e-6 of it.
const LENGTHS: usize = 11;

/// Looks for a point below f(x) = `value` where ∇f(x) = 0; writes it to `lower` and returns its value. Costs at most 10
/// products and, if negative curvature is found, at most 22 values.
pub(super) fn escape<T: Scalar>(
    objective: &Counted<impl Objective<T>>,
    expansion: &impl Expansion<T>,
    x: &[T],
    value: f64,
    limits: &Limits<'_>,
    family: &mut StepFamily<T>,
    lower: &mut [T],
) -> Option<f64> {
    let mut random = SplitMix64::new(0);
    let mut start = vec![T::zero(); x.len()];
    space::normals(&mut random, 1.0, &mut start);
    let (before, made) = (objective.counts().products, || objective.counts().products);
    let more = || {
        limits.note(Objective::<T>::take_error(objective));
        limits.allow_products(objective.counts(), 1) && made() - before < PRODUCTS
    };
    family.clear();
    if !family.start(expansion, &start, |_| false, &more) {
        return None;
    }
    // With the random vector in the gradient's place the space is that of Lanczos' method.
    let _ = family.refine(
        expansion,
        &start,
        Subproblem::Radius(1.0),
        Accuracy { residual: 0.0, energy: 0.0, enough: 0.0, truncated: false },
        Resources { remembered: None, more: &more },
    );
    let largest = family.ritz_values().iter().fold(0.0, |l: f64, t| l.max(t.abs()));
    let mut direction = start;
    let curvature = family.lowest_direction(&mut direction)?;
    if curvature >= -T::epsilon_f64().sqrt() * largest {
        return None;
    }
    let norm = kernels::norm(x);
    let mut length = if norm > 0.0 { norm } else { 1.0 };
    for _ in 0..LENGTHS {
        for sign in [1.0, -1.0] {
            limits.note(Objective::<T>::take_error(objective));
            if limits.reached(0, objective.counts()).is_some() {
                return None;
            }
            kernels::add_scaled(x, sign * length, &direction, lower);
            let there = objective.value(lower);
            if there < value - rounding(T::epsilon_f64(), value, there) {
                return Some(there);
            }
        }
        length *= 0.25;
    }
    None
}
