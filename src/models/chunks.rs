//! How the samples of a batch are laid out: in chunks of a few hundred, and inside a chunk feature by feature.
//!
//! So the samples' values of one feature are contiguous, every matrix product has its long side there, and all layers
//! of a chunk stay in a core's cache. The division depends on the number of samples alone, never on that of threads:
//! this is what keeps results bitwise the same. Measured (AVX-512, `f32`, layers of 500 to 1000): 150 to 170 GFlop/s
//! with 96 to 384 samples, against 85 to 110 with 1000 samples, or with a sample's features contiguous.

use std::ops::Range;

/// Samples in a chunk, at most.
const LARGEST: usize = 256;
/// Batches up to this size are not divided.
const SMALLEST: usize = 64;
/// Chunks whose samples are multiplied between two sums over samples; bounds the room for intermediate values.
pub(super) const GROUP: usize = 8;

/// The division of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunks {
    /// Samples in the batch.
    pub samples: usize,
    /// Samples in every chunk but the last.
    pub size: usize,
}

impl Chunks {
    pub fn new(samples: usize) -> Self {
        let mut count = samples.div_ceil(LARGEST).max(1);
        if count % 2 == 1 && samples > SMALLEST {
            count += 1;
        }
        let size = samples.div_ceil(count).max(1).next_multiple_of(16);
        // Columns that are a multiple of 512 bytes apart would compete for the same places of a cache.
        Chunks { samples, size: if size.is_multiple_of(128) { size + 16 } else { size } }
    }

    pub fn count(self) -> usize {
        self.samples.div_ceil(self.size)
    }

    /// Samples in chunk `i`.
    pub fn len(self, i: usize) -> usize {
        self.size.min(self.samples - i * self.size)
    }
}

/// target[j − columns.start][i] ← row(i)[j] for all rows and these columns; the target's rows are `stride` apart.
pub(super) fn transpose<'a, T: Copy + 'a>(
    row: impl Fn(usize) -> &'a [T],
    rows: usize,
    columns: Range<usize>,
    target: &mut [T],
    stride: usize,
) {
    const TILE: usize = 16;
    for first in (0..rows).step_by(TILE) {
        let count = TILE.min(rows - first);
        let rows: [&[T]; TILE] = std::array::from_fn(|i| row(first + i.min(count - 1)));
        for (target, j) in target.chunks_mut(stride).zip(columns.clone()) {
            for (target, row) in target[first..first + count].iter_mut().zip(rows) {
                *target = row[j];
            }
        }
    }
}

/// target[i][j] ← source[j][i]: the way back.
pub(super) fn transpose_back<T: Copy>(source: &[T], stride: usize, rows: usize, target: &mut [T]) {
    const TILE: usize = 16;
    let columns = target.len() / rows;
    for row in (0..rows).step_by(TILE) {
        for first in (0..columns).step_by(TILE) {
            for i in row..(row + TILE).min(rows) {
                let target = &mut target[i * columns..][first..(first + TILE).min(columns)];
                for (j, target) in target.iter_mut().enumerate() {
                    *target = source[(first + j) * stride + i];
                }
            }
        }
    }
}
