//! The ways to train a model with a likelihood, all on the same objective.
//!
//! Time is that of training: what an observer does, such as evaluating on the whole set, does not count.

mod arguments;
mod clock;
mod first_order;
mod hessian_free;
mod natural_gradient;
mod quasi_newton;
mod saved;

use newton_krylov::{
    Counts, Metric, Model, Result as Fallible, SampledModel, Termination,
    first_order::{Adam, Momentum, Nesterov, Soap},
    hessian_free::{ConjugateGradients, StepMethod, SubspaceDescent},
    losses::Loss,
    operators::ModelObjective,
};

pub use arguments::TrainingArguments;
pub use saved::Checkpoint;

/// How to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Method {
    /// Exact products in small spaces, which Kronecker factors precondition (K-FAC)
    HessianFree,
    /// Steps along the natural gradient, of bounded Kullback-Leibler divergence, on batches
    NaturalGradient,
    /// Damped Gauss-Newton steps: a space of 30 products without a preconditioner answers for every damping
    GaussNewton,
    /// As gauss-newton, but with one damping for each space
    OneDamping,
    /// The recipe of Martens (2010): conjugate gradients for one damping, the best iterate, a line search
    Martens,
    /// Adam (Kingma & Ba 2015) on batches
    Adam,
    /// Adam in the eigenbases of each layer's gradients (Vyas et al. 2024) on batches, its points averaged
    Soap,
    /// Nesterov's momentum, 0.9, on batches
    Sgd,
    /// L-BFGS on the whole set
    Lbfgs,
}

/// What training is told.
#[derive(Clone, Copy, Debug)]
pub struct Training<'c> {
    /// Most seconds of training, the parts before a resumption included.
    pub seconds: f64,
    /// The rate of Adam, SOAP or Nesterov's momentum, in place of the default.
    pub rate: Option<f64>,
    /// What Nesterov's momentum grows to, in place of the constant default.
    pub momentum: Option<f64>,
    /// Samples in a batch, of Hessian-free methods in the first, in place of the default.
    pub batch: Option<usize>,
    /// Where the state of the run is, if it is to be resumed and saved.
    pub checkpoint: Option<&'c Checkpoint>,
}

/// What training came to.
pub struct Trained {
    pub x: Vec<f32>,
    pub seconds: f64,
    pub iterations: usize,
    /// Calls, on batches of any size.
    pub counts: Counts,
    /// Calls times the samples of each.
    pub samples: Counts,
    pub termination: Termination,
}

/// A point of the run.
#[derive(Clone, Copy)]
pub struct Seen<'x> {
    pub x: &'x [f32],
    pub iterations: usize,
    /// Calls, on batches of any size.
    pub counts: Counts,
    /// Calls times the samples of each.
    pub samples: Counts,
    /// The loss on the last batch.
    pub value: f64,
    /// Seconds of training.
    pub seconds: f64,
}

/// Looks at a run.
pub type See<'s> = dyn FnMut(Seen<'_>) + 's;

/// Trains from `x0`. `objective` makes the objective with the metric that the method needs.
pub fn train<M: SampledModel<f32>, L: Loss<f32>>(
    method: Method,
    training: Training<'_>,
    objective: impl Fn(Metric) -> Fallible<ModelObjective<M, L>>,
    x0: &[f32],
    see: &mut See<'_>,
) -> Result<Trained, String> {
    // For a canonical loss the two are the same matrix. The divergence belongs to the Fisher matrix.
    let metric = if method == Method::NaturalGradient { Metric::Fisher } else { Metric::GeneralizedGaussNewton };
    let objective = objective(metric).map_err(|e| e.to_string())?;
    let subspace_descent =
        |search| StepMethod::SubspaceDescent(SubspaceDescent { products: 30, search, ..SubspaceDescent::default() });
    match method {
        Method::HessianFree => hessian_free::with_kronecker_factors(training, &objective, x0, see),
        Method::GaussNewton => hessian_free::by_recipe(subspace_descent(true), training, &objective, x0, see),
        Method::OneDamping => hessian_free::by_recipe(subspace_descent(false), training, &objective, x0, see),
        Method::Martens => {
            let method = StepMethod::ConjugateGradients(ConjugateGradients::default());
            hessian_free::by_recipe(method, training, &objective, x0, see)
        }
        Method::NaturalGradient => natural_gradient::train(training, &objective, x0, see),
        Method::Adam => {
            let adam = Adam::default();
            let rate = training.rate.unwrap_or(adam.rate);
            first_order::train(&Adam { rate, ..adam }, false, training, &objective, x0, see)
        }
        Method::Soap => {
            let mut soap = Soap::new(objective.model().batch(&[]).layers());
            soap.adam.rate = training.rate.unwrap_or(soap.adam.rate);
            first_order::train(&soap, true, training, &objective, x0, see)
        }
        Method::Sgd => {
            let rate = training.rate.unwrap_or(first_order::NESTEROV_RATE);
            let momentum = training.momentum.map_or(Momentum::Constant(0.9), Momentum::Increasing);
            let nesterov = Nesterov { rate, momentum };
            first_order::train(&nesterov, false, training, &objective, x0, see)
        }
        Method::Lbfgs => quasi_newton::train(training, &objective, x0, see),
    }
}
