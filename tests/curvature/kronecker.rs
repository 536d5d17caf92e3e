//! The Kronecker-factored preconditioner against dense matrices, and training with it.
#![cfg(feature = "models")]

use std::ops::ControlFlow;

use newton_krylov::models::{Activation, Convolution, MultilayerPerceptron};
use newton_krylov::{
    Error, HessianFree, LinearMap, Linearization, Metric, Model, Objective, Run, SampledModel, SampledObjective,
    Stopping, SymmetricOperator, Termination, checkpoint, fit_samples,
    hessian_free::{CurvatureBatch, GradientBatch, HessianFreeRun, StepMethod, SubspaceDescent},
    losses::{BernoulliCrossEntropy, SoftmaxCrossEntropy, SquaredError},
    operators::LayerShape,
    preconditioners::{KroneckerPreconditioner, LearnedPreconditioner},
};

fn uniform(seed: u64) -> impl FnMut() -> f64 {
    let mut random = newton_krylov::random::SplitMix64::new(seed);
    move || random.uniform()
}

/// r ← P⁻¹r.
fn precondition<S, P: LearnedPreconditioner<f64, S>>(p: &P, _: &S, damping: f64, r: &mut [f64]) -> bool {
    p.preconditioner().map(|p| p.precondition(damping, r)).is_some()
}

/// With one linear layer and squared errors γ is normal with variance 1 whatever the outputs are, so the Fisher matrix is
/// A ⊗ I exactly, and with as many independent γ as places Σ_t ã_tã_tᵀ ⊗ I; P tends to it with the number of samples.
#[test]
fn for_one_linear_layer_it_inverts_the_damped_metric() {
    let one = |side, stride| {
        let convolution = Convolution { side, stride, channels: 2, activation: Activation::Identity };
        MultilayerPerceptron::convolutional([4, 4, 1], &[convolution], &[], &[]).unwrap()
    };
    inverts(&MultilayerPerceptron::new(&[3, 2], &[Activation::Identity]).unwrap(), 20_000);
    inverts(&one(2, 1), 4000);
    inverts(&one(3, 1), 5000);
}

fn inverts(network: &MultilayerPerceptron, samples: usize) {
    let (inputs, outputs) = (network.inputs(), network.outputs());
    let mut u = uniform(1);
    let a: Vec<f64> = (0..samples * inputs).map(|i| (u() - 0.3) * [1.0, 0.5, 2.0][i % 3]).collect();
    let y: Vec<f64> = (0..samples * outputs).map(|_| u()).collect();
    let model = network.on(&a).unwrap();
    let objective = fit_samples(model, SquaredError::new(y, outputs).unwrap(), Metric::Fisher).unwrap();
    let all: Vec<usize> = (0..samples).collect();
    let (dim, damping) = (network.dim(), 1e-6);
    let x = vec![0.1; dim];
    let mut preconditioner = KroneckerPreconditioner::<f64>::new();
    preconditioner.fits(&objective).unwrap();
    let cost = preconditioner.learn(&objective, &x, &all, damping);
    assert_eq!((cost.calls.gradients, cost.samples.gradients, cost.calls.products), (1, samples, 0));
    let batch = objective.batch(&all);
    let at = batch.expand(&x);
    for k in 0..dim {
        let v: Vec<f64> = (0..dim).map(|i| if i == k { 1.0 } else { 0.0 }).collect();
        let mut mv = vec![0.0; dim];
        at.apply(&v, &mut mv);
        assert!(precondition(&preconditioner, &objective, damping, &mut mv));
        for i in 0..dim {
            // The sampling error of Σγγᵀ is some √(2/20000) = 1 %; the damping ν = 10⁻³ adds less.
            assert!((mv[i] - v[i]).abs() < 0.05, "{inputs} {i} {k}: {}", mv[i]);
        }
    }
}

/// A model that tells of some of its layers only, and perhaps not what they are.
struct Telling<M>(M, fn(&[LayerShape]) -> Vec<LayerShape>);

impl<M: SampledModel<f64>> SampledModel<f64> for Telling<M> {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn samples(&self) -> usize {
        self.0.samples()
    }
    fn outputs_per_sample(&self) -> usize {
        self.0.outputs_per_sample()
    }
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Model<f64> + 'a {
        Telling(self.0.batch(samples), self.1)
    }
}

impl<M: Model<f64>> Model<f64> for Telling<M> {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn output_dim(&self) -> usize {
        self.0.output_dim()
    }
    fn evaluate(&self, x: &[f64], out: &mut [f64]) {
        self.0.evaluate(x, out);
    }
    fn linearize<'a>(&'a self, x: &'a [f64]) -> impl Linearization<f64> + 'a {
        TellingAt { inner: self.0.linearize(x), all: self.0.layers(), told: self.layers() }
    }
    fn layers(&self) -> Vec<LayerShape> {
        (self.1)(&self.0.layers())
    }
}

struct TellingAt<L> {
    inner: L,
    all: Vec<LayerShape>,
    told: Vec<LayerShape>,
}

impl<L: LinearMap<f64>> LinearMap<f64> for TellingAt<L> {
    fn rows(&self) -> usize {
        self.inner.rows()
    }
    fn columns(&self) -> usize {
        self.inner.columns()
    }
    fn apply(&self, v: &[f64], out: &mut [f64]) {
        self.inner.apply(v, out);
    }
    fn apply_transpose(&self, u: &[f64], out: &mut [f64]) {
        self.inner.apply_transpose(u, out);
    }
}

impl<L: Linearization<f64>> Linearization<f64> for TellingAt<L> {
    fn outputs(&self) -> &[f64] {
        self.inner.outputs()
    }
    fn add_layer_moments(&self, u: &[f64], inputs: &mut [Vec<f64>], outputs: &mut [Vec<f64>]) {
        let zeros = |size: &dyn Fn(&LayerShape) -> usize| self.all.iter().map(|l| vec![0.0; size(l).pow(2)]).collect();
        let (mut a, mut g): (Vec<_>, Vec<_>) = (zeros(&|l| l.inputs + 1), zeros(&|l| l.outputs));
        self.inner.add_layer_moments(u, &mut a, &mut g);
        for (told, (inputs, outputs)) in self.told.iter().zip(inputs.iter_mut().zip(outputs)) {
            let i = self.all.iter().position(|layer| layer == told).unwrap();
            let add = |to: &mut [f64], from: &[f64]| to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
            add(inputs, &a[i]);
            add(outputs, &g[i]);
        }
    }
}

#[test]
fn what_belongs_to_no_layer_has_a_diagonal() {
    let samples = 300;
    let mut u = uniform(5);
    let a: Vec<f64> = (0..samples * 3).map(|_| 2.0 * u() - 1.0).collect();
    let y: Vec<f64> = (0..samples * 2).map(|_| u()).collect();
    let network = MultilayerPerceptron::new(&[3, 4, 2], &[Activation::Tanh, Activation::Identity]).unwrap();
    let (x, all) = (network.initial::<f64>(1), (0..samples).collect::<Vec<_>>());
    let (dim, first, damping) = (network.dim(), (3 + 1) * 4, 1e-8);
    let loss = || SquaredError::new(y.clone(), 2).unwrap();
    let whole = fit_samples(network.on(&a).unwrap(), loss(), Metric::Fisher).unwrap();
    let part = Telling(network.on(&a).unwrap(), |layers| layers[1..].to_vec());
    let part = fit_samples(part, loss(), Metric::Fisher).unwrap();
    let (mut of_whole, mut of_part) = (KroneckerPreconditioner::<f64>::new(), KroneckerPreconditioner::<f64>::new());
    of_part.fits(&part).unwrap();
    for _ in 0..40 {
        assert_eq!(of_whole.learn(&whole, &x, &all, damping).calls.gradients, 1);
        assert_eq!(of_part.learn(&part, &x, &all, damping).calls.gradients, 2);
    }
    let batch = whole.batch(&all);
    let at = batch.expand(&x);
    let mut ratios = 0.0;
    for k in 0..dim {
        let unit = || (0..dim).map(|i| f64::from(i == k)).collect::<Vec<_>>();
        let (mut found, mut expected, mut mv) = (unit(), unit(), vec![0.0; dim]);
        assert!(precondition(&of_part, &part, damping, &mut found));
        if k >= first {
            assert!(precondition(&of_whole, &whole, damping, &mut expected));
            assert_eq!(found, expected);
            continue;
        }
        at.apply(&unit(), &mut mv);
        assert!((0..dim).all(|i| (found[i] == 0.0) == (i != k)));
        // The average weighs 39 draws of (Jᵀs)²/N, each with the relative variance 2.
        let ratio = 1.0 / (found[k] * mv[k]);
        assert!((0.3..3.0).contains(&ratio), "{k}: {ratio}");
        ratios += ratio / first as f64;
    }
    assert!((ratios - 1.0).abs() < 0.25, "{ratios}");
}

#[test]
fn layers_that_cannot_be_are_refused() {
    let network = MultilayerPerceptron::new(&[1, 1, 1], &[Activation::Tanh; 2]).unwrap();
    let a = [0.5, 0.2];
    let refused = |layers| {
        let model = Telling(network.on(&a).unwrap(), layers);
        let objective = fit_samples(model, SquaredError::new(vec![0.0; 2], 1).unwrap(), Metric::Fisher).unwrap();
        KroneckerPreconditioner::<f64>::new().fits(&objective).unwrap_err().to_string()
    };
    let says = "where a layer of the model begins is";
    assert!(refused(|layers| vec![layers[1], layers[0]]).contains(&format!("{says} 0")));
    assert!(refused(|layers| vec![layers[0], LayerShape { start: 1, ..layers[1] }]).contains(&format!("{says} 1")));
    assert!(refused(|layers| vec![LayerShape { inputs: 2, ..layers[1] }]).contains(&format!("{says} 2")));
    assert!(refused(|layers| vec![LayerShape { places: 0, ..layers[1] }]).contains(&format!("{says} 2")));
}

/// An autoencoder of small images.
fn train<R>(run: impl FnOnce(&HessianFree, &Autoencoder<'_>, &[f32]) -> R) -> R {
    let mut u = uniform(3);
    let images: Vec<f32> = (0..300)
        .flat_map(|_| {
            let (x, y) = (u() * 6.0, u() * 6.0);
            (0..36).map(move |i| (1.5 - ((i % 6) as f64 - x).hypot((i / 6) as f64 - y)).clamp(0.0, 1.0) as f32)
        })
        .collect();
    use Activation::{Identity, Tanh};
    let network = MultilayerPerceptron::new(&[36, 16, 4, 16, 36], &[Tanh, Identity, Tanh, Identity]).unwrap();
    let model = network.on(&images).unwrap();
    let loss = BernoulliCrossEntropy::new(images.clone(), 36).unwrap();
    let objective = fit_samples(model, loss, Metric::GeneralizedGaussNewton).unwrap();
    let objective = objective.with_regularization(1e-5).unwrap();
    let solver = HessianFree {
        gradient_batch: GradientBatch { first: 100, ..GradientBatch::default() },
        curvature_batch: CurvatureBatch { share: 0.5, whole_share: 0.5, least: 50 },
        damping: 1.0,
        stopping: Stopping { max_iterations: 50, ..Stopping::default() },
        ..HessianFree::default()
    };
    run(&solver, &objective, &network.initial::<f32>(1))
}

type Autoencoder<'a> = newton_krylov::operators::ModelObjective<
    newton_krylov::models::NetworkOnData<'a, MultilayerPerceptron, f32>,
    BernoulliCrossEntropy<'static, f32>,
>;

#[test]
fn it_lowers_the_loss_further_with_the_same_products() {
    let values = train(|solver, objective, x0| {
        let with =
            solver.minimize_with(objective, KroneckerPreconditioner::new(), x0, |_| ControlFlow::Continue(())).unwrap();
        let without = solver.minimize(objective, x0).unwrap();
        assert!(with.counts.products <= without.counts.products + 2);
        [with.initial_value, with.value, without.value]
    });
    let [initial, with, without] = values;
    assert!(with < 0.95 * without && without < initial, "{values:?}");
}

/// Which way does a bar lie, at any place of a noisy image?
#[test]
fn a_convolutional_network_needs_fewer_products() {
    let mut u = uniform(7);
    let (samples, side) = (400, 8);
    let labels: Vec<usize> = (0..samples).map(|i| i % 4).collect();
    let mut images = vec![];
    for label in &labels {
        let (row, column) = (2.0 + u() * 3.0, 2.0 + u() * 3.0);
        for (y, x) in (0..side * side).map(|i| ((i / side) as f64 - row, (i % side) as f64 - column)) {
            let across = [y, x, (x + y) / 2.0_f64.sqrt(), (x - y) / 2.0_f64.sqrt()][*label];
            let bar = if across.abs() < 0.8 && y.hypot(x) < 2.5 { 1.0 } else { 0.0 };
            images.push((bar + 0.8 * u()) as f32);
        }
    }
    use Activation::{Identity, Tanh};
    let convolution = |stride, channels| Convolution { side: 3, stride, channels, activation: Tanh };
    let convolutions = [convolution(1, 6), convolution(2, 8)];
    let network = MultilayerPerceptron::convolutional([side, side, 1], &convolutions, &[4], &[Identity]).unwrap();
    let loss = SoftmaxCrossEntropy::new(&labels[..], 4).unwrap();
    let objective = fit_samples(network.on(&images).unwrap(), loss, Metric::GeneralizedGaussNewton).unwrap();
    let objective = objective.with_regularization(1e-4).unwrap();
    let stopping = Stopping { target_value: 0.1, max_iterations: 500, ..Stopping::default() };
    let method = StepMethod::SubspaceDescent(SubspaceDescent { whole_products: 2, ..SubspaceDescent::default() });
    let solver = HessianFree { gradient_batch: GradientBatch::all(), method, stopping, ..HessianFree::default() };
    let x0 = network.initial::<f32>(1);
    let with = solver.minimize_with(&objective, KroneckerPreconditioner::new(), &x0, |_| ControlFlow::Continue(()));
    let (with, without) = (with.unwrap(), solver.minimize(&objective, &x0).unwrap());
    assert_eq!([with.termination, without.termination], [Termination::TargetValue; 2]);
    assert!(3 * with.counts.products < 2 * without.counts.products, "{:?} {:?}", with.counts, without.counts);
}

#[test]
fn the_same_bits_for_any_number_of_threads_and_after_an_interruption() {
    let run = |threads: usize, interrupted: bool| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            train(|solver, objective, x0| {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("run");
                let mut run = solver.start(objective, KroneckerPreconditioner::new(), x0).unwrap();
                for _ in 0..15 {
                    if interrupted {
                        checkpoint::save(&path, "test", &run.save()).unwrap();
                        run = solver.resume(objective, &checkpoint::load(&path, "test").unwrap()).unwrap();
                    }
                    assert_eq!(run.iterate().unwrap(), None);
                }
                run.progress().x.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
            })
        })
    };
    let once = run(1, false);
    assert!(once == run(3, false) && once == run(2, true));
}

#[test]
fn other_shapes_and_models_without_layers_are_refused() {
    train(|solver, objective, x0| {
        let mut run = solver.start(objective, KroneckerPreconditioner::new(), x0).unwrap();
        run.iterate().unwrap();
        let images = vec![0.5_f32; 300 * 36];
        let network = MultilayerPerceptron::new(&[36, 36], &[Activation::Identity]).unwrap();
        let loss = BernoulliCrossEntropy::new(images.clone(), 36).unwrap();
        let other = fit_samples(network.on(&images).unwrap(), loss, Metric::GeneralizedGaussNewton).unwrap();
        let refused: Result<HessianFreeRun<f32, _, KroneckerPreconditioner<f32>>, _> =
            solver.resume(&other, &run.save());
        assert!(matches!(refused, Err(Error::State { .. })));
    });
    /// The model of one number for each sample, without layers.
    struct Constant;
    impl SampledModel<f64> for Constant {
        fn dim(&self) -> usize {
            1
        }
        fn samples(&self) -> usize {
            2
        }
        fn outputs_per_sample(&self) -> usize {
            1
        }
        fn batch<'a>(&'a self, samples: &'a [usize]) -> impl newton_krylov::Model<f64> + 'a {
            let evaluate = |x: &[f64], h: &mut [f64]| h.fill(x[0]);
            let backward = |_: &[f64], u: &[f64], jtu: &mut [f64]| jtu[0] = u.iter().sum();
            newton_krylov::model(
                samples.len(),
                1,
                evaluate,
                |_: &[f64], v: &[f64], jv: &mut [f64]| jv.fill(v[0]),
                backward,
            )
        }
    }
    let loss = SquaredError::new(vec![1.0, 2.0], 1).unwrap();
    let objective = fit_samples(Constant, loss, Metric::Fisher).unwrap();
    let solver = HessianFree::default();
    let refused = solver.start(&objective, KroneckerPreconditioner::<f64>::new(), &[0.0]);
    assert!(matches!(refused.err(), Some(Error::ZeroDimension { .. })));
}
