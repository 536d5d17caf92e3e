//! Runs of methods with a given rate, on whole objectives and on batches.

use std::ops::ControlFlow;

use super::method::{GradientMethod, Moments, check_moments};
use super::oracle::{Exact, Sampled};
use super::schedule::Schedule;
use super::walk::{Limits, Moved, Mover, Place, Since, walk};
use crate::base::{Error, Result, Scalar};
use crate::control::{Batches, Evaluation, Progress, Report, Stopping, Termination, check_start};
use crate::operator::{Counts, Objective, SampledObjective};

/// Minimises by a first-order method of a given rate: [`GradientDescent`](crate::first_order::GradientDescent),
/// [`HeavyBall`](crate::first_order::HeavyBall), [`Nesterov`](crate::first_order::Nesterov), [`AdaGrad`](crate::first_order::AdaGrad),
/// [`FullAdaGrad`](crate::first_order::FullAdaGrad), [`RmsProp`](crate::first_order::RmsProp), [`Adam`](crate::first_order::Adam).
///
/// One value and one gradient per step, from one expansion, and no product. Nothing checks that f falls: a rate that is
/// too large ends as [`Termination::Diverged`], or wanders until a limit. A stationary point is accepted as it is, also
/// a saddle: without products nothing tells it from a minimum.
///
/// ```
/// use newton_krylov::{Batches, SampledObjective, Stopping, objective};
/// use newton_krylov::first_order::{Adam, FirstOrder, Schedule};
///
/// // f(x) = 1/N Σ (x − aᵢ)²/2
/// struct Mean(Vec<f64>);
/// impl SampledObjective<f64> for Mean {
///     fn dim(&self) -> usize {
///         1
///     }
///     fn samples(&self) -> usize {
///         self.0.len()
///     }
///     fn batch<'a>(&'a self, samples: &'a [usize]) -> impl newton_krylov::Objective<f64> + 'a {
///         let mean = samples.iter().map(|&i| self.0[i]).sum::<f64>() / samples.len() as f64;
///         objective(1, move |x: &[f64]| 0.5 * (x[0] - mean).powi(2), move |x, g| g[0] = x[0] - mean, |_, v, hv| hv[0] = v[0])
///     }
/// }
///
/// let mean = Mean((0..100).map(|i| (i as f64).sin()).collect());
/// let solver = FirstOrder {
///     schedule: Schedule::Cosine { steps: 1000 },
///     stopping: Stopping { max_iterations: 1000, ..Stopping::default() },
///     ..FirstOrder::new(Adam { rate: 0.02, ..Adam::default() })
/// };
/// let report = solver.minimize_sampled(&mean, &mut Batches::new(100, 10, 1)?, &[3.0])?;
/// assert!(report.gradient_norm < 0.1 && !report.termination.converged());
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FirstOrder<M> {
    /// The method, with its rate.
    pub method: M,
    /// How the rate changes from step to step.
    pub schedule: Schedule,
    /// When the run ends.
    pub stopping: Stopping,
}

impl<M: GradientMethod> FirstOrder<M> {
    /// The method with a constant rate and the default tests of convergence.
    pub fn new(method: M) -> Self {
        FirstOrder { method, schedule: Schedule::default(), stopping: Stopping::default() }
    }

    /// Minimises `objective` from `x0`. The report has the point with the least value; where the run converged, the
    /// last point, whose gradient is small.
    ///
    /// # Errors
    /// For zero unknowns, a wrong length, NaN or ∞ in `x0`, an option out of its range, or where value or gradient at
    /// `x0` is not finite. Everything that happens later is a [`Termination`] in the report.
    pub fn minimize<T: Scalar>(&self, objective: &impl Objective<T>, x0: &[T]) -> Result<Report<T>> {
        self.minimize_with(objective, x0, |_| ControlFlow::Continue(()))
    }

    /// As [`minimize`](Self::minimize), with an observer that sees every iteration and may stop the run.
    ///
    /// # Errors
    /// As [`minimize`](Self::minimize).
    pub fn minimize_with<T: Scalar>(
        &self,
        objective: &impl Objective<T>,
        x0: &[T],
        observer: impl FnMut(&Progress<'_, T>) -> ControlFlow<()>,
    ) -> Result<Report<T>> {
        self.check()?;
        check_start(objective.dim(), x0, &self.stopping)?;
        let mut moments = self.method.moments(x0.len());
        walk(&mut Exact::new(objective), x0, &mut self.mover(&mut moments), &self.stopping, observer)
    }

    /// Minimises a mean over samples from `x0` with the gradient of one batch per step, until a limit of
    /// [`stopping`](Self::stopping) is reached: set one.
    ///
    /// The report has the last point at which value and gradient of the batch were finite. `value`, `gradient_norm`,
    /// `initial_value` and `initial_gradient_norm` are those of the whole set, which is evaluated at both ends of the
    /// run; the history and the observer see those of the batches. No batch can tell that a run has converged, so the
    /// tolerances and the target value are not looked at. Counts count calls: one on a batch as one, and one on the whole
    /// as one; the last on the whole comes after the limits.
    ///
    /// # Errors
    /// As [`minimize`](Self::minimize), and if `batches` are of another number of samples.
    pub fn minimize_sampled<T: Scalar>(
        &self,
        objective: &impl SampledObjective<T>,
        batches: &mut Batches,
        x0: &[T],
    ) -> Result<Report<T>> {
        let mut moments = self.method.moments(objective.dim());
        self.minimize_sampled_with(objective, batches, &mut moments, x0, |_| ControlFlow::Continue(()))
    }

    /// As [`minimize_sampled`](Self::minimize_sampled), with an observer, and with moments that are left as they are at
    /// the end: a second run from the point of the first, with the same batches and moments, continues it. With a
    /// limit on iterations the two are bitwise the same as one run, also when `x`, moments and batches were saved and
    /// loaded in between (in a format that keeps every bit of a number).
    ///
    /// # Errors
    /// As [`minimize_sampled`](Self::minimize_sampled), and for moments of another method or dimension.
    pub fn minimize_sampled_with<T: Scalar>(
        &self,
        objective: &impl SampledObjective<T>,
        batches: &mut Batches,
        moments: &mut Moments<T>,
        x0: &[T],
        observer: impl FnMut(&Progress<'_, T>) -> ControlFlow<()>,
    ) -> Result<Report<T>> {
        self.check()?;
        check_start(objective.dim(), x0, &self.stopping)?;
        check_moments(&self.method, moments, x0.len())?;
        check_batches(batches, objective.samples())?;
        let all: Vec<usize> = (0..objective.samples()).collect();
        let whole = objective.batch(&all);
        let mut oracle =
            Sampled { objective, whole: Exact::new(&whole), batches, counts: Counts::default(), error: None };
        walk(&mut oracle, x0, &mut self.mover(moments), &self.stopping, observer)
    }

    fn check(&self) -> Result<()> {
        self.method.check()?;
        self.schedule.check()
    }

    fn mover<'m, T>(&'m self, moments: &'m mut Moments<T>) -> Rated<'m, M, T> {
        Rated { method: &self.method, schedule: self.schedule, moments }
    }
}

fn check_batches(batches: &Batches, samples: usize) -> Result<()> {
    if batches.samples() == samples {
        return Ok(());
    }
    Err(Error::Length { argument: "batches", expected: samples, found: batches.samples() })
}

/// A method with its moments and the rate of the next step.
struct Rated<'m, M, T> {
    method: &'m M,
    schedule: Schedule,
    moments: &'m mut Moments<T>,
}

impl<T: Scalar, M: GradientMethod, O> Mover<T, O> for Rated<'_, M, T> {
    fn preconditionable(&self) -> bool {
        self.method.preconditionable()
    }

    fn advance(
        &mut self,
        place: &mut Place<T>,
        _oracle: &mut O,
        _limits: &Limits<'_>,
        _since: &mut Since,
    ) -> std::result::Result<Moved, Termination> {
        let factor = self.schedule.factor(self.moments.steps);
        if factor == 0.0 {
            return Err(Termination::MaxIterations);
        }
        let direction = place.preconditioned.or(&place.gradient);
        let squared = self.method.advance(self.moments, factor, direction, Some(&place.x), &mut place.next);
        let step_norm = squared.sqrt();
        if step_norm.is_nan() {
            // The gradient itself is finite: the preconditioner's P⁻¹g is not.
            return Err(Termination::NotFinite(Evaluation::Gradient));
        }
        let control = factor * self.method.rate();
        Ok(Moved { step_norm, control, ratio: f64::NAN, rejected: 0, arrived: None })
    }

    fn vectors(&self, dim: usize) -> usize {
        self.method.storage(dim).iter().sum::<usize>().div_ceil(dim)
    }
}
