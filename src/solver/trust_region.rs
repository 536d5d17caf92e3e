//! The trust-region method: Conn, Gould & Toint, *Trust-Region Methods* (2000), algorithm 6.1.1.
//!
//! The radius follows Lin & Moré (SIAM J. Optim. 9 (1999), TRON, section 3): by interpolation between fixed bounds. We
//! differ in three ways. It stays between the ratios ¼ and ¾ (algorithm 6.1.1 with γ₂ = 1, and MINPACK): where residuals
//! are large ratios stay there, and a radius that shrinks a little at every step takes hundreds. The others are free of
//! products, since the stored space solves for any radius: a step that lies on the boundary and is well predicted, or along
//! which f bends down, is tried again with two to four times the radius before it is taken (where that is no better, the
//! next radius lies between the two, at most at their geometric mean), and the first radius is the length of the step to the
//! minimum along −g, corrected in the same manner, so it needs no guess and no unit.

use std::ops::ControlFlow;

use super::entry_points::{identified_by, minimizes_objectives};
use super::memory::Memory;
use super::newton::{self, SecondOrder, Settings};
use crate::base::{Result, Scalar};
use crate::control::{
    AnyRun, DescentRun, Globalisation, Identity, Progress, Report, Run, Scales, Start, Stopping, Trial,
};
#[cfg(feature = "serde")]
use crate::control::{RunState, checkpoint};
use crate::operator::{AnyObjective, Objective};
use crate::step::{InnerSolver, Subproblem};

/// Least ratio of actual to predicted decrease at which a step is taken (Lin & Moré, η₀).
const ACCEPT: f64 = 1e-4;
/// Below this ratio the radius shrinks (η₁).
const POOR: f64 = 0.25;
/// Above this ratio it grows (η₂).
const GOOD: f64 = 0.75;
/// The most by which a step is lengthened at once (Lin & Moré, σ₃).
const MOST_LENGTHENING: f64 = 4.0;

/// Minimises by a trust-region method: the default choice, for convex and nonconvex problems.
///
/// At x with gradient g the step is argmin gᵀδ + ½δᵀMδ subject to ‖δ‖ ≤ Δ, found in a Krylov space (or, for small d, with
/// the matrix: [`InnerSolver`]), including negative curvature and the hard case.
///
/// ```
/// use newton_krylov::{TrustRegion, objective};
///
/// let f = objective(
///     2,
///     |x: &[f64]| (x[0] - 1.0).powi(4) + (x[0] + x[1]).powi(2),
///     |x, g| {
///         g[0] = 4.0 * (x[0] - 1.0).powi(3) + 2.0 * (x[0] + x[1]);
///         g[1] = 2.0 * (x[0] + x[1]);
///     },
///     |x, v, hv| {
///         hv[0] = 12.0 * (x[0] - 1.0).powi(2) * v[0] + 2.0 * (v[0] + v[1]);
///         hv[1] = 2.0 * (v[0] + v[1]);
///     },
/// );
/// let report = TrustRegion::default().minimize(&f, &[3.0, 3.0])?;
/// assert!(report.termination.converged());
/// assert!((report.x[0] - 1.0).abs() < 1e-2 && report.value < 1e-9);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TrustRegion {
    /// When the run ends.
    pub stopping: Stopping,
    /// How subproblems are solved: Krylov or dense.
    pub inner: InnerSolver,
    /// Storage.
    pub memory: Memory,
}

minimizes_objectives!(TrustRegion);
identified_by!(TrustRegion inner memory);

impl TrustRegion {
    fn run<'r, T: Scalar>(
        &'r self,
        objective: AnyObjective<'r, T>,
        start: Start<'_, T>,
    ) -> Result<DescentRun<'r, T, SecondOrder<'r, T>>> {
        let Self { stopping, inner, memory } = self;
        let settings = Settings { solver: self, stopping, inner: *inner, memory: *memory, curvature: true };
        newton::start(objective, start, settings, Radius::new())
    }

    /// The most vectors of length `dim` that a run on the Krylov path stores; times `dim` and the size of `T` in bytes.
    pub fn memory_vectors<T: Scalar>(&self, dim: usize) -> usize {
        self.memory.most_vectors(dim, size_of::<T>())
    }
}

/// Δ, and how many times as much was tried, and whether that has just been too long.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Radius {
    radius: f64,
    factor: f64,
    tried_longer: bool,
}

impl Radius {
    /// Without bound until the scales are known.
    pub fn new() -> Self {
        Radius { radius: f64::INFINITY, factor: 1.0, tried_longer: false }
    }
}

impl Globalisation for Radius {
    fn keeps_length(&self) -> bool {
        true
    }

    fn start(&mut self, scales: Scales) {
        self.radius = scales.length;
    }

    fn subproblem(&self) -> Subproblem {
        Subproblem::Radius(self.radius)
    }

    fn control(&self, _: &Trial) -> f64 {
        self.radius
    }

    fn restore(&mut self, control: f64) {
        self.radius = control;
        self.tried_longer = true;
    }

    fn acceptable(&self, trial: &Trial) -> bool {
        trial.ratio > ACCEPT
    }

    fn shorten(&mut self, trial: &Trial) {
        self.radius = trial.shortening() * trial.norm();
    }

    fn lengthen(&mut self, trial: &Trial) -> bool {
        // Where f bends down along the step, the model says nothing of where that ends.
        let promising = trial.solution.on_boundary && (trial.ratio > GOOD || trial.solution.curvature < 0.0);
        if promising {
            // Where the model is convex its relative error grows about in proportion to the length, until it is no longer good.
            let most = if trial.solution.curvature > 0.0 { MOST_LENGTHENING } else { 2.0 };
            self.factor = ((1.0 - GOOD) / (trial.ratio - 1.0).abs()).clamp(2.0, most);
            self.radius *= self.factor;
        }
        promising
    }

    fn taken(&mut self, trial: &Trial) {
        let (radius, norm) = (self.radius, trial.norm());
        let minimum = norm * trial.interpolated().map_or(4.0, |minimum| minimum.max(0.25));
        self.radius = if trial.ratio < POOR {
            minimum.clamp(0.25 * norm, 0.5 * norm)
        } else if trial.ratio < GOOD {
            radius
        } else if self.tried_longer {
            // Between this one and the one that was too long.
            minimum.clamp(radius, self.factor.sqrt() * radius)
        } else if trial.solution.on_boundary {
            minimum.clamp(2.0 * radius, 4.0 * radius)
        } else {
            minimum.min(4.0 * radius).max(radius)
        };
        self.tried_longer = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Solution;

    /// A step to the boundary whose model is exact.
    fn exact(radius: f64) -> Trial {
        let solution =
            Solution { shift: 1.0, norm: radius, slope: -2.0, curvature: 0.0, on_boundary: true, hard_case: false };
        Trial { solution, length: 1.0, before: 0.0, after: -2.0, predicted: 2.0, ratio: 1.0, divergence: 0.0 }
    }

    #[test]
    fn a_radius_grows_to_less_than_what_has_just_failed() {
        let mut rule = Radius { radius: 1.0, ..Radius::new() };
        assert!(rule.lengthen(&exact(1.0)) && rule.radius == 2.0);
        rule.restore(1.0);
        rule.taken(&exact(1.0));
        assert_eq!(rule.radius, std::f64::consts::SQRT_2);
        // That holds for one step.
        rule.taken(&exact(1.0));
        assert!(rule.radius >= 2.0);
    }

    #[test]
    fn the_better_the_model_the_longer_the_next_trial() {
        let convex = Solution { curvature: 1.0, ..exact(1.0).solution };
        for (ratio, radius) in [(1.0, 4.0), (1.1, 2.5), (0.9, 2.5), (0.8, 2.0), (2.0, 2.0)] {
            let mut rule = Radius { radius: 1.0, ..Radius::new() };
            assert!(rule.lengthen(&Trial { solution: convex, ratio, ..exact(1.0) }));
            assert!((rule.radius - radius).abs() < 1e-12, "{ratio} {}", rule.radius);
        }
    }

    #[test]
    fn a_step_along_which_f_bends_down_may_be_longer_whatever_its_ratio() {
        let bent = Solution { curvature: -1.0, ..exact(1.0).solution };
        let mut rule = Radius { radius: 1.0, ..Radius::new() };
        assert!(rule.lengthen(&Trial { solution: bent, ratio: 0.3, ..exact(1.0) }) && rule.radius == 2.0);
        assert!(!rule.lengthen(&Trial { ratio: 0.3, ..exact(1.0) }));
    }
}
