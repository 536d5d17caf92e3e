//! Where a sparse Jacobian has entries, and which of its columns one displacement can tell apart.
//!
//! Columns that share no row form a group: h(x + Σ tⱼeⱼ) over a group shows each of them in rows of its own, so that a
//! Jacobian costs as many evaluations as there are groups (Curtis, Powell & Reid, "On the estimation of sparse Jacobian
//! matrices", J. Inst. Math. Appl. 13 (1974)). Columns go to the first group that takes them, those with many entries
//! first (Coleman & Moré, SIAM J. Numer. Anal. 20 (1983), section 4: largest first). A band of width w has w groups,
//! whatever its length.

use std::ops::Range;

use crate::base::{Result, check_positive_dimension, check_range};

/// The places of a sparse m × n Jacobian that may be other than zero.
///
/// ```
/// use newton_krylov::differences::Pattern;
///
/// // A bidiagonal matrix: two evaluations show all of it.
/// let entries: Vec<(usize, usize)> = (0..1000).flat_map(|i| [(i, i), (i, (i + 1).min(999))]).collect();
/// let pattern = Pattern::new(1000, 1000, &entries)?;
/// assert_eq!(pattern.groups(), 2);
/// # Ok::<(), newton_krylov::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    rows: usize,
    /// Where each column begins, and the end of the last.
    starts: Vec<usize>,
    /// The rows of the entries, by columns, in rising order.
    indices: Vec<usize>,
    /// Where each given entry went.
    places: Vec<usize>,
    /// The columns, group by group, and where the groups begin.
    grouped: Vec<usize>,
    group_starts: Vec<usize>,
}

impl Pattern {
    /// The pattern of a `rows` × `columns` matrix with the given (row, column) `entries`, in any order. A place that is
    /// given twice is one place, to which both values are added.
    ///
    /// # Errors
    /// If an index is out of range, or there are no entries.
    pub fn new(rows: usize, columns: usize, entries: &[(usize, usize)]) -> Result<Self> {
        check_positive_dimension("the number of entries", entries.len())?;
        for &(row, column) in entries {
            check_range("row of an entry", row as f64, row < rows, "below the number of rows")?;
            check_range("column of an entry", column as f64, column < columns, "below the number of columns")?;
        }
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_unstable_by_key(|&k| (entries[k].1, entries[k].0));
        let (mut starts, mut indices, mut places) = (vec![0; columns + 1], vec![], vec![0; entries.len()]);
        let mut last = None;
        for k in order {
            if last != Some(entries[k]) {
                indices.push(entries[k].0);
                last = Some(entries[k]);
            }
            places[k] = indices.len() - 1;
            starts[entries[k].1 + 1] = indices.len();
        }
        for j in 0..columns {
            starts[j + 1] = starts[j + 1].max(starts[j]);
        }
        let mut pattern = Pattern { rows, starts, indices, places, grouped: vec![], group_starts: vec![] };
        pattern.colour();
        Ok(pattern)
    }

    /// Puts the columns into groups.
    fn colour(&mut self) {
        let n = self.columns();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by_key(|&j| std::cmp::Reverse(self.column(j).len()));
        // The columns of each row, to find those that share one.
        let mut row_starts = vec![0; self.rows + 1];
        self.indices.iter().for_each(|&i| row_starts[i + 1] += 1);
        (0..self.rows).for_each(|i| row_starts[i + 1] += row_starts[i]);
        let (mut next, mut in_row) = (row_starts.clone(), vec![0; self.indices.len()]);
        for j in 0..n {
            for &i in &self.indices[self.column(j)] {
                in_row[next[i]] = j;
                next[i] += 1;
            }
        }
        let (mut colour, mut taken_by, mut count) = (vec![usize::MAX; n], Vec::new(), 0);
        for &j in &order {
            for &i in &self.indices[self.column(j)] {
                for &other in &in_row[row_starts[i]..row_starts[i + 1]] {
                    if colour[other] != usize::MAX {
                        taken_by[colour[other]] = j;
                    }
                }
            }
            let free = (0..count).find(|&c| taken_by[c] != j).unwrap_or(count);
            if free == count {
                count += 1;
                taken_by.push(usize::MAX);
            }
            colour[j] = free;
        }
        self.grouped = (0..n).collect();
        self.grouped.sort_by_key(|&j| colour[j]);
        self.group_starts = vec![0; count + 1];
        colour.iter().for_each(|&c| self.group_starts[c + 1] += 1);
        (0..count).for_each(|c| self.group_starts[c + 1] += self.group_starts[c]);
    }

    /// m.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// n.
    pub fn columns(&self) -> usize {
        self.starts.len() - 1
    }

    /// Groups of columns without a common row: the displacements that show the whole matrix.
    pub fn groups(&self) -> usize {
        self.group_starts.len() - 1
    }

    /// Places in all.
    pub(super) fn len(&self) -> usize {
        self.indices.len()
    }

    /// The places of column j among the entries by columns.
    pub(super) fn column(&self, j: usize) -> Range<usize> {
        self.starts[j]..self.starts[j + 1]
    }

    /// The rows of all entries, by columns.
    pub(super) fn row_indices(&self) -> &[usize] {
        &self.indices
    }

    /// The columns of a group.
    pub(super) fn group(&self, group: usize) -> &[usize] {
        &self.grouped[self.group_starts[group]..self.group_starts[group + 1]]
    }

    /// Adds values in the order of the given entries to those by columns, which are zero before.
    pub(super) fn gather<T: Copy + std::ops::AddAssign>(&self, given: &[T], values: &mut [T]) {
        for (&place, &value) in self.places.iter().zip(given) {
            values[place] += value;
        }
    }

    /// Given entries, equal ones counted as often as they were given.
    pub(super) fn given(&self) -> usize {
        self.places.len()
    }
}

/// The columns of a Jacobian: all rows, or those of a pattern.
#[derive(Clone, Copy)]
pub(super) struct Shape<'p> {
    pub rows: usize,
    pub columns: usize,
    pub pattern: Option<&'p Pattern>,
}

impl<'p> Shape<'p> {
    /// Numbers in all.
    pub fn len(&self) -> usize {
        self.pattern.map_or(self.rows * self.columns, Pattern::len)
    }

    /// Displacements that show the whole matrix.
    pub fn groups(&self) -> usize {
        self.pattern.map_or(self.columns, Pattern::groups)
    }

    /// Those for the columns that are `asked` for.
    pub fn groups_with(&self, asked: impl Fn(usize) -> bool) -> usize {
        let any = |&group: &usize| {
            let mut any = false;
            self.for_group(group, |j| any |= asked(j));
            any
        };
        (0..self.groups()).filter(any).count()
    }

    /// Where the numbers of column j are.
    pub fn column(&self, j: usize) -> Range<usize> {
        self.pattern.map_or(j * self.rows..(j + 1) * self.rows, |p| p.column(j))
    }

    /// Calls `f(row, number)` for column j.
    pub fn each<V>(&self, j: usize, numbers: &mut [V], mut f: impl FnMut(usize, &mut V)) {
        let place = self.column(j);
        match self.pattern {
            None => numbers[place].iter_mut().enumerate().for_each(|(i, v)| f(i, v)),
            Some(p) => p.row_indices()[place.clone()].iter().zip(&mut numbers[place]).for_each(|(&i, v)| f(i, v)),
        }
    }

    /// Calls `f(j)` for the columns of a group.
    pub fn for_group(&self, group: usize, mut f: impl FnMut(usize)) {
        match self.pattern {
            None => f(group),
            Some(p) => p.group(group).iter().for_each(|&j| f(j)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SplitMix64;

    #[test]
    fn no_group_has_two_columns_in_a_row_and_every_column_has_a_group() {
        let mut random = SplitMix64::new(3);
        let mut below = |n: usize| (random.next_u64() % n as u64) as usize;
        let entries: Vec<(usize, usize)> = (0..400).map(|_| (below(120), below(80))).collect();
        let pattern = Pattern::new(120, 80, &entries).unwrap();
        let mut seen = [false; 80];
        for group in 0..pattern.groups() {
            let mut rows = [false; 120];
            for &j in pattern.group(group) {
                assert!(!std::mem::replace(&mut seen[j], true));
                for &i in &pattern.row_indices()[pattern.column(j)] {
                    assert!(!std::mem::replace(&mut rows[i], true));
                }
            }
        }
        assert!(seen.iter().all(|&seen| seen));
    }

    #[test]
    fn a_band_has_as_many_groups_as_it_is_wide() {
        let band: Vec<(usize, usize)> = (0..1000).flat_map(|i| (i..(i + 3).min(1000)).map(move |j| (i, j))).collect();
        assert_eq!(Pattern::new(1000, 1000, &band).unwrap().groups(), 3);
    }

    #[test]
    fn entries_outside_are_refused_and_equal_ones_added() {
        assert!(Pattern::new(2, 2, &[(2, 0)]).is_err() && Pattern::new(2, 2, &[(0, 2)]).is_err());
        assert!(Pattern::new(2, 2, &[]).is_err());
        let pattern = Pattern::new(2, 2, &[(1, 1), (0, 0), (1, 1)]).unwrap();
        let mut values = [0.0; 2];
        pattern.gather(&[1.0, 2.0, 3.0], &mut values);
        assert_eq!((pattern.len(), pattern.given(), values), (2, 3, [2.0, 4.0]));
    }
}
