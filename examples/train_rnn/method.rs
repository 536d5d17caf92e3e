//! The ways to train, all on the same objective.

use std::time::{Duration, Instant};

use newton_krylov::{
    Batches, Expansion, HessianFree, Objective, Run, SampledModel, SampledObjective, Stopping, Termination,
    first_order::{Adam, GradientMethod},
    hessian_free::{ConjugateGradients, CurvatureBatch, GradientBatch, StepMethod, SubspaceDescent},
    losses::Loss,
    operators::ModelObjective,
};

use crate::Arguments;

/// Sequences of the first gradient, and the share of them that products are made on. Products on 500 sequences are enough
/// for good steps, but the way out of the plateau at the mean of all sums is only seen in a gradient with little noise.
const GRADIENT_BATCH: usize = 2000;
const CURVATURE_SHARE: f64 = 0.25;

/// Adam's sequences for a step, and the longest gradient (Pascanu, Mikolov & Bengio, "On the difficulty of training
/// recurrent neural networks" (ICML 2013), section 3.2: longer ones are scaled down).
const ADAM_BATCH: usize = 100;
const ADAM_CLIP: f64 = 1.0;
/// Its steps between two looks.
const ADAM_STEPS: usize = 50;

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Method {
    /// Steps from one space for every damping
    HessianFree,
    /// The recipe of Martens (2010): conjugate gradients
    Martens,
    /// Adam with clipped gradients, for comparison
    Adam,
}

/// A point of the run.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'x> {
    pub x: &'x [f32],
    pub iterations: usize,
    pub products: usize,
    /// The loss on the last batch.
    pub value: f64,
    /// Seconds of training.
    pub seconds: f64,
}

/// What training came to.
pub struct Trained {
    /// Where it ended.
    pub x: Vec<f32>,
    pub iterations: usize,
    pub products: usize,
    pub seconds: f64,
    pub termination: Termination,
}

type Fit<M, L> = ModelObjective<M, L>;

/// Trains from x₀ until `see` says that it is enough.
pub fn train<M: SampledModel<f32>, L: Loss<f32>>(
    arguments: &Arguments,
    seed: u64,
    objective: &Fit<M, L>,
    x0: &[f32],
    see: &mut dyn FnMut(Seen<'_>) -> bool,
) -> newton_krylov::Result<Trained> {
    let method = match arguments.method {
        Method::HessianFree => {
            StepMethod::SubspaceDescent(SubspaceDescent { products: 40, search: true, ..SubspaceDescent::default() })
        }
        // On the plateau the default of 5e-4 stops before the directions in which the model is about to learn.
        Method::Martens => StepMethod::ConjugateGradients(ConjugateGradients {
            products: 100,
            progress: 1e-4,
            ..ConjugateGradients::default()
        }),
        Method::Adam => return adam(arguments, seed, objective, x0, see),
    };
    let solver = HessianFree {
        stopping: Stopping { max_time: Duration::from_secs_f64(arguments.run.seconds), ..Stopping::default() },
        gradient_batch: GradientBatch { first: GRADIENT_BATCH, ..GradientBatch::default() },
        curvature_batch: CurvatureBatch { share: CURVATURE_SHARE, ..CurvatureBatch::default() },
        method,
        damping: 1.0,
        seed,
        ..HessianFree::default()
    };
    let mut run = solver.start(objective, (), x0)?;
    let termination = loop {
        let progress = run.progress();
        let seen = Seen {
            x: progress.x,
            iterations: progress.iteration,
            products: progress.counts.products,
            value: progress.value,
            seconds: progress.seconds,
        };
        if see(seen) {
            break Termination::Observer;
        }
        if let Some(termination) = run.iterate()? {
            break termination;
        }
    };
    let progress = run.progress();
    Ok(Trained {
        x: progress.x.to_vec(),
        iterations: progress.iteration,
        products: progress.counts.products,
        seconds: progress.seconds,
        termination,
    })
}

fn adam<M: SampledModel<f32>, L: Loss<f32>>(
    arguments: &Arguments,
    seed: u64,
    objective: &Fit<M, L>,
    x0: &[f32],
    see: &mut dyn FnMut(Seen<'_>) -> bool,
) -> newton_krylov::Result<Trained> {
    let method = Adam { rate: arguments.rate, ..Adam::default() };
    let mut batches = Batches::new(objective.samples(), ADAM_BATCH.min(objective.samples()), seed)?;
    let (mut moments, mut x, mut gradient) = (method.moments(x0.len()), x0.to_vec(), vec![0.0; x0.len()]);
    let (mut iterations, mut seconds, mut value) = (0, 0.0, f64::NAN);
    let termination = loop {
        if see(Seen { x: &x, iterations, products: 0, value, seconds }) {
            break Termination::Observer;
        }
        if seconds >= arguments.run.seconds {
            break Termination::MaxTime;
        }
        let started = Instant::now();
        for _ in 0..ADAM_STEPS {
            let samples = batches.draw().to_vec();
            let batch = objective.batch(&samples);
            let at = batch.expand(&x);
            value = at.value();
            at.gradient(&mut gradient);
            drop(at);
            let norm = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
            if norm > ADAM_CLIP {
                gradient.iter_mut().for_each(|g| *g *= (ADAM_CLIP / norm) as f32);
            }
            method.step(&mut moments, &gradient, &mut x)?;
        }
        iterations += ADAM_STEPS;
        seconds += started.elapsed().as_secs_f64();
    };
    Ok(Trained { x, iterations, products: 0, seconds, termination })
}
