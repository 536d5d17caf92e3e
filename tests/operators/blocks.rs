//! Models of residual blocks: against dense matrices, for any number of threads, and what they refuse.

use newton_krylov::{
    Error, InnerSolver, LeastSquares, LevenbergMarquardt, LinearMap, Linearization, Model, Scalar, Stopping,
    losses::Huber, operators::BlockStructure,
};

/// A distance-like residual of all its parameters, different for every block; two rows.
fn curved<T: Scalar>(i: usize, x: &[T], r: &mut [T], jacobian: Option<&mut [T]>) {
    let number = |v: f64| T::from_f64(v);
    let phase = |j: usize, row: usize| number(0.3 * ((i * 7 + j * 3 + row * 5) % 11) as f64 - 1.0);
    for (row, r) in r.iter_mut().enumerate() {
        *r = number(0.1 * (i % 5) as f64);
        for (j, &x) in x.iter().enumerate() {
            *r += (x * phase(j, row)).sin();
        }
    }
    if let Some(jacobian) = jacobian {
        for (row, out) in jacobian.chunks_exact_mut(x.len()).enumerate() {
            for (j, out) in out.iter_mut().enumerate() {
                *out = phase(j, row) * (x[j] * phase(j, row)).cos();
            }
        }
    }
}

/// `cameras` blocks of 9, `points` of 3, each seen by three cameras, and a prior on every camera.
fn structure(cameras: usize, points: usize, eliminate: bool) -> BlockStructure {
    let mut structure = BlockStructure::new();
    let first = structure.parameters(cameras, 9).unwrap();
    let second = structure.parameters(points, 3).unwrap();
    for point in second.clone() {
        for k in 0..3 {
            structure.residual(2, &[first.start + (point * 13 + k * 5) % cameras, point]).unwrap();
        }
    }
    for camera in first {
        structure.residual(2, &[camera]).unwrap();
    }
    if eliminate {
        structure.eliminate(second).unwrap();
    }
    structure
}

fn point(n: usize) -> Vec<f64> {
    (0..n).map(|j| (0.7 * j as f64).sin()).collect()
}

#[test]
fn products_are_those_of_the_dense_matrix() {
    fn check<T: Scalar>(tolerance: f64) {
        for eliminate in [false, true] {
            let model = structure(7, 30, eliminate).model(curved::<T>);
            let (m, n) = (model.output_dim(), model.dim());
            assert_eq!((m, n), (2 * (90 + 7), 63 + 90));
            let x: Vec<T> = point(n).into_iter().map(T::from_f64).collect();
            let at = model.linearize(&x);
            let mut h = vec![T::nan(); m];
            model.evaluate(&x, &mut h);
            assert_eq!(at.outputs(), h);
            // By the blocks' own derivatives, put together here.
            let mut dense = vec![0.0; m * n];
            let mut put = |i: usize, columns: &[usize]| {
                let values: Vec<T> = columns.iter().map(|&j| x[j]).collect();
                let (mut r, mut jacobian) = ([T::zero(); 2], vec![T::zero(); 2 * columns.len()]);
                curved(i, &values, &mut r, Some(&mut jacobian));
                assert_eq!(at.outputs()[2 * i..2 * i + 2], r);
                for (row, values) in jacobian.chunks_exact(columns.len()).enumerate() {
                    for (&j, &v) in columns.iter().zip(values) {
                        dense[(2 * i + row) * n + j] = v.into();
                    }
                }
            };
            for p in 0..30 {
                for k in 0..3 {
                    let camera = ((p + 7) * 13 + k * 5) % 7;
                    let columns: Vec<usize> = (9 * camera..9 * camera + 9).chain(63 + 3 * p..63 + 3 * p + 3).collect();
                    put(3 * p + k, &columns);
                }
            }
            (0..7).for_each(|c| put(90 + c, &(9 * c..9 * c + 9).collect::<Vec<_>>()));
            let v: Vec<T> = (0..n).map(|j| T::from_f64((1.3 * j as f64).cos())).collect();
            let u: Vec<T> = (0..m).map(|i| T::from_f64((0.9 * i as f64).cos())).collect();
            let (mut jv, mut jtu, mut norms) = (vec![T::nan(); m], vec![T::nan(); n], vec![T::nan(); n]);
            at.apply(&v, &mut jv);
            at.apply_transpose(&u, &mut jtu);
            assert!(at.column_norms(&mut norms));
            for i in 0..m {
                let exact: f64 = (0..n).map(|j| dense[i * n + j] * v[j].into()).sum();
                assert!((jv[i].into() - exact).abs() < tolerance);
            }
            for j in 0..n {
                let exact: f64 = (0..m).map(|i| dense[i * n + j] * u[i].into()).sum();
                assert!((jtu[j].into() - exact).abs() < tolerance);
                let exact: f64 = (0..m).map(|i| dense[i * n + j].powi(2)).sum::<f64>().sqrt();
                assert!((norms[j].into() - exact).abs() < tolerance);
            }
        }
    }
    check::<f64>(1e-12);
    check::<f32>(1e-4);
}

#[test]
fn results_are_the_same_for_any_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut bits = vec![];
            for eliminate in [false, true] {
                let model = structure(20, 6000, eliminate).model(curved::<f64>);
                let x = point(model.dim());
                let at = model.linearize(&x);
                let (mut jv, mut jtu) = (vec![0.0; model.output_dim()], vec![0.0; model.dim()]);
                at.apply(&x, &mut jv);
                at.apply_transpose(&jv, &mut jtu);
                // Adjoint: ‖Jx‖² = xᵀJᵀJx.
                let norm: f64 = jv.iter().map(|v| v * v).sum();
                let other: f64 = jtu.iter().zip(&x).map(|(a, b)| a * b).sum();
                assert!((norm - other).abs() < 1e-10 * norm);
                bits.extend(jv.iter().chain(&jtu).map(|v| v.to_bits()));
            }
            let fit = LeastSquares::new(structure(20, 6000, true).model(curved::<f64>));
            let stopping = Stopping { max_iterations: 4, ..Stopping::default() };
            let solver = LevenbergMarquardt { stopping, ..LevenbergMarquardt::default() };
            let report = solver.minimize(&fit, &point(fit.model().dim())).unwrap();
            bits.extend(report.x.iter().map(|v| v.to_bits()));
            bits
        })
    };
    let one = run(1);
    assert!(one == run(3) && one == run(8));
}

#[test]
fn elimination_does_not_change_the_answer() {
    fn check<T: Scalar>(tolerance: f64) {
        let x0 = |n: usize| -> Vec<T> { (0..n).map(|j| T::from_f64(0.3 * (0.7 * j as f64).sin())).collect() };
        let run = |eliminate: bool| {
            let fit = LeastSquares::new(structure(5, 20, eliminate).model(curved::<T>));
            let report = LevenbergMarquardt::default().minimize(&fit, &x0(fit.model().dim())).unwrap();
            assert!(report.termination.converged(), "{report}");
            report
        };
        let (with, without) = (run(true), run(false));
        let (a, b) = (with.value, without.value);
        assert!((a - b).abs() <= tolerance * b, "{with}{without}");
    }
    check::<f64>(1e-9);
    check::<f32>(1e-4);
}

#[test]
fn robust_losses_weigh_the_blocks() {
    // With 60 cameras the system without elimination is solved by blocks as well.
    for cameras in [3, 60] {
        let run = |eliminate: bool, size: usize| {
            // Linear, with the derivatives at 0 and offsets some of which are far off: the minimum is unique.
            let model = structure(cameras, 6 * cameras, eliminate).model(move |i, x: &[f64], r, jacobian| {
                let mut slopes = vec![0.0; 2 * x.len()];
                curved(i, &vec![0.0; x.len()], r, Some(&mut slopes));
                for (row, r) in r.iter_mut().enumerate() {
                    *r += (0..x.len()).map(|j| slopes[row * x.len() + j] * x[j]).sum::<f64>();
                    *r += if i % 7 == row { 2.0 } else { (i as f64).sin() };
                }
                if let Some(jacobian) = jacobian {
                    jacobian.copy_from_slice(&slopes);
                }
            });
            let fit = LeastSquares::new(model).with_loss(Huber::new(1.0).unwrap(), size).unwrap();
            let x0: Vec<f64> = (0..fit.model().dim()).map(|j| 0.3 * (0.7 * j as f64).sin()).collect();
            let stopping = Stopping { max_iterations: 1000, ..Stopping::default() };
            let solver = LevenbergMarquardt { stopping, ..LevenbergMarquardt::default() };
            let report = solver.minimize(&fit, &x0).unwrap();
            assert!(report.termination.converged(), "{report}");
            // Hundreds where the curvature of outliers does not adapt.
            assert!(report.history.len() <= 40, "{report}");
            report.value
        };
        let (with, without) = (run(true, 2), run(false, 2));
        assert!((with - without).abs() <= 1e-7 * without, "{cameras}: {with} {without}");
        // Pieces of one residual, and of three, which reach across residual blocks: there the products alone have to do.
        if cameras == 3 {
            for size in [1, 3] {
                let (with, without) = (run(true, size), run(false, size));
                assert!((with - without).abs() <= 1e-7 * without, "{size}: {with} {without}");
            }
        }
    }
}

#[test]
fn mistakes_are_named() {
    let mut structure = BlockStructure::new();
    assert!(matches!(structure.parameters(1, 0), Err(Error::OutOfRange { argument: "size", .. })));
    assert!(matches!(structure.parameters(usize::MAX, 1), Err(Error::OutOfRange { argument: "count", .. })));
    let blocks = structure.parameters(3, 2).unwrap();
    assert_eq!((blocks, structure.dim(), structure.range(1)), (0..3, 6, 2..4));
    let refused = |result: newton_krylov::Result<usize>| matches!(result, Err(Error::OutOfRange { .. }));
    assert!(refused(structure.residual(0, &[0])));
    assert!(refused(structure.residual(1, &[])));
    assert!(refused(structure.residual(1, &[3])));
    assert!(refused(structure.residual(1, &[1, 1])));
    assert_eq!(structure.residual(1, &[0, 1]).unwrap(), 0);
    assert!(structure.eliminate(2..4).is_err() && structure.eliminate(0..2).is_err());
    structure.eliminate(1..2).unwrap();
    // Blocks 0 and 1 share a residual; 1 and 2 may not any more.
    assert!(structure.eliminate(0..1).is_err());
    structure.eliminate(2..3).unwrap();
    assert!(refused(structure.residual(1, &[1, 2])));
    assert_eq!(structure.residual(1, &[2, 0]).unwrap(), 1);
    let none = LeastSquares::new(BlockStructure::new().model(curved::<f64>));
    assert!(LevenbergMarquardt::default().minimize(&none, &[]).is_err());
}

#[test]
fn numbers_that_are_not_finite_end_the_run_with_the_best_point() {
    // The model cannot be evaluated where the first camera's first number is above 1; the minimum lies beyond.
    let model = structure(5, 20, true).model(|i, x: &[f64], r, jacobian| {
        curved(i, x, r, jacobian);
        if i == 60 {
            r[0] = if x[0] > 1.0 { f64::NAN } else { 10.0 * (x[0] - 2.0) };
        }
    });
    let fit = LeastSquares::new(model);
    let x0 = vec![0.5; fit.model().dim()];
    let stopping = Stopping { max_iterations: 60, ..Stopping::default() };
    let solver = LevenbergMarquardt { stopping, ..LevenbergMarquardt::default() };
    let report = solver.minimize(&fit, &x0).unwrap();
    assert!(report.value.is_finite() && report.value <= report.initial_value && report.x[0] <= 1.0, "{report}");
    assert!(!report.termination.converged(), "{report}");
    let broken = LeastSquares::new(structure(2, 2, true).model(|_, _: &[f64], r, _| r.fill(f64::NAN)));
    assert!(matches!(
        LevenbergMarquardt::default().minimize(&broken, &vec![0.5; broken.model().dim()]),
        Err(Error::NotFinite { .. })
    ));
}

#[test]
fn limits_hold_and_the_report_is_of_one_point() {
    for (eliminate, cameras) in [(true, 3), (false, 60)] {
        for inner in [InnerSolver::Automatic, InnerSolver::Krylov] {
            for max_products in [0, 1, 2, 7, 20, 50, 120, 300] {
                let fit = LeastSquares::new(structure(cameras, 6 * cameras, eliminate).model(curved::<f64>));
                let n = fit.model().dim();
                let fit = fit.with_bounds(&vec![-0.9; n], &vec![1.1; n]).unwrap();
                let stopping = Stopping { max_products, ..Stopping::default() };
                let solver = LevenbergMarquardt { stopping, inner, ..LevenbergMarquardt::default() };
                let Ok(report) = solver.minimize(&fit, &point(n).iter().map(|x| 0.8 * x).collect::<Vec<_>>()) else {
                    panic!("refused");
                };
                assert!(report.counts.all_products() <= max_products, "{eliminate} {inner:?}\n{report}");
                let mut r = vec![0.0; fit.model().output_dim()];
                fit.model().evaluate(&report.x, &mut r);
                assert_eq!(r, report.residual);
                let value = 0.5 * r.iter().map(|r| r * r).sum::<f64>();
                assert!((report.value - value).abs() <= 1e-12 * value, "{eliminate} {inner:?}\n{report}");
            }
        }
    }
}

#[test]
fn all_parameters_can_be_eliminated() {
    for inner in [InnerSolver::Automatic, InnerSolver::Krylov, InnerSolver::Dense] {
        let mut structure = BlockStructure::new();
        let blocks = structure.parameters(50, 3).unwrap();
        for i in 0..3 * blocks.len() {
            structure.residual(2, &[i / 3]).unwrap();
        }
        structure.eliminate(blocks).unwrap();
        let fit = LeastSquares::new(structure.model(curved::<f64>));
        let solver = LevenbergMarquardt { inner, ..LevenbergMarquardt::default() };
        let report = solver.minimize(&fit, &point(150)).unwrap();
        // Residuals are large here, so that the last steps may drown in rounding.
        assert!(report.cosine < 1e-6 && report.value < 10.0, "{inner:?}\n{report}");
    }
}
