//! Minimises a Ginzburg–Landau energy on a cube: −Δu + κ(u³ − u) = f, for example with a million unknowns.
//!
//!     cargo run --release --bin pde_energy                                # 20³ points
//!     cargo run --release --bin pde_energy -- --points 100
//!     cargo run --release --bin pde_energy -- --points 100 --memory 20    # little more than conjugate gradients
//!     cargo run --release --bin pde_energy -- --coupling 200              # several minima; the Hessian is indefinite

#[path = "common/second_order.rs"]
mod second_order;

use std::cell::Cell;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use newton_krylov::problems::GinzburgLandau;
use newton_krylov::{
    CubicRegularization, Expansion, InnerSolver, Memory, NewtonCg, Objective, Report, SymmetricOperator, TrustRegion,
};

use second_order::Solver;

/// The largest N for which N³ is still a sensible number of unknowns.
const MOST_POINTS: usize = 1000;

/// Minimises a Ginzburg-Landau energy on a cube.
#[derive(Parser)]
struct Options {
    /// Inner points along each edge of the cube.
    #[arg(long, default_value_t = 20, value_parser = points)]
    points: usize,
    /// The factor of u³ − u in the equation.
    #[arg(long, default_value_t = 10.0, value_parser = coupling, allow_negative_numbers = true)]
    coupling: f64,
    #[arg(long, value_enum, default_value_t = Solver::TrustRegion)]
    solver: Solver,
    /// Vectors that may be stored; without it as many as 64 MiB hold.
    #[arg(long, value_name = "VECTORS", value_parser = whole)]
    memory: Option<usize>,
    /// Remembers no curvature between outer iterations.
    #[arg(long, requires = "memory")]
    forgetful: bool,
    /// Stops at ‖gradient‖ ≤ tolerance × ‖gradient at zero‖.
    #[arg(long, default_value_t = 1e-6, value_parser = tolerance, allow_negative_numbers = true)]
    tolerance: f64,
    /// Reports every iteration.
    #[arg(long)]
    history: bool,
    /// Ends with a line of JSON.
    #[arg(long)]
    json: bool,
}

impl Options {
    fn memory(&self) -> Memory {
        match self.memory {
            None => Memory::Automatic,
            Some(vectors) if self.forgetful => Memory::Forgetful(vectors),
            Some(vectors) => Memory::Vectors(vectors),
        }
    }
}

fn whole(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&number| number > 0).ok_or("a positive whole number is needed".into())
}

fn points(text: &str) -> Result<usize, String> {
    whole(text).ok().filter(|&n| n <= MOST_POINTS).ok_or(format!("a whole number from 1 to {MOST_POINTS} is needed"))
}

fn coupling(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|v: &f64| *v >= 0.0 && v.is_finite()).ok_or("a number of at least 0 is needed".into())
}

fn tolerance(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|v| (f64::MIN_POSITIVE..1.0).contains(v))
        .ok_or("a number between 0 and 1 is needed".into())
}

fn main() -> ExitCode {
    match solve(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the solver converged.
fn solve(options: &Options) -> newton_krylov::Result<bool> {
    let energy = GinzburgLandau::<f64>::discrete(options.points, options.coupling)?;
    let dim = energy.dim();
    let gigabytes = |vectors: usize| 1e-9 * (vectors * dim * size_of::<f64>()) as f64;
    println!("{0}³ points = {dim} unknowns, coupling {1}", options.points, options.coupling);
    let estimate = match options.solver {
        Solver::TrustRegion => {
            TrustRegion { memory: options.memory(), ..Default::default() }.memory_vectors::<f64>(dim)
        }
        Solver::NewtonCg => NewtonCg { memory: options.memory(), ..Default::default() }.memory_vectors::<f64>(dim),
        Solver::Cubic => {
            CubicRegularization { memory: options.memory(), ..Default::default() }.memory_vectors::<f64>(dim)
        }
    };
    println!("memory, at most {estimate} vectors = {:.3} GB\n", gigabytes(estimate));

    let timed = Timed { inner: &energy, clock: &Cell::default() };
    let (inner, memory) = (InnerSolver::Automatic, options.memory());
    let report = options.solver.minimize(options.tolerance, inner, memory, &timed, &energy.start())?;
    if options.history {
        println!("{report:#}\n");
    } else {
        println!("{report}\n");
    }
    let inside = timed.clock.get().as_secs_f64();
    println!(
        "energy, time    {inside:.3} s in values, gradients and products, {:.3} s outside",
        report.seconds - inside
    );
    println!("memory          {:.3} GB", gigabytes(report.memory_vectors()));
    let error = error_against_truth(&energy, &report);
    println!("error           {:.3e} of the solution's largest value, {:.6e} of energy", error.relative, error.energy);
    if options.json {
        println!("{}", json(options, &report, &error, inside));
    }
    Ok(report.termination.converged())
}

/// Measures the time in values, gradients and products.
struct Timed<'c, O> {
    inner: O,
    clock: &'c Cell<Duration>,
}

impl<O> Timed<'_, O> {
    fn time<R>(&self, call: impl FnOnce(&O) -> R) -> R {
        let start = Instant::now();
        let result = call(&self.inner);
        self.clock.set(self.clock.get() + start.elapsed());
        result
    }
}

impl<O: Objective<f64>> Objective<f64> for Timed<'_, O> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn value(&self, x: &[f64]) -> f64 {
        self.time(|f| f.value(x))
    }
    fn expand<'a>(&'a self, x: &'a [f64]) -> impl Expansion<f64> + 'a {
        // To expand this energy is no work.
        Timed { inner: self.inner.expand(x), clock: self.clock }
    }
}

impl<E: SymmetricOperator<f64>> SymmetricOperator<f64> for Timed<'_, E> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn apply(&self, v: &[f64], out: &mut [f64]) {
        self.time(|m| m.apply(v, out));
    }
}

impl<E: Expansion<f64>> Expansion<f64> for Timed<'_, E> {
    fn value(&self) -> f64 {
        self.time(|f| f.value())
    }
    fn gradient(&self, out: &mut [f64]) {
        self.time(|f| f.gradient(out));
    }
}

/// How far the answer is from the solution that f was made for. Beyond a coupling of about 30 there are other minima,
/// some of them lower.
struct Error {
    /// max |u − u*| / max |u*|.
    relative: f64,
    /// E(u) − E(u*).
    energy: f64,
}

fn error_against_truth(energy: &GinzburgLandau<f64>, report: &Report<f64>) -> Error {
    let truth = energy.truth();
    let largest = truth.iter().fold(0.0, |m: f64, u| m.max(u.abs()));
    let difference = report.x.iter().zip(&truth).fold(0.0, |m: f64, (u, v)| m.max((u - v).abs()));
    Error { relative: difference / largest, energy: report.value - energy.expand(&truth).value() }
}

fn json(options: &Options, report: &Report<f64>, error: &Error, inside: f64) -> serde_json::Value {
    serde_json::json!({
        "solver": options.solver.name(),
        "points": options.points,
        "coupling": options.coupling,
        "value": report.value,
        "gradient_norm": report.gradient_norm,
        "relative_gradient": report.gradient_norm / report.initial_gradient_norm,
        "values": report.counts.values,
        "gradients": report.counts.gradients,
        "products": report.counts.products,
        "iterations": report.iterations(),
        "seconds": report.seconds,
        "seconds_inside": inside,
        "memory_vectors": report.memory_vectors(),
        "error": error.relative,
        "termination": report.termination.to_string(),
    })
}
