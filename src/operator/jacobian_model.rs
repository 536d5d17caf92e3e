//! Models whose Jacobian is a matrix, for few parameters: written by a closure, or by differences of the outputs.
//!
//! Differences go column by column, with Nocedal & Wright's steps (*Numerical Optimization* (2006), section 8.1):
//!
//!   ∂h/∂xⱼ ≈ (h(x + tⱼeⱼ) − h(x)) / tⱼ,                 tⱼ = √ε uⱼ
//!   ∂h/∂xⱼ ≈ (h(x + tⱼeⱼ) − h(x − tⱼeⱼ)) / 2tⱼ,         tⱼ = ∛ε uⱼ
//!
//! in the unit uⱼ = max(|xⱼ|, √ε ‖x‖∞) of each component, since parameters may differ by orders of magnitude; of a
//! component that is zero nothing is known, and uⱼ = ‖x‖∞, or 1 at the origin. Where a bound is nearer than tⱼ the
//! difference is taken to the other side, one-sided.

use std::marker::PhantomData;
use std::sync::OnceLock;

use super::callback::WriteFn;
use super::{Difference, LinearMap, Linearization, Model};
use crate::base::{CallbackError, ErrorSlot, Scalar, kernels};

/// A model whose Jacobian a closure writes as a matrix; see [`least_squares_dense`](crate::least_squares_dense).
pub struct JacobianModel<T, F, J> {
    output_dim: usize,
    dim: usize,
    evaluate: F,
    jacobian: J,
    errors: ErrorSlot,
    scalar: PhantomData<fn(T)>,
}

impl<T: Scalar, F: WriteFn<T>, J: WriteFn<T>> JacobianModel<T, F, J> {
    /// The model with m = `output_dim` and n = `dim` whose outputs `evaluate(x, h)` writes to `h`, and whose Jacobian
    /// `jacobian(x, j)` writes to `j`, m·n numbers by columns: `j[k * m + i]` is ∂hᵢ/∂xₖ.
    pub fn new(output_dim: usize, dim: usize, evaluate: F, jacobian: J) -> Self {
        JacobianModel { output_dim, dim, evaluate, jacobian, errors: ErrorSlot::new(), scalar: PhantomData }
    }
}

impl<T: Scalar, F: WriteFn<T>, J: WriteFn<T>> Model<T> for JacobianModel<T, F, J> {
    fn dim(&self) -> usize {
        self.dim
    }
    fn output_dim(&self) -> usize {
        self.output_dim
    }
    fn evaluate(&self, x: &[T], out: &mut [T]) {
        self.evaluate.write(&self.errors, x, out);
    }
    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a {
        let write = |_: &OnceLock<Vec<T>>, matrix: &mut [T]| self.jacobian.write(&self.errors, x, matrix);
        MatrixAt { model: self, x, write, cost: 1, outputs: OnceLock::new(), matrix: OnceLock::new() }
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.errors.take()
    }
}

/// A model whose Jacobian comes from differences of its outputs; see
/// [`least_squares_from_residuals`](crate::least_squares_from_residuals).
pub struct DifferenceModel<T, F> {
    output_dim: usize,
    dim: usize,
    evaluate: F,
    difference: Difference,
    errors: ErrorSlot,
    scalar: PhantomData<fn(T)>,
}

impl<T: Scalar, F: WriteFn<T>> DifferenceModel<T, F> {
    /// The model with m = `output_dim` and n = `dim` whose outputs `evaluate(x, h)` writes to `h`.
    pub fn new(output_dim: usize, dim: usize, evaluate: F, difference: Difference) -> Self {
        DifferenceModel { output_dim, dim, evaluate, difference, errors: ErrorSlot::new(), scalar: PhantomData }
    }

    /// The differences within the bounds, column by column.
    fn differences(&self, x: &[T], bounds: Option<[&[T]; 2]>, outputs: &OnceLock<Vec<T>>, matrix: &mut [T]) {
        let outputs = || outputs.get_or_init(|| self.outputs(x));
        let (m, epsilon) = (self.output_dim, T::epsilon_f64());
        let largest = kernels::max_abs(x);
        let largest = if largest > 0.0 { largest } else { 1.0 };
        let relative = if self.difference == Difference::Forward { epsilon.sqrt() } else { epsilon.cbrt() };
        let mut displaced = x.to_vec();
        let mut other = vec![T::zero(); m];
        for (j, column) in matrix.chunks_exact_mut(m).enumerate() {
            let size: f64 = x[j].abs().into();
            let size = if size == 0.0 { largest } else { size.max(epsilon.sqrt() * largest) };
            let step = T::from_f64(relative * size);
            let [lower, upper] = bounds.map_or([T::neg_infinity(), T::infinity()], |bounds| bounds.map(|b| b[j]));
            let (low, high) = (x[j] - step, x[j] + step);
            let central = self.difference == Difference::Central && low >= lower && high <= upper;
            // To the side with more room, where a bound is in the way.
            let to = if high <= upper {
                high
            } else if low >= lower {
                low
            } else if upper - x[j] >= x[j] - lower {
                upper
            } else {
                lower
            };
            displaced[j] = to;
            self.evaluate(&displaced, column);
            let from: &[T] = if central {
                displaced[j] = low;
                self.evaluate(&displaced, &mut other);
                &other
            } else {
                outputs()
            };
            let width: f64 = (to - if central { low } else { x[j] }).into();
            if width == 0.0 {
                column.fill(T::zero()); // the bounds leave no room: xⱼ is fixed
            } else {
                kernels::axpby(-1.0 / width, from, 1.0 / width, column);
            }
            displaced[j] = x[j];
        }
    }

    fn outputs(&self, x: &[T]) -> Vec<T> {
        let mut outputs = vec![T::zero(); self.output_dim];
        self.evaluate(x, &mut outputs);
        outputs
    }
}

impl<T: Scalar, F: WriteFn<T>> Model<T> for DifferenceModel<T, F> {
    fn dim(&self) -> usize {
        self.dim
    }
    fn output_dim(&self) -> usize {
        self.output_dim
    }
    fn evaluate(&self, x: &[T], out: &mut [T]) {
        self.evaluate.write(&self.errors, x, out);
    }
    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a {
        self.linearize_within(x, None)
    }
    fn linearize_within<'a>(&'a self, x: &'a [T], bounds: Option<[&'a [T]; 2]>) -> impl Linearization<T> + 'a {
        let write = move |outputs: &OnceLock<Vec<T>>, matrix: &mut [T]| self.differences(x, bounds, outputs, matrix);
        MatrixAt { model: self, x, write, cost: self.dim, outputs: OnceLock::new(), matrix: OnceLock::new() }
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.errors.take()
    }
}

/// A model at a point, with its Jacobian as a matrix once that was needed.
struct MatrixAt<'a, T, M, W> {
    model: &'a M,
    x: &'a [T],
    /// Writes the matrix.
    write: W,
    cost: usize,
    outputs: OnceLock<Vec<T>>,
    matrix: OnceLock<Vec<T>>,
}

impl<T: Scalar, M: Model<T>, W: Fn(&OnceLock<Vec<T>>, &mut [T])> MatrixAt<'_, T, M, W> {
    fn matrix(&self) -> &[T] {
        self.matrix.get_or_init(|| {
            let mut matrix = vec![T::zero(); self.rows() * self.columns()];
            (self.write)(&self.outputs, &mut matrix);
            matrix
        })
    }
}

impl<T: Scalar, M: Model<T>, W: Fn(&OnceLock<Vec<T>>, &mut [T])> LinearMap<T> for MatrixAt<'_, T, M, W> {
    fn rows(&self) -> usize {
        self.model.output_dim()
    }
    fn columns(&self) -> usize {
        self.model.dim()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        out.fill(T::zero());
        for (column, &v) in self.matrix().chunks_exact(self.rows()).zip(v) {
            kernels::axpy(v.into(), column, out);
        }
    }
    fn apply_transpose(&self, u: &[T], out: &mut [T]) {
        for (out, column) in out.iter_mut().zip(self.matrix().chunks_exact(self.rows())) {
            *out = T::from_f64(kernels::dot(column, u));
        }
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.model.take_error()
    }
    fn form(&self, matrix: &mut [T]) {
        match self.matrix.get() {
            Some(known) => matrix.copy_from_slice(known),
            None => (self.write)(&self.outputs, matrix),
        }
    }
    fn forming_cost(&self) -> usize {
        self.cost
    }
    fn column_norms_squared(&self, out: &mut [T]) -> bool {
        for (out, column) in out.iter_mut().zip(self.matrix().chunks_exact(self.rows())) {
            *out = T::from_f64(kernels::dot(column, column));
        }
        true
    }
}

impl<T: Scalar, M: Model<T>, W: Fn(&OnceLock<Vec<T>>, &mut [T])> Linearization<T> for MatrixAt<'_, T, M, W> {
    fn outputs(&self) -> &[T] {
        self.outputs.get_or_init(|| {
            let mut outputs = vec![T::zero(); self.rows()];
            self.model.evaluate(self.x, &mut outputs);
            outputs
        })
    }
}
