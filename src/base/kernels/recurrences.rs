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

/// r ← r + α(q + λp), z ← z + αp and p ← βp − r, q being Mp; returns rᵀr and zᵀz of the new ones. One pass, which reads four
/// vectors and writes three: the updates of conjugate gradients where β is known before rᵀr.
pub fn conjugate_gradient_step<T: Scalar>(
    [alpha, beta, lambda]: [f64; 3],
    q: &[T],
    z: &mut [T],
    r: &mut [T],
    p: &mut [T],
) -> [f64; 2] {
    let factors = [alpha, beta, lambda].map(T::from_f64);
    update_and_sum([z, r, p], &|start, [z, r, p]| {
        let q = &q[start..start + z.len()];
        vectorized(
            q.len(),
            #[inline(always)]
            || conjugate_gradient_block(factors, q, z, r, p),
        )
    })
}

/// pᵀp, pᵀ(q + λp) and ‖q + λp‖², in one pass, q being Mp.
pub fn conjugate_gradient_dots<T: Scalar>(lambda: f64, p: &[T], q: &[T]) -> [f64; 3] {
    whole_sum(p.len(), &|r| {
        let (p, q) = (&p[r.clone()], &q[r]);
        vectorized(
            q.len(),
            #[inline(always)]
            || shifted_dots_block(lambda, p, q),
        )
    })
}

#[inline(always)]
fn shifted_dots_block<T: Scalar>(lambda: f64, p: &[T], q: &[T]) -> [f64; 3] {
    let (mut pp, mut pq, mut qq) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    let ((p, last_p), (q, last_q)) = (p.as_chunks::<LANES>(), q.as_chunks::<LANES>());
    let count = p.len().min(q.len());
    let (p, q) = (&p[..count], &q[..count]);
    let part = count / STREAMS;
    for i in 0..count {
        let at = if i < STREAMS * part { i % STREAMS * part + i / STREAMS } else { i };
        let ps: [f64; LANES] = std::array::from_fn(|lane| p[at][lane].into());
        let qs: [f64; LANES] = std::array::from_fn(|lane| q[at][lane].into() + lambda * ps[lane]);
        for lane in 0..LANES {
            pp[lane] += ps[lane] * ps[lane];
        }
        for lane in 0..LANES {
            pq[lane] += ps[lane] * qs[lane];
        }
        for lane in 0..LANES {
            qq[lane] += qs[lane] * qs[lane];
        }
    }
    for (lane, (&p, &q)) in last_p.iter().zip(last_q).enumerate() {
        let p: f64 = p.into();
        let q: f64 = q.into() + lambda * p;
        pp[lane] += p * p;
        pq[lane] += p * q;
        qq[lane] += q * q;
    }
    [join_lanes(pp), join_lanes(pq), join_lanes(qq)]
}

/// [`conjugate_gradient_step`] of a block, with local variables as in [`golub_kahan_block`].
#[inline(always)]
fn conjugate_gradient_block<T: Scalar>(
    [alpha, beta, lambda]: [T; 3],
    q: &[T],
    z: &mut [T],
    r: &mut [T],
    p: &mut [T],
) -> [f64; 2] {
    let (mut rr, mut zz) = ([0.0; LANES], [0.0; LANES]);
    let (q, last_q) = q.as_chunks::<LANES>();
    let ((z, last_z), (r, last_r)) = (z.as_chunks_mut::<LANES>(), r.as_chunks_mut::<LANES>());
    let (p, last_p) = p.as_chunks_mut::<LANES>();
    for (((q, z), r), p) in q.iter().zip(z).zip(r).zip(p) {
        let (qs, zs, rs, ps) = (*q, *z, *r, *p);
        let zs: [T; LANES] = std::array::from_fn(|lane| zs[lane] + alpha * ps[lane]);
        let rs: [T; LANES] = std::array::from_fn(|lane| rs[lane] + alpha * (qs[lane] + lambda * ps[lane]));
        let ps: [T; LANES] = std::array::from_fn(|lane| beta * ps[lane] - rs[lane]);
        (*z, *r, *p) = (zs, rs, ps);
        for lane in 0..LANES {
            rr[lane] += rs[lane].into() * rs[lane].into();
        }
        for lane in 0..LANES {
            zz[lane] += zs[lane].into() * zs[lane].into();
        }
    }
    for (lane, (((&q, z), r), p)) in last_q.iter().zip(last_z).zip(last_r).zip(last_p).enumerate() {
        *z += alpha * *p;
        *r += alpha * (q + lambda * *p);
        *p = beta * *p - *r;
        rr[lane] += (*r).into() * (*r).into();
        zz[lane] += (*z).into() * (*z).into();
    }
    [join_lanes(rr), join_lanes(zz)]
}

/// Chunks of a block that [`golub_kahan_update`] works on in turn: a quarter faster for vectors that are in no near cache.
const STREAMS: usize = 4;

/// y ← αx + βy; returns ‖y‖ of the new y and xᵀy of the old. One pass, unless squares overflow or underflow.
pub fn golub_kahan_update<T: Scalar>(alpha: f64, x: &[T], beta: f64, y: &mut [T]) -> (f64, f64) {
    let (a, b) = (T::from_f64(alpha), T::from_f64(beta));
    let [squared, dot] = update_and_sum([&mut *y], &|start, [y]| {
        let x = &x[start..start + y.len()];
        let (squared, dot) = vectorized(
            x.len(),
            #[inline(always)]
            || golub_kahan_block(a, x, b, y),
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
        let squared = vectorized(
            x.len(),
            #[inline(always)]
            || lsmr_block(v, &factors, h, h_bar, x),
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

/// q ← αv + βu + γq, a Lanczos step, q being Mv and u the vector before v. Returns ‖q‖ and vᵀq of the new q and uᵀq of the
/// old. One pass, unless squares overflow or underflow.
pub fn lanczos_update<T: Scalar>([a, b, c]: [f64; 3], v: &[T], u: &[T], q: &mut [T]) -> [f64; 3] {
    let factors = [a, b, c].map(T::from_f64);
    let [squared, along, across] = update_and_sum([&mut *q], &|start, [q]| {
        let (v, u) = (&v[start..start + q.len()], &u[start..start + q.len()]);
        vectorized(
            v.len(),
            #[inline(always)]
            || lanczos_block(factors, v, u, q),
        )
    });
    [if SAFE_SQUARES.contains(&squared) { squared.sqrt() } else { norm(q) }, along, across]
}

#[inline(always)]
fn lanczos_block<T: Scalar>([a, b, c]: [T; 3], v: &[T], u: &[T], q: &mut [T]) -> [f64; 3] {
    let (mut squares, mut along, mut across) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    let ((v, last_v), (u, last_u)) = (v.as_chunks::<LANES>(), u.as_chunks::<LANES>());
    let (q, last_q) = q.as_chunks_mut::<LANES>();
    for ((v, u), q) in v.iter().zip(u).zip(q) {
        let (vs, us, qs) = (*v, *u, *q);
        let new: [T; LANES] = std::array::from_fn(|lane| a * vs[lane] + b * us[lane] + c * qs[lane]);
        *q = new;
        for lane in 0..LANES {
            squares[lane] += new[lane].into() * new[lane].into();
        }
        for lane in 0..LANES {
            along[lane] += vs[lane].into() * new[lane].into();
        }
        for lane in 0..LANES {
            across[lane] += us[lane].into() * qs[lane].into();
        }
    }
    for (lane, ((&v, &u), q)) in last_v.iter().zip(last_u).zip(last_q).enumerate() {
        across[lane] += u.into() * (*q).into();
        *q = a * v + b * u + c * *q;
        squares[lane] += (*q).into() * (*q).into();
        along[lane] += v.into() * (*q).into();
    }
    [join_lanes(squares), join_lanes(along), join_lanes(across)]
}

/// For each v in turn, with its [α, β, γ, δ, ε, ζ]: r ← εr + ζv, (w, w₂) ← (αv + βw + γw₂, w) and z ← z + δw. One pass: `K`
/// updates of MINRES.
pub fn minres_updates<T: Scalar, const K: usize>(v: [&[T]; K], factors: [[f64; 6]; K], [w, w2, z, r]: [&mut [T]; 4]) {
    let factors = factors.map(|factors| factors.map(T::from_f64));
    update_and_sum([w, w2, z, r], &|start, [w, w2, z, r]| {
        let v = v.map(|v| &v[start..start + z.len()]);
        vectorized(
            z.len(),
            #[inline(always)]
            || minres_block(v, &factors, w, w2, z, r),
        );
        []
    });
}

#[inline(always)]
fn minres_block<T: Scalar, const K: usize>(
    v: [&[T]; K],
    factors: &[[T; 6]; K],
    w: &mut [T],
    w2: &mut [T],
    z: &mut [T],
    r: &mut [T],
) {
    let n = z.len();
    let (v, w, w2, r) = (v.map(|v| &v[..n]), &mut w[..n], &mut w2[..n], &mut r[..n]);
    for i in 0..n {
        let (mut new, mut old, mut sum, mut left) = (w[i], w2[i], z[i], r[i]);
        for (v, &[a, b, c, d, e, f]) in v.iter().zip(factors) {
            left = e * left + f * v[i];
            (new, old) = (a * v[i] + b * new + c * old, new);
            sum += d * new;
        }
        (w[i], w2[i], z[i], r[i]) = (new, old, sum, left);
    }
}
