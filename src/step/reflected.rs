//! |A + λI|⁻¹ where one eigenvalue of A + λI is negative, as nearly always where curvature is: with θ and q the lowest
//! eigenvalue and its vector,
//!
//!   |A + λI| = A + λI + 2|θ + λ| qqᵀ,
//!
//! positive definite, so that a Cholesky factor solves with it, at a tenth of a spectrum's price. q comes from inverse
//! iteration and need not be exact: the sum stays positive definite, which its factorisation checks, and differs from
//! |A + λI| by two ranks at most.

use super::factors::Factors;

/// A + λI with its lowest eigenvalue reflected, and its factor.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Reflected {
    matrix: Vec<f64>,
    factors: Factors,
    /// λ of the factor.
    shift: Option<f64>,
    /// q, as far as A is the one that it belongs to, and θ.
    vector: Vec<f64>,
    value: f64,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum State {
    Unknown,
    Known,
    /// More than one eigenvalue is negative, or none could be found.
    Useless,
}

impl Reflected {
    /// Memory comes with the first use: spaces of products never reflect.
    pub fn new() -> Self {
        Reflected {
            matrix: Vec::new(),
            factors: Factors::new(0),
            shift: None,
            vector: Vec::new(),
            value: 0.0,
            state: State::Unknown,
        }
    }

    /// A is another one.
    pub fn clear(&mut self) {
        (self.shift, self.state) = (None, State::Unknown);
    }

    /// x ← |A + λI|⁻¹x, for A by rows with the factors' stride; false, and nothing was done, if that takes a spectrum.
    /// `lowest` finds q and θ.
    pub fn solve(
        &mut self,
        matrix: &[f64],
        stride: usize,
        shift: f64,
        x: &mut [f64],
        lowest: impl FnOnce(&mut [f64]) -> Option<f64>,
    ) -> bool {
        let k = x.len();
        if self.vector.len() != stride {
            (self.matrix, self.vector) = (vec![0.0; stride * stride], vec![0.0; stride]);
            self.factors = Factors::new(stride);
        }
        if self.state == State::Unknown {
            let found = lowest(&mut self.vector[..k]);
            self.value = found.unwrap_or(0.0);
            self.state = if found.is_some() { State::Known } else { State::Useless };
        }
        if self.state == State::Useless || self.value + shift >= 0.0 {
            return false;
        }
        if self.shift != Some(shift) {
            let weight = 2.0 * (self.value + shift).abs();
            let q = &self.vector[..k];
            for ((row, from), &qi) in self.matrix.chunks_exact_mut(stride).zip(matrix.chunks_exact(stride)).zip(q) {
                let scale = weight * qi;
                row.iter_mut().zip(from).zip(q).for_each(|((a, from), q)| *a = from + scale * q);
            }
            self.factors.keep(0);
            self.shift = self.factors.make(&self.matrix, shift, k).then_some(shift);
            if self.shift.is_none() {
                self.state = State::Useless;
                return false;
            }
        }
        self.factors.solve(x);
        true
    }
}
