//! Functions (1)–(7), (13) and (14): two to four unknowns, no data.

use std::f64::consts::PI;

use super::extended;
use super::function::{FREE, Facts, Function, at, fixed};
use crate::problems::number::Number;

/// (1) r₁ = 10 (x₂ − x₁²), r₂ = 1 − x₁.
pub(super) struct Rosenbrock;

impl Function for Rosenbrock {
    fixed!("Rosenbrock", n = 2, m = 2, x0 = &[-1.2, 1.0], minima = [at(0.0, &[1.0, 1.0])]);

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        extended::ExtendedRosenbrock::residuals(x, r);
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        extended::ExtendedRosenbrock::transpose(x, u, out);
    }
}

/// (2) r₁ = −13 + x₁ + ((5 − x₂) x₂ − 2) x₂, r₂ = −29 + x₁ + ((x₂ + 1) x₂ − 14) x₂.
pub(super) struct FreudensteinRoth;

impl Function for FreudensteinRoth {
    fixed!(
        "Freudenstein and Roth",
        n = 2,
        m = 2,
        x0 = &[0.5, -2.0],
        minima = [at(0.0, &[5.0, 4.0]), at(48.9842, &[11.41, -0.8968])]
    );

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        r[0] = c(-13.0) + x[0] + ((c(5.0) - x[1]) * x[1] - c(2.0)) * x[1];
        r[1] = c(-29.0) + x[0] + ((x[1] + c(1.0)) * x[1] - c(14.0)) * x[1];
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        out[0] = u[0] + u[1];
        out[1] =
            ((c(10.0) - c(3.0) * x[1]) * x[1] - c(2.0)) * u[0] + ((c(3.0) * x[1] + c(2.0)) * x[1] - c(14.0)) * u[1];
    }
}

/// (3) r₁ = 10⁴ x₁x₂ − 1, r₂ = e^(−x₁) + e^(−x₂) − 1.0001.
pub(super) struct PowellBadlyScaled;

impl Function for PowellBadlyScaled {
    fixed!("Powell badly scaled", n = 2, m = 2, x0 = &[0.0, 1.0], minima = [at(0.0, &[1.098e-5, 9.106])]);

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        r[0] = c(1e4) * x[0] * x[1] - c(1.0);
        r[1] = (-x[0]).exp() + (-x[1]).exp() - c(1.0001);
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        out[0] = c(1e4) * x[1] * u[0] - (-x[0]).exp() * u[1];
        out[1] = c(1e4) * x[0] * u[0] - (-x[1]).exp() * u[1];
    }
}

/// (4) r₁ = x₁ − 10⁶, r₂ = x₂ − 2·10⁻⁶, r₃ = x₁x₂ − 2.
pub(super) struct BrownBadlyScaled;

impl Function for BrownBadlyScaled {
    fixed!("Brown badly scaled", n = 2, m = 3, x0 = &[1.0, 1.0], minima = [at(0.0, &[1e6, 2e-6])]);

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        r[0] = x[0] - c(1e6);
        r[1] = x[1] - c(2e-6);
        r[2] = x[0] * x[1] - c(2.0);
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        out[0] = u[0] + x[1] * u[2];
        out[1] = u[1] + x[0] * u[2];
    }
}

/// (5) rᵢ = yᵢ − x₁ (1 − x₂ⁱ), i = 1, 2, 3.
pub(super) struct Beale;

impl Function for Beale {
    fixed!("Beale", n = 2, m = 3, x0 = &[1.0, 1.0], minima = [at(0.0, &[3.0, 0.5])]);

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        for (i, y) in [1.5, 2.25, 2.625].into_iter().enumerate() {
            r[i] = c(y) - x[0] * (c(1.0) - x[1].powi(i as i32 + 1));
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        out[0] = (x[1] - c(1.0)) * u[0] + (x[1].powi(2) - c(1.0)) * u[1] + (x[1].powi(3) - c(1.0)) * u[2];
        out[1] = x[0] * (u[0] + c(2.0) * x[1] * u[1] + c(3.0) * x[1] * x[1] * u[2]);
    }
}

/// (6) rᵢ = 2 + 2i − (e^(i x₁) + e^(i x₂)).
pub(super) struct JennrichSampson;

impl Function for JennrichSampson {
    const FACTS: Facts = Facts {
        name: "Jennrich and Sampson",
        n: 2,
        terms: |_| 10,
        sizes: "n = 2, m ≥ 2",
        admits: Some(|n, m| n == 2 && m >= 2),
        start: |_| vec![0.3, 0.4],
        minima: |_, m| if m == 10 { vec![at(124.362, &[0.2578, 0.2578])] } else { vec![] },
        ..FREE
    };

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        for (i, r) in r.iter_mut().enumerate() {
            let i = i as f64 + 1.0;
            *r = c(2.0 + 2.0 * i) - ((c(i) * x[0]).exp() + (c(i) * x[1]).exp());
        }
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        for (x, out) in x.iter().zip(out) {
            *out = c(0.0);
            for (i, &u) in u.iter().enumerate() {
                let i = c(i as f64 + 1.0);
                *out -= i * (i * *x).exp() * u;
            }
        }
    }
}

/// (7) r₁ = 10 (x₃ − 10 θ(x₁, x₂)), r₂ = 10 (√(x₁² + x₂²) − 1), r₃ = x₃, where 2πθ is the angle of (x₁, x₂),
/// from −π/2 to 3π/2: θ jumps where x₁ = 0, x₂ < 0.
pub(super) struct HelicalValley;

impl Function for HelicalValley {
    fixed!("Helical valley", n = 3, m = 3, x0 = &[-1.0, 0.0, 0.0], minima = [at(0.0, &[1.0, 0.0, 0.0])]);

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        let angle = if x[0].value() > 0.0 {
            (x[1] / x[0]).atan()
        } else if x[0].value() < 0.0 {
            (x[1] / x[0]).atan() + c(PI)
        } else {
            c(PI / 2.0 * x[1].value().signum()) - (x[0] / x[1]).atan()
        };
        r[0] = c(10.0) * (x[2] - c(5.0 / PI) * angle);
        r[1] = c(10.0) * ((x[0] * x[0] + x[1] * x[1]).sqrt() - c(1.0));
        r[2] = x[2];
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        let squared = x[0] * x[0] + x[1] * x[1];
        let (around, outward) = (c(50.0 / PI) * u[0] / squared, c(10.0) * u[1] / squared.sqrt());
        out[0] = x[1] * around + x[0] * outward;
        out[1] = x[1] * outward - x[0] * around;
        out[2] = c(10.0) * u[0] + u[2];
    }
}

/// (13) r₁ = x₁ + 10x₂, r₂ = √5 (x₃ − x₄), r₃ = (x₂ − 2x₃)², r₄ = √10 (x₁ − x₄)².
pub(super) struct PowellSingular;

impl Function for PowellSingular {
    fixed!("Powell singular", n = 4, m = 4, x0 = &[3.0, -1.0, 0.0, 1.0], minima = [at(0.0, &[0.0; 4])]);

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        extended::ExtendedPowell::residuals(x, r);
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        extended::ExtendedPowell::transpose(x, u, out);
    }
}

/// (14) r₁ = 10 (x₂ − x₁²), r₂ = 1 − x₁, r₃ = √90 (x₄ − x₃²), r₄ = 1 − x₃, r₅ = √10 (x₂ + x₄ − 2),
/// r₆ = (x₂ − x₄)/√10.
pub(super) struct Wood;

impl Function for Wood {
    fixed!("Wood", n = 4, m = 6, x0 = &[-3.0, -1.0, -3.0, -1.0], minima = [at(0.0, &[1.0; 4])]);

    fn residuals<V: Number>(x: &[V], r: &mut [V]) {
        let c = V::from_f64;
        r[0] = c(10.0) * (x[1] - x[0] * x[0]);
        r[1] = c(1.0) - x[0];
        r[2] = c(90.0_f64.sqrt()) * (x[3] - x[2] * x[2]);
        r[3] = c(1.0) - x[2];
        r[4] = c(10.0_f64.sqrt()) * (x[1] + x[3] - c(2.0));
        r[5] = c(0.1_f64.sqrt()) * (x[1] - x[3]);
    }
    fn transpose<V: Number>(x: &[V], u: &[V], out: &mut [V]) {
        let c = V::from_f64;
        let (a, b) = (c(90.0_f64.sqrt()) * u[2], c(10.0_f64.sqrt()) * u[4]);
        let d = c(0.1_f64.sqrt()) * u[5];
        out[0] = c(-20.0) * x[0] * u[0] - u[1];
        out[1] = c(10.0) * u[0] + b + d;
        out[2] = c(-2.0) * x[2] * a - u[3];
        out[3] = a + b - d;
    }
}
