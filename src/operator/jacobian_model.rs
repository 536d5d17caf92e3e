//! Models whose Jacobian is a matrix, dense or sparse: written by a closure, or by [`differences`](super::differences) of
//! the outputs.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use super::callback::WriteFn;
use super::differences::{Differences, check_accuracy};
use super::pattern::Shape;
use super::{Around, Difference, LinearMap, Linearization, Model, Pattern, forward};
use crate::base::{CallbackError, ErrorSlot, Result, Scalar, check_finite, check_length, kernels, unwritten};

/// A model whose Jacobian a closure writes as a matrix; see [`least_squares_dense`](crate::least_squares_dense).
pub struct JacobianModel<T, F, J> {
    output_dim: usize,
    dim: usize,
    pattern: Option<Pattern>,
    evaluate: F,
    jacobian: J,
    errors: ErrorSlot,
    scalar: PhantomData<fn(T)>,
}

impl<T: Scalar, F: WriteFn<T>, J: WriteFn<T>> JacobianModel<T, F, J> {
    /// The model with m = `output_dim` and n = `dim` whose outputs `evaluate(x, h)` writes to `h`, and whose Jacobian
    /// `jacobian(x, j)` writes to `j`, m·n numbers by columns: `j[k * m + i]` is ∂hᵢ/∂xₖ. An entry that is not written is
    /// NaN; [`check::least_squares`](crate::check::least_squares()) names it.
    pub fn new(output_dim: usize, dim: usize, evaluate: F, jacobian: J) -> Self {
        JacobianModel {
            output_dim,
            dim,
            pattern: None,
            evaluate,
            jacobian,
            errors: ErrorSlot::new(),
            scalar: PhantomData,
        }
    }

    /// The model with a sparse Jacobian: `jacobian(x, values)` writes one number for each entry that the pattern was made
    /// from, in that order. Products cost two operations for each of them.
    ///
    /// ```
    /// use newton_krylov::{LeastSquares, LevenbergMarquardt};
    /// use newton_krylov::differences::{JacobianModel, Pattern};
    ///
    /// // xᵢ² = i, each by itself: 10⁵ parameters
    /// let n = 100_000;
    /// let pattern = Pattern::new(n, n, &(0..n).map(|i| (i, i)).collect::<Vec<_>>())?;
    /// let roots = JacobianModel::sparse(
    ///     pattern,
    ///     |x: &[f64], r: &mut [f64]| (0..n).for_each(|i| r[i] = x[i] * x[i] - 1.0 - i as f64),
    ///     |x: &[f64], j: &mut [f64]| (0..n).for_each(|i| j[i] = 2.0 * x[i]),
    /// );
    /// let report = LevenbergMarquardt::default().minimize(&LeastSquares::new(roots), &vec![10.0; n])?;
    /// assert!(report.termination.converged() && (report.x[8] - 3.0).abs() < 1e-6);
    /// # Ok::<(), newton_krylov::Error>(())
    /// ```
    pub fn sparse(pattern: Pattern, evaluate: F, jacobian: J) -> Self {
        let model = JacobianModel::new(pattern.rows(), pattern.columns(), evaluate, jacobian);
        JacobianModel { pattern: Some(pattern), ..model }
    }
}

impl<T: Scalar, F: WriteFn<T>, J: WriteFn<T>> Model<T> for JacobianModel<T, F, J> {
    forward!(fields; dim, output_dim, errors);
    fn evaluate(&self, x: &[T], out: &mut [T]) {
        self.evaluate.write(&self.errors, x, out);
    }
    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a {
        let shape = Shape { rows: self.output_dim, columns: self.dim, pattern: self.pattern.as_ref() };
        let write = move |_: &MatrixAt<'a, T>, matrix: &mut [T]| match &self.pattern {
            None => {
                matrix.fill(unwritten());
                self.jacobian.write(&self.errors, x, matrix);
            }
            Some(pattern) => {
                let mut given = vec![unwritten(); pattern.given()];
                self.jacobian.write(&self.errors, x, &mut given);
                pattern.gather(&given, matrix);
            }
        };
        let evaluate = move |out: &mut [T]| self.evaluate.write(&self.errors, x, out);
        MatrixAt::new(shape, 1, None, &self.errors, Box::new(evaluate), Box::new(write))
    }
}

/// A model whose Jacobian comes from differences of its outputs; see
/// [`least_squares_from_residuals`](crate::least_squares_from_residuals).
///
/// Each parameter has a unit of its own: its size, or its [typical size](Self::with_typical) where that is larger. Where
/// that step changes nothing, is lost in rounding, or leads to where the outputs are not finite, others are tried. It
/// keeps the outputs of its last evaluation, so that a Jacobian at that point does not evaluate it again.
pub struct DifferenceModel<T, F> {
    output_dim: usize,
    dim: usize,
    pattern: Option<Pattern>,
    typical: Vec<f64>,
    /// η; 0 for rounding.
    accuracy: f64,
    evaluate: F,
    difference: Difference,
    /// The last point, and the outputs there.
    last: Mutex<(Vec<T>, Vec<T>)>,
    errors: ErrorSlot,
}

impl<T: Scalar, F: WriteFn<T>> DifferenceModel<T, F> {
    /// The model with m = `output_dim` and n = `dim` whose outputs `evaluate(x, h)` writes to `h`. A Jacobian costs n
    /// evaluations with [`Difference::Forward`] and 2n with [`Difference::Central`], and a few more where steps fail.
    pub fn new(output_dim: usize, dim: usize, evaluate: F, difference: Difference) -> Self {
        let (pattern, typical, last, errors) = (None, vec![], Mutex::default(), ErrorSlot::new());
        DifferenceModel { output_dim, dim, pattern, typical, accuracy: 0.0, evaluate, difference, last, errors }
    }

    /// The model with a sparse Jacobian of the given pattern. A Jacobian costs as many evaluations as the pattern has
    /// [groups](Pattern::groups), twice that with central differences. Forming the dense matrix counts as m·n/nnz
    /// products, so that only small or nearly full ones are solved densely.
    ///
    /// ```
    /// use newton_krylov::{LeastSquares, LevenbergMarquardt};
    /// use newton_krylov::differences::{Difference, DifferenceModel, Pattern};
    ///
    /// // A chain of Rosenbrock's valleys: two entries in a row, and three evaluations for a Jacobian of any size.
    /// let n = 300;
    /// let entries: Vec<_> = (0..n - 1).flat_map(|i| [(2 * i, i), (2 * i, i + 1), (2 * i + 1, i)]).collect();
    /// let pattern = Pattern::new(2 * n - 2, n, &entries)?;
    /// assert_eq!(pattern.groups(), 2);
    /// let chain = |x: &[f64], r: &mut [f64]| {
    ///     for i in 0..n - 1 {
    ///         (r[2 * i], r[2 * i + 1]) = (10.0 * (x[i + 1] - x[i] * x[i]), 1.0 - x[i]);
    ///     }
    /// };
    /// let model = DifferenceModel::sparse(pattern, chain, Difference::Forward);
    /// let report = LevenbergMarquardt::default().minimize(&LeastSquares::new(model), &vec![0.5; n])?;
    /// assert!(report.value < 1e-12);
    /// # Ok::<(), newton_krylov::Error>(())
    /// ```
    pub fn sparse(pattern: Pattern, evaluate: F, difference: Difference) -> Self {
        let model = DifferenceModel::new(pattern.rows(), pattern.columns(), evaluate, difference);
        DifferenceModel { pattern: Some(pattern), ..model }
    }
}

impl<T: Scalar, F> DifferenceModel<T, F> {
    /// The same model with a typical size of each parameter, where its value says little of it, as at or near 0; 0 where
    /// none is known.
    ///
    /// # Errors
    /// For a wrong length, and a size that is not finite.
    pub fn with_typical(mut self, typical: &[T]) -> Result<Self> {
        check_length("typical", typical, self.dim)?;
        check_finite("typical", typical)?;
        self.typical = typical.iter().map(|t| t.abs().into()).collect();
        Ok(self)
    }

    /// The same model whose outputs are accurate to η = `accuracy` only, relative to their terms: where they come from a
    /// simulation, an iteration or a table. Steps are √η and ∛η in the units of the parameters (MINPACK's `epsfcn` is η).
    /// [`check::noise`](crate::check::noise) finds it. Without it
    /// [`LevenbergMarquardt`](crate::LevenbergMarquardt) finds out where it would stall.
    ///
    /// # Errors
    /// If it is not in [0, 1).
    pub fn with_accuracy(mut self, accuracy: f64) -> Result<Self> {
        check_accuracy(accuracy)?;
        self.accuracy = accuracy;
        Ok(self)
    }

    fn last(&self) -> std::sync::MutexGuard<'_, (Vec<T>, Vec<T>)> {
        self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<T: Scalar, F: WriteFn<T>> Model<T> for DifferenceModel<T, F> {
    forward!(fields; dim, output_dim, errors);
    fn evaluate(&self, x: &[T], out: &mut [T]) {
        self.evaluate.write(&self.errors, x, out);
        let (point, outputs) = &mut *self.last();
        point.clear();
        point.extend_from_slice(x);
        outputs.clear();
        outputs.extend_from_slice(out);
    }
    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a {
        self.linearize_within(x, Around::default())
    }
    fn linearize_within<'a>(&'a self, x: &'a [T], around: Around<'a, T>) -> impl Linearization<T> + 'a {
        let shape = Shape { rows: self.output_dim, columns: self.dim, pattern: self.pattern.as_ref() };
        let accuracy = around.accuracy(self.accuracy);
        let write = move |at: &MatrixAt<'a, T>, matrix: &mut [T]| {
            let DifferenceModel { difference, typical, .. } = self;
            let most = around.most.saturating_sub(usize::from(at.outputs.get().is_none()));
            let (outputs, around) = (at.outputs(), Around { most, ..around });
            let evaluate = &|x: &[T], out: &mut [T]| self.evaluate.write(&self.errors, x, out);
            let difference = *difference;
            let differences = Differences { evaluate, shape, difference, typical, x, outputs, around, accuracy };
            at.evaluations.fetch_add(differences.write(matrix), Ordering::Relaxed);
        };
        let evaluate = move |out: &mut [T]| self.evaluate.write(&self.errors, x, out);
        let mut at = MatrixAt::new(
            shape,
            shape.groups(),
            Some(self.difference.error(accuracy)),
            &self.errors,
            Box::new(evaluate),
            Box::new(write),
        );
        at.ahead = self.difference.evaluations(shape.groups());
        let (point, outputs) = &*self.last();
        if point == x {
            let _ = at.outputs.set(outputs.clone());
        }
        at
    }
}

/// Writes the outputs at a point.
type Evaluate<'a, T> = Box<dyn Fn(&mut [T]) + 'a>;
type Write<'a, T> = Box<dyn Fn(&MatrixAt<'a, T>, &mut [T]) + 'a>;

/// A model at a point, with its Jacobian as a matrix once that was needed.
struct MatrixAt<'a, T> {
    shape: Shape<'a>,
    cost: usize,
    accuracy: Option<f64>,
    errors: &'a ErrorSlot,
    /// Writes the outputs.
    evaluate: Evaluate<'a, T>,
    /// Writes the matrix, in the places of the shape; they are zero before.
    write: Write<'a, T>,
    outputs: OnceLock<Vec<T>>,
    matrix: OnceLock<Vec<T>>,
    evaluations: AtomicUsize,
    /// Evaluations that the matrix takes at least.
    ahead: usize,
}

impl<'a, T: Scalar> MatrixAt<'a, T> {
    fn new(
        shape: Shape<'a>,
        cost: usize,
        accuracy: Option<f64>,
        errors: &'a ErrorSlot,
        evaluate: Evaluate<'a, T>,
        write: Write<'a, T>,
    ) -> Self {
        let (outputs, matrix, evaluations) = (OnceLock::new(), OnceLock::new(), AtomicUsize::new(0));
        MatrixAt { shape, cost, accuracy, errors, evaluate, write, outputs, matrix, evaluations, ahead: 0 }
    }

    fn matrix(&self) -> &[T] {
        self.matrix.get_or_init(|| {
            let mut matrix = vec![T::zero(); self.shape.len()];
            (self.write)(self, &mut matrix);
            matrix
        })
    }

    fn outputs(&self) -> &[T] {
        self.outputs.get_or_init(|| {
            let mut outputs = vec![T::zero(); self.shape.rows];
            (self.evaluate)(&mut outputs);
            self.evaluations.fetch_add(1, Ordering::Relaxed);
            outputs
        })
    }

    /// The numbers of column j, and their rows if these are not all.
    fn column(&self, j: usize) -> (&[T], Option<&[usize]>) {
        let place = self.shape.column(j);
        (&self.matrix()[place.clone()], self.shape.pattern.map(|p| &p.row_indices()[place]))
    }
}

impl<T: Scalar> LinearMap<T> for MatrixAt<'_, T> {
    fn rows(&self) -> usize {
        self.shape.rows
    }
    fn columns(&self) -> usize {
        self.shape.columns
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        out.fill(T::zero());
        for (j, &v) in v.iter().enumerate() {
            match self.column(j) {
                (column, None) => kernels::axpy(v.into(), column, out),
                (column, Some(rows)) => rows.iter().zip(column).for_each(|(&i, &a)| out[i] += a * v),
            }
        }
    }
    fn apply_transpose(&self, u: &[T], out: &mut [T]) {
        for (j, out) in out.iter_mut().enumerate() {
            *out = T::from_f64(match self.column(j) {
                (column, None) => kernels::dot(column, u),
                (column, Some(rows)) => rows.iter().zip(column).map(|(&i, &a)| a.into() * u[i].into()).sum(),
            });
        }
    }
    fn take_error(&self) -> Option<CallbackError> {
        self.errors.take()
    }
    fn form(&self, matrix: &mut [T]) {
        if self.shape.pattern.is_none() {
            return matrix.copy_from_slice(self.matrix());
        }
        matrix.fill(T::zero());
        for (j, out) in matrix.chunks_exact_mut(self.shape.rows).enumerate() {
            if let (column, Some(rows)) = self.column(j) {
                rows.iter().zip(column).for_each(|(&i, &a)| out[i] = a);
            }
        }
    }
    /// A dense matrix takes so many times the arithmetic of a product with the sparse one.
    fn forming_cost(&self) -> usize {
        self.cost.max(self.shape.rows.saturating_mul(self.shape.columns).div_ceil(self.shape.len().max(1)))
    }
    fn column_norms(&self, out: &mut [T]) -> bool {
        out.iter_mut().enumerate().for_each(|(j, out)| *out = T::from_f64(kernels::norm(self.column(j).0)));
        true
    }
    fn accuracy(&self) -> Option<f64> {
        self.accuracy
    }
    fn evaluations(&self) -> usize {
        self.evaluations.load(Ordering::Relaxed)
    }
    fn evaluations_ahead(&self) -> usize {
        if self.matrix.get().is_some() { 0 } else { self.ahead + usize::from(self.outputs.get().is_none()) }
    }
}

impl<T: Scalar> Linearization<T> for MatrixAt<'_, T> {
    fn outputs(&self) -> &[T] {
        self.outputs()
    }
}
