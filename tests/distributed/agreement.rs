//! What may differ between ranks is agreed on: they end together, and none waits for another.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;

use newton_krylov::first_order::{FirstOrder, FullAdaGrad, GradientDescent};
use newton_krylov::preconditioners::with_preconditioner;
use newton_krylov::ranks::{Communicator, Slices, Summed, distributed};
use newton_krylov::{
    Cancellation, Counts, Error, InnerSolver, Lbfgs, LeastSquares, LevenbergMarquardt, Memory, NewtonCg, Objective,
    Report, Stopping, Termination, TrustRegion, check, linear_map, model, objective, operator, spectrum, statistics,
};

use super::ranks::{Thread, on_ranks, part};
use super::{chain, summed};

/// What all ranks must have in common, after they have ended.
fn ends(all: &[Report<f64>]) -> (Termination, Counts, usize) {
    let of = |report: &Report<f64>| (report.termination, report.counts, report.steps);
    all.iter().for_each(|report| {
        assert_eq!(of(report), of(&all[0]));
        assert_eq!(report.reductions, all[0].reductions);
    });
    of(&all[0])
}

/// The number of the call in which something happens, on rank 1 alone.
fn at_call(ranks: &Thread, call: usize) -> impl Fn() -> bool + use<> {
    let (here, calls) = (ranks.rank() == 1, Cell::new(0));
    move || {
        calls.set(calls.get() + 1);
        here && calls.get() == call
    }
}

#[test]
fn a_run_cancelled_on_one_rank_is_cancelled_on_all_within_two_products() {
    for call in [1, 4, 13] {
        let all = on_ranks(3, |ranks| {
            let (f, x0) = chain(&ranks, 90);
            let cancellation = Cancellation::default();
            let (pull, flag) = (Rc::new(at_call(&ranks, call)), cancellation.clone());
            let f = with_preconditioner(f, move |_: &[f64]| {
                let (pull, flag) = (pull.clone(), flag.clone());
                move |_: f64, r: &mut [f64]| {
                    if pull() {
                        flag.cancel();
                    }
                    r.iter_mut().for_each(|r| *r *= 0.1);
                }
            });
            let stopping = Stopping { cancellation, ..Stopping::default() };
            let solver = TrustRegion { stopping, inner: InnerSolver::Krylov, ..TrustRegion::default() };
            distributed(ranks, Slices::Everything, || solver.minimize(&f, &x0)).unwrap()
        });
        let (termination, counts, _) = ends(&all);
        assert_eq!(termination, Termination::Cancelled);
        assert!(counts.products <= call + 2, "{} {call}", counts.products);
    }
}

#[test]
fn an_observer_that_ends_the_run_on_one_rank_ends_it_on_all() {
    let all = on_ranks(3, |ranks| {
        let (f, x0) = chain(&ranks, 60);
        let here = ranks.rank() == 2;
        distributed(ranks, Slices::Everything, || {
            let end =
                |iteration| if here && iteration == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            let descent = FirstOrder::new(GradientDescent { rate: 1e-3 });
            [
                TrustRegion::default().minimize_with(&f, &x0, |progress| end(progress.iteration)).unwrap(),
                Lbfgs::default().minimize_with(&f, &x0, |progress| end(progress.iteration)).unwrap(),
                descent.minimize_with(&f, &x0, |progress| end(progress.iteration)).unwrap(),
            ]
        })
    });
    for solver in 0..3 {
        let reports: Vec<_> = all.iter().map(|reports| reports[solver].clone()).collect();
        let (termination, _, steps) = ends(&reports);
        assert_eq!((termination, steps), (Termination::Observer, 2));
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Callback {
    Value,
    Gradient,
    Product,
}

/// Σ cosh(xᵢ) − bᵢxᵢ over all ranks; the call of the callback fails on rank 1, which has taken part in its sum.
fn failing(ranks: &Rc<Thread>, callback: Callback, call: usize) -> (impl Objective<f64> + use<>, Vec<f64>) {
    let here = part(50, &**ranks);
    let n = here.len();
    let b = move |i: usize| ((here.start + i) as f64).sin();
    let fails = at_call(ranks, call);
    let check = Rc::new(move |of: Callback| if of == callback && fails() { Err("out of ink") } else { Ok(()) });
    let (all, value, gradient, product, c) = (ranks.clone(), check.clone(), check.clone(), check, b);
    let f = objective(
        n,
        move |x: &[f64]| {
            let sum = summed(&all, (0..n).map(|i| x[i].cosh() - b(i) * x[i]).sum());
            value(Callback::Value).map(|()| sum)
        },
        move |x: &[f64], g: &mut [f64]| {
            (0..n).for_each(|i| g[i] = x[i].sinh() - c(i));
            gradient(Callback::Gradient)
        },
        move |x: &[f64], v: &[f64], hv: &mut [f64]| {
            (0..n).for_each(|i| hv[i] = x[i].cosh() * v[i]);
            product(Callback::Product)
        },
    );
    (f, vec![2.0; n])
}

#[test]
fn a_callback_that_fails_on_one_rank_ends_the_run_on_all() {
    for callback in [Callback::Value, Callback::Gradient, Callback::Product] {
        for call in [1, 2, 3] {
            for solver in 0..3 {
                if (callback, solver) == (Callback::Product, 2) {
                    continue; // has none
                }
                let all = on_ranks(3, |ranks| {
                    let (f, x0) = failing(&ranks, callback, call);
                    distributed(ranks, Slices::Everything, || match solver {
                        // Without memory there is a third product.
                        0 => TrustRegion { memory: Memory::Forgetful(20), ..TrustRegion::default() }.minimize(&f, &x0),
                        1 => NewtonCg::default().minimize(&f, &x0),
                        _ => Lbfgs::default().minimize(&f, &x0),
                    })
                });
                if all.iter().any(Result::is_err) {
                    // First-order methods have no report before the first gradient.
                    assert!(solver == 2 && call == 1 && all.iter().all(Result::is_err), "{callback:?} {call} {solver}");
                    continue;
                }
                let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
                let (termination, ..) = ends(&all);
                assert_eq!(termination, Termination::CallbackFailed, "{callback:?} {call} {solver}");
                let text = |rank: usize| all[rank].error.as_ref().unwrap().to_string();
                assert!(text(0).contains("a callback on another rank failed") && text(1).contains("out of ink"));
            }
        }
    }
}

#[test]
fn arguments_that_one_rank_refuses_are_refused_on_all() {
    let all = on_ranks(3, |ranks| {
        let (f, mut x0) = chain(&ranks, 60);
        if ranks.rank() == 1 {
            x0[3] = f64::NAN;
        }
        distributed(ranks, Slices::Everything, || {
            [TrustRegion::default().minimize(&f, &x0).err(), Lbfgs::default().minimize(&f, &x0).err()]
        })
    });
    for solver in 0..2 {
        assert!(matches!(all[1][solver], Some(Error::NotFinite { argument: "x0", index: Some(3), .. })));
        assert_eq!(all[0][solver], Some(Error::OnRank { rank: 1 }));
        assert_eq!(all[0][solver], all[2][solver]);
    }
}

/// Rather than an answer from the numbers at hand.
#[test]
fn what_is_not_distributed_is_refused() {
    let refused = |what: &str, error: Option<Error>| match error {
        Some(Error::Unsupported { argument, requirement }) => {
            assert_eq!(argument, what);
            assert!(requirement.contains("cannot be distributed"), "{requirement}");
        }
        other => panic!("{what}: {other:?}"),
    };
    on_ranks(2, |ranks| {
        let (f, x0) = chain(&ranks, 20);
        let n = x0.len();
        let identity = operator(n, |v: &[f64], out: &mut [f64]| out.copy_from_slice(v));
        distributed(ranks.clone(), Slices::Everything, || {
            refused("FullAdaGrad", FirstOrder::new(FullAdaGrad::default()).minimize(&f, &x0).err());
            let inner = InnerSolver::Dense;
            refused("InnerSolver::Dense", TrustRegion { inner, ..TrustRegion::default() }.minimize(&f, &x0).err());
            refused("check", check::objective(&f, &x0, 1).err());
            refused("check", check::operator(&identity, 1).err());
            refused("spectrum", spectrum::trace(&identity, 2, 1).err());
            refused("spectrum", spectrum::diagonal(&identity, 2, 1).err());
            refused("spectrum", spectrum::StochasticQuadrature::default().of(&identity).err());
            refused("spectrum", spectrum::Lanczos::default().extremes(&identity).err());
        });
        let local = model(
            3,
            1,
            |x: &[f64], r: &mut [f64]| (0..3).for_each(|i| r[i] = x[0] - i as f64),
            |_: &[f64], v: &[f64], jv: &mut [f64]| jv.fill(v[0]),
            |_: &[f64], u: &[f64], jtu: &mut [f64]| jtu[0] = u.iter().sum(),
        );
        let fit = LeastSquares::new(Summed::new(ranks.clone(), local));
        let map = linear_map(3, 1, |v: &[f64], y: &mut [f64]| y.fill(v[0]), |u, x: &mut [f64]| x[0] = u.iter().sum());
        distributed(ranks, Slices::Residuals, || {
            let inner = InnerSolver::Dense;
            let dense = LevenbergMarquardt { inner, ..LevenbergMarquardt::default() };
            refused("InnerSolver::Dense", dense.minimize(&fit, &[0.0]).err());
            refused("check", check::least_squares(&fit, &[0.0], 1).err());
            refused("check", check::linear_map(&map, 1).err());
            refused("statistics", statistics::covariance(&fit, &[1.0]).err());
            assert!(LevenbergMarquardt::default().minimize(&fit, &[0.0]).unwrap().termination.converged());
        });
    });
}
