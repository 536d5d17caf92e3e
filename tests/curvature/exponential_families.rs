//! Exponential families against their definitions: derivatives of A, sums and integrals over x.

use crate::derivative::derivative;
use newton_krylov::exponential_family::{
    Bernoulli, Categorical, Exponential, ExponentialFamily, Gamma, Gaussian, Poisson,
};
use newton_krylov::{Error, SymmetricOperator};

/// Calls a generic function for every family with some valid natural parameters.
macro_rules! for_every_family {
    ($check:ident) => {
        for eta in [-30.0, -1.3, 0.0, 0.4, 5.0] {
            $check("Bernoulli", Bernoulli, &[eta]);
            $check("Poisson", Poisson, &[0.2 * eta]);
        }
        for eta in [-1e-2, -1.0, -300.0] {
            $check("exponential", Exponential, &[eta]);
        }
        $check("two classes", Categorical::new(2).unwrap(), &[0.7]);
        $check("four classes", Categorical::new(4).unwrap(), &[0.7, -1.0, 2.5]);
        $check("unlikely classes", Categorical::new(3).unwrap(), &[-20.0, -9.0]);
        for (shape, rate) in [(0.3, 2.0), (1.0, 1.0), (7.5, 0.1), (40.0, 30.0)] {
            $check("gamma", Gamma, &[shape - 1.0, -rate]);
        }
        $check("Gaussian", Gaussian::new(1).unwrap(), &gaussian(&[0.8], &[0.3]));
        $check("narrow Gaussian", Gaussian::new(1).unwrap(), &gaussian(&[-0.1], &[0.01]));
        $check("Gaussian in two dimensions", Gaussian::new(2).unwrap(), &gaussian(&[1.0, -0.5], &[2.0, 0.6, 0.6, 0.5]));
        $check(
            "Gaussian in three dimensions",
            Gaussian::new(3).unwrap(),
            &gaussian(&[0.1, 0.2, -0.4], &[1.0, 0.3, -0.2, 0.3, 0.7, 0.1, -0.2, 0.1, 2.0]),
        );
    };
}

fn gaussian(mean: &[f64], covariance: &[f64]) -> Vec<f64> {
    Gaussian::new(mean.len()).unwrap().natural(mean, covariance).unwrap()
}

fn mean_of(family: &impl ExponentialFamily, natural: &[f64]) -> Vec<f64> {
    let mut mean = vec![f64::NAN; natural.len()];
    family.to_mean(natural, &mut mean).unwrap();
    mean
}

fn fisher_of(family: &impl ExponentialFamily, natural: &[f64]) -> Vec<f64> {
    let mut matrix = vec![f64::NAN; natural.len() * natural.len()];
    family.fisher(natural).unwrap().form(&mut matrix);
    matrix
}

/// Moves a little and stays in the domain.
fn nearby(natural: &[f64]) -> Vec<f64> {
    natural.iter().enumerate().map(|(i, n)| n * (1.0 + 0.05 * ((i + 1) as f64).sin())).collect()
}

fn close(at: &str, found: f64, exact: f64, scale: f64) {
    let scale = scale.max(exact.abs());
    assert!((found - exact).abs() <= 1e-10 * scale, "{at}: {found} is not {exact}");
}

#[test]
fn mean_and_fisher_matrix_are_derivatives_of_the_log_partition() {
    fn check(name: &str, family: impl ExponentialFamily, natural: &[f64]) {
        let k = family.parameters();
        let (mean, fisher) = (mean_of(&family, natural), fisher_of(&family, natural));
        for i in 0..k {
            let along = |t: f64| {
                let mut moved = natural.to_vec();
                moved[i] += t;
                moved
            };
            let length =
                0.005 * natural.iter().fold(1.0, |least: f64, n| if *n == 0.0 { least } else { least.min(n.abs()) });
            let slope = derivative(|t| family.log_partition(&along(t)).unwrap(), length);
            close(name, slope, mean[i], 1.0);
            for j in 0..k {
                let slope = derivative(|t| mean_of(&family, &along(t))[j], length);
                close(name, slope, fisher[i * k + j], fisher.iter().fold(1e-3, |m: f64, f| m.max(f.abs())));
                assert!(
                    (fisher[i * k + j] - fisher[j * k + i]).abs() <= 1e-14 * fisher[i * k + i].max(fisher[j * k + j])
                );
            }
        }
    }
    for_every_family!(check);
}

#[test]
fn the_maps_are_inverse_of_each_other() {
    fn check(name: &str, family: impl ExponentialFamily, natural: &[f64]) {
        let mean = mean_of(&family, natural);
        let mut back = vec![f64::NAN; natural.len()];
        family.to_natural(&mean, &mut back).unwrap();
        for (back, &natural) in back.iter().zip(natural) {
            close(name, *back, natural, 1.0);
        }
        let again = mean_of(&family, &back);
        for (again, &mean) in again.iter().zip(&mean) {
            close(name, *again, mean, 0.0);
        }

        let single: Vec<f32> = natural.iter().map(|&n| n as f32).collect();
        let (mut mean_single, mut back_single) = (vec![f32::NAN; mean.len()], vec![f32::NAN; mean.len()]);
        family.to_mean(&single, &mut mean_single).unwrap();
        family.to_natural(&mean_single, &mut back_single).unwrap();
        let largest = natural.iter().fold(1.0_f64, |m, n| m.max(n.abs()));
        for i in 0..mean.len() {
            let error = (f64::from(mean_single[i]) - mean[i]).abs();
            assert!(error <= 1e-4 * mean[i].abs().max(1e-3), "{name}: {mean_single:?}, {mean:?}");
            let error = (f64::from(back_single[i]) - natural[i]).abs();
            assert!(error <= 1e-4 * largest, "{name}: {back_single:?}, {natural:?}");
        }
    }
    for_every_family!(check);
}

#[test]
fn the_divergence_is_the_bregman_divergence_of_the_log_partition() {
    fn check(name: &str, family: impl ExponentialFamily, p: &[f64]) {
        let q = nearby(p);
        let (mean, a_p, a_q) =
            (mean_of(&family, p), family.log_partition(p).unwrap(), family.log_partition(&q).unwrap());
        let along: f64 = mean.iter().zip(p).zip(&q).map(|((m, p), q)| m * (q - p)).sum();
        let found = family.divergence(p, &q).unwrap();
        close(name, found, a_q - a_p - along, a_p.abs().max(along.abs()));
        assert!(found >= 0.0 && family.divergence(p, p).unwrap() < 1e-12, "{name}");
        // To second order it is the Fisher norm.
        let fisher = family.fisher(p).unwrap();
        let step: Vec<f64> = p.iter().zip(&q).map(|(p, q)| 1e-3 * (q - p)).collect();
        let mut product = vec![0.0; p.len()];
        fisher.apply(&step, &mut product);
        let half: f64 = 0.5 * step.iter().zip(&product).map(|(s, p)| s * p).sum::<f64>();
        let moved: Vec<f64> = p.iter().zip(&step).map(|(p, s)| p + s).collect();
        let small = family.divergence(p, &moved).unwrap();
        assert!((small - half).abs() <= 2e-3 * half + 1e-14 * a_p.abs().max(1.0), "{name}: {small} is not {half}");
        let single = |v: &[f64]| v.iter().map(|&v| v as f32).collect::<Vec<_>>();
        let found_single = family.divergence(&single(p), &single(&q)).unwrap();
        assert!((found_single - found).abs() <= 1e-4 * found.max(1e-2), "{name}: {found_single} is not {found}");
    }
    for_every_family!(check);
}

/// Sums, or integrates, over observations x with their weights: 1 = Σ p, KL = Σ p ln p/q, F = Σ p (T − μ)(T − μ)ᵀ.
fn against_sums(name: &str, family: &impl ExponentialFamily, p: &[f64], q: &[f64], points: &[(Vec<f64>, f64)]) {
    let k = family.parameters();
    let mean = mean_of(family, p);
    let (mut total, mut divergence, mut fisher) = (0.0, 0.0, vec![0.0; k * k]);
    let (mut first, mut score) = (vec![0.0; k], vec![0.0; k]);
    for (x, weight) in points {
        let log_p = family.log_density(p, x).unwrap();
        let share = weight * log_p.exp();
        total += share;
        divergence += share * (log_p - family.log_density(q, x).unwrap());
        family.statistics(x, &mut score).unwrap();
        first.iter_mut().zip(&score).for_each(|(f, t)| *f += share * t);
        score.iter_mut().zip(&mean).for_each(|(t, m)| *t -= m);
        for i in 0..k {
            (0..k).for_each(|j| fisher[i * k + j] += share * score[i] * score[j]);
        }
    }
    close(name, total, 1.0, 0.0);
    close(name, divergence, family.divergence(p, q).unwrap(), 1e-1);
    let exact = fisher_of(family, p);
    let scale = exact.iter().fold(0.0_f64, |m, f| m.max(f.abs()));
    for i in 0..k {
        close(name, first[i], mean[i], 1.0);
    }
    for (found, exact) in fisher.iter().zip(&exact) {
        close(name, *found, *exact, scale);
    }
}

#[test]
fn discrete_families_sum_to_their_formulas() {
    let whole = |n: usize| (0..n).map(|x| (vec![x as f64], 1.0)).collect::<Vec<_>>();
    against_sums("Bernoulli", &Bernoulli, &[0.3], &[-1.1], &whole(2));
    against_sums("categorical", &Categorical::new(4).unwrap(), &[0.7, -1.0, 2.5], &[0.0, 1.0, 0.1], &whole(4));
    against_sums("Poisson", &Poisson, &[1.3], &[0.4], &whole(100));
}

#[test]
fn continuous_families_integrate_to_their_formulas() {
    // Equidistant points converge exponentially where all tails are cut off at rounding (Trefethen & Weideman 2014).
    let line = |from: f64, to: f64, n: usize| {
        let step = (to - from) / n as f64;
        (0..=n).map(move |i| (from + step * i as f64, step))
    };
    let positive: Vec<_> = line(-90.0, 7.0, 20_000).map(|(u, w)| (vec![u.exp()], w * u.exp())).collect();
    against_sums("exponential", &Exponential, &[-0.7], &[-1.9], &positive);
    against_sums("gamma", &Gamma, &[1.5, -0.7], &[0.2, -1.9], &positive);
    against_sums("gamma, unbounded", &Gamma, &[-0.3, -1.0], &[0.2, -1.9], &positive);
    let plain: Vec<_> = line(-15.0, 15.0, 600).map(|(x, w)| (vec![x], w)).collect();
    let one = Gaussian::new(1).unwrap();
    against_sums("Gaussian", &one, &gaussian(&[0.8], &[0.6]), &gaussian(&[0.1], &[2.0]), &plain);
    let square: Vec<_> = line(-14.0, 14.0, 280)
        .flat_map(|(x, w)| line(-14.0, 14.0, 280).map(move |(y, v)| (vec![x, y], w * v)))
        .collect();
    let p = gaussian(&[1.0, -0.5], &[1.2, 0.3, 0.3, 0.8]);
    let q = gaussian(&[0.5, 0.0], &[1.0, -0.1, -0.1, 2.0]);
    against_sums("Gaussian in two dimensions", &Gaussian::new(2).unwrap(), &p, &q, &square);
}

#[test]
fn gaussians_translate_to_moments_and_back() {
    let covariance = [1.0, 0.3, -0.2, 0.3, 0.7, 0.1, -0.2, 0.1, 2.0];
    let family = Gaussian::new(3).unwrap();
    let (mean, found) = family.moments(&gaussian(&[0.1, 0.2, -0.4], &covariance)).unwrap();
    assert!(mean.iter().zip([0.1, 0.2, -0.4]).all(|(a, b)| (a - b).abs() < 1e-14));
    assert!(found.iter().zip(&covariance).all(|(a, b)| (a - b).abs() < 1e-14));
}

#[test]
fn extreme_parameters_do_not_overflow() {
    assert_eq!(Bernoulli.log_partition(&[800.0]).unwrap(), 800.0);
    assert!(Bernoulli.log_partition(&[-800.0]).unwrap() < 1e-300);
    assert_eq!(mean_of(&Bernoulli, &[800.0]), [1.0]);
    assert!((Bernoulli.divergence(&[800.0], &[-800.0]).unwrap() - 800.0).abs() < 1e-10);
    let three = Categorical::new(3).unwrap();
    assert_eq!(mean_of(&three, &[900.0, -900.0]), [1.0, 0.0]);
    assert_eq!(three.log_partition(&[900.0, -900.0]).unwrap(), 900.0);
    assert!((three.divergence(&[900.0, -900.0], &[-900.0, 900.0]).unwrap() - 1800.0).abs() < 1e-9);
    assert!(Poisson.divergence(&[-700.0], &[5.0]).unwrap().is_finite());
    for shape in [1e-8, 1e8] {
        let natural = [shape - 1.0, -1.0];
        let mut back = [0.0; 2];
        Gamma.to_natural(&mean_of(&Gamma, &natural), &mut back).unwrap();
        assert!((back[0] + 1.0).log10() - shape.log10() < 1e-6 && (back[1] + 1.0).abs() < 1e-6, "{back:?}");
    }
}

#[test]
fn mistakes_are_refused_with_index_and_number() {
    fn refused<V>(result: Result<V, Error>, text: &str) {
        assert_eq!(result.map(drop).unwrap_err().to_string(), text);
    }
    let mut out = [0.0; 2];
    refused(Bernoulli.to_mean(&[f64::NAN], &mut out[..1]), "natural[0] is NaN, but must be finite");
    refused(Bernoulli.to_mean(&[0.0], &mut out), "mean has length 2, but 1 is needed");
    refused(Bernoulli.to_natural(&[1.0], &mut out[..1]), "mean[0] is 1, but must be above 0 and below 1");
    refused(Bernoulli.log_density(&[0.0], &[0.5]), "x[0] is 0.5, but must be 0 or 1");
    let three = Categorical::new(3).unwrap();
    refused(three.to_natural(&[0.5, 0.0], &mut out), "mean[1] is 0, but must be above 0");
    refused(three.to_natural(&[0.5, 0.75], &mut out), "the sum of mean is 1.25, but must be below 1");
    refused(three.log_density(&[0.0, 0.0], &[3.0]), "x[0] is 3, but must be the number of a class, from 0");
    refused(Categorical::new(1), "classes is 1, but must be at least 2");
    refused(Poisson.to_natural(&[-2.0], &mut out[..1]), "mean[0] is -2, but must be above 0");
    refused(
        Poisson.log_partition(&[1e3]),
        "natural[0] is 1000, but must be between -745 and 709, so that its exponential is a number",
    );
    refused(Poisson.log_density(&[0.0], &[1.5]), "x[0] is 1.5, but must be a whole number from 0");
    refused(Poisson.to_mean(&[100.0_f32], &mut [0.0]), "mean[0] is inf, but must be finite");
    refused(Exponential.log_partition(&[0.0]), "natural[0] is 0, but must be below 0");
    refused(Exponential.log_density(&[-1.0], &[-0.1]), "x[0] is -0.1, but must be at least 0");
    refused(Gamma.fisher(&[-1.0, -1.0]), "natural[0] is -1, but must be above -1");
    refused(Gamma.fisher(&[0.0, 2.0]), "natural[1] is 2, but must be below 0");
    refused(Gamma.to_natural(&[0.5, 1.0], &mut out), "mean[0] is 0.5, but must be below the logarithm of mean[1]");
    let two = Gaussian::new(2).unwrap();
    refused(two.log_partition(&[0.0; 4]), "natural has length 4, but 5 is needed");
    refused(
        two.log_partition(&[0.0, 0.0, -0.5, 2.0, -0.5]),
        "pivot of the precision in natural[1] is -3, but must be positive: the matrix is not positive definite",
    );
    refused(
        two.to_natural(&[1.0, 0.0, 0.5, 0.0, 1.0], &mut [0.0; 5]),
        "pivot of the covariance in mean[0] is -0.5, but must be positive: the matrix is not positive definite",
    );
    refused(
        two.natural(&[0.0, 0.0], &[1.0, 1.0, 1.0, 1.0]),
        "pivot of the covariance[1] is 0, but must be positive: the matrix is not positive definite",
    );
    refused(two.natural(&[0.0, 0.0], &[1.0, f64::NAN, 0.0, 1.0]), "covariance[1] is NaN, but must be finite");
    refused(Gaussian::new(0), "dim is zero: there is nothing to solve for");
}
