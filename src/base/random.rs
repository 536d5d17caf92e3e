//! Seeded pseudo-random numbers, the same on every machine and for any number of threads.
//!
//! SplitMix64: Steele, Lea & Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014), figure 17. A counter
//! with an odd increment, scrambled by two multiplications; period 2⁶⁴. Normal variates: Box & Muller (1958).

/// The odd increment of the counter, ⌊2⁶⁴/φ⌋.
const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;

/// A generator with 64 bits of state, SplitMix64: the same numbers for the same seed on every machine.
///
/// For sampling and for initial points, not for cryptography.
///
/// ```
/// use newton_krylov::random::SplitMix64;
///
/// let mut random = SplitMix64::new(7);
/// let x: Vec<f64> = (0..3).map(|_| random.normal()).collect();
/// assert_eq!(x[0], SplitMix64::new(7).normal());
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// The generator whose whole sequence is fixed by `seed`.
    pub fn new(seed: u64) -> Self {
        SplitMix64 { state: seed }
    }

    /// Goes on as if so many numbers of 64 bits had been drawn.
    pub(crate) fn skip(&mut self, count: u64) {
        self.state = self.state.wrapping_add(count.wrapping_mul(INCREMENT));
    }

    /// 64 independent bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(INCREMENT);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1), a multiple of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Normal with mean 0 and variance 1.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// −1 or 1, each with probability ½.
    pub fn rademacher(&mut self) -> f64 {
        if self.next_u64() >> 63 == 0 { 1.0 } else { -1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_published_one() {
        // First outputs for seed 1234567, as in the reference C code's test vectors.
        let mut random = SplitMix64::new(1234567);
        assert_eq!(random.next_u64(), 6457827717110365317);
        assert_eq!(random.next_u64(), 3203168211198807973);
        assert_eq!(random.next_u64(), 9817491932198370423);
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut random = SplitMix64::new(5);
        let n = 100_000;
        let moments = |draw: &mut dyn FnMut() -> f64| {
            let draws: Vec<f64> = (0..n).map(|_| draw()).collect();
            let mean = draws.iter().sum::<f64>() / n as f64;
            (mean, draws.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n as f64)
        };
        for (mean, variance, (m, v)) in [
            (0.5, 1.0 / 12.0, moments(&mut || random.uniform())),
            (0.0, 1.0, moments(&mut || random.normal())),
            (0.0, 1.0, moments(&mut || random.rademacher())),
        ] {
            assert!((m - mean).abs() < 0.02 && (v - variance).abs() < 0.02, "{m} {v}");
        }
    }
}
