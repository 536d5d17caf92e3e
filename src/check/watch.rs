//! Every output that a check has written by a callback is full of a NaN of its own beforehand: a component that still holds
//! it was left unwritten, at whatever point, direction or call that happens.

use std::cell::Cell;

use super::evaluation::JUNK;
use super::sweep::{TaylorTest, unmeasured};
use super::{Finding, Outcome};
use crate::base::{Result, Scalar, check_callback};
use crate::operator::{AnyObjective, Expansion, Objective, SymmetricOperator};

/// A NaN that arithmetic does not make, in `f32` too.
const POISON: u64 = 0x7ff8_dead_0000_0000;

/// What was seen of one kind of callback.
#[derive(Default)]
pub(super) struct Watch(Cell<Option<Outcome>>);

impl Watch {
    /// Has `write` fill `out`. The first component left is remembered, after another call has told whether it is never
    /// written or what was in it is read.
    pub fn call<T: Scalar>(&self, out: &mut [T], write: impl Fn(&mut [T])) {
        let poison = T::from_f64(f64::from_bits(POISON));
        let bits = |v: T| -> u64 { Into::<f64>::into(v).to_bits() };
        out.fill(poison);
        write(out);
        if self.0.get().is_some() {
            return;
        }
        if let Some(component) = out.iter().position(|&v| bits(v) == bits(poison)) {
            let junk = T::from_f64(JUNK);
            let mut other = vec![junk; out.len()];
            write(&mut other);
            let unwritten = other[component] == junk;
            self.0.set(Some(if unwritten { Outcome::Unwritten { component } } else { Outcome::ReadsOutput }));
        }
    }

    /// A vector that `write` fills.
    pub fn vector<T: Scalar>(&self, len: usize, write: impl Fn(&mut [T])) -> Vec<T> {
        let mut out = vec![T::zero(); len];
        self.call(&mut out, write);
        out
    }

    /// What is to be said of the callback after all its calls, if up to now it was `outcome`.
    pub fn judge(&self, outcome: Outcome) -> Outcome {
        if outcome.passed() { self.0.get().unwrap_or(outcome) } else { outcome }
    }

    /// The same in place, for a finding without numbers.
    pub fn judge_finding(&self, finding: &mut Finding) {
        *finding = Finding::exact(finding.property, self.judge(finding.outcome));
    }
}

/// An objective, or an expansion, whose gradients and products are watched.
pub(super) struct Watched<'w, O> {
    pub inner: O,
    pub gradient: &'w Watch,
    pub product: &'w Watch,
}

impl<T: Scalar, O: Objective<T>> Objective<T> for Watched<'_, O> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn value(&self, x: &[T]) -> f64 {
        self.inner.value(x)
    }
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        Watched { inner: self.inner.expand(x), gradient: self.gradient, product: self.product }
    }
}

impl<T: Scalar, M: SymmetricOperator<T>> SymmetricOperator<T> for Watched<'_, M> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.product.call(out, |out| self.inner.apply(v, out));
    }
}

impl<T: Scalar, E: Expansion<T>> Expansion<T> for Watched<'_, E> {
    fn value(&self) -> f64 {
        self.inner.value()
    }
    fn gradient(&self, out: &mut [T]) {
        self.gradient.call(out, |out| self.inner.gradient(out));
    }
}

/// The test that `compare` makes of an objective, unless it left something unwritten.
pub(super) fn watched<'o, T: Scalar>(
    objective: &AnyObjective<'o, T>,
    compare: impl FnOnce(&Watched<'_, &AnyObjective<'o, T>>) -> TaylorTest,
) -> Result<TaylorTest> {
    let watch = Watch::default();
    let test = compare(&Watched { inner: objective, gradient: &watch, product: &watch });
    check_callback(objective.take_error())?;
    Ok(match watch.judge(Outcome::Passed) {
        Outcome::Passed => test,
        unwritten => unmeasured(test.finding.property, unwritten),
    })
}
