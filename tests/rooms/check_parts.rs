//! Checks of the parts that a problem is made of: each passes what is right, and names what was made wrong.

use std::cell::Cell;

use newton_krylov::check::{self, Outcome};
use newton_krylov::losses::*;
use newton_krylov::operators::{Counted, DiagonalOperator};
use newton_krylov::random::*;
use newton_krylov::*;

/// 10¹⁰ numbers, made of 10⁵ products.
#[test]
fn a_matrix_larger_than_memory_is_not_formed() {
    let n = 100_000;
    let (products, scaled) = (Cell::new(0), |v: &[f64], out: &mut [f64]| (0..n).for_each(|i| out[i] = i as f64 * v[i]));
    let product = |v: &[f64], out: &mut [f64]| {
        products.set(products.get() + 1);
        scaled(v, out);
    };
    let verdict = check::linear_map(&linear_map(n, n, product, scaled), 1).unwrap();
    assert!(verdict.passed() && products.get() < 30, "{verdict} {}", products.get());
}

#[test]
fn linear_maps_are_checked() {
    let (m, n) = (5, 3);
    let a = |i: usize, j: usize| ((1 + i * n + j) as f64).sin();
    let product = |v: &[f64], out: &mut [f64]| (0..m).for_each(|i| out[i] = (0..n).map(|j| a(i, j) * v[j]).sum());
    let transpose = |u: &[f64], out: &mut [f64]| (0..n).for_each(|j| out[j] = (0..m).map(|i| a(i, j) * u[i]).sum());
    for seed in 0..10 {
        let good = check::linear_map(&linear_map(m, n, product, transpose), seed).unwrap();
        assert!(good.passed(), "{good}");
        let wrong = linear_map(m, n, product, |u: &[f64], out: &mut [f64]| {
            transpose(u, out);
            out[1] *= -1.0;
        });
        assert_eq!(check::linear_map(&wrong, seed).unwrap().adjoint.outcome, Outcome::NotAdjoint);
        let bent = linear_map(m, n, |v: &[f64], out: &mut [f64]| (0..m).for_each(|i| out[i] = v[0] * v[0]), transpose);
        assert_eq!(check::linear_map(&bent, seed).unwrap().linearity.outcome, Outcome::Nonlinear);
        let left = linear_map(m, n, product, |u: &[f64], out: &mut [f64]| {
            let mut whole = vec![0.0; n];
            transpose(u, &mut whole);
            out[1..].copy_from_slice(&whole[1..]);
        });
        let verdict = check::linear_map(&left, seed).unwrap();
        assert_eq!(verdict.transpose_evaluation.outcome, Outcome::Unwritten { component: 0 }, "{verdict}");
        let fails = linear_map(m, n, |_: &[f64], _: &mut [f64]| Err::<(), _>("no"), transpose);
        assert!(matches!(check::linear_map(&fails, seed), Err(Error::Callback(_))));
    }
}

#[test]
fn what_is_left_unwritten_somewhere_is_named() {
    // f = Σ x⁴/4 whose derivatives forget a component only on one side of a plane, or along some directions.
    let n = 6;
    let value = |x: &[f64]| x.iter().map(|x| x.powi(4) / 4.0).sum::<f64>();
    let gradient = |x: &[f64], g: &mut [f64]| (0..n).for_each(|i| g[i] = x[i].powi(3));
    let product = |x: &[f64], v: &[f64], hv: &mut [f64]| (0..n).for_each(|i| hv[i] = 3.0 * x[i] * x[i] * v[i]);
    let x: Vec<f64> = (0..n).map(|i| 0.5 + 0.1 * i as f64).collect();
    let (mut gradients, mut products) = (0, 0);
    for seed in 0..36 {
        let left = objective(
            n,
            value,
            |y: &[f64], g: &mut [f64]| {
                (0..n).filter(|&i| i != 4 || y[0] <= x[0]).for_each(|i| g[i] = y[i].powi(3));
            },
            product,
        );
        let verdict = check::objective(&left, &x, seed).unwrap();
        gradients += usize::from(verdict.gradient_evaluation.outcome == Outcome::Unwritten { component: 4 });
        let left = objective(n, value, gradient, |x: &[f64], v: &[f64], hv: &mut [f64]| {
            (0..n).filter(|&i| i != 2 || v[0] <= 0.1).for_each(|i| hv[i] = 3.0 * x[i] * x[i] * v[i]);
        });
        let verdict = check::objective(&left, &x, seed).unwrap();
        products += usize::from(verdict.operator.evaluation.outcome == Outcome::Unwritten { component: 2 });
    }
    assert_eq!((gradients, products), (36, 36));

    // The same of residuals and their products.
    for seed in 0..10 {
        let left = |which: usize| {
            let x = x.clone();
            least_squares(
                n,
                n,
                {
                    let x = x.clone();
                    move |y: &[f64], r: &mut [f64]| {
                        (0..n).filter(|&i| which != 0 || i != 3 || y[0] <= x[0]).for_each(|i| r[i] = y[i] * y[i]);
                    }
                },
                move |x, v, jv| {
                    (0..n).filter(|&i| which != 1 || i != 3 || v[0] <= 0.1).for_each(|i| jv[i] = 2.0 * x[i] * v[i]);
                },
                move |x, u, jtu| {
                    (0..n).filter(|&i| which != 2 || i != 3 || u[0] <= 0.1).for_each(|i| jtu[i] = 2.0 * x[i] * u[i]);
                },
            )
        };
        let found = |which| check::least_squares(&left(which), &x, seed).unwrap();
        let unwritten = Outcome::Unwritten { component: 3 };
        assert_eq!(found(0).residuals.outcome, unwritten);
        assert_eq!(found(1).product_evaluation.outcome, unwritten);
        assert_eq!(found(2).transpose_evaluation.outcome, unwritten);
        assert!(found(3).passed());
    }
}

#[test]
fn a_callbacks_error_comes_out_of_a_check() {
    let fails = |which: usize| {
        let fail = move |w: usize| if w == which { Err("no") } else { Ok(()) };
        objective(
            1,
            move |x: &[f64]| fail(0).map(|()| x[0].exp()),
            move |x, g| fail(1).map(|()| g[0] = x[0].exp()),
            move |x, v, hv| fail(2).map(|()| hv[0] = x[0].exp() * v[0]),
        )
    };
    for which in 0..3 {
        assert!(matches!(check::objective(&fails(which), &[0.5], 1), Err(Error::Callback(_))), "{which}");
    }
    assert!(check::objective(&fails(3), &[0.5], 1).unwrap().passed());
    assert!(matches!(check::gradient(&fails(1), &[0.5], 1), Err(Error::Callback(_))));
    assert!(matches!(check::product(&fails(2), &[0.5], 1), Err(Error::Callback(_))));
}

#[test]
fn preconditioners_are_checked() {
    let n = 150;
    let d = |i: usize| (1 + i * i) as f64;
    let m = operator(n, |v: &[f64], out: &mut [f64]| {
        (0..n).for_each(|i| out[i] = d(i) * v[i] + if i > 0 { v[i - 1] } else { 0.0 });
        (0..n - 1).for_each(|i| out[i] += v[i + 1]);
    });
    for seed in 0..5 {
        let good = |shift: f64, r: &mut [f64]| (0..n).for_each(|i| r[i] /= d(i) + shift);
        let verdict = check::preconditioner(&m, &good, 1.0, seed).unwrap();
        assert!(verdict.passed() && 4 * verdict.products[1] < verdict.products[0], "{verdict}");
        let negative = |_: f64, r: &mut [f64]| r[3] *= -1.0;
        assert_eq!(check::preconditioner(&m, &negative, 1.0, seed).unwrap().definite.outcome, Outcome::Indefinite);
        let asymmetric = |_: f64, r: &mut [f64]| (1..n).for_each(|i| r[i] += 0.5 * r[i - 1]);
        let verdict = check::preconditioner(&m, &asymmetric, 1.0, seed).unwrap();
        assert_eq!(verdict.operator.symmetry.outcome, Outcome::Asymmetric);
        let inverse = |shift: f64, r: &mut [f64]| (0..n).for_each(|i| r[i] *= d(i) + shift);
        let verdict = check::preconditioner(&m, &inverse, 1.0, seed).unwrap();
        assert_eq!(verdict.approximation.outcome, Outcome::NoApproximation, "{verdict}");
    }
    assert!(check::preconditioner(&m, &|_: f64, _: &mut [f64]| (), -1.0, 1).is_err());
}

fn all_losses_pass<T: Scalar>() {
    let c = |values: &[f64]| -> Vec<T> { values.iter().map(|&v| T::from_f64(v)).collect() };
    for seed in 0..5 {
        for sample in 0..2 {
            let verdicts = [
                check::loss(&SquaredError::new(c(&[0.3, -0.4, 1.0, 2.0]), 2).unwrap(), sample, &c(&[0.5, 0.2]), seed),
                check::loss(&SoftmaxCrossEntropy::new(vec![0, 2], 3).unwrap(), sample, &c(&[0.3, -0.5, 0.9]), seed),
                check::loss(
                    &BernoulliCrossEntropy::new(c(&[0.0, 1.0, 1.0, 0.0]), 2).unwrap(),
                    sample,
                    &c(&[0.7, -0.4]),
                    seed,
                ),
                check::loss(&PoissonLoss::new(c(&[1.0, 4.0, 0.0, 2.0]), 2).unwrap(), sample, &c(&[0.6, 1.1]), seed),
                check::loss(&GaussianLoss::new(c(&[0.3, -0.4]), 1).unwrap(), sample, &c(&[0.6, 0.3]), seed),
            ];
            for (i, verdict) in verdicts.into_iter().enumerate() {
                let verdict = verdict.unwrap();
                // A loss that is not convex is another matter than its positive part.
                assert!(verdict.positive.passed(), "{i} {verdict}");
                assert!(verdict.derivatives.passed(), "{i} {verdict}");
                assert!(
                    verdict.score.passed() && verdict.fisher.passed() && verdict.divergence.passed(),
                    "{i} {verdict}"
                );
            }
        }
    }
}

#[test]
fn the_losses_pass_in_both_precisions() {
    all_losses_pass::<f64>();
    all_losses_pass::<f32>();
}

/// Counts, exactly: a longer space, a tighter solve or a sweep that ends later would cost more.
#[test]
fn checks_cost_what_is_said() {
    let m = DiagonalOperator((0..150).map(|i| (1 + i * i) as f64).collect::<Vec<_>>());
    assert_eq!(check::operator(&m, 1).unwrap().products, 22);
    let applied = Cell::new(0);
    let inverse = |shift: f64, r: &mut [f64]| {
        applied.set(applied.get() + 1);
        r.iter_mut().zip(&m.0).for_each(|(r, d)| *r /= d + shift);
    };
    let verdict = check::preconditioner(&m, &inverse, 1.0, 1).unwrap();
    assert_eq!((verdict.products, applied.get()), ([291, 2], 22 + 3));
    let f = Counted::new(objective(
        3,
        |x: &[f64]| x.iter().map(|x| (2.0 * x).sin()).sum::<f64>(),
        |x, g| (0..3).for_each(|i| g[i] = 2.0 * (2.0 * x[i]).cos()),
        |x, v, hv| (0..3).for_each(|i| hv[i] = -4.0 * (2.0 * x[i]).sin() * v[i]),
    ));
    assert!(check::objective(&f, &[0.3, 0.7, -1.1], 1).unwrap().passed());
    let Counts { values, gradients, products, .. } = f.counts();
    assert_eq!((values, gradients, products), (123, 128, 26));
}

/// A squared error with one thing wrong, by this factor.
struct Wrong(usize, f64);

impl Loss<f64> for Wrong {
    fn samples(&self) -> usize {
        1
    }
    fn outputs_per_sample(&self) -> usize {
        2
    }
    fn value(&self, _: usize, h: &[f64]) -> f64 {
        0.5 * (h[0] * h[0] + h[1] * h[1])
    }
    fn gradient(&self, _: usize, h: &[f64], out: &mut [f64]) {
        out.copy_from_slice(h);
        if self.0 == 0 {
            out[1] = -h[1];
        }
    }
    fn curvature_len(&self) -> usize {
        1
    }
    fn hessian(&self, _: usize, _: &[f64], out: &mut [f64]) {
        out[0] = 1.0;
    }
    fn positive_hessian(&self, _: usize, _: &[f64], out: &mut [f64]) {
        out[0] = if self.0 == 1 { -1.0 } else { 1.0 };
    }
    fn multiply(&self, curvature: &[f64], v: &[f64], out: &mut [f64]) {
        (0..2).for_each(|i| out[i] = curvature[0] * v[i]);
    }
    fn likelihood(&self) -> Option<&dyn Likelihood<f64>> {
        Some(self)
    }
}

impl Likelihood<f64> for Wrong {
    fn score(&self, _: usize, h: &[f64], out: &mut [f64]) {
        (0..2).for_each(|i| out[i] = if self.0 == 2 { h[i] } else { -h[i] });
    }
    fn draw_score(&self, _: usize, _: &[f64], random: &mut SplitMix64, out: &mut [f64]) {
        (0..2).for_each(|i| out[i] = random.normal() + if self.0 == 3 { 1.0 } else { 0.0 });
    }
    fn fisher(&self, _: usize, _: &[f64], out: &mut [f64]) {
        out[0] = if self.0 == 4 { self.1 } else { 1.0 };
    }
    fn divergence(&self, _: usize, before: &[f64], after: &[f64]) -> f64 {
        let square: f64 = before.iter().zip(after).map(|(a, b)| (a - b) * (a - b)).sum();
        if self.0 == 5 { 0.5 * self.1 * square } else { 0.5 * square }
    }
}

#[test]
fn what_is_wrong_with_a_loss_is_named() {
    for seed in 0..10 {
        let found = |which| check::loss(&Wrong(which, 2.0), 0, &[0.4, -0.7], seed).unwrap();
        assert!(!found(0).derivatives.gradient.finding.passed());
        assert_eq!(found(1).positive.outcome, Outcome::Indefinite);
        assert_eq!(found(2).score.outcome, Outcome::Mismatch);
        assert_eq!(found(3).fisher.outcome, Outcome::Mismatch);
        assert_eq!(found(4).fisher.outcome, Outcome::Mismatch);
        assert_eq!(found(5).divergence.outcome, Outcome::Mismatch);
        let right = found(6);
        assert!(right.passed(), "{right}");
    }
    assert!(check::loss(&Wrong(6, 2.0), 1, &[0.4, -0.7], 1).is_err());
}

/// Eight standard errors of 2,000 squares of normal numbers are 25 %; a divergence may be 2 % off.
#[test]
fn what_chance_explains_in_a_loss_passes() {
    let found = |which, factor| check::loss(&Wrong(which, factor), 0, &[0.4, -0.7], 1).unwrap();
    for (factor, passes) in [(1.15, true), (1.21, false)] {
        assert_eq!(found(4, factor).fisher.passed(), passes, "{factor}");
    }
    for (factor, passes) in [(1.015, true), (1.03, false)] {
        assert_eq!(found(5, factor).divergence.passed(), passes, "{factor}");
    }
}

/// A line through points, whose batches may be in the wrong order.
struct Line(Vec<f64>, bool);

impl SampledModel<f64> for Line {
    fn dim(&self) -> usize {
        2
    }
    fn samples(&self) -> usize {
        self.0.len()
    }
    fn outputs_per_sample(&self) -> usize {
        1
    }
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Model<f64> + 'a {
        let t = move |i: usize| self.0[samples[if self.1 { samples.len() - 1 - i } else { i }]];
        model(
            samples.len(),
            2,
            move |x: &[f64], h: &mut [f64]| (0..h.len()).for_each(|i| h[i] = x[0] + x[1] * t(i)),
            move |_, v, jv| (0..jv.len()).for_each(|i| jv[i] = v[0] + v[1] * t(i)),
            move |_, u, jtu| {
                jtu[0] = u.iter().sum();
                jtu[1] = (0..u.len()).map(|i| u[i] * t(i)).sum();
            },
        )
    }
}

#[test]
fn sampled_models_are_checked() {
    let t: Vec<f64> = (0..100).map(|i| (i as f64).sin()).collect();
    for seed in 0..10 {
        let verdict = check::sampled_model(&Line(t.clone(), false), &[0.3, 0.9], seed).unwrap();
        assert!(verdict.passed(), "{verdict}");
        let verdict = check::sampled_model(&Line(t.clone(), true), &[0.3, 0.9], seed).unwrap();
        assert_eq!(verdict.batches.outcome, Outcome::BatchDiffers);
        assert!(verdict.model.passed() && !verdict.passed(), "{verdict}");
    }
}
