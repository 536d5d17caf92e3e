//! The signs of the curvature: the extreme Ritz values of a small Krylov space. They lie between the extreme eigenvalues: a
//! negative one is proof, its absence none.

use super::numbers::normal;
use crate::base::{Scalar, random::SplitMix64};
use crate::operator::SymmetricOperator;
use crate::step::{Growth, KrylovSpace};

/// The space's dimension: as many products, twice as many vectors.
const DIMENSION: usize = 10;

/// The signs of the Rayleigh quotients vᵀMv / vᵀv that were met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Definiteness {
    /// None negative: the operator may be positive semidefinite.
    NonNegative,
    /// Both signs: the operator is indefinite, and CG will meet negative curvature.
    Indefinite,
    /// None positive.
    NonPositive,
    /// All products were zero.
    Zero,
    /// No finite product.
    Unknown,
}

/// The range of the Rayleigh quotients that were met. Information: an indefinite Hessian is no mistake.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curvature {
    /// Their signs, beyond rounding.
    pub definiteness: Definiteness,
    /// The smallest, no less than the smallest eigenvalue.
    pub smallest: f64,
    /// The largest, no more than the largest eigenvalue.
    pub largest: f64,
}

impl Curvature {
    pub(super) const UNKNOWN: Curvature =
        Curvature { definiteness: Definiteness::Unknown, smallest: f64::NAN, largest: f64::NAN };
}

/// At most [`DIMENSION`] products.
pub(super) fn probe<T: Scalar>(operator: &impl SymmetricOperator<T>, random: &mut SplitMix64) -> Curvature {
    let dim = operator.dim();
    let start: Vec<T> = normal(dim, random);
    let mut space = KrylovSpace::new(dim, DIMENSION.min(dim));
    space.direction().copy_from_slice(&start);
    while !space.is_full() && space.grow(operator, &start) == Growth::Grown {
        space.point_to_newest_product(0.0);
    }
    let values = space.ritz_values();
    let (Some(&smallest), Some(&largest)) = (values.first(), values.last()) else {
        return Curvature::UNKNOWN;
    };
    let rounding = super::tolerance::<T>().powi(2) * space.size;
    let definiteness = match (smallest < -rounding, largest > rounding) {
        (true, true) => Definiteness::Indefinite,
        (true, false) => Definiteness::NonPositive,
        (false, true) => Definiteness::NonNegative,
        (false, false) => Definiteness::Zero,
    };
    Curvature { definiteness, smallest, largest }
}
