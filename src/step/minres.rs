//! The minimum-residual method for indefinite systems, which also finds nonpositive curvature.
//!
//! Solves (M + λI)δ = −g for a symmetric matrix of any signature: Paige & Saunders, SIAM J. Numer. Anal. 12 (1975),
//! section 6, in the notation of Liu & Roosta, SIAM J. Optim. 32 (2022), algorithm 1. With A = M + λI, the Lanczos
//! process AVₖ = Vₖ₊₁Tₖ is turned by Givens rotations into Tₖ = QₖᵀRₖ, and the iterate moves along the columns of
//! W = VR⁻¹ so that ‖rₖ‖ = φₖ never rises. Without a further product the scalars of iteration k also say
//!
//!   ‖Arₖ₋₁‖ / ‖rₖ₋₁‖ = √(γₖ² + δₖ₊₁²),   rₖ₋₁ᵀArₖ₋₁ / ‖rₖ₋₁‖² = −cₖ₋₁γₖ   (γₖ = γₖ⁽¹⁾, δₖ₊₁ = δₖ₊₁⁽¹⁾),
//!
//! which detect an incompatible system and nonpositive curvature.
//!
//! Deviations, and why: the recurrences only propose. Whatever they promise is compared with the true residual, for one
//! product, and if that is not small enough the method starts again from there (iterative refinement), which also cures
//! the loss of accuracy of W (Sleijpen, van der Vorst & Modersitzki, SIAM J. Matrix Anal. Appl. 22 (2000)). The shift
//! acts on the scalars only, since Lanczos vectors do not depend on it. A new Lanczos vector is orthogonalised twice
//! against the two before it where most of it cancelled.
//!
//! uₖ and vₖ are kept with factors, βₖ as long as that is near 1, which saves a pass; w, z and r are brought up to date every
//! other iteration, when both v of these are still there.
//!
//! Traffic: an iteration reads eight vectors and writes three, beside its product.
//! Storage: eight vectors of length d (δ, its correction, r, two v, two w, a product), and one more from the moment that
//! nonpositive curvature is met. Nothing else is allocated after the start.

use std::mem::swap;

use super::bidiagonalization::NEAR_ONE;
use crate::base::{
    Error, Result, Scalar, check_callback, check_finite, check_length, check_positive_dimension, check_range, compiled,
    kernels, space,
};
use crate::operator::SymmetricOperator;

/// How far sums may be off, in units of the scalar type's spacing.
const ROUNDING: f64 = 100.0;
/// In units of √ε: how small ‖Ar‖ must be beside (‖M‖ + |λ|)‖r‖ for a least-squares solution. Rounding lets the
/// recurrences reach about √ε, no less, before a second copy of the small eigenvalues turns up and the iterates diverge.
const SINGULAR: f64 = 8.0;

/// When [`minres`] stops.
#[derive(Clone, Debug, PartialEq)]
pub struct MinresOptions {
    /// Stop when ‖(M + λI)δ + g‖ ≤ tolerance·‖g‖; in [0, 1). Default 10⁻⁵, that of SciPy's `minres` and of PETSc.
    pub tolerance: f64,
    /// The most products that may be spent, at least 2 because the last one is kept for the true residual; 0, the
    /// default, is 5d, that of SciPy's `minres`.
    pub max_products: usize,
}

impl Default for MinresOptions {
    fn default() -> Self {
        MinresOptions { tolerance: 1e-5, max_products: 0 }
    }
}

/// Why [`minres`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinresOutcome {
    /// The true residual has reached the tolerance.
    Accurate,
    /// M + λI is singular and −g not in its range: δ minimises the residual r, since ‖(M + λI)r‖ ≤ 8√ε(‖M‖ + |λ|)‖r‖,
    /// verified with a product, where ε is the spacing of `T`. Eigenvalues of about √ε(‖M‖ + |λ|) and less count as zero
    /// here: without a stored basis rounding hides what is smaller. Another shift makes the system solvable.
    LeastSquares,
    /// No more products are allowed. Allow more, or ask for less.
    Limit,
    /// Rounding keeps the true residual from falling further. Ask for less, or compute in `f64`.
    Stagnated,
    /// A product is not finite. Evaluate where the operator is defined.
    NotFinite,
    /// uᵀMv and vᵀMu differ by more than rounding or finite differences explain. Correct the operator.
    Asymmetric,
}

/// A direction along which the curvature is not positive.
#[derive(Clone, Debug, PartialEq)]
pub struct NonpositiveCurvature<T> {
    /// r/‖r‖ for the residual r = −g − (M + λI)δ of the iterate that met it; a direction of descent, gᵀr < 0.
    pub direction: Vec<T>,
    /// directionᵀ(M + λI)direction: at most zero, up to rounding beside ‖M‖ + |λ|.
    pub curvature: f64,
}

/// The solution of (M + λI)δ = −g by [`minres`].
#[derive(Clone, Debug, PartialEq)]
pub struct MinresReport<T> {
    /// δ, with the smallest residual that was verified (up to rounding); zero if no step was verified to be better.
    pub step: Vec<T>,
    /// ‖(M + λI)δ + g‖, evaluated with a product and not by recurrence.
    pub residual_norm: f64,
    /// Products spent.
    pub products: usize,
    /// Why it stopped.
    pub outcome: MinresOutcome,
    /// The first direction of nonpositive curvature that was met. If there is none, M + λI may still be indefinite.
    pub nonpositive_curvature: Option<NonpositiveCurvature<T>>,
}

/// Solves (M + λI)δ = −g, where M + λI may be indefinite or singular, to a small residual.
///
/// `operator` is M, d × d and symmetric; `gradient` is g, of length d; `damping` is λ, a shift of either sign. If the
/// system has no solution, a δ that minimises ‖(M + λI)δ + g‖ is found instead, not necessarily the shortest. Residuals
/// that were met on the way and have nonpositive curvature are reported, but do not stop the method. A preconditioner
/// of the operator is not used.
///
/// Costs one product per iteration and one to verify the residual, two for a least-squares solution, and one more each
/// time that rounding makes the method start again. As many iterations suffice, without rounding, as M + λI has distinct
/// eigenvalues along g.
///
/// ```
/// use newton_krylov::{minres, operator};
/// use newton_krylov::steps::{MinresOptions, MinresOutcome};
///
/// // M = [[1, 2], [2, 1]] has the eigenvalues 3 and −1.
/// let m = operator(2, |v: &[f64], mv: &mut [f64]| {
///     mv[0] = v[0] + 2.0 * v[1];
///     mv[1] = 2.0 * v[0] + v[1];
/// });
/// let solution = minres(&m, &[-5.0, -4.0], 0.0, &MinresOptions::default())?;
/// assert_eq!(solution.outcome, MinresOutcome::Accurate);
/// assert!((solution.step[0] - 1.0).abs() < 1e-12 && (solution.step[1] - 2.0).abs() < 1e-12);
/// assert_eq!(solution.products, 3); // two iterations and the residual
/// let along = solution.nonpositive_curvature.unwrap();
/// assert!(along.curvature < 0.0);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// If the dimension is zero, the gradient has another length or is not finite, λ is not finite, or an option is out of
/// its range.
pub fn minres<T: Scalar>(
    operator: &impl SymmetricOperator<T>,
    gradient: &[T],
    damping: f64,
    options: &MinresOptions,
) -> Result<MinresReport<T>> {
    let operator: &dyn SymmetricOperator<T> = operator;
    compiled!(<'r, 's, T>(
        operator: &'s dyn SymmetricOperator<T>, gradient: &'s [T], damping: f64, options: &'s MinresOptions
    ) -> Result<MinresReport<T>> {
        solve(operator, gradient, damping, options)
    })
}

fn solve<T: Scalar>(
    operator: &dyn SymmetricOperator<T>,
    gradient: &[T],
    damping: f64,
    &MinresOptions { tolerance, max_products }: &MinresOptions,
) -> Result<MinresReport<T>> {
    let dim = operator.dim();
    check_positive_dimension("the operator's dimension", dim)?;
    check_length("gradient", gradient, dim)?;
    check_finite("gradient", gradient)?;
    if !damping.is_finite() {
        return Err(Error::NotFinite { argument: "damping", index: None, value: damping });
    }
    check_range("tolerance", tolerance, (0.0..1.0).contains(&tolerance), "in [0, 1)")?;
    check_range("max_products", max_products as f64, max_products != 1, "0 (the default) or at least 2")?;

    let mut run = MinresRun::new(&operator, gradient, damping);
    run.max_products = if max_products == 0 { space::whole(dim).saturating_mul(5) } else { max_products };
    let goal = tolerance * run.found.residual_norm;
    let mut idle = 0;
    run.found.outcome = loop {
        if run.found.residual_norm <= goal {
            break MinresOutcome::Accurate;
        }
        let (leave, moved) = run.cycle(goal);
        // Without a move r is as true as before, and so is what the first product of the cycle said of it.
        if !moved {
            break leave;
        }
        let before = run.found.residual_norm;
        let verified = run.verify();
        let accepted = verified <= (1.0 + ROUNDING * T::epsilon_f64()) * before;
        if accepted {
            swap(&mut run.found.step, &mut run.v);
            run.found.residual_norm = verified;
        }
        // A least-squares solution is confirmed by the first product of the next cycle, or else refined, twice at most.
        idle = if verified <= 0.5 * before { 0 } else { idle + 1 };
        let progress = accepted && (idle == 0 || (idle < 3 && leave == MinresOutcome::LeastSquares));
        match leave {
            _ if run.found.residual_norm <= goal => break MinresOutcome::Accurate,
            _ if !verified.is_finite() => break MinresOutcome::NotFinite,
            MinresOutcome::Accurate | MinresOutcome::LeastSquares if progress => {}
            MinresOutcome::Accurate | MinresOutcome::LeastSquares => break MinresOutcome::Stagnated,
            _ => break leave,
        }
    };
    check_callback(operator.take_error())?;
    Ok(run.found)
}

/// The problem, the verified iterate, and the vectors of the iteration.
struct MinresRun<'a, T, M> {
    operator: &'a M,
    gradient: &'a [T],
    damping: f64,
    max_products: usize,
    /// δ, and what is known of it so far.
    found: MinresReport<T>,
    /// The largest ‖Mv‖ + |λ| met.
    scale: f64,
    /// r = −g − Aδ at the start of a cycle; rₖ, up to the pending update, after it.
    r: Vec<T>,
    /// The correction of δ.
    z: Vec<T>,
    /// vₖ₋₁ and vₖ, up to factors, and the product.
    u: Vec<T>,
    v: Vec<T>,
    q: Vec<T>,
    /// wₖ₋₂ and wₖ₋₁.
    w2: Vec<T>,
    w: Vec<T>,
}

impl<'a, T: Scalar, M: SymmetricOperator<T>> MinresRun<'a, T, M> {
    fn new(operator: &'a M, gradient: &'a [T], damping: f64) -> Self {
        let zero = || vec![T::zero(); gradient.len()];
        MinresRun {
            operator,
            gradient,
            damping,
            max_products: 0,
            found: MinresReport {
                step: zero(),
                residual_norm: kernels::norm(gradient),
                products: 0,
                outcome: MinresOutcome::Limit,
                nonpositive_curvature: None,
            },
            scale: damping.abs(),
            r: gradient.iter().map(|&g| -g).collect(),
            z: zero(),
            u: zero(),
            v: zero(),
            q: zero(),
            w2: zero(),
            w: zero(),
        }
    }

    /// Iterates for Az = r from z = 0 until the recurrences promise a residual of `goal`, or as small as rounding
    /// permits. Returns what they say and whether z ≠ 0.
    fn cycle(&mut self, goal: f64) -> (MinresOutcome, bool) {
        let epsilon = T::epsilon_f64();
        for vector in [&mut self.z, &mut self.u, &mut self.w2, &mut self.w] {
            vector.fill(T::zero());
        }
        let mut phi = self.found.residual_norm;
        kernels::scale_into(phi.recip(), &self.r, &mut self.v);
        let goal = goal.max(epsilon * phi);
        let (mut beta, mut c, mut s, mut delta, mut eps) = (0.0, -1.0, 0.0, 0.0, 0.0);
        // What u and v are multiplied with, and uᵀv.
        let (mut factor_u, mut factor_v, mut uv) = (1.0, 1.0, 0.0);
        // r waits for ε and ζ of the last iteration, with v; w and z, too, for the factors of `pending`, with u.
        let mut last_r = [1.0, 0.0];
        let mut pending = None;
        let mut size_before = 0.0;
        let mut moved = false;
        let outcome = loop {
            if self.found.products + 1 >= self.max_products {
                break MinresOutcome::Limit;
            }
            self.operator.apply(&self.v, &mut self.q);
            self.found.products += 1;

            // Lanczos: α = vᵀMv, βₖ₊₁vₖ₊₁ = Mv − αv − βu. A loss of uᵀv = 0 is not handed on to α.
            let vq = kernels::dot(&self.v, &self.q) / (factor_v * factor_v);
            let mut alpha = vq - beta * uv;
            let [mut beta_next, mut qv, uq] = kernels::lanczos_update(
                [-alpha / factor_v, -beta / factor_u, factor_v.recip()],
                &self.v,
                &self.u,
                &mut self.q,
            );
            let uq = uq / (factor_u * factor_v);
            if !(vq.is_finite() && uq.is_finite()) {
                break MinresOutcome::NotFinite;
            }
            let size = alpha.hypot(beta).hypot(beta_next);
            if beta_next < 0.1 * size {
                let left = qv / factor_v;
                let uq = kernels::dot(&self.u, &self.q) / factor_u;
                [beta_next, qv, _] =
                    kernels::lanczos_update([-left / factor_v, -uq / factor_u, 1.0], &self.v, &self.u, &mut self.q);
                alpha += left;
            }
            self.scale = self.scale.max(size + self.damping.abs());
            // uᵀMv must be vᵀMu, which is β.
            if moved && (uq - beta).abs() > epsilon.powf(0.375) * (size + size_before) {
                break MinresOutcome::Asymmetric;
            }
            size_before = size;

            // The rotation before, applied to the new column of T.
            let delta_2 = c * delta + s * (alpha + self.damping);
            let gamma = s * delta - c * (alpha + self.damping);
            let eps_next = s * beta_next;
            let delta_next = -c * beta_next;

            // What that says about rₖ₋₁, before it is left.
            // Exactly gᵀr = −‖r‖²; where rounding has left nothing of that, r is noise.
            let curved = -c * gamma <= ROUNDING * epsilon * self.scale && self.found.nonpositive_curvature.is_none();
            if curved {
                self.catch_up(&mut pending);
                let [e, f] = std::mem::replace(&mut last_r, [1.0, 0.0]);
                kernels::axpby(f, &self.v, e, &mut self.r);
            }
            if curved && kernels::dot(self.gradient, &self.r) < 0.0 {
                let mut direction = self.r.clone();
                kernels::scale(kernels::norm(&self.r).recip(), &mut direction);
                self.found.nonpositive_curvature = Some(NonpositiveCurvature { direction, curvature: -c * gamma });
            }
            let normal = gamma.hypot(delta_next);
            if normal <= (if moved { 0.5 } else { 1.0 }) * SINGULAR * epsilon.sqrt() * self.scale {
                break MinresOutcome::LeastSquares;
            }

            // The new rotation, and the step along wₖ = (vₖ − δₖwₖ₋₁ − εₖwₖ₋₂) / γₖ⁽²⁾.
            let gamma_2 = gamma.hypot(beta_next);
            (c, s) = (gamma / gamma_2, beta_next / gamma_2);
            let [e, f] = last_r;
            let step = [(gamma_2 * factor_v).recip(), -delta_2 / gamma_2, -eps / gamma_2, c * phi, e, f];
            moved = true;
            phi *= s;
            let Self { u, v, q, w, w2, z, r, .. } = self;
            match pending.take() {
                Some(before) => kernels::minres_updates([&u[..], &v[..]], [before, step], [w, w2, z, r]),
                None if phi <= goal => kernels::minres_updates([&v[..]], [step], [w, w2, z, r]),
                None => pending = Some(step),
            }
            if phi <= goal {
                return (MinresOutcome::Accurate, moved);
            }

            // vₖ₊₁, and rₖ = s²rₖ₋₁ − φₖcₖvₖ₊₁.
            swap(u, v);
            swap(v, q);
            uv = qv / (factor_v * beta_next);
            (factor_u, factor_v) = (factor_v, beta_next);
            if !NEAR_ONE.contains(&factor_v) {
                kernels::scale(factor_v.recip(), v);
                factor_v = 1.0;
            }
            last_r = [s * s, -phi * c / factor_v];
            (beta, delta, eps) = (beta_next, delta_next, eps_next);
        };
        self.catch_up(&mut pending);
        (outcome, moved)
    }

    /// The update of w, z and r that waits, with vₖ₋₁.
    fn catch_up(&mut self, pending: &mut Option<[f64; 6]>) {
        if let Some(factors) = pending.take() {
            let Self { u, w, w2, z, r, .. } = self;
            kernels::minres_updates([&u[..]], [factors], [w, w2, z, r]);
        }
    }

    /// v ← δ + z, a new step, and r ← its true residual, whose norm is returned. One product.
    fn verify(&mut self) -> f64 {
        kernels::add_scaled(&self.found.step, 1.0, &self.z, &mut self.v);
        self.operator.apply(&self.v, &mut self.q);
        self.found.products += 1;
        kernels::scale_into(-1.0, self.gradient, &mut self.r);
        let [residual, ..] = kernels::lanczos_update([-1.0, -self.damping, 1.0], &self.q, &self.v, &mut self.r);
        residual
    }
}
