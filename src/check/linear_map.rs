//! A linear map by itself: evaluation and linearity of both products, whether they are of one matrix, and its form.

use std::fmt;

use super::evaluation::evaluate;
use super::numbers::{PAIRS, larger, normal, ratio};
use super::operator::combine;
use super::table::{write_failures, write_table};
use super::watch::Watch;
use super::{Finding, Outcome, Property, tolerance};
use crate::base::{
    Result, Scalar, check_callback, check_positive_dimension, columns, is_unwritten, kernels, random::SplitMix64, space,
};
use crate::operator::LinearMap;

/// What was found about a linear map.
///
/// Its `Display` is a table, with a sentence for every check that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearMapVerdict {
    /// Jv is finite, written without being read, and repeatable.
    pub product_evaluation: Finding,
    /// J(αu + βv) = αJu + βJv, and the same of Jᵀ: the largest relative error of three pairs.
    pub linearity: Finding,
    /// Jᵀu is finite, written without being read, and repeatable.
    pub transpose_evaluation: Finding,
    /// |uᵀ(Jv) − vᵀ(Jᵀu)| / (‖u‖‖Jv‖ + ‖v‖‖Jᵀu‖), the largest of three.
    pub adjoint: Finding,
    /// The matrix that is formed has the products Jv.
    pub matrix: Finding,
}

/// Checks a linear map: whether its products are finite, repeatable, written without being read, linear, and those of a
/// matrix and its transpose, and whether the matrix that it forms is that matrix. Costs 16 products of each kind, and a
/// formed matrix of m·n numbers, unless it has more than 2²⁰ and is made of min(m, n) products: then it is what they are.
///
/// ```
/// use newton_krylov::{check, linear_map};
///
/// let j = linear_map(
///     3,
///     2,
///     |v: &[f64], jv: &mut [f64]| jv.copy_from_slice(&[v[0], v[0] + v[1], 2.0 * v[1]]),
///     |u: &[f64], jtu: &mut [f64]| jtu.copy_from_slice(&[u[0] + u[1], u[1] + u[2]]), // 2 u₂ is meant
/// );
/// let verdict = check::linear_map(&j, 1)?;
/// assert_eq!(verdict.adjoint.outcome, check::Outcome::NotAdjoint);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// If m or n is zero; what a callback returned as an error.
pub fn linear_map<T: Scalar>(map: &impl LinearMap<T>, seed: u64) -> Result<LinearMapVerdict> {
    check(map, seed)
}

/// The checks themselves.
fn check<T: Scalar>(map: &dyn LinearMap<T>, seed: u64) -> Result<LinearMapVerdict> {
    space::check_whole_residuals("check")?;
    let (m, n) = (map.rows(), map.columns());
    check_positive_dimension("the map's number of rows", m)?;
    check_positive_dimension("the map's number of columns", n)?;
    let random = &mut SplitMix64::new(seed);
    let (v, u) = (normal(n, random), normal(m, random));
    let [watch, watch_transpose] = [Watch::default(), Watch::default()];
    let product = |v: &[T]| watch.vector(m, |out| map.apply(v, out));
    let transpose = |u: &[T]| watch_transpose.vector(n, |out| map.apply_transpose(u, out));

    let evaluation = evaluate(m, |out: &mut [T]| map.apply(&v, out));
    let transposed = evaluate(n, |out: &mut [T]| map.apply_transpose(&u, out)).outcome;
    let mut verdict = LinearMapVerdict {
        product_evaluation: Finding::skipped(Property::JacobianEvaluation),
        linearity: Finding::skipped(Property::Linearity),
        transpose_evaluation: Finding::skipped(Property::TransposeEvaluation),
        adjoint: Finding::skipped(Property::Adjoint),
        matrix: Finding::skipped(Property::Matrix),
    };
    if evaluation.outcome.passed() && transposed.passed() {
        let mut error = 0.0_f64;
        for _ in 0..PAIRS {
            error = larger(error, combine(n, random, &product).2);
            error = larger(error, combine(m, random, &transpose).2);
        }
        verdict.linearity = Finding::measured(Property::Linearity, error, tolerance::<T>(), Outcome::Nonlinear);
        verdict.adjoint = adjoint(&product, &transpose, random, |random| (normal(n, random), normal(m, random)));
    }
    if evaluation.outcome.passed() {
        verdict.matrix = matrix(map, &v, &evaluation.output);
    }
    check_callback(map.take_error())?;
    verdict.product_evaluation = Finding::exact(Property::JacobianEvaluation, watch.judge(evaluation.outcome));
    verdict.transpose_evaluation = Finding::exact(Property::TransposeEvaluation, watch_transpose.judge(transposed));
    Ok(verdict)
}

/// uᵀ(Jv) against vᵀ(Jᵀu), for three pairs (v, u) that `pair` draws.
pub(super) fn adjoint<T: Scalar>(
    product: &dyn Fn(&[T]) -> Vec<T>,
    transpose: &dyn Fn(&[T]) -> Vec<T>,
    random: &mut SplitMix64,
    mut pair: impl FnMut(&mut SplitMix64) -> (Vec<T>, Vec<T>),
) -> Finding {
    let mut error = 0.0_f64;
    for _ in 0..PAIRS {
        let (v, u) = pair(random);
        let (jv, jtu) = (product(&v), transpose(&u));
        let size = kernels::norm(&u) * kernels::norm(&jv) + kernels::norm(&v) * kernels::norm(&jtu);
        error = larger(error, ratio((kernels::dot(&u, &jv) - kernels::dot(&v, &jtu)).abs(), size));
    }
    Finding::measured(Property::Adjoint, error, tolerance::<T>(), Outcome::NotAdjoint)
}

/// Numbers of a matrix that is formed in any case.
const MOST_NUMBERS: usize = 1 << 20;

/// Whether the matrix can be wrong where its products are right, or is small enough to see: one that takes as many products is
/// made of them, and may be larger than memory.
fn worth_forming<T: Scalar>(map: &dyn LinearMap<T>) -> bool {
    let (m, n) = (map.rows(), map.columns());
    map.forming_cost() < m.min(n) || m.saturating_mul(n) <= MOST_NUMBERS
}

/// The first entry of the matrix, by columns, that no closure has written.
pub(super) fn unwritten_entry<T: Scalar>(map: &dyn LinearMap<T>) -> Option<Outcome> {
    if !worth_forming(map) {
        return None;
    }
    let m = map.rows();
    let mut matrix = vec![T::zero(); m * map.columns()];
    map.form(&mut matrix);
    let entry = matrix.iter().position(|&entry| is_unwritten(entry))?;
    Some(Outcome::UnwrittenEntry { row: entry % m, column: entry / m })
}

/// The matrix that is formed, times v, against Jv.
pub(super) fn matrix<T: Scalar>(map: &dyn LinearMap<T>, v: &[T], jv: &[T]) -> Finding {
    if !worth_forming(map) {
        return Finding::exact(Property::Matrix, Outcome::Passed);
    }
    let (m, n) = (map.rows(), map.columns());
    let mut matrix = vec![T::nan(); m * n];
    map.form(&mut matrix);
    let mut apart = vec![T::zero(); m];
    columns::Columns::new(m, &matrix).times(&v.iter().map(|&v| v.into()).collect::<Vec<f64>>(), &mut apart);
    kernels::axpy(-1.0, jv, &mut apart);
    let sizes: Vec<f64> =
        matrix.chunks_exact(m).zip(v).map(|(column, &v)| kernels::norm(column) * v.abs().into()).collect();
    let error = ratio(kernels::norm(&apart), kernels::sum(&sizes));
    Finding::measured(Property::Matrix, error, tolerance::<T>(), Outcome::WrongDerivative { component: None })
}

impl LinearMapVerdict {
    /// Whether every check passed.
    pub fn passed(&self) -> bool {
        self.findings().iter().all(|finding| finding.passed())
    }

    /// The findings, in the order of the checks.
    pub fn findings(&self) -> [&Finding; 5] {
        [&self.product_evaluation, &self.transpose_evaluation, &self.linearity, &self.adjoint, &self.matrix]
    }
}

impl fmt::Display for LinearMapVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_table(f, &self.findings(), &[])?;
        write_failures(f, &self.findings())
    }
}
