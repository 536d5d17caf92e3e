//! What a verdict prints: a table of its findings, and a sentence for each that failed.

use std::fmt;

use super::{Finding, TaylorTest};

/// Writes the aligned table of the findings, with the orders of those that are of Taylor tests.
pub(super) fn write_table(f: &mut fmt::Formatter<'_>, findings: &[&Finding], tests: &[&TaylorTest]) -> fmt::Result {
    writeln!(f, "{:<24}  {:<17}  {:>8}  {:>9}", "check", "outcome", "error", "tolerance")?;
    for finding in findings {
        write!(f, "{:<24}  {:<17}", finding.property, finding.outcome)?;
        if finding.error.is_nan() {
            write!(f, "  {:>8}  {:>9}", "-", "-")?;
        } else if finding.tolerance == 0.0 {
            write!(f, "  {:>8}  {:>9}", "0", "exact")?;
        } else if finding.error == 0.0 {
            write!(f, "  {:>8}  {:>9.1e}", "0", finding.tolerance)?;
        } else {
            write!(f, "  {:>8.1e}  {:>9.1e}", finding.error, finding.tolerance)?;
        }
        let test = tests.iter().find(|test| test.finding.property == finding.property);
        match test.and_then(|test| test.order) {
            Some(order) => writeln!(f, "  order {order:.2}")?,
            None => writeln!(f)?,
        }
    }
    Ok(())
}

/// Writes one sentence for every failed finding.
pub(super) fn write_failures(f: &mut fmt::Formatter<'_>, findings: &[&Finding]) -> fmt::Result {
    findings.iter().filter(|finding| finding.failed()).try_for_each(|finding| writeln!(f, "- {finding}"))
}
