//! Reference problems with known answers (feature `problems`): templates for users, truth for tests and benches.

mod more_garbow_hillstrom;
mod number;

pub use more_garbow_hillstrom::{Minimum, MoreGarbowHillstrom};
