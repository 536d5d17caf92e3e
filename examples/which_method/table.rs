//! Every metric under every control, on a softmax regression and on a small network: a table for each.

use std::ops::ControlFlow;

use newton_krylov::models::{Activation, MultilayerPerceptron};
use newton_krylov::{
    Control, Descent, Metric, Objective, Result, Stopping, fit, losses::SoftmaxCrossEntropy, random::SplitMix64,
};

use crate::networks::Goal;
use crate::race::{RATES, Row, cost};

/// The weight of ½‖x‖².
const REGULARIZATION: f64 = 1e-2;
/// λ of the controls that take every step.
const DAMPING: f64 = 1e-3;

const METRICS: [(&str, Metric); 8] = [
    ("identity", Metric::Identity),
    ("Hessian", Metric::Hessian),
    ("Gauss–Newton", Metric::GaussNewton),
    ("generalised Gauss–Newton", Metric::GeneralizedGaussNewton),
    ("Fisher", Metric::Fisher),
    ("sampled Fisher, one draw", Metric::SampledFisher { seed: 1, draws: 1 }),
    ("empirical Fisher", Metric::EmpiricalFisher),
    ("gradient covariance", Metric::GradientCovariance),
];

/// With a number that has to be found, or as it is.
enum Kind {
    Rated(fn(f64) -> Control),
    Plain(Control),
}

const CONTROLS: [(&str, Kind); 7] = [
    ("fixed rate", Kind::Rated(Control::FixedRate)),
    ("ball", Kind::Rated(Control::Ball)),
    ("divergence", Kind::Plain(Control::Divergence(0.01))),
    ("line search", Kind::Plain(Control::LineSearch)),
    ("trust region", Kind::Plain(Control::TrustRegion)),
    ("Levenberg–Marquardt", Kind::Plain(Control::LevenbergMarquardt)),
    ("cubic", Kind::Plain(Control::Cubic)),
];

/// Sixty samples of three classes in the plane, which no line separates.
fn samples() -> (Vec<f64>, Vec<usize>) {
    let mut random = SplitMix64::new(3);
    let labels: Vec<usize> = (0..60).map(|i| i % 3).collect();
    let center = |label: usize| [[1.0, 0.0], [-0.5, 0.8], [-0.5, -0.8]][label];
    let inputs = labels.iter().flat_map(|&label| center(label).map(|c| c + 0.7 * random.normal())).collect();
    (inputs, labels)
}

/// One line of a table.
pub struct Line {
    pub problem: &'static str,
    pub metric: &'static str,
    pub cells: Vec<Row>,
}

/// All pairs on both problems.
pub fn lines(goal: &Goal) -> Result<Vec<Line>> {
    let (inputs, labels) = samples();
    let regression = MultilayerPerceptron::new(&[2, 3], &[Activation::Identity])?;
    let network = MultilayerPerceptron::new(&[2, 4, 3], &[Activation::Tanh, Activation::Identity])?;
    let start = network.initial(5);
    let mut lines = vec![];
    for (problem, network, x0) in
        [("softmax regression", &regression, vec![0.0; 9]), ("network 2-4-3", &network, start)]
    {
        for (name, metric) in METRICS {
            let loss = SoftmaxCrossEntropy::new(labels.clone(), 3)?;
            let f = fit(network.on(&inputs)?, loss, metric)?.with_regularization(REGULARIZATION)?;
            let cells = CONTROLS.iter().map(|(control, kind)| cell(goal, control, kind, &f, &x0));
            lines.push(Line { problem, metric: name, cells: cells.collect::<Result<_>>()? });
        }
    }
    Ok(lines)
}

/// The run of a control, or its best run.
fn cell(goal: &Goal, name: &str, kind: &Kind, f: &impl Objective<f64>, x0: &[f64]) -> Result<Row> {
    let run = |control, damping, rate, budget| {
        let stopping = Stopping { gradient_relative: goal.tolerance, ..Stopping::default() };
        let report = Descent { damping, stopping, ..Descent::new(control) }.minimize_with(f, x0, |progress| {
            if cost(progress.counts) >= budget { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(Row::new(name, rate, &report))
    };
    match kind {
        Kind::Plain(control) => run(*control, 0.0, None, goal.budget),
        Kind::Rated(control) => {
            let mut best: Option<Row> = None;
            for rate in RATES {
                let budget = best.as_ref().filter(|best| best.converged).map_or(goal.budget, Row::cost);
                let row = run(control(rate), DAMPING, Some(rate), budget)?;
                if best.as_ref().is_none_or(|best| row.better(best)) {
                    best = Some(row);
                }
            }
            Ok(best.expect("there are rates"))
        }
    }
}

/// The tables, as they are in the guide.
pub fn print(lines: &[Line]) {
    let mut problem = "";
    for line in lines {
        if line.problem != problem {
            problem = line.problem;
            let names: Vec<&str> = CONTROLS.iter().map(|(name, _)| *name).collect();
            println!("\n| {problem} | {} |\n|{}", names.join(" | "), " --- |".repeat(names.len() + 1));
        }
        let cells: Vec<String> = line.cells.iter().map(written).collect();
        println!("| {} | {} |", line.metric, cells.join(" | "));
    }
}

/// Steps and cost, or why not.
fn written(row: &Row) -> String {
    match row {
        row if row.converged => format!("{} ({})", row.steps, row.cost()),
        row if row.outcome == "budget spent" => "–".into(),
        row => row.outcome.clone(),
    }
}
