//! The side rooms: checks, reference models and problems, spectra, statistics.

mod checks;
mod logistic_regression;
mod models;
mod reference_problems;
mod spectrum;
mod statistics;
