//! Cholesky factors A + λI = RᵀR of small matrices that may gain rows, one after the other for several λ.
//!
//! Golub & Van Loan, *Matrix Computations* (2013), section 4.2: row j of R is row j of A less multiples of the rows of R
//! above it, four at a time, so that all inner loops run over numbers that follow each other. New rows of A complete the
//! rows of R before they add their own. For projected problems of a few hundred rows; where a matrix is formed, the dense
//! path has faer's.

use super::secular;
use crate::base::native::vectorized;

/// R, of A + λI or of its leading rows.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Factors {
    /// The numbers from the beginning of one row to that of the next, as in A.
    stride: usize,
    /// R by rows, with 1/Rⱼⱼ on the diagonal.
    upper: Vec<f64>,
    shift: f64,
    /// The rows that are known, and complete up to so many columns.
    rows: usize,
    columns: usize,
    /// The largest λ for which A + λI is known to be not positive definite, and of how many leading rows.
    indefinite: f64,
    failed: usize,
    work: Vec<f64>,
}

impl Factors {
    pub fn new(stride: usize) -> Self {
        Factors {
            stride,
            upper: vec![0.0; stride * stride],
            shift: 0.0,
            rows: 0,
            columns: 0,
            indefinite: f64::NEG_INFINITY,
            failed: 0,
            work: vec![0.0; stride],
        }
    }

    /// Makes the factor of the `k` leading rows of A + λI, given by rows, or what is missing of it; false if that is not
    /// positive definite to rounding: a pivot is at most kε of its diagonal entry or of the largest.
    pub fn make(&mut self, matrix: &[f64], shift: f64, k: usize) -> bool {
        if shift <= self.indefinite {
            return false;
        }
        if self.shift != shift {
            (self.shift, self.rows, self.columns) = (shift, 0, 0);
        }
        let n = self.stride;
        let largest = (0..k).fold(0.0, |l: f64, i| l.max(matrix[i * n + i] + shift));
        let least = f64::EPSILON * k as f64 * largest;
        let (upper, rows, columns) = (&mut self.upper, &mut self.rows, self.columns);
        vectorized(
            k,
            #[inline(always)]
            || {
                for j in 0..k {
                    let first = if j < *rows { columns } else { j };
                    let (above, row) = upper.split_at_mut(j * n);
                    let row = &mut row[..k];
                    row[first..].copy_from_slice(&matrix[j * n + first..j * n + k]);
                    subtract(above, n, j, &mut row[first..], first);
                    if j >= *rows {
                        let pivot = row[j] + shift;
                        if pivot.is_nan() || pivot <= least {
                            return;
                        }
                        row[j] = pivot.sqrt().recip();
                        *rows = j + 1;
                    }
                    let inverse = row[j];
                    row[first.max(j + 1)..].iter_mut().for_each(|r| *r *= inverse);
                }
            },
        );
        self.columns = k;
        if self.rows < k {
            self.indefinite = shift.max(self.negative_curvature(matrix[self.rows * (n + 1)]));
            self.failed = self.rows + 1;
        }
        self.rows == k
    }

    /// −vᵀAv / vᵀv for the v with which the factorisation failed, in the row with this diagonal entry of A: with r the part
    /// of its column above, v = (−R₁⁻¹r, 1) and vᵀ(A + λI)v = aⱼⱼ + λ − rᵀr.
    fn negative_curvature(&mut self, diagonal: f64) -> f64 {
        let j = self.rows;
        let mut v = std::mem::take(&mut self.work);
        (0..j).for_each(|l| v[l] = self.upper[l * self.stride + j]);
        let pivot = diagonal + self.shift - v[..j].iter().map(|r| r * r).sum::<f64>();
        self.solve_upper(&mut v[..j]);
        let curvature = pivot / (1.0 + v[..j].iter().map(|v| v * v).sum::<f64>());
        self.work = v;
        self.shift - curvature
    }

    /// Only the first `rows` rows and columns of A are as they were.
    pub fn keep(&mut self, rows: usize) {
        (self.rows, self.columns) = (self.rows.min(rows), self.columns.min(rows));
        if rows < self.failed {
            self.forget_failures();
        }
    }

    /// Nothing is known to be not positive definite.
    pub fn forget_failures(&mut self) {
        (self.indefinite, self.failed) = (f64::NEG_INFINITY, 0);
    }

    /// Whether there is a factor of `k` rows.
    pub fn has(&self, k: usize) -> bool {
        self.rows >= k
    }

    /// An estimate from above of A's lowest eigenvalue, by inverse iteration; `x` becomes its vector.
    pub fn lowest_eigenvalue(&self, x: &mut [f64]) -> f64 {
        (secular::lowest_eigenvalue(x, |x| self.solve(x)) - self.shift).min(-self.indefinite)
    }

    /// A λ up to which A + λI is known to be not positive definite.
    pub fn indefinite_up_to(&self) -> f64 {
        self.indefinite
    }

    /// x ← (A + λI)⁻¹x.
    pub fn solve(&self, x: &mut [f64]) {
        self.solve_lower(x);
        self.solve_upper(x);
    }

    /// x ← R⁻ᵀx.
    pub fn solve_lower(&self, x: &mut [f64]) {
        let k = x.len();
        vectorized(
            k,
            #[inline(always)]
            || {
                for (j, row) in self.upper.chunks_exact(self.stride).take(k).enumerate() {
                    x[j] *= row[j];
                    let scale = x[j];
                    x[j + 1..].iter_mut().zip(&row[j + 1..k]).for_each(|(x, r)| *x -= scale * r);
                }
            },
        );
    }

    /// x ← R⁻¹x.
    fn solve_upper(&self, x: &mut [f64]) {
        let k = x.len();
        vectorized(
            k,
            #[inline(always)]
            || {
                for (j, row) in self.upper.chunks_exact(self.stride).take(k).enumerate().rev() {
                    x[j] = (x[j] - lane_dot(&row[j + 1..k], &x[j + 1..])) * row[j];
                }
            },
        );
    }
}

/// row ← row − Σ_{l<j} R_{lj} (R_{l,first}, …).
#[inline(always)]
fn subtract(above: &[f64], stride: usize, j: usize, row: &mut [f64], first: usize) {
    let end = first + row.len();
    let part = |l: usize| (above[l * stride + j], &above[l * stride + first..l * stride + end]);
    let mut l = 0;
    while l + 4 <= j {
        let [(a, p), (b, q), (c, r), (d, s)] = [part(l), part(l + 1), part(l + 2), part(l + 3)];
        for ((((x, p), q), r), s) in row.iter_mut().zip(p).zip(q).zip(r).zip(s) {
            *x -= (a * p + b * q) + (c * r + d * s);
        }
        l += 4;
    }
    for l in l..j {
        let (a, p) = part(l);
        row.iter_mut().zip(p).for_each(|(x, p)| *x -= a * p);
    }
}

/// aᵀb in eight chains of sums.
#[inline(always)]
fn lane_dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let ((a, last_a), (b, last_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    for ((a, b), sum) in last_a.iter().zip(last_b).zip(&mut sums) {
        *sum += a * b;
    }
    ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (aᵢⱼ) of `n` rows with a stride, and its factor grown by `steps`.
    fn grown(n: usize, stride: usize, steps: &[usize], entry: impl Fn(usize, usize) -> f64) -> (Vec<f64>, Factors) {
        let mut matrix = vec![0.0; stride * stride];
        (0..n).for_each(|i| (0..n).for_each(|j| matrix[i * stride + j] = entry(i.min(j), i.max(j))));
        let mut factors = Factors::new(stride);
        for &k in steps {
            assert!(factors.make(&matrix, 0.25, k));
        }
        (matrix, factors)
    }

    #[test]
    fn a_factor_may_gain_rows_by_any_number() {
        let entry = |i: usize, j: usize| if i == j { 3.0 + i as f64 } else { 1.0 / (1.0 + (2 * i + j) as f64) };
        for steps in [&[13][..], &[1, 2, 3, 13], &[5, 6, 12, 13], &[9, 13]] {
            let (matrix, factors) = grown(13, 15, steps, entry);
            let mut x: Vec<f64> = (0..13).map(|i| 1.0 - 0.3 * i as f64).collect();
            let b = x.clone();
            factors.solve(&mut x);
            for i in 0..13 {
                let row = &matrix[i * 15..i * 15 + 13];
                let product = row.iter().zip(&x).map(|(a, x)| a * x).sum::<f64>() + 0.25 * x[i];
                assert!((product - b[i]).abs() < 1e-14, "{steps:?} {i}");
            }
        }
    }

    /// θ₁ of an indefinite matrix lies beyond what a failed factorisation says, and that beyond the shift.
    #[test]
    fn a_failure_bounds_the_lowest_eigenvalue() {
        let diagonal = [4.0, -1.0, 2.0, -3.0];
        let entry = |i: usize, j: usize| if i == j { diagonal[i] } else { 0.5 };
        let mut matrix = vec![0.0; 16];
        (0..4).for_each(|i| (0..4).for_each(|j| matrix[i * 4 + j] = entry(i, j)));
        let mut factors = Factors::new(4);
        assert!(!factors.make(&matrix, 0.0, 4));
        let first = factors.indefinite_up_to();
        assert!((1.0..3.3).contains(&first), "{first}");
        assert!(!factors.make(&matrix, 2.0, 4));
        let second = factors.indefinite_up_to();
        assert!((2.0..3.3).contains(&second), "{second}");
        // That was seen in all four rows, and holds with them only; one row is definite.
        factors.keep(4);
        assert_eq!(factors.indefinite_up_to(), second);
        factors.keep(1);
        assert!(factors.make(&matrix, 0.0, 1));
    }
}
