//! Whether a run of least squares is over.
//!
//! x is stationary when |Jⱼᵀr| ≤ ‖Jⱼ‖ τ‖r‖ for every column, MINPACK's `gtol`. On the exact path J is at hand
//! then, and steps go on while they promise more of the value than the square of τ/100, and help. Where the norms of the
//! columns are not known the test is ‖Jᵀr‖ ≤ ‖J‖ τ‖r‖ until it holds; then ‖Jⱼ‖ is taken to be the largest |Jⱼᵀs| for
//! [`PROBES`] normal vectors s. Each is normal with the variance ‖Jⱼ‖², so that one in 10⁵ estimates is ten times too low,
//! which costs steps, and none is ten times too high.
//!
//! Residuals that vanish become rounding before they become orthogonal. x is stationary as well when
//! |Jⱼᵀr| ≤ ‖Jⱼ‖ 8εt *and* steps have stopped to help. Terms of the size t are what r is made of, seen from x, which is
//! given to ε: t = ‖(‖Jⱼ‖xⱼ)ⱼ‖. Where the solution is at or near 0 that vanishes with r, and the unit of x is the largest
//! |xⱼ| met so far, X; then t = min(‖r₀‖, ‖(‖Jⱼ‖Xⱼ)ⱼ‖). Neither of the two alone would do: far from the solution r₀ and J
//! may be 10¹⁷ times what they are near it. J is always that at x. At a double root r falls as x² does, and is of the size
//! ε²t where x has come to the rounding of X; residuals below an eighth of that are not made of such terms, which do not count
//! then.
//!
//! Where the columns of J are known to e only, as by differences, no cosine below 8e can be told from 0, and τ is that at
//! least. The rounding of r, of the size εt or ε‖r‖, is more of a column whose own term is small: there e counts t/(‖Jⱼ‖Xⱼ)
//! times, up to the ε^{-⅛} at which differences take another step, once steps have ceased to help. But along a valley all
//! columns together may say more than each of them, and where one of them is nearly a sum of the others errors decide what
//! they say. So where J comes from differences too coarse to polish with, the claim is tried: the whole Gauss–Newton step, if
//! it promises more than e^{3/2} of the value, has to fail as noise does. At a minimum −(JᵀJ)⁻¹JᵀEr, what errors E make of a
//! step, raises f by what it promises to lower it by, to either side; where the values say that f falls along it, or rises by
//! more than twice that, the run goes on.
//!
//! Whether r has terms of the size t only J tells, and one absurd number in it makes everything rounding. So a claim that
//! rests on t is tried: a step of √ε in the parameter with the largest term has to change r by at least half of what J
//! says.
//!
//! Where the products of J and r, or their squares, are below the range of numbers, nothing is known, and nothing claimed.
//!
//! A gradient of exactly zero is believed only where further products do not contradict it.

use super::{FitLocal, FitState, Scaling};
use crate::base::{Scalar, kernels, space};
use crate::control::{Limits, LocalProblem, Stopping, Track, Whole};
use crate::operator::{Caller, LinearMap};
use crate::step::GaussNewtonSteps;

/// Products with Jᵀ from which the norms of its columns are estimated.
const PROBES: usize = 4;
/// Multiples of εt that count as rounding of residuals.
pub(super) const ROUNDING: f64 = 8.0;
/// Products that a gradient of exactly zero is confirmed with.
const CONFIRMATION: usize = 3;
/// The share of the tolerance that is a polished cosine …
const POLISHED: f64 = 0.01;
/// … and one that always is.
const ALWAYS_POLISHED: f64 = 1e-10;

/// The share of the value below which a further decrease is of no interest: the square of a polished cosine.
pub(super) fn polished(stopping: &Stopping) -> f64 {
    (POLISHED * stopping.gradient_relative).max(ALWAYS_POLISHED).powi(2)
}

impl<T: Scalar> FitLocal<'_, T> {
    /// The scaling, the components that bounds hold, the gradient's norm and cosine, from the new Jacobian.
    pub(super) fn rescale(&self, fit: &mut FitState<T>, track: &mut Track<T>, limits: &Limits<'_>) {
        let problem = self.residuals;
        let known = fit.source.column_norms(&self.jacobian, &mut fit.norms);
        let size = space::of_residuals(|| kernels::norm(self.residual()));
        let (mut largest, mut squares) = (0.0_f64, 0.0);
        let (mut terms, mut met, mut term) = (0.0, 0.0, 0.0);
        for j in 0..track.gradient.len() {
            let x: f64 = self.x[j].into();
            fit.met[j] = fit.met[j].max(x.abs());
            let norm = if known { fit.norms[j] } else { 1.0 };
            (terms, met) = (f64::hypot(terms, norm * x), f64::hypot(met, norm * fit.met[j]));
            if known && norm * x.abs() > term {
                (term, fit.largest_term) = (norm * x.abs(), j);
            }
            if known {
                fit.columns[j] = fit.columns[j].max(norm);
            }
            let scale = match problem.scaling {
                Scaling::Columns if fit.columns[j] > 0.0 => 1.0 / fit.columns[j],
                _ => 1.0,
            };
            let held = problem.fit.bounds.is_some_and(|bounds| bounds.holds(j, self.x[j], track.gradient[j]));
            fit.scaling[j] = if held { T::zero() } else { T::from_f64(scale) };
            if held {
                continue;
            }
            let g: f64 = track.gradient[j].into();
            squares = f64::hypot(squares, g);
            if known && g != 0.0 {
                largest = largest.max(g.abs() / norm);
            }
        }
        largest = space::largest(largest);
        (terms, met, squares) = (space::norm(terms), space::norm(met), space::norm(squares));
        track.gradient_norm = squares;
        let accuracy = self.jacobian.accuracy();
        let noise = accuracy.unwrap_or(0.0).max(T::epsilon_f64());
        let tolerance = limits.stopping().gradient_relative.max(ROUNDING * noise);
        let mut verified = true;
        if !known {
            let bound = fit.source.largest_singular_value();
            (terms, met) = (bound * terms, bound * met);
            if track.gradient_norm > 0.0 {
                largest = track.gradient_norm / bound.max(track.gradient_norm / size);
            }
            if largest > 0.0 && largest <= tolerance * size {
                let probed = self.probe(fit, track, limits);
                verified = probed.is_some();
                largest = probed.unwrap_or(largest);
            }
        }
        let remembered = met.min(fit.initial_size);
        let lost = ROUNDING * size < T::epsilon_f64().powi(2) * remembered;
        fit.errors.terms = if lost { terms } else { terms.max(remembered) };
        track.resolution = ROUNDING * fit.errors.of_residual::<T>() * (2.0 * track.value).sqrt();
        track.measure = if largest == 0.0 { 0.0 } else { largest / size };
        // Where r and the terms that it is made of have products with J, and squares, in the range of numbers.
        let bulk = size.max(fit.errors.terms);
        let steepest =
            if known { fit.norms.iter().copied().fold(0.0, f64::max) } else { fit.source.largest_singular_value() };
        let least = |smallest: f64| smallest / T::epsilon_f64();
        fit.seen = size == 0.0
            || steepest == 0.0
            || bulk * bulk >= least(f64::MIN_POSITIVE) && steepest * bulk >= least(T::min_positive_value().into());
        let told = if accuracy.is_some() && known { self.beyond_errors(fit, track, terms.max(size)) } else { largest };
        fit.only_to_errors = largest > tolerance * size;
        fit.orthogonal = fit.seen && verified && told <= tolerance * size;
        let rounding = fit.seen && largest <= ROUNDING * fit.errors.of_residual::<T>();
        let doubtful = fit.orthogonal && accuracy.is_some() && !fit.source.exact() && !rounding;
        fit.worth_a_step = if doubtful { noise.powf(1.5) * track.value } else { 0.0 };
        track.stationary = rounding || fit.orthogonal && !doubtful;
    }

    /// The largest |gⱼ|/‖Jⱼ‖ as a share of the columns' errors in units of e, seen from outputs of the size t.
    fn beyond_errors(&self, fit: &FitState<T>, track: &Track<T>, t: f64) -> f64 {
        let most = T::epsilon_f64().powf(-0.125);
        let mut largest = 0.0_f64;
        for (j, &g) in track.gradient.iter().enumerate().filter(|&(j, &g)| g != T::zero() && fit.scaling[j] > T::zero())
        {
            let unit = if fit.met[j] > 0.0 { fit.met[j] } else { 1.0 };
            let excess = t / (fit.norms[j] * unit);
            largest = largest.max(g.into().abs() / fit.norms[j] / excess.clamp(1.0, most));
        }
        space::largest(largest)
    }

    /// Whether the whole step promises no more than noise, or brings no more; for at most two residuals.
    pub(super) fn fails_as_noise(&self, fit: &mut FitState<T>, track: &mut Track<T>, limits: &Limits<'_>) -> bool {
        let problem = self.residuals;
        if fit.only_to_errors && track.value_before - track.value > fit.worth_a_step {
            return false;
        }
        let scaled = std::mem::replace(&mut fit.scaled, true);
        let whole = self.propose(fit, track, &mut Whole, limits, true);
        fit.scaled = scaled;
        let Ok((solution, _)) = whole else { return false };
        let promised = solution.decrease();
        if promised <= fit.worth_a_step {
            return true;
        }
        let (mut gained, mut noise) = ([0.0; 2], 0.0);
        for (gained, length) in gained.iter_mut().zip([1.0, -1.0]) {
            if limits.stop(0, &problem.model).is_some() {
                return false;
            }
            kernels::add_scaled(self.x, length, &track.step, &mut track.other_x);
            if let Some(bounds) = problem.fit.bounds {
                bounds.project(&mut track.other_x);
            }
            *gained = self.decrease(fit, &track.other_x);
            noise = fit.errors.of_decrease::<T>(track.value, *gained, solution.norm);
            let in_vain = fit.worth_a_step.min(0.25 * promised).max(noise);
            if !(-noise.max(2.0 * promised)..=in_vain).contains(gained) {
                return false;
            }
        }
        // The top of the parabola through the three values.
        let [slope, bend] = [0.5 * (gained[0] - gained[1]), -0.5 * (gained[0] + gained[1])];
        slope.abs() <= noise || slope * slope <= 4.0 * bend * fit.worth_a_step.max(noise)
    }

    /// The largest |gⱼ|/‖Jⱼ‖ with estimates of ‖Jⱼ‖, for [`PROBES`] products; `None` if these are not
    /// allowed or not finite.
    fn probe(&self, fit: &mut FitState<T>, track: &mut Track<T>, limits: &Limits<'_>) -> Option<f64> {
        if !self.allows(limits, PROBES) {
            return None;
        }
        fit.norms.fill(0.0);
        for _ in 0..PROBES {
            space::of_residuals(|| space::normals(&mut fit.random, 1.0, &mut fit.image));
            self.jacobian.apply_transpose(&fit.image, &mut track.new_gradient);
            if !kernels::all_finite(&track.new_gradient) {
                return None;
            }
            for (norm, &v) in fit.norms.iter_mut().zip(&track.new_gradient) {
                *norm = norm.max(v.into().abs());
            }
        }
        let mut largest = 0.0_f64;
        for ((&g, &norm), &s) in track.gradient.iter().zip(&fit.norms).zip(&fit.scaling) {
            if s > T::zero() && g != T::zero() {
                largest = largest.max(g.into().abs() / norm);
            }
        }
        Some(space::largest(largest))
    }

    /// Whether r does not have terms of the size that J says, where x is stationary only because of them; for two residuals.
    pub(super) fn terms_contradicted(&self, fit: &mut FitState<T>, track: &mut Track<T>, limits: &Limits<'_>) -> bool {
        let problem = self.residuals;
        let j = fit.largest_term;
        let h = T::from_f64(T::epsilon_f64().sqrt()) * self.x[j];
        let claimed = fit.norms[j] * Into::<f64>::into(self.x[j]).abs();
        let formed = fit.source.factors().is_some_and(|factors| factors.rank(self.residual(), &fit.scaling).is_some());
        if fit.orthogonal || !formed || claimed <= fit.initial_size {
            return false;
        }
        let room = problem.model.counts().values.saturating_add(2) <= limits.stopping().max_values;
        if !room || limits.stop(0, &problem.model).is_some() {
            return false;
        }
        let mut width = 0.0;
        for (h, residual) in [(h, &mut fit.other_residual), (-h, &mut fit.image)] {
            track.other_x.copy_from_slice(self.x);
            track.other_x[j] += h;
            if let Some(bounds) = problem.fit.bounds {
                bounds.project(&mut track.other_x);
            }
            width += Into::<f64>::into(track.other_x[j] - self.x[j]).abs();
            problem.model.evaluate(&track.other_x, residual);
        }
        kernels::axpy(-1.0, &fit.image, &mut fit.other_residual);
        self.weights.weight(&mut fit.other_residual);
        kernels::norm(&fit.other_residual) < 0.5 * fit.norms[j] * width
    }

    /// Whether Jᵀr is not zero although the gradient is, for three products: Jᵀr itself and, with a normal s and a normal
    /// v, Jᵀs for its size and rᵀJv. A product with J or Jᵀ that wrongly says zero would pass for a minimum otherwise.
    pub(super) fn contradicted(&self, fit: &mut FitState<T>, track: &mut Track<T>, limits: &Limits<'_>) -> bool {
        let size = space::of_residuals(|| kernels::norm(self.residual()));
        if size == 0.0 || !self.allows(limits, CONFIRMATION) || kernels::max_abs(&track.gradient) != 0.0 {
            return false;
        }
        let tolerance = T::epsilon_f64().powf(0.375);
        let random = &mut fit.random;
        self.jacobian.apply_transpose(self.residual(), &mut track.new_gradient);
        let found = kernels::norm(&track.new_gradient);
        space::of_residuals(|| space::normals(random, 1.0, &mut fit.image));
        self.jacobian.apply_transpose(&fit.image, &mut track.new_gradient);
        let largest = kernels::norm(&track.new_gradient) / space::of_residuals(|| kernels::norm(&fit.image)) * size;
        space::normals(random, 1.0, &mut track.new_gradient);
        // A gradient below this is zero to the vectors' numbers.
        let least = T::min_positive_value().into() * kernels::norm(&track.new_gradient);
        self.jacobian.apply(&track.new_gradient, &mut fit.image);
        let (along, image) =
            space::of_residuals(|| (kernels::dot(self.residual(), &fit.image).abs(), kernels::norm(&fit.image)));
        found > tolerance * largest || along > least.max(tolerance * size * image)
    }
}
