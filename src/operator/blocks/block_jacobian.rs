//! A Jacobian of small dense blocks, and its products.
//!
//! Stored is, for each chunk of the [layout](super::block_layout), what belongs to kept parameters and what belongs to
//! eliminated ones, each residual block by rows. A product Jv goes over the rows in the user's order, a product Jᵀu over
//! the chunks; both read every number of the Jacobian once. Jᵀr and diag(JᵀJ) are summed while the Jacobian is evaluated.

use std::ops::Range;
use std::sync::Mutex;

use super::block_declaration::NONE;
use super::block_layout::{BlockLayout, Chunk};
use crate::base::parallel::{for_each, over_parts};
use crate::base::{Scalar, small};

/// Elements of a result that one task computes at least.
const GRAIN: usize = 4096;

/// The numbers of a chunk.
#[derive(Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ChunkValues<T> {
    /// For each residual block, and each parameter block that it touches and that is kept, a matrix by rows.
    pub kept: Vec<T>,
    /// For each residual block its matrix for the eliminated parameter block, by rows: for a group one tall matrix.
    pub eliminated: Vec<T>,
    residuals: Vec<T>,
    /// The chunk's share of Jᵀr, then that of diag(JᵀJ).
    sums: Vec<f64>,
    /// The parameters and the Jacobian of one residual block.
    scratch: Vec<T>,
}

/// Residuals and Jacobian, in memory that is used again.
#[derive(Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BlockValues<T> {
    pub chunks: Vec<ChunkValues<T>>,
    /// r, in the user's order.
    pub outputs: Vec<T>,
    /// Jᵀr and diag(JᵀJ), which cost no pass of their own.
    pub gradient: Vec<T>,
    pub norms: Vec<T>,
    /// Scratch of products with Jᵀ.
    sums: Mutex<Vec<Vec<f64>>>,
}

/// What a robust loss makes of residuals, in consecutive pieces b of `size` rows: r_b ← r̃_b, J_b ← (α I + β r_b r_bᵀ) J_b.
#[derive(Clone, Copy, Debug)]
pub struct RowWeights<'a, T> {
    pub size: usize,
    /// α and β.
    pub factors: &'a [(f64, f64)],
    /// r, and r̃.
    pub residual: &'a [T],
    pub weighted: &'a [T],
}

impl<T: Scalar> RowWeights<'_, T> {
    /// The matrix of rows `first`… of J, stored by rows of length `columns`, becomes that of WJ.
    fn weigh(&self, first: usize, matrix: &mut [T], columns: usize) {
        for (i, piece) in matrix.chunks_exact_mut(self.size * columns).enumerate() {
            let b = first / self.size + i;
            let (outer, along) = self.factors[b];
            let r = &self.residual[b * self.size..(b + 1) * self.size];
            for c in 0..columns {
                let dot: f64 =
                    r.iter().zip(piece[c..].iter().step_by(columns)).map(|(&r, &v)| r.into() * v.into()).sum();
                for (&r, v) in r.iter().zip(piece[c..].iter_mut().step_by(columns)) {
                    *v = T::from_f64(outer * (*v).into() + along * dot * r.into());
                }
            }
        }
    }
}

impl<T: Scalar> BlockValues<T> {
    /// Evaluates all residual blocks at x. `evaluate(i, x, r, jacobian)` is the user's.
    pub fn evaluate(
        &mut self,
        layout: &BlockLayout,
        x: &[T],
        evaluate: &(impl Fn(usize, &[T], &mut [T], Option<&mut [T]>) + Sync),
    ) {
        self.fill(layout, &|chunk, values| {
            values.scratch.resize(layout.most_columns * (1 + layout.most_rows), T::zero());
            evaluate_chunk(layout, chunk, values, x, evaluate);
        });
    }

    /// Takes over the Jacobian of `plain` as a robust loss weighs it. Its pieces lie within residual blocks.
    pub fn weigh(&mut self, plain: BlockJacobian<'_, T>, weights: RowWeights<'_, T>) {
        let layout = plain.layout;
        self.fill(layout, &|chunk, values| {
            let from = &plain.values.chunks[layout.places[chunk.blocks.start].chunk as usize];
            values.kept.copy_from_slice(&from.kept);
            values.eliminated.copy_from_slice(&from.eliminated);
            let ChunkValues { kept, eliminated, residuals, sums, .. } = values;
            let mut row = 0;
            for b in chunk.blocks.clone() {
                let rows = layout.rows_of(b);
                small::copy(&weights.weighted[rows.clone()], &mut residuals[row..]);
                row += rows.len();
            }
            over_matrices(layout, chunk, |b, parameter, slot, range| {
                let columns = layout.declaration.size(parameter);
                let part =
                    if layout.declaration.eliminated[parameter as usize] { &mut *eliminated } else { &mut *kept };
                let matrix = &mut part[range];
                weights.weigh(layout.rows_of(b).start, matrix, columns);
                let row = layout.places[b].row as usize;
                let residuals = &residuals[row..row + matrix.len() / columns];
                let (gradient, norms) = sums.split_at_mut(chunk.sums);
                small::add_transpose_product(matrix, residuals, &mut gradient[slot..slot + columns]);
                small::add_squares(matrix, &mut norms[slot..slot + columns]);
            });
        });
    }

    /// Has every chunk filled, and gathers residuals, Jᵀr and diag(JᵀJ).
    fn fill(&mut self, layout: &BlockLayout, fill: &(impl Fn(&Chunk, &mut ChunkValues<T>) + Sync)) {
        let BlockValues { chunks, outputs, gradient, norms, .. } = self;
        chunks.resize_with(layout.chunks.len(), ChunkValues::default);
        for_each((&mut chunks[..], &layout.chunks[..]), &|_, (values, chunk)| {
            values.kept.resize(chunk.kept, T::zero());
            values.eliminated.resize(chunk.eliminated, T::zero());
            values.residuals.resize(chunk.rows, T::zero());
            values.sums.resize(2 * chunk.sums, 0.0);
            values.sums.fill(0.0);
            fill(chunk, values);
        });
        let (chunks, declaration) = (&*chunks, &layout.declaration);
        outputs.resize(declaration.output_dim(), T::zero());
        over_parts(&declaration.rows, outputs, GRAIN, &|blocks, out| {
            let mut at = 0;
            for i in blocks {
                let place = &layout.places[layout.stored_at[i] as usize];
                let rows = declaration.rows[i + 1] - declaration.rows[i];
                small::copy(&chunks[place.chunk as usize].residuals[place.row as usize..][..rows], &mut out[at..]);
                at += rows;
            }
        });
        let n = declaration.dim();
        gradient.resize(n, T::zero());
        norms.resize(n, T::zero());
        add_slots(layout, gradient, &|chunk| &chunks[chunk].sums);
        add_slots(layout, norms, &|chunk| &chunks[chunk].sums[layout.chunks[chunk].sums..]);
    }
}

/// Residuals and Jacobian at a point, with the order in which they are stored.
#[derive(Clone, Copy, Debug)]
pub struct BlockJacobian<'a, T> {
    pub layout: &'a BlockLayout,
    pub values: &'a BlockValues<T>,
    /// How a robust loss would weigh them.
    pub weights: Option<RowWeights<'a, T>>,
}

impl<T: Scalar> BlockJacobian<'_, T> {
    /// out ← Jv.
    pub fn apply(&self, v: &[T], out: &mut [T]) {
        let (layout, declaration) = (self.layout, &self.layout.declaration);
        over_parts(&declaration.rows, out, GRAIN, &|blocks, out| {
            let mut sums = [0.0; 8];
            let mut at = 0;
            for i in blocks {
                let b = layout.stored_at[i] as usize;
                let place = &layout.places[b];
                let values = &self.values.chunks[place.chunk as usize];
                let rows = layout.stored[b].rows as usize;
                let group = &layout.groups[place.group as usize];
                for start in (0..rows).step_by(sums.len()) {
                    let count = (rows - start).min(sums.len());
                    let sums = &mut sums[..count];
                    sums.fill(0.0);
                    let mut kept = place.kept as usize;
                    for touch in layout.touches(b..b + 1) {
                        let x = &v[declaration.parameter(touch.parameter)];
                        let matrix = &values.kept[kept + start * x.len()..][..count * x.len()];
                        small::add_product(matrix, x, sums);
                        kept += rows * x.len();
                    }
                    if group.parameter != NONE {
                        let x = &v[declaration.parameter(group.parameter)];
                        let from = place.eliminated as usize + start * x.len();
                        small::add_product(&values.eliminated[from..][..count * x.len()], x, sums);
                    }
                    for (out, &sum) in out[at..].iter_mut().zip(&*sums) {
                        *out = T::from_f64(sum);
                    }
                    at += count;
                }
            }
        });
    }

    /// out ← Jᵀu.
    pub fn apply_transpose(&self, u: &[T], out: &mut [T]) {
        let layout = self.layout;
        let mut work = self.values.sums.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        work.resize_with(layout.chunks.len(), Vec::new);
        let tasks = (&mut work[..], &self.values.chunks[..], &layout.chunks[..]);
        for_each(tasks, &|_, (sums, values, chunk)| {
            sums.resize(chunk.sums, 0.0);
            sums.fill(0.0);
            over_matrices(layout, chunk, |b, parameter, slot, range| {
                let columns = layout.declaration.size(parameter);
                let part =
                    if layout.declaration.eliminated[parameter as usize] { &values.eliminated } else { &values.kept };
                let sums = &mut sums[slot..slot + columns];
                small::add_transpose_product(&part[range], &u[layout.rows_of(b)], sums);
            });
        });
        add_slots(layout, out, &|chunk| &work[chunk]);
    }

    /// The matrix of stored residual block `b` for one of its parameter blocks, at its position in the incidence table.
    pub fn matrix(&self, b: usize, position: u32, parameter: u32) -> &[T] {
        let (layout, place) = (self.layout, &self.layout.places[b]);
        let values = &self.values.chunks[place.chunk as usize];
        let part = if layout.declaration.eliminated[parameter as usize] { &values.eliminated } else { &values.kept };
        &part[position as usize..][..layout.stored[b].rows as usize * layout.declaration.size(parameter)]
    }
}

/// out ← for every parameter block the sum of its slots, in the order of the chunks.
fn add_slots<'s, T: Scalar>(layout: &BlockLayout, out: &mut [T], sums_of: &(impl Fn(usize) -> &'s [f64] + Sync)) {
    let declaration = &layout.declaration;
    over_parts(&declaration.parameters, out, GRAIN, &|blocks, out| {
        let mut at = 0;
        for i in blocks {
            let slots = layout.sums.row(i);
            for c in 0..declaration.size(i as u32) {
                let sum: f64 = slots.iter().map(|&(chunk, slot)| sums_of(chunk as usize)[slot as usize + c]).sum();
                out[at] = T::from_f64(sum);
                at += 1;
            }
        }
    });
}

/// Calls `body(b, parameter, slot, range)` for every matrix of a chunk: of which stored residual block and parameter block
/// it is, where its sums are, and where it is in the kept or the eliminated part.
#[inline]
fn over_matrices(layout: &BlockLayout, chunk: &Chunk, mut body: impl FnMut(usize, u32, usize, Range<usize>)) {
    let (mut kept, mut eliminated) = (0, 0);
    for g in chunk.groups.clone() {
        let group = &layout.groups[g];
        for b in layout.blocks_of(g) {
            let rows = layout.stored[b].rows as usize;
            for touch in layout.touches(b..b + 1) {
                let end = kept + rows * layout.declaration.size(touch.parameter);
                body(b, touch.parameter, touch.slot as usize, kept..end);
                kept = end;
            }
            if group.parameter != NONE {
                let end = eliminated + rows * group.columns as usize;
                body(b, group.parameter, group.slot as usize, eliminated..end);
                eliminated = end;
            }
        }
    }
}

/// Evaluates the residual blocks of a chunk, and what they add to Jᵀr and diag(JᵀJ) while they are in the cache.
fn evaluate_chunk<T: Scalar>(
    layout: &BlockLayout,
    chunk: &Chunk,
    values: &mut ChunkValues<T>,
    x: &[T],
    evaluate: &impl Fn(usize, &[T], &mut [T], Option<&mut [T]>),
) {
    let declaration = &layout.declaration;
    let (parameters, jacobian) = values.scratch.split_at_mut(layout.most_columns);
    let (gradient, norms) = values.sums.split_at_mut(chunk.sums);
    let (mut row, mut kept, mut eliminated) = (0, 0, 0);
    for g in chunk.groups.clone() {
        let group = &layout.groups[g];
        for b in layout.blocks_of(g) {
            let user = layout.order[b] as usize;
            let rows = layout.stored[b].rows as usize;
            let columns = gather(layout, user, x, parameters);
            let jacobian = &mut jacobian[..rows * columns];
            jacobian.fill(T::zero());
            let residuals = &mut values.residuals[row..row + rows];
            evaluate(user, &parameters[..columns], residuals, Some(jacobian));
            row += rows;
            let mut column = 0;
            let mut touches = layout.touches(b..b + 1).iter();
            for &parameter in declaration.touched(user) {
                let size = declaration.size(parameter);
                let (part, at, slot) = if parameter == group.parameter {
                    (&mut values.eliminated, &mut eliminated, group.slot)
                } else {
                    let touch = touches.next().expect("kept parameter blocks have a touch each");
                    (&mut values.kept, &mut kept, touch.slot)
                };
                let matrix = &mut part[*at..*at + rows * size];
                for (from, to) in jacobian.chunks_exact(columns).zip(matrix.chunks_exact_mut(size)) {
                    small::copy(&from[column..column + size], to);
                }
                small::add_transpose_product(matrix, residuals, &mut gradient[slot as usize..][..size]);
                small::add_squares(matrix, &mut norms[slot as usize..][..size]);
                *at += matrix.len();
                column += size;
            }
        }
    }
}

/// parameters ← what the user's residual block `i` depends on; returns how many numbers that are.
#[inline]
pub fn gather<T: Copy>(layout: &BlockLayout, i: usize, x: &[T], parameters: &mut [T]) -> usize {
    let mut columns = 0;
    for &parameter in layout.declaration.touched(i) {
        let from = &x[layout.declaration.parameter(parameter)];
        small::copy(from, &mut parameters[columns..]);
        columns += from.len();
    }
    columns
}
