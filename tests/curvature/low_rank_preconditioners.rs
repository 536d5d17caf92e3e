//! The Nyström and the limited-memory preconditioner against dense matrices.

use std::cell::{Cell, RefCell};

use faer::Mat;
use newton_krylov::{
    Scalar, SymmetricOperator, damped_step, operator,
    operators::DiagonalOperator,
    preconditioners::{
        LimitedMemoryPreconditioner, NystromPreconditioner, Preconditioned, Preconditioner, ProductRecord,
    },
    random::SplitMix64,
};

/// A symmetric matrix with these eigenvalues: two random reflections of the diagonal.
fn with_spectrum(spectrum: &[f64], seed: u64) -> Mat<f64> {
    let n = spectrum.len();
    let mut random = SplitMix64::new(seed);
    let mut m = Mat::from_fn(n, n, |i, j| if i == j { spectrum[i] } else { 0.0 });
    for _ in 0..2 {
        let w = Mat::from_fn(n, 1, |_, _| random.normal());
        let reflection =
            Mat::<f64>::identity(n, n) - w.as_ref() * w.transpose() * faer::Scale(2.0 / w.squared_norm_l2());
        m = &reflection * &m * &reflection;
    }
    Mat::from_fn(n, n, |i, j| 0.5 * (m[(i, j)] + m[(j, i)]))
}

/// v ↦ Mv, computed in f64.
fn dense<T: Scalar>(m: &Mat<f64>) -> impl SymmetricOperator<T> + '_ {
    operator(m.nrows(), move |v: &[T], out: &mut [T]| {
        for (i, out) in out.iter_mut().enumerate() {
            *out = T::from_f64((0..v.len()).map(|j| m[(i, j)] * v[j].into()).sum());
        }
    })
}

/// P⁻¹, column by column.
fn inverse<T: Scalar>(p: &impl Preconditioner<T>, shift: f64, n: usize) -> Mat<f64> {
    let mut out = Mat::zeros(n, n);
    for j in 0..n {
        let mut r: Vec<T> = (0..n).map(|i| T::from_f64((i == j) as u8 as f64)).collect();
        p.precondition(shift, &mut r);
        (0..n).for_each(|i| out[(i, j)] = r[i].into());
    }
    out
}

fn shifted(m: &Mat<f64>, shift: f64) -> Mat<f64> {
    m + Mat::<f64>::identity(m.nrows(), m.nrows()) * faer::Scale(shift)
}

/// The eigenvalues of P⁻¹(M + λI), which are those of Cᵀ(M + λI)C with P⁻¹ = CCᵀ, rising. P⁻¹ must be definite.
fn preconditioned_spectrum(inverse: &Mat<f64>, m: &Mat<f64>, shift: f64) -> Vec<f64> {
    let symmetric = Mat::from_fn(m.nrows(), m.nrows(), |i, j| 0.5 * (inverse[(i, j)] + inverse[(j, i)]));
    let c = symmetric.llt(faer::Side::Lower).expect("P⁻¹ is positive definite").L().to_owned();
    (c.transpose() * shifted(m, shift) * &c).self_adjoint_eigenvalues(faer::Side::Lower).unwrap()
}

fn assert_close(a: &Mat<f64>, b: &Mat<f64>, tolerance: f64) {
    let difference = (a - b).norm_max();
    assert!(difference <= tolerance * b.norm_max(), "{difference:e} of {:e}", b.norm_max());
}

fn falling(n: usize, ratio: f64) -> Vec<f64> {
    (0..n).map(|i| 100.0 * ratio.powi(i as i32)).collect()
}

fn nystrom_of_rank_d_is_the_inverse<T: Scalar>(tolerance: f64) {
    for (n, rank) in [(1, 1), (1, 5), (2, 2), (40, 40), (40, 41)] {
        let spectrum = falling(n, 0.9);
        let m = with_spectrum(&spectrum, 3);
        let p = NystromPreconditioner::<T>::of(&dense(&m), rank, 1).unwrap();
        for shift in [0.0, 1e-2, 10.0] {
            // (λ_d + λ)(M + λI)⁻¹
            let expected = shifted(&m, shift).full_piv_lu().inverse_of() * faer::Scale(spectrum[n - 1] + shift);
            assert_close(&inverse(&p, shift, n), &expected, tolerance);
        }
        assert_eq!(p.eigenvalues().len(), n);
    }
}

trait Inverse {
    fn inverse_of(&self) -> Mat<f64>;
}

impl Inverse for faer::linalg::solvers::FullPivLu<f64> {
    fn inverse_of(&self) -> Mat<f64> {
        use faer::linalg::solvers::DenseSolveCore;
        self.inverse()
    }
}

#[test]
fn a_sketch_of_every_direction_inverts() {
    nystrom_of_rank_d_is_the_inverse::<f64>(1e-10);
    nystrom_of_rank_d_is_the_inverse::<f32>(1e-4);
}

fn nystrom_of_a_singular_matrix_is_exact<T: Scalar>(tolerance: f64) {
    let n = 50;
    for rank in 1..=7 {
        let spectrum: Vec<f64> = (0..n).map(|i| if i < rank { 5.0 + i as f64 } else { 0.0 }).collect();
        let m = with_spectrum(&spectrum, 4);
        let p = NystromPreconditioner::<T>::of(&dense(&m), 12, 9).unwrap();
        assert_eq!(p.eigenvalues().len(), rank);
        for (found, expected) in p.eigenvalues().iter().zip(spectrum[..rank].iter().rev()) {
            assert!((found - expected).abs() < tolerance * expected, "{found} {expected}");
        }
        // λ_ℓ = 0: λ(M + λI)⁻¹
        let expected = shifted(&m, 0.1).full_piv_lu().inverse_of() * faer::Scale(0.1);
        assert_close(&inverse(&p, 0.1, n), &expected, tolerance);
        // Without a damping it is still definite.
        assert!(preconditioned_spectrum(&inverse(&p, 0.0, n), &Mat::zeros(n, n), 1.0)[0] > 0.0);
    }
}

#[test]
fn a_singular_matrix_of_lower_rank_is_found_exactly() {
    nystrom_of_a_singular_matrix_is_exact::<f64>(1e-9);
    nystrom_of_a_singular_matrix_is_exact::<f32>(1e-3);
}

/// Frangella, Tropp & Udell, theorem 1.1: E κ ≤ 28 for ℓ ≥ 2⌈1.5 d_eff⌉ + 1.
#[test]
fn the_condition_number_is_bounded_as_published() {
    let (n, shift) = (120, 1e-2);
    let spectrum = falling(n, 0.7);
    let m = with_spectrum(&spectrum, 5);
    let effective: f64 = spectrum.iter().map(|s| s / (s + shift)).sum();
    let rank = 2 * (1.5 * effective).ceil() as usize + 1;
    assert!(rank < n - 20, "{rank}");
    let mut mean = 0.0;
    for seed in 0..10 {
        let p = NystromPreconditioner::<f64>::of(&dense(&m), rank, seed).unwrap();
        let found = preconditioned_spectrum(&inverse(&p, shift, n), &m, shift);
        mean += found[n - 1] / found[0] / 10.0;
        // An approximation from below.
        assert!(p.eigenvalues().iter().zip(&spectrum).all(|(found, exact)| *found <= exact * (1.0 + 1e-9)));
        assert!((p.eigenvalues()[0] / spectrum[0] - 1.0).abs() < 1e-9);
    }
    assert!(mean <= 28.0, "{mean}");
    // A lower rank leaves more, but never more than there was.
    let p = NystromPreconditioner::<f64>::of(&dense(&m), 8, 1).unwrap();
    let found = preconditioned_spectrum(&inverse(&p, shift, n), &m, shift);
    assert!(found[n - 1] / found[0] < 0.5 * (spectrum[0] + shift) / shift);
}

#[test]
fn a_sketch_of_what_is_indefinite_zero_or_not_finite_is_definite() {
    let n = 30;
    let m = with_spectrum(&(0..n).map(|i| i as f64 - 20.0).collect::<Vec<_>>(), 6);
    for rank in [3, 10, 30] {
        let p = NystromPreconditioner::<f64>::of(&dense(&m), rank, 2).unwrap();
        assert!(p.eigenvalues().iter().all(|&value| value > 0.0));
        for shift in [0.0, 1.0] {
            assert!(preconditioned_spectrum(&inverse(&p, shift, n), &Mat::zeros(n, n), 1.0)[0] > 0.0);
        }
    }
    for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let p = NystromPreconditioner::<f64>::of(&DiagonalOperator(vec![value; n]), 4, 2).unwrap();
        assert!(p.eigenvalues().is_empty(), "{value}");
        assert_eq!(inverse(&p, 1.0, n), Mat::<f64>::identity(n, n));
    }
    assert!(NystromPreconditioner::<f64>::new(0, 1).is_err());
}

#[test]
fn a_sketch_makes_as_many_products_as_its_rank() {
    let made = Cell::new(0);
    let counting = operator(9, |v: &[f64], out: &mut [f64]| {
        made.set(made.get() + 1);
        out.copy_from_slice(v);
    });
    for (rank, products) in [(1, 1), (4, 4), (9, 9), (20, 9)] {
        made.set(0);
        NystromPreconditioner::of(&counting, rank, 1).unwrap();
        assert_eq!(made.get(), products);
    }
}

/// The products of conjugate gradients on (M + λI)x = b, as they are made.
fn conjugate_directions(m: &Mat<f64>, shift: f64, count: usize) -> Vec<[Mat<f64>; 2]> {
    let n = m.nrows();
    let mut random = SplitMix64::new(11);
    let a = shifted(m, shift);
    let mut r = Mat::from_fn(n, 1, |_, _| random.normal());
    let (mut p, mut pairs) = (r.clone(), vec![]);
    for _ in 0..count {
        let ap = &a * &p;
        let before = r.squared_norm_l2();
        let alpha = before / (p.transpose() * &ap)[(0, 0)];
        r -= &ap * faer::Scale(alpha);
        pairs.push([p.clone(), m * &p]);
        p = &r + &p * faer::Scale(r.squared_norm_l2() / before);
    }
    pairs
}

fn record<T: Scalar>(pairs: &[[Mat<f64>; 2]], most: usize) -> ProductRecord<T> {
    let mut record = ProductRecord::new(most).unwrap();
    for [v, mv] in pairs {
        let [v, mv] = [v, mv].map(|m| (0..m.nrows()).map(|i| T::from_f64(m[(i, 0)])).collect::<Vec<_>>());
        record.see(&v, &mv);
    }
    record
}

/// Nocedal & Wright, *Numerical Optimization*, algorithm 7.4, with s = p and y = (M + λI)p.
fn two_loops(pairs: &[[Mat<f64>; 2]], shift: f64, r: &Mat<f64>) -> Mat<f64> {
    let dot = |a: &Mat<f64>, b: &Mat<f64>| (a.transpose() * b)[(0, 0)];
    let pairs: Vec<_> = pairs.iter().map(|[s, ms]| [s.clone(), ms + s * faer::Scale(shift)]).collect();
    let (mut q, mut alphas) = (r.clone(), vec![]);
    for [s, y] in pairs.iter().rev() {
        let alpha = dot(s, &q) / dot(s, y);
        q -= y * faer::Scale(alpha);
        alphas.push(alpha);
    }
    let [s, y] = pairs.last().unwrap();
    q *= faer::Scale(dot(s, y) / dot(y, y));
    for ([s, y], alpha) in pairs.iter().zip(alphas.iter().rev()) {
        let beta = dot(y, &q) / dot(s, y);
        q += s * faer::Scale(alpha - beta);
    }
    q
}

fn with_conjugate_pairs_it_is_lbfgs<T: Scalar>(tolerance: f64) {
    let n = 60;
    let m = with_spectrum(&falling(n, 0.8), 7);
    let shift = 1e-2;
    let pairs = conjugate_directions(&m, shift, 6);
    let p = LimitedMemoryPreconditioner::<T>::from_record(record(&pairs, 6)).unwrap();
    let expected = Mat::from_fn(n, n, |i, j| {
        let unit = Mat::from_fn(n, 1, |k, _| (k == j) as u8 as f64);
        two_loops(&pairs, shift, &unit)[(i, 0)]
    });
    assert_close(&inverse(&p, shift, n), &expected, tolerance);
}

#[test]
fn for_conjugate_directions_it_is_the_lbfgs_matrix() {
    with_conjugate_pairs_it_is_lbfgs::<f64>(1e-9);
    with_conjugate_pairs_it_is_lbfgs::<f32>(1e-3);
}

#[test]
fn products_become_steps_and_the_spectrum_is_deflated_for_every_damping() {
    let (n, count) = (60, 9);
    let m = with_spectrum(&falling(n, 0.8), 8);
    let mut random = SplitMix64::new(12);
    let pairs: Vec<_> = (0..count)
        .map(|_| {
            let v = Mat::from_fn(n, 1, |_, _| random.normal());
            [v.clone(), &m * &v]
        })
        .collect();
    let p = LimitedMemoryPreconditioner::<f64>::from_record(record(&pairs, 20)).unwrap();
    for shift in [0.0, 0.1, 10.0] {
        let inverse = inverse(&p, shift, n);
        for [s, ms] in &pairs {
            assert_close(&(&inverse * (ms + s * faer::Scale(shift))), s, 1e-7);
        }
        let [s, ms] = &pairs[count - 1];
        let y = ms + s * faer::Scale(shift);
        let gamma = (s.transpose() * &y)[(0, 0)] / y.squared_norm_l2();
        let found = preconditioned_spectrum(&inverse, &m, shift);
        let ones = found.iter().filter(|&&value| (value - 1.0).abs() < 1e-7).count();
        assert!(ones >= count, "{ones}: {found:?}");
        let bounds = [gamma * (100.0 * 0.8_f64.powi(59) + shift), gamma * (100.0 + shift)];
        let inside = |&value: &f64| {
            (value - 1.0).abs() < 1e-7 || (bounds[0] * (1.0 - 1e-7)..bounds[1] * (1.0 + 1e-7)).contains(&value)
        };
        assert!(found.iter().all(inside), "{bounds:?} {found:?}");
    }
}

#[test]
fn pairs_that_depend_on_each_other_add_nothing() {
    let n = 20;
    let m = with_spectrum(&falling(n, 0.7), 9);
    let pairs = conjugate_directions(&m, 0.0, 3);
    let [p, q, r] = [&pairs[0], &pairs[1], &pairs[2]];
    let sum = [&p[0] + &q[0], &p[1] + &q[1]];
    let with = |pairs: &[&[Mat<f64>; 2]]| {
        let pairs: Vec<_> = pairs.iter().map(|&pair| pair.clone()).collect();
        inverse(&LimitedMemoryPreconditioner::<f64>::from_record(record(&pairs, 8)).unwrap(), 0.0, n)
    };
    assert_close(&with(&[p, q, &sum, p, r]), &with(&[p, q, r]), 1e-7);
    // As many as there are unknowns, and more: the inverse.
    let all = conjugate_directions(&with_spectrum(&[4.0, 2.0, 1.0], 1), 0.0, 3);
    let three = with_spectrum(&[4.0, 2.0, 1.0], 1);
    let twice: Vec<_> = all.iter().chain(&all).cloned().collect();
    let p = LimitedMemoryPreconditioner::<f64>::from_record(record(&twice, 8)).unwrap();
    assert_close(&inverse(&p, 0.5, 3), &shifted(&three, 0.5).full_piv_lu().inverse_of(), 1e-9);
}

#[test]
fn pairs_of_what_is_indefinite_or_zero_leave_it_definite() {
    let n = 25;
    let m = with_spectrum(&(0..n).map(|i| i as f64 - 12.0).collect::<Vec<_>>(), 2);
    let mut random = SplitMix64::new(13);
    let pairs: Vec<_> = (0..10)
        .map(|_| {
            let v = Mat::from_fn(n, 1, |_, _| random.normal());
            [v.clone(), &m * &v]
        })
        .collect();
    for shift in [0.0, 3.0, 20.0] {
        let p = LimitedMemoryPreconditioner::<f64>::from_record(record(&pairs, 10)).unwrap();
        assert!(preconditioned_spectrum(&inverse(&p, shift, n), &Mat::zeros(n, n), 1.0)[0] > 0.0, "{shift}");
    }
    let nothing = vec![[Mat::from_fn(n, 1, |i, _| i as f64), Mat::zeros(n, 1)]];
    let p = LimitedMemoryPreconditioner::<f64>::from_record(record(&nothing, 10)).unwrap();
    assert_eq!(inverse(&p, 0.0, n), Mat::<f64>::identity(n, n));
    // M + λI = λI there and γ = 1/λ.
    assert_close(&inverse(&p, 0.25, n), &(Mat::<f64>::identity(n, n) * faer::Scale(4.0)), 1e-12);
    let none = LimitedMemoryPreconditioner::<f64>::from_record(ProductRecord::new(3).unwrap()).unwrap();
    assert_eq!(inverse(&none, 0.25, n), Mat::<f64>::identity(n, n));
    assert!(
        LimitedMemoryPreconditioner::<f64>::new(0).is_err() && LimitedMemoryPreconditioner::<f64>::new(33).is_err()
    );
}

/// Fewer products with either, for the same answer.
#[test]
fn steps_take_fewer_products() {
    let n = 400;
    let spectrum: Vec<f64> = (0..n).map(|i| if i < 15 { 1e5 / (i + 1) as f64 } else { 1.0 / (i + 1) as f64 }).collect();
    let m = DiagonalOperator(spectrum);
    let gradient: Vec<f64> = (0..n).map(|i| (1.3 * i as f64).sin()).collect();
    let seen = RefCell::new(ProductRecord::new(32).unwrap());
    let recorded = operator(n, |v: &[f64], out: &mut [f64]| {
        m.apply(v, out);
        seen.borrow_mut().see(v, out);
    });
    let plain = damped_step(&recorded, &gradient, 0.05).unwrap();
    let pairs = LimitedMemoryPreconditioner::from_record(seen.into_inner()).unwrap();
    let sketch = NystromPreconditioner::of(&m, 30, 1).unwrap();
    let with_pairs = damped_step(&Preconditioned { operator: &m, preconditioner: pairs }, &gradient, 0.05).unwrap();
    let with_sketch = damped_step(&Preconditioned { operator: &m, preconditioner: sketch }, &gradient, 0.05).unwrap();
    assert!(2 * with_pairs.products < plain.products, "{} {}", with_pairs.products, plain.products);
    assert!(2 * with_sketch.products < plain.products, "{} {}", with_sketch.products, plain.products);
}
