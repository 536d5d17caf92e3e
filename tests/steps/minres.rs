//! MINRES against systems whose solutions are known from their eigenpairs.

use std::cell::Cell;

use crate::vectors::{dot, norm};
use newton_krylov::{
    Error, Scalar, SymmetricOperator, minres, operator,
    operators::{Counted, DiagonalOperator, FnOperator},
    random::SplitMix64,
    steps::{MinresOptions, MinresOutcome, MinresReport},
};

/// A = QΘQᵀ, where Q is a product of three Householder reflectors: eigenpairs, solutions and residuals are known.
struct Spectral {
    eigenvalues: Vec<f64>,
    reflectors: [Vec<f64>; 3],
}

impl Spectral {
    fn new(eigenvalues: Vec<f64>, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let reflectors = std::array::from_fn(|_| {
            let v: Vec<f64> = eigenvalues.iter().map(|_| random.uniform()).collect();
            let size = norm(&v);
            v.iter().map(|v| v / size).collect()
        });
        Spectral { eigenvalues, reflectors }
    }

    fn dim(&self) -> usize {
        self.eigenvalues.len()
    }

    fn reflect<'a>(reflectors: impl Iterator<Item = &'a Vec<f64>>, x: &mut [f64]) {
        for v in reflectors {
            let twice = 2.0 * dot(v, x);
            x.iter_mut().zip(v).for_each(|(x, v)| *x -= twice * v);
        }
    }

    /// Q(f(θ) ∘ Qᵀx).
    fn function(&self, x: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut y = x.to_vec();
        Self::reflect(self.reflectors.iter(), &mut y);
        y.iter_mut().zip(&self.eigenvalues).for_each(|(y, &theta)| *y *= f(theta));
        Self::reflect(self.reflectors.iter().rev(), &mut y);
        y
    }

    /// The operator in either precision, its matrix being rounded to T.
    fn operator<T: Scalar>(&self) -> FnOperator<impl Fn(&[T], &mut [T])> {
        let dim = self.dim();
        let mut matrix = vec![T::zero(); dim * dim];
        for j in 0..dim {
            let mut e = vec![0.0; dim];
            e[j] = 1.0;
            for (i, a) in self.function(&e, |theta| theta).into_iter().enumerate().skip(j) {
                (matrix[j * dim + i], matrix[i * dim + j]) = (T::from_f64(a), T::from_f64(a));
            }
        }
        operator(dim, move |v: &[T], out: &mut [T]| {
            for (out, row) in out.iter_mut().zip(matrix.chunks(dim)) {
                *out = T::from_f64(row.iter().zip(v).map(|(&a, &v)| a.into() * v.into()).sum::<f64>());
            }
        })
    }
}

struct Random(SplitMix64);

impl Random {
    fn new(seed: u64) -> Self {
        Random(SplitMix64::new(seed))
    }
    /// A number in [−1, 1).
    fn uniform(&mut self) -> f64 {
        2.0 * self.0.uniform() - 1.0
    }
    fn vector(&mut self, dim: usize) -> Vec<f64> {
        (0..dim).map(|_| self.uniform()).collect()
    }
    /// Signs at random, sizes from 1/κ to 1.
    fn indefinite(&mut self, dim: usize, condition: f64) -> Vec<f64> {
        let size = |i: usize| condition.powf(-(i as f64) / (dim.max(2) - 1) as f64);
        (0..dim).map(|i| size(i).copysign(self.uniform())).collect()
    }
}

fn f64s<T: Scalar>(a: &[T]) -> Vec<f64> {
    a.iter().map(|&a| a.into()).collect()
}

fn of<T: Scalar>(a: &[f64]) -> Vec<T> {
    a.iter().map(|&a| T::from_f64(a)).collect()
}

fn difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

fn options(tolerance: f64) -> MinresOptions {
    MinresOptions { tolerance, ..MinresOptions::default() }
}

/// Solves (A + λI)δ = −g; checks what must hold of any solution.
fn solve<T: Scalar>(a: &Spectral, g: &[f64], damping: f64, options: &MinresOptions) -> MinresReport<T> {
    let counted = Counted::new(a.operator::<T>());
    let gradient = of::<T>(g);
    let solution = minres(&counted, &gradient, damping, options).unwrap();
    assert_eq!(solution.products, counted.counts().products);
    let most = if options.max_products == 0 { 5 * a.dim() } else { options.max_products };
    assert!(solution.products <= most, "{} products of {most}", solution.products);

    let (step, g) = (f64s(&solution.step), f64s(&gradient));
    let residual = norm(&residual(a, &g, damping, &step));
    let largest = a.eigenvalues.iter().fold(damping.abs(), |m, t| m.max(t.abs()));
    let rounding = 100.0 * T::epsilon_f64() * (norm(&g) + largest * norm(&step));
    assert!((residual - solution.residual_norm).abs() <= rounding, "{residual} {}", solution.residual_norm);
    assert!(solution.residual_norm <= norm(&g) * (1.0 + 1e-6));
    if solution.outcome == MinresOutcome::Accurate {
        assert!(solution.residual_norm <= options.tolerance * norm(&g) * (1.0 + 1e-6));
    }
    if let Some(along) = &solution.nonpositive_curvature {
        let direction = f64s(&along.direction);
        let curvature = dot(&direction, &a.function(&direction, |theta| theta + damping));
        let rounding = 1e3 * T::epsilon_f64() * (largest + damping.abs());
        assert!((norm(&direction) - 1.0).abs() < 10.0 * T::epsilon_f64());
        assert!((curvature - along.curvature).abs() <= rounding, "{curvature} {}", along.curvature);
        assert!(along.curvature <= rounding && dot(&direction, &g) < 0.0);
    }
    solution
}

/// −g − (A + λI)δ.
fn residual(a: &Spectral, g: &[f64], damping: f64, step: &[f64]) -> Vec<f64> {
    a.function(step, |theta| theta + damping).iter().zip(g).map(|(a, g)| -a - g).collect()
}

/// The residual that no step can remove: the part of −g in the null space of A + λI.
fn irremovable(a: &Spectral, g: &[f64], damping: f64) -> Vec<f64> {
    a.function(g, |theta| if theta + damping == 0.0 { -1.0 } else { 0.0 })
}

fn solves_indefinite_systems<T: Scalar>(tolerance: f64) {
    for dim in [1, 2, 3, 10, 60] {
        for damping in [0.0, 0.037, -0.037, 3.0, -3.0] {
            for seed in 0..5 {
                let mut random = Random::new(seed);
                let mut eigenvalues = random.indefinite(dim, 10.0);
                // not closer to −λ than 0.01
                eigenvalues.iter_mut().filter(|t| (**t + damping).abs() < 0.01).for_each(|t| *t += 0.02);
                let a = Spectral::new(eigenvalues, seed);
                let g = random.vector(dim);
                let solution = solve::<T>(&a, &g, damping, &options(tolerance));
                assert_eq!(solution.outcome, MinresOutcome::Accurate, "d {dim} λ {damping} seed {seed}");
                let exact = a.function(&g, |theta| -1.0 / (theta + damping));
                // ‖A⁻¹‖ is at most 100, and rounding the matrix to T moves the solution as well
                let allowed = 100.0 * (tolerance + 10.0 * T::epsilon_f64() * norm(&exact)) * norm(&g);
                assert!(difference(&f64s(&solution.step), &exact) <= allowed, "d {dim} λ {damping} seed {seed}");
                // sought in both signs: where all shifted eigenvalues are positive there is nothing to find
                if a.eigenvalues.iter().all(|theta| theta + damping > 0.0) {
                    assert!(solution.nonpositive_curvature.is_none());
                }
                if a.eigenvalues.iter().all(|theta| theta + damping < 0.0) {
                    assert!(solution.nonpositive_curvature.is_some());
                }
            }
        }
    }
}

#[test]
fn solves_indefinite_systems_in_f64() {
    solves_indefinite_systems::<f64>(1e-10);
    solves_indefinite_systems::<f64>(1e-5);
}

#[test]
fn solves_indefinite_systems_in_f32() {
    solves_indefinite_systems::<f32>(1e-5);
}

fn minimises_the_residual_of_singular_systems<T: Scalar>() {
    let level = T::epsilon_f64().sqrt();
    for (dim, null, damping) in [(2, 1, 0.0), (3, 2, -0.5), (20, 1, 0.0), (20, 7, 0.5), (100, 1, -0.25), (100, 30, 0.0)]
    {
        for seed in 0..5 {
            let mut random = Random::new(seed + 40);
            let mut eigenvalues: Vec<f64> = random.indefinite(dim, 8.0).iter().map(|theta| theta - damping).collect();
            eigenvalues[..null].fill(-damping);
            let a = Spectral::new(eigenvalues, seed);
            let g = f64s(&of::<T>(&random.vector(dim)));
            let least = norm(&irremovable(&a, &g, damping));
            let solution = solve::<T>(&a, &g, damping, &options(1e-8));
            assert_eq!(solution.outcome, MinresOutcome::LeastSquares, "d {dim} null {null} seed {seed}");
            // ‖Ar‖ ≤ 8√ε·3‖r‖ and no other eigenvalue below 1/8: the rest of r is at most 200√ε‖r‖
            assert!(solution.residual_norm >= least * (1.0 - 100.0 * T::epsilon_f64()));
            assert!(
                solution.residual_norm <= least * (1.0 + 2e4 * T::epsilon_f64()),
                "d {dim} null {null} seed {seed}"
            );
            let r = residual(&a, &g, damping, &f64s(&solution.step));
            assert!(difference(&r, &irremovable(&a, &g, damping)) <= 200.0 * level * norm(&r));
            // r is a null vector and a direction of descent, so curvature that is not positive has been met
            assert!(solution.nonpositive_curvature.is_some());

            // the compatible system with the same matrix
            let g: Vec<f64> = a.function(&g, |theta| if theta + damping == 0.0 { 0.0 } else { 1.0 });
            let solution = solve::<T>(&a, &g, damping, &options(1e-5));
            assert_eq!(solution.outcome, MinresOutcome::Accurate, "compatible, d {dim} null {null} seed {seed}");
        }
    }
}

#[test]
fn minimises_the_residual_of_singular_systems_in_f64() {
    minimises_the_residual_of_singular_systems::<f64>();
}

#[test]
fn minimises_the_residual_of_singular_systems_in_f32() {
    minimises_the_residual_of_singular_systems::<f32>();
}

#[test]
fn counts_products_exactly() {
    // as many iterations as distinct eigenvalues, and one product for the residual
    for distinct in 1..6 {
        let values = [1.0, -2.0, 3.0, -4.0, 5.0];
        let a = Spectral::new((0..30).map(|i| values[i % distinct]).collect(), 3);
        let solution = solve::<f64>(&a, &Random::new(8).vector(30), 0.0, &options(1e-9));
        assert_eq!((solution.outcome, solution.products), (MinresOutcome::Accurate, distinct + 1));
    }
    // and for a least-squares solution one more
    let a = Spectral::new((0..30).map(|i| [0.0, -2.0, 3.0][i % 3]).collect(), 3);
    let solution = solve::<f64>(&a, &Random::new(8).vector(30), 0.0, &options(1e-9));
    assert_eq!((solution.outcome, solution.products), (MinresOutcome::LeastSquares, 5));
}

#[test]
fn edge_cases_end_as_they_must() {
    let zero = operator(3, |_: &[f64], out: &mut [f64]| out.fill(0.0));
    let none = minres(&zero, &[0.0; 3], 0.0, &MinresOptions::default()).unwrap();
    assert_eq!((none.outcome, none.products, none.step), (MinresOutcome::Accurate, 0, vec![0.0; 3]));

    // M = 0: nothing to be done without a shift, everything with one, of either sign
    let least = minres(&zero, &[3.0, 0.0, 4.0], 0.0, &MinresOptions::default()).unwrap();
    assert_eq!((least.outcome, least.products, least.residual_norm), (MinresOutcome::LeastSquares, 1, 5.0));
    assert_eq!(least.step, [0.0; 3]);
    let along = least.nonpositive_curvature.unwrap();
    assert_eq!(along.curvature, 0.0);
    assert!(difference(&along.direction, &[-0.6, 0.0, -0.8]) < 1e-15);
    for damping in [2.0, -2.0] {
        let shifted = minres(&zero, &[3.0, 0.0, 4.0], damping, &MinresOptions::default()).unwrap();
        assert_eq!((shifted.outcome, shifted.products), (MinresOutcome::Accurate, 2));
        assert!(difference(&shifted.step, &[-3.0 / damping, 0.0, -4.0 / damping]) < 1e-15);
        assert_eq!(shifted.nonpositive_curvature.is_some(), damping < 0.0);
    }

    // d = 1
    for (theta, g) in [(-2.0, 3.0), (1e-200, 1e-200), (-1e150, 1e-150), (1e-12, 1.0)] {
        let m = operator(1, |v: &[f64], out: &mut [f64]| out[0] = theta * v[0]);
        let solution = minres(&m, &[g], 0.0, &MinresOptions::default()).unwrap();
        assert_eq!((solution.outcome, solution.products), (MinresOutcome::Accurate, 2));
        assert!((solution.step[0] * theta / g + 1.0).abs() < 1e-15);
    }

    // r₁ = r₀: the first iteration stands still, as it must for eigenvalues ±1 of equal weight
    let swap = operator(2, |v: &[f64], out: &mut [f64]| (out[0], out[1]) = (v[1], v[0]));
    let solution = minres(&swap, &[1.0, 0.0], 0.0, &MinresOptions::default()).unwrap();
    assert_eq!((solution.outcome, solution.products), (MinresOutcome::Accurate, 3));
    assert!(difference(&solution.step, &[0.0, -1.0]) < 1e-15);
}

#[test]
fn more_products_never_leave_a_larger_residual() {
    let mut random = Random::new(12);
    let a = Spectral::new(random.indefinite(40, 30.0), 5);
    let g = random.vector(40);
    let mut before = norm(&g);
    for max_products in 2..120 {
        let solution = solve::<f64>(&a, &g, 0.0, &MinresOptions { tolerance: 1e-10, max_products });
        assert!(solution.residual_norm <= before * (1.0 + 1e-9), "{max_products}");
        before = solution.residual_norm;
        if solution.outcome == MinresOutcome::Accurate {
            return;
        }
        assert_eq!((solution.outcome, solution.products), (MinresOutcome::Limit, max_products));
    }
    panic!("not solved");
}

#[test]
fn an_impossible_tolerance_ends_at_rounding() {
    for seed in 0..10 {
        let mut random = Random::new(seed);
        let a = Spectral::new(random.indefinite(30, 10.0), seed);
        let g = random.vector(30);
        let many = |tolerance| MinresOptions { tolerance, max_products: 100_000 };
        for tolerance in [0.0, 1e-30] {
            let solution = solve::<f64>(&a, &g, 0.0, &many(tolerance));
            assert_eq!(solution.outcome, MinresOutcome::Stagnated);
            assert!(solution.residual_norm < 1e-14 * norm(&g) && solution.products < 500);
        }
        let solution = solve::<f32>(&a, &g, 0.0, &many(1e-12));
        assert_eq!(solution.outcome, MinresOutcome::Stagnated);
        assert!(solution.residual_norm < 1e-6 * norm(&g) && solution.products < 500);
    }
}

#[test]
fn a_product_that_is_not_finite_ends_the_run_with_what_was_verified() {
    let mut random = Random::new(2);
    let a = Spectral::new(random.indefinite(20, 5.0), 2);
    let g = random.vector(20);
    let inner = a.operator::<f64>();
    for bad in [f64::NAN, f64::INFINITY] {
        for k in 1..=15 {
            for forever in [false, true] {
                let count = Cell::new(0);
                let m = operator(20, |v: &[f64], out: &mut [f64]| {
                    count.set(count.get() + 1);
                    inner.apply(v, out);
                    if count.get() == k || (forever && count.get() > k) {
                        out[7] = bad;
                    }
                });
                let solution = minres(&m, &g, 0.0, &options(1e-10)).unwrap();
                assert_eq!((solution.outcome, solution.products), (MinresOutcome::NotFinite, count.get()));
                assert_eq!(count.get(), if k == 1 { 1 } else { k + 1 });
                let r = norm(&residual(&a, &g, 0.0, &solution.step));
                assert!((r - solution.residual_norm).abs() < 1e-12 && r <= norm(&g) * (1.0 + 1e-12));
                assert_eq!(solution.step == vec![0.0; 20], forever || k == 1);
            }
        }
    }
    // in the product that verifies
    let m = operator(2, |v: &[f64], out: &mut [f64]| {
        let inside = norm(v) < 1.5;
        out.iter_mut().zip(v).for_each(|(out, v)| *out = if inside { 0.5 * v } else { f64::NAN });
    });
    let solution = minres(&m, &[3.0, 4.0], 0.0, &MinresOptions::default()).unwrap();
    assert_eq!((solution.outcome, solution.products), (MinresOutcome::NotFinite, 2));
    assert_eq!((solution.step, solution.residual_norm), (vec![0.0; 2], 5.0));
}

#[test]
fn an_operator_that_is_not_symmetric_is_named() {
    for strength in [1e-4, 1e-2, 1.0] {
        let m = operator(10, |v: &[f64], out: &mut [f64]| {
            for i in 0..10 {
                let upper = if i + 1 < 10 { (1.0 + strength) * v[i + 1] } else { 0.0 };
                let lower = if i > 0 { v[i - 1] } else { 0.0 };
                out[i] = (i as f64 - 4.5) * v[i] + upper + lower;
            }
        });
        let solution = minres(&m, &Random::new(4).vector(10), 0.0, &options(1e-10)).unwrap();
        assert_eq!(solution.outcome, MinresOutcome::Asymmetric, "{strength}");
    }
}

#[test]
fn callers_mistakes_are_refused() {
    let m = operator(2, |v: &[f64], out: &mut [f64]| out.copy_from_slice(v));
    let refused = |g: &[f64], damping, tolerance, max_products| {
        minres(&m, g, damping, &MinresOptions { tolerance, max_products }).unwrap_err()
    };
    assert!(matches!(refused(&[1.0], 0.0, 0.1, 0), Error::Length { argument: "gradient", expected: 2, found: 1 }));
    assert!(matches!(refused(&[1.0, f64::NAN], 0.0, 0.1, 0), Error::NotFinite { argument: "gradient", .. }));
    assert!(matches!(refused(&[1.0, 1.0], f64::INFINITY, 0.1, 0), Error::NotFinite { argument: "damping", .. }));
    for tolerance in [-1.0, 1.0, f64::NAN] {
        assert!(matches!(refused(&[1.0, 1.0], 0.0, tolerance, 0), Error::OutOfRange { argument: "tolerance", .. }));
    }
    assert!(matches!(refused(&[1.0, 1.0], 0.0, 0.1, 1), Error::OutOfRange { argument: "max_products", .. }));
    let none = operator(0, |_: &[f64], _: &mut [f64]| {});
    assert!(matches!(minres(&none, &[], 0.0, &options(0.1)), Err(Error::ZeroDimension { .. })));
}

#[test]
fn any_spectrum_ends_in_a_verified_answer() {
    for seed in 0..300 {
        let mut random = SplitMix64::new(seed);
        let mut within = |low: f64, high: f64| low + (high - low) * random.uniform();
        let (n, null) = (within(1.0, 25.0) as usize, within(0.0, 3.0) as usize);
        let scale = 10_f64.powi(within(-8.0, 8.0) as i32);
        let damping = scale * within(-1.0, 1.0);
        let mut eigenvalues: Vec<f64> = (0..n).map(|_| scale * within(-1.0, 1.0)).collect();
        eigenvalues.iter_mut().take(null).for_each(|theta| *theta = -damping);
        let a = Spectral::new(eigenvalues, seed);
        let g = Random::new(seed).vector(a.dim());
        let least = norm(&irremovable(&a, &g, damping));
        let nearest =
            a.eigenvalues.iter().map(|t| (t + damping).abs()).filter(|&t| t > 0.0).fold(2.0 * scale, f64::min);
        let many = MinresOptions { tolerance: 1e-6, max_products: 2000 };
        let solution = solve::<f64>(&a, &g, damping, &many);
        // well enough conditioned to be certain of the solution
        if nearest > 1e-2 * scale {
            let expected = if least > 1e-4 * norm(&g) { MinresOutcome::LeastSquares } else { MinresOutcome::Accurate };
            assert!(solution.outcome == expected || (1e-8..1e-4).contains(&(least / norm(&g))));
            assert!(solution.residual_norm <= (1.0 + 1e-9) * least + 1.1e-6 * norm(&g));
        }
        solve::<f32>(&a, &g, damping, &many);
    }
}

/// Eigenvalues 1 and μ: the smaller one counts as zero up to √ε, and not at 2√ε.
#[test]
fn small_eigenvalues_are_zero_or_not() {
    let root = f64::EPSILON.sqrt();
    for (small, expected) in [(root, MinresOutcome::LeastSquares), (2.0 * root, MinresOutcome::Accurate)] {
        let m = DiagonalOperator(vec![1.0, small]);
        assert_eq!(minres(&m, &[1.0, 1.0], 0.0, &MinresOptions::default()).unwrap().outcome, expected, "{small:e}");
    }
}

/// Eigenvalues ±1, and a first residual whose curvature is so many ε: up to 100 that is rounding, and may be nonpositive.
#[test]
fn nonpositive_curvature_is_told_up_to_rounding() {
    for (units, expected) in [(70.0, true), (150.0, false)] {
        let angle = std::f64::consts::FRAC_PI_4 - 0.5 * units * f64::EPSILON;
        let options = MinresOptions { max_products: 2, ..Default::default() };
        let m = DiagonalOperator(vec![1.0, -1.0]);
        let found = minres(&m, &[angle.cos(), angle.sin()], 0.0, &options).unwrap().nonpositive_curvature;
        assert_eq!(found.is_some(), expected, "{units}");
    }
}
