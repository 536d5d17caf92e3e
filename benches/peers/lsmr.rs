//! Linear least squares with a random sparse matrix, one line of JSON, for `lsmr.py`:
//!
//!     cargo run --release --bin sparse_linear -- [--rows 400000] [--columns 100000] [--spread 3]
//!         [--iterations 100] [--tolerance 0] [--output FILE]
//!
//! Row i has six entries in random columns, uniform in [−1, 1), and column j is scaled by 10^(−spread·uniform). All
//! numbers are those of SplitMix64 for seed 1 in the order: for each row six of (column, value), then b, then the
//! columns' scales. `lsmr.py` makes the same ones. "outside" is the time that is not spent in products.

use std::cell::Cell;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use newton_krylov::{LinearLeastSquares, linear_map};
use rayon::prelude::*;

const PER_ROW: usize = 6;

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value_t = 400_000)]
    rows: usize,
    #[arg(long, default_value_t = 100_000)]
    columns: usize,
    /// Decimal orders of magnitude between the scales of the columns.
    #[arg(long, default_value_t = 3.0)]
    spread: f64,
    #[arg(long, default_value_t = 100)]
    iterations: usize,
    /// 0 goes on to the last iteration.
    #[arg(long, default_value_t = 0.0)]
    tolerance: f64,
    /// Writes x here, as little-endian doubles.
    #[arg(long)]
    output: Option<PathBuf>,
}

/// The i-th number of SplitMix64 for seed 1.
fn random(i: usize) -> u64 {
    let mut z = 1_u64.wrapping_add((i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn uniform(i: usize) -> f64 {
    (random(i) >> 11) as f64 / (1_u64 << 53) as f64
}

/// A sparse matrix by rows.
struct Rows {
    starts: Vec<usize>,
    entries: Vec<(u32, f64)>,
}

impl Rows {
    fn times(&self, v: &[f64], out: &mut [f64]) {
        out.par_iter_mut().with_min_len(1024).enumerate().for_each(|(i, out)| {
            let row = &self.entries[self.starts[i]..self.starts[i + 1]];
            *out = row.iter().map(|&(j, a)| a * v[j as usize]).sum();
        });
    }

    fn transpose(&self, columns: usize) -> Self {
        let mut starts = vec![0; columns + 1];
        self.entries.iter().for_each(|&(j, _)| starts[j as usize + 1] += 1);
        (0..columns).for_each(|j| starts[j + 1] += starts[j]);
        let (mut next, mut entries) = (starts.clone(), vec![(0, 0.0); self.entries.len()]);
        for i in 0..self.starts.len() - 1 {
            for &(j, a) in &self.entries[self.starts[i]..self.starts[i + 1]] {
                entries[next[j as usize]] = (i as u32, a);
                next[j as usize] += 1;
            }
        }
        Rows { starts, entries }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { rows: m, columns: n, spread, iterations, tolerance, output } = Arguments::parse();
    let count = PER_ROW * m;
    let scale = |j: usize| 10.0_f64.powf(-spread * uniform(2 * count + m + j));
    let entry = |k: usize| {
        let column = (random(2 * k) % n as u64) as usize;
        (column as u32, (2.0 * uniform(2 * k + 1) - 1.0) * scale(column))
    };
    let a = Rows { starts: (0..=m).map(|i| PER_ROW * i).collect(), entries: (0..count).map(entry).collect() };
    let transposed = a.transpose(n);
    let b: Vec<f64> = (0..m).map(|i| 2.0 * uniform(2 * count + i) - 1.0).collect();

    let inside = Cell::new(0.0);
    let timed = |matrix: &Rows, v: &[f64], out: &mut [f64]| {
        let start = Instant::now();
        matrix.times(v, out);
        inside.set(inside.get() + start.elapsed().as_secs_f64());
    };
    let map = linear_map(m, n, |v: &[f64], out: &mut [f64]| timed(&a, v, out), |u, out| timed(&transposed, u, out));
    let solver = LinearLeastSquares {
        tolerance,
        condition_limit: f64::INFINITY,
        max_iterations: Some(iterations),
        ..LinearLeastSquares::default()
    };
    let start = Instant::now();
    let report = solver.solve(&map, &b)?;
    let seconds = start.elapsed().as_secs_f64();
    if let Some(path) = output {
        fs::write(path, report.x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
    }
    println!(
        "{{\"iterations\": {}, \"seconds\": {seconds:.6}, \"outside\": {:.6}, \"residual\": {:e}, \"gradient\": {:e}, \
         \"products\": {}, \"transpose_products\": {}, \"outcome\": \"{:?}\"}}",
        report.iterations,
        seconds - inside.get(),
        report.residual_norm,
        report.gradient_norm,
        report.products,
        report.transpose_products,
        report.outcome,
    );
    Ok(())
}
