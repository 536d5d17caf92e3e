//! Newton's method with a line search along saddle-free directions.
//!
//! The direction is −|M|⁻¹g in a Krylov space: the truncated Newton direction of Dembo & Steihaug (Math. Program. 26
//! (1983)) where the space is convex, and where it is not a direction of descent that follows negative curvature
//! downwards in proportion (Greenstadt 1967; Dauphin et al. 2014). The line search starts at 1, backtracks by quadratic
//! interpolation to Armijo's condition (Nocedal & Wright, *Numerical Optimization* (2006), section 3.1), and doubles the
//! length while f keeps falling as fast as the model where the model has no minimum along the direction, or where the length
//! was cut to less than half: interpolation from far out, where f may be anything, cuts to its least share again and again.

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

/// Armijo's constant: the share of the slope that the decrease must keep (Nocedal & Wright, section 3.1).
const ARMIJO: f64 = 1e-4;
/// Ratio of actual to predicted decrease above which a longer step is tried.
const GOOD: f64 = 0.75;

/// Minimises by Newton's method with a line search; directions of negative curvature are used.
///
/// Cheapest per iteration where the problem is convex, as in (regularised) maximum likelihood;
/// [`TrustRegion`](crate::TrustRegion) is the safer choice elsewhere.
///
/// ```
/// use newton_krylov::{NewtonCg, objective};
///
/// let f = objective(
///     3,
///     |x: &[f64]| x.iter().map(|x| x.exp() - x).sum::<f64>(),
///     |x, g| (0..3).for_each(|i| g[i] = x[i].exp() - 1.0),
///     |x, v, hv| (0..3).for_each(|i| hv[i] = x[i].exp() * v[i]),
/// );
/// let report = NewtonCg::default().minimize(&f, &[2.0, -1.0, 0.5])?;
/// assert!(report.termination.converged());
/// assert!(report.x.iter().all(|x| x.abs() < 1e-7));
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NewtonCg {
    /// When the run ends.
    pub stopping: Stopping,
    /// How subproblems are solved: Krylov or dense.
    pub inner: InnerSolver,
    /// Storage.
    pub memory: Memory,
}

minimizes_objectives!(NewtonCg);
identified_by!(NewtonCg inner memory);

impl NewtonCg {
    fn run<'r, T: Scalar>(
        &'r self,
        objective: AnyObjective<'r, T>,
        start: Start<'_, T>,
    ) -> Result<DescentRun<'r, T, SecondOrder<'r, T>>> {
        let Self { stopping, inner, memory } = self;
        let settings = Settings { solver: self, stopping, inner: *inner, memory: *memory, curvature: true };
        newton::start(objective, start, settings, NewtonLineSearch::new(true))
    }

    /// The most vectors of length `dim` that a run on the Krylov path stores; times `dim` and the size of `T` in bytes.
    pub fn memory_vectors<T: Scalar>(&self, dim: usize) -> usize {
        self.memory.most_vectors(dim, size_of::<T>())
    }
}

/// The step length α, and a bound on ‖δ‖ for directions along which there is no curvature.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct NewtonLineSearch {
    length: f64,
    longest: f64,
    /// Whether directions are −|M|⁻¹g, or the shortest solutions of least squares.
    saddle_free: bool,
}

impl NewtonLineSearch {
    /// Along −|M|⁻¹g, or along the shortest solutions of least squares.
    pub fn new(saddle_free: bool) -> Self {
        NewtonLineSearch { length: 1.0, longest: f64::INFINITY, saddle_free }
    }
}

impl Globalisation for NewtonLineSearch {
    fn start(&mut self, scales: Scales) {
        (self.length, self.longest) = (1.0, 100.0 * scales.length.max(scales.point));
    }

    fn subproblem(&self) -> Subproblem {
        if self.saddle_free { Subproblem::SaddleFree(self.longest) } else { Subproblem::Radius(self.longest) }
    }

    fn length(&self, _: &Solution) -> f64 {
        self.length
    }

    fn control(&self, trial: &Trial) -> f64 {
        trial.length
    }

    fn restore(&mut self, control: f64) {
        self.length = control;
    }

    fn predicted(&self, solution: &Solution) -> f64 {
        -self.length * (solution.slope + 0.5 * self.length * solution.curvature)
    }

    fn acceptable(&self, trial: &Trial) -> bool {
        trial.before - trial.after >= ARMIJO * trial.length * -trial.solution.slope
    }

    fn shorten(&mut self, trial: &Trial) {
        self.length = trial.length * trial.shortening();
    }

    fn lengthen(&mut self, trial: &Trial) -> bool {
        let no_minimum = trial.solution.curvature <= 0.0 || trial.solution.on_boundary;
        let (full, cut) = (trial.length >= 1.0, trial.length < 0.5);
        let promising = (no_minimum && full || cut) && trial.ratio > GOOD;
        if promising {
            self.length *= 2.0;
        }
        promising
    }

    fn taken(&mut self, trial: &Trial) {
        self.length = 1.0;
        self.longest = self.longest.max(100.0 * trial.norm());
    }
}
