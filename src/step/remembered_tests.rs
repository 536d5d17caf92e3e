//! The remembered model against a dense matrix that makes the same updates.

use super::remembered::RememberedModel;
use super::spectral::Subproblem;
use crate::base::{Scalar, SplitMix64};

/// Bv for every unit vector v, by columns.
fn whole<T: Scalar>(model: &mut RememberedModel<T>, d: usize) -> Vec<f64> {
    let mut out = vec![T::zero(); d];
    (0..d)
        .flat_map(|j| {
            let unit: Vec<T> = (0..d).map(|i| if i == j { T::one() } else { T::zero() }).collect();
            model.product(&unit, &mut out);
            out.iter().map(|&v| v.into()).collect::<Vec<f64>>()
        })
        .collect()
}

fn vector<T: Scalar>(d: usize, random: &mut SplitMix64) -> Vec<T> {
    (0..d).map(|_| T::from_f64(random.normal())).collect()
}

/// y = Ms with the symmetric M that has 1 + i on its diagonal and `corner` in its corners.
fn multiply<T: Scalar>(s: &[T], corner: f64) -> Vec<T> {
    let d = s.len();
    let at = |i: usize| -> f64 { s[i].into() };
    (0..d)
        .map(|i| {
            let far = if i == 0 || i == d - 1 { corner * at(d - 1 - i) } else { 0.0 };
            T::from_f64((1 + i) as f64 * at(i) + far)
        })
        .collect()
}

fn learns_a_matrix<T: Scalar>(unit: f64, tolerance: f64) {
    let d = 8;
    let mut random = SplitMix64::new(3);
    let mut model = RememberedModel::<T>::new(d, d);
    for learnt in 1..=2 * d {
        let s = vector::<T>(d, &mut random);
        let y: Vec<T> = multiply(&s, 2.0).iter().map(|&y| T::from_f64(unit * y.into())).collect();
        model.learn(&s, &y);
        // The secant equation of the pair just learnt.
        let mut product = vec![T::zero(); d];
        model.product(&s, &mut product);
        let size: f64 = y.iter().map(|&y| y.into().abs()).fold(0.0, f64::max);
        let far = product.iter().zip(&y).map(|(&p, &y)| (p.into() - y.into()).abs()).fold(0.0, f64::max);
        assert!(far <= tolerance * size, "{learnt} {far:e} {size:e}");
    }
    // Enough pairs: B is M.
    let b = whole(&mut model, d);
    for j in 0..d {
        let column = multiply(&(0..d).map(|i| if i == j { T::one() } else { T::zero() }).collect::<Vec<T>>(), 2.0);
        for i in 0..d {
            let exact: f64 = column[i].into();
            assert!((b[j * d + i] / unit - exact).abs() <= 30.0 * tolerance, "{i} {j} {} {exact}", b[j * d + i] / unit);
        }
    }
    // And its solutions are M's, which is positive definite; with λ, and within a radius.
    let g = vector::<T>(d, &mut random);
    let mut step = vec![T::zero(); d];
    for subproblem in [Subproblem::Damped(0.5 * unit), Subproblem::Radius(0.05 / unit)] {
        let solution = model.solution(subproblem, &g, &mut step).unwrap();
        let product = multiply(&step, 2.0);
        for i in 0..d {
            let (m, x, g): (f64, f64, f64) = (product[i].into(), step[i].into(), g[i].into());
            assert!((unit * m + solution.shift * x + g).abs() <= 30.0 * tolerance, "{subproblem:?}");
        }
        // The preconditioner for the same shift is that inverse.
        let mut r = g.clone();
        model.precondition(solution.shift, &mut r);
        assert!(r.iter().zip(&step).all(|(&r, &x)| (r.into() + x.into()).abs() <= 30.0 * tolerance / unit));
    }
}

#[test]
fn pairs_of_a_matrix_teach_the_matrix() {
    learns_a_matrix::<f64>(1.0, 1e-10);
    learns_a_matrix::<f64>(1e-150, 1e-10);
    learns_a_matrix::<f64>(1e120, 1e-10);
    learns_a_matrix::<f32>(1.0, 1e-4);
    learns_a_matrix::<f32>(1e20, 1e-4);
}

/// Less room than unknowns: along axes with curvature −5, 1000 and a little above 1, the last pair holds and the extremes
/// are kept.
fn forgets_the_middle<T: Scalar>(tolerance: f64) {
    let (d, capacity) = (300, 12);
    let mut model = RememberedModel::<T>::new(d, capacity);
    let curvature =
        |i: usize| [(7, -5.0), (100, 1000.0)].iter().find(|c| c.0 == i).map_or(1.0 + 0.01 * i as f64, |c| c.1);
    for i in [1, 7, 100].into_iter().chain(20..60) {
        let s: Vec<T> = (0..d).map(|j| if i == j { T::one() } else { T::zero() }).collect();
        let y: Vec<T> = s.iter().map(|&s| T::from_f64(curvature(i)) * s).collect();
        model.learn(&s, &y);
        let mut product = vec![T::zero(); d];
        model.product(&s, &mut product);
        assert!(product.iter().zip(&y).all(|(&p, &y)| (p.into() - y.into()).abs() <= tolerance), "{i}");
    }
    let b = whole(&mut model, d);
    for i in [7, 100] {
        assert!((b[i * d + i] - curvature(i)).abs() <= 1000.0 * tolerance, "{i} {}", b[i * d + i]);
    }
    assert!((0..d).all(|i| (0..d).all(|j| (b[j * d + i] - b[i * d + j]).abs() <= 1000.0 * tolerance)));
    // Indefinite: the step to the boundary is a descent along the seventh axis.
    let g: Vec<T> = (0..d).map(|i| T::from_f64((i as f64).cos())).collect();
    let mut step = vec![T::zero(); d];
    let solution = model.solution(Subproblem::Radius(100.0), &g, &mut step).unwrap();
    assert!(solution.on_boundary && solution.shift > 4.9 && solution.decrease() > 0.0);
}

#[test]
fn a_full_model_keeps_what_is_extreme() {
    forgets_the_middle::<f64>(1e-10);
    forgets_the_middle::<f32>(1e-4);
}

/// The model of a formed matrix is that matrix, and goes on learning.
#[test]
fn a_formed_matrix_is_remembered_whole() {
    let d = 20;
    let matrix: Vec<f64> = (0..d * d).map(|k| if k % (d + 1) == 0 { 2.0 } else { 0.01 }).collect();
    let mut model = RememberedModel::<f64>::new(d, 5);
    model.learn_matrix(&matrix, 4.0);
    let b = whole(&mut model, d);
    assert!(b.iter().zip(&matrix).all(|(b, m)| (b - 4.0 * m).abs() < 1e-14));
    let s: Vec<f64> = (0..d).map(|i| (i as f64).cos()).collect();
    let y: Vec<f64> = s.iter().map(|s| 3.0 * s).collect();
    model.learn(&s, &y);
    let mut product = vec![0.0; d];
    model.product(&s, &mut product);
    assert!(product.iter().zip(&y).all(|(p, y)| (p - y).abs() < 1e-13));
}

/// Where pairs are close to each other, hardly anything of one lies outside U: what rounding leaves in U has to go as well,
/// or it grows from pair to pair.
#[test]
fn nearly_parallel_pairs_are_learnt_to_rounding() {
    let (d, capacity) = (60, 30);
    let mut random = SplitMix64::new(5);
    let mut model = RememberedModel::<f64>::new(d, capacity);
    let (common, mut product) = (vector::<f64>(d, &mut random), vec![0.0; d]);
    for pair in 0..4 * d {
        let s: Vec<f64> = common.iter().map(|c| c + 1e-3 * random.normal()).collect();
        // Matrices that change from pair to pair, as Hessians do: both formulas have their turn.
        let y = multiply(&s, (pair % 7) as f64 - 3.0);
        model.learn(&s, &y);
        model.product(&s, &mut product);
        let size = y.iter().fold(0.0, |l: f64, y| l.max(y.abs()));
        let far = product.iter().zip(&y).fold(0.0, |l: f64, (p, y)| l.max((p - y).abs()));
        assert!(far <= 1e-10 * size, "{pair} {far:e} {size:e}");
    }
}
