//! What one iteration of a Krylov method does to its vectors, in as few passes as it takes.

use super::tree::{LANES, join_lanes, update_and_sum, whole_sum};
use super::vectors::{SAFE_SQUARES, dot_block, norm};
use crate::base::Scalar;
use crate::base::native::vectorized;

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
    let [rr, zz] = update_and_sum([z, &mut r[..n]], &|start, [z, r]| {
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
    let [squared, dot] = update_and_sum([&mut *y], &|start, [y]| {
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
    let [squared] = update_and_sum([h, h_bar, &mut *x], &|start, [h, h_bar, x]| {
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

/// vᵀq, uᵀq and uᵀv, in one pass: the inner products of a Lanczos step, q being Mv and u the vector before v.
pub fn lanczos_dots<T: Scalar>(u: &[T], v: &[T], q: &[T]) -> [f64; 3] {
    whole_sum(v.len(), &|r| {
        let (u, v, q) = (&u[r.clone()], &v[r.clone()], &q[r]);
        [dot_block(v, q), dot_block(u, q), dot_block(u, v)]
    })
}
