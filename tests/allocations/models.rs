//! Products of the reference models allocate nothing after the first, nor does the next point.

use crate::allocations;
use newton_krylov::models::{Activation, MultilayerPerceptron};
use newton_krylov::{
    Linearization, Metric, Model, SampledModel, fit_samples,
    losses::BernoulliCrossEntropy,
    preconditioners::{KroneckerPreconditioner, LearnedPreconditioner},
};

/// The allocations of a call.
fn count(call: impl FnOnce()) -> usize {
    allocations(call).1
}

/// All kinds of products at a point.
fn products(at: &impl Linearization<f32>, repetitions: usize, v: &[f32], u: &mut [f32], out: &mut [f32]) {
    for _ in 0..repetitions {
        at.apply(v, u);
        at.apply_transpose(u, out);
        at.adjoint(u, out);
        at.second_order_product(&|jv, w| w.copy_from_slice(jv), v, out);
        at.structural_product(&|jv, w| w.copy_from_slice(jv), 0.5, v, out);
    }
}

pub fn memory_is_allocated_once() {
    let network =
        MultilayerPerceptron::new(&[50, 300, 20, 10], &[Activation::Tanh, Activation::Softplus, Activation::Identity])
            .unwrap();
    let inputs: Vec<f32> = (0..50 * 3000).map(|i| (i % 101) as f32 / 101.0).collect();
    let samples: Vec<usize> = (0..2100).map(|i| (i * 7) % 3000).collect();
    let (x, y): (Vec<f32>, Vec<f32>) = (network.initial(1), network.initial(2));
    let model = network.on(&inputs).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    pool.install(|| {
        let (mut u, mut out) = (vec![0.0; 30_000], vec![0.0; network.dim()]);
        let mut visit = |x: &[f32], samples: Option<&[usize]>, repetitions: usize| match samples {
            None => products(&model.linearize(x), repetitions, &y, &mut u, &mut out),
            Some(samples) => {
                let u = &mut u[..samples.len() * 10];
                products(&model.batch(samples).linearize(x), repetitions, &y, u, &mut out);
            }
        };
        visit(&x, None, 1);
        assert_eq!(count(|| visit(&y, None, 3)), 0, "all samples");
        assert_eq!(count(|| visit(&x, Some(&samples), 3)), 0, "a smaller batch");
        assert_eq!(count(|| visit(&x, None, 1)), 0, "all samples again");

        // Iterations with and without an inversion, and what is applied in between.
        let loss = BernoulliCrossEntropy::new(vec![0.5_f32; 30_000], 10).unwrap();
        let objective = fit_samples(&model, loss, Metric::GeneralizedGaussNewton).unwrap();
        let mut preconditioner = KroneckerPreconditioner::new();
        let mut learn = |repetitions: usize| {
            for _ in 0..repetitions {
                preconditioner.learn(&objective, &x, &samples, 0.1);
                assert!(apply(&objective, &preconditioner, &mut out));
            }
        };
        learn(1);
        assert_eq!(count(|| learn(12)), 0, "Kronecker factors");
    });
}

fn apply<S, P: LearnedPreconditioner<f32, S>>(_: &S, preconditioner: &P, r: &mut [f32]) -> bool {
    preconditioner.preconditioner().map(|p| p.precondition(0.1, r)).is_some()
}
