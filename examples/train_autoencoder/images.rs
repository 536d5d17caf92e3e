//! Where the images come from: a file in the IDX format, or curves that are drawn here.
//!
//! IDX (LeCun, Cortes & Burges, the MNIST database): big-endian 0x00000803, number of images, rows, columns, then one byte
//! for every pixel. Files ending in `.gz` are decompressed.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use newton_krylov::SplitMix64;

/// Grey values in [0, 1], image after image, each by rows.
pub struct Images {
    pub pixels: Vec<f32>,
    pub width: usize,
    pub height: usize,
}

impl Images {
    pub fn count(&self) -> usize {
        self.pixels.len() / self.size()
    }

    /// Pixels of an image.
    pub fn size(&self) -> usize {
        self.width * self.height
    }
}

/// The first `most` images of an IDX file.
pub fn read_idx(path: &Path, most: usize) -> Result<Images, String> {
    let fail = |reason: String| format!("{}: {reason}", path.display());
    let file = File::open(path).map_err(|e| fail(e.to_string()))?;
    let mut reader: Box<dyn Read> =
        if path.extension().is_some_and(|e| e == "gz") { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    let mut header = [0; 16];
    reader.read_exact(&mut header).map_err(|e| fail(e.to_string()))?;
    let number = |i: usize| u32::from_be_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]]);
    if number(0) != 0x0803 {
        return Err(fail(format!("this is no IDX file of images: it begins with {:#010x}", number(0))));
    }
    let (count, height, width) = (number(4) as usize, number(8) as usize, number(12) as usize);
    if count == 0 || height == 0 || width == 0 {
        return Err(fail(format!("{count} images of {width} × {height} pixels")));
    }
    let bytes = count.min(most) as u64 * height as u64 * width as u64;
    let mut pixels = vec![];
    reader.take(bytes).read_to_end(&mut pixels).map_err(|e| fail(e.to_string()))?;
    if pixels.len() as u64 != bytes {
        return Err(fail(format!("{bytes} pixels are announced, but only {} are there", pixels.len())));
    }
    Ok(Images { pixels: pixels.iter().map(|&p| p as f32 / 255.0).collect(), width, height })
}

/// Curves on 28 × 28 pixels, after the CURVES set of Hinton & Salakhutdinov ("Reducing the dimensionality of data with
/// neural networks", Science 313 (2006)): a smooth curve through three random points, so that six numbers describe an
/// image. Theirs is not described in detail; this one is the parabola that passes through the points at 0, ½ and 1, drawn
/// one pixel wide, with grey values that fall off linearly with the distance from it.
pub fn curves(count: usize, seed: u64) -> Images {
    const SIDE: usize = 28;
    const STEPS: usize = 100;
    let mut random = SplitMix64::new(seed);
    let mut pixels = vec![0.0_f32; count * SIDE * SIDE];
    for image in pixels.chunks_exact_mut(SIDE * SIDE) {
        let mut points = [[0.0; 2]; 3];
        points.iter_mut().flatten().for_each(|p| *p = 2.0 + (SIDE - 5) as f64 * random.uniform());
        let at = |t: f64, axis: usize| {
            let [a, b, c] = points.map(|p| p[axis]);
            a * (2.0 * t - 1.0) * (t - 1.0) + b * 4.0 * t * (1.0 - t) + c * t * (2.0 * t - 1.0)
        };
        for step in 0..=STEPS {
            let t = step as f64 / STEPS as f64;
            let (x, y) = (at(t, 0), at(t, 1));
            for row in (y.floor() as isize - 1).max(0)..=(y.floor() as isize + 2).min(SIDE as isize - 1) {
                for column in (x.floor() as isize - 1).max(0)..=(x.floor() as isize + 2).min(SIDE as isize - 1) {
                    let distance = (row as f64 - y).hypot(column as f64 - x);
                    let pixel = &mut image[row as usize * SIDE + column as usize];
                    *pixel = pixel.max((1.25 - distance).clamp(0.0, 1.0) as f32);
                }
            }
        }
    }
    Images { pixels, width: SIDE, height: SIDE }
}
