//! Draws landscapes of two unknowns: level sets, the unit balls of metrics, and the paths of all methods; and what a metric
//! is: two balls and the steps to them, and the same shift of a mean under two variances.
//!
//!     cargo run --release --bin gallery                      # writes gallery and metrics, .svg and .png, and prints where
//!     cargo run --release --bin gallery -- --out pictures --json
//!
//! The ball of a metric M at x is vᵀM(x)v = r² (Pierrot, Perrin-Gilbert & Sigaud, "First-order and second-order variants of
//! the gradient descent in a unified framework", figure 1); r is the same all over a panel, and chosen for each metric so
//! that its balls can be seen. Where the Hessian is not positive definite it has none. A method of a given rate has the
//! best of several, a factor of three apart, by which its path stays in the picture: what the search has cost is not
//! counted.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use clap::Parser;
use serde_json::{Map, Value, json};

mod drawing;
mod figures;
mod landscapes;
mod methods;
#[path = "../common/png.rs"]
mod png;
mod scene;

use landscapes::Landscape;
use methods::{METHODS, Run};
use scene::Scene;

/// Draws how the methods go about six landscapes of two unknowns.
#[derive(Parser)]
struct Arguments {
    /// Where the pictures go [default: `gallery` in the system's folder for temporary files]
    #[arg(long)]
    out: Option<PathBuf>,
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
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

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let out = arguments.out.clone().unwrap_or_else(|| env::temp_dir().join("gallery"));
    let failed = |path: &Path, error: &dyn Error| format!("{}: {error}", path.display());
    fs::create_dir_all(&out).map_err(|error| failed(&out, &error))?;

    let mut panels = vec![];
    for landscape in landscapes::landscapes() {
        let runs = methods::race(&landscape)?;
        print(&landscape, &runs);
        panels.push((landscape, runs));
    }
    let write = |name: &str, scene: &Scene| -> Result<[PathBuf; 2], Box<dyn Error>> {
        let files = ["svg", "png"].map(|kind| out.join(name).with_extension(kind));
        fs::write(&files[0], scene.svg()).map_err(|error| failed(&files[0], &error))?;
        scene.png(&files[1]).map_err(|error| failed(&files[1], &*error))?;
        files.iter().for_each(|file| println!("{}", file.display()));
        Ok(files)
    };
    let [svg, png] = write("gallery", &drawing::draw(&panels))?;
    let metrics = write("metrics", &figures::draw()?)?;
    if arguments.json {
        let landscapes: Map<_, _> =
            panels.iter().map(|(landscape, runs)| (landscape.name.into(), json_of(landscape, runs))).collect();
        println!("{}", json!({ "svg": svg, "png": png, "metrics": metrics, "landscapes": landscapes }));
    }
    Ok(())
}

fn print(landscape: &Landscape, runs: &[Run]) {
    println!("{}\n", landscape.title);
    println!(
        "{:<20} {:>6} {:>6} {:>7} {:>9} {:>9} {:>14}  outcome",
        "method", "rate", "steps", "values", "gradients", "products", "value"
    );
    for run in runs {
        let (report, counts) = (&run.report, run.report.counts);
        println!(
            "{:<20} {:>6} {:>6} {:>7} {:>9} {:>9} {:>14.7e}  {}",
            METHODS[run.method].0,
            run.rate.map_or("–".into(), |rate| format!("{rate:.0e}")),
            report.iterations(),
            counts.values,
            counts.gradients,
            counts.products,
            report.value,
            report.termination
        );
    }
    println!();
}

fn json_of(landscape: &Landscape, runs: &[Run]) -> Value {
    let methods = runs.iter().map(|run| {
        let (report, counts, [x, y]) = (&run.report, run.report.counts, landscape.minimum);
        json!({
            "rate": run.rate,
            "steps": report.iterations(),
            "values": counts.values,
            "gradients": counts.gradients,
            "products": counts.products,
            "value": report.value,
            "distance": (report.x[0] - x).hypot(report.x[1] - y),
            "converged": report.termination.converged(),
        })
    });
    let named: Map<_, _> = runs.iter().map(|run| METHODS[run.method].0.into()).zip(methods).collect();
    Value::Object(named)
}
