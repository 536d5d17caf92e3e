//! Any magnitude: with x in units of 2^a and f in units of 2^b, over the whole range of numbers, every solver makes the
//! steps that it makes with both near 1, up to rounding.

use newton_krylov::{CubicRegularization, Result, Scalar, Stopping, Termination, least_squares_dense, objective};

/// A sum of squares with its derivatives, all in f64 and of the order 1.
struct Problem {
    name: &'static str,
    x0: &'static [f64],
    /// r, J by columns, and (Σ rᵢ∇²rᵢ)v.
    residual: fn(&[f64]) -> Vec<f64>,
    jacobian: fn(&[f64]) -> Vec<f64>,
    bend: fn(&[f64], &[f64]) -> Vec<f64>,
}

const TIMES: [f64; 6] = [0.0, 0.5, 1.0, 2.0, 3.0, 5.0];

const PROBLEMS: [Problem; 3] = [
    Problem {
        name: "Rosenbrock",
        x0: &[-1.2, 1.0],
        residual: |x| vec![10.0 * (x[1] - x[0] * x[0]), 1.0 - x[0]],
        jacobian: |x| vec![-20.0 * x[0], -1.0, 10.0, 0.0],
        bend: |x, v| vec![-200.0 * (x[1] - x[0] * x[0]) * v[0], 0.0],
    },
    Problem {
        name: "quadratic",
        x0: &[3.0, -1.0, 2.0],
        residual: |x| vec![x[0] - x[1] - 1.0, 10.0 * (x[1] + x[2]), 100.0 * (x[2] - 0.5), 1.0],
        jacobian: |_| vec![1.0, 0.0, 0.0, 0.0, -1.0, 10.0, 0.0, 0.0, 0.0, 10.0, 100.0, 0.0],
        bend: |_, v| vec![0.0; v.len()],
    },
    Problem {
        name: "decay",
        x0: &[2.0, 0.3, 0.5],
        residual: |x| {
            let data = [6.6, 4.9, 3.8, 2.4, 2.1, 1.5];
            TIMES.iter().zip(data).map(|(t, y)| x[0] * (-x[1] * t).exp() + x[2] - y).collect()
        },
        jacobian: |x| {
            let e = TIMES.map(|t| (-x[1] * t).exp());
            let slope = |i: usize| -x[0] * TIMES[i] * e[i];
            (0..6).map(|i| e[i]).chain((0..6).map(slope)).chain([1.0; 6]).collect()
        },
        bend: |x, v| {
            let (mut out, r) = (vec![0.0; 3], (PROBLEMS[2].residual)(x));
            for (t, r) in TIMES.iter().zip(r) {
                let e = r * t * (-x[1] * t).exp();
                out[0] -= e * v[1];
                out[1] += e * (x[0] * t * v[1] - v[0]);
            }
            out
        },
    },
];

impl Problem {
    fn value(&self, x: &[f64]) -> f64 {
        0.5 * (self.residual)(x).iter().map(|r| r * r).sum::<f64>()
    }

    /// Jᵀu.
    fn transpose(&self, x: &[f64], u: &[f64]) -> Vec<f64> {
        let columns = (self.jacobian)(x);
        columns.chunks(u.len()).map(|column| column.iter().zip(u).map(|(j, u)| j * u).sum()).collect()
    }

    fn gradient(&self, x: &[f64]) -> Vec<f64> {
        self.transpose(x, &(self.residual)(x))
    }

    fn product(&self, x: &[f64], v: &[f64]) -> Vec<f64> {
        let (columns, m) = ((self.jacobian)(x), (self.residual)(x).len());
        let jv: Vec<f64> = (0..m).map(|i| v.iter().enumerate().map(|(k, v)| columns[k * m + i] * v).sum()).collect();
        self.transpose(x, &jv).iter().zip((self.bend)(x, v)).map(|(a, b)| a + b).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Solver {
    TrustRegion,
    NewtonCg,
    Cubic,
    Lbfgs,
    SteepestDescent,
    LevenbergMarquardt,
    GaussNewton,
}

use Solver::*;

impl Solver {
    fn sums_squares(self) -> bool {
        matches!(self, LevenbergMarquardt | GaussNewton)
    }
}

/// What a run came to: where it ended, the calls, and x in its unit.
type End = (Termination, usize, Vec<f64>);

/// With x · 2^a and f · 2^b (r · 2^(b/2)).
fn run<T: Scalar>(problem: &Problem, solver: Solver, a: i32, b: i32) -> Result<End> {
    let (power, n) = (|exponent: i32| 2_f64.powi(exponent), problem.x0.len());
    // In two factors, since the product of the powers may leave the range where the result does not.
    let scaled = |v: f64, of_f: i32, of_x: i32| {
        T::from_f64(v * power(of_f / 2 + of_x / 2) * power(of_f - of_f / 2 + of_x - of_x / 2))
    };
    let small = |x: &[T]| -> Vec<f64> { x.iter().map(|&x| x.into() * power(-a)).collect() };
    let write = |out: &mut [T], from: Vec<f64>, of_f: i32, of_x: i32| {
        out.iter_mut().zip(from).for_each(|(out, v)| *out = scaled(v, of_f, of_x));
    };
    let x0: Vec<T> = problem.x0.iter().map(|&x| scaled(x, 0, a)).collect();
    let stopping = Stopping { max_iterations: 1000, ..Stopping::default() };
    let report = if solver.sums_squares() {
        let fit = least_squares_dense(
            (problem.residual)(problem.x0).len(),
            n,
            |x: &[T], r: &mut [T]| write(r, (problem.residual)(&small(x)), b / 2, 0),
            |x: &[T], j: &mut [T]| write(j, (problem.jacobian)(&small(x)), b / 2, -a),
        );
        match solver {
            GaussNewton => newton_krylov::GaussNewton { stopping, ..Default::default() }.minimize(&fit, &x0)?.run,
            _ => newton_krylov::LevenbergMarquardt { stopping, ..Default::default() }.minimize(&fit, &x0)?.run,
        }
    } else {
        let f = objective(
            n,
            |x: &[T]| problem.value(&small(x)) * power(b / 2) * power(b - b / 2),
            |x: &[T], g: &mut [T]| write(g, problem.gradient(&small(x)), b, -a),
            |x: &[T], v: &[T], hv: &mut [T]| {
                // v is of any size: its largest component is 1 here.
                let largest = v.iter().fold(0.0_f64, |largest, &v| largest.max(v.into().abs()));
                let exponent = if largest > 0.0 { largest.log2() as i32 } else { 0 };
                let v = v.iter().map(|&v| v.into() * power(-exponent)).collect::<Vec<f64>>();
                write(hv, problem.product(&small(x), &v), b, exponent - 2 * a);
            },
        );
        match solver {
            TrustRegion => newton_krylov::TrustRegion { stopping, ..Default::default() }.minimize(&f, &x0)?,
            NewtonCg => newton_krylov::NewtonCg { stopping, ..Default::default() }.minimize(&f, &x0)?,
            Cubic => CubicRegularization { stopping, ..Default::default() }.minimize(&f, &x0)?,
            Lbfgs => newton_krylov::Lbfgs { stopping, ..Default::default() }.minimize(&f, &x0)?,
            _ => newton_krylov::first_order::SteepestDescent { stopping, ..Default::default() }.minimize(&f, &x0)?,
        }
    };
    let counts = report.counts;
    Ok((report.termination, counts.values + counts.gradients + counts.products, small(&report.x)))
}

/// `range` holds the exponents of all numbers of `T`, with room for 2^20 at both ends for what a run meets on its way, and
/// twice as many digits below.
fn sweep<T: Scalar>(lengths: &[i32], values: &[i32], range: std::ops::Range<i32>, tolerance: f64) {
    let (mut runs, mut worse) = (0, vec![]);
    let inside = |exponents: &[i32]| exponents.iter().all(|e| range.contains(e));
    for problem in &PROBLEMS {
        for solver in [TrustRegion, NewtonCg, Cubic, Lbfgs, SteepestDescent, LevenbergMarquardt, GaussNewton] {
            let (end, calls, right) = run::<T>(problem, solver, 0, 0).unwrap();
            for &a in lengths {
                for &b in values {
                    let seen = match solver {
                        LevenbergMarquardt | GaussNewton => inside(&[a, b / 2, b / 2 - a, b - a]),
                        // The unit of the weight is that of f'''; it has to be a number as well.
                        Cubic => inside(&[a, b - a, b - 2 * a]) && (-900..900).contains(&(b - 3 * a)),
                        _ => inside(&[a, b - a, b - 2 * a]),
                    };
                    if !seen || !(-900..950).contains(&b) {
                        continue;
                    }
                    runs += 1;
                    let about = || format!("{solver:?} on {} with 2^{a}, 2^{b}", problem.name);
                    match run::<T>(problem, solver, a, b) {
                        Err(error) => worse.push(format!("{}: {error}", about())),
                        Ok((now, cost, x)) => {
                            let apart = x.iter().zip(&right).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
                            // A long way is another one after the first rounding.
                            let more = if solver == SteepestDescent { calls / 2 } else { calls / 4 + 3 };
                            if now != end || end.converged() && apart > tolerance || cost > calls + more {
                                worse.push(format!("{}: {now} {cost} {apart:e}; {end} {calls}", about()));
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(runs > 500 && worse.is_empty(), "{} of {runs}:\n{}", worse.len(), worse.join("\n"));
}

#[test]
fn runs_do_not_depend_on_units_in_f64() {
    sweep::<f64>(&[-460, -230, -70, 0, 70, 230, 460], &[-880, -440, -150, 0, 150, 440, 880], -960..1000, 1e-6);
}

#[test]
fn runs_do_not_depend_on_units_in_f32() {
    sweep::<f32>(&[-50, -30, -10, 0, 10, 30, 50], &[-100, -60, -20, 0, 20, 60, 100], -100..105, 1e-2);
}
