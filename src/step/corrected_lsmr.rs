//! Linear least squares, with and without damping, from products with A and Aᵀ.
//!
//!   x = argmin ‖Ax − b‖² + λ‖x‖²
//!
//! LSMR (Fong & Saunders, SIAM J. Sci. Comput. 33 (2011)) with its stopping tests (section 3), on small problems with
//! all right vectors stored and reorthogonalised.
//!
//! Deviations, and why: the recurrences only propose. Whatever they promise is compared with the true b − Ax and
//! Aᵀ(b − Ax) − λx, for one product each; where these miss the tests, or where there is a first guess x₀, the method goes on
//! with a correction z of the x that it has, min ‖A(x + z) − b‖² + λ‖x + z‖². With λ > 0 that is an undamped problem in
//! [A; √λI]: damping only z, as SciPy's `lsmr` does with its x₀, would solve another problem.

use super::bidiagonalization::{Advance, Bidiagonalization, Scaled};
use super::lsmr::Lsmr;
use crate::base::columns::Columns;
use crate::base::{
    Error, Result, Scalar, check_callback, check_finite, check_length, check_not_negative, check_positive_dimension,
    check_range, compiled, kernels, space,
};
use crate::operator::{LinearMap, forward};

use super::linear_least_squares::{LinearLeastSquares, LinearOutcome, LinearReport};

/// Numbers up to which all right vectors are stored and reorthogonalised (8 MB): n = 1000 where m ≥ n.
const STORE_ALL: usize = 1_000_000;
/// Rounding of b − Ax, in units of ε(‖A‖‖x‖ + ‖b‖).
const ROUNDING: f64 = 4.0;

impl LinearLeastSquares {
    /// Solves min ‖Ax − b‖² + λ‖x‖² from x = 0.
    ///
    /// Costs a product with A and one with Aᵀ in each iteration, one of each to verify the solution, and one with Aᵀ to
    /// start. Storage: 2m + 11n numbers and the stored vectors; corrections with λ > 0 need 2n more. Without rounding it
    /// needs no more iterations than A has distinct singular values.
    ///
    /// # Errors
    /// If A has no columns, b has not the length m or is not finite, or an option is out of its range.
    pub fn solve<T: Scalar>(&self, map: &impl LinearMap<T>, b: &[T]) -> Result<LinearReport<T>> {
        self.begin(map, b, None)
    }

    /// As [`solve`](Self::solve), from a first guess x₀: one product with A more. Where A has no full column rank and
    /// λ = 0, the solution nearest to x₀ is found.
    ///
    /// # Errors
    /// As [`solve`](Self::solve), and if x₀ has not the length n or is not finite.
    pub fn solve_from<T: Scalar>(&self, map: &impl LinearMap<T>, b: &[T], x0: &[T]) -> Result<LinearReport<T>> {
        self.begin(map, b, Some(x0))
    }

    fn begin<T: Scalar>(&self, map: &dyn LinearMap<T>, b: &[T], x0: Option<&[T]>) -> Result<LinearReport<T>> {
        let options = self;
        compiled!(<'r, 's, T>(
            options: &'s LinearLeastSquares, map: &'s dyn LinearMap<T>, b: &'s [T], x0: Option<&'s [T]>
        ) -> Result<LinearReport<T>> {
            let b_norm = options.check(map, b)?;
            if let Some(x0) = x0 {
                check_length("x0", x0, map.columns())?;
                check_finite("x0", x0)?;
            }
            LsmrRun::new(options, &map, b, b_norm, x0).solve()
        })
    }

    /// Returns ‖b‖.
    fn check<T: Scalar>(&self, map: &dyn LinearMap<T>, b: &[T]) -> Result<f64> {
        check_positive_dimension("the map's number of columns", map.columns())?;
        check_length("b", b, map.rows())?;
        let b_norm = space::of_residuals(|| kernels::norm(b));
        if !b_norm.is_finite() {
            check_finite("b", b)?;
            return Err(Error::NotFinite { argument: "the norm of b", index: None, value: f64::INFINITY });
        }
        let &LinearLeastSquares { damping, tolerance, condition_limit, .. } = self;
        check_not_negative("damping", damping)?;
        check_range("tolerance", tolerance, (0.0..1.0).contains(&tolerance), "in [0, 1)")?;
        check_range("condition_limit", condition_limit, condition_limit >= 1.0, "at least 1")?;
        Ok(b_norm)
    }
}

/// Solves min ‖Ax − b‖² with default options; where A has no full column rank, the solution of least ‖x‖.
///
/// ```
/// use newton_krylov::{linear_least_squares, linear_map};
///
/// // One equation, x₀ + 2x₁ = 5: the solution nearest to zero is (1, 2).
/// let a = linear_map(
///     1,
///     2,
///     |v: &[f64], av: &mut [f64]| av[0] = v[0] + 2.0 * v[1],
///     |u: &[f64], atu: &mut [f64]| atu.copy_from_slice(&[u[0], 2.0 * u[0]]),
/// );
/// let solution = linear_least_squares(&a, &[5.0])?;
/// assert!((solution.x[0] - 1.0).abs() < 1e-12 && (solution.x[1] - 2.0).abs() < 1e-12);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
///
/// # Errors
/// If A has no columns, or b has not the length m or is not finite.
pub fn linear_least_squares<T: Scalar>(map: &impl LinearMap<T>, b: &[T]) -> Result<LinearReport<T>> {
    LinearLeastSquares::default().solve(map, b)
}

/// [A; √λI]. Where every rank has all of x, each has √(λ/ranks)I.
struct Damped<'a, J> {
    map: &'a J,
    root: f64,
    copies: f64,
}

impl<T: Scalar, J: LinearMap<T>> LinearMap<T> for Damped<'_, J> {
    forward!(self.map; columns, take_error);
    fn rows(&self) -> usize {
        self.map.rows() + self.map.columns()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        let (image, damped) = out.split_at_mut(self.map.rows());
        self.map.apply(v, image);
        kernels::scale_into(self.root / self.copies.sqrt(), v, damped);
    }
    fn apply_transpose(&self, u: &[T], out: &mut [T]) {
        let (image, damped) = u.split_at(self.map.rows());
        self.map.apply_transpose(image, out);
        kernels::axpy(self.root * self.copies.sqrt(), damped, out);
    }
}

/// Why a cycle of LSMR ended.
#[derive(Clone, Copy, PartialEq)]
enum Leave {
    /// The estimates pass a test, or the space is invariant.
    Promised,
    Outcome(LinearOutcome),
}

/// A solve: the verified iterate, and what was seen of A.
struct LsmrRun<'a, T, J> {
    options: &'a LinearLeastSquares,
    map: &'a J,
    b: &'a [T],
    b_norm: f64,
    /// x, and what is known of it so far.
    found: LinearReport<T>,
    /// −z of the last cycle, then x + z.
    candidate: Vec<T>,
    /// [b − Ax; −λx], the second part only where it is needed; during a cycle empty.
    residual: Vec<T>,
    /// Aᵀ(b − Ax) − λx.
    gradient: Vec<T>,
    /// ‖r̄‖ and ‖x‖.
    left: f64,
    x_norm: f64,
}

impl<'a, T: Scalar, J: LinearMap<T>> LsmrRun<'a, T, J> {
    fn new(options: &'a LinearLeastSquares, map: &'a J, b: &'a [T], b_norm: f64, x0: Option<&[T]>) -> Self {
        let n = map.columns();
        let start = || x0.map_or_else(|| vec![T::zero(); n], <[T]>::to_vec);
        let found = LinearReport {
            x: start(),
            residual_norm: f64::NAN,
            gradient_norm: f64::NAN,
            operator_norm: 0.0,
            condition: 0.0,
            iterations: 0,
            products: 0,
            transpose_products: 0,
            outcome: LinearOutcome::NotFinite,
        };
        let (candidate, gradient) = (start(), vec![T::zero(); n]);
        LsmrRun { options, map, b, b_norm, found, candidate, residual: vec![], gradient, left: f64::NAN, x_norm: 0.0 }
    }

    fn solve(mut self) -> Result<LinearReport<T>> {
        self.found.outcome = self.run();
        check_callback(self.map.take_error())?;
        Ok(self.found)
    }

    fn run(&mut self) -> LinearOutcome {
        if !self.verify() {
            return LinearOutcome::NotFinite;
        }
        loop {
            if let Some(outcome) = self.test(self.left, self.found.gradient_norm, self.x_norm, 1.0) {
                return outcome;
            }
            let (left, gradient_norm) = (self.left, self.found.gradient_norm);
            let damping = self.options.damping;
            let leave = if damping > 0.0 && self.x_norm > 0.0 {
                // −√λx below the residual.
                self.residual.truncate(self.b.len());
                self.residual.extend_from_slice(&self.found.x);
                let (root, copies) = (damping.sqrt(), space::copies() as f64);
                kernels::scale(-root / copies.sqrt(), &mut self.residual[self.b.len()..]);
                self.cycle(&Damped { map: self.map, root, copies }, 0.0)
            } else {
                self.cycle(self.map, damping)
            };
            kernels::axpby(1.0, &self.found.x, -1.0, &mut self.candidate);
            let accepted = self.verify();
            let converged = self.test(self.left, self.found.gradient_norm, self.x_norm, 1.0);
            match (leave, converged) {
                (Leave::Outcome(LinearOutcome::NotAdjoint), _) => return LinearOutcome::NotAdjoint,
                (_, Some(outcome)) if accepted => return outcome,
                (Leave::Outcome(outcome), _) => return outcome,
                (Leave::Promised, _) => {}
            }
            let halved = self.left <= 0.5 * left || self.found.gradient_norm <= 0.5 * gradient_norm;
            if !accepted || !halved {
                let within_rounding = self.found.gradient_norm <= self.found.operator_norm * self.rounding();
                return if within_rounding { LinearOutcome::LeastSquares } else { LinearOutcome::Stagnated };
            }
        }
    }

    /// What rounding leaves of ‖b − Ax‖ at the verified x.
    fn rounding(&self) -> f64 {
        ROUNDING * T::epsilon_f64() * (self.found.operator_norm * self.x_norm + self.b_norm)
    }

    /// The tests, with the tolerance times `factor`.
    fn test(&self, left: f64, gradient: f64, x_norm: f64, factor: f64) -> Option<LinearOutcome> {
        let tolerance = factor * self.options.tolerance.max(ROUNDING * T::epsilon_f64());
        let scale = self.found.operator_norm * x_norm + self.b_norm;
        if left <= tolerance * scale {
            Some(LinearOutcome::Consistent)
        } else if gradient <= self.found.operator_norm * tolerance * left {
            Some(LinearOutcome::LeastSquares)
        } else {
            None
        }
    }

    /// Evaluates the candidate with products and takes it if it is not worse than x. The first candidate is x itself.
    fn verify(&mut self) -> bool {
        let x_norm = kernels::norm(&self.candidate);
        if !x_norm.is_finite() {
            return false;
        }
        let residual_norm = if x_norm > 0.0 {
            self.residual.resize(self.b.len(), T::zero());
            self.found.products += 1;
            self.map.apply(&self.candidate, &mut self.residual);
            kernels::axpby(1.0, self.b, -1.0, &mut self.residual);
            space::of_residuals(|| kernels::norm(&self.residual))
        } else {
            self.residual.clear();
            self.residual.extend_from_slice(self.b);
            self.b_norm
        };
        let left = residual_norm.hypot(self.options.damping.sqrt() * x_norm);
        let worse = left > self.left + self.rounding();
        if !left.is_finite() || worse {
            return false;
        }
        std::mem::swap(&mut self.found.x, &mut self.candidate);
        (self.found.residual_norm, self.left, self.x_norm) = (residual_norm, left, x_norm);
        self.found.gradient_norm = f64::NAN;
        if left == 0.0 {
            self.found.gradient_norm = 0.0;
            return true;
        }
        self.found.transpose_products += 1;
        self.map.apply_transpose(&self.residual, &mut self.gradient);
        kernels::axpy(-self.options.damping, &self.found.x, &mut self.gradient);
        self.found.gradient_norm = kernels::norm(&self.gradient);
        self.found.gradient_norm.is_finite()
    }

    /// LSMR from the residual; leaves −z in `candidate`.
    fn cycle(&mut self, map: &impl LinearMap<T>, damping: f64) -> Leave {
        let n = map.columns();
        let (rows, columns) = (space::of_residuals(|| space::whole(self.b.len())), space::whole(n));
        let whole = if self.x_norm > 0.0 && self.options.damping > 0.0 { columns } else { rows.min(columns) };
        let automatic = if columns.saturating_mul(whole) <= STORE_ALL { whole } else { 0 };
        let most = self.options.stored.unwrap_or(automatic).min(whole);
        let mut basis = vec![T::zero(); most * n];
        let mut stored = 0;
        let mut process = Bidiagonalization::new(std::mem::take(&mut self.residual), n, most);
        let mut lsmr = Lsmr::new(n);
        let beta = self.left;
        process.start_in_place(beta);
        let alpha = process.start_from_gradient(&self.gradient, None);
        lsmr.start(&process.v.numbers, alpha, beta, damping);
        let max_iterations = self.options.max_iterations.unwrap_or(rows + columns);
        let leave = loop {
            if self.found.iterations >= max_iterations {
                break Leave::Outcome(LinearOutcome::IterationLimit);
            }
            if stored < most {
                let Scaled { numbers, factor } = &process.v;
                kernels::scale_into(factor.recip(), numbers, &mut basis[stored * n..(stored + 1) * n]);
                stored += 1;
            }
            self.found.iterations += 1;
            self.found.products += 1;
            let mut advance = process.expand(map, None);
            if process.mismatch > T::epsilon_f64().powf(0.25) {
                break Leave::Outcome(LinearOutcome::NotAdjoint);
            }
            if advance == Advance::Advanced {
                self.found.transpose_products += 1;
                advance = process.contract(map, None, Columns::new(n, &basis[..stored * n]));
            }
            if advance == Advance::NotFinite {
                break Leave::Outcome(LinearOutcome::NotFinite);
            }
            lsmr.next(&mut process);
            self.found.operator_norm = self.found.operator_norm.max(lsmr.operator_norm());
            self.found.condition = self.found.condition.max(lsmr.condition());
            let x_norm = if self.x_norm > 0.0 { self.x_norm } else { lsmr.solution() };
            let promised = self.test(lsmr.residual(), lsmr.gradient(), x_norm, 0.9).is_some();
            if promised || advance == Advance::Invariant {
                break Leave::Promised;
            }
            if self.found.condition > self.options.condition_limit {
                break Leave::Outcome(LinearOutcome::ConditionLimit);
            }
        };
        lsmr.update(&process);
        self.candidate = lsmr.x;
        self.residual = process.into_buffer();
        leave
    }
}
