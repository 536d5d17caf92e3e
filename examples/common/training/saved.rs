//! Runs that survive: their state in a file, replaced every ten seconds and at the end.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Instant;

use newton_krylov::{Counts, Report, Termination, checkpoint};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Trained;

/// Seconds between two saves.
const SAVE_EVERY: f64 = 10.0;

/// A file with the state of a run.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    /// What makes two states incompatible: the program, the method and the data.
    kind: String,
    saved: Cell<Instant>,
}

impl Checkpoint {
    /// For the state of this method on these data.
    pub fn new(path: PathBuf, method: &str, data: &[f32]) -> Self {
        let kind = format!("{method}, data {:016x}", digest(data));
        Checkpoint { path, kind, saved: Cell::new(Instant::now()) }
    }

    /// The state in the file, if the file is there.
    pub fn load<S: DeserializeOwned>(&self) -> Result<Option<S>, String> {
        if !self.path.exists() {
            return Ok(None);
        }
        checkpoint::load(&self.path, &self.kind).map(Some).map_err(|e| e.to_string())
    }

    pub fn save(&self, state: &impl Serialize) -> Result<(), String> {
        checkpoint::save(&self.path, &self.kind, state).map_err(|e| e.to_string())?;
        self.saved.set(Instant::now());
        Ok(())
    }

    /// Whether the last save is long ago.
    pub fn due(&self) -> bool {
        self.saved.get().elapsed().as_secs_f64() >= SAVE_EVERY
    }

    /// An error about this file.
    pub fn refuse(&self, reason: impl std::fmt::Display) -> String {
        format!("{}: {reason}", self.path.display())
    }
}

/// FNV-1a of the numbers' bits (RFC 9923), to tell sets of data from each other.
fn digest(data: &[f32]) -> u64 {
    let bytes = data.iter().flat_map(|number| number.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// A run of a method without a state of its own in the library; `method` is what the method remembers.
#[derive(Clone, Serialize, Deserialize)]
pub struct Saved<S> {
    pub x: Vec<f32>,
    pub iterations: usize,
    pub seconds: f64,
    pub counts: Counts,
    pub samples: Counts,
    pub method: S,
}

impl<S: DeserializeOwned> Saved<S> {
    /// The state in the file, or else that at the start of a run from `x0`.
    pub fn load_or(checkpoint: Option<&Checkpoint>, x0: &[f32], method: S) -> Result<Self, String> {
        let Some((file, state)) = checkpoint.map(|file| Ok::<_, String>((file, file.load::<Self>()?))).transpose()?
        else {
            return Ok(Saved::new(x0, method));
        };
        match state {
            Some(state) if state.x.len() != x0.len() => {
                Err(file.refuse(format!("{} parameters, but {} are needed", state.x.len(), x0.len())))
            }
            Some(state) => Ok(state),
            None => Ok(Saved::new(x0, method)),
        }
    }

    /// Saves the state, and tells what the run came to that an observer ended in time.
    pub fn end(self, file: Option<&Checkpoint>, report: Report<f32>, samples: Counts) -> Result<Trained, String>
    where
        S: Serialize,
    {
        if let Some(file) = file {
            file.save(&self)?;
        }
        let termination = match report.termination {
            Termination::Observer => Termination::MaxTime,
            other => other,
        };
        let Saved { iterations, seconds, counts, .. } = self;
        Ok(Trained { x: report.x, seconds, iterations, counts, samples, termination })
    }

    fn new(x0: &[f32], method: S) -> Self {
        let zero = Counts::default();
        Saved { x: x0.to_vec(), iterations: 0, seconds: 0.0, counts: zero, samples: zero, method }
    }
}
