//! Matrix-free second-order solvers: minimisation from values, gradients and Hessian-vector products.
//!
//! Every method here takes steps that solve one equation at a point x with gradient g,
//!
//! (M + λI) δ = −g,
//!
//! with a symmetric M(x), the Hessian or another metric, that is only ever seen as a product v ↦ Mv. The methods differ
//! in the question whose answer is λ:
//!
//! | question | λ | asked by |
//! | --- | --- | --- |
//! | argmin gᵀδ + ½δᵀ(M + λI)δ | given | [`damped_step`], [`Subproblem::Damped`] |
//! | argmin gᵀδ + ½δᵀMδ, ‖δ‖ ≤ Δ | fits Δ | [`TrustRegion`], [`Subproblem::Radius`] |
//! | argmin gᵀδ + ½δᵀMδ + ⅓σ‖δ‖³ | σ‖δ‖ | [`CubicRegularization`], [`Subproblem::Cubic`] |
//! | −\|M\|⁻¹g, a direction of descent also where M is indefinite | 0 where M is positive definite | [`NewtonCg`], [`Subproblem::SaddleFree`] |
//! | argmin gᵀδ, δᵀMδ ≤ ε² | 0, up to a factor on δ | [`NaturalGradient`], [`Subproblem::MetricBall`] |
//!
//! For least squares, ½‖r(x)‖² with the Jacobian J of the residuals, M is JᵀJ: [`LevenbergMarquardt`], [`GaussNewton`],
//! with bounds on the parameters and robust losses ([`LeastSquares`]).
//!
//! ```
//! use newton_krylov::{TrustRegion, objective};
//!
//! // Σ (xᵢ² − 1)² / 4 + (xᵢ − xᵢ₊₁)² / 2 on a ring: an indefinite Hessian near 0, minima at ±(1, …, 1).
//! let n = 1000;
//! let next = |i: usize| (i + 1) % n;
//! let f = objective(
//!     n,
//!     |x: &[f64]| (0..n).map(|i| 0.25 * (x[i] * x[i] - 1.0).powi(2) + 0.5 * (x[i] - x[next(i)]).powi(2)).sum::<f64>(),
//!     |x, g| {
//!         (0..n).for_each(|i| g[i] = x[i].powi(3) - x[i]);
//!         (0..n).for_each(|i| {
//!             g[i] += x[i] - x[next(i)];
//!             g[next(i)] -= x[i] - x[next(i)];
//!         });
//!     },
//!     |x, v, hv| {
//!         (0..n).for_each(|i| hv[i] = (3.0 * x[i] * x[i] - 1.0) * v[i]);
//!         (0..n).for_each(|i| {
//!             hv[i] += v[i] - v[next(i)];
//!             hv[next(i)] -= v[i] - v[next(i)];
//!         });
//!     },
//! );
//! let x0: Vec<f64> = (0..n).map(|i| 0.1 + 0.3 * (i as f64).sin()).collect();
//! let report = TrustRegion::default().minimize(&f, &x0)?;
//! assert!(report.termination.converged());
//! println!("{report}"); // value, gradient, counts, and what to do if it had not converged
//! # Ok::<(), newton_krylov::Error>(())
//! ```
//!
//! # Map
//!
//! The code lies in floors; each imports only from those below it.
//!
//! | floor | what is there |
//! | --- | --- |
//! | 6 solver | of any objective: [`TrustRegion`], [`NewtonCg`], [`CubicRegularization`]; any metric under any [`Control`], [`Descent`]; their budget, [`Memory`] |
//! | | of least squares: [`LevenbergMarquardt`], [`GaussNewton`] |
//! | | of models that learn from samples: [`HessianFree`], [`NaturalGradient`] |
//! | | on a set or over distributions, by a [`mirror_map`] or an [`exponential_family`]: [`MirrorDescent`] |
//! | | of first order: [`FirstOrder`] runs a [`GradientMethod`] on an objective or on batches, [`GradientDescent`], [`HeavyBall`], [`Nesterov`], [`AdaGrad`], [`FullAdaGrad`], [`RmsProp`], [`Adam`], [`Soap`]; with line searches, [`SteepestDescent`], [`Lbfgs`] |
//! | 5 control | when a run ends, [`Stopping`]; why it ended, [`Termination`]; what it reports, [`Report`], [`Progress`], [`Iteration`], [`LeastSquaresReport`]; which samples come next, [`Batches`] |
//! | 4 structured | least squares in residual blocks: elimination, the Schur complement and its factors |
//! | 3 step | the steps by themselves, [`Steps`], [`damped_step`], [`minres`]; those of least squares, [`LeastSquaresSteps`]; linear least squares, [`LinearLeastSquares`], [`linear_least_squares`]; the path they take, [`InnerSolver`] |
//! | 2 curvature | model + loss + metric: [`fit`], [`fit_samples`], [`Metric`], [`Loss`], [`Likelihood`]; least-squares problems, [`LeastSquares`], from closures, [`least_squares`], [`least_squares_dense`], [`least_squares_from_residuals`]; [`RobustLoss`]; preconditioners: [`with_diagonal`], [`with_preconditioner`], [`Preconditioned`], [`NystromPreconditioner`], [`LimitedMemoryPreconditioner`]; those that learn, [`LearnedPreconditioner`], [`KroneckerPreconditioner`], [`EmpiricalFisherDiagonal`]; [`exponential_family`], [`mirror_map`] |
//! | 1 operator | [`SymmetricOperator`], [`Objective`], [`Expansion`]; from closures, [`operator`](operator()), [`objective`], [`objective_from_gradient`]; [`LinearMap`], [`Model`], [`BlockStructure`]; of samples, [`SampledModel`], [`SampledObjective`]; combined, [`Shifted`], [`Sum`], [`Scaled`]; counted, [`Counted`] |
//! | 0 base | [`Scalar`] (`f32` or `f64`), [`Error`] |
//!
//! Beside them [`check`] examines your callbacks, [`spectrum`] finds eigenvalues, traces and densities, [`statistics`] has
//! covariances and standard errors; with the feature `models` there are networks, and with `problems` reference problems
//! with known answers, both also as templates. [`choosing`] helps to choose a method,
//! [`proximity`] says which call makes which step, [`scaling`] what an iteration costs on threads and ranks.
//!
//! # Guarantees
//!
//! - Counts of values, gradients and products are exact ([`Counts`]). Forming a matrix counts as
//!   [`forming_cost`](SymmetricOperator::forming_cost) products; what differences evaluate counts as what it is, gradients
//!   for products as gradients, residuals for a Jacobian as residuals.
//! - [`Termination::converged`] claims a minimum, as far as gradient and model can tell; no other outcome does. The report
//!   has the best point found.
//! - Outside the dense path no d² numbers are stored, and vectors are stored as far as [`Memory`] allows.
//! - A caller's mistake is an [`Error`] that names the argument and the number. NaN and ∞ from a callback are outcomes,
//!   not errors and not panics.
//! - `out` arguments are overwritten and never read, and your callbacks must do the same.
//! - On the Krylov path results are bitwise the same for any number of threads, if the callbacks' are. Long sums
//!   accumulate in `f64`.
//!
//! # Where we differ from the textbooks
//!
//! - Krylov space: its basis is stored with its products, and reorthogonalised; a preconditioner directs where it grows,
//!   as in Davidson's method. Radius and shift stay in the Euclidean norm, so a preconditioner changes the number of
//!   products and not the answer ([`Preconditioned`]). A further question, or a rejected step, costs no product unless
//!   the answer is not accurate enough ([`Steps`]).
//! - Beyond the memory for the basis truncated conjugate gradients go on, but are not cut off at the boundary as
//!   Steihaug and Toint do: their result joins the space, whose step is at least as good.
//! - Curvature that was paid for is remembered: products and gradient differences train a low-rank model that
//!   preconditions the next space, and steps are taken from it without a product where it predicted the last gradient
//!   well ([`InnerStop::Remembered`]). [`Memory::Forgetful`] turns this off.
//! - [`TrustRegion`]: the first radius is the length of the step to the minimum along −g; a step on the boundary that
//!   is well predicted is tried again with twice the radius before it is taken.
//! - [`CubicRegularization`]: how much the weight grows comes from a parabola through the values met; a well-predicted
//!   step is tried again with a smaller weight.
//! - [`NewtonCg`]: where negative curvature is met the direction is −|M|⁻¹g in the space, instead of the iterate before.
//! - The forcing term is Eisenstat & Walker's first choice, squared, as a bound on what is left of the model's decrease.
//! - Where the change of f drowns in rounding, the decrease is computed from both gradients instead.
//! - [`LevenbergMarquardt`]: all radii are answered from one decomposition of J, the first radius is ‖Dx₀‖, the end is a
//!   cosine, and steps go on from there until the digits are used up.
//! - Where the gradient is exactly zero a short Lanczos run looks for negative curvature, and a way down.
//! - [`NaturalGradient`]: a step is shortened by what was met, not by a fixed factor, and its length goes on from the last
//!   step's best one where the bound on the divergence allows more.
//! - Bundle adjustment: points are eliminated by orthogonal factors whose product is never formed; the explicit reduced
//!   matrix is a preconditioner that outlives its λ.
//! - [`minres`]: the recurrences propose, a true residual decides, and the method starts again where they lost it.
//!
//! [`AdaGrad`]: first_order::AdaGrad
//! [`Adam`]: first_order::Adam
//! [`BlockStructure`]: operators::BlockStructure
//! [`Counted`]: operators::Counted
//! [`EmpiricalFisherDiagonal`]: preconditioners::EmpiricalFisherDiagonal
//! [`FirstOrder`]: first_order::FirstOrder
//! [`FullAdaGrad`]: first_order::FullAdaGrad
//! [`GradientDescent`]: first_order::GradientDescent
//! [`GradientMethod`]: first_order::GradientMethod
//! [`HeavyBall`]: first_order::HeavyBall
//! [`InnerStop::Remembered`]: steps::InnerStop::Remembered
//! [`KroneckerPreconditioner`]: preconditioners::KroneckerPreconditioner
//! [`LearnedPreconditioner`]: preconditioners::LearnedPreconditioner
//! [`LeastSquaresSteps`]: steps::LeastSquaresSteps
//! [`Likelihood`]: losses::Likelihood
//! [`LimitedMemoryPreconditioner`]: preconditioners::LimitedMemoryPreconditioner
//! [`Loss`]: losses::Loss
//! [`MirrorDescent`]: first_order::MirrorDescent
//! [`Nesterov`]: first_order::Nesterov
//! [`NystromPreconditioner`]: preconditioners::NystromPreconditioner
//! [`Preconditioned`]: preconditioners::Preconditioned
//! [`RmsProp`]: first_order::RmsProp
//! [`RobustLoss`]: losses::RobustLoss
//! [`Scaled`]: operators::Scaled
//! [`Shifted`]: operators::Shifted
//! [`Soap`]: first_order::Soap
//! [`SteepestDescent`]: first_order::SteepestDescent
//! [`Steps`]: steps::Steps
//! [`Subproblem::Cubic`]: steps::Subproblem::Cubic
//! [`Subproblem::Damped`]: steps::Subproblem::Damped
//! [`Subproblem::MetricBall`]: steps::Subproblem::MetricBall
//! [`Subproblem::Radius`]: steps::Subproblem::Radius
//! [`Subproblem::SaddleFree`]: steps::Subproblem::SaddleFree
//! [`Sum`]: operators::Sum
//! [`with_diagonal`]: preconditioners::with_diagonal
//! [`with_preconditioner`]: preconditioners::with_preconditioner
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod base;
mod control;
mod curvature;
mod operator;
mod solver;
mod step;
mod structured;

pub mod check;
#[cfg(feature = "models")]
pub mod models;
#[cfg(feature = "problems")]
pub mod problems;
pub mod spectrum;
pub mod statistics;

pub use base::{Error, Result, Scalar};
pub use control::{
    AnyRun, Batches, Cancellation, Evaluation, Iteration, LeastSquaresReport, Progress, Report, Run, Stopping,
    Termination, observers,
};
pub use curvature::{
    LeastSquares, Metric, exponential_family, fit, fit_samples, least_squares, least_squares_dense,
    least_squares_from_residuals, mirror_map,
};
pub use operator::{
    Counts, Expansion, LinearMap, Linearization, Model, Objective, SampledModel, SampledObjective, SymmetricOperator,
    linear_map, model, objective, objective_from_gradient, operator,
};
pub use solver::{
    Control, CubicRegularization, Descent, GaussNewton, HessianFree, Lbfgs, LevenbergMarquardt, Memory,
    NaturalGradient, NewtonCg, Scaling, TrustRegion,
};
pub use step::{InnerSolver, LinearLeastSquares, damped_step, linear_least_squares, minres};

#[cfg(feature = "serde")]
pub use control::{RunState, checkpoint};

/// Callbacks that may fail: closures that return `Result`, and how your own implementations of the traits do the same.
pub mod callbacks {
    pub use crate::base::{CallbackError, CallbackOutput, ErrorSlot};
}

/// Derivatives by differences: their order, the units of the parameters, patterns of sparse Jacobians.
pub mod differences {
    pub use crate::operator::{Around, Difference, DifferenceModel, GradientObjective, JacobianModel, Pattern, Units};
}

/// Methods of first order: the same equation with a simple metric.
pub mod first_order {
    pub use crate::base::Move;
    pub use crate::solver::{
        AdaGrad, Adam, Epsilon, FirstOrder, FullAdaGrad, GradientDescent, GradientMethod, HeavyBall, IterateAverage,
        LineSearch, MirrorDescent, Moments, Momentum, Nesterov, RmsProp, Schedule, Soap, SteepestDescent,
    };
}

/// The options and the runs of [`HessianFree`].
pub mod hessian_free {
    pub use crate::solver::{
        AcceptanceBatch, ConjugateGradients, CurvatureBatch, GradientBatch, HessianFreeRun, StepMethod, SubspaceDescent,
    };
}

/// Losses of models that learn from samples, and robust losses of residuals.
pub mod losses {
    pub use crate::curvature::{
        Arctan, BernoulliCrossEntropy, Cauchy, GaussianLoss, Huber, Likelihood, Loss, Parts, PoissonLoss, RobustError,
        RobustLoss, SoftL1, SoftmaxCrossEntropy, SquaredError, Squares, Tukey,
    };
}

/// Operators, objectives and models: what closures and models become, combined, counted, weighted, in blocks.
pub mod operators {
    pub use crate::curvature::ModelObjective;
    pub use crate::operator::{
        BlockModel, BlockStructure, ClosureModel, ClosureObjective, Counted, DiagonalOperator, DivergenceObjective,
        FnLinearMap, FnOperator, LayerShape, PriorModel, Scaled, SecondOrderModel, Shifted, ShiftedDiagonal,
        StructuralDamping, Sum, WeightedModel, complex, with_divergence, with_second_order,
    };
}

/// Preconditioners: given, of the diagonal, of a few products, and those that learn from samples.
pub mod preconditioners {
    pub use crate::curvature::{
        DiagonalPreconditioner, EmpiricalFisherDiagonal, KroneckerPreconditioner, LearnedPreconditioner, LearningCost,
        LimitedMemoryPreconditioner, NystromPreconditioner, Preconditioned, PreconditionedObjective, ProductRecord,
        with_diagonal, with_preconditioner,
    };
    pub use crate::operator::Preconditioner;
}

/// The generator of pseudo-random numbers behind everything that is drawn.
pub mod random {
    pub use crate::base::SplitMix64;
}

#[doc = include_str!("distributed.md")]
pub mod ranks {
    pub use crate::base::{Communicator, Slices, check_equal, distributed, reductions};
    pub use crate::operator::Summed;
}

/// Steps by themselves, for your own loop: subproblems of a quadratic model, of least squares, linear systems.
pub mod steps {
    pub use crate::step::{
        InnerStop, LeastSquaresStep, LeastSquaresSteps, LinearOutcome, LinearReport, MinresOptions, MinresOutcome,
        MinresReport, NonpositiveCurvature, Step, StepOptions, StepOutcome, Steps, Subproblem,
    };
}

#[doc = include_str!("choosing.md")]
pub mod choosing {}

#[doc = include_str!("scaling.md")]
pub mod scaling {}

#[doc = include_str!("proximity.md")]
pub mod proximity {}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
