//! RMSProp: AdaGrad that forgets.
//!
//!   v ← ρv + (1 − ρ)g²,  x ← x − αg/(√v + ε)  or  x − αg/√(v + ε)
//!
//! Tieleman & Hinton, "Lecture 6.5: rmsprop" (Coursera, 2012); ε outside the root, as in PyTorch, or inside it.

use super::epsilon::Epsilon;
use super::method::{GradientMethod, Moments, check_discount, check_rate};
use crate::base::{Move, Result, Scalar, Square, update};

/// RMSProp: M = √v + ε, or √(v + ε), componentwise, for the moving average v of g².
///
/// Steps stay about α long in every component, so with a constant rate it does not converge but circles the minimum at
/// that distance: lower the rate ([`Schedule`](crate::first_order::Schedule)). Storage: v, in the second moment.
///
/// ```
/// use newton_krylov::first_order::{GradientMethod, RmsProp};
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
    /// ε. Default 1e-8 outside the root (PyTorch).
    pub epsilon: Epsilon,
}

impl Default for RmsProp {
    fn default() -> Self {
        RmsProp { rate: 0.001, discount: 0.9, epsilon: Epsilon::Outside(1e-8) }
    }
}

impl GradientMethod for RmsProp {
    fn rate(&self) -> f64 {
        self.rate
    }

    fn check(&self, _: usize) -> Result<()> {
        check_rate(self.rate)?;
        check_discount("discount", self.discount)?;
        self.epsilon.check()
    }

    fn storage(&self, dim: usize) -> [usize; 2] {
        [0, dim]
    }

    fn advance<T: Scalar>(&self, moments: &mut Moments<T>, factor: f64, step: Move<'_, T>) -> f64 {
        moments.steps += 1;
        let (old, new) = (T::from_f64(self.discount), Square::weighted(1.0 - self.discount));
        let (rate, root) = (T::from_f64(factor * self.rate), self.epsilon.root());
        update(step, [&mut moments.second], &|g, _, [v]| {
            let v = old * v + new.of(g);
            (-rate * g / root(v), [v])
        })
    }
}
