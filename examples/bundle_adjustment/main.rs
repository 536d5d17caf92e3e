//! Bundle adjustment: cameras and points from where the points are seen.
//!
//! The file is in the format of "Bundle adjustment in the large" (<https://grail.cs.washington.edu/projects/bal/>); without
//! one, three cameras and seven points of the Dubrovnik set are adjusted, or a loop is made up.
//!
//! ```sh
//! cargo run --release --bin bundle_adjustment
//! cargo run --release --bin bundle_adjustment -- problem-21-11315-pre.txt --picture cameras.svg
//! cargo run --release --bin bundle_adjustment -- --generate 200,60000
//! ```
//!
//! The points are eliminated: given the cameras, each is found by itself, and what is solved for is nine numbers a camera.
//! `--no-eliminate` has the same found by conjugate gradients on all numbers at once.

mod bal;
mod camera;
mod picture;
mod synthetic;

use std::error::Error;
use std::fs::{self, File};
use std::io::BufWriter;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use newton_krylov::{
    InnerSolver, LeastSquares, LeastSquaresReport, LevenbergMarquardt, Model, Stopping,
    losses::{Huber, RobustLoss},
    operators::BlockStructure,
};
use serde_json::json;

use bal::Problem;
use camera::{CAMERA, POINT, reprojection};

/// What is adjusted without a file.
const DUBROVNIK: &str = include_str!("../../tests/data/dubrovnik-3-7-pre.txt");

/// Adjust cameras and points.
#[derive(Parser)]
struct Arguments {
    /// A problem in the format of "Bundle adjustment in the large"
    file: Option<PathBuf>,
    /// Make up a loop of cameras and so many points around it instead
    #[arg(long, value_name = "CAMERAS,POINTS", value_parser = sizes, conflicts_with = "file")]
    generate: Option<(usize, usize)>,
    /// Seed of what is made up
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Eliminate the points (the default)
    #[arg(long, overrides_with = "no_eliminate")]
    eliminate: bool,
    /// Solve for cameras and points at once
    #[arg(long)]
    no_eliminate: bool,
    /// How the linear systems are solved
    #[arg(long, value_enum, default_value_t = Path::Automatic)]
    inner: Path,
    /// End when a step lowers the value by at most this share
    #[arg(long, default_value_t = 1e-6, value_parser = share)]
    tolerance: f64,
    /// Steps at most
    #[arg(long, default_value_t = 200)]
    iterations: usize,
    /// Let errors beyond so many pixels count linearly (Huber)
    #[arg(long, value_name = "PIXELS")]
    huber: Option<f64>,
    /// Threads; by default as many as there are processors
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Write the problem to this file, as it is at the start
    #[arg(long)]
    write: Option<PathBuf>,
    /// Draw cameras and points before and after to this file, as SVG
    #[arg(long)]
    picture: Option<PathBuf>,
    /// Print the result as one line of JSON, last on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Path {
    /// What is expected to cost less
    Automatic,
    /// Conjugate gradients
    Implicit,
    /// The reduced matrix, formed and factorised
    Explicit,
}

fn sizes(text: &str) -> Result<(usize, usize), String> {
    let parts: Result<Vec<usize>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    match parts.as_deref() {
        Ok(&[cameras @ 2..=100_000, points @ 10..=100_000_000]) => Ok((cameras, points)),
        _ => Err("from 2 to 100,000 cameras and from 10 to 100,000,000 points are needed, such as 200,60000".into()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("a number from 0 to 1 is needed".into()),
    }
}

fn read(arguments: &Arguments) -> Result<Problem, Box<dyn Error>> {
    let Some(path) = &arguments.file else {
        return Ok(match arguments.generate {
            Some((cameras, points)) => synthetic::generate(cameras, points, arguments.seed),
            None => Problem::parse("dubrovnik-3-7-pre.txt", DUBROVNIK)?,
        });
    };
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    Ok(Problem::parse(&name, &text)?)
}

fn minimize<M: Model<f64>, L: RobustLoss>(
    arguments: &Arguments,
    fit: &LeastSquares<f64, M, L>,
    x0: &[f64],
) -> newton_krylov::Result<LeastSquaresReport<f64>> {
    let stopping =
        Stopping { decrease: arguments.tolerance, max_iterations: arguments.iterations, ..Stopping::default() };
    let inner = match arguments.inner {
        Path::Automatic => InnerSolver::Automatic,
        Path::Implicit => InnerSolver::Krylov,
        Path::Explicit => InnerSolver::Dense,
    };
    let solver = LevenbergMarquardt { stopping, inner, ..LevenbergMarquardt::default() };
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {msg}").expect("valid"));
    let report = solver.minimize_with(fit, x0, |progress| {
        bar.set_message(format!("step {}: {:.6e}", progress.iteration, progress.value));
        bar.tick();
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    report
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    if let Some(threads) = arguments.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
    }
    let problem = read(arguments)?;
    if let Some(path) = &arguments.write {
        let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
        problem.write(&mut BufWriter::new(file))?;
    }
    let started = Instant::now();
    let mut structure = BlockStructure::new();
    let cameras = structure.parameters(problem.cameras, CAMERA)?;
    let points = structure.parameters(problem.points, POINT)?;
    for seen in &problem.observations {
        structure.residual(2, &[cameras.start + seen.camera, points.start + seen.point])?;
    }
    if !arguments.no_eliminate {
        structure.eliminate(points)?;
    }
    let observations = &problem.observations;
    let model = structure.model(|i, x, r, jacobian| reprojection(x, observations[i].seen, r, jacobian));
    let fit = LeastSquares::new(model);
    let x0 = &problem.parameters;
    let report = match arguments.huber {
        None => minimize(arguments, &fit, x0)?,
        Some(pixels) => minimize(arguments, &fit.with_loss(Huber::new(pixels)?, 2)?, x0)?,
    };
    let seconds = started.elapsed().as_secs_f64();
    println!("{} cameras, {} points, {} observations", problem.cameras, problem.points, observations.len());
    println!("{report:#}");
    let rms = (report.residual.iter().map(|r| r * r).sum::<f64>() / observations.len() as f64).sqrt();
    println!("error           {rms:.4} pixels (root of the mean square)");
    if let Some(path) = &arguments.picture {
        picture::draw(path, &problem, x0, &report.x).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if arguments.json {
        let counts = report.counts;
        let line = json!({
            "value": report.value,
            "initial_value": report.initial_value,
            "products": counts.products + counts.transpose_products,
            // Without elimination as with it, an inner iteration is one product of either kind.
            "inner_iterations": counts.products,
            "residuals": counts.values,
            "jacobians": counts.gradients,
            "iterations": report.history.len(),
            "seconds": seconds,
            "termination": report.termination.to_string(),
            "rms_pixels": rms,
            "cameras": problem.cameras,
            "points": problem.points,
            "observations": observations.len(),
        });
        println!("{line}");
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
