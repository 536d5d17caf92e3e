//! Where the layers of a network are among its parameters.

/// A layer among the parameters of a model, z = Wa + b: from `start` on the weights, `outputs × inputs` numbers by rows,
/// and then the `outputs` biases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
