//! Floor 1: operators and models, against dense matrices.

mod blocks;
mod callback_errors;
