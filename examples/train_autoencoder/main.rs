//! Trains a deep autoencoder Hessian-free: on curves that are drawn here, or on a file of images in the IDX format
//! (MNIST, Fashion-MNIST, with or without `.gz`).
//!
//! The objective is that of the literature (Martens 2010; Martens & Grosse 2015): tanh units, a linear code, and the cross
//! entropy of logistic outputs, summed over pixels and averaged over images, plus ½c‖x‖² with c = 10⁻⁵.
//!
//! ```sh
//! cargo run --release --all-features --example train_autoencoder
//! cargo run --release --all-features --example train_autoencoder -- train-images-idx3-ubyte.gz --images 10000 \
//!     --layers 784-256-64-16 --seconds 60 --resume run.checkpoint --curve curve.svg --pictures pictures.png
//! ```

mod images;
mod method;
mod pictures;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use newton_krylov::models::{Activation, MultilayerPerceptron};
use newton_krylov::{BernoulliCrossEntropy, Linearization, Metric, SampledModel, Termination, fit_samples};

use images::Images;
use method::{Method, Seen};

/// The weight of ½‖x‖².
const REGULARIZATION: f64 = 1e-5;
/// Images evaluated at a time.
const PART: usize = 1000;
/// Points of the learning curve, at most; they come at equal ratios of time.
const CURVE_RATIO: f64 = 1.15;

/// Train a deep autoencoder.
#[derive(Parser)]
struct Arguments {
    /// Images in the IDX format, also compressed (.gz); without a file curves are drawn
    idx: Option<PathBuf>,
    /// Use this many images
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    images: u32,
    /// Widths from the image to the code; the decoder mirrors them
    #[arg(long, default_value = "784-200-50-6", value_parser = widths)]
    layers: Widths,
    /// How to train
    #[arg(long, value_enum, default_value_t = Method::HessianFree)]
    method: Method,
    /// Train this long, in seconds of training time
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// Seed of the initial weights
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Go on from this file if it is there, and save the state of the run to it every ten seconds and at the end
    #[arg(long)]
    resume: Option<PathBuf>,
    /// Write the learning curve to this file, as SVG
    #[arg(long)]
    curve: Option<PathBuf>,
    /// Write images and their reconstructions to this file, as PNG or BMP
    #[arg(long)]
    pictures: Option<PathBuf>,
    /// Print the result as one line of JSON, last on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug)]
struct Widths(Vec<usize>);

fn widths(text: &str) -> Result<Widths, String> {
    let widths: Result<Vec<usize>, _> = text.split('-').map(str::parse).collect();
    match widths {
        Ok(widths) if widths.len() >= 2 && widths.iter().all(|&w| w > 0) => Ok(Widths(widths)),
        _ => Err("two or more positive widths are needed, such as 784-256-64-16".into()),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..1e9).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds is needed".into()),
    }
}

/// What an autoencoder makes of all images.
#[derive(Clone, Copy, Debug)]
struct Errors {
    squared: f64,
    cross_entropy: f64,
}

/// One point of the learning curve.
#[derive(Clone, Copy, Debug)]
struct Mark {
    seconds: f64,
    iterations: usize,
    products: usize,
    errors: Errors,
}

fn errors(network: &MultilayerPerceptron, images: &Images, x: &[f32]) -> Errors {
    let (mut squared, mut cross_entropy) = (0.0, 0.0);
    let model = network.on(&images.pixels).expect("whole images");
    let all: Vec<usize> = (0..images.count()).collect();
    for part in all.chunks(PART) {
        let batch = model.batch(part);
        let at = newton_krylov::Model::linearize(&batch, x);
        for (row, &i) in part.iter().enumerate() {
            let logits = &at.outputs()[row * images.size()..][..images.size()];
            for (&h, &y) in logits.iter().zip(&images.pixels[i * images.size()..]) {
                let (h, y) = (h as f64, y as f64);
                cross_entropy += h.max(0.0) - h * y + (-h.abs()).exp().ln_1p();
                squared += (1.0 / (1.0 + (-h).exp()) - y).powi(2);
            }
        }
    }
    let count = images.count() as f64;
    Errors { squared: squared / count, cross_entropy: cross_entropy / count }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let images = match &arguments.idx {
        Some(path) => images::read_idx(path, arguments.images as usize)?,
        None => images::curves(arguments.images as usize, 1),
    };
    let Widths(encoder) = &arguments.layers;
    if encoder[0] != images.size() {
        let size = images.size();
        return Err(format!("--layers begins with {}, but an image has {size} pixels", encoder[0]));
    }
    let mirrored: Vec<usize> = encoder.iter().chain(encoder.iter().rev().skip(1)).copied().collect();
    let mut activations = vec![Activation::Tanh; mirrored.len() - 1];
    activations[encoder.len() - 2] = Activation::Identity;
    activations[mirrored.len() - 2] = Activation::Identity;
    let say = |e: newton_krylov::Error| e.to_string();
    let network = MultilayerPerceptron::new(&mirrored, &activations).map_err(say)?;
    let model = network.on(&images.pixels).map_err(say)?;
    let loss = BernoulliCrossEntropy::new(&images.pixels[..], images.size()).map_err(say)?;
    let objective = fit_samples(model, loss, Metric::GeneralizedGaussNewton)
        .and_then(|objective| objective.with_regularization(REGULARIZATION))
        .map_err(say)?;
    let x0: Vec<f32> = network.initial(arguments.seed);
    let names: Vec<String> = mirrored.iter().map(usize::to_string).collect();
    eprintln!("{} images, {} parameters, {}", images.count(), network.dim(), names.join("-"));

    let bar = ProgressBar::new((arguments.seconds * 1e3) as u64);
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}").expect("a valid template");
    bar.set_style(style);
    let mut curve: Vec<Mark> = vec![];
    let mut next_mark = 0.0;
    let mut see = |Seen { x, iterations, products, value, seconds, last }: Seen<'_>| {
        bar.set_position(((seconds * 1e3) as u64).min((arguments.seconds * 1e3) as u64));
        bar.set_message(format!("iteration {iterations}, loss on the batch {value:.3}"));
        if seconds >= next_mark || last {
            curve.push(Mark { seconds, iterations, products, errors: errors(&network, &images, x) });
            next_mark = (seconds * CURVE_RATIO).max(seconds + 0.5);
        }
    };
    let started = Instant::now();
    let trained = method::train(arguments, &objective, &x0, &mut see)?;
    bar.finish_and_clear();
    let wall = started.elapsed().as_secs_f64();
    let end = errors(&network, &images, &trained.x);

    if let Some(path) = &arguments.curve {
        pictures::learning_curve(path, &curve).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    if let Some(path) = &arguments.pictures {
        let first = pictures::ROWS * pictures::COLUMNS;
        let some: Vec<usize> = (0..images.count().min(first)).collect();
        let model = network.on(&images.pixels).map_err(say)?;
        let batch = model.batch(&some);
        let at = newton_krylov::Model::linearize(&batch, &trained.x);
        let outputs: Vec<f32> = at.outputs().iter().map(|h| 1.0 / (1.0 + (-h).exp())).collect();
        pictures::reconstructions(path, &images, &outputs).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    println!(
        "{:>10} {:>10} {:>9} {:>22} {:>26}",
        "seconds", "iteration", "products", "squared error / image", "cross entropy / image"
    );
    let stride = curve.len().div_ceil(12).max(1);
    for mark in curve.iter().rev().step_by(stride).collect::<Vec<_>>().into_iter().rev() {
        let Mark { seconds, iterations, products, errors } = mark;
        println!(
            "{seconds:>10.2} {iterations:>10} {products:>9} {:>22.4} {:>26.3}",
            errors.squared, errors.cross_entropy
        );
    }
    println!(
        "{}: squared error {:.4}, cross entropy {:.3} per image after {:.1} s, {} iterations ({})",
        arguments.method.name(),
        end.squared,
        end.cross_entropy,
        trained.seconds,
        trained.iterations,
        trained.termination
    );
    if arguments.json {
        let line = serde_json::json!({
            "method": arguments.method.name(),
            "images": images.count(),
            "parameters": network.dim(),
            "squared_error_per_image": end.squared,
            "cross_entropy_per_image": end.cross_entropy,
            "seconds": trained.seconds,
            "wall_seconds": wall,
            "iterations": trained.iterations,
            "values": trained.counts.values,
            "gradients": trained.counts.gradients,
            "products": trained.counts.products,
            "epochs": trained.samples.gradients as f64 / images.count() as f64,
            "sample_values": trained.samples.values,
            "sample_gradients": trained.samples.gradients,
            "sample_products": trained.samples.products,
            "termination": trained.termination.to_string(),
            "curve": curve.iter().map(|mark| serde_json::json!({
                "seconds": mark.seconds,
                "iterations": mark.iterations,
                "products": mark.products,
                "squared_error_per_image": mark.errors.squared,
                "cross_entropy_per_image": mark.errors.cross_entropy,
            })).collect::<Vec<_>>(),
        });
        println!("{line}");
    }
    match trained.termination {
        Termination::NotFinite(_) | Termination::Unbounded => Err(trained.termination.advice().into()),
        _ => Ok(()),
    }
}
