//! What a first-order method is: a metric made of gradients.
//!
//! A method moves x by δ = −αM⁻¹g, where M comes from the gradients met so far, which it remembers in [`Moments`], and
//! α is its rate. Momentum replaces δ by a sum of such steps with falling weights.

use crate::base::{Move, Result, Scalar, check_length, check_positive, check_range};
use crate::operator::forward;

/// What a first-order method remembers of the gradients so far. Saved and loaded (feature `serde`), it goes on bitwise
/// as if nothing had happened.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Moments<T> {
    /// Steps so far.
    pub steps: usize,
    /// A mean or a discounted sum of gradients, or empty; which, each method says.
    pub first: Vec<T>,
    /// A mean or sum of squares of gradients, or empty; which, each method says.
    pub second: Vec<T>,
}

/// A first-order method of a given rate, as [`FirstOrder`](crate::first_order::FirstOrder) runs it, or alone, in a loop of your own.
///
/// Subnormal numbers, which are slow, become 0 in the point and in the moments. Components of the gradient count as 0 where
/// they are below the smallest normal number over ε, 10⁻³¹ in `f32` and 10⁻²⁹² in `f64`.
///
/// ```
/// use newton_krylov::first_order::{Adam, GradientMethod};
///
/// let adam = Adam { rate: 0.1, ..Adam::default() };
/// let mut x = [1.0_f64, -2.0];
/// let mut moments = adam.moments(2);
/// for _ in 0..500 {
///     let gradient = [2.0 * x[0], 20.0 * x[1]]; // of x₀² + 10 x₁²
///     adam.step(&mut moments, &gradient, &mut x)?;
/// }
/// assert!(x[0].abs() < 1e-2 && x[1].abs() < 1e-2);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
pub trait GradientMethod {
    /// α.
    fn rate(&self) -> f64;

    /// Refuses options out of their range, for d unknowns.
    ///
    /// # Errors
    /// With the option and its number.
    fn check(&self, dim: usize) -> Result<()>;

    /// The lengths of the first and second moments for d unknowns.
    fn storage(&self, dim: usize) -> [usize; 2];

    /// Whether the objective's preconditioner P ([`with_preconditioner`](crate::preconditioners::with_preconditioner)), where it has one,
    /// takes the place of I: then P⁻¹g is handed to [`advance`](Self::advance) for g. Methods whose own M adapts to each
    /// component do not want it.
    fn preconditionable(&self) -> bool {
        false
    }

    /// Makes the step at the rate `factor`·α, in one pass over all vectors. Returns ‖δ‖₂² after rounding. Lengths have been
    /// checked.
    fn advance<T: Scalar>(&self, moments: &mut Moments<T>, factor: f64, step: Move<'_, T>) -> f64;

    /// Moments for d unknowns before the first step: zeros.
    fn moments<T: Scalar>(&self, dim: usize) -> Moments<T> {
        let [first, second] = self.storage(dim).map(|length| vec![T::zero(); length]);
        Moments { steps: 0, first, second }
    }

    /// x ← x + δ, in place. Returns ‖δ‖₂.
    ///
    /// # Errors
    /// For options out of their range, and lengths that do not fit each other.
    fn step<T: Scalar>(&self, moments: &mut Moments<T>, gradient: &[T], x: &mut [T]) -> Result<f64> {
        self.check(x.len())?;
        check_length("gradient", gradient, x.len())?;
        let [first, second] = self.storage(x.len());
        check_length("moments.first", &moments.first, first)?;
        check_length("moments.second", &moments.second, second)?;
        Ok(self.advance(moments, 1.0, Move { gradient, from: None, x }).sqrt())
    }
}

/// A [`GradientMethod`] of any type, for one type of numbers: what runs on it is compiled once.
pub(super) trait AnyMethod<T> {
    fn rate(&self) -> f64;
    fn check(&self, dim: usize) -> Result<()>;
    fn storage(&self, dim: usize) -> [usize; 2];
    fn preconditionable(&self) -> bool;
    fn moments(&self, dim: usize) -> Moments<T>;
    fn advance(&self, moments: &mut Moments<T>, factor: f64, step: Move<'_, T>) -> f64;
}

impl<T: Scalar, M: GradientMethod> AnyMethod<T> for M {
    forward!(GradientMethod::;
        fn rate() -> f64,
        fn check(dim: usize) -> Result<()>,
        fn storage(dim: usize) -> [usize; 2],
        fn preconditionable() -> bool,
        fn moments(dim: usize) -> Moments<T>,
        fn advance(moments: &mut Moments<T>, factor: f64, step: Move<'_, T>) -> f64,
    );
}

/// Refuses a rate that is not a positive number.
pub(super) fn check_rate(rate: f64) -> Result<()> {
    check_positive("rate", rate)
}

/// Refuses a discount outside [0, 1).
pub(super) fn check_discount(argument: &'static str, value: f64) -> Result<()> {
    check_range(argument, value, (0.0..1.0).contains(&value), "at least 0 and below 1")
}
