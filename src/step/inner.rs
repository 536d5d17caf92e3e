//! How steps are to be computed, and how that ended.

use super::remembered::RememberedModel;

/// How subproblems are solved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum InnerSolver {
    /// Krylov, until that costs as much as the matrix: where d ≤ 2048 (4d² numbers are 128 MiB then, whatever the memory of
    /// the Krylov path) and the products lately made, or those that the space of this point seems to need, are as many as
    /// forming the matrix costs ([`forming_cost`](crate::SymmetricOperator::forming_cost)), the matrix is formed; a space of k
    /// dimensions is completed by d − k further products. For least squares see
    /// [`LevenbergMarquardt::inner`](crate::LevenbergMarquardt::inner).
    #[default]
    Automatic,
    /// A stored Krylov space, and conjugate gradients beyond its memory.
    Krylov,
    /// The matrix is formed: d products or what `forming_cost` says, and 4d² numbers, or an error where those do not fit.
    /// Not where x is spread over ranks ([`distributed`](crate::ranks::distributed)).
    Dense,
}

/// How an inner solve ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum InnerStop {
    /// The residual or the model's remaining decrease is small enough.
    Accurate,
    /// The space is invariant or as large as it can be: nothing more can be gained.
    Exhausted,
    /// The matrix was formed and factored.
    Dense,
    /// The step was taken from remembered curvature; no product.
    Remembered,
    /// There was nothing to solve: the inverse of the metric is at hand.
    ClosedForm,
    /// No more products were allowed.
    Limit,
    /// A product was not finite; the solution is the best without it.
    NotFinite,
}

/// When a solution is accurate enough.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Accuracy {
    /// ‖r‖ ≤ `residual` ‖g‖, with r = (M + λI)δ + g.
    pub residual: f64,
    /// With a preconditioner P, instead: rᵀP⁻¹r ≤ 2 `energy` × the model's decrease, an estimate of what a larger space
    /// would add to it, and ‖r‖ ≤ ½‖g‖. 0 leaves only the residual test.
    pub energy: f64,
    /// Accurate in any case: ‖r‖ ≤ this.
    pub enough: f64,
    /// Whether what conjugate gradients bring home is good enough where they leave the trust region or meet negative
    /// curvature (Steihaug), as it is in an outer loop.
    pub truncated: bool,
}

impl Accuracy {
    /// ‖r‖ ≤ `residual` ‖g‖, and nothing less.
    pub const fn of_residual(residual: f64) -> Self {
        Accuracy { residual, energy: 0.0, enough: 0.0, truncated: false }
    }
}

/// What an inner solve needs from outside: remembered curvature, and how many products it may make.
pub struct Resources<'r, T> {
    pub remembered: Option<&'r mut RememberedModel<T>>,
    /// Whether another product is allowed; asked before each.
    pub more: &'r dyn Fn() -> bool,
}
