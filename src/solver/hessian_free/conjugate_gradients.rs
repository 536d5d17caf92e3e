//! Martens' step: one damping, conjugate gradients, the best of their iterates, a line search.
//!
//! Martens, "Deep learning via Hessian-free optimization" (ICML 2010), section 4, with the constants of the code that he
//! published and the numbers of Martens & Sutskever (2012), sections 20.5–20.10:
//!
//! 1. (M + λI)δ = −g by conjugate gradients, from 0.95 × their last solution, stopped by relative progress;
//! 2. of the iterates kept, from the last one backwards, the first whose predecessor has no lower value;
//! 3. ρ of that iterate: λ ← ⅔λ where ρ > ¾, λ ← 3/2 λ where ρ < ¼;
//! 4. along it α = 1, 0.8, 0.8², … until f(x + αδ) ≤ f(x) + 10⁻² α gᵀδ, at most 60 times.

use super::options::ConjugateGradients;
use super::proposal::{Accepted, CurrentPoint, Failure, damping_after};
use crate::base::{Scalar, kernels};
use crate::control::{Evaluation, Judgement, judge};
use crate::operator::SymmetricOperator;
use crate::step::{BacktrackingCg, CgStop, InnerStop};

const CHANGE: f64 = 2.0 / 3.0;
const ARMIJO: f64 = 1e-2;
const SHORTEN: f64 = 0.8;
const MOST_SHORTENINGS: usize = 60;

/// One step by conjugate gradients.
///
/// `step` is the last solution; it becomes this one, from before the backtracking, as the next starting point. x + δ is
/// written to `trial`; λ becomes that of the next iteration.
pub fn propose<T: Scalar, M: SymmetricOperator<T>>(
    cg: &mut BacktrackingCg<T>,
    here: &CurrentPoint<'_, T, M>,
    method: &ConjugateGradients,
    damping: &mut f64,
    step: &mut [T],
    trial: &mut [T],
) -> Result<Accepted, Failure> {
    let lambda = *damping;
    cg.z.copy_from_slice(step);
    kernels::scale(method.warm_start, &mut cg.z);
    let made = std::cell::Cell::new(0);
    let more = || made.replace(made.get() + 1) < method.products && (here.more)();
    let precondition = |r: &mut [T]| (here.precondition)(lambda, r);
    let stop = cg.solve(here.operator, here.gradient, lambda, method.progress, precondition, more);
    let inner = match stop {
        CgStop::Progress => InnerStop::Accurate,
        CgStop::Exact | CgStop::NegativeCurvature => InnerStop::Exhausted,
        CgStop::Limit => InnerStop::Limit,
        CgStop::NotFinite => InnerStop::NotFinite,
    };
    step.copy_from_slice(&cg.z);

    let mut best: Option<(f64, &[T], f64, f64)> = None;
    let mut rejected = 0;
    for (z, kept) in cg.kept().rev() {
        kernels::add_scaled(here.x, 1.0, z, trial);
        let value = if kernels::all_finite(trial) { (here.value_at)(trial) } else { f64::NAN };
        if value == f64::NEG_INFINITY {
            return Err(Failure::Unbounded);
        }
        match best {
            Some((lowest, ..)) if !value.is_finite() || value >= lowest => break,
            _ if !value.is_finite() => {}
            _ => best = Some((value, z, kept.slope, kept.curvature)),
        }
        rejected += 1;
    }
    let Some((mut value, z, slope, curvature)) = best else {
        *damping = lambda / CHANGE;
        let what = if stop == CgStop::NotFinite { Evaluation::Product } else { Evaluation::Value };
        return Err(Failure::NotFinite(what));
    };
    let predicted = -(slope + 0.5 * (here.undamped)(z, curvature));
    let verdict = judge(T::epsilon_f64(), here.value, value, predicted);
    let ratio = match verdict {
        Judgement::Ratio(ratio) => ratio,
        Judgement::Rounding => (here.value - value) / predicted,
    };
    // Where M turned out indefinite the iterates before are still steps of descent, but the damping is too small.
    let indefinite = stop == CgStop::NegativeCurvature;
    *damping = match verdict {
        _ if indefinite => lambda / CHANGE,
        Judgement::Ratio(ratio) => damping_after(lambda, ratio, CHANGE),
        Judgement::Rounding => lambda,
    };
    let mut alpha = 1.0;
    let enough = |alpha: f64, value: f64| {
        value <= here.value + ARMIJO * alpha * slope
            || matches!(judge(T::epsilon_f64(), here.value, value, alpha * predicted), Judgement::Rounding)
    };
    for _ in 0..MOST_SHORTENINGS {
        if enough(alpha, value) {
            break;
        }
        alpha *= SHORTEN;
        kernels::add_scaled(here.x, alpha, z, trial);
        value = (here.value_at)(trial);
    }
    if slope >= 0.0 || !enough(alpha, value) {
        let no_product = stop == CgStop::NotFinite && slope == 0.0;
        return Err(if no_product { Failure::NotFinite(Evaluation::Product) } else { Failure::NoDecrease });
    }
    kernels::add_scaled(here.x, alpha, z, trial);
    if kernels::same(trial, here.x) {
        return Err(Failure::NoDecrease);
    }
    Ok(Accepted {
        value,
        norm: alpha * kernels::norm(z),
        ratio,
        damping: lambda,
        rejected: rejected - 1,
        inner,
        lowest_ritz_value: f64::NAN,
    })
}
