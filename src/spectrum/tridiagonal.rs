//! The extreme eigenvalues of a symmetric tridiagonal matrix T, with the last components of their eigenvectors.
//!
//! Values: bisection on the number of negative pivots of T − xI (Golub & Van Loan, *Matrix Computations* (2013), section
//! 8.4.1). Vectors: the twisted factorisation, which starts from the component where T − θI is nearest to singular
//! (Parlett & Dhillon, Linear Algebra Appl. 267 (1997)). Both cost O(k) per sweep, so matrices with 10⁵ rows are no work.

/// A symmetric tridiagonal matrix that grows.
#[derive(Default)]
pub(super) struct Tridiagonal {
    /// α₁ … α_k.
    pub diagonal: Vec<f64>,
    /// β₁ … β_k: T holds all but the last, which is what leads out of the space.
    pub off_diagonal: Vec<f64>,
    forward: Vec<f64>,
    backward: Vec<f64>,
    vector: Vec<f64>,
}

/// An eigenvalue of T and |s_k|, the last component of its unit eigenvector.
#[derive(Clone, Copy, Debug)]
pub(super) struct RitzValue {
    pub value: f64,
    pub last: f64,
}

impl Tridiagonal {
    pub fn clear(&mut self) {
        self.diagonal.clear();
        self.off_diagonal.clear();
    }

    pub fn len(&self) -> usize {
        self.diagonal.len()
    }

    /// β_k.
    pub fn leaving(&self) -> f64 {
        self.off_diagonal.last().copied().unwrap_or(0.0)
    }

    /// The smallest and the largest eigenvalue.
    pub fn extremes(&mut self) -> [RitzValue; 2] {
        let k = self.len();
        let beta = |i: usize| if i < k - 1 { self.off_diagonal[i] } else { 0.0 };
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for (i, &alpha) in self.diagonal.iter().enumerate() {
            let radius = if i > 0 { beta(i - 1) } else { 0.0 } + beta(i);
            low = low.min(alpha - radius);
            high = high.max(alpha + radius);
        }
        [1, k].map(|wanted| {
            let (mut low, mut high) = (low, high);
            // Until no number lies between them.
            loop {
                let middle = low + 0.5 * (high - low);
                if middle <= low || middle >= high {
                    break;
                }
                if self.count_below(middle) >= wanted {
                    high = middle
                } else {
                    low = middle
                }
                if high - low <= f64::EPSILON * low.abs().max(high.abs()) {
                    break;
                }
            }
            let value = low + 0.5 * (high - low);
            RitzValue { value, last: self.last_component(value) }
        })
    }

    /// How many eigenvalues are below x.
    fn count_below(&self, x: f64) -> usize {
        let mut pivot = 1.0;
        let mut count = 0;
        for (i, &alpha) in self.diagonal.iter().enumerate() {
            let beta = if i > 0 { self.off_diagonal[i - 1] } else { 0.0 };
            pivot = nonzero(alpha - x - beta * (beta / pivot));
            count += usize::from(pivot < 0.0);
        }
        count
    }

    fn last_component(&mut self, theta: f64) -> f64 {
        let k = self.len();
        let (a, b) = (&self.diagonal, &self.off_diagonal);
        for v in [&mut self.forward, &mut self.backward, &mut self.vector] {
            v.resize(k, 0.0);
        }
        let (forward, backward, z) = (&mut self.forward, &mut self.backward, &mut self.vector);
        forward[0] = nonzero(a[0] - theta);
        for i in 1..k {
            forward[i] = nonzero(a[i] - theta - b[i - 1] * (b[i - 1] / forward[i - 1]));
        }
        backward[k - 1] = nonzero(a[k - 1] - theta);
        for i in (0..k - 1).rev() {
            backward[i] = nonzero(a[i] - theta - b[i] * (b[i] / backward[i + 1]));
        }
        // 1/γᵢ is the i-th diagonal entry of (T − θI)⁻¹.
        let gamma = |i: usize| (forward[i] + backward[i] - (a[i] - theta)).abs();
        let start = (0..k).fold(0, |best, i| if gamma(i) < gamma(best) { i } else { best });
        z[start] = 1.0;
        for i in (0..start).rev() {
            z[i] = -b[i] / forward[i] * z[i + 1];
        }
        for i in start + 1..k {
            z[i] = -b[i - 1] / backward[i] * z[i - 1];
        }
        let largest = z.iter().fold(0.0_f64, |m, z| m.max(z.abs()));
        let norm = z.iter().map(|z| (z / largest) * (z / largest)).sum::<f64>().sqrt();
        let last = z[k - 1].abs() / largest / norm;
        // An eigenvector that could not be computed proves nothing.
        if last.is_finite() { last } else { 1.0 }
    }
}

fn nonzero(pivot: f64) -> f64 {
    if pivot.abs() < f64::MIN_POSITIVE { -f64::MIN_POSITIVE } else { pivot }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second difference: λⱼ = 2 − 2 cos(jπ/(k + 1)), with eigenvectors sin(ijπ/(k + 1)) √(2/(k + 1)).
    #[test]
    fn second_differences_have_their_eigenvalues() {
        for k in [1, 2, 3, 10, 1000] {
            let mut t = Tridiagonal { diagonal: vec![2.0; k], off_diagonal: vec![1.0; k], ..Tridiagonal::default() };
            let [smallest, largest] = t.extremes();
            let angle = std::f64::consts::PI / (k as f64 + 1.0);
            let last = angle.sin() * (2.0 / (k as f64 + 1.0)).sqrt();
            assert!((smallest.value - (2.0 - 2.0 * angle.cos())).abs() < 1e-15 * k as f64, "{k}: {smallest:?}");
            assert!((largest.value - (2.0 + 2.0 * angle.cos())).abs() < 2e-15);
            assert!((smallest.last - last).abs() < 1e-6 * last && (largest.last - last).abs() < 1e-6 * last, "{k}");
        }
    }

    #[test]
    fn matrices_that_fall_apart_are_no_problem() {
        let mut t = Tridiagonal { diagonal: vec![3.0, 0.0, -5.0], off_diagonal: vec![0.0; 3], ..Default::default() };
        let [smallest, largest] = t.extremes();
        assert_eq!((smallest.value, largest.value), (-5.0, 3.0));
        assert_eq!((smallest.last, largest.last), (1.0, 0.0));
        let mut zero = Tridiagonal { diagonal: vec![0.0; 2], off_diagonal: vec![0.0; 2], ..Default::default() };
        assert_eq!(zero.extremes().map(|r| r.value), [0.0; 2]);
        let mut huge = Tridiagonal { diagonal: vec![1e300; 2], off_diagonal: vec![1e300; 2], ..Default::default() };
        assert!((huge.extremes()[1].value - 2e300).abs() < 1e286);
    }
}
