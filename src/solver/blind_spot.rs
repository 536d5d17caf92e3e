//! What a gradient cannot tell of, and a random direction in it.
//!
//! Where the gradient is no more than rounding no gradient method moves; nor does one ever leave a space that holds x − x₀
//! and the gradient and that M maps into itself, as on an axis of symmetry, a plane in which some coordinates of the
//! gradient are zero, or where unknowns that f treats alike were given the same start.

use super::stationary::{Stationary, Steepest};
use crate::base::random::SplitMix64;
use crate::base::{Scalar, kernels, space};
use crate::step::StepFamily;

/// Most products that are spent on a way down from where the gradient cannot tell of one …
pub(super) const PRODUCTS: usize = 10;
/// … and where it is rounding: there most points are minima, and two products tell a saddle of two unknowns.
const FEW_PRODUCTS: usize = 2;

/// A random direction of which the gradient cannot tell, and the products that it is worth.
pub(super) struct BlindSpot<T> {
    pub direction: Vec<T>,
    pub products: usize,
    /// Whether it lies between unknowns that are equal.
    pub equals: bool,
}

/// Of what the gradient does not tell: where it is no more than the rounding of x, all of it or in some coordinates, or leads
/// to no more than the space that is known.
pub(super) fn blind_spot<T: Scalar>(
    point: &mut Stationary<'_, T>,
    family: &StepFamily<T>,
    curvature: f64,
) -> Option<BlindSpot<T>> {
    if point.whole || family.is_whole() {
        return None;
    }
    // A preconditioner that is M's own exhausts the space as well, and says nothing of symmetry.
    let blind = point.gradient_norm == 0.0 || family.is_invariant() && !family.is_preconditioned();
    let noise = 4.0 * T::epsilon_f64() * curvature;
    let vanishes = point.gradient_norm <= noise * point.farthest.max(kernels::norm(point.x));
    let everywhere = blind || vanishes;
    let apart = if everywhere { None } else { between_equals(point, curvature) };
    let (equals, sets) = (apart.is_some(), apart.as_ref().map_or(0, |apart| apart.products));
    let apart = |i: usize| apart.as_ref().map_or(T::zero(), |apart| apart.direction[i]);
    // In a coordinate it is to be rounding, or not much more where curvature met on the way does not speak against it.
    let convex = !everywhere && point.remembered.as_mut().is_some_and(|remembered| remembered.is_definite());
    let faint = if convex { noise } else { T::epsilon_f64().powf(-0.25) * noise };
    let small = |i: usize| point.gradient[i].abs().into() <= faint * point.x[i].abs().into();
    let hidden = |i: usize| everywhere || apart(i) == T::zero() && small(i);
    let products = match everywhere {
        true if blind => PRODUCTS,
        true => FEW_PRODUCTS,
        false => PRODUCTS.min(sets + space::whole((0..point.x.len()).filter(|&i| hidden(i)).count())),
    };
    if products == 0 {
        return None;
    }
    let mut direction = vec![T::zero(); point.x.len()];
    space::normals(&mut SplitMix64::new(0), 1.0, &mut direction);
    (0..direction.len()).filter(|&i| !hidden(i)).for_each(|i| direction[i] = apart(i));
    Some(BlindSpot { direction, products, equals })
}

/// A random direction that parts unknowns which x and g hold equal, g beyond rounding, as no step does if f treats them
/// alike, and as many products as there are sets of them: M seldom has more curvatures between equals than these have kinds.
/// Not where ranks know only their own.
pub(super) fn between_equals<T: Scalar>(point: &Stationary<'_, T>, curvature: f64) -> Option<BlindSpot<T>> {
    let of = |v: &[T], i: usize| -> f64 { v[i].into() };
    let (x, g) = (|i| of(point.x, i), |i| of(point.gradient, i));
    let (near, noise) = (T::epsilon_f64().sqrt(), 16.0 * T::epsilon_f64() * curvature * kernels::norm(point.x));
    let equal = |&i: &usize, &j: &usize| (x(i) - x(j)).abs() <= near * x(i).abs() && (g(i) - g(j)).abs() <= noise;
    if space::in_parts() {
        return None;
    }
    let mut order: Vec<usize> = (0..point.x.len()).filter(|&i| x(i) != 0.0 && g(i).abs() > noise).collect();
    order.sort_by(|&i, &j| x(i).total_cmp(&x(j)).then(g(i).total_cmp(&g(j))));
    let mut direction = vec![T::zero(); point.x.len()];
    let mut random = SplitMix64::new(0);
    let sets = order.chunk_by(equal).filter(|set| set.len() > 1);
    let sets = sets.map(|set| {
        let parts: Vec<f64> = set.iter().map(|_| random.normal()).collect();
        let mean = parts.iter().sum::<f64>() / set.len() as f64;
        set.iter().zip(parts).for_each(|(&i, part)| direction[i] = T::from_f64((part - mean) * x(i)));
    });
    let products = PRODUCTS.min(sets.count());
    (products > 0).then_some(BlindSpot { direction, products, equals: true })
}

/// A random direction along unknowns that have never had a gradient, as on an axis of symmetry.
pub(super) fn on_an_axis<T: Scalar>(point: &Stationary<'_, T>, steepest: &Steepest) -> Option<BlindSpot<T>> {
    let hidden = steepest.flat(point.gradient);
    if hidden.is_empty() {
        return None;
    }
    let mut direction = vec![T::zero(); point.x.len()];
    let mut random = SplitMix64::new(0);
    hidden.iter().for_each(|&i| direction[i] = T::from_f64(random.normal()));
    Some(BlindSpot { direction, products: PRODUCTS.min(hidden.len()), equals: false })
}
