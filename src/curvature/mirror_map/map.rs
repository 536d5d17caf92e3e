//! What a mirror map is.
//!
//!   ∇φ(x⁺) = ∇φ(x) − ηg      ⇔      x⁺ = argmin gᵀz + D(z, x)/η over z in the set
//!   D(z, x) = φ(z) − φ(x) − ∇φ(x)ᵀ(z − x)
//!
//! for a strictly convex potential φ whose gradient grows without bound towards the edge of the set (Nemirovski & Yudin
//! (1983); Beck & Teboulle, Oper. Res. Lett. 31 (2003), section 3; Bubeck, "Convex optimization: algorithms and complexity"
//! (2015), chapter 4). So no step leaves the set, and none has to be projected.

use super::super::exponential_family::{narrow, widened};
use crate::base::{Result, Scalar, check_finite, check_length, kernels};

/// A potential φ on a convex set, by its gradient ∇φ, which maps points x to dual coordinates, and its inverse.
///
/// All arithmetic is in `f64`. The methods without a body are the map's formulas, for arguments that are valid; those that
/// are generic in `T` check what they are given first. [`potential`](super::potential) makes a map of closures.
///
/// ```
/// use newton_krylov::mirror_map::{MirrorMap, Simplex};
///
/// let map = Simplex::new(3)?;
/// // Σ z ln(z/x), the Kullback–Leibler divergence.
/// let divergence = map.bregman(&[0.5, 0.25, 0.25], &[0.25, 0.25, 0.5])?;
/// assert!((divergence - 0.25 * 2.0_f64.ln()).abs() < 1e-15);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
pub trait MirrorMap {
    /// n, the number of components of a point.
    fn dim(&self) -> usize;

    /// Refuses a finite point that is not inside the set; all are by default.
    ///
    /// # Errors
    /// With the index and the number that is wrong.
    fn check_point(&self, x: &[f64]) -> Result<()> {
        let _ = x;
        Ok(())
    }

    /// Refuses finite dual coordinates that no point has; all have one by default.
    ///
    /// # Errors
    /// With the index and the number that is wrong.
    fn check_dual(&self, dual: &[f64]) -> Result<()> {
        let _ = dual;
        Ok(())
    }

    /// φ(x).
    fn potential_at(&self, x: &[f64]) -> f64;

    /// dual ← ∇φ(x), up to what is normal to the set.
    fn dual_at(&self, x: &[f64], dual: &mut [f64]);

    /// x ← ∇φ⁻¹(dual), a point of the set.
    fn point_at(&self, dual: &[f64], x: &mut [f64]);

    /// D(z, x) = φ(z) − φ(x) − ∇φ(x)ᵀ(z − x); by another formula where that cancels less.
    fn bregman_at(&self, z: &[f64], x: &[f64]) -> f64 {
        let mut dual = vec![0.0; x.len()];
        self.dual_at(x, &mut dual);
        let along: f64 = dual.iter().zip(z.iter().zip(x)).map(|(dual, (z, x))| dual * (z - x)).sum();
        self.potential_at(z) - self.potential_at(x) - along
    }

    /// How far x is from stationary, 0 only where no direction into the set goes down; takes out of the gradient what is
    /// normal to the set. ‖∇f(x)‖₂ by default, for open sets; where f may be least on the edge, max ∇f(x)ᵀ(x − z) over z
    /// in the set, which for a convex f bounds f(x) − f(z) (Frank & Wolfe, Nav. Res. Logist. Q. 3 (1956)).
    fn stationarity_at(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let _ = x;
        kernels::norm(gradient)
    }

    /// dual ← ∇φ(x).
    ///
    /// # Errors
    /// For slices of another length, NaN or ∞, a point not inside the set, or coordinates beyond the numbers of the type.
    fn to_dual<T: Scalar>(&self, x: &[T], dual: &mut [T]) -> Result<()>
    where
        Self: Sized,
    {
        let x = inside(self, "x", x)?;
        check_length("dual", dual, x.len())?;
        let mut exact = vec![0.0; x.len()];
        self.dual_at(&x, &mut exact);
        narrow("dual", &exact, dual)
    }

    /// x ← ∇φ⁻¹(dual).
    ///
    /// # Errors
    /// For slices of another length, NaN or ∞, coordinates that no point has, or a point beyond the numbers of the type.
    fn to_point<T: Scalar>(&self, dual: &[T], x: &mut [T]) -> Result<()>
    where
        Self: Sized,
    {
        check_length("dual", dual, self.dim())?;
        check_length("x", x, self.dim())?;
        check_finite("dual", dual)?;
        let (dual, mut exact) = (widened(dual), vec![0.0; x.len()]);
        self.check_dual(&dual)?;
        self.point_at(&dual, &mut exact);
        narrow("x", &exact, x)
    }

    /// D(z, x), accurate to the rounding of its terms, and never negative.
    ///
    /// # Errors
    /// For points of another length, with NaN or ∞, or not inside the set.
    fn bregman<T: Scalar>(&self, z: &[T], x: &[T]) -> Result<f64>
    where
        Self: Sized,
    {
        let (z, x) = (inside(self, "z", z)?, inside(self, "x", x)?);
        Ok(self.bregman_at(&z, &x).max(0.0))
    }
}

/// The point in f64, inside the set.
fn inside<T: Scalar>(map: &dyn MirrorMap, argument: &'static str, x: &[T]) -> Result<Vec<f64>> {
    check_length(argument, x, map.dim())?;
    check_finite(argument, x)?;
    let x = widened(x);
    map.check_point(&x)?;
    Ok(x)
}
