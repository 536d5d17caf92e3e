//! Every solver on problems whose callbacks count their calls, and may go wrong at one of them.

use std::cell::{Cell, RefCell};
use std::f64::consts::PI;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::mpsc;

use newton_krylov::first_order::*;
use newton_krylov::hessian_free::*;
use newton_krylov::mirror_map::Simplex;
use newton_krylov::*;

/// The error of a user, which tells at which call it was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken(pub usize);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken at call {}", self.0)
    }
}

impl std::error::Error for Broken {}

/// What the callbacks do at one of their calls.
pub enum Fault {
    Nothing,
    Error,
    Panic,
    /// Another thread is told to cancel, and has done so.
    Cancel(mpsc::SyncSender<()>, mpsc::Receiver<()>),
}

/// What is called: f or r, ∇f, a product Mv or Jv, a product Jᵀu.
#[derive(Clone, Copy)]
enum Kind {
    Value,
    Gradient,
    Product,
    Transpose,
}

/// Counts the calls of all callbacks, of each kind, and notes what the observer sees.
pub struct Fuse {
    pub calls: [Cell<usize>; 4],
    at: usize,
    fault: Fault,
    pub problem: Smooth,
    pub seen: RefCell<Vec<Seen>>,
}

/// What the observer sees.
pub struct Seen {
    pub iteration: usize,
    pub x: Vec<f64>,
    pub value: f64,
    pub gradient_norm: f64,
}

impl Fuse {
    pub fn new(at: usize, fault: Fault) -> Self {
        Fuse { calls: Default::default(), at, fault, problem: SMOOTH, seen: RefCell::default() }
    }

    pub fn calls(&self) -> usize {
        self.calls.iter().map(Cell::get).sum()
    }

    fn see(&self, progress: &Progress<'_, f64>) -> ControlFlow<()> {
        let Progress { iteration, value, gradient_norm, .. } = *progress;
        self.seen.borrow_mut().push(Seen { iteration, x: progress.x.to_vec(), value, gradient_norm });
        ControlFlow::Continue(())
    }

    fn call<V>(&self, kind: Kind, value: V) -> std::result::Result<V, Broken> {
        let calls = &self.calls[kind as usize];
        calls.set(calls.get() + 1);
        match &self.fault {
            _ if self.calls() != self.at => Ok(value),
            Fault::Nothing => Ok(value),
            Fault::Error => Err(Broken(self.at)),
            Fault::Panic => panic!("a callback panics"),
            Fault::Cancel(tell, told) => {
                tell.send(()).unwrap();
                told.recv().unwrap();
                Ok(value)
            }
        }
    }
}

const N: usize = 4;
pub const X0: [f64; N] = [-1.2, 1.0, -0.7, 0.4];

/// Σ 10(xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)²/2 as residuals, every other one of them; smooth and not convex.
fn residual(x: &[f64], r: &mut [f64]) {
    for i in 0..N {
        r[2 * i] = 10.0 * (x[(i + 1) % N] - x[i] * x[i]);
        r[2 * i + 1] = 1.0 - x[i];
    }
}

fn jacobian(x: &[f64], v: &[f64], jv: &mut [f64]) {
    for i in 0..N {
        jv[2 * i] = 10.0 * (v[(i + 1) % N] - 2.0 * x[i] * v[i]);
        jv[2 * i + 1] = -v[i];
    }
}

fn transpose(x: &[f64], u: &[f64], jtu: &mut [f64]) {
    for i in 0..N {
        jtu[i] = 10.0 * (u[2 * ((i + N - 1) % N)] - 2.0 * x[i] * u[2 * i]) - u[2 * i + 1];
    }
}

fn value(x: &[f64]) -> f64 {
    let mut r = [0.0; 2 * N];
    residual(x, &mut r);
    0.5 * r.iter().map(|r| r * r).sum::<f64>()
}

fn gradient(x: &[f64], g: &mut [f64]) {
    let mut r = [0.0; 2 * N];
    residual(x, &mut r);
    transpose(x, &r, g);
}

fn product(x: &[f64], v: &[f64], hv: &mut [f64]) {
    let (mut r, mut jv) = ([0.0; 2 * N], [0.0; 2 * N]);
    residual(x, &mut r);
    jacobian(x, v, &mut jv);
    transpose(x, &jv, hv);
    (0..N).for_each(|i| hv[i] -= 20.0 * r[2 * i] * v[i]);
}

/// A smooth function and a start.
pub struct Smooth {
    pub value: fn(&[f64]) -> f64,
    pub gradient: fn(&[f64], &mut [f64]),
    pub product: fn(&[f64], &[f64], &mut [f64]),
    pub x0: &'static [f64],
}

const SMOOTH: Smooth = Smooth { value, gradient, product, x0: &X0 };

/// Σ (1 + i/10) cos xᵢ, where closer looks are had: from its maximum, a saddle, and a minimum.
const fn waves(x0: &'static [f64]) -> Smooth {
    fn weight(i: usize) -> f64 {
        1.0 + 0.1 * i as f64
    }
    Smooth {
        value: |x| x.iter().enumerate().map(|(i, x)| weight(i) * x.cos()).sum(),
        gradient: |x, g| (0..x.len()).for_each(|i| g[i] = -weight(i) * x[i].sin()),
        product: |x, v, hv| (0..x.len()).for_each(|i| hv[i] = -weight(i) * x[i].cos() * v[i]),
        x0,
    }
}

const WAVES: [Smooth; 3] = [waves(&[0.0; 9]), waves(&[0.0, PI, PI, PI, PI, 0.0, PI, PI, PI]), waves(&[PI; 9])];

/// Every sample is the whole, times a factor near 1.
struct Samples<'f>(&'f Fuse);

const SAMPLES: usize = 12;

impl SampledObjective<f64> for Samples<'_> {
    fn dim(&self) -> usize {
        N
    }
    fn samples(&self) -> usize {
        SAMPLES
    }
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Objective<f64> + 'a {
        let weight = samples.iter().map(|&i| 1.0 + 0.01 * i as f64).sum::<f64>() / samples.len() as f64;
        let scaled = move |out: &mut [f64]| out.iter_mut().for_each(|out| *out *= weight);
        objective(
            N,
            move |x: &[f64]| self.0.call(Kind::Value, weight * value(x)),
            move |x: &[f64], g: &mut [f64]| {
                gradient(x, g);
                scaled(g);
                self.0.call(Kind::Gradient, ())
            },
            move |x: &[f64], v: &[f64], hv: &mut [f64]| {
                product(x, v, hv);
                scaled(hv);
                self.0.call(Kind::Product, ())
            },
        )
    }
}

pub fn short() -> Stopping {
    Stopping { max_iterations: 60, ..Stopping::default() }
}

/// Minimises, with the same solver and objective whenever it is called.
pub type Minimize<'r> = &'r dyn Fn() -> Result<Report<f64>>;

/// Every solver in turn.
pub fn every_solver(start: impl Fn() -> (Stopping, Fuse), mut see: impl FnMut(&str, &Fuse, Minimize<'_>)) {
    macro_rules! smooth {
        ($stopping:ident, $solver:expr) => {
            smooth!($stopping, $solver, SMOOTH)
        };
        ($stopping:ident, $solver:expr, $problem:expr) => {{
            let ($stopping, mut fuse) = start();
            fuse.problem = $problem;
            let (solver, problem) = ($solver, &fuse.problem);
            let f = objective(
                problem.x0.len(),
                |x: &[f64]| fuse.call(Kind::Value, (problem.value)(x)),
                |x: &[f64], g: &mut [f64]| {
                    (problem.gradient)(x, g);
                    fuse.call(Kind::Gradient, ())
                },
                |x: &[f64], v: &[f64], hv: &mut [f64]| {
                    (problem.product)(x, v, hv);
                    fuse.call(Kind::Product, ())
                },
            );
            let name = format!("{solver:?}");
            let dense = if name.contains("Dense") { ", Dense" } else { "" };
            let name = name.split("stopping").next().unwrap().trim_end_matches([' ', ',', '{']);
            let name = format!("{name}{dense}, {} unknowns", problem.x0.len());
            see(&name, &fuse, &|| solver.minimize_with(&f, problem.x0, |progress| fuse.see(progress)));
        }};
    }
    for inner in [InnerSolver::Krylov, InnerSolver::Dense] {
        let memory = Memory::Automatic;
        smooth!(stopping, TrustRegion { stopping, inner, memory });
        smooth!(stopping, NewtonCg { stopping, inner, memory });
        smooth!(stopping, CubicRegularization { stopping, inner, memory });
        for control in [Control::FixedRate(0.1), Control::LevenbergMarquardt] {
            smooth!(stopping, Descent { control, damping: 100.0, stopping, inner, memory });
        }
        smooth!(stopping, NaturalGradient { stopping, inner, ..NaturalGradient::default() });
    }
    for problem in WAVES {
        let (inner, memory) = (InnerSolver::Automatic, Memory::Automatic);
        smooth!(stopping, TrustRegion { stopping, inner, memory }, problem);
    }
    for problem in WAVES {
        smooth!(stopping, NewtonCg { stopping, ..NewtonCg::default() }, problem);
    }
    for problem in WAVES {
        smooth!(stopping, Lbfgs { stopping, ..Lbfgs::default() }, problem);
    }
    for problem in WAVES {
        smooth!(stopping, SteepestDescent { stopping, ..SteepestDescent::default() }, problem);
    }
    smooth!(stopping, Lbfgs { stopping, ..Lbfgs::default() });
    for search in [LineSearch::Backtracking, LineSearch::Armijo, LineSearch::StrongWolfe] {
        smooth!(stopping, SteepestDescent { search, stopping });
    }
    smooth!(stopping, FirstOrder { stopping, ..FirstOrder::new(GradientDescent { rate: 1e-3 }) });
    smooth!(stopping, FirstOrder { stopping, ..FirstOrder::new(Adam { rate: 0.01, ..Adam::default() }) });
    smooth!(
        stopping,
        MirrorDescent { stopping, ..MirrorDescent::new(Simplex::new(N).unwrap(), 1e-3) },
        Smooth { x0: &[0.25; N], ..SMOOTH }
    );

    macro_rules! fit {
        ($name:expr, $stopping:ident, $solver:expr) => {{
            let ($stopping, fuse) = start();
            let solver = $solver;
            let fit = least_squares(
                2 * N,
                N,
                |x: &[f64], r: &mut [f64]| {
                    residual(x, r);
                    fuse.call(Kind::Value, ())
                },
                |x: &[f64], v: &[f64], jv: &mut [f64]| {
                    jacobian(x, v, jv);
                    fuse.call(Kind::Product, ())
                },
                |x: &[f64], u: &[f64], jtu: &mut [f64]| {
                    transpose(x, u, jtu);
                    fuse.call(Kind::Transpose, ())
                },
            );
            let run = || solver.minimize_with(&fit, &X0, |progress| fuse.see(progress)).map(|report| report.run);
            see($name, &fuse, &run);
        }};
    }
    for inner in [InnerSolver::Krylov, InnerSolver::Dense] {
        for acceleration in [false, true] {
            let name = format!("fit by LevenbergMarquardt, {inner:?}, {acceleration}");
            fit!(
                &name,
                stopping,
                LevenbergMarquardt { stopping, inner, acceleration, ..LevenbergMarquardt::default() }
            );
        }
        fit!(
            &format!("fit by GaussNewton, {inner:?}"),
            stopping,
            GaussNewton { stopping, inner, ..GaussNewton::default() }
        );
    }

    let batches = || Batches::new(SAMPLES, 5, 3).unwrap();
    let (stopping, fuse) = start();
    let (solver, samples) =
        (FirstOrder { stopping, ..FirstOrder::new(GradientDescent { rate: 1e-3 }) }, Samples(&fuse));
    see("gradient descent on batches", &fuse, &|| {
        solver.minimize_sampled_with(&samples, batches(), &X0, |progress| fuse.see(progress))
    });
    let (stopping, fuse) = start();
    let (solver, samples) = (NaturalGradient { stopping, ..NaturalGradient::default() }, Samples(&fuse));
    see("natural gradients on batches", &fuse, &|| {
        solver.minimize_sampled_with(&samples, batches(), &X0, |progress| fuse.see(progress))
    });
    for method in [StepMethod::default(), StepMethod::ConjugateGradients(ConjugateGradients::default())] {
        let (stopping, fuse) = start();
        let gradient_batch = GradientBatch { first: 5, ..GradientBatch::default() };
        let (solver, samples) =
            (HessianFree { method, gradient_batch, stopping, ..HessianFree::default() }, Samples(&fuse));
        let run = || solver.minimize_with(&samples, (), &X0, |progress| fuse.see(progress));
        see(&format!("Hessian-free, {method:?}"), &fuse, &run);
    }
}
