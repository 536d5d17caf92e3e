//! Optimises a pose graph, the core of simultaneous localisation and mapping: where was the robot, given noisy
//! measurements from pose to pose?
//!
//!   cargo run --release --bin pose_graph -- [FILE.g2o] --picture graph.svg --json
//!
//! Without a file it takes a small graph of the plane from tests/data. The first pose is fixed. f = ½ Σ eᵀΩe over the
//! edges; geometry.rs has e. The normal equations are solved by a sparse Cholesky factor, which the solver chooses by
//! itself.
//!
//! Minima that Levenberg and Marquardt's method reaches from the poses in the files, chi² = 2f, to all digits also those of
//! Ceres with the same errors (benches/peers/pose_graph.py):
//!
//! | file | poses | edges | chi² at the start | chi² at the minimum |
//! | --- | --- | --- | --- | --- |
//! | input_M3500_g2o.g2o | 3500 | 5453 | 2.566668e6 | 137.9129509 |
//! | sphere2500.g2o | 2500 | 4949 | 2.584606e6 | 1351.215697 |
//!
//! With the isotropic weights of Rosen, Carlone, Bandeira & Leonard, "SE-Sync" (Int. J. Robot. Res. 38 (2019)), chi² is
//! their objective, whose global minimum on sphere2500 they certify as 1.687e3; it is reached as well: 1687.006
//! (tests/least_squares/pose_graph.rs). Other programs' numbers for these files differ by a factor of 2 or 4, by the
//! error of a rotation, or by leaving the information matrices out.

mod chordal;
mod file;
mod geometry;
mod optimise;
mod picture;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use file::{Contents, Graph};
use geometry::Pose;
use indicatif::{ProgressBar, ProgressStyle};
use newton_krylov::Stopping;
use optimise::optimise;
use serde_json::json;

/// Optimises a pose graph in g2o's or TORO's format.
#[derive(Parser)]
struct Arguments {
    /// The graph; without it a small one that is built in.
    file: Option<PathBuf>,
    /// Where the poses start.
    #[arg(long, value_enum, default_value_t = Start::File)]
    start: Start,
    /// Ends when a step lowers f by at most this share of it.
    #[arg(long, default_value_t = 1e-9)]
    tolerance: f64,
    /// Ends after so many iterations.
    #[arg(long, default_value_t = 200)]
    iterations: usize,
    /// Ends after so many seconds.
    #[arg(long)]
    seconds: Option<f64>,
    /// Draws the graph before and after to this file, as SVG.
    #[arg(long)]
    picture: Option<PathBuf>,
    /// Writes the poses found to this file, as the vertices of a g2o file numbered from 0.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Threads; all there are without it.
    #[arg(long)]
    threads: Option<u16>,
    /// Prints the result as one line of JSON, last.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Start {
    /// As in the file.
    File,
    /// From the edges alone, by the chordal relaxation: two linear problems that know no bad minima.
    Chordal,
}

const BUILT_IN: &str = include_str!("../../tests/data/w100.graph");

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    if let Some(threads) = arguments.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
    }
    let (name, text) = match &arguments.file {
        Some(path) => {
            let name = path.display().to_string();
            let text = fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
            (name, text)
        }
        None => ("w100.graph (built in)".to_string(), BUILT_IN.to_string()),
    };
    match file::read(&name, &text)? {
        Contents::Plane(graph) => solve(arguments, &name, graph),
        Contents::Space(graph) => solve(arguments, &name, graph),
    }
}

fn solve<P: Pose<N>, const N: usize>(
    arguments: &Arguments,
    name: &str,
    mut graph: Graph<P, N>,
) -> Result<(), Box<dyn std::error::Error>> {
    if arguments.start == Start::Chordal {
        let started = std::time::Instant::now();
        graph.poses = chordal::guess(&graph)?;
        println!("first guess by the chordal relaxation: {:.3} s", started.elapsed().as_secs_f64());
    }
    let stopping = Stopping {
        decrease: arguments.tolerance,
        max_iterations: arguments.iterations,
        max_time: arguments.seconds.map_or(Ok(Duration::MAX), Duration::try_from_secs_f64)?,
        ..Stopping::default()
    };
    let bar = ProgressBar::new(arguments.iterations as u64)
        .with_style(ProgressStyle::with_template("{bar:30} iteration {pos} of at most {len}, chi² {msg}")?);
    let outcome = optimise(&graph, &stopping, |progress, iteration| {
        bar.set_position(iteration as u64);
        bar.set_message(format!("{:.6e}", 2.0 * progress.value));
    })?;
    bar.finish_and_clear();
    let report = &outcome.report;

    println!("{name}: {} poses, {} edges", graph.poses.len(), graph.edges.len());
    println!("chi² {:.6e} at the start, {:.9e} at the end", 2.0 * outcome.initial_value, 2.0 * report.value);
    if outcome.restarts > 0 {
        println!("rotation vectors began anew {} times; the last run:", outcome.restarts);
    }
    println!("{report}");
    if let Some(path) = &arguments.picture {
        let [before, after] = [&graph.poses, &outcome.poses].map(|poses| poses.iter().map(Pose::position).collect());
        let edges: Vec<_> = graph.edges.iter().map(|edge| (edge.from, edge.to)).collect();
        let panels: [(&str, &Vec<[f64; 3]>); 2] = [("before", &before), ("after", &after)];
        picture::draw(path, &edges, panels.map(|(title, positions)| (title, positions.as_slice())))?;
        println!("picture: {}", path.display());
    }
    if let Some(path) = &arguments.write {
        fs::write(path, file::vertices(&outcome.poses)).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("poses: {}", path.display());
    }
    if arguments.json {
        let result = json!({
            "file": name,
            "poses": graph.poses.len(),
            "residuals": report.residual.len(),
            "parameters": report.x.len(),
            "value": report.value,
            "initial_value": outcome.initial_value,
            "chi_squared": 2.0 * report.value,
            "gradient_norm": report.gradient_norm,
            "iterations": outcome.iterations,
            "evaluations": outcome.evaluations,
            "products": outcome.products,
            "seconds": outcome.seconds,
            "termination": report.termination.to_string(),
        });
        println!("{result}");
    }
    Ok(())
}
