//! How accurate outputs are that come from a simulation.

use super::check_point;
use crate::base::{Result, Scalar, check_callback, check_positive_dimension, kernels, random::SplitMix64};
use crate::operator::Model;

/// The noise of a model's outputs around `x`, η = ‖σ‖/‖h(x)‖ with the standard deviations σ, from their differences at seven
/// points (or thirteen) along a line through x in a random direction (Moré & Wild, SIAM J. Sci. Comput. 33 (2011)). About ε where there
/// is none; `None` where it cannot be told, as beside a kink or where outputs are not finite.
///
/// For differences: [`DifferenceModel::with_accuracy`](crate::differences::DifferenceModel::with_accuracy). Where the outputs
/// are residuals that vanish, compare at a point where they do not.
///
/// ```
/// use newton_krylov::differences::{Difference, DifferenceModel};
/// use newton_krylov::check;
///
/// // A simulation that is right to five digits or so.
/// let rough = |x: &[f64], h: &mut [f64]| (0..3).for_each(|i| h[i] = ((x[0] * i as f64).exp() * 1e5).round() * 1e-5);
/// let model = DifferenceModel::new(3, 1, rough, Difference::Central);
/// let accuracy = check::noise(&model, &[0.7], 1)?.expect("the outputs are finite");
/// assert!(accuracy > 1e-7 && accuracy < 1e-5);
/// let model = model.with_accuracy(accuracy)?;
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// If there are no outputs, or `x` has the wrong length or is not finite; what a callback returned as an error.
pub fn noise<T: Scalar>(model: &impl Model<T>, x: &[T], seed: u64) -> Result<Option<f64>> {
    check_positive_dimension("the number of outputs", model.output_dim())?;
    check_point(model.dim(), x)?;
    let unit = |j: usize| if x[j] == T::zero() { 1.0 } else { x[j].abs().into() };
    let mut outputs = vec![T::nan(); model.output_dim()];
    model.evaluate(x, &mut outputs);
    let evaluate = |x: &mut [T], outputs: &mut [T]| model.evaluate(x, outputs);
    let found = crate::operator::noise((x, unit), SplitMix64::new(seed), &outputs, evaluate, kernels::norm);
    check_callback(model.take_error())?;
    let relative = |found: f64| if found > 0.0 { found / kernels::norm(&outputs) } else { 0.0 };
    Ok(found.map(|found| relative(found).max(T::epsilon_f64())))
}
