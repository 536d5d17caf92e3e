//! The checks pass what is right, in both precisions and at awkward points, and name what is wrong.

use std::cell::{Cell, RefCell};

use newton_krylov::check::{self, Definiteness, ObjectiveVerdict, Outcome};
use newton_krylov::{
    Error, Expansion, Objective, Scalar, SymmetricOperator, differences::Difference, objective,
    objective_from_gradient, operator,
};

/// Σ 100 (xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)², times `scale`, at x = unit·z.
struct Rosenbrock {
    dim: usize,
    scale: f64,
    unit: f64,
}

impl Rosenbrock {
    fn new(dim: usize) -> Self {
        Rosenbrock { dim, scale: 1.0, unit: 1.0 }
    }
    fn value<T: Scalar>(&self, x: &[T]) -> T {
        let z = |i: usize| x[i] / T::from_f64(self.unit);
        let hundred = T::from_f64(100.0);
        let terms = (0..self.dim - 1).map(|i| {
            let (r, s) = (z(i + 1) - z(i) * z(i), T::one() - z(i));
            hundred * r * r + s * s
        });
        T::from_f64(self.scale) * terms.fold(T::zero(), |a, b| a + b)
    }
    fn gradient<T: Scalar>(&self, x: &[T], g: &mut [T]) {
        let z = |i: usize| x[i] / T::from_f64(self.unit);
        let c = T::from_f64(self.scale / self.unit);
        let number = T::from_f64;
        g.fill(T::zero());
        for i in 0..self.dim - 1 {
            let r = z(i + 1) - z(i) * z(i);
            g[i] += c * (number(-400.0) * r * z(i) - number(2.0) * (T::one() - z(i)));
            g[i + 1] += c * number(200.0) * r;
        }
    }
    fn product<T: Scalar>(&self, x: &[T], v: &[T], hv: &mut [T]) {
        let z = |i: usize| x[i] / T::from_f64(self.unit);
        let c = T::from_f64(self.scale / self.unit / self.unit);
        let number = T::from_f64;
        hv.fill(T::zero());
        for i in 0..self.dim - 1 {
            let diagonal = number(1200.0) * z(i) * z(i) - number(400.0) * z(i + 1) + number(2.0);
            hv[i] += c * (diagonal * v[i] - number(400.0) * z(i) * v[i + 1]);
            hv[i + 1] += c * (number(200.0) * v[i + 1] - number(400.0) * z(i) * v[i]);
        }
    }

    fn objective<T: Scalar>(&self) -> impl Objective<T> + '_ {
        self.with_gradient(|x, g| self.gradient(x, g))
    }
    fn with_gradient<'a, T: Scalar>(&'a self, gradient: impl Fn(&[T], &mut [T]) + 'a) -> impl Objective<T> + 'a {
        objective(self.dim, |x: &[T]| self.value(x), gradient, |x, v, hv| self.product(x, v, hv))
    }
    fn with_product<'a>(&'a self, product: impl Fn(&[f64], &[f64], &mut [f64]) + 'a) -> impl Objective<f64> + 'a {
        objective(self.dim, |x: &[f64]| self.value(x), |x, g| self.gradient(x, g), product)
    }
}

fn point<T: Scalar>(dim: usize, unit: f64) -> Vec<T> {
    (0..dim).map(|i| T::from_f64(unit * (0.7 + 0.9 * (2.3 * i as f64 + 0.4).sin()))).collect()
}

fn must_pass<T: Scalar>(f: &impl Objective<T>, x: &[T]) -> ObjectiveVerdict {
    let mut last = None;
    for seed in 0..20 {
        let verdict = check::objective(f, x, seed).unwrap();
        assert!(verdict.passed(), "seed {seed}\n{verdict}");
        last = Some(verdict);
    }
    last.unwrap()
}

/// Runs several seeds and hands each verdict over.
fn every_seed<T: Scalar>(f: &impl Objective<T>, x: &[T], expect: impl Fn(&ObjectiveVerdict)) {
    for seed in 0..20 {
        let verdict = check::objective(f, x, seed).unwrap();
        assert!(!verdict.passed(), "seed {seed}\n{verdict}");
        expect(&verdict);
    }
}

fn assert_orders_are_two(verdict: &ObjectiveVerdict, margin: f64) {
    for test in [&verdict.gradient, &verdict.product] {
        let order = test.order.unwrap();
        assert!((order - 2.0).abs() < margin, "{verdict}");
    }
}

fn rosenbrock_passes<T: Scalar>() {
    for dim in [2, 50] {
        let r = Rosenbrock::new(dim);
        let f = r.objective::<T>();
        let verdict = must_pass(&f, &point(dim, 1.0));
        assert_orders_are_two(&verdict, if T::epsilon_f64() < 1e-10 { 0.1 } else { 0.6 });
    }
}

#[test]
fn rosenbrock_passes_in_both_precisions() {
    rosenbrock_passes::<f64>();
    rosenbrock_passes::<f32>();
}

fn log_sum_exp_passes<T: Scalar>() {
    fn softmax<T: Scalar>(x: &[T]) -> Vec<T> {
        let largest = x.iter().fold(x[0], |a, &b| a.max(b));
        let e: Vec<T> = x.iter().map(|&x| (x - largest).exp()).collect();
        let sum = e.iter().fold(T::zero(), |a, &b| a + b);
        e.into_iter().map(|e| e / sum).collect()
    }
    let value = |x: &[T]| {
        let largest = x.iter().fold(x[0], |a, &b| a.max(b));
        largest + x.iter().fold(T::zero(), |a, &b| a + (b - largest).exp()).ln()
    };
    let product = |x: &[T], v: &[T], hv: &mut [T]| {
        let p = softmax(x);
        let mean = p.iter().zip(v).fold(T::zero(), |a, (&p, &v)| a + p * v);
        (0..x.len()).for_each(|i| hv[i] = p[i] * (v[i] - mean));
    };
    let f = objective(10, value, |x, g: &mut [T]| g.copy_from_slice(&softmax(x)), product);
    let verdict = must_pass(&f, &point(10, 1.0));
    assert_eq!(verdict.operator.curvature.definiteness, Definiteness::NonNegative);
    must_pass(&f, &[T::zero(); 10]);
}

#[test]
fn log_sum_exp_passes_in_both_precisions() {
    log_sum_exp_passes::<f64>();
    log_sum_exp_passes::<f32>();
}

fn quadratic_passes<T: Scalar>(dim: usize, curvature: impl Fn(usize) -> f64 + Copy) -> ObjectiveVerdict {
    let c = move |i: usize| T::from_f64(curvature(i));
    let half = T::from_f64(0.5);
    let f = objective(
        dim,
        move |x: &[T]| x.iter().enumerate().fold(T::zero(), |s, (i, &x)| s + half * c(i) * x * x),
        move |x, g| (0..dim).for_each(|i| g[i] = c(i) * x[i]),
        move |_, v, hv| (0..dim).for_each(|i| hv[i] = c(i) * v[i]),
    );
    must_pass(&f, &vec![T::zero(); dim]);
    for unit in [1.0, 1e8, 1e-8] {
        must_pass(&f, &point(dim, unit));
    }
    must_pass(&f, &point(dim, 1.0))
}

#[test]
fn quadratics_pass_everywhere_and_their_curvature_is_seen() {
    for dim in [1, 30] {
        quadratic_passes::<f32>(dim, |i| 1.0 + i as f64);
        let convex = quadratic_passes::<f64>(dim, |i| 1.0 + i as f64);
        assert_eq!(convex.operator.curvature.definiteness, Definiteness::NonNegative);
        assert!(convex.operator.curvature.smallest >= 1.0 - 1e-12);
        assert!(convex.operator.curvature.largest <= dim as f64 + 1e-9);
    }
    let saddle = quadratic_passes::<f64>(30, |i| if i == 17 { -0.5 } else { 1.0 });
    assert_eq!(saddle.operator.curvature.definiteness, Definiteness::Indefinite);
    let concave = quadratic_passes::<f64>(30, |i| -1.0 - i as f64);
    assert_eq!(concave.operator.curvature.definiteness, Definiteness::NonPositive);
}

#[test]
fn badly_scaled_points_and_values_pass() {
    for unit in [1e8, 1.0, 1e-8] {
        for scale in [1e12, 1.0, 1e-12] {
            let r = Rosenbrock { dim: 6, scale, unit };
            let f = r.objective::<f64>();
            must_pass(&f, &point(6, unit));
        }
    }
    // Units that differ by 10¹⁶ within one point.
    let units = [1e8, 1.0, 1e-8];
    let f = objective(
        3,
        |x: &[f64]| (0..3).map(|i| (x[i] / units[i]).exp()).sum::<f64>(),
        |x, g| (0..3).for_each(|i| g[i] = (x[i] / units[i]).exp() / units[i]),
        |x, v, hv| (0..3).for_each(|i| hv[i] = (x[i] / units[i]).exp() / units[i] / units[i] * v[i]),
    );
    let verdict = check::objective(&f, &[0.3e8, 0.5, -0.2e-8], 1).unwrap();
    assert!(verdict.passed(), "{verdict}");
    // Far from Rosenbrock's own unit.
    let r = Rosenbrock::new(4);
    let f = r.objective::<f64>();
    for unit in [1e8, 1e-8] {
        must_pass(&f, &point(4, unit));
    }
}

#[test]
fn constant_and_linear_functions_pass() {
    for constant in [0.0, 1.0, 1e12] {
        let f = objective(3, move |_: &[f64]| constant, |_, g| g.fill(0.0), |_, _, hv: &mut [f64]| hv.fill(0.0));
        let verdict = must_pass(&f, &[1.0, -2.0, 0.0]);
        assert_eq!(verdict.gradient.finding.outcome, Outcome::OnlyRounding, "{verdict}");
        assert_eq!(verdict.product.finding.outcome, Outcome::OnlyRounding, "{verdict}");
        assert_eq!(verdict.operator.curvature.definiteness, Definiteness::Zero);
    }
    let f = objective(
        2,
        |x: &[f64]| 3.0 * x[0] - x[1] / 3.0 + 7.0,
        |_, g| g.copy_from_slice(&[3.0, -1.0 / 3.0]),
        |_, _, hv| hv.fill(0.0),
    );
    let verdict = must_pass(&f, &[0.3, 0.2]);
    assert!(verdict.gradient.finding.error < 1e-14, "{verdict}");
    must_pass(&f, &[0.0, 0.0]);
}

#[test]
fn a_vanishing_gradient_passes_and_a_forgotten_one_does_not() {
    // x³ + x⁴ + (x² of the other) at 0, where ∇f = 0 and the third derivative is not.
    let value = |x: &[f64]| x[0].powi(3) + x[0].powi(4) + x[1] * x[1];
    let gradient = |x: &[f64], g: &mut [f64]| {
        g[0] = 3.0 * x[0] * x[0] + 4.0 * x[0].powi(3);
        g[1] = 2.0 * x[1];
    };
    let product = |x: &[f64], v: &[f64], hv: &mut [f64]| {
        hv[0] = (6.0 * x[0] + 12.0 * x[0] * x[0]) * v[0];
        hv[1] = 2.0 * v[1];
    };
    must_pass(&objective(2, value, gradient, product), &[0.0, 0.0]);
    let r = Rosenbrock::new(5);
    let f = r.objective::<f64>();
    must_pass(&f, &[1.0; 5]);
    let forgotten = objective(2, value, |_, g| g.fill(0.0), product);
    every_seed(&forgotten, &[0.4, 0.3], |verdict| {
        assert_eq!(verdict.gradient.finding.outcome, Outcome::Factor(0.0), "{verdict}");
    });
}

#[test]
fn points_where_the_value_does_not_exist_shorten_the_sweep() {
    // −Σ ln x: NaN for x < 0, and x is close to that.
    let f = objective(
        3,
        |x: &[f64]| -x.iter().map(|x| x.ln()).sum::<f64>(),
        |x, g| (0..3).for_each(|i| g[i] = if x[i] > 0.0 { -1.0 / x[i] } else { f64::NAN }),
        |x, v, hv| (0..3).for_each(|i| hv[i] = v[i] / (x[i] * x[i])),
    );
    must_pass(&f, &[1.0, 1e-3, 0.2]);
    let isolated =
        objective(1, |x: &[f64]| if x[0] == 1.0 { 2.0 } else { f64::NAN }, |_, g| g[0] = 1.0, |_, v, hv| hv[0] = v[0]);
    every_seed(&isolated, &[1.0], |verdict| {
        assert_eq!(verdict.gradient.finding.outcome, Outcome::NotFiniteNearby, "{verdict}");
    });
}

#[test]
fn products_from_differences_pass() {
    for difference in [Difference::Forward, Difference::Central] {
        let r = Rosenbrock::new(6);
        let f = objective_from_gradient(6, |x: &[f64]| r.value(x), |x, g| r.gradient(x, g), difference);
        must_pass(&f, &point(6, 1.0));
    }
}

fn gradient_multiples_are_named<T: Scalar>() {
    let r = Rosenbrock::new(7);
    for (factor, outcome) in [(-1.0, Outcome::OppositeSign), (2.0, Outcome::Factor(2.0)), (0.5, Outcome::Factor(0.5))] {
        let gradient = |x: &[T], g: &mut [T]| {
            r.gradient(x, g);
            g.iter_mut().for_each(|g| *g *= T::from_f64(factor));
        };
        let f = r.with_gradient(gradient);
        every_seed(&f, &point(7, 1.0), |verdict| {
            assert_eq!(verdict.gradient.finding.outcome, outcome, "{verdict}");
            assert_eq!(verdict.product.finding.outcome, Outcome::Skipped, "{verdict}");
            assert!(verdict.operator.passed(), "{verdict}");
        });
    }
}

#[test]
fn a_gradient_of_wrong_sign_or_factor_is_named() {
    gradient_multiples_are_named::<f64>();
    gradient_multiples_are_named::<f32>();
    let f = objective(1, |x: &[f64]| x[0].sin(), |x, g| g[0] = -x[0].cos(), |x, v, hv| hv[0] = -x[0].sin() * v[0]);
    every_seed(&f, &[0.4], |verdict| {
        assert_eq!(verdict.gradient.finding.outcome, Outcome::OppositeSign);
        let text = verdict.to_string();
        assert!(text.contains("the gradient looks like −1 × the derivative of the value"), "{text}");
    });
    let r = Rosenbrock::new(7);
    let doubled = |x: &[f64], g: &mut [f64]| {
        r.gradient(x, g);
        g.iter_mut().for_each(|g| *g *= 7.0);
    };
    let f = r.with_gradient(doubled);
    let text = check::objective(&f, &point(7, 1.0), 3).unwrap().to_string();
    assert!(text.contains("the gradient looks like 7 × the derivative of the value"), "{text}");
}

fn wrong_component_is_found<T: Scalar>(damage: impl Fn(&mut [T], usize)) {
    let r = Rosenbrock::new(50);
    for wrong in [0, 23, 49] {
        let gradient = |x: &[T], g: &mut [T]| {
            r.gradient(x, g);
            damage(g, wrong);
        };
        let f = r.with_gradient(gradient);
        every_seed(&f, &point(50, 1.0), |verdict| {
            let expected = Outcome::WrongDerivative { component: Some(wrong) };
            assert_eq!(verdict.gradient.finding.outcome, expected, "{verdict}");
            // In f32 so small an error surfaces only where rounding begins.
            let order = verdict.gradient.order.unwrap();
            assert!(order < 1.6 || T::epsilon_f64() > 1e-10, "{verdict}");
        });
    }
}

#[test]
fn one_wrong_component_of_fifty_is_found() {
    wrong_component_is_found::<f64>(|g, i| g[i] = -g[i]);
    wrong_component_is_found::<f64>(|g, i| g[i] *= 1.01);
    // f32 allows 2.5e-3 of ‖g‖, which hides a whole component that is small (here the first). One that is wrong by the
    // root mean square of all components is found.
    wrong_component_is_found::<f32>(|g, i| g[i] += (g.iter().map(|g| g * g).sum::<f32>() / 50.0).sqrt());
}

#[test]
fn product_multiples_are_named() {
    let r = Rosenbrock::new(7);
    for (factor, outcome) in [(-1.0, Outcome::OppositeSign), (2.0, Outcome::Factor(2.0)), (0.0, Outcome::Factor(0.0))] {
        let f = r.with_product(move |x, v, hv| {
            Rosenbrock::new(7).product(x, v, hv);
            hv.iter_mut().for_each(|h| *h *= factor);
        });
        every_seed(&f, &point(7, 1.0), |verdict| {
            assert_eq!(verdict.product.finding.outcome, outcome, "{verdict}");
        });
    }
}

#[test]
fn an_asymmetric_product_is_named() {
    let r = Rosenbrock::new(7);
    // Only the lower of the two off-diagonal triangles.
    let f = r.with_product(|x, v, hv| {
        r.product(x, v, hv);
        (0..6).for_each(|i| hv[i] += 400.0 * x[i] * v[i + 1]);
    });
    every_seed(&f, &point(7, 1.0), |verdict| {
        assert_eq!(verdict.operator.symmetry.outcome, Outcome::Asymmetric, "{verdict}");
        assert!(verdict.operator.linearity.passed(), "{verdict}");
        assert!(!verdict.passed_as_metric());
    });
}

#[test]
fn a_missing_term_is_named() {
    let r = Rosenbrock::new(7);
    // The last row and column lose their coupling: symmetric, but indefinite or not as it happens.
    let f = r.with_product(|x, v, hv| {
        r.product(x, v, hv);
        hv[5] += 400.0 * x[5] * v[6] - 2000.0 * v[5];
        hv[6] += 400.0 * x[5] * v[5];
    });
    every_seed(&f, &point(7, 1.0), |verdict| {
        assert!(verdict.operator.passed(), "{verdict}");
        assert!(
            matches!(verdict.product.finding.outcome, Outcome::WrongDerivative { component: Some(5 | 6) }),
            "{verdict}"
        );
        assert!((verdict.product.order.unwrap() - 1.0).abs() < 0.2, "{verdict}");
    });
}

#[test]
fn a_gauss_newton_product_is_an_approximation() {
    let r = Rosenbrock::new(7);
    // Residuals 10 (xᵢ₊₁ − xᵢ²) and 1 − xᵢ: 2JᵀJ.
    let f = r.with_product(|x, v, hv| {
        hv.fill(0.0);
        for i in 0..6 {
            let jv = 10.0 * (v[i + 1] - 2.0 * x[i] * v[i]);
            hv[i] += 2.0 * (-20.0 * x[i] * jv + v[i]);
            hv[i + 1] += 2.0 * 10.0 * jv;
        }
    });
    every_seed(&f, &point(7, 1.0), |verdict| {
        assert_eq!(verdict.product.finding.outcome, Outcome::Approximation, "{verdict}");
        assert!((verdict.product.order.unwrap() - 1.0).abs() < 0.2, "{verdict}");
        assert!(verdict.passed_as_metric(), "{verdict}");
        assert!(verdict.to_string().contains("right for Gauss–Newton"));
    });
    // Where all residuals vanish it is the Hessian.
    assert!(check::objective(&f, &[1.0; 7], 1).unwrap().passed());
}

#[test]
fn a_nonlinear_product_is_named() {
    let r = Rosenbrock::new(7);
    let nonlinear: [fn(f64) -> f64; 3] = [f64::abs, |h| h + 1.0, |h| h + 1e-3 * h * h];
    for bend in nonlinear {
        let r = &r;
        let f = r.with_product(move |x, v, hv| {
            r.product(x, v, hv);
            hv.iter_mut().for_each(|h| *h = bend(*h));
        });
        every_seed(&f, &point(7, 1.0), |verdict| {
            assert_eq!(verdict.operator.linearity.outcome, Outcome::Nonlinear, "{verdict}");
            assert_eq!(verdict.operator.symmetry.outcome, Outcome::Skipped, "{verdict}");
            assert_eq!(verdict.product.finding.outcome, Outcome::Skipped, "{verdict}");
        });
    }
}

#[test]
fn evaluations_that_are_not_repeatable_are_named() {
    let r = Rosenbrock::new(7);
    let calls = Cell::new(0.0);
    let drift = || {
        calls.set(calls.get() + 1e-9);
        1.0 + calls.get()
    };
    let f = r.with_product(|x, v, hv| {
        r.product(x, v, hv);
        hv[3] *= drift();
    });
    every_seed(&f, &point(7, 1.0), |verdict| {
        assert_eq!(verdict.operator.evaluation.outcome, Outcome::NotRepeatable, "{verdict}");
        assert_eq!(verdict.findings().iter().filter(|finding| !finding.passed()).count(), 4, "{verdict}");
    });
    let gradient = |x: &[f64], g: &mut [f64]| {
        r.gradient(x, g);
        g[3] *= drift();
    };
    let f = r.with_gradient(gradient);
    every_seed(&f, &point(7, 1.0), |verdict| {
        assert_eq!(verdict.gradient_evaluation.outcome, Outcome::NotRepeatable, "{verdict}");
    });
    let value = |x: &[f64]| r.value(x) * drift();
    let f = objective(7, value, |x, g| r.gradient(x, g), |x, v, hv| r.product(x, v, hv));
    every_seed(&f, &point(7, 1.0), |verdict| {
        assert_eq!(verdict.value.outcome, Outcome::NotRepeatable, "{verdict}");
    });
}

#[test]
fn outputs_that_are_read_or_left_are_named() {
    let r = Rosenbrock::new(7);
    let f = r.with_product(|x, v, hv| {
        let mut fresh = vec![0.0; 7];
        r.product(x, v, &mut fresh);
        hv.iter_mut().zip(&fresh).for_each(|(h, f)| *h += f);
    });
    every_seed(&f, &point(7, 1.0), |verdict| {
        assert_eq!(verdict.operator.evaluation.outcome, Outcome::ReadsOutput, "{verdict}");
    });
    // Content that is NaN is noticed and replaced; other content is not.
    let f = r.with_product(|x, v, hv| {
        let before = hv[2];
        r.product(x, v, hv);
        hv[2] += if before.is_nan() { 0.0 } else { 1e-6 * before };
    });
    every_seed(&f, &point(7, 1.0), |verdict| {
        assert_eq!(verdict.operator.evaluation.outcome, Outcome::ReadsOutput, "{verdict}");
    });
    let gradient = |x: &[f64], g: &mut [f64]| {
        let mut fresh = [0.0; 7];
        r.gradient(x, &mut fresh);
        g[..6].copy_from_slice(&fresh[..6]);
    };
    let f = r.with_gradient(gradient);
    every_seed(&f, &point(7, 1.0), |verdict| {
        assert_eq!(verdict.gradient_evaluation.outcome, Outcome::Unwritten { component: 6 }, "{verdict}");
    });
    // Where differences of gradients make products the gradient is kept inside, and is no number before it is written.
    let f = objective_from_gradient(7, |x: &[f64]| r.value(x), gradient, Difference::Central);
    every_seed(&f, &point(7, 1.0), |verdict| {
        let missing = Outcome::NotFinite { component: Some(6) };
        assert_eq!(verdict.gradient_evaluation.outcome, missing, "{verdict}");
    });
}

#[test]
fn callbacks_that_are_not_finite_are_named() {
    let r = Rosenbrock::new(7);
    let f = r.with_product(|x, v, hv| {
        r.product(x, v, hv);
        hv[4] = f64::NAN;
    });
    every_seed(&f, &point(7, 1.0), |verdict| {
        assert_eq!(verdict.operator.evaluation.outcome, Outcome::NotFinite { component: Some(4) }, "{verdict}");
        assert!(verdict.gradient.finding.passed(), "{verdict}");
    });
    let hopeless =
        objective(3, |_: &[f64]| f64::NAN, |_, g| g.fill(f64::NAN), |_, _, hv: &mut [f64]| hv.fill(f64::NAN));
    every_seed(&hopeless, &[1.0, 2.0, 3.0], |verdict| {
        assert_eq!(verdict.value.outcome, Outcome::NotFinite { component: None });
        assert_eq!(verdict.gradient_evaluation.outcome, Outcome::NotFinite { component: Some(0) });
        assert_eq!(verdict.operator.evaluation.outcome, Outcome::NotFinite { component: Some(0) });
        assert!(verdict.to_string().contains("the value is not finite at x"), "{verdict}");
    });
}

#[test]
fn a_product_of_a_stale_point_is_named() {
    let r = Rosenbrock::new(7);
    // The product uses the point of the last gradient.
    let last = RefCell::new(vec![0.0; 7]);
    let gradient = |x: &[f64], g: &mut [f64]| {
        last.borrow_mut().copy_from_slice(x);
        r.gradient(x, g);
    };
    let f = objective(7, |x: &[f64]| r.value(x), gradient, |_: &[f64], v, hv| r.product(&last.borrow(), v, hv));
    every_seed(&f, &point(7, 1.0), |verdict| {
        assert_eq!(verdict.operator.evaluation.outcome, Outcome::StalePoint, "{verdict}");
    });
    // The product uses the first point it ever saw; so does, then, the gradient.
    for seed in 0..20 {
        let first = RefCell::new(None);
        let remember = |x: &[f64]| first.borrow_mut().get_or_insert_with(|| x.to_vec()).clone();
        let f = r.with_product(|x, v, hv| r.product(&remember(x), v, hv));
        let verdict = check::objective(&f, &point(7, 1.0), seed).unwrap();
        assert_eq!(verdict.product.finding.outcome, Outcome::StalePoint, "{verdict}");

        let first = RefCell::new(None);
        let remember = |x: &[f64]| first.borrow_mut().get_or_insert_with(|| x.to_vec()).clone();
        let gradient = |x: &[f64], g: &mut [f64]| r.gradient(&remember(x), g);
        let f = r.with_gradient(gradient);
        let verdict = check::objective(&f, &point(7, 1.0), seed).unwrap();
        assert_eq!(verdict.gradient.finding.outcome, Outcome::StalePoint, "{verdict}");
    }
}

/// ½‖x‖², whose expansion lies about its dimension or its value.
struct Inconsistent {
    expansion_dim: usize,
    shift: f64,
}

struct InconsistentAt<'a> {
    x: &'a [f64],
    parent: &'a Inconsistent,
}

impl Objective<f64> for Inconsistent {
    fn dim(&self) -> usize {
        3
    }
    fn value(&self, x: &[f64]) -> f64 {
        0.5 * x.iter().map(|x| x * x).sum::<f64>()
    }
    fn expand<'a>(&'a self, x: &'a [f64]) -> impl Expansion<f64> + 'a {
        InconsistentAt { x, parent: self }
    }
}

impl SymmetricOperator<f64> for InconsistentAt<'_> {
    fn dim(&self) -> usize {
        self.parent.expansion_dim
    }
    fn apply(&self, v: &[f64], out: &mut [f64]) {
        out.copy_from_slice(v);
    }
}

impl Expansion<f64> for InconsistentAt<'_> {
    fn value(&self) -> f64 {
        self.parent.value(self.x) + self.parent.shift
    }
    fn gradient(&self, out: &mut [f64]) {
        out.copy_from_slice(self.x);
    }
}

#[test]
fn an_expansion_that_disagrees_is_named() {
    let x = [1.0, 2.0, 3.0];
    must_pass(&Inconsistent { expansion_dim: 3, shift: 0.0 }, &x);
    every_seed(&Inconsistent { expansion_dim: 4, shift: 0.0 }, &x, |verdict| {
        assert_eq!(verdict.dimension.outcome, Outcome::DimensionDiffers { objective: 3, expansion: 4 });
        assert!(verdict.to_string().contains("the objective has dimension 3, but its expansion has 4"));
    });
    every_seed(&Inconsistent { expansion_dim: 3, shift: 0.1 }, &x, |verdict| {
        assert_eq!(verdict.expansion_value.outcome, Outcome::ValueDiffers, "{verdict}");
        assert_eq!(verdict.findings().iter().filter(|finding| !finding.passed()).count(), 1);
    });
}

#[test]
fn bare_operators_are_checked() {
    let shifted = operator(40, |v: &[f64], out: &mut [f64]| {
        for i in 0..40 {
            let (left, right) = (if i > 0 { v[i - 1] } else { 0.0 }, v.get(i + 1).copied().unwrap_or(0.0));
            out[i] = 2.0 * v[i] - left - right;
        }
    });
    let verdict = check::operator(&shifted, 4).unwrap();
    assert!(verdict.passed(), "{verdict}");
    assert_eq!(verdict.curvature.definiteness, Definiteness::NonNegative);
    assert!(verdict.curvature.largest < 4.0 && verdict.curvature.smallest > 0.0);
    let indefinite = operator(1, |v: &[f32], out: &mut [f32]| out[0] = -v[0]);
    let verdict = check::operator(&indefinite, 4).unwrap();
    assert!(verdict.passed(), "{verdict}");
    assert_eq!(verdict.curvature.definiteness, Definiteness::NonPositive);
    assert!(matches!(
        check::operator(&operator(0, |_: &[f64], _: &mut [f64]| ()), 1),
        Err(Error::ZeroDimension { .. })
    ));
}

#[test]
fn callers_mistakes_are_errors() {
    let f = Inconsistent { expansion_dim: 3, shift: 0.0 };
    for refused in [check::gradient(&f, &[1.0; 2], 1), check::product(&f, &[1.0; 2], 1)] {
        assert!(matches!(refused, Err(Error::Length { expected: 3, found: 2, .. })));
    }
    assert!(matches!(check::objective(&f, &[1.0; 4], 1), Err(Error::Length { expected: 3, found: 4, .. })));
    let nan = check::objective(&f, &[1.0, f64::NAN, 1.0], 1);
    assert!(matches!(nan, Err(Error::NotFinite { index: Some(1), .. })));
}

#[test]
fn a_seed_fixes_everything_and_the_counts_are_those_documented() {
    let r = Rosenbrock::new(7);
    let (values, gradients, products) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let count = |cell: &Cell<usize>| cell.set(cell.get() + 1);
    let f = objective(
        7,
        |x: &[f64]| {
            count(&values);
            r.value(x)
        },
        |x, g| {
            count(&gradients);
            r.gradient(x, g)
        },
        |x, v, hv| {
            count(&products);
            r.product(x, v, hv)
        },
    );
    let x = point(7, 1.0);
    let first = check::objective(&f, &x, 9).unwrap();
    assert_eq!((first.values, first.gradients, first.products), (values.get(), gradients.get(), products.get()));
    assert!(first.values <= 170 && first.gradients <= 180 && first.products <= 34, "{first}");
    assert_eq!(first, check::objective(&f, &x, 9).unwrap());
    assert_ne!(first, check::objective(&f, &x, 10).unwrap());
    println!("{first}");
}
