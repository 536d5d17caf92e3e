//! What the spectrum of a symmetric operator looks like, from its products alone.
//!
//! Why one asks: a Krylov solve takes about √κ products, where κ is the condition number, fewer where the eigenvalues
//! lie in clusters; a negative eigenvalue is a direction of descent; a damping λ leaves d_λ parameters free.
//!
//! | question | call | products | storage, vectors of length d |
//! | --- | --- | --- | --- |
//! | extreme eigenvalues, condition number | [`Lanczos::extremes`] | about √κ | 3 |
//! | k eigenpairs at an end | [`Lanczos::eigenpairs`] | a multiple of that | [`Lanczos::basis`] |
//! | trace | [`trace`] | the probes | 2 |
//! | trace, where few eigenvalues dominate | [`trace_hutch_plus_plus`] | as given | a third of that |
//! | diagonal | [`diagonal`] | the probes | 2, and 2 of `f64` |
//! | density, tr f(M), log-determinant, effective dimension | [`StochasticQuadrature`] | probes × steps | 3 |
//!
//! Every result says how accurate it is: eigenvalues have an error bound and a [`Status`], stochastic estimates a
//! standard error. Random numbers come from a seed, so the same call gives the same bits, for any number of threads if
//! the products' bits are the same. A product that is not finite and a matrix that is not symmetric are results, not
//! errors.
//!
//! ```
//! use newton_krylov::spectrum::{Lanczos, Status, StochasticQuadrature};
//! use newton_krylov::operators::DiagonalOperator;
//!
//! let m = DiagonalOperator((1..=1000).map(f64::from).collect());
//! let extremes = Lanczos::default().extremes(&m)?;
//! assert_eq!(extremes.status, Status::Converged);
//! assert!((extremes.largest.value - 1000.0).abs() <= extremes.largest.error);
//! let condition = extremes.condition().unwrap();
//! assert!(condition.lower <= 1000.0 && 1000.0 <= condition.upper);
//!
//! let spectrum = StochasticQuadrature::default().of(&m)?;
//! let free = spectrum.effective_dimension(100.0)?;
//! let exact: f64 = (1..=1000).map(f64::from).map(|v| v / (v + 100.0)).sum();
//! assert!((free.value - exact).abs() < 4.0 * free.standard_error + free.truncation);
//! # Ok::<(), newton_krylov::Error>(())
//! ```

mod diagonal;
mod eigenpairs;
mod end;
mod estimate;
mod exact;
mod extremes;
mod lanczos;
mod process;
mod quadrature;
mod status;
mod trace;
mod tridiagonal;

use crate::base::{Result, check_positive_dimension, space};
use crate::operator::SymmetricOperator;

pub use diagonal::{DiagonalEstimate, diagonal};
pub use eigenpairs::Eigenpairs;
pub use end::End;
pub use estimate::Estimate;
pub use extremes::{Condition, Eigenvalue, Extremes};
pub use lanczos::Lanczos;
pub use quadrature::{Spectrum, StochasticQuadrature};
pub use status::Status;
pub use trace::{trace, trace_hutch_plus_plus};

/// The dimension of an operator, which is not 0 and whose vectors are whole.
fn dimension<T>(operator: &(impl SymmetricOperator<T> + ?Sized)) -> Result<usize> {
    space::check_whole("spectrum")?;
    check_positive_dimension("the operator's dimension", operator.dim())?;
    Ok(operator.dim())
}
