//! Curves on 28 × 28 pixels, after the CURVES set of Hinton & Salakhutdinov ("Reducing the dimensionality of data with
//! neural networks", Science 313 (2006)): a smooth curve through three random points, so that six numbers describe an
//! image. Theirs is not described in detail; this one is the parabola that passes through the points at 0, ½ and 1, drawn
//! one pixel wide, with grey values that fall off linearly with the distance from it. The points lie in a square of such a
//! size that errors are of the same scale: 18 principal components leave a squared error of 5.88 per image, of the
//! published set 5.90 (their figure 2).

use newton_krylov::random::SplitMix64;

use crate::idx::Images;

/// The first `count` curves of a seed.
pub fn curves(count: usize, seed: u64) -> Images {
    const SIDE: usize = 28;
    const STEPS: usize = 100;
    const CENTRE: f64 = 0.5 * (SIDE - 1) as f64;
    const HALF_SQUARE: f64 = 6.6;
    let mut random = SplitMix64::new(seed);
    let mut pixels = vec![0.0_f32; count * SIDE * SIDE];
    for image in pixels.chunks_exact_mut(SIDE * SIDE) {
        let mut points = [[0.0; 2]; 3];
        points.iter_mut().flatten().for_each(|p| *p = CENTRE + HALF_SQUARE * (2.0 * random.uniform() - 1.0));
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
