//! Units in which a quadratic model is of size 1, so that none of its squares overflows or vanishes.
//!
//! With powers of two a and s, Ã = A/a, b̃ = b/s, and (A + λI)y = −b:
//!
//!   ỹ = (a/s) y,   λ̃ = λ/a,   Δ̃ = (a/s) Δ,   σ̃ = σ s/a²,   ε̃ = ε √a/s.

use super::spectral::{Solution, Subproblem};

/// Sizes that are too far from 1 to stay, though the product of three is still a number; as a λ̃ one beside which a matrix of
/// size 1 is nothing.
pub const FAR: f64 = 1e100;

/// The largest power of two that is not above a positive, finite number.
pub fn binade(value: f64) -> f64 {
    let power = f64::from_bits(value.to_bits() & 0x7ff0_0000_0000_0000);
    if power > 0.0 && power.is_finite() { power } else { f64::MIN_POSITIVE }
}

/// The units of a model.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Units {
    /// a.
    curvature: f64,
    /// s.
    slope: f64,
    /// 1/s.
    pub linear: f64,
    /// ‖b̃‖.
    size: f64,
}

impl Units {
    /// For a matrix in the unit `curvature` (0 for the zero matrix) and a linear term of length `slope`.
    pub fn new(curvature: f64, slope: f64) -> Self {
        let curvature = if curvature > 0.0 { curvature } else { 1.0 };
        // One binade more, so that the inverse of the smallest is finite.
        let length = slope;
        let slope = if slope > 0.0 && slope.is_finite() { 2.0 * binade(slope.min(f64::MAX / 8.0)) } else { 1.0 };
        let size = length / slope;
        Units { curvature, slope, linear: slope.recip(), size }
    }

    /// y from ỹ.
    pub fn back(&self, y: f64) -> f64 {
        y * self.slope / self.curvature
    }

    pub fn of_question(&self, subproblem: Subproblem) -> Subproblem {
        let length = |length: f64| (length / self.slope) * self.curvature;
        let inside = |value: f64| value.clamp(f64::MIN_POSITIVE, f64::MAX);
        match subproblem {
            Subproblem::Damped(damping) => Subproblem::Damped(damping / self.curvature),
            Subproblem::Radius(radius) => Subproblem::Radius(inside(length(radius))),
            Subproblem::Cubic(weight) => {
                // λ̃ = √(σ̃‖b̃‖) where there is no matrix. Next to no weight is none.
                let alone = weight.sqrt() * self.slope.sqrt() / self.curvature * self.size.sqrt();
                let weight = weight / self.curvature * self.slope / self.curvature;
                if alone > FAR {
                    Subproblem::Damped(alone.min(f64::MAX))
                } else {
                    Subproblem::Cubic(if weight < f64::MIN_POSITIVE { 0.0 } else { weight })
                }
            }
            Subproblem::MetricBall(size) => Subproblem::MetricBall(inside(size / self.slope * self.curvature.sqrt())),
            Subproblem::SaddleFree(longest) => Subproblem::SaddleFree(length(longest).max(f64::MIN_POSITIVE)),
        }
    }

    pub fn of_solution(&self, solution: Solution) -> Solution {
        let energy = |value: f64| value * self.slope / self.curvature * self.slope;
        Solution {
            shift: solution.shift * self.curvature,
            norm: self.back(solution.norm),
            slope: energy(solution.slope),
            curvature: energy(solution.curvature),
            ..solution
        }
    }
}
