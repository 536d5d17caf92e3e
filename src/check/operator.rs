//! A symmetric operator by itself: evaluation, linearity, symmetry, curvature.

use std::fmt;

use super::curvature::{self, Curvature};
use super::evaluation::evaluate;
use super::numbers::{PAIRS, larger, normal, ratio};
use super::table::{write_failures, write_table};
use super::watch::{Watch, Watched};
use super::{Finding, Outcome, Property, tolerance};
use crate::base::{Result, Scalar, check_callback, check_positive_dimension, kernels, random::SplitMix64, space};
use crate::operator::{Counted, SymmetricOperator};

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
/// symmetric, and which signs of curvature it shows. Costs at most 22 products, 3 or 4 if they are not finite or not repeatable.
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
/// If the dimension is zero; what the callback returned as an error.
pub fn operator<T: Scalar>(operator: &impl SymmetricOperator<T>, seed: u64) -> Result<OperatorVerdict> {
    space::check_whole("check")?;
    check_positive_dimension("the operator's dimension", operator.dim())?;
    let verdict = check(operator, &mut SplitMix64::new(seed));
    check_callback(operator.take_error())?;
    Ok(verdict)
}

/// The checks themselves, for a positive dimension.
pub(super) fn check<T: Scalar>(operator: &dyn SymmetricOperator<T>, random: &mut SplitMix64) -> OperatorVerdict {
    let operator = Counted::new(operator);
    let dim = operator.dim();
    let watch = Watch::default();
    let product = |v: &[T]| watch.vector(dim, |out| operator.apply(v, out));

    let v: Vec<T> = normal(dim, random);
    let evaluation = evaluate(dim, |out: &mut [T]| operator.apply(&v, out)).outcome;
    let mut verdict = OperatorVerdict::skipped();
    verdict.evaluation = Finding::exact(Property::ProductEvaluation, evaluation);
    if evaluation.passed() {
        let (mut linearity, mut asymmetry) = (0.0_f64, 0.0_f64);
        for _ in 0..PAIRS {
            let ([u, v], [mu, mv], error) = combine(dim, random, &product);
            linearity = larger(linearity, error);
            let size = kernels::norm(&u) * kernels::norm(&mv) + kernels::norm(&v) * kernels::norm(&mu);
            asymmetry = larger(asymmetry, ratio((kernels::dot(&u, &mv) - kernels::dot(&v, &mu)).abs(), size));
        }
        let allowed = tolerance::<T>();
        verdict.linearity = Finding::measured(Property::Linearity, linearity, allowed, Outcome::Nonlinear);
        if verdict.linearity.passed() {
            verdict.symmetry = Finding::measured(Property::Symmetry, asymmetry, allowed, Outcome::Asymmetric);
            let watched = Watched { inner: &operator, gradient: &watch, product: &watch };
            verdict.curvature = curvature::probe(&watched, random);
        }
        verdict.evaluation = Finding::exact(Property::ProductEvaluation, watch.judge(evaluation));
    }
    verdict.products = operator.counts().products;
    verdict
}

/// Random u and v, Mu and Mv, and ‖M(αu + βv) − αMu − βMv‖ / (‖M(αu + βv)‖ + ‖αMu‖ + ‖βMv‖).
pub(super) fn combine<T: Scalar>(
    dim: usize,
    random: &mut SplitMix64,
    product: &dyn Fn(&[T]) -> Vec<T>,
) -> ([Vec<T>; 2], [Vec<T>; 2], f64) {
    let (alpha, beta) = (1.75, -0.625);
    let [u, v] = [0, 1].map(|_| normal(dim, random));
    let [mu, mv] = [&u, &v].map(|v| product(v));
    let mut combined = v.clone();
    kernels::axpby(alpha, &u, beta, &mut combined);
    let whole = product(&combined);
    let size = kernels::norm(&whole) + alpha * kernels::norm(&mu) - beta * kernels::norm(&mv);
    let mut apart = whole;
    kernels::axpy(-alpha, &mu, &mut apart);
    kernels::axpy(-beta, &mv, &mut apart);
    let error = ratio(kernels::norm(&apart), size);
    ([u, v], [mu, mv], error)
}

impl OperatorVerdict {
    pub(super) fn skipped() -> Self {
        OperatorVerdict {
            evaluation: Finding::skipped(Property::ProductEvaluation),
            linearity: Finding::skipped(Property::Linearity),
            symmetry: Finding::skipped(Property::Symmetry),
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
        write_table(f, &self.findings(), &[])?;
        self.write_curvature(f)?;
        writeln!(f, "{} products", self.products)?;
        write_failures(f, &self.findings())
    }
}
