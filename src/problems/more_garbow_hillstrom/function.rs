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

/// What the paper says of a function.
pub(super) struct Facts {
    /// Its title there.
    pub name: &'static str,
    /// n where nothing else is asked for.
    pub n: usize,
    /// n for a run with many unknowns, if n is free and more unknowns make sense.
    pub large: Option<usize>,
    /// m for n where nothing else is asked for.
    pub terms: fn(usize) -> usize,
    /// Which n and m are allowed, in words that complete "must be …".
    pub sizes: &'static str,
    /// The same as a test; n ≥ 1 and the m of `terms` where there is none.
    pub admits: Option<fn(usize, usize) -> bool>,
    /// x₀ for n.
    pub start: fn(usize) -> Vec<f64>,
    /// The minima for n and m.
    pub minima: fn(usize, usize) -> Vec<Minimum>,
}

impl Facts {
    /// Whether n and m are allowed.
    pub fn admits(&self, n: usize, m: usize) -> bool {
        self.admits.map_or_else(|| n >= 1 && m == (self.terms)(n), |admits| admits(n, m))
    }
}

/// What most functions of any number of unknowns have in common.
pub(super) const FREE: Facts = Facts {
    name: "",
    n: 10,
    large: None,
    terms: |n| n,
    sizes: "n ≥ 1, m = n",
    admits: None,
    start: |n| vec![0.0; n],
    minima: |_, _| vec![known(0.0)],
};

/// One function of the paper: what is known about it, its residuals, and the transpose of their derivative.
///
/// The slices carry the dimensions: `x` has n entries, `r` and `u` have m.
pub(super) trait Function {
    const FACTS: Facts;

    /// r ← r(x).
    fn residuals<V: Number>(x: &[V], r: &mut [V]);
    /// out ← J(x)ᵀ u.
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]);
}

/// The facts about a function that has no other sizes.
macro_rules! fixed {
    ($name:literal, n = $n:literal, m = $m:literal, x0 = $start:expr, minima = $minima:expr) => {
        const FACTS: Facts = Facts {
            name: $name,
            n: $n,
            terms: |_| $m,
            sizes: concat!("n = ", $n, ", m = ", $m),
            admits: Some(|n, m| n == $n && m == $m),
            start: |_| $start.to_vec(),
            minima: |_, _| $minima.to_vec(),
            ..FREE
        };
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
