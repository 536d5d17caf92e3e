//! Vector kernels: the only place where vectors are summed.
//!
//! Long sums run over blocks of fixed size, joined by a binary tree that depends on the length alone, so a result is
//! bitwise the same for any number of threads. All sums accumulate in `f64`, whatever the vectors hold. A distributed
//! run would replace [`tree_sum`] and nothing else.

use std::ops::Range;

use super::Scalar;
use super::native::vectorized;

/// Elements in a leaf of the summation tree (32 KiB of `f64`: one level-1 cache).
pub(super) const BLOCK: usize = 4096;
/// Elements from which both branches of the tree run in parallel.
const PARALLEL: usize = 1 << 16;
/// The same where the caller is no thread of the pool: work is then handed over to threads that may sleep, with vectors that
/// are not in their caches. Measured in LSMR with two threads: passes over 400,000 numbers gain a third, over 100,000 they
/// lose a third.
const PARALLEL_FROM_OUTSIDE: usize = 1 << 18;
/// Independent partial sums inside a block; a fixed number that the compiler turns into vector registers.
pub(super) const LANES: usize = 8;
/// Sums of squares that neither overflowed nor lost digits to underflow.
const SAFE_SQUARES: Range<f64> = 1e-280..1e280;

/// Calls both, which work on `len` elements together, in parallel where that saves time.
#[inline]
pub(super) fn both<A: Send, B: Send>(len: usize, a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    let pays = len >= PARALLEL
        && rayon::current_num_threads() > 1
        && (len >= PARALLEL_FROM_OUTSIDE || rayon::current_thread_index().is_some());
    if pays { rayon::join(a, b) } else { (a(), b()) }
}

/// Sums `N` quantities at once over `0..len` by a fixed binary tree of blocks.
#[inline]
pub(super) fn tree_sum<const N: usize>(len: usize, leaf: &(impl Fn(Range<usize>) -> [f64; N] + Sync)) -> [f64; N] {
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
        let (a, b) = both(count * BLOCK, || node(low, len, leaf), || node(high, len, leaf));
        std::array::from_fn(|i| a[i] + b[i])
    }
    if len <= BLOCK { leaf(0..len) } else { node(0..len.div_ceil(BLOCK), len, leaf) }
}

/// Calls `body(start, block)` for every block of `y`, in parallel when `y` is long.
#[inline]
pub(super) fn for_blocks<T: Scalar>(y: &mut [T], body: &(impl Fn(usize, &mut [T]) + Sync)) {
    fn node<T: Scalar>(start: usize, y: &mut [T], body: &(impl Fn(usize, &mut [T]) + Sync)) {
        if y.len() < PARALLEL {
            for (i, block) in y.chunks_mut(BLOCK).enumerate() {
                body(start + i * BLOCK, block);
            }
        } else {
            let (len, middle) = (y.len(), y.len().div_ceil(BLOCK) / 2 * BLOCK);
            let (low, high) = y.split_at_mut(middle);
            both(len, || node(start, low, body), || node(start + middle, high, body));
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
    join_lanes(sums)
}

/// Joins the partial sums of a block.
#[inline]
pub(super) fn join_lanes(sums: [f64; LANES]) -> f64 {
    ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]))
}

/// aᵀb of a block.
#[inline]
fn dot_block<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    #[inline(always)]
    fn sums<T: Scalar>(a: &[T], b: &[T]) -> [f64; LANES] {
        let mut sums = [0.0; LANES];
        let ((a, last_a), (b, last_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in a.iter().zip(b) {
            for lane in 0..LANES {
                sums[lane] += a[lane].into() * b[lane].into();
            }
        }
        for ((&a, &b), sum) in last_a.iter().zip(last_b).zip(&mut sums) {
            *sum += a.into() * b.into();
        }
        sums
    }
    let mut all = [0.0; LANES];
    vectorized(
        #[inline(always)]
        || all = sums(a, b),
    );
    join_lanes(all)
}

/// aᵀb.
pub fn dot<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    debug_assert_eq!(a.len(), b.len());
    tree_sum(a.len(), &|r| [dot_block(&a[r.clone()], &b[r])])[0]
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
    if SAFE_SQUARES.contains(&squared) {
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
        [dot_block(p, p), dot_block(p, q)]
    });
    (pp, pq)
}

/// Calls `body(start, blocks)` for every block of `W` vectors of one length, which it may change, and sums the `N`
/// quantities that it returns by the tree of [`tree_sum`]: an update and its sums in one pass.
#[inline]
fn update_and_sum<T: Scalar, const W: usize, const N: usize>(
    start: usize,
    vectors: [&mut [T]; W],
    body: &(impl Fn(usize, [&mut [T]; W]) -> [f64; N] + Sync),
) -> [f64; N] {
    let len = vectors[0].len();
    if len <= BLOCK {
        return body(start, vectors);
    }
    let middle = len.div_ceil(BLOCK) / 2 * BLOCK;
    let mut high: [&mut [T]; W] = std::array::from_fn(|_| &mut [][..]);
    let mut low = vectors;
    for (low, high) in low.iter_mut().zip(&mut high) {
        (*low, *high) = std::mem::take(low).split_at_mut(middle);
    }
    let low = || update_and_sum(start, low, body);
    let high = || update_and_sum(start + middle, high, body);
    let (a, b) = both(len, low, high);
    std::array::from_fn(|i| a[i] + b[i])
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
    let (alpha, lambda) = (T::from_f64(alpha), T::from_f64(lambda));
    let n = z.len();
    let [rr, zz] = update_and_sum(0, [z, &mut r[..n]], &|start, [z, r]| {
        let n = z.len();
        let (p, q, r) = (&p[start..start + n], &q[start..start + n], &mut r[..n]);
        for i in 0..n {
            z[i] += alpha * p[i];
            r[i] += alpha * (q[i] + lambda * p[i]);
        }
        [dot_block(r, r), dot_block(z, z)]
    });
    (rr, zz)
}

/// Chunks of a block that [`golub_kahan_update`] works on in turn: a quarter faster for vectors that are in no near cache.
const STREAMS: usize = 4;

/// y ← αx + βy; returns ‖y‖ of the new y and xᵀy of the old. One pass, unless squares overflow or underflow.
pub fn golub_kahan_update<T: Scalar>(alpha: f64, x: &[T], beta: f64, y: &mut [T]) -> (f64, f64) {
    let (a, b) = (T::from_f64(alpha), T::from_f64(beta));
    let [squared, dot] = update_and_sum(0, [&mut *y], &|start, [y]| {
        let (mut squared, mut dot) = (0.0, 0.0);
        let x = &x[start..start + y.len()];
        vectorized(
            #[inline(always)]
            || (squared, dot) = golub_kahan_block(a, x, b, y),
        );
        [squared, dot]
    });
    (if SAFE_SQUARES.contains(&squared) { squared.sqrt() } else { norm(y) }, dot)
}

/// [`golub_kahan_update`] of a block. Sums and chunks are local variables: as captured ones of a closure, or through
/// references that the compiler cannot tell apart, it takes 1.5 to 2 times as long.
#[inline(always)]
fn golub_kahan_block<T: Scalar>(a: T, x: &[T], b: T, y: &mut [T]) -> (f64, f64) {
    let (mut squares, mut dots) = ([0.0; LANES], [0.0; LANES]);
    let ((x, last_x), (y, last_y)) = (x.as_chunks::<LANES>(), y.as_chunks_mut::<LANES>());
    let count = x.len().min(y.len());
    let (x, y) = (&x[..count], &mut y[..count]);
    let part = count / STREAMS;
    for i in 0..count {
        let at = if i < STREAMS * part { i % STREAMS * part + i / STREAMS } else { i };
        let (xs, ys) = (x[at], y[at]);
        let new: [T; LANES] = std::array::from_fn(|lane| a * xs[lane] + b * ys[lane]);
        y[at] = new;
        for lane in 0..LANES {
            dots[lane] += xs[lane].into() * ys[lane].into();
        }
        for lane in 0..LANES {
            squares[lane] += new[lane].into() * new[lane].into();
        }
    }
    for (lane, (&x, y)) in last_x.iter().zip(last_y).enumerate() {
        dots[lane] += x.into() * (*y).into();
        *y = a * x + b * *y;
        squares[lane] += (*y).into() * (*y).into();
    }
    (join_lanes(squares), join_lanes(dots))
}

/// y ← x∘y, component by component.
pub fn multiply<T: Scalar>(x: &[T], y: &mut [T]) {
    for_blocks(y, &|start, y| {
        for (y, &x) in y.iter_mut().zip(&x[start..]) {
            *y *= x;
        }
    });
}

/// For each v in turn, with its [α, β, γ, δ]: h̄ ← h + βh̄, x ← x + γh̄ and h ← αv + δh. Returns ‖x‖ at the end. One pass:
/// `K` updates of LSMR.
pub fn lsmr_updates<T: Scalar, const K: usize>(
    v: [&[T]; K],
    factors: [[f64; 4]; K],
    h: &mut [T],
    h_bar: &mut [T],
    x: &mut [T],
) -> f64 {
    let factors = factors.map(|factors| factors.map(T::from_f64));
    let [squared] = update_and_sum(0, [h, h_bar, &mut *x], &|start, [h, h_bar, x]| {
        let v = v.map(|v| &v[start..start + x.len()]);
        let mut squared = 0.0;
        vectorized(
            #[inline(always)]
            || squared = lsmr_block(v, &factors, h, h_bar, x),
        );
        [squared]
    });
    if SAFE_SQUARES.contains(&squared) { squared.sqrt() } else { norm(x) }
}

/// [`lsmr_updates`] of a block, with local variables as in [`golub_kahan_block`].
#[inline(always)]
fn lsmr_block<T: Scalar, const K: usize>(
    v: [&[T]; K],
    factors: &[[T; 4]; K],
    h: &mut [T],
    h_bar: &mut [T],
    x: &mut [T],
) -> f64 {
    let mut squares = [0.0; LANES];
    let (v, last_v) = (v.map(|v| v.as_chunks::<LANES>().0), v.map(|v| v.as_chunks::<LANES>().1));
    let ((h, last_h), (h_bar, last_h_bar)) = (h.as_chunks_mut::<LANES>(), h_bar.as_chunks_mut::<LANES>());
    let (x, last_x) = x.as_chunks_mut::<LANES>();
    for (i, ((h, h_bar), x)) in h.iter_mut().zip(h_bar).zip(x).enumerate() {
        let (mut hs, mut bars, mut xs) = (*h, *h_bar, *x);
        for (v, &[a, b, c, d]) in v.iter().zip(factors) {
            let vs = v[i];
            bars = std::array::from_fn(|lane| hs[lane] + b * bars[lane]);
            xs = std::array::from_fn(|lane| xs[lane] + c * bars[lane]);
            hs = std::array::from_fn(|lane| a * vs[lane] + d * hs[lane]);
        }
        (*h, *h_bar, *x) = (hs, bars, xs);
        for lane in 0..LANES {
            squares[lane] += xs[lane].into() * xs[lane].into();
        }
    }
    for (i, ((h, h_bar), x)) in last_h.iter_mut().zip(last_h_bar).zip(last_x).enumerate() {
        for (v, &[a, b, c, d]) in last_v.iter().zip(factors) {
            *h_bar = *h + b * *h_bar;
            *x += c * *h_bar;
            *h = a * v[i] + d * *h;
        }
        squares[i] += (*x).into() * (*x).into();
    }
    join_lanes(squares)
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
        [dot_block(v, q), dot_block(u, q), dot_block(u, v)]
    })
}

/// What an element of a row counts for, as whoever works by rows does more with it than to add it.
const ROW_WORK: usize = 8;

/// Σ term(row) over `rows` rows of `width` numbers each, by a tree that depends on these two numbers alone.
pub fn sum_rows(rows: usize, width: usize, term: &(impl Fn(usize) -> f64 + Sync)) -> f64 {
    fn node(rows: Range<usize>, width: usize, term: &(impl Fn(usize) -> f64 + Sync)) -> f64 {
        let count = rows.end - rows.start;
        if count <= 1 {
            return rows.map(term).sum();
        }
        let middle = rows.start + count / 2;
        let (low, high) = (rows.start..middle, middle..rows.end);
        let (a, b) = both(ROW_WORK * count * width, || node(low, width, term), || node(high, width, term));
        a + b
    }
    node(0..rows, width, term)
}

/// Calls `body(row, numbers)` for every row of `width` numbers of `y`, in parallel where `y` is long.
pub fn for_rows<T: Send>(y: &mut [T], width: usize, body: &(impl Fn(usize, &mut [T]) + Sync)) {
    fn node<T: Send>(first: usize, y: &mut [T], width: usize, body: &(impl Fn(usize, &mut [T]) + Sync)) {
        if ROW_WORK * y.len() < PARALLEL || y.len() < 2 * width {
            for (i, row) in y.chunks_exact_mut(width).enumerate() {
                body(first + i, row);
            }
        } else {
            let (work, middle) = (ROW_WORK * y.len(), y.len() / width / 2);
            let (low, high) = y.split_at_mut(middle * width);
            both(work, || node(first, low, width, body), || node(first + middle, high, width, body));
        }
    }
    if width > 0 {
        node(0, y, width, body);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn vector(n: usize, seed: u64) -> Vec<f64> {
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
                let (size, across) = golub_kahan_update(0.7, &a, -0.4, &mut b.clone());
                let [mut h, mut h_bar, mut x] = [b.clone(), a.clone(), b.clone()];
                let solution = lsmr_updates([&a], [[1.1, 0.2, -0.3, 0.4]], &mut h, &mut h_bar, &mut x);
                [dot(&a, &b), dot(&y, &y), size, across, solution].map(f64::to_bits)
            })
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn fused_updates_agree_with_single_ones() {
        for n in [1, 4095, 4097, 200_003] {
            let [v, h, h_bar, x] = [1, 2, 3, 4].map(|seed| vector(n, seed));
            let (mut h2, mut h_bar2, mut x2) = (h.clone(), h_bar.clone(), x.clone());
            let factors = [[2.0, -0.3, 0.7, -1.5], [0.5, 0.1, -0.2, 0.3]];
            let size = lsmr_updates([&v, &x], factors, &mut h2, &mut h_bar2, &mut x2);
            for i in 0..n {
                let (bar, next) = (h[i] - 0.3 * h_bar[i], 2.0 * v[i] - 1.5 * h[i]);
                let last = next + 0.1 * bar;
                assert_eq!((h_bar2[i], h2[i]), (last, 0.5 * x[i] + 0.3 * next));
                assert_eq!(x2[i], x[i] + 0.7 * bar - 0.2 * last);
            }
            assert!((size / norm(&x2) - 1.0).abs() < 1e-14);
            let mut y = v.clone();
            let (size, across) = golub_kahan_update(0.5, &h, -2.0, &mut y);
            assert!((0..n).all(|i| y[i] == 0.5 * h[i] - 2.0 * v[i]));
            assert!((size / norm(&y) - 1.0).abs() < 1e-14);
            assert!((across - dot(&h, &v)).abs() < 1e-14 * norm(&h) * norm(&v));
        }
        let mut y = [3e-200_f64, 4e-200];
        assert!((golub_kahan_update(1.0, &[0.0; 2], 1.0, &mut y).0 / 5e-200 - 1.0).abs() < 1e-15);
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
