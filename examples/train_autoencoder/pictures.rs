//! Learning curves, and images above their reconstructions.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::Run;
use crate::idx::Images;
use crate::learning_curve;

/// Pairs of images in a picture: rows and columns of them.
pub const ROWS: usize = 4;
pub const COLUMNS: usize = 16;
/// The side of a pixel in the picture.
const ZOOM: u32 = 3;

/// Squared error per image against seconds, one line for each method.
pub fn learning_curves(path: &Path, runs: &[Run]) -> Result<(), Box<dyn Error>> {
    let points = |run: &Run| run.curve.iter().map(|mark| (mark.seconds, mark.errors.squared)).collect();
    let lines = runs.iter().map(|run| (run.method.name(), points(run))).collect();
    learning_curve::draw(path, lines, "squared error per image")
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
