//! The density of the spectrum, and traces of functions of M, by stochastic Lanczos quadrature.
//!
//! For a random unit vector v the nodes θᵢ of k Lanczos steps and the squared first components wᵢ of T's eigenvectors are
//! Gauss' quadrature for v's share of the spectrum (Golub & Meurant, *Matrices, Moments and Quadrature* (2010), chapter
//! 6; Ubaru, Chen & Saad, SIAM J. Matrix Anal. Appl. 38 (2017), algorithm 1):
//!
//!   tr f(M) ≈ d/s Σ_probes Σᵢ wᵢ f(θᵢ),        φ(t) ≈ 1/s Σ_probes Σᵢ wᵢ exp(−(t − θᵢ)²/2σ²)/(σ√(2π))
//!
//! the density φ as in Ghorbani, Krishnan & Xiao (ICML 2019), section 2. Deviations: random signs instead of normal
//! vectors (tr I is then exact), and no reorthogonalisation, which this quadrature does not need (see
//! [`process`](super::process)).

use faer::Par;

use super::estimate::{Estimate, Sample};
use super::lanczos::asymmetry_allowed;
use super::process::{Grown, Process};
use super::tridiagonal::Tridiagonal;
use super::{Status, dimension};
use crate::base::{
    Eigen, Result, Scalar, check_callback, check_count, check_finite, check_positive, compiled, random::SplitMix64,
};
use crate::operator::{Counted, SymmetricOperator};

/// Stochastic Lanczos quadrature.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StochasticQuadrature {
    /// Random vectors: the standard error falls like their number to the power −½. At least 2. Default 10, as in
    /// Ghorbani, Krishnan & Xiao (2019), section 2.
    pub probes: usize,
    /// Lanczos steps a probe, at least 1, at most d. Default 90, as there.
    pub steps: usize,
    /// Fixes the random vectors. Default 0.
    pub seed: u64,
}

impl Default for StochasticQuadrature {
    fn default() -> Self {
        StochasticQuadrature { probes: 10, steps: 90, seed: 0 }
    }
}

/// A quadrature rule: Σ wᵢ f(θᵢ).
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Rule {
    nodes: Vec<f64>,
    weights: Vec<f64>,
}

impl Rule {
    fn apply(&self, f: impl Fn(f64) -> f64) -> f64 {
        // A weight of zero does not ask for a value that may not exist.
        let terms = self.nodes.iter().zip(&self.weights).filter(|(_, w)| **w > 0.0);
        terms.map(|(&node, &weight)| weight * f(node)).sum()
    }

    fn of(matrix: &Tridiagonal, steps: usize, eigen: &mut Eigen, dense: &mut [f64]) -> Rule {
        dense[..steps * steps].fill(0.0);
        for i in 0..steps {
            dense[i * steps + i] = matrix.diagonal[i];
            if i + 1 < steps {
                dense[i * steps + i + 1] = matrix.off_diagonal[i];
                dense[(i + 1) * steps + i] = matrix.off_diagonal[i];
            }
        }
        if !eigen.decompose(dense, steps, steps, Par::Seq) {
            return Rule { nodes: vec![f64::NAN], weights: vec![1.0] };
        }
        let weights = (0..steps).map(|j| eigen.vector(j)[0] * eigen.vector(j)[0]).collect();
        Rule { nodes: eigen.values().to_vec(), weights }
    }
}

/// What stochastic quadrature found: a random measure near the spectrum of M, from which all else is computed without a
/// further product.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Spectrum {
    dim: usize,
    /// For every probe the rule of all steps, and that of three quarters of them.
    rules: Vec<[Rule; 2]>,
    /// [`Status::Converged`] if every probe made its steps. Otherwise all estimates are NaN.
    pub status: Status,
    /// Products made.
    pub products: usize,
    /// The largest relative difference between uᵀMv and vᵀMu met.
    pub asymmetry: f64,
}

impl StochasticQuadrature {
    /// Runs the probes. Costs probes × steps products, fewer where a space is invariant. Storage: 3 vectors.
    ///
    /// ```
    /// use newton_krylov::spectrum::StochasticQuadrature;
    /// use newton_krylov::operators::DiagonalOperator;
    ///
    /// let m = DiagonalOperator((1..=400).map(|i| f64::from(i) / 400.0).collect());
    /// let spectrum = StochasticQuadrature::default().of(&m)?;
    /// let log_determinant = spectrum.log_determinant();
    /// let exact: f64 = m.0.iter().map(|v| v.ln()).sum();
    /// let error = (log_determinant.value - exact).abs();
    /// assert!(error < 4.0 * log_determinant.standard_error + 2.0 * log_determinant.truncation);
    /// # Ok::<(), newton_krylov::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the operator has no dimension, there are fewer than 2 probes, or no steps.
    pub fn of<T: Scalar>(&self, operator: &impl SymmetricOperator<T>) -> Result<Spectrum> {
        let (options, operator): (_, &dyn SymmetricOperator<T>) = (self, operator);
        compiled!(<'r, 's, T>(options: &'s StochasticQuadrature, operator: &'s dyn SymmetricOperator<T>) -> Result<Spectrum> {
            options.estimate(operator)
        })
    }

    fn estimate<T: Scalar>(&self, operator: &dyn SymmetricOperator<T>) -> Result<Spectrum> {
        let dim = dimension(operator)?;
        check_count("probes", self.probes, 2, "at least 2")?;
        check_count("steps", self.steps, 1, "at least 1")?;
        let operator = Counted::new(operator);
        let steps = self.steps.min(dim);
        let mut random = SplitMix64::new(self.seed);
        let mut process = Process::new(dim);
        let mut eigen = Eigen::new(steps);
        let mut dense = vec![0.0; steps * steps];
        let mut rules = Vec::with_capacity(self.probes);
        let mut status = Status::Converged;
        for _ in 0..self.probes {
            process.start(|| random.rademacher());
            let mut grown = Grown::Further;
            while process.matrix.len() < steps && grown == Grown::Further {
                grown = process.step(&operator);
            }
            if grown == Grown::NotFinite {
                status = Status::NotFinite;
                break;
            }
            if process.asymmetry > asymmetry_allowed::<T>() {
                status = Status::Asymmetric;
                break;
            }
            let made = process.matrix.len();
            let fewer = if grown == Grown::Invariant { made } else { (3 * made).div_ceil(4) };
            rules.push([made, fewer].map(|k| Rule::of(&process.matrix, k, &mut eigen, &mut dense)));
        }
        check_callback(operator.take_error())?;
        Ok(Spectrum { dim, rules, status, products: operator.counts().products, asymmetry: process.asymmetry })
    }
}

impl Spectrum {
    /// tr f(M) = Σ f(λᵢ).
    ///
    /// A function that is NaN or infinite at a node makes the estimate so. Where f is not smooth, or has a singularity
    /// next to the spectrum, look at [`Estimate::truncation`].
    pub fn trace_of(&self, f: impl Fn(f64) -> f64) -> Estimate {
        let (mut sample, mut shorter) = (Sample::default(), Sample::default());
        for [rule, fewer] in &self.rules {
            sample.add(self.dim as f64 * rule.apply(&f));
            shorter.add(self.dim as f64 * fewer.apply(&f));
        }
        let mut estimate = sample.estimate(self.products);
        estimate.truncation = (sample.mean - shorter.mean).abs();
        if !self.status.converged() {
            (estimate.value, estimate.standard_error, estimate.truncation) = (f64::NAN, f64::NAN, f64::NAN);
        }
        estimate
    }

    /// ln det M. NaN unless M is positive definite as far as was seen, −∞ if it is singular.
    pub fn log_determinant(&self) -> Estimate {
        self.trace_of(f64::ln)
    }

    /// d_λ = tr M(M + λI)⁻¹, how many directions the damping λ leaves free (Hastie, Tibshirani & Friedman, *The Elements
    /// of Statistical Learning* (2009), equation 3.50), for a positive semidefinite M: 0 ≤ d_λ ≤ d. NaN if an eigenvalue
    /// not above −λ was seen.
    ///
    /// # Errors
    /// If `lambda` is not positive and finite.
    pub fn effective_dimension(&self, lambda: f64) -> Result<Estimate> {
        check_positive("lambda", lambda)?;
        Ok(self.trace_of(|theta| if theta > -lambda { theta / (theta + lambda) } else { f64::NAN }))
    }

    /// The density of the eigenvalues at every point of `at`, smoothed by a normal density with standard deviation
    /// `width`, in the unit of eigenvalues; its integral is 1. The estimates are shares: multiply by d for counts.
    ///
    /// # Errors
    /// If a point is not finite, or `width` is not positive and finite.
    pub fn density(&self, at: &[f64], width: f64) -> Result<Vec<Estimate>> {
        check_finite("at", at)?;
        check_positive("width", width)?;
        let height = 1.0 / (width * std::f64::consts::TAU.sqrt() * self.dim as f64);
        let point = |&t: &f64| self.trace_of(|theta| height * (-0.5 * ((t - theta) / width).powi(2)).exp());
        Ok(at.iter().map(point).collect())
    }

    /// The smallest and the largest node: the spectrum reaches at least from the one to the other. NaN if there is none.
    pub fn range(&self) -> (f64, f64) {
        let nodes = self.rules.iter().flat_map(|[rule, _]| &rule.nodes);
        nodes.fold((f64::NAN, f64::NAN), |(low, high), &node| (low.min(node), high.max(node)))
    }
}
