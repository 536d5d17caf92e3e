//! Operators from operators: M + N, M + λI, M + λD, αM.

use std::cell::RefCell;

use super::SymmetricOperator;
use crate::base::{CallbackError, Error, Result, Scalar, kernels};

/// M + λI. Costs one product with M.
#[derive(Clone, Debug)]
pub struct Shifted<M> {
    /// M.
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
        kernels::axpy(self.shift, v, out);
    }
    fn apply_block(&self, v: &[T], out: &mut [T]) {
        self.operator.apply_block(v, out);
        kernels::axpy(self.shift, v, out);
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
