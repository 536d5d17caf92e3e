//! Trains a classifier of images: on 1797 handwritten digits that are built in, or on files in the IDX format (MNIST,
//! Fashion-MNIST, with or without `.gz`).
//!
//! The objective is the mean cross entropy of softmax outputs plus ½c‖x‖². Its generalised Gauss–Newton matrix is the
//! Fisher matrix of the classifier, so Hessian-free training and natural gradients share their curvature.
//!
//! ```sh
//! cargo run --release --bin train_classifier
//! cargo run --release --bin train_classifier -- --method adam --pictures digits.svg
//! cargo run --release --bin train_classifier -- --convolutions 8-16 --seconds 20
//! cargo run --release --bin train_classifier -- train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz \
//!     --test t10k-images-idx3-ubyte.gz t10k-labels-idx1-ubyte.gz --layers 256-64 --seconds 60 --resume run.checkpoint
//! ```
//!
//! Without files for the test a fifth of the images, drawn at random, is kept for it.

#[path = "../common/arguments.rs"]
mod arguments;
#[path = "../common/bar.rs"]
mod bar;
#[path = "../common/digits.rs"]
mod digits;
#[path = "../common/idx.rs"]
mod idx;
#[path = "../common/learning_curve.rs"]
mod learning_curve;
mod pictures;
mod set;
#[path = "../common/training/mod.rs"]
mod training;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use newton_krylov::models::{Activation, Convolution, MultilayerPerceptron};
use newton_krylov::{
    Counts, Linearization, Model, SampledModel, fit_samples,
    losses::{Loss, SoftmaxCrossEntropy},
};

use arguments::{exit, name, outcome, weight};
use bar::Bar;
use set::Set;
use training::{Method, Seen, Trained, TrainingArguments};

/// Images evaluated at a time.
const PART: usize = 1000;
/// The ratio of the times at which the learning curve is evaluated.
const CURVE_RATIO: f64 = 1.15;
/// The rate of stochastic gradient descent: the cross entropy of a class is gentler than that of many pixels.
const SGD_RATE: f64 = 0.1;

/// Train a classifier of images.
#[derive(Parser)]
#[command(mut_arg("seconds", |seconds| seconds.default_value("5")))]
#[command(mut_arg("rate", |rate| rate.help("The rate of adam (otherwise 0.001), soap (0.003) or sgd (0.1)")))]
struct Arguments {
    /// Images in the IDX format, also compressed (.gz); without files the built-in digits are learned
    #[arg(requires = "labels")]
    idx: Option<PathBuf>,
    /// The labels of these images, in the IDX format
    labels: Option<PathBuf>,
    /// Images and labels for the test; without them a fifth of the images is kept for it
    #[arg(long, num_args = 2, value_names = ["IMAGES", "LABELS"], requires = "idx")]
    test: Option<Vec<PathBuf>>,
    /// Use this many images
    #[arg(long, default_value_t = u32::MAX, hide_default_value = true, value_parser = clap::value_parser!(u32).range(1..))]
    images: u32,
    /// Learn from each image also moved by a pixel to all four sides; otherwise only from the built-in digits
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    moved: Option<bool>,
    /// The number of classes; labels are below it
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..=256))]
    classes: u16,
    /// Widths of the hidden layers, such as 256-64, or "none" for softmax regression
    #[arg(long, default_value = "50", value_parser = widths)]
    layers: Widths,
    /// Channels of convolutions before these layers, such as 8-16: windows of 3 × 3 pixels, from the second on at every
    /// other place
    #[arg(long, default_value = "none", value_parser = widths)]
    convolutions: Widths,
    /// c, the weight of ½‖x‖²
    #[arg(long, default_value_t = 1e-4, value_parser = weight)]
    l2: f64,
    /// How to train
    #[arg(long, value_enum, default_value_t = Method::HessianFree)]
    method: Method,
    #[command(flatten)]
    training: TrainingArguments,
    /// Write what is taken for what, and the clearest mistakes, to this file, as SVG
    #[arg(long)]
    pictures: Option<PathBuf>,
}

#[derive(Clone, Debug)]
struct Widths(Vec<usize>);

fn widths(text: &str) -> Result<Widths, String> {
    if text == "none" {
        return Ok(Widths(vec![]));
    }
    let widths: Result<Vec<usize>, _> = text.split('-').map(str::parse).collect();
    match widths {
        Ok(widths) if widths.iter().all(|&w| w > 0) => Ok(Widths(widths)),
        _ => Err("positive widths are needed, such as 256-64, or none".into()),
    }
}

/// What a classifier makes of a set.
struct Judged {
    cross_entropy: f64,
    /// The share of images whose class is found.
    accuracy: f64,
    /// The logits of all images.
    logits: Vec<f32>,
}

/// One point of the learning curve.
struct Mark {
    seconds: f64,
    iterations: usize,
    products: usize,
    /// Calls times the samples of each.
    samples: Counts,
    cross_entropy: f64,
    accuracy: f64,
    test_cross_entropy: f64,
    test_accuracy: f64,
}

fn judge(network: &MultilayerPerceptron, set: &Set, x: &[f32]) -> Judged {
    let (model, classes) = (network.on(&set.images.pixels).expect("whole images"), network.outputs());
    let loss = SoftmaxCrossEntropy::new(&set.labels[..], classes).expect("labels below the number of classes");
    let mut logits = Vec::with_capacity(set.labels.len() * classes);
    let all: Vec<usize> = (0..set.labels.len()).collect();
    for part in all.chunks(PART) {
        logits.extend_from_slice(model.batch(part).linearize(x).outputs());
    }
    let samples = || logits.chunks_exact(classes).enumerate();
    let count = set.labels.len() as f64;
    let cross_entropy = samples().map(|(i, h)| loss.value(i, h)).sum::<f64>() / count;
    let right = samples().filter(|(i, h)| set::likeliest(h) == set.labels[*i]).count();
    Judged { cross_entropy, accuracy: right as f64 / count, logits }
}

fn main() -> ExitCode {
    exit(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let (most, classes) = (arguments.images as usize, arguments.classes as usize);
    let (train, test) = match (&arguments.idx, &arguments.labels) {
        (Some(images), Some(labels)) => {
            let set = Set::read(images, labels, most, classes)?;
            match arguments.test.as_deref() {
                Some([images, labels]) => {
                    let test = Set::read(images, labels, usize::MAX, classes)?;
                    let sizes = [&set, &test].map(|set| (set.images.width, set.images.height));
                    if sizes[0] != sizes[1] {
                        let path = images.display();
                        return Err(format!(
                            "{path}: images of {:?} pixels, but those to learn from have {:?}",
                            sizes[1], sizes[0]
                        ));
                    }
                    (set, test)
                }
                _ => set.split()?,
            }
        }
        _ => Set::digits(most, classes)?.split()?,
    };
    let train = if arguments.moved.unwrap_or(arguments.idx.is_none()) { train.with_moved() } else { train };
    let Widths(hidden) = &arguments.layers;
    let widths: Vec<usize> = [train.images.size()].iter().chain(hidden).chain(&[classes]).copied().collect();
    let mut activations = vec![Activation::Relu; hidden.len()];
    activations.push(Activation::Identity);
    let say = |e: newton_krylov::Error| e.to_string();
    let convolution = |(i, &channels): (usize, &usize)| Convolution {
        side: 3,
        stride: 1 + i.min(1),
        channels,
        activation: Activation::Relu,
    };
    let convolutions: Vec<Convolution> = arguments.convolutions.0.iter().enumerate().map(convolution).collect();
    let image = [train.images.height, train.images.width, 1];
    let network = MultilayerPerceptron::convolutional(image, &convolutions, &widths[1..], &activations).map_err(say)?;
    let objective = |metric| {
        let loss = SoftmaxCrossEntropy::new(&train.labels[..], classes)?;
        fit_samples(network.on(&train.images.pixels)?, loss, metric)?.with_regularization(arguments.l2)
    };
    let x0: Vec<f32> = network.initial(arguments.training.seed);
    let names: Vec<String> = widths.iter().map(usize::to_string).collect();
    let (images, test_images) = (train.labels.len(), test.labels.len());
    eprintln!("{images} images, {test_images} for the test, {} parameters, {}", network.dim(), names.join("-"));

    let method = arguments.method;
    let checkpoint = arguments.training.checkpoint("train_classifier", method, &train.images.pixels);
    let mut training = arguments.training.training(checkpoint.as_ref());
    training.rate = training.rate.or((method == Method::Sgd).then_some(SGD_RATE));
    let bar = Bar::new(arguments.training.run.seconds);
    let mut curve: Vec<Mark> = vec![];
    let mut next_mark = 0.0;
    let mark = |x: &[f32], iterations: usize, [counts, samples]: [Counts; 2], seconds: f64| {
        let (learned, test) = (judge(&network, &train, x), judge(&network, &test, x));
        Mark {
            seconds,
            iterations,
            products: counts.products,
            samples,
            cross_entropy: learned.cross_entropy,
            accuracy: learned.accuracy,
            test_cross_entropy: test.cross_entropy,
            test_accuracy: test.accuracy,
        }
    };
    let mut see = |Seen { x, iterations, counts, samples, value, seconds }: Seen<'_>| {
        bar.show(seconds, format!("iteration {iterations}, loss on the batch {value:.3}"));
        if seconds >= next_mark {
            curve.push(mark(x, iterations, [counts, samples], seconds));
            next_mark = (seconds * CURVE_RATIO).max(seconds + 0.05);
        }
    };
    let trained = training::train(method, training, objective, &x0, &mut see)?;
    drop(bar);
    let Trained { x, iterations, counts, samples, seconds, .. } = &trained;
    if curve.last().is_none_or(|mark| mark.iterations < *iterations) {
        curve.push(mark(x, *iterations, [*counts, *samples], *seconds));
    }
    let (end, end_test) = (judge(&network, &train, x), judge(&network, &test, x));
    let squares: f64 = x.iter().map(|&x| (x as f64).powi(2)).sum();
    let value = end.cross_entropy + 0.5 * arguments.l2 * squares;

    if let Some(path) = &arguments.training.run.curve {
        pictures::learning_curve(path, &curve).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    if let Some(path) = &arguments.pictures {
        pictures::mistakes(path, &test, &end_test.logits, classes).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    println!(
        "{:>10} {:>10} {:>9} {:>14} {:>9} {:>9}",
        "seconds", "iteration", "products", "cross entropy", "accuracy", "test"
    );
    let stride = curve.len().div_ceil(12).max(1);
    for mark in curve.iter().rev().step_by(stride).collect::<Vec<_>>().into_iter().rev() {
        let Mark { seconds, iterations, products, cross_entropy, accuracy, test_accuracy, .. } = mark;
        println!(
            "{seconds:>10.2} {iterations:>10} {products:>9} {cross_entropy:>14.4} {:>7.2} % {:>7.2} %",
            100.0 * accuracy,
            100.0 * test_accuracy
        );
    }
    println!(
        "{}: {:.2} % of the test images are right, {:.2} % of those learned from, after {:.1} s, {} iterations ({})",
        name(method),
        100.0 * end_test.accuracy,
        100.0 * end.accuracy,
        trained.seconds,
        trained.iterations,
        trained.termination
    );
    if arguments.training.run.json {
        let line = serde_json::json!({
            "method": name(method),
            "images": images,
            "test_images": test_images,
            "parameters": network.dim(),
            "value": value,
            "cross_entropy": end.cross_entropy,
            "accuracy": end.accuracy,
            "test_cross_entropy": end_test.cross_entropy,
            "test_accuracy": end_test.accuracy,
            "seconds": trained.seconds,
            "iterations": trained.iterations,
            "values": trained.counts.values,
            "gradients": trained.counts.gradients,
            "products": trained.counts.products,
            "epochs": trained.samples.gradients as f64 / images as f64,
            "sample_values": trained.samples.values,
            "sample_gradients": trained.samples.gradients,
            "sample_products": trained.samples.products,
            "termination": trained.termination.to_string(),
            "curve": curve.iter().map(|mark| serde_json::json!({
                "seconds": mark.seconds,
                "iterations": mark.iterations,
                "products": mark.products,
                "epochs": mark.samples.gradients as f64 / images as f64,
                "sample_values": mark.samples.values,
                "sample_gradients": mark.samples.gradients,
                "sample_products": mark.samples.products,
                "cross_entropy": mark.cross_entropy,
                "accuracy": mark.accuracy,
                "test_cross_entropy": mark.test_cross_entropy,
                "test_accuracy": mark.test_accuracy,
            })).collect::<Vec<_>>(),
        });
        println!("{line}");
    }
    outcome(trained.termination)
}
