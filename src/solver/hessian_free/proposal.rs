//! What a method is given at a point, and what it brings back.

use crate::control::{Evaluation, Termination};
use crate::step::InnerStop;

/// A point: the model there, and how f is had elsewhere.
pub struct CurrentPoint<'a, T, M> {
    /// M on the curvature batch; M + λS where the objective has an S, with the λ that the iteration starts with.
    pub operator: &'a M,
    /// Whether there is an S.
    pub structural: bool,
    /// δᵀMδ without S, from δ and δᵀ(M + λS)δ.
    pub undamped: &'a dyn Fn(&[T], f64) -> f64,
    /// r ← P⁻¹r for the damping λ, with the preconditioner that was learned, or else with the operator's own.
    pub precondition: &'a dyn Fn(f64, &mut [T]),
    pub x: &'a [T],
    /// g on the gradient batch.
    pub gradient: &'a [T],
    /// m, from which the first direction of a space comes.
    pub mean_gradient: &'a [T],
    /// f(x) on the acceptance batch.
    pub value: f64,
    /// f on the acceptance batch.
    pub value_at: &'a dyn Fn(&[T]) -> f64,
    /// Whether another product is allowed.
    pub more: &'a dyn Fn() -> bool,
}

/// A step that was judged good.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    /// f at its end, on the acceptance batch.
    pub value: f64,
    /// ‖δ‖.
    pub norm: f64,
    /// Actual over predicted decrease.
    pub ratio: f64,
    /// λ that the step was made with.
    pub damping: f64,
    /// Points rejected before.
    pub rejected: usize,
    pub inner: InnerStop,
    pub lowest_ritz_value: f64,
}

/// Why there is no step.
#[derive(Clone, Copy, Debug)]
pub enum Failure {
    /// No point tried was better.
    NoDecrease,
    /// This was not finite wherever it was asked for.
    NotFinite(Evaluation),
    /// f became −∞.
    Unbounded,
    /// No product was allowed.
    NoProducts,
}

/// The rule of Levenberg & Marquardt (Martens 2010, section 4.1): λ after a step with this ratio.
pub fn damping_after(damping: f64, ratio: f64, factor: f64) -> f64 {
    if ratio > 0.75 {
        damping * factor
    } else if ratio >= 0.25 {
        damping
    } else {
        damping / factor
    }
}

/// What else an iteration can come to.
pub enum Outcome {
    End(Termination),
    NoStep(Failure),
}
