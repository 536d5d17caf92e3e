//! Fully connected layers, the first of which may be convolutions: the description of the network, its parameters and
//! where they start.
//!
//! a₀ = the inputs,  aₗ = φₗ(Wₗ aₗ₋₁ + bₗ),  h = a_L
//!
//! Initial weights: uniform, Glorot & Bengio, *Understanding the difficulty of training deep feedforward neural
//! networks* (AISTATS 2010), equation 16; sparse, Martens, *Deep learning via Hessian-free optimization* (ICML 2010),
//! section 5 ("a few" large weights for every unit, all others zero).

use std::ops::Range;

use super::Activation;
use super::network::{Connection, FEW_ENOUGH, end_of};
use super::window::Window;
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
/// and a cross-entropy loss logistic or softmax regression, the outputs being the logits. With
/// [`convolutions`](Self::convolutional) before its layers it is a convolutional network.
#[derive(Clone, Debug)]
pub struct MultilayerPerceptron {
    pub(super) layers: Vec<Layer>,
    /// The pieces in which sums over samples are computed, in the order of the parameters.
    pub(super) pieces: Vec<Piece>,
}

/// A convolution of an image: a square window of pixels that moves over it, without a margin around the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// The side of the window, in pixels.
    pub side: usize,
    /// Pixels from one place of the window to the next, across and down. More than one makes the image smaller.
    pub stride: usize,
    /// The channels that come out.
    pub channels: usize,
    /// What is applied to them.
    pub activation: Activation,
}

/// A layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer {
    pub window: Window,
    pub activation: Activation,
    /// Its first unit among those of all layers.
    pub start: usize,
}

impl Layer {
    /// b.
    pub fn biases<'a, T>(&self, x: &'a [T]) -> &'a [T] {
        let weights = &self.window.weights;
        &x[weights.end()..][..weights.outputs]
    }

    /// Its units among those of all layers.
    pub fn units(&self) -> Range<usize> {
        self.start..self.start + self.window.outputs()
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
        check_component("widths", 0, widths[0] as f64, widths[0] > 0, "at least 1")?;
        MultilayerPerceptron { layers: vec![], pieces: vec![] }.followed_by(widths[0], 1, &widths[1..], activations)
    }

    /// A convolutional network: the convolutions one after the other, and then fully connected layers with these `widths`
    /// and activations, of which there may be none.
    ///
    /// A sample is an image of `[height, width, channels]`: its pixels row by row, all channels of a pixel next to each
    /// other; so is what comes out of a convolution. The weights of a convolution are `channels × (side · side · channels that
    /// come in)` numbers by rows, each laid out as the image is. It costs as much as a fully connected layer of its weights
    /// for every place of the window.
    ///
    /// ```
    /// use newton_krylov::models::{Activation, Convolution, MultilayerPerceptron};
    ///
    /// // 8 × 8 grey pixels, 6 × 6 places with 4 channels, 2 × 2 with 10, ten outputs.
    /// let first = Convolution { side: 3, stride: 1, channels: 4, activation: Activation::Tanh };
    /// let second = Convolution { side: 3, stride: 2, channels: 10, activation: Activation::Tanh };
    /// let network = MultilayerPerceptron::convolutional([8, 8, 1], &[first, second], &[10], &[Activation::Identity])?;
    /// assert_eq!(network.dim(), (9 + 1) * 4 + (9 * 4 + 1) * 10 + (2 * 2 * 10 + 1) * 10);
    /// # Ok::<(), newton_krylov::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there is no layer, a number is zero or too large, or a window is larger than its image.
    pub fn convolutional(
        image: [usize; 3],
        convolutions: &[Convolution],
        widths: &[usize],
        activations: &[Activation],
    ) -> Result<Self> {
        for (i, &length) in image.iter().enumerate() {
            check_component("image", i, length as f64, length > 0, "at least 1")?;
        }
        let [height, width, channels] = image;
        let pixels = end_of(0, &[(height, width)]).and_then(|pixels| end_of(0, &[(pixels, channels)]));
        check_range("image", height as f64 * width as f64 * channels as f64, pixels.is_some(), "small enough")?;
        let mut size = pixels.unwrap_or(0);
        check_range("convolutions", 0.0, !convolutions.is_empty() || !widths.is_empty(), "with a layer, or widths")?;
        let mut network = MultilayerPerceptron { layers: vec![], pieces: vec![] };
        let mut image = image;
        for (i, &Convolution { side, stride, channels, activation }) in convolutions.iter().enumerate() {
            let fits = (1..=image[0].min(image[1])).contains(&side);
            check_component(
                "side of convolutions",
                i,
                side as f64,
                fits,
                "at least 1 and no more than that of its image",
            )?;
            check_component("stride of convolutions", i, stride as f64, stride > 0, "at least 1")?;
            let inputs = side * side * image[2];
            let weights = Connection { first: network.parameters(), inputs, outputs: channels };
            let window = Window::square(weights, image, side, stride);
            let stored = channels > 0 && network.push(window, activation);
            check_component("channels of convolutions", i, channels as f64, stored, FEW_ENOUGH)?;
            (image, size) = (window.image(), window.outputs());
        }
        network.followed_by(size, 0, widths, activations)
    }

    /// With fully connected layers of these widths behind; the first of them is width number `from` of the caller's.
    fn followed_by(
        mut self,
        mut inputs: usize,
        from: usize,
        widths: &[usize],
        activations: &[Activation],
    ) -> Result<Self> {
        check_length("activations", activations, widths.len())?;
        for (i, (&outputs, &activation)) in widths.iter().zip(activations).enumerate() {
            check_component("widths", from + i, outputs as f64, outputs > 0, "at least 1")?;
            let window = Window::whole(Connection { first: self.parameters(), inputs, outputs });
            let stored = self.push(window, activation);
            let before = outputs <= inputs && from + i > 0;
            let (wider, width) = if before { (from + i - 1, inputs) } else { (from + i, outputs) };
            check_component("widths", wider, width as f64, stored, FEW_ENOUGH)?;
            inputs = outputs;
        }
        Ok(self)
    }

    /// Adds a layer, unless its parameters or its units' values are too many to be stored.
    fn push(&mut self, window: Window, activation: Activation) -> bool {
        let Connection { first, inputs, outputs } = window.weights;
        let (start, layer) = (self.units(), self.layers.len());
        let stored = end_of(first, &[(outputs, inputs), (outputs, 1)]).is_some()
            && end_of(start, &[(window.places(), outputs)]).is_some();
        if stored {
            self.layers.push(Layer { window, activation, start });
            let count = outputs.div_ceil(ROWS);
            let rows = |k: usize| outputs * k / count..outputs * (k + 1) / count;
            self.pieces.extend((0..count).map(|k| Piece::Weights(layer, rows(k))));
            self.pieces.push(Piece::Biases(layer));
        }
        stored
    }

    /// Parameters and units of the layers so far.
    fn parameters(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.window.weights.end() + layer.window.weights.outputs)
    }

    pub(super) fn units(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.units().end)
    }

    /// n, the number of parameters.
    pub fn dim(&self) -> usize {
        self.parameters()
    }

    /// The width of the first layer, the inputs of a sample.
    pub fn inputs(&self) -> usize {
        self.layers[0].window.inputs
    }

    /// The width of the last layer, the outputs of a sample.
    pub fn outputs(&self) -> usize {
        self.last().window.outputs()
    }

    pub(super) fn last(&self) -> &Layer {
        self.layers.last().expect("at least one layer")
    }

    /// Initial parameters: weights uniform in ±√(6/(inputs + outputs)) (Glorot & Bengio 2010), biases zero. Those of a
    /// convolution are what goes into a place of the window, and what comes out of all places that see a pixel.
    ///
    /// Weights are drawn in the order of the parameters by SplitMix64, each (2u − 1)·√(6/(inputs + outputs)) in `f64` with
    /// the upper 53 bits as u ∈ [0, 1), then rounded: other programs can start at the same point.
    pub fn initial<T: Scalar>(&self, seed: u64) -> Vec<T> {
        let mut random = SplitMix64::new(seed);
        let mut x = Vec::with_capacity(self.dim());
        for Layer { window, .. } in &self.layers {
            let layer = &window.weights;
            let bound = (6.0 / (layer.inputs + window.pixels() * layer.outputs) as f64).sqrt();
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
            layer.window.weights.fill_sparse(&mut random, connections, &mut x);
        }
        Ok(x)
    }
}
