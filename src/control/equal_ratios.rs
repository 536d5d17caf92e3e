//! Whether value and gradient fit together, as rejected steps show it.
//!
//! Where they do, the ratio of the actual to the predicted decrease tends to 1 as the step shrinks, whatever the model is
//! beyond first order (Conn, Gould & Toint, *Trust-Region Methods* (2000), theorem 6.4.2). A ratio that stays negative and
//! does not move while the step shrinks says that the slope is wrong, but only where the step is short: seen from far, many
//! functions are cones (log cosh, Huber's loss, logistic losses, distances), along which every overshoot has the same ratio.
//! Short is √ε of ‖x‖; at the origin, of the first step.

/// Rejections in a row at which the ratio does not move although the step shrinks: value and gradient do not fit.
const MOST_EQUAL_RATIOS: usize = 6;

/// The rejections since the last step, as far as they are alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EqualRatios {
    last_ratio: f64,
    last_norm: f64,
    equal: usize,
    /// Steps below this are short.
    short: f64,
}

impl EqualRatios {
    /// From a point of this size, for vectors with unit roundoff `epsilon`.
    pub fn new(epsilon: f64, position: f64) -> Self {
        EqualRatios { last_ratio: f64::NAN, last_norm: f64::INFINITY, equal: 0, short: epsilon.sqrt() * position }
    }

    /// Takes note of a rejected step of length `norm`; true if value and gradient do not fit together.
    pub fn reject(&mut self, ratio: f64, norm: f64) -> bool {
        let equal =
            ratio <= -0.1 && (ratio - self.last_ratio).abs() <= 0.1 * (1.0 - ratio) && norm < 0.7 * self.last_norm;
        self.equal = if equal { self.equal + 1 } else { 0 };
        (self.last_ratio, self.last_norm) = (ratio, norm);
        if self.short == 0.0 {
            self.short = f64::EPSILON.sqrt() * norm;
        }
        self.equal >= MOST_EQUAL_RATIOS && norm <= self.short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_negative_ratios_that_stay_while_steps_shrink_count() {
        let rejections_at = |position: f64, ratio: fn(i32) -> f64, shrinking: f64| {
            let mut ratios = EqualRatios::new(f64::EPSILON, position);
            (0..40).any(|i| ratios.reject(ratio(i), shrinking.powi(i)))
        };
        let rejections = |ratio, shrinking| rejections_at(1.0, ratio, shrinking);
        assert!(rejections(|_| -1.0, 0.5) && rejections_at(0.0, |_| -1.0, 0.5));
        // All steps are long: a cone, seen from far.
        assert!(!rejections_at(1e-6, |_| -1.0, 0.5));
        assert!(!rejections(|_| -1.0, 0.9));
        assert!(!rejections(|_| -0.01, 0.5));
        assert!(!rejections(|i| -(2.0_f64.powi(i)), 0.5));
        assert!(!rejections(|i| if i % 6 == 0 { 0.0 } else { -1.0 }, 0.5));
        assert!(!rejections(|_| f64::NAN, 0.5) && !rejections(|_| f64::NEG_INFINITY, 0.5));
    }
}
