//! Where a step comes from: remembered curvature, products at x, or, where those are not finite, what is left.
//!
//! Where the objective brings a preconditioner, that takes the place of remembered curvature: measured on logistic
//! regression, each is worth more alone than both together.
//!
//! The forcing term follows the nonlinearity that was met: with e = ‖g₊ − g − Mδ‖ / ‖g₊ − g‖ the next model is minimised
//! until what is left is min(0.1, e²) of its decrease; where e is rounding, until the gradient's tolerance is reached. This
//! is Eisenstat & Walker's first choice (SIAM J. Sci. Comput. 17 (1996)), squared since it bounds an energy and not a
//! residual.

use super::gain::Gain;
use super::in_units::UnitsOfSteps;
use super::memory::Plan;
use super::stationary::Steepest;
use crate::base::{Scalar, kernels};
use crate::control::{Evaluation, Globalisation, Look, Pending, Scales, Termination, norm_or_one, reach};
use crate::operator::Expansion;
use crate::step::{Accuracy, Indefinite, InnerSolver, InnerStop, RememberedModel, Resources, Solution, StepFamily};

/// The relative residual of steps that are taken as their formula has them.
const BARE_RESIDUAL: f64 = 1e-10;
/// The largest share of the model's decrease that an inner solve may leave; its root is that of the residual, where there is
/// no preconditioner to estimate the decrease by. With 0.03 problems of up to 60 unknowns take 2 % more calls, larger ones up to
/// 6 % by the solver, and a million unknowns of a PDE energy 16 %; with 0.3 as many as with 0.1.
const LOOSEST: f64 = 0.1;
/// The smallest such share: rounding has the say below.
const TIGHTEST: f64 = 1e-10;
/// A remembered step is taken where ‖g₊ − g − Mδ‖ was at most this fraction of ‖g₊ − g‖ …
const PREDICTED: f64 = 0.3;
/// … or where the last step left at most this fraction of the gradient …
const REDUCED: f64 = 0.5;
/// … or where steps keep a length, the last one was not the second choice and f fell by at least this fraction of what was
/// predicted (as keeps a trust region's radius), and remembered steps gain as much for their calls as products do.
const FAIR: f64 = 0.25;
/// The share of the gradient tolerance below which a residual is of no use.
const ENOUGH: f64 = 0.5;
/// Points in a row at which products are not finite.
const MOST_FAILURES: usize = 20;

/// A point, and what is known there.
pub(super) struct CurrentPoint<'a, T, E> {
    pub expansion: &'a E,
    pub x: &'a [T],
    pub value: f64,
    pub gradient: &'a [T],
    pub gradient_norm: f64,
    /// The gradient norm at which the run ends.
    pub tolerance: f64,
    /// Whether another product is allowed.
    pub more: &'a dyn Fn() -> bool,
    /// How many are, and the limit that says so.
    pub products_left: usize,
    pub limit: Termination,
}

/// The step family at x and the remembered model, and when to use which.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct StepSource<T> {
    inner: InnerSolver,
    pub family: StepFamily<T>,
    pub remembered: RememberedModel<T>,
    /// Mδ of the last proposal.
    pub product: Vec<T>,
    /// Whether the globalisation knows its scale.
    scaled: bool,
    /// Whether the next step may be taken from remembered curvature.
    pub trust_memory: bool,
    /// What steps gain, where they are of a length that has been good.
    gain: Option<Gain>,
    /// The share of the model's decrease that the next inner solve may leave.
    leave: f64,
    /// Whether the point before was left with the whole of its matrix, and that was positive definite, or that of this point
    /// has settled the run.
    pub remembers_all: bool,
    pub steepest: Steepest,
    /// What steps are measured in, with all that is remembered of them.
    pub units: UnitsOfSteps<T>,
    most_remembered: usize,
    /// How accurate solutions at this point are to be, if not as usual.
    pub look: Option<Look>,
    /// Points in a row at which products are not finite, and whether this is one.
    failures: usize,
    failed_here: bool,
    /// η of gradients, as it was found where products are differences of them; whether products give reason to ask for it, and
    /// whether it was asked for.
    pub accuracy: f64,
    pub doubtful: bool,
    pub measured: bool,
}

type Proposal = std::result::Result<(Solution, InnerStop), Termination>;

impl<T: Scalar> StepSource<T> {
    pub fn new(inner: InnerSolver, plan: Plan, dim: usize, keeps_length: bool) -> Self {
        StepSource {
            inner,
            family: StepFamily::new(dim, plan.columns),
            remembered: RememberedModel::new(dim, plan.remembered),
            product: vec![T::zero(); dim],
            scaled: false,
            trust_memory: false,
            gain: keeps_length.then_some(Gain::UNKNOWN),
            leave: LOOSEST,
            remembers_all: false,
            steepest: Steepest::new(dim),
            units: UnitsOfSteps::default(),
            most_remembered: plan.remembered,
            look: None,
            failures: 0,
            failed_here: false,
            accuracy: 0.0,
            doubtful: false,
            measured: false,
        }
    }

    /// Answers the globalisation's subproblem, from remembered curvature where that is trusted, otherwise from products
    /// at x. Unless it may `grow`, the space stays as it is, so that the same subproblem has the same solution.
    pub fn propose<E: Expansion<T>>(
        &mut self,
        here: &CurrentPoint<'_, T, E>,
        globalisation: &mut dyn Globalisation,
        grow: bool,
        step: &mut [T],
    ) -> Proposal {
        if self.trust_memory && self.scaled {
            if let Some(solution) = self.remembered_answer(here, globalisation, step) {
                return Ok((solution, InnerStop::Remembered));
            }
            self.trust_memory = false;
        }
        self.family.allow(self.family.products_made().saturating_add(here.products_left));
        if self.family.is_empty() && !self.failed_here && !(here.more)() {
            return Err(here.limit);
        }
        let fits = here.expansion.forming_cost() <= here.products_left;
        if self.family.is_empty() && self.inner == InnerSolver::Dense && !fits {
            return Err(here.limit);
        }
        if self.family.is_empty() && (self.failed_here || !self.enter(here, globalisation, fits)) {
            self.failed_here = true;
            return self.without_products(here, globalisation, step);
        }
        if !self.scaled {
            let curvature = self.family.first_curvature().abs();
            self.scale(here, globalisation, curvature);
        }
        let accuracy = if self.look == Some(Look::Accurate) {
            Accuracy { residual: T::epsilon_f64().sqrt(), energy: 0.0, enough: 0.0, truncated: false }
        } else if self.look == Some(Look::Rough) {
            Accuracy { residual: LOOSEST.sqrt(), energy: LOOSEST, enough: 0.0, truncated: true }
        } else if globalisation.bare() {
            let residual = BARE_RESIDUAL.max(4.0 * T::epsilon_f64());
            Accuracy { residual, energy: 0.0, enough: 0.0, truncated: false }
        } else {
            let enough = ENOUGH * here.tolerance;
            // As on a quadratic, where what is left undone has to be done again at the next point.
            let exact = self.leave <= TIGHTEST;
            let residual = if exact { enough / here.gradient_norm } else { self.leave.sqrt() };
            let energy = if exact { 0.0 } else { self.leave };
            Accuracy { residual: residual.min(LOOSEST.sqrt()), energy, enough, truncated: true }
        };
        let solved = loop {
            let subproblem = globalisation.subproblem();
            let solved = if grow {
                let resources = Resources { remembered: Some(&mut self.remembered), more: here.more };
                self.family.refine(here.expansion, here.gradient, subproblem, accuracy, resources)
            } else {
                self.family.solution(subproblem).map(|solution| (solution, InnerStop::Accurate))
            };
            match solved {
                Err(Indefinite { lowest }) if globalisation.convexify(lowest) => {}
                solved => break solved,
            }
        };
        match solved {
            Ok(proposal) => {
                self.family.step(step);
                self.family.product(&mut self.product);
                Ok(proposal)
            }
            Err(_) => self.without_products(here, globalisation, step),
        }
    }

    /// The remembered model's step and its product with that model; `None` if it promises no decrease.
    fn remembered_answer<E>(
        &mut self,
        here: &CurrentPoint<'_, T, E>,
        globalisation: &dyn Globalisation,
        step: &mut [T],
    ) -> Option<Solution> {
        let solution = self.remembered.solution(globalisation.subproblem(), here.gradient, step)?;
        (solution.decrease() > 0.0).then(|| {
            self.remembered.product(step, &mut self.product);
            solution
        })
    }

    /// Makes the first product at this point, or forms the matrix if that `fits` the limit; false if it is not finite.
    fn enter<E: Expansion<T>>(
        &mut self,
        here: &CurrentPoint<'_, T, E>,
        globalisation: &dyn Globalisation,
        fits: bool,
    ) -> bool {
        let entered = if fits && self.family.prefers_dense(self.inner, here.expansion) {
            self.family.form(here.expansion, here.gradient)
        } else {
            let StepSource { family, remembered, scaled, .. } = self;
            let first = |first: &mut [T]| {
                *scaled && remembered.solution(globalisation.subproblem(), here.gradient, first).is_some()
            };
            family.start(here.expansion, here.gradient, first, here.more)
        };
        self.failures = if entered { 0 } else { self.failures + 1 };
        entered
    }

    fn scale<E>(&mut self, here: &CurrentPoint<'_, T, E>, globalisation: &mut dyn Globalisation, curvature: f64) {
        let gradient_norm = here.gradient_norm;
        let (point, length) = (norm_or_one(here.x), gradient_norm / curvature);
        // Beside a step that is longer than x has digits, x is lost: there is next to no curvature.
        let length = match length {
            length if !(length.is_finite() && length > 0.0) => point,
            length if length * T::epsilon_f64() > point => length.min(reach(here.x, here.value, gradient_norm)),
            length => length,
        };
        globalisation.start(Scales { gradient_norm, length, point });
        self.scaled = true;
    }

    /// The solution where products are not finite: remembered curvature, or else steepest descent.
    fn without_products<E>(
        &mut self,
        here: &CurrentPoint<'_, T, E>,
        globalisation: &mut dyn Globalisation,
        step: &mut [T],
    ) -> Proposal {
        // What is taken as its formula has it is not replaced by anything else.
        if self.failures > MOST_FAILURES || globalisation.bare() {
            return Err(Termination::NotFinite(Evaluation::Product));
        }
        if !self.scaled {
            self.scale(here, globalisation, 0.0);
        }
        if self.remembered.is_empty() {
            self.remembered.set_complement(here.gradient_norm / norm_or_one(here.x));
        }
        self.remembered_answer(here, globalisation, step)
            .map(|solution| (solution, InnerStop::NotFinite))
            .ok_or(Termination::NotFinite(Evaluation::Product))
    }

    /// The run goes on with other scales: steps had become short for no reason.
    pub fn start_again(&mut self) {
        self.family.clear();
        (self.scaled, self.trust_memory) = (false, false);
    }

    /// The run goes on with products that are as right as gradients of this accuracy allow: what was remembered is not.
    pub fn learn_accuracy(&mut self, accuracy: f64) {
        self.accuracy = accuracy;
        self.units = UnitsOfSteps::default();
        self.forget_curvature();
        self.start_again();
    }

    fn forget_curvature(&mut self) {
        self.remembered = RememberedModel::new(self.dim(), self.most_remembered);
        self.gain = self.gain.map(|_| Gain::UNKNOWN);
        (self.trust_memory, self.leave) = (false, LOOSEST);
    }

    /// The run goes on far from here, where curvature and gradient have other scales, or in these units if there are any.
    pub fn leave_saddle(&mut self, units: Option<UnitsOfSteps<T>>) {
        self.family.clear();
        self.scaled = false;
        if let Some(units) = units.filter(|_| !self.family.is_preconditioned()) {
            self.units = units;
            self.forget_curvature();
        }
    }

    /// Whether a rejected step may be tried again with products at this point, which will say more than a shorter one.
    pub fn can_ask_for_products(&self) -> bool {
        self.trust_memory && self.family.is_empty()
    }

    /// Learns from a `step` that was taken, with what came of it: `change` is g₊ − g, and the gradient norm went from
    /// `before` to `after`. Forgets the point.
    pub fn learn(&mut self, step: &[T], change: &[T], pending: &Pending, rejected: usize, before: f64, after: f64) {
        let Pending { trial, inner, .. } = pending;
        let from_memory = *inner == InnerStop::Remembered;
        kernels::axpby(1.0, change, -1.0, &mut self.product);
        let error = kernels::norm(&self.product) / kernels::norm(change).max(f64::MIN_POSITIVE);
        // A preconditioner of the user's own knows more than what could be remembered.
        let remember = self.remembered.has_room() && !self.family.is_preconditioned();
        if remember {
            match self.family.matrix() {
                Some((matrix, unit)) => self.remembered.learn_matrix(matrix, unit),
                None => self.remembered.learn_space(self.family.krylov()),
            }
            self.remembered.learn(step, change);
        }
        if !from_memory {
            self.leave = (error * error).clamp(TIGHTEST, LOOSEST);
        }
        let products = (!from_memory).then(|| self.family.products_made());
        let worth = self.gain.as_mut().is_some_and(|gain| gain.learn(trial.predicted, products));
        let fair = worth && trial.ratio >= FAIR && rejected == 0;
        self.trust_memory = remember && (error <= PREDICTED || after <= REDUCED * before || fair);
        self.remembers_all = remember && self.family.is_whole() && self.family.lowest_ritz_value() > 0.0;
        self.doubtful = self.family.asymmetry() > T::epsilon_f64().powf(0.25);
        (self.failed_here, self.look) = (false, None);
        self.family.clear();
    }

    /// Storage in vectors of length d.
    pub fn vectors(&self) -> usize {
        1 + self.family.vectors() + self.remembered.vectors() + self.units.vectors()
    }

    /// d.
    pub fn dim(&self) -> usize {
        self.product.len()
    }
}
