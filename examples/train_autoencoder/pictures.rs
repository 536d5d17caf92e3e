//! Learning curves, and images above their reconstructions.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

use crate::Run;
use crate::idx::Images;
use crate::learning_curve;

/// Pairs of images in a picture: rows and columns of them.
pub const ROWS: usize = 4;
pub const COLUMNS: usize = 16;
/// The side of a pixel in the picture.
const ZOOM: usize = 3;

/// Squared error per image against seconds, one line for each method.
pub fn learning_curves(path: &Path, runs: &[Run]) -> Result<(), Box<dyn Error>> {
    let points = |run: &Run| run.curve.iter().map(|mark| (mark.seconds, mark.errors.squared)).collect();
    let lines = runs.iter().map(|run| (run.method.name(), points(run))).collect();
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
    Ok(fs::write(path, png(columns, rows, &grey)?)?)
}

/// A picture of eight bits per pixel (W3C, "Portable network graphics", 2nd edition, sections 5, 9 and 11).
fn png(width: usize, height: usize, grey: &[u8]) -> io::Result<Vec<u8>> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], data: &[u8]| {
        let mut crc = Crc::new();
        crc.update(kind);
        crc.update(data);
        file.extend((data.len() as u32).to_be_bytes());
        file.extend(kind.iter().chain(data));
        file.extend(crc.sum().to_be_bytes());
    };
    let size = [width as u32, height as u32].map(u32::to_be_bytes);
    chunk(b"IHDR", &[&size.concat()[..], &[8, 0, 0, 0, 0]].concat());
    let mut packed = ZlibEncoder::new(vec![], Compression::default());
    for row in grey.chunks_exact(width) {
        // The row as it is, without a filter.
        packed.write_all(&[0])?;
        packed.write_all(row)?;
    }
    chunk(b"IDAT", &packed.finish()?);
    chunk(b"IEND", &[]);
    Ok(file)
}
