//! Checks of a user's own callbacks, to run once before a solver is trusted with them.
//!
//! [`objective`] runs them all at one point and explains what it finds; [`gradient`], [`product`] and [`operator`] run
//! a part; [`least_squares`] does the same for residuals and the products of their Jacobian, [`linear_map`],
//! [`sampled_model`], [`loss`] with its likelihood and [`preconditioner`] for these. Everything is decided by
//! values, gradients and products alone, with random directions fixed by a seed. Every output is full of NaN before it is
//! written, so that a component that is left out is named wherever that happens. A callback's error is handed out.
//!
//! | check | compares | says |
//! | --- | --- | --- |
//! | evaluation | the same call with `out` full of NaN, of junk, of zeros, and again after a visit elsewhere | not finite, unwritten, `out` is read, not repeatable, stale |
//! | gradient | f(x + hv) − f(x) with h∇f(x)ᵀv | exact, or sign, factor, component |
//! | linearity | M(αu + βv) with αMu + βMv | linear or not |
//! | symmetry | uᵀMv with vᵀMu | symmetric or not |
//! | curvature | vᵀMv / vᵀv | the signs met; information, never a failure |
//! | Jv, Jᵀu | r(x + hv) − r(x) with hJv and uᵀ(r(x + hv) − r(x)) with hvᵀJᵀu; uᵀ(Jv) with vᵀ(Jᵀu) | which of the two is wrong |
//! | loss | its derivatives as those of an objective; score, Fisher matrix and divergence with draws and each other | which of them differs |
//! | preconditioner | P⁻¹ as an operator; the products of a solve with it and without | indefinite, no approximation |
//! | batches | a batch with its samples | whether it is theirs |
//! | product | ∇f(x + hv) − ∇f(x) with hM(x)v | the Hessian, an approximation such as Gauss–Newton, or wrong |
//!
//! ```
//! use newton_krylov::{check, objective};
//!
//! let rosenbrock = objective(
//!     2,
//!     |x: &[f64]| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2),
//!     |x, g| {
//!         g[0] = -400.0 * x[0] * (x[1] - x[0] * x[0]) - 2.0 * (1.0 - x[0]);
//!         g[1] = 200.0 * (x[1] - x[0] * x[0]);
//!     },
//!     |x, v, hv| {
//!         hv[0] = (1200.0 * x[0] * x[0] - 400.0 * x[1] + 2.0) * v[0] - 400.0 * x[0] * v[1];
//!         hv[1] = -400.0 * x[0] * v[0] + 200.0 * v[1];
//!     },
//! );
//! let verdict = check::objective(&rosenbrock, &[-1.2, 1.0], 1)?;
//! assert!(verdict.passed(), "{verdict}");
//! assert!(verdict.gradient.finding.error < 1e-8);
//! assert!((verdict.product.order.unwrap() - 2.0).abs() < 0.2);
//! # Ok::<(), newton_krylov::Error>(())
//! ```

mod curvature;
mod evaluation;
mod finding;
mod gradient;
mod least_squares;
mod line;
mod linear_map;
mod loss;
mod numbers;
mod objective;
mod operator;
mod preconditioner;
mod product;
mod sampled_model;
mod sweep;
mod table;
mod watch;

pub use curvature::{Curvature, Definiteness};
pub use finding::{Finding, Outcome, Property};
pub use gradient::gradient;
pub use least_squares::{LeastSquaresVerdict, least_squares};
pub use linear_map::{LinearMapVerdict, linear_map};
pub use loss::{LossVerdict, loss};
pub use objective::{ObjectiveVerdict, objective};
pub use operator::{OperatorVerdict, operator};
pub use preconditioner::{PreconditionerVerdict, preconditioner};
pub use product::product;
pub use sampled_model::{SampledModelVerdict, sampled_model};
pub use sweep::{Remainder, TaylorTest};

use crate::base::{Result, Scalar, check_finite, check_length, check_positive_dimension, space};

/// The relative error that every check allows, ε^⅜: 1.3e-6 for `f64`, 2.5e-3 for `f32`.
///
/// Derivatives that are themselves forward differences (an error near ε^½) usually still pass. What is missed: a wrong
/// component of the gradient whose error is below about this fraction of ‖∇f‖. In `f64` that is next to nothing; in
/// `f32` it may be a whole component that is much smaller than the others, so check in `f64` where you can.
pub fn tolerance<T: Scalar>() -> f64 {
    T::epsilon_f64().powf(0.375)
}

/// Refuses a point that no check can start from.
fn check_point<T: Scalar>(dim: usize, x: &[T]) -> Result<()> {
    space::check_whole("check")?;
    check_positive_dimension("the objective's dimension", dim)?;
    check_length("x", x, dim)?;
    check_finite("x", x)
}
