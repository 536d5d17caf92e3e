//! Any metric under any control: the bare steps against dense solves, the short names, what becomes of runs, and the table of
//! all pairs.

use std::ops::ControlFlow;

use crate::common::solve;
use crate::vectors::dot;
use newton_krylov::models::{Activation, MultilayerPerceptron};
use newton_krylov::{
    Control, CubicRegularization, Descent, Evaluation, Expansion, InnerSolver, Memory, Metric, NaturalGradient,
    NewtonCg, Objective, Report, Scalar, Stopping, SymmetricOperator, Termination, TrustRegion,
    first_order::{FirstOrder, GradientDescent},
    fit,
    losses::SoftmaxCrossEntropy,
    objective,
    random::SplitMix64,
};

const METRICS: [Metric; 8] = [
    Metric::Identity,
    Metric::Hessian,
    Metric::GaussNewton,
    Metric::GeneralizedGaussNewton,
    Metric::Fisher,
    Metric::SampledFisher { seed: 1, draws: 4 },
    Metric::EmpiricalFisher,
    Metric::GradientCovariance,
];

/// Forty samples of three classes in the plane, some of them on the wrong side.
fn samples() -> (Vec<f64>, Vec<usize>) {
    let mut random = SplitMix64::new(3);
    let labels: Vec<usize> = (0..40).map(|i| i % 3).collect();
    let center = |label: usize| [[1.0, 0.0], [-0.5, 0.8], [-0.5, -0.8]][label];
    let inputs = labels.iter().flat_map(|&label| center(label).map(|c| c + 0.7 * random.normal())).collect();
    (inputs, labels)
}

/// Softmax regression, whose Hessian is never indefinite, and a small network; each with a start.
fn networks() -> [(&'static str, MultilayerPerceptron, Vec<f64>); 2] {
    let regression = MultilayerPerceptron::new(&[2, 3], &[Activation::Identity]).unwrap();
    let network = MultilayerPerceptron::new(&[2, 4, 3], &[Activation::Tanh, Activation::Identity]).unwrap();
    let start = network.initial(5);
    [("regression", regression, vec![0.1; 9]), ("network", network, start)]
}

/// The mean cross-entropy with ½·10⁻²‖x‖².
fn problem<'a, T: Scalar>(
    network: &'a MultilayerPerceptron,
    inputs: &'a [T],
    labels: &[usize],
    metric: Metric,
) -> impl Objective<T> + 'a {
    let loss = SoftmaxCrossEntropy::new(labels.to_vec(), 3).unwrap();
    fit(network.on(inputs).unwrap(), loss, metric).unwrap().with_regularization(1e-2).unwrap()
}

fn limited(control: Control, damping: f64, max_iterations: usize, inner: InnerSolver) -> Descent {
    let stopping = Stopping { max_iterations, gradient_relative: 1e-6, ..Stopping::default() };
    Descent { damping, stopping, inner, ..Descent::new(control) }
}

/// All points that a run visits.
fn path<T: Scalar>(solver: &Descent, f: &impl Objective<T>, x0: &[T]) -> (Report<T>, Vec<Vec<T>>) {
    let mut points = vec![];
    let report = solver.minimize_with(f, x0, |progress| {
        points.push(progress.x.to_vec());
        ControlFlow::Continue(())
    });
    (report.unwrap(), points)
}

fn wide<T: Scalar>(x: &[T]) -> Vec<f64> {
    x.iter().map(|&x| x.into()).collect()
}

/// M and g at x.
fn dense<T: Scalar>(f: &impl Objective<T>, x: &[T]) -> (Vec<f64>, Vec<f64>) {
    let (n, at) = (x.len(), f.expand(x));
    let (mut matrix, mut gradient) = (vec![T::nan(); n * n], vec![T::nan(); n]);
    at.form(&mut matrix);
    at.gradient(&mut gradient);
    (wide(&matrix), wide(&gradient))
}

/// Three steps each of −γ(M + λI)⁻¹g and of −α(M + λI)⁻¹g with α = ε/√(gᵀ(M + λI)⁻¹g), by dense solves.
fn check_bare_steps<T: Scalar>(tolerance: impl Fn(InnerSolver) -> f64) {
    let (inputs, labels) = samples();
    let inputs: Vec<T> = inputs.iter().map(|&x| T::from_f64(x)).collect();
    let lambda = 0.05;
    for (name, network, start) in networks() {
        let x0: Vec<T> = start.iter().map(|&x| T::from_f64(x)).collect();
        for metric in METRICS {
            if (name, metric) == ("network", Metric::Hessian) {
                continue; // may be indefinite
            }
            let f = problem(&network, &inputs, &labels, metric);
            for control in [Control::FixedRate(0.3), Control::Ball(0.2)] {
                for inner in [InnerSolver::Dense, InnerSolver::Krylov] {
                    let what = format!("{name}, {metric:?}, {control:?}, {inner:?}");
                    let (report, points) = path(&limited(control, lambda, 3, inner), &f, &x0);
                    assert_eq!((report.termination, points.len()), (Termination::MaxIterations, 4), "{what}");
                    for pair in points.windows(2) {
                        let (mut m, g) = dense(&f, &pair[0]);
                        m.iter_mut().step_by(g.len() + 1).for_each(|m| *m += lambda);
                        let direction = solve(&m, &g);
                        let length = match control {
                            Control::FixedRate(gamma) => gamma,
                            _ => 0.2 / dot(&g, &direction).sqrt(),
                        };
                        let (from, to) = (wide(&pair[0]), wide(&pair[1]));
                        let size = length * dot(&direction, &direction).sqrt();
                        for i in 0..g.len() {
                            let error = (to[i] - from[i] + length * direction[i]).abs();
                            assert!(error <= tolerance(inner) * size, "{what}: {error} of {size}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn bare_steps_are_the_formulas() {
    // A residual of 1e-10 over λ is what the Krylov path may leave.
    check_bare_steps::<f64>(|inner| if inner == InnerSolver::Dense { 1e-10 } else { 4e-9 });
    check_bare_steps::<f32>(|_| 1e-4);
}

/// The short names are the same runs where they do not learn the Hessian beside the metric.
#[test]
fn short_names_are_the_same_runs() {
    let (inputs, labels) = samples();
    let (_, network, x0) = &networks()[1];
    let stopping = || Stopping { max_iterations: 15, ..Stopping::default() };
    let (memory, inner) = (Memory::Forgetful(100), InnerSolver::Automatic);
    for metric in [Metric::Hessian, Metric::Fisher] {
        let f = problem(network, &inputs, &labels, metric);
        let check = |control, report: newton_krylov::Result<Report<f64>>| {
            let descent = Descent { stopping: stopping(), memory, ..Descent::new(control) };
            let (found, expected) = (descent.minimize(&f, x0).unwrap(), report.unwrap());
            // To rounding: where the model has the last word its eigenvalues are asked for, and solve the next subproblem.
            let apart = found.x.iter().zip(&expected.x).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs()));
            assert!(apart < 1e-11, "{metric:?}, {control:?}: {apart}");
            assert_eq!(found.counts, expected.counts, "{metric:?}, {control:?}");
        };
        check(Control::TrustRegion, TrustRegion { stopping: stopping(), inner, memory }.minimize(&f, x0));
        check(Control::LineSearch, NewtonCg { stopping: stopping(), inner, memory }.minimize(&f, x0));
        check(Control::Cubic, CubicRegularization { stopping: stopping(), inner, memory }.minimize(&f, x0));
        if metric == Metric::Fisher {
            let natural = NaturalGradient { stopping: stopping(), memory, damping: 0.0, ..NaturalGradient::default() };
            check(Control::Divergence(0.01), natural.minimize(&f, x0));
        }
    }
}

/// x − γg, whichever way it is called.
#[test]
fn the_identity_at_a_fixed_rate_is_gradient_descent() {
    let (inputs, labels) = samples();
    for (name, network, x0) in networks() {
        let f = problem(&network, &inputs, &labels, Metric::Identity);
        let solver = limited(Control::FixedRate(0.7), 0.0, 30, InnerSolver::Automatic);
        let (report, points) = path(&solver, &f, &x0);
        let mut plain = vec![];
        let first_order =
            FirstOrder { stopping: solver.stopping.clone(), ..FirstOrder::new(GradientDescent { rate: 0.7 }) };
        let expected = first_order.minimize_with(&f, &x0, |progress| {
            plain.push(progress.x.to_vec());
            ControlFlow::Continue(())
        });
        assert_eq!(report.termination, expected.unwrap().termination);
        for (a, b) in points.iter().flatten().zip(plain.iter().flatten()) {
            assert!((a - b).abs() <= 1e-13, "{name}: {a} and {b}");
        }
    }
}

/// Without hidden units h is linear, and so its second derivatives have no part in the Hessian.
#[test]
fn a_linear_model_has_one_curvature() {
    let (inputs, labels) = samples();
    let (_, regression, x0) = &networks()[0];
    let matrix = |metric| dense(&problem(regression, &inputs, &labels, metric), x0).0;
    let (hessian, generalized) = (matrix(Metric::Hessian), matrix(Metric::GeneralizedGaussNewton));
    assert!(hessian.iter().zip(&generalized).all(|(a, b)| (a - b).abs() <= 1e-14));
}

/// λ is on the metric under every control: the same as products with M + λI.
#[test]
fn damping_is_on_the_metric() {
    let value = |x: &[f64]| (x[0] - 1.0).powi(4) + (x[0] + x[1]).powi(2);
    let gradient = |x: &[f64], g: &mut [f64]| {
        g[1] = 2.0 * (x[0] + x[1]);
        g[0] = 4.0 * (x[0] - 1.0).powi(3) + g[1];
    };
    let product = |lambda: f64| {
        move |x: &[f64], v: &[f64], hv: &mut [f64]| {
            hv[0] = 12.0 * (x[0] - 1.0).powi(2) * v[0] + 2.0 * (v[0] + v[1]) + lambda * v[0];
            hv[1] = 2.0 * (v[0] + v[1]) + lambda * v[1];
        }
    };
    let (plain, shifted) = (objective(2, value, gradient, product(0.0)), objective(2, value, gradient, product(0.5)));
    let controls = [
        Control::FixedRate(1.0),
        Control::Ball(0.1),
        Control::Divergence(0.1),
        Control::LineSearch,
        Control::TrustRegion,
        Control::LevenbergMarquardt,
        Control::Cubic,
    ];
    for control in controls {
        let damped = path(&limited(control, 0.5, 6, InnerSolver::Dense), &plain, &[3.0, 2.0]).1;
        let expected = path(&limited(control, 0.0, 6, InnerSolver::Dense), &shifted, &[3.0, 2.0]).1;
        for (a, b) in damped.iter().flatten().zip(expected.iter().flatten()) {
            assert!((a - b).abs() <= 1e-12, "{control:?}: {a} and {b}");
        }
    }
}

#[test]
fn what_becomes_of_bare_runs() {
    let bowl = objective(
        2,
        |x: &[f64]| 0.5 * x[0] * x[0] + 5.0 * x[1] * x[1],
        |x, g| g.copy_from_slice(&[x[0], 10.0 * x[1]]),
        |_, v, mv| mv.copy_from_slice(v),
    );
    let run = |control| path(&limited(control, 0.0, 2000, InnerSolver::Automatic), &bowl, &[1.0, 0.5]).0;
    // Above 2/10 it diverges, to the end of numbers, and the best point is the start.
    let report = run(Control::FixedRate(0.3));
    assert_eq!((report.termination, &report.x[..]), (Termination::Diverged, &[1.0, 0.5][..]), "{report}");
    assert_eq!(report.value, report.initial_value);
    // Below it converges, by values that are taken as they come.
    let report = run(Control::FixedRate(0.19));
    assert!(report.termination.converged() && report.history.iter().all(|step| step.rejected == 0), "{report}");
    // A ball of constant size circles the minimum: every step has it, and the best point is near.
    let report = run(Control::Ball(0.1));
    assert_eq!(report.termination, Termination::MaxIterations);
    assert!(report.history.iter().all(|step| (step.step_norm - 0.1).abs() < 1e-12), "{report:#}");
    let least = report.history.iter().fold(report.initial_value, |least, step| least.min(step.value));
    assert!(report.value == least && report.value < 0.03 && report.history.last().unwrap().value > least, "{report}");

    // Where f is not finite the run is over at once, with the best point.
    let edge =
        objective(1, |x: &[f64]| x[0] - x[0].ln(), |x, g| g[0] = 1.0 - 1.0 / x[0], |_, v, mv| mv.copy_from_slice(v));
    let report = path(&limited(Control::FixedRate(10.0), 0.0, 100, InnerSolver::Automatic), &edge, &[3.0]).0;
    assert_eq!((report.termination, report.counts.values), (Termination::NotFinite(Evaluation::Value), 2));
    assert_eq!(report.x, [3.0]);

    // Without the metric there is no such step, and none of another kind is taken.
    let nothing = objective(1, |x: &[f64]| x[0] * x[0], |x, g| g[0] = 2.0 * x[0], |_, _, mv| mv[0] = f64::NAN);
    let report = path(&limited(Control::FixedRate(1.0), 0.0, 100, InnerSolver::Automatic), &nothing, &[3.0]).0;
    assert_eq!((report.termination, report.iterations()), (Termination::NotFinite(Evaluation::Product), 0));
}

/// Where f drowns in its rounding a rate goes on as before: nothing is judged by f.
#[test]
fn rounding_does_not_stop_a_rate() {
    let raised =
        objective(1, |x: &[f64]| 1e6 + 0.5 * x[0] * x[0], |x, g| g[0] = x[0], |_, v, mv| mv.copy_from_slice(v));
    let report = path(&limited(Control::FixedRate(0.05), 0.0, 1000, InnerSolver::Automatic), &raised, &[1.0]).0;
    assert!(report.termination.converged() && report.x[0] <= 1e-6, "{report}");
}

/// Negative curvature is met by a λ beyond it, before anything is evaluated.
#[test]
fn levenberg_marquardt_leaves_saddles() {
    let f = objective(
        2,
        |x: &[f64]| x[0] * x[0] + (x[1] * x[1] - 1.0).powi(2),
        |x, g| g.copy_from_slice(&[2.0 * x[0], 4.0 * x[1] * (x[1] * x[1] - 1.0)]),
        |x, v, hv| hv.copy_from_slice(&[2.0 * v[0], (12.0 * x[1] * x[1] - 4.0) * v[1]]),
    );
    for inner in [InnerSolver::Dense, InnerSolver::Krylov] {
        let report = path(&limited(Control::LevenbergMarquardt, 0.0, 100, inner), &f, &[1.0, 1e-3]).0;
        assert!(report.termination.converged() && report.value < 1e-10, "{report:#}");
        let first = report.history.iter().find(|step| step.lowest_ritz_value < 0.0).unwrap();
        assert!(first.shift >= -1.99 * first.lowest_ritz_value && first.rejected == 0, "{report:#}");
    }
}

#[test]
fn mistakes_are_refused() {
    let f = objective(1, |x: &[f64]| x[0] * x[0], |x, g| g[0] = 2.0 * x[0], |_, v, mv| mv[0] = 2.0 * v[0]);
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        for (name, control) in
            [("rate", Control::FixedRate(bad)), ("size", Control::Ball(bad)), ("divergence", Control::Divergence(bad))]
        {
            let error = Descent::new(control).minimize(&f, &[1.0]).unwrap_err();
            assert_eq!(error.to_string(), format!("{name} is {bad}, but must be positive and finite"));
        }
        if bad != 0.0 {
            let error = Descent { damping: bad, ..Descent::default() }.minimize(&f, &[1.0]).unwrap_err();
            assert_eq!(error.to_string(), format!("damping is {bad}, but must be at least 0 and finite"));
        }
    }
}

/// All pairs: every run ends with numbers and a reason. Those that accept only what decreases f converge with the metrics
/// that are near the Hessian, and on the convex problem with M = I; a ball of constant size does not.
#[test]
fn every_metric_runs_under_every_control() {
    let (inputs, labels) = samples();
    let near = [Metric::Hessian, Metric::GeneralizedGaussNewton, Metric::Fisher];
    for (name, network, x0) in networks() {
        for metric in METRICS {
            let f = problem(&network, &inputs, &labels, metric);
            for control in [
                Control::FixedRate(0.2),
                Control::Ball(0.05),
                Control::Divergence(0.01),
                Control::LineSearch,
                Control::TrustRegion,
                Control::LevenbergMarquardt,
                Control::Cubic,
            ] {
                let bare = matches!(control, Control::FixedRate(_) | Control::Ball(_));
                let easy = near.contains(&metric) || (name, metric) == ("regression", Metric::Identity);
                let must_converge = !bare && easy;
                let most = if must_converge { 3000 } else { 200 };
                let damping = if bare { 0.1 } else { 0.0 };
                let report = limited(control, damping, most, InnerSolver::Automatic).minimize(&f, &x0).unwrap();
                let what = format!("{name}, {metric:?}, {control:?}: {report}");
                assert!(report.value.is_finite() && report.gradient_norm.is_finite(), "{what}");
                assert!(report.value < report.initial_value, "{what}");
                assert!(report.history.iter().all(|step| step.value.is_finite()), "{what}");
                let ends = [Termination::MaxIterations, Termination::GradientTolerance, Termination::Stalled];
                match control {
                    _ if must_converge => assert!(report.termination.converged(), "{what}"),
                    Control::Ball(_) => assert_eq!(report.termination, Termination::MaxIterations, "{what}"),
                    _ => assert!(ends.contains(&report.termination), "{what}"),
                }
            }
        }
    }
}
