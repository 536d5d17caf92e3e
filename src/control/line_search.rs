//! Line searches along φ(α) = f(x + αp), φ′(0) < 0.
//!
//! - [`backtrack`]: Armijo's condition φ(α) ≤ φ(0) + c₁αφ′(0), by quadratic interpolation between 0.1 and 0.5 of the
//!   trial before (Nocedal & Wright, *Numerical Optimization* (2006), algorithm 3.1 and section 3.5). With c₁ = ½ it is
//!   the test for α ≤ 1/L of Beck & Teboulle (SIAM J. Imaging Sci. 2 (2009), section 4) for a smooth f.
//! - [`strong_wolfe`]: the strong Wolfe conditions, Armijo's and |φ′(α)| ≤ c₂|φ′(0)| (Nocedal & Wright, algorithms 3.5
//!   and 3.6). Bracketing and zooming are one loop here: `low` is the best trial that keeps Armijo's condition, and
//!   `high`, once there is one, the other end of an interval that holds an acceptable length. Trials come from cubic
//!   interpolation (equation 3.59), kept away from the ends of the interval, and from bisection where two trials did not
//!   shrink it by a third (Moré & Thuente, ACM Trans. Math. Softw. 20 (1994), section 4).
//!
//! Safe against rounding: where φ(α) is within rounding of φ(0) the slopes decide, by the approximate Wolfe conditions
//! (2c₁ − 1)φ′(0) ≥ φ′(α) ≥ c₂φ′(0) of Hager & Zhang (SIAM J. Optim. 16 (2005)), of which the first is Armijo's. Safe
//! against NaN and ∞: such a trial is too long.

use super::{Evaluation, Termination, contradiction, rounding};
use crate::step::binade;

/// Trials of one search, each at least 10% shorter or twice longer than another; no sensible search comes near.
const MOST_TRIALS: usize = 80;
/// Trials in a row at which f rises in proportion to the length, down to rounding: the slope is wrong.
const MOST_EQUAL_RATIOS: usize = 6;

/// A point of φ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// α.
    pub length: f64,
    /// φ(α).
    pub value: f64,
    /// φ′(α); not looked at by [`backtrack`], other than at 0.
    pub slope: f64,
}

/// What is searched.
pub(crate) trait Line {
    /// Evaluates φ and φ′, or says why the run is over: a limit, or x has left the range of numbers.
    fn probe(&mut self, length: f64) -> Result<Point, Termination>;

    /// φ′ at the last trial, for [`backtrack`], whose trials come without.
    fn slope(&mut self) -> Result<f64, Termination>;

    /// Keeps the gradient of the last trial: the search may come back to it.
    fn keep(&mut self);
}

/// The end of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Found {
    pub point: Point,
    /// Trials beside this one.
    pub rejected: usize,
    /// Whether it is the trial that was last kept, and not the last of all.
    pub kept: bool,
}

/// What both searches need to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// c₁.
    pub decrease: f64,
    /// c₂; not looked at by [`backtrack`].
    pub slope: f64,
    /// Unit roundoff spacing of the vectors.
    pub epsilon: f64,
    /// The length at which x + αp is x.
    pub shortest: f64,
    /// The most by which a trial is lengthened at once; not looked at by [`backtrack`].
    pub growth: f64,
    /// The noise that values have shown, which counts as rounding.
    pub noise: f64,
}

/// How much noise the values show at both ends of a trial, where they and the slopes tell of little.
pub(crate) fn shown_noise(epsilon: f64, start: Point, trial: Point) -> f64 {
    let (first, last) = (trial.length * start.slope, trial.length * trial.slope);
    let (actual, expected) = (start.value - trial.value, -0.5 * (first + last));
    let little = expected > 0.0 && expected.max(actual.abs()) <= epsilon.sqrt() * start.value.abs();
    if little { contradiction(actual, first, last) } else { 0.0 }
}

/// Why trials fail, to name the reason in the end.
struct Failures {
    start: Point,
    epsilon: f64,
    trials: usize,
    /// What could not be evaluated, if it was so at every trial.
    not_finite: Option<Evaluation>,
    ratio: f64,
    equal_ratios: usize,
}

impl Failures {
    fn new(start: Point, epsilon: f64) -> Self {
        Failures { start, epsilon, trials: 0, not_finite: None, ratio: f64::NAN, equal_ratios: 0 }
    }

    fn not_finite(&mut self, which: Evaluation) {
        if self.trials == 0 || self.not_finite.is_some() {
            self.not_finite = Some(which);
        }
        self.trials += 1;
    }

    /// Counts a trial that is too long.
    fn too_long(&mut self, point: Point) {
        self.trials += 1;
        self.not_finite = None;
        let ratio = (self.start.value - point.value) / (-point.length * self.start.slope);
        if (self.start.value - point.value).abs() > rounding(self.epsilon, self.start.value, point.value) {
            // Beyond a kink, or a minimum, the slope there says that f rises.
            let falls = point.slope <= 0.0 || point.slope.is_nan();
            let equal = falls && ratio <= -0.1 && (ratio - self.ratio).abs() <= 0.1 * (1.0 - ratio);
            self.equal_ratios = if equal { self.equal_ratios + 1 } else { 0 };
            self.ratio = ratio;
        }
    }

    /// Whether f rises in proportion to the length down to where it drowns in rounding. Far out that alone says
    /// nothing: many functions grow like a cone.
    fn inconsistent(&self) -> bool {
        self.equal_ratios >= MOST_EQUAL_RATIOS
    }

    fn reason(&self) -> Termination {
        match self.not_finite {
            Some(evaluation) => Termination::NotFinite(evaluation),
            None if self.inconsistent() => Termination::InconsistentGradient,
            None => Termination::Stalled,
        }
    }
}

/// The first of the lengths `first`, and shorter ones, that keeps Armijo's condition.
pub(crate) fn backtrack(line: &mut impl Line, start: Point, first: f64, rules: Rules) -> Result<Found, Termination> {
    let mut failures = Failures::new(start, rules.epsilon);
    let mut length = first;
    while failures.trials < MOST_TRIALS && length > rules.shortest {
        let point = line.probe(length)?;
        if point.value == f64::NEG_INFINITY {
            return Err(Termination::Unbounded);
        }
        let wanted = -rules.decrease * length * start.slope;
        let noise = rounding(rules.epsilon, start.value, point.value).max(rules.noise);
        let enough = if point.value.is_finite() && wanted <= noise && (start.value - point.value).abs() <= noise {
            if failures.inconsistent() {
                break;
            }
            line.slope()? <= (2.0 * rules.decrease - 1.0) * start.slope
        } else {
            point.value <= start.value - wanted
        };
        if enough {
            return Ok(Found { point, rejected: failures.trials, kept: false });
        }
        let factor = if point.value.is_finite() {
            failures.too_long(point);
            let bend = point.value - start.value - length * start.slope;
            let minimum = -0.5 * start.slope * length / bend;
            if bend > noise { minimum.clamp(0.1, 0.5) } else { 0.5 }
        } else {
            failures.not_finite(Evaluation::Value);
            0.1
        };
        length *= factor;
    }
    Err(failures.reason())
}

/// A length that keeps the strong (or, within rounding, the approximate) Wolfe conditions, or the best one met that
/// keeps Armijo's.
pub(crate) fn strong_wolfe(line: &mut impl Line, start: Point, first: f64, rules: Rules) -> Result<Found, Termination> {
    let mut failures = Failures::new(start, rules.epsilon);
    let (mut low, mut high): (Point, Option<Point>) = (start, None);
    let (mut length, mut width) = (first, f64::INFINITY);
    let (mut trials, mut noise) = (0, rules.noise);
    // Comes back to the best trial, if there was one, or gives the reason why there was none.
    let settle = |low: Point, trials: usize, reason: Termination| {
        if low.length > 0.0 { Ok(Found { point: low, rejected: trials - 1, kept: true }) } else { Err(reason) }
    };
    loop {
        let point = match line.probe(length) {
            Ok(point) => point,
            Err(Termination::Unbounded) => return Err(Termination::Unbounded),
            Err(limit) => return settle(low, trials, limit),
        };
        trials += 1;
        if point.value == f64::NEG_INFINITY {
            return Err(Termination::Unbounded);
        }
        let finite = point.value.is_finite() && point.slope.is_finite();
        let armijo = point.value <= start.value + rules.decrease * length * start.slope;
        noise = noise.max(shown_noise(rules.epsilon, start, point));
        let rounding = rounding(rules.epsilon, start.value, point.value).max(noise);
        let level = (point.value - start.value).abs() <= rounding;
        // Within rounding the slope says that f falls on, as long as it would not show, or did not at all.
        let hidden = point.value == start.value || -point.slope * length <= rounding;
        let falls = level && point.slope < 0.0 && hidden;
        let decreases = armijo || falls;
        let approximate = level
            && point.slope <= (2.0 * rules.decrease - 1.0) * start.slope
            && point.slope >= rules.slope * start.slope;
        let strong = decreases && point.slope.abs() <= -rules.slope * start.slope;
        if finite && level && failures.inconsistent() {
            return Err(failures.reason());
        }
        if finite && (strong || approximate) {
            return Ok(Found { point, rejected: trials - 1, kept: false });
        }
        if !finite {
            let value = point.value.is_finite();
            failures.not_finite(if value { Evaluation::Gradient } else { Evaluation::Value });
            high = Some(Point { length, value: f64::NAN, slope: f64::NAN });
        } else if !decreases || (low.length > 0.0 && point.value >= low.value && !falls) {
            if low.length == 0.0 {
                failures.too_long(point);
            }
            high = Some(point);
        } else {
            let towards = high.map_or(1.0, |high| high.length - low.length);
            if point.slope * towards >= 0.0 {
                high = Some(low);
            }
            if high.is_none() {
                length = extrapolate(low, point, rules.growth);
            }
            low = point;
            line.keep();
        }
        if let Some(high) = high {
            let now = (high.length - low.length).abs();
            length = if now > 2.0 / 3.0 * width { 0.5 * (low.length + high.length) } else { interpolate(low, high) };
            width = now;
            if now <= rules.shortest.max(rules.epsilon * low.length) {
                return settle(low, trials, failures.reason());
            }
        }
        if trials >= MOST_TRIALS || !length.is_finite() {
            return settle(low, trials, failures.reason());
        }
    }
}

/// The minimum of the cubic through values and slopes at a and b (Nocedal & Wright, equation 3.59), if it has one.
fn cubic_minimum(a: Point, b: Point) -> Option<f64> {
    let d1 = a.slope + b.slope - 3.0 * (a.value - b.value) / (a.length - b.length);
    // Slopes are squares already, and theirs may leave the range of numbers.
    let unit = binade(d1.abs().max(a.slope.abs()).max(b.slope.abs()));
    let [e, u, v] = [d1, a.slope, b.slope].map(|slope| slope / unit);
    let d2 = (b.length - a.length).signum() * unit * (e * e - u * v).sqrt();
    let minimum = b.length - (b.length - a.length) * (b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2);
    minimum.is_finite().then_some(minimum)
}

/// A longer trial, between 2 and `growth` times b, which lies beyond a; both slopes are negative.
fn extrapolate(a: Point, b: Point, growth: f64) -> f64 {
    let minimum = cubic_minimum(a, b).filter(|&minimum| minimum > b.length);
    minimum.unwrap_or(growth * b.length).clamp(2.0 * b.length, growth * b.length)
}

/// A trial inside an interval, at least a tenth of its width from either end.
fn interpolate(low: Point, high: Point) -> f64 {
    let width = high.length - low.length;
    let fraction = if !high.value.is_finite() {
        // Far beyond the domain as likely as just beyond it.
        0.1
    } else {
        cubic_minimum(low, high).map_or(0.5, |minimum| (minimum - low.length) / width)
    };
    low.length + width * fraction.clamp(0.1, 0.9)
}
