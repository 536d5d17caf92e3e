//! The questions about a quadratic model, answered from Cholesky factors of A + λI where that is positive definite.
//!
//! Newton's method on 1/‖y(λ)‖ − 1/Δ with LLᵀ = A + λI, LLᵀy = −b and Lw = y (Moré & Sorensen, SIAM J. Sci. Stat. Comput.
//! 4 (1983), section 3; Conn, Gould & Toint, *Trust-Region Methods* (2000), algorithm 7.3.1):
//!
//!   λ ← λ + (‖y‖² / ‖w‖²) (‖y‖ − Δ) / Δ.
//!
//! From the left of the root it converges from the left. Unlike there nothing is done where A is indefinite or singular to
//! rounding, the hard case included: `None` says that the spectrum has to answer.

use super::spectral::{Answer, Question};

/// ‖y‖ fits its radius (or σ) to this relative accuracy; the step is then scaled to fit exactly.
const FIT: f64 = 1e-12;
/// Factorisations for one answer: Newton's method takes two to six.
const MOST_FACTORS: usize = 30;

/// A + λI, factored for one λ after the other.
pub trait Shifted {
    /// LLᵀ = A + λI; false if that is not positive definite to rounding.
    fn factor(&mut self, shift: f64) -> bool;
    /// y ← −(A + λI)⁻¹b; returns ‖y‖.
    fn solve(&mut self) -> f64;
    /// ‖L⁻¹y‖² / ‖y‖², which is −(ln‖y(λ)‖)′.
    fn rate(&mut self) -> f64;
    /// bᵀy.
    fn slope(&self) -> f64;
    /// y ← αy.
    fn scale(&mut self, factor: f64);
}

/// Answers `question`, with the search for λ starting from `hint` ≥ 0; `None` where a factorisation failed.
pub fn answer(question: Question, hint: f64, model: &mut impl Shifted) -> Option<Answer> {
    match question {
        Question::Damped(damping) => {
            let norm = at(model, damping)?;
            Some(evaluate(model, damping, norm, false))
        }
        Question::Radius(radius) => {
            let start = if model.factor(hint) { hint } else { 0.0 };
            let (shift, norm) =
                search(model, start, |_| 0.0, |norm, _| norm / radius, |norm, rate, _| (norm / radius - 1.0) / rate)?;
            if shift == 0.0 {
                return Some(evaluate(model, 0.0, norm, false));
            }
            model.scale(radius / norm);
            Some(evaluate(model, shift, radius, true))
        }
        Question::Cubic(weight) => {
            let start = if hint > 0.0 && model.factor(hint) { hint } else { weight * at(model, 0.0)? };
            // Newton on 1/‖y‖ − σ/λ, whose derivative is rate/‖y‖ + σ/λ².
            let (shift, norm) = search(
                model,
                start,
                |right| 0.5 * right,
                |norm, shift| weight * norm / shift,
                |norm, rate, shift| (weight * norm - shift) * shift / (shift * shift * rate + weight * norm),
            )?;
            Some(evaluate(model, shift, norm, norm > 0.0))
        }
        Question::MetricBall(size) => {
            let norm = at(model, 0.0)?;
            let dual = -model.slope();
            let alpha = if dual > 0.0 { size / dual.sqrt() } else { 0.0 };
            model.scale(alpha);
            let slope = model.slope();
            Some(Answer { curvature: -alpha * slope, ..evaluate(model, 0.0, alpha * norm, true) })
        }
        Question::SaddleFree(longest) => {
            let norm = at(model, 0.0)?;
            let scale = if norm > longest { longest / norm } else { 1.0 };
            model.scale(scale);
            let slope = model.slope();
            Some(Answer { curvature: -scale * slope, ..evaluate(model, 0.0, scale * norm, norm > longest) })
        }
    }
}

fn at(model: &mut impl Shifted, shift: f64) -> Option<f64> {
    let norm = if model.factor(shift) { model.solve() } else { f64::NAN };
    norm.is_finite().then_some(norm)
}

/// λ with `excess(‖y(λ)‖, λ)` = 1, or 0 where that is at most 1 at λ = 0. `newton` gives the change of λ, and `least` what
/// takes its place where it leads out of the range, left of a λ that is too large.
fn search(
    model: &mut impl Shifted,
    start: f64,
    least: impl Fn(f64) -> f64,
    excess: impl Fn(f64, f64) -> f64,
    newton: impl Fn(f64, f64, f64) -> f64,
) -> Option<(f64, f64)> {
    let mut shift = start;
    let mut right = f64::INFINITY;
    for _ in 0..MOST_FACTORS {
        let norm = at(model, shift)?;
        if norm == 0.0 {
            return (shift == 0.0 || at(model, 0.0)? == 0.0).then_some((0.0, 0.0));
        }
        let excess = excess(norm, shift);
        if (excess - 1.0).abs() <= FIT || excess <= 1.0 && shift == 0.0 {
            return Some((shift, norm));
        }
        if excess < 1.0 {
            right = shift;
        }
        let rate = model.rate();
        let next = shift + newton(norm, rate, shift);
        if (next - shift).abs() <= 2.0 * f64::EPSILON * shift {
            return Some((shift, norm));
        }
        // To the right of the root Newton's method may leave the range where A + λI is definite.
        shift = if next > 0.0 && next < right { next } else { least(right) };
    }
    None
}

/// Where (A + λI)y = −b holds, yᵀAy costs no product.
fn evaluate(model: &impl Shifted, shift: f64, norm: f64, on_boundary: bool) -> Answer {
    let slope = model.slope();
    let curvature = -slope - shift * norm * norm;
    Answer { shift, norm, slope, curvature, on_boundary, hard_case: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::projected::Projected;

    /// Against the eigendecomposition, which answers by itself, over many units.
    #[test]
    fn factors_and_spectrum_agree_in_all_units() {
        let n = 7;
        let entry = |i: usize, j: usize| if i == j { (1 + i * i) as f64 } else { 0.3 / (1.0 + (i + j) as f64) };
        for a in [1e-250, 1e-100, 1.0, 1e100, 1e250] {
            for b in [1e-250, 1.0, 1e200] {
                let mut model = Projected::new(n);
                for i in 0..n {
                    let row: Vec<f64> = (0..=i).map(|j| a * entry(i, j)).collect();
                    model.push(&row, b * (1.0 + i as f64));
                }
                let length = b / a;
                if ![length, a / length].iter().all(|size| (1e-290..1e290).contains(size)) {
                    continue;
                }
                for factor in [0.01, 1.0, 3.0, 100.0] {
                    for question in [
                        Question::Damped(factor * a),
                        Question::Radius(factor * length),
                        Question::Cubic(factor * a / length),
                        Question::SaddleFree(factor * length),
                    ] {
                        let answer = model.answer(question).unwrap();
                        let y = model.coefficients().to_vec();
                        model.eigenvalues();
                        let exact = model.answer(question).unwrap();
                        let (size, last) = (exact.norm, model.coefficients().to_vec());
                        assert!(
                            y.iter().zip(&last).all(|(y, e)| (y - e).abs() <= 1e-10 * size),
                            "{a} {b} {question:?}"
                        );
                        assert!((answer.norm / exact.norm - 1.0).abs() < 1e-10, "{answer:?} {exact:?}");
                        assert!(
                            (answer.shift - exact.shift).abs() <= 1e-9 * (exact.shift + 1e-3 * a),
                            "{answer:?} {exact:?}"
                        );
                        assert_eq!(answer.on_boundary, exact.on_boundary);
                        model.truncate(n);
                    }
                }
            }
        }
    }

    #[test]
    fn a_grown_factor_is_the_factor_of_the_grown_matrix() {
        let mut model = Projected::new(4);
        for i in 0..4 {
            let row: Vec<f64> = (0..=i).map(|j| if i == j { 2.0 } else { 0.5 }).collect();
            model.push(&row, 1.0);
            model.answer(Question::Damped(0.0)).unwrap();
            // (1.5 I + 0.5 eeᵀ) y = −e
            let exact = -1.0 / (1.5 + 0.5 * (i + 1) as f64);
            assert!(model.coefficients().iter().all(|y| (y - exact).abs() < 1e-15));
        }
    }
}
