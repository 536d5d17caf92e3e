//! The Gauss–Newton method with a line search: Nocedal & Wright, *Numerical Optimization* (2006), section 10.3.
//!
//! δ = argmin ‖Jδ + r‖, of least ‖S⁻¹δ‖ where J has no full rank, and x ← x + αδ, with α = 1 first and then by
//! interpolation until ½‖r‖² decreases by 10⁻⁴ of what its slope promises (Armijo). The direction is at most 100 times as
//! long as the longest step so far, since where J is nearly singular it has no useful length.

use std::ops::ControlFlow;

use super::entry_points::{identified_by, minimizes_least_squares};
use super::least_squares::{GaussNewtonPath, Residuals, Scaling, Settings, start};
use super::memory::Memory;
use super::newton_cg::NewtonLineSearch;
use crate::base::{Result, Scalar};
use crate::control::{AnyRun, DescentRun, Identity, LeastSquaresReport, Progress, Run, Start, Stopping};
#[cfg(feature = "serde")]
use crate::control::{RunState, checkpoint};
use crate::curvature::{AnyFit, LeastSquares, RobustLoss};
use crate::operator::Model;
use crate::step::InnerSolver;

/// Least squares by the Gauss–Newton method with a line search: for problems that are nearly linear, or whose residuals
/// nearly vanish, from a good start. [`LevenbergMarquardt`](crate::LevenbergMarquardt) is the robust choice.
///
/// ```
/// use newton_krylov::{GaussNewton, least_squares_dense};
///
/// // A circle through three points: residuals √((px − a)² + (py − b)²) − R
/// let points = [[0.0, 0.0], [2.0, 0.0], [0.0, 4.0_f64]];
/// let distance = |x: &[f64], p: [f64; 2]| (p[0] - x[0]).hypot(p[1] - x[1]);
/// let circle = least_squares_dense(
///     3,
///     3,
///     |x: &[f64], r| (0..3).for_each(|i| r[i] = distance(x, points[i]) - x[2]),
///     |x, jacobian| {
///         for (i, &p) in points.iter().enumerate() {
///             jacobian[i] = (x[0] - p[0]) / distance(x, p);
///             jacobian[3 + i] = (x[1] - p[1]) / distance(x, p);
///             jacobian[6 + i] = -1.0;
///         }
///     },
/// );
/// let report = GaussNewton::default().minimize(&circle, &[0.5, 0.5, 1.0])?;
/// assert!(report.termination.converged());
/// assert!((report.x[0] - 1.0).abs() < 1e-12 && (report.x[1] - 2.0).abs() < 1e-12);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GaussNewton {
    /// When the run ends; read as [`LevenbergMarquardt::stopping`](crate::LevenbergMarquardt::stopping).
    pub stopping: Stopping,
    /// In which norm the step is the shortest where J has no full rank.
    pub scaling: Scaling,
    /// How steps are computed: from a formed Jacobian where m·n and n² ≤ 2²³ and forming it costs at most 100 products,
    /// from a Golub–Kahan space otherwise. [Residual blocks](crate::operators::BlockStructure) are seen through their products only.
    pub inner: InnerSolver,
    /// Vectors of n numbers that the Golub–Kahan space may store.
    pub memory: Memory,
}

minimizes_least_squares!(GaussNewton);
identified_by!(GaussNewton scaling inner memory);

impl GaussNewton {
    fn run<'r, T: Scalar>(
        &'r self,
        fit: AnyFit<'r, T>,
        at: Start<'_, T>,
    ) -> Result<DescentRun<'r, T, Residuals<'r, T>>> {
        let (m, n) = (fit.model.output_dim(), fit.model.dim());
        let source = GaussNewtonPath::new(m, n, self.inner, self.memory.right_vectors(n, size_of::<T>()))?;
        let settings = Settings { solver: self, stopping: &self.stopping, scaling: self.scaling, acceleration: false };
        start(fit, at, settings, source, NewtonLineSearch::new(false))
    }
}
