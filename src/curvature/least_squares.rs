//! Least-squares problems: residuals, what they count for, and where the parameters may lie.
//!
//!   minimise  ½ Σ_b ρ(‖r_b(x)‖²)   subject to   lower ≤ x ≤ upper

use super::robust::{Parts, RobustLoss, Squares};
use crate::base::{CallbackOutput, Error, Result, Scalar, check_length, check_range};
use crate::operator::{
    self, ClosureModel, Difference, DifferenceModel, JacobianModel, Model, PriorModel, WeightedModel, model,
};

/// A least-squares problem: a [`Model`] whose outputs are the residuals, and, if wanted, a robust loss and bounds.
///
/// Made by [`least_squares`], [`least_squares_dense`], [`least_squares_from_residuals`], or from any model by
/// [`LeastSquares::new`].
///
/// ```
/// use newton_krylov::{LevenbergMarquardt, least_squares_dense};
/// use newton_krylov::losses::Huber;
///
/// // y ≈ a + bt with an outlier, and b at most 1.9
/// let (t, y) = ([0.0, 1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 5.0, 70.0, 9.0]);
/// let line = least_squares_dense(
///     5,
///     2,
///     |x: &[f64], r| (0..5).for_each(|i| r[i] = x[0] + x[1] * t[i] - y[i]),
///     |_, jacobian| {
///         jacobian[..5].fill(1.0);
///         jacobian[5..].copy_from_slice(&t);
///     },
/// );
/// let robust = line.with_loss(Huber::new(0.5)?, 1)?;
/// let report = LevenbergMarquardt::default().minimize(&robust, &[0.0, 0.0])?;
/// assert!(report.termination.converged());
/// assert!((report.x[0] - 1.0).abs() < 0.6 && (report.x[1] - 2.0).abs() < 0.3);
///
/// let bounded = robust.with_bounds(&[f64::NEG_INFINITY; 2], &[f64::INFINITY, 1.9])?;
/// let report = LevenbergMarquardt::default().minimize(&bounded, &[0.0, 0.0])?;
/// assert!(report.termination.converged() && report.x[1] == 1.9);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LeastSquares<T, M, L = Squares> {
    model: M,
    loss: L,
    block: usize,
    bounds: Option<Bounds<T>>,
}

/// lower ≤ x ≤ upper.
#[derive(Clone, Debug)]
pub(crate) struct Bounds<T> {
    pub lower: Vec<T>,
    pub upper: Vec<T>,
}

/// A [`LeastSquares`] problem of any model and loss.
#[derive(Clone, Copy)]
pub(crate) struct AnyFit<'f, T> {
    pub model: &'f dyn operator::AnyModel<T>,
    pub loss: &'f dyn RobustLoss,
    pub block: usize,
    pub bounds: Option<&'f Bounds<T>>,
}

impl<T: Scalar> Bounds<T> {
    /// As [`Around`](crate::differences::Around) wants them.
    pub fn slices(&self) -> [&[T]; 2] {
        [&self.lower, &self.upper]
    }

    /// Refuses a point outside.
    pub fn check(&self, x0: &[T]) -> Result<()> {
        match (0..x0.len()).find(|&j| x0[j] < self.lower[j] || x0[j] > self.upper[j]) {
            None => Ok(()),
            Some(index) => Err(Error::OutsideBounds {
                index,
                value: x0[index].into(),
                lower: self.lower[index].into(),
                upper: self.upper[index].into(),
            }),
        }
    }

    /// Moves x to the nearest point inside; whether that changed it.
    pub fn project(&self, x: &mut [T]) -> bool {
        let mut moved = false;
        for (x, (&lower, &upper)) in x.iter_mut().zip(self.lower.iter().zip(&self.upper)) {
            let inside = if *x < lower {
                lower
            } else if *x > upper {
                upper
            } else {
                continue;
            };
            (*x, moved) = (inside, true);
        }
        moved
    }

    /// Whether component j cannot move downhill: it lies at a bound, and the negative gradient points outside.
    pub fn holds(&self, j: usize, x: T, gradient: T) -> bool {
        let down = x <= self.lower[j] && gradient >= T::zero();
        let up = x >= self.upper[j] && gradient <= T::zero();
        down || up
    }
}

/// What [`LeastSquares::with_prior`] makes.
pub type WithPrior<T, M, L> = LeastSquares<T, PriorModel<T, M>, Parts<L, Squares>>;

impl<T: Scalar, M: Model<T>> LeastSquares<T, M> {
    /// ½‖r(x)‖² for the residuals that `model` outputs.
    pub fn new(model: M) -> Self {
        LeastSquares { model, loss: Squares, block: 1, bounds: None }
    }
}

impl<T: Scalar, M: Model<T>, L> LeastSquares<T, M, L> {
    /// The same residuals under a robust loss: ½ Σ ρ(‖r_b‖²) over consecutive blocks of `block` residuals, for example
    /// 2 for image points; 1 takes every residual by itself.
    ///
    /// # Errors
    /// If `block` is zero or does not divide the number of residuals.
    pub fn with_loss<R: RobustLoss>(self, loss: R, block: usize) -> Result<LeastSquares<T, M, R>> {
        let divides = block > 0 && self.model.output_dim().is_multiple_of(block);
        check_range("block", block as f64, divides, "at least 1 and a divisor of the number of residuals")?;
        Ok(LeastSquares { model: self.model, loss, block, bounds: self.bounds })
    }

    /// The same problem with lower ≤ x ≤ upper, component by component; −∞ and ∞ are no bounds, equal ones fix a
    /// component. Residuals are only evaluated within them.
    ///
    /// # Errors
    /// For wrong lengths, and where a lower bound exceeds the upper one or one of them is NaN.
    pub fn with_bounds(self, lower: &[T], upper: &[T]) -> Result<Self> {
        let dim = self.model.dim();
        check_length("lower", lower, dim)?;
        check_length("upper", upper, dim)?;
        for (index, (&low, &high)) in lower.iter().zip(upper).enumerate() {
            let empty = low == T::infinity() || high == T::neg_infinity();
            if low.is_nan() || high.is_nan() || low > high || empty {
                return Err(Error::EmptyBounds { index, lower: low.into(), upper: high.into() });
            }
        }
        Ok(LeastSquares { bounds: Some(Bounds { lower: lower.to_vec(), upper: upper.to_vec() }), ..self })
    }

    /// The same problem with wᵢrᵢ for rᵢ: with w = 1/σ for residuals of known accuracy, then of variance 1 (see
    /// [`covariance_known`](crate::statistics::covariance_known)). A robust loss sees the weighted ones.
    ///
    /// # Errors
    /// For a wrong length, and weights that are negative or not finite.
    pub fn with_weights(self, weights: &[T]) -> Result<LeastSquares<T, WeightedModel<T, M>, L>> {
        let LeastSquares { model, loss, block, bounds } = self;
        Ok(LeastSquares { model: WeightedModel::new(model, weights)?, loss, block, bounds })
    }

    /// The same problem with a normal prior: ½ Σ (xⱼ − meanⱼ)²/deviationⱼ² is added, without the robust loss, for every
    /// parameter whose deviation is finite. The residuals must be of variance 1.
    ///
    /// ```
    /// use newton_krylov::{LevenbergMarquardt, least_squares_dense};
    /// use newton_krylov::losses::Huber;
    ///
    /// // One reading, 3 ± 1, of what was known to be 1 ± 1.
    /// let reading = least_squares_dense(1, 1, |x: &[f64], r| r[0] = x[0] - 3.0, |_, j| j[0] = 1.0);
    /// let both = reading.with_loss(Huber::new(5.0)?, 1)?.with_prior(&[1.0], &[1.0])?;
    /// let report = LevenbergMarquardt::default().minimize(&both, &[0.0])?;
    /// assert!((report.x[0] - 2.0).abs() < 1e-12);
    /// # Ok::<(), newton_krylov::Error>(())
    /// ```
    ///
    /// # Errors
    /// For wrong lengths, a mean that is not finite, a deviation that is not positive, or if the number of finite ones is
    /// zero or no multiple of the loss's block.
    pub fn with_prior(self, mean: &[T], deviation: &[T]) -> Result<WithPrior<T, M, L>> {
        let LeastSquares { model, loss, block, bounds } = self;
        let loss = Parts::new(loss, model.output_dim() / block, Squares);
        let model = PriorModel::new(model, mean, deviation)?;
        let requirement = "a divisor of the number of residuals and of that of finite deviations";
        check_range("block", block as f64, model.output_dim().is_multiple_of(block), requirement)?;
        Ok(LeastSquares { model, loss, block, bounds })
    }

    /// The model whose outputs are the residuals.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// ρ.
    pub fn loss(&self) -> &L {
        &self.loss
    }

    /// Residuals in a block.
    pub fn block(&self) -> usize {
        self.block
    }

    pub(crate) fn bounds(&self) -> Option<&Bounds<T>> {
        self.bounds.as_ref()
    }

    /// The problem as the solvers see it.
    pub(crate) fn any(&self) -> AnyFit<'_, T>
    where
        L: RobustLoss,
    {
        AnyFit { model: &self.model, loss: &self.loss, block: self.block, bounds: self.bounds.as_ref() }
    }
}

impl<T: Scalar, F, L> LeastSquares<T, DifferenceModel<T, F>, L> {
    /// The same problem with a [typical size](DifferenceModel::with_typical) of each parameter for the differences.
    ///
    /// # Errors
    /// For a wrong length, and a size that is not finite.
    pub fn with_typical(self, typical: &[T]) -> Result<Self> {
        Ok(LeastSquares { model: self.model.with_typical(typical)?, ..self })
    }
}

/// The least-squares problem with m residuals and n parameters whose residuals `residual(x, r)` writes to `r`, and whose
/// Jacobian products are `product(x, v, jv)` and `transpose_product(x, u, jtu)`.
///
/// The closures overwrite their last argument and never read it. A closure that cannot evaluate writes NaN, or returns a
/// `Result<(), E>` whose error ends a run.
///
/// ```
/// use newton_krylov::{LevenbergMarquardt, least_squares};
///
/// // Rosenbrock's function as a sum of squares
/// let fit = least_squares(
///     2,
///     2,
///     |x: &[f64], r| r.copy_from_slice(&[10.0 * (x[1] - x[0] * x[0]), 1.0 - x[0]]),
///     |x, v, jv| jv.copy_from_slice(&[10.0 * v[1] - 20.0 * x[0] * v[0], -v[0]]),
///     |x, u, jtu| jtu.copy_from_slice(&[-20.0 * x[0] * u[0] - u[1], 10.0 * u[0]]),
/// );
/// let report = LevenbergMarquardt::default().minimize(&fit, &[-1.2, 1.0])?;
/// assert!(report.termination.converged());
/// assert!((report.x[0] - 1.0).abs() < 1e-12 && (report.x[1] - 1.0).abs() < 1e-12);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
pub fn least_squares<T, F, J, K, A, B, C>(
    m: usize,
    n: usize,
    residual: F,
    product: J,
    transpose_product: K,
) -> LeastSquares<T, ClosureModel<T, F, J, K>>
where
    T: Scalar,
    F: Fn(&[T], &mut [T]) -> A,
    J: Fn(&[T], &[T], &mut [T]) -> B,
    K: Fn(&[T], &[T], &mut [T]) -> C,
    A: CallbackOutput<()>,
    B: CallbackOutput<()>,
    C: CallbackOutput<()>,
{
    LeastSquares::new(model(m, n, residual, product, transpose_product))
}

/// The least-squares problem with m residuals and n parameters whose residuals `residual(x, r)` writes to `r`, and whose
/// Jacobian `jacobian(x, j)` writes to `j`, m·n numbers by columns, zeros too: `j[k * m + i]` is ∂rᵢ/∂xₖ. For few
/// parameters.
///
/// A Jacobian counts as one product.
pub fn least_squares_dense<T, F, J, A, B>(
    m: usize,
    n: usize,
    residual: F,
    jacobian: J,
) -> LeastSquares<T, JacobianModel<T, F, J>>
where
    T: Scalar,
    F: Fn(&[T], &mut [T]) -> A,
    J: Fn(&[T], &mut [T]) -> B,
    A: CallbackOutput<()>,
    B: CallbackOutput<()>,
{
    LeastSquares::new(JacobianModel::new(m, n, residual, jacobian))
}

/// The least-squares problem with m residuals and n parameters of which only the residuals are known: `residual(x, r)`
/// writes them to `r`, the Jacobian is had by differences, column by column. For few parameters; for many, and a sparse
/// Jacobian, see [`DifferenceModel::sparse`].
///
/// A Jacobian counts as n products, and its evaluations of the residuals as residuals: n with [`Difference::Forward`], 2n
/// with [`Difference::Central`], and a few more where a step tells nothing (see [`DifferenceModel`]). Forward differences
/// limit the accuracy: where the residuals at the solution are not small, to about half of the digits.
///
/// A parameter that is tied to others, or held, needs no more than a closure that fills in the whole vector from the
/// free ones; equal [bounds](LeastSquares::with_bounds) hold one as well.
///
/// ```
/// use newton_krylov::{LevenbergMarquardt, least_squares_from_residuals};
/// use newton_krylov::differences::Difference;
///
/// let (t, y) = ([0.0, 1.0, 2.0, 3.0], [2.0, 1.2, 0.75, 0.42]);
/// let decay = least_squares_from_residuals(
///     4,
///     2,
///     |x: &[f64], r| (0..4).for_each(|i| r[i] = x[0] * (-x[1] * t[i]).exp() - y[i]),
///     Difference::Central,
/// );
/// let report = LevenbergMarquardt::default().minimize(&decay, &[1.0, 1.0])?;
/// assert!(report.termination.converged() && (report.x[1] - 0.503).abs() < 1e-2);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
pub fn least_squares_from_residuals<T, F, A>(
    m: usize,
    n: usize,
    residual: F,
    difference: Difference,
) -> LeastSquares<T, DifferenceModel<T, F>>
where
    T: Scalar,
    F: Fn(&[T], &mut [T]) -> A,
    A: CallbackOutput<()>,
{
    LeastSquares::new(DifferenceModel::new(m, n, residual, difference))
}
