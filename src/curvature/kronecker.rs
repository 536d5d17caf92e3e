//! The Kronecker-factored preconditioner (K-FAC).
//!
//! For a layer z = Wa + b, with ā = (a, 1) and γ = ∂log p/∂z at targets drawn from the model, the block of the Fisher
//! matrix that belongs to V = (W, b) is approximated by A ⊗ G, A = E[āāᵀ], G = E[γγᵀ], whose inverse with a damping ν² is
//!
//!   V ↦ (G + ν/π I)⁻¹ V (A + νπ I)⁻¹,   π² = (tr A / dim A) / (tr G / dim G),   ν = √(λ + c),
//!
//! c being the regulariser. A layer whose weights a sample uses at T places, a convolution or a step of a sequence, has
//! A = E[Σ_t ā_tā_tᵀ]/T and G = E[Σ_t γ_tγ_tᵀ], as if what happens at one place told nothing about another: Grosse &
//! Martens, "A Kronecker-factored approximate Fisher matrix for convolution layers" (ICML 2016), section 3.1, where T
//! stands at the other factor; the "expand" of Eschenhagen et al., "Kronecker-factored approximate curvature for modern
//! neural network architectures" (NeurIPS 2023). All parameters that belong to no layer (embeddings, scales, …) have a
//! diagonal block: with s the gradients of all N samples by their outputs at the targets drawn, (Jᵀs)ᵢ²/N has the mean Fᵢᵢ,
//! since drawn gradients are independent with mean 0. It costs one product with Jᵀ, where there are such parameters.
//!
//! Martens & Grosse, "Optimizing neural networks with Kronecker-factored approximate curvature"
//! (ICML 2015; arXiv 1503.05671): section 3 (factors), 4.2 (blocks), 5 (moving average, weight min(1 − 1/k, 0.95) for
//! the past), 6.3 and 6.6 (damping; we tie ν to λ and do not search for it, which measured the same on autoencoders), 8
//! (inverses are kept for some iterations, for 20 there).

use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::fit::ModelObjective;
use super::learned::{LearnedPreconditioner, LearningCost};
use super::loss::Loss;
use super::summed_loss::SummedLoss;
use crate::base::native::{Matrix, MatrixMut, Scratch};
use crate::base::parallel::{for_each, join, over_parts};
use crate::base::{Error, Result, Scalar, check_length};
use crate::operator::{Counts, LayerShape, LinearMap, Linearization, Model, Preconditioner, SampledModel};

/// The weight of the past in the moving average of factors, at most.
const PAST: f64 = 0.95;
/// Iterations that share the inverses; each of the first three has its own.
const REFRESH: u64 = 10;
const ALWAYS: u64 = 3;

/// P⁻¹ from the Kronecker factors of a network's layers, for objectives of a model that has
/// [`layers`](crate::Model::layers), such as a multilayer perceptron or a convolutional network, and a loss with a
/// [`likelihood`](crate::losses::Loss::likelihood). Parameters outside of layers have a diagonal P.
///
/// It belongs into [`HessianFree`](crate::HessianFree), where products are exact whatever the preconditioner is. Learning
/// costs about 1½ gradients of the samples it sees, 2 where parameters are outside of layers, and, once in ten iterations,
/// the inversion of matrices as large as the layers are wide; applying it costs two matrix products for a layer. Storage:
/// three times Σ (inputs + 1)² + outputs², and two vectors, or five; nothing is allocated after the first iteration.
///
/// ```
/// use newton_krylov::models::{Activation, Convolution, MultilayerPerceptron};
/// use newton_krylov::preconditioners::KroneckerPreconditioner;
/// use newton_krylov::{HessianFree, Metric, fit_samples, losses::SoftmaxCrossEntropy};
/// use std::ops::ControlFlow;
///
/// // Images of 4 × 4 pixels: is the bright pixel in the upper half?
/// let images: Vec<f32> = (0..16 * 16).map(|i| if i % 17 == 0 { 1.0 } else { 0.0 }).collect();
/// let labels: Vec<usize> = (0..16).map(|i| i / 8).collect();
/// let windows = Convolution { side: 2, stride: 2, channels: 3, activation: Activation::Tanh };
/// let network = MultilayerPerceptron::convolutional([4, 4, 1], &[windows], &[2], &[Activation::Identity])?;
/// let loss = SoftmaxCrossEntropy::new(labels, 2)?;
/// let objective = fit_samples(network.on(&images)?, loss, Metric::GeneralizedGaussNewton)?.with_regularization(1e-3)?;
/// let x0: Vec<f32> = network.initial(1);
/// let solver = HessianFree::default();
/// let report =
///     solver.minimize_with(&objective, KroneckerPreconditioner::new(), &x0, |_| ControlFlow::Continue(()))?;
/// assert!(report.termination.converged() && report.value < 0.1);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KroneckerPreconditioner<T> {
    layers: Vec<LayerShape>,
    /// A and G: moving averages.
    inputs: Vec<Vec<T>>,
    outputs: Vec<Vec<T>>,
    /// Their damped inverses.
    inverse_inputs: Vec<Vec<T>>,
    inverse_outputs: Vec<Vec<T>>,
    /// The moving average of the diagonal, and its damped inverse; nothing if the layers are all parameters.
    diagonal: Vec<T>,
    inverse_diagonal: Vec<T>,
    /// Iterations learned from; also the seed of the targets drawn.
    learned: u64,
    #[cfg_attr(feature = "serde", serde(skip))]
    room: Room<T>,
}

impl<T: Scalar> KroneckerPreconditioner<T> {
    /// A preconditioner that has yet to learn.
    pub fn new() -> Self {
        Self::default()
    }

    /// Inverts the damped factors, ν being √(λ + c). Where rounding makes a factor indefinite, its damping is raised.
    fn invert(&mut self, nu: f64) {
        let Self { layers, inputs, outputs, inverse_inputs, inverse_outputs, diagonal, inverse_diagonal, room, .. } =
            self;
        for (inverse, d) in inverse_diagonal.iter_mut().zip(diagonal) {
            *inverse = T::from_f64(1.0 / ((*d).into() + nu * nu));
        }
        let (layers, inputs, outputs) = (&*layers, &*inputs, &*outputs);
        let mean_diagonal = |m: &[T], n: usize| (0..n).map(|i| m[i * n + i].into()).sum::<f64>() / n as f64;
        let pi = |i: usize| {
            let [a, g] = [(&inputs[i], layers[i].inputs + 1), (&outputs[i], layers[i].outputs)];
            let pi = (mean_diagonal(a.0, a.1) / mean_diagonal(g.0, g.1)).sqrt();
            if pi.is_finite() && pi > 0.0 { pi } else { 1.0 }
        };
        let damped =
            |factor: &[T], n: usize, mut damping: f64, out: &mut [T], cholesky: &mut [T], scratch: &mut Scratch| {
                loop {
                    out.copy_from_slice(factor);
                    (0..n).for_each(|i| out[i * n + i] += T::from_f64(damping));
                    if T::invert(out, n, cholesky, scratch) {
                        return;
                    }
                    damping *= 10.0;
                    if T::from_f64(damping).is_infinite() {
                        out.fill(T::zero());
                        (0..n).for_each(|i| out[i * n + i] = T::one());
                        return;
                    }
                }
            };
        // The moments of the batch are in the averages now: their memory takes the Cholesky factors.
        let Room { inputs: input_room, outputs: output_room, input_scratch, output_scratch, .. } = room;
        let input_sides = (&mut inverse_inputs[..], &mut input_room[..], &mut input_scratch[..]);
        let output_sides = (&mut inverse_outputs[..], &mut output_room[..], &mut output_scratch[..]);
        join(
            || {
                for_each(input_sides, &|i, (out, cholesky, scratch)| {
                    damped(&inputs[i], layers[i].inputs + 1, nu * pi(i), out, cholesky, scratch);
                });
            },
            || {
                for_each(output_sides, &|i, (out, cholesky, scratch)| {
                    damped(&outputs[i], layers[i].outputs, nu / pi(i), out, cholesky, scratch);
                });
            },
        );
    }

    /// Adds the moments of one batch, which are in the room, to the averages.
    fn average(&mut self, samples: usize) {
        let past = (1.0 - 1.0 / self.learned as f64).min(PAST);
        let new = (1.0 - past) / samples as f64;
        let mix = |old: &mut [T], add: &[T], new: f64| {
            let (past, new) = (T::from_f64(past), T::from_f64(new));
            old.iter_mut().zip(add).for_each(|(old, &add)| *old = past * *old + new * add);
        };
        let layers = &self.layers;
        for_each((&mut self.inputs[..], &self.room.inputs[..]), &|i, (old, add)| {
            mix(old, add, new / layers[i].places as f64);
        });
        for_each((&mut self.outputs[..], &self.room.outputs[..]), &|_, (old, add)| mix(old, add, new));
        mix(&mut self.diagonal, &self.room.diagonal, new);
    }
}

/// Memory that is made once; nothing in it outlives a call.
struct Room<T> {
    scores: Vec<T>,
    /// The moments of one batch.
    inputs: Vec<Vec<T>>,
    outputs: Vec<Vec<T>>,
    /// (Jᵀs)², for all parameters.
    diagonal: Vec<T>,
    input_scratch: Vec<Scratch>,
    output_scratch: Vec<Scratch>,
    /// For products with the inverses.
    products: OnceLock<ProductRoom<T>>,
}

struct ProductRoom<T> {
    /// Part 2i is what lies before layer i, perhaps nothing, part 2i + 1 that layer, the last part what is behind.
    bounds: Vec<usize>,
    /// V and a product of each layer.
    layers: Vec<Mutex<[Vec<T>; 2]>>,
}

impl<T: Scalar> ProductRoom<T> {
    fn new(layers: &[LayerShape], dim: usize) -> Self {
        let ends = layers.iter().flat_map(|layer| [layer.start, layer.start + layer.len()]);
        let pair = |layer: &LayerShape| Mutex::new([vec![T::zero(); layer.len()], vec![T::zero(); layer.len()]]);
        ProductRoom {
            bounds: std::iter::once(0).chain(ends).chain([dim]).collect(),
            layers: layers.iter().map(pair).collect(),
        }
    }
}

impl<T> fmt::Debug for Room<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Room")
    }
}

impl<T> Default for Room<T> {
    fn default() -> Self {
        let (scores, inputs, outputs, diagonal) = (vec![], vec![], vec![], vec![]);
        let (input_scratch, output_scratch, products) = (vec![], vec![], OnceLock::new());
        Room { scores, inputs, outputs, diagonal, input_scratch, output_scratch, products }
    }
}

/// A copy makes its own.
impl<T> Clone for Room<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What is in it says nothing.
impl<T> PartialEq for Room<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

fn zeros<T: Scalar>(lengths: impl Iterator<Item = usize>) -> Vec<Vec<T>> {
    lengths.map(|n| vec![T::zero(); n * n]).collect()
}

impl<T: Scalar> Preconditioner<T> for KroneckerPreconditioner<T> {
    /// r ← P⁻¹r with the damping that it has learned under.
    fn precondition(&self, _: f64, r: &mut [T]) {
        let ProductRoom { bounds, layers: room } =
            self.room.products.get_or_init(|| ProductRoom::new(&self.layers, r.len()));
        over_parts(bounds, r, 0, &|parts, part| {
            for i in parts {
                if i.is_multiple_of(2) {
                    let inverse = self.inverse_diagonal.get(bounds[i]..).unwrap_or_default();
                    part.iter_mut().zip(inverse).for_each(|(r, &inverse)| *r *= inverse);
                    continue;
                }
                let i = i / 2;
                let LayerShape { inputs, outputs, .. } = self.layers[i];
                let wide = inputs + 1;
                let (weights, biases) = part.split_at_mut(inputs * outputs);
                let [v, product] = &mut *room[i].lock().unwrap_or_else(PoisonError::into_inner);
                for (o, row) in v.chunks_exact_mut(wide).enumerate() {
                    row[..inputs].copy_from_slice(&weights[o * inputs..][..inputs]);
                    row[inputs] = biases[o];
                }
                T::multiply(
                    MatrixMut::by_rows(product, outputs, wide),
                    false,
                    Matrix::by_rows(v, outputs, wide),
                    Matrix::by_rows(&self.inverse_inputs[i], wide, wide),
                );
                T::multiply(
                    MatrixMut::by_rows(v, outputs, wide),
                    false,
                    Matrix::by_rows(&self.inverse_outputs[i], outputs, outputs),
                    Matrix::by_rows(product, outputs, wide),
                );
                for (o, row) in v.chunks_exact(wide).enumerate() {
                    weights[o * inputs..][..inputs].copy_from_slice(&row[..inputs]);
                    biases[o] = row[inputs];
                }
            }
        });
    }
}

impl<T, M, L> LearnedPreconditioner<T, ModelObjective<M, L>> for KroneckerPreconditioner<T>
where
    T: Scalar,
    M: SampledModel<T>,
    L: Loss<T>,
{
    fn learn(&mut self, objective: &ModelObjective<M, L>, x: &[T], samples: &[usize], damping: f64) -> LearningCost {
        let (model, loss, regularization) = objective.parts();
        let batch = model.batch(samples);
        if self.layers.is_empty() {
            self.layers = batch.layers();
            let sides = |layer: &LayerShape| layer.inputs + 1;
            self.inputs = zeros(self.layers.iter().map(sides));
            self.outputs = zeros(self.layers.iter().map(|layer| layer.outputs));
            self.inverse_inputs = self.inputs.clone();
            self.inverse_outputs = self.outputs.clone();
            if self.layers.iter().map(LayerShape::len).sum::<usize>() < x.len() {
                self.diagonal = vec![T::zero(); x.len()];
                self.inverse_diagonal = self.diagonal.clone();
            }
        }
        let Some(likelihood) = loss.likelihood() else { return LearningCost::default() };
        let room = &mut self.room;
        if room.inputs.is_empty() {
            room.inputs.clone_from(&self.inputs);
            room.outputs.clone_from(&self.outputs);
            room.diagonal.clone_from(&self.diagonal);
            room.input_scratch.resize_with(self.layers.len(), Scratch::default);
            room.output_scratch.resize_with(self.layers.len(), Scratch::default);
        }
        let at = batch.linearize(x);
        room.scores.resize(at.outputs().len(), T::zero());
        let summed = SummedLoss { loss, batch: Some(samples) };
        summed.draw_scores(likelihood, at.outputs(), self.learned, 1, &mut room.scores);
        room.inputs.iter_mut().chain(&mut room.outputs).for_each(|moments| moments.fill(T::zero()));
        at.add_layer_moments(&room.scores, &mut room.inputs, &mut room.outputs);
        let diagonal = !room.diagonal.is_empty();
        if diagonal {
            at.apply_transpose(&room.scores, &mut room.diagonal);
            room.diagonal.iter_mut().for_each(|d| *d = *d * *d);
        }
        if room.inputs.iter().chain(&room.outputs).chain([&room.diagonal]).flatten().all(|v| v.is_finite()) {
            self.learned += 1;
            self.average(samples.len());
            if self.learned <= ALWAYS || self.learned.is_multiple_of(REFRESH) {
                // Not 0 (or NaN), which no factor of ten would raise.
                self.invert((damping + regularization).sqrt().max(T::epsilon_f64()));
            }
        }
        LearningCost::on(samples.len(), Counts { gradients: 1 + usize::from(diagonal), ..Counts::default() })
    }

    fn preconditioner(&self) -> Option<&dyn Preconditioner<T>> {
        (self.learned > 0).then_some(self)
    }

    fn fits(&self, objective: &ModelObjective<M, L>) -> Result<()> {
        let (model, loss, _) = objective.parts();
        let needed = model.batch(&[]).layers();
        if needed.is_empty() || loss.likelihood().is_none() {
            let argument = "the layers of a model with a likelihood";
            return Err(Error::ZeroDimension { argument });
        }
        LayerShape::check(&needed, SampledModel::<T>::dim(model))?;
        if self.layers.is_empty() {
            return Ok(());
        }
        check_length("the preconditioner's layers", &self.layers, needed.len())?;
        for (have, need) in self.layers.iter().zip(needed) {
            let (expected, found) = (need.len(), have.len());
            if *have != need {
                return Err(Error::Length { argument: "a layer of the preconditioner", expected, found });
            }
        }
        Ok(())
    }
}
