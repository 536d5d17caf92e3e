//! 1797 handwritten digits of 8 × 8 pixels: the test part of *Optical Recognition of Handwritten Digits*, E. Alpaydin & C.
//! Kaynak, UCI Machine Learning Repository (1998), <https://doi.org/10.24432/C50P49>, as scikit-learn distributes it.
//! Licence of the data: CC BY 4.0.

use std::io::Read;

use flate2::read::GzDecoder;

/// The side of an image.
pub const SIDE: usize = 8;
pub const CLASSES: usize = 10;

/// Grey values in [0, 1], image after image, each by rows; and the digits.
pub fn digits() -> (Vec<f32>, Vec<usize>) {
    let mut text = String::new();
    let packed = include_bytes!("../../tests/data/digits.csv.gz");
    GzDecoder::new(&packed[..]).read_to_string(&mut text).expect("the embedded file is in order");
    let (mut pixels, mut labels) = (vec![], vec![]);
    for line in text.lines() {
        // 64 numbers from 0 to 16, and the digit.
        let numbers: Vec<u8> = line.split(',').map(|number| number.parse().expect("a number")).collect();
        pixels.extend(numbers[..SIDE * SIDE].iter().map(|&grey| grey as f32 / 16.0));
        labels.push(numbers[SIDE * SIDE] as usize);
    }
    (pixels, labels)
}
