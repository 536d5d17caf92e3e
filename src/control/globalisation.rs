//! How long a step may be, and what happens when it fails: the part in which the solvers differ.

#[cfg(feature = "serde")]
use super::state;
#[cfg(feature = "serde")]
use crate::base::Result;
use crate::base::{Scalar, Stored, kernels};
use crate::step::{Solution, Subproblem};

/// The scales at the start, from which the first radius, weight or length comes. Nothing here depends on the units of
/// f, and on those of x only where there is nothing else to go by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scales {
    /// ‖g‖.
    pub gradient_norm: f64,
    /// The length of the step to the minimum along −g; ‖x‖ where there is no curvature to tell.
    pub length: f64,
    /// ‖x‖, or 1 at the origin.
    pub point: f64,
}

/// A length within which a guess from next to no curvature is to stay, as far out on a function that grows like a cone:
/// that of a step which takes half of the digits of x, or the one at which the slope alone would take f to 0.
pub(crate) fn reach<T: Scalar>(x: &[T], value: f64, gradient_norm: f64) -> f64 {
    let to_zero = value.abs() / gradient_norm;
    let far = norm_or_one(x) / T::epsilon_f64().sqrt();
    if to_zero.is_finite() { far.max(to_zero) } else { far }
}

/// ‖x‖, or 1 at the origin.
pub(crate) fn norm_or_one<T: Scalar>(x: &[T]) -> f64 {
    let norm = kernels::norm(x);
    if norm > 0.0 { norm } else { 1.0 }
}

/// A trial step and what became of it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Trial {
    /// The model's solution.
    pub solution: Solution,
    /// The factor on its step.
    pub length: f64,
    /// f(x).
    pub before: f64,
    /// f(x + δ).
    pub after: f64,
    /// The decrease that the model predicts for the step.
    pub predicted: f64,
    /// Actual over predicted decrease; −∞ where f(x + δ) is not finite.
    pub ratio: f64,
    /// The divergence of x + δ from x where the globalisation bounds it; 0 where it does not or there is none.
    pub divergence: f64,
}

impl Trial {
    /// ‖δ‖.
    pub fn norm(&self) -> f64 {
        self.length * self.solution.norm
    }

    /// The same trial, as if its step had been at most so long.
    pub fn within(&self, longest: f64) -> Trial {
        Trial { length: self.length * (longest / self.norm()).min(1.0), ..*self }
    }

    /// Where the parabola through f(x), gᵀδ and f(x + δ) has its minimum, in units of δ; `None` if it has none.
    pub fn interpolated(&self) -> Option<f64> {
        let slope = self.length * self.solution.slope;
        let bend = self.after - self.before - slope;
        (self.after.is_finite() && bend > 0.0).then(|| -0.5 * slope / bend)
    }

    /// The factor by which a step that failed is shortened, between 0.1 and 0.5.
    pub fn shortening(&self) -> f64 {
        self.interpolated().unwrap_or(0.25).clamp(0.1, 0.5)
    }
}

/// A rule for the length of steps.
pub(crate) trait Globalisation {
    /// Whether steps stay within a length that has been good, so that one which does well says something of the next.
    fn keeps_length(&self) -> bool {
        false
    }
    /// Sets the first radius, weight or length.
    fn start(&mut self, scales: Scales);
    /// What to ask of the model.
    fn subproblem(&self) -> Subproblem;
    /// The factor on the solution's step, for line searches.
    fn length(&self, solution: &Solution) -> f64 {
        let _ = solution;
        1.0
    }
    /// Δ, σ or α of this trial: for the history, and to come back to.
    fn control(&self, trial: &Trial) -> f64;
    /// Comes back to an earlier Δ, σ or α.
    fn restore(&mut self, control: f64);
    /// The decrease that the model predicts for the step.
    fn predicted(&self, solution: &Solution) -> f64 {
        solution.decrease()
    }
    /// The largest divergence that a step may have, if it is bounded.
    fn most_divergence(&self) -> Option<f64> {
        None
    }
    /// Whether steps are taken as the formula has them, wherever f is finite: then they are computed to many digits.
    fn bare(&self) -> bool {
        false
    }
    /// Where the model turns out to have this lowest curvature, too low for the subproblem: asks another one and returns true,
    /// or leaves the step to what is known without products.
    fn convexify(&mut self, lowest: f64) -> bool {
        let _ = lowest;
        false
    }
    /// Whether the trial decreases f enough.
    fn acceptable(&self, trial: &Trial) -> bool;
    /// After a trial that does not: shortens.
    fn shorten(&mut self, trial: &Trial);
    /// After a trial that does: if a longer step promises more, asks for it and returns true.
    fn lengthen(&mut self, trial: &Trial) -> bool;
    /// After a step was taken: prepares the next.
    fn taken(&mut self, trial: &Trial);
}

/// A rule of any type, which can be saved with the run that it belongs to.
pub(crate) trait StoredGlobalisation: Globalisation {
    /// It, in bytes.
    #[cfg(feature = "serde")]
    fn bytes(&self) -> Vec<u8>;
    /// Becomes what these bytes say.
    #[cfg(feature = "serde")]
    fn resume(&mut self, bytes: &[u8]) -> Result<()>;
}

impl<G: Globalisation + Stored> StoredGlobalisation for G {
    #[cfg(feature = "serde")]
    fn bytes(&self) -> Vec<u8> {
        state::bytes(self)
    }

    #[cfg(feature = "serde")]
    fn resume(&mut self, bytes: &[u8]) -> Result<()> {
        *self = state::parts(bytes)?;
        Ok(())
    }
}
