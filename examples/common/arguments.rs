//! Numbers on the command line.

/// A number that is allowed; otherwise what is wanted.
pub fn number(text: &str, wanted: &str, allowed: impl Fn(f64) -> bool) -> Result<f64, String> {
    text.parse().ok().filter(|&number| allowed(number)).ok_or_else(|| wanted.into())
}

pub fn seconds(text: &str) -> Result<f64, String> {
    number(text, "a number of seconds is needed", |seconds| (0.0..1e9).contains(&seconds))
}

pub fn positive(text: &str) -> Result<f64, String> {
    number(text, "a positive number below 1e9 is needed", |number| number > 0.0 && number < 1e9)
}
