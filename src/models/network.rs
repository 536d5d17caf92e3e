//! What a network is to those who run it for all samples: passes through a chunk of samples, and sums over samples.
//!
//! With δ = ∂L/∂z, the derivative with respect to a unit's pre-activation z = W a + b, and ˙ for the derivative in the
//! direction (V, v_b) of the parameters (the R-operator of Pearlmutter, *Fast exact multiplication by the Hessian*, Neural
//! Computation 6, 1994), a layer's passes are
//!
//! - forward    a = φ(z),  z = W a₋ + b
//! - tangents   ȧ = φ′ ż,  ż = V a₋ + v_b + W ȧ₋
//! - backward   δ = φ′ W₊ᵀδ₊
//! - its tangents   δ̇ = φ′ (W₊ᵀδ̇₊ + V₊ᵀδ₊) + φ″ ż W₊ᵀδ₊
//! - sums over samples   ∂L/∂W = Σ δ a₋ᵀ,  its derivative Σ δ̇ a₋ᵀ + δ ȧ₋ᵀ
//!
//! with the indices − and + for the layers before and behind. A chunk's values are stored unit after unit, `size`
//! samples for each.

use std::ops::Range;

use super::Activation;
use super::chunks::transpose;
use crate::base::Scalar;
use crate::base::native::{Matrix, MatrixMut, vectorized};
use crate::base::parallel::{Chunked, for_each};
use crate::base::random::SplitMix64;
use crate::operator::LayerShape;

/// The shape of a chunk: values are `size` samples apart, of which the first `len` are there.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub size: usize,
    pub len: usize,
}

impl Shape {
    /// The columns of some units' values: the samples' values of one unit after those of another.
    pub fn columns<T: Scalar>(self, values: &[T]) -> impl Iterator<Item = &[T]> {
        values.chunks_exact(self.size).map(move |column| &column[..self.len])
    }

    pub fn columns_mut<T: Scalar>(self, values: &mut [T]) -> impl Iterator<Item = &mut [T]> {
        values.chunks_exact_mut(self.size).map(move |column| &mut column[..self.len])
    }

    /// Values as a matrix with a row for every sample.
    pub fn matrix<T>(self, values: &[T]) -> Matrix<'_, T> {
        Matrix::by_columns(values, self.len, values.len() / self.size, self.size)
    }

    pub fn matrix_mut<T>(self, values: &mut [T]) -> MatrixMut<'_, T> {
        MatrixMut { rows: self.len, columns: values.len() / self.size, stride: self.size, by_rows: false, data: values }
    }

    /// d ← φ′ d for all units, whose values are a.
    pub fn times_derivative<T: Scalar>(self, phi: Activation, a: &[T], d: &mut [T]) {
        self.columns(a).zip(self.columns_mut(d)).for_each(|(a, d)| phi.times_derivative(a, d));
    }

    /// δ̇ ← φ′ d + δ̇ for all units; d is φ′ d then.
    pub fn add_derivative<T: Scalar>(self, phi: Activation, a: &[T], d: &mut [T], delta_tangent: &mut [T]) {
        self.times_derivative(phi, a, d);
        for (tangent, d) in self.columns_mut(delta_tangent).zip(self.columns(d)) {
            tangent.iter_mut().zip(d).for_each(|(tangent, d)| *tangent += *d);
        }
    }

    /// What a pass of tangents does to the ż of all units: writes φ″ ż W₊ᵀδ₊ where it is wanted, for `units`, and ż ← φ′ ż.
    pub fn activate_tangents<T: Scalar>(
        self,
        phi: Activation,
        units: Range<usize>,
        values: Values<'_, T>,
        z: &mut [T],
        bend: &mut Bend<'_, T>,
    ) {
        let a = &values.units[units.clone()];
        if let Some((deltas, bends)) = bend {
            let columns = self.columns(a).zip(self.columns(z)).zip(self.columns(&deltas[units.clone()]));
            for (((a, z), delta), bend) in columns.zip(self.columns_mut(&mut bends[units])) {
                phi.curvature(a, z, delta, bend);
            }
        }
        self.times_derivative(phi, a, z);
    }
}

/// What a chunk holds at a point: its inputs, and the values of all units.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a, T> {
    pub inputs: &'a [T],
    pub units: &'a [T],
}

/// For every unit of a chunk: δ, and for products of second order also φ″ ż W₊ᵀδ₊, to be written.
pub type Bend<'a, T> = Option<(&'a [T], &'a mut [T])>;

/// A network, as it is seen by [`NetworkOnData`](super::NetworkOnData). Nobody outside can name or implement it.
pub trait Network<T: Scalar>: Sync {
    /// The number of parameters.
    fn dim(&self) -> usize;

    /// The numbers that go in and come out for a sample, and its units' values.
    fn inputs(&self) -> usize;
    fn outputs(&self) -> usize;
    fn units(&self) -> usize;

    /// The outputs are the values from this unit on.
    fn first_output(&self) -> usize;

    /// The units whose values [`backward_tangents`](Self::backward_tangents) needs room for.
    fn room(&self) -> usize;

    /// out ← the weights by columns that `x` has by rows: products with W have their long loop over outputs, and are a
    /// quarter faster so. Only [`backward`](Self::backward) and its tangents read them.
    fn by_columns(&self, x: &[T], out: &mut [T]);

    /// Forward: fills the values of all units, for the inputs at the start of `chunk`.
    fn forward(&self, x: &[T], shape: Shape, chunk: &mut [T]);

    /// Tangents: fills ȧ for all units, in the direction v of the parameters x.
    fn tangents(&self, x: &[T], v: &[T], shape: Shape, values: Values<'_, T>, out: &mut [T], bend: Bend<'_, T>);

    /// Backward: fills δ for all units, where the outputs have ∂L/∂h and, if `hidden`, all others what L depends on them by
    /// itself, not through later units.
    fn backward(&self, weights: &[T], shape: Shape, values: Values<'_, T>, deltas: &mut [T], hidden: bool);

    /// Tangents of the backward pass: fills δ̇ for all units, where all have φ″ ż W₊ᵀδ₊ as [`tangents`](Self::tangents)
    /// wrote it, and `room` begins with the derivative of ∂L/∂h.
    fn backward_tangents(
        &self,
        weights: (&[T], &[T]),
        shape: Shape,
        values: Values<'_, T>,
        deltas: &[T],
        delta_tangents: &mut [T],
        room: &mut [T],
    );

    /// The pieces of the parameters for which sums over samples are computed one by one, and their lengths.
    fn pieces(&self) -> usize;
    fn piece_len(&self, piece: usize) -> usize;

    /// out ← Σ δ a₋ᵀ for the samples of a chunk and a piece of the parameters (for biases Σ δ), or out + that if `add`.
    /// `further` adds Σ δ′ ȧ₋ᵀ with other derivatives δ′ and the tangents of all units; those of the inputs are zero.
    fn sum_over_samples(
        &self,
        piece: usize,
        shape: Shape,
        terms: (&[T], Values<'_, T>),
        further: Option<(&[T], &[T])>,
        add: bool,
        out: &mut [T],
    );

    /// The layers whose moments are known, and what a chunk adds to the moments of one of them.
    fn layers(&self) -> Vec<LayerShape> {
        vec![]
    }
    fn add_moments(
        &self,
        layer: usize,
        shape: Shape,
        terms: (&[T], Values<'_, T>),
        inputs: &mut [T],
        outputs: &mut [T],
    ) {
        let _ = (layer, shape, terms, inputs, outputs);
    }
}

/// What a width must be, in words.
pub const FEW_ENOUGH: &str = "small enough for the numbers of the network to be stored";

/// start + Σ rows·columns, if so many numbers can be stored in principle: no later sum or product of sizes overflows.
pub fn end_of(start: usize, matrices: &[(usize, usize)]) -> Option<usize> {
    const MOST: usize = 1 << (usize::BITS - 8);
    let add = |sum: usize, &(rows, columns): &(usize, usize)| sum.checked_add(rows.checked_mul(columns)?);
    matrices.iter().try_fold(start, add).filter(|&end| end <= MOST)
}

/// The weights W between units, outputs × inputs numbers by rows, among the parameters.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// Where they start.
    pub first: usize,
    pub inputs: usize,
    pub outputs: usize,
}

impl Connection {
    pub fn end(&self) -> usize {
        self.first + self.inputs * self.outputs
    }

    /// The layer that uses them at so many places, with its biases behind them.
    pub fn layer(&self, places: usize) -> LayerShape {
        LayerShape { start: self.first, inputs: self.inputs, outputs: self.outputs, places }
    }

    pub fn range(&self) -> Range<usize> {
        self.first..self.end()
    }

    /// Draws `connections` weights for every output (all its weights, where there are no more), normal with variance 1 at
    /// random places.
    pub fn fill_sparse<T: Scalar>(&self, random: &mut SplitMix64, connections: usize, x: &mut [T]) {
        // The first places of a permutation that goes on from one output to the next.
        let mut places: Vec<usize> = (0..self.inputs).collect();
        for row in x[self.range()].chunks_exact_mut(self.inputs) {
            for i in 0..connections.min(self.inputs) {
                let other = i + (random.uniform() * (self.inputs - i) as f64) as usize;
                places.swap(i, other);
                row[places[i]] = T::from_f64(random.normal());
            }
        }
    }

    /// out ← the weights by columns.
    pub fn by_columns<T: Scalar>(&self, x: &[T], out: &mut [T]) {
        const INPUTS: usize = 64;
        let (weights, out) = (&x[self.range()], &mut out[self.range()]);
        for_each(Chunked(out, INPUTS * self.outputs), &|i, out| {
            let columns = i * INPUTS..((i + 1) * INPUTS).min(self.inputs);
            let row = |j: usize| &weights[j * self.inputs..][..self.inputs];
            transpose(row, self.outputs, columns, out, self.outputs);
        });
    }
}

/// z ← z + b for the values of one unit.
pub fn add_bias<T: Scalar>(b: T, z: &mut [T]) {
    vectorized(
        z.len(),
        #[inline(always)]
        || z.iter_mut().for_each(|z| *z += b),
    );
}

/// Σ aᵢ for a few hundred numbers, in the arithmetic of the matrix products.
pub fn sum<T: Scalar>(a: &[T]) -> T {
    const LANES: usize = 16;
    let mut sums = [T::zero(); LANES];
    vectorized(
        a.len(),
        #[inline(always)]
        || {
            let (whole, rest) = a.as_chunks::<LANES>();
            whole.iter().for_each(|a| (0..LANES).for_each(|i| sums[i] += a[i]));
            rest.iter().zip(&mut sums).for_each(|(&a, sum)| *sum += a);
        },
    );
    sums.iter().fold(T::zero(), |sum, &part| sum + part)
}
