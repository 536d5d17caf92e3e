//! The product against the gradient: ∇f(x + hv) − ∇f(x) − hM(x)v.

use super::evaluation::{evaluate, same_bits};
use super::line::Line;
use super::operator;
use super::sweep::{self, DIRECTIONS, Sweep, TaylorTest};
use super::watch::watched;
use super::{Definiteness, Outcome, Property, check_point};
use crate::base::{Result, Scalar, check_callback, kernels, random::SplitMix64};
use crate::operator::{AnyObjective, Expansion, Objective, SymmetricOperator};

/// Compares the product at `x` with differences of the gradient over a sweep of steps, in three random directions.
///
/// The remainder falls as h² for the Hessian and as h for anything else. What else it is follows from the product
/// itself: [`Outcome::Approximation`] is symmetric and shows no negative curvature, as Gauss–Newton and Fisher products.
///
/// Costs about 120 gradients and 6 products for `f64` (80 gradients for `f32`; at most 290), and 23 products more to
/// name what is wrong.
///
/// ```
/// use newton_krylov::{check, objective};
///
/// // ½r², r = x² − 1: the Gauss–Newton product leaves out r r″ = 2(x² − 1).
/// let f = objective(
///     1,
///     |x: &[f64]| 0.5 * (x[0] * x[0] - 1.0).powi(2),
///     |x, g| g[0] = 2.0 * x[0] * (x[0] * x[0] - 1.0),
///     |x, v, hv| hv[0] = 4.0 * x[0] * x[0] * v[0],
/// );
/// let test = check::product(&f, &[3.0], 1)?;
/// assert_eq!(test.finding.outcome, check::Outcome::Approximation);
/// assert!((test.order.unwrap() - 1.0).abs() < 0.1);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// If `x` has the wrong length or is not finite; what a callback returned as an error.
pub fn product<T: Scalar>(objective: &impl Objective<T>, x: &[T], seed: u64) -> Result<TaylorTest> {
    check(AnyObjective::new(objective), x, seed)
}

/// The checks themselves.
fn check<T: Scalar>(objective: AnyObjective<'_, T>, x: &[T], seed: u64) -> Result<TaylorTest> {
    check_point(objective.dim(), x)?;
    let refuse = |outcome| Ok(sweep::unmeasured(Property::Product, outcome));
    let mut random = SplitMix64::new(seed);
    let expansion = objective.expand(x);
    if expansion.dim() != x.len() {
        return refuse(Outcome::DimensionDiffers { objective: x.len(), expansion: expansion.dim() });
    }
    let gradient = evaluate(x.len(), |out: &mut [T]| expansion.gradient(out));
    if !gradient.outcome.passed() {
        return refuse(gradient.outcome);
    }
    let v = sweep::direction(x, 0, &mut random);
    let outcome = evaluate(x.len(), |out: &mut [T]| expansion.apply(&v, out)).outcome;
    check_callback(objective.take_error())?;
    if !outcome.passed() {
        return refuse(outcome);
    }
    watched(&objective, |watched| compare(watched, x, &gradient.output, &mut random))
}

/// The test itself, for a gradient and products that are finite.
pub(super) fn compare<T: Scalar>(
    objective: &impl Objective<T>,
    x: &[T],
    gradient: &[T],
    random: &mut SplitMix64,
) -> TaylorTest {
    let dim = x.len();
    let expansion = objective.expand(x);
    let mut line = Line::new(|x: &[T], out: &mut [T]| objective.expand(x).gradient(out), x, gradient);
    let mut sweeps: Vec<Sweep> = Vec::new();
    let mut rays: Vec<(Vec<T>, Vec<T>)> = Vec::new();
    for number in 0..DIRECTIONS {
        let v = sweep::direction(x, number, random);
        let mut product = vec![T::zero(); dim];
        expansion.apply(&v, &mut product);
        if !kernels::all_finite(&product) {
            return sweep::unmeasured(Property::Product, Outcome::NotFinite { component: None });
        }
        if let Some(swept) = sweep::sweep(x, 0.0, |h| line.measure(h, &v, &product)) {
            sweeps.push(swept);
            rays.push((v, product));
        }
    }
    let Some(worst) = sweeps.iter().position(|s| !s.passed()) else {
        return sweep::conclude::<T>(Property::Product, dim, sweeps, |_| Outcome::Passed);
    };
    let (v, product) = &rays[worst];
    let component = line.worst_component(sweeps[worst].steadiest.remainder.step, v, product);

    // Does the product follow the point at all?
    let mut there = vec![T::zero(); dim];
    let y: Vec<T> = x.iter().zip(v).map(|(&x, &v)| x + v / T::from_f64(8.0)).collect();
    objective.expand(&y).apply(v, &mut there);
    let stale = same_bits(product, &there) && kernels::max_abs(product) > 0.0;

    let mut test = sweep::conclude::<T>(Property::Product, dim, sweeps, |_| {
        let found = operator::check(&expansion, random);
        let definite = matches!(found.curvature.definiteness, Definiteness::NonNegative);
        if found.passed() && definite { Outcome::Approximation } else { Outcome::WrongDerivative { component } }
    });
    if stale && (dim > 1 || matches!(test.finding.outcome, Outcome::Approximation | Outcome::WrongDerivative { .. })) {
        test.finding.outcome = Outcome::StalePoint;
    }
    test
}
