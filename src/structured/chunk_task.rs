//! One chunk of the Jacobian through I − QQᵀ: its part of every pass of the [reduced system](super::reduced_system).

use crate::base::{Scalar, kernels, small};
use crate::operator::{BlockLayout, Chunk, ChunkValues};

/// What a chunk of the Jacobian needs.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Task<T> {
    /// Q by rows, group after group.
    pub q: Vec<T>,
    /// R by rows, group after group.
    pub triangles: Vec<f64>,
    /// Numbers for the rows: u, or Jδ.
    pub rows: Vec<f64>,
    /// Sums for the kept parameters; y for the eliminated ones.
    pub sums: Vec<f64>,
    pub small: Vec<f64>,
    /// The chunk's share of ‖Jδ‖².
    pub squares: f64,
}

/// What goes through I − QQᵀ.
#[derive(Clone, Copy)]
pub enum Source<'a, T> {
    Residual(&'a [T]),
    Product(&'a [f64]),
}

impl<T: Scalar> Task<T> {
    pub fn pass(&mut self, layout: &BlockLayout, chunk: &Chunk, values: &ChunkValues<T>, source: Source<'_, T>) {
        let sums = &mut self.sums[..chunk.kept_sums];
        sums.fill(0.0);
        let (mut row, mut kept, mut q) = (0, 0, 0);
        for g in chunk.groups.clone() {
            let group = &layout.groups[g];
            let u = &mut self.rows[row..row + group.rows as usize];
            match source {
                Source::Residual(residual) => {
                    let from = layout.blocks_of(g).flat_map(|b| &residual[layout.rows_of(b)]);
                    u.iter_mut().zip(from).for_each(|(u, &r)| *u = r.into());
                }
                Source::Product(x) => {
                    kept_product(layout, g, &values.kept[kept..], x, u);
                }
            }
            row += u.len();
            if group.columns > 0 {
                let factor = &self.q[q..q + u.len() * group.columns as usize];
                let s = &mut self.small[..group.columns as usize];
                s.fill(0.0);
                small::add_transpose_product(factor, u, s);
                s.iter_mut().for_each(|s| *s = -*s);
                small::add_product(factor, s, u);
                q += factor.len();
            }
            let mut at = 0;
            for b in layout.blocks_of(g) {
                let rows = layout.stored[b].rows as usize;
                for touch in layout.touches(b..b + 1) {
                    let columns = layout.declaration.size(touch.parameter);
                    let a = &values.kept[kept..kept + rows * columns];
                    small::add_transpose_product(a, &u[at..at + rows], &mut sums[touch.slot as usize..][..columns]);
                    kept += a.len();
                }
                at += rows;
            }
        }
    }

    /// y_p ← −R_p⁻¹Q_pᵀ(A_p x + r_p), rows ← A_p x − Q_pQ_pᵀ(A_p x + r_p).
    pub fn complete(
        &mut self,
        layout: &BlockLayout,
        chunk: &Chunk,
        values: &ChunkValues<T>,
        residual: &[T],
        x: &[f64],
    ) {
        let (mut row, mut kept, mut q, mut triangle) = (0, 0, 0, 0);
        for g in chunk.groups.clone() {
            let group = &layout.groups[g];
            let u = &mut self.rows[row..row + group.rows as usize];
            kept += kept_product(layout, g, &values.kept[kept..], x, u);
            if group.columns > 0 {
                let n = group.columns as usize;
                let factor = &self.q[q..q + u.len() * n];
                let y = &mut self.sums[group.slot as usize..][..n];
                y.fill(0.0);
                small::add_transpose_product(factor, u, y);
                let mut at = 0;
                for b in layout.blocks_of(g) {
                    let r = &residual[layout.rows_of(b)];
                    small::add_transpose_product(&factor[at..at + r.len() * n], r, y);
                    at += r.len() * n;
                }
                y.iter_mut().for_each(|y| *y = -*y);
                small::add_product(factor, y, u);
                small::upper_solve(&self.triangles[triangle..triangle + n * n], y);
                q += factor.len();
                triangle += n * n;
            }
            row += u.len();
        }
        self.squares = kernels::dot(&self.rows, &self.rows);
    }
}

/// u ← A_g x for the rows of a group; returns how many numbers A_g has.
fn kept_product<T: Scalar>(layout: &BlockLayout, g: usize, a: &[T], x: &[f64], u: &mut [f64]) -> usize {
    u.fill(0.0);
    let (mut row, mut at) = (0, 0);
    for b in layout.blocks_of(g) {
        let rows = layout.stored[b].rows as usize;
        for touch in layout.touches(b..b + 1) {
            let columns = layout.declaration.size(touch.parameter);
            let x = &x[layout.reduced[touch.parameter as usize]..][..columns];
            small::add_product(&a[at..at + rows * columns], x, &mut u[row..row + rows]);
            at += rows * columns;
        }
        row += rows;
    }
    at
}
