//! Floor 1: operators and models, against dense matrices.

mod abilities;
mod blocks;
mod callback_errors;
mod differences;
