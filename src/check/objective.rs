//! All checks of an objective at one point.

use std::fmt;

use super::evaluation::{evaluate, same_bits};
use super::operator::{self, OperatorVerdict};
use super::sweep::{self, TaylorTest, unmeasured};
use super::table::{write_failures, write_table};
use super::watch::{Watch, Watched};
use super::{Finding, Outcome, Property, check_point, gradient, product, tolerance};
use crate::base::{Result, Scalar, check_callback, random::SplitMix64};
use crate::operator::{AnyObjective, Counted, Expansion, Objective, SymmetricOperator};

/// What was found about an objective.
///
/// Its `Display` is a table, with a sentence for every check that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectiveVerdict {
    /// The objective and its expansion have the same dimension.
    pub dimension: Finding,
    /// f(x) is finite and repeatable.
    pub value: Finding,
    /// The expansion's value is f(x).
    pub expansion_value: Finding,
    /// The gradient is finite, written without being read, and repeatable.
    pub gradient_evaluation: Finding,
    /// The gradient is the derivative of the value.
    pub gradient: TaylorTest,
    /// The product is a symmetric operator.
    pub operator: OperatorVerdict,
    /// The product is the derivative of the gradient.
    pub product: TaylorTest,
    /// Values spent, those of expansions included.
    pub values: usize,
    /// Gradients spent.
    pub gradients: usize,
    /// Products spent.
    pub products: usize,
}

/// Runs all checks of an objective at the point `x`, with random directions fixed by `seed`.
///
/// Choose a point that is not special: not a minimiser, no zeros, no symmetry. Checks whose ground is gone are not run,
/// so that what is reported is the cause. Costs about 120 values, 130 gradients and 34 products for `f64` (two
/// thirds of the values and gradients for `f32`), about 24 products more where the product is wrong; the verdict counts
/// them.
///
/// ```
/// use newton_krylov::{check, objective};
///
/// let f = objective(
///     2,
///     |x: &[f64]| x[0].exp() + x[0] * x[1] * x[1],
///     |x, g| {
///         g[0] = -x[0].exp() - x[1] * x[1];
///         g[1] = -2.0 * x[0] * x[1];
///     },
///     |x, v, hv| {
///         hv[0] = x[0].exp() * v[0] + 2.0 * x[1] * v[1];
///         hv[1] = 2.0 * x[1] * v[0] + 2.0 * x[0] * v[1];
///     },
/// );
/// let verdict = check::objective(&f, &[0.3, 0.7], 1)?;
/// assert!(!verdict.passed());
/// assert_eq!(verdict.gradient.finding.outcome, check::Outcome::OppositeSign);
/// assert!(verdict.to_string().contains("the gradient looks like −1 × the derivative of the value"));
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// If `x` has the wrong length or is not finite; what a callback returned as an error.
pub fn objective<T: Scalar>(objective: &impl Objective<T>, x: &[T], seed: u64) -> Result<ObjectiveVerdict> {
    check(AnyObjective::new(objective), x, seed)
}

/// The checks themselves.
fn check<T: Scalar>(objective: AnyObjective<'_, T>, x: &[T], seed: u64) -> Result<ObjectiveVerdict> {
    let dim = objective.dim();
    check_point(dim, x)?;
    let random = &mut SplitMix64::new(seed);
    let counted = &Counted::new(objective);
    let [gradient_watch, product_watch] = [Watch::default(), Watch::default()];
    let objective = &Watched { inner: counted, gradient: &gradient_watch, product: &product_watch };
    let mut verdict = ObjectiveVerdict::skipped();
    let expansion = counted.expand(x);
    if expansion.dim() != dim {
        let outcome = Outcome::DimensionDiffers { objective: dim, expansion: expansion.dim() };
        verdict.dimension = Finding::exact(Property::Dimension, outcome);
        return Ok(verdict);
    }
    verdict.dimension = Finding::exact(Property::Dimension, Outcome::Passed);

    // Another point, visited first (a cache that is filled once is then wrong at x) and again in between.
    let v: Vec<T> = sweep::direction(x, 0, random);
    let elsewhere: Vec<T> = x.iter().zip(&v).map(|(&x, &v)| x + v / T::from_f64(16.0)).collect();
    let visit = || {
        let mut out = vec![T::zero(); dim];
        objective.value(&elsewhere);
        let there = objective.expand(&elsewhere);
        there.gradient(&mut out);
        there.apply(&v, &mut out);
    };
    visit();

    let value = objective.value(x);
    let gradient_at_x = evaluate(dim, |out: &mut [T]| expansion.gradient(out));
    let product_at_x = evaluate(dim, |out: &mut [T]| expansion.apply(&v, out));
    verdict.value = Finding::exact(Property::Value, repeat_value(objective, x, value, &visit));
    if verdict.value.passed() {
        let found = expansion.value();
        let error = if found == value { 0.0 } else { (found - value).abs() / found.abs().max(value.abs()) };
        verdict.expansion_value =
            Finding::measured(Property::ExpansionValue, error, tolerance::<T>(), Outcome::ValueDiffers);
    }

    // Asked again after the visit, the expansion at x must not have moved.
    let revisit = |first: &[T], outcome: Outcome, write: &dyn Fn(&mut [T])| {
        let mut again = vec![T::nan(); dim];
        visit();
        write(&mut again);
        if outcome.passed() && !same_bits(first, &again) { Outcome::StalePoint } else { outcome }
    };
    let outcome = revisit(&gradient_at_x.output, gradient_at_x.outcome, &|out| expansion.gradient(out));
    verdict.gradient_evaluation = Finding::exact(Property::GradientEvaluation, outcome);
    if verdict.value.passed() && verdict.gradient_evaluation.passed() {
        verdict.gradient = gradient::compare(objective, x, &gradient_at_x.output, random);
    }

    let outcome = revisit(&product_at_x.output, product_at_x.outcome, &|out| expansion.apply(&v, out));
    if outcome.passed() {
        verdict.operator = operator::check(&expansion, random);
    } else {
        verdict.operator.evaluation = Finding::exact(Property::ProductEvaluation, outcome);
    }
    let gradient_is_right = verdict.gradient.finding.passed() || !verdict.value.passed();
    let linear = verdict.operator.evaluation.passed() && verdict.operator.linearity.passed();
    if verdict.gradient_evaluation.passed() && gradient_is_right && linear {
        verdict.product = product::compare(objective, x, &gradient_at_x.output, random);
    }
    check_callback(counted.take_error())?;
    gradient_watch.judge_finding(&mut verdict.gradient_evaluation);
    product_watch.judge_finding(&mut verdict.operator.evaluation);
    let counts = counted.counts();
    verdict.values = counts.values;
    verdict.gradients = counts.gradients;
    verdict.products = counts.products;
    Ok(verdict)
}

/// The value, again at once and again after a visit elsewhere.
fn repeat_value<T: Scalar>(objective: &impl Objective<T>, x: &[T], value: f64, visit: &impl Fn()) -> Outcome {
    if !value.is_finite() {
        return Outcome::NotFinite { component: None };
    }
    let again = objective.value(x);
    if again.to_bits() != value.to_bits() {
        return Outcome::NotRepeatable;
    }
    visit();
    if objective.value(x).to_bits() == value.to_bits() { Outcome::Passed } else { Outcome::StalePoint }
}

impl ObjectiveVerdict {
    fn skipped() -> Self {
        ObjectiveVerdict {
            dimension: Finding::skipped(Property::Dimension),
            value: Finding::skipped(Property::Value),
            expansion_value: Finding::skipped(Property::ExpansionValue),
            gradient_evaluation: Finding::skipped(Property::GradientEvaluation),
            gradient: unmeasured(Property::Gradient, Outcome::Skipped),
            operator: OperatorVerdict::skipped(),
            product: unmeasured(Property::Product, Outcome::Skipped),
            values: 0,
            gradients: 0,
            products: 0,
        }
    }

    /// Whether every check passed. Negative curvature is no failure; a product that is not the Hessian is.
    pub fn passed(&self) -> bool {
        self.findings().iter().all(|finding| finding.passed())
    }

    /// Whether every check passed, except that the product may be an approximation of the Hessian: what to ask of a
    /// Gauss–Newton or Fisher metric.
    pub fn passed_as_metric(&self) -> bool {
        let approximation = |finding: &Finding| finding.outcome == Outcome::Approximation;
        self.findings().iter().all(|finding| finding.passed() || approximation(finding))
    }

    /// The findings, in the order of the checks.
    pub fn findings(&self) -> [&Finding; 9] {
        let [evaluation, linearity, symmetry] = self.operator.findings();
        [
            &self.dimension,
            &self.value,
            &self.expansion_value,
            &self.gradient_evaluation,
            &self.gradient.finding,
            evaluation,
            linearity,
            symmetry,
            &self.product.finding,
        ]
    }
}

impl fmt::Display for ObjectiveVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_table(f, &self.findings(), &[&self.gradient, &self.product])?;
        self.operator.write_curvature(f)?;
        writeln!(f, "{} values, {} gradients, {} products", self.values, self.gradients, self.products)?;
        write_failures(f, &self.findings())
    }
}
