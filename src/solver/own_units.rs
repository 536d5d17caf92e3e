//! The whole matrix at a point, free of units: where unknowns differ in theirs, a space of products does not show it.
//!
//! A product is right to ε‖Mv‖, and ‖g‖ to ε‖g‖: what is said there of the small unknowns is lost beside the large ones. In
//! the columns Meⱼ, and in gⱼ, it is not. With D = diag(d) such that the largest number in each row of A = DMD is 1 (Ruiz,
//! Rutherford Appleton Laboratory report RAL-TR-2001-034, section 2), A = QΘQᵀ and b = QᵀDg, two directions may lead down:
//!
//! - the Newton step −DQΘ⁻¹b, which promises p = Σ bᵢ²/2θᵢ, with θ from below at its rounding;
//! - Dq for the lowest θ, if it is negative.
//!
//! A direction in which neither θ nor b is more than its rounding, ε|qᵀ||A||D⁻¹x| for b, may be one that f does not know: a
//! freedom of gauge, as to move a molecule, or to add the same to all logits. Beside a minimum, where g is not 0, θ is not
//! either: along an orbit c(t) on which f stays the same c′ᵀMc′ = −gᵀc″, so that it may be ‖Dg‖/‖D⁻¹x‖. Such directions
//! belong to no step and promise nothing, if a random one of them leads to no lower f.

use faer::Par;

use super::in_units::UnitsOfSteps;
use crate::base::{Eigen, Scalar, SplitMix64, kernels};
use crate::control::Promise;
use crate::operator::SymmetricOperator;

/// Passes of Ruiz' iteration, each of which halves the logarithms of what is out of balance: from 2⁶⁴ to 1.05.
const PASSES: usize = 10;
/// Multiples of the accuracy of a product, and of d, that count as rounding of θ.
const ROUNDING: f64 = 8.0;
/// The same for b, a sum of terms that cancel.
const SUM: f64 = 2.0;
/// Multiples of ‖Dg‖/‖D⁻¹x‖ that an orbit's curvature may have: x may be long in one part, and the orbit turn in another.
pub(super) const GAUGE: f64 = 8.0;

/// A, and b.
pub(super) struct OwnUnits {
    scale: Vec<f64>,
    eigen: Eigen,
    slopes: Vec<f64>,
    /// Below which θ is rounding.
    pub noise: f64,
    /// Whether f may not know the direction.
    free: Vec<bool>,
}

impl OwnUnits {
    /// Forms the matrix at x; `None` if it is not finite.
    pub fn of<T: Scalar>(operator: &impl SymmetricOperator<T>, at: (&[T], &[T])) -> Option<Self> {
        let d = at.0.len();
        let mut formed = vec![T::zero(); d * d];
        operator.form(&mut formed);
        let formed = |k: usize| 0.5 * (formed[k].into() + formed[k % d * d + k / d].into());
        Self::known((0..d * d).map(formed).collect(), operator.accuracy(), at)
    }

    /// From the matrix itself and the gradient at x, and the accuracy of products, if they are differences.
    pub fn known<T: Scalar>(mut a: Vec<f64>, accuracy: Option<f64>, (x, gradient): (&[T], &[T])) -> Option<Self> {
        let d = gradient.len();
        let scale = equilibrate(&mut a, d);
        let mut eigen = Eigen::new(d);
        if !eigen.decompose(&a, d, d, Par::Seq) {
            return None;
        }
        let scaled: Vec<f64> = gradient.iter().zip(&scale).map(|(&g, d)| g.into() * d).collect();
        let mut slopes = vec![0.0; d];
        eigen.to_eigenbasis(&scaled, &mut slopes);
        let noise = ROUNDING * d as f64 * accuracy.unwrap_or(0.0).max(T::epsilon_f64());
        // |A||D⁻¹x|
        let terms =
            |column: &[f64]| column.iter().zip(x).zip(&scale).map(|((a, &x), d)| (a * x.into() / d).abs()).sum();
        let terms: Vec<f64> = a.chunks_exact(d).map(terms).collect();
        let unseen = |i: usize| {
            SUM * T::epsilon_f64() * eigen.vector(i).iter().zip(&terms).map(|(q, t)| (q * t).abs()).sum::<f64>()
        };
        let gauge = GAUGE * scaled.iter().fold(0.0, |norm, b| f64::hypot(norm, *b)) / size(x, &scale);
        let free = |i: usize| eigen.values()[i].abs() <= noise.max(gauge) && slopes[i].abs() <= unseen(i);
        let free = (0..d).map(free).collect();
        Some(OwnUnits { scale, eigen, slopes, noise, free })
    }

    /// A random direction that f may not know, of the size of x; `None` if it knows all.
    pub fn free_direction<T: Scalar>(&self, x: &[T]) -> Option<Vec<T>> {
        let mut random = SplitMix64::new(0);
        let part: Vec<f64> = self.free.iter().map(|&free| if free { random.normal() } else { 0.0 }).collect();
        let norm = part.iter().fold(0.0, |norm, z| f64::hypot(norm, *z));
        let mut direction = vec![0.0; part.len()];
        self.eigen.from_eigenbasis(&part, &mut direction);
        direction.iter_mut().for_each(|z| *z *= self.size(x) / norm);
        (norm > 0.0).then(|| self.back(&direction))
    }

    /// What the matrix promises at x, with lengths as shares of ‖x‖ and the square of x's size in it.
    pub fn promise<T: Scalar>(&self, x: &[T]) -> Promise {
        let ((decrease, step), size) = (self.newton::<T>(), self.size(x));
        let complete = self.all_above(self.noise);
        let step = self.size(&step) / size * kernels::norm(x);
        Promise { decrease, step, accurate: true, complete, position: size * size }
    }

    /// Whether all curvatures of what f knows are above this.
    pub fn all_above(&self, least: f64) -> bool {
        self.eigen.values().iter().zip(&self.free).all(|(&theta, &free)| free || theta > least)
    }

    /// p, and the Newton step.
    pub fn newton<T: Scalar>(&self) -> (f64, Vec<T>) {
        let step = |i: usize| if self.free[i] { 0.0 } else { -self.slopes[i] / self.eigen.values()[i].max(self.noise) };
        let step: Vec<f64> = (0..self.free.len()).map(step).collect();
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
        size(x, &self.scale)
    }

    /// D, with ‖D⁻¹x‖ = ‖x‖, so that lengths go on to be shares of that.
    pub fn units<T: Scalar>(&self, x: &[T]) -> Option<UnitsOfSteps<T>> {
        let ratio = self.size(x) / kernels::norm(x);
        let ratio = if ratio.is_finite() && ratio > 0.0 { ratio } else { 1.0 };
        UnitsOfSteps::new(self.scale.iter().map(|d| T::from_f64(ratio * d)).collect())
    }

    fn back<T: Scalar>(&self, z: &[f64]) -> Vec<T> {
        z.iter().zip(&self.scale).map(|(z, d)| T::from_f64(z * d)).collect()
    }
}

/// ‖D⁻¹x‖.
fn size<T: Scalar>(x: &[T], scale: &[f64]) -> f64 {
    x.iter().zip(scale).fold(0.0, |size, (&x, d)| f64::hypot(size, x.into() / d))
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
        OwnUnits::of(&matrix, (&[0.0; 2], &[-1e8, -1e-8])).unwrap()
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
