//! No memory is allocated in an inner iteration of the Krylov path, and an outer iteration allocates nothing that grows
//! with the number of unknowns.

use std::sync::atomic::Ordering::Relaxed;

use crate::{LARGE_FROM, allocations};
use newton_krylov::{
    CubicRegularization, Expansion, InnerSolver, Lbfgs, LeastSquares, LevenbergMarquardt, LinearLeastSquares, Memory,
    Metric, Model, NewtonCg, Objective, Report, Result, Stopping, SymmetricOperator, TrustRegion,
    first_order::{Adam, FirstOrder, SteepestDescent},
    fit, linear_map,
    losses::BernoulliCrossEntropy,
    model, objective,
    operators::{BlockStructure, DiagonalOperator, with_second_order},
    steps::{LeastSquaresSteps, StepOptions, Steps, Subproblem},
};

/// Chained Rosenbrock without an allocation of its own.
fn valley(n: usize) -> impl Objective<f64> {
    objective(
        n,
        |x: &[f64]| x.windows(2).map(|p| 100.0 * (p[1] - p[0] * p[0]).powi(2) + (1.0 - p[0]).powi(2)).sum::<f64>(),
        move |x: &[f64], g: &mut [f64]| {
            g.fill(0.0);
            for i in 0..n - 1 {
                let bend = 200.0 * (x[i + 1] - x[i] * x[i]);
                g[i] += -2.0 * x[i] * bend - 2.0 * (1.0 - x[i]);
                g[i + 1] += bend;
            }
        },
        move |x: &[f64], v: &[f64], hv: &mut [f64]| {
            hv.fill(0.0);
            for i in 0..n - 1 {
                let across = -400.0 * x[i];
                hv[i] += (1200.0 * x[i] * x[i] - 400.0 * x[i + 1] + 2.0) * v[i] + across * v[i + 1];
                hv[i + 1] += across * v[i] + 200.0 * v[i + 1];
            }
        },
    )
}

fn products_allocate_nothing() {
    let n = 400;
    let m = DiagonalOperator((0..n).map(|i| 1e-4 + i as f64).collect());
    let g = vec![1.0; n];
    // Within the stored space, and beyond it in conjugate gradients.
    for basis in [100, 20] {
        let count = |max_products: usize| {
            let options = StepOptions { inner: InnerSolver::Krylov, basis, max_products, tolerance: 1e-14 };
            let mut steps = Steps::new(&m, &g, options).unwrap();
            let (step, made, _) = allocations(|| steps.solve(Subproblem::Damped(0.0)).unwrap());
            // Conjugate gradients may leave the last one unused.
            assert!(step.products + 1 >= max_products);
            made
        };
        count(100); // once-only tables of the linear algebra
        assert_eq!(count(5), count(15), "stored space");
        assert_eq!(count(40), count(80), "basis {basis}");
    }
    let mut steps = Steps::new(&m, &g, StepOptions { inner: InnerSolver::Krylov, ..StepOptions::default() }).unwrap();
    steps.solve(Subproblem::Damped(10.0)).unwrap();
    let (step, made, _) = allocations(|| steps.solve(Subproblem::Damped(20.0)).unwrap());
    assert_eq!((step.products, made), (0, 1), "a free answer allocates its step alone");
}

fn metric_products_allocate_nothing() {
    let (n, k) = (50, 20);
    // h_i(x) = sin(x_{i mod n})
    let waves = with_second_order(
        model(
            n * k,
            n,
            move |x: &[f64], h: &mut [f64]| (0..n * k).for_each(|i| h[i] = x[i % n].sin()),
            move |x, v, jv| (0..n * k).for_each(|i| jv[i] = x[i % n].cos() * v[i % n]),
            move |x, u, jtu| {
                jtu.fill(0.0);
                (0..n * k).for_each(|i| jtu[i % n] += x[i % n].cos() * u[i]);
            },
        ),
        move |x: &[f64], u, v, out| {
            out.fill(0.0);
            (0..n * k).for_each(|i| out[i % n] -= x[i % n].sin() * u[i] * v[i % n]);
        },
    );
    for metric in [
        Metric::Hessian,
        Metric::GaussNewton,
        Metric::GeneralizedGaussNewton,
        Metric::Fisher,
        Metric::SampledFisher { seed: 1, draws: 2 },
        Metric::EmpiricalFisher,
        Metric::GradientCovariance,
    ] {
        let loss = BernoulliCrossEntropy::new(vec![0.25; n * k], k).unwrap();
        let objective = fit(&waves, loss, metric).unwrap().with_regularization(0.1).unwrap();
        let x = vec![0.3; n];
        let at = objective.expand(&x);
        let (v, mut out) = (vec![1.0; n], vec![0.0; n]);
        at.gradient(&mut out);
        at.apply(&v, &mut out);
        let ((), made, _) = allocations(|| (0..5).for_each(|_| at.apply(&v, &mut out)));
        assert_eq!(made, 0, "{metric:?}");
    }
}

fn iterations_allocate_little() {
    let n = 300;
    let f = valley(n);
    let x0 = vec![-1.0; n];
    LARGE_FROM.store(n * 8, Relaxed);
    for memory in [Memory::Automatic, Memory::Forgetful(100), Memory::Vectors(30)] {
        let run = |method: usize, max_iterations: usize| {
            let stopping = Stopping { max_iterations, ..Stopping::default() };
            let (report, all, large): (Report<f64>, _, _) = allocations(|| {
                let inner = InnerSolver::Krylov;
                match method {
                    0 => TrustRegion { stopping, inner, memory }.minimize(&f, &x0),
                    1 => NewtonCg { stopping, inner, memory }.minimize(&f, &x0),
                    _ => CubicRegularization { stopping, inner, memory }.minimize(&f, &x0),
                }
                .unwrap()
            });
            assert_eq!(report.iterations(), max_iterations);
            (report, all, large)
        };
        for method in 0..3 {
            let k = 60;
            run(method, 2 * k); // the pool of threads is made once
            let ((short, few, few_large), (long, many, many_large)) = (run(method, k), run(method, 2 * k));
            let products = long.counts.products - short.counts.products;
            let extra = many - few;
            println!("{memory:?} {method}: {extra} allocations, {} large, {products} products", many_large - few_large);
            // History doubles a few times; remembered curvature is compressed now and then, a few vectors each time.
            assert!(extra <= 4 * k, "{memory:?} {method}: {extra} allocations in {k} iterations");
            // Without it, a box for each expansion.
            assert!(memory != Memory::Forgetful(100) || extra <= k + 3, "{method}: {extra} allocations");
            assert!(many_large - few_large <= k / 2 + 2, "{memory:?} {method}: {} large", many_large - few_large);
        }
    }
}

fn first_order_iterations_allocate_nothing() {
    let n = 300;
    let f = valley(n);
    let x0 = vec![-1.0; n];
    LARGE_FROM.store(n * 8, Relaxed);
    let stopping = |max_iterations| Stopping { max_iterations, gradient_relative: 0.0, ..Stopping::default() };
    let adam = |k| FirstOrder { stopping: stopping(k), ..FirstOrder::new(Adam::default()) }.minimize(&f, &x0);
    let lbfgs = |k| Lbfgs { stopping: stopping(k), ..Default::default() }.minimize(&f, &x0);
    let steepest = |k| SteepestDescent { stopping: stopping(k), ..Default::default() }.minimize(&f, &x0);
    type Run<'r> = &'r dyn Fn(usize) -> Result<Report<f64>>;
    let methods: [(&str, Run<'_>); 3] = [("adam", &adam), ("lbfgs", &lbfgs), ("steepest", &steepest)];
    for (name, method) in methods {
        let run = |k| {
            let (report, all, large) = allocations(|| method(k).unwrap());
            assert_eq!(report.iterations(), k);
            (report.counts.gradients, all, large)
        };
        let ((few, before, before_large), (many, after, after_large)) = (run(100), run(200));
        // A box for each expansion, at most; the history doubles, and the best point gets its own buffer once.
        let (extra, most) = (after - before, 2 * (many - few) + 3);
        assert!(extra <= most && after_large - before_large <= 2, "{name}: {extra} allocations in 100 iterations");
    }
}

/// Conjugate gradients with the reduced system of a chain, which take the longer the further they have to look.
fn reduced_products_allocate_nothing() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let run = |eliminate: bool, wave: f64| {
        let mut structure = BlockStructure::new();
        let (links, middles) = (structure.parameters(400, 2).unwrap(), structure.parameters(399, 1).unwrap());
        for i in 0..399 {
            structure.residual(2, &[links.start + i, middles.start + i, links.start + i + 1]).unwrap();
        }
        structure.residual(1, &[links.start]).unwrap();
        if eliminate {
            structure.eliminate(middles).unwrap();
        }
        let model = structure.model(|_, x: &[f64], r, jacobian| {
            let rows: &[f64] =
                if x.len() == 2 { &[0.1, 0.1] } else { &[1.0, 0.0, 0.3, -1.0, 0.0, 0.0, 1.0, 0.4, 0.0, -1.0] };
            for (r, row) in r.iter_mut().zip(rows.chunks_exact(x.len())) {
                *r = row.iter().zip(x).map(|(a, x)| a * x).sum();
            }
            if let Some(jacobian) = jacobian {
                jacobian.copy_from_slice(rows);
            }
        });
        let fit = LeastSquares::new(model);
        let x0: Vec<f64> = (0..fit.model().dim()).map(|j| (wave * j as f64).sin()).collect();
        let stopping = Stopping { max_iterations: 5, ..Stopping::default() };
        let solver = LevenbergMarquardt { stopping, inner: InnerSolver::Krylov, ..LevenbergMarquardt::default() };
        // Inside the pool: calls from outside allocate a place in its queue now and then.
        let (report, made, _) = pool.install(|| allocations(|| solver.minimize(&fit, &x0).unwrap()));
        assert_eq!((report.counts.values, report.history.len()), (6, 5));
        (report.counts.products, made)
    };
    for eliminate in [true, false] {
        run(eliminate, 1.0); // once-only tables
        let ((few, base), (many, more)) = (run(eliminate, 3.0), run(eliminate, 0.01));
        assert!(few != many, "both starts take {few} products");
        assert_eq!(base, more, "{few} and {many} products");
    }
}

fn least_squares_allocate_nothing() {
    // Σ over a path graph: rows xᵢ₊₁ − xᵢ and 0.01xᵢ.
    let n = 400;
    let map = linear_map(
        2 * n - 1,
        n,
        |v: &[f64], out: &mut [f64]| {
            (0..n - 1).for_each(|i| out[i] = v[i + 1] - v[i]);
            (0..n).for_each(|i| out[n - 1 + i] = 0.01 * v[i]);
        },
        |u: &[f64], out: &mut [f64]| {
            (0..n).for_each(|i| out[i] = 0.01 * u[n - 1 + i]);
            (0..n - 1).for_each(|i| out[i + 1] += u[i]);
            (0..n - 1).for_each(|i| out[i] -= u[i]);
        },
    );
    let b: Vec<f64> = (0..2 * n - 1).map(|i| (0.3 * i as f64).sin()).collect();
    for stored in [Some(0), Some(50), None] {
        let count = |max_iterations: usize| {
            let solver = LinearLeastSquares {
                max_iterations: Some(max_iterations),
                stored,
                tolerance: 1e-14,
                ..Default::default()
            };
            let (report, made, _) = allocations(|| solver.solve(&map, &b).unwrap());
            assert_eq!(report.iterations, max_iterations);
            made
        };
        assert_eq!(count(5), count(40), "{stored:?}");
        assert_eq!(count(40), count(80), "{stored:?}");
    }
    // Within the space and beyond it.
    for basis in [200, 10] {
        let mut steps = LeastSquaresSteps::new(&map, &b, 1e-10, basis).unwrap();
        steps.damped(1e3).unwrap();
        let (step, made, _) = allocations(|| steps.damped(1.0).unwrap());
        assert!(step.products > 10);
        let lsmr = if basis == 200 { 0 } else { 14 };
        assert!(made <= 1 + lsmr, "{made} allocations, {} products", step.products);
        let (step, made, _) = allocations(|| steps.damped(0.1).unwrap());
        assert!(step.products > 10 && made == 1, "{made} allocations, {} products", step.products);
        let (step, made, _) = allocations(|| steps.within(0.1).unwrap());
        assert!(basis == 10 || (step.products, made) == (0, 1), "{} products, {made} allocations", step.products);
        assert_eq!(made, 1);
    }
}

pub fn memory_is_allocated_once() {
    least_squares_allocate_nothing();
    products_allocate_nothing();
    metric_products_allocate_nothing();
    reduced_products_allocate_nothing();
    iterations_allocate_little();
    first_order_iterations_allocate_nothing();
}
