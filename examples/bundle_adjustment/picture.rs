//! Cameras and points from above, before and after.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use super::bal::Problem;
use super::camera::{CAMERA, POINT, position};

/// Points drawn at most.
const MOST_POINTS: usize = 5000;

/// Draws two panels as SVG: `before` and `after` are parameters of `problem`.
pub fn draw(path: &Path, problem: &Problem, before: &[f64], after: &[f64]) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, (1200, 620)).into_drawing_area();
    root.fill(&WHITE)?;
    let (axes, names) = widest(problem, after);
    let panels = root.split_evenly((1, 2));
    let range = |k: usize| middle(problem, after, axes[k]);
    for (panel, (title, parameters)) in panels.iter().zip([("before", before), ("after", after)]) {
        let mut chart = ChartBuilder::on(panel)
            .caption(title, ("sans-serif", 22))
            .margin(12)
            .x_label_area_size(32)
            .y_label_area_size(48)
            .build_cartesian_2d(range(0), range(1))?;
        chart.configure_mesh().disable_mesh().x_desc(names[0]).y_desc(names[1]).draw()?;
        let points = parameters[CAMERA * problem.cameras..].chunks_exact(POINT);
        let shown = points.step_by(problem.points.div_ceil(MOST_POINTS)).map(|p| (p[axes[0]], p[axes[1]]));
        chart.draw_series(shown.map(|at| Circle::new(at, 1, RGBColor(90, 120, 160).mix(0.5).filled())))?;
        let cameras = parameters[..CAMERA * problem.cameras].chunks_exact(CAMERA).map(position);
        chart.draw_series(cameras.map(|p| TriangleMarker::new((p[axes[0]], p[axes[1]]), 5, RED.filled())))?;
    }
    root.present()?;
    Ok(())
}

/// The two axes along which the points spread most.
fn widest(problem: &Problem, parameters: &[f64]) -> ([usize; 2], [&'static str; 2]) {
    let spread = |axis: usize| {
        let range = middle(problem, parameters, axis);
        range.end - range.start
    };
    let least = (0..3).fold(0, |least, axis| if spread(axis) < spread(least) { axis } else { least });
    match least {
        0 => ([1, 2], ["y", "z"]),
        1 => ([0, 2], ["x", "z"]),
        _ => ([0, 1], ["x", "y"]),
    }
}

/// A range with all cameras and all but the outermost points.
fn middle(problem: &Problem, parameters: &[f64], axis: usize) -> std::ops::Range<f64> {
    let (cameras, points) = parameters.split_at(CAMERA * problem.cameras);
    let mut along: Vec<f64> = points.chunks_exact(POINT).map(|p| p[axis]).collect();
    along.sort_by(f64::total_cmp);
    let cut = along.len() / 50;
    let inner = along[cut..along.len() - cut].iter().copied();
    let all = inner.chain(cameras.chunks_exact(CAMERA).map(|c| position(c)[axis]));
    let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let margin = 0.05 * (high - low).max(1e-3 * low.abs()).max(1e-9);
    low - margin..high + margin
}
