//! What runs do today, to the bit: every solver on every path, in both precisions.
//!
//! `tests/data/pinned_runs.tsv` has counts, termination, value and a digest of x for each run. Moving code must leave the
//! file as it is; a change that is meant to move a number writes it anew (`PINNED_RUNS=write cargo test pinned`) and says
//! why in its commit. Bits depend on the processor's vector registers, so they are compared on a processor like that of
//! the file's first line; elsewhere counts and values to 1 %.

use std::fmt::Write as _;

use newton_krylov::first_order::*;
use newton_krylov::hessian_free::*;
use newton_krylov::losses::*;
use newton_krylov::models::{Activation, MultilayerPerceptron};
use newton_krylov::operators::*;
use newton_krylov::problems::{ChainedRosenbrock, GinzburgLandau, MoreGarbowHillstrom};
use newton_krylov::*;

/// Name, counts, termination, value, x.
struct Pinned {
    name: String,
    counts: String,
    termination: Termination,
    value: f64,
    digest: u64,
}

/// FNV-1a over the bits of x.
fn digest<T: Scalar>(x: &[T]) -> u64 {
    x.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &x| {
        let x: f64 = x.into();
        (hash ^ x.to_bits()).wrapping_mul(0x100_0000_01b3)
    })
}

fn minimized<T: Scalar>(name: impl Into<String>, report: Result<Report<T>>) -> Pinned {
    let report = report.unwrap();
    let Counts { values, gradients, products, .. } = report.counts;
    Pinned {
        name: name.into(),
        counts: format!("{values} {gradients} {products}"),
        termination: report.termination,
        value: report.value,
        digest: digest(&report.x),
    }
}

fn fitted<T: Scalar>(name: impl Into<String>, report: Result<LeastSquaresReport<T>>) -> Pinned {
    let report = report.unwrap();
    let Counts { values, gradients, products, transpose_products } = report.counts;
    Pinned {
        name: name.into(),
        counts: format!("{values} {gradients} {products} {transpose_products}"),
        termination: report.termination,
        value: report.value,
        digest: digest(&report.x),
    }
}

fn problem(number: usize) -> MoreGarbowHillstrom {
    MoreGarbowHillstrom::all()[number - 1]
}

/// At most a thousand values, so that no run is long.
fn stopping() -> Stopping {
    Stopping { max_values: 1000, max_products: 20_000, ..Stopping::default() }
}

fn second_order<T: Scalar>(pins: &mut Vec<Pinned>) {
    let precision = size_of::<T>() * 8;
    for (number, factor) in [(14, 1.0), (18, 10.0), (25, 1.0), (7, 100.0)] {
        let (p, x0) = (problem(number), problem(number).scaled_start::<T>(factor));
        for inner in [InnerSolver::Krylov, InnerSolver::Dense, InnerSolver::Automatic] {
            let (stopping, memory) = (stopping(), Memory::Automatic);
            let name = |solver: &str| format!("{solver} {number} from {factor} x0, {inner:?}, f{precision}");
            let radius = TrustRegion { stopping: stopping.clone(), inner, memory };
            pins.push(minimized(name("TrustRegion"), radius.minimize(&p, &x0)));
            if inner != InnerSolver::Automatic {
                let line = NewtonCg { stopping: stopping.clone(), inner, memory };
                pins.push(minimized(name("NewtonCg"), line.minimize(&p, &x0)));
                let cubic = CubicRegularization { stopping, inner, memory };
                pins.push(minimized(name("CubicRegularization"), cubic.minimize(&p, &x0)));
            }
        }
    }
    let valley = ChainedRosenbrock::new(60).unwrap();
    for memory in [Memory::Automatic, Memory::Vectors(28), Memory::Forgetful(60)] {
        let radius = TrustRegion { memory, stopping: stopping(), ..TrustRegion::default() };
        let name = format!("TrustRegion, chained Rosenbrock 60, {memory:?}, f{precision}");
        pins.push(minimized(name, radius.minimize(&valley, &valley.start::<T>())));
    }
    let energy = GinzburgLandau::<T>::discrete(6, 1.0).unwrap();
    let name = format!("NewtonCg, energy of 216 points, f{precision}");
    pins.push(minimized(
        name,
        NewtonCg { stopping: stopping(), ..NewtonCg::default() }.minimize(&energy, &energy.start()),
    ));
    // A saddle at the start.
    let saddle = objective(
        2,
        |x: &[T]| x[0].into().cos() + x[1].into().cos(),
        |x, g| (0..2).for_each(|i| g[i] = -x[i].sin()),
        |x, v, hv| (0..2).for_each(|i| hv[i] = -x[i].cos() * v[i]),
    );
    let x0 = [T::zero(); 2];
    pins.push(minimized(
        format!("TrustRegion from a saddle, f{precision}"),
        TrustRegion::default().minimize(&saddle, &x0),
    ));
}

fn least_squares_runs<T: Scalar>(pins: &mut Vec<Pinned>) {
    let precision = size_of::<T>() * 8;
    for (number, factor) in [(1, 10.0), (7, 1.0), (16, 1.0), (28, 1.0)] {
        let p = problem(number);
        let x0 = p.scaled_start::<T>(factor);
        let fit = || {
            least_squares(
                p.terms(),
                p.unknowns(),
                |x: &[T], r: &mut [T]| p.residuals(x, r),
                |x, v, jv: &mut [T]| p.jacobian_product(x, v, jv),
                |x, u, jtu: &mut [T]| p.jacobian_transpose_product(x, u, jtu),
            )
        };
        let name = |what: &str| format!("{what} {number} from {factor} x0, f{precision}");
        for inner in [InnerSolver::Krylov, InnerSolver::Dense] {
            let solver = LevenbergMarquardt { stopping: stopping(), inner, ..LevenbergMarquardt::default() };
            pins.push(fitted(name(&format!("LevenbergMarquardt, {inner:?},")), solver.minimize(&fit(), &x0)));
            let solver = GaussNewton { stopping: stopping(), inner, ..GaussNewton::default() };
            pins.push(fitted(name(&format!("GaussNewton, {inner:?},")), solver.minimize(&fit(), &x0)));
        }
        let robust = fit().with_loss(Cauchy::new(0.5).unwrap(), 1).unwrap();
        let solver = LevenbergMarquardt { stopping: stopping(), acceleration: true, ..LevenbergMarquardt::default() };
        pins.push(fitted(name("LevenbergMarquardt, Cauchy's loss, accelerated,"), solver.minimize(&robust, &x0)));
        let (lower, upper): (Vec<T>, Vec<T>) = x0.iter().map(|&x| (x - T::from_f64(0.3), x + T::from_f64(0.3))).unzip();
        let bounded = fit().with_bounds(&lower, &upper).unwrap();
        pins.push(fitted(name("LevenbergMarquardt, bounds,"), solver.minimize(&bounded, &x0)));
    }
    let mut structure = BlockStructure::new();
    let first = structure.parameters(3, 2).unwrap();
    let second = structure.parameters(9, 2).unwrap();
    for point in second.clone() {
        for camera in first.clone() {
            structure.residual(2, &[camera, point]).unwrap();
        }
    }
    structure.eliminate(second).unwrap();
    let blocks = structure.model(|i, x: &[T], r: &mut [T], jacobian: Option<&mut [T]>| {
        let phase = |j: usize, row: usize| T::from_f64(0.3 * ((i * 7 + j * 3 + row * 5) % 11) as f64 - 1.0);
        for (row, r) in r.iter_mut().enumerate() {
            *r = (0..4).fold(T::from_f64(0.1 * (i % 5) as f64), |sum, j| sum + (x[j] * phase(j, row)).sin());
        }
        for (row, out) in jacobian.into_iter().flat_map(|j| j.chunks_exact_mut(4)).enumerate() {
            (0..4).for_each(|j| out[j] = phase(j, row) * (x[j] * phase(j, row)).cos());
        }
    });
    let x0: Vec<T> = (0..24).map(|j| T::from_f64((0.7 * j as f64).sin())).collect();
    let report = LevenbergMarquardt::default().minimize(&LeastSquares::new(blocks), &x0);
    pins.push(fitted(format!("LevenbergMarquardt, blocks, f{precision}"), report));
}

fn first_order<T: Scalar>(pins: &mut Vec<Pinned>) {
    let precision = size_of::<T>() * 8;
    for number in [7, 14, 21] {
        let (p, x0) = (problem(number), problem(number).start::<T>());
        let name = |what: &str| format!("{what} {number}, f{precision}");
        pins.push(minimized(name("Lbfgs"), Lbfgs { stopping: stopping(), ..Lbfgs::default() }.minimize(&p, &x0)));
        for search in [LineSearch::Backtracking, LineSearch::Armijo, LineSearch::StrongWolfe] {
            let solver = SteepestDescent { search, stopping: Stopping { max_values: 300, ..stopping() } };
            pins.push(minimized(name(&format!("SteepestDescent, {search:?},")), solver.minimize(&p, &x0)));
        }
    }
    let p = problem(30);
    let stopping = Stopping { max_iterations: 200, ..stopping() };
    let x0 = p.start::<T>();
    let name = |what: &str| format!("{what} 30, f{precision}");
    let adam = FirstOrder { stopping: stopping.clone(), ..FirstOrder::new(Adam { rate: 0.05, ..Adam::default() }) };
    pins.push(minimized(name("Adam"), adam.minimize(&p, &x0)));
    let descent = FirstOrder { stopping, ..FirstOrder::new(GradientDescent { rate: 0.01 }) };
    pins.push(minimized(name("GradientDescent"), descent.minimize(&p, &x0)));
}

fn batches<T: Scalar>(pins: &mut Vec<Pinned>) {
    let precision = size_of::<T>() * 8;
    let network = MultilayerPerceptron::new(&[2, 5, 1], &[Activation::Tanh, Activation::Identity]).unwrap();
    let inputs: Vec<T> = (0..80).map(|i| T::from_f64((1.3 * i as f64).sin())).collect();
    let targets: Vec<T> = inputs.chunks(2).map(|x| x[0] * x[1]).collect();
    let x0 = network.initial::<T>(1);
    let loss = || SquaredError::new(targets.clone(), 1).unwrap();
    let metric = Metric::GeneralizedGaussNewton;
    let samples = fit_samples(network.on(&inputs).unwrap(), loss(), metric).unwrap().with_regularization(1e-3).unwrap();
    let stopping = Stopping { max_iterations: 15, ..Stopping::default() };
    for method in [
        StepMethod::SubspaceDescent(SubspaceDescent::default()),
        StepMethod::ConjugateGradients(ConjugateGradients::default()),
    ] {
        let name = match method {
            StepMethod::SubspaceDescent(_) => "one space",
            StepMethod::ConjugateGradients(_) => "conjugate gradients",
        };
        let solver = HessianFree { method, stopping: stopping.clone(), ..HessianFree::default() };
        pins.push(minimized(format!("HessianFree, {name}, f{precision}"), solver.minimize(&samples, &x0)));
    }
    let natural = NaturalGradient { stopping: stopping.clone(), ..NaturalGradient::default() };
    let report = natural.minimize_sampled(&samples, Batches::new(40, 8, 1).unwrap(), &x0);
    pins.push(minimized(format!("NaturalGradient on batches, f{precision}"), report));
    let whole = fit(network.on(&inputs).unwrap(), loss(), Metric::GeneralizedGaussNewton).unwrap();
    pins.push(minimized(format!("NaturalGradient, f{precision}"), natural.minimize(&whole, &x0)));
    let solver = FirstOrder { stopping, ..FirstOrder::new(Adam::default()) };
    let report = solver.minimize_sampled(&samples, Batches::new(40, 8, 1).unwrap(), &x0);
    pins.push(minimized(format!("Adam on batches, f{precision}"), report));
}

fn processor() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        return "avx512";
    } else if is_x86_feature_detected!("fma") {
        return "avx2";
    }
    std::env::consts::ARCH
}

#[test]
fn pinned_runs_are_as_they_were() {
    let mut pins = vec![];
    second_order::<f64>(&mut pins);
    second_order::<f32>(&mut pins);
    least_squares_runs::<f64>(&mut pins);
    least_squares_runs::<f32>(&mut pins);
    first_order::<f64>(&mut pins);
    first_order::<f32>(&mut pins);
    batches::<f64>(&mut pins);
    batches::<f32>(&mut pins);
    let mut text = format!("# {}\n", processor());
    for Pinned { name, counts, termination, value, digest } in &pins {
        writeln!(text, "{name}\t{counts}\t{termination}\t{value:e}\t{digest:016x}").unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pinned_runs.tsv");
    if std::env::var("PINNED_RUNS").is_ok_and(|wish| wish == "write") {
        std::fs::write(path, &text).unwrap();
        return;
    }
    let recorded = std::fs::read_to_string(path).unwrap();
    assert_eq!(recorded.lines().count(), text.lines().count(), "other runs than in the file");
    let same = recorded.lines().next() == text.lines().next();
    let mut moved = String::new();
    for (was, is) in recorded.lines().zip(text.lines()).skip(1) {
        let near = |was: &str, is: &str| {
            let (was, is): (f64, f64) = (was.parse().unwrap(), is.parse().unwrap());
            (was - is).abs() <= 0.01 * was.abs() + 1e-6
        };
        let (a, b): (Vec<&str>, Vec<&str>) = (was.split('\t').collect(), is.split('\t').collect());
        if if same { was != is } else { a[0] != b[0] || !near(a[3], b[3]) } {
            writeln!(moved, "was {was}\nis  {is}").unwrap();
        }
    }
    assert!(moved.is_empty(), "{moved}");
}
