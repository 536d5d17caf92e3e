//! Linear least squares against singular value decompositions, and with products that go wrong.

use crate::vectors::norm;
use faer::Mat;
use newton_krylov::{
    Error, LinearLeastSquares, LinearMap, Scalar, linear_least_squares, linear_map,
    random::SplitMix64,
    steps::{LinearOutcome, LinearReport},
};

fn random(seed: u64) -> impl FnMut() -> f64 {
    let mut random = SplitMix64::new(seed);
    move || 2.0 * random.uniform() - 1.0
}

/// UΣVᵀ with random orthogonal factors.
fn with_singular_values(m: usize, n: usize, sigma: &[f64], seed: u64) -> Mat<f64> {
    let mut next = random(seed);
    let k = sigma.len();
    let u = Mat::from_fn(m, k, |_, _| next()).qr().compute_thin_Q();
    let v = Mat::from_fn(n, k, |_, _| next()).qr().compute_thin_Q();
    Mat::from_fn(m, n, |i, j| (0..k).map(|l| u[(i, l)] * sigma[l] * v[(j, l)]).sum())
}

fn map<T: Scalar>(a: &Mat<f64>) -> impl LinearMap<T> + use<T> {
    let (m, n) = (a.nrows(), a.ncols());
    let (one, two) = (a.clone(), a.clone());
    linear_map(
        m,
        n,
        move |v: &[T], out: &mut [T]| {
            for i in 0..m {
                out[i] = T::from_f64((0..n).map(|j| one[(i, j)] * v[j].into()).sum());
            }
        },
        move |u: &[T], out: &mut [T]| {
            for j in 0..n {
                out[j] = T::from_f64((0..m).map(|i| two[(i, j)] * u[i].into()).sum());
            }
        },
    )
}

/// The solution of least norm; singular values below `cut` of the largest count as zero.
fn dense(a: &Mat<f64>, b: &[f64], damping: f64, cut: f64) -> Vec<f64> {
    let svd = a.thin_svd().unwrap();
    let (u, s, v) = (svd.U(), svd.S().column_vector(), svd.V());
    let mut x = vec![0.0; a.ncols()];
    for l in 0..s.nrows() {
        if s[l] > cut * s[0] {
            let along: f64 = (0..b.len()).map(|i| u[(i, l)] * b[i]).sum();
            let factor = along * s[l] / (s[l] * s[l] + damping);
            (0..x.len()).for_each(|j| x[j] += factor * v[(j, l)]);
        }
    }
    x
}

fn distance(x: &[f64], y: &[f64]) -> f64 {
    norm(&x.iter().zip(y).map(|(x, y)| x - y).collect::<Vec<_>>())
}

/// ‖b − Ax‖ and ‖Aᵀ(b − Ax) − λ²x‖ are what the report says, and its claim holds.
fn check_claim(a: &Mat<f64>, b: &[f64], options: &LinearLeastSquares, report: &LinearReport<f64>) {
    let (m, n) = (a.nrows(), a.ncols());
    let r: Vec<f64> = (0..m).map(|i| b[i] - (0..n).map(|j| a[(i, j)] * report.x[j]).sum::<f64>()).collect();
    let g: Vec<f64> =
        (0..n).map(|j| (0..m).map(|i| a[(i, j)] * r[i]).sum::<f64>() - options.damping * report.x[j]).collect();
    let scale = a.norm_l2() * (norm(b) + a.norm_l2() * norm(&report.x));
    assert!((report.residual_norm - norm(&r)).abs() <= 1e-13 * (norm(b) + a.norm_l2() * norm(&report.x)));
    assert!((report.gradient_norm - norm(&g)).abs() <= 1e-13 * scale, "{report:?}");
    let left = norm(&r).hypot(options.damping.sqrt() * norm(&report.x));
    let bound = 1.0001 * options.tolerance;
    match report.outcome {
        LinearOutcome::Consistent => {
            assert!(left <= bound * (report.operator_norm * norm(&report.x) + norm(b)) + 1e-15)
        }
        LinearOutcome::LeastSquares => assert!(norm(&g) <= bound * report.operator_norm * left + 1e-15 * scale),
        _ => {}
    }
}

#[test]
fn random_problems_have_the_dense_solution() {
    for (m, n) in [(1, 1), (30, 1), (1, 30), (20, 20), (60, 17), (17, 60), (200, 50)] {
        for damping in [0.0, 0.09, 900.0] {
            for stored in [None, Some(0), Some(5)] {
                let mut next = random((m * n) as u64);
                let a = Mat::from_fn(m, n, |_, _| next());
                let b: Vec<f64> = (0..m).map(|_| next()).collect();
                let options = LinearLeastSquares { damping, stored, tolerance: 1e-13, ..Default::default() };
                let report = options.solve(&map::<f64>(&a), &b).unwrap();
                assert!(report.outcome.converged(), "{m} {n} {damping} {stored:?} {report:?}");
                check_claim(&a, &b, &options, &report);
                let truth = dense(&a, &b, damping, 1e-13);
                let error = distance(&report.x, &truth) / norm(&truth);
                assert!(error < 1e-9, "{m} {n} {damping} {stored:?} {error:e}");
            }
        }
    }
}

#[test]
fn counts_are_exact() {
    let mut next = random(1);
    let a = Mat::from_fn(40, 12, |_, _| next());
    let b: Vec<f64> = (0..40).map(|_| next()).collect();
    let inner = map::<f64>(&a);
    let (products, transposed) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let counted = linear_map(
        40,
        12,
        |v: &[f64], out: &mut [f64]| {
            products.set(products.get() + 1);
            inner.apply(v, out);
        },
        |u: &[f64], out: &mut [f64]| {
            transposed.set(transposed.get() + 1);
            inner.apply_transpose(u, out);
        },
    );
    let take = || (products.take(), transposed.take());
    for damping in [0.0, 1.0] {
        let options = LinearLeastSquares { damping, tolerance: 1e-12, ..Default::default() };
        let report = options.solve(&counted, &b).unwrap();
        assert_eq!((report.products, report.transpose_products), take());
        // One of each in an iteration, the first Aᵀb, and the solution's residual.
        assert!(report.iterations <= 12);
        assert_eq!((report.products, report.transpose_products), (report.iterations + 1, report.iterations + 2));
        let again = options.solve_from(&counted, &b, &report.x).unwrap();
        assert_eq!((again.products, again.transpose_products), take());
        assert!(again.iterations <= 2 && again.outcome.converged(), "{again:?}");
    }
    let limited = LinearLeastSquares { max_iterations: Some(3), ..Default::default() }.solve(&counted, &b).unwrap();
    assert_eq!((limited.iterations, limited.outcome), (3, LinearOutcome::IterationLimit));
    assert_eq!(take(), (4, 5));
}

#[test]
fn ill_conditioned_problems_are_solved_as_well_as_by_a_dense_method() {
    let (m, n) = (80, 40);
    let sigma: Vec<f64> = (0..n).map(|i| 10.0_f64.powf(-12.0 * i as f64 / (n - 1) as f64)).collect();
    let a = with_singular_values(m, n, &sigma, 3);
    let mut next = random(4);
    // A consistent system whose solution has components of size one everywhere.
    let x: Vec<f64> = (0..n).map(|_| next()).collect();
    let b: Vec<f64> = (0..m).map(|i| (0..n).map(|j| a[(i, j)] * x[j]).sum()).collect();
    let options = LinearLeastSquares { tolerance: 1e-15, condition_limit: f64::INFINITY, ..Default::default() };
    let report = options.solve(&map::<f64>(&a), &b).unwrap();
    assert_eq!(report.outcome, LinearOutcome::Consistent);
    check_claim(&a, &b, &LinearLeastSquares { tolerance: 4.0 * f64::EPSILON, ..options }, &report);
    // The damped problem is well-conditioned enough to compare solutions.
    for damping in [1e-4_f64, 1e-8] {
        let options = LinearLeastSquares { damping, ..options };
        let noisy: Vec<f64> = b.iter().map(|b| b + 0.1 * next()).collect();
        let report = options.solve(&map::<f64>(&a), &noisy).unwrap();
        let truth = dense(&a, &noisy, damping, 0.0);
        let error = distance(&report.x, &truth) / norm(&truth);
        assert!(error < 1e-13 / damping.sqrt(), "{damping} {error:e} {report:?}");
        check_claim(&a, &noisy, &LinearLeastSquares { tolerance: 4.0 * f64::EPSILON, ..options }, &report);
    }
    // The condition limit is noticed.
    let report = LinearLeastSquares { tolerance: 0.0, ..Default::default() }.solve(&map::<f64>(&a), &b).unwrap();
    assert_eq!(report.outcome, LinearOutcome::ConditionLimit);
    assert!(report.condition > 1e8 && report.residual_norm < 1e-4 * norm(&b), "{report:?}");
}

#[test]
fn rank_deficient_problems_have_the_shortest_solution() {
    for (m, n) in [(50, 20), (20, 50)] {
        let a = with_singular_values(m, n, &[5.0, 4.0, 3.0, 2.0, 1.0, 0.5], 5);
        let mut next = random(6);
        let b: Vec<f64> = (0..m).map(|_| next()).collect();
        for stored in [None, Some(0)] {
            let options = LinearLeastSquares { stored, tolerance: 1e-13, ..Default::default() };
            let report = options.solve(&map::<f64>(&a), &b).unwrap();
            let truth = dense(&a, &b, 0.0, 1e-10);
            assert!(report.outcome == LinearOutcome::LeastSquares && report.iterations <= 8, "{report:?}");
            assert!(distance(&report.x, &truth) < 1e-11 * norm(&truth), "{report:?}");
        }
    }
}

#[test]
fn zero_columns_have_zero_solutions() {
    let a = Mat::from_fn(6, 4, |i, j| if j == 2 { 0.0 } else { ((i + 1) as f64).powi(j as i32) });
    let report = linear_least_squares(&map::<f64>(&a), &[1.0, 2.0, 3.0, 5.0, 8.0, 13.0]).unwrap();
    assert!(report.outcome.converged() && report.x[2] == 0.0);
    let zero = linear_least_squares(&map::<f64>(&Mat::zeros(6, 4)), &[1.0; 6]).unwrap();
    assert_eq!((zero.outcome, zero.x, zero.residual_norm), (LinearOutcome::LeastSquares, vec![0.0; 4], 6.0_f64.sqrt()));
}

#[test]
fn nothing_to_do_costs_nothing() {
    let a = Mat::from_fn(3, 2, |i, j| if i == j { 1.0 } else { 0.0 });
    let zero = linear_least_squares(&map::<f64>(&a), &[0.0; 3]).unwrap();
    assert_eq!((zero.outcome, zero.products, zero.transpose_products), (LinearOutcome::Consistent, 0, 0));
    assert_eq!(zero.x, [0.0; 2]);
    // b ⟂ range(A).
    let normal = linear_least_squares(&map::<f64>(&a), &[0.0, 0.0, 2.0]).unwrap();
    assert_eq!((normal.outcome, normal.products, normal.transpose_products), (LinearOutcome::LeastSquares, 0, 1));
    assert_eq!((normal.x, normal.residual_norm, normal.gradient_norm), (vec![0.0; 2], 2.0, 0.0));
}

#[test]
fn a_first_guess_changes_the_work_and_not_the_answer() {
    let mut next = random(8);
    let a = Mat::from_fn(30, 10, |_, _| next());
    let b: Vec<f64> = (0..30).map(|_| next()).collect();
    let x0: Vec<f64> = (0..10).map(|_| 100.0 * next()).collect();
    for damping in [0.0, 4.0] {
        let options = LinearLeastSquares { damping, tolerance: 1e-13, ..Default::default() };
        let report = options.solve_from(&map::<f64>(&a), &b, &x0).unwrap();
        assert!(report.outcome.converged());
        check_claim(&a, &b, &options, &report);
        assert!(distance(&report.x, &dense(&a, &b, damping, 0.0)) < 1e-11, "{damping} {report:?}");
    }
}

#[test]
fn single_precision_reaches_its_own() {
    let mut next = random(9);
    let a = Mat::from_fn(300, 60, |_, _| next());
    let b: Vec<f64> = (0..300).map(|_| f64::from(next() as f32)).collect();
    let single: Vec<f32> = b.iter().map(|&b| b as f32).collect();
    for (damping, stored) in [(0.0, None), (0.0, Some(0)), (1.0, None)] {
        let options = LinearLeastSquares { damping, stored, tolerance: 0.0, ..Default::default() };
        let report = options.solve(&map::<f32>(&a), &single).unwrap();
        let truth = dense(&a, &b, damping, 0.0);
        let x: Vec<f64> = report.x.iter().map(|&x| f64::from(x)).collect();
        assert!(report.outcome.converged(), "{damping} {report:?}");
        assert!(distance(&x, &truth) < 1e-5 * norm(&truth), "{damping} {}", distance(&x, &truth) / norm(&truth));
    }
}

#[test]
fn products_that_are_not_finite_leave_the_best() {
    let mut next = random(10);
    let a = Mat::from_fn(20, 10, |_, _| next());
    let inner = map::<f64>(&a);
    for fails_at in 0..6 {
        for bad in [f64::NAN, f64::INFINITY] {
            let calls = std::cell::Cell::new(0);
            let fails = || calls.replace(calls.get() + 1) == fails_at;
            let broken = linear_map(
                20,
                10,
                |v: &[f64], out: &mut [f64]| {
                    inner.apply(v, out);
                    if fails() {
                        out[3] = bad;
                    }
                },
                |u: &[f64], out: &mut [f64]| {
                    inner.apply_transpose(u, out);
                    if fails() {
                        out[3] = bad;
                    }
                },
            );
            let report = linear_least_squares(&broken, &[1.0; 20]).unwrap();
            assert_eq!(report.outcome, LinearOutcome::NotFinite, "{fails_at} {report:?}");
            assert!(report.x.iter().all(|x| x.is_finite()));
            assert!(report.residual_norm <= 20.0_f64.sqrt());
            assert!(fails_at < 3 || report.residual_norm < 20.0_f64.sqrt() - 1e-3, "{fails_at} {report:?}");
        }
    }
}

#[test]
fn products_that_are_not_adjoint_are_noticed() {
    let mut next = random(11);
    let a = Mat::from_fn(20, 10, |_, _| next());
    let wrong = Mat::from_fn(20, 10, |i, j| if (i, j) == (4, 7) { -a[(i, j)] } else { a[(i, j)] });
    let (right, wrong) = (map::<f64>(&a), map::<f64>(&wrong));
    let b: Vec<f64> = (0..20).map(|_| next()).collect();
    let mixed = linear_map(
        20,
        10,
        |v: &[f64], out: &mut [f64]| right.apply(v, out),
        |u: &[f64], out: &mut [f64]| wrong.apply_transpose(u, out),
    );
    for stored in [None, Some(0)] {
        let options = LinearLeastSquares { stored, ..Default::default() };
        assert_eq!(options.solve(&mixed, &b).unwrap().outcome, LinearOutcome::NotAdjoint);
    }
    let scaled = linear_map(
        20,
        10,
        |v: &[f64], out: &mut [f64]| right.apply(v, out),
        |u: &[f64], out: &mut [f64]| {
            right.apply_transpose(u, out);
            out.iter_mut().for_each(|x| *x *= -2.0);
        },
    );
    assert_eq!(linear_least_squares(&scaled, &b).unwrap().outcome, LinearOutcome::NotAdjoint);
}

#[test]
fn extreme_scales_do_not_overflow() {
    let a = Mat::from_fn(8, 5, |i, j| 1.0 / (1.0 + i as f64 + 2.0 * j as f64));
    let truth = dense(&a, &[1.0; 8], 0.0, 0.0);
    for (of_a, of_b) in [(1e100, 1e100), (1e-100, 1e100), (1e100, 1e-100), (1e-100, 1e-100), (1.0, 1e-250)] {
        let scaled = Mat::from_fn(8, 5, |i, j| of_a * a[(i, j)]);
        let options = LinearLeastSquares { tolerance: 1e-11, ..Default::default() };
        let report = options.solve(&map::<f64>(&scaled), &[of_b; 8]).unwrap();
        let x: Vec<f64> = report.x.iter().map(|x| x * of_a / of_b).collect();
        assert!(report.outcome.converged(), "{of_a} {of_b} {report:?}");
        assert!(distance(&x, &truth) < 1e-8 * norm(&truth), "{of_a} {of_b} {}", distance(&x, &truth) / norm(&truth));
    }
}

#[test]
fn callers_mistakes_are_named() {
    let a = map::<f64>(&Mat::from_fn(3, 2, |i, j| (i + j) as f64));
    let ok = LinearLeastSquares::default();
    assert_eq!(ok.solve(&a, &[1.0; 2]), Err(Error::Length { argument: "b", expected: 3, found: 2 }));
    assert!(matches!(ok.solve(&a, &[1.0, f64::NAN, 0.0]), Err(Error::NotFinite { argument: "b", index: Some(1), .. })));
    assert!(matches!(ok.solve(&a, &[1.7e308; 3]), Err(Error::NotFinite { .. })));
    assert!(matches!(ok.solve_from(&a, &[1.0; 3], &[0.0]), Err(Error::Length { argument: "x0", .. })));
    assert!(matches!(
        ok.solve_from(&a, &[1.0; 3], &[0.0, f64::INFINITY]),
        Err(Error::NotFinite { argument: "x0", index: Some(1), .. })
    ));
    for (argument, options) in [
        ("damping", LinearLeastSquares { damping: -1.0, ..ok }),
        ("damping", LinearLeastSquares { damping: f64::NAN, ..ok }),
        ("damping", LinearLeastSquares { damping: f64::INFINITY, ..ok }),
        ("tolerance", LinearLeastSquares { tolerance: 1.0, ..ok }),
        ("tolerance", LinearLeastSquares { tolerance: -1e-9, ..ok }),
        ("condition_limit", LinearLeastSquares { condition_limit: 0.5, ..ok }),
    ] {
        match options.solve(&a, &[1.0; 3]) {
            Err(Error::OutOfRange { argument: found, .. }) => assert_eq!(found, argument),
            other => panic!("{argument}: {other:?}"),
        }
    }
    let empty = linear_map(3, 0, |_: &[f64], out: &mut [f64]| out.fill(0.0), |_: &[f64], _: &mut [f64]| {});
    assert!(matches!(ok.solve(&empty, &[1.0; 3]), Err(Error::ZeroDimension { .. })));
    let no_rows = linear_map(0, 2, |_: &[f64], _: &mut [f64]| {}, |_: &[f64], out: &mut [f64]| out.fill(0.0));
    let report = ok.solve(&no_rows, &[]).unwrap();
    assert_eq!((report.outcome, report.x), (LinearOutcome::Consistent, vec![0.0; 2]));
}

#[test]
fn more_damping_means_shorter_solutions() {
    for seed in 0..64 {
        let mut uniform = SplitMix64::new(seed);
        let mut within = |low: f64, high: f64| low + (high - low) * uniform.uniform();
        let [m, n] = [(); 2].map(|()| within(1.0, 30.0) as usize);
        let (exponent, more) = (within(-3.0, 3.0), within(0.01, 2.0));
        let mut next = random(seed);
        let a = Mat::from_fn(m, n, |_, _| next());
        let b: Vec<f64> = (0..m).map(|_| next()).collect();
        let solve = |exponent: f64| {
            let damping = 100.0_f64.powf(exponent);
            let options = LinearLeastSquares { damping, tolerance: 1e-12, ..Default::default() };
            let report = options.solve(&map::<f64>(&a), &b).unwrap();
            check_claim(&a, &b, &options, &report);
            assert!(report.outcome.converged(), "{report:?}");
            let truth = dense(&a, &b, damping, 0.0);
            assert!(distance(&report.x, &truth) <= 1e-7 * norm(&truth), "{report:?}");
            norm(&report.x)
        };
        let (less, more) = (solve(exponent), solve(exponent + more));
        assert!(more <= less * (1.0 + 1e-9));
    }
}

/// A million numbers are, and save iterations; more are not.
#[test]
fn small_problems_store_their_right_vectors() {
    for n in [1000, 1001] {
        let size = |i: usize| 10_f64.powf(-4.0 * (i % 40) as f64 / 39.0);
        let multiply = |v: &[f64], out: &mut [f64]| (0..n).for_each(|i| out[i] = size(i) * v[i]);
        let a = linear_map(n, n, multiply, multiply);
        let mut next = random(1);
        let b: Vec<f64> = (0..n).map(|_| next()).collect();
        let [automatic, all, none] = [None, Some(n), Some(0)].map(|stored| {
            LinearLeastSquares { tolerance: 1e-12, stored, ..Default::default() }.solve(&a, &b).unwrap().iterations
        });
        assert!(all < none, "{all} {none}");
        assert_eq!(automatic, if n == 1000 { all } else { none });
    }
}
