//! Fitted parameters under their names.

use std::fmt;

use crate::base::{Result, Scalar, check_length};

/// Parameters with their names and, where they are known, their standard errors; `Display` prints them as an aligned
/// table.
///
/// ```
/// use newton_krylov::statistics::ParameterTable;
///
/// let table = ParameterTable::new(&["rate", "offset"], &[1.5, -20.0], Some(&[0.03, 0.5]))?;
/// assert_eq!(table.to_string().lines().next(), Some("rate      1.500000000e0  ± 3.0e-2"));
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterTable {
    rows: Vec<(String, f64, Option<f64>)>,
}

impl ParameterTable {
    /// The parameters x under their names.
    ///
    /// # Errors
    /// If there are not as many names, and errors, as numbers.
    pub fn new<T: Scalar>(names: &[&str], x: &[T], errors: Option<&[f64]>) -> Result<Self> {
        check_length("names", names, x.len())?;
        if let Some(errors) = errors {
            check_length("errors", errors, x.len())?;
        }
        let row = |j: usize| (names[j].to_string(), x[j].into(), errors.map(|errors| errors[j]));
        Ok(ParameterTable { rows: (0..x.len()).map(row).collect() })
    }
}

impl fmt::Display for ParameterTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
        for (name, value, error) in &self.rows {
            write!(f, "{name:<width$} {value:>16.9e}")?;
            match error {
                Some(error) => writeln!(f, "  ± {error:.1e}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
