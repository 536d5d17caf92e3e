//! The step from one stored space that serves every damping.
//!
//! The space V is spanned by P⁻¹m, the last step δ₋ and preconditioned residuals, m being a moving average of gradients:
//!
//!   δ(λ) = argmin over V of gᵀδ + ½ δᵀ(M + λI)δ.
//!
//! Measured on an autoencoder of curves without a preconditioner (784-200-50-6, 2000 images): with 30 products and the
//! search it needs 1.8 to 2.5 times fewer products for the same loss than Martens' recipe. Where products are cheap (here
//! on 250 samples) the orthogonalisation eats that up in time.
//!
//! With V = {P⁻¹g, δ₋} this is the rescaling and momentum of Martens & Grosse, "Optimizing neural networks with
//! Kronecker-factored approximate curvature" (ICML 2015), sections 6.4 and 7, with one difference: they solve with
//! M + λI too, but keep products with J only, for which the operators here have no interface.
//!
//! Once the products are made, every λ is free. Where the method searches, f is evaluated along λ ↦ δ(λ), from the last λ
//! on in the direction where it falls, and the best point is taken; otherwise λ follows the rule of Levenberg & Marquardt
//! and only a step that raises f makes the space solve again, for a larger λ.
//!
//! With structural damping the products are those of M + λ₀S for the λ₀ that the iteration starts with, and δ(λ) is the
//! minimum with M + λ₀S + λI. As the next iteration takes its λ₀ from this one's λ, the search goes one step only, so that
//! the weight of S follows what was found with nearly that weight.

use super::options::SubspaceDescent;
use super::proposal::{Accepted, CurrentPoint, Failure, damping_after};
use crate::base::{Scalar, kernels};
use crate::control::{Evaluation, Judgement, judge};
use crate::operator::SymmetricOperator;
use crate::step::{Growth, InnerStop, KrylovSpace, Solution, Subproblem};

/// The change of λ after one step: Martens & Grosse 2015, section 6.5, ω₁ = 19/20 for every iteration.
const CHANGE: f64 = 0.95;
/// The same where products are made on the whole set, so that ρ says nothing of a batch: Martens 2010, section 4.1.
const CHANGE_ON_WHOLE: f64 = 2.0 / 3.0;
/// The factor between neighbours on the curve, and the most steps along it.
const GRID: f64 = 4.0;
const MOST_TRIALS: usize = 8;
/// The factor on λ after a step that raised f, and how often it is tried.
const RAISE: f64 = 4.0;
const MOST_RAISES: usize = 30;
/// λ in units of the largest Ritz value, at most: beyond, a step is so short that what refuses it is not its length.
const LARGEST_DAMPING: f64 = 1e8;

/// The space, and the point that is tried.
pub struct SubspaceStep<T> {
    space: KrylovSpace<T>,
}

/// A point on the curve.
#[derive(Clone, Copy)]
struct Point {
    damping: f64,
    solution: Solution,
    value: f64,
    verdict: Judgement,
    /// Whether x + δ differs from x.
    moved: bool,
}

impl Point {
    fn ratio(&self, before: f64) -> f64 {
        match self.verdict {
            Judgement::Ratio(ratio) => ratio,
            Judgement::Rounding => (before - self.value) / self.solution.decrease(),
        }
    }

    fn good(&self) -> bool {
        self.moved && matches!(self.verdict, Judgement::Rounding)
            || matches!(self.verdict, Judgement::Ratio(ratio) if ratio > 0.0)
    }
}

impl<T: Scalar> SubspaceStep<T> {
    pub fn new(dim: usize, method: SubspaceDescent) -> Self {
        SubspaceStep { space: KrylovSpace::new(dim, method.most_products(true)) }
    }

    /// Storage in vectors of length d.
    pub fn vectors(&self) -> usize {
        self.space.vectors()
    }

    pub fn asymmetry(&self) -> f64 {
        self.space.asymmetry
    }

    /// Writes δ over `step`, which holds the last one (or 0), and x + δ to `trial`; λ becomes that of the next iteration.
    /// `whole`: products are made on the whole set.
    pub fn propose<M: SymmetricOperator<T>>(
        &mut self,
        here: &CurrentPoint<'_, T, M>,
        method: &SubspaceDescent,
        whole: bool,
        damping: &mut f64,
        step: &mut [T],
        trial: &mut [T],
    ) -> Result<Accepted, Failure> {
        let inner = self.grow(here, method.most_products(whole), damping, step)?;
        let lowest = self.space.ritz_values().first().copied().unwrap_or(f64::NAN);
        let largest = self.space.ritz_values().last().copied().unwrap_or(f64::NAN);
        // Below the first bound λ changes nothing.
        let least = (-lowest).max(0.0) * 1.5 + f64::EPSILON * largest.abs();
        let most = if largest > 0.0 { least.max(LARGEST_DAMPING * largest) } else { f64::INFINITY };
        *damping = damping.min(most).max(least);
        let mut best = self.try_point(here, *damping, step, trial);
        let (mut at, mut rejected) = (best.damping, 0);
        while !best.good() {
            at *= RAISE;
            if rejected == MOST_RAISES || at > most || !best.moved || !(here.more)() {
                // λ stays: what it would take here says nothing about other samples.
                let finite = best.value.is_finite();
                return Err(if finite { Failure::NoDecrease } else { Failure::NotFinite(Evaluation::Value) });
            }
            rejected += 1;
            best = self.try_point(here, at, step, trial);
        }
        if method.search && matches!(best.verdict, Judgement::Ratio(_)) {
            best = self.search(here, best, least, rejected > 0, step, trial);
            // The last point tried was a worse one.
            if self.space.solution(Subproblem::Damped(best.damping)).is_ok() {
                self.space.step(step);
                kernels::add_scaled(here.x, 1.0, step, trial);
            }
        }
        if best.value == f64::NEG_INFINITY {
            return Err(Failure::Unbounded);
        }
        best.solution.curvature = (here.undamped)(step, best.solution.curvature);
        best.verdict = judge(T::epsilon_f64(), here.value, best.value, best.solution.decrease());
        let ratio = best.ratio(here.value);
        *damping = match best.verdict {
            Judgement::Ratio(_) if !method.search => {
                damping_after(best.damping, ratio, if whole { CHANGE_ON_WHOLE } else { CHANGE })
            }
            _ => best.damping,
        };
        Ok(Accepted {
            value: best.value,
            norm: best.solution.norm,
            ratio,
            damping: best.damping,
            rejected,
            inner,
            lowest_ritz_value: lowest,
        })
    }

    /// Walks along the curve as long as f falls: to longer steps, or else to shorter ones.
    fn search<M>(
        &mut self,
        here: &CurrentPoint<'_, T, M>,
        mut best: Point,
        least: f64,
        shorten: bool,
        step: &mut [T],
        trial: &mut [T],
    ) -> Point {
        let start = best.damping;
        let directions = if shorten { &[GRID][..] } else { &[GRID.recip(), GRID] };
        for factor in directions {
            for _ in 0..if here.structural { 1 } else { MOST_TRIALS } {
                let damping = best.damping * factor;
                if damping < least {
                    break;
                }
                let point = self.try_point(here, damping, step, trial);
                if !(point.good() && point.value < best.value) {
                    break;
                }
                best = point;
            }
            if best.damping != start {
                break;
            }
        }
        best
    }

    /// Makes the products.
    fn grow<M: SymmetricOperator<T>>(
        &mut self,
        here: &CurrentPoint<'_, T, M>,
        products: usize,
        damping: &mut f64,
        step: &[T],
    ) -> Result<InnerStop, Failure> {
        let space = &mut self.space;
        space.clear();
        if !(here.more)() {
            return Err(Failure::NoProducts);
        }
        space.direction().copy_from_slice(here.mean_gradient);
        (here.precondition)(*damping, space.direction());
        let mut growth = space.grow(here.operator, here.gradient);
        if growth == Growth::Dependent {
            // The preconditioner brings nothing.
            space.direction().copy_from_slice(here.gradient);
            growth = space.grow(here.operator, here.gradient);
        }
        if growth != Growth::Grown {
            return Err(Failure::NotFinite(Evaluation::Product));
        }
        if space.len() < products && !space.is_full() && (here.more)() {
            space.direction().copy_from_slice(step);
            if space.grow(here.operator, here.gradient) == Growth::NotFinite {
                return Ok(InnerStop::NotFinite);
            }
        }
        loop {
            let lowest = space.ritz_values().first().copied().unwrap_or(f64::NAN);
            *damping = damping.max(-1.5 * lowest);
            if space.len() >= products || space.is_full() || !(here.more)() {
                return Ok(InnerStop::Limit);
            }
            if space.solution(Subproblem::Damped(*damping)).is_err() {
                return Ok(InnerStop::Limit);
            }
            if space.residual(1.0, *damping, here.gradient) <= 4.0 * T::epsilon_f64() * kernels::norm(here.gradient) {
                return Ok(InnerStop::Exhausted);
            }
            (here.precondition)(*damping, space.direction());
            match space.grow(here.operator, here.gradient) {
                Growth::Grown => {}
                Growth::Dependent => return Ok(InnerStop::Exhausted),
                Growth::NotFinite => return Ok(InnerStop::NotFinite),
            }
        }
    }

    /// δ(λ) and f at its end.
    fn try_point<M>(&mut self, here: &CurrentPoint<'_, T, M>, damping: f64, step: &mut [T], trial: &mut [T]) -> Point {
        let solution = self.space.solution(Subproblem::Damped(damping)).unwrap_or_default();
        self.space.step(step);
        kernels::add_scaled(here.x, 1.0, step, trial);
        let moved = solution.norm > 0.0 && !kernels::same(trial, here.x);
        let value = if kernels::all_finite(trial) { (here.value_at)(trial) } else { f64::NAN };
        let verdict = judge(T::epsilon_f64(), here.value, value, solution.decrease());
        Point { damping, solution, value, verdict, moved }
    }
}
