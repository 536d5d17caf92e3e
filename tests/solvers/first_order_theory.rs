//! What theory says of first-order methods, tested as it is written.

use crate::vectors::norm;
use newton_krylov::{
    InnerSolver, Objective, Scalar, Stopping, TrustRegion,
    differences::Difference,
    first_order::{
        AdaGrad, Adam, FirstOrder, FullAdaGrad, GradientDescent, GradientMethod, HeavyBall, LineSearch, Momentum,
        Nesterov, SteepestDescent,
    },
    objective, objective_from_gradient, operator,
    operators::DiagonalOperator,
    preconditioners::{DiagonalPreconditioner, with_preconditioner},
    random::SplitMix64,
    steps::{StepOptions, Steps, Subproblem},
};

/// A generator of uniform numbers in (−1, 1), fixed by its seed.
fn uniform(seed: u64) -> impl FnMut() -> f64 {
    let mut random = SplitMix64::new(seed);
    move || 2.0 * random.uniform() - 1.0
}

/// ½ Σ wᵢxᵢ², the minimum 0 at 0.
fn quadratic<T: Scalar>(w: &[f64]) -> impl Objective<T> + '_ {
    objective(
        w.len(),
        move |x: &[T]| x.iter().zip(w).map(|(&x, w)| 0.5 * w * x.into() * x.into()).sum::<f64>(),
        move |x, g| g.iter_mut().zip(x).zip(w).for_each(|((g, &x), w)| *g = T::from_f64(*w) * x),
        move |_, v, hv| hv.iter_mut().zip(v).zip(w).for_each(|((hv, &v), w)| *hv = T::from_f64(*w) * v),
    )
}

/// Σ ln(1 + exp(aᵢᵀx)) with several aᵢ and −aᵢ: convex, not strongly, with a minimum at 0; L ≤ ¼ Σ‖aᵢ‖² known.
struct SoftPlus {
    rows: Vec<[f64; 3]>,
}

impl SoftPlus {
    fn new() -> Self {
        let mut draw = uniform(3);
        let mut rows = vec![];
        for i in 0..6 {
            // Rows of very different lengths: badly conditioned.
            let a: [f64; 3] = std::array::from_fn(|_| draw() * 10_f64.powi(-(i % 3)));
            rows.push(a);
            rows.push(a.map(|v| -v));
        }
        SoftPlus { rows }
    }

    fn lipschitz(&self) -> f64 {
        0.25 * self.rows.iter().flatten().map(|v| v * v).sum::<f64>()
    }

    fn minimum(&self) -> f64 {
        self.rows.len() as f64 * std::f64::consts::LN_2
    }

    fn value(&self, x: &[f64]) -> f64 {
        let softplus = |z: f64| z.max(0.0) + (-z.abs()).exp().ln_1p();
        self.rows.iter().map(|a| softplus(a.iter().zip(x).map(|(a, x)| a * x).sum())).sum()
    }

    fn gradient(&self, x: &[f64], g: &mut [f64]) {
        g.fill(0.0);
        for a in &self.rows {
            let z: f64 = a.iter().zip(x).map(|(a, x)| a * x).sum();
            g.iter_mut().zip(a).for_each(|(g, a)| *g += a / (1.0 + (-z).exp()));
        }
    }
}

/// The points x₁, x₂, … of `steps` steps with the given gradient.
fn path<T: Scalar>(
    method: &impl GradientMethod,
    x0: &[T],
    steps: usize,
    gradient: impl Fn(&[T], &mut [T]),
) -> Vec<Vec<T>> {
    let (mut x, mut g, mut moments) = (x0.to_vec(), vec![T::zero(); x0.len()], method.moments(x0.len()));
    (0..steps)
        .map(|_| {
            gradient(&x, &mut g);
            method.step(&mut moments, &g, &mut x).unwrap();
            x.clone()
        })
        .collect()
}

/// f(xₖ) − f* ≤ ‖x₀ − x*‖²/(2tk) for t ≤ 1/L, and every step lowers f by at least t(1 − Lt/2)‖g‖².
#[test]
fn gradient_descent_keeps_its_bound() {
    let f = SoftPlus::new();
    let x0 = [3.0, -5.0, 4.0];
    for share in [1.0, 0.5, 0.1] {
        let rate = share / f.lipschitz();
        let mut before = x0.to_vec();
        for (k, x) in path(&GradientDescent { rate }, &x0, 300, |x, g| f.gradient(x, g)).iter().enumerate() {
            let gap = f.value(x) - f.minimum();
            assert!(gap <= norm(&x0).powi(2) / (2.0 * rate * (k + 1) as f64), "step {k}: {gap}");
            let mut g = [0.0; 3];
            f.gradient(&before, &mut g);
            let decrease = f.value(&before) - f.value(x);
            assert!(decrease >= rate * (1.0 - 0.5 * share) * norm(&g).powi(2) - 1e-14 * f.minimum(), "step {k}");
            before.clone_from(x);
        }
    }
}

/// The bound is not empty: on ½Lx² the decrease at 1/L is exactly ‖g‖²/(2L), and beyond 2/L the method diverges.
#[test]
fn the_decrease_is_attained_and_two_over_l_is_the_limit() {
    let w = [26.0];
    let f = quadratic::<f64>(&w);
    let x = &path(&GradientDescent { rate: 1.0 / 26.0 }, &[2.0], 1, |x, g| g[0] = 26.0 * x[0])[0];
    assert!((f.value(&[2.0]) - f.value(x) - 52.0_f64.powi(2) / 52.0).abs() < 1e-12);
    let run = |rate| FirstOrder::new(GradientDescent { rate }).minimize(&f, &[2.0]).unwrap();
    assert!(run(1.99 / 26.0).termination.converged());
    assert_eq!(run(2.01 / 26.0).termination, newton_krylov::Termination::Diverged);
}

/// The backtracking estimate of 1/L keeps the same two inequalities with the rate that it finds, which is at least 1/2L.
#[test]
fn backtracking_estimates_one_over_l() {
    let f = SoftPlus::new();
    let o = objective_from_gradient(3, |x: &[f64]| f.value(x), |x, g| f.gradient(x, g), Difference::Forward);
    let x0 = [3.0, -5.0, 4.0];
    let report = SteepestDescent { search: LineSearch::Backtracking, ..Default::default() }.minimize(&o, &x0).unwrap();
    assert!(report.termination.converged(), "{report}");
    let mut rate = f64::INFINITY;
    for (k, it) in report.history.iter().enumerate() {
        assert!(it.control <= rate && it.control >= 0.5 / f.lipschitz());
        rate = it.control;
        assert!(it.value - f.minimum() <= norm(&x0).powi(2) / (2.0 * rate * (k + 1) as f64) + 1e-12, "step {k}");
    }
}

/// f(xₖ) − f* ≤ 2L‖x₀ − x*‖²/(k + 1)², for xₖ = yₖ₋₁ − ∇f(yₖ₋₁)/L; on Nesterov's worst function, where plain gradient
/// descent is far above the bound.
#[test]
fn nesterov_keeps_its_bound() {
    // ½(x₁² + Σ(xᵢ − xᵢ₊₁)² + xₙ²)/4 − x₁/4 (Nesterov 2004, section 2.1.2): L = 1, xᵢ* = 1 − i/(n + 1).
    let n = 201;
    let gradient = |x: &[f64], g: &mut [f64]| {
        for i in 0..n {
            let (left, right) = (if i > 0 { x[i - 1] } else { 0.0 }, if i + 1 < n { x[i + 1] } else { 0.0 });
            g[i] = 0.25 * (2.0 * x[i] - left - right) - if i == 0 { 0.25 } else { 0.0 };
        }
    };
    let solution: Vec<f64> = (1..=n).map(|i| 1.0 - i as f64 / (n + 1) as f64).collect();
    // f(x) − f* = ½(x − x*)ᵀ∇f(x), f being quadratic with ∇f(x*) = 0.
    let gap = |x: &[f64]| {
        let mut g = vec![0.0; n];
        gradient(x, &mut g);
        0.5 * x.iter().zip(&solution).zip(&g).map(|((x, s), g)| (x - s) * g).sum::<f64>()
    };
    let distance = norm(&solution).powi(2);
    let bound = |k: usize| 2.0 * distance / ((k + 1) as f64).powi(2);

    let x0 = vec![0.0; n];
    let method = Nesterov { rate: 1.0, momentum: Momentum::Convex };
    let ahead = path(&method, &x0, 400, gradient);
    let mut g = vec![0.0; n];
    for k in 1..=400 {
        let y = if k == 1 { &x0 } else { &ahead[k - 2] };
        gradient(y, &mut g);
        let x: Vec<f64> = y.iter().zip(&g).map(|(y, g)| y - g).collect();
        assert!(gap(&x) <= bound(k), "step {k}: {} above {}", gap(&x), bound(k));
    }
    let plain = path(&GradientDescent { rate: 1.0 }, &x0, 400, gradient);
    assert!(gap(&plain[399]) > bound(400), "the bound would be kept by anything");
}

/// The heavy ball with Polyak's constants loses the factor √β = (√κ − 1)/(√κ + 1) per step, gradient descent with its
/// best constant (κ − 1)/(κ + 1).
#[test]
fn the_heavy_ball_has_its_rate() {
    let kappa = 400_f64;
    let w: Vec<f64> = (0..20).map(|i| kappa.powf(i as f64 / 19.0)).collect();
    let gradient = |x: &[f64], g: &mut [f64]| (0..20).for_each(|i| g[i] = w[i] * x[i]);
    let rate_of = |points: &[Vec<f64>]| {
        let (a, b) = (points.len() / 2, points.len() - 1);
        (norm(&points[b]) / norm(&points[a])).powf(1.0 / (b - a) as f64)
    };
    let heavy = rate_of(&path(&HeavyBall::for_quadratic(1.0, kappa).unwrap(), &[1.0; 20], 1200, gradient));
    let expected = (kappa.sqrt() - 1.0) / (kappa.sqrt() + 1.0);
    // The roots of the characteristic polynomial are double at both ends: k·√βᵏ, hence the small surplus.
    assert!((heavy - expected).abs() < 0.1 * (1.0 - expected), "{heavy} instead of {expected}");
    let plain = rate_of(&path(&GradientDescent { rate: 2.0 / (1.0 + kappa) }, &[1.0; 20], 1200, gradient));
    let expected = (kappa - 1.0) / (kappa + 1.0);
    assert!((plain - expected).abs() < 0.01 * (1.0 - expected), "{plain} instead of {expected}");
}

/// The form with a moving average is the heavy ball with the rate (1 − γ)η.
#[test]
fn a_moving_average_is_a_heavy_ball() {
    let f = SoftPlus::new();
    let (eta, gamma) = (0.3, 0.9);
    let (mut x, mut m, mut g) = ([3.0, -5.0, 4.0], [0.0; 3], [0.0; 3]);
    for point in path(&HeavyBall::averaged(eta, gamma), &x, 100, |x, g| f.gradient(x, g)) {
        f.gradient(&x, &mut g);
        for i in 0..3 {
            m[i] = gamma * m[i] + (1.0 - gamma) * g[i];
            x[i] -= eta * m[i];
        }
        assert!(point.iter().zip(&x).all(|(p, x)| (p - x).abs() <= 1e-12));
    }
}

/// Duchi, Hazan & Singer (2011), theorem 5: Σ fₜ(xₜ) − fₜ(x*) ≤ (D²/(2α) + α) Σᵢ ‖g₁:T,ᵢ‖₂ with D ≥ maxₜ ‖xₜ − x*‖∞, on
/// linear-plus-hinge losses |aₜᵀx − bₜ| with rare features of many scales, against every comparator tried.
#[test]
fn adagrad_keeps_its_regret_bound() {
    let d = 8;
    for (seed, rate) in [(1, 1.0), (2, 0.3), (3, 3.0)] {
        let mut draw = uniform(seed);
        let truth: Vec<f64> = (0..d).map(|_| 2.0 * draw()).collect();
        let data: Vec<(Vec<f64>, f64)> = (0..2000)
            .map(|_| {
                // Feature j occurs with probability 2⁻ʲ.
                let a: Vec<f64> = (0..d)
                    .map(|j| if 0.5 * (draw() + 1.0) < 0.5_f64.powi(j) { draw() * 3_f64.powi(j - 4) } else { 0.0 })
                    .collect::<Vec<_>>();
                let b = a.iter().zip(&truth).map(|(a, x)| a * x).sum::<f64>() + 0.1 * draw();
                (a, b)
            })
            .collect();
        let loss = |x: &[f64], (a, b): &(Vec<f64>, f64)| (a.iter().zip(x).map(|(a, x)| a * x).sum::<f64>() - b).abs();

        let method = AdaGrad { rate, ..AdaGrad::default() };
        let (mut x, mut moments) = (vec![0.0; d as usize], method.moments(d as usize));
        let (mut points, mut total, mut squares) = (vec![], 0.0, vec![0.0; d as usize]);
        for sample in &data {
            points.push(x.clone());
            total += loss(&x, sample);
            let sign = (sample.0.iter().zip(&x).map(|(a, x)| a * x).sum::<f64>() - sample.1).signum();
            let g: Vec<f64> = sample.0.iter().map(|a| sign * a).collect();
            squares.iter_mut().zip(&g).for_each(|(s, g)| *s += g * g);
            method.step(&mut moments, &g, &mut x).unwrap();
        }
        let sum: f64 = squares.iter().map(|s: &f64| s.sqrt()).sum();
        for comparator in [truth.clone(), vec![0.0; d as usize], truth.iter().map(|x| 0.9 * x).collect()] {
            let regret = total - data.iter().map(|sample| loss(&comparator, sample)).sum::<f64>();
            let diameter = points
                .iter()
                .flat_map(|x| x.iter().zip(&comparator).map(|(x, c)| (x - c).abs()).collect::<Vec<_>>())
                .fold(0.0, f64::max);
            let bound = (diameter * diameter / (2.0 * rate) + rate) * sum;
            assert!(regret <= bound, "regret {regret} above {bound}");
            // Regret per round vanishes: the bound is of use.
            assert!(regret < 0.5 * data.len() as f64);
        }
    }
}

/// With the full matrix a rotation of x rotates the whole path; with the diagonal it does not.
#[test]
fn full_adagrad_does_not_depend_on_the_axes() {
    let w = [1.0, 30.0];
    let (sin, cos) = 0.7_f64.sin_cos();
    let rotate = |x: &[f64]| vec![cos * x[0] - sin * x[1], sin * x[0] + cos * x[1]];
    let back = |x: &[f64]| vec![cos * x[0] + sin * x[1], -sin * x[0] + cos * x[1]];
    let plain = |x: &[f64], g: &mut [f64]| (0..2).for_each(|i| g[i] = w[i] * x[i]);
    let turned = |x: &[f64], g: &mut [f64]| {
        let x = back(x);
        g.copy_from_slice(&rotate(&[w[0] * x[0], w[1] * x[1]]));
    };
    let x0 = [1.0, -2.0];
    let apart = |straight: Vec<Vec<f64>>, turned: Vec<Vec<f64>>| {
        let distances = straight.iter().zip(&turned).map(|(x, y)| norm(&[rotate(x)[0] - y[0], rotate(x)[1] - y[1]]));
        distances.fold(0.0, f64::max)
    };
    let full = FullAdaGrad { rate: 0.3, ..FullAdaGrad::default() };
    assert!(apart(path(&full, &x0, 50, plain), path(&full, &rotate(&x0), 50, turned)) < 1e-10);
    let diagonal = AdaGrad { rate: 0.3, ..AdaGrad::default() };
    assert!(apart(path(&diagonal, &x0, 50, plain), path(&diagonal, &rotate(&x0), 50, turned)) > 1e-2);
}

/// One Newton step solves a quadratic: in the metric of its own Hessian its level sets are circles.
#[test]
fn one_newton_step_solves_a_quadratic() {
    let w: Vec<f64> = (0..6).map(|i| 10_f64.powi(i)).collect();
    let x0 = [1.0, -2.0, 3.0, -4.0, 5.0, -6.0];
    let f = quadratic::<f64>(&w);
    for inner in [InnerSolver::Dense, InnerSolver::Krylov] {
        let report = TrustRegion { inner, ..Default::default() }.minimize(&f, &x0).unwrap();
        assert!(report.termination.converged());
        if inner == InnerSolver::Dense {
            // The radius starts at the minimum along −g, and is the only reason for a second step.
            assert!(report.iterations() <= 2, "{report:#}");
        }
    }
    let metric = with_preconditioner(&f, |_: &[f64]| DiagonalPreconditioner::new(w.clone()).unwrap());
    let report = FirstOrder::new(GradientDescent { rate: 1.0 }).minimize(&metric, &x0).unwrap();
    assert_eq!(report.iterations(), 1);
    assert!(report.x.iter().all(|x| x.abs() < 1e-15));
}

/// Gradient descent on u, with x = Ru, is descent on x with P⁻¹ = RRᵀ: to 1e-10 in f64 and 1e-4 in f32.
#[test]
fn a_change_of_variables_is_a_preconditioner() {
    fn largest_difference<T: Scalar>() -> f64 {
        let r = [[2.0, 0.0, 0.0], [0.5, 1.0, 0.0], [-0.3, 0.4, 0.2]];
        let times = |m: &dyn Fn(usize, usize) -> f64, v: &[T]| -> Vec<T> {
            let row = |i: usize| (0..3).map(|j| m(i, j) * v[j].into()).sum::<f64>();
            (0..3).map(|i| T::from_f64(row(i))).collect()
        };
        let by_r = |v: &[T]| times(&|i, j| r[i][j], v);
        let by_r_transposed = |v: &[T]| times(&|i, j| r[j][i], v);
        let f = SoftPlus::new();
        let as_f64 = |x: &[T]| -> Vec<f64> { x.iter().map(|&x| x.into()).collect() };
        let gradient = |x: &[T]| -> Vec<T> {
            let mut g = [0.0; 3];
            f.gradient(&as_f64(x), &mut g);
            g.iter().map(|&g| T::from_f64(g)).collect()
        };

        let u0: Vec<T> = [1.0, -2.0, 3.0].map(T::from_f64).to_vec();
        let on_u = path(&GradientDescent { rate: 0.1 }, &u0, 200, |u, g| {
            g.copy_from_slice(&by_r_transposed(&gradient(&by_r(u))))
        });

        let on_x = objective_from_gradient(
            3,
            |x: &[T]| f.value(&as_f64(x)),
            |x, g| g.copy_from_slice(&gradient(x)),
            Difference::Forward,
        );
        let on_x = with_preconditioner(on_x, |_: &[T]| {
            |_: f64, v: &mut [T]| {
                let product = by_r(&by_r_transposed(v));
                v.copy_from_slice(&product);
            }
        });
        let solver = FirstOrder {
            stopping: Stopping { max_iterations: 200, gradient_relative: 0.0, ..Stopping::default() },
            ..FirstOrder::new(GradientDescent { rate: 0.1 })
        };
        let (mut k, mut worst) = (0, 0.0_f64);
        let observe = |progress: &newton_krylov::Progress<T>| {
            let u = if k == 0 { &u0 } else { &on_u[k - 1] };
            for (a, b) in by_r(u).iter().zip(progress.x) {
                worst = worst.max(((*a).into() - (*b).into()).abs());
            }
            k += 1;
            std::ops::ControlFlow::Continue(())
        };
        solver.minimize_with(&on_x, &by_r(&u0), observe).unwrap();
        assert!(k > 100, "only {k} points");
        worst
    }
    assert!(largest_difference::<f64>() < 1e-10);
    assert!(largest_difference::<f32>() < 1e-4);
}

/// 5x² + 13y² has the condition number 26/10 = 2.6. With exact searches from (κ, 1)/… the worst path loses exactly
/// ((κ − 1)/(κ + 1))² of f per step, and successive gradients are orthogonal: the zigzag.
#[test]
fn zigzag_goes_with_the_condition_number() {
    let w = [10.0, 26.0];
    let kappa = w[1] / w[0];
    assert_eq!(kappa, 2.6);
    let f = quadratic::<f64>(&w);
    // From (κ, 1) the gradient is (26, 26)·: both directions have equal weight, the worst case.
    let (mut x, mut before) = (vec![kappa, 1.0], None::<[f64; 2]>);
    for _ in 0..10 {
        let g = [w[0] * x[0], w[1] * x[1]];
        let rate = (g[0] * g[0] + g[1] * g[1]) / (w[0] * g[0] * g[0] + w[1] * g[1] * g[1]);
        let next = path(&GradientDescent { rate }, &x, 1, |_, out| out.copy_from_slice(&g)).remove(0);
        let factor = f.value(&next) / f.value(&x);
        assert!((factor - ((kappa - 1.0) / (kappa + 1.0)).powi(2)).abs() < 1e-12);
        if let Some(b) = before {
            assert!((b[0] * g[0] + b[1] * g[1]).abs() <= 1e-12 * norm(&b) * norm(&g));
        }
        (x, before) = (next, Some(g));
    }
    // Steps to a tolerance grow in proportion to κ, and with the metric A = ∇²f they do not.
    let steps = |kappa: f64, metric: bool| {
        let w = [1.0, kappa];
        let f = quadratic::<f64>(&w);
        let solver = SteepestDescent { search: LineSearch::StrongWolfe, ..Default::default() };
        let report = if metric {
            let f = with_preconditioner(&f, |_: &[f64]| DiagonalPreconditioner::new(w.to_vec()).unwrap());
            solver.minimize(&f, &[kappa, 1.0])
        } else {
            solver.minimize(&f, &[kappa, 1.0])
        }
        .unwrap();
        assert!(report.termination.converged(), "{report}");
        report.iterations() as f64
    };
    let fixed = |kappa: f64| {
        let w = [1.0, kappa];
        let report = FirstOrder::new(GradientDescent { rate: 2.0 / (1.0 + kappa) })
            .minimize(&quadratic::<f64>(&w), &[kappa, 1.0]);
        report.unwrap().iterations() as f64
    };
    let growth = fixed(1000.0) / fixed(100.0);
    assert!((growth - 10.0).abs() < 0.5, "{growth}");
    assert!(steps(1e4, true) <= 3.0 && steps(1e2, false) > 10.0);
}

/// E[vₜ] = σ²(1 − β₂ᵗ): Adam's second moment of independent gradients, within three standard errors at every t.
#[test]
fn adams_second_moment_has_its_bias() {
    let adam = Adam::default();
    let (d, sigma) = (200_000, 1.7);
    let mut draw = uniform(11);
    let mut moments = adam.moments::<f64>(d);
    let mut x = vec![0.0; d];
    for t in 1..=5 {
        // Uniform in ±√3σ: variance σ², and E[g⁴] = 9σ⁴/5.
        let g: Vec<f64> = (0..d).map(|_| 3_f64.sqrt() * sigma * draw()).collect();
        adam.step(&mut moments, &g, &mut x).unwrap();
        let mean = moments.second.iter().sum::<f64>() / d as f64;
        let expected = sigma * sigma * (1.0 - adam.beta2.powi(t));
        let variance_of_square = (9.0 / 5.0 - 1.0) * sigma.powi(4);
        let weights: f64 = (0..t).map(|s| ((1.0 - adam.beta2) * adam.beta2.powi(s)).powi(2)).sum();
        let standard_error = (weights * variance_of_square / d as f64).sqrt();
        assert!((mean - expected).abs() <= 3.0 * standard_error, "t = {t}: {mean}, {expected} ± {standard_error}");
        // So small an error sees the bias itself.
        assert!(10.0 * standard_error < expected);
    }
    // In the first step the correction makes m̂/√v̂ = ±1, whatever the scale of g: a step of length α.
    for scale in [1e-3, 1.0, 1e6] {
        let mut x = [0.0_f64];
        adam.step(&mut adam.moments(1), &[scale], &mut x).unwrap();
        assert!((x[0] / -adam.rate - 1.0).abs() < 1e-4);
    }
}

/// In the metric A no direction of the same length √(δᵀAδ) descends faster than −A⁻¹g.
#[test]
fn the_step_is_the_steepest_descent_of_its_metric() {
    let a = [[4.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.5, -1.0, 2.0]];
    let length = |v: &[f64]| (0..3).map(|i| (0..3).map(|j| v[i] * a[i][j] * v[j]).sum::<f64>()).sum::<f64>().sqrt();
    let g = [1.0, -2.0, 0.5];
    let slope = |v: &[f64]| v.iter().zip(&g).map(|(v, g)| v * g).sum::<f64>();
    // The metric ball solutions with the same direction as gradient descent preconditioned by A.
    let metric = operator(3, |v: &[f64], out: &mut [f64]| {
        (0..3).for_each(|i| out[i] = (0..3).map(|j| a[i][j] * v[j]).sum());
    });
    let mut steps = Steps::new(&metric, &g, StepOptions { tolerance: 1e-12, ..StepOptions::default() }).unwrap();
    let step = steps.solve(Subproblem::MetricBall(0.3)).unwrap();
    assert!((length(&step.step) - 0.3).abs() < 1e-10);
    let steepest = slope(&step.step);
    let mut draw = uniform(5);
    for _ in 0..10_000 {
        let v: Vec<f64> = (0..3).map(|_| draw()).collect();
        let scale = 0.3 / length(&v);
        assert!(slope(&v) * scale >= steepest - 1e-12);
    }
}

/// argmin gᵀδ + δᵀAδ/(2α) and argmin gᵀδ subject to δᵀAδ ≤ ε² are the same step for ε = α√(gᵀA⁻¹g): the metric ball,
/// the damped step with M = A/α, and gradient descent with the preconditioner A.
#[test]
fn proximal_and_constrained_forms_agree() {
    let diagonal = [0.5, 2.0, 30.0];
    let g = [1.0, -2.0, 0.5];
    let squared: f64 = g.iter().zip(&diagonal).map(|(g, a)| g * g / a).sum();
    let options = || StepOptions { tolerance: 1e-13, ..StepOptions::default() };
    for alpha in [0.01, 1.0, 20.0] {
        let metric = DiagonalOperator(diagonal.to_vec());
        let epsilon = alpha * squared.sqrt();
        let constrained = Steps::new(&metric, &g, options()).unwrap().solve(Subproblem::MetricBall(epsilon)).unwrap();
        let scaled = DiagonalOperator(diagonal.iter().map(|a| a / alpha).collect());
        let proximal = Steps::new(&scaled, &g, options()).unwrap().solve(Subproblem::Damped(0.0)).unwrap();
        let preconditioned: Vec<f64> = g.iter().zip(&diagonal).map(|(g, a)| g / a).collect();
        let descent =
            &path(&GradientDescent { rate: alpha }, &[0.0; 3], 1, |_, out| out.copy_from_slice(&preconditioned))[0];
        for i in 0..3 {
            assert!((constrained.step[i] - descent[i]).abs() <= 1e-10 * alpha);
            assert!((proximal.step[i] - descent[i]).abs() <= 1e-10 * alpha);
        }
    }
}
