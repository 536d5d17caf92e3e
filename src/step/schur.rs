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

use super::deflation::Deflation;
use super::family::{Accuracy, Inner, InnerStop};
use super::gauss_newton::{GaussNewtonSteps, System};
use super::reduced_system::ReducedSystem;
use super::spectral::{Answer, Question};
use crate::base::{Scalar, kernels, parallel::over_parts, small};
use crate::operator::{BlockJacobian, BlockLayout, BlockValues, LinearMap};

/// Products that conjugate gradients with Schur–Jacobi are expected to take for a step: 20 to 60 on problems of
/// "Bundle adjustment in the large".
const EXPECTED: usize = 50;
/// Bytes that the explicit matrix may take.
const MOST_BYTES: usize = 1 << 30;
/// Products for one answer.
const MOST_PRODUCTS: usize = 2000;
/// Schur–Jacobi is done when the last of i products added at most this share of the model's decrease, over i: Nash &
/// Sofer, Oper. Res. Lett. 9 (1990), with the number that Ceres takes.
const FORCING: f64 = 0.1;
/// Elements that one task preconditions at least.
const GRAIN: usize = 1024;
/// Unknowns from which factorisations use all threads; below, one thread is faster.
const PARALLEL: usize = 512;

/// The Cholesky factor of an explicit reduced matrix.
struct Explicit {
    matrix: Vec<f64>,
    scratch: MemBuffer,
    /// Whether there is a factor.
    usable: bool,
    /// Products that forming and factorising cost as much as.
    cost: usize,
    /// Solves with this factor, their cost with that of the factor, and the products of the last one.
    solves: usize,
    spent: usize,
    last: usize,
}

impl Explicit {
    fn new(dim: usize, cost: usize) -> Self {
        let params: Spec<LltParams, f64> = Spec::default();
        Explicit {
            matrix: vec![0.0; dim * dim],
            scratch: MemBuffer::new(cholesky_in_place_scratch::<f64>(dim, parallel(dim), params)),
            usable: false,
            cost,
            solves: 0,
            spent: 0,
            last: 0,
        }
    }

    /// Whether a new factor pays: the old one makes a solve dearer than the average so far, its own cost included.
    fn is_due(&self) -> bool {
        !self.usable || self.last * self.solves > self.spent
    }

    fn used(&mut self, products: usize) {
        self.solves += 1;
        self.spent += products;
        self.last = products;
    }

    fn factorise<T: Scalar>(&mut self, system: &ReducedSystem<T>, jacobian: BlockJacobian<'_, T>) {
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
        (self.solves, self.spent, self.last) = (0, self.cost, 0);
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

/// Numbers in the Jacobian.
fn stored(layout: &BlockLayout) -> usize {
    layout.chunks.iter().map(|c| c.kept + c.eliminated).sum()
}

/// What the explicit matrix costs, in products.
fn explicit_cost(layout: &BlockLayout) -> usize {
    let dim = layout.reduced_dim();
    // A product passes the stored numbers twice, and waits for memory: 4 operations at about the same pace.
    let product = 4.0 * stored(layout) as f64;
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
    ((2.0 * pairs + factor) / product).ceil().max(2.0) as usize
}

/// The state for one structure.
struct State<T> {
    system: ReducedSystem<T>,
    explicit: Option<Explicit>,
    deflation: Option<Deflation>,
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
}

/// Steps from the reduced system, whose state is made for the structure first met.
pub struct Schur<T> {
    inner: Inner,
    state: Option<State<T>>,
}

impl<T: Scalar> Schur<T> {
    /// [`Inner::Dense`] always forms the reduced matrix, [`Inner::Krylov`] never.
    pub fn new(inner: Inner) -> Self {
        Schur { inner, state: None }
    }
}

impl<T: Scalar> State<T> {
    fn new(layout: &BlockLayout, inner: Inner) -> Self {
        let dim = layout.reduced_dim();
        let mut bounds = vec![0];
        for kept in layout.kept_bounds.windows(2) {
            bounds.push(bounds[bounds.len() - 1] + (kept[1] - kept[0]).pow(2));
        }
        let cost = Some(explicit_cost(layout)).filter(|&cost| match inner {
            Inner::Automatic => cost < EXPECTED && dim.saturating_mul(8 * dim) <= MOST_BYTES,
            Inner::Krylov => false,
            Inner::Dense => true,
        });
        let zeros = || vec![0.0; dim];
        let of_x = || vec![T::zero(); layout.statement.parameters[layout.statement.parameter_blocks()]];
        State {
            system: ReducedSystem::new(layout),
            explicit: cost.map(|cost| Explicit::new(dim, cost)),
            deflation: if cost.is_none() { Deflation::new(dim, stored(layout)) } else { None },
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
        }
    }

    /// out ← Px for Schur–Jacobi.
    fn blocks_product(&self, layout: &BlockLayout, x: &[f64], out: &mut [f64]) {
        for (k, kept) in layout.kept_bounds.windows(2).enumerate() {
            let factor = &self.blocks[self.bounds[k]..self.bounds[k + 1]];
            small::cholesky_product(factor, &x[kept[0]..kept[1]], &mut out[kept[0]..kept[1]]);
        }
    }

    /// preconditioned ← P⁻¹r.
    fn precondition(&mut self, layout: &BlockLayout) {
        self.preconditioned.copy_from_slice(&self.r);
        if let Some(explicit) = self.explicit.as_mut().filter(|explicit| explicit.usable) {
            explicit.solve(&mut self.preconditioned);
            return;
        }
        if let Some(deflation) = &mut self.deflation {
            deflation.before(&mut self.preconditioned);
        }
        let bounds = &layout.kept_bounds;
        over_parts(bounds, &mut self.preconditioned, GRAIN, &|kept, x| {
            let start = bounds[kept.start];
            for k in kept {
                let factor = &self.blocks[self.bounds[k]..self.bounds[k + 1]];
                small::cholesky_solve(factor, &mut x[bounds[k] - start..bounds[k + 1] - start]);
            }
        });
        if let Some(deflation) = &mut self.deflation {
            deflation.after(&mut self.preconditioned);
        }
    }

    /// Makes the preconditioner for the present elimination. Where the explicit matrix is not positive definite, the
    /// blocks on the diagonal take its place.
    fn factorise(&mut self, jacobian: BlockJacobian<'_, T>, counted: &impl LinearMap<T>) {
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

    /// r ← −g − Mx and the model's decrease at x, which is that for another λ, or 0.
    fn start(&mut self, jacobian: BlockJacobian<'_, T>, counted: &impl LinearMap<T>) -> f64 {
        kernels::scale_into(-1.0, &self.gradient, &mut self.r);
        if std::mem::replace(&mut self.warm, true) {
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
        counted: &impl LinearMap<T>,
        accuracy: &Accuracy,
        size: f64,
        more: &dyn Fn() -> bool,
    ) -> InnerStop {
        if self.explicit.as_ref().is_none_or(Explicit::is_due) {
            self.factorise(jacobian, counted);
        }
        let mut deflated = 0;
        if let Some(mut deflation) = self.deflation.take() {
            deflated = deflation.len();
            counted.count_passes(deflated);
            deflation.renew(|x, out| self.system.product(jacobian, x, out));
            self.deflation = Some(deflation);
        }
        let mut gain = f64::INFINITY;
        let mut decrease = self.start(jacobian, counted);
        let (mut products, mut made, mut rho_before, mut first) = (0, deflated, f64::INFINITY, f64::NAN);
        self.p.fill(0.0);
        let stop = loop {
            let rr = kernels::norm(&self.r);
            self.precondition(jacobian.layout);
            let rho = kernels::dot(&self.r, &self.preconditioned);
            if first.is_nan() {
                first = rho;
            }
            let settled = if accuracy.energy <= 0.0 {
                rr <= (accuracy.residual * size).max(accuracy.enough)
            } else if self.explicit.as_ref().is_some_and(|explicit| explicit.usable) {
                rho <= 2.0 * accuracy.energy * decrease
            } else {
                products > 0 && (deflated + products) as f64 * gain <= FORCING * decrease
            };
            if settled {
                break InnerStop::Accurate;
            }
            if rho <= 1e-32 * first || rho.is_nan() || made >= MOST_PRODUCTS {
                break InnerStop::Exhausted;
            }
            if !more() {
                break InnerStop::Limit;
            }
            if self.explicit.as_ref().is_some_and(|explicit| explicit.usable && products >= 2 * explicit.cost) {
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
            if let Some(mut deflation) = self.deflation.take() {
                deflation.record(&self.p, &self.q, curvature);
                if deflation.is_full() {
                    deflation.condense(|x, out| self.blocks_product(jacobian.layout, x, out));
                    rho_before = f64::INFINITY;
                }
                self.deflation = Some(deflation);
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
        if let Some(mut deflation) = self.deflation.take() {
            if deflation.pays(made) {
                deflation.condense(|x, out| self.blocks_product(jacobian.layout, x, out));
            } else {
                deflation.clear();
            }
            self.deflation = Some(deflation);
        }
        stop
    }
}

impl<T: Scalar> GaussNewtonSteps<T> for Schur<T> {
    fn entry_cost<J: LinearMap<T>>(&self, _: &J) -> usize {
        0
    }

    fn enter<J: LinearMap<T>>(&mut self, jacobian: &J, _: &[T], gradient: &mut [T]) -> bool {
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

    fn column_norms<J: LinearMap<T>>(&mut self, jacobian: &J, norms: &mut [f64]) -> bool {
        let (Some(blocks), Some(state)) = (jacobian.blocks(), &self.state) else { return false };
        let values = weighted(blocks, &state.weighted).values;
        norms.iter_mut().zip(&values.norms).for_each(|(to, &square)| *to = square.into().sqrt());
        true
    }

    fn largest_singular_value(&self) -> f64 {
        0.0
    }

    fn exact(&self) -> bool {
        false
    }

    fn answer<J: LinearMap<T>>(
        &mut self,
        system: &System<'_, T, J>,
        question: Question,
        accuracy: Option<Accuracy>,
    ) -> Option<(Answer, InnerStop)> {
        // The Schur complement is another one for every λ: there is no curve of steps to be had from one space.
        let Question::Damped(damping) = question else { return None };
        let state = self.state.as_mut()?;
        let values = std::mem::take(&mut state.weighted);
        let jacobian = weighted(system.jacobian.blocks()?, &values);
        let accuracy = accuracy.unwrap_or(Accuracy { residual: 1e-10, energy: 0.0, enough: 0.0, truncated: false });
        state.system.eliminate(jacobian, system.scaling, damping);
        state.system.gradient(jacobian, system.residual, &mut state.gradient);
        let size = scaled_norm(system.gradient, system.scaling);
        let stop = state.solve(jacobian, system.jacobian, &accuracy, size, system.more);
        let curvature = state.system.complete(jacobian, system.residual, &state.x, &mut state.z);
        state.weighted = values;
        let step = state.z.iter().zip(system.scaling).map(|(&z, &s)| z * s);
        state.step.iter_mut().zip(step).for_each(|(to, v)| *to = v);
        let answer = Answer {
            shift: damping,
            norm: kernels::norm(&state.z),
            slope: kernels::dot(&state.step, system.gradient),
            curvature,
            on_boundary: false,
            hard_case: false,
        };
        answer.norm.is_finite().then_some((answer, stop))
    }

    fn step(&self, step: &mut [T]) {
        if let Some(state) = &self.state {
            step.copy_from_slice(&state.step);
        }
    }

    fn accelerate(&mut self, _: &[T], _: f64, _: &mut [T]) -> Option<f64> {
        None
    }

    fn image(&mut self, _: &mut [T]) -> bool {
        false
    }

    fn rank(&self) -> Option<usize> {
        None
    }

    fn numbers(&self) -> usize {
        self.state.as_ref().map_or(0, |state| {
            let explicit = state.explicit.as_ref().map_or(0, |explicit| explicit.matrix.len());
            let vectors = 6 * state.x.len() + 2 * state.z.len();
            state.system.numbers() + explicit + state.blocks.len() + vectors
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

#[cfg(test)]
mod tests {
    use super::super::dense_least_squares::DenseLeastSquares;
    use super::*;
    use crate::base::random::SplitMix64;
    use crate::operator::{BlockStructure, Linearization, Model};

    /// Linear residuals A_b x_b − c_b with random numbers. Kept blocks of 2 and 3, eliminated ones of 1, 2 and 3, of which
    /// the first has fewer residuals than numbers, the second a column of zeros and the last no residuals at all.
    fn random_model(seed: u64, touches_of: usize) -> impl Model<f64> {
        let mut random = SplitMix64::new(seed);
        let mut pick = |n: usize| (random.uniform() * n as f64) as usize;
        let mut structure = BlockStructure::new();
        let wide = structure.parameters(12, 3).unwrap();
        structure.parameters(3, 2).unwrap();
        let kept = 15;
        let points = structure.parameters(40, 3).unwrap();
        let others = structure.parameters(10, 1 + pick(2)).unwrap();
        assert_eq!((wide.start, points.start, others.end), (0, kept, 65));
        structure.residual(1, &[0, 15]).unwrap();
        for point in 16..64 {
            for _ in 0..2 + pick(touches_of) {
                // Sometimes the same kept block again, sometimes two of them; the eliminated one first or last.
                let (a, b) = (pick(kept), pick(kept));
                let touches = match pick(4) {
                    0 if a != b => vec![point, a, b],
                    1 => vec![point, a],
                    _ => vec![a, point],
                };
                structure.residual(1 + pick(3), &touches).unwrap();
            }
        }
        for i in 0..kept {
            structure.residual(2, &[i, (i + 1) % kept]).unwrap();
            structure.residual(3, &[i]).unwrap();
        }
        structure.eliminate(points).unwrap();
        structure.eliminate(others).unwrap();
        structure.model(move |i, x: &[f64], r, jacobian| {
            let mut random = SplitMix64::new(seed ^ (i as u64) << 20);
            let mut matrix = vec![0.0; r.len() * x.len()];
            matrix.iter_mut().for_each(|v| *v = random.normal());
            if i > 0 && i < 4 {
                // A column of zeros for whatever comes last.
                matrix.chunks_exact_mut(x.len()).for_each(|row| row[x.len() - 1] = 0.0);
            }
            for (r, row) in r.iter_mut().zip(matrix.chunks_exact(x.len())) {
                *r = row.iter().zip(x).map(|(a, x)| a * x).sum::<f64>() - random.normal();
            }
            if let Some(jacobian) = jacobian {
                jacobian.copy_from_slice(&matrix);
            }
        })
    }

    fn compare(inner: Inner) {
        for seed in 0..6 {
            let model = random_model(seed, 1 + seed as usize);
            let n = model.dim();
            let x = vec![0.1; n];
            let at = model.linearize(&x);
            let residual = at.outputs();
            let mut random = SplitMix64::new(seed);
            // Two components are held.
            let scaling: Vec<f64> =
                (0..n).map(|j| if j == 4 || j == 60 { 0.0 } else { 0.1 + random.uniform() }).collect();
            let (mut schur, mut dense) = (Schur::new(inner), DenseLeastSquares::new(residual.len(), n));
            let (mut g, mut h) = (vec![0.0; n], vec![0.0; n]);
            assert!(schur.enter(&at, residual, &mut g) && dense.enter(&at, residual, &mut h));
            assert!(g.iter().zip(&h).all(|(a, b)| (a - b).abs() < 1e-12 * kernels::norm(&h)));
            assert_eq!(schur.state.as_ref().unwrap().explicit.is_some(), inner != Inner::Krylov);
            let system = System { jacobian: &at, residual, gradient: &g, scaling: &scaling, more: &|| true };
            // Falling and rising: warm starts and factors of another λ.
            for damping in [1.0, 1e-3, 1e-8, 1e-5, 10.0, 1e4] {
                let tight = Accuracy { residual: 1e-14, energy: 0.0, enough: 0.0, truncated: false };
                let (answer, _) = schur.answer(&system, Question::Damped(damping), Some(tight)).unwrap();
                let (expected, _) = dense.answer(&system, Question::Damped(damping), None).unwrap();
                let (mut step, mut truth) = (vec![0.0; n], vec![0.0; n]);
                schur.step(&mut step);
                dense.step(&mut truth);
                let error: Vec<f64> = step.iter().zip(&truth).map(|(a, b)| a - b).collect();
                let size = kernels::norm(&truth);
                assert!(kernels::norm(&error) <= 1e-10 * size, "{seed} {damping}: {:e}", kernels::norm(&error) / size);
                assert!(step[4] == 0.0 && step[60] == 0.0);
                let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs();
                assert!(close(answer.norm, expected.norm) && close(answer.slope, expected.slope));
                assert!(close(answer.curvature, expected.curvature) && answer.shift == damping);
            }
        }
    }

    #[test]
    fn steps_are_those_of_the_whole_damped_system_with_the_explicit_matrix() {
        compare(Inner::Automatic);
    }

    #[test]
    fn steps_are_those_of_the_whole_damped_system_without_it() {
        compare(Inner::Krylov);
    }

    #[test]
    fn the_formed_matrix_is_that_of_the_products_and_has_the_diagonal_blocks() {
        let model = random_model(9, 4);
        let x = vec![0.0; model.dim()];
        let at = model.linearize(&x);
        let jacobian = at.blocks().unwrap();
        let layout = jacobian.layout;
        let dim = layout.reduced_dim();
        let scaling: Vec<f64> = (0..model.dim()).map(|j| 0.5 + (j % 3) as f64).collect();
        for damping in [0.0, 1e-2] {
            let mut system = ReducedSystem::new(layout);
            system.eliminate(jacobian, &scaling, damping);
            let mut matrix = vec![f64::NAN; dim * dim];
            system.form(jacobian, &mut matrix);
            let mut bounds = vec![0];
            layout.kept_bounds.windows(2).for_each(|w| bounds.push(bounds[bounds.len() - 1] + (w[1] - w[0]).pow(2)));
            let mut blocks = vec![f64::NAN; bounds[layout.kept.len()]];
            system.diagonal_blocks(jacobian, &bounds, &mut blocks);
            let mut column = vec![f64::NAN; dim];
            for j in 0..dim {
                let mut unit = vec![0.0; dim];
                unit[j] = 1.0;
                system.product(jacobian, &unit, &mut column);
                for i in j..dim {
                    assert!((column[i] - matrix[j * dim + i]).abs() < 1e-11, "{i} {j}");
                }
                let k = layout.kept_bounds.partition_point(|&start| start <= j) - 1;
                let (start, end) = (layout.kept_bounds[k], layout.kept_bounds[k + 1]);
                for i in start..end {
                    let block = blocks[bounds[k] + (j - start) * (end - start) + i - start];
                    assert!((column[i] - block).abs() < 1e-11);
                }
            }
        }
    }
}
