//! One space for all questions at a point: grown until the answer is accurate, on whichever path is right.
//!
//! The Krylov path grows [`KrylovSpace`] by preconditioned residuals; when its memory is full, truncated conjugate
//! gradients go on from there and hand their result back to the space. The dense path forms the matrix. Either way an
//! answer to another question costs no product, unless it is not accurate enough: then the space grows further.

use super::conjugate_gradient::{ConjugateGradient, Truncation};
use super::dense::DenseModel;
use super::krylov::{Growth, KrylovSpace};
use super::remembered::RememberedModel;
use super::spectral::{Answer, Indefinite, Question};
use crate::base::{CallbackError, Scalar, kernels, space};
use crate::operator::SymmetricOperator;

/// Unknowns up to which the dense path is considered: an eigendecomposition takes about 30 ms at 512 (`cargo bench`,
/// group `dense`), and 0.25 s at 1024.
pub const DENSE_LIMIT: usize = 512;
/// The residual, relative to ‖g‖, that no estimate by a preconditioner excuses: it may be a bad one. (Dembo & Steihaug,
/// Math. Program. 26 (1983), take the same bound on their forcing terms.)
const LARGEST_RESIDUAL: f64 = 0.5;
/// Runs of conjugate gradients for one answer, each with the shift of the answer before.
const CONTINUATIONS: usize = 20;
/// A space of k dimensions grows by k/16 more between two looks at its answer.
const LOOK: usize = 16;
/// Columns that the space keeps free for conjugate gradients, where memory is shorter than d.
const SPARE: usize = 2;

/// Which path answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Inner {
    /// Dense where d ≤ 512 and forming the matrix costs less than the products that the Krylov path lately took
    /// ([`forming_cost`](crate::SymmetricOperator::forming_cost)); Krylov otherwise. For least squares see
    /// [`LevenbergMarquardt::inner`](crate::LevenbergMarquardt::inner).
    #[default]
    Automatic,
    /// A stored Krylov space, and conjugate gradients beyond its memory.
    Krylov,
    /// The matrix is formed: d products or what `forming_cost` says, and 4d² numbers. Not where x is spread over ranks
    /// ([`distributed`](crate::distributed)).
    Dense,
}

/// How an inner solve ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum InnerStop {
    /// The residual or the model's remaining decrease is small enough.
    Accurate,
    /// The space is invariant or as large as it can be: nothing more can be gained.
    Exhausted,
    /// The matrix was formed and factored.
    Dense,
    /// The step was taken from remembered curvature; no product.
    Remembered,
    /// There was nothing to solve: the inverse of the metric is at hand.
    ClosedForm,
    /// No more products were allowed.
    Limit,
    /// A product was not finite; the answer is the best without it.
    NotFinite,
}

/// When an answer is accurate enough.
#[derive(Clone, Copy, Debug)]
pub struct Accuracy {
    /// ‖r‖ ≤ `residual` ‖g‖, with r = (M + λI)δ + g.
    pub residual: f64,
    /// With a preconditioner P, instead: rᵀP⁻¹r ≤ 2 `energy` × the model's decrease, an estimate of what a larger space
    /// would add to it, and ‖r‖ ≤ ½‖g‖. 0 leaves only the residual test.
    pub energy: f64,
    /// Accurate in any case: ‖r‖ ≤ this.
    pub enough: f64,
    /// Whether what conjugate gradients bring home is good enough where they leave the trust region or meet negative
    /// curvature (Steihaug), as it is in an outer loop.
    pub truncated: bool,
}

/// What an inner solve needs from outside: remembered curvature, and how many products it may make.
pub struct Resources<'r, T> {
    pub remembered: Option<&'r mut RememberedModel<T>>,
    /// Whether another product is allowed; asked before each.
    pub more: &'r dyn Fn() -> bool,
}

/// The paths and their workspaces.
pub struct StepFamily<T> {
    dim: usize,
    /// d, which is more than `dim` where that is one rank's part.
    whole: usize,
    /// Columns the space may use before conjugate gradients take over.
    columns: usize,
    krylov: KrylovSpace<T>,
    dense: Option<DenseModel<T>>,
    conjugate_gradient: Option<ConjugateGradient<T>>,
    residual: Vec<T>,
    /// Whether the operator has a preconditioner of its own.
    preconditioned: bool,
    /// Whether the answers come from `dense` at this point.
    on_dense: bool,
    /// Products that the last inner solves took, a moving average.
    expected: f64,
    made: usize,
}

impl<T: Scalar> StepFamily<T> {
    /// Room for `columns` basis vectors and their products.
    pub fn new(dim: usize, columns: usize) -> Self {
        let whole = space::whole(dim);
        let capacity = if columns >= whole { whole } else { (columns.max(1) + SPARE).min(whole) };
        StepFamily {
            dim,
            whole,
            columns: columns.clamp(1, whole),
            krylov: KrylovSpace::new(dim, capacity),
            dense: None,
            conjugate_gradient: None,
            residual: vec![T::zero(); dim],
            preconditioned: false,
            on_dense: false,
            expected: 8.0,
            made: 0,
        }
    }

    /// Whether the space is all there is.
    pub fn is_whole(&self) -> bool {
        self.on_dense || self.krylov.len() == self.whole
    }

    /// Forgets the point: call when x or g has changed.
    pub fn clear(&mut self) {
        if self.made > 0 && !self.on_dense {
            self.expected = 0.5 * (self.expected + self.made as f64);
        }
        self.krylov.clear();
        self.on_dense = false;
        self.made = 0;
    }

    /// Whether anything is known of M at this point.
    pub fn is_empty(&self) -> bool {
        self.krylov.len() == 0 && !self.on_dense
    }

    /// Whether the operator turned out to have a preconditioner of its own.
    pub fn is_preconditioned(&self) -> bool {
        self.preconditioned
    }

    /// Whether the dense path is right for this operator.
    pub fn prefers_dense(&self, inner: Inner, operator: &impl SymmetricOperator<T>) -> bool {
        match inner {
            _ if space::in_parts() => false,
            Inner::Krylov => false,
            Inner::Dense => true,
            Inner::Automatic => {
                let cost = operator.forming_cost();
                self.dim <= DENSE_LIMIT && cost < self.dim && cost as f64 <= self.expected
            }
        }
    }

    /// Forms the matrix, once for a point; false if it is not finite.
    pub fn form(&mut self, operator: &impl SymmetricOperator<T>, gradient: &[T]) -> bool {
        let dim = self.dim;
        self.made += operator.forming_cost();
        self.on_dense = self.dense.get_or_insert_with(|| DenseModel::new(dim)).form(operator, gradient);
        self.on_dense
    }

    /// Makes the space of one dimension. Its direction is P⁻¹g where the operator has a preconditioner, otherwise what
    /// `first` writes, otherwise g. False if no finite product could be had; a second is tried if `more` allows it.
    pub fn start(
        &mut self,
        operator: &impl SymmetricOperator<T>,
        gradient: &[T],
        first: impl FnOnce(&mut [T]) -> bool,
        more: &dyn Fn() -> bool,
    ) -> bool {
        self.krylov.direction().copy_from_slice(gradient);
        self.preconditioned = operator.precondition(0.0, self.krylov.direction());
        let known = self.preconditioned && kernels::norm(self.krylov.direction()) > 0.0;
        if !known && !first(self.krylov.direction()) {
            self.krylov.direction().copy_from_slice(gradient);
        }
        let mut growth = self.grow(operator, gradient);
        if growth == Growth::Dependent || growth == Growth::NotFinite && more() {
            self.krylov.direction().copy_from_slice(gradient);
            growth = self.grow(operator, gradient);
        }
        growth == Growth::Grown
    }

    fn grow(&mut self, operator: &impl SymmetricOperator<T>, gradient: &[T]) -> Growth {
        let growth = self.krylov.grow(operator, gradient);
        self.made += usize::from(growth != Growth::Dependent);
        growth
    }

    /// Answers `question`, enlarging the space until the answer is accurate. Expects [`start`](Self::start) or
    /// [`form`](Self::form) to have succeeded.
    pub fn refine(
        &mut self,
        operator: &impl SymmetricOperator<T>,
        gradient: &[T],
        question: Question,
        accuracy: Accuracy,
        mut resources: Resources<'_, T>,
    ) -> Result<(Answer, InnerStop), Indefinite> {
        if self.on_dense {
            return Ok((self.answer(question)?, InnerStop::Dense));
        }
        let size = kernels::norm(gradient);
        let mut shift = 0.0;
        let mut next_look = 0;
        let mut continuations = 0;
        loop {
            // An answer costs O(k³): large spaces grow by several dimensions between two looks.
            let k = self.krylov.len();
            if k < next_look && k < self.columns {
                if !(resources.more)() {
                    next_look = k;
                    continue;
                }
                self.krylov.point_to_newest_product(shift);
                precondition(operator, &mut resources, shift, self.krylov.direction());
                if self.grow(operator, gradient) != Growth::Grown {
                    next_look = k;
                }
                continue;
            }
            next_look = k + 1 + k / LOOK;
            let answer = self.krylov.answer(question)?;
            shift = answer.shift;
            let negative = self.krylov.ritz_values()[0] < 0.0;
            if negative && matches!(question, Question::SaddleFree(_)) {
                return Ok((answer, InnerStop::Accurate));
            }
            let alpha = match question {
                // gᵀδ = −α gᵀM⁻¹g and δᵀMδ = α² gᵀM⁻¹g
                Question::MetricBall(_) | Question::SaddleFree(_) => answer.curvature / -answer.slope,
                _ => 1.0,
            };
            let alpha = if alpha > 0.0 { alpha } else { 1.0 };
            let residual = self.krylov.residual(alpha, answer.shift, gradient);
            // Without a gradient the step is along the lowest eigenvector, and λδ is the scale.
            let size = if size > 0.0 { size } else { answer.shift * answer.norm };
            if self.krylov.len() == self.whole || residual <= 4.0 * T::epsilon_f64() * size {
                return Ok((answer, InnerStop::Exhausted));
            }
            self.residual.copy_from_slice(self.krylov.direction());
            let preconditioned = precondition(operator, &mut resources, answer.shift, self.krylov.direction());
            let accurate = if preconditioned && accuracy.energy > 0.0 {
                let left = kernels::dot(&self.residual, self.krylov.direction());
                residual <= LARGEST_RESIDUAL * size && left <= 2.0 * accuracy.energy * answer.decrease()
            } else {
                residual <= accuracy.residual * size
            };
            let close = continuations > 0 && residual <= accuracy.residual * size;
            if accurate || close || residual <= accuracy.enough {
                return Ok((answer, InnerStop::Accurate));
            }
            if !(resources.more)() {
                return Ok((answer, InnerStop::Limit));
            }
            if self.krylov.len() >= self.columns {
                if continuations == CONTINUATIONS {
                    return Ok((answer, InnerStop::Limit));
                }
                continuations += 1;
                let tolerance = (0.5 * accuracy.residual * size).max(accuracy.enough);
                match self.go_on(operator, gradient, question, answer, tolerance, resources.more) {
                    Truncation::Accurate => continue,
                    Truncation::NegativeCurvature | Truncation::Outside if !accuracy.truncated => continue,
                    Truncation::NegativeCurvature | Truncation::Outside => {
                        return Ok((self.krylov.answer(question)?, InnerStop::Accurate));
                    }
                    Truncation::Exhausted => return Ok((self.krylov.answer(question)?, InnerStop::Limit)),
                    Truncation::NotFinite => return Ok((self.krylov.answer(question)?, InnerStop::NotFinite)),
                }
            }
            match self.grow(operator, gradient) {
                Growth::Grown => {}
                Growth::NotFinite => return Ok((answer, InnerStop::NotFinite)),
                Growth::Dependent => {
                    // The preconditioned direction brings nothing; the residual itself is orthogonal to the space.
                    self.krylov.direction().copy_from_slice(&self.residual);
                    match self.grow(operator, gradient) {
                        Growth::Grown => {}
                        Growth::NotFinite => return Ok((answer, InnerStop::NotFinite)),
                        Growth::Dependent => return Ok((answer, InnerStop::Exhausted)),
                    }
                }
            }
        }
    }

    /// Conjugate gradients from the residual of the last answer; their result becomes two more basis vectors. Remembered
    /// curvature does not precondition them: unlike the stored space they have no safeguard against a bad one.
    fn go_on(
        &mut self,
        operator: &impl SymmetricOperator<T>,
        gradient: &[T],
        question: Question,
        answer: Answer,
        tolerance: f64,
        more: &dyn Fn() -> bool,
    ) -> Truncation {
        let dim = self.dim;
        let radius = if let Question::Radius(radius) = question { radius } else { f64::INFINITY };
        let cg = self.conjugate_gradient.get_or_insert_with(|| ConjugateGradient::new(dim));
        if self.krylov.len() > self.columns {
            // A further run: what the last one found lives on in the step that it led to.
            self.krylov.step(&mut cg.z);
            self.krylov.product(&mut cg.product);
            self.krylov.truncate(self.columns);
            self.krylov.adopt(&mut cg.z, &mut cg.product, gradient);
        }
        let shift = answer.shift;
        let made = std::cell::Cell::new(self.made);
        let counted = CountingView { operator, made: &made };
        let truncation =
            cg.solve(&counted, shift, &self.residual, tolerance, radius, |r| operator.precondition(shift, r), more);
        self.made = made.get();
        // Mz = (r − r₀) − λz
        kernels::axpby(-1.0, &self.residual, 1.0, &mut cg.r);
        kernels::axpy(-shift, &cg.z, &mut cg.r);
        if truncation != Truncation::NotFinite {
            self.krylov.adopt(&mut cg.z, &mut cg.r, gradient);
            self.krylov.adopt(&mut cg.p, &mut cg.product, gradient);
        }
        truncation
    }

    /// Answers `question` in the space as it is. No product.
    pub fn answer(&mut self, question: Question) -> Result<Answer, Indefinite> {
        match &mut self.dense {
            Some(dense) if self.on_dense => dense.answer(question),
            _ => self.krylov.answer(question),
        }
    }

    /// δ for the last answer.
    pub fn step(&self, step: &mut [T]) {
        match &self.dense {
            Some(dense) if self.on_dense => dense.step(step),
            _ => self.krylov.step(step),
        }
    }

    /// Mδ for the last answer.
    pub fn product(&self, out: &mut [T]) {
        match &self.dense {
            Some(dense) if self.on_dense => dense.product(out),
            _ => self.krylov.product(out),
        }
    }

    /// ‖(M + λI)δ + g‖ for the last answer.
    pub fn residual_norm(&mut self, answer: &Answer, gradient: &[T]) -> f64 {
        match &self.dense {
            Some(dense) if self.on_dense => {
                let (step, out) = (self.krylov.direction(), &mut self.residual);
                dense.step(step);
                dense.product(out);
                kernels::axpy(answer.shift, step, out);
                kernels::axpy(1.0, gradient, out);
                kernels::norm(out)
            }
            _ => self.krylov.residual(1.0, answer.shift, gradient),
        }
    }

    /// Ritz values, or eigenvalues on the dense path, in rising order.
    pub fn ritz_values(&mut self) -> &[f64] {
        match &mut self.dense {
            Some(dense) if self.on_dense => dense.eigenvalues(),
            _ => self.krylov.ritz_values(),
        }
    }

    /// The curvature along the first direction of the space, on the dense path along g.
    pub fn first_curvature(&mut self) -> f64 {
        match &self.dense {
            Some(dense) if self.on_dense => dense.curvature(),
            _ => self.krylov.ritz_values().first().copied().unwrap_or(0.0),
        }
    }

    /// The unit direction of lowest curvature known, and that curvature.
    pub fn lowest_direction(&mut self, out: &mut [T]) -> Option<f64> {
        match &mut self.dense {
            Some(dense) if self.on_dense => dense.lowest_direction(out),
            _ => self.krylov.lowest_direction(out),
        }
    }

    /// How far from symmetric the operator showed itself, relative to its size.
    pub fn asymmetry(&self) -> f64 {
        match &self.dense {
            Some(dense) if self.on_dense => dense.asymmetry,
            _ => self.krylov.asymmetry,
        }
    }

    /// Products made at this point.
    pub fn products_made(&self) -> usize {
        self.made
    }

    /// The basis and its products, for [`RememberedModel::learn`]; empty on the dense path.
    pub fn krylov(&mut self) -> &mut KrylovSpace<T> {
        &mut self.krylov
    }

    /// Storage in vectors of length d.
    pub fn vectors(&self) -> usize {
        let capacity = if self.columns == self.whole { self.whole } else { self.columns + SPARE };
        let dense = if self.dense.is_some() { 4 * self.dim } else { 0 };
        2 * capacity + 2 + if self.conjugate_gradient.is_some() { 5 } else { 0 } + dense
    }
}

/// r ← P⁻¹r with the operator's own preconditioner, or else with the remembered one; false if there is neither.
fn precondition<T: Scalar>(
    operator: &impl SymmetricOperator<T>,
    resources: &mut Resources<'_, T>,
    shift: f64,
    r: &mut [T],
) -> bool {
    if operator.precondition(shift, r) {
        return true;
    }
    match &mut resources.remembered {
        Some(model) if !model.is_empty() => {
            model.precondition(shift, r);
            true
        }
        _ => false,
    }
}

/// Counts the products of one inner solve.
struct CountingView<'c, M> {
    operator: &'c M,
    made: &'c std::cell::Cell<usize>,
}

impl<T, M: SymmetricOperator<T>> SymmetricOperator<T> for CountingView<'_, M> {
    fn dim(&self) -> usize {
        self.operator.dim()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.made.set(self.made.get() + 1);
        self.operator.apply(v, out);
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.operator.take_error()
    }
}
