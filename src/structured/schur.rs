//! Steps of least squares where parameter blocks are eliminated: conjugate gradients on the
//! [reduced system](super::reduced_system), and what preconditions them.
//!
//! The solver is that of Hestenes & Stiefel (1952), preconditioned by
//!
//! - the [Cholesky factor](super::explicit), sparse or dense, of the reduced matrix where forming it costs less than
//!   iterating. Its first product confirms the solution, and further ones make up for the condition number that forming
//!   it squared, and, where parameters are eliminated, for its age: it is kept for other λ and for the next points as long
//!   as that takes few. Then rᵀP⁻¹r is twice what the model can still decrease by, and ends the solve;
//! - otherwise the blocks on the diagonal of the reduced matrix, Schur–Jacobi (Agarwal, Snavely, Seitz & Szeliski,
//!   "Bundle adjustment in the large" (ECCV 2010), section 4). There rᵀP⁻¹r says little, and the solve ends when products
//!   stop paying (Nash & Sofer 1990).
//!
//! Where nothing is eliminated the reduced system is the whole one, and Schur–Jacobi its block diagonal. The products are
//! the same for any number of threads; so is all else but a dense factor from 512 unknowns on.

use super::explicit::ExplicitSchur;
use super::reduced_system::ReducedSystem;
use crate::base::{Scalar, kernels, parallel::over_parts, small};
use crate::operator::{BlockJacobian, BlockLayout, BlockValues, LinearMap};
use crate::step::{Accuracy, GaussNewtonSteps, InnerSolver, InnerStop, Solution, Subproblem, System};

/// The products with J and Jᵀ that a pass counts as.
const PASS: usize = 2;
/// Products for one solution.
const MOST_PRODUCTS: usize = 2000;
/// Schur–Jacobi is done when the last of i products added at most this share of the model's decrease, over i: Nash &
/// Sofer, Oper. Res. Lett. 9 (1990), with the number that Ceres takes.
const FORCING: f64 = 0.1;
/// Where no accuracy was asked for.
const STRICT: Accuracy = Accuracy::of_residual(1e-10);
/// Elements that one task preconditions at least.
const GRAIN: usize = 1024;

/// The state for one structure.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct State<T> {
    system: ReducedSystem<T>,
    explicit: Option<ExplicitSchur>,
    /// Schur–Jacobi: where each block begins, and the Cholesky factors.
    bounds: Vec<usize>,
    blocks: Vec<f64>,
    /// The reduced gradient, and the vectors of conjugate gradients.
    gradient: Vec<f64>,
    x: Vec<f64>,
    r: Vec<f64>,
    preconditioned: Vec<f64>,
    p: Vec<f64>,
    q: Vec<f64>,
    z: Vec<T>,
    step: Vec<T>,
    /// The Jacobian at this point where a robust loss weighs it.
    weighted: BlockValues<T>,
    /// Whether x is a solution for this point, if for another λ.
    warm: bool,
    /// The accuracy last asked for, which holds for other λ.
    accuracy: Option<Accuracy>,
}

/// Steps from the reduced system, whose state is made for the structure first met.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Schur<T> {
    inner: InnerSolver,
    state: Option<State<T>>,
}

impl<T: Scalar> Schur<T> {
    /// [`InnerSolver::Dense`] always forms the reduced matrix, [`InnerSolver::Krylov`] never.
    pub fn new(inner: InnerSolver) -> Self {
        Schur { inner, state: None }
    }

    /// The explicit reduced matrix, if it is formed.
    #[cfg(test)]
    pub fn explicit(&self) -> Option<&ExplicitSchur> {
        self.state.as_ref()?.explicit.as_ref()
    }
}

impl<T: Scalar> State<T> {
    fn new(layout: &BlockLayout, inner: InnerSolver) -> Self {
        let dim = layout.reduced_dim();
        let mut bounds = vec![0];
        for kept in layout.kept_bounds.windows(2) {
            bounds.push(bounds[bounds.len() - 1] + (kept[1] - kept[0]).pow(2));
        }
        let explicit = ExplicitSchur::choose(layout, inner);
        let zeros = || vec![0.0; dim];
        let of_x = || vec![T::zero(); layout.declaration.dim()];
        State {
            system: ReducedSystem::new(layout),
            explicit,
            blocks: vec![0.0; bounds[bounds.len() - 1]],
            bounds,
            gradient: zeros(),
            x: zeros(),
            r: zeros(),
            preconditioned: zeros(),
            p: zeros(),
            q: zeros(),
            z: of_x(),
            step: of_x(),
            weighted: BlockValues::default(),
            warm: false,
            accuracy: None,
        }
    }

    /// preconditioned ← P⁻¹r.
    fn precondition(&mut self, layout: &BlockLayout) {
        self.preconditioned.copy_from_slice(&self.r);
        if let Some(explicit) = self.explicit.as_mut().filter(|explicit| explicit.usable) {
            explicit.factor.solve(&mut self.preconditioned);
            return;
        }
        let bounds = &layout.kept_bounds;
        over_parts(bounds, &mut self.preconditioned, GRAIN, &|kept, x| {
            let start = bounds[kept.start];
            for k in kept {
                let factor = &self.blocks[self.bounds[k]..self.bounds[k + 1]];
                small::cholesky_solve(factor, &mut x[bounds[k] - start..bounds[k + 1] - start]);
            }
        });
    }

    /// Makes the preconditioner for the present elimination. Where the explicit matrix is not positive definite, the
    /// blocks on the diagonal take its place.
    fn factorise(&mut self, jacobian: BlockJacobian<'_, T>, counted: &dyn LinearMap<T>) {
        if let Some(explicit) = &mut self.explicit {
            counted.count_passes(explicit.cost);
            explicit.factorise(&self.system, jacobian);
            if explicit.usable {
                return;
            }
        }
        self.system.diagonal_blocks(jacobian, &self.bounds, &mut self.blocks);
        for (block, kept) in self.bounds.windows(2).zip(jacobian.layout.kept_bounds.windows(2)) {
            small::cholesky(&mut self.blocks[block[0]..block[1]], kept[1] - kept[0]);
        }
    }

    /// The products, of both kinds, that a factor costs.
    fn factor_cost(&self) -> usize {
        self.explicit.as_ref().map_or(0, |explicit| PASS * explicit.cost)
    }

    /// r ← −g − Mx and the model's decrease at x, which is that for another λ, or 0, also where no pass is allowed.
    fn start(&mut self, jacobian: BlockJacobian<'_, T>, counted: &dyn LinearMap<T>, allowed: bool) -> f64 {
        kernels::scale_into(-1.0, &self.gradient, &mut self.r);
        if std::mem::replace(&mut self.warm, true) && allowed {
            counted.count_passes(1);
            self.system.product(jacobian, &self.x, &mut self.q);
            kernels::axpy(-1.0, &self.q, &mut self.r);
            let decrease = 0.5 * (kernels::dot(&self.x, &self.r) - kernels::dot(&self.x, &self.gradient));
            if decrease > 0.0 {
                return decrease;
            }
            kernels::scale_into(-1.0, &self.gradient, &mut self.r);
        }
        self.x.fill(0.0);
        0.0
    }

    /// Solves the reduced system for the present elimination; ‖Sg‖ is `size`.
    fn solve(
        &mut self,
        jacobian: BlockJacobian<'_, T>,
        counted: &dyn LinearMap<T>,
        accuracy: &Accuracy,
        size: f64,
        more: &dyn Fn(usize) -> bool,
    ) -> InnerStop {
        let due = self.explicit.as_ref().is_none_or(ExplicitSchur::is_due);
        if !more(PASS) || due && !more(self.factor_cost() + PASS) {
            self.x.fill(0.0);
            return InnerStop::Limit;
        }
        if due {
            self.factorise(jacobian, counted);
        }
        let mut gain = f64::INFINITY;
        let mut decrease = self.start(jacobian, counted, more(PASS));
        let (mut products, mut made, mut rho_before) = (0, 0, f64::INFINITY);
        self.p.fill(0.0);
        let stop = loop {
            let rr = kernels::norm(&self.r);
            self.precondition(jacobian.layout);
            let rho = kernels::dot(&self.r, &self.preconditioned);
            let settled = if accuracy.energy <= 0.0 {
                rr <= (accuracy.residual * size).max(accuracy.enough)
            } else if self.explicit.as_ref().is_some_and(|explicit| explicit.usable) {
                rho <= 2.0 * accuracy.energy * decrease
            } else {
                products > 0 && products as f64 * gain <= FORCING * decrease
            };
            if settled {
                break InnerStop::Accurate;
            }
            if rho.is_nan() || rho <= 0.0 || made >= MOST_PRODUCTS {
                break InnerStop::Exhausted;
            }
            if !more(PASS) {
                break InnerStop::Limit;
            }
            if more(self.factor_cost() + PASS)
                && self.explicit.as_ref().is_some_and(|explicit| explicit.is_too_old(products))
            {
                // The factor is too old for this system.
                self.factorise(jacobian, counted);
                (products, rho_before) = (0, f64::INFINITY);
                continue;
            }
            kernels::axpby(1.0, &self.preconditioned, rho / rho_before, &mut self.p);
            rho_before = rho;
            counted.count_passes(1);
            (products, made) = (products + 1, made + 1);
            self.system.product(jacobian, &self.p, &mut self.q);
            let curvature = kernels::dot(&self.p, &self.q);
            if !curvature.is_finite() {
                break InnerStop::NotFinite;
            }
            if curvature <= 0.0 {
                break InnerStop::Exhausted;
            }
            let alpha = rho / curvature;
            kernels::axpy(alpha, &self.p, &mut self.x);
            kernels::axpy(-alpha, &self.q, &mut self.r);
            gain = 0.5 * alpha * rho;
            decrease += gain;
        };
        if let Some(explicit) = &mut self.explicit {
            explicit.used(products);
        }
        stop
    }
}

impl<T: Scalar> GaussNewtonSteps<T> for Schur<T> {
    fn entry_cost(&self, _: &dyn LinearMap<T>) -> usize {
        0
    }

    fn enter(&mut self, jacobian: &dyn LinearMap<T>, _: &[T], gradient: &mut [T]) -> bool {
        let Some(blocks) = jacobian.blocks() else { return false };
        let state = self.state.get_or_insert_with(|| State::new(blocks.layout, self.inner));
        state.warm = false;
        if let Some(weights) = blocks.weights {
            state.weighted.weigh(blocks, weights);
        }
        let blocks = weighted(blocks, &state.weighted);
        gradient.copy_from_slice(&blocks.values.gradient);
        // A NaN in J shows in the norms of its columns.
        kernels::all_finite(gradient) && kernels::all_finite(&blocks.values.norms)
    }

    fn column_norms(&mut self, jacobian: &dyn LinearMap<T>, norms: &mut [f64]) -> bool {
        let (Some(blocks), Some(state)) = (jacobian.blocks(), &self.state) else { return false };
        let values = weighted(blocks, &state.weighted).values;
        norms.iter_mut().zip(&values.norms).for_each(|(to, &square)| *to = square.into().sqrt());
        true
    }

    fn largest_singular_value(&self) -> f64 {
        0.0
    }

    fn solution(
        &mut self,
        system: &System<'_, T>,
        subproblem: Subproblem,
        accuracy: Option<Accuracy>,
    ) -> Option<(Solution, InnerStop)> {
        // The Schur complement is another one for every λ: there is no curve of steps to be had from one space.
        let Subproblem::Damped(damping) = subproblem else { return None };
        let state = self.state.as_mut()?;
        let values = std::mem::take(&mut state.weighted);
        let jacobian = weighted(system.jacobian.blocks()?, &values);
        let accuracy = *state.accuracy.insert(accuracy.or(state.accuracy).unwrap_or(STRICT));
        state.system.eliminate(jacobian, system.scaling, damping);
        state.system.gradient(jacobian, system.residual, &mut state.gradient);
        let size = scaled_norm(system.gradient, system.scaling);
        let stop = state.solve(jacobian, system.jacobian, &accuracy, size, system.more);
        let curvature = state.system.complete(jacobian, system.residual, &state.x, &mut state.z);
        state.weighted = values;
        let step = state.z.iter().zip(system.scaling).map(|(&z, &s)| z * s);
        state.step.iter_mut().zip(step).for_each(|(to, v)| *to = v);
        let solution = Solution {
            shift: damping,
            norm: kernels::norm(&state.z),
            slope: kernels::dot(&state.step, system.gradient),
            curvature,
            on_boundary: false,
            hard_case: false,
        };
        solution.norm.is_finite().then_some((solution, stop))
    }

    fn step(&self, step: &mut [T]) {
        if let Some(state) = &self.state {
            step.copy_from_slice(&state.step);
        }
    }

    fn numbers(&self) -> usize {
        self.state.as_ref().map_or(0, |state| {
            let explicit = state.explicit.as_ref().map_or(0, |explicit| explicit.factor.numbers());
            let vectors = 6 * state.x.len() + 2 * state.z.len();
            let weighted: usize = state.weighted.chunks.iter().map(|c| c.kept.len() + c.eliminated.len()).sum();
            state.system.numbers() + weighted + explicit + state.blocks.len() + vectors
        })
    }
}

/// The Jacobian as the loss weighs it, with the values that were made for it.
fn weighted<'a, T>(blocks: BlockJacobian<'a, T>, values: &'a BlockValues<T>) -> BlockJacobian<'a, T> {
    match blocks.weights {
        None => blocks,
        Some(_) => BlockJacobian { values, ..blocks },
    }
}

/// ‖Sg‖.
fn scaled_norm<T: Scalar>(gradient: &[T], scaling: &[T]) -> f64 {
    gradient.iter().zip(scaling).fold(0.0, |norm: f64, (&g, &s)| norm.hypot((g * s).into()))
}
