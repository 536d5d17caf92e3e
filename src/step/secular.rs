//! Subproblems of a quadratic model, solved from Cholesky factors of A + λI where that is positive definite.
//!
//! Newton's method on 1/‖y(λ)‖ − 1/Δ with LLᵀ = A + λI, LLᵀy = −b and Lw = y (Moré & Sorensen, SIAM J. Sci. Stat. Comput.
//! 4 (1983), section 3; Conn, Gould & Toint, *Trust-Region Methods* (2000), algorithm 7.3.1):
//!
//!   λ ← λ + (‖y‖² / ‖w‖²) (‖y‖ − Δ) / Δ.
//!
//! From the left of the root it converges from the left. Unlike there nothing is done where A is indefinite or singular to
//! rounding, the hard case included: `None` says that the spectrum has to solve it.

use super::spectral::{Solution, Subproblem, length};

/// ‖y‖ fits its radius (or σ) to this relative accuracy; the step is then scaled to fit exactly.
const FIT: f64 = 1e-12;
/// Factorisations for one solution: Newton's method takes two to six.
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

/// Answers `subproblem`, with the search for λ starting from `hint` ≥ 0; `None` where a factorisation failed.
pub fn solution(subproblem: Subproblem, hint: f64, model: &mut impl Shifted) -> Option<Solution> {
    match subproblem {
        Subproblem::Damped(damping) => {
            let norm = at(model, damping)?;
            Some(evaluate(model, damping, norm, false))
        }
        Subproblem::Radius(radius) => {
            let start = if model.factor(hint) { hint } else { 0.0 };
            let (shift, norm) =
                search(model, start, |_| 0.0, |norm, _| norm / radius, |norm, rate, _| (norm / radius - 1.0) / rate)?;
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

/// ‖w‖² / ‖y‖², also where one of the squares leaves the range of numbers.
pub fn squared_ratio(w: &[f64], y: &[f64]) -> f64 {
    let squares = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>();
    let ratio = squares(w) / squares(y);
    if ratio.is_finite() && ratio > 0.0 {
        return ratio;
    }
    let ratio = length(w.iter().copied()) / length(y.iter().copied());
    ratio * ratio
}

/// Where (A + λI)y = −b holds, yᵀAy costs no product.
fn evaluate(model: &impl Shifted, shift: f64, norm: f64, on_boundary: bool) -> Solution {
    let slope = model.slope();
    let curvature = -slope - shift * norm * norm;
    Solution { shift, norm, slope, curvature, on_boundary, hard_case: false }
}
