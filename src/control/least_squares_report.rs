//! What a least-squares run reports at its end, beside what all runs report.

use std::fmt;
use std::ops::Deref;

use super::Report;
use super::report::write_history;
use crate::base::Scalar;
use crate::operator::Counts;

/// The result of a fit: a [`Report`], to which it dereferences, and what least squares adds. There the value is
/// ½ Σ ρ(‖r_b‖²), which is ½‖r‖² without a robust loss; values are residuals r(x), gradients Jacobians J(x); the gradient
/// norm leaves out the components that bounds hold, which point outside and are no reason to move.
///
/// `Display` prints it as an aligned table, `{:#}` with every iteration.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LeastSquaresReport<T> {
    /// What all runs report.
    pub run: Report<T>,
    /// r(x).
    pub residual: Vec<T>,
    /// maxⱼ |Jⱼᵀr| / (‖Jⱼ‖‖r‖), the largest cosine of the angle between the residuals and a column of J that no bound
    /// holds: 0 at a minimum with r ≠ 0, and without unit. Where the columns are not known, ‖Jᵀr‖ / (‖J‖‖r‖) with an
    /// estimate of ‖J‖ from below.
    pub cosine: f64,
    /// The rank of J at x to working precision, without the columns that bounds hold; `None` where the Jacobian was not
    /// formed.
    pub rank: Option<usize>,
    /// The components of x that their bounds hold.
    pub held: Vec<usize>,
}

impl<T> Deref for LeastSquaresReport<T> {
    type Target = Report<T>;

    fn deref(&self) -> &Report<T> {
        &self.run
    }
}

impl<T: Scalar> fmt::Display for LeastSquaresReport<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            write_history(f, &self.history, self.history_stride())?;
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
        let Counts { values, gradients, products, transpose_products } = self.counts;
        let products = format!("{products} products Jv, {transpose_products} Jᵀu");
        writeln!(f, "{:<15} {values} residuals, {gradients} Jacobians, {products}", "evaluations")?;
        if self.reductions > 0 {
            writeln!(f, "{:<15} {}", "reductions", self.reductions)?;
        }
        writeln!(f, "{:<15} {} numbers", "memory", self.memory_numbers)?;
        writeln!(f, "{:<15} {:.3} s", "time", self.seconds)?;
        write!(f, "{:<15} {}", "advice", self.termination.advice())?;
        if let Some(rank) = self.rank.filter(|rank| rank + self.held.len() < n) {
            write!(
                f,
                " The data determine {rank} of {n} parameters, or combinations of them: the others are arbitrary."
            )?;
        }
        Ok(())
    }
}
