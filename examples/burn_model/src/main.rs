//! Trains a classifier that is written in burn, Hessian-free and to convergence, on 1797 handwritten digits.
//!
//! ```sh
//! cargo run --release --manifest-path examples/burn_model/Cargo.toml      # burn compiles for minutes
//! ```
//!
//! It is a package of its own, so that the library does not depend on burn. Copy `framework_model.rs` and write a forward
//! pass, here the 25 lines of `Classifier`: all metrics and all solvers work on it.
//!
//! What it costs: a Gauss–Newton product is two forward passes in `f64` for Jv, and for Jᵀu a gradient with a forward
//! pass of its own: 1.4 to 1.9 gradients here, as the program measures.

#[path = "../../common/digits.rs"]
mod digits;
mod framework_model;

use std::time::Instant;

use burn_tensor::{Device, Tensor, TensorData};
use newton_krylov::{
    Expansion, HessianFree, LeastSquares, Metric, Objective, SampledModel, SampledObjective, Stopping,
    SymmetricOperator, check, fit_samples,
    hessian_free::{GradientBatch, StepMethod, SubspaceDescent},
    losses::SoftmaxCrossEntropy,
    random::SplitMix64,
};

use framework_model::{Network, OnData};

/// Layers of 64, 32 and 10 units, tanh between them.
struct Classifier;

const WIDTHS: [usize; 3] = [digits::SIDE * digits::SIDE, 32, digits::CLASSES];

impl Network for Classifier {
    fn dim(&self) -> usize {
        WIDTHS.windows(2).map(|w| (w[0] + 1) * w[1]).sum()
    }
    fn outputs(&self) -> usize {
        WIDTHS[2]
    }
    fn forward(&self, parameters: Tensor<1>, inputs: Tensor<2>) -> Tensor<2> {
        let mut start = 0;
        // The weights of a layer, and a row of biases after them.
        let mut layer = |a: Tensor<2>, i: usize| {
            let [inputs, outputs] = [WIDTHS[i], WIDTHS[i + 1]];
            let part = parameters.clone().narrow(0, start, (inputs + 1) * outputs).reshape([inputs + 1, outputs]);
            start += (inputs + 1) * outputs;
            a.matmul(part.clone().narrow(0, 0, inputs)) + part.narrow(0, inputs, 1)
        };
        let hidden = layer(inputs, 0).tanh();
        layer(hidden, 1)
    }
}

/// Glorot's uniform weights, and biases of zero.
fn initial(seed: u64) -> Vec<f32> {
    let mut random = SplitMix64::new(seed);
    let mut x = vec![];
    for w in WIDTHS.windows(2) {
        let bound = (6.0 / (w[0] + w[1]) as f64).sqrt();
        x.extend((0..w[0] * w[1]).map(|_| ((2.0 * random.uniform() - 1.0) * bound) as f32));
        x.extend((0..w[1]).map(|_| 0.0));
    }
    x
}

/// How much longer the second takes than the first: the median of calls in turns, which what else runs delays alike.
fn ratio(mut first: impl FnMut(), mut second: impl FnMut()) -> f64 {
    let seconds = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        call();
        start.elapsed().as_secs_f64()
    };
    let mut ratios: Vec<f64> = (0..31)
        .map(|_| {
            let unit = seconds(&mut first);
            seconds(&mut second) / unit
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios[15]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (pixels, labels) = digits::digits();
    let all = labels.len();
    let images = Tensor::<2>::from_data(TensorData::new(pixels, [all, WIDTHS[0]]), &Device::flex());
    let data = OnData { network: Classifier, inputs: images };
    let x0 = initial(1);

    // Are the products right? In f64, where differences have digits enough, on a few images.
    let few: Vec<usize> = (0..3).collect();
    let wide: Vec<f64> = x0.iter().enumerate().map(|(i, &x)| x as f64 + 0.1 * (i as f64).sin()).collect();
    let verdict = check::least_squares(&LeastSquares::new(SampledModel::<f64>::batch(&data, &few)), &wide, 1)?;
    println!("{verdict}");
    if !verdict.passed() {
        return Err("the products are wrong".into());
    }

    let loss = SoftmaxCrossEntropy::new(labels.clone(), digits::CLASSES)?;
    let objective =
        fit_samples::<f32, _, _>(&data, &loss, Metric::GeneralizedGaussNewton)?.with_regularization(1e-3)?;
    let whole: Vec<usize> = (0..all).collect();
    let batch = objective.batch(&whole);
    let at = batch.expand(&x0);
    let (mut g, mut gv) = (vec![0.0; x0.len()], vec![0.0; x0.len()]);
    // A gradient with its forward pass.
    let cost = ratio(|| batch.expand(&x0).gradient(&mut g), || at.apply(&x0, &mut gv));
    println!("{} parameters; a Gauss–Newton product costs {cost:.1} gradients\n", x0.len());

    // A network of burn has no Kronecker factors: more products stand in for them.
    let solver = HessianFree {
        method: StepMethod::SubspaceDescent(SubspaceDescent {
            products: 10,
            whole_products: 30,
            search: true,
            ..SubspaceDescent::default()
        }),
        gradient_batch: GradientBatch { growth: 1.1, ..GradientBatch::default() },
        damping: 1.0,
        stopping: Stopping { gradient_relative: 1e-3, ..Stopping::default() },
        ..HessianFree::default()
    };
    let report = solver.minimize(&objective, &x0)?;
    println!("{report}");
    if !report.termination.converged() {
        return Err("it did not converge".into());
    }
    Ok(())
}
