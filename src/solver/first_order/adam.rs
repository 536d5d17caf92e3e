//! Adam: RMSProp with momentum, both without their bias towards zero; and AdamW.
//!
//!   m ← β₁m + (1 − β₁)g,  v ← β₂v + (1 − β₂)g²
//!   x ← x − αλx − α m̂/(√v̂ + ε),  m̂ = m/(1 − β₁ᵗ),  v̂ = v/(1 − β₂ᵗ)
//!
//! Kingma & Ba (ICLR 2015, arXiv 1412.6980), algorithm 1. For gradients of one distribution E[vₜ] = E[g²](1 − β₂ᵗ)
//! (section 3), which is what v̂ divides by. The decay λ acts on x and not through the gradient: Loshchilov & Hutter (ICLR
//! 2019, arXiv 1711.05101), algorithm 2, in PyTorch's form, where the rate multiplies it. M = diag(√v̂ + ε).

use super::method::{GradientMethod, Moments, check_discount, check_rate};
use crate::base::{Move, Result, Scalar, Square, check_not_negative, check_positive, update};

/// Adam, and with a decay AdamW: M = √v̂ + ε, componentwise, and momentum.
///
/// As with [`RmsProp`](crate::first_order::RmsProp) a constant rate keeps it circling. With a decay it does not seek the minimum of f.
/// Storage: m and v, in the first and second moment.
///
/// ```
/// use newton_krylov::{Stopping, objective_from_gradient};
/// use newton_krylov::differences::Difference;
/// use newton_krylov::first_order::{Adam, FirstOrder, Schedule};
///
/// let f = objective_from_gradient(
///     2,
///     |x: &[f64]| 0.5 * (x[0] * x[0] + 1000.0 * x[1] * x[1]),
///     |x, g| g.copy_from_slice(&[x[0], 1000.0 * x[1]]),
///     Difference::Forward,
/// );
/// let report = FirstOrder {
///     schedule: Schedule::Cosine { steps: 500 },
///     stopping: Stopping { max_iterations: 500, ..Stopping::default() },
///     ..FirstOrder::new(Adam { rate: 0.1, ..Adam::default() })
/// }
/// .minimize(&f, &[1.0, 1.0])?;
/// assert!(report.value < 1e-8);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Adam {
    /// α, in units of x. Default 0.001 (Kingma & Ba).
    pub rate: f64,
    /// β₁ in [0, 1). Default 0.9 (Kingma & Ba).
    pub beta1: f64,
    /// β₂ in [0, 1). Default 0.999 (Kingma & Ba).
    pub beta2: f64,
    /// ε, in units of the gradient. Default 1e-8 (Kingma & Ba).
    pub epsilon: f64,
    /// λ, in units of 1 per unit of the rate. Default 0: Adam. PyTorch's AdamW has 0.01.
    pub decay: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Adam { rate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0.0 }
    }
}

impl GradientMethod for Adam {
    fn rate(&self) -> f64 {
        self.rate
    }

    fn check(&self, _: usize) -> Result<()> {
        check_rate(self.rate)?;
        check_discount("beta1", self.beta1)?;
        check_discount("beta2", self.beta2)?;
        check_positive("epsilon", self.epsilon)?;
        check_not_negative("decay", self.decay)
    }

    fn storage(&self, dim: usize) -> [usize; 2] {
        [dim, dim]
    }

    fn advance<T: Scalar>(&self, moments: &mut Moments<T>, factor: f64, step: Move<'_, T>) -> f64 {
        moments.steps += 1;
        self.advance_at(moments.steps, [&mut moments.first, &mut moments.second], factor, step)
    }
}

impl Adam {
    /// Step number t, with m and v.
    pub(super) fn advance_at<T: Scalar>(&self, t: usize, memory: [&mut [T]; 2], factor: f64, step: Move<'_, T>) -> f64 {
        let t = t.min(i32::MAX as usize) as i32;
        let rate = factor * self.rate;
        let scale = T::from_f64(rate / (1.0 - self.beta1.powi(t)));
        let root = T::from_f64((1.0 - self.beta2.powi(t)).sqrt().recip());
        let decay = T::from_f64(rate * self.decay);
        let (old1, new1) = (T::from_f64(self.beta1), T::from_f64(1.0 - self.beta1));
        let (old2, new2) = (T::from_f64(self.beta2), Square::weighted(1.0 - self.beta2));
        let epsilon = T::from_f64(self.epsilon);
        update(step, memory, &|g, x, [m, v]| {
            let (m, v) = (old1 * m + new1 * g, old2 * v + new2.of(g));
            (-scale * m / (v.sqrt() * root + epsilon) - decay * x, [m, v])
        })
    }
}
