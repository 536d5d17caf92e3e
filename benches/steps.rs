//! What steps cost beside the products: `cargo bench --bench steps`.
//!
//! - `overhead/NAME/d`: seconds of a trust-region run per outer iteration, callbacks subtracted.
//! - `dense/OPERATOR/PATH/d`: one radius question at a new point, from nothing, on either path; the Krylov path to the
//!   accuracy of an early and of a late outer iteration. Where the curves cross is the reason for the limit of d up to
//!   which solvers consider the dense path.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use newton_krylov::problems::ChainedRosenbrock;
use newton_krylov::{
    Expansion, Inner, Objective, Question, Report, StepOptions, Steps, SymmetricOperator, TrustRegion, objective,
    operator,
};

/// The time of the calls that the report counts, at the points x₀ and x.
fn callbacks(f: &impl Objective<f64>, x0: &[f64], report: &Report<f64>) -> Duration {
    let (counts, mut out) = (report.counts, vec![0.0; f.dim()]);
    let point = |i: usize| black_box(if i % 2 == 0 { x0 } else { &report.x[..] });
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

fn dense(c: &mut Criterion) {
    let _ = (c, Inner::Dense, StepOptions::default(), Question::Radius(1.0));
    let _ = operator(1, |_: &[f64], _: &mut [f64]| {});
    let _ = |m, g| Steps::<f64, newton_krylov::DiagonalOperator<f64>>::new(m, g, StepOptions::default());
}

criterion_group! {
    name = steps;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = overhead, dense
}
criterion_main!(steps);
