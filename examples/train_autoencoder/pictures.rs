//! Learning curves, and images above their reconstructions.

use std::error::Error;
use std::path::Path;

use crate::Run;
use crate::arguments::name;
use crate::idx::Images;
use crate::{learning_curve, png};

/// Pairs of images in a picture: rows and columns of them.
pub const ROWS: usize = 4;
pub const COLUMNS: usize = 16;
/// The side of a pixel in the picture.
const ZOOM: usize = 3;

/// Squared error per image against seconds, one line for each method.
pub fn learning_curves(path: &Path, runs: &[Run]) -> Result<(), Box<dyn Error>> {
    let points = |run: &Run| run.curve.iter().map(|mark| (mark.seconds, mark.errors.squared)).collect();
    let lines = runs.iter().map(|run| (name(run.method), points(run))).collect();
    learning_curve::draw(path, lines, "squared error per image")
}

/// Rows of images, each above a row of their reconstructions, as PNG.
pub fn reconstructions(path: &Path, images: &Images, outputs: &[f32]) -> Result<(), Box<dyn Error>> {
    let (width, height) = (images.width * ZOOM, images.height * ZOOM);
    let (columns, rows) = (COLUMNS * (width + 2), 2 * ROWS * (height + 2));
    let mut grey = vec![255_u8; columns * rows];
    for (k, output) in outputs.chunks_exact(images.size()).enumerate() {
        let input = &images.pixels[k * images.size()..][..images.size()];
        for (half, image) in [input, output].into_iter().enumerate() {
            let left = (k % COLUMNS) * (width + 2);
            let top = (2 * (k / COLUMNS) + half) * (height + 2);
            for y in 0..height {
                for x in 0..width {
                    let pixel = image[y / ZOOM * images.width + x / ZOOM].clamp(0.0, 1.0);
                    grey[(top + y) * columns + left + x] = (255.0 * pixel).round() as u8;
                }
            }
        }
    }
    Ok(png::write(path, columns, rows, &grey)?)
}
