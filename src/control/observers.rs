//! Observers at hand: the history of a run, written line by line while it runs.
//!
//! An observer is a closure, so several are one after the other, with `?` where one may stop the run:
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use newton_krylov::observers::Log;
//! use newton_krylov::{TrustRegion, objective};
//!
//! let bowl = objective(
//!     1,
//!     |x: &[f64]| x[0] * x[0],
//!     |x, g| g[0] = 2.0 * x[0],
//!     |_, v, hv| hv[0] = 2.0 * v[0],
//! );
//! let (mut csv, mut progress) = (Log::csv(vec![]), Log::progress(1.0));
//! TrustRegion::default().minimize_with(&bowl, &[1.0], |state| {
//!     csv.observe(state)?;
//!     progress.observe(state)?;
//!     if state.value < 1e-30 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
//! })?;
//! let text = String::from_utf8(csv.finish()?)?;
//! assert!(text.starts_with("iteration,seconds,value,gradient_norm,"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt::Write as _;
use std::io::{self, Stderr, Write};
use std::ops::ControlFlow;

use super::Progress;

/// Writes a line for the start and for every iteration. It never stops a run: after an error of the writer it writes
/// nothing more, and keeps the error for [`error`](Self::error) and [`finish`](Self::finish).
///
/// Per line: iteration, seconds so far, f(x), ‖∇f(x)‖₂; ‖δ‖₂, the ratio of the actual to the predicted decrease and the
/// trial points that were rejected, of the step that led here (empty or `null` at the start); and values, gradients and
/// products (of both kinds, in least squares) so far. Numbers have as many digits as restore them exactly.
#[derive(Debug)]
pub struct Log<W> {
    writer: W,
    form: Form,
    /// Seconds from one line to the next, at least.
    every: f64,
    /// Seconds at which the last line was written.
    last: Option<f64>,
    line: String,
    error: Option<io::Error>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Text,
    Csv,
    JsonLines,
}

impl Log<Stderr> {
    /// Aligned lines for people, on the standard error, at most one in so many seconds; 0 for every iteration.
    pub fn progress(every: f64) -> Self {
        Log { every, ..Log::new(io::stderr(), Form::Text) }
    }
}

impl<W: Write> Log<W> {
    /// Comma-separated values, with a line of names first. Numbers that are not finite are `NaN`, `inf` and `-inf`.
    pub fn csv(writer: W) -> Self {
        Log::new(writer, Form::Csv)
    }

    /// A JSON object in every line. Numbers that are not finite are `null`.
    pub fn json_lines(writer: W) -> Self {
        Log::new(writer, Form::JsonLines)
    }

    fn new(writer: W, form: Form) -> Self {
        Log { writer, form, every: 0.0, last: None, line: String::new(), error: None }
    }

    /// Writes a line; to be called by an observer, or to be one: `|state| log.observe(state)`. Always goes on.
    pub fn observe<T>(&mut self, progress: &Progress<'_, T>) -> ControlFlow<()> {
        let first = self.last.is_none();
        if self.error.is_none() && self.is_due(progress.seconds) {
            self.line.clear();
            self.form.write(&columns(progress), first, &mut self.line);
            self.error = self.writer.write_all(self.line.as_bytes()).err();
        }
        ControlFlow::Continue(())
    }

    /// Whether the last line is long ago.
    fn is_due(&mut self, now: f64) -> bool {
        let due = self.last.is_none_or(|last| now - last >= self.every);
        if due {
            self.last = Some(now);
        }
        due
    }

    /// The first error of the writer.
    pub fn error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }

    /// Flushes the writer and gives it back.
    ///
    /// # Errors
    /// If the writer returned an error, now or before: the first one.
    pub fn finish(mut self) -> io::Result<W> {
        match self.error {
            Some(error) => Err(error),
            None => self.writer.flush().map(|()| self.writer),
        }
    }
}

/// What a column holds: a count, a number, or nothing.
#[derive(Clone, Copy)]
enum Cell {
    Count(usize),
    Number(Option<f64>),
}

type Column = (&'static str, Cell);

fn columns<T>(progress: &Progress<'_, T>) -> [Column; 10] {
    use Cell::{Count, Number};
    let (counts, last) = (progress.counts, progress.last);
    [
        ("iteration", Count(progress.iteration)),
        ("seconds", Number(Some(progress.seconds))),
        ("value", Number(Some(progress.value))),
        ("gradient_norm", Number(Some(progress.gradient_norm))),
        ("step_norm", Number(last.map(|last| last.step_norm))),
        ("ratio", Number(last.map(|last| last.ratio))),
        ("rejected", last.map_or(Number(None), |last| Count(last.rejected))),
        ("values", Count(counts.values)),
        ("gradients", Count(counts.gradients)),
        ("products", Count(counts.all_products())),
    ]
}

impl Form {
    /// Appends a line, below the names if it is the first and they are not in every line.
    fn write(self, columns: &[Column], first: bool, line: &mut String) {
        if first && self != Form::JsonLines {
            self.row(columns, line, |form, name, _, line| match form {
                Form::Text => write!(line, "{name:>13}"),
                _ => write!(line, "{name}"),
            });
        }
        self.row(columns, line, |form, name, cell, line| {
            if form == Form::JsonLines {
                write!(line, "\"{name}\":")?;
            }
            match (form, cell) {
                (Form::Text, Cell::Count(count)) => write!(line, "{count:>13}"),
                (Form::Text, Cell::Number(Some(number))) => write!(line, "{number:>13.5e}"),
                (Form::Text, Cell::Number(None)) => write!(line, "{:>13}", ""),
                (_, Cell::Count(count)) => write!(line, "{count}"),
                (Form::JsonLines, Cell::Number(number)) => match number.filter(|number| number.is_finite()) {
                    Some(number) => write!(line, "{number:e}"),
                    None => write!(line, "null"),
                },
                (Form::Csv, Cell::Number(Some(number))) => write!(line, "{number:e}"),
                (Form::Csv, Cell::Number(None)) => Ok(()),
            }
        });
    }

    fn row(
        self,
        columns: &[Column],
        line: &mut String,
        cell: impl Fn(Form, &str, Cell, &mut String) -> std::fmt::Result,
    ) {
        let [before, between, after] = match self {
            Form::Text => ["", " ", "\n"],
            Form::Csv => ["", ",", "\n"],
            Form::JsonLines => ["{", ",", "}\n"],
        };
        line.push_str(before);
        for (i, &(name, value)) in columns.iter().enumerate() {
            if i > 0 {
                line.push_str(between);
            }
            cell(self, name, value, line).expect("a string takes all that is written");
        }
        line.push_str(after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_people_are_aligned_and_not_too_many() {
        let mut log = Log { every: 1.0, ..Log::new(io::sink(), Form::Text) };
        assert_eq!([0.0, 0.4, 0.99, 1.0, 1.5, 3.0].map(|at| log.is_due(at)), [true, false, false, true, false, true]);
        let mut text = String::new();
        let columns = |value| [("count", Cell::Count(7)), ("value", Cell::Number(value)), ("c", Cell::Number(None))];
        Form::Text.write(&columns(Some(-1e-300)), true, &mut text);
        Form::Text.write(&columns(Some(f64::NEG_INFINITY)), false, &mut text);
        let lines: Vec<_> =
            text.lines().map(|line| (line.len(), line.split_whitespace().collect::<Vec<_>>())).collect();
        let expected = [vec!["count", "value", "c"], vec!["7", "-1.00000e-300"], vec!["7", "-inf"]];
        assert_eq!(lines, expected.map(|words| (3 * 13 + 2, words)));
    }
}
