//! The learning curve, and images above their reconstructions.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::Mark;
use crate::images::Images;

/// Pairs of images in a picture: rows and columns of them.
pub const ROWS: usize = 4;
pub const COLUMNS: usize = 16;
/// The side of a pixel in the picture.
const ZOOM: u32 = 3;

/// Squared error per image against seconds, both logarithmic.
pub fn learning_curve(path: &Path, curve: &[Mark]) -> Result<(), Box<dyn Error>> {
    let points: Vec<(f64, f64)> = curve.iter().map(|mark| (mark.seconds.max(0.1), mark.errors.squared)).collect();
    let points: Vec<_> = points.into_iter().filter(|p| p.1.is_finite() && p.1 > 0.0).collect();
    let last = points.last().map_or(1.0, |p| p.0).max(0.2);
    let (low, high) = points.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), p| (low.min(p.1), high.max(p.1)));
    let (low, high) = if points.is_empty() { (0.1, 1.0) } else { (low / 1.2, high * 1.2) };
    let root = SVGBackend::new(path, (800, 500)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d((0.1..last).log_scale(), (low..high).log_scale())?;
    chart.configure_mesh().x_desc("seconds").y_desc("squared error per image").draw()?;
    chart.draw_series(LineSeries::new(points, BLUE.stroke_width(2)))?;
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
