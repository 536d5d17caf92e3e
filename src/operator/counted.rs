//! Objectives and operators that count what is asked of them.

use std::cell::Cell;

use super::{AnyObjective, Caller, Counts, Expansion, Objective, StructuralDamping, SymmetricOperator, forward};
use crate::base::{CallbackError, Scalar, space};

/// An objective or operator that counts what is asked of it.
///
/// ```
/// use newton_krylov::{SymmetricOperator, operator};
/// use newton_krylov::operators::Counted;
///
/// let m = Counted::new(operator(2, |v: &[f64], out: &mut [f64]| out.copy_from_slice(v)));
/// m.apply(&[1.0, 2.0], &mut [0.0; 2]);
/// assert_eq!(m.counts().products, 1);
/// ```
#[derive(Debug, Default)]
pub struct Counted<O> {
    inner: O,
    counts: Cell<Counts>,
}

impl<O> Counted<O> {
    /// Counts the calls of `inner` from now on.
    pub fn new(inner: O) -> Self {
        Counted { inner, counts: Cell::default() }
    }

    fn view(&self) -> CountedView<'_, &O> {
        CountedView { inner: &self.inner, counts: &self.counts, known: Cell::new(0) }
    }

    /// The calls so far.
    pub fn counts(&self) -> Counts {
        self.counts.get()
    }
}

/// Changes counts that are kept in a cell.
pub(super) fn record(counts: &Cell<Counts>, change: impl FnOnce(&mut Counts)) {
    let mut now = counts.get();
    change(&mut now);
    counts.set(now);
}

impl<T, O: Objective<T>> Objective<T> for Counted<O> {
    forward!(self.inner; dim, take_error);
    fn value(&self, x: &[T]) -> f64 {
        record(&self.counts, |c| c.values += 1);
        space::common(self.inner.value(x))
    }
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        CountedView { inner: self.inner.expand(x), counts: &self.counts, known: Cell::new(0) }
    }
}

impl<T, M: SymmetricOperator<T>> SymmetricOperator<T> for Counted<M> {
    forward!(self.inner; dim, abilities, learn_accuracy, preconditioner);
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.view().apply(v, out);
    }
    fn apply_block(&self, v: &[T], out: &mut [T]) {
        self.view().apply_block(v, out);
    }
    fn form(&self, matrix: &mut [T])
    where
        T: Scalar,
    {
        self.view().form(matrix);
    }
}

impl<T> Caller for Counted<AnyObjective<'_, T>> {
    type Calls = Counts;

    fn counts(&self) -> Counts {
        self.counts.get()
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.inner.take_error()
    }
    #[cfg(feature = "serde")]
    fn dimensions(&self) -> [usize; 2] {
        [self.inner.dim(), 0]
    }
    #[cfg(feature = "serde")]
    fn calls(&self) -> impl serde::Serialize + '_ {
        self.counts.get()
    }
    #[cfg(feature = "serde")]
    fn resume(&mut self, counts: Counts) {
        self.counts.set(counts);
    }
}

/// An operator or expansion whose calls are added to counts kept elsewhere.
struct CountedView<'c, E> {
    inner: E,
    counts: &'c Cell<Counts>,
    /// Gradients made for products that were counted.
    known: Cell<usize>,
}

impl<E> CountedView<'_, E> {
    fn record_evaluations<T>(&self)
    where
        E: SymmetricOperator<T>,
    {
        let now = self.inner.evaluations();
        record(self.counts, |c| c.gradients += now - self.known.replace(now));
    }
}

impl<T, E: SymmetricOperator<T>> SymmetricOperator<T> for CountedView<'_, E> {
    forward!(self.inner; dim, abilities, learn_accuracy, preconditioner);
    fn apply(&self, v: &[T], out: &mut [T]) {
        record(self.counts, |c| c.products += 1);
        self.inner.apply(v, out);
        self.record_evaluations();
    }
    fn apply_block(&self, v: &[T], out: &mut [T]) {
        record(self.counts, |c| c.products += v.len() / self.inner.dim().max(1));
        self.inner.apply_block(v, out);
        self.record_evaluations();
    }
    fn form(&self, matrix: &mut [T])
    where
        T: Scalar,
    {
        record(self.counts, |c| c.products += self.inner.forming_cost());
        self.inner.form(matrix);
        self.record_evaluations();
    }
}

impl<T, E: Expansion<T>> Expansion<T> for CountedView<'_, E> {
    fn value(&self) -> f64 {
        record(self.counts, |c| c.values += 1);
        space::common(self.inner.value())
    }
    fn gradient(&self, out: &mut [T]) {
        record(self.counts, |c| c.gradients += 1);
        self.inner.gradient(out);
    }
    fn value_and_divergence(&self, y: &[T]) -> Option<(f64, f64)> {
        let answer = self.inner.value_and_divergence(y);
        record(self.counts, |c| c.values += usize::from(answer.is_some()));
        answer.map(|(value, divergence)| (space::common(value), space::common(divergence)))
    }
    fn structural_damping(&self) -> Option<&dyn StructuralDamping<T>> {
        self.inner.structural_damping().map(|_| self as _)
    }
}

impl<T, E: Expansion<T>> StructuralDamping<T> for CountedView<'_, E> {
    fn damped_product(&self, damping: f64, v: &[T], out: &mut [T]) {
        if let Some(inner) = self.inner.structural_damping() {
            record(self.counts, |c| c.products += 1);
            inner.damped_product(damping, v, out);
            self.record_evaluations();
        }
    }
}
