//! The summation tree: how long sums and updates are cut into blocks and spread over threads.
//!
//! Blocks of fixed size are joined by a binary tree that depends on the length alone, so a result is bitwise the same for
//! any number of threads. [`whole_sum`] and [`update_and_sum`] are those of whole vectors, also where each rank of a
//! distributed run has a part ([`space`]); [`tree_sum`] is that of the slice.
//!
//! Beyond one block the work is behind a pointer: a call for 4096 elements costs nothing, and what hands work to threads is
//! compiled once, not for each sum.

use std::ops::Range;

use crate::base::parallel::{join, threads};
use crate::base::{Scalar, space};

/// Elements in a leaf of the summation tree (32 KiB of `f64`: one level-1 cache).
pub(in crate::base) const BLOCK: usize = 4096;
/// Elements from which both branches of the tree run in parallel.
const PARALLEL: usize = 1 << 16;
/// The same where the caller is no thread of the pool: work is then handed over to threads that may sleep, with vectors that
/// are not in their caches. Measured in LSMR with two threads: passes over 400,000 numbers gain a third, over 100,000 they
/// lose a third.
const PARALLEL_FROM_OUTSIDE: usize = 1 << 18;
/// Independent partial sums inside a block; a fixed number that the compiler turns into vector registers.
pub(in crate::base) const LANES: usize = 8;

/// Calls both, which work on `len` elements together, in parallel where that saves time.
#[inline]
pub(in crate::base) fn both<A: Send, B: Send>(
    len: usize,
    a: impl FnOnce() -> A + Send,
    b: impl FnOnce() -> B + Send,
) -> (A, B) {
    let pays = || {
        let (threads, inside) = threads();
        threads > 1 && (inside || len >= PARALLEL_FROM_OUTSIDE)
    };
    if len >= PARALLEL && pays() { join(a, b) } else { (a(), b()) }
}

/// Sums `N` quantities at once over `0..len` by a fixed binary tree of blocks.
#[inline]
pub(in crate::base) fn tree_sum<const N: usize>(
    len: usize,
    leaf: &(impl Fn(Range<usize>) -> [f64; N] + Sync),
) -> [f64; N] {
    fn node<const N: usize>(
        blocks: Range<usize>,
        len: usize,
        leaf: &(dyn Fn(Range<usize>) -> [f64; N] + Sync),
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

/// As [`tree_sum`], of all parts of a vector.
#[inline]
pub(in crate::base) fn whole_sum<const N: usize>(
    len: usize,
    leaf: &(impl Fn(Range<usize>) -> [f64; N] + Sync),
) -> [f64; N] {
    space::add_up(tree_sum(len, leaf))
}

/// Calls `body(start, block)` for every block of `y`, in parallel when `y` is long.
#[inline]
pub(in crate::base) fn for_blocks<T: Scalar>(y: &mut [T], body: &(impl Fn(usize, &mut [T]) + Sync)) {
    fn node<T: Scalar>(start: usize, y: &mut [T], body: &(dyn Fn(usize, &mut [T]) + Sync)) {
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

/// What changes a block of `W` vectors and sums `N` quantities of it.
type Update<'a, T, const W: usize, const N: usize> = dyn Fn(usize, [&mut [T]; W]) -> [f64; N] + Sync + 'a;

/// Calls `body(start, blocks)` for every block of `W` vectors of one length, which it may change, and sums the `N`
/// quantities that it returns by the tree of [`tree_sum`], over all parts: an update and its sums in one pass.
#[inline]
pub(super) fn update_and_sum<T: Scalar, const W: usize, const N: usize>(
    vectors: [&mut [T]; W],
    body: &(impl Fn(usize, [&mut [T]; W]) -> [f64; N] + Sync),
) -> [f64; N] {
    fn node<T: Scalar, const W: usize, const N: usize>(
        start: usize,
        vectors: [&mut [T]; W],
        body: &Update<'_, T, W, N>,
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
        let low = || node(start, low, body);
        let high = || node(start + middle, high, body);
        let (a, b) = both(len, low, high);
        std::array::from_fn(|i| a[i] + b[i])
    }
    space::add_up(if vectors[0].len() <= BLOCK { body(0, vectors) } else { node(0, vectors, body) })
}

/// Σ term(i) over a block, in `LANES` interleaved partial sums that are joined pairwise.
#[inline]
pub(super) fn lanes(len: usize, term: impl Fn(usize) -> f64) -> f64 {
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
#[inline(never)]
pub(in crate::base) fn join_lanes(sums: [f64; LANES]) -> f64 {
    ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]))
}

/// Σ term(i) over `0..len`.
pub fn sum_terms(len: usize, term: impl Fn(usize) -> f64 + Sync) -> f64 {
    tree_sum(len, &|r| [lanes(r.len(), |i| term(r.start + i))])[0]
}

/// What an element of a row counts for, as whoever works by rows does more with it than to add it.
const ROW_WORK: usize = 8;

/// Σ term(row) over `rows` rows of `width` numbers each, by a tree that depends on these two numbers alone.
pub fn sum_rows(rows: usize, width: usize, term: &(impl Fn(usize) -> f64 + Sync)) -> f64 {
    fn node(rows: Range<usize>, width: usize, term: &(dyn Fn(usize) -> f64 + Sync)) -> f64 {
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
    fn node<T: Send>(first: usize, y: &mut [T], width: usize, body: &(dyn Fn(usize, &mut [T]) + Sync)) {
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
