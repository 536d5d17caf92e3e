//! Counts of calls and of the samples that they ran over.

use std::cell::Cell;

use crate::operator::{Counts, Expansion, SymmetricOperator};

/// Calls, and calls times samples.
#[derive(Debug, Default)]
pub struct Tally {
    pub calls: Cell<Counts>,
    pub samples: Cell<Counts>,
}

impl Tally {
    fn add(&self, samples: usize, change: impl Fn(&mut Counts, usize)) {
        for (counts, by) in [(&self.calls, 1), (&self.samples, samples)] {
            let mut now = counts.get();
            change(&mut now, by);
            counts.set(now);
        }
    }

    pub fn value(&self, samples: usize) {
        self.add(samples, |c, by| c.values += by);
    }

    pub fn gradient(&self, samples: usize) {
        self.add(samples, |c, by| c.gradients += by);
    }

    pub fn product(&self, samples: usize) {
        self.add(samples, |c, by| c.products += by);
    }
}

/// M + λS, where the objective has an S, whose products are counted. It is only asked for products.
pub struct Metered<'t, M> {
    pub at: &'t M,
    /// λ of the iteration's start.
    pub damping: f64,
    pub samples: usize,
    pub tally: &'t Tally,
    /// Whether a product had an S.
    pub structural: Cell<bool>,
}

impl<T, M: Expansion<T>> SymmetricOperator<T> for Metered<'_, M> {
    fn dim(&self) -> usize {
        self.at.dim()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.tally.product(self.samples);
        self.structural.set(self.at.structural_product(self.damping, v, out));
        if !self.structural.get() {
            self.at.apply(v, out);
        }
    }
}
