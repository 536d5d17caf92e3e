//! What is written by hand for each of the 35 functions.

use crate::problems::number::Number;

/// A minimum that the paper gives, to the digits it prints (six for values that are not exact).
#[derive(Clone, Debug, PartialEq)]
pub struct Minimum {
    /// F.
    pub value: f64,
    /// The point, where the paper gives one that is finite.
    pub minimizer: Option<Vec<f64>>,
}

/// One function of the paper: its residuals, the transpose of their derivative, and what is known about it.
///
/// The slices carry the dimensions: `x` has n entries, `r` and `u` have m.
pub(super) trait Function {
    /// The paper's title for it.
    const NAME: &'static str;
    /// n where nothing else is asked for.
    const N: usize = 10;
    /// x₀, if n is fixed.
    const START: &'static [f64] = &[];
    /// n for a run with many unknowns, if n is free and more unknowns make sense.
    const LARGE: Option<usize> = None;
    /// Which n and m the paper allows, in words that complete "must be …".
    const SIZES: &'static str = "n ≥ 1, m = n";

    /// m where nothing else is asked for.
    fn terms(n: usize) -> usize {
        n
    }
    /// Whether the paper allows n and m.
    fn admits(n: usize, m: usize) -> bool {
        n >= 1 && m == Self::terms(n)
    }
    /// r ← r(x).
    fn residuals<V: Number>(x: &[V], r: &mut [V]);
    /// out ← J(x)ᵀ u.
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]);
    /// x₀.
    fn start(_n: usize) -> Vec<f64> {
        Self::START.to_vec()
    }
    /// What the paper says about minima for these n and m; by default that F vanishes.
    fn minima(_n: usize, _m: usize) -> Vec<Minimum> {
        vec![known(0.0)]
    }
}

/// All that is known about a function that has no other sizes.
macro_rules! fixed {
    ($name:literal, n = $n:literal, m = $m:literal, x0 = $start:expr, minima = $minima:expr) => {
        const NAME: &'static str = $name;
        const N: usize = $n;
        const START: &'static [f64] = $start;
        const SIZES: &'static str = concat!("n = ", $n, ", m = ", $m);

        fn terms(_: usize) -> usize {
            $m
        }
        fn admits(n: usize, m: usize) -> bool {
            n == $n && m == $m
        }
        fn minima(_: usize, _: usize) -> Vec<Minimum> {
            $minima.to_vec()
        }
    };
}
pub(super) use fixed;

/// A minimum whose minimiser the paper gives.
pub(super) fn at(value: f64, minimizer: &[f64]) -> Minimum {
    Minimum { value, minimizer: Some(minimizer.to_vec()) }
}

/// A minimum whose minimiser the paper does not give, or that is only approached at infinity.
pub(super) fn known(value: f64) -> Minimum {
    Minimum { value, minimizer: None }
}
