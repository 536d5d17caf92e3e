//! The spectrum of a Hessian at a minimum: its ends, its density, and what a damping leaves free.
//!
//!     cargo run --release --bin spectrum                                      # logistic regression, heart_scale
//!     cargo run --release --bin spectrum -- a9a --picture spectrum.svg
//!     cargo run --release --bin spectrum -- --pde 40 --picture spectrum.svg       # a Ginzburg-Landau energy, 64,000 unknowns

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use newton_krylov::problems::{GinzburgLandau, LogisticRegression, parse_libsvm, read_libsvm_file};
use newton_krylov::spectrum::{End, Estimate, Lanczos, Spectrum, StochasticQuadrature, trace, trace_hutch_plus_plus};
use newton_krylov::{Objective, Report, SymmetricOperator, TrustRegion, operator};
use plotters::prelude::*;
use serde_json::json;

/// The spectrum of a Hessian at a minimum.
#[derive(Parser)]
struct Options {
    /// A set in LIBSVM format for logistic regression; without it, the heart_scale set that comes along
    #[arg(conflicts_with = "pde")]
    path: Option<PathBuf>,
    /// Instead, a Ginzburg-Landau energy on a cube with so many inner points along each edge
    #[arg(long, value_name = "POINTS", value_parser = clap::value_parser!(u64).range(1..=200))]
    pde: Option<u64>,
    /// The weight C of the losses in logistic regression
    #[arg(long, default_value_t = 1.0)]
    c: f64,
    /// Eigenpairs at the upper end
    #[arg(long, default_value_t = 5)]
    count: usize,
    /// Random vectors for traces and the density
    #[arg(long, default_value_t = 10)]
    probes: usize,
    /// Lanczos steps for each of them
    #[arg(long, default_value_t = 90)]
    steps: usize,
    /// Fixes all random numbers
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Draws the density into this file, as SVG
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// End with a line of JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    if let Some(points) = options.pde {
        let energy = GinzburgLandau::<f64>::continuous(points as usize, 10.0)?;
        return examine(options, &format!("Ginzburg-Landau energy, {points}^3 points"), &energy, &energy.start());
    }
    let set = match &options.path {
        Some(path) => read_libsvm_file(path)?,
        None => parse_libsvm(include_str!("../tests/data/heart_scale"))?,
    };
    let name = options.path.as_ref().map_or("heart_scale".into(), |path| path.display().to_string());
    let problem = LogisticRegression::from_labeled(set, options.c)?;
    let start = vec![0.0; problem.dim()];
    examine(options, &format!("logistic regression, {name}, C = {}", options.c), &problem, &start)
}

/// Minimises, and looks at the Hessian there.
fn examine(
    options: &Options,
    name: &str,
    objective: &impl Objective<f64>,
    start: &[f64],
) -> Result<(), Box<dyn Error>> {
    let report: Report<f64> = TrustRegion::default().minimize(objective, start)?;
    if !report.termination.converged() {
        return Err(format!("no minimum: {}", report.termination).into());
    }
    let dim = objective.dim();
    println!("{name}: d = {dim}, minimum found with {}", report.counts);

    let hessian = objective.expand(&report.x);
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{pos} products, {elapsed}")?);
    bar.enable_steady_tick(Duration::from_millis(100));
    let counted = operator(dim, |v: &[f64], out: &mut [f64]| {
        hessian.apply(v, out);
        bar.inc(1);
    });
    let started = Instant::now();
    let lanczos = Lanczos { seed: options.seed, ..Lanczos::default() };
    let ends = lanczos.extremes(&counted)?;
    let pairs = lanczos.eigenpairs(&counted, options.count.min(dim), End::Largest)?;
    let plain = trace(&counted, options.probes, options.seed)?;
    let plus = trace_hutch_plus_plus(&counted, (3 * options.probes).max(6), options.seed)?;
    let quadrature = StochasticQuadrature { probes: options.probes, steps: options.steps, seed: options.seed };
    let spectrum = quadrature.of(&counted)?;
    let log_determinant = spectrum.log_determinant();
    bar.finish_and_clear();

    println!("\n{:<24} {:>18} {:>12} {:>10}", "", "value", "error", "products");
    let eigenvalue = |name: &str, value: f64, error: f64, products: usize| {
        println!("{name:<24} {value:>18.9e} {error:>12.1e} {products:>10}");
    };
    eigenvalue("smallest eigenvalue", ends.smallest.value, ends.smallest.error, ends.products);
    eigenvalue("largest eigenvalue", ends.largest.value, ends.largest.error, ends.products);
    if let Some(condition) = ends.condition() {
        eigenvalue("condition number", condition.value, condition.upper - condition.value, ends.products);
    }
    for (j, (value, residual)) in pairs.values.iter().zip(&pairs.residuals).enumerate() {
        eigenvalue(&format!("eigenpair {}", j + 1), *value, *residual, pairs.products);
    }
    println!("\n{:<24} {:>18} {:>12} {:>10}", "", "estimate", "std. error", "products");
    let estimate = |name: &str, e: &Estimate| eigenvalue(name, e.value, e.standard_error, e.products);
    estimate("trace, Hutchinson", &plain);
    estimate("trace, Hutch++", &plus);
    estimate("log-determinant", &log_determinant);
    let mut dimensions = vec![];
    for power in -3..=3 {
        // Powers of ten around the geometric middle of the spectrum.
        let middle = (ends.smallest.value.max(1e-3 * ends.largest.value) * ends.largest.value).sqrt();
        let lambda = 10f64.powi(power) * 10f64.powf(middle.log10().round());
        let free = spectrum.effective_dimension(lambda)?;
        estimate(&format!("free at damping {lambda:.0e}"), &free);
        dimensions.push(json!({ "damping": lambda, "value": free.value, "standard_error": free.standard_error }));
    }
    println!("\nends: {}; pairs: {}; density: {}", ends.status, pairs.status, spectrum.status);
    if let Some(file) = &options.picture {
        draw(file, name, dim, &spectrum)?;
        println!("density: {}", file.display());
    }
    if options.json {
        println!(
            "{}",
            json!({
                "problem": name, "dim": dim, "converged": ends.status.converged() && pairs.status.converged(),
                "smallest": ends.smallest.value, "largest": ends.largest.value,
                "condition": ends.condition().map(|c| c.value), "eigenvalues": pairs.values,
                "trace": plain.value, "trace_standard_error": plain.standard_error,
                "trace_hutch_plus_plus": plus.value, "trace_hutch_plus_plus_standard_error": plus.standard_error,
                "log_determinant": log_determinant.value,
                "log_determinant_standard_error": log_determinant.standard_error,
                "effective_dimensions": dimensions,
                "products": ends.products + pairs.products + plain.products + plus.products + spectrum.products,
                "seconds": started.elapsed().as_secs_f64(),
            })
        );
    }
    Ok(())
}

/// The number of eigenvalues per unit, on a logarithmic scale, between twice the standard error.
fn draw(file: &Path, name: &str, dim: usize, spectrum: &Spectrum) -> Result<(), Box<dyn Error>> {
    let (low, high) = spectrum.range();
    let span = (high - low).max(1e-12 * high.abs()).max(f64::MIN_POSITIVE);
    let width = span / 100.0;
    let points: Vec<f64> = (0..=600).map(|i| low - 0.05 * span + 1.1 * span * f64::from(i) / 600.0).collect();
    let density = spectrum.density(&points, width)?;
    let count = |share: f64| (share * dim as f64 * width).max(1e-6);
    let most = density.iter().fold(1e-5, |m: f64, d| m.max(count(d.value + 2.0 * d.standard_error)));
    let root = SVGBackend::new(file, (900, 500)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(name, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(points[0]..points[points.len() - 1], (1e-4..2.0 * most.max(1e-3)).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("eigenvalue")
        .y_desc(format!("eigenvalues per {width:.1e}"))
        .y_label_formatter(&|y| format!("{y:.0e}"))
        .light_line_style(WHITE)
        .draw()?;
    let above = points.iter().zip(&density).map(|(&t, d)| (t, count(d.value + 2.0 * d.standard_error)));
    let below = points.iter().zip(&density).map(|(&t, d)| (t, count(d.value - 2.0 * d.standard_error)));
    let band: Vec<(f64, f64)> = above.chain(below.rev()).collect();
    chart.draw_series(std::iter::once(Polygon::new(band, BLUE.mix(0.15))))?;
    chart.draw_series(LineSeries::new(points.iter().zip(&density).map(|(&t, d)| (t, count(d.value))), &BLUE))?;
    root.present()?;
    Ok(())
}
