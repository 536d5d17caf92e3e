//! What training is told on the command line.

use std::path::PathBuf;

use super::{Checkpoint, Method, Training};
use crate::arguments::{RunArguments, name, number, positive};

/// All that training by any method is told but the method.
#[derive(clap::Args)]
pub struct TrainingArguments {
    #[command(flatten)]
    pub run: RunArguments,
    /// Seed of the initial weights
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The rate of adam (otherwise 0.001), soap (0.003) or sgd (0.003)
    #[arg(long, value_parser = positive)]
    pub rate: Option<f64>,
    /// What the momentum of sgd grows to, from a half (otherwise it is 0.9 throughout)
    #[arg(long, value_parser = momentum)]
    pub momentum: Option<f64>,
    /// Samples in a batch of adam, soap, sgd (otherwise 128) or natural-gradient (1000), in the first of all others but lbfgs
    /// (500)
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
    /// Go on from this file if it is there, and save the state of the run to it every ten seconds and at the end
    #[arg(long)]
    pub resume: Option<PathBuf>,
}

/// A momentum on the command line.
fn momentum(text: &str) -> Result<f64, String> {
    number(text, "a number of at least 0 and below 1 is needed", |momentum| (0.0..1.0).contains(&momentum))
}

impl TrainingArguments {
    /// The file with the state of a run of this program by the method on these data, if there is to be one.
    pub fn checkpoint(&self, program: &str, method: Method, data: &[f32]) -> Option<Checkpoint> {
        let kind = format!("{program} {}", name(method));
        self.resume.clone().map(|path| Checkpoint::new(path, &kind, data))
    }

    /// What training is told.
    pub fn training<'c>(&self, checkpoint: Option<&'c Checkpoint>) -> Training<'c> {
        Training {
            seconds: self.run.seconds,
            rate: self.rate,
            momentum: self.momentum,
            batch: self.batch.map(|size| size as usize),
            checkpoint,
        }
    }
}
