//! Steepest descent with a line search: x ← x − αM⁻¹g with M = I, or M = P with a preconditioned objective.
//!
//! Cauchy (1847); Nocedal & Wright, *Numerical Optimization* (2006), section 3.3. On a quadratic with exact line searches
//! f − f* falls by at least ((κ − 1)/(κ + 1))² per step, and no faster in the worst case, where the path zigzags.

use std::ops::ControlFlow;

use super::super::entry_points::{identified_by, minimizes_objectives};
use super::oracle::Exact;
use super::search::{Search, Searching};
use super::walk::Walk;
use crate::base::{Result, Scalar};
use crate::control::{AnyRun, Identity, Progress, Report, Run, Start, Stopping, check_start};
#[cfg(feature = "serde")]
use crate::control::{RunState, checkpoint};
use crate::operator::{AnyObjective, Objective};

/// How [`SteepestDescent`] finds the length of its steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LineSearch {
    /// f(x + δ) ≤ f(x) − α‖g‖²/2, the decrease that α ≤ 1/L guarantees, and an α that never grows: an estimate of 1/L by
    /// backtracking (Beck & Teboulle, SIAM J. Imaging Sci. 2 (2009), section 4). The theory of α = 1/L holds.
    Backtracking,
    /// Armijo's condition (c₁ = 1e-4: Nocedal & Wright, section 3.1) from twice the last length. The default: one or
    /// two values and one gradient per step.
    #[default]
    Armijo,
    /// The strong Wolfe conditions (c₁ = 1e-4, c₂ = 0.1: Nocedal & Wright, section 3.1): nearly exact searches.
    StrongWolfe,
}

/// Minimises by steepest descent with a line search. M = I, or the objective's preconditioner.
///
/// Needs no rate, and nothing else; but slow where κ is large. A saddle is left where the run starts at it, by products as
/// in [`Lbfgs`](crate::Lbfgs); one that it converges to is accepted as it is.
///
/// ```
/// use newton_krylov::objective_from_gradient;
/// use newton_krylov::differences::Difference;
/// use newton_krylov::first_order::SteepestDescent;
/// use newton_krylov::preconditioners::with_preconditioner;
///
/// let f = objective_from_gradient(
///     2,
///     |x: &[f64]| 0.5 * (x[0] * x[0] + 1000.0 * x[1] * x[1]),
///     |x, g| g.copy_from_slice(&[x[0], 1000.0 * x[1]]),
///     Difference::Forward,
/// );
/// let plain = SteepestDescent::default().minimize(&f, &[1.0, 1.0])?;
///
/// // In the Mahalanobis metric A = diag(1, 1000) the level sets are circles.
/// let f = with_preconditioner(f, |_: &[f64]| |_shift: f64, r: &mut [f64]| r[1] /= 1000.0);
/// let preconditioned = SteepestDescent::default().minimize(&f, &[1.0, 1.0])?;
/// assert!(plain.termination.converged() && preconditioned.termination.converged());
/// assert!(10 * preconditioned.counts.gradients < plain.counts.gradients);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SteepestDescent {
    /// How long steps are.
    pub search: LineSearch,
    /// When the run ends.
    pub stopping: Stopping,
}

minimizes_objectives!(SteepestDescent);
identified_by!(SteepestDescent search);

impl SteepestDescent {
    fn run<'r, T: Scalar>(
        &'r self,
        objective: AnyObjective<'r, T>,
        start: Start<'_, T>,
    ) -> Result<Walk<'r, T, Exact<'r, T>, Searching>> {
        check_start(objective.dim(), start, &self.stopping)?;
        let search = match self.search {
            LineSearch::Backtracking => Search::Shrinking,
            LineSearch::Armijo => Search::Armijo,
            LineSearch::StrongWolfe => Search::Wolfe(0.1),
        };
        let mover = Searching::new(search, 0, objective.dim());
        Walk::start(Exact::new(objective), mover, start, (self, &self.stopping))
    }
}
