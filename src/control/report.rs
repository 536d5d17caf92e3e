//! What a run reports: while it runs, and at its end.

use std::fmt;

use super::Termination;
use crate::base::{CallbackError, Scalar};
use crate::operator::Counts;
use crate::step::InnerStop;

/// One outer iteration: the accepted step and what led to it. Once a run has turned to the unknowns' own units, radius or weight,
/// shift and Ritz value are in those.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Iteration {
    /// f after the step.
    pub value: f64,
    /// ‖∇f‖₂ after the step.
    pub gradient_norm: f64,
    /// ‖δ‖₂.
    pub step_norm: f64,
    /// The actual over the predicted decrease: of the quadratic model; of the tangent −gᵀδ in line searches of first
    /// order; NaN for methods of a given rate, which predict nothing.
    pub ratio: f64,
    /// What limits the step: the radius Δ (trust region), the weight σ (cubic regularisation), the step length α
    /// (line search) or the rate, as it was for this step.
    pub control: f64,
    /// λ, with (M + λI)δ = −g; 0 for first-order methods, whose M takes the step length in.
    pub shift: f64,
    /// Trial points that were rejected before.
    pub rejected: usize,
    /// Products made at the point that the step starts from.
    pub products: usize,
    /// How the inner solve ended.
    pub inner: InnerStop,
    /// The lowest Ritz value met at that point, NaN without products and for least squares. Negative: f curves downwards
    /// there.
    pub lowest_ritz_value: f64,
}

/// A running minimisation, as an observer sees it after every iteration, the start included.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a, T> {
    /// Iterations so far.
    pub iteration: usize,
    /// x.
    pub x: &'a [T],
    /// f(x).
    pub value: f64,
    /// ∇f(x).
    pub gradient: &'a [T],
    /// ‖∇f(x)‖₂.
    pub gradient_norm: f64,
    /// r(x), in least squares.
    pub residual: Option<&'a [T]>,
    /// Values, gradients and products so far.
    pub counts: Counts,
    /// Seconds so far.
    pub seconds: f64,
    /// The iteration that led here; `None` at the start.
    pub last: Option<&'a Iteration>,
}

/// The result of a run.
///
/// `Display` prints it as an aligned table, `{:#}` with every iteration.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Report<T> {
    /// The best point found: where f is lowest of all that the run was at, or if a limit or a callback ended it of all that it
    /// tried; if it converged, where it did.
    pub x: Vec<T>,
    /// f(x).
    pub value: f64,
    /// ‖∇f(x)‖₂; NaN where x was tried only.
    pub gradient_norm: f64,
    /// f(x₀).
    pub initial_value: f64,
    /// ‖∇f(x₀)‖₂.
    pub initial_gradient_norm: f64,
    /// Values, gradients and products of the whole run, exactly.
    pub counts: Counts,
    /// Why the run ended.
    pub termination: Termination,
    /// The error of a callback, where one ended the run.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub error: Option<CallbackError>,
    /// Wall time in seconds, callbacks included.
    pub seconds: f64,
    /// Sums and maxima over the ranks of a distributed run, those of [`Summed`](crate::ranks::Summed) among them but
    /// not those of other callbacks; 0 in one process. Those of this part of a run that was resumed.
    pub reductions: usize,
    /// Storage in numbers of type `T`, x included, without that of the callbacks.
    pub memory_numbers: usize,
    /// The largest relative difference between uᵀMv and vᵀMu met in passing.
    pub asymmetry: f64,
    /// Accepted steps.
    pub steps: usize,
    /// One entry for every accepted step. First-order runs, which may take millions, keep every
    /// [`history_stride`](Self::history_stride)-th: at most 4096.
    pub history: Vec<Iteration>,
}

impl<T: Scalar> Report<T> {
    /// Storage in vectors of length d.
    pub fn memory_vectors(&self) -> usize {
        self.memory_numbers.div_ceil(self.x.len().max(1))
    }

    /// Accepted steps.
    pub fn iterations(&self) -> usize {
        self.steps
    }

    /// The entry i of the history is step (i + 1) × this, the least power of two that is large enough; 1 where the
    /// history is complete.
    pub fn history_stride(&self) -> usize {
        if self.history.len() == self.steps { 1 } else { stride(self.steps) }
    }
}

/// The most entries of a thinned history, an even number: 360 KiB, and more points than a plot can show.
pub(super) const MOST: usize = 4096;

/// The least power of two that leaves so many steps at most [`MOST`] entries.
pub(super) fn stride(steps: usize) -> usize {
    let mut stride = 1;
    while steps / stride > MOST {
        stride *= 2;
    }
    stride
}

impl<T: Scalar> fmt::Display for Report<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            write_history(f, &self.history, self.history_stride())?;
        }
        let remembered = self.history.iter().filter(|i| i.inner == InnerStop::Remembered).count();
        writeln!(f, "{:<15} {}", "termination", self.termination)?;
        writeln!(f, "{:<15} {:.12e}", "value", self.value)?;
        writeln!(
            f,
            "{:<15} {:.3e}  (at the start {:.3e})",
            "gradient norm", self.gradient_norm, self.initial_gradient_norm
        )?;
        write!(f, "{:<15} {}", "iterations", self.iterations())?;
        if self.counts.products > 0 {
            write!(f, ", {remembered} of them without a product")?;
        }
        writeln!(f)?;
        writeln!(f, "{:<15} {}", "evaluations", self.counts)?;
        if self.reductions > 0 {
            writeln!(f, "{:<15} {}", "reductions", self.reductions)?;
        }
        writeln!(f, "{:<15} {} vectors of {} unknowns", "memory", self.memory_vectors(), self.x.len())?;
        writeln!(f, "{:<15} {:.3} s", "time", self.seconds)?;
        write!(f, "{:<15} {}", "advice", self.termination.advice())
    }
}

/// One line for every iteration.
pub(super) fn write_history(f: &mut fmt::Formatter<'_>, history: &[Iteration], stride: usize) -> fmt::Result {
    writeln!(
        f,
        "{:>6} {:>16} {:>10} {:>10} {:>8} {:>10} {:>10} {:>8} {:>5} inner",
        "step", "value", "|gradient|", "|step|", "ratio", "control", "shift", "products", "rej."
    )?;
    for (i, it) in history.iter().enumerate() {
        writeln!(
            f,
            "{:>6} {:>16.9e} {:>10.3e} {:>10.3e} {:>8.3} {:>10.3e} {:>10.3e} {:>8} {:>5} {:?}",
            (i + 1) * stride,
            it.value,
            it.gradient_norm,
            it.step_norm,
            it.ratio,
            it.control,
            it.shift,
            it.products,
            it.rejected,
            it.inner
        )?;
    }
    Ok(())
}
