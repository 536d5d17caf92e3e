//! A first guess that needs no poses: rotations by the chordal relaxation, then positions, both linear least squares.
//!
//!   min Σ κ² ‖Rᵢ Rₘ − Rⱼ‖²_F  over all 3 × 3 matrices, R₁ fixed;  each to its nearest rotation
//!   min Σ τ² ‖tⱼ − tᵢ − Rᵢ tₘ‖²  over all positions, t₁ fixed
//!
//! (Martinec & Pajdla, "Robust rotation and translation estimation in multiview reconstruction", CVPR 2007; Carlone, Tron,
//! Daniilidis & Dellaert, "Initialization techniques for 3D SLAM", ICRA 2015.) The rows of the matrices are independent of
//! each other: three problems with one operator, and the positions are a fourth with turns of none. κ² and τ² are the mean
//! information of an edge's rotation and position. LSMR starts from the poses along a tree of edges, as short from the
//! first pose as there is one, which are exact where no edges disagree.
//!
//! A pose of the plane is one of space that turns about z.

use std::collections::VecDeque;

use newton_krylov::{LinearLeastSquares, LinearMap, Result};

use super::file::{Edge, Graph};
use super::geometry::{Matrix, Pose, Vector, matrix, nearest_rotation, times, transpose};

/// An edge between unknowns: w (Aᵀuᵢ − uⱼ), where A is what it turns.
struct Link {
    from: usize,
    to: usize,
    weight: f64,
    turn: Matrix<3>,
}

/// u ↦ wₑ (Aₑᵀ uᵢ − uⱼ) for all edges e; the first of the u is fixed and no unknown.
struct Links<'a>(&'a [Link], usize);

impl Links<'_> {
    fn unknown(pose: usize) -> Option<std::ops::Range<usize>> {
        pose.checked_sub(1).map(|at| 3 * at..3 * at + 3)
    }
}

impl LinearMap<f64> for Links<'_> {
    fn rows(&self) -> usize {
        3 * self.0.len()
    }
    fn columns(&self) -> usize {
        3 * (self.1 - 1)
    }
    fn apply(&self, v: &[f64], out: &mut [f64]) {
        let at =
            |pose: usize| Self::unknown(pose).map_or([0.0; 3], |range| std::array::from_fn(|i| v[range.start + i]));
        for (link, out) in self.0.iter().zip(out.chunks_exact_mut(3)) {
            let (from, to) = (turned(&link.turn, at(link.from)), at(link.to));
            (0..3).for_each(|i| out[i] = link.weight * (from[i] - to[i]));
        }
    }
    fn apply_transpose(&self, u: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        for (link, u) in self.0.iter().zip(u.chunks_exact(3)) {
            if let Some(range) = Self::unknown(link.from) {
                let back = turned(&transpose(link.turn), [u[0], u[1], u[2]]);
                out[range].iter_mut().zip(back).for_each(|(out, v)| *out += link.weight * v);
            }
            if let Some(range) = Self::unknown(link.to) {
                out[range].iter_mut().zip(u).for_each(|(out, v)| *out -= link.weight * v);
            }
        }
    }
}

/// Aᵀv.
fn turned(a: &Matrix<3>, v: Vector) -> Vector {
    std::array::from_fn(|i| (0..3).map(|k| a[k][i] * v[k]).sum())
}

/// Solves for one vector a pose, from a guess in place: wₑ (Aᵀuᵢ − uⱼ) = wₑ bₑ.
fn solve(links: &[Link], guess: &mut [Vector], b: impl Fn(usize) -> Vector) -> Result<()> {
    let map = Links(links, guess.len());
    let mut right = vec![0.0; map.rows()];
    for (e, (link, right)) in links.iter().zip(right.chunks_exact_mut(3)).enumerate() {
        let from_fixed = if link.from == 0 { turned(&link.turn, guess[0]) } else { [0.0; 3] };
        let to_fixed = if link.to == 0 { guess[0] } else { [0.0; 3] };
        let b = b(e);
        (0..3).for_each(|i| right[i] = link.weight * (b[i] - from_fixed[i] + to_fixed[i]));
    }
    let start: Vec<f64> = guess[1..].iter().flatten().copied().collect();
    // Far beyond the accuracy of a guess, and far from the condition number of a long chain.
    let solver = LinearLeastSquares { tolerance: 1e-8, condition_limit: f64::INFINITY, ..Default::default() };
    let found = solver.solve_from(&map, &right, &start)?.x;
    guess[1..].iter_mut().zip(found.chunks_exact(3)).for_each(|(u, found)| u.copy_from_slice(found));
    Ok(())
}

/// The root of the mean information of degrees of freedom `range`.
fn weight<P, const N: usize>(edge: &Edge<P, N>, range: std::ops::Range<usize>) -> f64 {
    let square: f64 = range.clone().flat_map(|j| edge.root.iter().map(move |row| row[j] * row[j])).sum();
    (square / range.len() as f64).sqrt()
}

/// The graph with poses from its edges alone. The first pose, and those that no edges connect with it, stay as they are.
pub fn guess<P: Pose<N>, const N: usize>(graph: &Graph<P, N>) -> Result<Vec<P>> {
    let n = graph.poses.len();
    let own: Vec<_> = graph.poses.iter().map(Pose::rigid).collect();
    if n == 1 {
        return Ok(graph.poses.clone());
    }
    let measured: Vec<_> = graph.edges.iter().map(|edge| edge.measured.rigid()).map(|(t, q)| (t, matrix(q))).collect();
    let mut rotations: Vec<Matrix<3>> = own.iter().map(|(_, q)| matrix(*q)).collect();
    let mut positions: Vec<Vector> = own.iter().map(|(t, _)| *t).collect();
    let order = tree(n, &graph.edges);
    for &(e, forward) in &order {
        let (edge, turn) = (&graph.edges[e], measured[e].1);
        if forward {
            rotations[edge.to] = times(rotations[edge.from], turn);
        } else {
            rotations[edge.from] = times(rotations[edge.to], transpose(turn));
        }
    }
    let angles = P::POSITION..N;
    let link = |(edge, (_, turn)): (&Edge<P, N>, &(Vector, Matrix<3>))| Link {
        from: edge.from,
        to: edge.to,
        weight: weight(edge, angles.clone()),
        turn: *turn,
    };
    let links: Vec<Link> = graph.edges.iter().zip(&measured).map(link).collect();
    for row in 0..3 {
        let mut rows: Vec<Vector> = rotations.iter().map(|rotation| rotation[row]).collect();
        solve(&links, &mut rows, |_| [0.0; 3])?;
        rotations.iter_mut().zip(rows).for_each(|(rotation, found)| rotation[row] = found);
    }
    let quaternions: Vec<[f64; 4]> = rotations.iter().map(nearest_rotation).collect();
    let shift = |e: usize| {
        let edge = &graph.edges[e];
        turned(&transpose(matrix(quaternions[edge.from])), measured[e].0)
    };
    for &(e, forward) in &order {
        let (edge, shift) = (&graph.edges[e], shift(e));
        if forward {
            positions[edge.to] = std::array::from_fn(|i| positions[edge.from][i] + shift[i]);
        } else {
            positions[edge.from] = std::array::from_fn(|i| positions[edge.to][i] - shift[i]);
        }
    }
    const NONE: Matrix<3> = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let links: Vec<Link> = graph
        .edges
        .iter()
        .map(|edge| Link { from: edge.from, to: edge.to, weight: weight(edge, 0..P::POSITION), turn: NONE })
        .collect();
    solve(&links, &mut positions, |e| shift(e).map(|v| -v))?;
    let found = positions.into_iter().zip(quaternions).map(|(t, q)| P::from_rigid(t, q));
    Ok(std::iter::once(graph.poses[0]).chain(found.skip(1)).collect())
}

/// Edges that reach every pose from the first, breadth first, and whether each is followed forwards.
fn tree<P, const N: usize>(n: usize, edges: &[Edge<P, N>]) -> Vec<(usize, bool)> {
    let mut at = vec![vec![]; n];
    for (e, edge) in edges.iter().enumerate() {
        at[edge.from].push((e, true));
        at[edge.to].push((e, false));
    }
    let (mut order, mut reached, mut queue) = (vec![], vec![false; n], VecDeque::from([0]));
    reached[0] = true;
    while let Some(pose) = queue.pop_front() {
        for &(e, forward) in &at[pose] {
            let next = if forward { edges[e].to } else { edges[e].from };
            if !std::mem::replace(&mut reached[next], true) {
                order.push((e, forward));
                queue.push_back(next);
            }
        }
    }
    order
}
