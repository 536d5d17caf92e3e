//! Trains a convolutional network that is written in candle, Hessian-free and with Adam, on 1797 handwritten digits.
//!
//! ```sh
//! cargo run --release --manifest-path examples/candle_model/Cargo.toml
//! cargo run --release --manifest-path examples/candle_model/Cargo.toml -- 20     # seconds for each method
//! ```
//!
//! It is a package of its own, so that the library does not depend on candle; copy the folder and change three things:
//! the network below, its inputs, and the loss. `framework_model` makes a newton-krylov model of any network whose forward
//! pass candle can differentiate, exact to rounding in `f32`; all metrics and all solvers work on it.
//!
//! What it costs: a Gauss–Newton product is two forward passes in `f64` for Jv and a backward pass for Jᵀu: 1.3
//! gradients here, as the program measures.

#[path = "../../common/digits.rs"]
mod digits;
mod framework_model;

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use newton_krylov::{
    Batches, Counts, Expansion, HessianFree, LeastSquares, Metric, Model, Objective, Run, SampledModel,
    SampledObjective, Stopping, SymmetricOperator, check,
    first_order::{Adam, FirstOrder},
    fit_samples,
    hessian_free::{CurvatureBatch, GradientBatch, StepMethod, SubspaceDescent},
    losses::SoftmaxCrossEntropy,
    random::SplitMix64,
};

use framework_model::{Network, OnData};

const SIDE: usize = digits::SIDE;
const CLASSES: usize = digits::CLASSES;
/// c, the weight of ½‖x‖².
const REGULARIZATION: f64 = 1e-4;
/// Samples in a batch of Adam.
const BATCH: usize = 128;

/// Convolutions of 3 × 3 pixels to eight channels, tanh, means over 2 × 2 places, 32 hidden units, ten classes.
///
/// The input of a sample are its 36 patches of 3 × 3 pixels, so that the convolution is a product of matrices, which
/// candle differentiates faster than its `conv2d`.
struct Convolutional;

const CHANNELS: usize = 8;
const PATCH: usize = 9;
/// Places of a patch along each side of the image.
const PLACES: usize = SIDE - 2;
const POOLED: usize = CHANNELS * (PLACES / 2) * (PLACES / 2);
const HIDDEN: usize = 32;
/// What the parameters are, in their order: inputs and outputs of each layer, whose biases follow its weights.
const LAYERS: [[usize; 2]; 3] = [[PATCH, CHANNELS], [POOLED, HIDDEN], [HIDDEN, CLASSES]];

impl Network for Convolutional {
    fn dim(&self) -> usize {
        LAYERS.iter().map(|[inputs, outputs]| (inputs + 1) * outputs).sum()
    }
    fn outputs(&self) -> usize {
        CLASSES
    }
    fn forward(&self, parameters: &Tensor, patches: &Tensor) -> candle_core::Result<Tensor> {
        let mut start = 0;
        let mut layer = |[inputs, outputs]: [usize; 2], a: Tensor| {
            let weights = parameters.narrow(0, start, inputs * outputs)?.reshape((inputs, outputs))?;
            let biases = parameters.narrow(0, start + inputs * outputs, outputs)?;
            start += (inputs + 1) * outputs;
            a.matmul(&weights)?.broadcast_add(&biases)
        };
        let samples = patches.dims()[0];
        let h = layer(LAYERS[0], patches.reshape(((), PATCH))?)?.tanh()?;
        // Pairs of rows and of columns.
        let pairs = vec![samples, PLACES / 2, 2, PLACES / 2, 2, CHANNELS];
        let h = h.reshape(pairs)?.mean(4)?.mean(2)?.reshape((samples, POOLED))?;
        let h = layer(LAYERS[1], h)?.tanh()?;
        layer(LAYERS[2], h)
    }
}

/// The patches of images, those of one place after those of another.
fn patches(pixels: &[f32]) -> Vec<f32> {
    let mut patches = vec![];
    for image in pixels.chunks_exact(SIDE * SIDE) {
        for (row, column) in (0..PLACES * PLACES).map(|place| (place / PLACES, place % PLACES)) {
            (row..row + 3).for_each(|row| patches.extend_from_slice(&image[row * SIDE + column..][..3]));
        }
    }
    patches
}

/// Glorot's uniform weights, and biases of zero.
fn initial(seed: u64) -> Vec<f32> {
    let mut random = SplitMix64::new(seed);
    let mut x = vec![];
    for [inputs, outputs] in LAYERS {
        let bound = (6.0 / (inputs + outputs) as f64).sqrt();
        x.extend((0..inputs * outputs).map(|_| ((2.0 * random.uniform() - 1.0) * bound) as f32));
        x.extend((0..outputs).map(|_| 0.0));
    }
    x
}

fn main() -> ExitCode {
    let seconds = std::env::args().nth(1).map_or(Ok(5.0), |text| text.parse::<f64>());
    let Some(seconds) = seconds.ok().filter(|seconds| (0.0..1e9).contains(seconds)) else {
        eprintln!("usage: candle_model [SECONDS]");
        return ExitCode::from(2);
    };
    match run(seconds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(seconds: f64) -> Result<(), Box<dyn std::error::Error>> {
    let (pixels, labels) = digits::digits();
    let images = Tensor::from_vec(patches(&pixels), (labels.len(), PLACES * PLACES, PATCH), &Device::Cpu)?;
    // A fifth of the images for the test, drawn at random.
    let all = labels.len();
    let test = Batches::new(all, all / 5, 0)?.draw().to_vec();
    let train: Vec<usize> = (0..all).filter(|i| !test.contains(i)).collect();
    let select = |which: &[usize]| -> candle_core::Result<(OnData<Convolutional>, Vec<usize>)> {
        let indices: Vec<u32> = which.iter().map(|&i| i as u32).collect();
        let inputs = images.index_select(&Tensor::new(indices, &Device::Cpu)?, 0)?;
        Ok((OnData { network: Convolutional, inputs }, which.iter().map(|&i| labels[i]).collect()))
    };
    let ((model, labels), (test_model, test_labels)) = (select(&train)?, select(&test)?);
    let x0 = initial(1);

    // Are the products right? In f64, where differences have digits enough, on a few images.
    let few: Vec<usize> = (0..3).collect();
    let wide: Vec<f64> = x0.iter().enumerate().map(|(i, &x)| x as f64 + 0.1 * (i as f64).sin()).collect();
    let verdict = check::least_squares(&LeastSquares::new(SampledModel::<f64>::batch(&model, &few)), &wide, 1)?;
    println!("{verdict}");
    if !verdict.passed() {
        return Err("the products are wrong".into());
    }

    let loss = SoftmaxCrossEntropy::new(labels, CLASSES)?;
    let objective = fit_samples::<f32, _, _>(&model, &loss, Metric::GeneralizedGaussNewton)?;
    let objective = objective.with_regularization(REGULARIZATION)?;
    let whole: Vec<usize> = (0..train.len()).collect();
    println!("{} images, {} for the test, {} parameters", train.len(), test.len(), Convolutional.dim());
    let batch = objective.batch(&whole);
    let (at, mut g, mut gv) = (batch.expand(&x0), vec![0.0; x0.len()], vec![0.0; x0.len()]);
    // A gradient with its forward pass.
    let cost = ratio(|| batch.expand(&x0).gradient(&mut g), || at.apply(&x0, &mut gv));
    println!("a Gauss–Newton product costs {cost:.1} gradients\n");
    let mut table = Table { value: |x: &[f32]| objective.batch(&whole).value(x), samples: train.len(), next: 0 };
    let stopping = Stopping { max_time: Duration::from_secs_f64(seconds), ..Stopping::default() };

    // Hessian-free, without a rate. A network of candle has no Kronecker factors: more products stand in for them.
    table.begin("Hessian-free");
    let solver = HessianFree {
        method: StepMethod::SubspaceDescent(SubspaceDescent {
            products: 10,
            search: true,
            ..SubspaceDescent::default()
        }),
        gradient_batch: GradientBatch { first: 300, ..GradientBatch::default() },
        curvature_batch: CurvatureBatch { least: 150, ..CurvatureBatch::default() },
        damping: 1.0,
        stopping,
        ..HessianFree::default()
    };
    let mut run = solver.start(&objective, (), &x0)?;
    let termination = loop {
        if let Some(termination) = run.iterate()? {
            break termination;
        }
        let (samples, progress) = (run.sample_counts(), run.progress());
        table.see(progress.x, samples, progress.seconds);
    };
    let samples = run.sample_counts();
    let report = run.finish(termination);
    table.end(&report.x, samples, report.seconds, accuracy(&test_model, &test_labels, &report.x));

    // Adam with its default rate, and with the best of 0.001, 0.003 and 0.01 for this network.
    for rate in [0.001, 0.01] {
        table.begin(&format!("Adam, {rate}"));
        let adam = FirstOrder::new(Adam { rate, ..Adam::default() });
        let batches = Batches::new(train.len(), BATCH, 1)?;
        let epoch = train.len().div_ceil(BATCH); // batches, of which the last may be shorter
        let samples = |steps: usize| Counts {
            gradients: steps / epoch * train.len() + steps % epoch * BATCH,
            ..Counts::default()
        };
        // The clock stops while all images are evaluated.
        let mut held = 0.0;
        let report = adam.minimize_sampled_with(&objective, batches, &x0, |progress| {
            let now = progress.seconds - held;
            if progress.iteration % 10 == 0 {
                let before = Instant::now();
                table.see(progress.x, samples(progress.iteration), now);
                held += before.elapsed().as_secs_f64();
            }
            if now >= seconds { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let found = accuracy(&test_model, &test_labels, &report.x);
        table.end(&report.x, samples(report.iterations()), report.seconds - held, found);
    }
    Ok(())
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

/// When a method reaches which values: passes over the images in gradients and products, and seconds.
struct Table<F> {
    /// The objective on all images to learn from.
    value: F,
    samples: usize,
    /// The next of the targets.
    next: usize,
}

const TARGETS: [f64; 5] = [1.0, 0.5, 0.2, 0.1, 0.05];

impl<F: Fn(&[f32]) -> f64> Table<F> {
    fn begin(&mut self, name: &str) {
        self.next = 0;
        println!("{name:<14} {:>10} {:>10} {:>10} {:>9}", "objective", "gradients", "products", "seconds");
    }

    /// Counts are those of samples.
    fn row(&self, value: f64, Counts { gradients, products, .. }: Counts, seconds: f64) {
        let passes = |count: usize| count as f64 / self.samples as f64;
        println!("{:<14} {value:>10.4} {:>10.1} {:>10.1} {seconds:>9.2}", "", passes(gradients), passes(products));
    }

    fn see(&mut self, x: &[f32], counts: Counts, seconds: f64) {
        let value = (self.value)(x);
        if self.next < TARGETS.len() && value <= TARGETS[self.next] {
            self.row(value, counts, seconds);
            self.next += TARGETS[self.next..].iter().take_while(|&&target| value <= target).count();
        }
    }

    fn end(&self, x: &[f32], counts: Counts, seconds: f64, accuracy: f64) {
        self.row((self.value)(x), counts, seconds);
        println!("{:<14} {:.2} % of the test images are right\n", "", 100.0 * accuracy);
    }
}

/// The share of samples whose class has the largest output.
fn accuracy(model: &OnData<Convolutional>, labels: &[usize], x: &[f32]) -> f64 {
    let all: Vec<usize> = (0..labels.len()).collect();
    let mut outputs = vec![0.0; CLASSES * labels.len()];
    SampledModel::<f32>::batch(model, &all).evaluate(x, &mut outputs);
    let likeliest = |h: &[f32]| (1..CLASSES).fold(0, |best, j| if h[j] > h[best] { j } else { best });
    let right = outputs.chunks_exact(CLASSES).zip(labels).filter(|(h, label)| likeliest(h) == **label).count();
    right as f64 / labels.len() as f64
}
