//! What is minimised: a function that expands itself at a point.

use super::{StructuralDamping, SymmetricOperator, forward};
use crate::base::CallbackError;

/// The quadratic model of an objective at a point x: value, gradient and curvature products, which share whatever was
/// computed for that point.
///
/// As a [`SymmetricOperator`] it is the metric M(x), for example the Hessian.
pub trait Expansion<T>: SymmetricOperator<T> {
    /// f(x).
    fn value(&self) -> f64;

    /// out ← ∇f(x). Overwrites `out` without reading it.
    fn gradient(&self, out: &mut [T]);

    /// f(y) and how far y is from x, as a divergence that the metric approximates, D(y) ≈ ½(y − x)ᵀM(y − x): the
    /// Kullback–Leibler divergence where M is a Fisher matrix. Both from one evaluation at y. `None` if the objective has
    /// no divergence (the default); [`with_divergence`](crate::operators::with_divergence) adds one.
    fn value_and_divergence(&self, y: &[T]) -> Option<(f64, f64)> {
        let _ = y;
        None
    }

    /// A matrix S that the objective wants steps to be damped by beside I; by default there is none. M itself stays what
    /// [`apply`](SymmetricOperator::apply) multiplies by. Of the solvers [`HessianFree`](crate::HessianFree) asks for it.
    fn structural_damping(&self) -> Option<&dyn StructuralDamping<T>> {
        None
    }
}

impl<T, E: Expansion<T> + ?Sized> Expansion<T> for Box<E> {
    forward!(*; value, gradient, value_and_divergence, structural_damping);
}

/// A function f : ℝᵈ → ℝ to be minimised.
///
/// [`expand`](Self::expand) borrows the point, so what an expansion caches (a forward pass, margins, factors) cannot
/// go stale. The shortest way to an objective is [`objective`](crate::objective) with three closures.
///
/// ```
/// use newton_krylov::{Expansion, Objective, SymmetricOperator, TrustRegion};
///
/// /// Σ (xᵢ⁴ + xᵢ²)/2, whose Hessian is diagonal.
/// struct Quartic(usize);
///
/// /// The expansion keeps the diagonal, computed once per point.
/// struct QuarticAt<'a> {
///     x: &'a [f64],
///     diagonal: Vec<f64>,
/// }
///
/// impl Objective<f64> for Quartic {
///     fn dim(&self) -> usize {
///         self.0
///     }
///     fn value(&self, x: &[f64]) -> f64 {
///         x.iter().map(|x| 0.5 * (x.powi(4) + x * x)).sum()
///     }
///     fn expand<'a>(&'a self, x: &'a [f64]) -> impl Expansion<f64> + 'a {
///         QuarticAt { x, diagonal: x.iter().map(|x| 6.0 * x * x + 1.0).collect() }
///     }
/// }
///
/// impl SymmetricOperator<f64> for QuarticAt<'_> {
///     fn dim(&self) -> usize {
///         self.x.len()
///     }
///     fn apply(&self, v: &[f64], out: &mut [f64]) {
///         for i in 0..v.len() {
///             out[i] = self.diagonal[i] * v[i];
///         }
///     }
/// }
///
/// impl Expansion<f64> for QuarticAt<'_> {
///     fn value(&self) -> f64 {
///         Quartic(self.x.len()).value(self.x)
///     }
///     fn gradient(&self, out: &mut [f64]) {
///         for i in 0..out.len() {
///             out[i] = 2.0 * self.x[i].powi(3) + self.x[i];
///         }
///     }
/// }
///
/// let report = TrustRegion::default().minimize(&Quartic(100), &[1.0; 100])?;
/// assert!(report.termination.converged());
/// # Ok::<(), newton_krylov::Error>(())
/// ```
pub trait Objective<T> {
    /// d, the number of unknowns.
    fn dim(&self) -> usize;

    /// f(x), a probe. Not finite means "not here": the solver takes a shorter step.
    ///
    /// The value is an `f64` also where vectors are `f32`: a loss that is summed in `f64` is compared with less noise.
    fn value(&self, x: &[T]) -> f64;

    /// The quadratic model at x. Cheap by itself: work is done when the expansion is asked for something, or once for
    /// all that it will be asked for.
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a;

    /// Hands out the first error that a callback has returned since this was last asked, if there is one; see
    /// [`ErrorSlot`](crate::callbacks::ErrorSlot).
    fn take_error(&self) -> Option<CallbackError> {
        None
    }
}

impl<T, O: Objective<T>> Objective<T> for &O {
    forward!(*; dim, take_error, value_at);
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        (**self).expand(x)
    }
}
