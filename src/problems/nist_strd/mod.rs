//! The 27 nonlinear regression problems of the NIST Statistical Reference Datasets, with certified answers.
//!
//! US National Institute of Standards and Technology, *Statistical Reference Datasets: Nonlinear Regression* (1998),
//! <https://www.itl.nist.gov/div898/strd/>. The models and their derivatives are written by hand; the data come with the
//! crate as they are published.

use std::fmt;

use crate::base::Scalar;
use crate::curvature::{LeastSquares, least_squares_dense};
use crate::operator::JacobianModel;
pub use format::NistStrdError;

mod format;
mod models;

macro_rules! files {
    ($($name:literal),*) => {
        [$(include_str!(concat!("../../../tests/data/nist_strd/", $name, ".dat"))),*]
    };
}

/// From the lower over the average to the higher level of difficulty.
const FILES: [&str; 27] = files![
    "Misra1a", "Chwirut2", "Chwirut1", "Lanczos3", "Gauss1", "Gauss2", "DanWood", "Misra1b", "Kirby2", "Hahn1",
    "Nelson", "MGH17", "Lanczos1", "Lanczos2", "Gauss3", "Misra1c", "Misra1d", "Roszman1", "ENSO", "MGH09", "Thurber",
    "BoxBOD", "Rat42", "MGH10", "Eckerle4", "Rat43", "Bennett5"
];

/// A nonlinear regression problem of NIST's: data, two starts, and the certified answer.
///
/// Its residuals are f(xᵢ; b) − yᵢ (for Nelson's f(xᵢ; b) − log yᵢ).
///
/// ```
/// use newton_krylov::{LevenbergMarquardt, problems::NistStrd};
///
/// let thurber = NistStrd::all().into_iter().find(|problem| problem.name() == "Thurber").unwrap();
/// let report = LevenbergMarquardt::default().minimize(&thurber.least_squares(), thurber.start(1))?;
/// assert!(report.termination.converged());
/// assert!(thurber.digits(&report.x) > 9.0);
/// assert!((2.0 * report.value / thurber.sum_of_squares() - 1.0).abs() < 1e-9);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct NistStrd {
    name: String,
    difficulty: String,
    starts: [Vec<f64>; 2],
    certified: Vec<f64>,
    deviations: Vec<f64>,
    sum_of_squares: f64,
    residual_deviation: f64,
    /// The response, then the predictors, for every observation.
    rows: Vec<Vec<f64>>,
}

impl NistStrd {
    /// All 27, from the lower to the higher level of difficulty.
    pub fn all() -> Vec<Self> {
        FILES.iter().map(|text| Self::parse(text).expect("the files of the crate are well-formed")).collect()
    }

    /// The name, for example "Misra1a".
    pub fn name(&self) -> &str {
        &self.name
    }

    /// NIST's level of difficulty: "lower", "average" or "higher".
    pub fn difficulty(&self) -> &str {
        &self.difficulty
    }

    /// Start 1 (far) or 2 (near).
    ///
    /// # Panics
    /// If `which` is neither.
    pub fn start(&self, which: usize) -> &[f64] {
        &self.starts[which - 1]
    }

    /// The certified parameters, 11 digits.
    pub fn certified(&self) -> &[f64] {
        &self.certified
    }

    /// The certified standard deviations of the parameters.
    pub fn deviations(&self) -> &[f64] {
        &self.deviations
    }

    /// The certified residual sum of squares, ‖r‖².
    pub fn sum_of_squares(&self) -> f64 {
        self.sum_of_squares
    }

    /// The certified residual standard deviation, ‖r‖ / √(m − n).
    pub fn residual_deviation(&self) -> f64 {
        self.residual_deviation
    }

    /// m, the number of observations.
    pub fn observations(&self) -> usize {
        self.rows.len()
    }

    /// Correct digits of the worst parameter: its log relative error −log₁₀(|b − c|/|c|), between 0 and 11, as many as
    /// are certified.
    pub fn digits<T: Scalar>(&self, b: &[T]) -> f64 {
        let error = |(&b, &c): (&T, &f64)| -> f64 { (Into::<f64>::into(b) - c).abs() / c.abs() };
        let digits = b.iter().zip(&self.certified).map(error).map(|error| -error.log10());
        digits.fold(11.0, |least, digits| if digits.is_nan() { 0.0 } else { least.min(digits).max(0.0) })
    }

    /// The problem as one with residuals and a Jacobian matrix, in the precision T.
    #[expect(clippy::type_complexity, reason = "closures have no names")]
    pub fn least_squares<T: Scalar>(
        &self,
    ) -> LeastSquares<T, JacobianModel<T, impl Fn(&[T], &mut [T]) + '_, impl Fn(&[T], &mut [T]) + '_>> {
        let (m, n) = (self.rows.len(), self.certified.len());
        least_squares_dense(
            m,
            n,
            |b: &[T], r: &mut [T]| self.residuals(b, r),
            |b: &[T], j: &mut [T]| self.jacobian(b, j),
        )
    }

    /// r ← f(x; b) − y.
    pub fn residuals<T: Scalar>(&self, b: &[T], r: &mut [T]) {
        let (function, mut gradient) = (self.function::<T>(), vec![T::zero(); b.len()]);
        for (r, row) in r.iter_mut().zip(&self.rows) {
            *r = function(b, &predictors(row), &mut gradient) - T::from_f64(row[0]);
        }
    }

    /// The m × n Jacobian of the residuals, by columns.
    pub fn jacobian<T: Scalar>(&self, b: &[T], jacobian: &mut [T]) {
        let (function, mut gradient) = (self.function::<T>(), vec![T::zero(); b.len()]);
        let m = self.rows.len();
        for (i, row) in self.rows.iter().enumerate() {
            function(b, &predictors(row), &mut gradient);
            gradient.iter().enumerate().for_each(|(j, &g)| jacobian[j * m + i] = g);
        }
    }

    fn function<T: Scalar>(&self) -> models::Function<T> {
        models::model(&self.name).expect("the name was checked").1
    }
}

/// Those of an observation, as many as a model may have.
fn predictors<T: Scalar>(row: &[f64]) -> [T; 2] {
    [T::from_f64(row[1]), T::from_f64(row.get(2).copied().unwrap_or(0.0))]
}

/// The name.
impl fmt::Display for NistStrd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
