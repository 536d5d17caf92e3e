//! L2-regularised logistic regression, the problem of linear classification:
//!
//! f(w)  = ½‖w‖² + C Σᵢ log(1 + exp(−mᵢ)),    mᵢ = yᵢ wᵀxᵢ  (the margin of row i; there is no intercept)
//! ∇f(w) = w + C Xᵀr,      rᵢ = −yᵢ σ(−mᵢ)
//! H(w)  = I + C XᵀDX,     Dᵢ = σ(mᵢ) σ(−mᵢ)
//!
//! with σ(m) = 1/(1 + exp(−m)). Lin, Weng & Keerthi, *Trust region Newton method for large-scale logistic regression*,
//! JMLR 9 (2008), section 2; it is the primal problem that LIBLINEAR solves with `-s 0`.
//!
//! A product reads X once: row by row, tᵢ = Dᵢ xᵢᵀv and then s ← s + tᵢ xᵢ while the row is in cache; Hv = v + C s. Keeping
//! X by columns as well, for sums without accumulators, takes half as long again on wide sparse data: it reads twice as
//! much. Rows are kept in the order of their lengths, which saves a sixth of the time where lengths differ.

use std::cell::{OnceCell, RefCell};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::sparse_rows::{add_row, row_times};
use super::{LabeledRows, SparseRows};
use crate::base::parallel::{Chunked, for_each, for_each_if};
use crate::base::{Result, Scalar, check_finite, check_length, check_positive, check_range, kernels};
use crate::operator::{Expansion, Objective, Preconditioner, SymmetricOperator};

/// Columns of V that go through the data together in [`apply_block`](SymmetricOperator::apply_block).
const TOGETHER: usize = 4;
/// Unknowns up to which they do: four columns and their four sums then stay in a level-2 cache.
const TOGETHER_UP_TO: usize = 1 << 14;
/// Rows whose losses are added up in one piece.
const ROWS: usize = 512;

/// L2-regularised logistic regression f(w) = ½‖w‖² + C Σᵢ log(1 + exp(−yᵢ wᵀxᵢ)).
///
/// Its minimiser is unique: f is strongly convex with H(w) ⪰ I. Bitwise the same for any number of threads.
///
/// ```
/// use newton_krylov::problems::{LogisticRegression, parse_libsvm};
/// use newton_krylov::{Expansion, Objective};
///
/// let problem = LogisticRegression::from_labeled(parse_libsvm("+1 1:1 2:0.5\n-1 1:-1\n").unwrap(), 1.0)?;
/// assert_eq!(problem.dim(), 2);
/// assert_eq!(problem.value(&[0.0, 0.0]), 2.0 * 2.0_f64.ln());
/// let mut gradient = [f64::NAN; 2];
/// problem.expand(&[0.0, 0.0]).gradient(&mut gradient);
/// assert_eq!(gradient, [-1.0, -0.25]);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
pub struct LogisticRegression<T> {
    features: SparseRows<T>,
    labels: Vec<T>,
    c: f64,
    /// Rows that share an accumulator in sums over rows.
    blocks: Vec<Range<usize>>,
    forming_cost: usize,
    /// The terms at the last point that was probed: the point of the next expansion, if the step is accepted.
    last: Mutex<Option<Arc<RowTerms<T>>>>,
}

/// What every row contributes at w.
struct RowTerms<T> {
    w: Vec<T>,
    /// Σᵢ log(1 + exp(−mᵢ)).
    loss: f64,
    /// rᵢ.
    residual: Vec<f64>,
    /// Dᵢ.
    curvature: Vec<f64>,
    /// The loss of every piece of rows.
    piece_losses: Vec<f64>,
}

impl<T: Scalar> LogisticRegression<T> {
    /// The problem for the rows of `features` with their `labels`, +1 or −1, and the weight `c` of the losses.
    ///
    /// # Errors
    /// If there are not as many labels as rows, a label is not ±1, or `c` is not positive and finite.
    pub fn new(features: SparseRows<T>, labels: Vec<T>, c: f64) -> Result<Self> {
        check_length("labels", &labels, features.rows())?;
        check_finite("labels", &labels)?;
        for &label in &labels {
            check_range("labels", label.into(), label.abs() == T::one(), "1 or -1")?;
        }
        check_positive("c", c)?;
        // The loop over a row then ends where the loop over the row before it did, and is predicted.
        let mut order: Vec<usize> = (0..features.rows()).collect();
        order.sort_by_key(|&i| features.row(i).0.len());
        let sorted = order.is_sorted();
        let features = if sorted { features } else { features.reorder(&order) };
        let labels = if sorted { labels } else { order.iter().map(|&i| labels[i]).collect() };
        let entries = |i| features.row(i).0.len();
        let blocks = features.blocks(features.cols(), entries);
        let forming: f64 = (0..features.rows()).map(|i| 0.5 * (entries(i) as f64).powi(2)).sum();
        let forming_cost = (forming / (2 * features.nonzeros()).max(1) as f64).ceil().max(1.0) as usize;
        Ok(LogisticRegression { features, labels, c, blocks, forming_cost, last: Mutex::new(None) })
    }

    /// The problem for a set that was read from a text in LIBSVM format.
    ///
    /// # Errors
    /// If `c` is not positive and finite.
    pub fn from_labeled(set: LabeledRows<T>, c: f64) -> Result<Self> {
        LogisticRegression::new(set.features, set.labels, c)
    }

    /// The features, a row for every sample: the rows that were given, by rising number of non-zeros.
    pub fn features(&self) -> &SparseRows<T> {
        &self.features
    }

    /// The class of every row of [`features`](Self::features), +1 or −1.
    pub fn labels(&self) -> &[T] {
        &self.labels
    }

    /// The share of rows on the right side, wᵀx ≥ 0 counting as +1. Costs half a product.
    ///
    /// # Panics
    /// If `w` is shorter than a row needs.
    pub fn accuracy(&self, w: &[T]) -> f64 {
        let mut right = vec![0_u32; self.features.rows().div_ceil(ROWS)];
        for_each(&mut right[..], &|piece, right| {
            for i in piece * ROWS..self.features.rows().min((piece + 1) * ROWS) {
                let (columns, values) = self.features.row(i);
                let [side] = row_times(columns, values, |j| [w[j].into()]);
                *right += ((side >= 0.0) == (self.labels[i] > T::zero())) as u32;
            }
        });
        right.iter().map(|&n| f64::from(n)).sum::<f64>() / self.features.rows() as f64
    }

    /// The expansion at w, by its own type.
    pub fn at<'a>(&'a self, w: &'a [T]) -> LogisticExpansion<'a, T> {
        LogisticExpansion {
            problem: self,
            w,
            terms: OnceCell::new(),
            diagonal: OnceCell::new(),
            scratch: RefCell::default(),
        }
    }

    /// The terms at w, computed unless w is the last point for which that was done.
    fn terms(&self, w: &[T]) -> Arc<RowTerms<T>> {
        let taken = self.last.lock().map_or(None, |mut last| last.take());
        let terms = match taken {
            Some(terms) if terms.w == w => terms,
            taken => {
                let reusable = taken.and_then(|terms| Arc::try_unwrap(terms).ok());
                Arc::new(self.compute_terms(w, reusable))
            }
        };
        if let Ok(mut last) = self.last.lock() {
            *last = Some(terms.clone());
        }
        terms
    }

    /// The terms at w, in the memory of others that nobody needs any more.
    fn compute_terms(&self, w: &[T], reusable: Option<RowTerms<T>>) -> RowTerms<T> {
        let rows = self.features.rows();
        let mut terms = reusable.unwrap_or_else(|| RowTerms {
            w: w.to_vec(),
            loss: 0.0,
            residual: vec![0.0; rows],
            curvature: vec![0.0; rows],
            piece_losses: vec![0.0; rows.div_ceil(ROWS)],
        });
        terms.w.copy_from_slice(w);
        let piece = |piece: usize, (residual, curvature, loss): (&mut [f64], &mut [f64], &mut f64)| {
            *loss = 0.0;
            for (k, (residual, curvature)) in residual.iter_mut().zip(curvature).enumerate() {
                let i = piece * ROWS + k;
                let (columns, values) = self.features.row(i);
                let [product] = row_times(columns, values, |j| [w[j].into()]);
                let y: f64 = self.labels[i].into();
                let margin = y * product;
                // exp never overflows: its argument is not positive.
                let e = (-margin.abs()).exp();
                let total = 1.0 + e;
                *loss += e.ln_1p() + (-margin).max(0.0);
                *residual = -y * if margin >= 0.0 { e } else { 1.0 } / total;
                *curvature = e / (total * total);
            }
        };
        let RowTerms { residual, curvature, piece_losses, .. } = &mut terms;
        let pieces = (Chunked(residual, ROWS), Chunked(curvature, ROWS), &mut piece_losses[..]);
        for_each_if(self.features.is_long(), pieces, &piece);
        terms.loss = terms.piece_losses.iter().sum();
        terms
    }
}

impl<T: Scalar> Objective<T> for LogisticRegression<T> {
    fn dim(&self) -> usize {
        self.features.cols()
    }
    fn value(&self, w: &[T]) -> f64 {
        0.5 * kernels::dot(w, w) + self.c * self.terms(w).loss
    }
    fn expand<'a>(&'a self, w: &'a [T]) -> impl Expansion<T> + 'a {
        self.at(w)
    }
}

/// Logistic regression at a point w: margins, residuals and curvatures of all rows are computed once.
pub struct LogisticExpansion<'a, T> {
    problem: &'a LogisticRegression<T>,
    w: &'a [T],
    terms: OnceCell<Arc<RowTerms<T>>>,
    /// diag H(w), once it was needed.
    diagonal: OnceCell<Vec<T>>,
    scratch: RefCell<Scratch>,
}

/// Room for products.
#[derive(Default)]
struct Scratch {
    /// The accumulators of all blocks.
    sums: Vec<f64>,
    /// Columns side by side, so that a row's index fetches all of them at once.
    together: Vec<f64>,
}

impl<T: Scalar> LogisticExpansion<'_, T> {
    fn terms(&self) -> &RowTerms<T> {
        self.terms.get_or_init(|| self.problem.terms(self.w))
    }

    /// out ← diag H(w) = 1 + C Σᵢ Dᵢ xᵢ∘xᵢ. Costs a product.
    pub fn hessian_diagonal(&self, out: &mut [T]) {
        let LogisticRegression { features, blocks, c, .. } = self.problem;
        let Scratch { sums, .. } = &mut *self.scratch.borrow_mut();
        let curvature = &self.terms().curvature;
        features.sum_rows(blocks, sums, features.cols(), |i, columns, values, sum: &mut [[f64; 1]]| {
            for (&column, &value) in columns.iter().zip(values) {
                let x: f64 = value.into();
                sum[column as usize][0] += curvature[i] * x * x;
            }
        });
        for (out, &sum) in out.iter_mut().zip(&*sums) {
            *out = T::from_f64(1.0 + c * sum);
        }
    }

    /// out ← HV for K columns at once.
    fn apply_together<const K: usize>(&self, v: &[T], out: &mut [T]) {
        let LogisticRegression { features, blocks, c, .. } = self.problem;
        let dim = features.cols();
        let Scratch { sums, together } = &mut *self.scratch.borrow_mut();
        let curvature = &self.terms().curvature;
        if K > 1 {
            together.resize(dim * K, 0.0);
            for (j, row) in together.as_chunks_mut::<K>().0.iter_mut().enumerate() {
                *row = std::array::from_fn(|k| v[k * dim + j].into());
            }
        }
        let (together, _) = together.as_chunks::<K>();
        features.sum_rows(blocks, sums, dim, |i, columns, values, sum: &mut [[f64; K]]| {
            let product = if K == 1 {
                row_times(columns, values, |j| [v[j].into(); K])
            } else {
                row_times(columns, values, |j| together[j])
            };
            add_row(product.map(|p| curvature[i] * p), columns, values, sum);
        });
        let (sums, _) = sums.as_chunks::<K>();
        for (k, (out, v)) in out.chunks_exact_mut(dim).zip(v.chunks_exact(dim)).enumerate() {
            for ((out, sum), &v) in out.iter_mut().zip(sums).zip(v) {
                *out = v + T::from_f64(c * sum[k]);
            }
        }
    }
}

impl<T: Scalar> SymmetricOperator<T> for LogisticExpansion<'_, T> {
    fn dim(&self) -> usize {
        self.problem.features.cols()
    }

    fn apply(&self, v: &[T], out: &mut [T]) {
        self.apply_together::<1>(v, out);
    }

    fn apply_block(&self, v: &[T], out: &mut [T]) {
        let block = self.dim() * TOGETHER;
        let whole = if self.dim() <= TOGETHER_UP_TO { v.len() / block * block } else { 0 };
        for (v, out) in v[..whole].chunks(block).zip(out[..whole].chunks_mut(block)) {
            self.apply_together::<TOGETHER>(v, out);
        }
        for (v, out) in v[whole..].chunks(self.dim()).zip(out[whole..].chunks_mut(self.dim())) {
            self.apply(v, out);
        }
    }

    /// I + C XᵀDX by a symmetric update of rank one for every row: Σᵢ nnzᵢ²/2 multiply-adds.
    fn form(&self, matrix: &mut [T]) {
        let LogisticRegression { features, c, .. } = self.problem;
        let dim = features.cols();
        assert_eq!(matrix.len(), dim * dim, "the matrix needs dim² numbers");
        let blocks = features.blocks(dim * dim, |i| features.row(i).0.len().pow(2) / 2);
        let curvature = &self.terms().curvature;
        let mut sums = vec![];
        features.sum_rows(&blocks, &mut sums, dim * dim, |i, columns, values, sum: &mut [[f64; 1]]| {
            for (k, &column) in columns.iter().enumerate() {
                let factor = curvature[i] * values[k].into();
                let column = column as usize;
                let sum = &mut sum[column * dim..][..column + 1];
                add_row([factor], &columns[..=k], &values[..=k], sum);
            }
        });
        for j in 0..dim {
            for i in 0..=j {
                let entry = T::from_f64(c * sums[j * dim + i] + if i == j { 1.0 } else { 0.0 });
                matrix[j * dim + i] = entry;
                matrix[i * dim + j] = entry;
            }
        }
    }

    fn preconditioner(&self) -> Option<&dyn Preconditioner<T>> {
        Some(self)
    }

    fn forming_cost(&self) -> usize {
        self.problem.forming_cost
    }
}

impl<T: Scalar> Preconditioner<T> for LogisticExpansion<'_, T> {
    /// r ← (diag H(w) + shift·I)⁻¹ r. The first call at a point costs a product, the others next to nothing.
    fn precondition(&self, shift: f64, r: &mut [T]) {
        let diagonal = self.diagonal.get_or_init(|| {
            let mut diagonal = vec![T::zero(); self.dim()];
            self.hessian_diagonal(&mut diagonal);
            diagonal
        });
        let shift = T::from_f64(shift);
        r.iter_mut().zip(diagonal).for_each(|(r, &d)| *r /= d + shift);
    }
}

impl<T: Scalar> Expansion<T> for LogisticExpansion<'_, T> {
    fn value(&self) -> f64 {
        0.5 * kernels::dot(self.w, self.w) + self.problem.c * self.terms().loss
    }

    fn gradient(&self, out: &mut [T]) {
        let LogisticRegression { features, blocks, c, .. } = self.problem;
        let Scratch { sums, .. } = &mut *self.scratch.borrow_mut();
        let residual = &self.terms().residual;
        features.sum_rows(blocks, sums, features.cols(), |i, columns, values, sum: &mut [[f64; 1]]| {
            add_row([residual[i]], columns, values, sum);
        });
        for ((out, &sum), &w) in out.iter_mut().zip(&*sums).zip(self.w) {
            *out = w + T::from_f64(c * sum);
        }
    }
}
