//! Optimises a pose graph, the core of simultaneous localisation and mapping: where was the robot, given noisy
//! measurements from pose to pose?
//!
//!   cargo run --release --example pose_graph -- [FILE.g2o] --picture graph.svg --json
//!
//! Without a file it takes a small graph of the plane from tests/data. The first pose is fixed. f = ½ Σ eᵀΩe over the
//! edges; geometry.rs has e.

mod file;
mod geometry;
mod picture;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use file::{Contents, Graph};
use geometry::Pose;
use indicatif::{ProgressBar, ProgressStyle};
use newton_krylov::{BlockStructure, LeastSquares, LevenbergMarquardt, Model, Stopping};
use serde_json::json;

/// Optimises a pose graph in g2o's or TORO's format.
#[derive(Parser)]
struct Arguments {
    /// The graph; without it a small one that is built in.
    file: Option<PathBuf>,
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
    /// Prints the result as one line of JSON, last.
    #[arg(long)]
    json: bool,
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
    let (name, text) = match &arguments.file {
        Some(path) => {
            let name = path.display().to_string();
            let text = fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
            (name, text)
        }
        None => ("w100.graph (built in)".to_string(), BUILT_IN.to_string()),
    };
    match file::read(&name, &text)? {
        Contents::Plane(graph) => optimise(arguments, &name, graph),
        Contents::Space(graph) => optimise(arguments, &name, graph),
    }
}

/// The problem: one parameter block a pose, but for the first, and one residual block an edge, U e with UᵀU = Ω.
fn model<P: Pose<N>, const N: usize>(graph: &Graph<P, N>) -> newton_krylov::Result<impl Model<f64>> {
    let mut structure = BlockStructure::new();
    structure.parameters(graph.poses.len() - 1, N)?;
    for edge in &graph.edges {
        let touched: Vec<usize> = [edge.from, edge.to].iter().filter_map(|pose| pose.checked_sub(1)).collect();
        structure.residual(N, &touched)?;
    }
    Ok(structure.model(move |k, x: &[f64], r, jacobian| {
        let edge = &graph.edges[k];
        let (from, to) = (&graph.poses[edge.from], &graph.poses[edge.to]);
        let (fixed_from, fixed_to) = (from.parameters(), to.parameters());
        // The first pose is not among the parameters.
        let split = if edge.from == 0 { 0 } else { N };
        let own = if edge.from == 0 { &fixed_from } else { &x[..N] };
        let other = if edge.to == 0 { &fixed_to } else { &x[split..] };
        let (mut by_own, mut by_other) = ([[0.0; N]; N], [[0.0; N]; N]);
        let derivatives = jacobian.is_some().then_some((&mut by_own, &mut by_other));
        let error = from.at(own).error(own, &to.at(other), other, &edge.measured, derivatives);
        let weigh = |i: usize, of: &dyn Fn(usize) -> f64| (i..N).map(|l| edge.root[i][l] * of(l)).sum::<f64>();
        for i in 0..N {
            r[i] = weigh(i, &|l| error[l]);
        }
        if let Some(jacobian) = jacobian {
            let columns = x.len();
            for i in 0..N {
                for j in 0..N {
                    if edge.from != 0 {
                        jacobian[i * columns + j] = weigh(i, &|l| by_own[l][j]);
                    }
                    if edge.to != 0 {
                        jacobian[i * columns + split + j] = weigh(i, &|l| by_other[l][j]);
                    }
                }
            }
        }
    }))
}

fn optimise<P: Pose<N>, const N: usize>(
    arguments: &Arguments,
    name: &str,
    graph: Graph<P, N>,
) -> Result<(), Box<dyn std::error::Error>> {
    let fit = LeastSquares::new(model(&graph)?);
    let x0: Vec<f64> = graph.poses[1..].iter().flat_map(|pose| pose.parameters()).collect();
    let solver = LevenbergMarquardt {
        stopping: Stopping {
            decrease: arguments.tolerance,
            max_iterations: arguments.iterations,
            max_time: arguments.seconds.map(Duration::try_from_secs_f64).transpose()?,
            ..Stopping::default()
        },
        ..LevenbergMarquardt::default()
    };
    let bar = ProgressBar::new(arguments.iterations as u64)
        .with_style(ProgressStyle::with_template("{bar:30} iteration {pos} of at most {len}, chi² {msg}")?);
    let report = solver.minimize_with(&fit, &x0, |progress| {
        bar.set_position(progress.iteration as u64);
        bar.set_message(format!("{:.6e}", 2.0 * progress.value));
        std::ops::ControlFlow::Continue(())
    })?;
    bar.finish_and_clear();

    println!("{name}: {} poses, {} edges", graph.poses.len(), graph.edges.len());
    println!("chi² {:.6e} at the start, {:.9e} at the end", 2.0 * report.initial_value, 2.0 * report.value);
    println!("{report}");
    if let Some(path) = &arguments.picture {
        let before: Vec<_> = graph.poses.iter().map(Pose::position).collect();
        let moved = graph.poses[1..].iter().zip(report.x.chunks_exact(N)).map(|(pose, x)| pose.at(x).position());
        let after: Vec<_> = before[..1].iter().copied().chain(moved).collect();
        let edges: Vec<_> = graph.edges.iter().map(|edge| (edge.from, edge.to)).collect();
        picture::draw(path, &edges, [("before", &before), ("after", &after)])?;
        println!("{}", saved(path));
    }
    if arguments.json {
        let counts = report.counts;
        let result = json!({
            "file": name,
            "poses": graph.poses.len(),
            "residuals": report.residual.len(),
            "parameters": report.x.len(),
            "value": report.value,
            "initial_value": report.initial_value,
            "chi_squared": 2.0 * report.value,
            "gradient_norm": report.gradient_norm,
            "iterations": report.iterations(),
            "evaluations": counts.residuals,
            "products": counts.products + counts.transpose_products,
            "seconds": report.seconds,
            "termination": report.termination.to_string(),
        });
        println!("{result}");
    }
    Ok(())
}

fn saved(path: &Path) -> String {
    format!("picture: {}", path.display())
}
