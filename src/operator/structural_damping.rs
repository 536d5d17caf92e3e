//! What an objective wants steps to be damped by beside I.

/// A positive semidefinite S: where a solver damps by λI, it damps by λ(I + S).
pub trait StructuralDamping<T> {
    /// out ← (M + λS)v, λ being `damping`. Overwrites `out` without reading it.
    fn damped_product(&self, damping: f64, v: &[T], out: &mut [T]);
}
