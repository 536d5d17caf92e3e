//! Runs that are saved, written, read and resumed after every step: the bits of those that are not, in all that is saved of
//! them.

use std::fs;
use std::path::Path;

use newton_krylov::differences::Difference;
use newton_krylov::first_order::*;
use newton_krylov::hessian_free::*;
use newton_krylov::losses::Huber;
use newton_krylov::mirror_map::Simplex;
use newton_krylov::operators::{BlockStructure, ClosureObjective, LayerShape};
use newton_krylov::preconditioners::{with_diagonal, with_preconditioner};
use newton_krylov::problems::{ChainedRosenbrock, MoreGarbowHillstrom};
use newton_krylov::*;

/// All of a report but the time, and the storage, of which workspaces are part. As text, in which numbers have all their
/// digits.
trait Bits {
    fn bits(self) -> String;
}

impl<T: Scalar> Bits for Report<T> {
    fn bits(self) -> String {
        format!("{:?}", Report { seconds: 0.0, memory_numbers: 0, ..self })
    }
}

impl<T: Scalar> Bits for LeastSquaresReport<T> {
    fn bits(self) -> String {
        format!("{:?}", LeastSquaresReport { run: Report { seconds: 0.0, memory_numbers: 0, ..self.run }, ..self })
    }
}

fn shown<T: Scalar>(run: &impl Run<T>) -> String {
    format!("{:?}", Progress { seconds: 0.0, ..run.progress() })
}

/// Whether two saved runs, as text, are the same but for the time that they took, a number of eight bytes.
fn same_but_for_time(a: &[u8], b: &[u8]) -> bool {
    let [a, b] = [a, b].map(|text| &text[text.iter().position(|&byte| byte == b'[').unwrap()..]);
    let numbers = |text: &[u8]| text.iter().filter(|&&byte| byte == b',').count();
    let [x, y] = [a, b].map(|text| text.split(|&byte| byte == b','));
    let mut differing = x.zip(y).enumerate().filter(|(_, (x, y))| x != y).map(|(i, _)| i);
    let first = differing.next().unwrap_or(0);
    numbers(a) == numbers(b) && differing.all(|i| i < first + 8)
}

/// The number of steps. Beside the run that is resumed before each of them goes one that never is: what either of them
/// saves is the same, remembered curvature, averages and all.
fn resumed<T: Scalar, R: Run<T, Report: Bits>>(
    name: &str,
    start: &dyn Fn() -> Result<R>,
    start_whole: &dyn Fn() -> Result<R>,
    resume: &dyn Fn(&RunState) -> Result<R>,
) -> usize {
    let at_once = start().unwrap().complete().unwrap().bits();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let (run, mut whole) = (start().unwrap(), start_whole().unwrap());
    let text = |run: &R| serde_json::to_vec(&run.save()).unwrap();
    let mut saved = text(&run);
    let mut before = shown(&run);
    for step in 1.. {
        let mut state: RunState = serde_json::from_slice(&saved).unwrap();
        if step % 16 == 1 {
            // A file takes longer.
            checkpoint::save(&path, name, &state).unwrap();
            state = checkpoint::load(&path, name).unwrap();
        }
        let mut run = resume(&state).unwrap();
        assert_eq!(shown(&run), before, "{name}, step {step}");
        let termination = run.iterate().unwrap();
        assert_eq!(whole.iterate().unwrap(), termination, "{name}, step {step}");
        saved = text(&run);
        assert!(same_but_for_time(&saved, &text(&whole)), "{name}, step {step}: the states differ");
        before = shown(&run);
        if let Some(termination) = termination {
            // The end of a run is one that it has again.
            let mut over = resume(&run.save()).unwrap();
            assert_eq!(over.iterate().unwrap(), Some(termination), "{name}");
            assert_eq!(run.finish(termination).bits(), at_once, "{name}");
            return step;
        }
    }
    unreachable!()
}

/// Every solver on an objective.
macro_rules! on_objective {
    ($name:expr, $solver:expr, $objective:expr, $x0:expr) => {{
        // A model by differences keeps its last outputs: no two runs share one.
        let (solver, objective, other, x0) = (&$solver, &$objective, &$objective, &$x0[..]);
        let name = format!("{solver:?} on {}", $name);
        let (start, start_whole) = (|| solver.start(objective, x0), || solver.start(other, x0));
        resumed(&name, &start, &start_whole, &|state| solver.resume(objective, state))
    }};
}

type Value<T> = Box<dyn Fn(&[T]) -> f64>;
type Gradient<T> = Box<dyn Fn(&[T], &mut [T])>;
type Product<T> = Box<dyn Fn(&[T], &[T], &mut [T])>;
type Smooth<T> = ClosureObjective<T, Value<T>, Gradient<T>, Product<T>>;

/// An objective of one type whatever it is, so that every solver is compiled once.
fn smooth<T: Scalar, O: Objective<T> + Clone + 'static>(o: &O) -> Smooth<T> {
    let (value, gradient, product) = (o.clone(), o.clone(), o.clone());
    objective(
        o.dim(),
        Box::new(move |x: &[T]| value.value(x)) as Value<T>,
        Box::new(move |x: &[T], g: &mut [T]| gradient.expand(x).gradient(g)) as Gradient<T>,
        Box::new(move |x: &[T], v: &[T], hv: &mut [T]| product.expand(x).apply(v, hv)) as Product<T>,
    )
}

fn stopping() -> Stopping {
    Stopping { max_iterations: 30, ..Stopping::default() }
}

const PATHS: [InnerSolver; 3] = [InnerSolver::Krylov, InnerSolver::Dense, InnerSolver::Automatic];

fn second_order<T: Scalar>() {
    let mut steps = 0;
    let chain = ChainedRosenbrock::new(24).unwrap();
    let start = chain.start::<T>();
    let valley = smooth::<T, _>(&chain);
    for inner in PATHS {
        let problem = MoreGarbowHillstrom::all()[17];
        let x0 = problem.scaled_start::<T>(10.0);
        let problem = smooth::<T, _>(&problem);
        for memory in [Memory::Automatic, Memory::Forgetful(60), Memory::Vectors(28)] {
            let solver = TrustRegion { stopping: stopping(), inner, memory };
            steps += on_objective!("18", solver, problem, x0);
            steps += on_objective!("the valley", solver, valley, start);
        }
        let memory = Memory::Automatic;
        steps += on_objective!("18", NewtonCg { stopping: stopping(), inner, memory }, problem, x0);
        steps += on_objective!("the valley", NewtonCg { stopping: stopping(), inner, memory }, valley, start);
        steps += on_objective!("18", CubicRegularization { stopping: stopping(), inner, memory }, problem, x0);
        let cubic = CubicRegularization { stopping: stopping(), inner, memory };
        steps += on_objective!("the valley", cubic, valley, start);
        for control in [
            Control::FixedRate(1.0),
            Control::Ball(0.1),
            Control::Divergence(0.01),
            Control::LineSearch,
            Control::TrustRegion,
            Control::LevenbergMarquardt,
            Control::Cubic,
        ] {
            let solver = Descent { control, damping: 1.0, stopping: stopping(), inner, memory };
            steps += on_objective!("the valley", solver, valley, start);
        }
    }
    let solver = TrustRegion { stopping: stopping(), ..TrustRegion::default() };
    // A preconditioner of the objective's own, differences, and a saddle at the start.
    let preconditioned = with_diagonal(&valley, |x: &[T], diagonal: &mut [T]| {
        (0..x.len()).for_each(|i| diagonal[i] = T::from_f64(200.0))
    });
    steps += on_objective!("the valley with a diagonal", solver, preconditioned, start);
    let differences = objective_from_gradient(
        24,
        |x: &[T]| valley.value(x),
        |x, g| valley.expand(x).gradient(g),
        Difference::Forward,
    );
    steps += on_objective!("differences", solver, differences, start);
    let saddle = objective(
        2,
        Box::new(|x: &[T]| x[0].into().cos() + x[1].into().cos()) as Value<T>,
        Box::new(|x: &[T], g: &mut [T]| (0..2).for_each(|i| g[i] = -x[i].sin())) as Gradient<T>,
        Box::new(|x: &[T], v: &[T], hv: &mut [T]| (0..2).for_each(|i| hv[i] = -x[i].cos() * v[i])) as Product<T>,
    );
    steps += on_objective!("a saddle", solver, saddle, [T::zero(); 2]);
    // Products that are nowhere finite, and matrices that are known as a whole at the end.
    let broken = objective(
        24,
        |x: &[T]| chain.value(x),
        |x: &[T], g: &mut [T]| chain.expand(x).gradient(g),
        |_: &[T], _: &[T], hv: &mut [T]| hv.fill(T::nan()),
    );
    steps += on_objective!("no products", solver, broken, start);
    for inner in PATHS {
        let solver = TrustRegion { inner, ..TrustRegion::default() };
        let problem = MoreGarbowHillstrom::all()[0];
        steps += on_objective!("1", solver, smooth::<T, _>(&problem), problem.start::<T>());
    }
    assert!(steps > 500, "{steps}");
}

#[test]
fn second_order_runs_resume_with_the_same_bits() {
    second_order::<f64>();
    second_order::<f32>();
}

fn first_order<T: Scalar>() {
    let chain = ChainedRosenbrock::new(6).unwrap();
    let x0 = chain.start::<T>();
    let valley = smooth::<T, _>(&chain);
    let mut steps = 0;
    for memory in [1, 3, 10] {
        steps += on_objective!("the valley", Lbfgs { memory, stopping: stopping() }, valley, x0);
    }
    for search in [LineSearch::Backtracking, LineSearch::Armijo, LineSearch::StrongWolfe] {
        steps += on_objective!("the valley", SteepestDescent { search, stopping: stopping() }, valley, x0);
        let preconditioned = with_preconditioner(&valley, |_: &[T]| {
            |_: f64, r: &mut [T]| r.iter_mut().for_each(|r| *r /= T::from_f64(100.0))
        });
        steps += on_objective!("P", SteepestDescent { search, stopping: stopping() }, preconditioned, x0);
    }
    fn one<T: Scalar, M: GradientMethod + std::fmt::Debug>(method: M, x0: &[T]) -> usize {
        let schedule = Schedule::Cosine { steps: 25 };
        let solver = FirstOrder { schedule, average: true, stopping: stopping(), ..FirstOrder::new(method) };
        let valley = smooth::<T, _>(&ChainedRosenbrock::new(6).unwrap());
        let whole = on_objective!("the valley", solver, valley, x0);
        let fit = Line(60);
        let start = || solver.start_sampled(&fit, Batches::new(60, 7, 3).unwrap(), &[T::one(); 2]);
        whole + resumed("batches", &start, &start, &|state| solver.resume_sampled(&fit, state))
    }
    steps += one(GradientDescent { rate: 1e-3 }, &x0);
    steps += one(HeavyBall { rate: 1e-3, momentum: 0.5 }, &x0);
    steps += one(Nesterov { rate: 1e-3, momentum: Momentum::Convex }, &x0);
    steps += one(AdaGrad::default(), &x0);
    steps += one(FullAdaGrad::default(), &x0);
    steps += one(RmsProp::default(), &x0);
    steps += one(Adam::default(), &x0);
    let layer = LayerShape { start: 0, inputs: 1, outputs: 1, places: 1 };
    steps += one(Soap { renewal: 2, ..Soap::new(vec![layer]) }, &x0);
    let target = |i: usize| [0.6, 0.6, -0.5][i];
    let bowl = objective(
        3,
        Box::new(move |x: &[T]| (0..3).map(|i| 0.5 * (x[i].into() - target(i)).powi(2)).sum()) as Value<T>,
        Box::new(move |x: &[T], g: &mut [T]| (0..3).for_each(|i| g[i] = x[i] - T::from_f64(target(i)))) as Gradient<T>,
        Box::new(|_: &[T], v: &[T], hv: &mut [T]| hv.copy_from_slice(v)) as Product<T>,
    );
    let mirror = MirrorDescent { stopping: stopping(), ..MirrorDescent::new(Simplex::new(3).unwrap(), 0.3) };
    let x0 = [0.2, 0.3, 0.5].map(T::from_f64);
    steps += on_objective!("a simplex", mirror, bowl, x0);
    let start = || mirror.start_dual(&bowl, &[T::zero(); 3]);
    steps += resumed("in dual coordinates", &start, &start, &|state| mirror.resume(&bowl, state));
    assert!(steps > 300, "{steps}");
}

#[test]
fn first_order_runs_resume_with_the_same_bits() {
    first_order::<f64>();
    first_order::<f32>();
}

/// ½(x₀ + x₁tᵢ − yᵢ)², a mean over samples.
struct Line(usize);

impl<T: Scalar> SampledObjective<T> for Line {
    fn dim(&self) -> usize {
        2
    }
    fn samples(&self) -> usize {
        self.0
    }
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Objective<T> + 'a {
        let mean = move |part: &dyn Fn(f64, f64) -> f64| {
            samples.iter().map(|&i| part(i as f64 / 30.0 - 1.0, (i as f64).sin())).sum::<f64>() / samples.len() as f64
        };
        objective(
            2,
            move |x: &[T]| mean(&|t, y| 0.5 * (x[0].into() + x[1].into() * t - y).powi(2)),
            move |x: &[T], g: &mut [T]| {
                let residual = |t, y| x[0].into() + x[1].into() * t - y;
                g[0] = T::from_f64(mean(&|t, y| residual(t, y)));
                g[1] = T::from_f64(mean(&|t, y| t * residual(t, y)));
            },
            move |_: &[T], v: &[T], hv: &mut [T]| {
                let image = |t| v[0].into() + v[1].into() * t;
                hv[0] = T::from_f64(mean(&|t, _| image(t)));
                hv[1] = T::from_f64(mean(&|t, _| t * image(t)));
            },
        )
    }
}

fn on_batches<T: Scalar>() {
    let fit = Line(60);
    for inner in PATHS {
        let solver = NaturalGradient { stopping: stopping(), inner, ..NaturalGradient::default() };
        let start = || solver.start_sampled(&fit, Batches::new(60, 7, 3).unwrap(), &[T::one(); 2]);
        resumed("natural gradients", &start, &start, &|state| solver.resume_sampled(&fit, state));
        let chain = ChainedRosenbrock::new(6).unwrap();
        on_objective!("the valley", solver, smooth::<T, _>(&chain), chain.start::<T>());
    }
    for method in [StepMethod::default(), StepMethod::ConjugateGradients(ConjugateGradients::default())] {
        let gradient_batch = GradientBatch { first: 20, growth: 1.1, ..GradientBatch::default() };
        let solver = HessianFree { method, gradient_batch, stopping: stopping(), ..HessianFree::default() };
        let start = || solver.start(&fit, (), &[T::one(); 2]);
        let resume = |state: &RunState| -> Result<HessianFreeRun<'_, T, _>> { solver.resume(&fit, state) };
        resumed("Hessian-free", &start, &start, &resume);
    }
}

#[test]
fn runs_on_batches_resume_with_the_same_bits() {
    on_batches::<f64>();
    on_batches::<f32>();
}

fn least_squares_runs<T: Scalar>() {
    let mut steps = 0;
    for (number, factor) in [(1, 10.0), (7, 1.0), (16, 1.0), (20, 1.0)] {
        let p = MoreGarbowHillstrom::all()[number - 1];
        let (m, n, x0) = (p.terms(), p.unknowns(), p.scaled_start::<T>(factor));
        let residuals = move |x: &[T], r: &mut [T]| p.residuals(x, r);
        let by_products = || {
            least_squares(
                m,
                n,
                Box::new(residuals) as Gradient<T>,
                Box::new(move |x: &[T], v: &[T], jv: &mut [T]| p.jacobian_product(x, v, jv)) as Product<T>,
                Box::new(move |x: &[T], u: &[T], jtu: &mut [T]| p.jacobian_transpose_product(x, u, jtu)) as Product<T>,
            )
        };
        let by_differences =
            || least_squares_from_residuals(m, n, Box::new(residuals) as Gradient<T>, Difference::Central);
        let box_around = || (vec![T::from_f64(-3.0); n], vec![T::from_f64(3.0); n]);
        let inside: Vec<T> = x0.iter().map(|x| x.max(T::from_f64(-3.0)).min(T::from_f64(3.0))).collect();
        for inner in PATHS {
            for (scaling, acceleration) in [(Scaling::Columns, false), (Scaling::None, true)] {
                let solver =
                    LevenbergMarquardt { scaling, acceleration, inner, stopping: stopping(), ..Default::default() };
                steps += on_objective!(number, solver, by_products(), x0);
                steps += on_objective!(
                    format!("{number}, Huber"),
                    solver,
                    by_products().with_loss(Huber::new(0.5).unwrap(), 1).unwrap(),
                    x0
                );
                let (lower, upper) = box_around();
                steps += on_objective!(
                    format!("{number}, a box"),
                    solver,
                    by_products().with_bounds(&lower, &upper).unwrap(),
                    inside
                );
                steps += on_objective!(format!("{number}, differences"), solver, by_differences(), x0);
            }
            let solver = GaussNewton { inner, stopping: stopping(), ..Default::default() };
            steps += on_objective!(number, solver, by_products(), x0);
        }
    }
    // More parameters than the Golub–Kahan space may store.
    let solver = LevenbergMarquardt {
        inner: InnerSolver::Krylov,
        memory: Memory::Vectors(28),
        stopping: stopping(),
        ..Default::default()
    };
    let n = 40;
    let residuals = move |x: &[T], r: &mut [T]| {
        for i in 0..n {
            let before = if i > 0 { x[i - 1] } else { T::one() };
            r[i] = T::from_f64(1.0 + i as f64) * (x[i] - before * before) + T::from_f64(0.1) * x[i];
        }
    };
    let wide = || least_squares_from_residuals(n, n, Box::new(residuals) as Gradient<T>, Difference::Forward);
    steps += on_objective!("a chain", solver, wide(), vec![T::from_f64(0.5); n]);
    for (eliminated, points) in [(true, 80), (false, 260)] {
        let mut structure = BlockStructure::new();
        let cameras = structure.parameters(6, 3).unwrap();
        let first_point = structure.parameters(points, 2).unwrap();
        for point in first_point.clone() {
            for camera in cameras.clone() {
                structure.residual(2, &[camera, point]).unwrap();
            }
        }
        if eliminated {
            structure.eliminate(first_point).unwrap();
        }
        let n = structure.dim();
        let seen = |i: usize, at: f64| T::from_f64((0.37 * i as f64 + at).sin());
        let model = structure.model(|i, x: &[T], r, jacobian| {
            let (sine, cosine) = (x[0].sin(), x[0].cos());
            r[0] = cosine * x[3] - sine * x[4] + x[1] - seen(i, 0.0);
            r[1] = sine * x[3] + cosine * x[4] + x[2] - seen(i, 1.0);
            if let Some(jacobian) = jacobian {
                let (zero, one) = (T::zero(), T::one());
                let (across, along) = (-sine * x[3] - cosine * x[4], cosine * x[3] - sine * x[4]);
                jacobian.copy_from_slice(&[across, one, zero, cosine, -sine, along, zero, one, sine, cosine]);
            }
        });
        let x0: Vec<T> = (0..n).map(|i| T::from_f64((1.0 + i as f64).cos())).collect();
        for inner in PATHS {
            let solver = LevenbergMarquardt { inner, stopping: stopping(), ..Default::default() };
            let plain = LeastSquares::new(&model);
            steps += on_objective!(format!("blocks, {eliminated}"), solver, plain, x0);
            let robust = LeastSquares::new(&model).with_loss(Huber::new(0.5).unwrap(), 2).unwrap();
            steps += on_objective!(format!("robust blocks, {eliminated}"), solver, robust, x0);
        }
    }
    assert!(steps > 500, "{steps}");
}

#[test]
fn states_of_others_are_refused_by_name() {
    let valley = ChainedRosenbrock::new(6).unwrap();
    let solver = TrustRegion::default();
    let mut run = solver.start(&valley, &valley.start::<f64>()).unwrap();
    assert_eq!(run.iterate().unwrap(), None);
    let state = run.save();
    let refused = |error: Option<Error>| error.expect("it is not refused").to_string();
    let other = NewtonCg::default().resume::<f64>(&valley, &state).err();
    let words = "the state's solver is TrustRegion { inner: Automatic, memory: Automatic }, \
                 but NewtonCg { inner: Automatic, memory: Automatic } is needed";
    assert_eq!(refused(other), words);
    let dense = TrustRegion { inner: InnerSolver::Dense, ..TrustRegion::default() };
    assert!(refused(dense.resume::<f64>(&valley, &state).err()).contains("inner: Dense"));
    let wider = ChainedRosenbrock::new(7).unwrap();
    let words = "the state's number of unknowns is 6, but 7 is needed";
    assert_eq!(refused(solver.resume::<f64>(&wider, &state).err()), words);
    let words = "the state's number type is f64, but f32 is needed";
    assert_eq!(refused(solver.resume::<f32>(&valley, &state).err()), words);

    let changed = |field: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let mut text = serde_json::to_value(&state).unwrap();
        change(&mut text[field]);
        refused(solver.resume::<f64>(&valley, &serde_json::from_value(text).unwrap()).err())
    };
    let words = changed("version", &|version| *version = "0.0.1".into());
    assert!(words.starts_with("the state's version of the library is 0.0.1, but "), "{words}");
    let words = changed("contents", &|contents| contents[40] = (contents[40].as_u64().unwrap() ^ 1).into());
    assert!(words.starts_with("the state's checksum is "), "{words}");
    // Another limit is no other solver: the run goes on under it.
    let stopping = Stopping { max_iterations: 3, ..Stopping::default() };
    let report: Report<f64> =
        TrustRegion { stopping, ..TrustRegion::default() }.resume(&valley, &state).unwrap().complete().unwrap();
    assert_eq!((report.termination, report.steps), (Termination::MaxIterations, 3));
    let method = FirstOrder::new(Adam::default());
    let state = method.start(&valley, &valley.start::<f64>()).unwrap().save();
    let error = FirstOrder::new(AdaGrad::default()).resume::<f64>(&valley, &state).err();
    assert_eq!(refused(error), "the state's solver is FirstOrder with Adam, but FirstOrder with AdaGrad is needed");
}

#[test]
fn least_squares_runs_resume_with_the_same_bits() {
    least_squares_runs::<f64>();
    least_squares_runs::<f32>();
}

/// Fields that no state has, and why no run misses them.
const LEFT_OUT: [(&str, &str, &str); 9] = [
    ("base/eigen.rs", "scratch", "room"),
    ("control/report.rs", "error", "of a report, which a run makes at its end"),
    ("control/stopping.rs", "cancellation", "of the solver that resumes"),
    ("curvature/kronecker.rs", "room", "room"),
    ("step/dense.rs", "scratch", "room"),
    ("step/dense_least_squares.rs", "scratch", "room"),
    ("structured/factor.rs", "scratch", "room"),
    ("structured/factor.rs", "scratch", "room"),
    ("structured/factor.rs", "symbolic", "made anew from the pattern"),
];

#[test]
fn no_other_field_is_left_out() {
    fn fields(folder: &Path, root: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                fields(&entry, root, found);
                continue;
            }
            let text = fs::read_to_string(&entry).unwrap();
            for (at, _) in text.match_indices("serde(").filter(|(at, _)| {
                let attribute = text[at + 6..].split(')').next().unwrap();
                ["skip", "default", "with", "flatten"].iter().any(|word| attribute.contains(word))
            }) {
                let field = text[at..].lines().skip(1).find(|line| line.contains(": ")).unwrap();
                let name = field.split(':').next().unwrap().trim().trim_start_matches("pub ");
                let file = entry.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                found.push((file, name.into()));
            }
        }
    }
    let (root, mut found) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), vec![]);
    fields(&root, &root, &mut found);
    found.sort();
    let expected = LEFT_OUT.map(|(file, field, _)| (file.to_owned(), field.to_owned()));
    assert_eq!(found, expected);
}
