//! The text format of the NIST StRD files for nonlinear regression.
//!
//! Line 2 names the problem, and a line such as "Lower Level of Difficulty" says how hard it is; header lines give ranges
//! of lines, counted from 1: "Starting Values (lines 41 to 42)" and "Data (lines 61 to 74)". A line of the first range
//! reads `b1 = START1 START2 CERTIFIED DEVIATION`; the lines after it give the certified sum of squares, the residual
//! standard deviation and the degrees of freedom. A line of the second range holds the response and the predictors.

use std::fmt;

use super::NistStrd;
use super::models::model;

/// Why a file could not be read: what is wrong, and in which line.
#[derive(Clone, Debug, PartialEq)]
pub struct NistStrdError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in which the number or word begins, counted from 1.
    pub column: usize,
    /// What is wrong, in words.
    pub problem: String,
}

impl fmt::Display for NistStrdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.problem)
    }
}

impl std::error::Error for NistStrdError {}

type Result<V> = std::result::Result<V, NistStrdError>;

/// The lines of a file, and errors that name them.
struct Lines<'t>(Vec<&'t str>);

impl<'t> Lines<'t> {
    fn error(&self, line: usize, word: &str, problem: impl Into<String>) -> NistStrdError {
        let text = self.0.get(line).copied().unwrap_or("");
        let column = 1 + if word.is_empty() { 0 } else { text.find(word).unwrap_or(0) };
        NistStrdError { line: line + 1, column, problem: problem.into() }
    }

    fn number(&self, line: usize, word: &str) -> Result<f64> {
        let number = word.parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| self.error(line, word, format!("'{word}' is not a finite number")))
    }

    fn get(&self, line: usize) -> Result<&'t str> {
        self.0
            .get(line)
            .copied()
            .ok_or_else(|| self.error(self.0.len(), "", format!("the text ends before line {}", line + 1)))
    }

    /// The line that has `label` and what follows it there.
    fn after(&self, label: &str) -> Result<(usize, &'t str)> {
        let found = self.0.iter().enumerate().find_map(|(i, line)| {
            let lower = line.to_ascii_lowercase();
            lower.find(&label.to_ascii_lowercase()).map(|at| (i, &line[at + label.len()..]))
        });
        found.ok_or_else(|| self.error(0, "", format!("there is no line with '{label}'")))
    }

    /// The lines, counted from 0, of "LABEL (lines A to B)".
    fn range(&self, label: &str) -> Result<std::ops::Range<usize>> {
        let (line, rest) = self.after(label)?;
        let words: Vec<&str> = rest.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty()).collect();
        match words.iter().map(|word| word.parse::<usize>()).collect::<std::result::Result<Vec<_>, _>>().as_deref() {
            Ok([from, to]) if 1 <= *from && from <= to => Ok(from - 1..*to),
            _ => Err(self.error(line, rest.trim(), format!("'{}' is no range of lines", rest.trim()))),
        }
    }

    fn labelled(&self, label: &str) -> Result<f64> {
        let (line, rest) = self.after(label)?;
        self.number(line, rest.trim())
    }
}

impl NistStrd {
    /// Reads a file in NIST's format, whose name is that of one of the 27 problems.
    ///
    /// # Errors
    /// With line and column where a number, a range of lines or a whole section is missing or malformed, where the name
    /// is none of the 27, or the parameters or data are not those that its model needs.
    pub fn parse(text: &str) -> Result<Self> {
        let mut problem = read(text)?;
        let error = |problem| NistStrdError { line: 2, column: 1, problem };
        let (name, found) = (&problem.name, problem.certified.len());
        let Some((expected, _)) = model::<f64>(name) else {
            return Err(error(format!("'{name}' is none of the 27 problems")));
        };
        if found != expected {
            return Err(error(format!("the model of {name} has {expected} parameters, the text {found}")));
        }
        let predictors = if name == "Nelson" { 2 } else { 1 };
        if problem.rows.iter().any(|row| row.len() != 1 + predictors) {
            return Err(error(format!("the model of {name} needs {predictors} predictors")));
        }
        if name == "Nelson" {
            problem.rows.iter_mut().for_each(|row| row[0] = row[0].ln());
        }
        Ok(problem)
    }
}

/// Reads a file, whatever its name is.
fn read(text: &str) -> Result<NistStrd> {
    let lines = Lines(text.lines().collect());
    let name = lines.after("Dataset Name:")?.1.split_whitespace().next().unwrap_or("").to_owned();
    let (level, _) = lines.after("Level of Difficulty")?;
    let difficulty = lines.get(level)?.split_whitespace().next().unwrap_or("").to_ascii_lowercase();
    if !["lower", "average", "higher"].contains(&difficulty.as_str()) {
        return Err(lines.error(level, "", "the level of difficulty is none of Lower, Average and Higher"));
    }
    let mut problem = NistStrd {
        name,
        difficulty,
        starts: [vec![], vec![]],
        certified: vec![],
        deviations: vec![],
        sum_of_squares: lines.labelled("Residual Sum of Squares:")?,
        residual_deviation: lines.labelled("Residual Standard Deviation:")?,
        rows: vec![],
    };
    for line in lines.range("Starting Values   (lines")? {
        let text = lines.get(line)?;
        let Some((_, numbers)) = text.split_once('=') else {
            return Err(lines.error(line, "", "expected 'bN = START1 START2 CERTIFIED DEVIATION'"));
        };
        let numbers = numbers.split_whitespace().map(|word| lines.number(line, word)).collect::<Result<Vec<_>>>()?;
        let [first, second, certified, deviation] = numbers[..] else {
            return Err(lines.error(line, "", format!("expected 4 numbers after '=', found {}", numbers.len())));
        };
        problem.starts[0].push(first);
        problem.starts[1].push(second);
        problem.certified.push(certified);
        problem.deviations.push(deviation);
    }
    for line in lines.range("Data              (lines")? {
        let row =
            lines.get(line)?.split_whitespace().map(|word| lines.number(line, word)).collect::<Result<Vec<_>>>()?;
        let expected = problem.rows.first().map_or(row.len().max(2), Vec::len);
        if row.len() != expected {
            return Err(lines.error(line, "", format!("expected {expected} numbers, found {}", row.len())));
        }
        problem.rows.push(row);
    }
    Ok(problem)
}
