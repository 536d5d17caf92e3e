//! A transformer on the characters of a text: at each place of a sequence the logits of what comes next.
//!
//!   r_t = E_{c_t} + P_t + b,   r ← blocks of r,   h_t = W_h r̂_t + b_h
//!
//! The embedding of character c and place t is a layer too, z = Wa + b, with the inputs 1 at c and 1 at t and 0 elsewhere. All
//! parameters are in one slice, layer after layer: the embedding, four layers of each block, h. So
//! `KroneckerPreconditioner` knows all of them.
//!
//! How a model of your own comes to be trained: a `SampledModel` says how many samples there are and makes the `Model` of
//! some of them; that makes a `Linearization` at some parameters, which keeps what the products share. Sequences go through
//! the network in chunks, which different threads take; what is summed over chunks is summed in their order, so that
//! results do not depend on the number of threads.

use std::mem;
use std::sync::{Mutex, PoisonError};

use newton_krylov::operators::LayerShape;
use newton_krylov::random::SplitMix64;
use newton_krylov::{LinearMap, Linearization, Model, SampledModel};
use rayon::prelude::*;

use crate::attention::{Attention, Block, BlockValues};
use crate::layers::{Gathered, Linear, Normalised, Real, add_to};

/// Rows of a chunk, about: their values stay in a core's cache.
const ROWS: usize = 512;
/// Chunks between two sums over them.
const GROUP: usize = 16;

/// The network without a text.
#[derive(Clone, Debug)]
pub struct Transformer {
    /// Different characters.
    pub alphabet: usize,
    /// Places of a sequence.
    pub places: usize,
    /// Numbers that are handed on at a place.
    pub width: usize,
    embedding: Linear,
    blocks: Vec<Block>,
    readout: Linear,
}

impl Transformer {
    /// The units of a block's φ are four times its width (Vaswani et al. 2017, table 3), which `heads` divides.
    pub fn new(alphabet: usize, places: usize, width: usize, heads: usize, blocks: usize) -> Self {
        assert!(heads > 0 && width.is_multiple_of(heads) && alphabet > 0 && places > 0 && width > 0);
        let mut start = 0;
        let mut layer = |inputs: usize, outputs: usize| {
            let layer = Linear { start, inputs, outputs };
            start = layer.end();
            layer
        };
        let embedding = layer(alphabet + places, width);
        let block = |k: usize| Block {
            number: 1 + 4 * k,
            attention: Attention { places, width, heads },
            queries: layer(width, 3 * width),
            mixed: layer(width, width),
            up: layer(width, 4 * width),
            down: layer(4 * width, width),
        };
        let blocks = (0..blocks).map(block).collect();
        Transformer { alphabet, places, width, embedding, blocks, readout: layer(width, alphabet) }
    }

    pub fn dim(&self) -> usize {
        self.readout.end()
    }

    /// All layers in the order of their parameters.
    fn layers(&self) -> impl Iterator<Item = Linear> {
        let of_block = |block: &Block| [block.queries, block.mixed, block.up, block.down];
        [self.embedding].into_iter().chain(self.blocks.iter().flat_map(of_block)).chain([self.readout])
    }

    /// Initial parameters: weights uniform in ±√(6/(inputs + outputs)) in their order, biases zero (Glorot & Bengio 2010).
    pub fn initial<T: Real>(&self, seed: u64) -> Vec<T> {
        let mut random = SplitMix64::new(seed);
        let mut x = vec![T::zero(); self.dim()];
        for Linear { start, inputs, outputs } in self.layers() {
            let bound = (6.0 / (inputs + outputs) as f64).sqrt();
            let weights = &mut x[start..start + inputs * outputs];
            weights.iter_mut().for_each(|w| *w = T::from_f64((2.0 * random.uniform() - 1.0) * bound));
        }
        x
    }

    /// The network on the sequences that begin at these places of a text, whose characters are numbers below `alphabet`.
    pub fn on<'a, T: Real>(&'a self, text: &'a [usize], starts: &'a [usize]) -> OnText<'a, T> {
        OnText { network: self, text, starts, left: Mutex::new(vec![]) }
    }

    /// out ← Wa + b of the embedding, for all rows.
    fn embed<T: Real>(&self, x: &[T], characters: &[usize], out: &mut [T]) {
        let Linear { start, inputs, outputs } = self.embedding;
        let (weights, biases) = x[start..self.embedding.end()].split_at(inputs * outputs);
        for (row, out) in out.chunks_exact_mut(self.width).enumerate() {
            let [c, t] = self.ones(characters, row);
            for ((out, w), &b) in out.iter_mut().zip(weights.chunks_exact(inputs)).zip(biases) {
                *out = w[c] + w[t] + b;
            }
        }
    }

    /// Where the embedding's inputs are 1.
    fn ones(&self, characters: &[usize], row: usize) -> [usize; 2] {
        [characters[row], self.alphabet + row % self.places]
    }

    /// As `Gathered::add`, for the embedding.
    fn gather_embedding<T: Real>(&self, characters: &[usize], delta: &[T], gathered: &mut Gathered<'_, T>) {
        let Linear { start, inputs, outputs } = self.embedding;
        for (row, delta) in delta.chunks_exact(self.width).enumerate() {
            let ones = self.ones(characters, row);
            match gathered {
                Gathered::Gradient(out) => {
                    let (weights, biases) = out[start..self.embedding.end()].split_at_mut(inputs * outputs);
                    for (w, &delta) in weights.chunks_exact_mut(inputs).zip(delta) {
                        ones.iter().for_each(|&at| w[at] += delta);
                    }
                    add_to(biases, delta);
                }
                Gathered::Moments(of_inputs, of_outputs) => {
                    let ones = [ones[0], ones[1], inputs];
                    for entry in ones.iter().flat_map(|i| ones.map(|j| i * (inputs + 1) + j)) {
                        of_inputs[0][entry] += T::one();
                    }
                    for (moments, &by) in of_outputs[0].chunks_exact_mut(outputs).zip(delta) {
                        moments.iter_mut().zip(delta).for_each(|(moment, &delta)| *moment += by * delta);
                    }
                }
            }
        }
    }

    /// Values, and the logits of all rows.
    fn apply<T: Real>(&self, x: &[T], values: &mut Values<T>, logits: &mut [T]) {
        let mut r = vec![T::zero(); values.characters.len() * self.width];
        self.embed(x, &values.characters, &mut r);
        values.blocks.resize_with(self.blocks.len(), BlockValues::default);
        for (block, values) in self.blocks.iter().zip(&mut values.blocks) {
            block.apply(x, values, &mut r);
        }
        values.last.set(&r, self.width);
        self.readout.apply(x, &values.last.rows, false, logits);
    }

    /// Tangents of the logits, in the direction v of the parameters.
    fn tangent<T: Real>(&self, x: &[T], v: &[T], values: &Values<T>, out: &mut [T]) {
        let mut r_dot = vec![T::zero(); values.characters.len() * self.width];
        self.embed(v, &values.characters, &mut r_dot);
        for (block, values) in self.blocks.iter().zip(&values.blocks) {
            block.tangent([x, v], values, &mut r_dot);
        }
        values.last.times_jacobian(&mut r_dot);
        self.readout.tangent([x, v], [&values.last.rows, &r_dot], false, out);
    }

    /// Goes back from the derivatives u by the logits.
    fn derivative<T: Real>(&self, x: &[T], values: &Values<T>, u: &[T], mut gathered: Gathered<'_, T>) {
        gathered.add(1 + 4 * self.blocks.len(), self.readout, &values.last.rows, u);
        let mut delta = self.readout.derivative(x, u);
        values.last.times_jacobian(&mut delta);
        for (block, values) in self.blocks.iter().zip(&values.blocks).rev() {
            block.derivative(x, values, &mut delta, &mut gathered);
        }
        self.gather_embedding(&values.characters, &delta, &mut gathered);
    }
}

/// What is kept of a chunk.
#[derive(Default)]
struct Values<T> {
    characters: Vec<usize>,
    blocks: Vec<BlockValues<T>>,
    last: Normalised<T>,
}

/// The network on sequences of a text: for each of them the logits of the next character at its first place, its second, …
pub struct OnText<'a, T> {
    network: &'a Transformer,
    text: &'a [usize],
    starts: &'a [usize],
    /// Values that nobody uses any more, to be written over.
    left: Mutex<Vec<Values<T>>>,
}

impl<T: Real> OnText<'_, T> {
    /// Sequences of a chunk.
    fn chunk(&self) -> usize {
        (ROWS / self.network.places).max(1)
    }

    /// Runs a chunk of sequences.
    fn run(&self, x: &[T], samples: &[usize], logits: &mut [T]) -> Values<T> {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut values = left.unwrap_or_default();
        values.characters.clear();
        for &sample in samples {
            values.characters.extend_from_slice(&self.text[self.starts[sample]..][..self.network.places]);
        }
        self.network.apply(x, &mut values, logits);
        values
    }

    fn leave(&self, values: impl IntoIterator<Item = Values<T>>) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).extend(values);
    }
}

impl<T: Real> SampledModel<T> for OnText<'_, T> {
    fn dim(&self) -> usize {
        self.network.dim()
    }
    fn samples(&self) -> usize {
        self.starts.len()
    }
    fn outputs_per_sample(&self) -> usize {
        self.network.places * self.network.alphabet
    }
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Model<T> + 'a {
        Batch { model: self, samples }
    }
}

/// The model of some sequences.
struct Batch<'a, T> {
    model: &'a OnText<'a, T>,
    samples: &'a [usize],
}

impl<T: Real> Model<T> for Batch<'_, T> {
    fn dim(&self) -> usize {
        self.model.network.dim()
    }
    fn output_dim(&self) -> usize {
        self.samples.len() * self.model.outputs_per_sample()
    }
    fn evaluate(&self, x: &[T], out: &mut [T]) {
        let Batch { model, samples } = *self;
        let outputs = out.par_chunks_mut(model.chunk() * model.outputs_per_sample());
        let chunks = samples.par_chunks(model.chunk()).zip(outputs);
        chunks.for_each(|(samples, out)| model.leave([model.run(x, samples, out)]));
    }
    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a {
        let Batch { model, samples } = *self;
        let mut logits = vec![T::zero(); self.output_dim()];
        let outputs = logits.par_chunks_mut(model.chunk() * model.outputs_per_sample());
        let chunks = samples.par_chunks(model.chunk()).zip(outputs);
        let values = chunks.map(|(samples, out)| model.run(x, samples, out)).collect();
        AtParameters { model, x, values, logits }
    }
    fn layers(&self) -> Vec<LayerShape> {
        self.model.network.layers().map(|layer| layer.shape(self.model.network.places)).collect()
    }
}

/// The model at x.
struct AtParameters<'a, T: Real> {
    model: &'a OnText<'a, T>,
    x: &'a [T],
    /// Of all chunks.
    values: Vec<Values<T>>,
    logits: Vec<T>,
}

impl<T: Real> Drop for AtParameters<'_, T> {
    fn drop(&mut self) {
        self.model.leave(mem::take(&mut self.values));
    }
}

impl<T: Real> AtParameters<'_, T> {
    /// Numbers of a chunk's outputs.
    fn chunk(&self) -> usize {
        self.model.chunk() * self.model.outputs_per_sample()
    }

    /// What `make` makes of each chunk and its part of u, handed to `add` in their order.
    fn for_chunks<R: Send>(&self, u: &[T], make: impl Fn(&Values<T>, &[T]) -> R + Sync, mut add: impl FnMut(R)) {
        for (values, u) in self.values.chunks(GROUP).zip(u.chunks(GROUP * self.chunk())) {
            let pairs = values.par_iter().zip(u.par_chunks(self.chunk()));
            let made: Vec<R> = pairs.map(|(values, u)| make(values, u)).collect();
            made.into_iter().for_each(&mut add);
        }
    }
}

impl<T: Real> LinearMap<T> for AtParameters<'_, T> {
    fn rows(&self) -> usize {
        self.logits.len()
    }
    fn columns(&self) -> usize {
        self.x.len()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        let chunks = self.values.par_iter().zip(out.par_chunks_mut(self.chunk()));
        chunks.for_each(|(values, out)| self.model.network.tangent(self.x, v, values, out));
    }
    fn apply_transpose(&self, u: &[T], out: &mut [T]) {
        out.fill(T::zero());
        let gradient = |values: &Values<T>, u: &[T]| {
            let mut gradient = vec![T::zero(); self.x.len()];
            self.model.network.derivative(self.x, values, u, Gathered::Gradient(&mut gradient));
            gradient
        };
        self.for_chunks(u, gradient, |gradient| add_to(out, &gradient));
    }
}

impl<T: Real> Linearization<T> for AtParameters<'_, T> {
    fn outputs(&self) -> &[T] {
        &self.logits
    }
    fn add_layer_moments(&self, u: &[T], inputs: &mut [Vec<T>], outputs: &mut [Vec<T>]) {
        let like = |moments: &[Vec<T>]| moments.iter().map(|m| vec![T::zero(); m.len()]).collect::<Vec<_>>();
        let zeros = [like(inputs), like(outputs)];
        let moments = |values: &Values<T>, u: &[T]| {
            let [mut inputs, mut outputs] = zeros.clone();
            let gathered = Gathered::Moments(&mut inputs, &mut outputs);
            self.model.network.derivative(self.x, values, u, gathered);
            [inputs, outputs]
        };
        self.for_chunks(u, moments, |[more_inputs, more_outputs]| {
            inputs.iter_mut().zip(more_inputs).for_each(|(moments, more)| add_to(moments, &more));
            outputs.iter_mut().zip(more_outputs).for_each(|(moments, more)| add_to(moments, &more));
        });
    }
}
