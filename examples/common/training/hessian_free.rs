//! The methods that are recipes of Hessian-free training.

use std::time::Duration;

use newton_krylov::{
    HessianFree, Run, RunState, SampledModel, Stopping,
    hessian_free::{AcceptanceBatch, CurvatureBatch, GradientBatch, StepMethod},
    losses::Loss,
    operators::ModelObjective,
    preconditioners::{KroneckerPreconditioner, LearnedPreconditioner},
};

use super::{See, Seen, Trained, Training};

fn solver(training: Training<'_>) -> HessianFree {
    let stopping = Stopping { max_time: Duration::from_secs_f64(training.seconds), ..Stopping::default() };
    let HessianFree { mut gradient_batch, mut curvature_batch, .. } = HessianFree::default();
    if let Some(first) = training.batch {
        // The defaults are in this proportion.
        curvature_batch = CurvatureBatch { least: first.div_ceil(2), ..curvature_batch };
        gradient_batch = GradientBatch { first, ..gradient_batch };
    }
    HessianFree { stopping, gradient_batch, curvature_batch, ..HessianFree::default() }
}

/// The default method. The curvature batch judges steps, which saves a sixth of an iteration, unless batches are chosen:
/// parts of small ones differ so much that good steps are refused, and λ is raised by powers of four.
pub fn with_kronecker_factors<M: SampledModel<f32>, L: Loss<f32>>(
    training: Training<'_>,
    objective: &ModelObjective<M, L>,
    x0: &[f32],
    see: &mut See<'_>,
) -> Result<Trained, String> {
    let acceptance_batch = training.batch.map_or(AcceptanceBatch::Curvature, |_| AcceptanceBatch::Gradient);
    let solver = HessianFree { acceptance_batch, ..solver(training) };
    train(&solver, KroneckerPreconditioner::new(), training, objective, x0, see)
}

/// The first damping without a preconditioner, where one that is too small costs whole solves.
const DAMPING: f64 = 10.0;

/// Another method, without a preconditioner.
pub fn by_recipe<M: SampledModel<f32>, L: Loss<f32>>(
    method: StepMethod,
    training: Training<'_>,
    objective: &ModelObjective<M, L>,
    x0: &[f32],
    see: &mut See<'_>,
) -> Result<Trained, String> {
    train(&HessianFree { method, damping: DAMPING, ..solver(training) }, (), training, objective, x0, see)
}

fn train<M, L, P>(
    solver: &HessianFree,
    preconditioner: P,
    training: Training<'_>,
    objective: &ModelObjective<M, L>,
    x0: &[f32],
    see: &mut See<'_>,
) -> Result<Trained, String>
where
    M: SampledModel<f32>,
    L: Loss<f32>,
    P: LearnedPreconditioner<f32, ModelObjective<M, L>>,
{
    let file = training.checkpoint;
    let saved: Option<RunState> = file.map(|file| file.load()).transpose()?.flatten();
    let mut run = match (saved, file) {
        (Some(state), Some(file)) => solver.resume(objective, &state).map_err(|e| file.refuse(e))?,
        _ => solver.start(objective, preconditioner, x0).map_err(|e| e.to_string())?,
    };
    let termination = loop {
        let progress = run.progress();
        see(Seen {
            x: progress.x,
            iterations: progress.iteration,
            counts: progress.counts,
            samples: run.sample_counts(),
            value: progress.value,
            seconds: progress.seconds,
        });
        if let Some(termination) = run.iterate().map_err(|e| e.to_string())? {
            break termination;
        }
        if let Some(file) = file.filter(|file| file.due()) {
            file.save(&run.save())?;
        }
    };
    if let Some(file) = file {
        file.save(&run.save())?;
    }
    let (samples, progress) = (run.sample_counts(), run.progress());
    let (seconds, iterations) = (progress.seconds, progress.iteration);
    // The value on the whole set, which tells the best point, is no part of training.
    let report = run.finish(termination);
    Ok(Trained { x: report.x, seconds, iterations, counts: report.counts, samples, termination })
}
