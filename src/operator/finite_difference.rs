//! Hessian products from gradients.
//!
//! H v ≈ (∇f(x + hv) − ∇f(x)) / h                 forward: one gradient a product, ∇f(x) being kept
//! H v ≈ (∇f(x + hv) − ∇f(x − hv)) / 2h           central: two gradients a product
//!
//! Steps: Nocedal & Wright, *Numerical Optimization* (2006), section 8.1. With a gradient that is accurate to ε
//! relative, the error is O(h‖v‖) + O(ε/h‖v‖) forward, least near h‖v‖ = √ε (1 + ‖x‖∞) with a relative error of
//! about √ε (1.5e-8 in f64, 3e-4 in f32); O(h²‖v‖²) + O(ε/h‖v‖) central, least near ∛ε (1 + ‖x‖∞) with about ε^⅔
//! (4e-11 in f64, 2e-5 in f32). The step is measured in the unit of x: where |x| ≫ 1 or ≪ 1 the 1 is replaced by ‖x‖∞.

use std::cell::{OnceCell, RefCell};
use std::marker::PhantomData;

use super::callback::{ValueFn, WriteFn};
use super::{Expansion, Objective, SymmetricOperator};
use crate::base::{CallbackError, CallbackOutput, ErrorSlot, Scalar, kernels};

/// Which difference quotient gives Hessian products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Difference {
    /// (∇f(x + hv) − ∇f(x)) / h: one gradient a product, half the digits.
    Forward,
    /// (∇f(x + hv) − ∇f(x − hv)) / 2h: two gradients a product, two thirds of the digits.
    #[default]
    Central,
}

/// An objective whose Hessian products come from its gradient; see [`objective_from_gradient`].
pub struct GradientObjective<T, F, G> {
    dim: usize,
    value: F,
    gradient: G,
    difference: Difference,
    errors: ErrorSlot,
    scalar: PhantomData<fn(T)>,
}

/// The objective with value `value(x)` and gradient `gradient(x, g)`; Hessian products are differences of gradients.
///
/// A product costs one further gradient with [`Difference::Forward`], two with [`Difference::Central`]; a report counts
/// it as one product. The step and the error are described at [`Difference`].
///
/// ```
/// use newton_krylov::{Difference, TrustRegion, objective_from_gradient};
///
/// let quartic = objective_from_gradient(
///     3,
///     |x: &[f64]| x.iter().map(|x| x.powi(4) + x * x).sum::<f64>(),
///     |x, g| (0..3).for_each(|i| g[i] = 4.0 * x[i].powi(3) + 2.0 * x[i]),
///     Difference::Central,
/// );
/// let report = TrustRegion::default().minimize(&quartic, &[1.0, 2.0, 3.0])?;
/// assert!(report.termination.converged());
/// # Ok::<(), newton_krylov::Error>(())
/// ```
pub fn objective_from_gradient<T, F, G, V, W>(
    dim: usize,
    value: F,
    gradient: G,
    difference: Difference,
) -> GradientObjective<T, F, G>
where
    F: Fn(&[T]) -> V,
    G: Fn(&[T], &mut [T]) -> W,
    V: CallbackOutput<f64>,
    W: CallbackOutput<()>,
{
    GradientObjective { dim, value, gradient, difference, errors: ErrorSlot::new(), scalar: PhantomData }
}

impl<T: Scalar, F: ValueFn<T>, G: WriteFn<T>> Objective<T> for GradientObjective<T, F, G> {
    fn dim(&self) -> usize {
        self.dim
    }
    fn value(&self, x: &[T]) -> f64 {
        self.value.value(&self.errors, x)
    }
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        let scratch = RefCell::new((vec![T::zero(); self.dim], vec![T::zero(); self.dim]));
        GradientAt { objective: self, x, gradient: OnceCell::new(), scratch }
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.errors.take()
    }
}

/// The expansion: the point, its gradient once it was needed, and room for a displaced point and its gradient.
struct GradientAt<'a, T, O> {
    objective: &'a O,
    x: &'a [T],
    gradient: OnceCell<Vec<T>>,
    scratch: RefCell<(Vec<T>, Vec<T>)>,
}

impl<T: Scalar, F, G: WriteFn<T>> GradientAt<'_, T, GradientObjective<T, F, G>> {
    fn gradient_at(&self, x: &[T], out: &mut [T]) {
        self.objective.gradient.write(&self.objective.errors, x, out);
    }

    fn base_gradient(&self) -> &[T] {
        self.gradient.get_or_init(|| {
            let mut g = vec![T::zero(); self.x.len()];
            self.gradient_at(self.x, &mut g);
            g
        })
    }
}

impl<T: Scalar, F, G: WriteFn<T>> SymmetricOperator<T> for GradientAt<'_, T, GradientObjective<T, F, G>> {
    fn dim(&self) -> usize {
        self.objective.dim
    }

    fn apply(&self, v: &[T], out: &mut [T]) {
        let length = kernels::norm(v);
        if length == 0.0 {
            out.fill(T::zero());
            return;
        }
        let (displaced, other) = &mut *self.scratch.borrow_mut();
        let size = kernels::max_abs(self.x);
        let unit = if size > 0.0 { size } else { 1.0 };
        let epsilon = T::epsilon_f64();
        match self.objective.difference {
            Difference::Forward => {
                let h = epsilon.sqrt() * unit / length;
                kernels::add_scaled(self.x, h, v, displaced);
                self.gradient_at(displaced, out);
                kernels::axpby(-1.0 / h, self.base_gradient(), 1.0 / h, out);
            }
            Difference::Central => {
                let h = epsilon.cbrt() * unit / length;
                kernels::add_scaled(self.x, h, v, displaced);
                self.gradient_at(displaced, out);
                kernels::add_scaled(self.x, -h, v, displaced);
                self.gradient_at(displaced, other);
                kernels::axpby(-0.5 / h, other, 0.5 / h, out);
            }
        }
    }

    fn take_error(&self) -> Option<CallbackError> {
        self.objective.errors.take()
    }
}

impl<T: Scalar, F: ValueFn<T>, G: WriteFn<T>> Expansion<T> for GradientAt<'_, T, GradientObjective<T, F, G>> {
    fn value(&self) -> f64 {
        self.objective.value(self.x)
    }
    fn gradient(&self, out: &mut [T]) {
        out.copy_from_slice(self.base_gradient());
    }
}
