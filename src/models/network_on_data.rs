//! A network as a function of its parameters for a set of samples.

use super::chunks::{Chunks, GROUP, transpose, transpose_back};
use super::linearized_network::{LinearizedNetwork, NetworkLinearization};
use super::network::{Network, Shape};
use super::room::{Room, Rooms, room};
use super::{ElmanNetwork, MultilayerPerceptron};
use crate::base::parallel::{Chunked, for_each};
use crate::base::{Result, Scalar, check_length, check_positive_dimension};
use crate::operator::{Linearization, Model, SampledModel, forward};

/// A network with the inputs of N samples: the [`Model`] h : ℝⁿ → ℝᴺᵏ of its parameters, k outputs for each sample, those of
/// one sample after those of another.
///
/// Costs, a forward pass of all samples being 1: [`linearize`](Model::linearize) 1, Jv 2, Jᵀu 2; in a first layer, whose
/// inputs do not depend on the parameters, both take 1. A gradient is `linearize` and Jᵀu: 3. A Gauss–Newton product is Jv and
/// Jᵀu: 4/3 of a gradient. A [product of second order](Linearization::second_order_product) is 2 gradients.
///
/// Storage: the values of all units for all samples. Products use the room for intermediate values of some 2000 samples,
/// those of second order of all samples, three times. It is kept when a linearization goes, and used by the next one:
/// products allocate nothing after the first.
///
/// The same parameters and samples give the same bits for any number of threads. Where an input or a parameter is NaN,
/// the outputs that depend on it are NaN.
pub struct NetworkOnData<'a, N, T> {
    network: &'a N,
    inputs: &'a [T],
    rooms: Rooms<T>,
}

/// Which samples of the set are taken.
#[derive(Clone, Copy)]
enum Samples<'a> {
    All,
    These(&'a [usize]),
}

/// A network and as many inputs as samples have.
fn join<'a, N: Network<T>, T: Scalar>(network: &'a N, inputs: &'a [T]) -> Result<NetworkOnData<'a, N, T>> {
    check_positive_dimension("inputs", inputs.len())?;
    check_length("inputs", inputs, inputs.len().next_multiple_of(network.inputs()))?;
    Ok(NetworkOnData { network, inputs, rooms: Rooms::default() })
}

impl MultilayerPerceptron {
    /// The network as a function of its parameters for all of these samples: `inputs` has the inputs of one sample after
    /// those of another. The outputs have the same order.
    ///
    /// # Errors
    /// If there is no sample, or the length of `inputs` is not a multiple of [`inputs`](Self::inputs).
    pub fn on<'a, T: Scalar>(&'a self, inputs: &'a [T]) -> Result<NetworkOnData<'a, Self, T>> {
        join(self, inputs)
    }
}

impl ElmanNetwork {
    /// The network as a function of its parameters for all of these samples: `inputs` has the sequence of one sample, step
    /// after step, after that of another. The outputs have the same order.
    ///
    /// # Errors
    /// If there is no sample, or the length of `inputs` is not a multiple of that of a sequence.
    pub fn on<'a, T: Scalar>(&'a self, inputs: &'a [T]) -> Result<NetworkOnData<'a, Self, T>> {
        join(self, inputs)
    }
}

impl<N: Network<T>, T: Scalar> NetworkOnData<'_, N, T> {
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

    /// The numbers of a chunk, its inputs and all units' values.
    fn stride(&self, chunks: Chunks) -> usize {
        (self.network.inputs() + self.network.units()) * chunks.size
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
        let pairs = (Chunked(values, self.stride(chunks)), Chunked(outputs, chunks.size * k));
        for_each(pairs, &|i, (chunk, outputs)| {
            let i = first + i;
            let shape = Shape { size: chunks.size, len: chunks.len(i) };
            self.load(samples, chunks, i, chunk);
            network.forward(x, shape, chunk);
            let first = (network.inputs() + network.first_output()) * shape.size;
            transpose_back(&chunk[first..], shape.size, shape.len, outputs);
        });
    }

    fn linearize_samples<'b>(&'b self, x: &'b [T], samples: Samples<'b>) -> LinearizedNetwork<'b, N, T> {
        let (network, chunks) = (self.network, self.chunks(samples));
        let Room { mut values, mut outputs, mut products } = self.rooms.take();
        products.weights_known = false;
        let outputs_here = room(&mut outputs, chunks.samples * network.outputs());
        let values_here = room(&mut values, chunks.count() * self.stride(chunks));
        self.forward(x, samples, chunks, 0, values_here, outputs_here);
        let at = NetworkLinearization { network, x, chunks, values, outputs };
        LinearizedNetwork { rooms: &self.rooms, at, products: products.into() }
    }

    /// The outputs alone, without keeping the values of layers.
    fn evaluate_samples(&self, x: &[T], samples: Samples<'_>, out: &mut [T]) {
        let chunks = self.chunks(samples);
        let mut kept = self.rooms.take();
        let values = room(&mut kept.values, GROUP.min(chunks.count()) * self.stride(chunks));
        for (i, out) in out.chunks_mut(GROUP * chunks.size * self.network.outputs()).enumerate() {
            self.forward(x, samples, chunks, i * GROUP, values, out);
        }
        self.rooms.leave(kept);
    }
}

impl<N: Network<T>, T: Scalar> Model<T> for NetworkOnData<'_, N, T> {
    forward!(self.network; dim, layers);
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
    fn hidden_states(&self) -> bool {
        self.network.first_output() > 0
    }
}

impl<N: Network<T>, T: Scalar> SampledModel<T> for NetworkOnData<'_, N, T> {
    forward!(self.network; dim);
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
struct Batch<'a, N, T> {
    model: &'a NetworkOnData<'a, N, T>,
    samples: &'a [usize],
}

impl<N: Network<T>, T: Scalar> Model<T> for Batch<'_, N, T> {
    forward!(self.model; second_order, hidden_states, layers);
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
}
