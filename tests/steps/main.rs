//! Floor 3: steps from products, against systems whose solutions are known.

mod dense;
mod family;
mod golub_kahan;
mod linear_least_squares;
mod magnitude;
mod minres;
#[path = "../common/numbers.rs"]
mod numbers;
#[path = "../common/vectors.rs"]
mod vectors;
