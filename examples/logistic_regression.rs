//! Trains a linear classifier: L2-regularised logistic regression on a set in LIBSVM format.
//!
//!     cargo run --release --bin logistic_regression                       # a small set that comes along
//!     cargo run --release --bin logistic_regression -- a9a --test a9a.t --solver trust-region
//!     cargo run --release --bin logistic_regression -- --generate --tolerance 1e-8
//!
//! Without `--solver` all three solvers run and are compared.

#[path = "common/second_order.rs"]
mod second_order;

use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use newton_krylov::problems::{LabeledRows, LogisticRegression, generate_wide_sparse, parse_libsvm, read_libsvm_file};
use newton_krylov::{InnerSolver, Memory, Objective, Report};

use second_order::Solver;

/// f at the minimiser for heart_scale and C = 1, by LIBLINEAR 2.50 (`-s 0 -c 1 -B -1 -e 1e-10`).
const HEART_MINIMUM: f64 = 98.226_799_508_136_8;

/// Trains a linear classifier by L2-regularised logistic regression.
#[derive(Parser)]
struct Options {
    /// A set in LIBSVM format; without it, the heart_scale set that comes along.
    path: Option<PathBuf>,
    /// Instead, the wide sparse set: 200,000 rows, 50,000 features, 8.3 million non-zeros.
    #[arg(long, conflicts_with = "path")]
    generate: bool,
    /// A second set, to measure the accuracy on.
    #[arg(long, value_name = "PATH")]
    test: Option<PathBuf>,
    /// The weight C of the losses.
    #[arg(long, default_value_t = 1.0, value_parser = positive, allow_negative_numbers = true)]
    c: f64,
    /// The solver; without it all are compared.
    #[arg(long, value_enum)]
    solver: Option<Solver>,
    /// How steps are computed: auto, krylov or dense.
    #[arg(long, default_value = "auto", value_parser = inner)]
    inner: InnerSolver,
    /// Stops at ‖gradient‖ ≤ tolerance × ‖gradient at zero‖.
    #[arg(long, default_value_t = 1e-6, value_parser = positive, allow_negative_numbers = true)]
    tolerance: f64,
    /// Ends with a line of JSON for every solver, the default solver's last.
    #[arg(long)]
    json: bool,
}

/// All solvers, the default last.
const ALL: [Solver; 3] = [Solver::NewtonCg, Solver::Cubic, Solver::TrustRegion];

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("a positive number is needed".into()),
    }
}

fn inner(text: &str) -> Result<InnerSolver, String> {
    match text {
        "auto" => Ok(InnerSolver::Automatic),
        "krylov" => Ok(InnerSolver::Krylov),
        "dense" => Ok(InnerSolver::Dense),
        _ => Err("one of auto, krylov, dense is needed".into()),
    }
}

fn main() -> ExitCode {
    match train(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every solver converged.
fn train(options: &Options) -> Result<bool, Box<dyn std::error::Error>> {
    let mut set: LabeledRows<f64> = match &options.path {
        Some(path) => read_libsvm_file(path)?,
        None if options.generate => generate_wide_sparse(200_000, 50_000, 20_240_601)?,
        None => parse_libsvm(include_str!("../tests/data/heart_scale"))?,
    };
    // Either set may lack the last features of the other.
    let test: Option<LabeledRows<f64>> = options.test.as_ref().map(read_libsvm_file).transpose()?;
    let cols = test.as_ref().map_or(0, |test| test.features.cols()).max(set.features.cols());
    set.features = set.features.widen(cols);
    let test =
        test.map(|test| LogisticRegression::new(test.features.widen(cols), test.labels, options.c)).transpose()?;

    let problem = LogisticRegression::from_labeled(set, options.c)?;
    let x = problem.features();
    println!("{} rows, {} features, {} non-zeros, C = {}\n", x.rows(), x.cols(), x.nonzeros(), options.c);

    let solvers = options.solver.map_or(ALL.to_vec(), |solver| vec![solver]);
    let mut reports = vec![];
    for solver in solvers {
        let start = vec![0.0; problem.dim()];
        let report = solver.minimize(options.tolerance, options.inner, Memory::Automatic, &problem, &start)?;
        reports.push((solver, report));
    }
    if let [(_, report)] = &reports[..] {
        println!("{report}\n");
    } else {
        print_comparison(&reports);
    }
    let (_, best) = reports.last().expect("at least one solver ran");
    println!("training accuracy  {:.4} %", 100.0 * problem.accuracy(&best.x));
    if let Some(test) = &test {
        println!("test accuracy      {:.4} %", 100.0 * test.accuracy(&best.x));
    }
    if options.path.is_none() && !options.generate && options.c == 1.0 {
        check_minimum(&reports);
    }
    if options.json {
        reports.iter().for_each(|(solver, report)| println!("{}", json(*solver, report)));
    }
    Ok(reports.iter().all(|(_, report)| report.termination.converged()))
}

fn print_comparison(reports: &[(Solver, Report<f64>)]) {
    let line = |cells: [&dyn Display; 7]| {
        let [solver, value, gradient, values, gradients, products, seconds] = cells;
        println!("{solver:<13}{value:>20}{gradient:>12}{values:>8}{gradients:>11}{products:>10}{seconds:>11}");
    };
    line([&"solver", &"value", &"rel. grad.", &"values", &"gradients", &"products", &"seconds"]);
    for (solver, report) in reports {
        line([
            &solver.name(),
            &format!("{:.10e}", report.value),
            &format!("{:.2e}", relative_gradient(report)),
            &report.counts.values,
            &report.counts.gradients,
            &report.counts.products,
            &format!("{:.4}", report.seconds),
        ]);
    }
    println!();
    for (solver, report) in reports {
        println!("{:<13}{}", solver.name(), report.termination);
    }
    println!();
}

fn relative_gradient(report: &Report<f64>) -> f64 {
    report.gradient_norm / report.initial_gradient_norm
}

fn json(solver: Solver, report: &Report<f64>) -> serde_json::Value {
    serde_json::json!({
        "solver": solver.name(),
        "value": report.value,
        "gradient_norm": report.gradient_norm,
        "relative_gradient": relative_gradient(report),
        "values": report.counts.values,
        "gradients": report.counts.gradients,
        "products": report.counts.products,
        "seconds": report.seconds,
        "termination": report.termination.to_string(),
    })
}

/// H ⪰ I, so no point is more than ½‖∇f‖² above the minimum.
fn check_minimum(reports: &[(Solver, Report<f64>)]) {
    for (solver, report) in reports {
        let above = report.value - HEART_MINIMUM;
        let bound = 0.5 * report.gradient_norm.powi(2) + 1e-10;
        assert!((-1e-10..=bound).contains(&above), "{}: {above:e} above the minimum", solver.name());
    }
}
