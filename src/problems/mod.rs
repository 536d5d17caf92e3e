//! Reference problems with known answers (feature `problems`): templates for users, truth for tests and benches.
//!
//! | problem | unknowns | truth |
//! | --- | --- | --- |
//! | [`MoreGarbowHillstrom`]: 35 sums of squares | 2 to 1000 | published minima |
//! | [`NistStrd`]: 27 nonlinear regressions | 2 to 9 | certified parameters |
//! | [`ChainedRosenbrock`]: one long curved valley | any | F = 0 at (1, …, 1) |
//! | [`GinzburgLandau`]: a nonlinear elliptic equation on a cube | 10⁶ and more | manufactured solutions |
//! | [`LogisticRegression`]: L2-regularised, on sparse rows | features | LIBLINEAR's optimum |
//!
//! All work in `f32` and `f64` with exact derivatives. The regressions are [`LeastSquares`](crate::LeastSquares) problems,
//! all others [`Objective`](crate::Objective)s.

mod chained_rosenbrock;
mod libsvm;
mod logistic_regression;
mod more_garbow_hillstrom;
mod nist_strd;
mod number;
mod pde_energy;
mod sparse_rows;
mod wide_sparse;

pub use chained_rosenbrock::ChainedRosenbrock;
pub use libsvm::{LabeledRows, LibsvmError, LibsvmProblem, parse_libsvm, read_libsvm, read_libsvm_file, write_libsvm};
pub use logistic_regression::{LogisticExpansion, LogisticRegression};
pub use more_garbow_hillstrom::{Minimum, MoreGarbowHillstrom};
pub use nist_strd::{NistStrd, NistStrdError};
pub use pde_energy::GinzburgLandau;
pub use sparse_rows::SparseRows;
pub use wide_sparse::generate_wide_sparse;
