//! One call, several times: is the output finite, written, independent of what was in it, and the same again?

use super::Outcome;
use crate::base::Scalar;

/// What a callback wrote, and how it behaved.
pub(super) struct Evaluation<T> {
    /// The output. Finite if the outcome is [`Outcome::Passed`].
    pub output: Vec<T>,
    pub outcome: Outcome,
}

/// What a callback would not write.
pub(super) const JUNK: f64 = -271.828;

/// Calls `write` three times, on a buffer full of NaN, of junk and of zeros.
pub(super) fn evaluate<T: Scalar>(dim: usize, write: impl Fn(&mut [T])) -> Evaluation<T> {
    let junk = T::from_f64(JUNK);
    let call = |fill: T| {
        let mut out = vec![fill; dim];
        write(&mut out);
        out
    };
    let (from_nan, from_junk, from_zero) = (call(T::nan()), call(junk), call(T::zero()));

    let unwritten = |i: usize| from_junk[i] == junk && from_zero[i] == T::zero();
    let reads = |i: usize| from_nan[i].is_nan() && from_zero[i].is_finite() && !unwritten(i);
    let not_finite = |i: usize| !from_junk[i].is_finite() && !from_zero[i].is_finite();
    let outcome = if (0..dim).any(reads) {
        Outcome::ReadsOutput
    } else if let Some(component) = (0..dim).find(|&i| from_nan[i].is_nan() && unwritten(i)) {
        Outcome::Unwritten { component }
    } else if let Some(component) = (0..dim).find(|&i| not_finite(i)) {
        Outcome::NotFinite { component: Some(component) }
    } else if same_bits(&from_nan, &from_junk) && same_bits(&from_nan, &from_zero) {
        Outcome::Passed
    } else if same_bits(&from_nan, &call(T::nan())) {
        Outcome::ReadsOutput
    } else {
        Outcome::NotRepeatable
    };
    Evaluation { output: from_nan, outcome }
}

/// Whether two vectors agree in every bit.
pub(super) fn same_bits<T: Scalar>(a: &[T], b: &[T]) -> bool {
    a.iter().zip(b).all(|(&a, &b)| {
        let (a, b): (f64, f64) = (a.into(), b.into());
        a.to_bits() == b.to_bits()
    })
}
