//! What networks are made of: products of matrices, linear layers, normalisation, each in three passes: values, tangents
//! and derivatives.
//!
//! The *tangent* of a part takes the direction v of the parameters and the tangent of what comes in to that of what goes
//! out, which gives Jv; its *derivative* takes δ, the gradient of some function of the outputs by what goes out, to that by
//! what comes in, which gives Jᵀu. The Jacobians of what is no layer (normalisation, softmax, φ) are symmetric here: one
//! function does both. Matrices are slices, by rows: one for each place of each sequence. Products are faer's, on one thread.

use faer::linalg::matmul::matmul;
use faer::traits::RealField;
use faer::{Accum, MatMut, MatRef, Par};
use newton_krylov::Scalar;
use newton_krylov::operators::LayerShape;

/// ε of the normalisation.
const EPSILON: f64 = 1e-5;

/// `f32` or `f64`, for this library and for faer.
pub trait Real: Scalar + RealField {}
impl<T: Scalar + RealField> Real for T {}

/// The matrix whose rows begin `stride` numbers apart.
pub fn view<T>(data: &[T], rows: usize, columns: usize, stride: usize) -> MatRef<'_, T> {
    MatRef::from_row_major_slice_with_stride(data, rows, columns, stride)
}

/// The same, to be written.
pub fn view_mut<T>(data: &mut [T], rows: usize, columns: usize, stride: usize) -> MatMut<'_, T> {
    MatMut::from_column_major_slice_with_stride_mut(data, columns, rows, stride).transpose_mut()
}

/// C ← sAB, or C ← C + sAB if `add`.
pub fn multiply<T: Real>(c: MatMut<'_, T>, add: bool, s: T, a: MatRef<'_, T>, b: MatRef<'_, T>) {
    matmul(c, if add { Accum::Add } else { Accum::Replace }, a, b, s, Par::Seq);
    clean_registers();
}

/// faer's kernels leave the upper halves of the vector registers dirty on machines with AVX-512, and all other code crawls
/// until somebody zeroes them, which a product with one column does on its way out, in 25 ns.
fn clean_registers() {
    let (one, mut y) = ([1.0_f64; 8], [0.0_f64; 8]);
    let column = MatRef::from_column_major_slice(&one, 8, 1);
    let y_column = MatMut::from_column_major_slice_mut(&mut y, 8, 1);
    matmul(y_column, Accum::Replace, column, MatRef::from_column_major_slice(&one[..1], 1, 1), 1.0, Par::Seq);
    std::hint::black_box(&mut y);
}

/// target ← target + source.
pub fn add_to<T: Scalar>(target: &mut [T], source: &[T]) {
    target.iter_mut().zip(source).for_each(|(target, &source)| *target += source);
}

/// A layer z = Wa + b among the parameters: from `start` on W by rows, then b.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Linear {
    pub start: usize,
    pub inputs: usize,
    pub outputs: usize,
}

impl Linear {
    /// Where b begins, and where it ends.
    fn biases(&self) -> usize {
        self.start + self.inputs * self.outputs
    }
    pub fn end(&self) -> usize {
        self.biases() + self.outputs
    }

    /// As `KroneckerPreconditioner` wants to know it.
    pub fn shape(&self, places: usize) -> LayerShape {
        LayerShape { start: self.start, inputs: self.inputs, outputs: self.outputs, places }
    }

    /// z ← Wa + b for all rows, or z + that if `add`.
    pub fn apply<T: Real>(&self, x: &[T], a: &[T], add: bool, z: &mut [T]) {
        let b = &x[self.biases()..self.end()];
        for z in z.chunks_exact_mut(self.outputs) {
            if add { add_to(z, b) } else { z.copy_from_slice(b) }
        }
        self.add_product(x, a, z);
    }

    /// z ← z + Wa.
    pub fn add_product<T: Real>(&self, x: &[T], a: &[T], z: &mut [T]) {
        let Linear { start, inputs, outputs } = *self;
        let rows = a.len() / inputs;
        let w = view(&x[start..], outputs, inputs, inputs);
        let z = view_mut(z, rows, outputs, outputs);
        multiply(z, true, T::one(), view(a, rows, inputs, inputs), w.transpose());
    }

    /// The tangent: z ← V_W a + v_b + Wȧ in the direction v = (V_W, v_b), or z + that if `add`.
    pub fn tangent<T: Real>(&self, [x, v]: [&[T]; 2], [a, a_dot]: [&[T]; 2], add: bool, z: &mut [T]) {
        self.apply(v, a, add, z);
        self.add_product(x, a_dot, z);
    }

    /// Wᵀδ for all rows.
    pub fn derivative<T: Real>(&self, x: &[T], delta: &[T]) -> Vec<T> {
        let Linear { start, inputs, outputs } = *self;
        let rows = delta.len() / outputs;
        let mut out = vec![T::zero(); rows * inputs];
        let w = view(&x[start..], outputs, inputs, inputs);
        multiply(view_mut(&mut out, rows, inputs, inputs), false, T::one(), view(delta, rows, outputs, outputs), w);
        out
    }
}

/// What is gathered on the way back, from each layer's a and δ.
pub enum Gathered<'g, T> {
    /// The gradient by all parameters, to which is added Σ δaᵀ and Σ δ.
    Gradient(&'g mut [T]),
    /// The moments of all layers, in their order, to which is added Σ āāᵀ with ā = (a, 1), and Σ δδᵀ: the factors that
    /// `KroneckerPreconditioner` is made of.
    Moments(&'g mut [Vec<T>], &'g mut [Vec<T>]),
}

impl<T: Real> Gathered<'_, T> {
    /// For the layer with this number.
    pub fn add(&mut self, number: usize, layer: Linear, a: &[T], delta: &[T]) {
        let Linear { start, inputs, outputs } = layer;
        let rows = a.len() / inputs;
        let (a_rows, delta_rows) = (view(a, rows, inputs, inputs), view(delta, rows, outputs, outputs));
        match self {
            Gathered::Gradient(out) => {
                let w = view_mut(&mut out[start..], outputs, inputs, inputs);
                multiply(w, true, T::one(), delta_rows.transpose(), a_rows);
                let b = &mut out[layer.biases()..layer.end()];
                delta.chunks_exact(outputs).for_each(|delta| add_to(b, delta));
            }
            Gathered::Moments(of_inputs, of_outputs) => {
                let (moments, wide) = (&mut of_inputs[number][..], inputs + 1);
                multiply(view_mut(moments, inputs, inputs, wide), true, T::one(), a_rows.transpose(), a_rows);
                let last = inputs * wide;
                a.chunks_exact(inputs).for_each(|a| add_to(&mut moments[last..last + inputs], a));
                moments[last + inputs] += T::from_f64(rows as f64);
                (0..inputs).for_each(|i| moments[i * wide + inputs] = moments[last + i]);
                let moments = view_mut(&mut of_outputs[number], outputs, outputs, outputs);
                multiply(moments, true, T::one(), delta_rows.transpose(), delta_rows);
            }
        }
    }
}

/// r̂ for all rows, and 1/√(var + ε) of each.
#[derive(Default)]
pub struct Normalised<T> {
    pub rows: Vec<T>,
    scale: Vec<T>,
}

impl<T: Real> Normalised<T> {
    pub fn set(&mut self, r: &[T], width: usize) {
        self.rows.clear();
        self.rows.extend_from_slice(r);
        self.scale.clear();
        let count = T::from_f64(width as f64);
        for row in self.rows.chunks_exact_mut(width) {
            let mean = row.iter().copied().fold(T::zero(), |sum, r| sum + r) / count;
            row.iter_mut().for_each(|r| *r -= mean);
            let variance = row.iter().fold(T::zero(), |sum, &r| sum + r * r) / count;
            let scale = (variance + T::from_f64(EPSILON)).sqrt().recip();
            row.iter_mut().for_each(|r| *r *= scale);
            self.scale.push(scale);
        }
    }

    /// d ← (d − mean d − r̂ mean(r̂d))/√(var + ε): the tangent, and the derivative.
    pub fn times_jacobian(&self, d: &mut [T]) {
        let width = self.rows.len() / self.scale.len();
        let count = T::from_f64(width as f64);
        for ((d, r), &scale) in d.chunks_exact_mut(width).zip(self.rows.chunks_exact(width)).zip(&self.scale) {
            let mean = d.iter().fold(T::zero(), |sum, &d| sum + d) / count;
            let along = d.iter().zip(r).fold(T::zero(), |sum, (&d, &r)| sum + d * r) / count;
            d.iter_mut().zip(r).for_each(|(d, &r)| *d = (*d - mean - r * along) * scale);
        }
    }
}
