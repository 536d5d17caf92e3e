//! Races every method on a problem, and prints what each spends until the gradient has fallen by a factor.
//!
//!     cargo run --release --example which_method                                    # Rosenbrock's valley
//!     cargo run --release --example which_method -- --problem logistic --tolerance 1e-4
//!     cargo run --release --example which_method -- --problem ginzburg-landau --size 20 --json
//!
//! A method of a given rate has to be told one. Each is run with several, a factor of three apart, and its best run
//! counts: what the search for the rate has cost is not in the table. The logistic regression brings a preconditioner
//! along, the diagonal of its Hessian, which all use whose metric is not made of gradients, but for L-BFGS.

use std::ops::ControlFlow;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use newton_krylov::problems::{ChainedRosenbrock, GinzburgLandau, LogisticRegression, parse_libsvm};
use newton_krylov::{
    AdaGrad, Adam, CubicRegularization, FirstOrder, FullAdaGrad, GradientDescent, GradientMethod, HeavyBall, Lbfgs,
    LineSearch, Momentum, Nesterov, NewtonCg, Objective, Progress, Report, Result, RmsProp, SteepestDescent, Stopping,
    Termination, TrustRegion, objective,
};

/// The data of `--problem logistic`: 270 patients, 13 features.
const HEART: &str = include_str!("../tests/data/heart_scale");
/// Unknowns up to which the full matrix of AdaGrad takes part.
const MOST_FOR_FULL_MATRIX: usize = 30;
/// Points along an edge of the cube: more would be more unknowns than is sensible in a race.
const MOST_POINTS: usize = 200;
/// The rates that are tried.
const RATES: [f64; 12] = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

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
    let (name, dim, rows) = match arguments.problem {
        Problem::Rosenbrock => {
            let f = ChainedRosenbrock::new(size(10))?;
            (format!("chained Rosenbrock, {} unknowns", size(10)), size(10), race(arguments, &f, &f.start())?)
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
            (name, n, race(arguments, &f, &start)?)
        }
        Problem::Logistic => {
            let f = LogisticRegression::from_labeled(parse_libsvm(HEART)?, 1.0)?;
            let n = f.features().cols();
            (format!("logistic regression, heart data, {n} unknowns"), n, race(arguments, &f, &vec![0.0; n])?)
        }
        Problem::GinzburgLandau => {
            let points = size(10);
            if points > MOST_POINTS {
                let message = format!("--size {points} is more than {MOST_POINTS} points along an edge");
                Arguments::command().error(ErrorKind::ValueValidation, message).exit();
            }
            let f = GinzburgLandau::<f64>::discrete(points, 10.0)?;
            (format!("Ginzburg–Landau energy, {points}³ points"), f.dim(), race(arguments, &f, &f.start())?)
        }
    };
    println!("{name}, until |gradient| ≤ {:e} |gradient at the start|\n", arguments.tolerance);
    println!(
        "{:<26} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>14}  outcome",
        "method", "rate", "steps", "values", "gradients", "products", "cost", "value"
    );
    for row in &rows {
        let counts = row.report.counts;
        let rate = row.rate.map_or("–".into(), |rate| format!("{rate:.0e}"));
        println!(
            "{:<26} {rate:>8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>14.7e}  {}",
            row.name,
            row.report.iterations(),
            counts.values,
            counts.gradients,
            counts.products,
            row.cost(),
            row.report.value,
            row.outcome()
        );
    }
    println!("\ncost = values + gradients + 2 products; rates are the best of a search that is not counted");
    if arguments.json {
        println!("{}", json(arguments, dim, &rows));
    }
    Ok(())
}

/// A method and its best run.
struct Row {
    name: &'static str,
    /// The rate that was best, for methods that need one.
    rate: Option<f64>,
    report: Report<f64>,
}

impl Row {
    fn cost(&self) -> usize {
        let counts = self.report.counts;
        counts.values + counts.gradients + 2 * counts.products
    }

    fn outcome(&self) -> String {
        match self.report.termination {
            Termination::Observer => "budget spent".into(),
            termination => termination.to_string(),
        }
    }

    /// Runs that converge come before those that do not, then the cheaper, or the one with the lower value.
    fn better(&self, other: &Row) -> bool {
        match (self.report.termination.converged(), other.report.termination.converged()) {
            (true, true) => self.cost() < other.cost(),
            (false, false) => self.report.value < other.report.value,
            (converged, _) => converged,
        }
    }
}

/// What every run needs.
struct Race<'r, O> {
    f: &'r O,
    x0: &'r [f64],
    stopping: Stopping,
    budget: usize,
    bar: ProgressBar,
}

impl<O: Objective<f64>> Race<'_, O> {
    /// An observer that ends the run when the budget is spent.
    fn observer(&self, budget: usize) -> impl FnMut(&Progress<'_, f64>) -> ControlFlow<()> + use<O> {
        move |progress| {
            let counts = progress.counts;
            let spent = counts.values + counts.gradients + 2 * counts.products;
            if spent >= budget { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }

    fn run(&self, name: &'static str, rate: Option<f64>, report: Result<Report<f64>>) -> Result<Row> {
        self.bar.inc(1);
        self.bar.set_message(name);
        Ok(Row { name, rate, report: report? })
    }

    /// The best of several rates.
    fn rated<M: GradientMethod>(&self, name: &'static str, method: impl Fn(f64) -> M) -> Result<Row> {
        let run = |rate, budget| {
            let solver = FirstOrder { stopping: self.stopping.clone(), ..FirstOrder::new(method(rate)) };
            self.run(name, Some(rate), solver.minimize_with(self.f, self.x0, self.observer(budget)))
        };
        let mut best = run(RATES[0], self.budget)?;
        for &rate in &RATES[1..] {
            // What costs more than the best cannot become it.
            let budget = if best.report.termination.converged() { best.cost() } else { self.budget };
            let row = run(rate, budget)?;
            if row.better(&best) {
                best = row;
            }
        }
        Ok(best)
    }
}

fn race(arguments: &Arguments, f: &impl Objective<f64>, x0: &[f64]) -> Result<Vec<Row>> {
    let stopping = || Stopping { gradient_relative: arguments.tolerance, ..Stopping::default() };
    let full = f.dim() <= MOST_FOR_FULL_MATRIX;
    let runs = 7 + (7 + usize::from(full)) * RATES.len();
    let style = ProgressStyle::with_template("[{bar:30}] {msg}  {elapsed}").expect("a valid template");
    let bar = ProgressBar::new(runs as u64).with_style(style.progress_chars("=> "));
    let race = Race { f, x0, stopping: stopping(), budget: arguments.budget as usize, bar };

    let trust_region = TrustRegion { stopping: stopping(), ..Default::default() };
    let newton = NewtonCg { stopping: stopping(), ..Default::default() };
    let cubic = CubicRegularization { stopping: stopping(), ..Default::default() };
    let lbfgs = Lbfgs { stopping: stopping(), ..Default::default() };
    let steepest = |search| SteepestDescent { search, stopping: stopping() };
    let mut rows = vec![
        race.run("TrustRegion", None, trust_region.minimize_with(f, x0, race.observer(race.budget)))?,
        race.run("NewtonCg", None, newton.minimize_with(f, x0, race.observer(race.budget)))?,
        race.run("CubicRegularization", None, cubic.minimize_with(f, x0, race.observer(race.budget)))?,
        race.run("Lbfgs", None, lbfgs.minimize_with(f, x0, race.observer(race.budget)))?,
    ];
    for (name, search) in [
        ("SteepestDescent, Wolfe", LineSearch::StrongWolfe),
        ("SteepestDescent, Armijo", LineSearch::Armijo),
        ("SteepestDescent, 1/L", LineSearch::Backtracking),
    ] {
        rows.push(race.run(name, None, steepest(search).minimize_with(f, x0, race.observer(race.budget)))?);
    }
    rows.push(race.rated("GradientDescent", |rate| GradientDescent { rate })?);
    rows.push(race.rated("HeavyBall, 0.9", |rate| HeavyBall { rate, momentum: 0.9 })?);
    rows.push(race.rated("Nesterov, 0.9", |rate| Nesterov { rate, momentum: Momentum::Constant(0.9) })?);
    rows.push(race.rated("Nesterov, convex", |rate| Nesterov { rate, momentum: Momentum::Convex })?);
    rows.push(race.rated("AdaGrad", |rate| AdaGrad { rate, ..Default::default() })?);
    if full {
        rows.push(race.rated("FullAdaGrad", |rate| FullAdaGrad { rate, ..Default::default() })?);
    }
    rows.push(race.rated("RmsProp", |rate| RmsProp { rate, ..Default::default() })?);
    rows.push(race.rated("Adam", |rate| Adam { rate, ..Default::default() })?);
    race.bar.finish_and_clear();
    Ok(rows)
}

fn json(arguments: &Arguments, dim: usize, rows: &[Row]) -> serde_json::Value {
    let problem = arguments.problem.to_possible_value().expect("no problem is skipped");
    let methods: Vec<_> = rows
        .iter()
        .map(|row| {
            serde_json::json!({
                "name": row.name,
                "rate": row.rate,
                "steps": row.report.iterations(),
                "values": row.report.counts.values,
                "gradients": row.report.counts.gradients,
                "products": row.report.counts.products,
                "cost": row.cost(),
                "value": row.report.value,
                "gradient_norm": row.report.gradient_norm,
                "converged": row.report.termination.converged(),
                "termination": row.outcome(),
                "seconds": row.report.seconds,
            })
        })
        .collect();
    serde_json::json!({
        "problem": problem.get_name(),
        "unknowns": dim,
        "tolerance": arguments.tolerance,
        "methods": methods,
    })
}
