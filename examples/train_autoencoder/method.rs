//! The ways to train, all on the same objective.

use std::time::{Duration, Instant};

use newton_krylov::{
    AcceptanceBatch, ConjugateGradients, Counts, HessianFree, HessianFreeState, KroneckerPreconditioner,
    LearnedPreconditioner, Loss, OneSpace, Recipe, SampledModel, SampledModelObjective, Stopping, Termination,
    checkpoint,
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
    /// Larger spaces without a preconditioner, and the best damping along each
    OneSpace,
}

impl Method {
    pub fn name(self) -> &'static str {
        match self {
            Method::HessianFree => "hessian-free",
            Method::Martens => "martens",
            Method::OneSpace => "one-space",
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

/// A point of the run.
pub struct Seen<'x> {
    pub x: &'x [f32],
    pub iterations: usize,
    /// Products so far.
    pub products: usize,
    /// The loss on the last batch.
    pub value: f64,
    /// Seconds of training.
    pub seconds: f64,
    /// Whether this is the end.
    pub last: bool,
}

/// Looks at a run.
pub type See<'s> = dyn FnMut(Seen<'_>) + 's;

type Objective<M, L> = SampledModelObjective<M, L>;

pub fn train<M: SampledModel<f32>, L: Loss<f32>>(
    arguments: &Arguments,
    objective: &Objective<M, L>,
    x0: &[f32],
    see: &mut See<'_>,
) -> Result<Trained, String> {
    let stopping = Stopping { max_time: Some(Duration::from_secs_f64(arguments.seconds)), ..Stopping::default() };
    let default = HessianFree { stopping, ..HessianFree::default() };
    // A value on the curvature batch saves a sixth of an iteration.
    let frugal = HessianFree { acceptance_batch: AcceptanceBatch::Curvature, ..default.clone() };
    match arguments.method {
        Method::HessianFree => hessian_free(arguments, &frugal, KroneckerPreconditioner::new(), objective, x0, see),
        Method::Martens => {
            let recipe = Recipe::ConjugateGradients(ConjugateGradients::default());
            hessian_free(arguments, &HessianFree { recipe, ..default }, (), objective, x0, see)
        }
        Method::OneSpace => {
            let recipe = Recipe::OneSpace(OneSpace { products: 30, search: true });
            hessian_free(arguments, &HessianFree { recipe, ..default }, (), objective, x0, see)
        }
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
        see(Seen {
            x: progress.x,
            iterations: progress.iteration,
            products: progress.counts.products,
            value: progress.value,
            seconds: progress.seconds,
            last: false,
        });
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
    let report = run.finish(termination);
    see(Seen {
        x: &report.x,
        iterations,
        products: report.counts.products,
        value: report.value,
        seconds: report.seconds,
        last: true,
    });
    Ok(Trained { x: report.x, seconds: report.seconds, iterations, counts: report.counts, samples, termination })
}
