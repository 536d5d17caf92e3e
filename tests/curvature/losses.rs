//! Losses and likelihoods against central differences, against each other, and at the edge of the numbers.

use newton_krylov::{
    Error, Scalar,
    losses::{
        Arctan, BernoulliCrossEntropy, Cauchy, GaussianLoss, Huber, Loss, PoissonLoss, RobustError, RobustLoss, SoftL1,
        SoftmaxCrossEntropy, SquaredError, Squares, Tukey,
    },
    random::SplitMix64,
};

/// Every loss on three samples.
fn losses<T: Scalar>() -> Vec<(&'static str, Box<dyn Loss<T>>)> {
    let targets: Vec<T> = [1.0, -2.0, 0.5, 3.0, 0.0, 0.2].map(T::from_f64).to_vec();
    let cauchy = RobustError::new(targets.clone(), 2, Cauchy::new(0.7).unwrap()).unwrap();
    let soft = RobustError::new(targets, 2, SoftL1::new(0.7).unwrap()).unwrap();
    let mut losses = likelihoods();
    losses.push(("Cauchy", Box::new(cauchy)));
    losses.push(("soft L1", Box::new(soft)));
    losses
}

/// Those that are likelihoods.
fn likelihoods<T: Scalar>() -> Vec<(&'static str, Box<dyn Loss<T>>)> {
    let t = |values: &[f64]| values.iter().map(|&v| T::from_f64(v)).collect::<Vec<T>>();
    let squared = SquaredError::new(t(&[1.0, -2.0, 0.5, 3.0, 0.0, 0.0]), 2).unwrap();
    vec![
        ("squared error", Box::new(squared.clone())),
        ("squared error, variance 4", Box::new(squared.with_variance(4.0).unwrap())),
        ("softmax", Box::new(SoftmaxCrossEntropy::new(vec![2, 0, 3], 4).unwrap())),
        ("softmax of two", Box::new(two_labels())),
        ("Bernoulli", Box::new(BernoulliCrossEntropy::new(t(&[1.0, 0.0, 0.3, 0.9, 0.0, 1.0]), 2).unwrap())),
        ("Poisson", Box::new(PoissonLoss::new(t(&[0.0, 3.0, 7.0, 1.0, 2.0, 0.5]), 2).unwrap())),
        ("Gaussian", Box::new(GaussianLoss::new(t(&[1.0, -2.0, 0.5, 3.0, 0.0, 0.2]), 2).unwrap())),
    ]
}

/// Two labels for each sample.
fn two_labels() -> SoftmaxCrossEntropy<'static> {
    SoftmaxCrossEntropy::new(vec![2, 0, 1, 1, 2, 1], 3).unwrap().with_labels_per_sample(2).unwrap()
}

fn random_outputs(k: usize, size: f64, seed: u64) -> Vec<f64> {
    let mut random = SplitMix64::new(seed);
    (0..k).map(|_| size * random.normal()).collect()
}

fn gradient<T: Scalar>(loss: &dyn Loss<T>, sample: usize, h: &[T]) -> Vec<T> {
    let mut out = vec![T::nan(); h.len()];
    loss.gradient(sample, h, &mut out);
    out
}

/// The k × k matrix of what `write` has written, by products with the columns of the identity.
fn dense(loss: &dyn Loss<f64>, write: impl Fn(&mut [f64])) -> Vec<Vec<f64>> {
    let k = loss.outputs_per_sample();
    let mut curvature = vec![f64::NAN; loss.curvature_len()];
    write(&mut curvature);
    (0..k)
        .map(|j| {
            let unit: Vec<f64> = (0..k).map(|i| f64::from(i == j)).collect();
            let mut column = vec![f64::NAN; k];
            loss.multiply(&curvature, &unit, &mut column);
            column
        })
        .collect()
}

fn assert_close(a: &[Vec<f64>], b: &[Vec<f64>], tolerance: f64, what: &str) {
    let scale = a.iter().flatten().fold(1.0, |m: f64, v| m.max(v.abs()));
    for (a, b) in a.iter().flatten().zip(b.iter().flatten()) {
        assert!((a - b).abs() <= tolerance * scale, "{what}: {a} {b}");
    }
}

#[test]
fn gradients_and_hessians_are_those_of_the_value() {
    for (name, loss) in losses::<f64>() {
        let k = loss.outputs_per_sample();
        for sample in 0..loss.samples() {
            for seed in 0..5 {
                let h = random_outputs(k, 1.5, seed);
                let shifted = |j: usize, by: f64| {
                    let mut h = h.clone();
                    h[j] += by;
                    h
                };
                let e = 1e-5;
                let g = gradient(&*loss, sample, &h);
                let hessian = dense(&*loss, |out| loss.hessian(sample, &h, out));
                for j in 0..k {
                    let (up, down) = (shifted(j, e), shifted(j, -e));
                    let slope = (loss.value(sample, &up) - loss.value(sample, &down)) / (2.0 * e);
                    assert!((slope - g[j]).abs() < 1e-8 * (1.0 + g[j].abs()), "{name}: {slope} {}", g[j]);
                    let (up, down) = (gradient(&*loss, sample, &up), gradient(&*loss, sample, &down));
                    for i in 0..k {
                        let bend = (up[i] - down[i]) / (2.0 * e);
                        let found = hessian[j][i];
                        assert!((bend - found).abs() < 1e-7 * (1.0 + found.abs()), "{name}: {bend} {found}");
                    }
                }
            }
        }
    }
}

/// vᵀWv ≥ 0 for many v.
fn assert_semidefinite(w: &[Vec<f64>], name: &str) {
    let scale = w.iter().flatten().fold(0.0, |m: f64, v| m.max(v.abs()));
    for seed in 0..50 {
        let v = random_outputs(w.len(), 1.0, 1000 + seed);
        let form: f64 =
            w.iter().zip(&v).map(|(column, vj)| vj * column.iter().zip(&v).map(|(c, v)| c * v).sum::<f64>()).sum();
        assert!(form >= -1e-12 * scale, "{name}: {form}");
    }
}

#[test]
fn the_positive_hessian_is_semidefinite_and_the_hessian_where_that_is() {
    for (name, loss) in losses::<f64>() {
        for seed in 0..10 {
            let h = random_outputs(loss.outputs_per_sample(), 2.0, seed);
            let positive = dense(&*loss, |out| loss.positive_hessian(1, &h, out));
            assert_semidefinite(&positive, name);
            if !["Gaussian", "Cauchy"].contains(&name) {
                assert_eq!(positive, dense(&*loss, |out| loss.hessian(1, &h, out)), "{name}");
            }
        }
    }
    // An outlier of Cauchy's: W has nothing along the residual, ρ′ across.
    let loss = RobustError::new(vec![0.0, 0.0], 2, Cauchy::new(1.0).unwrap()).unwrap();
    let first = 1.0 / 26.0;
    let along = dense(&loss, |out| loss.positive_hessian(0, &[3.0, 4.0], out));
    for (found, expected) in
        [(along[0][0] * 3.0 + along[1][0] * 4.0, 0.0), (along[1][1] * 3.0 - along[0][1] * 4.0, 3.0)]
    {
        assert!((found - expected * first).abs() < 1e-15, "{found}");
    }
    let along = dense(&loss, |out| loss.hessian(0, &[3.0, 4.0], out));
    assert!(along[0][0] * 3.0 + along[1][0] * 4.0 < 0.0);
    assert!(Loss::<f64>::likelihood(&loss).is_none());
    // Where the mean is met the Gaussian's Hessian is semidefinite.
    let loss = GaussianLoss::new(vec![2.0], 1).unwrap();
    let at = [2.0, 0.7];
    let positive = dense(&loss, |out| loss.positive_hessian(0, &at, out));
    assert_close(&positive, &dense(&loss, |out| loss.hessian(0, &at, out)), 1e-15, "at the mean");
}

#[test]
fn fisher_is_the_second_derivative_of_the_divergence() {
    for (name, loss) in likelihoods::<f64>() {
        let (k, likelihood) = (loss.outputs_per_sample(), loss.likelihood().unwrap());
        for seed in 0..5 {
            let h = random_outputs(k, 1.5, seed);
            let fisher = dense(&*loss, |out| likelihood.fisher(0, &h, out));
            let e = 1e-3;
            for i in 0..k {
                for j in 0..k {
                    let moved = |a: f64, b: f64| {
                        let mut to = h.clone();
                        to[i] += a * e;
                        to[j] += b * e;
                        likelihood.divergence(0, &h, &to)
                    };
                    // The third derivatives cancel by symmetry; the fourth leave O(e²).
                    let mixed =
                        (moved(1.0, 1.0) - moved(1.0, -1.0) - moved(-1.0, 1.0) + moved(-1.0, -1.0)) / (4.0 * e * e);
                    assert!(
                        (mixed - fisher[j][i]).abs() < 2e-5 * (1.0 + mixed.abs()),
                        "{name}: {mixed} {}",
                        fisher[j][i]
                    );
                }
            }
        }
    }
}

#[test]
fn canonical_losses_have_fisher_matrices_equal_to_their_hessians() {
    for (name, loss) in likelihoods::<f64>() {
        let h = random_outputs(loss.outputs_per_sample(), 1.0, 4);
        let fisher = dense(&*loss, |out| loss.likelihood().unwrap().fisher(2, &h, out));
        let hessian = dense(&*loss, |out| loss.hessian(2, &h, out));
        match name {
            "Gaussian" => assert_ne!(fisher, hessian),
            "squared error, variance 4" => {
                let scaled: Vec<Vec<f64>> = fisher.iter().map(|c| c.iter().map(|f| 4.0 * f).collect()).collect();
                assert_close(&scaled, &hessian, 0.0, name);
            }
            _ => assert_close(&fisher, &hessian, 0.0, name),
        }
    }
}

#[test]
fn scores_are_negative_gradients_and_drawn_ones_have_the_fisher_matrix() {
    for (name, loss) in likelihoods::<f64>() {
        let (k, likelihood) = (loss.outputs_per_sample(), loss.likelihood().unwrap());
        let h = random_outputs(k, 1.0, 9);
        let mut score = vec![f64::NAN; k];
        likelihood.score(1, &h, &mut score);
        let factor = if name == "squared error, variance 4" { 0.25 } else { 1.0 };
        for (s, g) in score.iter().zip(gradient(&*loss, 1, &h)) {
            assert!((s + factor * g).abs() < 1e-15, "{name}");
        }

        let n = 100_000;
        let mut random = SplitMix64::new(11);
        let (mut mean, mut second) = (vec![0.0; k], vec![vec![0.0; k]; k]);
        let mut fourth = vec![vec![0.0; k]; k];
        for _ in 0..n {
            likelihood.draw_score(1, &h, &mut random, &mut score);
            for i in 0..k {
                mean[i] += score[i] / n as f64;
                for j in 0..k {
                    second[i][j] += score[i] * score[j] / n as f64;
                    fourth[i][j] += (score[i] * score[j]).powi(2) / n as f64;
                }
            }
        }
        let fisher = dense(&*loss, |out| likelihood.fisher(1, &h, out));
        for i in 0..k {
            let error = (fisher[i][i] / n as f64).sqrt();
            assert!(mean[i].abs() <= 4.5 * error, "{name}: mean {}", mean[i]);
            for j in 0..k {
                let error = (fourth[i][j] / n as f64).sqrt();
                assert!(
                    (second[i][j] - fisher[i][j]).abs() <= 4.5 * error,
                    "{name}: {} {}",
                    second[i][j],
                    fisher[i][j]
                );
            }
        }
    }
}

#[test]
fn divergences_are_zero_at_home_and_positive_elsewhere() {
    for (name, loss) in likelihoods::<f64>() {
        let likelihood = loss.likelihood().unwrap();
        for seed in 0..20 {
            let k = loss.outputs_per_sample();
            let h = random_outputs(k, 2.0, seed);
            assert_eq!(likelihood.divergence(0, &h, &h), 0.0, "{name}");
            for size in [1e-6, 1e-2, 1.0, 5.0] {
                let step = random_outputs(k, size, 77 + seed);
                let to: Vec<f64> = h.iter().zip(step).map(|(h, s)| h + s).collect();
                let divergence = likelihood.divergence(0, &h, &to);
                assert!(divergence > 0.0, "{name} {size}: {divergence}");
            }
        }
    }
    // By hand: KL of coins with p = ½ and p = 1/(1 + e⁻²).
    let coin = BernoulliCrossEntropy::new(vec![1.0], 1).unwrap();
    let q = 1.0 / (1.0 + (-2.0_f64).exp());
    let expected = 0.5 * (0.5 / q).ln() + 0.5 * (0.5 / (1.0 - q)).ln();
    assert!((coin.likelihood().unwrap().divergence(0, &[0.0], &[2.0]) - expected).abs() < 1e-15);
    // Of two classes, the same coin.
    let classes = SoftmaxCrossEntropy::new(vec![0], 2).unwrap();
    let found = Loss::<f64>::likelihood(&classes).unwrap().divergence(0, &[1.0, 1.0], &[4.0, 2.0]);
    assert!((found - expected).abs() < 1e-15);
    // Of Poisson counts with λ = 2 and μ = 10: μ − λ − λ log(μ/λ).
    let counts = PoissonLoss::new(vec![1.0], 1).unwrap();
    let found = counts.likelihood().unwrap().divergence(0, &[2f64.ln()], &[10f64.ln()]);
    assert!((found - (8.0 - 2.0 * 5f64.ln())).abs() < 1e-14);
}

fn check_extremes<T: Scalar>() {
    let t = |values: &[f64]| values.iter().map(|&v| T::from_f64(v)).collect::<Vec<T>>();
    let finite = |values: &[T]| values.iter().all(|v| v.is_finite());
    let products = |loss: &dyn Loss<T>, h: &[T], name: &str| {
        let mut curvature = vec![T::nan(); loss.curvature_len()];
        let mut out = vec![T::nan(); h.len()];
        for which in 0..3 {
            match which {
                0 => loss.hessian(0, h, &mut curvature),
                1 => loss.positive_hessian(0, h, &mut curvature),
                _ => loss.likelihood().unwrap().fisher(0, h, &mut curvature),
            }
            loss.multiply(&curvature, &vec![T::one(); h.len()], &mut out);
            assert!(finite(&out), "{name} {which}: {h:?} {out:?}");
        }
        let mut random = SplitMix64::new(1);
        for _ in 0..20 {
            loss.likelihood().unwrap().draw_score(0, h, &mut random, &mut out);
            assert!(finite(&out), "{name}: {h:?} {out:?}");
        }
        loss.gradient(0, h, &mut out);
        assert!(finite(&out) && loss.value(0, h).is_finite(), "{name}: {h:?} {out:?}");
        out
    };
    let classes = SoftmaxCrossEntropy::new(vec![1], 3).unwrap();
    let coins = BernoulliCrossEntropy::new(t(&[1.0, 0.0, 0.5]), 3).unwrap();
    let squares = SquaredError::new(t(&[1.0, 0.0, 0.5]), 3).unwrap();
    for a in [-1e4, -100.0, 0.0, 100.0, 1e4] {
        for b in [-1e4, 0.0, 1e4] {
            let h = t(&[a, b, 30.0]);
            products(&classes, &h, "softmax");
            products(&coins, &h, "Bernoulli");
            products(&squares, &h, "squares");
            for c in [-1e4, 0.0, 1e4] {
                let to = t(&[c, a, b]);
                let expected = |loss: &dyn Loss<T>| loss.likelihood().unwrap().divergence(0, &h, &to);
                for divergence in [expected(&classes), expected(&coins), expected(&squares)] {
                    assert!(divergence.is_finite() && divergence >= 0.0, "{h:?} {to:?} {divergence}");
                }
            }
        }
    }
    // Known values: a sure and right answer costs nothing, a sure and wrong one its margin.
    assert_eq!(classes.value(0, &t(&[-1e4, 1e4, 0.0])), 0.0);
    assert_eq!(classes.value(0, &t(&[1e4, -1e4, 0.0])), 2e4);
    let ln_2: f64 = T::from_f64(2f64.ln()).into();
    assert_eq!(coins.value(0, &t(&[1e4, -1e4, 0.0])), ln_2);
    assert_eq!(coins.value(0, &t(&[-1e4, 1e4, 0.0])), 2e4 + ln_2);
    assert_eq!(products(&coins, &t(&[-1e4, 1e4, 0.0]), "wrong"), t(&[-1.0, 1.0, 0.0]));
    assert_eq!(coins.likelihood().unwrap().divergence(0, &t(&[1e4, -1e4, 0.0]), &t(&[-1e4, -1e4, 0.0])), 1e4);

    // Rates and variances overflow only where the truth does.
    let counts = PoissonLoss::new(t(&[2.0]), 1).unwrap();
    for h in [-1e4, -700.0, 0.0, 80.0] {
        products(&counts, &t(&[h]), "Poisson");
    }
    assert_eq!(counts.value(0, &t(&[1e4])), f64::INFINITY);
    assert_eq!(counts.value(0, &t(&[-1e4])), 2e4);
    let normal = GaussianLoss::new(t(&[2.0]), 1).unwrap();
    for (mean, omega) in [(2.0, 1e4), (-1e4, 1e4), (1e4, 0.0), (2.0, -80.0)] {
        products(&normal, &t(&[mean, omega]), "Gaussian");
    }
    // Met exactly, a tiny variance is as good as its logarithm says.
    assert_eq!(normal.value(0, &t(&[2.0, -1e4])), -5e3);
    assert_eq!(gradient(&normal, 0, &t(&[2.0, -1e4])), t(&[0.0, 0.5]));
}

#[test]
fn extreme_outputs_give_finite_answers_where_the_truth_is_finite() {
    check_extremes::<f64>();
    check_extremes::<f32>();
}

#[test]
fn single_precision_agrees_with_double() {
    for ((name, double), (_, single)) in losses::<f64>().into_iter().zip(losses::<f32>()) {
        let h = random_outputs(double.outputs_per_sample(), 1.0, 2);
        let h32: Vec<f32> = h.iter().map(|&v| v as f32).collect();
        let h: Vec<f64> = h32.iter().map(|&v| v.into()).collect();
        for sample in 0..3 {
            let (a, b) = (double.value(sample, &h), single.value(sample, &h32));
            assert!((a - b).abs() < 1e-6 * (1.0 + a.abs()), "{name}");
            for (a, b) in gradient(&*double, sample, &h).into_iter().zip(gradient(&*single, sample, &h32)) {
                assert!((a - f64::from(b)).abs() < 1e-6 * (1.0 + a.abs()), "{name}");
            }
        }
    }
}

#[test]
fn not_a_number_goes_through() {
    for (name, loss) in losses::<f64>() {
        let k = loss.outputs_per_sample();
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let h: Vec<f64> = (0..k).map(|j| if j == 0 { bad } else { 0.1 }).collect();
            let (mut out, mut curvature) = (vec![0.0; k], vec![0.0; loss.curvature_len()]);
            loss.gradient(0, &h, &mut out);
            loss.hessian(0, &h, &mut curvature);
            loss.positive_hessian(0, &h, &mut curvature);
            if let Some(likelihood) = loss.likelihood() {
                likelihood.fisher(0, &h, &mut curvature);
                likelihood.draw_score(0, &h, &mut SplitMix64::new(3), &mut out);
                likelihood.divergence(0, &h, &h);
            }
            if bad.is_nan() {
                assert!(loss.value(0, &h).is_nan(), "{name}");
            }
        }
    }
}

/// Several labels of a sample are as many samples of one label, added up.
#[test]
fn labels_of_a_sample_add_up() {
    let (two, one) = (two_labels(), SoftmaxCrossEntropy::new(vec![2, 0, 1, 1, 2, 1], 3).unwrap());
    let h: Vec<f64> = random_outputs(6, 2.0, 4);
    assert_eq!(two.value(2, &h), one.value(4, &h[..3]) + one.value(5, &h[3..]));
    assert_eq!(gradient(&two, 2, &h), [gradient(&one, 4, &h[..3]), gradient(&one, 5, &h[3..])].concat());
    let weighed = |loss: &SoftmaxCrossEntropy<'_>, sample: usize, h: &[f64]| {
        let [mut p, mut out] = [vec![f64::NAN; h.len()], vec![f64::NAN; h.len()]];
        loss.hessian(sample, h, &mut p);
        loss.multiply(&p, h, &mut out);
        out
    };
    assert_eq!(weighed(&two, 2, &h), [weighed(&one, 4, &h[..3]), weighed(&one, 5, &h[3..])].concat());
}

#[test]
fn bad_targets_are_refused_by_name_and_number() {
    let label = SoftmaxCrossEntropy::new(vec![0, 1, 5, 2], 3).unwrap_err();
    assert!(matches!(label, Error::EntryOutOfRange { argument: "labels", index: 2, value: 5.0, .. }));
    assert_eq!(label.to_string(), "labels[2] is 5, but must be below the number of classes");
    assert!(SoftmaxCrossEntropy::new(vec![], 3).is_err() && SoftmaxCrossEntropy::new(vec![0], 0).is_err());
    let labels = || SoftmaxCrossEntropy::new(vec![0, 1, 1], 2).unwrap();
    assert!(labels().with_labels_per_sample(0).is_err() && labels().with_labels_per_sample(3).is_ok());
    let ragged = labels().with_labels_per_sample(2).unwrap_err();
    assert_eq!(ragged, Error::Length { argument: "labels", expected: 4, found: 3 });

    let target = BernoulliCrossEntropy::new(vec![0.5, 1.5], 1).unwrap_err();
    assert!(matches!(target, Error::EntryOutOfRange { argument: "targets", index: 1, value: 1.5, .. }));
    let count = PoissonLoss::new(vec![0.5, 1.5, -2.0], 1).unwrap_err();
    assert!(matches!(count, Error::EntryOutOfRange { argument: "counts", index: 2, value: -2.0, .. }));
    let nan = SquaredError::new(vec![0.5, f64::NAN], 1).unwrap_err();
    assert!(matches!(nan, Error::NotFinite { argument: "targets", index: Some(1), .. }));
    let ragged = GaussianLoss::new(vec![0.5; 3], 2).unwrap_err();
    assert_eq!(ragged, Error::Length { argument: "targets", expected: 4, found: 3 });
    assert_eq!(SquaredError::<f64>::new(vec![], 2).unwrap_err(), Error::ZeroDimension { argument: "targets" });
    assert!(SquaredError::new(vec![1.0], 0).is_err() && PoissonLoss::new(vec![f32::INFINITY], 1).is_err());
    for variance in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(SquaredError::new(vec![1.0], 1).unwrap().with_variance(variance).is_err());
    }
}

type Evaluated = Box<dyn Fn(f64) -> [f64; 3]>;

fn robust_losses() -> [(&'static str, Evaluated); 6] {
    fn boxed(loss: impl RobustLoss + 'static) -> Evaluated {
        Box::new(move |s| loss.evaluate(s))
    }
    [
        ("squares", boxed(Squares)),
        ("Huber", boxed(Huber::new(0.7).unwrap())),
        ("soft L1", boxed(SoftL1::new(0.7).unwrap())),
        ("Cauchy", boxed(Cauchy::new(0.7).unwrap())),
        ("arctan", boxed(Arctan::new(0.7).unwrap())),
        ("Tukey", boxed(Tukey::new(0.7).unwrap())),
    ]
}

#[test]
fn derivatives_of_robust_losses_are_those_of_the_loss() {
    for (name, loss) in robust_losses() {
        assert_eq!(loss(0.0)[..2], [0.0, 1.0], "{name}");
        for s in [1e-3, 0.1, 0.3, 0.48, 0.6, 2.0, 30.0] {
            let h = 1e-5 * s;
            let (low, at, high) = (loss(s - h), loss(s), loss(s + h));
            assert!(((high[0] - low[0]) / (2.0 * h) - at[1]).abs() < 1e-8, "{name} {s}");
            assert!(((high[1] - low[1]) / (2.0 * h) - at[2]).abs() < 1e-6 * (1.0 + at[2].abs()), "{name} {s}");
            assert!((0.0..=1.0).contains(&at[1]) && at[0] <= s, "{name} {s}");
        }
        // Continuous where the pieces meet.
        let joint = 0.49;
        let (below, above) = (loss(joint * (1.0 - 1e-12)), loss(joint * (1.0 + 1e-12)));
        assert!((below[0] - above[0]).abs() < 1e-10 && (below[1] - above[1]).abs() < 1e-10, "{name}");
        assert!(loss(f64::NAN)[0].is_nan(), "{name}");
    }
    assert!(Huber::new(0.0).is_err() && Tukey::new(f64::NAN).is_err() && Cauchy::new(1e300).is_err());
}
