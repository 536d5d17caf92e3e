//! What the two number types do by themselves: matrix products (faer) and elementary functions on whole slices.
//!
//! tanh, the logistic function, exp(−|x|) and log(1 + x) of `f32` are computed without calls, branches and tables, so
//! that the compiler turns the loops into vector instructions; there is no fused multiplication in them, so the bits do
//! not depend on the machine. `f64` calls the standard library.
//!
//! exp x = 2ⁿ exp r with n = round(x / ln 2) and |r| ≤ ½ ln 2, ln 2 in two parts (Cody & Waite, *Software manual for
//! the elementary functions*, 1980, chapter 6), exp r by its Taylor polynomial of degree 7.

use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::cholesky::llt::factor::{LltParams, LltRegularization, cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::cholesky::llt::inverse::{inverse, inverse_scratch};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch as q_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj as times_q,
};
use faer::linalg::matmul::matmul;
use faer::linalg::qr::no_pivoting::factor::{qr_in_place, qr_in_place_scratch, recommended_block_size};
use faer::{Accum, Conj, Mat, MatMut, MatRef, Par, Spec};

/// A matrix that is read: `data` holds its columns `stride` numbers apart, or its rows if `by_rows`.
#[derive(Clone, Copy)]
pub struct Matrix<'a, T> {
    pub data: &'a [T],
    pub rows: usize,
    pub columns: usize,
    pub stride: usize,
    pub by_rows: bool,
}

impl<'a, T> Matrix<'a, T> {
    /// The matrix whose columns begin `stride` numbers apart.
    pub fn by_columns(data: &'a [T], rows: usize, columns: usize, stride: usize) -> Self {
        Matrix { data, rows, columns, stride, by_rows: false }
    }

    /// The matrix whose rows follow each other.
    pub fn by_rows(data: &'a [T], rows: usize, columns: usize) -> Self {
        Matrix { data, rows, columns, stride: columns, by_rows: true }
    }

    /// The same numbers, read as the transposed matrix.
    pub fn transpose(self) -> Self {
        Matrix { rows: self.columns, columns: self.rows, by_rows: !self.by_rows, ..self }
    }
}

/// Where a product goes; laid out as [`Matrix`].
pub struct MatrixMut<'a, T> {
    pub data: &'a mut [T],
    pub rows: usize,
    pub columns: usize,
    pub stride: usize,
    pub by_rows: bool,
}

impl<'a, T> MatrixMut<'a, T> {
    /// The matrix whose columns begin `stride` numbers apart.
    pub fn by_columns(data: &'a mut [T], rows: usize, columns: usize, stride: usize) -> Self {
        MatrixMut { data, rows, columns, stride, by_rows: false }
    }

    /// The matrix whose rows follow each other.
    pub fn by_rows(data: &'a mut [T], rows: usize, columns: usize) -> Self {
        MatrixMut { data, rows, columns, stride: columns, by_rows: true }
    }
}

/// Memory for faer, which only grows, and the largest request for it. It is no part of a saved state.
#[derive(Default)]
pub struct Scratch(Option<MemBuffer>, usize);

impl Scratch {
    /// With room for this request.
    pub fn new(request: StackReq) -> Self {
        Scratch(Some(MemBuffer::new(request)), request.unaligned_bytes_required())
    }

    /// The same, if there is the memory.
    pub fn try_new(request: StackReq) -> Option<Self> {
        Some(Scratch(Some(MemBuffer::try_new(request).ok()?), request.unaligned_bytes_required()))
    }

    pub fn stack(&mut self, request: StackReq) -> &mut MemStack {
        let needed = request.unaligned_bytes_required();
        if needed > self.1 {
            *self = Scratch(None, needed);
        }
        MemStack::new(self.0.get_or_insert_with(|| MemBuffer::new(request)))
    }
}

/// The part of `Scalar` that cannot be written once for both types. Nobody outside can name or implement it.
pub trait Native: Sized {
    /// C ← AB, or C ← C + AB if `add`, on the calling thread. Every entry is summed in the same order whichever thread
    /// that is.
    fn multiply(c: MatrixMut<'_, Self>, add: bool, a: Matrix<'_, Self>, b: Matrix<'_, Self>);

    /// Overwrites a symmetric positive definite n × n matrix, of which the lower triangle is read, by its inverse, both
    /// triangles, on the calling thread. False, and the matrix is lost, if it is not positive definite to rounding. Room for
    /// the factor, n², and for faer is the caller's; nothing is allocated once there is enough of the latter.
    fn invert(matrix: &mut [Self], n: usize, factor: &mut [Self], scratch: &mut Scratch) -> bool;

    /// Overwrites an n × n matrix, n > 0, by the Q of its QR decomposition, on the calling thread; columns that depend on those before
    /// are replaced by others. Allocates Q.
    fn orthonormalize(matrix: &mut [Self], n: usize);

    /// x ← tanh x.
    fn tanh_all(x: &mut [Self]);

    /// x ← 1/(1 + exp(−x)).
    fn logistic_all(x: &mut [Self]);

    /// x ← exp(−|x|).
    fn exp_minus_abs_all(x: &mut [Self]);

    /// x ← log(1 + x) for 0 ≤ x ≤ 1.
    fn ln_1p_all(x: &mut [Self]);
}

/// Numbers up to which asking for the machine's vector registers takes longer than they save.
const SHORT: usize = 32;

/// Calls a loop over `len` numbers in a version that was compiled for the machine's vector registers (AVX2 where there are any).
/// The closure must be `#[inline(always)]`. Bits do not change: the compiler fuses no multiplication with an addition.
#[inline]
pub fn vectorized<R>(len: usize, body: impl FnOnce() -> R) -> R {
    if len < SHORT { body() } else { pulp::Arch::new().dispatch(body) }
}

macro_rules! multiply {
    ($T:ty) => {
        fn multiply(c: MatrixMut<'_, $T>, add: bool, a: Matrix<'_, $T>, b: Matrix<'_, $T>) {
            fn view<'a>(m: Matrix<'a, $T>) -> MatRef<'a, $T> {
                match m.by_rows {
                    false => MatRef::from_column_major_slice_with_stride(m.data, m.rows, m.columns, m.stride),
                    true => MatRef::from_row_major_slice_with_stride(m.data, m.rows, m.columns, m.stride),
                }
            }
            // faer 0.24.4 exchanges the strides in MatMut::from_row_major_slice_with_stride_mut; so by columns, transposed.
            let (rows, columns) = if c.by_rows { (c.columns, c.rows) } else { (c.rows, c.columns) };
            let by_columns = MatMut::from_column_major_slice_with_stride_mut(c.data, rows, columns, c.stride);
            let c = if c.by_rows { by_columns.transpose_mut() } else { by_columns };
            matmul(c, if add { Accum::Add } else { Accum::Replace }, view(a), view(b), 1.0, Par::Seq);
            clean_registers();
        }

        fn invert(matrix: &mut [$T], n: usize, factor: &mut [$T], scratch: &mut Scratch) -> bool {
            let params: Spec<LltParams, $T> = Spec::default();
            let request = cholesky_in_place_scratch::<$T>(n, Par::Seq, params).or(inverse_scratch::<$T>(n, Par::Seq));
            let stack = scratch.stack(request);
            factor.copy_from_slice(matrix);
            let view = MatMut::from_column_major_slice_mut(factor, n, n);
            let done = cholesky_in_place(view, LltRegularization::default(), Par::Seq, stack, params);
            if done.is_err() {
                clean_registers();
                return false;
            }
            let out = MatMut::from_column_major_slice_mut(matrix, n, n);
            inverse(out, MatRef::from_column_major_slice(factor, n, n), Par::Seq, stack);
            clean_registers();
            for j in 0..n {
                for i in j + 1..n {
                    matrix[i * n + j] = matrix[j * n + i];
                }
            }
            matrix.iter().all(|v| v.is_finite())
        }

        fn orthonormalize(matrix: &mut [$T], n: usize) {
            let (block, params) = (recommended_block_size::<$T>(n, n), Spec::default());
            let request = qr_in_place_scratch::<$T>(n, n, block, Par::Seq, params).or(q_scratch::<$T>(n, block, n));
            let mut scratch = Scratch::new(request);
            let stack = scratch.stack(request);
            let (mut coefficients, mut q) = (Mat::<$T>::zeros(block, n), Mat::<$T>::identity(n, n));
            qr_in_place(
                MatMut::from_column_major_slice_mut(matrix, n, n),
                coefficients.as_mut(),
                Par::Seq,
                stack,
                params,
            );
            let reflections = MatRef::from_column_major_slice(matrix, n, n);
            times_q(reflections, coefficients.as_ref(), Conj::No, q.as_mut(), Par::Seq, stack);
            clean_registers();
            for (column, q) in matrix.chunks_exact_mut(n).zip(q.col_iter()) {
                column.iter_mut().zip(q.iter()).for_each(|(entry, &q)| *entry = q);
            }
        }
    };
}

/// Zeroes the upper halves of the vector registers on x86-64.
///
/// The assembler kernels under faer 0.24.4's matmul leave them dirty on machines with AVX-512, and until somebody zeroes
/// them code that was compiled for the x86-64 baseline crawls: measured, elementwise loops take 3.4 times as long, libm's
/// exp 140 times. Instructions of that kind need `unsafe`; but a product with one column runs in a function of faer's
/// that was compiled for AVX, and the compiler zeroes them where such a function returns. It takes 25 ns.
pub fn clean_registers() {
    let (one, mut y) = ([1.0_f64; 8], [0.0_f64; 8]);
    let column = MatRef::from_column_major_slice(&one, 8, 1);
    let y_column = MatMut::from_column_major_slice_mut(&mut y, 8, 1);
    matmul(y_column, Accum::Replace, column, MatRef::from_column_major_slice(&one[..1], 1, 1), 1.0, Par::Seq);
    std::hint::black_box(&mut y);
}

impl Native for f64 {
    multiply!(f64);

    fn tanh_all(x: &mut [f64]) {
        x.iter_mut().for_each(|x| *x = f64::tanh(*x));
    }

    fn logistic_all(x: &mut [f64]) {
        x.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-*x).exp()));
    }

    fn exp_minus_abs_all(x: &mut [f64]) {
        x.iter_mut().for_each(|x| *x = (-x.abs()).exp());
    }

    fn ln_1p_all(x: &mut [f64]) {
        x.iter_mut().for_each(|x| *x = x.ln_1p());
    }
}

impl Native for f32 {
    multiply!(f32);

    fn tanh_all(x: &mut [f32]) {
        vectorized(
            x.len(),
            #[inline(always)]
            || x.iter_mut().for_each(|x| *x = tanh(*x)),
        );
    }

    fn logistic_all(x: &mut [f32]) {
        vectorized(
            x.len(),
            #[inline(always)]
            || x.iter_mut().for_each(|x| *x = logistic(*x)),
        );
    }

    fn exp_minus_abs_all(x: &mut [f32]) {
        vectorized(
            x.len(),
            #[inline(always)]
            || x.iter_mut().for_each(|x| *x = if x.abs() > 87.0 { 0.0 } else { exp(-x.abs()) }),
        );
    }

    fn ln_1p_all(x: &mut [f32]) {
        vectorized(
            x.len(),
            #[inline(always)]
            || x.iter_mut().for_each(|x| *x = ln_1p(*x)),
        );
    }
}

/// log(1 + x) = 2 artanh s with s = x/(2 + x) ≤ ⅓, by its Taylor polynomial of degree 15.
#[inline(always)]
fn ln_1p(x: f32) -> f32 {
    let s = x / (2.0 + x);
    let z = s * s;
    let high = 1.0 / 9.0 + z * (1.0 / 11.0 + z * (1.0 / 13.0 + z * (1.0 / 15.0)));
    let series = 1.0 / 3.0 + z * (1.0 / 5.0 + z * (1.0 / 7.0 + z * high));
    2.0 * (s + s * z * series)
}

/// exp x for −87 ≤ x ≤ 88; NaN for NaN, the value at the nearest of these bounds otherwise.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding 1.5·2²³ rounds to an integer, which is then in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let series = 1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0))));
    let exp_r = 1.0 + (r + r * r * (0.5 + r * series));
    exp_r * f32::from_bits(shifted.to_bits().wrapping_add(127).wrapping_shl(23))
}

#[inline(always)]
fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// 1 − 2/(exp 2|x| + 1) with the sign of x; below 0.625 instead x + x³P(x²)/Q(x²) (Cody & Waite, chapter 13).
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let z = a * a;
    let near = a < 0.625;
    let (start, above, below) = if near {
        (a, a * z * (-0.823_772_8 - z * 0.003_831_010_7), 2.471_319_7 + z)
    } else {
        (1.0, -2.0, exp(a + a) + 1.0)
    };
    (start + above / below).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error of a function in units in the last place of the exact value, over all sizes of arguments.
    fn worst(function: fn(&mut [f32]), exact: fn(f64) -> f64, from: f32, to: f32) -> f64 {
        let mut worst = 0.0_f64;
        let mut bits = from.to_bits();
        while bits < to.to_bits() {
            let x = f32::from_bits(bits);
            for x in [x, -x] {
                let mut y = [x];
                function(&mut y);
                let truth = exact(x as f64);
                let spacing = (truth as f32).abs().to_bits();
                let ulp = f32::from_bits(spacing + 1) as f64 - f32::from_bits(spacing) as f64;
                let error = (y[0] as f64 - truth).abs() / ulp;
                assert!(error.is_finite(), "{x}: {}", y[0]);
                worst = worst.max(error);
            }
            bits += 1009;
        }
        worst
    }

    /// QᵀQ = I, and the first j columns span those of the matrix, whether these are independent, dependent or zero.
    #[test]
    fn columns_become_orthonormal() {
        fn check<T: Native + num_traits::Float + Into<f64>>(rounding: f64) {
            let number = |v: f64| <T as num_traits::NumCast>::from(v).unwrap();
            for n in [1, 2, 7, 40, 200] {
                for dependent in [false, true] {
                    let mut random = crate::base::SplitMix64::new(n as u64);
                    let mut a: Vec<T> = (0..n * n).map(|_| number(random.normal())).collect();
                    if dependent && n > 2 {
                        let (first, others) = a.split_at_mut(n);
                        others[..n].copy_from_slice(first);
                        others[n..2 * n].fill(T::zero());
                    }
                    let mut q = a.clone();
                    T::orthonormalize(&mut q, n);
                    let dot = |a: &[T], b: &[T]| a.iter().zip(b).map(|(&a, &b)| a.into() * b.into()).sum::<f64>();
                    let column = |q: &'_ [T], j: usize| q[j * n..][..n].to_vec();
                    for j in 0..n {
                        let (aj, qj) = (column(&a, j), column(&q, j));
                        let inside: f64 = (0..=j).map(|i| dot(&column(&q, i), &aj).powi(2)).sum();
                        assert!((inside.sqrt() - dot(&aj, &aj).sqrt()).abs() < rounding * (n as f64).sqrt(), "{n} {j}");
                        for i in 0..=j {
                            let one = f64::from(u8::from(i == j));
                            assert!((dot(&column(&q, i), &qj) - one).abs() < rounding, "{n} {i} {j}");
                        }
                    }
                }
            }
        }
        check::<f64>(1e-13);
        check::<f32>(1e-5);
    }

    #[test]
    fn f32_functions_are_accurate_in_the_last_bits() {
        let tanh = worst(<f32 as Native>::tanh_all, f64::tanh, 1e-30, 1e30);
        let logistic = worst(<f32 as Native>::logistic_all, |x| 1.0 / (1.0 + (-x).exp()), 1e-30, 86.0);
        let decay = worst(<f32 as Native>::exp_minus_abs_all, |x| (-x.abs()).exp(), 1e-30, 86.0);
        // Of −x the test's `worst` asks as well: log(1 − x), where the series holds for small x only.
        let ln_1p = worst(<f32 as Native>::ln_1p_all, f64::ln_1p, 1e-30, 0.5);
        let near_one = (0..1000).map(|i| 0.5 + i as f32 / 1998.0).fold(0.0_f64, |worst, x| {
            let mut y = [x];
            <f32 as Native>::ln_1p_all(&mut y);
            worst.max((y[0] as f64 / (x as f64).ln_1p() - 1.0).abs())
        });
        println!("{tanh} {logistic} {decay} {ln_1p} {near_one}");
        assert!(tanh < 2.0 && logistic < 3.0 && decay < 2.0 && ln_1p < 3.0 && near_one < 2e-7);
    }

    #[test]
    fn f32_functions_hold_at_the_ends() {
        let mut x = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-40, f32::MAX];
        <f32 as Native>::tanh_all(&mut x);
        assert_eq!(
            x[..4].iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
            [0.0, -0.0, 1.0, -1.0_f32].map(f32::to_bits)
        );
        assert!(x[4].is_nan() && x[5] == 1e-40 && x[6] == 1.0, "{x:?}");
        let mut x = [0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -1e4];
        <f32 as Native>::logistic_all(&mut x);
        assert!(x[0] == 0.5 && x[1] == 1.0 && x[3].is_nan(), "{x:?}");
        assert!((0.0..1e-37).contains(&x[2]) && (0.0..1e-37).contains(&x[4]), "{x:?}");
    }
}
