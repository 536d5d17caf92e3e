//! How first-order methods behave: outcomes, counts, limits, the best point, batches, faults.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::time::Duration;

use crate::common::Watched;
use newton_krylov::problems::{ChainedRosenbrock, LogisticRegression, MoreGarbowHillstrom, parse_libsvm};
use newton_krylov::{
    Batches, Error, Evaluation, Expansion, Lbfgs, Objective, Progress, Report, Result, SampledObjective, Scalar,
    Stopping, Termination, TrustRegion,
    differences::Difference,
    first_order::{
        AdaGrad, Adam, Epsilon, FirstOrder, FullAdaGrad, GradientDescent, GradientMethod, HeavyBall, LineSearch,
        Momentum, Nesterov, RmsProp, Schedule, SteepestDescent,
    },
    objective, objective_from_gradient,
    preconditioners::{DiagonalPreconditioner, with_preconditioner},
};

/// Every method behind one call, with a rate for Hessians between 1 and 10.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Method {
    GradientDescent,
    HeavyBall,
    Nesterov,
    NesterovConstant,
    AdaGrad,
    FullAdaGrad,
    RmsProp,
    Adam,
    Backtracking,
    Armijo,
    StrongWolfe,
    Lbfgs,
}

const RATED: [Method; 8] = [
    Method::GradientDescent,
    Method::HeavyBall,
    Method::Nesterov,
    Method::NesterovConstant,
    Method::AdaGrad,
    Method::FullAdaGrad,
    Method::RmsProp,
    Method::Adam,
];
const SEARCHING: [Method; 4] = [Method::Backtracking, Method::Armijo, Method::StrongWolfe, Method::Lbfgs];

fn all() -> impl Iterator<Item = Method> {
    RATED.into_iter().chain(SEARCHING)
}

impl Method {
    /// Whether the run ends at the tolerance on a quadratic by itself, with a constant rate.
    fn settles(self) -> bool {
        self != Method::RmsProp && self != Method::Adam
    }

    fn searches(self) -> bool {
        SEARCHING.contains(&self)
    }

    fn run<T: Scalar>(
        self,
        f: &impl Objective<T>,
        x0: &[T],
        stopping: Stopping,
        observer: impl FnMut(&Progress<T>) -> ControlFlow<()>,
    ) -> Result<Report<T>> {
        macro_rules! rated {
            ($method:expr) => {
                FirstOrder { stopping, ..FirstOrder::new($method) }.minimize_with(f, x0, observer)
            };
        }
        let search = |search, stopping| SteepestDescent { search, stopping };
        match self {
            Method::GradientDescent => rated!(GradientDescent { rate: 0.1 }),
            Method::HeavyBall => rated!(HeavyBall::for_quadratic(1.0, 10.0)?),
            Method::Nesterov => rated!(Nesterov { rate: 0.1, momentum: Momentum::Convex }),
            Method::NesterovConstant => rated!(Nesterov { rate: 0.1, momentum: Momentum::Constant(0.5) }),
            Method::AdaGrad => rated!(AdaGrad { rate: 1.0, ..Default::default() }),
            Method::FullAdaGrad => rated!(FullAdaGrad { rate: 1.0, ..Default::default() }),
            Method::RmsProp => rated!(RmsProp { rate: 0.01, ..Default::default() }),
            Method::Adam => rated!(Adam { rate: 0.02, ..Default::default() }),
            Method::Backtracking => search(LineSearch::Backtracking, stopping).minimize_with(f, x0, observer),
            Method::Armijo => search(LineSearch::Armijo, stopping).minimize_with(f, x0, observer),
            Method::StrongWolfe => search(LineSearch::StrongWolfe, stopping).minimize_with(f, x0, observer),
            Method::Lbfgs => Lbfgs { stopping, ..Default::default() }.minimize_with(f, x0, observer),
        }
    }

    fn minimize<T: Scalar>(self, f: &impl Objective<T>, x0: &[T], stopping: Stopping) -> Result<Report<T>> {
        self.run(f, x0, stopping, |_| ControlFlow::Continue(()))
    }
}

/// ½ Σ wᵢ(xᵢ − 1)² with weights from 1 to 10.
fn bowl<T: Scalar>(n: usize) -> impl Objective<T> {
    let w = move |i: usize| 10_f64.powf(i as f64 / (n.max(2) - 1) as f64);
    objective(
        n,
        move |x: &[T]| (0..n).map(|i| 0.5 * w(i) * (x[i].into() - 1.0).powi(2)).sum::<f64>(),
        move |x, g| (0..n).for_each(|i| g[i] = T::from_f64(w(i) * (x[i].into() - 1.0))),
        move |_, v, hv| (0..n).for_each(|i| hv[i] = T::from_f64(w(i)) * v[i]),
    )
}

/// f and f′ of one unknown.
fn scalar(f: impl Fn(f64) -> f64, slope: impl Fn(f64) -> f64) -> impl Objective<f64> {
    objective_from_gradient(1, move |x: &[f64]| f(x[0]), move |x, g| g[0] = slope(x[0]), Difference::Forward)
}

fn gradient_norm<T: Scalar>(f: &impl Objective<T>, x: &[T]) -> f64 {
    let mut g = vec![T::zero(); x.len()];
    f.expand(x).gradient(&mut g);
    g.iter().map(|&g| g.into() * g.into()).sum::<f64>().sqrt()
}

fn every_method_finds_the_minimum<T: Scalar>(tolerance: f64) {
    for n in [1, 2, 7] {
        let f = bowl::<T>(n);
        for method in all() {
            let stopping = Stopping { gradient_relative: tolerance, max_iterations: 5000, ..Stopping::default() };
            let report = method.minimize(&f, &vec![T::from_f64(-1.5); n], stopping).unwrap();
            if method.settles() {
                assert!(report.termination.converged(), "{method:?}, {n}: {report}");
                assert!(gradient_norm(&f, &report.x) <= 1.01 * tolerance * report.initial_gradient_norm);
            }
            assert!(report.x.iter().all(|&x| (x.into() - 1.0).abs() < 0.02), "{method:?}, {n}: {:?}", report.x);
        }
    }
}

#[test]
fn every_method_finds_the_minimum_in_f64() {
    every_method_finds_the_minimum::<f64>(1e-9);
}

#[test]
fn every_method_finds_the_minimum_in_f32() {
    every_method_finds_the_minimum::<f32>(1e-5);
}

#[test]
fn counts_are_exact_and_no_product_is_made() {
    for method in all() {
        let f = Watched::new(bowl::<f64>(5));
        let stopping = Stopping { max_iterations: 300, ..Stopping::default() };
        let report = method.minimize(&f, &[3.0, -2.0, 0.0, 5.0, 4.0], stopping).unwrap();
        assert_eq!(report.counts, f.calls(), "{method:?}");
        assert_eq!(report.counts.products, 0);
        assert_eq!(report.iterations(), report.history.len());
        if !method.searches() {
            assert_eq!(report.counts.gradients, report.iterations() + 1, "{method:?}");
            assert_eq!(report.counts.values, report.iterations() + 1, "{method:?}");
        } else {
            let rejected: usize = report.history.iter().map(|it| it.rejected).sum();
            assert!(report.counts.values >= report.iterations() + 1 + rejected, "{method:?}");
        }
    }
}

#[test]
fn limits_hold_exactly() {
    let rosenbrock = ChainedRosenbrock::new(4).unwrap();
    for method in all() {
        for most in [1, 2, 3, 7, 20] {
            let off = || Stopping { gradient_relative: 0.0, ..Stopping::default() };
            let limits = [
                (Stopping { max_values: most, ..off() }, Termination::MaxValues),
                (Stopping { max_gradients: most, ..off() }, Termination::MaxGradients),
                (Stopping { max_iterations: most, ..off() }, Termination::MaxIterations),
            ];
            for (stopping, expected) in limits {
                // Rates for the bowl, and the valley's curvature is 100 times as large.
                let x0: Vec<f64> = rosenbrock.start();
                let f = objective(
                    4,
                    |x: &[f64]| 1e-3 * rosenbrock.value(x),
                    |x, g| {
                        rosenbrock.expand(x).gradient(g);
                        g.iter_mut().for_each(|g| *g *= 1e-3);
                    },
                    |_, _, _| unreachable!(),
                );
                let report = method.minimize(&f, &x0, stopping).unwrap();
                assert_eq!(report.termination, expected, "{method:?}, {most}: {report}");
                let counts = report.counts;
                match expected {
                    Termination::MaxValues => assert_eq!(counts.values, most, "{method:?}"),
                    Termination::MaxGradients => assert_eq!(counts.gradients, most, "{method:?}"),
                    _ => assert_eq!(report.iterations(), most, "{method:?}"),
                }
                assert!(report.value <= report.initial_value && f.value(&report.x) == report.value, "{method:?}");
            }
        }
        let stopping = Stopping { max_time: Duration::ZERO, ..Stopping::default() };
        let report = method.minimize(&rosenbrock, &rosenbrock.start::<f64>(), stopping).unwrap();
        assert_eq!((report.termination, report.iterations()), (Termination::MaxTime, 0));
    }
}

#[test]
fn the_report_has_the_best_point_seen() {
    for method in all() {
        let f = bowl::<f64>(3);
        let (mut least, mut seen) = (f64::INFINITY, 0);
        let observe = |progress: &Progress<f64>| {
            assert_eq!(progress.value, f.value(progress.x), "{method:?}");
            assert_eq!(progress.iteration, seen);
            assert_eq!(progress.last.is_some(), seen > 0);
            least = least.min(progress.value);
            seen += 1;
            // Right after a heavy ball has rolled past the minimum.
            if seen == 12 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let stopping = Stopping { gradient_relative: 0.0, ..Stopping::default() };
        let report = method.run(&f, &[4.0, -3.0, 2.0], stopping, observe).unwrap();
        if report.termination.converged() {
            assert_eq!(method, Method::Lbfgs);
            continue;
        }
        assert_eq!(report.termination, Termination::Observer, "{method:?}");
        assert_eq!((report.value, report.iterations()), (least, 11), "{method:?}");
        assert_eq!(f.value(&report.x), least);
        assert!((gradient_norm(&f, &report.x) - report.gradient_norm).abs() <= 1e-14 * report.initial_gradient_norm);
    }
    // A run that goes uphill from its start has the start.
    let f = bowl::<f64>(1);
    let solver = FirstOrder {
        stopping: Stopping { max_iterations: 10, ..Stopping::default() },
        ..FirstOrder::new(GradientDescent { rate: 3.0 })
    };
    let report = solver.minimize(&f, &[2.0]).unwrap();
    assert_eq!((&report.x[..], report.value), (&[2.0][..], report.initial_value));
    assert_eq!(report.iterations(), 10);
}

#[test]
fn other_tests_of_stopping_are_looked_at() {
    let f = bowl::<f64>(3);
    let x0 = [4.0, -3.0, 2.0];
    let off = || Stopping { gradient_relative: 0.0, ..Stopping::default() };
    for method in [Method::GradientDescent, Method::HeavyBall, Method::Armijo, Method::Backtracking] {
        let end = |stopping| method.minimize(&f, &x0, stopping).unwrap();
        let report = end(Stopping { target_value: 1e-3, ..off() });
        assert_eq!(report.termination, Termination::TargetValue);
        assert!(report.value <= 1e-3);
        assert_eq!(end(Stopping { step: 1e-3, ..off() }).termination, Termination::StepTolerance);
        let raised =
            objective(3, |x: &[f64]| 1.0 + f.value(x), |x, g| f.expand(x).gradient(g), |_, _, _| unreachable!());
        let report = method.minimize(&raised, &x0, Stopping { decrease: 1e-3, ..off() }).unwrap();
        assert_eq!(report.termination, Termination::DecreaseTolerance);
        let report = end(Stopping { gradient_absolute: 1e-3, ..off() });
        assert!(report.termination.converged() && report.gradient_norm <= 1e-3);
    }
}

#[test]
fn a_zero_gradient_is_the_end() {
    for method in all() {
        let report = method.minimize(&bowl::<f64>(3), &[1.0; 3], Stopping::default()).unwrap();
        assert_eq!((report.termination, report.iterations()), (Termination::GradientTolerance, 0), "{method:?}");
    }
}

#[test]
fn callers_mistakes_name_the_argument() {
    let f = bowl::<f64>(2);
    let refused = |result: Result<Report<f64>>, words: &str| {
        let message = result.expect_err(words).to_string();
        assert!(message.contains(words), "{message:?} does not say {words:?}");
    };
    fn with(method: impl GradientMethod) -> Result<Report<f64>> {
        FirstOrder::new(method).minimize(&bowl(2), &[0.0, 0.0])
    }
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let words = format!("rate is {bad}");
        refused(with(GradientDescent { rate: bad }), &words);
        refused(with(HeavyBall { rate: bad, momentum: 0.9 }), &words);
        refused(with(Nesterov { rate: bad, momentum: Momentum::Convex }), &words);
        refused(with(AdaGrad { rate: bad, ..Default::default() }), &words);
        refused(with(FullAdaGrad { rate: bad, ..Default::default() }), &words);
        refused(with(RmsProp { rate: bad, ..Default::default() }), &words);
        refused(with(Adam { rate: bad, ..Default::default() }), &words);
        let words = format!("epsilon is {bad}");
        for epsilon in [Epsilon::Outside(bad), Epsilon::Inside(bad)] {
            refused(with(AdaGrad { epsilon, ..Default::default() }), &words);
            refused(with(FullAdaGrad { epsilon, ..Default::default() }), &words);
            refused(with(RmsProp { epsilon, ..Default::default() }), &words);
        }
        refused(with(Adam { epsilon: bad, ..Default::default() }), &words);
    }
    for bad in [1.0, -0.1, f64::NAN] {
        let (constant, increasing) = (Momentum::Constant(bad), Momentum::Increasing(bad));
        refused(with(HeavyBall { rate: 1.0, momentum: bad }), &format!("momentum is {bad}"));
        refused(with(Nesterov { rate: 1.0, momentum: constant }), &format!("momentum is {bad}"));
        refused(with(Nesterov { rate: 1.0, momentum: increasing }), &format!("momentum is {bad}"));
        refused(with(RmsProp { discount: bad, ..Default::default() }), &format!("discount is {bad}"));
        refused(with(Adam { beta1: bad, ..Default::default() }), &format!("beta1 is {bad}"));
        refused(with(Adam { beta2: bad, ..Default::default() }), &format!("beta2 is {bad}"));
    }
    refused(with(Adam { decay: -1.0, ..Default::default() }), "decay is -1");
    refused(Lbfgs { memory: 0, ..Default::default() }.minimize(&f, &[0.0, 0.0]), "memory");
    let cosine = Schedule::Cosine { steps: 0 };
    let solver = FirstOrder { schedule: cosine, ..FirstOrder::new(Adam::default()) };
    refused(solver.minimize(&f, &[0.0, 0.0]), "schedule.steps");
    assert!(HeavyBall::for_quadratic(2.0, 1.0).is_err());
    assert!(HeavyBall::for_quadratic(0.0, 1.0).is_err());

    for method in all() {
        let start = |x0: &[f64]| method.minimize(&f, x0, Stopping::default());
        refused(start(&[1.0]), "x0 has length 1");
        refused(start(&[1.0, f64::NAN]), "x0[1] is NaN");
        refused(method.minimize(&bowl(0), &[], Stopping::default()), "dimension");
        let stopping = Stopping { gradient_relative: -1.0, ..Stopping::default() };
        refused(method.minimize(&f, &[0.0, 0.0], stopping), "stopping.gradient_relative is -1");
        refused(method.minimize(&scalar(|_| f64::NAN, |x| x), &[1.0], Stopping::default()), "the value at x0");
        let no_gradient = scalar(|x| x * x, |_| f64::INFINITY);
        refused(method.minimize(&no_gradient, &[1.0], Stopping::default()), "the gradient at x0[0]");
    }
    // The step by itself.
    let adam = Adam::default();
    let mut x = [0.0, 0.0];
    assert!(adam.step(&mut adam.moments(2), &[1.0], &mut x).is_err());
    assert!(adam.step(&mut adam.moments(3), &[1.0, 1.0], &mut x).is_err());
    let other = AdaGrad::default();
    assert!(matches!(
        adam.step(&mut other.moments(2), &[1.0, 1.0], &mut x),
        Err(Error::Length { argument: "moments.first", expected: 2, found: 0 })
    ));
}

#[test]
fn numerical_faults_are_outcomes() {
    for method in all() {
        let limit = || Stopping { max_iterations: 20_000, ..Stopping::default() };
        let run = |f: &dyn Fn(f64) -> f64, slope: &dyn Fn(f64) -> f64, x0: f64| {
            let report = method.minimize(&scalar(f, slope), &[x0], limit()).unwrap();
            assert!(report.x[0].is_finite() && report.value <= report.initial_value, "{method:?}: {report}");
            assert_eq!(report.value, f(report.x[0]), "{method:?}");
            report
        };
        // A gradient that is NaN to the left of 1, on the way to 0.
        let report = run(&|x| x * x, &|x| if x < 1.0 { f64::NAN } else { 2.0 * x }, 3.0);
        assert!(report.x[0] >= 1.0);
        if !method.searches() || method == Method::Armijo || method == Method::Backtracking {
            assert_eq!(report.termination, Termination::NotFinite(Evaluation::Gradient), "{method:?}");
        } else {
            assert!(!report.termination.converged(), "{method:?}");
        }
        // A value that is NaN there.
        let report = run(&|x| if x < 1.0 { f64::NAN } else { x * x }, &|x| 2.0 * x, 3.0);
        assert!(report.x[0] >= 1.0 && !report.termination.converged());
        // Searches shorten steps to stay inside a domain.
        if method.searches() {
            let f = |x: f64| if x > 0.0 { x - x.ln() } else { f64::NAN };
            let report = run(&f, &|x| 1.0 - 1.0 / x, 5.0);
            assert!(report.termination.converged() && (report.x[0] - 1.0).abs() < 1e-6, "{method:?}: {report}");
        } else {
            assert_eq!(
                run(&|x| if x == 3.0 { 9.0 } else { f64::NAN }, &|x| 2.0 * x, 3.0).termination,
                Termination::NotFinite(Evaluation::Value)
            );
        }
        // No minimum: −x² runs away; −∞ is one.
        let report = method.minimize(&scalar(|x| -x * x, |x| -2.0 * x), &[1.0], limit()).unwrap();
        let adaptive = [Method::AdaGrad, Method::FullAdaGrad, Method::RmsProp, Method::Adam].contains(&method);
        let expected = if adaptive { Termination::MaxIterations } else { Termination::Unbounded };
        assert_eq!(report.termination, expected, "{method:?}: {report}");
        let report = method
            .minimize(&scalar(|x| if x < 2.5 { f64::NEG_INFINITY } else { x * x }, |x| 2.0 * x), &[3.0], limit())
            .unwrap();
        assert_eq!(report.termination, Termination::Unbounded, "{method:?}");
        // A gradient of the wrong sign.
        let report = method.minimize(&scalar(|x| x * x, |x| -2.0 * x), &[3.0], limit()).unwrap();
        if method.searches() {
            assert_eq!(report.termination, Termination::InconsistentGradient, "{method:?}: {report}");
        }
        assert_eq!((report.x[0], report.value), (3.0, 9.0), "{method:?}");
        assert!(!report.termination.converged());
    }
}

#[test]
fn a_rate_that_is_too_large_diverges() {
    let f = bowl::<f64>(3);
    let report = FirstOrder::new(GradientDescent { rate: 1.0 }).minimize(&f, &[0.0; 3]).unwrap();
    assert_eq!(report.termination, Termination::Diverged);
    assert_eq!((report.x, report.value), (vec![0.0; 3], report.initial_value));
    // In f32 the point leaves its range long before the value does.
    let report = FirstOrder::new(GradientDescent { rate: 1.0 }).minimize(&bowl::<f32>(3), &[0.0; 3]);
    assert_eq!(report.unwrap().termination, Termination::Diverged);
}

#[test]
fn a_preconditioner_that_fails_is_an_outcome() {
    let with = |p: f64| with_preconditioner(bowl::<f64>(2), move |_: &[f64]| move |_: f64, r: &mut [f64]| r[0] *= p);
    let run = |p| FirstOrder::new(GradientDescent { rate: 0.1 }).minimize(&with(p), &[0.0; 2]).unwrap();
    assert_eq!(run(f64::NAN).termination, Termination::NotFinite(Evaluation::Gradient));
    assert!(run(1.0).termination.converged());
    // Line searches take −g where P is not positive definite.
    for p in [f64::NAN, -1e6] {
        let report = SteepestDescent::default().minimize(&with(p), &[0.0; 2]).unwrap();
        assert!(report.termination.converged(), "{p}: {report}");
    }
}

#[test]
fn rounding_of_values_does_not_stop_line_searches() {
    // 1e6 + ½(x − 1)²: values see x to 1e-5 only, slopes to 1e-16.
    let f = scalar(|x| 1e6 + 0.5 * (x - 1.0).powi(2), |x| x - 1.0);
    for method in SEARCHING {
        let report = method.minimize(&f, &[1.7], Stopping { gradient_relative: 1e-10, ..Stopping::default() }).unwrap();
        assert!(report.termination.converged() && (report.x[0] - 1.0).abs() <= 1e-10, "{method:?}: {report}");
    }
}

#[test]
fn lbfgs_solves_the_published_problems() {
    let (mut solved, mut calls) = (0, 0);
    for problem in MoreGarbowHillstrom::all() {
        let x0: Vec<f64> = problem.start();
        let stopping = Stopping { gradient_relative: 1e-6, max_values: 10_000, ..Stopping::default() };
        let report = Lbfgs { stopping, ..Default::default() }.minimize(&problem, &x0).unwrap();
        assert!(report.value <= report.initial_value);
        if report.termination.converged() {
            assert!(gradient_norm(&problem, &report.x) <= 1.0001e-6 * report.initial_gradient_norm);
            (solved, calls) = (solved + 1, calls + report.counts.gradients);
        } else {
            println!("{}: {}", problem.name(), report.termination);
        }
    }
    println!("{solved} solved with {calls} gradients");
    assert!(solved >= 34 && calls < 6000, "{solved} solved, {calls} gradients");
}

#[test]
fn pairs_take_room_as_they_come() {
    let f = ChainedRosenbrock::new(20).unwrap();
    let x0 = [-1.0; 20];
    let vectors = |memory| {
        let report = Lbfgs { memory, ..Default::default() }.minimize(&f, &x0).unwrap();
        assert!(report.termination.converged() && report.iterations() > 20, "{memory}");
        (report.memory_vectors(), report.iterations())
    };
    assert_eq!(vectors(3).0, 6 + 2 * 3);
    let (all, steps) = vectors(usize::MAX);
    assert!(all <= 6 + 2 * steps && all > 6 + steps, "{all} vectors, {steps} steps");
}

#[test]
fn histories_of_long_runs_stay_short() {
    let f = bowl::<f64>(1);
    let solver = FirstOrder {
        stopping: Stopping { gradient_relative: 0.0, max_iterations: 100_000, ..Stopping::default() },
        ..FirstOrder::new(Adam { rate: 1e-6, ..Default::default() })
    };
    let report = solver.minimize(&f, &[-1.0]).unwrap();
    assert_eq!((report.iterations(), report.history_stride(), report.history.len()), (100_000, 32, 3125));
    // Entry i is step 32 (i + 1).
    let mut at = vec![];
    let observe = |progress: &Progress<f64>| {
        at.push(progress.value);
        ControlFlow::Continue(())
    };
    solver.minimize_with(&f, &[-1.0], observe).unwrap();
    assert!(report.history.iter().enumerate().all(|(i, it)| it.value == at[32 * (i + 1)]));
    let table = format!("{report:#}");
    assert!(table.contains("\n    64 ") && table.contains("100000"), "{}", &table[..600]);
}

#[test]
fn runs_are_the_same_for_any_number_of_threads() {
    let n = 150_000;
    let f = bowl::<f32>(n);
    let x0: Vec<f32> = (0..n).map(|i| (i as f32).sin()).collect();
    for method in all() {
        if method == Method::FullAdaGrad {
            continue;
        }
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let stopping = Stopping { max_iterations: 8, ..Stopping::default() };
            pool.install(|| method.minimize(&f, &x0, stopping).unwrap())
        };
        let (one, three) = (run(1), run(3));
        assert_eq!(one.x, three.x, "{method:?}");
        // NaN is not equal to itself.
        assert_eq!(format!("{:?}", one.history), format!("{:?}", three.history));
    }
}

#[test]
fn schedules_change_the_rate() {
    let f = bowl::<f64>(2);
    let run = |schedule, max_iterations| {
        let stopping = Stopping { gradient_relative: 0.0, max_iterations, ..Stopping::default() };
        let solver = FirstOrder { schedule, stopping, ..FirstOrder::new(Adam { rate: 0.1, ..Default::default() }) };
        solver.minimize(&f, &[0.0, 0.0]).unwrap()
    };
    let report = run(Schedule::InverseSquareRoot, 4);
    assert_eq!(report.history.iter().map(|it| it.control).collect::<Vec<_>>()[..1], [0.1]);
    assert!((report.history[3].control - 0.05).abs() < 1e-15);
    // With a constant rate Adam circles, with a cosine it settles; and ends with the schedule.
    let (constant, cosine) = (run(Schedule::Constant, 400), run(Schedule::Cosine { steps: 400 }, 1000));
    assert_eq!((cosine.iterations(), cosine.termination), (400, Termination::MaxIterations));
    let last = |report: &Report<f64>| report.history.last().unwrap().value;
    assert!(last(&cosine) < 1e-3 * last(&constant) || last(&cosine) < 1e-12, "{} {}", last(&cosine), last(&constant));
}

#[test]
fn feature_variances_take_the_scales_out() {
    let set = parse_libsvm::<f64>(include_str!("../data/heart_scale")).unwrap();
    let n = set.features.cols();
    // The data as they might come: every feature in another unit.
    let scale = |j: usize| 10_f64.powi(j as i32 % 5 - 2);
    let rows: Vec<Vec<f64>> = (0..set.features.rows())
        .map(|i| {
            let mut row = vec![0.0; n];
            let (columns, values) = set.features.row(i);
            columns.iter().zip(values).for_each(|(&j, &v)| row[j as usize] = v * scale(j as usize));
            row
        })
        .collect();
    let features = newton_krylov::problems::SparseRows::from_dense(n, &rows.concat()).unwrap();
    // A regulariser that is too weak to matter in any of these units.
    let f = LogisticRegression::new(features, set.labels, 1e6).unwrap();
    let least = TrustRegion::default().minimize(&f, &vec![0.0; n]).unwrap();
    assert!(least.termination.converged());
    let target_value = least.value * (1.0 + 1e-4);
    let stopping = Stopping { gradient_relative: 0.0, target_value, max_iterations: 20_000, ..Stopping::default() };
    let solver = SteepestDescent { stopping, ..Default::default() };
    // Without the preconditioner that the problem brings along.
    let f = objective(n, |x: &[f64]| f.value(x), |x, g| f.expand(x).gradient(g), |_, _, _| unreachable!());
    let plain = solver.minimize(&f, &vec![0.0; n]).unwrap();
    let p = DiagonalPreconditioner::from_feature_variances(n, rows.iter().map(|row| &row[..])).unwrap();
    let f = with_preconditioner(&f, |_: &[f64]| p.clone());
    let report = solver.minimize(&f, &vec![0.0; n]).unwrap();
    println!("plain {} ({}), preconditioned {}", plain.counts, plain.termination, report.counts);
    assert_eq!(report.termination, Termination::TargetValue);
    assert!(100 * report.counts.gradients < plain.counts.gradients, "{} and {}", plain.counts, report.counts);
}

/// 1/N Σ (aᵢᵀx − bᵢ)²/2, with NaN for samples that are marked.
struct Fit {
    rows: Vec<([f64; 2], f64)>,
    calls: Cell<usize>,
}

impl Fit {
    fn new(n: usize) -> Self {
        let row = |i: usize| {
            let a = [1.0, (i as f64).sin()];
            (a, 2.0 * a[0] - a[1] + 0.1 * (7.0 * i as f64).cos())
        };
        Fit { rows: (0..n).map(row).collect(), calls: Cell::new(0) }
    }
}

impl SampledObjective<f64> for Fit {
    fn dim(&self) -> usize {
        2
    }
    fn samples(&self) -> usize {
        self.rows.len()
    }
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Objective<f64> + 'a {
        let residual = |(a, b): &([f64; 2], f64), x: &[f64]| a[0] * x[0] + a[1] * x[1] - b;
        let share = 1.0 / samples.len() as f64;
        objective(
            2,
            move |x: &[f64]| {
                self.calls.set(self.calls.get() + 1);
                samples.iter().map(|&i| 0.5 * share * residual(&self.rows[i], x).powi(2)).sum::<f64>()
            },
            move |x, g| {
                g.fill(0.0);
                for &i in samples {
                    let r = share * residual(&self.rows[i], x);
                    g.iter_mut().zip(self.rows[i].0).for_each(|(g, a)| *g += r * a);
                }
            },
            |_, _, _| unreachable!(),
        )
    }
}

fn sampled<M: GradientMethod>(method: M, steps: usize) -> FirstOrder<M> {
    let stopping = Stopping { max_iterations: steps, ..Stopping::default() };
    FirstOrder { stopping, ..FirstOrder::new(method) }
}

#[test]
fn batches_lead_to_the_same_minimum() {
    let fit = Fit::new(60);
    let all: Vec<usize> = (0..60).collect();
    let whole = fit.batch(&all);
    let best = Lbfgs::default().minimize(&whole, &[0.0, 0.0]).unwrap();
    assert!(best.termination.converged());
    fn check(fit: &Fit, method: impl GradientMethod, best: &Report<f64>) {
        let batches = Batches::new(60, 6, 5).unwrap();
        let solver = FirstOrder { schedule: Schedule::Cosine { steps: 2000 }, ..sampled(method, 2000) };
        let before = fit.calls.get();
        let report = solver.minimize_sampled(fit, batches, &[0.0, 0.0]).unwrap();
        assert_eq!(report.termination, Termination::MaxIterations);
        assert!(report.x.iter().zip(&best.x).all(|(x, y)| (x - y).abs() < 0.02), "{:?} and {:?}", report.x, best.x);
        // One batch a step, and the whole at both ends.
        assert_eq!((report.counts.values, report.counts.gradients), (2002, 2002));
        assert_eq!(fit.calls.get() - before, 2002);
        assert_eq!(report.iterations(), 2000);
        let all: Vec<usize> = (0..60).collect();
        let whole = fit.batch(&all);
        assert_eq!((report.value, report.initial_value), (whole.value(&report.x), whole.value(&[0.0, 0.0])));
        assert_eq!(report.history.last().unwrap().value, report.value);
    }
    check(&fit, GradientDescent { rate: 0.1 }, &best);
    check(&fit, HeavyBall { rate: 0.02, momentum: 0.9 }, &best);
    check(&fit, Nesterov { rate: 0.02, momentum: Momentum::Constant(0.9) }, &best);
    check(&fit, AdaGrad { rate: 0.5, ..Default::default() }, &best);
    check(&fit, FullAdaGrad { rate: 0.5, ..Default::default() }, &best);
    check(&fit, RmsProp { rate: 0.01, ..Default::default() }, &best);
    check(&fit, Adam { rate: 0.02, ..Default::default() }, &best);
}

#[test]
fn faults_on_batches_are_outcomes() {
    let adam = Adam { rate: 0.02, ..Default::default() };
    // One sample that cannot be evaluated: then neither can the whole, and that is said at once.
    let mut fit = Fit::new(20);
    fit.rows[11].1 = f64::NAN;
    let batches = || Batches::new(20, 2, 3).unwrap();
    assert!(sampled(adam, 100).minimize_sampled(&fit, batches(), &[0.0, 0.0]).is_err());

    let fit = Fit::new(20);
    let run = |rate| {
        let solver = sampled(GradientDescent { rate }, 100_000);
        solver.minimize_sampled(&fit, Batches::new(20, 2, 3).unwrap(), &[0.0, 0.0]).unwrap()
    };
    let report = run(50.0);
    assert_eq!(report.termination, Termination::Diverged, "{report}");
    assert!(report.x.iter().all(|x| x.is_finite()) && report.value.is_finite());

    // A batch at its own minimum is no reason to stop.
    let zero = Fit { rows: vec![([1.0, 0.0], 0.0), ([1.0, 0.0], 0.0), ([0.0, 1.0], 1.0)], calls: Cell::new(0) };
    let solver = sampled(GradientDescent { rate: 0.5 }, 50);
    let report = solver.minimize_sampled(&zero, Batches::new(3, 1, 1).unwrap(), &[0.0, 0.0]).unwrap();
    assert_eq!((report.termination, report.iterations()), (Termination::MaxIterations, 50));
    assert!(report.value < 1e-6);

    let wrong = sampled(adam, 10).minimize_sampled(&fit, Batches::new(7, 2, 3).unwrap(), &[0.0, 0.0]);
    assert!(matches!(wrong, Err(Error::Length { argument: "batches", expected: 20, found: 7 })));

    let mut calls = 0;
    let stop = |_: &Progress<f64>| {
        calls += 1;
        if calls == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let report = sampled(adam, 10).minimize_sampled_with(&fit, batches(), &[0.0, 0.0], stop).unwrap();
    assert_eq!((report.termination, report.iterations()), (Termination::Observer, 4));
}

#[test]
fn storage_is_what_is_reported() {
    let f = bowl::<f64>(4);
    let vectors = |method: Method| {
        let stopping = Stopping { max_iterations: 3, ..Stopping::default() };
        method.minimize(&f, &[0.0; 4], stopping).unwrap().memory_vectors()
    };
    // x, the next point and the gradient; moments; the direction and trial gradients of searches; the pairs of three steps.
    // The heavy ball has met a worse point, and keeps the best.
    assert_eq!(all().map(vectors).collect::<Vec<_>>(), [3, 5, 4, 4, 4, 7, 4, 5, 5, 5, 6, 12]);
}

#[test]
fn options_are_saved_and_loaded() {
    let solver = FirstOrder {
        schedule: Schedule::Cosine { steps: 9 },
        ..FirstOrder::new(Nesterov { rate: 0.1, momentum: Momentum::Constant(0.3) })
    };
    let stopping = Stopping { target_value: 0.0, ..Stopping::default() };
    let solver = FirstOrder { stopping, ..solver };
    let copy: FirstOrder<Nesterov> = serde_json::from_str(&serde_json::to_string(&solver).unwrap()).unwrap();
    assert_eq!(solver, copy);
}
