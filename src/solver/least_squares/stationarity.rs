//! Whether a run of least squares is over.
//!
//! x is stationary when |Jⱼᵀr| ≤ ‖Jⱼ‖ τ‖r‖ for every column, MINPACK's `gtol`. On the exact path J is at hand
//! then, and steps go on while they promise more than [`POLISHED`] of the value and help. Where the norms of the columns are
//! not known the test is ‖Jᵀr‖ ≤ ‖J‖ τ‖r‖ until it holds; then ‖Jⱼ‖ is taken to be the largest |Jⱼᵀs| for [`PROBES`] normal
//! vectors s. Each is normal with the variance ‖Jⱼ‖², so that one in 10⁵ estimates is ten times too low, which costs steps,
//! and none is ten times too high.
//!
//! Residuals that vanish become rounding before they become orthogonal. x is stationary as well when
//! |Jⱼᵀr| ≤ ‖Jⱼ‖ 8εt *and* steps have stopped to help. Terms of the size t are what r is made of, seen from x, which is
//! given to ε: t = ‖(‖Jⱼ‖xⱼ)ⱼ‖. Where the solution is at or near 0 that vanishes with r, and the unit of x is the largest
//! |xⱼ| met so far, X; then t = min(‖r₀‖, ‖(‖Jⱼ‖Xⱼ)ⱼ‖). Neither of the two alone would do: far from the solution r₀ and J
//! may be 10¹⁷ times what they are near it. J is always that at x.
//!
//! A gradient of exactly zero is believed only where further products do not contradict it.

use super::super::globalisation::Globalisation;
use super::{Here, Run, Scaling};
use crate::base::{Scalar, kernels, space};
use crate::control::Termination;
use crate::curvature::RobustLoss;
use crate::operator::{LinearMap, Model};
use crate::step::GaussNewtonSteps;

/// Steps in a row, within rounding of the value, that do not lower the gradient.
pub(super) const MOST_ROUNDING_STEPS: usize = 4;
/// Products with Jᵀ from which the norms of its columns are estimated.
const PROBES: usize = 4;
/// Multiples of εt that count as rounding of residuals.
pub(super) const ROUNDING: f64 = 8.0;
/// Products that a gradient of exactly zero is confirmed with.
const CONFIRMATION: usize = 3;
/// The share of the value below which a further decrease is of no interest: the square of a cosine of 1e-10.
pub(super) const POLISHED: f64 = 1e-20;

impl<T, M, L, S, G> Run<'_, T, M, L, S, G>
where
    T: Scalar,
    M: Model<T>,
    L: RobustLoss,
    S: GaussNewtonSteps<T>,
    G: Globalisation,
{
    /// The scaling, the components that bounds hold, the gradient's norm and cosine, from the new Jacobian.
    pub(super) fn rescale<J: LinearMap<T>>(&mut self, here: &Here<'_, T, J>) {
        let known = self.source.column_norms(here.jacobian, &mut self.norms);
        let size = space::of_residuals(|| kernels::norm(here.residual));
        let (mut largest, mut squares) = (0.0_f64, 0.0);
        let (mut terms, mut met) = (0.0, 0.0);
        for j in 0..self.gradient.len() {
            let x: f64 = here.x[j].into();
            self.met[j] = self.met[j].max(x.abs());
            let norm = if known { self.norms[j] } else { 1.0 };
            (terms, met) = (f64::hypot(terms, norm * x), f64::hypot(met, norm * self.met[j]));
            if known {
                self.columns[j] = self.columns[j].max(norm);
            }
            let scale = match self.settings.scaling {
                Scaling::Columns if self.columns[j] > 0.0 => 1.0 / self.columns[j],
                _ => 1.0,
            };
            let held = self.fit.bounds().is_some_and(|bounds| bounds.holds(j, here.x[j], self.gradient[j]));
            self.scaling[j] = if held { T::zero() } else { T::from_f64(scale) };
            if held {
                continue;
            }
            let g: f64 = self.gradient[j].into();
            squares = f64::hypot(squares, g);
            if known && g != 0.0 {
                largest = largest.max(g.abs() / norm);
            }
        }
        largest = space::largest(largest);
        (terms, met, squares) = (space::norm(terms), space::norm(met), space::norm(squares));
        self.gradient_norm = squares;
        let tolerance = self.settings.stopping.gradient_relative.max(ROUNDING * T::epsilon_f64());
        let mut verified = true;
        if !known {
            let bound = self.source.largest_singular_value();
            (terms, met) = (bound * terms, bound * met);
            if self.gradient_norm > 0.0 {
                largest = self.gradient_norm / bound.max(self.gradient_norm / size);
            }
            if largest > 0.0 && largest <= tolerance * size {
                let probed = self.probe(here);
                verified = probed.is_some();
                largest = probed.unwrap_or(largest);
            }
        }
        self.terms = terms.max(met.min(self.initial_size));
        self.cosine = if largest == 0.0 { 0.0 } else { largest / size };
        self.orthogonal = verified && largest <= tolerance * size;
        self.stationary = self.orthogonal || largest <= ROUNDING * T::epsilon_f64() * self.terms;
    }

    /// The largest |gⱼ|/‖Jⱼ‖ with estimates of ‖Jⱼ‖, for [`PROBES`] products; `None` if these are not
    /// allowed or not finite.
    fn probe<J: LinearMap<T>>(&mut self, here: &Here<'_, T, J>) -> Option<f64> {
        let products = self.model.counts().totals().products;
        if products.saturating_add(PROBES) > self.settings.stopping.max_products {
            return None;
        }
        self.norms.fill(0.0);
        for _ in 0..PROBES {
            space::of_residuals(|| space::normals(&mut self.random, 1.0, &mut self.image));
            here.jacobian.apply_transpose(&self.image, &mut self.new_gradient);
            if !kernels::all_finite(&self.new_gradient) {
                return None;
            }
            for (norm, &v) in self.norms.iter_mut().zip(&self.new_gradient) {
                *norm = norm.max(v.into().abs());
            }
        }
        let mut largest = 0.0_f64;
        for ((&g, &norm), &s) in self.gradient.iter().zip(&self.norms).zip(&self.scaling) {
            if s > T::zero() && g != T::zero() {
                largest = largest.max(g.into().abs() / norm);
            }
        }
        Some(space::largest(largest))
    }

    /// Whether Jᵀr is not zero although the gradient is, for three products: Jᵀr itself and, with a normal s and a normal
    /// v, Jᵀs for its size and rᵀJv. A product with J or Jᵀ that wrongly says zero would pass for a minimum otherwise.
    pub(super) fn contradicted<J: LinearMap<T>>(&mut self, here: &Here<'_, T, J>) -> bool {
        let size = space::of_residuals(|| kernels::norm(here.residual));
        let products = self.model.counts().totals().products;
        let allowed = products.saturating_add(CONFIRMATION) <= self.settings.stopping.max_products;
        if size == 0.0 || !allowed || kernels::max_abs(&self.gradient) != 0.0 {
            return false;
        }
        let tolerance = T::epsilon_f64().powf(0.375);
        let random = &mut self.random;
        here.jacobian.apply_transpose(here.residual, &mut self.new_gradient);
        let found = kernels::norm(&self.new_gradient);
        space::of_residuals(|| space::normals(random, 1.0, &mut self.image));
        here.jacobian.apply_transpose(&self.image, &mut self.new_gradient);
        let largest = kernels::norm(&self.new_gradient) / space::of_residuals(|| kernels::norm(&self.image)) * size;
        space::normals(random, 1.0, &mut self.new_gradient);
        // A gradient below this is zero to the vectors' numbers.
        let least = T::min_positive_value().into() * kernels::norm(&self.new_gradient);
        here.jacobian.apply(&self.new_gradient, &mut self.image);
        let (along, image) =
            space::of_residuals(|| (kernels::dot(here.residual, &self.image).abs(), kernels::norm(&self.image)));
        found > tolerance * largest || along > least.max(tolerance * size * image)
    }

    /// Whether the run is over at x.
    pub(super) fn finished(&self, x: &[T]) -> Option<Termination> {
        let stopping = self.settings.stopping;
        if self.gradient_norm <= stopping.gradient_absolute || self.orthogonal && !self.source.exact() {
            return Some(Termination::GradientTolerance);
        }
        if self.value <= stopping.target_value {
            return Some(Termination::TargetValue);
        }
        if let Some(last) = self.history.last() {
            let before = self.history.len().checked_sub(2).map_or(self.initial_value, |i| self.history[i].value);
            let small = stopping.small_step(before - last.value, last.value, last.step_norm, x);
            if small.is_some() {
                return small;
            }
        }
        if self.rounding_steps >= if self.stationary { 1 } else { MOST_ROUNDING_STEPS } {
            return Some(self.stalled(Termination::Stalled));
        }
        self.limit().map(|limit| if self.stationary { Termination::GradientTolerance } else { limit })
    }

    /// The reason to give when no step is to be found.
    pub(super) fn stalled(&self, otherwise: Termination) -> Termination {
        match self.not_finite {
            _ if self.stationary => Termination::GradientTolerance,
            Some(evaluation) => Termination::NotFinite(evaluation),
            None => otherwise,
        }
    }
}
