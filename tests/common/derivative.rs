//! Derivatives of smooth functions to nearly all digits.

/// f'(0) by central differences of eighth order over ±4h (Fornberg, Math. Comp. 51 (1988), table 1).
pub fn derivative(f: impl Fn(f64) -> f64, h: f64) -> f64 {
    let odd = |k: f64| f(k * h) - f(-k * h);
    (0.8 * odd(1.0) - 0.2 * odd(2.0) + 4.0 / 105.0 * odd(3.0) - odd(4.0) / 280.0) / h
}
