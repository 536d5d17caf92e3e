//! How the rate changes during a run.

use crate::base::{Result, check_positive_dimension};

/// The rate in the k-th step, k = 1, 2, …, as a multiple of the method's.
///
/// For any other schedule make the loop yourself and set the method's rate before each
/// [`step`](crate::first_order::GradientMethod::step).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Schedule {
    /// 1. The default.
    #[default]
    Constant,
    /// 1/√k (Zinkevich, ICML 2003): the regret grows as √k, and a mean of noisy steps converges.
    InverseSquareRoot,
    /// ½(1 + cos(π(k − 1)/K)), and 0 after K steps, where the run ends as
    /// [`MaxIterations`](crate::Termination::MaxIterations) (Loshchilov & Hutter, ICLR 2017, equation 5, without restarts).
    Cosine {
        /// K, as a rule the length of the run.
        steps: usize,
    },
}

impl Schedule {
    pub(super) fn check(self) -> Result<()> {
        match self {
            Schedule::Cosine { steps } => check_positive_dimension("schedule.steps", steps),
            Schedule::Constant | Schedule::InverseSquareRoot => Ok(()),
        }
    }

    /// The multiple after `done` steps.
    pub(super) fn factor(self, done: usize) -> f64 {
        match self {
            Schedule::Constant => 1.0,
            Schedule::InverseSquareRoot => ((done + 1) as f64).sqrt().recip(),
            Schedule::Cosine { steps } if done >= steps => 0.0,
            Schedule::Cosine { steps } => 0.5 * (1.0 + (std::f64::consts::PI * done as f64 / steps as f64).cos()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_fall_as_said() {
        assert_eq!(Schedule::Constant.factor(10), 1.0);
        assert_eq!(Schedule::InverseSquareRoot.factor(3), 0.5);
        let cosine = Schedule::Cosine { steps: 4 };
        for (done, factor) in [(0, 1.0), (2, 0.5), (4, 0.0), (5, 0.0)] {
            assert!((cosine.factor(done) - factor).abs() < 1e-15);
        }
        assert!(Schedule::Cosine { steps: 0 }.check().is_err());
    }
}
