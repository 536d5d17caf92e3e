//! Callers' mistakes. Numerical outcomes are not errors: they are values of [`Termination`](crate::Termination).

use std::fmt;

use super::{CallbackError, Scalar};

/// A mistake in the call: it names the argument and the number that is wrong. Or the error of a callback.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The problem has no unknowns.
    ZeroDimension {
        /// The argument that says so.
        argument: &'static str,
    },
    /// A slice has the wrong length.
    Length {
        /// The slice.
        argument: &'static str,
        /// The length that is needed.
        expected: usize,
        /// The length that was given.
        found: usize,
    },
    /// A number is NaN or infinite.
    NotFinite {
        /// The argument, or the function whose result it is.
        argument: &'static str,
        /// Which component, for vectors.
        index: Option<usize>,
        /// The number.
        value: f64,
    },
    /// A number lies outside its range.
    OutOfRange {
        /// The argument or option.
        argument: &'static str,
        /// The number.
        value: f64,
        /// The range, in words.
        requirement: &'static str,
    },
    /// An entry of a slice lies outside its range.
    EntryOutOfRange {
        /// The slice.
        argument: &'static str,
        /// Which entry.
        index: usize,
        /// The entry.
        value: f64,
        /// The range, in words.
        requirement: &'static str,
    },
    /// What is asked for takes more memory than there is.
    Memory {
        /// The argument or option that asks.
        argument: &'static str,
        /// The bytes that it takes.
        bytes: f64,
    },
    /// Two arguments do not go together: one asks for what the other does not offer.
    Unsupported {
        /// The argument that asks.
        argument: &'static str,
        /// What it needs, in words.
        requirement: &'static str,
    },
    /// In a distributed run an argument is not the same on all ranks.
    Differs {
        /// The argument.
        argument: &'static str,
        /// The first rank that has another one than rank 0.
        rank: usize,
    },
    /// In a distributed run another rank has refused its arguments.
    OnRank {
        /// Which.
        rank: usize,
    },
    /// A lower bound lies above the upper one, or one of them is NaN.
    EmptyBounds {
        /// Which component.
        index: usize,
        /// The lower bound.
        lower: f64,
        /// The upper bound.
        upper: f64,
    },
    /// A component of x0 lies outside its bounds.
    OutsideBounds {
        /// Which component.
        index: usize,
        /// The component.
        value: f64,
        /// Its lower bound.
        lower: f64,
        /// Its upper bound.
        upper: f64,
    },
    /// A saved state belongs to something else.
    State {
        /// What differs.
        what: &'static str,
        /// What is needed.
        expected: String,
        /// What the state has.
        found: String,
    },
    /// A callback returned an error, in a call whose result has no other place for it.
    Callback(CallbackError),
}

/// The result of a call that can be refused.
pub type Result<V> = std::result::Result<V, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::ZeroDimension { argument } => write!(f, "{argument} is zero: there is nothing to solve for"),
            Error::Length { argument, expected, found } => {
                write!(f, "{argument} has length {found}, but {expected} is needed")
            }
            Error::NotFinite { argument, index: Some(index), value } => {
                write!(f, "{argument}[{index}] is {value}, but must be finite")
            }
            Error::NotFinite { argument, index: None, value } => {
                write!(f, "{argument} is {value}, but must be finite")
            }
            Error::Differs { argument, rank } => write!(f, "{argument} on rank {rank} is not what it is on rank 0"),
            Error::OnRank { rank } => write!(f, "an argument on rank {rank} was refused there"),
            Error::OutOfRange { argument, value, requirement } => {
                write!(f, "{argument} is {value}, but must be {requirement}")
            }
            Error::EntryOutOfRange { argument, index, value, requirement } => {
                write!(f, "{argument}[{index}] is {value}, but must be {requirement}")
            }
            Error::Memory { argument, bytes } => write!(f, "{argument} needs {bytes:.3e} bytes, more than there are"),
            Error::Unsupported { argument, requirement } => write!(f, "{argument} needs {requirement}"),
            Error::EmptyBounds { index, lower, upper } => {
                write!(f, "component {index} has the bounds {lower} and {upper}, between which there is no number")
            }
            Error::OutsideBounds { index, value, lower, upper } => {
                write!(f, "x0[{index}] is {value}, but must lie within its bounds {lower} and {upper}")
            }
            Error::State { what, expected, found } => {
                write!(f, "the state's {what} is {found}, but {expected} is needed")
            }
            Error::Callback(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Error::Callback(error) = self { error.source() } else { None }
    }
}

/// Refuses to go on after a callback's error.
pub(crate) fn check_callback(error: Option<CallbackError>) -> Result<()> {
    error.map_or(Ok(()), |error| Err(Error::Callback(error)))
}

pub(crate) fn check_positive_dimension(argument: &'static str, dim: usize) -> Result<()> {
    if dim == 0 { Err(Error::ZeroDimension { argument }) } else { Ok(()) }
}

pub(crate) fn check_length<T>(argument: &'static str, slice: &[T], expected: usize) -> Result<()> {
    check_dimension(argument, slice.len(), expected)
}

pub(crate) fn check_dimension(argument: &'static str, found: usize, expected: usize) -> Result<()> {
    if found == expected { Ok(()) } else { Err(Error::Length { argument, expected, found }) }
}

pub(crate) fn check_finite<T: Scalar>(argument: &'static str, slice: &[T]) -> Result<()> {
    match slice.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::NotFinite { argument, index: Some(index), value: slice[index].into() }),
    }
}

/// Refuses `value` unless `holds`; `requirement` completes "must be …". NaN never holds.
pub(crate) fn check_range(argument: &'static str, value: f64, holds: bool, requirement: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::OutOfRange { argument, value, requirement }) }
}

pub(crate) fn check_positive(argument: &'static str, value: f64) -> Result<()> {
    check_range(argument, value, value > 0.0 && value.is_finite(), "positive and finite")
}

pub(crate) fn check_not_negative(argument: &'static str, value: f64) -> Result<()> {
    check_range(argument, value, value >= 0.0 && value.is_finite(), "at least 0 and finite")
}

/// Refuses a count below `least`.
pub(crate) fn check_count(argument: &'static str, count: usize, least: usize, requirement: &'static str) -> Result<()> {
    check_range(argument, count as f64, count >= least, requirement)
}

/// Refuses component `index` of `argument` unless `holds`; `requirement` completes "must be …".
pub(crate) fn check_component(
    argument: &'static str,
    index: usize,
    value: f64,
    holds: bool,
    requirement: &'static str,
) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::EntryOutOfRange { argument, index, value, requirement }) }
}
