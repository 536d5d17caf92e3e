//! Trains an autoencoder by Hessian-free optimisation with every batch dealt out over the ranks.
//!
//! Rank 0 saves the state of the run after every iteration, atomically. Any number of ranks can go on from it, since all
//! of it is the same on all ranks.
//!
//! ```sh
//! mpirun -n 2 target/release/train_autoencoder --iterations 5 --checkpoint run.checkpoint
//! mpirun -n 3 target/release/train_autoencoder --iterations 10 --checkpoint run.checkpoint
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use clap::Parser;
use newton_krylov::models::{Activation, MultilayerPerceptron};
use newton_krylov::{
    HessianFree, Metric, Run, RunState, SampledObjective, Stopping, checkpoint, fit_samples,
    losses::BernoulliCrossEntropy,
    random::SplitMix64,
    ranks::{Slices, Summed, check_equal, distributed},
};
use ranks::{Mpi, run, summary};

/// Pixels along an edge.
const EDGE: usize = 12;
const REGULARIZATION: f64 = 1e-5;

#[derive(Parser)]
struct Arguments {
    /// Pictures, drawn here
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    images: u32,
    /// Iterations in all
    #[arg(long, default_value_t = 10)]
    iterations: usize,
    /// The file to go on from, if it is there, and to save the run to
    #[arg(long)]
    checkpoint: Option<PathBuf>,
    /// Seed of weights and batches
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Pictures of a soft spot each.
fn pictures(count: usize) -> Vec<f64> {
    let mut random = SplitMix64::new(5);
    let mut pixels = Vec::with_capacity(count * EDGE * EDGE);
    for _ in 0..count {
        let [x, y, size] = [(); 3].map(|()| random.uniform());
        let (x, y, size) = (x * EDGE as f64, y * EDGE as f64, 1.0 + 3.0 * size);
        for i in 0..EDGE * EDGE {
            let (dx, dy) = ((i % EDGE) as f64 - x, (i / EDGE) as f64 - y);
            pixels.push((-(dx * dx + dy * dy) / (size * size)).exp());
        }
    }
    pixels
}

fn train(ranks: Rc<Mpi>, arguments: &Arguments) -> Result<(), String> {
    let text = |e: newton_krylov::Error| e.to_string();
    let pixels = pictures(arguments.images as usize);
    let widths = [EDGE * EDGE, 40, 6, 40, EDGE * EDGE];
    let activations = [Activation::Tanh, Activation::Identity, Activation::Tanh, Activation::Identity];
    let network = MultilayerPerceptron::new(&widths, &activations).map_err(text)?;
    let x0: Vec<f64> = network.initial(arguments.seed);
    check_equal(&*ranks, "x0", &x0).map_err(text)?;
    check_equal(&*ranks, "the images", &pixels).map_err(text)?;
    check_equal(&*ranks, "the options", &[arguments.iterations as f64, arguments.seed as f64]).map_err(text)?;

    let loss = BernoulliCrossEntropy::new(&pixels[..], EDGE * EDGE).map_err(text)?;
    let local = fit_samples(network.on(&pixels).map_err(text)?, loss, Metric::GaussNewton)
        .and_then(|fit| fit.with_regularization(REGULARIZATION))
        .map_err(text)?;
    let objective = Summed::new(ranks.clone(), local);
    debug_assert_eq!(SampledObjective::<f64>::samples(&objective), arguments.images as usize);
    let stopping = Stopping { max_iterations: arguments.iterations, ..Stopping::default() };
    let solver = HessianFree { stopping, seed: arguments.seed, damping: 10.0, ..HessianFree::default() };
    let kind = format!("autoencoder of {} pictures", arguments.images);
    let saved: Option<RunState> = match &arguments.checkpoint {
        Some(path) if path.exists() => Some(checkpoint::load(path, &kind).map_err(|e| e.to_string())?),
        _ => None,
    };
    check_equal(&*ranks, "whether there is a checkpoint", &[f64::from(saved.is_some())]).map_err(text)?;
    let report = distributed(ranks.clone(), Slices::Residuals, || {
        let mut run = match saved {
            Some(state) => solver.resume(&objective, &state),
            None => solver.start(&objective, (), &x0),
        }
        .map_err(text)?;
        check_equal(&*ranks, "the number of iterations", &[run.progress().iteration as f64]).map_err(text)?;
        let termination = loop {
            if let Some(termination) = run.iterate().map_err(text)? {
                break termination;
            }
            let progress = run.progress();
            if ranks.talks() {
                println!("iteration {}: {:.9e} on its batch", progress.iteration, progress.value);
            }
            if let Some(path) = arguments.checkpoint.as_ref().filter(|_| ranks.talks()) {
                checkpoint::save(path, &kind, &run.save()).map_err(|e| e.to_string())?;
            }
        };
        Ok::<_, String>(run.finish(termination))
    })?;
    if ranks.talks() {
        println!("{report}\n{}", summary(&ranks, &report));
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    run(|ranks| train(ranks, &arguments))
}
