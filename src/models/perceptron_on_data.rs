//! A multilayer perceptron as a function of its parameters for a set of samples, and its products at a point.

use std::cell::RefCell;
use std::mem;
use std::sync::Mutex;

use rayon::prelude::*;

use super::chunks::{Chunks, GROUP, transpose, transpose_back};
use super::multilayer_perceptron::{MultilayerPerceptron, Piece};
use super::pass::{Shape, Values, add_moments, backward, backward_tangents, forward, sum_over_samples, tangents};
use crate::base::{Error, Result, Scalar, check_positive_dimension};
use crate::operator::{LayerShape, LinearMap, Linearization, Model, SampledModel};

/// A [`MultilayerPerceptron`] with the inputs of N samples: the [`Model`] h : ℝⁿ → ℝᴺᵏ of its parameters, k outputs for
/// each sample, those of one sample after those of another.
///
/// Costs in forward passes of all samples, each 2Nn floating-point operations: [`linearize`](Model::linearize) 1, Jv 2
/// (1 for the first layer, whose inputs do not depend on the parameters), Jᵀu 2 (again 1 for the first layer). A gradient
/// is `linearize` and Jᵀu: 3. A Gauss–Newton product is Jv and Jᵀu: 4/3 of a gradient. A
/// [Hessian product](Linearization::second_order_product) is 2 gradients.
///
/// Storage: the values of all layers for all samples. Products use the room for intermediate values of some 2000 samples,
/// Hessian products of all samples, three times. It is kept when a linearization goes, and used by the next one.
///
/// The same parameters and samples give the same bits for any number of threads. Where an input or a parameter is NaN,
/// the outputs that depend on it are NaN.
pub struct PerceptronOnData<'a, T> {
    network: &'a MultilayerPerceptron,
    inputs: &'a [T],
    /// Room from linearizations that are gone.
    rooms: Mutex<Vec<Room<T>>>,
}

/// Which samples of the set are taken.
#[derive(Clone, Copy)]
enum Samples<'a> {
    All,
    These(&'a [usize]),
}

/// Memory of a linearization. Buffers only grow.
#[derive(Default)]
struct Room<T> {
    /// Inputs and values of all layers, chunk after chunk.
    values: Vec<T>,
    outputs: Vec<T>,
    products: Products<T>,
}

/// Memory of products.
#[derive(Default)]
struct Products<T> {
    /// Derivatives for the pre-activations of a group of chunks; in Hessian products the room of each chunk for a layer.
    group: Vec<T>,
    /// For Hessian products: δ, the tangents of the values and of δ for all samples, and Jv and W(Jv).
    deltas: Vec<T>,
    tangents: Vec<T>,
    delta_tangents: Vec<T>,
    outputs: Vec<T>,
    image: Vec<T>,
}

/// The first `len` numbers of a buffer, which grows if it has fewer.
fn room<T: Scalar>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::zero());
    }
    &mut buffer[..len]
}

impl MultilayerPerceptron {
    /// The network as a function of its parameters for all of these samples: `inputs` has the inputs of one sample after
    /// those of another. The outputs have the same order.
    ///
    /// # Errors
    /// If there is no sample, or the length of `inputs` is not a multiple of [`inputs`](Self::inputs).
    pub fn on<'a, T: Scalar>(&'a self, inputs: &'a [T]) -> Result<PerceptronOnData<'a, T>> {
        check_positive_dimension("inputs", inputs.len())?;
        let expected = inputs.len().next_multiple_of(self.inputs());
        if inputs.len() != expected {
            return Err(Error::Length { argument: "inputs", expected, found: inputs.len() });
        }
        Ok(PerceptronOnData { network: self, inputs, rooms: Mutex::new(vec![]) })
    }
}

impl<T: Scalar> PerceptronOnData<'_, T> {
    /// Copies the inputs of chunk `i` to where the values of that chunk begin.
    fn load(&self, samples: Samples<'_>, chunks: Chunks, i: usize, chunk: &mut [T]) {
        let (width, start, len) = (self.network.inputs(), i * chunks.size, chunks.len(i));
        match samples {
            Samples::All => transpose(&self.inputs[start * width..][..len * width], len, chunk, chunks.size),
            Samples::These(samples) => {
                for (k, &sample) in samples[start..start + len].iter().enumerate() {
                    transpose(&self.inputs[sample * width..][..width], 1, &mut chunk[k..], chunks.size);
                }
            }
        }
    }

    fn linearize_samples<'b>(&'b self, x: &'b [T], samples: Samples<'b>) -> LinearizedPerceptron<'b, T> {
        let network = self.network;
        let mut kept = self.rooms.lock().map_or_else(|_| Room::default(), |mut rooms| rooms.pop().unwrap_or_default());
        let chunks = Chunks::new(match samples {
            Samples::All => self.inputs.len() / network.inputs(),
            Samples::These(samples) => samples.len(),
        });
        let (stride, k) = ((network.inputs() + network.values()) * chunks.size, network.outputs());
        let outputs = room(&mut kept.outputs, chunks.samples * k);
        room(&mut kept.values, chunks.count() * stride)
            .par_chunks_mut(stride)
            .zip(outputs.par_chunks_mut(chunks.size * k))
            .enumerate()
            .for_each(|(i, (chunk, outputs))| {
                let shape = Shape { size: chunks.size, len: chunks.len(i) };
                self.load(samples, chunks, i, chunk);
                forward(network, x, shape, chunk);
                let last = Values::new(chunk, network, shape.size).outputs_of(network.last(), shape.size);
                transpose_back(last, shape.size, shape.len, outputs);
            });
        let Room { values, outputs, products } = kept;
        LinearizedPerceptron { model: self, at: At { network, x, chunks, values, outputs }, products: products.into() }
    }
}

impl<T: Scalar> Model<T> for PerceptronOnData<'_, T> {
    fn dim(&self) -> usize {
        self.network.dim()
    }
    fn output_dim(&self) -> usize {
        self.inputs.len() / self.network.inputs() * self.network.outputs()
    }
    fn evaluate(&self, x: &[T], out: &mut [T]) {
        out.copy_from_slice(self.linearize(x).outputs());
    }
    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a {
        self.linearize_samples(x, Samples::All)
    }
    fn second_order(&self) -> bool {
        true
    }
    fn layers(&self) -> Vec<LayerShape> {
        self.network.shapes()
    }
}

impl<T: Scalar> SampledModel<T> for PerceptronOnData<'_, T> {
    fn dim(&self) -> usize {
        self.network.dim()
    }
    fn samples(&self) -> usize {
        self.inputs.len() / self.network.inputs()
    }
    fn outputs_per_sample(&self) -> usize {
        self.network.outputs()
    }
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Model<T> + 'a {
        Batch { model: self, samples }
    }
}

/// The model for some samples.
struct Batch<'a, T> {
    model: &'a PerceptronOnData<'a, T>,
    samples: &'a [usize],
}

impl<T: Scalar> Model<T> for Batch<'_, T> {
    fn dim(&self) -> usize {
        self.model.network.dim()
    }
    fn output_dim(&self) -> usize {
        self.samples.len() * self.model.network.outputs()
    }
    fn evaluate(&self, x: &[T], out: &mut [T]) {
        out.copy_from_slice(self.linearize(x).outputs());
    }
    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a {
        self.model.linearize_samples(x, Samples::These(self.samples))
    }
    fn second_order(&self) -> bool {
        true
    }
    fn layers(&self) -> Vec<LayerShape> {
        self.model.network.shapes()
    }
}

/// A [`PerceptronOnData`] at a point: the values of all layers, and its products.
pub struct LinearizedPerceptron<'a, T: Scalar> {
    model: &'a PerceptronOnData<'a, T>,
    at: At<'a, T>,
    products: RefCell<Products<T>>,
}

impl<T: Scalar> Drop for LinearizedPerceptron<'_, T> {
    fn drop(&mut self) {
        let (values, outputs) = (mem::take(&mut self.at.values), mem::take(&mut self.at.outputs));
        let products = self.products.take();
        if let Ok(mut rooms) = self.model.rooms.lock() {
            rooms.push(Room { values, outputs, products });
        }
    }
}

/// What is known at a point.
struct At<'a, T> {
    network: &'a MultilayerPerceptron,
    x: &'a [T],
    chunks: Chunks,
    values: Vec<T>,
    outputs: Vec<T>,
}

impl<T: Scalar> At<'_, T> {
    fn shape(&self, chunk: usize) -> Shape {
        Shape { size: self.chunks.size, len: self.chunks.len(chunk) }
    }

    /// Inputs and values of a chunk.
    fn values(&self, chunk: usize) -> Values<'_, T> {
        let stride = (self.network.inputs() + self.network.values()) * self.chunks.size;
        Values::new(&self.values[chunk * stride..][..stride], self.network, self.chunks.size)
    }

    /// The numbers that all layers' values of a chunk take.
    fn stride(&self) -> usize {
        self.network.values() * self.chunks.size
    }

    /// Where the last layer's values are in them.
    fn last<'a>(&self, chunk: &'a mut [T]) -> &'a mut [T] {
        &mut chunk[self.network.last().start * self.chunks.size..]
    }

    /// The outputs of a chunk among those of all samples.
    fn samples_of<'a>(&self, chunk: usize, outputs: &'a [T]) -> &'a [T] {
        let k = self.network.outputs();
        &outputs[chunk * self.chunks.size * k..][..self.chunks.len(chunk) * k]
    }

    /// δ of all layers for the chunks from `first` on whose room is given, for the derivatives `u` with respect to outputs.
    fn backward(&self, first: usize, u: &[T], deltas: &mut [T]) {
        deltas.par_chunks_mut(self.stride()).enumerate().for_each(|(i, deltas)| {
            let i = first + i;
            transpose(self.samples_of(i, u), self.chunks.len(i), self.last(deltas), self.chunks.size);
            backward(self.network, self.x, self.shape(i), self.values(i), deltas);
        });
    }

    /// out ← out + Σ over the samples of the chunks from `first` on, one after the other.
    fn sum(&self, first: usize, deltas: &[T], further: Option<(&[T], &[T])>, out: &mut [T]) {
        let stride = self.stride();
        for_pieces(self.network, &self.network.pieces, out, &|piece, out| {
            for (i, deltas) in deltas.chunks_exact(stride).enumerate() {
                let here = i * stride..(i + 1) * stride;
                let further = further.map(|(deltas, tangents)| (&deltas[here.clone()], &tangents[here]));
                let (shape, values) = (self.shape(first + i), self.values(first + i));
                sum_over_samples(self.network, piece, shape, (deltas, values), further, out);
            }
        });
    }
}

/// Calls `body` for every piece of the parameters, in parallel.
fn for_pieces<T: Scalar>(
    network: &MultilayerPerceptron,
    pieces: &[Piece],
    out: &mut [T],
    body: &(impl Fn(&Piece, &mut [T]) + Sync),
) {
    if let [piece] = pieces {
        return body(piece, out);
    }
    let (low, high) = pieces.split_at(pieces.len() / 2);
    let (out_low, out_high) = out.split_at_mut(low.iter().map(|piece| network.piece_len(piece)).sum());
    rayon::join(|| for_pieces(network, low, out_low, body), || for_pieces(network, high, out_high, body));
}

impl<T: Scalar> LinearMap<T> for LinearizedPerceptron<'_, T> {
    fn rows(&self) -> usize {
        self.at.chunks.samples * self.at.network.outputs()
    }

    fn columns(&self) -> usize {
        self.at.network.dim()
    }

    fn apply(&self, v: &[T], out: &mut [T]) {
        let at = &self.at;
        let (network, stride, size) = (at.network, at.stride(), at.chunks.size);
        let group = &mut self.products.borrow_mut().group;
        let group = room(group, GROUP.min(at.chunks.count()) * stride);
        for (g, out) in out.chunks_mut(GROUP * size * network.outputs()).enumerate() {
            let pairs = group.par_chunks_mut(stride).zip(out.par_chunks_mut(size * network.outputs()));
            pairs.enumerate().for_each(|(i, (dots, out))| {
                let i = g * GROUP + i;
                tangents(network, (at.x, v), at.shape(i), at.values(i), dots, None);
                transpose_back(at.last(dots), size, at.chunks.len(i), out);
            });
        }
    }

    fn apply_transpose(&self, u: &[T], out: &mut [T]) {
        let at = &self.at;
        let (count, stride) = (at.chunks.count(), at.stride());
        let group = &mut self.products.borrow_mut().group;
        let group = room(group, GROUP.min(count) * stride);
        out.fill(T::zero());
        for first in (0..count).step_by(GROUP) {
            let deltas = &mut group[..GROUP.min(count - first) * stride];
            at.backward(first, u, deltas);
            at.sum(first, deltas, None, out);
        }
    }
}

impl<T: Scalar> Linearization<T> for LinearizedPerceptron<'_, T> {
    fn outputs(&self) -> &[T] {
        &self.at.outputs[..self.rows()]
    }

    fn adjoint(&self, u: &[T], out: &mut [T]) {
        let at = &self.at;
        let deltas = &mut self.products.borrow_mut().deltas;
        let deltas = room(deltas, at.chunks.count() * at.stride());
        at.backward(0, u, deltas);
        out.fill(T::zero());
        at.sum(0, deltas, None, out);
    }

    fn add_layer_moments(&self, u: &[T], inputs: &mut [Vec<T>], outputs: &mut [Vec<T>]) {
        let at = &self.at;
        let (count, stride) = (at.chunks.count(), at.stride());
        let group = &mut self.products.borrow_mut().group;
        let group = room(group, GROUP.min(count) * stride);
        for first in (0..count).step_by(GROUP) {
            let deltas = &mut group[..GROUP.min(count - first) * stride];
            at.backward(first, u, deltas);
            for (i, deltas) in deltas.chunks_exact(stride).enumerate() {
                let (shape, values) = (at.shape(first + i), at.values(first + i));
                let layers = at.network.layers.par_iter().zip(inputs.par_iter_mut()).zip(outputs.par_iter_mut());
                layers.for_each(|((layer, inputs), outputs)| {
                    add_moments(layer, shape, (deltas, values), inputs, outputs);
                });
            }
        }
    }

    fn second_order_product(&self, middle: &dyn Fn(&[T], &mut [T]), v: &[T], out: &mut [T]) -> bool {
        let at = &self.at;
        let (network, stride, size, count) = (at.network, at.stride(), at.chunks.size, at.chunks.count());
        let Products { group, deltas, tangents: dots, delta_tangents, outputs, image } =
            &mut *self.products.borrow_mut();
        let (deltas, dots) = (&deltas[..count * stride], room(dots, count * stride));
        let (outputs, image) = (room(outputs, self.rows()), room(image, self.rows()));
        let delta_tangents = room(delta_tangents, count * stride);
        let both = dots.par_chunks_mut(stride).zip(delta_tangents.par_chunks_mut(stride));
        both.zip(outputs.par_chunks_mut(size * network.outputs())).enumerate().for_each(
            |(i, ((dots, bends), outputs))| {
                let bend = Some((&deltas[i * stride..][..stride], bends));
                tangents(network, (at.x, v), at.shape(i), at.values(i), dots, bend);
                transpose_back(at.last(dots), size, at.chunks.len(i), outputs);
            },
        );
        middle(outputs, image);
        let widest = network.layers.iter().map(|layer| layer.inputs.max(layer.outputs)).max().unwrap_or(0) * size;
        let rooms = room(group, count * widest);
        delta_tangents.par_chunks_mut(stride).zip(rooms.par_chunks_mut(widest)).enumerate().for_each(
            |(i, (delta_tangents, room))| {
                transpose(at.samples_of(i, image), at.chunks.len(i), room, size);
                let deltas = &deltas[i * stride..][..stride];
                backward_tangents(network, (at.x, v), at.shape(i), at.values(i), deltas, delta_tangents, room);
            },
        );
        out.fill(T::zero());
        at.sum(0, delta_tangents, Some((deltas, dots)), out);
        true
    }
}
