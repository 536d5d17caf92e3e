//! A loss, and the likelihood behind it, at the outputs of one sample.
//!
//! For l = −log p: s = −∇l,  F = E[ŝŝᵀ] with E[ŝ] = 0,  KL(h ‖ h + δ) + KL(h ‖ h − δ) = δᵀFδ + O(δ⁴). Expectations are means
//! over draws, and differ from the truth by some standard errors.

use std::fmt;

use super::numbers::{larger, normal, ratio};
use super::operator::{self};
use super::sweep::DIRECTIONS;
use super::table::{write_failures, write_table};
use super::{Definiteness, Finding, ObjectiveVerdict, Outcome, Property, objective, tolerance};
use crate::base::{CallbackError, Result, Scalar, check_callback, check_range, kernels, random::SplitMix64};
use crate::curvature::{Likelihood, Loss};
use crate::operator::{Expansion, Objective, SymmetricOperator};

/// Scores that are drawn, for each direction.
const DRAWS: usize = 2000;
/// Standard errors that a mean over draws may be off by: beyond 8, (ŝᵀv)² having heavy tails, chance is out of question.
const STANDARD_ERRORS: f64 = 8.0;
/// The relative error allowed of the divergence's quadratic part, which is that of a difference quotient.
const QUADRATIC: f64 = 0.02;

/// What was found about a loss.
///
/// Its `Display` is a table, with a sentence for every check that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct LossVerdict {
    /// Value, gradient and Hessian, as those of an objective of the outputs.
    pub derivatives: ObjectiveVerdict,
    /// The curvature of the generalised Gauss–Newton metric is symmetric and positive semidefinite.
    pub positive: Finding,
    /// The score is −∇l. Without a likelihood this and the following were not run.
    pub score: Finding,
    /// The Fisher matrix is that of the scores that are drawn, whose mean is zero.
    pub fisher: Finding,
    /// The divergence is zero where nothing changes, and half the Fisher matrix to second order.
    pub divergence: Finding,
}

/// The loss of one sample, with ∇²l or what stands for it as the metric.
struct OfSample<'l, L> {
    loss: &'l L,
    sample: usize,
}

/// A matrix that the loss has written down.
struct Written<'l, T, L> {
    loss: &'l L,
    curvature: Vec<T>,
    sample: usize,
    h: &'l [T],
}

impl<'l, L> OfSample<'l, L> {
    fn written<T: Scalar>(&self, h: &'l [T], write: impl Fn(usize, &[T], &mut [T])) -> Written<'l, T, L>
    where
        L: Loss<T>,
    {
        let mut curvature = vec![T::nan(); self.loss.curvature_len()];
        write(self.sample, h, &mut curvature);
        Written { loss: self.loss, curvature, sample: self.sample, h }
    }
}

impl<T: Scalar, L: Loss<T>> Objective<T> for OfSample<'_, L> {
    fn dim(&self) -> usize {
        self.loss.outputs_per_sample()
    }
    fn value(&self, h: &[T]) -> f64 {
        self.loss.value(self.sample, h)
    }
    fn expand<'a>(&'a self, h: &'a [T]) -> impl Expansion<T> + 'a {
        OfSample { loss: self.loss, sample: self.sample }.written(h, |i, h, out| self.loss.hessian(i, h, out))
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.loss.take_error()
    }
}

impl<T: Scalar, L: Loss<T>> SymmetricOperator<T> for Written<'_, T, L> {
    fn dim(&self) -> usize {
        self.h.len()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.loss.multiply(&self.curvature, v, out);
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.loss.take_error()
    }
}

impl<T: Scalar, L: Loss<T>> Expansion<T> for Written<'_, T, L> {
    fn value(&self) -> f64 {
        self.loss.value(self.sample, self.h)
    }
    fn gradient(&self, out: &mut [T]) {
        self.loss.gradient(self.sample, self.h, out);
    }
}

/// Checks a loss, and its likelihood if it has one, for the sample `sample` at its outputs `h`, with directions and draws
/// fixed by `seed`: derivatives as [`objective`] does, the positive semidefinite curvature, and score, Fisher matrix and
/// divergence against each other. Choose outputs that are not special; a loss whose targets differ in kind, such as
/// classes, deserves a check with each.
///
/// ```
/// use newton_krylov::check;
/// use newton_krylov::losses::SoftmaxCrossEntropy;
///
/// let verdict = check::loss(&SoftmaxCrossEntropy::new(vec![0, 2], 3)?, 1, &[0.3, -0.5, 0.9], 1)?;
/// assert!(verdict.passed(), "{verdict}");
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// If there is no such sample, or `h` has the wrong length or is not finite; what the loss hands out as an error.
pub fn loss<T: Scalar>(loss: &impl Loss<T>, sample: usize, h: &[T], seed: u64) -> Result<LossVerdict> {
    check_range("sample", sample as f64, sample < loss.samples(), "below the number of samples")?;
    let of = OfSample { loss, sample };
    let mut verdict = LossVerdict {
        derivatives: objective(&of, h, seed)?,
        positive: Finding::skipped(Property::PositiveCurvature),
        score: Finding::skipped(Property::Score),
        fisher: Finding::skipped(Property::Fisher),
        divergence: Finding::skipped(Property::Divergence),
    };
    let random = &mut SplitMix64::new(seed);
    verdict.positive =
        positive(Property::PositiveCurvature, &of.written(h, |i, h, out| loss.positive_hessian(i, h, out)), random);
    if let Some(likelihood) = loss.likelihood() {
        let fisher = of.written(h, |i, h, out| likelihood.fisher(i, h, out));
        verdict.score = score(&of, likelihood, h);
        verdict.fisher = positive(Property::Fisher, &fisher, random);
        if verdict.fisher.passed() {
            let error = (0..DIRECTIONS).fold(0.0, |error, _| larger(error, drawn(&fisher, likelihood, random)));
            verdict.fisher = Finding::measured(Property::Fisher, error, 1.0, Outcome::Mismatch);
            verdict.divergence = divergence(&fisher, likelihood, random);
        }
    }
    check_callback(loss.take_error())?;
    Ok(verdict)
}

/// Whether a matrix is symmetric and positive semidefinite, as far as probed.
fn positive<T: Scalar>(property: Property, matrix: &impl SymmetricOperator<T>, random: &mut SplitMix64) -> Finding {
    let found = operator::check(matrix, random);
    if let Some(failed) = found.findings().into_iter().find(|finding| !finding.passed()) {
        return Finding { property, ..*failed };
    }
    let definite = matches!(found.curvature.definiteness, Definiteness::NonNegative | Definiteness::Zero);
    Finding::exact(property, if definite { Outcome::Passed } else { Outcome::Indefinite })
}

fn score<T: Scalar, L: Loss<T>>(of: &OfSample<'_, L>, likelihood: &dyn Likelihood<T>, h: &[T]) -> Finding {
    let (mut score, mut gradient) = (vec![T::nan(); h.len()], vec![T::nan(); h.len()]);
    likelihood.score(of.sample, h, &mut score);
    of.loss.gradient(of.sample, h, &mut gradient);
    let size = kernels::norm(&score) + kernels::norm(&gradient);
    kernels::axpy(1.0, &score, &mut gradient);
    let error = ratio(kernels::norm(&gradient), size);
    Finding::measured(Property::Score, error, tolerance::<T>(), Outcome::Mismatch)
}

/// Means of ŝᵀv and (ŝᵀv)² over draws against 0 and vᵀFv, in units of what is allowed.
fn drawn<T: Scalar, L: Loss<T>>(
    fisher: &Written<'_, T, L>,
    likelihood: &dyn Likelihood<T>,
    random: &mut SplitMix64,
) -> f64 {
    let k = fisher.h.len();
    let v: Vec<T> = normal(k, random);
    let mut product = vec![T::nan(); k];
    fisher.apply(&v, &mut product);
    let expected = kernels::dot(&v, &product);
    let mut score = vec![T::nan(); k];
    let [mut first, mut second, mut fourth] = [0.0; 3];
    for _ in 0..DRAWS {
        likelihood.draw_score(fisher.sample, fisher.h, random, &mut score);
        let along = kernels::dot(&score, &v);
        first += along / DRAWS as f64;
        second += along * along / DRAWS as f64;
        fourth += along.powi(4) / DRAWS as f64;
    }
    let draws = DRAWS as f64;
    let rounding = tolerance::<T>() * (expected.abs() + second);
    let allowed = [
        STANDARD_ERRORS * (second / draws).sqrt() + rounding.sqrt() * tolerance::<T>(),
        STANDARD_ERRORS * ((fourth - second * second).max(0.0) / draws).sqrt() + rounding,
    ];
    let error = ratio(first.abs(), allowed[0]).max(ratio((second - expected).abs(), allowed[1]));
    let finite = first.is_finite() && second.is_finite();
    if finite { error } else { f64::NAN }
}

fn divergence<T: Scalar, L: Loss<T>>(
    fisher: &Written<'_, T, L>,
    likelihood: &dyn Likelihood<T>,
    random: &mut SplitMix64,
) -> Finding {
    let (sample, h) = (fisher.sample, fisher.h);
    let v: Vec<T> = normal(h.len(), random);
    let mut error = f64::NAN;
    for step in (1..=8).map(|i| 0.5_f64.powi(i)) {
        let [forward, backward] = [step, -step].map(|step| {
            let mut moved = h.to_vec();
            kernels::axpy(step, &v, &mut moved);
            moved
        });
        // δ as it was rounded.
        let mut delta = forward.clone();
        kernels::axpby(-0.5, &backward, 0.5, &mut delta);
        let mut product = vec![T::nan(); h.len()];
        fisher.apply(&delta, &mut product);
        let quadratic = kernels::dot(&delta, &product);
        let both = likelihood.divergence(sample, h, &forward) + likelihood.divergence(sample, h, &backward);
        error = error.min(ratio((both - quadratic).abs(), quadratic.abs()));
    }
    // NaN stays NaN: nothing was measured. At no distance at all the divergence is rounding.
    let at_rest = likelihood.divergence(sample, h, h).abs();
    let error = if at_rest <= tolerance::<T>() { error } else { at_rest };
    Finding::measured(Property::Divergence, error, QUADRATIC, Outcome::Mismatch)
}

impl LossVerdict {
    /// Whether every check passed that was run; a loss without a likelihood has fewer.
    pub fn passed(&self) -> bool {
        let run = |finding: &&&Finding| finding.outcome != Outcome::Skipped;
        self.derivatives.passed() && self.findings().iter().filter(run).all(|finding| finding.passed())
    }

    /// The findings beside those of the derivatives, in the order of the checks.
    pub fn findings(&self) -> [&Finding; 4] {
        [&self.positive, &self.score, &self.fisher, &self.divergence]
    }
}

impl fmt::Display for LossVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.derivatives)?;
        write_table(f, &self.findings(), &[])?;
        write_failures(f, &self.findings())
    }
}
