//! Hessian products from gradients.
//!
//! H v ≈ (∇f(x + hv) − ∇f(x)) / h                 forward: one gradient a product, ∇f(x) being kept
//! H v ≈ (∇f(x + hv) − ∇f(x − hv)) / 2h           central: two gradients a product
//!
//! Steps: Nocedal & Wright, *Numerical Optimization* (2006), section 8.1. With a gradient that is accurate to η relative,
//! which is ε unless the user knows better, the error is O(t) + O(η/t) forward, least near t = √η with a relative error of
//! about √η (for ε 1.5e-8 in f64, 3e-4 in f32); O(t²) + O(η/t) central, least near ∛η with about η^⅔ (4e-11 in f64, 2e-5
//! in f32). Here t is the length of hv in the units of x, each component in its own: t = h maxⱼ |vⱼ|/uⱼ, where uⱼ is the
//! larger of |xⱼ| and the typical size that the user gave, and 1 where both are zero.
//!
//! A component that is near zero by chance (x at a solution) must not make h so short that the others do not move: h is
//! at least ε^¾ ‖x∘v‖/‖v‖², where a displacement still has a quarter of its digits. Where the gradient is not finite on
//! one side, the difference is taken on the other.

use std::cell::{Cell, OnceCell, RefCell};
use std::marker::PhantomData;

use super::callback::{ValueFn, WriteFn};
use super::differences::{Difference, check_accuracy};
use super::{Expansion, Objective, SymmetricOperator, forward};
use crate::base::{CallbackError, CallbackOutput, ErrorSlot, Result, Scalar, check_finite, check_length, kernels};

/// An objective whose Hessian products come from its gradient; see [`objective_from_gradient`].
pub struct GradientObjective<T, F, G> {
    dim: usize,
    value: F,
    gradient: G,
    difference: Difference,
    /// Typical sizes of the unknowns, or nothing.
    typical: Vec<f64>,
    /// η; 0 for rounding.
    accuracy: f64,
    errors: ErrorSlot,
    scalar: PhantomData<fn(T)>,
}

/// The objective with value `value(x)` and gradient `gradient(x, g)`; Hessian products are differences of gradients.
///
/// A product costs one further gradient with [`Difference::Forward`], two with [`Difference::Central`]; a report counts
/// it as one product, and these gradients as gradients. Each unknown has a unit of its own, its size or its
/// [typical size](GradientObjective::with_typical).
///
/// ```
/// use newton_krylov::{TrustRegion, objective_from_gradient};
/// use newton_krylov::differences::Difference;
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
    GradientObjective {
        dim,
        value,
        gradient,
        difference,
        typical: vec![],
        accuracy: 0.0,
        errors: ErrorSlot::new(),
        scalar: PhantomData,
    }
}

impl<T: Scalar, F, G> GradientObjective<T, F, G> {
    /// The same objective with a typical size of each unknown, where its value says little of it, as at or near 0; 0 where
    /// none is known.
    ///
    /// # Errors
    /// For a wrong length, and a size that is not finite.
    pub fn with_typical(mut self, typical: &[T]) -> Result<Self> {
        check_length("typical", typical, self.dim)?;
        check_finite("typical", typical)?;
        self.typical = typical.iter().map(|t| t.abs().into()).collect();
        Ok(self)
    }

    /// The same objective whose gradient is accurate to η = `accuracy` only, relative to its size: where it comes from a
    /// simulation or an iteration. Steps are √η and ∛η in the units of the unknowns. A run finds η where this is not given.
    ///
    /// # Errors
    /// If it is not in [0, 1).
    pub fn with_accuracy(mut self, accuracy: f64) -> Result<Self> {
        check_accuracy(accuracy)?;
        self.accuracy = accuracy;
        Ok(self)
    }

    fn accuracy(&self) -> f64 {
        self.accuracy.max(T::epsilon_f64())
    }
}

impl<T: Scalar, F: ValueFn<T>, G: WriteFn<T>> Objective<T> for GradientObjective<T, F, G> {
    forward!(fields; dim, errors);
    fn value(&self, x: &[T]) -> f64 {
        self.value.value(&self.errors, x)
    }
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        let scratch = RefCell::new((vec![T::zero(); self.dim], vec![T::zero(); self.dim]));
        let accuracy = Cell::new(self.accuracy());
        GradientAt { objective: self, x, gradient: OnceCell::new(), scratch, accuracy, evaluations: Cell::new(0) }
    }
}

/// The expansion: the point, its gradient once it was needed, and room for a displaced point and its gradient.
struct GradientAt<'a, T, O> {
    objective: &'a O,
    x: &'a [T],
    gradient: OnceCell<Vec<T>>,
    scratch: RefCell<(Vec<T>, Vec<T>)>,
    /// η.
    accuracy: Cell<f64>,
    /// Gradients made for products.
    evaluations: Cell<usize>,
}

impl<T: Scalar, F, G: WriteFn<T>> GradientAt<'_, T, GradientObjective<T, F, G>> {
    fn gradient_at(&self, x: &[T], out: &mut [T]) {
        self.objective.gradient.write(&self.objective.errors, x, out);
    }

    fn base_gradient(&self) -> &[T] {
        self.gradient.get_or_init(|| {
            self.evaluations.set(self.evaluations.get() + 1);
            // A component that is not written is no number.
            let mut g = vec![T::nan(); self.x.len()];
            self.gradient_at(self.x, &mut g);
            g
        })
    }

    /// h for a product with v; `None` for v = 0.
    fn step(&self, v: &[T]) -> Option<f64> {
        let length = kernels::norm(v);
        if length == 0.0 {
            return None;
        }
        let (mut reach, mut size) = (0.0_f64, 0.0_f64);
        for (j, (&x, &v)) in self.x.iter().zip(v).enumerate() {
            let (x, v): (f64, f64) = (x.abs().into(), v.abs().into() / length);
            let unit = x.max(self.objective.typical.get(j).copied().unwrap_or(0.0));
            reach = reach.max(v / if unit > 0.0 { unit } else { 1.0 });
            size = size.hypot(x * v);
        }
        let shortest = T::epsilon_f64().powf(0.75) * size;
        Some((self.objective.difference.relative(self.accuracy.get()) / reach).max(shortest) / length)
    }
}

impl<T: Scalar, F, G: WriteFn<T>> SymmetricOperator<T> for GradientAt<'_, T, GradientObjective<T, F, G>> {
    fn dim(&self) -> usize {
        self.objective.dim
    }

    fn apply(&self, v: &[T], out: &mut [T]) {
        let Some(h) = self.step(v) else { return out.fill(T::zero()) };
        let (displaced, other) = &mut *self.scratch.borrow_mut();
        let mut displaced_gradient = |h: f64, out: &mut [T]| {
            self.evaluations.set(self.evaluations.get() + 1);
            kernels::add_scaled(self.x, h, v, displaced);
            self.gradient_at(displaced, out);
            kernels::all_finite(out)
        };
        let ahead = displaced_gradient(h, out);
        let behind = (!ahead || self.objective.difference == Difference::Central) && displaced_gradient(-h, other);
        match (ahead, behind) {
            (true, true) => kernels::axpby(-0.5 / h, other, 0.5 / h, out),
            (_, false) => kernels::axpby(-1.0 / h, self.base_gradient(), 1.0 / h, out),
            (false, true) => {
                out.copy_from_slice(other);
                kernels::axpby(1.0 / h, self.base_gradient(), -1.0 / h, out);
            }
        }
    }

    fn accuracy(&self) -> Option<f64> {
        Some(self.objective.difference.error(self.accuracy.get()))
    }
    fn learn_accuracy(&self, accuracy: f64) {
        self.accuracy.set(self.accuracy.get().max(accuracy));
    }
    fn evaluations(&self) -> usize {
        self.evaluations.get()
    }
    /// Where the gradient is not finite on one side a forward difference takes two as well.
    fn evaluations_ahead(&self) -> usize {
        2 + usize::from(self.gradient.get().is_none())
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
        let known = self.evaluations.get();
        out.copy_from_slice(self.base_gradient());
        self.evaluations.set(known); // counted as itself
    }
}
