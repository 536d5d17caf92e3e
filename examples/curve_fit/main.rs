//! Fits a curve to points and says how well its parameters are known.
//!
//!   cargo run --release --bin curve_fit
//!   cargo run --release --bin curve_fit -- FILE.csv --curve gaussian --loss cauchy --scale 0.1 --picture fit.svg --json
//!
//! The file has the columns t,y or t,y,sigma, with or without a header, or more columns and a header that names these (x
//! or time for t); without a file it takes a decay with two outliers. A sigma is taken for the standard deviation of y, so
//! that errors follow from it alone, unless --rescale says that only ratios of sigmas are known.
//! Minimises ½ Σ ρ(rᵢ²) over rᵢ = (f(tᵢ; p) − yᵢ)/σᵢ, within bounds if wanted. With a robust loss standard errors are
//! those of the reweighted problem, an approximation.

mod curves;
mod data;
mod picture;
#[path = "../common/png.rs"]
mod png;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use newton_krylov::statistics::{Covariance, covariance, covariance_known};
use newton_krylov::{
    LeastSquaresReport, LevenbergMarquardt, least_squares_dense,
    losses::{Arctan, Cauchy, Huber, RobustLoss, SoftL1, Squares, Tukey},
};
use serde_json::json;

use curves::Curve;
use data::Data;

/// Fits a curve to points.
#[derive(Parser)]
struct Arguments {
    /// Points as CSV with the columns t,y or t,y,sigma; without it a small set that is built in.
    file: Option<PathBuf>,
    /// The curve.
    #[arg(long, value_enum, default_value_t = Curve::Exponential)]
    curve: Curve,
    /// What a residual counts for.
    #[arg(long, value_enum, default_value_t = Loss::Squares)]
    loss: Loss,
    /// About the largest residual that is no outlier, in units of y, or of sigma where it is known; for every loss but
    /// squares.
    #[arg(long, required_if_eq_any = [("loss", "huber"), ("loss", "cauchy"), ("loss", "soft-l1"), ("loss", "tukey"), ("loss", "arctan")], allow_negative_numbers = true)]
    scale: Option<f64>,
    /// Where the parameters start; without it they are read off the points.
    #[arg(long, value_delimiter = ',', value_name = "A,B,…", allow_hyphen_values = true)]
    start: Option<Vec<f64>>,
    /// Lower bounds of the parameters; -inf for none.
    #[arg(long, value_delimiter = ',', value_name = "A,B,…", allow_hyphen_values = true)]
    lower: Option<Vec<f64>>,
    /// Upper bounds of the parameters; inf for none.
    #[arg(long, value_delimiter = ',', value_name = "A,B,…", allow_hyphen_values = true)]
    upper: Option<Vec<f64>>,
    /// Takes the residuals' size from the fit, though a sigma is given.
    #[arg(long)]
    rescale: bool,
    /// Draws points, curve and confidence band to this file: SVG, or, without words, PNG, as its name says.
    #[arg(long)]
    picture: Option<PathBuf>,
    /// Prints the result as one line of JSON, last.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Loss {
    Squares,
    Huber,
    Cauchy,
    SoftL1,
    Tukey,
    Arctan,
}

impl Loss {
    /// ρ with the given scale.
    fn with_scale(self, scale: f64) -> newton_krylov::Result<Box<dyn Fn(f64) -> [f64; 3]>> {
        fn boxed(loss: impl RobustLoss + 'static) -> Box<dyn Fn(f64) -> [f64; 3]> {
            Box::new(move |s| loss.evaluate(s))
        }
        Ok(match self {
            Loss::Squares => boxed(Squares),
            Loss::Huber => boxed(Huber::new(scale)?),
            Loss::Cauchy => boxed(Cauchy::new(scale)?),
            Loss::SoftL1 => boxed(SoftL1::new(scale)?),
            Loss::Tukey => boxed(Tukey::new(scale)?),
            Loss::Arctan => boxed(Arctan::new(scale)?),
        })
    }
}

/// Of intervals and of the band.
const LEVEL: f64 = 0.95;
/// Points at which the curve is drawn.
const DRAWN: usize = 300;

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
    let (name, data) = match &arguments.file {
        Some(path) => {
            let name = path.display().to_string();
            let text = fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
            let data = data::read(&name, &text)?;
            (name, data)
        }
        None => ("a decay with two outliers (built in)".to_string(), data::read("built in", data::BUILT_IN)?),
    };
    let (curve, points) = (arguments.curve, &data.points);
    if let Some(point) = curve.undefined_at(points) {
        return Err(format!("{name}: line {}, column 1: {} needs t > 0", point.line, curve.formula()).into());
    }
    if arguments.loss == Loss::Squares && arguments.scale.is_some() {
        return Err("--scale is for a robust loss: add --loss".into());
    }

    let (m, n) = (points.len(), curve.parameters());
    let options = [("--start", &arguments.start), ("--lower", &arguments.lower), ("--upper", &arguments.upper)];
    for (option, numbers) in options {
        if let Some(numbers) = numbers
            && numbers.len() != n
        {
            return Err(format!("{option}: y = {} has {n} parameters, not {}", curve.formula(), numbers.len()).into());
        }
    }
    if let Some(p) = arguments.start.iter().flatten().find(|p| !p.is_finite()) {
        return Err(format!("--start: {p} is not a finite number").into());
    }
    let plain = least_squares_dense(
        m,
        n,
        |p: &[f64], r: &mut [f64]| {
            let mut gradient = [0.0; 4];
            for (r, point) in r.iter_mut().zip(points) {
                *r = (curve.evaluate(p, point.t, &mut gradient[..n]) - point.y) / point.sigma;
            }
        },
        |p: &[f64], jacobian: &mut [f64]| {
            let mut gradient = [0.0; 4];
            for (i, point) in points.iter().enumerate() {
                curve.evaluate(p, point.t, &mut gradient[..n]);
                (0..n).for_each(|j| jacobian[j * m + i] = gradient[j] / point.sigma);
            }
        },
    );
    let mut fit = plain.with_loss(arguments.loss.with_scale(arguments.scale.unwrap_or(1.0))?, 1)?;
    let mut guess = curve.start(points);
    if arguments.lower.is_some() || arguments.upper.is_some() {
        let lower = arguments.lower.clone().unwrap_or(vec![f64::NEG_INFINITY; n]);
        let upper = arguments.upper.clone().unwrap_or(vec![f64::INFINITY; n]);
        fit = fit.with_bounds(&lower, &upper)?;
        guess.iter_mut().zip(lower.iter().zip(&upper)).for_each(|(p, (low, high))| *p = p.max(*low).min(*high));
    }
    if arguments.start.is_none() && guess.iter().any(|p| !p.is_finite()) {
        return Err(format!("{name}: no start can be read off the points: move t towards 0, or give --start").into());
    }
    let start = arguments.start.as_ref().unwrap_or(&guess);
    let outside = |error| match (error, &arguments.start) {
        (error @ newton_krylov::Error::OutsideBounds { .. }, Some(_)) => format!("--start: {error}"),
        (error, _) => error.to_string(),
    };
    let report = LevenbergMarquardt::default().minimize(&fit, start).map_err(outside)?;
    let found = match data.with_sigma && !arguments.rescale {
        true => covariance_known(&fit, &report.x, 1.0)?,
        false => covariance(&fit, &report.x)?,
    };

    println!("{name}: {m} points; {}", data.columns);
    println!("y = {}\n", curve.formula());
    print(&report, &found)?;
    println!("\n{report}");
    if let Some(path) = &arguments.picture {
        let drawn = on_curve(curve, &data, &report.x, &found);
        let title = format!("y = {}", curve.formula());
        picture::draw(path, &title, &data, &drawn, LEVEL).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("picture: {}", path.display());
    }
    if arguments.json {
        let result = json!({
            "value": report.value,
            "sum_of_squares": report.residual.iter().map(|r| r * r).sum::<f64>(),
            "parameters": report.x,
            "standard_errors": found.standard_errors,
            "residual_standard_deviation": found.residual_variance.sqrt(),
            "condition": found.condition,
            "residuals": m,
            "iterations": report.iterations(),
            "evaluations": report.counts.values,
            "products": report.counts.all_products(),
            "seconds": report.seconds,
            "termination": report.termination.to_string(),
        });
        println!("{result}");
    }
    Ok(())
}

/// Prints parameters, what is known about them, and how they hang together.
fn print(report: &LeastSquaresReport<f64>, found: &Covariance) -> newton_krylov::Result<()> {
    // Without a degree of freedom there is no residual variance, unless it is known.
    let half_widths =
        if found.degrees_of_freedom > 0 || found.variance_known { Some(found.half_widths(LEVEL)?) } else { None };
    let level = format!("{:.0} % interval", 100.0 * LEVEL);
    println!("{:<9} {:>16}   {:<14} {level}", "parameter", "value", "standard error");
    let names = ["a", "b", "c", "d"];
    for (j, &value) in report.x.iter().enumerate() {
        let interval = match &half_widths {
            _ if report.held.contains(&j) => "held by its bound".to_string(),
            None => "no degree of freedom is left".to_string(),
            Some(half) if half[j].is_finite() => format!("[{:.8e}, {:.8e}]", value - half[j], value + half[j]),
            Some(_) => "not determined by the points".to_string(),
        };
        println!("{:<9} {value:>16.9e} ± {:<14.6e} {interval}", names[j], found.standard_errors[j]);
    }
    println!("\ncorrelation");
    for i in 0..report.x.len() {
        let row: Vec<String> = (0..=i).map(|j| format!("{:>8.4}", found.correlation(i, j))).collect();
        println!("{:<9} {}", names[i], row.join(" "));
    }
    println!();
    let known = if found.variance_known { "  (given)" } else { "" };
    println!("residual standard deviation {:.9e}{known}", found.residual_variance.sqrt());
    println!("degrees of freedom          {}", found.degrees_of_freedom);
    println!("condition                   {:.3e}  (columns of length 1)", found.condition);
    Ok(())
}

/// The curve and its band over the range of t.
fn on_curve(curve: Curve, data: &Data, parameters: &[f64], found: &Covariance) -> Vec<picture::OnCurve> {
    let times = data.points.iter().map(|point| point.t);
    let (low, high) = times.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), t| (low.min(t), high.max(t)));
    let mut gradient = vec![0.0; parameters.len()];
    let at = |k: usize| {
        let share = k as f64 / (DRAWN - 1) as f64;
        let t = (1.0 - share) * low + share * high;
        let value = curve.evaluate(parameters, t, &mut gradient);
        (t, value, found.half_width_of(&gradient, LEVEL).ok())
    };
    (0..DRAWN).map(at).collect()
}
