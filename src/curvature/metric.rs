//! The metrics of table 1 in Pierrot, Perrin-Gilbert & Sigaud, "First-order and second-order variants of the gradient
//! descent in a unified framework": one operator,
//!
//!   M = 1/N Σᵢ JᵢᵀWᵢJᵢ,
//!
//! with a different k × k matrix W in the middle, which comes from the loss; and the two rows beside it, I and the Hessian. Schraudolph, "Fast curvature matrix-vector
//! products for second-order gradient descent" (Neural Comput. 14 (2002)), has the products.

use super::loss::Loss;
use super::summed_loss::SummedLoss;
use crate::base::{Error, Result, Scalar, check_range, kernels};

/// Which metric M a model and a loss make, by what is in the middle of E\[JᵀWJ\].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Metric {
    /// M = I, whatever model and loss are: steps along −g, as in gradient descent.
    /// [Regularisation](crate::operators::ModelObjective::with_regularization) and [damping in the
    /// middle](crate::operators::ModelObjective::with_middle_damping) leave it as it is.
    Identity,
    /// The Hessian E\[Jᵀ∇²lJ + Σⱼ ∂ⱼl ∇²hⱼ\], perhaps indefinite. The model must have
    /// [second-order products](crate::Model::second_order).
    Hessian,
    /// E\[JᵀJ\], classical Gauss–Newton: W = I.
    GaussNewton,
    /// E\[Jᵀ∇²lJ\], generalised Gauss–Newton (the default). Where l is not convex W is positive semidefinite in place of ∇²l;
    /// the loss says which ([`Loss::positive_hessian`]).
    #[default]
    GeneralizedGaussNewton,
    /// E\[JᵀF_hJ\], the Fisher matrix of the model's distribution, exactly.
    Fisher,
    /// E\[JᵀŝŝᵀJ\] with ŝ = ∇_h log p(ŷ | h), ŷ drawn from the model: the Fisher matrix by Monte Carlo, without bias.
    ///
    /// The draws depend on the seed, on the batch and on the outputs, on nothing else: the same point has the same metric,
    /// for any number of threads. A standard error falls with 1/√(N·`draws`).
    SampledFisher {
        /// Fixes the draws.
        seed: u64,
        /// Draws for each sample, at least 1, which is the usual choice (Martens & Grosse, "Optimizing neural networks with
        /// Kronecker-factored approximate curvature" (ICML 2015), section 5).
        draws: usize,
    },
    /// E\[JᵀssᵀJ\] with s = ∇_h log p(y | h) at the observed targets: the empirical Fisher matrix.
    EmpiricalFisher,
    /// E\[Jᵀ∇l∇lᵀJ\], the second moment of the samples' gradients.
    GradientCovariance,
}

impl Metric {
    /// Refuses a metric that the loss or the model cannot make.
    pub(super) fn check<T: Scalar>(self, loss: &impl Loss<T>, second_order: bool) -> Result<()> {
        let unsupported = |requirement| Err(Error::Unsupported { argument: "metric", requirement });
        match self {
            Metric::Hessian if !second_order => unsupported("a model with second-order products"),
            Metric::Fisher | Metric::SampledFisher { .. } | Metric::EmpiricalFisher if loss.likelihood().is_none() => {
                unsupported("a loss that is the negative logarithm of a likelihood")
            }
            Metric::SampledFisher { draws, .. } => check_range("metric.draws", draws as f64, draws > 0, "at least 1"),
            _ => Ok(()),
        }
    }
}

/// W for all samples at a point, ready for products.
#[derive(Clone, Debug)]
pub(super) enum OutputMetric<T> {
    /// W = I.
    Identity,
    /// As the loss has written it, so many numbers for a sample.
    Curvature(usize, Vec<T>),
    /// Σ ssᵀ / draws, so many draws of k numbers for a sample.
    Outer(usize, Vec<T>),
}

impl<T: Scalar> OutputMetric<T> {
    /// Writes down the middle at outputs `h`. The metric has been [checked](Metric::check).
    pub fn new<L: Loss<T>>(metric: Metric, loss: &SummedLoss<'_, L>, h: &[T]) -> Self {
        let (count, k) = (loss.count(), loss.loss.outputs_per_sample());
        let width = loss.loss.curvature_len();
        let numbers = |width: usize| vec![T::zero(); count * width];
        let likelihood = || loss.loss.likelihood().expect("the metric was checked");
        match metric {
            // M = I has no middle: nobody asks for it.
            Metric::Identity | Metric::GaussNewton => OutputMetric::Identity,
            Metric::Hessian | Metric::GeneralizedGaussNewton => {
                let mut curvature = numbers(width);
                loss.write(h, width, &mut curvature, |i, h, out| match metric {
                    Metric::Hessian => loss.loss.hessian(i, h, out),
                    _ => loss.loss.positive_hessian(i, h, out),
                });
                OutputMetric::Curvature(width, curvature)
            }
            Metric::Fisher => {
                let (mut curvature, likelihood) = (numbers(width), likelihood());
                loss.write(h, width, &mut curvature, |i, h, out| likelihood.fisher(i, h, out));
                OutputMetric::Curvature(width, curvature)
            }
            Metric::SampledFisher { seed, draws } => {
                let mut scores = numbers(k * draws);
                loss.draw_scores(likelihood(), h, seed, draws, &mut scores);
                OutputMetric::Outer(draws, scores)
            }
            Metric::EmpiricalFisher => {
                let (mut scores, likelihood) = (numbers(k), likelihood());
                loss.write(h, k, &mut scores, |i, h, out| likelihood.score(i, h, out));
                OutputMetric::Outer(1, scores)
            }
            Metric::GradientCovariance => {
                let mut gradients = numbers(k);
                loss.gradients(h, &mut gradients);
                OutputMetric::Outer(1, gradients)
            }
        }
    }

    /// out ← 1/N (W + damping·I) v, for v = Jv of all samples.
    pub fn apply<L: Loss<T>>(&self, loss: &SummedLoss<'_, L>, damping: f64, v: &[T], out: &mut [T]) {
        let (count, k) = (loss.count(), loss.loss.outputs_per_sample());
        let mean = 1.0 / count as f64;
        let (factor, extra) = (T::from_f64(mean), T::from_f64(mean * damping));
        kernels::for_rows(out, k, &|row, out| {
            let v = &v[row * k..(row + 1) * k];
            match self {
                OutputMetric::Identity => out.copy_from_slice(v),
                OutputMetric::Curvature(width, numbers) => {
                    loss.loss.multiply(&numbers[row * width..(row + 1) * width], v, out);
                }
                OutputMetric::Outer(draws, scores) => {
                    out.fill(T::zero());
                    for s in scores[row * k * draws..(row + 1) * k * draws].chunks_exact(k) {
                        let along = T::from_f64(kernels::row_dot(s, v) / *draws as f64);
                        out.iter_mut().zip(s).for_each(|(out, &s)| *out += along * s);
                    }
                }
            }
            out.iter_mut().zip(v).for_each(|(out, &v)| *out = factor * *out + extra * v);
        });
    }
}
