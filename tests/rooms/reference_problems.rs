//! The reference problems against their truths: differences for derivatives, published minima for values.

use crate::numbers::numbers;
use newton_krylov::problems::{ChainedRosenbrock, GinzburgLandau, Minimum, MoreGarbowHillstrom};
use newton_krylov::{Expansion, Objective, Scalar, SymmetricOperator};

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

fn moved(x: &[f64], step: f64, v: &[f64]) -> Vec<f64> {
    x.iter().zip(v).map(|(x, v)| x + step * v).collect()
}

fn gradient<T: Scalar>(objective: &impl Objective<T>, x: &[T]) -> Vec<T> {
    let mut g = vec![T::nan(); x.len()];
    objective.expand(x).gradient(&mut g);
    g
}

fn product<T: Scalar>(objective: &impl Objective<T>, x: &[T], v: &[T]) -> Vec<T> {
    let mut out = vec![T::nan(); x.len()];
    objective.expand(x).apply(v, &mut out);
    out
}

/// Richardson's extrapolation of central differences, (4 D(h/2) − D(h))/3: error O(h⁴).
fn derivative(h: f64, f: impl Fn(f64) -> f64) -> f64 {
    let central = |h: f64| (f(h) - f(-h)) / (2.0 * h);
    (4.0 * central(h / 2.0) - central(h)) / 3.0
}

/// Gradient against differences of the value, product against differences of the gradient, symmetry.
fn check_derivatives(name: &str, objective: &impl Objective<f64>, x: &[f64], h: f64, tolerance: f64) {
    let n = x.len();
    // Directions in the units of x.
    let unit = |seed| numbers::<f64>(n, seed).iter().zip(x).map(|(d, x)| d * x.abs().max(0.1)).collect::<Vec<_>>();
    let (v, w) = (unit(1), unit(2));
    let (g, hv, hw) = (gradient(objective, x), product(objective, x, &v), product(objective, x, &w));
    let at = objective.expand(x);
    assert_eq!(at.value(), objective.value(x), "{name}: value of the expansion");
    assert_eq!(SymmetricOperator::dim(&at), n);

    let slope = derivative(h, |h| objective.value(&moved(x, h, &v)));
    let size: f64 = g.iter().zip(&v).map(|(g, v)| (g * v).abs()).sum();
    let floor = 1e-15 * objective.value(x).abs() / h;
    assert!((slope - dot(&g, &v)).abs() <= tolerance * size + floor, "{name}: gradient {} not {slope}", dot(&g, &v));

    let scale = norm(&hv).max(norm(&g));
    for probe in [&v, &w] {
        let bend = derivative(h, |h| dot(&gradient(objective, &moved(x, h, &v)), probe));
        let exact = dot(&hv, probe);
        assert!((bend - exact).abs() <= tolerance * scale * norm(probe), "{name}: product {exact} not {bend}");
    }
    let (a, b) = (dot(&w, &hv), dot(&v, &hw));
    assert!((a - b).abs() <= 1e-11 * (norm(&w) * norm(&hv) + norm(&v) * norm(&hw)), "{name}: {a} against {b}");
}

/// The same objective in f32.
fn check_single(name: &str, double: &impl Objective<f64>, single: &impl Objective<f32>, x: &[f64]) {
    let narrow = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<_>>();
    let x32 = narrow(x);
    // The same rounded point in both.
    let x: Vec<f64> = x32.iter().map(|&x| x.into()).collect();
    let v: Vec<f64> = numbers::<f64>(x.len(), 5).iter().map(|&v| f64::from(v as f32)).collect();
    let relative = |a: &[f64], b: &[f32]| {
        let difference: Vec<f64> = a.iter().zip(b).map(|(a, &b)| a - f64::from(b)).collect();
        norm(&difference) / (norm(a) + 1e-3)
    };
    let (a, b) = (double.value(&x), single.value(&x32));
    assert!((a - b).abs() <= 1e-4 * a.abs() + 1e-7, "{name}: value {a} in f64, {b} in f32");
    let error = relative(&gradient(double, &x), &gradient(single, &x32));
    assert!(error < 1e-3, "{name}: gradient in f32 off by {error}");
    let error = relative(&product(double, &x, &v), &product(single, &x32, &narrow(&v)));
    assert!(error < 1e-3, "{name}: product in f32 off by {error}");
}

/// Solves (H + shift·diag|H|) δ = −g by Cholesky's factorisation; `None` if the matrix is not positive definite.
fn damped_step(h: &[f64], g: &[f64], shift: f64) -> Option<Vec<f64>> {
    let n = g.len();
    let mut l = h.to_vec();
    for i in 0..n {
        l[i * n + i] += shift * h[i * n + i].abs().max(1e-10);
    }
    for j in 0..n {
        for k in 0..j {
            for i in j..n {
                l[j * n + i] -= l[k * n + i] * l[k * n + j];
            }
        }
        let pivot = l[j * n + j];
        if pivot.is_nan() || pivot <= 0.0 {
            return None;
        }
        for i in j..n {
            l[j * n + i] /= pivot.sqrt();
        }
    }
    let mut d: Vec<f64> = g.iter().map(|g| -g).collect();
    for j in 0..n {
        d[j] /= l[j * n + j];
        for i in j + 1..n {
            d[i] -= l[j * n + i] * d[j];
        }
    }
    for j in (0..n).rev() {
        for i in j + 1..n {
            d[j] -= l[j * n + i] * d[i];
        }
        d[j] /= l[j * n + j];
    }
    Some(d)
}

/// Newton's method with the whole matrix and Marquardt's damping: simple, and independent of the crate's solvers.
fn minimize(objective: &impl Objective<f64>, start: &[f64]) -> (f64, Vec<f64>) {
    let n = start.len();
    let (mut x, mut value) = (start.to_vec(), objective.value(start));
    let mut h = vec![0.0; n * n];
    let mut shift = 1e-3;
    for _ in 0..2000 {
        let g = gradient(objective, &x);
        objective.expand(&x).form(&mut h);
        loop {
            let trial = damped_step(&h, &g, shift).map(|step| moved(&x, 1.0, &step));
            let reached = trial.as_ref().map_or(f64::NAN, |t| objective.value(t));
            if reached < value {
                (x, value) = (trial.unwrap(), reached);
                shift = if shift < 1e-12 { 0.0 } else { shift / 5.0 };
                break;
            }
            shift = if shift == 0.0 { 1e-12 } else { shift * 4.0 };
            if shift > 1e12 {
                return (value, x);
            }
        }
    }
    (value, x)
}

/// Whether a value is the published one, to the six digits that are printed, or zero up to rounding.
fn agrees(value: f64, published: f64) -> bool {
    if published == 0.0 { value < 1e-20 } else { (value / published - 1.0).abs() < 1.2e-5 }
}

/// Dimensions whose minima the paper gives, next to the default ones.
fn more_dimensions() -> Vec<MoreGarbowHillstrom> {
    [(20, 6), (20, 12), (23, 4), (24, 4), (27, 5), (35, 5), (35, 7), (35, 9), (35, 10)]
        .into_iter()
        .map(|(number, n)| MoreGarbowHillstrom::new(number, n).unwrap())
        .collect()
}

/// Points where derivatives are checked: the start, and one beside it.
fn points(start: Vec<f64>) -> [Vec<f64>; 2] {
    let beside =
        start.iter().zip(numbers::<f64>(start.len(), 3)).map(|(x, d)| x + 0.05 * d * x.abs().max(0.2)).collect();
    [start, beside]
}

fn label(problem: &MoreGarbowHillstrom) -> String {
    format!("{problem}, m = {}", problem.terms())
}

/// The step of difference quotients: polynomials of degree 50 bend within less than the others.
fn step(problem: &MoreGarbowHillstrom) -> f64 {
    if problem.number() == 35 { 1e-5 } else { 1e-3 }
}

/// The chained problems, the energies, and their names.
fn others() -> (Vec<ChainedRosenbrock>, Vec<GinzburgLandau<f64>>) {
    let chained = [2, 3, 50].map(|n| ChainedRosenbrock::new(n).unwrap()).to_vec();
    let energies = vec![
        GinzburgLandau::discrete(1, 10.0).unwrap(),
        GinzburgLandau::discrete(4, 10.0).unwrap(),
        GinzburgLandau::continuous(5, 100.0).unwrap(),
        GinzburgLandau::discrete(41, 10.0).unwrap(),
    ];
    (chained, energies)
}

#[test]
fn derivatives_are_those_of_the_value() {
    for problem in MoreGarbowHillstrom::all().into_iter().chain(more_dimensions()).chain(MoreGarbowHillstrom::large()) {
        for x in points(problem.start()) {
            check_derivatives(&label(&problem), &problem, &x, step(&problem), 1e-7);
        }
    }
    let (chained, energies) = others();
    for problem in chained {
        for x in points(problem.start()) {
            check_derivatives("chained Rosenbrock", &problem, &x, 1e-3, 1e-8);
        }
    }
    for energy in energies {
        for x in points(energy.truth()).iter().skip(1).chain([&energy.start()]) {
            check_derivatives("Ginzburg–Landau", &energy, x, 1e-3, 1e-7);
        }
    }
}

#[test]
fn jacobian_products_are_adjoint_and_derivatives_of_the_residuals() {
    for problem in MoreGarbowHillstrom::all().into_iter().chain(MoreGarbowHillstrom::large()) {
        let (n, m) = (problem.unknowns(), problem.terms());
        for x in points(problem.start()) {
            let v: Vec<f64> = numbers::<f64>(n, 1).iter().zip(&x).map(|(d, x)| d * x.abs().max(0.1)).collect();
            let u = numbers::<f64>(m, 2);
            let (mut jv, mut jtu, mut r) = (vec![f64::NAN; m], vec![f64::NAN; n], vec![f64::NAN; m]);
            problem.jacobian_product(&x, &v, &mut jv);
            problem.jacobian_transpose_product(&x, &u, &mut jtu);
            problem.residuals(&x, &mut r);
            let (a, b) = (dot(&u, &jv), dot(&v, &jtu));
            let size = norm(&u) * norm(&jv) + norm(&v) * norm(&jtu);
            assert!((a - b).abs() <= 1e-12 * size, "{}: {a} against {b}", label(&problem));
            assert!((problem.value(&x) - dot(&r, &r)).abs() <= 1e-13 * dot(&r, &r), "{}", label(&problem));
            for i in 0..m {
                let slope = derivative(step(&problem), |h| {
                    let mut r = vec![0.0; m];
                    problem.residuals(&moved(&x, h, &v), &mut r);
                    r[i]
                });
                let error = (slope - jv[i]).abs();
                assert!(error <= 1e-8 * norm(&jv) + 1e-11 * r[i].abs(), "{} row {i}: {error:e}", label(&problem));
                if m > 100 && i > 5 {
                    break;
                }
            }
        }
    }
}

#[test]
fn published_minima_are_reached() {
    for problem in MoreGarbowHillstrom::all().into_iter().chain(more_dimensions()) {
        let minima = problem.minima();
        let (value, _) = minimize(&problem, &problem.start::<f64>());
        match problem.number() {
            // From its start this one falls into a minimum that the paper does not list.
            26 => assert!(agrees(value, 2.79506e-5), "{}: {value:e}", label(&problem)),
            _ => assert!(minima.iter().any(|m| agrees(value, m.value)), "{}: {value:e}", label(&problem)),
        }
        for Minimum { value, minimizer } in minima {
            let Some(point) = minimizer else { continue };
            let (reached, minimizer) = minimize(&problem, &point);
            assert!(agrees(reached, value), "{}: {reached:e} near {point:?}", label(&problem));
            let distance = norm(&moved(&minimizer, -1.0, &point));
            assert!(distance <= 1e-3 * norm(&point), "{}: {distance:e} away", label(&problem));
        }
    }
}

/// The published minima that neither the standard start nor a published minimiser leads to.
#[test]
fn remaining_published_minima_hold() {
    // (18): a stationary point with two equal exponentials, from which descent leads on to F = 0.
    let biggs = MoreGarbowHillstrom::new(18, 6).unwrap();
    let point = [1.711416, 17.6831975, 1.16314365, 5.18656, 1.711416, 1.16314365];
    let value = biggs.value(&point);
    assert!(agrees(value, 5.65565e-3) && norm(&gradient(&biggs, &point)) < 1e-6, "{value:e}");

    // (8): approached at (0.8406…, −∞, −∞).
    let bard = MoreGarbowHillstrom::new(8, 3).unwrap();
    let value = bard.value(&[0.840_666_666_666_667, -1e12, -1e12]);
    assert!(agrees(value, 17.4286), "{value}");

    // (15): approached at (∞, −14.07…, −∞, −∞), where y is fitted by c (14.07 u − u²)/(u + ρ); F is quadratic in c.
    let kowalik = MoreGarbowHillstrom::new(15, 4).unwrap();
    let mut best = f64::INFINITY;
    for i in 0..1000 {
        let ratio = 0.2 + 1e-3 * i as f64;
        let [none, one, two] = [0.0, 1.0, 2.0].map(|c| kowalik.value(&[c * 1e9, -14.07, -1e9, -ratio * 1e9]));
        let (linear, square) = (2.0 * one - 0.5 * two - 1.5 * none, 0.5 * (two - 2.0 * one + none));
        best = best.min(none - linear * linear / (4.0 * square));
    }
    assert!((best / 1.02734e-3 - 1.0).abs() < 1e-5, "{best:e}");
}

#[test]
fn single_precision_agrees_with_double() {
    for problem in MoreGarbowHillstrom::all() {
        for x in points(problem.start()) {
            check_single(&label(&problem), &problem, &problem, &x);
        }
    }
    let chained = ChainedRosenbrock::new(30).unwrap();
    check_single("chained Rosenbrock", &chained, &chained, &chained.start::<f64>());
    let double = GinzburgLandau::<f64>::continuous(9, 20.0).unwrap();
    let single = GinzburgLandau::<f32>::continuous(9, 20.0).unwrap();
    check_single("Ginzburg–Landau", &double, &single, &numbers::<f64>(729, 4));
}

#[test]
fn dimensions_and_starts_follow_the_paper() {
    let all = MoreGarbowHillstrom::all();
    assert_eq!(all.len(), 35);
    for (i, problem) in all.iter().enumerate() {
        assert_eq!(problem.number(), i + 1);
        let start = problem.start::<f64>();
        assert_eq!(start.len(), problem.unknowns());
        let with_terms = MoreGarbowHillstrom::with_terms(i + 1, problem.unknowns(), problem.terms());
        assert_eq!(with_terms.as_ref(), Ok(problem));
        let scaled = problem.scaled_start::<f64>(10.0);
        let zero = problem.number() == 20;
        assert!(start.iter().zip(&scaled).all(|(x, s)| *s == if zero { 10.0 } else { 10.0 * x }));
        assert_eq!(problem.scaled_start::<f64>(1.0), start);
    }
    assert_eq!(all[20].to_string(), "(21) Extended Rosenbrock, n = 10");
    assert_eq!(ChainedRosenbrock::new(7).unwrap().to_string(), "Chained Rosenbrock, n = 7");
    for problem in MoreGarbowHillstrom::large() {
        assert!(problem.unknowns() >= 50 && problem.value(&problem.start::<f64>()).is_finite(), "{}", label(&problem));
    }
    for (number, n) in [(0, 2), (36, 2), (1, 3), (20, 1), (20, 32), (21, 3), (22, 6), (34, 2), (28, 0), (35, 0)] {
        assert!(MoreGarbowHillstrom::new(number, n).is_err(), "({number}) with n = {n}");
    }
    assert!(MoreGarbowHillstrom::with_terms(32, 5, 4).is_err());
    assert!(MoreGarbowHillstrom::with_terms(11, 3, 101).is_err());
    assert!(ChainedRosenbrock::new(1).is_err());
    assert!(GinzburgLandau::<f64>::discrete(0, 1.0).is_err());
    assert!(GinzburgLandau::<f64>::discrete(2, f64::NAN).is_err());
}

#[test]
fn overflow_is_not_hidden() {
    let jennrich = MoreGarbowHillstrom::new(6, 2).unwrap();
    assert_eq!(jennrich.value(&[100.0, 0.1]), f64::INFINITY);
    let helical = MoreGarbowHillstrom::new(7, 3).unwrap();
    assert!(helical.value(&[0.0; 3]).is_nan());
}

#[test]
fn chained_rosenbrock_has_its_minimum_at_ones() {
    for n in [2, 3, 40] {
        let problem = ChainedRosenbrock::new(n).unwrap();
        assert_eq!(problem.value(&vec![1.0; n]), 0.0);
        assert!(norm(&gradient(&problem, &vec![1.0; n])) == 0.0);
    }
    let problem = ChainedRosenbrock::new(3).unwrap();
    let (value, x) = minimize(&problem, &problem.start::<f64>());
    assert!(value < 1e-20 && moved(&x, -1.0, &[1.0; 3]).iter().all(|d| d.abs() < 1e-9));
}

#[test]
fn discrete_truth_is_stationary_and_minimal() {
    let energy = GinzburgLandau::<f64>::discrete(12, 20.0).unwrap();
    let truth = energy.truth();
    let size = norm(&gradient(&energy, &energy.start()));
    assert!(norm(&gradient(&energy, &truth)) < 1e-12 * size);
    let best = energy.value(&truth);
    for seed in 0..5 {
        assert!(energy.value(&moved(&truth, 0.1, &numbers::<f64>(truth.len(), seed))) > best);
    }
}

/// Newton's method with conjugate gradients, for the convex energy.
fn solve_convex(energy: &GinzburgLandau<f64>) -> Vec<f64> {
    let mut u = energy.start();
    let target = 1e-11 * norm(&gradient(energy, &u));
    for _ in 0..30 {
        let g = gradient(energy, &u);
        if norm(&g) <= target {
            break;
        }
        let at = energy.expand(&u);
        let (mut step, mut r) = (vec![0.0; u.len()], moved(&vec![0.0; u.len()], -1.0, &g));
        let (mut p, mut ap) = (r.clone(), vec![f64::NAN; u.len()]);
        while norm(&r) > 1e-6 * norm(&g) {
            at.apply(&p, &mut ap);
            let (rr, alpha) = (dot(&r, &r), dot(&r, &r) / dot(&p, &ap));
            step = moved(&step, alpha, &p);
            r = moved(&r, -alpha, &ap);
            p = moved(&r, dot(&r, &r) / rr, &p);
        }
        let (value, mut length) = (energy.value(&u), 1.0);
        while energy.value(&moved(&u, length, &step)) > value + 1e-12 * value.abs() {
            length /= 2.0;
        }
        drop(at);
        u = moved(&u, length, &step);
    }
    u
}

#[test]
fn continuous_truth_is_approached_like_h_squared() {
    let errors = [7, 15, 31].map(|points| {
        let energy = GinzburgLandau::continuous(points, 20.0).unwrap();
        let u = solve_convex(&energy);
        u.iter().zip(energy.truth()).map(|(u, t)| (u - t).abs()).fold(0.0, f64::max)
    });
    for pair in errors.windows(2) {
        let ratio = pair[0] / pair[1];
        assert!((3.6..4.4).contains(&ratio), "errors {errors:?}");
    }
}

#[test]
fn energies_do_not_depend_on_the_number_of_threads() {
    let energy = GinzburgLandau::<f64>::continuous(43, 50.0).unwrap();
    let (u, v) = (numbers::<f64>(energy.truth().len(), 1), numbers::<f64>(energy.truth().len(), 2));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (energy.value(&u).to_bits(), gradient(&energy, &u), product(&energy, &u, &v)))
    };
    assert_eq!(run(1), run(3));
}
