//! SOAP against the algorithm written out with plain loops, against Adam where the two are the same, and at the edges.

use crate::vectors::dot;
use newton_krylov::{
    Batches, Error, Objective, SampledObjective, Scalar, Stopping, Termination,
    first_order::{Adam, FirstOrder, GradientMethod, IterateAverage, Moments, Schedule, Soap},
    objective,
    operators::LayerShape,
    random::SplitMix64,
};

fn layer(start: usize, outputs: usize, inputs: usize) -> LayerShape {
    LayerShape { start, inputs, outputs, places: 1 }
}

fn normal<T: Scalar>(len: usize, seed: u64) -> Vec<T> {
    let mut random = SplitMix64::new(seed);
    (0..len).map(|_| T::from_f64(random.normal())).collect()
}

/// A square matrix by columns.
type Matrix = Vec<Vec<f64>>;

/// Orthonormal, and AQ = QΛ with falling Λ, to rounding of either type.
fn check_eigenvectors(a: &Matrix, q: &Matrix) {
    let trace: f64 = (0..a.len()).map(|i| a[i][i]).sum();
    let mut last = f64::INFINITY;
    for (i, qi) in q.iter().enumerate() {
        let image: Vec<f64> = a.iter().map(|column| dot(column, qi)).collect();
        for (j, qj) in q.iter().enumerate() {
            let one = f64::from(u8::from(i == j));
            assert!((dot(qi, qj) - one).abs() < 1e-6);
            assert!(i == j || dot(&image, qj).abs() < 1e-6 * trace);
        }
        assert!(dot(&image, qi) <= last + 1e-6 * trace);
        last = dot(&image, qi);
    }
}

/// One step of orthogonal iteration, its columns by Gram and Schmidt, and the order that they were taken in.
fn iterate(a: &Matrix, q: &Matrix) -> (Matrix, Vec<usize>) {
    let n = a.len();
    let product: Matrix = q.iter().map(|q| (0..n).map(|i| dot(&a[i], q)).collect()).collect();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| dot(&product[j], &q[j]).total_cmp(&dot(&product[i], &q[i])));
    let mut next: Matrix = vec![];
    for &j in &order {
        let mut column = product[j].clone();
        for _ in 0..2 {
            for q in &next {
                let along = dot(q, &column);
                column.iter_mut().zip(q).for_each(|(c, q)| *c -= along * q);
            }
        }
        let norm = dot(&column, &column).sqrt();
        column.iter_mut().for_each(|c| *c /= norm);
        next.push(column);
    }
    (next, order)
}

/// The points of SOAP for one layer without biases that matter: `outputs × inputs` weights by rows.
/// With bases for the first factors, which are not unique where these are singular.
fn written_out(
    soap: &Soap,
    [m, n]: [usize; 2],
    w: &mut [f64],
    gradients: &[Vec<f64>],
    bases: [Matrix; 2],
) -> Vec<Vec<f64>> {
    let Adam { rate, beta1, beta2, epsilon, decay } = soap.adam;
    let turn = |w: &[f64], left: &Matrix, right: &Matrix| -> Vec<f64> {
        let entry = |p: usize, q: usize| (0..m * n).map(|k| left[p][k / n] * w[k] * right[q][k % n]).sum();
        (0..m * n).map(|k| entry(k / n, k % n)).collect()
    };
    let transposed = |q: &Matrix| -> Matrix { (0..q.len()).map(|i| q.iter().map(|q| q[i]).collect()).collect() };
    let (mut l, mut r): (Matrix, Matrix) = (vec![vec![0.0; m]; m], vec![vec![0.0; n]; n]);
    let [mut ql, mut qr] = bases;
    // M in the weights' own coordinates, as the paper has it.
    let (mut first, mut v) = (vec![0.0; m * n], vec![0.0; m * n]);
    let mut path = vec![];
    for (t, g) in gradients.iter().enumerate().map(|(t, g)| (t + 1, g)) {
        first.iter_mut().zip(g).for_each(|(m, g)| *m = beta1 * *m + (1.0 - beta1) * g);
        let mut step: Vec<f64> = g.iter().map(|g| g / (g.abs() + epsilon)).collect();
        if t > 1 {
            let turned = turn(g, &ql, &qr);
            v.iter_mut().zip(&turned).for_each(|(v, g)| *v = beta2 * *v + (1.0 - beta2) * g * g);
            let (c1, c2) = (1.0 - beta1.powi(t as i32), 1.0 - beta2.powi(t as i32));
            let mean = turn(&first, &ql, &qr);
            let adams: Vec<f64> = mean.iter().zip(&v).map(|(m, v)| m / c1 / ((v / c2).sqrt() + epsilon)).collect();
            step = turn(&adams, &transposed(&ql), &transposed(&qr));
        }
        w.iter_mut().zip(&step).for_each(|(w, step)| *w -= rate * (step + decay * *w));
        for (i, column) in l.iter_mut().enumerate() {
            column.iter_mut().enumerate().for_each(|(j, l)| {
                *l = beta2 * *l + (1.0 - beta2) * (0..n).map(|k| g[i * n + k] * g[j * n + k]).sum::<f64>();
            });
        }
        for (i, column) in r.iter_mut().enumerate() {
            column.iter_mut().enumerate().for_each(|(j, r)| {
                *r = beta2 * *r + (1.0 - beta2) * (0..m).map(|k| g[k * n + i] * g[k * n + j]).sum::<f64>();
            });
        }
        if t == 1 {
            for (a, q) in [(&l, &ql), (&r, &qr)] {
                check_eigenvectors(a, q);
            }
            v = turn(g, &ql, &qr).iter().map(|g| (1.0 - beta2) * g * g).collect();
        } else if t % soap.renewal == 0 {
            let (left, rows) = iterate(&l, &ql);
            let (right, columns) = iterate(&r, &qr);
            v = (0..m * n).map(|k| v[rows[k / n] * n + columns[k % n]]).collect();
            (ql, qr) = (left, right);
            // What Cauchy's inequality says of moments of the same gradients.
            let least = (1.0 - beta2) * (1.0 - beta1 * beta1 / beta2) / (1.0 - beta1).powi(2);
            v.iter_mut().zip(turn(&first, &ql, &qr)).for_each(|(v, m)| *v = v.max(least * m * m));
        }
        path.push(w.to_vec());
    }
    path
}

/// Gradients of full rank, one for each step, with a mean and with directions that matter more than others.
fn gradients([m, n]: [usize; 2], count: usize) -> Vec<Vec<f64>> {
    let (mean, mix) = (normal::<f64>(m * n, 1), normal::<f64>(m * m, 2));
    let gradient = |t: usize| {
        let noise = normal::<f64>(m * n, 10 + t as u64);
        let entry = |k: usize| {
            let mixed: f64 = (0..m).map(|i| mix[k / n * m + i] * noise[i * n + k % n]).sum();
            mean[k] + mixed * 2.0_f64.powi((k % n) as i32)
        };
        (0..m * n).map(entry).collect()
    };
    (0..count).map(gradient).collect()
}

fn difference_to_what_is_written<T: Scalar>(shape: [usize; 2]) -> f64 {
    let [m, n] = shape;
    // A parameter before the layer, and two between its biases and the end.
    let dim = 1 + m * n + m + 2;
    let soap = Soap { renewal: 3, ..Soap::new(vec![layer(1, m, n)]) };
    let soap = Soap { adam: Adam { decay: 0.1, ..soap.adam }, ..soap };
    let start = normal::<f64>(dim, 5);
    let gradients = gradients(shape, 20);
    let mut wanted = None;
    // What belongs to no weights has Adam's steps.
    let (mut x, mut others): (Vec<T>, Vec<T>) =
        [&start, &start].map(|x| x.iter().map(|&x| T::from_f64(x)).collect()).into();
    let (mut moments, mut others_moments) = (soap.moments::<T>(dim), soap.adam.moments::<T>(dim));
    let mut worst = 0.0_f64;
    for (t, of_weights) in gradients.iter().enumerate() {
        let mut gradient = normal::<T>(dim, 1000 + t as u64);
        gradient[1..=m * n].iter_mut().zip(of_weights).for_each(|(g, &of)| *g = T::from_f64(of));
        let before = x.clone();
        let length = soap.step(&mut moments, &gradient, &mut x).unwrap();
        let moved: f64 = x.iter().zip(&before).map(|(&a, &b)| (a.into() - b.into()).powi(2)).sum();
        assert!((length - moved.sqrt()).abs() <= 1e-6 * length);
        soap.adam.step(&mut others_moments, &gradient, &mut others).unwrap();
        let wanted = wanted.get_or_insert_with(|| {
            let [_, _, left, right] = behind_v(&moments, dim, shape);
            written_out(&soap, shape, &mut start[1..=m * n].to_vec(), &gradients, [left, right])
        });
        for (x, &wanted) in x[1..=m * n].iter().zip(&wanted[t]) {
            worst = worst.max(((*x).into() - wanted).abs() / soap.adam.rate);
        }
        for i in (0..dim).filter(|i| !(1..=m * n).contains(i)) {
            assert_eq!(x[i], others[i], "{i}");
        }
    }
    worst
}

#[test]
fn steps_are_those_of_the_algorithm() {
    for shape in [[1, 1], [1, 2], [3, 3], [3, 4], [5, 3]] {
        let errors = [difference_to_what_is_written::<f64>(shape), difference_to_what_is_written::<f32>(shape)];
        println!("{shape:?}: {errors:?} of the rate");
        assert!(errors[0] < 1e-9 && errors[1] < 1e-2, "{shape:?}: {errors:?}");
    }
}

/// The factors and bases of the only layer, which lie behind v.
fn behind_v<T: Scalar>(moments: &Moments<T>, dim: usize, [m, n]: [usize; 2]) -> [Matrix; 4] {
    let mut rest = &moments.second[dim..];
    [m, n, m, n].map(|n| {
        let (matrix, others) = rest.split_at(n * n);
        rest = others;
        matrix.chunks(n).map(|column| column.iter().map(|&v| v.into()).collect()).collect()
    })
}

/// After hundreds of renewals bases are orthonormal, and nearly diagonalise the factors of gradients whose distribution stays.
#[test]
fn bases_stay_orthonormal_and_follow_the_factors() {
    fn check<T: Scalar>(rounding: f64) {
        let (shape, dim) = ([6, 4], 30);
        let soap = Soap { renewal: 1, ..Soap::new(vec![layer(0, 6, 4)]) };
        let soap = Soap { adam: Adam { beta2: 0.99, ..soap.adam }, ..soap };
        let (mut x, mut moments) = (vec![T::zero(); dim], soap.moments(dim));
        for gradient in gradients(shape, 600) {
            let gradient: Vec<T> = gradient.iter().map(|&g| T::from_f64(g)).chain([T::zero(); 6]).collect();
            soap.step(&mut moments, &gradient, &mut x).unwrap();
        }
        let [l, r, ql, qr] = behind_v(&moments, dim, shape);
        for (factor, q) in [(l, ql), (r, qr)] {
            let trace: f64 = (0..q.len()).map(|i| factor[i][i]).sum();
            for (i, qi) in q.iter().enumerate() {
                let image: Vec<f64> = factor.iter().map(|column| dot(column, qi)).collect();
                for (j, qj) in q.iter().enumerate() {
                    let one = f64::from(u8::from(i == j));
                    assert!((dot(qi, qj) - one).abs() < rounding, "{i} {j}: {}", dot(qi, qj));
                    assert!(i == j || dot(&image, qj).abs() < 0.02 * trace, "{i} {j}: {} of {trace}", dot(&image, qj));
                }
            }
        }
    }
    check::<f64>(1e-14);
    check::<f32>(1e-6);
}

/// f = ½ tr(WᵀAWB), A and B ill-conditioned and with eigenvectors that lie across: Adam sees no scale of its own in
/// the components.
#[test]
fn scales_across_the_axes_are_found() {
    let n = 6;
    let across = |seed: u64| -> Matrix {
        let mut q: Matrix = vec![];
        for mut column in normal::<f64>(n * n, seed).chunks(n).map(<[f64]>::to_vec) {
            for q in &q {
                let along = dot(q, &column);
                column.iter_mut().zip(q).for_each(|(c, q)| *c -= along * q);
            }
            let norm = dot(&column, &column).sqrt();
            q.push(column.iter().map(|c| c / norm).collect());
        }
        let entry = |i: usize, j: usize| (0..n).map(|k| q[k][i] * q[k][j] * 10.0_f64.powi(-(k as i32) / 2)).sum();
        (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect()
    };
    let (a, b) = (across(1), across(2));
    let gradient = |w: &[f64], out: &mut [f64]| {
        let half: Vec<f64> = (0..n * n).map(|k| (0..n).map(|i| a[k / n][i] * w[i * n + k % n]).sum()).collect();
        (0..n * n).for_each(|k| out[k] = (0..n).map(|i| half[k / n * n + i] * b[i][k % n]).sum());
        out[n * n..].fill(0.0);
    };
    let value = |w: &[f64]| {
        let mut g = vec![0.0; w.len()];
        gradient(w, &mut g);
        0.5 * dot(w, &g)
    };
    let f = objective(n * n + n, value, gradient, |_: &[f64], _, _| unreachable!());
    let stopping = || Stopping { max_iterations: 400, gradient_relative: 0.0, ..Stopping::default() };
    let mut x0 = normal::<f64>(n * n + n, 3);
    x0[n * n..].fill(0.0);
    let soap = Soap::new(vec![layer(0, n, n)]);
    let adam = Adam { rate: 0.05, ..soap.adam };
    let schedule = Schedule::Cosine { steps: 400 };
    let by_adam = FirstOrder { schedule, stopping: stopping(), ..FirstOrder::new(adam) }.minimize(&f, &x0).unwrap();
    let soap = FirstOrder { schedule, stopping: stopping(), ..FirstOrder::new(Soap { adam, ..soap }) };
    let by_soap = soap.minimize(&f, &x0).unwrap();
    println!("{:e} {:e}", by_soap.value, by_adam.value);
    assert!(by_soap.value < 0.1 * by_adam.value, "{:e} {:e}", by_soap.value, by_adam.value);
}

/// An input that is always 0: what is rounding in the bases must not become steps.
#[test]
fn weights_without_a_gradient_stay() {
    fn check<T: Scalar>() {
        let (m, n) = (9, 7);
        let soap = Soap { renewal: 2, ..Soap::new(vec![layer(0, m, n)]) };
        let (mut x, mut moments) = (vec![T::zero(); m * n + m], soap.moments(m * n + m));
        for t in 0..50 {
            let noise = normal::<f64>(m * n, t);
            let entry = |k: usize| if k % n == 4 { 0.0 } else { 1e3 * noise[k] };
            let gradient: Vec<T> = (0..m * n).map(|k| T::from_f64(entry(k))).chain([T::zero(); 9]).collect();
            soap.step(&mut moments, &gradient, &mut x).unwrap();
        }
        let (mut most, mut live) = (0.0_f64, 0.0_f64);
        for (k, x) in x[..m * n].iter().map(|&x| x.into()).enumerate() {
            if k % n == 4 { most = most.max(x.abs()) } else { live = live.max(x.abs()) }
        }
        println!("{most:e} of {live:e}");
        assert!(most < 1e-3 * live, "{most:e} of {live:e}");
    }
    check::<f64>();
    check::<f32>();
}

/// Without layers, and with layers that are nothing but biases: Adam.
#[test]
fn what_belongs_to_no_weights_is_adams() {
    for layers in [vec![], vec![layer(0, 3, 0), layer(3, 0, 4)]] {
        let soap = Soap { renewal: 1, ..Soap::new(layers) };
        let (mut x, mut y) = ([0.5_f64; 5], [0.5; 5]);
        let (mut moments, mut adams) = (soap.moments(5), soap.adam.moments(5));
        for t in 0..4 {
            soap.step(&mut moments, &normal(5, t), &mut x).unwrap();
            soap.adam.step(&mut adams, &normal(5, t), &mut y).unwrap();
        }
        assert_eq!(x, y);
    }
}

#[test]
fn a_zero_gradient_moves_nothing_and_later_ones_do() {
    let soap = Soap { renewal: 1, ..Soap::new(vec![layer(0, 2, 3)]) };
    let (mut x, mut moments) = (vec![1.0_f32; 8], soap.moments(8));
    for _ in 0..3 {
        assert_eq!(soap.step(&mut moments, &[0.0; 8], &mut x).unwrap(), 0.0);
    }
    assert_eq!(x, [1.0; 8]);
    for t in 0..5 {
        let length = soap.step(&mut moments, &normal(8, t), &mut x).unwrap();
        assert!(length > 0.0 && length < 0.1 && x.iter().all(|x| x.is_finite()));
    }
}

/// What is not a number, or whose squares are none, neither panics nor hangs; a later run is not concerned.
#[test]
fn what_is_not_finite_ends_a_run() {
    let soap = || Soap { renewal: 1, ..Soap::new(vec![layer(0, 2, 2)]) };
    for bad in [f32::NAN, f32::INFINITY, 1e30] {
        let (mut x, mut moments) = (vec![1.0_f32; 6], soap().moments(6));
        for _ in 0..4 {
            let length = soap().step(&mut moments, &[bad, 1.0, 0.5, -1.0, 1.0, 1.0], &mut x).unwrap();
            assert_eq!(length.is_nan(), !bad.is_finite(), "{bad}: {length}");
        }
    }
    let wall = |x: &[f64]| if x[0] < 0.9 { f64::NAN } else { x.iter().map(|x| x * x).sum() };
    let f = objective(6, wall, |x, g| (0..6).for_each(|i| g[i] = 2.0 * x[i]), |_, _, _| unreachable!());
    let report = FirstOrder::new(soap()).minimize(&f, &[1.0; 6]).unwrap();
    assert!(matches!(report.termination, Termination::NotFinite(_)), "{report}");
    assert!(report.value < 6.0 && report.iterations() > 10);
}

/// Gradients in other units are the same steps, to rounding, where ε does not matter.
#[test]
fn units_of_the_function_do_not_matter() {
    let soap = Soap { renewal: 2, ..Soap::new(vec![layer(0, 3, 4)]) };
    let soap = Soap { adam: Adam { epsilon: 1e-300, ..soap.adam }, ..soap };
    let run = |scale: f64| {
        let (mut x, mut moments) = (vec![0.0; 15], soap.moments(15));
        for gradient in gradients([3, 5], 20) {
            let gradient: Vec<f64> = gradient.iter().map(|g| scale * g).collect();
            soap.step(&mut moments, &gradient, &mut x).unwrap();
        }
        x
    };
    let plain = run(1.0);
    for exponent in [-120, -9, 9, 120] {
        for (x, wanted) in run(2.0_f64.powi(exponent)).iter().zip(&plain) {
            assert!((x - wanted).abs() < 1e-10, "{exponent}: {x} {wanted}");
        }
    }
}

/// Two layers of different widths, on one thread and on two, and saved and loaded after every step: the same bits.
#[test]
fn threads_and_savings_change_no_bit() {
    let layers = vec![layer(0, 40, 30), layer(1500, 9, 70)];
    let dim = 1500 + 9 * 71;
    let soap = Soap { renewal: 3, ..Soap::new(layers) };
    let run = |threads: usize, save: bool| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (mut x, mut moments) = (vec![0.0_f32; dim], soap.moments(dim));
            for t in 0..8 {
                soap.step(&mut moments, &normal(dim, t), &mut x).unwrap();
                if save {
                    moments = serde_json::from_str(&serde_json::to_string(&moments).unwrap()).unwrap();
                }
            }
            x.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        })
    };
    let bits = run(1, false);
    assert_eq!(bits, run(2, false));
    assert_eq!(bits, run(1, true));
}

#[test]
fn mistakes_name_the_argument() {
    let refused = |soap: Soap, words: &str| {
        let mut moments = Moments { steps: 0, first: vec![], second: vec![] };
        let error: Error = soap.step(&mut moments, &[0.0; 10], &mut [0.0; 10]).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    };
    refused(Soap { renewal: 0, ..Soap::new(vec![layer(0, 2, 2)]) }, "renewal is 0");
    let begins = "where a layer of the model begins";
    refused(Soap::new(vec![layer(0, 2, 2), layer(5, 1, 1)]), &format!("{begins} is 5"));
    refused(Soap::new(vec![layer(5, 2, 2)]), &format!("{begins} is 5"));
    refused(Soap::new(vec![layer(usize::MAX, 2, 2)]), begins);
    refused(Soap::new(vec![layer(0, usize::MAX, usize::MAX)]), begins);
    let soap = Soap::new(vec![layer(0, 2, 2)]);
    refused(Soap { adam: Adam { rate: -1.0, ..soap.adam }, ..soap.clone() }, "rate is -1");
    refused(soap, "moments.first");
}

/// ½(x − i)², a mean over samples i.
struct Numbers(usize);

impl SampledObjective<f64> for Numbers {
    fn dim(&self) -> usize {
        1
    }
    fn samples(&self) -> usize {
        self.0
    }
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Objective<f64> + 'a {
        let mean = samples.iter().sum::<usize>() as f64 / samples.len() as f64;
        objective(
            1,
            move |x: &[f64]| if x[0] < 1e3 { 0.5 * (x[0] - mean).powi(2) } else { f64::NAN },
            move |x, g| g[0] = x[0] - mean,
            |_, v, hv| hv.copy_from_slice(v),
        )
    }
}

/// With `average` the report has the average of all points but the start's weight, and value and gradient there.
#[test]
fn runs_on_batches_report_the_average() {
    let adam = Adam { rate: 0.3, ..Adam::default() };
    let numbers = Numbers(20);
    for steps in [0, 1, 2, 50] {
        let stopping = || Stopping { max_iterations: steps, ..Stopping::default() };
        let solver = FirstOrder { average: true, stopping: stopping(), ..FirstOrder::new(adam) };
        let report = solver.minimize_sampled(&numbers, Batches::new(20, 4, 7).unwrap(), &[5.0]).unwrap();
        let (mut x, mut moments, mut average) = ([5.0], adam.moments(1), IterateAverage::default());
        let mut batches = Batches::new(20, 4, 7).unwrap();
        average.add(&x);
        for _ in 0..steps {
            let mean = batches.draw().iter().sum::<usize>() as f64 / 4.0;
            adam.step(&mut moments, &[x[0] - mean], &mut x).unwrap();
            average.add(&x);
        }
        let wanted = average.point()[0];
        assert_eq!(report.x[0].to_bits(), wanted.to_bits(), "{steps}");
        assert!((report.gradient_norm - (wanted - 9.5).abs()).abs() < 1e-12);
        // Nothing changes on a whole objective.
        let whole = numbers.batch(&[0, 19]);
        let plain = FirstOrder { stopping: stopping(), ..FirstOrder::new(adam) };
        let [averaged, plain] = [&solver, &plain].map(|solver| solver.minimize(&whole, &[5.0]).unwrap().x);
        assert_eq!(averaged, plain);
    }
    // A point where f is not finite is no part of it.
    let far = FirstOrder { average: true, ..FirstOrder::new(Adam { rate: 900.0, ..adam }) };
    let report = far.minimize_sampled(&numbers, Batches::new(20, 4, 7).unwrap(), &[-500.0]).unwrap();
    assert!(report.x[0] < 1e3 && report.value.is_finite(), "{report}");
}
