//! The numbers that residuals are written in: plain ones, and dual ones that carry a directional derivative.
//!
//! A dual number is a + bε with ε² = 0, so φ(a + bε) = φ(a) + φ′(a) b ε exactly: one evaluation of a function on
//! x + vε gives its value and its derivative along v, without differences and without truncation error
//! (Griewank & Walther, *Evaluating Derivatives*, 2nd ed. 2008, section 3.1, forward mode).

use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::base::Scalar;

/// What a residual needs of its numbers.
pub(super) trait Number:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
{
    /// A constant.
    fn from_f64(value: f64) -> Self;
    /// The number without its derivative: what comparisons look at.
    fn value(self) -> f64;
    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn sin(self) -> Self;
    fn cos(self) -> Self;
    fn sqrt(self) -> Self;
    fn atan(self) -> Self;
    /// xᵏ for k ≥ 1.
    fn powi(self, exponent: i32) -> Self;
}

/// Functions that a plain number has already.
macro_rules! floats {
    ($($function:ident),*) => {$(
        #[inline]
        fn $function(self) -> Self {
            num_traits::Float::$function(self)
        }
    )*};
}

impl<T: Scalar> Number for T {
    #[inline]
    fn from_f64(value: f64) -> Self {
        <T as Scalar>::from_f64(value)
    }
    #[inline]
    fn value(self) -> f64 {
        self.into()
    }
    floats!(exp, ln, sin, cos, sqrt, atan);
    #[inline]
    fn powi(self, exponent: i32) -> Self {
        num_traits::Float::powi(self, exponent)
    }
}

/// a + bε.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dual<T> {
    /// a, the value.
    pub value: T,
    /// b, the derivative along the direction that was put into the arguments.
    pub slope: T,
}

impl<T: Scalar> Dual<T> {
    /// φ(a) + slope(φ, a) b ε.
    #[inline]
    fn chain(self, value: T, derivative: T) -> Self {
        Dual { value, slope: derivative * self.slope }
    }
}

impl<T: Scalar> Add for Dual<T> {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        Dual { value: self.value + other.value, slope: self.slope + other.slope }
    }
}

impl<T: Scalar> Sub for Dual<T> {
    type Output = Self;
    #[inline]
    fn sub(self, other: Self) -> Self {
        Dual { value: self.value - other.value, slope: self.slope - other.slope }
    }
}

impl<T: Scalar> Mul for Dual<T> {
    type Output = Self;
    #[inline]
    fn mul(self, other: Self) -> Self {
        Dual { value: self.value * other.value, slope: self.slope * other.value + self.value * other.slope }
    }
}

impl<T: Scalar> Div for Dual<T> {
    type Output = Self;
    #[inline]
    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        Dual { value, slope: (self.slope - value * other.slope) / other.value }
    }
}

impl<T: Scalar> Neg for Dual<T> {
    type Output = Self;
    #[inline]
    fn neg(self) -> Self {
        Dual { value: -self.value, slope: -self.slope }
    }
}

macro_rules! assign {
    ($($trait:ident $method:ident $operator:tt),*) => {$(
        impl<T: Scalar> $trait for Dual<T> {
            #[inline]
            fn $method(&mut self, other: Self) {
                *self = *self $operator other;
            }
        }
    )*};
}

assign!(AddAssign add_assign +, SubAssign sub_assign -, MulAssign mul_assign *);

impl<T: Scalar> Number for Dual<T> {
    #[inline]
    fn from_f64(value: f64) -> Self {
        Dual { value: <T as Scalar>::from_f64(value), slope: T::zero() }
    }
    #[inline]
    fn value(self) -> f64 {
        self.value.into()
    }
    #[inline]
    fn exp(self) -> Self {
        let e = self.value.exp();
        self.chain(e, e)
    }
    #[inline]
    fn ln(self) -> Self {
        self.chain(self.value.ln(), self.value.recip())
    }
    #[inline]
    fn sin(self) -> Self {
        self.chain(self.value.sin(), self.value.cos())
    }
    #[inline]
    fn cos(self) -> Self {
        self.chain(self.value.cos(), -self.value.sin())
    }
    #[inline]
    fn sqrt(self) -> Self {
        let root = self.value.sqrt();
        self.chain(root, (root + root).recip())
    }
    #[inline]
    fn atan(self) -> Self {
        self.chain(self.value.atan(), (T::one() + self.value * self.value).recip())
    }
    #[inline]
    fn powi(self, exponent: i32) -> Self {
        let lower = self.value.powi(exponent - 1);
        self.chain(lower * self.value, <T as Scalar>::from_f64(f64::from(exponent)) * lower)
    }
}
