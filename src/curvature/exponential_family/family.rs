//! What an exponential family is.
//!
//!   p(x | η) = h(x) exp(ηᵀT(x) − A(η)),   μ = E[T(x)] = ∇A(η),   F(η) = Cov[T(x)] = ∇²A(η)
//!   KL(p‖q) = A(η_q) − A(η_p) − μ_pᵀ(η_q − η_p)
//!
//! Wainwright & Jordan, *Graphical Models, Exponential Families, and Variational Inference* (2008), chapter 3; the
//! divergence as a Bregman divergence: Banerjee, Merugu, Dhillon & Ghosh, JMLR 6 (2005), section 4. F is the Fisher
//! matrix in the natural parameters; since ∇_η f = F∇_μ f, a natural gradient in η is a plain gradient in μ (Raskutti &
//! Mukherjee, IEEE Trans. Inf. Theory 61 (2015), theorem 1).

use crate::base::{Error, Result, Scalar, check_finite, check_length};
use crate::operator::{SymmetricOperator, forward};

/// The two coordinate systems of an exponential family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinates {
    /// η.
    Natural,
    /// μ = E[T(x)].
    Mean,
}

impl Coordinates {
    /// The name of the argument that holds them.
    pub fn argument(self) -> &'static str {
        match self {
            Coordinates::Natural => "natural",
            Coordinates::Mean => "mean",
        }
    }
}

/// An exponential family p(x | η) = h(x) exp(ηᵀT(x) − A(η)) with k parameters.
///
/// Natural parameters η and mean parameters μ = E[T(x)] are slices of k numbers; all arithmetic is in `f64`. The
/// methods without a body are the family's formulas, for parameters that are valid; the others check what they are given
/// first.
///
/// ```
/// use newton_krylov::exponential_family::{ExponentialFamily, Gamma};
///
/// // Shape 3 and rate 2: E[ln x] and E[x].
/// let natural = [3.0 - 1.0, -2.0];
/// let mut mean = [0.0; 2];
/// Gamma.to_mean(&natural, &mut mean)?;
/// assert!((mean[1] - 1.5_f64).abs() < 1e-15);
/// let mut back = [0.0; 2];
/// Gamma.to_natural(&mean, &mut back)?;
/// assert!((back[0] - 2.0_f64).abs() < 1e-12 && (back[1] + 2.0_f64).abs() < 1e-12);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
pub trait ExponentialFamily {
    /// k, the number of parameters.
    fn parameters(&self) -> usize;

    /// The number of components of an observation x: 1 by default.
    fn observation(&self) -> usize {
        1
    }

    /// Refuses finite parameters outside the domain.
    ///
    /// # Errors
    /// With the index and the number that is wrong.
    fn check_domain(&self, coordinates: Coordinates, parameters: &[f64]) -> Result<()>;

    /// Refuses an observation outside the support.
    ///
    /// # Errors
    /// With the index and the number that is wrong.
    fn check_support(&self, x: &[f64]) -> Result<()>;

    /// A(η).
    fn log_partition_at(&self, natural: &[f64]) -> f64;

    /// mean ← μ(η) = ∇A(η).
    fn mean_at(&self, natural: &[f64], mean: &mut [f64]);

    /// natural ← η(μ), the inverse of [`mean_at`](Self::mean_at).
    fn natural_at(&self, mean: &[f64], natural: &mut [f64]);

    /// KL(p‖q), by a formula that cancels less than the Bregman divergence of A does.
    fn divergence_at(&self, p: &[f64], q: &[f64]) -> f64;

    /// out ← F(η)v.
    fn fisher_product_at(&self, natural: &[f64], v: &[f64], out: &mut [f64]);

    /// out ← T(x): x itself by default.
    fn statistics_at(&self, x: &[f64], out: &mut [f64]) {
        out.iter_mut().zip(x).for_each(|(out, &x)| *out = x);
    }

    /// ln h(x): 0 by default.
    fn log_base_at(&self, x: &[f64]) -> f64 {
        let _ = x;
        0.0
    }

    /// Refuses parameters of another number than k, with NaN or ∞, or outside the domain.
    ///
    /// # Errors
    /// With the argument, the index and the number that is wrong.
    fn check<T: Scalar>(&self, coordinates: Coordinates, parameters: &[T]) -> Result<Vec<f64>> {
        check_length(coordinates.argument(), parameters, self.parameters())?;
        check_finite(coordinates.argument(), parameters)?;
        let parameters = widened(parameters);
        self.check_domain(coordinates, &parameters)?;
        Ok(parameters)
    }

    /// A(η).
    ///
    /// # Errors
    /// As [`check`](Self::check).
    fn log_partition<T: Scalar>(&self, natural: &[T]) -> Result<f64> {
        Ok(self.log_partition_at(&self.check(Coordinates::Natural, natural)?))
    }

    /// mean ← μ(η). Near the edge of the domain μ may be rounded to a point outside, such as a probability of 1.
    ///
    /// # Errors
    /// As [`check`](Self::check), for a slice of another length, or if μ is beyond the numbers of the type.
    fn to_mean<T: Scalar>(&self, natural: &[T], mean: &mut [T]) -> Result<()> {
        let natural = self.check(Coordinates::Natural, natural)?;
        let mut exact = vec![0.0; natural.len()];
        check_length("mean", mean, exact.len())?;
        self.mean_at(&natural, &mut exact);
        narrow("mean", &exact, mean)
    }

    /// natural ← η(μ).
    ///
    /// # Errors
    /// As [`check`](Self::check), for a slice of another length, or if η is beyond the numbers of the type.
    fn to_natural<T: Scalar>(&self, mean: &[T], natural: &mut [T]) -> Result<()> {
        let mean = self.check(Coordinates::Mean, mean)?;
        let mut exact = vec![0.0; mean.len()];
        check_length("natural", natural, exact.len())?;
        self.natural_at(&mean, &mut exact);
        narrow("natural", &exact, natural)
    }

    /// KL(p‖q) = E_p[ln p(x) − ln q(x)] for the natural parameters of p and q; accurate to the rounding of its terms,
    /// and never negative.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    fn divergence<T: Scalar>(&self, p: &[T], q: &[T]) -> Result<f64> {
        let (p, q) = (self.check(Coordinates::Natural, p)?, self.check(Coordinates::Natural, q)?);
        Ok(self.divergence_at(&p, &q).max(0.0))
    }

    /// F(η), the Fisher matrix in the natural parameters: an operator, of which
    /// [`form`](SymmetricOperator::form) writes down the matrix.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    fn fisher<T: Scalar>(&self, natural: &[T]) -> Result<Fisher<&Self>>
    where
        Self: Sized,
    {
        Ok(Fisher { natural: self.check(Coordinates::Natural, natural)?, family: self })
    }

    /// out ← T(x), the sufficient statistics.
    ///
    /// # Errors
    /// For slices of another length, and observations that are not finite or outside the support.
    fn statistics<T: Scalar>(&self, x: &[T], out: &mut [T]) -> Result<()> {
        let x = check_observation(self, x)?;
        check_length("out", out, self.parameters())?;
        let mut exact = vec![0.0; out.len()];
        self.statistics_at(&x, &mut exact);
        narrow("statistics", &exact, out)
    }

    /// ln p(x | η) = ln h(x) + ηᵀT(x) − A(η).
    ///
    /// # Errors
    /// As [`check`](Self::check) and [`statistics`](Self::statistics).
    fn log_density<T: Scalar>(&self, natural: &[T], x: &[T]) -> Result<f64> {
        let natural = self.check(Coordinates::Natural, natural)?;
        let x = check_observation(self, x)?;
        let mut statistics = vec![0.0; natural.len()];
        self.statistics_at(&x, &mut statistics);
        let inner: f64 = natural.iter().zip(&statistics).map(|(n, t)| n * t).sum();
        Ok(self.log_base_at(&x) + inner - self.log_partition_at(&natural))
    }
}

impl<F: ExponentialFamily> ExponentialFamily for &F {
    forward!(*;
        fn parameters() -> usize,
        fn observation() -> usize,
        fn check_domain(coordinates: Coordinates, parameters: &[f64]) -> Result<()>,
        fn check_support(x: &[f64]) -> Result<()>,
        fn log_partition_at(natural: &[f64]) -> f64,
        fn mean_at(natural: &[f64], mean: &mut [f64]),
        fn natural_at(mean: &[f64], natural: &mut [f64]),
        fn divergence_at(p: &[f64], q: &[f64]) -> f64,
        fn fisher_product_at(natural: &[f64], v: &[f64], out: &mut [f64]),
        fn statistics_at(x: &[f64], out: &mut [f64]),
        fn log_base_at(x: &[f64]) -> f64,
    );
}

/// The Fisher matrix of a family at a point: F(η) = ∇²A(η); see [`ExponentialFamily::fisher`].
#[derive(Clone, Debug)]
pub struct Fisher<F> {
    family: F,
    natural: Vec<f64>,
}

impl<T: Scalar, F: ExponentialFamily> SymmetricOperator<T> for Fisher<F> {
    fn dim(&self) -> usize {
        self.natural.len()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        let mut product = vec![0.0; self.natural.len()];
        self.family.fisher_product_at(&self.natural, &widened(v), &mut product);
        out.iter_mut().zip(&product).for_each(|(out, &p)| *out = T::from_f64(p));
    }
}

fn check_observation<T: Scalar>(family: &(impl ExponentialFamily + ?Sized), x: &[T]) -> Result<Vec<f64>> {
    check_length("x", x, family.observation())?;
    check_finite("x", x)?;
    let x = widened(x);
    family.check_support(&x)?;
    Ok(x)
}

pub(in crate::curvature) fn widened<T: Scalar>(values: &[T]) -> Vec<f64> {
    values.iter().map(|&v| v.into()).collect()
}

/// Rounds to T, and refuses what is beyond it.
pub(in crate::curvature) fn narrow<T: Scalar>(argument: &'static str, exact: &[f64], out: &mut [T]) -> Result<()> {
    for (index, (out, &value)) in out.iter_mut().zip(exact).enumerate() {
        *out = T::from_f64(value);
        if !out.is_finite() {
            return Err(Error::NotFinite { argument, index: Some(index), value: (*out).into() });
        }
    }
    Ok(())
}
