//! Steps from reduced systems against those of the whole damped system, from dense orthogonal factors.

use std::cell::Cell;

use super::factor::Factor;
use super::reduced_system::ReducedSystem;
use super::schur::Schur;
use crate::base::random::SplitMix64;
use crate::base::{Scalar, kernels};
use crate::operator::{BlockStructure, Caller, CountedModel, LinearMap, Linearization, Model};
use crate::step::{Accuracy, DenseLeastSquares, GaussNewtonSteps, InnerSolver, InnerStop, Subproblem, System};

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

/// A chain of 60 kept blocks of 3 with loops, and 40 eliminated ones of 2 that hang on two neighbours each. Every residual
/// is a matrix times a difference, so that all may move together, unless the first is anchored.
fn chain<T: Scalar>(anchored: bool) -> impl Model<T> {
    let mut structure = BlockStructure::new();
    let kept = structure.parameters(60, 3).unwrap();
    let points = structure.parameters(40, 2).unwrap();
    for i in 0..59 {
        structure.residual(3, &[i, i + 1]).unwrap();
        if i % 7 == 0 {
            structure.residual(3, &[(i + 20) % 60, i]).unwrap();
        }
    }
    for (i, point) in points.clone().enumerate() {
        structure.residual(2, &[point, i]).unwrap();
        structure.residual(2, &[i + 1, point]).unwrap();
    }
    if anchored {
        structure.residual(3, &[kept.start]).unwrap();
    }
    structure.eliminate(points).unwrap();
    structure.model(move |i, x: &[T], r, jacobian| {
        let mut random = SplitMix64::new(i as u64 + 17);
        let rows = r.len();
        // A point meets the first two components of a kept block, whichever comes first.
        let sizes = if x.len() == 5 && i % 2 == 0 { (2, 3) } else { (x.len().min(3), x.len() - x.len().min(3)) };
        let width = sizes.0.min(sizes.1).max(if sizes.1 == 0 { sizes.0 } else { 0 });
        let weights: Vec<f64> = (0..rows * width).map(|_| random.normal()).collect();
        let mut matrix = vec![T::zero(); rows * x.len()];
        for row in 0..rows {
            for c in 0..width {
                let weight = T::from_f64(weights[row * width + c]);
                matrix[row * x.len() + c] = weight;
                if sizes.1 > 0 {
                    matrix[row * x.len() + sizes.0 + c] = -weight;
                }
            }
        }
        for (r, row) in r.iter_mut().zip(matrix.chunks_exact(x.len())) {
            let dot: f64 = row.iter().zip(x).map(|(&a, &x)| a.into() * x.into()).sum();
            *r = T::from_f64(dot - random.normal());
        }
        if let Some(jacobian) = jacobian {
            jacobian.copy_from_slice(&matrix);
        }
    })
}

/// Whether the explicit matrix is formed, and its factor sparse.
fn path<T: Scalar>(schur: &Schur<T>) -> (bool, bool) {
    let explicit = schur.explicit();
    (explicit.is_some(), explicit.is_some_and(|explicit| matches!(explicit.factor, Factor::Sparse(_))))
}

const LAMBDAS: [f64; 6] = [1.0, 1e-3, 1e-8, 1e-5, 10.0, 1e4];

/// Steps for falling and rising λ, warm starts and factors of another λ, against those from dense orthogonal factors.
fn agree<T: Scalar>(
    model: &impl Model<T>,
    inner: InnerSolver,
    expected: (bool, bool),
    lambdas: &[f64],
    tolerance: f64,
) {
    let n = model.dim();
    let x = vec![T::from_f64(0.1); n];
    let at = model.linearize(&x);
    let residual = at.outputs();
    let mut random = SplitMix64::new(5);
    // Two components are held.
    let held = [4, n - 5];
    let scaling: Vec<T> =
        (0..n).map(|j| T::from_f64(if held.contains(&j) { 0.0 } else { 0.1 + random.uniform() })).collect();
    let (mut schur, mut dense) = (Schur::new(inner), DenseLeastSquares::new(residual.len(), n));
    let (mut g, mut h) = (vec![T::zero(); n], vec![T::zero(); n]);
    assert!(schur.enter(&at, residual, &mut g) && dense.enter(&at, residual, &mut h));
    let difference = |a: &[T], b: &[T]| kernels::norm(&a.iter().zip(b).map(|(&a, &b)| a - b).collect::<Vec<T>>());
    assert!(difference(&g, &h) <= 10.0 * T::epsilon_f64() * kernels::norm(&h));
    assert_eq!(path(&schur), expected);
    let system = System { jacobian: &at, residual, gradient: &g, scaling: &scaling, more: &|_| true };
    for &damping in lambdas {
        let tight = Accuracy::of_residual(1e-14);
        let (solution, _) = schur.solution(&system, Subproblem::Damped(damping), Some(tight)).unwrap();
        let (truth, _) = dense.solution(&system, Subproblem::Damped(damping), None).unwrap();
        let (mut step, mut exact) = (vec![T::zero(); n], vec![T::zero(); n]);
        schur.step(&mut step);
        dense.step(&mut exact);
        let (error, size) = (difference(&step, &exact), kernels::norm(&exact));
        assert!(error <= tolerance * size, "{damping}: {:e}", error / size);
        assert!(held.iter().all(|&j| step[j] == T::zero()));
        let close = |a: f64, b: f64| (a - b).abs() <= 10.0 * tolerance * b.abs();
        assert!(close(solution.norm, truth.norm) && close(solution.slope, truth.slope));
        assert!(close(solution.curvature, truth.curvature) && solution.shift == damping);
    }
}

fn compare(inner: InnerSolver) {
    for seed in 0..6 {
        agree(&random_model(seed, 1 + seed as usize), inner, (inner != InnerSolver::Krylov, false), &LAMBDAS, 1e-10);
    }
}

#[test]
fn sparse_factors_give_the_steps_of_the_whole_damped_system() {
    for inner in [InnerSolver::Automatic, InnerSolver::Dense, InnerSolver::Krylov] {
        let explicit = inner != InnerSolver::Krylov;
        agree(&chain::<f64>(true), inner, (explicit, explicit), &LAMBDAS, 1e-10);
        // In f32 the coefficients themselves are known to 6e-8, times a condition number of some 10³.
        agree(&chain::<f32>(true), inner, (explicit, explicit), &[1.0, 1e-3, 1e4], 1e-4);
    }
}

#[test]
fn without_an_anchor_damping_alone_holds_what_is_free() {
    // All blocks may move together in three directions: the last pivots of the factor are about λ.
    agree(&chain::<f64>(false), InnerSolver::Automatic, (true, true), &[1e-2, 1e-6, 1e-9], 1e-7);
}

#[test]
fn sparse_steps_are_the_same_for_any_number_of_threads() {
    let run = |threads: usize| -> Vec<u64> {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let model = chain::<f64>(true);
            let n = model.dim();
            let (x, scaling) = (vec![0.3; n], vec![1.0; n]);
            let at = model.linearize(&x);
            let (mut schur, mut g) = (Schur::new(InnerSolver::Automatic), vec![0.0; n]);
            assert!(schur.enter(&at, at.outputs(), &mut g));
            assert_eq!(path(&schur), (true, true));
            let system =
                System { jacobian: &at, residual: at.outputs(), gradient: &g, scaling: &scaling, more: &|_| true };
            let mut step = vec![0.0; n];
            let mut bits = vec![];
            for damping in LAMBDAS {
                schur.solution(&system, Subproblem::Damped(damping), None).unwrap();
                schur.step(&mut step);
                bits.extend(step.iter().map(|v| v.to_bits()));
            }
            bits
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(7));
}

#[test]
fn a_new_factor_needs_one_product() {
    let model = chain::<f64>(true);
    let n = model.dim();
    let counted = CountedModel::new(&model, usize::MAX);
    let (x, scaling) = (vec![0.3; n], vec![1.0; n]);
    let at = counted.linearize(&x, None);
    let mut r = vec![0.0; model.output_dim()];
    model.evaluate(&x, &mut r);
    let (mut schur, mut g) = (Schur::new(InnerSolver::Automatic), vec![0.0; n]);
    assert!(schur.enter(&at, &r, &mut g));
    let before = counted.counts().all_products();
    let asked = Cell::new(0);
    let more = |products: usize| {
        asked.set(asked.get().max(products));
        true
    };
    let system = System { jacobian: &at, residual: &r, gradient: &g, scaling: &scaling, more: &more };
    let accuracy = Accuracy { residual: 0.1, energy: 1e-10, enough: 0.0, truncated: true };
    let (_, stop) = schur.solution(&system, Subproblem::Damped(1e-6), Some(accuracy)).unwrap();
    // It asked for the factor and one product, and that is what it took.
    let made = counted.counts().all_products() - before;
    assert_eq!((stop, made), (InnerStop::Accurate, asked.get()));
    let none = System { more: &|_| false, ..system };
    let (solution, stop) = schur.solution(&none, Subproblem::Damped(1e-3), None).unwrap();
    assert!(stop == InnerStop::Limit && solution.norm.is_finite());
}

#[test]
fn steps_are_those_of_the_whole_damped_system_with_the_explicit_matrix() {
    compare(InnerSolver::Automatic);
}

#[test]
fn steps_are_those_of_the_whole_damped_system_without_it() {
    compare(InnerSolver::Krylov);
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
        let (columns, rows): (Vec<usize>, Vec<usize>) =
            (layout.kept_bounds.iter().map(|start| start * dim).collect(), (0..dim).collect());
        system.form(jacobian, &columns, &|_| &rows, &mut matrix);
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
