//! Subproblems of a quadratic model, solved from an eigendecomposition.
//!
//! In an orthonormal eigenbasis of the (projected) metric, with eigenvalues θᵢ in rising order and gradient components
//! cᵢ, every step is yᵢ = −cᵢ / (θᵢ + λ), and the subproblems differ only in the λ they choose:
//!
//! - damped: λ is given;
//! - trust region: the λ ≥ max(0, −θ₁) with ‖y‖ = Δ, or 0 where the step is interior (Moré & Sorensen, SIAM J. Sci.
//!   Stat. Comput. 4 (1983), section 3: Newton's method on 1/‖y(λ)‖ − 1/Δ, which converges from the left);
//! - cubic: the λ ≥ max(0, −θ₁) with λ = σ‖y‖ (Cartis, Gould & Toint, Math. Program. 127 (2011), section 6.1);
//! - metric ball: y = −α c / θ with α = ε / √(Σ cᵢ²/θᵢ) (Pierrot, Perrin-Gilbert & Sigaud, section 3);
//! - saddle-free: y = −c / |θ| (Greenstadt, Math. Comp. 21 (1967); Dauphin et al., NIPS 2014).
//!
//! In the hard case (c has no component along the lowest eigenvectors and the step at λ = −θ₁ is too short) the step
//! is lengthened along the lowest eigenvector. Shifts are held as λ = μ + max(0, −θ₁) with μ ≥ 0, so that the divisors
//! θᵢ + λ lose no digits where λ → −θ₁.

/// What is asked of a quadratic model gᵀδ + ½ δᵀMδ.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Subproblem {
    /// argmin gᵀδ + ½ δᵀ(M + λI)δ for the damping λ ≥ 0.
    Damped(f64),
    /// argmin gᵀδ + ½ δᵀMδ subject to ‖δ‖ ≤ Δ for the radius Δ > 0.
    Radius(f64),
    /// argmin gᵀδ + ½ δᵀMδ + ⅓σ‖δ‖³ for the weight σ > 0.
    Cubic(f64),
    /// argmin gᵀδ subject to δᵀMδ ≤ ε² for ε > 0.
    MetricBall(f64),
    /// −|M|⁻¹g, at most so long: the Newton step with the negative eigenvalues' signs turned, a direction of descent
    /// also where M is indefinite.
    SaddleFree(f64),
}

/// The solution to a [`Subproblem`]: which step it is and what the quadratic model says of it. By default no step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Solution {
    /// λ, with (M + λI)δ = −g in the space searched. For a metric ball 0: there δ is a multiple of the Newton step.
    pub shift: f64,
    /// ‖δ‖.
    pub norm: f64,
    /// gᵀδ.
    pub slope: f64,
    /// δᵀMδ.
    pub curvature: f64,
    /// Whether the constraint of the subproblem is active.
    pub on_boundary: bool,
    /// Whether the hard case was met: the step has a component along the lowest eigenvector that the gradient lacks.
    pub hard_case: bool,
}

impl Solution {
    /// How much the quadratic model decreases: −(gᵀδ + ½ δᵀMδ).
    pub fn decrease(&self) -> f64 {
        -(self.slope + 0.5 * self.curvature)
    }
}

/// Why a [`Subproblem`] has no solution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Indefinite {
    /// The lowest eigenvalue of the (projected) metric, which with the damping is not positive.
    pub lowest: f64,
}

/// Answers `subproblem` for eigenvalues `theta` (rising) and gradient components `c`; writes the step's components to `y`.
pub(crate) fn solution(
    subproblem: Subproblem,
    theta: &[f64],
    c: &[f64],
    y: &mut [f64],
) -> Result<Solution, Indefinite> {
    let lowest = theta[0];
    match subproblem {
        Subproblem::Damped(damping) => {
            if lowest + damping <= 0.0 {
                return Err(Indefinite { lowest });
            }
            let norm = step(theta, c, damping - (-lowest).max(0.0), y);
            Ok(evaluate(theta, c, y, damping, norm, false, false))
        }
        Subproblem::Radius(radius) => Ok(on_sphere(theta, c, y, radius)),
        Subproblem::Cubic(weight) => Ok(cubic(theta, c, y, weight)),
        Subproblem::MetricBall(size) => {
            if lowest <= 0.0 {
                return Err(Indefinite { lowest });
            }
            let dual: f64 = theta.iter().zip(c).map(|(theta, c)| c * c / theta).sum();
            let alpha = if dual > 0.0 { size / dual.sqrt() } else { 0.0 };
            let norm = alpha * step(theta, c, 0.0, y);
            y.iter_mut().for_each(|y| *y *= alpha);
            Ok(evaluate(theta, c, y, 0.0, norm, true, false))
        }
        Subproblem::SaddleFree(longest) => Ok(saddle_free(theta, c, y, longest)),
    }
}

/// y ← −c / (θ − min(0, θ₁) + μ); returns ‖y‖. Components with c = 0 are 0, also where the divisor vanishes.
fn step(theta: &[f64], c: &[f64], mu: f64, y: &mut [f64]) -> f64 {
    let base = theta[0].min(0.0);
    for ((y, &theta), &c) in y.iter_mut().zip(theta).zip(c) {
        *y = if c == 0.0 { 0.0 } else { -c / (theta - base + mu) };
    }
    length(y.iter().copied())
}

/// c ← 0 where it is rounding of the eigenvectors and its eigenvalue is rounding as well, or negative: neither must make a
/// step.
pub(super) fn drop_rounding(theta: &[f64], c: &mut [f64]) {
    let relative = 16.0 * f64::EPSILON * theta.len() as f64;
    let largest = theta.iter().fold(0.0, |l: f64, t| l.max(t.abs()));
    let size = length(c.iter().copied());
    for (c, &theta) in c.iter_mut().zip(theta) {
        if theta <= relative * largest && c.abs() <= relative * size {
            *c = 0.0;
        }
    }
}

/// √Σv², scaled against overflow.
pub(super) fn length(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let squares: f64 = values.clone().map(|v| v * v).sum();
    if (1e-280..1e280).contains(&squares) {
        return squares.sqrt();
    }
    let largest = values.clone().fold(0.0, |m: f64, v| m.max(v.abs()));
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    largest * values.map(|v| (v / largest) * (v / largest)).sum::<f64>().sqrt()
}

fn evaluate(
    theta: &[f64],
    c: &[f64],
    y: &[f64],
    shift: f64,
    norm: f64,
    on_boundary: bool,
    hard_case: bool,
) -> Solution {
    let slope = c.iter().zip(y).map(|(c, y)| c * y).sum();
    let curvature = theta.iter().zip(y).map(|(theta, y)| theta * y * y).sum();
    Solution { shift, norm, slope, curvature, on_boundary, hard_case }
}

/// ‖y(μ)‖ and −(ln‖y‖)′ = Σ cᵢ²/(θᵢ+λ)³ / ‖y‖².
fn norm_and_rate(theta: &[f64], c: &[f64], mu: f64) -> (f64, f64) {
    let base = theta[0].min(0.0);
    let sums = |scale: f64| {
        let (mut squared, mut cubed) = (0.0, 0.0);
        for (&theta, &c) in theta.iter().zip(c) {
            if c != 0.0 {
                let gap = theta - base + mu;
                let y = c / gap / scale;
                squared += y * y;
                cubed += y * y / gap;
            }
        }
        (scale * squared.sqrt(), cubed / squared)
    };
    let (norm, rate) = sums(1.0);
    if norm.is_finite() && rate.is_finite() {
        return (norm, rate);
    }
    // The squares overflow.
    sums(theta.iter().zip(c).fold(0.0, |m: f64, (theta, c)| m.max((c / (theta - base + mu)).abs())))
}

/// The trust-region step.
fn on_sphere(theta: &[f64], c: &[f64], y: &mut [f64], radius: f64) -> Solution {
    let lowest = theta[0];
    if lowest > 0.0 {
        let norm = step(theta, c, 0.0, y);
        if norm <= radius {
            return evaluate(theta, c, y, 0.0, norm, false, false);
        }
    }
    let base = lowest.min(0.0);
    // ‖y‖ ≥ |cᵢ|/(θᵢ+λ) for every i bounds the root from the left, ‖c‖/Δ from the right.
    let left = theta.iter().zip(c).fold(0.0, |m: f64, (theta, c)| m.max(c.abs() / radius - (theta - base)));
    if left == 0.0 && lowest <= 0.0 {
        // Every |cᵢ| ≤ (θᵢ − θ₁)Δ: the step at λ = −θ₁ is finite and perhaps too short.
        let norm = step(theta, c, 0.0, y);
        // A lowest eigenvalue of 0 but for rounding is no negative curvature: any step along it is as good as none.
        let largest = theta[theta.len() - 1].abs().max(-lowest);
        if norm <= radius && -lowest <= f64::EPSILON * theta.len() as f64 * largest {
            return evaluate(theta, c, y, 0.0, norm, false, false);
        }
        if norm <= radius {
            return lengthen(theta, c, y, -lowest, norm, radius);
        }
    }
    let right = (length(c.iter().copied()) / radius).max(left);
    let mu = newton(left, right, |mu| {
        let (norm, rate) = norm_and_rate(theta, c, mu);
        // Newton on 1/‖y‖ − 1/Δ, whose derivative is rate/‖y‖.
        (norm / radius - 1.0, mu + (norm / radius - 1.0) / rate)
    });
    let norm = step(theta, c, mu, y);
    // Remove what rounding left of ‖y‖ ≠ Δ.
    let correction = radius / norm;
    if correction.is_finite() {
        y.iter_mut().for_each(|y| *y *= correction);
    }
    evaluate(theta, c, y, mu - base, radius, true, false)
}

/// The cubic model's step.
fn cubic(theta: &[f64], c: &[f64], y: &mut [f64], weight: f64) -> Solution {
    let lowest = theta[0];
    let size = length(c.iter().copied());
    let base = lowest.min(0.0);
    if lowest <= 0.0 {
        let norm = step(theta, c, 0.0, y);
        if norm.is_finite() && weight * norm <= -lowest {
            return lengthen(theta, c, y, -lowest, norm, -lowest / weight);
        }
    }
    if size == 0.0 {
        y.fill(0.0);
        return evaluate(theta, c, y, 0.0, 0.0, false, false);
    }
    if weight == 0.0 && lowest > 0.0 {
        let norm = step(theta, c, 0.0, y);
        return evaluate(theta, c, y, 0.0, norm, false, false);
    }
    // ‖y‖ ≤ ‖c‖/(θ₁+λ), so the root lies below the positive root of λ(θ₁ + λ) = σ‖c‖, here written for μ.
    let half = 0.5 * lowest.abs();
    let right = weight * size / (half + (half * half + weight * size).sqrt());
    let mu = newton(0.0, right, |mu| {
        let (norm, rate) = norm_and_rate(theta, c, mu);
        let lambda = mu - base;
        // Newton on 1/‖y‖ − σ/λ, whose derivative is rate/‖y‖ + σ/λ².
        let excess = weight * norm - lambda;
        (excess / lambda.max(weight * norm), mu + excess * lambda / (lambda * lambda * rate + weight * norm))
    });
    let norm = step(theta, c, mu, y);
    evaluate(theta, c, y, mu - base, norm, true, false)
}

/// −|M|⁻¹g, scaled down to `longest`. Eigenvalues below the rounding of the largest count as that.
fn saddle_free(theta: &[f64], c: &[f64], y: &mut [f64], longest: f64) -> Solution {
    let size = length(c.iter().copied());
    let largest = theta.iter().fold(0.0, |l: f64, t| l.max(t.abs()));
    let rounding = f64::EPSILON * theta.len() as f64 * largest;
    let least = rounding.max(size / longest.clamp(f64::MAX.sqrt(), 1e300));
    for ((y, &theta), &c) in y.iter_mut().zip(theta).zip(c) {
        *y = if c == 0.0 { 0.0 } else { -c / theta.abs().max(least) };
    }
    let mut norm = length(y.iter().copied());
    let too_long = norm > longest;
    if too_long {
        y.iter_mut().for_each(|y| *y *= longest / norm);
        norm = longest;
    }
    evaluate(theta, c, y, 0.0, norm, too_long, false)
}

/// The hard case: adds the lowest eigenvector until ‖y‖ = `target`; of the two signs the one along −c.
fn lengthen(theta: &[f64], c: &[f64], y: &mut [f64], shift: f64, norm: f64, target: f64) -> Solution {
    let missing = ((target - norm) * (target + norm)).max(0.0).sqrt();
    let sign = if y[0] < 0.0 { -1.0 } else { 1.0 };
    // y₁ is 0 here unless all gaps are positive; adding in quadrature keeps ‖y‖ = target.
    y[0] = sign * y[0].hypot(missing);
    let shift = shift.max(0.0);
    evaluate(theta, c, y, shift, target, target > 0.0, missing > 0.0)
}

/// The root in `[left, right]` of a function that falls through zero; `f(μ)` gives its value and a Newton iterate.
/// Falls back to bisection where Newton's iterate leaves the bracket. At most 100 evaluations.
pub(super) fn newton(mut left: f64, mut right: f64, mut f: impl FnMut(f64) -> (f64, f64)) -> f64 {
    let mut mu = if left > 0.0 { left } else { f64::MIN_POSITIVE.max(right * 1e-12) };
    for _ in 0..100 {
        let (value, next) = f(mu);
        if value.abs() <= 1e-13 {
            return mu;
        }
        if value > 0.0 {
            left = mu
        } else {
            right = mu
        }
        let inside = next > left && next < right;
        let next = if inside {
            next
        } else if left > 0.0 {
            (left * right).sqrt()
        } else {
            0.5 * (left + right)
        };
        if (next - mu).abs() <= 2.0 * f64::EPSILON * mu {
            return next;
        }
        mu = next;
    }
    mu
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(theta: &[f64], c: &[f64], y: &[f64], solution: &Solution) {
        // Stationarity: (θ + λ) y = −c, and θ₁ + λ ≥ 0.
        let scale = c.iter().map(|c| c.abs()).fold(1e-300, f64::max);
        for i in 0..c.len() {
            let residual = (theta[i] + solution.shift) * y[i] + c[i];
            assert!(
                residual.abs() <= 1e-9 * scale.max(theta[i].abs() * solution.norm),
                "{theta:?} {c:?} {solution:?} {residual}"
            );
        }
        assert!(theta[0] + solution.shift >= -1e-12 * theta[0].abs());
    }

    #[test]
    fn radius_and_cubic_over_many_spectra() {
        let spectra: [&[f64]; 5] =
            [&[1.0, 2.0, 3.0], &[-2.0, 0.0, 5.0], &[-1e-8, 1e-3, 1e6], &[0.0, 0.0, 0.0], &[-3.0, -3.0, 7.0]];
        for theta in spectra {
            for c in [[1.0, 1.0, 1.0], [1e-20, 1.0, -1.0], [0.0, 1.0, 2.0], [0.0, 0.0, 1e-9], [1e8, -1e-8, 1.0]] {
                for size in [1e-8, 1e-3, 1.0, 1e3, 1e8] {
                    let mut y = [0.0; 3];
                    let a = solution(Subproblem::Radius(size), theta, &c, &mut y).unwrap();
                    check(theta, &c, &y, &a);
                    assert!(a.norm <= size * (1.0 + 1e-12));
                    assert!(a.shift <= 1e-12 || (a.norm / size - 1.0).abs() < 1e-9, "{theta:?} {c:?} {size} {a:?}");
                    let a = solution(Subproblem::Cubic(size), theta, &c, &mut y).unwrap();
                    check(theta, &c, &y, &a);
                    assert!(
                        (a.shift - size * a.norm).abs() <= 1e-8 * (a.shift + size * a.norm),
                        "{theta:?} {c:?} {size} {a:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn metric_ball_has_the_given_size() {
        let (theta, c) = ([0.5, 2.0], [1.0, -3.0]);
        let mut y = [0.0; 2];
        let a = solution(Subproblem::MetricBall(0.1), &theta, &c, &mut y).unwrap();
        assert!((a.curvature - 0.01).abs() < 1e-15);
        assert!((y[0] / y[1] - (1.0 / 0.5) / (-3.0 / 2.0)).abs() < 1e-12);
    }

    /// The curvatures of Brown's badly scaled function, from 1e12 to 2.
    #[test]
    fn saddle_free_steps_keep_small_eigenvalues() {
        let (theta, c) = ([-3.0, 2.0, 1e12], [1.5, -4.0, 1e12]);
        let mut y = [0.0; 3];
        solution(Subproblem::SaddleFree(1e6), &theta, &c, &mut y).unwrap();
        assert_eq!(y, [-0.5, 2.0, -1.0]);
        // 1e-6 is rounding beside 1e12.
        let a = solution(Subproblem::SaddleFree(f64::INFINITY), &[1e-6, 1e12], &[1.0, 0.0], &mut y[..2]).unwrap();
        assert_eq!(a.norm, 1.0 / (2.0 * f64::EPSILON * 1e12));
    }

    #[test]
    fn damped_refuses_an_indefinite_matrix() {
        let mut y = [0.0; 2];
        assert_eq!(
            solution(Subproblem::Damped(0.5), &[-1.0, 2.0], &[1.0, 1.0], &mut y),
            Err(Indefinite { lowest: -1.0 })
        );
        assert!(solution(Subproblem::Damped(1.5), &[-1.0, 2.0], &[1.0, 1.0], &mut y).is_ok());
    }
}
