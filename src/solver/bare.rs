//! Bare steps: the formula repeated, whatever becomes of f.
//!
//!   δ = −γ M⁻¹g            a fixed rate
//!   δ = −α M⁻¹g,  α = ε / √(gᵀM⁻¹g)      the metric ball, argmin gᵀδ subject to δᵀMδ ≤ ε²
//!
//! (Pierrot, Perrin-Gilbert & Sigaud, "First-order and second-order variants of the gradient descent in a unified framework",
//! sections 2 and 3.) Where M is indefinite |M| takes its place. Only a value that is not finite ends a run of them.

use crate::control::{Globalisation, Scales, Trial};
use crate::step::{Solution, Subproblem};

/// γ or ε.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Size {
    Rate(f64),
    Ball(f64),
}

/// The size of steps, and whether the last one led to where f is not finite.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Bare {
    size: Size,
    ended: bool,
}

impl Bare {
    pub fn new(size: Size) -> Self {
        Bare { size, ended: false }
    }
}

impl Globalisation for Bare {
    fn start(&mut self, _: Scales) {}

    fn subproblem(&self) -> Subproblem {
        Subproblem::SaddleFree(f64::INFINITY)
    }

    fn length(&self, solution: &Solution) -> f64 {
        match self.size {
            _ if self.ended => 0.0,
            Size::Rate(rate) => rate,
            Size::Ball(size) => size / (-solution.slope).sqrt(),
        }
    }

    fn control(&self, trial: &Trial) -> f64 {
        trial.length
    }

    fn restore(&mut self, _: f64) {}

    /// To first order: the metric need not tell how f bends.
    fn predicted(&self, solution: &Solution) -> f64 {
        -self.length(solution) * solution.slope
    }

    fn bare(&self) -> bool {
        true
    }

    fn acceptable(&self, trial: &Trial) -> bool {
        trial.after < f64::INFINITY
    }

    /// No step is shortened: the run is over, for want of one.
    fn shorten(&mut self, _: &Trial) {
        self.ended = true;
    }

    fn lengthen(&mut self, _: &Trial) -> bool {
        false
    }

    fn taken(&mut self, _: &Trial) {}
}
