//! A bar that shows how much of a run's time is over.

use indicatif::{ProgressBar, ProgressStyle};

/// On standard error, for people; cleared where it is dropped.
pub struct Bar {
    bar: ProgressBar,
    end: u64,
}

impl Bar {
    pub fn new(seconds: f64) -> Self {
        let end = (seconds * 1e3) as u64;
        let bar = ProgressBar::new(end);
        bar.set_style(ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}").expect("a valid template"));
        Bar { bar, end }
    }

    pub fn show(&self, seconds: f64, message: String) {
        self.bar.set_position(((seconds * 1e3) as u64).min(self.end));
        self.bar.set_message(message);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
