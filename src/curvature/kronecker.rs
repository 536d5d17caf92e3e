//! The Kronecker-factored preconditioner (K-FAC).
//!
//! For a layer z = Wa + b, with ā = (a, 1) and γ = ∂log p/∂z at targets drawn from the model, the block of the Fisher
//! matrix that belongs to V = (W, b) is approximated by A ⊗ G, A = E[āāᵀ], G = E[γγᵀ], whose inverse with a damping ν² is
//!
//!   V ↦ (G + ν/π I)⁻¹ V (A + νπ I)⁻¹,   π² = (tr A / dim A) / (tr G / dim G),   ν = √(λ + c),
//!
//! c being the regulariser. Martens & Grosse, "Optimizing neural networks with Kronecker-factored approximate curvature"
//! (ICML 2015; arXiv 1503.05671): section 3 (factors), 4.2 (blocks), 5 (moving average, weight min(1 − 1/k, 0.95) for
//! the past), 6.3 and 6.6 (damping; we tie ν to λ and do not search for it, which measured the same on autoencoders), 8
//! (inverses are kept for some iterations, for 20 there).

use rayon::prelude::*;

use super::fit::SampledModelObjective;
use super::learned::{LearnedPreconditioner, LearningCost};
use super::loss::Loss;
use super::stacked::Stacked;
use crate::base::native::{Matrix, MatrixMut};
use crate::base::{Error, Result, Scalar, check_length};
use crate::operator::{Counts, LayerShape, Linearization, Model, SampledModel};

/// The weight of the past in the moving average of factors, at most.
const PAST: f64 = 0.95;
/// Iterations that share the inverses; each of the first three has its own.
const REFRESH: u64 = 10;
const ALWAYS: u64 = 3;

/// P⁻¹ from the Kronecker factors of a network's layers, for objectives of a model that has
/// [`layers`](crate::Model::layers), such as a multilayer perceptron, and a loss with a
/// [`likelihood`](crate::Loss::likelihood).
///
/// It belongs into [`HessianFree`](crate::HessianFree), where products are exact whatever the preconditioner is. Learning
/// costs about 1½ gradients of the samples it sees and, once in ten iterations, the inversion of matrices as large as the
/// layers are wide; applying it costs two matrix products for a layer. Storage: twice Σ (inputs + 1)² + outputs².
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KroneckerPreconditioner<T> {
    layers: Vec<Layer>,
    /// A and G: moving averages.
    inputs: Vec<Vec<T>>,
    outputs: Vec<Vec<T>>,
    /// Their damped inverses.
    inverse_inputs: Vec<Vec<T>>,
    inverse_outputs: Vec<Vec<T>>,
    /// Iterations learned from; also the seed of the targets drawn.
    learned: u64,
}

/// A [`LayerShape`] that can be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Layer {
    start: usize,
    inputs: usize,
    outputs: usize,
}

impl From<LayerShape> for Layer {
    fn from(LayerShape { start, inputs, outputs }: LayerShape) -> Self {
        Layer { start, inputs, outputs }
    }
}

impl<T: Scalar> KroneckerPreconditioner<T> {
    /// A preconditioner that has yet to learn.
    pub fn new() -> Self {
        Self::default()
    }

    /// Inverts the damped factors, ν being √(λ + c). Where rounding makes a factor indefinite, its damping is raised.
    fn invert(&mut self, nu: f64) {
        let mean_diagonal = |m: &[T], n: usize| (0..n).map(|i| m[i * n + i].into()).sum::<f64>() / n as f64;
        let pi: Vec<f64> = self
            .layers
            .iter()
            .zip(self.inputs.iter().zip(&self.outputs))
            .map(|(layer, (a, g))| {
                let pi = (mean_diagonal(a, layer.inputs + 1) / mean_diagonal(g, layer.outputs)).sqrt();
                if pi.is_finite() && pi > 0.0 { pi } else { 1.0 }
            })
            .collect();
        let damped = |factor: &[T], n: usize, damping: f64, out: &mut Vec<T>| {
            let mut damping = damping;
            loop {
                out.clear();
                out.extend_from_slice(factor);
                (0..n).for_each(|i| out[i * n + i] += T::from_f64(damping));
                if T::invert(out, n) {
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
        let Self { layers, inputs, outputs, inverse_inputs, inverse_outputs, .. } = self;
        let sides = inverse_inputs.par_iter_mut().zip(inputs.par_iter()).enumerate();
        let other = inverse_outputs.par_iter_mut().zip(outputs.par_iter()).enumerate();
        let (layers, pi) = (&*layers, &pi);
        rayon::join(
            || sides.for_each(|(i, (out, a))| damped(a, layers[i].inputs + 1, nu * pi[i], out)),
            || other.for_each(|(i, (out, g))| damped(g, layers[i].outputs, nu / pi[i], out)),
        );
    }

    /// Adds the moments of one batch to the averages.
    fn average(&mut self, inputs: &[Vec<T>], outputs: &[Vec<T>], samples: usize) {
        let past = (1.0 - 1.0 / self.learned as f64).min(PAST);
        let (past, new) = (T::from_f64(past), T::from_f64((1.0 - past) / samples as f64));
        let pairs = |old: &mut [Vec<T>], add: &[Vec<T>]| {
            old.par_iter_mut().zip(add).for_each(|(old, add)| {
                old.iter_mut().zip(add).for_each(|(old, &add)| *old = past * *old + new * add);
            });
        };
        pairs(&mut self.inputs, inputs);
        pairs(&mut self.outputs, outputs);
    }
}

fn zeros<T: Scalar>(lengths: impl Iterator<Item = usize>) -> Vec<Vec<T>> {
    lengths.map(|n| vec![T::zero(); n * n]).collect()
}

impl<T, M, L> LearnedPreconditioner<T, SampledModelObjective<M, L>> for KroneckerPreconditioner<T>
where
    T: Scalar,
    M: SampledModel<T>,
    L: Loss<T>,
{
    fn learn(
        &mut self,
        objective: &SampledModelObjective<M, L>,
        x: &[T],
        samples: &[usize],
        damping: f64,
    ) -> LearningCost {
        let (model, loss, regularization) = objective.parts();
        let batch = model.batch(samples);
        if self.layers.is_empty() {
            self.layers = batch.layers().into_iter().map(Layer::from).collect();
            let sides = |layer: &Layer| layer.inputs + 1;
            self.inputs = zeros(self.layers.iter().map(sides));
            self.outputs = zeros(self.layers.iter().map(|layer| layer.outputs));
            self.inverse_inputs = self.inputs.clone();
            self.inverse_outputs = self.outputs.clone();
        }
        let Some(likelihood) = loss.likelihood() else { return LearningCost::default() };
        let at = batch.linearize(x);
        let mut scores = vec![T::zero(); at.outputs().len()];
        let stacked = Stacked { loss, batch: Some(samples) };
        stacked.draw_scores(likelihood, at.outputs(), self.learned, 1, &mut scores);
        let mut inputs = zeros(self.layers.iter().map(|layer| layer.inputs + 1));
        let mut outputs = zeros(self.layers.iter().map(|layer| layer.outputs));
        at.add_layer_moments(&scores, &mut inputs, &mut outputs);
        let finite = |m: &Vec<Vec<T>>| m.iter().flatten().all(|v| v.is_finite());
        if finite(&inputs) && finite(&outputs) {
            self.learned += 1;
            self.average(&inputs, &outputs, samples.len());
            if self.learned <= ALWAYS || self.learned.is_multiple_of(REFRESH) {
                self.invert((damping + regularization).sqrt());
            }
        }
        LearningCost::on(samples.len(), Counts { gradients: 1, ..Counts::default() })
    }

    fn precondition(&self, _: f64, r: &mut [T]) -> bool {
        if self.learned == 0 {
            return false;
        }
        let mut parts = vec![];
        let mut rest = r;
        for layer in &self.layers {
            let (part, after) = rest.split_at_mut((layer.inputs + 1) * layer.outputs);
            parts.push(part);
            rest = after;
        }
        parts.par_iter_mut().enumerate().for_each(|(i, part)| {
            let Layer { inputs, outputs, .. } = self.layers[i];
            let wide = inputs + 1;
            let (weights, biases) = part.split_at_mut(inputs * outputs);
            let (mut v, mut product) = (vec![T::zero(); wide * outputs], vec![T::zero(); wide * outputs]);
            for (o, row) in v.chunks_exact_mut(wide).enumerate() {
                row[..inputs].copy_from_slice(&weights[o * inputs..][..inputs]);
                row[inputs] = biases[o];
            }
            T::multiply(
                MatrixMut::by_rows(&mut product, outputs, wide),
                false,
                Matrix::by_rows(&v, outputs, wide),
                Matrix::by_rows(&self.inverse_inputs[i], wide, wide),
            );
            T::multiply(
                MatrixMut::by_rows(&mut v, outputs, wide),
                false,
                Matrix::by_rows(&self.inverse_outputs[i], outputs, outputs),
                Matrix::by_rows(&product, outputs, wide),
            );
            for (o, row) in v.chunks_exact(wide).enumerate() {
                weights[o * inputs..][..inputs].copy_from_slice(&row[..inputs]);
                biases[o] = row[inputs];
            }
        });
        true
    }

    fn fits(&self, objective: &SampledModelObjective<M, L>) -> Result<()> {
        let (model, loss, _) = objective.parts();
        let needed: Vec<Layer> = model.batch(&[]).layers().into_iter().map(Layer::from).collect();
        if needed.is_empty() || loss.likelihood().is_none() {
            let argument = "the layers of a model with a likelihood";
            return Err(Error::ZeroDimension { argument });
        }
        if self.layers.is_empty() {
            return Ok(());
        }
        check_length("the preconditioner's layers", &self.layers, needed.len())?;
        for (have, need) in self.layers.iter().zip(needed) {
            let numbers = |layer: &Layer| (layer.inputs + 1) * layer.outputs;
            let (expected, found) = (numbers(&need), numbers(have));
            if *have != need {
                return Err(Error::Length { argument: "a layer of the preconditioner", expected, found });
            }
        }
        Ok(())
    }
}
