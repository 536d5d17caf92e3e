//! The camera model of "Bundle adjustment in the large", with its derivatives by hand.
//!
//!   P = R(w) X + t,   p = −(P₁, P₂) / P₃,   residual = f (1 + k₁‖p‖² + k₂‖p‖⁴) p − observed
//!
//! A camera is (w, t, f, k₁, k₂), nine numbers; R(w) turns by the angle ‖w‖ about w.

/// Numbers of a camera and of a point.
pub const CAMERA: usize = 9;
pub const POINT: usize = 3;

/// Writes the residual of a point seen at `observed`, and its Jacobian for (camera, point), two rows of twelve.
/// `x` holds camera and point.
pub fn reprojection(x: &[f64], observed: [f64; 2], residual: &mut [f64], jacobian: Option<&mut [f64]>) {
    let (w, t) = ([x[0], x[1], x[2]], [x[3], x[4], x[5]]);
    let (focal, k1, k2) = (x[6], x[7], x[8]);
    let point = [x[9], x[10], x[11]];
    let [a, b, c] = coefficients(w);
    // RX = X + a w×X + b w×(w×X)
    let once = cross(w, point);
    let twice = cross(w, once);
    let turned: [f64; 3] = std::array::from_fn(|i| point[i] + a * once[i] + b * twice[i]);
    let seen: [f64; 3] = std::array::from_fn(|i| turned[i] + t[i]);
    let inverse = -1.0 / seen[2];
    let p = [seen[0] * inverse, seen[1] * inverse];
    let square = p[0] * p[0] + p[1] * p[1];
    let distortion = 1.0 + square * (k1 + k2 * square);
    let scale = focal * distortion;
    residual[0] = scale * p[0] - observed[0];
    residual[1] = scale * p[1] - observed[1];
    let Some(jacobian) = jacobian else { return };

    // Of the residual by p, then by P: ∂p/∂P = −[1 0 p₁; 0 1 p₂] / P₃.
    let slope = 2.0 * focal * (k1 + 2.0 * k2 * square);
    let rotation = matrix(w, a, b);
    let left = matrix(w, b, c);
    for (i, row) in jacobian.chunks_exact_mut(CAMERA + POINT).enumerate() {
        let mut by_p = [slope * p[i] * p[0], slope * p[i] * p[1]];
        by_p[i] += scale;
        let by_seen = [by_p[0] * inverse, by_p[1] * inverse, (by_p[0] * p[0] + by_p[1] * p[1]) * inverse];
        // d(RX) = (L dw) × RX with the left Jacobian L of the rotation: a·(d × v) = d·(v × a).
        let moment = cross(turned, by_seen);
        for j in 0..3 {
            row[j] = moment[0] * left[0][j] + moment[1] * left[1][j] + moment[2] * left[2][j];
            row[3 + j] = by_seen[j];
            row[9 + j] = by_seen[0] * rotation[0][j] + by_seen[1] * rotation[1][j] + by_seen[2] * rotation[2][j];
        }
        row[6] = distortion * p[i];
        row[7] = focal * square * p[i];
        row[8] = focal * square * square * p[i];
    }
}

/// sin θ/θ, (1 − cos θ)/θ² and (θ − sin θ)/θ³ for θ = ‖w‖, by their series where θ is small.
fn coefficients(w: [f64; 3]) -> [f64; 3] {
    let square = w[0] * w[0] + w[1] * w[1] + w[2] * w[2];
    if square < 0.25 {
        // The next terms are below 10⁻¹⁷; the formulas would lose digits here.
        let series = |first: f64, n: f64| {
            let mut term = first;
            let mut sum = first;
            for k in 1..8 {
                let m = n + 2.0 * k as f64;
                term *= -square * (1.0 / (m * (m - 1.0)));
                sum += term;
            }
            sum
        };
        return [series(1.0, 1.0), series(0.5, 2.0), series(1.0 / 6.0, 3.0)];
    }
    let angle = square.sqrt();
    let (sine, cosine) = angle.sin_cos();
    [sine / angle, (1.0 - cosine) / square, (angle - sine) / (square * angle)]
}

/// I + a[w]× + b[w]×².
fn matrix(w: [f64; 3], a: f64, b: f64) -> [[f64; 3]; 3] {
    let square = w[0] * w[0] + w[1] * w[1] + w[2] * w[2];
    let skew = [[0.0, -w[2], w[1]], [w[2], 0.0, -w[0]], [-w[1], w[0], 0.0]];
    let mut m = [[0.0; 3]; 3];
    for i in 0..3 {
        for j in 0..3 {
            m[i][j] = a * skew[i][j] + b * w[i] * w[j];
        }
        m[i][i] += 1.0 - b * square;
    }
    m
}

pub fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// RX.
pub fn rotate(w: [f64; 3], x: [f64; 3]) -> [f64; 3] {
    let [a, b, _] = coefficients(w);
    let m = matrix(w, a, b);
    std::array::from_fn(|i| m[i][0] * x[0] + m[i][1] * x[1] + m[i][2] * x[2])
}

/// Where a camera is: −Rᵀt.
pub fn position(camera: &[f64]) -> [f64; 3] {
    let back = rotate([-camera[0], -camera[1], -camera[2]], [camera[3], camera[4], camera[5]]);
    back.map(|v| -v)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_agree_with_differences_for_large_small_and_no_rotation() {
        for turn in [1.0, 0.3, 1e-9, 0.0] {
            let x = [0.3 * turn, -0.9 * turn, 0.5 * turn, 0.1, -0.2, -4.0, 500.0, -0.05, 0.01, 1.1, -0.7, 0.4];
            let (mut r, mut jacobian) = ([0.0; 2], [0.0; 24]);
            reprojection(&x, [3.0, 4.0], &mut r, Some(&mut jacobian));
            for j in 0..12 {
                let h = 1e-5 * x[j].abs().max(1e-2);
                let at = |s: f64| {
                    let mut y = x;
                    y[j] += s * h;
                    let mut r = [0.0; 2];
                    reprojection(&y, [3.0, 4.0], &mut r, None);
                    r
                };
                // Fourth order.
                let (a, b, c, d) = (at(1.0), at(-1.0), at(2.0), at(-2.0));
                for i in 0..2 {
                    let difference = (8.0 * (a[i] - b[i]) - (c[i] - d[i])) / (12.0 * h);
                    let exact = jacobian[12 * i + j];
                    assert!(
                        (difference - exact).abs() < 1e-6 * exact.abs().max(1.0),
                        "{turn} {i} {j}: {difference} {exact}"
                    );
                }
            }
        }
    }

    #[test]
    fn series_and_formula_meet() {
        for angle in [0.4999, 0.5001_f64] {
            let [a, b, c] = coefficients([angle, 0.0, 0.0]);
            assert!((a - angle.sin() / angle).abs() < 1e-15);
            assert!((b - 2.0 * (0.5 * angle).sin().powi(2) / (angle * angle)).abs() < 1e-14);
            assert!((c - (angle - angle.sin()) / angle.powi(3)).abs() < 1e-14);
        }
        assert_eq!(coefficients([0.0; 3]), [1.0, 0.5, 1.0 / 6.0]);
    }

    #[test]
    fn a_rotation_by_a_right_angle() {
        let turned = rotate([0.0, 0.0, std::f64::consts::FRAC_PI_2], [1.0, 2.0, 3.0]);
        assert!(turned.iter().zip([-2.0, 1.0, 3.0]).all(|(a, b)| (a - b).abs() < 1e-15));
        let at = position(&[0.0, 0.0, std::f64::consts::FRAC_PI_2, 1.0, 0.0, 0.0]);
        assert!(at.iter().zip([0.0, 1.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-15));
    }
}
