//! Both ends of the spectrum and the condition number, from Lanczos' process in three vectors.
//!
//! A Ritz value θ with unit vector s of the tridiagonal T of k steps is an eigenvalue's neighbour:
//!
//!   min |θ − λ| ≤ 2.5 (β_k |s_k| + (√k u + ς) ‖M‖),   u the unit roundoff, ς the rounding of inner products
//!
//! also where rounding has destroyed the orthogonality of the basis (Paige, "Accuracy and effectiveness of the Lanczos
//! algorithm for the symmetric eigenproblem", Linear Algebra Appl. 34 (1980), theorem 3.1 and equation 3.48; the factor
//! is 1 without rounding). The smallest bound met counts, as long as later Ritz values agree with it. So the basis is
//! never restarted, which costs products, nor stored. The relative width of the spectrum that k steps leave unexplored
//! falls like (log d / k)² at worst (Kuczyński & Woźniakowski, SIAM J. Matrix Anal. Appl. 13 (1992), theorem 3.2).

use super::lanczos::{Lanczos, asymmetry_allowed};
use super::process::{Grown, Process};
use super::tridiagonal::RitzValue;
use super::{Status, dimension, exact};
use crate::base::{Result, Scalar, check_callback, compiled, random::SplitMix64};
use crate::operator::{Counted, SymmetricOperator};

/// The relative rounding of an inner product, about u√512: 512 terms follow each other in a partial sum.
const SUMS: f64 = 16.0 * f64::EPSILON;

/// An approximate eigenvalue: a true one lies in [value − error, value + error].
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Eigenvalue {
    /// θ. NaN if no product was finite.
    pub value: f64,
    /// The bound. Infinite where there is none.
    pub error: f64,
}

/// The ends of a spectrum.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Extremes {
    /// The smallest Ritz value, never below the smallest eigenvalue by more than rounding.
    pub smallest: Eigenvalue,
    /// The largest Ritz value, never above the largest eigenvalue by more than rounding.
    pub largest: Eigenvalue,
    /// How the computation ended.
    pub status: Status,
    /// Products made. Forming a small matrix counts as
    /// [`forming_cost`](SymmetricOperator::forming_cost).
    pub products: usize,
    /// The largest relative difference between uᵀMv and vᵀMu met.
    pub asymmetry: f64,
}

/// A condition number, and the interval that the errors of both ends leave.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Condition {
    /// κ = max |λ| / min |λ|, from the Ritz values.
    pub value: f64,
    /// The least that the error bounds allow.
    pub lower: f64,
    /// The most that they allow: infinite where the matrix may be singular.
    pub upper: f64,
}

impl Extremes {
    /// The condition number of a definite matrix; 1 at least. `None` if both signs were met, where the eigenvalues next
    /// to zero are inside the spectrum and this says nothing about them, or if there are no error bounds.
    pub fn condition(&self) -> Option<Condition> {
        let (low, high) = (self.smallest, self.largest);
        let (near, far) = if low.value + high.value >= 0.0 {
            (low, high)
        } else {
            (Eigenvalue { value: -high.value, ..high }, Eigenvalue { value: -low.value, ..low })
        };
        if !self.status.is_regular() || near.value < -near.error || far.value <= 0.0 {
            return None;
        }
        let ratio = |far: f64, near: f64| if near > 0.0 { (far / near).max(1.0) } else { f64::INFINITY };
        Some(Condition {
            value: ratio(far.value, near.value),
            lower: ratio((far.value - far.error).max(0.0), near.value + near.error),
            upper: ratio(far.value + far.error, near.value - near.error),
        })
    }
}

impl Lanczos {
    /// The smallest and the largest eigenvalue.
    ///
    /// Storage: 3 vectors and 5 numbers a product. Costs as many products as the harder end needs, about ln(d/ε)/(2√g)
    /// where g is its distance from the next eigenvalue over the width of the spectrum. The matrix is formed and
    /// decomposed instead where that costs at most 64 products and d ≤ 1024.
    ///
    /// A bound says that an eigenvalue is near; that it is the last one, and not its neighbour in a cluster narrower
    /// than the bound, is certain only for a first vector that contains it, as a random one does.
    ///
    /// ```
    /// use newton_krylov::{operator, spectrum::Lanczos};
    ///
    /// // Second differences on 500 points: 2 − 2 cos(jπ/501).
    /// let m = operator(500, |v: &[f64], mv: &mut [f64]| {
    ///     for i in 0..500 {
    ///         let (left, right) = (if i > 0 { v[i - 1] } else { 0.0 }, if i < 499 { v[i + 1] } else { 0.0 });
    ///         mv[i] = 2.0 * v[i] - left - right;
    ///     }
    /// });
    /// let ends = Lanczos::default().extremes(&m)?;
    /// let exact = 2.0 - 2.0 * (std::f64::consts::PI / 501.0).cos();
    /// assert!(ends.status.converged() && (ends.smallest.value - exact).abs() <= 1e-8 * exact);
    /// # Ok::<(), newton_krylov::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the operator has no dimension, the tolerance is negative or not finite, or no product is allowed.
    pub fn extremes<T: Scalar>(&self, operator: &impl SymmetricOperator<T>) -> Result<Extremes> {
        let (options, operator): (_, &dyn SymmetricOperator<T>) = (self, operator);
        compiled!(<'r, 's, T>(options: &'s Lanczos, operator: &'s dyn SymmetricOperator<T>) -> Result<Extremes> {
            options.find_extremes(operator)
        })
    }

    fn find_extremes<T: Scalar>(&self, operator: &dyn SymmetricOperator<T>) -> Result<Extremes> {
        let dim = dimension(operator)?;
        self.check()?;
        let operator = Counted::new(operator);
        if let Some(exact) = exact::decompose(&operator, self.max_products)? {
            let (values, error) = (exact.eigen.values(), exact.error);
            let [low, high] = [values.first(), values.last()].map(|v| v.copied().unwrap_or(f64::NAN));
            let accurate = [low, high].iter().all(|&v| error <= self.allowed::<T>(v));
            let status = if exact.status.converged() && !accurate { Status::Rounding } else { exact.status };
            let ends = [low, high].map(|value| Eigenvalue { value, error });
            return Ok(result(ends, status, operator.counts().products, exact.asymmetry));
        }

        let mut random = SplitMix64::new(self.seed);
        let mut process = Process::new(dim);
        process.start(|| random.normal());
        let mut ends = [Eigenvalue { value: f64::NAN, error: f64::INFINITY }; 2];
        let mut next_look = 1;
        let status = loop {
            let grown = process.step(&operator);
            let steps = process.matrix.len();
            let limit = operator.counts().products >= self.max_products;
            if grown == Grown::NotFinite {
                if steps > 0 {
                    ends = process.matrix.extremes().map(|ritz| Eigenvalue { value: ritz.value, error: f64::INFINITY });
                }
                break Status::NotFinite;
            }
            if steps < next_look && !limit && grown == Grown::Further {
                continue;
            }
            next_look = steps + 1 + steps / 40;
            let leaving = process.matrix.leaving();
            let ritz = process.matrix.extremes();
            let norm = ritz[0].value.abs().max(ritz[1].value.abs());
            let rounding = (0.5 * T::epsilon_f64() * (steps as f64).sqrt() + SUMS) * norm;
            let residual = |r: RitzValue| leaving * r.last;
            for (end, r) in ends.iter_mut().zip(ritz) {
                let now = Eigenvalue { value: r.value, error: 2.5 * (residual(r) + rounding) };
                // Further copies of a converged eigenvalue drift by rounding; but one beyond that is another.
                let drift = 2.0 * T::epsilon_f64() * steps as f64 * norm;
                if now.error < end.error || (now.value - end.value).abs() > end.error + drift {
                    *end = now;
                }
            }
            if process.asymmetry > asymmetry_allowed::<T>() {
                break Status::Asymmetric;
            }
            let accurate = ends.map(|end| end.error <= self.allowed::<T>(end.value));
            let exhausted = ritz.map(|r| residual(r) <= rounding || grown == Grown::Invariant);
            if accurate == [true; 2] {
                break Status::Converged;
            }
            if (0..2).all(|end| accurate[end] || exhausted[end]) {
                break Status::Rounding;
            }
            if limit {
                break Status::MaxProducts;
            }
        };
        check_callback(operator.take_error())?;
        Ok(result(ends, status, operator.counts().products, process.asymmetry))
    }
}

fn result([smallest, largest]: [Eigenvalue; 2], status: Status, products: usize, asymmetry: f64) -> Extremes {
    let bounded = |end: Eigenvalue| if status.is_regular() { end } else { Eigenvalue { error: f64::INFINITY, ..end } };
    Extremes { smallest: bounded(smallest), largest: bounded(largest), status, products, asymmetry }
}
