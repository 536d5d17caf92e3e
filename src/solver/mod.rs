//! Floor 5
pub mod experiment;
