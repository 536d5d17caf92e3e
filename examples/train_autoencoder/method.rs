//! The ways to train, all on the same objective.

use std::time::{Duration, Instant};

use newton_krylov::{
    ConjugateGradients, Counts, HessianFree, HessianFreeState, KroneckerPreconditioner, LearnedPreconditioner, Loss,
    OneSpace, Recipe, SampledModel, SampledModelObjective, Stopping, Termination, checkpoint,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Arguments;

/// Seconds between two saves.
const SAVE_EVERY: f64 = 10.0;

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Method {
    /// Steps from small spaces with exact products, preconditioned by Kronecker factors
    HessianFree,
    /// The recipe of Martens (2010): conjugate gradients, without a preconditioner
    Martens,
    /// As hessian-free, without a preconditioner
    Unpreconditioned,
}

impl Method {
    pub fn name(self) -> &'static str {
        match self {
            Method::HessianFree => "hessian-free",
            Method::Martens => "martens",
            Method::Unpreconditioned => "unpreconditioned",
        }
    }
}

/// What training came to.
pub struct Trained {
    pub x: Vec<f32>,
    pub seconds: f64,
    pub iterations: usize,
    pub counts: Counts,
    pub samples: Counts,
    pub termination: Termination,
}

/// Sees x, iterations, the value on the batch and the seconds of training; and whether it is the end.
pub type See<'s> = dyn FnMut(&[f32], usize, f64, f64, bool) + 's;

type Objective<M, L> = SampledModelObjective<M, L>;

pub fn train<M: SampledModel<f32>, L: Loss<f32>>(
    arguments: &Arguments,
    objective: &Objective<M, L>,
    x0: &[f32],
    see: &mut See<'_>,
) -> Result<Trained, String> {
    let stopping = Stopping { max_time: Some(Duration::from_secs_f64(arguments.seconds)), ..Stopping::default() };
    let default = HessianFree { stopping, ..HessianFree::default() };
    match arguments.method {
        Method::HessianFree => hessian_free(arguments, &default, KroneckerPreconditioner::new(), objective, x0, see),
        Method::Martens => {
            let recipe = Recipe::ConjugateGradients(ConjugateGradients::default());
            hessian_free(arguments, &HessianFree { recipe, ..default }, (), objective, x0, see)
        }
        Method::Unpreconditioned => hessian_free(arguments, &default, (), objective, x0, see),
    }
}

fn hessian_free<M, L, P>(
    arguments: &Arguments,
    solver: &HessianFree,
    preconditioner: P,
    objective: &Objective<M, L>,
    x0: &[f32],
    see: &mut See<'_>,
) -> Result<Trained, String>
where
    M: SampledModel<f32>,
    L: Loss<f32>,
    P: LearnedPreconditioner<f32, Objective<M, L>> + Serialize + DeserializeOwned,
{
    let kind = format!("train_autoencoder {}", arguments.method.name());
    let saved = arguments.resume.as_ref().filter(|path| path.exists());
    let mut run = match saved {
        Some(path) => {
            let state: HessianFreeState<f32, P> = checkpoint::load(path, &kind).map_err(|e| e.to_string())?;
            solver.resume(objective, state).map_err(|e| format!("{}: {e}", path.display()))?
        }
        None => solver.start(objective, preconditioner, x0).map_err(|e| e.to_string())?,
    };
    let save = |state: &HessianFreeState<f32, P>| match &arguments.resume {
        Some(path) => checkpoint::save(path, &kind, state).map_err(|e| e.to_string()),
        None => Ok(()),
    };
    let mut last_saved = Instant::now();
    let termination = loop {
        let progress = run.progress();
        see(progress.x, progress.iteration, progress.value, progress.seconds, false);
        if let Some(termination) = run.iterate() {
            break termination;
        }
        if last_saved.elapsed().as_secs_f64() >= SAVE_EVERY {
            save(run.state())?;
            last_saved = Instant::now();
        }
    };
    save(run.state())?;
    let (samples, iterations) = (run.sample_counts(), run.state().iterations());
    let x = run.state().x().to_vec();
    let report = run.finish(termination);
    see(&report.x, iterations, report.value, report.seconds, true);
    drop(x);
    Ok(Trained { x: report.x, seconds: report.seconds, iterations, counts: report.counts, samples, termination })
}
