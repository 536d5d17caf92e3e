//! Structural damping: its product against the dense matrix, the steps that it makes, and a recurrent network that it trains.

use std::cell::{Cell, RefCell};
use std::ops::{ControlFlow, Range};

use faer::linalg::solvers::Solve;
use faer::{Mat, MatRef};
use newton_krylov::models::{Activation, ElmanNetwork, MultilayerPerceptron, Readout};
use newton_krylov::{
    Error, Expansion, HessianFree, Linearization, Metric, Model, Objective, Run, SampledModel, SampledObjective,
    Scalar, Stopping, SymmetricOperator, checkpoint, fit_samples,
    hessian_free::{ConjugateGradients, CurvatureBatch, GradientBatch, HessianFreeRun, StepMethod, SubspaceDescent},
    losses::{BernoulliCrossEntropy, SoftmaxCrossEntropy, SquaredError},
    model,
    operators::{StructuralDamping, with_divergence, with_second_order},
    preconditioners::{DiagonalPreconditioner, with_preconditioner},
    random::SplitMix64,
};

fn numbers<T: Scalar>(count: usize, seed: u64) -> Vec<T> {
    let mut random = SplitMix64::new(seed);
    (0..count).map(|_| T::from_f64(random.normal())).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// JᵀWJ by rows, from the Jacobian's columns and a matrix W = diag(w).
fn gram(at: &impl Linearization<f64>, w: impl Fn(usize) -> f64) -> Vec<f64> {
    let (m, n) = (at.rows(), at.columns());
    let column = |j: usize| {
        let (mut e, mut out) = (vec![0.0; n], vec![f64::NAN; m]);
        e[j] = 1.0;
        at.apply(&e, &mut out);
        out
    };
    let columns: Vec<_> = (0..n).map(column).collect();
    let entry = |p: usize, q: usize| (0..m).map(|i| w(i) * columns[p][i] * columns[q][i]).sum();
    (0..n * n).map(|pq| entry(pq / n, pq % n)).collect()
}

/// The matrix of v ↦ (M + λS)v.
fn structural<T: Scalar>(at: &impl Expansion<T>, damping: f64) -> Vec<f64> {
    let n = at.dim();
    (0..n)
        .flat_map(|j| {
            let (mut e, mut out) = (vec![T::zero(); n], vec![T::nan(); n]);
            e[j] = T::one();
            at.structural_damping().unwrap().damped_product(damping, &e, &mut out);
            out.into_iter().map(Into::into).collect::<Vec<f64>>()
        })
        .collect()
}

fn assert_near(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    let scale = expected.iter().fold(0.0, |most: f64, e| most.max(e.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance * scale, "{what}, {i}: {f} {e}");
    }
}

const NU: f64 = 0.3;
const LAMBDA: f64 = 0.7;
const REGULARIZATION: f64 = 0.05;

/// M + λS for a batch, and the same from the Jacobians of outputs and hidden states.
fn check_product<M, K, N>(at_f64: M, hidden: K, at_f32: N, x: &[f64], batch: &[usize], what: &str)
where
    M: SampledModel<f64>,
    K: SampledModel<f64>,
    N: SampledModel<f32>,
{
    let (count, k) = (batch.len() as f64, at_f64.outputs_per_sample());
    // The Bernoulli loss has W = p(1 − p).
    let labels: Vec<f64> = (0..at_f64.samples() * k).map(|i| (i % 2) as f64).collect();
    let (n, outputs) = (x.len(), at_f64.batch(batch).linearize(x).outputs().to_vec());
    let w = |i: usize| {
        let p = 1.0 / (1.0 + (-outputs[i]).exp());
        p * (1.0 - p) / count
    };
    let m = gram(&at_f64.batch(batch).linearize(x), w);
    // The hidden states' parameters are the first ones.
    let states = hidden.batch(batch);
    let first = states.dim();
    let s = gram(&states.linearize(&x[..first]), |_| NU / count);
    let expected: Vec<f64> = (0..n * n)
        .map(|pq| {
            let (p, q) = (pq / n, pq % n);
            let s = if p < first && q < first { s[p * first + q] } else { 0.0 };
            m[pq] + LAMBDA * s + if p == q { REGULARIZATION } else { 0.0 }
        })
        .collect();
    let loss = BernoulliCrossEntropy::new(&labels[..], k).unwrap();
    let fit = fit_samples(at_f64, loss, Metric::GeneralizedGaussNewton).unwrap();
    let fit = fit.with_regularization(REGULARIZATION).unwrap().with_structural_damping(NU).unwrap();
    let whole = fit.batch(batch);
    assert_near(&structural(&whole.expand(x), LAMBDA), &expected, 1e-13, what);
    // M itself is as it was, and so is M + 0·S.
    let at = whole.expand(x);
    let (mut mv, mut undamped) = (vec![f64::NAN; n], vec![f64::NAN; n]);
    let v = numbers(n, 9);
    at.apply(&v, &mut mv);
    let regular = |p: usize| dot(&m[p * n..(p + 1) * n], &v) + REGULARIZATION * v[p];
    assert_near(&mv, &(0..n).map(regular).collect::<Vec<_>>(), 1e-12, what);
    at.structural_damping().unwrap().damped_product(0.0, &v, &mut undamped);
    assert_near(&undamped, &mv, 1e-14, what);

    let (x, labels): (Vec<f32>, Vec<f32>) =
        (x.iter().map(|&x| x as f32).collect(), labels.iter().map(|&y| y as f32).collect());
    let loss = BernoulliCrossEntropy::new(&labels[..], k).unwrap();
    let fit = fit_samples(at_f32, loss, Metric::GeneralizedGaussNewton).unwrap();
    let fit = fit.with_regularization(REGULARIZATION).unwrap().with_structural_damping(NU).unwrap();
    assert_near(&structural(&fit.batch(batch).expand(&x), LAMBDA), &expected, 2e-5, what);
}

#[test]
fn the_product_is_the_dense_matrix() {
    for (readout, steps, samples) in [(Readout::Last, 6, 5), (Readout::EveryStep, 4, 5), (Readout::Last, 3, 150)] {
        let network = ElmanNetwork::new(2, 3, 2, steps, readout).unwrap();
        let states = network.with_readout(Readout::HiddenStates);
        let inputs: Vec<f64> = numbers(2 * steps * samples, 3);
        let single: Vec<f32> = inputs.iter().map(|&x| x as f32).collect();
        let x = network.initial(5, 2, 1.1).unwrap();
        let all: Vec<usize> = (0..samples).collect();
        for batch in [&[3, 1, 3][..], &all] {
            let on = (network.on(&inputs).unwrap(), states.on(&inputs).unwrap(), network.on(&single).unwrap());
            check_product(on.0, on.1, on.2, &x, batch, &format!("{readout:?}, {} samples", batch.len()));
        }
    }
    // The hidden units of a perceptron with one hidden layer are the outputs of its first layer.
    let activations = [Activation::Softplus, Activation::Identity];
    let network = MultilayerPerceptron::new(&[3, 4, 2], &activations).unwrap();
    let first = MultilayerPerceptron::new(&[3, 4], &activations[..1]).unwrap();
    let inputs: Vec<f64> = numbers(3 * 70, 3);
    let single: Vec<f32> = inputs.iter().map(|&x| x as f32).collect();
    let on = (network.on(&inputs).unwrap(), first.on(&inputs).unwrap(), network.on(&single).unwrap());
    check_product(on.0, on.1, on.2, &network.initial(1), &[5, 0, 69, 7], "perceptron");
}

/// Sequences of numbers with a mark, and the sum of the two that are marked.
fn addition(length: usize, sequences: usize, seed: u64) -> (Vec<f32>, Vec<f32>) {
    let mut random = SplitMix64::new(seed);
    let (mut inputs, mut sums) = (vec![], vec![]);
    for _ in 0..sequences {
        let first = (random.uniform() * (length / 2) as f64) as usize;
        let second = length / 2 + (random.uniform() * (length - length / 2) as f64) as usize;
        let numbers: Vec<f32> = (0..length).map(|_| random.uniform() as f32).collect();
        let marked = |t: usize| f32::from(u8::from(t == first || t == second));
        inputs.extend((0..length).flat_map(|t| [numbers[t], marked(t)]));
        sums.push(numbers[first] + numbers[second]);
    }
    (inputs, sums)
}

fn recipes() -> [StepMethod; 3] {
    [
        StepMethod::SubspaceDescent(SubspaceDescent { products: 40, search: true, ..SubspaceDescent::default() }),
        StepMethod::SubspaceDescent(SubspaceDescent { products: 40, ..SubspaceDescent::default() }),
        StepMethod::ConjugateGradients(ConjugateGradients {
            products: 80,
            progress: 0.0,
            ..ConjugateGradients::default()
        }),
    ]
}

fn exactly(method: StepMethod, damping: f64) -> HessianFree {
    HessianFree {
        method,
        damping,
        gradient_batch: GradientBatch::all(),
        curvature_batch: CurvatureBatch::all(),
        ..HessianFree::default()
    }
}

/// A small network in f64, with its sequences and targets.
fn small() -> (ElmanNetwork, Vec<f64>, Vec<f64>, Vec<f64>) {
    let network = ElmanNetwork::new(2, 4, 1, 5, Readout::Last).unwrap();
    let (inputs, targets) = addition(5, 60, 2);
    let double = |v: Vec<f32>| v.into_iter().map(f64::from).collect::<Vec<f64>>();
    let x = network.initial(3, 4, 1.0).unwrap();
    (network, double(inputs), double(targets), x)
}

/// The solution of Aδ = −g for a symmetric A.
fn solve(a: &[f64], g: &[f64]) -> Vec<f64> {
    let a = MatRef::from_column_major_slice(a, g.len(), g.len());
    let solution = a.partial_piv_lu().solve(Mat::from_fn(g.len(), 1, |i, _| -g[i]));
    solution.col_as_slice(0).to_vec()
}

/// The first step is −(M + λ(I + S))⁻¹g, and the ratio that is reported that of the model without λ. Conjugate gradients
/// keep their fifth iterate only, where λ(I + S) is so large and S so small that it is the solution already.
#[test]
fn steps_are_damped_by_the_dense_matrix_and_judged_by_the_undamped_model() {
    let (network, inputs, targets, x) = small();
    let n = x.len();
    let [_, subspace_descent, _] = recipes();
    let five = StepMethod::ConjugateGradients(ConjugateGradients { products: 5, ..ConjugateGradients::default() });
    for (method, nu, lambda, tolerance) in [(subspace_descent, 0.5, 3.0, 1e-8), (five, 0.01, 300.0, 1e-5)] {
        let loss = SquaredError::new(&targets[..], 1).unwrap();
        let fit = fit_samples(network.on(&inputs).unwrap(), loss, Metric::GeneralizedGaussNewton).unwrap();
        let fit = fit.with_structural_damping(nu).unwrap();
        let all: Vec<usize> = (0..60).collect();
        let batch = fit.batch(&all);
        let at = batch.expand(&x);
        let mut g = vec![f64::NAN; n];
        at.gradient(&mut g);
        let solver = exactly(method, lambda);
        let mut run = solver.start(&fit, (), &x).unwrap();
        assert_eq!(run.iterate().unwrap(), None);
        let step: Vec<f64> = run.progress().x.iter().zip(&x).map(|(after, before)| after - before).collect();
        let mut damped = structural(&at, lambda);
        (0..n).for_each(|i| damped[i * n + i] += lambda);
        assert_near(&step, &solve(&damped, &g), tolerance, &format!("{method:?}"));
        // Without S it would be another one.
        let without: Vec<f64> = g.iter().map(|g| -g / lambda).collect();
        let distance = step.iter().zip(without).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(distance > 1e-2 * step.iter().fold(0.0, |most: f64, s| most.max(s.abs())));
        let mut m = vec![f64::NAN; n];
        at.apply(&step, &mut m);
        let predicted = -dot(&g, &step) - 0.5 * dot(&step, &m);
        let ratio = (at.value() - batch.value(run.progress().x)) / predicted;
        let last = *run.progress().last.unwrap();
        assert!((last.ratio / ratio - 1.0).abs() < 1e-6, "{method:?}: {} {ratio}", last.ratio);
        assert_eq!(last.control, lambda);
    }
}

/// An objective whose products are counted, with S or without.
struct Counting<S> {
    objective: S,
    with: Cell<usize>,
    without: Cell<usize>,
    /// The products with S that are NaN.
    poisoned: Range<usize>,
}

impl<S> Counting<S> {
    fn new(objective: S) -> Self {
        Counting { objective, with: Cell::new(0), without: Cell::new(0), poisoned: 0..0 }
    }
}

struct CountingBatch<'a, S, O> {
    all: &'a Counting<S>,
    batch: O,
}

struct CountingAt<'a, S, E> {
    all: &'a Counting<S>,
    at: E,
}

impl<S: SampledObjective<f64>> SampledObjective<f64> for Counting<S> {
    fn dim(&self) -> usize {
        self.objective.dim()
    }
    fn samples(&self) -> usize {
        self.objective.samples()
    }
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Objective<f64> + 'a {
        CountingBatch { all: self, batch: self.objective.batch(samples) }
    }
}

impl<S, O: Objective<f64>> Objective<f64> for CountingBatch<'_, S, O> {
    fn dim(&self) -> usize {
        self.batch.dim()
    }
    fn value(&self, x: &[f64]) -> f64 {
        self.batch.value(x)
    }
    fn expand<'a>(&'a self, x: &'a [f64]) -> impl Expansion<f64> + 'a {
        CountingAt { all: self.all, at: self.batch.expand(x) }
    }
}

impl<S, E: Expansion<f64>> SymmetricOperator<f64> for CountingAt<'_, S, E> {
    fn dim(&self) -> usize {
        self.at.dim()
    }
    fn apply(&self, v: &[f64], out: &mut [f64]) {
        self.all.without.set(self.all.without.get() + 1);
        self.at.apply(v, out);
    }
}

impl<S, E: Expansion<f64>> Expansion<f64> for CountingAt<'_, S, E> {
    fn value(&self) -> f64 {
        self.at.value()
    }
    fn gradient(&self, out: &mut [f64]) {
        self.at.gradient(out);
    }
    fn structural_damping(&self) -> Option<&dyn StructuralDamping<f64>> {
        self.at.structural_damping().map(|_| self as _)
    }
}

impl<S, E: Expansion<f64>> StructuralDamping<f64> for CountingAt<'_, S, E> {
    fn damped_product(&self, damping: f64, v: &[f64], out: &mut [f64]) {
        self.at.structural_damping().unwrap().damped_product(damping, v, out);
        if self.all.poisoned.contains(&self.all.with.get()) {
            out.fill(f64::NAN);
        }
        self.all.with.set(self.all.with.get() + 1);
    }
}

#[test]
fn counts_are_exact_and_limits_hold() {
    let (network, inputs, targets, x) = small();
    for method in recipes() {
        for most in [1, 2, 7, 100] {
            let loss = SquaredError::new(&targets[..], 1).unwrap();
            let fit = fit_samples(network.on(&inputs).unwrap(), loss, Metric::GaussNewton).unwrap();
            let counting = Counting::new(fit.with_structural_damping(0.1).unwrap());
            let mut solver = exactly(method, 1.0);
            solver.stopping = Stopping { max_products: most, max_iterations: 5, ..Stopping::default() };
            let report = solver.minimize(&counting, &x).unwrap();
            let (with, without) = (counting.with.get(), counting.without.get());
            assert_eq!(report.counts.products, with + without, "{method:?} {most}");
            assert!(with + without <= most, "{method:?} {most}");
            // One product without S for each step, unless it would be one too many.
            assert!(without <= report.steps && without + 1 >= report.steps, "{method:?} {most}: {without}");
            assert!(most < 100 || without > 0);
        }
    }
}

/// S has the λ of the iteration's start, so the search must not leave it far behind; without S it may.
#[test]
fn the_search_keeps_the_damping_near_that_of_the_products() {
    let (network, inputs, targets, x) = small();
    let largest_change = |nu: f64| {
        let loss = SquaredError::new(&targets[..], 1).unwrap();
        let fit = fit_samples(network.on(&inputs).unwrap(), loss, Metric::GaussNewton).unwrap();
        let mut solver = exactly(recipes()[0], 10.0);
        solver.stopping.max_iterations = 10;
        let history = solver.minimize(&fit.with_structural_damping(nu).unwrap(), &x).unwrap().history;
        let before = std::iter::once(10.0).chain(history.iter().map(|i| i.control));
        let changes =
            before.zip(&history).filter(|(_, now)| now.rejected == 0).map(|(before, now)| before / now.control);
        changes.fold(1.0, |most: f64, change| most.max(change).max(change.recip()))
    };
    assert_eq!(largest_change(0.1), 4.0);
    assert!(largest_change(0.0) > 4.0);
}

#[test]
fn a_weight_of_zero_changes_nothing_and_a_positive_one_does() {
    let (network, inputs, targets, x) = small();
    for method in recipes() {
        let run = |nu: Option<f64>| {
            let loss = SquaredError::new(&targets[..], 1).unwrap();
            let mut fit = fit_samples(network.on(&inputs).unwrap(), loss, Metric::GaussNewton).unwrap();
            if let Some(nu) = nu {
                fit = fit.with_structural_damping(nu).unwrap();
            }
            let mut solver = exactly(method, 1.0);
            solver.stopping.max_iterations = 4;
            let report = solver.minimize(&fit, &x).unwrap();
            (report.x, report.counts)
        };
        assert_eq!(run(None), run(Some(0.0)), "{method:?}");
        assert_ne!(run(None).0, run(Some(0.1)).0, "{method:?}");
    }
}

/// A run on batches, in f32.
fn sampled(method: StepMethod) -> HessianFree {
    HessianFree {
        method,
        damping: 1.0,
        gradient_batch: GradientBatch { first: 40, growth: 1.02, most: 150 },
        curvature_batch: CurvatureBatch { share: 0.5, whole_share: 0.5, least: 10 },
        ..HessianFree::default()
    }
}

#[test]
fn a_resumed_run_is_bitwise_the_same_for_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let network = ElmanNetwork::new(2, 6, 1, 7, Readout::Last).unwrap();
    let (inputs, targets) = addition(7, 300, 2);
    let x: Vec<f32> = network.initial(1, 4, 1.0).unwrap();
    let loss = || SquaredError::new(&targets[..], 1).unwrap();
    // λ is in the last iteration.
    fn bits(run: &impl Run<f32>) -> String {
        let progress = run.progress();
        let x: Vec<u32> = progress.x.iter().map(|x| x.to_bits()).collect();
        format!("{x:?} {:?} {}", progress.last, progress.iteration)
    }
    for method in recipes() {
        let solver = sampled(method);
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let fit = || {
            let fit = fit_samples(network.on(&inputs).unwrap(), loss(), Metric::GeneralizedGaussNewton).unwrap();
            fit.with_structural_damping(0.05).unwrap()
        };
        let whole = pool(1).install(|| {
            let objective = fit();
            let mut run = solver.start(&objective, (), &x).unwrap();
            checkpoint::save(&path, "test", &run.save()).unwrap();
            (0..6).for_each(|_| assert_eq!(run.iterate().unwrap(), None));
            bits(&run)
        });
        let parts = pool(3).install(|| {
            let objective = fit();
            let resume = || -> HessianFreeRun<f32, _> {
                solver.resume(&objective, &checkpoint::load(&path, "test").unwrap()).unwrap()
            };
            for _ in 0..6 {
                let mut run = resume();
                assert_eq!(run.iterate().unwrap(), None);
                checkpoint::save(&path, "test", &run.save()).unwrap();
            }
            bits(&resume())
        });
        assert!(whole == parts, "{method:?}");
    }
}

#[test]
fn mistakes_are_named() {
    let (network, inputs, targets, _) = small();
    let loss = || SquaredError::new(&targets[..], 1).unwrap();
    let fit = |metric| fit_samples(network.on(&inputs).unwrap(), loss(), metric).unwrap();
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        let refused = fit(Metric::GaussNewton).with_structural_damping(bad).err();
        assert!(matches!(refused, Some(Error::OutOfRange { argument: "damping", .. })), "{refused:?}");
    }
    for metric in [Metric::Hessian, Metric::Identity] {
        let refused = fit(metric).with_structural_damping(1.0).err().unwrap();
        assert_eq!(refused.to_string(), "structural damping needs a metric E[JᵀWJ]");
    }
    assert!(fit(Metric::Hessian).with_structural_damping(0.0).is_ok());
    // States that are outputs, a single layer: nothing is hidden.
    let states = network.with_readout(Readout::HiddenStates);
    let target = vec![0.0; 60 * 20];
    let loss = SquaredError::new(&target[..], 20).unwrap();
    let refused = fit_samples(states.on(&inputs).unwrap(), loss, Metric::GaussNewton).unwrap();
    let refused = refused.with_structural_damping(1.0).err().unwrap();
    assert_eq!(refused.to_string(), "structural damping needs a model with hidden states");
    let single = MultilayerPerceptron::new(&[10, 3], &[Activation::Tanh]).unwrap();
    assert!(!Model::hidden_states(&single.on(&inputs).unwrap()));
    let closures = model(1, 1, |x: &[f64], h: &mut [f64]| h[0] = x[0], |_, v, jv| jv[0] = v[0], |_, u, w| w[0] = u[0]);
    assert!(!closures.hidden_states());
    let mut out = [0.0];
    closures.linearize(&[1.0]).structural_product(&|_, _| (), 1.0, &[1.0], &mut out);
    assert!(out[0].is_nan());
    assert!(Model::hidden_states(&with_second_order(network.on(&inputs).unwrap(), |_, _, _, _| ())));
}

/// What wraps an objective hands the product on.
#[test]
fn wrappers_hand_it_on() {
    let (network, inputs, _, x) = small();
    let labels: Vec<usize> = vec![0; 60];
    let loss = SoftmaxCrossEntropy::new(labels, 1).unwrap();
    let fit = fit_samples(network.on(&inputs).unwrap(), loss, Metric::GaussNewton).unwrap();
    let fit = fit.with_structural_damping(0.5).unwrap();
    let samples = [1, 2, 3];
    let truth = structural(&fit.batch(&samples).expand(&x), 2.0);
    let far = with_divergence(fit.batch(&samples), |_: &[f64], _: &[f64]| 0.0);
    assert_eq!(structural(&far.expand(&x), 2.0), truth);
    let diagonal = |_: &[f64]| DiagonalPreconditioner::new(vec![1.0; x.len()]).unwrap();
    let preconditioned = with_preconditioner(fit.batch(&samples), diagonal);
    assert_eq!(structural(&preconditioned.expand(&x), 2.0), truth);
}

/// Products that are NaN for a while cost a few iterations and no more.
#[test]
fn a_product_that_is_nan_is_an_outcome() {
    let (network, inputs, targets, x) = small();
    for method in recipes() {
        let loss = SquaredError::new(&targets[..], 1).unwrap();
        let fit = fit_samples(network.on(&inputs).unwrap(), loss, Metric::GaussNewton).unwrap();
        let mut counting = Counting::new(fit.with_structural_damping(0.5).unwrap());
        counting.poisoned = 0..3;
        let mut solver = exactly(method, 1.0);
        solver.stopping.max_iterations = 6;
        let report = solver.minimize(&counting, &x).unwrap();
        assert!(report.value < report.initial_value, "{method:?}: {report}");
        assert!((1..6).contains(&report.steps), "{method:?}: {report}");
        counting.poisoned = 0..usize::MAX;
        let report = solver.minimize(&counting, &x).unwrap();
        assert_eq!((report.steps, report.x), (0, x.clone()), "{method:?}");
    }
}

/// The addition problem of Hochreiter & Schmidhuber (1997), short: every method learns it, with and without structural
/// damping, to a squared error that the mean of the targets is a hundred times as far from.
#[test]
fn a_short_addition_problem_is_solved() {
    let network = ElmanNetwork::new(2, 15, 1, 10, Readout::Last).unwrap();
    let (inputs, sums) = addition(10, 2000, 1);
    let (fresh, fresh_sums) = addition(10, 1000, 99);
    let test = network.on(&fresh).unwrap();
    let x: Vec<f32> = network.initial(1, 15, 1.0).unwrap();
    for nu in [0.0, 1e-3] {
        for method in [recipes()[0], recipes()[2]] {
            let loss = SquaredError::new(&sums[..], 1).unwrap();
            let fit = fit_samples(network.on(&inputs).unwrap(), loss, Metric::GeneralizedGaussNewton).unwrap();
            let fit = fit.with_structural_damping(nu).unwrap();
            let solver = HessianFree {
                method,
                damping: 1.0,
                gradient_batch: GradientBatch::all(),
                curvature_batch: CurvatureBatch { share: 0.2, whole_share: 0.2, least: 1 },
                stopping: Stopping { max_iterations: 150, ..Stopping::default() },
                ..HessianFree::default()
            };
            let error = |x: &[f32]| {
                let mut out = vec![0.0; 1000];
                Model::evaluate(&test, x, &mut out);
                out.iter().zip(&fresh_sums).map(|(y, sum)| ((y - sum) as f64).powi(2)).sum::<f64>() / 1000.0
            };
            let found = RefCell::new(f64::INFINITY);
            solver
                .minimize_with(&fit, (), &x, |progress| {
                    found.replace(error(progress.x));
                    if *found.borrow() < 1.0 / 600.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })
                .unwrap();
            let found = found.into_inner();
            assert!(found < 1.0 / 600.0, "{nu} {method:?}: {found}");
        }
    }
}
