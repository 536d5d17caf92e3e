//! The whole matrix at a point, free of units: where unknowns differ in theirs, a space of products does not show it.
//!
//! A product is right to ε‖Mv‖, and ‖g‖ to ε‖g‖: what is said there of the small unknowns is lost beside the large ones. In
//! the columns Meⱼ, and in gⱼ, it is not. With D = diag(d) such that the largest number in each row of A = DMD is 1 (Ruiz,
//! Rutherford Appleton Laboratory report RAL-TR-2001-034, section 2), A = QΘQᵀ and b = QᵀDg, two directions may lead down:
//!
//! - the Newton step −DQΘ⁻¹b, which promises p = Σ bᵢ²/2θᵢ, with θ from below at its rounding;
//! - Dq for the lowest θ, if it is negative.

use faer::Par;

use crate::base::{Eigen, Scalar};
use crate::operator::SymmetricOperator;

/// Passes of Ruiz' iteration, each of which halves the logarithms of what is out of balance: from 2⁶⁴ to 1.05.
const PASSES: usize = 10;
/// Multiples of the accuracy of a product, and of d, that count as rounding of θ.
const ROUNDING: f64 = 8.0;

/// A, and b.
pub(super) struct OwnUnits {
    scale: Vec<f64>,
    eigen: Eigen,
    slopes: Vec<f64>,
    /// Below which θ is rounding.
    pub noise: f64,
}

impl OwnUnits {
    /// Forms the matrix; `None` if it is not finite.
    pub fn of<T: Scalar>(operator: &impl SymmetricOperator<T>, gradient: &[T]) -> Option<Self> {
        let d = gradient.len();
        let mut formed = vec![T::zero(); d * d];
        operator.form(&mut formed);
        let mut a: Vec<f64> = (0..d * d).map(|k| 0.5 * (formed[k].into() + formed[k % d * d + k / d].into())).collect();
        let scale = equilibrate(&mut a, d);
        let mut eigen = Eigen::new(d);
        if !eigen.decompose(&a, d, d, Par::Seq) {
            return None;
        }
        let scaled: Vec<f64> = gradient.iter().zip(&scale).map(|(&g, d)| g.into() * d).collect();
        let mut slopes = vec![0.0; d];
        eigen.to_eigenbasis(&scaled, &mut slopes);
        let accuracy = operator.accuracy().unwrap_or(0.0).max(T::epsilon_f64());
        Some(OwnUnits { scale, eigen, slopes, noise: ROUNDING * d as f64 * accuracy })
    }

    /// p, and the Newton step.
    pub fn newton<T: Scalar>(&self) -> (f64, Vec<T>) {
        let theta = self.eigen.values().iter().map(|theta| theta.max(self.noise));
        let step: Vec<f64> = self.slopes.iter().zip(theta).map(|(b, theta)| -b / theta).collect();
        let promised = -0.5 * self.slopes.iter().zip(&step).map(|(b, z)| b * z).sum::<f64>();
        let mut z = vec![0.0; step.len()];
        self.eigen.from_eigenbasis(&step, &mut z);
        (promised, self.back(&z))
    }

    /// The lowest θ, and Dq.
    pub fn lowest<T: Scalar>(&self) -> (f64, Vec<T>) {
        (self.eigen.values()[0], self.back(self.eigen.vector(0)))
    }

    /// ‖D⁻¹x‖.
    pub fn size<T: Scalar>(&self, x: &[T]) -> f64 {
        x.iter().zip(&self.scale).fold(0.0, |size, (&x, d)| f64::hypot(size, x.into() / d))
    }

    fn back<T: Scalar>(&self, z: &[f64]) -> Vec<T> {
        z.iter().zip(&self.scale).map(|(z, d)| T::from_f64(z * d)).collect()
    }
}

/// A ← DAD; returns d, 1 for rows of zeros.
fn equilibrate(a: &mut [f64], d: usize) -> Vec<f64> {
    let mut scale = vec![1.0; d];
    for _ in 0..PASSES {
        let largest = |column: &[f64]| column.iter().fold(0.0_f64, |largest, a| largest.max(a.abs()));
        let root = |size: f64| if size > 0.0 { size.sqrt().recip() } else { 1.0 };
        let factors: Vec<f64> = a.chunks_exact(d).map(|column| root(largest(column))).collect();
        for (column, factor) in a.chunks_exact_mut(d).zip(&factors) {
            column.iter_mut().zip(&factors).for_each(|(a, other)| *a *= factor * other);
        }
        scale.iter_mut().zip(&factors).for_each(|(d, factor)| *d *= factor);
    }
    scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::operator;

    /// f(x) = ½xᵀMx − eᵀx with M = U [[2, 1], [1, −3 or 1]] U in units u = (10⁸, 10⁻⁸): below the rounding of a product.
    fn seen(corner: f64) -> OwnUnits {
        let (u, m) = ([1e8, 1e-8], [[2.0, 1.0], [1.0, corner]]);
        let matrix = operator(2, move |v: &[f64], out: &mut [f64]| {
            (0..2).for_each(|i| out[i] = u[i] * (m[i][0] * u[0] * v[0] + m[i][1] * u[1] * v[1]));
        });
        OwnUnits::of(&matrix, &[-1e8, -1e-8]).unwrap()
    }

    #[test]
    fn units_do_not_matter() {
        // M⁻¹e = (0, 1) and ½eᵀM⁻¹e = ½ for the corner 1.
        let (promised, step) = seen(1.0).newton::<f64>();
        assert!((promised - 0.5).abs() < 1e-14, "{promised}");
        assert!(step[0].abs() < 1e-22 && (step[1] * 1e-8 - 1.0).abs() < 1e-14, "{step:?}");
        assert!((seen(1.0).size(&[1e-8, 0.0]) - 2.0_f64.sqrt()).abs() < 0.1);
        // With −3 it is a saddle.
        let (theta, direction) = seen(-3.0).lowest::<f64>();
        let (p, q) = (direction[0] * 1e8, direction[1] * 1e-8);
        assert!(theta < -0.9 && 2.0 * p * p + 2.0 * p * q - 3.0 * q * q < 0.0, "{theta} {p} {q}");
    }

    #[test]
    fn rows_of_any_size_become_those_of_one() {
        let mut a = [1e60, 1e-30, 0.0, 1e-30, 1e-200, 0.0, 0.0, 0.0, 0.0];
        let scale = equilibrate(&mut a, 3);
        let largest = |row: &[f64]| row.iter().fold(0.0_f64, |largest, a| largest.max(*a));
        assert!(a.chunks(3).take(2).all(|row| (largest(row) - 1.0).abs() < 0.25) && scale[2] == 1.0, "{a:?}");
    }
}
