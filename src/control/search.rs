//! The search for a step from a point: trials, shortened and lengthened, and whether there is anything left to gain.

use super::globalisation::{Trial, reach};
use super::oracle::{LocalProblem, Oracle, Outcome};
use super::track::{Pending, Track};
use super::visit::{MOST_ROUNDING_STEPS, Visit};
use super::{EqualRatios, Evaluation, Judgement, Termination, contradiction};
use crate::base::{Scalar, kernels};
use crate::operator::Caller;
use crate::step::InnerStop;

/// Times that one step may be lengthened: to 4²⁰ times the first at most.
const MOST_LENGTHENINGS: usize = 20;
/// Rejections of one step, each at least halving it, after which it is given up.
const MOST_REJECTIONS: usize = 200;
/// The share of what the first trials of a step promise below which another is a short one …
const SHORT: f64 = 0.1;
/// … and that of what a model predicts that gradients have to confirm where values contradict both.
const AGREES: f64 = 0.5;

impl<T: Scalar, O: Oracle<T>, P: LocalProblem<T, O>> Visit<'_, '_, T, O, P> {
    /// Parts 1 and 2: finds a step that decreases f, or says why there is none.
    pub(super) fn find_step(&mut self) -> Outcome<()> {
        if self.track.rounding_steps >= MOST_ROUNDING_STEPS || self.track.rejected >= MOST_REJECTIONS {
            return Err(self.stalled(Termination::Stalled));
        }
        // A good trial and its Δ, σ or α, while a longer step is tried.
        let mut longer_than: Option<(Trial, f64)> = None;
        let (mut lengthened, mut first) = (0, true);
        let (mut ratios, mut most_promised) = (EqualRatios::new(), 0.0_f64);
        loop {
            let tried = match self.limit() {
                Some(limit) => Err(limit),
                None => self.try_step(lengthened == 0 && (first || self.local.elastic())),
            };
            first = false;
            let (trial, mut verdict, inner) = match (tried, longer_than) {
                (Ok(tried), _) => tried,
                (Err(termination @ (Termination::Unbounded | Termination::CallbackFailed)), _) => {
                    return Err(termination);
                }
                (Err(_), Some((shorter, control))) => return self.settle(shorter, control),
                (Err(termination), None) => return Err(termination),
            };
            let control = self.globalisation.control(&trial);
            let near = self.globalisation.most_divergence().is_none_or(|most| trial.divergence <= most);
            let mut good = match verdict {
                _ if !near => false,
                Judgement::Rounding => longer_than.is_none(),
                Judgement::Ratio(_) => self.globalisation.acceptable(&trial),
            };
            most_promised = most_promised.max(trial.predicted);
            let short = trial.predicted < SHORT * most_promised;
            if near && !good && !short && longer_than.is_none() && self.shows_noise(&trial) {
                (verdict, good) = (Judgement::Rounding, true);
            }
            if let Some((shorter, its_control)) = longer_than
                && !(good && trial.after < shorter.after)
            {
                return self.settle(shorter, its_control);
            }
            if good {
                if trial.after == f64::NEG_INFINITY {
                    return Err(Termination::Unbounded);
                }
                // A step that led to no finite gradient was shortened and is not lengthened again.
                let may_be_longer =
                    verdict != Judgement::Rounding && self.track.not_finite != Some(Evaluation::Gradient);
                let try_longer = may_be_longer && lengthened < MOST_LENGTHENINGS && self.local.elastic();
                if try_longer && self.globalisation.lengthen(&trial) {
                    longer_than = Some((trial, control));
                    lengthened += 1;
                    continue;
                }
                self.track.pending = Some(Pending { trial, verdict, inner, control });
                return Ok(());
            }
            let (position, step_norm) = (kernels::norm(self.x), kernels::norm(&self.track.step));
            let contradicted = ratios.reject(&trial, (self.x, position), (&self.track.step, step_norm));
            if contradicted && !self.gradient_small() && self.limit().is_none() && self.still_falls() {
                return Err(self.stalled(self.local.contradiction()));
            }
            if near {
                self.pass_by(verdict, trial.after, false);
            }
            self.reject(&trial, Evaluation::Value);
            if self.track.rejected >= MOST_REJECTIONS || step_norm <= T::epsilon_f64() * 0.01 * position {
                return Err(self.stalled(Termination::Stalled));
            }
        }
    }

    /// Makes a step and evaluates f at its end.
    fn try_step(&mut self, grow: bool) -> Outcome<(Trial, Judgement, InnerStop)> {
        let proposed = self.local.propose(self.state, self.track, self.globalisation, self.limits, grow);
        self.limits.note(self.oracle.caller().take_error());
        let interruption = self.limits.interruption();
        if interruption == Some(Termination::CallbackFailed) {
            return Err(Termination::CallbackFailed);
        }
        let (mut solution, mut inner) = match proposed {
            Ok(proposed) => proposed,
            Err(termination) => return Err(self.limit().unwrap_or(termination)),
        };
        if let Some(interruption) = interruption {
            return Err(interruption);
        }
        match if grow { self.settled(&mut solution, &mut inner) } else { Ok(false) } {
            Ok(false) => {}
            Ok(true) => return Err(Termination::GradientTolerance),
            Err(termination) => return Err(self.limit().unwrap_or(termination)),
        }
        let judged = self.local.judge(self.state, self.track, self.globalisation, self.limits, solution);
        judged.map(|(trial, verdict)| (trial, verdict, inner))
    }

    /// Comes back to a trial that was better than the longer one after it; the model gives the step again for nothing.
    fn settle(&mut self, trial: Trial, control: f64) -> Outcome<()> {
        self.globalisation.restore(control);
        let (_, inner) = self.local.propose(self.state, self.track, self.globalisation, self.limits, false)?;
        let verdict = Judgement::Ratio(trial.ratio);
        self.track.pending = Some(Pending { trial, verdict, inner, control });
        Ok(())
    }

    /// Whether the values at both ends of a trial that is not a short one contradict gradients that agree with the model, by so
    /// little that it is noise, of which the run takes note.
    fn shows_noise(&mut self, trial: &Trial) -> bool {
        let actual = trial.before - trial.after;
        let little = trial.predicted.max(actual.abs()) <= T::epsilon_f64().sqrt() * trial.before.abs();
        if !little || self.limit().is_some() {
            return false;
        }
        let Track { other_x, step, new_gradient, .. } = &mut *self.track;
        let Some(last) = self.oracle.slope(other_x, step, new_gradient) else { return false };
        let first = trial.length * trial.solution.slope;
        let noise = contradiction(actual, first, last);
        let shows = noise > 0.0 && -0.5 * (first + last) >= AGREES * trial.predicted;
        if shows {
            self.track.noise = self.track.noise.max(noise);
        }
        shows
    }

    /// Whether the gradient at the end of a trial, where f has risen, says that it falls on. Beyond a minimum it does not.
    fn still_falls(&mut self) -> bool {
        let Track { other_x, step, new_gradient, .. } = &mut *self.track;
        self.oracle.slope(other_x, step, new_gradient).is_none_or(|slope| slope < 0.0)
    }

    /// Counts a step that failed and shortens the next. A remembered step that failed is not shortened: products at
    /// this point will say more.
    pub(super) fn reject(&mut self, trial: &Trial, evaluation: Evaluation) {
        self.track.rejected(trial, evaluation);
        if !self.local.knows_better(self.state) {
            // Least squares has lengths of its own, and starts with that of x.
            let reach = match O::residual(self.state) {
                None => reach(self.x, self.track.value, self.track.gradient_norm),
                Some(_) => f64::INFINITY,
            };
            self.globalisation.shorten(&trial.within(reach));
        }
        self.local.rejected(self.state);
    }
}
