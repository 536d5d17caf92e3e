//! Natural gradient: steepest descent in a metric, with steps of bounded divergence.
//!
//!   δ = −α (M + λI)⁻¹g,   α = ε / √(gᵀ(M + λI)⁻¹g),   ε = √(2D)
//!
//! is argmin gᵀδ subject to ½δᵀ(M + λI)δ ≤ D (Pierrot, Perrin-Gilbert & Sigaud, "First-order and second-order variants of the
//! gradient descent in a unified framework", section 3; Amari, "Natural gradient works efficiently in learning" (Neural
//! Comput. 10 (1998))). For a Fisher matrix M the constraint bounds the Kullback–Leibler divergence to second order; the
//! true divergence and f are then looked at, and the step is shortened until both are right (Schulman, Levine, Moritz,
//! Jordan & Abbeel, "Trust region policy optimization" (ICML 2015), appendix C).
//!
//! We differ in two ways. The step is shortened by what was met, the square root of the excess for the divergence and
//! the parabola for f, not by a fixed factor. And α goes on from the last step's best length where that is less than
//! the constraint's: near a minimum, where α = 1 is right for a metric like the Hessian, the ball alone would always
//! lead to its boundary.

use std::ops::ControlFlow;

use super::entry_points::{identified_by, minimizes_objectives, minimizes_samples};
use super::memory::Memory;
use super::minibatch::BatchRun;
use super::newton::{self, SecondOrder, Settings};
use crate::base::{Result, Scalar, check_not_negative, check_positive};
use crate::control::{
    AnyRun, Batches, DescentRun, Globalisation, Identity, Progress, Report, Run, Scales, Start, Stopping, Trial,
};
#[cfg(feature = "serde")]
use crate::control::{RunState, checkpoint};
use crate::operator::{AnyObjective, AnySampledObjective, Objective, SampledObjective};
use crate::step::{InnerSolver, Solution, Subproblem};

/// Armijo's constant: the share of the slope that the decrease must keep (Nocedal & Wright, *Numerical Optimization*
/// (2006), section 3.1).
const ARMIJO: f64 = 1e-4;
/// A step whose divergence was too large aims at this share of the bound.
const AIM: f64 = 0.99;

/// Descends along natural gradients, with a bound on the divergence of every step.
///
/// For objectives whose expansions are a metric of the model's distribution: [`fit`](crate::fit) with a Fisher
/// [`Metric`](crate::Metric), or any closures with a Fisher product and [`with_divergence`](crate::operators::with_divergence), such as
/// policies. The metric must be positive semidefinite; where products show another one the step is along −g. Without a
/// divergence the bound holds for its second-order approximation alone. In the report `control` is α and `shift` is λ.
///
/// On batches gradient, metric, divergence and value of an iteration are those of its batch. The run ends at a limit or by
/// the observer, never because a batch's gradient is small, and gives back its last point. Values and gradient norms in
/// report, history and progress are those of batches, the gradient at the point where the iteration starts. A batch at which
/// nothing is finite, or along whose step no trial is good enough, is passed over; the run ends where none in 20 is of use.
///
/// ```
/// use newton_krylov::{Metric, NaturalGradient, fit, model};
/// use newton_krylov::losses::BernoulliCrossEntropy;
///
/// // Logistic regression on a line.
/// let t = [-2.0, -1.0, -0.5, 0.3, 1.0, 2.5];
/// let outcomes = vec![0.0, 0.0, 1.0, 0.0, 1.0, 1.0];
/// let line = model(
///     6,
///     2,
///     |x: &[f64], h: &mut [f64]| (0..6).for_each(|i| h[i] = x[0] + x[1] * t[i]),
///     |_, v, jv| (0..6).for_each(|i| jv[i] = v[0] + v[1] * t[i]),
///     |_, u, jtu| {
///         jtu[0] = u.iter().sum();
///         jtu[1] = (0..6).map(|i| u[i] * t[i]).sum();
///     },
/// );
/// let objective = fit(line, BernoulliCrossEntropy::new(outcomes, 1)?, Metric::Fisher)?;
/// let report = NaturalGradient::default().minimize(&objective, &[0.0, 0.0])?;
/// assert!(report.termination.converged());
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NaturalGradient {
    /// When the run ends.
    pub stopping: Stopping,
    /// How subproblems are solved: Krylov or dense.
    pub inner: InnerSolver,
    /// Storage; nothing is remembered between iterations.
    pub memory: Memory,
    /// D, the largest divergence of a step, for a likelihood in nats per sample; ε² = 2D. Default 0.01 (Schulman et al.,
    /// table 2).
    pub divergence: f64,
    /// λ, in units of M. Default 10⁻³, as in the code that Schulman published for the paper (`modular_rl`, `cg_damping`).
    pub damping: f64,
}

impl Default for NaturalGradient {
    fn default() -> Self {
        NaturalGradient {
            stopping: Stopping::default(),
            inner: InnerSolver::default(),
            memory: Memory::default(),
            divergence: 0.01,
            damping: 1e-3,
        }
    }
}

minimizes_objectives!(NaturalGradient);
minimizes_samples!(NaturalGradient);
identified_by!(NaturalGradient inner memory divergence damping);

impl NaturalGradient {
    fn run<'r, T: Scalar>(
        &'r self,
        objective: AnyObjective<'r, T>,
        start: Start<'_, T>,
    ) -> Result<DescentRun<'r, T, SecondOrder<'r, T>>> {
        let ball = self.ball()?;
        let settings = self.settings::<T>(objective.dim());
        newton::start(objective, start, settings, ball)
    }

    fn run_on_batches<'r, T: Scalar>(
        &'r self,
        objective: &'r dyn AnySampledObjective<T>,
        batches: Batches,
        start: Start<'_, T>,
    ) -> Result<BatchRun<'r, T>> {
        BatchRun::start(objective, batches, start, self.settings::<T>(objective.dim()), self.ball()?)
    }

    /// The most vectors of length `dim` that a run on the Krylov path stores; times `dim` and the size of `T` in bytes.
    pub fn memory_vectors<T: Scalar>(&self, dim: usize) -> usize {
        self.settings::<T>(dim.max(1)).memory.most_vectors(dim, size_of::<T>())
    }

    /// Gradient changes teach the Hessian, which the metric is not: nothing is remembered.
    fn settings<T>(&self, dim: usize) -> Settings<'_> {
        let memory = Memory::Forgetful(self.memory.vectors(dim.max(1), size_of::<T>()));
        Settings { solver: self, stopping: &self.stopping, inner: self.inner, memory, curvature: false }
    }

    fn ball(&self) -> Result<Ball> {
        check_not_negative("damping", self.damping)?;
        Ball::new(self.divergence, self.damping)
    }
}

/// D, λ, and a bound on α that comes from the steps before.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Ball {
    divergence: f64,
    damping: f64,
    longest: f64,
}

impl Ball {
    pub fn new(divergence: f64, damping: f64) -> Result<Self> {
        check_positive("divergence", divergence)?;
        Ok(Ball { divergence, damping, longest: f64::INFINITY })
    }
}

impl Globalisation for Ball {
    fn start(&mut self, _: Scales) {}

    fn subproblem(&self) -> Subproblem {
        Subproblem::Damped(self.damping)
    }

    fn length(&self, solution: &Solution) -> f64 {
        // −gᵀδ = gᵀ(M + λI)⁻¹g for α = 1, in the space searched.
        self.longest.min((2.0 * self.divergence / -solution.slope).sqrt())
    }

    fn control(&self, trial: &Trial) -> f64 {
        trial.length
    }

    fn restore(&mut self, control: f64) {
        self.longest = control;
    }

    /// To first order: the metric need not tell how f bends.
    fn predicted(&self, solution: &Solution) -> f64 {
        -self.length(solution) * solution.slope
    }

    fn most_divergence(&self) -> Option<f64> {
        Some(self.divergence)
    }

    fn acceptable(&self, trial: &Trial) -> bool {
        trial.ratio >= ARMIJO
    }

    fn shorten(&mut self, trial: &Trial) {
        let factor = if trial.ratio >= ARMIJO {
            // Only the divergence is too large; it grows with the square of the length.
            (AIM * self.divergence / trial.divergence).sqrt().clamp(0.1, AIM)
        } else {
            trial.shortening()
        };
        self.longest = factor * trial.length;
    }

    fn lengthen(&mut self, _: &Trial) -> bool {
        false
    }

    fn taken(&mut self, trial: &Trial) {
        self.longest = trial.length * trial.interpolated().map_or(4.0, |minimum| minimum.clamp(0.5, 4.0));
    }
}
