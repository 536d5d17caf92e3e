//! What conjugate gradients learn of a system, kept for the next one: its slow directions.
//!
//! With a preconditioner P, conjugate gradients are slow where M has small eigenvalues relative to P. Their directions p and
//! products Mp are kept; the pencil (M, P), projected on them, has the slow ones as its lowest Ritz vectors W. The next
//! system, for another λ or at another point, is a little different but slow in nearly the same directions. W is made
//! orthonormal in its own M, for a product each, and the preconditioner becomes
//!
//!   (I − WWᵀM) P⁻¹ (I − MWWᵀ) + WWᵀ,   WᵀMW = I
//!
//! which is the inverse of M on W and P⁻¹ elsewhere (the limited-memory preconditioners of Gratton, Sartenaer & Tshimanga,
//! SIAM J. Optim. 21 (2011), section 2, with Ritz vectors as in their section 4; they keep the products of the system
//! before, we make those of the present one, so that a changed λ does no harm).

use faer::Par;

use crate::base::{Eigen, columns::Columns, small};

/// Directions kept for the next system. On a loop of 200 cameras 16, 32 and 64 were compared.
const MOST: usize = 64;
/// Directions, those kept among them, that are recorded before they are condensed.
const RECORDED: (usize, usize) = (2 * MOST, 6 * MOST);

/// Writes a product with a symmetric matrix to its second argument.
type Product<'a> = &'a mut dyn FnMut(&[f64], &mut [f64]);

/// W, and the directions recorded for the next one. Storage: at most 832 vectors.
pub struct Deflation {
    dim: usize,
    most: usize,
    /// B, of which the first `len` columns are W, and MB.
    basis: Vec<f64>,
    products: Vec<f64>,
    len: usize,
    count: usize,
    eigen: Eigen,
    gram: Vec<f64>,
    metric: Vec<f64>,
    combinations: Vec<f64>,
    scratch: Vec<f64>,
    coefficients: Vec<f64>,
}

impl Deflation {
    /// Room in so many numbers; `None` if that is too little.
    pub fn new(dim: usize, numbers: usize) -> Option<Self> {
        let most = (numbers / (2 * dim.max(1))).min(RECORDED.1);
        (dim > 0 && most >= RECORDED.0).then(|| Deflation {
            dim,
            most,
            basis: vec![0.0; dim * most],
            products: vec![0.0; dim * most],
            len: 0,
            count: 0,
            eigen: Eigen::new(most),
            gram: vec![0.0; most * most],
            metric: vec![0.0; most * most],
            combinations: vec![0.0; most * most],
            scratch: vec![0.0; dim * MOST],
            coefficients: vec![0.0; most],
        })
    }

    /// Storage in numbers.
    pub fn numbers(&self) -> usize {
        self.basis.len() + self.products.len() + self.scratch.len() + 3 * self.gram.len()
    }

    /// The columns of W.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Takes W over to a new system, whose products `product` makes: one each, until it refuses.
    pub fn renew(&mut self, mut product: impl FnMut(&[f64], &mut [f64]) -> bool) {
        let dim = self.dim;
        let columns = self.basis.chunks_exact(dim).zip(self.products.chunks_exact_mut(dim));
        self.len = columns.take(self.len).map(|(w, mw)| product(w, mw)).take_while(|&made| made).count();
        self.count = self.len;
        self.combine(None, self.len);
    }

    /// Records a direction of conjugate gradients with its product.
    pub fn record(&mut self, p: &[f64], mp: &[f64], curvature: f64) {
        let scale = curvature.sqrt().recip();
        let at = self.count * self.dim..(self.count + 1) * self.dim;
        self.basis[at.clone()].iter_mut().zip(p).for_each(|(to, p)| *to = scale * p);
        self.products[at].iter_mut().zip(mp).for_each(|(to, mp)| *to = scale * mp);
        self.count += 1;
    }

    pub fn is_full(&self) -> bool {
        self.count == self.most
    }

    /// W ← the slowest directions of all that is known of this system; `metric` multiplies by P.
    pub fn condense(&mut self, mut metric: impl FnMut(&[f64], &mut [f64])) {
        self.combine(Some(&mut metric), MOST);
    }

    /// Keeps nothing.
    pub fn clear(&mut self) {
        (self.len, self.count) = (0, 0);
    }

    /// Whether W pays for a system like one that took so many products without it, or with it, those of W included.
    pub fn pays(&self, products: usize) -> bool {
        products >= 2 * MOST
    }

    /// Replaces B by at most `most` combinations of its columns that are orthonormal in M: of those the lowest Ritz
    /// vectors of (M, P), if P is known.
    fn combine(&mut self, metric: Option<Product<'_>>, most: usize) {
        let (dim, k) = (self.dim, self.count);
        if k == 0 {
            self.len = 0;
            return;
        }
        let basis = Columns::new(dim, &self.basis[..k * dim]);
        let products = Columns::new(dim, &self.products[..k * dim]);
        for j in 0..k {
            basis.transpose_times(products.column(j), &mut self.gram[j * k..(j + 1) * k]);
        }
        for i in 0..k {
            for j in 0..i {
                let mean = 0.5 * (self.gram[i * k + j] + self.gram[j * k + i]);
                (self.gram[i * k + j], self.gram[j * k + i]) = (mean, mean);
            }
        }
        small::cholesky(&mut self.gram[..k * k], k);
        // Combinations, by columns: L⁻ᵀY.
        let combinations = &mut self.combinations[..k * k];
        combinations.fill(0.0);
        let kept = if let Some(metric) = metric {
            let image = &mut self.scratch[..dim];
            for j in 0..k {
                metric(basis.column(j), image);
                basis.transpose_times(image, &mut self.metric[j * k..(j + 1) * k]);
            }
            // L⁻¹ G L⁻ᵀ: twice the rows solved with L, with a transposition in between.
            for _ in 0..2 {
                for column in self.metric[..k * k].chunks_exact_mut(k) {
                    small::lower_solve(&self.gram[..k * k], column);
                }
                for i in 0..k {
                    for j in 0..i {
                        self.metric.swap(i * k + j, j * k + i);
                    }
                }
            }
            if !self.eigen.decompose(&self.metric, k, k, Par::Seq) {
                (self.len, self.count) = (0, 0);
                return;
            }
            // The largest of P in units of M are the lowest of M in units of P.
            let kept = most.min(self.eigen.values().iter().filter(|&&value| value > 0.0).count());
            for (i, column) in combinations.chunks_exact_mut(k).take(kept).enumerate() {
                column.copy_from_slice(&self.eigen.vector(k - 1 - i)[..k]);
            }
            kept
        } else {
            (0..k).for_each(|i| combinations[i * k + i] = 1.0);
            k
        };
        for column in combinations.chunks_exact_mut(k).take(kept) {
            small::lower_transpose_solve(&self.gram[..k * k], column);
        }
        let next = &mut self.scratch[..dim * kept];
        for data in [&mut self.basis, &mut self.products] {
            let columns = Columns::new(dim, &data[..k * dim]);
            for (to, c) in next.chunks_exact_mut(dim).zip(combinations.chunks_exact(k)) {
                columns.times(c, to);
            }
            data[..kept * dim].copy_from_slice(next);
        }
        (self.len, self.count) = (kept, kept);
    }

    /// r ← (I − MWWᵀ)r; keeps Wᵀr.
    pub fn before(&mut self, r: &mut [f64]) {
        let k = self.len;
        Columns::new(self.dim, &self.basis[..k * self.dim]).transpose_times(r, &mut self.coefficients[..k]);
        Columns::new(self.dim, &self.products[..k * self.dim]).add_times(-1.0, &self.coefficients[..k], r);
    }

    /// z ← (I − WWᵀM)z + WWᵀr, with the Wᵀr of [`before`](Self::before).
    pub fn after(&mut self, z: &mut [f64]) {
        let k = self.len;
        let mut along = [0.0; MOST];
        Columns::new(self.dim, &self.products[..k * self.dim]).transpose_times(z, &mut along[..k]);
        along.iter_mut().zip(&self.coefficients[..k]).for_each(|(a, c)| *a = c - *a);
        Columns::new(self.dim, &self.basis[..k * self.dim]).add_times(1.0, &along[..k], z);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{kernels, random::SplitMix64};

    /// A symmetric matrix with five eigenvalues near 1e-6 and the others in [1, 2]: a reflection of a diagonal one.
    fn product(scale: f64) -> impl Fn(&[f64], &mut [f64]) {
        move |x, out| {
            let reflect = |x: &mut [f64]| {
                let v: Vec<f64> = (0..x.len()).map(|i| ((i * i) as f64).cos()).collect();
                let factor = -2.0 * kernels::dot(&v, x) / kernels::dot(&v, &v);
                kernels::axpy(factor, &v, x);
            };
            out.copy_from_slice(x);
            reflect(out);
            for (i, v) in out.iter_mut().enumerate() {
                *v *= scale * if i < 5 { 1e-6 * (i + 1) as f64 } else { 1.0 + (i as f64 / 300.0) };
            }
            reflect(out);
        }
    }

    #[test]
    fn slow_directions_are_found_and_inverted() {
        let dim = 300;
        let mut random = SplitMix64::new(3);
        let mut deflation = Deflation::new(dim, 4 * MOST * dim).unwrap();
        assert!(Deflation::new(dim, 4 * MOST * dim - 1).is_none());
        // Conjugate gradients without a preconditioner.
        let apply = product(1.0);
        let mut r: Vec<f64> = (0..dim).map(|_| random.normal()).collect();
        let (mut p, mut q, mut rr) = (r.clone(), vec![0.0; dim], kernels::dot(&r, &r));
        for _ in 0..100 {
            apply(&p, &mut q);
            let curvature = kernels::dot(&p, &q);
            deflation.record(&p, &q, curvature);
            kernels::axpy(-rr / curvature, &q, &mut r);
            let next = kernels::dot(&r, &r);
            kernels::axpby(1.0, &r, next / rr, &mut p);
            rr = next;
        }
        deflation.condense(|x, out| out.copy_from_slice(x));
        assert!(deflation.len() >= 5 && deflation.pays(2 * MOST));
        // For the same system, and for one of another scale.
        for scale in [1.0, 3.0] {
            let apply = product(scale);
            deflation.renew(|x, out| {
                apply(x, out);
                true
            });
            for w in deflation.basis.clone().chunks_exact(dim).take(deflation.len()) {
                let mut z = vec![0.0; dim];
                apply(w, &mut z);
                assert!((kernels::dot(w, &z) - 1.0).abs() < 1e-9);
                deflation.before(&mut z);
                deflation.after(&mut z);
                kernels::axpy(-1.0, w, &mut z);
                assert!(kernels::norm(&z) < 1e-6 * kernels::norm(w));
            }
            // The slowest direction: the reflection of the first unit vector is in the space.
            let v: Vec<f64> = (0..dim).map(|i| ((i * i) as f64).cos()).collect();
            let mut slow: Vec<f64> = v.iter().map(|x| -2.0 * v[0] / kernels::dot(&v, &v) * x).collect();
            slow[0] += 1.0;
            let mut z = vec![0.0; dim];
            apply(&slow, &mut z);
            deflation.before(&mut z);
            deflation.after(&mut z);
            kernels::axpy(-1.0, &slow, &mut z);
            assert!(kernels::norm(&z) < 1e-3, "{}", kernels::norm(&z));
        }
        let mut left = 3;
        deflation.renew(|x, out| {
            product(1.0)(x, out);
            left -= 1;
            left >= 0
        });
        assert_eq!(deflation.len(), 3);
        deflation.clear();
        let mut z = vec![1.0; dim];
        deflation.before(&mut z);
        deflation.after(&mut z);
        assert_eq!(z, vec![1.0; dim]);
    }
}
