//! Vector kernels: the only place where vectors are summed.
//!
//! Long sums run over blocks of fixed size, joined by a binary tree that depends on the length alone, so a result is
//! bitwise the same for any number of threads. All sums accumulate in `f64`, whatever the vectors hold. A distributed
//! run would replace [`tree_sum`] and nothing else.

use std::ops::Range;

use super::Scalar;

/// Elements in a leaf of the summation tree (32 KiB of `f64`: one level-1 cache).
const BLOCK: usize = 4096;
/// Elements from which both branches of the tree run in parallel.
const PARALLEL: usize = 1 << 16;
/// Independent partial sums inside a block; a fixed number that the compiler turns into vector registers.
const LANES: usize = 8;

/// Sums `N` quantities at once over `0..len` by a fixed binary tree of blocks.
#[inline]
fn tree_sum<const N: usize>(len: usize, leaf: &(impl Fn(Range<usize>) -> [f64; N] + Sync)) -> [f64; N] {
    fn node<const N: usize>(
        blocks: Range<usize>,
        len: usize,
        leaf: &(impl Fn(Range<usize>) -> [f64; N] + Sync),
    ) -> [f64; N] {
        let count = blocks.end - blocks.start;
        if count <= 1 {
            return leaf(blocks.start * BLOCK..(blocks.end * BLOCK).min(len));
        }
        let middle = blocks.start + count / 2;
        let (low, high) = (blocks.start..middle, middle..blocks.end);
        let (a, b) = if count * BLOCK >= PARALLEL {
            rayon::join(|| node(low, len, leaf), || node(high, len, leaf))
        } else {
            (node(low, len, leaf), node(high, len, leaf))
        };
        std::array::from_fn(|i| a[i] + b[i])
    }
    if len <= BLOCK { leaf(0..len) } else { node(0..len.div_ceil(BLOCK), len, leaf) }
}

/// Calls `body(start, block)` for every block of `y`, in parallel when `y` is long.
#[inline]
fn for_blocks<T: Scalar>(y: &mut [T], body: &(impl Fn(usize, &mut [T]) + Sync)) {
    fn node<T: Scalar>(start: usize, y: &mut [T], body: &(impl Fn(usize, &mut [T]) + Sync)) {
        if y.len() < PARALLEL {
            for (i, block) in y.chunks_mut(BLOCK).enumerate() {
                body(start + i * BLOCK, block);
            }
        } else {
            let middle = y.len().div_ceil(BLOCK) / 2 * BLOCK;
            let (low, high) = y.split_at_mut(middle);
            rayon::join(|| node(start, low, body), || node(start + middle, high, body));
        }
    }
    if y.len() <= BLOCK { body(0, y) } else { node(0, y, body) }
}

/// Σ term(i) over a block, in `LANES` interleaved partial sums that are joined pairwise.
#[inline]
fn lanes(len: usize, term: impl Fn(usize) -> f64) -> f64 {
    let mut sums = [0.0; LANES];
    let whole = len - len % LANES;
    let mut i = 0;
    while i < whole {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += term(i + lane);
        }
        i += LANES;
    }
    while i < len {
        sums[i - whole] += term(i);
        i += 1;
    }
    ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]))
}

/// aᵀb.
pub fn dot<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    debug_assert_eq!(a.len(), b.len());
    tree_sum(a.len(), &|r| {
        let (a, b) = (&a[r.clone()], &b[r]);
        [lanes(a.len(), |i| a[i].into() * b[i].into())]
    })[0]
}

/// Σ term(i) over `0..len`.
pub fn sum_terms(len: usize, term: impl Fn(usize) -> f64 + Sync) -> f64 {
    tree_sum(len, &|r| [lanes(r.len(), |i| term(r.start + i))])[0]
}

/// Σ aᵢ.
pub fn sum(a: &[f64]) -> f64 {
    tree_sum(a.len(), &|r| {
        let a = &a[r];
        [lanes(a.len(), |i| a[i])]
    })[0]
}

/// ‖a‖² − ‖b‖² as (a − b)ᵀ(a + b), which loses nothing where they are close.
pub fn square_difference<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    debug_assert_eq!(a.len(), b.len());
    tree_sum(a.len(), &|r| {
        let (a, b) = (&a[r.clone()], &b[r]);
        [lanes(a.len(), |i| {
            let (a, b): (f64, f64) = (a[i].into(), b[i].into());
            (a - b) * (a + b)
        })]
    })[0]
}

/// ‖a‖₂, without overflow or underflow in the squares.
pub fn norm<T: Scalar>(a: &[T]) -> f64 {
    let squared = dot(a, a);
    if (1e-280..1e280).contains(&squared) {
        return squared.sqrt();
    }
    let largest = max_abs(a);
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    let scale = largest.recip();
    if !scale.is_finite() {
        // Every component is subnormal; their squares are far below any tolerance.
        return largest;
    }
    let scaled = tree_sum(a.len(), &|r| {
        let a = &a[r];
        [lanes(a.len(), |i| {
            let v: f64 = a[i].into() * scale;
            v * v
        })]
    })[0];
    scaled.sqrt() * largest
}

/// maxᵢ |aᵢ|; NaN if any component is NaN.
pub fn max_abs<T: Scalar>(a: &[T]) -> f64 {
    a.iter().fold(0.0, |m, &v| {
        let v: f64 = v.into();
        if v.abs() > m || v.is_nan() { v.abs() } else { m }
    })
}

/// Whether every component is finite.
pub fn all_finite<T: Scalar>(a: &[T]) -> bool {
    a.iter().all(|v| v.is_finite())
}

/// y ← y + αx.
pub fn axpy<T: Scalar>(alpha: f64, x: &[T], y: &mut [T]) {
    let alpha = T::from_f64(alpha);
    for_blocks(y, &|start, y| {
        for (y, &x) in y.iter_mut().zip(&x[start..]) {
            *y += alpha * x;
        }
    });
}

/// y ← αx + βy.
pub fn axpby<T: Scalar>(alpha: f64, x: &[T], beta: f64, y: &mut [T]) {
    let (alpha, beta) = (T::from_f64(alpha), T::from_f64(beta));
    for_blocks(y, &|start, y| {
        for (y, &x) in y.iter_mut().zip(&x[start..]) {
            *y = alpha * x + beta * *y;
        }
    });
}

/// z ← x + αy.
pub fn add_scaled<T: Scalar>(x: &[T], alpha: f64, y: &[T], z: &mut [T]) {
    let alpha = T::from_f64(alpha);
    for_blocks(z, &|start, z| {
        for ((z, &x), &y) in z.iter_mut().zip(&x[start..]).zip(&y[start..]) {
            *z = x + alpha * y;
        }
    });
}

/// y ← αx.
pub fn scale_into<T: Scalar>(alpha: f64, x: &[T], y: &mut [T]) {
    let alpha = T::from_f64(alpha);
    for_blocks(y, &|start, y| {
        for (y, &x) in y.iter_mut().zip(&x[start..]) {
            *y = alpha * x;
        }
    });
}

/// y ← αy.
pub fn scale<T: Scalar>(alpha: f64, y: &mut [T]) {
    let alpha = T::from_f64(alpha);
    for_blocks(y, &|_, y| y.iter_mut().for_each(|y| *y *= alpha));
}

/// pᵀp and pᵀq, in one pass.
pub fn norm_and_dot<T: Scalar>(p: &[T], q: &[T]) -> (f64, f64) {
    let [pp, pq] = tree_sum(p.len(), &|r| {
        let (p, q) = (&p[r.clone()], &q[r]);
        [lanes(p.len(), |i| p[i].into() * p[i].into()), lanes(p.len(), |i| p[i].into() * q[i].into())]
    });
    (pp, pq)
}

/// z ← z + αp and r ← r + α(q + λp); returns rᵀr and zᵀz. One pass: the updates of conjugate gradients, q being Mp.
pub fn conjugate_gradient_update<T: Scalar>(
    alpha: f64,
    lambda: f64,
    p: &[T],
    q: &[T],
    z: &mut [T],
    r: &mut [T],
) -> (f64, f64) {
    fn node<T: Scalar>(alpha: T, lambda: T, p: &[T], q: &[T], z: &mut [T], r: &mut [T]) -> (f64, f64) {
        let n = z.len();
        if n > BLOCK {
            let middle = n.div_ceil(BLOCK) / 2 * BLOCK;
            let ((p, p2), (q, q2)) = (p.split_at(middle), q.split_at(middle));
            let ((z, z2), (r, r2)) = (z.split_at_mut(middle), r.split_at_mut(middle));
            let (mut low, mut high) = (|| node(alpha, lambda, p, q, z, r), || node(alpha, lambda, p2, q2, z2, r2));
            let (a, b) = if n >= PARALLEL { rayon::join(low, high) } else { (low(), high()) };
            return (a.0 + b.0, a.1 + b.1);
        }
        for i in 0..n {
            z[i] += alpha * p[i];
            r[i] += alpha * (q[i] + lambda * p[i]);
        }
        (lanes(n, |i| r[i].into() * r[i].into()), lanes(n, |i| z[i].into() * z[i].into()))
    }
    let n = z.len();
    node(T::from_f64(alpha), T::from_f64(lambda), &p[..n], &q[..n], z, &mut r[..n])
}

/// z ← αx + βy + γz.
pub fn combine<T: Scalar>(alpha: f64, x: &[T], beta: f64, y: &[T], gamma: f64, z: &mut [T]) {
    let (alpha, beta, gamma) = (T::from_f64(alpha), T::from_f64(beta), T::from_f64(gamma));
    for_blocks(z, &|start, z| {
        for ((z, &x), &y) in z.iter_mut().zip(&x[start..]).zip(&y[start..]) {
            *z = alpha * x + beta * y + gamma * *z;
        }
    });
}

/// vᵀq, uᵀq and uᵀv, in one pass: the inner products of a Lanczos step, q being Mv and u the vector before v.
pub fn lanczos_dots<T: Scalar>(u: &[T], v: &[T], q: &[T]) -> [f64; 3] {
    tree_sum(v.len(), &|r| {
        let (u, v, q) = (&u[r.clone()], &v[r.clone()], &q[r]);
        let sum = |a: &[T], b: &[T]| lanes(a.len(), |i| a[i].into() * b[i].into());
        [sum(v, q), sum(u, q), sum(u, v)]
    })
}

/// Elements of several rows from which both halves of the rows are worked on in parallel. Less than [`PARALLEL`], as
/// whoever works by rows does more with an element than to add it.
const PARALLEL_ROWS: usize = 1 << 13;

/// Σ term(row) over `rows` rows of `width` numbers each, by a tree that depends on these two numbers alone.
pub fn sum_rows(rows: usize, width: usize, term: &(impl Fn(usize) -> f64 + Sync)) -> f64 {
    fn node(rows: Range<usize>, width: usize, term: &(impl Fn(usize) -> f64 + Sync)) -> f64 {
        let count = rows.end - rows.start;
        if count <= 1 {
            return rows.map(term).sum();
        }
        let middle = rows.start + count / 2;
        let (low, high) = (rows.start..middle, middle..rows.end);
        let (a, b) = (|| node(low, width, term), || node(high, width, term));
        let (a, b) = if count * width >= PARALLEL_ROWS { rayon::join(a, b) } else { (a(), b()) };
        a + b
    }
    node(0..rows, width, term)
}

/// Calls `body(row, numbers)` for every row of `width` numbers of `y`, in parallel where `y` is long.
pub fn for_rows<T: Send>(y: &mut [T], width: usize, body: &(impl Fn(usize, &mut [T]) + Sync)) {
    fn node<T: Send>(first: usize, y: &mut [T], width: usize, body: &(impl Fn(usize, &mut [T]) + Sync)) {
        if y.len() < PARALLEL_ROWS.max(2 * width) {
            for (i, row) in y.chunks_exact_mut(width).enumerate() {
                body(first + i, row);
            }
        } else {
            let middle = y.len() / width / 2;
            let (low, high) = y.split_at_mut(middle * width);
            rayon::join(|| node(first, low, width, body), || node(first + middle, high, width, body));
        }
    }
    if width > 0 {
        node(0, y, width, body);
    }
}

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

    /// coefficients ← Bᵀx, four columns to a pass over x.
    pub fn transpose_times(&self, x: &[T], coefficients: &mut [f64]) {
        let count = coefficients.len();
        let mut j = 0;
        while j + 4 <= count {
            let b: [&[T]; 4] = std::array::from_fn(|i| self.column(j + i));
            let sums = tree_sum(self.dim, &|r| {
                let x = &x[r.clone()];
                let b: [&[T]; 4] = std::array::from_fn(|i| &b[i][r.clone()]);
                four_dots(x, b)
            });
            coefficients[j..j + 4].copy_from_slice(&sums);
            j += 4;
        }
        for (i, c) in coefficients.iter_mut().enumerate().skip(j) {
            *c = dot(self.column(i), x);
        }
    }

    /// y ← y + α B c, four columns to a pass over y.
    pub fn add_times(&self, alpha: f64, coefficients: &[f64], y: &mut [T]) {
        let mut j = 0;
        while j + 4 <= coefficients.len() {
            let b: [&[T]; 4] = std::array::from_fn(|i| self.column(j + i));
            let c: [T; 4] = std::array::from_fn(|i| T::from_f64(alpha * coefficients[j + i]));
            for_blocks(y, &|start, y| {
                let n = y.len();
                let b: [&[T]; 4] = std::array::from_fn(|i| &b[i][start..start + n]);
                for i in 0..n {
                    y[i] += (c[0] * b[0][i] + c[1] * b[1][i]) + (c[2] * b[2][i] + c[3] * b[3][i]);
                }
            });
            j += 4;
        }
        for (i, &c) in coefficients.iter().enumerate().skip(j) {
            axpy(alpha * c, self.column(i), y);
        }
    }

    /// y ← B c.
    pub fn times(&self, coefficients: &[f64], y: &mut [T]) {
        y.fill(T::zero());
        self.add_times(1.0, coefficients, y);
    }
}

/// Four inner products with one vector, in one pass.
fn four_dots<T: Scalar>(x: &[T], b: [&[T]; 4]) -> [f64; 4] {
    const WIDTH: usize = 4;
    let mut sums = [[0.0_f64; WIDTH]; 4];
    let n = x.len();
    let whole = n - n % WIDTH;
    let mut i = 0;
    while i < whole {
        for lane in 0..WIDTH {
            let v: f64 = x[i + lane].into();
            for k in 0..4 {
                sums[k][lane] += v * b[k][i + lane].into();
            }
        }
        i += WIDTH;
    }
    while i < n {
        let v: f64 = x[i].into();
        for k in 0..4 {
            sums[k][i - whole] += v * b[k][i].into();
        }
        i += 1;
    }
    std::array::from_fn(|k| (sums[k][0] + sums[k][2]) + (sums[k][1] + sums[k][3]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(n: usize, seed: u64) -> Vec<f64> {
        let mut state = seed;
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) as f64 / (1u64 << 31) as f64 - 0.5
            })
            .collect()
    }

    #[test]
    fn sums_do_not_depend_on_the_number_of_threads() {
        let n = 300_001;
        let (a, b) = (vector(n, 1), vector(n, 2));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut y = b.clone();
                axpy(0.3, &a, &mut y);
                (dot(&a, &b).to_bits(), dot(&y, &y).to_bits())
            })
        };
        assert_eq!(run(1), run(3));
    }

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
    fn norms_survive_extreme_scales() {
        assert!((norm(&[3e200_f64, 4e200]) / 5e200 - 1.0).abs() < 1e-15);
        assert!((norm(&[3e-200_f64, 4e-200]) / 5e-200 - 1.0).abs() < 1e-15);
        assert!((norm(&[3e30_f32, 4e30]) / 5e30 - 1.0).abs() < 1e-7);
        assert_eq!(norm::<f64>(&[0.0; 3]), 0.0);
        assert_eq!(norm(&[1.0, f64::INFINITY]), f64::INFINITY);
        assert!(norm(&[1.0, f64::NAN, 2.0]).is_nan());
    }

    #[test]
    fn long_f32_sums_accumulate_in_f64() {
        let a = vec![0.1_f32; 10_000_000];
        let exact = 1e7 * (0.1_f32 as f64) * (0.1_f32 as f64);
        assert!((dot(&a, &a) / exact - 1.0).abs() < 1e-12);
    }
}
