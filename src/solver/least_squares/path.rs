//! Which path solves a least-squares loop: dense factors or a Golub–Kahan space, chosen at the first point.

use crate::base::{Result, Scalar, space};
use crate::operator::LinearMap;
use crate::step::{
    Accuracy, DenseLeastSquares, ENTRY_COST, Factors, GaussNewtonSteps, GolubKahan, InnerSolver, InnerStop, Solution,
    Subproblem, System,
};
use crate::structured::Schur;

/// Products that forming J may cost: an accurate step on the Krylov path takes about so many where J is ill-conditioned.
const FORMING_LIMIT: usize = 100;
/// Numbers that a formed J, and JᵀJ, may have (64 MiB in `f64`).
const NUMBERS: usize = 1 << 23;

#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Path<T> {
    Dense(DenseLeastSquares<T>),
    Krylov(GolubKahan<T>),
    Blocks(Box<Schur<T>>),
}

/// Steps on the path that fits the first Jacobian.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GaussNewtonPath<T> {
    m: usize,
    n: usize,
    inner: InnerSolver,
    columns: usize,
    path: Option<Path<T>>,
}

impl<T: Scalar> GaussNewtonPath<T> {
    /// For m residuals and n parameters; `columns` is how many right vectors the Krylov path may store.
    ///
    /// # Errors
    /// For the dense path, where nobody has all rows.
    pub fn new(m: usize, n: usize, inner: InnerSolver, columns: usize) -> Result<Self> {
        if inner == InnerSolver::Dense {
            space::check_whole_residuals("InnerSolver::Dense")?;
        }
        Ok(GaussNewtonPath { m, n, inner, columns, path: None })
    }

    /// For a model of residual blocks.
    pub fn blocks(inner: InnerSolver) -> Self {
        GaussNewtonPath { m: 0, n: 0, inner, columns: 0, path: Some(Path::Blocks(Box::new(Schur::new(inner)))) }
    }

    fn prefers_dense(&self, jacobian: &dyn LinearMap<T>) -> bool {
        match (&self.path, self.inner) {
            (Some(path), _) => matches!(path, Path::Dense(_)),
            // Nobody has all rows.
            (None, _) if space::residuals_in_parts() => false,
            (None, InnerSolver::Dense) => true,
            (None, InnerSolver::Krylov) => false,
            (None, InnerSolver::Automatic) => {
                let fits = self.m.max(self.n).saturating_mul(self.n) <= NUMBERS;
                fits && jacobian.forming_cost() <= FORMING_LIMIT
            }
        }
    }

    fn chosen(&self) -> Option<&dyn GaussNewtonSteps<T>> {
        Some(match self.path.as_ref()? {
            Path::Dense(path) => path,
            Path::Krylov(path) => path,
            Path::Blocks(path) => &**path,
        })
    }

    fn chosen_mut(&mut self) -> Option<&mut dyn GaussNewtonSteps<T>> {
        Some(match self.path.as_mut()? {
            Path::Dense(path) => path,
            Path::Krylov(path) => path,
            Path::Blocks(path) => &mut **path,
        })
    }
}

impl<T: Scalar> GaussNewtonSteps<T> for GaussNewtonPath<T> {
    fn entry_cost(&self, jacobian: &dyn LinearMap<T>) -> usize {
        match &self.path {
            Some(Path::Blocks(blocks)) => blocks.entry_cost(jacobian),
            _ if self.prefers_dense(jacobian) => jacobian.forming_cost(),
            _ => ENTRY_COST,
        }
    }

    fn enter(&mut self, jacobian: &dyn LinearMap<T>, residual: &[T], gradient: &mut [T]) -> bool {
        if self.path.is_none() {
            self.path = Some(if self.prefers_dense(jacobian) {
                Path::Dense(DenseLeastSquares::new(self.m, self.n))
            } else {
                Path::Krylov(GolubKahan::new(self.m, self.n, self.columns))
            });
        }
        self.chosen_mut().is_some_and(|path| path.enter(jacobian, residual, gradient))
    }

    fn column_norms(&mut self, jacobian: &dyn LinearMap<T>, norms: &mut [f64]) -> bool {
        self.chosen_mut().is_some_and(|path| path.column_norms(jacobian, norms))
    }

    fn largest_singular_value(&self) -> f64 {
        self.chosen().map_or(0.0, |path| path.largest_singular_value())
    }

    fn exact(&self) -> bool {
        self.chosen().is_some_and(|path| path.exact())
    }

    fn solution(
        &mut self,
        system: &System<'_, T>,
        subproblem: Subproblem,
        accuracy: Option<Accuracy>,
    ) -> Option<(Solution, InnerStop)> {
        self.chosen_mut()?.solution(system, subproblem, accuracy)
    }

    fn step(&self, step: &mut [T]) {
        if let Some(path) = self.chosen() {
            path.step(step);
        }
    }

    fn factors(&mut self) -> Option<&mut dyn Factors<T>> {
        self.chosen_mut()?.factors()
    }

    fn numbers(&self) -> usize {
        self.chosen().map_or(0, |path| path.numbers())
    }
}
