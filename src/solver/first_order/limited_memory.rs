//! The limited-memory BFGS matrix: products with its inverse H from the last m pairs, without the matrix.
//!
//! With sₖ = xₖ₊₁ − xₖ, yₖ = gₖ₊₁ − gₖ and ρ = 1/yᵀs, each pair updates H ← (I − ρsyᵀ)H(I − ρysᵀ) + ρssᵀ, and Hg takes the
//! two loops of Nocedal (Math. Comp. 35 (1980); Nocedal & Wright, *Numerical Optimization* (2006), algorithm 7.4). The
//! matrix before the first pair is γI, γ = sᵀy/yᵀy of the last pair (equation 7.20).
//!
//! A pair without clear positive curvature, sᵀy ≤ ε‖s‖‖y‖, could make H indefinite and is left out; the oldest pair
//! makes room for it all the same.

use crate::base::{Scalar, kernels};

/// The pairs, in a ring that grows to its capacity with them; none for a memory of 0: then H = I.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct LimitedMemory<T> {
    /// m.
    capacity: usize,
    pairs: Vec<Pair<T>>,
    /// The place of the next pair.
    next: usize,
    gamma: f64,
    /// What the first loop leaves for the second.
    alphas: Vec<f64>,
}

#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Pair<T> {
    s: Vec<T>,
    y: Vec<T>,
    rho: f64,
}

impl<T: Scalar> LimitedMemory<T> {
    pub fn new(capacity: usize) -> Self {
        LimitedMemory { capacity, pairs: Vec::new(), next: 0, gamma: 1.0, alphas: Vec::new() }
    }

    /// Vectors of length d that are stored.
    pub fn vectors(&self) -> usize {
        2 * self.pairs.len()
    }

    /// Whether there is any pair.
    pub fn is_empty(&self) -> bool {
        self.pairs.iter().all(|pair| pair.rho == 0.0)
    }

    /// The curvature along the last pair.
    pub fn curvature(&self) -> f64 {
        self.gamma.recip()
    }

    /// Forgets all pairs.
    pub fn clear(&mut self) {
        self.pairs.iter_mut().for_each(|pair| pair.rho = 0.0);
        self.gamma = 1.0;
    }

    /// Learns from a step, given both points and their gradients.
    pub fn learn(&mut self, x: &[T], gradient: &[T], new_x: &[T], new_gradient: &[T]) {
        if self.capacity == 0 {
            return;
        }
        if self.next == self.pairs.len() {
            let zeros = || vec![T::zero(); x.len()];
            self.pairs.push(Pair { s: zeros(), y: zeros(), rho: 0.0 });
            self.alphas.push(0.0);
        }
        let pair = &mut self.pairs[self.next];
        self.next = (self.next + 1) % self.capacity;
        kernels::add_scaled(new_x, -1.0, x, &mut pair.s);
        kernels::add_scaled(new_gradient, -1.0, gradient, &mut pair.y);
        let (yy, sy) = kernels::norm_and_dot(&pair.y, &pair.s);
        // ‖y‖² may leave the range of numbers where sᵀy and ‖y‖ do not.
        let size = kernels::norm_of_square(yy, &pair.y);
        let clear = sy > T::epsilon_f64() * kernels::norm(&pair.s) * size;
        let (rho, gamma) = (sy.recip(), if yy.is_normal() { sy / yy } else { sy / size / size });
        if clear && rho.is_finite() && gamma.is_finite() && gamma > 0.0 {
            (pair.rho, self.gamma) = (rho, gamma);
        } else {
            pair.rho = 0.0;
        }
    }

    /// p ← −Hg.
    pub fn direction(&mut self, gradient: &[T], p: &mut [T]) {
        kernels::scale_into(-1.0, gradient, p);
        let count = self.pairs.len();
        let from_newest = |i: usize| (self.next + 2 * count - 1 - i) % count;
        for i in 0..count {
            let j = from_newest(i);
            let Pair { s, y, rho } = &self.pairs[j];
            if *rho > 0.0 {
                self.alphas[j] = rho * kernels::dot(s, p);
                kernels::axpy(-self.alphas[j], y, p);
            }
        }
        if self.gamma != 1.0 {
            kernels::scale(self.gamma, p);
        }
        for i in (0..count).rev() {
            let j = from_newest(i);
            let Pair { s, y, rho } = &self.pairs[j];
            if *rho > 0.0 {
                let beta = rho * kernels::dot(y, p);
                kernels::axpy(self.alphas[j] - beta, s, p);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// H after its updates, as a matrix: (I − ρsyᵀ)H(I − ρysᵀ) + ρssᵀ from γI.
    fn dense(pairs: &[(Vec<f64>, Vec<f64>)], n: usize) -> Vec<Vec<f64>> {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (s, y) = pairs.last().unwrap();
        let gamma = dot(s, y) / dot(y, y);
        let mut h: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| if i == j { gamma } else { 0.0 }).collect()).collect();
        for (s, y) in pairs {
            let rho = 1.0 / dot(s, y);
            let hy: Vec<f64> = h.iter().map(|row| dot(row, y)).collect();
            let yhy = dot(y, &hy);
            for i in 0..n {
                for j in 0..n {
                    h[i][j] += (rho + rho * rho * yhy) * s[i] * s[j] - rho * (hy[i] * s[j] + s[i] * hy[j]);
                }
            }
        }
        h
    }

    #[test]
    fn products_are_those_of_the_dense_update() {
        let n = 5;
        let vector = |seed: usize| (0..n).map(|i| ((seed * 7 + i * i) as f64).sin()).collect::<Vec<f64>>();
        let mut memory = LimitedMemory::new(3);
        let (mut pairs, zero) = (vec![], vec![0.0; n]);
        for k in 0..6 {
            let s = vector(k);
            let y: Vec<f64> = s.iter().enumerate().map(|(i, s)| (1.0 + i as f64) * s).collect();
            memory.learn(&zero, &zero, &s, &y);
            pairs.push((s, y));
            let g = vector(100 + k);
            let mut p = vec![f64::NAN; n];
            memory.direction(&g, &mut p);
            let kept = &pairs[pairs.len().saturating_sub(3)..];
            for (row, p) in dense(kept, n).iter().zip(&p) {
                let hg: f64 = row.iter().zip(&g).map(|(h, g)| h * g).sum();
                assert!((hg + p).abs() < 1e-12, "{k}: {hg} and {p}");
            }
        }
    }

    #[test]
    fn pairs_without_positive_curvature_are_left_out() {
        let mut memory = LimitedMemory::new(2);
        for y in [[-1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [f64::NAN, 1.0]] {
            memory.learn(&[0.0; 2], &[0.0; 2], &[1.0, 0.0], &y);
            assert!(memory.is_empty());
        }
        let mut p = [0.0; 2];
        memory.direction(&[3.0, 4.0], &mut p);
        assert_eq!(p, [-3.0, -4.0]);
    }
}
