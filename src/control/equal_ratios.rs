//! Whether value and gradient fit together, as rejected steps show it.
//!
//! Where they do, the ratio of the actual to the predicted decrease tends to 1 as the step shrinks, whatever the model is
//! beyond first order (Conn, Gould & Toint, *Trust-Region Methods* (2000), theorem 6.4.2). A ratio that stays negative and
//! does not move while the step shrinks says that the slope is wrong, but only where the step is short: seen from far, many
//! functions are cones (log cosh, Huber's loss, logistic losses, distances), along which every overshoot has the same ratio.
//! Short is √ε of x in each component, of ‖x‖ where that is 0, and at the origin of the first step; and so short that the
//! model is next to linear: where its curvature decides, that may be wrong. A gradient that has fallen to the tolerance may be
//! the error of its terms, as one by differences, and have any slope.

use super::Trial;
use crate::base::{Scalar, space};

/// The share of the slope that the model's curvature may take back, or add.
const CURVED: f64 = 0.1;
/// Rejections in a row at which the ratio does not move although the step shrinks: value and gradient do not fit.
const MOST_EQUAL_RATIOS: usize = 6;

/// The rejections since the last step, as far as they are alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EqualRatios {
    last_ratio: f64,
    last_norm: f64,
    equal: usize,
    /// The length of the first.
    first_norm: f64,
}

impl EqualRatios {
    pub fn new() -> Self {
        EqualRatios { last_ratio: f64::NAN, last_norm: f64::INFINITY, equal: 0, first_norm: f64::NAN }
    }

    /// Takes note of a rejected step from x, both with their norms; true if value and gradient do not fit together.
    pub fn reject<T: Scalar>(&mut self, trial: &Trial, (x, position): (&[T], f64), (step, norm): (&[T], f64)) -> bool {
        let part = |(x, v): (&T, &T)| {
            let (x, v): (f64, f64) = (x.abs().into(), v.abs().into());
            v / if x > 0.0 { x } else { position }
        };
        let relative = x.iter().zip(step).map(part).fold(0.0, f64::max);
        self.first_norm = if self.first_norm.is_nan() { norm } else { self.first_norm };
        let relative = space::largest(if position > 0.0 { relative } else { norm / self.first_norm });
        let Trial { length, solution, .. } = trial;
        let linear = 0.5 * length * solution.curvature.abs() <= CURVED * -solution.slope;
        self.alike(trial.ratio, norm) && linear && relative <= T::epsilon_f64().sqrt()
    }

    /// Whether enough ratios in a row are alike.
    fn alike(&mut self, ratio: f64, norm: f64) -> bool {
        let equal =
            ratio <= -0.1 && (ratio - self.last_ratio).abs() <= 0.1 * (1.0 - ratio) && norm < 0.7 * self.last_norm;
        self.equal = if equal { self.equal + 1 } else { 0 };
        (self.last_ratio, self.last_norm) = (ratio, norm);
        self.equal >= MOST_EQUAL_RATIOS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::kernels;
    use crate::step::Solution;

    #[test]
    fn only_negative_ratios_that_stay_while_steps_shrink_count() {
        let rejections = |ratio: fn(i32) -> f64, shrinking: f64| {
            let mut ratios = EqualRatios::new();
            (0..40).any(|i| ratios.alike(ratio(i), shrinking.powi(i)))
        };
        assert!(rejections(|_| -1.0, 0.5));
        assert!(!rejections(|_| -1.0, 0.9));
        assert!(!rejections(|_| -0.01, 0.5));
        assert!(!rejections(|i| -(2.0_f64.powi(i)), 0.5));
        assert!(!rejections(|i| if i % 6 == 0 { 0.0 } else { -1.0 }, 0.5));
        assert!(!rejections(|_| f64::NAN, 0.5) && !rejections(|_| f64::NEG_INFINITY, 0.5));
    }

    #[test]
    fn only_short_steps_along_which_the_model_is_linear_count() {
        // Steps along the second component, which halve 40 times; that share of their slope is taken back by curvature.
        let rejections_at = |x: [f64; 3], curved: f64| {
            let mut ratios = EqualRatios::new();
            (0..40).any(|i| {
                let norm = 0.5_f64.powi(i);
                let (shift, curvature) = (0.0, 2.0 * curved * norm);
                let solution = Solution { shift, norm, slope: -norm, curvature, on_boundary: false, hard_case: false };
                let predicted = solution.decrease();
                let (length, before, after, divergence) = (1.0, 0.0, predicted, 0.0);
                let trial = Trial { solution, length, before, after, predicted, ratio: -1.0, divergence };
                ratios.reject(&trial, (&x, kernels::norm(&x)), (&[0.0, norm, 0.0], norm))
            })
        };
        assert!(rejections_at([1.0, 1.0, 1e-30], 0.0) && rejections_at([0.0; 3], 0.0));
        // A unit of its own, and where there is none that of the whole.
        assert!(!rejections_at([1.0, 1e-6, 1.0], 0.0) && rejections_at([1.0, 0.0, 1.0], 0.0));
        assert!(rejections_at([1.0; 3], 0.09) && !rejections_at([1.0; 3], 0.11) && !rejections_at([1.0; 3], -1.0));
    }
}
