//! What steps cost beside the products: `cargo bench --bench steps`.
//!
//! - `overhead/NAME/d`: seconds of a trust-region run per outer iteration, callbacks subtracted.
//! - `dense/OPERATOR, QUESTION, PATH/d`: one radius subproblem at a new point, from nothing, on either path; with a step
//!   inside the radius the dense path needs a Cholesky factorisation, on the boundary an eigendecomposition. The Krylov
//!   path goes to the accuracy of an early and of a late outer iteration. Where the curves cross is the reason for the
//!   limit of d up to which solvers consider the dense path.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use newton_krylov::problems::ChainedRosenbrock;
use newton_krylov::{
    Expansion, InnerSolver, Objective, Report, SymmetricOperator, TrustRegion, objective,
    steps::{StepOptions, Steps, Subproblem},
};

/// The time of the calls that the report counts, at the points x₀ and x.
fn callbacks(f: &impl Objective<f64>, x0: &[f64], report: &Report<f64>) -> Duration {
    let (counts, mut out) = (report.counts, vec![0.0; f.dim()]);
    let point = |i: usize| black_box(if i.is_multiple_of(2) { x0 } else { &report.x[..] });
    let start = Instant::now();
    (0..counts.values).for_each(|i| {
        black_box(f.value(point(i)));
    });
    (0..counts.gradients).for_each(|i| f.expand(point(i)).gradient(black_box(&mut out)));
    (0..counts.products).for_each(|i| f.expand(point(i)).apply(point(i + 1), black_box(&mut out)));
    start.elapsed()
}

fn overhead_of(c: &mut Criterion, name: &str, f: &impl Objective<f64>, x0: &[f64]) {
    let solver = TrustRegion::default();
    let report = solver.minimize(f, x0).expect("valid input");
    let iterations = report.iterations();
    println!("{name}, d = {}: {iterations} iterations, {}", f.dim(), report.counts);
    c.benchmark_group("overhead").bench_function(BenchmarkId::new(name, f.dim()), |b| {
        b.iter_custom(|repeats| {
            let start = Instant::now();
            (0..repeats).for_each(|_| {
                black_box(solver.minimize(f, black_box(x0)).expect("valid input"));
            });
            let all = start.elapsed();
            let calls: Duration = (0..repeats).map(|_| callbacks(f, x0, &report)).sum();
            all.saturating_sub(calls) / iterations as u32
        })
    });
}

fn overhead(c: &mut Criterion) {
    for n in [2, 5, 10] {
        let f = ChainedRosenbrock::new(n).expect("n is at least 2");
        overhead_of(c, "Rosenbrock", &f, &f.start::<f64>());
    }
    for n in [2, 5, 10] {
        // Σ i (xᵢ⁴/4 + xᵢ²/2), from (1, …, 1)
        let quartic = objective(
            n,
            |x: &[f64]| x.iter().zip(1..).map(|(x, i)| f64::from(i) * x * x * (0.25 * x * x + 0.5)).sum::<f64>(),
            |x: &[f64], g: &mut [f64]| (0..g.len()).for_each(|i| g[i] = (i + 1) as f64 * x[i] * (x[i] * x[i] + 1.0)),
            |x: &[f64], v: &[f64], hv: &mut [f64]| {
                (0..v.len()).for_each(|i| hv[i] = (i + 1) as f64 * (3.0 * x[i] * x[i] + 1.0) * v[i]);
            },
        );
        overhead_of(c, "quartic", &quartic, &vec![1.0; n]);
    }
}

/// (I − 2uuᵀ) D (I − 2uuᵀ) with eigenvalues from 1e-4 to 1, either as factors, where a product takes O(d) operations,
/// or as a stored matrix.
struct Matrix {
    eigenvalues: Vec<f64>,
    u: Vec<f64>,
    entries: Option<Vec<f64>>,
}

impl Matrix {
    fn new(dim: usize, stored: bool) -> Self {
        let eigenvalues = (0..dim).map(|i| 10_f64.powf(-4.0 * i as f64 / (dim - 1) as f64)).collect();
        let mut matrix = Matrix { eigenvalues, u: vec![(dim as f64).sqrt().recip(); dim], entries: None };
        if stored {
            let mut entries = vec![0.0; dim * dim];
            matrix.form(&mut entries);
            matrix.entries = Some(entries);
        }
        matrix
    }

    fn reflect(&self, v: &mut [f64]) {
        let along: f64 = 2.0 * self.u.iter().zip(&*v).map(|(u, v)| u * v).sum::<f64>();
        v.iter_mut().zip(&self.u).for_each(|(v, u)| *v -= along * u);
    }
}

impl SymmetricOperator<f64> for Matrix {
    fn dim(&self) -> usize {
        self.u.len()
    }

    fn apply(&self, v: &[f64], out: &mut [f64]) {
        if let Some(entries) = &self.entries {
            out.fill(0.0);
            for (&v, column) in v.iter().zip(entries.chunks_exact(v.len())) {
                out.iter_mut().zip(column).for_each(|(out, a)| *out += a * v);
            }
            return;
        }
        out.copy_from_slice(v);
        self.reflect(out);
        out.iter_mut().zip(&self.eigenvalues).for_each(|(out, d)| *out *= d);
        self.reflect(out);
    }

    fn form(&self, matrix: &mut [f64]) {
        if let Some(entries) = &self.entries {
            matrix.copy_from_slice(entries);
            return;
        }
        let dim = self.dim();
        let mut unit = vec![0.0; dim];
        for (j, column) in matrix.chunks_exact_mut(dim).enumerate() {
            unit[j] = 1.0;
            self.apply(&unit, column);
            unit[j] = 0.0;
        }
    }

    fn forming_cost(&self) -> usize {
        if self.entries.is_some() { 1 } else { self.dim() }
    }
}

fn dense(c: &mut Criterion) {
    let mut group = c.benchmark_group("dense");
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(500));
    for (operator, stored) in [("factors", false), ("matrix", true)] {
        for dim in [32, 64, 128, 256, 512, 1024] {
            let matrix = Matrix::new(dim, stored);
            let gradient: Vec<f64> = (0..dim).map(|i| (1.0 + i as f64).sin()).collect();
            let ask = |inner, tolerance, radius| {
                let options = StepOptions { inner, tolerance, ..StepOptions::default() };
                let mut steps = Steps::new(&matrix, &gradient, options).expect("valid input");
                steps.solve(Subproblem::Radius(radius)).expect("a positive radius")
            };
            let newton = ask(InnerSolver::Dense, 1e-8, f64::MAX).norm;
            for (subproblem, radius) in [("inside", f64::MAX), ("boundary", 0.1 * newton)] {
                for (path, inner, tolerance) in [
                    ("dense", InnerSolver::Dense, 1e-8),
                    ("krylov 1e-1", InnerSolver::Krylov, 1e-1),
                    ("krylov 1e-6", InnerSolver::Krylov, 1e-6),
                ] {
                    let name = format!("{operator}, {subproblem}, {path}");
                    let step = ask(inner, tolerance, radius);
                    println!("{name}, d = {dim}: {} products, {:?}", step.products, step.outcome);
                    group.bench_function(BenchmarkId::new(name, dim), |b| b.iter(|| ask(inner, tolerance, radius)));
                }
            }
        }
    }
}

criterion_group! {
    name = steps;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = overhead, dense
}
criterion_main!(steps);
