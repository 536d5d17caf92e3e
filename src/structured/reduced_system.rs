//! Elimination of parameter blocks from a damped linear least-squares problem: the Schur complement and its products.
//!
//! The variables z = (x, y), δ = Sz with a diagonal scaling S, split into x, which is kept, and blocks y_p that no
//! residual block touches two of. With JS = [A, B] by columns and B_p the rows and columns of group p,
//!
//!   min ½‖Ax + By + r‖² + ½λ(‖x‖² + ‖y‖²),     [B_p; √λI] = [Q_p; Q̃_p] R_p
//!   y_p = −R_p⁻¹ Q_pᵀ(A_p x + r_p),            (Aᵀ(I − QQᵀ)A + λI) x = −Aᵀ(I − QQᵀ) r
//!
//! The matrix on the right is the Schur complement of BᵀB + λI in the normal equations, and needs m numbers in between
//! instead of the blocks AᵀB: the rows of a group pass A_p, I − QQᵀ and A_pᵀ while they are in the cache, so a product
//! reads A and Q once, from front to back. That is somewhat less than one product with J. Orthogonal factors instead of
//! BᵀB keep the condition number of the eliminated blocks from being squared, and leave out what a rank-deficient block
//! does not determine where λ = 0. (Triggs, McLauchlan, Hartley & Fitzgibbon, "Bundle adjustment: a modern synthesis"
//! (2000), section 6.1; with orthogonal factors: Demmel, Sommer, Cremers & Usenko, "Square root bundle adjustment"
//! (CVPR 2021), who multiply A by the factor and store the result, which takes more memory than A.)

use super::chunk_task::{Source, Task};
use crate::base::parallel::{for_each, over_parts};
use crate::base::{Scalar, kernels, small};
use crate::operator::{BlockJacobian, BlockLayout, Chunk, NO_PARAMETER};

/// Elements that one task sums at least.
const GRAIN: usize = 1024;
/// Tasks that form matrices, about; each allocates some scratch.
const TASKS: usize = 64;

/// The reduced system at one point and one λ.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ReducedSystem<T> {
    tasks: Vec<Task<T>>,
    damping: f64,
    /// The diagonal of S for the kept parameters, and Sx.
    scaling: Vec<f64>,
    scaled: Vec<f64>,
}

impl<T: Scalar> ReducedSystem<T> {
    pub fn new(layout: &BlockLayout) -> Self {
        let widest = layout.groups.iter().map(|g| g.columns as usize).max().unwrap_or(0);
        let task = |chunk: &Chunk| Task {
            q: vec![T::zero(); chunk.eliminated],
            triangles: vec![0.0; chunk.triangles],
            rows: vec![0.0; chunk.rows],
            sums: vec![0.0; chunk.sums],
            small: vec![0.0; widest * (widest + 1)],
            squares: 0.0,
        };
        let dim = layout.reduced_dim();
        ReducedSystem {
            tasks: layout.chunks.iter().map(task).collect(),
            damping: f64::NAN,
            scaling: vec![0.0; dim],
            scaled: vec![0.0; dim],
        }
    }

    /// Storage in numbers.
    pub fn numbers(&self) -> usize {
        let task = |t: &Task<T>| t.q.len() + t.triangles.len() + t.rows.len() + t.sums.len();
        self.tasks.iter().map(task).sum::<usize>() + 2 * self.scaling.len()
    }

    /// Factorises all eliminated blocks for the scaling S and the damping λ. `scaling` is laid out as the parameters.
    pub fn eliminate(&mut self, jacobian: BlockJacobian<'_, T>, scaling: &[T], damping: f64) {
        let layout = jacobian.layout;
        self.damping = damping;
        for (&parameter, bounds) in layout.kept.iter().zip(layout.kept_bounds.windows(2)) {
            let from = &scaling[layout.declaration.parameter(parameter)];
            self.scaling[bounds[0]..bounds[1]].iter_mut().zip(from).for_each(|(to, &s)| *to = s.into());
        }
        let root = damping.sqrt();
        for_each(
            (&mut self.tasks[..], &jacobian.values.chunks[..], &layout.chunks[..]),
            &|_, (task, values, chunk)| {
                let (mut at, mut triangle) = (0, 0);
                for group in &layout.groups[chunk.groups.clone()] {
                    let n = group.columns as usize;
                    if n == 0 {
                        continue;
                    }
                    let numbers = group.rows as usize * n;
                    let scale = &scaling[layout.declaration.parameter(group.parameter)];
                    let (from, q) = (&values.eliminated[at..at + numbers], &mut task.q[at..at + numbers]);
                    for (from, to) in from.chunks_exact(n).zip(q.chunks_exact_mut(n)) {
                        for c in 0..n {
                            to[c] = from[c] * scale[c];
                        }
                    }
                    let (d, bottom) = task.small.split_at_mut(n);
                    d.fill(root);
                    let r = &mut task.triangles[triangle..triangle + n * n];
                    small::orthonormalise(q, n, d, r, &mut bottom[..n * n]);
                    at += numbers;
                    triangle += n * n;
                }
            },
        );
    }

    /// out ← SAᵀ(I − QQᵀ)r, the gradient of the reduced problem.
    pub fn gradient(&mut self, jacobian: BlockJacobian<'_, T>, residual: &[T], out: &mut [f64]) {
        self.pass(jacobian, Source::Residual(residual));
        self.sum(jacobian.layout, out);
    }

    /// out ← (Aᵀ(I − QQᵀ)A + λI)x.
    pub fn product(&mut self, jacobian: BlockJacobian<'_, T>, x: &[f64], out: &mut [f64]) {
        self.scale(x);
        let scaled = std::mem::take(&mut self.scaled);
        self.pass(jacobian, Source::Product(&scaled));
        self.scaled = scaled;
        self.sum(jacobian.layout, out);
        kernels::axpy(self.damping, x, out);
    }

    fn scale(&mut self, x: &[f64]) {
        for ((to, &x), &s) in self.scaled.iter_mut().zip(x).zip(&self.scaling) {
            *to = s * x;
        }
    }

    /// The sums of every task ← A_pᵀ(I − QQᵀ)u, without the scaling on the left.
    fn pass(&mut self, jacobian: BlockJacobian<'_, T>, source: Source<'_, T>) {
        let layout = jacobian.layout;
        let tasks = (&mut self.tasks[..], &jacobian.values.chunks[..], &layout.chunks[..]);
        for_each(tasks, &|_, (task, values, chunk)| task.pass(layout, chunk, values, source));
    }

    /// out ← S Σ sums.
    fn sum(&self, layout: &BlockLayout, out: &mut [f64]) {
        over_parts(&layout.kept_bounds, out, GRAIN, &|blocks, out| {
            let mut at = 0;
            for k in blocks {
                let (start, end) = (layout.kept_bounds[k], layout.kept_bounds[k + 1]);
                let out = &mut out[at..at + end - start];
                out.fill(0.0);
                for &(task, slot) in layout.sums.row(layout.kept[k] as usize) {
                    let from = &self.tasks[task as usize].sums[slot as usize..];
                    out.iter_mut().zip(from).for_each(|(out, &v)| *out += v);
                }
                out.iter_mut().zip(&self.scaling[start..end]).for_each(|(out, &s)| *out *= s);
                at += end - start;
            }
        });
    }

    /// Finds y for x, and writes z = (x, y), laid out as the parameters. Returns ‖Jδ‖².
    pub fn complete(&mut self, jacobian: BlockJacobian<'_, T>, residual: &[T], x: &[f64], z: &mut [T]) -> f64 {
        self.scale(x);
        let layout = jacobian.layout;
        let scaled = &self.scaled;
        let tasks = (&mut self.tasks[..], &jacobian.values.chunks[..], &layout.chunks[..]);
        for_each(tasks, &|_, (task, values, chunk)| task.complete(layout, chunk, values, residual, scaled));
        // An eliminated block that nothing touches does not move.
        z.fill(T::zero());
        for (&parameter, bounds) in layout.kept.iter().zip(layout.kept_bounds.windows(2)) {
            let to = &mut z[layout.declaration.parameter(parameter)];
            to.iter_mut().zip(&x[bounds[0]..bounds[1]]).for_each(|(to, &x)| *to = T::from_f64(x));
        }
        for (task, chunk) in self.tasks.iter().zip(&layout.chunks) {
            for group in layout.groups[chunk.groups.clone()].iter().filter(|g| g.parameter != NO_PARAMETER) {
                let to = &mut z[layout.declaration.parameter(group.parameter)];
                let from = &task.sums[group.slot as usize..];
                to.iter_mut().zip(from).for_each(|(to, &y)| *to = T::from_f64(y));
            }
        }
        self.tasks.iter().map(|task| task.squares).sum()
    }

    /// The blocks on the diagonal of the reduced matrix, each by rows, one after the other.
    pub fn diagonal_blocks(&self, jacobian: BlockJacobian<'_, T>, bounds: &[usize], out: &mut [f64]) {
        let layout = jacobian.layout;
        over_parts(bounds, out, bounds[bounds.len() - 1] / TASKS, &|kept, out| {
            let mut scratch = Scratch::new(layout);
            for k in kept.clone() {
                let out = &mut out[bounds[k] - bounds[kept.start]..bounds[k + 1] - bounds[kept.start]];
                out.fill(0.0);
                let n = layout.declaration.size(layout.kept[k]);
                self.over_runs(jacobian, k, &mut scratch, |run| {
                    for &(b, position) in run.entries {
                        let a = jacobian.matrix(b as usize, position, layout.kept[k]);
                        run.wide.iter_mut().zip(a).for_each(|(to, &v)| *to = v.into());
                        small::add_gram(a, n, &run.wide[..a.len()], n, out, n);
                    }
                    // − ZᵀZ
                    run.wide.iter_mut().zip(run.z).for_each(|(to, &v)| *to = -v);
                    small::add_gram(run.z, n, &run.wide[..run.z.len()], n, out, n);
                });
                let start = layout.kept_bounds[k];
                for j in 0..n {
                    for i in 0..n {
                        out[j * n + i] *= self.scaling[start + i] * self.scaling[start + j];
                    }
                    out[j * n + j] += self.damping;
                }
            }
        });
    }

    /// The lower triangle of the reduced matrix, by columns; above it is what was there. The columns of kept block k are
    /// `matrix[bounds[k]..bounds[k + 1]]` and have the rows `rows_of(start)`, which increase, if `start` is the first of
    /// these columns; all that is not zero must be there.
    pub fn form<'r>(
        &self,
        jacobian: BlockJacobian<'_, T>,
        bounds: &[usize],
        rows_of: &(impl Fn(usize) -> &'r [usize] + Sync),
        matrix: &mut [f64],
    ) {
        let layout = jacobian.layout;
        over_parts(bounds, matrix, bounds[bounds.len() - 1] / TASKS, &|kept, out| {
            let mut scratch = Scratch::new(layout);
            let mut place = vec![0; layout.reduced_dim()];
            for k in kept.clone() {
                let out = &mut out[bounds[k] - bounds[kept.start]..bounds[k + 1] - bounds[kept.start]];
                self.form_columns(jacobian, k, rows_of(layout.kept_bounds[k]), &mut scratch, &mut place, out);
            }
        });
    }

    /// The columns of kept block k from the diagonal downwards; `place` is room for where a row is in them.
    fn form_columns(
        &self,
        jacobian: BlockJacobian<'_, T>,
        k: usize,
        rows: &[usize],
        scratch: &mut Scratch,
        place: &mut [usize],
        out: &mut [f64],
    ) {
        let layout = jacobian.layout;
        let height = rows.len();
        let (start, n) = (layout.kept_bounds[k], layout.declaration.size(layout.kept[k]));
        let diagonal = rows.partition_point(|&row| row < start);
        for column in out.chunks_exact_mut(height) {
            column[diagonal..].fill(0.0);
        }
        rows.iter().enumerate().skip(diagonal).for_each(|(at, &row)| place[row] = at);
        // Adds A_otherᵀ W for the blocks of a residual block that are not above the diagonal.
        let add = |b: usize, w: &[f64], out: &mut [f64]| {
            let mut position = layout.places[b].kept;
            for touch in layout.touches(b..b + 1) {
                let a = jacobian.matrix(b, position, touch.parameter);
                position += a.len() as u32;
                let row = layout.reduced[touch.parameter as usize];
                if row >= start {
                    small::add_gram(a, layout.declaration.size(touch.parameter), w, n, &mut out[place[row]..], height);
                }
            }
        };
        self.over_runs(jacobian, k, scratch, |run| {
            for &(b, position) in run.entries {
                let a = jacobian.matrix(b as usize, position, layout.kept[k]);
                run.wide.iter_mut().zip(a).for_each(|(to, &v)| *to = v.into());
                add(b as usize, &run.wide[..a.len()], out);
            }
            if run.z.is_empty() {
                return;
            }
            let columns = run.z.len() / n;
            for b in layout.blocks_of(run.group) {
                // W = −QZ
                let q = self.q(layout, b);
                let w = &mut run.wide[..q.len() / columns * n];
                for (row, w) in q.chunks_exact(columns).zip(w.chunks_exact_mut(n)) {
                    w.fill(0.0);
                    for (&q, z) in row.iter().zip(run.z.chunks_exact(n)) {
                        let q: f64 = q.into();
                        w.iter_mut().zip(z).for_each(|(w, &z)| *w -= q * z);
                    }
                }
                add(b, w, out);
            }
        });
        for (j, column) in out.chunks_exact_mut(height).enumerate() {
            let scale = self.scaling[start + j];
            let rows = column[diagonal..].iter_mut().zip(&rows[diagonal..]);
            rows.for_each(|(v, &row)| *v *= self.scaling[row] * scale);
            column[diagonal + j] += self.damping;
        }
    }

    /// Calls `body` for every group that touches the kept block k, with Z = Σ Q_bᵀA_b over the group's residual blocks
    /// that touch it.
    fn over_runs(
        &self,
        jacobian: BlockJacobian<'_, T>,
        k: usize,
        scratch: &mut Scratch,
        mut body: impl FnMut(GroupBlocks<'_>),
    ) {
        let layout = jacobian.layout;
        let parameter = layout.kept[k];
        let n = layout.declaration.size(parameter);
        let group_of = |entry: &(u32, u32)| layout.places[entry.0 as usize].group;
        for entries in layout.incidence.row(parameter as usize).chunk_by(|a, b| group_of(a) == group_of(b)) {
            let group = group_of(&entries[0]) as usize;
            let columns = layout.groups[group].columns as usize;
            let z = &mut scratch.z[..columns * n];
            z.fill(0.0);
            if columns > 0 {
                for &(b, position) in entries {
                    let a = jacobian.matrix(b as usize, position, parameter);
                    for (q, a) in self.q(layout, b as usize).chunks_exact(columns).zip(a.chunks_exact(n)) {
                        for (&q, z) in q.iter().zip(z.chunks_exact_mut(n)) {
                            let q: f64 = q.into();
                            z.iter_mut().zip(a).for_each(|(z, &a)| *z += q * a.into());
                        }
                    }
                }
            }
            body(GroupBlocks { group, entries, z, wide: &mut scratch.wide });
        }
    }

    /// The rows of Q of stored residual block b.
    fn q(&self, layout: &BlockLayout, b: usize) -> &[T] {
        let place = &layout.places[b];
        let columns = layout.groups[place.group as usize].columns as usize;
        &self.tasks[place.chunk as usize].q[place.eliminated as usize..][..layout.stored[b].rows as usize * columns]
    }
}

/// The residual blocks of a group that touch a parameter block.
struct GroupBlocks<'a> {
    group: usize,
    entries: &'a [(u32, u32)],
    /// QᵀA by rows.
    z: &'a [f64],
    /// Room for the rows of a residual block, or of Z, in f64.
    wide: &'a mut [f64],
}

struct Scratch {
    z: Vec<f64>,
    wide: Vec<f64>,
}

impl Scratch {
    fn new(layout: &BlockLayout) -> Self {
        let n = layout.most_columns;
        Scratch { z: vec![0.0; n * n], wide: vec![0.0; n * n.max(layout.most_rows)] }
    }
}
