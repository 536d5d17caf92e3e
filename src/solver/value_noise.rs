//! Values and gradients of f that are less accurate than their numbers, as a simulation's are.
//!
//! Decreases that such noise hides look like failures of the step, until no length helps. Little of it shows where values
//! contradict gradients (`control::search`); any amount is measured before a run has stalled, or a gradient is said to be
//! wrong ([`noise`]). Where it is more than was thought the run goes on from the same point, and gradients judge what values
//! cannot.
//!
//! Where products are differences of gradients, noise in those makes a matrix of noise: it is measured as well, and also where
//! products are far from symmetric, and differences go by it from there.

use std::cell::Cell;

use crate::base::{Scalar, SplitMix64, kernels};
use crate::control::{Limits, Track, rounding};
use crate::operator::{AnyObjective, Counted, Expansion, NOISE_CALLS, Objective, noise};

/// Lines along which it is looked for: of a single output one in ten tells nothing.
const LINES: u64 = 3;
/// Standard deviations that the difference of two values, or a gradient, may have by noise.
const DEVIATIONS: f64 = 4.0;
/// The noise has to be so many times what was thought; that of gradients, of which differences feel the root.
const MORE: f64 = 2.0;
const MORE_OF_GRADIENTS: f64 = 8.0;

/// What |xⱼ| is measured in.
fn unit<T: Scalar>(x: &[T]) -> impl Fn(usize) -> f64 {
    let largest = kernels::max_abs(x);
    move |j: usize| match x[j].abs().into() {
        0.0 if largest > 0.0 => largest,
        0.0 => 1.0,
        size => size,
    }
}

/// Whether values around x are noisier than was thought; then this is known, and `track.other_x` is x.
pub(super) fn finds_noise<T: Scalar>(
    objective: &Counted<AnyObjective<'_, T>>,
    x: &[T],
    track: &mut Track<T>,
    limits: &Limits<'_>,
) -> bool {
    let known = track.noise.max(rounding(T::epsilon_f64(), track.value, track.value));
    for line in 0..LINES {
        if limits.stop(track.steps(), objective).is_some() || !limits.allow_values(objective.counts(), NOISE_CALLS) {
            return false;
        }
        let evaluate = |x: &mut [T], value: &mut [f64]| {
            value[0] = if limits.interruption().is_some() { f64::NAN } else { objective.value(x) };
            limits.note(objective.take_error());
        };
        let random = SplitMix64::new(line);
        if let Some(deviation) = noise((x, unit(x)), random, &[track.value], evaluate, |v| v[0].abs()) {
            let found = DEVIATIONS * deviation;
            if found <= MORE * known {
                return false;
            }
            track.noise = found;
            track.other_x.copy_from_slice(x);
            return true;
        }
    }
    false
}

/// η, to which gradients around x are accurate, relative to the largest met and to what they change by over lengths of x;
/// `None` where that is no more than was `known`.
pub(super) fn accuracy_of_gradients<T: Scalar>(
    objective: &Counted<AnyObjective<'_, T>>,
    x: &[T],
    track: &mut Track<T>,
    limits: &Limits<'_>,
    known: f64,
) -> Option<f64> {
    if limits.stop(track.steps(), objective).is_some() || !limits.allow(objective, 1, NOISE_CALLS) {
        return None;
    }
    let (here, unit) = (&*track.gradient, unit(x));
    let size = Cell::new(track.gradient_norm.max(track.initial_gradient_norm));
    let evaluate = |y: &mut [T], gradient: &mut [T]| {
        if limits.interruption().is_some() {
            return gradient.fill(T::nan());
        }
        objective.expand(y).gradient(gradient);
        limits.note(objective.take_error());
        let change = kernels::sum_terms(x.len(), |j| (gradient[j] - here[j]).into().powi(2)).sqrt();
        size.set(size.get().max(change * unit(0) / (y[0] - x[0]).abs().into()));
    };
    let deviation = noise((x, &unit), SplitMix64::new(0), here, evaluate, kernels::norm)?;
    track.gradient_noise = DEVIATIONS * deviation;
    let found = deviation / size.get();
    (found > MORE_OF_GRADIENTS * known.max(T::epsilon_f64()) && found < 1.0).then_some(found)
}
