//! Counts what this crate's solvers need on the Moré-Garbow-Hillstrom functions, one line of JSON a run, for `mgh.py`:
//!
//!     cargo run --release --bin count_evaluations -- [--starts 1 10 100] [--large] [--chained] [--solver NAME]
//!
//! Counted is up to and with the first gradient that satisfies ‖g‖ ≤ 1e-6 max(1, ‖g₀‖); options are the defaults.

use std::ops::ControlFlow;

use newton_krylov::problems::{ChainedRosenbrock, MoreGarbowHillstrom};
use newton_krylov::{Counts, CubicRegularization, NewtonCg, Objective, Progress, Stopping, TrustRegion};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|a| a == name);
    let after = |name: &str| arguments.iter().position(|a| a == name).map(|i| &arguments[i + 1..]);
    let starts: Vec<f64> =
        after("--starts").map_or(vec![1.0], |rest| rest.iter().map_while(|s| s.parse().ok()).collect());
    let solver = after("--solver").map_or("trust-region", |rest| rest[0].as_str());
    for &factor in &starts {
        for f in MoreGarbowHillstrom::all() {
            run(&f.to_string(), &f, &f.scaled_start(factor), factor, solver);
        }
    }
    if has("--large") {
        for f in MoreGarbowHillstrom::large() {
            run(&f.to_string(), &f, &f.start(), 1.0, solver);
        }
    }
    if has("--chained") {
        let sizes: &[usize] = if has("--long") { &[1000] } else { &[10, 50, 200] };
        for &n in sizes {
            let f = ChainedRosenbrock::new(n).unwrap();
            run(&format!("Chained Rosenbrock, n = {n}"), &f, &f.start(), 1.0, solver);
        }
    }
}

fn run(name: &str, f: &impl Objective<f64>, x0: &[f64], factor: f64, solver: &str) {
    let mut reached: Option<(Counts, f64, usize)> = None;
    let mut tolerance = f64::NAN;
    let observer = |p: &Progress<'_, f64>| {
        if p.iteration == 0 {
            tolerance = 1e-6 * p.gradient_norm.max(1.0);
        }
        if p.gradient_norm <= tolerance {
            reached = Some((p.counts, p.value, p.iteration));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    let stopping = Stopping { gradient_relative: 0.0, max_iterations: 20_000, ..Stopping::default() };
    let report = match solver {
        "newton-cg" => NewtonCg { stopping, ..NewtonCg::default() }.minimize_with(f, x0, observer),
        "cubic" => CubicRegularization { stopping, ..CubicRegularization::default() }.minimize_with(f, x0, observer),
        _ => TrustRegion { stopping, ..TrustRegion::default() }.minimize_with(f, x0, observer),
    };
    let Ok(report) = report else { return };
    let solved = reached.is_some();
    let (counts, value, iterations) = reached.unwrap_or((report.counts, report.value, report.iterations()));
    println!(
        "{{\"problem\": \"{name}\", \"n\": {}, \"start\": {factor}, \"solver\": \"{solver}\", \"values\": {}, \"gradients\": {}, \
         \"products\": {}, \"iterations\": {iterations}, \"solved\": {solved}, \"value\": {value:e}, \"termination\": \"{}\"}}",
        x0.len(),
        counts.values,
        counts.gradients,
        counts.products,
        report.termination
    );
}
