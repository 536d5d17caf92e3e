//! Floor 5: control. When a step is good, when a run ends, and what is reported of it.

mod any_run;
mod batches;
mod cancellation;
#[cfg(feature = "serde")]
pub mod checkpoint;
mod convergence;
mod descent;
mod ending;
mod equal_ratios;
mod globalisation;
mod history;
mod identity;
mod judge;
mod least_squares_report;
mod limits;
mod line_search;
#[cfg(test)]
mod line_search_tests;
pub mod observers;
mod oracle;
mod report;
mod run;
mod search;
mod start;
#[cfg(feature = "serde")]
mod state;
mod stopping;
mod termination;
mod track;
mod visit;

pub use any_run::AnyRun;
pub use batches::Batches;
pub use cancellation::Cancellation;
pub use least_squares_report::LeastSquaresReport;
pub use report::{Iteration, Progress, Report};
pub use run::Run;
#[cfg(feature = "serde")]
pub use state::RunState;
pub use stopping::Stopping;
pub use termination::{Evaluation, Termination};

pub(crate) use convergence::{Ending, Measures, Promise, not_worth_a_step, rounding_of_point};
pub(crate) use descent::DescentRun;
pub(crate) use ending::Whole;
pub(crate) use equal_ratios::EqualRatios;
pub(crate) use globalisation::{Globalisation, Scales, StoredGlobalisation, Trial, norm_or_one, reach};
pub(crate) use history::History;
pub(crate) use identity::{Identity, type_name};
pub(crate) use judge::{Judgement, contradiction, judge, judge_decrease, rounding};
pub(crate) use limits::Limits;
pub(crate) use line_search::{Found, Line, Point, Rules, backtrack, shown_noise, strong_wolfe};
pub(crate) use oracle::{Confirmation, Entry, LocalProblem, Look, Oracle, Outcome};
pub(crate) use start::{Start, check_start};
pub(crate) use track::{Pending, Track};
