//! What a descent asks of the problem, at any point and at the one where it is.

use super::convergence::Promise;
use super::globalisation::{Globalisation, Trial};
use super::track::{Pending, Track};
use super::{Judgement, Limits, Report, Stopping, Termination};
use crate::base::{Result, Scalar, Stored};
use crate::operator::Caller;
use crate::step::{InnerStop, Solution};

/// A number, or why the run is over.
pub(crate) type Outcome<V> = std::result::Result<V, Termination>;

/// What is descended on, and where steps come from.
pub(crate) trait Oracle<T: Scalar> {
    /// What it keeps from point to point.
    type State: Stored;
    /// What it keeps of the point where the run is, while it is looked at.
    type Frame;
    /// Who makes its calls.
    type Caller: Caller;
    /// What a run reports.
    type Report;

    /// Who makes its calls.
    fn caller(&self) -> &Self::Caller;

    /// The same, to go on as another.
    #[cfg(feature = "serde")]
    fn caller_mut(&mut self) -> &mut Self::Caller;

    /// f(x₀).
    ///
    /// # Errors
    /// Where it cannot be evaluated.
    fn first_value(&self, x: &[T], state: &mut Self::State) -> Result<f64>;

    /// Prepares the frame for the point where the run is.
    fn frame(&self, state: &Self::State, frame: &mut Self::Frame);

    /// The problem at x.
    fn local<'a>(&'a self, frame: &'a Self::Frame, x: &'a [T]) -> impl LocalProblem<T, Self> + 'a;

    /// ∇f(x)ᵀv, with room for a gradient, where that can be had at any x.
    fn slope(&self, _x: &[T], _v: &[T], _gradient: &mut [T]) -> Option<f64> {
        None
    }

    /// r(x), for least squares.
    fn residual(_state: &Self::State) -> Option<&[T]> {
        None
    }

    /// Storage in numbers, beside the vectors of the loop.
    fn numbers(state: &Self::State, frame: &Self::Frame) -> usize;

    /// What is reported beside what all runs report; `measure` is that of the [`Track`], and `elsewhere` says that the
    /// report is of the best point, which was left.
    fn report(state: Self::State, measure: f64, elsewhere: bool, report: Report<T>) -> Self::Report;
}

/// What became of the gradient at a new point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It is written.
    Finite,
    /// It is not finite.
    NotFinite,
    /// The run came back to this point, where it is known.
    Known,
}

/// How accurate a solution is to be, if not as the last steps were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Look {
    /// As where nothing is known of the last step.
    Rough,
    /// It leaves next to nothing of the gradient.
    Accurate,
}

/// What a small gradient is worth.
pub(crate) enum Confirmation {
    /// A minimum, as far as can be told.
    Minimum,
    /// The run is over for another reason.
    End(Termination),
    /// A saddle: `other_x` has this lower value.
    Lower(f64),
}

/// A descent's problem at a point: what can be asked there. Vectors and numbers of the run are in the [`Track`].
pub(crate) trait LocalProblem<T: Scalar, O: Oracle<T> + ?Sized> {
    /// Products that [`enter`](Self::enter) makes at most.
    fn entry_cost(&self, _state: &O::State) -> usize {
        0
    }

    /// Values that it makes at least, by differences.
    fn entry_values(&self) -> usize {
        0
    }

    /// track.new_gradient ← ∇f(x).
    fn enter(&self, state: &mut O::State, track: &mut Track<T>, back: bool) -> Entry;

    /// Measures the gradient, which is track.gradient now: its norm, and whether x is stationary.
    fn assess(&self, state: &mut O::State, track: &mut Track<T>, limits: &Limits<'_>);

    /// f(x) after the step that led here.
    fn value(&self, _state: &mut O::State, trial: &Trial) -> f64 {
        trial.after
    }

    /// The lowest Ritz value at the point before.
    fn lowest_ritz_value(&self, _state: &mut O::State) -> f64 {
        f64::NAN
    }

    /// Learns from a step that was taken, after so many that were rejected; y = g₊ − g is track.new_gradient.
    fn learn(&self, state: &mut O::State, track: &mut Track<T>, pending: &Pending, rejected: usize);

    /// Whether the gradient is within the tolerance.
    fn converged(&self, state: &O::State, track: &Track<T>, stopping: &Stopping) -> bool;

    /// Whether a point that seems stationary only to the errors of the derivatives is so: tried out, with values.
    fn tried(&self, _state: &mut O::State, _track: &mut Track<T>, _limits: &Limits<'_>) -> bool {
        false
    }

    /// Whether it turns out that values are noisier than was thought, where no step helps or convergence is `claimed`: then the
    /// run tries again at this point, which is track.other_x as well.
    fn doubts_values(&self, _: &mut O::State, _: &mut Track<T>, _: &Limits<'_>, _claimed: bool) -> bool {
        false
    }

    /// Looks closer at a point that is about to be called converged.
    fn confirm(&self, state: &mut O::State, track: &mut Track<T>, limits: &Limits<'_>) -> Confirmation;

    /// The solution to the globalisation's subproblem: track.step ← δ, track.other_x ← x + δ. Without `grow` it is found from
    /// what is there, and the same subproblem has the same solution.
    fn propose(
        &self,
        state: &mut O::State,
        track: &mut Track<T>,
        globalisation: &mut dyn Globalisation,
        limits: &Limits<'_>,
        grow: bool,
    ) -> Outcome<(Solution, InnerStop)>;

    /// What the model still promises with this solution, if it is convex as far as is known.
    fn promise(
        &self,
        _state: &mut O::State,
        _gradient: &[T],
        _solution: &Solution,
        _inner: InnerStop,
    ) -> Option<Promise> {
        None
    }

    /// Whether the same from the whole of the matrix settles it, if that may be convex and is singular to rounding, or `wanted`,
    /// and worth the products. Then nothing is left to be looked at.
    fn whole_settles(
        &self,
        _: &mut O::State,
        _: &Track<T>,
        _: &Limits<'_>,
        _wanted: bool,
        _settles: &dyn Fn(Promise) -> bool,
    ) -> bool {
        false
    }

    /// Whether it ever promises anything: whether the metric is the curvature of f.
    fn promises(&self) -> bool {
        false
    }

    /// Whether what is remembered is the whole matrix at the point before.
    fn remembers_all(&self, _state: &O::State) -> bool {
        false
    }

    /// The next solutions at this point are to come from products at it, and to be as accurate as that.
    fn look_closer(&self, _state: &mut O::State, _look: Option<Look>) {}

    /// The space at this point is forgotten, and what is remembered trusted again if it was: as before a closer look.
    fn look_away(&self, _state: &mut O::State, _remembered: bool) {}

    /// Evaluates f at track.other_x and compares it with what the solution predicts.
    fn judge(
        &self,
        state: &mut O::State,
        track: &mut Track<T>,
        globalisation: &dyn Globalisation,
        limits: &Limits<'_>,
        solution: Solution,
    ) -> Outcome<(Trial, Judgement)>;

    /// Whether, after the first try, a step may be lengthened, and the space enlarged for a shorter one.
    fn elastic(&self) -> bool {
        true
    }

    /// Whether a rejected step will be replaced by one that knows more, and is not to be shortened.
    fn knows_better(&self, _state: &O::State) -> bool {
        false
    }

    /// A step was rejected.
    fn rejected(&self, _state: &mut O::State) {}

    /// The largest relative difference between uᵀMv and vᵀMu met at this point; 0 for products by differences.
    fn asymmetry(&self, _state: &O::State) -> f64 {
        0.0
    }

    /// What to call a gradient that values contradict; of the library's own differences nobody is to blame for it.
    fn contradiction(&self) -> Termination {
        Termination::InconsistentGradient
    }

    /// Keeps what belongs to the best point that was seen: x, if it is `here`, or track.other_x.
    fn keep_best(&self, _state: &mut O::State, _here: bool) {}

    /// The run goes to track.other_x, or back.
    fn leave(&self, _state: &mut O::State) {}
}
