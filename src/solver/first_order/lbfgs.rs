//! L-BFGS with strong Wolfe line searches: Nocedal & Wright, *Numerical Optimization* (2006), algorithm 7.5.
//!
//! The baseline that everybody knows, for comparison and for objectives without products. The matrix is in
//! `limited_memory`. Where a search fails the pairs are forgotten and it is repeated along −g.

use std::ops::ControlFlow;

use super::super::entry_points::{identified_by, minimizes_objectives};
use super::oracle::Exact;
use super::search::{Search, Searching};
use super::walk::Walk;
use crate::base::{Result, Scalar, check_positive_dimension};
use crate::control::{AnyRun, Identity, Progress, Report, Run, Start, Stopping, check_start};
#[cfg(feature = "serde")]
use crate::control::{RunState, checkpoint};
use crate::operator::{AnyObjective, Objective};

/// c₂ of the Wolfe conditions for quasi-Newton directions (Nocedal & Wright, section 3.1).
const CURVATURE: f64 = 0.9;

/// Minimises by L-BFGS: M⁻¹ is built from the last pairs of steps and gradient differences.
///
/// One value and one gradient per trial. Products are made, 100 at most, only where the run seems to have started at a
/// minimum or stalls: they tell a minimum from a saddle, which is left. A saddle that an axis of symmetry leads to is accepted
/// as it is: no gradient leaves that axis. A preconditioner of the objective is not used.
///
/// ```
/// use newton_krylov::{Lbfgs, objective_from_gradient};
/// use newton_krylov::differences::Difference;
///
/// let f = objective_from_gradient(
///     2,
///     |x: &[f64]| (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0] * x[0]).powi(2),
///     |x, g| {
///         let across = 200.0 * (x[1] - x[0] * x[0]);
///         g.copy_from_slice(&[2.0 * (x[0] - 1.0) - 2.0 * x[0] * across, across]);
///     },
///     Difference::Forward,
/// );
/// let report = Lbfgs::default().minimize(&f, &[-1.2, 1.0])?;
/// assert!(report.termination.converged() && report.counts.gradients < 60);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Lbfgs {
    /// m, the pairs that are stored: 2m vectors. Default 10, as in SciPy; Nocedal & Wright, section 7.2, advise 3 to 20.
    pub memory: usize,
    /// When the run ends.
    pub stopping: Stopping,
}

impl Default for Lbfgs {
    fn default() -> Self {
        Lbfgs { memory: 10, stopping: Stopping::default() }
    }
}

minimizes_objectives!(Lbfgs);
identified_by!(Lbfgs memory);

impl Lbfgs {
    fn run<'r, T: Scalar>(
        &'r self,
        objective: AnyObjective<'r, T>,
        start: Start<'_, T>,
    ) -> Result<Walk<'r, T, Exact<'r, T>, Searching>> {
        check_start(objective.dim(), start, &self.stopping)?;
        check_positive_dimension("memory", self.memory)?;
        let mover = Searching::new(Search::Wolfe(CURVATURE), self.memory, objective.dim());
        Walk::start(Exact::new(objective), mover, start, (self, &self.stopping))
    }
}
