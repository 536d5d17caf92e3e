//! A multilayer perceptron as a function of its parameters for a set of samples.

use rayon::prelude::*;

use super::chunks::{Chunks, GROUP, transpose, transpose_back};
use super::linearized_perceptron::{At, LinearizedPerceptron};
use super::multilayer_perceptron::MultilayerPerceptron;
use super::pass::{Shape, Values, forward};
use super::room::{Room, Rooms, room};
use crate::base::{Error, Result, Scalar, check_positive_dimension};
use crate::operator::{LayerShape, Linearization, Model, SampledModel};

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
    rooms: Rooms<T>,
}

/// Which samples of the set are taken.
#[derive(Clone, Copy)]
enum Samples<'a> {
    All,
    These(&'a [usize]),
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
        Ok(PerceptronOnData { network: self, inputs, rooms: Rooms::default() })
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
        let Room { mut values, mut outputs, mut products } = self.rooms.take();
        products.weights_known = false;
        let outputs_here = room(&mut outputs, chunks.samples * network.outputs());
        let values_here = room(&mut values, chunks.count() * self.stride(chunks));
        self.forward(x, samples, chunks, 0, values_here, outputs_here);
        let at = At { network, x, chunks, values, outputs };
        LinearizedPerceptron { rooms: &self.rooms, at, products: products.into() }
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
