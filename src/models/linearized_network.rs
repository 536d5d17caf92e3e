//! A network at a point: the values of all units for a set of samples, and its products.
//!
//! Chunks of samples go through the network in parallel; what is summed over samples is summed in parallel over parameters,
//! each one over the chunks in their order, so that no sum depends on the number of threads.

use std::cell::{RefCell, RefMut};
use std::mem;
use std::ops::Range;

use super::chunks::{Chunks, GROUP, transpose, transpose_back};
use super::network::{Network, Shape, Values};
use super::room::{Products, Room, Rooms, room};
use crate::base::parallel::{Chunked, for_each, join};
use crate::base::{Scalar, kernels};
use crate::operator::{LinearMap, Linearization};

/// A network with its samples at a point.
pub(super) struct LinearizedNetwork<'a, N, T: Scalar> {
    pub rooms: &'a Rooms<T>,
    pub at: NetworkLinearization<'a, N, T>,
    pub products: RefCell<Products<T>>,
}

impl<N, T: Scalar> Drop for LinearizedNetwork<'_, N, T> {
    fn drop(&mut self) {
        let (values, outputs) = (mem::take(&mut self.at.values), mem::take(&mut self.at.outputs));
        let products = self.products.take();
        self.rooms.leave(Room { values, outputs, products });
    }
}

/// What is known at a point.
pub(super) struct NetworkLinearization<'a, N, T> {
    pub network: &'a N,
    pub x: &'a [T],
    pub chunks: Chunks,
    pub values: Vec<T>,
    pub outputs: Vec<T>,
}

impl<N: Network<T>, T: Scalar> NetworkLinearization<'_, N, T> {
    fn shape(&self, chunk: usize) -> Shape {
        Shape { size: self.chunks.size, len: self.chunks.len(chunk) }
    }

    /// Inputs and values of a chunk.
    fn values(&self, chunk: usize) -> Values<'_, T> {
        let (inputs, units) = (self.network.inputs() * self.chunks.size, self.stride());
        let (inputs, units) = self.values[chunk * (inputs + units)..][..inputs + units].split_at(inputs);
        Values { inputs, units }
    }

    /// The numbers that all units' values of a chunk take.
    fn stride(&self) -> usize {
        self.network.units() * self.chunks.size
    }

    /// Where the outputs are in them.
    fn outputs<'a>(&self, chunk: &'a mut [T]) -> &'a mut [T] {
        let first = self.network.first_output() * self.chunks.size;
        &mut chunk[first..first + self.network.outputs() * self.chunks.size]
    }

    /// Copies numbers for the outputs of a chunk's samples, from those of all samples to where units have their values.
    fn load_outputs(&self, chunk: usize, outputs: &[T], target: &mut [T]) {
        let (k, size) = (self.network.outputs(), self.chunks.size);
        let row = |i: usize| &outputs[(chunk * size + i) * k..][..k];
        transpose(row, self.chunks.len(chunk), 0..k, target, size);
    }

    /// δ of all units for the chunks from `first` on whose room is given, for the derivatives `u` with respect to outputs.
    /// With a weight, the room has numbers for the hidden units, which times this weight are derivatives too.
    fn backward(&self, weights: &[T], first: usize, u: &[T], deltas: &mut [T], hidden: Option<f64>) {
        for_each(Chunked(deltas, self.stride()), &|i, deltas| {
            let i = first + i;
            if let Some(weight) = hidden {
                let count = self.network.first_output() * self.chunks.size;
                kernels::scale(weight, &mut deltas[..count]);
            }
            self.load_outputs(i, u, self.outputs(deltas));
            self.network.backward(weights, self.shape(i), self.values(i), deltas, hidden.is_some());
        });
    }

    /// out ← Σ over the samples of the chunks from `first` on, one after the other; out + that if they are not the first.
    /// Without samples it is zero.
    fn sum(&self, first: usize, deltas: &[T], further: Option<(&[T], &[T])>, out: &mut [T]) {
        if self.chunks.samples == 0 {
            return out.fill(T::zero());
        }
        let stride = self.stride();
        for_pieces(self.network, 0..self.network.pieces(), out, &|piece, out| {
            for (i, deltas) in deltas.chunks_exact(stride).enumerate() {
                let here = i * stride..(i + 1) * stride;
                let further = further.map(|(deltas, tangents)| (&deltas[here.clone()], &tangents[here]));
                let (shape, values) = (self.shape(first + i), self.values(first + i));
                self.network.sum_over_samples(piece, shape, (deltas, values), further, first + i > 0, out);
            }
        });
    }
}

/// Calls `body` for every piece of the parameters, in parallel.
fn for_pieces<N: Network<T>, T: Scalar>(
    network: &N,
    pieces: Range<usize>,
    out: &mut [T],
    body: &(impl Fn(usize, &mut [T]) + Sync),
) {
    if pieces.len() == 1 {
        return body(pieces.start, out);
    }
    let middle = pieces.start + pieces.len() / 2;
    let (low, high) = (pieces.start..middle, middle..pieces.end);
    let (out_low, out_high) = out.split_at_mut(low.clone().map(|piece| network.piece_len(piece)).sum());
    join(|| for_pieces(network, low, out_low, body), || for_pieces(network, high, out_high, body));
}

impl<N: Network<T>, T: Scalar> LinearizedNetwork<'_, N, T> {
    /// Room for products, with the weights by columns.
    fn products(&self) -> RefMut<'_, Products<T>> {
        let mut products = self.products.borrow_mut();
        if !products.weights_known {
            self.at.network.by_columns(self.at.x, room(&mut products.weights, self.at.x.len()));
            products.weights_known = true;
        }
        products
    }
}

impl<N: Network<T>, T: Scalar> LinearMap<T> for LinearizedNetwork<'_, N, T> {
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
            for_each((Chunked(group, stride), Chunked(out, size * network.outputs())), &|i, (dots, out)| {
                let i = g * GROUP + i;
                network.tangents(at.x, v, at.shape(i), at.values(i), dots, None);
                transpose_back(at.outputs(dots), size, at.chunks.len(i), out);
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
            at.backward(weights, first, u, deltas, None);
            at.sum(first, deltas, None, out);
        }
    }
}

impl<N: Network<T>, T: Scalar> Linearization<T> for LinearizedNetwork<'_, N, T> {
    fn outputs(&self) -> &[T] {
        &self.at.outputs[..self.rows()]
    }

    fn adjoint(&self, u: &[T], out: &mut [T]) {
        let at = &self.at;
        let Products { deltas, weights, .. } = &mut *self.products();
        let deltas = room(deltas, at.chunks.count() * at.stride());
        at.backward(weights, 0, u, deltas, None);
        at.sum(0, deltas, None, out);
    }

    fn add_layer_moments(&self, u: &[T], inputs: &mut [Vec<T>], outputs: &mut [Vec<T>]) {
        let at = &self.at;
        let (count, stride) = (at.chunks.count(), at.stride());
        let Products { group, weights, .. } = &mut *self.products();
        let group = room(group, GROUP.min(count) * stride);
        for first in (0..count).step_by(GROUP) {
            let deltas = &mut group[..GROUP.min(count - first) * stride];
            at.backward(weights, first, u, deltas, None);
            for (i, deltas) in deltas.chunks_exact(stride).enumerate() {
                let (shape, values) = (at.shape(first + i), at.values(first + i));
                for_each((&mut *inputs, &mut *outputs), &|layer, (inputs, outputs)| {
                    at.network.add_moments(layer, shape, (deltas, values), inputs, outputs);
                });
            }
        }
    }

    fn second_order_product(&self, middle: &dyn Fn(&[T], &mut [T]), v: &[T], out: &mut [T]) {
        let at = &self.at;
        let (network, stride, size, count) = (at.network, at.stride(), at.chunks.size, at.chunks.count());
        let Products { weights, direction, group, deltas, tangents: dots, delta_tangents, outputs, image, .. } =
            &mut *self.products();
        let direction = room(direction, v.len());
        network.by_columns(v, direction);
        let both_weights = (&**weights, &*direction);
        let (deltas, dots) = (&deltas[..count * stride], room(dots, count * stride));
        let (outputs, image) = (room(outputs, self.rows()), room(image, self.rows()));
        let delta_tangents = room(delta_tangents, count * stride);
        let parts =
            (Chunked(dots, stride), Chunked(delta_tangents, stride), Chunked(outputs, size * network.outputs()));
        for_each(parts, &|i, (dots, bends, outputs)| {
            let bend = Some((&deltas[i * stride..][..stride], bends));
            network.tangents(at.x, v, at.shape(i), at.values(i), dots, bend);
            transpose_back(at.outputs(dots), size, at.chunks.len(i), outputs);
        });
        middle(outputs, image);
        let room_size = network.room() * size;
        let rooms = room(group, count * room_size);
        for_each((Chunked(delta_tangents, stride), Chunked(rooms, room_size)), &|i, (delta_tangents, room)| {
            at.load_outputs(i, image, room);
            let deltas = &deltas[i * stride..][..stride];
            network.backward_tangents(both_weights, at.shape(i), at.values(i), deltas, delta_tangents, room);
        });
        at.sum(0, delta_tangents, Some((deltas, dots)), out);
    }

    fn structural_product(&self, middle: &dyn Fn(&[T], &mut [T]), weight: f64, v: &[T], out: &mut [T]) {
        let at = &self.at;
        let (network, stride, size, count) = (at.network, at.stride(), at.chunks.size, at.chunks.count());
        let Products { weights, tangents: dots, outputs, image, .. } = &mut *self.products();
        let dots = room(dots, count * stride);
        let (outputs, image) = (room(outputs, self.rows()), room(image, self.rows()));
        for_each((Chunked(dots, stride), Chunked(outputs, size * network.outputs())), &|i, (dots, outputs)| {
            network.tangents(at.x, v, at.shape(i), at.values(i), dots, None);
            transpose_back(at.outputs(dots), size, at.chunks.len(i), outputs);
        });
        middle(outputs, image);
        // The tangents of hidden units become their derivatives in place.
        at.backward(weights, 0, image, dots, Some(weight));
        at.sum(0, dots, None, out);
    }
}
