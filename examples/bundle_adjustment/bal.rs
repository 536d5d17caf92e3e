//! Problems in the text format of "Bundle adjustment in the large" (Agarwal, Snavely, Seitz & Szeliski, ECCV 2010).
//!
//! Numbers separated by white space: how many cameras, points and observations; for each observation the camera, the
//! point and where it is seen (two numbers); nine numbers for each camera; three for each point. Indices begin at 0.

use std::fmt;
use std::io::{self, Write};

use super::camera::{CAMERA, POINT};

/// A point seen by a camera.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    pub camera: usize,
    pub point: usize,
    pub seen: [f64; 2],
}

/// Cameras, points, and what they see.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    pub cameras: usize,
    pub points: usize,
    pub observations: Vec<Observation>,
    /// All cameras, then all points.
    pub parameters: Vec<f64>,
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct ParseError {
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl std::error::Error for ParseError {}

/// Words of a text, one after the other.
struct Words<'a> {
    file: &'a str,
    text: &'a str,
    /// Where the last word begins, and the rest.
    start: usize,
    rest: usize,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        let blank = |i: &usize| bytes[*i].is_ascii_whitespace();
        self.start = (self.rest..bytes.len()).find(|i| !blank(i)).unwrap_or(bytes.len());
        self.rest = (self.start..bytes.len()).find(blank).unwrap_or(bytes.len());
        // ASCII blanks are whole characters, so these are boundaries of characters.
        (self.start < self.rest).then(|| &self.text[self.start..self.rest])
    }

    /// An error at the last word.
    fn error(&self, message: String) -> ParseError {
        let before = &self.text[..self.start];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        ParseError {
            file: self.file.into(),
            line: 1 + before.bytes().filter(|&b| b == b'\n').count(),
            column: 1 + before[line_start..].chars().count(),
            message,
        }
    }

    fn word(&mut self, what: &str) -> Result<&'a str, ParseError> {
        match self.next() {
            Some(word) => Ok(word),
            None => Err(self.error(format!("the file ends where {what} should be"))),
        }
    }

    fn count(&mut self, what: &str) -> Result<usize, ParseError> {
        let word = self.word(what)?;
        word.parse().map_err(|_| self.error(format!("{what} should be a number from 0 on, but is {word:?}")))
    }

    fn index(&mut self, what: &str, count: usize) -> Result<usize, ParseError> {
        match self.count(what)? {
            index if index < count => Ok(index),
            index => Err(self.error(format!("{what} is {index}, but there are only {count}"))),
        }
    }

    fn number(&mut self, what: &str) -> Result<f64, ParseError> {
        let word = self.word(what)?;
        match word.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(self.error(format!("{what} should be a finite number, but is {word:?}"))),
        }
    }
}

impl Problem {
    /// Reads a problem; `file` is named in errors.
    pub fn parse(file: &str, text: &str) -> Result<Problem, ParseError> {
        let mut words = Words { file, text, start: 0, rest: 0 };
        let cameras = words.count("the number of cameras")?;
        let points = words.count("the number of points")?;
        let count = words.count("the number of observations")?;
        // Before anything is reserved: every number takes a character and a blank.
        let numbers = [(cameras, CAMERA), (points, POINT), (count, 4)]
            .iter()
            .try_fold(3_usize, |sum, &(count, numbers)| sum.checked_add(count.checked_mul(numbers)?));
        if numbers.is_none_or(|n| n > text.len().div_ceil(2)) {
            let message =
                format!("{cameras} cameras, {points} points and {count} observations do not fit into the file");
            words.start = 0;
            return Err(words.error(message));
        }
        if cameras == 0 || points == 0 || count == 0 {
            words.start = 0;
            return Err(words.error("there must be cameras, points and observations".into()));
        }
        let mut observations = Vec::with_capacity(count);
        for _ in 0..count {
            observations.push(Observation {
                camera: words.index("the index of a camera", cameras)?,
                point: words.index("the index of a point", points)?,
                seen: [words.number("an observed coordinate")?, words.number("an observed coordinate")?],
            });
        }
        let mut parameters = Vec::with_capacity(CAMERA * cameras + POINT * points);
        for _ in 0..CAMERA * cameras {
            parameters.push(words.number("a camera's parameter")?);
        }
        for _ in 0..POINT * points {
            parameters.push(words.number("a point's coordinate")?);
        }
        match words.next() {
            None => Ok(Problem { cameras, points, observations, parameters }),
            Some(word) => Err(words.error(format!("the file should end here, but goes on with {word:?}"))),
        }
    }

    /// Writes the problem in the same format.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{} {} {}", self.cameras, self.points, self.observations.len())?;
        for o in &self.observations {
            writeln!(out, "{} {} {:e} {:e}", o.camera, o.point, o.seen[0], o.seen[1])?;
        }
        self.parameters.iter().try_for_each(|v| writeln!(out, "{v:e}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "1 1 1\n0 0 1.5 -2\n0 0 0 0 0 -4 500 0 0\n1 2 3\n";

    fn error(text: &str) -> (usize, usize, String) {
        let error = Problem::parse("f", text).unwrap_err();
        (error.line, error.column, error.message)
    }

    #[test]
    fn what_is_written_is_read() {
        let problem = Problem::parse("f", SMALL).unwrap();
        assert_eq!(problem.observations, [Observation { camera: 0, point: 0, seen: [1.5, -2.0] }]);
        let mut text = vec![];
        problem.write(&mut text).unwrap();
        assert_eq!(Problem::parse("f", std::str::from_utf8(&text).unwrap()).unwrap(), problem);
    }

    #[test]
    fn faults_have_a_place() {
        let replaced = |from: &str, to: &str| error(&SMALL.replacen(from, to, 1));
        assert_eq!((replaced("1 1 1", "1 -1 1").0, replaced("1 1 1", "1 -1 1").1), (1, 3));
        assert!(replaced("1 1 1", "1 x 1").2.contains("\"x\""));
        assert!(replaced("1 1 1", "1 1 99").2.contains("do not fit"));
        assert!(replaced("1 1 1", "18446744073709551615 1 1").2.contains("do not fit"));
        assert!(replaced("1 1 1", "99999999999999999999 1 1").2.contains("from 0 on"));
        assert!(error("0 0 0").2.contains("must be cameras"));
        assert_eq!(replaced("0 0 1.5", "1 0 1.5"), (2, 1, "the index of a camera is 1, but there are only 1".into()));
        assert_eq!((replaced("0 0 1.5", "0 7 1.5").0, replaced("0 0 1.5", "0 7 1.5").1), (2, 3));
        for bad in ["nan", "inf", "1e999", "1,5", "é"] {
            let (line, column, message) = replaced("1.5", bad);
            assert_eq!((line, column), (2, 5), "{message}");
            assert!(message.contains("finite number"), "{message}");
        }
        assert!(replaced("1 2 3\n", "1 22\n").2.contains("ends where"));
        assert_eq!(error(&format!("{SMALL}5")).0, 5);
        assert_eq!(error("").2, "the file ends where the number of cameras should be");
    }
}
