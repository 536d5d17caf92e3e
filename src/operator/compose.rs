//! Operators from operators: M + N, M + λI, M + λD, αM.

use std::cell::RefCell;

use super::{Expansion, Objective, Preconditioner, StructuralDamping, SymmetricOperator, forward};
use crate::base::{CallbackError, Result, Scalar, check_dimension, kernels, space};

/// M + λI. Costs one product with M. Of an objective, the objective whose metric is M + λI; its value and gradient stay.
#[derive(Clone, Debug)]
pub struct Shifted<M> {
    /// M, or an objective.
    pub operator: M,
    /// λ, of either sign.
    pub shift: f64,
}

impl<T: Scalar, M: SymmetricOperator<T>> SymmetricOperator<T> for Shifted<M> {
    forward!(self.operator; dim, abilities, learn_accuracy);
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
    fn preconditioner(&self) -> Option<&dyn Preconditioner<T>> {
        self.operator.preconditioner().map(|_| self as _)
    }
}

impl<T: Scalar, M: SymmetricOperator<T>> Preconditioner<T> for Shifted<M> {
    fn precondition(&self, shift: f64, r: &mut [T]) {
        if let Some(inner) = self.operator.preconditioner() {
            inner.precondition(shift + self.shift, r);
        }
    }
}

impl<T: Scalar, E: Expansion<T>> Expansion<T> for Shifted<E> {
    forward!(self.operator; value, gradient, value_and_divergence);
    fn structural_damping(&self) -> Option<&dyn StructuralDamping<T>> {
        self.operator.structural_damping().map(|_| self as _)
    }
}

impl<T: Scalar, E: Expansion<T>> StructuralDamping<T> for Shifted<E> {
    fn damped_product(&self, damping: f64, v: &[T], out: &mut [T]) {
        if let Some(inner) = self.operator.structural_damping() {
            inner.damped_product(damping, v, out);
            kernels::axpy(self.shift, v, out);
        }
    }
}

impl<T: Scalar, O: Objective<T>> Objective<T> for Shifted<O> {
    forward!(self.operator; dim, take_error, value_at);
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        Shifted { operator: self.operator.expand(x), shift: self.shift }
    }
}

/// M + λD with a diagonal D. Costs one product with M. A preconditioner of M serves with λ times the mean of D as a shift.
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
    forward!(self.operator; dim, abilities, learn_accuracy);
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.apply_block(v, out);
    }
    fn apply_block(&self, v: &[T], out: &mut [T]) {
        assert_eq!(self.diagonal.len(), self.operator.dim(), "the diagonal needs the operator's dimension");
        self.operator.apply_block(v, out);
        let shift = T::from_f64(self.shift);
        for ((out, &d), &v) in out.iter_mut().zip(self.diagonal.iter().cycle()).zip(v) {
            *out += shift * d * v;
        }
    }
    fn form(&self, matrix: &mut [T]) {
        self.operator.form(matrix);
        let shift = T::from_f64(self.shift);
        let entries = matrix.iter_mut().step_by(self.operator.dim() + 1);
        entries.zip(&self.diagonal).for_each(|(entry, &d)| *entry += shift * d);
    }
    fn preconditioner(&self) -> Option<&dyn Preconditioner<T>> {
        self.operator.preconditioner().map(|_| self as _)
    }
}

impl<T: Scalar, M: SymmetricOperator<T>> Preconditioner<T> for ShiftedDiagonal<T, M> {
    fn precondition(&self, shift: f64, r: &mut [T]) {
        let diagonal = &self.diagonal;
        let sum = kernels::sum_rows(diagonal.len(), 1, &|i| diagonal[i].into());
        let [sum, count] = space::add_up([sum, diagonal.len() as f64]);
        if let Some(inner) = self.operator.preconditioner() {
            inner.precondition(shift + self.shift * (sum / count), r);
        }
    }
}

/// αM. Costs one product with M. For α > 0 it has αP as a preconditioner, where M has P.
#[derive(Clone, Debug)]
pub struct Scaled<M> {
    /// M.
    pub operator: M,
    /// α.
    pub factor: f64,
}

impl<T: Scalar, M: SymmetricOperator<T>> SymmetricOperator<T> for Scaled<M> {
    forward!(self.operator; dim, abilities, learn_accuracy);
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.operator.apply(v, out);
        kernels::scale(self.factor, out);
    }
    fn apply_block(&self, v: &[T], out: &mut [T]) {
        self.operator.apply_block(v, out);
        kernels::scale(self.factor, out);
    }
    fn form(&self, matrix: &mut [T]) {
        self.operator.form(matrix);
        kernels::scale(self.factor, matrix);
    }
    fn preconditioner(&self) -> Option<&dyn Preconditioner<T>> {
        self.operator.preconditioner().filter(|_| self.factor > 0.0).map(|_| self as _)
    }
}

impl<T: Scalar, M: SymmetricOperator<T>> Preconditioner<T> for Scaled<M> {
    fn precondition(&self, shift: f64, r: &mut [T]) {
        if let Some(inner) = self.operator.preconditioner() {
            // αM + λI = α(M + (λ/α)I)
            inner.precondition(shift / self.factor, r);
            kernels::scale(self.factor.recip(), r);
        }
    }
}

/// M + N. Costs a product with each. Both must have the same dimension. A preconditioner of M, or else of N, serves for the
/// sum: let the larger be the first.
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
        let dim = first.dim();
        check_dimension("second operator", second.dim(), dim)?;
        Ok(Sum { first, second, product: RefCell::new(vec![T::zero(); dim]) })
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
    fn form(&self, matrix: &mut [T]) {
        self.first.form(matrix);
        let mut second = vec![T::zero(); matrix.len()];
        self.second.form(&mut second);
        kernels::axpy(1.0, &second, matrix);
    }
    fn forming_cost(&self) -> usize {
        self.first.forming_cost().max(self.second.forming_cost())
    }
    fn preconditioner(&self) -> Option<&dyn Preconditioner<T>> {
        self.first.preconditioner().or_else(|| self.second.preconditioner())
    }
    fn accuracy(&self) -> Option<f64> {
        self.first.accuracy().into_iter().chain(self.second.accuracy()).reduce(f64::max)
    }
    fn learn_accuracy(&self, accuracy: f64) {
        self.first.learn_accuracy(accuracy);
        self.second.learn_accuracy(accuracy);
    }
    fn evaluations(&self) -> usize {
        self.first.evaluations() + self.second.evaluations()
    }
    fn evaluations_ahead(&self) -> usize {
        self.first.evaluations_ahead() + self.second.evaluations_ahead()
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
    fn shared(&self) -> Option<&(dyn SymmetricOperator<T> + Sync)> {
        Some(self)
    }
}
