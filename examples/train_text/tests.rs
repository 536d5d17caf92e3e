//! The network against truth: differences in double precision, the identity uᵀ(Jv) = vᵀ(Jᵀu), and moments written out.

use newton_krylov::random::SplitMix64;
use newton_krylov::{LinearMap, Linearization, Model, SampledModel, Scalar, check};

use crate::layers::{Linear, Real};
use crate::text::Text;
use crate::transformer::{OnText, Transformer};

const ALPHABET: usize = 7;

fn network() -> Transformer {
    Transformer::new(ALPHABET, 5, 6, 2, 2)
}

/// Characters for eight sequences, and where those begin.
fn data() -> (Vec<usize>, Vec<usize>) {
    let mut random = SplitMix64::new(3);
    ((0..50).map(|_| (random.uniform() * ALPHABET as f64) as usize).collect(), (0..8).map(|i| 6 * i).collect())
}

fn normal<T: Scalar>(len: usize, seed: u64) -> Vec<T> {
    let mut random = SplitMix64::new(seed);
    (0..len).map(|_| T::from_f64(random.normal())).collect()
}

/// A point where nothing is zero.
fn point<T: Real>(network: &Transformer) -> Vec<T> {
    let mut x = network.initial::<T>(1);
    x.iter_mut().zip(normal::<T>(network.dim(), 2)).for_each(|(x, n)| *x += T::from_f64(0.2) * n);
    x
}

fn dot<T: Scalar>(a: &[T], b: &[T]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| a.into() * b.into()).sum()
}

/// Calls `body` with the network on its data.
fn with_model<T: Real, R>(body: impl FnOnce(&Transformer, &OnText<'_, T>) -> R) -> R {
    let (network, (text, starts)) = (network(), data());
    body(&network, &network.on(&text, &starts))
}

#[test]
fn the_library_finds_nothing_wrong() {
    fn verdict<T: Real>() {
        with_model::<T, _>(|network, model| {
            let verdict = check::sampled_model(model, &point::<T>(network), 1).unwrap();
            assert!(verdict.passed(), "{verdict}");
        });
    }
    verdict::<f32>();
    verdict::<f64>();
}

#[test]
fn tangents_are_central_differences() {
    with_model::<f64, _>(|network, model| {
        let (x, v) = (point::<f64>(network), normal::<f64>(network.dim(), 4));
        let batch = model.batch(&[2, 5, 0]);
        let mut jv = vec![f64::NAN; batch.output_dim()];
        batch.linearize(&x).apply(&v, &mut jv);
        let h = 1e-6;
        let at = |step: f64| {
            let moved: Vec<f64> = x.iter().zip(&v).map(|(x, v)| x + step * v).collect();
            let mut out = vec![f64::NAN; batch.output_dim()];
            batch.evaluate(&moved, &mut out);
            out
        };
        let size = dot(&jv, &jv).sqrt();
        let error: f64 =
            at(h).iter().zip(at(-h)).zip(&jv).map(|((up, down), jv)| ((up - down) / (2.0 * h) - jv).powi(2)).sum();
        assert!(error.sqrt() < 1e-8 * size, "{} {size}", error.sqrt());
    });
}

#[test]
fn derivatives_are_the_transpose_of_tangents() {
    fn largest<T: Real>() -> f64 {
        with_model::<T, _>(|network, model| {
            let x = point::<T>(network);
            let batch = model.batch(&[0, 1, 2, 3, 4, 5, 6, 7]);
            let at = batch.linearize(&x);
            let error = |seed: u64| {
                let (v, u) = (normal::<T>(at.columns(), seed), normal::<T>(at.rows(), seed + 1));
                let (mut jv, mut jtu) = (vec![T::nan(); u.len()], vec![T::nan(); v.len()]);
                at.apply(&v, &mut jv);
                at.apply_transpose(&u, &mut jtu);
                let size = (dot(&jv, &jv) * dot(&u, &u)).sqrt();
                (dot(&u, &jv) - dot(&v, &jtu)).abs() / size
            };
            (0..5).map(|k| error(2 * k)).fold(0.0, f64::max)
        })
    }
    let errors = [largest::<f64>(), largest::<f32>()];
    assert!(errors[0] < 1e-13 && errors[1] < 1e-5, "{errors:?}");
}

/// What comes later says nothing about what comes before, and sequences know nothing of each other.
#[test]
fn logits_depend_on_the_past_alone() {
    let (network, (text, starts)) = (network(), data());
    let x = point::<f64>(&network);
    let logits = |text: &[usize]| {
        let mut out = vec![f64::NAN; 2 * 5 * ALPHABET];
        network.on(text, &starts).batch(&[1, 2]).evaluate(&x, &mut out);
        out
    };
    let before = logits(&text);
    let mut changed = text.clone();
    changed[starts[1] + 3] = (text[starts[1] + 3] + 1) % ALPHABET;
    let after = logits(&changed);
    let differs = |place: usize| before[place * ALPHABET..][..ALPHABET] != after[place * ALPHABET..][..ALPHABET];
    let found: Vec<bool> = (0..10).map(differs).collect();
    assert_eq!(found, [false, false, false, true, true, false, false, false, false, false]);
}

/// The diagonal of a layer's moments of derivatives, and those of its inputs with a bias, from gradients of one sequence of
/// one place: there Jᵀu of the weights is δaᵀ, and that of the biases δ.
#[test]
fn moments_are_those_of_each_place() {
    let network = Transformer::new(ALPHABET, 1, 6, 2, 2);
    let (text, _) = data();
    let starts: Vec<usize> = (0..9).collect();
    let model = network.on::<f64>(&text, &starts);
    let x = point::<f64>(&network);
    let samples = [4, 0, 7, 7];
    let batch = model.batch(&samples);
    let layers = batch.layers();
    let square = |n: usize| vec![0.0; n * n];
    let mut inputs: Vec<Vec<f64>> = layers.iter().map(|layer| square(layer.inputs + 1)).collect();
    let mut outputs: Vec<Vec<f64>> = layers.iter().map(|layer| square(layer.outputs)).collect();
    let u = normal::<f64>(samples.len() * ALPHABET, 8);
    batch.linearize(&x).add_layer_moments(&u, &mut inputs, &mut outputs);
    let (mut wanted_outputs, mut end) = (vec![vec![]; layers.len()], 0);
    for (layer, wanted) in layers.iter().zip(&mut wanted_outputs) {
        assert_eq!((layer.start, layer.places), (end, 1));
        *wanted = square(layer.outputs);
        end = Linear { start: layer.start, inputs: layer.inputs, outputs: layer.outputs }.end();
    }
    assert_eq!(end, network.dim());
    let mut weighted = inputs.iter().map(|moments| vec![0.0; moments.len()]).collect::<Vec<_>>();
    for (sample, u) in samples.iter().zip(u.chunks(ALPHABET)) {
        let mut gradient = vec![f64::NAN; network.dim()];
        model.batch(&[*sample]).linearize(&x).apply_transpose(u, &mut gradient);
        for (i, layer) in layers.iter().enumerate() {
            let (n, m) = (layer.inputs, layer.outputs);
            let (w, delta) = gradient[layer.start..][..(n + 1) * m].split_at(n * m);
            // a from δaᵀ, where δ is the largest.
            let row = (0..m).max_by(|&i, &j| delta[i].abs().total_cmp(&delta[j].abs())).unwrap();
            let a: Vec<f64> = w[row * n..][..n].iter().map(|w| w / delta[row]).chain([1.0]).collect();
            for (j, wanted) in wanted_outputs[i].iter_mut().enumerate() {
                *wanted += delta[j / m] * delta[j % m];
            }
            for (j, wanted) in weighted[i].iter_mut().enumerate() {
                *wanted += a[j / (n + 1)] * a[j % (n + 1)];
            }
        }
    }
    let close = |found: &[Vec<f64>], wanted: &[Vec<f64>]| {
        for (found, wanted) in found.iter().zip(wanted) {
            let size = wanted.iter().fold(0.0, |size: f64, w| size.max(w.abs()));
            assert!(found.iter().zip(wanted).all(|(f, w)| (f - w).abs() <= 1e-9 * size));
        }
    };
    close(&outputs, &wanted_outputs);
    close(&inputs, &weighted);
}

/// In chunks or at once, on one thread or on several: the same bits.
#[test]
fn threads_change_nothing() {
    let network = Transformer::new(ALPHABET, 40, 6, 2, 1);
    let text: Vec<usize> = (0..3000).map(|i| i * i % ALPHABET).collect();
    let starts: Vec<usize> = (0..70).map(|i| 40 * i).collect();
    let all: Vec<usize> = (0..70).collect();
    let x = point::<f32>(&network);
    let gradient = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (model, mut out) = (network.on::<f32>(&text, &starts), vec![f32::NAN; network.dim()]);
            let batch = model.batch(&all);
            let at = batch.linearize(&x);
            at.apply_transpose(at.outputs(), &mut out);
            out.iter().map(|out| out.to_bits()).collect::<Vec<_>>()
        })
    };
    assert_eq!(gradient(1), gradient(3));
}

#[test]
fn a_parameter_that_is_no_number_shows() {
    with_model::<f32, _>(|network, model| {
        let batch = model.batch(&[0, 1, 2, 3, 4, 5, 6, 7]);
        for layer in batch.layers() {
            let mut x = point::<f32>(network);
            x[layer.start] = f32::NAN;
            let mut out = vec![0.0; batch.output_dim()];
            batch.evaluate(&x, &mut out);
            assert!(out.iter().any(|h| h.is_nan()), "{layer:?}");
        }
    });
}

#[test]
fn texts_are_cut_into_sequences() {
    let text: String = "abcde fghij ".repeat(20) + "xyz";
    let cut = Text::new(&text, 8).unwrap();
    assert_eq!(cut.alphabet, " abcdefghij\u{fffd}".chars().collect::<Vec<_>>());
    assert_eq!((cut.learned.len(), &cut.held_out[..]), (27, &[72, 152, 232][..]));
    assert_eq!(cut.write(&cut.labels(&[0, 8])), "bcde fghij abcde");
    assert_eq!(cut.write(&cut.characters[240..]), "\u{fffd}\u{fffd}\u{fffd}");
    assert!(Text::new("short", 8).is_err() && Text::new("", 8).is_err());
    // What is built in has nothing rare that matters.
    let built_in = Text::read(None, 64).unwrap();
    assert!(built_in.learned.len() > 500 && built_in.alphabet.len() < 200);
}
