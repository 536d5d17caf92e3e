//! AdaGrad: a metric from all past gradients.
//!
//! With G = Σ gₛgₛᵀ over all gradients so far, x ← x − αM⁻¹g where M = εI + diag(G)^½ (diagonal) or M = εI + G^½ (full
//! matrix), or with ε inside the roots ([`Epsilon`]): Duchi, Hazan & Singer (JMLR 12 (2011)), figure 1 with composite-mirror-descent updates and φ = 0. In online
//! convex optimisation the regret of the diagonal method is at most (D∞²/(2α) + α) Σᵢ ‖g₁:T,ᵢ‖₂, where D∞ bounds
//! ‖xₜ − x*‖∞ (theorem 5).
//!
//! The root of the full matrix comes from faer's eigendecomposition, O(d³) in every step.

use faer::Par;

use super::epsilon::Epsilon;
use super::method::{GradientMethod, Moments, check_rate};
use crate::base::{Eigen, Move, Result, Scalar, Square, space, update};

/// AdaGrad with the diagonal metric M = ε + √Σg², or √(Σg² + ε), componentwise.
///
/// The rate is in units of x and falls by itself, as 1/√k. Storage: Σg², in the second moment.
///
/// ```
/// use newton_krylov::objective_from_gradient;
/// use newton_krylov::differences::Difference;
/// use newton_krylov::first_order::{AdaGrad, FirstOrder};
///
/// let f = objective_from_gradient(
///     2,
///     |x: &[f64]| 0.5 * (x[0] * x[0] + 1000.0 * x[1] * x[1]),
///     |x, g| g.copy_from_slice(&[x[0], 1000.0 * x[1]]),
///     Difference::Forward,
/// );
/// // Each component has its own scale: as if the condition number were 1.
/// let report = FirstOrder::new(AdaGrad { rate: 0.5, ..AdaGrad::default() }).minimize(&f, &[1.0, 1.0])?;
/// assert!(report.termination.converged() && report.iterations() < 100);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AdaGrad {
    /// α, in units of x: about the distance to the minimum. Default 0.01 (PyTorch's).
    pub rate: f64,
    /// ε. Default 1e-10 outside the root (PyTorch's): no more than a guard against 0/0.
    pub epsilon: Epsilon,
}

impl Default for AdaGrad {
    fn default() -> Self {
        AdaGrad { rate: 0.01, epsilon: Epsilon::Outside(1e-10) }
    }
}

impl GradientMethod for AdaGrad {
    fn rate(&self) -> f64 {
        self.rate
    }

    fn check(&self, _: usize) -> Result<()> {
        check_rate(self.rate)?;
        self.epsilon.check()
    }

    fn storage(&self, dim: usize) -> [usize; 2] {
        [0, dim]
    }

    fn advance<T: Scalar>(&self, moments: &mut Moments<T>, factor: f64, step: Move<'_, T>) -> f64 {
        moments.steps += 1;
        let (rate, root) = (T::from_f64(factor * self.rate), self.epsilon.root());
        let square = Square::weighted(1.0);
        update(step, [&mut moments.second], &|g, _, [sum]| {
            let sum = sum + square.of(g);
            (-rate * g / root(sum), [sum])
        })
    }
}

/// AdaGrad with the full matrix M = εI + (Σ ggᵀ)^½, or (εI + Σ ggᵀ)^½, for few unknowns: O(d³) per step.
///
/// Unlike the diagonal it does not depend on the axes: a rotation of x rotates its steps. Storage: the matrix Σggᵀ, d²
/// numbers, in the second moment; 4d² numbers in `f64` while a step is made.
///
/// ```
/// use newton_krylov::objective_from_gradient;
/// use newton_krylov::differences::Difference;
/// use newton_krylov::first_order::{FirstOrder, FullAdaGrad};
///
/// // A narrow valley along (1, 1).
/// let f = objective_from_gradient(
///     2,
///     |x: &[f64]| 0.5 * (x[0] + x[1] - 2.0).powi(2) + 500.0 * (x[0] - x[1]).powi(2),
///     |x, g| {
///         let (along, across) = (x[0] + x[1] - 2.0, 1000.0 * (x[0] - x[1]));
///         g.copy_from_slice(&[along + across, along - across]);
///     },
///     Difference::Forward,
/// );
/// let report = FirstOrder::new(FullAdaGrad { rate: 1.0, ..FullAdaGrad::default() }).minimize(&f, &[0.0, 1.0])?;
/// assert!(report.termination.converged() && report.iterations() < 100);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FullAdaGrad {
    /// α, in units of x. Default 0.01, as for [`AdaGrad`].
    pub rate: f64,
    /// ε. Default 1e-10 outside the root, as for [`AdaGrad`].
    pub epsilon: Epsilon,
}

impl Default for FullAdaGrad {
    fn default() -> Self {
        let AdaGrad { rate, epsilon } = AdaGrad::default();
        FullAdaGrad { rate, epsilon }
    }
}

impl GradientMethod for FullAdaGrad {
    fn rate(&self) -> f64 {
        self.rate
    }

    fn check(&self, _: usize) -> Result<()> {
        space::check_whole("FullAdaGrad")?;
        check_rate(self.rate)?;
        self.epsilon.check()
    }

    fn storage(&self, dim: usize) -> [usize; 2] {
        [0, dim * dim]
    }

    fn advance<T: Scalar>(&self, moments: &mut Moments<T>, factor: f64, step: Move<'_, T>) -> f64 {
        moments.steps += 1;
        let (d, gradient) = (step.x.len(), step.gradient);
        for (column, &gj) in moments.second.chunks_exact_mut(d).zip(gradient) {
            column.iter_mut().zip(gradient).for_each(|(sum, &gi)| *sum += gi * gj);
        }
        let matrix: Vec<f64> = moments.second.iter().map(|&sum| sum.into()).collect();
        let mut eigen = Eigen::new(d);
        let mut direction = vec![f64::NAN; d];
        if eigen.decompose(&matrix, d, d, Par::Seq) {
            let gradient: Vec<f64> = gradient.iter().map(|&g| g.into()).collect();
            let (root, mut c) = (self.epsilon.root(), vec![0.0; d]);
            eigen.to_eigenbasis(&gradient, &mut c);
            for (c, &theta) in c.iter_mut().zip(eigen.values()) {
                // Where θ is rounding of G, g has no component but rounding.
                let smallest = f64::EPSILON.max(T::epsilon_f64()) * d as f64 * eigen.values()[d - 1];
                *c = if theta > smallest { *c / root(theta) } else { 0.0 };
            }
            eigen.from_eigenbasis(&c, &mut direction);
        }
        let direction: Vec<T> = direction.iter().map(|&v| T::from_f64(v)).collect();
        let rate = T::from_f64(factor * self.rate);
        update(Move { gradient: &direction, ..step }, [], &|v, _, []| (-rate * v, []))
    }
}
