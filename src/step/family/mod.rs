//! One space for all subproblems at a point: grown until the solution is accurate, on whichever path is right.
//!
//! The Krylov path grows [`KrylovSpace`] by preconditioned residuals; when its memory is full, truncated conjugate
//! gradients go on from there and hand their result back to the space. The dense path forms the matrix. Either way a
//! solution to another subproblem costs no product, unless it is not accurate enough: then the space grows further.

mod continuation;
mod solutions;

use super::completion::Trend;
use super::conjugate_gradient::{ConjugateGradient, Truncation};
use super::dense::{self, DenseModel};
pub use super::inner::{Accuracy, InnerSolver, InnerStop, Resources};
use super::krylov::{Growth, KrylovSpace};
use super::spectral::{Indefinite, Solution, Subproblem};
use crate::base::{Scalar, kernels, space};
use crate::operator::SymmetricOperator;

/// Bytes that the automatic choice may spend on the dense path: d ≤ 2048.
const DENSE_BYTES: f64 = (1_u32 << 27) as f64;
/// The share of d that products lately made must reach before a matrix that costs d of them is formed at once; and what is
/// left of that memory after each such point, which tells nothing of what the space would have taken.
const NEARLY: f64 = 0.9;
/// Unknowns below which it is not: there such products are made one by one as fast.
const FEW: usize = 8;
/// The share of its decrease that a model of an outer loop may leave undone where the last one was right to 1 %.
const NEARLY_EXACT: f64 = 1e-4;
/// The residual, relative to ‖g‖, that no estimate by a preconditioner excuses: it may be a bad one. (Dembo & Steihaug,
/// Math. Program. 26 (1983), take the same bound on their forcing terms.)
const LARGEST_RESIDUAL: f64 = 0.5;
/// Runs of conjugate gradients for one solution, each with the shift of the solution before.
const CONTINUATIONS: usize = 20;
/// A space of k dimensions grows by k/16 more between two looks at its solution.
const LOOK: usize = 16;
/// Columns that the space keeps free for conjugate gradients, where memory is shorter than d.
const SPARE: usize = 2;
/// A residual of so many units of roundoff of (‖M‖ + λ)‖δ‖ is as small as it can be …
const ROUNDINGS: f64 = 4.0;
/// … unless that is more than this share of ‖g‖: then M + λI is singular to rounding.
const MOST_ROUNDING: f64 = 1e-3;

/// The paths and their workspaces.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StepFamily<T> {
    dim: usize,
    /// d, which is more than `dim` where that is one rank's part.
    whole: usize,
    /// Columns the space may use before conjugate gradients take over.
    columns: usize,
    krylov: KrylovSpace<T>,
    dense: Option<DenseModel<T>>,
    conjugate_gradient: Option<ConjugateGradient<T>>,
    residual: Vec<T>,
    /// Whether the operator has a preconditioner of its own.
    preconditioned: bool,
    /// Whether the solutions come from `dense` at this point.
    on_dense: bool,
    /// Whether a space may be completed to the matrix.
    may_complete: bool,
    trend: Trend,
    /// Products that the last inner solves took, a moving average.
    expected: f64,
    made: usize,
    /// Products that may be made at this point.
    allowed: usize,
    /// Whether the space has all that g leads to: M maps it into itself, to rounding.
    invariant: bool,
}

impl<T: Scalar> StepFamily<T> {
    /// Room for `columns` basis vectors and their products.
    pub fn new(dim: usize, columns: usize) -> Self {
        let whole = space::whole(dim);
        let capacity = if columns >= whole { whole } else { (columns.max(1) + SPARE).min(whole) };
        StepFamily {
            dim,
            whole,
            columns: columns.clamp(1, whole),
            krylov: KrylovSpace::new(dim, capacity),
            dense: None,
            conjugate_gradient: None,
            residual: vec![T::zero(); dim],
            preconditioned: false,
            on_dense: false,
            may_complete: false,
            trend: Trend::new(capacity),
            expected: 8.0,
            made: 0,
            allowed: usize::MAX,
            invariant: false,
        }
    }

    /// Whether M maps the space into itself, as far as can be told: of what is orthogonal to it, g says nothing.
    pub fn is_invariant(&self) -> bool {
        self.invariant
    }

    /// Whether the space is all there is.
    pub fn is_whole(&self) -> bool {
        self.on_dense || self.krylov.len() == self.whole
    }

    /// Forgets the point: call when x or g has changed.
    pub fn clear(&mut self) {
        if self.krylov.len() > 0 {
            self.expected = 0.5 * (self.expected + self.made as f64);
        } else if self.on_dense && self.made >= self.dim {
            self.expected *= NEARLY;
        }
        self.krylov.clear();
        self.trend.clear();
        (self.on_dense, self.invariant) = (false, false);
        self.made = 0;
        self.allowed = usize::MAX;
    }

    /// Says how many products may be made at this point, those made included.
    pub fn allow(&mut self, products: usize) {
        self.allowed = products;
    }

    /// Whether anything is known of M at this point.
    pub fn is_empty(&self) -> bool {
        self.krylov.len() == 0 && !self.on_dense
    }

    /// Whether the operator turned out to have a preconditioner of its own.
    pub fn is_preconditioned(&self) -> bool {
        self.preconditioned
    }

    /// Whether the dense path is right for this operator.
    pub fn prefers_dense(&mut self, inner: InnerSolver, operator: &impl SymmetricOperator<T>) -> bool {
        self.may_complete =
            inner == InnerSolver::Automatic && dense::bytes(self.dim) <= DENSE_BYTES && !space::in_parts();
        match inner {
            _ if space::in_parts() => false,
            InnerSolver::Krylov => false,
            InnerSolver::Dense => true,
            InnerSolver::Automatic => {
                let cost = operator.forming_cost();
                let limit = if cost < self.dim { 1.0 } else { NEARLY };
                let many = cost < self.dim || self.dim >= FEW;
                self.may_complete && many && limit * cost as f64 <= self.expected
            }
        }
    }

    /// Forms the matrix, once for a point; false if it is not finite.
    pub fn form(&mut self, operator: &impl SymmetricOperator<T>, gradient: &[T]) -> bool {
        let dim = self.dim;
        self.made += operator.forming_cost();
        self.on_dense = self.dense.get_or_insert_with(|| DenseModel::new(dim)).form(operator, gradient);
        self.on_dense
    }

    /// Completes the space to the matrix and solves; `None` if that is not finite.
    fn complete(
        &mut self,
        operator: &impl SymmetricOperator<T>,
        gradient: &[T],
        subproblem: Subproblem,
    ) -> Option<Result<Solution, Indefinite>> {
        let dim = self.dim;
        self.made += dim - self.krylov.len();
        let dense = self.dense.get_or_insert_with(|| DenseModel::new(dim));
        self.on_dense = dense.complete(operator, &self.krylov, gradient);
        if !self.on_dense {
            return None;
        }
        let solution = dense.solution(subproblem);
        if let (Ok(solution), Subproblem::Damped(_)) = (solution, subproblem)
            && T::epsilon_f64() > f64::EPSILON
            && self.made < self.allowed
        {
            // In f32 the parts of the matrix that the space tells have lost digits.
            let (step, residual) = (self.krylov.direction(), &mut self.residual);
            dense.step(step);
            operator.apply(step, residual);
            self.made += 1;
            kernels::axpy(solution.shift, step, residual);
            kernels::axpy(1.0, gradient, residual);
            dense.correct(step, residual);
        }
        Some(solution)
    }

    /// Makes the space of one dimension. Its direction is P⁻¹g where the operator has a preconditioner, otherwise what
    /// `first` writes, otherwise g. False if no finite product could be had; a second is tried if `more` allows it.
    pub fn start(
        &mut self,
        operator: &impl SymmetricOperator<T>,
        gradient: &[T],
        first: impl FnOnce(&mut [T]) -> bool,
        more: &dyn Fn() -> bool,
    ) -> bool {
        self.krylov.direction().copy_from_slice(gradient);
        let preconditioner = operator.preconditioner();
        self.preconditioned = preconditioner.is_some();
        if let Some(preconditioner) = preconditioner {
            preconditioner.precondition(0.0, self.krylov.direction());
        }
        let known = self.preconditioned && kernels::norm(self.krylov.direction()) > 0.0;
        if !known && !first(self.krylov.direction()) {
            self.krylov.direction().copy_from_slice(gradient);
        }
        let mut growth = self.grow(operator, gradient);
        if growth == Growth::Dependent || growth == Growth::NotFinite && more() {
            self.krylov.direction().copy_from_slice(gradient);
            growth = self.grow(operator, gradient);
        }
        growth == Growth::Grown
    }

    fn grow(&mut self, operator: &impl SymmetricOperator<T>, gradient: &[T]) -> Growth {
        if self.krylov.is_full() {
            self.krylov.reserve(2 * self.krylov.len());
        }
        let growth = self.krylov.grow(operator, gradient);
        self.made += usize::from(growth != Growth::Dependent);
        growth
    }

    /// Enlarges the space beyond what g leads to, by `direction` and what M makes of it, while there is room and `more` says
    /// so, which is told the lowest and the largest Ritz value. Only curvatures are to be asked for after that.
    pub fn explore(&mut self, operator: &impl SymmetricOperator<T>, direction: &[T], more: impl Fn(f64, f64) -> bool) {
        if self.krylov.is_full() {
            self.clear();
        }
        self.krylov.direction().copy_from_slice(direction);
        let (mut lowest, mut largest) = (0.0, 0.0);
        while !self.krylov.is_full() && more(lowest, largest) && self.grow(operator, direction) == Growth::Grown {
            let theta = self.krylov.ritz_values();
            (lowest, largest) = (theta[0], theta[theta.len() - 1]);
            self.krylov.point_to_newest_product(0.0);
        }
    }

    /// Answers `subproblem`, enlarging the space until the solution is accurate. Expects [`start`](Self::start) or
    /// [`form`](Self::form) to have succeeded.
    pub fn refine(
        &mut self,
        operator: &impl SymmetricOperator<T>,
        gradient: &[T],
        subproblem: Subproblem,
        accuracy: Accuracy,
        mut resources: Resources<'_, T>,
    ) -> Result<(Solution, InnerStop), Indefinite> {
        if self.on_dense {
            return Ok((self.solution(subproblem)?, InnerStop::Dense));
        }
        let size = kernels::norm(gradient);
        // What a whole matrix costs pays for an accurate solution, or where M will be the same at the next point; then the space
        // may also grow to so many columns.
        let exact = accuracy.energy <= NEARLY_EXACT;
        let columns = if self.may_complete && exact { self.dim } else { self.columns };
        let mut shift = 0.0;
        let mut next_look = 0;
        let mut continuations = 0;
        loop {
            // A solution costs O(k³): large spaces grow by several dimensions between two looks.
            let k = self.krylov.len();
            if k < next_look && k < columns {
                if !(resources.more)() {
                    next_look = k;
                    continue;
                }
                self.krylov.point_to_newest_product(shift);
                precondition(operator, &mut resources, shift, self.krylov.direction());
                if self.grow(operator, gradient) != Growth::Grown {
                    next_look = k;
                }
                continue;
            }
            next_look = k + 1 + k / LOOK;
            let solution = self.krylov.solution(subproblem)?;
            shift = solution.shift;
            if matches!(subproblem, Subproblem::SaddleFree(_))
                && self.krylov.lowest_ritz_value().is_some_and(|low| low < 0.0)
            {
                return Ok((solution, InnerStop::Accurate));
            }
            let alpha = match subproblem {
                // gᵀδ = −α gᵀM⁻¹g and δᵀMδ = α² gᵀM⁻¹g
                Subproblem::MetricBall(_) | Subproblem::SaddleFree(_) => solution.curvature / -solution.slope,
                _ => 1.0,
            };
            let alpha = if alpha > 0.0 { alpha } else { 1.0 };
            if self.krylov.len() == self.whole {
                return Ok((solution, InnerStop::Exhausted));
            }
            self.krylov.write_residual(alpha, solution.shift, gradient);
            self.residual.copy_from_slice(self.krylov.direction());
            let preconditioned = precondition(operator, &mut resources, solution.shift, self.krylov.direction());
            // ‖r‖ and rᵀP⁻¹r, with ‖P⁻¹r‖, which is asked for next: one reduction.
            let (residual, left) = if preconditioned {
                self.krylov.compare(&self.residual)
            } else {
                (self.krylov.norm_of_direction(), f64::NAN)
            };
            // Without a gradient the step is along the lowest eigenvector, and λδ is the scale.
            let size = if size > 0.0 { size } else { solution.shift * solution.norm };
            let rounding =
                ROUNDINGS * T::epsilon_f64() * (size + (self.krylov.size + solution.shift) * solution.norm / alpha);
            let rounding = rounding.min(MOST_ROUNDING * size);
            if residual <= rounding {
                self.invariant = true;
                return Ok((solution, InnerStop::Exhausted));
            }
            let excess = if preconditioned && accuracy.energy > 0.0 {
                (left / (2.0 * accuracy.energy * solution.decrease())).max(residual / (LARGEST_RESIDUAL * size))
            } else {
                residual / (accuracy.residual * size)
            };
            let accurate = excess <= 1.0;
            let close = continuations > 0 && residual <= accuracy.residual * size;
            if accurate || close || residual <= accuracy.enough {
                return Ok((solution, InnerStop::Accurate));
            }
            if !(resources.more)() {
                return Ok((solution, InnerStop::Limit));
            }
            if self.may_complete && self.trend.is_hopeless(self.made, excess, self.dim) {
                let (known, missing) = (self.krylov.len(), self.dim - self.krylov.len());
                let pays = exact || known >= columns && missing <= known;
                if pays && missing <= self.allowed.saturating_sub(self.made) {
                    return match self.complete(operator, gradient, subproblem) {
                        Some(solution) => Ok((solution?, InnerStop::Dense)),
                        None => Ok((solution, InnerStop::NotFinite)),
                    };
                }
            }
            if self.krylov.len() >= columns {
                if continuations == CONTINUATIONS {
                    return Ok((solution, InnerStop::Limit));
                }
                continuations += 1;
                let tolerance = (0.5 * accuracy.residual * size).max(accuracy.enough).max(0.5 * rounding);
                let stop = match self.go_on(operator, gradient, subproblem, solution, tolerance, resources.more) {
                    Truncation::Accurate => continue,
                    Truncation::NegativeCurvature | Truncation::Outside if !accuracy.truncated => continue,
                    Truncation::NegativeCurvature | Truncation::Outside => InnerStop::Accurate,
                    Truncation::Exhausted => InnerStop::Limit,
                    Truncation::NotFinite => InnerStop::NotFinite,
                };
                return Ok((self.krylov.solution(subproblem)?, stop));
            }
            let mut growth = self.grow(operator, gradient);
            if growth == Growth::Dependent {
                // The preconditioned direction brings nothing; the residual itself is orthogonal to the space.
                self.krylov.direction().copy_from_slice(&self.residual);
                growth = self.grow(operator, gradient);
            }
            match growth {
                Growth::Grown => {}
                Growth::NotFinite => return Ok((solution, InnerStop::NotFinite)),
                Growth::Dependent => {
                    self.invariant = true;
                    return Ok((solution, InnerStop::Exhausted));
                }
            }
        }
    }
}

/// r ← P⁻¹r with the operator's own preconditioner, or else with the remembered one; false if there is neither.
fn precondition<T: Scalar>(
    operator: &impl SymmetricOperator<T>,
    resources: &mut Resources<'_, T>,
    shift: f64,
    r: &mut [T],
) -> bool {
    if let Some(preconditioner) = operator.preconditioner() {
        preconditioner.precondition(shift, r);
        return true;
    }
    match &mut resources.remembered {
        Some(model) if !model.is_empty() => {
            model.precondition(shift, r);
            true
        }
        _ => false,
    }
}
