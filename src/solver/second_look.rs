//! A closer look at a point with products there: what its model promises, and whether it is a saddle with a way down.
//!
//! Unless negative curvature is at hand, a short Lanczos run from a random vector (fixed seed) in the gradient's [blind
//! spot](super::blind_spot), orthogonal to what is known, looks for it; if the lowest Ritz vector has some, f is probed
//! along it in both senses, over a range of lengths since such a gradient gives no scale.
//! So it is where there is next to no curvature between equal unknowns.

use super::blind_spot::{BlindSpot, PRODUCTS, between_equals, blind_spot, on_an_axis};
use super::in_units::{InUnits, UnitsOfSteps};
use super::own_units::{GAUGE, OwnUnits};
use super::stationary::{FEW, Stationary, Steepest};
use crate::base::{Scalar, kernels, space};
use crate::control::{Limits, Promise, rounding, rounding_of_point};
use crate::operator::{AnyObjective, Counted, Expansion, Objective, SymmetricOperator};
use crate::step::{InnerStop, Solution, StepFamily};

/// The shortest length that is tried, as a share of ‖x‖ and of f's own length.
const SHORTEST: f64 = 1e-6;
/// The curvatures that a space knows, lowest and largest, and what may be rounding among them.
struct Curvatures {
    lowest: f64,
    largest: f64,
    noise: f64,
}

impl Curvatures {
    fn of<T: Scalar>(family: &mut StepFamily<T>, operator: &impl SymmetricOperator<T>) -> Self {
        let theta = family.ritz_values();
        let (lowest, largest) = (theta.first().copied().unwrap_or(0.0), theta.last().copied().unwrap_or(0.0));
        let relative = 8.0 * theta.len() as f64 * operator.accuracy().unwrap_or(0.0).max(T::epsilon_f64());
        Curvatures { lowest, largest, noise: relative * largest.max(-lowest) }
    }
}

/// What the model promises at x with this solution, if it is convex as far as products made there tell.
pub(super) fn promise<T: Scalar>(
    family: &mut StepFamily<T>,
    operator: &impl SymmetricOperator<T>,
    (x, gradient): (&[T], &[T]),
    solution: &Solution,
    inner: InnerStop,
) -> Option<Promise> {
    let mut promise = Promise {
        decrease: -0.5 * solution.slope,
        step: solution.norm,
        accurate: false,
        complete: false,
        position: 0.0,
    };
    if inner == InnerStop::Remembered {
        return Some(promise);
    }
    let Curvatures { lowest, noise, .. } = Curvatures::of(family, operator);
    let whole = family.is_whole() || inner == InnerStop::Exhausted && reaches_all(family, x, gradient);
    promise.complete = whole && lowest > noise;
    let small = x.len() <= FEW && !space::in_parts();
    promise.position = if promise.complete || small { family.metric_size(x) } else { 0.0 };
    (lowest >= -noise && inner != InnerStop::Limit).then_some(promise)
}

/// Whether next to nothing of the slopes along all of x is left of the gradient g by the last solution δ:
/// Σ|(g + Mδ)ⱼxⱼ| ≤ √ε Σ|gⱼxⱼ|. In other units a direction that is lost in the rounding of ‖g‖ may be worth all of f.
fn reaches_all<T: Scalar>(family: &StepFamily<T>, x: &[T], gradient: &[T]) -> bool {
    let mut left = vec![T::zero(); x.len()];
    family.product(&mut left);
    let slopes = |v: &[T]| kernels::sum_terms(x.len(), |j| (v[j].into() * x[j].into()).abs());
    kernels::axpy(1.0, gradient, &mut left);
    slopes(&left) <= T::epsilon_f64().sqrt() * slopes(gradient)
}

/// What a look around shows.
pub(super) enum Outlook<T> {
    /// f is this at `lower`, and x a saddle, a maximum or no stationary point; with the units in which that shows, if they are
    /// others.
    Lower(f64, Option<UnitsOfSteps<T>>),
    /// Nothing lower, and what the whole matrix promises in units of its own, as a share of ‖x‖.
    Promise(Promise),
    /// Nothing lower.
    Nothing,
}

/// Looks for a lower point where `family` knows a way down at x, and in the [blind spot](blind_spot) of the gradient.
pub(super) fn way_down<T: Scalar>(
    objective: &Counted<AnyObjective<'_, T>>,
    expansion: &impl Expansion<T>,
    mut point: Stationary<'_, T>,
    limits: &Limits<'_>,
    family: &mut StepFamily<T>,
    lower: &mut [T],
) -> Outlook<T> {
    let Curvatures { lowest, largest, noise } = Curvatures::of(family, expansion);
    let bends_down = negative::<T>(lowest, largest);
    let mut found =
        bends_down.then(|| lowest_way(objective, expansion, &point, limits, (family, false), lower)).flatten();
    // In other units what seems to bend down may be an error of the largest curvatures.
    let known = point.whole || !bends_down && family.is_whole() && lowest > noise;
    if found.is_none() && point.doubtful && !known {
        let seen = way_down_in_own_units(objective, expansion, &point, limits, lower);
        // Rows that are rounding have units of no meaning, along which nothing is found.
        if !matches!(seen, Outlook::Nothing) {
            return seen;
        }
    }
    if !bends_down {
        if !point.whole && lowest <= noise {
            found = lowest_way(objective, expansion, &point, limits, (family, false), lower);
        }
        if found.is_none()
            && let Some(spot) = blind_spot(&mut point, family, largest.max(-lowest))
        {
            explore(objective, expansion, limits, family, &spot);
            found = lowest_way(objective, expansion, &point, limits, (family, spot.equals), lower);
        }
    }
    found.map_or(Outlook::Nothing, |value| Outlook::Lower(value, None))
}

/// A lower point between unknowns that x and g hold equal, where M's largest curvatures are about so large, or along those that
/// never had a gradient.
pub(super) fn way_down_beside_gradient<T: Scalar>(
    objective: &Counted<AnyObjective<'_, T>>,
    expansion: &impl Expansion<T>,
    point: &Stationary<'_, T>,
    limits: &Limits<'_>,
    (curvature, steepest): (f64, &Steepest),
    lower: &mut [T],
) -> Option<f64> {
    let spot = between_equals(point, curvature).or_else(|| on_an_axis(point, steepest))?;
    let mut family = StepFamily::new(expansion.dim(), PRODUCTS);
    explore(objective, expansion, limits, &mut family, &spot);
    lowest_way(objective, expansion, point, limits, (&mut family, spot.equals), lower)
}

/// Probes f along the lowest direction of the space, if its curvature is negative, or between `equals` next to none.
fn lowest_way<T: Scalar>(
    objective: &Counted<AnyObjective<'_, T>>,
    expansion: &impl Expansion<T>,
    point: &Stationary<'_, T>,
    limits: &Limits<'_>,
    (family, equals): (&mut StepFamily<T>, bool),
    lower: &mut [T],
) -> Option<f64> {
    let Curvatures { lowest, largest, .. } = Curvatures::of(family, expansion);
    let mut direction = vec![T::zero(); expansion.dim()];
    let curvature = family.lowest_direction(&mut direction)?;
    let curvature = match negative::<T>(lowest, largest) {
        true => curvature,
        false if equals && lowest <= T::epsilon_f64().sqrt() * largest => 0.0,
        false => return None,
    };
    let lengths = lengths(kernels::norm(point.x).max(point.farthest), point.value, curvature);
    probe(objective, point.here(), limits, (&direction, &[1.0, -1.0]), lengths, lower)
}

/// The same from the whole matrix, for d products, whatever the units are.
pub(super) fn way_down_in_own_units<T: Scalar>(
    objective: &Counted<AnyObjective<'_, T>>,
    expansion: &impl Expansion<T>,
    point: &Stationary<'_, T>,
    limits: &Limits<'_>,
    lower: &mut [T],
) -> Outlook<T> {
    let at = (point.x, point.gradient);
    let Some(own) = own_units(objective, expansion, at, limits) else { return Outlook::Nothing };
    let (decrease, step) = own.newton();
    if decrease > point.least
        && let Some(value) = probe(objective, point.here(), limits, (&step, &[1.0]), [1.0, SHORTEST], lower)
    {
        return Outlook::Lower(value, own.units(point.x));
    }
    let (lowest, direction) = own.lowest();
    if lowest < -own.noise {
        let farther = point.farthest / kernels::norm(point.x);
        let size = own.size(point.x) * if farther.is_finite() { farther.max(1.0) } else { 1.0 };
        let lengths = lengths(size, point.value, lowest);
        let found = probe(objective, point.here(), limits, (&direction, &[1.0, -1.0]), lengths, lower);
        return found.map_or(Outlook::Nothing, |value| Outlook::Lower(value, own.units(point.x)));
    }
    let free = own.free_direction(point.x);
    match free.and_then(|free| probe(objective, point.here(), limits, (&free, &[1.0, -1.0]), [1.0, SHORTEST], lower)) {
        Some(value) => Outlook::Lower(value, None),
        None => Outlook::Promise(own.promise(point.x)),
    }
}

/// What the whole matrix promises in units of its own, where what is known of it is singular to rounding, or it is `wanted` and
/// may be convex; of few unknowns, or where most of the products were made. What f may not know is looked along.
pub(super) fn promise_of_whole<T: Scalar>(
    objective: &Counted<AnyObjective<'_, T>>,
    (expansion, units): (&impl Expansion<T>, &UnitsOfSteps<T>),
    (x, value, gradient): (&[T], f64, &[T]),
    limits: &Limits<'_>,
    (family, wanted): (&mut StepFamily<T>, bool),
) -> Option<Promise> {
    let (original, x, gradient) = (x, units.of_step(x), units.of_gradient(gradient));
    let (at, expansion) = ((&*x, &*gradient), InUnits::new(expansion, units));
    let Curvatures { lowest, noise, .. } = Curvatures::of(family, &expansion);
    // As in `own_units`.
    let nothing = noise.max(GAUGE * kernels::norm(&gradient) / kernels::norm(&x));
    let may_be = -nothing..=if wanted { f64::INFINITY } else { nothing };
    if !may_be.contains(&lowest) || space::in_parts() {
        return None;
    }
    let own = match family.matrix() {
        Some((matrix, unit)) => OwnUnits::known(matrix.iter().map(|m| unit * m).collect(), expansion.accuracy(), at),
        None => {
            let worth = x.len() <= FEW.max(2 * family.products_made());
            worth.then(|| own_units(objective, &expansion, at, limits)).flatten()
        }
    }?;
    // Along a slope with next to no curvature nothing is known.
    if !own.all_above(own.noise.max(T::epsilon_f64().sqrt())) {
        return None;
    }
    let promise = own.promise(&x);
    if let Some(mut free) = own.free_direction(&x) {
        units.apply(&mut free);
        // What the minimum of the others may leave is not told from it.
        let rounding = rounding_of_point(T::epsilon_f64(), promise.position);
        let least = promise.decrease.max(rounding).max(T::epsilon_f64().powf(0.75) * value.abs());
        let (at, mut lower) = ((original, value, least), vec![T::zero(); x.len()]);
        let found = probe(objective, at, limits, (&free, &[1.0, -1.0]), [1.0, SHORTEST], &mut lower);
        if found.is_some() || limits.stop(0, objective).is_some() {
            return None;
        }
    }
    Some(promise)
}

/// The whole matrix at x, where f and its gradient are these, if limits allow it and it is finite.
fn own_units<T: Scalar>(
    objective: &Counted<AnyObjective<'_, T>>,
    expansion: &impl Expansion<T>,
    at: (&[T], &[T]),
    limits: &Limits<'_>,
) -> Option<OwnUnits> {
    let allowed = limits.allow(objective, expansion.forming_cost(), expansion.evaluations_ahead());
    allowed.then(|| OwnUnits::of(expansion, at)).flatten()
}

/// Whether the lowest curvature is negative beyond doubt.
fn negative<T: Scalar>(lowest: f64, largest: f64) -> bool {
    lowest < -T::epsilon_f64().sqrt() * largest.max(-lowest)
}

/// Enlarges the space from this spot, until there is negative curvature in it.
fn explore<T: Scalar>(
    objective: &Counted<AnyObjective<'_, T>>,
    expansion: &impl Expansion<T>,
    limits: &Limits<'_>,
    family: &mut StepFamily<T>,
    &BlindSpot { ref direction, products, .. }: &BlindSpot<T>,
) {
    let before = objective.counts().products;
    let gradients = expansion.evaluations_ahead();
    let more = || limits.allow(objective, 1, gradients) && objective.counts().products - before < products;
    family.explore(expansion, direction, |lowest, largest| !negative::<T>(lowest, largest) && more());
}

/// The lengths between which a way down is looked for along a direction of this curvature: x's, and the one at which that
/// curvature alone would take all of f away, which is one of f's own.
fn lengths(position: f64, value: f64, curvature: f64) -> [f64; 2] {
    let known = [position, (2.0 * value / curvature).abs().sqrt()];
    let known = || known.into_iter().filter(|&length| length > 0.0 && length.is_finite());
    [known().reduce(f64::max).unwrap_or(1.0), SHORTEST * known().reduce(f64::min).unwrap_or(1.0)]
}

/// Looks for a point below x along a direction, in these senses and from the longest of these lengths to the shortest.
fn probe<T: Scalar>(
    objective: &Counted<AnyObjective<'_, T>>,
    (x, value, least): (&[T], f64, f64),
    limits: &Limits<'_>,
    (direction, signs): (&[T], &[f64]),
    [mut length, shortest]: [f64; 2],
    lower: &mut [T],
) -> Option<f64> {
    while length > shortest {
        for sign in signs {
            if limits.stop(0, objective).is_some() {
                return None;
            }
            kernels::add_scaled(x, sign * length, direction, lower);
            let there = if kernels::all_finite(lower) { objective.value(lower) } else { f64::NAN };
            if there < value - least.max(rounding(T::epsilon_f64(), value, there)) {
                return Some(there);
            }
        }
        length *= 0.25;
    }
    None
}
