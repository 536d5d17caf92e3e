//! Seconds of training.

use std::time::Instant;

/// A clock that can be held.
pub struct Clock {
    started: Instant,
    /// Of earlier parts of the run, less what it was held for.
    offset: f64,
}

impl Clock {
    /// A clock that shows `seconds`.
    pub fn at(seconds: f64) -> Self {
        Clock { started: Instant::now(), offset: seconds }
    }

    pub fn seconds(&self) -> f64 {
        self.offset + self.started.elapsed().as_secs_f64()
    }

    /// Calls `body` while the clock stands still.
    pub fn held<R>(&mut self, body: impl FnOnce() -> R) -> R {
        let before = Instant::now();
        let result = body();
        self.offset -= before.elapsed().as_secs_f64();
        result
    }
}
