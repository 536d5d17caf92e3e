//! How good a step is: the actual against the predicted decrease, safe against rounding.
//!
//!   ρ = (f(x) − f(x + δ)) / (−gᵀδ − ½δᵀMδ)
//!
//! (Conn, Gould & Toint, *Trust-Region Methods* (2000), section 6.1). Near a minimum both differences drown in the
//! rounding of f. Where neither is larger than that, the actual decrease is taken from the gradients instead,
//! −½ (g + g₊)ᵀδ, the trapezoidal rule, whose rounding error is relative to the decrease and not to f. It is the idea
//! behind the approximate Wolfe conditions of Hager & Zhang (SIAM J. Optim. 16 (2005)).
//!
//! f may have more noise than that, as where its terms cancel, or where an inner iteration computes it. How much values show
//! where they [contradict](contradiction) gradients that agree with the model.

/// Multiples of ε|f| that count as rounding of f.
const ROUNDING: f64 = 10.0;

/// The size of rounding in a difference of these two values, for vectors with unit roundoff `epsilon`.
pub(crate) fn rounding(epsilon: f64, before: f64, after: f64) -> f64 {
    ROUNDING * epsilon * before.abs().max(after.abs())
}

/// By how much values that fall by `actual` contradict the slopes at both ends of a step, δᵀg and δᵀg₊: where the slope is
/// monotone the decrease lies between them.
pub(crate) fn contradiction(actual: f64, first: f64, last: f64) -> f64 {
    let (least, most) = (-first.max(last), -first.min(last));
    (actual - most).max(least - actual).max(0.0)
}

/// What the values say of a trial step.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Judgement {
    /// ρ, the values differ clearly. −∞ where f(x + δ) is not finite.
    Ratio(f64),
    /// Actual and predicted decrease are both within rounding: the gradient at the new point has to decide.
    Rounding,
}

/// Compares the actual with the predicted decrease.
pub(crate) fn judge(epsilon: f64, before: f64, after: f64, predicted: f64) -> Judgement {
    if after == f64::NEG_INFINITY {
        return Judgement::Ratio(f64::INFINITY);
    }
    if !after.is_finite() {
        return Judgement::Ratio(f64::NEG_INFINITY);
    }
    if after == before {
        // Rounded, whatever the size of f says: so is a sum that cancels to next to nothing.
        return Judgement::Rounding;
    }
    judge_decrease(rounding(epsilon, before, after), before - after, predicted)
}

/// Compares an actual decrease, whose error is of the size `noise`, with the predicted one.
pub(crate) fn judge_decrease(noise: f64, actual: f64, predicted: f64) -> Judgement {
    if !actual.is_finite() {
        Judgement::Ratio(f64::NEG_INFINITY)
    } else if predicted <= noise && actual.abs() <= noise {
        Judgement::Rounding
    } else {
        Judgement::Ratio(actual / predicted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_contradict_slopes_that_do_not_enclose_them() {
        assert_eq!([0.5, 1.0, 3.0].map(|actual| contradiction(actual, -3.0, -1.0)), [0.5, 0.0, 0.0]);
        assert_eq!([-2.0, 2.0, 4.0].map(|actual| contradiction(actual, -3.0, 1.0)), [1.0, 0.0, 1.0]);
        assert_eq!(contradiction(-2.0, 1.0, 3.0), 0.0);
    }

    #[test]
    fn values_decide_where_they_can() {
        assert_eq!(judge(f64::EPSILON, 2.0, 1.0, 2.0), Judgement::Ratio(0.5));
        assert_eq!(judge(f64::EPSILON, 2.0, f64::NAN, 2.0), Judgement::Ratio(f64::NEG_INFINITY));
        assert_eq!(judge(f64::EPSILON, 2.0, f64::INFINITY, 2.0), Judgement::Ratio(f64::NEG_INFINITY));
        assert_eq!(judge(f64::EPSILON, 1e8, 1e8 + 1e-8, 1e-9), Judgement::Rounding);
        assert_eq!(judge(f64::EPSILON, 0.0, 0.0, 1e-17), Judgement::Rounding);
        // A clear increase is never rounding, however little was predicted.
        assert!(matches!(judge(f64::EPSILON, 1.0, 1.1, 1e-20), Judgement::Ratio(r) if r < 0.0));
        assert_eq!(judge(f32::EPSILON as f64, 1.0, 1.0 + 1e-6, 1e-7), Judgement::Rounding);
    }
}
