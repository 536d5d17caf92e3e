//! The small problem of Golub–Kahan bidiagonalisation: least squares with a bidiagonal matrix, for any λ or Δ.
//!
//!   B = [α₁        ]        y(λ) = argmin ½‖By − β₁e₁‖² + ½λ‖y‖²
//!       [β₂ α₂     ]
//!       [   β₃ ⋱   ]        [B; √λI] = QR with an upper bidiagonal R
//!       [      ⋱ αₖ]
//!       [      βₖ₊₁]
//!
//! Givens rotations eliminate √λ and then β row by row (Paige & Saunders, ACM Trans. Math. Softw. 8 (1982), section 5.1),
//! so a new λ costs O(k) and no singular value decomposition. The radius is met by Newton's method on 1/‖y(λ)‖ − 1/Δ (Moré
//! & Sorensen, SIAM J. Sci. Stat. Comput. 4 (1983), section 3), whose derivative needs one more triangular solve:
//! d‖y‖²/dλ = −2‖R⁻ᵀy‖². What the model gains comes out of the rotations as a sum of squares,
//!
//!   ½‖r‖² − ½‖Jδ + r‖² = ½(Σφᵢ² + λ‖y‖²),
//!
//! so it loses no digits where little is gained.
//!
//! Singular values come from the Golub–Kahan form, the symmetric matrix with zero diagonal and α₁, β₂, α₂, …, βₖ₊₁ beside
//! it, by counting signs (Sturm) and bisection: each to high relative accuracy, however small (Demmel & Kahan, SIAM J.
//! Sci. Stat. Comput. 11 (1990), section 2).

use super::spectral::{self, Solution};
use super::units::binade;

/// B and β₁, in units of their own so that no square overflows or vanishes, and workspace for the solutions.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Bidiagonal {
    /// β₁ in its unit, a power of 2 near it.
    first: f64,
    /// The unit of β₁, and that of B: a power of 2 near α₁.
    right_unit: f64,
    unit: f64,
    /// α₁, …, αₖ.
    diagonal: Vec<f64>,
    /// β₂, …, βₖ₊₁.
    below: Vec<f64>,
    /// The diagonal of R, and what is above it: θ₂, …, θₖ.
    rho: Vec<f64>,
    theta: Vec<f64>,
    /// The right-hand side after the rotations.
    phi: Vec<f64>,
    y: Vec<f64>,
    /// ‖By − β₁e₁‖² + λ‖y‖².
    left: f64,
}

impl Bidiagonal {
    /// An empty matrix with room for `capacity` columns.
    pub fn new(capacity: usize) -> Self {
        let room = || Vec::with_capacity(capacity);
        Bidiagonal {
            first: 0.0,
            right_unit: 1.0,
            unit: 1.0,
            diagonal: room(),
            below: room(),
            rho: room(),
            theta: room(),
            phi: room(),
            y: room(),
            left: 0.0,
        }
    }

    /// No columns, and the right-hand side β₁e₁.
    pub fn clear(&mut self, first: f64) {
        self.right_unit = power_of_2(first);
        self.first = first / self.right_unit;
        self.diagonal.clear();
        self.below.clear();
        self.y.clear();
    }

    /// Adds column k: α on the diagonal and the next β below it.
    pub fn push(&mut self, alpha: f64, beta: f64) {
        if self.diagonal.is_empty() {
            self.unit = power_of_2(alpha);
        }
        self.diagonal.push(alpha / self.unit);
        self.below.push(beta / self.unit);
    }

    /// k.
    pub fn len(&self) -> usize {
        self.diagonal.len()
    }

    /// β₁.
    pub fn first(&self) -> f64 {
        self.first * self.right_unit
    }

    /// αⱼ and the β below it.
    pub fn column(&self, j: usize) -> (f64, f64) {
        (self.diagonal[j] * self.unit, self.below[j] * self.unit)
    }

    /// y of the last solution.
    pub fn solution(&self) -> &[f64] {
        &self.y
    }

    /// The unit of y.
    fn length_unit(&self) -> f64 {
        self.right_unit / self.unit
    }

    /// ‖Bᵀ(By − β₁e₁) + λy + αₖ₊₁βₖ₊₁yₖ eₖ₊₁‖, the residual of the normal equations in the space of one more dimension,
    /// when αₖ₊₁ is `alpha`. (Bᵀ(By − β₁e₁) + λy itself is zero.)
    pub fn residual(&self, alpha: f64) -> f64 {
        match (self.y.last(), self.below.last()) {
            (Some(y), Some(beta)) => alpha * (beta * self.unit * y.abs()),
            _ => alpha * self.first(),
        }
    }

    /// √(‖By − β₁e₁‖² + λ‖y‖²) for the last solution.
    pub fn left(&self) -> f64 {
        if self.y.is_empty() { self.first() } else { self.left.sqrt() * self.right_unit }
    }

    /// R, φ and y for a damping; returns ‖y‖.
    fn solve(&mut self, damping: f64) -> f64 {
        let k = self.len();
        for vector in [&mut self.rho, &mut self.theta, &mut self.phi, &mut self.y] {
            vector.clear();
            vector.resize(k, 0.0);
        }
        let root = damping.sqrt();
        let (mut rho_bar, mut phi_bar) = (self.diagonal[0], self.first);
        self.left = 0.0;
        for i in 0..k {
            // √λ into the diagonal, then β into the diagonal.
            let damped = rho_bar.hypot(root);
            if damped > 0.0 {
                let psi = phi_bar * (root / damped);
                self.left += psi * psi;
                phi_bar *= rho_bar / damped;
            }
            let beta = self.below[i];
            let rho = damped.hypot(beta);
            let (c, s) = if rho > 0.0 { (damped / rho, beta / rho) } else { (1.0, 0.0) };
            self.rho[i] = rho;
            self.phi[i] = c * phi_bar;
            phi_bar *= s;
            if i + 1 < k {
                let alpha = self.diagonal[i + 1];
                self.theta[i] = s * alpha;
                rho_bar = -c * alpha;
            }
        }
        self.left += phi_bar * phi_bar;
        for i in (0..k).rev() {
            let above = if i + 1 < k { self.theta[i] * self.y[i + 1] } else { 0.0 };
            // A zero on the diagonal: y has no component along it.
            self.y[i] = if self.rho[i] > 0.0 { (self.phi[i] - above) / self.rho[i] } else { 0.0 };
        }
        spectral::length(self.y.iter().copied())
    }

    /// −(ln‖y‖)′ = ‖R⁻ᵀy‖² / ‖y‖² for the y last solved for.
    fn rate(&self, norm: f64) -> f64 {
        let (mut before, mut squared) = (0.0, 0.0);
        for i in 0..self.len() {
            let left = if i > 0 { self.theta[i - 1] * before } else { 0.0 };
            before = if self.rho[i] > 0.0 { (self.y[i] / norm - left) / self.rho[i] } else { 0.0 };
            squared += before * before;
        }
        squared
    }

    /// The damped step, λ ≥ 0.
    pub fn damped(&mut self, damping: f64) -> Solution {
        let damping = damping / self.unit / self.unit;
        let norm = self.solve(damping);
        self.evaluate(damping, norm, false)
    }

    /// The step in the ball ‖y‖ ≤ Δ, Δ > 0.
    pub fn radius(&mut self, radius: f64) -> Solution {
        let radius = radius / self.length_unit();
        let norm = self.solve(0.0);
        if norm <= radius {
            return self.evaluate(0.0, norm, false);
        }
        // ‖y‖ ≤ ‖Bᵀβ₁e₁‖/λ bounds λ from the right. One step of Newton's method from 0 bounds it from the left.
        let right = self.diagonal[0] * (self.first / radius);
        let left = (norm / radius - 1.0) / self.rate(norm);
        let left = if left.is_finite() { left.min(right) } else { 0.0 };
        let shift = spectral::newton(left, right, |shift| {
            let norm = self.solve(shift);
            (norm / radius - 1.0, shift + (norm / radius - 1.0) / self.rate(norm))
        });
        let norm = self.solve(shift);
        // What rounding left of ‖y‖ ≠ Δ.
        let correction = radius / norm;
        if correction.is_finite() {
            self.y.iter_mut().for_each(|y| *y *= correction);
        }
        self.evaluate(shift, radius, true)
    }

    /// The solution, and y, out of their units.
    fn evaluate(&mut self, shift: f64, norm: f64, on_boundary: bool) -> Solution {
        let slope = -self.phi.iter().map(|phi| phi * phi).sum::<f64>();
        let curvature = (-slope - shift * norm * norm).max(0.0);
        let (unit, right, length) = (self.unit, self.right_unit, self.length_unit());
        self.y.iter_mut().for_each(|y| *y *= length);
        let (slope, curvature) = (slope * right * right, curvature * right * right);
        Solution { shift: shift * unit * unit, norm: norm * length, slope, curvature, on_boundary, hard_case: false }
    }

    /// How many singular values are below x > 0.
    fn count_below(&self, x: f64) -> usize {
        // Signs of the pivots of (Golub–Kahan form) − xI: of the 2k + 1 eigenvalues ±σ and 0, those below x.
        let mut pivot = -x;
        let mut negative = 1;
        for offdiagonal in self.diagonal.iter().zip(&self.below).flat_map(|(a, b)| [a, b]) {
            let shifted = offdiagonal / pivot * offdiagonal;
            pivot = -x - shifted;
            if pivot == 0.0 {
                pivot = -f64::MIN_POSITIVE;
            }
            negative += usize::from(pivot < 0.0);
        }
        negative - 1 - self.len()
    }

    /// The `j`-th lowest singular value of B, by bisection; k > j.
    pub fn singular_value(&self, j: usize) -> f64 {
        // Column sums of |B| and |Bᵀ| bound the largest; twice that is above it.
        let above = self.diagonal.iter().zip(&self.below).map(|(a, b)| a + b).fold(0.0, f64::max);
        let beside = self.below.iter().zip(&self.diagonal[1..]).map(|(b, a)| a + b).fold(self.diagonal[0], f64::max);
        let mut right = 2.0 * above.max(beside);
        let mut left = f64::MIN_POSITIVE;
        if right <= 0.0 || right.is_nan() || self.count_below(left) > j {
            return 0.0;
        }
        loop {
            let middle = left.sqrt() * right.sqrt();
            if middle <= left || middle >= right {
                return middle * self.unit;
            }
            if self.count_below(middle) > j { right = middle } else { left = middle }
        }
    }
}

/// The [`binade`] of v > 0; 1 for 0 and what is not finite.
fn power_of_2(v: f64) -> f64 {
    if v > 0.0 && v.is_finite() { binade(v) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::SplitMix64;

    fn random(k: usize, grade: f64, seed: u64) -> Bidiagonal {
        let mut random = SplitMix64::new(seed);
        let mut matrix = Bidiagonal::new(k);
        matrix.clear(2.0);
        for j in 0..k {
            let size = 10.0_f64.powf(-grade * j as f64);
            matrix.push(size * (0.1 + random.uniform()), size * random.uniform());
        }
        matrix
    }

    #[test]
    fn singular_values_are_those_of_a_dense_method() {
        for k in [1, 2, 5, 30] {
            let matrix = random(k, 3.0 / k as f64, k as u64);
            let dense = faer::Mat::from_fn(k + 1, k, |i, j| match matrix.column(j) {
                (alpha, _) if i == j => alpha,
                (_, beta) if i == j + 1 => beta,
                _ => 0.0,
            });
            let expected = dense.singular_values().unwrap();
            for j in 0..k {
                let (found, expected) = (matrix.singular_value(j), expected[k - 1 - j]);
                assert!((found / expected - 1.0).abs() < 1e-8, "{k} {j} {found} {expected}");
            }
        }
    }

    #[test]
    fn tiny_singular_values_keep_their_digits() {
        let mut matrix = Bidiagonal::new(4);
        matrix.clear(1.0);
        for alpha in [1e-30, 3.0, 1e-12, 1e5] {
            matrix.push(alpha, 0.0);
        }
        for (j, expected) in [1e-30, 1e-12, 3.0, 1e5].into_iter().enumerate() {
            assert!((matrix.singular_value(j) / expected - 1.0).abs() < 1e-8);
        }
        matrix.push(0.0, 0.0);
        assert_eq!(matrix.singular_value(0), 0.0);
    }

    #[test]
    fn answers_have_the_units_of_their_problem() {
        // B · 10ᵃ and β₁ · 10ᵇ: y · 10ᵇ⁻ᵃ, a gain · 10²ᵇ.
        for (a, b) in [(-150, -100), (-120, 0), (100, 100), (150, 140), (0, -140)] {
            let (size, right) = (10f64.powi(a), 10f64.powi(b));
            let (mut plain, mut scaled) = (random(5, 0.3, 7), Bidiagonal::new(5));
            scaled.clear(right * plain.first());
            (0..5).for_each(|j| scaled.push(size * plain.column(j).0, size * plain.column(j).1));
            let newton = plain.damped(0.0);
            for share in [0.0, 2.0, 0.3] {
                let (expected, found) = match share {
                    0.0 => (newton, scaled.damped(0.0)),
                    _ => (plain.radius(share * newton.norm), scaled.radius(share * newton.norm * (right / size))),
                };
                let close = |found: f64, expected: f64| assert!((found - expected).abs() <= 1e-9 * expected.abs());
                close(found.norm / (right / size), expected.norm);
                close(found.slope / right / right, expected.slope);
                close(found.shift / size / size, expected.shift);
                close(scaled.solution()[4] / (right / size), plain.solution()[4]);
                close(scaled.left() / right, plain.left());
                close(scaled.residual(size) / size / right, plain.residual(1.0));
                close(scaled.singular_value(2) / size, plain.singular_value(2));
            }
        }
    }

    /// (BᵀB + λI)y = Bᵀβ₁e₁, the left-over, and the gain of the model.
    #[test]
    fn answers_solve_their_problem() {
        for k in [1, 2, 7] {
            let mut matrix = random(k, 0.1, 3 * k as u64);
            let newton = matrix.damped(0.0).norm;
            for subproblem in 0..8 {
                let solution = match subproblem {
                    0..4 => matrix.damped([0.0, 1e-3, 0.5, 100.0][subproblem]),
                    _ => matrix.radius(newton * [2.0, 0.99, 0.1, 1e-9][subproblem - 4]),
                };
                let y = matrix.solution().to_vec();
                let row = |i: usize| {
                    let left = if i > 0 { matrix.column(i - 1).1 * y[i - 1] } else { -matrix.first() };
                    left + if i < k { matrix.column(i).0 * y[i] } else { 0.0 }
                };
                for j in 0..k {
                    let (alpha, beta) = matrix.column(j);
                    let gradient = alpha * row(j) + beta * row(j + 1) + solution.shift * y[j];
                    assert!(
                        gradient.abs() < 1e-13 * (1.0 + solution.shift * solution.norm),
                        "{k} {subproblem} {gradient}"
                    );
                }
                let left: f64 = (0..=k).map(|i| row(i) * row(i)).sum();
                assert!((0.5 * (4.0 - left) - solution.decrease()).abs() < 1e-13, "{k} {subproblem}");
                let damped = (left + solution.shift * solution.norm * solution.norm).sqrt();
                assert!((damped - matrix.left()).abs() < 1e-13);
                assert!((spectral::length(y.iter().copied()) - solution.norm).abs() < 1e-13 * solution.norm);
                assert_eq!(solution.on_boundary, subproblem > 4);
            }
        }
    }
}
