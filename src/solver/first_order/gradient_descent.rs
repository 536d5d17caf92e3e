//! Gradient descent with a given rate: x ← x − αM⁻¹g with M = I, or M = P with a preconditioned objective.
//!
//! Cauchy (C. R. Acad. Sci. Paris 25 (1847)). For convex f with Lipschitz constant L of the gradient and α ≤ 1/L,
//! f(xₖ) − f* ≤ ‖x₀ − x*‖²/(2αk), and every step lowers f by at least α‖g‖²/2 (Nesterov, *Introductory Lectures on
//! Convex Optimization* (2004), section 2.1.5). With P = A the step is the steepest descent in the Mahalanobis norm
//! √(δᵀAδ); with P⁻¹ = RRᵀ it is gradient descent on u with x = Ru.

use super::method::{GradientMethod, Moments, check_rate};
use crate::base::{Move, Result, Scalar, update};

/// Gradient descent with a given rate: M = I, or the objective's preconditioner.
///
/// Diverges for α above 2/λ, λ being the largest eigenvalue of M⁻¹∇²f. [`SteepestDescent`](crate::first_order::SteepestDescent) finds
/// the rate by itself. Storage: no moments.
///
/// ```
/// use newton_krylov::objective_from_gradient;
/// use newton_krylov::differences::Difference;
/// use newton_krylov::first_order::{FirstOrder, GradientDescent};
///
/// // 5x² + 13y²: L = 26
/// let f = objective_from_gradient(
///     2,
///     |x: &[f64]| 5.0 * x[0] * x[0] + 13.0 * x[1] * x[1],
///     |x, g| g.copy_from_slice(&[10.0 * x[0], 26.0 * x[1]]),
///     Difference::Forward,
/// );
/// let report = FirstOrder::new(GradientDescent { rate: 1.0 / 26.0 }).minimize(&f, &[1.0, 1.0])?;
/// assert!(report.termination.converged() && report.iterations() < 50);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GradientDescent {
    /// α, in units of x² per unit of f. No default: 1/L is the safe choice.
    pub rate: f64,
}

impl GradientMethod for GradientDescent {
    fn rate(&self) -> f64 {
        self.rate
    }

    fn check(&self, _: usize) -> Result<()> {
        check_rate(self.rate)
    }

    fn storage(&self, _dim: usize) -> [usize; 2] {
        [0, 0]
    }

    fn preconditionable(&self) -> bool {
        true
    }

    fn advance<T: Scalar>(&self, moments: &mut Moments<T>, factor: f64, step: Move<'_, T>) -> f64 {
        moments.steps += 1;
        let rate = T::from_f64(factor * self.rate);
        update(step, [], &|g, _, []| (-rate * g, []))
    }
}
