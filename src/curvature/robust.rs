//! Robust losses: large residuals count less.
//!
//! With s_b = ‖r_b‖² for every block b of residuals the value is ½ Σ ρ(s_b) (Huber, *Robust Statistics*, 1981; Triggs,
//! McLauchlan, Hartley & Fitzgibbon, "Bundle adjustment: a modern synthesis" (1999), section 3). How its model becomes a
//! plain least-squares problem: [`weighted`](super::weighted).

use crate::base::{Result, Scalar, check_range, kernels, space};

/// A robust loss ρ of the squared norm s ≥ 0 of a block of residuals, with ρ(0) = 0 and 0 ≤ ρ′ ≤ 1 or of that order.
///
/// Closures `Fn(f64) -> [f64; 3]` are losses: from s to ρ, ρ′ and ρ″.
///
/// ```
/// use newton_krylov::losses::{Cauchy, RobustLoss};
///
/// let [rho, first, second] = Cauchy::new(2.0)?.evaluate(4.0);
/// assert!((rho - 4.0 * 2.0_f64.ln()).abs() < 1e-15 && first == 0.5 && second == -0.0625);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
pub trait RobustLoss {
    /// ρ(s), ρ′(s) and ρ″(s).
    fn evaluate(&self, s: f64) -> [f64; 3];

    /// The same for the block with this number, where blocks have losses of their own. Default: one for all.
    fn evaluate_block(&self, block: usize, s: f64) -> [f64; 3] {
        let _ = block;
        self.evaluate(s)
    }

    /// Whether ρ(s) = s for all s, so that nothing needs to be weighed. Default: no.
    fn is_identity(&self) -> bool {
        false
    }
}

impl<F: Fn(f64) -> [f64; 3]> RobustLoss for F {
    fn evaluate(&self, s: f64) -> [f64; 3] {
        self(s)
    }
}

/// ρ(s) = s: plain least squares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Squares;

impl RobustLoss for Squares {
    fn evaluate(&self, s: f64) -> [f64; 3] {
        [s, 1.0, 0.0]
    }

    fn is_identity(&self) -> bool {
        true
    }
}

/// Two losses in one problem: one for the first blocks of residuals, another for the rest.
///
/// ```
/// use newton_krylov::{LevenbergMarquardt, least_squares_from_residuals};
/// use newton_krylov::differences::Difference;
/// use newton_krylov::losses::{Huber, Parts, Squares};
///
/// // Three readings, one of them wrong, and the sum of both unknowns as it is known exactly enough for squares.
/// let residual = |x: &[f64], r: &mut [f64]| {
///     r.copy_from_slice(&[x[0] - 1.0, x[1] - 2.0, x[1] - 60.0, 10.0 * (x[0] + x[1] - 3.0)]);
/// };
/// let fit = least_squares_from_residuals(4, 2, residual, Difference::Central);
/// let fit = fit.with_loss(Parts::new(Huber::new(0.1)?, 3, Squares), 1)?;
/// let report = LevenbergMarquardt::default().minimize(&fit, &[0.0, 0.0])?;
/// assert!((report.x[1] - 2.0).abs() < 0.2);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parts<A, B> {
    first: A,
    count: usize,
    rest: B,
}

impl<A, B> Parts<A, B> {
    /// `first` for `count` blocks, `rest` for those after them; for more than two losses `rest` is again one with parts,
    /// which counts all blocks.
    pub fn new(first: A, count: usize, rest: B) -> Self {
        Parts { first, count, rest }
    }
}

impl<A: RobustLoss, B: RobustLoss> RobustLoss for Parts<A, B> {
    /// Those of the first block.
    fn evaluate(&self, s: f64) -> [f64; 3] {
        self.evaluate_block(0, s)
    }
    fn evaluate_block(&self, block: usize, s: f64) -> [f64; 3] {
        if block < self.count { self.first.evaluate_block(block, s) } else { self.rest.evaluate_block(block, s) }
    }
    fn is_identity(&self) -> bool {
        self.first.is_identity() && self.rest.is_identity()
    }
}

/// Declares a loss with a scale c: ρ(s) = c² φ(s/c²), so ρ(s) ≈ s for s ≪ c².
macro_rules! losses {
    ($($(#[$doc:meta])* $name:ident: |$z:ident| $phi:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name {
            square: f64,
        }

        impl $name {
            /// The loss with the scale c > 0, in units of the residuals: about the largest ‖r_b‖ that is no outlier.
            ///
            /// # Errors
            /// If `scale` is not positive and finite, or its square is not.
            pub fn new(scale: f64) -> Result<Self> {
                let square = scale * scale;
                check_range("scale", scale, scale > 0.0 && square > 0.0 && square.is_finite(), "positive and finite")?;
                Ok($name { square })
            }
        }

        impl RobustLoss for $name {
            fn evaluate(&self, s: f64) -> [f64; 3] {
                let $z = s / self.square;
                let [rho, first, second]: [f64; 3] = $phi;
                [self.square * rho, first, second / self.square]
            }
        }
    )*};
}

losses! {
    /// Huber (1964): squares up to c, linear beyond. ρ(s) = s for s ≤ c², 2c√s − c² beyond. Convex.
    Huber: |z| if z <= 1.0 { [z, 1.0, 0.0] } else {
        let root = z.sqrt();
        [2.0 * root - 1.0, 1.0 / root, -0.5 / (z * root)]
    };
    /// The smooth relative of [`Huber`]'s: ρ(s) = 2c²(√(1 + s/c²) − 1). Convex.
    SoftL1: |z| {
        let root = (1.0 + z).sqrt();
        // 2(√(1+z) − 1), without cancellation.
        [2.0 * z / (root + 1.0), 1.0 / root, -0.5 / (root * (1.0 + z))]
    };
    /// Cauchy's (Lorentz's): ρ(s) = c² ln(1 + s/c²). Grows slowly; not convex.
    Cauchy: |z| [z.ln_1p(), 1.0 / (1.0 + z), -1.0 / ((1.0 + z) * (1.0 + z))];
    /// Bounded: ρ(s) = c² arctan(s/c²) < πc²/2. Not convex.
    Arctan: |z| [z.atan(), 1.0 / (1.0 + z * z), -2.0 * z / ((1.0 + z * z) * (1.0 + z * z))];
    /// Tukey's biweight (Beaton & Tukey 1974): ρ(s) = c²(1 − (1 − s/c²)³)/3 for s ≤ c², c²/3 beyond: outliers do not
    /// count at all, so the start has to be good. Not convex.
    Tukey: |z| if z > 1.0 {
        [1.0 / 3.0, 0.0, 0.0]
    } else {
        // Also NaN, which is no outlier.
        let rest = 1.0 - z;
        [z * (1.0 - z + z * z / 3.0), rest * rest, -2.0 * rest]
    };
}

/// Sums of a loss over blocks.
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct LossSum {
    block: usize,
    values: Vec<f64>,
}

impl LossSum {
    /// Room for `m` residuals in blocks of `block`; none is needed for [`Squares`].
    pub fn new(m: usize, block: usize, weighs: bool) -> Self {
        LossSum { block, values: vec![0.0; if weighs { m / block } else { 0 }] }
    }

    /// ½ Σ ρ(‖r_b‖²).
    pub fn value<T: Scalar>(&mut self, loss: &dyn RobustLoss, residual: &[T]) -> f64 {
        if loss.is_identity() {
            return 0.5 * space::of_residuals(|| kernels::dot(residual, residual));
        }
        for (b, (value, r)) in self.values.iter_mut().zip(residual.chunks_exact(self.block)).enumerate() {
            *value = loss.evaluate_block(b, kernels::row_dot(r, r))[0];
        }
        0.5 * space::of_residuals(|| kernels::sum(&self.values))
    }

    /// The value at `residual` minus that at `after`, summed block by block so that little is lost where they are close.
    pub fn decrease<T: Scalar>(&mut self, loss: &dyn RobustLoss, residual: &[T], after: &[T]) -> f64 {
        if loss.is_identity() {
            return 0.5 * space::of_residuals(|| kernels::square_difference(residual, after));
        }
        let blocks = residual.chunks_exact(self.block).zip(after.chunks_exact(self.block));
        for (b, (value, (r, after))) in self.values.iter_mut().zip(blocks).enumerate() {
            let (s, t) = (kernels::row_dot(r, r), kernels::row_dot(after, after));
            let ([rho, first, _], [tau, then, _]) = (loss.evaluate_block(b, s), loss.evaluate_block(b, t));
            // s − t = (r − r₊)ᵀ(r + r₊) exactly.
            *value = if first == 1.0 && then == 1.0 { kernels::row_square_difference(r, after) } else { rho - tau };
        }
        0.5 * space::of_residuals(|| kernels::sum(&self.values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_decrease_is_not_lost() {
        let mut sum = LossSum::new(2, 1, false);
        let (before, after): ([f64; 2], [f64; 2]) = ([1e8, 1e-4], [1e8, 0.9e-4]);
        let exact = 0.5 * (1e-8 - 0.81e-8);
        assert!((sum.decrease(&Squares, &before, &after) / exact - 1.0).abs() < 1e-12);
        assert_eq!(sum.value(&Squares, &before) - sum.value(&Squares, &after), 0.0);
    }
}
