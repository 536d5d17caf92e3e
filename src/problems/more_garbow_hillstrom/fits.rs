//! Functions (8)–(12), (15) and (16): curves fitted to data. The data are the paper's tables.

use super::function::{FREE, Facts, Function, at, fixed, known};
use crate::problems::number::Number;

/// (8) rᵢ = yᵢ − (x₁ + i/(vᵢx₂ + wᵢx₃)), vᵢ = 16 − i, wᵢ = min(i, vᵢ).
pub(super) struct Bard;

const BARD: [f64; 15] = [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39];

impl Bard {
    /// i, vᵢ, wᵢ for a zero-based index.
    fn coefficients(i: usize) -> [f64; 3] {
        let (i, v) = (i as f64 + 1.0, 15.0 - i as f64);
        [i, v, i.min(v)]
    }
}

impl Function for Bard {
    // The second is approached at (0.8406…, −∞, −∞).
    fixed!("Bard", n = 3, m = 15, x0 = &[1.0; 3], minima = [known(8.21487e-3), known(17.4286)]);

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        for i in 0..r.len() {
            let [a, v, w] = Self::coefficients(i).map(V::from_f64);
            r[i] = V::from_f64(BARD[i]) - (x[0] + a / (v * x[1] + w * x[2]));
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        out.fill(V::from_f64(0.0));
        for (i, &u) in u.iter().enumerate() {
            let [a, v, w] = Self::coefficients(i).map(V::from_f64);
            let below = v * x[1] + w * x[2];
            let slope = a / (below * below) * u;
            out[0] -= u;
            out[1] += v * slope;
            out[2] += w * slope;
        }
    }
}

/// (9) rᵢ = x₁ exp(−x₂ (tᵢ − x₃)²/2) − yᵢ, tᵢ = (8 − i)/2.
pub(super) struct Gaussian;

const GAUSSIAN: [f64; 15] = [
    0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989, 0.3521, 0.2420, 0.1295, 0.0540, 0.0175, 0.0044,
    0.0009,
];

impl Function for Gaussian {
    fixed!("Gaussian", n = 3, m = 15, x0 = &[0.4, 1.0, 0.0], minima = [known(1.12793e-8)]);

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        for i in 0..r.len() {
            let d = c((7.0 - i as f64) / 2.0) - x[2];
            r[i] = x[0] * (c(-0.5) * x[1] * d * d).exp() - c(GAUSSIAN[i]);
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        out.fill(c(0.0));
        for (i, &u) in u.iter().enumerate() {
            let d = c((7.0 - i as f64) / 2.0) - x[2];
            let e = (c(-0.5) * x[1] * d * d).exp() * u;
            out[0] += e;
            out[1] -= c(0.5) * x[0] * d * d * e;
            out[2] += x[0] * x[1] * d * e;
        }
    }
}

/// (10) rᵢ = x₁ exp(x₂/(tᵢ + x₃)) − yᵢ, tᵢ = 45 + 5i.
pub(super) struct Meyer;

const MEYER: [f64; 16] = [
    34780.0, 28610.0, 23650.0, 19630.0, 16370.0, 13720.0, 11540.0, 9744.0, 8261.0, 7030.0, 6005.0, 5147.0, 4427.0,
    3820.0, 3307.0, 2872.0,
];

impl Function for Meyer {
    fixed!("Meyer", n = 3, m = 16, x0 = &[0.02, 4000.0, 250.0], minima = [known(87.9458)]);

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        for i in 0..r.len() {
            r[i] = x[0] * (x[1] / (c(50.0 + 5.0 * i as f64) + x[2])).exp() - c(MEYER[i]);
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        out.fill(c(0.0));
        for (i, &u) in u.iter().enumerate() {
            let below = c(50.0 + 5.0 * i as f64) + x[2];
            let e = (x[1] / below).exp() * u;
            let slope = x[0] * e / below;
            out[0] += e;
            out[1] += slope;
            out[2] -= slope * x[1] / below;
        }
    }
}

/// (11) rᵢ = exp(−|yᵢ − x₂|^x₃ / x₁) − tᵢ, tᵢ = i/100, yᵢ = 25 + (−50 ln tᵢ)^⅔.
///
/// The printed formula has a misprint between yᵢ and x₂; this is Algorithm 566's. Not differentiable where x₂ = yᵢ,
/// which only t₁₀₀ puts at the minimiser; there the power and its derivatives are taken as zero.
pub(super) struct Gulf;

impl Gulf {
    /// tᵢ, |x₂ − yᵢ| and the sign of x₂ − yᵢ, for a zero-based index.
    fn distance<V: Number>(i: usize, x2: V) -> (f64, V, f64) {
        let t = (i as f64 + 1.0) / 100.0;
        let d = x2 - V::from_f64(25.0 + (-50.0 * t.ln()).powf(2.0 / 3.0));
        if d.value() < 0.0 { (t, -d, -1.0) } else { (t, d, 1.0) }
    }
}

impl Function for Gulf {
    const FACTS: Facts = Facts {
        name: "Gulf research and development",
        n: 3,
        terms: |_| 99,
        sizes: "n = 3, 3 ≤ m ≤ 100",
        admits: Some(|n, m| n == 3 && (3..=100).contains(&m)),
        start: |_| vec![5.0, 2.5, 0.15],
        minima: |_, _| vec![at(0.0, &[50.0, 25.0, 1.5])],
        ..FREE
    };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        for i in 0..r.len() {
            let (t, d, _) = Self::distance(i, x[1]);
            let power = if d.value() == 0.0 { c(0.0) } else { (x[2] * d.ln()).exp() };
            r[i] = (-power / x[0]).exp() - c(t);
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        out.fill(c(0.0));
        for (i, &u) in u.iter().enumerate() {
            let (_, d, sign) = Self::distance(i, x[1]);
            if d.value() == 0.0 {
                continue;
            }
            let log = d.ln();
            let power = (x[2] * log).exp();
            let slope = (-power / x[0]).exp() * power / x[0] * u;
            out[0] += slope / x[0];
            out[1] -= c(sign) * slope * x[2] / d;
            out[2] -= slope * log;
        }
    }
}

/// (12) rᵢ = e^(−tᵢx₁) − e^(−tᵢx₂) − x₃ (e^(−tᵢ) − e^(−10tᵢ)), tᵢ = i/10.
pub(super) struct Box3;

impl Function for Box3 {
    const FACTS: Facts = Facts {
        name: "Box three-dimensional",
        n: 3,
        terms: |_| 10,
        sizes: "n = 3, m ≥ 3",
        admits: Some(|n, m| n == 3 && m >= 3),
        start: |_| vec![0.0, 10.0, 20.0],
        // F = 0 also wherever x₁ = x₂ and x₃ = 0.
        minima: |_, _| vec![at(0.0, &[1.0, 10.0, 1.0]), at(0.0, &[10.0, 1.0, -1.0])],
        ..FREE
    };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        for (i, r) in r.iter_mut().enumerate() {
            let t = (i as f64 + 1.0) / 10.0;
            *r = (c(-t) * x[0]).exp() - (c(-t) * x[1]).exp() - x[2] * c((-t).exp() - (-10.0 * t).exp());
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        out.fill(c(0.0));
        for (i, &u) in u.iter().enumerate() {
            let t = (i as f64 + 1.0) / 10.0;
            out[0] -= c(t) * (c(-t) * x[0]).exp() * u;
            out[1] += c(t) * (c(-t) * x[1]).exp() * u;
            out[2] -= c((-t).exp() - (-10.0 * t).exp()) * u;
        }
    }
}

/// (15) rᵢ = yᵢ − x₁ (uᵢ² + uᵢx₂)/(uᵢ² + uᵢx₃ + x₄).
pub(super) struct KowalikOsborne;

/// (yᵢ, uᵢ).
const KOWALIK_OSBORNE: [(f64, f64); 11] = [
    (0.1957, 4.0),
    (0.1947, 2.0),
    (0.1735, 1.0),
    (0.1600, 0.5),
    (0.0844, 0.25),
    (0.0627, 0.167),
    (0.0456, 0.125),
    (0.0342, 0.1),
    (0.0323, 0.0833),
    (0.0235, 0.0714),
    (0.0246, 0.0625),
];

impl KowalikOsborne {
    /// uᵢ² + uᵢx₂ and uᵢ² + uᵢx₃ + x₄.
    fn fraction<V: Number>(x: &[V], abscissa: f64) -> (V, V) {
        let (s, s2) = (V::from_f64(abscissa), V::from_f64(abscissa * abscissa));
        (s2 + s * x[1], s2 + s * x[2] + x[3])
    }
}

impl Function for KowalikOsborne {
    // The second is approached at (+∞, −14.07…, −∞, −∞).
    fixed!(
        "Kowalik and Osborne",
        n = 4,
        m = 11,
        x0 = &[0.25, 0.39, 0.415, 0.39],
        minima = [known(3.07505e-4), known(1.02734e-3)]
    );

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        for (r, (y, s)) in r.iter_mut().zip(KOWALIK_OSBORNE) {
            let (above, below) = Self::fraction(x, s);
            *r = V::from_f64(y) - x[0] * above / below;
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        out.fill(V::from_f64(0.0));
        for (&u, (_, s)) in u.iter().zip(KOWALIK_OSBORNE) {
            let (above, below) = Self::fraction(x, s);
            let s = V::from_f64(s);
            let slope = x[0] * u / below;
            out[0] -= above / below * u;
            out[1] -= s * slope;
            out[2] += s * slope * above / below;
            out[3] += slope * above / below;
        }
    }
}

/// (16) rᵢ = (x₁ + tᵢx₂ − e^tᵢ)² + (x₃ + x₄ sin tᵢ − cos tᵢ)², tᵢ = i/5.
pub(super) struct BrownDennis;

impl BrownDennis {
    /// The two numbers whose squares are added.
    fn pair<V: Number>(x: &[V], t: f64) -> (V, V) {
        let c = V::from_f64;
        (x[0] + c(t) * x[1] - c(t.exp()), x[2] + c(t.sin()) * x[3] - c(t.cos()))
    }
}

impl Function for BrownDennis {
    const FACTS: Facts = Facts {
        name: "Brown and Dennis",
        n: 4,
        terms: |_| 20,
        sizes: "n = 4, m ≥ 4",
        admits: Some(|n, m| n == 4 && m >= 4),
        start: |_| vec![25.0, 5.0, -5.0, -1.0],
        minima: |_, m| if m == 20 { vec![known(85822.2)] } else { vec![] },
        ..FREE
    };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        for (i, r) in r.iter_mut().enumerate() {
            let (a, b) = Self::pair(x, (i as f64 + 1.0) / 5.0);
            *r = a * a + b * b;
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        out.fill(c(0.0));
        for (i, &u) in u.iter().enumerate() {
            let t = (i as f64 + 1.0) / 5.0;
            let (a, b) = Self::pair(x, t);
            let (a, b) = (c(2.0) * a * u, c(2.0) * b * u);
            out[0] += a;
            out[1] += c(t) * a;
            out[2] += b;
            out[3] += c(t.sin()) * b;
        }
    }
}
