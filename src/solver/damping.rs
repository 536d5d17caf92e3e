//! Damping as Levenberg and Marquardt have it, for steps of which every λ needs a solve of its own.
//!
//!   λ ← λ max(⅓, 1 − (2ρ − 1)³) after a step with the ratio ρ,   λ ← νλ, ν ← 2ν after a rejection
//!
//! (Nielsen, *Damping parameter in Marquardt's method*, IMM-REP-1999-05, section 3; Madsen, Nielsen & Tingleff (2004),
//! algorithm 3.16.) λ is relative to a unit: the columns of the scaled Jacobian, whose norms are at most 1, or the curvature
//! of the metric along the first −g. Where the metric is indefinite λ exceeds twice its lowest eigenvalue met. The start is 10⁻⁴, as
//! in Ceres, whose radius is 1/λ; it is not below 10⁻¹⁶, where it would be lost in rounding, and is what keeps the freedom
//! of a bundle adjustment to move as a whole from making the system singular.

use crate::control::{Globalisation, Scales, Trial};
use crate::step::Subproblem;

/// λ at the start.
const FIRST: f64 = 1e-4;
/// The least and the largest λ.
const RANGE: (f64, f64) = (1e-16, 1e32);
/// The ratio that a step needs.
const ACCEPT: f64 = 1e-3;

/// λ, the factor on it after a rejection, and its unit.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Damping {
    damping: f64,
    growth: f64,
    unit: f64,
}

impl Damping {
    /// For a scaled Jacobian.
    pub fn new() -> Self {
        Damping { damping: FIRST, growth: 2.0, unit: 1.0 }
    }

    /// For a metric, whose scale is not known yet.
    pub fn unscaled() -> Self {
        Damping { damping: f64::NAN, growth: 2.0, unit: f64::NAN }
    }
}

impl Globalisation for Damping {
    fn start(&mut self, scales: Scales) {
        if self.unit.is_nan() {
            self.unit = scales.gradient_norm / scales.length;
            self.damping = FIRST * self.unit;
        }
    }

    fn subproblem(&self) -> Subproblem {
        Subproblem::Damped(self.damping)
    }

    fn control(&self, _: &Trial) -> f64 {
        self.damping
    }

    fn restore(&mut self, control: f64) {
        self.damping = control;
    }

    fn convexify(&mut self, lowest: f64) -> bool {
        let enough = -2.0 * lowest;
        let higher = enough > self.damping && enough.is_finite();
        if higher {
            self.damping = enough;
        }
        higher
    }

    fn acceptable(&self, trial: &Trial) -> bool {
        trial.ratio > ACCEPT
    }

    fn shorten(&mut self, _: &Trial) {
        self.damping = (self.damping * self.growth).min(RANGE.1 * self.unit);
        self.growth *= 2.0;
    }

    fn lengthen(&mut self, _: &Trial) -> bool {
        false
    }

    fn taken(&mut self, trial: &Trial) {
        let factor = 1.0 - (2.0 * trial.ratio.min(1.0) - 1.0).powi(3);
        self.damping = (self.damping * factor.max(1.0 / 3.0)).max(RANGE.0 * self.unit);
        self.growth = 2.0;
    }
}
