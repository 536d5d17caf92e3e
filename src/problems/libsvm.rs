//! The LIBSVM text format of classification sets: a line `label index:value index:value …` for every row.
//!
//! Indices start at 1 and rise within a line; what is absent is zero. Labels may be any two numbers: the larger becomes
//! +1, the other −1. Empty lines, blanks at line ends, CRLF and comments from `#` to the line's end are tolerated.
//! Chang & Lin, LIBSVM: a library for support vector machines (2011), <https://www.csie.ntu.edu.tw/~cjlin/libsvm/>.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use super::SparseRows;
use crate::base::Scalar;

/// A set of rows with a class for each.
#[derive(Clone, Debug, PartialEq)]
pub struct LabeledRows<T> {
    /// The features, a row for every sample.
    pub features: SparseRows<T>,
    /// +1 or −1 for every row.
    pub labels: Vec<T>,
    /// The numbers that stood in the text for −1 and for +1.
    pub classes: [f64; 2],
}

/// Why a set could not be read: what is wrong, and where.
#[derive(Debug)]
pub struct LibsvmError {
    /// The file, if the text came from one.
    pub file: Option<PathBuf>,
    /// The line, counted from 1; 0 if nothing was read.
    pub line: usize,
    /// The character within the line, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub problem: LibsvmProblem,
}

/// What is wrong with a text in LIBSVM format.
#[derive(Debug)]
#[non_exhaustive]
pub enum LibsvmProblem {
    /// The text could not be read at all.
    Io(io::Error),
    /// A label is not a finite number.
    Label(String),
    /// Something that is not `index:value`.
    Pair(String),
    /// An index is not a whole number below 2³².
    Index(String),
    /// An index is 0, but indices start at 1.
    IndexZero,
    /// An index is not larger than the one before it.
    IndexNotRising {
        /// The index before.
        previous: u32,
        /// The index.
        index: u32,
    },
    /// A value is not a number.
    Value(String),
    /// A value is NaN, infinite, or too large for the number type.
    NotFinite(String),
    /// There is no row, or no row has a feature.
    Empty,
    /// All rows have the same label.
    OneClass(f64),
    /// A third label.
    ThirdClass {
        /// The two labels before, the smaller first.
        classes: [f64; 2],
        /// The third.
        label: f64,
    },
}

impl fmt::Display for LibsvmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}:", file.display())?,
            None => write!(f, "input:")?,
        }
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        write!(f, " {}", self.problem)
    }
}

impl fmt::Display for LibsvmProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LibsvmProblem::Io(error) => write!(f, "{error}"),
            LibsvmProblem::Label(text) => write!(f, "the label {text:?} is not a finite number"),
            LibsvmProblem::Pair(text) => write!(f, "{text:?} is not of the form index:value"),
            LibsvmProblem::Index(text) => write!(f, "the index {text:?} is not a whole number from 1 to 4294967295"),
            LibsvmProblem::IndexZero => write!(f, "the index is 0, but indices start at 1"),
            LibsvmProblem::IndexNotRising { previous, index } => {
                write!(f, "the index {index} follows {previous}, but indices must rise within a line")
            }
            LibsvmProblem::Value(text) => write!(f, "the value {text:?} is not a number"),
            LibsvmProblem::NotFinite(text) => write!(f, "the value {text} is not finite"),
            LibsvmProblem::Empty => write!(f, "there is no data"),
            LibsvmProblem::OneClass(label) => write!(f, "all rows have the label {label}, but two classes are needed"),
            LibsvmProblem::ThirdClass { classes: [low, high], label } => {
                write!(f, "the label {label} is a third one after {low} and {high}, but two classes are needed")
            }
        }
    }
}

impl std::error::Error for LibsvmError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            LibsvmProblem::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// Reads the file at `path`.
///
/// # Errors
/// If the file cannot be read or is not a set of two classes: the error names the file, the line and the character.
pub fn read_libsvm_file<T: Scalar>(path: impl AsRef<Path>) -> Result<LabeledRows<T>, LibsvmError> {
    let path = path.as_ref();
    let open = || File::open(path).map_err(|e| LibsvmError::at(0, 0, LibsvmProblem::Io(e)));
    let read = open().and_then(|file| read_libsvm(BufReader::with_capacity(1 << 18, file)));
    read.map_err(|e| LibsvmError { file: Some(path.to_path_buf()), ..e })
}

/// Reads a text.
///
/// ```
/// use newton_krylov::problems::parse_libsvm;
///
/// let set = parse_libsvm::<f64>("+1 1:0.5 3:2\n-1 2:1 # a comment\n").unwrap();
/// assert_eq!((set.features.rows(), set.features.cols()), (2, 3));
/// assert_eq!(set.labels, [1.0, -1.0]);
///
/// let error = parse_libsvm::<f64>("+1 1:0.5 3:2\n-1 2:one\n").unwrap_err();
/// assert_eq!(error.to_string(), "input:2:6: the value \"one\" is not a number");
/// ```
///
/// # Errors
/// If the text is not a set of two classes: the error names the line and the character.
pub fn parse_libsvm<T: Scalar>(text: &str) -> Result<LabeledRows<T>, LibsvmError> {
    read_libsvm(text.as_bytes())
}

/// Reads from `reader` to its end.
///
/// # Errors
/// If reading fails or the text is not a set of two classes: the error names the line and the character.
pub fn read_libsvm<T: Scalar>(mut reader: impl BufRead) -> Result<LabeledRows<T>, LibsvmError> {
    let mut set = Reading { row_starts: vec![0], columns: vec![], values: vec![], labels: vec![], classes: vec![] };
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => number += 1,
            Err(error) => return Err(LibsvmError::at(number + 1, 1, LibsvmProblem::Io(error))),
        }
        set.read_line(&line).map_err(|(position, problem)| {
            let column = String::from_utf8_lossy(&line[..position]).chars().count() + 1;
            LibsvmError::at(number, column, problem)
        })?;
    }
    set.finish().map_err(|problem| LibsvmError::at(number, 1, problem))
}

/// Writes rows and labels in LIBSVM format. Numbers are written in full: reading them back gives the same bits.
///
/// # Errors
/// If writing fails.
pub fn write_libsvm<T: Scalar>(mut writer: impl Write, features: &SparseRows<T>, labels: &[T]) -> io::Result<()> {
    for (i, label) in labels.iter().enumerate().take(features.rows()) {
        write!(writer, "{label:+}")?;
        let (columns, values) = features.row(i);
        for (&column, value) in columns.iter().zip(values) {
            write!(writer, " {}:{value}", column + 1)?;
        }
        writeln!(writer)?;
    }
    writer.flush()
}

impl LibsvmError {
    fn at(line: usize, column: usize, problem: LibsvmProblem) -> Self {
        LibsvmError { file: None, line, column, problem }
    }
}

/// What has been read so far.
struct Reading<T> {
    row_starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<T>,
    labels: Vec<f64>,
    classes: Vec<f64>,
}

impl<T: Scalar> Reading<T> {
    /// Reads one line; an error comes with the byte at which it stands.
    fn read_line(&mut self, line: &[u8]) -> Result<(), (usize, LibsvmProblem)> {
        let mut at = 0;
        let Some(token) = next_token(line, &mut at) else { return Ok(()) };
        let label = parse(token).filter(|v: &f64| v.is_finite());
        let label = label.ok_or_else(|| (at - token.len(), LibsvmProblem::Label(text(token))))?;
        if !self.classes.contains(&label) {
            if let [a, b] = self.classes[..] {
                let classes = [a.min(b), a.max(b)];
                return Err((at - token.len(), LibsvmProblem::ThirdClass { classes, label }));
            }
            self.classes.push(label);
        }
        let mut previous = 0;
        while let Some(token) = next_token(line, &mut at) {
            let start = at - token.len();
            let Some(colon) = token.iter().position(|&c| c == b':') else {
                return Err((start, LibsvmProblem::Pair(text(token))));
            };
            let (index, value) = (&token[..colon], &token[colon + 1..]);
            let index = parse_index(index).ok_or_else(|| (start, LibsvmProblem::Index(text(index))))?;
            if index == 0 {
                return Err((start, LibsvmProblem::IndexZero));
            }
            if index <= previous {
                return Err((start, LibsvmProblem::IndexNotRising { previous, index }));
            }
            let start = start + colon + 1;
            let number = parse(value).ok_or_else(|| (start, LibsvmProblem::Value(text(value))))?;
            let number = T::from_f64(number);
            if !number.is_finite() {
                return Err((start, LibsvmProblem::NotFinite(text(value))));
            }
            self.columns.push(index - 1);
            self.values.push(number);
            previous = index;
        }
        self.labels.push(label);
        self.row_starts.push(self.values.len());
        Ok(())
    }

    fn finish(self) -> Result<LabeledRows<T>, LibsvmProblem> {
        let cols = self.columns.iter().max().map_or(0, |&c| c as usize + 1);
        let classes = match self.classes[..] {
            _ if cols == 0 => return Err(LibsvmProblem::Empty),
            [a, b] => [a.min(b), a.max(b)],
            _ => return Err(LibsvmProblem::OneClass(self.labels[0])),
        };
        let labels = self.labels.iter().map(|&l| if l == classes[1] { T::one() } else { -T::one() }).collect();
        let features = SparseRows::from_checked(self.row_starts, self.columns, self.values, cols);
        Ok(LabeledRows { features, labels, classes })
    }
}

fn text(token: &[u8]) -> String {
    String::from_utf8_lossy(token).into_owned()
}

/// The next piece without blanks; `at` moves to its end. Nothing at a comment or at the line's end.
fn next_token<'a>(line: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    while *at < line.len() && line[*at].is_ascii_whitespace() {
        *at += 1;
    }
    let start = *at;
    while *at < line.len() && !line[*at].is_ascii_whitespace() && line[*at] != b'#' {
        *at += 1;
    }
    if *at > start { Some(&line[start..*at]) } else { None }
}

fn parse_index(token: &[u8]) -> Option<u32> {
    parse(token).filter(|_| token.iter().all(u8::is_ascii_digit))
}

fn parse<N: std::str::FromStr>(token: &[u8]) -> Option<N> {
    std::str::from_utf8(token).ok()?.parse().ok()
}
