//! Where a [reduced matrix](super::reduced_system) is not zero, and what its Cholesky factor would be like.
//!
//! Two kept blocks share an entry if a group of residual blocks touches both. The order of elimination is approximate
//! minimum degree (Amestoy, Davis & Duff, SIAM J. Matrix Anal. Appl. 17 (1996)) on the graph of blocks, which is smaller
//! than that of numbers and has the same minimum degrees where blocks are of one size. The columns of the factor follow
//! from the elimination tree: row j of L is the subtree that the entries of row j of the matrix span below j (Liu, SIAM J.
//! Matrix Anal. Appl. 11 (1990), sections 3 and 5).

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::sparse::SymbolicSparseColMatRef;
use faer::sparse::linalg::amd;

use crate::operator::BlockLayout;

/// No parent in the elimination tree.
const ROOT: usize = usize::MAX;

/// Which kept blocks share entries, and in which order they are eliminated.
pub struct ReducedGraph {
    /// For every kept block itself and its neighbours with a larger number: where they end, and which they are.
    ends: Vec<usize>,
    neighbours: Vec<usize>,
    /// The block that is eliminated first, second, …, and the inverse.
    order: Vec<usize>,
    position: Vec<usize>,
    /// Entries of the lower triangle with whole blocks on the diagonal, and of the factor; Σ h² over the heights h of the
    /// factor's columns, the operations that it takes.
    pub stored: f64,
    pub entries: f64,
    pub operations: f64,
}

impl ReducedGraph {
    /// The graph of a structure; `None` if there is no memory to order it, or the factor has more than `most` numbers.
    pub fn new(layout: &BlockLayout, most: usize) -> Option<Self> {
        let (ends, neighbours) = neighbours(layout, most)?;
        let n = layout.kept.len();
        let (mut order, mut position) = (vec![0; n], vec![0; n]);
        let mut scratch = MemBuffer::try_new(amd::order_scratch::<usize>(n, neighbours.len())).ok()?;
        let pattern = SymbolicSparseColMatRef::new_checked(n, n, &ends, None, &neighbours);
        amd::order(&mut order, &mut position, pattern, amd::Control::default(), MemStack::new(&mut scratch)).ok()?;
        let mut graph = ReducedGraph { ends, neighbours, order, position, stored: 0.0, entries: 0.0, operations: 0.0 };
        let size = |k: usize| layout.kept_bounds[k + 1] - layout.kept_bounds[k];
        for (height, &k) in graph.heights(size, most)?.into_iter().zip(&graph.order) {
            for column in 0..size(k) {
                let height = (height - column) as f64;
                graph.entries += height;
                graph.operations += height * height;
            }
            graph.stored += (size(k) * graph.of(k).iter().map(|&other| size(other)).sum::<usize>()) as f64;
        }
        Some(graph)
    }

    fn of(&self, k: usize) -> &[usize] {
        &self.neighbours[self.ends[k]..self.ends[k + 1]]
    }

    /// For every position in the order the height of the factor's columns there, from the top of the diagonal block.
    /// `None` if the factor has more than `most` numbers.
    fn heights(&self, size: impl Fn(usize) -> usize, most: usize) -> Option<Vec<usize>> {
        let n = self.order.len();
        // The earlier neighbours of every position.
        let mut earlier = vec![vec![]; n];
        for k in 0..n {
            for &other in &self.of(k)[1..] {
                let (a, b) = (self.position[k], self.position[other]);
                earlier[a.max(b)].push(a.min(b));
            }
        }
        let mut heights: Vec<usize> = self.order.iter().map(|&k| size(k)).collect();
        let (mut parent, mut visited) = (vec![ROOT; n], vec![ROOT; n]);
        let mut entries = 0_usize;
        for j in 0..n {
            visited[j] = j;
            for &first in &earlier[j] {
                let mut i = first;
                while visited[i] != j {
                    visited[i] = j;
                    heights[i] += size(self.order[j]);
                    entries = entries.saturating_add(size(self.order[i]) * size(self.order[j]));
                    if entries > most {
                        return None;
                    }
                    if parent[i] == ROOT {
                        parent[i] = j;
                    }
                    i = parent[i];
                }
            }
        }
        Some(heights)
    }
}

/// For every kept block itself and the blocks with a larger number that share a group with it; `None` if these are more
/// than `most`.
fn neighbours(layout: &BlockLayout, most: usize) -> Option<(Vec<usize>, Vec<usize>)> {
    let mut kept_of = vec![0; layout.declaration.parameter_blocks()];
    layout.kept.iter().enumerate().for_each(|(k, &parameter)| kept_of[parameter as usize] = k);
    let (mut ends, mut neighbours) = (vec![0], vec![]);
    let mut seen = vec![ROOT; layout.kept.len()];
    for (k, &parameter) in layout.kept.iter().enumerate() {
        let start = neighbours.len();
        seen[k] = k;
        neighbours.push(k);
        let mut last = None;
        for &(b, _) in layout.incidence.row(parameter as usize) {
            let group = layout.places[b as usize].group as usize;
            if last.replace(group) == Some(group) {
                continue;
            }
            for touch in layout.touches(layout.blocks_of(group)) {
                let other = kept_of[touch.parameter as usize];
                if other > k && seen[other] != k {
                    seen[other] = k;
                    neighbours.push(other);
                }
            }
        }
        if neighbours.len() > most {
            return None;
        }
        neighbours[start..].sort_unstable();
        ends.push(neighbours.len());
    }
    Some((ends, neighbours))
}

/// The pattern of the lower triangle, by columns, with whole blocks on the diagonal.
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ReducedPattern {
    /// Where each column of numbers begins, and the end.
    pub columns: Vec<usize>,
    /// The rows of each column, one column after the other; those of one block are the same.
    pub rows: Vec<usize>,
    /// Where the columns of each kept block begin, and the end.
    pub bounds: Vec<usize>,
    /// The number that is eliminated first, second, …, and the inverse.
    pub order: Vec<usize>,
    pub position: Vec<usize>,
}

impl ReducedPattern {
    pub fn new(layout: &BlockLayout, graph: &ReducedGraph) -> Self {
        let numbers = |k: usize| layout.kept_bounds[k]..layout.kept_bounds[k + 1];
        let (mut columns, mut rows, mut bounds) = (vec![0], vec![], vec![0]);
        for k in 0..layout.kept.len() {
            for _ in numbers(k) {
                rows.extend(graph.of(k).iter().flat_map(|&other| numbers(other)));
                columns.push(rows.len());
            }
            bounds.push(rows.len());
        }
        let order: Vec<usize> = graph.order.iter().flat_map(|&k| numbers(k)).collect();
        let mut position = vec![0; order.len()];
        order.iter().enumerate().for_each(|(at, &number)| position[number] = at);
        ReducedPattern { columns, rows, bounds, order, position }
    }

    /// The rows of column j, which increase.
    pub fn rows_of(&self, j: usize) -> &[usize] {
        &self.rows[self.columns[j]..self.columns[j + 1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::SplitMix64;
    use crate::operator::{BlockStructure, LinearMap, Model};

    /// Kept blocks of 1, 2 and 3 numbers, coupled at random, one of them with nothing, some through eliminated blocks.
    fn graph_and_couplings(seed: u64) -> (ReducedGraph, ReducedPattern, Vec<Vec<bool>>) {
        let mut random = SplitMix64::new(seed);
        let mut pick = |n: usize| (random.uniform() * n as f64) as usize;
        let mut structure = BlockStructure::new();
        for size in 1..4 {
            structure.parameters(8, size).unwrap();
        }
        let points = structure.parameters(5, 2).unwrap();
        for _ in 0..20 {
            let (a, b) = (pick(23), pick(23));
            if a != b {
                structure.residual(2, &[a, b]).unwrap();
            }
        }
        for point in points.clone() {
            for _ in 0..3 {
                structure.residual(1, &[point, pick(23)]).unwrap();
            }
        }
        structure.eliminate(points).unwrap();
        let model = structure.model(|_, x: &[f64], r, jacobian| {
            r.fill(0.0);
            jacobian.into_iter().for_each(|j| (0..j.len()).for_each(|i| j[i] = (i % x.len()) as f64 + 1.0));
        });
        let x = vec![0.0; model.dim()];
        let at = model.linearize(&x);
        let layout = at.blocks().unwrap().layout;
        // By definition: two numbers are coupled if a group touches the blocks of both.
        let n = layout.reduced_dim();
        let mut coupled = vec![vec![false; n]; n];
        for k in 0..layout.kept.len() {
            let range = layout.kept_bounds[k]..layout.kept_bounds[k + 1];
            range.clone().for_each(|i| range.clone().for_each(|j| coupled[i][j] = true));
        }
        for g in 0..layout.groups.len() {
            let numbers: Vec<usize> = layout
                .touches(layout.blocks_of(g))
                .iter()
                .flat_map(|t| {
                    let start = layout.reduced[t.parameter as usize];
                    start..start + layout.declaration.size(t.parameter)
                })
                .collect();
            numbers.iter().for_each(|&i| numbers.iter().for_each(|&j| coupled[i][j] = true));
        }
        let graph = ReducedGraph::new(layout, usize::MAX).unwrap();
        let pattern = ReducedPattern::new(layout, &graph);
        (graph, pattern, coupled)
    }

    #[test]
    fn the_pattern_and_its_fill_are_those_of_elimination_by_hand() {
        for seed in 0..20 {
            let (graph, pattern, coupled) = graph_and_couplings(seed);
            let n = coupled.len();
            for j in 0..n {
                let rows = pattern.rows_of(j);
                assert!(rows.windows(2).all(|w| w[0] < w[1]));
                (j..n).for_each(|i| assert_eq!(rows.contains(&i), coupled[i][j], "{seed} {i} {j}"));
            }
            let mut full: Vec<Vec<bool>> =
                pattern.order.iter().map(|&i| pattern.order.iter().map(|&j| coupled[i][j]).collect()).collect();
            let (mut entries, mut operations) = (0.0, 0.0);
            for k in 0..n {
                let below: Vec<usize> = (k + 1..n).filter(|&i| full[i][k]).collect();
                below.iter().for_each(|&i| below.iter().for_each(|&j| full[i][j] = true));
                entries += 1.0 + below.len() as f64;
                operations += (1.0 + below.len() as f64).powi(2);
            }
            assert_eq!((graph.entries, graph.operations), (entries, operations), "{seed}");
            assert_eq!(graph.stored, pattern.rows.len() as f64);
            assert!((0..n).all(|i| pattern.position[pattern.order[i]] == i));
        }
    }
}
