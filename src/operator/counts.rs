//! Exact counts of values, gradients and products: the currency of this field.

use std::fmt;
use std::ops::Add;

/// How often an objective, a model or an operator was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Counts {
    /// Values f(x); in least squares residuals r(x), calls of [`Model::evaluate`](crate::Model::evaluate).
    pub values: usize,
    /// Gradients ∇f(x), with those that differences make for products; in least squares Jacobians, calls of
    /// [`Model::linearize`](crate::Model::linearize).
    pub gradients: usize,
    /// Products Mv. Forming a whole matrix counts as
    /// [`SymmetricOperator::forming_cost`](crate::SymmetricOperator::forming_cost) products (d by default).
    pub products: usize,
    /// Products Jᵀu, in least squares.
    pub transpose_products: usize,
}

impl Counts {
    /// Products of both kinds.
    pub fn all_products(&self) -> usize {
        self.products.saturating_add(self.transpose_products)
    }
}

impl Add for Counts {
    type Output = Counts;
    fn add(self, b: Counts) -> Counts {
        Counts {
            values: self.values + b.values,
            gradients: self.gradients + b.gradients,
            products: self.products + b.products,
            transpose_products: self.transpose_products + b.transpose_products,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} values, {} gradients, {} products", self.values, self.gradients, self.products)?;
        if self.transpose_products > 0 { write!(f, ", {} transposed", self.transpose_products) } else { Ok(()) }
    }
}
