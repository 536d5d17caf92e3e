//! Nonlinear least squares with millions of parameters, from products alone.
//!
//!     cargo run --release --bin sparse_fit -- [--parameters 1000000] [--readings 10] [--noise 0.001] [--json]
//!
//! Nodes on a ring have unknown states xᵢ. Each is read several times, every time disturbed by another node:
//!
//!   yₖᵢ = xᵢ + ½ sin(3 x₍ᵢ₊ₛ₎) + noise,   s = sₖ,
//!
//! n parameters, k·n residuals, and a Jacobian with two numbers in each row that is never stored: only the n slopes
//! ³⁄₂ cos(3xⱼ) are. It shows how a model keeps work between its products, tells the norms of its columns, and runs in
//! parallel with the same result for any number of threads.

use std::error::Error;
use std::ops::ControlFlow;
use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use newton_krylov::{LeastSquares, LevenbergMarquardt, LinearMap, Linearization, Model};
use rayon::prelude::*;
use serde_json::json;

#[derive(Parser)]
#[command(about = "Nonlinear least squares with many parameters, from products alone.")]
struct Arguments {
    /// Parameters n, one for every node.
    #[arg(long, default_value_t = 20_000)]
    parameters: usize,
    /// Readings of every node.
    #[arg(long, default_value_t = 10)]
    readings: usize,
    /// Standard deviation of the noise.
    #[arg(long, default_value_t = 1e-3)]
    noise: f64,
    /// Prints one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Nodes that one task handles.
const NODES: usize = 4096;

/// The data.
struct Ring {
    nodes: usize,
    shifts: Vec<usize>,
    data: Vec<f64>,
}

/// Numbers from a hash of their index: uniform in [−1, 1).
fn random(index: usize) -> f64 {
    let mut z = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

impl Ring {
    fn new(nodes: usize, readings: usize, noise: f64) -> (Self, Vec<f64>) {
        let truth: Vec<f64> = (0..nodes).into_par_iter().map(random).collect();
        // Distances that differ from reading to reading, by the golden ratio.
        let shift = |k: usize| 1 + (k as f64 * 0.618_033_988_749_895 * nodes as f64) as usize % nodes;
        let mut ring = Ring { nodes, shifts: (0..readings).map(shift).collect(), data: vec![0.0; nodes * readings] };
        let mut data = vec![0.0; nodes * readings];
        ring.evaluate(&truth, &mut data);
        // Uniform noise of that standard deviation.
        let width = 3.0_f64.sqrt() * noise;
        data.par_iter_mut().enumerate().for_each(|(i, y)| *y += width * random(nodes + i));
        ring.data = data;
        (ring, truth)
    }

    /// The node that disturbs `node` in a reading.
    fn other(&self, node: usize, shift: usize) -> usize {
        (node + shift) % self.nodes
    }

    /// The node that `node` disturbs.
    fn disturbed(&self, node: usize, shift: usize) -> usize {
        (node + self.nodes - shift) % self.nodes
    }

    /// out ← value(reading, node, shift), row by row.
    fn rows(&self, out: &mut [f64], value: impl Fn(usize, usize, usize) -> f64 + Sync) {
        for (k, (out, &shift)) in out.chunks_exact_mut(self.nodes).zip(&self.shifts).enumerate() {
            let row = k * self.nodes;
            let one = |(node, out): (usize, &mut f64)| *out = value(row + node, node, shift);
            out.par_iter_mut().with_min_len(NODES).enumerate().for_each(one);
        }
    }
}

impl Model<f64> for Ring {
    fn dim(&self) -> usize {
        self.nodes
    }
    fn output_dim(&self) -> usize {
        self.data.len()
    }
    fn evaluate(&self, x: &[f64], out: &mut [f64]) {
        self.rows(out, |row, node, shift| x[node] + 0.5 * (3.0 * x[self.other(node, shift)]).sin() - self.data[row]);
    }
    fn linearize<'a>(&'a self, x: &'a [f64]) -> impl Linearization<f64> + 'a {
        let mut outputs = vec![0.0; self.data.len()];
        self.evaluate(x, &mut outputs);
        let slopes = x.par_iter().map(|x| 1.5 * (3.0 * x).cos()).collect();
        Here { ring: self, slopes, outputs }
    }
}

/// The ring at a point, linearised.
struct Here<'a> {
    ring: &'a Ring,
    /// ³⁄₂ cos(3xⱼ).
    slopes: Vec<f64>,
    outputs: Vec<f64>,
}

impl LinearMap<f64> for Here<'_> {
    fn rows(&self) -> usize {
        self.outputs.len()
    }
    fn columns(&self) -> usize {
        self.ring.nodes
    }
    fn apply(&self, v: &[f64], out: &mut [f64]) {
        self.ring.rows(out, |_, node, shift| {
            let other = self.ring.other(node, shift);
            v[node] + self.slopes[other] * v[other]
        });
    }
    fn apply_transpose(&self, u: &[f64], out: &mut [f64]) {
        let one = |(node, out): (usize, &mut f64)| {
            let (mut own, mut others) = (0.0, 0.0);
            for (u, &shift) in u.chunks_exact(self.ring.nodes).zip(&self.ring.shifts) {
                own += u[node];
                others += u[self.ring.disturbed(node, shift)];
            }
            *out = own + self.slopes[node] * others;
        };
        out.par_iter_mut().with_min_len(NODES).enumerate().for_each(one);
    }
    fn column_norms(&self, out: &mut [f64]) -> bool {
        let readings = self.ring.shifts.len() as f64;
        out.par_iter_mut().zip(&self.slopes).for_each(|(out, slope)| *out = (readings * (1.0 + slope * slope)).sqrt());
        true
    }
}

impl Linearization<f64> for Here<'_> {
    fn outputs(&self) -> &[f64] {
        &self.outputs
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let &Arguments { parameters: n, readings, noise, json } = arguments;
    if n == 0 || readings == 0 || !(noise >= 0.0 && noise.is_finite()) {
        return Err("parameters and readings must be at least 1, the noise at least 0 and finite".into());
    }
    let (ring, truth) = Ring::new(n, readings, noise);
    let m = ring.output_dim();
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {elapsed} {msg}")?);
    let fit = LeastSquares::new(ring);
    let report = LevenbergMarquardt::default().minimize_with(&fit, &vec![0.0; n], |progress| {
        bar.set_message(format!("iteration {}: ½‖r‖² {:.6e}", progress.iteration, progress.value));
        bar.tick();
        ControlFlow::Continue(())
    })?;
    bar.finish_and_clear();
    let squares: f64 = report.x.iter().zip(&truth).map(|(x, truth)| (x - truth) * (x - truth)).sum();
    let error = (squares / n as f64).sqrt();
    let counts = report.counts;
    if json {
        let result = json!({
            "parameters": n,
            "outputs": m,
            "value": report.value,
            "products": counts.products + counts.transpose_products,
            "residuals": counts.values,
            "iterations": report.iterations(),
            "seconds": report.seconds,
            "error": error,
            "numbers": report.memory_numbers,
            "termination": report.termination.to_string(),
        });
        println!("{result}");
    } else {
        println!("{n} parameters, {m} residuals\n{report:#}");
        println!("root mean square error of the parameters {error:.3e} for noise of {noise:.3e}");
    }
    Ok(())
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
