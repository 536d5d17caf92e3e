//! l(y, (μ, ω)) = ½ω + ½(y − μ)²e^{−ω}, up to a constant −log N(y; μ, σ²) with a learnt variance σ² = e^ω, summed over the
//! targets.
//!
//! With r = (y − μ)/σ, in units of σ for μ:  ∇l = (−r, ½(1 − r²)),
//!
//!   ∇²l = [1  r ; r  ½r²],    F_h = [1  0 ; 0  ½].
//!
//! The determinant of ∇²l is −½r²: wherever r ≠ 0 it is indefinite. Its positive semidefinite part, λ₊uuᵀ with the positive
//! eigenvalue λ₊, is taken in these units, so that it does not depend on the unit of y.

use std::borrow::Cow;

use super::shared::{Targets, not_negative};
use crate::base::{Result, Scalar, SplitMix64, kernels};
use crate::curvature::loss::{Likelihood, Loss};
use crate::operator::forward;

/// l(y, h) = ½ Σⱼ ωⱼ + (yⱼ − μⱼ)² exp(−ωⱼ): normal targets whose means μ and logarithms of variances ω are the outputs.
///
/// A sample with m targets has k = 2m outputs h = (μ₁, …, μₘ, ω₁, …, ωₘ). The loss is not convex; see
/// [`Loss::positive_hessian`] for what takes the place of ∇²l: of each 2 × 2 block the positive semidefinite part, in units
/// of σ.
///
/// ```
/// use newton_krylov::losses::{GaussianLoss, Loss};
///
/// let loss = GaussianLoss::new(vec![3.0], 1)?; // one sample with one target
/// assert_eq!(loss.value(0, &[1.0, 0.0]), 2.0);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianLoss<'y, T: Clone> {
    targets: Targets<'y, T>,
}

impl<'y, T: Scalar> GaussianLoss<'y, T> {
    /// The loss for these targets, m = `count` of them for each sample, owned or borrowed.
    ///
    /// # Errors
    /// If `count` is 0, the targets do not divide into samples, or one is NaN or infinite.
    pub fn new(targets: impl Into<Cow<'y, [T]>>, count: usize) -> Result<Self> {
        Ok(GaussianLoss { targets: Targets::new("targets", targets.into(), count)? })
    }

    fn m(&self) -> usize {
        self.targets.count
    }

    /// yⱼ − μⱼ and ωⱼ.
    fn residual(&self, sample: usize, h: &[T], j: usize) -> (f64, f64) {
        (self.targets[sample][j].into() - h[j].into(), h[self.m() + j].into())
    }

    /// Writes one 2 × 2 block, of μ and ω in units of σ and 1.
    fn write(&self, curvature: &mut [T], j: usize, omega: f64, [a, b, c]: [f64; 3]) {
        curvature[3 * j] = T::from_f64(scaled(a, -omega));
        curvature[3 * j + 1] = T::from_f64(scaled(b, -0.5 * omega));
        curvature[3 * j + 2] = T::from_f64(c);
    }
}

/// value · eᵖ, and 0 for 0 whatever p.
fn scaled(value: f64, power: f64) -> f64 {
    if value == 0.0 { 0.0 } else { value * power.exp() }
}

/// The positive semidefinite part of \[1 r; r ½r²\].
fn positive_part(r: f64) -> [f64; 3] {
    if r == 0.0 {
        return [1.0, 0.0, 0.0];
    }
    let half = 0.5 * r * r;
    let middle = 0.5 * (1.0 + half);
    let largest = middle + (middle * middle + half).sqrt();
    if !largest.is_finite() {
        return [f64::NAN; 3];
    }
    // (λ₊ − ½r²)(λ₊ − 1) = r²: the eigenvector is (r, λ₊ − 1), and as well (λ₊ − ½r², r); neither loses digits.
    let (u, v) = if half > 1.0 { (r, largest - 1.0) } else { (largest - half, r) };
    let factor = largest / (u * u + v * v);
    [factor * u * u, factor * u * v, factor * v * v]
}

impl<T: Scalar> Loss<T> for GaussianLoss<'_, T> {
    forward!(self.targets; samples);
    fn outputs_per_sample(&self) -> usize {
        2 * self.m()
    }
    fn value(&self, sample: usize, h: &[T]) -> f64 {
        kernels::sum_terms(self.m(), |j| {
            let (difference, omega) = self.residual(sample, h, j);
            let r = scaled(difference, -0.5 * omega);
            0.5 * (omega + r * r)
        })
    }
    fn gradient(&self, sample: usize, h: &[T], out: &mut [T]) {
        for j in 0..self.m() {
            let (difference, omega) = self.residual(sample, h, j);
            let r = scaled(difference, -0.5 * omega);
            out[j] = T::from_f64(-scaled(difference, -omega));
            out[self.m() + j] = T::from_f64(0.5 * (1.0 - r * r));
        }
    }
    fn curvature_len(&self) -> usize {
        3 * self.m()
    }
    fn hessian(&self, sample: usize, h: &[T], out: &mut [T]) {
        for j in 0..self.m() {
            let (difference, omega) = self.residual(sample, h, j);
            let r = scaled(difference, -0.5 * omega);
            self.write(out, j, omega, [1.0, r, 0.5 * r * r]);
        }
    }
    fn positive_hessian(&self, sample: usize, h: &[T], out: &mut [T]) {
        for j in 0..self.m() {
            let (difference, omega) = self.residual(sample, h, j);
            self.write(out, j, omega, positive_part(scaled(difference, -0.5 * omega)));
        }
    }
    fn multiply(&self, curvature: &[T], v: &[T], out: &mut [T]) {
        for (j, block) in curvature.chunks_exact(3).enumerate() {
            let (mean, log_variance) = (v[j], v[self.m() + j]);
            out[j] = block[0] * mean + block[1] * log_variance;
            out[self.m() + j] = block[1] * mean + block[2] * log_variance;
        }
    }
    fn likelihood(&self) -> Option<&dyn Likelihood<T>> {
        Some(self)
    }
}

impl<T: Scalar> Likelihood<T> for GaussianLoss<'_, T> {
    fn draw_score(&self, _: usize, h: &[T], random: &mut SplitMix64, out: &mut [T]) {
        for j in 0..self.m() {
            let (r, omega): (f64, f64) = (random.normal(), h[self.m() + j].into());
            out[j] = T::from_f64(scaled(r, -0.5 * omega));
            out[self.m() + j] = T::from_f64(0.5 * (r * r - 1.0));
        }
    }
    fn fisher(&self, _: usize, h: &[T], out: &mut [T]) {
        for j in 0..self.m() {
            self.write(out, j, h[self.m() + j].into(), [1.0, 0.0, 0.5]);
        }
    }
    fn divergence(&self, _: usize, before: &[T], after: &[T]) -> f64 {
        let m = self.m();
        let sum = kernels::sum_terms(m, |j| {
            let (omega, omega_after): (f64, f64) = (before[m + j].into(), after[m + j].into());
            let (d, distance) = (omega_after - omega, after[j].into() - before[j].into());
            let r = scaled(distance, -0.5 * omega_after);
            0.5 * ((-d).exp_m1() + d + r * r)
        });
        not_negative(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_positive_part_is_the_projection() {
        for r in [-1e6, -3.0, -1.0, -1e-9, 0.0, 1e-160, 0.3, 1.5, 2.0, 50.0, 1e7] {
            let [a, b, c] = positive_part(r);
            // A = P − N with P, N semidefinite and PN = 0.
            let (na, nb, nc) = (a - 1.0, b - r, c - 0.5 * r * r);
            let scale = 1.0 + 0.5 * r * r;
            assert!(a >= 0.0 && c >= 0.0 && (a * c - b * b).abs() <= 1e-12 * scale * scale, "{r}");
            assert!(na >= -1e-12 * scale && nc >= -1e-12 * scale, "{r}");
            for entry in [a * na + b * nb, a * nb + b * nc, b * na + c * nb, b * nb + c * nc] {
                assert!(entry.abs() <= 1e-12 * scale * scale, "{r}: {entry}");
            }
        }
    }
}
