//! Floor 4: control. When a step is good, when a run ends, and what is reported of it.

mod batches;
mod history;
mod judge;
mod line_search;
mod report;
mod stopping;
mod termination;

pub use batches::Batches;
pub use report::{Iteration, Progress, Report};
pub use stopping::Stopping;
pub use termination::{Evaluation, Termination};

pub(crate) use history::History;
pub(crate) use judge::{Verdict, judge, rounding};
pub(crate) use line_search::{Found, Line, Point, Rules, backtrack, strong_wolfe};
