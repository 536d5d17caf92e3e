//! Objectives that are means over samples, and their restriction to a batch.

use super::Objective;

/// A mean over samples, f(x) = 1/N Σᵢ fᵢ(x) (+ a regulariser), that can be restricted to a batch B of them,
/// f_B(x) = 1/|B| Σ_{i∈B} fᵢ(x) (+ the same regulariser).
///
/// So for batches drawn at random value, gradient and curvature products of f_B have those of f as their expectations.
/// The whole set is the batch of all samples.
///
/// ```
/// use newton_krylov::{Objective, SampledObjective, objective};
///
/// /// 1/N Σ (x − aᵢ)²/2: the mean of the data is the minimum.
/// struct Mean(Vec<f64>);
///
/// impl SampledObjective<f64> for Mean {
///     fn dim(&self) -> usize {
///         1
///     }
///     fn samples(&self) -> usize {
///         self.0.len()
///     }
///     fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Objective<f64> + 'a {
///         let count = samples.len() as f64;
///         objective(
///             1,
///             move |x: &[f64]| samples.iter().map(|&i| 0.5 * (x[0] - self.0[i]).powi(2)).sum::<f64>() / count,
///             move |x, g| g[0] = samples.iter().map(|&i| x[0] - self.0[i]).sum::<f64>() / count,
///             |_, v, hv| hv[0] = v[0],
///         )
///     }
/// }
///
/// let mean = Mean(vec![1.0, 2.0, 6.0]);
/// assert_eq!(mean.batch(&[0, 2]).value(&[3.5]), 3.125);
/// ```
pub trait SampledObjective<T> {
    /// d, the number of unknowns.
    fn dim(&self) -> usize;

    /// N.
    fn samples(&self) -> usize;

    /// f_B for the samples with these indices (each below N; repetitions count as often as they occur).
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Objective<T> + 'a;
}

impl<T, S: SampledObjective<T>> SampledObjective<T> for &S {
    fn dim(&self) -> usize {
        (**self).dim()
    }
    fn samples(&self) -> usize {
        (**self).samples()
    }
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Objective<T> + 'a {
        (**self).batch(samples)
    }
}
