//! Eigendecomposition of small symmetric matrices by faer, in memory that is kept between calls.

use faer::diag::DiagMut;
use faer::dyn_stack::StackReq;
use faer::linalg::evd::{ComputeEigenvectors, SelfAdjointEvdParams, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{MatMut, MatRef, Par, Spec};

use super::native::{Scratch, clean_registers};

/// A = QΘQᵀ with eigenvalues in rising order.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Eigen {
    values: Vec<f64>,
    /// Eigenvectors by columns, `len × len`.
    vectors: Vec<f64>,
    len: usize,
    #[cfg_attr(feature = "serde", serde(skip))]
    scratch: Scratch,
}

impl Eigen {
    pub fn new(capacity: usize) -> Self {
        let mut eigen = Eigen {
            values: vec![0.0; capacity],
            vectors: vec![0.0; capacity * capacity],
            len: 0,
            scratch: Scratch::default(),
        };
        let request = eigen.reserve(capacity, Par::Seq);
        eigen.scratch.stack(request);
        eigen
    }

    /// Makes room for `len`, and says how much faer needs.
    fn reserve(&mut self, len: usize, parallel: Par) -> StackReq {
        if len == 0 {
            return StackReq::EMPTY;
        }
        if self.values.len() < len {
            self.values.resize(len, 0.0);
            self.vectors.resize(len * len, 0.0);
        }
        let params: Spec<SelfAdjointEvdParams, f64> = Spec::default();
        self_adjoint_evd_scratch::<f64>(len, ComputeEigenvectors::Yes, parallel, params)
    }

    /// Decomposes the leading `len × len` block of a symmetric matrix stored by columns with the given stride; only its
    /// lower triangle is read. Returns false if it is not finite or the iteration fails, and leaves no decomposition.
    pub fn decompose(&mut self, matrix: &[f64], stride: usize, len: usize, parallel: Par) -> bool {
        let request = self.reserve(len, parallel);
        self.len = 0;
        if len == 0 || (0..len).any(|j| matrix[j * stride + j..j * stride + len].iter().any(|v| !v.is_finite())) {
            return false;
        }
        if len <= 2 {
            self.decompose_tiny(matrix, stride, len);
            return true;
        }
        let a = MatRef::from_column_major_slice_with_stride(&matrix[..(len - 1) * stride + len], len, len, stride);
        let vectors = MatMut::from_column_major_slice_mut(&mut self.vectors[..len * len], len, len);
        let values = DiagMut::from_slice_mut(&mut self.values[..len]);
        let stack = self.scratch.stack(request);
        let done = self_adjoint_evd(a, values, Some(vectors), parallel, stack, Spec::default());
        clean_registers();
        if done.is_err() {
            return false;
        }
        self.len = len;
        true
    }

    /// One number, or one Jacobi rotation (Golub & Van Loan, *Matrix Computations* (2013), algorithm 8.5.1): the first
    /// steps of every Krylov space, where a general method would cost more than all else.
    fn decompose_tiny(&mut self, matrix: &[f64], stride: usize, len: usize) {
        self.len = len;
        if len == 1 {
            (self.values[0], self.vectors[0]) = (matrix[0], 1.0);
            return;
        }
        let (a, b, d) = (matrix[0], matrix[1], matrix[stride + 1]);
        // tan φ = 2b / (d − a ± √((d − a)² + 4b²)), with no quotient by b, which may be tiny, and halved against overflow.
        let half = 0.5 * d - 0.5 * a;
        let denominator = 0.5 * half.abs() + 0.5 * half.hypot(b);
        let t = if b == 0.0 { 0.0 } else { half.signum() * (0.5 * b / denominator) };
        let c = 1.0 / 1.0_f64.hypot(t);
        let s = t * c;
        let (first, second) = (a - t * b, d + t * b);
        let low_first = first <= second;
        self.values[..2].copy_from_slice(&if low_first { [first, second] } else { [second, first] });
        self.vectors[..4].copy_from_slice(&if low_first { [c, -s, s, c] } else { [s, c, c, -s] });
    }

    /// Eigenvalues in rising order.
    pub fn values(&self) -> &[f64] {
        &self.values[..self.len]
    }

    /// out ← Qᵀx.
    pub fn to_eigenbasis(&self, x: &[f64], out: &mut [f64]) {
        for (j, out) in out.iter_mut().enumerate().take(self.len) {
            let q = &self.vectors[j * self.len..(j + 1) * self.len];
            *out = q.iter().zip(x).map(|(q, x)| q * x).sum();
        }
    }

    /// out ← Qy.
    #[expect(clippy::wrong_self_convention, reason = "the other way of to_eigenbasis")]
    pub fn from_eigenbasis(&self, y: &[f64], out: &mut [f64]) {
        out[..self.len].fill(0.0);
        for (j, y) in y.iter().enumerate().take(self.len) {
            let q = &self.vectors[j * self.len..(j + 1) * self.len];
            out.iter_mut().zip(q).for_each(|(out, q)| *out += q * y);
        }
    }

    /// The eigenvector of the `j`-th lowest eigenvalue.
    pub fn vector(&self, j: usize) -> &[f64] {
        &self.vectors[j * self.len..(j + 1) * self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decomposes_a_strided_block() {
        // [[2, 1], [1, 2]] in the corner of a 3-strided array; the upper triangle is not read.
        let matrix = [2.0, 1.0, f64::NAN, f64::NAN, 2.0, f64::NAN];
        let mut eigen = Eigen::new(1);
        assert!(eigen.decompose(&matrix, 3, 2, Par::Seq));
        assert!((eigen.values()[0] - 1.0).abs() < 1e-15 && (eigen.values()[1] - 3.0).abs() < 1e-15);
        let (mut c, mut x) = ([0.0; 2], [0.0; 2]);
        eigen.to_eigenbasis(&[0.3, 0.7], &mut c);
        eigen.from_eigenbasis(&c, &mut x);
        assert!((x[0] - 0.3).abs() < 1e-15 && (x[1] - 0.7).abs() < 1e-15);
        assert!(!eigen.decompose(&[f64::NAN], 1, 1, Par::Seq));
    }

    #[test]
    fn two_by_two_matrices_are_diagonalised() {
        let mut eigen = Eigen::new(2);
        for [a, b, d] in [
            [1.0, 0.0, 2.0],
            [2.0, 0.0, 1.0],
            [1.0, 1e-30, 1.0],
            [-3.0, 4.0, 5.0],
            [1e8, -2.0, 1e-8],
            [0.0, 0.0, 0.0],
            [0.0, -1e200, 0.0],
            [1.0, 1e-300, 2.0],
            [2.0, -5e-324, 1.0],
            [1e308, 5e-324, -1e308],
        ] {
            assert!(eigen.decompose(&[a, b, b, d], 2, 2, Par::Seq));
            assert!(eigen.values()[0] <= eigen.values()[1]);
            let scale = f64::max(a.abs(), d.abs()).max(b.abs());
            for j in 0..2 {
                let (q, theta) = (eigen.vector(j), eigen.values()[j]);
                assert!((q[0].hypot(q[1]) - 1.0).abs() < 1e-15);
                assert!((a * q[0] + b * q[1] - theta * q[0]).abs() <= 1e-15 * scale);
                assert!((b * q[0] + d * q[1] - theta * q[1]).abs() <= 1e-15 * scale);
            }
        }
    }
}
