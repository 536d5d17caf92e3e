//! Least squares on the Golub–Kahan path: the problems of the dense path, what they cost, and large ones.

use std::cell::Cell;

use newton_krylov::problems::{MoreGarbowHillstrom, NistStrd};
use newton_krylov::{
    Error, InnerSolver, LeastSquares, LevenbergMarquardt, LinearMap, Linearization, Memory, Model, least_squares,
    linear_map,
    steps::{LeastSquaresSteps, StepOutcome},
};

fn krylov() -> LevenbergMarquardt {
    LevenbergMarquardt { inner: InnerSolver::Krylov, ..LevenbergMarquardt::default() }
}

/// All 54 runs, with JᵀJ nowhere: on several of these its condition number is far beyond the digits of `f64`.
#[test]
fn nist_problems_are_solved_without_a_matrix() {
    let mut sum = 0.0;
    for problem in NistStrd::all() {
        for which in [1, 2] {
            let report = krylov().minimize(&problem.least_squares(), problem.start(which)).unwrap();
            let digits = problem.digits(&report.x);
            assert!(digits >= 6.0, "{} from start {which}: {digits:.2} digits\n{report}", problem.name());
            assert_eq!(report.rank, None);
            sum += digits;
        }
    }
    assert!(sum / 54.0 > 8.4, "{}", sum / 54.0);
}

#[test]
fn published_minima_are_found_without_a_matrix() {
    for p in MoreGarbowHillstrom::all() {
        let fit = least_squares(
            p.terms(),
            p.unknowns(),
            |x: &[f64], r: &mut [f64]| p.residuals(x, r),
            |x, v, jv: &mut [f64]| p.jacobian_product(x, v, jv),
            |x, u, jtu: &mut [f64]| p.jacobian_transpose_product(x, u, jtu),
        );
        let report = krylov().minimize(&fit, &p.start::<f64>()).unwrap();
        let found = |value: f64| (2.0 * report.value - value).abs() <= 1e-5 * value + 1e-12;
        assert!(p.minima().iter().any(|minimum| found(minimum.value)), "{p}\n{report}");
    }
}

/// rᵢ = xᵢ + ½ sin(w·xᵢ₊ₛ) − y for every shift s, on a ring; rows and columns in the same order, so that Jᵀu is a sum for
/// every parameter.
struct Ring {
    n: usize,
    shifts: Vec<usize>,
    data: Vec<f64>,
    norms_known: bool,
}

impl Ring {
    fn new(n: usize, shifts: &[usize], norms_known: bool) -> Self {
        let mut ring = Ring { n, shifts: shifts.to_vec(), data: vec![], norms_known };
        let truth: Vec<f64> = (0..n).map(|i| (0.37 * i as f64).sin()).collect();
        ring.data = vec![0.0; ring.output_dim()];
        let mut data = vec![0.0; ring.output_dim()];
        ring.evaluate(&truth, &mut data);
        ring.data = data.iter().enumerate().map(|(i, y)| y + 1e-3 * (1.7 * i as f64).cos()).collect();
        ring
    }
}

struct RingAt<'a> {
    ring: &'a Ring,
    slopes: Vec<f64>,
    outputs: Vec<f64>,
}

impl Model<f64> for Ring {
    fn dim(&self) -> usize {
        self.n
    }
    fn output_dim(&self) -> usize {
        self.n * self.shifts.len()
    }
    fn evaluate(&self, x: &[f64], out: &mut [f64]) {
        for (k, &s) in self.shifts.iter().enumerate() {
            for i in 0..self.n {
                let row = k * self.n + i;
                out[row] = x[i] + 0.5 * (3.0 * x[(i + s) % self.n]).sin() - self.data[row];
            }
        }
    }
    fn linearize<'a>(&'a self, x: &'a [f64]) -> impl Linearization<f64> + 'a {
        let mut outputs = vec![0.0; self.output_dim()];
        self.evaluate(x, &mut outputs);
        RingAt { ring: self, slopes: x.iter().map(|x| 1.5 * (3.0 * x).cos()).collect(), outputs }
    }
}

impl LinearMap<f64> for RingAt<'_> {
    fn rows(&self) -> usize {
        self.ring.output_dim()
    }
    fn columns(&self) -> usize {
        self.ring.n
    }
    fn apply(&self, v: &[f64], out: &mut [f64]) {
        let n = self.ring.n;
        for (k, &s) in self.ring.shifts.iter().enumerate() {
            (0..n).for_each(|i| out[k * n + i] = v[i] + self.slopes[(i + s) % n] * v[(i + s) % n]);
        }
    }
    fn apply_transpose(&self, u: &[f64], out: &mut [f64]) {
        let n = self.ring.n;
        out.fill(0.0);
        for (k, &s) in self.ring.shifts.iter().enumerate() {
            (0..n).for_each(|j| out[j] += u[k * n + j] + self.slopes[j] * u[k * n + (j + n - s) % n]);
        }
    }
    fn column_norms(&self, out: &mut [f64]) -> bool {
        if self.ring.norms_known {
            let count = self.ring.shifts.len() as f64;
            out.iter_mut().zip(&self.slopes).for_each(|(out, slope)| *out = (count * (1.0 + slope * slope)).sqrt());
        }
        self.ring.norms_known
    }
}

impl Linearization<f64> for RingAt<'_> {
    fn outputs(&self) -> &[f64] {
        &self.outputs
    }
}

#[test]
fn memory_changes_the_work_and_not_the_answer() {
    for norms_known in [true, false] {
        let ring = Ring::new(400, &[1, 7, 31], norms_known);
        let fit = LeastSquares::new(&ring);
        let dense = LevenbergMarquardt { inner: InnerSolver::Dense, ..LevenbergMarquardt::default() };
        let expected = dense.minimize(&fit, &vec![0.0; 400]).unwrap();
        assert!(expected.termination.converged());
        for memory in [Memory::Automatic, Memory::Vectors(28), Memory::Vectors(40)] {
            let report = LevenbergMarquardt { memory, ..krylov() }.minimize(&fit, &vec![0.0; 400]).unwrap();
            assert!(report.termination.converged(), "{memory:?}\n{report}");
            assert!((report.value / expected.value - 1.0).abs() < 1e-10, "{report:#}\n{expected:#}");
            // The cosine that was promised, by a bound on ‖J‖ that a dense method gives.
            assert!(report.gradient_norm <= 1e-8 * 4.0 * 3.0_f64.sqrt() * (2.0 * report.value).sqrt(), "{report}");
        }
    }
}

#[test]
fn rejected_steps_cost_no_product() {
    // Rosenbrock's valley, chained: 10(xᵢ₊₁ − xᵢ²) and 1 − xᵢ.
    let n = 60;
    let (products, residuals) = (Cell::new(0), Cell::new(0));
    let (free, last) = (Cell::new(0), Cell::new(usize::MAX));
    let fit = least_squares(
        2 * (n - 1),
        n,
        |x: &[f64], r: &mut [f64]| {
            residuals.set(residuals.get() + 1);
            free.set(free.get() + usize::from(last.replace(products.get()) == products.get()));
            for i in 0..n - 1 {
                (r[2 * i], r[2 * i + 1]) = (10.0 * (x[i + 1] - x[i] * x[i]), 1.0 - x[i]);
            }
        },
        |x, v, jv: &mut [f64]| {
            products.set(products.get() + 1);
            for i in 0..n - 1 {
                (jv[2 * i], jv[2 * i + 1]) = (10.0 * (v[i + 1] - 2.0 * x[i] * v[i]), -v[i]);
            }
        },
        |x, u, jtu: &mut [f64]| {
            products.set(products.get() + 1);
            jtu.fill(0.0);
            for i in 0..n - 1 {
                jtu[i + 1] += 10.0 * u[2 * i];
                jtu[i] -= 20.0 * x[i] * u[2 * i] + u[2 * i + 1];
            }
        },
    );
    let mut rejected = 0;
    let report = krylov()
        .minimize_with(&fit, &vec![-1.2; n], |progress| {
            let counts = progress.counts;
            assert_eq!(counts.products + counts.transpose_products, products.get());
            assert_eq!(counts.values, residuals.get());
            rejected += progress.last.map_or(0, |last| last.rejected);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert!(report.termination.converged() && rejected > 5, "{report:#}");
    // A trial without a product since the one before: a shorter step, or a longer one, from the same space.
    assert!(free.get() >= rejected, "{} {rejected}\n{report:#}", free.get());
}

fn small() -> impl LinearMap<f64> {
    linear_map(
        3,
        2,
        |v: &[f64], jv: &mut [f64]| jv.copy_from_slice(&[v[0], 2.0 * v[1], v[0] - v[1]]),
        |u: &[f64], jtu: &mut [f64]| jtu.copy_from_slice(&[u[0] + u[2], 2.0 * u[1] - u[2]]),
    )
}

#[test]
fn steps_by_themselves_name_mistakes() {
    let j = small();
    let new = |r: &'static [f64], tolerance, basis| LeastSquaresSteps::new(&j, r, tolerance, basis).map(|_| ());
    assert_eq!(new(&[1.0; 2], 0.1, 5), Err(Error::Length { argument: "residual", expected: 3, found: 2 }));
    assert!(matches!(new(&[1.0, f64::NAN, 0.0], 0.1, 5), Err(Error::NotFinite { argument: "residual", .. })));
    assert!(matches!(new(&[1.0; 3], 1.0, 5), Err(Error::OutOfRange { argument: "tolerance", .. })));
    assert!(matches!(new(&[1.0; 3], 0.1, 0), Err(Error::OutOfRange { argument: "basis", .. })));
    let mut steps = LeastSquaresSteps::new(&j, &[1.0; 3], 1e-8, 5).unwrap();
    assert!(matches!(steps.damped(-1.0), Err(Error::OutOfRange { argument: "damping", .. })));
    assert!(matches!(steps.within(0.0), Err(Error::OutOfRange { argument: "radius", .. })));
    assert!(matches!(steps.within(f64::NAN), Err(Error::OutOfRange { argument: "radius", .. })));
    assert_eq!(steps.singular_values(), None);
}

#[test]
fn steps_by_themselves_say_what_went_wrong() {
    let j = small();
    let zero = LeastSquaresSteps::new(&j, &[0.0; 3], 1e-8, 5).unwrap().damped(0.0).unwrap();
    assert_eq!((zero.step, zero.outcome, zero.products), (vec![0.0; 2], StepOutcome::Accurate, 0));
    let broken = linear_map(
        3,
        2,
        |v: &[f64], jv: &mut [f64]| jv.copy_from_slice(&[v[0], f64::NAN, v[1]]),
        |u: &[f64], jtu: &mut [f64]| jtu.copy_from_slice(&[u[0] + u[2], 2.0 * u[1] - u[2]]),
    );
    let step = LeastSquaresSteps::new(&broken, &[1.0; 3], 1e-8, 5).unwrap().damped(0.0).unwrap();
    assert_eq!((step.step, step.outcome), (vec![0.0; 2], StepOutcome::NotFinite));
    let wrong = linear_map(
        3,
        2,
        |v: &[f64], jv: &mut [f64]| j.apply(v, jv),
        |u: &[f64], jtu: &mut [f64]| jtu.copy_from_slice(&[u[0] + u[2], 2.0 * u[1] + u[2]]),
    );
    for basis in [1, 5] {
        let step = LeastSquaresSteps::new(&wrong, &[1.0, 2.0, -3.0], 1e-8, basis).unwrap().damped(0.1).unwrap();
        assert_eq!(step.outcome, StepOutcome::Asymmetric);
    }
}
