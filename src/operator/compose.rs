//! Operators from operators: M + N, M + λI, M + λD, αM.

use std::cell::RefCell;

use super::{Expansion, Objective, SymmetricOperator};
use crate::base::{CallbackError, Error, Result, Scalar, kernels};

/// M + λI. Costs one product with M. Of an objective, the objective whose metric is M + λI; its value and gradient stay.
#[derive(Clone, Debug)]
pub struct Shifted<M> {
    /// M, or an objective.
    pub operator: M,
    /// λ, of either sign.
    pub shift: f64,
}

impl<T: Scalar, M: SymmetricOperator<T>> SymmetricOperator<T> for Shifted<M> {
    fn dim(&self) -> usize {
        self.operator.dim()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.operator.apply(v, out);
        if self.shift != 0.0 {
            kernels::axpy(self.shift, v, out);
        }
    }
    fn apply_block(&self, v: &[T], out: &mut [T]) {
        self.operator.apply_block(v, out);
        if self.shift != 0.0 {
            kernels::axpy(self.shift, v, out);
        }
    }
    fn form(&self, matrix: &mut [T]) {
        self.operator.form(matrix);
        let (stride, shift) = (SymmetricOperator::<T>::dim(self) + 1, T::from_f64(self.shift));
        matrix.iter_mut().step_by(stride).for_each(|diagonal| *diagonal += shift);
    }
    fn forming_cost(&self) -> usize {
        self.operator.forming_cost()
    }
    fn precondition(&self, shift: f64, r: &mut [T]) -> bool {
        self.operator.precondition(shift + self.shift, r)
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.operator.take_error()
    }
}

impl<T: Scalar, E: Expansion<T>> Expansion<T> for Shifted<E> {
    fn value(&self) -> f64 {
        self.operator.value()
    }
    fn gradient(&self, out: &mut [T]) {
        self.operator.gradient(out);
    }
    fn value_and_divergence(&self, y: &[T]) -> Option<(f64, f64)> {
        self.operator.value_and_divergence(y)
    }
    fn structural_product(&self, damping: f64, v: &[T], out: &mut [T]) -> bool {
        let structural = self.operator.structural_product(damping, v, out);
        if structural {
            kernels::axpy(self.shift, v, out);
        }
        structural
    }
}

impl<T: Scalar, O: Objective<T>> Objective<T> for Shifted<O> {
    fn dim(&self) -> usize {
        self.operator.dim()
    }
    fn value(&self, x: &[T]) -> f64 {
        self.operator.value(x)
    }
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        Shifted { operator: self.operator.expand(x), shift: self.shift }
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.operator.take_error()
    }
}

/// M + λD with a diagonal D. Costs one product with M.
///
/// The diagonal must have the dimension of M: a product panics otherwise.
#[derive(Clone, Debug)]
pub struct ShiftedDiagonal<T, M> {
    /// M.
    pub operator: M,
    /// λ, of either sign.
    pub shift: f64,
    /// The diagonal of D.
    pub diagonal: Vec<T>,
}

impl<T: Scalar, M: SymmetricOperator<T>> SymmetricOperator<T> for ShiftedDiagonal<T, M> {
    fn dim(&self) -> usize {
        self.operator.dim()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        assert_eq!(self.diagonal.len(), self.operator.dim(), "the diagonal needs the operator's dimension");
        self.operator.apply(v, out);
        let shift = T::from_f64(self.shift);
        for ((out, &d), &v) in out.iter_mut().zip(&self.diagonal).zip(v) {
            *out += shift * d * v;
        }
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.operator.take_error()
    }
}

/// αM. Costs one product with M.
#[derive(Clone, Debug)]
pub struct Scaled<M> {
    /// M.
    pub operator: M,
    /// α.
    pub factor: f64,
}

impl<T: Scalar, M: SymmetricOperator<T>> SymmetricOperator<T> for Scaled<M> {
    fn dim(&self) -> usize {
        self.operator.dim()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.operator.apply(v, out);
        kernels::scale(self.factor, out);
    }
    fn apply_block(&self, v: &[T], out: &mut [T]) {
        self.operator.apply_block(v, out);
        kernels::scale(self.factor, out);
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.operator.take_error()
    }
}

/// M + N. Costs a product with each. Both must have the same dimension.
#[derive(Clone, Debug)]
pub struct Sum<T, M, N> {
    first: M,
    second: N,
    product: RefCell<Vec<T>>,
}

impl<T: Scalar, M: SymmetricOperator<T>, N: SymmetricOperator<T>> Sum<T, M, N> {
    /// M + N.
    ///
    /// # Errors
    /// If the dimensions differ.
    pub fn new(first: M, second: N) -> Result<Self> {
        let (expected, found) = (first.dim(), second.dim());
        if expected != found {
            return Err(Error::Length { argument: "second operator", expected, found });
        }
        Ok(Sum { first, second, product: RefCell::new(vec![T::zero(); expected]) })
    }
}

impl<T: Scalar, M: SymmetricOperator<T>, N: SymmetricOperator<T>> SymmetricOperator<T> for Sum<T, M, N> {
    fn dim(&self) -> usize {
        self.first.dim()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        let product = &mut *self.product.borrow_mut();
        self.first.apply(v, out);
        self.second.apply(v, product);
        kernels::axpy(1.0, product, out);
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.first.take_error().or_else(|| self.second.take_error())
    }
}

/// The diagonal matrix with the given diagonal.
#[derive(Clone, Debug)]
pub struct DiagonalOperator<T>(
    /// The diagonal.
    pub Vec<T>,
);

impl<T: Scalar> SymmetricOperator<T> for DiagonalOperator<T> {
    fn dim(&self) -> usize {
        self.0.len()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        for ((out, &d), &v) in out.iter_mut().zip(&self.0).zip(v) {
            *out = d * v;
        }
    }
}
