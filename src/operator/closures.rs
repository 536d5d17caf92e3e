//! Operators and objectives from closures: the form with the least ceremony.

use std::marker::PhantomData;

use super::{Expansion, Objective, SymmetricOperator};

/// A symmetric operator from a closure; see [`operator`].
#[derive(Clone, Copy, Debug)]
pub struct FnOperator<F> {
    dim: usize,
    product: F,
}

/// A symmetric operator of dimension `dim` from `product(v, out)`, which overwrites `out` with Mv.
pub fn operator<T, F: Fn(&[T], &mut [T])>(dim: usize, product: F) -> FnOperator<F> {
    FnOperator { dim, product }
}

impl<T, F: Fn(&[T], &mut [T])> SymmetricOperator<T> for FnOperator<F> {
    fn dim(&self) -> usize {
        self.dim
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        (self.product)(v, out);
    }
}

/// An objective from three closures; see [`objective`].
pub struct ClosureObjective<T, V, F, G, H> {
    dim: usize,
    value: F,
    gradient: G,
    product: H,
    types: PhantomData<fn(T) -> V>,
}

/// The objective with `dim` unknowns whose value is `value(x)`, whose gradient `gradient(x, g)` writes to `g`, and
/// whose Hessian product `product(x, v, hv)` writes to `hv`.
///
/// The closures overwrite their last argument and never read it. A closure that cannot evaluate returns or writes NaN.
/// The value may be an `f32` or an `f64`.
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
pub fn objective<T, V, F, G, H>(dim: usize, value: F, gradient: G, product: H) -> ClosureObjective<T, V, F, G, H>
where
    V: Into<f64>,
    F: Fn(&[T]) -> V,
    G: Fn(&[T], &mut [T]),
    H: Fn(&[T], &[T], &mut [T]),
{
    ClosureObjective { dim, value, gradient, product, types: PhantomData }
}

impl<T, V, F, G, H> Objective<T> for ClosureObjective<T, V, F, G, H>
where
    V: Into<f64>,
    F: Fn(&[T]) -> V,
    G: Fn(&[T], &mut [T]),
    H: Fn(&[T], &[T], &mut [T]),
{
    fn dim(&self) -> usize {
        self.dim
    }
    fn value(&self, x: &[T]) -> f64 {
        (self.value)(x).into()
    }
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        At { objective: self, x }
    }
}

/// A closure objective at a point. It caches nothing: every request goes to the closure.
struct At<'a, T, O> {
    objective: &'a O,
    x: &'a [T],
}

impl<T, V, F, G, H> SymmetricOperator<T> for At<'_, T, ClosureObjective<T, V, F, G, H>>
where
    H: Fn(&[T], &[T], &mut [T]),
{
    fn dim(&self) -> usize {
        self.objective.dim
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        (self.objective.product)(self.x, v, out);
    }
}

impl<T, V, F, G, H> Expansion<T> for At<'_, T, ClosureObjective<T, V, F, G, H>>
where
    V: Into<f64>,
    F: Fn(&[T]) -> V,
    G: Fn(&[T], &mut [T]),
    H: Fn(&[T], &[T], &mut [T]),
{
    fn value(&self) -> f64 {
        (self.objective.value)(self.x).into()
    }
    fn gradient(&self, out: &mut [T]) {
        (self.objective.gradient)(self.x, out);
    }
}
