//! A function written in candle as a [`SampledModel`] of newton-krylov, with exact Jacobian products.
//!
//! Reverse mode gives Jᵀu: differentiate the number uᵀh(x) by x. It gives Jv as well, twice applied: Jᵀu is linear in u,
//! and the derivative of the number vᵀ(Jᵀu) by u is Jv. For that the graph of the backward pass must itself be
//! differentiable, which candle only keeps where the environment says so ([`keep_graphs`]).

use std::cell::OnceCell;

use candle_core::{Device, Result, Tensor, Var, WithDType};
use newton_krylov::{LinearMap, Linearization, Model, SampledModel, Scalar};

/// Has candle keep the graphs of its backward passes. Call it first thing in `main`: each thread of candle looks once,
/// at its first backward pass.
pub fn keep_graphs() {
    // SAFETY: the environment may be changed while no other thread exists that could read it; `main` has just begun.
    unsafe { std::env::set_var("CANDLE_GRAD_DO_NOT_DETACH", "1") }
}

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
    /// The outputs. Operations of candle only: whatever leaves them has no derivative.
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
        let inputs = inputs.and_then(|inputs| inputs.to_dtype(T::DTYPE)).expect("indices of samples");
        Batch { network: &self.network, inputs, count: samples.len() }
    }
}

/// The model for some samples.
struct Batch<'a, N> {
    network: &'a N,
    inputs: Tensor,
    count: usize,
}

impl<N: Network> Batch<'_, N> {
    fn outputs<T: Real>(&self, x: &[T]) -> Result<Vec<T>> {
        let parameters = Tensor::new(x, &Device::Cpu)?;
        numbers(&self.network.forward(&parameters, &self.inputs)?)
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
        write(self.outputs(x), out);
    }
    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a {
        At::new(self, x).expect("the network's operations fit together")
    }
}

/// The model at a point: the graph of its forward pass, and, once a product Jv was needed, that of a backward pass.
struct At<'a, N, T> {
    batch: &'a Batch<'a, N>,
    parameters: Var,
    /// h(x), with its graph.
    forward: Tensor,
    outputs: Vec<T>,
    /// Some u, and Jᵀu with its graph.
    backward: OnceCell<(Var, Tensor)>,
}

impl<'a, N: Network, T: Real> At<'a, N, T> {
    fn new(batch: &'a Batch<'a, N>, x: &[T]) -> Result<Self> {
        let parameters = Var::new(x, &Device::Cpu)?;
        let forward = batch.network.forward(parameters.as_tensor(), &batch.inputs)?;
        let outputs = numbers(&forward)?;
        Ok(At { batch, parameters, forward, outputs, backward: OnceCell::new() })
    }

    /// Jᵀu, as the derivative of uᵀh(x) by x.
    fn transpose_product(&self, u: &Tensor) -> Result<Tensor> {
        let gradients = (&self.forward * u)?.sum_all()?.backward()?;
        match gradients.get(&self.parameters) {
            Some(gradient) => Ok(gradient.clone()),
            None => self.parameters.zeros_like(), // h does not depend on x
        }
    }

    /// Jv, as the derivative of vᵀ(Jᵀu) by u.
    fn product(&self, v: &[T]) -> Result<Vec<T>> {
        if self.backward.get().is_none() {
            let u = Var::from_tensor(&self.forward.ones_like()?)?; // any u will do
            let jtu = self.transpose_product(u.as_tensor())?;
            let _ = self.backward.set((u, jtu));
        }
        let (u, jtu) = self.backward.get().expect("it was set");
        let gradients = (jtu * &Tensor::new(v, &Device::Cpu)?)?.sum_all()?.backward()?;
        match gradients.get(u) {
            Some(gradient) => numbers(gradient),
            None => Err(candle_core::Error::Msg("the backward pass has no graph: call keep_graphs first".into())),
        }
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
        let product =
            Tensor::from_slice(u, self.forward.shape(), &Device::Cpu).and_then(|u| self.transpose_product(&u));
        write(product.and_then(|product| numbers(&product)), out);
    }
}

impl<N: Network, T: Real> Linearization<T> for At<'_, N, T> {
    fn outputs(&self) -> &[T] {
        &self.outputs
    }
}

fn numbers<T: Real>(tensor: &Tensor) -> Result<Vec<T>> {
    tensor.flatten_all()?.to_vec1()
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
