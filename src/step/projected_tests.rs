//! Small models answered by factors and by spectra.

use super::projected::Projected;
use super::spectral::Subproblem;

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
