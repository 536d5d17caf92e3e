//! Natural gradients: what the theory promises of a step, and whole runs over full sets, policies and batches.

use std::ops::ControlFlow;

use newton_krylov::{
    Batches, Counts, Error, Evaluation, Expansion, InnerSolver, Metric, Model, NaturalGradient, Objective, Progress,
    Report, SampledModel, SampledObjective, Scalar, Stopping, SymmetricOperator, Termination, TrustRegion, damped_step,
    fit, fit_samples,
    losses::{BernoulliCrossEntropy, GaussianLoss, Loss, PoissonLoss, SoftmaxCrossEntropy, SquaredError},
    model, objective,
    operators::{Shifted, with_divergence},
    random::SplitMix64,
    steps::{StepOptions, Steps, Subproblem},
};

/// Normal numbers with mean 0 whose variance is a function of the parameter, with its derivative: ω = log σ²(x).
fn normal_numbers<'a>(
    data: &'a [f64],
    omega: impl Fn(f64) -> f64 + 'a,
    slope: impl Fn(f64) -> f64 + Copy + 'a,
) -> impl Objective<f64> + 'a {
    let n = data.len();
    let h = model(
        2 * n,
        1,
        move |x: &[f64], h: &mut [f64]| h.chunks_exact_mut(2).for_each(|h| h.copy_from_slice(&[0.0, omega(x[0])])),
        move |x, v, jv| jv.chunks_exact_mut(2).for_each(|h| h.copy_from_slice(&[0.0, slope(x[0]) * v[0]])),
        move |x, u, jtu| jtu[0] = slope(x[0]) * u.chunks_exact(2).map(|u| u[1]).sum::<f64>(),
    );
    fit(h, GaussianLoss::new(data, 1).unwrap(), Metric::Fisher).unwrap()
}

/// The three parameters of a standard deviation σ: σ², σ and log σ; as ω, dω/dx, x(σ).
type Parametrisation = (fn(f64) -> f64, fn(f64) -> f64, fn(f64) -> f64);
const PARAMETRISATIONS: [Parametrisation; 3] = [
    (|x| x.ln(), |x| 1.0 / x, |sigma| sigma * sigma),
    (|x| 2.0 * x.ln(), |x| 2.0 / x, |sigma| sigma),
    (|x| 2.0 * x, |_| 2.0, |sigma| sigma.ln()),
];

#[test]
fn steps_do_not_depend_on_the_parametrisation_to_first_order() {
    let data = [0.3, -1.2, 2.0, 0.7];
    let sigma = 2.0;
    // The variance reached by a step of size ε along the natural gradient, and along the gradient.
    let reached = |epsilon: f64, natural: bool| {
        PARAMETRISATIONS.map(|(omega, slope, parameter)| {
            let f = normal_numbers(&data, omega, slope);
            let x = [parameter(sigma)];
            let at = f.expand(&x);
            let mut direction = [0.0];
            at.gradient(&mut direction);
            if natural {
                direction = [-damped_step(&at, &direction, 0.0).unwrap().step[0]];
            }
            omega(x[0] - epsilon * direction[0])
        })
    };
    let spread = |values: [f64; 3]| {
        values.iter().fold(f64::MIN, |m, &v| m.max(v)) - values.iter().fold(f64::MAX, |m, &v| m.min(v))
    };
    let (long, short) = (spread(reached(0.02, true)), spread(reached(0.01, true)));
    assert!((3.8..4.2).contains(&(long / short)), "second order: {long} {short}");
    let moved = reached(0.0, true)[0] - reached(0.01, true)[0];
    assert!(short < 0.02 * moved, "{short} of {moved}");
    // The plain gradient differs by as much as it moves.
    let (long, short) = (spread(reached(0.02, false)), spread(reached(0.01, false)));
    assert!((1.9..2.1).contains(&(long / short)) && short > 0.5 * moved, "{long} {short}");
}

#[test]
fn the_solvers_step_is_invariant_and_as_long_as_the_budget() {
    let data = [0.3, -1.2, 2.0, 0.7];
    let sigma = 2.0;
    let start = 2.0 * f64::ln(sigma);
    for divergence in [1e-4, 1e-6] {
        for (omega, slope, parameter) in PARAMETRISATIONS {
            let f = normal_numbers(&data, omega, slope);
            let stopping = Stopping { max_iterations: 1, ..Stopping::default() };
            let solver = NaturalGradient { divergence, damping: 0.0, stopping, ..NaturalGradient::default() };
            let report = solver.minimize(&f, &[parameter(sigma)]).unwrap();
            // KL ≈ ¼(Δω)² = D: ω falls by 2√D, up to O(D).
            let change = omega(report.x[0]) - start;
            let expected = -2.0 * divergence.sqrt();
            assert!((change - expected).abs() < 0.01 * -expected + 4.0 * divergence, "{change} {expected}");
            let d = change;
            let divergence_of_step = 0.5 * ((-d).exp_m1() + d);
            assert!(divergence_of_step <= divergence * (1.0 + 1e-9), "{divergence_of_step}");
        }
    }
}

/// Rows of features: sample i has f features, and the model is linear, outputs by outputs.
struct Linear<T> {
    features: Vec<T>,
    f: usize,
    k: usize,
}

impl<T: Scalar> Linear<T> {
    /// Samples of normal features with a constant one among them.
    fn new(samples: usize, f: usize, k: usize, seed: u64) -> Self {
        let mut random = SplitMix64::new(seed);
        let features = (0..samples * f).map(|i| if i % f == 0 { T::one() } else { T::from_f64(random.normal()) });
        Linear { features: features.collect(), f, k }
    }

    fn all(&self) -> Vec<usize> {
        (0..SampledModel::<T>::samples(self)).collect()
    }
}

impl<T: Scalar> SampledModel<T> for Linear<T> {
    fn dim(&self) -> usize {
        self.f * self.k
    }
    fn samples(&self) -> usize {
        self.features.len() / self.f
    }
    fn outputs_per_sample(&self) -> usize {
        self.k
    }
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Model<T> + 'a {
        let (f, k) = (self.f, self.k);
        let row = move |i: usize| &self.features[samples[i] * f..(samples[i] + 1) * f];
        let forward = move |w: &[T], h: &mut [T]| {
            for (i, h) in h.chunks_exact_mut(k).enumerate() {
                for (o, h) in h.iter_mut().enumerate() {
                    *h = row(i).iter().zip(&w[o * f..]).map(|(&a, &w)| a * w).fold(T::zero(), |a, b| a + b);
                }
            }
        };
        model(
            samples.len() * k,
            f * k,
            forward,
            move |_: &[T], v: &[T], jv: &mut [T]| forward(v, jv),
            move |_: &[T], u: &[T], jtu: &mut [T]| {
                jtu.fill(T::zero());
                for (i, u) in u.chunks_exact(k).enumerate() {
                    for (o, &u) in u.iter().enumerate() {
                        jtu[o * f..(o + 1) * f].iter_mut().zip(row(i)).for_each(|(out, &a)| *out += a * u);
                    }
                }
            },
        )
    }
}

/// Losses for 60 samples of a linear model with two outputs, with a minimum.
fn losses<T: Scalar>() -> Vec<(&'static str, Box<dyn Loss<T>>)> {
    let mut random = SplitMix64::new(2);
    let mut draw = |scale: &dyn Fn(f64) -> f64, n: usize| -> Vec<T> {
        (0..n).map(|_| T::from_f64(scale(random.uniform()))).collect()
    };
    let labels: Vec<usize> = draw(&|u| (2.0 * u).floor(), 60).iter().map(|&l| usize::from(l > T::zero())).collect();
    vec![
        ("squared error", Box::new(SquaredError::new(draw(&|u| 2.0 * u - 1.0, 120), 2).unwrap())),
        ("softmax", Box::new(SoftmaxCrossEntropy::new(labels, 2).unwrap())),
        ("Bernoulli", Box::new(BernoulliCrossEntropy::new(draw(&|u| u.round(), 120), 2).unwrap())),
        ("Poisson", Box::new(PoissonLoss::new(draw(&|u| (5.0 * u).floor(), 120), 2).unwrap())),
        ("Gaussian", Box::new(GaussianLoss::new(draw(&|u| 2.0 * u - 1.0, 60), 1).unwrap())),
    ]
}

#[test]
fn the_metric_is_twice_the_divergence_up_to_third_order() {
    let linear = Linear::<f64>::new(60, 3, 2, 1);
    for (name, loss) in losses::<f64>() {
        let objective = fit_samples(&linear, &*loss, Metric::Fisher).unwrap();
        let all = linear.all();
        let whole = objective.batch(&all);
        let x = [0.2, -0.4, 0.1, 0.3, 0.0, 0.5];
        let at = whole.expand(&x);
        let mut random = SplitMix64::new(8);
        let direction: Vec<f64> = (0..6).map(|_| random.normal()).collect();
        let error = |s: f64| {
            let delta: Vec<f64> = direction.iter().map(|d| s * d).collect();
            let y: Vec<f64> = x.iter().zip(&delta).map(|(x, d)| x + d).collect();
            let mut product = [0.0; 6];
            at.apply(&delta, &mut product);
            let form: f64 = product.iter().zip(&delta).map(|(p, d)| p * d).sum();
            let (value, divergence) = at.value_and_divergence(&y).unwrap();
            assert_eq!(value, whole.value(&y));
            ((2.0 * divergence - form).abs(), form)
        };
        let ((long, form), (short, _)) = (error(0.02), error(0.01));
        if name == "squared error" {
            assert!(long < 1e-14 * (1.0 + form), "{long}: no higher orders at all");
        } else {
            // Third order: 8; 16 where odd orders vanish.
            assert!((7.0..17.0).contains(&(long / short)), "{name}: {long} {short}");
            assert!(long < 0.1 * form, "{name}");
        }
    }
}

fn check_runs<T: Scalar>(metrics: &[Metric], tolerance: f64, accuracy: f64) {
    let linear = Linear::<T>::new(60, 3, 2, 1);
    let all = linear.all();
    let x0 = vec![T::from_f64(0.5); 6];
    for (name, loss) in losses::<T>() {
        let stopping = || Stopping { gradient_relative: tolerance, ..Stopping::default() };
        let reference = fit_samples(&linear, &*loss, Metric::GeneralizedGaussNewton).unwrap();
        let reference = reference.with_regularization(1e-3).unwrap();
        let best = TrustRegion { stopping: stopping(), ..TrustRegion::default() };
        let best = best.minimize(&reference.batch(&all), &x0).unwrap();
        assert!(best.termination.converged(), "{name}: {best}");
        for &metric in metrics {
            let objective = fit_samples(&linear, &*loss, metric).unwrap().with_regularization(1e-3).unwrap();
            let whole = objective.batch(&all);
            for inner in [InnerSolver::Krylov, InnerSolver::Dense] {
                let solver = NaturalGradient { stopping: stopping(), inner, ..NaturalGradient::default() };
                let mut before: Option<Vec<T>> = None;
                let report = solver
                    .minimize_with(&whole, &x0, |progress| {
                        if let Some(before) = &before {
                            let (_, divergence) = whole.expand(before).value_and_divergence(progress.x).unwrap();
                            assert!(divergence <= 0.01 * (1.0 + 1e-6), "{name} {metric:?}: {divergence}");
                        }
                        before = Some(progress.x.to_vec());
                        ControlFlow::Continue(())
                    })
                    .unwrap();
                assert!(report.termination.converged(), "{name} {metric:?}: {report:#}");
                let gap = (report.value - best.value) / (1.0 + best.value.abs());
                assert!(gap.abs() < accuracy, "{name} {metric:?}: {gap}");
                let falls = report.history.windows(2).all(|h| h[1].value <= h[0].value + accuracy);
                assert!(falls, "{name} {metric:?}");
                assert!(report.memory_vectors() <= solver.memory_vectors::<T>(6) + 4 * 6);
            }
        }
    }
}

#[test]
fn supervised_runs_converge_within_their_budget_at_every_step() {
    let fisher = [Metric::Fisher, Metric::SampledFisher { seed: 1, draws: 8 }];
    check_runs::<f64>(&fisher, 1e-6, 1e-9);
    check_runs::<f32>(&fisher, 1e-3, 1e-4);
    // Far from the Hessian the way is long: too long for f32.
    check_runs::<f64>(&[Metric::EmpiricalFisher, Metric::GaussNewton], 1e-6, 1e-9);
}

#[test]
fn the_first_step_is_that_of_the_metric_ball() {
    let linear = Linear::<f64>::new(60, 3, 2, 1);
    let (_, loss) = losses::<f64>().swap_remove(2);
    let objective = fit_samples(&linear, &*loss, Metric::Fisher).unwrap();
    let all = linear.all();
    let whole = objective.batch(&all);
    let x0 = [0.5; 6];
    let at = whole.expand(&x0);
    let mut g = [0.0; 6];
    at.gradient(&mut g);
    let (divergence, damping) = (1e-8, 0.02);
    let damped = Shifted { operator: &at, shift: damping };
    let mut steps = Steps::new(&damped, &g, StepOptions::default()).unwrap();
    let expected = steps.solve(Subproblem::MetricBall((2.0_f64 * divergence).sqrt())).unwrap();
    let stopping = Stopping { max_iterations: 1, ..Stopping::default() };
    let solver =
        NaturalGradient { divergence, damping, stopping, inner: InnerSolver::Dense, ..NaturalGradient::default() };
    let report = solver.minimize(&whole, &x0).unwrap();
    // Here third orders make the true divergence a little smaller than the budget, so the step is taken in full.
    assert_eq!((report.history[0].rejected, report.history[0].shift), (0, damping));
    for j in 0..6 {
        let found = report.x[j] - x0[j];
        assert!((found - expected.step[j]).abs() < 1e-9 * expected.norm, "{found} {}", expected.step[j]);
    }
}

/// A policy over four arms with the rewards' expectation as objective, the logits as parameters; by closures.
fn bandit<T: Scalar>(rewards: [f64; 4]) -> (impl Objective<T>, impl Fn(&[T], &[T]) -> f64 + Copy) {
    fn policy<T: Scalar>(x: &[T]) -> [f64; 4] {
        let e: [f64; 4] = std::array::from_fn(|i| x[i].into().exp());
        let sum: f64 = e.iter().sum();
        e.map(|e| e / sum)
    }
    let mean = |p: &[f64; 4], v: &[f64; 4]| p.iter().zip(v).map(|(p, v)| p * v).sum::<f64>();
    let f = objective(
        4,
        move |x: &[T]| -mean(&policy(x), &rewards),
        move |x, g: &mut [T]| {
            let p = policy(x);
            let value = mean(&p, &rewards);
            (0..4).for_each(|i| g[i] = T::from_f64(-p[i] * (rewards[i] - value)));
        },
        // The Fisher matrix diag(p) − ppᵀ, singular along (1, 1, 1, 1).
        move |x, v: &[T], out: &mut [T]| {
            let (p, v) = (policy(x), std::array::from_fn(|i| v[i].into()));
            let along = mean(&p, &v);
            (0..4).for_each(|i| out[i] = T::from_f64(p[i] * (v[i] - along)));
        },
    );
    let divergence = |x: &[T], y: &[T]| {
        let (p, q) = (policy(x), policy(y));
        (0..4).map(|i| p[i] * (p[i] / q[i]).ln()).sum()
    };
    (with_divergence(f, divergence), divergence)
}

fn check_policy<T: Scalar>() {
    let (f, divergence) = bandit::<T>([0.1, 0.9, 0.5, 0.2]);
    for damping in [0.0, 1e-3] {
        let stopping = Stopping { target_value: -0.89, max_iterations: 500, ..Stopping::default() };
        let solver = NaturalGradient { stopping, damping, ..NaturalGradient::default() };
        let mut before: Option<Vec<T>> = None;
        let report = solver
            .minimize_with(&f, &[T::zero(); 4], |progress| {
                if let Some(before) = &before {
                    let met = divergence(before, progress.x);
                    assert!(met <= 0.01 + 1e-7, "{met}");
                }
                before = Some(progress.x.to_vec());
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(report.termination, Termination::TargetValue, "{damping}: {report:#}");
        // With KL ≤ D a step moves at most 2√(D/2)… in total variation; and it does move as far as that allows.
        assert!(report.iterations() < 60, "{}", report.iterations());
    }
}

#[test]
fn a_policy_by_closures_improves_within_its_trust_region() {
    check_policy::<f64>();
    check_policy::<f32>();
}

#[test]
fn the_true_divergence_decides() {
    // The metric says ½δ²; the divergence grows four times as fast, and f would go on for ever.
    let f = || objective(1, |x: &[f64]| -x[0], |_, g| g[0] = -1.0, |_, v, mv| mv[0] = v[0]);
    let stopping = Stopping { max_iterations: 3, ..Stopping::default() };
    let solver = NaturalGradient { stopping, damping: 0.0, divergence: 0.5, ..NaturalGradient::default() };
    let report = solver.minimize(&f(), &[0.0]).unwrap();
    assert!((report.history[0].step_norm - 1.0).abs() < 1e-12, "without a divergence the ball alone");
    let strict = with_divergence(f(), |x: &[f64], y: &[f64]| 2.0 * (y[0] - x[0]).powi(2));
    let report = solver.minimize(&strict, &[0.0]).unwrap();
    let steps: Vec<f64> = report.history.iter().map(|h| h.step_norm).collect();
    // ½ = 2δ² at δ = ½.
    assert!(steps.iter().all(|&s| s <= 0.5 && s > 0.4), "{steps:?}");
    assert!(report.history[0].rejected >= 1);

    let nowhere = with_divergence(f(), |_: &[f64], _: &[f64]| f64::NAN);
    let report = solver.minimize(&nowhere, &[0.0]).unwrap();
    assert_eq!((report.termination, &report.x[..]), (Termination::NotFinite(Evaluation::Value), &[0.0][..]));
}

#[test]
fn mistakes_are_errors_and_edges_are_outcomes() {
    let square = || objective(1, |x: &[f64]| 0.5 * x[0] * x[0], |x, g| g[0] = x[0], |_, v, mv| mv[0] = v[0]);
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let solver = NaturalGradient { divergence: bad, ..NaturalGradient::default() };
        assert!(matches!(solver.minimize(&square(), &[1.0]), Err(Error::OutOfRange { argument: "divergence", .. })));
    }
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        let solver = NaturalGradient { damping: bad, ..NaturalGradient::default() };
        assert!(matches!(solver.minimize(&square(), &[1.0]), Err(Error::OutOfRange { argument: "damping", .. })));
    }
    let solver = NaturalGradient::default();
    assert!(solver.minimize(&square(), &[f64::NAN]).is_err() && solver.minimize(&square(), &[1.0, 2.0]).is_err());
    assert!(solver.minimize(&square(), &[0.0]).unwrap().termination.converged());
    assert!(solver.minimize(&square(), &[3.0]).unwrap().termination.converged());

    // ‖x‖² in some metric.
    fn bowl(metric: fn(&[f64], &mut [f64])) -> impl Objective<f64> {
        objective(
            2,
            |x: &[f64]| x[0] * x[0] + x[1] * x[1],
            |x, g| (0..2).for_each(|i| g[i] = 2.0 * x[i]),
            move |_, v, mv| metric(v, mv),
        )
    }
    // A metric that is zero: only damping is left.
    let flat = bowl(|_, mv| mv.fill(0.0));
    assert!(solver.minimize(&flat, &[1.0, -2.0]).unwrap().termination.converged());
    let undamped = NaturalGradient { damping: 0.0, ..NaturalGradient::default() };
    let report = undamped.minimize(&flat, &[1.0, -2.0]).unwrap();
    assert!(report.value < 5.0, "{report}");
    // Products that are NaN, and an indefinite metric: the gradient is still there.
    let report = solver.minimize(&bowl(|_, mv| mv.fill(f64::NAN)), &[1.0, -2.0]).unwrap();
    let ends = [Termination::GradientTolerance, Termination::NotFinite(Evaluation::Product)];
    assert!(report.value < 5.0 && ends.contains(&report.termination), "{report}");
    let report = solver.minimize(&bowl(|v, mv| mv.copy_from_slice(&[v[0], -v[1]])), &[1.0, -2.0]).unwrap();
    assert!(report.value < 5.0, "{report}");
}

/// Logistic regression on 1000 samples; the last ones spoilt on demand.
fn coins<T: Scalar>(samples: usize) -> (Linear<T>, BernoulliCrossEntropy<'static, T>) {
    let linear = Linear::<T>::new(samples, 4, 1, 6);
    let mut random = SplitMix64::new(9);
    let truth = [0.3, -1.0, 0.5, 2.0];
    let outcomes = linear.features.chunks_exact(4).map(|row| {
        let h: f64 = row.iter().zip(truth).map(|(&a, w)| a.into() * w).sum();
        T::from_f64(f64::from(random.uniform() < 1.0 / (1.0 + (-h).exp())))
    });
    let outcomes: Vec<T> = outcomes.collect();
    (linear, BernoulliCrossEntropy::new(outcomes, 1).unwrap())
}

fn train<T: Scalar>(iterations: usize, metric: Metric, inner: InnerSolver) -> (Report<T>, f64, f64) {
    let (linear, loss) = coins::<T>(1000);
    let objective = fit_samples(&linear, &loss, metric).unwrap();
    let all = linear.all();
    let stopping = Stopping { max_iterations: iterations, ..Stopping::default() };
    let solver = NaturalGradient { stopping, inner, divergence: 1e-3, ..NaturalGradient::default() };
    // 96 does not divide 1000.
    let batches = Batches::new(1000, 96, 3).unwrap();
    let report = solver.minimize_sampled(&objective, batches, &[T::zero(); 4]).unwrap();
    let best =
        TrustRegion { stopping: Stopping { gradient_relative: 1e-4, ..Stopping::default() }, ..TrustRegion::default() };
    let exact = fit_samples(&linear, &loss, Metric::GeneralizedGaussNewton).unwrap();
    let best = best.minimize(&exact.batch(&all), &[T::zero(); 4]).unwrap();
    let value = objective.batch(&all).value(&report.x);
    (report, value, best.value)
}

#[test]
fn batches_lead_close_to_the_minimum() {
    for metric in [Metric::Fisher, Metric::SampledFisher { seed: 1, draws: 1 }, Metric::EmpiricalFisher] {
        for inner in [InnerSolver::Krylov, InnerSolver::Dense] {
            let (report, value, best) = train::<f64>(100, metric, inner);
            assert_eq!((report.termination, report.iterations()), (Termination::MaxIterations, 100));
            assert!(value < best + 0.02, "{metric:?}: {value} {best}");
            assert!(report.initial_value > best + 0.1);
            let (report, value, best) = train::<f32>(100, metric, inner);
            assert!(value < best + 0.02 && report.value.is_finite(), "{metric:?}: {value} {best}");
        }
    }
}

#[test]
fn counts_over_batches_are_exact() {
    let (report, _, _) = train::<f64>(20, Metric::Fisher, InnerSolver::Krylov);
    let trials: usize = report.history.iter().map(|h| 1 + h.rejected).sum();
    let products: usize = report.history.iter().map(|h| h.products).sum();
    let expected = Counts { values: 20 + trials, gradients: 20, products, ..Counts::default() };
    assert_eq!(report.counts, expected);
    let (report, _, _) = train::<f64>(20, Metric::Fisher, InnerSolver::Dense);
    assert_eq!(report.counts.products, 20 * 4);
}

#[test]
fn limits_and_observers_end_runs_over_batches() {
    let (linear, loss) = coins::<f64>(100);
    let objective = fit_samples(&linear, &loss, Metric::Fisher).unwrap();
    let run = |stopping: Stopping, last: usize| {
        let solver = NaturalGradient { stopping, ..NaturalGradient::default() };
        let batches = Batches::new(100, 20, 3).unwrap();
        let observer = |p: &Progress<'_, f64>| {
            if p.iteration == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        solver.minimize_sampled_with(&objective, batches, &[0.0; 4], observer).unwrap()
    };
    let never = usize::MAX;
    let report = run(Stopping::default(), 3);
    assert_eq!((report.termination, report.iterations(), report.counts.gradients), (Termination::Observer, 3, 4));
    let report = run(Stopping { max_products: 7, ..Stopping::default() }, never);
    assert_eq!(report.termination, Termination::MaxProducts);
    assert_eq!(report.counts.products, 7);
    let report = run(Stopping { max_values: 9, ..Stopping::default() }, never);
    assert_eq!((report.termination, report.counts.values), (Termination::MaxValues, 9));
    let report = run(Stopping { max_gradients: 4, ..Stopping::default() }, never);
    assert_eq!((report.termination, report.counts.gradients), (Termination::MaxGradients, 4));
    let report = run(Stopping { target_value: 0.6, ..Stopping::default() }, never);
    assert_eq!(report.termination, Termination::TargetValue);
    assert!(report.value <= 0.6);
    let report = run(Stopping { max_time: std::time::Duration::ZERO, ..Stopping::default() }, never);
    assert_eq!((report.termination, report.iterations()), (Termination::MaxTime, 0));

    let other = Batches::new(99, 20, 3).unwrap();
    let error = NaturalGradient::default().minimize_sampled(&objective, other, &[0.0; 4]);
    assert!(matches!(error, Err(Error::Length { expected: 100, found: 99, .. })));
}

#[test]
fn bad_samples_are_passed_over_until_nothing_else_is_left() {
    let train = |bad: usize| {
        let (mut linear, loss) = coins::<f64>(200);
        linear.features[4 * (200 - bad)..].fill(f64::NAN);
        let objective = fit_samples(&linear, &loss, Metric::Fisher).unwrap();
        let stopping = Stopping { max_iterations: 40, ..Stopping::default() };
        let solver = NaturalGradient { stopping, ..NaturalGradient::default() };
        let batches = Batches::new(200, 20, 3).unwrap();
        solver.minimize_sampled(&objective, batches, &[0.0; 4]).unwrap()
    };
    let report = train(1);
    assert_eq!(report.termination, Termination::MaxIterations);
    assert!(report.value.is_finite() && report.x.iter().all(|x| x.is_finite()));
    // One batch in ten has it.
    assert!(report.counts.gradients > 40 && report.counts.gradients <= 46, "{}", report.counts);
    let report = train(200);
    assert_eq!(report.termination, Termination::NotFinite(Evaluation::Value));
    assert_eq!((report.x, report.counts.gradients), (vec![0.0; 4], 20));
}

#[test]
fn batches_that_cannot_be_improved_end_the_run() {
    // Every batch is at its minimum: the gradient is zero.
    let linear = Linear::<f64>::new(50, 2, 1, 1);
    let objective = fit_samples(&linear, SquaredError::new(vec![0.0; 50], 1).unwrap(), Metric::Fisher).unwrap();
    let batches = Batches::new(50, 10, 0).unwrap();
    let report = NaturalGradient::default().minimize_sampled(&objective, batches, &[0.0; 2]).unwrap();
    assert_eq!((report.termination, report.iterations()), (Termination::Stalled, 0));
}

#[test]
fn runs_are_the_same_for_any_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (linear, loss) = coins::<f64>(20_000);
            let objective = fit_samples(&linear, &loss, Metric::SampledFisher { seed: 5, draws: 1 }).unwrap();
            let all = linear.all();
            let stopping = Stopping { max_iterations: 5, ..Stopping::default() };
            let solver = NaturalGradient { stopping, ..NaturalGradient::default() };
            let whole = solver.minimize(&objective.batch(&all), &[0.0; 4]).unwrap();
            let batches = Batches::new(20_000, 9_000, 3).unwrap();
            let sampled = solver.minimize_sampled(&objective, batches, &[0.0; 4]).unwrap();
            (whole.x, whole.value, sampled.x, sampled.value)
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
}

#[test]
fn exploding_losses_are_left_again() {
    let linear = Linear::<f64>::new(20, 2, 1, 4);
    let loss = PoissonLoss::new(vec![1.0; 20], 1).unwrap();
    let objective = fit_samples(&linear, &loss, Metric::Fisher).unwrap();
    let all = linear.all();
    // A budget so large that a step overflows the rates: it is shortened to where f is finite.
    let solver = NaturalGradient { divergence: 1e12, damping: 0.0, ..NaturalGradient::default() };
    let report = solver.minimize(&objective.batch(&all), &[-9.0, 0.0]).unwrap();
    assert!(report.termination.converged() && (report.value - 1.0).abs() < 1e-9, "{report:#}");
    assert!(report.history[0].rejected > 0);
}

/// Two samples: f₀ = −x, and f₁ = x with the gradient of −x, so that no step on it is ever good.
struct Slopes;

impl SampledObjective<f64> for Slopes {
    fn dim(&self) -> usize {
        1
    }
    fn samples(&self) -> usize {
        2
    }
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Objective<f64> + 'a {
        let sign = move || if samples[0] == 0 { -1.0 } else { 1.0 };
        let line = objective(1, move |x: &[f64]| sign() * x[0], |_, g| g[0] = -1.0, |_, v, mv| mv[0] = v[0]);
        // Four times what the metric says.
        with_divergence(line, |x: &[f64], y: &[f64]| 2.0 * (y[0] - x[0]).powi(2))
    }
}

#[test]
fn batches_keep_the_true_divergence_and_do_not_suffer_for_each_other() {
    let stopping = Stopping { max_iterations: 10, ..Stopping::default() };
    let solver = NaturalGradient { stopping, damping: 0.0, divergence: 0.5, ..NaturalGradient::default() };
    let batches = Batches::new(2, 1, 3).unwrap();
    let report = solver.minimize_sampled(&Slopes, batches, &[0.0]).unwrap();
    assert_eq!((report.termination, report.iterations()), (Termination::MaxIterations, 10));
    // ½ = 2δ² at δ = ½, also after a batch on which every trial was shortened.
    assert!(report.history.iter().all(|h| h.step_norm <= 0.5 && h.step_norm > 0.4), "{report:#}");
    assert!(report.counts.gradients > 12);
}
