//! Learning curves, and images above their reconstructions.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::Run;
use crate::idx::Images;

/// Pairs of images in a picture: rows and columns of them.
pub const ROWS: usize = 4;
pub const COLUMNS: usize = 16;
/// The side of a pixel in the picture.
const ZOOM: u32 = 3;
/// Where the logarithmic axis of seconds begins.
const EARLIEST: f64 = 0.1;

/// Squared error per image against seconds, both logarithmic, one line for each method.
pub fn learning_curves(path: &Path, runs: &[Run]) -> Result<(), Box<dyn Error>> {
    let points = |run: &Run| -> Vec<(f64, f64)> {
        let points = run.curve.iter().map(|mark| (mark.seconds.max(EARLIEST), mark.errors.squared));
        points.filter(|point| point.1.is_finite() && point.1 > 0.0).collect()
    };
    let lines: Vec<_> = runs.iter().map(points).collect();
    let (mut last, mut low, mut high) = (2.0 * EARLIEST, f64::INFINITY, 0.0_f64);
    for &(seconds, error) in lines.iter().flatten() {
        (last, low, high) = (last.max(seconds), low.min(error), high.max(error));
    }
    let (low, high) = if high > 0.0 { (low / 1.2, high * 1.2) } else { (0.1, 1.0) };
    let root = SVGBackend::new(path, (800, 500)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d((EARLIEST..last).log_scale(), (low..high).log_scale())?;
    chart.configure_mesh().x_desc("seconds").y_desc("squared error per image").draw()?;
    for (k, (run, line)) in runs.iter().zip(lines).enumerate() {
        let style = Palette99::pick(k).stroke_width(2);
        chart
            .draw_series(LineSeries::new(line, style))?
            .label(run.method.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    root.present()?;
    Ok(())
}

/// Rows of images, each above a row of their reconstructions.
pub fn reconstructions(path: &Path, images: &Images, outputs: &[f32]) -> Result<(), Box<dyn Error>> {
    let (width, height) = (images.width as u32 * ZOOM, images.height as u32 * ZOOM);
    let root =
        BitMapBackend::new(path, (COLUMNS as u32 * (width + 2), 2 * ROWS as u32 * (height + 2))).into_drawing_area();
    root.fill(&WHITE)?;
    for (k, output) in outputs.chunks_exact(images.size()).enumerate() {
        let input = &images.pixels[k * images.size()..][..images.size()];
        for (half, image) in [input, output].into_iter().enumerate() {
            let left = (k % COLUMNS) as u32 * (width + 2);
            let top = (2 * (k / COLUMNS) + half) as u32 * (height + 2);
            for (i, &grey) in image.iter().enumerate() {
                let (x, y) = ((i % images.width) as u32 * ZOOM + left, (i / images.width) as u32 * ZOOM + top);
                let grey = (255.0 * grey.clamp(0.0, 1.0)).round() as u8;
                let corners = [(x as i32, y as i32), ((x + ZOOM) as i32, (y + ZOOM) as i32)];
                root.draw(&Rectangle::new(corners, RGBColor(grey, grey, grey).filled()))?;
            }
        }
    }
    root.present()?;
    Ok(())
}
