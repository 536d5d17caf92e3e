//! Small problems go dense: products, errors and outcomes of the automatic choice.

use newton_krylov::{
    Error, InnerSolver, Objective, SymmetricOperator, Termination, TrustRegion, damped_step, objective, operator,
    operators::DiagonalOperator,
    steps::{StepOptions, StepOutcome, Steps, Subproblem},
};

/// M = HDH with H = I − 2wwᵀ and D from 1/κ to 1 in equal ratios, and g.
struct Reflected {
    w: Vec<f64>,
    d: Vec<f64>,
    g: Vec<f64>,
}

impl Reflected {
    fn new(n: usize, condition: f64) -> Self {
        let wave = |rate: f64| (0..n).map(move |i| (rate * (i + 1) as f64 * (i + 3) as f64).sin());
        let size = wave(0.7).map(|w| w * w).sum::<f64>().sqrt();
        Reflected {
            w: wave(0.7).map(|w| w / size).collect(),
            d: (0..n).map(|i| condition.powf(i as f64 / (n - 1) as f64 - 1.0)).collect(),
            g: wave(1.3).map(|g| 2.0 * g).collect(),
        }
    }

    fn reflect(&self, x: &mut [f64]) {
        let along = 2.0 * self.w.iter().zip(&*x).map(|(w, x)| w * x).sum::<f64>();
        x.iter_mut().zip(&self.w).for_each(|(x, w)| *x -= along * w);
    }

    fn multiply(&self, v: &[f64], out: &mut [f64], factor: impl Fn(f64) -> f64) {
        out.copy_from_slice(v);
        self.reflect(out);
        out.iter_mut().zip(&self.d).for_each(|(x, &d)| *x *= factor(d));
        self.reflect(out);
    }

    fn operator(&self) -> impl SymmetricOperator<f64> + '_ {
        operator(self.d.len(), |v: &[f64], out: &mut [f64]| self.multiply(v, out, |d| d))
    }

    /// ½xᵀMx + gᵀx.
    fn quadratic(&self) -> impl Objective<f64> + '_ {
        let value = |x: &[f64]| {
            let mut mx = vec![0.0; x.len()];
            self.multiply(x, &mut mx, |d| d);
            mx.iter().zip(x).zip(&self.g).map(|((m, x), g)| x * (0.5 * m + g)).sum::<f64>()
        };
        let gradient = |x: &[f64], out: &mut [f64]| {
            self.multiply(x, out, |d| d);
            out.iter_mut().zip(&self.g).for_each(|(out, g)| *out += g);
        };
        objective(self.d.len(), value, gradient, |_: &[f64], v: &[f64], out: &mut [f64]| self.multiply(v, out, |d| d))
    }

    /// The relative error of a solution of Mx = −g.
    fn error(&self, x: &[f64]) -> f64 {
        let mut exact = vec![0.0; x.len()];
        self.multiply(&self.g, &mut exact, |d| -1.0 / d);
        let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
        norm(&mut x.iter().zip(&exact).map(|(x, e)| x - e)) / norm(&mut exact.iter().copied())
    }
}

#[test]
fn full_spectra_cost_at_most_the_matrix() {
    for n in [10, 50, 200, 500] {
        for condition in [1e4, 1e8] {
            let case = Reflected::new(n, condition);
            let step = damped_step(&case.operator(), &case.g, 0.0).unwrap();
            assert!(step.outcome == StepOutcome::Accurate && step.products <= n, "{n} {condition} {}", step.products);
            assert!(case.error(&step.step) < 1e-6);
            if n < 200 {
                continue;
            }
            let report = TrustRegion::default().minimize(&case.quadratic(), &vec![0.0; n]).unwrap();
            // 292 measured at most: the first solve of a run ends before the matrix is known.
            let most = n + n / 2;
            assert!(report.counts.products <= most && case.error(&report.x) < 1e-6, "{n} {condition} {report}");
            assert_eq!(report.termination, Termination::GradientTolerance);
        }
    }
}

/// Where a Krylov space needs few products nothing is completed.
#[test]
fn easy_spectra_cost_what_the_krylov_space_costs() {
    for n in [10, 50, 200, 500] {
        let diagonal: Vec<f64> = (0..n).map(|i| 1.0 + (i % 5) as f64).collect();
        let (m, g) = (DiagonalOperator(diagonal), vec![1.0; n]);
        assert_eq!(damped_step(&m, &g, 0.0).unwrap().products, 5);
        let case = Reflected::new(n, 3.0);
        let ask = |inner| {
            Steps::new(&case.operator(), &case.g, StepOptions { inner, ..StepOptions::default() })
                .unwrap()
                .solve(Subproblem::Damped(0.0))
                .unwrap()
        };
        let (automatic, krylov) = (ask(InnerSolver::Automatic), ask(InnerSolver::Krylov));
        assert!(10 * automatic.products <= 11 * krylov.products, "{n} {} {}", automatic.products, krylov.products);
    }
}

/// Systems in f32 beyond the basis: accurate to rounding, and never called indefinite.
#[test]
fn f32_systems_are_accurate_to_rounding() {
    for (case, n) in (110..=300).step_by(19).enumerate() {
        let condition = 100.0 * 10_f64.powf(case as f64 / 10.0);
        for inner in [InnerSolver::Automatic, InnerSolver::Krylov] {
            for unit in [1e-20, 1.0, 1e20] {
                let diagonal: Vec<f32> =
                    (0..n).map(|i| (unit * condition.powf(i as f64 / (n - 1) as f64 - 1.0)) as f32).collect();
                let g: Vec<f32> = (0..n).map(|i| ((i * i) as f32).sin()).collect();
                let damping = 0.01 * unit / condition;
                let m = DiagonalOperator(diagonal.clone());
                let options = StepOptions { inner, ..StepOptions::default() };
                let step = Steps::new(&m, &g, options).unwrap().solve(Subproblem::Damped(damping)).unwrap();
                assert_eq!(step.outcome, StepOutcome::Accurate, "{n} {condition} {inner:?} {unit:e}");
                let (mut error, mut size) = (0.0, 0.0);
                for ((&d, &g), &x) in diagonal.iter().zip(&g).zip(&step.step) {
                    let exact = -f64::from(g) / (f64::from(d) + damping);
                    error += (exact - f64::from(x)).powi(2);
                    size += exact * exact;
                }
                let most = 8.0 * f64::from(f32::EPSILON) * condition;
                assert!((error / size).sqrt() <= most, "{n} {condition} {inner:?} {:e}", (error / size).sqrt());
            }
        }
    }
}

#[test]
fn a_matrix_that_does_not_fit_is_refused() {
    let n = 300_000;
    let (m, g) = (DiagonalOperator(vec![1.0; n]), vec![1.0; n]);
    let options = StepOptions { inner: InnerSolver::Dense, ..StepOptions::default() };
    let bytes = 2.88e12; // 4d² numbers
    assert_eq!(Steps::new(&m, &g, options).err(), Some(Error::Memory { argument: "InnerSolver::Dense", bytes }));
    let f = objective(n, |_: &[f64]| 0.0, |_: &[f64], g: &mut [f64]| g.fill(1.0), |_, v, out| out.copy_from_slice(v));
    let refused = TrustRegion { inner: InnerSolver::Dense, ..TrustRegion::default() }.minimize(&f, &g);
    assert_eq!(refused.err(), Some(Error::Memory { argument: "InnerSolver::Dense", bytes }));
}

/// A component of g that is small beside the others makes a step all the same.
#[test]
fn small_components_are_kept() {
    let m = DiagonalOperator(vec![1.0_f64, 2.0, 1e-6, 4.0]);
    let g = [1.0_f64, 1.0, 1e-22, 1.0];
    for inner in [InnerSolver::Dense, InnerSolver::Krylov] {
        let mut steps = Steps::new(&m, &g, StepOptions { inner, tolerance: 0.0, ..StepOptions::default() }).unwrap();
        let indefinite = steps.ritz_values().len() > 4; // the spectrum is asked for before the step
        let step = steps.solve(Subproblem::Damped(0.0)).unwrap();
        assert!(!indefinite && (step.step[0] + 1.0).abs() < 1e-12);
        if inner == InnerSolver::Dense {
            assert!((step.step[2] / -1e-16 - 1.0).abs() < 1e-9, "{}", step.step[2]);
        }
    }
}
