//! Convolutional networks against written-out sums over windows, and the moments of shared weights.

use super::models::{check_products, distance, everything, phi};
use crate::numbers::numbers;
use newton_krylov::models::{Activation, Convolution, ElmanNetwork, MultilayerPerceptron, Readout};
use newton_krylov::{Linearization, Metric, Model, SampledModel, check, fit, losses::SoftmaxCrossEntropy};

use Activation::{Identity, Relu, Sigmoid, Softplus, Tanh};

/// An image, side, stride, channels and activation of convolutions, and the layers behind them.
type Case = ([usize; 3], Vec<(usize, usize, usize, Activation)>, Vec<usize>, Vec<Activation>);

fn cases() -> Vec<Case> {
    vec![
        ([1, 1, 1], vec![(1, 1, 1, Identity)], vec![], vec![]),
        ([4, 3, 2], vec![(2, 1, 3, Tanh)], vec![2], vec![Identity]),
        // Windows that overlap, that leave pixels out between them, and at the edges.
        ([7, 5, 1], vec![(3, 2, 4, Softplus), (1, 2, 5, Sigmoid)], vec![6, 2], vec![Tanh, Identity]),
        ([6, 8, 3], vec![(3, 1, 20, Relu), (2, 3, 2, Identity)], vec![], vec![]),
        // Without a convolution it is a perceptron.
        ([2, 2, 3], vec![], vec![5, 4], vec![Tanh, Softplus]),
    ]
}

fn network((image, convolutions, widths, activations): &Case) -> MultilayerPerceptron {
    let convolution = |&(side, stride, channels, activation): &_| Convolution { side, stride, channels, activation };
    let convolutions: Vec<Convolution> = convolutions.iter().map(convolution).collect();
    MultilayerPerceptron::convolutional(*image, &convolutions, widths, activations).unwrap()
}

/// A layer, written out: which inputs its weights see at each place.
struct Written {
    places: Vec<Vec<usize>>,
    outputs: usize,
    activation: Activation,
    start: usize,
}

fn written((image, convolutions, widths, activations): &Case) -> Vec<Written> {
    let (mut layers, mut image, mut start): (Vec<Written>, _, _) = (vec![], *image, 0);
    for &(side, stride, outputs, activation) in convolutions {
        let [height, width, channels] = image;
        let mut places = vec![];
        let tops = (0..).map(|i| i * stride).take_while(|top| top + side <= height);
        let lefts = || (0..).map(|j| j * stride).take_while(|left| left + side <= width);
        image = [tops.clone().count(), lefts().count(), outputs];
        for (top, left) in tops.flat_map(|top| lefts().map(move |left| (top, left))) {
            let mut seen = vec![];
            for (y, x) in (top..top + side).flat_map(|y| (left..left + side).map(move |x| (y, x))) {
                seen.extend((0..channels).map(|channel| (y * width + x) * channels + channel));
            }
            places.push(seen);
        }
        let parameters = (side * side * channels + 1) * outputs;
        layers.push(Written { places, outputs, activation, start });
        start += parameters;
    }
    let mut inputs: usize = image.iter().product();
    for (&outputs, &activation) in widths.iter().zip(activations) {
        layers.push(Written { places: vec![(0..inputs).collect()], outputs, activation, start });
        start += (inputs + 1) * outputs;
        inputs = outputs;
    }
    layers
}

impl Written {
    fn inputs(&self) -> usize {
        self.places[0].len()
    }
    fn weight(&self, x: &[f64], o: usize, i: usize) -> f64 {
        x[self.start + o * self.inputs() + i]
    }
    fn apply(&self, x: &[f64], a: &[f64]) -> Vec<f64> {
        let bias = |o: usize| x[self.start + self.outputs * self.inputs() + o];
        let sum = |seen: &[usize], o: usize| -> f64 {
            seen.iter().enumerate().map(|(i, &from)| self.weight(x, o, i) * a[from]).sum()
        };
        let z = |seen: &Vec<usize>| -> Vec<f64> { (0..self.outputs).map(|o| bias(o) + sum(seen, o)).collect() };
        self.places.iter().flat_map(z).map(|z| phi(self.activation, z)).collect()
    }
}

#[test]
fn outputs_and_products_are_those_of_the_written_sums() {
    for case in cases() {
        for samples in [1, 70] {
            let network = network(&case);
            let (x, inputs) = (numbers::<f64>(network.dim(), 1), numbers::<f64>(network.inputs() * samples, 2));
            let expected: Vec<f64> = inputs
                .chunks(network.inputs())
                .flat_map(|sample| written(&case).iter().fold(sample.to_vec(), |a, layer| layer.apply(&x, &a)))
                .collect();
            let model = network.on(&inputs).unwrap();
            assert!(distance(model.linearize(&x).outputs(), &expected) < 1e-14, "{case:?}");
            let kinks = case.1.iter().any(|convolution| convolution.3 == Relu);
            check_products(&format!("{case:?} {samples}"), &model, &x, kinks);
        }
    }
}

#[test]
fn moments_are_sums_over_places_of_single_samples() {
    for case in &cases()[1..3] {
        let (network, layers, samples) = (network(case), written(case), 70);
        let (x, inputs) = (numbers::<f64>(network.dim(), 1), numbers::<f64>(network.inputs() * samples, 2));
        let k = network.outputs();
        let u = numbers::<f64>(k * samples, 3);
        let zeros = |n: usize| vec![0.0; n * n];
        let mut expected: [Vec<Vec<f64>>; 2] = [
            layers.iter().map(|layer| zeros(layer.inputs() + 1)).collect(),
            layers.iter().map(|layer| zeros(layer.outputs)).collect(),
        ];
        let mut found = expected.clone();
        for (sample, u) in inputs.chunks(network.inputs()).zip(u.chunks(k)) {
            let mut values = vec![sample.to_vec()];
            layers.iter().for_each(|layer| values.push(layer.apply(&x, values.last().unwrap())));
            let mut back = u.to_vec();
            for (l, layer) in layers.iter().enumerate().rev() {
                // φ′ from the values: Tanh, Sigmoid, Softplus and the identity.
                let slope = |a: f64| match layer.activation {
                    Tanh => 1.0 - a * a,
                    Sigmoid => a * (1.0 - a),
                    Softplus => 1.0 - (-a).exp(),
                    _ => 1.0,
                };
                let gamma: Vec<f64> = back.iter().zip(&values[l + 1]).map(|(b, &a)| b * slope(a)).collect();
                back = vec![0.0; values[l].len()];
                for (seen, gamma) in layer.places.iter().zip(gamma.chunks(layer.outputs)) {
                    let a: Vec<f64> = seen.iter().map(|&from| values[l][from]).chain([1.0]).collect();
                    for (side, v) in [(0, &a[..]), (1, gamma)] {
                        let n = v.len();
                        (0..n * n).for_each(|ij| expected[side][l][ij] += v[ij / n] * v[ij % n]);
                    }
                    for (i, &from) in seen.iter().enumerate() {
                        back[from] += (0..layer.outputs).map(|o| gamma[o] * layer.weight(&x, o, i)).sum::<f64>();
                    }
                }
            }
        }
        let model = network.on(&inputs).unwrap();
        for (shape, layer) in model.layers().iter().zip(&layers) {
            let sizes = (layer.start, layer.inputs(), layer.outputs, layer.places.len());
            assert_eq!((shape.start, shape.inputs, shape.outputs, shape.places), sizes);
        }
        let [a, g] = &mut found;
        model.linearize(&x).add_layer_moments(&u, a, g);
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert!(distance(found, expected) < 1e-11, "{case:?}: {}", distance(found, expected));
        }
    }
}

#[test]
fn moments_of_a_recurrent_network_are_those_of_its_steps() {
    // One hidden unit, one output at the last of three steps, one sample: everything by hand.
    let network = ElmanNetwork::new(1, 1, 1, 3, Readout::Last).unwrap();
    let (x, inputs) = ([0.7, -0.4, 0.2, 1.5, 0.1], [0.3, -0.8, 0.5]);
    let [u, w, b, v, _] = x;
    let mut s = [0.0; 4];
    (0..3).for_each(|t| s[t + 1] = f64::tanh(u * inputs[t] + w * s[t] + b));
    let delta = [1.0 - s[2] * s[2], 1.0 - s[3] * s[3]];
    let gamma = [2.0 * v * delta[1] * w * delta[0], 2.0 * v * delta[1]]; // at the steps 2 and 3
    let model = network.on(&inputs).unwrap();
    let starts: Vec<_> = model.layers().iter().map(|layer| (layer.start, layer.places)).collect();
    assert_eq!(starts, [(1, 2), (3, 1)]);
    let (mut a, mut g) = ([vec![0.0; 4], vec![0.0; 4]], [vec![0.0], vec![0.0]]);
    model.linearize(&x).add_layer_moments(&[2.0], &mut a, &mut g);
    let expected = [s[1] * s[1] + s[2] * s[2], s[1] + s[2], s[1] + s[2], 2.0];
    assert!(distance(&a[0], &expected) < 1e-14 && distance(&a[1], &[s[3] * s[3], s[3], s[3], 1.0]) < 1e-14);
    assert!(distance(&g[0], &[gamma[0] * gamma[0] + gamma[1] * gamma[1]]) < 1e-14 && g[1] == [4.0]);
    // Nothing depends on V where the states are read, nor on W in a single step.
    assert_eq!(network.with_readout(Readout::HiddenStates).on(&inputs).unwrap().layers().len(), 1);
    let single = ElmanNetwork::new(1, 1, 1, 1, Readout::HiddenStates).unwrap();
    assert!(single.on(&inputs).unwrap().layers().is_empty());
}

#[test]
fn convolutional_networks_keep_the_same_promises() {
    let case = ([8, 8, 1], vec![(3, 1, 6, Tanh), (2, 2, 8, Tanh)], vec![3], vec![Identity]);
    let network = network(&case);
    let data: Vec<f32> = numbers(64 * 600, 2);
    let x: Vec<f32> = network.initial(1);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| everything(&network.on(&data).unwrap(), &x)).map(|v| v.iter().map(|v| v.to_bits()).collect())
    };
    let one: [Vec<u32>; 4] = run(1);
    assert_eq!(one, run(3));
    let samples = [5, 4, 599];
    let taken: Vec<f32> = samples.iter().flat_map(|&i| data[64 * i..64 * (i + 1)].to_vec()).collect();
    let model = network.on(&data).unwrap();
    assert_eq!(everything(&model.batch(&samples), &x), everything(&network.on(&taken).unwrap(), &x));
    // Weights are as large as what they connect says.
    let [first, second] = [6.0 / (9.0 + 9.0 * 6.0), 6.0 / (4.0 * 6.0 + 4.0 * 8.0)].map(f64::sqrt);
    let largest = |part: &[f32]| part.iter().fold(0.0_f64, |most, &w| most.max(w.abs() as f64));
    assert!((0.85 * first..first).contains(&largest(&x[..54])) && x[54..60].iter().all(|&b| b == 0.0));
    assert!((0.9 * second..second).contains(&largest(&x[60..60 + 192])));

    let labels: Vec<usize> = (0..70).map(|i| i % 3).collect();
    let inputs: Vec<f64> = numbers(64 * 70, 3);
    let loss = SoftmaxCrossEntropy::new(labels, 3).unwrap();
    let objective = fit(network.on(&inputs).unwrap(), loss, Metric::Hessian).unwrap();
    let verdict = check::objective(&objective, &network.initial(1), 1).unwrap();
    assert!(verdict.passed(), "{verdict}");
}

#[test]
fn mistakes_are_errors() {
    let good = Convolution { side: 3, stride: 1, channels: 2, activation: Tanh };
    let says = |image, convolutions: &[Convolution], widths: &[usize], words: &str| {
        let activations = vec![Tanh; widths.len()];
        let error = MultilayerPerceptron::convolutional(image, convolutions, widths, &activations).unwrap_err();
        assert!(error.to_string().contains(words), "{error} does not say {words}");
    };
    says([4, 4, 0], &[good], &[], "image[2] is 0");
    says([0, 4, 1], &[good], &[], "image[0] is 0");
    says([usize::MAX, 4, 1], &[good], &[], "image is ");
    says([4, 4, 1], &[], &[], "convolutions");
    says([4, 4, 1], &[good, good], &[], "side of convolutions[1] is 3");
    says([4, 4, 1], &[Convolution { side: 0, ..good }], &[], "side of convolutions[0] is 0");
    says([4, 4, 1], &[Convolution { stride: 0, ..good }], &[], "stride of convolutions[0] is 0");
    says([4, 4, 1], &[Convolution { channels: 0, ..good }], &[], "channels of convolutions[0] is 0");
    says([4, 4, 1], &[Convolution { channels: usize::MAX / 40, ..good }], &[], "channels of convolutions[0] is ");
    says([4, 4, 1], &[good], &[0], "widths[0] is 0");
    says([4, 4, 1], &[good], &[2, usize::MAX / 3], "widths[1] is ");
    assert!(MultilayerPerceptron::convolutional([4, 4, 1], &[good], &[2], &[]).is_err());
}
