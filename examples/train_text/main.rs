//! Trains a small transformer to continue a text, character by character, and has it write some: on this repository's pages,
//! or on a file.
//!
//! `layers.rs`, `attention.rs` and `transformer.rs` are a template for networks of your own: values, exact Jv and Jᵀu, and the
//! moments of layers, by hand and without a framework; `tests.rs` shows how to check them.
//!
//! The objective is the mean over sequences of their cross entropy, summed over places, plus ½c‖x‖². Its generalised
//! Gauss–Newton matrix is the Fisher matrix of the text that the network would write.
//!
//! ```sh
//! cargo run --release --bin train_text
//! cargo run --release --bin train_text -- --method hessian-free --batch 32 --curve text.svg
//! cargo run --release --bin train_text -- novel.txt --places 128 --blocks 4 --width 128 --seconds 3600 --resume run.checkpoint
//! ```

#[path = "../common/arguments.rs"]
mod arguments;
mod attention;
#[path = "../common/bar.rs"]
mod bar;
mod layers;
#[path = "../common/learning_curve.rs"]
mod learning_curve;
#[cfg(test)]
mod tests;
mod text;
#[path = "../common/training/mod.rs"]
mod training;
mod transformer;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use newton_krylov::{
    Counts, Expansion, Metric, Model, Objective, SampledModel, SampledObjective, check, fit_samples,
    losses::{Loss, SoftmaxCrossEntropy},
    random::SplitMix64,
};

use arguments::{exit, name, outcome, weight};
use bar::Bar;
use layers::Real;
use text::Text;
use training::{Method, Seen, Trained, TrainingArguments};
use transformer::Transformer;

/// Sequences evaluated at a time.
const PART: usize = 256;
/// The ratio of the times at which the learning curve is evaluated.
const CURVE_RATIO: f64 = 1.25;
/// What letters are drawn by: the probabilities to the power 1/this. Below 1 the likelier ones are drawn more often.
const TEMPERATURE: f64 = 0.8;

/// Train a small transformer to continue a text.
#[derive(Parser)]
#[command(mut_arg("batch", |batch| batch.default_value("16")))]
struct Arguments {
    /// A text in UTF-8; without it this library's pages are learned
    text: Option<PathBuf>,
    /// Characters of a sequence
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    places: u16,
    /// Numbers that are handed on at a place, a multiple of the heads
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    width: u16,
    /// Heads of attention
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    heads: u16,
    /// Blocks of attention and two layers
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..))]
    blocks: u8,
    /// c, the weight of ½‖x‖²
    #[arg(long, default_value_t = 1e-3, value_parser = weight)]
    l2: f64,
    /// How to train
    #[arg(long, value_enum, default_value_t = Method::Soap)]
    method: Method,
    #[command(flatten)]
    training: TrainingArguments,
    /// Check the products before training, and print the loss at the start and its gradient's norm, in double precision
    #[arg(long)]
    check: bool,
    /// Write so many characters at the end
    #[arg(long, default_value_t = 300)]
    write: u32,
}

/// One point of the learning curve; cross entropies in nats per character.
struct Mark {
    seconds: f64,
    iterations: usize,
    products: usize,
    samples: Counts,
    learned: f64,
    held_out: f64,
}

fn main() -> ExitCode {
    exit(run(&Arguments::parse()))
}

fn say(error: newton_krylov::Error) -> String {
    error.to_string()
}

fn loss(network: &Transformer, labels: Vec<usize>) -> newton_krylov::Result<SoftmaxCrossEntropy<'static>> {
    SoftmaxCrossEntropy::new(labels, network.alphabet)?.with_labels_per_sample(network.places)
}

/// The mean cross entropy of these sequences, in nats per character.
fn cross_entropy(network: &Transformer, text: &Text, starts: &[usize], x: &[f32]) -> f64 {
    let model = network.on(&text.characters, starts);
    let loss = loss(network, text.labels(starts)).expect("characters of the alphabet");
    let outputs = SampledModel::<f32>::outputs_per_sample(&model);
    let all: Vec<usize> = (0..starts.len()).collect();
    let mut logits = vec![0.0; PART * outputs];
    let mut sum = 0.0;
    for part in all.chunks(PART) {
        let logits = &mut logits[..part.len() * outputs];
        model.batch(part).evaluate(x, logits);
        sum += part.iter().zip(logits.chunks_exact(outputs)).map(|(&i, h)| loss.value(i, h)).sum::<f64>();
    }
    sum / (starts.len() * network.places) as f64
}

/// Checks the network's products. Returns loss and gradient norm at the start, without ½c‖x‖².
fn check_start(network: &Transformer, text: &Text, seed: u64) -> Result<[f64; 2], String> {
    let x0: Vec<f64> = network.initial(seed);
    let model = network.on(&text.characters, &text.learned);
    let verdict = check::sampled_model(&model, &x0, 1).map_err(say)?;
    println!("{verdict}");
    if !verdict.passed() {
        return Err("the network's products are wrong".into());
    }
    let loss = loss(network, text.labels(&text.learned)).map_err(say)?;
    let objective = fit_samples(model, loss, Metric::GeneralizedGaussNewton).map_err(say)?;
    let (mut value, mut gradient, mut part_gradient) = (0.0, vec![0.0; x0.len()], vec![0.0; x0.len()]);
    let all: Vec<usize> = (0..text.learned.len()).collect();
    for part in all.chunks(PART) {
        let (batch, share) = (objective.batch(part), part.len() as f64 / all.len() as f64);
        let at = batch.expand(&x0);
        value += share * at.value();
        at.gradient(&mut part_gradient);
        gradient.iter_mut().zip(&part_gradient).for_each(|(g, part)| *g += share * part);
    }
    let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
    println!("at the start f = {value:.12}, the gradient's norm = {norm:.12}");
    Ok([value, norm])
}

/// Characters, each drawn from what the network says of those before.
fn write<T: Real>(network: &Transformer, x: &[T], first: &[usize], count: usize, seed: u64) -> Vec<usize> {
    let (places, alphabet) = (network.places, network.alphabet);
    let mut random = SplitMix64::new(seed);
    let mut written = first.to_vec();
    let mut logits = vec![T::zero(); places * alphabet];
    for _ in 0..count {
        let last = &written[written.len().saturating_sub(places)..];
        let mut sequence = last.to_vec();
        sequence.resize(places, 0); // what comes later has no influence
        network.on(&sequence, &[0]).batch(&[0]).evaluate(x, &mut logits);
        let h: Vec<f64> = logits[(last.len() - 1) * alphabet..][..alphabet].iter().map(|&h| h.into()).collect();
        let largest = h.iter().fold(f64::NEG_INFINITY, |largest, &h| largest.max(h));
        let odds: Vec<f64> = h.iter().map(|h| ((h - largest) / TEMPERATURE).exp()).collect();
        let mut left = random.uniform() * odds.iter().sum::<f64>();
        let drawn = odds.iter().position(|odds| {
            left -= odds;
            left < 0.0
        });
        written.push(drawn.unwrap_or(0));
    }
    written.split_off(first.len())
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let [places, width, heads] = [arguments.places, arguments.width, arguments.heads].map(usize::from);
    if width % heads != 0 {
        return Err(format!("the width is {width}, but must be a multiple of the {heads} heads"));
    }
    let text = Text::read(arguments.text.as_deref(), places)?;
    let network = Transformer::new(text.alphabet.len(), places, width, heads, arguments.blocks.into());
    let (sequences, held_out) = (text.learned.len(), text.held_out.len());
    eprintln!(
        "{sequences} sequences of {places} characters, {held_out} held out, {} different characters, {} parameters",
        text.alphabet.len(),
        network.dim()
    );
    let start = arguments.check.then(|| check_start(&network, &text, arguments.training.seed)).transpose()?;

    let objective = |metric| {
        let loss = loss(&network, text.labels(&text.learned))?;
        fit_samples(network.on(&text.characters, &text.learned), loss, metric)?.with_regularization(arguments.l2)
    };
    let x0: Vec<f32> = network.initial(arguments.training.seed);
    let method = arguments.method;
    let program = format!("train_text {places} {width} {heads} {}", arguments.blocks);
    let data: Vec<f32> = text.characters.iter().map(|&c| c as f32).collect();
    let checkpoint = arguments.training.checkpoint(&program, method, &data);
    let training = arguments.training.training(checkpoint.as_ref());
    let bar = Bar::new(arguments.training.run.seconds);
    let mut curve: Vec<Mark> = vec![];
    let mut next_mark = 0.0;
    let mark = |x: &[f32], iterations: usize, [counts, samples]: [Counts; 2], seconds: f64| {
        let [learned, held_out] =
            [&text.learned, &text.held_out].map(|starts| cross_entropy(&network, &text, starts, x));
        Mark { seconds, iterations, products: counts.products, samples, learned, held_out }
    };
    let mut see = |Seen { x, iterations, counts, samples, value, seconds }: Seen<'_>| {
        bar.show(seconds, format!("iteration {iterations}, {:.3} nats on the batch", value / places as f64));
        if seconds >= next_mark {
            curve.push(mark(x, iterations, [counts, samples], seconds));
            next_mark = (seconds * CURVE_RATIO).max(seconds + 0.1);
        }
    };
    let trained = training::train(method, training, objective, &x0, &mut see)?;
    drop(bar);
    let Trained { x, iterations, counts, samples, seconds, .. } = &trained;
    if curve.last().is_none_or(|mark| mark.iterations < *iterations) {
        curve.push(mark(x, *iterations, [*counts, *samples], *seconds));
    }

    if let Some(path) = &arguments.training.run.curve {
        let line = |y: fn(&Mark) -> f64| curve.iter().map(|mark| (mark.seconds, y(mark))).collect();
        let lines =
            vec![("learned".into(), line(|mark| mark.learned)), ("held out".into(), line(|mark| mark.held_out))];
        learning_curve::draw(path, lines, "nats per character").map_err(|e| format!("{}: {e}", path.display()))?;
    }
    println!(
        "{:>10} {:>10} {:>9} {:>9} {:>12} {:>12}",
        "seconds", "iteration", "products", "epochs", "learned", "held out"
    );
    for Mark { seconds, iterations, products, samples, learned, held_out } in &curve {
        let epochs = samples.gradients as f64 / sequences as f64;
        println!("{seconds:>10.2} {iterations:>10} {products:>9} {epochs:>9.2} {learned:>12.4} {held_out:>12.4}");
    }
    let end = curve.last().expect("the end");
    println!(
        "{}: {:.3} nats per character of what is held out, {:.3} of what was learned, after {seconds:.1} s, {iterations} iterations ({})",
        name(method),
        end.held_out,
        end.learned,
        trained.termination
    );
    let first = &text.characters[text.held_out[0]..][..places];
    let written = text.write(&write(&network, x, first, arguments.write as usize, arguments.training.seed));
    println!("\n{}[{written}]", text.write(first));
    if arguments.training.run.json {
        let line = serde_json::json!({
            "method": name(method),
            "sequences": sequences,
            "held_out_sequences": held_out,
            "alphabet": text.alphabet.len(),
            "parameters": network.dim(),
            "start": start.map(|[value, gradient_norm]| serde_json::json!({ "value": value, "gradient_norm": gradient_norm })),
            "learned": end.learned,
            "held_out": end.held_out,
            "seconds": seconds,
            "iterations": iterations,
            "values": trained.counts.values,
            "gradients": trained.counts.gradients,
            "products": trained.counts.products,
            "written": written,
            "termination": trained.termination.to_string(),
            "curve": curve.iter().map(|mark| serde_json::json!({
                "seconds": mark.seconds,
                "iterations": mark.iterations,
                "products": mark.products,
                "learned": mark.learned,
                "held_out": mark.held_out,
                "sample_values": mark.samples.values,
                "sample_gradients": mark.samples.gradients,
                "sample_products": mark.samples.products,
            })).collect::<Vec<_>>(),
        });
        println!("{line}");
    }
    outcome(trained.termination)
}
