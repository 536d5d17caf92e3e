//! Steps in units of the unknowns' own, y = D⁻¹x: a matrix DMD and a gradient Dg, from which −M⁻¹g is D times −(DMD)⁻¹Dg.
//!
//! A ball in x, and a space of gradients, know one unit. Where unknowns have very different ones (a mass in kilograms
//! beside a rate per nanosecond) the radius that one allows holds the others for ever. D is that of
//! [`own_units`](super::own_units), where a look there has led down from a point that seemed to be the end.

use std::borrow::Cow;
use std::cell::RefCell;

use crate::base::{Scalar, kernels};
use crate::operator::{Expansion, Preconditioner, SymmetricOperator, forward};

/// D and D⁻¹; empty where the unknowns' own units are not known.
#[derive(Clone, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct UnitsOfSteps<T> {
    units: Vec<T>,
    inverse: Vec<T>,
}

impl<T: Scalar> UnitsOfSteps<T> {
    /// `None` where a unit, or its inverse, is not in the range of numbers.
    pub fn new(units: Vec<T>) -> Option<Self> {
        let inverse: Vec<T> = units.iter().map(|&d| T::from_f64(1.0 / d.into())).collect();
        let normal = |v: &[T]| v.iter().all(|v| v.is_normal());
        (normal(&units) && normal(&inverse)).then_some(UnitsOfSteps { units, inverse })
    }

    pub fn are_known(&self) -> bool {
        !self.units.is_empty()
    }

    /// v ← Dv, of a gradient or from a step in these units.
    pub fn apply(&self, v: &mut [T]) {
        if self.are_known() {
            kernels::multiply(&self.units, v);
        }
    }

    /// Dv.
    pub fn of_gradient<'v>(&self, v: &'v [T]) -> Cow<'v, [T]> {
        product(&self.units, v)
    }

    /// D⁻¹v.
    pub fn of_step<'v>(&self, v: &'v [T]) -> Cow<'v, [T]> {
        product(&self.inverse, v)
    }

    pub fn vectors(&self) -> usize {
        if self.are_known() { 2 } else { 0 }
    }
}

fn product<'v, T: Scalar>(diagonal: &[T], v: &'v [T]) -> Cow<'v, [T]> {
    let mut v = Cow::Borrowed(v);
    if !diagonal.is_empty() {
        kernels::multiply(diagonal, v.to_mut());
    }
    v
}

/// DMD.
pub(super) struct InUnits<'a, T, M> {
    operator: &'a M,
    units: &'a UnitsOfSteps<T>,
    scaled: RefCell<Vec<T>>,
}

impl<'a, T: Scalar, M> InUnits<'a, T, M> {
    pub fn new(operator: &'a M, units: &'a UnitsOfSteps<T>) -> Self {
        InUnits { operator, units, scaled: RefCell::new(units.units.clone()) }
    }
}

impl<T: Scalar, M: SymmetricOperator<T>> SymmetricOperator<T> for InUnits<'_, T, M> {
    forward!(self.operator; dim, forming_cost, accuracy, learn_accuracy, evaluations, evaluations_ahead, take_error);

    fn apply(&self, v: &[T], out: &mut [T]) {
        if !self.units.are_known() {
            return self.operator.apply(v, out);
        }
        let mut scaled = self.scaled.borrow_mut();
        scaled.copy_from_slice(v);
        self.units.apply(&mut scaled);
        self.operator.apply(&scaled, out);
        self.units.apply(out);
    }

    fn apply_block(&self, v: &[T], out: &mut [T]) {
        if !self.units.are_known() {
            return self.operator.apply_block(v, out);
        }
        let dim = self.dim();
        v.chunks_exact(dim).zip(out.chunks_exact_mut(dim)).for_each(|(v, out)| self.apply(v, out));
    }

    fn form(&self, matrix: &mut [T]) {
        self.operator.form(matrix);
        for (column, &unit) in matrix.chunks_exact_mut(self.dim()).zip(&self.units.units) {
            self.units.apply(column);
            kernels::scale(unit.into(), column);
        }
    }

    /// Such an operator is measured in its own units.
    fn preconditioner(&self) -> Option<&dyn Preconditioner<T>> {
        self.operator.preconditioner().filter(|_| !self.units.are_known())
    }
}

impl<T: Scalar, M: Expansion<T>> Expansion<T> for InUnits<'_, T, M> {
    forward!(self.operator; value, gradient, value_and_divergence);
}
