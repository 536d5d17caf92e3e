//! Runs of methods with a given rate, on whole objectives and on batches.

use std::cell::Cell;
use std::ops::ControlFlow;

use super::super::entry_points::{minimizes_objectives, minimizes_samples};
use super::average::IterateAverage;
use super::method::{AnyMethod, GradientMethod, Moments};
use super::mover::{Limits, Moved, Mover, Place};
use super::oracle::{Exact, Oracle, Sampled};
use super::schedule::Schedule;
use super::walk::Walk;
use crate::base::{Move, Result, Scalar, compiled};
use crate::control::{
    AnyRun, Batches, Evaluation, Identity, Progress, Report, Run, Start, Stopping, Termination, check_start, type_name,
};
#[cfg(feature = "serde")]
use crate::control::{RunState, checkpoint};
use crate::operator::{AnyObjective, AnySampledObjective, Counts, Objective, SampledObjective};

/// Minimises by a first-order method of a given rate: [`GradientDescent`](crate::first_order::GradientDescent),
/// [`HeavyBall`](crate::first_order::HeavyBall), [`Nesterov`](crate::first_order::Nesterov), [`AdaGrad`](crate::first_order::AdaGrad),
/// [`FullAdaGrad`](crate::first_order::FullAdaGrad), [`RmsProp`](crate::first_order::RmsProp), [`Adam`](crate::first_order::Adam),
/// [`Soap`](crate::first_order::Soap).
///
/// One value and one gradient per step, from one expansion, and no product. The report has the point with the least value;
/// where the run converged, the last point, whose gradient is small. Nothing checks that f falls: a rate that is
/// too large ends as [`Termination::Diverged`], or wanders until a limit. A stationary point is accepted as it is, also
/// a saddle: without products nothing tells it from a minimum.
///
/// On batches each step has the gradient of one, until a limit of [`stopping`](Self::stopping) is reached: set one. The
/// report has the last point at which value and gradient of the batch were finite, or the average of all ([`average`](Self::average)). `value`, `gradient_norm`,
/// `initial_value` and `initial_gradient_norm` are those of the whole set, which is evaluated at both ends of the
/// run unless a callback failed or it was cancelled; the history and the observer see those of the batches. No batch can
/// tell that a run has converged, so the tolerances and the target value are not looked at. Counts count calls: one on a
/// batch as one, and one on the whole as one.
///
/// ```
/// use newton_krylov::{Batches, SampledObjective, Stopping, objective};
/// use newton_krylov::first_order::{Adam, FirstOrder};
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
///     average: true,
///     stopping: Stopping { max_iterations: 1000, ..Stopping::default() },
///     ..FirstOrder::new(Adam { rate: 0.02, ..Adam::default() })
/// };
/// let report = solver.minimize_sampled(&mean, Batches::new(100, 10, 1)?, &[3.0])?;
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
    /// Whether the report of a run on batches has the [`IterateAverage`] of its points in place of the last one. On a whole
    /// objective it changes nothing. Default: not.
    pub average: bool,
    /// When the run ends.
    pub stopping: Stopping,
}

minimizes_objectives!(FirstOrder<M>, M: GradientMethod);
minimizes_samples!(FirstOrder<M>, M: GradientMethod);

impl<M> Identity for FirstOrder<M> {
    fn identify(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FirstOrder with {}", type_name::<M>())
    }
}

impl<M: GradientMethod> FirstOrder<M> {
    /// The method with a constant rate and the default tests of convergence.
    pub fn new(method: M) -> Self {
        FirstOrder { method, schedule: Schedule::default(), average: false, stopping: Stopping::default() }
    }

    fn begin<'r, T: Scalar>(
        &'r self,
        objective: AnyObjective<'r, T>,
        start: Start<'_, T>,
    ) -> Result<AnyRun<'r, T, Report<T>>> {
        let (mover, whose) = (self.mover(), (self as &dyn Identity, &self.stopping));
        compiled!(<'r, 's, T>(
            mover: Rated<'r, T>, whose: (&'r dyn Identity, &'r Stopping), objective: AnyObjective<'r, T>, start: Start<'s, T>
        ) -> Result<AnyRun<'r, T, Report<T>>> {
            let dim = objective.dim();
            walk(Exact::new(objective), dim, mover, whose, start)
        })
    }

    fn begin_on_batches<'r, T: Scalar>(
        &'r self,
        samples: &'r dyn AnySampledObjective<T>,
        batches: Batches,
        start: Start<'_, T>,
    ) -> Result<AnyRun<'r, T, Report<T>>> {
        batches.check(samples.samples())?;
        let (mover, whose) = (self.mover(), (self as &dyn Identity, &self.stopping));
        let oracle = Sampled { objective: samples, batches, counts: Counts::default(), error: Cell::default() };
        compiled!(<'r, 's, T>(
            mover: Rated<'r, T>, whose: (&'r dyn Identity, &'r Stopping), oracle: Sampled<'r, T>, start: Start<'s, T>
        ) -> Result<AnyRun<'r, T, Report<T>>> {
            let dim = oracle.objective.dim();
            walk(oracle, dim, mover, whose, start)
        })
    }

    fn mover<T: Scalar>(&self) -> Rated<'_, T> {
        Rated { method: &self.method, schedule: self.schedule, average: self.average }
    }
}

fn walk<'r, T: Scalar, O: Oracle<T> + 'r>(
    oracle: O,
    dim: usize,
    mover: Rated<'r, T>,
    whose: (&'r dyn Identity, &'r Stopping),
    start: Start<'_, T>,
) -> Result<AnyRun<'r, T, Report<T>>> {
    mover.method.check(dim)?;
    mover.schedule.check()?;
    check_start(dim, start, whose.1)?;
    let moments = mover.method.moments(dim);
    let average = (mover.average && !O::EXACT).then(IterateAverage::default);
    Walk::start(oracle, (mover, (moments, average)), start, whose).map(AnyRun::new)
}

/// Makes steps of a method with a rate.
struct Rated<'m, T> {
    method: &'m dyn AnyMethod<T>,
    schedule: Schedule,
    average: bool,
}

impl<T: Scalar, O: Oracle<T>> Mover<T, O> for Rated<'_, T> {
    type Memory = (Moments<T>, Option<IterateAverage<T>>);

    fn preconditionable(&self) -> bool {
        self.method.preconditionable()
    }

    fn advance(
        &self,
        (moments, _): &mut Self::Memory,
        place: &mut Place<T>,
        _oracle: &mut O,
        _limits: &Limits<'_, '_>,
    ) -> std::result::Result<Moved, Termination> {
        let factor = self.schedule.factor(moments.steps);
        if factor == 0.0 {
            return Err(Termination::MaxIterations);
        }
        let gradient = place.preconditioned.or(&place.gradient);
        let step = Move { gradient, from: Some(&place.x), x: &mut place.next };
        let squared = self.method.advance(moments, factor, step);
        let step_norm = squared.sqrt();
        if step_norm.is_nan() {
            // The gradient itself is finite: the preconditioner's P⁻¹g is not.
            return Err(Termination::NotFinite(Evaluation::Gradient));
        }
        let control = factor * self.method.rate();
        Ok(Moved { step_norm, control, ratio: f64::NAN, rejected: 0 })
    }

    fn arrive(&self, (_, average): &mut Self::Memory, place: &mut Place<T>, oracle: &mut O) -> f64 {
        let value = oracle.evaluate(&place.x, &mut place.gradient, &mut place.preconditioned);
        if let Some(average) = average
            && value.is_finite()
            && oracle.stationarity(&place.gradient).is_finite()
        {
            average.add(&place.x);
        }
        value
    }

    fn reported(&self, (_, average): &mut Self::Memory, x: Vec<T>, new: bool) -> Vec<T> {
        let Some(average) = average else { return x };
        if new {
            average.add(&x);
        }
        average.point().to_vec()
    }

    fn vectors(&self, (_, average): &Self::Memory, dim: usize) -> usize {
        self.method.storage(dim).iter().sum::<usize>().div_ceil(dim) + usize::from(average.is_some())
    }
}
