//! LSMR from where a full [Golub–Kahan space](super) ends.

use crate::base::{Scalar, columns::Columns, kernels, space};
use crate::step::bidiagonal::Bidiagonal;
use crate::step::bidiagonalization::{Advance, Bidiagonalization};
use crate::step::family::InnerStop;
use crate::step::gauss_newton::System;
use crate::step::lsmr::Lsmr;
use crate::step::spectral::{Solution, Subproblem};

/// The space that is full.
pub struct Space<'a, T> {
    pub process: &'a Bidiagonalization<T>,
    pub basis: Columns<'a, T>,
    pub matrix: &'a mut Bidiagonal,
    pub scaling: &'a [T],
    /// Room for n numbers.
    pub work: &'a mut [T],
    /// Iterations at most.
    pub most: usize,
}

/// LSMR beyond the memory, with vectors of its own.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Beyond<T> {
    pub process: Bidiagonalization<T>,
    pub lsmr: Lsmr<T>,
    /// The subproblem that it solved at this point, if its solution was the better one.
    pub solved: Option<(Subproblem, Solution, InnerStop)>,
}

impl<T: Scalar> Beyond<T> {
    pub fn new(m: usize, n: usize) -> Self {
        Beyond { process: Bidiagonalization::new(vec![T::zero(); m], n, 0), lsmr: Lsmr::new(n), solved: None }
    }

    /// LSMR from where the space ends, with its λ, until ‖Aᵀ(Az + r) + λz‖ ≤ `tolerance` or z, which grows, leaves the radius;
    /// then z is shortened.
    pub fn go_on(
        &mut self,
        space: Space<'_, T>,
        system: &System<'_, T>,
        subproblem: Subproblem,
        here: Solution,
        tolerance: f64,
        truncated: bool,
    ) -> InnerStop {
        let Space { process, basis, matrix, scaling, work, most } = space;
        let scaling = Some(scaling);
        let Self { process: further, lsmr, solved } = self;
        let radius = if let Subproblem::Radius(radius) = subproblem { radius } else { f64::INFINITY };
        let shift = here.shift;
        further.copy_from(process);
        lsmr.replay(matrix, basis, shift, process.alpha, &process.v.numbers);
        let mut stop = InnerStop::Limit;
        for _ in 0..most {
            if lsmr.gradient() <= tolerance {
                stop = InnerStop::Accurate;
                break;
            }
            if lsmr.solution() > radius || !(system.more)(1) {
                break;
            }
            let mut advance = further.expand(system.jacobian, scaling);
            if advance == Advance::Advanced {
                if !(system.more)(1) {
                    break;
                }
                advance = further.contract(system.jacobian, scaling, Columns::new(work.len(), &[]));
            }
            if advance == Advance::NotFinite {
                stop = InnerStop::NotFinite;
                break;
            }
            lsmr.next(further);
            if radius.is_finite() {
                lsmr.update(further);
            }
            if advance == Advance::Invariant {
                stop = InnerStop::Exhausted;
                break;
            }
        }
        lsmr.update(further);
        let mut norm = lsmr.solution();
        let on_boundary = norm > radius;
        if on_boundary {
            lsmr.shorten(radius, shift == 0.0);
            norm = radius;
            if shift == 0.0 && truncated {
                stop = InnerStop::Accurate;
            }
        }
        if !(system.more)(1) {
            return InnerStop::Limit;
        }
        // What the model says of z, from z itself.
        let image = further.image(system.jacobian, scaling, &lsmr.x);
        let curvature = space::of_residuals(|| kernels::norm(image)).powi(2);
        work.copy_from_slice(&lsmr.x);
        kernels::multiply(system.scaling, work);
        let slope = kernels::dot(system.gradient, work);
        let solution = Solution { shift, norm, slope, curvature, on_boundary, hard_case: false };
        let damping = if let Subproblem::Damped(damping) = subproblem { damping } else { 0.0 };
        let gain = |solution: &Solution| solution.decrease() - 0.5 * damping * solution.norm * solution.norm;
        if gain(&solution) >= gain(&here) {
            *solved = Some((subproblem, solution, stop));
        }
        stop
    }
}
