//! The 35 test functions of Moré, Garbow & Hillstrom, "Testing Unconstrained Optimization Software", *ACM
//! Transactions on Mathematical Software* 7 (1981) 17–41, section 3.
//!
//! F(x) = Σᵢ rᵢ(x)², as there, without a factor ½. The residuals r(x) and the product J(x)ᵀu are written by hand, for
//! plain and for dual numbers; all else follows without further formulas and without differences:
//!
//! ∇F(x) = 2 J(x)ᵀ r(x)
//! J(x) v = the ε part of r(x + εv)
//! ∇²F(x) v = the ε part of 2 J(x + εv)ᵀ r(x + εv)
//!
//! Deviations: the formula (11) is Algorithm 566's, where the paper has a misprint; (16) starts at x₄ = −1, as MINPACK
//! and CUTEst do. Exponentials may overflow far from the start: then values are infinite or NaN, as they come.

use std::cell::RefCell;
use std::fmt;

use super::number::{Dual, Number};
use crate::base::{Result, Scalar, check_range, kernels};
use crate::operator::{Expansion, Objective, SymmetricOperator};
use function::{Facts, Function};

mod discretised;
mod exponentials;
mod extended;
mod fits;
mod fixed;
mod function;
mod linear;

pub use function::Minimum;

/// Evaluates an expression with `$F` standing for the function of the given number.
macro_rules! with_function {
    ($number:expr, $F:ident => $body:expr) => {
        with_function!(@ $number, $F => $body;
            1 fixed::Rosenbrock, 2 fixed::FreudensteinRoth, 3 fixed::PowellBadlyScaled, 4 fixed::BrownBadlyScaled,
            5 fixed::Beale, 6 fixed::JennrichSampson, 7 fixed::HelicalValley, 8 fits::Bard, 9 fits::Gaussian,
            10 fits::Meyer, 11 fits::Gulf, 12 fits::Box3, 13 fixed::PowellSingular, 14 fixed::Wood,
            15 fits::KowalikOsborne, 16 fits::BrownDennis, 17 exponentials::Osborne1, 18 exponentials::BiggsExp6,
            19 exponentials::Osborne2,
            20 extended::Watson, 21 extended::ExtendedRosenbrock, 22 extended::ExtendedPowell, 23 extended::Penalty1,
            24 extended::Penalty2, 25 extended::VariablyDimensioned, 26 extended::Trigonometric,
            27 extended::BrownAlmostLinear, 28 discretised::DiscreteBoundaryValue,
            29 discretised::DiscreteIntegralEquation, 30 discretised::BroydenTridiagonal,
            31 discretised::BroydenBanded, 32 linear::LinearFullRank, 33 linear::LinearRankOne,
            34 linear::LinearRankOneZeros; linear::Chebyquad)
    };
    (@ $number:expr, $F:ident => $body:expr; $($k:literal $function:path),*; $last:path) => {
        match $number {
            $($k => {
                type $F = $function;
                $body
            })*
            _ => {
                type $F = $last;
                $body
            }
        }
    };
}

/// What is known of the function with this number.
fn facts(number: usize) -> &'static Facts {
    with_function!(number, F => &F::FACTS)
}

/// One of the 35 functions F(x) = Σᵢ rᵢ(x)² of Moré, Garbow & Hillstrom (1981), with its dimensions.
///
/// There is no factor ½: ∇F = 2Jᵀr. Hessian products are exact, from dual numbers; an expansion keeps r and room for
/// them, so that a product allocates nothing. Where exponentials overflow, values are infinite or NaN.
///
/// For solvers of least-squares problems there are the [`residuals`](Self::residuals), Jv and Jᵀu themselves.
///
/// ```
/// use newton_krylov::{Expansion, Objective, problems::MoreGarbowHillstrom};
///
/// let problem = MoreGarbowHillstrom::new(21, 1000)?;
/// assert_eq!(problem.name(), "Extended Rosenbrock");
/// let x: Vec<f64> = problem.start();
/// assert!((problem.value(&x) - 500.0 * 24.2).abs() < 1e-9);
/// let mut gradient = vec![0.0; 1000];
/// problem.expand(&x).gradient(&mut gradient);
/// assert!((gradient[1] + 88.0).abs() < 1e-12);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoreGarbowHillstrom {
    number: usize,
    n: usize,
    m: usize,
}

impl MoreGarbowHillstrom {
    /// The function with this number (1 to 35) in `n` unknowns, with the paper's m, or a usual one where m is free.
    pub fn new(number: usize, n: usize) -> Result<Self> {
        Self::with_terms(number, n, (facts(number).terms)(n))
    }

    /// The function with this number (1 to 35), `n` unknowns and `m` residuals.
    pub fn with_terms(number: usize, n: usize, m: usize) -> Result<Self> {
        check_range("number", number as f64, (1..=35).contains(&number), "from 1 to 35")?;
        check_range("n", n as f64, facts(number).admits(n, m), facts(number).sizes)?;
        Ok(MoreGarbowHillstrom { number, n, m })
    }

    /// All 35, with the paper's dimensions where it fixes them. Otherwise n is 10, but 12 for (22), 9 for (20) and 8
    /// for (35), and m is 10 for (6) and (12), 13 for (18), 20 for (16), 99 for (11), 2n for (32)–(34) and n for (35).
    pub fn all() -> Vec<Self> {
        (1..=35).map(|number| Self::usual(number, facts(number).n)).collect()
    }

    /// Those whose n is free, with many unknowns: 1000 for (21)–(23), (30), (31); 500 for (32); 200 for (25), (26),
    /// (29); 100 for (27), (33), (34); 50 for (24), whose terms grow like e^(n/10), for (28), whose start is within
    /// O(h²) of the solution, and for (35), whose products cost O(n²).
    pub fn large() -> Vec<Self> {
        (1..=35).filter_map(|number| Some(Self::usual(number, facts(number).large?))).collect()
    }

    /// The function in n unknowns that it allows.
    fn usual(number: usize, n: usize) -> Self {
        MoreGarbowHillstrom { number, n, m: (facts(number).terms)(n) }
    }

    fn facts(&self) -> &'static Facts {
        facts(self.number)
    }

    /// The number in the paper.
    pub fn number(&self) -> usize {
        self.number
    }

    /// The name in the paper.
    pub fn name(&self) -> &'static str {
        self.facts().name
    }

    /// n, the number of unknowns.
    pub fn unknowns(&self) -> usize {
        self.n
    }

    /// m, the number of residuals.
    pub fn terms(&self) -> usize {
        self.m
    }

    /// The standard starting point x₀.
    pub fn start<T: Scalar>(&self) -> Vec<T> {
        (self.facts().start)(self.n).into_iter().map(T::from_f64).collect()
    }

    /// The point `factor` · x₀; where x₀ = 0, every component is `factor`, unless that is 1 (Algorithm 566).
    ///
    /// The paper starts from x₀, 10 x₀ and 100 x₀.
    pub fn scaled_start<T: Scalar>(&self, factor: f64) -> Vec<T> {
        let start: Vec<f64> = self.start();
        let zero = factor != 1.0 && start.iter().all(|&x| x == 0.0);
        start.into_iter().map(|x| T::from_f64(if zero { factor } else { factor * x })).collect()
    }

    /// The minima that the paper gives for these dimensions, global and local; there may be others, or none is known.
    pub fn minima(&self) -> Vec<Minimum> {
        (self.facts().minima)(self.n, self.m)
    }

    /// r ← r(x).
    pub fn residuals<T: Scalar>(&self, x: &[T], r: &mut [T]) {
        self.evaluate(x, r);
    }

    /// jv ← J(x) v. Allocates n + m dual numbers.
    pub fn jacobian_product<T: Scalar>(&self, x: &[T], v: &[T], jv: &mut [T]) {
        let x: Vec<_> = x.iter().zip(v).map(|(&value, &slope)| Dual { value, slope }).collect();
        let mut r = vec![Dual::default(); self.m];
        self.evaluate(&x, &mut r);
        for (jv, r) in jv.iter_mut().zip(r) {
            *jv = r.slope;
        }
    }

    /// out ← J(x)ᵀ u.
    pub fn jacobian_transpose_product<T: Scalar>(&self, x: &[T], u: &[T], out: &mut [T]) {
        self.transpose(x, u, out);
    }

    fn evaluate<V: Number>(&self, x: &[V], r: &mut [V]) {
        with_function!(self.number, F => F::residuals(x, r));
    }

    fn transpose<V: Number>(&self, x: &[V], u: &[V], out: &mut [V]) {
        with_function!(self.number, F => F::transpose(x, u, out));
    }
}

/// Number, name and n: "(21) Extended Rosenbrock, n = 10".
impl fmt::Display for MoreGarbowHillstrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) {}, n = {}", self.number, self.name(), self.n)
    }
}

impl<T: Scalar> Objective<T> for MoreGarbowHillstrom {
    fn dim(&self) -> usize {
        self.n
    }

    fn value(&self, x: &[T]) -> f64 {
        let mut r = vec![T::zero(); self.m];
        self.evaluate(x, &mut r);
        kernels::dot(&r, &r)
    }

    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        let mut residuals = vec![T::zero(); self.m];
        self.evaluate(x, &mut residuals);
        let scratch = Scratch {
            x: vec![Dual::default(); self.n],
            residuals: vec![Dual::default(); self.m],
            gradient: vec![Dual::default(); self.n],
        };
        SumOfSquaresAt { problem: self, x, residuals, scratch: RefCell::new(scratch) }
    }
}

/// F at x: the residuals, and dual numbers for a product.
struct SumOfSquaresAt<'a, T> {
    problem: &'a MoreGarbowHillstrom,
    x: &'a [T],
    residuals: Vec<T>,
    scratch: RefCell<Scratch<T>>,
}

struct Scratch<T> {
    x: Vec<Dual<T>>,
    residuals: Vec<Dual<T>>,
    gradient: Vec<Dual<T>>,
}

impl<T: Scalar> SymmetricOperator<T> for SumOfSquaresAt<'_, T> {
    fn dim(&self) -> usize {
        self.problem.n
    }

    fn apply(&self, v: &[T], out: &mut [T]) {
        let Scratch { x, residuals, gradient } = &mut *self.scratch.borrow_mut();
        for (dual, (&value, &slope)) in x.iter_mut().zip(self.x.iter().zip(v)) {
            *dual = Dual { value, slope };
        }
        self.problem.evaluate(x, residuals);
        self.problem.transpose(x, residuals, gradient);
        for (out, g) in out.iter_mut().zip(gradient.iter()) {
            *out = g.slope + g.slope;
        }
    }
}

impl<T: Scalar> Expansion<T> for SumOfSquaresAt<'_, T> {
    fn value(&self) -> f64 {
        kernels::dot(&self.residuals, &self.residuals)
    }

    fn gradient(&self, out: &mut [T]) {
        self.problem.transpose(self.x, &self.residuals, out);
        for g in out {
            *g += *g;
        }
    }
}
