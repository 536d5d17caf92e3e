//! Data dealt out over ranks, while every rank has all parameters.
//!
//!   f(x) = Σᵣ wᵣfᵣ(x),   ∇f = Σᵣ wᵣ∇fᵣ,   Mv = Σᵣ wᵣMᵣv,   Jᵀu = Σᵣ Jᵣᵀuᵣ
//!
//! where rank r only knows fᵣ, or its rows Jᵣ of the Jacobian. One sum over the ranks for each answer: of one number for
//! a value, of two with a divergence, of d for a gradient, of dk for k products at once.
//!
//! A callback that fails on one rank fails on all: a flag goes along with every sum, and with Jv and residuals one of its
//! own. Whoever runs a solver on the sum
//! does so in [`distributed`](crate::ranks::distributed) with [`Slices::Residuals`](crate::ranks::Slices::Residuals).

use std::cell::RefCell;
use std::rc::Rc;

use super::{
    Around, Expansion, LinearMap, Linearization, Model, Objective, SampledObjective, StructuralDamping,
    SymmetricOperator, forward,
};
use crate::base::{CallbackError, Communicator, ErrorSlot, Scalar, space};

/// The ranks, room to add up in, and the error that ended their work.
struct Ranks {
    all: Rc<dyn Communicator>,
    room: RefCell<Vec<f64>>,
    errors: ErrorSlot,
}

impl Ranks {
    fn new(all: Rc<dyn Communicator>) -> Self {
        Ranks { all, room: RefCell::default(), errors: ErrorSlot::new() }
    }

    /// numbers ← Σᵣ wᵣ numbersᵣ; NaN on all ranks if the callback failed on one, which costs no further sum.
    fn add_up<T: Scalar>(&self, weight: f64, numbers: &mut [T], error: Option<CallbackError>) {
        let mut room = self.room.borrow_mut();
        room.clear();
        room.extend(numbers.iter().map(|&number| weight * number.into()));
        room.push(f64::from(error.is_some()));
        space::sum(&*self.all, &mut room[..]);
        space::count_reduction();
        let failed = room.pop() != Some(0.0);
        numbers.iter_mut().zip(&*room).for_each(|(number, &sum)| *number = T::from_f64(sum));
        if failed {
            self.store(error);
            numbers.fill(T::nan());
        }
    }

    /// norms ← (Σᵣ normsᵣ²)^½, without overflow or underflow in the squares.
    fn norms<T: Scalar>(&self, norms: &mut [T], error: Option<CallbackError>) {
        let mut largest: Vec<f64> = norms.iter().map(|&norm| norm.into()).collect();
        largest.iter_mut().for_each(|norm| *norm = if norm.is_nan() { f64::INFINITY } else { *norm });
        self.all.largest(&mut largest);
        space::count_reduction();
        largest.iter_mut().for_each(|size| *size = if *size > 0.0 && size.is_finite() { *size } else { 1.0 });
        for (norm, &size) in norms.iter_mut().zip(&largest) {
            *norm = T::from_f64((Into::<f64>::into(*norm) / size).powi(2));
        }
        self.add_up(1.0, norms, error);
        for (norm, &size) in norms.iter_mut().zip(&largest) {
            *norm = T::from_f64(Into::<f64>::into(*norm).sqrt() * size);
        }
    }

    /// The worst relative error that any rank's part promises to stay below.
    fn accuracy(&self, accuracy: Option<f64>) -> Option<f64> {
        let mut worst = [accuracy.unwrap_or(0.0)];
        self.all.largest(&mut worst);
        space::count_reduction();
        (worst[0] > 0.0).then_some(worst[0])
    }

    /// As [`add_up`](Self::add_up) with the weights in the numbers.
    fn sums<const N: usize>(&self, mut numbers: [f64; N], error: Option<CallbackError>) -> [f64; N] {
        self.add_up(1.0, &mut numbers, error);
        numbers
    }

    /// Keeps this rank's error, or says which other's it was.
    #[cold]
    fn store(&self, error: Option<CallbackError>) {
        let mut rank = [if error.is_some() { 1.0 + self.all.rank() as f64 } else { 0.0 }];
        self.all.largest(&mut rank);
        let other = || CallbackError::new(format!("it was on rank {}", rank[0] - 1.0));
        self.errors.store(error.unwrap_or_else(other));
    }
}

/// What is local to a rank, summed over the ranks: an [`Objective`] for each rank's objective, a [`SampledObjective`]
/// whose batches are dealt out, a [`Model`] with the rows of all.
///
/// Calls are collective, as those of the [`Communicator`]. A preconditioner of the local part is not used, since it would
/// be another one on every rank; give one to the sum.
///
/// ```
/// use std::rc::Rc;
/// use newton_krylov::{Objective, objective};
/// use newton_krylov::ranks::{Communicator, Summed};
/// # struct Alone;
/// # impl Communicator for Alone {
/// #     fn rank(&self) -> usize { 0 }
/// #     fn size(&self) -> usize { 1 }
/// #     fn sum(&self, _: &mut [f64]) {}
/// #     fn largest(&self, _: &mut [f64]) {}
/// # }
/// # let ranks = Rc::new(Alone);
///
/// // With the MPI communicator in the place of `ranks`, and each rank's own numbers.
/// let numbers = [1.0, 3.0];
/// let local = objective(
///     1,
///     |x: &[f64]| numbers.iter().map(|y| 0.5 * (x[0] - y).powi(2)).sum::<f64>(),
///     |x, g| g[0] = numbers.iter().map(|y| x[0] - y).sum(),
///     |_, v, hv| hv[0] = v[0] * numbers.len() as f64,
/// );
/// assert_eq!(Summed::new(ranks, local).value(&[2.0]), 1.0);
/// ```
pub struct Summed<O> {
    ranks: Ranks,
    /// `None` on a rank that has no sample of a batch.
    local: Option<O>,
    weight: f64,
    dim: usize,
}

impl<O> Summed<O> {
    /// Σᵣ of the ranks' objectives or sampled objectives, or the model with the rows of all; every rank has some.
    pub fn new(ranks: Rc<dyn Communicator>, local: O) -> Self {
        Summed { ranks: Ranks::new(ranks), local: Some(local), weight: 1.0, dim: 0 }
    }

    /// The mean over the samples of all ranks of objectives that are means over each rank's `samples`, as those of
    /// [`fit`](crate::fit) are: wᵣ = nᵣ/Σn. Costs one sum over the ranks.
    pub fn mean(ranks: Rc<dyn Communicator>, local: O, samples: usize) -> Self {
        let mut sum = Summed::new(ranks, local);
        sum.weight = samples as f64 / sum.ranks.sums([samples as f64], None)[0];
        sum
    }

    /// What this rank has.
    pub fn local(&self) -> &O {
        self.local.as_ref().expect("only batches have no local part, and nobody has those but the solvers")
    }
}

impl<T: Scalar, O: Objective<T>> Objective<T> for Summed<O> {
    fn dim(&self) -> usize {
        self.local.as_ref().map_or(self.dim, |local| local.dim())
    }
    fn value(&self, x: &[T]) -> f64 {
        let value = self.local.as_ref().map_or(0.0, |local| local.value(x));
        self.ranks.sums([self.weight * value], self.local.as_ref().and_then(|local| local.take_error()))[0]
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.ranks.errors.take()
    }
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        let inner = self.local.as_ref().map(|local| local.expand(x));
        SummedExpansion { inner, ranks: &self.ranks, weight: self.weight, dim: Objective::<T>::dim(self) }
    }
}

/// Every rank takes its share of a batch, those of rank r behind those of rank r − 1; so every rank must be able to read
/// every sample. The shares differ by one sample at most.
impl<T: Scalar, S: SampledObjective<T>> SampledObjective<T> for Summed<S> {
    fn dim(&self) -> usize {
        self.local().dim()
    }
    fn samples(&self) -> usize {
        self.local().samples()
    }
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Objective<T> + 'a {
        let (rank, size, count) = (self.ranks.all.rank(), self.ranks.all.size(), samples.len());
        let share = &samples[count * rank / size..count * (rank + 1) / size];
        Summed {
            ranks: Ranks::new(self.ranks.all.clone()),
            local: (!share.is_empty()).then(|| self.local().batch(share)),
            weight: share.len() as f64 / count as f64,
            dim: SampledObjective::<T>::dim(self),
        }
    }
}

/// An expansion of each rank's part.
struct SummedExpansion<'a, E> {
    inner: Option<E>,
    ranks: &'a Ranks,
    weight: f64,
    dim: usize,
}

impl<E> SummedExpansion<'_, E> {
    /// out ← Σᵣ wᵣ of what `local` writes there.
    fn add_up<T: Scalar>(&self, out: &mut [T], local: impl FnOnce(&E, &mut [T]))
    where
        E: SymmetricOperator<T>,
    {
        match &self.inner {
            Some(inner) => local(inner, out),
            None => out.fill(T::zero()),
        }
        self.ranks.add_up(self.weight, out, self.error());
    }

    /// What went wrong on this rank.
    fn error<T>(&self) -> Option<CallbackError>
    where
        E: SymmetricOperator<T>,
    {
        self.inner.as_ref().and_then(|inner| inner.take_error())
    }
}

impl<T: Scalar, E: SymmetricOperator<T>> SymmetricOperator<T> for SummedExpansion<'_, E> {
    forward!(fields; dim);
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.add_up(out, |inner, out| inner.apply(v, out));
    }
    fn apply_block(&self, v: &[T], out: &mut [T]) {
        self.add_up(out, |inner, out| inner.apply_block(v, out));
    }
    fn form(&self, matrix: &mut [T]) {
        self.add_up(matrix, |inner, matrix| inner.form(matrix));
    }
    fn accuracy(&self) -> Option<f64> {
        self.ranks.accuracy(self.inner.as_ref().and_then(|inner| inner.accuracy()))
    }
    fn learn_accuracy(&self, accuracy: f64) {
        self.inner.iter().for_each(|inner| inner.learn_accuracy(accuracy));
    }
    fn evaluations(&self) -> usize {
        self.inner.as_ref().map_or(0, |inner| inner.evaluations())
    }
    fn evaluations_ahead(&self) -> usize {
        self.inner.as_ref().map_or(0, |inner| inner.evaluations_ahead())
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.ranks.errors.take()
    }
}

impl<T: Scalar, E: Expansion<T>> Expansion<T> for SummedExpansion<'_, E> {
    fn value(&self) -> f64 {
        let value = self.inner.as_ref().map_or(0.0, |inner| inner.value());
        self.ranks.sums([self.weight * value], self.error())[0]
    }
    fn gradient(&self, out: &mut [T]) {
        self.add_up(out, |inner, out| inner.gradient(out));
    }
    fn value_and_divergence(&self, y: &[T]) -> Option<(f64, f64)> {
        // Ranks without a sample do not know whether the others have a divergence: the third number tells.
        let local = self.inner.as_ref().map(|inner| inner.value_and_divergence(y));
        let missing = f64::from(local == Some(None));
        let (value, divergence) = local.flatten().unwrap_or_default();
        let [value, divergence, missing] =
            self.ranks.sums([self.weight * value, self.weight * divergence, missing], self.error());
        (missing <= 0.0 || missing.is_nan()).then_some((value, divergence))
    }
    fn structural_damping(&self) -> Option<&dyn StructuralDamping<T>> {
        let missing = self.inner.as_ref().is_some_and(|inner| inner.structural_damping().is_none());
        (self.ranks.sums([f64::from(missing)], None) == [0.0]).then_some(self)
    }
}

impl<T: Scalar, E: Expansion<T>> StructuralDamping<T> for SummedExpansion<'_, E> {
    fn damped_product(&self, damping: f64, v: &[T], out: &mut [T]) {
        self.add_up(out, |inner, out| {
            if let Some(structural) = inner.structural_damping() {
                structural.damped_product(damping, v, out);
            }
        });
    }
}

/// Outputs and Jv are this rank's rows. For [`LeastSquares`](crate::LeastSquares).
impl<T: Scalar, M: Model<T>> Model<T> for Summed<M> {
    fn dim(&self) -> usize {
        self.local().dim()
    }
    fn output_dim(&self) -> usize {
        self.local().output_dim()
    }
    fn evaluate(&self, x: &[T], out: &mut [T]) {
        self.local().evaluate(x, out);
        self.ranks.sums([], self.local().take_error());
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.ranks.errors.take()
    }
    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a {
        Rows { inner: self.local().linearize(x), ranks: &self.ranks }
    }
    fn linearize_within<'a>(&'a self, x: &'a [T], around: Around<'a, T>) -> impl Linearization<T> + 'a {
        Rows { inner: self.local().linearize_within(x, around), ranks: &self.ranks }
    }
}

/// Each rank's rows of a Jacobian.
struct Rows<'a, L> {
    inner: L,
    ranks: &'a Ranks,
}

impl<T: Scalar, L: LinearMap<T>> LinearMap<T> for Rows<'_, L> {
    forward!(self.inner; rows, columns, forming_cost, count_passes);
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.inner.apply(v, out);
        self.ranks.sums([], self.inner.take_error());
    }
    fn apply_transpose(&self, u: &[T], out: &mut [T]) {
        self.inner.apply_transpose(u, out);
        self.ranks.add_up(1.0, out, self.inner.take_error());
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.ranks.errors.take()
    }
    fn column_norms(&self, out: &mut [T]) -> bool {
        let known = self.inner.column_norms(out);
        if known {
            self.ranks.norms(out, self.inner.take_error());
        }
        known
    }
    fn accuracy(&self) -> Option<f64> {
        self.ranks.accuracy(self.inner.accuracy())
    }
}

impl<T: Scalar, L: Linearization<T>> Linearization<T> for Rows<'_, L> {
    fn outputs(&self) -> &[T] {
        self.inner.outputs()
    }
}
