//! What a check can find, and the sentence that says what to do about it.

use std::fmt;

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Property {
    /// The objective and its expansion have the same dimension.
    Dimension,
    /// f(x) is finite and the same when it is asked for again.
    Value,
    /// The value of the expansion is f(x).
    ExpansionValue,
    /// The gradient is finite, written without being read, and the same when it is asked for again.
    GradientEvaluation,
    /// The gradient is the derivative of the value.
    Gradient,
    /// The product is finite, written without being read, and the same when it is asked for again.
    ProductEvaluation,
    /// M(αu + βv) = αMu + βMv.
    Linearity,
    /// uᵀMv = vᵀMu.
    Symmetry,
    /// The product is the derivative of the gradient.
    Product,
    /// The residuals are finite, written without being read, the same when they are asked for again, and the outputs of
    /// the linearisation.
    Residuals,
    /// Jv is finite, written without being read, and the same when it is asked for again.
    JacobianEvaluation,
    /// Jv is the derivative of the residuals.
    Jacobian,
    /// Jᵀu is finite, written without being read, and the same when it is asked for again.
    TransposeEvaluation,
    /// Jᵀu is the gradient of uᵀr.
    Transpose,
    /// uᵀ(Jv) = vᵀ(Jᵀu).
    Adjoint,
    /// The matrix that is formed has the products Jv.
    Matrix,
    /// rᵀP⁻¹r > 0.
    Definite,
    /// The preconditioner saves products.
    Approximation,
    /// The outputs of a batch are those of its samples.
    Batches,
    /// The curvature in place of ∇²l is symmetric and positive semidefinite.
    PositiveCurvature,
    /// The score is −∇l.
    Score,
    /// The Fisher matrix is E\[ŝŝᵀ\] of the scores that are drawn, and E\[ŝ\] = 0.
    Fisher,
    /// The divergence is ½δᵀFδ to second order, and 0 for δ = 0.
    Divergence,
}

/// What a check says. Closed names, so that a test can ask for one.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// As it should be.
    Passed,
    /// Nothing changes beyond rounding, so there was nothing to contradict: a constant value, a gradient that is
    /// constant. Counts as passed.
    OnlyRounding,
    /// Not run, because another check that it builds on failed.
    Skipped,
    /// The expansion has another dimension than the objective.
    DimensionDiffers {
        /// The objective's dimension.
        objective: usize,
        /// The expansion's dimension.
        expansion: usize,
    },
    /// NaN or infinite at x itself.
    NotFinite {
        /// The first such component of a vector.
        component: Option<usize>,
    },
    /// Finite at x, but at no pair of points x ± hv, however short the step.
    NotFiniteNearby,
    /// A component of `out` is never written.
    Unwritten {
        /// The first such component.
        component: usize,
    },
    /// An entry of a Jacobian is not written by the closure that gives the matrix.
    UnwrittenEntry {
        /// Its residual: the first such entry by columns.
        row: usize,
        /// Its parameter.
        column: usize,
    },
    /// The result depends on what was in `out` before, for example because it is added to.
    ReadsOutput,
    /// The same call twice in a row gives different bits.
    NotRepeatable,
    /// The result belongs to another point: it changes when another point was evaluated in between, or it does not
    /// change with the point where it must.
    StalePoint,
    /// The expansion's value is not the objective's.
    ValueDiffers,
    /// M(αu + βv) ≠ αMu + βMv.
    Nonlinear,
    /// uᵀMv ≠ vᵀMu.
    Asymmetric,
    /// uᵀ(Jv) ≠ vᵀ(Jᵀu).
    NotAdjoint,
    /// A curvature that must not be negative was.
    Indefinite,
    /// A solve takes as many products with the preconditioner as without it, or more.
    NoApproximation,
    /// The outputs of a batch are not those of its samples, one after the other.
    BatchDiffers,
    /// What a likelihood says in two ways differs.
    Mismatch,
    /// −1 × the derivative.
    OppositeSign,
    /// Another multiple of the derivative.
    Factor(
        /// The multiple, snapped to 0, ±½ and ±2 where it is that.
        f64,
    ),
    /// Not the Hessian, but symmetric and, as far as probed, positive semidefinite: the remainder falls only as h.
    /// A Gauss–Newton or Fisher product, or a Hessian with a term missing.
    Approximation,
    /// Not the derivative, nor anything recognised.
    WrongDerivative {
        /// A component that is off, where one could be singled out.
        component: Option<usize>,
    },
}

impl Outcome {
    /// Whether nothing is wrong: [`Outcome::Passed`] or [`Outcome::OnlyRounding`].
    pub fn passed(self) -> bool {
        matches!(self, Outcome::Passed | Outcome::OnlyRounding)
    }
}

/// The result of one check.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// What was checked.
    pub property: Property,
    /// What was found.
    pub outcome: Outcome,
    /// The relative error. 0 where bits are compared; NaN where nothing could be measured.
    pub error: f64,
    /// The relative error that was allowed: [`tolerance`](super::tolerance), or more where rounding hides more.
    pub tolerance: f64,
}

impl Finding {
    /// That of a check that was not run, because another that it builds on failed.
    pub(super) fn skipped(property: Property) -> Self {
        Finding::exact(property, Outcome::Skipped)
    }

    /// A finding without numbers.
    pub(super) fn exact(property: Property, outcome: Outcome) -> Self {
        let error = if outcome.passed() { 0.0 } else { f64::NAN };
        Finding { property, outcome, error, tolerance: 0.0 }
    }

    /// A relative error against its tolerance.
    pub(super) fn measured(property: Property, error: f64, tolerance: f64, otherwise: Outcome) -> Self {
        let outcome = if error <= tolerance { Outcome::Passed } else { otherwise };
        Finding { property, outcome, error, tolerance }
    }

    /// Whether nothing is wrong.
    pub fn passed(&self) -> bool {
        self.outcome.passed()
    }

    /// Whether this is a cause to act on: failed, and not merely skipped.
    pub(super) fn failed(&self) -> bool {
        !self.passed() && self.outcome != Outcome::Skipped
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Property::Dimension => "dimension",
            Property::Value => "value, evaluation",
            Property::ExpansionValue => "value of the expansion",
            Property::GradientEvaluation => "gradient, evaluation",
            Property::Gradient => "gradient against value",
            Property::ProductEvaluation => "product, evaluation",
            Property::Linearity => "product, linearity",
            Property::Symmetry => "product, symmetry",
            Property::Product => "product against gradient",
            Property::Residuals => "residuals, evaluation",
            Property::JacobianEvaluation => "Jv, evaluation",
            Property::Jacobian => "Jv against residuals",
            Property::TransposeEvaluation => "Jᵀu, evaluation",
            Property::Transpose => "Jᵀu against residuals",
            Property::Adjoint => "Jᵀu against Jv",
            Property::Matrix => "matrix against Jv",
            Property::Definite => "P⁻¹, positive definite",
            Property::Approximation => "P against M",
            Property::Batches => "batches against samples",
            Property::PositiveCurvature => "positive curvature",
            Property::Score => "score against gradient",
            Property::Fisher => "Fisher matrix and draws",
            Property::Divergence => "divergence",
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Outcome::Passed => "passed",
            Outcome::OnlyRounding => "only rounding",
            Outcome::Skipped => "not run",
            Outcome::DimensionDiffers { .. } => "differs",
            Outcome::NotFinite { .. } => "not finite",
            Outcome::NotFiniteNearby => "not finite nearby",
            Outcome::Unwritten { .. } | Outcome::UnwrittenEntry { .. } => "unwritten",
            Outcome::ReadsOutput => "reads its output",
            Outcome::NotRepeatable => "not repeatable",
            Outcome::StalePoint => "stale point",
            Outcome::ValueDiffers => "differs",
            Outcome::Nonlinear => "nonlinear",
            Outcome::Asymmetric => "asymmetric",
            Outcome::NotAdjoint => "not adjoint",
            Outcome::Indefinite => "indefinite",
            Outcome::NoApproximation => "no approximation",
            Outcome::BatchDiffers | Outcome::Mismatch => "differs",
            Outcome::OppositeSign => "opposite sign",
            Outcome::Factor(_) => "wrong factor",
            Outcome::Approximation => "approximation",
            Outcome::WrongDerivative { .. } => "wrong",
        })
    }
}

/// The finding as one sentence that a person can act on.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, below) = match self.property {
            Property::Dimension => ("dimension", ""),
            Property::Value => ("value", ""),
            Property::ExpansionValue => ("expansion's value", "value of the objective"),
            Property::GradientEvaluation | Property::Gradient => ("gradient", "value"),
            Property::Residuals => ("residuals", "residuals"),
            Property::JacobianEvaluation | Property::Jacobian => ("product Jv", "residuals"),
            Property::TransposeEvaluation | Property::Transpose | Property::Adjoint => ("product Jᵀu", "residuals"),
            Property::Matrix => ("matrix that is formed", "residuals"),
            Property::Definite | Property::Approximation => ("preconditioner", "operator"),
            Property::Batches => ("batch", "samples"),
            Property::PositiveCurvature => ("positive curvature", "loss"),
            Property::Score => ("score", "gradient with its sign changed"),
            Property::Fisher => ("Fisher matrix", "mean of ŝŝᵀ over draws, in units of what chance explains"),
            Property::Divergence => ("divergence", "½δᵀFδ"),
            _ => ("product", "gradient"),
        };
        let error = self.error;
        match self.outcome {
            Outcome::Passed => write!(f, "the {name} is as it should be"),
            Outcome::OnlyRounding => write!(f, "the {below} does not change beyond rounding, and the {name} agrees"),
            Outcome::Skipped => write!(f, "the check of the {name} was not run, because one before it failed"),
            Outcome::DimensionDiffers { objective, expansion } => {
                write!(f, "the objective has dimension {objective}, but its expansion has {expansion}")
            }
            Outcome::NotFinite { component: Some(i) } => {
                write!(f, "component {i} of the {name} is not finite at x, where it must be: evaluate it there alone")
            }
            Outcome::NotFinite { component: None } => {
                write!(f, "the {name} is not finite at x: check at a point where it can be evaluated")
            }
            Outcome::NotFiniteNearby => {
                write!(f, "the {below} is finite at x, but at no pair of points x ± hv: move x inside the domain")
            }
            Outcome::Unwritten { component } => {
                write!(f, "component {component} of the {name}'s output is never written: write every component")
            }
            Outcome::UnwrittenEntry { row, column } => {
                write!(f, "row {row} of column {column} of the Jacobian is not written: write every entry, zeros too")
            }
            Outcome::ReadsOutput => {
                write!(f, "the {name} depends on what its output held before: assign to it, or fill it with zero first")
            }
            Outcome::NotRepeatable => {
                write!(f, "the same {name} asked for twice differs: fix the seed, the batch or the order of summation")
            }
            Outcome::StalePoint => {
                write!(
                    f,
                    "the {name} is that of another point: compute it from the x it is asked for, not from a cache"
                )
            }
            Outcome::ValueDiffers => {
                write!(f, "the {name} differs from the {below} by {error:.1e} relative: both must be f(x)")
            }
            Outcome::Nonlinear => {
                write!(
                    f,
                    "M(αu + βv) differs from αMu + βMv by {error:.1e} relative: look for v where it is not a factor"
                )
            }
            Outcome::Asymmetric => {
                write!(
                    f,
                    "uᵀMv differs from vᵀMu by {error:.1e} relative: look for swapped indices or a missing transpose"
                )
            }
            Outcome::NotAdjoint => {
                write!(f, "uᵀ(Jv) differs from vᵀ(Jᵀu) by {error:.1e} relative: the two products are not of one matrix")
            }
            Outcome::Indefinite => {
                write!(f, "the {name} has vᵀ·v < 0, or = 0, for some v, where it must not: look for a sign")
            }
            Outcome::NoApproximation => {
                write!(
                    f,
                    "a solve takes {error:.2} times the products with the preconditioner: is it P⁻¹, for this shift?"
                )
            }
            Outcome::BatchDiffers => {
                write!(
                    f,
                    "the outputs of a batch differ from those of its samples, one after the other, by {error:.1e}"
                )
            }
            Outcome::Mismatch => write!(f, "the {name} differs from the {below} by {error:.1e} relative"),
            Outcome::OppositeSign => {
                write!(f, "the {name} looks like −1 × the derivative of the {below}: change its sign")
            }
            Outcome::Factor(0.0) => {
                write!(f, "the {name} is zero, but the {below} changes: the derivative is not computed")
            }
            Outcome::Factor(factor) => {
                let factor = format!("{factor:.4}").trim_end_matches('0').trim_end_matches('.').replace('-', "−");
                write!(f, "the {name} looks like {factor} × the derivative of the {below}: remove the factor")
            }
            Outcome::Approximation => write!(
                f,
                "the product is a symmetric approximation, {error:.1e} away from the derivative of the gradient: right \
                 for Gauss–Newton or Fisher; for a Hessian, a term is missing"
            ),
            Outcome::WrongDerivative { component: Some(i) } => {
                write!(f, "the {name} is off by {error:.1e} relative: look at component {i} first")
            }
            Outcome::WrongDerivative { component: None } => {
                write!(f, "the {name} is not the derivative of the {below}: it is off by {error:.1e} relative")
            }
        }
    }
}
