//! Where J has no full rank, a way down that no gradient shows.
//!
//! Along v with Jv = 0 the residuals do not change to first order, and to second order they may well get smaller: two equal
//! rates of a sum of exponentials, the radius 0 of a circle, anchors in one plane are saddles at which Jᵀr = 0. So before
//! convergence is claimed r(x ± hv) is evaluated, over a range of h, for a few such v, and for sums and differences of two:
//! a product of two parameters that are 0 changes only where both do. A linear model, whose columns merely
//! depend on each other, stays level along them; a residual that no parameter changes at all is on a plateau. Directions
//! that J cannot tell from null ones, as where it comes from differences, may lead on through a valley: where there is next
//! to nothing to gain, but more than the ε^¾ of f that a minimum may leave (`convergence`), the run has ended in one.

use super::{FitLocal, FitState};
use crate::base::{Scalar, kernels, space};
use crate::control::{Confirmation, Limits, Termination, Track};
use crate::step::GaussNewtonSteps;

/// Null directions that are looked along.
const DIRECTIONS: usize = 3;
/// The longest h takes x as far as it is from 0 (in the scaled parameters); where that changes anything at all, so many
/// shorter ones are tried …
const LENGTHS: usize = 6;
/// … each by this factor.
const SHORTER: f64 = 0.1;

impl<T: Scalar> FitLocal<'_, T> {
    pub(super) fn look_along_null_directions(
        &self,
        fit: &mut FitState<T>,
        track: &mut Track<T>,
        limits: &Limits<'_>,
    ) -> Confirmation {
        let problem = self.residuals;
        let free = fit.scaling.iter().filter(|&&s| s > T::zero()).count();
        let Some(factors) = fit.source.factors() else { return Confirmation::Minimum };
        let rank = factors.rank(self.residual(), &fit.scaling);
        let Some(missing) = rank.and_then(|rank| free.checked_sub(rank)).filter(|&missing| missing > 0) else {
            return Confirmation::Minimum;
        };
        let left = T::epsilon_f64().powf(0.75) * track.value;
        let (mut changes, mut falls) = (false, false);
        let count = missing.min(DIRECTIONS);
        let pairs = (0..count).flat_map(|i| (0..i).flat_map(move |j| [(i, j, 1.0), (i, j, -1.0)]));
        for (i, j, sign) in (0..count).map(|i| (i, i, 0.0)).chain(pairs) {
            let Track { new_gradient, step, .. } = &mut *track;
            if !factors.null_direction(i, new_gradient) || !factors.null_direction(j, step) {
                break;
            }
            kernels::axpy(sign, step, new_gradient);
            let scaled = self.x.iter().zip(&fit.scaling).filter(|(_, s)| **s > T::zero());
            let reach = scaled.fold(0.0, |reach: f64, (&x, &s)| reach.hypot((x / s).into()));
            let mut h = if reach > 0.0 { reach } else { fit.initial_size };
            // Where a column has been 0 so far its parameter has no scale but its own.
            if fit.columns.contains(&0.0) {
                h = h.max(1.0);
            }
            for _ in 0..=LENGTHS {
                let (mut level, mut finite) = (true, false);
                for sign in [1.0, -1.0] {
                    if limits.stop(0, &problem.model).is_some() {
                        return Confirmation::Minimum;
                    }
                    kernels::add_scaled(self.x, sign * h, &track.new_gradient, &mut track.other_x);
                    if let Some(bounds) = problem.fit.bounds {
                        bounds.project(&mut track.other_x);
                    }
                    problem.model.evaluate(&track.other_x, &mut fit.other_residual);
                    if !space::of_residuals(|| kernels::all_finite(&fit.other_residual)) {
                        continue;
                    }
                    finite = true;
                    let gained = fit.sum.decrease(problem.fit.loss, &fit.residual, &fit.other_residual);
                    let noise = fit.errors.of_decrease::<T>(track.value, gained, h);
                    level &= gained.abs() <= noise;
                    falls |= gained > noise.max(left);
                    if gained > noise.max(T::epsilon_f64().sqrt() * track.value) {
                        return Confirmation::Lower(track.value - gained);
                    }
                }
                // Shorter ones would show no more.
                if level && finite {
                    break;
                }
                changes |= finite;
                h *= SHORTER;
            }
        }
        if falls || rank == Some(0) && track.value > 0.0 && !changes {
            return Confirmation::End(Termination::FlatValley);
        }
        Confirmation::Minimum
    }
}
