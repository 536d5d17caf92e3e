//! The signs of the curvature, without a Krylov space.
//!
//! Rayleigh quotients vᵀMv / vᵀv of random vectors, of a power iteration with M, which finds the eigenvalue of largest
//! magnitude σ, and of one with σI − M, which is drawn to the smallest eigenvalue (Golub & Van Loan, *Matrix
//! Computations* (2013), section 8.2). All lie between the extreme eigenvalues: a negative one is proof, its absence
//! none.

use super::numbers::normal;
use crate::base::{Scalar, kernels, random::SplitMix64};
use crate::operator::SymmetricOperator;

/// Steps of the power iteration with M.
const STEPS: usize = 6;
/// Steps of the power iteration with σI − M.
const SHIFTED_STEPS: usize = 10;

/// The signs of the Rayleigh quotients that were met.
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

/// Sixteen products.
pub(super) fn probe<T: Scalar>(operator: &dyn SymmetricOperator<T>, random: &mut SplitMix64) -> Curvature {
    let dim = operator.dim();
    let (mut smallest, mut largest, mut magnitude) = (f64::INFINITY, f64::NEG_INFINITY, 0.0_f64);
    let mut lowest = vec![T::zero(); dim];
    let mut v: Vec<T> = normal(dim, random);
    let mut product = vec![T::zero(); dim];
    for step in 0..STEPS + SHIFTED_STEPS {
        if step == STEPS {
            v.copy_from_slice(&lowest);
        }
        let length = kernels::norm(&v);
        if length == 0.0 || !length.is_finite() {
            break;
        }
        kernels::scale(length.recip(), &mut v);
        operator.apply(&v, &mut product);
        let quotient = kernels::dot(&v, &product);
        if !quotient.is_finite() {
            break;
        }
        if quotient < smallest {
            smallest = quotient;
            lowest.copy_from_slice(&v);
        }
        largest = largest.max(quotient);
        magnitude = magnitude.max(kernels::norm(&product));
        if step < STEPS {
            // What was not moved is kept, so that a multiple of the identity does not end the iteration.
            v.copy_from_slice(&product);
            if step + 1 == STEPS {
                continue;
            }
        } else {
            kernels::axpby(-1.0, &product, magnitude, &mut v);
        }
    }
    if smallest > largest {
        return Curvature::UNKNOWN;
    }
    let rounding = super::tolerance::<T>().powi(2) * magnitude;
    let definiteness = match (smallest < -rounding, largest > rounding) {
        (true, true) => Definiteness::Indefinite,
        (true, false) => Definiteness::NonPositive,
        (false, true) => Definiteness::NonNegative,
        (false, false) => Definiteness::Zero,
    };
    Curvature { definiteness, smallest, largest }
}
