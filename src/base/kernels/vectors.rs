//! Sums, norms and updates of vectors.

use std::ops::Range;

use super::tree::{LANES, for_blocks, join_lanes, lanes, tree_sum, whole_sum};
use crate::base::native::vectorized;
use crate::base::{Scalar, space};

/// Sums of squares that neither overflowed nor lost digits to underflow.
pub(super) const SAFE_SQUARES: Range<f64> = 1e-280..1e280;

/// aᵀb of a block.
#[inline]
pub(in crate::base) fn dot_block<T: Scalar>(a: &[T], b: &[T]) -> f64 {
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
    join_lanes(vectorized(
        a.len(),
        #[inline(always)]
        || sums(a, b),
    ))
}

/// aᵀb.
pub fn dot<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    debug_assert_eq!(a.len(), b.len());
    whole_sum(a.len(), &|r| [dot_block(&a[r.clone()], &b[r])])[0]
}

/// aᵀb of a short row that is at hand as a whole, also in a distributed run.
pub fn row_dot<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    tree_sum(a.len(), &|r| [dot_block(&a[r.clone()], &b[r])])[0]
}

/// Σ aᵢ.
pub fn sum(a: &[f64]) -> f64 {
    whole_sum(a.len(), &|r| {
        let a = &a[r];
        [lanes(a.len(), |i| a[i])]
    })[0]
}

/// ‖a‖² − ‖b‖² as (a − b)ᵀ(a + b), which loses nothing where they are close.
pub fn square_difference<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    space::add_up([row_square_difference(a, b)])[0]
}

/// [`square_difference`] of a short row that is at hand as a whole.
pub fn row_square_difference<T: Scalar>(a: &[T], b: &[T]) -> f64 {
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
    norm_of_square(dot(a, a), a)
}

/// ‖a‖₂, given aᵀa.
pub fn norm_of_square<T: Scalar>(squared: f64, a: &[T]) -> f64 {
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
    let scaled = whole_sum(a.len(), &|r| {
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
    space::largest(a.iter().fold(0.0, |m, &v| {
        let v: f64 = v.into();
        if v.abs() > m || v.is_nan() { v.abs() } else { m }
    }))
}

/// Whether a and b are the same in all components.
pub fn same<T: Scalar>(a: &[T], b: &[T]) -> bool {
    !space::anywhere(a != b)
}

/// Whether every component is finite.
pub fn all_finite<T: Scalar>(a: &[T]) -> bool {
    !space::anywhere(a.iter().any(|v| !v.is_finite()))
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

/// y ← x∘y, component by component.
pub fn multiply<T: Scalar>(x: &[T], y: &mut [T]) {
    for_blocks(y, &|start, y| {
        for (y, &x) in y.iter_mut().zip(&x[start..]) {
            *y *= x;
        }
    });
}

/// ‖p‖, pᵀq and ‖q‖, in one pass, unless squares overflow or underflow.
pub fn norms_and_dot<T: Scalar>(p: &[T], q: &[T]) -> [f64; 3] {
    let [pp, pq, qq] = whole_sum(p.len(), &|r| {
        let (p, q) = (&p[r.clone()], &q[r]);
        [dot_block(p, p), dot_block(p, q), dot_block(q, q)]
    });
    [norm_of_square(pp, p), pq, norm_of_square(qq, q)]
}

/// pᵀp and pᵀq, in one pass.
pub fn norm_and_dot<T: Scalar>(p: &[T], q: &[T]) -> (f64, f64) {
    let [pp, pq] = whole_sum(p.len(), &|r| {
        let (p, q) = (&p[r.clone()], &q[r]);
        [dot_block(p, p), dot_block(p, q)]
    });
    (pp, pq)
}
