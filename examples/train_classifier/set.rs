//! Images with their classes, to learn from and for the test.

use std::path::Path;

use newton_krylov::Batches;

use crate::digits::{self, SIDE, digits};
use crate::idx::{Images, read_images, read_labels};

/// One in so many images is kept for the test.
const TEST: usize = 5;

/// Images and the class of each.
pub struct Set {
    pub images: Images,
    pub labels: Vec<usize>,
}

impl Set {
    /// The first `most` images of a file, and their labels from another.
    ///
    /// # Errors
    /// With the file and the position in it, see [`read_images`] and [`read_labels`]; and if there are not as many labels
    /// as images.
    pub fn read(images_path: &Path, labels_path: &Path, most: usize, classes: usize) -> Result<Set, String> {
        let images = read_images(images_path, most)?;
        let labels = read_labels(labels_path, most, classes)?;
        if images.count() != labels.len() {
            let (path, count, found) = (labels_path.display(), images.count(), labels.len());
            return Err(format!("{path}: {found} labels, but {} has {count} images", images_path.display()));
        }
        Ok(Set { images, labels })
    }

    /// The first `most` of the built-in digits.
    ///
    /// # Errors
    /// If there are fewer classes than digits.
    pub fn digits(most: usize, classes: usize) -> Result<Set, String> {
        if classes < digits::CLASSES {
            return Err(format!("the built-in digits have {} classes, but --classes is {classes}", digits::CLASSES));
        }
        let (mut pixels, mut labels) = digits();
        pixels.truncate(most.saturating_mul(SIDE * SIDE));
        labels.truncate(most);
        Ok(Set { images: Images { pixels, width: SIDE, height: SIDE }, labels })
    }

    /// A fifth of the images for the test, drawn at random (always the same), and the others to learn from.
    ///
    /// # Errors
    /// If there are fewer than five images.
    pub fn split(&self) -> Result<(Set, Set), String> {
        let count = self.labels.len();
        if count < TEST {
            return Err(format!("{count} images are too few to keep a fifth for the test"));
        }
        let mut batches = Batches::new(count, count / TEST, 0).map_err(|e| e.to_string())?;
        let mut test = batches.draw().to_vec();
        test.sort_unstable();
        let train: Vec<usize> = (0..count).filter(|i| test.binary_search(i).is_err()).collect();
        Ok((self.subset(&train), self.subset(&test)))
    }

    /// Each image as it is, and moved by one pixel to the left, to the right, up and down.
    pub fn with_moved(&self) -> Set {
        let Images { width, height, .. } = self.images;
        let (mut pixels, mut labels) = (vec![], vec![]);
        for (image, &label) in self.images.pixels.chunks_exact(width * height).zip(&self.labels) {
            for (right, down) in [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)] {
                let from = |length: usize, at: usize, by: isize| at.checked_add_signed(-by).filter(|&at| at < length);
                for (row, column) in (0..width * height).map(|i| (i / width, i % width)) {
                    let source = from(height, row, down).zip(from(width, column, right));
                    pixels.push(source.map_or(0.0, |(row, column)| image[row * width + column]));
                }
                labels.push(label);
            }
        }
        Set { images: Images { pixels, width, height }, labels }
    }

    fn subset(&self, which: &[usize]) -> Set {
        let Images { width, height, .. } = self.images;
        let image = |&i: &usize| &self.images.pixels[i * width * height..(i + 1) * width * height];
        let pixels = which.iter().flat_map(image).copied().collect();
        Set { images: Images { pixels, width, height }, labels: which.iter().map(|&i| self.labels[i]).collect() }
    }
}

/// The class with the largest logit, the first of equals.
pub fn likeliest(logits: &[f32]) -> usize {
    (1..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_are_all_there() {
        let set = Set::digits(usize::MAX, 10).unwrap();
        assert_eq!((set.labels.len(), set.images.count()), (1797, 1797));
        // Counts of the digits as UCI publishes them for this part.
        let counts: Vec<usize> =
            (0..10).map(|digit| set.labels.iter().filter(|&&label| label == digit).count()).collect();
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        assert!(set.images.pixels.iter().all(|p| (0.0..=1.0).contains(p)));
        assert!(Set::digits(10, 9).is_err());
    }

    #[test]
    fn the_split_keeps_every_image_once_and_with_its_label() {
        let whole = Set::digits(103, 10).unwrap();
        let (train, test) = whole.split().unwrap();
        assert_eq!((train.labels.len(), test.labels.len()), (83, 20));
        let pairs = |set: &Set| -> Vec<(Vec<u32>, usize)> {
            let images = set.images.pixels.chunks_exact(64).map(|image| image.iter().map(|p| p.to_bits()).collect());
            images.zip(set.labels.iter().copied()).collect()
        };
        let mut together = pairs(&train);
        together.extend(pairs(&test));
        let mut all = pairs(&whole);
        together.sort();
        all.sort();
        assert_eq!(together, all);
        assert!(Set::digits(4, 10).unwrap().split().is_err());
    }

    #[test]
    fn images_are_moved_to_all_sides() {
        let images = Images { pixels: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], width: 3, height: 2 };
        let moved = Set { images, labels: vec![7] }.with_moved();
        assert_eq!(moved.labels, [7; 5]);
        let expected: [[f32; 6]; 5] = [
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            [2.0, 3.0, 0.0, 5.0, 6.0, 0.0],
            [0.0, 1.0, 2.0, 0.0, 4.0, 5.0],
            [4.0, 5.0, 6.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 1.0, 2.0, 3.0],
        ];
        assert_eq!(moved.images.pixels, expected.concat());
    }

    #[test]
    fn images_and_labels_must_be_as_many() {
        let folder = tempfile::tempdir().unwrap();
        let [images, labels] = ["images", "labels"].map(|name| folder.path().join(name));
        std::fs::write(&images, [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7, 8]).unwrap();
        std::fs::write(&labels, [0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3]).unwrap();
        let message = Set::read(&images, &labels, 10, 10).err().expect("three labels for two images");
        assert!(message.starts_with(&labels.display().to_string()) && message.contains("3 labels"));
        assert_eq!(Set::read(&images, &labels, 2, 10).unwrap().labels, [1, 2]);
    }

    #[test]
    fn the_likeliest_class_is_the_first_of_equals() {
        assert_eq!(likeliest(&[0.0, 2.0, 2.0, -1.0]), 1);
        assert_eq!(likeliest(&[f32::NAN, 1.0]), 0);
    }
}
