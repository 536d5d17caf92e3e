//! Robust losses: large residuals count less.
//!
//! With s_b = ‖r_b‖² for every block b of residuals the value is ½ Σ ρ(s_b), the gradient Σ ρ′ J_bᵀr_b, and the
//! curvature, without the second derivatives of r, Σ J_bᵀ (ρ′ I + 2ρ″ r_b r_bᵀ) J_b: the generalised Gauss–Newton
//! matrix of the loss (Schraudolph, Neural Computation 14 (2002); Triggs, McLauchlan, Hartley & Fitzgibbon, "Bundle
//! adjustment: a modern synthesis" (1999), section 4.3). Along r_b its middle factor is κ = ρ′ + 2ρ″s, which is zero or
//! negative for outliers; it is kept at [`LEAST`]·ρ′ or more. With
//!
//!   W_b = √ρ′ I + (√κ − √ρ′) r̂r̂ᵀ,    r̃_b = (ρ′/√κ) r_b
//!
//! the model of the loss is ½‖W(Jδ) + r̃‖²: a plain linear least-squares problem with the right gradient and curvature.

use crate::base::{Result, Scalar, check_range, kernels};
use crate::operator::{BlockJacobian, LinearMap, RowWeights};
use std::cell::RefCell;

/// The least curvature along a block, as a fraction of ρ′: 1 is iteratively reweighted least squares, 0 Triggs'
/// correction, for which r̃ is not bounded. Lines through outliers under six losses took 4 to 8 iterations with 0.1, 3 to
/// 9 with 1; with 10⁻¹² a run failed, since rounding of so large an r̃ is no small matter.
const LEAST: f64 = 0.1;

/// A robust loss ρ of the squared norm s ≥ 0 of a block of residuals, with ρ(0) = 0 and 0 ≤ ρ′ ≤ 1 or of that order.
///
/// Closures `Fn(f64) -> [f64; 3]` are losses: from s to ρ, ρ′ and ρ″.
///
/// ```
/// use newton_krylov::{Cauchy, RobustLoss};
///
/// let [rho, first, second] = Cauchy::new(2.0)?.evaluate(4.0);
/// assert!((rho - 4.0 * 2.0_f64.ln()).abs() < 1e-15 && first == 0.5 && second == -0.0625);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
pub trait RobustLoss {
    /// ρ(s), ρ′(s) and ρ″(s).
    fn evaluate(&self, s: f64) -> [f64; 3];
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
    Tukey: |z| if z <= 1.0 {
        let rest = 1.0 - z;
        [z * (1.0 - z + z * z / 3.0), rest * rest, -2.0 * rest]
    } else {
        [1.0 / 3.0, 0.0, 0.0]
    };
}

/// W and r̃ at a point.
#[derive(Debug)]
pub(crate) struct Weights<T> {
    block: usize,
    /// √ρ′ and (√κ − √ρ′)/s, for every block.
    factors: Vec<(f64, f64)>,
    /// r.
    residual: Vec<T>,
    /// r̃.
    weighted: Vec<T>,
    scratch: RefCell<Vec<T>>,
    /// Whether W is not the identity.
    active: bool,
}

impl<T: Scalar> Weights<T> {
    /// Room for `m` residuals in blocks of `block`.
    pub fn new(m: usize, block: usize) -> Self {
        let zeros = || vec![T::zero(); m];
        let count = m / block;
        Weights {
            block,
            factors: vec![(1.0, 0.0); count],
            residual: zeros(),
            weighted: zeros(),
            scratch: RefCell::new(zeros()),
            active: false,
        }
    }

    /// W and r̃ for these residuals.
    pub fn update(&mut self, loss: &impl RobustLoss, residual: &[T]) {
        self.residual.copy_from_slice(residual);
        self.weighted.copy_from_slice(residual);
        self.active = false;
        for (b, r) in residual.chunks_exact(self.block).enumerate() {
            let s = kernels::dot(r, r);
            let [_, first, second] = loss.evaluate(s);
            let kappa = (first + 2.0 * second * s).max(LEAST * first);
            let (outer, inner) = (first.max(0.0).sqrt(), kappa.max(0.0).sqrt());
            self.factors[b] = (outer, if s > 0.0 { (inner - outer) / s } else { 0.0 });
            if (outer, inner) != (1.0, 1.0) {
                self.active = true;
                let scale = if inner > 0.0 { first / inner } else { 0.0 };
                kernels::scale(scale, &mut self.weighted[b * self.block..(b + 1) * self.block]);
            }
        }
    }

    /// r̃.
    pub fn weighted(&self) -> &[T] {
        &self.weighted
    }

    /// u ← Wu.
    pub fn weight(&self, u: &mut [T]) {
        if !self.active {
            return;
        }
        let blocks = u.chunks_exact_mut(self.block).zip(self.residual.chunks_exact(self.block));
        for ((u, r), &(outer, along)) in blocks.zip(&self.factors) {
            let dot = if along != 0.0 { kernels::dot(u, r) } else { 0.0 };
            kernels::axpby(along * dot, r, outer, u);
        }
    }

    /// Storage in numbers.
    pub fn numbers(&self) -> usize {
        3 * (self.residual.len() + self.factors.len())
    }
}

/// Sums of a loss over blocks.
#[derive(Debug)]
pub(crate) struct LossSum {
    block: usize,
    values: Vec<f64>,
}

impl LossSum {
    /// Room for `m` residuals in blocks of `block`.
    pub fn new(m: usize, block: usize) -> Self {
        LossSum { block, values: vec![0.0; m / block] }
    }

    /// ½ Σ ρ(‖r_b‖²).
    pub fn value<T: Scalar>(&mut self, loss: &impl RobustLoss, residual: &[T]) -> f64 {
        for (value, r) in self.values.iter_mut().zip(residual.chunks_exact(self.block)) {
            *value = loss.evaluate(kernels::dot(r, r))[0];
        }
        0.5 * kernels::sum(&self.values)
    }

    /// The value at `residual` minus that at `after`, summed block by block so that little is lost where they are close.
    pub fn decrease<T: Scalar>(&mut self, loss: &impl RobustLoss, residual: &[T], after: &[T]) -> f64 {
        let blocks = residual.chunks_exact(self.block).zip(after.chunks_exact(self.block));
        for (value, (r, after)) in self.values.iter_mut().zip(blocks) {
            let (s, t) = (kernels::dot(r, r), kernels::dot(after, after));
            let ([rho, first, _], [tau, then, _]) = (loss.evaluate(s), loss.evaluate(t));
            // s − t = (r − r₊)ᵀ(r + r₊) exactly.
            *value = if first == 1.0 && then == 1.0 { kernels::square_difference(r, after) } else { rho - tau };
        }
        0.5 * kernels::sum(&self.values)
    }
}

/// WJ.
pub(crate) struct Weighted<'a, T, J> {
    pub jacobian: J,
    pub weights: &'a Weights<T>,
}

impl<T: Scalar, J: LinearMap<T>> LinearMap<T> for Weighted<'_, T, J> {
    fn rows(&self) -> usize {
        self.jacobian.rows()
    }
    fn columns(&self) -> usize {
        self.jacobian.columns()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.jacobian.apply(v, out);
        self.weights.weight(out);
    }
    fn apply_transpose(&self, u: &[T], out: &mut [T]) {
        if !self.weights.active {
            return self.jacobian.apply_transpose(u, out);
        }
        let mut weighted = self.weights.scratch.borrow_mut();
        weighted.copy_from_slice(u);
        self.weights.weight(&mut weighted);
        self.jacobian.apply_transpose(&weighted, out);
    }
    fn form(&self, matrix: &mut [T]) {
        self.jacobian.form(matrix);
        if self.weights.active {
            matrix.chunks_exact_mut(self.rows()).for_each(|column| self.weights.weight(column));
        }
    }
    fn forming_cost(&self) -> usize {
        self.jacobian.forming_cost()
    }
    fn column_norms_squared(&self, out: &mut [T]) -> bool {
        !self.weights.active && self.jacobian.column_norms_squared(out)
    }
    fn precondition(&self, shift: f64, r: &mut [T]) -> bool {
        self.jacobian.precondition(shift, r)
    }
    fn blocks(&self) -> Option<BlockJacobian<'_, T>> {
        let blocks = self.jacobian.blocks()?;
        let Weights { block: size, factors, residual, weighted, active, .. } = self.weights;
        let weights = active.then_some(RowWeights { size: *size, factors, residual, weighted });
        Some(BlockJacobian { weights, ..blocks })
    }
    fn count_passes(&self, passes: usize) {
        self.jacobian.count_passes(passes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::linear_map;

    type Loss = Box<dyn Fn(f64) -> [f64; 3]>;

    fn all() -> [(&'static str, Loss); 6] {
        fn boxed(loss: impl RobustLoss + 'static) -> Loss {
            Box::new(move |s| loss.evaluate(s))
        }
        [
            ("squares", boxed(Squares)),
            ("Huber", boxed(Huber::new(0.7).unwrap())),
            ("soft L1", boxed(SoftL1::new(0.7).unwrap())),
            ("Cauchy", boxed(Cauchy::new(0.7).unwrap())),
            ("arctan", boxed(Arctan::new(0.7).unwrap())),
            ("Tukey", boxed(Tukey::new(0.7).unwrap())),
        ]
    }

    #[test]
    fn derivatives_are_those_of_the_loss() {
        for (name, loss) in all() {
            assert_eq!(loss(0.0)[..2], [0.0, 1.0], "{name}");
            for s in [1e-3, 0.1, 0.3, 0.48, 0.6, 2.0, 30.0] {
                let h = 1e-5 * s;
                let (low, at, high) = (loss(s - h), loss(s), loss(s + h));
                assert!(((high[0] - low[0]) / (2.0 * h) - at[1]).abs() < 1e-8, "{name} {s}");
                assert!(((high[1] - low[1]) / (2.0 * h) - at[2]).abs() < 1e-6 * (1.0 + at[2].abs()), "{name} {s}");
                assert!((0.0..=1.0).contains(&at[1]) && at[0] <= s, "{name} {s}");
            }
            // Continuous where the pieces meet.
            let joint = 0.49;
            let (below, above) = (loss(joint * (1.0 - 1e-12)), loss(joint * (1.0 + 1e-12)));
            assert!((below[0] - above[0]).abs() < 1e-10 && (below[1] - above[1]).abs() < 1e-10, "{name}");
        }
        assert!(Huber::new(0.0).is_err() && Tukey::new(f64::NAN).is_err() && Cauchy::new(1e300).is_err());
    }

    #[test]
    fn the_weighted_problem_has_the_gradient_and_a_semidefinite_part_of_the_curvature() {
        // Two blocks of two residuals; J is the identity, so all is read off directly.
        let r = [0.3, -0.2, 3.0, 4.0];
        for (name, loss) in all() {
            let mut weights = Weights::new(4, 2);
            weights.update(&loss, &r);
            let identity =
                linear_map(4, 4, |v: &[f64], o: &mut [f64]| o.copy_from_slice(v), |u, o| o.copy_from_slice(u));
            let w = Weighted { jacobian: identity, weights: &weights };
            let mut g = [0.0; 4];
            w.apply_transpose(weights.weighted(), &mut g);
            for b in 0..2 {
                let block = &r[2 * b..2 * b + 2];
                let s = block[0] * block[0] + block[1] * block[1];
                let [_, first, second] = loss(s);
                for i in 0..2 {
                    assert!((g[2 * b + i] - first * block[i]).abs() < 1e-14, "{name}: gradient");
                }
                // Curvature along r_b and across.
                let mut along = [0.0; 4];
                along[2 * b..2 * b + 2].copy_from_slice(block);
                let mut across = [0.0; 4];
                across[2 * b..2 * b + 2].copy_from_slice(&[-block[1], block[0]]);
                let mut image = [0.0; 4];
                w.apply(&along, &mut image);
                let expected = (first + 2.0 * second * s).max(LEAST * first) * s;
                assert!((kernels::dot(&image, &image) - expected).abs() < 1e-13 * s, "{name}: along");
                w.apply(&across, &mut image);
                assert!((kernels::dot(&image, &image) - first * s).abs() < 1e-13 * s, "{name}: across");
            }
            let mut formed = [0.0; 16];
            w.form(&mut formed);
            let mut column = [0.0; 4];
            w.apply(&[0.0, 0.0, 1.0, 0.0], &mut column);
            assert_eq!(formed[8..12], column, "{name}");
        }
    }

    #[test]
    fn a_small_decrease_is_not_lost() {
        let mut sum = LossSum::new(2, 1);
        let (before, after): ([f64; 2], [f64; 2]) = ([1e8, 1e-4], [1e8, 0.9e-4]);
        let exact = 0.5 * (1e-8 - 0.81e-8);
        assert!((sum.decrease(&Squares, &before, &after) / exact - 1.0).abs() < 1e-12);
        assert_eq!(sum.value(&Squares, &before) - sum.value(&Squares, &after), 0.0);
    }
}
