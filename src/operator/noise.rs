//! How accurate outputs are that come from an iteration, a simulation or a table.
//!
//! Of values at equal distances h along a line the k-th differences of what is smooth vanish as hᵏ, and those of noise do
//! not: where σ is its standard deviation,
//!
//!   E[(Δᵏ)²] = (2k)!/(k!)² σ²
//!
//! (Hamming's table of differences; Moré & Wild, SIAM J. Sci. Comput. 33 (2011), sections 3 to 5, who take a level where
//! three in a row agree within a factor of four.) Here h is ∛ε in the units of x, where third differences of what is smooth
//! are rounding: it takes levels 3 and 4, which have to agree; and all outputs of a vector together.

use crate::base::{Scalar, SplitMix64, kernels, space};

/// Values on a line.
const POINTS: usize = 7;
/// Calls that [`noise`] makes at most.
pub const NOISE_CALLS: usize = 2 * (POINTS - 1);
/// The levels, with (2k)!/(k!)².
const LEVELS: [(usize, f64); 2] = [(3, 20.0), (4, 70.0)];
/// How far apart they may be.
const APART: f64 = 4.0;
/// Where most outputs do not change at all, as rounded ones, they are asked again so many times as far (section 6 there).
const FARTHER: f64 = 100.0;

/// ‖σ‖ over the outputs, h(x); `None` where it cannot be told from what is smooth, or where outputs are not finite.
/// `evaluate` writes those at a point, which it may move into a box, on a line through x that goes up or down in each
/// component, by its `unit`, as `random` says. `norm` is that of outputs.
pub fn noise<X: Scalar, T: Scalar>(
    (x, unit): (&[X], impl Fn(usize) -> f64),
    mut random: SplitMix64,
    outputs: &[T],
    mut evaluate: impl FnMut(&mut [X], &mut [T]),
    norm: impl Fn(&[T]) -> f64,
) -> Option<f64> {
    let (mut direction, mut point) = (vec![X::zero(); x.len()], x.to_vec());
    space::normals(&mut random, 1.0, &mut direction);
    let mut values: [Vec<T>; POINTS] = std::array::from_fn(|_| outputs.to_vec());
    for farther in [1.0, FARTHER] {
        values[0].copy_from_slice(outputs);
        for (i, values) in values.iter_mut().enumerate().skip(1) {
            for (j, point) in point.iter_mut().enumerate() {
                let h = X::from_f64(farther * X::epsilon_f64().cbrt() * i as f64 * unit(j));
                *point = if direction[j] < X::zero() { x[j] - h } else { x[j] + h };
            }
            evaluate(&mut point, values);
        }
        let differs = |i: usize| values[i].iter().zip(&values[i - 1]).filter(|(a, b)| a != b).count();
        let size = |count: usize| norm(&[T::from_f64(count as f64)]).powi(2);
        let changes = (1..POINTS).map(|i| size(differs(i))).sum::<f64>() / (POINTS - 1) as f64;
        if 4.0 * changes >= size(outputs.len()) {
            break;
        }
    }
    of_differences(&mut values, norm)
}

/// The same from values at equal distances, which are overwritten.
fn of_differences<T: Scalar>(values: &mut [Vec<T>; POINTS], norm: impl Fn(&[T]) -> f64) -> Option<f64> {
    let mut found = [0.0; 2];
    for level in 1..=4 {
        for i in 0..POINTS - level {
            let (low, high) = values.split_at_mut(i + 1);
            kernels::axpby(1.0, &high[0], -1.0, &mut low[i]);
        }
        if let Some(place) = LEVELS.iter().position(|&(k, _)| k == level) {
            let differences = &values[..POINTS - level];
            let squares = differences.iter().map(|d| norm(d).powi(2)).sum::<f64>();
            found[place] = (squares / differences.len() as f64 / LEVELS[place].1).sqrt();
        }
    }
    let [low, high] = [found[0].min(found[1]), found[0].max(found[1])];
    (high.is_finite() && high <= APART * low).then_some(found[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of sines with normal noise, relative to √(outputs), with an `f` between.
    fn found(outputs: usize, sigma: f64, f: impl Fn(f64) -> f64) -> Option<f64> {
        let mut random = SplitMix64::new(5);
        let mut at = |x: &mut [f64], h: &mut [f64]| {
            h.iter_mut().enumerate().for_each(|(j, h)| *h = f((x[0] + j as f64).sin()) + sigma * random.normal());
        };
        let mut here = vec![0.0; outputs];
        at(&mut [0.0], &mut here);
        let found = noise((&[0.0], |_| 1.0), SplitMix64::new(0), &here, at, kernels::norm);
        found.map(|noise| noise / (outputs as f64).sqrt())
    }

    #[test]
    fn noise_is_told_from_what_is_smooth() {
        for sigma in [1e-3, 1e-6, 1e-9, 1e-12] {
            for outputs in [1, 30] {
                let noise = found(outputs, sigma, |h| h).unwrap();
                assert!(noise > 0.4 * sigma && noise < 2.5 * sigma, "{sigma} {outputs}: {noise}");
            }
        }
        // Rounding alone; rounding to few digits, with the standard deviation of the uniform distribution.
        assert!(found(30, 0.0, |h| h).unwrap() < 2.0 * f64::EPSILON);
        for quantum in [1e-3, 1e-5, 1e-9] {
            let noise = found(30, 0.0, |h| (h / quantum).round() * quantum).unwrap() / (quantum / 12_f64.sqrt());
            assert!((0.3..2.0).contains(&noise), "{quantum}: {noise}");
        }
        // What is smooth on no such line; what is not finite; what does not change.
        assert_eq!(found(30, 0.0, |h| (1e4 * h).sin()), None);
        assert_eq!(found(1, 0.0, |_| f64::NAN), None);
        assert_eq!(found(1, 0.0, |_| 2.0), Some(0.0));
    }
}
