//! Values of f that are less accurate than their numbers, as a simulation's are.
//!
//! Decreases that such noise hides look like failures of the step, until no length helps. Little of it shows where values
//! contradict gradients (`control::search`); any amount is measured before a run has stalled, or a gradient is said to be
//! wrong ([`noise`]). Where it is more than was thought the run goes on from the same point, and gradients judge what values
//! cannot.

use crate::base::{Scalar, SplitMix64, kernels};
use crate::control::{Limits, Track, rounding};
use crate::operator::{AnyObjective, Counted, NOISE_CALLS, Objective, noise};

/// Lines along which it is looked for: of a single output one in ten tells nothing.
const LINES: u64 = 3;
/// Standard deviations that the difference of two values may have by noise.
const DEVIATIONS: f64 = 4.0;
/// The noise has to be so many times what was thought.
const MORE: f64 = 2.0;

/// Whether values around x are noisier than was thought; then this is known, and `track.other_x` is x.
pub(super) fn finds_noise<T: Scalar>(
    objective: &Counted<AnyObjective<'_, T>>,
    x: &[T],
    track: &mut Track<T>,
    limits: &Limits<'_>,
) -> bool {
    let known = track.noise.max(rounding(T::epsilon_f64(), track.value, track.value));
    let largest = kernels::max_abs(x);
    let unit = |j: usize| match x[j].abs().into() {
        0.0 if largest > 0.0 => largest,
        0.0 => 1.0,
        size => size,
    };
    for line in 0..LINES {
        let calls = objective.counts().values.saturating_add(NOISE_CALLS);
        if calls > limits.stopping().max_values || limits.stop(track.steps(), objective).is_some() {
            return false;
        }
        let evaluate = |x: &mut [T], value: &mut [f64]| {
            value[0] = if limits.interruption().is_some() { f64::NAN } else { objective.value(x) };
            limits.note(objective.take_error());
        };
        let random = SplitMix64::new(line);
        if let Some(deviation) = noise((x, unit), random, &[track.value], evaluate, |v| v[0].abs()) {
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
