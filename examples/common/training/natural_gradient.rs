//! The natural gradient on batches.
//!
//! A resumed run goes on from its point with its batch; the length of the first step is searched for again.

use std::ops::ControlFlow;

use newton_krylov::{
    Batches, NaturalGradient, Progress, SampledModel, SampledObjective, losses::Loss, operators::ModelObjective,
};

use super::clock::Clock;
use super::saved::Saved;
use super::{See, Seen, Trained, Training};

/// Samples in a batch.
const BATCH: usize = 1000;
/// Most divergence of a step, in nats per sample.
const DIVERGENCE: f64 = 1.0;

pub fn train<M: SampledModel<f32>, L: Loss<f32>>(
    training: Training<'_>,
    objective: &ModelObjective<M, L>,
    x0: &[f32],
    see: &mut See<'_>,
) -> Result<Trained, String> {
    let say = |e: newton_krylov::Error| e.to_string();
    let all = objective.samples();
    let file = training.checkpoint;
    let batches = Batches::new(all, training.batch.unwrap_or(BATCH).min(all), 0).map_err(say)?;
    let mut state = Saved::load_or(file, x0, batches)?;
    let solver = NaturalGradient { divergence: DIVERGENCE, ..NaturalGradient::default() };
    let (start, batches) = (state.x.clone(), state.method.clone());
    let (before, steps) = (state.counts, state.iterations);
    let mut clock = Clock::at(state.seconds);
    let (mut saved, mut size, mut value) = (Ok(()), 0, f64::NAN);
    let observer = |progress: &Progress<'_, f32>| {
        state.seconds = clock.seconds();
        let over = state.seconds >= training.seconds;
        clock.held(|| {
            let counts = before + progress.counts;
            // Value and gradient here are already those of the new batch, which the state has yet to draw.
            state.samples.values += (counts.values - state.counts.values - 1) * size;
            state.samples.products += (counts.products - state.counts.products) * size;
            (state.counts, state.iterations) = (counts, steps + progress.iteration);
            state.x.copy_from_slice(progress.x);
            value = progress.value;
            let Saved { x, iterations, seconds, samples, .. } = &state;
            see(Seen { x, iterations: *iterations, counts, samples: *samples, value, seconds: *seconds });
            if let Some(file) = file.filter(|file| file.due()) {
                saved = file.save(&state);
            }
            size = state.method.draw().len();
            state.samples.values += size;
            state.samples.gradients += size;
        });
        if over || saved.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let report = solver.minimize_sampled_with(objective, batches, &start, observer).map_err(say)?;
    saved?;
    let samples = state.samples;
    state.end(file, report, samples)
}
