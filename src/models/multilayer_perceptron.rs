//! Fully connected layers: the description of the network, its parameters and where they start.
//!
//! a₀ = the inputs,  aₗ = φₗ(Wₗ aₗ₋₁ + bₗ),  h = a_L
//!
//! Initial weights: uniform, Glorot & Bengio, *Understanding the difficulty of training deep feedforward neural
//! networks* (AISTATS 2010), equation 16; sparse, Martens, *Deep learning via Hessian-free optimization* (ICML 2010),
//! section 5 ("a few" large weights for every unit, all others zero).

use std::ops::Range;

use super::Activation;
use super::network::{Connection, FEW_ENOUGH, end_of};
use crate::base::random::SplitMix64;
use crate::base::{Result, Scalar, check_component, check_length, check_range};

/// A multilayer perceptron: the widths of its layers and their activations.
///
/// All parameters are in one slice. Layer after layer it holds the weights W, `outputs × inputs` numbers by rows (those
/// of the first output first), and then the biases b.
///
/// ```
/// use newton_krylov::models::{Activation, MultilayerPerceptron};
/// use newton_krylov::{LinearMap, Linearization, Model};
///
/// // Two inputs, three hidden units, one output.
/// let network = MultilayerPerceptron::new(&[2, 3, 1], &[Activation::Tanh, Activation::Identity])?;
/// assert_eq!(network.dim(), 3 * 2 + 3 + 3 + 1);
/// let parameters: Vec<f64> = network.initial(7);
///
/// // Four samples with two inputs each.
/// let inputs = [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
/// let model = network.on(&inputs)?;
/// let at = model.linearize(&parameters);
/// assert_eq!(at.outputs().len(), 4);
/// let mut gradient = vec![0.0; network.dim()];
/// at.apply_transpose(&[1.0; 4], &mut gradient);
/// assert_eq!(gradient[12], 4.0); // the bias of the output counts every sample once
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// Without a hidden layer it is a linear model: with the identity and squared errors linear regression, with the identity
/// and a cross-entropy loss logistic or softmax regression, the outputs being the logits.
#[derive(Clone, Debug)]
pub struct MultilayerPerceptron {
    pub(super) layers: Vec<Layer>,
    /// The pieces in which sums over samples are computed, in the order of the parameters.
    pub(super) pieces: Vec<Piece>,
}

/// A layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer {
    /// W; the biases follow it among the parameters.
    pub weights: Connection,
    pub activation: Activation,
    /// Its first unit among those of all layers.
    pub start: usize,
}

impl Layer {
    /// b.
    pub fn biases<'a, T>(&self, x: &'a [T]) -> &'a [T] {
        &x[self.weights.end()..][..self.weights.outputs]
    }

    /// Its units among those of all layers.
    pub fn units(&self) -> Range<usize> {
        self.start..self.start + self.weights.outputs
    }
}

/// A part of the parameters of a layer.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// The weights of these outputs.
    Weights(usize, Range<usize>),
    /// All biases.
    Biases(usize),
}

/// Outputs whose weights are summed in one piece: fewer and the inputs are packed more often, more and there is less to
/// do in parallel.
const ROWS: usize = 512;

impl MultilayerPerceptron {
    /// The network whose layers have `widths`, from the number of inputs to that of outputs, and whose layer from
    /// `widths[i]` to `widths[i + 1]` ends with `activations[i]`.
    ///
    /// # Errors
    /// If there are fewer than two widths, a width is zero or too large for the parameters to be stored, or there are not
    /// as many activations as layers.
    pub fn new(widths: &[usize], activations: &[Activation]) -> Result<Self> {
        check_range("widths", widths.len() as f64, widths.len() >= 2, "of length 2 or more")?;
        for (i, &width) in widths.iter().enumerate() {
            check_component("widths", i, width as f64, width > 0, "at least 1")?;
        }
        check_length("activations", activations, widths.len() - 1)?;
        let (mut layers, mut pieces): (Vec<Layer>, _) = (vec![], vec![]);
        let (mut first, mut start) = (0, 0);
        for (i, (pair, &activation)) in widths.windows(2).zip(activations).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            layers.push(Layer { weights: Connection { first, inputs, outputs }, activation, start });
            let end = end_of(first, &[(outputs, inputs), (outputs, 1)]);
            let wider = if outputs > inputs { i + 1 } else { i };
            check_component("widths", wider, widths[wider] as f64, end.is_some(), FEW_ENOUGH)?;
            first = end.unwrap_or(first);
            start += outputs;
            let count = outputs.div_ceil(ROWS);
            pieces.extend((0..count).map(|k| Piece::Weights(i, outputs * k / count..outputs * (k + 1) / count)));
            pieces.push(Piece::Biases(i));
        }
        Ok(MultilayerPerceptron { layers, pieces })
    }

    /// n, the number of parameters.
    pub fn dim(&self) -> usize {
        self.last().weights.end() + self.outputs()
    }

    /// The width of the first layer, the inputs of a sample.
    pub fn inputs(&self) -> usize {
        self.layers[0].weights.inputs
    }

    /// The width of the last layer, the outputs of a sample.
    pub fn outputs(&self) -> usize {
        self.last().weights.outputs
    }

    pub(super) fn last(&self) -> &Layer {
        self.layers.last().expect("at least one layer")
    }

    /// Initial parameters: weights uniform in ±√(6/(inputs + outputs)) (Glorot & Bengio 2010), biases zero.
    ///
    /// Weights are drawn in the order of the parameters by SplitMix64, each (2u − 1)·√(6/(inputs + outputs)) in `f64` with
    /// the upper 53 bits as u ∈ [0, 1), then rounded: other programs can start at the same point.
    pub fn initial<T: Scalar>(&self, seed: u64) -> Vec<T> {
        let mut random = SplitMix64::new(seed);
        let mut x = Vec::with_capacity(self.dim());
        for Layer { weights: layer, .. } in &self.layers {
            let bound = (6.0 / (layer.inputs + layer.outputs) as f64).sqrt();
            x.extend((0..layer.inputs * layer.outputs).map(|_| T::from_f64((2.0 * random.uniform() - 1.0) * bound)));
            x.extend((0..layer.outputs).map(|_| T::zero()));
        }
        x
    }

    /// Initial parameters: every unit has `connections` weights (all its inputs, where there are no more), normal with
    /// mean 0 and variance 1, at random places; all other weights and the biases are zero. Martens (2010) takes 15 connections.
    ///
    /// # Errors
    /// If `connections` is zero.
    pub fn initial_sparse<T: Scalar>(&self, seed: u64, connections: usize) -> Result<Vec<T>> {
        check_range("connections", connections as f64, connections > 0, "positive")?;
        let mut random = SplitMix64::new(seed);
        let mut x = vec![T::zero(); self.dim()];
        for layer in &self.layers {
            layer.weights.fill_sparse(&mut random, connections, &mut x);
        }
        Ok(x)
    }
}
