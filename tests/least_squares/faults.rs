//! The least-squares solvers meet everything that can go wrong: they neither panic nor hang, return the best finite
//! point, and never claim convergence falsely.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::time::Duration;

use newton_krylov::{
    Error, Evaluation, GaussNewton, InnerSolver, LeastSquares, LeastSquaresReport, LevenbergMarquardt, Model, Progress,
    Result, Scalar, Scaling, Stopping, Termination, check,
    differences::{Difference, DifferenceModel, JacobianModel, Pattern},
    least_squares, least_squares_dense, least_squares_from_residuals,
    losses::{Arctan, Cauchy, Huber, RobustLoss, SoftL1, Tukey},
    random::SplitMix64,
};

/// Both solvers, with both scalings, and the accelerated one.
fn solve_all<T: Scalar, M: Model<T>, L: RobustLoss>(
    fit: &LeastSquares<T, M, L>,
    x0: &[T],
    stopping: &Stopping,
) -> Vec<(String, Result<LeastSquaresReport<T>>)> {
    let mut results = vec![];
    for scaling in [Scaling::Columns, Scaling::None] {
        for (acceleration, inner) in
            [(false, InnerSolver::Dense), (true, InnerSolver::Dense), (false, InnerSolver::Krylov)]
        {
            let stopping = stopping.clone();
            let solver = LevenbergMarquardt { stopping, scaling, acceleration, inner, ..Default::default() };
            results.push((format!("{solver:?}"), solver.minimize(fit, x0)));
        }
        for inner in [InnerSolver::Dense, InnerSolver::Krylov] {
            let solver = GaussNewton { stopping: stopping.clone(), scaling, inner, ..Default::default() };
            results.push((format!("{solver:?}"), solver.minimize(fit, x0)));
        }
    }
    results
}

fn rosenbrock<T: Scalar>() -> LeastSquares<T, impl Model<T>> {
    rosenbrock_of(valley)
}

fn valley<T: Scalar>(x: &[T], r: &mut [T]) {
    r.copy_from_slice(&[T::from_f64(10.0) * (x[1] - x[0] * x[0]), T::one() - x[0]]);
}

/// With these residuals in the place of its own.
fn rosenbrock_of<T: Scalar>(residual: impl Fn(&[T], &mut [T])) -> LeastSquares<T, impl Model<T>> {
    let c = T::from_f64;
    least_squares(
        2,
        2,
        residual,
        move |x, v, jv: &mut [T]| jv.copy_from_slice(&[c(10.0) * v[1] - c(20.0) * x[0] * v[0], -v[0]]),
        move |x, u, jtu: &mut [T]| jtu.copy_from_slice(&[-c(20.0) * x[0] * u[0] - u[1], c(10.0) * u[0]]),
    )
}

/// ‖Ax − b‖ with A by columns.
fn linear<'a>(a: &'a [f64], b: &'a [f64], n: usize) -> LeastSquares<f64, impl Model<f64> + 'a> {
    let m = b.len();
    least_squares_dense(
        m,
        n,
        move |x: &[f64], r: &mut [f64]| {
            (0..m).for_each(|i| r[i] = (0..n).map(|j| a[j * m + i] * x[j]).sum::<f64>() - b[i])
        },
        move |_, jacobian: &mut [f64]| jacobian.copy_from_slice(a),
    )
}

fn mistakes<T: Scalar>() {
    let fit = rosenbrock::<T>();
    let refuse = |x0: &[T]| LevenbergMarquardt::default().minimize(&fit, x0).unwrap_err();
    assert_eq!(refuse(&[T::one()]), Error::Length { argument: "x0", expected: 2, found: 1 });
    assert!(matches!(refuse(&[T::one(), T::nan()]), Error::NotFinite { argument: "x0", index: Some(1), .. }));
    assert!(matches!(refuse(&[T::one(), T::max_value()]), Error::NotFinite { .. }));

    let nothing = |m, n| least_squares_dense(m, n, |_: &[T], _: &mut [T]| {}, |_: &[T], _: &mut [T]| {});
    let refuse = |m, n| LevenbergMarquardt::default().minimize(&nothing(m, n), &vec![T::one(); n]).unwrap_err();
    assert_eq!(refuse(0, 2), Error::ZeroDimension { argument: "the number of residuals" });
    assert_eq!(refuse(2, 0), Error::ZeroDimension { argument: "the number of parameters" });
    assert_eq!(
        GaussNewton::default().minimize(&nothing(0, 1), &[T::one()]).unwrap_err(),
        Error::ZeroDimension { argument: "the number of residuals" }
    );
}

#[test]
fn mistakes_are_errors_that_name_the_argument() {
    mistakes::<f64>();
    mistakes::<f32>();
    let bad = |residual: f64, slope: f64| {
        let fit = least_squares_dense(1, 1, move |_: &[f64], r: &mut [f64]| r[0] = residual, move |_, j| j[0] = slope);
        LevenbergMarquardt::default().minimize(&fit, &[1.0]).unwrap_err().to_string()
    };
    assert_eq!(bad(f64::NAN, 1.0), "the residuals at x0[0] is NaN, but must be finite");
    assert_eq!(bad(1.0, f64::INFINITY), "the gradient at x0[0] is inf, but must be finite");
    assert_eq!(bad(1e200, 1.0), "the value at x0 is inf, but must be finite");
    let stopping = Stopping { step: -1.0, ..Stopping::default() };
    for (_, result) in solve_all(&rosenbrock(), &[1.0, 2.0], &stopping) {
        assert!(matches!(result, Err(Error::OutOfRange { argument: "stopping.step", .. })));
    }
    assert!(rosenbrock::<f64>().with_loss(Huber::new(1.0).unwrap(), 0).is_err());
    assert!(linear(&[1.0; 3], &[1.0; 3], 1).with_loss(Huber::new(1.0).unwrap(), 2).is_err());
}

#[test]
fn bounds_are_checked_and_named() {
    let with = |lower: [f64; 2], upper: [f64; 2]| rosenbrock::<f64>().with_bounds(&lower, &upper);
    let inf = f64::INFINITY;
    assert_eq!(with([0.0, 2.0], [1.0, 1.0]).err(), Some(Error::EmptyBounds { index: 1, lower: 2.0, upper: 1.0 }));
    assert!(matches!(with([f64::NAN, 2.0], [1.0, 1.0]), Err(Error::EmptyBounds { index: 0, .. })));
    assert!(matches!(with([inf, 0.0], [inf, 1.0]), Err(Error::EmptyBounds { index: 0, .. })));
    assert!(matches!(
        rosenbrock::<f64>().with_bounds(&[0.0], &[1.0, 1.0]),
        Err(Error::Length { argument: "lower", .. })
    ));
    let fit = with([0.0, 0.0], [2.0, 0.5]).unwrap();
    let error = LevenbergMarquardt::default().minimize(&fit, &[1.0, 0.75]).unwrap_err();
    assert_eq!(error, Error::OutsideBounds { index: 1, value: 0.75, lower: 0.0, upper: 0.5 });
    assert_eq!(error.to_string(), "x0[1] is 0.75, but must lie within its bounds 0 and 0.5");
}

#[test]
fn bounded_minima_are_found_and_satisfy_the_conditions() {
    // With x₁ ≤ ½ Rosenbrock's minimum lies on that bound, at the root of 200x₀(x₀² − ½) = 1 − x₀: computed here by
    // Newton's method.
    let mut root = 0.7_f64;
    (0..50).for_each(|_| root -= (200.0 * root * (root * root - 0.5) - 1.0 + root) / (600.0 * root * root - 99.0));
    let inf = f64::INFINITY;
    let visited = Cell::new(true);
    let fit = rosenbrock::<f64>().with_bounds(&[-inf, -inf], &[inf, 0.5]).unwrap();
    for (name, result) in solve_all(&fit, &[-1.2, 0.4], &Stopping::default()) {
        let report = result.unwrap();
        assert!(report.termination.converged() && report.held == [1] && report.x[1] == 0.5, "{name}\n{report}");
        assert!((report.x[0] - root).abs() < 1e-11, "{name}\n{report}");
    }
    // A corner, a fixed component, a start on a bound, and bounds that hold nothing back.
    let cases: [[[f64; 2]; 4]; 4] = [
        [[-2.0, -2.0], [-0.5, 0.1], [-1.0, 0.0], [-0.5, 0.1]],
        [[0.3, -inf], [0.3, inf], [0.3, 5.0], [0.3, 0.09]],
        [[-2.0, -2.0], [1.5, 3.0], [-2.0, 3.0], [1.0, 1.0]],
        [[-inf, -inf], [inf, inf], [-1.2, 1.0], [1.0, 1.0]],
    ];
    for [lower, upper, x0, answer] in cases {
        let fit = rosenbrock_of(|x: &[f64], r| {
            visited.set(visited.get() && (0..2).all(|j| lower[j] <= x[j] && x[j] <= upper[j]));
            valley(x, r);
        });
        let fit = fit.with_bounds(&lower, &upper).unwrap();
        for acceleration in [false, true] {
            let solver = LevenbergMarquardt { acceleration, ..LevenbergMarquardt::default() };
            let report = solver.minimize(&fit, &x0).unwrap();
            assert!(report.termination.converged(), "{x0:?}\n{report}");
            assert!((0..2).all(|j| (report.x[j] - answer[j]).abs() < 1e-9), "{x0:?} {:?}\n{report}", report.x);
        }
        assert!(visited.get(), "residuals were evaluated outside the bounds");
    }
}

#[test]
fn differences_stay_within_bounds() {
    for difference in [Difference::Forward, Difference::Central] {
        let fit = least_squares_from_residuals(
            2,
            2,
            |x: &[f64], r: &mut [f64]| {
                assert!(x[0] >= 0.0 && x[0] <= 1e-12 && x[1] <= 4.0, "{x:?}");
                r.copy_from_slice(&[x[0].sqrt() + x[1] - 5.0, x[1] - 3.0]);
            },
            difference,
        );
        let bounds = (&[0.0, f64::NEG_INFINITY], &[1e-12, 4.0]);
        let borrowed = LeastSquares::new(fit.model()).with_bounds(bounds.0, bounds.1).unwrap();
        let report = LevenbergMarquardt::default().minimize(&borrowed, &[0.0, 4.0]).unwrap();
        assert!((report.x[1] - 4.0).abs() < 1e-6, "{report}");
        let fit = fit.with_bounds(bounds.0, bounds.1).unwrap();
        let report = LevenbergMarquardt::default().minimize(&fit, &[0.0, 4.0]).unwrap();
        assert!((report.x[1] - 4.0).abs() < 1e-6, "{report}");
    }
}

#[test]
fn residuals_that_fail_at_a_trial_point_are_avoided() {
    // ln x: longer steps leave the domain.
    let fit = least_squares(
        1,
        1,
        |x: &[f64], r: &mut [f64]| r[0] = x[0].ln(),
        |x, v, jv: &mut [f64]| jv[0] = v[0] / x[0],
        |x, u, jtu: &mut [f64]| jtu[0] = u[0] / x[0],
    );
    for (name, result) in solve_all(&fit, &[50.0], &Stopping::default()) {
        let report = result.unwrap();
        assert!(report.termination.converged() && (report.x[0] - 1.0).abs() < 1e-12, "{name}\n{report}");
    }
    // Nothing but x0 can be evaluated.
    for failing in [Evaluation::Value, Evaluation::Gradient] {
        let at = |x: &[f64], which| if failing == which && x[0] != 2.0 { f64::NAN } else { 1.0 };
        let fit = least_squares_dense(
            1,
            1,
            |x: &[f64], r: &mut [f64]| r[0] = x[0] * at(x, Evaluation::Value),
            |x, j| j[0] = at(x, Evaluation::Gradient),
        );
        for (name, result) in solve_all(&fit, &[2.0], &Stopping::default()) {
            let report = result.unwrap();
            assert_eq!(report.termination, Termination::NotFinite(failing), "{name}\n{report}");
            assert!(report.x == [2.0] && report.value == 2.0, "{name}\n{report}");
        }
    }
}

#[test]
fn a_callback_that_fails_once_does_not_end_a_run() {
    for failing in 2..12 {
        let calls = Cell::new(0);
        let fit = rosenbrock_of(|x: &[f64], r| {
            calls.set(calls.get() + 1);
            valley(x, r);
            if calls.get() == failing {
                r[0] = f64::NAN;
            }
        });
        let report = LevenbergMarquardt::default().minimize(&fit, &[-1.2, 1.0]).unwrap();
        assert!(report.termination.converged() && (report.x[0] - 1.0).abs() < 1e-10, "{failing}\n{report}");
    }
}

#[test]
fn singular_and_wide_problems_have_the_shortest_answer() {
    // Rank 1, with a zero column: a stationary point, and the rank is told.
    let (a, b) = ([1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 2.0, 4.0, 6.0], [1.0, 1.0, 1.0]);
    for (name, result) in solve_all(&linear(&a, &b, 3), &[0.3, 0.5, -0.1], &Stopping::default()) {
        let report = result.unwrap();
        assert!(report.termination.converged(), "{name}\n{report}");
        assert!((report.value - 0.5 * (3.0 - 36.0 / 14.0)).abs() < 1e-14 && report.x[1] == 0.5, "{name}\n{report}");
        assert!(report.rank.is_none_or(|rank| rank == 1), "{name}\n{report}");
    }
    // One residual, three parameters, m < n: from 0 without scaling the answer is the shortest, a / ‖a‖².
    let fit = linear(&[1.0, 2.0, 2.0], &[9.0], 3);
    for (name, result) in solve_all(&fit, &[0.0; 3], &Stopping::default()) {
        let report = result.unwrap();
        assert!(report.termination.converged() && report.value < 1e-28, "{name}\n{report}");
        let shortest = name.contains("scaling: None");
        assert!(!shortest || (report.x[0] - 1.0).abs() + (report.x[1] - 2.0).abs() < 1e-13, "{name}\n{report}");
    }
    // No slope at all.
    for (name, result) in solve_all(&linear(&[0.0; 4], &[1.0, 2.0], 2), &[1.0, 1.0], &Stopping::default()) {
        let report = result.unwrap();
        let ended = report.termination.converged() || report.termination == Termination::FlatValley;
        assert!(ended && report.gradient_norm == 0.0 && report.iterations() == 0, "{name}");
    }
}

fn units<T: Scalar>() {
    // Units of parameters and residuals do not matter: the iterates are the same.
    let run = |p: f64, q: f64, c: f64| {
        let f = T::from_f64;
        let fit = least_squares(
            2,
            2,
            move |x: &[T], r: &mut [T]| {
                let (x, y) = (x[0] / f(p), x[1] / f(q));
                r.copy_from_slice(&[f(10.0 * c) * (y - x * x), f(c) * (T::one() - x)]);
            },
            move |x, v, jv: &mut [T]| {
                let (x, v, w) = (x[0] / f(p), v[0] / f(p), v[1] / f(q));
                jv.copy_from_slice(&[f(c) * (f(10.0) * w - f(20.0) * x * v), -f(c) * v]);
            },
            move |x, u, jtu: &mut [T]| {
                let x = x[0] / f(p);
                jtu.copy_from_slice(&[f(c) * (-f(20.0) * x * u[0] - u[1]) / f(p), f(10.0 * c) * u[0] / f(q)]);
            },
        );
        let report = LevenbergMarquardt::default().minimize(&fit, &[f(-1.2 * p), f(q)]).unwrap();
        assert!(report.termination.converged(), "{p} {q} {c}\n{report}");
        assert!((Into::<f64>::into(report.x[0]) / p - 1.0).abs() < 1e-4, "{report}");
        report.iterations()
    };
    let iterations = run(1.0, 1.0, 1.0);
    for (p, q, c) in
        [(1024.0, 1.0, 1.0), (1.0 / 4096.0, 65536.0, 1.0), (1.0, 1.0, 1048576.0), (1.0, 1.0, 1e-6_f64.exp2())]
    {
        assert_eq!(run(p, q, c), iterations, "{p} {q} {c}");
    }
}

#[test]
fn units_do_not_matter() {
    units::<f64>();
    units::<f32>();
}

#[test]
fn extreme_scales_are_no_obstacle() {
    for scale in [1e-140, 1e-30, 1e30, 1e140] {
        let (a, b) = ([scale, 0.0, 0.0, 2.0 * scale], [scale, scale]);
        let fit = linear(&a, &b, 2);
        for (name, result) in solve_all(&fit, &[5.0, -3.0], &Stopping::default()) {
            let report = result.unwrap();
            assert!(report.termination.converged(), "{scale} {name}\n{report}");
            assert!((report.x[0] - 1.0).abs() + (report.x[1] - 0.5).abs() < 1e-12, "{scale} {name}\n{report}");
        }
    }
}

/// A residual that is rounding beside the terms of another one is none beside its own; and what was rounding of the
/// residuals at a far start is none near the solution.
#[test]
fn rounding_elsewhere_is_no_excuse() {
    let fit = least_squares(
        2,
        2,
        |x: &[f64], r: &mut [f64]| r.copy_from_slice(&[1e20 * (x[0] - 1.0), x[1] - 1.0]),
        |_, v, jv: &mut [f64]| jv.copy_from_slice(&[1e20 * v[0], v[1]]),
        |_, u, jtu: &mut [f64]| jtu.copy_from_slice(&[1e20 * u[0], u[1]]),
    );
    for (solver, report) in solve_all(&fit, &[1.0, 0.0], &Stopping::default()) {
        let report = report.unwrap();
        if report.rank == Some(1) {
            assert_eq!(report.termination, Termination::Stalled, "{solver}\n{report}");
        } else {
            assert_eq!(report.x, [1.0, 1.0], "{solver}\n{report}");
        }
    }
    let fit = least_squares(
        1,
        1,
        |x: &[f64], r: &mut [f64]| r[0] = x[0].exp() - 2.0,
        |x, v, jv: &mut [f64]| jv[0] = x[0].exp() * v[0],
        |x, u, jtu: &mut [f64]| jtu[0] = x[0].exp() * u[0],
    );
    for (solver, report) in solve_all(&fit, &[60.0], &Stopping::default()) {
        let report = report.unwrap();
        assert!((report.x[0] - 2.0_f64.ln()).abs() < 1e-15, "{solver}\n{report}");
    }
}

#[test]
fn an_observer_and_every_limit_stop_at_the_best_point() {
    let solver = LevenbergMarquardt::default();
    let mut values = vec![];
    let report = solver
        .minimize_with(&rosenbrock::<f64>(), &[-1.2, 1.0], |progress: &Progress<'_, f64>| {
            values.push(progress.value);
            if progress.iteration == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!((report.termination, report.iterations(), values.len()), (Termination::Observer, 4, 5));
    assert!(report.value == values[4] && values.is_sorted_by(|a, b| a > b), "{values:?}");
    let stopping = Stopping::default;
    let limits = [
        (Stopping { max_iterations: 3, ..stopping() }, Termination::MaxIterations),
        (Stopping { max_values: 5, ..stopping() }, Termination::MaxValues),
        (Stopping { max_gradients: 4, ..stopping() }, Termination::MaxGradients),
        (Stopping { max_products: 7, ..stopping() }, Termination::MaxProducts),
        (Stopping { max_products: 1, ..stopping() }, Termination::MaxProducts),
        (Stopping { max_time: Duration::ZERO, ..stopping() }, Termination::MaxTime),
        (Stopping { target_value: 2.5, ..stopping() }, Termination::TargetValue),
        (Stopping { decrease: 0.9, ..stopping() }, Termination::DecreaseTolerance),
        (Stopping { step: 1.0, ..stopping() }, Termination::StepTolerance),
        (Stopping { gradient_absolute: 5.0, ..stopping() }, Termination::GradientTolerance),
    ];
    for (stopping, termination) in limits {
        for (name, result) in solve_all(&rosenbrock(), &[-1.2, 1.0], &stopping) {
            let report = result.unwrap();
            assert_eq!(report.termination, termination, "{name}\n{report}");
            let totals = report.counts;
            assert!(totals.values <= stopping.max_values, "{name}");
            assert!(totals.gradients <= stopping.max_gradients, "{name}");
            assert!(totals.all_products() <= stopping.max_products, "{name} {totals}");
            assert!(report.value <= report.initial_value && report.x.iter().all(|x: &f64| x.is_finite()), "{name}");
        }
    }
}

#[test]
fn limits_are_kept_exactly_by_differences_as_well() {
    // The peak's centre starts where it says nothing of its unit: its column needs other steps.
    let peak = |x: &[f64], r: &mut [f64]| {
        let at = |t: f64, [a, b, c]: [f64; 3]| a * (-((t - b) / c).powi(2)).exp();
        for (i, r) in r.iter_mut().enumerate() {
            let t = 0.3 * i as f64;
            *r = at(t, [x[0], x[1], x[2]]) - at(t, [5e6, 3.0, 0.7]);
        }
    };
    let calls = Cell::new(0);
    for difference in [Difference::Forward, Difference::Central] {
        for limit in 1..60 {
            let model = DifferenceModel::new(
                20,
                3,
                |x: &[f64], r: &mut [f64]| {
                    calls.set(calls.get() + 1);
                    peak(x, r);
                },
                difference,
            );
            let fit = LeastSquares::new(model);
            let stopping = Stopping { max_values: limit, ..Stopping::default() };
            for solver in [false, true] {
                calls.set(0);
                let report = if solver {
                    GaussNewton { stopping: stopping.clone(), ..Default::default() }.minimize(&fit, &[1e7, 0.0, 1.0])
                } else {
                    LevenbergMarquardt { stopping: stopping.clone(), ..Default::default() }
                        .minimize(&fit, &[1e7, 0.0, 1.0])
                };
                let report = report.unwrap();
                assert!(calls.get() <= limit, "{difference:?}: {} calls instead of {limit}", calls.get());
                assert_eq!(report.counts.values, calls.get());
                let mut residual = vec![0.0; 20];
                peak(&report.x, &mut residual);
                assert_eq!(report.residual, residual, "{difference:?} {limit}");
            }
        }
    }
}

#[test]
fn a_wrong_jacobian_is_noticed() {
    // Of the wrong sign: no step helps, however short.
    let fit = least_squares_dense(2, 2, valley::<f64>, |x, j| j.copy_from_slice(&[20.0 * x[0], 1.0, -10.0, 0.0]));
    for (name, result) in solve_all(&fit, &[-1.2, 1.0], &Stopping::default()) {
        let report = result.unwrap();
        assert_eq!(report.termination, Termination::InconsistentGradient, "{name}\n{report}");
        assert!(report.x == [-1.2, 1.0]);
    }
    let verdict = check::least_squares(&fit, &[-1.2, 1.0], 1).unwrap();
    assert_eq!(verdict.product.finding.outcome, check::Outcome::OppositeSign, "{verdict}");
}

#[test]
fn products_that_say_zero_do_not_pass_for_a_minimum() {
    fn meets<T: Scalar>() {
        let jacobian = |x: &[T]| [T::from_f64(-20.0) * x[0], T::from_f64(10.0)];
        let calls = Cell::new(0);
        // `zero` says whether a product with J (false) or Jᵀ (true) says zero at its call of this number.
        let run = |zero: &dyn Fn(bool, usize) -> bool, x0: [f64; 2]| {
            let here = |transposed| {
                calls.set(calls.get() + 1);
                zero(transposed, calls.get())
            };
            let fit = least_squares(
                2,
                2,
                valley::<T>,
                |x, v, jv| match here(false) {
                    true => jv.fill(T::zero()),
                    false => jv.copy_from_slice(&[jacobian(x)[0] * v[0] + jacobian(x)[1] * v[1], -v[0]]),
                },
                |x, u, jtu| match here(true) {
                    true => jtu.fill(T::zero()),
                    false => jtu.copy_from_slice(&[jacobian(x)[0] * u[0] - u[1], jacobian(x)[1] * u[0]]),
                },
            );
            calls.set(0);
            let stopping = Stopping { max_iterations: 50, ..Stopping::default() };
            let x0 = x0.map(T::from_f64);
            solve_all(&fit, &x0, &stopping)
                .into_iter()
                .map(|(name, result)| (name, result.unwrap()))
                .collect::<Vec<_>>()
        };
        for transposed in [false, true] {
            let mut inconsistent = 0;
            for (name, report) in run(&|which, _| which == transposed, [-1.2, 1.0]) {
                // Those that go by the other product alone arrive at r = 0.
                let there = report.value < T::epsilon().into().powi(2);
                assert!(there || !report.termination.converged(), "{name}\n{report}");
                inconsistent += usize::from(report.termination == Termination::InconsistentGradient);
            }
            // Those that go by what says zero: J is formed from products with J, Golub and Kahan's space begins with Jᵀr.
            assert!(inconsistent >= 4, "{inconsistent}");
        }
        // Where r is zero so is the gradient, and nobody asks further.
        for (name, report) in run(&|_, _| false, [1.0, 1.0]) {
            assert!(report.termination.converged() && report.counts.all_products() <= 6, "{name}\n{report}");
        }
    }
    meets::<f64>();
    meets::<f32>();
}

#[test]
fn a_gradient_that_is_zero_is_believed_where_products_agree() {
    // (1, x): the minimum at 0 has the residuals (1, 0).
    let fit = least_squares(
        2,
        1,
        |x: &[f64], r: &mut [f64]| r.copy_from_slice(&[1.0, x[0]]),
        |_, v, jv| jv.copy_from_slice(&[0.0, v[0]]),
        |_, u, jtu| jtu[0] = u[1],
    );
    for (name, result) in solve_all(&fit, &[0.0], &Stopping::default()) {
        assert!(result.unwrap().termination.converged(), "{name}");
    }
    // 1e-30 (1, x), where a gradient is 1e-60 x: zero to `f32`.
    let small = least_squares(
        2,
        1,
        |x: &[f32], r: &mut [f32]| r.copy_from_slice(&[1e-30, 1e-30 * x[0]]),
        |_, v, jv| jv.copy_from_slice(&[0.0, 1e-30 * v[0]]),
        |_, u, jtu| jtu[0] = 1e-30 * u[1],
    );
    for (name, result) in solve_all(&small, &[0.5], &Stopping::default()) {
        assert!(result.unwrap().termination != Termination::InconsistentGradient, "{name}");
    }
}

#[test]
fn the_check_says_which_product_is_wrong() {
    let fit = |jv_factor: f64, jtu_term: f64| {
        least_squares(
            3,
            2,
            |x: &[f64], r: &mut [f64]| r.copy_from_slice(&[x[0] * x[1], x[0].sin(), x[1].exp()]),
            move |x: &[f64], v: &[f64], jv: &mut [f64]| {
                let exact = [x[1] * v[0] + x[0] * v[1], x[0].cos() * v[0], x[1].exp() * v[1]];
                (0..3).for_each(|i| jv[i] = jv_factor * exact[i]);
            },
            move |x: &[f64], u: &[f64], jtu: &mut [f64]| {
                jtu[0] = x[1] * u[0] + x[0].cos() * u[1];
                jtu[1] = x[0] * u[0] + jtu_term * x[1].exp() * u[2];
            },
        )
    };
    let x = [0.3, 0.7];
    let verdict = check::least_squares(&fit(1.0, 1.0), &x, 1).unwrap();
    assert!(verdict.passed(), "{verdict}");
    let verdict = check::least_squares(&fit(1.0, 0.0), &x, 1).unwrap();
    assert!(verdict.product.finding.passed() && !verdict.transpose.finding.passed(), "{verdict}");
    assert_eq!(verdict.adjoint.outcome, check::Outcome::NotAdjoint, "{verdict}");
    assert!(verdict.to_string().contains("Jᵀu"), "{verdict}");
    let verdict = check::least_squares(&fit(2.0, 1.0), &x, 1).unwrap();
    assert!(verdict.transpose.finding.passed() && !verdict.adjoint.passed(), "{verdict}");
    assert_eq!(verdict.product.finding.outcome, check::Outcome::Factor(2.0), "{verdict}");

    let silent = least_squares(
        2,
        1,
        |x: &[f64], r: &mut [f64]| r.copy_from_slice(&[x[0], f64::NAN]),
        |_, v, jv: &mut [f64]| jv[0] = v[0],
        |_, u, jtu: &mut [f64]| jtu[0] += u[0],
    );
    let verdict = check::least_squares(&silent, &[1.0], 1).unwrap();
    assert_eq!(verdict.residuals.outcome, check::Outcome::NotFinite { component: Some(1) }, "{verdict}");
    assert_eq!(verdict.product_evaluation.outcome, check::Outcome::Unwritten { component: 1 }, "{verdict}");
    assert_eq!(verdict.transpose_evaluation.outcome, check::Outcome::ReadsOutput, "{verdict}");
    assert!(check::least_squares(&silent, &[1.0, 2.0], 1).is_err());
}

/// An entry of the matrix that is not written, anywhere or at some points only, is named by row and column.
#[test]
fn check_names_entries_that_are_not_written() {
    let residual = |x: &[f64], r: &mut [f64]| r.copy_from_slice(&[x[0] * x[1], x[0].sin(), x[1].exp()]);
    let write = |x: &[f64], j: &mut [f64], left: Option<usize>| {
        for (k, entry) in [x[1], x[0].cos(), 0.0, x[0], 0.0, x[1].exp()].into_iter().enumerate() {
            if left != Some(k) {
                j[k] = entry;
            }
        }
    };
    let x = [0.3, 0.7];
    for left in 0..6 {
        let unwritten = check::Outcome::UnwrittenEntry { row: left % 3, column: left / 3 };
        for only_elsewhere in [false, true] {
            let fit = least_squares_dense(3, 2, residual, |at: &[f64], j: &mut [f64]| {
                write(at, j, Some(left).filter(|_| !only_elsewhere || at != x));
            });
            let verdict = check::least_squares(&fit, &x, 1).unwrap();
            assert_eq!(verdict.product_evaluation.outcome, unwritten, "{verdict}");
            let words = format!("row {} of column {} of the Jacobian is not written", left % 3, left / 3);
            assert!(verdict.to_string().contains(&words) && verdict.to_string().lines().count() < 12, "{verdict}");
        }
        // A solver takes it for no number.
        let fit = least_squares_dense(3, 2, residual, |x: &[f64], j: &mut [f64]| write(x, j, Some(left)));
        assert!(matches!(LevenbergMarquardt::default().minimize(&fit, &x), Err(Error::NotFinite { .. })));
    }
    let entries: Vec<_> = (0..6).map(|k| (k % 3, k / 3)).collect();
    let pattern = Pattern::new(3, 2, &entries).unwrap();
    let sparse = JacobianModel::sparse(pattern, residual, |x: &[f64], j: &mut [f64]| write(x, j, Some(4)));
    let verdict = check::least_squares(&LeastSquares::new(sparse), &x, 1).unwrap();
    let unwritten = check::Outcome::UnwrittenEntry { row: 1, column: 1 };
    assert_eq!(verdict.product_evaluation.outcome, unwritten, "{verdict}");
    let all = least_squares_dense(3, 2, residual, |x: &[f64], j: &mut [f64]| write(x, j, None));
    assert!(check::least_squares(&all, &x, 1).unwrap().passed());
}

/// The largest |Jⱼᵀr| / (‖Jⱼ‖‖r‖).
fn cosine(columns: &[f64], r: &[f64]) -> f64 {
    let norm = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
    let along = |column: &[f64]| column.iter().zip(r).map(|(j, r)| j * r).sum::<f64>().abs();
    columns.chunks(r.len()).map(|column| along(column) / norm(column) / norm(r)).fold(0.0, f64::max)
}

/// One absurd number in J, or in the residuals that it is made from, makes no point converged.
#[test]
fn absurd_entries_of_the_jacobian_make_no_minimum() {
    const TIMES: [f64; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0];
    let data = |i: usize| 5.0 * (-0.8 * TIMES[i]).exp() + 1.5 + 0.1 * (7.3 * i as f64).sin();
    let residual = |x: &[f64], r: &mut [f64]| {
        (0..8).for_each(|i| r[i] = x[0] * (-x[1] * TIMES[i]).exp() + x[2] - data(i));
    };
    let jacobian = |x: &[f64], j: &mut [f64]| {
        for (i, t) in TIMES.into_iter().enumerate() {
            let e = (-x[1] * t).exp();
            (j[i], j[8 + i], j[16 + i]) = (e, -x[0] * t * e, 1.0);
        }
    };
    let x0 = [2.0, 0.3, 0.5];
    let mut random = SplitMix64::new(1);
    let mut pick = |below: usize| (random.next_u64() % below as u64) as usize;
    let (mut converged, mut runs) = (0, 0);
    for _ in 0..1000 {
        let absurd = [1e300, -1e300, 1e100, 1e30, f64::NAN, f64::INFINITY, -0.0][pick(7)];
        let (at, row, column) = (1 + pick(10), pick(8), pick(3));
        let calls = Cell::new(0);
        let now = |at: usize| {
            calls.set(calls.get() + 1);
            calls.get() == at
        };
        let stopping = Stopping { max_values: 2000, max_gradients: 500, ..Stopping::default() };
        let scaling = [Scaling::Columns, Scaling::None][pick(2)];
        let marquardt = LevenbergMarquardt { stopping: stopping.clone(), scaling, ..Default::default() };
        let gauss = GaussNewton { stopping, scaling, ..Default::default() };
        let exact = least_squares_dense(8, 3, residual, |x: &[f64], j: &mut [f64]| {
            jacobian(x, j);
            if now(at) {
                j[8 * column + row] = absurd;
            }
        });
        // A residual of -0 is a value like others.
        let absurd = if absurd == 0.0 { 1e200 } else { absurd };
        let broken = |x: &[f64], r: &mut [f64]| {
            residual(x, r);
            if now(5 * at) {
                r[row] = absurd;
            }
        };
        let [forward, central] =
            [Difference::Forward, Difference::Central].map(|d| least_squares_from_residuals(8, 3, broken, d));
        let results = match pick(6) {
            0 => marquardt.minimize(&exact, &x0),
            1 => gauss.minimize(&exact, &x0),
            2 => marquardt.minimize(&forward, &x0),
            3 => gauss.minimize(&forward, &x0),
            4 => marquardt.minimize(&central, &x0),
            _ => gauss.minimize(&central, &x0),
        };
        let Ok(report) = results else { continue };
        runs += 1;
        assert!(report.counts.values <= 2000);
        if report.termination.converged() {
            let (mut r, mut j) = ([0.0; 8], [0.0; 24]);
            residual(&report.x, &mut r);
            jacobian(&report.x, &mut j);
            assert!(cosine(&j, &r) < 1e-5, "{absurd} at call {at}, row {row}, column {column}\n{report}");
            converged += 1;
        }
    }
    assert!(runs > 900 && 2 * converged > runs, "{converged} of {runs}");
}

/// A line through points with outliers: (a, b) near (1, 2).
fn line() -> (Vec<f64>, Vec<f64>) {
    let t: Vec<f64> = (0..40).map(|i| 0.25 * i as f64).collect();
    let noise = |i: usize| 0.05 * (7.3 * i as f64).sin() + if i % 7 == 3 { 15.0 } else { 0.0 };
    let y = t.iter().enumerate().map(|(i, t)| 1.0 + 2.0 * t + noise(i)).collect();
    (t, y)
}

fn robust(loss: impl RobustLoss + Copy, convex: bool) {
    let (t, y) = line();
    let m = t.len();
    let fit = || {
        least_squares_dense(
            m,
            2,
            |x: &[f64], r: &mut [f64]| (0..m).for_each(|i| r[i] = x[0] + x[1] * t[i] - y[i]),
            |_, j| {
                j[..m].fill(1.0);
                j[m..].copy_from_slice(&t);
            },
        )
    };
    let start = [0.5, 2.2];
    let robust = fit().with_loss(loss, 1).unwrap();
    for acceleration in [false, true] {
        let solver = LevenbergMarquardt { acceleration, ..LevenbergMarquardt::default() };
        let report = solver.minimize(&robust, &start).unwrap();
        assert!(report.termination.converged(), "{report}");
        assert!((report.x[0] - 1.0).abs() < 0.1 && (report.x[1] - 2.0).abs() < 0.1, "{:?}\n{report:#}", report.x);
        assert!(report.iterations() <= 60, "{report}");
        // The value and the stationarity, from the loss itself.
        let residual = |i: usize| report.x[0] + report.x[1] * t[i] - y[i];
        let value: f64 = (0..m).map(|i| 0.5 * loss.evaluate(residual(i).powi(2))[0]).sum();
        assert!((value - report.value).abs() <= 1e-13 * value);
        let slope = |g: &dyn Fn(usize) -> f64| {
            (0..m).map(|i| loss.evaluate(residual(i).powi(2))[1] * residual(i) * g(i)).sum::<f64>()
        };
        assert!(
            slope(&|_| 1.0).abs() < 1e-6 && slope(&|i| t[i]).abs() < 1e-6,
            "{} {}",
            slope(&|_| 1.0),
            slope(&|i| t[i])
        );
    }
    if convex {
        let report = GaussNewton::default().minimize(&robust, &[0.0, 0.0]).unwrap();
        assert!(report.termination.converged() && (report.x[1] - 2.0).abs() < 0.1, "{report}");
    }
    let plain = LevenbergMarquardt::default().minimize(&fit(), &start).unwrap();
    assert!((plain.x[0] - 1.0).abs() > 0.5, "without the loss the outliers win");
}

#[test]
fn outliers_lose_under_a_robust_loss() {
    robust(Huber::new(0.3).unwrap(), true);
    robust(SoftL1::new(0.3).unwrap(), true);
    robust(Cauchy::new(0.3).unwrap(), false);
    robust(Arctan::new(1.0).unwrap(), false);
    robust(Tukey::new(3.0).unwrap(), false);
    robust(|s: f64| [s.ln_1p(), 1.0 / (1.0 + s), -1.0 / (1.0 + s).powi(2)], false);
}

#[test]
fn reports_print() {
    let report = LevenbergMarquardt::default().minimize(&rosenbrock::<f64>(), &[-1.2, 1.0]).unwrap();
    let text = format!("{report:#}");
    assert!(
        text.contains("2 parameters, 2 residuals") && text.contains("converged") && text.contains("ratio"),
        "{text}"
    );
    assert!(text.contains(&format!("{} residuals, {} Jacobians", report.counts.values, report.counts.gradients)));
}
