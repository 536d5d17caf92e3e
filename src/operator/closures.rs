//! Operators and objectives from closures: the form with the least ceremony.

use std::marker::PhantomData;

use super::callback::{ProductFn, ValueFn, WriteFn};
use super::{Expansion, Objective, SymmetricOperator, forward};
use crate::base::{CallbackError, CallbackOutput, ErrorSlot, Scalar};

/// A symmetric operator from a closure; see [`operator`].
#[derive(Clone, Debug)]
pub struct FnOperator<F> {
    dim: usize,
    product: F,
    errors: ErrorSlot,
}

/// A symmetric operator of dimension `dim` from `product(v, out)`, which overwrites `out` with Mv and returns nothing or
/// a `Result<(), E>`.
pub fn operator<T, F, R>(dim: usize, product: F) -> FnOperator<F>
where
    F: Fn(&[T], &mut [T]) -> R,
    R: CallbackOutput<()>,
{
    FnOperator { dim, product, errors: ErrorSlot::new() }
}

impl<T: Scalar, F: WriteFn<T>> SymmetricOperator<T> for FnOperator<F> {
    forward!(fields; dim, errors);
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.product.write(&self.errors, v, out);
    }
}

/// An objective from three closures; see [`objective`].
pub struct ClosureObjective<T, F, G, H> {
    dim: usize,
    value: F,
    gradient: G,
    product: H,
    errors: ErrorSlot,
    scalar: PhantomData<fn(T)>,
}

/// The objective with `dim` unknowns whose value is `value(x)`, whose gradient `gradient(x, g)` writes to `g`, and
/// whose Hessian product `product(x, v, hv)` writes to `hv`.
///
/// The closures overwrite their last argument and never read it. A closure that cannot evaluate returns or writes NaN.
/// The value may be an `f32` or an `f64`. Each closure may also return a `Result` of its value, or of `()`, with an error
/// of any type, which ends a run: see [`CallbackError`].
///
/// ```
/// use newton_krylov::{TrustRegion, objective};
///
/// let rosenbrock = objective(
///     2,
///     |x: &[f64]| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2),
///     |x, g| {
///         g[0] = -400.0 * x[0] * (x[1] - x[0] * x[0]) - 2.0 * (1.0 - x[0]);
///         g[1] = 200.0 * (x[1] - x[0] * x[0]);
///     },
///     |x, v, hv| {
///         hv[0] = (1200.0 * x[0] * x[0] - 400.0 * x[1] + 2.0) * v[0] - 400.0 * x[0] * v[1];
///         hv[1] = -400.0 * x[0] * v[0] + 200.0 * v[1];
///     },
/// );
/// let report = TrustRegion::default().minimize(&rosenbrock, &[-1.2, 1.0])?;
/// assert!(report.termination.converged());
/// assert!((report.x[0] - 1.0).abs() < 1e-6);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
pub fn objective<T, F, G, H, V, W, R>(dim: usize, value: F, gradient: G, product: H) -> ClosureObjective<T, F, G, H>
where
    F: Fn(&[T]) -> V,
    G: Fn(&[T], &mut [T]) -> W,
    H: Fn(&[T], &[T], &mut [T]) -> R,
    V: CallbackOutput<f64>,
    W: CallbackOutput<()>,
    R: CallbackOutput<()>,
{
    ClosureObjective { dim, value, gradient, product, errors: ErrorSlot::new(), scalar: PhantomData }
}

impl<T: Scalar, F: ValueFn<T>, G: WriteFn<T>, H: ProductFn<T>> Objective<T> for ClosureObjective<T, F, G, H> {
    forward!(fields; dim, errors);
    fn value(&self, x: &[T]) -> f64 {
        self.value.value(&self.errors, x)
    }
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        ClosureExpansion { objective: self, x }
    }
}

/// A closure objective at a point. It caches nothing: every request goes to the closure.
struct ClosureExpansion<'a, T, O> {
    objective: &'a O,
    x: &'a [T],
}

impl<T: Scalar, F, G, H: ProductFn<T>> SymmetricOperator<T> for ClosureExpansion<'_, T, ClosureObjective<T, F, G, H>> {
    fn dim(&self) -> usize {
        self.objective.dim
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.objective.product.product(&self.objective.errors, self.x, v, out);
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.objective.errors.take()
    }
}

impl<T, F, G, H> Expansion<T> for ClosureExpansion<'_, T, ClosureObjective<T, F, G, H>>
where
    T: Scalar,
    F: ValueFn<T>,
    G: WriteFn<T>,
    H: ProductFn<T>,
{
    fn value(&self) -> f64 {
        self.objective.value(self.x)
    }
    fn gradient(&self, out: &mut [T]) {
        self.objective.gradient.write(&self.objective.errors, self.x, out);
    }
}
