//! What a loss and a likelihood say of the outputs of one sample. Everything else, the mean over samples, its metrics
//! and its products, is made from that.
//!
//! L(x) = 1/N Σᵢ l(yᵢ, hᵢ(x)), with k outputs hᵢ for sample i. Pierrot, Perrin-Gilbert & Sigaud, "First-order and
//! second-order variants of the gradient descent in a unified framework", section 2 and table 1; for the Fisher matrix of
//! the output distribution and its relation to ∇²l, Martens, "New insights and perspectives on the natural gradient
//! method" (JMLR 21 (2020)), sections 5, 8 and 9.

use crate::base::{CallbackError, Scalar, SplitMix64};
use crate::operator::forward;

/// A loss l(yᵢ, h) of a sample's k outputs h, for N samples whose targets yᵢ it holds.
///
/// Curvature, a symmetric k × k matrix W for each sample, is written down once for a point, in
/// [`curvature_len`](Self::curvature_len) numbers whose meaning the loss alone knows: often the diagonal of W or the
/// vectors it is made of. [`multiply`](Self::multiply) then makes products from these numbers, without outputs, targets
/// and exponentials.
///
/// Outputs may be anything: where they or the true result are not finite, so is what is returned. Nothing panics.
///
/// ```
/// use newton_krylov::losses::Loss;
///
/// /// Σⱼ cosh(hⱼ − yⱼ) − 1: ∇²l is diagonal, cosh(h − y).
/// struct Cosh {
///     outputs: usize,
///     targets: Vec<f64>,
/// }
///
/// impl Cosh {
///     fn residuals<'a>(&'a self, sample: usize, h: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
///         h.iter().zip(&self.targets[sample * self.outputs..]).map(|(h, y)| h - y)
///     }
/// }
///
/// impl Loss<f64> for Cosh {
///     fn samples(&self) -> usize {
///         self.targets.len() / self.outputs
///     }
///     fn outputs_per_sample(&self) -> usize {
///         self.outputs
///     }
///     fn value(&self, sample: usize, h: &[f64]) -> f64 {
///         self.residuals(sample, h).map(|r| r.cosh() - 1.0).sum()
///     }
///     fn gradient(&self, sample: usize, h: &[f64], out: &mut [f64]) {
///         self.residuals(sample, h).zip(out).for_each(|(r, out)| *out = r.sinh());
///     }
///     fn curvature_len(&self) -> usize {
///         self.outputs
///     }
///     fn hessian(&self, sample: usize, h: &[f64], out: &mut [f64]) {
///         self.residuals(sample, h).zip(out).for_each(|(r, out)| *out = r.cosh());
///     }
///     fn multiply(&self, curvature: &[f64], v: &[f64], out: &mut [f64]) {
///         (0..v.len()).for_each(|j| out[j] = curvature[j] * v[j]);
///     }
/// }
/// ```
pub trait Loss<T: Scalar>: Sync {
    /// N.
    fn samples(&self) -> usize;

    /// k.
    fn outputs_per_sample(&self) -> usize;

    /// l(yᵢ, h) for sample i < N.
    fn value(&self, sample: usize, h: &[T]) -> f64;

    /// out ← ∇l(yᵢ, h), k numbers.
    fn gradient(&self, sample: usize, h: &[T], out: &mut [T]);

    /// How many numbers describe the curvature of one sample.
    fn curvature_len(&self) -> usize;

    /// Writes ∇²l(yᵢ, h), for [`multiply`](Self::multiply).
    fn hessian(&self, sample: usize, h: &[T], out: &mut [T]);

    /// Writes a positive semidefinite W in place of ∇²l(yᵢ, h), the one of the generalised Gauss–Newton metric: ∇²l itself
    /// where l is convex (the default).
    fn positive_hessian(&self, sample: usize, h: &[T], out: &mut [T]) {
        self.hessian(sample, h, out);
    }

    /// out ← Wv, k numbers, for a W that was written by [`hessian`](Self::hessian),
    /// [`positive_hessian`](Self::positive_hessian) or [`Likelihood::fisher`]. Overwrites `out` without reading it.
    fn multiply(&self, curvature: &[T], v: &[T], out: &mut [T]);

    /// The distribution p(y | h) of which the loss is the negative logarithm, if there is one (none by default). The Fisher
    /// metrics and the Kullback–Leibler divergence need it.
    fn likelihood(&self) -> Option<&dyn Likelihood<T>> {
        None
    }

    /// As [`Model::take_error`](crate::Model::take_error), also for its likelihood.
    fn take_error(&self) -> Option<CallbackError> {
        None
    }
}

/// The distribution p(y | h) of a sample's target, given its k outputs h.
pub trait Likelihood<T: Scalar>: Loss<T> {
    /// out ← s = ∇_h log p(yᵢ | h) at the observed target, k numbers: by default −∇l.
    fn score(&self, sample: usize, h: &[T], out: &mut [T]) {
        self.gradient(sample, h, out);
        out.iter_mut().for_each(|out| *out = -*out);
    }

    /// out ← ŝ = ∇_h log p(ŷ | h) at a target ŷ drawn from p(· | h), k numbers.
    fn draw_score(&self, sample: usize, h: &[T], random: &mut SplitMix64, out: &mut [T]);

    /// Writes F_h = E\[ŝŝᵀ\], for [`Loss::multiply`].
    fn fisher(&self, sample: usize, h: &[T], out: &mut [T]);

    /// KL(p(· | before) ‖ p(· | after)), not negative. To third order ½δᵀF_hδ for δ = after − before.
    fn divergence(&self, sample: usize, before: &[T], after: &[T]) -> f64;
}

impl<T: Scalar, L: Loss<T> + ?Sized> Loss<T> for &L {
    forward!(*; samples, outputs_per_sample, take_error);
    forward!(*;
        fn value(sample: usize, h: &[T]) -> f64,
        fn gradient(sample: usize, h: &[T], out: &mut [T]),
        fn curvature_len() -> usize,
        fn hessian(sample: usize, h: &[T], out: &mut [T]),
        fn positive_hessian(sample: usize, h: &[T], out: &mut [T]),
        fn multiply(curvature: &[T], v: &[T], out: &mut [T]),
        fn likelihood() -> Option<&dyn Likelihood<T>>,
    );
}
