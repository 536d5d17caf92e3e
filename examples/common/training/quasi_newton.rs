//! L-BFGS on the whole set. A resumed run goes on from its point without the pairs it had.

use std::ops::ControlFlow;

use newton_krylov::{Counts, Lbfgs, Progress, SampledModel, SampledObjective, losses::Loss, operators::ModelObjective};

use super::clock::Clock;
use super::saved::Saved;
use super::{See, Seen, Trained, Training};

pub fn train<M: SampledModel<f32>, L: Loss<f32>>(
    training: Training<'_>,
    objective: &ModelObjective<M, L>,
    x0: &[f32],
    see: &mut See<'_>,
) -> Result<Trained, String> {
    let all: Vec<usize> = (0..objective.samples()).collect();
    let file = training.checkpoint;
    let mut state = Saved::load_or(file, x0, ())?;
    let (start, before, steps) = (state.x.clone(), state.counts, state.iterations);
    let mut clock = Clock::at(state.seconds);
    let (mut saved, mut value) = (Ok(()), f64::NAN);
    let observer = |progress: &Progress<'_, f32>| {
        state.seconds = clock.seconds();
        let over = state.seconds >= training.seconds;
        clock.held(|| {
            (state.counts, state.iterations) = (before + progress.counts, steps + progress.iteration);
            state.x.copy_from_slice(progress.x);
            value = progress.value;
            let Saved { x, iterations, seconds, counts, .. } = &state;
            let samples = of_samples(*counts, all.len());
            see(Seen { x, iterations: *iterations, counts: *counts, samples, value, seconds: *seconds });
            if let Some(file) = file.filter(|file| file.due()) {
                saved = file.save(&state);
            }
        });
        if over || saved.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let report = Lbfgs::default().minimize_with(&objective.batch(&all), &start, observer).map_err(|e| e.to_string())?;
    saved?;
    let samples = of_samples(state.counts, all.len());
    state.end(file, report, samples)
}

/// Calls times the samples of each.
fn of_samples(counts: Counts, all: usize) -> Counts {
    Counts { values: counts.values * all, gradients: counts.gradients * all, ..counts }
}
