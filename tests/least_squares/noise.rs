//! Residuals that are less accurate than their numbers: rounded, computed in single precision, or with noise. The right
//! answers are those of the same residuals without it.

use newton_krylov::differences::{Difference, DifferenceModel};
use newton_krylov::{
    GaussNewton, LeastSquares, LeastSquaresReport, LevenbergMarquardt, Model, Run, Scalar, Stopping, check,
    least_squares_dense, least_squares_from_residuals,
};

/// A number in (−1, 1) that depends on all bits of x.
fn noise(x: &[f64], i: usize) -> f64 {
    let mix = |h: u64, bits: u64| {
        let h = (h ^ bits).wrapping_mul(0xBF58476D1CE4E5B9);
        (h ^ h >> 31).wrapping_mul(0x94D049BB133111EB)
    };
    let hash = x.iter().fold(mix(i as u64, 17), |h, x| mix(h ^ h >> 29, x.to_bits()));
    (hash >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// What is done to an output.
#[derive(Clone, Copy, Debug)]
enum Simulation {
    Exact,
    Noisy(f64),
    Rounded(f64),
    Single,
}

impl Simulation {
    fn output(self, x: &[f64], i: usize, h: f64) -> f64 {
        match self {
            Simulation::Exact => h,
            Simulation::Noisy(eta) => h * (1.0 + eta * noise(x, i)),
            Simulation::Rounded(quantum) => (h / quantum).round() * quantum,
            Simulation::Single => f64::from(h as f32),
        }
    }

    fn relative(self) -> f64 {
        match self {
            Simulation::Exact => 0.0,
            Simulation::Noisy(eta) | Simulation::Rounded(eta) => eta,
            Simulation::Single => 6e-8,
        }
    }
}

/// A curve, where its parameters start, and those that made the data.
type Curve = (fn(&[f64], f64) -> f64, &'static [f64], &'static [f64]);

const CURVES: [Curve; 3] = [
    (|x, t| x[0] * (-x[1] * t).exp() + x[2], &[1.0, 1.0, 0.0], &[2.5, 0.7, 0.4]),
    (|x, t| x[0] + (x[1] - x[0]) / (1.0 + ((t + 0.1) / x[2]).powf(x[3])), &[0.0, 3.0, 2.0, 1.5], &[0.3, 4.0, 3.0, 2.5]),
    (|x, t| x[0] * t, &[1.0], &[2.0]),
];

const COUNT: usize = 30;

fn residuals(curve: Curve, simulation: Simulation, x: &[f64], r: &mut [f64]) {
    for (i, r) in r.iter_mut().enumerate() {
        let t = 0.2 * i as f64;
        *r = simulation.output(x, i, curve.0(x, t)) - (curve.0(curve.2, t) + 0.02 * noise(&[], i));
    }
}

fn fitted(curve: Curve, simulation: Simulation, difference: Difference) -> LeastSquaresReport<f64> {
    let r = move |x: &[f64], r: &mut [f64]| residuals(curve, simulation, x, r);
    let fit = least_squares_from_residuals(COUNT, curve.1.len(), r, difference);
    LevenbergMarquardt::default().minimize(&fit, curve.1).unwrap()
}

#[test]
fn noise_of_any_size_is_found_where_differences_fail() {
    for curve in CURVES {
        let right = fitted(curve, Simulation::Exact, Difference::Central);
        for simulation in [1e-12, 1e-10, 1e-8, 1e-6, 1e-4]
            .map(|eta| [Simulation::Noisy(eta), Simulation::Rounded(eta)])
            .as_flattened()
            .iter()
            .chain([&Simulation::Single])
        {
            for difference in [Difference::Forward, Difference::Central] {
                let report = fitted(curve, *simulation, difference);
                assert!(report.termination.converged(), "{simulation:?} {difference:?}: {report}");
                // f is flat to its noise, and in forward differences to their errors.
                let allowed = 1.0 + 1e-10 + 3e3 * simulation.relative();
                assert!(
                    report.value < allowed * right.value,
                    "{simulation:?} {difference:?}: {report} {}",
                    right.value
                );
                assert!(report.counts.values < 400, "{simulation:?} {difference:?}: {report}");
            }
        }
    }
}

#[test]
fn an_exact_jacobian_is_not_accused_of_noise_in_the_residuals() {
    let curve = CURVES[0];
    for eta in [1e-10, 1e-8, 1e-6, 1e-4] {
        let r = move |x: &[f64], r: &mut [f64]| residuals(curve, Simulation::Noisy(eta), x, r);
        let jacobian = |x: &[f64], j: &mut [f64]| {
            for i in 0..COUNT {
                let t = 0.2 * i as f64;
                let e = (-x[1] * t).exp();
                (j[i], j[COUNT + i], j[2 * COUNT + i]) = (e, -x[0] * t * e, 1.0);
            }
        };
        let fit = least_squares_dense(COUNT, 3, r, jacobian);
        let right = fitted(curve, Simulation::Exact, Difference::Central);
        for report in [
            LevenbergMarquardt::default().minimize(&fit, curve.1).unwrap(),
            GaussNewton::default().minimize(&fit, curve.1).unwrap(),
        ] {
            assert!(report.termination.converged(), "{eta}: {report}");
            assert!(report.value < (1.0 + 1e2 * eta) * right.value, "{eta}: {report}");
        }
    }
}

#[test]
fn an_accuracy_that_is_given_saves_what_it_takes_to_find_it() {
    let curve = CURVES[0];
    let simulation = Simulation::Noisy(1e-6);
    let r = move |x: &[f64], r: &mut [f64]| residuals(curve, simulation, x, r);
    let fit = || least_squares_from_residuals(COUNT, 3, r, Difference::Forward);
    let found = check::noise(fit().model(), curve.1, 1).unwrap().unwrap();
    assert!(found > 1e-7 && found < 3e-6, "{found}");
    let given = LevenbergMarquardt::default().minimize(&fit().with_accuracy(found).unwrap(), curve.1).unwrap();
    let alone = LevenbergMarquardt::default().minimize(&fit(), curve.1).unwrap();
    assert!(given.termination.converged() && given.value < 1.001 * alone.value, "{given}");
    assert!(10 * given.counts.values < 9 * alone.counts.values, "{given} {alone}");
    for wrong in [-1e-3, 1.0, f64::NAN] {
        assert!(fit().with_accuracy(wrong).is_err());
    }
}

#[test]
fn noise_is_measured_where_there_is_none_as_well() {
    fn measured<T: Scalar>(f: fn(T) -> T, x: T) -> Option<f64> {
        let h = move |x: &[T], h: &mut [T]| h[0] = f(x[0]);
        check::noise(&DifferenceModel::new(1, 1, h, Difference::Central), &[x], 1).unwrap()
    }
    assert!(measured(f64::exp, 0.3).unwrap() < 1e-15);
    assert!(measured(f32::exp, 0.3).unwrap() < 1e-6);
    assert_eq!(measured(|_: f64| 2.0, 0.3), Some(f64::EPSILON));
    assert_eq!(measured(|_: f64| 0.0, 0.0), Some(f64::EPSILON));
    assert_eq!(measured(|_: f64| f64::NAN, 0.3), None);
    let h = |_: &[f64], _: &mut [f64]| Err::<(), _>(std::io::Error::other("no licence"));
    assert!(check::noise(&DifferenceModel::new(1, 1, h, Difference::Central), &[1.0], 1).is_err());
}

#[test]
fn no_limit_of_values_is_passed_to_find_noise() {
    let curve = CURVES[0];
    let r = move |x: &[f64], r: &mut [f64]| residuals(curve, Simulation::Noisy(1e-8), x, r);
    let fit = least_squares_from_residuals(COUNT, 3, r, Difference::Forward);
    for max_values in 1..100 {
        let stopping = Stopping { max_values, ..Stopping::default() };
        let report = LevenbergMarquardt { stopping, ..Default::default() }.minimize(&fit, curve.1).unwrap();
        assert!(report.counts.values <= max_values, "{max_values}: {report}");
    }
}

#[cfg(feature = "serde")]
#[test]
fn what_was_found_of_noise_is_in_a_saved_state() {
    let curve = CURVES[0];
    let r = move |x: &[f64], r: &mut [f64]| residuals(curve, Simulation::Noisy(1e-6), x, r);
    let fit = least_squares_from_residuals(COUNT, 3, r, Difference::Forward);
    let solver = LevenbergMarquardt::default();
    let whole = solver.minimize(&fit, curve.1).unwrap();
    let mut run = solver.start(&fit, curve.1).unwrap();
    let mut steps = 0;
    while run.iterate().unwrap().is_none() {
        run = solver.resume(&fit, &run.save()).unwrap();
        steps += 1;
    }
    let report = run.complete().unwrap();
    assert!(steps > 5 && report.x == whole.x && report.counts == whole.counts, "{report} {whole}");
}

/// A fit of a model that somebody else has wrapped is one all the same.
#[test]
fn wrapped_models_have_their_noise_found() {
    let curve = CURVES[0];
    let h = move |x: &[f64], h: &mut [f64]| residuals(curve, Simulation::Noisy(1e-6), x, h);
    let model = DifferenceModel::new(COUNT, 3, h, Difference::Forward);
    assert_eq!(model.output_dim(), COUNT);
    let fit = LeastSquares::new(model).with_weights(&[2.0; COUNT]).unwrap();
    let report = LevenbergMarquardt::default().minimize(&fit, curve.1).unwrap();
    let right = fitted(curve, Simulation::Exact, Difference::Central);
    assert!(report.termination.converged() && report.value < 4.001 * right.value, "{report}");
}
