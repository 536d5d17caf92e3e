//! The passes of a multilayer perceptron, or of a convolutional network, through a chunk of samples.

use std::ops::Range;

use super::multilayer_perceptron::{Layer, MultilayerPerceptron, Piece};
use super::network::{Bend, Network, Shape, Values, add_bias};
use crate::base::Scalar;
use crate::operator::LayerShape;

/// Where the values of a layer's units are.
fn of(layer: &Layer, size: usize) -> Range<usize> {
    layer.start * size..layer.units().end * size
}

/// What goes into a layer, among all units' values or tangents; nothing for the first layer.
fn before<'a, T>(layer: &Layer, units: &'a [T], size: usize) -> &'a [T] {
    &units[layer.start.saturating_sub(layer.window.inputs) * size..layer.start * size]
}

/// a₋ of a layer.
fn inputs_of<'a, T>(layer: &Layer, inputs: &'a [T], units: &'a [T], size: usize) -> &'a [T] {
    if layer.start == 0 { inputs } else { before(layer, units, size) }
}

impl<T: Scalar> Network<T> for MultilayerPerceptron {
    fn dim(&self) -> usize {
        self.dim()
    }
    fn inputs(&self) -> usize {
        self.inputs()
    }
    fn outputs(&self) -> usize {
        self.outputs()
    }
    fn units(&self) -> usize {
        self.units()
    }
    fn first_output(&self) -> usize {
        self.last().start
    }
    fn room(&self) -> usize {
        self.layers.iter().map(|layer| layer.window.outputs()).max().unwrap_or(0)
    }

    fn by_columns(&self, x: &[T], out: &mut [T]) {
        self.layers[1..].iter().for_each(|layer| layer.window.weights.by_columns(x, out));
    }

    fn forward(&self, x: &[T], shape: Shape, chunk: &mut [T]) {
        let (inputs, units) = chunk.split_at_mut(self.inputs() * shape.size);
        for layer in &self.layers {
            let (before, z) = units.split_at_mut(layer.start * shape.size);
            let z = &mut z[..layer.window.outputs() * shape.size];
            layer.window.times(shape, x, inputs_of(layer, inputs, before, shape.size), false, z);
            for (z, &b) in shape.columns_mut(z).zip(layer.biases(x).iter().cycle()) {
                add_bias(b, z);
                layer.activation.apply(z);
            }
        }
    }

    fn tangents(&self, x: &[T], v: &[T], shape: Shape, values: Values<'_, T>, out: &mut [T], mut bend: Bend<'_, T>) {
        let size = shape.size;
        for layer in &self.layers {
            let (before, z) = out.split_at_mut(layer.start * size);
            let z = &mut z[..layer.window.outputs() * size];
            layer.window.times(shape, v, inputs_of(layer, values.inputs, values.units, size), false, z);
            if layer.start > 0 {
                layer.window.times(shape, x, self::before(layer, before, size), true, z);
            }
            shape.columns_mut(z).zip(layer.biases(v).iter().cycle()).for_each(|(z, &b)| add_bias(b, z));
            shape.activate_tangents(layer.activation, of(layer, size), values, z, &mut bend);
        }
    }

    fn backward(&self, weights: &[T], shape: Shape, values: Values<'_, T>, deltas: &mut [T], hidden: bool) {
        let size = shape.size;
        for layer in self.layers.iter().rev() {
            let (before, delta) = deltas.split_at_mut(layer.start * size);
            let delta = &mut delta[..layer.window.outputs() * size];
            shape.times_derivative(layer.activation, &values.units[of(layer, size)], delta);
            if layer.start > 0 {
                let before = &mut before[(layer.start - layer.window.inputs) * size..];
                layer.window.times_back(shape, weights, delta, hidden, before);
            }
        }
    }

    fn backward_tangents(
        &self,
        (weights, direction): (&[T], &[T]),
        shape: Shape,
        values: Values<'_, T>,
        deltas: &[T],
        delta_tangents: &mut [T],
        room: &mut [T],
    ) {
        let size = shape.size;
        for layer in self.layers.iter().rev() {
            let delta_tangent = &mut delta_tangents[of(layer, size)];
            let here = &mut room[..layer.window.outputs() * size];
            shape.add_derivative(layer.activation, &values.units[of(layer, size)], here, delta_tangent);
            if layer.start > 0 {
                let before = &mut room[..layer.window.inputs * size];
                layer.window.times_back(shape, weights, delta_tangent, false, before);
                layer.window.times_back(shape, direction, &deltas[of(layer, size)], true, before);
            }
        }
    }

    fn pieces(&self) -> usize {
        self.pieces.len()
    }

    fn piece_len(&self, piece: usize) -> usize {
        match &self.pieces[piece] {
            Piece::Weights(layer, rows) => rows.len() * self.layers[*layer].window.weights.inputs,
            Piece::Biases(layer) => self.layers[*layer].window.weights.outputs,
        }
    }

    fn sum_over_samples(
        &self,
        piece: usize,
        shape: Shape,
        (deltas, values): (&[T], Values<'_, T>),
        further: Option<(&[T], &[T])>,
        add: bool,
        out: &mut [T],
    ) {
        let size = shape.size;
        match &self.pieces[piece] {
            Piece::Weights(layer, rows) => {
                let layer = &self.layers[*layer];
                let (window, units) = (&layer.window, of(layer, size));
                let a = inputs_of(layer, values.inputs, values.units, size);
                window.sum(shape, rows.clone(), &deltas[units.clone()], a, add, out);
                if let Some((deltas, tangents)) = further
                    && layer.start > 0
                {
                    window.sum(shape, rows.clone(), &deltas[units], before(layer, tangents, size), true, out);
                }
            }
            Piece::Biases(layer) => {
                let layer = &self.layers[*layer];
                layer.window.sum_biases(shape, &deltas[of(layer, size)], add, out);
            }
        }
    }

    fn layers(&self) -> Vec<LayerShape> {
        self.layers.iter().map(|layer| layer.window.weights.layer(layer.window.places())).collect()
    }

    fn add_moments(
        &self,
        layer: usize,
        shape: Shape,
        (deltas, values): (&[T], Values<'_, T>),
        inputs: &mut [T],
        outputs: &mut [T],
    ) {
        let (layer, size) = (&self.layers[layer], shape.size);
        let a = inputs_of(layer, values.inputs, values.units, size);
        layer.window.add_moments(shape, a, &deltas[of(layer, size)], inputs, outputs);
    }
}
