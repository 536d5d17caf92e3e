//! What is fitted: a function from parameters to outputs, with the products of its Jacobian.

use std::marker::PhantomData;
use std::sync::OnceLock;

use super::callback::{ProductFn, WriteFn};
use super::{Around, LayerShape, LinearMap, forward};
use crate::base::{CallbackError, CallbackOutput, ErrorSlot, Scalar};

/// A model h at parameters x: its outputs h(x) and, as a [`LinearMap`], its Jacobian J = ∂h/∂x, which share whatever was
/// computed for that point.
pub trait Linearization<T>: LinearMap<T> {
    /// h(x).
    fn outputs(&self) -> &[T];

    /// out ← Jᵀu, as [`apply_transpose`](LinearMap::apply_transpose), which also keeps what
    /// [`second_order_product`](Self::second_order_product) needs to know of this u. By default it keeps nothing.
    fn adjoint(&self, u: &[T], out: &mut [T]) {
        self.apply_transpose(u, out);
    }

    /// out ← JᵀW(Jv) + (Σᵢ uᵢ ∇²hᵢ)v, with the u of the last [`adjoint`](Self::adjoint) and with `middle(jv, out)`, which
    /// overwrites `out` with W(Jv).
    ///
    /// With u = ∇l and W = ∇²l it is the product with the Hessian of l ∘ h. Pearlmutter's R-operator (Neural Comput. 6
    /// (1994)) makes it in one forward and one backward sweep, which both carry v along; the backward sweep for u itself
    /// is made once for a point, in `adjoint`, where it gives the gradient as well. So a product costs two gradients.
    ///
    /// Asked only where [`Model::second_order`] is true, and only after `adjoint`. By default it writes NaN.
    fn second_order_product(&self, middle: &dyn Fn(&[T], &mut [T]), v: &[T], out: &mut [T])
    where
        T: Scalar,
    {
        let _ = (middle, v);
        out.fill(T::nan());
    }

    /// out ← JᵀW(Jv) + w·KᵀKv with `middle(jv, out)`, which overwrites `out` with W(Jv), where K = ∂s/∂x is the Jacobian of
    /// the hidden states s of all samples.
    ///
    /// ‖Kv‖² is how far a step v moves the hidden states: structural damping (see
    /// [`with_structural_damping`](crate::operators::ModelObjective::with_structural_damping)). On its way to Jv the forward
    /// sweep meets Kv, and the backward sweep takes w·Kv along, so the product costs no more than one with J and one with Jᵀ.
    ///
    /// Asked only where [`Model::hidden_states`] is true. By default it writes NaN.
    fn structural_product(&self, middle: &dyn Fn(&[T], &mut [T]), weight: f64, v: &[T], out: &mut [T])
    where
        T: Scalar,
    {
        let _ = (middle, weight, v);
        out.fill(T::nan());
    }

    /// For each of the model's [layers](Model::layers) z = Wa + b, with ā = (a, 1) and γ = ∂(uᵢᵀhᵢ)/∂z of a sample: adds
    /// Σ āāᵀ over the samples to `inputs`, a matrix of (inputs + 1)² numbers, and Σ γγᵀ to `outputs`, one of outputs².
    ///
    /// Where a sample uses the same weights at several [places](LayerShape::places), z_t = Wa_t + b, both sums are over
    /// samples and places: patches of an image (KFC: Grosse & Martens, ICML 2016, section 3.1), steps of a sequence
    /// ("expand": Eschenhagen et al., NeurIPS 2023, section 3.2). A layer that is averaged over its places may give
    /// the sums over samples of the products of mean inputs and of summed γ, as if it had one place ("reduce": section 3.3).
    ///
    /// They are the factors of a Kronecker-factored preconditioner. Costs about a gradient, and half as much again for
    /// the sums. Asked only of a model with layers; by default there are none, and this does nothing.
    fn add_layer_moments(&self, u: &[T], inputs: &mut [Vec<T>], outputs: &mut [Vec<T>]) {
        let _ = (u, inputs, outputs);
    }
}

/// A function h : ℝⁿ → ℝᵐ of the parameters.
///
/// In least squares h(x) are the residuals. In learning they are the outputs for all samples of a batch, those of one
/// sample after those of another, and a loss compares them with targets. The shortest way to a model is [`model`] with
/// three closures.
///
/// ```
/// use newton_krylov::{LinearMap, Linearization, Model, model};
///
/// // h(x) = (x₀², x₀x₁, x₁)
/// let h = model(
///     3,
///     2,
///     |x: &[f64], h: &mut [f64]| h.copy_from_slice(&[x[0] * x[0], x[0] * x[1], x[1]]),
///     |x, v, jv| jv.copy_from_slice(&[2.0 * x[0] * v[0], x[1] * v[0] + x[0] * v[1], v[1]]),
///     |x, u, jtu| jtu.copy_from_slice(&[2.0 * x[0] * u[0] + x[1] * u[1], x[0] * u[1] + u[2]]),
/// );
/// let at = h.linearize(&[2.0, 3.0]);
/// let mut jtu = [0.0; 2];
/// at.apply_transpose(&[1.0, 1.0, 1.0], &mut jtu);
/// assert_eq!((at.outputs(), jtu), (&[4.0, 6.0, 3.0][..], [7.0, 3.0]));
/// ```
pub trait Model<T> {
    /// n, the number of parameters.
    fn dim(&self) -> usize;

    /// m, the number of outputs.
    fn output_dim(&self) -> usize;

    /// out ← h(x). Overwrites `out` without reading it. A model that cannot be evaluated writes NaN.
    fn evaluate(&self, x: &[T], out: &mut [T]);

    /// Outputs and Jacobian at x. The outputs are computed here, or when they are first asked for, and once.
    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a;

    /// Whether its Jacobians have [blocks](LinearMap::blocks) for solvers to go by, none of which cuts through pieces of
    /// `rows` residuals.
    #[doc(hidden)]
    fn in_blocks_of(&self, rows: usize) -> bool {
        let _ = rows;
        false
    }

    /// Whether its linearisations have [`second_order_product`](Linearization::second_order_product)s. By default not;
    /// [`with_second_order`](crate::operators::with_second_order) adds them to any model.
    fn second_order(&self) -> bool {
        false
    }

    /// Whether its linearisations have [`structural_product`](Linearization::structural_product)s. By default not.
    fn hidden_states(&self) -> bool {
        false
    }

    /// As [`linearize`](Self::linearize), with what is known around x. A model that is evaluated there, for differences,
    /// keeps within the bounds and goes by the units; all others need not know (the default).
    fn linearize_within<'a>(&'a self, x: &'a [T], around: Around<'a, T>) -> impl Linearization<T> + 'a {
        let _ = around;
        self.linearize(x)
    }

    /// Layers among its parameters, in their order, if its linearisations have
    /// [moments](Linearization::add_layer_moments) of them; none by default. They need not make up all parameters.
    fn layers(&self) -> Vec<LayerShape> {
        vec![]
    }

    /// Hands out the first error that a callback has returned since this was last asked, if there is one; see
    /// [`ErrorSlot`](crate::callbacks::ErrorSlot).
    fn take_error(&self) -> Option<CallbackError> {
        None
    }
}

impl<T, M: Model<T>> Model<T> for &M {
    forward!(*; dim, output_dim, take_error, evaluate, in_blocks_of, second_order, hidden_states, layers);
    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a {
        (**self).linearize(x)
    }
    fn linearize_within<'a>(&'a self, x: &'a [T], around: Around<'a, T>) -> impl Linearization<T> + 'a {
        (**self).linearize_within(x, around)
    }
}

/// A model from three closures; see [`model`].
pub struct ClosureModel<T, F, J, K> {
    output_dim: usize,
    dim: usize,
    evaluate: F,
    product: J,
    transpose_product: K,
    errors: ErrorSlot,
    scalar: PhantomData<fn(T)>,
}

/// The model with m = `output_dim` and n = `dim` whose outputs `evaluate(x, h)` writes to `h`, and whose Jacobian products
/// are `product(x, v, jv)` and `transpose_product(x, u, jtu)`.
///
/// The closures overwrite their last argument and never read it. A closure that cannot evaluate writes NaN, or returns a
/// `Result<(), E>` whose error ends a run.
pub fn model<T, F, J, K, A, B, C>(
    output_dim: usize,
    dim: usize,
    evaluate: F,
    product: J,
    transpose_product: K,
) -> ClosureModel<T, F, J, K>
where
    F: Fn(&[T], &mut [T]) -> A,
    J: Fn(&[T], &[T], &mut [T]) -> B,
    K: Fn(&[T], &[T], &mut [T]) -> C,
    A: CallbackOutput<()>,
    B: CallbackOutput<()>,
    C: CallbackOutput<()>,
{
    let errors = ErrorSlot::new();
    ClosureModel { output_dim, dim, evaluate, product, transpose_product, errors, scalar: PhantomData }
}

impl<T: Scalar, F: WriteFn<T>, J: ProductFn<T>, K: ProductFn<T>> Model<T> for ClosureModel<T, F, J, K> {
    forward!(fields; dim, output_dim, errors);
    fn evaluate(&self, x: &[T], out: &mut [T]) {
        self.evaluate.write(&self.errors, x, out);
    }
    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a {
        ClosureLinearization { model: self, x, outputs: OnceLock::new() }
    }
}

/// A closure model at a point: it keeps the outputs only, once they were asked for.
struct ClosureLinearization<'a, T, M> {
    model: &'a M,
    x: &'a [T],
    outputs: OnceLock<Vec<T>>,
}

impl<T: Scalar, F, J: ProductFn<T>, K: ProductFn<T>> LinearMap<T>
    for ClosureLinearization<'_, T, ClosureModel<T, F, J, K>>
{
    fn rows(&self) -> usize {
        self.model.output_dim
    }
    fn columns(&self) -> usize {
        self.model.dim
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.model.product.product(&self.model.errors, self.x, v, out);
    }
    fn apply_transpose(&self, u: &[T], out: &mut [T]) {
        self.model.transpose_product.product(&self.model.errors, self.x, u, out);
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.model.errors.take()
    }
}

impl<T, F, J, K> Linearization<T> for ClosureLinearization<'_, T, ClosureModel<T, F, J, K>>
where
    T: Scalar,
    F: WriteFn<T>,
    J: ProductFn<T>,
    K: ProductFn<T>,
{
    fn outputs(&self) -> &[T] {
        self.outputs.get_or_init(|| {
            let mut outputs = vec![T::nan(); self.model.output_dim];
            self.model.evaluate(self.x, &mut outputs);
            outputs
        })
    }
}
