//! When a run ends: the tests of convergence and the limits.

use std::time::Duration;

use super::{Cancellation, Termination};
use crate::base::{Result, Scalar, check_count, check_not_negative, check_range, kernels};

/// Multiples of ε below which a gradient, as a share of the first, may be nothing but the rounding of its terms.
const GRADIENT_ROUNDING: f64 = 8.0;

/// When a run ends. Only the relative gradient test and a generous bound on iterations are on by default.
///
/// ```
/// use newton_krylov::{Stopping, TrustRegion};
///
/// let solver = TrustRegion {
///     stopping: Stopping { gradient_relative: 1e-6, max_products: 10_000, ..Stopping::default() },
///     ..TrustRegion::default()
/// };
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Stopping {
    /// τ, of which convergence is a matter: ‖∇f(x)‖₂ ≤ τ‖∇f(x₀)‖₂. Default 1e-8, near √ε: there the error in f is of the
    /// order of its rounding. Values below 8ε of the vector type count as that (1e-6 for `f32`).
    ///
    /// [`TrustRegion`](crate::TrustRegion), [`NewtonCg`](crate::NewtonCg) and
    /// [`CubicRegularization`](crate::CubicRegularization) ask their model as well, so that a far start does not converge
    /// where the gradient has merely fallen, and a run that starts at a minimum converges there: the step that is still
    /// promised must be short against x, and its decrease within the rounding of f, at most τ² of both |f| and what was
    /// gained, or, as |f| itself, at most τ³ of what was gained. Least squares reads τ as a cosine
    /// ([`LevenbergMarquardt`](crate::LevenbergMarquardt)).
    pub gradient_relative: f64,
    /// Converged as soon as ‖∇f(x)‖₂ ≤ this, whatever f still promises, in units of f per unit of x. Default 0: off, since it
    /// depends on those units.
    pub gradient_absolute: f64,
    /// Ends when an accepted step has ‖δ‖₂ ≤ this × ‖x‖₂. Default 0: off.
    pub step: f64,
    /// Ends when an accepted step lowers f by at most this × |f|. Default 0: off.
    pub decrease: f64,
    /// Ends when f(x) ≤ this. Default −∞: off.
    pub target_value: f64,
    /// Most outer iterations. Default 1,000,000, so that no run is endless.
    pub max_iterations: usize,
    /// Most values, at least 1. Default: no limit.
    pub max_values: usize,
    /// Most gradients, at least 1. Default: no limit.
    pub max_gradients: usize,
    /// Most products. Inner solves are cut short to keep it. Default: no limit.
    pub max_products: usize,
    /// Most wall time; looked at between inner iterations. Default: no limit.
    pub max_time: Duration,
    /// Ends the run from outside. Default: a flag of its own, which nobody raises.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub cancellation: Cancellation,
}

impl Default for Stopping {
    fn default() -> Self {
        Stopping {
            gradient_relative: 1e-8,
            gradient_absolute: 0.0,
            step: 0.0,
            decrease: 0.0,
            target_value: f64::NEG_INFINITY,
            max_iterations: 1_000_000,
            max_values: usize::MAX,
            max_gradients: usize::MAX,
            max_products: usize::MAX,
            max_time: Duration::MAX,
            cancellation: Cancellation::default(),
        }
    }
}

impl Stopping {
    pub(crate) fn check(&self) -> Result<()> {
        check_not_negative("stopping.gradient_relative", self.gradient_relative)?;
        check_not_negative("stopping.gradient_absolute", self.gradient_absolute)?;
        check_not_negative("stopping.step", self.step)?;
        check_not_negative("stopping.decrease", self.decrease)?;
        check_count("stopping.max_values", self.max_values, 1, "at least 1")?;
        check_count("stopping.max_gradients", self.max_gradients, 1, "at least 1")?;
        let target = self.target_value;
        check_range("stopping.target_value", target, !target.is_nan(), "a number or −∞")
    }

    /// τ.
    pub(crate) fn relative_tolerance<T: Scalar>(&self) -> f64 {
        self.gradient_relative.max(GRADIENT_ROUNDING * T::epsilon_f64())
    }

    /// The gradient norm that counts as small.
    pub(crate) fn gradient_tolerance<T: Scalar>(&self, initial: f64) -> f64 {
        (self.relative_tolerance::<T>() * initial).max(self.gradient_absolute)
    }

    /// Whether the step that led to x, of length `norm`, was too small to go on: it changed f by `decrease`, to `value`.
    pub(crate) fn small_step<T: Scalar>(&self, decrease: f64, value: f64, norm: f64, x: &[T]) -> Option<Termination> {
        if self.decrease > 0.0 && decrease <= self.decrease * value.abs() {
            Some(Termination::DecreaseTolerance)
        } else if self.step > 0.0 && norm <= self.step * kernels::norm(x) {
            Some(Termination::StepTolerance)
        } else {
            None
        }
    }
}
