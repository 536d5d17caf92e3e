//! Exact counts of residuals (values), Jacobians (gradients) and their products.

use std::cell::Cell;

use super::counted::record;
use super::{AnyModel, Around, Caller, Counts, LinearMap, Linearization, Units, forward};
use crate::base::{CallbackError, Scalar};

/// A model that counts what is asked of it.
pub(crate) struct CountedModel<'m, T> {
    model: &'m dyn AnyModel<T>,
    counts: Cell<Counts>,
    /// The most evaluations of the run.
    most: usize,
    units: Units,
}

impl<'m, T: Scalar> CountedModel<'m, T> {
    pub fn new(model: &'m dyn AnyModel<T>, most: usize) -> Self {
        CountedModel { model, counts: Cell::default(), most, units: Units::default() }
    }

    /// out ← r(x).
    pub fn evaluate(&self, x: &[T], out: &mut [T]) {
        record(&self.counts, |c| c.values += 1);
        self.model.evaluate(x, out);
    }

    /// The Jacobian at x, which stays within the bounds.
    pub fn linearize<'a>(&'a self, x: &'a [T], bounds: Option<[&'a [T]; 2]>) -> CountedMap<'a, T> {
        record(&self.counts, |c| c.gradients += 1);
        let most = self.most.saturating_sub(self.counts().values);
        let around = Around { bounds, units: Some(&self.units), most };
        CountedMap { inner: self.model.linearize_within(x, around), counted: self, known: Cell::new(0) }
    }
}

impl<T: Scalar> Caller for CountedModel<'_, T> {
    /// With what differences have shown.
    type Calls = (Counts, Units);

    fn counts(&self) -> Counts {
        self.counts.get()
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.model.take_error()
    }
    #[cfg(feature = "serde")]
    fn dimensions(&self) -> [usize; 2] {
        [self.model.dim(), self.model.output_dim()]
    }
    #[cfg(feature = "serde")]
    fn calls(&self) -> impl serde::Serialize + '_ {
        (self.counts(), &self.units)
    }
    #[cfg(feature = "serde")]
    fn resume(&mut self, (counts, units): (Counts, Units)) {
        self.counts.set(counts);
        self.units = units;
    }
}

/// A Jacobian whose products are counted.
pub(crate) struct CountedMap<'a, T> {
    inner: Box<dyn Linearization<T> + 'a>,
    counted: &'a CountedModel<'a, T>,
    /// Evaluations of it that were counted.
    known: Cell<usize>,
}

impl<T: Scalar> CountedMap<'_, T> {
    /// Counts the evaluations that a call has made, for differences.
    fn record_evaluations(&self) {
        let now = self.inner.evaluations();
        record(&self.counted.counts, |c| c.values += now - self.known.replace(now));
    }
}

impl<T: Scalar> LinearMap<T> for CountedMap<'_, T> {
    forward!(self.inner; rows, columns, forming_cost, accuracy, evaluations_ahead, take_error, blocks);
    fn apply(&self, v: &[T], out: &mut [T]) {
        record(&self.counted.counts, |c| c.products += 1);
        self.inner.apply(v, out);
        self.record_evaluations();
    }
    fn apply_transpose(&self, u: &[T], out: &mut [T]) {
        record(&self.counted.counts, |c| c.transpose_products += 1);
        self.inner.apply_transpose(u, out);
        self.record_evaluations();
    }
    fn form(&self, matrix: &mut [T]) {
        let (cost, wide) = (self.inner.forming_cost(), self.rows() < self.columns());
        record(&self.counted.counts, |c| *if wide { &mut c.transpose_products } else { &mut c.products } += cost);
        self.inner.form(matrix);
        self.record_evaluations();
    }
    fn column_norms(&self, out: &mut [T]) -> bool {
        let known = self.inner.column_norms(out);
        self.record_evaluations();
        known
    }
    fn count_passes(&self, passes: usize) {
        record(&self.counted.counts, |c| {
            c.products += passes;
            c.transpose_products += passes;
        });
    }
}
