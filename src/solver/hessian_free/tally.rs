//! Counts of calls and of the samples that they ran over.

use std::cell::{Cell, RefCell};

use crate::base::Scalar;
use crate::curvature::{LearningCost, ProductRecord};
use crate::operator::{Counts, Expansion, StructuralDamping, SymmetricOperator, forward};

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

    pub fn learning(&self, cost: LearningCost) {
        self.calls.set(self.calls.get() + cost.calls);
        self.samples.set(self.samples.get() + cost.samples);
    }
}

/// M + λS, where the objective has an S, whose products are counted, and recorded where a preconditioner learns from them.
/// It is only asked for products.
pub struct Metered<'t, T, M> {
    pub at: &'t M,
    /// S.
    pub structural: Option<&'t dyn StructuralDamping<T>>,
    /// λ of the iteration's start.
    pub damping: f64,
    pub samples: usize,
    pub tally: &'t Tally,
    pub record: Option<&'t RefCell<ProductRecord<T>>>,
}

impl<T: Scalar, M: Expansion<T>> SymmetricOperator<T> for Metered<'_, T, M> {
    forward!(self.at; dim, take_error);
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.tally.product(self.samples);
        match self.structural {
            Some(structural) => structural.damped_product(self.damping, v, out),
            None => self.at.apply(v, out),
        }
        if let Some(record) = self.record {
            record.borrow_mut().see(v, out);
        }
    }
}
