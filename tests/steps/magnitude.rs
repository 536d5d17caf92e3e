//! Steps in any unit: x · 10ᵃ and f · 10ᵇ change nothing but the exponents, over the range of the type.

use newton_krylov::{
    InnerSolver, Scalar, SymmetricOperator, operator,
    steps::{StepOptions, StepOutcome, Steps, Subproblem},
};

const N: usize = 12;

/// A diagonal and two bands, positive definite or not, times a factor.
fn matrix<T: Scalar>(lowest: f64, factor: f64) -> impl SymmetricOperator<T> {
    operator(N, move |v: &[T], out: &mut [T]| {
        for i in 0..N {
            let mut sum = (lowest + (i * i) as f64 / 10.0) * v[i].into();
            for j in [i.wrapping_sub(1), i + 1] {
                sum += if j < N { 0.1 * v[j].into() } else { 0.0 };
            }
            out[i] = T::from_f64(factor * sum);
        }
    })
}

fn every_question<T: Scalar>(exponents: &[i32], range: i32, accuracy: f64) {
    for lowest in [0.5, -1.0] {
        for (inner, basis) in [(InnerSolver::Krylov, 100), (InnerSolver::Krylov, 3), (InnerSolver::Dense, 100)] {
            // In units of 1; then in those of x and f.
            let ask = |a: i32, b: i32, subproblem: Subproblem| {
                let ten = |exponent: i32| 10_f64.powi(exponent);
                let (m, g) = (matrix::<T>(lowest, ten(b - 2 * a)), ten(b - a));
                let g: Vec<T> = (0..N).map(|i| T::from_f64(g * (1.0 + i as f64).sin())).collect();
                let subproblem = match subproblem {
                    Subproblem::Damped(damping) => Subproblem::Damped(damping * ten(b - 2 * a)),
                    Subproblem::Radius(radius) => Subproblem::Radius(radius * ten(a)),
                    Subproblem::Cubic(weight) => Subproblem::Cubic(weight * ten(b - 3 * a)),
                    Subproblem::MetricBall(size) => Subproblem::MetricBall(size * 10_f64.powf(0.5 * f64::from(b))),
                    Subproblem::SaddleFree(longest) => Subproblem::SaddleFree(longest * ten(a)),
                };
                let options = StepOptions { inner, basis, tolerance: 0.01 * accuracy, ..StepOptions::default() };
                Steps::new(&m, &g, options).unwrap().solve(subproblem).unwrap()
            };
            for subproblem in [
                Subproblem::Damped(2.0),
                Subproblem::Radius(0.3),
                Subproblem::Radius(1e3),
                Subproblem::Cubic(1.0),
                Subproblem::MetricBall(0.1),
                Subproblem::SaddleFree(50.0),
            ] {
                // Beyond its basis the space has not the whole of |M|⁻¹.
                let partial = basis < N && lowest < 0.0 && matches!(subproblem, Subproblem::SaddleFree(_));
                let one = ask(0, 0, subproblem);
                for (&a, &b) in exponents.iter().flat_map(|a| exponents.iter().map(move |b| (a, b))) {
                    if partial || [a, b, b - a, b - 2 * a, b - 3 * a].iter().any(|e| e.abs() > range) {
                        continue;
                    }
                    let step = ask(a, b, subproblem);
                    let about = format!("{lowest} {inner:?} {basis} {subproblem:?} 1e{a} 1e{b}\n{step:?}\n{one:?}");
                    assert_eq!((step.outcome, step.on_boundary), (one.outcome, one.on_boundary), "{about}");
                    if one.outcome != StepOutcome::Accurate {
                        continue;
                    }
                    let unit = 10_f64.powi(a);
                    for (&x, &y) in step.step.iter().zip(&one.step) {
                        let (x, y): (f64, f64) = (x.into(), y.into());
                        assert!((x / unit - y).abs() <= accuracy * one.norm, "{about}");
                    }
                    assert!((step.norm / unit / one.norm - 1.0).abs() <= accuracy, "{about}");
                    assert!((step.decrease / 10_f64.powi(b) / one.decrease - 1.0).abs() <= accuracy, "{about}");
                }
            }
        }
    }
}

#[test]
fn steps_do_not_depend_on_units_in_f64() {
    every_question::<f64>(&[-250, -140, -70, 0, 70, 140, 250], 290, 1e-6);
}

#[test]
fn steps_do_not_depend_on_units_in_f32() {
    every_question::<f32>(&[-30, -16, -8, 0, 8, 16, 30], 33, 1e-3);
}
