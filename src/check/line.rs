//! Remainders of a vector function along a line: F(x ± hv) − F(x) ∓ h DF·v.

use super::sweep::{Remainder, Sample};
use crate::base::{Scalar, kernels};

/// F along lines through x, and what the product predicts for it.
pub(super) struct Line<'a, T, F> {
    function: F,
    x: &'a [T],
    /// F(x).
    here: &'a [T],
    displaced: Vec<T>,
    forward: Vec<T>,
    backward: Vec<T>,
    difference: Vec<T>,
}

impl<'a, T: Scalar, F: Fn(&[T], &mut [T])> Line<'a, T, F> {
    /// The lines through x, where F is `here`.
    pub fn new(function: F, x: &'a [T], here: &'a [T]) -> Self {
        let room = || vec![T::zero(); here.len()];
        let (displaced, forward, backward, difference) = (x.to_vec(), room(), room(), room());
        Line { function, x, here, displaced, forward, backward, difference }
    }

    /// F at x ± hv.
    fn evaluate(&mut self, h: f64, v: &[T]) {
        kernels::add_scaled(self.x, h, v, &mut self.displaced);
        (self.function)(&self.displaced, &mut self.forward);
        kernels::add_scaled(self.x, -h, v, &mut self.displaced);
        (self.function)(&self.displaced, &mut self.backward);
    }

    /// The remainders at x ± hv, where DF·v is `product`; `None` if F is not finite there.
    pub fn measure(&mut self, h: f64, v: &[T], product: &[T]) -> Option<Sample> {
        self.evaluate(h, v);
        let difference = &mut self.difference;
        kernels::add_scaled(&self.forward, -1.0, self.here, difference);
        let forward_change = kernels::norm(difference);
        kernels::axpy(-h, product, difference);
        let one_sided = kernels::norm(difference);
        kernels::add_scaled(&self.backward, -1.0, self.here, difference);
        let backward_change = kernels::norm(difference);

        kernels::add_scaled(&self.forward, -1.0, &self.backward, difference);
        let observed = kernels::norm(difference);
        let inner = 2.0 * h * kernels::dot(product, difference);
        kernels::axpy(-2.0 * h, product, difference);
        let central = 0.5 * kernels::norm(difference);
        let predicted = 2.0 * h * kernels::norm(product);
        let change = 0.5 * (predicted + forward_change + backward_change);
        let largest = kernels::norm(self.here).max(kernels::norm(&self.forward)).max(kernels::norm(&self.backward));
        let finite = one_sided.is_finite() && central.is_finite() && change.is_finite();
        finite.then_some(Sample {
            remainder: Remainder { step: h, one_sided, central },
            change,
            rounding: 4.0 * T::epsilon_f64() * (largest + change),
            products: [predicted * predicted, inner, observed * observed].map(|p| p / (2.0 * change) / (2.0 * change)),
        })
    }

    /// The component with the largest remainder.
    pub fn worst_component(&mut self, h: f64, v: &[T], product: &[T]) -> Option<usize> {
        self.evaluate(h, v);
        kernels::add_scaled(&self.forward, -1.0, &self.backward, &mut self.difference);
        kernels::axpy(-2.0 * h, product, &mut self.difference);
        let size = |i: &usize| -> f64 { self.difference[*i].abs().into() };
        (0..product.len()).max_by(|i, j| size(i).total_cmp(&size(j)))
    }
}
