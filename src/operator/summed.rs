//! Data dealt out over ranks, while every rank has all parameters.
//!
//!   f(x) = Σᵣ wᵣfᵣ(x),   ∇f = Σᵣ wᵣ∇fᵣ,   Mv = Σᵣ wᵣMᵣv,   Jᵀu = Σᵣ Jᵣᵀuᵣ
//!
//! where rank r only knows fᵣ, or its rows Jᵣ of the Jacobian. One sum over the ranks for each answer: of one number for
//! a value, of two with a divergence, of d for a gradient, of dk for k products at once. Whoever runs a solver on the sum
//! does so in [`distributed`](crate::distributed) with [`Slices::Residuals`](crate::Slices::Residuals).

use std::cell::RefCell;
use std::rc::Rc;

use super::{Expansion, LinearMap, Linearization, Model, Objective, SampledObjective, SymmetricOperator};
use crate::base::{Communicator, Scalar};

/// The ranks, and room to add up in.
#[derive(Clone)]
struct Ranks {
    all: Rc<dyn Communicator>,
    room: RefCell<Vec<f64>>,
}

impl Ranks {
    /// numbers ← Σᵣ wᵣ numbersᵣ.
    fn add_up<T: Scalar>(&self, weight: f64, numbers: &mut [T]) {
        let mut room = self.room.borrow_mut();
        room.clear();
        room.extend(numbers.iter().map(|&number| weight * number.into()));
        self.all.sum(&mut room);
        numbers.iter_mut().zip(&*room).for_each(|(number, &sum)| *number = T::from_f64(sum));
    }

    fn value(&self, weight: f64, value: f64) -> f64 {
        let mut sum = [weight * value];
        self.all.sum(&mut sum);
        sum[0]
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
/// use newton_krylov::{Communicator, Objective, Summed, objective};
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
        Summed { ranks: Ranks { all: ranks, room: RefCell::default() }, local: Some(local), weight: 1.0, dim: 0 }
    }

    /// The mean over the samples of all ranks of objectives that are means over each rank's `samples`, as those of
    /// [`fit`](crate::fit) are: wᵣ = nᵣ/Σn. Costs one sum over the ranks.
    pub fn mean(ranks: Rc<dyn Communicator>, local: O, samples: usize) -> Self {
        let mut sum = Summed::new(ranks, local);
        sum.weight = samples as f64 / sum.ranks.value(1.0, samples as f64);
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
        self.ranks.value(self.weight, self.local.as_ref().map_or(0.0, |local| local.value(x)))
    }
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        let inner = self.local.as_ref().map(|local| local.expand(x));
        At { inner, ranks: &self.ranks, weight: self.weight, dim: Objective::<T>::dim(self) }
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
            ranks: self.ranks.clone(),
            local: (!share.is_empty()).then(|| self.local().batch(share)),
            weight: share.len() as f64 / count as f64,
            dim: SampledObjective::<T>::dim(self),
        }
    }
}

/// An expansion of each rank's part.
struct At<'a, E> {
    inner: Option<E>,
    ranks: &'a Ranks,
    weight: f64,
    dim: usize,
}

impl<E> At<'_, E> {
    /// out ← Σᵣ wᵣ of what `local` writes there.
    fn add_up<T: Scalar>(&self, out: &mut [T], local: impl FnOnce(&E, &mut [T])) {
        match &self.inner {
            Some(inner) => local(inner, out),
            None => out.fill(T::zero()),
        }
        self.ranks.add_up(self.weight, out);
    }
}

impl<T: Scalar, E: SymmetricOperator<T>> SymmetricOperator<T> for At<'_, E> {
    fn dim(&self) -> usize {
        self.dim
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.add_up(out, |inner, out| inner.apply(v, out));
    }
    fn apply_block(&self, v: &[T], out: &mut [T]) {
        self.add_up(out, |inner, out| inner.apply_block(v, out));
    }
    fn form(&self, matrix: &mut [T]) {
        self.add_up(matrix, |inner, matrix| inner.form(matrix));
    }
}

impl<T: Scalar, E: Expansion<T>> Expansion<T> for At<'_, E> {
    fn value(&self) -> f64 {
        self.ranks.value(self.weight, self.inner.as_ref().map_or(0.0, |inner| inner.value()))
    }
    fn gradient(&self, out: &mut [T]) {
        self.add_up(out, |inner, out| inner.gradient(out));
    }
    fn value_and_divergence(&self, y: &[T]) -> Option<(f64, f64)> {
        // Ranks without a sample do not know whether the others have a divergence: the third number tells.
        let local = self.inner.as_ref().map(|inner| inner.value_and_divergence(y));
        let missing = f64::from(local == Some(None));
        let (value, divergence) = local.flatten().unwrap_or_default();
        let mut sums = [self.weight * value, self.weight * divergence, missing];
        self.ranks.all.sum(&mut sums);
        (sums[2] == 0.0).then_some((sums[0], sums[1]))
    }
    fn structural_product(&self, damping: f64, v: &[T], out: &mut [T]) -> bool {
        let missing = match &self.inner {
            Some(inner) => !inner.structural_product(damping, v, out),
            None => false,
        };
        if self.inner.is_none() {
            out.fill(T::zero());
        }
        if self.ranks.value(1.0, f64::from(missing)) > 0.0 {
            return false;
        }
        self.ranks.add_up(self.weight, out);
        true
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
    }
    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a {
        Rows { inner: self.local().linearize(x), ranks: &self.ranks }
    }
    fn linearize_within<'a>(&'a self, x: &'a [T], bounds: Option<[&'a [T]; 2]>) -> impl Linearization<T> + 'a {
        Rows { inner: self.local().linearize_within(x, bounds), ranks: &self.ranks }
    }
}

/// Each rank's rows of a Jacobian.
struct Rows<'a, L> {
    inner: L,
    ranks: &'a Ranks,
}

impl<T: Scalar, L: LinearMap<T>> LinearMap<T> for Rows<'_, L> {
    fn rows(&self) -> usize {
        self.inner.rows()
    }
    fn columns(&self) -> usize {
        self.inner.columns()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.inner.apply(v, out);
    }
    fn apply_transpose(&self, u: &[T], out: &mut [T]) {
        self.inner.apply_transpose(u, out);
        self.ranks.add_up(1.0, out);
    }
    fn forming_cost(&self) -> usize {
        self.inner.forming_cost()
    }
    fn column_norms_squared(&self, out: &mut [T]) -> bool {
        let known = self.inner.column_norms_squared(out);
        if known {
            self.ranks.add_up(1.0, out);
        }
        known
    }
    fn count_passes(&self, passes: usize) {
        self.inner.count_passes(passes);
    }
}

impl<T: Scalar, L: Linearization<T>> Linearization<T> for Rows<'_, L> {
    fn outputs(&self) -> &[T] {
        self.inner.outputs()
    }
}
