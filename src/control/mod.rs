//! Floor 4: control. When a step is good, when a run ends, and what is reported of it.

mod batches;
#[cfg(feature = "serde")]
pub mod checkpoint;
mod equal_ratios;
mod history;
mod judge;
mod least_squares_report;
mod line_search;
pub mod observers;
mod report;
mod stopping;
mod termination;

pub use batches::Batches;
pub use least_squares_report::{LeastSquaresProgress, LeastSquaresReport};
pub use report::{Iteration, Progress, Report};
pub use stopping::Stopping;
pub use termination::{Evaluation, Termination};

pub(crate) use equal_ratios::EqualRatios;
pub(crate) use history::History;
pub(crate) use judge::{Verdict, judge, judge_decrease, rounding};
pub(crate) use line_search::{Found, Line, Point, Rules, backtrack, strong_wolfe};
