//! The reference models against differences, written-out formulas and each other.

use crate::numbers::numbers;
use newton_krylov::models::{Activation, ElmanNetwork, MultilayerPerceptron, Readout};
use newton_krylov::{
    Error, Expansion, LinearMap, Linearization, Metric, Model, Objective, SampledModel, Scalar, SymmetricOperator,
    check, fit, losses::SoftmaxCrossEntropy, random::SplitMix64,
};

const ACTIVATIONS: [Activation; 5] =
    [Activation::Identity, Activation::Tanh, Activation::Sigmoid, Activation::Relu, Activation::Softplus];

fn dot<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| Into::<f64>::into(a) * Into::<f64>::into(b)).sum()
}

/// ‖a − b‖/‖b‖.
pub fn distance<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    assert_eq!(a.len(), b.len());
    let difference: f64 = a.iter().zip(b).map(|(&a, &b)| (a.into() - b.into()).powi(2)).sum();
    (difference / dot(b, b)).sqrt()
}

/// φ as it is written down.
pub fn phi(activation: Activation, z: f64) -> f64 {
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

/// Jv, Jᵀu and products of second order against differences of outputs and gradients.
pub fn check_products(name: &str, model: &impl Model<f64>, x: &[f64], kinks: bool) {
    let (n, m) = (model.dim(), model.output_dim());
    let (v, w, u) = (numbers::<f64>(n, 3), numbers::<f64>(n, 4), numbers::<f64>(m, 5));
    let h = 1e-6;
    let moved = |sign: f64| -> Vec<f64> { x.iter().zip(&v).map(|(x, v)| x + sign * h * v).collect() };
    let (before, after) = (moved(-1.0), moved(1.0));
    let mut jv = vec![f64::NAN; m];
    let at = model.linearize(x);
    at.apply(&v, &mut jv);
    let (low, high) = (model.linearize(&before), model.linearize(&after));
    let slope: Vec<f64> = high.outputs().iter().zip(low.outputs()).map(|(b, a)| (b - a) / (2.0 * h)).collect();
    // A kink may lie between the two points.
    let tolerance = if kinks { 1e-3 } else { 1e-7 };
    assert!(distance(&jv, &slope) < tolerance, "{name}: {}", distance(&jv, &slope));

    let mut jtu = vec![f64::NAN; n];
    at.apply_transpose(&u, &mut jtu);
    let difference = (dot(&jv, &u) - dot(&v, &jtu)).abs();
    assert!(difference < 1e-12 * (dot(&jv, &jv) * dot(&u, &u)).sqrt(), "{name}: {difference}");

    // l(h) = Σ cᵢhᵢ + hᵢ³/6, so that ∇l = c + h²/2 and ∇²l = diag h.
    let gradient = |x: &[f64]| {
        let at = model.linearize(x);
        let du: Vec<f64> = at.outputs().iter().zip(&u).map(|(h, c)| c + h * h / 2.0).collect();
        let mut g = vec![f64::NAN; n];
        at.apply_transpose(&du, &mut g);
        (du, g)
    };
    let (du, g) = gradient(x);
    let mut adjoint = vec![f64::NAN; n];
    at.adjoint(&du, &mut adjoint);
    assert!(distance(&adjoint, &g) < 1e-14, "{name}");
    let product = |v: &[f64]| {
        let mut hv = vec![f64::NAN; n];
        let middle = |jv: &[f64], w: &mut [f64]| (0..m).for_each(|i| w[i] = at.outputs()[i] * jv[i]);
        at.second_order_product(&middle, v, &mut hv);
        hv
    };
    let (hv, hw) = (product(&v), product(&w));
    let slope: Vec<f64> =
        gradient(&after).1.iter().zip(gradient(&before).1).map(|(b, a)| (b - a) / (2.0 * h)).collect();
    let tolerance = if kinks { 1e-2 } else { 1e-7 };
    assert!(distance(&hv, &slope) < tolerance, "{name}: {}", distance(&hv, &slope));
    let asymmetry = (dot(&w, &hv) - dot(&v, &hw)).abs();
    assert!(asymmetry < 1e-12 * (dot(&hv, &hv) * dot(&w, &w)).sqrt(), "{name}: {asymmetry}");
}

#[test]
fn products_are_those_of_differences() {
    for (widths, activations, samples) in cases() {
        let network = MultilayerPerceptron::new(&widths, &activations).unwrap();
        let (x, inputs) = (numbers::<f64>(network.dim(), 1), numbers(widths[0] * samples, 2));
        let name = format!("{widths:?} {activations:?} {samples}");
        check_products(&name, &network.on(&inputs).unwrap(), &x, activations.contains(&Activation::Relu));
    }
}

const READOUTS: [Readout; 3] = [Readout::Last, Readout::EveryStep, Readout::HiddenStates];

/// Recurrent networks: inputs, hidden units, outputs, steps and samples.
const SEQUENCES: [[usize; 5]; 4] = [[1, 1, 1, 1, 1], [2, 5, 3, 7, 65], [3, 70, 2, 4, 10], [2, 6, 1, 30, 2100]];

#[test]
fn recurrent_outputs_are_those_of_the_written_formula() {
    for [inputs, hidden, outputs, steps, samples] in SEQUENCES {
        for readout in READOUTS {
            let network = ElmanNetwork::new(inputs, hidden, outputs, steps, readout).unwrap();
            let (x, data) = (numbers::<f64>(network.dim(), 1), numbers::<f64>(inputs * steps * samples, 2));
            let (u, rest) = x.split_at(hidden * inputs);
            let (w, rest) = rest.split_at(hidden * hidden);
            let (b, rest) = rest.split_at(hidden);
            let (v, c) = rest.split_at(outputs * hidden);
            let mut expected = vec![];
            for sequence in data.chunks(inputs * steps) {
                let mut s = vec![0.0; hidden];
                for (t, input) in sequence.chunks(inputs).enumerate() {
                    let z = |j: usize| {
                        b[j] + dot(&u[j * inputs..(j + 1) * inputs], input) + dot(&w[j * hidden..(j + 1) * hidden], &s)
                    };
                    s = (0..hidden).map(|j| z(j).tanh()).collect();
                    let y = (0..outputs).map(|k| c[k] + dot(&v[k * hidden..(k + 1) * hidden], &s));
                    match readout {
                        Readout::HiddenStates => expected.extend(&s),
                        Readout::Last if t + 1 < steps => {}
                        _ => expected.extend(y),
                    }
                }
            }
            let model = network.on(&data).unwrap();
            let at = model.linearize(&x);
            assert!(distance(at.outputs(), &expected) < 1e-12, "{readout:?} {hidden}");
            assert_eq!(model.output_dim(), expected.len());
        }
    }
}

#[test]
fn recurrent_products_are_those_of_differences() {
    for [inputs, hidden, outputs, steps, samples] in SEQUENCES {
        for readout in READOUTS {
            let network = ElmanNetwork::new(inputs, hidden, outputs, steps, readout).unwrap();
            let data = numbers(inputs * steps * samples, 2);
            let x = network.initial(1, 3, 0.9).unwrap();
            check_products(&format!("{readout:?} {hidden}"), &network.on(&data).unwrap(), &x, false);
        }
    }
}

#[test]
fn recurrent_networks_keep_the_same_promises() {
    let network = ElmanNetwork::new(2, 90, 3, 12, Readout::EveryStep).unwrap();
    let data: Vec<f32> = numbers(2 * 12 * 600, 2);
    let x: Vec<f32> = network.initial(1, 15, 1.1).unwrap();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| everything(&network.on(&data).unwrap(), &x)).map(|v| v.iter().map(|v| v.to_bits()).collect())
    };
    let one: [Vec<u32>; 4] = run(1);
    assert_eq!(one, run(3));
    let model = network.on(&data).unwrap();
    let samples = [5, 4, 599];
    let taken: Vec<f32> = samples.iter().flat_map(|&i| data[24 * i..24 * (i + 1)].to_vec()).collect();
    assert_eq!(everything(&model.batch(&samples), &x), everything(&network.on(&taken).unwrap(), &x));
    assert!(ElmanNetwork::new(2, 0, 3, 12, Readout::Last).is_err());
    assert!(ElmanNetwork::new(2, 3, 3, 0, Readout::Last).is_err());
    assert!(network.on(&data[1..]).is_err());
    assert!(network.initial::<f32>(1, 0, 1.0).is_err());
    assert!(network.initial::<f32>(1, 3, f64::NAN).is_err());
    // Without inputs and biases states grow from step to step as the spectral radius says.
    let radius = |wanted: f64| {
        let network = ElmanNetwork::new(1, 50, 1, 1, Readout::Last).unwrap();
        let x: Vec<f64> = network.initial(3, 15, wanted).unwrap();
        let w = &x[50..2550];
        let mut v = numbers::<f64>(50, 7);
        let mut growth = 0.0;
        for step in 0..2000 {
            let next: Vec<f64> = w.chunks(50).map(|row| dot(row, &v)).collect();
            let norm = dot(&next, &next).sqrt();
            v = next.iter().map(|v| v / norm).collect();
            growth += if step < 1000 { 0.0 } else { norm.ln() / 1000.0 };
        }
        growth.exp()
    };
    assert!((radius(1.1) / 1.1 - 1.0).abs() < 0.02, "{}", radius(1.1));
    // What comes in is scaled with what is remembered, the outputs are not.
    let network = ElmanNetwork::new(2, 20, 3, 1, Readout::Last).unwrap();
    let [one, two]: [Vec<f64>; 2] = [1.0, 2.0].map(|radius| network.initial(3, 15, radius).unwrap());
    let (inner, outer) = ((2 + 20) * 20, network.dim());
    assert!((0..inner).all(|i| (two[i] - 2.0 * one[i]).abs() < 1e-12) && one[..40].iter().all(|&u| u != 0.0));
    assert_eq!(one[inner..outer], two[inner..outer]);
}

/// A network whose layers are wide enough for the fast matrix products, and more samples than a group of chunks has.
fn wide<T: Scalar>(samples: usize) -> (MultilayerPerceptron, Vec<T>, Vec<T>) {
    let network =
        MultilayerPerceptron::new(&[20, 300, 40, 7], &[Activation::Tanh, Activation::Sigmoid, Activation::Identity])
            .unwrap();
    let (x, inputs) = (network.initial(3), numbers(20 * samples, 2));
    (network, x, inputs)
}

/// Outputs, Jv, Jᵀu and a product of second order.
pub fn everything<T: Scalar>(model: &impl Model<T>, x: &[T]) -> [Vec<T>; 4] {
    let at = model.linearize(x);
    let (n, m) = (at.columns(), at.rows());
    let (v, u): (Vec<T>, Vec<T>) = (numbers(n, 3), numbers(m, 4));
    let (mut jv, mut jtu, mut hv) = (vec![T::nan(); m], vec![T::nan(); n], vec![T::nan(); n]);
    at.apply(&v, &mut jv);
    at.apply_transpose(&u, &mut jtu);
    at.adjoint(&u, &mut hv);
    assert_eq!(hv, jtu, "adjoint");
    hv.fill(T::nan());
    let middle = |jv: &[T], w: &mut [T]| jv.iter().zip(w).for_each(|(&jv, w)| *w = jv + jv);
    at.second_order_product(&middle, &v, &mut hv);
    [at.outputs().to_vec(), jv, jtu, hv]
}

#[test]
fn f32_agrees_with_f64() {
    let (network, x, inputs) = wide::<f64>(3000);
    let narrow = |v: &[f64]| -> Vec<f32> { v.iter().map(|&v| v as f32).collect() };
    let inputs_f32 = narrow(&inputs);
    let low = everything(&network.on(&inputs_f32).unwrap(), &narrow(&x));
    let high = everything(&network.on(&inputs).unwrap(), &x);
    for (low, high) in low.iter().zip(&high) {
        let low: Vec<f64> = low.iter().map(|&v| v as f64).collect();
        assert!(distance(&low, high) < 2e-6, "{}", distance(&low, high));
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let (network, x, inputs) = wide::<f32>(2500);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| everything(&network.on(&inputs).unwrap(), &x)).map(|v| v.iter().map(|v| v.to_bits()).collect())
    };
    let one: [Vec<u32>; 4] = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
}

#[test]
fn a_batch_is_the_model_of_its_samples() {
    let (network, x, inputs) = wide::<f64>(700);
    let model = network.on(&inputs).unwrap();
    let samples: Vec<usize> = (0..531).map(|i| i * 37 % 700).collect();
    let taken: Vec<f64> = samples.iter().flat_map(|&i| inputs[20 * i..20 * (i + 1)].to_vec()).collect();
    assert_eq!(SampledModel::samples(&model), 700);
    assert_eq!(model.outputs_per_sample(), 7);
    let (batch, same) = (model.batch(&samples), network.on(&taken).unwrap());
    assert_eq!((batch.dim(), batch.output_dim()), (network.dim(), 531 * 7));
    assert_eq!(everything(&batch, &x), everything(&same, &x));
    // Larger, smaller, empty and again: room that was used before changes nothing.
    let again = everything(&model.batch(&samples[..5]), &x);
    everything(&model, &x);
    assert_eq!(again, everything(&model.batch(&samples[..5]), &x));
    assert!(everything(&model.batch(&[]), &x)[2].iter().all(|&g| g == 0.0));
    assert_eq!(everything(&batch, &x), everything(&same, &x));
}

#[test]
fn without_hidden_layer_it_is_logistic_regression() {
    // f(w) = −Σ log p(yᵢ | w) for softmax, written out.
    let (samples, inputs, classes) = (40, 3, 4);
    let network = MultilayerPerceptron::new(&[inputs, classes], &[Activation::Identity]).unwrap();
    let (data, w) = (numbers::<f64>(samples * inputs, 1), numbers::<f64>(network.dim(), 2));
    let labels: Vec<usize> = (0..samples).map(|i| i * 7 % classes).collect();
    let model = network.on(&data).unwrap();
    let objective =
        fit(&model, SoftmaxCrossEntropy::new(&labels[..], classes).unwrap(), Metric::GeneralizedGaussNewton).unwrap();
    let d = inputs + 1;
    let (mut value, mut gradient, mut hessian) = (0.0, vec![0.0; classes * d], vec![0.0; (classes * d).pow(2)]);
    // Weights and biases of class j, at their places among the parameters.
    let place = |j: usize, i: usize| if i < inputs { j * inputs + i } else { classes * inputs + j };
    for (sample, &label) in data.chunks(inputs).zip(&labels) {
        let a = |i: usize| if i < inputs { sample[i] } else { 1.0 };
        let z: Vec<f64> = (0..classes).map(|j| (0..d).map(|i| w[place(j, i)] * a(i)).sum()).collect();
        let total: f64 = z.iter().map(|z| z.exp()).sum();
        let p: Vec<f64> = z.iter().map(|z| z.exp() / total).collect();
        value -= p[label].ln() / samples as f64;
        for (j, i) in (0..classes * d).map(|k| (k / d, k % d)) {
            gradient[place(j, i)] += (p[j] - if j == label { 1.0 } else { 0.0 }) * a(i) / samples as f64;
            for (k, l) in (0..classes * d).map(|k| (k / d, k % d)) {
                let w = if j == k { p[j] - p[j] * p[k] } else { -p[j] * p[k] };
                hessian[place(j, i) * classes * d + place(k, l)] += w * a(i) * a(l) / samples as f64;
            }
        }
    }
    let at = objective.expand(&w);
    let (mut g, mut m) = (vec![0.0; network.dim()], vec![0.0; network.dim().pow(2)]);
    at.gradient(&mut g);
    at.form(&mut m);
    assert!((at.value() - value).abs() < 1e-13);
    assert!(distance(&g, &gradient) < 1e-13 && distance(&m, &hessian) < 1e-13);
}

#[test]
fn the_library_checks_find_nothing() {
    let (samples, widths) = (70, [4, 9, 8, 3]);
    for hidden in [Activation::Tanh, Activation::Sigmoid, Activation::Softplus] {
        let network = MultilayerPerceptron::new(&widths, &[hidden, hidden, Activation::Identity]).unwrap();
        let inputs: Vec<f64> = numbers(4 * samples, 1);
        let labels: Vec<usize> = (0..samples).map(|i| i % 3).collect();
        let model = network.on(&inputs).unwrap();
        let objective = fit(&model, SoftmaxCrossEntropy::new(labels, 3).unwrap(), Metric::Hessian).unwrap();
        let verdict = check::objective(&objective, &network.initial(1), 1).unwrap();
        assert!(verdict.passed(), "{hidden:?}: {verdict}");
    }
}

#[test]
fn initial_parameters_are_those_of_the_recipe() {
    let network = MultilayerPerceptron::new(&[3, 5, 2], &[Activation::Tanh, Activation::Identity]).unwrap();
    let x: Vec<f64> = network.initial(1);
    assert_eq!(x.len(), network.dim());
    let mut random = SplitMix64::new(1);
    for (inputs, outputs, at) in [(3, 5, 0), (5, 2, 20)] {
        for i in 0..inputs * outputs {
            assert_eq!(x[at + i], (2.0 * random.uniform() - 1.0) * (6.0 / (inputs + outputs) as f64).sqrt());
        }
        assert!(x[at + inputs * outputs..][..outputs].iter().all(|&b| b == 0.0));
    }
    let network = MultilayerPerceptron::new(&[30, 50, 8], &[Activation::Tanh, Activation::Identity]).unwrap();
    let x: Vec<f64> = network.initial_sparse(1, 15).unwrap();
    let rows = x[..1500].chunks(30).chain(x[1550..1950].chunks(50));
    for row in rows {
        assert_eq!(row.iter().filter(|&&w| w != 0.0).count(), 15);
    }
    assert!(x[1500..1550].iter().chain(&x[1950..]).all(|&b| b == 0.0));
    assert!(x[..1500].chunks(30).any(|row| row[0] != 0.0) && x[..1500].chunks(30).any(|row| row[0] == 0.0));
    let all = network.initial_sparse::<f64>(1, 1000).unwrap();
    assert!(all[..1500].iter().all(|&w| w != 0.0));
}

#[test]
fn mistakes_are_errors() {
    let relu = [Activation::Relu];
    assert!(MultilayerPerceptron::new(&[3], &[]).is_err());
    assert!(MultilayerPerceptron::new(&[], &[]).is_err());
    assert!(MultilayerPerceptron::new(&[3, 0], &relu).is_err());
    assert!(MultilayerPerceptron::new(&[3, 2], &[]).is_err());
    let network = MultilayerPerceptron::new(&[3, 2], &relu).unwrap();
    let length = network.on(&[1.0_f64; 7]).err().unwrap();
    assert_eq!(length, Error::Length { argument: "inputs", expected: 9, found: 7 });
    assert!(network.on::<f64>(&[]).is_err());
    assert!(network.initial_sparse::<f64>(1, 0).is_err());
    let says = |error: Error, words: &str| assert!(error.to_string().contains(words), "{error} does not say {words}");
    says(MultilayerPerceptron::new(&[3, 0], &relu).unwrap_err(), "widths[1] is 0");
    for huge in [usize::MAX, usize::MAX / 2, usize::MAX / 5] {
        says(MultilayerPerceptron::new(&[huge, 2], &relu).unwrap_err(), "widths[0] is ");
        says(MultilayerPerceptron::new(&[3, huge], &relu).unwrap_err(), "widths[1] is ");
        says(MultilayerPerceptron::new(&[3, huge, huge], &[Activation::Relu; 2]).unwrap_err(), "widths[1] is ");
    }
    for huge in [usize::MAX, usize::MAX / 2, usize::MAX / 5] {
        let elman = |inputs, hidden, outputs, steps, words: &str| {
            says(ElmanNetwork::new(inputs, hidden, outputs, steps, Readout::EveryStep).unwrap_err(), words);
        };
        elman(huge, 2, 2, 2, "inputs is ");
        elman(2, huge, 2, 2, "hidden is ");
        elman(2, 2, huge, 2, "outputs is ");
        elman(2, 2, 2, huge, "steps is ");
        assert!(newton_krylov::exponential_family::Gaussian::new(huge).is_err());
    }
    let elman = ElmanNetwork::new(2, 2, 1, 3, Readout::Last).unwrap();
    for radius in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
        says(elman.initial::<f32>(1, 2, radius).unwrap_err(), &format!("radius is {radius}"));
    }
}

#[test]
fn nan_reaches_the_outputs_of_its_sample_only() {
    for activation in ACTIVATIONS {
        let network = MultilayerPerceptron::new(&[2, 20, 3], &[activation; 2]).unwrap();
        let mut inputs: Vec<f32> = numbers(2 * 90, 1);
        inputs[2 * 33] = f32::NAN;
        let model = network.on(&inputs).unwrap();
        let x: Vec<f32> = network.initial(1);
        let at = model.linearize(&x);
        for (i, h) in at.outputs().chunks(3).enumerate() {
            assert!(h.iter().all(|h| h.is_nan() == (i == 33)), "{activation:?} {i} {h:?}");
        }
        let mut g = vec![0.0; network.dim()];
        at.apply_transpose(&[1.0; 270], &mut g);
        assert!(g[0].is_nan(), "{activation:?}");
        let x = vec![f32::NAN; network.dim()];
        let at = model.linearize(&x);
        assert!(at.outputs().iter().all(|h| h.is_nan()));
        at.apply(&g, &mut vec![0.0; 270]);
    }
}

#[test]
fn moments_of_layers_are_those_of_single_samples() {
    let widths = [3, 140, 6, 2];
    let network =
        MultilayerPerceptron::new(&widths, &[Activation::Tanh, Activation::Sigmoid, Activation::Identity]).unwrap();
    let samples = 70;
    let inputs: Vec<f64> = numbers(3 * samples, 1);
    let (x, u) = (numbers::<f64>(network.dim(), 2), numbers::<f64>(2 * samples, 3));
    let model = network.on(&inputs).unwrap();
    let layers = model.layers();
    let zeros = |n: usize| vec![0.0; n * n];
    let mut found: [Vec<_>; 2] =
        [layers.iter().map(|l| zeros(l.inputs + 1)).collect(), layers.iter().map(|l| zeros(l.outputs)).collect()];
    let mut expected = found.clone();
    let [a, g] = &mut found;
    model.linearize(&x).add_layer_moments(&u, a, g);
    for sample in 0..samples {
        // For one sample the gradient is γāᵀ.
        let single = [sample];
        let mut gradient = vec![0.0; network.dim()];
        model.batch(&single).linearize(&x).apply_transpose(&u[2 * sample..2 * sample + 2], &mut gradient);
        for (k, layer) in layers.iter().enumerate() {
            let (n, m) = (layer.inputs, layer.outputs);
            let gamma = &gradient[layer.start + n * m..][..m];
            let a = |i: usize| if i < n { gradient[layer.start + i] / gamma[0] } else { 1.0 };
            for i in 0..=n {
                (0..=n).for_each(|j| expected[0][k][i * (n + 1) + j] += a(i) * a(j));
            }
            for i in 0..m {
                (0..m).for_each(|j| expected[1][k][i * m + j] += gamma[i] * gamma[j]);
            }
        }
    }
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!(distance(found, expected) < 1e-11, "{}", distance(found, expected));
    }
}
