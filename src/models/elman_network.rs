//! A recurrent network with one hidden layer: the description, its parameters and where they start.
//!
//! sₜ = tanh(U xₜ + W sₜ₋₁ + b),  s₀ = 0,  yₜ = V sₜ + c,  t = 1 … T
//!
//! Elman, *Finding structure in time*, Cognitive Science 14 (1990). The tasks that it is known for here, with initial
//! weights, batches and damping, are those of Martens & Sutskever, *Learning recurrent neural networks with Hessian-free
//! optimization* (ICML 2011).

use super::network::{Connection, FEW_ENOUGH, end_of};
use super::window::Window;
use crate::base::random::SplitMix64;
use crate::base::{Result, Scalar, check_positive_dimension, check_range};

/// Which outputs a recurrent network has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Readout {
    /// y at the last step.
    Last,
    /// y₁ … y_T, one after the other.
    EveryStep,
    /// The hidden states s₁ … s_T themselves. V and c are parameters all the same, but nothing depends on them.
    ///
    /// With J its Jacobian, JᵀJ measures how far a step moves the hidden states, which a loss of the outputs hardly sees
    /// where they have little effect yet (Martens & Sutskever 2011, section 3.2). To damp by it while the outputs are others,
    /// see [`with_structural_damping`](crate::operators::ModelObjective::with_structural_damping).
    HiddenStates,
}

/// An Elman network for sequences of a fixed length.
///
/// All parameters are in one slice: U (`hidden × inputs` numbers by rows), W (`hidden × hidden`), b (`hidden`),
/// V (`outputs × hidden`), c (`outputs`).
///
/// ```
/// use newton_krylov::models::{ElmanNetwork, Readout};
/// use newton_krylov::{Linearization, Model};
///
/// // Two numbers at each of 50 steps, one output at the end.
/// let network = ElmanNetwork::new(2, 30, 1, 50, Readout::Last)?;
/// let parameters: Vec<f64> = network.initial(1, 15, 1.0)?;
/// let sequences = vec![0.5; 3 * 50 * 2];
/// let model = network.on(&sequences)?;
/// assert_eq!(model.linearize(&parameters).outputs().len(), 3);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ElmanNetwork {
    pub(super) steps: usize,
    pub(super) readout: Readout,
    /// U, W and V.
    pub(super) input: Window,
    pub(super) recurrent: Window,
    pub(super) output: Window,
}

impl ElmanNetwork {
    /// The network with so many inputs at a step, hidden units, outputs at a step, and steps.
    ///
    /// # Errors
    /// If one of these numbers is zero, or too large for the parameters or the values of a sample to be stored.
    pub fn new(inputs: usize, hidden: usize, outputs: usize, steps: usize, readout: Readout) -> Result<Self> {
        check_positive_dimension("inputs", inputs)?;
        check_positive_dimension("hidden", hidden)?;
        check_positive_dimension("outputs", outputs)?;
        check_positive_dimension("steps", steps)?;
        let widths = [("inputs", inputs), ("hidden", hidden), ("outputs", outputs)];
        let (widest, width) = widths.into_iter().max_by_key(|&(_, width)| width).expect("three");
        let parameters = end_of(1, &[(hidden, inputs), (hidden, hidden), (outputs, hidden), (hidden, 1), (outputs, 1)]);
        check_range(widest, width as f64, parameters.is_some(), FEW_ENOUGH)?;
        let values = end_of(0, &[(steps, inputs + hidden + outputs)]);
        check_range("steps", steps as f64, values.is_some(), FEW_ENOUGH)?;
        let input = Connection { first: 0, inputs, outputs: hidden };
        let recurrent = Connection { first: input.end(), inputs: hidden, outputs: hidden };
        let output = Connection { first: recurrent.end() + hidden, inputs: hidden, outputs };
        let [input, recurrent, output] = [input, recurrent, output].map(Window::whole);
        Ok(ElmanNetwork { steps, readout, input, recurrent, output })
    }

    /// The same network with other outputs.
    pub fn with_readout(self, readout: Readout) -> Self {
        ElmanNetwork { readout, ..self }
    }

    /// n, the number of parameters.
    pub fn dim(&self) -> usize {
        self.output.weights.end() + self.output.outputs()
    }

    /// Initial parameters: every hidden unit has `connections` weights from hidden units and as many from the inputs (all,
    /// where there are no more), every output as many from hidden units; they are normal with mean 0 and variance 1, all
    /// other weights and the biases zero. W is then scaled so that its spectral radius is about `radius`, and U by the same
    /// factor, so that what comes in and what is remembered keep their proportion.
    ///
    /// Martens & Sutskever (2011, section 5) take 15 connections; a spectral radius slightly above 1 is Sutskever,
    /// Martens, Dahl & Hinton's choice (*On the importance of initialization and momentum in deep learning*, ICML 2013,
    /// section 4). They too find small input weights crucial, and choose them for each problem: large ones saturate the units,
    /// and the next inputs overwrite the last.
    ///
    /// # Errors
    /// If `connections` is zero, or `radius` is not positive and finite.
    pub fn initial<T: Scalar>(&self, seed: u64, connections: usize, radius: f64) -> Result<Vec<T>> {
        check_range("connections", connections as f64, connections > 0, "positive")?;
        check_range("radius", radius, radius > 0.0 && T::from_f64(radius).is_finite(), "positive and finite")?;
        let mut random = SplitMix64::new(seed);
        let mut x = vec![0.0; self.dim()];
        for layer in [self.input, self.recurrent, self.output] {
            layer.weights.fill_sparse(&mut random, connections, &mut x);
        }
        let w = &mut x[self.recurrent.weights.range()];
        let found = spectral_radius(w, self.recurrent.inputs, &mut random);
        if found > 0.0 {
            w.iter_mut().for_each(|w| *w *= radius / found);
            let u = &mut x[self.input.weights.range()];
            u.iter_mut().for_each(|u| *u *= radius / found);
        }
        Ok(x.into_iter().map(T::from_f64).collect())
    }
}

/// About the largest modulus of an eigenvalue of the n × n matrix: the mean growth over many steps of the power method.
fn spectral_radius(w: &[f64], n: usize, random: &mut SplitMix64) -> f64 {
    const STEPS: usize = 400;
    let mut v: Vec<f64> = (0..n).map(|_| random.normal()).collect();
    let (mut next, mut growth) = (vec![0.0; n], 0.0);
    for step in 0..STEPS {
        for (next, row) in next.iter_mut().zip(w.chunks_exact(n)) {
            *next = row.iter().zip(&v).map(|(w, v)| w * v).sum();
        }
        let norm = next.iter().map(|v| v * v).sum::<f64>().sqrt();
        if norm == 0.0 || !norm.is_finite() {
            return 0.0;
        }
        v.iter_mut().zip(&next).for_each(|(v, next)| *v = next / norm);
        // The first half finds the dominant pair, the second averages over its rotation.
        if step >= STEPS / 2 {
            growth += norm.ln();
        }
    }
    (growth / (STEPS / 2) as f64).exp()
}
