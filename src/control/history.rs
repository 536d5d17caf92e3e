//! The history of a run, kept short.
//!
//! First-order runs take millions of steps. Once the history has [`MOST`] entries every second one is dropped, and from
//! then on only every second step is recorded. So its entries are evenly spaced, the first steps are there in full where
//! the run is short, and a run of any length stores at most [`MOST`] of them.

use super::Iteration;
use super::report::MOST;

/// Every `stride`-th step, and the number of all.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct History {
    entries: Vec<Iteration>,
    stride: usize,
    steps: usize,
}

impl Default for History {
    fn default() -> Self {
        History { entries: Vec::new(), stride: 1, steps: 0 }
    }
}

impl History {
    /// Records a step.
    pub fn push(&mut self, iteration: Iteration) {
        self.steps += 1;
        if !self.steps.is_multiple_of(self.stride) {
            return;
        }
        if self.entries.len() < MOST {
            self.entries.push(iteration);
            return;
        }
        // Entry i is step (i + 1)·stride: the odd i stay.
        let mut i = 0;
        self.entries.retain(|_| {
            i += 1;
            i % 2 == 0
        });
        self.stride *= 2;
    }

    /// All steps.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The entries.
    pub fn into_entries(self) -> Vec<Iteration> {
        self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::report::stride;
    use crate::step::InnerStop;

    #[test]
    fn entries_are_evenly_spaced_and_bounded() {
        for steps in [0, 1, MOST, MOST + 1, 2 * MOST - 1, 2 * MOST, 2 * MOST + 1, 1_000_003] {
            let mut history = History::default();
            for step in 1..=steps {
                history.push(Iteration {
                    value: step as f64,
                    gradient_norm: 0.0,
                    step_norm: 0.0,
                    ratio: 0.0,
                    control: 0.0,
                    shift: 0.0,
                    rejected: 0,
                    products: 0,
                    inner: InnerStop::ClosedForm,
                    lowest_ritz_value: 0.0,
                });
            }
            assert_eq!(history.steps(), steps);
            let stride = stride(steps);
            let entries = history.into_entries();
            assert_eq!(entries.len(), steps / stride, "{steps}");
            assert!(entries.iter().enumerate().all(|(i, e)| e.value == ((i + 1) * stride) as f64), "{steps}");
            assert!(entries.len() <= MOST && (steps <= MOST || entries.len() >= MOST / 2));
        }
    }
}
