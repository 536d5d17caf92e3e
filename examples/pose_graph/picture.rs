//! Draws a pose graph before and after, side by side, as SVG.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

/// Positions in space, drawn in a parallel projection; poses of the plane have z = 0 and are seen from above.
fn project(positions: &[[f64; 3]]) -> Vec<(f64, f64)> {
    let flat = positions.iter().all(|p| p[2] == 0.0);
    positions.iter().map(|&[x, y, z]| if flat { (x, y) } else { (x + 0.5 * y, z + 0.3 * y) }).collect()
}

/// Writes `path`: edges between neighbours in the list in black, the others in blue.
pub fn draw(path: &Path, edges: &[(usize, usize)], panels: [(&str, &[[f64; 3]]); 2]) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, (1200, 620)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, (title, positions)) in root.split_evenly((1, 2)).iter().zip(panels) {
        let points = project(positions);
        // One scale for both axes.
        let range = |of: fn(&(f64, f64)) -> f64| {
            let (low, high) = points.iter().map(of).fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
            (0.5 * (low + high), 0.5 * (high - low))
        };
        let ((x, width), (y, height)) = (range(|p| p.0), range(|p| p.1));
        let half = 1.05 * width.max(height).max(1e-9);
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 20))
            .margin(10)
            .build_cartesian_2d(x - half..x + half, y - half..y + half)?;
        for consecutive in [false, true] {
            let color = if consecutive { BLACK.mix(0.8) } else { BLUE.mix(0.25) };
            let lines = edges.iter().filter(|(i, j)| (i.abs_diff(*j) == 1) == consecutive);
            chart.draw_series(lines.map(|&(i, j)| PathElement::new([points[i], points[j]], color)))?;
        }
    }
    root.present()?;
    Ok(())
}
