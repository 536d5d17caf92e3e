//! A preconditioner: P⁻¹ is symmetric, positive definite, and saves products with M + λI.

use std::fmt;

use super::numbers::normal;
use super::operator::{self, OperatorVerdict};
use super::table::{write_failures, write_table};
use super::{Definiteness, Finding, Outcome, Property};
use crate::base::{
    Result, Scalar, check_callback, check_not_negative, check_positive_dimension, random::SplitMix64, space,
};
use crate::curvature::Preconditioned;
use crate::operator::{Preconditioner, SymmetricOperator, forward, operator as closure};
use crate::step::{InnerSolver, StepOptions, Steps, Subproblem};

/// The residual of the solves that are compared, relative to the right-hand side.
const ACCURACY: f64 = 1e-3;

/// What was found about a preconditioner.
///
/// Its `Display` is a table, with a sentence for every check that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct PreconditionerVerdict {
    /// P⁻¹ is a symmetric operator.
    pub operator: OperatorVerdict,
    /// No r was met with rᵀP⁻¹r ≤ 0.
    pub definite: Finding,
    /// A solve takes fewer products than without it, or at most two; the error is the ratio.
    pub approximation: Finding,
    /// Products with M that a solve to 10⁻³ of the right-hand side takes without P and with it; 0 where it was not run.
    pub products: [usize; 2],
}

/// Checks a preconditioner P ≈ M + λI for the λ that is given as `shift`: whether P⁻¹ is linear, symmetric and positive
/// definite, and whether it saves products. Costs two solves with M + λI, to 10⁻³ of a random right-hand side and at most
/// 2d products each, and 22 applications of P⁻¹ besides.
/// Where a solve takes d products and more without P, that it takes a few less with it says little: look at both numbers.
///
/// ```
/// use newton_krylov::check;
/// use newton_krylov::operators::DiagonalOperator;
///
/// let m = DiagonalOperator((1..=200).map(|i| (i * i) as f64).collect());
/// let inverse = |shift: f64, r: &mut [f64]| (0..200).for_each(|i| r[i] /= ((i + 1) * (i + 1)) as f64 + shift);
/// let verdict = check::preconditioner(&m, &inverse, 1.0, 1)?;
/// assert!(verdict.passed() && verdict.products[1] < 5 && verdict.products[0] > 50, "{verdict}");
///
/// // A sign is wrong.
/// let wrong = |_: f64, r: &mut [f64]| r[7] *= -1.0;
/// let verdict = check::preconditioner(&m, &wrong, 1.0, 1)?;
/// assert_eq!(verdict.definite.outcome, check::Outcome::Indefinite);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// If the operator has no dimension, or the shift is negative, NaN or infinite; what a callback returned as an error.
pub fn preconditioner<T: Scalar>(
    operator: &impl SymmetricOperator<T>,
    preconditioner: &impl Preconditioner<T>,
    shift: f64,
    seed: u64,
) -> Result<PreconditionerVerdict> {
    space::check_whole("check")?;
    let dim = operator.dim();
    check_positive_dimension("the operator's dimension", dim)?;
    check_not_negative("shift", shift)?;
    let random = &mut SplitMix64::new(seed);
    let inverse = closure(dim, |v: &[T], out: &mut [T]| {
        out.copy_from_slice(v);
        preconditioner.precondition(shift, out);
    });
    let found = operator::check(&inverse, random);
    check_callback(preconditioner.take_error())?;
    let mut verdict = PreconditionerVerdict {
        definite: Finding::skipped(Property::Definite),
        approximation: Finding::skipped(Property::Approximation),
        operator: found,
        products: [0; 2],
    };
    if verdict.operator.passed() {
        let definite = verdict.operator.curvature.definiteness == Definiteness::NonNegative;
        let outcome = if definite { Outcome::Passed } else { Outcome::Indefinite };
        verdict.definite = Finding::exact(Property::Definite, outcome);
    }
    if verdict.definite.passed() {
        let gradient: Vec<T> = normal(dim, random);
        let options = StepOptions {
            inner: InnerSolver::Krylov,
            tolerance: ACCURACY,
            max_products: dim.saturating_mul(2).max(2),
            ..StepOptions::default()
        };
        let damped = Subproblem::Damped(shift);
        let plain = Steps::new(&Plain(operator), &gradient, options)?.solve(damped)?.products;
        let with = Preconditioned {
            operator,
            preconditioner: &|shift: f64, r: &mut [T]| preconditioner.precondition(shift, r),
        };
        let with = Steps::new(&with, &gradient, options)?.solve(damped)?.products;
        verdict.products = [plain, with];
        // Two products leave nothing to save. At most d are needed in any case, so as many with as without say nothing for P.
        let plain = plain.max(1) as f64;
        let allowed = if plain <= 2.0 { 2.0 / plain } else { 1.0 - plain.recip() };
        verdict.approximation =
            Finding::measured(Property::Approximation, with as f64 / plain, allowed, Outcome::NoApproximation);
    }
    Ok(verdict)
}

/// The operator without its preconditioner.
struct Plain<'a, M>(&'a M);

impl<T, M: SymmetricOperator<T>> SymmetricOperator<T> for Plain<'_, M> {
    forward!(self.0; dim, apply, take_error);
}

impl PreconditionerVerdict {
    /// Whether every check passed.
    pub fn passed(&self) -> bool {
        self.findings().iter().all(|finding| finding.passed())
    }

    /// The findings, in the order of the checks.
    pub fn findings(&self) -> [&Finding; 5] {
        let [evaluation, linearity, symmetry] = self.operator.findings();
        [evaluation, linearity, symmetry, &self.definite, &self.approximation]
    }
}

impl fmt::Display for PreconditionerVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_table(f, &self.findings(), &[])?;
        writeln!(f, "products of a solve: {} without it, {} with it", self.products[0], self.products[1])?;
        write_failures(f, &self.findings())
    }
}
