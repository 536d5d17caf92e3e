//! Floor 5: training on batches, Hessian-free and by natural gradients.

mod hessian_free;
mod natural_gradient;
mod structural_damping;
