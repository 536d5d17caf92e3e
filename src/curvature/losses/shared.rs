//! What several losses need.

use std::borrow::Cow;
use std::ops::Index;

use crate::base::{Result, Scalar, check_component, check_finite, check_length, check_positive_dimension};

/// The targets of all samples: `targets[i]` are those of sample i.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Targets<'y, T: Clone> {
    all: Cow<'y, [T]>,
    /// Targets of a sample.
    pub count: usize,
}

impl<'y, T: Scalar> Targets<'y, T> {
    /// Refuses targets that do not divide into samples of `count`, or are not finite.
    pub fn new(argument: &'static str, all: Cow<'y, [T]>, count: usize) -> Result<Self> {
        check_positive_dimension("outputs", count)?;
        check_positive_dimension(argument, all.len())?;
        check_length(argument, &all, all.len().next_multiple_of(count))?;
        check_finite(argument, &all)?;
        Ok(Targets { all, count })
    }

    /// Refuses targets that are not as required.
    pub fn check(&self, argument: &'static str, valid: impl Fn(T) -> bool, requirement: &'static str) -> Result<()> {
        let mut all = self.all.iter().enumerate();
        all.try_for_each(|(index, &y)| check_component(argument, index, y.into(), valid(y), requirement))
    }

    pub fn samples(&self) -> usize {
        self.all.len() / self.count
    }

    pub fn outputs_per_sample(&self) -> usize {
        self.count
    }
}

impl<T: Clone> Index<usize> for Targets<'_, T> {
    type Output = [T];
    fn index(&self, sample: usize) -> &[T] {
        &self.all[sample * self.count..(sample + 1) * self.count]
    }
}

/// out ← diag(d) v.
pub(super) fn multiply_diagonal<T: Scalar>(d: &[T], v: &[T], out: &mut [T]) {
    for ((out, &d), &v) in out.iter_mut().zip(d).zip(v) {
        *out = d * v;
    }
}

/// What rounding made negative is 0; NaN stays.
pub(super) fn not_negative(divergence: f64) -> f64 {
    if divergence < 0.0 { 0.0 } else { divergence }
}
