//! Metrics of a small nonlinear model against dense matrices, written down by hand in f64.

use std::cell::Cell;

use newton_krylov::{
    Error, Expansion, LinearMap, Linearization, Metric, Model, Objective, SampledModel, SampledObjective, Scalar,
    SymmetricOperator, TrustRegion, fit, fit_samples,
    losses::{BernoulliCrossEntropy, GaussianLoss, Loss, PoissonLoss, SoftmaxCrossEntropy, SquaredError},
    model,
    operators::with_second_order,
    random::SplitMix64,
};

/// h_r(x) = Σ_a A_ra sin(x_a + B_ra) + C_r x₀x_{d−1}, row r being output r mod k of sample r / k.
struct Waves {
    samples: usize,
    k: usize,
    d: usize,
    a: Vec<f64>,
    b: Vec<f64>,
    c: Vec<f64>,
}

impl Waves {
    fn new(samples: usize, k: usize, d: usize) -> Self {
        let mut random = SplitMix64::new(17);
        let mut draw = |n: usize| (0..n).map(|_| 0.7 * random.normal()).collect();
        let rows = samples * k;
        Waves { samples, k, d, a: draw(rows * d), b: draw(rows * d), c: draw(rows) }
    }

    fn value(&self, r: usize, x: &[f64]) -> f64 {
        let waves: f64 = (0..self.d).map(|j| self.a[r * self.d + j] * (x[j] + self.b[r * self.d + j]).sin()).sum();
        waves + self.c[r] * x[0] * x[self.d - 1]
    }

    fn slope(&self, r: usize, x: &[f64], j: usize) -> f64 {
        let last = self.d - 1;
        let bilinear = if j == 0 { x[last] } else { 0.0 } + if j == last { x[0] } else { 0.0 };
        self.a[r * self.d + j] * (x[j] + self.b[r * self.d + j]).cos() + self.c[r] * bilinear
    }

    fn bend(&self, r: usize, x: &[f64], i: usize, j: usize) -> f64 {
        let last = self.d - 1;
        let wave = if i == j { -self.a[r * self.d + j] * (x[j] + self.b[r * self.d + j]).sin() } else { 0.0 };
        wave + if (i, j) == (0, last) || (i, j) == (last, 0) { self.c[r] } else { 0.0 }
    }

    /// The model of these rows.
    fn rows<'a, T: Scalar>(&'a self, rows: Vec<usize>) -> impl Model<T> + 'a {
        let (m, d) = (rows.len(), self.d);
        let wide = |x: &[T]| x.iter().map(|&x| x.into()).collect::<Vec<f64>>();
        let (r0, r1, r2, r3) = (rows.clone(), rows.clone(), rows.clone(), rows);
        let first_order = model(
            m,
            d,
            move |x: &[T], h: &mut [T]| (0..m).for_each(|i| h[i] = T::from_f64(self.value(r0[i], &wide(x)))),
            move |x: &[T], v: &[T], jv: &mut [T]| {
                let (x, v) = (wide(x), wide(v));
                for i in 0..m {
                    jv[i] = T::from_f64((0..d).map(|j| self.slope(r1[i], &x, j) * v[j]).sum());
                }
            },
            move |x: &[T], u: &[T], jtu: &mut [T]| {
                let (x, u) = (wide(x), wide(u));
                for j in 0..d {
                    jtu[j] = T::from_f64((0..m).map(|i| self.slope(r2[i], &x, j) * u[i]).sum());
                }
            },
        );
        with_second_order(first_order, move |x: &[T], u: &[T], v: &[T], out: &mut [T]| {
            let (x, u, v) = (wide(x), wide(u), wide(v));
            for p in 0..d {
                let row = |i: usize| (0..d).map(|q| self.bend(r3[i], &x, p, q) * v[q]).sum::<f64>();
                out[p] = T::from_f64((0..m).map(|i| u[i] * row(i)).sum());
            }
        })
    }

    fn all<T: Scalar>(&self) -> impl Model<T> + '_ {
        self.rows((0..self.samples * self.k).collect())
    }
}

impl<T: Scalar> SampledModel<T> for Waves {
    fn dim(&self) -> usize {
        self.d
    }
    fn samples(&self) -> usize {
        self.samples
    }
    fn outputs_per_sample(&self) -> usize {
        self.k
    }
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Model<T> + 'a {
        self.rows(samples.iter().flat_map(|&i| i * self.k..(i + 1) * self.k).collect())
    }
}

/// From a sample's targets and outputs to k numbers, or to k × k.
type Matrix = fn(&[f64], &[f64]) -> Vec<f64>;
/// The same with what it captures.
type AnyMatrix<'a> = &'a dyn Fn(&[f64], &[f64]) -> Vec<f64>;

/// A loss with its W matrices and gradient by the textbook, from targets and outputs in f64.
struct Case<T> {
    name: &'static str,
    loss: Box<dyn Loss<T>>,
    hessian: Matrix,
    /// Where they differ from the Hessian.
    positive: Option<Matrix>,
    fisher: Option<Matrix>,
    gradient: Matrix,
    /// ∇l = −factor · score.
    factor: f64,
    targets: Vec<f64>,
}

fn diagonal(entries: impl Iterator<Item = f64>) -> Vec<f64> {
    let entries: Vec<f64> = entries.collect();
    let k = entries.len();
    (0..k * k).map(|ij| if ij / k == ij % k { entries[ij / k] } else { 0.0 }).collect()
}

fn softmax(h: &[f64]) -> Vec<f64> {
    let sum: f64 = h.iter().map(|h| h.exp()).sum();
    h.iter().map(|h| h.exp() / sum).collect()
}

fn logistic(h: f64) -> f64 {
    1.0 / (1.0 + (-h).exp())
}

const SAMPLES: usize = 7;
const K: usize = 4;
const D: usize = 5;

fn cases<T: Scalar>() -> Vec<Case<T>> {
    let mut random = SplitMix64::new(5);
    let mut draw = |scale: &dyn Fn(f64) -> f64, per_sample: usize| -> Vec<f64> {
        // As f32, so that both precisions have the same targets.
        (0..SAMPLES * per_sample).map(|_| f64::from(scale(random.uniform()) as f32)).collect()
    };
    let t = |values: &[f64]| values.iter().map(|&v| T::from_f64(v)).collect::<Vec<T>>();
    let real = draw(&|u| 4.0 * u - 2.0, K);
    let unit = draw(&|u| u, K);
    let counts = draw(&|u| (6.0 * u).floor(), K);
    let labels = draw(&|u| (K as f64 * u).floor(), 1);
    let normal = draw(&|u| 2.0 * u - 1.0, K / 2);
    let squared = SquaredError::new(t(&real), K).unwrap();
    let identity: Matrix = |_, h| diagonal(h.iter().map(|_| 1.0));
    let difference: Matrix = |y, h| h.iter().zip(y).map(|(h, y)| h - y).collect();
    vec![
        Case {
            name: "squared error",
            loss: Box::new(squared.clone()),
            hessian: identity,
            positive: None,
            fisher: None,
            gradient: difference,
            factor: 1.0,
            targets: real.clone(),
        },
        Case {
            name: "squared error, variance ¼",
            loss: Box::new(squared.with_variance(0.25).unwrap()),
            hessian: identity,
            positive: None,
            fisher: Some(|_, h| diagonal(h.iter().map(|_| 4.0))),
            gradient: difference,
            factor: 0.25,
            targets: real,
        },
        Case {
            name: "softmax",
            loss: Box::new(
                SoftmaxCrossEntropy::new(labels.iter().map(|&l| l as usize).collect::<Vec<_>>(), K).unwrap(),
            ),
            hessian: |_, h| {
                let p = softmax(h);
                let mut w = diagonal(p.iter().copied());
                (0..K * K).for_each(|ij| w[ij] -= p[ij / K] * p[ij % K]);
                w
            },
            positive: None,
            fisher: None,
            gradient: |y, h| {
                let mut p = softmax(h);
                p[y[0] as usize] -= 1.0;
                p
            },
            factor: 1.0,
            targets: labels,
        },
        Case {
            name: "Bernoulli",
            loss: Box::new(BernoulliCrossEntropy::new(t(&unit), K).unwrap()),
            hessian: |_, h| diagonal(h.iter().map(|&h| logistic(h) * logistic(-h))),
            positive: None,
            fisher: None,
            gradient: |y, h| h.iter().zip(y).map(|(&h, y)| logistic(h) - y).collect(),
            factor: 1.0,
            targets: unit,
        },
        Case {
            name: "Poisson",
            loss: Box::new(PoissonLoss::new(t(&counts), K).unwrap()),
            hessian: |_, h| diagonal(h.iter().map(|h| h.exp())),
            positive: None,
            fisher: None,
            gradient: |y, h| h.iter().zip(y).map(|(h, y)| h.exp() - y).collect(),
            factor: 1.0,
            targets: counts,
        },
        Case {
            name: "Gaussian",
            loss: Box::new(GaussianLoss::new(t(&normal), K / 2).unwrap()),
            hessian: |y, h| gaussian(y, h, |r| [1.0, r, 0.5 * r * r]),
            positive: Some(|y, h| {
                gaussian(y, h, |r| {
                    // The projection by its textbook formula.
                    let (trace, determinant) = (1.0 + 0.5 * r * r, -0.5 * r * r);
                    let root = (trace * trace - 4.0 * determinant).sqrt();
                    let (high, low) = (0.5 * (trace + root), 0.5 * (trace - root));
                    let factor = high / (high - low);
                    [factor * (1.0 - low), factor * r, factor * (0.5 * r * r - low)]
                })
            }),
            fisher: Some(|y, h| gaussian(y, h, |_| [1.0, 0.0, 0.5])),
            gradient: |y, h| {
                let m = h.len() / 2;
                let mean = (0..m).map(|j| (h[j] - y[j]) * (-h[m + j]).exp());
                mean.chain((0..m).map(|j| 0.5 - 0.5 * (h[j] - y[j]).powi(2) * (-h[m + j]).exp())).collect()
            },
            factor: 1.0,
            targets: normal,
        },
    ]
}

/// k × k with the blocks (a/σ², b/σ; b/σ, c) for `block(r)` = (a, b, c).
fn gaussian(y: &[f64], h: &[f64], block: impl Fn(f64) -> [f64; 3]) -> Vec<f64> {
    let (m, k) = (h.len() / 2, h.len());
    let mut w = vec![0.0; k * k];
    for j in 0..m {
        let sigma = (0.5 * h[m + j]).exp();
        let [a, b, c] = block((y[j] - h[j]) / sigma);
        w[j * k + j] = a / (sigma * sigma);
        w[j * k + m + j] = b / sigma;
        w[(m + j) * k + j] = b / sigma;
        w[(m + j) * k + m + j] = c;
    }
    w
}

/// 1/N Σ JᵀWJ by loops over the samples in `batch`; `w(targets, outputs)` is k × k.
fn dense(
    waves: &Waves,
    targets: &[f64],
    x: &[f64],
    batch: &[usize],
    w: impl Fn(&[f64], &[f64]) -> Vec<f64>,
) -> Vec<f64> {
    let (k, d) = (waves.k, waves.d);
    let per_sample = targets.len() / waves.samples;
    let mut matrix = vec![0.0; d * d];
    for &i in batch {
        let h: Vec<f64> = (0..k).map(|o| waves.value(i * k + o, x)).collect();
        let j: Vec<f64> = (0..k * d).map(|od| waves.slope(i * k + od / d, x, od % d)).collect();
        let w = w(&targets[i * per_sample..(i + 1) * per_sample], &h);
        for (p, q) in (0..d * d).map(|pq| (pq / d, pq % d)) {
            for (o, s) in (0..k * k).map(|os| (os / k, os % k)) {
                matrix[p * d + q] += j[o * d + p] * w[o * k + s] * j[s * d + q] / batch.len() as f64;
            }
        }
    }
    matrix
}

/// 1/N ΣΣ ∂l ∇²h.
fn dense_second(waves: &Waves, case: &Case<impl Scalar>, x: &[f64], batch: &[usize]) -> Vec<f64> {
    let (k, d) = (waves.k, waves.d);
    let per_sample = case.targets.len() / waves.samples;
    let mut matrix = vec![0.0; d * d];
    for &i in batch {
        let h: Vec<f64> = (0..k).map(|o| waves.value(i * k + o, x)).collect();
        let g = (case.gradient)(&case.targets[i * per_sample..(i + 1) * per_sample], &h);
        for (p, q) in (0..d * d).map(|pq| (pq / d, pq % d)) {
            let sum: f64 = (0..k).map(|o| g[o] * waves.bend(i * k + o, x, p, q)).sum();
            matrix[p * d + q] += sum / batch.len() as f64;
        }
    }
    matrix
}

fn outer(s: &[f64]) -> Vec<f64> {
    (0..s.len() * s.len()).map(|ij| s[ij / s.len()] * s[ij % s.len()]).collect()
}

fn formed<T: Scalar>(operator: &impl SymmetricOperator<T>) -> Vec<f64> {
    let d = operator.dim();
    let mut matrix = vec![T::nan(); d * d];
    operator.form(&mut matrix);
    matrix.iter().map(|&m| m.into()).collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

fn norm(a: &[f64]) -> f64 {
    a.iter().map(|a| a * a).sum::<f64>().sqrt()
}

fn assert_near(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    let error = distance(found, expected);
    assert!(error <= tolerance * (1.0 + norm(expected)), "{what}: {error}\n{found:?}\n{expected:?}");
}

const METRICS: [Metric; 7] = [
    Metric::Identity,
    Metric::Hessian,
    Metric::GaussNewton,
    Metric::GeneralizedGaussNewton,
    Metric::Fisher,
    Metric::EmpiricalFisher,
    Metric::GradientCovariance,
];

fn identity() -> Vec<f64> {
    (0..D * D).map(|pq| if pq / D == pq % D { 1.0 } else { 0.0 }).collect()
}

/// What the metric should be, by the table.
fn expected<T: Scalar>(waves: &Waves, case: &Case<T>, metric: Metric, x: &[f64], batch: &[usize]) -> Vec<f64> {
    let middle = |w: AnyMatrix<'_>| dense(waves, &case.targets, x, batch, w);
    match metric {
        Metric::Identity => identity(),
        Metric::Hessian => {
            let (first, second) = (middle(&case.hessian), dense_second(waves, case, x, batch));
            first.iter().zip(second).map(|(a, b)| a + b).collect()
        }
        Metric::GaussNewton => middle(&|_, h| diagonal(h.iter().map(|_| 1.0))),
        Metric::GeneralizedGaussNewton => middle(&case.positive.unwrap_or(case.hessian)),
        Metric::Fisher => middle(&case.fisher.unwrap_or(case.hessian)),
        Metric::EmpiricalFisher => {
            middle(&|y, h| outer(&(case.gradient)(y, h)).iter().map(|v| v / (case.factor * case.factor)).collect())
        }
        Metric::GradientCovariance => middle(&|y, h| outer(&(case.gradient)(y, h))),
        Metric::SampledFisher { .. } => unreachable!("tested by its statistics"),
    }
}

fn check_every_metric<T: Scalar>(tolerance: f64) {
    let waves = Waves::new(SAMPLES, K, D);
    let x: Vec<f64> = (0..D).map(|j| f64::from((0.3 * j as f64 - 0.5) as f32)).collect();
    let point: Vec<T> = x.iter().map(|&x| T::from_f64(x)).collect();
    let whole: Vec<usize> = (0..SAMPLES).collect();
    let batch = [5, 0, 5, 2];
    for case in cases::<T>() {
        for metric in METRICS {
            let what = format!("{} {metric:?}", case.name);
            let objective = fit(waves.all::<T>(), &*case.loss, metric).unwrap();
            let truth = expected(&waves, &case, metric, &x, &whole);
            assert_near(&formed(&objective.expand(&point)), &truth, tolerance, &what);

            let sampled = fit_samples(&waves, &*case.loss, metric).unwrap();
            let on_batch = sampled.batch(&batch);
            let truth = expected(&waves, &case, metric, &x, &batch);
            assert_near(&formed(&on_batch.expand(&point)), &truth, tolerance, &what);

            // c I outside, μ JᵀJ in the middle; neither changes M = I.
            let damped = fit(waves.all::<T>(), &*case.loss, metric).unwrap();
            let damped = damped.with_regularization(0.7).unwrap().with_middle_damping(0.3).unwrap();
            let mut truth = expected(&waves, &case, metric, &x, &whole);
            let plain = expected(&waves, &case, Metric::GaussNewton, &x, &whole);
            if metric != Metric::Identity {
                (0..D * D).for_each(|pq| truth[pq] += 0.3 * plain[pq] + 0.7 * identity()[pq]);
            }
            assert_near(&formed(&damped.expand(&point)), &truth, tolerance, &what);

            // A product before the gradient is the same as one after it.
            let (first, second) = (objective.expand(&point), objective.expand(&point));
            let v: Vec<T> = (0..D).map(|j| T::from_f64(1.0 - 0.4 * j as f64)).collect();
            let (mut a, mut b, mut g) = (vec![T::nan(); D], vec![T::nan(); D], vec![T::nan(); D]);
            first.apply(&v, &mut a);
            second.gradient(&mut g);
            second.apply(&v, &mut b);
            assert_eq!(a, b, "{what}");
        }
    }
}

#[test]
fn every_metric_is_the_dense_matrix() {
    check_every_metric::<f64>(1e-13);
    check_every_metric::<f32>(2e-6);
}

#[test]
fn value_and_gradient_are_those_of_the_mean_loss() {
    let waves = Waves::new(SAMPLES, K, D);
    let x: Vec<f64> = (0..D).map(|j| 0.3 * j as f64 - 0.5).collect();
    let batch = [3, 1, 3];
    for case in cases::<f64>() {
        let whole = fit(waves.all(), &*case.loss, Metric::GaussNewton).unwrap().with_regularization(0.2).unwrap();
        let sampled = fit_samples(&waves, &*case.loss, Metric::GaussNewton).unwrap().with_regularization(0.2).unwrap();
        let h = |i: usize| (0..K).map(|o| waves.value(i * K + o, &x)).collect::<Vec<_>>();
        let mean = |batch: &[usize]| batch.iter().map(|&i| case.loss.value(i, &h(i))).sum::<f64>() / batch.len() as f64;
        let penalty = 0.1 * x.iter().map(|x| x * x).sum::<f64>();
        assert!((whole.value(&x) - mean(&[0, 1, 2, 3, 4, 5, 6]) - penalty).abs() < 1e-13, "{}", case.name);
        let on_batch = sampled.batch(&batch);
        assert!((on_batch.value(&x) - mean(&batch) - penalty).abs() < 1e-13, "{}", case.name);
        assert_eq!(on_batch.value(&x), on_batch.expand(&x).value());

        let mut g = vec![f64::NAN; D];
        on_batch.expand(&x).gradient(&mut g);
        for j in 0..D {
            let moved = |by: f64| {
                let mut x = x.clone();
                x[j] += by;
                on_batch.value(&x)
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - g[j]).abs() < 1e-9 * (1.0 + slope.abs()), "{}: {slope} {}", case.name, g[j]);
        }
    }
}

/// The identities of the paper, between metrics of the library this time.
#[test]
fn metrics_agree_where_the_theory_says_so() {
    let waves = Waves::new(SAMPLES, K, D);
    let x: Vec<f64> = (0..D).map(|j| 0.2 * j as f64).collect();
    for case in cases::<f64>() {
        let metric = |metric: Metric| formed(&fit(waves.all(), &*case.loss, metric).unwrap().expand(&x));
        let fisher = metric(Metric::Fisher);
        let generalized = metric(Metric::GeneralizedGaussNewton);
        match case.name {
            "softmax" | "Bernoulli" | "Poisson" | "squared error" => assert_eq!(fisher, generalized, "{}", case.name),
            "Gaussian" => assert!(distance(&fisher, &generalized) > 0.1),
            _ => {}
        }
        if case.name.starts_with("squared error") {
            // Gauss–Newton = σ² Fisher, here σ² = 1 and ¼.
            let scaled: Vec<f64> = fisher.iter().map(|f| case.factor * f).collect();
            assert_near(&scaled, &metric(Metric::GaussNewton), 1e-15, case.name);
        }
        let covariance: Vec<f64> =
            metric(Metric::GradientCovariance).iter().map(|c| c / (case.factor * case.factor)).collect();
        assert_near(&covariance, &metric(Metric::EmpiricalFisher), 1e-14, case.name);
    }
}

#[test]
fn the_monte_carlo_fisher_converges_at_its_rate() {
    let waves = Waves::new(SAMPLES, K, D);
    let x: Vec<f64> = (0..D).map(|j| 0.2 * j as f64).collect();
    for case in cases::<f64>() {
        let exact = formed(&fit(waves.all(), &*case.loss, Metric::Fisher).unwrap().expand(&x));
        let sampled = |seed: u64, draws: usize| {
            formed(&fit(waves.all(), &*case.loss, Metric::SampledFisher { seed, draws }).unwrap().expand(&x))
        };
        // Root mean square over seeds: the error falls tenfold for a hundredfold number of draws.
        let seeds = 40;
        let error = |draws: usize| {
            let squares: f64 = (0..seeds).map(|seed| distance(&sampled(seed, draws), &exact).powi(2)).sum();
            (squares / seeds as f64).sqrt()
        };
        let (few, many) = (error(10), error(1000));
        let ratio = few / many;
        assert!((7.0..14.0).contains(&ratio), "{}: {few} {many}", case.name);
        assert!(many < 0.1 * norm(&exact), "{}: {many}", case.name);
        // Without bias: the mean of single draws is as good as as many draws.
        let mut mean = vec![0.0; D * D];
        for seed in 0..1000 {
            sampled(seed, 1).iter().zip(&mut mean).for_each(|(s, m)| *m += s / 1000.0);
        }
        assert!(distance(&mean, &exact) < 4.0 * many, "{}: {}", case.name, distance(&mean, &exact));
    }
}

#[test]
fn draws_depend_on_seed_and_batch_alone() {
    let waves = Waves::new(SAMPLES, K, D);
    let case = &cases::<f64>()[2];
    let x = [0.1; D];
    let metric = |seed: u64, batch: &[usize]| {
        let sampled = fit_samples(&waves, &*case.loss, Metric::SampledFisher { seed, draws: 1 }).unwrap();
        formed(&sampled.batch(batch).expand(&x))
    };
    assert_eq!(metric(1, &[0, 1, 2]), metric(1, &[0, 1, 2]));
    assert_ne!(metric(1, &[0, 1, 2]), metric(2, &[0, 1, 2]));
    // Only a factor ½ for the mean if sample 0 had the same draw in both places.
    assert_ne!(metric(1, &[0, 0]), metric(1, &[0]));
    assert_ne!(metric(1, &[0, 1, 2]), metric(1, &[0, 2, 1]));
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    // Long enough for the loops over samples to run in parallel.
    let (samples, k) = (12_000, 3);
    let targets: Vec<f64> = (0..samples * k).map(|i| (i as f64 * 0.61).sin().abs()).collect();
    let labels: Vec<usize> = (0..samples).map(|i| i % k).collect();
    let line = || {
        model(
            samples * k,
            2,
            |x: &[f64], h: &mut [f64]| (0..h.len()).for_each(|i| h[i] = x[0] * (i as f64).sin() + x[1]),
            |_, v, jv| (0..jv.len()).for_each(|i| jv[i] = v[0] * (i as f64).sin() + v[1]),
            |_, u, jtu| {
                jtu[0] = u.iter().enumerate().map(|(i, u)| u * (i as f64).sin()).sum();
                jtu[1] = u.iter().sum();
            },
        )
    };
    let losses: [&dyn Loss<f64>; 3] = [
        &BernoulliCrossEntropy::new(&targets, k).unwrap(),
        &SoftmaxCrossEntropy::new(&labels, k).unwrap(),
        &PoissonLoss::new(&targets, k).unwrap(),
    ];
    for loss in losses {
        for metric in [Metric::Fisher, Metric::SampledFisher { seed: 3, draws: 2 }, Metric::EmpiricalFisher] {
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let objective = fit(line(), loss, metric).unwrap();
                    let at = objective.expand(&[0.7, -0.2]);
                    let mut g = [0.0; 2];
                    at.gradient(&mut g);
                    let (value, divergence) = at.value_and_divergence(&[0.6, -0.1]).unwrap();
                    (at.value(), g, formed(&at), value, divergence)
                })
            };
            let one = run(1);
            assert!(one.0.is_finite() && one.4 > 0.0);
            assert_eq!(one, run(2));
            assert_eq!(one, run(3));
        }
    }
}

/// A model that counts its passes.
struct Watched<M> {
    model: M,
    forward: Cell<usize>,
    linearized: Cell<usize>,
}

impl<T, M: Model<T>> Model<T> for Watched<M> {
    fn dim(&self) -> usize {
        self.model.dim()
    }
    fn output_dim(&self) -> usize {
        self.model.output_dim()
    }
    fn evaluate(&self, x: &[T], out: &mut [T]) {
        self.forward.set(self.forward.get() + 1);
        self.model.evaluate(x, out);
    }
    fn linearize<'a>(&'a self, x: &'a [T]) -> impl Linearization<T> + 'a {
        self.linearized.set(self.linearized.get() + 1);
        self.model.linearize(x)
    }
}

#[test]
fn one_forward_pass_serves_value_gradient_and_products() {
    let waves = Waves::new(SAMPLES, K, D);
    let case = &cases::<f64>()[3];
    let watched = Watched { model: waves.all::<f64>(), forward: Cell::new(0), linearized: Cell::new(0) };
    let objective = fit(&watched, &*case.loss, Metric::Fisher).unwrap();
    let (x, mut out) = ([0.1; D], [0.0; D]);
    {
        let at = objective.expand(&x);
        at.value();
        at.gradient(&mut out);
        (0..3).for_each(|_| at.apply(&x, &mut out));
    }
    assert_eq!((watched.forward.get(), watched.linearized.get()), (0, 1));
    // One more for value and divergence at another point.
    objective.expand(&x).value_and_divergence(&[0.2; D]).unwrap();
    assert_eq!((watched.forward.get(), watched.linearized.get()), (1, 2));
}

#[test]
fn mistakes_are_errors() {
    let waves = Waves::new(SAMPLES, K, D);
    let loss = |samples: usize| SquaredError::new(vec![0.0; samples * K], K).unwrap();
    let expected = Error::Length { argument: "the model's outputs", expected: 6 * K, found: SAMPLES * K };
    assert_eq!(fit(waves.all::<f64>(), loss(6), Metric::Fisher).err(), Some(expected.clone()));
    assert_eq!(fit_samples(&waves, loss(6), Metric::Fisher).err(), Some(expected));
    // As many outputs in all, but not for a sample.
    let other = SquaredError::new(vec![0.0; SAMPLES * K], 2).unwrap();
    assert!(fit_samples(&waves, other, Metric::Fisher).is_err());

    let first_order = || {
        model(SAMPLES * K, 1, |_: &[f64], h: &mut [f64]| h.fill(0.0), |_, _, jv| jv.fill(0.0), |_, _, u| u.fill(0.0))
    };
    let refused = fit(first_order(), loss(SAMPLES), Metric::Hessian).err().unwrap();
    assert_eq!(refused.to_string(), "metric needs a model with second-order products");
    let no_draws = Metric::SampledFisher { seed: 0, draws: 0 };
    assert!(matches!(
        fit(first_order(), loss(SAMPLES), no_draws).err(),
        Some(Error::OutOfRange { argument: "metric.draws", value: 0.0, .. })
    ));
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        let objective = || fit(first_order(), loss(SAMPLES), Metric::Fisher).unwrap();
        assert!(objective().with_regularization(bad).is_err() && objective().with_middle_damping(bad).is_err());
    }

    /// |h|, which no likelihood belongs to.
    struct Absolute(usize);
    impl Loss<f64> for Absolute {
        fn samples(&self) -> usize {
            self.0
        }
        fn outputs_per_sample(&self) -> usize {
            1
        }
        fn value(&self, _: usize, h: &[f64]) -> f64 {
            h[0].abs()
        }
        fn gradient(&self, _: usize, h: &[f64], out: &mut [f64]) {
            out[0] = h[0].signum();
        }
        fn curvature_len(&self) -> usize {
            0
        }
        fn hessian(&self, _: usize, _: &[f64], _: &mut [f64]) {}
        fn multiply(&self, _: &[f64], _: &[f64], out: &mut [f64]) {
            out.fill(0.0);
        }
    }
    for metric in [Metric::Fisher, Metric::EmpiricalFisher, Metric::SampledFisher { seed: 0, draws: 1 }] {
        let refused = fit(first_order(), Absolute(SAMPLES * K), metric).err().unwrap();
        assert_eq!(refused.to_string(), "metric needs a loss that is the negative logarithm of a likelihood");
    }
    let objective = fit(first_order(), Absolute(SAMPLES * K), Metric::GradientCovariance).unwrap();
    assert!(objective.expand(&[0.0]).value_and_divergence(&[1.0]).is_none());
    // Curvature that takes no numbers at all.
    let objective = fit(first_order(), Absolute(SAMPLES * K), Metric::GeneralizedGaussNewton).unwrap();
    assert_eq!(formed(&objective.expand(&[0.0])), [0.0]);
    assert_eq!(
        fit(first_order(), Absolute(0), Metric::GaussNewton).err(),
        Some(Error::ZeroDimension { argument: "the loss's samples" })
    );
}

#[test]
fn bad_batches_and_overflow_are_outcomes() {
    let waves = Waves::new(SAMPLES, K, D);
    let case = &cases::<f64>()[4];
    let sampled = fit_samples(&waves, &*case.loss, Metric::Fisher).unwrap();
    let empty = sampled.batch(&[]);
    assert!(empty.value(&[0.1; D]).is_nan());
    let mut out = [0.0; D];
    let x = [0.1; D];
    empty.expand(&x).apply(&x, &mut out);
    let error = TrustRegion::default().minimize(&empty, &x).unwrap_err();
    assert!(matches!(error, Error::NotFinite { argument: "the value at x0", .. }));

    // exp of outputs in the thousands.
    let steep = model(
        K,
        1,
        |x: &[f64], h: &mut [f64]| h.fill(x[0]),
        |_, v, jv| jv.fill(v[0]),
        |_, u, jtu| jtu[0] = u.iter().sum(),
    );
    let objective = fit(steep, PoissonLoss::new(vec![1.0; K], K).unwrap(), Metric::GeneralizedGaussNewton).unwrap();
    assert_eq!(objective.value(&[1e4]), f64::INFINITY);
    // From a plateau at the left Newton's step is e¹⁰⁰ too long, into overflow; the way back is found.
    let report = TrustRegion::default().minimize(&objective, &[-100.0]).unwrap();
    assert!(report.termination.converged() && report.x[0].abs() < 1e-6, "{report}");
    assert!(TrustRegion::default().minimize(&objective, &[1e4]).is_err());

    // One bad sample spoils its batch, which solvers report.
    let spoilt = model(
        K,
        1,
        |x: &[f64], h: &mut [f64]| {
            h.fill(x[0]);
            h[2] = f64::NAN;
        },
        |_, v, jv| jv.fill(v[0]),
        |_, u, jtu| jtu[0] = u.iter().sum(),
    );
    let objective = fit(spoilt, PoissonLoss::new(vec![1.0; K], K).unwrap(), Metric::Fisher).unwrap();
    assert!(matches!(
        TrustRegion::default().minimize(&objective, &[0.0]).unwrap_err(),
        Error::NotFinite { argument: "the value at x0", .. }
    ));
}

#[test]
fn second_order_models_keep_the_rest_of_their_model() {
    let waves = Waves::new(2, 2, 3);
    let h = waves.all::<f64>();
    let at = h.linearize(&[0.1, 0.2, 0.3]);
    let mut matrix = [0.0; 12];
    at.form(&mut matrix);
    for (r, j) in (0..12).map(|rj| (rj % 4, rj / 4)) {
        assert!((matrix[j * 4 + r] - waves.slope(r, &[0.1, 0.2, 0.3], j)).abs() < 1e-15);
    }
    assert_eq!((at.forming_cost(), at.rows(), at.columns()), (3, 4, 3));
}
