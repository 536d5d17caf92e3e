//! Mirror descent in the mean parameters is natural gradient descent in the natural ones.

use std::ops::ControlFlow;

use crate::common::solve;
use crate::derivative::derivative;
use newton_krylov::exponential_family::{
    Bernoulli, Categorical, Exponential, ExponentialFamily, Gamma, Gaussian, Poisson,
};
use newton_krylov::{
    Counts, Evaluation, Objective, Scalar, Stopping, SymmetricOperator, Termination, first_order::MirrorDescent,
    objective,
};

/// f(μ) = KL(q‖target) + c/2 ‖μ − b‖², with ∇_μ f = η − η_target + c (μ − b).
fn bound<'a, T: Scalar>(
    family: &'a impl ExponentialFamily,
    target: &'a [T],
    center: &'a [T],
    weight: f64,
) -> impl Objective<T> + 'a {
    let natural = |mean: &[T]| {
        let mut natural = vec![T::zero(); mean.len()];
        family.to_natural(mean, &mut natural).ok().map(|()| natural)
    };
    objective(
        family.parameters(),
        move |mean: &[T]| {
            let penalty: f64 = mean.iter().zip(center).map(|(&m, &b)| (m - b).into()).map(|d: f64| d * d).sum();
            let divergence = natural(mean).and_then(|q| family.divergence(&q, target).ok());
            divergence.unwrap_or(f64::NAN) + 0.5 * weight * penalty
        },
        move |mean, g| match natural(mean) {
            Some(q) => {
                (0..g.len()).for_each(|i| g[i] = q[i] - target[i] + T::from_f64(weight) * (mean[i] - center[i]));
            }
            None => g.fill(T::nan()),
        },
        |_, _, hv| hv.fill(T::nan()),
    )
}

fn mean_of(family: &impl ExponentialFamily, natural: &[f64]) -> Vec<f64> {
    let mut mean = vec![0.0; natural.len()];
    family.to_mean(natural, &mut mean).unwrap();
    mean
}

fn gradient_at(f: &impl Objective<f64>, mean: &[f64]) -> Vec<f64> {
    let mut gradient = vec![0.0; mean.len()];
    newton_krylov::Expansion::gradient(&f.expand(mean), &mut gradient);
    gradient
}

/// Both methods from the same point, over a whole run.
fn compare(name: &str, family: impl ExponentialFamily, start: &[f64], target: &[f64]) {
    let k = family.parameters();
    let (rate, weight, steps) = (0.15, 0.3, 40);
    let center: Vec<f64> = mean_of(&family, target).iter().map(|m| 1.1 * m).collect();
    let f = bound(&family, target, &center, weight);
    let mut path: Vec<Vec<f64>> = vec![];
    let solver = MirrorDescent {
        stopping: Stopping { gradient_relative: 0.0, max_iterations: steps, ..Stopping::default() },
        ..MirrorDescent::new(&family, rate)
    };
    let report = solver
        .minimize_dual_with(&f, start, |progress| {
            path.push(progress.x.to_vec());
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!((report.termination, path.len()), (Termination::MaxIterations, steps + 1), "{name}");
    assert_eq!(report.counts, Counts { values: steps + 1, gradients: steps + 1, ..Counts::default() });
    assert!(report.value < report.initial_value, "{name}");
    assert!(report.history.iter().all(|step| step.rejected == 0 && step.control == rate), "{name}");

    // η ← η − αF⁻¹∇_η f, with ∇_η f = Fᵀ∇_μ f by the chain rule and a dense solve.
    let mut eta = start.to_vec();
    for (step, on_path) in path.iter().enumerate() {
        let scale = on_path.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
        let error = eta.iter().zip(on_path).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs()));
        assert!(error <= 1e-10 * scale, "{name}, step {step}: {eta:?}, {on_path:?}");
        let mut fisher = vec![0.0; k * k];
        family.fisher(&eta).unwrap().form(&mut fisher);
        let in_mean = gradient_at(&f, &mean_of(&family, &eta));
        let in_natural: Vec<f64> =
            (0..k).map(|i| (0..k).map(|j| fisher[i * k + j] * in_mean[j]).sum::<f64>()).collect();
        if step == 3 {
            for i in 0..k {
                let value = |t: f64| {
                    let mut moved = eta.clone();
                    moved[i] += t;
                    f.value(&mean_of(&family, &moved))
                };
                let slope = derivative(value, 0.01 * eta.iter().fold(1.0, |m: f64, e| m.min(e.abs())));
                let size = in_natural.iter().fold(1e-2_f64, |m, g| m.max(g.abs()));
                assert!((slope - in_natural[i]).abs() <= 1e-8 * size, "{name}: {slope} is not {}", in_natural[i]);
            }
        }
        let direction = solve(&fisher, &in_natural);
        eta.iter_mut().zip(&direction).for_each(|(e, d)| *e -= rate * d);
    }

    // The step is the proximal one: μ' minimises gᵀμ' + KL(μ'‖μ)/α, whose gradient is g + (η' − η)/α.
    let proximal = |gradient: &[f64], moved: &[f64], from: &[f64]| {
        let linear: f64 = gradient.iter().zip(mean_of(&family, moved)).map(|(g, m)| g * m).sum();
        linear + family.divergence(moved, from).unwrap() / rate
    };
    let gradient = gradient_at(&f, &mean_of(&family, &path[0]));
    let least = proximal(&gradient, &path[1], &path[0]);
    for i in 0..k {
        for t in [-0.02, 0.02] {
            let mut moved = path[1].clone();
            moved[i] *= 1.0 + t;
            assert!(proximal(&gradient, &moved, &path[0]) > least, "{name}: {i}");
        }
    }
}

fn gaussian(mean: &[f64], covariance: &[f64]) -> Vec<f64> {
    Gaussian::new(mean.len()).unwrap().natural(mean, covariance).unwrap()
}

#[test]
fn mirror_descent_is_natural_gradient_descent() {
    compare("Bernoulli", Bernoulli, &[-1.5], &[0.8]);
    compare("categorical", Categorical::new(4).unwrap(), &[0.5, -0.5, 1.0], &[1.0, 0.3, -0.7]);
    compare("Poisson", Poisson, &[0.5], &[1.2]);
    compare("exponential", Exponential, &[-1.5], &[-0.8]);
    compare("gamma", Gamma, &[1.0, -2.0], &[2.5, -3.0]);
    compare("Gaussian", Gaussian::new(1).unwrap(), &gaussian(&[0.5], &[1.0]), &gaussian(&[1.0], &[0.4]));
    compare(
        "Gaussian in three dimensions",
        Gaussian::new(3).unwrap(),
        &gaussian(&[0.5, -0.3, 0.2], &[1.0, 0.1, 0.2, 0.1, 0.8, 0.1, 0.2, 0.1, 1.2]),
        &gaussian(&[0.1, 0.2, -0.4], &[1.0, 0.3, -0.2, 0.3, 0.7, 0.1, -0.2, 0.1, 2.0]),
    );
}

#[test]
fn conjugate_models_converge_in_one_step() {
    // Linear regression y = Xw + noise with variance s², w ~ N(0, I/p): the posterior has precision pI + XᵀX/s².
    let (d, n, p, s2) = (4, 30, 0.5, 0.09);
    let x: Vec<f64> = (0..n * d).map(|i| (1.7 * i as f64).sin() + if i % d == 0 { 0.5 } else { 0.0 }).collect();
    let y: Vec<f64> = (0..n).map(|i| x[i * d] - 2.0 * x[i * d + 1] + 0.3 * (i as f64).cos()).collect();
    let family = Gaussian::new(d).unwrap();
    let k = family.parameters();
    // The joint's natural parameters: h = Xᵀy/s², Λ = pI + XᵀX/s².
    let mut joint = vec![0.0; k];
    let precision = |i: usize, j: usize| {
        f64::from(u8::from(i == j)) * p + (0..n).map(|r| x[r * d + i] * x[r * d + j]).sum::<f64>() / s2
    };
    let mut at = d;
    for j in 0..d {
        joint[j] = (0..n).map(|r| x[r * d + j] * y[r]).sum::<f64>() / s2;
        for i in j..d {
            joint[at] = if i == j { -0.5 } else { -1.0 } * precision(i, j);
            at += 1;
        }
    }
    // Up to a constant the negative bound is −E[ln joint] + E[ln q] = (η_q − η_joint)ᵀμ − A(η_q).
    let natural = |mean: &[f64]| {
        let mut natural = vec![0.0; k];
        family.to_natural(mean, &mut natural).map(|()| natural)
    };
    let bound = objective(
        k,
        |mean: &[f64]| match natural(mean) {
            Ok(q) => {
                let along: f64 = q.iter().zip(&joint).zip(mean).map(|((q, j), m)| (q - j) * m).sum();
                along - family.log_partition(&q).unwrap()
            }
            Err(_) => f64::NAN,
        },
        |mean, g| match natural(mean) {
            Ok(q) => (0..k).for_each(|i| g[i] = q[i] - joint[i]),
            Err(_) => g.fill(f64::NAN),
        },
        |_, _, hv| hv.fill(f64::NAN),
    );
    let mut identity = vec![0.0; d * d];
    (0..d).for_each(|i| identity[i * d + i] = 1.0);
    let start = gaussian(&vec![0.0; d], &identity);
    let report = MirrorDescent::new(&family, 1.0).minimize_dual(&bound, &start).unwrap();
    assert!(report.termination.converged() && report.iterations() == 1, "{report}");
    let (mean, covariance) = family.moments(&report.x).unwrap();
    let matrix: Vec<f64> = (0..d * d).map(|e| precision(e / d, e % d)).collect();
    let exact = solve(&matrix, &joint[..d]);
    assert!(mean.iter().zip(&exact).all(|(a, b)| (a - b).abs() < 1e-10 * b.abs().max(1.0)), "{mean:?}, {exact:?}");
    for j in 0..d {
        let unit: Vec<f64> = (0..d).map(|i| f64::from(u8::from(i == j))).collect();
        let exact = solve(&matrix, &unit);
        assert!((0..d).all(|i| (covariance[j * d + i] - exact[i]).abs() < 1e-10), "{covariance:?}");
    }
}

#[test]
fn single_precision_reaches_the_target() {
    let family = Gamma;
    let (start, target) = ([1.0_f32, -2.0], [2.5_f32, -3.0]);
    let f = bound(&family, &target, &[0.0; 2], 0.0);
    let solver = MirrorDescent {
        stopping: Stopping { gradient_relative: 1e-4, ..Stopping::default() },
        ..MirrorDescent::new(family, 0.5)
    };
    let report = solver.minimize_dual(&f, &start).unwrap();
    assert!(report.termination.converged(), "{report}");
    assert!(report.x.iter().zip(&target).all(|(x, t)| (x - t).abs() < 1e-3), "{:?}", report.x);
}

#[test]
fn steps_out_of_the_domain_are_halved() {
    // From β = 4 towards β = 0.5 with six times the exact rate: η would become positive.
    let f = bound(&Exponential, &[-0.5], &[0.0], 0.0);
    let solver = MirrorDescent {
        stopping: Stopping { max_iterations: 1, ..Stopping::default() },
        ..MirrorDescent::new(Exponential, 6.0)
    };
    let report = solver.minimize_dual(&f, &[-4.0_f64]).unwrap();
    let step = report.history[0];
    assert_eq!((step.rejected, step.control), (3, 0.75));
    assert!((step.step_norm - 0.75 * 3.5).abs() < 1e-14 && (report.x[0] + 1.375).abs() < 1e-14);
}

#[test]
fn faults_are_outcomes_and_mistakes_are_refused() {
    let f = bound(&Poisson, &[1.0], &[0.0], 0.0);
    let solver = MirrorDescent::new(Poisson, 0.5);
    let refused = |result: newton_krylov::Result<newton_krylov::Report<f64>>, text: &str| {
        assert_eq!(result.unwrap_err().to_string(), text);
    };
    refused(solver.minimize_dual(&f, &[0.0, 1.0]), "x0 has length 2, but 1 is needed");
    refused(solver.minimize_dual(&f, &[f64::NAN]), "x0[0] is NaN, but must be finite");
    refused(MirrorDescent::new(Poisson, 0.0).minimize_dual(&f, &[0.0]), "rate is 0, but must be positive and finite");
    refused(
        MirrorDescent::new(Gamma, 1.0).minimize_dual(&f, &[0.0; 2]),
        "the objective's point has length 1, but 2 is needed",
    );
    let gamma = bound(&Gamma, &[1.0, -1.0], &[0.0; 2], 0.0);
    refused(
        MirrorDescent::new(Gamma, 1.0).minimize_dual(&gamma, &[-2.0, -1.0]),
        "natural[0] is -2, but must be above -1",
    );

    let edge = objective(
        1,
        |mean: &[f64]| if mean[0] > 2.0 { f64::NAN } else { -mean[0] },
        |mean, g| g[0] = if mean[0] > 2.0 { f64::NAN } else { -1.0 },
        |_, _, hv| hv[0] = 0.0,
    );
    let report = solver.minimize_dual(&edge, &[0.0]).unwrap();
    assert_eq!(report.termination, Termination::NotFinite(Evaluation::Value));
    assert_eq!((report.x, report.value), (vec![0.5], -0.5_f64.exp()));

    // To the end of the domain, where no step is short enough.
    let endless = objective(1, |mean: &[f64]| -mean[0], |_, g| g[0] = -1e3, |_, _, hv| hv[0] = 0.0);
    let report = solver.minimize_dual(&endless, &[0.0]).unwrap();
    assert_eq!(report.termination, Termination::Stalled);
    assert!(report.x[0] > 709.7 && report.value.is_finite() && report.iterations() < 500, "{report}");

    let mut calls = 0;
    let report = solver
        .minimize_dual_with(&f, &[0.0], |_| {
            calls += 1;
            if calls > 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!((report.termination, report.iterations()), (Termination::Observer, 3));
}
