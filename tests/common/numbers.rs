//! Numbers that look random.

use newton_krylov::Scalar;
use newton_krylov::random::SplitMix64;

/// Numbers between −1 and 1, fixed by their seed.
pub fn numbers<T: Scalar>(count: usize, seed: u64) -> Vec<T> {
    let mut random = SplitMix64::new(seed);
    (0..count).map(|_| T::from_f64(2.0 * random.uniform() - 1.0)).collect()
}
