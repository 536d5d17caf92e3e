//! Seconds for the gradient, a Gauss–Newton product and a Hessian product of an autoencoder's mean cross-entropy, in `f32`,
//! as one line of JSON for `autoencoder_products.py`:
//!
//!     cargo run --release --bin autoencoder_products -- [--layers 784-1000-500-250-30] [--batch 1000]
//!         [--threads 2] [--repetitions 5]
//!
//! The decoder mirrors the encoder; hidden units are tanh, code and outputs linear. Inputs are uniform in [0, 1).

use std::time::Instant;

use clap::Parser;
use newton_krylov::models::{Activation, MultilayerPerceptron};
use newton_krylov::{
    Expansion, Metric, Objective, SymmetricOperator, fit, losses::BernoulliCrossEntropy, random::SplitMix64,
};

#[derive(Parser)]
struct Arguments {
    /// Widths from the images to the code.
    #[arg(long, default_value = "784-1000-500-250-30")]
    layers: String,
    /// Images.
    #[arg(long, default_value_t = 1000)]
    batch: usize,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Measurements, of which the median is given.
    #[arg(long, default_value_t = 5)]
    repetitions: usize,
}

/// Processor seconds of all threads so far, where the system tells (Linux).
fn processor_seconds() -> Option<f64> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?;
    let nanoseconds = threads.map(|thread| {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    Some(nanoseconds.sum::<Option<f64>>()? * 1e-9)
}

/// The medians of the seconds and of the processor seconds that `call` takes, after a first call that is not counted.
fn seconds(repetitions: usize, mut call: impl FnMut()) -> [Option<f64>; 2] {
    call();
    let (mut wall, mut processor) = (vec![], vec![]);
    for _ in 0..repetitions {
        let (start, before) = (Instant::now(), processor_seconds());
        call();
        wall.push(start.elapsed().as_secs_f64());
        processor.extend(processor_seconds().zip(before).map(|(after, before)| after - before));
    }
    [wall, processor].map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied()
    })
}

fn main() {
    let Arguments { layers, batch, threads, repetitions } = Arguments::parse();
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("threads");
    let encoder: Vec<usize> = layers.split('-').map(|width| width.parse().expect("a width")).collect();
    let widths: Vec<usize> = encoder.iter().chain(encoder.iter().rev().skip(1)).copied().collect();
    let mut activations = vec![Activation::Tanh; widths.len() - 1];
    activations[encoder.len() - 2] = Activation::Identity;
    activations[widths.len() - 2] = Activation::Identity;
    let network = MultilayerPerceptron::new(&widths, &activations).expect("a network");

    let mut random = SplitMix64::new(2);
    let images: Vec<f32> = (0..batch * widths[0]).map(|_| random.uniform() as f32).collect();
    let x: Vec<f32> = network.initial(1);
    let v: Vec<f32> = (0..x.len()).map(|_| random.uniform() as f32 - 0.5).collect();
    let (mut gradient, mut out) = (vec![0.0_f32; x.len()], vec![0.0_f32; x.len()]);
    let model = network.on(&images).expect("a model");
    let loss = BernoulliCrossEntropy::new(&images[..], widths[0]).expect("a loss");
    let objective = |metric| fit(&model, &loss, metric).expect("an objective");
    let (gauss_newton, newton) = (objective(Metric::GeneralizedGaussNewton), objective(Metric::Hessian));

    let forward = seconds(repetitions, || drop(gauss_newton.expand(&x)));
    let value = gauss_newton.value(&x);
    let gradient_seconds = seconds(repetitions, || gauss_newton.expand(&x).gradient(&mut gradient));
    let at = gauss_newton.expand(&x);
    let gauss_newton_seconds = seconds(repetitions, || at.apply(&v, &mut out));
    let gauss_newton_curvature: f64 = v.iter().zip(&out).map(|(&v, &mv)| v as f64 * mv as f64).sum();
    drop(at);
    let at = newton.expand(&x);
    let hessian_seconds = seconds(repetitions, || at.apply(&v, &mut out));
    let hessian_curvature: f64 = v.iter().zip(&out).map(|(&v, &mv)| v as f64 * mv as f64).sum();
    let norm = gradient.iter().map(|&g| (g as f64).powi(2)).sum::<f64>().sqrt();
    let times = [
        ("forward", forward),
        ("gradient", gradient_seconds),
        ("gauss_newton", gauss_newton_seconds),
        ("hessian", hessian_seconds),
    ];
    let table = |i: usize| serde_json::Value::from_iter(times.iter().map(|(name, t)| (*name, t[i])));
    println!(
        "{}",
        serde_json::json!({
            "threads": threads, "batch": batch, "layers": layers,
            "value": value, "gradient_norm": norm,
            "gauss_newton_curvature": gauss_newton_curvature, "hessian_curvature": hessian_curvature,
            "seconds": table(0), "processor_seconds": table(1),
        })
    );
}
