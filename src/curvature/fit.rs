//! Model + loss + metric = objective.
//!
//!   L(x)  = 1/N Σᵢ l(yᵢ, hᵢ(x)) + ½c‖x‖²
//!   ∇L(x) = Jᵀ∇l/N + cx
//!   M(x)  = 1/N Σᵢ Jᵢᵀ(Wᵢ + μI)Jᵢ + cI
//!
//! with the metrics' W ([`Metric`]). The forward pass at x is shared by value, gradient and all products; W is written
//! down at the first product. Damping in the middle, μ, bounds M from below where J is large instead of everywhere alike:
//! Pierrot, Perrin-Gilbert & Sigaud, section 3. A solver that asks for structural damping gets M + λS, with
//!
//!   S(x) = ν/N Σᵢ KᵢᵀKᵢ,  K = ∂s/∂x for the hidden states s.

use std::cell::{OnceCell, RefCell};

use super::loss::Loss;
use super::metric::{Metric, OutputMetric};
use super::summed_loss::SummedLoss;
use crate::base::{
    CallbackError, Error, Result, Scalar, check_dimension, check_not_negative, check_positive_dimension, kernels,
};
use crate::operator::{
    Expansion, Linearization, Model, Objective, SampledModel, SampledObjective, StructuralDamping, SymmetricOperator,
};

/// What else is in an objective besides model and loss.
#[derive(Clone, Copy, Debug)]
struct Terms {
    metric: Metric,
    /// c.
    regularization: f64,
    /// μ.
    middle_damping: f64,
    /// ν.
    structural_damping: f64,
}

impl Terms {
    fn new(metric: Metric) -> Self {
        Terms { metric, regularization: 0.0, middle_damping: 0.0, structural_damping: 0.0 }
    }
}

/// The mean loss of a model, or of a model that can be restricted to batches, with a metric; see [`fit`] and
/// [`fit_samples`].
#[derive(Clone, Debug)]
pub struct ModelObjective<M, L> {
    model: M,
    loss: L,
    terms: Terms,
}

/// The objective L(x) = 1/N Σᵢ l(yᵢ, hᵢ(x)), whose curvature is the given metric.
///
/// The model has k outputs for each of the loss's N samples, those of one sample after those of another. Besides a product
/// with J and one with Jᵀ, a product of the metric costs a pass over the outputs. Storage at a point: four vectors of Nk numbers
/// (for Monte Carlo Fisher 3 + `draws`).
///
/// ```
/// use newton_krylov::{Metric, TrustRegion, fit, model};
/// use newton_krylov::losses::SoftmaxCrossEntropy;
///
/// // Three classes on a line; two weights for each, those of a class beside each other.
/// let t = [-2.0, -1.5, -0.2, 0.1, 1.4, 2.2, -0.4, -0.3];
/// let labels = vec![0, 0, 1, 1, 2, 2, 0, 1];
/// let model = model(
///     3 * t.len(),
///     6,
///     |w: &[f64], h: &mut [f64]| (0..h.len()).for_each(|i| h[i] = w[2 * (i % 3)] + w[2 * (i % 3) + 1] * t[i / 3]),
///     |_, v, jv| (0..jv.len()).for_each(|i| jv[i] = v[2 * (i % 3)] + v[2 * (i % 3) + 1] * t[i / 3]),
///     |_, u, jtu| {
///         jtu.fill(0.0);
///         for i in 0..u.len() {
///             jtu[2 * (i % 3)] += u[i];
///             jtu[2 * (i % 3) + 1] += u[i] * t[i / 3];
///         }
///     },
/// );
/// let objective = fit(model, SoftmaxCrossEntropy::new(labels, 3)?, Metric::GeneralizedGaussNewton)?;
/// let objective = objective.with_regularization(1e-2)?;
/// let report = TrustRegion::default().minimize(&objective, &[0.0; 6])?;
/// assert!(report.termination.converged());
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// If there are no samples, the model's outputs are not those of N samples, or the metric is one that the model or the loss
/// does not offer.
pub fn fit<T: Scalar, M: Model<T>, L: Loss<T>>(model: M, loss: L, metric: Metric) -> Result<ModelObjective<M, L>> {
    check_loss(&loss)?;
    check_outputs(model.output_dim(), loss.samples() * loss.outputs_per_sample())?;
    metric.check(&loss, model.second_order())?;
    Ok(ModelObjective { model, loss, terms: Terms::new(metric) })
}

/// As [`fit`], for a model that can be restricted to batches: the objective on a batch B is 1/|B| Σ_{i∈B} l(yᵢ, hᵢ(x)).
///
/// The Monte Carlo Fisher metric draws anew for every batch. An empty batch has the value NaN.
///
/// # Errors
/// As [`fit`].
pub fn fit_samples<T: Scalar, M: SampledModel<T>, L: Loss<T>>(
    model: M,
    loss: L,
    metric: Metric,
) -> Result<ModelObjective<M, L>> {
    check_loss(&loss)?;
    check_outputs(model.samples() * model.outputs_per_sample(), loss.samples() * loss.outputs_per_sample())?;
    check_outputs(model.outputs_per_sample(), loss.outputs_per_sample())?;
    let second_order = model.batch(&[]).second_order();
    metric.check(&loss, second_order)?;
    Ok(ModelObjective { model, loss, terms: Terms::new(metric) })
}

fn check_loss<T: Scalar>(loss: &impl Loss<T>) -> Result<()> {
    check_positive_dimension("the loss's samples", loss.samples())?;
    check_positive_dimension("the loss's outputs per sample", loss.outputs_per_sample())
}

fn check_outputs(found: usize, expected: usize) -> Result<()> {
    check_dimension("the model's outputs", found, expected)
}

impl<M, L> ModelObjective<M, L> {
    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The model, the loss and c.
    pub(super) fn parts(&self) -> (&M, &L, f64) {
        (&self.model, &self.loss, self.terms.regularization)
    }

    /// Adds ½c‖x‖² to the value, cx to the gradient and cI to the metric. Replaces an earlier c.
    ///
    /// # Errors
    /// If c is negative, NaN or infinite.
    pub fn with_regularization(mut self, c: f64) -> Result<Self> {
        check_not_negative("regularization", c)?;
        self.terms.regularization = c;
        Ok(self)
    }

    /// Damps the metric in the middle: W + μI in place of W. Replaces an earlier μ. In contrast to a solver's damping, λI on
    /// M itself, it adds μ E\[JᵀJ\].
    ///
    /// # Errors
    /// If μ is negative, NaN or infinite.
    pub fn with_middle_damping(mut self, mu: f64) -> Result<Self> {
        check_not_negative("damping", mu)?;
        self.terms.middle_damping = mu;
        Ok(self)
    }

    /// Structural damping (Martens & Sutskever, *Learning recurrent neural networks with Hessian-free optimization*, ICML
    /// 2011, section 3.2): where [`HessianFree`](crate::HessianFree) damps by λI, it damps by λ(I + S) with
    ///
    /// S = ν/|B| Σ_{i∈B} KᵢᵀKᵢ,  Kᵢ = ∂sᵢ/∂x,
    ///
    /// the Gauss–Newton matrix of ν times the mean squared distance ½‖s(x + δ) − s(x)‖² between the hidden states (of
    /// all steps of a sequence, summed) before and after a step. So steps under which the states of a recurrent network
    /// would move far, and the quadratic model fail, are damped where λI alone lets them through. The paper's distance for
    /// tanh and logistic units is the cross entropy that matches them, which weighs saturated units less; its μ is our ν.
    /// Replaces an earlier ν.
    ///
    /// Products cost as much as without it, but for networks the tangents of all units are kept for the whole batch
    /// instead of some 2000 samples; one further product in each iteration is for M alone.
    ///
    /// ```
    /// use newton_krylov::models::{ElmanNetwork, Readout};
    /// use newton_krylov::{HessianFree, Metric, Stopping, fit_samples};
    /// use newton_krylov::losses::SquaredError;
    ///
    /// // The mean of two numbers.
    /// let network = ElmanNetwork::new(1, 4, 1, 2, Readout::Last)?;
    /// let sequences: Vec<f64> = (0..40).map(|i| (i * i % 13) as f64 / 13.0).collect();
    /// let targets: Vec<f64> = sequences.chunks(2).map(|x| 0.5 * (x[0] + x[1])).collect();
    /// let fit = fit_samples(network.on(&sequences)?, SquaredError::new(targets, 1)?, Metric::GaussNewton)?;
    /// let fit = fit.with_structural_damping(0.1)?;
    /// let stopping = Stopping { max_iterations: 100, ..Stopping::default() };
    /// let report = HessianFree { stopping, ..HessianFree::default() }.minimize(&fit, &network.initial(1, 4, 1.0)?)?;
    /// assert!(report.value < 1e-3);
    /// # Ok::<(), newton_krylov::Error>(())
    /// ```
    ///
    /// # Errors
    /// If ν is negative, NaN or infinite; and for a positive ν, if the model has no
    /// [hidden states](crate::Model::hidden_states) or the metric is the Hessian or I, whose products do not go with it.
    pub fn with_structural_damping<T: Scalar>(mut self, nu: f64) -> Result<Self>
    where
        M: SampledModel<T>,
        L: Loss<T>,
    {
        check_not_negative("damping", nu)?;
        let unsupported = |requirement| Err(Error::Unsupported { argument: "structural damping", requirement });
        if nu > 0.0 && matches!(self.terms.metric, Metric::Hessian | Metric::Identity) {
            return unsupported("a metric E[JᵀWJ]");
        }
        if nu > 0.0 && !self.model.batch(&[]).hidden_states() {
            return unsupported("a model with hidden states");
        }
        self.terms.structural_damping = nu;
        Ok(self)
    }
}

impl<T: Scalar, M: Model<T>, L: Loss<T>> Objective<T> for ModelObjective<M, L> {
    fn dim(&self) -> usize {
        self.model.dim()
    }
    fn value(&self, x: &[T]) -> f64 {
        Batch::whole(self).value(x)
    }
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        Batch::whole(self).at(x)
    }
    fn take_error(&self) -> Option<CallbackError> {
        Batch::whole(self).take_error()
    }
}

/// The objective on all samples or on some, for which there is a model of its own.
struct Batch<'a, M, L> {
    model: M,
    loss: SummedLoss<'a, &'a L>,
    terms: Terms,
}

impl<'a, M, L> Batch<'a, &'a M, L> {
    fn whole(objective: &'a ModelObjective<M, L>) -> Self {
        let ModelObjective { model, loss, terms } = objective;
        Batch { model, loss: SummedLoss { loss, batch: None }, terms: *terms }
    }

    fn at<T: Scalar>(self, x: &'a [T]) -> impl Expansion<T> + 'a
    where
        M: Model<T>,
        L: Loss<T>,
    {
        let (linearization, middle, work) = (self.model.linearize(x), OnceCell::new(), RefCell::default());
        FitExpansion { objective: self, x, linearization, middle, work }
    }
}

impl<T: Scalar, M: Model<T>, L: Loss<T>> Objective<T> for Batch<'_, M, L> {
    fn dim(&self) -> usize {
        self.model.dim()
    }
    fn value(&self, x: &[T]) -> f64 {
        let mut outputs = vec![T::zero(); self.model.output_dim()];
        self.model.evaluate(x, &mut outputs);
        self.loss.value(&outputs) + penalty(self.terms.regularization, x)
    }
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        Batch { model: &self.model, loss: self.loss, terms: self.terms }.at(x)
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.model.take_error().or_else(|| self.loss.loss.take_error())
    }
}

/// ½c‖x‖².
fn penalty<T: Scalar>(c: f64, x: &[T]) -> f64 {
    if c == 0.0 { 0.0 } else { 0.5 * c * kernels::dot(x, x) }
}

/// The objective at a point.
struct FitExpansion<'a, T, M, L, H> {
    objective: Batch<'a, &'a M, L>,
    x: &'a [T],
    linearization: H,
    middle: OnceCell<OutputMetric<T>>,
    work: RefCell<Work<T>>,
}

/// Room for products, made at the first.
#[derive(Default)]
struct Work<T> {
    jv: Vec<T>,
    middle: Vec<T>,
    /// Whether the linearisation has had its adjoint pass.
    adjoint: bool,
}

impl<T: Scalar, M: Model<T>, L: Loss<T>, H: Linearization<T>> FitExpansion<'_, T, M, L, H> {
    /// W, written down when it is first asked for.
    fn middle(&self) -> &OutputMetric<T> {
        let Batch { loss, terms, .. } = &self.objective;
        self.middle.get_or_init(|| OutputMetric::new(terms.metric, loss, self.linearization.outputs()))
    }

    /// out ← Jᵀ∇l/N.
    fn mean_gradient(&self, work: &mut Work<T>, out: &mut [T]) {
        let loss = &self.objective.loss;
        work.jv.resize(self.linearization.rows(), T::zero());
        loss.gradients(self.linearization.outputs(), &mut work.jv);
        kernels::scale(1.0 / loss.count() as f64, &mut work.jv);
        if self.objective.terms.metric == Metric::Hessian {
            self.linearization.adjoint(&work.jv, out);
            work.adjoint = true;
        } else {
            self.linearization.apply_transpose(&work.jv, out);
        }
    }
}

impl<T: Scalar, M: Model<T>, L: Loss<T>, H: Linearization<T>> SymmetricOperator<T> for FitExpansion<'_, T, M, L, H> {
    fn dim(&self) -> usize {
        self.linearization.columns()
    }

    fn apply(&self, v: &[T], out: &mut [T]) {
        let Batch { loss, terms, .. } = &self.objective;
        if terms.metric == Metric::Identity {
            return out.copy_from_slice(v);
        }
        let middle = self.middle();
        let multiply = |jv: &[T], out: &mut [T]| middle.apply(loss, terms.middle_damping, jv, out);
        let work = &mut *self.work.borrow_mut();
        if terms.metric == Metric::Hessian {
            if !work.adjoint {
                self.mean_gradient(work, out);
            }
            self.linearization.second_order_product(&multiply, v, out);
        } else {
            let rows = self.linearization.rows();
            work.jv.resize(rows, T::zero());
            work.middle.resize(rows, T::zero());
            self.linearization.apply(v, &mut work.jv);
            multiply(&work.jv, &mut work.middle);
            self.linearization.apply_transpose(&work.middle, out);
        }
        if terms.regularization > 0.0 {
            kernels::axpy(terms.regularization, v, out);
        }
    }

    fn take_error(&self) -> Option<CallbackError> {
        self.linearization.take_error().or_else(|| self.objective.take_error())
    }
}

impl<T: Scalar, M: Model<T>, L: Loss<T>, H: Linearization<T>> Expansion<T> for FitExpansion<'_, T, M, L, H> {
    fn value(&self) -> f64 {
        let Batch { loss, terms, .. } = &self.objective;
        loss.value(self.linearization.outputs()) + penalty(terms.regularization, self.x)
    }

    fn gradient(&self, out: &mut [T]) {
        self.mean_gradient(&mut self.work.borrow_mut(), out);
        let c = self.objective.terms.regularization;
        if c > 0.0 {
            kernels::axpy(c, self.x, out);
        }
    }

    fn value_and_divergence(&self, y: &[T]) -> Option<(f64, f64)> {
        let Batch { model, loss, terms } = &self.objective;
        loss.loss.likelihood()?;
        let mut outputs = vec![T::zero(); model.output_dim()];
        model.evaluate(y, &mut outputs);
        let divergence = loss.divergence(self.linearization.outputs(), &outputs)?;
        Some((loss.value(&outputs) + penalty(terms.regularization, y), divergence))
    }

    fn structural_damping(&self) -> Option<&dyn StructuralDamping<T>> {
        (self.objective.terms.structural_damping > 0.0).then_some(self)
    }
}

impl<T: Scalar, M: Model<T>, L: Loss<T>, H: Linearization<T>> StructuralDamping<T> for FitExpansion<'_, T, M, L, H> {
    fn damped_product(&self, damping: f64, v: &[T], out: &mut [T]) {
        let Batch { loss, terms, .. } = &self.objective;
        let middle = self.middle();
        let multiply = |jv: &[T], out: &mut [T]| middle.apply(loss, terms.middle_damping, jv, out);
        let weight = damping * terms.structural_damping / loss.count() as f64;
        self.linearization.structural_product(&multiply, weight, v, out);
        if terms.regularization > 0.0 {
            kernels::axpy(terms.regularization, v, out);
        }
    }
}

impl<T: Scalar, M: SampledModel<T>, L: Loss<T>> SampledObjective<T> for ModelObjective<M, L> {
    fn dim(&self) -> usize {
        self.model.dim()
    }
    fn samples(&self) -> usize {
        self.model.samples()
    }
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Objective<T> + 'a {
        let loss = SummedLoss { loss: &self.loss, batch: Some(samples) };
        Batch { model: self.model.batch(samples), loss, terms: self.terms }
    }
}
