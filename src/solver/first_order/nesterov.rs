//! Nesterov's accelerated gradient: the gradient is taken ahead, where momentum leads to.
//!
//!   xₖ₊₁ = yₖ − αM⁻¹∇f(yₖ),   yₖ₊₁ = xₖ₊₁ + βₖ₊₁(xₖ₊₁ − xₖ),   y₀ = x₀
//!
//! Nesterov (Soviet Math. Dokl. 27 (1983)). For convex f and α ≤ 1/L, f(xₖ) − f* ≤ 2‖x₀ − x*‖²/(α(k + 1)²) with
//! βₖ₊₁ = (tₖ₊₁ − 1)/tₖ₊₂ and tₖ = (k + 1)/2, that is βₖ = (k − 1)/(k + 2): these tₖ keep tₖ₊₁² − tₖ₊₁ ≤ tₖ², which is all
//! that the proof asks for (Beck & Teboulle, SIAM J. Imaging Sci. 2 (2009), theorem 4.4; Su, Boyd & Candès, JMLR 17
//! (2016), equation 1.2). Nesterov's own tₖ₊₁ = (1 + √(1 + 4tₖ²))/2 keeps it with equality and differs little. For f with
//! eigenvalues in [μ, L] the constant β = (√κ − 1)/(√κ + 1) is linear (Nesterov 2004, section 2.2.1).
//!
//! The point that is moved, evaluated and reported is y. With d = xₖ₊₁ − xₖ one pass does: d ← βₖd − αM⁻¹g,
//! y ← y − αM⁻¹g + βₖ₊₁d. With constant β it is PyTorch's `SGD(nesterov=True)`.

use super::method::{GradientMethod, Moments, check_discount, check_rate};
use crate::base::{Move, Result, Scalar, update};

/// The momentum of [`Nesterov`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Momentum {
    /// βₖ = (k − 1)/(k + 2) in the k-th step: for convex f whose μ is not known. The default.
    #[default]
    Convex,
    /// β in [0, 1): for learning, or (√κ − 1)/(√κ + 1) where κ is known.
    Constant(f64),
    /// βₖ = min(1 − 1/(2(⌊k/250⌋ + 1)), most), with most in [0, 1), often 0.99 or above: for learning deep networks
    /// (Sutskever, Martens, Dahl & Hinton, ICML 2013, equation 5). It grows from ½, so that a large momentum does no harm
    /// at the start.
    Increasing(f64),
}

impl Momentum {
    /// βₖ, k ≥ 1.
    fn at(self, k: usize) -> f64 {
        match self {
            Momentum::Convex => (k as f64 - 1.0) / (k as f64 + 2.0),
            Momentum::Constant(beta) => beta,
            Momentum::Increasing(most) => (1.0 - 0.5 / ((k / 250) as f64 + 1.0)).min(most),
        }
    }
}

/// Nesterov's accelerated gradient. M = I, or the objective's preconditioner.
///
/// The point that is reported is y, where gradients are taken. Storage: the last xₖ₊₁ − xₖ, in the first moment.
///
/// ```
/// use newton_krylov::objective_from_gradient;
/// use newton_krylov::differences::Difference;
/// use newton_krylov::first_order::{FirstOrder, Momentum, Nesterov};
///
/// let f = objective_from_gradient(
///     2,
///     |x: &[f64]| 0.5 * (x[0] * x[0] + 1000.0 * x[1] * x[1]),
///     |x, g| g.copy_from_slice(&[x[0], 1000.0 * x[1]]),
///     Difference::Forward,
/// );
/// let root = 1000_f64.sqrt();
/// let momentum = Momentum::Constant((root - 1.0) / (root + 1.0));
/// let report = FirstOrder::new(Nesterov { rate: 1e-3, momentum }).minimize(&f, &[1.0, 1.0])?;
/// assert!(report.termination.converged() && report.iterations() < 1000);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Nesterov {
    /// α, in units of x² per unit of f: 1/L.
    pub rate: f64,
    /// β.
    pub momentum: Momentum,
}

impl GradientMethod for Nesterov {
    fn rate(&self) -> f64 {
        self.rate
    }

    fn check(&self, _: usize) -> Result<()> {
        check_rate(self.rate)?;
        match self.momentum {
            Momentum::Convex => Ok(()),
            Momentum::Constant(beta) | Momentum::Increasing(beta) => check_discount("momentum", beta),
        }
    }

    fn storage(&self, dim: usize) -> [usize; 2] {
        [dim, 0]
    }

    fn preconditionable(&self) -> bool {
        true
    }

    fn advance<T: Scalar>(&self, moments: &mut Moments<T>, factor: f64, step: Move<'_, T>) -> f64 {
        // β₁ multiplies nothing: δ is 0 before the first step.
        let beta = T::from_f64(self.momentum.at(moments.steps.max(1)));
        moments.steps += 1;
        let ahead = T::from_f64(self.momentum.at(moments.steps));
        let rate = T::from_f64(factor * self.rate);
        update(step, [&mut moments.first], &|g, _, [d]| {
            let descent = rate * g;
            let d = beta * d - descent;
            (ahead * d - descent, [d])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Momentum;

    #[test]
    fn momentum_increases_as_published() {
        let at = |k| Momentum::Increasing(0.99).at(k);
        assert_eq!([1, 249, 250, 500, 1000].map(at), [0.5, 0.5, 0.75, 1.0 - 1.0 / 6.0, 0.9]);
        assert_eq!(at(1_000_000), 0.99);
        assert_eq!(Momentum::Increasing(0.3).at(1), 0.3);
    }
}
