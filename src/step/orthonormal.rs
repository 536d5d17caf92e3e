//! Orthonormal columns U that grow by one direction at a time; U = I where they were made to span everything.

use crate::base::native::{Matrix, MatrixMut};
use crate::base::{Scalar, columns::Columns, kernels, space};

/// A part left of less than this share is orthogonalised again: "twice is enough" (Giraud, Langou, Rozložník & van den Eshof,
/// Numer. Math. 101 (2005)). Without it what rounding leaves grows from column to column.
const CANCELLED: f64 = 0.7;
/// Rows of U that are multiplied at once.
const ROWS: usize = 256;

/// U. Storage: `capacity` vectors of length d.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OrthonormalBasis<T> {
    dim: usize,
    len: usize,
    /// By columns.
    data: Vec<T>,
    /// Whether U = I.
    identity: bool,
    again: Vec<f64>,
    rows: Vec<T>,
}

impl<T: Scalar> OrthonormalBasis<T> {
    pub fn new(dim: usize, capacity: usize) -> Self {
        let data = vec![T::zero(); dim * capacity];
        let height = if capacity < space::whole(dim) { ROWS.min(dim) } else { 0 };
        let (again, rows) = (vec![0.0; capacity], vec![T::zero(); height * capacity]);
        OrthonormalBasis { dim, len: 0, data, identity: false, again, rows }
    }

    fn columns(&self) -> Columns<'_, T> {
        Columns::new(self.dim, &self.data[..self.len * self.dim])
    }

    /// Entry i of column j.
    pub fn entry(&self, i: usize, j: usize) -> f64 {
        self.data[j * self.dim + i].into()
    }

    /// a ← Uᵀv.
    pub fn inside(&self, v: &[T], a: &mut [f64]) {
        if self.identity {
            a.iter_mut().zip(v).for_each(|(a, &v)| *a = v.into());
        } else {
            self.columns().transpose_times(v, &mut a[..self.len]);
        }
    }

    /// v ← v + αUc.
    pub fn add(&self, alpha: f64, c: &[f64], v: &mut [T]) {
        if self.identity {
            v.iter_mut().zip(c).for_each(|(v, c)| *v = T::from_f64((*v).into() + alpha * c));
        } else {
            self.columns().add_times(alpha, &c[..self.len], v);
        }
    }

    /// v ← v − Uc for c = Uᵀv, once more where much of v cancelled; returns ‖v‖, given what it was. c stays Uᵀ of what v was.
    pub fn remove(&mut self, c: &mut [f64], norm: f64, v: &mut [T]) -> f64 {
        let m = self.len;
        if m == space::whole(self.dim) {
            return 0.0;
        }
        let left = self.columns().remove(v, &c[..m], norm);
        if left >= CANCELLED * norm {
            return left;
        }
        let again = &mut self.again[..m];
        let columns = Columns::new(self.dim, &self.data[..m * self.dim]);
        columns.transpose_times(v, again);
        columns.add_times(-1.0, again, v);
        c.iter_mut().zip(again).for_each(|(c, again)| *c += *again);
        kernels::norm(v)
    }

    /// Adds the direction of `v`, which is orthogonal to U and of length `left`.
    pub fn push(&mut self, left: f64, v: &[T]) {
        kernels::scale_into(left.recip(), v, &mut self.data[self.len * self.dim..(self.len + 1) * self.dim]);
        self.len += 1;
    }

    /// U ← UQ for Q given by columns, fewer than U has.
    pub fn multiply(&mut self, q: &[T]) {
        let (dim, m) = (self.dim, self.len);
        if q.is_empty() {
            self.len = 0;
            return;
        }
        let keep = q.len() / m;
        for start in (0..dim).step_by(ROWS) {
            let height = ROWS.min(dim - start);
            for (j, rows) in self.rows.chunks_exact_mut(height).enumerate().take(m) {
                rows.copy_from_slice(&self.data[j * dim + start..j * dim + start + height]);
            }
            let target = MatrixMut::by_columns(&mut self.data[start..], height, keep, dim);
            let from = Matrix::by_columns(&self.rows[..height * m], height, m, height);
            T::multiply(target, false, from, Matrix::by_columns(q, m, keep, m));
        }
        self.len = keep;
    }

    /// Whether U is known to be I.
    pub fn is_identity(&self) -> bool {
        self.identity
    }

    /// U ← I.
    pub fn become_identity(&mut self) {
        (self.len, self.identity) = (self.dim, true);
    }
}
