//! Adaptive cubic regularisation: Cartis, Gould & Toint, Math. Program. 127 (2011), algorithm 2.1 (ARC).
//!
//! The weight σ falls where the cubic model was right and grows where it was not, by the ratio
//! ρ = (f(x) − f(x + δ)) / (−gᵀδ − ½δᵀMδ − ⅓σ‖δ‖³). We differ in two ways: how much it grows comes from the parabola through
//! the values met (as in Gould, Porcelli & Toint, Comput. Optim. Appl. 53 (2012), but simpler), and a well-predicted
//! step is tried again with a smaller weight before it is taken, which costs a value and no product.

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
use crate::step::{InnerSolver, Solution, Subproblem};

/// Least ratio at which a step is taken.
const ACCEPT: f64 = 1e-4;
/// Below this ratio the weight grows (η₁ of the paper, section 7).
const POOR: f64 = 0.1;
/// Above this ratio it falls (η₂).
const GOOD: f64 = 0.9;

/// Minimises by adaptive cubic regularisation.
///
/// At x with gradient g the step is argmin gᵀδ + ½δᵀMδ + ⅓σ‖δ‖³ in a Krylov space (or, for small d, with the matrix:
/// [`InnerSolver`]). Of all methods here it has the best bound on its number of iterations, O(ε^(−3/2)) to ‖g‖ ≤ ε; in
/// practice [`TrustRegion`](crate::TrustRegion) needs about as many. Its weight σ has the unit of f over that of x cubed, and
/// has to be in the range of `f64`; the other solvers have no such quantity.
///
/// ```
/// use newton_krylov::{CubicRegularization, objective};
///
/// // A saddle at the origin, minima at (0, ±1).
/// let f = objective(
///     2,
///     |x: &[f64]| x[0] * x[0] + (x[1] * x[1] - 1.0).powi(2),
///     |x, g| {
///         g[0] = 2.0 * x[0];
///         g[1] = 4.0 * x[1] * (x[1] * x[1] - 1.0);
///     },
///     |x, v, hv| {
///         hv[0] = 2.0 * v[0];
///         hv[1] = (12.0 * x[1] * x[1] - 4.0) * v[1];
///     },
/// );
/// let report = CubicRegularization::default().minimize(&f, &[1.0, 1e-3])?;
/// assert!(report.termination.converged() && report.value < 1e-12);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CubicRegularization {
    /// When the run ends.
    pub stopping: Stopping,
    /// How subproblems are solved: Krylov or dense.
    pub inner: InnerSolver,
    /// Storage.
    pub memory: Memory,
}

minimizes_objectives!(CubicRegularization);
identified_by!(CubicRegularization inner memory);

impl CubicRegularization {
    fn run<'r, T: Scalar>(
        &'r self,
        objective: AnyObjective<'r, T>,
        start: Start<'_, T>,
    ) -> Result<DescentRun<'r, T, SecondOrder<'r, T>>> {
        let Self { stopping, inner, memory } = self;
        let settings = Settings { solver: self, stopping, inner: *inner, memory: *memory, curvature: true };
        newton::start(objective, start, settings, Weight::new())
    }

    /// The most vectors of length `dim` that a run on the Krylov path stores; times `dim` and the size of `T` in bytes.
    pub fn memory_vectors<T: Scalar>(&self, dim: usize) -> usize {
        self.memory.most_vectors(dim, size_of::<T>())
    }
}

/// σ.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Weight(f64);

impl Weight {
    /// Until the scales are known.
    pub fn new() -> Self {
        Weight(0.0)
    }
}

impl Globalisation for Weight {
    fn start(&mut self, scales: Scales) {
        // λ = σ‖δ‖ is a tenth of the curvature at the length ‖g‖/κ.
        let length = scales.length;
        self.0 = (0.1 * scales.gradient_norm / length / length).max(f64::MIN_POSITIVE);
    }

    fn subproblem(&self) -> Subproblem {
        Subproblem::Cubic(self.0)
    }

    fn control(&self, _: &Trial) -> f64 {
        self.0
    }

    fn restore(&mut self, control: f64) {
        self.0 = control;
    }

    fn predicted(&self, solution: &Solution) -> f64 {
        // σ‖δ‖ first: the third power alone may overflow.
        solution.decrease() - self.0 * solution.norm * solution.norm * solution.norm / 3.0
    }

    fn acceptable(&self, trial: &Trial) -> bool {
        trial.ratio > ACCEPT
    }

    fn shorten(&mut self, trial: &Trial) {
        // To shorten by α: where curvature held the step, (κ + λ)αδ = −g with κ = −gᵀδ/‖δ‖² and λ = σα‖δ‖; where the cubic
        // term did, ‖δ‖ falls at most like 1/σ.
        let (alpha, norm) = (trial.shortening(), trial.norm());
        let stiffness = -trial.length * trial.solution.slope / norm / norm;
        let from_newton = (1.0 / alpha - 1.0) * stiffness / (alpha * norm);
        self.0 = from_newton.max(self.0 / alpha);
    }

    fn lengthen(&mut self, trial: &Trial) -> bool {
        let promising = held_back(trial) && trial.ratio > GOOD;
        if promising {
            self.0 *= 0.25;
        }
        promising
    }

    fn taken(&mut self, trial: &Trial) {
        if trial.ratio > GOOD && held_back(trial) {
            self.0 *= if trial.ratio < 2.0 { 0.25 } else { 0.5 };
        } else if trial.ratio < POOR {
            self.0 *= 2.0;
        }
    }
}

/// Whether the cubic term shortened the step noticeably: λ‖δ‖² against −gᵀδ. Where it did not, nothing is learnt about σ.
fn held_back(trial: &Trial) -> bool {
    trial.solution.shift * trial.solution.norm * trial.solution.norm > 0.1 * -trial.solution.slope
}
