//! The Kronecker-factored preconditioner against dense matrices, and training with it.
#![cfg(feature = "models")]

use newton_krylov::models::{Activation, MultilayerPerceptron};
use newton_krylov::{
    Error, HessianFree, Metric, Objective, Run, SampledModel, SampledObjective, Stopping, SymmetricOperator,
    checkpoint, fit_samples,
    hessian_free::{CurvatureBatch, GradientBatch, HessianFreeRun},
    losses::{BernoulliCrossEntropy, SquaredError},
    preconditioners::{KroneckerPreconditioner, LearnedPreconditioner},
};

fn uniform(seed: u64) -> impl FnMut() -> f64 {
    let mut random = newton_krylov::random::SplitMix64::new(seed);
    move || random.uniform()
}

/// r ← P⁻¹r.
fn precondition<S, P: LearnedPreconditioner<f64, S>>(p: &P, _: &S, damping: f64, r: &mut [f64]) -> bool {
    p.precondition(damping, r)
}

/// One linear layer with squared errors: γ is normal with variance 1 whatever the outputs are, so the Fisher matrix is
/// A ⊗ I exactly, and P tends to it with the number of samples.
#[test]
fn for_one_linear_layer_it_inverts_the_damped_metric() {
    let (samples, inputs, outputs) = (20_000, 3, 2);
    let mut u = uniform(1);
    let a: Vec<f64> = (0..samples * inputs).map(|i| (u() - 0.3) * [1.0, 0.5, 2.0][i % 3]).collect();
    let y: Vec<f64> = (0..samples * outputs).map(|_| u()).collect();
    let network = MultilayerPerceptron::new(&[inputs, outputs], &[Activation::Identity]).unwrap();
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
            assert!((mv[i] - v[i]).abs() < 0.05, "{i} {k}: {}", mv[i]);
        }
    }
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

type Autoencoder<'a> = newton_krylov::operators::SampledModelObjective<
    newton_krylov::models::NetworkOnData<'a, MultilayerPerceptron, f32>,
    BernoulliCrossEntropy<'static, f32>,
>;

#[test]
fn it_lowers_the_loss_further_with_the_same_products() {
    let values = train(|solver, objective, x0| {
        let with = solver
            .minimize_with(objective, KroneckerPreconditioner::new(), x0, |_| std::ops::ControlFlow::Continue(()))
            .unwrap();
        let without = solver.minimize(objective, x0).unwrap();
        assert!(with.counts.products <= without.counts.products + 2);
        [with.initial_value, with.value, without.value]
    });
    let [initial, with, without] = values;
    assert!(with < 0.95 * without && without < initial, "{values:?}");
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
