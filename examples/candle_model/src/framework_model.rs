//! A function written in candle as a [`SampledModel`] of newton-krylov, with Jacobian products: the file to copy.
//!
//! Jᵀu is exact: candle's gradient of the number uᵀh(x), from the graph of the forward pass at x, which is kept. Jv is a
//! difference of two forward passes,
//!
//!   Jv ≈ (h(x + tv) − h(x − tv)) / 2t,    t = ∛ε max(‖x‖, 1) / ‖v‖,    with an error O(t²) + O(ε/t),
//!
//! computed in `f64` always. So for `f32` it is exact to rounding; for `f64` it has about nine digits. candle can
//! differentiate its backward pass too, and so give Jv exactly, but wants an environment variable for that and takes
//! three to four gradients.

use candle_core::{Device, Result, Tensor, Var, WithDType};
use newton_krylov::{LinearMap, Linearization, Model, SampledModel, Scalar};

/// The numbers that both candle and newton-krylov compute with: `f32` and `f64`.
pub trait Real: Scalar + WithDType {}

impl Real for f32 {}
impl Real for f64 {}

/// A network: from all parameters in one vector and a batch of inputs, samples along the first dimension, to the outputs,
/// a matrix of samples × outputs.
pub trait Network {
    /// The number of parameters.
    fn dim(&self) -> usize;
    /// The number of outputs of a sample.
    fn outputs(&self) -> usize;
    /// The outputs. Operations of candle only: whatever leaves them has no derivative. Tensors made on the way need the
    /// `dtype` of the parameters, `f32` or `f64`.
    fn forward(&self, parameters: &Tensor, inputs: &Tensor) -> Result<Tensor>;
}

/// A network with the inputs of all samples, along the first dimension.
pub struct OnData<N> {
    pub network: N,
    pub inputs: Tensor,
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
        let indices: Vec<u32> = samples.iter().map(|&i| i as u32).collect();
        let inputs = Tensor::new(indices, &Device::Cpu).and_then(|indices| self.inputs.index_select(&indices, 0));
        Batch { network: &self.network, inputs: inputs.expect("indices of samples"), count: samples.len() }
    }
}

/// The model for some samples.
struct Batch<'a, N> {
    network: &'a N,
    inputs: Tensor,
    count: usize,
}

impl<N: Network> Batch<'_, N> {
    fn forward(&self, parameters: &Tensor) -> Result<Tensor> {
        self.network.forward(parameters, &self.inputs.to_dtype(parameters.dtype())?)
    }
    fn outputs<T: Real>(&self, x: &[T]) -> Result<Tensor> {
        self.forward(&Tensor::new(x, &Device::Cpu)?)
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
        write(self.outputs(x).and_then(|outputs| numbers(&outputs)), out);
    }
    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a {
        At::new(self, x).expect("the network's operations fit together")
    }
}

/// The model at a point, with the graph of its forward pass.
struct At<'a, N, T> {
    batch: &'a Batch<'a, N>,
    x: &'a [T],
    parameters: Var,
    forward: Tensor,
    outputs: Vec<T>,
}

impl<'a, N: Network, T: Real> At<'a, N, T> {
    fn new(batch: &'a Batch<'a, N>, x: &'a [T]) -> Result<Self> {
        let parameters = Var::new(x, &Device::Cpu)?;
        let forward = batch.forward(parameters.as_tensor())?;
        let outputs = numbers(&forward)?;
        Ok(At { batch, x, parameters, forward, outputs })
    }

    /// Jᵀu, as the derivative of uᵀh(x) by x.
    fn transpose_product(&self, u: &[T]) -> Result<Vec<T>> {
        let u = Tensor::from_slice(u, self.forward.shape(), &Device::Cpu)?;
        let gradients = (&self.forward * u)?.sum_all()?.backward()?;
        match gradients.get(&self.parameters) {
            Some(gradient) => numbers(gradient),
            None => Ok(vec![T::zero(); self.x.len()]), // h does not depend on x
        }
    }

    fn product(&self, v: &[T]) -> Result<Vec<T>> {
        let length = norm(v);
        if length == 0.0 {
            return Ok(vec![T::zero(); self.outputs.len()]);
        }
        let t = f64::EPSILON.cbrt() * norm(self.x).max(1.0) / length;
        let displaced = |t: f64| {
            let x: Vec<f64> = self.x.iter().zip(v).map(|(&x, &v)| x.into() + t * v.into()).collect();
            self.batch.outputs(&x)
        };
        numbers(&((displaced(t)? - displaced(-t)?)? / (2.0 * t))?)
    }
}

impl<N: Network, T: Real> LinearMap<T> for At<'_, N, T> {
    fn rows(&self) -> usize {
        self.outputs.len()
    }
    fn columns(&self) -> usize {
        self.batch.network.dim()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        write(self.product(v), out);
    }
    fn apply_transpose(&self, u: &[T], out: &mut [T]) {
        write(self.transpose_product(u), out);
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

fn numbers<T: Real>(tensor: &Tensor) -> Result<Vec<T>> {
    tensor.flatten_all()?.to_dtype(T::DTYPE)?.to_vec1()
}

/// A model that cannot be evaluated writes NaN, and the solver says so.
fn write<T: Real>(numbers: Result<Vec<T>>, out: &mut [T]) {
    match numbers {
        Ok(numbers) => out.copy_from_slice(&numbers),
        Err(error) => {
            eprintln!("candle: {error}");
            out.fill(T::nan());
        }
    }
}
