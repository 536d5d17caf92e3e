//! Steps by line search: along −P⁻¹g (steepest descent) or −Hg (L-BFGS).

use super::limited_memory::LimitedMemory;
use super::mover::{End, Limits, Moment, Moved, Mover, Place, Since};
use super::oracle::{Exact, Oracle, Preconditioned, gradient_at};
use crate::base::{Scalar, kernels};
use crate::control::{
    Evaluation, Found, Line, Point, Rules, Termination, backtrack, rounding, shown_noise, strong_wolfe,
};
use crate::operator::Objective;
use crate::solver::stationary::Steepest;

/// Armijo's constant c₁ (Nocedal & Wright, section 3.1).
const ARMIJO: f64 = 1e-4;
/// The first length of all, in units of ‖x‖/‖p‖ (Hager & Zhang, ACM Trans. Math. Softw. 32 (2006), section 4, ψ₀).
const FIRST: f64 = 0.01;
/// The most by which a trial is lengthened at once; more without a pair, where the first length is a guess that is often too
/// short by as much (measured on CUTEst: with 100 throughout L-BFGS solves fewer problems).
const GROWTH: f64 = 10.0;
const FIRST_GROWTH: f64 = 100.0;
/// Steps in a row, within rounding of f, after none of which the gradient is the least so far.
const MOST_ROUNDING_STEPS: usize = 20;

/// How the length of a step is found.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Search {
    /// Armijo's condition with c₁ = ½, and lengths that never grow again: they settle between 1/2L and the first.
    Shrinking,
    /// Armijo's condition, from twice the last length.
    Armijo,
    /// The strong Wolfe conditions with this c₂, from the last length, or from 1 for directions that have a scale.
    Wolfe(f64),
}

/// What a method with line searches remembers.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Searcher<T> {
    search: Search,
    pub(super) memory: LimitedMemory<T>,
    pub(super) direction: Vec<T>,
    /// Value, gradient and P⁻¹g at the last trial.
    pub(super) trial_value: f64,
    pub(super) trial_gradient: Vec<T>,
    pub(super) trial_preconditioned: Preconditioned<T>,
    /// Whether they are there.
    trial_known: bool,
    /// The same at the trial that is kept.
    kept_gradient: Vec<T>,
    kept_preconditioned: Preconditioned<T>,
    /// The last length; NaN before the first.
    pub(super) length: f64,
    /// ‖p‖ as a share of ‖−Hg‖: below 1 where that was too long for its squares.
    unit: f64,
    /// The largest ‖x‖ that a step was made from.
    pub(super) farthest: f64,
    /// The largest decrease that the slope promised between two values that are the same.
    pub(super) resolution: f64,
    /// The most by which values have contradicted slopes at both ends of a trial.
    pub(super) noise: f64,
    /// Whether the start was taken for a minimum, and turned out to be none.
    pub(super) looked: bool,
    pub(super) steepest: Steepest,
    least_gradient: f64,
    rounding_steps: usize,
}

impl<T: Scalar> Searcher<T> {
    fn new(search: Search, memory: usize, preconditionable: bool, dim: usize) -> Self {
        let zeros = || vec![T::zero(); dim];
        let wolfe = matches!(search, Search::Wolfe(_));
        Searcher {
            search,
            memory: LimitedMemory::new(memory),
            direction: zeros(),
            trial_value: f64::NAN,
            trial_gradient: zeros(),
            trial_preconditioned: Preconditioned::new(preconditionable, dim),
            trial_known: false,
            kept_gradient: if wolfe { zeros() } else { Vec::new() },
            kept_preconditioned: Preconditioned::new(preconditionable && wolfe, dim),
            length: f64::NAN,
            unit: 1.0,
            farthest: 0.0,
            resolution: 0.0,
            noise: 0.0,
            looked: false,
            steepest: Steepest::new(dim),
            least_gradient: f64::INFINITY,
            rounding_steps: 0,
        }
    }

    /// Steps within rounding are counted anew.
    pub(super) fn forget_rounding(&mut self) {
        (self.least_gradient, self.rounding_steps) = (f64::INFINITY, 0);
    }

    /// Sets p, and returns φ′(0) = gᵀp < 0. Where the matrix is not positive definite p is −g.
    fn aim(&mut self, place: &Place<T>) -> Result<f64, Termination> {
        self.memory.direction(place.preconditioned.or(&place.gradient), &mut self.direction);
        self.unit = 1.0;
        let slope = kernels::dot(&place.gradient, &self.direction);
        if slope < 0.0 && slope.is_normal() {
            return Ok(slope);
        }
        self.memory.clear();
        // ‖g‖² may leave the range of numbers where ‖g‖ does not.
        let norm = kernels::norm(&place.gradient);
        self.unit = norm.recip();
        kernels::scale_into(-self.unit, &place.gradient, &mut self.direction);
        let slope = kernels::dot(&place.gradient, &self.direction);
        match slope {
            slope if slope < 0.0 && slope.is_finite() => Ok(slope),
            _ if norm == 0.0 => Err(Termination::Stalled),
            _ if place.value < -f64::MAX.sqrt() => Err(Termination::Unbounded),
            _ => Err(Termination::NotFinite(Evaluation::Gradient)),
        }
    }

    /// The first length to try.
    fn first_length(&self, place: &Place<T>, norm: f64) -> f64 {
        let scaled = !self.memory.is_empty() || matches!(place.preconditioned, Preconditioned::Wanted(_));
        let first = match self.search {
            Search::Wolfe(_) if scaled => 1.0,
            _ if self.length.is_nan() => match kernels::norm(&place.x) {
                0.0 if scaled => 1.0,
                0.0 if place.value != 0.0 => FIRST * place.value.abs() / (norm * norm),
                0.0 => norm.recip(),
                size => FIRST * size / norm,
            },
            Search::Armijo => 2.0 * self.length / self.unit,
            Search::Shrinking | Search::Wolfe(_) => self.length / self.unit,
        };
        if first > 0.0 && first.is_finite() { first } else { norm.recip() }
    }

    fn search(
        &mut self,
        place: &mut Place<T>,
        oracle: &mut Exact<'_, T>,
        limits: &Limits<'_, '_>,
    ) -> Result<(Found, f64), Termination> {
        let slope = self.aim(place)?;
        let (norm, size) = (kernels::norm(&self.direction), kernels::norm(&place.x));
        self.farthest = self.farthest.max(size);
        let first = self.first_length(place, norm);
        let start = Point { length: 0.0, value: place.value, slope };
        let (decrease, curvature) = match self.search {
            Search::Shrinking => (0.5, None),
            Search::Armijo => (ARMIJO, None),
            Search::Wolfe(curvature) => (ARMIJO, Some(curvature)),
        };
        let rules = Rules {
            decrease,
            slope: curvature.unwrap_or(f64::NAN),
            epsilon: T::epsilon_f64(),
            shortest: 0.01 * T::epsilon_f64() * size / norm,
            noise: self.noise,
            growth: if self.memory.is_empty() { FIRST_GROWTH } else { GROWTH },
        };
        let growing = self.search == Search::Shrinking && self.length.is_nan();
        let mut line = Trials { searcher: self, place, oracle, limits, slope, slopes: curvature.is_some() };
        let mut found = match curvature {
            Some(_) => strong_wolfe(&mut line, start, first, rules)?,
            None => backtrack(&mut line, start, first, rules)?,
        };
        // The first length of all was a guess: it may grow while the condition holds.
        while growing && found.rejected == 0 {
            match backtrack(&mut line, start, 2.0 * found.point.length, rules) {
                Ok(longer) if longer.point.length > found.point.length => found = longer,
                Err(Termination::CallbackFailed) => return Err(Termination::CallbackFailed),
                _ => {
                    self.trial_known = false;
                    break;
                }
            }
        }
        Ok((found, slope))
    }

    /// Makes the next point, and evaluates there.
    fn advance(
        &mut self,
        place: &mut Place<T>,
        oracle: &mut Exact<'_, T>,
        limits: &Limits<'_, '_>,
    ) -> Result<Moved, Termination> {
        self.steepest.meet(&place.gradient);
        if place.gradient_norm < self.least_gradient {
            (self.least_gradient, self.rounding_steps) = (place.gradient_norm, 0);
        }
        if self.rounding_steps >= MOST_ROUNDING_STEPS {
            return Err(Termination::Stalled);
        }
        let (found, slope) = match self.search(place, oracle, limits) {
            // Old pairs may be to blame.
            Err(Termination::Stalled | Termination::InconsistentGradient) if !self.memory.is_empty() => {
                self.memory.clear();
                self.search(place, oracle, limits)?
            }
            other => other?,
        };
        let Found { point, rejected, kept } = found;
        if kept {
            std::mem::swap(&mut self.trial_gradient, &mut self.kept_gradient);
            std::mem::swap(&mut self.trial_preconditioned, &mut self.kept_preconditioned);
        }
        kernels::add_scaled(&place.x, point.length, &self.direction, &mut place.next);
        if !self.trial_known {
            gradient_at(oracle, &place.next, &mut self.trial_gradient, &mut self.trial_preconditioned);
        }
        if kernels::norm(&self.trial_gradient).is_finite() {
            self.memory.learn(&place.x, &place.gradient, &place.next, &self.trial_gradient);
        }
        let decrease = place.value - point.value;
        let within = decrease <= rounding(T::epsilon_f64(), place.value, point.value).max(self.noise);
        self.rounding_steps = if within { self.rounding_steps + 1 } else { 0 };
        (self.length, self.trial_value) = (point.length * self.unit, point.value);
        Ok(Moved {
            step_norm: point.length * kernels::norm(&self.direction),
            control: point.length,
            ratio: decrease / (-point.length * slope),
            rejected,
        })
    }
}

/// Makes steps by line searches; whether with P⁻¹g for g.
pub(super) struct Searching {
    preconditionable: bool,
}

impl Searching {
    /// With so many pairs, and what it remembers.
    pub fn new<T: Scalar>(search: Search, pairs: usize, dim: usize) -> (Self, Searcher<T>) {
        // H has no place for P in it.
        let preconditionable = pairs == 0;
        (Searching { preconditionable }, Searcher::new(search, pairs, preconditionable, dim))
    }
}

impl<T: Scalar> Mover<T, Exact<'_, T>> for Searching {
    type Memory = Searcher<T>;

    fn preconditionable(&self) -> bool {
        self.preconditionable
    }

    fn advance(
        &self,
        searcher: &mut Searcher<T>,
        place: &mut Place<T>,
        oracle: &mut Exact<'_, T>,
        limits: &Limits<'_, '_>,
    ) -> Result<Moved, Termination> {
        searcher.advance(place, oracle, limits)
    }

    /// The trial that was taken is known; the place's buffers become those of the next.
    fn arrive(&self, searcher: &mut Searcher<T>, place: &mut Place<T>, _: &mut Exact<'_, T>) -> f64 {
        std::mem::swap(&mut place.gradient, &mut searcher.trial_gradient);
        std::mem::swap(&mut place.preconditioned, &mut searcher.trial_preconditioned);
        searcher.trial_value
    }

    fn end(
        &self,
        searcher: &mut Searcher<T>,
        place: &mut Place<T>,
        oracle: &mut Exact<'_, T>,
        limits: &Limits<'_, '_>,
        since: Since,
        moment: Moment,
    ) -> Option<End> {
        searcher.end_at(place, oracle, limits, since, moment)
    }

    fn vectors(&self, searcher: &Searcher<T>, dim: usize) -> usize {
        let preconditioned = searcher.trial_preconditioned.vectors() + searcher.kept_preconditioned.vectors();
        2 + searcher.kept_gradient.len() / dim + preconditioned + searcher.memory.vectors()
    }
}

/// φ along the searcher's direction.
struct Trials<'l, 'o, 's, T> {
    searcher: &'l mut Searcher<T>,
    place: &'l mut Place<T>,
    oracle: &'l mut Exact<'o, T>,
    limits: &'l Limits<'l, 's>,
    /// φ′(0).
    slope: f64,
    /// Whether slopes are wanted.
    slopes: bool,
}

impl<T: Scalar> Line for Trials<'_, '_, '_, T> {
    fn probe(&mut self, length: f64) -> Result<Point, Termination> {
        if let Some(limit) = self.limits.reached(self.oracle) {
            return Err(limit);
        }
        let Trials { searcher, place, oracle, slope, .. } = self;
        kernels::add_scaled(&place.x, length, &searcher.direction, &mut place.next);
        if !kernels::all_finite(&place.next) {
            let far = kernels::norm(&place.x) > T::max_value().into().sqrt();
            let not_finite = Point { length, value: f64::NAN, slope: f64::NAN };
            return if far { Err(Termination::Unbounded) } else { Ok(not_finite) };
        }
        searcher.trial_known = self.slopes;
        let point = if self.slopes {
            let gradient = &mut searcher.trial_gradient;
            let value = oracle.evaluate(&place.next, gradient, &mut searcher.trial_preconditioned);
            Point { length, value, slope: kernels::dot(gradient, &searcher.direction) }
        } else {
            Point { length, value: oracle.value(&place.next), slope: f64::NAN }
        };
        let start = Point { length: 0.0, value: place.value, slope: *slope };
        searcher.noise = searcher.noise.max(shown_noise(T::epsilon_f64(), start, point));
        if point.value == place.value {
            searcher.resolution = searcher.resolution.max(-0.5 * length * *slope);
        }
        Ok(point)
    }

    fn slope(&mut self) -> Result<f64, Termination> {
        if let Some(limit) = self.limits.reached(self.oracle) {
            return Err(limit);
        }
        let Searcher { trial_gradient, trial_preconditioned, direction, trial_known, .. } = &mut *self.searcher;
        gradient_at(self.oracle, &self.place.next, trial_gradient, trial_preconditioned);
        *trial_known = true;
        Ok(kernels::dot(trial_gradient, direction))
    }

    fn keep(&mut self) {
        std::mem::swap(&mut self.searcher.trial_gradient, &mut self.searcher.kept_gradient);
        std::mem::swap(&mut self.searcher.trial_preconditioned, &mut self.searcher.kept_preconditioned);
    }
}
