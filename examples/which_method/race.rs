//! The runs of a race.

use std::ops::ControlFlow;

use indicatif::{ProgressBar, ProgressStyle};
use newton_krylov::{
    Counts, CubicRegularization, Lbfgs, NewtonCg, Objective, Progress, Report, Result, Stopping, Termination,
    TrustRegion,
    first_order::{
        AdaGrad, Adam, FirstOrder, FullAdaGrad, GradientDescent, GradientMethod, HeavyBall, LineSearch, Momentum,
        Nesterov, RmsProp, SteepestDescent,
    },
};

/// Unknowns up to which the full matrix of AdaGrad takes part.
const MOST_FOR_FULL_MATRIX: usize = 30;
/// The rates that are tried.
pub const RATES: [f64; 12] = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

/// A method and its best run.
pub struct Row {
    pub name: String,
    /// The rate that was best, for methods that need one.
    pub rate: Option<f64>,
    pub steps: usize,
    pub counts: Counts,
    pub value: f64,
    pub gradient_norm: f64,
    pub converged: bool,
    pub outcome: String,
    pub seconds: f64,
}

impl Row {
    pub fn new(name: &str, rate: Option<f64>, report: &Report<f64>) -> Self {
        Row {
            name: name.into(),
            rate,
            steps: report.iterations(),
            counts: report.counts,
            value: report.value,
            gradient_norm: report.gradient_norm,
            converged: report.termination.converged(),
            outcome: match report.termination {
                Termination::Observer => "budget spent".into(),
                termination => termination.to_string(),
            },
            seconds: report.seconds,
        }
    }

    pub fn cost(&self) -> usize {
        cost(self.counts)
    }

    /// Runs that converge come before those that do not, then the cheaper, or the one with the lower value.
    pub fn better(&self, other: &Row) -> bool {
        match (self.converged, other.converged) {
            (true, true) => self.cost() < other.cost(),
            (false, false) => self.value < other.value,
            (converged, _) => converged,
        }
    }
}

pub fn cost(counts: Counts) -> usize {
    counts.values + counts.gradients + 2 * counts.products
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
            if cost(progress.counts) >= budget { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }

    fn run(&self, name: &'static str, rate: Option<f64>, report: Result<Report<f64>>) -> Result<Row> {
        self.bar.inc(1);
        self.bar.set_message(name);
        Ok(Row::new(name, rate, &report?))
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
            let budget = if best.converged { best.cost() } else { self.budget };
            let row = run(rate, budget)?;
            if row.better(&best) {
                best = row;
            }
        }
        Ok(best)
    }
}

/// One run of `TrustRegion`, named after the metric of `f`.
pub fn one(name: &str, tolerance: f64, budget: usize, f: &impl Objective<f64>, x0: &[f64]) -> Result<Row> {
    let stopping = Stopping { gradient_relative: tolerance, ..Stopping::default() };
    let race = Race { f, x0, stopping: stopping.clone(), budget, bar: ProgressBar::hidden() };
    let solver = TrustRegion { stopping, ..TrustRegion::default() };
    Ok(Row::new(name, None, &solver.minimize_with(f, x0, race.observer(budget))?))
}

/// All methods on `f`.
pub fn race(tolerance: f64, budget: usize, f: &impl Objective<f64>, x0: &[f64]) -> Result<Vec<Row>> {
    let stopping = || Stopping { gradient_relative: tolerance, ..Stopping::default() };
    let full = f.dim() <= MOST_FOR_FULL_MATRIX;
    let runs = 7 + (7 + usize::from(full)) * RATES.len();
    let style = ProgressStyle::with_template("[{bar:30}] {msg}  {elapsed}").expect("a valid template");
    let bar = ProgressBar::new(runs as u64).with_style(style.progress_chars("=> "));
    let race = Race { f, x0, stopping: stopping(), budget, bar };

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
