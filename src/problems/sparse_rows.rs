//! A sparse matrix by rows (CSR), and the sums over its rows that a linear model needs.
//!
//! Xᵀ(…) is a sum over rows. The rows are cut into a fixed number of blocks of about equal work, every block adds into
//! an accumulator of its own, and the accumulators are added in the order of the blocks. The cut depends on the matrix
//! alone, so the result is bitwise the same for any number of threads. Accumulators are `f64`.

use std::ops::Range;

use crate::base::parallel::{Chunked, for_each};
use crate::base::{Result, Scalar, check_finite, check_length, check_positive_dimension, check_range};

/// Non-zeros below which everything runs on the calling thread.
const SERIAL: usize = 1 << 14;
/// Non-zeros of a block for every number of its accumulator: what adding the accumulators up may cost.
const WORK_PER_ACCUMULATED: usize = 4;
/// The largest number of blocks, and so of threads that can share a product.
const MAX_BLOCKS: usize = 16;
/// Numbers that all accumulators may have together (64 MiB), unless there is only one.
const ACCUMULATED: usize = 1 << 23;
/// Columns of the output that are added up at once.
const COLUMNS: usize = 2048;

/// A sparse matrix X by rows: row i holds `values[k]` in column `columns[k]` for k in `row_starts[i]..row_starts[i+1]`.
///
/// Columns rise within a row. 4 bytes for the index and one number for every non-zero. Dense data cost little more than
/// their numbers: see [`from_dense`](Self::from_dense).
#[derive(Clone, Debug, PartialEq)]
pub struct SparseRows<T> {
    row_starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<T>,
    cols: usize,
}

impl<T: Scalar> SparseRows<T> {
    /// The matrix with the given arrays.
    ///
    /// # Errors
    /// If there is no row or no column, if the arrays do not fit each other, if columns do not rise within a row or
    /// reach `cols`, or if a value is not finite.
    pub fn new(row_starts: Vec<usize>, columns: Vec<u32>, values: Vec<T>, cols: usize) -> Result<Self> {
        check_positive_dimension("cols", cols)?;
        check_positive_dimension("rows", row_starts.len().saturating_sub(1))?;
        check_length("values", &values, columns.len())?;
        check_finite("values", &values)?;
        let mut end = 0;
        for (i, &start) in row_starts.iter().enumerate() {
            let fits = start >= end && start <= columns.len() && (i > 0 || start == 0);
            check_range("row_starts", start as f64, fits, "0 first, then not falling and at most the count of values")?;
            end = start;
        }
        check_length("columns", &columns, end)?;
        for row in row_starts.windows(2) {
            let row = &columns[row[0]..row[1]];
            for (k, &column) in row.iter().enumerate() {
                let fits = (column as usize) < cols && (k == 0 || row[k - 1] < column);
                check_range("columns", column.into(), fits, "rising within a row and below cols")?;
            }
        }
        Ok(SparseRows { row_starts, columns, values, cols })
    }

    /// The matrix with `cols` columns whose rows lie one after the other in `data`. Zeros are left out.
    ///
    /// # Errors
    /// If `data` is not a whole number of rows, at least one, or if a number is not finite.
    pub fn from_dense(cols: usize, data: &[T]) -> Result<Self> {
        check_positive_dimension("cols", cols)?;
        check_length("data", data, data.len().div_ceil(cols) * cols)?;
        let (mut row_starts, mut columns, mut values) = (vec![0], vec![], vec![]);
        for row in data.chunks_exact(cols) {
            for (j, &value) in row.iter().enumerate() {
                if value != T::zero() {
                    columns.push(j as u32);
                    values.push(value);
                }
            }
            row_starts.push(values.len());
        }
        SparseRows::new(row_starts, columns, values, cols)
    }

    /// For arrays that were checked while they were read.
    pub(super) fn from_checked(row_starts: Vec<usize>, columns: Vec<u32>, values: Vec<T>, cols: usize) -> Self {
        SparseRows { row_starts, columns, values, cols }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.row_starts.len() - 1
    }

    /// The number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The number of stored values.
    pub fn nonzeros(&self) -> usize {
        self.values.len()
    }

    /// The columns and the values of row `i`.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn row(&self, i: usize) -> (&[u32], &[T]) {
        let range = self.row_starts[i]..self.row_starts[i + 1];
        (&self.columns[range.clone()], &self.values[range])
    }

    /// The same matrix with columns of zeros added up to `cols`: a test set often lacks the last features of its
    /// training set. Fewer columns than there are change nothing.
    pub fn widen(mut self, cols: usize) -> Self {
        self.cols = self.cols.max(cols);
        self
    }

    /// The matrix with its rows in the given order.
    pub(super) fn reorder(&self, order: &[usize]) -> Self {
        let mut row_starts = Vec::with_capacity(self.row_starts.len());
        let mut columns = Vec::with_capacity(self.columns.len());
        let mut values = Vec::with_capacity(self.values.len());
        row_starts.push(0);
        for &i in order {
            let (row_columns, row_values) = self.row(i);
            columns.extend_from_slice(row_columns);
            values.extend_from_slice(row_values);
            row_starts.push(values.len());
        }
        SparseRows { row_starts, columns, values, cols: self.cols }
    }

    /// Cuts the rows into blocks of about equal work for accumulators of `length` numbers, where row i costs `work(i)`.
    pub(super) fn blocks(&self, length: usize, work: impl Fn(usize) -> usize) -> Vec<Range<usize>> {
        let total: usize = (0..self.rows()).map(&work).sum();
        let most = MAX_BLOCKS.min(ACCUMULATED / length).max(1);
        let count = if total < SERIAL { 1 } else { (total / (WORK_PER_ACCUMULATED * length)).clamp(1, most) };
        let mut blocks = Vec::with_capacity(count);
        let (mut start, mut done) = (0, 0);
        for i in 0..self.rows() {
            done += work(i);
            if done * count >= total * (blocks.len() + 1) && blocks.len() + 1 < count {
                blocks.push(start..i + 1);
                start = i + 1;
            }
        }
        blocks.push(start..self.rows());
        blocks
    }

    /// The sum over all rows i of what `add(i, columns, values, sum)` adds, with an accumulator of `length` entries for
    /// every block. The sum is left at the beginning of `accumulators`, which grow if they are too short.
    pub(super) fn sum_rows<const K: usize>(
        &self,
        blocks: &[Range<usize>],
        accumulators: &mut Vec<f64>,
        length: usize,
        add: impl Fn(usize, &[u32], &[T], &mut [[f64; K]]) + Sync,
    ) {
        accumulators.resize((blocks.len() * length * K).max(accumulators.len()), 0.0);
        let (accumulators, _) = accumulators[..blocks.len() * length * K].as_chunks_mut::<K>();
        for_each((blocks, Chunked(accumulators, length)), &|_, (rows, sum)| {
            sum.fill([0.0; K]);
            for i in rows.clone() {
                let (columns, values) = self.row(i);
                add(i, columns, values, sum);
            }
        });
        // Add the accumulators up into the first.
        let (first, others) = accumulators.split_at_mut(length);
        let others = &*others;
        for_each(Chunked(first, COLUMNS), &|piece, sum| {
            for other in others.chunks_exact(length) {
                for (sum, other) in sum.iter_mut().zip(&other[piece * COLUMNS..]) {
                    for k in 0..K {
                        sum[k] += other[k];
                    }
                }
            }
        });
    }

    /// Whether sums over the rows are worth a second thread.
    pub(super) fn is_long(&self) -> bool {
        self.nonzeros() >= SERIAL
    }
}

/// xᵀv for a sparse row x and K interleaved vectors v, in four interleaved partial sums.
#[inline]
pub(super) fn row_times<T: Scalar, const K: usize>(
    columns: &[u32],
    values: &[T],
    v: impl Fn(usize) -> [f64; K],
) -> [f64; K] {
    let mut sums = [[0.0; K]; 4];
    let (columns4, last_columns) = columns.as_chunks::<4>();
    let (values4, last_values) = values.as_chunks::<4>();
    for (columns, values) in columns4.iter().zip(values4) {
        for lane in 0..4 {
            let (x, v): (f64, _) = (values[lane].into(), v(columns[lane] as usize));
            for k in 0..K {
                sums[lane][k] += x * v[k];
            }
        }
    }
    for (lane, (&column, &value)) in last_columns.iter().zip(last_values).enumerate() {
        let (x, v): (f64, _) = (value.into(), v(column as usize));
        for k in 0..K {
            sums[lane][k] += x * v[k];
        }
    }
    std::array::from_fn(|k| (sums[0][k] + sums[2][k]) + (sums[1][k] + sums[3][k]))
}

/// sum ← sum + a x for a sparse row x and K factors a.
#[inline]
pub(super) fn add_row<T: Scalar, const K: usize>(a: [f64; K], columns: &[u32], values: &[T], sum: &mut [[f64; K]]) {
    let mut add = |column: u32, value: T| {
        let x: f64 = value.into();
        let sum = &mut sum[column as usize];
        for k in 0..K {
            sum[k] += a[k] * x;
        }
    };
    let (columns4, last_columns) = columns.as_chunks::<4>();
    let (values4, last_values) = values.as_chunks::<4>();
    for (columns, values) in columns4.iter().zip(values4) {
        for lane in 0..4 {
            add(columns[lane], values[lane]);
        }
    }
    for (&column, &value) in last_columns.iter().zip(last_values) {
        add(column, value);
    }
}
