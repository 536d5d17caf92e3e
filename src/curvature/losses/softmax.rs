//! l(y, h) = −log p_y with p = softmax(h): cross-entropy of one label among k classes.
//!
//! ∇l = p − e_y and ∇²l = F_h = diag(p) − ppᵀ (Schraudolph, Neural Comput. 14 (2002), section 3: the loss matches its link,
//! so that generalised Gauss–Newton and Fisher agree). log Σ exp h is taken from the largest output on.

use std::borrow::Cow;

use super::shared::not_negative;
use crate::base::{Result, Scalar, SplitMix64, check_component, check_positive_dimension, kernels};
use crate::curvature::loss::{Likelihood, Loss};

/// l(y, h) = log Σⱼ exp hⱼ − h_y for labels y among k classes; the outputs h are logits.
///
/// ```
/// use newton_krylov::losses::{Loss, SoftmaxCrossEntropy};
///
/// let loss = SoftmaxCrossEntropy::new(vec![2, 0], 3)?;
/// assert!((loss.value(1, &[0.0, 0.0, 0.0]) - 3f64.ln()).abs() < 1e-15);
/// assert!(SoftmaxCrossEntropy::new(vec![2, 3], 3).is_err());
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SoftmaxCrossEntropy<'y> {
    labels: Cow<'y, [usize]>,
    classes: usize,
}

impl<'y> SoftmaxCrossEntropy<'y> {
    /// The loss for these labels, one for each sample, owned or borrowed.
    ///
    /// # Errors
    /// If there are no labels or classes, or a label is not below `classes`; the error says where.
    pub fn new(labels: impl Into<Cow<'y, [usize]>>, classes: usize) -> Result<Self> {
        let labels = labels.into();
        check_positive_dimension("classes", classes)?;
        check_positive_dimension("labels", labels.len())?;
        for (index, &y) in labels.iter().enumerate() {
            check_component("labels", index, y as f64, y < classes, "below the number of classes")?;
        }
        Ok(SoftmaxCrossEntropy { labels, classes })
    }
}

/// The largest output and log Σ exp(h − largest).
fn normaliser<T: Scalar>(h: &[T]) -> (f64, f64) {
    let largest: f64 = h.iter().fold(T::neg_infinity(), |m, &h| m.max(h)).into();
    (largest, kernels::sum_terms(h.len(), |j| (h[j].into() - largest).exp()).ln())
}

/// out ← softmax(h).
fn probabilities<T: Scalar>(h: &[T], out: &mut [T]) {
    let (largest, log_sum) = normaliser(h);
    for (out, &h) in out.iter_mut().zip(h) {
        *out = T::from_f64((h.into() - largest - log_sum).exp());
    }
}

impl<T: Scalar> Loss<T> for SoftmaxCrossEntropy<'_> {
    fn samples(&self) -> usize {
        self.labels.len()
    }
    fn outputs_per_sample(&self) -> usize {
        self.classes
    }
    fn value(&self, sample: usize, h: &[T]) -> f64 {
        let (largest, log_sum) = normaliser(h);
        log_sum + (largest - h[self.labels[sample]].into())
    }
    fn gradient(&self, sample: usize, h: &[T], out: &mut [T]) {
        probabilities(h, out);
        out[self.labels[sample]] -= T::one();
    }
    fn curvature_len(&self) -> usize {
        self.classes
    }
    fn hessian(&self, _: usize, h: &[T], out: &mut [T]) {
        probabilities(h, out);
    }
    fn multiply(&self, p: &[T], v: &[T], out: &mut [T]) {
        // pⱼ(vⱼ − pᵀv): no digits are lost where v is nearly constant.
        let mean = T::from_f64(kernels::row_dot(p, v));
        for ((out, &p), &v) in out.iter_mut().zip(p).zip(v) {
            *out = p * (v - mean);
        }
    }
    fn likelihood(&self) -> Option<&dyn Likelihood<T>> {
        Some(self)
    }
}

impl<T: Scalar> Likelihood<T> for SoftmaxCrossEntropy<'_> {
    fn draw_score(&self, _: usize, h: &[T], random: &mut SplitMix64, out: &mut [T]) {
        probabilities(h, out);
        let mut left = random.uniform();
        let mut drawn = None;
        for (j, p) in out.iter_mut().enumerate() {
            let probability: f64 = (*p).into();
            if probability > 0.0 && left >= 0.0 {
                drawn = Some(j);
                left -= probability;
            }
            *p = -*p;
        }
        // Rounding may leave a little: then it is the last class that is possible at all.
        if let Some(drawn) = drawn {
            out[drawn] += T::one();
        }
    }
    fn fisher(&self, _: usize, h: &[T], out: &mut [T]) {
        probabilities(h, out);
    }
    fn divergence(&self, _: usize, before: &[T], after: &[T]) -> f64 {
        let difference = |j: usize| after[j].into() - before[j].into();
        let small = (0..before.len()).all(|j| difference(j).abs() <= 1.0);
        let ((largest, log_sum), (largest_after, log_sum_after)) = (normaliser(before), normaliser(after));
        let p = |j: usize| (before[j].into() - largest - log_sum).exp();
        if small {
            // log Σ p eᵈ − Σ pd with d = after − before.
            let moved = kernels::sum_terms(before.len(), |j| p(j) * difference(j).exp_m1());
            return not_negative(moved.ln_1p() - kernels::sum_terms(before.len(), |j| p(j) * difference(j)));
        }
        // Σ p (log p − log q), where what is impossible before does not count.
        let shift = (largest_after - largest) + (log_sum_after - log_sum);
        not_negative(kernels::sum_terms(before.len(), |j| {
            let p = p(j);
            if p == 0.0 { 0.0 } else { p * (shift - difference(j)) }
        }))
    }
}
