//! All checks of a least-squares problem at one point.

use std::fmt;

use super::evaluation::{evaluate, same_bits};
use super::line::Line;
use super::linear_map::{adjoint, matrix, unwritten_entry};
use super::numbers::normal;
use super::sweep::{self, DIRECTIONS, TaylorTest, unmeasured};
use super::table::{write_failures, write_table};
use super::watch::Watch;
use super::{Finding, Outcome, Property, check_point, tolerance};
use crate::base::{Result, Scalar, check_callback, check_positive_dimension, kernels, random::SplitMix64, space};
use crate::curvature::{Bounds, LeastSquares};
use crate::operator::{AnyModel, Around, Model};

/// What was found about a least-squares problem.
///
/// Its `Display` is a table, with a sentence for every check that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct LeastSquaresVerdict {
    /// The model and its linearisation have the same m and n.
    pub dimension: Finding,
    /// The residuals are finite, written without being read, repeatable, and the outputs of the linearisation.
    pub residuals: Finding,
    /// Jv is finite, written without being read, and repeatable.
    pub product_evaluation: Finding,
    /// Jv is the derivative of the residuals.
    pub product: TaylorTest,
    /// Jᵀu is finite, written without being read, and repeatable.
    pub transpose_evaluation: Finding,
    /// Jᵀu is the gradient of uᵀr.
    pub transpose: TaylorTest,
    /// |uᵀ(Jv) − vᵀ(Jᵀu)| / (‖u‖‖Jv‖ + ‖v‖‖Jᵀu‖), the largest of three.
    pub adjoint: Finding,
    /// The matrix that is formed has the products Jv.
    pub matrix: Finding,
}

/// Runs all checks of the residuals of `fit` and of their Jacobian's products at the point `x`, with random directions
/// fixed by `seed`. A robust loss and bounds play no part.
///
/// Jv and Jᵀu are each compared with differences of the residuals, and with each other: where they disagree the first
/// two say which one is wrong. Choose a point that is not special: no zeros, no symmetry. Costs about 250 residuals, 13
/// products of each kind, and a formed matrix of m·n numbers, if it has at most 2²⁰ or takes less than min(m, n) products.
///
/// ```
/// use newton_krylov::{check, least_squares};
///
/// let fit = least_squares(
///     2,
///     2,
///     |x: &[f64], r| r.copy_from_slice(&[x[0] * x[1], x[0].sin()]),
///     |x, v, jv| jv.copy_from_slice(&[x[1] * v[0] + x[0] * v[1], x[0].cos() * v[0]]),
///     |x, u, jtu| jtu.copy_from_slice(&[x[1] * u[0], x[0] * u[0]]), // a term is missing
/// );
/// let verdict = check::least_squares(&fit, &[0.3, 0.7], 1)?;
/// assert!(verdict.product.finding.passed() && !verdict.transpose.finding.passed());
/// assert_eq!(verdict.adjoint.outcome, check::Outcome::NotAdjoint);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// If there are no residuals, or `x` has the wrong length or is not finite; what a callback returned as an error.
pub fn least_squares<T, M, L>(fit: &LeastSquares<T, M, L>, x: &[T], seed: u64) -> Result<LeastSquaresVerdict>
where
    T: Scalar,
    M: Model<T>,
{
    check(fit.model(), fit.bounds().map(Bounds::slices), x, seed)
}

/// The checks themselves.
fn check<T: Scalar>(
    model: &dyn AnyModel<T>,
    bounds: Option<[&[T]; 2]>,
    x: &[T],
    seed: u64,
) -> Result<LeastSquaresVerdict> {
    space::check_whole_residuals("check")?;
    let (m, n) = (model.output_dim(), model.dim());
    check_positive_dimension("the number of residuals", m)?;
    check_point(n, x)?;
    let random = &mut SplitMix64::new(seed);
    let mut verdict = LeastSquaresVerdict::skipped();
    let at = model.linearize_within(x, Around { bounds, ..Around::default() });
    let dimension = if at.rows() != m || at.outputs().len() != m {
        Outcome::DimensionDiffers { objective: m, expansion: at.rows() }
    } else if at.columns() != n {
        Outcome::DimensionDiffers { objective: n, expansion: at.columns() }
    } else {
        Outcome::Passed
    };
    verdict.dimension = Finding::exact(Property::Dimension, dimension);
    if !dimension.passed() {
        return Ok(verdict);
    }

    let v = sweep::direction(x, 0, random);
    let u: Vec<T> = normal(m, random);
    let [watch_residuals, watch, watch_transpose] = std::array::from_fn(|_| Watch::default());
    // Another point, visited in between: a cache that belongs to no point is wrong then.
    let elsewhere: Vec<T> = x.iter().zip(&v).map(|(&x, &v)| x + v / T::from_f64(16.0)).collect();
    let visit = || {
        let (mut r, mut g) = (vec![T::zero(); m], vec![T::zero(); n]);
        watch_residuals.call(&mut r, |r| model.evaluate(&elsewhere, r));
        let there = model.linearize_within(&elsewhere, Around::default());
        watch.call(&mut r, |r| there.apply(&v, r));
        watch_transpose.call(&mut g, |g| there.apply_transpose(&u, g));
    };
    let examine = |len: usize, write: &dyn Fn(&mut [T])| {
        let first = evaluate(len, write);
        visit();
        let mut again = vec![T::nan(); len];
        write(&mut again);
        let stale = first.outcome.passed() && !same_bits(&first.output, &again);
        (first.output, if stale { Outcome::StalePoint } else { first.outcome })
    };

    let (residual, outcome) = examine(m, &|out| model.evaluate(x, out));
    let outputs_differ = outcome.passed() && {
        let size = kernels::norm(&residual).max(kernels::norm(at.outputs()));
        let apart: Vec<T> = residual.iter().zip(at.outputs()).map(|(&a, &b)| a - b).collect();
        let apart = kernels::norm(&apart);
        apart.is_nan() || apart > tolerance::<T>() * size
    };
    let outcome = if outputs_differ { Outcome::ValueDiffers } else { outcome };
    verdict.residuals = Finding::exact(Property::Residuals, outcome);
    let (jv, outcome) = examine(m, &|out| at.apply(&v, out));
    // What is not written makes Jv no number, perhaps only at another point.
    let unwritten = if matches!(outcome, Outcome::NotFinite { .. }) {
        unwritten_entry(&*at)
    } else {
        let (there, mut image) = (model.linearize_within(&elsewhere, Around::default()), vec![T::zero(); m]);
        there.apply(&v, &mut image);
        let look = outcome.passed() && !kernels::all_finite(&image);
        look.then(|| unwritten_entry(&*there)).flatten()
    };
    let outcome = unwritten.unwrap_or(outcome);
    verdict.product_evaluation = Finding::exact(Property::JacobianEvaluation, outcome);
    let (_, outcome) = examine(n, &|out| at.apply_transpose(&u, out));
    // Of a matrix that is not written Jᵀu says nothing more.
    let outcome = if unwritten.is_some() { Outcome::Skipped } else { outcome };
    verdict.transpose_evaluation = Finding::exact(Property::TransposeEvaluation, outcome);

    let product = |v: &[T]| watch.vector(m, |out| at.apply(v, out));
    let transpose = |u: &[T]| watch_transpose.vector(n, |out| at.apply_transpose(u, out));
    let evaluate_at = |x: &[T], out: &mut [T]| watch_residuals.call(out, |out| model.evaluate(x, out));
    if verdict.residuals.passed() && verdict.product_evaluation.passed() {
        verdict.product = compare(Property::Jacobian, evaluate_at, x, &residual, random, &|v| product(v));
    }
    if verdict.residuals.passed() && verdict.transpose_evaluation.passed() {
        let (jtu, along) = (transpose(&u), |r: &[T]| T::from_f64(kernels::dot(&u, r)));
        let function = |x: &[T], out: &mut [T]| {
            let mut r = vec![T::zero(); m];
            evaluate_at(x, &mut r);
            out[0] = along(&r);
        };
        let slope = |v: &[T]| vec![T::from_f64(kernels::dot(&jtu, v))];
        verdict.transpose = compare(Property::Transpose, function, x, &[along(&residual)], random, &slope);
    }
    if verdict.product_evaluation.passed() {
        verdict.matrix = matrix(&*at, &v, &jv);
    }
    if verdict.product_evaluation.passed() && verdict.transpose_evaluation.passed() {
        let mut number = 0;
        verdict.adjoint = adjoint(&product, &transpose, random, |random| {
            number += 1;
            (sweep::direction(x, number - 1, random), normal(m, random))
        });
    }
    check_callback(model.take_error())?;
    watch_residuals.judge_finding(&mut verdict.residuals);
    watch.judge_finding(&mut verdict.product_evaluation);
    watch_transpose.judge_finding(&mut verdict.transpose_evaluation);
    Ok(verdict)
}

/// A derivative against differences of `function`, in three directions.
fn compare<T: Scalar>(
    property: Property,
    function: impl Fn(&[T], &mut [T]),
    x: &[T],
    here: &[T],
    random: &mut SplitMix64,
    product: &dyn Fn(&[T]) -> Vec<T>,
) -> TaylorTest {
    let mut line = Line::new(function, x, here);
    let (mut sweeps, mut component) = (Vec::new(), None);
    for number in 0..DIRECTIONS {
        let v = sweep::direction(x, number, random);
        let predicted = product(&v);
        if let Some(swept) = sweep::sweep(x, 0.0, |h| line.measure(h, &v, &predicted)) {
            if !swept.passed() && component.is_none() && here.len() > 1 {
                component = line.worst_component(swept.steadiest.remainder.step, &v, &predicted);
            }
            sweeps.push(swept);
        }
    }
    // A function with one value has no components to tell a factor from anything else by.
    sweep::conclude::<T>(property, here.len(), sweeps, |_| Outcome::WrongDerivative { component })
}

impl LeastSquaresVerdict {
    pub(super) fn skipped() -> Self {
        LeastSquaresVerdict {
            dimension: Finding::skipped(Property::Dimension),
            residuals: Finding::skipped(Property::Residuals),
            product_evaluation: Finding::skipped(Property::JacobianEvaluation),
            product: unmeasured(Property::Jacobian, Outcome::Skipped),
            transpose_evaluation: Finding::skipped(Property::TransposeEvaluation),
            transpose: unmeasured(Property::Transpose, Outcome::Skipped),
            adjoint: Finding::skipped(Property::Adjoint),
            matrix: Finding::skipped(Property::Matrix),
        }
    }

    /// Whether every check passed.
    pub fn passed(&self) -> bool {
        self.findings().iter().all(|finding| finding.passed())
    }

    /// The findings, in the order of the checks.
    pub fn findings(&self) -> [&Finding; 8] {
        [
            &self.dimension,
            &self.residuals,
            &self.product_evaluation,
            &self.product.finding,
            &self.transpose_evaluation,
            &self.transpose.finding,
            &self.adjoint,
            &self.matrix,
        ]
    }
}

impl fmt::Display for LeastSquaresVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_table(f, &self.findings(), &[&self.product, &self.transpose])?;
        write_failures(f, &self.findings())
    }
}
