//! Products with a matrix of few long columns, V: Vᵀx, Vc and VC, several columns to a pass over x. Sums are those of the
//! [kernels](super::kernels): the same for any number of threads.

use super::Scalar;
use super::kernels::{self, dot_block, for_blocks, row_dot, tree_sum};
use super::native::vectorized;
use super::space;

/// A part left of less than this share is orthogonalised again: "twice is enough" (Giraud, Langou, Rozložník & van den Eshof,
/// Numer. Math. 101 (2005)). Without it what rounding leaves grows from column to column.
pub const CANCELLED: f64 = 0.7;
/// What is left of a vector, in units of its roundoff, that is nothing but that.
pub const ROUNDING: f64 = 16.0;
/// Passes that may be needed where the vector is nearly in the columns' span.
const MOST_PASSES: usize = 4;

/// Columns of length `dim`, one after the other: a basis, or its products.
#[derive(Clone, Copy)]
pub struct Columns<'a, T> {
    pub dim: usize,
    pub data: &'a [T],
}

impl<'a, T: Scalar> Columns<'a, T> {
    pub fn new(dim: usize, data: &'a [T]) -> Self {
        debug_assert_eq!(data.len() % dim, 0);
        Columns { dim, data }
    }

    pub fn column(&self, j: usize) -> &'a [T] {
        &self.data[j * self.dim..(j + 1) * self.dim]
    }

    /// coefficients ← Bᵀx, four columns to a pass over x, and one reduction for all in a distributed run.
    pub fn transpose_times(&self, x: &[T], coefficients: &mut [f64]) {
        self.transpose_times_part(x, coefficients);
        space::add_up_all(coefficients);
    }

    /// sums ← Bᵀx, and behind it aᵀb for each of the `pairs`: one reduction for all.
    pub fn transpose_times_and<const N: usize>(&self, x: &[T], sums: &mut [f64], pairs: [[&[T]; 2]; N]) {
        let (coefficients, dots) = sums.split_at_mut(sums.len() - N);
        self.transpose_times_part(x, coefficients);
        dots.iter_mut().zip(pairs).for_each(|(dot, [a, b])| *dot = row_dot(a, b));
        space::add_up_all(sums);
    }

    /// Removes from x what it has in the orthonormal columns: h ← Bᵀx, x ← x − Bh. Returns ‖x‖ as it was and as it is, given
    /// what it is thought to be; h has room for a number more than there are columns.
    ///
    /// Over ranks both come with h, in one reduction, the latter from Pythagoras, ‖x‖² − ‖h‖², which has all its digits where
    /// no more than half of x was removed, and is not used otherwise (Smoktunowicz, Barlow & Langou, Numer. Math. 105 (2006)).
    pub fn remove_from(&self, x: &mut [T], h: &mut [f64], norm: f64) -> [f64; 2] {
        let count = h.len() - 1;
        if !space::in_parts() {
            self.transpose_times(x, &mut h[..count]);
            return [norm, self.remove(x, &h[..count], norm)];
        }
        self.transpose_times_and(x, h, [[x, x]]);
        let before = h[count].sqrt();
        [before, self.remove(x, &h[..count], before)]
    }

    /// As [`remove_from`](Self::remove_from), again where much of x cancelled; returns ‖x‖ as it is, given what it was, or 0
    /// where it is at most `least`, which is rounding.
    pub fn remove_all_from(&self, x: &mut [T], h: &mut [f64], norm: f64, least: f64) -> f64 {
        let mut left = norm;
        for _ in 0..MOST_PASSES {
            let [before, after] = self.remove_from(x, h, left);
            left = after;
            if left <= least {
                return 0.0;
            }
            if left > CANCELLED * before {
                break;
            }
        }
        left
    }

    /// x ← x − Bh, where h is Bᵀx; returns ‖x‖ as it is, given what it was. Over ranks no reduction, as
    /// [`remove_from`](Self::remove_from) says.
    pub fn remove(&self, x: &mut [T], h: &[f64], norm: f64) -> f64 {
        self.add_times(-1.0, h, x);
        if !space::in_parts() {
            return kernels::norm(x);
        }
        let share = h.iter().map(|h| (h / norm).powi(2)).sum::<f64>();
        norm * (1.0 - share).max(0.0).sqrt()
    }

    /// The part of Bᵀx from the numbers at hand.
    fn transpose_times_part(&self, x: &[T], coefficients: &mut [f64]) {
        let (fours, rest) = coefficients.as_chunks_mut::<4>();
        let first = 4 * fours.len();
        for (i, four) in fours.iter_mut().enumerate() {
            *four = self.dots(4 * i, x, four_dots);
        }
        match rest {
            [a] => [*a] = self.dots(first, x, |x, b| b.map(|b| dot_block(b, x))),
            [a, b] => [*a, *b] = self.dots(first, x, |x, b| b.map(|b| dot_block(b, x))),
            [a, b, c] => [*a, *b, *c] = self.dots(first, x, |x, b| b.map(|b| dot_block(b, x))),
            _ => {}
        }
    }

    /// Inner products of x with `N` columns, from this one on, in one pass.
    fn dots<const N: usize>(
        &self,
        first: usize,
        x: &[T],
        block: impl Fn(&[T], [&[T]; N]) -> [f64; N] + Sync,
    ) -> [f64; N] {
        let columns: [&[T]; N] = std::array::from_fn(|i| self.column(first + i));
        tree_sum(self.dim, &|r| block(&x[r.clone()], columns.map(|b| &b[r.clone()])))
    }

    /// y ← y + α B c, in one pass over y.
    pub fn add_times(&self, alpha: f64, coefficients: &[f64], y: &mut [T]) {
        let (fours, rest) = coefficients.as_chunks::<4>();
        let scaled = |c: f64| T::from_f64(alpha * c);
        for_blocks(y, &|start, y| {
            let rows = start..start + y.len();
            let column = |j: usize| &self.column(j)[rows.clone()];
            for (i, &c) in fours.iter().enumerate() {
                add_four(c.map(scaled), std::array::from_fn(|k| column(4 * i + k)), y);
            }
            for (i, &c) in rest.iter().enumerate() {
                let (c, b) = (scaled(c), column(4 * fours.len() + i));
                y.iter_mut().zip(b).for_each(|(y, &b)| *y += c * b);
            }
        });
    }

    /// y ← B c.
    pub fn times(&self, coefficients: &[f64], y: &mut [T]) {
        y.fill(T::zero());
        self.add_times(1.0, coefficients, y);
    }
}

/// The leading columns of B, of length `dim` each, ← B C, with as many columns as C has; the others are left as they were.
/// C holds as many rows as B has columns, by columns.
pub fn rotate<T: Scalar>(dim: usize, columns: &mut [T], coefficients: &[f64]) {
    const ROWS: usize = 64;
    let count = columns.len() / dim;
    let mut rows = vec![T::zero(); ROWS * count];
    let mut sums = [0.0_f64; ROWS];
    for start in (0..dim).step_by(ROWS) {
        let height = ROWS.min(dim - start);
        for j in 0..count {
            rows[j * ROWS..j * ROWS + height].copy_from_slice(&columns[j * dim + start..j * dim + start + height]);
        }
        for (k, c) in coefficients.chunks_exact(count).enumerate() {
            sums.fill(0.0);
            for (row, &c) in rows.chunks_exact(ROWS).zip(c) {
                for (sum, &row) in sums.iter_mut().zip(row) {
                    *sum += c * row.into();
                }
            }
            for (out, &sum) in columns[k * dim + start..k * dim + start + height].iter_mut().zip(&sums) {
                *out = T::from_f64(sum);
            }
        }
    }
}

/// Four inner products with one vector, in one pass over a block.
#[inline]
fn four_dots<T: Scalar>(x: &[T], b: [&[T]; 4]) -> [f64; 4] {
    const LANES: usize = 4;
    #[inline(always)]
    fn sums<T: Scalar>(x: &[T], b: [&[T]; 4]) -> [[f64; LANES]; 4] {
        let mut sums = [[0.0; LANES]; 4];
        let (x, last_x) = x.as_chunks::<LANES>();
        let chunks: [&[[T; LANES]]; 4] = b.map(|b| &b.as_chunks().0[..x.len()]);
        for (i, x) in x.iter().enumerate() {
            let x = x.map(Into::<f64>::into);
            for (sums, b) in sums.iter_mut().zip(chunks) {
                for (lane, sum) in sums.iter_mut().enumerate() {
                    *sum += x[lane] * b[i][lane].into();
                }
            }
        }
        for (sums, b) in sums.iter_mut().zip(b) {
            for ((&x, &b), sum) in last_x.iter().zip(b.as_chunks::<LANES>().1).zip(sums) {
                *sum += x.into() * b.into();
            }
        }
        sums
    }
    let all = vectorized(
        x.len(),
        #[inline(always)]
        || sums(x, b),
    );
    all.map(|sums| (sums[0] + sums[2]) + (sums[1] + sums[3]))
}

/// y ← y + Σ cⱼbⱼ on a block.
#[inline]
fn add_four<T: Scalar>(c: [T; 4], b: [&[T]; 4], y: &mut [T]) {
    #[inline(always)]
    fn add<T: Scalar>(c: [T; 4], [b0, b1, b2, b3]: [&[T]; 4], y: &mut [T]) {
        for ((((y, &b0), &b1), &b2), &b3) in y.iter_mut().zip(b0).zip(b1).zip(b2).zip(b3) {
            *y += (c[0] * b0 + c[1] * b1) + (c[2] * b2 + c[3] * b3);
        }
    }
    vectorized(
        y.len(),
        #[inline(always)]
        || add(c, b, y),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::kernels::tests::vector;

    #[test]
    fn block_products_agree_with_single_ones() {
        for n in [1, 5, 4097] {
            for k in 1..10 {
                let data = vector(n * k, 3);
                let basis = Columns::new(n, &data);
                let x = vector(n, 4);
                let mut c = vec![0.0; k];
                basis.transpose_times(&x, &mut c);
                for j in 0..k {
                    let exact: f64 = basis.column(j).iter().zip(&x).map(|(a, b)| a * b).sum();
                    assert!((c[j] - exact).abs() < 1e-12 * n as f64);
                }
                let mut y = vec![f64::NAN; n];
                basis.times(&c, &mut y);
                for i in 0..n {
                    let exact: f64 = (0..k).map(|j| basis.column(j)[i] * c[j]).sum();
                    assert!((y[i] - exact).abs() < 1e-12 * n as f64);
                }
            }
        }
    }

    #[test]
    fn columns_are_rotated_in_place() {
        for n in [1, 63, 64, 200] {
            let data = vector(n * 3, 5);
            let c = [1.0, 2.0, 3.0, 0.5, -1.0, 0.25];
            let mut rotated = data.clone();
            rotate(n, &mut rotated, &c);
            let before = Columns::new(n, &data);
            for k in 0..2 {
                let mut expected = vec![0.0; n];
                before.times(&c[3 * k..3 * k + 3], &mut expected);
                assert!(rotated[k * n..(k + 1) * n].iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-14));
            }
            assert_eq!(rotated[2 * n..], data[2 * n..]);
        }
    }
}
