//! Where ε stands in a metric that is the root of squares s of gradients: √s + ε or √(s + ε).

use crate::base::{Result, Scalar, check_positive};

/// ε in the metric of [`AdaGrad`](crate::first_order::AdaGrad), [`FullAdaGrad`](crate::first_order::FullAdaGrad) and [`RmsProp`](crate::first_order::RmsProp): what
/// keeps it from vanishing where the squares s of gradients do.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Epsilon {
    /// √s + ε, as in PyTorch; in units of the gradient.
    Outside(f64),
    /// √(s + ε), for a matrix (εI + S)^½; in units of the gradient's square. The first step is not α long in components whose
    /// g² is below ε, but in proportion to g.
    Inside(f64),
}

impl Epsilon {
    pub(super) fn check(self) -> Result<()> {
        let (Epsilon::Outside(epsilon) | Epsilon::Inside(epsilon)) = self;
        check_positive("epsilon", epsilon)
    }

    /// s ↦ the root with ε.
    pub(super) fn root<T: Scalar>(self) -> impl Fn(T) -> T + Copy {
        let (inside, outside) = match self {
            Epsilon::Outside(epsilon) => (T::zero(), T::from_f64(epsilon)),
            Epsilon::Inside(epsilon) => (T::from_f64(epsilon), T::zero()),
        };
        move |s| (s + inside).sqrt() + outside
    }
}
