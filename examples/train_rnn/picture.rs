//! The learning curves of all seeds.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::Mark;

/// Mean squared error on fresh sequences (logarithmic) against seconds: a curve for every seed, and in grey what the mean
/// of all sums has.
pub fn learning_curves(path: &Path, curves: &[Vec<Mark>], seeds: &[u64]) -> Result<(), Box<dyn Error>> {
    let point = |mark: &Mark| (mark.seconds, mark.quality.error);
    let curve = |curve: &Vec<Mark>| curve.iter().map(point).filter(|p| p.1.is_finite() && p.1 > 0.0).collect();
    let curves: Vec<Vec<(f64, f64)>> = curves.iter().map(curve).collect();
    let all = || curves.iter().flatten();
    let last = all().map(|p| p.0).fold(0.1, f64::max);
    let (low, high) = all().fold((1e-2_f64, 0.5_f64), |(low, high), p| (low.min(p.1), high.max(p.1)));
    let root = SVGBackend::new(path, (800, 500)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..last, (low / 1.2..high * 1.2).log_scale())?;
    chart.configure_mesh().x_desc("seconds").y_desc("mean squared error on fresh sequences").draw()?;
    chart.draw_series(LineSeries::new([(0.0, 1.0 / 6.0), (last, 1.0 / 6.0)], RGBColor(150, 150, 150)))?;
    for (i, (curve, seed)) in curves.into_iter().zip(seeds).enumerate() {
        let color = Palette99::pick(i).to_rgba();
        let series = chart.draw_series(LineSeries::new(curve, color.stroke_width(2)))?;
        series
            .label(format!("seed {seed}"))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    root.present()?;
    Ok(())
}
