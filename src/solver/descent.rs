//! Descent: any metric under any control.
//!
//! A method is a metric, which the objective brings (Pierrot, Perrin-Gilbert & Sigaud, "First-order and second-order
//! variants of the gradient descent in a unified framework", table 1), and a control of the steps in it. All pairs run in
//! the loop of the other solvers; nothing is remembered between steps, so that the metric is the objective's alone.

use std::ops::ControlFlow;

use super::control::Control;
use super::entry_points::{identified_by, minimizes_objectives};
use super::memory::Memory;
use super::newton::{self, SecondOrder, Settings};
use crate::base::{Result, Scalar, check_not_negative};
use crate::control::{AnyRun, DescentRun, Identity, Progress, Report, Run, Start, Stopping};
#[cfg(feature = "serde")]
use crate::control::{RunState, checkpoint};
use crate::operator::{AnyObjective, Objective, Shifted};
use crate::step::InnerSolver;

/// Descends in the metric M + λI, M being the metric of the objective, with steps that the [`Control`] says.
///
/// For M of table 1 by name, [`fit`](crate::fit) with a [`Metric`](crate::Metric). [`TrustRegion`](crate::TrustRegion),
/// [`NewtonCg`](crate::NewtonCg) and [`CubicRegularization`](crate::CubicRegularization) are the same controls, but learn the
/// Hessian from the gradients beside it, unless their [`Memory`] is forgetful; [`NaturalGradient`](crate::NaturalGradient)
/// has λ = 10⁻³ by default, and batches. A control that takes every step reports the best point, unless it converged.
/// Cost of a step: a value, a gradient and the products of its inner solve, to a residual of 10⁻¹⁰ for steps that are
/// taken whatever becomes of f.
///
/// ```
/// use newton_krylov::{Control, Descent, Metric, fit, model};
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
/// // Gradient descent and natural gradient descent, x − γg and x − γF⁻¹g.
/// for (metric, rate, most) in [(Metric::Identity, 1.0, 200), (Metric::Fisher, 1.0, 10)] {
///     let objective = fit(&line, BernoulliCrossEntropy::new(outcomes.clone(), 1)?, metric)?;
///     let report = Descent::new(Control::FixedRate(rate)).minimize(&objective, &[0.0, 0.0])?;
///     assert!(report.termination.converged() && report.iterations() < most);
/// }
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Descent {
    /// How long a step is, and what happens when it fails.
    pub control: Control,
    /// λ ≥ 0, in units of M. Default 0: the metric as it is. In reports `shift` is what the control adds to it.
    pub damping: f64,
    /// When the run ends.
    pub stopping: Stopping,
    /// How subproblems are solved: Krylov or dense.
    pub inner: InnerSolver,
    /// Storage; nothing is remembered between iterations.
    pub memory: Memory,
}

minimizes_objectives!(Descent);
identified_by!(Descent control damping inner memory);

impl Descent {
    /// This control, undamped.
    pub fn new(control: Control) -> Self {
        Descent { control, ..Descent::default() }
    }

    fn run<'r, T: Scalar>(
        &'r self,
        objective: AnyObjective<'r, T>,
        start: Start<'_, T>,
    ) -> Result<DescentRun<'r, T, SecondOrder<'r, T>>> {
        let (shift, rule) = (self.damping, self.control.rule()?);
        check_not_negative("damping", shift)?;
        let memory = Memory::Forgetful(self.memory.vectors(objective.dim().max(1), size_of::<T>()));
        let settings = Settings { solver: self, stopping: &self.stopping, inner: self.inner, memory, curvature: false };
        newton::start(AnyObjective::new(Shifted { operator: objective, shift }), start, settings, rule)
    }
}
