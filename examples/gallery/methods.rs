//! Runs the methods on a landscape, and keeps the points that they visit.

use std::ops::ControlFlow;

use newton_krylov::{
    CubicRegularization, Lbfgs, NaturalGradient, NewtonCg, Objective, Progress, Report, Result, Stopping, TrustRegion,
    first_order::{Adam, FirstOrder, GradientDescent, GradientMethod, HeavyBall, Momentum, Nesterov},
    objective,
    operators::with_divergence,
};

use crate::landscapes::{Landscape, product};
use crate::scene::Rgb;

/// The rates that are tried.
const RATES: [f64; 11] = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0];

/// All methods, in the order of the legend.
pub const METHODS: [(&str, Rgb); 9] = [
    ("GradientDescent", [0x1f, 0x77, 0xb4]),
    ("HeavyBall", [0x17, 0xbe, 0xcf]),
    ("Nesterov", [0x2c, 0xa0, 0x2c]),
    ("Adam", [0xb0, 0xa8, 0x00]),
    ("Lbfgs", [0x8c, 0x56, 0x4b]),
    ("NewtonCg", [0xff, 0x7f, 0x0e]),
    ("TrustRegion", [0xd6, 0x27, 0x28]),
    ("CubicRegularization", [0x7b, 0x4f, 0xc0]),
    ("NaturalGradient", [0xd6, 0x24, 0x9f]),
];

pub struct Run {
    /// The place in [`METHODS`].
    pub method: usize,
    /// The rate that was best, for methods that need one.
    pub rate: Option<f64>,
    pub path: Vec<[f64; 2]>,
    pub report: Report<f64>,
}

impl Run {
    fn of(
        method: usize,
        rate: Option<f64>,
        minimize: impl FnOnce(&mut dyn FnMut(&Progress<'_, f64>) -> ControlFlow<()>) -> Result<Report<f64>>,
    ) -> Result<Run> {
        let mut path = vec![];
        let report = minimize(&mut |progress| {
            path.push([progress.x[0], progress.x[1]]);
            ControlFlow::Continue(())
        })?;
        Ok(Run { method, rate, path, report })
    }

    /// The best of several rates: with a path that stays in the picture; converged with the fewest gradients, or else with
    /// the lowest value.
    fn rated<M: GradientMethod>(
        method: usize,
        stopping: &Stopping,
        landscape: &Landscape,
        f: &impl Objective<f64>,
        with_rate: impl Fn(f64) -> M,
    ) -> Result<Run> {
        let run = |rate| {
            let solver = FirstOrder { stopping: stopping.clone(), ..FirstOrder::new(with_rate(rate)) };
            Run::of(method, Some(rate), |observer| solver.minimize_with(f, &landscape.start, observer))
        };
        let mut best = run(RATES[0])?;
        for &rate in &RATES[1..] {
            let next = run(rate)?;
            let (new, old) = (&next.report, &best.report);
            let stays = |run: &Run| run.path.iter().all(|x| landscape.shows(x));
            let rank = |run: &Run| (stays(run), run.report.termination.converged());
            let better = match (rank(&next), rank(&best)) {
                (a, b) if a != b => a > b,
                ((_, true), _) => new.counts.gradients < old.counts.gradients,
                _ => new.value < old.value,
            };
            if better {
                best = next;
            }
        }
        Ok(best)
    }
}

/// One run of every method, from the landscape's start; natural gradients only where there is a Fisher metric.
pub fn race(landscape: &Landscape) -> Result<Vec<Run>> {
    let &Landscape { value, gradient, hessian, start, .. } = landscape;
    let (value, gradient) =
        (move |x: &[f64]| value(x[0], x[1]), move |x: &[f64], g: &mut [f64]| g.copy_from_slice(&gradient(x[0], x[1])));
    let f = objective(2, value, gradient, move |x, v, hv| product(hessian(x[0], x[1]), v, hv));
    let x0 = start.as_slice();
    let stopping = Stopping { gradient_relative: 1e-5, max_iterations: 10_000, ..Stopping::default() };

    let lbfgs = Lbfgs { stopping: stopping.clone(), ..Default::default() };
    let newton = NewtonCg { stopping: stopping.clone(), ..Default::default() };
    let trust_region = TrustRegion { stopping: stopping.clone(), ..Default::default() };
    let cubic = CubicRegularization { stopping: stopping.clone(), ..Default::default() };
    let mut runs = vec![
        Run::rated(0, &stopping, landscape, &f, |rate| GradientDescent { rate })?,
        Run::rated(1, &stopping, landscape, &f, |rate| HeavyBall { rate, momentum: 0.9 })?,
        Run::rated(2, &stopping, landscape, &f, |rate| Nesterov { rate, momentum: Momentum::Constant(0.9) })?,
        Run::rated(3, &stopping, landscape, &f, |rate| Adam { rate, ..Default::default() })?,
        Run::of(4, None, |observer| lbfgs.minimize_with(&f, x0, observer))?,
        Run::of(5, None, |observer| newton.minimize_with(&f, x0, observer))?,
        Run::of(6, None, |observer| trust_region.minimize_with(&f, x0, observer))?,
        Run::of(7, None, |observer| cubic.minimize_with(&f, x0, observer))?,
    ];
    if let Some(fisher) = landscape.fisher {
        let metric = move |x: &[f64], v: &[f64], mv: &mut [f64]| product((fisher.metric)(x[0], x[1]), v, mv);
        let f = with_divergence(objective(2, value, gradient, metric), move |x: &[f64], y: &[f64]| {
            (fisher.divergence)([x[0], x[1]], [y[0], y[1]])
        });
        let natural = NaturalGradient { stopping, ..Default::default() };
        runs.push(Run::of(8, None, |observer| natural.minimize_with(&f, x0, observer))?);
    }
    Ok(runs)
}
