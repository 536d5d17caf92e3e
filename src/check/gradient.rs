//! The gradient against the value: f(x + hv) − f(x) − h∇f(x)ᵀv.

use super::evaluation::{evaluate, same_bits};
use super::sweep::{self, DIRECTIONS, Remainder, Sample, Sweep, TaylorTest};
use super::watch::watched;
use super::{Outcome, Property, check_point};
use crate::base::{Result, Scalar, check_callback, kernels, random::SplitMix64};
use crate::operator::{AnyObjective, Expansion, Objective, SymmetricOperator};

/// Compares the gradient at `x` with differences of the value over a sweep of steps, in three random directions.
///
/// Costs about 120 values and 10 gradients for `f64` (80 values for `f32`; at most 290), and 4 log₂ d values more to single out
/// a wrong component.
///
/// ```
/// use newton_krylov::{check, objective};
///
/// let f = objective(
///     2,
///     |x: &[f64]| x[0] * x[0] * x[1],
///     |x, g| {
///         g[0] = 2.0 * x[0] * x[1];
///         g[1] = x[0]; // should be squared
///     },
///     |_, _, _| unreachable!("this check needs no products"),
/// );
/// let test = check::gradient(&f, &[3.0, 2.0], 1)?;
/// assert_eq!(test.finding.outcome, check::Outcome::WrongDerivative { component: Some(1) });
/// assert!((test.order.unwrap() - 1.0).abs() < 0.1);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// If `x` has the wrong length or is not finite; what a callback returned as an error.
pub fn gradient<T: Scalar>(objective: &impl Objective<T>, x: &[T], seed: u64) -> Result<TaylorTest> {
    check(AnyObjective::new(objective), x, seed)
}

/// The checks themselves.
fn check<T: Scalar>(objective: AnyObjective<'_, T>, x: &[T], seed: u64) -> Result<TaylorTest> {
    check_point(objective.dim(), x)?;
    let refuse = |outcome| Ok(sweep::unmeasured(Property::Gradient, outcome));
    let expansion = objective.expand(x);
    if expansion.dim() != x.len() {
        return refuse(Outcome::DimensionDiffers { objective: x.len(), expansion: expansion.dim() });
    }
    let gradient = evaluate(x.len(), |out: &mut [T]| expansion.gradient(out));
    let value = objective.value(x);
    check_callback(objective.take_error())?;
    if !gradient.outcome.passed() {
        return refuse(gradient.outcome);
    }
    if !value.is_finite() {
        return refuse(Outcome::NotFinite { component: None });
    }
    watched(&objective, |watched| compare(watched, x, &gradient.output, &mut SplitMix64::new(seed)))
}

/// The test itself, for a gradient that is finite.
pub(super) fn compare<T: Scalar>(
    objective: &impl Objective<T>,
    x: &[T],
    gradient: &[T],
    random: &mut SplitMix64,
) -> TaylorTest {
    let mut line = Line::new(objective, x, gradient);
    let mut sweeps: Vec<(Sweep, Vec<T>)> = Vec::new();
    for number in 0..DIRECTIONS {
        let v = sweep::direction(x, number, random);
        let slope_rounding = line.slope_rounding(&v);
        if let Some(swept) = sweep::sweep(x, slope_rounding, |h| line.measure(h, &v)) {
            sweeps.push((swept, v));
        }
    }
    let (sweeps, directions): (Vec<Sweep>, Vec<Vec<T>>) = sweeps.into_iter().unzip();
    let worst_direction =
        sweeps.iter().zip(&directions).find(|(s, _)| !s.passed()).map(|(s, v)| (s.steadiest, v.clone()));
    sweep::conclude::<T>(Property::Gradient, x.len(), sweeps, |_| {
        let mut elsewhere = vec![T::zero(); x.len()];
        let y: Vec<T> = x.iter().zip(&directions[0]).map(|(&x, &v)| x + v / T::from_f64(8.0)).collect();
        objective.expand(&y).gradient(&mut elsewhere);
        if same_bits(gradient, &elsewhere) {
            return Outcome::StalePoint;
        }
        let component = worst_direction.and_then(|(sample, v)| line.single_out(&sample, v));
        Outcome::WrongDerivative { component }
    })
}

/// Values along lines through x, and what the gradient predicts for them.
struct Line<'a, T, O> {
    objective: &'a O,
    x: &'a [T],
    gradient: &'a [T],
    value: f64,
    displaced: Vec<T>,
    displacement: Vec<T>,
}

impl<'a, T: Scalar, O: Objective<T>> Line<'a, T, O> {
    fn new(objective: &'a O, x: &'a [T], gradient: &'a [T]) -> Self {
        let value = objective.value(x);
        Line { objective, x, gradient, value, displaced: x.to_vec(), displacement: x.to_vec() }
    }

    /// f(x + d) and gᵀd for the displacement d = (x + hv) − x as it was rounded.
    fn evaluate(&mut self, h: f64, v: &[T]) -> (f64, f64) {
        kernels::add_scaled(self.x, h, v, &mut self.displaced);
        kernels::add_scaled(&self.displaced, -1.0, self.x, &mut self.displacement);
        (self.objective.value(&self.displaced), kernels::dot(self.gradient, &self.displacement))
    }

    fn measure(&mut self, h: f64, v: &[T]) -> Option<Sample> {
        let (forward, predicted_forward) = self.evaluate(h, v);
        let (backward, predicted_backward) = self.evaluate(-h, v);
        let observed = 0.5 * (forward - backward);
        let predicted = 0.5 * (predicted_forward - predicted_backward);
        // Signs are random: √Σ(gᵢvᵢ)² is the size that gᵀv has on average, without the accidents of cancellation.
        let size = h * self.gradient.iter().zip(v).fold(0.0, |s: f64, (&g, &v)| s.hypot(g.into() * v.into()));
        let change = size + 0.5 * ((forward - self.value).abs() + (backward - self.value).abs());
        let largest = self.value.abs().max(forward.abs()).max(backward.abs());
        let remainder = Remainder {
            step: h,
            one_sided: (forward - self.value - predicted_forward).abs(),
            central: (observed - predicted).abs(),
        };
        let finite = remainder.one_sided.is_finite() && remainder.central.is_finite() && change.is_finite();
        finite.then_some(Sample {
            remainder,
            change,
            rounding: 4.0 * T::epsilon_f64() * (largest + change),
            products: [predicted * predicted, predicted * observed, observed * observed].map(|p| p / change / change),
        })
    }

    /// How much the gradient's slope along v changes when x moves by some units in the last place.
    fn slope_rounding(&self, v: &[T]) -> f64 {
        let mut other = vec![T::zero(); v.len()];
        let mut y = vec![T::zero(); v.len()];
        let changes = [-4.0, 4.0].map(|ulps| {
            kernels::add_scaled(self.x, ulps * T::epsilon_f64(), v, &mut y);
            self.objective.expand(&y).gradient(&mut other);
            kernels::axpy(-1.0, self.gradient, &mut other);
            kernels::dot(&other, v).abs()
        });
        changes.into_iter().filter(|c| c.is_finite()).fold(0.0, f64::max)
    }

    /// Halves the set of components that may move, keeping the half with the larger remainder, down to one component;
    /// `None` if that one is right after all, because errors cancelled.
    fn single_out(&mut self, sample: &Sample, v: Vec<T>) -> Option<usize> {
        let h = sample.remainder.step;
        let mut remainder = |low: usize, high: usize| -> Option<Sample> {
            let inside = |i: usize| low <= i && i < high;
            let masked: Vec<T> = (0..v.len()).map(|i| if inside(i) { v[i] } else { T::zero() }).collect();
            self.measure(h, &masked)
        };
        let (mut low, mut high) = (0, v.len());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let (first, second) = (remainder(low, middle)?, remainder(middle, high)?);
            let first_is_larger = first.remainder.central >= second.remainder.central;
            (low, high) = if first_is_larger { (low, middle) } else { (middle, high) };
        }
        let alone = remainder(low, high)?;
        (alone.remainder.central > 0.1 * sample.remainder.central).then_some(low)
    }
}
