//! Why a run ended.

use std::fmt;

/// What could not be evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Evaluation {
    /// f(x).
    Value,
    /// ∇f(x).
    Gradient,
    /// A product with the Hessian.
    Product,
}

/// Why a run ended. A closed list: match on it. [`advice`](Self::advice) says what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Termination {
    /// ‖∇f(x)‖ has reached the tolerance, and the model, where there is one, promises no more: see
    /// [`Stopping::gradient_relative`](crate::Stopping::gradient_relative).
    GradientTolerance,
    /// The last step was as short as [`Stopping::step`](crate::Stopping::step) asks.
    StepTolerance,
    /// The last decrease was as small as [`Stopping::decrease`](crate::Stopping::decrease) asks.
    DecreaseTolerance,
    /// f(x) has reached the target value.
    TargetValue,
    /// The most iterations were made.
    MaxIterations,
    /// The most values were computed.
    MaxValues,
    /// The most gradients were computed.
    MaxGradients,
    /// The most products were made.
    MaxProducts,
    /// The time is up.
    MaxTime,
    /// The observer stopped the run.
    Observer,
    /// [`Stopping::cancellation`](crate::Stopping::cancellation) was raised.
    Cancelled,
    /// A callback returned an error, which is in the report.
    CallbackFailed,
    /// f decreases without bound: it has become −∞, or x has left the range of numbers.
    Unbounded,
    /// The steps of a given rate have carried f up, out of the range of numbers.
    Diverged,
    /// No step decreases f by more than its rounding, and the gradient no longer falls either; or half of all steps did neither
    /// by more than an end leaves.
    Stalled,
    /// f lies in a flat valley, or on a plateau: for twenty steps neither has the model promised more than √ε of f, nor less
    /// and less, nor have the residuals given more; or they do not depend on x here. Least squares only.
    FlatValley,
    /// However short the step along which f should fall, it does not: value and gradient do not fit together.
    InconsistentGradient,
    /// Wherever a step leads, this cannot be evaluated.
    NotFinite(Evaluation),
    /// The products are not those of a symmetric matrix, and the run has stalled.
    Asymmetric,
}

impl Termination {
    /// Whether x is stationary to the gradient tolerance. No other outcome claims so.
    pub fn converged(&self) -> bool {
        *self == Termination::GradientTolerance
    }

    /// Whether it is a limit, the observer's or a callback's, so that a run may go on after it.
    pub(crate) fn passes(self) -> bool {
        use Termination::*;
        !matches!(
            self,
            GradientTolerance
                | FlatValley
                | Unbounded
                | Diverged
                | Stalled
                | InconsistentGradient
                | Asymmetric
                | NotFinite(_)
        )
    }

    /// One sentence on what it means and what can be done.
    pub fn advice(&self) -> &'static str {
        match self {
            Termination::GradientTolerance => "Nothing to do: the gradient is as small as was asked.",
            Termination::StepTolerance => "If the gradient is still large, lower stopping.step or set it to 0.",
            Termination::DecreaseTolerance => "If the gradient is still large, lower stopping.decrease or set it to 0.",
            Termination::TargetValue => "Nothing to do: the value is as low as was asked.",
            Termination::MaxIterations => "Raise stopping.max_iterations, or start again from x.",
            Termination::MaxValues => "Raise stopping.max_values, or start again from x.",
            Termination::MaxGradients => "Raise stopping.max_gradients, or start again from x.",
            Termination::MaxProducts => "Raise stopping.max_products, give a preconditioner, or start again from x.",
            Termination::MaxTime => "Raise stopping.max_time, or start again from x.",
            Termination::Observer => "The observer asked for it; x is the best point so far.",
            Termination::Cancelled => "It was cancelled from outside; x is the best point so far.",
            Termination::CallbackFailed => "See the error in the report; x is the best point before it.",
            Termination::Unbounded => {
                "Check the sign of f, or add bounds or a regulariser: there is no minimum this way."
            }
            Termination::Diverged => "Lower the rate: steps are too long for the curvature of f.",
            Termination::Stalled => {
                "The accuracy of f and ∇f is used up: x is as good as they allow; sum f in f64, or accept a looser tolerance."
            }
            Termination::FlatValley => {
                "The data hardly tell these parameters apart here: fix one, give a prior or bounds, or start elsewhere."
            }
            Termination::InconsistentGradient => {
                "Run check::objective or check::least_squares at x: most likely a derivative has a wrong sign, factor or component."
            }
            Termination::NotFinite(Evaluation::Value) => "f is NaN or infinite around x: check its domain near x.",
            Termination::NotFinite(Evaluation::Gradient) => {
                "The gradient or Jacobian is NaN or infinite around x: run check::objective or check::least_squares."
            }
            Termination::NotFinite(Evaluation::Product) => {
                "Products are NaN or infinite at x: check them with check::objective."
            }
            Termination::Asymmetric => "Run check::operator: uᵀMv and vᵀMu differ, which no Hessian allows.",
        }
    }
}

impl fmt::Display for Termination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Termination::GradientTolerance => "converged: gradient tolerance",
            Termination::StepTolerance => "step tolerance",
            Termination::DecreaseTolerance => "decrease tolerance",
            Termination::TargetValue => "target value reached",
            Termination::MaxIterations => "iteration limit",
            Termination::MaxValues => "limit of values",
            Termination::MaxGradients => "limit of gradients",
            Termination::MaxProducts => "limit of products",
            Termination::MaxTime => "time limit",
            Termination::Observer => "stopped by the observer",
            Termination::Cancelled => "cancelled",
            Termination::CallbackFailed => "a callback failed",
            Termination::Unbounded => "unbounded below",
            Termination::Diverged => "diverged",
            Termination::Stalled => "stalled at rounding",
            Termination::FlatValley => "flat valley",
            Termination::InconsistentGradient => "value and gradient do not fit",
            Termination::NotFinite(Evaluation::Value) => "value not finite",
            Termination::NotFinite(Evaluation::Gradient) => "gradient not finite",
            Termination::NotFinite(Evaluation::Product) => "products not finite",
            Termination::Asymmetric => "products not symmetric",
        })
    }
}
