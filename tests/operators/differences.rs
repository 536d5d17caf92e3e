//! Derivatives by differences: one unit for each unknown, exact counts, other steps where the first fails, sparse patterns.

use std::cell::Cell;

use newton_krylov::{
    Expansion, LeastSquares, LevenbergMarquardt, LinearMap, Model, Objective, Scalar, SymmetricOperator, TrustRegion,
    differences::{Difference, DifferenceModel, JacobianModel, Pattern},
    least_squares_from_residuals, objective_from_gradient,
    operators::Counted,
};

const BOTH: [Difference; 2] = [Difference::Forward, Difference::Central];

fn jacobian<T: Scalar>(model: &impl Model<T>, x: &[T]) -> Vec<f64> {
    let mut matrix = vec![T::zero(); model.output_dim() * model.dim()];
    model.linearize(x).form(&mut matrix);
    matrix.iter().map(|&v| v.into()).collect()
}

/// The Jacobian at x and its relative error, column by column.
fn errors<T: Scalar>(
    m: usize,
    x: &[T],
    difference: Difference,
    h: impl Fn(&[T], &mut [T]),
    exact: impl Fn(usize, usize) -> f64,
) -> Vec<f64> {
    let found = jacobian(&DifferenceModel::new(m, x.len(), h, difference), x);
    let error = |j: usize, column: &[f64]| {
        let (wrong, size) = column.iter().enumerate().fold((0.0_f64, 0.0_f64), |(wrong, size), (i, v)| {
            (wrong.max((v - exact(i, j)).abs()), size.max(exact(i, j).abs()))
        });
        wrong / size
    };
    found.chunks_exact(m).enumerate().map(|(j, column)| error(j, column)).collect()
}

#[test]
fn every_parameter_has_a_unit_of_its_own() {
    for difference in BOTH {
        // A e^{kt} with A = 8e9 and k = 0; e^{-17} c + 1 with c = 0 and beside 1.
        let growth = |x: &[f64], h: &mut [f64]| (0..5).for_each(|i| h[i] = x[0] * (x[1] * i as f64).exp());
        let exact = |i: usize, j: usize| if j == 0 { 1.0 } else { 8e9 * i as f64 };
        for (j, error) in errors(5, &[8e9, 0.0], difference, growth, exact).into_iter().enumerate() {
            assert!(error < 1e-6, "{difference:?} {j} {error}");
        }
        // At a solution 0, to rounding and exactly.
        for zero in [0.0, 1e-17, -3e-12, 1e-300] {
            let line = |x: &[f64], h: &mut [f64]| (0..5).for_each(|i| h[i] = x[0] + x[1] * i as f64 - 1.0);
            let exact = |i: usize, j: usize| if j == 0 { 1.0 } else { i as f64 };
            for error in errors(5, &[1.0, zero], difference, line, exact) {
                assert!(error < 1e-6, "{difference:?} {zero} {error}");
            }
        }
    }
    let line = |x: &[f32], h: &mut [f32]| (0..5).for_each(|i| h[i] = x[0] + x[1] * i as f32 - 1.0);
    for error in errors(5, &[1.0, 1e-9], Difference::Forward, line, |i, j| if j == 0 { 1.0 } else { i as f64 }) {
        assert!(error < 1e-2, "{error}");
    }
}

#[test]
fn a_unit_far_below_1_is_found_from_0() {
    for difference in BOTH {
        for unit in [1e-6, 1e-9, 1e-12] {
            let charge = |x: &[f64], h: &mut [f64]| (0..4).for_each(|i| h[i] = (-x[0] / unit * i as f64).exp() - 0.4);
            for error in errors(4, &[0.0], difference, charge, |i, _| -(i as f64) / unit) {
                // Quotients that agree to √√ρ are taken.
                assert!(error < 1e-2, "{difference:?} {unit} {error}");
            }
        }
    }
}

#[test]
fn a_step_into_the_unknown_goes_to_the_other_side() {
    for difference in BOTH {
        let root = |x: &[f64], h: &mut [f64]| h[0] = (1.0 - x[0]).sqrt();
        let at = 1.0 - 1e-9;
        let found = jacobian(&DifferenceModel::new(1, 1, root, difference), &[at]);
        let exact = -0.5 / (1.0 - at).sqrt();
        assert!((found[0] / exact - 1.0).abs() < 0.7 && found[0] < 0.0, "{difference:?} {} {exact}", found[0]);
    }
    let nowhere = DifferenceModel::new(1, 1, |_: &[f64], h: &mut [f64]| h[0] = f64::NAN, Difference::Central);
    assert!(jacobian(&nowhere, &[1.0])[0].is_nan());
}

#[test]
fn single_precision_inside_is_not_taken_for_a_zero_column() {
    let rounded = |x: &[f64], h: &mut [f64]| (0..3).for_each(|i| h[i] = f64::from((x[0] * i as f64) as f32));
    for difference in BOTH {
        for error in errors(3, &[3.0], difference, rounded, |i, _| i as f64) {
            assert!(error < 0.05, "{difference:?} {error}");
        }
    }
    // A parameter that has no influence costs little to find out, and its column is zero.
    let calls = Cell::new(0);
    let without = |x: &[f64], h: &mut [f64]| {
        calls.set(calls.get() + 1);
        (h[0], h[1]) = (x[0], 2.0 * x[0]);
    };
    let found = jacobian(&DifferenceModel::new(2, 2, without, Difference::Forward), &[1.0, 5.0]);
    assert_eq!((&found[2..], calls.get()), (&[0.0, 0.0][..], 4));
}

#[test]
fn a_typical_size_sets_the_step() {
    let farthest = Cell::new(0.0_f64);
    let h = |x: &[f64], h: &mut [f64]| {
        farthest.set(farthest.get().max((x[0] - 1e-3).abs()));
        h[0] = x[0];
    };
    let model = DifferenceModel::new(1, 1, h, Difference::Forward).with_typical(&[-100.0]).unwrap();
    jacobian(&model, &[1e-3]);
    assert!((farthest.get() / (100.0 * f64::EPSILON.sqrt()) - 1.0).abs() < 1e-6, "{}", farthest.get());
    let nothing = || DifferenceModel::new(1, 1, |_: &[f64], _: &mut [f64]| {}, Difference::Forward);
    assert!(nothing().with_typical(&[f64::NAN]).is_err() && nothing().with_typical(&[]).is_err());
}

#[test]
fn reported_residuals_are_the_calls_and_the_base_point_is_evaluated_once() {
    let (t, y) = ([0.0, 1.0, 2.0, 3.0, 4.0], [2.0, 1.2, 0.75, 0.42, 0.3]);
    for difference in BOTH {
        for bounded in [false, true] {
            let calls = Cell::new(0);
            let decay = |x: &[f64], r: &mut [f64]| {
                calls.set(calls.get() + 1);
                (0..5).for_each(|i| r[i] = x[0] * (-x[1] * t[i]).exp() + x[2] - y[i]);
            };
            let fit = least_squares_from_residuals(5, 3, decay, difference);
            let fit = if bounded { fit.with_bounds(&[0.0, 0.0, 0.1], &[9.0; 3]).unwrap() } else { fit };
            let report = LevenbergMarquardt::default().minimize(&fit, &[1.0, 1.0, 0.5]).unwrap();
            assert_eq!(report.counts.values, calls.get(), "{difference:?} {bounded}");
            let each = if difference == Difference::Forward { 3 } else { 6 };
            let trials = 1 + report.history.iter().map(|i| 1 + i.rejected).sum::<usize>();
            let jacobians = report.counts.gradients * each;
            // A few further trials at the end belong to no accepted step.
            assert!(calls.get() >= jacobians && calls.get() <= jacobians + trials + 4, "{report:#} {}", calls.get());
        }
    }
}

/// h₂ᵢ = 10(xᵢ₊₁ − xᵢ²), h₂ᵢ₊₁ = 1 − xᵢ, and where its Jacobian has entries.
fn chain(n: usize) -> (Pattern, impl Fn(&[f64], &mut [f64])) {
    let entries: Vec<_> = (0..n - 1).flat_map(|i| [(2 * i + 1, i), (2 * i, i + 1), (2 * i, i)]).collect();
    let h = move |x: &[f64], h: &mut [f64]| {
        for i in 0..n - 1 {
            (h[2 * i], h[2 * i + 1]) = (10.0 * (x[i + 1] - x[i] * x[i]), 1.0 - x[i]);
        }
    };
    (Pattern::new(2 * n - 2, n, &entries).unwrap(), h)
}

#[test]
fn sparse_jacobians_are_the_dense_ones_for_fewer_evaluations() {
    let n = 12;
    // Zeros and small numbers beside large ones, so that some columns need another step.
    let x: Vec<f64> = (0..n).map(|i| [0.0, 1e-14, -2.0, 700.0][i % 4]).collect();
    let exact = |i: usize, j: usize| match (i / 2, i % 2) {
        (k, 0) if k == j => -20.0 * x[k],
        (k, 0) if k + 1 == j => 10.0,
        (k, 1) if k == j => -1.0,
        _ => 0.0,
    };
    for difference in BOTH {
        let (pattern, h) = chain(n);
        assert_eq!(pattern.groups(), 2);
        let model = DifferenceModel::sparse(pattern, h, difference);
        let at = model.linearize(&x);
        let mut matrix = vec![0.0; (2 * n - 2) * n];
        at.form(&mut matrix);
        for (place, found) in matrix.iter().enumerate() {
            let exact = exact(place % (2 * n - 2), place / (2 * n - 2));
            assert!((found - exact).abs() <= 1e-5 * (1.0 + exact.abs()), "{difference:?} {place} {found} {exact}");
        }
        assert!(at.evaluations() <= 1 + 2 * 4 + 2, "{}", at.evaluations());
        // Products and norms are those of the matrix.
        let (mut jv, mut jtu, mut norms) = (vec![0.0; 2 * n - 2], vec![0.0; n], vec![0.0; n]);
        at.apply(&vec![1.0; n], &mut jv);
        at.apply_transpose(&vec![1.0; 2 * n - 2], &mut jtu);
        assert!(at.column_norms(&mut norms));
        for (j, column) in matrix.chunks_exact(2 * n - 2).enumerate() {
            assert!((jtu[j] - column.iter().sum::<f64>()).abs() < 1e-9);
            assert!((norms[j] - column.iter().map(|v| v * v).sum::<f64>().sqrt()).abs() < 1e-9);
        }
        let sum = |i: usize| matrix.iter().skip(i).step_by(2 * n - 2).sum::<f64>();
        assert!((0..2 * n - 2).all(|i| (jv[i] - sum(i)).abs() < 1e-9));
    }
}

#[test]
fn a_hundred_thousand_parameters_by_differences_and_by_triplets() {
    let n = 100_000;
    let (pattern, h) = chain(n);
    let calls = Cell::new(0);
    let counted = |x: &[f64], r: &mut [f64]| {
        calls.set(calls.get() + 1);
        h(x, r);
    };
    let x0: Vec<f64> = (0..n).map(|i| 1.0 + 0.1 * (i as f64).sin()).collect();
    let sparse = LeastSquares::new(DifferenceModel::sparse(pattern.clone(), counted, Difference::Forward));
    let report = LevenbergMarquardt::default().minimize(&sparse, &x0).unwrap();
    assert!(report.termination.converged() && report.value < 1e-12, "{report}");
    assert!(report.counts.values == calls.get() && calls.get() < 100, "{report}");
    // The same with the exact numbers, in the order of the triplets.
    let jacobian = |x: &[f64], values: &mut [f64]| {
        for (i, v) in values.chunks_exact_mut(3).enumerate() {
            v.copy_from_slice(&[-1.0, 10.0, -20.0 * x[i]]);
        }
    };
    let report =
        LevenbergMarquardt::default().minimize(&LeastSquares::new(JacobianModel::sparse(pattern, &h, jacobian)), &x0);
    let report = report.unwrap();
    assert!(report.termination.converged() && report.value < 1e-12, "{report}");
}

/// A dense matrix would be some hundred times as much work as what is spent.
#[test]
fn many_parameters_with_few_entries_are_not_solved_densely() {
    for n in [30, 1000] {
        let (pattern, h) = chain(n);
        let model = DifferenceModel::sparse(pattern, h, Difference::Forward);
        let report = LevenbergMarquardt::default().minimize(&LeastSquares::new(model), &vec![0.5; n]).unwrap();
        assert!(report.termination.converged() && report.value < 1e-12, "{report}");
        assert_eq!(report.counts.transpose_products > 0, n == 1000, "{report}");
    }
}

/// ½Σcᵢxᵢ² + ¼Σcᵢxᵢ⁴/uᵢ²: the unit of xᵢ is uᵢ.
fn gradient(units: &'static [f64]) -> impl Fn(&[f64], &mut [f64]) {
    move |x, g| (0..x.len()).for_each(|i| g[i] = (x[i] + x[i].powi(3) / units[i].powi(2)) / units[i].powi(2))
}

#[test]
fn products_have_a_unit_for_each_unknown() {
    const UNITS: [f64; 2] = [1e7, 1e-3];
    for difference in BOTH {
        let f = objective_from_gradient(2, |_: &[f64]| 0.0, gradient(&UNITS), difference);
        let x = [1e7, 1e-3];
        let at = f.expand(&x);
        for v in [[1e7, 0.0], [0.0, 1e-3], [1e7, 1e-3], [1.0, 1.0]] {
            let mut hv = [0.0; 2];
            at.apply(&v, &mut hv);
            for i in 0..2 {
                let exact = 4.0 * v[i] / UNITS[i].powi(2);
                // In units of the unknown; one that stands still beside the other is as accurate as its displacement.
                let error = (hv[i] - exact).abs() * UNITS[i] / (4.0 * (v[0] / UNITS[0]).hypot(v[1] / UNITS[1]));
                assert!(error < 0.05, "{difference:?} {v:?} {i}: {} {exact}", hv[i]);
            }
        }
        // x at 0 by chance, beside 1.
        const ONES: [f64; 2] = [1.0; 2];
        let f = objective_from_gradient(2, |_: &[f64]| 0.0, gradient(&ONES), difference);
        for zero in [0.0, 1e-17] {
            let (x, mut hv) = ([1.0, zero], [0.0; 2]);
            f.expand(&x).apply(&[1.0, 1.0], &mut hv);
            assert!((hv[0] - 4.0).abs() < 1e-3 && (hv[1] - 1.0).abs() < 1e-3, "{difference:?} {zero} {hv:?}");
        }
    }
    let f = objective_from_gradient(1, |x: &[f64]| x[0], gradient(&[1.0]), Difference::Central);
    assert!(f.with_typical(&[1.0, 2.0]).is_err());
}

#[test]
fn differences_go_over_a_distance_that_suits_the_accuracy() {
    // e^x to six digits: the products of √(1e-6) and of ∛(1e-6) are right to about 1e-3 and 1e-4.
    let rounded = |x: &[f64], g: &mut [f64]| g[0] = (x[0].exp() * 1e6).round() * 1e-6;
    for (difference, error) in [(Difference::Forward, 3e-3), (Difference::Central, 3e-4)] {
        let f = || objective_from_gradient(1, |x: &[f64]| x[0].exp(), rounded, difference);
        let h = || DifferenceModel::new(1, 1, rounded, difference);
        let (x, right, mut hv) = ([0.7], 0.7_f64.exp(), [0.0]);
        let off = |found: f64| (found / right - 1.0).abs();
        f().with_accuracy(1e-6).unwrap().expand(&x).apply(&[1.0], &mut hv);
        assert!(off(hv[0]) < error, "{difference:?} {hv:?}");
        assert!(off(jacobian(&h().with_accuracy(1e-6).unwrap(), &x)[0]) < error);
        f().expand(&x).apply(&[1.0], &mut hv);
        assert!(off(hv[0]) > 10.0 * error && off(jacobian(&h(), &x)[0]) > 10.0 * error, "{difference:?} {hv:?}");
        assert!(f().with_accuracy(1.0).is_err() && h().with_accuracy(-1.0).is_err());
    }
}

#[test]
fn a_gradient_that_is_finite_on_one_side_gives_a_product() {
    // f = -(2/3)(1 − x)^{3/2} at the edge of its domain, g = √(1 − x)
    for (difference, sign) in [(Difference::Forward, 1.0), (Difference::Central, 1.0), (Difference::Central, -1.0)] {
        let slope = move |x: &[f64], g: &mut [f64]| g[0] = sign * (1.0 - sign * x[0]).sqrt();
        let f = objective_from_gradient(1, |_: &[f64]| 0.0, slope, difference);
        let (x, mut hv) = ([sign * (1.0 - 1e-7)], [0.0]);
        f.expand(&x).apply(&[1.0], &mut hv);
        assert!(hv[0] < 0.0 && hv[0].is_finite(), "{difference:?} {hv:?}");
    }
}

#[test]
fn gradients_made_for_products_are_counted_as_gradients() {
    for (difference, each) in [(Difference::Forward, 1), (Difference::Central, 2)] {
        let calls = Cell::new(0);
        let slope = |x: &[f64], g: &mut [f64]| {
            calls.set(calls.get() + 1);
            (0..6).for_each(|i| g[i] = (1 + i) as f64 * x[i].sinh());
        };
        let f = objective_from_gradient(
            6,
            |x: &[f64]| (0..6).map(|i| (1 + i) as f64 * x[i].cosh()).sum::<f64>(),
            slope,
            difference,
        );
        let counted = Counted::new(&f);
        let (x, mut g) = ([1.0; 6], [0.0; 6]);
        let at = counted.expand(&x);
        at.gradient(&mut g);
        at.apply(&[1.0; 6], &mut g);
        assert_eq!((counted.counts().gradients, counted.counts().products, calls.get()), (1 + each, 1, 1 + each));
        drop(at);
        calls.set(0);
        let report = TrustRegion::default().minimize(&f, &[1.0; 6]).unwrap();
        assert!(report.termination.converged());
        assert_eq!(report.counts.gradients, calls.get(), "{report}");
    }
}
