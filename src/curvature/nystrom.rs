//! The randomised Nyström preconditioner: the top of the spectrum from ℓ products with random vectors Ω.
//!
//!   M ≈ (MΩ)(ΩᵀMΩ)⁻¹(MΩ)ᵀ = UΛUᵀ,   P = U(Λ + λI)Uᵀ/(λ_ℓ + λ) + (I − UUᵀ)
//!
//! Frangella, Tropp & Udell, "Randomized Nyström preconditioning" (SIAM J. Matrix Anal. Appl. 44 (2023)), section 2 (the
//! approximation) and equation 1.3 (P). With ℓ ≥ 2⌈1.5 d_eff(λ)⌉ + 1, d_eff = tr M(M + λI)⁻¹, the condition number of
//! P⁻¹(M + λI) is at most 28 in expectation (theorem 1.1).
//!
//! Where they shift M by a rounding error and decompose (MΩ)C⁻¹, C the Cholesky factor of ΩᵀMΩ, we decompose ΩᵀMΩ and leave
//! out what is not above its rounding error: no shift stays in Λ, singular and zero matrices are no exception, and where M
//! is indefinite P is still positive definite.

use super::learned::{LearnedPreconditioner, LearningCost};
use super::ritz::{scaled_eigenvectors, symmetric_products};
use crate::base::{Eigen, Result, Scalar, SplitMix64, check_callback, check_count, check_length};
use crate::base::{columns, columns::Columns, kernels, space};
use crate::operator::{Counts, Objective, Preconditioner, SampledObjective, SymmetricOperator};

/// Iterations of a run that share a sketch: Rathore, Lei, Frangella, Lu & Udell, "Challenges in training PINNs: a loss
/// landscape perspective" (ICML 2024), for their Nyström–Newton-CG.
const REFRESH: u64 = 20;
/// What is below this many units of roundoff of the largest is rounding error: eigenvalues of ΩᵀMΩ, and λ_ℓ + λ.
const NOISE: f64 = 64.0;
/// Coefficients are computed for so many vectors at a time.
const WIDTH: usize = 32;

/// P⁻¹ from a sketch of the operator: for curvature with few large eigenvalues, of any objective.
///
/// ℓ products make it. Applying it costs ℓ dots and ℓ additions of vectors. Storage: ℓ vectors, and 2ℓ while it is
/// made. With a damping λ between the eigenvalues that it has found and those that it has not, a few products suffice.
///
/// It is a [`Preconditioner`] of an operator by itself, or learns in a run of [`HessianFree`](crate::HessianFree), from
/// the curvature batch, in one of 20 iterations.
///
/// ```
/// use newton_krylov::damped_step;
/// use newton_krylov::operators::DiagonalOperator;
/// use newton_krylov::preconditioners::{NystromPreconditioner, Preconditioned};
///
/// // Sixty large eigenvalues, and a thousand small ones.
/// let operator = DiagonalOperator((0..1060).map(|i| if i < 60 { 10.0 * 1.2f64.powi(i) } else { 1e-3 }).collect());
/// let plain = damped_step(&operator, &[1.0; 1060], 1.0)?;
/// let preconditioner = NystromPreconditioner::of(&operator, 80, 1)?; // 80 products, for all gradients
/// let step = damped_step(&Preconditioned { operator, preconditioner }, &[1.0; 1060], 1.0)?;
/// assert!(5 * step.products < plain.products);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NystromPreconditioner<T> {
    rank: usize,
    seed: u64,
    /// U by columns.
    vectors: Vec<T>,
    /// Λ, falling.
    eigenvalues: Vec<f64>,
    /// λ_ℓ; 0 where the sketch has the whole spectrum above rounding.
    rest: f64,
    /// Iterations of a run that were to be learned from.
    iterations: u64,
}

impl<T: Scalar> NystromPreconditioner<T> {
    /// A preconditioner that has yet to learn, from sketches of `rank` products; at most d are made.
    ///
    /// # Errors
    /// If the rank is 0.
    pub fn new(rank: usize, seed: u64) -> Result<Self> {
        check_count("rank", rank, 1, "at least 1")?;
        Ok(NystromPreconditioner { rank, seed, vectors: vec![], eigenvalues: vec![], rest: 0.0, iterations: 0 })
    }

    /// The preconditioner of an operator, from min(`rank`, d) products.
    ///
    /// # Errors
    /// If the rank is 0.
    pub fn of(operator: &impl SymmetricOperator<T>, rank: usize, seed: u64) -> Result<Self> {
        let mut preconditioner = Self::new(rank, seed)?;
        preconditioner.sketch(operator);
        check_callback(operator.take_error())?;
        Ok(preconditioner)
    }

    /// Λ, falling: estimates from below of the largest eigenvalues, where they are positive.
    pub fn eigenvalues(&self) -> &[f64] {
        &self.eigenvalues
    }

    /// Forgets, and learns from min(rank, d) products with the operator; how many they were. If they are not finite or
    /// show no positive curvature nothing is known: P = I.
    fn sketch(&mut self, operator: &impl SymmetricOperator<T>) -> usize {
        let dim = operator.dim();
        let whole = space::whole(dim);
        let count = self.rank.min(whole);
        self.eigenvalues.clear();
        self.vectors.clear();
        self.rest = 0.0;
        if count == 0 {
            return 0;
        }
        let mut random = SplitMix64::new(self.seed.wrapping_add(self.iterations));
        let scale = (whole as f64).sqrt().recip();
        let mut omega = vec![T::zero(); dim * count];
        if count == dim && !space::in_parts() {
            (0..dim).for_each(|i| omega[i * dim + i] = T::one());
        } else {
            omega.chunks_exact_mut(dim).for_each(|column| space::normals(&mut random, scale, column));
        }
        self.vectors.resize(dim * count, T::zero());
        operator.apply_block(&omega, &mut self.vectors);
        let found = self.decompose(dim, count, &omega);
        self.vectors.truncate(dim * found.unwrap_or(0));
        self.vectors.shrink_to_fit();
        count
    }

    /// UΛUᵀ from Y = MΩ in `vectors`: (MΩ)C with C = WD^-½ from ΩᵀMΩ = WDWᵀ, then the eigenvectors of (MΩC)ᵀ(MΩC) = VΛVᵀ.
    /// The number of columns of U.
    fn decompose(&mut self, dim: usize, count: usize, omega: &[T]) -> Option<usize> {
        let (mut eigen, mut small, mut rotation) = (Eigen::new(count), vec![], vec![]);
        let root = |theta: f64| theta.sqrt().recip();
        symmetric_products(dim, omega, &self.vectors, &mut small);
        let noise = NOISE * T::epsilon_f64();
        let kept = scaled_eigenvectors(&mut eigen, &small, count, noise, root, &mut rotation)?;
        columns::rotate(dim, &mut self.vectors, &rotation);
        let sketch = &self.vectors[..dim * kept];
        symmetric_products(dim, sketch, sketch, &mut small);
        let found = scaled_eigenvectors(&mut eigen, &small, kept, T::epsilon_f64(), root, &mut rotation)?;
        columns::rotate(dim, &mut self.vectors[..dim * kept], &rotation);
        self.eigenvalues.extend(eigen.values().iter().rev().take(found));
        // Rounding bends the columns of small eigenvalues towards those of large ones.
        for j in 0..found {
            let (before, rest) = self.vectors.split_at_mut(dim * j);
            let (before, column) = (Columns::new(dim, before), &mut rest[..dim]);
            let mut coefficients = [0.0; WIDTH];
            for first in (0..j).step_by(WIDTH) {
                let width = WIDTH.min(j - first);
                let before = Columns::new(dim, &before.data[dim * first..dim * (first + width)]);
                before.transpose_times(column, &mut coefficients[..width]);
                before.add_times(-1.0, &coefficients[..width], column);
            }
            let norm = kernels::norm(column);
            if norm.is_nan() || norm < 0.5 {
                // What is left of it is noise, and so are those after it.
                self.eigenvalues.truncate(j);
                return Some(j);
            }
            kernels::scale(norm.recip(), column);
        }
        if found == count {
            self.rest = self.eigenvalues[found - 1];
        }
        Some(found)
    }
}

impl<T: Scalar> Preconditioner<T> for NystromPreconditioner<T> {
    /// r ← P⁻¹r = r + U((λ_ℓ + λ)(Λ + λI)⁻¹ − I)Uᵀr, λ being the shift, at least 0. Where λ_ℓ + λ is below the rounding
    /// error of the largest eigenvalue it counts as that, so that P stays definite.
    fn precondition(&self, shift: f64, r: &mut [T]) {
        let Some(&largest) = self.eigenvalues.first() else { return };
        assert_eq!(self.vectors.len(), self.eigenvalues.len() * r.len(), "the sketch needs the operator's dimension");
        let shift = shift.max(0.0);
        let rest = (self.rest + shift).max(NOISE * T::epsilon_f64() * largest);
        let blocks = self.vectors.chunks(WIDTH * r.len()).zip(self.eigenvalues.chunks(WIDTH));
        for (vectors, eigenvalues) in blocks {
            let mut coefficients = [0.0; WIDTH];
            let coefficients = &mut coefficients[..eigenvalues.len()];
            let vectors = Columns::new(r.len(), vectors);
            vectors.transpose_times(r, coefficients);
            for (c, value) in coefficients.iter_mut().zip(eigenvalues) {
                *c *= rest / (value + shift).max(rest) - 1.0;
            }
            vectors.add_times(1.0, coefficients, r);
        }
    }
}

impl<T: Scalar, S: SampledObjective<T>> LearnedPreconditioner<T, S> for NystromPreconditioner<T> {
    fn learn(&mut self, objective: &S, x: &[T], samples: &[usize], _: f64) -> LearningCost {
        let products =
            if self.iterations.is_multiple_of(REFRESH) { self.sketch(&objective.batch(samples).expand(x)) } else { 0 };
        self.iterations += 1;
        LearningCost::on(samples.len(), Counts { products, ..Counts::default() })
    }

    fn next_products(&self, dim: usize) -> usize {
        if self.iterations.is_multiple_of(REFRESH) { self.rank.min(dim) } else { 0 }
    }

    fn preconditioner(&self) -> Option<&dyn Preconditioner<T>> {
        (!self.eigenvalues.is_empty()).then_some(self)
    }

    fn fits(&self, objective: &S) -> Result<()> {
        check_length("the preconditioner's sketch", &self.vectors, self.eigenvalues.len() * objective.dim())
    }
}
