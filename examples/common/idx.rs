//! Files in the IDX format (LeCun, Cortes & Burges, the MNIST database), with or without gzip compression.
//!
//! Big-endian: 0x00000803, number of images, rows, columns, then one byte for every pixel; or 0x00000801, number of
//! labels, then one byte for each.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

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

/// The first `most` images of a file.
pub fn read_images(path: &Path, most: usize) -> Result<Images, String> {
    let ([height, width], bytes) = read(path, most)?;
    if height == 0 || width == 0 {
        return Err(format!("{}: images of {width} × {height} pixels", path.display()));
    }
    Ok(Images { pixels: bytes.iter().map(|&p| p as f32 / 255.0).collect(), width, height })
}

/// The first `most` labels of a file.
#[allow(dead_code, reason = "not every example has labels")]
pub fn read_labels(path: &Path, most: usize) -> Result<Vec<usize>, String> {
    let ([], bytes) = read(path, most)?;
    Ok(bytes.into_iter().map(usize::from).collect())
}

/// The sizes of an item of D dimensions, and the bytes of the first `most`.
fn read<const D: usize>(path: &Path, most: usize) -> Result<([usize; D], Vec<u8>), String> {
    let fail = |reason: String| format!("{}: {reason}", path.display());
    let file = File::open(path).map_err(|e| fail(e.to_string()))?;
    let mut reader: Box<dyn Read> =
        if path.extension().is_some_and(|e| e == "gz") { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    let mut number = || -> Result<u32, String> {
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes).map_err(|e| fail(e.to_string()))?;
        Ok(u32::from_be_bytes(bytes))
    };
    let (expected, found) = (0x0801 + D as u32, number()?);
    if found != expected {
        let what = if D == 0 { "labels" } else { "images" };
        return Err(fail(format!("this is no IDX file of {what}: it begins with {found:#010x}, not {expected:#010x}")));
    }
    let count = number()? as usize;
    if count == 0 {
        return Err(fail("it is empty".into()));
    }
    let mut sizes = [0; D];
    for size in &mut sizes {
        *size = number()? as usize;
    }
    let wanted = sizes.iter().try_fold(count.min(most) as u64, |n, &size| n.checked_mul(size as u64));
    let wanted = wanted.ok_or_else(|| fail(format!("{count} items of {sizes:?} bytes")))?;
    let mut bytes = vec![];
    reader.take(wanted).read_to_end(&mut bytes).map_err(|e| fail(e.to_string()))?;
    if bytes.len() as u64 != wanted {
        return Err(fail(format!("{wanted} bytes are announced, but only {} are there", bytes.len())));
    }
    Ok((sizes, bytes))
}
