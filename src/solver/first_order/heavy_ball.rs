//! The heavy ball: δₖ = βδₖ₋₁ − αM⁻¹gₖ.
//!
//! Polyak (USSR Comput. Math. Math. Phys. 4 (1964)). On a quadratic with eigenvalues in [μ, L] the best constants are
//! α = 4/(√L + √μ)² and β = ((√κ − 1)/(√κ + 1))², κ = L/μ, and the error falls by √β in every step.
//!
//! The same method is often written with an exponential moving average (EMA) of gradients,
//!
//!   m ← γm + (1 − γ)g,  x ← x − ηm.
//!
//! With δ = −ηm this is δ ← γδ − η(1 − γ)g: the heavy ball with β = γ and α = (1 − γ)η, exactly
//! ([`HeavyBall::averaged`]). PyTorch's SGD has v ← βv + g, x ← x − αv, which is δ = −αv. A rate that changes during the
//! run acts here on gradients when they are met, and there on all of the past.

use super::method::{GradientMethod, Moments, check_discount, check_rate};
use crate::base::{Move, Result, Scalar, check_positive, check_range, update};

/// Polyak's heavy ball: gradient descent with momentum. M = I, or the objective's preconditioner.
///
/// Storage: δ, in the first moment.
///
/// ```
/// use newton_krylov::objective_from_gradient;
/// use newton_krylov::differences::Difference;
/// use newton_krylov::first_order::{FirstOrder, HeavyBall};
///
/// // eigenvalues 1 and 1000
/// let f = objective_from_gradient(
///     2,
///     |x: &[f64]| 0.5 * (x[0] * x[0] + 1000.0 * x[1] * x[1]),
///     |x, g| g.copy_from_slice(&[x[0], 1000.0 * x[1]]),
///     Difference::Forward,
/// );
/// let report = FirstOrder::new(HeavyBall::for_quadratic(1.0, 1000.0)?).minimize(&f, &[1.0, 1.0])?;
/// assert!(report.termination.converged() && report.iterations() < 700); // gradient descent: thousands
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HeavyBall {
    /// α, in units of x² per unit of f.
    pub rate: f64,
    /// β in [0, 1): the share of the last step in the next. 0.9 is customary.
    pub momentum: f64,
}

impl HeavyBall {
    /// The method in its form with a moving average, m ← γm + (1 − γ)g, x ← x − ηm: α = (1 − γ)η, β = γ.
    pub fn averaged(rate: f64, discount: f64) -> Self {
        HeavyBall { rate: (1.0 - discount) * rate, momentum: discount }
    }

    /// Polyak's constants for a Hessian with eigenvalues between `smallest` (μ) and `largest` (L).
    ///
    /// # Errors
    /// Unless 0 < μ ≤ L.
    pub fn for_quadratic(smallest: f64, largest: f64) -> Result<Self> {
        check_positive("smallest", smallest)?;
        check_positive("largest", largest)?;
        check_range("smallest", smallest, smallest <= largest, "at most the largest")?;
        let (low, high) = (smallest.sqrt(), largest.sqrt());
        let root = (high - low) / (high + low);
        Ok(HeavyBall { rate: 4.0 / (high + low).powi(2), momentum: root * root })
    }
}

impl GradientMethod for HeavyBall {
    fn rate(&self) -> f64 {
        self.rate
    }

    fn check(&self, _: usize) -> Result<()> {
        check_rate(self.rate)?;
        check_discount("momentum", self.momentum)
    }

    fn storage(&self, dim: usize) -> [usize; 2] {
        [dim, 0]
    }

    fn preconditionable(&self) -> bool {
        true
    }

    fn advance<T: Scalar>(&self, moments: &mut Moments<T>, factor: f64, step: Move<'_, T>) -> f64 {
        moments.steps += 1;
        let (rate, beta) = (T::from_f64(factor * self.rate), T::from_f64(self.momentum));
        update(step, [&mut moments.first], &|g, _, [delta]| {
            let delta = beta * delta - rate * g;
            (delta, [delta])
        })
    }
}
