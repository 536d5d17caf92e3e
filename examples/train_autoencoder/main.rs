//! Trains a deep autoencoder, by one method or by several, side by side: on curves that are drawn here, or on a file of
//! images in the IDX format (MNIST, Fashion-MNIST, with or without `.gz`).
//!
//! The objective is that of the literature (Martens 2010; Martens & Grosse 2015): tanh units, a linear code, and the cross
//! entropy of logistic outputs, summed over pixels and averaged over images, plus ½c‖x‖² with c = 10⁻⁵.
//!
//! ```sh
//! cargo run --release --example train_autoencoder
//! cargo run --release --example train_autoencoder -- train-images-idx3-ubyte.gz --images 10000 --layers 784-256-64-16 \
//!     --method hessian-free --seconds 60 --resume run.checkpoint --curve curve.svg --pictures pictures.png
//! cargo run --release --example train_autoencoder -- --method gauss-newton,one-damping,martens --seconds 60 \
//!     --reach 150,120,100            # what one space for all dampings saves: products to reach these losses
//! ```
//!
//! What this reaches on 20,000 drawn curves with the network of the literature, 784-400-200-100-50-25-6, is in the module
//! `choosing` and in `pictures/curves.svg`. On the published set of curves, whose errors are of the same scale, Martens (ICML
//! 2010) reports 0.11 and Sutskever, Martens, Dahl & Hinton (ICML 2013) 0.058 for Hessian-free optimisation and 0.074 for the
//! best momentum, after far longer: the latter made 600,000 steps of conjugate gradients on the whole set, and 900 s hold
//! about 500 here.

#[path = "../common/arguments.rs"]
mod arguments;
mod curves;
#[path = "../common/idx.rs"]
mod idx;
#[path = "../common/learning_curve.rs"]
mod learning_curve;
mod output;
mod pictures;
#[path = "../common/png.rs"]
mod png;
#[path = "../common/training/mod.rs"]
mod training;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use newton_krylov::models::{Activation, MultilayerPerceptron};
use newton_krylov::{Counts, Linearization, Model, SampledModel, fit_samples, losses::BernoulliCrossEntropy};

use arguments::{exit, name, outcome, positive, seconds, weight};
use idx::Images;
use training::{Method, Seen, Trained, TrainingArguments};

/// Images evaluated at a time.
const PART: usize = 1000;
/// The curve is evaluated at so many times, at equal ratios.
const CURVE_POINTS: i32 = 20;
const CURVE_RATIO: f64 = 1.2;

/// Train a deep autoencoder.
#[derive(Parser)]
#[command(mut_arg("seconds", |seconds| seconds.default_value("6")))]
#[command(mut_arg("curve", |curve| curve.help("Write the learning curves to this file: a picture if it ends in .svg, otherwise a table (CSV)")))]
struct Arguments {
    /// Images in the IDX format, also compressed (.gz); without a file curves are drawn
    idx: Option<PathBuf>,
    /// Use this many images
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    images: u32,
    /// Widths from the image to the code; the decoder mirrors them
    #[arg(long, default_value = "784-200-50-6", value_parser = widths)]
    layers: Widths,
    /// c, the weight of ½‖x‖²
    #[arg(long, default_value_t = 1e-5, value_parser = weight)]
    l2: f64,
    /// How to train; several, separated by commas, are run one after another and compared
    #[arg(long, value_enum, value_delimiter = ',', default_value = "hessian-free,adam")]
    method: Vec<Method>,
    #[command(flatten)]
    training: TrainingArguments,
    /// Evaluate at these seconds; otherwise at 20 times
    #[arg(long, value_delimiter = ',', value_parser = seconds)]
    at: Vec<f64>,
    /// Evaluate after every iteration, and tell what it took to reach these cross entropies per image
    #[arg(long, value_delimiter = ',', value_parser = positive)]
    reach: Vec<f64>,
    /// Write images and their reconstructions by the first method to this file, as PNG or BMP
    #[arg(long)]
    pictures: Option<PathBuf>,
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
    counts: Counts,
    /// Calls times the samples of each.
    samples: Counts,
    errors: Errors,
}

/// One method's run.
struct Run {
    method: Method,
    curve: Vec<Mark>,
    /// For each loss that was to be reached, where it was.
    reached: Vec<Option<Mark>>,
    trained: Trained,
    end: Errors,
}

fn errors(network: &MultilayerPerceptron, images: &Images, x: &[f32]) -> Errors {
    let (mut squared, mut cross_entropy) = (0.0, 0.0);
    let model = network.on(&images.pixels).expect("whole images");
    let all: Vec<usize> = (0..images.count()).collect();
    for part in all.chunks(PART) {
        let batch = model.batch(part);
        let at = batch.linearize(x);
        for (logits, &i) in at.outputs().chunks_exact(images.size()).zip(part) {
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
    exit(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let images = match &arguments.idx {
        Some(path) => idx::read_images(path, arguments.images as usize)?,
        None => curves::curves(arguments.images as usize, 1),
    };
    let Widths(encoder) = &arguments.layers;
    if encoder[0] != images.size() {
        let size = images.size();
        return Err(format!("--layers begins with {}, but an image has {size} pixels", encoder[0]));
    }
    if arguments.training.resume.is_some() && arguments.method.len() > 1 {
        return Err("--resume needs one --method: a file holds one run".into());
    }
    let mirrored: Vec<usize> = encoder.iter().chain(encoder.iter().rev().skip(1)).copied().collect();
    let mut activations = vec![Activation::Tanh; mirrored.len() - 1];
    activations[encoder.len() - 2] = Activation::Identity;
    activations[mirrored.len() - 2] = Activation::Identity;
    let network = MultilayerPerceptron::new(&mirrored, &activations).map_err(|e| e.to_string())?;
    let names: Vec<String> = mirrored.iter().map(usize::to_string).collect();
    println!(
        "{} {}, an autoencoder {} with {} parameters, {} s of training for each method",
        images.count(),
        if arguments.idx.is_some() { "images" } else { "drawn curves" },
        names.join("-"),
        network.dim(),
        arguments.training.run.seconds
    );
    let mut times = arguments.at.clone();
    if times.is_empty() {
        times.extend((0..CURVE_POINTS).map(|k| arguments.training.run.seconds * CURVE_RATIO.powi(-k)));
    }
    times.push(0.0);
    times.sort_by(f64::total_cmp);
    let mut runs = vec![];
    for &method in &arguments.method {
        runs.push(train(arguments, &network, &images, &times, method)?);
    }

    if let Some(path) = &arguments.training.run.curve {
        let svg = path.extension().is_some_and(|e| e == "svg");
        let written = if svg { pictures::learning_curves(path, &runs) } else { output::csv(path, &runs) };
        written.map_err(|e| format!("{}: {e}", path.display()))?;
    }
    if let Some(path) = &arguments.pictures {
        let first: Vec<usize> = (0..images.count().min(pictures::ROWS * pictures::COLUMNS)).collect();
        let model = network.on(&images.pixels).map_err(|e| e.to_string())?;
        let batch = model.batch(&first);
        let at = batch.linearize(&runs[0].trained.x);
        let outputs: Vec<f32> = at.outputs().iter().map(|h| 1.0 / (1.0 + (-h).exp())).collect();
        pictures::reconstructions(path, &images, &outputs).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    output::tables(&runs, &times, &arguments.reach);
    if arguments.training.run.json {
        println!("{}", output::json(&runs, &images, network.dim(), &arguments.reach));
    }
    runs.iter().try_for_each(|run| {
        outcome(run.trained.termination).map_err(|advice| format!("{}: {advice}", name(run.method)))
    })
}

/// Trains by one method, and looks at the run at the given times.
fn train(
    arguments: &Arguments,
    network: &MultilayerPerceptron,
    images: &Images,
    times: &[f64],
    method: Method,
) -> Result<Run, String> {
    let objective = |metric| {
        let loss = BernoulliCrossEntropy::new(&images.pixels[..], images.size())?;
        fit_samples(network.on(&images.pixels)?, loss, metric)?.with_regularization(arguments.l2)
    };
    let checkpoint = arguments.training.checkpoint("train_autoencoder", method, &images.pixels);
    let training = arguments.training.training(checkpoint.as_ref());
    // One line that is written again and again, for people.
    let watched = io::stderr().is_terminal();
    let mut shown = 0.0;
    let (mut curve, mut reached) = (vec![], vec![None; arguments.reach.len()]);
    let mut due = times.iter().copied().peekable();
    let mut see = |Seen { x, iterations, counts, samples, value, seconds }: Seen<'_>| {
        if watched && seconds > shown + 0.1 {
            let percent = 100.0 * (seconds / arguments.training.run.seconds).min(1.0);
            let name = name(method);
            eprint!("\r\x1b[K{percent:3.0} %  {name}: iteration {iterations}, loss on the batch {value:.3}");
            shown = seconds;
        }
        let on_time = due.next_if(|&time| time <= seconds).is_some();
        while due.next_if(|&time| time <= seconds).is_some() {}
        if !on_time && reached.iter().all(Option::is_some) {
            return;
        }
        let mark = Mark { seconds, iterations, counts, samples, errors: errors(network, images, x) };
        if on_time {
            curve.push(mark);
        }
        for (found, &target) in reached.iter_mut().zip(&arguments.reach) {
            if found.is_none() && mark.errors.cross_entropy <= target {
                *found = Some(mark);
            }
        }
    };
    let trained = training::train(method, training, objective, &network.initial(arguments.training.seed), &mut see)?;
    if watched {
        eprint!("\r\x1b[K");
    }
    let end = errors(network, images, &trained.x);
    let Trained { seconds, iterations, counts, samples, .. } = trained;
    if curve.last().is_none_or(|mark| mark.iterations < iterations) {
        curve.push(Mark { seconds, iterations, counts, samples, errors: end });
    }
    Ok(Run { method, curve, reached, trained, end })
}
