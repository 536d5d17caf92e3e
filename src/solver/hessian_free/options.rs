//! What can be chosen about Hessian-free training.

use crate::base::{Result, check_count, check_positive, check_range};
use crate::control::Stopping;

/// The samples that gradients are computed from: batches that grow during the run.
///
/// Batches are drawn without replacement: in every epoch each sample occurs once. Within an epoch they have equal sizes
/// (but for one sample or the remainder of the division), so none is so small that its gradient is noise.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GradientBatch {
    /// Samples in the first batch; the whole set where it has fewer. Default 500.
    pub first: usize,
    /// The factor by which batches grow with every iteration, at least 1; it takes effect at the next epoch. Default 1.01.
    /// Growing batches lower the noise of the gradient as its size falls (Martens & Grosse 2015, section 13, grow theirs
    /// exponentially up to the whole set).
    pub growth: f64,
    /// Samples in the largest batch. Default: the whole set.
    pub most: usize,
}

impl Default for GradientBatch {
    fn default() -> Self {
        GradientBatch { first: 500, growth: 1.01, most: usize::MAX }
    }
}

impl GradientBatch {
    /// Every gradient from the whole set: a deterministic objective.
    pub fn all() -> Self {
        GradientBatch { first: usize::MAX, growth: 1.0, most: usize::MAX }
    }

    /// The size of batches from iteration `iteration` on, for a set of `samples`: the whole set divided evenly.
    pub(super) fn size(&self, iteration: usize, samples: usize) -> usize {
        let grown = self.first as f64 * self.growth.powf(iteration as f64);
        let wanted = (grown.min(samples as f64) as usize).min(self.most).clamp(1, samples);
        samples.div_ceil(samples.div_ceil(wanted))
    }
}

/// The samples that curvature products are made on, and that a preconditioner learns from: a share of the gradient batch.
///
/// Products need fewer samples than the gradient, since errors of the curvature do not move the minimum (Byrd, Chin,
/// Neveitt & Nocedal, SIAM J. Optim. 21 (2011)). They do bound the steps: with the gradient of the whole set and the
/// curvature of a part of it, λ must be large enough for what the two do not agree on. So once batches have grown to the
/// whole set, products are made on the whole set.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CurvatureBatch {
    /// The share, in (0, 1]. Default 0.25 (Martens & Grosse 2015, section 8, for the products).
    pub share: f64,
    /// The share where the gradient batch is the whole set, in (0, 1]. Default 1, measured on an autoencoder of 10,000
    /// images: the squared error after 400 s is 5.27, with a quarter of the set 5.50 and no longer falling.
    pub whole_share: f64,
    /// The fewest samples; the whole gradient batch where it has fewer. Default 250.
    pub least: usize,
}

impl Default for CurvatureBatch {
    fn default() -> Self {
        CurvatureBatch { share: 0.25, whole_share: 1.0, least: 250 }
    }
}

impl CurvatureBatch {
    /// Products on the whole gradient batch, which then share its forward pass.
    pub fn all() -> Self {
        CurvatureBatch { share: 1.0, whole_share: 1.0, least: 0 }
    }

    /// The size for a gradient batch of this size out of `all` samples.
    pub(super) fn size(&self, gradient: usize, all: usize) -> usize {
        let share = if gradient == all { self.whole_share } else { self.share };
        ((share * gradient as f64).ceil() as usize).max(self.least).clamp(1, gradient)
    }
}

/// The samples on which a step is judged: f before and after, for the damping and for backtracking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AcceptanceBatch {
    /// The gradient batch, on which f(x) is known already (Martens & Sutskever 2012, section 20.7). There a short enough
    /// step is always good. The default.
    #[default]
    Gradient,
    /// The curvature batch, where a value costs least. As its gradient is another one, near a minimum it refuses steps that
    /// are good for the gradient batch: for training that ends before the noise of the batches matters.
    Curvature,
    /// The whole set: every accepted step decreases f itself. f(x) is carried over from step to step.
    All,
}

/// How a step comes out of products.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum StepMethod {
    /// A stored space serves every damping; see [`SubspaceDescent`].
    SubspaceDescent(SubspaceDescent),
    /// Martens' conjugate gradients for one damping; see [`ConjugateGradients`].
    ConjugateGradients(ConjugateGradients),
}

impl Default for StepMethod {
    fn default() -> Self {
        StepMethod::SubspaceDescent(SubspaceDescent::default())
    }
}

impl StepMethod {
    /// β of the moving average of gradients, where there is one.
    pub(super) fn momentum(&self) -> Option<f64> {
        match self {
            StepMethod::SubspaceDescent(method) => Some(method.momentum),
            StepMethod::ConjugateGradients(_) => None,
        }
    }
}

impl Default for SubspaceDescent {
    fn default() -> Self {
        SubspaceDescent { products: 2, whole_products: 10, momentum: 0.8, search: false }
    }
}

/// The step from a small space with exact products, spanned by P⁻¹m, the last step and preconditioned residuals, where m is
/// the gradient or, on batches, a moving average of gradients.
///
/// The last step in the space is momentum, with a coefficient from the model instead of a schedule. With two products
/// the space is that of the last step and P⁻¹m: for m = g Martens & Grosse's K-FAC with their rescaling and momentum (2015,
/// sections 6.4 and 7) where P is Kronecker-factored. With more it is Hessian-free optimisation with a warm start.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SubspaceDescent {
    /// Most products for one step, at least 1; fewer where the space is invariant. Default 2, for use with a
    /// preconditioner that knows the problem: further products, measured on autoencoders, fit the curvature of the batch
    /// rather than that of the set. Without a preconditioner 10 to 50 are better.
    pub products: usize,
    /// The same where products are made on the whole set, if it is more than `products`. Default 10, measured likewise.
    pub whole_products: usize,
    /// β of m ← βm + (1 − β)g, in [0, 1): most of what P⁻¹g promises on one batch is its noise, which the next batches take
    /// back, and m has less of it (Polyak, USSR Comput. Math. Math. Phys. 4 (1964); Adam's m, Kingma & Ba, ICLR 2015). 0 for
    /// m = g; where the gradient batch is the whole set m = g too. Default 0.8, measured: an autoencoder of 10,000 images is
    /// after 30 s where it was after 60 s; 0.9 is better there from 30 s on, worse before and on curves.
    pub momentum: f64,
    /// Whether f is evaluated along λ ↦ δ(λ), which costs no product, and the best λ is taken. If not, λ follows the
    /// rule of Levenberg & Marquardt. Default: not, since with few products λ is also a damping of the preconditioner,
    /// which the best λ for the next step alone makes too small.
    pub search: bool,
}

impl SubspaceDescent {
    /// Most products for one step, made on the whole set or on a part of it.
    pub(super) fn most_products(&self, whole: bool) -> usize {
        if whole { self.products.max(self.whole_products) } else { self.products }
    }
}

/// Martens' recipe (2010): preconditioned conjugate gradients from the last solution, stopped by relative progress; the
/// iterate that is best on the acceptance batch; a line search; the rule of Levenberg & Marquardt for λ.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ConjugateGradients {
    /// Most products for one step. Default 250 (Martens' published code).
    pub products: usize,
    /// ε: stops at iteration i when the last k = max(10, 0.1 i) lowered the model by less than the fraction kε. Default
    /// 5e-4 (Martens 2010, section 4.4).
    pub progress: f64,
    /// The fraction of the last solution that is the next starting point, in [0, 1]. Default 0.95 (Martens & Sutskever
    /// 2012, section 20.10).
    pub warm_start: f64,
}

impl Default for ConjugateGradients {
    fn default() -> Self {
        ConjugateGradients { products: 250, progress: 5e-4, warm_start: 0.95 }
    }
}

/// Hessian-free training: minimises a mean over samples by steps from curvature products, (M + λI)δ = −g.
///
/// One iteration draws a batch, computes the gradient on it and products with the curvature M on a share of it, makes a
/// step by the [`method`](Self::method), and judges it by the values of f on the [`AcceptanceBatch`]: with
///
///   ρ = (f(x) − f(x + δ)) / (−gᵀδ − ½δᵀMδ),
///
/// where the model is taken without its damping (Martens 2010, section 4.1), λ grows where ρ < ¼ and falls where ρ > ¾.
/// A step that raises f is not taken.
///
/// What M is, the objective says: the generalised Gauss–Newton matrix or a Fisher matrix for networks. Where M can be
/// indefinite, λ is raised above its lowest Ritz value.
///
/// # Structural damping
/// Where the objective has a further S to damp by ([`structural_damping`](crate::Expansion::structural_damping)), as
/// recurrent networks want it ([`with_structural_damping`](crate::operators::ModelObjective::with_structural_damping)), steps
/// come from (M + λ(I + S))δ = −g, with products M + λS at the λ that the iteration starts with. In [`SubspaceDescent`] only the λ
/// of λI varies along λ ↦ δ(λ), and the search goes one step along it, so that λ stays that of S but for one factor. ρ is
/// that of M alone, for which each step takes one further product.
///
/// # What is reported
/// [`Report::x`](crate::Report::x) is the best point among those whose value on the whole set was computed, or where the
/// run converged the last one, and [`Report::value`](crate::Report::value) is that value. It is computed at the start, at
/// the end, once in 20 epochs, and for free where a batch is the whole set. In [`Iteration`](crate::Iteration) and
/// [`Progress`](crate::Progress) the value is that on the acceptance batch after the step, the gradient and its norm those
/// on the gradient batch, where the step started, and `control` is λ. `converged` is only claimed for a gradient on the
/// whole set.
///
/// [`Counts`](crate::Counts) count calls, on batches of any size;
/// [`HessianFreeRun::sample_counts`](crate::hessian_free::HessianFreeRun::sample_counts) counts samples.
///
/// # Storage
/// 2·max(products, whole_products) + 12 vectors of length d for [`SubspaceDescent`], about 26 for [`ConjugateGradients`], one more
/// with structural damping, and the preconditioner.
///
/// ```
/// use newton_krylov::{HessianFree, Objective, SampledObjective, objective};
///
/// /// Linear regression: 1/N Σ (aᵢᵀx − bᵢ)²/2.
/// struct Regression(Vec<([f64; 2], f64)>);
///
/// impl SampledObjective<f64> for Regression {
///     fn dim(&self) -> usize {
///         2
///     }
///     fn samples(&self) -> usize {
///         self.0.len()
///     }
///     fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Objective<f64> + 'a {
///         let mean = move |f: &dyn Fn(&[f64; 2], f64) -> f64| {
///             samples.iter().map(|&i| f(&self.0[i].0, self.0[i].1)).sum::<f64>() / samples.len() as f64
///         };
///         let fit = |a: &[f64; 2], x: &[f64]| a[0] * x[0] + a[1] * x[1];
///         objective(
///             2,
///             move |x: &[f64]| mean(&|a, b| 0.5 * (fit(a, x) - b).powi(2)),
///             move |x, g| (0..2).for_each(|j| g[j] = mean(&|a, b| (fit(a, x) - b) * a[j])),
///             move |_, v, mv| (0..2).for_each(|j| mv[j] = mean(&|a, _| fit(a, v) * a[j])),
///         )
///     }
/// }
///
/// let data = (0..1000).map(|i| ([1.0, i as f64 / 1000.0], 2.0 - i as f64 / 1000.0)).collect();
/// let report = HessianFree::default().minimize(&Regression(data), &[0.0, 0.0])?;
/// assert!(report.termination.converged());
/// assert!((report.x[0] - 2.0).abs() < 1e-6 && (report.x[1] + 1.0).abs() < 1e-6);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HessianFree {
    /// When the run ends. The tests of convergence (gradient, step, decrease, target value) apply where the gradient batch
    /// is the whole set. Default: as for every solver.
    pub stopping: Stopping,
    /// Samples for the gradient.
    pub gradient_batch: GradientBatch,
    /// Samples for products.
    pub curvature_batch: CurvatureBatch,
    /// Samples on which a step is judged.
    pub acceptance_batch: AcceptanceBatch,
    /// How a step comes out of products.
    pub method: StepMethod,
    /// The first λ, in units of f per squared unit of x. Default 0.1, measured on autoencoders with [`SubspaceDescent`] and
    /// Kronecker factors: there one that is too small costs a few values, since rejected steps cost no product, and from
    /// one that is too large the rule needs a hundred iterations down. With [`ConjugateGradients`] one that is too small
    /// costs whole solves; Martens' published code starts from 45.
    pub damping: f64,
    /// Fixes the batches.
    pub seed: u64,
}

impl Default for HessianFree {
    fn default() -> Self {
        HessianFree {
            stopping: Stopping::default(),
            gradient_batch: GradientBatch::default(),
            curvature_batch: CurvatureBatch::default(),
            acceptance_batch: AcceptanceBatch::default(),
            method: StepMethod::default(),
            damping: 0.1,
            seed: 0,
        }
    }
}

impl HessianFree {
    pub(super) fn check(&self) -> Result<()> {
        self.stopping.check()?;
        check_positive("damping", self.damping)?;
        check_count("gradient_batch.first", self.gradient_batch.first, 1, "at least 1")?;
        check_count("gradient_batch.most", self.gradient_batch.most, 1, "at least 1")?;
        let growth = self.gradient_batch.growth;
        check_range("gradient_batch.growth", growth, growth >= 1.0 && growth.is_finite(), "at least 1 and finite")?;
        let share = self.curvature_batch.share;
        check_range("curvature_batch.share", share, share > 0.0 && share <= 1.0, "above 0 and at most 1")?;
        let share = self.curvature_batch.whole_share;
        check_range("curvature_batch.whole_share", share, share > 0.0 && share <= 1.0, "above 0 and at most 1")?;
        match self.method {
            StepMethod::SubspaceDescent(SubspaceDescent { products, momentum, .. }) => {
                check_count("method.products", products, 1, "at least 1")?;
                let accepted = (0.0..1.0).contains(&momentum);
                check_range("method.momentum", momentum, accepted, "at least 0 and below 1")
            }
            StepMethod::ConjugateGradients(ConjugateGradients { products, progress, warm_start }) => {
                check_count("method.products", products, 1, "at least 1")?;
                check_range("method.warm_start", warm_start, (0.0..=1.0).contains(&warm_start), "between 0 and 1")?;
                check_range("method.progress", progress, (0.0..1.0).contains(&progress), "at least 0 and below 1")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_divide_the_set_evenly_and_grow_to_all_of_it() {
        let batch = GradientBatch { first: 500, growth: 1.01, most: usize::MAX };
        assert_eq!(batch.size(0, 10_000), 500);
        assert_eq!(batch.size(0, 10), 10);
        for iteration in 0..600 {
            let size = batch.size(iteration, 10_007);
            let last = 10_007 - (10_007usize.div_ceil(size) - 1) * size;
            assert!(last + 10_007usize.div_ceil(size) > size, "{size} {last}");
        }
        assert_eq!(batch.size(1000, 10_000), 10_000);
        assert_eq!(GradientBatch::all().size(0, 7), 7);
        assert_eq!(GradientBatch { most: 100, ..batch }.size(1_000_000, 1000), 100);
        assert_eq!(CurvatureBatch::default().size(4000, 5000), 1000);
        assert_eq!(CurvatureBatch::default().size(300, 5000), 250);
        assert_eq!(CurvatureBatch::default().size(3, 5000), 3);
        assert_eq!(CurvatureBatch::default().size(5000, 5000), 5000);
        assert_eq!(CurvatureBatch { whole_share: 0.1, ..CurvatureBatch::default() }.size(5000, 5000), 500);
    }
}
