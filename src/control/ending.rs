//! The end of a descent: what is asked before a run is said to have converged, or to have stalled.
//!
//! [`convergence`](super::convergence) decides on numbers; here they are had. Most points are no end, which a step from
//! remembered curvature, or from a space that leaves much of the gradient, is enough to see. Where one may be, products at
//! x have to say so, and near a start, or where no step helps, an accurate −M⁻¹g that nothing holds back.

use super::Termination;
use super::convergence::{Ending, Measures, Promise};
use super::globalisation::{Globalisation, Scales, Trial};
use super::oracle::{Confirmation, LocalProblem, Look, Oracle, Outcome};
use super::visit::Visit;
use crate::base::{Scalar, kernels};
use crate::operator::Caller;
use crate::step::{InnerStop, Solution, Subproblem};

/// λ‖δ‖² as a share of −gᵀδ, the sum of it and δᵀMδ, up to which a step counts as the model's minimum.
const HELD_BACK: f64 = 0.1;

/// Steps within which a run may turn out to have been started at a minimum, which is worth an accurate look.
const RESTART: usize = 2;

/// Newton's step, whatever its length.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Whole;

impl Globalisation for Whole {
    fn start(&mut self, _: Scales) {}
    fn subproblem(&self) -> Subproblem {
        Subproblem::Damped(0.0)
    }
    fn control(&self, _: &Trial) -> f64 {
        f64::NAN
    }
    fn restore(&mut self, _: f64) {}
    fn acceptable(&self, _: &Trial) -> bool {
        false
    }
    fn shorten(&mut self, _: &Trial) {}
    fn lengthen(&mut self, _: &Trial) -> bool {
        false
    }
    fn taken(&mut self, _: &Trial) {}
}

/// Whether a step is not the model's minimum.
fn held_back(solution: &Solution) -> bool {
    let held = solution.shift * solution.norm * solution.norm > HELD_BACK * -solution.slope;
    held || solution.on_boundary && solution.shift == 0.0
}

impl<T: Scalar, O: Oracle<T>, P: LocalProblem<T, O>> Visit<'_, '_, T, O, P> {
    /// Whether the model's minimum is where the run is, with the globalisation's solution as it is in the end.
    ///
    /// # Errors
    /// If the run may not go on, so that there is no such solution.
    pub(super) fn settled(&mut self, solution: &mut Solution, inner: &mut InnerStop) -> Outcome<bool> {
        // Least squares has a test of its own, until it is stuck.
        if !self.local.promises() || O::residual(self.state).is_some() {
            return Ok(false);
        }
        let first = self.track.steps() <= RESTART && self.track.rejected == 0;
        let (held, small) = (held_back(solution), self.gradient_small());
        let seems = (small || !held) && self.seems_settled(solution, *inner, false, Ending::Arrival);
        let ending = match small {
            false if first && self.seems_near(solution) => Some(Ending::Restart),
            // Where what holds the step back outweighs stale curvature, the minimum is not seen.
            true if seems && held && *inner == InnerStop::Remembered => Some(Ending::Arrival),
            _ => None,
        };
        if let Some(ending) = ending {
            if self.settles_accurately(ending) {
                return Ok(true);
            }
            // As if nothing had been asked.
            self.local.look_away(self.state, *inner == InnerStop::Remembered);
            (*solution, *inner) = self.local.propose(self.state, self.track, self.globalisation, self.limits, true)?;
            return Ok(false);
        }
        let seems = seems && !held;
        if !seems || *inner != InnerStop::Remembered || self.local.remembers_all(self.state) {
            return Ok(seems);
        }
        self.local.look_closer(self.state, Some(Look::Rough));
        match self.local.propose(self.state, self.track, self.globalisation, self.limits, true) {
            Ok(products) => (*solution, *inner) = products,
            Err(_) => return self.limit().map_or(Ok(false), Err),
        }
        Ok(self.seems_settled(solution, *inner, false, Ending::Arrival) && !held_back(solution))
    }

    /// The end of a run that finds no step, or none that is worth it; `Ok` if it goes on to `other_x` all the same.
    pub(super) fn conclude(&mut self, termination: Termination) -> Outcome<()> {
        let stalled = termination == Termination::Stalled;
        let claimed = termination == Termination::GradientTolerance;
        if !stalled && !claimed && termination != Termination::InconsistentGradient {
            return Err(termination);
        }
        match self.limit() {
            Some(limit) if !claimed || matches!(limit, Termination::CallbackFailed | Termination::Cancelled) => {
                return Err(limit);
            }
            Some(_) => return Err(termination),
            None => {}
        }
        let _ = self.limits.take_refusal();
        if !stalled && self.tries_again(claimed)? {
            return Ok(());
        }
        if !stalled && !claimed {
            return Err(self.unless_refused(termination));
        }
        let promises = self.local.promises();
        let minimum = match stalled {
            true if promises => self.settles_accurately(Ending::Stuck),
            // A small gradient, and no step that helps: nothing tells this from a minimum.
            true => self.gradient_small(),
            false => true,
        };
        let termination = if minimum { Termination::GradientTolerance } else { termination };
        if !minimum && (!promises || O::residual(self.state).is_some()) {
            return if self.tries_again(false)? { Ok(()) } else { Err(self.unless_refused(termination)) };
        }
        match self.local.confirm(self.state, self.track, self.limits) {
            Confirmation::Minimum => {
                self.limits.note(self.oracle.caller().take_error());
                match self.limits.interruption() {
                    None if !minimum && self.tries_again(false)? => Ok(()),
                    Some(interruption) => Err(interruption),
                    None if minimum => Err(termination),
                    None => Err(self.unless_refused(termination)),
                }
            }
            Confirmation::End(termination) => Err(termination),
            Confirmation::Lower(value) => {
                self.track.left_saddle = Some(self.track.value);
                (self.track.value, self.track.gradient_norm) = (value, f64::NAN);
                (self.track.rounding_steps, self.track.rejected) = (0, 0);
                Ok(())
            }
        }
    }

    /// This end, or the limit that left no room for what was to tell it from a minimum.
    fn unless_refused(&self, termination: Termination) -> Termination {
        self.limits.take_refusal().unwrap_or(termination)
    }

    /// Whether the run goes on from here after all, since values turned out to be noisier than was thought.
    fn tries_again(&mut self, claimed: bool) -> Outcome<bool> {
        let again = self.local.doubts_values(self.state, self.track, self.limits, claimed);
        self.limits.interruption().map_or(Ok(()), Err)?;
        if again {
            (self.track.rounding_steps, self.track.rejected) = (0, 0);
        }
        Ok(again)
    }

    pub(super) fn gradient_small(&self) -> bool {
        let tolerance = self.limits.stopping().gradient_tolerance::<T>(self.track.reference_gradient_norm);
        self.track.gradient_norm <= tolerance.max(self.track.gradient_noise)
    }

    /// Whether an accurate look may be worth it: f is flat, or a first step short.
    fn seems_near(&self, solution: &Solution) -> bool {
        let short = T::epsilon_f64().powf(0.375) * kernels::norm(self.x).max(self.track.farthest);
        let slopes = self.slopes();
        let flat = slopes > 0.0 && slopes <= T::epsilon_f64().sqrt() * self.track.value.abs();
        flat || solution.norm <= short
    }

    /// Σ|gⱼxⱼ|.
    fn slopes(&self) -> f64 {
        let (g, x) = (&self.track.gradient, self.x);
        kernels::sum_terms(x.len(), |j| (g[j].into() * x[j].into()).abs())
    }

    /// Whether an accurate Newton step says that the run has settled.
    fn settles_accurately(&mut self, ending: Ending) -> bool {
        self.local.look_closer(self.state, Some(Look::Accurate));
        let whole = self.local.propose(self.state, self.track, &mut Whole, self.limits, true);
        // Whether all that speaks against it is what may have been left out.
        let mut but_for_that = false;
        match whole {
            Ok((solution, inner)) if inner != InnerStop::NotFinite => {
                if self.seems_settled(&solution, inner, true, ending) {
                    return true;
                }
                let promise = self.local.promise(self.state, &self.track.gradient, &solution, inner);
                let all = promise.map(|promise| Promise { accurate: true, complete: true, ..promise });
                but_for_that = all.is_some_and(|promise| self.measures(ending).settle(promise));
            }
            Err(limit) if limit.passes() => self.limits.refuse(limit),
            _ => {}
        }
        let measures = self.measures(ending);
        let settles = |promise: Promise| measures.settle(promise);
        self.local.whole_settles(self.state, self.track, self.limits, but_for_that, &settles)
    }

    fn seems_settled(&mut self, solution: &Solution, inner: InnerStop, accurate: bool, ending: Ending) -> bool {
        let measures = self.measures(ending);
        if inner == InnerStop::NotFinite {
            return measures.gradient_small && ending == Ending::Arrival; // there is nothing else to go by
        }
        let promise = self.local.promise(self.state, &self.track.gradient, solution, inner);
        let accurate = accurate || matches!(inner, InnerStop::Dense);
        promise.is_some_and(|promise| measures.settle(Promise { accurate, ..promise }))
    }

    fn measures(&mut self, ending: Ending) -> Measures {
        let position = kernels::norm(self.x);
        self.track.farthest = self.track.farthest.max(position);
        let track = &*self.track;
        Measures {
            epsilon: T::epsilon_f64(),
            tolerance: self.limits.stopping().relative_tolerance::<T>(),
            gradient_norm: track.gradient_norm,
            first_gradient_norm: track.initial_gradient_norm,
            // In least squares τ is a cosine.
            gradient_small: O::residual(self.state).is_none() && self.gradient_small(),
            value: track.value,
            gained: track.initial_value - track.value,
            position,
            farthest: track.farthest,
            slopes: self.slopes(),
            // On its way a run may go on by gradients.
            resolution: if ending == Ending::Stuck { track.resolution.max(track.noise) } else { track.resolution },
            ending,
        }
    }
}
