//! The chained Rosenbrock function.
//!
//! Toint, "Some numerical results using a sparse matrix updating formula in unconstrained optimization", *Mathematics
//! of Computation* 32 (1978) 839–851, with constant coefficients: one curved valley through all unknowns, so that a
//! method follows it for a number of steps that grows with n.

use std::fmt;

use crate::base::{Result, Scalar, check_count};
use crate::operator::{Expansion, Objective, SymmetricOperator};

/// The chained Rosenbrock function Σᵢ₌₁ⁿ⁻¹ 100 (xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)² in n ≥ 2 unknowns, after Toint (1978).
///
/// F = 0 at (1, …, 1). For 4 ≤ n ≤ 30 there is a second minimum with F near 4, close to (−1, 1, …, 1) (Shang & Qiu,
/// "A note on the extended Rosenbrock function", *Evolutionary Computation* 14 (2006) 119–126).
///
/// ```
/// use newton_krylov::{Objective, problems::ChainedRosenbrock};
///
/// let problem = ChainedRosenbrock::new(2)?;
/// assert!((problem.value(&problem.start::<f64>()) - 24.2).abs() < 1e-12);
/// assert_eq!(problem.value(&[1.0, 1.0]), 0.0);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainedRosenbrock {
    n: usize,
}

impl ChainedRosenbrock {
    /// The function in `n` unknowns, at least 2.
    pub fn new(n: usize) -> Result<Self> {
        check_count("n", n, 2, "at least 2")?;
        Ok(ChainedRosenbrock { n })
    }

    /// The standard starting point (−1.2, 1, −1.2, 1, …).
    pub fn start<T: Scalar>(&self) -> Vec<T> {
        (0..self.n).map(|i| T::from_f64(if i % 2 == 0 { -1.2 } else { 1.0 })).collect()
    }
}

/// Name and n: "Chained Rosenbrock, n = 100".
impl fmt::Display for ChainedRosenbrock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chained Rosenbrock, n = {}", self.n)
    }
}

impl<T: Scalar> Objective<T> for ChainedRosenbrock {
    fn dim(&self) -> usize {
        self.n
    }

    fn value(&self, x: &[T]) -> f64 {
        let term = |pair: &[T]| {
            let (a, b): (f64, f64) = (pair[0].into(), pair[1].into());
            let (bend, distance) = (b - a * a, 1.0 - a);
            100.0 * bend * bend + distance * distance
        };
        x.windows(2).map(term).sum()
    }

    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        ChainedRosenbrockAt { problem: self, x }
    }
}

struct ChainedRosenbrockAt<'a, T> {
    problem: &'a ChainedRosenbrock,
    x: &'a [T],
}

impl<T: Scalar> SymmetricOperator<T> for ChainedRosenbrockAt<'_, T> {
    fn dim(&self) -> usize {
        self.problem.n
    }

    /// The Hessian is tridiagonal: the term in (xᵢ, xᵢ₊₁) adds 1200xᵢ² − 400xᵢ₊₁ + 2, −400xᵢ and 200.
    fn apply(&self, v: &[T], out: &mut [T]) {
        let c = T::from_f64;
        out[0] = T::zero();
        for i in 0..self.x.len() - 1 {
            let (x, next) = (self.x[i], self.x[i + 1]);
            let across = c(-400.0) * x;
            out[i] += (c(1200.0) * x * x - c(400.0) * next + c(2.0)) * v[i] + across * v[i + 1];
            out[i + 1] = across * v[i] + c(200.0) * v[i + 1];
        }
    }

    fn shared(&self) -> Option<&(dyn SymmetricOperator<T> + Sync)> {
        Some(self)
    }
}

impl<T: Scalar> Expansion<T> for ChainedRosenbrockAt<'_, T> {
    fn value(&self) -> f64 {
        self.problem.value(self.x)
    }

    fn gradient(&self, out: &mut [T]) {
        let c = T::from_f64;
        out[0] = T::zero();
        for i in 0..self.x.len() - 1 {
            let x = self.x[i];
            let bend = c(200.0) * (self.x[i + 1] - x * x);
            out[i] += c(-2.0) * x * bend - c(2.0) * (T::one() - x);
            out[i + 1] = bend;
        }
    }
}
