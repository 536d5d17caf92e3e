//! Residuals with weights, and with what is known beforehand: models from models, for statistics.
//!
//!   wᵢ rᵢ(x)                       known accuracies, w = 1/σ
//!   (r(x), (x − μ)/τ)              a normal prior on parameters, with means μ and standard deviations τ
//!
//! The second is the maximum a posteriori problem where r has unit variance (Seber & Wild, *Nonlinear Regression* (1989),
//! section 2.7.1).

use std::cell::RefCell;

use super::{Around, LinearMap, Linearization, Model, forward};
use crate::base::{
    CallbackOutput, Result, Scalar, check_finite, check_length, check_positive_dimension, check_range, kernels,
};

/// A model whose outputs are multiplied by weights; see [`LeastSquares::with_weights`](crate::LeastSquares::with_weights).
#[derive(Clone, Debug)]
pub struct WeightedModel<T, M> {
    model: M,
    weights: Vec<T>,
}

impl<T: Scalar, M: Model<T>> WeightedModel<T, M> {
    /// wᵢhᵢ(x).
    ///
    /// # Errors
    /// For a wrong length, and weights that are negative or not finite.
    pub fn new(model: M, weights: &[T]) -> Result<Self> {
        check_length("weights", weights, model.output_dim())?;
        check_finite("weights", weights)?;
        for &weight in weights {
            check_range("weights", weight.into(), weight >= T::zero(), "at least 0")?;
        }
        Ok(WeightedModel { model, weights: weights.to_vec() })
    }
}

/// A model with further outputs (xⱼ − μⱼ)/τⱼ; see [`LeastSquares::with_prior`](crate::LeastSquares::with_prior).
#[derive(Clone, Debug)]
pub struct PriorModel<T, M> {
    model: M,
    /// j, μⱼ and 1/τⱼ.
    terms: Vec<(usize, T, T)>,
}

impl<T: Scalar, M: Model<T>> PriorModel<T, M> {
    /// The outputs of `model`, followed by one for each parameter whose `deviation` is finite.
    ///
    /// # Errors
    /// For wrong lengths, a mean that is not finite, a deviation that is not positive, or if none is finite.
    pub fn new(model: M, mean: &[T], deviation: &[T]) -> Result<Self> {
        check_length("mean", mean, model.dim())?;
        check_length("deviation", deviation, model.dim())?;
        check_finite("mean", mean)?;
        let mut terms = vec![];
        for (j, (&mean, &deviation)) in mean.iter().zip(deviation).enumerate() {
            check_range("deviation", deviation.into(), deviation > T::zero(), "positive, or infinite for no prior")?;
            if deviation.is_finite() {
                terms.push((j, mean, T::one() / deviation));
            }
        }
        check_positive_dimension("the number of finite deviations", terms.len())?;
        Ok(PriorModel { model, terms })
    }
}

impl<T: Scalar, M: Model<T>> Model<T> for WeightedModel<T, M> {
    forward!(self.model; dim, output_dim, take_error);
    fn evaluate(&self, x: &[T], out: &mut [T]) {
        self.model.evaluate(x, out);
        kernels::multiply(&self.weights, out);
    }
    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a {
        self.linearize_within(x, Around::default())
    }
    fn linearize_within<'a>(&'a self, x: &'a [T], around: Around<'a, T>) -> impl Linearization<T> + 'a {
        let inner = self.model.linearize_within(x, around);
        let mut outputs = inner.outputs().to_vec();
        kernels::multiply(&self.weights, &mut outputs);
        Adapted { inner, adapter: self, outputs, scratch: RefCell::default() }
    }
}

impl<T: Scalar, M: Model<T>> Model<T> for PriorModel<T, M> {
    forward!(self.model; dim, take_error);
    fn output_dim(&self) -> usize {
        self.model.output_dim() + self.terms.len()
    }
    fn evaluate(&self, x: &[T], out: &mut [T]) {
        let (own, prior) = out.split_at_mut(self.model.output_dim());
        self.model.evaluate(x, own);
        self.deviations(x, prior);
    }
    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a {
        self.linearize_within(x, Around::default())
    }
    fn linearize_within<'a>(&'a self, x: &'a [T], around: Around<'a, T>) -> impl Linearization<T> + 'a {
        let inner = self.model.linearize_within(x, around);
        let mut outputs = inner.outputs().to_vec();
        outputs.resize(self.output_dim(), T::zero());
        self.deviations(x, &mut outputs[self.model.output_dim()..]);
        Adapted { inner, adapter: self, outputs, scratch: RefCell::default() }
    }
}

impl<T: Scalar, M> PriorModel<T, M> {
    fn deviations(&self, x: &[T], out: &mut [T]) {
        out.iter_mut().zip(&self.terms).for_each(|(out, &(j, mean, weight))| *out = (x[j] - mean) * weight);
    }
}

/// How products with the Jacobian of a model become those of another.
trait Adapter<T> {
    /// From Jv of the model, in the first numbers of `out`.
    fn image(&self, v: &[T], out: &mut [T]);
    /// What the model's Jᵀ is to be applied to, from u.
    fn before(&self, u: &mut Vec<T>);
    /// What is to be added to that.
    fn after(&self, u: &[T], out: &mut [T]);
}

impl<T: Scalar, M> Adapter<T> for WeightedModel<T, M> {
    fn image(&self, _: &[T], out: &mut [T]) {
        kernels::multiply(&self.weights, out);
    }
    fn before(&self, u: &mut Vec<T>) {
        kernels::multiply(&self.weights, u);
    }
    fn after(&self, _: &[T], _: &mut [T]) {}
}

impl<T: Scalar, M> Adapter<T> for PriorModel<T, M> {
    fn image(&self, v: &[T], out: &mut [T]) {
        let own = out.len() - self.terms.len();
        out[own..].iter_mut().zip(&self.terms).for_each(|(out, &(j, _, weight))| *out = v[j] * weight);
    }
    fn before(&self, u: &mut Vec<T>) {
        u.truncate(u.len() - self.terms.len());
    }
    fn after(&self, u: &[T], out: &mut [T]) {
        let own = u.len() - self.terms.len();
        u[own..].iter().zip(&self.terms).for_each(|(&u, &(j, _, weight))| out[j] += u * weight);
    }
}

/// An adapted model at a point.
struct Adapted<'a, T, L, A> {
    inner: L,
    adapter: &'a A,
    outputs: Vec<T>,
    scratch: RefCell<Vec<T>>,
}

impl<T: Scalar, L: LinearMap<T>, A: Adapter<T>> LinearMap<T> for Adapted<'_, T, L, A> {
    forward!(self.inner; columns, abilities);
    fn rows(&self) -> usize {
        self.outputs.len()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.inner.apply(v, &mut out[..self.inner.rows()]);
        self.adapter.image(v, out);
    }
    fn apply_transpose(&self, u: &[T], out: &mut [T]) {
        let mut before = self.scratch.borrow_mut();
        before.clear();
        before.extend_from_slice(u);
        self.adapter.before(&mut before);
        self.inner.apply_transpose(&before, out);
        self.adapter.after(u, out);
    }
    fn form(&self, matrix: &mut [T]) {
        let (m, own, n) = (self.rows(), self.inner.rows(), self.columns());
        let mut inner = vec![T::zero(); own * n];
        self.inner.form(&mut inner);
        let mut unit = vec![T::zero(); n];
        for (j, (column, inner)) in matrix.chunks_exact_mut(m).zip(inner.chunks_exact(own)).enumerate() {
            column[..own].copy_from_slice(inner);
            unit[j] = T::one();
            self.adapter.image(&unit, column);
            unit[j] = T::zero();
        }
    }
}

impl<T: Scalar, L: LinearMap<T>, A: Adapter<T>> Linearization<T> for Adapted<'_, T, L, A> {
    fn outputs(&self) -> &[T] {
        &self.outputs
    }
}

/// Residuals that are complex numbers: a closure that writes m pairs (re, im), as one that writes 2m numbers. The same
/// turns a closure for a Jacobian of m complex rows, by columns.
///
/// With blocks of two residuals, `with_loss(loss, 2)`, a robust loss weighs |z|².
///
/// ```
/// use newton_krylov::{LevenbergMarquardt, least_squares_from_residuals};
/// use newton_krylov::differences::Difference;
/// use newton_krylov::operators::complex;
///
/// // e^{ixt} at three times, x = 0.7
/// let (t, x_true) = ([1.0, 2.0, 3.0], 0.7_f64);
/// let phases = complex(move |x: &[f64], z: &mut [[f64; 2]]| {
///     for (z, t) in z.iter_mut().zip(t) {
///         *z = [(x[0] * t).cos() - (x_true * t).cos(), (x[0] * t).sin() - (x_true * t).sin()];
///     }
/// });
/// let fit = least_squares_from_residuals(6, 1, phases, Difference::Central);
/// let report = LevenbergMarquardt::default().minimize(&fit, &[0.5])?;
/// assert!((report.x[0] - x_true).abs() < 1e-9);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
pub fn complex<T, A: CallbackOutput<()>>(closure: impl Fn(&[T], &mut [[T; 2]]) -> A) -> impl Fn(&[T], &mut [T]) -> A {
    move |x, out| closure(x, out.as_chunks_mut::<2>().0)
}
