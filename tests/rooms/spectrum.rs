//! Spectra against exact ones, and estimates against their standard errors.

use std::f64::consts::PI;

use newton_krylov::spectrum::{End, Lanczos, Status, StochasticQuadrature, diagonal, trace, trace_hutch_plus_plus};
use newton_krylov::{
    Error, Scalar, SymmetricOperator, operator,
    operators::{Counted, DiagonalOperator, Shifted},
};

/// H D H with a reflection H = I − 2ww/wᵀw: the eigenvalues of D, and none of its eigenvectors are axes.
struct Reflected<T> {
    eigenvalues: Vec<f64>,
    w: Vec<f64>,
    scalar: std::marker::PhantomData<T>,
}

impl<T> Reflected<T> {
    fn new(eigenvalues: Vec<f64>) -> Self {
        let w: Vec<f64> = (0..eigenvalues.len()).map(|i| 1.0 + (7.3 * i as f64).sin()).collect();
        let norm = w.iter().map(|w| w * w).sum::<f64>().sqrt();
        Reflected { eigenvalues, w: w.iter().map(|w| w / norm).collect(), scalar: std::marker::PhantomData }
    }

    fn reflect(&self, v: &mut [f64]) {
        let along: f64 = self.w.iter().zip(&*v).map(|(w, v)| w * v).sum();
        v.iter_mut().zip(&self.w).for_each(|(v, w)| *v -= 2.0 * along * w);
    }

    /// Entry i, j of the matrix.
    fn entry(&self, i: usize, j: usize) -> f64 {
        let mut unit = vec![0.0; self.w.len()];
        unit[j] = 1.0;
        self.reflect(&mut unit);
        unit.iter_mut().zip(&self.eigenvalues).for_each(|(v, e)| *v *= e);
        self.reflect(&mut unit);
        unit[i]
    }
}

impl<T: Scalar> SymmetricOperator<T> for Reflected<T> {
    fn dim(&self) -> usize {
        self.w.len()
    }
    fn apply(&self, v: &[T], out: &mut [T]) {
        let mut v: Vec<f64> = v.iter().map(|&v| v.into()).collect();
        self.reflect(&mut v);
        v.iter_mut().zip(&self.eigenvalues).for_each(|(v, e)| *v *= e);
        self.reflect(&mut v);
        out.iter_mut().zip(&v).for_each(|(out, &v)| *out = T::from_f64(v));
    }
}

fn second_differences(dim: usize) -> impl SymmetricOperator<f64> {
    operator(dim, move |v: &[f64], out: &mut [f64]| {
        for i in 0..dim {
            let (left, right) = (if i > 0 { v[i - 1] } else { 0.0 }, if i + 1 < dim { v[i + 1] } else { 0.0 });
            out[i] = 2.0 * v[i] - left - right;
        }
    })
}

fn spectra(dim: usize) -> Vec<(&'static str, Vec<f64>)> {
    let share = |i: usize| i as f64 / (dim - 1) as f64;
    let make = |f: &dyn Fn(usize) -> f64| (0..dim).map(f).collect::<Vec<f64>>();
    vec![
        ("uniform", make(&|i| 1.0 + share(i))),
        ("geometric", make(&|i| 10f64.powf(-4.0 * share(i)))),
        ("clustered", make(&|i| 2f64.powi((i % 10) as i32) * (1.0 + 1e-3 * share(i - i % 10)))),
        ("outliers", make(&|i| if i < 5 { 10.0 * (i + 1) as f64 } else { 1.0 + share(i) })),
        ("indefinite", make(&|i| (i as f64 - 0.3 * dim as f64) * 2.0)),
        ("negative", make(&|i| -3.0 - share(i) * share(i))),
    ]
}

#[test]
fn both_ends_are_found_within_their_bounds() {
    for dim in [60, 700, 2000] {
        for (name, eigenvalues) in spectra(dim) {
            let exact = [f64::min, f64::max].map(|f| eigenvalues.iter().copied().reduce(f).unwrap());
            let m = Counted::new(Reflected::<f64>::new(eigenvalues));
            let ends = Lanczos::default().extremes(&m).unwrap();
            assert_eq!(ends.status, Status::Converged, "{name} {dim}: {ends:?}");
            assert_eq!(ends.products, m.counts().products);
            for (end, exact) in [ends.smallest, ends.largest].iter().zip(exact) {
                let error = (end.value - exact).abs();
                assert!(error <= end.error + 1e-14 * exact.abs(), "{name} {dim}: {end:?}, {exact}");
                assert!(error <= 1e-8 * exact.abs() && end.error <= 1e-8 * end.value.abs(), "{name} {dim}: {end:?}");
            }
            if exact[0] > 0.0 || exact[1] < 0.0 {
                let [small, large] = [exact[0].abs().min(exact[1].abs()), exact[0].abs().max(exact[1].abs())];
                let condition = ends.condition().unwrap();
                assert!(condition.lower <= condition.value && condition.value <= condition.upper);
                assert!(condition.lower <= large / small * (1.0 + 1e-12), "{name}: {condition:?}");
                assert!(large / small <= condition.upper * (1.0 + 1e-12), "{name}: {condition:?}");
                assert!((condition.value * small / large - 1.0).abs() < 2e-8, "{name}: {condition:?}");
            } else {
                assert!(ends.condition().is_none());
            }
        }
    }
}

#[test]
fn a_hundred_thousand_unknowns_take_few_products() {
    let dim = 100_000;
    let share = |i: usize| i as f64 / (dim - 1) as f64;
    let outliers: Vec<f64> = (0..dim).map(|i| if i < 5 { 10.0 * (i + 1) as f64 } else { 1.0 + share(i) }).collect();
    let ends = Lanczos { tolerance: 1e-5, ..Lanczos::default() }.extremes(&DiagonalOperator(outliers)).unwrap();
    assert_eq!(ends.status, Status::Converged);
    let smallest = 1.0 + share(5);
    assert!((ends.smallest.value - smallest).abs() < 1e-8 * smallest, "{ends:?}");
    assert!((ends.largest.value - 50.0).abs() < 1e-8 * 50.0, "{ends:?}");
    assert!(ends.products < 3000, "{ends:?}");
}

#[test]
fn second_differences_have_their_condition_number() {
    let dim = 1000;
    let ends = Lanczos::default().extremes(&second_differences(dim)).unwrap();
    let angle = PI / (2.0 * (dim + 1) as f64);
    let exact = (angle.cos() / angle.sin()).powi(2);
    assert_eq!(ends.status, Status::Converged);
    assert!((ends.condition().unwrap().value / exact - 1.0).abs() < 1e-8);
    // Every unknown is needed for the smallest eigenvalue, and rounding costs few products more.
    assert!(ends.products <= 1100, "{ends:?}");
}

#[test]
fn pairs_are_found_at_every_end() {
    for dim in [40, 300] {
        for (name, eigenvalues) in spectra(dim) {
            let m = Counted::new(Reflected::<f64>::new(eigenvalues.clone()));
            for end in [End::Largest, End::Smallest, End::LargestMagnitude] {
                let mut sorted = eigenvalues.clone();
                match end {
                    End::Largest => sorted.sort_by(|a, b| b.total_cmp(a)),
                    End::Smallest => sorted.sort_by(f64::total_cmp),
                    End::LargestMagnitude => sorted.sort_by(|a, b| b.abs().total_cmp(&a.abs())),
                }
                let before = m.counts().products;
                let pairs = Lanczos::default().eigenpairs(&m, 3, end).unwrap();
                let at = format!("{name} {dim} {end:?}: {:?} {:?} {}", pairs.values, pairs.residuals, pairs.products);
                assert_eq!(pairs.status, Status::Converged, "{at}");
                assert_eq!(pairs.products, m.counts().products - before, "{at}");
                for j in 0..3 {
                    let (theta, v) = (pairs.values[j], pairs.vector(j));
                    assert!((theta - sorted[j]).abs() <= 1e-8 * theta.abs(), "{at}, not {:?}", &sorted[..3]);
                    assert!(pairs.residuals[j] <= 1e-8 * theta.abs());
                    let mut product = vec![0.0; dim];
                    m.apply(v, &mut product);
                    let residual = product.iter().zip(v).map(|(p, v)| (p - theta * v).powi(2)).sum::<f64>().sqrt();
                    assert!(
                        residual <= pairs.residuals[j] + 1e-12 * sorted[0].abs().max(sorted[dim - 1].abs()),
                        "{at}"
                    );
                    for i in 0..=j {
                        let inner: f64 = pairs.vector(i).iter().zip(v).map(|(a, b)| a * b).sum();
                        assert!((inner - f64::from(i == j)).abs() < 1e-12, "{at}: {inner}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_copy_of_an_eigenvalue_counts() {
    // Triples at both ends, and a double one inside.
    for dim in [80, 600] {
        let mut eigenvalues: Vec<f64> = (0..dim).map(|i| 10.0 + i as f64).collect();
        eigenvalues[..3].fill(-7.0);
        eigenvalues[dim - 3..].fill(2.0 * dim as f64);
        eigenvalues[10] = eigenvalues[11];
        let m = Reflected::<f64>::new(eigenvalues.clone());
        for seed in 0..5 {
            let lanczos = Lanczos { seed, ..Lanczos::default() };
            for count in [2, 3, 5] {
                let smallest = lanczos.eigenpairs(&m, count, End::Smallest).unwrap();
                let largest = lanczos.eigenpairs(&m, count, End::Largest).unwrap();
                assert_eq!((smallest.status, largest.status), (Status::Converged, Status::Converged));
                for j in 0..count {
                    let exact = if j < 3 { -7.0 } else { eigenvalues[j] };
                    assert!((smallest.values[j] - exact).abs() < 1e-6, "{count}: {:?}", smallest.values);
                    let exact = eigenvalues[dim - 1 - j];
                    assert!((largest.values[j] - exact).abs() < 1e-4, "{count}: {:?}", largest.values);
                }
            }
        }
    }
}

#[test]
fn more_memory_costs_fewer_products() {
    let m = Reflected::<f64>::new((0..2000).map(|i| f64::from(i * i)).collect());
    let products = [8, 20, 80].map(|basis| {
        let lanczos = Lanczos { basis: Some(basis), ..Lanczos::default() };
        let pairs = lanczos.eigenpairs(&m, 4, End::Largest).unwrap();
        assert_eq!(pairs.status, Status::Converged);
        pairs.products
    });
    assert!(products[0] > products[1] && products[1] > products[2], "{products:?}");
}

#[test]
fn single_precision_is_as_accurate_as_it_says() {
    for (name, eigenvalues) in spectra(800) {
        let exact = [f64::min, f64::max].map(|f| eigenvalues.iter().copied().reduce(f).unwrap());
        let norm = exact[0].abs().max(exact[1].abs());
        let m = Reflected::<f32>::new(eigenvalues);
        let ends = Lanczos::default().extremes(&m).unwrap();
        assert!(matches!(ends.status, Status::Converged | Status::Rounding), "{name}: {ends:?}");
        for (end, exact) in [ends.smallest, ends.largest].iter().zip(exact) {
            assert!((end.value - exact).abs() <= end.error && end.error < 1e-4 * norm, "{name}: {end:?}, {exact}");
        }
        let pairs = Lanczos::default().eigenpairs(&m, 2, End::LargestMagnitude).unwrap();
        assert!(matches!(pairs.status, Status::Converged | Status::Rounding), "{name}: {pairs:?}");
        assert!((pairs.values[0].abs() - norm).abs() < 1e-4 * norm, "{name}: {:?}", pairs.values);
    }
}

#[test]
fn degenerate_matrices_are_no_problem() {
    for dim in [1, 2, 100] {
        let zero = DiagonalOperator(vec![0.0; dim]);
        let ends = Lanczos::default().extremes(&zero).unwrap();
        assert_eq!((ends.smallest.value, ends.largest.value, ends.status), (0.0, 0.0, Status::Converged));
        assert_eq!(ends.condition(), None);
        let pairs = Lanczos::default().eigenpairs(&zero, dim.min(3), End::Smallest).unwrap();
        assert_eq!((pairs.values, pairs.status), (vec![0.0; dim.min(3)], Status::Converged));

        let identity = DiagonalOperator(vec![-2.0; dim]);
        let ends = Lanczos::default().extremes(&identity).unwrap();
        assert!((ends.smallest.value + 2.0).abs() < 1e-14 && (ends.largest.value + 2.0).abs() < 1e-14, "{ends:?}");
        assert!((ends.condition().unwrap().value - 1.0).abs() < 1e-14);
        // The space is invariant at once and goes on from random vectors.
        let pairs = Lanczos::default().eigenpairs(&identity, dim.min(3), End::Largest).unwrap();
        assert_eq!(pairs.status, Status::Converged);
        assert!(pairs.values.iter().all(|v| (v + 2.0).abs() < 1e-14), "{pairs:?}");
    }

    // Singular: zero cannot be had to a relative accuracy, and the condition number is not bounded.
    for dim in [50, 400] {
        let m = Reflected::<f64>::new((0..dim).map(|i| (i as f64 - 20.0).max(0.0)).collect());
        let ends = Lanczos::default().extremes(&m).unwrap();
        assert_eq!(ends.status, Status::Rounding, "{ends:?}");
        assert!(ends.smallest.value.abs() <= ends.smallest.error && ends.smallest.error < 1e-10, "{ends:?}");
        assert_eq!(ends.condition().map(|c| c.upper), Some(f64::INFINITY));
        let pairs = Lanczos::default().eigenpairs(&m, 2, End::Smallest).unwrap();
        assert_eq!(pairs.status, Status::Rounding);
        assert!(pairs.values.iter().all(|v| v.abs() < 1e-10), "{:?}", pairs.values);
    }
}

#[test]
fn faults_are_reported() {
    for dim in [20, 300] {
        let nan = operator(dim, |_: &[f64], out: &mut [f64]| out.fill(f64::NAN));
        let ends = Lanczos::default().extremes(&nan).unwrap();
        assert_eq!((ends.status, ends.largest.error), (Status::NotFinite, f64::INFINITY));
        assert!(ends.largest.value.is_nan() && ends.condition().is_none());
        let pairs = Lanczos::default().eigenpairs(&nan, 2, End::Largest).unwrap();
        assert_eq!((pairs.status, pairs.values.len()), (Status::NotFinite, 0));
        assert!(trace(&nan, 3, 0).unwrap().value.is_nan());
        assert!(trace_hutch_plus_plus(&nan, 9, 0).unwrap().value.is_nan());
        assert!(diagonal(&nan, 2, 0).unwrap().values.iter().all(|v| v.is_nan()));
        let spectrum = StochasticQuadrature::default().of(&nan).unwrap();
        assert_eq!((spectrum.status, spectrum.products), (Status::NotFinite, 1));
        assert!(spectrum.trace_of(|_| 1.0).value.is_nan() && spectrum.range().0.is_nan());

        let asymmetric = operator(dim, |v: &[f64], out: &mut [f64]| {
            (0..v.len()).for_each(|i| out[i] = 2.0 * v[i] + v[(i + 1) % v.len()]);
        });
        let ends = Lanczos::default().extremes(&asymmetric).unwrap();
        assert_eq!((ends.status, ends.smallest.error), (Status::Asymmetric, f64::INFINITY));
        assert!(ends.asymmetry > 0.01);
        let pairs = Lanczos::default().eigenpairs(&asymmetric, 2, End::Largest).unwrap();
        assert_eq!(pairs.status, Status::Asymmetric);
        let spectrum = StochasticQuadrature::default().of(&asymmetric).unwrap();
        assert_eq!(spectrum.status, Status::Asymmetric);
        assert!(spectrum.log_determinant().value.is_nan());
    }

    // A product that fails late: what was found before is kept.
    let calls = std::cell::Cell::new(0);
    let late = operator(300, |v: &[f64], out: &mut [f64]| {
        calls.set(calls.get() + 1);
        (0..300).for_each(|i| out[i] = if calls.get() > 20 { f64::INFINITY } else { i as f64 * v[i] });
    });
    let ends = Lanczos::default().extremes(&late).unwrap();
    assert_eq!((ends.status, ends.products), (Status::NotFinite, 21));
    assert!(ends.largest.value > 200.0 && ends.largest.error == f64::INFINITY);
}

/// Eigenvalues ±5 beside others in [-4, 4]: with the least basis too, each is found, in a number of products that the
/// gap explains.
#[test]
fn ties_of_both_signs_are_confirmed() {
    for gap in [0.0, 1e-14, 1e-6] {
        for (count, basis) in [(1, None), (2, None), (1, Some(3)), (2, Some(4)), (2, Some(8))] {
            let mut values: Vec<f64> = (0..300).map(|i| 4.0 * (0.7 * i as f64).sin()).collect();
            (values[3], values[53]) = (5.0, -5.0 * (1.0 - gap));
            let m = operator(300, |v: &[f64], out: &mut [f64]| (0..300).for_each(|i| out[i] = values[i] * v[i]));
            let lanczos = Lanczos { basis, ..Lanczos::default() };
            let pairs = lanczos.eigenpairs(&m, count, End::LargestMagnitude).unwrap();
            let about = format!("{gap:e} {count} {basis:?}: {pairs:?}");
            assert!(pairs.status.converged() && pairs.products < 1500, "{about}");
            assert!(pairs.values.iter().all(|v| (v.abs() - 5.0).abs() < 1e-5), "{about}");
            assert!(gap < 1e-8 || (pairs.values[0] - 5.0).abs() < 1e-7, "{about}");
            assert!(count < 2 || pairs.values[0] * pairs.values[1] < 0.0, "{about}");
        }
    }
}

#[test]
fn limits_are_kept() {
    let m = Counted::new(second_differences(5000));
    for limit in [1, 2, 37] {
        let lanczos = Lanczos { max_products: limit, ..Lanczos::default() };
        let before = m.counts().products;
        let ends = lanczos.extremes(&m).unwrap();
        assert_eq!((ends.status, ends.products, m.counts().products - before), (Status::MaxProducts, limit, limit));
        let pairs = lanczos.eigenpairs(&m, 2, End::Largest).unwrap();
        assert_eq!((pairs.status, pairs.products), (Status::MaxProducts, limit));
        for (value, residual) in pairs.values.iter().zip(&pairs.residuals) {
            let exact = |j: f64| 4.0 * (j * PI / 10002.0).sin().powi(2);
            let nearest = (1..=5000).map(|j| (exact(f64::from(j)) - value).abs()).fold(f64::INFINITY, f64::min);
            assert!(nearest <= *residual + 1e-14);
        }
    }
}

#[test]
fn mistakes_are_refused() {
    let m = DiagonalOperator(vec![1.0; 5]);
    let none = DiagonalOperator(Vec::<f64>::new());
    let refused = |result: Result<(), Error>, text: &str| assert_eq!(result.unwrap_err().to_string(), text);
    let lanczos = Lanczos::default();
    refused(lanczos.extremes(&none).map(drop), "the operator's dimension is zero: there is nothing to solve for");
    refused(
        lanczos.eigenpairs(&m, 6, End::Largest).map(drop),
        "count is 6, but must be between 1 and the operator's dimension",
    );
    refused(
        Lanczos { basis: Some(3), ..lanczos.clone() }.eigenpairs(&m, 2, End::Largest).map(drop),
        "basis is 3, but must be at least count + 2",
    );
    refused(
        Lanczos { tolerance: f64::NAN, ..lanczos.clone() }.extremes(&m).map(drop),
        "tolerance is NaN, but must be at least 0 and finite",
    );
    refused(Lanczos { max_products: 0, ..lanczos }.extremes(&m).map(drop), "max_products is 0, but must be at least 1");
    refused(trace(&m, 1, 0).map(drop), "probes is 1, but must be at least 2");
    refused(trace_hutch_plus_plus(&m, 5, 0).map(drop), "products is 5, but must be at least 6");
    refused(diagonal(&m, 0, 0).map(drop), "probes is 0, but must be at least 2");
    let quadrature = StochasticQuadrature::default();
    refused(
        StochasticQuadrature { steps: 0, ..quadrature.clone() }.of(&m).map(drop),
        "steps is 0, but must be at least 1",
    );
    let spectrum = quadrature.of(&m).unwrap();
    refused(spectrum.effective_dimension(0.0).map(drop), "lambda is 0, but must be positive and finite");
    refused(spectrum.density(&[0.0], -1.0).map(drop), "width is -1, but must be positive and finite");
    refused(spectrum.density(&[0.0, f64::NAN], 1.0).map(drop), "at[1] is NaN, but must be finite");
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let m = Reflected::<f64>::new((0..500).map(f64::from).collect());
    for seed in [0, 9] {
        let lanczos = Lanczos { seed, ..Lanczos::default() };
        assert_eq!(lanczos.extremes(&m).unwrap(), lanczos.extremes(&m).unwrap());
        assert_eq!(lanczos.eigenpairs(&m, 2, End::Largest), lanczos.eigenpairs(&m, 2, End::Largest));
    }
    assert_ne!(trace(&m, 4, 0).unwrap(), trace(&m, 4, 1).unwrap());
}

/// The share of a hundred seeds whose estimate is within two standard errors of the truth.
fn coverage(exact: f64, estimate: impl Fn(u64) -> (f64, f64)) -> f64 {
    let within = |&seed: &u64| {
        let (value, error) = estimate(seed);
        (value - exact).abs() <= 2.0 * error
    };
    (0..100).filter(within).count() as f64 / 100.0
}

#[test]
fn traces_are_within_their_standard_errors() {
    let dim = 300;
    let eigenvalues: Vec<f64> = (0..dim).map(|i| 5.0 / (1.0 + i as f64).powf(0.75)).collect();
    let m = Reflected::<f64>::new(eigenvalues.clone());
    let single = Reflected::<f32>::new(eigenvalues.clone());
    let exact: f64 = eigenvalues.iter().sum();
    let pair = |e: newton_krylov::spectrum::Estimate| (e.value, e.standard_error);
    let shifted = Shifted { operator: &m, shift: 0.1 };
    let spectrum = |seed| StochasticQuadrature { probes: 30, steps: 40, seed }.of(&shifted).unwrap();
    let spectra: Vec<_> = (0..100).map(spectrum).collect();
    let spectrum = |seed: u64| &spectra[seed as usize];
    let log_determinant: f64 = eigenvalues.iter().map(|v| (v + 0.1).ln()).sum();
    let effective: f64 = eigenvalues.iter().map(|v| (v + 0.1) / (v + 0.6)).sum();
    let counted = eigenvalues.iter().map(|v| 10.0 * (v - 0.2) / (1.0 + 100.0 * (v - 0.2).powi(2))).sum();
    for (name, share) in [
        ("Hutchinson", coverage(exact, |seed| pair(trace(&m, 30, seed).unwrap()))),
        ("Hutchinson, f32", coverage(exact, |seed| pair(trace(&single, 30, seed).unwrap()))),
        ("Hutch++", coverage(exact, |seed| pair(trace_hutch_plus_plus(&m, 90, seed).unwrap()))),
        ("Hutch++, f32", coverage(exact, |seed| pair(trace_hutch_plus_plus(&single, 90, seed).unwrap()))),
        ("log-determinant", coverage(log_determinant, |seed| pair(spectrum(seed).log_determinant()))),
        ("effective dimension", coverage(effective, |seed| pair(spectrum(seed).effective_dimension(0.5).unwrap()))),
        (
            "a function",
            coverage(counted, |seed| {
                pair(spectrum(seed).trace_of(|t| 10.0 * (t - 0.3) / (1.0 + 100.0 * (t - 0.3).powi(2))))
            }),
        ),
    ] {
        println!("{name}: {share}");
        assert!((0.88..=0.99).contains(&share), "{name}: {share}");
    }
}

#[test]
fn a_diagonal_is_within_its_standard_errors() {
    let m = Reflected::<f64>::new((0..100).map(f64::from).collect());
    let mut shares = vec![];
    for i in [0, 17, 99] {
        let exact = m.entry(i, i);
        shares.push(coverage(exact, |seed| {
            let estimate = diagonal(&m, 30, seed).unwrap();
            (estimate.values[i], estimate.standard_errors[i])
        }));
    }
    assert!(shares.iter().all(|share| (0.88..=0.99).contains(share)), "{shares:?}");
}

#[test]
fn hutch_plus_plus_is_better_where_few_eigenvalues_dominate() {
    let m = Reflected::<f64>::new((0..400).map(|i| (1.0 + f64::from(i)).powi(-2)).collect());
    let exact: f64 = m.eigenvalues.iter().sum();
    let (mut plain, mut plus) = (0.0, 0.0);
    for seed in 0..20 {
        plain += (trace(&m, 60, seed).unwrap().value - exact).powi(2);
        let estimate = trace_hutch_plus_plus(&m, 60, seed).unwrap();
        assert_eq!((estimate.products, estimate.probes), (60, 20));
        plus += (estimate.value - exact).powi(2);
    }
    assert!(plus < 0.01 * plain, "{plus} {plain}");
}

#[test]
fn densities_are_those_of_the_spectrum() {
    let dim = 2000;
    let eigenvalues: Vec<f64> = (0..dim).map(|i| if i % 4 == 0 { 3.0 } else { i as f64 / dim as f64 }).collect();
    let m = Reflected::<f64>::new(eigenvalues.clone());
    let spectrum = StochasticQuadrature { probes: 20, ..StochasticQuadrature::default() }.of(&m).unwrap();
    assert_eq!((spectrum.status, spectrum.products), (Status::Converged, 20 * 90));
    let (low, high) = spectrum.range();
    assert!((0.0..0.01).contains(&low) && (high - 3.0).abs() < 1e-10);
    let (width, step) = (0.05, 0.01);
    let at: Vec<f64> = (-50..400).map(|i| f64::from(i) * step).collect();
    let density = spectrum.density(&at, width).unwrap();
    let normal = |t: f64| (-0.5 * (t / width).powi(2)).exp() / (width * (2.0 * PI).sqrt());
    for (&t, found) in at.iter().zip(&density) {
        let exact = eigenvalues.iter().map(|e| normal(t - e)).sum::<f64>() / dim as f64;
        let error = (found.value - exact).abs();
        assert!(error <= 5.0 * found.standard_error + 2.0 * found.truncation + 1e-9, "{t}: {found:?}, {exact}");
        assert!(error < 0.15, "{t}: {found:?}, {exact}");
    }
    let integral: f64 = density.iter().map(|d| d.value * step).sum();
    assert!((integral - 1.0).abs() < 1e-6, "{integral}");
    // tr I is exact, tr M that of the rules' first moments.
    assert!((spectrum.trace_of(|_| 1.0).value - dim as f64).abs() < 1e-9);
}

#[test]
fn quadrature_is_exact_where_the_space_is_invariant() {
    // Three different eigenvalues need three steps, and their sum function is exact on the diagonal.
    let m = DiagonalOperator((0..90).map(|i| [1.0, 4.0, 9.0][i % 3]).collect());
    let spectrum = StochasticQuadrature { probes: 2, ..StochasticQuadrature::default() }.of(&m).unwrap();
    assert_eq!(spectrum.products, 6);
    let found = spectrum.trace_of(f64::sqrt);
    assert!(
        (found.value - 180.0).abs() < 1e-10 && found.standard_error < 1e-10 && found.truncation == 0.0,
        "{found:?}"
    );
    let one = StochasticQuadrature::default().of(&DiagonalOperator(vec![2.0])).unwrap();
    assert!((one.log_determinant().value - 2.0_f64.ln()).abs() < 1e-15);
    assert!((one.effective_dimension(2.0).unwrap().value - 0.5).abs() < 1e-15);
    // Indefinite and singular matrices have no logarithm of their determinant.
    let indefinite = StochasticQuadrature::default().of(&DiagonalOperator(vec![1.0, -2.0])).unwrap();
    assert!(indefinite.log_determinant().value.is_nan());
    assert!(indefinite.effective_dimension(1.0).unwrap().value.is_nan());
    let zero = StochasticQuadrature::default().of(&DiagonalOperator(vec![0.0; 4])).unwrap();
    assert_eq!(zero.log_determinant().value, f64::NEG_INFINITY);
    assert_eq!(zero.effective_dimension(1.0).unwrap().value, 0.0);
}

/// Up to 64 products the matrix is formed, which costs just d of them; one unknown more, and it is Lanczos' method.
#[test]
fn small_matrices_are_formed() {
    for dim in [64, 65] {
        let u: Vec<f64> = (0..dim).map(|i| (1.7 * i as f64).sin()).collect();
        let m = operator(dim, |v: &[f64], out: &mut [f64]| {
            let along: f64 = u.iter().zip(v).map(|(u, v)| u * v).sum();
            (0..dim).for_each(|i| out[i] = (i + 1) as f64 * v[i] + along * u[i]);
        });
        let pairs = Lanczos::default().eigenpairs(&m, 2, End::Largest).unwrap();
        assert!(pairs.status.converged() && (pairs.products == dim) == (dim == 64), "{dim} {}", pairs.products);
    }
}
