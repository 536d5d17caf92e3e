//! A multilayer perceptron as a function of its parameters for a set of samples, and its products at a point.

use std::cell::RefCell;
use std::mem;
use std::sync::Mutex;

use rayon::prelude::*;

use super::chunks::{Chunks, GROUP, transpose, transpose_back};
use super::multilayer_perceptron::{MultilayerPerceptron, Piece};
use super::pass::{Shape, Values, backward, backward_tangents, forward, sum_over_samples, tangents};
use crate::base::{Error, Result, Scalar, check_positive_dimension, check_range};
use crate::operator::{LinearMap, Linearization, Model};

/// A [`MultilayerPerceptron`] with the inputs of N samples: the [`Model`] h : ℝⁿ → ℝᴺᵏ of its parameters, k outputs for
/// each sample, those of one sample after those of another.
///
/// Costs in forward passes of all samples, each 2Nn floating-point operations: [`linearize`](Model::linearize) 1, Jv 2
/// (1 for the first layer, whose inputs do not depend on the parameters), Jᵀu 2 (again 1 for the first layer). A gradient
/// is `linearize` and Jᵀu: 3. A Gauss–Newton product is Jv and Jᵀu: 4/3 of a gradient. A
/// [Hessian product](LinearizedPerceptron::hessian_product) is 2 gradients.
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
    /// For Hessian products: u, its δ, the tangents of the values and of δ for all samples, and Jv and its image.
    u: Vec<T>,
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
    /// N, the number of samples.
    pub fn samples(&self) -> usize {
        self.inputs.len() / self.network.inputs()
    }

    /// The same function for some of the samples, in this order.
    ///
    /// # Errors
    /// If there is none, or an index is not below [`samples`](Self::samples).
    pub fn restrict(&self, samples: &'a [usize]) -> Result<impl Model<T> + '_> {
        check_positive_dimension("samples", samples.len())?;
        for &sample in samples {
            check_range("samples", sample as f64, sample < self.samples(), "below the number of samples")?;
        }
        Ok(Restricted { model: self, samples })
    }

    fn count(&self, samples: Samples<'_>) -> usize {
        match samples {
            Samples::All => self.samples(),
            Samples::These(samples) => samples.len(),
        }
    }

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
        let chunks = Chunks::new(self.count(samples));
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
        kept.products.u.clear();
        let Room { values, outputs, products } = kept;
        LinearizedPerceptron { model: self, at: At { network, x, chunks, values, outputs }, products: products.into() }
    }

    fn evaluate_samples(&self, x: &[T], samples: Samples<'_>, out: &mut [T]) {
        out.copy_from_slice(self.linearize_samples(x, samples).outputs());
    }
}

impl<T: Scalar> Model<T> for PerceptronOnData<'_, T> {
    fn dim(&self) -> usize {
        self.network.dim()
    }
    fn output_dim(&self) -> usize {
        self.samples() * self.network.outputs()
    }
    fn evaluate(&self, x: &[T], out: &mut [T]) {
        self.evaluate_samples(x, Samples::All, out);
    }
    // The type says which further products there are.
    #[allow(refining_impl_trait)]
    fn linearize<'a>(&'a self, x: &'a [T]) -> LinearizedPerceptron<'a, T> {
        self.linearize_samples(x, Samples::All)
    }
}

/// The model for some samples.
struct Restricted<'a, T> {
    model: &'a PerceptronOnData<'a, T>,
    samples: &'a [usize],
}

impl<T: Scalar> Model<T> for Restricted<'_, T> {
    fn dim(&self) -> usize {
        self.model.dim()
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

    /// out ← Σ over the samples of these chunks, or out + that.
    fn sum(&self, first: usize, deltas: &[T], further: Option<(&[T], &[T])>, add: bool, out: &mut [T]) {
        let stride = self.stride();
        for_pieces(self.network, &self.network.pieces, out, &|piece, out| {
            for (k, deltas) in deltas.chunks_exact(stride).enumerate() {
                let chunk = first + k;
                let here = chunk * stride..(chunk + 1) * stride;
                let further = further.map(|(deltas, tangents)| (&deltas[here.clone()], &tangents[here]));
                let (shape, add) = (self.shape(chunk), add || k > 0);
                sum_over_samples(self.network, piece, shape, (deltas, self.values(chunk)), further, add, out);
            }
        });
    }
}

impl<T: Scalar> LinearizedPerceptron<'_, T> {
    /// out ← (JᵀWJ + Σᵢ uᵢ∇²hᵢ) v: the product with the Hessian of x ↦ l(h(x)), where u = ∇l(h) and `curvature(jv, w)`
    /// writes the product of W = ∇²l(h) with its first argument to the second.
    ///
    /// Costs two gradients, and for the first u at a point also the backward half of one. Overwrites `out`.
    pub fn hessian_product(&self, u: &[T], v: &[T], curvature: impl FnOnce(&[T], &mut [T]), out: &mut [T]) {
        let at = &self.at;
        let (network, stride, size) = (at.network, at.stride(), at.chunks.size);
        let (k, all, m) = (network.outputs(), at.chunks.count() * stride, self.rows());
        let mut products = self.products.borrow_mut();
        let Products { group, u: last_u, deltas, tangents: dots, delta_tangents, outputs, image } = &mut *products;
        let deltas = room(deltas, all);
        // Compared by bits: NaN is as good as any other number here.
        let bits = |u: &T| Into::<f64>::into(*u).to_bits();
        if !last_u.iter().map(bits).eq(u.iter().map(bits)) {
            deltas.par_chunks_mut(stride).enumerate().for_each(|(i, deltas)| {
                transpose(at.samples_of(i, u), at.chunks.len(i), at.last(deltas), size);
                backward(network, at.x, at.shape(i), at.values(i), deltas);
            });
            last_u.clear();
            last_u.extend_from_slice(u);
        }
        let (deltas, dots, delta_tangents) = (&*deltas, room(dots, all), room(delta_tangents, all));
        let (outputs, image) = (room(outputs, m), room(image, m));
        let both = dots.par_chunks_mut(stride).zip(delta_tangents.par_chunks_mut(stride));
        both.zip(outputs.par_chunks_mut(size * k)).enumerate().for_each(|(i, ((dots, bends), outputs))| {
            let bend = Some((&deltas[i * stride..][..stride], bends));
            tangents(network, (at.x, v), at.shape(i), at.values(i), dots, bend);
            transpose_back(at.last(dots), size, at.chunks.len(i), outputs);
        });
        curvature(outputs, image);
        let widest = network.layers.iter().map(|layer| layer.inputs.max(layer.outputs)).max().unwrap_or(0) * size;
        let group = room(group, at.chunks.count() * widest);
        delta_tangents.par_chunks_mut(stride).zip(group.par_chunks_mut(widest)).enumerate().for_each(
            |(i, (delta_tangents, room))| {
                transpose(at.samples_of(i, image), at.chunks.len(i), room, size);
                let deltas = &deltas[i * stride..][..stride];
                backward_tangents(network, (at.x, v), at.shape(i), at.values(i), deltas, delta_tangents, room);
            },
        );
        at.sum(0, delta_tangents, Some((deltas, dots)), false, out);
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
        let (network, stride, size) = (at.network, at.stride(), at.chunks.size);
        let count = at.chunks.count();
        let group = &mut self.products.borrow_mut().group;
        let group = room(group, GROUP.min(count) * stride);
        for first in (0..count).step_by(GROUP) {
            let group = &mut group[..GROUP.min(count - first) * stride];
            group.par_chunks_mut(stride).enumerate().for_each(|(i, deltas)| {
                let i = first + i;
                transpose(at.samples_of(i, u), at.chunks.len(i), at.last(deltas), size);
                backward(network, at.x, at.shape(i), at.values(i), deltas);
            });
            at.sum(first, group, None, first > 0, out);
        }
    }
}

impl<T: Scalar> Linearization<T> for LinearizedPerceptron<'_, T> {
    fn outputs(&self) -> &[T] {
        &self.at.outputs[..self.rows()]
    }
}
