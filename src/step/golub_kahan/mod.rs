//! One Golub–Kahan space for all subproblems at a point of nonlinear least squares.
//!
//! With A = JS, A Vₖ = Uₖ₊₁Bₖ and β₁u₁ = −r, the step in the space of dimension k is δ = SVₖy with
//!
//!   y(λ) = argmin ‖Bₖy − β₁e₁‖² + λ‖y‖²,   ‖Aᵀ(Az + r) + λz‖ = αₖ₊₁βₖ₊₁|yₖ|,   z = Vₖy
//!
//! (Paige & Saunders, ACM Trans. Math. Softw. 8 (1982), sections 3 and 5), for any λ, and for the λ that fits any Δ
//! ([`Bidiagonal`]). Damping and radius are measured in ‖z‖ = ‖S⁻¹δ‖, so that one space serves all of them: Krylov spaces
//! are invariant to shifts by the identity alone. JᵀJ is never formed or projected, so its condition number, the square
//! of that of J, does not come in.
//!
//! The space grows until the solution is accurate. Only V is stored and reorthogonalised, n numbers for each dimension;
//! see [`Bidiagonalization`] for why no left vector is needed. When the memory is full, LSMR goes on from there with
//! short recurrences, at the λ of the solution that was not accurate. The norm of its iterates only grows, as in MINRES on
//! a positive definite system (Fong & Saunders, SQU J. Sci. 17 (2012)): an interior step that leaves the ball is cut at
//! the boundary, as Steihaug (SIAM J. Numer. Anal. 20 (1983)) and Toint do; where λ > 0, it is raised until ‖z‖ ≤ 1.1Δ
//! (the tolerance of Moré, LNM 630 (1978), section 5), and z is shortened to Δ. The better of that step and the one in
//! the space is the solution.

mod beyond;
#[cfg(test)]
mod test_problem;
#[cfg(test)]
mod tests;

use beyond::{Beyond, Space};

use crate::base::{Scalar, columns::Columns, kernels, space};
use crate::operator::LinearMap;
use crate::step::bidiagonal::Bidiagonal;
use crate::step::bidiagonalization::{Advance, Bidiagonalization};
use crate::step::family::{Accuracy, InnerStop};
use crate::step::gauss_newton::{GaussNewtonSteps, System};
use crate::step::spectral::{Solution, Subproblem};

/// Products made on entering a point, at most: the norms of the columns, or a J that is large along its gradient, save some.
pub const ENTRY_COST: usize = 3;
/// A space of at most so many dimensions in all is filled, for few products: where J is ill-conditioned the last ones
/// may gain the most, and no residual tells before.
const FILLED: usize = 32;
/// ‖Jᵀr‖/(‖J‖‖r‖) below which r is looked at along another direction than the gradient's for a bound on ‖J‖.
const UNLIKE: f64 = 1e-6;

/// Where the space stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum State {
    /// A point was entered; there is no direction yet.
    Entered,
    /// The next direction is known.
    Ready,
    /// The last column is there, the next direction is not.
    Half,
    /// The space is invariant: nothing more can be gained.
    Invariant,
    /// A product was not finite.
    Broken,
}

/// The space, and the solution last asked for. Storage: 2m + (5 + capacity)n numbers, one vector of n more where the norms of
/// J's columns are not known; LSMR takes 2m + 9n more.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GolubKahan<T> {
    capacity: usize,
    /// min(m, n).
    whole: usize,
    /// m + n, iterations of LSMR at most.
    most: usize,
    /// Vₖ, by columns.
    basis: Vec<T>,
    process: Bidiagonalization<T>,
    matrix: Bidiagonal,
    state: State,
    /// ‖Sg‖.
    size: f64,
    /// The Frobenius norm of B.
    frobenius: f64,
    /// S at this point.
    scaling: Vec<T>,
    /// Workspace.
    work: Vec<T>,
    /// A lower bound on ‖J‖ at this point, where the norms of its columns are not known.
    largest: f64,
    /// A direction along which J was large at the point before, and how large.
    large: Option<(Vec<T>, f64)>,
    beyond: Option<Box<Beyond<T>>>,
    /// Whether the last solution is LSMR's.
    is_beyond: bool,
}

impl<T: Scalar> GolubKahan<T> {
    /// Room for m residuals, n parameters, and `capacity` right vectors.
    pub fn new(m: usize, n: usize, capacity: usize) -> Self {
        let (rows, columns) = (space::of_residuals(|| space::whole(m)), space::whole(n));
        let whole = rows.min(columns).max(1);
        let capacity = capacity.clamp(1, whole);
        GolubKahan {
            capacity,
            whole,
            most: rows + columns,
            basis: Vec::with_capacity(n * capacity),
            process: Bidiagonalization::new(vec![T::zero(); m], n, capacity),
            matrix: Bidiagonal::new(capacity),
            state: State::Entered,
            size: 0.0,
            frobenius: 0.0,
            scaling: vec![T::one(); n],
            work: vec![T::zero(); n],
            largest: 0.0,
            large: None,
            beyond: None,
            is_beyond: false,
        }
    }

    fn n(&self) -> usize {
        self.work.len()
    }

    fn columns(&self) -> Columns<'_, T> {
        Columns::new(self.n(), &self.basis)
    }

    /// The largest and the lowest singular value of JS in the space, both estimates from inside; `None` for an empty
    /// space.
    pub fn singular_values(&self) -> Option<(f64, f64)> {
        let last = self.matrix.len().checked_sub(1)?;
        Some((self.matrix.singular_value(last), self.matrix.singular_value(0)))
    }

    /// How far the products at this point are from those of a matrix and its transpose, relative to its size.
    pub fn mismatch(&self) -> f64 {
        let further = self.beyond.as_ref().map_or(0.0, |beyond| beyond.process.mismatch);
        self.process.mismatch.max(further)
    }

    /// Products made after Jᵀr, over all points.
    pub fn products_made(&self) -> usize {
        self.process.made + self.beyond.as_ref().map_or(0, |beyond| beyond.process.made)
    }

    /// Keeps the basis vector along which JS is the largest; within a factor of √3 of ‖JS‖ in the space.
    fn remember_large(&mut self) {
        let size = |j: usize| self.matrix.column(j).0.hypot(self.matrix.column(j).1);
        if self.largest > 0.0
            && let Some(j) = (0..self.matrix.len()).max_by(|&i, &j| size(i).total_cmp(&size(j)))
        {
            let size = size(j);
            let Self { basis, work, large, .. } = self;
            let (vector, of) = large.get_or_insert_with(|| (vec![T::zero(); work.len()], 0.0));
            vector.copy_from_slice(Columns::new(work.len(), basis).column(j));
            *of = size;
        }
    }

    /// Where the norms of J's columns are not known: a lower bound on ‖J‖, from its product with the gradient, which will
    /// be the first of the space; and where J was much larger along another direction at the point before, along that.
    /// False if a product is not finite.
    fn bound(&mut self, jacobian: &dyn LinearMap<T>, gradient: &[T]) -> bool {
        self.largest = 0.0;
        if jacobian.column_norms(&mut self.work) || kernels::norm(gradient) == 0.0 {
            return true;
        }
        if let Some((vector, size)) = &self.large
            && kernels::norm(gradient) < UNLIKE * size * self.matrix.first()
        {
            let image = self.process.image(jacobian, None, vector);
            self.largest = space::of_residuals(|| kernels::norm(image));
        }
        self.process.start_from_gradient(gradient, None);
        let ahead = self.process.look_ahead(jacobian, None);
        let finite = self.largest.is_finite() && ahead.is_finite();
        self.largest = self.largest.max(ahead);
        finite
    }

    /// Makes the next product: with J for one more dimension, with Jᵀ for the direction after it.
    fn grow(&mut self, system: &System<'_, T>) -> Result<(), InnerStop> {
        let Self { process, basis, matrix, scaling, .. } = self;
        let scaling = Some(&scaling[..]);
        match self.state {
            State::Entered | State::Ready => {
                if !(system.more)(1) {
                    return Err(InnerStop::Limit);
                }
                basis.extend_from_slice(&process.v.numbers);
                let alpha = process.alpha;
                let advance = process.expand(system.jacobian, scaling);
                if advance == Advance::NotFinite {
                    basis.truncate(matrix.len() * process.v.numbers.len());
                    self.state = State::Broken;
                    return Err(InnerStop::NotFinite);
                }
                self.frobenius = self.frobenius.hypot(alpha).hypot(process.beta);
                matrix.push(alpha, process.beta);
                self.state = if advance == Advance::Advanced { State::Half } else { State::Invariant };
            }
            State::Half => {
                if !(system.more)(1) {
                    return Err(InnerStop::Limit);
                }
                let n = process.v.numbers.len();
                self.state = match process.contract(system.jacobian, scaling, Columns::new(n, basis)) {
                    Advance::Advanced => {
                        process.v.normalise();
                        State::Ready
                    }
                    Advance::Invariant => State::Invariant,
                    Advance::NotFinite => State::Broken,
                };
            }
            State::Invariant => return Err(InnerStop::Exhausted),
            State::Broken => return Err(InnerStop::NotFinite),
        }
        Ok(())
    }

    /// The solution in the space as it is.
    fn solution_here(&mut self, subproblem: Subproblem) -> Option<Solution> {
        if self.matrix.len() == 0 {
            return None;
        }
        match subproblem {
            Subproblem::Damped(damping) => Some(self.matrix.damped(damping)),
            Subproblem::Radius(radius) => Some(self.matrix.radius(radius)),
            Subproblem::Cubic(_) | Subproblem::MetricBall(_) | Subproblem::SaddleFree(_) => None,
        }
    }

    /// What is left of the normal equations for the last solution in the space; what rounding alone leaves counts as 0.
    fn residual(&self) -> f64 {
        match self.state {
            State::Invariant => 0.0,
            State::Half | State::Broken => f64::INFINITY,
            State::Entered | State::Ready => {
                let (norm, left) = (self.frobenius, self.matrix.left());
                let residual = self.matrix.residual(self.process.alpha);
                if residual <= T::epsilon_f64() * norm * left || left <= T::epsilon_f64() * self.matrix.first() {
                    0.0
                } else {
                    residual
                }
            }
        }
    }

    /// LSMR from where the space ends, until ‖Aᵀ(Az + r) + λz‖ ≤ `tolerance`.
    fn go_on(
        &mut self,
        system: &System<'_, T>,
        subproblem: Subproblem,
        here: Solution,
        tolerance: f64,
        truncated: bool,
    ) -> InnerStop {
        let (m, n) = (system.residual.len(), self.n());
        let beyond = self.beyond.get_or_insert_with(|| Box::new(Beyond::new(m, n)));
        let space = Space {
            process: &self.process,
            basis: Columns::new(n, &self.basis),
            matrix: &mut self.matrix,
            scaling: &self.scaling,
            work: &mut self.work,
            most: self.most,
        };
        beyond.go_on(space, system, subproblem, here, tolerance, truncated)
    }
}

impl<T: Scalar> GaussNewtonSteps<T> for GolubKahan<T> {
    fn entry_cost(&self, _: &dyn LinearMap<T>) -> usize {
        ENTRY_COST
    }

    fn enter(&mut self, jacobian: &dyn LinearMap<T>, residual: &[T], gradient: &mut [T]) -> bool {
        self.remember_large();
        self.basis.clear();
        self.state = State::Entered;
        self.is_beyond = false;
        if let Some(beyond) = &mut self.beyond {
            beyond.solved = None;
        }
        let beta = self.process.start(residual);
        self.matrix.clear(beta);
        self.frobenius = 0.0;
        jacobian.apply_transpose(residual, gradient);
        beta.is_finite() && kernels::norm(gradient).is_finite() && self.bound(jacobian, gradient)
    }

    fn column_norms(&mut self, jacobian: &dyn LinearMap<T>, norms: &mut [f64]) -> bool {
        let known = jacobian.column_norms(&mut self.work);
        if known {
            norms.iter_mut().zip(&self.work).for_each(|(norm, &of)| *norm = of.into());
        }
        known
    }

    fn solution(
        &mut self,
        system: &System<'_, T>,
        subproblem: Subproblem,
        accuracy: Option<Accuracy>,
    ) -> Option<(Solution, InnerStop)> {
        self.is_beyond = false;
        if let Some((solved, solution, stop)) = self.beyond.as_ref().and_then(|beyond| beyond.solved)
            && solved == subproblem
        {
            self.is_beyond = true;
            return Some((solution, stop));
        }
        if self.state == State::Entered && self.matrix.len() == 0 {
            self.scaling.copy_from_slice(system.scaling);
            // Where J was looked at along −g, that is the first direction, unless S changes it.
            if self.largest == 0.0 || self.scaling.iter().any(|&s| s != T::one()) {
                self.process.start_from_gradient(system.gradient, Some(system.scaling));
            }
            self.size = self.process.alpha * self.matrix.first();
            // Without a gradient there is nothing to gain.
            if !(self.size > 0.0 && self.size.is_finite()) {
                self.state = State::Invariant;
                return Some((Solution::default(), InnerStop::Exhausted));
            }
        }
        loop {
            let solution = self.solution_here(subproblem);
            let Some(accuracy) = accuracy else {
                return solution.map(|solution| (solution, InnerStop::Accurate));
            };
            let tolerance = (accuracy.residual * self.size).max(accuracy.enough);
            if let Some(solution) = solution {
                let residual = self.residual();
                if residual == 0.0 {
                    return Some((solution, InnerStop::Exhausted));
                }
                let filling = self.capacity == self.whole && self.whole <= FILLED;
                if residual <= tolerance && !filling {
                    return Some((solution, InnerStop::Accurate));
                }
                if self.matrix.len() == self.capacity && self.state == State::Ready {
                    let stop = self.go_on(system, subproblem, solution, tolerance, accuracy.truncated);
                    let found = self.beyond.as_ref().and_then(|beyond| beyond.solved);
                    self.is_beyond = found.is_some_and(|(solved, ..)| solved == subproblem);
                    return Some(match found {
                        Some((_, solution, stop)) if self.is_beyond => (solution, stop),
                        _ => (self.solution_here(subproblem)?, stop),
                    });
                }
            }
            if let Err(stop) = self.grow(system) {
                return solution.map(|solution| (solution, stop));
            }
        }
    }

    fn step(&self, step: &mut [T]) {
        match &self.beyond {
            Some(beyond) if self.is_beyond => step.copy_from_slice(&beyond.lsmr.x),
            _ => self.columns().times(self.matrix.solution(), step),
        }
        kernels::multiply(&self.scaling, step);
    }

    fn largest_singular_value(&self) -> f64 {
        self.largest
    }

    fn numbers(&self) -> usize {
        let beyond = self.beyond.as_ref().map_or(0, |beyond| beyond.process.numbers() + beyond.lsmr.numbers());
        let large = self.large.as_ref().map_or(0, |(vector, _)| vector.len());
        self.process.numbers() + self.basis.capacity() + 2 * self.n() + large + beyond
    }
}
