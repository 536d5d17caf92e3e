//! Reference problems with known answers (feature `problems`): templates for users, truth for tests and benches.

mod libsvm;
mod logistic_regression;
mod sparse_rows;

pub use libsvm::{LabeledRows, LibsvmError, LibsvmProblem, parse_libsvm, read_libsvm, read_libsvm_file, write_libsvm};
pub use logistic_regression::{LogisticExpansion, LogisticRegression, generate_wide_sparse};
pub use sparse_rows::SparseRows;
