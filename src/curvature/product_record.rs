//! Some of the products that went by, for what learns from them.

use crate::base::{Result, Scalar, check_range, kernels};

/// Pairs, at most.
pub(super) const MOST: usize = 32;

/// Pairs (v, Mv) out of a stream of products: at most so many, as evenly spread over the stream as they can be (Morales &
/// Nocedal 2000, section 3.2).
///
/// Every 1st, 2nd, 4th, … product is kept; the distance doubles when there is no room left. Storage: two vectors for a pair.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProductRecord<T> {
    pairs: usize,
    /// v/‖v‖ and Mv/‖v‖ by columns.
    pub(super) steps: Vec<T>,
    pub(super) products: Vec<T>,
    kept: usize,
    seen: usize,
    distance: usize,
}

impl<T: Scalar> ProductRecord<T> {
    /// A record of at most `pairs` products.
    ///
    /// # Errors
    /// If `pairs` is 0 or above 32.
    pub fn new(pairs: usize) -> Result<Self> {
        check_range("pairs", pairs as f64, (1..=MOST).contains(&pairs), "between 1 and 32")?;
        Ok(ProductRecord { pairs, steps: vec![], products: vec![], kept: 0, seen: 0, distance: 1 })
    }

    /// Sees the product Mv. Pairs that are zero or not finite are passed over.
    ///
    /// # Panics
    /// If the lengths differ from each other or from those before.
    pub fn see(&mut self, v: &[T], product: &[T]) {
        let dim = v.len();
        assert_eq!(dim, product.len(), "a vector and its product have one length");
        assert!(self.kept == 0 || self.steps.len() / self.kept == dim, "all pairs have one length");
        let norm = kernels::norm(v);
        if norm == 0.0 || !norm.is_finite() || !kernels::norm(product).is_finite() {
            return;
        }
        let number = self.seen;
        self.seen += 1;
        if !number.is_multiple_of(self.distance) {
            return;
        }
        if self.kept == self.pairs {
            if self.pairs == 1 && !number.is_multiple_of(2 * self.distance) {
                return; // the only pair stays until there is one for its place
            }
            self.thin(dim);
            if !number.is_multiple_of(self.distance) {
                return;
            }
        }
        for (columns, new) in [(&mut self.steps, v), (&mut self.products, product)] {
            columns.resize(dim * (self.kept + 1), T::zero());
            kernels::scale_into(norm.recip(), new, &mut columns[dim * self.kept..]);
        }
        self.kept += 1;
    }

    /// Drops every other pair.
    fn thin(&mut self, dim: usize) {
        self.distance *= 2;
        let left = self.kept.div_ceil(2);
        for columns in [&mut self.steps, &mut self.products] {
            (1..left).for_each(|j| columns.copy_within(2 * j * dim..(2 * j + 1) * dim, j * dim));
            columns.truncate(left * dim);
        }
        self.kept = left;
        // With room for one pair only the newest one at every distance is kept.
        if self.kept == self.pairs {
            self.kept = 0;
            self.steps.clear();
            self.products.clear();
        }
    }

    /// Pairs, at most.
    pub(super) fn most(&self) -> usize {
        self.pairs
    }

    /// Pairs that are there.
    pub fn len(&self) -> usize {
        self.kept
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kept == 0
    }

    /// Begins a new stream; the memory is kept.
    pub fn clear(&mut self) {
        self.steps.clear();
        self.products.clear();
        (self.kept, self.seen, self.distance) = (0, 0, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first entries of the steps that are kept of products 0, 1, …
    fn kept(pairs: usize, seen: usize) -> Vec<f64> {
        let mut record = ProductRecord::new(pairs).unwrap();
        for number in 0..seen {
            // v/‖v‖ = (1, 0), and Mv/‖v‖ tells the number.
            record.see(&[2.0, 0.0], &[2.0 * number as f64, 0.0]);
        }
        assert_eq!(record.len(), record.products.len() / 2);
        assert_eq!(record.steps, [1.0, 0.0].repeat(record.len()));
        record.products.iter().copied().step_by(2).collect()
    }

    #[test]
    fn pairs_are_spread_evenly_over_the_stream() {
        assert!(kept(4, 0).is_empty());
        assert_eq!(kept(1, 2), [0.0]);
        assert_eq!(kept(4, 3), [0.0, 1.0, 2.0]);
        assert_eq!(kept(4, 6), [0.0, 2.0, 4.0]);
        assert_eq!(kept(4, 8), [0.0, 2.0, 4.0, 6.0]);
        assert_eq!(kept(4, 30), [0.0, 8.0, 16.0, 24.0]);
        assert_eq!(kept(3, 9), [0.0, 4.0, 8.0]);
        assert_eq!(kept(1, 9), [8.0]);
        assert_eq!(kept(1, 15), [8.0]);
    }

    #[test]
    fn what_is_zero_or_not_finite_is_passed_over() {
        let mut record = ProductRecord::new(2).unwrap();
        record.see(&[0.0_f32], &[0.0]);
        record.see(&[1.0], &[f32::NAN]);
        record.see(&[f32::INFINITY], &[1.0]);
        assert!(record.is_empty());
        record.see(&[-4.0], &[1.0]);
        assert_eq!((record.len(), record.steps[0], record.products[0]), (1, -1.0, 0.25));
        record.clear();
        record.see(&[1.0, 1.0], &[0.0, 0.0]);
        assert_eq!(record.len(), 1);
        assert!(ProductRecord::<f64>::new(0).is_err() && ProductRecord::<f64>::new(33).is_err());
    }
}
