//! Floor 4: least squares in residual blocks. Parameter blocks are eliminated, the Schur complement is factored or solved
//! by conjugate gradients; the blocks themselves are declared on the [operators' floor](crate::operators::BlockStructure).

mod chunk_task;
mod explicit;
mod factor;
mod reduced_pattern;
mod reduced_system;
mod schur;
#[cfg(test)]
mod schur_tests;

pub(crate) use schur::Schur;
