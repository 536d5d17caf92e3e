//! x ∈ ℝᵈ with mean m and covariance Σ, precision Λ = Σ⁻¹ and h = Λm:
//!
//!   T = (xᵢ; xᵢxⱼ for i ≥ j),   η = (h; −½Λᵢᵢ, −Λᵢⱼ for i > j),   μ = (m; Σ + mmᵀ),   A = ½hᵀm − ½ ln det Λ
//!
//! The symmetric matrices are kept as their lower triangles, column by column, which makes the form minimal:
//! k = d + d(d + 1)/2. Differentials: dm = Σ(dh − dΛ m), dΣ = −Σ dΛ Σ. Khan & Rue, "The Bayesian learning rule", JMLR 24
//! (2023), section 1.3, uses the same coordinates without the factor 2 off the diagonal.

use super::{Coordinates, ExponentialFamily, widened};
use crate::base::{Cholesky, Result, Scalar, check_finite, check_length, check_positive_dimension, check_range};

/// The Gaussian family in d dimensions with full covariance, k = d + d(d + 1)/2 parameters:
/// η = (Σ⁻¹m; −½(Σ⁻¹)ᵢᵢ, −(Σ⁻¹)ᵢⱼ), μ = (m; (Σ + mmᵀ)ᵢⱼ), with the lower triangle of the matrices column by column.
///
/// [`natural`](Self::natural) and [`moments`](Self::moments) translate to mean and covariance. Costs O(d³), products with
/// the Fisher matrix too. Mean parameters lose digits where the mean is far larger than the deviation: about
/// log₁₀ m²/σ² of them.
///
/// ```
/// use newton_krylov::exponential_family::{ExponentialFamily, Gaussian};
///
/// // m = 3 and σ² = 4: η = (m/σ², −1/2σ²), μ = (m, σ² + m²)
/// let family = Gaussian::new(1)?;
/// let natural = family.natural(&[3.0], &[4.0])?;
/// assert_eq!(natural, [0.75, -0.125]);
/// let mut mean = [0.0; 2];
/// family.to_mean(&natural, &mut mean)?;
/// assert_eq!(mean, [3.0, 13.0]);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gaussian {
    dim: usize,
}

/// h and the factor of Λ, from which all else follows.
struct Precision {
    h: Vec<f64>,
    factor: Cholesky,
}

impl Precision {
    /// Λ⁻¹h.
    fn mean(&self) -> Vec<f64> {
        let mut mean = self.h.clone();
        self.factor.solve(&mut mean);
        mean
    }
}

impl Gaussian {
    /// The family in `dim` dimensions.
    ///
    /// # Errors
    /// For zero, and for a d whose d² is no number of numbers.
    pub fn new(dim: usize) -> Result<Self> {
        check_positive_dimension("dim", dim)?;
        let fits = dim.checked_add(3).and_then(|more| more.checked_mul(dim)).is_some();
        check_range("dim", dim as f64, fits, "small enough for a matrix of d² numbers")?;
        Ok(Gaussian { dim })
    }

    /// The natural parameters for this mean and covariance, d × d numbers of which the lower triangle (by columns) is
    /// read.
    ///
    /// # Errors
    /// For slices of another length, NaN or ∞, or a covariance that is not positive definite.
    pub fn natural<T: Scalar>(&self, mean: &[T], covariance: &[T]) -> Result<Vec<T>> {
        let d = self.dim;
        check_length("mean", mean, d)?;
        check_finite("mean", mean)?;
        check_length("covariance", covariance, d * d)?;
        check_finite("covariance", covariance)?;
        let mut matrix = vec![0.0; d * d];
        for j in 0..d {
            for i in j..d {
                matrix[i * d + j] = covariance[j * d + i].into();
            }
        }
        let factor = Cholesky::new("pivot of the covariance", d, matrix)?;
        let mut natural = vec![0.0; self.parameters()];
        self.write_natural(&widened(mean), &factor, &mut natural);
        Ok(natural.iter().map(|&n| T::from_f64(n)).collect())
    }

    /// The mean and the covariance, d × d numbers, for these natural parameters.
    ///
    /// # Errors
    /// As [`check`](ExponentialFamily::check).
    pub fn moments<T: Scalar>(&self, natural: &[T]) -> Result<(Vec<T>, Vec<T>)> {
        let natural = self.check(Coordinates::Natural, natural)?;
        let precision = self.precision(&natural)?;
        let narrow = |values: Vec<f64>| values.iter().map(|&v| T::from_f64(v)).collect();
        Ok((narrow(precision.mean()), narrow(precision.factor.inverse())))
    }

    /// Calls `f(k, i, j)` for every parameter k that belongs to the entry i ≥ j of a matrix.
    fn entries(&self, mut f: impl FnMut(usize, usize, usize)) {
        let mut k = self.dim;
        for j in 0..self.dim {
            for i in j..self.dim {
                f(k, i, j);
                k += 1;
            }
        }
    }

    /// The symmetric matrix, by rows, that is to η's second part as Λ is.
    fn precision_matrix(&self, natural: &[f64]) -> Vec<f64> {
        let d = self.dim;
        let mut matrix = vec![0.0; d * d];
        self.entries(|k, i, j| {
            let entry = if i == j { -2.0 * natural[k] } else { -natural[k] };
            (matrix[i * d + j], matrix[j * d + i]) = (entry, entry);
        });
        matrix
    }

    fn precision(&self, natural: &[f64]) -> Result<Precision> {
        let factor = Cholesky::new("pivot of the precision in natural", self.dim, self.precision_matrix(natural))?;
        Ok(Precision { h: natural[..self.dim].to_vec(), factor })
    }

    /// Σ + mmᵀ minus mmᵀ, by rows.
    fn covariance_matrix(&self, mean: &[f64]) -> Vec<f64> {
        let d = self.dim;
        let mut matrix = vec![0.0; d * d];
        self.entries(|k, i, j| {
            let entry = mean[k] - mean[i] * mean[j];
            (matrix[i * d + j], matrix[j * d + i]) = (entry, entry);
        });
        matrix
    }

    fn write_natural(&self, mean: &[f64], covariance: &Cholesky, natural: &mut [f64]) {
        let d = self.dim;
        let precision = covariance.inverse();
        natural[..d].copy_from_slice(&mean[..d]);
        covariance.solve(&mut natural[..d]);
        self.entries(|k, i, j| natural[k] = if i == j { -0.5 } else { -1.0 } * precision[i * d + j]);
    }
}

impl ExponentialFamily for Gaussian {
    fn parameters(&self) -> usize {
        self.dim + self.dim * (self.dim + 1) / 2
    }
    fn observation(&self) -> usize {
        self.dim
    }
    fn check_domain(&self, coordinates: Coordinates, parameters: &[f64]) -> Result<()> {
        match coordinates {
            Coordinates::Natural => self.precision(parameters).map(drop),
            Coordinates::Mean => {
                let matrix = self.covariance_matrix(parameters);
                Cholesky::new("pivot of the covariance in mean", self.dim, matrix).map(drop)
            }
        }
    }
    fn check_support(&self, _x: &[f64]) -> Result<()> {
        Ok(())
    }
    fn log_partition_at(&self, natural: &[f64]) -> f64 {
        let Ok(precision) = self.precision(natural) else { return f64::NAN };
        let along: f64 = precision.h.iter().zip(precision.mean()).map(|(h, m)| h * m).sum();
        0.5 * (along - precision.factor.log_determinant())
    }
    fn mean_at(&self, natural: &[f64], mean: &mut [f64]) {
        let d = self.dim;
        let Ok(precision) = self.precision(natural) else { return mean.fill(f64::NAN) };
        let covariance = precision.factor.inverse();
        mean[..d].copy_from_slice(&precision.mean());
        self.entries(|k, i, j| mean[k] = covariance[i * d + j] + mean[i] * mean[j]);
    }
    fn natural_at(&self, mean: &[f64], natural: &mut [f64]) {
        match Cholesky::new("covariance", self.dim, self.covariance_matrix(mean)) {
            Ok(factor) => self.write_natural(mean, &factor, natural),
            Err(_) => natural.fill(f64::NAN),
        }
    }
    fn divergence_at(&self, p: &[f64], q: &[f64]) -> f64 {
        let d = self.dim;
        let (Ok(p), Ok(q_precision)) = (self.precision(p), self.precision(q)) else { return f64::NAN };
        let (covariance, precision) = (p.factor.inverse(), self.precision_matrix(q));
        let difference: Vec<f64> = p.mean().iter().zip(q_precision.mean()).map(|(p, q)| p - q).collect();
        let mut sum = p.factor.log_determinant() - q_precision.factor.log_determinant();
        for i in 0..d {
            sum -= 1.0;
            for j in 0..d {
                sum += precision[i * d + j] * (covariance[i * d + j] + difference[i] * difference[j]);
            }
        }
        0.5 * sum
    }
    fn fisher_product_at(&self, natural: &[f64], v: &[f64], out: &mut [f64]) {
        let d = self.dim;
        let Ok(precision) = self.precision(natural) else { return out.fill(f64::NAN) };
        let mean = precision.mean();
        let change = self.precision_matrix(v);
        let row = |matrix: &[f64], i: usize| matrix[i * d..(i + 1) * d].to_vec();
        // dm = Σ(dh − dΛ m)
        for i in 0..d {
            out[i] = v[i] - change[i * d..(i + 1) * d].iter().zip(&mean).map(|(c, m)| c * m).sum::<f64>();
        }
        precision.factor.solve(&mut out[..d]);
        // dΣ = −Σ dΛ Σ, solving for the columns of dΛ and then for the rows.
        let mut half = vec![0.0; d * d];
        for j in 0..d {
            let mut column = row(&change, j);
            precision.factor.solve(&mut column);
            (0..d).for_each(|i| half[i * d + j] = column[i]);
        }
        let mut covariance_change = vec![0.0; d * d];
        for i in 0..d {
            let mut column = row(&half, i);
            precision.factor.solve(&mut column);
            covariance_change[i * d..(i + 1) * d].copy_from_slice(&column);
        }
        self.entries(|k, i, j| out[k] = out[i] * mean[j] + mean[i] * out[j] - covariance_change[i * d + j]);
    }
    fn statistics_at(&self, x: &[f64], out: &mut [f64]) {
        out[..self.dim].copy_from_slice(x);
        self.entries(|k, i, j| out[k] = x[i] * x[j]);
    }
    fn log_base_at(&self, _x: &[f64]) -> f64 {
        -0.5 * self.dim as f64 * std::f64::consts::TAU.ln()
    }
}
