//! Functions (20)–(27): any number of unknowns.

use super::function::{FREE, Facts, Function, at, known};
use crate::problems::number::Number;

/// (20) rᵢ = Σⱼ₌₂ⁿ (j − 1) xⱼ tᵢ^(j−2) − (Σⱼ₌₁ⁿ xⱼ tᵢ^(j−1))² − 1, tᵢ = i/29, i ≤ 29; r₃₀ = x₁, r₃₁ = x₂ − x₁² − 1.
pub(super) struct Watson;

impl Watson {
    /// The polynomial Σ xⱼ t^(j−1) and its derivative, by Horner's rule.
    fn polynomial<V: Number>(x: &[V], t: f64) -> (V, V) {
        let t = V::from_f64(t);
        let (mut value, mut slope) = (V::from_f64(0.0), V::from_f64(0.0));
        for &x in x.iter().rev() {
            slope = slope * t + value;
            value = value * t + x;
        }
        (value, slope)
    }
}

impl Function for Watson {
    const FACTS: Facts = Facts {
        name: "Watson",
        n: 9,
        terms: |_| 31,
        sizes: "2 ≤ n ≤ 31, m = 31",
        admits: Some(|n, m| (2..=31).contains(&n) && m == 31),
        start: |n| vec![0.0; n],
        minima: |n, _| match n {
            6 => vec![known(2.28767e-3)],
            9 => vec![known(1.39976e-6)],
            12 => vec![known(4.72238e-10)],
            _ => vec![],
        },
        ..FREE
    };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        for (i, r) in r[..29].iter_mut().enumerate() {
            let (value, slope) = Self::polynomial(x, (i as f64 + 1.0) / 29.0);
            *r = slope - value * value - c(1.0);
        }
        r[29] = x[0];
        r[30] = x[1] - x[0] * x[0] - c(1.0);
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        out.fill(c(0.0));
        for (i, &u) in u[..29].iter().enumerate() {
            let t = (i as f64 + 1.0) / 29.0;
            let (value, _) = Self::polynomial(x, t);
            let (mut power, mut lower) = (1.0, 0.0);
            for (j, out) in out.iter_mut().enumerate() {
                *out += (c(j as f64 * lower) - c(2.0 * power) * value) * u;
                lower = power;
                power *= t;
            }
        }
        out[0] += u[29] - c(2.0) * x[0] * u[30];
        out[1] += u[30];
    }
}

/// (21) r₂ₖ₋₁ = 10 (x₂ₖ − x₂ₖ₋₁²), r₂ₖ = 1 − x₂ₖ₋₁.
pub(super) struct ExtendedRosenbrock;

impl Function for ExtendedRosenbrock {
    const FACTS: Facts = Facts {
        name: "Extended Rosenbrock",
        large: Some(1000),
        sizes: "n a multiple of 2, m = n",
        admits: Some(|n, m| n >= 2 && n.is_multiple_of(2) && m == n),
        start: |n| [-1.2, 1.0].repeat(n / 2),
        minima: |n, _| vec![at(0.0, &vec![1.0; n])],
        ..FREE
    };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        for (x, r) in x.chunks_exact(2).zip(r.chunks_exact_mut(2)) {
            r[0] = c(10.0) * (x[1] - x[0] * x[0]);
            r[1] = c(1.0) - x[0];
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        for ((x, u), out) in x.chunks_exact(2).zip(u.chunks_exact(2)).zip(out.chunks_exact_mut(2)) {
            out[0] = c(-20.0) * x[0] * u[0] - u[1];
            out[1] = c(10.0) * u[0];
        }
    }
}

/// (22) r₄ₖ₋₃ = x₄ₖ₋₃ + 10x₄ₖ₋₂, r₄ₖ₋₂ = √5 (x₄ₖ₋₁ − x₄ₖ), r₄ₖ₋₁ = (x₄ₖ₋₂ − 2x₄ₖ₋₁)², r₄ₖ = √10 (x₄ₖ₋₃ − x₄ₖ)².
pub(super) struct ExtendedPowell;

impl Function for ExtendedPowell {
    const FACTS: Facts = Facts {
        name: "Extended Powell singular",
        n: 12,
        large: Some(1000),
        sizes: "n a multiple of 4, m = n",
        admits: Some(|n, m| n >= 4 && n.is_multiple_of(4) && m == n),
        start: |n| [3.0, -1.0, 0.0, 1.0].repeat(n / 4),
        minima: |n, _| vec![at(0.0, &vec![0.0; n])],
        ..FREE
    };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        for (x, r) in x.chunks_exact(4).zip(r.chunks_exact_mut(4)) {
            let (p, q) = (x[1] - c(2.0) * x[2], x[0] - x[3]);
            r[0] = x[0] + c(10.0) * x[1];
            r[1] = c(5.0_f64.sqrt()) * (x[2] - x[3]);
            r[2] = p * p;
            r[3] = c(10.0_f64.sqrt()) * q * q;
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        for ((x, u), out) in x.chunks_exact(4).zip(u.chunks_exact(4)).zip(out.chunks_exact_mut(4)) {
            let a = c(5.0_f64.sqrt()) * u[1];
            let p = c(2.0) * (x[1] - c(2.0) * x[2]) * u[2];
            let q = c(2.0 * 10.0_f64.sqrt()) * (x[0] - x[3]) * u[3];
            out[0] = u[0] + q;
            out[1] = c(10.0) * u[0] + p;
            out[2] = a - c(2.0) * p;
            out[3] = -a - q;
        }
    }
}

/// a in both penalty functions.
const PENALTY: f64 = 1e-5;

/// (23) rⱼ = √a (xⱼ − 1), rₙ₊₁ = Σ xⱼ² − ¼, a = 10⁻⁵.
pub(super) struct Penalty1;

impl Function for Penalty1 {
    const FACTS: Facts = Facts {
        name: "Penalty I",
        large: Some(1000),
        terms: |n| n + 1,
        sizes: "n ≥ 1, m = n + 1",
        start: |n| (1..=n).map(|j| j as f64).collect(),
        minima: |n, _| match n {
            4 => vec![known(2.24997e-5)],
            10 => vec![known(7.08765e-5)],
            _ => vec![],
        },
        ..FREE
    };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        let mut sum = c(-0.25);
        for (&x, r) in x.iter().zip(r.iter_mut()) {
            *r = c(PENALTY.sqrt()) * (x - c(1.0));
            sum += x * x;
        }
        r[x.len()] = sum;
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        let last = c(2.0) * u[x.len()];
        for j in 0..x.len() {
            out[j] = c(PENALTY.sqrt()) * u[j] + last * x[j];
        }
    }
}

/// (24) r₁ = x₁ − 0.2; rᵢ = √a (e^(xᵢ/10) + e^(xᵢ₋₁/10) − yᵢ), yᵢ = e^(i/10) + e^((i−1)/10), i = 2, …, n;
/// rₙ₊ᵢ₋₁ = √a (e^(xᵢ/10) − e^(−1/10)), i = 2, …, n; r₂ₙ = Σ (n − j + 1) xⱼ² − 1; a = 10⁻⁵.
pub(super) struct Penalty2;

impl Function for Penalty2 {
    const FACTS: Facts = Facts {
        name: "Penalty II",
        large: Some(50),
        terms: |n| 2 * n,
        sizes: "n ≥ 1, m = 2n",
        start: |n| vec![0.5; n],
        minima: |n, _| match n {
            4 => vec![known(9.37629e-6)],
            10 => vec![known(2.93660e-4)],
            _ => vec![],
        },
        ..FREE
    };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        let n = x.len();
        let mut sum = c(-1.0);
        let mut previous = c(0.0);
        for i in 0..n {
            let e = (c(0.1) * x[i]).exp();
            if i > 0 {
                let y = ((i as f64 + 1.0) / 10.0).exp() + (i as f64 / 10.0).exp();
                r[i] = c(PENALTY.sqrt()) * (e + previous - c(y));
                r[n + i - 1] = c(PENALTY.sqrt()) * (e - c((-0.1_f64).exp()));
            }
            sum += c((n - i) as f64) * x[i] * x[i];
            previous = e;
        }
        r[0] = x[0] - c(0.2);
        r[2 * n - 1] = sum;
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        let n = x.len();
        for i in 0..n {
            let mut weight = c(0.0);
            if i > 0 {
                weight += u[i] + u[n + i - 1];
            }
            if i + 1 < n {
                weight += u[i + 1];
            }
            out[i] = c(0.1 * PENALTY.sqrt()) * (c(0.1) * x[i]).exp() * weight
                + c(2.0 * (n - i) as f64) * x[i] * u[2 * n - 1];
        }
        out[0] += u[0];
    }
}

/// (25) rⱼ = xⱼ − 1, rₙ₊₁ = s, rₙ₊₂ = s², s = Σ j (xⱼ − 1).
pub(super) struct VariablyDimensioned;

impl VariablyDimensioned {
    fn sum<V: Number>(x: &[V]) -> V {
        let mut s = V::from_f64(0.0);
        for (j, &x) in x.iter().enumerate() {
            s += V::from_f64(j as f64 + 1.0) * (x - V::from_f64(1.0));
        }
        s
    }
}

impl Function for VariablyDimensioned {
    const FACTS: Facts = Facts {
        name: "Variably dimensioned",
        large: Some(200),
        terms: |n| n + 2,
        sizes: "n ≥ 1, m = n + 2",
        start: |n| (1..=n).map(|j| 1.0 - j as f64 / n as f64).collect(),
        minima: |n, _| vec![at(0.0, &vec![1.0; n])],
        ..FREE
    };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let (n, s) = (x.len(), Self::sum(x));
        for j in 0..n {
            r[j] = x[j] - V::from_f64(1.0);
        }
        r[n] = s;
        r[n + 1] = s * s;
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let (n, c) = (x.len(), V::from_f64);
        let weight = u[n] + c(2.0) * Self::sum(x) * u[n + 1];
        for j in 0..n {
            out[j] = u[j] + c(j as f64 + 1.0) * weight;
        }
    }
}

/// (26) rᵢ = n − Σ cos xⱼ + i (1 − cos xᵢ) − sin xᵢ.
pub(super) struct Trigonometric;

impl Function for Trigonometric {
    const FACTS: Facts = Facts {
        name: "Trigonometric",
        large: Some(200),
        start: |n| vec![1.0 / n as f64; n],
        // There are other stationary points with F > 0.
        minima: |n, _| vec![at(0.0, &vec![0.0; n])],
        ..FREE
    };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        let mut sum = c(0.0);
        for (i, (&x, r)) in x.iter().zip(r.iter_mut()).enumerate() {
            let defect = c(1.0) - x.cos();
            sum += defect;
            *r = c(i as f64 + 1.0) * defect - x.sin();
        }
        for r in r {
            *r += sum;
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        let mut sum = c(0.0);
        for &u in u {
            sum += u;
        }
        for j in 0..x.len() {
            let (sin, cos) = (x[j].sin(), x[j].cos());
            out[j] = sin * sum + (c(j as f64 + 1.0) * sin - cos) * u[j];
        }
    }
}

/// (27) rᵢ = xᵢ + Σ xⱼ − (n + 1), i < n; rₙ = Π xⱼ − 1.
pub(super) struct BrownAlmostLinear;

impl Function for BrownAlmostLinear {
    const FACTS: Facts = Facts {
        name: "Brown almost-linear",
        large: Some(100),
        start: |n| vec![0.5; n],
        // F = 0 at (α, …, α, α¹⁻ⁿ) for every root α of nαⁿ − (n + 1) αⁿ⁻¹ + 1; α = 1 is one.
        minima: |n, _| {
            let mut corner = vec![0.0; n];
            corner[n - 1] = n as f64 + 1.0;
            let mut minima = vec![at(0.0, &vec![1.0; n])];
            if n > 1 {
                minima.push(at(1.0, &corner));
            }
            minima
        },
        ..FREE
    };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        let n = x.len();
        let (mut sum, mut product) = (c(-(n as f64 + 1.0)), c(1.0));
        for &x in x {
            sum += x;
            product *= x;
        }
        for i in 0..n - 1 {
            r[i] = x[i] + sum;
        }
        r[n - 1] = product - c(1.0);
    }
    /// The product of all but one unknown is the product of those before it and of those after it: no division, so
    /// zeros are welcome.
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        let n = x.len();
        let (mut before, mut sum) = (u[n - 1], c(0.0));
        for j in 0..n {
            out[j] = before;
            before *= x[j];
            if j + 1 < n {
                sum += u[j];
            }
        }
        let mut after = c(1.0);
        for j in (0..n).rev() {
            out[j] = out[j] * after + sum;
            if j + 1 < n {
                out[j] += u[j];
            }
            after *= x[j];
        }
    }
}
