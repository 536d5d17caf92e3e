//! In what order residual blocks are stored and summed.
//!
//! Residual blocks that touch the same eliminated parameter block form a group; every other residual block is a group by
//! itself. Groups are stored one after the other, those that touch the same parameters near each other, and cut into
//! chunks of some 10⁴ numbers. A chunk is one task: it owns its part of the Jacobian, and sums what it finds for each of
//! its parameter blocks in a slot of its own. The slots of a parameter block are then added in the order of the chunks.
//! Chunks depend on the problem alone, so results are the same for any number of threads, and a product with Jᵀ reads
//! the Jacobian once, from front to back.

use std::ops::Range;

use super::block_declaration::{BlockDeclaration, NONE};

/// Numbers of the Jacobian in a chunk, at least: 256 KiB.
const CHUNK: usize = 1 << 15;
/// Chunks, at most: enough to keep many threads busy.
const MOST_CHUNKS: usize = 256;

/// That a residual block depends on a parameter block which is not eliminated.
#[derive(Clone, Copy, Debug)]
pub struct Touch {
    pub parameter: u32,
    /// Where its sums are in the chunk.
    pub slot: u32,
}

/// A residual block, in the order of storage.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    pub rows: u32,
    /// Where its touches end; they begin where those of the block before end.
    pub touches_end: u32,
}

/// Where a residual block is stored.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    pub chunk: u32,
    pub group: u32,
    /// Where its rows begin among those of the chunk, and in the kept and eliminated parts of the chunk's Jacobian.
    pub row: u32,
    pub kept: u32,
    pub eliminated: u32,
}

/// Residual blocks that touch the same eliminated parameter block.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// The eliminated parameter block, or [`NONE`].
    pub parameter: u32,
    pub columns: u32,
    pub slot: u32,
    pub rows: u32,
    pub blocks_end: u32,
}

/// A task.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    pub blocks: Range<usize>,
    pub groups: Range<usize>,
    pub rows: usize,
    /// Numbers in the kept and in the eliminated part of the Jacobian.
    pub kept: usize,
    pub eliminated: usize,
    /// Length of the sums for kept parameter blocks, which come first, and of all sums.
    pub kept_sums: usize,
    pub sums: usize,
    /// Numbers in the triangles of its groups.
    pub triangles: usize,
}

/// Rows of a sparse table.
#[derive(Clone, Debug, Default)]
pub struct Table<V> {
    ends: Vec<usize>,
    values: Vec<V>,
}

impl<V: Copy + Default> Table<V> {
    /// The table of `rows` rows with the given (row, value) pairs, in their order.
    fn new(rows: usize, pairs: impl Iterator<Item = (usize, V)> + Clone) -> Self {
        let mut ends = vec![0; rows + 1];
        pairs.clone().for_each(|(row, _)| ends[row + 1] += 1);
        (0..rows).for_each(|i| ends[i + 1] += ends[i]);
        let mut next = ends.clone();
        let mut values = vec![V::default(); ends[rows]];
        for (row, value) in pairs {
            values[next[row]] = value;
            next[row] += 1;
        }
        Table { ends, values }
    }

    #[inline]
    pub fn row(&self, i: usize) -> &[V] {
        &self.values[self.ends[i]..self.ends[i + 1]]
    }
}

/// The order of storage, and all indices that products need.
#[derive(Debug)]
pub struct BlockLayout {
    pub declaration: BlockDeclaration,
    /// The parameter blocks that are kept, where each begins among the numbers that are kept, and the end.
    pub kept: Vec<u32>,
    pub kept_bounds: Vec<usize>,
    /// For each parameter block, where it begins among the numbers that are kept; meaningless if it is eliminated.
    pub reduced: Vec<usize>,
    /// The user's number of each stored residual block, and the other way round.
    pub order: Vec<u32>,
    pub stored_at: Vec<u32>,
    pub stored: Vec<Stored>,
    pub places: Vec<Storage>,
    pub touches: Vec<Touch>,
    pub groups: Vec<Group>,
    pub chunks: Vec<Chunk>,
    /// For each parameter block the chunk and the slot of every one of its sums.
    pub sums: Table<(u32, u32)>,
    /// For each parameter block the stored residual blocks that touch it, with the position in the kept or eliminated
    /// part of the chunk's Jacobian.
    pub incidence: Table<(u32, u32)>,
    /// The largest number of parameters that a residual block touches, and of residuals in one.
    pub most_columns: usize,
    pub most_rows: usize,
}

impl BlockLayout {
    pub fn new(declaration: BlockDeclaration) -> Self {
        let parameter_blocks = declaration.parameter_blocks();
        let mut reduced = vec![0; parameter_blocks];
        let (mut kept, mut kept_bounds, mut end) = (vec![], vec![0], 0);
        for i in (0..parameter_blocks).filter(|&i| !declaration.eliminated[i]) {
            reduced[i] = end;
            end += declaration.size(i as u32);
            kept.push(i as u32);
            kept_bounds.push(end);
        }
        let order = order(&declaration);
        let mut stored_at = vec![0; order.len()];
        order.iter().enumerate().for_each(|(i, &user)| stored_at[user as usize] = i as u32);
        let mut layout = BlockLayout {
            kept,
            kept_bounds,
            reduced,
            stored: Vec::with_capacity(order.len()),
            places: Vec::with_capacity(order.len()),
            touches: Vec::new(),
            groups: Vec::new(),
            chunks: Vec::new(),
            sums: Table::default(),
            incidence: Table::default(),
            most_columns: 0,
            most_rows: 0,
            order,
            stored_at,
            declaration,
        };
        layout.store();
        layout.assign_slots();
        layout.index();
        layout
    }

    /// Numbers of a residual block, with all its parameter blocks.
    fn numbers_of(&self, user: usize) -> usize {
        let columns: usize = self.declaration.touched(user).iter().map(|&p| self.declaration.size(p)).sum();
        columns * (self.declaration.rows[user + 1] - self.declaration.rows[user])
    }

    /// Writes blocks, groups and chunks in their order.
    fn store(&mut self) {
        let total: usize = (0..self.order.len()).map(|i| self.numbers_of(i)).sum();
        let target = CHUNK.max(total.div_ceil(MOST_CHUNKS));
        let mut open: Option<(Chunk, usize)> = None;
        for i in 0..self.order.len() {
            let user = self.order[i] as usize;
            let eliminated = self.declaration.eliminated_by(user);
            let joins = i > 0 && eliminated != NONE && self.groups.last().is_some_and(|g| g.parameter == eliminated);
            if !joins && open.as_ref().is_some_and(|(_, numbers)| *numbers >= target) {
                self.chunks.extend(open.take().map(|(chunk, _)| chunk));
            }
            let (chunk, numbers) = open.get_or_insert_with(|| {
                let groups = self.groups.len()..self.groups.len();
                (Chunk { blocks: i..i, groups, ..Chunk::default() }, 0)
            });
            *numbers += self.numbers_of(user);
            if !joins {
                let columns = if eliminated == NONE { 0 } else { self.declaration.size(eliminated) };
                self.groups.push(Group {
                    parameter: eliminated,
                    columns: columns as u32,
                    slot: 0,
                    rows: 0,
                    blocks_end: i as u32,
                });
                chunk.triangles += columns * columns;
            }
            let rows = self.declaration.rows[user + 1] - self.declaration.rows[user];
            self.places.push(Storage {
                chunk: self.chunks.len() as u32,
                group: self.groups.len() as u32 - 1,
                row: chunk.rows as u32,
                kept: chunk.kept as u32,
                eliminated: chunk.eliminated as u32,
            });
            let group = self.groups.last_mut().expect("a group is open");
            group.rows += rows as u32;
            group.blocks_end += 1;
            let mut columns = 0;
            for &parameter in self.declaration.touched(user) {
                columns += self.declaration.size(parameter);
                if parameter != eliminated {
                    chunk.kept += rows * self.declaration.size(parameter);
                    self.touches.push(Touch { parameter, slot: 0 });
                }
            }
            chunk.eliminated += rows * group.columns as usize;
            chunk.rows += rows;
            chunk.blocks.end = i + 1;
            chunk.groups.end = self.groups.len();
            self.stored.push(Stored { rows: rows as u32, touches_end: self.touches.len() as u32 });
            self.most_columns = self.most_columns.max(columns);
            self.most_rows = self.most_rows.max(rows);
        }
        self.chunks.extend(open.map(|(chunk, _)| chunk));
    }

    /// Gives every chunk a slot for each parameter block that it touches.
    fn assign_slots(&mut self) {
        let blocks = self.declaration.parameter_blocks();
        let mut slot_of = vec![(u32::MAX, 0); blocks];
        for (c, chunk) in self.chunks.iter_mut().enumerate() {
            for touch in &mut self.touches[touches(&self.stored, chunk.blocks.clone())] {
                let (last, slot) = &mut slot_of[touch.parameter as usize];
                if *last != c as u32 {
                    (*last, *slot) = (c as u32, chunk.kept_sums as u32);
                    chunk.kept_sums += self.declaration.size(touch.parameter);
                }
                touch.slot = *slot;
            }
            chunk.sums = chunk.kept_sums;
            for group in &mut self.groups[chunk.groups.clone()] {
                group.slot = chunk.sums as u32;
                chunk.sums += group.columns as usize;
            }
        }
    }

    /// The tables by parameter block.
    fn index(&mut self) {
        let blocks = self.declaration.parameter_blocks();
        let mut pairs = vec![];
        let mut last = vec![u32::MAX; blocks];
        for (c, chunk) in self.chunks.iter().enumerate() {
            for touch in &self.touches[touches(&self.stored, chunk.blocks.clone())] {
                if last[touch.parameter as usize] != c as u32 {
                    last[touch.parameter as usize] = c as u32;
                    pairs.push((touch.parameter as usize, (c as u32, touch.slot)));
                }
            }
            for group in self.groups[chunk.groups.clone()].iter().filter(|g| g.parameter != NONE) {
                pairs.push((group.parameter as usize, (c as u32, group.slot)));
            }
        }
        self.sums = Table::new(blocks, pairs.iter().copied());
        pairs.clear();
        for (b, place) in self.places.iter().enumerate() {
            let mut at = place.kept;
            for touch in &self.touches[touches(&self.stored, b..b + 1)] {
                pairs.push((touch.parameter as usize, (b as u32, at)));
                at += self.stored[b].rows * self.declaration.size(touch.parameter) as u32;
            }
            let parameter = self.groups[place.group as usize].parameter;
            if parameter != NONE {
                pairs.push((parameter as usize, (b as u32, place.eliminated)));
            }
        }
        self.incidence = Table::new(blocks, pairs.iter().copied());
    }

    /// The touches of stored residual blocks.
    #[inline]
    pub fn touches(&self, blocks: Range<usize>) -> &[Touch] {
        &self.touches[touches(&self.stored, blocks)]
    }

    /// The stored residual blocks of a group.
    #[inline]
    pub fn blocks_of(&self, group: usize) -> Range<usize> {
        let start = if group == 0 { 0 } else { self.groups[group - 1].blocks_end as usize };
        start..self.groups[group].blocks_end as usize
    }

    /// The rows of a stored residual block in the user's order.
    #[inline]
    pub fn rows_of(&self, block: usize) -> Range<usize> {
        let user = self.order[block] as usize;
        self.declaration.rows[user]..self.declaration.rows[user + 1]
    }

    /// Numbers in the Jacobian.
    pub fn numbers(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.kept + chunk.eliminated).sum()
    }

    /// Whether parameter blocks are eliminated.
    pub fn eliminates(&self) -> bool {
        self.kept.len() < self.declaration.parameter_blocks()
    }

    /// The number of parameters that are not eliminated.
    pub fn reduced_dim(&self) -> usize {
        self.kept_bounds[self.kept.len()]
    }
}

#[inline]
fn touches(stored: &[Stored], blocks: Range<usize>) -> Range<usize> {
    if blocks.is_empty() {
        return 0..0;
    }
    let start = if blocks.start == 0 { 0 } else { stored[blocks.start - 1].touches_end as usize };
    start..stored[blocks.end - 1].touches_end as usize
}

/// The user's numbers of the residual blocks in the order of storage: theirs without elimination; otherwise by group, and
/// groups by the first parameter block that they touch, which keeps the slots of a chunk few.
fn order(declaration: &BlockDeclaration) -> Vec<u32> {
    let mut order: Vec<u32> = (0..declaration.residual_blocks() as u32).collect();
    if declaration.eliminated.contains(&true) {
        let mut first = vec![NONE; declaration.parameter_blocks()];
        let own = |i: u32| {
            let kept = declaration.touched(i as usize).iter().filter(|&&p| !declaration.eliminated[p as usize]);
            kept.copied().min().unwrap_or(NONE)
        };
        let eliminated: Vec<u32> = order.iter().map(|&i| declaration.eliminated_by(i as usize)).collect();
        for &i in &order {
            if eliminated[i as usize] != NONE {
                let first = &mut first[eliminated[i as usize] as usize];
                *first = (*first).min(own(i));
            }
        }
        order.sort_by_cached_key(|&i| match eliminated[i as usize] {
            NONE => (own(i), NONE, i),
            group => (first[group as usize], group, i),
        });
    }
    order
}
