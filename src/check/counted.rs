//! An objective that counts what is asked of it.

use std::cell::Cell;

use crate::operator::{Expansion, Objective, SymmetricOperator};

/// Counts of calls.
#[derive(Default)]
pub(super) struct Calls {
    pub values: Cell<usize>,
    pub gradients: Cell<usize>,
    pub products: Cell<usize>,
}

fn count(calls: &Cell<usize>) {
    calls.set(calls.get() + 1);
}

/// The objective, counted; its expansions count as well.
pub(super) struct Counted<'o, O> {
    pub objective: &'o O,
    pub calls: Calls,
}

impl<T, O: Objective<T>> Objective<T> for Counted<'_, O> {
    fn dim(&self) -> usize {
        self.objective.dim()
    }
    fn value(&self, x: &[T]) -> f64 {
        count(&self.calls.values);
        self.objective.value(x)
    }
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        CountedAt { expansion: self.objective.expand(x), calls: &self.calls }
    }
}

/// An operator or expansion, counted.
pub(super) struct CountedAt<'c, E> {
    pub expansion: E,
    pub calls: &'c Calls,
}

impl<T, E: SymmetricOperator<T>> SymmetricOperator<T> for CountedAt<'_, E> {
    fn dim(&self) -> usize {
        self.expansion.dim()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        count(&self.calls.products);
        self.expansion.apply(v, out);
    }
}

impl<T, E: Expansion<T>> Expansion<T> for CountedAt<'_, E> {
    fn value(&self) -> f64 {
        count(&self.calls.values);
        self.expansion.value()
    }
    fn gradient(&self, out: &mut [T]) {
        count(&self.calls.gradients);
        self.expansion.gradient(out);
    }
}
