//! A picture of learning curves.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

/// Where the logarithmic axis of seconds begins.
const EARLIEST: f64 = 0.1;

/// A named line through points (seconds, y).
pub type Line = (String, Vec<(f64, f64)>);

/// Draws lines, both axes logarithmic, as SVG; points whose y is not finite and positive are left out.
pub fn draw(path: &Path, lines: Vec<Line>, y: &str) -> Result<(), Box<dyn Error>> {
    let drawn = |point: &(f64, f64)| point.1.is_finite() && point.1 > 0.0;
    let (mut last, mut low, mut high) = (2.0 * EARLIEST, f64::INFINITY, 0.0_f64);
    for &(seconds, y) in lines.iter().flat_map(|(_, points)| points).filter(|point| drawn(point)) {
        (last, low, high) = (last.max(seconds), low.min(y), high.max(y));
    }
    let (low, high) = if high > 0.0 { (low / 1.2, high * 1.2) } else { (0.1, 1.0) };
    let root = SVGBackend::new(path, (800, 500)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d((EARLIEST..last).log_scale(), (low..high).log_scale())?;
    chart.configure_mesh().x_desc("seconds").y_desc(y).draw()?;
    for (k, (name, points)) in lines.into_iter().enumerate() {
        let style = Palette99::pick(k).stroke_width(2);
        let points = points.into_iter().filter(drawn).map(|(seconds, y)| (seconds.max(EARLIEST), y));
        chart
            .draw_series(LineSeries::new(points, style))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    root.present()?;
    Ok(())
}
