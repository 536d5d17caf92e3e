//! The reference models against differences, written-out formulas and each other.

use newton_krylov::models::{Activation, MultilayerPerceptron};
use newton_krylov::{LinearMap, Linearization, Model, Scalar};

const ACTIVATIONS: [Activation; 5] =
    [Activation::Identity, Activation::Tanh, Activation::Sigmoid, Activation::Relu, Activation::Softplus];

/// Numbers between −1 and 1 that look random.
fn numbers<T: Scalar>(n: usize, seed: u64) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            T::from_f64((state >> 33) as f64 / (1u64 << 30) as f64 - 1.0)
        })
        .collect()
}

fn dot<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| Into::<f64>::into(a) * Into::<f64>::into(b)).sum()
}

/// ‖a − b‖/‖b‖.
fn distance<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    assert_eq!(a.len(), b.len());
    let difference: f64 = a.iter().zip(b).map(|(&a, &b)| (a.into() - b.into()).powi(2)).sum();
    (difference / dot(b, b)).sqrt()
}

/// φ as it is written down.
fn phi(activation: Activation, z: f64) -> f64 {
    match activation {
        Activation::Identity => z,
        Activation::Tanh => z.tanh(),
        Activation::Sigmoid => 1.0 / (1.0 + (-z).exp()),
        Activation::Relu => z.max(0.0),
        Activation::Softplus => z.exp().ln_1p(),
    }
}

/// The outputs, sample by sample and unit by unit.
fn written_out(widths: &[usize], activations: &[Activation], x: &[f64], inputs: &[f64]) -> Vec<f64> {
    let mut outputs = vec![];
    for sample in inputs.chunks(widths[0]) {
        let (mut a, mut rest) = (sample.to_vec(), x);
        for (pair, &activation) in widths.windows(2).zip(activations) {
            let (weights, after) = rest.split_at(pair[0] * pair[1]);
            let (biases, after) = after.split_at(pair[1]);
            let z = |j: usize| biases[j] + (0..pair[0]).map(|i| weights[j * pair[0] + i] * a[i]).sum::<f64>();
            a = (0..pair[1]).map(|j| phi(activation, z(j))).collect();
            rest = after;
        }
        outputs.extend(a);
    }
    outputs
}

/// Networks of several depths with every activation, and numbers of samples around the sizes of chunks.
fn cases() -> Vec<(Vec<usize>, Vec<Activation>, usize)> {
    let mut cases = vec![];
    for hidden in ACTIVATIONS {
        for (widths, samples) in [(vec![3, 4, 2], 1), (vec![5, 7, 6, 3], 65), (vec![2, 3, 4, 3, 2], 241)] {
            for last in [Activation::Identity, Activation::Sigmoid] {
                let mut activations = vec![hidden; widths.len() - 1];
                activations[widths.len() - 2] = last;
                cases.push((widths.clone(), activations, samples));
            }
        }
    }
    cases.push((vec![1, 1], vec![Activation::Tanh], 1));
    cases.push((vec![4, 200, 3], vec![Activation::Tanh, Activation::Softplus], 2000));
    cases
}

#[test]
fn outputs_are_those_of_the_written_formula() {
    for (widths, activations, samples) in cases() {
        let network = MultilayerPerceptron::new(&widths, &activations).unwrap();
        let (x, inputs) = (numbers::<f64>(network.dim(), 1), numbers(widths[0] * samples, 2));
        let model = network.on(&inputs).unwrap();
        let mut outputs = vec![f64::NAN; model.output_dim()];
        model.evaluate(&x, &mut outputs);
        let expected = written_out(&widths, &activations, &x, &inputs);
        assert!(distance(&outputs, &expected) < 1e-14, "{widths:?} {activations:?} {samples}");
        assert_eq!(model.linearize(&x).outputs(), outputs);
    }
}

#[test]
fn products_are_those_of_differences() {
    for (widths, activations, samples) in cases() {
        let name = format!("{widths:?} {activations:?} {samples}");
        let network = MultilayerPerceptron::new(&widths, &activations).unwrap();
        let (x, inputs) = (numbers::<f64>(network.dim(), 1), numbers(widths[0] * samples, 2));
        let (v, w) = (numbers::<f64>(network.dim(), 3), numbers::<f64>(network.dim(), 4));
        let model = network.on(&inputs).unwrap();
        let m = model.output_dim();
        let h = 1e-6;
        let moved = |sign: f64| -> Vec<f64> { x.iter().zip(&v).map(|(x, v)| x + sign * h * v).collect() };
        let (before, after) = (moved(-1.0), moved(1.0));
        let mut jv = vec![f64::NAN; m];
        let at = model.linearize(&x);
        at.apply(&v, &mut jv);
        let (low, high) = (model.linearize(&before), model.linearize(&after));
        let slope: Vec<f64> = high.outputs().iter().zip(low.outputs()).map(|(b, a)| (b - a) / (2.0 * h)).collect();
        // A kink may lie between the two points.
        let tolerance = if activations.contains(&Activation::Relu) { 1e-3 } else { 1e-7 };
        assert!(distance(&jv, &slope) < tolerance, "{name}: {}", distance(&jv, &slope));

        let u = numbers::<f64>(m, 5);
        let mut jtu = vec![f64::NAN; network.dim()];
        at.apply_transpose(&u, &mut jtu);
        let difference = (dot(&jv, &u) - dot(&v, &jtu)).abs();
        assert!(difference < 1e-12 * (dot(&jv, &jv) * dot(&u, &u)).sqrt(), "{name}: {difference}");

        // l(h) = Σ cᵢhᵢ + hᵢ³/6, so that ∇l = c + h²/2 and ∇²l = diag h.
        let gradient = |x: &[f64]| {
            let at = model.linearize(x);
            let du: Vec<f64> = at.outputs().iter().zip(&u).map(|(h, c)| c + h * h / 2.0).collect();
            let mut g = vec![f64::NAN; network.dim()];
            at.apply_transpose(&du, &mut g);
            (du, g)
        };
        let (du, g) = gradient(&x);
        let mut adjoint = vec![f64::NAN; network.dim()];
        at.adjoint(&du, &mut adjoint);
        assert!(distance(&adjoint, &g) < 1e-14, "{name}");
        let product = |v: &[f64]| {
            let mut hv = vec![f64::NAN; network.dim()];
            let middle = |jv: &[f64], w: &mut [f64]| (0..m).for_each(|i| w[i] = at.outputs()[i] * jv[i]);
            assert!(at.second_order_product(&middle, v, &mut hv));
            hv
        };
        let (hv, hw) = (product(&v), product(&w));
        let slope: Vec<f64> =
            gradient(&after).1.iter().zip(gradient(&before).1).map(|(b, a)| (b - a) / (2.0 * h)).collect();
        let tolerance = if activations.contains(&Activation::Relu) { 1e-2 } else { 1e-7 };
        assert!(distance(&hv, &slope) < tolerance, "{name}: {}", distance(&hv, &slope));
        let asymmetry = (dot(&w, &hv) - dot(&v, &hw)).abs();
        assert!(asymmetry < 1e-12 * (dot(&hv, &hv) * dot(&w, &w)).sqrt(), "{name}: {asymmetry}");
    }
}
