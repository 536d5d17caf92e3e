//! The metric of a data set: a preconditioner from the variances of its features.
//!
//! In a model that sees its inputs z through wᵀz the curvature in wⱼ grows with the square of feature j. P = diag(Var zⱼ)
//! takes the scales of the features out, as if they had been standardised beforehand (LeCun, Bottou, Orr & Müller,
//! "Efficient BackProp" (1998), section 4.3), without touching the data. One pass, by Welford's recurrence
//! (Technometrics 4 (1962)).

use super::DiagonalPreconditioner;
use crate::base::{Result, Scalar, check_finite, check_length, check_positive_dimension};

impl<T: Scalar> DiagonalPreconditioner<T> {
    /// The variance of every feature over the rows of a data set; 1 for a feature that is constant, such as the one of
    /// an intercept.
    ///
    /// ```
    /// use newton_krylov::preconditioners::{DiagonalPreconditioner, Preconditioner};
    ///
    /// let rows: [&[f64]; 4] = [&[1.0, 100.0], &[1.0, 300.0], &[1.0, 100.0], &[1.0, 300.0]];
    /// let p = DiagonalPreconditioner::from_feature_variances(2, rows)?;
    /// let mut r = [3.0, 5e4];
    /// p.precondition(0.0, &mut r);
    /// assert_eq!(r, [3.0, 5.0]);
    /// # Ok::<(), newton_krylov::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there are no features or no rows, or a row has another length or is not finite.
    pub fn from_feature_variances<'r>(features: usize, rows: impl IntoIterator<Item = &'r [T]>) -> Result<Self> {
        check_positive_dimension("features", features)?;
        let (mut mean, mut squares) = (vec![0.0; features], vec![0.0; features]);
        let mut count = 0;
        for row in rows {
            check_length("a row", row, features)?;
            check_finite("a row", row)?;
            count += 1;
            for ((mean, squares), &z) in mean.iter_mut().zip(&mut squares).zip(row) {
                let before = z.into() - *mean;
                *mean += before / count as f64;
                *squares += before * (z.into() - *mean);
            }
        }
        check_positive_dimension("the number of rows", count)?;
        let rounding = |mean: f64| (T::epsilon_f64() * mean).powi(2);
        let variances = squares.iter().zip(&mean).map(|(&squares, &mean)| {
            let variance: f64 = squares / count as f64;
            T::from_f64(if variance > rounding(mean) { variance } else { 1.0 })
        });
        DiagonalPreconditioner::new(variances.collect())
    }
}
