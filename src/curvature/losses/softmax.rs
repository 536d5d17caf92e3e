//! l(y, h) = −log p_y with p = softmax(h): cross-entropy of one label among k classes, or the sum over a sample's labels, each
//! with k outputs of its own.
//!
//! ∇l = p − e_y and ∇²l = F_h = diag(p) − ppᵀ (Schraudolph, Neural Comput. 14 (2002), section 3: the loss matches its link,
//! so that generalised Gauss–Newton and Fisher agree). log Σ exp h is taken from the largest output on.

use std::borrow::Cow;

use super::shared::not_negative;
use crate::base::{Result, Scalar, SplitMix64, check_component, check_length, check_positive_dimension, kernels};
use crate::curvature::loss::{Likelihood, Loss};

/// l(y, h) = log Σⱼ exp hⱼ − h_y for labels y among k classes; the outputs h are logits. Where a sample has
/// [several labels](Self::with_labels_per_sample), it is their sum.
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
    /// Labels of a sample.
    count: usize,
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
        Ok(SoftmaxCrossEntropy { labels, classes, count: 1 })
    }

    /// The same with so many labels for each sample, one after the other, as the words of a text have: a sample has
    /// `classes` outputs for its first label, then as many for its second, …, and its loss is the sum over its labels.
    ///
    /// ```
    /// use newton_krylov::losses::{Loss, SoftmaxCrossEntropy};
    ///
    /// let loss = SoftmaxCrossEntropy::new(vec![0, 1, 1, 0, 0, 1], 2)?.with_labels_per_sample(3)?;
    /// assert_eq!((Loss::<f64>::samples(&loss), Loss::<f64>::outputs_per_sample(&loss)), (2, 6));
    /// assert!((loss.value(1, &[0.0; 6]) - 3.0 * 2f64.ln()).abs() < 1e-15);
    /// # Ok::<(), newton_krylov::Error>(())
    /// ```
    ///
    /// # Errors
    /// If `count` is zero, or does not divide the number of labels.
    pub fn with_labels_per_sample(self, count: usize) -> Result<Self> {
        check_positive_dimension("labels per sample", count)?;
        check_length("labels", &self.labels, self.labels.len().next_multiple_of(count))?;
        Ok(SoftmaxCrossEntropy { count, ..self })
    }

    /// The labels of a sample, each with its outputs.
    fn labelled<'a, T>(&'a self, sample: usize, h: &'a [T]) -> impl Iterator<Item = (usize, &'a [T])> {
        let labels = &self.labels[sample * self.count..(sample + 1) * self.count];
        labels.iter().copied().zip(h.chunks_exact(self.classes))
    }

    /// out ← the probabilities of all classes, for each label of a sample.
    fn all_probabilities<T: Scalar>(&self, h: &[T], out: &mut [T]) {
        let classes = self.classes;
        h.chunks_exact(classes).zip(out.chunks_exact_mut(classes)).for_each(|(h, out)| probabilities(h, out));
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

/// KL(softmax(before) ‖ softmax(after)).
fn divergence<T: Scalar>(before: &[T], after: &[T]) -> f64 {
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

/// out ← e_ŷ − p with a class ŷ drawn from the probabilities p, which out holds.
fn draw<T: Scalar>(random: &mut SplitMix64, out: &mut [T]) {
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

impl<T: Scalar> Loss<T> for SoftmaxCrossEntropy<'_> {
    fn samples(&self) -> usize {
        self.labels.len() / self.count
    }
    fn outputs_per_sample(&self) -> usize {
        self.count * self.classes
    }
    fn value(&self, sample: usize, h: &[T]) -> f64 {
        let value = |(label, h): (usize, &[T])| {
            let (largest, log_sum) = normaliser(h);
            log_sum + (largest - h[label].into())
        };
        self.labelled(sample, h).map(value).sum()
    }
    fn gradient(&self, sample: usize, h: &[T], out: &mut [T]) {
        self.all_probabilities(h, out);
        for ((label, _), out) in self.labelled(sample, h).zip(out.chunks_exact_mut(self.classes)) {
            out[label] -= T::one();
        }
    }
    fn curvature_len(&self) -> usize {
        self.count * self.classes
    }
    fn hessian(&self, _: usize, h: &[T], out: &mut [T]) {
        self.all_probabilities(h, out);
    }
    fn multiply(&self, p: &[T], v: &[T], out: &mut [T]) {
        let each = p.chunks_exact(self.classes).zip(v.chunks_exact(self.classes));
        for ((p, v), out) in each.zip(out.chunks_exact_mut(self.classes)) {
            // pⱼ(vⱼ − pᵀv): no digits are lost where v is nearly constant.
            let mean = T::from_f64(kernels::row_dot(p, v));
            for ((out, &p), &v) in out.iter_mut().zip(p).zip(v) {
                *out = p * (v - mean);
            }
        }
    }
    fn likelihood(&self) -> Option<&dyn Likelihood<T>> {
        Some(self)
    }
}

impl<T: Scalar> Likelihood<T> for SoftmaxCrossEntropy<'_> {
    fn draw_score(&self, _: usize, h: &[T], random: &mut SplitMix64, out: &mut [T]) {
        self.all_probabilities(h, out);
        out.chunks_exact_mut(self.classes).for_each(|out| draw(random, out));
    }
    fn fisher(&self, _: usize, h: &[T], out: &mut [T]) {
        self.all_probabilities(h, out);
    }
    fn divergence(&self, _: usize, before: &[T], after: &[T]) -> f64 {
        let each = before.chunks_exact(self.classes).zip(after.chunks_exact(self.classes));
        each.map(|(before, after)| divergence(before, after)).sum()
    }
}
