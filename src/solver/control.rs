//! The controls by name: which rule says how long a step is, and what happens when it fails.

use super::bare::{Bare, Size};
use super::cubic_regularization::Weight;
use super::damping::Damping;
use super::natural_gradient::Ball;
use super::newton_cg::NewtonLineSearch;
use super::trust_region::Radius;
use crate::base::{Result, check_positive};
use crate::control::{Globalisation, Scales, Trial};
use crate::step::{Solution, Subproblem};

/// How long the steps of a [`Descent`](crate::Descent) are, and what happens to those that fail.
///
/// M is the objective's metric, with the damping of the descent on it. In reports `control` is what is named here.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Control {
    /// δ = −γM⁻¹g for this γ, taken whatever becomes of f: gradient descent for M = I, natural gradient descent for a Fisher
    /// matrix, Newton's method for the Hessian and γ = 1. In units of f per δᵀMδ: for M = I as any learning rate, for
    /// M near the Hessian about 1.
    FixedRate(f64),
    /// δ = −αM⁻¹g, α = ε/√(gᵀM⁻¹g), for this ε, taken whatever becomes of f: steps of the length ε in the metric, √(δᵀMδ) = ε. It
    /// does not converge but circles a minimum at that distance.
    Ball(f64),
    /// As `Ball` with ε = √(2D), shortened until the objective's divergence is at most this D and f falls; control α:
    /// [`NaturalGradient`](crate::NaturalGradient).
    Divergence(f64),
    /// δ = −αM⁻¹g, α from 1 down to Armijo's condition: [`NewtonCg`](crate::NewtonCg).
    LineSearch,
    /// ‖δ‖ ≤ Δ (the default): [`TrustRegion`](crate::TrustRegion).
    #[default]
    TrustRegion,
    /// (M + λI)δ = −g, λ by Nielsen's rule. For sums of squares [`LevenbergMarquardt`](crate::LevenbergMarquardt) has J itself
    /// in place of JᵀJ.
    LevenbergMarquardt,
    /// δ = argmin gᵀδ + ½δᵀMδ + ⅓σ‖δ‖³: [`CubicRegularization`](crate::CubicRegularization).
    Cubic,
}

impl Control {
    pub(super) fn rule(self) -> Result<Rule> {
        Ok(match self {
            Control::FixedRate(rate) => {
                check_positive("rate", rate)?;
                Rule::Bare(Bare::new(Size::Rate(rate)))
            }
            Control::Ball(size) => {
                check_positive("size", size)?;
                Rule::Bare(Bare::new(Size::Ball(size)))
            }
            Control::Divergence(divergence) => Rule::Ball(Ball::new(divergence, 0.0)?),
            Control::LineSearch => Rule::LineSearch(NewtonLineSearch::new(true)),
            Control::TrustRegion => Rule::Radius(Radius::new()),
            Control::LevenbergMarquardt => Rule::Damping(Damping::unscaled()),
            Control::Cubic => Rule::Weight(Weight::new()),
        })
    }
}

/// The rule of a control.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Rule {
    Bare(Bare),
    Ball(Ball),
    LineSearch(NewtonLineSearch),
    Radius(Radius),
    Damping(Damping),
    Weight(Weight),
}

/// The rule itself, for any variant.
macro_rules! rule {
    ($rule:expr, $inner:ident => $call:expr) => {
        match $rule {
            Rule::Bare($inner) => $call,
            Rule::Ball($inner) => $call,
            Rule::LineSearch($inner) => $call,
            Rule::Radius($inner) => $call,
            Rule::Damping($inner) => $call,
            Rule::Weight($inner) => $call,
        }
    };
}

impl Globalisation for Rule {
    fn start(&mut self, scales: Scales) {
        rule!(self, rule => rule.start(scales));
    }
    fn subproblem(&self) -> Subproblem {
        rule!(self, rule => rule.subproblem())
    }
    fn length(&self, solution: &Solution) -> f64 {
        rule!(self, rule => rule.length(solution))
    }
    fn control(&self, trial: &Trial) -> f64 {
        rule!(self, rule => rule.control(trial))
    }
    fn restore(&mut self, control: f64) {
        rule!(self, rule => rule.restore(control));
    }
    fn predicted(&self, solution: &Solution) -> f64 {
        rule!(self, rule => rule.predicted(solution))
    }
    fn most_divergence(&self) -> Option<f64> {
        rule!(self, rule => rule.most_divergence())
    }
    fn bare(&self) -> bool {
        rule!(self, rule => rule.bare())
    }
    fn convexify(&mut self, lowest: f64) -> bool {
        rule!(self, rule => rule.convexify(lowest))
    }
    fn acceptable(&self, trial: &Trial) -> bool {
        rule!(self, rule => rule.acceptable(trial))
    }
    fn shorten(&mut self, trial: &Trial) {
        rule!(self, rule => rule.shorten(trial));
    }
    fn lengthen(&mut self, trial: &Trial) -> bool {
        rule!(self, rule => rule.lengthen(trial))
    }
    fn taken(&mut self, trial: &Trial) {
        rule!(self, rule => rule.taken(trial));
    }
}
