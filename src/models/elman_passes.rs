//! The passes of an Elman network through a chunk of samples: back-propagation through time, and its tangents.
//!
//! The units are s₁, …, s_T and then the outputs, where these are not the states themselves.

use std::ops::Range;

use super::Activation;
use super::elman_network::{ElmanNetwork, Readout};
use super::network::{Bend, Network, Shape, Values, add_bias};
use super::window::Window;
use crate::base::Scalar;
use crate::operator::LayerShape;

const TANH: Activation = Activation::Tanh;

/// Rows of W that are summed over samples in one piece.
const ROWS: usize = 64;

/// A part of the parameters.
enum Piece {
    Input,
    Recurrent(Range<usize>),
    Biases,
    Output,
    OutputBiases,
}

impl ElmanNetwork {
    fn recurrent_pieces(&self) -> usize {
        self.hidden().div_ceil(ROWS)
    }

    fn piece(&self, piece: usize) -> Piece {
        let count = self.recurrent_pieces();
        match piece {
            0 => Piece::Input,
            i if i <= count => Piece::Recurrent(self.hidden() * (i - 1) / count..self.hidden() * i / count),
            i => match i - count {
                1 => Piece::Biases,
                2 => Piece::Output,
                _ => Piece::OutputBiases,
            },
        }
    }

    fn hidden(&self) -> usize {
        self.recurrent.inputs
    }

    fn biases<'a, T>(&self, x: &'a [T]) -> &'a [T] {
        &x[self.recurrent.weights.end()..self.output.weights.first]
    }

    /// Where sₜ is, t counted from 0.
    fn state(&self, t: usize, size: usize) -> Range<usize> {
        t * self.hidden() * size..(t + 1) * self.hidden() * size
    }

    /// Where xₜ is.
    fn input_at(&self, t: usize, size: usize) -> Range<usize> {
        t * self.input.inputs * size..(t + 1) * self.input.inputs * size
    }

    /// The steps with outputs y.
    fn read_steps(&self) -> Range<usize> {
        match self.readout {
            Readout::Last => self.steps - 1..self.steps,
            Readout::EveryStep => 0..self.steps,
            Readout::HiddenStates => 0..0,
        }
    }

    /// Where yₜ is among the units.
    fn output_at(&self, t: usize, size: usize) -> Range<usize> {
        let (k, first) = (self.output.outputs(), self.steps * self.hidden());
        let start = first + (t - self.read_steps().start) * k;
        start * size..(start + k) * size
    }

    /// The layers with biases, W and V, and the steps at which they are used: W at the first with s₀ = 0, which is left
    /// out, V perhaps never.
    fn shared(&self) -> impl Iterator<Item = (Window, Range<usize>)> {
        [(self.recurrent, 1..self.steps), (self.output, self.read_steps())].into_iter().filter(|(_, t)| !t.is_empty())
    }

    /// z ← z + b for all units of a layer.
    fn add_biases<T: Scalar>(shape: Shape, biases: &[T], z: &mut [T]) {
        shape.columns_mut(z).zip(biases).for_each(|(z, &b)| add_bias(b, z));
    }
}

impl<T: Scalar> Network<T> for ElmanNetwork {
    fn dim(&self) -> usize {
        self.dim()
    }
    fn inputs(&self) -> usize {
        self.steps * self.input.inputs
    }
    fn outputs(&self) -> usize {
        match self.readout {
            Readout::HiddenStates => self.steps * self.hidden(),
            _ => self.read_steps().len() * self.output.outputs(),
        }
    }
    fn units(&self) -> usize {
        self.steps * self.hidden() + self.read_steps().len() * self.output.outputs()
    }
    fn first_output(&self) -> usize {
        if self.readout == Readout::HiddenStates { 0 } else { self.steps * self.hidden() }
    }
    fn room(&self) -> usize {
        <Self as Network<T>>::outputs(self) + self.hidden()
    }

    fn by_columns(&self, x: &[T], out: &mut [T]) {
        self.recurrent.weights.by_columns(x, out);
        self.output.weights.by_columns(x, out);
    }

    fn forward(&self, x: &[T], shape: Shape, chunk: &mut [T]) {
        let size = shape.size;
        let (inputs, units) = chunk.split_at_mut(self.steps * self.input.inputs * size);
        for t in 0..self.steps {
            let (before, z) = units.split_at_mut(self.state(t, size).start);
            let z = &mut z[..self.hidden() * size];
            self.input.times(shape, x, &inputs[self.input_at(t, size)], false, z);
            if t > 0 {
                self.recurrent.times(shape, x, &before[self.state(t - 1, size)], true, z);
            }
            Self::add_biases(shape, self.biases(x), z);
            shape.columns_mut(z).for_each(|z| TANH.apply(z));
        }
        let (states, outputs) = units.split_at_mut(self.state(self.steps, size).start);
        for (y, t) in outputs.chunks_exact_mut(self.output.outputs() * size).zip(self.read_steps()) {
            self.output.times(shape, x, &states[self.state(t, size)], false, y);
            Self::add_biases(shape, &x[self.output.weights.end()..], y);
        }
    }

    fn tangents(&self, x: &[T], v: &[T], shape: Shape, values: Values<'_, T>, out: &mut [T], mut bend: Bend<'_, T>) {
        let size = shape.size;
        for t in 0..self.steps {
            let here = self.state(t, size);
            let (before, z) = out.split_at_mut(here.start);
            let z = &mut z[..here.len()];
            self.input.times(shape, v, &values.inputs[self.input_at(t, size)], false, z);
            if t > 0 {
                let last = self.state(t - 1, size);
                self.recurrent.times(shape, v, &values.units[last.clone()], true, z);
                self.recurrent.times(shape, x, &before[last], true, z);
            }
            Self::add_biases(shape, self.biases(v), z);
            shape.activate_tangents(TANH, here, values, z, &mut bend);
        }
        let (states, outputs) = out.split_at_mut(self.state(self.steps, size).start);
        for (y, t) in outputs.chunks_exact_mut(self.output.outputs() * size).zip(self.read_steps()) {
            let state = self.state(t, size);
            self.output.times(shape, v, &values.units[state.clone()], false, y);
            self.output.times(shape, x, &states[state], true, y);
            Self::add_biases(shape, &v[self.output.weights.end()..], y);
        }
    }

    fn backward(&self, weights: &[T], shape: Shape, values: Values<'_, T>, deltas: &mut [T], hidden: bool) {
        let size = shape.size;
        let (states, outputs) = deltas.split_at_mut(self.state(self.steps, size).start);
        for t in (0..self.steps).rev() {
            let (delta, after) = states[self.state(t, size).start..].split_at_mut(self.hidden() * size);
            // ∂L/∂sₜ: what is there already, where L depends on the states themselves, from yₜ, and from sₜ₊₁.
            let mut add = hidden || self.readout == Readout::HiddenStates;
            if self.read_steps().contains(&t) {
                let first = self.state(self.steps, size).start;
                let y = self.output_at(t, size);
                self.output.times_back(shape, weights, &outputs[y.start - first..y.end - first], add, delta);
                add = true;
            }
            if t + 1 < self.steps {
                self.recurrent.times_back(shape, weights, &after[..self.hidden() * size], add, delta);
            }
            shape.times_derivative(TANH, &values.units[self.state(t, size)], delta);
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
        let (u, here) = room.split_at_mut(<Self as Network<T>>::outputs(self) * size);
        let first = self.state(self.steps, size).start;
        let (states, outputs) = delta_tangents.split_at_mut(first);
        if self.readout != Readout::HiddenStates {
            outputs.copy_from_slice(u);
        }
        for t in (0..self.steps).rev() {
            let state = self.state(t, size);
            let (delta_tangent, after) = states[state.start..].split_at_mut(state.len());
            let here = &mut here[..state.len()];
            let mut add = self.readout == Readout::HiddenStates;
            if add {
                here.copy_from_slice(&u[state.clone()]);
            }
            if self.read_steps().contains(&t) {
                let y = self.output_at(t, size);
                self.output.times_back(shape, weights, &outputs[y.start - first..y.end - first], add, here);
                self.output.times_back(shape, direction, &deltas[y], true, here);
                add = true;
            }
            if t + 1 < self.steps {
                self.recurrent.times_back(shape, weights, &after[..state.len()], add, here);
                self.recurrent.times_back(shape, direction, &deltas[self.state(t + 1, size)], true, here);
            }
            shape.add_derivative(TANH, &values.units[state], here, delta_tangent);
        }
    }

    fn pieces(&self) -> usize {
        self.recurrent_pieces() + 4
    }

    fn piece_len(&self, piece: usize) -> usize {
        match self.piece(piece) {
            Piece::Input => self.input.weights.end(),
            Piece::Recurrent(rows) => rows.len() * self.hidden(),
            Piece::Biases => self.hidden(),
            Piece::Output => self.output.weights.range().len(),
            Piece::OutputBiases => self.output.outputs(),
        }
    }

    fn sum_over_samples(
        &self,
        piece: usize,
        shape: Shape,
        (deltas, values): (&[T], Values<'_, T>),
        further: Option<(&[T], &[T])>,
        mut add: bool,
        out: &mut [T],
    ) {
        let size = shape.size;
        // Σ δ sᵀ for these rows, and its tangent.
        let with_state =
            |layer: &Window, rows: Range<usize>, delta: Range<usize>, state: Range<usize>, add, out: &mut _| {
                layer.sum(shape, rows.clone(), &deltas[delta.clone()], &values.units[state.clone()], add, out);
                if let Some((deltas, tangents)) = further {
                    layer.sum(shape, rows, &deltas[delta], &tangents[state], true, out);
                }
            };
        let piece = self.piece(piece);
        let steps = match piece {
            Piece::Input | Piece::Biases => 0..self.steps,
            Piece::Recurrent(_) => 1..self.steps,
            Piece::Output | Piece::OutputBiases => self.read_steps(),
        };
        // Nothing depends on V and c where the states are the outputs, nor on W in a single step.
        if steps.is_empty() && !add {
            out.fill(T::zero());
        }
        for t in steps {
            match &piece {
                Piece::Input => {
                    let (delta, inputs) = (&deltas[self.state(t, size)], &values.inputs[self.input_at(t, size)]);
                    self.input.sum(shape, 0..self.hidden(), delta, inputs, add, out);
                }
                Piece::Recurrent(rows) => {
                    let (before, now) = (self.state(t - 1, size), self.state(t, size));
                    with_state(&self.recurrent, rows.clone(), now, before, add, out);
                }
                Piece::Biases => self.recurrent.sum_biases(shape, &deltas[self.state(t, size)], add, out),
                Piece::Output => {
                    let rows = 0..self.output.outputs();
                    with_state(&self.output, rows, self.output_at(t, size), self.state(t, size), add, out);
                }
                Piece::OutputBiases => self.output.sum_biases(shape, &deltas[self.output_at(t, size)], add, out),
            }
            add = true;
        }
    }

    fn layers(&self) -> Vec<LayerShape> {
        self.shared().map(|(layer, steps)| layer.weights.layer(steps.len())).collect()
    }

    fn add_moments(
        &self,
        layer: usize,
        shape: Shape,
        (deltas, values): (&[T], Values<'_, T>),
        inputs: &mut [T],
        outputs: &mut [T],
    ) {
        let size = shape.size;
        let Some((layer, steps)) = self.shared().nth(layer) else { return };
        for t in steps {
            let (from, to) = if layer.weights.first == self.output.weights.first {
                (self.state(t, size), self.output_at(t, size))
            } else {
                (self.state(t - 1, size), self.state(t, size))
            };
            layer.add_moments(shape, &values.units[from], &deltas[to], inputs, outputs);
        }
    }
}
