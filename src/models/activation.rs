//! What a layer does to each of its values, and the first two derivatives of that.

use crate::base::Scalar;
use crate::base::native::vectorized;

/// The function φ that a layer applies to each of its values z, its *pre-activations*.
///
/// The derivatives are computed from a = φ(z), so that nothing but a needs to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Activation {
    /// φ(z) = z, φ′ = 1: an output layer, or the code layer of an autoencoder.
    Identity,
    /// φ(z) = tanh z, φ′ = 1 − a².
    Tanh,
    /// φ(z) = 1/(1 + exp(−z)), φ′ = a(1 − a).
    Sigmoid,
    /// φ(z) = max(z, 0); φ′ is 1 where z > 0 and 0 elsewhere, also at 0. NaN stays NaN.
    Relu,
    /// φ(z) = log(1 + exp z), φ′ = 1 − exp(−a).
    Softplus,
}

impl Activation {
    /// z ← φ(z).
    pub(super) fn apply<T: Scalar>(self, z: &mut [T]) {
        match self {
            Activation::Identity => {}
            Activation::Tanh => T::tanh_all(z),
            Activation::Sigmoid => T::logistic_all(z),
            Activation::Relu => z.iter_mut().for_each(|z| *z = if *z < T::zero() { T::zero() } else { *z }),
            Activation::Softplus => z.iter_mut().for_each(|z| *z = softplus(*z)),
        }
    }

    /// d ← φ′ d, for the values a = φ(z).
    pub(super) fn times_derivative<T: Scalar>(self, a: &[T], d: &mut [T]) {
        fn each<T: Scalar>(a: &[T], d: &mut [T], derivative: impl Fn(T) -> T) {
            vectorized(
                a.len(),
                #[inline(always)]
                || d.iter_mut().zip(a).for_each(|(d, &a)| *d *= derivative(a)),
            );
        }
        match self {
            Activation::Identity => {}
            Activation::Tanh => each(a, d, |a| T::one() - a * a),
            Activation::Sigmoid => each(a, d, |a| a * (T::one() - a)),
            Activation::Relu => each(a, d, step),
            Activation::Softplus => each(a, d, |a| -(-a).exp_m1()),
        }
    }

    /// c ← φ″(z) ż ∂L/∂a, the part of a second derivative that comes from the bend of φ; ż is the derivative of z in some
    /// direction and delta = φ′ ∂L/∂a. As φ″/φ′ is bounded, delta suffices.
    pub(super) fn curvature<T: Scalar>(self, a: &[T], z_dot: &[T], delta: &[T], c: &mut [T]) {
        fn each<T: Scalar>(a: &[T], z_dot: &[T], delta: &[T], c: &mut [T], ratio: impl Fn(T) -> T) {
            vectorized(
                a.len(),
                #[inline(always)]
                || {
                    for (((c, &a), &z_dot), &delta) in c.iter_mut().zip(a).zip(z_dot).zip(delta) {
                        *c = ratio(a) * z_dot * delta;
                    }
                },
            );
        }
        match self {
            Activation::Identity | Activation::Relu => c.fill(T::zero()),
            Activation::Tanh => each(a, z_dot, delta, c, |a| -(a + a)),
            Activation::Sigmoid => each(a, z_dot, delta, c, |a| T::one() - (a + a)),
            Activation::Softplus => each(a, z_dot, delta, c, |a| (-a).exp()),
        }
    }
}

/// log(1 + exp z) without overflow.
fn softplus<T: Scalar>(z: T) -> T {
    z.max(T::zero()) + (-z.abs()).exp().ln_1p()
}

/// The derivative of max(z, 0) for a = max(z, 0). NaN stays NaN.
fn step<T: Scalar>(a: T) -> T {
    if a > T::zero() {
        T::one()
    } else if a.is_nan() {
        a
    } else {
        T::zero()
    }
}
