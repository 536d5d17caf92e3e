//! Runs over several ranks, here threads: the same decisions as on one, whatever is spread over them.

mod agreement;
mod ranks;

use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use newton_krylov::{
    Batches, Counts, CubicRegularization, Error, Expansion, HessianFree, InnerSolver, Lbfgs, LeastSquares,
    LevenbergMarquardt, LinearLeastSquares, Memory, Metric, NaturalGradient, NewtonCg, Objective, Report,
    SampledObjective, Stopping, SymmetricOperator, Termination, TrustRegion, damped_step,
    first_order::{Adam, FirstOrder, GradientDescent, SteepestDescent},
    fit, linear_map,
    losses::SquaredError,
    minres, model, objective, operator,
    ranks::{Communicator, Slices, Summed, check_equal, distributed, reductions},
    steps::{MinresOptions, StepOptions, Steps, Subproblem},
};
use ranks::{Thread, on_ranks, part};

/// Picks one rank's part of a vector.
type Part<T> = fn(&T) -> &Vec<f64>;

/// The neighbours of a part of a chain: the last number of the rank before, the first of the rank behind.
fn neighbours(ranks: &Thread, x: &[f64]) -> [f64; 2] {
    let (rank, size) = (ranks.rank(), ranks.size());
    let mut ends = vec![0.0; 2 * size + 2];
    (ends[2 * rank + 1], ends[2 * rank + 2]) = (x[0], x[x.len() - 1]);
    ranks.sum(&mut ends);
    [ends[2 * rank], ends[2 * rank + 3]]
}

fn summed(ranks: &Thread, value: f64) -> f64 {
    let mut values = [value];
    ranks.sum(&mut values);
    values[0]
}

/// Σ ¼(xᵢ² − 1)² + ½c Σ (xᵢ₊₁ − xᵢ)² − Σ bᵢxᵢ over a chain with x = 0 at both ends, of which this rank has a part.
fn chain(ranks: &Rc<Thread>, whole: usize) -> (impl Objective<f64> + use<>, Vec<f64>) {
    const C: f64 = 4.0;
    let here = part(whole, &**ranks);
    let n = here.len();
    let tilt: Vec<f64> = here.clone().map(|i| 0.1 * (0.01 * i as f64).sin()).collect();
    // (C tridiag(−1, 2, −1) v)ᵢ
    let stiffness = |ranks: &Thread, v: &[f64], out: &mut [f64]| {
        let [before, behind] = neighbours(ranks, v);
        let at = |i: isize| match i {
            -1 => before,
            _ if i as usize == v.len() => behind,
            _ => v[i as usize],
        };
        (0..v.len() as isize).for_each(|i| out[i as usize] = C * (2.0 * at(i) - at(i - 1) - at(i + 1)));
    };
    let start = here.map(|i| 0.5 + 0.4 * (i as f64).sin()).collect();
    let (a, b, c) = (ranks.clone(), ranks.clone(), ranks.clone());
    let (tilt, tilt_b) = (tilt.clone(), tilt);
    let f = objective(
        n,
        move |x: &[f64]| {
            let mut kx = vec![0.0; n];
            stiffness(&a, x, &mut kx);
            let term = |i: usize| 0.25 * (x[i] * x[i] - 1.0).powi(2) + 0.5 * x[i] * kx[i] - tilt[i] * x[i];
            summed(&a, (0..n).map(term).sum())
        },
        move |x: &[f64], g: &mut [f64]| {
            stiffness(&b, x, g);
            (0..n).for_each(|i| g[i] += x[i] * (x[i] * x[i] - 1.0) - tilt_b[i]);
        },
        move |x: &[f64], v: &[f64], hv: &mut [f64]| {
            stiffness(&c, v, hv);
            (0..n).for_each(|i| hv[i] += (3.0 * x[i] * x[i] - 1.0) * v[i]);
        },
    );
    (f, start)
}

struct Outcome {
    value: f64,
    gradient_norm: f64,
    counts: Counts,
    termination: Termination,
    steps: usize,
    x: Vec<f64>,
    reductions: usize,
}

fn outcome(report: Report<f64>) -> Outcome {
    let Report { value, gradient_norm, counts, termination, steps, x, reductions, .. } = report;
    Outcome { value, gradient_norm, counts, termination, steps, x, reductions }
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * a.abs().max(b.abs())
}

/// The whole x, from the parts of all ranks, after it was made sure that they agree in all else.
fn joined(outcomes: Vec<Outcome>) -> Outcome {
    let mut all = outcomes.into_iter();
    let mut first = all.next().unwrap();
    for other in all {
        let bits = |o: &Outcome| (o.value.to_bits(), o.gradient_norm.to_bits(), o.counts, o.termination, o.reductions);
        assert_eq!(bits(&first), bits(&other));
        first.x.extend(other.x);
    }
    first
}

/// Runs on 1, 2 and 3 ranks, with a chain of `$whole` unknowns: the same counts and outcome as without ranks.
macro_rules! compare {
    ($whole:expr, |$f:ident, $x0:ident| $run:expr) => {{
        let on = |size: usize, scoped: bool| {
            joined(on_ranks(size, |ranks| {
                let ($f, $x0) = chain(&ranks, $whole);
                let ($f, $x0) = (&$f, &$x0[..]);
                let report = if scoped { distributed(ranks.clone(), Slices::Everything, || $run) } else { $run };
                outcome(report.unwrap())
            }))
        };
        let plain = on(1, false);
        assert_eq!(plain.reductions, 0);
        let all: Vec<Outcome> = (1..=3).map(|size| on(size, true)).collect();
        for (i, outcome) in all.iter().enumerate() {
            let place = format!("{} ranks: {}", i + 1, stringify!($run));
            assert_eq!(outcome.counts, plain.counts, "{place}");
            assert_eq!((outcome.termination, outcome.steps), (plain.termination, plain.steps), "{place}");
            assert_eq!(outcome.reductions, all[0].reductions, "{place}");
            assert!(close(outcome.value, plain.value, 1e-12), "{place}: {} {}", outcome.value, plain.value);
            assert!(outcome.x.iter().zip(&plain.x).all(|(a, b)| (a - b).abs() < 1e-6), "{place}");
        }
        let again = on(3, true);
        assert_eq!(again.value.to_bits(), all[2].value.to_bits());
        assert!(again.x.iter().zip(&all[2].x).all(|(a, b)| a.to_bits() == b.to_bits()));
        all.into_iter().next_back().unwrap()
    }};
}

#[test]
fn second_order_solvers_take_the_same_way_on_any_number_of_ranks() {
    let inner = InnerSolver::Krylov;
    for memory in [Memory::default(), Memory::Vectors(40), Memory::Forgetful(40)] {
        let run = compare!(150, |f, x0| TrustRegion { inner, memory, ..TrustRegion::default() }.minimize(f, x0));
        assert!(run.termination.converged() && run.counts.products > 20, "{}", run.termination);
        // What `scaling` in the documentation rests on.
        let (products, learnt) = (run.counts.products, if memory == Memory::Forgetful(40) { 0 } else { 13 });
        let most = (4 + learnt) * products + (25 + learnt) * (run.steps + 1);
        assert!(
            run.reductions <= most,
            "{memory:?}: {} reductions for {products} products, {} steps",
            run.reductions,
            run.steps
        );
        compare!(150, |f, x0| NewtonCg { inner, memory, ..NewtonCg::default() }.minimize(f, x0));
        compare!(150, |f, x0| CubicRegularization { inner, memory, ..CubicRegularization::default() }.minimize(f, x0));
    }
    // Fewer unknowns than ranks would like, and than the memory holds.
    compare!(7, |f, x0| TrustRegion { inner, ..TrustRegion::default() }.minimize(f, x0));
}

#[test]
fn first_order_methods_take_the_same_way_on_any_number_of_ranks() {
    compare!(100, |f, x0| Lbfgs::default().minimize(f, x0));
    let stopping = Stopping { max_iterations: 30, ..Stopping::default() };
    compare!(50, |f, x0| SteepestDescent { stopping: stopping.clone(), ..SteepestDescent::default() }.minimize(f, x0));
    compare!(50, |f, x0| {
        FirstOrder { stopping: stopping.clone(), ..FirstOrder::new(GradientDescent { rate: 5e-3 }) }.minimize(f, x0)
    });
    compare!(50, |f, x0| {
        FirstOrder { stopping: stopping.clone(), ..FirstOrder::new(Adam { rate: 0.1, ..Adam::default() }) }
            .minimize(f, x0)
    });
}

/// −½‖x‖² + ¼Σxᵢ⁴ has a saddle at 0, where only the numbers that were drawn show the way.
#[test]
fn random_vectors_do_not_depend_on_the_number_of_ranks() {
    let on = |size: usize| {
        let all = on_ranks(size, |ranks| {
            let (n, a, b) = (part(30, &*ranks).len(), ranks.clone(), ranks.clone());
            let f = objective(
                n,
                move |x: &[f64]| summed(&a, x.iter().map(|x| 0.25 * x.powi(4) - 0.5 * x * x).sum()),
                |x: &[f64], g: &mut [f64]| (0..n).for_each(|i| g[i] = x[i].powi(3) - x[i]),
                |x: &[f64], v: &[f64], hv: &mut [f64]| (0..n).for_each(|i| hv[i] = (3.0 * x[i] * x[i] - 1.0) * v[i]),
            );
            let hessian = operator(n, |v: &[f64], out: &mut [f64]| (0..n).for_each(|i| out[i] = -v[i]));
            distributed(b, Slices::Everything, || {
                let report = TrustRegion::default().minimize(&f, &vec![0.0; n]).unwrap();
                let zero = vec![0.0; n];
                let mut steps = Steps::new(&hessian, &zero, StepOptions::default()).unwrap();
                let step = steps.solve(Subproblem::Radius(1.0)).unwrap();
                (report.x.iter().map(|x| x.signum()).collect::<Vec<_>>(), step.step, report.value)
            })
        });
        let value = all[0].2;
        let joined = |part: Part<(Vec<f64>, Vec<f64>, f64)>| all.iter().flat_map(part).copied().collect();
        let (signs, step): (Vec<f64>, Vec<f64>) = (joined(|all| &all.0), joined(|all| &all.1));
        (signs, step, value)
    };
    let (signs, step, value) = on(1);
    assert!((value + 7.5).abs() < 1e-9 && signs.contains(&1.0) && signs.contains(&-1.0));
    for size in [2, 3] {
        let other = on(size);
        assert_eq!(signs, other.0);
        assert!(step.iter().zip(&other.1).all(|(a, b)| (a - b).abs() < 1e-14), "{size}");
    }
}

/// Of 60 residuals of a sum of two exponentials: the i-th, and its derivatives.
fn decay(i: usize, x: &[f64]) -> (f64, [f64; 4]) {
    let t = 0.1 * i as f64;
    let y = 3.0 * (-0.7 * t).exp() + (-0.2 * t).exp() + 0.01 * (7.0 * t).sin();
    let (e, f) = ((-x[1] * t).exp(), (-x[3] * t).exp());
    (x[0] * e + x[2] * f - y, [e, -t * x[0] * e, f, -t * x[2] * f])
}

#[test]
fn least_squares_with_rows_dealt_out_take_the_same_way() {
    let on = |size: usize, bounded: bool| {
        let mut all = on_ranks(size, |ranks| {
            let rows = part(60, &*ranks);
            let row = |x: &[f64], i: usize| decay(rows.start + i, x);
            let local = model(
                rows.len(),
                4,
                |x: &[f64], r: &mut [f64]| (0..r.len()).for_each(|i| r[i] = row(x, i).0),
                |x: &[f64], v: &[f64], jv: &mut [f64]| {
                    (0..jv.len()).for_each(|i| jv[i] = row(x, i).1.iter().zip(v).map(|(j, v)| j * v).sum());
                },
                |x: &[f64], u: &[f64], jtu: &mut [f64]| {
                    (0..4).for_each(|k| jtu[k] = (0..u.len()).map(|i| row(x, i).1[k] * u[i]).sum());
                },
            );
            let fit = LeastSquares::new(Summed::new(ranks.clone(), local));
            let most = if bounded { 2.5 } else { f64::INFINITY };
            let fit = fit.with_bounds(&[0.0; 4], &[most, 9.0, 9.0, 9.0]).unwrap();
            let solve = || LevenbergMarquardt::default().minimize(&fit, &[2.0, 1.0, 1.5, 0.5]);
            distributed(ranks, Slices::Residuals, solve).unwrap()
        });
        all.iter().for_each(|report| assert_eq!(report.x, all[0].x));
        all.remove(0)
    };
    for bounded in [false, true] {
        let one = on(1, bounded);
        assert!(one.termination.converged() && one.value < 0.1, "{} {}", one.termination, one.value);
        for size in [2, 3] {
            let other = on(size, bounded);
            assert_eq!((one.counts, one.termination), (other.counts, other.termination));
            assert!(
                close(one.value, other.value, 1e-12) && one.x.iter().zip(&other.x).all(|(a, b)| close(*a, *b, 1e-9))
            );
        }
    }
}

/// A 40 × 5 matrix with rows dealt out, or an operator of 40 unknowns in parts, against the same on one rank.
#[test]
fn linear_solvers_take_the_same_way() {
    let entry = |i: usize, j: usize| ((3 * i + 7 * j) as f64).sin() + if i % 5 == j { 2.0 } else { 0.0 };
    let on = |size: usize| {
        let mut all = on_ranks(size, |ranks| {
            let rows = part(40, &*ranks);
            let (m, first) = (rows.len(), rows.start);
            let forward = |v: &[f64], out: &mut [f64]| {
                (0..m).for_each(|i| out[i] = (0..5).map(|j| entry(first + i, j) * v[j]).sum());
            };
            let backward = |u: &[f64], out: &mut [f64]| {
                (0..5).for_each(|j| out[j] = (0..m).map(|i| entry(first + i, j) * u[i]).sum());
                ranks.sum(out);
            };
            let map = linear_map(m, 5, forward, backward);
            let b: Vec<f64> = rows.clone().map(|i| (i as f64).cos()).collect();
            let g: Vec<f64> = rows.clone().map(|i| 1.0 + (i as f64).sin()).collect();
            let spread = operator(m, |v: &[f64], out: &mut [f64]| {
                let total = summed(&ranks, v.iter().sum());
                (0..m).for_each(|i| out[i] = (1.0 + (first + i) as f64) * v[i] + 0.1 * total);
            });
            let linear = distributed(ranks.clone(), Slices::Residuals, || {
                let solver = LinearLeastSquares { damping: 0.25, ..LinearLeastSquares::default() };
                (solver.solve(&map, &b).unwrap(), solver.solve_from(&map, &b, &[9.0; 5]).unwrap())
            });
            let [step, residual] = distributed(ranks.clone(), Slices::Everything, || {
                let step = damped_step(&spread, &g, 0.1).unwrap();
                let tight = MinresOptions { tolerance: 1e-10, ..MinresOptions::default() };
                [step.step, minres(&spread, &g, 0.1, &tight).unwrap().step]
            });
            (linear, step, residual)
        });
        let joined = |part: Part<(_, Vec<f64>, Vec<f64>)>| all.iter().flat_map(part).copied().collect();
        let steps: [Vec<f64>; 2] = [joined(|all| &all.1), joined(|all| &all.2)];
        (all.remove(0).0, steps)
    };
    let ((zero, far), steps) = on(1);
    assert!(zero.outcome.converged() && far.outcome.converged());
    assert!(steps[0].iter().zip(&steps[1]).all(|(a, b)| (a - b).abs() < 1e-6));
    for size in [2, 3] {
        let ((other, other_far), other_steps) = on(size);
        for (a, b) in [(&zero, &other), (&far, &other_far)] {
            assert_eq!((a.products, a.outcome), (b.products, b.outcome));
            assert!(a.x.iter().zip(&b.x).all(|(a, b)| (a - b).abs() < 1e-11), "{:?} {:?}", a.x, b.x);
        }
        for (a, b) in steps.iter().flatten().zip(other_steps.iter().flatten()) {
            assert!((a - b).abs() < 1e-11);
        }
    }
}

/// A line through 31 points, a sampled objective that every rank can read all of.
fn line(samples: &[usize]) -> impl Objective<f64> + use<> {
    let samples = samples.to_vec();
    let n = samples.len();
    let t = |i: usize| 0.1 * i as f64 - 1.5;
    let (s, u, targets) = (samples.clone(), samples.clone(), samples.clone());
    let model = model(
        n,
        2,
        move |x: &[f64], h: &mut [f64]| (0..n).for_each(|k| h[k] = x[0] + (x[1] * t(samples[k])).sin()),
        move |x: &[f64], v: &[f64], jv: &mut [f64]| {
            (0..n).for_each(|k| jv[k] = v[0] + (x[1] * t(s[k])).cos() * t(s[k]) * v[1]);
        },
        move |x: &[f64], w: &[f64], jtw: &mut [f64]| {
            jtw[0] = w.iter().sum();
            jtw[1] = (0..n).map(|k| (x[1] * t(u[k])).cos() * t(u[k]) * w[k]).sum();
        },
    );
    let targets: Vec<f64> = targets.iter().map(|&i| 0.3 + (1.3 * t(i)).sin() + 0.05 * (9.0 * t(i)).cos()).collect();
    fit(model, SquaredError::new(targets, 1).unwrap(), Metric::GaussNewton).unwrap()
}

struct Lines;

impl SampledObjective<f64> for Lines {
    fn dim(&self) -> usize {
        2
    }
    fn samples(&self) -> usize {
        31
    }
    fn batch<'a>(&'a self, samples: &'a [usize]) -> impl Objective<f64> + 'a {
        line(samples)
    }
}

#[test]
fn training_with_samples_dealt_out_takes_the_same_way() {
    let on = |size: usize| {
        let mut all = on_ranks(size, |ranks| {
            let whole = Summed::new(ranks.clone(), Lines);
            let share: Vec<usize> = part(31, &*ranks).collect();
            let mean = Summed::mean(ranks.clone(), line(&share), share.len());
            distributed(ranks, Slices::Residuals, || {
                let x0 = [0.0, 0.5];
                // Fewer samples than ranks in some batches.
                let stopping = Stopping { max_iterations: 15, ..Stopping::default() };
                let natural = NaturalGradient { stopping, ..NaturalGradient::default() };
                let batches = Batches::new(31, 2, 1).unwrap();
                [
                    HessianFree::default().minimize(&whole, &x0),
                    TrustRegion::default().minimize(&mean, &x0),
                    TrustRegion { inner: InnerSolver::Dense, ..TrustRegion::default() }.minimize(&mean, &x0),
                    NaturalGradient::default().minimize(&mean, &x0),
                    natural.minimize_sampled(&whole, batches, &x0),
                ]
                .map(Result::unwrap)
            })
        });
        all.iter().for_each(|reports| (0..5).for_each(|i| assert_eq!(reports[i].x, all[0][i].x)));
        all.remove(0)
    };
    let one = on(1);
    for (i, report) in one[..4].iter().enumerate() {
        assert!(close(report.value, one[1].value, 1e-9), "{i}: {} {}", report.value, report.termination);
    }
    for size in [2, 3] {
        for (i, (one, other)) in one.iter().zip(on(size)).enumerate() {
            assert_eq!((one.counts, one.termination), (other.counts, other.termination), "{i} on {size}");
            assert!(close(one.value, other.value, 1e-12), "{i} on {size}: {} {}", one.value, other.value);
        }
    }
}

/// Only the clock of rank 0 counts: every other one is late here, and would end the run at another iteration.
#[test]
fn time_is_up_for_all_ranks_at_once() {
    let most = Duration::from_millis(40);
    for late in [0, 1] {
        let all = on_ranks(2, |ranks| {
            let (f, x0) = chain(&ranks, 50);
            let stopping = Stopping { max_time: most, gradient_relative: 0.0, ..Stopping::default() };
            let descent = FirstOrder { stopping, ..FirstOrder::new(GradientDescent { rate: 1e-9 }) };
            let wait = ranks.rank() == late;
            let report = distributed(ranks, Slices::Everything, || {
                descent.minimize_with(&f, &x0, |_| {
                    std::thread::sleep(Duration::from_micros(if wait { 300 } else { 0 }));
                    ControlFlow::Continue(())
                })
            });
            let report = report.unwrap();
            (report.termination, report.steps)
        });
        assert_eq!(all[0], all[1]);
        assert_eq!(all[0].0, Termination::MaxTime);
    }
}

#[test]
fn what_differs_is_named_with_its_rank() {
    let found = on_ranks(3, |ranks| {
        let odd = f64::from(ranks.rank() == 2) * f64::EPSILON;
        let not_a_number = check_equal(&*ranks, "x0", &[f64::NAN, 1.0]);
        [not_a_number, check_equal(&*ranks, "x0", &[0.5, 1.0 + odd]), check_equal(&*ranks, "seed", &[1.0; 2][..1])]
    });
    for [same, differs, also_same] in found {
        assert_eq!((same, also_same), (Ok(()), Ok(())));
        assert_eq!(differs, Err(Error::Differs { argument: "x0", rank: 2 }));
        assert_eq!(differs.unwrap_err().to_string(), "x0 on rank 2 is not what it is on rank 0");
    }
}

/// Conjugate gradients add up twice for a product; a stored space as often for few columns as for many.
#[test]
fn reductions_are_few() {
    let run = |basis: usize, max_products: usize| {
        let all = on_ranks(2, |ranks| {
            let here = part(4000, &*ranks);
            let m = operator(here.len(), |v: &[f64], out: &mut [f64]| {
                (0..v.len()).for_each(|i| out[i] = (1.0 + (here.start + i) as f64) * v[i]);
            });
            let options = StepOptions { basis, max_products, tolerance: 1e-13, ..StepOptions::default() };
            let g = vec![1.0; here.len()];
            distributed(ranks, Slices::Everything, || {
                let before = reductions();
                let step = Steps::new(&m, &g, options).unwrap().solve(Subproblem::Damped(0.0)).unwrap();
                (step.products, reductions() - before)
            })
        });
        assert_eq!(all[0], all[1]);
        all[0]
    };
    let for_each = |basis: usize, from: usize, to: usize| {
        let ((p, r), (q, s)) = (run(basis, from), run(basis, to));
        assert!(q > p, "{p} {q}");
        (s - r) as f64 / (q - p) as f64
    };
    assert_eq!(for_each(1, 200, 300), 2.0);
    let (few, many) = (for_each(200, 20, 30), for_each(200, 80, 90));
    assert!((few - many).abs() < 0.5 && many <= 4.0, "{few} {many}");
}

/// The error comes out as it is on the rank where it happened; the others learn in the same call which that was.
#[test]
fn a_callback_that_fails_on_one_rank_fails_on_all() {
    let errors = on_ranks(3, |ranks| {
        let here = ranks.rank() == 1;
        let refuse = |x: f64| if here && x > 2.0 { Err("out of paper") } else { Ok(()) };
        let local = objective(
            1,
            |x: &[f64]| refuse(x[0]).map(|()| x[0].exp()),
            |x, g| refuse(x[0]).map(|()| g[0] = x[0].exp()),
            |x, v, hv| refuse(x[0]).map(|()| hv[0] = x[0].exp() * v[0]),
        );
        let f = Summed::new(ranks.clone(), local);
        assert!(f.value(&[1.0]).is_finite() && f.take_error().is_none());
        let of_value = (f.value(&[3.0]).is_nan(), f.take_error());
        let (x, mut g) = ([3.0], [0.0]);
        let view = f.expand(&x);
        view.gradient(&mut g);
        let of_gradient = (g[0].is_nan(), view.take_error());
        view.apply(&[1.0], &mut g);
        let of_product = (g[0].is_nan(), view.take_error());
        assert!(f.value(&[1.0]).is_finite() && f.take_error().is_none());
        [of_value, of_gradient, of_product].map(|(nan, error)| (nan, error.unwrap().to_string()))
    });
    for (nan, text) in errors.iter().flatten() {
        assert!(*nan && (text.contains("out of paper") || text.contains("rank 1")), "{text}");
    }
    assert!(errors[1].iter().all(|(_, text)| text.contains("out of paper")));
    assert_eq!(errors[0], errors[2]);
}
