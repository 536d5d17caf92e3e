//! Cholesky's factorisation of small dense matrices that says where it failed: A = LLᵀ.
//!
//! Golub & Van Loan, *Matrix Computations* (2013), algorithm 4.2.1, by rows: for covariance matrices and projected
//! problems of a few hundred rows, which may gain rows; where a matrix is formed, the dense path has faer's.

use std::ops::Range;

use super::native::vectorized;

/// lower ← the rows `rows` of L with LLᵀ = A + λI, where the rows before are known; A and L by rows with stride `stride`,
/// 1/Lᵢᵢ on L's diagonal. Returns how many rows are known then: fewer where A + λI is not positive definite to rounding,
/// a pivot at most kε of its diagonal entry or of the largest.
pub fn cholesky_rows(matrix: &[f64], stride: usize, shift: f64, lower: &mut [f64], rows: Range<usize>) -> usize {
    let end = rows.end;
    let largest = (0..end).fold(0.0, |l: f64, i| l.max(matrix[i * stride + i] + shift));
    let least = f64::EPSILON * end as f64 * largest;
    let mut known = rows.start;
    vectorized(
        #[inline(always)]
        || {
            for i in rows {
                let (above, row) = lower.split_at_mut(i * stride);
                let entries = &matrix[i * stride..i * stride + i + 1];
                for j in 0..i {
                    let other = &above[j * stride..j * stride + j + 1];
                    row[j] = (entries[j] - lane_dot(&row[..j], &other[..j])) * other[j];
                }
                let pivot = entries[i] + shift - lane_dot(&row[..i], &row[..i]);
                if pivot.is_nan() || pivot <= least {
                    return;
                }
                row[i] = pivot.sqrt().recip();
                known = i + 1;
            }
        },
    );
    known
}

/// x ← L⁻¹x, with L of [`cholesky_rows`].
pub fn lower_rows_solve(lower: &[f64], stride: usize, x: &mut [f64]) {
    for i in 0..x.len() {
        let row = &lower[i * stride..i * stride + i + 1];
        x[i] = (x[i] - lane_dot(&row[..i], &x[..i])) * row[i];
    }
}

/// x ← L⁻ᵀx, with L of [`cholesky_rows`].
pub fn lower_rows_transpose_solve(lower: &[f64], stride: usize, x: &mut [f64]) {
    for i in (0..x.len()).rev() {
        let row = &lower[i * stride..i * stride + i + 1];
        x[i] *= row[i];
        let scale = x[i];
        x[..i].iter_mut().zip(row).for_each(|(x, l)| *x -= scale * l);
    }
}

/// aᵀb in eight chains of sums.
#[inline(always)]
pub fn lane_dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let ((a, last_a), (b, last_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    for ((a, b), sum) in last_a.iter().zip(last_b).zip(&mut sums) {
        *sum += a * b;
    }
    ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]))
}

/// The factor of a symmetric positive definite matrix.
#[derive(Clone, Debug)]
pub struct Cholesky {
    dim: usize,
    /// L by rows; what is above the diagonal is arbitrary.
    lower: Vec<f64>,
}

impl Cholesky {
    /// Factors a matrix given by rows, of which only the lower triangle is read; or gives the first pivot that is not
    /// positive, with its index.
    pub fn new(dim: usize, mut matrix: Vec<f64>) -> Result<Self, (usize, f64)> {
        for i in 0..dim {
            let (above, row) = matrix.split_at_mut(i * dim);
            for j in 0..i {
                let other = &above[j * dim..j * dim + j + 1];
                row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
            }
            let pivot = row[i] - dot(&row[..i], &row[..i]);
            if !(pivot > 0.0 && pivot.is_finite()) {
                return Err((i, pivot));
            }
            row[i] = pivot.sqrt();
        }
        Ok(Cholesky { dim, lower: matrix })
    }

    /// ln det A.
    pub fn log_determinant(&self) -> f64 {
        (0..self.dim).map(|i| 2.0 * self.lower[i * self.dim + i].ln()).sum()
    }

    /// b ← A⁻¹b.
    pub fn solve(&self, b: &mut [f64]) {
        let (n, l) = (self.dim, &self.lower);
        for i in 0..n {
            b[i] = (b[i] - dot(&l[i * n..i * n + i], &b[..i])) / l[i * n + i];
        }
        for i in (0..n).rev() {
            b[i] /= l[i * n + i];
            let scale = b[i];
            b[..i].iter_mut().zip(&l[i * n..i * n + i]).for_each(|(b, l)| *b -= scale * l);
        }
    }

    /// A⁻¹, both triangles.
    pub fn inverse(&self) -> Vec<f64> {
        let n = self.dim;
        let mut inverse = vec![0.0; n * n];
        for (j, column) in inverse.chunks_exact_mut(n).enumerate() {
            column[j] = 1.0;
            self.solve(column);
        }
        for i in 0..n {
            for j in 0..i {
                let mean = 0.5 * (inverse[i * n + j] + inverse[j * n + i]);
                (inverse[i * n + j], inverse[j * n + i]) = (mean, mean);
            }
        }
        inverse
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_solves_and_inverts() {
        // A = LLᵀ with L = [2; 1 3; −1 2 1]; the upper triangle is not read.
        let nan = f64::NAN;
        let a = Cholesky::new(3, vec![4.0, nan, nan, 2.0, 10.0, nan, -2.0, 5.0, 6.0]).ok().unwrap();
        assert!((a.log_determinant() - 36_f64.ln()).abs() < 1e-15);
        let mut b = [4.0, 17.0, 9.0]; // A (1, 1, 1)ᵀ
        a.solve(&mut b);
        assert!(b.iter().all(|b| (b - 1.0).abs() < 1e-14), "{b:?}");
        let (matrix, inverse) = ([4.0, 2.0, -2.0, 2.0, 10.0, 5.0, -2.0, 5.0, 6.0], a.inverse());
        for i in 0..3 {
            for j in 0..3 {
                let entry: f64 = (0..3).map(|k| matrix[3 * i + k] * inverse[3 * k + j]).sum();
                assert!((entry - f64::from(u8::from(i == j))).abs() < 1e-14);
            }
        }
    }

    #[test]
    fn says_where_it_failed() {
        assert_eq!(Cholesky::new(2, vec![1.0, 0.0, 2.0, 3.0]).err(), Some((1, -1.0)));
        assert_eq!(Cholesky::new(1, vec![0.0]).err(), Some((0, 0.0)));
        assert_eq!(Cholesky::new(2, vec![f64::NAN; 4]).err().map(|e| e.0), Some(0));
    }
}
