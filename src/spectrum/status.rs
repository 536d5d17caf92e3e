//! How a computation of eigenvalues ended.

use std::fmt;

/// How a computation of eigenvalues ended. A closed list: match on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Status {
    /// Everything asked for is as accurate as the tolerance asks.
    Converged,
    /// Every number is as accurate as the rounding of the products allows, but for at least one that is less than the
    /// tolerance asks relative to it: a zero eigenvalue, or one that is tiny beside the others.
    Rounding,
    /// The most products were made. The numbers and their errors are the best so far.
    MaxProducts,
    /// A product was not finite. Errors are infinite.
    NotFinite,
    /// The products are not those of a symmetric matrix. Errors are infinite.
    Asymmetric,
}

impl Status {
    /// Whether everything is as accurate as the tolerance asks.
    pub fn converged(self) -> bool {
        self == Status::Converged
    }

    /// Whether the error bounds hold.
    pub(super) fn is_regular(self) -> bool {
        !matches!(self, Status::NotFinite | Status::Asymmetric)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Converged => "converged",
            Status::Rounding => "as accurate as the products",
            Status::MaxProducts => "limit of products",
            Status::NotFinite => "products not finite",
            Status::Asymmetric => "products not symmetric",
        })
    }
}
