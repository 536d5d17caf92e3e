//! Taylor remainder tests: a derivative is right if the remainder falls one order faster than the step.
//!
//! With F the function, DF·v the derivative to be checked and h the step,
//!
//! ρ₁(h) = |F(x + hv) − F(x) − h DF·v|            = O(h²) if DF is right, O(h) if not
//! ρ₂(h) = ½|F(x + hv) − F(x − hv) − 2h DF·v|     = O(h³) if DF is right, O(h) if not
//!
//! until rounding, N, takes over. An error e of DF·v makes ρ₂ ≥ |e|h, so (ρ₂ + N)/h bounds |e| at every step; the step
//! where the bound is least decides. There ρ₂ ≈ N/2 for a right derivative (ρ₂ = Ah³ balances N), so the derivative
//! passes if ρ₂ is within a small multiple of N, or within the tolerance of the change of F; for a wrong one ρ₂ ≫ N.
//! For a wrong one the error is read off where ρ₂/h is steadiest, since at large steps Ah³ may cancel a part of it.
//! N is measured, with steps of some units in the last place of x, where ρ₂ is nothing but rounding.

use super::Outcome;
use crate::base::{Scalar, kernels, random::SplitMix64};
use crate::check::Finding;

/// Directions that every remainder test tries.
pub(super) const DIRECTIONS: usize = 3;
/// A remainder of so many times the rounding is still explained by rounding.
const ROUNDING: f64 = 16.0;
/// Remainders below so many times the rounding say nothing about the order.
const CLEAR: f64 = 10.0;
/// Points in the fit of the order: the last ones before rounding.
const FITTED: usize = 6;
/// A sweep ends when rounding alone makes the bound on the error so much worse than the best.
const HOPELESS: f64 = 1e3;

/// One step of a sweep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Remainder {
    /// h, in units of ‖x‖∞ (of 1 where x = 0), which are part of v.
    pub step: f64,
    /// |F(x + hv) − F(x) − h DF·v|, a norm where F is a gradient.
    pub one_sided: f64,
    /// ½|F(x + hv) − F(x − hv) − 2h DF·v|.
    pub central: f64,
}

/// A derivative compared with differences over a sweep of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct TaylorTest {
    /// The outcome; its error is the smallest central remainder relative to the change of the function, in the worst of
    /// three directions.
    pub finding: Finding,
    /// The observed order of the one-sided remainder before rounding: 2 if the derivative is right, 1 if not. `None`
    /// if fewer than three remainders rise above rounding and the tolerance, as for a linear function.
    pub order: Option<f64>,
    /// The sweep in that direction, largest step first.
    pub remainders: Vec<Remainder>,
}

/// What is measured at one step.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    pub remainder: Remainder,
    /// How much F changes: h|DF·v| + ½(|F(x + hv) − F(x)| + |F(x − hv) − F(x)|).
    pub change: f64,
    /// The rounding to be expected from the size of F.
    pub rounding: f64,
    /// ‖P‖², PᵀD and ‖D‖² over `change`², of the prediction P = h DF·v and D = ½(F(x + hv) − F(x − hv)).
    pub products: [f64; 3],
}

impl Sample {
    /// ‖P − κD‖² over `change`².
    fn misfit(&self, factor: f64) -> f64 {
        let [pp, pd, dd] = self.products;
        pp - 2.0 * factor * pd + factor * factor * dd
    }
}

/// The sweep along one direction.
pub(super) struct Sweep {
    pub samples: Vec<Sample>,
    /// The sample where the error of a wrong derivative shows most clearly; its rounding is the measured one.
    pub steadiest: Sample,
    /// The relative error where the bound on it is least (of a wrong derivative: where it is steadiest), and what is
    /// allowed.
    pub error: f64,
    pub allowed: f64,
    /// Whether F never changes beyond rounding.
    pub only_rounding: bool,
}

impl Sweep {
    pub fn passed(&self) -> bool {
        self.error <= self.allowed
    }

    /// The slope of log ρ₁ over log h by Theil (1950) and Sen (1968): the median over all pairs of points.
    fn order(&self, tolerance: f64) -> Option<f64> {
        let clear = |s: &&Sample| s.remainder.one_sided > (CLEAR * s.rounding).max(tolerance * s.change);
        let points: Vec<(f64, f64)> = (self.samples.iter().rev().filter(clear).take(FITTED))
            .map(|s| (s.remainder.step.ln(), s.remainder.one_sided.ln()))
            .collect();
        let mut slopes: Vec<f64> = (0..points.len())
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .map(|(i, j)| (points[i].1 - points[j].1) / (points[i].0 - points[j].0))
            .collect();
        slopes.sort_by(f64::total_cmp);
        if points.len() < 3 { None } else { Some(slopes[slopes.len() / 2]) }
    }
}

/// Sweeps h from max(‖x‖∞, 1) down to a few units in the last place of x, by factors of 4, as far as it is of use.
///
/// `slope_rounding` is the rounding of DF·v itself. `measure` is `None` where F is not finite; so is the result if that
/// holds for every step. Measures at 24 steps for `f64`, 10 for `f32`, at most 3 and 20 more, usually two thirds.
pub(super) fn sweep<T: Scalar>(
    x: &[T],
    slope_rounding: f64,
    mut measure: impl FnMut(f64) -> Option<Sample>,
) -> Option<Sweep> {
    let (epsilon, tolerance) = (T::epsilon_f64(), super::tolerance::<T>());
    let probes = [4.0, 8.0, 16.0].map(|ulps| measure(ulps * epsilon));
    let measured = probes.iter().flatten().fold(0.0_f64, |n, s| n.max(s.remainder.central));

    let mut samples: Vec<Sample> = Vec::new();
    let bound = |s: &Sample| (s.remainder.central + s.rounding) / s.remainder.step;
    let mut best: Option<Sample> = None;
    let mut step = largest_step(x);
    while step >= 64.0 * epsilon {
        if let Some(mut sample) = measure(step) {
            sample.rounding = sample.rounding.max(measured) + slope_rounding * step;
            samples.push(sample);
            let least = best.as_ref().map_or(f64::INFINITY, bound);
            if bound(&sample) < least || best.is_none() {
                best = Some(sample);
            } else if sample.rounding / step > HOPELESS * least {
                break;
            }
        }
        step /= 4.0;
    }
    let best = best?;
    let relative = |numerator: f64, s: &Sample| if numerator == 0.0 { 0.0 } else { numerator / s.change };
    let allowed = relative(ROUNDING * best.rounding, &best).max(tolerance);
    let mut error = relative(best.remainder.central, &best);
    let steadiest = steadiest(&samples).unwrap_or(best);
    if error > allowed {
        error = error.max(relative(steadiest.remainder.central, &steadiest));
    }
    let only_rounding = samples.iter().all(|s| s.change <= CLEAR * s.rounding);
    Some(Sweep { samples, steadiest, error, allowed, only_rounding })
}

/// The sample whose ρ₂/h differs least from that of the step before, rounding included.
fn steadiest(samples: &[Sample]) -> Option<Sample> {
    let slope = |s: &Sample| s.remainder.central / s.remainder.step;
    let unrest =
        |pair: &[Sample]| (slope(&pair[1]) - slope(&pair[0])).abs() + pair[1].rounding / pair[1].remainder.step;
    samples.windows(2).min_by(|a, b| unrest(a).total_cmp(&unrest(b))).map(|pair| pair[1])
}

/// max(‖x‖∞, 1) in units of ‖x‖∞, as a power of 4 that is not absurd.
fn largest_step<T: Scalar>(x: &[T]) -> f64 {
    let unit = unit(x);
    if unit >= 1.0 { 1.0 } else { 4.0_f64.powi((-unit.log2() / 2.0).round().min(20.0) as i32) }
}

/// ‖x‖∞, or 1 where x = 0.
fn unit<T: Scalar>(x: &[T]) -> f64 {
    let size = kernels::max_abs(x);
    if size > 0.0 { size } else { 1.0 }
}

/// A random direction in the unit of x: random signs times magnitudes between ½ and 3/2, so that no component is
/// overlooked. Every second direction moves each component in proportion to its own size; every one does where the
/// sizes differ by more than 1/tolerance (10⁶ for `f64`), since the components then have different units.
pub(super) fn direction<T: Scalar>(x: &[T], number: usize, random: &mut SplitMix64) -> Vec<T> {
    let unit = unit(x);
    let sizes = x.iter().map(|x| x.abs().into()).filter(|&size: &f64| size > 0.0);
    let mixed = sizes.fold(unit, f64::min) < super::tolerance::<T>() * unit;
    let component = |&x: &T| {
        let x: f64 = x.into();
        let scale = if x == 0.0 || (number.is_multiple_of(2) && !mixed) { unit } else { x.abs() };
        T::from_f64(scale * random.rademacher() * (0.5 + random.uniform()))
    };
    x.iter().map(component).collect()
}

/// The κ of the least squares fit P ≈ κD over all directions, if it leaves next to nothing of the error: −1, 0, ±½, ±2, or
/// any other. In one dimension every derivative is a multiple of every other, so only the former count.
fn common_factor(sweeps: &[Sweep], dim: usize, tolerance: f64) -> Option<f64> {
    let sum = |i: usize| sweeps.iter().map(|s| s.steadiest.products[i]).sum::<f64>();
    let factor = sum(1) / sum(2);
    let worst = |factor: f64| sweeps.iter().map(|s| s.steadiest.misfit(factor)).fold(0.0, f64::max);
    let unexplained = worst(factor) / worst(1.0);
    let near = |simple: &f64| (factor - simple).abs() <= tolerance.sqrt() * simple.abs().max(1e-3);
    let simple = [-1.0, 0.0, 0.5, -0.5, 2.0, -2.0].into_iter().find(near);
    if simple.is_some() && unexplained <= tolerance {
        return simple;
    }
    // A few directions can agree on some multiple by accident: here the fit must be as good as the tolerance.
    let any = dim > 1 && sweeps.len() > 1 && unexplained <= tolerance * tolerance;
    any.then_some(factor)
}

/// The verdict over all directions. `otherwise` names what is wrong where it is not a multiple of the derivative.
pub(super) fn conclude<T: Scalar>(
    property: super::Property,
    dim: usize,
    sweeps: Vec<Sweep>,
    otherwise: impl FnOnce(&Sweep) -> Outcome,
) -> TaylorTest {
    let tolerance = super::tolerance::<T>();
    let excess = |s: &Sweep| s.error / s.allowed;
    let Some(worst) = sweeps.iter().max_by(|a, b| excess(a).total_cmp(&excess(b))) else {
        return unmeasured(property, Outcome::NotFiniteNearby);
    };
    let outcome = if worst.passed() {
        if sweeps.iter().all(|s| s.only_rounding) { Outcome::OnlyRounding } else { Outcome::Passed }
    } else {
        match common_factor(&sweeps, dim, tolerance) {
            Some(-1.0) => Outcome::OppositeSign,
            Some(factor) => Outcome::Factor(factor),
            None => otherwise(worst),
        }
    };
    TaylorTest {
        finding: Finding { property, outcome, error: worst.error, tolerance: worst.allowed },
        order: worst.order(tolerance),
        remainders: worst.samples.iter().map(|s| s.remainder).collect(),
    }
}

/// A test that could not be run.
pub(super) fn unmeasured(property: super::Property, outcome: Outcome) -> TaylorTest {
    TaylorTest { finding: Finding::exact(property, outcome), order: None, remainders: Vec::new() }
}
