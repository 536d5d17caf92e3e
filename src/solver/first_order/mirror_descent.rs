//! Mirror descent over an exponential family, which is natural gradient descent.
//!
//!   μ ← argmin gᵀμ' + KL(μ'‖μ)/α over μ',   g = ∇_μ f      ⇔      η ← η − αg = η − αF(η)⁻¹∇_η f
//!
//! The mirror map from mean to natural parameters makes the proximal step an addition (Nemirovski & Yudin (1983); Beck &
//! Teboulle, Oper. Res. Lett. 31 (2003)), and since ∇_η f = F∇_μ f that addition is the natural gradient step (Raskutti &
//! Mukherjee, IEEE Trans. Inf. Theory 61 (2015), theorem 1): no Fisher matrix is formed or solved with. For variational
//! inference see Khan & Nielsen, "Fast yet simple natural-gradient descent for variational inference in complex models"
//! (ISITA 2018). Deviation: a step that would leave the domain is halved until it does not.

use std::ops::ControlFlow;

use super::method::check_rate;
use super::oracle::{Exact, Oracle, Preconditioned};
use super::walk::{Limits, Moved, Mover, Place, walk};
use crate::base::{CallbackError, Error, Result, Scalar, kernels};
use crate::control::{Progress, Report, Stopping, Termination, check_start};
use crate::curvature::exponential_family::{Coordinates, ExponentialFamily};
use crate::operator::{Counts, Objective};

/// Halvings of a step, after which it has no digits left.
const MOST_HALVINGS: usize = 60;

/// Mirror descent with the Kullback–Leibler divergence as proximity: η ← η − α∇_μ f, the natural gradient descent of an
/// exponential family.
///
/// The objective is a function of the mean parameters μ, and so are its gradients. The run is in the natural parameters
/// η: `x` of the [`Report`] and of an observer's [`Progress`] is η, the gradient norm is ‖∇_μ f‖₂ and steps are measured
/// in η. One value and one gradient per step, from one expansion, and no product. Storage: 5 vectors.
///
/// ```
/// use newton_krylov::exponential_family::{ExponentialFamily, Gaussian};
/// use newton_krylov::{Difference, MirrorDescent, objective_from_gradient};
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
/// let report = MirrorDescent::new(family, 1.0).minimize(&bound, &start)?;
/// assert!(report.termination.converged() && report.iterations() == 1);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MirrorDescent<F> {
    /// The family.
    pub family: F,
    /// α, in the inverse unit of f. No default: for a bound −E[ln joint] + E[ln q] 1 is exact where the model is
    /// conjugate, and less is safe elsewhere (Khan & Rue, JMLR 24 (2023), section 2).
    pub rate: f64,
    /// When the run ends.
    pub stopping: Stopping,
}

impl<F: ExponentialFamily> MirrorDescent<F> {
    /// The default tests of convergence.
    pub fn new(family: F, rate: f64) -> Self {
        MirrorDescent { family, rate, stopping: Stopping::default() }
    }

    /// Minimises `objective`, a function of the mean parameters, from the natural parameters `natural`. The report has
    /// the natural parameters with the least value; where the run converged, the last ones.
    ///
    /// # Errors
    /// For an objective of another dimension than the family, `natural` outside its domain, an option out of its range,
    /// or where value or gradient at the start is not finite. Everything that happens later is a
    /// [`Termination`] in the report.
    pub fn minimize<T: Scalar>(&self, objective: &impl Objective<T>, natural: &[T]) -> Result<Report<T>> {
        self.minimize_with(objective, natural, |_| ControlFlow::Continue(()))
    }

    /// As [`minimize`](Self::minimize), with an observer that sees every iteration and may stop the run.
    ///
    /// # Errors
    /// As [`minimize`](Self::minimize).
    pub fn minimize_with<T: Scalar>(
        &self,
        objective: &impl Objective<T>,
        natural: &[T],
        observer: impl FnMut(&Progress<'_, T>) -> ControlFlow<()>,
    ) -> Result<Report<T>> {
        check_rate(self.rate)?;
        let (expected, found) = (self.family.parameters(), objective.dim());
        if expected != found {
            return Err(Error::Length { argument: "the objective's point", expected, found });
        }
        check_start(expected, natural, &self.stopping)?;
        self.family.check(Coordinates::Natural, natural)?;
        let mut oracle =
            InMean { family: &self.family, objective: Exact::new(objective), mean: vec![T::zero(); expected] };
        walk(&mut oracle, natural, &mut Additive(self), &self.stopping, observer)
    }
}

/// f(μ(η)) with ∇_μ f.
struct InMean<'o, F, O, T> {
    family: &'o F,
    objective: Exact<'o, O>,
    mean: Vec<T>,
}

impl<T: Scalar, F: ExponentialFamily, O: Objective<T>> Oracle<T> for InMean<'_, F, O, T> {
    const EXACT: bool = true;

    fn evaluate(&mut self, natural: &[T], gradient: &mut [T], preconditioned: &mut Preconditioned<T>) -> f64 {
        // What has no mean parameters in the numbers of T has no value either.
        if self.family.to_mean(natural, &mut self.mean).is_err() {
            return f64::NAN;
        }
        self.objective.evaluate(&self.mean, gradient, preconditioned)
    }

    fn whole(&mut self, natural: &[T], gradient: &mut [T]) -> f64 {
        self.evaluate(natural, gradient, &mut Preconditioned::Unwanted)
    }

    fn counts(&self) -> Counts {
        Oracle::<T>::counts(&self.objective)
    }

    fn take_error(&self) -> Option<CallbackError> {
        Oracle::<T>::take_error(&self.objective)
    }
}

/// η ← η − αg.
struct Additive<'m, F>(&'m MirrorDescent<F>);

impl<T: Scalar, F: ExponentialFamily, O> Mover<T, O> for Additive<'_, F> {
    fn preconditionable(&self) -> bool {
        false
    }

    fn advance(
        &mut self,
        place: &mut Place<T>,
        _oracle: &mut O,
        _limits: &Limits<'_>,
    ) -> std::result::Result<Moved, Termination> {
        let MirrorDescent { family, rate, .. } = self.0;
        let mut control = *rate;
        for rejected in 0..=MOST_HALVINGS {
            kernels::add_scaled(&place.x, -control, &place.gradient, &mut place.next);
            if family.check(Coordinates::Natural, &place.next).is_ok() {
                let step_norm = if place.next == place.x { 0.0 } else { control * place.gradient_norm };
                return Ok(Moved { step_norm, control, ratio: f64::NAN, rejected, arrived: None });
            }
            control *= 0.5;
        }
        Err(Termination::Stalled)
    }

    fn vectors(&self, _dim: usize) -> usize {
        // μ
        1
    }
}
