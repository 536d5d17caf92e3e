//! Trains a recurrent network on the addition problem, where what matters lies T/2 steps and more before the answer:
//! first-order methods hardly leave the mean of all sums where T is large; Hessian-free training with structural damping
//! does (Martens & Sutskever, "Learning recurrent neural networks with Hessian-free optimization", ICML 2011).
//!
//! The problem is solved if at most 1 % of 10,000 fresh sequences have an error of 0.04 or more at their end. A run ends when
//! at most 0.5 % of 1000 others have. The initial weights are [`ElmanNetwork::initial`]: 15 for each unit, a spectral radius
//! of 1.
//!
//! ```sh
//! cargo run --release --bin train_rnn
//! cargo run --release --bin train_rnn -- --length 100 --seconds 600 --seeds 0..5 --curve curve.svg
//! cargo run --release --bin train_rnn -- --length 100 --seconds 600 --method adam --json
//! ```

mod addition;
#[path = "../common/arguments.rs"]
mod arguments;
#[path = "../common/bar.rs"]
mod bar;
#[path = "../common/learning_curve.rs"]
mod learning_curve;
mod method;

use std::ops::Range;
use std::process::ExitCode;

use clap::Parser;
use newton_krylov::models::{ElmanNetwork, Readout};
use newton_krylov::{
    Metric, Objective, SampledObjective, Termination, fit_samples, losses::SquaredError, random::SplitMix64,
};

use addition::{INPUTS, Quality, Sequences};
use arguments::{RunArguments, exit, name, outcome, positive, weight};
use bar::Bar;
use method::{Method, Seen};

/// Weights of a unit, and the spectral radius of those between hidden units.
const CONNECTIONS: usize = 15;
const RADIUS: f64 = 1.0;
/// Fresh sequences that decide when a run ends, and others that measure its result.
const VALIDATION: usize = 1000;
const TEST: usize = 10_000;
/// The share of wrong answers that ends a run: below what solves the problem, since 1000 sequences do not tell it exactly.
const ENOUGH: f64 = 0.005;

/// Train a recurrent network to add two marked numbers of a sequence.
#[derive(Parser)]
#[command(mut_arg("seconds", |seconds| seconds.default_value("60").help("Train at most this long for each seed, in seconds of training time")))]
struct Arguments {
    /// Steps of a sequence, T
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..100_000))]
    length: u32,
    /// Hidden units
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..100_000))]
    hidden: u32,
    /// Sequences to train on
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    sequences: u32,
    /// Seed of the initial weights, the sequences and the batches
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Train once for each of these seeds: 0..5 is 0, 1, 2, 3, 4
    #[arg(long, value_parser = seeds, conflicts_with = "seed")]
    seeds: Option<Range<u64>>,
    #[command(flatten)]
    run: RunArguments,
    /// How to train
    #[arg(long, value_enum, default_value_t = Method::HessianFree)]
    method: Method,
    /// Weight of structural damping; 0 for none
    #[arg(long, default_value_t = 0.03, value_parser = weight)]
    structural: f64,
    /// Adam's rate
    #[arg(long, default_value_t = 1e-3, value_parser = positive)]
    rate: f64,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    match text.split_once("..").map(|(from, to)| (from.parse(), to.parse())) {
        Some((Ok(from), Ok(to))) if from < to && to - from <= 1000 => Ok(from..to),
        _ => Err("a range of at most 1000 seeds is needed, such as 0..5".into()),
    }
}

/// One point of a learning curve.
#[derive(Clone, Copy, Debug)]
struct Mark {
    seconds: f64,
    quality: Quality,
}

/// The run of one seed.
struct Run {
    seed: u64,
    /// The mean loss ½(y − sum)² on all training sequences.
    value: f64,
    test: Quality,
    seconds: f64,
    iterations: usize,
    products: usize,
    solved: bool,
    termination: Termination,
    curve: Vec<Mark>,
}

impl Run {
    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "seed": self.seed,
            "value": self.value,
            "test_error": self.test.error,
            "test_wrong": self.test.wrong,
            "solved": self.solved,
            "seconds": self.seconds,
            "iterations": self.iterations,
            "products": self.products,
            "termination": self.termination.to_string(),
        })
    }
}

fn main() -> ExitCode {
    exit(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let seeds: Vec<u64> = arguments.seeds.clone().map_or_else(|| vec![arguments.seed], Iterator::collect);
    println!(
        "{:>6} {:>9} {:>10} {:>9} {:>12} {:>12} {:>9}  ended by",
        "seed", "seconds", "iteration", "products", "test error", "wrong", "solved"
    );
    let mut runs = vec![];
    for &seed in &seeds {
        let run = train(arguments, seed).map_err(|e| e.to_string())?;
        println!(
            "{seed:>6} {:>9.1} {:>10} {:>9} {:>12.2e} {:>10.2} % {:>9}  {}",
            run.seconds,
            run.iterations,
            run.products,
            run.test.error,
            100.0 * run.test.wrong,
            if run.solved { "yes" } else { "no" },
            run.termination
        );
        runs.push(run);
    }
    if let Some(path) = &arguments.run.curve {
        let points = |run: &Run| run.curve.iter().map(|mark| (mark.seconds, mark.quality.error)).collect();
        let mut lines: Vec<_> = runs.iter().map(|run| (format!("seed {}", run.seed), points(run))).collect();
        let end = runs.iter().map(|run| run.seconds).fold(0.0, f64::max);
        lines.push(("the mean of all sums".into(), vec![(0.0, 1.0 / 6.0), (end, 1.0 / 6.0)]));
        learning_curve::draw(path, lines, "mean squared error on fresh sequences")
            .map_err(|e| format!("{}: {e}", path.display()))?;
    }
    // The seed with the largest error speaks for all.
    let worst = runs.iter().max_by(|a, b| a.test.error.total_cmp(&b.test.error)).expect("at least one seed");
    if arguments.run.json {
        let line = serde_json::json!({
            "method": name(arguments.method),
            "length": arguments.length,
            "hidden": arguments.hidden,
            "value": worst.value,
            "test_error": worst.test.error,
            "test_wrong": worst.test.wrong,
            "solved": runs.iter().all(|run| run.solved),
            "solved_seeds": runs.iter().filter(|run| run.solved).count(),
            "seconds": runs.iter().map(|run| run.seconds).sum::<f64>(),
            "iterations": runs.iter().map(|run| run.iterations).sum::<usize>(),
            "products": runs.iter().map(|run| run.products).sum::<usize>(),
            "termination": worst.termination.to_string(),
            "runs": runs.iter().map(Run::json).collect::<Vec<_>>(),
        });
        println!("{line}");
    }
    outcome(worst.termination)
}

/// Trains with one seed.
fn train(arguments: &Arguments, seed: u64) -> newton_krylov::Result<Run> {
    let (length, hidden) = (arguments.length as usize, arguments.hidden as usize);
    let mut random = SplitMix64::new(seed);
    let mut draw = |count: usize| Sequences::draw(length, count, random.next_u64());
    let (sequences, validation, test) = (draw(arguments.sequences as usize), draw(VALIDATION), draw(TEST));
    let network = ElmanNetwork::new(INPUTS, hidden, 1, length, Readout::Last)?;
    let loss = SquaredError::new(&sequences.sums[..], 1)?;
    let objective = fit_samples(network.on(&sequences.inputs)?, loss, Metric::GeneralizedGaussNewton)?
        .with_structural_damping(arguments.structural)?;
    let x0: Vec<f32> = network.initial(seed, CONNECTIONS, RADIUS)?;

    let bar = Bar::new(arguments.run.seconds);
    let mut curve: Vec<Mark> = vec![];
    let mut see = |Seen { x, iterations, products, value, seconds }: Seen<'_>| {
        let quality = Quality::of(&network, x, &validation);
        curve.push(Mark { seconds, quality });
        let Quality { error, wrong } = quality;
        let wrong = 100.0 * wrong;
        let message = format!(
            "seed {seed}, iteration {iterations}, {products} products, loss {value:.1e}, error {error:.1e}, {wrong:.1} % wrong"
        );
        bar.show(seconds, message);
        quality.wrong <= ENOUGH
    };
    let trained = method::train(arguments, seed, &objective, &x0, &mut see)?;
    drop(bar);
    let all: Vec<usize> = (0..sequences.sums.len()).collect();
    let quality = Quality::of(&network, &trained.x, &test);
    Ok(Run {
        seed,
        value: objective.batch(&all).value(&trained.x),
        test: quality,
        seconds: trained.seconds,
        iterations: trained.iterations,
        products: trained.products,
        solved: quality.solved(),
        termination: trained.termination,
        curve,
    })
}
