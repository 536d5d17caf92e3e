//! SOAP: Adam in the eigenbases of Shampoo's factors.
//!
//! For the weights W of a layer, an m × n matrix with the gradient G,
//!
//!   G′ = Q_LᵀGQ_R,  M ← β₁M + (1 − β₁)G′,  V ← β₂V + (1 − β₂)G′²
//!   W ← W − αλW − α Q_L (M̂/(√V̂ + ε)) Q_Rᵀ
//!   L ← β₂L + (1 − β₂)GGᵀ,  R ← β₂R + (1 − β₂)GᵀG,  L ≈ Q_LΛ_LQ_Lᵀ,  R ≈ Q_RΛ_RQ_Rᵀ:
//!
//! Adam in coordinates in which the mean of ggᵀ is nearly diagonal, as far as it is the Kronecker product of L and R. Biases, and
//! all else that is no weight of a layer, keep their own coordinates.
//!
//! Vyas, Morwani, Zhao, Kwun, Shapira, Brandfonbrener, Janson & Kakade, "SOAP: Improving and stabilizing Shampoo using Adam"
//! (ICLR 2025, arXiv 2409.11321), algorithms 3 and 4: Q comes from the first gradient, and from then on by one step of orthogonal
//! iteration, Q ← QR(LQ), now and then. Where we differ: the first step is Adam's instead of none (a gradient is
//! diagonal in its own bases, and what is beside the diagonal is rounding, whose signs would be the step); entries of G′ and M
//! that are rounding are 0; and M is kept in the bases and turned when these are, which is the same. V is not turned but
//! reordered, there as here; we raise it to what Cauchy's inequality says that it was at least, M²/K, K = (1 − β₁)²/((1 − β₂)(1 −
//! β₁²/β₂)): else a step could be of any length where V was 0.

use faer::Par;

use super::adam::Adam;
use super::method::{GradientMethod, Moments};
use crate::base::native::{Matrix, MatrixMut};
use crate::base::parallel::for_each;
use crate::base::{Eigen, Move, Result, Scalar, Square, check_count, kernels, space, update};
use crate::operator::LayerShape;

/// SOAP: Adam in the eigenbases of Shampoo's factors. M = Q(√v + ε)Qᵀ with Q = Q_L ⊗ Q_R for the weights of a layer, and momentum.
///
/// For networks on small batches, where the noise of the gradient leaves little for products to gain. As with [`Adam`] a constant
/// rate keeps it circling: take the [`IterateAverage`](crate::first_order::IterateAverage) of its points, or let the rate fall.
/// Where the weights are it learns from [`Model::layers`](crate::Model::layers), or from a list of your own; without layers it is
/// Adam.
///
/// Each step costs six products of an m × n layer with its bases, 6mn(m + n) multiplications, and each renewal two QR
/// decompositions. Storage: m and v, in the first and second moment, and behind v for each layer L, R, Q_L and Q_R by columns,
/// 2(m² + n²) numbers; two vectors more while a step is made.
///
/// ```
/// use newton_krylov::models::{Activation, MultilayerPerceptron};
/// use newton_krylov::{Batches, Metric, Model, SampledModel, Stopping, fit_samples, losses::SoftmaxCrossEntropy};
/// use newton_krylov::first_order::{FirstOrder, Soap};
///
/// // Images of 4 × 4 pixels: is the bright pixel in the upper half?
/// let images: Vec<f32> = (0..16 * 16).map(|i| if i % 17 == 0 { 1.0 } else { 0.0 }).collect();
/// let labels: Vec<usize> = (0..16).map(|i| i / 8).collect();
/// let network = MultilayerPerceptron::new(&[16, 8, 2], &[Activation::Tanh, Activation::Identity])?;
/// let loss = SoftmaxCrossEntropy::new(labels, 2)?;
/// let objective = fit_samples(network.on(&images)?, loss, Metric::GeneralizedGaussNewton)?;
/// let solver = FirstOrder {
///     average: true,
///     stopping: Stopping { max_iterations: 1000, ..Stopping::default() },
///     ..FirstOrder::new(Soap::new(objective.model().batch(&[]).layers()))
/// };
/// let x0: Vec<f32> = network.initial(1);
/// let report = solver.minimize_sampled(&objective, Batches::new(16, 4, 1)?, &x0)?;
/// assert!(report.value < 0.1 * report.initial_value);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Soap {
    /// Where the weights are.
    pub layers: Vec<LayerShape>,
    /// What runs in the bases. Its β₂ is also that of the factors. Default: α = 0.003 and β₂ = 0.95 (the authors'), and β₁ = 0.8:
    /// the authors' 0.95 lags behind in runs of some hundred steps, on a transformer as on an autoencoder, whose noise the average
    /// of points takes away as well.
    pub adam: Adam,
    /// Steps between two renewals of the bases. Default 10 (the authors').
    pub renewal: usize,
}

impl Soap {
    /// With the default options.
    pub fn new(layers: Vec<LayerShape>) -> Self {
        Soap { layers, adam: Adam { rate: 0.003, beta1: 0.8, beta2: 0.95, ..Adam::default() }, renewal: 10 }
    }

    /// Each layer's weights in a vector of all parameters.
    fn weights<'a, T>(&self, mut all: &'a mut [T]) -> Vec<&'a mut [T]> {
        let mut end = 0;
        let cut = |layer: &LayerShape| {
            let (weights, rest) =
                std::mem::take(&mut all)[layer.start - end..].split_at_mut(layer.inputs * layer.outputs);
            (all, end) = (rest, layer.start + weights.len());
            weights
        };
        self.layers.iter().map(cut).collect()
    }

    /// Each layer's factors and bases.
    fn sides<'a, T>(&self, mut all: &'a mut [T]) -> Vec<Sides<'a, T>> {
        let mut cut = |n: usize| {
            let (matrix, rest) = std::mem::take(&mut all).split_at_mut(n * n);
            all = rest;
            matrix
        };
        let sides = |layer: &LayerShape| {
            let lens = [layer.outputs, layer.inputs];
            Sides { lens, factors: lens.map(&mut cut), bases: lens.map(&mut cut) }
        };
        self.layers.iter().map(sides).collect()
    }
}

/// The two sides of a layer's weights.
struct Sides<'a, T> {
    /// m and n.
    lens: [usize; 2],
    /// L and R.
    factors: [&'a mut [T]; 2],
    /// Q_L and Q_R, by columns.
    bases: [&'a mut [T]; 2],
}

impl<T: Scalar> Sides<'_, T> {
    /// W ← Q_LᵀWQ_R without what is rounding, or `back` W ← Q_LWQ_Rᵀ. Where W has no component, as for an input that is always
    /// 0, rounding would be divided by rounding.
    fn turn(&self, w: &mut [T], back: bool) {
        if w.is_empty() {
            return;
        }
        let [m, n] = self.lens;
        let [left, right] = [0, 1].map(|side| {
            let q = Matrix::by_columns(self.bases[side], self.lens[side], self.lens[side], self.lens[side]);
            if back == (side == 1) { q.transpose() } else { q }
        });
        let mut half = vec![T::zero(); w.len()];
        T::multiply(MatrixMut::by_rows(&mut half, m, n), false, left, Matrix::by_rows(w, m, n));
        T::multiply(MatrixMut::by_rows(w, m, n), false, Matrix::by_rows(&half, m, n), right);
        if !back {
            let least = T::from_f64(T::epsilon_f64() * kernels::norm(w));
            w.iter_mut().filter(|w| w.abs() < least).for_each(|w| *w = T::zero());
        }
    }

    /// L ← βL + (1 − β)GGᵀ and R ← βR + (1 − β)GᵀG.
    fn average(&mut self, beta: f64, gradient: &[T]) {
        let (past, root) = (T::from_f64(beta), T::from_f64((1.0 - beta).sqrt()));
        let scaled: Vec<T> = gradient.iter().map(|&g| root * g).collect();
        let g = Matrix::by_rows(&scaled, self.lens[0], self.lens[1]);
        for ((factor, n), g) in self.factors.iter_mut().zip(self.lens).zip([g, g.transpose()]) {
            factor.iter_mut().for_each(|f| *f *= past);
            T::multiply(MatrixMut::by_columns(factor, n, n, n), true, g, g.transpose());
        }
    }

    /// The eigenbases, eigenvalues falling, or those of I where a factor is not finite.
    fn decompose(&mut self) {
        for ((basis, factor), n) in self.bases.iter_mut().zip(&self.factors).zip(self.lens) {
            let matrix: Vec<f64> = factor.iter().map(|&f| f.into()).collect();
            let mut eigen = Eigen::new(n);
            let found = eigen.decompose(&matrix, n, n, Par::Seq);
            for (j, column) in basis.chunks_exact_mut(n).enumerate() {
                let entry = |i: usize| if found { eigen.vector(n - 1 - j)[i] } else { f64::from(u8::from(i == j)) };
                column.iter_mut().enumerate().for_each(|(i, q)| *q = T::from_f64(entry(i)));
            }
        }
    }

    /// Q ← QR(LQ), its columns in the order of falling qᵀLq, and V in the same. A factor that is not finite changes nothing.
    fn iterate(&mut self, v: &mut [T]) {
        for (side, n) in self.lens.into_iter().enumerate() {
            let (basis, mut product) = (&mut *self.bases[side], vec![T::zero(); n * n]);
            let [factor, q] = [&*self.factors[side], basis].map(|matrix| Matrix::by_columns(matrix, n, n, n));
            T::multiply(MatrixMut::by_columns(&mut product, n, n, n), false, factor, q);
            let quotient = |j: usize| kernels::dot(&product[j * n..][..n], &basis[j * n..][..n]);
            let quotients: Vec<f64> = (0..n).map(quotient).collect();
            if !quotients.iter().all(|q| q.is_finite()) {
                continue;
            }
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by(|&i, &j| quotients[j].total_cmp(&quotients[i]));
            for (column, &j) in basis.chunks_exact_mut(n).zip(&order) {
                column.copy_from_slice(&product[j * n..][..n]);
            }
            T::orthonormalize(basis, n);
            let (before, width) = (v.to_vec(), self.lens[1]);
            for (i, v) in v.iter_mut().enumerate() {
                let (row, column) = (i / width, i % width);
                *v = before[if side == 0 { order[row] * width + column } else { row * width + order[column] }];
            }
        }
    }
}

impl GradientMethod for Soap {
    fn rate(&self) -> f64 {
        self.adam.rate
    }

    fn check(&self, dim: usize) -> Result<()> {
        space::check_whole("Soap")?;
        self.adam.check(dim)?;
        check_count("renewal", self.renewal, 1, "at least 1")?;
        LayerShape::check(&self.layers, dim)
    }

    fn storage(&self, dim: usize) -> [usize; 2] {
        let squares = |layer: &LayerShape| layer.outputs * layer.outputs + layer.inputs * layer.inputs;
        [dim, dim + 2 * self.layers.iter().map(squares).sum::<usize>()]
    }

    fn advance<T: Scalar>(&self, moments: &mut Moments<T>, factor: f64, step: Move<'_, T>) -> f64 {
        let (d, first) = (step.x.len(), moments.steps == 0);
        moments.steps += 1;
        let (v, rest) = moments.second.split_at_mut(d);
        let mut sides = self.sides(rest);
        let mut gradient = step.gradient.to_vec();
        if !first {
            for_each((&mut sides[..], &mut self.weights(&mut gradient)[..]), &|_, (sides, g)| sides.turn(g, false));
        }
        let mut delta = vec![T::zero(); d];
        let turned = Move { gradient: &gradient, from: None, x: &mut delta };
        self.adam.advance_at(moments.steps, [&mut moments.first, v], factor, turned);

        gradient.copy_from_slice(step.gradient);
        let [mut gradients, mut deltas] = [&mut gradient, &mut delta].map(|all| self.weights(all));
        let [mut ms, mut vs] = [&mut moments.first[..], v].map(|all| self.weights(all));
        // 1/K.
        let Adam { beta1, beta2, .. } = self.adam;
        let bound = Square::weighted((1.0 - beta2) * (1.0 - beta1 * beta1 / beta2).max(0.0) / (1.0 - beta1).powi(2));
        let renew = moments.steps.is_multiple_of(self.renewal);
        let layers = ((&mut sides[..], &mut gradients[..], &mut deltas[..]), (&mut ms[..], &mut vs[..]));
        for_each(layers, &|_, ((sides, gradient, delta), (m, v))| {
            if gradient.is_empty() {
                return; // biases alone
            }
            sides.average(self.adam.beta2, gradient);
            if first {
                sides.decompose();
                sides.turn(m, false);
                // V of that one gradient, G′ = M/(1 − β₁).
                let square = Square::weighted((1.0 - self.adam.beta2) / (1.0 - self.adam.beta1).powi(2));
                v.iter_mut().zip(&**m).for_each(|(v, &m)| *v = square.of(m));
                return;
            }
            sides.turn(delta, true);
            if renew {
                sides.turn(m, true);
                sides.iterate(v);
                sides.turn(m, false);
                v.iter_mut().zip(&**m).for_each(|(v, &m)| *v = v.max(bound.of(m)));
            }
        });
        let decay = T::from_f64(factor * self.adam.rate * self.adam.decay);
        update(Move { gradient: &delta, ..step }, [], &|delta, x, []| (delta - decay * x, []))
    }
}
