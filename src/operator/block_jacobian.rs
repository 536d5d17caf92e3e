//! A Jacobian of small dense blocks, and its products.
//!
//! Stored is, for each chunk of the [layout](super::block_layout), what belongs to kept parameters and what belongs to
//! eliminated ones, each residual block by rows. A product Jv goes over the rows in the user's order, a product Jᵀu over
//! the chunks; both read every number of the Jacobian once.

use std::ops::Range;
use std::sync::Mutex;

use rayon::prelude::*;

use super::block_layout::{BlockLayout, NONE};
use crate::base::{Scalar, parallel::over_parts, small};

/// Elements of a result that one task computes at least.
const GRAIN: usize = 4096;

/// The numbers of a chunk.
#[derive(Clone, Debug, Default)]
pub struct ChunkValues<T> {
    /// For each residual block, and each parameter block that it touches and that is kept, a matrix by rows.
    pub kept: Vec<T>,
    /// For each residual block its matrix for the eliminated parameter block, by rows: for a group one tall matrix.
    pub eliminated: Vec<T>,
    pub residuals: Vec<T>,
    /// Sums for parameter blocks.
    sums: Vec<f64>,
    /// The parameters and the Jacobian of one residual block.
    scratch: Vec<T>,
}

/// Residuals and Jacobian at a point.
#[derive(Debug)]
pub struct BlockJacobian<'a, T> {
    pub layout: &'a BlockLayout,
    pub chunks: Vec<ChunkValues<T>>,
    /// r, in the user's order.
    pub outputs: Vec<T>,
    sums: Mutex<Vec<Vec<f64>>>,
}

impl<'a, T: Scalar> BlockJacobian<'a, T> {
    /// Evaluates all residual blocks at x in the memory of `values`. `evaluate(i, x, r, jacobian)` is the user's.
    pub fn new(
        layout: &'a BlockLayout,
        mut chunks: Vec<ChunkValues<T>>,
        mut outputs: Vec<T>,
        x: &[T],
        evaluate: &(impl Fn(usize, &[T], &mut [T], Option<&mut [T]>) + Sync),
    ) -> Self {
        chunks.resize_with(layout.chunks.len(), ChunkValues::default);
        chunks.par_iter_mut().zip(&layout.chunks).with_max_len(1).for_each(|(values, chunk)| {
            values.kept.resize(chunk.kept, T::zero());
            values.eliminated.resize(chunk.eliminated, T::zero());
            values.residuals.resize(chunk.rows, T::zero());
            values.scratch.resize(layout.most_columns * (1 + layout.most_rows), T::zero());
            evaluate_chunk(layout, chunk.blocks.clone(), values, x, evaluate);
        });
        let statement = &layout.statement;
        outputs.resize(statement.rows[statement.residual_blocks()], T::zero());
        over_parts(&statement.rows, &mut outputs, GRAIN, &|blocks, out| {
            let mut at = 0;
            for i in blocks {
                let place = &layout.places[layout.stored_at[i] as usize];
                let rows = statement.rows[i + 1] - statement.rows[i];
                let from = &chunks[place.chunk as usize].residuals[place.row as usize..][..rows];
                out[at..at + rows].copy_from_slice(from);
                at += rows;
            }
        });
        BlockJacobian { layout, chunks, outputs, sums: Mutex::new(Vec::new()) }
    }

    /// out ← Jv.
    pub fn apply(&self, v: &[T], out: &mut [T]) {
        let (layout, statement) = (self.layout, &self.layout.statement);
        over_parts(&statement.rows, out, GRAIN, &|blocks, out| {
            let mut sums = [0.0; 8];
            let mut at = 0;
            for i in blocks {
                let b = layout.stored_at[i] as usize;
                let place = &layout.places[b];
                let values = &self.chunks[place.chunk as usize];
                let rows = layout.stored[b].rows as usize;
                let group = &layout.groups[place.group as usize];
                for start in (0..rows).step_by(sums.len()) {
                    let count = (rows - start).min(sums.len());
                    let sums = &mut sums[..count];
                    sums.fill(0.0);
                    let mut kept = place.kept as usize;
                    for touch in layout.touches(b..b + 1) {
                        let x = &v[statement.parameter(touch.parameter)];
                        let matrix = &values.kept[kept + start * x.len()..][..count * x.len()];
                        small::add_product(matrix, x, sums);
                        kept += rows * x.len();
                    }
                    if group.parameter != NONE {
                        let x = &v[statement.parameter(group.parameter)];
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
        self.sum_by_parameter(out, |layout, b, matrix, columns, sums| {
            small::add_transpose_product(matrix, &u[layout.rows_of(b)], &mut sums[..columns]);
        });
    }

    /// out ← diag(JᵀJ).
    pub fn column_norms_squared(&self, out: &mut [T]) {
        self.sum_by_parameter(out, |_, _, matrix, columns, sums| {
            for row in matrix.chunks_exact(columns) {
                for (sum, &v) in sums.iter_mut().zip(row) {
                    *sum += v.into() * v.into();
                }
            }
        });
    }

    /// Calls `add(layout, b, matrix, columns, sums)` for every block of the Jacobian, and writes the sums to
    /// `out`, which is laid out as x.
    fn sum_by_parameter(&self, out: &mut [T], add: impl Fn(&BlockLayout, usize, &[T], usize, &mut [f64]) + Sync) {
        let (layout, statement) = (self.layout, &self.layout.statement);
        let mut work = self.sums.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        work.resize_with(layout.chunks.len(), Vec::new);
        let tasks = work.par_iter_mut().zip(&self.chunks).zip(&layout.chunks);
        tasks.with_max_len(1).for_each(|((sums, values), chunk)| {
            sums.resize(chunk.sums, 0.0);
            sums.fill(0.0);
            let (mut kept, mut eliminated) = (0, 0);
            for g in chunk.groups.clone() {
                let group = &layout.groups[g];
                for b in layout.blocks_of(g) {
                    let rows = layout.stored[b].rows as usize;
                    for touch in layout.touches(b..b + 1) {
                        let columns = statement.size(touch.parameter);
                        let matrix = &values.kept[kept..kept + rows * columns];
                        let sums = &mut sums[touch.slot as usize..][..columns];
                        add(layout, b, matrix, columns, sums);
                        kept += matrix.len();
                    }
                    if group.parameter != NONE {
                        let columns = group.columns as usize;
                        let matrix = &values.eliminated[eliminated..eliminated + rows * columns];
                        let sums = &mut sums[group.slot as usize..][..columns];
                        add(layout, b, matrix, columns, sums);
                        eliminated += matrix.len();
                    }
                }
            }
        });
        let work = &*work;
        over_parts(&statement.parameters, out, GRAIN, &|blocks, out| {
            let mut at = 0;
            for i in blocks {
                let size = statement.size(i as u32);
                for c in 0..size {
                    let slots = layout.sums.row(i).iter();
                    let sum: f64 = slots.map(|&(chunk, slot)| work[chunk as usize][slot as usize + c]).sum();
                    out[at + c] = T::from_f64(sum);
                }
                at += size;
            }
        });
    }

    /// The matrix of stored residual block `b` for one of its parameter blocks, at its position in the incidence table.
    pub fn matrix(&self, b: usize, position: u32, parameter: u32) -> &[T] {
        let (layout, place) = (self.layout, &self.layout.places[b]);
        let values = &self.chunks[place.chunk as usize];
        let part = if layout.statement.eliminated[parameter as usize] { &values.eliminated } else { &values.kept };
        &part[position as usize..][..layout.stored[b].rows as usize * layout.statement.size(parameter)]
    }
}

/// Evaluates the residual blocks of a chunk.
fn evaluate_chunk<T: Scalar>(
    layout: &BlockLayout,
    blocks: Range<usize>,
    values: &mut ChunkValues<T>,
    x: &[T],
    evaluate: &impl Fn(usize, &[T], &mut [T], Option<&mut [T]>),
) {
    let statement = &layout.statement;
    let (parameters, jacobian) = values.scratch.split_at_mut(layout.most_columns);
    let (mut row, mut kept, mut eliminated) = (0, 0, 0);
    for b in blocks {
        let user = layout.order[b] as usize;
        let rows = layout.stored[b].rows as usize;
        let columns = gather(layout, user, x, parameters);
        let jacobian = &mut jacobian[..rows * columns];
        jacobian.fill(T::zero());
        let residuals = &mut values.residuals[row..row + rows];
        evaluate(user, &parameters[..columns], residuals, Some(jacobian));
        row += rows;
        let mut column = 0;
        for &parameter in statement.touched(user) {
            let size = statement.size(parameter);
            let (part, at) = if statement.eliminated[parameter as usize] {
                (&mut values.eliminated, &mut eliminated)
            } else {
                (&mut values.kept, &mut kept)
            };
            for from in jacobian.chunks_exact(columns) {
                part[*at..*at + size].copy_from_slice(&from[column..column + size]);
                *at += size;
            }
            column += size;
        }
    }
}

/// parameters ← what the user's residual block `i` depends on; returns how many numbers that are.
pub fn gather<T: Copy>(layout: &BlockLayout, i: usize, x: &[T], parameters: &mut [T]) -> usize {
    let mut columns = 0;
    for &parameter in layout.statement.touched(i) {
        let from = &x[layout.statement.parameter(parameter)];
        parameters[columns..columns + from.len()].copy_from_slice(from);
        columns += from.len();
    }
    columns
}
