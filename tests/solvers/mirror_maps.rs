//! Mirror maps against closed forms, and mirror descent against what theory says of it.

use std::ops::ControlFlow;

use newton_krylov::exponential_family::{Categorical, Gamma, Poisson};
use newton_krylov::mirror_map::{Euclidean, Mahalanobis, MirrorMap, Orthant, PNorm, Potential, Simplex, potential};
use newton_krylov::{
    Objective, Scalar, Stopping, Termination, differences::Difference, first_order::MirrorDescent,
    objective_from_gradient, random::SplitMix64,
};

const A: [f64; 9] = [4.0, 1.0, -0.5, 1.0, 3.0, 0.2, -0.5, 0.2, 2.0];

type Map<'f> = Potential<fn(&[f64]) -> f64, fn(&[f64], &mut [f64]), fn(&[f64], &mut [f64])>;

/// φ = Σ cosh x.
fn cosh() -> Map<'static> {
    potential::<fn(&[f64]) -> f64, fn(&[f64], &mut [f64]), fn(&[f64], &mut [f64])>(
        3,
        |x| x.iter().map(|x| x.cosh()).sum(),
        |x, dual| dual.iter_mut().zip(x).for_each(|(dual, x)| *dual = x.sinh()),
        |dual, x| x.iter_mut().zip(dual).for_each(|(x, dual)| *x = dual.asinh()),
    )
    .unwrap()
}

/// aᵀx.
fn linear<'a, T: Scalar>(a: &'a [f64]) -> impl Objective<T> + 'a {
    objective_from_gradient(
        a.len(),
        move |x: &[T]| a.iter().zip(x).map(|(a, &x)| a * x.into()).sum::<f64>(),
        move |_, g| g.iter_mut().zip(a).for_each(|(g, &a)| *g = T::from_f64(a)),
        Difference::default(),
    )
}

/// ½‖x − a‖².
fn distance<'a, T: Scalar>(a: &'a [f64]) -> impl Objective<T> + 'a {
    objective_from_gradient(
        a.len(),
        move |x: &[T]| a.iter().zip(x).map(|(a, &x)| 0.5 * (x.into() - a).powi(2)).sum::<f64>(),
        move |x, g| (0..g.len()).for_each(|i| g[i] = x[i] - T::from_f64(a[i])),
        Difference::default(),
    )
}

fn one_step<M: MirrorMap>(map: M, rate: f64) -> MirrorDescent<M> {
    let stopping = Stopping { max_iterations: 1, gradient_relative: 0.0, ..Stopping::default() };
    MirrorDescent { stopping, ..MirrorDescent::new(map, rate) }
}

/// Where one step for the gradient g leads to from x.
fn step<T: Scalar>(map: impl MirrorMap, rate: f64, g: &[f64], x: &[f64]) -> Vec<f64> {
    let x: Vec<T> = x.iter().map(|&x| T::from_f64(x)).collect();
    let mut points: Vec<Vec<T>> = vec![];
    // The report has the best point: for a linear function the step always leads to it.
    let report = one_step(map, rate).minimize_with(&linear(g), &x, |progress| {
        points.push(progress.x.to_vec());
        ControlFlow::Continue(())
    });
    assert_eq!(&report.unwrap().x, points.last().unwrap());
    points[1].iter().map(|&x| x.into()).collect()
}

fn assert_near(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    let size = expected.iter().fold(1e-300, |size: f64, x| size.max(x.abs()));
    let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= tolerance * size);
    assert!(near, "{what}: {found:?} instead of {expected:?}");
}

/// A⁻¹b by Cramer's rule.
fn solve(b: &[f64]) -> Vec<f64> {
    let determinant = |m: &[f64]| {
        m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6])
    };
    let with = |column: usize| {
        let mut m = A;
        (0..3).for_each(|i| m[3 * i + column] = b[i]);
        determinant(&m)
    };
    (0..3).map(|column| with(column) / determinant(&A)).collect()
}

/// The steps written out.
#[test]
fn steps_are_the_closed_forms() {
    let (g, x, rate) = ([0.7, -0.4, 1.3], [0.2, 0.5, 0.3], 0.3);
    let check = |what: &str, f64s: Vec<f64>, f32s: Vec<f64>, expected: &[f64]| {
        assert_near(&f64s, expected, 1e-14, what);
        assert_near(&f32s, expected, 1e-6, what);
    };
    macro_rules! check {
        ($map:expr, $expected:expr) => {
            let map = $map;
            let (double, single) = (step::<f64>(map.clone(), rate, &g, &x), step::<f32>(map, rate, &g, &x));
            check(stringify!($map), double, single, &$expected);
        };
    }
    let each = |rule: &dyn Fn(f64, f64) -> f64| (0..3).map(|i| rule(x[i], g[i])).collect::<Vec<f64>>();
    check!(Euclidean::new(3).unwrap(), each(&|x, g| x - rate * g));
    let newton = solve(&g);
    check!(Mahalanobis::new(3, A.to_vec()).unwrap(), (0..3).map(|i| x[i] - rate * newton[i]).collect::<Vec<_>>());
    let weights = each(&|x, g| x * (-rate * g).exp());
    check!(Orthant::new(3).unwrap(), weights);
    let sum: f64 = weights.iter().sum();
    check!(Simplex::new(3).unwrap(), weights.iter().map(|w| w / sum).collect::<Vec<_>>());
    check!(cosh(), each(&|x, g| (x.sinh() - rate * g).asinh()));
    check!(PNorm::new(3, 2.0).unwrap(), each(&|x, g| x - rate * g));
    // p = 3/2, q = 3: ∇φ = √x ‖x‖^½, and back sign(y) y² / ‖y‖₃.
    let norm = x.iter().map(|x| x.powf(1.5)).sum::<f64>().powf(2.0 / 3.0);
    let dual = each(&|x, g| (x * norm).sqrt() - rate * g);
    let size = dual.iter().map(|y| y.abs().powi(3)).sum::<f64>().cbrt();
    check!(PNorm::new(3, 1.5).unwrap(), dual.iter().map(|y| y * y.abs() / size).collect::<Vec<_>>());
}

/// ∇φ⁻¹ inverts ∇φ, which is the slope of φ; D is the Bregman divergence of φ by its definition, and the step is proximal:
/// no other point has a smaller gᵀz + D(z, x)/η, so none as near as x⁺ has a smaller gᵀz.
fn check_map(what: &str, map: &impl MirrorMap, draw: &dyn Fn(&mut SplitMix64) -> Vec<f64>) {
    let random = &mut SplitMix64::new(7);
    let n = map.dim();
    for _ in 0..20 {
        let (x, z) = (draw(random), draw(random));
        let (mut dual, mut again) = (vec![f64::NAN; n], vec![f64::NAN; n]);
        map.to_dual(&x, &mut dual).unwrap();
        map.to_point(&dual, &mut again).unwrap();
        assert_near(&again, &x, 1e-10, what);
        let single: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let (mut dual32, mut again32) = (vec![f32::NAN; n], vec![f32::NAN; n]);
        if map.to_dual(&single, &mut dual32).is_ok() {
            map.to_point(&dual32, &mut again32).unwrap();
            let again: Vec<f64> = again32.iter().map(|&x| x.into()).collect();
            assert_near(&again, &x, 1e-4, what);
        }
        // φ along the line from x to z, which stays in the set: its slope at x is ∇φ(x)ᵀ(z − x).
        let along: f64 = dual.iter().zip(z.iter().zip(&x)).map(|(y, (z, x))| y * (z - x)).sum();
        let at = |t: f64| x.iter().zip(&z).map(|(x, z)| x + t * (z - x)).collect::<Vec<f64>>();
        let phi = |t: f64| map.potential_at(&at(t));
        let h = 1e-4;
        let slope = (8.0 * (phi(h) - phi(-h)) - (phi(2.0 * h) - phi(-2.0 * h))) / (12.0 * h);
        let scale = dual.iter().zip(z.iter().zip(&x)).map(|(y, (z, x))| (y * (z - x)).abs()).sum::<f64>().max(1.0);
        assert!((slope - along).abs() <= 1e-7 * scale, "{what}: {slope} instead of {along}");
        let defined = map.potential_at(&z) - map.potential_at(&x) - along;
        let bregman = map.bregman(&z, &x).unwrap();
        assert!((bregman - defined).abs() <= 1e-10 * scale, "{what}: {bregman} instead of {defined}");
        assert!(bregman > 0.0 && map.bregman(&x, &x).unwrap() <= 1e-14 * scale, "{what}");

        let g: Vec<f64> = (0..n).map(|_| random.normal()).collect();
        let rate = 0.05;
        dual.iter_mut().zip(&g).for_each(|(y, g)| *y -= rate * g);
        let mut moved = vec![f64::NAN; n];
        if map.to_point(&dual, &mut moved).is_err() {
            continue; // out of the domain
        }
        let dot = |z: &[f64]| g.iter().zip(z).map(|(g, z)| g * z).sum::<f64>();
        let far = map.bregman(&moved, &x).unwrap();
        let proximal = |z: &[f64]| dot(z) + map.bregman(z, &x).unwrap() / rate;
        for _ in 0..50 {
            // Near x⁺, and along lines from x up to the same divergence: the constrained form.
            let other = draw(random);
            for t in [1e-3, 0.1, 1.0] {
                let near: Vec<f64> = moved.iter().zip(&other).map(|(m, o)| m + t * (o - m)).collect();
                assert!(proximal(&near) >= proximal(&moved) - 1e-12 * scale, "{what}");
            }
            let on_line = |t: f64| x.iter().zip(&other).map(|(x, o)| x + t * (o - x)).collect::<Vec<f64>>();
            let (mut low, mut high) = (0.0, 1.0);
            for _ in 0..60 {
                let middle = 0.5 * (low + high);
                if map.bregman(&on_line(middle), &x).unwrap() <= far { low = middle } else { high = middle }
            }
            assert!(dot(&on_line(low)) >= dot(&moved) - 1e-9 * scale, "{what}");
        }
    }
}

#[test]
fn maps_invert_and_their_steps_are_proximal() {
    let normal = |random: &mut SplitMix64| (0..3).map(|_| random.normal()).collect::<Vec<f64>>();
    let positive = |random: &mut SplitMix64| (0..3).map(|_| random.normal().exp()).collect::<Vec<f64>>();
    let probabilities = |random: &mut SplitMix64| {
        let weights: Vec<f64> = (0..4).map(|_| random.normal().exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter().map(|w| w / sum).collect::<Vec<f64>>()
    };
    check_map("Euclidean", &Euclidean::new(3).unwrap(), &normal);
    check_map("Mahalanobis", &Mahalanobis::new(3, A.to_vec()).unwrap(), &normal);
    check_map("cosh", &cosh(), &normal);
    for p in [1.3, 2.0, 3.0] {
        // Away from the axes, where φ has no fourth derivative.
        check_map("p-norm", &PNorm::new(3, p).unwrap(), &positive);
    }
    check_map("orthant", &Orthant::new(3).unwrap(), &positive);
    check_map("simplex", &Simplex::new(4).unwrap(), &probabilities);
    check_map("categorical", &Categorical::new(4).unwrap(), &|random| probabilities(random)[..3].to_vec());
    check_map("Poisson", &Poisson, &|random| positive(random)[..1].to_vec());
}

/// Families and sets: the simplex is the categorical family, the orthant a product of Poisson families.
#[test]
fn families_are_instances() {
    let (g, x) = ([0.7, -0.4, 1.3], [0.2, 0.5, 0.3]);
    // Of a categorical family the last probability is 1 − Σ: its gradient is part of the others'.
    let reduced = [g[0] - g[2], g[1] - g[2]];
    let simplex = step::<f64>(Simplex::new(3).unwrap(), 0.5, &g, &x);
    assert_near(
        &step::<f64>(Categorical::new(3).unwrap(), 0.5, &reduced, &x[..2]),
        &simplex[..2],
        1e-14,
        "categorical",
    );
    let orthant = step::<f64>(Orthant::new(1).unwrap(), 0.5, &g[..1], &x[..1]);
    assert_near(&step::<f64>(Poisson, 0.5, &g[..1], &x[..1]), &orthant, 1e-14, "Poisson");
}

/// max (Cx)ᵢ for an antisymmetric C with entries in (−1, 1): a fair game, whose value is 0. After t steps of the rate
/// √(2 ln n/t) from the middle the best is at most √(2 ln n/t): Bubeck (2015), theorem 4.2.
#[test]
fn the_simplex_keeps_its_bound() {
    for n in [3, 20, 200] {
        let mut random = SplitMix64::new(n as u64);
        let mut c = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..i {
                c[i * n + j] = 2.0 * random.uniform() - 1.0;
                c[j * n + i] = -c[i * n + j];
            }
        }
        let worst = |x: &[f64]| {
            let row = |i: usize| c[i * n..(i + 1) * n].iter().zip(x).map(|(c, x)| c * x).sum::<f64>();
            (0..n).map(|i| (row(i), i)).fold((f64::NEG_INFINITY, 0), |a, b| if b.0 > a.0 { b } else { a })
        };
        let f = objective_from_gradient(
            n,
            |x: &[f64]| worst(x).0,
            |x: &[f64], g: &mut [f64]| g.copy_from_slice(&c[worst(x).1 * n..][..n]),
            Difference::default(),
        );
        for t in [10, 100, 1000] {
            let bound = (2.0 * (n as f64).ln() / t as f64).sqrt();
            let stopping = Stopping { max_iterations: t, gradient_relative: 0.0, ..Stopping::default() };
            let solver = MirrorDescent { stopping, ..MirrorDescent::new(Simplex::new(n).unwrap(), bound) };
            let report = solver.minimize(&f, &vec![1.0 / n as f64; n]).unwrap();
            assert!(report.value >= -1e-12 && report.value <= bound, "{n}, {t}: {} > {bound}", report.value);
        }
    }
}

/// Every point is in the set, minima at the edge are found, and the measure of stationarity bounds what is left.
fn on_the_simplex<T: Scalar>(tolerance: f64) {
    let n = 5;
    let a = [0.6, 0.5, 0.1, -0.3, -2.0];
    let truth = [8.0 / 15.0, 6.5 / 15.0, 0.5 / 15.0, 0.0, 0.0]; // aᵢ − 1/15, or 0
    let f = distance::<T>(&a);
    let solver = MirrorDescent::new(Simplex::new(n).unwrap(), 1.0);
    let least: f64 = truth.iter().zip(&a).map(|(x, a)| 0.5 * (x - a) * (x - a)).sum();
    let start = vec![T::from_f64(0.2); n];
    let report = solver
        .minimize_with(&f, &start, |progress| {
            let x: Vec<f64> = progress.x.iter().map(|&x| x.into()).collect();
            assert!(x.iter().all(|&x| x >= 0.0), "{x:?}");
            assert!((x.iter().sum::<f64>() - 1.0).abs() <= n as f64 * T::epsilon_f64(), "{x:?}");
            assert!(progress.value - least <= progress.gradient_norm + T::epsilon_f64());
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(report.termination.converged(), "{report}");
    let x: Vec<f64> = report.x.iter().map(|&x| x.into()).collect();
    assert_near(&x, &truth, tolerance, "the projection");
}

#[test]
fn minima_at_the_edge_are_found() {
    on_the_simplex::<f64>(1e-6);
    on_the_simplex::<f32>(1e-3);
    // On the orthant: the positive part.
    let solver = MirrorDescent::new(Orthant::new(3).unwrap(), 0.5);
    let report = solver.minimize(&distance::<f64>(&[2.0, -1.0, 0.5]), &[1.0, 1.0, 1.0]).unwrap();
    assert!(report.termination.converged() && report.x.iter().all(|&x| x > 0.0), "{report}");
    assert_near(&report.x, &[2.0, 0.0, 0.5], 1e-6, "the positive part");
}

/// Beside the wrong corner of a simplex the way out starts slowly: that is not convergence.
#[test]
fn a_wrong_corner_is_not_stationary() {
    for map in [true, false] {
        let start: [f64; 2] = [1e-12, if map { 1.0 - 1e-12 } else { 1.0 }];
        let stopping = Stopping { max_iterations: 10_000, ..Stopping::default() };
        let report = if map {
            MirrorDescent { stopping, ..MirrorDescent::new(Simplex::new(2).unwrap(), 0.1) }
                .minimize(&linear(&[-1.0, 0.0]), &start)
        } else {
            // ½‖x − (1, 1)‖²
            MirrorDescent { stopping, ..MirrorDescent::new(Orthant::new(2).unwrap(), 0.1) }
                .minimize(&distance(&[1.0, 1.0]), &start)
        };
        let report = report.unwrap();
        assert!(report.termination.converged() && (report.x[0] - 1.0).abs() < 1e-6, "{report}");
    }
}

/// What all components of a gradient have in common does nothing on the simplex, in f32 either: dual coordinates would lose
/// their digits to it.
#[test]
fn a_common_slope_does_nothing() {
    let a = [0.5, 0.3, 0.2];
    let f = objective_from_gradient(
        3,
        |x: &[f32]| (0..3).map(|i| 0.5 * (f64::from(x[i]) - a[i]).powi(2)).sum::<f64>(),
        |x, g| (0..3).for_each(|i| g[i] = x[i] - a[i] as f32 + 1024.0),
        Difference::default(),
    );
    let stopping = Stopping { max_iterations: 5000, gradient_relative: 0.0, ..Stopping::default() };
    let solver = MirrorDescent { stopping, ..MirrorDescent::new(Simplex::new(3).unwrap(), 1.0) };
    let report = solver.minimize(&f, &[0.1, 0.1, 0.8]).unwrap();
    // The gradient's rounding, 1024 ε, is all that is left.
    assert!((0..3).all(|i| (f64::from(report.x[i]) - a[i]).abs() < 1e-3), "{report}: {:?}", report.x);
}

#[test]
fn mistakes_are_refused() {
    let refused = |result: newton_krylov::Result<newton_krylov::Report<f64>>, text: &str| {
        assert_eq!(result.unwrap_err().to_string(), text);
    };
    let f = distance(&[1.0, 2.0]);
    let simplex = MirrorDescent::new(Simplex::new(2).unwrap(), 1.0);
    refused(simplex.minimize(&f, &[0.5, 0.6]), "the sum of x is 1.1, but must be 1");
    refused(simplex.minimize(&f, &[0.0, 1.0]), "x[0] is 0, but must be above 0");
    refused(simplex.minimize(&f, &[0.5, f64::NAN]), "x0[1] is NaN, but must be finite");
    refused(simplex.minimize(&f, &[1.0]), "x0 has length 1, but 2 is needed");
    refused(simplex.minimize(&distance(&[1.0]), &[0.5, 0.5]), "the objective's point has length 1, but 2 is needed");
    let orthant = MirrorDescent::new(Orthant::new(2).unwrap(), 1.0);
    refused(orthant.minimize(&f, &[1.0, -1.0]), "x[1] is -1, but must be above 0");
    let range = "between -745 and 709, so that its exponential is a number";
    refused(orthant.minimize_dual(&f, &[1.0, 800.0]), &format!("dual[1] is 800, but must be {range}"));
    refused(MirrorDescent::new(Gamma, 1.0).minimize(&f, &[0.0, -1.0]), "mean[1] is -1, but must be above 0");
    let wrong = |text: &str, error: newton_krylov::Error| assert_eq!(error.to_string(), text);
    wrong("p is 1, but must be above 1 and finite", PNorm::new(2, 1.0).unwrap_err());
    wrong("matrix has length 3, but 4 is needed", Mahalanobis::new(2, vec![1.0; 3]).unwrap_err());
    wrong("the asymmetry of matrix is 1, but must be 0", Mahalanobis::new(2, vec![2.0, 1.0, 0.0, 2.0]).unwrap_err());
    let indefinite = Mahalanobis::new(2, vec![1.0, 2.0, 2.0, 1.0]).unwrap_err();
    wrong("pivot of matrix[1] is -3, but must be positive: the matrix is not positive definite", indefinite);
    assert!(Simplex::new(0).is_err() && Orthant::new(0).is_err() && Euclidean::new(0).is_err());

    // An inverse that is not one.
    let exp = |inverse: fn(&[f64], &mut [f64])| {
        potential(1, |x: &[f64]| x[0].exp(), |x: &[f64], dual: &mut [f64]| dual[0] = x[0].exp(), inverse).unwrap()
    };
    let one = distance(&[1.0]);
    let twice = exp(|dual, x| x[0] = 2.0 * dual[0].ln());
    let text = "the inverse of the gradient[0] is 2, but must be the point again";
    refused(MirrorDescent::new(twice, 0.1).minimize(&one, &[1.0]), text);
    // Where a step would leave the range of ∇φ it is halved: from e to e − 2 < 0 without that.
    let right = exp(|dual, x| x[0] = dual[0].ln());
    let report = one_step(right, 2.0).minimize(&distance(&[-2.0]), &[1.0]).unwrap();
    assert_eq!((report.termination, report.history[0].rejected), (Termination::MaxIterations, 2));
    assert!((report.x[0] - (1.0_f64.exp() - 1.5).ln()).abs() < 1e-14);
}
