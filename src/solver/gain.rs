//! Whether remembered curvature gains more for its calls than products do: asked of what the run has seen.
//!
//! What a model promises at a point is about what f is above its minimum. So with qₖ predicted at xₖ the step from xₖ has
//! gained log(qₖ/qₖ₊₁), which is known once there is a step from xₖ₊₁, and cost a value, a gradient and its products, each
//! of which is taken for two gradients.

/// Remembered steps in a row, after which products are asked again.
const MOST_IN_A_ROW: usize = 20;

/// What steps have gained for their cost.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Gain {
    /// The decrease that the last step predicted, and what that step cost.
    predicted: f64,
    cost: f64,
    /// Remembered steps in a row, up to the last one.
    remembered: usize,
    /// What the last step from products gained for each call.
    by_products: f64,
}

impl Gain {
    pub const UNKNOWN: Self = Gain { predicted: f64::NAN, cost: f64::NAN, remembered: 0, by_products: f64::NAN };

    /// Learns from a step that predicted this decrease; `products` is `None` for a remembered one. Whether remembered steps
    /// are worth their calls, as far as is known.
    pub fn learn(&mut self, predicted: f64, products: Option<usize>) -> bool {
        let rate = (self.predicted / predicted).ln() / self.cost;
        let worth = self.remembered == 0 || rate.is_nan() || self.by_products.is_nan() || rate >= self.by_products;
        if self.remembered == 0 {
            self.by_products = rate;
        }
        self.predicted = predicted;
        self.cost = 2.0 + 2.0 * products.unwrap_or(0) as f64;
        self.remembered = if products.is_none() { self.remembered + 1 } else { 0 };
        worth && self.remembered < MOST_IN_A_ROW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembered_steps_are_worth_it_while_they_gain_more_for_a_call() {
        let mut gain = Gain::UNKNOWN;
        // Ten calls for a factor of e¹⁰: one to the call.
        assert!(gain.learn(1.0, Some(4)) && gain.learn((-10.0_f64).exp(), None));
        // Two calls for e³: more.
        assert!(gain.learn((-13.0_f64).exp(), None));
        // Two calls for e: less. Then products are asked, and nothing is known of what follows them.
        assert!(!gain.learn((-14.0_f64).exp(), None));
        assert!(!gain.learn((-14.5_f64).exp(), Some(4)) && gain.learn((-15.0_f64).exp(), None));
    }

    #[test]
    fn products_are_asked_now_and_then() {
        let mut gain = Gain::UNKNOWN;
        let worth = (0..MOST_IN_A_ROW).take_while(|_| gain.learn(1.0, None)).count();
        assert_eq!(worth, MOST_IN_A_ROW - 1);
    }
}
