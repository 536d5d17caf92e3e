//! Steps from reduced systems against those of the whole damped system, from dense orthogonal factors.

use super::dense_least_squares::DenseLeastSquares;
use super::family::{Accuracy, Inner};
use super::gauss_newton::{GaussNewtonSteps, System};
use super::reduced_system::ReducedSystem;
use super::schur::Schur;
use super::spectral::Question;
use crate::base::kernels;
use crate::base::random::SplitMix64;
use crate::operator::{BlockStructure, LinearMap, Linearization, Model};

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
        let scaling: Vec<f64> = (0..n).map(|j| if j == 4 || j == 60 { 0.0 } else { 0.1 + random.uniform() }).collect();
        let (mut schur, mut dense) = (Schur::new(inner), DenseLeastSquares::new(residual.len(), n));
        let (mut g, mut h) = (vec![0.0; n], vec![0.0; n]);
        assert!(schur.enter(&at, residual, &mut g) && dense.enter(&at, residual, &mut h));
        assert!(g.iter().zip(&h).all(|(a, b)| (a - b).abs() < 1e-12 * kernels::norm(&h)));
        assert_eq!(schur.is_explicit(), inner != Inner::Krylov);
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
