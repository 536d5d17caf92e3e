//! Subproblems of a quadratic model, solved from Cholesky factors of A + λI where that is positive definite.
//!
//! Newton's method on 1/‖y(λ)‖ − 1/Δ with LLᵀ = A + λI, LLᵀy = −b and Lw = y (Moré & Sorensen, SIAM J. Sci. Stat. Comput.
//! 4 (1983), section 3; Conn, Gould & Toint, *Trust-Region Methods* (2000), algorithm 7.3.1):
//!
//!   λ ← λ + (‖y‖² / ‖w‖²) (‖y‖ − Δ) / Δ.
//!
//! From the left of the root it converges from the left. Where A is indefinite, a factorisation that fails gives a direction
//! of negative curvature and with it a bound for λ from the left (section 7.3.4 there), a row sum of A (Gershgorin) one from
//! the right, and λ is searched between them. Where they meet before a step is long enough (the hard case to rounding)
//! nothing is done: `None` says that the spectrum has to solve it.

use super::spectral::{Solution, Subproblem, length};

/// ‖y‖ fits its radius (or σ) to this relative accuracy; the step is then scaled to fit exactly.
const FIT: f64 = 1e-12;
/// Factorisations for one solution: Newton's method takes two to six, a spectrum costs about thirty.
const MOST_FACTORS: usize = 30;
/// What a bound of λ may lack by rounding, relative to λ or to A: where two are as close as that, a solution would be more
/// rounding than step.
const BEYOND: f64 = 1e-9;
/// Steps of inverse iteration for the lowest eigenvalue.
const INVERSE_ITERATIONS: usize = 8;
/// The least part of the way from the left bound to the right one (Conn, Gould & Toint, section 7.3.4).
const LEAST_PART: f64 = 0.01;

/// bᵀy + ½ yᵀ(A + λI)y, factored for one λ after the other.
pub trait Shifted {
    /// A by rows, and the numbers from one row to the next. As many rows count as b has components.
    fn matrix(&self) -> (&[f64], usize);
    /// b, and y.
    fn vectors(&mut self) -> (&[f64], &mut [f64]);
    /// LLᵀ = A + λI; false if that is not positive definite to rounding.
    fn factor(&mut self, shift: f64) -> bool;
    /// A λ up to which A + λI is known to be not positive definite; −∞ if there is none.
    fn indefinite_up_to(&self) -> f64;
    /// y ← (A + λI)⁻¹y.
    fn substitute(&mut self);
    /// ‖L⁻¹y‖² / ‖y‖², which is −(ln‖y(λ)‖)′, for ‖y‖ = `norm`.
    fn rate(&mut self, norm: f64) -> f64;

    /// y ← −(A + λI)⁻¹b; returns ‖y‖.
    fn solve(&mut self) -> f64 {
        let (b, y) = self.vectors();
        y.iter_mut().zip(b).for_each(|(y, b)| *y = -b);
        self.substitute();
        length(self.vectors().1.iter().copied())
    }

    /// bᵀy.
    fn slope(&mut self) -> f64 {
        let (b, y) = self.vectors();
        b.iter().zip(y).map(|(b, y)| b * *y).sum()
    }

    /// y ← αy.
    fn scale(&mut self, factor: f64) {
        self.vectors().1.iter_mut().for_each(|y| *y *= factor);
    }

    /// An upper bound of −θ₁, at least 0, by the discs of Gershgorin; the largest entry on the diagonal of A, if one is
    /// positive; and ‖b‖.
    fn sizes(&mut self) -> Sizes {
        let (b, _) = self.vectors();
        let (k, linear) = (b.len(), length(b.iter().copied()));
        let (matrix, stride) = self.matrix();
        let (mut negative, mut largest) = (0.0_f64, 0.0_f64);
        for (i, row) in matrix.chunks(stride).take(k).enumerate() {
            let disc = row[..k].iter().map(|a| a.abs()).sum::<f64>() - row[i].abs() - row[i];
            (negative, largest) = (negative.max(disc), largest.max(row[i]));
        }
        Sizes { negative, largest, linear }
    }
}

/// What bounds λ.
#[derive(Clone, Copy)]
pub struct Sizes {
    negative: f64,
    largest: f64,
    linear: f64,
}

/// Answers `subproblem`, with the search for λ starting from `hint` ≥ 0; `None` where a factorisation failed.
pub fn solution(subproblem: Subproblem, hint: f64, model: &mut impl Shifted) -> Option<Solution> {
    match subproblem {
        Subproblem::Damped(damping) => {
            let norm = at(model, damping)?;
            Some(evaluate(model, damping, norm, false))
        }
        Subproblem::Radius(radius) => {
            let (shift, norm) = search(model, hint, &Sphere(radius))?;
            if shift == 0.0 {
                return Some(evaluate(model, 0.0, norm, false));
            }
            model.scale(radius / norm);
            Some(evaluate(model, shift, radius, true))
        }
        Subproblem::Cubic(0.0) => {
            let norm = at(model, 0.0)?;
            Some(evaluate(model, 0.0, norm, false))
        }
        Subproblem::Cubic(weight) => {
            let start = if hint > 0.0 && model.factor(hint) {
                hint
            } else if model.factor(0.0) {
                weight * model.solve()
            } else {
                0.0
            };
            let (shift, norm) = search(model, start, &Regularised(weight))?;
            Some(evaluate(model, shift, norm, norm > 0.0))
        }
        Subproblem::MetricBall(size) => {
            let norm = at(model, 0.0)?;
            let dual = -model.slope();
            let alpha = if dual > 0.0 { size / dual.sqrt() } else { 0.0 };
            model.scale(alpha);
            let slope = model.slope();
            Some(Solution { curvature: -alpha * slope, ..evaluate(model, 0.0, alpha * norm, true) })
        }
        Subproblem::SaddleFree(longest) => {
            let norm = at(model, 0.0)?;
            let scale = if norm > longest { longest / norm } else { 1.0 };
            model.scale(scale);
            let slope = model.slope();
            Some(Solution { curvature: -scale * slope, ..evaluate(model, 0.0, scale * norm, norm > longest) })
        }
    }
}

fn at(model: &mut impl Shifted, shift: f64) -> Option<f64> {
    let norm = if model.factor(shift) { model.solve() } else { f64::NAN };
    norm.is_finite().then_some(norm)
}

/// What λ solves, as a function of ‖y(λ)‖ that falls through 1.
trait Equation {
    fn excess(&self, norm: f64, shift: f64) -> f64;
    /// The change of λ by Newton's method, where ‖y‖′ = −`rate`‖y‖.
    fn newton(&self, norm: f64, rate: f64, shift: f64) -> f64;
    /// The λ to try first left of a λ that is too large.
    fn least(&self, right: f64) -> f64;
    /// A λ that is too large, from the largest −θ₁ that is possible and ‖b‖.
    fn rightmost(&self, most: f64, linear: f64) -> f64;
}

/// ‖y‖ = Δ: Newton on 1/‖y‖ − 1/Δ.
struct Sphere(f64);

impl Equation for Sphere {
    fn excess(&self, norm: f64, _: f64) -> f64 {
        norm / self.0
    }

    fn newton(&self, norm: f64, rate: f64, _: f64) -> f64 {
        (norm / self.0 - 1.0) / rate
    }

    fn least(&self, _: f64) -> f64 {
        0.0
    }

    fn rightmost(&self, most: f64, linear: f64) -> f64 {
        most + linear / self.0
    }
}

/// σ‖y‖ = λ: Newton on 1/‖y‖ − σ/λ, whose derivative is rate/‖y‖ + σ/λ².
struct Regularised(f64);

impl Equation for Regularised {
    fn excess(&self, norm: f64, shift: f64) -> f64 {
        self.0 * norm / shift
    }

    fn newton(&self, norm: f64, rate: f64, shift: f64) -> f64 {
        let size = self.0 * norm;
        (size - shift) * shift / (shift * shift * rate + size)
    }

    fn least(&self, right: f64) -> f64 {
        0.5 * right
    }

    /// The root of λ(λ + θ₁) = σ‖b‖.
    fn rightmost(&self, most: f64, linear: f64) -> f64 {
        0.5 * most + (0.5 * most).hypot((self.0 * linear).sqrt())
    }
}

/// λ with excess 1 and ‖y(λ)‖, or λ = 0 where the excess there is at most 1.
fn search(model: &mut impl Shifted, start: f64, equation: &impl Equation) -> Option<(f64, f64)> {
    let mut shift = start;
    let (mut left, mut right) = (0.0, f64::INFINITY);
    let mut largest = None;
    for _ in 0..MOST_FACTORS {
        let next = if model.factor(shift) {
            let norm = model.solve();
            if !norm.is_finite() {
                return None;
            }
            if norm == 0.0 {
                return (shift == 0.0 || at(model, 0.0)? == 0.0).then_some((0.0, 0.0));
            }
            let excess = equation.excess(norm, shift);
            if (excess - 1.0).abs() <= FIT || excess <= 1.0 && shift == 0.0 {
                return Some((shift, norm));
            }
            if excess < 1.0 {
                right = shift;
            } else {
                left = shift;
            }
            let rate = model.rate(norm);
            let next = shift + equation.newton(norm, rate, shift);
            if (next - shift).abs() <= 2.0 * f64::EPSILON * shift {
                return Some((shift, norm));
            }
            next
        } else {
            left = left.max(shift).max(model.indefinite_up_to());
            if largest.is_none() {
                let sizes = model.sizes();
                // The bound may be the root, and the root has to lie inside.
                right = right.min((1.0 + BEYOND) * equation.rightmost(sizes.negative, sizes.linear));
                largest = Some(sizes.largest);
            }
            f64::NAN
        };
        // To the right of the root Newton's method may leave the range where A + λI is definite.
        shift = if next > left && next < right {
            next
        } else if left == 0.0 && largest.is_none() {
            equation.least(right)
        } else if right - left > BEYOND * right.max(largest.unwrap_or(0.0)) && right.is_finite() {
            (left * right).sqrt().max(left + LEAST_PART * (right - left))
        } else {
            return None;
        };
    }
    None
}

/// An estimate from above of the lowest eigenvalue of what `solve` inverts, by inverse iteration; `x` becomes its vector.
pub fn lowest_eigenvalue(x: &mut [f64], mut solve: impl FnMut(&mut [f64])) -> f64 {
    let mut inverse = 0.0;
    x.iter_mut().enumerate().for_each(|(i, x)| *x = 1.0 + 0.1 * (i % 7) as f64);
    for _ in 0..INVERSE_ITERATIONS {
        solve(x);
        inverse = length(x.iter().copied());
        x.iter_mut().for_each(|x| *x /= inverse);
    }
    inverse.recip()
}

/// ‖w‖², at least the smallest number.
pub fn square(w: &[f64]) -> f64 {
    let norm = length(w.iter().copied());
    (norm * norm).max(f64::MIN_POSITIVE)
}

/// Where (A + λI)y = −b holds, yᵀAy costs no product.
fn evaluate(model: &mut impl Shifted, shift: f64, norm: f64, on_boundary: bool) -> Solution {
    let slope = model.slope();
    let curvature = -slope - shift * norm * norm;
    Solution { shift, norm, slope, curvature, on_boundary, hard_case: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A diagonal A, its factorisations counted.
    struct Diagonal {
        a: Vec<f64>,
        matrix: Vec<f64>,
        b: Vec<f64>,
        y: Vec<f64>,
        shift: f64,
        indefinite: f64,
        factors: usize,
    }

    impl Diagonal {
        fn new(a: &[f64], b: &[f64]) -> Self {
            let n = a.len();
            let matrix = (0..n * n).map(|k| if k % n == k / n { a[k % n] } else { 0.0 }).collect();
            let (a, b, y) = (a.to_vec(), b.to_vec(), b.to_vec());
            Diagonal { a, matrix, b, y, shift: 0.0, indefinite: f64::NEG_INFINITY, factors: 0 }
        }
    }

    impl Shifted for Diagonal {
        fn matrix(&self) -> (&[f64], usize) {
            (&self.matrix, self.a.len())
        }
        fn vectors(&mut self) -> (&[f64], &mut [f64]) {
            (&self.b, &mut self.y)
        }
        fn factor(&mut self, shift: f64) -> bool {
            self.factors += 1;
            self.shift = shift;
            let largest = self.a.iter().fold(0.0, |l: f64, a| l.max(a + shift));
            let definite = self.a.iter().all(|a| a + shift > 1e-15 * largest);
            if !definite {
                // As the direction with which it failed tells.
                self.indefinite = self.a.iter().fold(shift, |l, a| l.max(-a));
            }
            definite
        }
        fn indefinite_up_to(&self) -> f64 {
            self.indefinite
        }
        fn substitute(&mut self) {
            self.y.iter_mut().zip(&self.a).for_each(|(y, a)| *y /= a + self.shift);
        }
        fn rate(&mut self, norm: f64) -> f64 {
            let w: Vec<f64> = self.y.iter().zip(&self.a).map(|(y, a)| y / norm / (a + self.shift).sqrt()).collect();
            square(&w)
        }
    }

    /// Singular, with a solution inside: the spectrum is asked before ten factorisations are spent.
    #[test]
    fn singular_models_are_given_up_early() {
        for size in [1e-3, 1.0, 1e3] {
            let mut model = Diagonal::new(&[0.0, size, 2.0 * size, 3.0 * size], &[0.0, 1.0, 1.0, 1.0]);
            assert!(solution(Subproblem::Radius(100.0 / size), 0.0, &mut model).is_none());
            assert!(model.factors <= 9, "{size}: {}", model.factors);
        }
    }

    /// Where the disc of Gershgorin ends at the root.
    #[test]
    fn a_root_at_its_bound_is_found() {
        for radius in [1e-3, 0.3, 1.0, 7.0, 1e3] {
            for hint in [0.0, 1e20] {
                let mut model = Diagonal::new(&[-2.0], &[1.5]);
                let found = solution(Subproblem::Radius(radius), hint, &mut model).unwrap();
                assert!((found.shift - (2.0 + 1.5 / radius)).abs() < 1e-9 * found.shift, "{radius} {found:?}");
                assert!(model.factors <= 5, "{radius} {hint}: {}", model.factors);
            }
        }
    }
}
