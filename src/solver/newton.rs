//! The loop that all second-order solvers share.
//!
//! From x with gradient g, until the gradient is small:
//!
//! 1. A step: from remembered curvature, without a product, where that predicted the last gradient well; otherwise from
//!    products at x, a space that starts with the remembered step and grows until the model's remaining decrease is
//!    small.
//! 2. A trial: f(x + δ). A step that fails is shortened, one that the model describes well is lengthened, as the
//!    [`Globalisation`] says; the space answers the new question without a product.
//! 3. The gradient at the new point judges the step where f is too noisy to, and teaches the remembered model by
//!    y = g₊ − g, which costs nothing.

use std::ops::ControlFlow;
use std::time::Instant;

use super::escape::escape;
use super::globalisation::{Globalisation, Trial};
use super::memory::Memory;
use super::source::{Here, StepSource};
use crate::base::{Error, Result, Scalar, check_finite, check_length, check_positive_dimension, kernels};
use crate::control::{EqualRatios, Evaluation, Iteration, Progress, Report, Stopping, Termination, Verdict, judge};
use crate::operator::{Counted, Expansion, Objective};
use crate::step::{Answer, Inner, InnerStop};

/// Times that one step may be lengthened.
const MOST_LENGTHENINGS: usize = 20;
/// Rejections of one step, each at least halving it, after which it is given up.
const MOST_REJECTIONS: usize = 200;
/// Steps in a row, within rounding of f, that do not lower the gradient.
const MOST_ROUNDING_STEPS: usize = 4;

/// What the solvers have in common.
pub(super) struct Settings<'s> {
    pub stopping: &'s Stopping,
    pub inner: Inner,
    pub memory: Memory,
}

/// Minimises `objective` from `x0`.
pub(super) fn minimize<T: Scalar>(
    objective: &impl Objective<T>,
    x0: &[T],
    settings: Settings<'_>,
    globalisation: impl Globalisation,
    mut observer: impl FnMut(&Progress<'_, T>) -> ControlFlow<()>,
) -> Result<Report<T>> {
    let dim = objective.dim();
    check_positive_dimension("the objective's dimension", dim)?;
    check_length("x0", x0, dim)?;
    check_finite("x0", x0)?;
    settings.stopping.check()?;

    let objective = Counted::new(objective);
    let mut x = x0.to_vec();
    let mut run = Run::new(&objective, settings, globalisation, dim);
    run.value = objective.value(&x);
    if !run.value.is_finite() {
        return Err(Error::NotFinite { argument: "the value at x0", index: None, value: run.value });
    }
    run.initial_value = run.value;
    let termination = loop {
        let expansion = objective.expand(&x);
        match run.arrive(&expansion, &x, &mut observer)? {
            Arrival::Stay => {
                if let Err(termination) = run.find_step(&expansion, &x) {
                    break termination;
                }
            }
            Arrival::Move => {}
            Arrival::End(termination) => break termination,
            Arrival::Return(termination) => {
                drop(expansion);
                std::mem::swap(&mut x, &mut run.other_x);
                break termination;
            }
        }
        drop(expansion);
        std::mem::swap(&mut x, &mut run.other_x);
    };
    Ok(run.report(x, termination))
}

/// What to do at a point.
enum Arrival {
    /// Look for a step from here.
    Stay,
    /// Go to `other_x`.
    Move,
    /// This is the end.
    End(Termination),
    /// The end is `other_x`.
    Return(Termination),
}

/// A step that was taken, until the gradient at its end has judged it.
struct Pending {
    trial: Trial,
    verdict: Verdict,
    inner: InnerStop,
    control: f64,
}

/// The state of a run, apart from x itself, which expansions borrow.
struct Run<'r, T, O, G> {
    objective: &'r Counted<&'r O>,
    settings: Settings<'r>,
    globalisation: G,
    started: Instant,
    value: f64,
    initial_value: f64,
    gradient_norm: f64,
    initial_gradient_norm: f64,
    /// What the relative gradient tolerance refers to: ‖g‖ at x0, or at the first point that has a gradient.
    reference_gradient_norm: f64,
    /// The value at the saddle that was just left.
    left_saddle: Option<f64>,
    gradient: Vec<T>,
    /// The point that a step leads to; after the move, the point that it came from.
    other_x: Vec<T>,
    new_gradient: Vec<T>,
    source: StepSource<T>,
    pending: Option<Pending>,
    /// Rejections since the last step.
    rejected: usize,
    /// Whether all of them were for want of a finite number, and which.
    not_finite: Option<Evaluation>,
    rounding_steps: usize,
    least_gradient: f64,
    asymmetry: f64,
    history: Vec<Iteration>,
    /// The point with the least value, its value and its ‖g‖, if it is not the one where the run is.
    best: Option<(Vec<T>, f64, f64)>,
    best_value: f64,
}

impl<'r, T: Scalar, O: Objective<T>, G: Globalisation> Run<'r, T, O, G> {
    fn new(objective: &'r Counted<&'r O>, settings: Settings<'r>, globalisation: G, dim: usize) -> Self {
        let (inner, plan) = (settings.inner, settings.memory.plan(dim, size_of::<T>()));
        let zeros = || vec![T::zero(); dim];
        Run {
            objective,
            settings,
            globalisation,
            started: Instant::now(),
            value: f64::NAN,
            initial_value: f64::NAN,
            gradient_norm: f64::NAN,
            initial_gradient_norm: f64::NAN,
            reference_gradient_norm: f64::NAN,
            left_saddle: None,
            gradient: zeros(),
            other_x: zeros(),
            new_gradient: zeros(),
            source: StepSource::new(inner, plan, dim),
            pending: None,
            rejected: 0,
            not_finite: None,
            rounding_steps: 0,
            least_gradient: f64::INFINITY,
            asymmetry: 0.0,
            history: Vec::new(),
            best: None,
            best_value: f64::INFINITY,
        }
    }

    /// Part 3: computes the gradient at x, judges the step that led there and learns from it; then asks whether the run
    /// is over.
    fn arrive(
        &mut self,
        expansion: &impl Expansion<T>,
        x: &[T],
        observer: &mut impl FnMut(&Progress<'_, T>) -> ControlFlow<()>,
    ) -> Result<Arrival> {
        match self.pending.take() {
            None if !self.gradient_norm.is_nan() => return Ok(Arrival::Stay), // back from a step that failed
            None => {
                // At x₀, or beside a saddle whose gradient was zero.
                expansion.gradient(&mut self.gradient);
                let saddle = self.left_saddle.take();
                if let Some(value) = saddle.filter(|_| !kernels::all_finite(&self.gradient)) {
                    (self.value, self.gradient_norm) = (value, 0.0);
                    return Ok(Arrival::Return(Termination::NotFinite(Evaluation::Gradient)));
                }
                check_finite("the gradient at x0", &self.gradient)?;
                self.gradient_norm = kernels::norm(&self.gradient);
                if !self.gradient_norm.is_finite() {
                    let value = self.gradient_norm;
                    return Err(Error::NotFinite { argument: "the norm of the gradient at x0", index: None, value });
                }
                if saddle.is_none() {
                    self.initial_gradient_norm = self.gradient_norm;
                }
                if self.reference_gradient_norm.is_nan() || self.reference_gradient_norm == 0.0 {
                    self.reference_gradient_norm = self.gradient_norm;
                }
            }
            Some(mut pending) => {
                expansion.gradient(&mut self.new_gradient);
                let norm = kernels::norm(&self.new_gradient);
                if pending.verdict == Verdict::Rounding {
                    let slopes = kernels::dot(&self.gradient, &self.source.step)
                        + kernels::dot(&self.new_gradient, &self.source.step);
                    pending.trial.ratio = -0.5 * slopes / pending.trial.predicted;
                }
                if !norm.is_finite() {
                    pending.trial.ratio = f64::NEG_INFINITY;
                    self.reject(&pending.trial, Evaluation::Gradient);
                    return Ok(Arrival::Move);
                }
                if pending.verdict == Verdict::Rounding && norm > self.gradient_norm && pending.trial.ratio <= 0.0 {
                    self.rounding_steps += 1;
                    self.reject(&pending.trial, Evaluation::Value);
                    self.not_finite = None;
                    return Ok(Arrival::Move);
                }
                self.learn(&pending, norm);
            }
        }
        self.least_gradient = self.least_gradient.min(self.gradient_norm);
        let progress = Progress {
            iteration: self.history.len(),
            x,
            value: self.value,
            gradient: &self.gradient,
            gradient_norm: self.gradient_norm,
            counts: self.objective.counts(),
            seconds: self.started.elapsed().as_secs_f64(),
            last: self.history.last(),
        };
        let stop = observer(&progress).is_break();
        match self.finished(x) {
            Some(Termination::GradientTolerance) if self.gradient_norm == 0.0 && !stop && self.limit().is_none() => {
                // Stationary to the last bit: perhaps a saddle, with a way down that no gradient shows.
                let (stopping, family, lower) = (self.settings.stopping, &mut self.source.family, &mut self.other_x);
                match escape(self.objective, expansion, x, self.value, stopping, family, lower) {
                    Some(lower) => {
                        self.left_saddle = Some(self.value);
                        self.value = lower;
                        self.gradient_norm = f64::NAN;
                        self.source.family.clear();
                        Ok(Arrival::Move)
                    }
                    None => Ok(Arrival::End(Termination::GradientTolerance)),
                }
            }
            Some(termination) => Ok(Arrival::End(termination)),
            None if stop => Ok(Arrival::End(Termination::Observer)),
            None => Ok(Arrival::Stay),
        }
    }

    /// Takes over the gradient at the new point: the history, the remembered model, the radius and the forcing term.
    fn learn(&mut self, pending: &Pending, norm: f64) {
        let Pending { trial, verdict, inner, control } = *pending;
        let lowest = self.source.family.ritz_values().first().copied().unwrap_or(f64::NAN);
        self.history.push(Iteration {
            value: trial.after,
            gradient_norm: norm,
            step_norm: trial.norm(),
            ratio: trial.ratio,
            control,
            shift: trial.answer.shift,
            rejected: self.rejected,
            products: self.source.family.products_made(),
            inner,
            lowest_ritz_value: lowest,
        });
        self.asymmetry = self.asymmetry.max(self.source.family.asymmetry());
        // From here on `gradient` is the new one, and `new_gradient` holds the change y.
        std::mem::swap(&mut self.gradient, &mut self.new_gradient);
        kernels::axpby(1.0, &self.gradient, -1.0, &mut self.new_gradient);
        self.source.learn(&self.new_gradient, inner, self.gradient_norm, norm);
        self.globalisation.taken(&trial);
        self.rounding_steps = match verdict {
            Verdict::Rounding if norm > 0.9 * self.least_gradient => self.rounding_steps + 1,
            _ => 0,
        };
        self.best_value = self.best_value.min(self.value);
        if trial.after <= self.best_value {
            self.best = None;
        } else if self.globalisation.bare() && self.best.is_none() {
            self.best = Some((self.other_x.clone(), self.value, self.gradient_norm));
        }
        self.value = trial.after;
        self.gradient_norm = norm;
        self.rejected = 0;
        self.not_finite = None;
    }

    /// Whether the run is over at x.
    fn finished(&self, x: &[T]) -> Option<Termination> {
        let stopping = self.settings.stopping;
        if self.gradient_norm <= stopping.gradient_tolerance::<T>(self.reference_gradient_norm) {
            return Some(Termination::GradientTolerance);
        }
        if self.value <= stopping.target_value {
            return Some(Termination::TargetValue);
        }
        if let Some(last) = self.history.last() {
            let before = self.history.len().checked_sub(2).map_or(self.initial_value, |i| self.history[i].value);
            let small = stopping.small_step((before - last.value).abs(), last.value, last.step_norm, x);
            if small.is_some() {
                return small;
            }
        }
        if self.rounding_steps >= MOST_ROUNDING_STEPS {
            return Some(self.stalled(Termination::Stalled));
        }
        self.limit()
    }

    fn limit(&self) -> Option<Termination> {
        self.settings.stopping.limit(self.history.len(), self.objective.counts(), self.started.elapsed())
    }

    /// Parts 1 and 2: finds a step that decreases f, or says why there is none.
    fn find_step(&mut self, expansion: &impl Expansion<T>, x: &[T]) -> std::result::Result<(), Termination> {
        if self.rounding_steps >= MOST_ROUNDING_STEPS || self.rejected >= MOST_REJECTIONS {
            return Err(self.stalled(Termination::Stalled));
        }
        // A good trial and its Δ, σ or α, while a longer step is tried.
        let mut longer_than: Option<(Trial, f64)> = None;
        let mut lengthened = 0;
        let mut ratios = EqualRatios::new();
        loop {
            let tried = match self.limit() {
                Some(limit) => Err(limit),
                None => self.try_step(expansion, x, lengthened == 0),
            };
            let (trial, inner) = match (tried, longer_than) {
                (Ok(tried), _) => tried,
                (Err(Termination::Unbounded), _) => return Err(Termination::Unbounded),
                (Err(_), Some((shorter, control))) => return self.settle(expansion, x, shorter, control),
                (Err(termination), None) => return Err(termination),
            };
            let verdict = match judge(T::epsilon_f64(), self.value, trial.after, trial.predicted) {
                Verdict::Rounding if self.globalisation.bare() => Verdict::Ratio(trial.ratio),
                verdict => verdict,
            };
            let control = self.globalisation.control(&trial);
            let near = self.globalisation.most_divergence().is_none_or(|most| trial.divergence <= most);
            let good = match verdict {
                _ if !near => false,
                Verdict::Rounding => longer_than.is_none(),
                Verdict::Ratio(_) => self.globalisation.acceptable(&trial),
            };
            if let Some((shorter, its_control)) = longer_than
                && !(good && trial.after < shorter.after)
            {
                return self.settle(expansion, x, shorter, its_control);
            }
            if good {
                if trial.after == f64::NEG_INFINITY {
                    return Err(Termination::Unbounded);
                }
                // A step that led to no finite gradient was shortened and is not lengthened again.
                let may_be_longer = verdict != Verdict::Rounding && self.not_finite != Some(Evaluation::Gradient);
                let try_longer = may_be_longer && lengthened < MOST_LENGTHENINGS;
                if try_longer && self.globalisation.lengthen(&trial) {
                    longer_than = Some((trial, control));
                    lengthened += 1;
                    continue;
                }
                self.pending = Some(Pending { trial, verdict, inner, control });
                return Ok(());
            }
            if ratios.reject(trial.ratio, trial.norm()) {
                return Err(self.stalled(Termination::InconsistentGradient));
            }
            self.reject(&trial, Evaluation::Value);
            if self.rejected >= MOST_REJECTIONS || trial.norm() <= T::epsilon_f64() * 0.01 * kernels::norm(x) {
                return Err(self.stalled(Termination::Stalled));
            }
        }
    }

    /// Comes back to a trial that was better than the longer one after it; the model gives the step again for nothing.
    fn settle(
        &mut self,
        expansion: &impl Expansion<T>,
        x: &[T],
        trial: Trial,
        control: f64,
    ) -> std::result::Result<(), Termination> {
        self.globalisation.restore(control);
        let (answer, inner) = self.propose(expansion, x, false)?;
        self.displace(x, &answer);
        self.pending = Some(Pending { trial, verdict: Verdict::Ratio(trial.ratio), inner, control });
        Ok(())
    }

    /// Has a step proposed by its source.
    fn propose<E: Expansion<T>>(
        &mut self,
        expansion: &E,
        x: &[T],
        grow: bool,
    ) -> std::result::Result<(Answer, InnerStop), Termination> {
        let (objective, stopping, started) = (self.objective, self.settings.stopping, self.started);
        let more = || objective.counts().products < stopping.max_products && !stopping.out_of_time(started);
        let here = Here {
            expansion,
            x,
            gradient: &self.gradient,
            gradient_norm: self.gradient_norm,
            tolerance: stopping.gradient_tolerance::<T>(self.reference_gradient_norm),
            more: &more,
            products_left: stopping.max_products.saturating_sub(objective.counts().products),
        };
        self.source.propose(&here, &mut self.globalisation, grow)
    }

    /// Scales the step by the globalisation's length and moves `other_x` to its end.
    fn displace(&mut self, x: &[T], answer: &Answer) {
        let length = self.globalisation.length(answer);
        if length != 1.0 {
            kernels::scale(length, &mut self.source.step);
            kernels::scale(length, &mut self.source.product);
        }
        kernels::add_scaled(x, 1.0, &self.source.step, &mut self.other_x);
    }

    /// Makes a step and evaluates f at its end.
    fn try_step(
        &mut self,
        expansion: &impl Expansion<T>,
        x: &[T],
        grow: bool,
    ) -> std::result::Result<(Trial, InnerStop), Termination> {
        let (answer, inner) = self.propose(expansion, x, grow)?;
        self.displace(x, &answer);
        let predicted = self.globalisation.predicted(&answer);
        let inside = answer.norm.is_finite() && kernels::all_finite(&self.other_x);
        let (position, promising) = (kernels::norm(x), predicted > 0.0);
        // Out of the range of numbers: of the vectors, or of the model's squares.
        let far = !inside && position > T::max_value().into().sqrt();
        let too_large = !promising && position.max(answer.norm) > f64::MAX.sqrt();
        if far || too_large {
            return Err(if self.value > self.initial_value { Termination::Diverged } else { Termination::Unbounded });
        }
        if !promising || !answer.norm.is_finite() || kernels::same(&self.other_x, x) {
            return Err(self.stalled(Termination::Stalled));
        }
        let (after, divergence) = if inside { self.probe(expansion) } else { (f64::NAN, f64::NAN) };
        let ratio = match judge(T::epsilon_f64(), self.value, after, predicted) {
            Verdict::Ratio(ratio) => ratio,
            Verdict::Rounding => (self.value - after) / predicted,
        };
        let length = self.globalisation.length(&answer);
        Ok((Trial { answer, length, before: self.value, after, predicted, ratio, divergence }, inner))
    }

    /// f at `other_x`, and the divergence of that point if it is bounded. A divergence that is NaN makes f NaN.
    fn probe(&self, expansion: &impl Expansion<T>) -> (f64, f64) {
        let bounded = self.globalisation.most_divergence().is_some();
        match bounded.then(|| expansion.value_and_divergence(&self.other_x)).flatten() {
            Some((_, divergence)) if divergence.is_nan() => (f64::NAN, divergence),
            Some(probe) => probe,
            None => (self.objective.value(&self.other_x), 0.0),
        }
    }

    /// Counts a step that failed and shortens the next. A remembered step that failed is not shortened: products at
    /// this point will say more.
    fn reject(&mut self, trial: &Trial, evaluation: Evaluation) {
        if trial.ratio != f64::NEG_INFINITY {
            self.not_finite = None;
        } else if self.rejected == 0 || self.not_finite.is_some() {
            self.not_finite = Some(evaluation);
        }
        self.rejected += 1;
        if !self.source.can_ask_for_products() {
            self.globalisation.shorten(trial);
        }
        self.source.trust_memory = false;
    }

    /// The reason to give when no step is to be found.
    fn stalled(&self, otherwise: Termination) -> Termination {
        let asymmetry = self.asymmetry.max(self.source.family.asymmetry());
        match self.not_finite {
            // Of the rules for steps only bare ones go up.
            Some(_) if self.globalisation.bare() && self.value > self.initial_value => Termination::Diverged,
            Some(evaluation) => Termination::NotFinite(evaluation),
            None if asymmetry > T::epsilon_f64().powf(0.25) => Termination::Asymmetric,
            None => otherwise,
        }
    }

    fn report(self, x: Vec<T>, termination: Termination) -> Report<T> {
        let vectors = 6 + usize::from(self.best.is_some()) + self.source.vectors();
        let here = (x, self.value, self.gradient_norm);
        let (x, value, gradient_norm) = self.best.filter(|_| !termination.converged()).unwrap_or(here);
        Report {
            x,
            value,
            gradient_norm,
            initial_value: self.initial_value,
            initial_gradient_norm: self.initial_gradient_norm,
            counts: self.objective.counts(),
            termination,
            seconds: self.started.elapsed().as_secs_f64(),
            memory_vectors: vectors,
            asymmetry: self.asymmetry,
            steps: self.history.len(),
            history: self.history,
        }
    }
}
