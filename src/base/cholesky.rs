//! Cholesky's factorisation of small dense matrices that says where it failed: A = LLᵀ.
//!
//! Golub & Van Loan, *Matrix Computations* (2013), algorithm 4.2.1, by rows: for covariance matrices; where a matrix is formed,
//! the dense path has faer's.

use super::{Result, check_component};

/// The factor of a symmetric positive definite matrix.
#[derive(Clone, Debug)]
pub struct Cholesky {
    dim: usize,
    /// L by rows; what is above the diagonal is arbitrary.
    lower: Vec<f64>,
}

impl Cholesky {
    /// Factors a matrix given by rows, of which only the lower triangle is read; refuses one that is not positive definite
    /// under the name `argument` of its pivots.
    pub fn new(argument: &'static str, dim: usize, mut matrix: Vec<f64>) -> Result<Self> {
        for i in 0..dim {
            let (above, row) = matrix.split_at_mut(i * dim);
            for j in 0..i {
                let other = &above[j * dim..j * dim + j + 1];
                row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
            }
            let pivot = row[i] - dot(&row[..i], &row[..i]);
            let positive = pivot > 0.0 && pivot.is_finite();
            check_component(argument, i, pivot, positive, "positive: the matrix is not positive definite")?;
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
        let a = Cholesky::new("pivot", 3, vec![4.0, nan, nan, 2.0, 10.0, nan, -2.0, 5.0, 6.0]).unwrap();
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
        let error = |dim, matrix: Vec<f64>| Cholesky::new("pivot", dim, matrix).unwrap_err().to_string();
        assert!(error(2, vec![1.0, 0.0, 2.0, 3.0]).starts_with("pivot[1] is -1, but must be positive"));
        assert!(error(1, vec![0.0]).starts_with("pivot[0] is 0,"));
        assert!(error(2, vec![f64::NAN; 4]).starts_with("pivot[0] is NaN,"));
    }
}
