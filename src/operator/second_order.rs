//! Second derivatives for a model that has none: (Σᵢ uᵢ ∇²hᵢ)v from a closure.

use std::cell::RefCell;

use super::{Around, LinearMap, Linearization, Model, forward};
use crate::base::{CallbackError, CallbackOutput, ErrorSlot, Scalar, kernels};

/// A model with second-order products from a closure; see [`with_second_order`].
#[derive(Clone, Debug)]
pub struct SecondOrderModel<M, F> {
    model: M,
    product: F,
    errors: ErrorSlot,
}

/// The model with second-order products: `product(x, u, v, out)` overwrites `out` with (Σᵢ uᵢ ∇²hᵢ(x))v.
///
/// A second-order product then costs a product with J, one with Jᵀ and a call of the closure. A model that knows its own
/// structure does better with [`Linearization::second_order_product`].
///
/// ```
/// use newton_krylov::{Linearization, Model, model};
/// use newton_krylov::operators::with_second_order;
///
/// // h(x) = x²
/// let h = model(
///     1,
///     1,
///     |x: &[f64], h: &mut [f64]| h[0] = x[0] * x[0],
///     |x, v, jv| jv[0] = 2.0 * x[0] * v[0],
///     |x, u, jtu| jtu[0] = 2.0 * x[0] * u[0],
/// );
/// let h = with_second_order(h, |_, u: &[f64], v, out| out[0] = 2.0 * u[0] * v[0]);
/// // l(h) = ½h² at x = 3: u = 9, W = 1, and the second derivative of ½x⁴ is 6x² = 54.
/// let (at, mut out) = (h.linearize(&[3.0]), [0.0]);
/// at.adjoint(&[9.0], &mut out);
/// assert_eq!(out, [54.0]); // 2x³
/// at.second_order_product(&|jv, w| w.copy_from_slice(jv), &[1.0], &mut out);
/// assert_eq!(out, [54.0]);
/// ```
pub fn with_second_order<T, M, F, R>(model: M, product: F) -> SecondOrderModel<M, F>
where
    M: Model<T>,
    F: Fn(&[T], &[T], &[T], &mut [T]) -> R,
    R: CallbackOutput<()>,
{
    SecondOrderModel { model, product, errors: ErrorSlot::new() }
}

impl<T, M, F, R> Model<T> for SecondOrderModel<M, F>
where
    T: Scalar,
    M: Model<T>,
    F: Fn(&[T], &[T], &[T], &mut [T]) -> R,
    R: CallbackOutput<()>,
{
    forward!(self.model; dim, output_dim, evaluate, in_blocks_of, hidden_states, layers);
    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a {
        self.linearize_within(x, Around::default())
    }
    fn linearize_within<'a>(&'a self, x: &'a [T], around: Around<'a, T>) -> impl Linearization<T> + 'a {
        let SecondOrderModel { model, product, errors } = self;
        SecondOrderLinearization {
            inner: model.linearize_within(x, around),
            product,
            errors,
            x,
            work: RefCell::default(),
        }
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.model.take_error().or_else(|| self.errors.take())
    }
    fn second_order(&self) -> bool {
        true
    }
}

/// The model at a point.
struct SecondOrderLinearization<'a, T, L, F> {
    inner: L,
    product: &'a F,
    errors: &'a ErrorSlot,
    x: &'a [T],
    work: RefCell<Work<T>>,
}

/// The u of the last adjoint, and room for products; made at the first of them.
#[derive(Default)]
struct Work<T> {
    adjoint: Vec<T>,
    jv: Vec<T>,
    middle: Vec<T>,
    second: Vec<T>,
}

impl<T, L: LinearMap<T>, F> LinearMap<T> for SecondOrderLinearization<'_, T, L, F> {
    forward!(self.inner; rows, columns, apply, apply_transpose, form, forming_cost, column_norms, accuracy, blocks, count_passes);
    forward!(self.inner; evaluations, evaluations_ahead);
    fn take_error(&self) -> Option<CallbackError> {
        self.inner.take_error().or_else(|| self.errors.take())
    }
}

impl<T, L, F, R> Linearization<T> for SecondOrderLinearization<'_, T, L, F>
where
    T: Scalar,
    L: Linearization<T>,
    F: Fn(&[T], &[T], &[T], &mut [T]) -> R,
    R: CallbackOutput<()>,
{
    fn outputs(&self) -> &[T] {
        self.inner.outputs()
    }
    fn adjoint(&self, u: &[T], out: &mut [T]) {
        let kept = &mut self.work.borrow_mut().adjoint;
        kept.clear();
        kept.extend_from_slice(u);
        self.inner.apply_transpose(u, out);
    }
    fn second_order_product(&self, middle: &dyn Fn(&[T], &mut [T]), v: &[T], out: &mut [T]) {
        let Work { adjoint, jv, middle: wjv, second } = &mut *self.work.borrow_mut();
        for work in [&mut *jv, &mut *wjv] {
            work.resize(self.rows(), T::zero());
        }
        second.resize(self.columns(), T::zero());
        self.inner.apply(v, jv);
        middle(jv, wjv);
        self.inner.apply_transpose(wjv, out);
        self.errors.write(second, |second| (self.product)(self.x, adjoint, v, second));
        kernels::axpy(1.0, second, out);
    }
    fn structural_product(&self, middle: &dyn Fn(&[T], &mut [T]), weight: f64, v: &[T], out: &mut [T]) {
        self.inner.structural_product(middle, weight, v, out);
    }
    fn add_layer_moments(&self, u: &[T], inputs: &mut [Vec<T>], outputs: &mut [Vec<T>]) {
        self.inner.add_layer_moments(u, inputs, outputs);
    }
}
