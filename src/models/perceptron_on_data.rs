//! A multilayer perceptron as a function of its parameters for a set of samples, and its products at a point.

use std::cell::{RefCell, RefMut};
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
    /// The weights at this point by columns, if they were needed, and those of a direction.
    weights: Vec<T>,
    weights_known: bool,
    direction: Vec<T>,
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
        let row = |i: usize| {
            let sample = match samples {
                Samples::All => start + i,
                Samples::These(samples) => samples[start + i],
            };
            &self.inputs[sample * width..(sample + 1) * width]
        };
        transpose(row, len, 0..width, chunk, chunks.size);
    }

    fn chunks(&self, samples: Samples<'_>) -> Chunks {
        Chunks::new(match samples {
            Samples::All => self.inputs.len() / self.network.inputs(),
            Samples::These(samples) => samples.len(),
        })
    }

    /// Room that a linearization has left, or new.
    fn take_room(&self) -> Room<T> {
        self.rooms.lock().map_or_else(|_| Room::default(), |mut rooms| rooms.pop().unwrap_or_default())
    }

    fn leave_room(&self, room: Room<T>) {
        if let Ok(mut rooms) = self.rooms.lock() {
            rooms.push(room);
        }
    }

    /// The numbers of a chunk, its inputs and all layers' values.
    fn stride(&self, chunks: Chunks) -> usize {
        (self.network.inputs() + self.network.values()) * chunks.size
    }

    /// The forward pass for the chunks from `first` on for whose values there is room.
    fn forward(
        &self,
        x: &[T],
        samples: Samples<'_>,
        chunks: Chunks,
        first: usize,
        values: &mut [T],
        outputs: &mut [T],
    ) {
        let (network, k) = (self.network, self.network.outputs());
        let pairs = values.par_chunks_mut(self.stride(chunks)).zip(outputs.par_chunks_mut(chunks.size * k));
        pairs.enumerate().for_each(|(i, (chunk, outputs))| {
            let i = first + i;
            let shape = Shape { size: chunks.size, len: chunks.len(i) };
            self.load(samples, chunks, i, chunk);
            forward(network, x, shape, chunk);
            let last = Values::new(chunk, network, shape.size).outputs_of(network.last(), shape.size);
            transpose_back(last, shape.size, shape.len, outputs);
        });
    }

    fn linearize_samples<'b>(&'b self, x: &'b [T], samples: Samples<'b>) -> LinearizedPerceptron<'b, T> {
        let (network, chunks) = (self.network, self.chunks(samples));
        let Room { mut values, mut outputs, mut products } = self.take_room();
        products.weights_known = false;
        let outputs_here = room(&mut outputs, chunks.samples * network.outputs());
        let values_here = room(&mut values, chunks.count() * self.stride(chunks));
        self.forward(x, samples, chunks, 0, values_here, outputs_here);
        LinearizedPerceptron { model: self, at: At { network, x, chunks, values, outputs }, products: products.into() }
    }

    /// The outputs alone, without keeping the values of layers.
    fn evaluate_samples(&self, x: &[T], samples: Samples<'_>, out: &mut [T]) {
        let chunks = self.chunks(samples);
        let mut kept = self.take_room();
        let values = room(&mut kept.values, GROUP.min(chunks.count()) * self.stride(chunks));
        for (i, out) in out.chunks_mut(GROUP * chunks.size * self.network.outputs()).enumerate() {
            self.forward(x, samples, chunks, i * GROUP, values, out);
        }
        self.leave_room(kept);
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
        self.evaluate_samples(x, Samples::All, out);
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
        self.model.evaluate_samples(x, Samples::These(self.samples), out);
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
        self.model.leave_room(Room { values, outputs, products });
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

    /// Copies numbers for the outputs of a chunk's samples, from those of all samples to where layers have their values.
    fn load_outputs(&self, chunk: usize, outputs: &[T], target: &mut [T]) {
        let (k, size) = (self.network.outputs(), self.chunks.size);
        let row = |i: usize| &outputs[(chunk * size + i) * k..][..k];
        transpose(row, self.chunks.len(chunk), 0..k, target, size);
    }

    /// δ of all layers for the chunks from `first` on whose room is given, for the derivatives `u` with respect to outputs.
    fn backward(&self, weights: &[T], first: usize, u: &[T], deltas: &mut [T]) {
        deltas.par_chunks_mut(self.stride()).enumerate().for_each(|(i, deltas)| {
            let i = first + i;
            self.load_outputs(i, u, self.last(deltas));
            backward(self.network, weights, self.shape(i), self.values(i), deltas);
        });
    }

    /// out ← Σ over the samples of the chunks from `first` on, one after the other; out + that if they are not the first.
    /// Without samples it is zero.
    fn sum(&self, first: usize, deltas: &[T], further: Option<(&[T], &[T])>, out: &mut [T]) {
        if self.chunks.samples == 0 {
            return out.fill(T::zero());
        }
        let stride = self.stride();
        for_pieces(self.network, &self.network.pieces, out, &|piece, out| {
            for (i, deltas) in deltas.chunks_exact(stride).enumerate() {
                let here = i * stride..(i + 1) * stride;
                let further = further.map(|(deltas, tangents)| (&deltas[here.clone()], &tangents[here]));
                let (shape, values) = (self.shape(first + i), self.values(first + i));
                sum_over_samples(self.network, piece, shape, (deltas, values), further, first + i > 0, out);
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

/// out ← the weights of all layers but the first by columns, where each has its weights by rows in `x`: products with W have
/// their long loop over outputs, and are a quarter faster so.
fn weights_by_columns<T: Scalar>(network: &MultilayerPerceptron, x: &[T], out: &mut [T]) {
    const INPUTS: usize = 64;
    for layer in &network.layers[1..] {
        let (weights, _) = layer.parameters(x);
        let out = &mut out[layer.weights()];
        out.par_chunks_mut(INPUTS * layer.outputs).enumerate().for_each(|(i, out)| {
            let columns = i * INPUTS..((i + 1) * INPUTS).min(layer.inputs);
            let row = |j: usize| &weights[j * layer.inputs..][..layer.inputs];
            transpose(row, layer.outputs, columns, out, layer.outputs);
        });
    }
}

impl<T: Scalar> LinearizedPerceptron<'_, T> {
    /// Room for products, with the weights by columns.
    fn products(&self) -> RefMut<'_, Products<T>> {
        let mut products = self.products.borrow_mut();
        if !products.weights_known {
            weights_by_columns(self.at.network, self.at.x, room(&mut products.weights, self.at.x.len()));
            products.weights_known = true;
        }
        products
    }
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
        let Products { group, weights, .. } = &mut *self.products();
        let group = room(group, GROUP.min(count) * stride);
        for first in (0..count.max(1)).step_by(GROUP) {
            let deltas = &mut group[..GROUP.min(count - first) * stride];
            at.backward(weights, first, u, deltas);
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
        let Products { deltas, weights, .. } = &mut *self.products();
        let deltas = room(deltas, at.chunks.count() * at.stride());
        at.backward(weights, 0, u, deltas);
        at.sum(0, deltas, None, out);
    }

    fn add_layer_moments(&self, u: &[T], inputs: &mut [Vec<T>], outputs: &mut [Vec<T>]) {
        let at = &self.at;
        let (count, stride) = (at.chunks.count(), at.stride());
        let Products { group, weights, .. } = &mut *self.products();
        let group = room(group, GROUP.min(count) * stride);
        for first in (0..count).step_by(GROUP) {
            let deltas = &mut group[..GROUP.min(count - first) * stride];
            at.backward(weights, first, u, deltas);
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
        let Products { weights, direction, group, deltas, tangents: dots, delta_tangents, outputs, image, .. } =
            &mut *self.products();
        let direction = room(direction, v.len());
        weights_by_columns(network, v, direction);
        let both_weights = (&**weights, &*direction);
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
                at.load_outputs(i, image, room);
                let deltas = &deltas[i * stride..][..stride];
                backward_tangents(network, both_weights, at.shape(i), at.values(i), deltas, delta_tangents, room);
            },
        );
        at.sum(0, delta_tangents, Some((deltas, dots)), out);
        true
    }
}
