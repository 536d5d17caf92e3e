//! When a run has converged: a test that depends neither on the start alone nor on units.
//!
//! A small gradient by itself says little: from a far start it is small, against ‖∇f(x₀)‖, where no minimum is near, and
//! started at a minimum it never is. So the model has the last word. With δ = −M⁻¹g and p = ½gᵀM⁻¹g, the decrease that is
//! still promised (half of Newton's decrement squared; Boyd & Vandenberghe, *Convex Optimization* (2004), section 9.5.1), X
//! the size of x, D what f has fallen by so far, and τ the tolerance, x has converged where M is positive definite as far as
//! is known and
//!
//! - ‖δ‖ ≤ 4εX in the whole space, ‖g‖ not having grown: the model's minimum is x, to its rounding; or
//! - ‖δ‖ ≤ τX, p is within the rounding of f, and ‖g‖X ≤ √ε|f|: nothing is left to gain, and nowhere to go; or
//! - ‖g‖ ≤ τ‖g₀‖, ‖δ‖ ≤ τX and p ≤ max(τ³, ε²)D: for an f that vanishes at the minimum and has no rounding there. A gradient that
//!   falls by τ lets p fall by τ²; the further τ is one Newton step, which tells a minimum from a far start, and ε² is what
//!   the rounding of x leaves; or
//! - ‖g‖ ≤ τ‖g₀‖, p is within the rounding of f, and ‖δ‖ ≤ ε^¼X: directions along which f is so flat that rounding decides
//!   where they end. On a plateau that leads to infinity steps are longer.
//!
//! The first two do not know the start. δ must be accurate for them, not only in the directions that g is large in.
//!
//! Where no step helps any more, rounding having the say, ‖g‖ ≤ τ‖g₀‖ is enough.
//!
//! X is ‖x‖, but not less than √τ of the largest met: where the minimum lies at the origin ‖x‖ is no unit. τ counts as √ε
//! for steps if it is below.

use super::rounding;

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
}

impl Measures {
    /// X.
    fn size(&self) -> f64 {
        self.position.max(self.tolerance.sqrt() * self.farthest)
    }

    /// Whether a step is short enough for any of the rules.
    pub fn near(&self, step: f64) -> bool {
        step <= self.tolerance.max(self.epsilon.sqrt().sqrt()) * self.size()
    }

    /// Whether a point that promises no more has converged.
    pub fn settle(&self, promise: Promise) -> bool {
        let size = self.size();
        let short = promise.step <= self.tolerance.max(self.epsilon.sqrt()) * size;
        let nothing_left = promise.decrease <= rounding(self.epsilon, self.value, self.value);
        let little_left = promise.decrease <= self.tolerance.powi(3).max(self.epsilon.powi(2)) * self.gained;
        let flat = self.gradient_norm * size <= self.epsilon.sqrt() * self.value.abs();
        let risen = self.gradient_norm > self.first_gradient_norm;
        let here = promise.complete && !risen && promise.step <= 4.0 * self.epsilon * size;
        promise.decrease >= 0.0
            && (promise.accurate && (short && nothing_left && flat || here)
                || self.gradient_small && short && little_left
                || self.gradient_small && nothing_left && promise.step <= self.epsilon.sqrt().sqrt() * size)
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
    };

    fn promise(decrease: f64, step: f64) -> Promise {
        Promise { decrease, step, accurate: true, complete: true }
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
    fn a_restart_has_nothing_left_to_gain() {
        let restart = Measures { gradient_small: false, gained: 0.0, ..AT_ONE };
        assert!(restart.settle(promise(1e-16, 1e-9)));
        assert!(!restart.settle(promise(1e-12, 1e-9)) && !restart.settle(promise(1e-16, 1e-7)));
        // At the wall of a steep valley a step is short and the gradient is not.
        assert!(!Measures { gradient_norm: 1e-3, ..restart }.settle(promise(1e-16, 1e-9)));
        // Where f vanishes the rounding of x decides.
        let vanishing = Measures { value: 1e-30, ..restart };
        assert!(vanishing.settle(promise(1e-30, 8e-16)) && !vanishing.settle(promise(1e-30, 1e-15)));
        assert!(!vanishing.settle(Promise { complete: false, ..promise(1e-30, 8e-16) }));
        // Remembered curvature does not tell that by itself.
        assert!(!restart.settle(Promise { accurate: false, ..promise(1e-16, 1e-9) }));
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
        assert!(AT_ONE.settle(promise(0.0, 0.9 * epsilon.powf(0.25))));
        assert!(!AT_ONE.settle(promise(0.0, 1.1 * epsilon.powf(0.25))));
        let short = epsilon.sqrt();
        let vanishing = Measures { value: 0.0, ..AT_ONE };
        assert!(vanishing.settle(promise(0.9 * tolerance.powi(3) * 1e6, 0.9 * short)));
        assert!(!vanishing.settle(promise(1.1 * tolerance.powi(3) * 1e6, 0.9 * short)));
        assert!(!vanishing.settle(promise(0.9 * tolerance.powi(3) * 1e6, 1.1 * short)));
    }
}
