//! Small models answered by factors and by spectra.

use super::dense::DenseModel;
use super::projected::Projected;
use super::spectral::Subproblem;
use crate::operator::DiagonalOperator;

/// Against the eigendecomposition, which answers by itself, over many units.
#[test]
fn factors_and_spectrum_agree_in_all_units() {
    let n = 7;
    let entry = |i: usize, j: usize| if i == j { (1 + i * i) as f64 } else { 0.3 / (1.0 + (i + j) as f64) };
    for a in [1e-250, 1e-100, 1.0, 1e100, 1e250] {
        for b in [1e-250, 1.0, 1e200] {
            let mut model = Projected::new(n);
            for i in 0..n {
                let row: Vec<f64> = (0..=i).map(|j| a * entry(i, j)).collect();
                model.push(&row, b * (1.0 + i as f64));
            }
            let length = b / a;
            if ![length, a / length].iter().all(|size| (1e-290..1e290).contains(size)) {
                continue;
            }
            for factor in [0.01, 1.0, 3.0, 100.0] {
                for subproblem in [
                    Subproblem::Damped(factor * a),
                    Subproblem::Radius(factor * length),
                    Subproblem::Cubic(factor * a / length),
                    Subproblem::SaddleFree(factor * length),
                ] {
                    let solution = model.solution(subproblem).unwrap();
                    let y = model.coefficients().to_vec();
                    model.eigenvalues();
                    let exact = model.solution(subproblem).unwrap();
                    let (size, last) = (exact.norm, model.coefficients().to_vec());
                    assert!(y.iter().zip(&last).all(|(y, e)| (y - e).abs() <= 1e-10 * size), "{a} {b} {subproblem:?}");
                    assert!((solution.norm / exact.norm - 1.0).abs() < 1e-10, "{solution:?} {exact:?}");
                    assert!(
                        (solution.shift - exact.shift).abs() <= 1e-9 * (exact.shift + 1e-3 * a),
                        "{solution:?} {exact:?}"
                    );
                    assert_eq!(solution.on_boundary, exact.on_boundary);
                    model.truncate(n);
                }
            }
        }
    }
}

#[test]
fn a_grown_factor_is_the_factor_of_the_grown_matrix() {
    let mut model = Projected::new(4);
    for i in 0..4 {
        let row: Vec<f64> = (0..=i).map(|j| if i == j { 2.0 } else { 0.5 }).collect();
        model.push(&row, 1.0);
        model.solution(Subproblem::Damped(0.0)).unwrap();
        // (1.5 I + 0.5 eeᵀ) y = −e
        let exact = -1.0 / (1.5 + 0.5 * (i + 1) as f64);
        assert!(model.coefficients().iter().all(|y| (y - exact).abs() < 1e-15));
    }
}

/// Indefinite matrices: the search from factors against the eigendecomposition, which answers where it gives up.
#[test]
fn factors_and_spectrum_agree_where_curvature_is_negative() {
    let mut random = crate::base::random::SplitMix64::new(7);
    let mut by_factors = 0;
    for n in [1, 2, 5, 12, 30] {
        for negative in [1, 2, n] {
            // A tridiagonal matrix with so many negative diagonal entries.
            let row = |i: usize, draw: f64| {
                let mut row = vec![0.0; i + 1];
                row[i] = if i < negative { -1.0 - draw } else { 1.0 + i as f64 * draw };
                if i > 0 {
                    row[i - 1] = 0.3 * draw;
                }
                row
            };
            let mut model = Projected::new(n);
            for i in 0..n {
                model.push(&row(i, random.uniform()), random.uniform() - 0.5);
            }
            for size in [1e-6, 0.1, 1.0, 10.0, 1e6] {
                for subproblem in [Subproblem::Radius(size), Subproblem::Cubic(size)] {
                    let found = model.definite_solution(subproblem);
                    let y = model.coefficients().to_vec();
                    model.eigenvalues();
                    let exact = model.solution(subproblem).unwrap();
                    assert!(n > 1 || found.is_some(), "{negative} {subproblem:?}");
                    if let Some(found) = found {
                        by_factors += 1;
                        let scale = exact.norm.max(f64::MIN_POSITIVE);
                        let worst = y.iter().zip(model.coefficients()).fold(0.0, |l: f64, (y, e)| l.max((y - e).abs()));
                        assert!(worst <= 1e-6 * scale, "{n} {negative} {subproblem:?} {worst}");
                        assert!((found.decrease() / exact.decrease() - 1.0).abs() < 1e-7, "{found:?} {exact:?}");
                        assert!((found.shift / exact.shift - 1.0).abs() < 1e-8, "{found:?} {exact:?}");
                    }
                    model.truncate(n);
                    model.begin();
                }
            }
        }
    }
    assert!(by_factors > 130, "{by_factors} of 150");
}

/// The gradient lacks the lowest eigenvector, and a step at λ = −θ₁ is too short: the spectrum has to answer.
#[test]
fn the_hard_case_is_left_to_the_spectrum() {
    let mut model = Projected::new(3);
    model.push(&[-2.0], 0.0);
    model.push(&[0.0, 1.0], 1.0);
    model.push(&[0.0, 0.5, 3.0], 1.0);
    assert!(model.definite_solution(Subproblem::Radius(10.0)).is_none());
    let solution = model.solution(Subproblem::Radius(10.0)).unwrap();
    assert!(solution.hard_case && (solution.norm - 10.0).abs() < 1e-12 && (solution.shift - 2.0).abs() < 1e-12);
    // Within a small radius it is none.
    model.truncate(3);
    let solution = model.definite_solution(Subproblem::Radius(0.1)).unwrap();
    assert!(solution.shift > 2.0 && (solution.norm - 0.1).abs() < 1e-12);
}

/// No curvature and a far radius: ‖(λI)^½ y‖ leaves the range of numbers, λ does not.
#[test]
fn without_curvature_any_radius_is_reached() {
    let mut model = Projected::new(2);
    model.set_matrix(&[0.0; 4], 1.0, 2);
    model.set_linear([-1.0, -1.0].into_iter());
    for radius in [1e-100, 1.0, 1e100, 1e187, 1e211, 1e290] {
        let solution = model.solution(Subproblem::Radius(radius)).unwrap();
        assert!((solution.norm / radius - 1.0).abs() < 1e-12, "{solution:?}");
        assert!((solution.shift * radius / 2.0_f64.sqrt() - 1.0).abs() < 1e-6, "{radius:e} {solution:?}");
        model.begin();
    }
}

/// A short step from a far shift sees one curvature only; the lowest keeps its sign.
#[test]
fn negative_curvature_is_told_whatever_the_shift() {
    let n = 50;
    let entries: Vec<f64> = (0..n).map(|i| if i == 0 { -1.0 } else { 1.0 }).collect();
    let gradient = vec![1.0 / (n as f64).sqrt(); n];
    for radius in [0.1, 0.01, 0.001] {
        let mut projected = Projected::new(n);
        let matrix: Vec<f64> = (0..n * n).map(|k| if k % n == k / n { entries[k % n] } else { 0.0 }).collect();
        projected.set_matrix(&matrix, 1.0, n);
        projected.set_linear(gradient.iter().copied());
        // The second begins where the first ended, and meets no failure.
        for _ in 0..2 {
            projected.definite_solution(Subproblem::Radius(radius)).unwrap();
            projected.begin();
            assert!(projected.lowest_eigenvalue().unwrap() < 0.0, "{radius}");
        }
        let mut dense = DenseModel::<f64>::new(n);
        assert!(dense.form(&DiagonalOperator(entries.clone()), &gradient));
        dense.solution(Subproblem::Radius(radius)).unwrap();
        assert!(dense.lowest_eigenvalue().unwrap() < 0.0, "{radius}");
    }
}

/// A longer trial may have failed in between: the step that comes back is the one whose value is known.
#[test]
fn the_same_subproblem_has_the_same_solution_to_the_last_bit() {
    let mut random = crate::base::random::SplitMix64::new(3);
    for n in (1..40).map(|k| k % 20 + 1) {
        let mut model = Projected::new(n);
        for i in 0..n {
            let row: Vec<f64> = (0..=i).map(|j| random.normal() - if i == j { 1.0 } else { 0.0 }).collect();
            model.push(&row, random.normal());
        }
        let mut ask = |subproblem| {
            let solution = model.solution(subproblem).unwrap();
            (solution, model.coefficients().to_vec())
        };
        for subproblem in [Subproblem::Radius(10.0), Subproblem::Cubic(0.1)] {
            let first = ask(subproblem);
            ask(Subproblem::Radius(40.0));
            assert_eq!(ask(subproblem), first, "{n}");
        }
    }
}
