//! The end of a run of line searches: the test of convergence in the method's own metric, and a closer look with products.
//!
//! H stands for M⁻¹: p = ½gᵀHg is what the pairs promise, and −Hg where they lead; the tests are those of
//! [`Measures`]. A run that starts at a minimum has no pairs, one that stalls has only rounding to go by, and a gradient
//! of zero has no direction. There an accurate Newton step, from products at x, says whether x is a minimum, and if not
//! where the way down is. That happens at most once near the start, and at the end.

use super::oracle::Exact;
use super::search::Searcher;
use super::walk::{End, Limits, Moment, Place, Since};
use crate::base::{Scalar, kernels};
use crate::control::{Ending, Measures, Promise};
use crate::operator::{Objective, SymmetricOperator};
use crate::solver::second_look::{Stationary, promise, way_down};
use crate::step::{Accuracy, InnerSolver, Resources, StepFamily, Subproblem};

/// Vectors that a closer look stores at most, and the products that it makes.
const COLUMNS: usize = 20;
const PRODUCTS: usize = 100;

impl<T: Scalar> Searcher<T> {
    /// Whether, and how, the run is over at this place.
    pub(super) fn end_at<O: Objective<T>>(
        &mut self,
        place: &mut Place<T>,
        oracle: &Exact<'_, O>,
        limits: &Limits<'_>,
        since: &Since,
        moment: Moment,
    ) -> Option<End> {
        let measures = since.measures(place, limits, Ending::Arrival);
        let (ending, small) = match moment {
            Moment::Small if place.gradient_norm == 0.0 => (Ending::Stuck, true),
            Moment::Small => {
                let size = self.promised(place);
                let enough = place.gradient_norm <= limits.run.stopping().gradient_absolute;
                return (enough || measures.settle_limited(size.0, size.1)).then_some(End::Converged);
            }
            Moment::Early => {
                let short = T::epsilon_f64().powf(0.375) * since.farthest;
                let near = measures.seems_flat() || since.step <= short;
                if self.looked || !near {
                    return None;
                }
                self.looked = true;
                (Ending::Restart, false)
            }
            Moment::Stalled => (Ending::Stuck, false),
        };
        // A run from here would end with x right to that, where f vanishes.
        let tolerance = if ending == Ending::Restart { measures.limited_tolerance() } else { measures.tolerance };
        let measures = Measures { ending, tolerance, ..measures };
        match look(place, oracle, limits, since, &measures) {
            Some(End::Lower) => {
                self.memory.clear();
                self.length = f64::NAN;
                Some(End::Lower)
            }
            end => end.or(small.then_some(End::Converged)),
        }
    }

    /// p and ‖Hg‖.
    fn promised(&mut self, place: &Place<T>) -> (f64, f64) {
        self.memory.direction(place.preconditioned.or(&place.gradient), &mut self.direction);
        // Without pairs H is the last length.
        let scale = if self.memory.is_empty() && self.length > 0.0 { self.length } else { 1.0 };
        let slope = kernels::dot(&place.gradient, &self.direction);
        (-0.5 * scale * slope, scale * kernels::norm(&self.direction))
    }
}

/// What a closer look shows, if anything.
fn look<T: Scalar, O: Objective<T>>(
    place: &mut Place<T>,
    oracle: &Exact<'_, O>,
    limits: &Limits<'_>,
    since: &Since,
    measures: &Measures,
) -> Option<End> {
    let objective = oracle.objective();
    let Place { x, next, value, gradient, gradient_norm, .. } = place;
    let expansion = objective.expand(x);
    let before = objective.counts().products;
    let more = || {
        let counts = objective.counts() + limits.reserve;
        limits.run.allow_products(counts, 1) && counts.products - before < PRODUCTS
    };
    let mut family = StepFamily::new(x.len(), COLUMNS);
    let dense = family.prefers_dense(InnerSolver::Automatic, &expansion)
        && limits.run.allow_products(objective.counts(), expansion.forming_cost());
    let known = *gradient_norm > 0.0
        && more()
        && if dense { family.form(&expansion, gradient) } else { family.start(&expansion, gradient, |_| false, &more) };
    let minimum = known && {
        let accuracy = Accuracy { residual: T::epsilon_f64().sqrt(), energy: 0.0, enough: 0.0, truncated: false };
        let resources = Resources { remembered: None, more: &more };
        let solved = family.refine(&expansion, gradient, Subproblem::Damped(0.0), accuracy, resources);
        let promised = solved.ok().and_then(|(s, inner)| promise(&mut family, &expansion, x, &s, inner));
        promised.is_some_and(|promised| measures.settle(Promise { accurate: true, ..promised }))
    };
    let point = Stationary { x, value: *value, gradient_norm: *gradient_norm, farthest: since.farthest, whole: false };
    match way_down(objective, &expansion, &point, &limits.run, &mut family, next) {
        Some(_) => Some(End::Lower),
        None => minimum.then_some(End::Converged),
    }
}

impl Since {
    /// What a promise at this place is measured by.
    fn measures<T: Scalar>(&self, place: &Place<T>, limits: &Limits<'_>, ending: Ending) -> Measures {
        let (g, x) = (&place.gradient, &place.x);
        let stopping = limits.run.stopping();
        Measures {
            epsilon: T::epsilon_f64(),
            tolerance: stopping.relative_tolerance::<T>(),
            gradient_norm: place.gradient_norm,
            first_gradient_norm: self.gradient_norm,
            gradient_small: place.gradient_norm <= stopping.gradient_tolerance::<T>(self.gradient_norm),
            value: place.value,
            gained: self.value - place.value,
            position: kernels::norm(x),
            farthest: self.farthest,
            slopes: kernels::sum_terms(x.len(), |j| (g[j].into() * x[j].into()).abs()),
            resolution: self.resolution,
            ending,
        }
    }
}
