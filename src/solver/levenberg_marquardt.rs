//! Levenberg and Marquardt's method as Moré wrote it: a trust region of scaled parameters.
//!
//!   δ = argmin ½‖Jδ + r‖²   s.t. ‖Dδ‖ ≤ Δ   ⇔   (JᵀJ + λD²) δ = −Jᵀr with the λ that fits Δ
//!
//! (Moré, "The Levenberg–Marquardt algorithm: implementation and theory", Numerical Analysis, Dundee 1977, LNM 630). We
//! differ in three ways: λ is found to full accuracy, since it costs O(n) once the factors are there; the radius changes
//! as in [`TrustRegion`](crate::TrustRegion) (Lin & Moré 1999); and the first radius is ‖Dx₀‖, a change of x of its own
//! size, and not a hundred times that, which overshot into other basins (NIST: 54 of 54 with 0.3, 1 and 3, 52 with 100);
//! at the origin it is ‖r₀‖, which has the same unit.

use std::ops::ControlFlow;

use super::control::Rule;
use super::damping::Damping;
use super::entry_points::{identified_by, minimizes_least_squares};
use super::least_squares::{GaussNewtonPath, Residuals, Scaling, Settings, start};
use super::memory::Memory;
use super::trust_region::Radius;
use crate::base::{Result, Scalar};
use crate::control::{AnyRun, DescentRun, Identity, LeastSquaresReport, Progress, Run, Start, Stopping};
#[cfg(feature = "serde")]
use crate::control::{RunState, checkpoint};
use crate::curvature::{AnyFit, LeastSquares, RobustLoss};
use crate::operator::Model;
use crate::step::InnerSolver;

/// Least squares by Levenberg and Marquardt's method: the default choice.
///
/// Each iteration costs one Jacobian and, for every trial point, one residual. A rejected trial costs no Jacobian, no
/// product and no factorisation. Storage: about 2mn + 4n² numbers.
///
/// ```
/// use newton_krylov::{LevenbergMarquardt, least_squares_dense};
///
/// // Michaelis & Menten's law v = V s / (K + s)
/// let (s, v) = ([0.5, 1.0, 2.0, 4.0, 8.0], [0.90, 1.34, 1.74, 2.10, 2.30]);
/// let kinetics = least_squares_dense(
///     5,
///     2,
///     |x: &[f64], r| (0..5).for_each(|i| r[i] = x[0] * s[i] / (x[1] + s[i]) - v[i]),
///     |x, jacobian| {
///         for i in 0..5 {
///             jacobian[i] = s[i] / (x[1] + s[i]);
///             jacobian[5 + i] = -x[0] * s[i] / (x[1] + s[i]).powi(2);
///         }
///     },
/// );
/// let report = LevenbergMarquardt::default().minimize(&kinetics, &[1.0, 1.0])?;
/// assert!(report.termination.converged() && report.rank == Some(2));
/// println!("{report}"); // value, residuals, counts, and what to do if it had not converged
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LevenbergMarquardt {
    /// When the run ends. For least squares
    ///
    /// - `gradient_relative` is the largest cosine of the angle between r and a column of J, |Jⱼᵀr| / (‖Jⱼ‖‖r‖)
    ///   (MINPACK's `gtol`), instead of a fraction of the first gradient: it has no unit and does not depend on the
    ///   start. The default, 1e-8, is where ½‖r‖² cannot decrease by more than its rounding; where J is formed, steps
    ///   then go on while they promise and bring anything, usually one or two, so the last digits are had as well. Where
    ///   the norms of the columns are not known they are estimated at the end, for four products with Jᵀ. A gradient of
    ///   exactly zero at residuals that are not is confirmed by three products. Residuals that are no larger than the
    ///   rounding of their terms count as orthogonal once steps have stopped to help.
    /// - values are residuals, gradients are linearisations, and products those of both kinds.
    /// - `target_value` and `decrease` refer to ½ Σ ρ(‖r_b‖²).
    pub stopping: Stopping,
    /// The shape of the trust region.
    pub scaling: Scaling,
    /// Whether steps follow the curve that the residuals' second derivative along them gives, δ + ½a (geodesic
    /// acceleration: Transtrum & Sethna, arXiv:1201.5885 (2012), section 5): one further residual for every trial, and
    /// far fewer Jacobians in narrow curved valleys. On NIST's 54 runs it takes 44 % fewer Jacobians and 20 % more
    /// residuals, on Bennett5 21 Jacobians instead of some 900; but MGH10 is lost from its far start. Only
    /// where J is formed; the Golub–Kahan path takes plain steps. Default: off.
    pub acceleration: bool,
    /// How steps are computed: from a formed Jacobian where m·n and n² ≤ 2²³ and forming it costs at most 100 products,
    /// from a Golub–Kahan space otherwise. For [residual blocks](crate::operators::BlockStructure) where parameter blocks are
    /// eliminated, or n > 512, from the reduced system by preconditioned conjugate gradients. [`InnerSolver::Automatic`] forms its
    /// matrix and factorises it, by a dense or a sparse Cholesky, whichever is cheaper, where that is expected to cost
    /// less than 50 products with it (500 where nothing is eliminated) and takes at most 1 GiB; the factor is the
    /// preconditioner, and one product with J and Jᵀ confirms a step. [`InnerSolver::Dense`] always does so, also where the
    /// factor is sparse; [`InnerSolver::Krylov`] never, and has the blocks on the diagonal as the preconditioner. These steps
    /// are bounded by damping and not by a radius.
    pub inner: InnerSolver,
    /// Vectors of n numbers that the Golub–Kahan space may store.
    pub memory: Memory,
}

minimizes_least_squares!(LevenbergMarquardt);
identified_by!(LevenbergMarquardt scaling acceleration inner memory);

impl LevenbergMarquardt {
    fn run<'r, T: Scalar>(
        &'r self,
        fit: AnyFit<'r, T>,
        at: Start<'_, T>,
    ) -> Result<DescentRun<'r, T, Residuals<'r, T>>> {
        let settings =
            Settings { solver: self, stopping: &self.stopping, scaling: self.scaling, acceleration: self.acceleration };
        let (m, n) = (fit.model.output_dim(), fit.model.dim());
        if fit.model.in_blocks_of(fit.block) {
            return start(fit, at, settings, GaussNewtonPath::blocks(self.inner), Rule::Damping(Damping::new()));
        }
        let source = GaussNewtonPath::new(m, n, self.inner, self.memory.right_vectors(n, size_of::<T>()))?;
        start(fit, at, settings, source, Rule::Radius(Radius::new()))
    }
}
