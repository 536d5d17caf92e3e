//! Residuals that are less accurate than their numbers, as a simulation's are.
//!
//! By differences over √ε such noise makes a Jacobian of noise, whose steps fail however short they are; and where it is
//! exact, the last digits of f are none. So before a run has stalled, or anybody is said to be wrong, the noise is measured
//! ([`noise`]). Where it is more than was thought the run goes on from the same point, with differences over a distance
//! that goes by it, and with decreases that count as rounding below it.

use super::{FitLocal, FitState, LOOSEST};
use crate::base::{Scalar, SplitMix64, kernels, space};
use crate::control::{Limits, Track};
use crate::operator::{Caller, LinearMap, NOISE_CALLS, noise};

/// The noise has to be so many times what was thought.
const MORE: f64 = 8.0;

impl<T: Scalar> FitLocal<'_, T> {
    /// Whether the residuals are noisier than was thought; then this is known, and `track.other_x` is x. A claim of
    /// convergence is doubted where differences see nothing of some parameter.
    pub(super) fn finds_noise(
        &self,
        fit: &mut FitState<T>,
        track: &mut Track<T>,
        limits: &Limits<'_>,
        claimed: bool,
    ) -> bool {
        let problem = self.residuals;
        let by_differences = self.jacobian.accuracy().is_some();
        let blind = || (0..fit.norms.len()).any(|j| fit.norms[j] == 0.0 && fit.scaling[j] > T::zero());
        let wanted = !claimed || by_differences && blind();
        if !wanted
            || limits.stop(0, &problem.model).is_some()
            || !limits.allow_values(problem.model.counts(), NOISE_CALLS)
        {
            return false;
        }
        let met = &fit.met;
        let unit = |j: usize| if met[j] > 0.0 { met[j] } else { 1.0 };
        let evaluate = |x: &mut [T], outputs: &mut [T]| {
            if let Some(bounds) = problem.fit.bounds {
                bounds.project(x);
            }
            if limits.interruption().is_some() {
                return outputs.fill(T::nan());
            }
            problem.model.evaluate(x, outputs);
            limits.note(problem.model.take_error());
        };
        let norm = |v: &[T]| space::of_residuals(|| kernels::norm(v));
        let found = noise((self.x, unit), SplitMix64::new(0), &fit.residual, evaluate, norm);
        let (count, size) = (space::of_residuals(|| space::whole(fit.residual.len())), norm(&fit.residual));
        let Some(found) = found else { return false };
        let deviation = found / (count as f64).sqrt();
        let coarse = by_differences && problem.model.learns_accuracy(found / size.max(fit.initial_size), MORE);
        let noisy = deviation > MORE * fit.errors.of_residual::<T>().max(T::epsilon_f64() * size);
        if noisy {
            fit.errors.noise = deviation;
        }
        if coarse || noisy {
            track.other_x.copy_from_slice(self.x);
            fit.other_residual.clone_from(&fit.residual);
            fit.columns.fill(0.0);
            (fit.scaled, fit.forcing) = (false, LOOSEST);
        }
        coarse || noisy
    }
}
