//! Reference models (feature `models`): networks with exact products, as templates for your own models.
//!
//! | model | use |
//! | --- | --- |
//! | [`MultilayerPerceptron`]: fully connected layers | autoencoders, classifiers; without a hidden layer linear, logistic and softmax regression |
//! | the same with [`Convolution`]s before them | images |
//! | [`ElmanNetwork`]: one recurrent layer | sequences |
//!
//! A network is a description without data. `on` joins it with the inputs of samples, which gives a
//! [`NetworkOnData`]: a [`Model`](crate::Model) and a [`SampledModel`](crate::SampledModel) for `f32` or `f64`, with exact
//! Jv, Jᵀu and products of second order. Outputs are pre-activations where the last activation is the identity, as the
//! cross-entropy losses want them.

mod activation;
mod chunks;
mod elman_network;
mod elman_passes;
mod linearized_network;
mod multilayer_perceptron;
mod network;
mod network_on_data;
mod perceptron_passes;
mod room;
mod window;

pub use activation::Activation;
pub use elman_network::{ElmanNetwork, Readout};
pub use multilayer_perceptron::{Convolution, MultilayerPerceptron};
pub use network_on_data::NetworkOnData;
