//! RMSProp: AdaGrad that forgets.
//!
//!   v ← ρv + (1 − ρ)g²,  x ← x − αg/(√v + ε)
//!
//! Tieleman & Hinton, "Lecture 6.5: rmsprop" (Coursera, 2012); ε outside the root, as in PyTorch. M = diag(√v + ε).

use super::method::{GradientMethod, Moments, check_discount, check_positive, check_rate};
use crate::base::{Result, Scalar, Square, update};

/// RMSProp: M = √(moving average of g²) + ε, componentwise.
///
/// Steps stay about α long in every component, so with a constant rate it does not converge but circles the minimum at
/// that distance: lower the rate ([`Schedule`](crate::Schedule)). Storage: v, in the second moment.
///
/// ```
/// use newton_krylov::{GradientMethod, RmsProp};
///
/// let method = RmsProp::default();
/// let (mut x, mut moments) = ([1.0], method.moments(1));
/// method.step(&mut moments, &[5.0], &mut x)?;
/// // v = 0.1·25
/// assert!((x[0] - (1.0 - 0.001 * 5.0 / 2.5_f64.sqrt())).abs() < 1e-9);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RmsProp {
    /// α, in units of x. Default 0.001 (Tieleman & Hinton).
    pub rate: f64,
    /// ρ in [0, 1). Default 0.9 (Tieleman & Hinton; PyTorch has 0.99).
    pub discount: f64,
    /// ε, in units of the gradient. Default 1e-8 (PyTorch).
    pub epsilon: f64,
}

impl Default for RmsProp {
    fn default() -> Self {
        RmsProp { rate: 0.001, discount: 0.9, epsilon: 1e-8 }
    }
}

impl GradientMethod for RmsProp {
    fn rate(&self) -> f64 {
        self.rate
    }

    fn check(&self) -> Result<()> {
        check_rate(self.rate)?;
        check_discount("discount", self.discount)?;
        check_positive("epsilon", self.epsilon)
    }

    fn storage(&self, dim: usize) -> [usize; 2] {
        [0, dim]
    }

    fn advance<T: Scalar>(
        &self,
        moments: &mut Moments<T>,
        factor: f64,
        gradient: &[T],
        from: Option<&[T]>,
        x: &mut [T],
    ) -> f64 {
        moments.steps += 1;
        let (old, new) = (T::from_f64(self.discount), Square::weighted(1.0 - self.discount));
        let (rate, epsilon) = (T::from_f64(factor * self.rate), T::from_f64(self.epsilon));
        update(gradient, from, x, [&mut moments.second], &|g, _, [v]| {
            let v = old * v + new.of(g);
            (-rate * g / (v.sqrt() + epsilon), [v])
        })
    }
}
