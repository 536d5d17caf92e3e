//! Line searches on functions of one variable.

use super::line_search::*;
use super::{Evaluation, Termination};

struct Analytic<F> {
    phi: F,
    trials: Vec<Point>,
    kept: Option<Point>,
}

impl<F: Fn(f64) -> (f64, f64)> Line for Analytic<F> {
    fn probe(&mut self, length: f64) -> Result<Point, Termination> {
        let (value, slope) = (self.phi)(length);
        let point = Point { length, value, slope };
        self.trials.push(point);
        Ok(point)
    }
    fn slope(&mut self) -> Result<f64, Termination> {
        Ok(self.trials.last().unwrap().slope)
    }
    fn keep(&mut self) {
        self.kept = self.trials.last().copied();
    }
}

const RULES: Rules =
    Rules { decrease: 1e-4, slope: 0.1, epsilon: f64::EPSILON, shortest: 1e-20, growth: 100.0, noise: 0.0 };

fn search<F: Fn(f64) -> (f64, f64)>(phi: F, first: f64) -> (Result<Found, Termination>, usize) {
    let (value, slope) = phi(0.0);
    let mut line = Analytic { phi, trials: vec![], kept: None };
    let found = strong_wolfe(&mut line, Point { length: 0.0, value, slope }, first, RULES);
    if let Ok(found) = found {
        let last = if found.kept { line.kept } else { line.trials.last().copied() };
        assert_eq!(last, Some(found.point), "the point that is returned is the one whose gradient is at hand");
        assert_eq!(found.rejected + 1, line.trials.len());
    }
    (found, line.trials.len())
}

/// The test functions of Moré & Thuente (1994), section 5, (5.1) to (5.3): their searches take at most 16 trials.
#[test]
fn functions_of_more_and_thuente() {
    let first = |a: f64| (-a / (a * a + 2.0), (a * a - 2.0) / (a * a + 2.0).powi(2));
    let second = |a: f64| {
        let b = a + 0.004;
        (b.powi(5) - 2.0 * b.powi(4), 5.0 * b.powi(4) - 8.0 * b.powi(3))
    };
    let third = |a: f64| {
        let (beta, l, tau) = (0.01, 39.0, std::f64::consts::TAU / 4.0);
        let (value, slope) = if a <= 1.0 - beta {
            (1.0 - a, -1.0)
        } else if a >= 1.0 + beta {
            (a - 1.0, 1.0)
        } else {
            ((a - 1.0).powi(2) / (2.0 * beta) + 0.5 * beta, (a - 1.0) / beta)
        };
        let wave = 2.0 * (1.0 - beta) / (l * std::f64::consts::PI) * (l * tau * a).sin();
        (value + wave, slope + (1.0 - beta) * (l * tau * a).cos())
    };
    let functions: [&dyn Fn(f64) -> (f64, f64); 3] = [&first, &second, &third];
    for (i, phi) in functions.iter().enumerate() {
        for first in [1e-3, 1e-1, 1e1, 1e3] {
            let (found, trials) = search(phi, first);
            let point = found.expect("an acceptable point").point;
            let (value, slope) = phi(0.0);
            assert!(point.value <= value + RULES.decrease * point.length * slope, "{i} {first}");
            assert!(point.slope.abs() <= RULES.slope * slope.abs(), "{i} {first}: {point:?}");
            assert!(trials <= 20, "{i} {first}: {trials} trials");
        }
    }
}

/// A parabola's minimum is where the cubic through two trials has it, though the first is a hundredth of the way.
#[test]
fn a_short_guess_takes_two_trials() {
    let (found, trials) = search(|a| ((a - 1.0).powi(2), 2.0 * (a - 1.0)), 0.0101);
    assert!((found.unwrap().point.length - 1.0).abs() < 1e-9 && trials == 2, "{found:?} {trials}");
}

#[test]
fn trials_without_a_number_are_too_long() {
    for bad in [f64::NAN, f64::INFINITY] {
        // −ln(1 − x) − 3x is a number below 1 only; its minimum is at 2/3.
        let phi = |a: f64| if a < 1.0 { (-(1.0 - a).ln() - 3.0 * a, 1.0 / (1.0 - a) - 3.0) } else { (bad, bad) };
        let (found, trials) = search(phi, 1e3);
        assert!((found.unwrap().point.length - 2.0 / 3.0).abs() < 0.1 && trials < 15, "{found:?} {trials}");
        // A slope that is missing where the value is not.
        let phi = |a: f64| ((a - 1.0).powi(2), if a < 2.5 { 2.0 * (a - 1.0) } else { bad });
        assert!((search(phi, 100.0).0.unwrap().point.length - 1.0).abs() <= 0.1);
    }
}

#[test]
fn reasons_of_failure_are_named() {
    let reason = |phi: &dyn Fn(f64) -> (f64, f64)| search(phi, 1.0).0.unwrap_err();
    let at_zero = |a: f64, number: f64| if a == 0.0 { number } else { f64::NAN };
    assert_eq!(reason(&|a| (at_zero(a, 1.0), -1.0)), Termination::NotFinite(Evaluation::Value));
    assert_eq!(reason(&|a| (1.0 - a, at_zero(a, -1.0))), Termination::NotFinite(Evaluation::Gradient));
    assert_eq!(reason(&|a| (1.0 + a, -1.0)), Termination::InconsistentGradient);
    assert_eq!(reason(&|a| (if a > 0.0 { f64::NEG_INFINITY } else { 0.0 }, -1.0)), Termination::Unbounded);
    // A value that rounding alone has raised: the slope is believed, as far as its decrease would be hidden.
    let found = search(|a| (if a > 0.0 { 1.0 + 4e-16 } else { 1.0 }, -1e-18 * (1.0 + a)), 1.0).0.unwrap();
    assert!(found.point.length * -found.point.slope <= 1e-14, "{found:?}");
}

#[test]
fn growth_like_a_cone_is_no_contradiction() {
    // √(1 + 1e12(α − 1e-9)²): a cone for all but the shortest trials.
    let (scale, minimum) = (1e6, 1e-9);
    let phi = |a: f64| {
        let root = (1e-12 + (scale * (a - minimum)).powi(2)).sqrt();
        (root, scale * scale * (a - minimum) / root)
    };
    let (found, _) = search(phi, 1e3);
    assert!((found.unwrap().point.length / minimum - 1.0).abs() < 0.5);
    let (value, slope) = phi(0.0);
    let mut line = Analytic { phi, trials: vec![], kept: None };
    let found = backtrack(&mut line, Point { length: 0.0, value, slope }, 1e3, RULES);
    assert!(found.unwrap().point.value < value);
}

#[test]
fn slopes_decide_within_rounding() {
    // (x − 1)² · 1e-20 + 1: the values are all 1.
    let found = search(|a| (1.0 + 1e-20 * (a - 1.0).powi(2), 2e-20 * (a - 1.0)), 1.5).0.unwrap();
    assert!((found.point.length - 1.0).abs() <= 0.5);
}

#[test]
fn backtracking_keeps_armijos_condition() {
    let run = |phi: &dyn Fn(f64) -> f64, slope: f64, first: f64| {
        let line = |a| (phi(a), slope * (1.0 - a));
        let mut line = Analytic { phi: line, trials: vec![], kept: None };
        backtrack(&mut line, Point { length: 0.0, value: phi(0.0), slope }, first, RULES)
    };
    let found = run(&|a| (a - 1.0).powi(2), -2.0, 64.0).unwrap();
    assert!(found.point.value < 1.0 - 2e-4 * found.point.length && found.rejected > 0);
    let found = run(&|a| if a < 1e-3 { -a } else { f64::NAN }, -1.0, 1.0).unwrap();
    assert!(found.point.length >= 1e-5 && found.point.length < 1e-3);
    assert_eq!(run(&|a| 1.0 + a, -1.0, 1.0), Err(Termination::InconsistentGradient));
    assert_eq!(
        run(&|a| if a == 0.0 { 0.0 } else { f64::INFINITY }, -1.0, 1.0),
        Err(Termination::NotFinite(Evaluation::Value))
    );
    // Within rounding the slope decides: −1e-18(1 − α).
    let found = run(&|_| 1.0, -1e-18, 4.0).unwrap();
    assert!(found.point.length > 0.1 && found.point.length < 2.0, "{found:?}");
}
