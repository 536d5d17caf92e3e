//! Jacobians by differences of outputs: which steps, and what is done where one fails.
//!
//!   ∂h/∂xⱼ ≈ (h(x + tⱼeⱼ) − h(x)) / tⱼ,                 tⱼ = √η uⱼ       forward
//!   ∂h/∂xⱼ ≈ (h(x + tⱼeⱼ) − h(x − tⱼeⱼ)) / 2tⱼ,         tⱼ = ∛η uⱼ       central
//!
//! (Nocedal & Wright, *Numerical Optimization* (2006), section 8.1; Dennis & Schnabel, *Numerical Methods for
//! Unconstrained Optimization* (1983), section 5.4.) The outputs are accurate to η, which is ε unless the user or the run
//! knows better ([`noise`](super::noise)). With ρ for √η or ∛η, each component has a unit of its own, uⱼ = max(|xⱼ|, the
//! typical size that the user gave, the unit that earlier points of the run have shown to be needed); 1 where all are zero,
//! as in MINPACK.
//!
//! **What a difference shows.** Output i is made of terms of the size sᵢ = max(|hᵢ|, |Jᵢⱼxⱼ| for all j), and is accurate
//! to ηsᵢ. Let q = |Δᵢ|/sᵢ at the output that changes most. A parameter whose unit is right has q ≈ ρ. Where the first
//! step leaves q far from that, another one is tried:
//!
//! - not finite: to the other side, then √ρ times as far;
//! - q < ρη^⅛ (f64: 1/90 of what it should be, and rounding takes more than 1 % of a column's half of the digits): xⱼ is
//!   no measure of its unit, as at a solution xⱼ = 0 or a start at 1e-12. The step that gives q = ρ, but in no larger a
//!   unit than the largest |xⱼ| met, or 1: nothing says that a parameter is of that order or above. If nothing changes
//!   at all, once more with √ρ for ρ, where single precision inside h shows as well. If it is so only beside the largest
//!   of the s, others may be lost (a penalty xⱼ on a parameter at 0 shows any step, the data do not): the same step, but
//!   back again where no further output changes;
//! - q > √ρ in a unit that is not |xⱼ|: the outputs change by much, which may be right (they are linear) or far beyond
//!   their linear range (a parameter of the order 1e-12 that starts at 0). A shorter step tells; where the quotients
//!   differ by more than √√ρ it is taken, and tested in turn.
//!
//! Where a bound is nearer than tⱼ the difference is taken to the other side, one-sided.

use super::around::{Around, Unit, Units};
use super::pattern::Shape;
use crate::base::{Result, Scalar, check_range};

/// Which difference quotient gives Hessian products, or the columns of a Jacobian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Difference {
    /// (∇f(x + hv) − ∇f(x)) / h: one gradient a product, half the digits.
    Forward,
    /// (∇f(x + hv) − ∇f(x − hv)) / 2h: two gradients a product, two thirds of the digits.
    #[default]
    Central,
}

impl Difference {
    /// Evaluations that show so many columns, each by one step.
    pub(super) fn evaluations(self, columns: usize) -> usize {
        match self {
            Difference::Forward => columns,
            Difference::Central => 2 * columns,
        }
    }

    /// ρ, the step in the unit of a parameter, for outputs that are accurate to η = `accuracy`.
    pub(super) fn relative(self, accuracy: f64) -> f64 {
        match self {
            Difference::Forward => accuracy.sqrt(),
            Difference::Central => accuracy.cbrt(),
        }
    }

    /// The relative error that is left: √η, or η^⅔.
    pub(super) fn error(self, accuracy: f64) -> f64 {
        match self {
            Difference::Forward => self.relative(accuracy),
            Difference::Central => self.relative(accuracy).powi(2),
        }
    }
}

/// Rounds of other steps for one Jacobian. From 0 with the unit 1 to a unit of 1e-16 takes four.
const ROUNDS: usize = 6;
/// How much further a step has to go to be worth an evaluation.
const WORTH: f64 = 4.0;
/// Multiples of η of an output that may be its rounding.
const NOISE: f64 = 4.0;

/// What is to be differenced.
pub(super) struct Differences<'a, T, F> {
    pub evaluate: &'a F,
    pub shape: Shape<'a>,
    pub difference: Difference,
    /// Typical sizes of the parameters, or nothing.
    pub typical: &'a [f64],
    pub x: &'a [T],
    /// h(x).
    pub outputs: &'a [T],
    pub around: Around<'a, T>,
    /// η.
    pub accuracy: f64,
}

/// A column on its way.
#[derive(Clone, Debug)]
struct Trial<T> {
    /// x + t, and t as it is in `T`.
    to: T,
    width: f64,
    failures: usize,
    /// The unit for another step was already tried with √ρ.
    last: bool,
    settled: bool,
    /// An earlier step and its changes, while another tests it.
    other: Option<Earlier<T>>,
}

#[derive(Clone, Debug)]
struct Earlier<T> {
    to: T,
    width: f64,
    changes: Vec<T>,
}

impl<T: Scalar, F: Fn(&[T], &mut [T])> Differences<'_, T, F> {
    /// ρ.
    fn relative(&self) -> f64 {
        self.difference.relative(self.accuracy)
    }

    fn room(&self, j: usize) -> [T; 2] {
        self.around.bounds.map_or([T::neg_infinity(), T::infinity()], |bounds| bounds.map(|b| b[j]))
    }

    /// x + t, or x − t, or a bound, whichever there is room for. `other`: rather to the other side.
    fn displaced(&self, j: usize, t: f64, other: bool) -> T {
        let ([lower, upper], x, t) = (self.room(j), self.x[j], T::from_f64(t));
        let (low, high) = (x - t, x + t);
        if high <= upper && !(other && low >= lower) {
            high
        } else if low >= lower {
            low
        } else if upper - x >= x - lower {
            upper
        } else {
            lower
        }
    }

    /// Writes the Jacobian to `matrix`, in the places of the shape, and returns how often it evaluated.
    pub fn write(&self, matrix: &mut [T]) -> usize {
        let (n, rho, most) = (self.shape.columns, self.relative(), self.around.most);
        let least = self.difference.evaluations(self.shape.groups());
        if least > most {
            matrix.fill(T::nan());
            return 0;
        }
        let own = Units::default();
        let units = &mut self.around.units.unwrap_or(&own).shown().units;
        units.resize(n, Unit::default());
        let mut trials: Vec<Trial<T>> = (0..n)
            .map(|j| {
                let x: f64 = self.x[j].abs().into();
                units[j].largest = units[j].largest.max(x);
                let u = x.max(units[j].least).max(self.typical.get(j).copied().unwrap_or(0.0));
                let to = self.displaced(j, rho * if u > 0.0 { u } else { 1.0 }, false);
                Trial { to, width: (to - self.x[j]).into(), failures: 0, last: false, settled: false, other: None }
            })
            .collect();
        let mut calls = self.evaluate_at(&mut trials, matrix);
        let sizes = self.sizes(&trials, matrix);
        for _ in 0..ROUNDS {
            let others = self.shape.groups_with(|j| !trials[j].settled) + least - self.shape.groups();
            if most - calls < others {
                break;
            }
            for j in 0..n {
                if !trials[j].settled {
                    self.judge(j, &mut trials[j], &mut units[j], &sizes, matrix);
                }
            }
            if trials.iter().all(|trial| trial.settled) {
                break;
            }
            calls += self.evaluate_at(&mut trials, matrix);
        }
        calls + self.divide(&trials, matrix)
    }

    /// Δ ← h(x + t) − h(x) for the columns that are not settled.
    fn evaluate_at(&self, trials: &mut [Trial<T>], changes: &mut [T]) -> usize {
        let (mut displaced, mut outputs) = (self.x.to_vec(), vec![T::zero(); self.shape.rows]);
        let mut calls = 0;
        for group in 0..self.shape.groups() {
            let mut any = false;
            self.shape.for_group(group, |j| {
                if !trials[j].settled && trials[j].width != 0.0 {
                    (displaced[j], any) = (trials[j].to, true);
                }
            });
            if !any {
                continue;
            }
            (self.evaluate)(&displaced, &mut outputs);
            calls += 1;
            self.shape.for_group(group, |j| {
                if !trials[j].settled && trials[j].width != 0.0 {
                    self.shape.each(j, changes, |i, change| *change = outputs[i] - self.outputs[i]);
                }
                displaced[j] = self.x[j];
            });
        }
        calls
    }

    /// s, the size of the terms of each output.
    fn sizes(&self, trials: &[Trial<T>], changes: &mut [T]) -> Vec<f64> {
        let mut sizes: Vec<f64> = self.outputs.iter().map(|h| h.abs().into()).collect();
        for (j, trial) in trials.iter().enumerate() {
            let share = (self.x[j].into() / trial.width).abs();
            if share.is_finite() {
                self.shape.each(j, changes, |i, change| {
                    let term: f64 = change.abs().into() * share;
                    if term.is_finite() {
                        sizes[i] = sizes[i].max(term);
                    }
                });
            }
        }
        sizes
    }

    /// Settles a column, or says which step comes next.
    fn judge(&self, j: usize, trial: &mut Trial<T>, unit: &mut Unit, sizes: &[f64], changes: &mut [T]) {
        let (rho, eta) = (self.relative(), self.accuracy);
        let (x, t): (f64, f64) = (self.x[j].abs().into(), trial.width.abs());
        if t == 0.0 && self.room(j)[0] == self.room(j)[1] {
            trial.settled = true; // the bounds leave no room: xⱼ is fixed
            return;
        }
        let step_to = |trial: &mut Trial<T>, t: f64, other: bool| {
            trial.to = self.displaced(j, t, other);
            trial.width = (trial.to - self.x[j]).into();
        };
        let (mut change, mut size, mut largest, mut finite) = (0.0_f64, 0.0, 0.0_f64, true);
        if t > 0.0 {
            self.shape.each(j, changes, |i, &mut c| {
                let c: f64 = c.abs().into();
                finite &= c.is_finite();
                largest = largest.max(sizes[i]);
                if c > change {
                    (change, size) = (c, sizes[i]);
                }
            });
        }
        if !finite {
            trial.failures += 1;
            return match trial.failures {
                1 => step_to(trial, t * (eta.sqrt() / rho), trial.width > 0.0),
                2 => step_to(trial, t * rho.sqrt(), false),
                3 => step_to(trial, t, true),
                _ => trial.settled = true,
            };
        }
        let share = |of: f64| if change > 0.0 { change / of } else { 0.0 };
        let (q, least) = (share(size), rho * eta.powf(0.125));
        if let Some(earlier) = trial.other.take()
            && self.prefers(j, &earlier, trial, sizes, changes)
        {
            changes[self.shape.column(j)].copy_from_slice(&earlier.changes);
            (trial.to, trial.width, trial.settled) = (earlier.to, earlier.width, true);
            if earlier.width.abs() > t {
                unit.least = earlier.width.abs() / rho;
            } else {
                unit.shown = true;
            }
            return;
        }
        let typical = self.typical.get(j).copied().unwrap_or(0.0);
        let widest = if typical > 0.0 { typical.max(x) } else { unit.largest.max(if x < 1.0 { 1.0 } else { x }) };
        let lost = share(largest);
        if lost < least && trial.failures == 0 && !(unit.shown && (q == 0.0 || q >= least)) {
            let wanted = rho * if lost > 0.0 { (t / lost).min(widest) } else { widest };
            let earlier = Earlier { to: trial.to, width: trial.width, changes: changes[self.shape.column(j)].to_vec() };
            if wanted >= WORTH * t {
                trial.other = (q >= least).then_some(earlier);
                return step_to(trial, wanted, false);
            }
            if q == 0.0 && !trial.last {
                trial.last = true;
                return step_to(trial, rho.sqrt() * widest, false);
            }
        }
        if q > rho.sqrt() && t > 2.0 * rho * x {
            let earlier = Earlier { to: trial.to, width: trial.width, changes: changes[self.shape.column(j)].to_vec() };
            trial.other = Some(earlier);
            return step_to(trial, t * (rho / q).max(rho.sqrt()), false);
        }
        trial.settled = true;
        unit.shown |= q == 0.0;
        if t > 2.0 * rho * x {
            // In the unit that would have given q = ρ.
            unit.least = if q > rho { t / q } else { (t / rho).min(widest) };
        }
    }

    /// Whether an earlier step is better than the one that tested it: a longer one where both agree, a shorter one where
    /// the longer shows no output that was lost in rounding.
    fn prefers(&self, j: usize, earlier: &Earlier<T>, now: &Trial<T>, sizes: &[f64], changes: &mut [T]) -> bool {
        let (mut apart, mut steepest, mut lost) = (0.0_f64, 0.0_f64, false);
        let mut before = earlier.changes.iter();
        self.shape.each(j, changes, |i, &mut after| {
            let (before, after): (f64, f64) = (before.next().map_or(0.0, |&c| c.into()), after.into());
            let (slope, other) = (before / earlier.width, after / now.width);
            (apart, steepest) = (apart.max((slope - other).abs()), steepest.max(slope.abs()).max(other.abs()));
            let noise = NOISE * self.accuracy * sizes[i];
            lost |= before.abs() <= noise && after.abs() > noise;
        });
        if earlier.width.abs() > now.width.abs() { apart <= self.relative().powf(0.25) * steepest } else { !lost }
    }

    /// The quotients, with the other half of central differences.
    fn divide(&self, trials: &[Trial<T>], matrix: &mut [T]) -> usize {
        let mut calls = 0;
        if self.difference == Difference::Central {
            let (mut displaced, mut outputs) = (self.x.to_vec(), vec![T::zero(); self.shape.rows]);
            // The displacement to the other side, if there is room for it.
            let opposite = |j: usize| {
                let ([lower, upper], at) = (self.room(j), self.x[j] - (trials[j].to - self.x[j]));
                (trials[j].width != 0.0 && trials[j].failures < 2 && at >= lower && at <= upper).then_some(at)
            };
            for group in 0..self.shape.groups() {
                let mut any = false;
                self.shape.for_group(group, |j| {
                    if let Some(at) = opposite(j) {
                        (displaced[j], any) = (at, true);
                    }
                });
                if any {
                    (self.evaluate)(&displaced, &mut outputs);
                    calls += 1;
                }
                self.shape.for_group(group, |j| {
                    displaced[j] = self.x[j];
                    let Some(at) = opposite(j) else { return self.quotient(j, trials[j].width, matrix) };
                    let mut finite = true;
                    self.shape.each(j, matrix, |i, _| finite &= outputs[i].is_finite());
                    if !finite {
                        return self.quotient(j, trials[j].width, matrix);
                    }
                    self.shape.each(j, matrix, |i, change| *change -= outputs[i] - self.outputs[i]);
                    self.quotient(j, (trials[j].to - at).into(), matrix);
                });
            }
        } else {
            (0..self.shape.columns).for_each(|j| self.quotient(j, trials[j].width, matrix));
        }
        calls
    }

    fn quotient(&self, j: usize, width: f64, matrix: &mut [T]) {
        let column = &mut matrix[self.shape.column(j)];
        if width == 0.0 {
            column.fill(T::zero());
        } else {
            column.iter_mut().for_each(|v| *v = T::from_f64((*v).into() / width));
        }
    }
}

/// Refuses an η that is no relative accuracy.
pub(super) fn check_accuracy(accuracy: f64) -> Result<()> {
    check_range("accuracy", accuracy, (0.0..1.0).contains(&accuracy), "at least 0 and below 1")
}
