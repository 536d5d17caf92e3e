//! A projected model in its units, as the secular equation sees it.

use super::factors::Factors;
use super::secular::{self, Shifted};

/// bᵀy + ½ yᵀ(A + λI)y, and where its factors and solutions go.
pub(super) struct ProjectedModel<'a> {
    pub matrix: &'a [f64],
    /// From one row of A to the next.
    pub stride: usize,
    pub linear: &'a [f64],
    pub factors: &'a mut Factors,
    pub y: &'a mut [f64],
    pub work: &'a mut [f64],
}

impl Shifted for ProjectedModel<'_> {
    fn matrix(&self) -> (&[f64], usize) {
        (self.matrix, self.stride)
    }

    fn vectors(&mut self) -> (&[f64], &mut [f64]) {
        (self.linear, self.y)
    }

    fn factor(&mut self, shift: f64) -> bool {
        self.factors.make(self.matrix, shift, self.linear.len())
    }

    fn indefinite_up_to(&self) -> f64 {
        self.factors.indefinite_up_to()
    }

    fn substitute(&mut self) {
        self.factors.solve(self.y);
    }

    fn rate(&mut self, norm: f64) -> f64 {
        self.work.iter_mut().zip(&*self.y).for_each(|(w, y)| *w = y / norm);
        self.factors.solve_lower(self.work);
        secular::square(self.work)
    }
}
