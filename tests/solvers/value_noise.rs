//! Values that are less accurate than their numbers: with noise, rounded, or computed in single precision; gradients and
//! products are right. The minimum is at ones.

use newton_krylov::{
    CubicRegularization, NewtonCg, Objective, Report, Scalar, Stopping, Termination, TrustRegion, objective,
};

/// A number in (−1, 1) that depends on all bits of x.
fn noise<T: Scalar>(x: &[T]) -> f64 {
    let bits = |x: &T| Into::<f64>::into(*x).to_bits();
    let mix = |h: u64| (h ^ h >> 31).wrapping_mul(0x94D049BB133111EB);
    let hash = x.iter().fold(17, |h, x| mix((h ^ bits(x)).wrapping_mul(0xBF58476D1CE4E5B9)));
    (hash >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// 1 + Σ cosh(cⱼ(xⱼ − 1)) + a bend between neighbours, with `error` in its value.
fn bent<T: Scalar>(n: usize, error: impl Fn(&[T], f64) -> f64) -> impl Objective<T> {
    let c = |j: usize| 1.0 + 0.1 * j as f64;
    let at = |x: &[T], j: usize| x[j].into() - 1.0;
    let bend = move |x: &[T], j: usize| at(x, j) - at(x, j - 1).powi(2);
    let value = move |x: &[T]| {
        let bends: f64 = (1..n).map(|j| 5.0 * bend(x, j).powi(2)).sum();
        error(x, 1.0 + bends + (0..n).map(|j| (c(j) * at(x, j)).cosh()).sum::<f64>())
    };
    let gradient = move |x: &[T], g: &mut [T]| {
        let mut sums: Vec<f64> = (0..n).map(|j| c(j) * (c(j) * at(x, j)).sinh()).collect();
        for j in 1..n {
            sums[j] += 10.0 * bend(x, j);
            sums[j - 1] -= 20.0 * bend(x, j) * at(x, j - 1);
        }
        g.iter_mut().zip(sums).for_each(|(g, sum)| *g = T::from_f64(sum));
    };
    let product = move |x: &[T], v: &[T], out: &mut [T]| {
        let v: Vec<f64> = v.iter().map(|&v| v.into()).collect();
        let mut sums: Vec<f64> = (0..n).map(|j| c(j).powi(2) * (c(j) * at(x, j)).cosh() * v[j]).collect();
        for j in 1..n {
            let change = v[j] - 2.0 * at(x, j - 1) * v[j - 1];
            sums[j] += 10.0 * change;
            sums[j - 1] -= 20.0 * (change * at(x, j - 1) + bend(x, j) * v[j - 1]);
        }
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out = T::from_f64(sum));
    };
    objective(n, value, gradient, product)
}

fn all<T: Scalar>(f: &impl Objective<T>, stopping: &Stopping) -> Vec<Report<T>> {
    let x0: Vec<T> = (0..f.dim()).map(|j| T::from_f64(if j % 2 == 0 { -0.2 } else { 1.8 })).collect();
    let stopping = || stopping.clone();
    vec![
        TrustRegion { stopping: stopping(), ..Default::default() }.minimize(f, &x0).unwrap(),
        NewtonCg { stopping: stopping(), ..Default::default() }.minimize(f, &x0).unwrap(),
        CubicRegularization { stopping: stopping(), ..Default::default() }.minimize(f, &x0).unwrap(),
    ]
}

fn distance<T: Scalar>(report: &Report<T>) -> f64 {
    report.x.iter().map(|&x| (x.into() - 1.0).abs()).fold(0.0, f64::max)
}

#[test]
fn gradients_judge_where_values_are_noise() {
    for n in [1, 2, 10, 30] {
        for eta in [1e-12, 1e-10, 1e-8, 1e-6, 1e-4] {
            let noisy = bent(n, move |x: &[f64], f| f * (1.0 + eta * noise(x)));
            let rounded = bent(n, move |_: &[f64], f| (f / eta).round() * eta);
            for report in all(&noisy, &Stopping::default()).into_iter().chain(all(&rounded, &Stopping::default())) {
                assert!(report.termination.converged(), "{n} {eta}: {report}");
                // f is flat there, to its noise.
                assert!(distance(&report) < 4.0 * (eta * report.value).sqrt(), "{n} {eta}: {report}");
            }
        }
    }
    for n in [1, 2, 10] {
        let noisy = bent(n, |x: &[f32], f| f * (1.0 + 1e-4 * noise(x)));
        for report in all(&noisy, &Stopping::default()) {
            assert!(report.termination.converged() && distance(&report) < 0.1, "{n}: {report}");
        }
    }
    let single = bent(10, |_: &[f64], f| f64::from(f as f32));
    for report in all(&single, &Stopping::default()) {
        assert!(report.termination.converged() && distance(&report) < 1e-3, "{report}");
    }
}

#[test]
fn a_wrong_gradient_is_no_noise() {
    let right = bent(5, |_: &[f64], f| f);
    let wrong = objective(
        5,
        |x: &[f64]| right.value(x),
        |x: &[f64], g: &mut [f64]| {
            newton_krylov::Expansion::gradient(&right.expand(x), g);
            g.iter_mut().for_each(|g| *g = -*g);
        },
        |x: &[f64], v: &[f64], out: &mut [f64]| {
            newton_krylov::SymmetricOperator::apply(&right.expand(x), v, out);
        },
    );
    for report in all(&wrong, &Stopping::default()) {
        assert_eq!(report.termination, Termination::InconsistentGradient, "{report}");
    }
}

#[test]
fn no_limit_of_values_is_passed_to_find_noise() {
    let noisy = bent(5, |x: &[f64], f| f * (1.0 + 1e-8 * noise(x)));
    for max_values in 1..80 {
        let stopping = Stopping { max_values, ..Stopping::default() };
        for report in all(&noisy, &stopping) {
            assert!(report.counts.values <= max_values, "{max_values}: {report}");
        }
    }
}

#[cfg(feature = "serde")]
#[test]
fn what_was_found_of_noise_is_in_a_saved_state() {
    use newton_krylov::Run;
    let noisy = bent(5, |x: &[f64], f| f * (1.0 + 1e-6 * noise(x)));
    let (solver, x0) = (TrustRegion::default(), [-0.2, 1.8, -0.2, 1.8, -0.2]);
    let whole = solver.minimize(&noisy, &x0).unwrap();
    let mut run = solver.start(&noisy, &x0).unwrap();
    while run.iterate().unwrap().is_none() {
        run = solver.resume(&noisy, &run.save()).unwrap();
    }
    let report = run.complete().unwrap();
    assert!(report.x == whole.x && report.counts == whole.counts, "{report} {whole}");
}
