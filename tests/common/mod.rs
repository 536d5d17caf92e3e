//! What the solver tests share: the three solvers behind one call, an objective that counts its own calls, and the solution
//! of a small system.

use std::cell::Cell;
use std::ops::ControlFlow;

use faer::linalg::solvers::Solve;
use faer::{Mat, MatRef};
use newton_krylov::{
    Counts, CubicRegularization, Expansion, InnerSolver, Memory, NewtonCg, Objective, Progress, Report, Result, Scalar,
    Stopping, SymmetricOperator, TrustRegion,
};

/// More calls than this of one kind is a run that does not end.
const HANG: usize = 1_000_000;

/// The solvers under test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    TrustRegion,
    NewtonCg,
    Cubic,
}

pub const METHODS: [Method; 3] = [Method::TrustRegion, Method::NewtonCg, Method::Cubic];

/// A solver with its options.
#[derive(Clone, Debug)]
pub struct Solver {
    pub method: Method,
    pub inner: InnerSolver,
    pub stopping: Stopping,
    pub memory: Memory,
}

impl Solver {
    pub fn new(method: Method) -> Self {
        Solver { method, inner: InnerSolver::default(), stopping: Stopping::default(), memory: Memory::default() }
    }

    pub fn minimize_with<T: Scalar>(
        &self,
        objective: &impl Objective<T>,
        x0: &[T],
        observer: impl FnMut(&Progress<'_, T>) -> ControlFlow<()>,
    ) -> Result<Report<T>> {
        let (stopping, inner, memory) = (self.stopping.clone(), self.inner, self.memory);
        match self.method {
            Method::TrustRegion => TrustRegion { stopping, inner, memory }.minimize_with(objective, x0, observer),
            Method::NewtonCg => NewtonCg { stopping, inner, memory }.minimize_with(objective, x0, observer),
            Method::Cubic => CubicRegularization { stopping, inner, memory }.minimize_with(objective, x0, observer),
        }
    }

    pub fn minimize<T: Scalar>(&self, objective: &impl Objective<T>, x0: &[T]) -> Result<Report<T>> {
        self.minimize_with(objective, x0, |_| ControlFlow::Continue(()))
    }
}

/// An objective that counts what is called, independently of the library's own counting.
pub struct Watched<O> {
    pub inner: O,
    calls: Cell<Counts>,
}

impl<O> Watched<O> {
    pub fn new(inner: O) -> Self {
        Watched { inner, calls: Cell::default() }
    }

    pub fn calls(&self) -> Counts {
        self.calls.get()
    }

    fn count(&self, which: impl FnOnce(&mut Counts) -> &mut usize) {
        let mut calls = self.calls.get();
        let calls_of_kind = which(&mut calls);
        *calls_of_kind += 1;
        assert!(*calls_of_kind < HANG, "the run does not end");
        self.calls.set(calls);
    }
}

struct WatchedAt<'a, E, O> {
    inner: E,
    watched: &'a Watched<O>,
}

impl<T, O: Objective<T>> Objective<T> for Watched<O> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn value(&self, x: &[T]) -> f64 {
        self.count(|calls| &mut calls.values);
        self.inner.value(x)
    }
    fn expand<'a>(&'a self, x: &'a [T]) -> impl Expansion<T> + 'a {
        WatchedAt { inner: self.inner.expand(x), watched: self }
    }
}

impl<T, O, E: SymmetricOperator<T>> SymmetricOperator<T> for WatchedAt<'_, E, O> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        self.watched.count(|calls| &mut calls.products);
        self.inner.apply(v, out);
    }
}

impl<T, O, E: Expansion<T>> Expansion<T> for WatchedAt<'_, E, O> {
    fn value(&self) -> f64 {
        self.watched.count(|calls| &mut calls.values);
        self.inner.value()
    }
    fn gradient(&self, out: &mut [T]) {
        self.watched.count(|calls| &mut calls.gradients);
        self.inner.gradient(out);
    }
}

/// A⁻¹b, A by columns.
pub fn solve(matrix: &[f64], b: &[f64]) -> Vec<f64> {
    let a = MatRef::from_column_major_slice(matrix, b.len(), b.len());
    a.partial_piv_lu().solve(Mat::from_fn(b.len(), 1, |i, _| b[i])).col_as_slice(0).to_vec()
}
