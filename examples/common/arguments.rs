//! What the examples that train have in common on the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use newton_krylov::Termination;

/// A run: how long, and what it leaves behind.
#[derive(clap::Args)]
pub struct RunArguments {
    /// Train at most this long, in seconds of training time: evaluations do not count
    #[arg(long, default_value_t = 20.0, value_parser = seconds)]
    pub seconds: f64,
    /// Write the learning curve to this file, as SVG
    #[arg(long)]
    pub curve: Option<PathBuf>,
    /// Print the result as one line of JSON, last on standard output
    #[arg(long)]
    pub json: bool,
}

/// The exit code of a program; an error is said on standard error.
pub fn exit(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// An error for a run that came to nothing.
pub fn outcome(termination: Termination) -> Result<(), String> {
    match termination {
        Termination::NotFinite(_) | Termination::Unbounded | Termination::Diverged => Err(termination.advice().into()),
        _ => Ok(()),
    }
}

/// A choice as on the command line.
pub fn name(choice: impl ValueEnum) -> String {
    choice.to_possible_value().expect("no choice is hidden").get_name().to_owned()
}

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

pub fn weight(text: &str) -> Result<f64, String> {
    number(text, "a number of at least 0 and below 1e9 is needed", |weight| (0.0..1e9).contains(&weight))
}
