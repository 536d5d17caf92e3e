//! A function written in burn as a [`SampledModel`] of newton-krylov, with Jacobian products: the file to copy.
//!
//! Jᵀu is exact: burn's gradient of the number uᵀh(x). burn cannot differentiate that once more (0.22: no device is
//! autodiff twice, and a backward pass uses its graph up), so Jv is a difference of two forward passes,
//!
//!   Jv ≈ (h(x + tv) − h(x − tv)) / 2t,    t = ∛ε max(‖x‖, 1) / ‖v‖,    with an error O(t²) + O(ε/t),
//!
//! computed in `f64` always. So for `f32` it is exact to rounding; for `f64` it has about nine digits.

use std::cell::RefCell;

use burn_tensor::{Device, Element, Int, Tensor, TensorData};
use newton_krylov::{LinearMap, Linearization, Model, SampledModel, Scalar};

/// The numbers that both burn and newton-krylov compute with: `f32` and `f64`.
pub trait Real: Scalar + Element {}

impl Real for f32 {}
impl Real for f64 {}

/// A network: from all parameters in one vector and a batch of inputs, a row for each sample, to the outputs, likewise.
pub trait Network {
    /// The number of parameters.
    fn dim(&self) -> usize;
    /// The number of outputs of a sample.
    fn outputs(&self) -> usize;
    /// The outputs. Tensors made on the way need the `dtype` of the parameters, `f32` or `f64`.
    fn forward(&self, parameters: Tensor<1>, inputs: Tensor<2>) -> Tensor<2>;
}

/// A network with the inputs of all samples, a row for each.
pub struct OnData<N> {
    pub network: N,
    pub inputs: Tensor<2>,
}

impl<N: Network, T: Real> SampledModel<T> for OnData<N> {
    fn dim(&self) -> usize {
        self.network.dim()
    }
    fn samples(&self) -> usize {
        self.inputs.dims()[0]
    }
    fn outputs_per_sample(&self) -> usize {
        self.network.outputs()
    }
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Model<T> + 'a {
        let indices: Vec<i64> = samples.iter().map(|&i| i as i64).collect();
        let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [samples.len()]), &self.inputs.device());
        Batch { network: &self.network, inputs: self.inputs.clone().select(0, indices), count: samples.len() }
    }
}

/// The model for some samples.
struct Batch<'a, N> {
    network: &'a N,
    inputs: Tensor<2>,
    count: usize,
}

impl<N: Network> Batch<'_, N> {
    fn device(&self) -> Device {
        self.inputs.device()
    }
    fn forward(&self, parameters: Tensor<1>) -> Tensor<2> {
        let inputs = self.inputs.clone().cast(parameters.dtype());
        self.network.forward(parameters, inputs)
    }
}

impl<N: Network, T: Real> Model<T> for Batch<'_, N> {
    fn dim(&self) -> usize {
        self.network.dim()
    }
    fn output_dim(&self) -> usize {
        self.count * self.network.outputs()
    }
    fn evaluate(&self, x: &[T], out: &mut [T]) {
        out.copy_from_slice(&numbers(self.forward(tensor(x, &self.device()))));
    }
    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a {
        let graph = Graph::new(self, x);
        At { batch: self, x, outputs: numbers(graph.outputs.clone()), graph: RefCell::new(Some(graph)) }
    }
}

/// A forward pass that can be differentiated, once.
struct Graph {
    parameters: Tensor<1>,
    outputs: Tensor<2>,
}

impl Graph {
    fn new<N: Network, T: Real>(batch: &Batch<'_, N>, x: &[T]) -> Self {
        let parameters = tensor(x, &batch.device().autodiff()).require_grad();
        Graph { outputs: batch.forward(parameters.clone()), parameters }
    }
}

/// The model at a point, with the graph of its forward pass until the first product with Jᵀ.
struct At<'a, N, T> {
    batch: &'a Batch<'a, N>,
    x: &'a [T],
    outputs: Vec<T>,
    graph: RefCell<Option<Graph>>,
}

impl<N: Network, T: Real> LinearMap<T> for At<'_, N, T> {
    fn rows(&self) -> usize {
        self.outputs.len()
    }
    fn columns(&self) -> usize {
        self.batch.network.dim()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        let length = norm(v);
        if length == 0.0 {
            return out.fill(T::zero());
        }
        let t = f64::EPSILON.cbrt() * norm(self.x).max(1.0) / length;
        let displaced = |t: f64| {
            let x: Vec<f64> = self.x.iter().zip(v).map(|(&x, &v)| x.into() + t * v.into()).collect();
            self.batch.forward(tensor(&x, &self.batch.device()))
        };
        out.copy_from_slice(&numbers((displaced(t) - displaced(-t)).div_scalar(2.0 * t)));
    }
    fn apply_transpose(&self, u: &[T], out: &mut [T]) {
        let Graph { parameters, outputs } = self.graph.take().unwrap_or_else(|| Graph::new(self.batch, self.x));
        let u = tensor(u, &self.batch.device()).reshape(outputs.dims());
        let gradients = (outputs * u).sum().backward();
        match parameters.grad(&gradients) {
            Some(gradient) => out.copy_from_slice(&numbers(gradient)),
            None => out.fill(T::zero()), // h does not depend on x
        }
    }
    fn accuracy(&self) -> Option<f64> {
        let accuracy = f64::EPSILON.powf(2.0 / 3.0);
        (accuracy > T::epsilon().into()).then_some(accuracy)
    }
}

impl<N: Network, T: Real> Linearization<T> for At<'_, N, T> {
    fn outputs(&self) -> &[T] {
        &self.outputs
    }
}

fn norm<T: Real>(v: &[T]) -> f64 {
    v.iter().map(|&v| v.into().powi(2)).sum::<f64>().sqrt()
}

fn tensor<T: Real>(numbers: &[T], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(numbers.to_vec(), [numbers.len()]), (device, T::dtype()))
}

fn numbers<T: Real, const D: usize>(tensor: Tensor<D>) -> Vec<T> {
    tensor.into_data_as::<T>().try_into_vec().expect("numbers of the type that they were made")
}
