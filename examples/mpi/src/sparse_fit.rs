//! Nonlinear least squares with many parameters, whose residual rows are dealt out over the ranks.
//!
//! rₖⱼ = xⱼ + ½ sin 3xⱼ₊ₛ₍ₖ₎ − yₖⱼ on a ring of n nodes, for so many readings k; every rank has some of the readings and all
//! parameters. A product with Jᵀ is summed over the ranks, n numbers; of residuals only norms are.
//!
//! ```sh
//! mpirun -n 2 target/release/sparse_fit --parameters 100000
//! ```

use std::process::ExitCode;
use std::rc::Rc;

use clap::Parser;
use newton_krylov::{
    LeastSquares, LevenbergMarquardt, model,
    random::SplitMix64,
    ranks::{Slices, Summed, check_equal, distributed},
};
use ranks::{Mpi, run};
use serde_json::json;

#[derive(Parser)]
struct Arguments {
    /// Nodes of the ring
    #[arg(long, default_value_t = 20_000)]
    parameters: usize,
    /// Readings of every node
    #[arg(long, default_value_t = 12)]
    readings: usize,
    /// Standard deviation of the noise
    #[arg(long, default_value_t = 1e-3)]
    noise: f64,
}

fn solve(ranks: Rc<Mpi>, arguments: &Arguments) -> Result<(), String> {
    let &Arguments { parameters: n, readings, noise } = arguments;
    check_equal(&*ranks, "the options", &[n as f64, readings as f64, noise]).map_err(|e| e.to_string())?;
    if n < 2 {
        return Err("at least 2 parameters are needed".into());
    }
    let mine = ranks.part(readings, "readings")?;
    let shifts: Vec<usize> = mine.clone().map(|k| 1 + (k as f64 * 0.618_034 * n as f64) as usize % (n - 1)).collect();
    let mut random = SplitMix64::new(1);
    let truth: Vec<f64> = (0..n).map(|_| 2.0 * random.uniform() - 1.0).collect();
    let residual = |x: &[f64], y: &[f64], r: &mut [f64]| {
        for (k, shift) in shifts.iter().enumerate() {
            for j in 0..n {
                let row = k * n + j;
                r[row] = x[j] + 0.5 * (3.0 * x[(j + shift) % n]).sin() - y.get(row).unwrap_or(&0.0);
            }
        }
    };
    let mut y = vec![0.0; shifts.len() * n];
    residual(&truth, &[], &mut y);
    // Each reading has a seed of its own, whoever has the reading.
    for (y, k) in y.chunks_exact_mut(n).zip(mine) {
        let mut random = SplitMix64::new(k as u64 + 2);
        y.iter_mut().for_each(|y| *y += noise * random.normal());
    }
    let slope = |x: f64| 1.5 * (3.0 * x).cos();
    let local = model(
        y.len(),
        n,
        |x: &[f64], r: &mut [f64]| residual(x, &y, r),
        |x: &[f64], v: &[f64], jv: &mut [f64]| {
            for (k, shift) in shifts.iter().enumerate() {
                for j in 0..n {
                    let other = (j + shift) % n;
                    jv[k * n + j] = v[j] + slope(x[other]) * v[other];
                }
            }
        },
        |x: &[f64], u: &[f64], jtu: &mut [f64]| {
            jtu.fill(0.0);
            for (k, shift) in shifts.iter().enumerate() {
                for j in 0..n {
                    let (other, u) = ((j + shift) % n, u[k * n + j]);
                    jtu[j] += u;
                    jtu[other] += slope(x[other]) * u;
                }
            }
        },
    );
    let fit = LeastSquares::new(Summed::new(ranks.clone(), local));
    let solver = LevenbergMarquardt::default();
    let report = distributed(ranks.clone(), Slices::Residuals, || solver.minimize(&fit, &vec![0.0; n]))
        .map_err(|e| e.to_string())?;
    if ranks.talks() {
        let squares: f64 = report.x.iter().zip(&truth).map(|(x, truth)| (x - truth).powi(2)).sum();
        let counts = report.counts;
        let last = json!({
            "ranks": newton_krylov::ranks::Communicator::size(&*ranks),
            "value": report.value,
            "values": counts.values,
            "products": counts.products,
            "transpose_products": counts.transpose_products,
            "iterations": report.iterations(),
            "reductions": report.reductions,
            "termination": report.termination.to_string(),
            "error": (squares / n as f64).sqrt(),
            "seconds": report.seconds,
        });
        println!("{report}\n{last}");
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    run(|ranks| solve(ranks, &arguments))
}
