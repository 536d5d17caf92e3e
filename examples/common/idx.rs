//! Reads images and labels in the IDX format of the MNIST database (LeCun, Cortes & Burges), which Fashion-MNIST shares.
//!
//! Big-endian numbers of four bytes: 0x0000080d for an array of bytes with d dimensions, then the d lengths; then the
//! array. Images have three dimensions (count, rows, columns), labels one. Files ending in `.gz` are decompressed.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

/// Grey values in [0, 1], image after image, each by rows.
#[derive(Clone, Debug, PartialEq)]
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
///
/// # Errors
/// With the file and the position in it: if it cannot be read, is of another kind, has no pixels, or ends too early.
pub fn read_images(path: &Path, most: usize) -> Result<Images, String> {
    let ([_, height, width], pixels) = read(path, "images", most)?;
    Ok(Images { pixels: pixels.iter().map(|&p| p as f32 / 255.0).collect(), width, height })
}

/// The first `most` labels of a file, each below `classes`.
///
/// # Errors
/// As [`read_images`], and for a label that is not below `classes`.
#[allow(dead_code, reason = "an autoencoder has no labels")]
pub fn read_labels(path: &Path, most: usize, classes: usize) -> Result<Vec<usize>, String> {
    let ([_], labels) = read(path, "labels", most)?;
    match labels.iter().position(|&label| label as usize >= classes) {
        Some(i) => {
            let (path, label, byte) = (path.display(), labels[i], header_length(1) + i);
            Err(format!("{path}: byte {byte}: label {i} is {label}, but labels from 0 to {} are expected", classes - 1))
        }
        None => Ok(labels.into_iter().map(usize::from).collect()),
    }
}

fn header_length(dimensions: usize) -> usize {
    4 * (1 + dimensions)
}

/// The lengths in the header, and the bytes of the first `most` entries.
fn read<const D: usize>(path: &Path, kind: &str, most: usize) -> Result<([usize; D], Vec<u8>), String> {
    let fail = |reason: String| format!("{}: {reason}", path.display());
    let file = File::open(path).map_err(|e| fail(e.to_string()))?;
    let mut reader: Box<dyn Read> =
        if path.extension().is_some_and(|e| e == "gz") { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    let mut take = |bytes: u64| {
        let mut read = vec![];
        reader.by_ref().take(bytes).read_to_end(&mut read).map_err(|e| fail(e.to_string()))?;
        Ok::<_, String>(read)
    };
    let header = take(header_length(D) as u64)?;
    let numbers: Vec<u32> =
        header.chunks_exact(4).map(|four| u32::from_be_bytes(four.try_into().expect("four bytes"))).collect();
    let expected = 0x0800 + D as u32;
    match numbers.first() {
        Some(&mark) if mark != expected => {
            return Err(fail(format!(
                "byte 0: an IDX file of {kind} begins with {expected:#010x}, not with {mark:#010x}"
            )));
        }
        _ if header.len() < header_length(D) => {
            return Err(fail(format!("byte {}: the file ends within its header", header.len())));
        }
        _ => {}
    }
    let lengths: [usize; D] = std::array::from_fn(|i| numbers[1 + i] as usize);
    if let Some(i) = lengths.iter().position(|&length| length == 0) {
        return Err(fail(format!("byte {}: a length of 0: there are no {kind}", 4 * (1 + i))));
    }
    let entry = lengths[1..].iter().try_fold(1, |product: u64, &length| product.checked_mul(length as u64));
    let Some(bytes) = entry.and_then(|entry| entry.checked_mul(lengths[0].min(most) as u64)) else {
        return Err(fail(format!("byte 4: {lengths:?} is too much for {kind}")));
    };
    let array = take(bytes)?;
    if array.len() as u64 != bytes {
        let end = header_length(D) + array.len();
        return Err(fail(format!(
            "byte {end}: the file ends, but {} more bytes are announced",
            bytes - array.len() as u64
        )));
    }
    Ok((lengths, array))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;

    use super::*;

    /// A file in a folder that goes with it.
    fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    const TWO_IMAGES: [u8; 20] = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255, 51, 0];
    const THREE_LABELS: [u8; 11] = [0, 0, 8, 1, 0, 0, 0, 3, 9, 0, 4];

    #[test]
    fn images_and_labels_are_read_plain_and_compressed() {
        let (_folder, path) = file("plain", &TWO_IMAGES);
        let images = read_images(&path, 10).unwrap();
        assert_eq!(images, Images { pixels: vec![0.0, 1.0, 0.2, 0.0], width: 2, height: 1 });
        assert_eq!((images.count(), images.size()), (2, 2));
        assert_eq!(read_images(&path, 1).unwrap().pixels, [0.0, 1.0]);
        let mut packed = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        packed.write_all(&THREE_LABELS).unwrap();
        let (_folder, path) = file("packed.gz", &packed.finish().unwrap());
        assert_eq!(read_labels(&path, 10, 10).unwrap(), [9, 0, 4]);
        assert_eq!(read_labels(&path, 2, 10).unwrap(), [9, 0]);
    }

    #[test]
    fn faults_have_a_place() {
        let fault = |bytes: &[u8]| {
            let (_folder, path) = file("faulty", bytes);
            let message = read_images(&path, 10).unwrap_err();
            message.strip_prefix(&format!("{}: ", path.display())).expect("the file's name").to_string()
        };
        assert!(
            fault(&THREE_LABELS)
                .starts_with("byte 0: an IDX file of images begins with 0x00000803, not with 0x00000801")
        );
        assert!(fault(b"1 1 1\n0 0").starts_with("byte 0: "));
        assert!(fault(&[]).starts_with("byte 0: the file ends within its header"));
        assert!(fault(&TWO_IMAGES[..9]).starts_with("byte 9: the file ends within its header"));
        assert!(fault(&TWO_IMAGES[..18]).starts_with("byte 18: the file ends, but 2 more bytes"));
        let with = |at: usize, byte: u8| {
            let mut bytes = TWO_IMAGES;
            bytes[at] = byte;
            fault(&bytes)
        };
        assert!(with(7, 0).starts_with("byte 4: a length of 0"));
        assert!(with(15, 0).starts_with("byte 12: a length of 0"));
        assert!(with(12, 255).contains("more bytes are announced")); // and nothing of that size is reserved
        let mut huge = TWO_IMAGES;
        huge[4..16].fill(255);
        assert!(fault(&huge).starts_with("byte 4: ") && fault(&huge).contains("too much"));
        let (_folder, path) = file("labels", &THREE_LABELS);
        assert!(read_labels(&path, 10, 9).unwrap_err().contains("byte 8: label 0 is 9, but labels from 0 to 8"));
        assert!(read_labels(Path::new("no/such/file"), 1, 1).unwrap_err().starts_with("no/such/file: "));
        let (_folder, path) = file("damaged.gz", &THREE_LABELS);
        assert!(read_labels(&path, 10, 10).unwrap_err().starts_with(&path.display().to_string()));
    }
}
