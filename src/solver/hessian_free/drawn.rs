//! Which samples an iteration is made of.

use super::options::HessianFree;
use crate::control::Batches;

/// The samples of one iteration.
#[derive(Default)]
pub struct Drawn {
    /// The gradient batch.
    pub gradient: Vec<usize>,
    /// The curvature batch, a part of it.
    pub curvature: Vec<usize>,
    /// Samples in the whole set.
    pub all: usize,
}

impl Drawn {
    /// Draws the batches of an iteration; those of the whole set if `everything`.
    pub fn draw(&mut self, options: &HessianFree, batches: &mut Batches, iteration: usize, everything: bool) {
        self.all = batches.samples();
        self.gradient.clear();
        if everything {
            self.gradient.extend(0..self.all);
        } else {
            if batches.at_start_of_epoch() {
                let size = options.gradient_batch.size(iteration, self.all);
                batches.set_size(size).expect("between 1 and the number of samples");
            }
            self.gradient.extend(batches.draw());
        }
        let size = options.curvature_batch.size(self.gradient.len(), self.all);
        self.curvature.clear();
        self.curvature.extend(&self.gradient[..size]);
        // A sum over all does not depend on the epoch.
        if self.whole() {
            self.gradient.sort_unstable();
        }
        if self.curvature_whole() {
            self.curvature.sort_unstable();
        }
    }

    /// Whether gradients are those of the whole set.
    pub fn whole(&self) -> bool {
        self.gradient.len() == self.all
    }

    /// Whether products are those of the whole set.
    pub fn curvature_whole(&self) -> bool {
        self.curvature.len() == self.all
    }
}
