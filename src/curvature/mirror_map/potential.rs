//! A mirror map of closures: φ, ∇φ and ∇φ⁻¹.

use super::MirrorMap;
use crate::base::{Error, Result, check_component, check_positive_dimension};
use crate::operator::forward;

/// The largest ‖∇φ⁻¹(∇φ(x)) − x‖∞, in units of ‖x‖∞, where the two closures fit each other: half the digits of `f64`.
const INVERSE: f64 = 1.5e-8;

/// A mirror map of closures; see [`potential`].
#[derive(Clone, Debug)]
pub struct Potential<P, G, I> {
    dim: usize,
    potential: P,
    gradient: G,
    inverse: I,
}

/// The mirror map of a potential φ: `potential(x)`, `gradient(x, dual)`, which writes ∇φ(x), and `inverse(dual, x)`, which
/// writes ∇φ⁻¹. Outside the set they give NaN or ∞.
///
/// Whether the two fit each other is looked at where a run starts.
///
/// ```
/// use newton_krylov::mirror_map::potential;
/// use newton_krylov::objective_from_gradient;
/// use newton_krylov::differences::Difference;
/// use newton_krylov::first_order::MirrorDescent;
///
/// // φ = −Σ ln x on x > 0 (Burg's entropy): steps are x/(1 + ηgx).
/// let map = potential(
///     2,
///     |x: &[f64]| -x.iter().map(|x| x.ln()).sum::<f64>(),
///     |x: &[f64], dual: &mut [f64]| (0..2).for_each(|i| dual[i] = -1.0 / x[i]),
///     |dual: &[f64], x: &mut [f64]| (0..2).for_each(|i| x[i] = if dual[i] < 0.0 { -1.0 / dual[i] } else { f64::NAN }),
/// )?;
/// // Σ x − ln x, least at 1.
/// let f = objective_from_gradient(
///     2,
///     |x: &[f64]| x.iter().map(|x| x - x.ln()).sum::<f64>(),
///     |x, g| (0..2).for_each(|i| g[i] = 1.0 - 1.0 / x[i]),
///     Difference::default(),
/// );
/// let report = MirrorDescent::new(map, 0.5).minimize(&f, &[0.1, 10.0])?;
/// assert!(report.x.iter().all(|x| (x - 1.0_f64).abs() < 1e-6));
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// For n = 0.
pub fn potential<P, G, I>(dim: usize, potential: P, gradient: G, inverse: I) -> Result<Potential<P, G, I>>
where
    P: Fn(&[f64]) -> f64,
    G: Fn(&[f64], &mut [f64]),
    I: Fn(&[f64], &mut [f64]),
{
    check_positive_dimension("the potential's dimension", dim)?;
    Ok(Potential { dim, potential, gradient, inverse })
}

impl<P, G, I> MirrorMap for Potential<P, G, I>
where
    P: Fn(&[f64]) -> f64,
    G: Fn(&[f64], &mut [f64]),
    I: Fn(&[f64], &mut [f64]),
{
    forward!(fields; dim);
    fn check_point(&self, x: &[f64]) -> Result<()> {
        let value = self.potential_at(x);
        if !value.is_finite() {
            return Err(Error::NotFinite { argument: "the potential at x", index: None, value });
        }
        let (mut dual, mut again) = (vec![f64::NAN; x.len()], vec![f64::NAN; x.len()]);
        self.dual_at(x, &mut dual);
        for (index, &value) in dual.iter().enumerate() {
            check_component("the potential's gradient", index, value, value.is_finite(), "finite")?;
        }
        self.point_at(&dual, &mut again);
        let size = x.iter().fold(0.0, |size: f64, x| size.max(x.abs()));
        for (index, (&again, &x)) in again.iter().zip(x).enumerate() {
            let near = (again - x).abs() <= INVERSE * size;
            check_component("the inverse of the gradient", index, again, near, "the point again")?;
        }
        Ok(())
    }
    fn check_dual(&self, dual: &[f64]) -> Result<()> {
        let mut x = vec![f64::NAN; dual.len()];
        self.point_at(dual, &mut x);
        x.iter().zip(dual).enumerate().try_for_each(|(index, (x, &dual))| {
            check_component("dual", index, dual, x.is_finite(), "the gradient of the potential at a point")
        })
    }
    fn potential_at(&self, x: &[f64]) -> f64 {
        (self.potential)(x)
    }
    fn dual_at(&self, x: &[f64], dual: &mut [f64]) {
        (self.gradient)(x, dual);
    }
    fn point_at(&self, dual: &[f64], x: &mut [f64]) {
        (self.inverse)(dual, x);
    }
}
