//! A symmetric operator by itself: evaluation, linearity, symmetry, curvature.

use std::fmt;

use super::curvature::{self, Curvature};
use super::evaluation::evaluate;
use super::finding::{write_failures, write_table};
use super::{Finding, Outcome, Property, tolerance};
use crate::base::{Result, Scalar, check_positive_dimension, kernels, random::SplitMix64};
use crate::operator::{Counted, SymmetricOperator};

/// Pairs of vectors for linearity and symmetry.
const PAIRS: usize = 3;

/// What was found about an operator.
///
/// Its `Display` is a table, with a sentence for every check that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct OperatorVerdict {
    /// The product is finite, written without being read, and repeatable.
    pub evaluation: Finding,
    /// ‖M(αu + βv) − αMu − βMv‖ / (‖M(αu + βv)‖ + ‖αMu‖ + ‖βMv‖), the largest of three.
    pub linearity: Finding,
    /// |uᵀMv − vᵀMu| / (‖u‖‖Mv‖ + ‖v‖‖Mu‖), the largest of three.
    pub symmetry: Finding,
    /// The signs of the curvature.
    pub curvature: Curvature,
    /// Products spent.
    pub products: usize,
}

/// Checks a symmetric operator: whether its products are finite, repeatable, written without being read, linear and
/// symmetric, and which signs of curvature it shows. Costs 28 products, 3 or 4 if they are not finite or not repeatable.
///
/// ```
/// use newton_krylov::{check, operator};
///
/// let transposed = operator(2, |v: &[f64], mv: &mut [f64]| {
///     mv[0] = 2.0 * v[0] + v[1];
///     mv[1] = -v[0] + 3.0 * v[1];
/// });
/// let verdict = check::operator(&transposed, 1)?;
/// assert_eq!(verdict.symmetry.outcome, check::Outcome::Asymmetric);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// If the dimension is zero.
pub fn operator<T: Scalar>(operator: &impl SymmetricOperator<T>, seed: u64) -> Result<OperatorVerdict> {
    check_positive_dimension("the operator's dimension", operator.dim())?;
    Ok(check(operator, &mut SplitMix64::new(seed)))
}

/// The checks themselves, for a positive dimension.
pub(super) fn check<T: Scalar>(operator: &impl SymmetricOperator<T>, random: &mut SplitMix64) -> OperatorVerdict {
    let operator = Counted::new(operator);
    let dim = operator.dim();
    let mut vector = || -> Vec<T> { (0..dim).map(|_| T::from_f64(random.normal())).collect() };
    let product = |v: &[T]| {
        let mut out = vec![T::zero(); dim];
        operator.apply(v, &mut out);
        out
    };

    let v = vector();
    let evaluation = evaluate(dim, |out: &mut [T]| operator.apply(&v, out)).outcome;
    let mut verdict = OperatorVerdict::skipped();
    verdict.evaluation = Finding::exact(Property::ProductEvaluation, evaluation);
    if evaluation.passed() {
        let (mut nonlinearity, mut asymmetry) = (0.0_f64, 0.0_f64);
        for _ in 0..PAIRS {
            let (u, v) = (vector(), vector());
            let (mu, mv) = (product(&u), product(&v));
            let (alpha, beta) = (T::from_f64(1.75), T::from_f64(-0.625));
            let combined: Vec<T> = u.iter().zip(&v).map(|(&u, &v)| alpha * u + beta * v).collect();
            let whole = product(&combined);
            let parts: Vec<T> = mu.iter().zip(&mv).map(|(&mu, &mv)| alpha * mu + beta * mv).collect();
            let apart: Vec<T> = whole.iter().zip(&parts).map(|(&whole, &parts)| whole - parts).collect();
            let (size_u, size_v) = (kernels::norm(&mu), kernels::norm(&mv));
            let size = kernels::norm(&whole) + 1.75 * size_u + 0.625 * size_v;
            nonlinearity = larger(nonlinearity, ratio(kernels::norm(&apart), size));
            let size = kernels::norm(&u) * size_v + kernels::norm(&v) * size_u;
            asymmetry = larger(asymmetry, ratio((kernels::dot(&u, &mv) - kernels::dot(&v, &mu)).abs(), size));
        }
        let allowed = tolerance::<T>();
        verdict.linearity = Finding::measured(Property::Linearity, nonlinearity, allowed, Outcome::Nonlinear);
        if verdict.linearity.passed() {
            verdict.symmetry = Finding::measured(Property::Symmetry, asymmetry, allowed, Outcome::Asymmetric);
            verdict.curvature = curvature::probe(&operator, random);
        }
    }
    verdict.products = operator.counts().products;
    verdict
}

/// The larger, or NaN if either is.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b <= a { a } else { b }
}

fn ratio(numerator: f64, denominator: f64) -> f64 {
    if numerator == 0.0 { 0.0 } else { numerator / denominator }
}

impl OperatorVerdict {
    pub(super) fn skipped() -> Self {
        OperatorVerdict {
            evaluation: Finding::exact(Property::ProductEvaluation, Outcome::Skipped),
            linearity: Finding::exact(Property::Linearity, Outcome::Skipped),
            symmetry: Finding::exact(Property::Symmetry, Outcome::Skipped),
            curvature: Curvature::UNKNOWN,
            products: 0,
        }
    }

    /// Whether every check passed. Negative curvature is no failure.
    pub fn passed(&self) -> bool {
        self.findings().iter().all(|finding| finding.passed())
    }

    /// The findings, in the order of the checks.
    pub fn findings(&self) -> [&Finding; 3] {
        [&self.evaluation, &self.linearity, &self.symmetry]
    }

    pub(super) fn write_curvature(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Curvature { definiteness, smallest, largest } = self.curvature;
        if definiteness == super::Definiteness::Unknown {
            return Ok(());
        }
        writeln!(f, "curvature met: {smallest:.3e} to {largest:.3e}")
    }
}

impl fmt::Display for OperatorVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.findings().map(|finding| (finding, String::new()));
        write_table(f, &rows)?;
        self.write_curvature(f)?;
        writeln!(f, "{} products", self.products)?;
        write_failures(f, &rows)
    }
}
