//! Products and factors of small dense blocks, for sizes that are known at run time only.
//!
//! Blocks are stored by rows, symmetric matrices and triangles whole. The usual widths are compiled separately, which
//! the inner loops of block models need: nine columns are nine instructions, not a loop.

use super::Scalar;

/// A width: `C`, or the number where `C` is 0.
#[derive(Clone, Copy)]
struct Width<const C: usize>(usize);

impl<const C: usize> Width<C> {
    #[inline(always)]
    fn get(self) -> usize {
        if C == 0 { self.0 } else { C }
    }
}

/// Calls a function with its first argument as a [`Width`] that is a constant where the number is a usual one.
macro_rules! by_width {
    ($function:ident($width:expr, $($argument:expr),*)) => {
        match $width {
            1 => $function(Width::<1>(1), $($argument),*),
            2 => $function(Width::<2>(2), $($argument),*),
            3 => $function(Width::<3>(3), $($argument),*),
            4 => $function(Width::<4>(4), $($argument),*),
            6 => $function(Width::<6>(6), $($argument),*),
            7 => $function(Width::<7>(7), $($argument),*),
            9 => $function(Width::<9>(9), $($argument),*),
            n => $function(Width::<0>(n), $($argument),*),
        }
    };
}

/// to ← from.
#[inline]
pub fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    #[inline(always)]
    fn sized<const C: usize, T: Copy>(n: Width<C>, from: &[T], to: &mut [T]) {
        to[..n.get()].copy_from_slice(&from[..n.get()]);
    }
    by_width!(sized(from.len(), from, to))
}

/// out ← out + the squared norms of A's columns, A with rows of the length of `out`.
#[inline]
pub fn add_squares<T: Scalar>(a: &[T], out: &mut [f64]) {
    #[inline(always)]
    fn sized<const C: usize, T: Scalar>(n: Width<C>, a: &[T], out: &mut [f64]) {
        let n = n.get();
        let out = &mut out[..n];
        for row in a.chunks_exact(n) {
            for c in 0..n {
                let v: f64 = row[c].into();
                out[c] += v * v;
            }
        }
    }
    by_width!(sized(out.len(), a, out))
}

/// out ← out + Ax, A with rows of the length of `x`.
#[inline]
pub fn add_product<T: Scalar, X: Scalar>(a: &[T], x: &[X], out: &mut [f64]) {
    #[inline(always)]
    fn sized<const C: usize, T: Scalar, X: Scalar>(n: Width<C>, a: &[T], x: &[X], out: &mut [f64]) {
        let n = n.get();
        let x = &x[..n];
        for (row, out) in a.chunks_exact(n).zip(out) {
            // Two chains of sums, so that they overlap.
            let mut sums = [0.0; 2];
            for c in 0..n {
                sums[c & 1] += row[c].into() * x[c].into();
            }
            *out += sums[0] + sums[1];
        }
    }
    by_width!(sized(x.len(), a, x, out))
}

/// out ← out + Aᵀu, A with rows of the length of `out`.
#[inline]
pub fn add_transpose_product<T: Scalar, U: Scalar>(a: &[T], u: &[U], out: &mut [f64]) {
    #[inline(always)]
    fn sized<const C: usize, T: Scalar, U: Scalar>(n: Width<C>, a: &[T], u: &[U], out: &mut [f64]) {
        let n = n.get();
        let out = &mut out[..n];
        for (row, &u) in a.chunks_exact(n).zip(u) {
            let u: f64 = u.into();
            for c in 0..n {
                out[c] += row[c].into() * u;
            }
        }
    }
    by_width!(sized(out.len(), a, u, out))
}

/// out ← out + AᵀB, with columns of `out` one after the other at distance `stride`. A has rows of length `width`.
#[inline]
pub fn add_gram<T: Scalar>(a: &[T], width: usize, b: &[f64], columns: usize, out: &mut [f64], stride: usize) {
    #[inline(always)]
    fn sized<const C: usize, T: Scalar>(
        n: Width<C>,
        a: &[T],
        b: &[f64],
        columns: usize,
        out: &mut [f64],
        stride: usize,
    ) {
        let n = n.get();
        let mut rows = (a.chunks_exact(2 * n), b.chunks_exact(2 * columns));
        for (a, b) in rows.0.by_ref().zip(rows.1.by_ref()) {
            for j in 0..columns {
                let (low, high) = (b[j], b[columns + j]);
                let out = &mut out[j * stride..j * stride + n];
                for i in 0..n {
                    out[i] += a[i].into() * low + a[n + i].into() * high;
                }
            }
        }
        let (a, b) = (rows.0.remainder(), rows.1.remainder());
        if !a.is_empty() {
            for j in 0..columns {
                let out = &mut out[j * stride..j * stride + n];
                for i in 0..n {
                    out[i] += a[i].into() * b[j];
                }
            }
        }
    }
    by_width!(sized(width, a, b, columns, out, stride))
}

/// a ← L with A = LLᵀ, in the lower triangle, with 1/Lᵢᵢ on the diagonal. A pivot that is not above 64 units of roundoff
/// of its diagonal entry takes its unknown out: its column is zero, and so is that component of every solution. So the
/// result is always positive semidefinite; NaN stays NaN.
pub fn cholesky(a: &mut [f64], n: usize) {
    for j in 0..n {
        let diagonal = a[j * n + j];
        let mut pivot = diagonal;
        for k in 0..j {
            pivot -= a[j * n + k] * a[j * n + k];
        }
        let inverse = if pivot <= 64.0 * f64::EPSILON * diagonal.abs() { 0.0 } else { pivot.sqrt().recip() };
        a[j * n + j] = inverse;
        for i in j + 1..n {
            let mut sum = a[i * n + j];
            for k in 0..j {
                sum -= a[i * n + k] * a[j * n + k];
            }
            a[i * n + j] = sum * inverse;
        }
    }
}

/// x ← A⁻¹x, with the factor of [`cholesky`].
pub fn cholesky_solve(factor: &[f64], x: &mut [f64]) {
    lower_solve(factor, x);
    lower_transpose_solve(factor, x);
}

/// x ← L⁻¹x, with the factor of [`cholesky`].
pub fn lower_solve(factor: &[f64], x: &mut [f64]) {
    let n = x.len();
    for i in 0..n {
        let mut sum = x[i];
        for k in 0..i {
            sum -= factor[i * n + k] * x[k];
        }
        x[i] = sum * factor[i * n + i];
    }
}

/// x ← L⁻ᵀx, with the factor of [`cholesky`].
pub fn lower_transpose_solve(factor: &[f64], x: &mut [f64]) {
    let n = x.len();
    for i in (0..n).rev() {
        let mut sum = x[i];
        for k in i + 1..n {
            sum -= factor[k * n + i] * x[k];
        }
        x[i] = sum * factor[i * n + i];
    }
}

/// The orthonormal factor of [A; diag(d)] = [Q; Q̃]R: writes Q over `a`, by rows, and R, by rows with 1/Rᵢᵢ on the
/// diagonal. `bottom` is scratch for Q̃, n². Gram–Schmidt by columns, each orthogonalised twice (Giraud, Langou,
/// Rozložník & van den Eshof 2005). A column that depends on those before, but for rounding, becomes zero, and so does
/// 1/Rᵢᵢ: its unknown is left out.
pub fn orthonormalise<T: Scalar>(a: &mut [T], n: usize, d: &[f64], r: &mut [f64], bottom: &mut [f64]) {
    r.fill(0.0);
    bottom.fill(0.0);
    for j in 0..n {
        bottom[j * n + j] = d[j];
        let square = |a: &[T], bottom: &[f64]| {
            let top: f64 = a.chunks_exact(n).map(|row| row[j].into() * row[j].into()).sum();
            top + bottom[j * n..=j * n + j].iter().map(|v| v * v).sum::<f64>()
        };
        let original = square(a, bottom);
        for i in (0..j).chain(0..j) {
            let top: f64 = a.chunks_exact(n).map(|row| row[i].into() * row[j].into()).sum();
            let h = top + (0..=i).map(|k| bottom[i * n + k] * bottom[j * n + k]).sum::<f64>();
            let narrow = T::from_f64(h);
            for row in a.chunks_exact_mut(n) {
                row[j] -= narrow * row[i];
            }
            for k in 0..=i {
                bottom[j * n + k] -= h * bottom[i * n + k];
            }
            r[i * n + j] += h;
        }
        let left = square(a, bottom);
        let smallest = 16.0 * T::epsilon_f64();
        let inverse = if left <= smallest * smallest * original { 0.0 } else { left.sqrt().recip() };
        let narrow = T::from_f64(inverse);
        for row in a.chunks_exact_mut(n) {
            row[j] *= narrow;
        }
        bottom[j * n..=j * n + j].iter_mut().for_each(|v| *v *= inverse);
        r[j * n + j] = inverse;
    }
}

/// x ← R⁻¹x, with R from [`orthonormalise`].
pub fn upper_solve(r: &[f64], x: &mut [f64]) {
    let n = x.len();
    for i in (0..n).rev() {
        let mut sum = x[i];
        for k in i + 1..n {
            sum -= r[i * n + k] * x[k];
        }
        x[i] = sum * r[i * n + i];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::SplitMix64;

    fn random(n: usize, seed: u64) -> Vec<f64> {
        let mut random = SplitMix64::new(seed);
        (0..n).map(|_| random.normal()).collect()
    }

    #[test]
    fn products_of_every_width() {
        for columns in 1..=12 {
            for rows in 1..=5 {
                let (a, x, u) = (random(rows * columns, 1), random(columns, 2), random(rows, 3));
                let mut ax = vec![1.0; rows];
                add_product(&a, &x, &mut ax);
                let mut au = vec![2.0; columns];
                add_transpose_product(&a, &u, &mut au);
                let mut squares = vec![0.5; columns];
                add_squares(&a, &mut squares);
                let (width, stride) = (4, columns + 3);
                let b = random(rows * width, 4);
                let mut gram = vec![3.0; stride * width];
                add_gram(&a, columns, &b, width, &mut gram, stride);
                for i in 0..rows {
                    let exact: f64 = 1.0 + (0..columns).map(|j| a[i * columns + j] * x[j]).sum::<f64>();
                    assert!((ax[i] - exact).abs() < 1e-13);
                }
                for j in 0..columns {
                    let exact: f64 = 2.0 + (0..rows).map(|i| a[i * columns + j] * u[i]).sum::<f64>();
                    assert!((au[j] - exact).abs() < 1e-13);
                    let exact: f64 = 0.5 + (0..rows).map(|i| a[i * columns + j].powi(2)).sum::<f64>();
                    assert!((squares[j] - exact).abs() < 1e-13);
                    for k in 0..width {
                        let exact: f64 = (0..rows).map(|i| a[i * columns + j] * b[i * width + k]).sum();
                        assert!((gram[k * stride + j] - 3.0 - exact).abs() < 1e-13);
                    }
                }
                assert!((0..width).all(|k| gram[k * stride + columns..(k + 1) * stride].iter().all(|&v| v == 3.0)));
            }
        }
    }

    #[test]
    fn cholesky_solves_and_leaves_out_what_is_not_determined() {
        let n = 4;
        let a = random(6 * n, 5);
        let mut matrix = vec![0.0; n * n];
        add_gram(&a, n, &a, n, &mut matrix, n);
        let (mut factor, x) = (matrix.clone(), random(n, 6));
        cholesky(&mut factor, n);
        let mut b = vec![0.0; n];
        add_product(&matrix, &x, &mut b);
        cholesky_solve(&factor, &mut b);
        assert!(b.iter().zip(&x).all(|(b, x)| (b - x).abs() < 1e-12));
        // [1 1; 1 1]: the second unknown is left out. A negative pivot as well.
        for corner in [1.0, -5.0] {
            let mut factor = vec![1.0, 1.0, 1.0, corner];
            cholesky(&mut factor, 2);
            let mut b = vec![2.0, 3.0];
            cholesky_solve(&factor, &mut b);
            assert_eq!(b, [2.0, 0.0]);
        }
    }

    #[test]
    fn orthonormal_factors_with_and_without_damping_and_rank() {
        for (rows, n, root) in [(5, 3, 0.0), (5, 3, 1e-9), (1, 3, 0.3), (2, 1, 0.0), (0, 2, 0.5)] {
            let a = random(rows * n, 7);
            let (mut q, mut r, mut bottom) = (a.clone(), vec![0.0; n * n], vec![0.0; n * n]);
            orthonormalise(&mut q, n, &vec![root; n], &mut r, &mut bottom);
            for i in 0..n {
                for j in 0..n {
                    let top: f64 = q.chunks_exact(n).map(|row| row[i] * row[j]).sum();
                    let below: f64 = (0..n).map(|k| bottom[i * n + k] * bottom[j * n + k]).sum();
                    assert!((top + below - f64::from(u8::from(i == j))).abs() < 1e-14, "{rows} {n} {root}");
                }
                // The inverse is on the diagonal.
                for (row, q) in a.chunks_exact(n).zip(q.chunks_exact(n)) {
                    let product: f64 = (0..i).map(|k| q[k] * r[k * n + i]).sum::<f64>() + q[i] / r[i * n + i];
                    assert!((product - row[i]).abs() < 1e-14);
                }
            }
        }
        // The second column is twice the first: it is left out, and so is its unknown.
        let mut q = vec![1.0, 2.0, 3.0, 6.0];
        let (mut r, mut bottom) = (vec![0.0; 4], vec![0.0; 4]);
        orthonormalise(&mut q, 2, &[0.0; 2], &mut r, &mut bottom);
        assert_eq!((q[1], q[3], r[3]), (0.0, 0.0, 0.0));
        let mut x = [10.0_f64.sqrt(), 5.0];
        upper_solve(&r, &mut x);
        assert!((x[0] - 1.0).abs() < 1e-15 && x[1] == 0.0);
    }
}
