//! How a least-squares loop asks for steps: the one interface that the dense, the Golub–Kahan and the block-structured
//! path implement.
//!
//! At a point x with residuals r and Jacobian J (both already weighted where the loss is robust) every step is δ = Sz,
//!
//!   z(λ) = argmin ½‖JSz + r‖² + ½λ‖z‖²                [`Subproblem::Damped`]
//!   z(Δ) = argmin ½‖JSz + r‖²   s.t. ‖z‖ ≤ Δ          [`Subproblem::Radius`]
//!
//! with a diagonal scaling S that the loop chooses (Moré, *Numerical Analysis*, Dundee 1977, LNM 630, section 6). The
//! metric is SJᵀJS and its gradient SJᵀr, so [`Subproblem`] and [`Solution`] mean what they mean everywhere, in the
//! variables z. A component with Sⱼ = 0 is fixed: δⱼ = 0. This is how bounds hold variables.
//!
//! To implement it:
//!
//! 1. [`enter`](GaussNewtonSteps::enter) takes up a point. It forgets the one before, keeps what it needs of r, and
//!    returns g = Jᵀr (unscaled), which the loop needs before it can choose S. Golub–Kahan: one Jᵀu, and Sg/‖Sg‖ is the
//!    first right vector, so the product is not made again. Dense: J is formed.
//! 2. [`solution`](GaussNewtonSteps::solution) is asked any number of times at that point, always with the same S. The first
//!    call factorises, or starts the space. A later call may only make products if the subproblem gives an [`Accuracy`]
//!    and the solution falls short of it; without one it must make none, and the same subproblem gives the same solution.
//! 3. [`step`](GaussNewtonSteps::step) hands out δ for the last solution.
//!
//! Products are made through `system.jacobian`, which counts them; `(system.more)(1)` is asked before each. A product that
//! is not finite ends the space: the best solution without it is returned with [`InnerStop::NotFinite`], or `None` if
//! there is none at all. Nothing is allocated between two points.

use super::family::{Accuracy, InnerStop};
use super::spectral::{Solution, Subproblem};
use crate::base::Scalar;
use crate::operator::LinearMap;

/// The linear least-squares problem at a point.
pub struct System<'a, T> {
    /// J, weighted and counted.
    pub jacobian: &'a dyn LinearMap<T>,
    /// r, weighted.
    pub residual: &'a [T],
    /// g = Jᵀr.
    pub gradient: &'a [T],
    /// The diagonal of S, not negative; 0 holds a variable.
    pub scaling: &'a [T],
    /// Whether so many further products are allowed.
    pub more: &'a dyn Fn(usize) -> bool,
}

/// Steps for [`System`]s, one point after the other.
pub trait GaussNewtonSteps<T: Scalar> {
    /// The products, of both kinds, that [`enter`](Self::enter) makes at most.
    fn entry_cost(&self, jacobian: &dyn LinearMap<T>) -> usize;

    /// Takes up the point with this Jacobian and these residuals: gradient ← Jᵀr. False if that is not finite.
    fn enter(&mut self, jacobian: &dyn LinearMap<T>, residual: &[T], gradient: &mut [T]) -> bool;

    /// norms ← ‖Jⱼ‖, the norms of the columns, if they are known at no further product. Otherwise S is the identity.
    fn column_norms(&mut self, jacobian: &dyn LinearMap<T>, norms: &mut [f64]) -> bool;

    /// A lower bound on the largest singular value of J, from products made so far; 0 if nothing is known. Asked for
    /// where the norms of the columns are not known.
    fn largest_singular_value(&self) -> f64;

    /// Whether every solution at a point is exact and costs no product once it was entered. Then the loop goes on after
    /// the tolerance is reached, for the last digits. By default they are not.
    fn exact(&self) -> bool {
        false
    }

    /// Answers `subproblem` at the point last entered; without an accuracy, from what is there.
    fn solution(
        &mut self,
        system: &System<'_, T>,
        subproblem: Subproblem,
        accuracy: Option<Accuracy>,
    ) -> Option<(Solution, InnerStop)>;

    /// δ = Sz for the last solution.
    fn step(&self, step: &mut [T]);

    /// The factors of JS, where the whole of it is known; by default it is not.
    fn factors(&mut self) -> Option<&mut dyn Factors<T>> {
        None
    }

    /// Storage in numbers.
    fn numbers(&self) -> usize;
}

/// What factors of JS tell at no further product.
pub trait Factors<T> {
    /// Moves `step` by the second-order correction ½a, (SJᵀJS + λ) S⁻¹a = −SJᵀr″ with the λ of the last solution, that r″,
    /// the second derivative of r along δ, asks for, and returns ‖S⁻¹a‖.
    fn accelerate(&mut self, second: &[T], shift: f64, step: &mut [T]) -> f64;

    /// out ← Jδ for the last solution.
    fn image(&mut self, out: &mut [T]);

    /// The numerical rank of JS at this point; `None` if it cannot be factored.
    fn rank(&mut self, residual: &[T], scaling: &[T]) -> Option<usize>;

    /// out ← S times the k-th of the unit vectors that JS takes to 0, where [`rank`](Self::rank) is below their number;
    /// false if there is none.
    fn null_direction(&self, k: usize, out: &mut [T]) -> bool;
}
