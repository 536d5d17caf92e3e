//! The end of a run of line searches: the test of convergence in the method's own metric, and a closer look with products.
//!
//! H stands for M⁻¹: p = ½gᵀHg is what the pairs promise, and −Hg where they lead; the tests are those of
//! [`Measures`]. A run that starts at a minimum has no pairs, one that stalls has only rounding to go by, and a gradient
//! of zero has no direction. There an accurate Newton step, from products at x, says whether x is a minimum, and if not
//! where the way down is. That happens at most once near the start, and at the end. Pairs know nothing of what no step has met,
//! nor of what is lost beside other units: where components of a gradient of few unknowns have not fallen, the
//! whole matrix has to confirm what they say.

use super::mover::{End, Limits, Moment, Moved, Place, Since};
use super::oracle::{Exact, gradient_at};
use super::search::Searcher;
use crate::base::{Scalar, kernels};
use crate::control::{Ending, Measures, Promise, Termination, not_worth_a_step};
use crate::operator::{Caller, Counts, Objective, SymmetricOperator};
use crate::solver::in_units::UnitsOfSteps;
use crate::solver::second_look::{
    Outlook, promise, promise_of_whole, way_down, way_down_beside_gradient, way_down_in_own_units,
};
use crate::solver::stationary::{Stationary, Steepest};
use crate::step::{Accuracy, InnerSolver, Resources, StepFamily, Subproblem};

/// Vectors that a closer look stores at most, and the products that it makes.
const COLUMNS: usize = 20;
const PRODUCTS: usize = 100;

/// What a closer look shows.
enum Seen {
    /// x is a minimum.
    Minimum,
    /// f is this at `next`, and lower.
    Lower(f64),
    /// Neither.
    Nothing,
}

impl<T: Scalar> Searcher<T> {
    /// Whether, and how, the run is over at this place.
    pub(super) fn end_at(
        &mut self,
        place: &mut Place<T>,
        oracle: &mut Exact<'_, T>,
        limits: &Limits<'_, '_>,
        since: Since,
        moment: Moment,
    ) -> Option<End> {
        let (measures, doubtful) =
            (self.measures(place, limits, since), self.steepest.doubts(&place.gradient, Counts::default()));
        let seen = match moment {
            Moment::Small if place.gradient_norm > 0.0 => {
                if place.gradient_norm <= limits.run.stopping().gradient_absolute {
                    return Some(End::Converged);
                }
                let (decrease, step) = self.promised(place);
                if !measures.settle_limited(decrease, step) {
                    return None;
                }
                look_again(place, oracle, limits, &measures, doubtful, (self.memory.curvature(), &self.steepest))
            }
            Moment::Early => {
                let short = T::epsilon_f64().powf(0.375) * measures.farthest;
                if self.looked || !measures.seems_flat() && since.step > short {
                    return None;
                }
                // A run from here would end with x right to that, where f vanishes.
                let tolerance = measures.limited_tolerance();
                look(place, oracle, limits, &Measures { ending: Ending::Restart, tolerance, ..measures }, doubtful)
            }
            Moment::Small | Moment::Stalled => {
                let resolution = measures.resolution.max(self.noise);
                let measures = Measures { ending: Ending::Stuck, resolution, ..measures };
                look(place, oracle, limits, &measures, self.steepest.is_kept())
            }
        };
        // A look that was cut short tells nothing.
        let reached = limits.reached(oracle);
        let interrupted = matches!(reached, Some(Termination::CallbackFailed | Termination::Cancelled));
        match seen {
            Seen::Minimum if !interrupted => Some(End::Converged),
            Seen::Lower(value) if reached.is_none() => Some(End::Lower(self.jump(place, oracle, value))),
            Seen::Nothing if moment == Moment::Small && !interrupted => Some(End::Converged),
            _ => {
                self.looked |= moment == Moment::Early && reached.is_none();
                None
            }
        }
    }

    /// A step to `next`, where f has this value, that no line search made.
    fn jump(&mut self, place: &Place<T>, oracle: &Exact<'_, T>, value: f64) -> Moved {
        self.looked = true;
        self.forget_rounding();
        self.memory.clear();
        self.length = f64::NAN;
        self.trial_value = value;
        gradient_at(oracle, &place.next, &mut self.trial_gradient, &mut self.trial_preconditioned);
        kernels::add_scaled(&place.next, -1.0, &place.x, &mut self.direction);
        let step_norm = kernels::norm(&self.direction);
        Moved { step_norm, control: f64::NAN, ratio: f64::NAN, rejected: 0 }
    }

    /// What a promise at this place is measured by, for a run on its way.
    fn measures(&self, place: &Place<T>, limits: &Limits<'_, '_>, since: Since) -> Measures {
        let (g, x) = (&place.gradient, &place.x);
        let (stopping, position) = (limits.run.stopping(), kernels::norm(x));
        Measures {
            epsilon: T::epsilon_f64(),
            tolerance: stopping.relative_tolerance::<T>(),
            gradient_norm: place.gradient_norm,
            first_gradient_norm: since.gradient_norm,
            gradient_small: place.gradient_norm <= stopping.gradient_tolerance::<T>(since.gradient_norm),
            value: place.value,
            gained: since.value - place.value,
            position,
            farthest: self.farthest.max(position),
            slopes: kernels::sum_terms(x.len(), |j| (g[j].into() * x[j].into()).abs()),
            resolution: self.resolution,
            ending: Ending::Arrival,
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

/// A look at a point that has converged in the method's own metric, where few products tell all, or between equals.
fn look_again<T: Scalar>(
    place: &mut Place<T>,
    objective: &Exact<'_, T>,
    limits: &Limits<'_, '_>,
    measures: &Measures,
    doubtful: bool,
    met: (f64, &Steepest),
) -> Seen {
    let Place { x, next, gradient, .. } = place;
    let (expansion, point) = (objective.expand(x), stationary(x, gradient, measures));
    if doubtful {
        match way_down_in_own_units(objective, &expansion, &point, limits.run, next) {
            Outlook::Lower(value, _) => return Seen::Lower(value),
            Outlook::Promise(_) => return Seen::Nothing,
            Outlook::Nothing => {}
        }
    }
    let found = way_down_beside_gradient(objective, &expansion, &point, limits.run, met, next);
    found.map_or(Seen::Nothing, Seen::Lower)
}

/// A closer look.
fn look<T: Scalar>(
    place: &mut Place<T>,
    objective: &Exact<'_, T>,
    limits: &Limits<'_, '_>,
    measures: &Measures,
    doubtful: bool,
) -> Seen {
    let Place { x, next, gradient, gradient_norm, .. } = place;
    let expansion = objective.expand(x);
    let (before, gradients) = (objective.counts().products, expansion.evaluations_ahead());
    let counts = || objective.counts() + limits.reserve;
    let more = || {
        limits.run.note(Caller::take_error(objective));
        limits.run.allow_products(counts(), 1, gradients) && counts().products - before < PRODUCTS
    };
    let mut family = StepFamily::new(x.len(), COLUMNS);
    family.allow(PRODUCTS.min(limits.run.products_left(counts(), gradients).0));
    let dense = family.prefers_dense(InnerSolver::Automatic, &expansion)
        && limits.run.allow_products(counts(), expansion.forming_cost(), gradients);
    let known = *gradient_norm > 0.0
        && more()
        && if dense { family.form(&expansion, gradient) } else { family.start(&expansion, gradient, |_| false, &more) };
    let minimum = known && {
        let accuracy = Accuracy { residual: T::epsilon_f64().sqrt(), energy: 0.0, enough: 0.0, truncated: false };
        let resources = Resources { remembered: None, more: &more };
        let solved = family.refine(&expansion, gradient, Subproblem::Damped(0.0), accuracy, resources);
        let promised = solved.ok().and_then(|(s, inner)| promise(&mut family, &expansion, (x, gradient), &s, inner));
        let settles = |promised: Promise| measures.settle(Promise { accurate: true, ..promised });
        let but_for_that = promised.is_some_and(|promised| settles(Promise { complete: true, ..promised }));
        let (at, family) = ((&**x, measures.value, &**gradient), (&mut family, but_for_that));
        let (units, minimum) = (UnitsOfSteps::default(), promised.is_some_and(settles));
        if !minimum && promise_of_whole(objective, (&expansion, &units), at, limits.run, family).is_some_and(settles) {
            return Seen::Minimum;
        }
        minimum
    };
    let point = Stationary { doubtful, ..stationary(x, gradient, measures) };
    match way_down(objective, &expansion, point, limits.run, &mut family, next) {
        Outlook::Lower(value, _) => Seen::Lower(value),
        Outlook::Promise(promise) if measures.settle(promise) => Seen::Minimum,
        _ if minimum => Seen::Minimum,
        _ => Seen::Nothing,
    }
}

/// The place as a point that may be stationary.
fn stationary<'a, T: Scalar>(x: &'a [T], gradient: &'a [T], measures: &Measures) -> Stationary<'a, T> {
    let &Measures { epsilon, tolerance, gradient_norm, value, gained, farthest, .. } = measures;
    let least = not_worth_a_step(epsilon, tolerance, value, gained);
    Stationary { x, value, gradient, gradient_norm, farthest, least, doubtful: true, whole: false, remembered: None }
}
