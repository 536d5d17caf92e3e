//! PyTorch's optimizers, step by step: values of `benches/peers/torch_optimizers.py`.

use newton_krylov::first_order::{
    AdaGrad, Adam, Epsilon, GradientDescent, GradientMethod, HeavyBall, Momentum, Nesterov, RmsProp,
};

/// The gradient of Σ wᵢ(xᵢ − aᵢ)²/2 + Σ (xᵢ − xᵢ₊₁)⁴/4, in the order of the script.
fn gradient(x: &[f32; 3]) -> [f32; 3] {
    let (w, a) = ([1.0, 10.0, 100.0], [1.0, -2.0, 0.5]);
    let mut g = std::array::from_fn(|i| w[i] * (x[i] - a[i]));
    for i in 0..2 {
        let d = x[i] - x[i + 1];
        g[i] += d * d * d;
    }
    for i in 0..2 {
        let d = x[i] - x[i + 1];
        g[i + 1] -= d * d * d;
    }
    g
}

/// The largest difference to PyTorch's points over all steps, in units of ε and of the largest component.
fn difference(name: &str, method: impl GradientMethod) -> f64 {
    let golden: serde_json::Value = serde_json::from_str(include_str!("../data/torch_optimizers.json")).unwrap();
    let point = |value: &serde_json::Value| -> [f32; 3] { std::array::from_fn(|i| value[i].as_f64().unwrap() as f32) };
    let mut x = point(&golden["start"]);
    let mut moments = method.moments(3);
    let path = golden["paths"][name].as_array().unwrap();
    assert_eq!(path.len(), 100);
    let mut worst = 0.0_f64;
    for expected in path.iter().map(point) {
        let g = gradient(&x);
        method.step(&mut moments, &g, &mut x).unwrap();
        let size = expected.iter().fold(0.0_f32, |size, v| size.max(v.abs()));
        for (x, expected) in x.iter().zip(expected) {
            worst = worst.max(((x - expected).abs() / size / f32::EPSILON) as f64);
        }
    }
    println!("{name}: {worst} ε");
    worst
}

/// Each step rounds the point once, and methods are written down in different ways: a few ε over 100 steps.
const MOST: f64 = 8.0;

#[test]
fn sgd() {
    assert!(difference("sgd", GradientDescent { rate: 0.01 }) <= MOST);
}

#[test]
fn sgd_with_momentum() {
    assert!(difference("momentum", HeavyBall { rate: 0.005, momentum: 0.9 }) <= MOST);
}

#[test]
fn sgd_with_nesterov_momentum() {
    let method = Nesterov { rate: 0.005, momentum: Momentum::Constant(0.9) };
    assert!(difference("nesterov", method) <= MOST);
}

#[test]
fn adagrad() {
    assert!(difference("adagrad", AdaGrad { rate: 0.1, ..AdaGrad::default() }) <= MOST);
}

#[test]
fn rmsprop() {
    assert!(difference("rmsprop", RmsProp { rate: 0.01, ..RmsProp::default() }) <= MOST);
}

#[test]
fn adam() {
    assert!(difference("adam", Adam { rate: 0.05, ..Adam::default() }) <= MOST);
}

#[test]
fn adamw() {
    let method = Adam { rate: 0.05, beta1: 0.8, beta2: 0.99, decay: 0.1, ..Adam::default() };
    assert!(difference("adamw", method) <= MOST);
}

#[test]
fn another_method_is_told_apart() {
    // What the comparison would find if the bias correction, the decay or a constant were wrong.
    let wrong = Adam { rate: 0.05, beta1: 0.8, beta2: 0.99, decay: 0.0999, ..Adam::default() };
    assert!(difference("adamw", wrong) > 10.0 * MOST);
    assert!(
        difference("rmsprop", RmsProp { rate: 0.01, epsilon: Epsilon::Outside(1e-4), ..RmsProp::default() })
            > 10.0 * MOST
    );
}
