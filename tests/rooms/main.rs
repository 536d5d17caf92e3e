//! The side rooms: checks, reference models and problems, spectra, statistics.

mod check_parts;
mod checks;
mod convolution;
mod logistic_regression;
mod models;
#[path = "../common/numbers.rs"]
mod numbers;
mod reference_problems;
mod spectrum;
mod statistics;
