//! Mirror descent: gradient descent in the dual coordinates of a mirror map.
//!
//!   x⁺ = argmin gᵀz + D(z, x)/α over z in the set      ⇔      y⁺ = y − αg,  y = ∇φ(x),  g = ∇f(x)
//!
//! The map makes the proximal step an addition (Nemirovski & Yudin (1983); Beck & Teboulle, Oper. Res. Lett. 31 (2003)). For an
//! exponential family x is the mean parameters μ, y the natural ones η, and D the Kullback–Leibler divergence; since
//! ∇_η f = F∇_μ f the step η ← η − α∇_μ f = η − αF(η)⁻¹∇_η f is that of natural gradient descent (Raskutti & Mukherjee, IEEE
//! Trans. Inf. Theory 61 (2015), theorem 1): no Fisher matrix is formed or solved with. For variational inference see Khan
//! & Nielsen, "Fast yet simple natural-gradient descent for variational inference in complex models" (ISITA 2018).
//!
//! The state of a run is y, which keeps digits where x is close to the edge of the set. Deviation: a step that would leave
//! the domain of y is halved until it does not.

use std::ops::ControlFlow;

use super::super::entry_points::minimizes_objectives;
use super::method::check_rate;
use super::mover::{Limits, Moved, Mover, Place};
use super::oracle::{Exact, Oracle, Preconditioned};
use super::walk::Walk;
use crate::base::{
    CallbackError, Result, Scalar, check_dimension, check_finite, check_length, compiled, kernels, space,
};
use crate::control::{AnyRun, Identity, Progress, Report, Run, Start, Stopping, Termination, check_start, type_name};
#[cfg(feature = "serde")]
use crate::control::{RunState, checkpoint};
use crate::curvature::mirror_map::MirrorMap;
use crate::operator::{AnyObjective, Caller, Counts, Objective};

/// Halvings of a step, after which it has no digits left.
const MOST_HALVINGS: usize = 60;

/// Mirror descent, ∇φ(x⁺) = ∇φ(x) − α∇f(x), with any [mirror map](crate::mirror_map): on the simplex and the orthant by
/// exponentiated gradients, over an exponential family by natural gradients. Every point is inside the map's set, and x₀ has
/// to be. The report has the point with the least value; where the run converged, the last one.
///
/// One value and one gradient per step, from one expansion, and no product. Steps are measured in the dual coordinates y, the
/// gradient norm of report and history is the map's [`stationarity_at`](MirrorMap::stationarity_at). Storage: 5 vectors,
/// and 3 of `f64`.
///
/// ```
/// use newton_krylov::mirror_map::Simplex;
/// use newton_krylov::objective_from_gradient;
/// use newton_krylov::differences::Difference;
/// use newton_krylov::first_order::MirrorDescent;
///
/// // ½‖x − a‖² over the probabilities: the projection of a, (0.5, 0.5, 0).
/// let a = [0.6, 0.6, -0.5];
/// let f = objective_from_gradient(
///     3,
///     |x: &[f64]| x.iter().zip(&a).map(|(x, a)| 0.5 * (x - a).powi(2)).sum::<f64>(),
///     |x, g| (0..3).for_each(|i| g[i] = x[i] - a[i]),
///     Difference::default(),
/// );
/// let report = MirrorDescent::new(Simplex::new(3)?, 1.0).minimize(&f, &[0.2, 0.3, 0.5])?;
/// assert!(report.termination.converged() && (report.x[0] - 0.5).abs() < 1e-6 && report.x[2] < 1e-6);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// Over an exponential family, in its natural parameters, [`minimize_dual`](Self::minimize_dual):
///
/// ```
/// use newton_krylov::exponential_family::{ExponentialFamily, Gaussian};
/// use newton_krylov::objective_from_gradient;
/// use newton_krylov::differences::Difference;
/// use newton_krylov::first_order::MirrorDescent;
///
/// // −E[ln joint] + E[ln q] for a conjugate model is linear in μ but for the entropy, and α = 1 is exact in one step:
/// // a prior N(0, 1) and one observation y = 2 of N(θ, ½) have the posterior N(4/3, 1/3).
/// let family = Gaussian::new(1)?;
/// let target = family.natural(&[4.0 / 3.0], &[1.0 / 3.0])?; // prior's plus likelihood's natural parameters
/// let natural = |mean: &[f64]| {
///     let mut natural = vec![0.0; 2];
///     family.to_natural(mean, &mut natural).map(|()| natural)
/// };
/// let bound = objective_from_gradient(
///     2,
///     |mean: &[f64]| natural(mean).and_then(|q| family.divergence(&q, &target)).unwrap_or(f64::NAN),
///     |mean, g| match natural(mean) {
///         Ok(q) => (0..2).for_each(|i| g[i] = q[i] - target[i]),
///         Err(_) => g.fill(f64::NAN),
///     },
///     Difference::default(),
/// );
/// let start = family.natural(&[0.0], &[1.0])?;
/// let report = MirrorDescent::new(family, 1.0).minimize_dual(&bound, &start)?;
/// assert!(report.termination.converged() && report.iterations() == 1);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MirrorDescent<M> {
    /// The mirror map: its set and its geometry. An exponential family is one.
    pub map: M,
    /// α, in units of D per unit of f. No default: 1/L is safe where f has an L-Lipschitz gradient relative to φ, √(2 ln n/t)/G
    /// for t steps on the simplex with |∇f| ≤ G in every component (Bubeck (2015), theorem 4.2); for a bound
    /// −E[ln joint] + E[ln q] 1 is exact where the model is conjugate, and less is safe elsewhere (Khan & Rue, JMLR 24
    /// (2023), section 2).
    pub rate: f64,
    /// When the run ends.
    pub stopping: Stopping,
}

minimizes_objectives!(MirrorDescent<M>, M: MirrorMap);

impl<M: MirrorMap> MirrorDescent<M> {
    /// The default tests of convergence.
    pub fn new(map: M, rate: f64) -> Self {
        MirrorDescent { map, rate, stopping: Stopping::default() }
    }

    /// As [`minimize`](Self::minimize), from the dual coordinates `dual`, and in them: `x` of the report and of progress is
    /// y = ∇φ(x), for an exponential family the natural parameters.
    ///
    /// # Errors
    /// As [`minimize`](Self::minimize), for `dual` in place of `x0`.
    pub fn minimize_dual<T: Scalar>(&self, objective: &impl Objective<T>, dual: &[T]) -> Result<Report<T>> {
        self.walk(AnyObjective::new(objective), false, Start::Point(dual))?.complete()
    }

    /// As [`minimize_dual`](Self::minimize_dual), with an observer that sees every iteration and may stop the run.
    ///
    /// # Errors
    /// As [`minimize_dual`](Self::minimize_dual).
    pub fn minimize_dual_with<T: Scalar>(
        &self,
        objective: &impl Objective<T>,
        dual: &[T],
        observer: impl FnMut(&Progress<'_, T>) -> ControlFlow<()>,
    ) -> Result<Report<T>> {
        self.walk(AnyObjective::new(objective), false, Start::Point(dual))?.complete_with(observer)
    }

    /// Starts a run in dual coordinates that goes on one step at a time; [`resume`](Self::resume) takes its states as well.
    ///
    /// # Errors
    /// As [`minimize_dual`](Self::minimize_dual).
    pub fn start_dual<'r, T: Scalar>(
        &'r self,
        objective: &'r impl Objective<T>,
        dual: &[T],
    ) -> Result<AnyRun<'r, T, Report<T>>> {
        self.walk(AnyObjective::new(objective), false, Start::Point(dual))
    }

    fn begin<'r, T: Scalar>(
        &'r self,
        objective: AnyObjective<'r, T>,
        start: Start<'_, T>,
    ) -> Result<AnyRun<'r, T, Report<T>>> {
        let Some(x0) = start.point() else { return self.walk(objective, true, start) };
        check_length("x0", x0, self.map.dim())?;
        check_finite("x0", x0)?;
        let mut dual = vec![T::zero(); x0.len()];
        self.map.to_dual(x0, &mut dual)?;
        self.walk(objective, true, Start::Point(&dual))
    }

    fn walk<'r, T: Scalar>(
        &'r self,
        objective: AnyObjective<'r, T>,
        in_points: bool,
        start: Start<'_, T>,
    ) -> Result<AnyRun<'r, T, Report<T>>> {
        check_rate(self.rate)?;
        let dim = self.map.dim();
        check_dimension("the objective's point", objective.dim(), dim)?;
        space::check_whole("MirrorDescent")?;
        check_start(dim, start, &self.stopping)?;
        let wide = || vec![0.0; dim];
        let mut oracle = InDual {
            map: &self.map,
            objective: Exact::new(objective),
            in_points,
            point: vec![T::zero(); dim],
            wide_dual: wide(),
            wide_point: wide(),
            wide_gradient: wide(),
            stationarity: f64::NAN,
        };
        if let Some(dual) = start.point() {
            oracle.check(dual)?;
        }
        let (rate, whose) = (self.rate, (self as &dyn Identity, &self.stopping));
        compiled!(<'r, 's, T>(
            oracle: InDual<'r, T>, rate: f64, whose: (&'r dyn Identity, &'r Stopping), start: Start<'s, T>
        ) -> Result<AnyRun<'r, T, Report<T>>> {
            Walk::start(oracle, (Additive(rate), ()), start, whose).map(AnyRun::new)
        })
    }
}

impl<M> Identity for MirrorDescent<M> {
    fn identify(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MirrorDescent over {}", type_name::<M>())
    }
}

/// f(∇φ⁻¹(y)) with ∇f.
pub(super) struct InDual<'o, T> {
    map: &'o dyn MirrorMap,
    objective: Exact<'o, T>,
    /// Whether x is shown and reported, instead of y.
    in_points: bool,
    /// x of the last evaluation.
    point: Vec<T>,
    wide_dual: Vec<f64>,
    wide_point: Vec<f64>,
    wide_gradient: Vec<f64>,
    stationarity: f64,
}

impl<T: Scalar> InDual<'_, T> {
    /// Refuses dual coordinates that no point has.
    fn check(&mut self, dual: &[T]) -> Result<()> {
        widen(dual, &mut self.wide_dual);
        self.map.check_dual(&self.wide_dual)
    }
}

impl<T: Scalar> Caller for InDual<'_, T> {
    type Calls = (Counts, bool, Vec<T>, f64);

    fn counts(&self) -> Counts {
        self.objective.counts()
    }
    fn take_error(&self) -> Option<CallbackError> {
        Caller::take_error(&self.objective)
    }
    #[cfg(feature = "serde")]
    fn dimensions(&self) -> [usize; 2] {
        self.objective.dimensions()
    }
    #[cfg(feature = "serde")]
    fn calls(&self) -> impl serde::Serialize + '_ {
        (self.objective.counts(), self.in_points, &self.point, self.stationarity)
    }
    #[cfg(feature = "serde")]
    fn resume(&mut self, calls: (Counts, bool, Vec<T>, f64)) {
        let counts;
        (counts, self.in_points, self.point, self.stationarity) = calls;
        self.objective.resume(counts);
    }
}

impl<T: Scalar> Oracle<T> for InDual<'_, T> {
    const EXACT: bool = true;

    fn evaluate(&mut self, dual: &[T], gradient: &mut [T], preconditioned: &mut Preconditioned<T>) -> f64 {
        if self.check(dual).is_err() {
            return f64::NAN;
        }
        self.map.point_at(&self.wide_dual, &mut self.wide_point);
        narrow(&self.wide_point, &mut self.point);
        // What has no point in the numbers of T has no value either.
        if !kernels::all_finite(&self.point) {
            return f64::NAN;
        }
        let value = self.objective.evaluate(&self.point, gradient, preconditioned);
        widen(gradient, &mut self.wide_gradient);
        self.stationarity = self.map.stationarity_at(&self.wide_point, &mut self.wide_gradient);
        narrow(&self.wide_gradient, gradient);
        value
    }

    fn stationarity(&self, _gradient: &[T]) -> f64 {
        self.stationarity
    }

    fn shown<'a>(&'a self, dual: &'a [T]) -> &'a [T] {
        if self.in_points { &self.point } else { dual }
    }

    fn reported(&mut self, dual: Vec<T>) -> Vec<T> {
        if !self.in_points {
            return dual;
        }
        widen(&dual, &mut self.wide_dual);
        self.map.point_at(&self.wide_dual, &mut self.wide_point);
        narrow(&self.wide_point, &mut self.point);
        std::mem::take(&mut self.point)
    }
}

fn widen<T: Scalar>(from: &[T], to: &mut [f64]) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to = from.into());
}

fn narrow<T: Scalar>(from: &[f64], to: &mut [T]) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to = T::from_f64(from));
}

/// y ← y − αg.
pub(super) struct Additive(f64);

impl<T: Scalar> Mover<T, InDual<'_, T>> for Additive {
    type Memory = ();

    fn preconditionable(&self) -> bool {
        false
    }

    fn advance(
        &self,
        (): &mut (),
        place: &mut Place<T>,
        oracle: &mut InDual<'_, T>,
        _limits: &Limits<'_, '_>,
    ) -> std::result::Result<Moved, Termination> {
        let mut control = self.0;
        for rejected in 0..=MOST_HALVINGS {
            kernels::add_scaled(&place.x, -control, &place.gradient, &mut place.next);
            if kernels::all_finite(&place.next) && oracle.check(&place.next).is_ok() {
                let moved = place.next != place.x;
                let step_norm = if moved { control * kernels::norm(&place.gradient) } else { 0.0 };
                return Ok(Moved { step_norm, control, ratio: f64::NAN, rejected });
            }
            control *= 0.5;
        }
        Err(Termination::Stalled)
    }

    fn vectors(&self, (): &(), _dim: usize) -> usize {
        // x, and y, x and g in f64
        1 + 3 * size_of::<f64>() / size_of::<T>()
    }
}
