//! f = Σ 100(xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)² by argmin, basin and this library.

use std::cell::Cell;
use std::convert::Infallible;

use argmin::core::{self, State};
use argmin::solver::{linesearch, newton, quasinewton, trustregion};
use argmin_math::ArgminDot;
use newton_krylov::{CubicRegularization, Lbfgs, NewtonCg, Report, Stopping, TrustRegion, objective};

use crate::{Outcome, Peer};

/// ‖g‖ at which a run ends.
const TOLERANCE: f64 = 1e-6;

pub fn norm(g: &[f64]) -> f64 {
    g.iter().map(|g| g * g).sum::<f64>().sqrt()
}

thread_local! {
    /// Values, gradients, products.
    static COUNTS: [Cell<u64>; 3] = const { [const { Cell::new(0) }; 3] };
    /// Where argmin's gradient was small enough.
    static END: Cell<Option<Vec<f64>>> = const { Cell::new(None) };
}

fn count(which: usize) {
    COUNTS.with(|c| c[which].set(c[which].get() + 1));
}

fn counted() -> [u64; 3] {
    COUNTS.with(|c| [0, 1, 2].map(|i| c[i].replace(0)))
}

#[derive(Clone)]
pub struct Chain {
    n: usize,
}

impl Chain {
    pub fn new(n: usize) -> Self {
        Chain { n }
    }

    fn start(&self) -> Vec<f64> {
        (0..self.n).map(|i| if i % 2 == 0 { -1.2 } else { 1.0 }).collect()
    }

    fn value(&self, x: &[f64]) -> f64 {
        x.windows(2).map(|x| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2)).sum()
    }

    fn write_gradient(&self, x: &[f64], g: &mut [f64]) {
        g.fill(0.0);
        for i in 0..self.n - 1 {
            let u = x[i + 1] - x[i] * x[i];
            g[i] += -400.0 * x[i] * u - 2.0 * (1.0 - x[i]);
            g[i + 1] += 200.0 * u;
        }
    }

    fn write_product(&self, x: &[f64], v: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        for i in 0..self.n - 1 {
            let cross = -400.0 * x[i];
            out[i] += (1200.0 * x[i] * x[i] - 400.0 * x[i + 1] + 2.0) * v[i] + cross * v[i + 1];
            out[i + 1] += cross * v[i] + 200.0 * v[i + 1];
        }
    }

    pub fn gradient(&self, x: &[f64]) -> Vec<f64> {
        let mut g = vec![0.0; self.n];
        self.write_gradient(x, &mut g);
        g
    }

    fn product(&self, x: &[f64], v: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.n];
        self.write_product(x, v, &mut out);
        out
    }

    pub fn peers(&self) -> Vec<Peer<'_>> {
        let stopping = || Stopping { gradient_relative: 0.0, gradient_absolute: TOLERANCE, ..Stopping::default() };
        macro_rules! ours {
            ($solver:ident) => {
                Box::new(move || {
                    let f = objective(
                        self.n,
                        |x: &[f64]| self.value(x),
                        |x, g| self.write_gradient(x, g),
                        |x, v, hv| self.write_product(x, v, hv),
                    );
                    let solver = $solver { stopping: stopping(), ..$solver::default() };
                    solver.minimize(&f, &self.start()).ok().map(|report: Report<f64>| {
                        let c = report.counts;
                        Outcome { x: report.x, counts: [c.values as u64, c.gradients as u64, c.products as u64] }
                    })
                })
            };
        }
        macro_rules! argmin {
            ($solver:expr) => {
                Box::new(move || {
                    let executor = core::Executor::new(self.clone(), $solver);
                    let run =
                        executor.configure(|state| state.param(self.start()).max_iters(20_000)).ctrlc(false).run();
                    let x = END.take().or_else(|| run.ok()?.state().get_best_param().cloned());
                    let counts = counted();
                    x.map(|x| Outcome { x, counts })
                })
            };
        }
        macro_rules! basin {
            ($solver:expr) => {
                Box::new(move || {
                    let state = basin::FirstOrderState::new(self.start());
                    let run = basin::Executor::new(self.clone(), $solver, state).max_iter(20_000).run();
                    let counts = counted();
                    run.ok().map(|run| Outcome { x: run.param().clone(), counts })
                })
            };
        }
        vec![
            ("TrustRegion", ours!(TrustRegion)),
            ("NewtonCg", ours!(NewtonCg)),
            ("CubicRegularization", ours!(CubicRegularization)),
            ("Lbfgs", ours!(Lbfgs)),
            ("argmin TrustRegion, Steihaug", argmin!(trustregion::TrustRegion::new(trustregion::Steihaug::new()))),
            ("argmin NewtonCG", argmin!(newton::NewtonCG::new(linesearch::MoreThuenteLineSearch::new()))),
            ("argmin LBFGS", argmin!(quasinewton::LBFGS::new(linesearch::MoreThuenteLineSearch::new(), 10))),
            (
                "basin TrustRegion, Steihaug",
                basin!(basin::TrustRegion::matrix_free().with_absolute_gradient_tolerance(TOLERANCE)),
            ),
        ]
    }
}

impl core::CostFunction for Chain {
    type Param = Vec<f64>;
    type Output = f64;
    fn cost(&self, x: &Vec<f64>) -> Result<f64, core::Error> {
        count(0);
        Ok(self.value(x))
    }
}

/// argmin's trust region has no test of the gradient: an error ends the run where it is small.
impl core::Gradient for Chain {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;
    fn gradient(&self, x: &Vec<f64>) -> Result<Vec<f64>, core::Error> {
        count(1);
        let g = Chain::gradient(self, x);
        if norm(&g) <= TOLERANCE {
            END.set(Some(x.clone()));
            return Err(core::Error::msg("small enough"));
        }
        Ok(g)
    }
}

/// The Hessian at x, as an operator.
#[derive(Clone)]
pub struct At(Chain, Vec<f64>);

impl ArgminDot<Vec<f64>, Vec<f64>> for At {
    fn dot(&self, v: &Vec<f64>) -> Vec<f64> {
        count(2);
        self.0.product(&self.1, v)
    }
}

impl core::Hessian for Chain {
    type Param = Vec<f64>;
    type Hessian = At;
    fn hessian(&self, x: &Vec<f64>) -> Result<At, core::Error> {
        Ok(At(self.clone(), x.clone()))
    }
}

impl basin::CostFunction for Chain {
    type Param = Vec<f64>;
    type Output = f64;
    type Error = Infallible;
    fn cost(&self, x: &Vec<f64>) -> Result<f64, Infallible> {
        count(0);
        Ok(self.value(x))
    }
}

impl basin::Gradient for Chain {
    type Gradient = Vec<f64>;
    fn gradient(&self, x: &Vec<f64>) -> Result<Vec<f64>, Infallible> {
        count(1);
        Ok(Chain::gradient(self, x))
    }
}

impl basin::HessianProduct for Chain {
    fn hessian_product(&self, x: &Vec<f64>, v: &Vec<f64>) -> Result<Vec<f64>, Infallible> {
        count(2);
        Ok(self.product(x, v))
    }
}
