//! The passes through a network for one chunk of samples, and the sums over samples.
//!
//! With δₗ = ∂L/∂zₗ, the derivative with respect to the pre-activations of layer l, and ˙ for the derivative in the
//! direction (V, v_b) of the parameters (the R-operator of Pearlmutter, *Fast exact multiplication by the Hessian*, Neural
//! Computation 6, 1994):
//!
//! - forward    aₗ = φ(zₗ),  zₗ = W aₗ₋₁ + b
//! - tangents   ȧₗ = φ′ żₗ,  żₗ = V aₗ₋₁ + v_b + W ȧₗ₋₁
//! - backward   δₗ = φ′ Wᵀδₗ₊₁
//! - its tangents   δ̇ₗ = φ′ (Wᵀδ̇ₗ₊₁ + Vᵀδₗ₊₁) + φ″ żₗ Wᵀδₗ₊₁
//! - sums over samples   ∂L/∂W = Σ δₗ aₗ₋₁ᵀ,  its derivative Σ δ̇ₗ aₗ₋₁ᵀ + δₗ ȧₗ₋₁ᵀ
//!
//! A chunk's values are stored layer after layer and feature after feature, `size` samples for each.

use rayon::prelude::*;

use super::multilayer_perceptron::{Layer, MultilayerPerceptron, Piece};
use crate::base::native::{Matrix, MatrixMut};
use crate::base::{Scalar, kernels};

/// The shape of a chunk: values are `size` samples apart, of which the first `len` are there.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub size: usize,
    pub len: usize,
}

impl Shape {
    /// The columns of a layer's values.
    fn columns<T: Scalar>(self, values: &[T]) -> impl Iterator<Item = &[T]> {
        values.chunks_exact(self.size).map(move |column| &column[..self.len])
    }

    fn columns_mut<T: Scalar>(self, values: &mut [T]) -> impl Iterator<Item = &mut [T]> {
        values.chunks_exact_mut(self.size).map(move |column| &mut column[..self.len])
    }

    /// Values as a matrix with a row for every sample.
    fn matrix<T>(self, values: &[T]) -> Matrix<'_, T> {
        Matrix::by_columns(values, self.len, values.len() / self.size, self.size)
    }

    fn matrix_mut<T>(self, values: &mut [T]) -> MatrixMut<'_, T> {
        MatrixMut { rows: self.len, columns: values.len() / self.size, stride: self.size, by_rows: false, data: values }
    }
}

/// What a chunk holds at a point: its inputs, and the values aₗ of all layers.
#[derive(Clone, Copy)]
pub(super) struct Values<'a, T> {
    pub inputs: &'a [T],
    pub layers: &'a [T],
}

impl<'a, T> Values<'a, T> {
    pub fn new(chunk: &'a [T], network: &MultilayerPerceptron, size: usize) -> Self {
        let (inputs, layers) = chunk.split_at(network.inputs() * size);
        Values { inputs, layers }
    }

    /// aₗ.
    pub fn outputs_of(self, layer: &Layer, size: usize) -> &'a [T] {
        &self.layers[layer.start * size..layer.values().end * size]
    }

    /// aₗ₋₁.
    fn inputs_of(self, layer: &Layer, size: usize) -> &'a [T] {
        match layer.start {
            0 => self.inputs,
            start => &self.layers[(start - layer.inputs) * size..start * size],
        }
    }
}

/// z ← z + a Wᵀ for all samples.
fn times_weights<T: Scalar>(shape: Shape, a: &[T], weights: &[T], layer: &Layer, z: &mut [T]) {
    let w = Matrix::by_rows(weights, layer.outputs, layer.inputs);
    T::multiply(shape.matrix_mut(z), true, shape.matrix(a), w.transpose());
}

/// d ← d W, or d + d W if `add`, for all samples.
fn times_weights_back<T: Scalar>(shape: Shape, delta: &[T], weights: &[T], layer: &Layer, add: bool, d: &mut [T]) {
    let w = Matrix::by_rows(weights, layer.outputs, layer.inputs);
    T::multiply(shape.matrix_mut(d), add, shape.matrix(delta), w);
}

/// z ← b for all samples.
fn spread<T: Scalar>(shape: Shape, biases: &[T], z: &mut [T]) {
    shape.columns_mut(z).zip(biases).for_each(|(column, &b)| column.fill(b));
}

/// Forward: fills the values of all layers, for the inputs at the start of `chunk`.
pub(super) fn forward<T: Scalar>(network: &MultilayerPerceptron, x: &[T], shape: Shape, chunk: &mut [T]) {
    let (inputs, layers) = chunk.split_at_mut(network.inputs() * shape.size);
    for layer in &network.layers {
        let (before, z) = layers.split_at_mut(layer.start * shape.size);
        let z = &mut z[..layer.outputs * shape.size];
        let a = Values { inputs, layers: before }.inputs_of(layer, shape.size);
        let (weights, biases) = layer.parameters(x);
        spread(shape, biases, z);
        times_weights(shape, a, weights, layer, z);
        shape.columns_mut(z).for_each(|column| layer.activation.apply(column));
    }
}

/// Tangents: fills ȧₗ for all layers. With the δₗ of a backward pass it also writes φ″ żₗ Wᵀδₗ₊₁ to the second slice.
pub(super) fn tangents<T: Scalar>(
    network: &MultilayerPerceptron,
    (x, v): (&[T], &[T]),
    shape: Shape,
    values: Values<'_, T>,
    out: &mut [T],
    mut bend: Option<(&[T], &mut [T])>,
) {
    let size = shape.size;
    for layer in &network.layers {
        let (before, z) = out.split_at_mut(layer.start * size);
        let z = &mut z[..layer.outputs * size];
        let (weights, _) = layer.parameters(x);
        let (v_weights, v_biases) = layer.parameters(v);
        spread(shape, v_biases, z);
        times_weights(shape, values.inputs_of(layer, size), v_weights, layer, z);
        if layer.start > 0 {
            times_weights(shape, &before[before.len() - layer.inputs * size..], weights, layer, z);
        }
        let a = values.outputs_of(layer, size);
        if let Some((deltas, bends)) = &mut bend {
            let range = layer.start * size..layer.values().end * size;
            let (delta, bend) = (shape.columns(&deltas[range.clone()]), shape.columns_mut(&mut bends[range]));
            for (((a, z), delta), bend) in shape.columns(a).zip(shape.columns(z)).zip(delta).zip(bend) {
                layer.activation.curvature(a, z, delta, bend);
            }
        }
        shape.columns(a).zip(shape.columns_mut(z)).for_each(|(a, z)| layer.activation.times_derivative(a, z));
    }
}

/// Backward: fills δₗ for all layers, where the last one has ∂L/∂h.
pub(super) fn backward<T: Scalar>(
    network: &MultilayerPerceptron,
    x: &[T],
    shape: Shape,
    values: Values<'_, T>,
    deltas: &mut [T],
) {
    let size = shape.size;
    for layer in network.layers.iter().rev() {
        let (before, delta) = deltas.split_at_mut(layer.start * size);
        let delta = &mut delta[..layer.outputs * size];
        let a = values.outputs_of(layer, size);
        shape.columns(a).zip(shape.columns_mut(delta)).for_each(|(a, d)| layer.activation.times_derivative(a, d));
        if layer.start > 0 {
            let before = &mut before[(layer.start - layer.inputs) * size..];
            times_weights_back(shape, delta, layer.parameters(x).0, layer, false, before);
        }
    }
}

/// Tangents of the backward pass: fills δ̇ₗ for all layers, where all have φ″ żₗ Wᵀδₗ₊₁ as [`tangents`] wrote it, and
/// `room` begins with the derivative of ∂L/∂h.
pub(super) fn backward_tangents<T: Scalar>(
    network: &MultilayerPerceptron,
    (x, v): (&[T], &[T]),
    shape: Shape,
    values: Values<'_, T>,
    deltas: &[T],
    delta_tangents: &mut [T],
    room: &mut [T],
) {
    let size = shape.size;
    for layer in network.layers.iter().rev() {
        let delta_tangent = &mut delta_tangents[layer.start * size..layer.values().end * size];
        let (a, room_here) = (values.outputs_of(layer, size), &mut room[..layer.outputs * size]);
        let columns = shape.columns_mut(room_here).zip(shape.columns_mut(delta_tangent));
        for ((room, delta_tangent), a) in columns.zip(shape.columns(a)) {
            layer.activation.times_derivative(a, room);
            delta_tangent.iter_mut().zip(room).for_each(|(d, r)| *d += *r);
        }
        if layer.start > 0 {
            let room = &mut room[..layer.inputs * size];
            let delta = &deltas[layer.start * size..layer.values().end * size];
            times_weights_back(shape, delta_tangent, layer.parameters(x).0, layer, false, room);
            times_weights_back(shape, delta, layer.parameters(v).0, layer, true, room);
        }
    }
}

/// out ← out + Σ δ a₋ᵀ for the samples of a chunk and a piece of the parameters (for biases Σ δ).
/// `further` adds Σ δ′ ȧ₋ᵀ with other derivatives δ′ and the tangents of all layers; those of the inputs are zero.
pub(super) fn sum_over_samples<T: Scalar>(
    network: &MultilayerPerceptron,
    piece: &Piece,
    shape: Shape,
    (deltas, values): (&[T], Values<'_, T>),
    further: Option<(&[T], &[T])>,
    out: &mut [T],
) {
    let size = shape.size;
    match piece {
        Piece::Weights(layer, rows) => {
            let layer = &network.layers[*layer];
            let range = (layer.start + rows.start) * size..(layer.start + rows.end) * size;
            let mut sum = |deltas: &[T], a: &[T]| {
                let out = MatrixMut::by_rows(&mut *out, rows.len(), layer.inputs);
                T::multiply(out, true, shape.matrix(&deltas[range.clone()]).transpose(), shape.matrix(a));
            };
            sum(deltas, values.inputs_of(layer, size));
            if let Some((deltas, tangents)) = further
                && layer.start > 0
            {
                sum(deltas, &tangents[(layer.start - layer.inputs) * size..layer.start * size]);
            }
        }
        Piece::Biases(layer) => {
            let layer = &network.layers[*layer];
            let columns = shape.columns(&deltas[layer.start * size..layer.values().end * size]);
            for (out, delta) in out.iter_mut().zip(columns) {
                *out += T::from_f64(kernels::sum_terms(delta.len(), |i| delta[i].into()));
            }
        }
    }
}

/// Columns of a matrix of moments that are computed together, as far as its diagonal reaches.
const COLUMNS: usize = 128;

/// Adds Σ āāᵀ and Σ δδᵀ over the samples of a chunk, ā = (a₋, 1).
pub(super) fn add_moments<T: Scalar>(
    layer: &Layer,
    shape: Shape,
    (deltas, values): (&[T], Values<'_, T>),
    inputs: &mut [T],
    outputs: &mut [T],
) {
    let size = shape.size;
    let a = values.inputs_of(layer, size);
    let delta = &deltas[layer.start * size..layer.values().end * size];
    let (n, stride) = (layer.inputs, layer.inputs + 1);
    rayon::join(
        || add_gram(shape, a, n, stride, inputs),
        || add_gram(shape, delta, layer.outputs, layer.outputs, outputs),
    );
    for (j, column) in shape.columns(a).enumerate() {
        let sum = T::from_f64(kernels::sum_terms(column.len(), |i| column[i].into()));
        inputs[n * stride + j] += sum;
        inputs[j * stride + n] += sum;
    }
    inputs[n * stride + n] += T::from_f64(shape.len as f64);
}

/// Adds VᵀV for the n columns of V: its part above the diagonal by blocks of columns, in parallel, then mirrored.
fn add_gram<T: Scalar>(shape: Shape, v: &[T], n: usize, stride: usize, out: &mut [T]) {
    out[..n * stride].par_chunks_mut(COLUMNS * stride).enumerate().for_each(|(i, out)| {
        let (first, last) = (i * COLUMNS, n.min((i + 1) * COLUMNS));
        let columns = shape.matrix(&v[first * shape.size..last * shape.size]);
        let above = shape.matrix(&v[..last * shape.size]);
        let target = MatrixMut { rows: last, columns: last - first, stride, by_rows: false, data: out };
        T::multiply(target, true, above.transpose(), columns);
    });
    for j in 0..n {
        for i in j + 1..n {
            out[j * stride + i] = out[i * stride + j];
        }
    }
}
