//! ε inside and outside the root of AdaGrad's and RMSProp's metrics, against the formulas written out.

use newton_krylov::{
    Scalar,
    first_order::{AdaGrad, Epsilon, FullAdaGrad, GradientMethod, RmsProp},
};

const GRADIENTS: [[f64; 2]; 3] = [[0.3, -2.0], [-0.01, 0.5], [1e-3, 4.0]];
const EPSILONS: [Epsilon; 2] = [Epsilon::Inside(0.25), Epsilon::Outside(0.25)];

fn root(epsilon: Epsilon, s: f64) -> f64 {
    match epsilon {
        Epsilon::Inside(epsilon) => (s + epsilon).sqrt(),
        Epsilon::Outside(epsilon) => s.sqrt() + epsilon,
    }
}

/// A^½ by rows for a symmetric positive semidefinite 2 × 2 matrix: (A + √det I)/√(tr + 2√det).
fn square_root(a: [f64; 4]) -> [f64; 4] {
    let s = (a[0] * a[3] - a[1] * a[2]).max(0.0).sqrt();
    let t = (a[0] + a[3] + 2.0 * s).sqrt();
    [(a[0] + s) / t, a[1] / t, a[2] / t, (a[3] + s) / t]
}

/// The points that `method` steps to are those of `step(gradients so far)`, to 1e-14 in f64 and 1e-6 in f32.
fn check(method: impl GradientMethod, step: impl Fn(&[[f64; 2]]) -> [f64; 2]) {
    fn run<T: Scalar>(method: &impl GradientMethod) -> Vec<f64> {
        let (mut x, mut moments) = ([T::zero(); 2], method.moments(2));
        for gradient in GRADIENTS {
            method.step(&mut moments, &gradient.map(T::from_f64), &mut x).unwrap();
        }
        x.iter().map(|&x| x.into()).collect()
    }
    let mut expected = [0.0; 2];
    for k in 1..=GRADIENTS.len() {
        let step = step(&GRADIENTS[..k]);
        (0..2).for_each(|i| expected[i] += step[i]);
    }
    for (x, tolerance) in [(run::<f64>(&method), 1e-14), (run::<f32>(&method), 1e-6)] {
        assert!((0..2).all(|i| (x[i] - expected[i]).abs() <= tolerance), "{x:?} instead of {expected:?}");
    }
}

#[test]
fn diagonal_metrics_are_the_formulas() {
    for epsilon in EPSILONS {
        check(AdaGrad { rate: 0.5, epsilon }, |g| {
            let last = g[g.len() - 1];
            std::array::from_fn(|i| -0.5 * last[i] / root(epsilon, g.iter().map(|g| g[i] * g[i]).sum()))
        });
        check(RmsProp { rate: 0.5, discount: 0.8, epsilon }, |g| {
            let last = g[g.len() - 1];
            let v = |i: usize| g.iter().fold(0.0, |v, g| 0.8 * v + 0.2 * g[i] * g[i]);
            std::array::from_fn(|i| -0.5 * last[i] / root(epsilon, v(i)))
        });
    }
}

#[test]
fn the_full_metric_is_the_matrix_root() {
    for epsilon in EPSILONS {
        check(FullAdaGrad { rate: 0.5, epsilon }, |g| {
            let sum = |i: usize, j: usize| g.iter().map(|g| g[i] * g[j]).sum::<f64>();
            let mut m = [sum(0, 0), sum(0, 1), sum(1, 0), sum(1, 1)];
            let shift = |m: &mut [f64; 4], by: f64| {
                m[0] += by;
                m[3] += by;
            };
            match epsilon {
                Epsilon::Inside(epsilon) => {
                    shift(&mut m, epsilon);
                    m = square_root(m);
                }
                Epsilon::Outside(epsilon) => {
                    m = square_root(m);
                    shift(&mut m, epsilon);
                }
            }
            let ([a, b], determinant) = (g[g.len() - 1], m[0] * m[3] - m[1] * m[2]);
            [-0.5 * (m[3] * a - m[1] * b) / determinant, -0.5 * (m[0] * b - m[2] * a) / determinant]
        });
    }
}
