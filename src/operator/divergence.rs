//! An objective with a divergence between points, for constraints like a bound on the Kullback–Leibler divergence.

use super::{Expansion, Objective, SymmetricOperator, forward};
use crate::base::{CallbackError, CallbackOutput, ErrorSlot};

/// An objective with a divergence; see [`with_divergence`].
#[derive(Clone, Debug)]
pub struct DivergenceObjective<O, D> {
    objective: O,
    divergence: D,
    errors: ErrorSlot,
}

/// The objective with `divergence(x, y)`, which is 0 for y = x, not negative, and ½(y − x)ᵀM(x)(y − x) to second order. NaN
/// means that y cannot be evaluated; it may also return a `Result`.
///
/// ```
/// use newton_krylov::{Expansion, Objective, objective};
/// use newton_krylov::operators::with_divergence;
///
/// // A coin that shows heads with probability p = 1/(1 + e⁻ˣ): −p is minimised, in the Fisher metric p(1 − p).
/// let p = |x: f64| 1.0 / (1.0 + (-x).exp());
/// let f = objective(
///     1,
///     move |x: &[f64]| -p(x[0]),
///     move |x, g| g[0] = -p(x[0]) * (1.0 - p(x[0])),
///     move |x, v, mv| mv[0] = p(x[0]) * (1.0 - p(x[0])) * v[0],
/// );
/// let f = with_divergence(f, move |x: &[f64], y: &[f64]| {
///     let (p, q) = (p(x[0]), p(y[0]));
///     p * (p / q).ln() + (1.0 - p) * ((1.0 - p) / (1.0 - q)).ln()
/// });
/// let (value, divergence) = f.expand(&[0.0]).value_and_divergence(&[0.1]).unwrap();
/// assert!(value < -0.5 && (divergence - 0.5 * 0.25 * 0.01).abs() < 1e-5);
/// ```
pub fn with_divergence<T, O, D, R>(objective: O, divergence: D) -> DivergenceObjective<O, D>
where
    O: Objective<T>,
    D: Fn(&[T], &[T]) -> R,
    R: CallbackOutput<f64>,
{
    DivergenceObjective { objective, divergence, errors: ErrorSlot::new() }
}

impl<T, O: Objective<T>, D: Fn(&[T], &[T]) -> R, R: CallbackOutput<f64>> Objective<T> for DivergenceObjective<O, D> {
    forward!(self.objective; dim, value_at);
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        DivergenceExpansion { inner: self.objective.expand(x), x, objective: self }
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.objective.take_error().or_else(|| self.errors.take())
    }
}

/// The objective at a point.
struct DivergenceExpansion<'a, T, E, O, D> {
    inner: E,
    x: &'a [T],
    objective: &'a DivergenceObjective<O, D>,
}

impl<T, E: SymmetricOperator<T>, O, D> SymmetricOperator<T> for DivergenceExpansion<'_, T, E, O, D> {
    forward!(self.inner; dim, apply, apply_block, form, forming_cost, preconditioner, accuracy, learn_accuracy, evaluations, evaluations_ahead);
    fn take_error(&self) -> Option<CallbackError> {
        self.inner.take_error().or_else(|| self.objective.errors.take())
    }
}

impl<T, E, O, D, R> Expansion<T> for DivergenceExpansion<'_, T, E, O, D>
where
    E: Expansion<T>,
    O: Objective<T>,
    D: Fn(&[T], &[T]) -> R,
    R: CallbackOutput<f64>,
{
    forward!(self.inner; value, gradient, structural_damping);
    fn value_and_divergence(&self, y: &[T]) -> Option<(f64, f64)> {
        let DivergenceObjective { objective, divergence, errors } = self.objective;
        Some((objective.value(y), errors.value(|| divergence(self.x, y))))
    }
}
