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
use newton_krylov::{BlockStructure, LevenbergMarquardt, LeastSquares, Model, Stopping};
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
