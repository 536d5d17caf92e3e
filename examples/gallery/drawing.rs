//! A landscape as a panel: level sets, unit balls, trajectories.

use std::collections::HashMap;

use crate::landscapes::{Landscape, Matrix};
use crate::methods::{METHODS, Run};
use crate::scene::{Point, Rgb, Scene, Style};

/// Pixels along a panel's side, and between panels.
pub const SIDE: f64 = 400.0;
pub const GAP: f64 = 16.0;
pub const TITLE: f64 = 26.0;
const LEGEND: f64 = 74.0;
const COLUMNS: usize = 3;
/// Cells along a side, for level sets.
const CELLS: usize = 200;
/// The identity's, the Hessian's and the Fisher matrix's ball.
const BALLS: [(&str, Rgb, bool); 3] = [
    ("unit balls: identity", [0x96, 0x96, 0x96], false),
    ("Hessian", [0x10, 0x10, 0x10], false),
    ("Fisher", METHODS[8].1, true),
];

pub fn style(color: Rgb, width: f64, opacity: f64) -> Style {
    Style { color, width, opacity, dashed: false }
}

/// All panels, with their legend.
pub fn draw(panels: &[(Landscape, Vec<Run>)]) -> Scene {
    let columns = panels.len().min(COLUMNS);
    let rows = panels.len().div_ceil(COLUMNS);
    let top = rows as f64 * (SIDE + TITLE + GAP);
    let mut scene = Scene::new(GAP + columns as f64 * (SIDE + GAP), top + LEGEND);
    for (i, (landscape, runs)) in panels.iter().enumerate() {
        let (column, row) = ((i % COLUMNS) as f64, (i / COLUMNS) as f64);
        let corner = [GAP + column * (SIDE + GAP), row * (SIDE + TITLE + GAP) + TITLE];
        panel(&mut scene, corner, landscape, runs);
    }
    legend(&mut scene, top + 22.0, 200.0);
    scene
}

fn legend(scene: &mut Scene, top: f64, spacing: f64) {
    for (i, (name, color)) in METHODS.into_iter().enumerate() {
        let [x, y] = [GAP + spacing * (i % 5) as f64, top + 22.0 * (i / 5) as f64];
        scene.line(vec![[x, y - 4.0], [x + 26.0, y - 4.0]], style(color, 2.5, 1.0));
        scene.dot([x + 13.0, y - 4.0], 3.0, color);
        scene.words([x + 34.0, y], 14.0, name);
    }
    let x = GAP + 5.0 * spacing;
    for (i, (name, color, dashed)) in BALLS.into_iter().enumerate() {
        let y = top + 19.0 * i as f64;
        scene.line(vec![[x, y - 4.0], [x + 26.0, y - 4.0]], Style { dashed, ..style(color, 1.8, 1.0) });
        scene.words([x + 34.0, y], 14.0, name);
    }
    let [x, y] = [GAP + 4.0 * spacing, top + 22.0];
    cross(scene, [x + 13.0, y - 4.0]);
    scene.words([x + 34.0, y], 14.0, "minimum");
    scene.dot([x + 126.0, y - 4.0], 4.5, [0; 3]);
    scene.words([x + 136.0, y], 14.0, "start");
}

fn cross(scene: &mut Scene, [x, y]: Point) {
    for (color, width) in [([0xff; 3], 5.0), ([0; 3], 2.0)] {
        for slope in [-5.0, 5.0] {
            scene.line(vec![[x - 5.0, y - slope], [x + 5.0, y + slope]], style(color, width, 1.0));
        }
    }
}

fn panel(scene: &mut Scene, corner: Point, landscape: &Landscape, runs: &[Run]) {
    let Landscape { center, half, .. } = *landscape;
    let scale = SIDE / (2.0 * half);
    let pixels = |[x, y]: [f64; 2]| {
        [corner[0] + scale * (x - center[0] + half), corner[1] + SIDE - scale * (y - center[1] + half)]
    };
    let opposite = corner.map(|c| c + SIDE);
    let frame = [corner, opposite];

    for level in level_sets(landscape) {
        let points: Vec<_> = level.into_iter().map(pixels).collect();
        scene.clipped(&simplified(&points, 0.12), frame, || style([0xb4, 0xbc, 0xc8], 0.9, 1.0));
    }
    for &at in landscape.balls {
        let fisher = landscape.fisher.map(|fisher| (fisher.metric)(at[0], at[1]));
        let metrics = [Some([1.0, 0.0, 1.0]), Some((landscape.hessian)(at[0], at[1])), fisher];
        for ((metric, radius), (_, color, dashed)) in metrics.into_iter().zip(landscape.radii).zip(BALLS) {
            if let Some(points) = metric.and_then(|metric| ball(at, metric, radius)) {
                let points: Vec<_> = points.into_iter().map(pixels).collect();
                scene.clipped(&simplified(&points, 0.05), frame, || Style { dashed, ..style(color, 1.5, 1.0) });
            }
        }
        scene.dot(pixels(at), 1.5, BALLS[1].1);
    }
    for run in runs {
        let color = METHODS[run.method].1;
        let points: Vec<_> = run.path.iter().copied().map(pixels).collect();
        scene.clipped(&simplified(&points, 0.2), frame, || style(color, 1.4, 0.85));
        let mut last = [f64::INFINITY; 2];
        for point in points {
            let inside = (0..2).all(|i| corner[i] < point[i] && point[i] < opposite[i]);
            // Dots that would cover each other are left out.
            if inside && distance(point, last) >= 5.0 {
                scene.dot(point, 2.2, color);
                last = point;
            }
        }
    }
    cross(scene, pixels(landscape.minimum));
    scene.dot(pixels(landscape.start), 4.5, [0; 3]);
    let [[left, upper], [right, lower]] = frame;
    let outline = vec![[left, upper], [right, upper], [right, lower], [left, lower], [left, upper]];
    scene.line(outline, style([0x60; 3], 1.0, 1.0));
    scene.words([left, upper - 8.0], 15.0, landscape.title);
}

fn distance(a: Point, b: Point) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// The points with (x − center)ᵀM(x − center) = radius²: center + radius L⁻ᵀu with M = LLᵀ, ‖u‖ = 1. `None` where M is not
/// positive definite, and its ball not bounded.
pub fn ball(center: [f64; 2], [a, b, c]: Matrix, radius: f64) -> Option<Vec<[f64; 2]>> {
    let (l11, l21) = (a.sqrt(), b / a.sqrt());
    let l22 = (c - l21 * l21).sqrt();
    (l11 > 0.0 && l22 > 0.0).then(|| {
        let angles = (0..=120).map(|i| std::f64::consts::TAU * f64::from(i) / 120.0);
        let points = angles.map(|angle| {
            let y = radius * angle.sin() / l22;
            [center[0] + (radius * angle.cos() - l21 * y) / l11, center[1] + y]
        });
        points.collect()
    })
}

/// The level sets by marching squares: in every cell of a grid, lines between the edges that a level crosses; equal
/// edges join the lines of neighbours.
fn level_sets(landscape: &Landscape) -> Vec<Vec<[f64; 2]>> {
    let Landscape { center, half, minimum, first, factor, .. } = *landscape;
    let at = |i: usize, j: usize| {
        [i, j].map(|k| 2.0 * half * k as f64 / CELLS as f64 - half).iter().zip(center).map(|(d, c)| c + d).collect()
    };
    let lowest = (landscape.value)(minimum[0], minimum[1]);
    // The root of f − min f grows as the distance does: interpolation is right near the minimum as well.
    let heights: Vec<f64> = (0..=CELLS)
        .flat_map(|j| (0..=CELLS).map(move |i| (i, j)))
        .map(|(i, j)| {
            let x: Vec<f64> = at(i, j);
            ((landscape.value)(x[0], x[1]) - lowest).max(0.0).sqrt()
        })
        .collect();
    let height = |(i, j): (usize, usize)| heights[j * (CELLS + 1) + i];
    let highest = heights.iter().copied().filter(|h| h.is_finite()).fold(0.0, f64::max);

    let mut lines = vec![];
    let mut level = first;
    for _ in 0..14 {
        let root = level.sqrt();
        level *= factor;
        if root > highest {
            break;
        }
        // Where the level crosses an edge, and which edges a cell joins.
        let mut crossings = HashMap::new();
        let mut neighbours: HashMap<_, Vec<_>> = HashMap::new();
        for (i, j) in (0..CELLS).flat_map(|i| (0..CELLS).map(move |j| (i, j))) {
            let corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)];
            let mut met = vec![];
            for k in 0..4 {
                let (from, to) = (corners[k].min(corners[(k + 1) % 4]), corners[k].max(corners[(k + 1) % 4]));
                let (a, b) = (height(from), height(to));
                if (a < root) != (b < root) && a.is_finite() && b.is_finite() {
                    let t = (root - a) / (b - a);
                    let (x, y): (Vec<f64>, Vec<f64>) = (at(from.0, from.1), at(to.0, to.1));
                    crossings.insert((from, to), [x[0] + t * (y[0] - x[0]), x[1] + t * (y[1] - x[1])]);
                    met.push((from, to));
                }
            }
            for pair in met.chunks_exact(2) {
                neighbours.entry(pair[0]).or_default().push(pair[1]);
                neighbours.entry(pair[1]).or_default().push(pair[0]);
            }
        }
        // Open lines from their ends, then closed ones.
        let mut edges: Vec<_> = neighbours.keys().copied().collect();
        edges.sort_by_key(|edge| (neighbours[edge].len(), *edge));
        for start in edges {
            let mut line = vec![crossings[&start]];
            let mut edge = start;
            while let Some(next) = neighbours.get_mut(&edge).and_then(Vec::pop) {
                neighbours.get_mut(&next).expect("both ways").retain(|back| *back != edge);
                line.push(crossings[&next]);
                edge = next;
            }
            if line.len() > 1 {
                lines.push(line);
            }
        }
    }
    lines
}

/// The line with the fewest points that is nowhere farther than `tolerance` away (Douglas & Peucker, Cartographica 10
/// (1973)).
fn simplified(points: &[Point], tolerance: f64) -> Vec<Point> {
    let Some(last) = points.len().checked_sub(1) else { return vec![] };
    let mut keep = vec![false; points.len()];
    (keep[0], keep[last]) = (true, true);
    let mut open = vec![(0, last)];
    while let Some((from, to)) = open.pop() {
        let (a, b) = (points[from], points[to]);
        let away = |p: Point| {
            let length = distance(a, b);
            let t = if length > 0.0 {
                ((p[0] - a[0]) * (b[0] - a[0]) + (p[1] - a[1]) * (b[1] - a[1])) / (length * length)
            } else {
                0.0
            };
            let t = t.clamp(0.0, 1.0);
            distance(p, [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])])
        };
        let farthest = (from + 1..to).map(|i| (away(points[i]), i)).max_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((_, i)) = farthest.filter(|far| far.0 > tolerance) {
            keep[i] = true;
            open.extend([(from, i), (i, to)]);
        }
    }
    points.iter().zip(keep).filter_map(|(point, keep)| keep.then_some(*point)).collect()
}
