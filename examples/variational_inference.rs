//! Variational inference for Bayesian logistic regression, by natural gradients.
//!
//!   y ∈ {−1, 1},  p(y | x, w) = σ(y xᵀw),  w ~ N(0, I/δ);    q = N(m, Σ) minimises −E_q[ln p(y, w | x)] + E_q[ln q]
//!
//! In the mean parameters of q the bound's gradient is η_q − η_prior − ∇_μ E_q[ln p(y | x, w)], so mirror descent is
//! η ← (1 − α)η + α(η_prior + ∇_μ E_q[ln p(y | x, w)]) (Khan & Nielsen 2018; Khan & Rue, JMLR 24 (2023), section 1.3). The
//! expectations are over one number per row, xᵀw ~ N(xᵀm, xᵀΣx), and are computed, not sampled.
//!
//!     cargo run --release --bin variational_inference                 # the heart_scale set that comes along
//!     cargo run --release --bin variational_inference -- a.libsvm --precision 0.1 --rate 0.5

use std::cell::RefCell;
use std::error::Error;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use indicatif::ProgressBar;
use newton_krylov::exponential_family::{ExponentialFamily, Gaussian};
use newton_krylov::problems::{LabeledRows, parse_libsvm, read_libsvm_file};
use newton_krylov::{
    Report, Stopping, TrustRegion, differences::Difference, first_order::MirrorDescent, objective,
    objective_from_gradient,
};
use serde_json::json;

/// Variational inference for Bayesian logistic regression, by natural gradients.
#[derive(Parser)]
struct Options {
    /// A set in LIBSVM format; without it, the heart_scale set that comes along
    path: Option<PathBuf>,
    /// The prior's precision
    #[arg(long, default_value_t = 1.0)]
    precision: f64,
    /// The rate of the natural gradient steps
    #[arg(long, default_value_t = 0.7)]
    rate: f64,
    /// Stop at |gradient| <= tolerance * |gradient at the prior|
    #[arg(long, default_value_t = 1e-8)]
    tolerance: f64,
    /// Parts for cross-validation
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..))]
    folds: u64,
    /// End with a line of JSON
    #[arg(long)]
    json: bool,
}

/// Rows x with their classes ±1.
#[derive(Clone, Default)]
struct Rows {
    features: Vec<Vec<f64>>,
    labels: Vec<f64>,
}

impl Rows {
    fn new(set: &LabeledRows<f64>) -> Rows {
        let mut rows = Rows::default();
        for i in 0..set.features.rows() {
            let (columns, values) = set.features.row(i);
            let mut x = vec![0.0; set.features.cols()];
            columns.iter().zip(values).for_each(|(&j, &v)| x[j as usize] = v);
            rows.features.push(x);
            rows.labels.push(set.labels[i]);
        }
        rows
    }

    fn dim(&self) -> usize {
        self.features[0].len()
    }

    fn filter(&self, keep: impl Fn(usize) -> bool) -> Rows {
        let chosen = (0..self.labels.len()).filter(|&i| keep(i));
        let (features, labels) = chosen.map(|i| (self.features[i].clone(), self.labels[i])).unzip();
        Rows { features, labels }
    }

    fn iter(&self) -> impl Iterator<Item = (&[f64], f64)> {
        self.features.iter().map(Vec::as_slice).zip(self.labels.iter().copied())
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn logistic(t: f64) -> f64 {
    1.0 / (1.0 + (-t).exp())
}

/// ln(1 + e^−t).
fn loss(t: f64) -> f64 {
    (-t).max(0.0) + (-t.abs()).exp().ln_1p()
}

/// E[f(z)] for z ~ N(mean, variance), N quantities at once: equidistant points, which converge exponentially here.
fn expectation<const N: usize>(mean: f64, variance: f64, f: impl Fn(f64) -> [f64; N]) -> [f64; N] {
    const STEP: f64 = 0.25;
    let deviation = variance.max(0.0).sqrt();
    let mut sums = [0.0; N];
    for i in -34..=34 {
        let z = STEP * f64::from(i);
        let weight = STEP * (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
        sums.iter_mut().zip(f(mean + deviation * z)).for_each(|(s, v)| *s += weight * v);
    }
    sums
}

/// Mean and covariance of q.
struct Posterior {
    mean: Vec<f64>,
    covariance: Vec<f64>,
}

impl Posterior {
    /// Mean and variance of xᵀw.
    fn margin(&self, x: &[f64]) -> (f64, f64) {
        let rows = self.covariance.chunks_exact(x.len());
        (dot(x, &self.mean), rows.zip(x).map(|(row, x_i)| x_i * dot(row, x)).sum())
    }
}

/// −ELBO as a function of q's mean parameters, and its gradient.
struct Bound<'a> {
    rows: &'a Rows,
    family: Gaussian,
    prior: Vec<f64>,
}

impl<'a> Bound<'a> {
    fn new(rows: &'a Rows, precision: f64) -> Result<Self, newton_krylov::Error> {
        let dim = rows.dim();
        let family = Gaussian::new(dim)?;
        let mut covariance = vec![0.0; dim * dim];
        (0..dim).for_each(|i| covariance[i * dim + i] = 1.0 / precision);
        Ok(Bound { rows, family, prior: family.natural(&vec![0.0; dim], &covariance)? })
    }

    fn at(&self, mean: &[f64]) -> Result<(Vec<f64>, Posterior), newton_krylov::Error> {
        let mut natural = vec![0.0; mean.len()];
        self.family.to_natural(mean, &mut natural)?;
        let (mean, covariance) = self.family.moments(&natural)?;
        Ok((natural, Posterior { mean, covariance }))
    }

    fn value(&self, mean: &[f64]) -> Result<f64, newton_krylov::Error> {
        let (natural, q) = self.at(mean)?;
        let losses = self.rows.iter().map(|(x, y)| {
            let (mean, variance) = q.margin(x);
            expectation(y * mean, variance, |t| [loss(t)])[0]
        });
        Ok(losses.sum::<f64>() + self.family.divergence(&natural, &self.prior)?)
    }

    /// With G = ∇_Σ of the losses, ∇_μ is ∇_m − 2Gm for the mean and G for the second moments, where an entry off the
    /// diagonal stands for two.
    fn gradient(&self, mean: &[f64], out: &mut [f64]) -> Result<(), newton_krylov::Error> {
        let (natural, q) = self.at(mean)?;
        let dim = self.rows.dim();
        out.iter_mut().zip(natural.iter().zip(&self.prior)).for_each(|(out, (q, prior))| *out = q - prior);
        for (x, y) in self.rows.iter() {
            let (center, variance) = q.margin(x);
            let [first, second] =
                expectation(y * center, variance, |t| [-y * logistic(-t), 0.5 * logistic(t) * logistic(-t)]);
            let linear = first - 2.0 * second * center;
            let (gradient, matrix) = out.split_at_mut(dim);
            gradient.iter_mut().zip(x).for_each(|(g, x)| *g += linear * x);
            let mut entry = matrix.iter_mut();
            for j in 0..dim {
                for (i, out) in (j..dim).zip(&mut entry) {
                    *out += if i == j { 1.0 } else { 2.0 } * second * x[i] * x[j];
                }
            }
        }
        Ok(())
    }
}

/// The posterior, and the run that found it.
fn infer(
    rows: &Rows,
    options: &Options,
    trace: impl FnMut(f64, f64),
) -> Result<(Posterior, Report<f64>), newton_krylov::Error> {
    let bound = Bound::new(rows, options.precision)?;
    let trace = RefCell::new(trace);
    let negative_elbo = objective_from_gradient(
        bound.prior.len(),
        |mean: &[f64]| bound.value(mean).unwrap_or(f64::NAN),
        |mean, g| {
            if bound.gradient(mean, g).is_err() {
                g.fill(f64::NAN);
            }
        },
        Difference::default(),
    );
    let solver = MirrorDescent {
        stopping: Stopping { gradient_relative: options.tolerance, max_iterations: 1000, ..Stopping::default() },
        ..MirrorDescent::new(bound.family, options.rate)
    };
    let report = solver.minimize_dual_with(&negative_elbo, &bound.prior, |progress| {
        (trace.borrow_mut())(-progress.value, progress.gradient_norm);
        ControlFlow::Continue(())
    })?;
    let (mean, covariance) = bound.family.moments(&report.x)?;
    Ok((Posterior { mean, covariance }, report))
}

/// The most probable w: the minimum of Σ ln(1 + exp(−y xᵀw)) + δ/2 ‖w‖².
fn most_probable(rows: &Rows, precision: f64) -> Result<Report<f64>, newton_krylov::Error> {
    let negative_log_joint = objective(
        rows.dim(),
        |w: &[f64]| 0.5 * precision * dot(w, w) + rows.iter().map(|(x, y)| loss(y * dot(x, w))).sum::<f64>(),
        |w, g| {
            g.iter_mut().zip(w).for_each(|(g, w)| *g = precision * w);
            for (x, y) in rows.iter() {
                let residual = -y * logistic(-y * dot(x, w));
                g.iter_mut().zip(x).for_each(|(g, x)| *g += residual * x);
            }
        },
        |w, v, hv| {
            hv.iter_mut().zip(v).for_each(|(hv, v)| *hv = precision * v);
            for (x, _) in rows.iter() {
                let t = dot(x, w);
                let along = logistic(t) * logistic(-t) * dot(x, v);
                hv.iter_mut().zip(x).for_each(|(hv, x)| *hv += along * x);
            }
        },
    );
    TrustRegion::default().minimize(&negative_log_joint, &vec![0.0; rows.dim()])
}

/// The share of rows on the right side, and the mean of −ln p(y | x).
fn score(rows: &Rows, probability: impl Fn(&[f64]) -> f64) -> (f64, f64) {
    let (mut right, mut total) = (0.0, 0.0);
    for (x, y) in rows.iter() {
        let p = probability(x);
        let p = if y > 0.0 { p } else { 1.0 - p };
        right += f64::from(u8::from(p > 0.5));
        total -= p.ln();
    }
    (right / rows.labels.len() as f64, total / rows.labels.len() as f64)
}

fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let set: LabeledRows<f64> = match &options.path {
        Some(path) => read_libsvm_file(path)?,
        None => parse_libsvm(include_str!("../tests/data/heart_scale"))?,
    };
    let precision = options.precision;
    if !(precision > 0.0 && precision.is_finite()) {
        return Err(format!("--precision is {precision}, but must be positive and finite").into());
    }
    let rows = Rows::new(&set);
    let count = rows.labels.len();
    if options.folds > count as u64 {
        return Err(format!("--folds is {}, but there are {count} rows", options.folds).into());
    }
    println!("{count} rows, {} features, prior precision {precision}, rate {}", rows.dim(), options.rate);
    println!("\n{:>5} {:>18} {:>12}", "step", "ELBO", "|gradient|");
    let started = Instant::now();
    let mut elbos = vec![];
    let (posterior, report) = infer(&rows, options, |elbo, gradient| {
        println!("{:>5} {elbo:>18.9} {gradient:>12.3e}", elbos.len());
        elbos.push(elbo);
    })?;
    let seconds = started.elapsed().as_secs_f64();
    println!("\n{}: {}", report.termination, report.counts);

    // Every row is left out once.
    let bar = ProgressBar::new(options.folds);
    let (mut converged, mut bayes, mut map) = (report.termination.converged(), [0.0; 2], [0.0; 2]);
    for fold in 0..options.folds {
        let is_test = |i: usize| i as u64 % options.folds == fold;
        let (train, test) = (rows.filter(|i| !is_test(i)), rows.filter(is_test));
        let share = test.labels.len() as f64 / count as f64;
        let (q, report) = infer(&train, options, |_, _| {})?;
        let best = most_probable(&train, precision)?;
        converged &= report.termination.converged() && best.termination.converged();
        let averaged = score(&test, |x| {
            let (mean, variance) = q.margin(x);
            expectation(mean, variance, |t| [logistic(t)])[0]
        });
        let plain = score(&test, |x| logistic(dot(x, &best.x)));
        for (sums, (accuracy, loss)) in [(&mut bayes, averaged), (&mut map, plain)] {
            sums[0] += share * accuracy;
            sums[1] += share * loss;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("\n{:<28} {:>10} {:>10}", "left-out rows", "accuracy", "-ln p");
    println!("{:<28} {:>10.4} {:>10.4}", "posterior, averaged", bayes[0], bayes[1]);
    println!("{:<28} {:>10.4} {:>10.4}", "most probable weights", map[0], map[1]);

    println!("\n{:>7} {:>12} {:>12} {:>12}", "weight", "mean", "deviation", "most prob.");
    let best = most_probable(&rows, precision)?;
    for (i, (mean, best)) in posterior.mean.iter().zip(&best.x).enumerate().take(20) {
        println!("{i:>7} {mean:>12.5} {:>12.5} {best:>12.5}", posterior.covariance[i * rows.dim() + i].sqrt());
    }
    if options.json {
        println!(
            "{}",
            json!({
                "rows": count, "features": rows.dim(), "converged": converged, "elbo": -report.value,
                "elbo_trace": elbos, "iterations": report.iterations(), "gradients": report.counts.gradients,
                "accuracy": bayes[0], "negative_log_likelihood": bayes[1],
                "map_accuracy": map[0], "map_negative_log_likelihood": map[1], "seconds": seconds,
            })
        );
    }
    Ok(converged)
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("error: not converged; try a smaller --rate");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
