//! The diagonal from products with random signs.
//!
//! Bekas, Kokiopoulou & Saad, Appl. Numer. Math. 57 (2007): Hutchinson's trace estimator (1990) componentwise. With
//! random signs v, E[v ∘ Mv] = diag(M), since vᵢ² = 1. The standard error in component i after s probes is
//! √(Σ_{j≠i} Mᵢⱼ² / s): none for a diagonal matrix.

use super::dimension;
use super::trace::signs;
use crate::base::{Result, Scalar, check_callback, check_count, random::SplitMix64};
use crate::operator::SymmetricOperator;

/// An estimate of a diagonal.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DiagonalEstimate<T> {
    /// The mean over the probes. NaN where a product was not finite.
    pub values: Vec<T>,
    /// The standard error of every component.
    pub standard_errors: Vec<T>,
    /// Products made, one a probe.
    pub products: usize,
}

/// An unbiased estimate of diag(M) from `probes` products with random signs, fixed by `seed`. Storage: two vectors, and
/// two of `f64`.
///
/// ```
/// use newton_krylov::spectrum;
/// use newton_krylov::operators::DiagonalOperator;
///
/// let diagonal = spectrum::diagonal(&DiagonalOperator(vec![1.0, 2.0, 3.0]), 2, 7)?;
/// assert_eq!(diagonal.values, [1.0, 2.0, 3.0]);
/// assert_eq!(diagonal.standard_errors, [0.0; 3]);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// As a preconditioner: [`Preconditioned::diagonal`](crate::preconditioners::Preconditioned::diagonal).
///
/// # Errors
/// If the operator has no dimension or `probes` is below 2.
pub fn diagonal<T: Scalar>(
    operator: &impl SymmetricOperator<T>,
    probes: usize,
    seed: u64,
) -> Result<DiagonalEstimate<T>> {
    let dim = dimension(operator)?;
    check_count("probes", probes, 2, "at least 2")?;
    let mut random = SplitMix64::new(seed);
    // Welford's mean and scatter.
    let (mut mean, mut squares) = (vec![0.0; dim], vec![0.0; dim]);
    let (mut v, mut product) = (vec![T::zero(); dim], vec![T::zero(); dim]);
    for probe in 1..=probes {
        signs(&mut random, &mut v);
        operator.apply(&v, &mut product);
        for i in 0..dim {
            let value: f64 = (v[i] * product[i]).into();
            let difference = value - mean[i];
            mean[i] += difference / probe as f64;
            squares[i] += difference * (value - mean[i]);
        }
    }
    check_callback(operator.take_error())?;
    let count = probes as f64;
    Ok(DiagonalEstimate {
        values: mean.iter().map(|&m| T::from_f64(m)).collect(),
        standard_errors: squares.iter().map(|s| T::from_f64((s / (count * (count - 1.0))).sqrt())).collect(),
        products: probes,
    })
}
