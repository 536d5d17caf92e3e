//! Functions (17)–(19): sums of exponentials fitted to data. The data are the paper's tables.

use super::function::{FREE, Facts, Function, at, fixed, known};
use crate::problems::number::Number;

/// (17) rᵢ = yᵢ − (x₁ + x₂ e^(−tᵢx₄) + x₃ e^(−tᵢx₅)), tᵢ = 10 (i − 1).
pub(super) struct Osborne1;

const OSBORNE_1: [f64; 33] = [
    0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751, 0.718, 0.685, 0.658, 0.628, 0.603,
    0.580, 0.558, 0.538, 0.522, 0.506, 0.490, 0.478, 0.467, 0.457, 0.448, 0.438, 0.431, 0.424, 0.420, 0.414, 0.411,
    0.406,
];

impl Function for Osborne1 {
    fixed!("Osborne 1", n = 5, m = 33, x0 = &[0.5, 1.5, -1.0, 0.01, 0.02], minima = [known(5.46489e-5)]);

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        for i in 0..r.len() {
            let t = c(-10.0 * i as f64);
            r[i] = c(OSBORNE_1[i]) - (x[0] + x[1] * (t * x[3]).exp() + x[2] * (t * x[4]).exp());
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        out.fill(c(0.0));
        for (i, &u) in u.iter().enumerate() {
            let t = c(-10.0 * i as f64);
            let (first, second) = ((t * x[3]).exp() * u, (t * x[4]).exp() * u);
            out[0] -= u;
            out[1] -= first;
            out[2] -= second;
            out[3] -= t * x[1] * first;
            out[4] -= t * x[2] * second;
        }
    }
}

/// (18) rᵢ = x₃ e^(−tᵢx₁) − x₄ e^(−tᵢx₂) + x₆ e^(−tᵢx₅) − yᵢ, tᵢ = i/10, yᵢ = e^(−tᵢ) − 5 e^(−10tᵢ) + 3 e^(−4tᵢ).
pub(super) struct BiggsExp6;

impl Function for BiggsExp6 {
    const FACTS: Facts = Facts {
        name: "Biggs EXP6",
        n: 6,
        terms: |_| 13,
        sizes: "n = 6, m ≥ 6",
        admits: Some(|n, m| n == 6 && m >= 6),
        start: |_| vec![1.0, 2.0, 1.0, 1.0, 1.0, 1.0],
        minima: |_, m| {
            let mut minima = vec![at(0.0, &[1.0, 10.0, 1.0, 5.0, 4.0, 3.0])];
            if m == 13 {
                minima.push(known(5.65565e-3));
            }
            minima
        },
        ..FREE
    };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        for (i, r) in r.iter_mut().enumerate() {
            let t = (i as f64 + 1.0) / 10.0;
            let y = (-t).exp() - 5.0 * (-10.0 * t).exp() + 3.0 * (-4.0 * t).exp();
            let e = |x: V| (c(-t) * x).exp();
            *r = x[2] * e(x[0]) - x[3] * e(x[1]) + x[5] * e(x[4]) - c(y);
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        out.fill(c(0.0));
        for (i, &u) in u.iter().enumerate() {
            let t = (i as f64 + 1.0) / 10.0;
            let e = |x: V| (c(-t) * x).exp() * u;
            let (a, b, d) = (e(x[0]), e(x[1]), e(x[4]));
            out[0] -= c(t) * x[2] * a;
            out[1] += c(t) * x[3] * b;
            out[2] += a;
            out[3] -= b;
            out[4] -= c(t) * x[5] * d;
            out[5] += d;
        }
    }
}

/// (19) rᵢ = yᵢ − (x₁ e^(−tᵢx₅) + x₂ e^(−(tᵢ−x₉)²x₆) + x₃ e^(−(tᵢ−x₁₀)²x₇) + x₄ e^(−(tᵢ−x₁₁)²x₈)),
/// tᵢ = (i − 1)/10.
pub(super) struct Osborne2;

const OSBORNE_2: [f64; 65] = [
    1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608, 0.655, 0.616, 0.606,
    0.602, 0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661, 0.612, 0.558, 0.533, 0.495, 0.500, 0.423,
    0.395, 0.375, 0.372, 0.391, 0.396, 0.405, 0.428, 0.429, 0.523, 0.562, 0.607, 0.653, 0.672, 0.708, 0.633, 0.668,
    0.645, 0.632, 0.591, 0.559, 0.597, 0.625, 0.739, 0.710, 0.729, 0.720, 0.636, 0.581, 0.428, 0.292, 0.162, 0.098,
    0.054,
];

impl Function for Osborne2 {
    fixed!(
        "Osborne 2",
        n = 11,
        m = 65,
        x0 = &[1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5],
        minima = [known(4.01377e-2)]
    );

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        for i in 0..r.len() {
            let t = c(i as f64 / 10.0);
            let mut sum = x[0] * (-t * x[4]).exp();
            for k in 1..4 {
                let d = t - x[7 + k];
                sum += x[k] * (-d * d * x[4 + k]).exp();
            }
            r[i] = c(OSBORNE_2[i]) - sum;
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        out.fill(c(0.0));
        for (i, &u) in u.iter().enumerate() {
            let t = c(i as f64 / 10.0);
            let e = (-t * x[4]).exp() * u;
            out[0] -= e;
            out[4] += t * x[0] * e;
            for k in 1..4 {
                let d = t - x[7 + k];
                let e = (-d * d * x[4 + k]).exp() * u;
                out[k] -= e;
                out[4 + k] += d * d * x[k] * e;
                out[7 + k] -= c(2.0) * d * x[4 + k] * x[k] * e;
            }
        }
    }
}
