//! Reference models (feature `models`): networks with exact products, as templates for your own models.
//!
//! | model | products |
//! | --- | --- |
//! | [`MultilayerPerceptron`]: fully connected layers; without a hidden one, linear and logistic regression | Jv, Jᵀu, Hessian |
//!
//! A network is a description without data. `on` joins it with a set of inputs, which gives a
//! [`Model`](crate::Model) for `f32` or `f64`.

mod activation;
mod chunks;
mod linearized_perceptron;
mod multilayer_perceptron;
mod pass;
mod perceptron_on_data;
mod room;

pub use activation::Activation;
pub use multilayer_perceptron::MultilayerPerceptron;
pub use perceptron_on_data::PerceptronOnData;
