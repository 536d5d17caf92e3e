//! The trace from products with random signs.
//!
//! Hutchinson, Commun. Stat. Simul. Comput. 19 (1990): E[vᵀMv] = tr M for a vector v of random signs, with variance
//! 2 Σ_{i≠j} Mᵢⱼ². The standard error falls like ‖M‖_F/√s.
//!
//! Hutch++ (Meyer, Musco, Musco & Woodruff, SOSA 2021, algorithm 1) finds an orthonormal basis Q of MS for random signs S,
//! where M is large, takes the trace there exactly, and probes only the rest:
//!
//!   tr M = tr QᵀMQ + tr (I − QQᵀ)M(I − QQᵀ)
//!
//! a third of the products each. For positive semidefinite M its error falls like tr M/s.

use super::dimension;
use super::estimate::{Estimate, Sample};
use crate::base::columns::{Columns, ROUNDING};
use crate::base::{Result, Scalar, check_callback, check_count, kernels, random::SplitMix64};
use crate::operator::{Counted, SymmetricOperator};

/// tr M by Hutchinson's estimator from `probes` products with random signs, fixed by `seed`. Storage: two vectors.
///
/// ```
/// use newton_krylov::spectrum;
/// use newton_krylov::operators::DiagonalOperator;
///
/// // Without anything off the diagonal nothing is left to chance.
/// let trace = spectrum::trace(&DiagonalOperator(vec![1.0, 2.0, 3.0]), 2, 7)?;
/// assert_eq!((trace.value, trace.standard_error, trace.products), (6.0, 0.0, 2));
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// If the operator has no dimension or `probes` is below 2.
pub fn trace<T: Scalar>(operator: &impl SymmetricOperator<T>, probes: usize, seed: u64) -> Result<Estimate> {
    let dim = dimension(operator)?;
    check_count("probes", probes, 2, "at least 2")?;
    let mut random = SplitMix64::new(seed);
    let mut sample = Sample::default();
    let (mut v, mut product) = (vec![T::zero(); dim], vec![T::zero(); dim]);
    for _ in 0..probes {
        signs(&mut random, &mut v);
        operator.apply(&v, &mut product);
        sample.add(kernels::dot(&v, &product));
    }
    check_callback(operator.take_error())?;
    Ok(sample.estimate(probes))
}

/// tr M by Hutch++ with at most `products` products, a third of them for each of its parts; `seed` fixes the random
/// signs. The standard error is that of the third part, the first two being exact. Storage: `products`/3 + 2 vectors.
///
/// Better than [`trace`] where few eigenvalues hold most of ‖M‖_F; elsewhere its probes are fewer for nothing.
///
/// ```
/// use newton_krylov::{operator, spectrum};
///
/// // A matrix of rank one is found out by the first products, and nothing is left to chance.
/// let a: Vec<f64> = (0..100).map(|i| (i as f64).sin()).collect();
/// let m = operator(100, |v: &[f64], mv: &mut [f64]| {
///     let along: f64 = a.iter().zip(v).map(|(a, v)| a * v).sum();
///     mv.iter_mut().zip(&a).for_each(|(mv, a)| *mv = along * a);
/// });
/// let trace = spectrum::trace_hutch_plus_plus(&m, 12, 7)?;
/// let exact: f64 = a.iter().map(|a| a * a).sum();
/// assert!((trace.value - exact).abs() < 1e-12 * exact && trace.standard_error < 1e-12 * exact);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// If the operator has no dimension or `products` is below 6.
pub fn trace_hutch_plus_plus<T: Scalar>(
    operator: &impl SymmetricOperator<T>,
    products: usize,
    seed: u64,
) -> Result<Estimate> {
    let dim = dimension(operator)?;
    check_count("products", products, 6, "at least 6")?;
    let operator = Counted::new(operator);
    let mut random = SplitMix64::new(seed);
    let width = products / 3;
    let mut basis = vec![T::zero(); dim * width];
    let (mut v, mut product) = (vec![T::zero(); dim], vec![T::zero(); dim]);
    let (mut h, mut rank) = (vec![0.0; width + 1], 0);
    for _ in 0..width.min(dim) {
        signs(&mut random, &mut v);
        operator.apply(&v, &mut product);
        if orthonormalise(Columns::new(dim, &basis[..rank * dim]), &mut h, &mut product) {
            basis[rank * dim..(rank + 1) * dim].copy_from_slice(&product);
            rank += 1;
        }
    }
    let q = Columns::new(dim, &basis[..rank * dim]);
    let mut captured = 0.0;
    for j in 0..rank {
        operator.apply(q.column(j), &mut product);
        captured += kernels::dot(q.column(j), &product);
    }
    let mut sample = Sample::default();
    for _ in 0..products - 2 * width {
        signs(&mut random, &mut v);
        q.transpose_times(&v, &mut h[..rank]);
        q.add_times(-1.0, &h[..rank], &mut v);
        operator.apply(&v, &mut product);
        sample.add(kernels::dot(&v, &product));
    }
    sample.mean += captured;
    check_callback(operator.take_error())?;
    Ok(sample.estimate(operator.counts().products))
}

/// v ← random signs.
pub(super) fn signs<T: Scalar>(random: &mut SplitMix64, v: &mut [T]) {
    v.iter_mut().for_each(|v| *v = T::from_f64(random.rademacher()));
}

/// x ← what Q lacks of it, of length 1; false if it lacks nothing. A vector that is not finite is kept, so that the
/// estimate says so.
fn orthonormalise<T: Scalar>(q: Columns<'_, T>, h: &mut [f64], x: &mut [T]) -> bool {
    let before = kernels::norm(x);
    if before == 0.0 {
        return false;
    }
    let h = &mut h[..=q.data.len() / q.dim];
    let left = q.remove_all_from(x, h, before, 4.0 * ROUNDING * T::epsilon_f64() * before);
    if left == 0.0 {
        return false;
    }
    kernels::scale(left.recip(), x);
    true
}
