//! First-order methods, one step at a time, so that the state between any two steps can be saved.
//!
//! The steps are those of [`FirstOrder`](newton_krylov::first_order::FirstOrder), which evaluates the whole set at both ends of a run.

use newton_krylov::{
    Batches, Evaluation, Expansion, Objective, SampledModel, SampledObjective, Termination,
    first_order::{GradientMethod, IterateAverage, Moments},
    losses::Loss,
    operators::ModelObjective,
};

use super::clock::Clock;
use super::saved::Saved;
use super::{See, Seen, Trained, Training};

/// Measured on autoencoders, with a momentum of 0.9 and batches of 128: the best of 0.003, 0.01 and 0.03.
pub const NESTEROV_RATE: f64 = 0.003;
/// Samples in a batch, as in many programs.
const BATCH: usize = 128;

/// Looks at the average of the points, and ends with it, if `averaged`.
pub fn train<M: SampledModel<f32>, L: Loss<f32>>(
    method: &impl GradientMethod,
    averaged: bool,
    training: Training<'_>,
    objective: &ModelObjective<M, L>,
    x0: &[f32],
    see: &mut See<'_>,
) -> Result<Trained, String> {
    let say = |e: newton_krylov::Error| e.to_string();
    let all = objective.samples();
    let batches = Batches::new(all, training.batch.unwrap_or(BATCH).min(all), 0).map_err(say)?;
    let average = IterateAverage::<f32>::default();
    let start: (Moments<f32>, _, Batches) = (method.moments(x0.len()), average, batches);
    let file = training.checkpoint;
    let mut state = Saved::load_or(file, x0, start)?;
    if let (Some(file), (.., batches)) = (file, &state.method)
        && batches.samples() != all
    {
        return Err(file.refuse(format!("{} samples, but there are {all}", batches.samples())));
    }
    let mut clock = Clock::at(state.seconds);
    let (mut gradient, mut value) = (vec![0.0; x0.len()], f64::NAN);
    let termination = loop {
        let Saved { x, iterations, counts, samples, method: (moments, average, batches), .. } = &mut state;
        let seconds = clock.seconds();
        let point: &[f32] = if averaged && *iterations > 0 { average.point() } else { x };
        clock.held(|| {
            see(Seen { x: point, iterations: *iterations, counts: *counts, samples: *samples, value, seconds })
        });
        if seconds >= training.seconds {
            break Termination::MaxTime;
        }
        let drawn = batches.draw();
        {
            let batch = objective.batch(drawn);
            let at = batch.expand(x);
            value = at.value();
            at.gradient(&mut gradient);
        }
        for (counts, by) in [(counts, 1), (samples, drawn.len())] {
            counts.values += by;
            counts.gradients += by;
        }
        if !value.is_finite() {
            break Termination::NotFinite(Evaluation::Value);
        }
        method.step(moments, &gradient, x).map_err(say)?;
        if averaged {
            average.add(x);
        }
        *iterations += 1;
        state.seconds = clock.seconds();
        if let Some(file) = file.filter(|file| file.due()) {
            clock.held(|| file.save(&state))?;
        }
    };
    // A run that diverged keeps the file that it had.
    if let Some(file) = file.filter(|_| !matches!(termination, Termination::NotFinite(_))) {
        file.save(&state)?;
    }
    let Saved { mut x, iterations, seconds, counts, samples, method: (_, average, _) } = state;
    if averaged && iterations > 0 {
        x.copy_from_slice(average.point());
    }
    Ok(Trained { x, seconds, iterations, counts, samples, termination })
}
