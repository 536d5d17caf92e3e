//! Hessian-free training on problems with known solutions: both recipes, sampled and not, with faults, and interrupted.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::time::Duration;

use newton_krylov::{
    Counts, Error, Evaluation, Expansion, HessianFree, Objective, Progress, Report, Run, RunState, SampledObjective,
    Scalar, Stopping, SymmetricOperator, Termination, TrustRegion, checkpoint,
    hessian_free::{
        AcceptanceBatch, ConjugateGradients, CurvatureBatch, GradientBatch, HessianFreeRun, StepMethod, SubspaceDescent,
    },
    objective,
    preconditioners::{
        EmpiricalFisherDiagonal, LearnedPreconditioner, LimitedMemoryPreconditioner, NystromPreconditioner,
    },
    random::SplitMix64,
};

/// Logistic regression with N samples of d numbers, 1/N Σ log(1 + exp(−bᵢ aᵢᵀx)) + μ/2 ‖x‖², with its exact Hessian.
/// It counts, by samples, what is asked of it.
struct Logistic<T> {
    dim: usize,
    rows: Vec<T>,
    labels: Vec<f64>,
    counts: [Cell<usize>; 6],
    /// The sample whose gradient is NaN.
    bad_gradient: Option<usize>,
    /// The sample whose value is NaN.
    bad_value: Option<usize>,
}

const MU: f64 = 1e-3;

impl<T: Scalar> Logistic<T> {
    fn new(samples: usize, dim: usize) -> Self {
        let mut random = SplitMix64::new(12345);
        let mut uniform = move || random.uniform() - 0.5;
        let scale = |j: usize| 10f64.powf(-2.0 * (j % 7) as f64 / 7.0);
        let rows: Vec<f64> = (0..samples * dim).map(|i| uniform() * 4.0 * scale(i % dim)).collect();
        let labels = rows.chunks(dim).map(|a| (a.iter().sum::<f64>() + uniform()).signum()).collect();
        let rows = rows.into_iter().map(T::from_f64).collect();
        Logistic { dim, rows, labels, counts: Default::default(), bad_gradient: None, bad_value: None }
    }

    fn margin(&self, i: usize, x: &[T]) -> f64 {
        self.rows[i * self.dim..][..self.dim].iter().zip(x).map(|(&a, &x)| a.into() * x.into()).sum()
    }

    fn add(&self, what: usize, samples: usize) {
        self.counts[what].set(self.counts[what].get() + 1);
        self.counts[what + 3].set(self.counts[what + 3].get() + samples);
    }

    fn counted(&self) -> [usize; 6] {
        std::array::from_fn(|i| self.counts[i].get())
    }
}

struct LogisticBatch<'a, T> {
    all: &'a Logistic<T>,
    samples: &'a [usize],
}

struct LogisticAt<'a, T> {
    batch: &'a LogisticBatch<'a, T>,
    x: &'a [T],
}

impl<T: Scalar> SampledObjective<T> for Logistic<T> {
    fn dim(&self) -> usize {
        self.dim
    }
    fn samples(&self) -> usize {
        self.labels.len()
    }
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Objective<T> + 'a {
        assert!(!samples.is_empty());
        LogisticBatch { all: self, samples }
    }
}

impl<T: Scalar> LogisticBatch<'_, T> {
    fn value_uncounted(&self, x: &[T]) -> f64 {
        let loss = |&i: &usize| {
            let margin = self.all.labels[i] * self.all.margin(i, x);
            if Some(i) == self.all.bad_value { f64::NAN } else { (-margin).max(0.0) + (-margin.abs()).exp().ln_1p() }
        };
        let squares: f64 = x.iter().map(|&x| x.into() * x.into()).sum();
        self.samples.iter().map(loss).sum::<f64>() / self.samples.len() as f64 + 0.5 * MU * squares
    }

    fn accumulate(&self, v: &[T], out: &mut [T], weight: impl Fn(usize) -> f64) {
        let mut sum: Vec<f64> = v.iter().map(|&v| MU * v.into()).collect();
        for &i in self.samples {
            let w = weight(i) / self.samples.len() as f64;
            for (s, &a) in sum.iter_mut().zip(&self.all.rows[i * self.all.dim..]) {
                *s += w * a.into();
            }
        }
        for (out, s) in out.iter_mut().zip(sum) {
            *out = T::from_f64(s);
        }
    }
}

impl<T: Scalar> Objective<T> for LogisticBatch<'_, T> {
    fn dim(&self) -> usize {
        self.all.dim
    }
    fn value(&self, x: &[T]) -> f64 {
        self.all.add(0, self.samples.len());
        self.value_uncounted(x)
    }
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        LogisticAt { batch: self, x }
    }
}

impl<T: Scalar> SymmetricOperator<T> for LogisticAt<'_, T> {
    fn dim(&self) -> usize {
        self.batch.all.dim
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        let all = self.batch.all;
        all.add(2, self.batch.samples.len());
        self.batch.accumulate(v, out, |i| {
            let p = 1.0 / (1.0 + (-all.margin(i, self.x)).exp());
            p * (1.0 - p) * all.margin(i, v)
        });
    }
}

impl<T: Scalar> Expansion<T> for LogisticAt<'_, T> {
    fn value(&self) -> f64 {
        self.batch.all.add(0, self.batch.samples.len());
        self.batch.value_uncounted(self.x)
    }
    fn gradient(&self, out: &mut [T]) {
        let all = self.batch.all;
        all.add(1, self.batch.samples.len());
        self.batch.accumulate(self.x, out, |i| {
            let b = all.labels[i];
            if Some(i) == all.bad_gradient { f64::NAN } else { -b / (1.0 + (b * all.margin(i, self.x)).exp()) }
        });
    }
}

/// A function of each sample that is the same for all: for faults of the objective.
struct Same<V, G, H>(usize, V, G, H);

impl<V: Fn(&[f64]) -> f64, G: Fn(&[f64], &mut [f64]), H: Fn(&[f64], &[f64], &mut [f64])> SampledObjective<f64>
    for Same<V, G, H>
{
    fn dim(&self) -> usize {
        self.0
    }
    fn samples(&self) -> usize {
        10
    }
    fn batch<'a>(&'a self, _: &'a [usize]) -> impl Objective<f64> + 'a {
        objective(self.0, &self.1, &self.2, &self.3)
    }
}

fn martens() -> StepMethod {
    StepMethod::ConjugateGradients(ConjugateGradients::default())
}

fn recipes() -> [StepMethod; 3] {
    let subspace_descent = SubspaceDescent::default(); // two products
    [
        StepMethod::SubspaceDescent(SubspaceDescent { products: 20, search: true, ..SubspaceDescent::default() }),
        StepMethod::SubspaceDescent(subspace_descent),
        martens(),
    ]
}

fn exactly(method: StepMethod) -> HessianFree {
    HessianFree {
        method,
        damping: 1.0,
        gradient_batch: GradientBatch::all(),
        curvature_batch: CurvatureBatch::all(),
        ..HessianFree::default()
    }
}

fn sampled(method: StepMethod) -> HessianFree {
    HessianFree {
        method,
        damping: 1.0,
        gradient_batch: GradientBatch { first: 40, growth: 1.02, most: 150 },
        curvature_batch: CurvatureBatch { share: 0.5, whole_share: 0.5, least: 10 },
        stopping: Stopping { max_iterations: 60, ..Stopping::default() },
        ..HessianFree::default()
    }
}

/// The minimum by another solver.
fn minimum(problem: &Logistic<f64>) -> Report<f64> {
    let all: Vec<usize> = (0..problem.samples()).collect();
    let report = TrustRegion::default().minimize(&problem.batch(&all), &vec![0.0; problem.dim]).unwrap();
    assert!(report.termination.converged());
    report
}

#[test]
fn on_the_whole_set_every_recipe_converges_to_the_minimum() {
    let problem = Logistic::<f64>::new(200, 23);
    let best = minimum(&problem);
    for method in recipes() {
        let report = exactly(method).minimize(&problem, &[0.0; 23]).unwrap();
        assert!(report.termination.converged(), "{method:?}: {report}");
        let distance = report.x.iter().zip(&best.x).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(distance < 1e-5, "{method:?}: {distance}");
        assert!(report.history.windows(2).all(|w| w[1].value <= w[0].value), "{method:?}");
        assert!((report.value - best.value).abs() < 1e-12);
    }
}

#[test]
fn f32_converges_to_its_own_tolerance() {
    let problem = Logistic::<f32>::new(200, 23);
    let best = minimum(&Logistic::new(200, 23)).value;
    for method in recipes() {
        let mut solver = exactly(method);
        solver.stopping.gradient_relative = 1e-5;
        let report = solver.minimize(&problem, &[0.0; 23]).unwrap();
        assert!(report.termination.converged(), "{method:?}: {report}");
        assert!((report.value - best).abs() < 1e-6, "{method:?}: {} {best}", report.value);
    }
}

#[test]
fn samples_bring_it_close_to_the_minimum_and_the_value_reported_is_that_of_the_whole_set() {
    let problem = Logistic::<f64>::new(501, 23);
    let best = minimum(&problem);
    let all: Vec<usize> = (0..501).collect();
    for method in recipes() {
        for acceptance_batch in [AcceptanceBatch::Gradient, AcceptanceBatch::Curvature, AcceptanceBatch::All] {
            let mut solver = HessianFree { acceptance_batch, ..sampled(method) };
            solver.stopping.max_iterations = 400;
            solver.gradient_batch.most = 501;
            let report = solver.minimize(&problem, &[0.0; 23]).unwrap();
            assert_eq!(report.value, problem.batch(&all).value(&report.x), "{method:?} {acceptance_batch:?}");
            let left = (report.value - best.value) / (report.initial_value - best.value);
            assert!(left < 0.05, "{method:?} {acceptance_batch:?}: {left}");
        }
    }
}

fn exact_counts<P: LearnedPreconditioner<f64, Logistic<f64>> + Clone>(preconditioner: P) {
    for method in recipes() {
        for acceptance_batch in [AcceptanceBatch::Gradient, AcceptanceBatch::Curvature, AcceptanceBatch::All] {
            let problem = Logistic::<f64>::new(130, 23);
            let solver = HessianFree { acceptance_batch, ..sampled(method) };
            let mut run = solver.start(&problem, preconditioner.clone(), &[0.0; 23]).unwrap();
            while run.iterate().unwrap().is_none() {}
            let samples = run.sample_counts();
            let report = run.finish(Termination::MaxIterations);
            let [values, gradients, products, value_samples, ..] = problem.counted();
            assert_eq!(
                report.counts,
                Counts { values, gradients, products, ..Counts::default() },
                "{method:?} {acceptance_batch:?}"
            );
            assert_eq!(samples.products, problem.counted()[5]);
            assert_eq!(samples.gradients, problem.counted()[4]);
            assert!(samples.values <= value_samples);
            let of_steps = report.history.iter().map(|i| i.products).sum::<usize>();
            assert!(of_steps <= products && (of_steps == products || report.iterations() < 60));
        }
    }
}

#[test]
fn counts_are_those_of_the_objective() {
    exact_counts(());
    exact_counts(EmpiricalFisherDiagonal::new(0.75, 7).unwrap());
    exact_counts(NystromPreconditioner::new(9, 1).unwrap());
    exact_counts(LimitedMemoryPreconditioner::new(8).unwrap());
}

/// A run that may not make the products of a sketch goes on without them.
#[test]
fn a_sketch_keeps_the_limit_on_products() {
    let problem = Logistic::<f64>::new(200, 23);
    for method in recipes() {
        for most in [1, 8, 9, 10, 100] {
            let mut solver = sampled(method);
            solver.stopping.max_products = most;
            let preconditioner = NystromPreconditioner::new(9, 1).unwrap();
            let report =
                solver.minimize_with(&problem, preconditioner, &[0.0; 23], |_| ControlFlow::Continue(())).unwrap();
            assert_eq!((report.termination, report.counts.products), (Termination::MaxProducts, most), "{method:?}");
            assert_eq!(problem.counted()[2], most);
            problem.counts[2].set(0);
        }
    }
}

/// Conjugate gradients need fewer products with either, where the spectrum has a few large eigenvalues.
#[test]
fn low_rank_preconditioners_save_products() {
    let problem = Logistic::<f64>::new(400, 120);
    let solver = HessianFree {
        gradient_batch: GradientBatch::all(),
        curvature_batch: CurvatureBatch::all(),
        damping: 1e-3,
        ..sampled(martens())
    };
    let on = |_: &Progress<'_, f64>| ControlFlow::Continue(());
    let products = |report: Report<f64>| {
        assert_eq!(report.termination, Termination::GradientTolerance);
        report.counts.products
    };
    let plain = products(solver.minimize(&problem, &[0.0; 120]).unwrap());
    let sketch = NystromPreconditioner::new(40, 1).unwrap();
    let sketch = products(solver.minimize_with(&problem, sketch, &[0.0; 120], on).unwrap());
    let pairs = LimitedMemoryPreconditioner::new(20).unwrap();
    let pairs = products(solver.minimize_with(&problem, pairs, &[0.0; 120], on).unwrap());
    assert!(sketch < plain && pairs < plain, "{plain} {sketch} {pairs}");
}

#[test]
fn the_time_is_kept_and_observers_stop() {
    let problem = Logistic::<f64>::new(200, 23);
    for method in recipes() {
        let mut solver = sampled(method);
        solver.stopping.max_time = Duration::ZERO;
        assert_eq!(solver.minimize(&problem, &[0.0; 23]).unwrap().termination, Termination::MaxTime);
        let mut seen = 0;
        let observer = |progress: &Progress<'_, f64>| {
            seen += 1;
            assert!(progress.last.is_some() == (progress.iteration > 0) && progress.value.is_finite());
            if progress.iteration == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let report = sampled(method).minimize_with(&problem, (), &[0.0; 23], observer).unwrap();
        assert_eq!((report.termination, seen), (Termination::Observer, 6));
    }
}

#[test]
fn a_bad_sample_costs_the_iterations_that_meet_it() {
    let best = minimum(&Logistic::<f64>::new(200, 23)).value;
    for method in recipes() {
        let problem = Logistic { bad_gradient: Some(7), ..Logistic::<f64>::new(200, 23) };
        let report = sampled(method).minimize(&problem, &[0.0; 23]).unwrap();
        assert_eq!(report.termination, Termination::MaxIterations);
        assert!(report.iterations() > 30 && report.iterations() < 60);
        assert!(report.value - best < 0.2 * (report.initial_value - best));

        let report = exactly(method).minimize(&problem, &[0.0; 23]).unwrap();
        assert_eq!(report.termination, Termination::NotFinite(Evaluation::Gradient));
        assert_eq!((report.x, report.value), (vec![0.0; 23], report.initial_value));

        let problem = Logistic { bad_value: Some(7), ..Logistic::<f64>::new(200, 23) };
        let report = sampled(method).minimize(&problem, &[0.0; 23]).unwrap();
        assert_eq!(report.termination, Termination::NotFinite(Evaluation::Value));
        assert_eq!((report.iterations(), report.x), (0, vec![0.0; 23]));
    }
}

#[test]
fn callers_mistakes_are_named() {
    let problem = Logistic::<f64>::new(20, 3);
    let solver = HessianFree::default();
    assert!(matches!(solver.minimize(&problem, &[0.0; 2]), Err(Error::Length { argument: "x0", .. })));
    assert!(matches!(solver.minimize(&problem, &[0.0, f64::NAN, 0.0]), Err(Error::NotFinite { argument: "x0", .. })));
    let empty = Logistic::<f64>::new(0, 3);
    assert!(matches!(solver.minimize(&empty, &[0.0; 3]), Err(Error::ZeroDimension { .. })));
    assert!(
        EmpiricalFisherDiagonal::<f64>::new(0.0, 1).is_err() && EmpiricalFisherDiagonal::<f64>::new(0.5, 0).is_err()
    );
}

#[test]
fn every_option_out_of_its_range_is_refused_by_name_and_number() {
    let problem = Logistic::<f64>::new(20, 3);
    let refused = |change: &dyn Fn(&mut HessianFree), words: &str| {
        let mut solver = HessianFree::default();
        change(&mut solver);
        let message = solver.minimize(&problem, &[0.0; 3]).expect_err(words).to_string();
        assert!(message.contains(words), "{message:?} does not say {words:?}");
        let state = HessianFree::default().start(&problem, (), &[0.0; 3]).unwrap().save();
        let resumed: Result<HessianFreeRun<f64, _>, _> = solver.resume(&problem, &state);
        assert_eq!(resumed.err().expect(words).to_string(), message);
    };
    let (subspace_descent, cg) = (SubspaceDescent::default(), ConjugateGradients::default());
    for bad in [0.0, -0.5, 1.5, f64::NAN, f64::INFINITY] {
        refused(&|s| s.curvature_batch.share = bad, &format!("curvature_batch.share is {bad}"));
        refused(&|s| s.curvature_batch.whole_share = bad, &format!("curvature_batch.whole_share is {bad}"));
    }
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        refused(&|s| s.damping = bad, &format!("damping is {bad}"));
    }
    for bad in [0.0, 0.9, -1.0, f64::NAN, f64::INFINITY] {
        refused(&|s| s.gradient_batch.growth = bad, &format!("gradient_batch.growth is {bad}"));
    }
    for bad in [-0.1, 1.0, f64::NAN, f64::INFINITY] {
        let momentum = StepMethod::SubspaceDescent(SubspaceDescent { momentum: bad, ..subspace_descent });
        refused(&|s| s.method = momentum, &format!("method.momentum is {bad}"));
    }
    for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let warm_start = StepMethod::ConjugateGradients(ConjugateGradients { warm_start: bad, ..cg });
        refused(&|s| s.method = warm_start, &format!("method.warm_start is {bad}"));
        let progress = StepMethod::ConjugateGradients(ConjugateGradients { progress: bad, ..cg });
        refused(&|s| s.method = progress, &format!("method.progress is {bad}"));
    }
    refused(&|s| s.gradient_batch.first = 0, "gradient_batch.first is 0");
    refused(&|s| s.gradient_batch.most = 0, "gradient_batch.most is 0");
    refused(
        &|s| s.method = StepMethod::SubspaceDescent(SubspaceDescent { products: 0, ..subspace_descent }),
        "method.products is 0",
    );
    let none = StepMethod::ConjugateGradients(ConjugateGradients { products: 0, ..cg });
    refused(&|s| s.method = none, "method.products is 0");
    refused(&|s| s.stopping.target_value = f64::NAN, "stopping.target_value is NaN");
}

#[test]
fn one_unknown_one_sample_and_a_start_at_the_minimum() {
    for method in recipes() {
        let problem = Logistic::<f64>::new(1, 1);
        let report = exactly(method).minimize(&problem, &[0.3]).unwrap();
        assert!(report.termination.converged(), "{report}");
        let again = exactly(method).minimize(&problem, &report.x).unwrap();
        assert!(again.value <= report.value);
        let square = Same(
            1,
            |x: &[f64]| x[0] * x[0],
            |x: &[f64], g: &mut [f64]| g[0] = 2.0 * x[0],
            |_: &[f64], v: &[f64], hv: &mut [f64]| hv[0] = 2.0 * v[0],
        );
        let report = exactly(method).minimize(&square, &[0.0]).unwrap();
        assert!(report.termination.converged() && report.iterations() == 0);
    }
}

#[test]
fn an_indefinite_hessian_a_domain_with_an_edge_and_no_minimum() {
    // Double wells, started where every curvature is negative.
    let wells = Same(
        5,
        |x: &[f64]| x.iter().map(|x| 0.25 * (x * x - 1.0).powi(2)).sum(),
        |x: &[f64], g: &mut [f64]| (0..5).for_each(|i| g[i] = x[i].powi(3) - x[i]),
        |x: &[f64], v: &[f64], hv: &mut [f64]| (0..5).for_each(|i| hv[i] = (3.0 * x[i] * x[i] - 1.0) * v[i]),
    );
    // x − ln x, which is NaN for x < 0, from far to the right.
    let edge = Same(
        1,
        |x: &[f64]| x[0] - x[0].ln(),
        |x: &[f64], g: &mut [f64]| g[0] = 1.0 - 1.0 / x[0],
        |x: &[f64], v: &[f64], hv: &mut [f64]| hv[0] = v[0] / (x[0] * x[0]),
    );
    let falling = Same(
        1,
        |x: &[f64]| if x[0] > 1e3 { f64::NEG_INFINITY } else { -x[0] },
        |_: &[f64], g: &mut [f64]| g[0] = -1.0,
        |_: &[f64], _: &[f64], hv: &mut [f64]| hv[0] = 0.0,
    );
    for method in recipes() {
        let solver = exactly(method);
        let report = solver.minimize(&wells, &[0.1, -0.2, 0.3, 0.05, -0.01]).unwrap();
        assert!(report.termination.converged() && report.value < 1e-9, "{method:?} {report:#}");
        let report = solver.minimize(&edge, &[20.0]).unwrap();
        assert!(report.termination.converged() && (report.x[0] - 1.0).abs() < 1e-6, "{method:?} {report:#}");
        let report = solver.minimize(&falling, &[0.0]).unwrap();
        assert_eq!(report.termination, Termination::Unbounded, "{method:?} {report:#}");
    }
}

#[test]
fn overflowing_losses_and_infinite_products_are_outcomes() {
    let overflow = Same(
        1,
        |x: &[f64]| x[0].exp() * 1e300,
        |x: &[f64], g: &mut [f64]| g[0] = x[0].exp() * 1e300,
        |_: &[f64], v: &[f64], hv: &mut [f64]| hv[0] = f64::INFINITY * v[0],
    );
    for method in recipes() {
        let report = exactly(method).minimize(&overflow, &[0.0]).unwrap();
        assert_eq!(report.termination, Termination::NotFinite(Evaluation::Product), "{method:?}");
        assert_eq!(report.x, [0.0]);
        let report = exactly(method).minimize(&overflow, &[1e3]).unwrap();
        assert_eq!(report.termination, Termination::NotFinite(Evaluation::Value));
    }
}

/// Where steps are judged on other samples than the gradient is from, many are refused near the minimum; the damping must
/// not run away for that.
#[test]
fn the_damping_stays_in_bounds_at_the_noise_of_the_batches() {
    let problem = Logistic::<f64>::new(501, 23);
    for method in recipes() {
        let mut solver = HessianFree { acceptance_batch: AcceptanceBatch::Curvature, ..sampled(method) };
        solver.stopping.max_iterations = 2000;
        let report = solver.minimize(&problem, &[0.0; 23]).unwrap();
        let largest = report.history.iter().map(|i| i.control).fold(0.0, f64::max);
        assert!(largest < 1e10, "{method:?}: {largest:e}, {report}");
    }
}

#[test]
fn the_seed_fixes_the_run_for_any_number_of_threads() {
    let problem = || Logistic::<f32>::new(64, 70_000);
    let run = |threads: usize, seed: u64, method: StepMethod| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut solver = HessianFree { seed, ..sampled(method) };
        solver.gradient_batch.first = 20;
        solver.stopping.max_iterations = 4;
        pool.install(|| {
            let problem = problem();
            let mut run = solver.start(&problem, (), &vec![0.0; 70_000]).unwrap();
            while run.iterate().unwrap().is_none() {}
            run.progress().x.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        })
    };
    for method in recipes() {
        let once = run(1, 3, method);
        assert!(once == run(3, 3, method), "{method:?}");
        assert!(once != run(1, 4, method), "{method:?}");
    }
}

/// What must be the same to the bit; times differ. As text: what is not known is NaN.
fn bits<P: LearnedPreconditioner<f32, Logistic<f32>>>(run: &HessianFreeRun<'_, f32, Logistic<f32>, P>) -> String {
    let progress = run.progress();
    let x: Vec<u32> = progress.x.iter().map(|x| x.to_bits()).collect();
    format!("{x:?} {} {:?} {:?} {:?}", progress.iteration, progress.last, progress.counts, run.sample_counts())
}

fn resumed<P>(method: StepMethod, preconditioner: P)
where
    P: LearnedPreconditioner<f32, Logistic<f32>> + Clone,
{
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let problem = Logistic::<f32>::new(90, 23);
    let solver = sampled(method);
    let mut whole = solver.start(&problem, preconditioner.clone(), &[0.0; 23]).unwrap();
    checkpoint::save(&path, "test", &whole.save()).unwrap();
    for _ in 0..25 {
        assert_eq!(whole.iterate().unwrap(), None);
        // Interrupted after every iteration.
        let state = checkpoint::load(&path, "test").unwrap();
        let mut part: HessianFreeRun<f32, _, P> = solver.resume(&problem, &state).unwrap();
        assert_eq!(part.iterate().unwrap(), None);
        assert_eq!(bits(&part), bits(&whole));
        checkpoint::save(&path, "test", &part.save()).unwrap();
    }
}

#[test]
fn a_resumed_run_is_bitwise_the_same() {
    for method in recipes() {
        resumed(method, ());
        resumed(method, EmpiricalFisherDiagonal::new(0.75, 5).unwrap());
        resumed(method, NystromPreconditioner::new(6, 3).unwrap());
        resumed(method, LimitedMemoryPreconditioner::new(5).unwrap());
    }
}

#[test]
fn states_of_other_shapes_and_preconditioners_are_refused() {
    let solver = sampled(martens());
    let (problem, wider, larger) =
        (Logistic::<f64>::new(90, 23), Logistic::<f64>::new(90, 24), Logistic::<f64>::new(91, 23));
    let state = solver.start(&problem, (), &[0.0; 23]).unwrap().save();
    fn refused<T: Scalar, P: LearnedPreconditioner<T, Logistic<T>>>(
        solver: &HessianFree,
        problem: &Logistic<T>,
        state: &RunState,
    ) -> String {
        let run: Result<HessianFreeRun<T, _, P>, _> = solver.resume(problem, state);
        run.err().map_or(String::new(), |error| error.to_string())
    }
    assert_eq!(refused::<f64, ()>(&solver, &problem, &state), "");
    let words = [
        (refused::<f64, ()>(&solver, &wider, &state), "the state's number of unknowns is 23, but 24 is needed"),
        (
            refused::<f64, ()>(&solver, &larger, &state),
            "the state's number of residuals or samples is 90, but 91 is needed",
        ),
        (
            refused::<f32, ()>(&solver, &Logistic::new(90, 23), &state),
            "the state's number type is f64, but f32 is needed",
        ),
        (
            refused::<f64, NystromPreconditioner<f64>>(&solver, &problem, &state),
            "the state's solver is HessianFree with (), but HessianFree with NystromPreconditioner is needed",
        ),
    ];
    for (found, expected) in words {
        assert_eq!(found, expected);
    }
}

#[test]
fn where_a_run_has_converged_x_is_stationary() {
    for method in recipes() {
        let solver = HessianFree { method, ..HessianFree::default() };
        // ½‖x‖², but the first value that anybody asks for is −1.
        let lies = Cell::new(true);
        let problem = Same(
            2,
            |x: &[f64]| if lies.replace(false) { -1.0 } else { 0.5 * (x[0] * x[0] + x[1] * x[1]) },
            |x: &[f64], g: &mut [f64]| g.copy_from_slice(x),
            |_: &[f64], v: &[f64], hv: &mut [f64]| hv.copy_from_slice(v),
        );
        let report = solver.minimize(&problem, &[1.0, 2.0]).unwrap();
        assert!(report.termination.converged());
        assert!(report.x.iter().all(|x| x.abs() < 1e-7), "{report}");
        assert!(report.value < 1e-14 && report.value >= 0.0 && report.gradient_norm < 1e-7, "{report}");
    }
}

#[test]
fn once_batches_are_the_whole_set_so_are_those_of_products() {
    let problem = Logistic::<f64>::new(200, 23);
    let count = |gradient_batch, whole_share| {
        let curvature_batch = CurvatureBatch { whole_share, least: 1, ..CurvatureBatch::default() };
        let solver = HessianFree { gradient_batch, curvature_batch, ..HessianFree::default() };
        let mut run = solver.start(&problem, (), &[0.0; 23]).unwrap();
        assert_eq!(run.iterate().unwrap(), None);
        (run.progress().counts.products, run.sample_counts().products)
    };
    let part = GradientBatch { first: 100, growth: 1.0, most: 100 };
    assert_eq!(count(part, 1.0), (2, 2 * 25));
    assert_eq!(count(GradientBatch::all(), 1.0), (10, 10 * 200));
    // With a part of the set there are as few products as on batches.
    assert_eq!(count(GradientBatch::all(), 0.1), (2, 2 * 20));
}

/// What a gradient promises on a batch is mostly its noise, of which an average has less.
#[test]
fn on_batches_an_average_of_gradients_saves_steps() {
    let problem = Logistic::<f64>::new(2000, 100);
    let (least, all) = (minimum(&problem).value, Vec::from_iter(0..2000));
    let between_30_and_50 = |momentum: f64| {
        let solver = HessianFree {
            gradient_batch: GradientBatch { first: 500, growth: 1.0, most: 500 },
            curvature_batch: CurvatureBatch::all(),
            method: StepMethod::SubspaceDescent(SubspaceDescent { momentum, ..SubspaceDescent::default() }),
            stopping: Stopping { max_iterations: 50, ..Stopping::default() },
            ..HessianFree::default()
        };
        let mut run = solver.start(&problem, (), &[0.0; 100]).unwrap();
        let mut values = vec![];
        while run.iterate().unwrap().is_none() {
            values.push(problem.batch(&all).value(run.progress().x) - least);
        }
        values[30..].iter().sum::<f64>() / 20.0
    };
    let default = between_30_and_50(SubspaceDescent::default().momentum);
    for other in [0.0, 0.4, 0.95] {
        let gap = between_30_and_50(other);
        assert!(default < 0.8 * gap, "momentum {other}: {gap}, by default {default}");
    }
}
