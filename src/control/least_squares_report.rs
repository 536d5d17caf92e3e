//! What a least-squares run reports: while it runs, and at its end.

use std::fmt;

use super::Termination;
use super::report::{Iteration, write_history};
use crate::base::Scalar;
use crate::operator::LeastSquaresCounts;

/// A running fit, as an observer sees it after every iteration, the start included.
#[derive(Clone, Copy, Debug)]
pub struct LeastSquaresProgress<'a, T> {
    /// Iterations so far.
    pub iteration: usize,
    /// x.
    pub x: &'a [T],
    /// r(x).
    pub residual: &'a [T],
    /// ½ Σ ρ(‖r_b‖²), which is ½‖r‖² without a robust loss.
    pub value: f64,
    /// The gradient of the value; at a bound, components that point outside are as they are.
    pub gradient: &'a [T],
    /// The norm of the gradient, without the components that bounds hold.
    pub gradient_norm: f64,
    /// See [`LeastSquaresReport::cosine`].
    pub cosine: f64,
    /// Calls so far.
    pub counts: LeastSquaresCounts,
    /// Seconds so far.
    pub seconds: f64,
    /// The iteration that led here; `None` at the start.
    pub last: Option<&'a Iteration>,
}

/// The result of a fit.
///
/// `Display` prints it as an aligned table, `{:#}` with every iteration.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LeastSquaresReport<T> {
    /// The best point found.
    pub x: Vec<T>,
    /// r(x).
    pub residual: Vec<T>,
    /// ½ Σ ρ(‖r_b‖²), which is ½‖r‖² without a robust loss.
    pub value: f64,
    /// The norm of the gradient, without the components that bounds hold: these point outside and are no reason to move.
    pub gradient_norm: f64,
    /// maxⱼ |Jⱼᵀr| / (‖Jⱼ‖‖r‖), the largest cosine of the angle between the residuals and a column of J that no bound
    /// holds: 0 at a minimum with r ≠ 0, and without unit. Where the columns are not known, ‖Jᵀr‖ / (‖J‖‖r‖) with an
    /// estimate of ‖J‖ from below.
    pub cosine: f64,
    /// The value at x0.
    pub initial_value: f64,
    /// Residuals, linearisations and products of the whole run, exactly.
    pub counts: LeastSquaresCounts,
    /// Why the run ended.
    pub termination: Termination,
    /// The rank of J at x to working precision, without the columns that bounds hold; `None` where the Jacobian was not
    /// formed.
    pub rank: Option<usize>,
    /// The components of x that their bounds hold.
    pub held: Vec<usize>,
    /// Wall time in seconds, callbacks included.
    pub seconds: f64,
    /// Storage in numbers of type `T`, x and r included, without that of the model.
    pub memory_numbers: usize,
    /// One entry for every accepted step.
    pub history: Vec<Iteration>,
}

impl<T: Scalar> LeastSquaresReport<T> {
    /// Accepted steps.
    pub fn iterations(&self) -> usize {
        self.history.len()
    }
}

impl<T: Scalar> fmt::Display for LeastSquaresReport<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            write_history(f, &self.history, 1)?;
        }
        let (n, m) = (self.x.len(), self.residual.len());
        writeln!(f, "{:<15} {}", "termination", self.termination)?;
        writeln!(f, "{:<15} {:.12e}  (at the start {:.6e})", "value", self.value, self.initial_value)?;
        writeln!(f, "{:<15} {:.3e}", "gradient norm", self.gradient_norm)?;
        writeln!(f, "{:<15} {:.3e}  (of residuals and columns of J)", "cosine", self.cosine)?;
        write!(f, "{:<15} {n} parameters, {m} residuals", "size")?;
        if let Some(rank) = self.rank {
            write!(f, ", rank {rank}")?;
        }
        if !self.held.is_empty() {
            write!(f, ", {} at bounds", self.held.len())?;
        }
        writeln!(f)?;
        writeln!(f, "{:<15} {}", "iterations", self.iterations())?;
        writeln!(f, "{:<15} {}", "evaluations", self.counts)?;
        writeln!(f, "{:<15} {} numbers", "memory", self.memory_numbers)?;
        writeln!(f, "{:<15} {:.3} s", "time", self.seconds)?;
        write!(f, "{:<15} {}", "advice", self.termination.advice())
    }
}
