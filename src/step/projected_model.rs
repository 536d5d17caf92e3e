//! A projected model in its units, as the secular equation sees it.

use super::factors::Factors;
use super::secular::{self, Shifted};
use super::spectral;

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
    fn factor(&mut self, shift: f64) -> bool {
        self.factors.make(self.matrix, shift, self.linear.len())
    }

    fn indefinite_up_to(&self) -> f64 {
        self.factors.indefinite_up_to()
    }

    fn most_negative_curvature(&self) -> f64 {
        secular::most_negative_curvature(self.matrix, self.stride, self.linear.len())
    }

    fn largest(&self) -> f64 {
        secular::largest(self.matrix, self.stride, self.linear.len())
    }

    fn linear_norm(&self) -> f64 {
        spectral::length(self.linear.iter().copied())
    }

    fn solve(&mut self) -> f64 {
        self.y.iter_mut().zip(self.linear).for_each(|(y, b)| *y = -b);
        self.factors.solve(self.y);
        spectral::length(self.y.iter().copied())
    }

    fn rate(&mut self, norm: f64) -> f64 {
        self.work.iter_mut().zip(&*self.y).for_each(|(w, y)| *w = y / norm);
        self.factors.solve_lower(self.work);
        secular::square(self.work)
    }

    fn slope(&self) -> f64 {
        self.linear.iter().zip(&*self.y).map(|(b, y)| b * y).sum()
    }

    fn scale(&mut self, factor: f64) {
        self.y.iter_mut().for_each(|y| *y *= factor);
    }
}
