//! Steps of least squares where parameter blocks are eliminated: conjugate gradients on the
//! [reduced system](super::reduced_system), and what preconditions them.
//!
//! Hestenes & Stiefel (1952), stopped in the norm of the preconditioner: rᵀP⁻¹r estimates what the model would still
//! decrease by. P is
//!
//! - the Cholesky factor of the reduced matrix (by faer), formed explicitly, where that costs less than iterating. One
//!   product then confirms the solution. The factor is kept for other λ and for the next points as long as few products
//!   make up for its age; then the matrix is formed and factorised again;
//! - otherwise the blocks on the diagonal of the reduced matrix, Schur–Jacobi (Agarwal, Snavely, Seitz & Szeliski,
//!   "Bundle adjustment in the large" (ECCV 2010), section 4).

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{LltParams, LltRegularization, cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::cholesky::llt::solve::solve_in_place;
use faer::{MatMut, MatRef, Par, Spec};

use super::family::{Accuracy, InnerStop};
use super::gauss_newton::{GaussNewtonSteps, System};
use super::reduced_system::ReducedSystem;
use super::spectral::{Answer, Question};
use crate::base::{Scalar, kernels, parallel::over_parts, small};
use crate::operator::{BlockJacobian, BlockLayout, LinearMap};

/// Unknowns from which factorisations use all threads; below, one thread is faster.
const PARALLEL: usize = 512;

/// The Cholesky factor of an explicit reduced matrix.
struct Explicit {
    matrix: Vec<f64>,
    scratch: MemBuffer,
    usable: bool,
    /// Products that forming and factorising cost as much as.
    cost: usize,
}

impl Explicit {
    fn new(dim: usize, cost: usize) -> Self {
        let params: Spec<LltParams, f64> = Spec::default();
        Explicit {
            matrix: vec![0.0; dim * dim],
            scratch: MemBuffer::new(cholesky_in_place_scratch::<f64>(dim, parallel(dim), params)),
            usable: false,
            cost,
        }
    }

    fn factorise<T: Scalar>(&mut self, system: &ReducedSystem<T>, jacobian: &BlockJacobian<'_, T>) {
        let dim = jacobian.layout.reduced_dim();
        system.form(jacobian, &mut self.matrix);
        let result = cholesky_in_place(
            MatMut::from_column_major_slice_mut(&mut self.matrix, dim, dim),
            LltRegularization::default(),
            parallel(dim),
            MemStack::new(&mut self.scratch),
            Spec::default(),
        );
        self.usable = result.is_ok();
    }

    fn solve(&mut self, r: &mut [f64]) {
        let dim = r.len();
        solve_in_place(
            MatRef::from_column_major_slice(&self.matrix, dim, dim),
            MatMut::from_column_major_slice_mut(r, dim, 1),
            Par::Seq,
            MemStack::new(&mut self.scratch),
        );
    }
}

fn parallel(dim: usize) -> Par {
    if dim >= PARALLEL { Par::rayon(0) } else { Par::Seq }
}

/// Steps from the reduced system.
pub struct Schur<T> {
    system: ReducedSystem<T>,
    explicit: Option<Explicit>,
    /// Schur–Jacobi: where each block begins, and the Cholesky factors.
    bounds: Vec<usize>,
    blocks: Vec<f64>,
    blocks_at: f64,
    x: Vec<f64>,
    r: Vec<f64>,
    preconditioned: Vec<f64>,
    p: Vec<f64>,
    q: Vec<f64>,
    z: Vec<T>,
    step: Vec<T>,
    /// Products with the reduced matrix so far, and factorisations.
    pub iterations: usize,
    pub factorisations: usize,
}

/// Products that conjugate gradients with Schur–Jacobi are expected to take for a step.
const EXPECTED: f64 = 50.0;
/// Bytes that the explicit matrix may take.
const MOST_BYTES: usize = 1 << 30;

/// What the explicit matrix costs, in products; `None` if it would be too large.
fn explicit_cost(layout: &BlockLayout) -> Option<usize> {
    let dim = layout.reduced_dim();
    if dim.checked_mul(dim)?.checked_mul(8)? > MOST_BYTES {
        return None;
    }
    // A product passes the stored numbers twice, and waits for memory: 4 operations at about the same pace.
    let stored: usize = layout.chunks.iter().map(|c| c.kept + c.eliminated).sum();
    let product = 4.0 * stored as f64;
    // Each two residual blocks of a group add a matrix: rows · columns² operations.
    let mut pairs = 0.0;
    for g in 0..layout.groups.len() {
        let numbers: f64 = layout
            .blocks_of(g)
            .flat_map(|b| layout.touches(b..b + 1).iter().map(move |t| (b, t)))
            .map(|(b, t)| (layout.stored[b].rows as usize * layout.statement.size(t.parameter)) as f64)
            .sum();
        let widest = layout.most_columns as f64;
        let blocks = layout.blocks_of(g).len() as f64;
        pairs += 0.5 * numbers * (blocks + 1.0) * widest;
    }
    // Factorisation: dim³/3 operations, some 8 times as fast as those that wait for memory.
    let factor = (dim as f64).powi(3) / 24.0;
    Some(((2.0 * pairs + factor) / product).ceil() as usize)
}

impl<T: Scalar> Schur<T> {
    pub fn new(layout: &BlockLayout, implicit: bool) -> Self {
        let dim = layout.reduced_dim();
        let mut bounds = vec![0];
        for kept in layout.kept_bounds.windows(2) {
            bounds.push(bounds[bounds.len() - 1] + (kept[1] - kept[0]).pow(2));
        }
        let cost = explicit_cost(layout).filter(|&cost| !implicit && (cost as f64) < EXPECTED);
        let zeros = || vec![0.0; dim];
        let n = layout.statement.parameters[layout.statement.parameter_blocks()];
        Schur {
            system: ReducedSystem::new(layout),
            explicit: cost.map(|cost| Explicit::new(dim, cost.max(2))),
            blocks: vec![0.0; bounds[bounds.len() - 1]],
            blocks_at: f64::NAN,
            bounds,
            x: zeros(),
            r: zeros(),
            preconditioned: zeros(),
            p: zeros(),
            q: zeros(),
            z: vec![T::zero(); n],
            step: vec![T::zero(); n],
            iterations: 0,
            factorisations: 0,
        }
    }

    fn prepare_blocks(&mut self, jacobian: &BlockJacobian<'_, T>) {
        self.system.diagonal_blocks(jacobian, &self.bounds, &mut self.blocks);
        for (k, bounds) in jacobian.layout.kept_bounds.windows(2).enumerate() {
            small::cholesky(&mut self.blocks[self.bounds[k]..self.bounds[k + 1]], bounds[1] - bounds[0]);
        }
    }

    /// preconditioned ← P⁻¹r.
    fn precondition(&mut self, layout: &BlockLayout) {
        self.preconditioned.copy_from_slice(&self.r);
        if let Some(explicit) = self.explicit.as_mut().filter(|explicit| explicit.usable) {
            explicit.solve(&mut self.preconditioned);
            return;
        }
        let bounds = &layout.kept_bounds;
        over_parts(bounds, &mut self.preconditioned, 1024, &|kept, x| {
            let start = bounds[kept.start];
            for k in kept {
                let factor = &self.blocks[self.bounds[k]..self.bounds[k + 1]];
                small::cholesky_solve(factor, &mut x[bounds[k] - start..bounds[k + 1] - start]);
            }
        });
    }

    /// One solve; returns ½‖..‖ decrease etc.
    pub fn solve(&mut self, jacobian: &BlockJacobian<'_, T>, residual: &[T], scaling: &[T], damping: f64, energy: f64) {
        let layout = jacobian.layout;
        let t = std::time::Instant::now();
        self.system.eliminate(jacobian, scaling, damping);
        let t1 = t.elapsed();
        let base = self.system.gradient(jacobian, residual, &mut self.r);
        let t2 = t.elapsed();
        self.r.iter_mut().for_each(|r| *r = -*r);
        self.x.fill(0.0);
        let mut budget = usize::MAX;
        if let Some(explicit) = &mut self.explicit {
            if !explicit.usable {
                explicit.factorise(&self.system, jacobian);
                self.factorisations += 1;
            } else {
                budget = explicit.cost;
            }
        } else {
            self.prepare_blocks(jacobian);
        }
        let t3 = t.elapsed();
        let mut decrease = 0.0;
        let mut before = f64::INFINITY;
        self.p.fill(0.0);
        let mut its = 0;
        let mut first = 0.0;
        let mut last = 0.0;
        for i in 0..5000 {
            if its == budget {
                self.explicit.as_mut().unwrap().factorise(&self.system, jacobian);
                self.factorisations += 1;
                before = f64::INFINITY;
                budget = usize::MAX;
            }
            self.precondition(layout);
            let rho = kernels::dot(&self.r, &self.preconditioned);
            if i == 0 { first = rho; }
            last = rho;
            if !(rho > 2.0 * energy * decrease) || rho <= 1e-30 * first {
                break;
            }
            kernels::axpby(1.0, &self.preconditioned, rho / before, &mut self.p);
            before = rho;
            self.system.product(jacobian, &self.p, &mut self.q);
            its += 1;
            let curvature = kernels::dot(&self.p, &self.q);
            let alpha = rho / curvature;
            kernels::axpy(alpha, &self.p, &mut self.x);
            kernels::axpy(-alpha, &self.q, &mut self.r);
            decrease += 0.5 * alpha * rho;
        }
        self.iterations += its;
        let t4 = t.elapsed();
        self.system.complete(jacobian, residual, &self.x, &mut self.z);
        eprintln!("  its {its} base {base:.3e} reduced {decrease:.3e} left {last:.1e} first {first:.1e} elim {t1:?} grad {t2:?} fact {t3:?} cg {t4:?} all {:?}", t.elapsed());
        for ((to, &z), &s) in self.step.iter_mut().zip(&self.z).zip(scaling) {
            *to = z * s;
        }
    }

    pub fn step_of(&self) -> &[T] {
        &self.step
    }
    pub fn image_of(&self, layout: &BlockLayout, image: &mut [T]) {
        self.system.image(layout, image);
    }
}
