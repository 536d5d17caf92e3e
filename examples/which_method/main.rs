//! Races every method on a problem, and prints what each spends until the gradient has fallen by a factor.
//!
//!     cargo run --release --bin which_method                                    # Rosenbrock's valley
//!     cargo run --release --bin which_method -- --problem logistic --tolerance 1e-4
//!     cargo run --release --bin which_method -- --problem ginzburg-landau --size 20 --json
//!
//! A method of a given rate has to be told one. Each is run with several, a factor of three apart, and its best run
//! counts: what the search for the rate has cost is not in the table. The logistic regression brings a preconditioner
//! along, the diagonal of its Hessian, which all use whose metric is not made of gradients, but for L-BFGS.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use newton_krylov::problems::{ChainedRosenbrock, GinzburgLandau, LogisticRegression, parse_libsvm};
use newton_krylov::{Objective, objective};

use networks::Goal;
use race::Row;

mod networks;
mod race;
mod table;

/// The data of `--problem logistic`: 270 patients, 13 features.
const HEART: &str = include_str!("../../tests/data/heart_scale");
/// Points along an edge of the cube: more would be more unknowns than is sensible in a race.
const MOST_POINTS: usize = 200;
/// Races all methods on one problem: values, gradients and products until the gradient has fallen by the tolerance.
#[derive(Parser)]
struct Arguments {
    /// What is minimised
    #[arg(long, value_enum, default_value_t = Problem::Rosenbrock)]
    problem: Problem,
    /// Unknowns (rosenbrock, quadratic) or points along an edge (ginzburg-landau) [default: 10, 100, 10]
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    size: Option<u32>,
    /// Condition number of the quadratic
    #[arg(long, default_value_t = 1000.0, value_parser = at_least_one)]
    condition: f64,
    /// Stop at |gradient| <= this * |gradient at the start|
    #[arg(long, default_value_t = 1e-5, value_parser = fraction)]
    tolerance: f64,
    /// Most cost of one run: values + gradients + 2 products
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    budget: u64,
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Problem {
    /// The chained Rosenbrock function: one long curved valley
    Rosenbrock,
    /// ½ xᵀHx with eigenvalues from 1 to the condition number
    Quadratic,
    /// L2-regularised logistic regression on the heart data
    Logistic,
    /// A nonlinear elliptic equation on a cube
    GinzburgLandau,
    /// A small network that classifies the heart data, with each metric
    Network,
    /// A small network that is fitted to points by least squares, with each metric
    Curve,
    /// Every metric under every control, on a softmax regression and a small network
    Table,
}

fn fraction(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(number) if 0.0 < number && number < 1.0 => Ok(number),
        _ => Err("not a number between 0 and 1".into()),
    }
}

fn at_least_one(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(number) if (1.0..f64::INFINITY).contains(&number) => Ok(number),
        _ => Err("not a number of at least 1".into()),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match race_on(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn race_on(arguments: &Arguments) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let size = |default: u32| arguments.size.unwrap_or(default) as usize;
    let goal = Goal { tolerance: arguments.tolerance, budget: arguments.budget as usize };
    let (name, dim, rows) = match arguments.problem {
        Problem::Rosenbrock => {
            let f = ChainedRosenbrock::new(size(10))?;
            (
                format!("chained Rosenbrock, {} unknowns", size(10)),
                size(10),
                race::race(goal.tolerance, goal.budget, &f, &f.start())?,
            )
        }
        Problem::Quadratic => {
            let n = size(100);
            let weight = |i: usize| arguments.condition.powf(i as f64 / (n - 1) as f64);
            // H = QDQ with the reflection Q = I − 2uuᵀ, u = (1, …, 1)/√n: its axes are not those of x.
            let reflect = |v: &mut [f64]| {
                let mean = v.iter().sum::<f64>() / v.len() as f64;
                v.iter_mut().for_each(|v| *v -= 2.0 * mean);
            };
            let hessian = |v: &[f64], hv: &mut [f64]| {
                hv.copy_from_slice(v);
                reflect(hv);
                hv.iter_mut().enumerate().for_each(|(i, v)| *v *= weight(i));
                reflect(hv);
            };
            let value = |x: &[f64]| {
                let mut hx = vec![0.0; n];
                hessian(x, &mut hx);
                0.5 * x.iter().zip(&hx).map(|(x, hx)| x * hx).sum::<f64>()
            };
            let f = objective(n, value, hessian, |_: &[f64], v: &[f64], hv: &mut [f64]| hessian(v, hv));
            let name = format!("quadratic, {n} unknowns, condition number {}", arguments.condition);
            let start: Vec<f64> = (1..=n).map(|i| (i as f64).sin()).collect();
            (name, n, race::race(goal.tolerance, goal.budget, &f, &start)?)
        }
        Problem::Logistic => {
            let f = LogisticRegression::from_labeled(parse_libsvm(HEART)?, 1.0)?;
            let n = f.features().cols();
            (
                format!("logistic regression, heart data, {n} unknowns"),
                n,
                race::race(goal.tolerance, goal.budget, &f, &vec![0.0; n])?,
            )
        }
        Problem::GinzburgLandau => {
            let points = size(10);
            if points > MOST_POINTS {
                let message = format!("--size {points} is more than {MOST_POINTS} points along an edge");
                Arguments::command().error(ErrorKind::ValueValidation, message).exit();
            }
            let f = GinzburgLandau::<f64>::discrete(points, 10.0)?;
            (
                format!("Ginzburg–Landau energy, {points}³ points"),
                f.dim(),
                race::race(goal.tolerance, goal.budget, &f, &f.start())?,
            )
        }
        Problem::Network => networks::classifier(&goal, &parse_libsvm(HEART)?)?,
        Problem::Curve => networks::curve(&goal)?,
        Problem::Table => return table(arguments, &goal),
    };
    println!("{name}, until |gradient| ≤ {:e} |gradient at the start|\n", arguments.tolerance);
    println!(
        "{:<38} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>14}  outcome",
        "method", "rate", "steps", "values", "gradients", "products", "cost", "value"
    );
    for row in &rows {
        let counts = row.counts;
        let rate = row.rate.map_or("–".into(), |rate| format!("{rate:.0e}"));
        println!(
            "{:<38} {rate:>8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>14.7e}  {}",
            row.name,
            row.steps,
            counts.values,
            counts.gradients,
            counts.products,
            row.cost(),
            row.value,
            row.outcome
        );
    }
    println!("\ncost = values + gradients + 2 products; rates are the best of a search that is not counted");
    if arguments.json {
        println!("{}", json(arguments, dim, &rows));
    }
    Ok(())
}

fn table(arguments: &Arguments, goal: &Goal) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let lines = table::lines(goal)?;
    println!(
        "steps (cost) until |gradient| ≤ {:e} |gradient at the start|; – is a cost of {}",
        goal.tolerance, goal.budget
    );
    table::print(&lines);
    if arguments.json {
        let of = |line: &table::Line| serde_json::json!({ "problem": line.problem, "metric": line.metric, "methods": methods(&line.cells) });
        println!(
            "{}",
            serde_json::json!({ "tolerance": goal.tolerance, "lines": lines.iter().map(of).collect::<Vec<_>>() })
        );
    }
    Ok(())
}

fn json(arguments: &Arguments, dim: usize, rows: &[Row]) -> serde_json::Value {
    let problem = arguments.problem.to_possible_value().expect("no problem is skipped");
    serde_json::json!({
        "problem": problem.get_name(),
        "unknowns": dim,
        "tolerance": arguments.tolerance,
        "methods": methods(rows),
    })
}

fn methods(rows: &[Row]) -> Vec<serde_json::Value> {
    rows.iter()
        .map(|row| {
            serde_json::json!({
                "name": row.name,
                "rate": row.rate,
                "steps": row.steps,
                "values": row.counts.values,
                "gradients": row.counts.gradients,
                "products": row.counts.products,
                "cost": row.cost(),
                "value": row.value,
                "gradient_norm": row.gradient_norm,
                "converged": row.converged,
                "termination": row.outcome,
                "seconds": row.seconds,
            })
        })
        .collect()
}
