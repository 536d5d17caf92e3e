//! Callbacks that return a `Result`: their error comes out unchanged, once, and at once.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::result::Result;
use std::{fmt, io};

use newton_krylov::callbacks::*;
use newton_krylov::differences::*;
use newton_krylov::losses::*;
use newton_krylov::operators::*;
use newton_krylov::preconditioners::*;
use newton_krylov::spectrum::{self, End, Lanczos};
use newton_krylov::steps::*;
use newton_krylov::*;

/// The error of a user, which tells at which call it was made.
#[derive(Debug, PartialEq)]
struct Broken(usize);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken at call {}", self.0)
    }
}

impl std::error::Error for Broken {}

/// Counts calls, and fails at one of them.
struct Fuse {
    calls: Cell<usize>,
    at: usize,
}

impl Fuse {
    fn new(at: usize) -> Self {
        Fuse { calls: Cell::new(0), at }
    }

    fn call(&self) -> Result<(), Broken> {
        self.calls.set(self.calls.get() + 1);
        if self.calls.get() == self.at { Err(Broken(self.at)) } else { Ok(()) }
    }
}

fn broken(error: Option<CallbackError>) -> usize {
    error.expect("an error waits").downcast_ref::<Broken>().expect("it is the user's").0
}

/// A function of the library that makes products.
type OperatorWay<'a> = &'a dyn Fn(&dyn SymmetricOperator<f64>) -> Option<Error>;
type MapWay<'a> = &'a dyn Fn(&dyn LinearMap<f64>) -> Option<Error>;

#[test]
fn an_error_is_handed_out_once_and_is_the_first() {
    let m = operator(2, |v: &[f64], _: &mut [f64]| if v[0] > 0.0 { Err(Broken(v[0] as usize)) } else { Ok(()) });
    let mut out = [0.0; 2];
    m.apply(&[0.0, 0.0], &mut out);
    assert!(m.take_error().is_none() && out == [0.0; 2]);
    m.apply(&[1.0, 0.0], &mut out);
    assert!(out.iter().all(|out| out.is_nan()));
    m.apply(&[2.0, 0.0], &mut out);
    let error = m.take_error().unwrap();
    assert_eq!(error.downcast_ref(), Some(&Broken(1)));
    assert_eq!(error.to_string(), "a callback failed: broken at call 1");
    assert!(std::error::Error::source(&error).unwrap().is::<Broken>());
    assert_eq!(error, error.clone());
    assert_ne!(error, CallbackError::new(Broken(1)));
    assert!(m.take_error().is_none());
}

#[test]
fn closures_may_return_what_suits_them() {
    // Values as literals, as f32, as results of either; errors of any type, or texts; and what never returns.
    let value = |f: &dyn Objective1| f.at(1.5);
    trait Objective1 {
        fn at(&self, x: f64) -> f64;
    }
    impl<O: Objective<f64>> Objective1 for O {
        fn at(&self, x: f64) -> f64 {
            self.value(&[x])
        }
    }
    let (g, h) = (|_: &[f64], _: &mut [f64]| (), |_: &[f64], _: &[f64], _: &mut [f64]| unreachable!());
    assert_eq!(value(&objective(1, |_: &[f64]| 2.0, g, h)), 2.0);
    assert_eq!(value(&objective(1, |x: &[f64]| x[0] as f32, g, h)), 1.5);
    assert_eq!(value(&objective(1, |_: &[f64]| Ok::<_, io::Error>(2.0), g, h)), 2.0);
    assert_eq!(value(&objective(1, |x: &[f64]| Ok::<_, String>(x[0] as f32), g, h)), 1.5);
    assert!(value(&objective(1, |_: &[f64]| Err::<f64, _>("no"), g, h)).is_nan());
    let boxed = |_: &[f64]| -> Result<f64, Box<dyn std::error::Error + Send + Sync>> { Err(Broken(7).into()) };
    let f = objective(1, boxed, |_, _| Ok::<(), io::Error>(()), |_, _, _| Err::<(), _>("no"));
    assert!(f.value(&[0.0]).is_nan());
    assert_eq!(broken(f.take_error()), 7);
}

/// Every function without a report, on an operator that fails at call k.
#[test]
fn functions_without_a_report_return_the_error() {
    let d = 40;
    let gradient: Vec<f64> = (0..d).map(|i| 1.0 + (i as f64).sin()).collect();
    let ways: [(&str, OperatorWay<'_>); 10] = [
        ("damped_step", &|m| damped_step(&m, &gradient, 0.1).err()),
        ("the dense path", &|m| {
            let options = StepOptions { inner: InnerSolver::Dense, ..StepOptions::default() };
            Steps::new(&m, &gradient, options).unwrap().solve(Subproblem::Radius(1.0)).err()
        }),
        ("no gradient", &|m| {
            Steps::new(&m, &[0.0; 40], StepOptions::default()).unwrap().solve(Subproblem::Radius(1.0)).err()
        }),
        ("minres", &|m| minres(&m, &gradient, 0.1, &MinresOptions::default()).err()),
        ("extremes", &|m| Lanczos::default().extremes(&m).err()),
        ("eigenpairs", &|m| Lanczos::default().eigenpairs(&m, 2, End::LargestMagnitude).err()),
        ("quadrature", &|m| spectrum::StochasticQuadrature::default().of(&m).err()),
        ("trace", &|m| spectrum::trace(&m, 60, 1).err()),
        ("Hutch++", &|m| spectrum::trace_hutch_plus_plus(&m, 60, 1).err()),
        ("diagonal", &|m| spectrum::diagonal(&m, 60, 1).err()),
    ];
    for (name, way) in ways {
        for k in 1..=50 {
            let fuse = Fuse::new(k);
            let m = operator(d, |v: &[f64], out: &mut [f64]| {
                fuse.call()?;
                (0..d).for_each(|i| out[i] = (1 + i) as f64 * v[i]);
                Ok::<(), Broken>(())
            });
            let error = way(&m);
            if fuse.calls.get() < k {
                assert!(error.is_none() && k > 10, "{name} {k}: {error:?}");
                break;
            }
            let Some(Error::Callback(error)) = error else { panic!("{name} {k}: {error:?}") };
            assert_eq!(broken(Some(error)), k, "{name}");
            assert_eq!(fuse.calls.get(), k, "{name}: called after its error");
            assert!(m.take_error().is_none(), "{name}");
        }
    }
}

#[test]
fn least_squares_functions_return_the_error() {
    let (m, n) = (30, 20);
    let b: Vec<f64> = (0..m).map(|i| 1.0 + (i as f64).cos()).collect();
    let ways: [(&str, MapWay<'_>); 3] = [
        ("linear_least_squares", &|j| linear_least_squares(&j, &b).err()),
        ("damped", &|j| {
            LinearLeastSquares { damping: 0.01, ..Default::default() }.solve_from(&j, &b, &vec![1.0; n]).err()
        }),
        ("steps", &|j| LeastSquaresSteps::new(&j, &b, 1e-10, 100).and_then(|mut steps| steps.damped(0.0)).err()),
    ];
    for (name, way) in ways {
        for k in 1..=50 {
            let fuse = Fuse::new(k);
            let j = linear_map(
                m,
                n,
                |v: &[f64], out: &mut [f64]| {
                    fuse.call()?;
                    (0..m).for_each(|i| out[i] = v[i % n] * (1 + i) as f64);
                    Ok::<(), Broken>(())
                },
                |u: &[f64], out: &mut [f64]| {
                    fuse.call()?;
                    out.fill(0.0);
                    (0..m).for_each(|i| out[i % n] += u[i] * (1 + i) as f64);
                    Ok::<(), Broken>(())
                },
            );
            let error = way(&j);
            if fuse.calls.get() < k {
                assert!(error.is_none() && k > 10, "{name} {k}: {error:?}");
                break;
            }
            let Some(Error::Callback(error)) = error else { panic!("{name} {k}: {error:?}") };
            assert_eq!((broken(Some(error)), fuse.calls.get()), (k, k), "{name}");
        }
    }
}

/// A model of two residuals whose callbacks fail on demand.
fn failing(at: usize) -> impl Model<f64> {
    let fail = move |call: usize| if call == at { Err(Broken(at)) } else { Ok(()) };
    model(
        2,
        2,
        move |x: &[f64], h: &mut [f64]| {
            h.copy_from_slice(x);
            fail(1)
        },
        move |_, v, jv| {
            jv.copy_from_slice(v);
            fail(2)
        },
        move |_, u, jtu| {
            jtu.copy_from_slice(u);
            fail(3)
        },
    )
}

#[test]
fn models_and_what_is_made_of_them_hand_errors_on() {
    let x = [1.0, 2.0];
    let mut out = [0.0; 2];
    for at in 1..=3 {
        let h = with_second_order(failing(at), |_, _, v, out| out.copy_from_slice(v));
        let linearized = h.linearize(&x);
        assert_eq!(linearized.outputs()[0].is_nan(), at == 1);
        linearized.apply(&x, &mut out);
        linearized.apply_transpose(&x, &mut out);
        assert_eq!(broken(linearized.take_error()), at);
        assert!(h.take_error().is_none());

        let f = fit(failing(at), SquaredError::new(vec![0.0; 2], 1).unwrap(), Metric::GaussNewton).unwrap();
        let f = with_divergence(f, |_: &[f64], _: &[f64]| 0.0);
        let f = Counted::new(with_diagonal(f, |_: &[f64], d: &mut [f64]| d.fill(1.0)));
        let expansion = f.expand(&x);
        if at == 2 {
            expansion.apply(&x, &mut out)
        } else {
            expansion.gradient(&mut out)
        }
        assert!(out.iter().all(|out| out.is_nan()));
        assert_eq!(broken(expansion.take_error()), at);
        assert!(expansion.take_error().is_none());
        if at == 1 {
            assert!(f.value(&x).is_nan() && expansion.value_and_divergence(&x).unwrap().0.is_nan());
            assert_eq!(broken(f.take_error()), at);
        }
    }
    let second = with_second_order(failing(0), |_, _, _, _| Err::<(), _>(Broken(4)));
    let at = second.linearize(&x);
    at.adjoint(&x, &mut out);
    at.second_order_product(&|v, out| out.copy_from_slice(v), &x, &mut out);
    assert!(out[0].is_nan());
    assert_eq!(broken(second.take_error()), 4);
}

#[test]
fn what_objectives_are_given_may_fail() {
    let sum = || objective(1, |x: &[f64]| x[0], |_, g| g[0] = 1.0, |_, _, hv| hv[0] = 0.0);
    let f = with_divergence(sum(), |_: &[f64], _: &[f64]| Err::<f64, _>(Broken(1)));
    assert!(f.expand(&[0.0]).value_and_divergence(&[1.0]).unwrap().1.is_nan());
    assert_eq!(broken(f.take_error()), 1);

    let f = with_diagonal(sum(), |_: &[f64], _| Err::<(), _>(Broken(2)));
    let (at, mut r) = (f.expand(&[0.0]), [1.0]);
    at.preconditioner().unwrap().precondition(0.0, &mut r);
    assert!(r[0].is_nan());
    assert_eq!(broken(at.take_error()), 2);

    for difference in [Difference::Forward, Difference::Central] {
        let fuse = Fuse::new(1);
        let f = objective_from_gradient(1, |x: &[f64]| x[0], |_, _| fuse.call(), difference);
        let (x, mut hv) = ([0.0], [0.0]);
        let at = f.expand(&x);
        at.apply(&[1.0], &mut hv);
        assert!(hv[0].is_nan());
        assert_eq!((broken(at.take_error()), fuse.calls.get()), (1, 1));
        assert_eq!((at.value(), f.value(&[2.0])), (0.0, 2.0));
    }

    let fuse = Fuse::new(3);
    let fit = least_squares_from_residuals(
        2,
        2,
        |x: &[f64], r| fuse.call().map(|()| r.copy_from_slice(x)),
        Difference::Central,
    );
    let mut formed = [0.0; 4];
    let at = fit.model().linearize(&[1.0, 2.0]);
    at.form(&mut formed);
    assert!(formed[..2] == [1.0, 0.0] && formed[2..].iter().all(|j| j.is_nan()), "{formed:?}");
    assert_eq!((broken(at.take_error()), fuse.calls.get()), (3, 3));

    let fit = least_squares_dense(1, 1, |_: &[f64], _| Ok::<(), Broken>(()), |_, _| Err::<(), _>(Broken(5)));
    let at = fit.model().linearize(&[1.0]);
    at.apply(&[1.0], &mut hv());
    assert_eq!(broken(fit.model().take_error()), 5);

    let mut structure = BlockStructure::new();
    structure.parameters(3, 1).unwrap();
    (0..3).for_each(|i| assert_eq!(structure.residual(1, &[i]).unwrap(), i));
    let blocks = structure.model(|i, x: &[f64], r: &mut [f64], jacobian: Option<&mut [f64]>| {
        r[0] = x[0];
        jacobian.into_iter().for_each(|j| j[0] = 1.0);
        if i == 1 { Err(Broken(6)) } else { Ok(()) }
    });
    let at = blocks.linearize(&[1.0, 2.0, 3.0]);
    assert!(at.outputs()[1].is_nan());
    assert_eq!(broken(at.take_error()), 6);
    let mut r = [0.0; 3];
    blocks.evaluate(&[1.0, 2.0, 3.0], &mut r);
    assert!(r[1].is_nan() && broken(blocks.take_error()) == 6);
}

fn hv() -> [f64; 1] {
    [0.0]
}

#[test]
fn a_panic_leaves_nothing_behind() {
    let m = operator(1, |v: &[f64], out: &mut [f64]| {
        assert!(v[0] >= 0.0, "the user's own assertion");
        out[0] = v[0];
        if v[0] > 1.0 { Err(Broken(1)) } else { Ok(()) }
    });
    let mut out = [0.0];
    m.apply(&[2.0], &mut out);
    m.apply(&[-1.0], &mut out);
    assert_eq!(broken(m.take_error()), 1);
    assert!(catch_unwind(AssertUnwindSafe(|| m.apply(&[-1.0], &mut [0.0]))).is_err());
    m.apply(&[0.5], &mut out);
    assert_eq!(out, [0.5]);
    assert!(catch_unwind(AssertUnwindSafe(|| damped_step(&m, &[-1.0], 0.0))).is_err());
    assert!(damped_step(&m, &[1.0], 0.0).is_ok());
}

#[test]
fn a_slot_is_shared_by_threads() {
    let slot = ErrorSlot::new();
    std::thread::scope(|scope| {
        for i in 0..8 {
            let slot = &slot;
            scope.spawn(move || assert!(slot.value(|| Err::<f64, _>(Broken(i))).is_nan()));
        }
    });
    assert!(slot.is_full() && broken(slot.take()) < 8);
    assert!(!slot.is_full() && slot.take().is_none());
    slot.store(CallbackError::new("a text"));
    assert!(slot.clone().take().is_none());
    assert_eq!(slot.take().unwrap().to_string(), "a callback failed: a text");
}
