//! The proximities of the guide (`proximity`): which call makes which step, in the proximal and in the constrained form.
//!
//!   argmin gᵀx + λD(x, xₜ)      and      argmin gᵀx subject to D(x, xₜ) ≤ ½ε²

use std::ops::ControlFlow;

use newton_krylov::exponential_family::{Categorical, ExponentialFamily};
use newton_krylov::mirror_map::{Euclidean, Mahalanobis};
use newton_krylov::{
    Control, Descent, Expansion, Objective, Progress, Report, Result, Stopping, SymmetricOperator,
    first_order::{FirstOrder, GradientDescent, MirrorDescent},
    objective,
    operators::with_divergence,
    preconditioners::{DiagonalPreconditioner, with_preconditioner},
};

fn once() -> Stopping {
    Stopping { max_iterations: 1, gradient_relative: 0.0, ..Stopping::default() }
}

fn descent(control: Control) -> Descent {
    Descent { stopping: once(), ..Descent::new(control) }
}

/// Where the first step of a run leads to.
fn arrives(run: impl FnOnce(&mut dyn FnMut(&Progress<'_, f64>) -> ControlFlow<()>) -> Result<Report<f64>>) -> Vec<f64> {
    let mut last = vec![];
    run(&mut |progress| {
        last = progress.x.to_vec();
        ControlFlow::Continue(())
    })
    .unwrap();
    last
}

fn assert_near(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    let near = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= tolerance);
    assert!(near, "{what}: {found:?} instead of {expected:?}");
}

/// gᵀx, in the metric diag(a).
fn slope<'a>(g: &'a [f64], a: &'a [f64]) -> impl Objective<f64> + 'a {
    objective(
        g.len(),
        move |x: &[f64]| g.iter().zip(x).map(|(g, x)| g * x).sum::<f64>(),
        move |_, out| out.copy_from_slice(g),
        move |_, v, av| (0..v.len()).for_each(|i| av[i] = a[i] * v[i]),
    )
}

/// D = ½(x − xₜ)ᵀA(x − xₜ), with A = I for ½‖x − xₜ‖²: x = xₜ − A⁻¹g/λ, and λ = √(gᵀA⁻¹g)/ε in the constrained form.
#[test]
fn quadratic_proximities() {
    let (g, x, lambda) = ([0.3, -1.2, 0.7], [1.0, 2.0, -1.0], 4.0);
    for a in [[1.0; 3], [2.0, 0.5, 8.0]] {
        let f = slope(&g, &a);
        let step = |rate: f64| (0..3).map(|i| x[i] - rate * g[i] / a[i]).collect::<Vec<f64>>();
        let size = (0..3).map(|i| g[i] * g[i] / a[i]).sum::<f64>().sqrt();
        let rate = 1.0 / lambda;
        let (proximal, same) = (step(rate), 1e-12);
        let fixed = arrives(|seen| descent(Control::FixedRate(rate)).minimize_with(&f, &x, seen));
        assert_near(&fixed, &proximal, same, "Descent");
        // ε = √(gᵀA⁻¹g)/λ makes the constrained step the same.
        let ball = arrives(|seen| descent(Control::Ball(size / lambda)).minimize_with(&f, &x, seen));
        assert_near(&ball, &proximal, same, "Ball");
        let constrained: f64 = (0..3).map(|i| 0.5 * a[i] * (ball[i] - x[i]).powi(2)).sum();
        assert!((constrained - 0.5 * (size / lambda).powi(2)).abs() < same);

        let solver = |rate| FirstOrder { stopping: once(), ..FirstOrder::new(GradientDescent { rate }) };
        let preconditioned = with_preconditioner(&f, |_: &[f64]| DiagonalPreconditioner::new(a.to_vec()).unwrap());
        let first = arrives(|seen| solver(rate).minimize_with(&preconditioned, &x, seen));
        assert_near(&first, &proximal, same, "FirstOrder");

        let matrix = (0..9).map(|i| if i / 3 == i % 3 { a[i / 3] } else { 0.0 }).collect();
        let map = Mahalanobis::new(3, matrix).unwrap();
        let mirror = MirrorDescent { stopping: once(), ..MirrorDescent::new(map, rate) };
        assert_near(&arrives(|seen| mirror.minimize_with(&f, &x, seen)), &proximal, same, "Mahalanobis");
        if a == [1.0; 3] {
            let mirror = MirrorDescent { stopping: once(), ..MirrorDescent::new(Euclidean::new(3).unwrap(), rate) };
            assert_near(&arrives(|seen| mirror.minimize_with(&f, &x, seen)), &proximal, same, "Euclidean");
            assert_near(&arrives(|seen| solver(rate).minimize_with(&f, &x, seen)), &proximal, same, "plain");
        }
    }
}

/// Σ aᵢμᵢ² over a categorical family, as a function of μ, and of η in the metric F(η), with D = KL(pₜ‖p).
const WEIGHTS: [f64; 2] = [3.0, -1.0];

fn in_mean() -> impl Objective<f64> {
    objective(
        2,
        |mean: &[f64]| WEIGHTS.iter().zip(mean).map(|(a, m)| a * m * m).sum::<f64>(),
        |mean, g| (0..2).for_each(|i| g[i] = 2.0 * WEIGHTS[i] * mean[i]),
        |_, v, mv| mv.copy_from_slice(v),
    )
}

fn in_natural(family: Categorical) -> impl Objective<f64> {
    let mean_of = move |natural: &[f64]| {
        let mut mean = vec![0.0; 2];
        family.to_mean(natural, &mut mean).unwrap();
        mean
    };
    let f = objective(
        2,
        move |natural: &[f64]| in_mean().value(&mean_of(natural)),
        move |natural, g| {
            let mean = mean_of(natural);
            let mut along = [0.0; 2];
            in_mean().expand(&mean).gradient(&mut along);
            family.fisher(natural).unwrap().apply(&along, g);
        },
        move |natural, v, fv| family.fisher(natural).unwrap().apply(v, fv),
    );
    with_divergence(f, move |from: &[f64], to: &[f64]| family.divergence(from, to).unwrap())
}

/// D = KL in the mean parameters, and its Fisher approximation ½(η − ηₜ)ᵀF(η − ηₜ) in the natural ones: one step.
#[test]
fn divergences_and_their_fisher_approximation() {
    let (family, natural, rate) = (Categorical::new(3).unwrap(), [0.4, -0.2], 0.25);
    let mirror = MirrorDescent { stopping: once(), ..MirrorDescent::new(family, rate) };
    let stepped = arrives(|seen| mirror.minimize_dual_with(&in_mean(), &natural, seen));
    let f = in_natural(family);
    let fixed = arrives(|seen| descent(Control::FixedRate(rate)).minimize_with(&f, &natural, seen));
    assert_near(&fixed, &stepped, 1e-12, "Fisher");
    // η = ηₜ − g/λ with g = ∇_μ f, written out.
    let mut mean = [0.0; 2];
    family.to_mean(&natural, &mut mean).unwrap();
    let written: Vec<f64> = (0..2).map(|i| natural[i] - rate * 2.0 * WEIGHTS[i] * mean[i]).collect();
    assert_near(&stepped, &written, 1e-14, "written out");

    // ε and λ = √(∇_η fᵀF⁻¹∇_η f)/ε again: F⁻¹∇_η f = ∇_μ f.
    let mut slope = [0.0; 2];
    f.expand(&natural).gradient(&mut slope);
    let size = (0..2).map(|i| slope[i] * 2.0 * WEIGHTS[i] * mean[i]).sum::<f64>().sqrt();
    let ball = arrives(|seen| descent(Control::Ball(rate * size)).minimize_with(&f, &natural, seen));
    assert_near(&ball, &stepped, 1e-12, "Ball");
    // The divergence of a step of the ball ½δᵀFδ = ½ε² is that to third order: a tenth of ε, a thousandth of the difference.
    let excess = |size: f64| {
        let to = arrives(|seen| descent(Control::Ball(size)).minimize_with(&f, &natural, seen));
        (family.divergence(&natural, &to).unwrap() - 0.5 * size * size).abs()
    };
    let ratio = excess(0.1) / excess(0.01);
    assert!((500.0..2000.0).contains(&ratio), "{ratio}");
    // With the divergence itself bounded.
    let bounded = arrives(|seen| descent(Control::Divergence(0.02)).minimize_with(&f, &natural, seen));
    let divergence = family.divergence(&natural, &bounded).unwrap();
    assert!(divergence <= 0.02 && divergence > 0.015, "{divergence}");
}
