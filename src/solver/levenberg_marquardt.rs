//! Levenberg and Marquardt's method in Moré's form: a trust region of scaled parameters.

use std::ops::ControlFlow;

use super::least_squares::{Scaling, Settings, check, minimize};
use super::memory::Memory;
use super::trust_region::Radius;
use crate::base::{Result, Scalar};
use crate::control::{LeastSquaresProgress, LeastSquaresReport, Stopping};
use crate::curvature::{LeastSquares, RobustLoss};
use crate::operator::Model;
use crate::step::{GaussNewtonPath, Inner};

/// Least squares by Levenberg and Marquardt's method: the default choice.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LevenbergMarquardt {
    /// When the run ends.
    pub stopping: Stopping,
    /// The shape of the trust region.
    pub scaling: Scaling,
    /// How steps are computed: from a formed Jacobian where n ≤ 512, m·n ≤ 2²³ and forming it costs at most 100 products,
    /// from a Golub–Kahan space otherwise.
    pub inner: Inner,
    /// Vectors of n numbers that the Golub–Kahan space may store.
    pub memory: Memory,
}

impl LevenbergMarquardt {
    /// Minimises ½ Σ ρ(‖r_b‖²) from `x0`.
    pub fn minimize<T: Scalar, M: Model<T>, L: RobustLoss>(
        &self,
        fit: &LeastSquares<T, M, L>,
        x0: &[T],
    ) -> Result<LeastSquaresReport<T>> {
        self.minimize_with(fit, x0, |_| ControlFlow::Continue(()))
    }

    /// As [`minimize`](Self::minimize), with an observer that sees every iteration and may stop the run.
    pub fn minimize_with<T: Scalar, M: Model<T>, L: RobustLoss>(
        &self,
        fit: &LeastSquares<T, M, L>,
        x0: &[T],
        observer: impl FnMut(&LeastSquaresProgress<'_, T>) -> ControlFlow<()>,
    ) -> Result<LeastSquaresReport<T>> {
        check(fit, x0)?;
        let (m, n) = (fit.model().output_dim(), fit.model().dim());
        let source = GaussNewtonPath::new(m, n, self.inner, self.memory.right_vectors(n, size_of::<T>()));
        let settings = Settings { stopping: &self.stopping, scaling: self.scaling };
        minimize(fit, x0, settings, source, Radius(f64::INFINITY), observer)
    }
}
