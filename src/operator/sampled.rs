//! Objectives that are means over samples, and models with outputs for every sample; their restriction to a batch.

use super::{Model, Objective, forward};

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
    forward!(*; dim, samples);
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Objective<T> + 'a {
        (**self).batch(samples)
    }
}

/// A model with k outputs for each of N samples, that can be restricted to a batch of them.
///
/// The restricted model h_B : ℝᵈ → ℝ^(k·|B|) has the outputs of the batch's first sample, then those of its second, …
///
/// ```
/// use newton_krylov::{Model, SampledModel, model};
///
/// /// The line x₀ + x₁tᵢ through points tᵢ.
/// struct Line(Vec<f64>);
///
/// impl SampledModel<f64> for Line {
///     fn dim(&self) -> usize {
///         2
///     }
///     fn samples(&self) -> usize {
///         self.0.len()
///     }
///     fn outputs_per_sample(&self) -> usize {
///         1
///     }
///     fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Model<f64> + 'a {
///         let t = |i: usize| self.0[samples[i]];
///         model(
///             samples.len(),
///             2,
///             move |x: &[f64], h: &mut [f64]| (0..h.len()).for_each(|i| h[i] = x[0] + x[1] * t(i)),
///             move |_, v, jv| (0..jv.len()).for_each(|i| jv[i] = v[0] + v[1] * t(i)),
///             move |_, u, jtu| {
///                 jtu[0] = u.iter().sum();
///                 jtu[1] = (0..u.len()).map(|i| u[i] * t(i)).sum();
///             },
///         )
///     }
/// }
///
/// let line = Line(vec![0.0, 1.0, 5.0]);
/// let mut h = [0.0; 2];
/// line.batch(&[2, 0]).evaluate(&[1.0, 2.0], &mut h);
/// assert_eq!(h, [11.0, 1.0]);
/// ```
pub trait SampledModel<T> {
    /// d, the number of parameters.
    fn dim(&self) -> usize;

    /// N.
    fn samples(&self) -> usize;

    /// k.
    fn outputs_per_sample(&self) -> usize;

    /// h_B for the samples with these indices (each below N).
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Model<T> + 'a;
}

impl<T, S: SampledModel<T>> SampledModel<T> for &S {
    forward!(*; dim, samples, outputs_per_sample);
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Model<T> + 'a {
        (**self).batch(samples)
    }
}
