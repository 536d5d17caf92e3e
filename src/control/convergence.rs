//! When a run has converged: a test that depends neither on the start alone nor on units.
//!
//! A small gradient by itself says little: from a far start it is small, against ‖∇f(x₀)‖, where no minimum is near, and
//! started at a minimum it never is. So the model has the last word, from products at x. With δ = −M⁻¹g and p = ½gᵀM⁻¹g,
//! the decrease that is still promised (half of Newton's decrement squared; Boyd & Vandenberghe, *Convex Optimization*
//! (2004), section 9.5.1), X the size of x, S = Σ Mⱼⱼxⱼ² its square in the metric, D what f has fallen by so far, and τ the
//! tolerance, x has converged where M is positive definite as far as is known and
//!
//! - p ≤ 8ε²S in the whole space, ‖g‖ not having grown: the model's minimum is x, to its rounding; or
//! - ‖δ‖ ≤ τX and p is within the rounding of f: nothing is left to gain, and nowhere to go; or
//! - ‖g‖ ≤ τ‖g₀‖, ‖δ‖ ≤ τX, and p and |f| are at most max(τ³, ε²)D: for an f that vanishes at the minimum and has no
//!   rounding there. A gradient that falls by τ lets p fall by τ²; the further τ is one Newton step, which tells a minimum
//!   from a far start, and ε² is what the rounding of x leaves; or
//! - ‖g‖ ≤ τ‖g₀‖, p is within the rounding of f or at most τ² of the smaller of |f| and D, and ‖δ‖ ≤ max(ε^¼, τ)X: directions
//!   along which f is so flat that rounding decides where they end. On a plateau that leads to infinity steps are longer.
//!   Where directions may be left out, because in other units they are lost in the rounding of ‖g‖ and of the curvatures,
//!   Σ|gⱼxⱼ| ≤ max(ε^¼, τ)|f| as well.
//!
//! The first two do not know the start. δ must be accurate for them, not only in the directions that g is large in: in the
//! whole space, with curvatures above their rounding, or else with Σ|gⱼxⱼ| ≤ √ε|f|, so that no direction of x's size is
//! worth anything.
//!
//! A run that starts where another has ended has no D, and one that no step helps any more has only rounding to go by.
//! Then, accurate again, it is enough that
//!
//! - p and Σ|gⱼxⱼ| are within the rounding of f and ‖δ‖ ≤ X: where x is at the origin it is no unit; or
//! - for a run at its start, p and D are at most ε^¾|f| and ‖δ‖ ≤ ε^⅜X: the run before may have had a less accurate
//!   metric; or
//! - f is all promise, f ≤ 10p, and p ≤ ½τ²S, and so was nearly f at the start: x is right to τ in the metric, and f
//!   vanishes where it leads; or
//! - for a run that is stuck, p is within the rounding of f, or ‖g‖ ≤ τ‖g₀‖ and p ≤ √ε|f|.
//!
//! The rounding of f is 10ε|f|, or the decrease for which a step was promised that did not change the value at all; for a run
//! that is stuck it is the noise that values have shown.
//!
//! X is ‖x‖, but not less than √τ of the largest met: where the minimum lies at the origin ‖x‖ is no unit. τ counts as √ε
//! for steps if it is below.

use super::rounding;

/// f up to so many times p vanishes where the model's minimum is: p is f itself there, and ⅔ of it for a quartic.
const ALL_PROMISE: f64 = 10.0;
/// The share of what an accurate metric may promise that is left to one from few differences, which knows half of it.
const IN_ITS_OWN_METRIC: f64 = 0.1;

/// What of f is the rounding of x, whose square in the metric is S: 8ε²S.
pub(crate) fn rounding_of_point(epsilon: f64, position: f64) -> f64 {
    8.0 * epsilon.powi(2) * position
}

/// What the model at x still promises.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    /// p.
    pub decrease: f64,
    /// ‖δ‖.
    pub step: f64,
    /// Whether it was made from products at x, to a small residual.
    pub accurate: bool,
    /// Whether no direction was left out, and all curvatures are more than rounding.
    pub complete: bool,
    /// S, where nothing was left out.
    pub position: f64,
}

/// The decrease that no end minds: the √ε|f| that a stuck run may leave, and where f vanishes that share of D.
pub(crate) fn not_worth_a_step(epsilon: f64, tolerance: f64, value: f64, gained: f64) -> f64 {
    (epsilon.sqrt() * value.abs()).max(vanishing(epsilon, tolerance) * gained)
}

/// max(τ³, ε²).
fn vanishing(epsilon: f64, tolerance: f64) -> f64 {
    tolerance.powi(3).max(epsilon.powi(2))
}

/// What kind of end is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Of a run on its way.
    Arrival,
    /// Within a run's first steps.
    Restart,
    /// Of a run that no step helps any more.
    Stuck,
}

/// What a promise is measured by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measures {
    /// ε of the vectors.
    pub epsilon: f64,
    /// τ.
    pub tolerance: f64,
    /// ‖g‖, ‖g₀‖, and whether the first is at most τ times the second.
    pub gradient_norm: f64,
    pub first_gradient_norm: f64,
    pub gradient_small: bool,
    /// f(x).
    pub value: f64,
    /// D.
    pub gained: f64,
    /// ‖x‖, and the largest met.
    pub position: f64,
    pub farthest: f64,
    /// Σ|gⱼxⱼ|.
    pub slopes: f64,
    /// The largest decrease that was promised in vain: between values that are the same.
    pub resolution: f64,
    pub ending: Ending,
}

impl Measures {
    /// X.
    fn size(&self) -> f64 {
        self.position.max(self.tolerance.sqrt() * self.farthest)
    }

    /// Whether f is so flat that all of x's size is worth next to nothing of it. At the origin x has none.
    pub fn seems_flat(&self) -> bool {
        self.slopes > 0.0 && self.slopes <= self.epsilon.sqrt() * self.value.abs()
    }

    /// τ^¾, to which x is right where f vanishes and a promise comes from differences of gradients alone.
    pub fn limited_tolerance(&self) -> f64 {
        self.tolerance.powf(0.75)
    }

    /// The same for a promise p that comes from differences of gradients alone, for a step of this length: p ≤ 0.1 ε^¾|f|,
    /// Σ|gⱼxⱼ| ≤ ε^¼|f| and ‖δ‖ ≤ ε^¼X; or where f vanishes f ≤ 10p, p ≤ τ²D, and x right to τ^¾.
    pub fn settle_limited(&self, p: f64, step: f64) -> bool {
        let size = self.size();
        let nearby = self.epsilon.sqrt().sqrt();
        let little_left = p <= IN_ITS_OWN_METRIC * self.epsilon.powf(0.75) * self.value.abs();
        let vanishes = self.value.abs() <= ALL_PROMISE * p && p <= self.tolerance.powi(2) * self.gained;
        p >= 0.0
            && self.gradient_small
            && (little_left && self.slopes <= nearby * self.value.abs() && step <= nearby * size
                || vanishes && step <= self.limited_tolerance() * size)
    }

    /// Whether a point that promises no more has converged.
    pub fn settle(&self, promise: Promise) -> bool {
        let (size, epsilon, p) = (self.size(), self.epsilon, promise.decrease);
        let rounding = rounding(epsilon, self.value, self.value).max(self.resolution);
        let nearby = epsilon.sqrt().sqrt().max(self.tolerance);
        let short = promise.step <= self.tolerance.max(epsilon.sqrt()) * size;
        let nothing_left = p <= rounding;
        let asked = self.tolerance.powi(2) * self.value.abs().min(self.gained);
        let vanished = p.max(self.value.abs()) <= vanishing(epsilon, self.tolerance) * self.gained;
        let sure = promise.accurate && (promise.complete || self.seems_flat());
        let risen = self.gradient_norm > self.first_gradient_norm;
        let whole = promise.accurate && promise.complete && !risen;
        let arrived = whole && p <= rounding_of_point(epsilon, promise.position)
            || sure && short && nothing_left
            || self.gradient_small && short && vanished
            || self.gradient_small
                && p <= rounding.max(asked)
                && promise.step <= nearby * size
                && (promise.complete || self.slopes <= nearby * self.value.abs());
        let (stuck, within) = (self.ending == Ending::Stuck, self.slopes <= rounding);
        let (first, right) = (self.value + self.gained, 0.5 * self.tolerance.powi(2) * promise.position);
        let close = self.ending == Ending::Restart && p.max(self.gained) <= epsilon.powf(0.75) * self.value.abs();
        let ended = sure && nothing_left && (stuck || within && promise.step <= size)
            || sure && close && promise.step <= epsilon.powf(0.375) * size
            || whole && self.value.abs() <= ALL_PROMISE * p && p.max(first / ALL_PROMISE) <= right
            || stuck && sure && self.gradient_small && p <= epsilon.sqrt() * self.value.abs();
        p >= 0.0 && (arrived || self.ending != Ending::Arrival && ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONE: Measures = Measures {
        epsilon: f64::EPSILON,
        tolerance: 1e-8,
        gradient_norm: 1e-9,
        first_gradient_norm: 1.0,
        gradient_small: true,
        value: 3.0,
        gained: 1e6,
        position: 1.0,
        farthest: 10.0,
        slopes: 1e-9,
        resolution: 0.0,
        ending: Ending::Arrival,
    };

    fn promise(decrease: f64, step: f64) -> Promise {
        Promise { decrease, step, accurate: true, complete: true, position: 1.0 }
    }

    #[test]
    fn a_small_gradient_alone_is_not_enough() {
        // A far start: the gradient has fallen by 10⁸, and half of f is still to be had.
        assert!(!Measures { value: 1e4, gained: 4e10, ..AT_ONE }.settle(promise(5e3, 0.1)));
        // A plateau: f changes by less than its rounding, the model wants to go far.
        assert!(!AT_ONE.settle(promise(1e-16, 0.5)));
        assert!(!AT_ONE.settle(promise(-1e-16, 1e-9)));
    }

    #[test]
    fn what_is_left_out_is_worth_next_to_nothing() {
        let flat = Promise { complete: false, ..promise(1e-16, 1e-5) };
        let at = |slopes| Measures { slopes, ..AT_ONE };
        assert!(at(3e-4).settle(flat) && !at(6e-4).settle(flat));
        assert!(at(6e-4).settle(Promise { complete: true, ..flat }));
    }

    #[test]
    fn a_looser_tolerance_ends_earlier() {
        let loose = |gained| Measures { tolerance: 1e-3, gained, ..AT_ONE };
        assert!(loose(10.0).settle(promise(2.9e-6, 0.9e-3)) && !loose(10.0).settle(promise(3.1e-6, 0.9e-3)));
        assert!(!loose(10.0).settle(promise(2.9e-6, 1.1e-3)));
        assert!(loose(1.0).settle(promise(0.9e-6, 0.9e-3)) && !loose(1.0).settle(promise(1.1e-6, 0.9e-3)));
        let part = Promise { complete: false, ..promise(1e-9, 1e-9) };
        let at = |slopes| Measures { slopes, ..loose(10.0) };
        assert!(at(2.9e-3).settle(part) && !at(3.1e-3).settle(part));
    }

    #[test]
    fn a_restart_has_nothing_left_to_gain() {
        let restart = Measures { gradient_small: false, gained: 0.0, ..AT_ONE };
        assert!(restart.settle(promise(1e-16, 1e-9)));
        assert!(!restart.settle(promise(1e-12, 1e-9)) && !restart.settle(promise(1e-16, 1e-7)));
        // At the wall of a steep valley a step is short, and along the valley the slope is not.
        let wall = Measures { slopes: 1e-3, ..restart };
        let part = Promise { complete: false, ..promise(1e-16, 1e-9) };
        assert!(restart.settle(part) && wall.settle(promise(1e-16, 1e-9)) && !wall.settle(part));
        // Where f vanishes the rounding of x decides.
        let vanishing = Measures { value: 1e-30, ..restart };
        let least = 8.0 * f64::EPSILON.powi(2);
        assert!(vanishing.settle(promise(0.9 * least, 1.0)) && !vanishing.settle(promise(1.1 * least, 1.0)));
        assert!(!vanishing.settle(Promise { complete: false, ..promise(0.9 * least, 1.0) }));
        assert!(!Measures { gradient_norm: 2.0, ..vanishing }.settle(promise(0.9 * least, 1.0)));
        // Remembered curvature does not tell that by itself.
        assert!(!restart.settle(Promise { accurate: false, ..promise(1e-16, 1e-9) }));
    }

    #[test]
    fn ends_of_restarted_and_stuck_runs() {
        let arrival = Measures { gradient_small: false, gained: 0.0, ..AT_ONE };
        let [restart, stuck] = [Ending::Restart, Ending::Stuck].map(|ending| Measures { ending, ..arrival });
        let near = 0.9 * f64::EPSILON.powf(0.375);
        assert!(restart.settle(promise(5e-12, near)) && !restart.settle(promise(6e-12, near)));
        assert!(!Measures { gained: 6e-12, ..restart }.settle(promise(5e-12, near)));
        assert!(!restart.settle(promise(5e-12, 1.2 * near)) && !arrival.settle(promise(5e-12, near)));
        // At the origin x is no unit.
        let origin = |run: Measures| Measures { slopes: 1e-18, position: 1e-9, farthest: 1e-9, ..run };
        assert!(origin(restart).settle(promise(1e-18, 0.9e-9)) && !origin(restart).settle(promise(1e-18, 1.1e-9)));
        assert!(!origin(arrival).settle(promise(1e-18, 0.9e-9)));
        // A value that is all promise: x is right to τ in the metric.
        let vanishing = Measures { value: 1e-17, slopes: 1.0, ..restart };
        assert!(vanishing.settle(promise(1e-17, 1.0)) && !vanishing.settle(promise(1e-16, 1.0)));
        assert!(!Measures { value: 1e-15, ..vanishing }.settle(promise(1e-17, 1.0)));
        assert!(!Measures { ending: Ending::Arrival, ..vanishing }.settle(promise(1e-17, 1.0)));
        // No step helps: what is promised is within rounding, or the gradient has fallen.
        assert!(stuck.settle(promise(1e-16, 1.0)) && !restart.settle(promise(1e-16, 1.0)));
        assert!(!stuck.settle(promise(1e-10, 1.0)));
        assert!(Measures { gradient_small: true, ..stuck }.settle(promise(1e-10, 1.0)));
        assert!(!stuck.settle(Promise { accurate: false, ..promise(1e-16, 1.0) }));
        // A promise between values that are the same was rounding.
        let coarse = Measures { value: 0.0, resolution: 1e-16, slopes: 1e-17, ..restart };
        assert!(
            coarse.settle(promise(1e-16, 1.0)) && !Measures { resolution: 0.0, ..coarse }.settle(promise(1e-16, 1.0))
        );
    }

    #[test]
    fn a_value_that_vanishes_is_measured_by_what_was_gained() {
        let vanishing = Measures { value: 1e-20, ..AT_ONE };
        assert!(vanishing.settle(promise(1e-20, 1e-10)));
        assert!(!Measures { gained: 1e3, ..vanishing }.settle(promise(1e-20, 1e-10)));
        // x vanishes as well: 10⁻⁴ of the largest x met is its unit.
        let at_origin = Measures { position: 1e-13, ..vanishing };
        assert!(at_origin.settle(promise(1e-20, 1e-12)) && !at_origin.settle(promise(1e-20, 1e-10)));
    }

    /// Twice or half of each constant: what is decided near it changes.
    #[test]
    fn thresholds_are_where_they_are() {
        let (epsilon, tolerance) = (f64::EPSILON, 1e-8_f64);
        assert!(AT_ONE.settle(promise(1e-16, 0.9 * epsilon.powf(0.25))));
        assert!(!AT_ONE.settle(promise(1e-16, 1.1 * epsilon.powf(0.25))));
        let short = epsilon.sqrt();
        let vanishing = Measures { value: 0.0, ..AT_ONE };
        assert!(vanishing.settle(promise(0.9 * tolerance.powi(3) * 1e6, 0.9 * short)));
        assert!(!vanishing.settle(promise(1.1 * tolerance.powi(3) * 1e6, 0.9 * short)));
        assert!(!vanishing.settle(promise(0.9 * tolerance.powi(3) * 1e6, 1.1 * short)));
    }
}
