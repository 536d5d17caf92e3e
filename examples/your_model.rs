//! A model of your own in six steps: outputs, products, check, loss and metric, training, and a step in every metric. Copy
//! this file and change the model.
//!
//! ```sh
//! cargo run --release --bin your_model
//! ```
//!
//! A detector counts particles of a source that decays, over a constant background. In second t it expects
//!
//!   λ(t) = eᵃ exp(−eᵏt) + eᵇ
//!
//! of them, and sees a Poisson number. What are the parameters x = (a, k, b)? Being exponents, they may be any numbers.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use newton_krylov::{
    Batches, Control, Descent, HessianFree, LeastSquares, Metric, Model, NaturalGradient, Report, SampledModel,
    Stopping, check,
    differences::{Difference, DifferenceModel},
    fit, fit_samples,
    hessian_free::GradientBatch,
    losses::PoissonLoss,
    model,
    operators::with_second_order,
    random::SplitMix64,
};

/// Fit a decaying source.
#[derive(Parser)]
struct Arguments {
    /// Seed of the counts, which are made up
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the result as one line of JSON, last on standard output
    #[arg(long)]
    json: bool,
}

/// What the counts are made with: 20 a second at the start, 2 % less in every second, and 1.6 of the background.
const TRUTH: [f64; 3] = [3.0, -4.0, 0.5];
const SECONDS: usize = 600;

/// Step 1: the output for one sample, h = ln λ(t), and its derivatives by the three parameters. That h is a logarithm is
/// what the loss of step 4 asks for; every loss says what it takes the outputs for.
fn output(x: &[f64], t: f64) -> (f64, [f64; 3]) {
    let (source, background) = ((x[0] - x[1].exp() * t).exp(), x[2].exp());
    let share = source / (source + background); // ∂h/∂(ln source); the background has the rest
    ((source + background).ln(), [share, -share * x[1].exp() * t, 1.0 - share])
}

/// All samples that there are: the times of the counts.
struct Decay {
    times: Vec<f64>,
}

impl SampledModel<f64> for Decay {
    fn dim(&self) -> usize {
        3 // parameters
    }
    fn samples(&self) -> usize {
        self.times.len()
    }
    fn outputs_per_sample(&self) -> usize {
        1
    }
    /// Step 2: the model of some of the samples, for training on batches, from three functions that overwrite their last
    /// argument: h(x), one output after the other; Jv, how the outputs change as x moves along v; and Jᵀu, how the sum uᵀh
    /// changes with each parameter. A large model makes both in a pass each, and never writes down J.
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Model<f64> + 'a {
        let at = |x: &[f64], i: usize| output(x, self.times[samples[i]]);
        model(
            samples.len(),
            3,
            move |x: &[f64], h: &mut [f64]| (0..h.len()).for_each(|i| h[i] = at(x, i).0),
            move |x, v, jv| (0..jv.len()).for_each(|i| jv[i] = at(x, i).1.iter().zip(v).map(|(d, v)| d * v).sum()),
            move |x, u, jtu| {
                jtu.fill(0.0);
                (0..u.len()).for_each(|i| jtu.iter_mut().zip(at(x, i).1).for_each(|(jtu, d)| *jtu += d * u[i]));
            },
        )
    }
}

/// A Poisson number: how many uniform numbers can be multiplied until the product is below e^−rate (Knuth).
fn poisson(rate: f64, random: &mut SplitMix64) -> f64 {
    let (mut product, mut count) = (random.uniform(), 0.0);
    while product > (-rate).exp() {
        product *= random.uniform();
        count += 1.0;
    }
    count
}

/// Second derivatives, for the Hessian alone: out ← Σ uᵢ ∇²hᵢ v. With w = (1, −eᵏt, −1), the slope of ln source − ln background,
/// ∇²h = share (1 − share) wwᵀ, and the curvature of the exponent, −share eᵏt, for k.
fn bend(x: &[f64], u: &[f64], v: &[f64], out: &mut [f64]) {
    out.fill(0.0);
    for (t, u) in u.iter().enumerate() {
        let [share, along, _] = output(x, t as f64).1;
        let w = [1.0, -x[1].exp() * t as f64, -1.0];
        let across: f64 = w.iter().zip(v).map(|(w, v)| w * v).sum();
        (0..3).for_each(|i| out[i] += u * share * (1.0 - share) * w[i] * across);
        out[1] += u * along * v[1];
    }
}

/// Step 6: the step δ = −(M + λI)⁻¹g from x in a metric M, by name, and f after it; the step is shortened by a line search where
/// f would not fall. This is all that gradient descent, Gauss–Newton, natural gradients and Newton's method differ in.
fn step_in(
    metric: Metric,
    decay: &Decay,
    loss: &PoissonLoss<'_, f64>,
    x: &[f64],
) -> newton_krylov::Result<Report<f64>> {
    let all: Vec<usize> = (0..SECONDS).collect();
    let objective = fit(with_second_order(decay.batch(&all), bend), loss, metric)?;
    let stopping = Stopping { max_iterations: 1, ..Stopping::default() };
    Descent { damping: 1e-6, stopping, ..Descent::new(Control::LineSearch) }.minimize(&objective, x)
}

/// M for each of the methods.
const METRICS: [(&str, Metric); 6] = [
    ("vanilla", Metric::Identity),
    ("Gauss-Newton", Metric::GaussNewton),
    ("generalised Gauss-Newton", Metric::GeneralizedGaussNewton),
    ("natural", Metric::Fisher),
    ("covariance", Metric::GradientCovariance),
    ("Newton", Metric::Hessian),
];

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
    let random = &mut SplitMix64::new(arguments.seed);
    let decay = Decay { times: (0..SECONDS).map(|t| t as f64).collect() };
    let counts: Vec<f64> = decay.times.iter().map(|&t| poisson(output(&TRUTH, t).0.exp(), random)).collect();
    let x0 = [1.0, -3.0, 0.0]; // a guess

    // Step 3: are the products right? The check compares them with differences and with each other, and says which of
    // them is wrong, and how.
    let all: Vec<usize> = (0..SECONDS).collect();
    let verdict = check::least_squares(&LeastSquares::new(decay.batch(&all)), &x0, 1)?;
    println!("{verdict}");
    if !verdict.passed() {
        return Err("the products are wrong".into());
    }

    // Step 4: a loss and a metric by name. The mean loss is what is minimised; the metric is the curvature that steps go
    // by, E[JᵀWJ] with a W that the loss knows: here the Fisher matrix of Poisson counts.
    let loss = PoissonLoss::new(&counts[..], 1)?;
    let objective = fit_samples(&decay, &loss, Metric::Fisher)?;

    // Step 5: training on batches. Hessian-free training lets them grow until they are the whole set, and can tell that
    // it has converged.
    let gradient_batch = GradientBatch { first: 100, growth: 1.1, ..GradientBatch::default() };
    let hessian_free = HessianFree { gradient_batch, ..HessianFree::default() }.minimize(&objective, &x0)?;
    // Natural gradients bound how far the predicted distribution moves in a step. Batches always differ: set a limit.
    let solver = NaturalGradient {
        stopping: Stopping { max_iterations: 100, ..Stopping::default() },
        ..NaturalGradient::default()
    };
    let natural = solver.minimize_sampled(&objective, Batches::new(SECONDS, 200, arguments.seed)?, &x0)?;
    // Without products: differences make J column by column, one or two evaluations for each parameter. That will do for
    // a few parameters, and to begin with. (`fit` takes all samples at once.)
    let evaluate = |x: &[f64], h: &mut [f64]| (0..SECONDS).for_each(|t| h[t] = output(x, t as f64).0);
    let differences = DifferenceModel::new(SECONDS, 3, evaluate, Difference::Central);
    let by_differences = NaturalGradient::default().minimize(&fit(differences, &loss, Metric::Fisher)?, &x0)?;

    println!("{:<26} {:>8} {:>8} {:>8}   ended by", "", "a", "k", "b");
    println!("{:<26} {:>8.4} {:>8.4} {:>8.4}", "truth", TRUTH[0], TRUTH[1], TRUTH[2]);
    let tell = |name: &str, Report { x, termination, .. }: &Report<f64>| {
        println!("{name:<26} {:>8.4} {:>8.4} {:>8.4}   {termination}", x[0], x[1], x[2]);
    };
    tell("Hessian-free", &hessian_free);
    tell("natural gradient, batches", &natural);
    tell("natural gradient, all", &by_differences);

    println!(
        "\n{:<26} {:>8} {:>8} {:>8} {:>8}   from f = {:.4}",
        "a step", "a", "k", "b", "f", hessian_free.initial_value
    );
    let mut steps = serde_json::Map::new();
    for (name, metric) in METRICS {
        let Report { x, value, initial_value, .. } = step_in(metric, &decay, &loss, &x0)?;
        println!("{name:<26} {:>8.4} {:>8.4} {:>8.4} {value:>8.4}", x[0] - x0[0], x[1] - x0[1], x[2] - x0[2]);
        steps.insert(name.into(), serde_json::json!({ "x": x, "value": value, "fell": value < initial_value }));
    }
    if arguments.json {
        let row = |report: &Report<f64>| {
            serde_json::json!({ "x": report.x, "value": report.value, "iterations": report.iterations(),
                "values": report.counts.values, "gradients": report.counts.gradients, "products": report.counts.products,
                "seconds": report.seconds, "termination": report.termination.to_string() })
        };
        println!(
            "{}",
            serde_json::json!({ "passed": verdict.passed(), "truth": TRUTH, "hessian_free": row(&hessian_free),
                "natural_gradient": row(&natural), "by_differences": row(&by_differences), "steps": steps })
        );
    }
    Ok(())
}
