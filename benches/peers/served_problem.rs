//! Minimises a function that another process evaluates, for `cutest.py`:
//!
//!     served_problem [--solver trust-region|newton-cg|cubic|lbfgs] [--inner auto|krylov|dense] [--history]
//!
//! All numbers are little-endian. Standard input begins with n (u64) and the start (n doubles). A request on standard
//! output is one letter and its vectors: `v` x for the value, `g` x for the gradient, `p` x v for the Hessian product; the
//! solution are one double or n of them. Last come `r`, x, and the report as one line of JSON. With --history the
//! iterations are written to standard error.

use std::cell::RefCell;
use std::io::{self, Read, Write};

use clap::{Parser, ValueEnum};
use newton_krylov::{CubicRegularization, InnerSolver, Lbfgs, NewtonCg, Report, Result, TrustRegion, objective};

#[derive(Clone, Copy, ValueEnum)]
enum Solver {
    TrustRegion,
    NewtonCg,
    Cubic,
    Lbfgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum Path {
    Auto,
    Krylov,
    Dense,
}

#[derive(Parser)]
struct Arguments {
    #[arg(long, value_enum, default_value_t = Solver::TrustRegion)]
    solver: Solver,
    #[arg(long, value_enum, default_value_t = Path::Auto)]
    inner: Path,
    /// Write the iterations to standard error.
    #[arg(long)]
    history: bool,
}

/// The process on the other side.
struct Peer {
    input: io::StdinLock<'static>,
    output: io::StdoutLock<'static>,
}

impl Peer {
    fn send(&mut self, letter: u8, vectors: &[&[f64]]) {
        let numbers = vectors.iter().flat_map(|v| v.iter());
        let message: Vec<u8> = [letter].into_iter().chain(numbers.flat_map(|x| x.to_le_bytes())).collect();
        self.output.write_all(&message).and_then(|()| self.output.flush()).unwrap_or_else(|e| hung_up(&e));
    }

    fn receive(&mut self, out: &mut [f64]) {
        let mut bytes = [0; 8];
        for out in out {
            self.input.read_exact(&mut bytes).unwrap_or_else(|e| hung_up(&e));
            *out = f64::from_le_bytes(bytes);
        }
    }
}

fn hung_up(error: &io::Error) -> ! {
    eprintln!("the other process hung up: {error}");
    std::process::exit(1);
}

fn main() {
    let arguments = Arguments::parse();
    let mut peer = Peer { input: io::stdin().lock(), output: io::stdout().lock() };
    let mut bytes = [0; 8];
    peer.input.read_exact(&mut bytes).unwrap_or_else(|e| hung_up(&e));
    let mut start = vec![0.0; u64::from_le_bytes(bytes) as usize];
    peer.receive(&mut start);

    let peer = RefCell::new(peer);
    let ask = |letter: u8, vectors: &[&[f64]], out: &mut [f64]| {
        let mut peer = peer.borrow_mut();
        peer.send(letter, vectors);
        peer.receive(out);
    };
    let value = |x: &[f64]| {
        let mut value = [0.0];
        ask(b'v', &[x], &mut value);
        value[0]
    };
    let f = objective(
        start.len(),
        value,
        |x: &[f64], g: &mut [f64]| ask(b'g', &[x], g),
        |x: &[f64], v: &[f64], hv: &mut [f64]| ask(b'p', &[x, v], hv),
    );
    let inner = match arguments.inner {
        Path::Auto => InnerSolver::Automatic,
        Path::Krylov => InnerSolver::Krylov,
        Path::Dense => InnerSolver::Dense,
    };
    let report: Result<Report<f64>> = match arguments.solver {
        Solver::TrustRegion => TrustRegion { inner, ..TrustRegion::default() }.minimize(&f, &start),
        Solver::NewtonCg => NewtonCg::default().minimize(&f, &start),
        Solver::Cubic => CubicRegularization { inner, ..CubicRegularization::default() }.minimize(&f, &start),
        Solver::Lbfgs => Lbfgs::default().minimize(&f, &start),
    };
    let line = match &report {
        Ok(report) => serde_json::json!({
            "termination": report.termination.to_string(),
            "converged": report.termination.converged(),
            "value": report.value,
            "gradient_norm": report.gradient_norm,
            "iterations": report.iterations(),
            "values": report.counts.values,
            "gradients": report.counts.gradients,
            "products": report.counts.products,
        }),
        Err(error) => serde_json::json!({ "error": error.to_string() }),
    };
    if let (true, Ok(report)) = (arguments.history, &report) {
        for (i, iteration) in report.history.iter().enumerate() {
            eprintln!("{:4} {iteration:?}", i + 1);
        }
    }
    let mut peer = peer.borrow_mut();
    peer.send(b'r', &[report.as_ref().map_or(&start[..], |report| &report.x[..])]);
    writeln!(peer.output, "{line}").unwrap_or_else(|e| hung_up(&e));
}
