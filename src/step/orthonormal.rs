//! Orthonormal columns U that grow by one direction at a time; U = I where they were made to span everything.

use crate::base::columns::{CANCELLED, Columns, ROUNDING};
use crate::base::native::{Matrix, MatrixMut};
use crate::base::{Scalar, kernels, space};

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
        let (again, rows) = (vec![0.0; capacity + 1], vec![T::zero(); height * capacity]);
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

    /// v ← v − Uc for c = Uᵀv, again where much of v cancelled; returns ‖v‖, given what it was, or 0 where no more is left than
    /// rounding. c stays Uᵀ of what v was.
    pub fn remove(&mut self, c: &mut [f64], norm: f64, v: &mut [T]) -> f64 {
        let m = self.len;
        if m == space::whole(self.dim) {
            return 0.0;
        }
        let least = ROUNDING * T::epsilon_f64() * norm;
        let (mut before, mut left) = (norm, self.columns().remove(v, &c[..m], norm));
        let columns = Columns::new(self.dim, &self.data[..m * self.dim]);
        let mut remove_again = |v: &mut [T], left: f64| {
            let again = &mut self.again[..m + 1];
            let norms = columns.remove_from(v, again, left);
            c.iter_mut().zip(&again[..m]).for_each(|(c, again)| *c += *again);
            norms
        };
        if space::in_parts() && left < CANCELLED * before {
            // `left` lacks digits there; and twice at most, so that any number of ranks makes as many passes.
            [before, _] = remove_again(v, left);
            return if before <= least { 0.0 } else { kernels::norm(v) };
        }
        while left < CANCELLED * before {
            if left <= least {
                return 0.0;
            }
            [before, left] = remove_again(v, left);
        }
        left
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SplitMix64;

    /// What is left of Uc + `outside` · (a normal vector), in units of ‖c‖, and the largest |uᵀv| of what is pushed.
    fn left<T: Scalar>(outside: f64) -> (f64, f64) {
        let d = 50;
        let mut random = SplitMix64::new(1);
        let mut normals = || (0..d).map(|_| T::from_f64(random.normal())).collect::<Vec<T>>();
        let mut u = OrthonormalBasis::<T>::new(d, 5);
        let remove = |u: &mut OrthonormalBasis<T>, norm: f64, v: &mut [T]| {
            let mut c = [0.0; 5];
            u.inside(v, &mut c);
            u.remove(&mut c, norm, v)
        };
        for _ in 0..4 {
            let mut v = normals();
            let left = remove(&mut u, kernels::norm(&v), &mut v);
            u.push(left, &v);
        }
        let mut v = normals();
        kernels::scale(outside, &mut v);
        u.add(1.0, &[3.0, -1.0, 2.0, 0.5], &mut v);
        let norm = kernels::norm(&v);
        let left = remove(&mut u, norm, &mut v);
        if left > 0.0 {
            u.push(left, &v);
        }
        let last = u.columns().column(u.len - 1);
        (left / norm, (0..u.len - 1).map(|j| kernels::dot(u.columns().column(j), last).abs()).fold(0.0, f64::max))
    }

    #[test]
    fn what_is_left_is_orthogonal_or_nothing() {
        for outside in [1.0, 1e-4, 1e-9, 1e-13] {
            let (left, across) = left::<f64>(outside);
            assert!(left > 0.1 * outside && left < 10.0 * outside && across < 1e-14, "{outside}: {left} {across}");
        }
        assert_eq!(left::<f64>(0.0).0, 0.0);
        assert_eq!(left::<f64>(1e-17).0, 0.0);
        assert_eq!(left::<f32>(1e-9).0, 0.0);
    }
}
