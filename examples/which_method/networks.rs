//! Small networks, for races between metrics.

use std::ops::ControlFlow;

use newton_krylov::models::{Activation, MultilayerPerceptron};
use newton_krylov::problems::LabeledRows;
use newton_krylov::{
    Counts, InnerSolver, LevenbergMarquardt, LinearMap, Metric, Model, Result, Termination, fit, least_squares,
    losses::{BernoulliCrossEntropy, Loss, SquaredError},
    random::SplitMix64,
};

use crate::race::{Row, cost, one, race};

/// The weight of ½‖x‖².
const REGULARIZATION: f64 = 1e-3;

/// How far to go.
pub struct Goal {
    pub tolerance: f64,
    pub budget: usize,
}

/// 13-6-1 on the heart data, cross-entropy: every metric, then every method with the Hessian.
pub fn classifier(goal: &Goal, heart: &LabeledRows<f64>) -> Result<(String, usize, Vec<Row>)> {
    let (rows, labels, features) = dense(heart);
    let network = MultilayerPerceptron::new(&[features, 6, 1], &[Activation::Tanh, Activation::Identity])?;
    let x0 = network.initial::<f64>(1);
    let loss = || BernoulliCrossEntropy::new(labels.clone(), 1);
    let name = format!("network {features}-6-1, heart data, cross-entropy, {} unknowns", x0.len());
    let metrics = [
        ("TrustRegion, generalised Gauss–Newton", Metric::GeneralizedGaussNewton),
        ("TrustRegion, Fisher", Metric::Fisher),
        ("TrustRegion, sampled Fisher", Metric::SampledFisher { seed: 1, draws: 1 }),
        ("TrustRegion, empirical Fisher", Metric::EmpiricalFisher),
        ("TrustRegion, Gauss–Newton", Metric::GaussNewton),
    ];
    let table = by_metric(goal, &network, &rows, &x0, &loss, &metrics)?;
    Ok((name, x0.len(), table))
}

/// 1-8-1 through 60 points with noise, squared errors: metrics, every method with the Hessian, and what least squares
/// are solved with.
pub fn curve(goal: &Goal) -> Result<(String, usize, Vec<Row>)> {
    let mut random = SplitMix64::new(1);
    let inputs: Vec<f64> = (0..60).map(|i| f64::from(i) / 15.0 - 2.0).collect();
    let targets: Vec<f64> = inputs.iter().map(|t| (3.0 * t).sin() * (-t * t).exp() + 0.05 * random.normal()).collect();
    let network = MultilayerPerceptron::new(&[1, 8, 1], &[Activation::Tanh, Activation::Identity])?;
    let x0 = network.initial::<f64>(1);
    let metrics = [("TrustRegion, Gauss–Newton", Metric::GaussNewton)];
    let loss = || SquaredError::new(targets.clone(), 1);
    let mut table = vec![];
    for (name, inner) in
        [("LevenbergMarquardt, J formed", InnerSolver::Dense), ("LevenbergMarquardt, products", InnerSolver::Krylov)]
    {
        table.push(levenberg_marquardt(goal, name, inner, &network, &inputs, &targets, &x0)?);
    }
    table.extend(by_metric(goal, &network, &inputs, &x0, &loss, &metrics)?);
    Ok((format!("network 1-8-1 through 60 points, squared errors, {} unknowns", x0.len()), x0.len(), table))
}

fn by_metric<L: Loss<f64>>(
    goal: &Goal,
    network: &MultilayerPerceptron,
    inputs: &[f64],
    x0: &[f64],
    loss: &dyn Fn() -> Result<L>,
    metrics: &[(&str, Metric)],
) -> Result<Vec<Row>> {
    let objective = |metric| fit(network.on(inputs)?, loss()?, metric)?.with_regularization(REGULARIZATION);
    let mut rows = vec![];
    for &(name, metric) in metrics {
        rows.push(one(name, goal.tolerance, goal.budget, &objective(metric)?, x0)?);
    }
    rows.extend(race(goal.tolerance, goal.budget, &objective(Metric::Hessian)?, x0)?);
    Ok(rows)
}

/// The same minimum as a least-squares problem: residuals (h − y)/√N and √c x.
fn levenberg_marquardt(
    goal: &Goal,
    name: &str,
    inner: InnerSolver,
    network: &MultilayerPerceptron,
    inputs: &[f64],
    targets: &[f64],
    x0: &[f64],
) -> Result<Row> {
    let model = network.on(inputs)?;
    let (count, n) = (targets.len(), x0.len());
    let (mean, root) = (1.0 / (count as f64).sqrt(), REGULARIZATION.sqrt());
    let problem = least_squares(
        count + n,
        n,
        |x: &[f64], r: &mut [f64]| {
            model.evaluate(x, &mut r[..count]);
            (0..count).for_each(|i| r[i] = mean * (r[i] - targets[i]));
            (0..n).for_each(|j| r[count + j] = root * x[j]);
        },
        |x, v, jv| {
            model.linearize(x).apply(v, &mut jv[..count]);
            (0..count).for_each(|i| jv[i] *= mean);
            (0..n).for_each(|j| jv[count + j] = root * v[j]);
        },
        |x, u, jtu| {
            let scaled: Vec<f64> = u[..count].iter().map(|u| mean * u).collect();
            model.linearize(x).apply_transpose(&scaled, jtu);
            (0..n).for_each(|j| jtu[j] += root * u[count + j]);
        },
    );
    // The solver has a test of its own; here it stops where the others do.
    let (mut first, mut last) = (f64::NAN, f64::NAN);
    let solver = LevenbergMarquardt { inner, ..LevenbergMarquardt::default() };
    let report = solver.minimize_with(&problem, x0, |progress| {
        last = progress.gradient_norm;
        if progress.iteration == 0 {
            first = last;
        }
        let counts = counts(progress.counts);
        if last <= goal.tolerance * first || cost(counts) >= goal.budget {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    let there = last <= goal.tolerance * first;
    Ok(Row {
        name: name.into(),
        rate: None,
        steps: report.iterations(),
        counts: counts(report.counts),
        value: report.value,
        gradient_norm: report.gradient_norm,
        converged: there,
        outcome: match report.termination {
            _ if there => Termination::GradientTolerance.to_string(),
            Termination::Observer => "budget spent".into(),
            Termination::GradientTolerance => "its own test, short of the goal".into(),
            termination => termination.to_string(),
        },
        seconds: report.seconds,
    })
}

/// Two products, Jv and Jᵀu, count as one with JᵀJ; the Jᵀr at a new point is part of its gradient.
fn counts(counts: Counts) -> Counts {
    let products = (counts.products + counts.transpose_products).saturating_sub(counts.gradients);
    Counts { values: counts.values, gradients: counts.gradients, products: products.div_ceil(2), ..Counts::default() }
}

/// Rows of features, all numbers present, and labels 0 and 1.
fn dense(set: &LabeledRows<f64>) -> (Vec<f64>, Vec<f64>, usize) {
    let (count, width) = (set.features.rows(), set.features.cols());
    let mut features = vec![0.0; count * width];
    for (i, to) in features.chunks_exact_mut(width).enumerate() {
        let (columns, values) = set.features.row(i);
        columns.iter().zip(values).for_each(|(&column, &value)| to[column as usize] = value);
    }
    (features, set.labels.iter().map(|&y| if y > 0.0 { 1.0 } else { 0.0 }).collect(), width)
}
