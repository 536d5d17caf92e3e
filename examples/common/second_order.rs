//! The second-order solvers by name, with a bar that counts the digits of the gradient.

use std::ops::ControlFlow;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use newton_krylov::{
    CubicRegularization, InnerSolver, Memory, NewtonCg, Objective, Progress, Report, Result, Stopping, TrustRegion,
};

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Solver {
    TrustRegion,
    NewtonCg,
    Cubic,
}

impl Solver {
    /// As on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().expect("no solver is hidden").get_name().to_owned()
    }

    /// Minimises until the gradient has fallen to `tolerance` × that at the start, with a bar on standard error.
    pub fn minimize(
        self,
        tolerance: f64,
        inner: InnerSolver,
        memory: Memory,
        f: &impl Objective<f64>,
        start: &[f64],
    ) -> Result<Report<f64>> {
        let stopping = Stopping { gradient_relative: tolerance, ..Default::default() };
        let style = ProgressStyle::with_template("{prefix:>12} [{bar:30}] {msg}  {elapsed}").expect("a valid template");
        let bar = ProgressBar::new(1000).with_style(style.progress_chars("=> ")).with_prefix(self.name());
        let mut first = None;
        let observe = |progress: &Progress<f64>| {
            let relative = progress.gradient_norm / *first.get_or_insert(progress.gradient_norm);
            bar.set_position((1000.0 * relative.ln() / tolerance.ln()).clamp(0.0, 1000.0) as u64);
            bar.set_message(format!(
                "iteration {}, value {:.8e}, relative gradient {relative:.1e}, {} products",
                progress.iteration, progress.value, progress.counts.products
            ));
            ControlFlow::Continue(())
        };
        let report = match self {
            Solver::TrustRegion => TrustRegion { stopping, inner, memory }.minimize_with(f, start, observe),
            Solver::NewtonCg => NewtonCg { stopping, inner, memory }.minimize_with(f, start, observe),
            Solver::Cubic => CubicRegularization { stopping, inner, memory }.minimize_with(f, start, observe),
        };
        bar.finish_and_clear();
        report
    }
}
