//! Where the weights of a layer are applied: to all of its inputs, or to a window that moves over an image.
//!
//!   z_t = W ã_t + b,   ∂L/∂a = Σ_t δ_tᵀW,   ∂L/∂W = Σ_t δ_t ã_tᵀ,   t = 1 … T
//!
//! with ã_t, the inputs in the window at its place t: a convolution. Images are stored row by row and all channels of a
//! pixel next to each other, so a row of the window is a run of units; a convolution is a sum of products of matrices,
//! one for each row of each place, and nothing is copied. A fully connected layer has T = 1 and one run.

use std::ops::Range;

use super::network::{Connection, Shape, sum};
use crate::base::Scalar;
use crate::base::native::{Matrix, MatrixMut};
use crate::base::parallel::{Chunked, for_each, join};

/// The weights of a layer and the places of their window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// W; the biases follow it among the parameters.
    pub weights: Connection,
    /// Units that come in: the whole image.
    pub inputs: usize,
    /// The runs of a window, and the units from one to the next.
    runs: usize,
    row: usize,
    /// Places down and across, and the units from one to the next.
    places: [usize; 2],
    steps: [usize; 2],
}

/// A run of a window: where it begins among the units, at which place, and which of the window's rows it is.
struct Run {
    first: usize,
    place: usize,
    row: usize,
}

impl Window {
    /// That of a fully connected layer.
    pub fn whole(weights: Connection) -> Self {
        Window { weights, inputs: weights.inputs, runs: 1, row: 0, places: [1, 1], steps: [0, 0] }
    }

    /// A square of `side` pixels that moves by `stride` pixels over an image of `[height, width, channels]`, in which it
    /// has a place.
    pub fn square(weights: Connection, [height, width, channels]: [usize; 3], side: usize, stride: usize) -> Self {
        let row = width * channels;
        Window {
            weights,
            inputs: height * row,
            runs: side,
            row,
            places: [height, width].map(|length| (length - side) / stride + 1),
            steps: [stride * row, stride * channels],
        }
    }

    /// The image that comes out.
    pub fn image(&self) -> [usize; 3] {
        [self.places[0], self.places[1], self.weights.outputs]
    }

    /// T.
    pub fn places(&self) -> usize {
        self.places[0] * self.places[1]
    }

    /// Units that come out.
    pub fn outputs(&self) -> usize {
        self.places() * self.weights.outputs
    }

    /// Pixels of a window, 1 for a fully connected layer: for each of them a pixel is seen from another place.
    pub fn pixels(&self) -> usize {
        self.runs * self.runs
    }

    /// Units of a run.
    fn width(&self) -> usize {
        self.weights.inputs / self.runs
    }

    fn runs(&self) -> impl Iterator<Item = Run> {
        let Window { runs, row: stride, places, steps, .. } = *self;
        (0..places[0] * places[1]).flat_map(move |place| {
            let start = place / places[1] * steps[0] + place % places[1] * steps[1];
            (0..runs).map(move |row| Run { first: start + row * stride, place, row })
        })
    }

    /// The values of a run's units among those that come in.
    fn read<'a, T>(&self, run: &Run, size: usize, a: &'a [T]) -> &'a [T] {
        &a[run.first * size..(run.first + self.width()) * size]
    }

    /// Where the units of these outputs are at a place.
    fn units(&self, place: usize, outputs: Range<usize>, size: usize) -> Range<usize> {
        let first = place * self.weights.outputs;
        (first + outputs.start) * size..(first + outputs.end) * size
    }

    /// z ← W ã for all places and samples, or z + that if `add`.
    pub fn times<T: Scalar>(&self, shape: Shape, x: &[T], a: &[T], add: bool, z: &mut [T]) {
        let Connection { first, inputs, outputs } = self.weights;
        let width = self.width();
        for run in self.runs() {
            let data = &x[first + run.row * width..self.weights.end()];
            let w = Matrix { data, rows: outputs, columns: width, stride: inputs, by_rows: true };
            let z = shape.matrix_mut(&mut z[self.units(run.place, 0..outputs, shape.size)]);
            T::multiply(z, add || run.row > 0, shape.matrix(self.read(&run, shape.size, a)), w.transpose());
        }
    }

    /// d ← Σ_t δ_tᵀW, or d + that if `add`, for all samples, with weights by columns.
    pub fn times_back<T: Scalar>(&self, shape: Shape, weights: &[T], delta: &[T], mut add: bool, d: &mut [T]) {
        let Connection { first, outputs, .. } = self.weights;
        let width = self.width();
        // Windows overlap, or leave units out.
        if !add && self.inputs != width {
            d.fill(T::zero());
            add = true;
        }
        for run in self.runs() {
            let data = &weights[first + run.row * width * outputs..][..width * outputs];
            let w = Matrix::by_columns(data, outputs, width, outputs);
            let d = shape.matrix_mut(&mut d[run.first * shape.size..(run.first + width) * shape.size]);
            T::multiply(d, add, shape.matrix(&delta[self.units(run.place, 0..outputs, shape.size)]), w);
        }
    }

    /// out ← Σ δ_t ã_tᵀ over places and samples for these outputs, by rows, or out + that if `add`.
    pub fn sum<T: Scalar>(&self, shape: Shape, outputs: Range<usize>, delta: &[T], a: &[T], add: bool, out: &mut [T]) {
        let (width, stride) = (self.width(), self.weights.inputs);
        for run in self.runs() {
            let delta = shape.matrix(&delta[self.units(run.place, outputs.clone(), shape.size)]);
            let data = &mut out[run.row * width..];
            let out = MatrixMut { data, rows: outputs.len(), columns: width, stride, by_rows: true };
            T::multiply(out, add || run.place > 0, delta.transpose(), shape.matrix(self.read(&run, shape.size, a)));
        }
    }

    /// out ← Σ δ_t, or out + that if `add`.
    pub fn sum_biases<T: Scalar>(&self, shape: Shape, delta: &[T], add: bool, out: &mut [T]) {
        for place in 0..self.places() {
            let delta = &delta[self.units(place, 0..self.weights.outputs, shape.size)];
            for (out, column) in out.iter_mut().zip(shape.columns(delta)) {
                let sum = sum(column);
                *out = if add || place > 0 { *out + sum } else { sum };
            }
        }
    }

    /// Adds Σ āāᵀ with ā = (ã_t, 1) to `inputs`, and Σ δ_tδ_tᵀ to `outputs`, over places and samples.
    pub fn add_moments<T: Scalar>(&self, shape: Shape, a: &[T], delta: &[T], inputs: &mut [T], outputs: &mut [T]) {
        let Connection { inputs: n, outputs: m, .. } = self.weights;
        let add_inputs = || {
            let (stride, width) = (n + 1, self.width());
            for run in self.runs() {
                let here = self.read(&run, shape.size, a);
                let first = run.row * width;
                for row in 0..run.row {
                    let above = Run { first: run.first - (run.row - row) * self.row, ..run };
                    let data = &mut inputs[first * stride + row * width..];
                    let out = MatrixMut { data, rows: width, columns: width, stride, by_rows: false };
                    let above = shape.matrix(self.read(&above, shape.size, a));
                    T::multiply(out, true, above.transpose(), shape.matrix(here));
                }
                add_gram(shape, here, width, stride, &mut inputs[first * stride + first..]);
                for (j, column) in shape.columns(here).enumerate() {
                    inputs[n * stride + first + j] += sum(column);
                }
            }
            inputs[n * stride + n] += T::from_f64((shape.len * self.places()) as f64);
            mirror(n + 1, stride, inputs);
        };
        let add_outputs = || {
            for place in 0..self.places() {
                add_gram(shape, &delta[self.units(place, 0..m, shape.size)], m, m, outputs);
            }
            mirror(m, m, outputs);
        };
        join(add_inputs, add_outputs);
    }
}

/// Columns of a matrix of moments that are computed together, as far as its diagonal reaches.
const COLUMNS: usize = 128;

/// Adds the part of VᵀV above the diagonal, for the n columns of V, by blocks of columns, in parallel.
fn add_gram<T: Scalar>(shape: Shape, v: &[T], n: usize, stride: usize, out: &mut [T]) {
    let len = (n - 1) * stride + n;
    for_each(Chunked(&mut out[..len], COLUMNS * stride), &|i, out| {
        let (first, last) = (i * COLUMNS, n.min((i + 1) * COLUMNS));
        let columns = shape.matrix(&v[first * shape.size..last * shape.size]);
        let above = shape.matrix(&v[..last * shape.size]);
        let target = MatrixMut { rows: last, columns: last - first, stride, by_rows: false, data: out };
        T::multiply(target, true, above.transpose(), columns);
    });
}

/// Completes a symmetric matrix of which the part above the diagonal is known.
fn mirror<T: Scalar>(n: usize, stride: usize, out: &mut [T]) {
    for j in 0..n {
        for i in j + 1..n {
            out[j * stride + i] = out[i * stride + j];
        }
    }
}
