//! The least-squares problem of a pose graph, and its minimum.
//!
//! A rotation vector w turns the rotation of a pose, R₀, into R₀ exp([w]×). At ‖w‖ = 2π the Jacobian of the exponential is
//! singular, so where one has become longer than π the run ends, the rotations found so far become the new R₀, and it goes
//! on from there.

use std::ops::ControlFlow;
use std::time::Duration;

use newton_krylov::{
    LeastSquares, LeastSquaresReport, LevenbergMarquardt, Model, Progress, Result, Stopping, Termination,
    operators::BlockStructure,
};

use super::file::{Edge, Graph};
use super::geometry::Pose;

/// Where a graph came to rest, after one run or more.
pub struct Outcome<P> {
    pub poses: Vec<P>,
    /// ½ Σ eᵀΩe at the start.
    pub initial_value: f64,
    /// Of all runs.
    pub iterations: usize,
    pub evaluations: usize,
    pub products: usize,
    pub seconds: f64,
    /// How often rotation vectors began anew.
    pub restarts: usize,
    /// The last run.
    pub report: LeastSquaresReport<f64>,
}

/// Minimises ½ Σ eᵀΩe over all poses but the first.
pub fn optimise<P: Pose<N>, const N: usize>(
    graph: &Graph<P, N>,
    stopping: &Stopping,
    mut observer: impl FnMut(&Progress<'_, f64>, usize),
) -> Result<Outcome<P>> {
    let mut poses = graph.poses.clone();
    let (mut initial_value, mut iterations, mut evaluations, mut products) = (None, 0, 0, 0);
    let (mut seconds, mut restarts) = (0.0, 0);
    loop {
        let fit = LeastSquares::new(model(&poses, &graph.edges)?);
        let x0: Vec<f64> = poses[1..].iter().flat_map(|pose| pose.parameters()).collect();
        let solver = LevenbergMarquardt {
            stopping: Stopping {
                max_iterations: stopping.max_iterations - iterations,
                max_time: stopping.max_time.saturating_sub(Duration::from_secs_f64(seconds)),
                ..stopping.clone()
            },
            ..LevenbergMarquardt::default()
        };
        let report = solver.minimize_with(&fit, &x0, |progress| {
            observer(progress, iterations + progress.iteration);
            let far = progress.x.chunks_exact(N).any(P::is_far);
            if far { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        drop(fit);
        poses[1..].iter_mut().zip(report.x.chunks_exact(N)).for_each(|(pose, x)| *pose = pose.at(x));
        initial_value = initial_value.or(Some(report.initial_value));
        iterations += report.iterations();
        evaluations += report.counts.values;
        products += report.counts.products + report.counts.transpose_products;
        seconds += report.seconds;
        if report.termination != Termination::Observer {
            let initial_value = initial_value.unwrap_or(report.initial_value);
            return Ok(Outcome { poses, initial_value, iterations, evaluations, products, seconds, restarts, report });
        }
        restarts += 1;
    }
}

/// The problem: one parameter block a pose, but for the first, and one residual block an edge, U e with UᵀU = Ω.
fn model<P: Pose<N>, const N: usize>(poses: &[P], edges: &[Edge<P, N>]) -> Result<impl Model<f64>> {
    let mut structure = BlockStructure::new();
    structure.parameters(poses.len() - 1, N)?;
    for edge in edges {
        let touched: Vec<usize> = [edge.from, edge.to].iter().filter_map(|pose| pose.checked_sub(1)).collect();
        structure.residual(N, &touched)?;
    }
    Ok(structure.model(move |k, x: &[f64], r, jacobian| {
        let edge = &edges[k];
        let (from, to) = (&poses[edge.from], &poses[edge.to]);
        let (fixed_from, fixed_to) = (from.parameters(), to.parameters());
        // The first pose is not among the parameters.
        let split = if edge.from == 0 { 0 } else { N };
        let own = if edge.from == 0 { &fixed_from } else { &x[..N] };
        let other = if edge.to == 0 { &fixed_to } else { &x[split..] };
        let (mut by_own, mut by_other) = ([[0.0; N]; N], [[0.0; N]; N]);
        let derivatives = jacobian.is_some().then_some((&mut by_own, &mut by_other));
        let error = from.at(own).error(own, &to.at(other), other, &edge.measured, derivatives);
        let weigh = |i: usize, of: &dyn Fn(usize) -> f64| (i..N).map(|l| edge.root[i][l] * of(l)).sum::<f64>();
        for i in 0..N {
            r[i] = weigh(i, &|l| error[l]);
        }
        if let Some(jacobian) = jacobian {
            let columns = x.len();
            for i in 0..N {
                for j in 0..N {
                    if edge.from != 0 {
                        jacobian[i * columns + j] = weigh(i, &|l| by_own[l][j]);
                    }
                    if edge.to != 0 {
                        jacobian[i * columns + split + j] = weigh(i, &|l| by_other[l][j]);
                    }
                }
            }
        }
    }))
}
