//! What a descent has seen so far: all that does not depend on what it descends on.

use super::globalisation::Trial;
use super::{Evaluation, History, Iteration, Judgement, Progress, Report, Termination};
use crate::base::{CallbackError, Scalar};
use crate::operator::Counts;
use crate::step::InnerStop;

/// A step that was taken, until the gradient at its end has judged it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Pending {
    pub trial: Trial,
    pub verdict: Judgement,
    pub inner: InnerStop,
    /// Δ, σ or α.
    pub control: f64,
}

/// Steps in vain before a run may be said to stagnate: more than any detour.
const MOST_VAIN_STEPS: usize = 128;

/// The numbers and vectors of a run, apart from x itself. Storage: five vectors of length d, and one where the best point
/// is not the last.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Track<T> {
    pub value: f64,
    pub initial_value: f64,
    pub gradient_norm: f64,
    pub initial_gradient_norm: f64,
    /// What the relative gradient tolerance refers to: ‖g‖ at x₀, or at the first point that has a gradient.
    pub reference_gradient_norm: f64,
    /// ‖g‖ at the point before.
    pub gradient_norm_before: f64,
    /// f at the point before.
    pub value_before: f64,
    /// What tells how near x is to a minimum: ‖g‖, or in least squares a cosine.
    pub measure: f64,
    pub least_measure: f64,
    /// Whether x is stationary as far as rounding lets it be known.
    pub stationary: bool,
    /// The value at the saddle that was just left.
    pub left_saddle: Option<f64>,
    /// The largest ‖x‖ met.
    pub farthest: f64,
    /// The largest decrease that was promised for a step between two values that are the same.
    pub resolution: f64,
    /// What differences of f may be by noise: as it was measured, or the most by which values have contradicted gradients that
    /// agreed with the model.
    pub noise: f64,
    /// What ‖g‖ may be by noise, as it was measured where products are differences of gradients.
    pub gradient_noise: f64,
    pub gradient: Vec<T>,
    /// The gradient at a new point; once its step was taken, the change y = g₊ − g.
    pub new_gradient: Vec<T>,
    /// δ.
    pub step: Vec<T>,
    /// The point that a step leads to; after the move, the point that it came from.
    pub other_x: Vec<T>,
    pub pending: Option<Pending>,
    /// Rejections since the last step.
    pub rejected: usize,
    /// Whether all of them were for want of a finite number, and which.
    pub not_finite: Option<Evaluation>,
    pub rounding_steps: usize,
    /// Steps in a row that neither promised nor brought more than √ε of f, and what the first of them promised.
    pub flat_steps: usize,
    pub flat_promise: f64,
    /// The last power of two of steps, with f and the least measure after these.
    half: (usize, f64, f64),
    pub asymmetry: f64,
    /// Whether products at some point were symmetric: then those elsewhere that are not are rounding.
    symmetric: bool,
    /// Products when the point was entered.
    pub products_before: usize,
    pub last: Option<Iteration>,
    pub history: History,
    /// Why the run is over.
    pub ended: Option<Termination>,
    /// The best point, if it is not the one where the run is: x, f and ‖g‖, NaN if that is not known.
    best: Option<(Vec<T>, f64, f64)>,
    best_value: f64,
}

impl<T: Scalar> Track<T> {
    /// Before the first value.
    pub fn new(dim: usize) -> Self {
        let zeros = || vec![T::zero(); dim];
        Track {
            value: f64::NAN,
            initial_value: f64::NAN,
            gradient_norm: f64::NAN,
            initial_gradient_norm: f64::NAN,
            reference_gradient_norm: f64::NAN,
            gradient_norm_before: f64::NAN,
            value_before: f64::NAN,
            measure: f64::NAN,
            least_measure: f64::INFINITY,
            stationary: false,
            left_saddle: None,
            farthest: 0.0,
            resolution: 0.0,
            noise: 0.0,
            gradient_noise: 0.0,
            half: (0, f64::NAN, f64::NAN),
            gradient: zeros(),
            new_gradient: zeros(),
            step: zeros(),
            other_x: zeros(),
            pending: None,
            rejected: 0,
            not_finite: None,
            rounding_steps: 0,
            flat_steps: 0,
            flat_promise: f64::NAN,
            asymmetry: 0.0,
            symmetric: false,
            products_before: 0,
            last: None,
            history: History::default(),
            ended: None,
            best: None,
            best_value: f64::INFINITY,
        }
    }

    /// Steps that were taken.
    pub fn steps(&self) -> usize {
        self.history.steps()
    }

    /// f(x₀) is known.
    pub fn start(&mut self, value: f64) {
        (self.value, self.initial_value, self.best_value) = (value, value, value);
    }

    /// The gradient at x₀, or beside a saddle, is known.
    pub fn first_gradient_norm(&mut self, at_start: bool) {
        if at_start {
            self.initial_gradient_norm = self.gradient_norm;
        }
        if self.reference_gradient_norm.is_nan() || self.reference_gradient_norm == 0.0 {
            self.reference_gradient_norm = self.gradient_norm;
        }
    }

    /// Records a step that was taken, to a point with this value. Whether it led away from the best point.
    pub fn arrived(&mut self, pending: &Pending, value: f64, step_norm: f64, products: usize, lowest: f64) -> bool {
        let Pending { trial, verdict, inner, control } = *pending;
        let iteration = Iteration {
            value,
            gradient_norm: self.gradient_norm,
            step_norm,
            ratio: trial.ratio,
            control,
            shift: trial.solution.shift,
            rejected: self.rejected,
            products: products - self.products_before,
            inner,
            lowest_ritz_value: lowest,
        };
        self.history.push(iteration);
        self.last = Some(iteration);
        self.rounding_steps = match verdict {
            Judgement::Rounding if self.measure > 0.9 * self.least_measure => self.rounding_steps + 1,
            _ => 0,
        };
        let little = T::epsilon_f64().sqrt() * self.value.abs();
        let flat = trial.predicted <= little && (trial.before - trial.after).abs() <= little;
        // Promises that fall tenfold are those of a run that converges, if slowly; those that grow lead out of it.
        let alike = (0.1..=1.0).contains(&(trial.predicted / self.flat_promise));
        if flat && alike {
            self.flat_steps += 1;
        } else {
            (self.flat_steps, self.flat_promise) = (usize::from(flat), trial.predicted);
        }
        (self.rejected, self.not_finite) = (0, None);
        let left_best = value > self.best_value && self.best.is_none();
        if value <= self.best_value {
            (self.best, self.best_value) = (None, value);
        } else if left_best {
            // Within rounding the run may rise.
            self.best = Some((self.other_x.clone(), self.value, self.gradient_norm_before));
        }
        (self.value_before, self.value) = (self.value, value);
        left_best
    }

    /// Whether half of all steps have been in vain: f has fallen by no more than `little` in them, and the gradient hardly.
    pub fn half_in_vain(&mut self, little: f64) -> bool {
        let (steps, value, measure) = self.half;
        if self.steps() < 2 * steps.max(1) {
            return false;
        }
        let vain = steps >= MOST_VAIN_STEPS && value - self.value <= little && self.least_measure > 0.9 * measure;
        self.half = (self.steps(), self.value, self.least_measure);
        vain
    }

    /// Takes note of a point with a lower value where the run will not be: its step is rejected, or the run ends before its
    /// gradient is known. Whether it is the best; `None` is `other_x`.
    pub fn passes_by(&mut self, x: Option<&[T]>, value: f64) -> bool {
        let best = value < self.best_value;
        if best {
            let mut room = self.best.take().map_or_else(Vec::new, |(room, ..)| room);
            room.clear();
            room.extend_from_slice(x.unwrap_or(&self.other_x));
            (self.best, self.best_value) = (Some((room, value, f64::NAN)), value);
        }
        best
    }

    /// Takes note of the asymmetry of the products at a point; 0 where it is not known.
    pub fn meet_asymmetry(&mut self, asymmetry: f64) {
        self.asymmetry = self.asymmetry.max(asymmetry);
        self.symmetric |= asymmetry > 0.0 && asymmetry <= T::epsilon_f64().sqrt();
    }

    /// Counts a step that failed.
    pub fn rejected(&mut self, trial: &Trial, evaluation: Evaluation) {
        if trial.ratio != f64::NEG_INFINITY {
            self.not_finite = None;
        } else if self.rejected == 0 || self.not_finite.is_some() {
            self.not_finite = Some(evaluation);
        }
        self.rejected += 1;
    }

    /// The reason to give when no step is to be found; `asymmetry` is that of the products at this point.
    pub fn stalled(&self, asymmetry: f64, otherwise: Termination) -> Termination {
        match self.not_finite {
            _ if self.stationary => Termination::GradientTolerance,
            Some(evaluation) => Termination::NotFinite(evaluation),
            None if !self.symmetric && self.asymmetry.max(asymmetry) > T::epsilon_f64().powf(0.25) => {
                Termination::Asymmetric
            }
            None => otherwise,
        }
    }

    /// What an observer sees at x.
    pub fn progress<'a>(&'a self, x: &'a [T], counts: Counts, seconds: f64) -> Progress<'a, T> {
        Progress {
            iteration: self.steps(),
            x,
            value: self.value,
            gradient: &self.gradient,
            gradient_norm: self.gradient_norm,
            residual: None,
            counts,
            seconds,
            last: self.last.as_ref(),
        }
    }

    /// Whether a run that ends so reports another point than its last, which is better.
    pub fn ends_elsewhere(&self, termination: Termination) -> bool {
        // A run that ends by itself ends where its gradient is known.
        let may =
            |gradient_norm: f64| if gradient_norm.is_nan() { termination.passes() } else { !termination.converged() };
        self.best.as_ref().is_some_and(|&(_, value, gradient_norm)| value < self.value && may(gradient_norm))
    }

    /// The report of a run that ends at x, or for want of convergence at a better point.
    pub fn report(
        self,
        x: Vec<T>,
        termination: Termination,
        counts: Counts,
        seconds: f64,
        error: Option<CallbackError>,
    ) -> Report<T> {
        let elsewhere = self.ends_elsewhere(termination);
        let here = (x, self.value, self.gradient_norm);
        let (x, value, gradient_norm) = match self.best {
            Some(best) if elsewhere => best,
            _ => here,
        };
        Report {
            x,
            value,
            gradient_norm,
            initial_value: self.initial_value,
            initial_gradient_norm: self.initial_gradient_norm,
            counts,
            termination,
            error,
            seconds,
            reductions: 0,
            memory_numbers: 0,
            asymmetry: self.asymmetry,
            steps: self.history.steps(),
            history: self.history.into_entries(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of 256 steps, in the last half of which f fell from 3 by `fallen`, and the least gradient to this share.
    fn in_vain(fallen: f64, share: f64) -> bool {
        let mut track = Track::<f64>::new(1);
        let (inner, nan) = (InnerStop::Accurate, f64::NAN);
        let step = Iteration {
            value: 3.0,
            gradient_norm: 1.0,
            step_norm: 1.0,
            ratio: 1.0,
            control: 1.0,
            shift: 0.0,
            rejected: 0,
            products: 1,
            inner,
            lowest_ritz_value: nan,
        };
        (0..256).for_each(|_| track.history.push(step));
        (track.half, track.value, track.least_measure) = ((128, 3.0, 1.0), 3.0 - fallen, share);
        let vain = track.half_in_vain(1e-8);
        assert_eq!(track.half, (256, track.value, share));
        vain && !track.half_in_vain(1e-8)
    }

    #[test]
    fn half_of_all_steps_in_vain_are_an_end() {
        assert!(in_vain(0.0, 1.0) && in_vain(0.9e-8, 0.91));
        assert!(!in_vain(1.1e-8, 1.0) && !in_vain(0.0, 0.89));
    }
}
