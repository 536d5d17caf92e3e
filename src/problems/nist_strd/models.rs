//! The 27 models with their derivatives, written by hand.

use crate::base::Scalar;

/// f(x; b): writes ∂f/∂bⱼ to `g` and returns f. `x` are the predictors of one observation, in all but one problem one.
pub(super) type Function<T> = fn(b: &[T], x: &[T], g: &mut [T]) -> T;

/// How many parameters the problem with this name has, and its model.
pub(super) fn model<T: Scalar>(name: &str) -> Option<(usize, Function<T>)> {
    let model: (usize, Function<T>) = match name {
        "Misra1a" | "BoxBOD" => (2, saturation),
        "Misra1b" => (2, misra1b),
        "Misra1c" => (2, misra1c),
        "Misra1d" => (2, misra1d),
        "Chwirut1" | "Chwirut2" => (3, chwirut),
        "DanWood" => (2, dan_wood),
        "ENSO" => (9, enso),
        "Eckerle4" => (3, eckerle),
        "Gauss1" | "Gauss2" | "Gauss3" => (8, gauss),
        "Hahn1" | "Thurber" => (7, |b, x, g| rational(3, b, x[0], g)),
        "Kirby2" => (5, |b, x, g| rational(2, b, x[0], g)),
        "Lanczos1" | "Lanczos2" | "Lanczos3" => (6, lanczos),
        "MGH09" => (4, mgh09),
        "MGH10" => (3, mgh10),
        "MGH17" => (5, mgh17),
        "Nelson" => (3, nelson),
        "Rat42" => (3, rat42),
        "Rat43" => (4, rat43),
        "Roszman1" => (4, roszman),
        "Bennett5" => (3, bennett),
        _ => return None,
    };
    Some(model)
}

fn c<T: Scalar>(value: f64) -> T {
    T::from_f64(value)
}

/// b₁(1 − exp(−b₂x)).
fn saturation<T: Scalar>(b: &[T], x: &[T], g: &mut [T]) -> T {
    let grown = -(-b[1] * x[0]).exp_m1();
    g[0] = grown;
    g[1] = b[0] * x[0] * (T::one() - grown);
    b[0] * grown
}

/// b₁(1 − (1 + b₂x/2)⁻²).
fn misra1b<T: Scalar>(b: &[T], x: &[T], g: &mut [T]) -> T {
    let u = T::one() + b[1] * x[0] / c(2.0);
    g[0] = T::one() - (u * u).recip();
    g[1] = b[0] * x[0] / (u * u * u);
    b[0] * g[0]
}

/// b₁(1 − (1 + 2b₂x)^(−½)).
fn misra1c<T: Scalar>(b: &[T], x: &[T], g: &mut [T]) -> T {
    let u = T::one() + c::<T>(2.0) * b[1] * x[0];
    let root = u.sqrt();
    g[0] = T::one() - root.recip();
    g[1] = b[0] * x[0] / (u * root);
    b[0] * g[0]
}

/// b₁b₂x / (1 + b₂x).
fn misra1d<T: Scalar>(b: &[T], x: &[T], g: &mut [T]) -> T {
    let u = T::one() + b[1] * x[0];
    g[0] = b[1] * x[0] / u;
    g[1] = b[0] * x[0] / (u * u);
    b[0] * g[0]
}

/// exp(−b₁x) / (b₂ + b₃x).
fn chwirut<T: Scalar>(b: &[T], x: &[T], g: &mut [T]) -> T {
    let under = b[1] + b[2] * x[0];
    let f = (-b[0] * x[0]).exp() / under;
    g[0] = -x[0] * f;
    g[1] = -f / under;
    g[2] = -x[0] * f / under;
    f
}

/// b₁ x^b₂.
fn dan_wood<T: Scalar>(b: &[T], x: &[T], g: &mut [T]) -> T {
    g[0] = x[0].powf(b[1]);
    g[1] = b[0] * g[0] * x[0].ln();
    b[0] * g[0]
}

/// A mean and three cycles of periods 12, b₄ and b₇ months.
fn enso<T: Scalar>(b: &[T], x: &[T], g: &mut [T]) -> T {
    let turn = c::<T>(std::f64::consts::TAU) * x[0];
    // Amplitudes at (cosine, sine) with the period: the value and its derivative by the period.
    let cycle = |cosine: T, sine: T, period: T| {
        let (s, co) = (turn / period).sin_cos();
        (co, s, cosine * co + sine * s, (cosine * s - sine * co) * turn / (period * period))
    };
    let year = cycle(b[1], b[2], c(12.0));
    let (fourth, seventh) = (cycle(b[4], b[5], b[3]), cycle(b[7], b[8], b[6]));
    g[0] = T::one();
    (g[1], g[2]) = (year.0, year.1);
    (g[4], g[5], g[3]) = (fourth.0, fourth.1, fourth.3);
    (g[7], g[8], g[6]) = (seventh.0, seventh.1, seventh.3);
    b[0] + year.2 + fourth.2 + seventh.2
}

/// (b₁/b₂) exp(−½((x − b₃)/b₂)²).
fn eckerle<T: Scalar>(b: &[T], x: &[T], g: &mut [T]) -> T {
    let z = (x[0] - b[2]) / b[1];
    let bell = (-z * z / c(2.0)).exp() / b[1];
    let f = b[0] * bell;
    g[0] = bell;
    g[1] = f * (z * z - T::one()) / b[1];
    g[2] = f * z / b[1];
    f
}

/// b₁exp(−b₂x) + b₃exp(−(x − b₄)²/b₅²) + b₆exp(−(x − b₇)²/b₈²).
fn gauss<T: Scalar>(b: &[T], x: &[T], g: &mut [T]) -> T {
    let two = c::<T>(2.0);
    g[0] = (-b[1] * x[0]).exp();
    g[1] = -b[0] * x[0] * g[0];
    let mut f = b[0] * g[0];
    for at in [2, 5] {
        let z = (x[0] - b[at + 1]) / b[at + 2];
        let bell = (-z * z).exp();
        g[at] = bell;
        g[at + 1] = two * b[at] * bell * z / b[at + 2];
        g[at + 2] = two * b[at] * bell * z * z / b[at + 2];
        f += b[at] * bell;
    }
    f
}

/// (b₁ + b₂x + … ) / (1 + b_{d+2}x + …), both polynomials of the given degree d.
fn rational<T: Scalar>(degree: usize, b: &[T], x: T, g: &mut [T]) -> T {
    let (mut over, mut under, mut power) = (b[0], T::one(), T::one());
    g[0] = T::one();
    for i in 1..=degree {
        power *= x;
        g[i] = power;
        g[degree + i] = power;
        over += b[i] * power;
        under += b[degree + i] * power;
    }
    let f = over / under;
    g[..=degree].iter_mut().for_each(|g| *g /= under);
    g[degree + 1..].iter_mut().for_each(|g| *g *= -f / under);
    f
}

/// b₁exp(−b₂x) + b₃exp(−b₄x) + b₅exp(−b₆x).
fn lanczos<T: Scalar>(b: &[T], x: &[T], g: &mut [T]) -> T {
    let mut f = T::zero();
    for at in [0, 2, 4] {
        g[at] = (-b[at + 1] * x[0]).exp();
        g[at + 1] = -b[at] * x[0] * g[at];
        f += b[at] * g[at];
    }
    f
}

/// b₁(x² + b₂x) / (x² + b₃x + b₄).
fn mgh09<T: Scalar>(b: &[T], x: &[T], g: &mut [T]) -> T {
    let x = x[0];
    let under = x * (x + b[2]) + b[3];
    g[0] = x * (x + b[1]) / under;
    let f = b[0] * g[0];
    g[1] = b[0] * x / under;
    g[2] = -f * x / under;
    g[3] = -f / under;
    f
}

/// b₁ exp(b₂/(x + b₃)).
fn mgh10<T: Scalar>(b: &[T], x: &[T], g: &mut [T]) -> T {
    let under = x[0] + b[2];
    g[0] = (b[1] / under).exp();
    let f = b[0] * g[0];
    g[1] = f / under;
    g[2] = -f * b[1] / (under * under);
    f
}

/// b₁ + b₂exp(−b₄x) + b₃exp(−b₅x).
fn mgh17<T: Scalar>(b: &[T], x: &[T], g: &mut [T]) -> T {
    g[0] = T::one();
    g[1] = (-b[3] * x[0]).exp();
    g[2] = (-b[4] * x[0]).exp();
    g[3] = -b[1] * x[0] * g[1];
    g[4] = -b[2] * x[0] * g[2];
    b[0] + b[1] * g[1] + b[2] * g[2]
}

/// b₁ − b₂x₁exp(−b₃x₂), of log y.
fn nelson<T: Scalar>(b: &[T], x: &[T], g: &mut [T]) -> T {
    let decay = x[0] * (-b[2] * x[1]).exp();
    g[0] = T::one();
    g[1] = -decay;
    g[2] = b[1] * x[1] * decay;
    b[0] - b[1] * decay
}

/// b₁ / (1 + exp(b₂ − b₃x)).
fn rat42<T: Scalar>(b: &[T], x: &[T], g: &mut [T]) -> T {
    let e = (b[1] - b[2] * x[0]).exp();
    let share = (T::one() + e).recip();
    g[0] = share;
    g[1] = -b[0] * share * (T::one() - share);
    g[2] = -x[0] * g[1];
    b[0] * share
}

/// b₁ / (1 + exp(b₂ − b₃x))^(1/b₄).
fn rat43<T: Scalar>(b: &[T], x: &[T], g: &mut [T]) -> T {
    let e = (b[1] - b[2] * x[0]).exp();
    let log = e.ln_1p();
    g[0] = (-log / b[3]).exp();
    let f = b[0] * g[0];
    g[1] = -f / b[3] * e / (T::one() + e);
    g[2] = -x[0] * g[1];
    g[3] = f * log / (b[3] * b[3]);
    f
}

/// b₁ − b₂x − arctan(b₃/(x − b₄))/π.
fn roszman<T: Scalar>(b: &[T], x: &[T], g: &mut [T]) -> T {
    let (pi, d) = (c::<T>(std::f64::consts::PI), x[0] - b[3]);
    let size = pi * (d * d + b[2] * b[2]);
    g[0] = T::one();
    g[1] = -x[0];
    g[2] = -d / size;
    g[3] = -b[2] / size;
    b[0] - b[1] * x[0] - (b[2] / d).atan() / pi
}

/// b₁(b₂ + x)^(−1/b₃).
fn bennett<T: Scalar>(b: &[T], x: &[T], g: &mut [T]) -> T {
    let base = b[1] + x[0];
    g[0] = base.powf(-b[2].recip());
    let f = b[0] * g[0];
    g[1] = -f / (b[2] * base);
    g[2] = f * base.ln() / (b[2] * b[2]);
    f
}
