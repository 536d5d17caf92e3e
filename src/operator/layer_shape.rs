//! Where the layers of a network are among its parameters.

use crate::base::{Result, check_range};

/// A layer among the parameters of a model, z = Wa + b: from `start` on the weights, `outputs × inputs` numbers by rows,
/// and then the `outputs` biases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LayerShape {
    /// Where the weights begin.
    pub start: usize,
    /// The width of what comes in.
    pub inputs: usize,
    /// The width of what goes out.
    pub outputs: usize,
    /// How often a sample uses them: 1 if it is fully connected, the places of a convolution, the steps of a sequence.
    pub places: usize,
}

impl LayerShape {
    /// The number of its weights and biases.
    pub(crate) fn len(&self) -> usize {
        self.inputs.saturating_add(1).saturating_mul(self.outputs)
    }

    /// Refuses layers that are not one behind the other among `dim` parameters.
    pub(crate) fn check(layers: &[LayerShape], dim: usize) -> Result<()> {
        let mut end = 0;
        for layer in layers {
            let room = layer.start >= end && layer.start.saturating_add(layer.len()) <= dim && layer.places > 0;
            let requirement = "behind the last layer, with room for it and at least one place";
            check_range("where a layer of the model begins", layer.start as f64, room, requirement)?;
            end = layer.start + layer.len();
        }
        Ok(())
    }
}
