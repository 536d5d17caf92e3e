//! Beyond the memory of a space: conjugate gradients, whose result the space takes in.

use super::StepFamily;
use crate::base::{Scalar, kernels};
use crate::operator::{SymmetricOperator, forward};
use crate::step::conjugate_gradient::{ConjugateGradient, Truncation};
use crate::step::krylov::Growth;
use crate::step::spectral::{Solution, Subproblem};
use crate::step::units::binade;

/// The units of M in which conjugate gradients need no scaling: four of its squares stay in range.
const SAFE: std::ops::Range<f64> = 1e-70..1e70;

impl<T: Scalar> StepFamily<T> {
    /// Conjugate gradients from the residual of the last solution; their result becomes two more basis vectors. Remembered
    /// curvature does not precondition them: unlike the stored space they have no safeguard against a bad one.
    pub(super) fn go_on(
        &mut self,
        operator: &impl SymmetricOperator<T>,
        gradient: &[T],
        subproblem: Subproblem,
        solution: Solution,
        tolerance: f64,
        more: &dyn Fn() -> bool,
    ) -> Truncation {
        let dim = self.dim;
        let radius = if let Subproblem::Radius(radius) = subproblem { radius } else { f64::INFINITY };
        let cg = self.conjugate_gradient.get_or_insert_with(|| ConjugateGradient::new(dim));
        if self.krylov.len() > self.columns {
            // A further run: what the last one found lives on in the step that it led to.
            self.krylov.step(&mut cg.z);
            self.krylov.product(&mut cg.product);
            self.krylov.truncate(self.columns);
            self.krylov.adopt(&mut cg.z, &mut cg.product, gradient);
        }
        // In units in which r is of size 1 and so is M where its squares would leave the range of numbers.
        let unit = if SAFE.contains(&self.krylov.size) { 1.0 } else { binade(self.krylov.size) };
        let size = binade(kernels::norm(&self.residual));
        kernels::scale(size.recip(), &mut self.residual);
        let shift = solution.shift / unit;
        let made = std::cell::Cell::new(self.made);
        let scaled = InUnits { operator, made: &made, unit };
        let preconditioner = operator.preconditioner();
        let precondition = preconditioner.map(|p| move |r: &mut [T]| p.precondition(solution.shift, r));
        let radius = radius / size * unit;
        let truncation = cg.solve(&scaled, shift, &self.residual, tolerance / size, radius, precondition, more);
        self.made = made.get();
        if truncation == Truncation::NotFinite {
            return truncation;
        }
        // Mz = (r − r₀) − λz
        kernels::axpby(-1.0, &self.residual, 1.0, &mut cg.r);
        kernels::axpy(-shift, &cg.z, &mut cg.r);
        for (direction, product) in [(&mut cg.z, &mut cg.r), (&mut cg.p, &mut cg.product)] {
            // In f32 the recurrences are too inexact for a product: it is made anew.
            if T::epsilon_f64() == f64::EPSILON {
                if unit != 1.0 {
                    kernels::scale(unit, product);
                }
                self.krylov.adopt(direction, product, gradient);
            } else if !self.krylov.is_full() && more() {
                self.krylov.direction().copy_from_slice(direction);
                self.made += usize::from(self.krylov.grow(operator, gradient) != Growth::Dependent);
            }
        }
        truncation
    }
}

/// An operator in units, whose products are counted.
struct InUnits<'c, M> {
    operator: &'c M,
    made: &'c std::cell::Cell<usize>,
    unit: f64,
}

impl<T: Scalar, M: SymmetricOperator<T>> SymmetricOperator<T> for InUnits<'_, M> {
    forward!(self.operator; dim, take_error);
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.made.set(self.made.get() + 1);
        self.operator.apply(v, out);
        if self.unit != 1.0 {
            kernels::scale(self.unit.recip(), out);
        }
    }
}
