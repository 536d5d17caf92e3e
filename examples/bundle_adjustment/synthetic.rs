//! A made-up problem: cameras on a closed loop look outwards at points on a ring around them.
//!
//! Each point is seen by its neighbours only, so what is known of one end of the loop reaches the other through all
//! cameras between them, and the reduced system is badly conditioned. Observations are exact up to a normal error of half
//! a pixel; the start is off by some 0.1 in positions, 0.005 in rotations, and has no distortion.

use super::bal::{Observation, Problem};
use super::camera::{cross, reprojection, rotate};
use newton_krylov::random::SplitMix64;
use std::f64::consts::TAU;

fn normals(random: &mut SplitMix64, size: f64) -> [f64; 3] {
    std::array::from_fn(|_| size * random.normal())
}

/// A problem with so many cameras and points, without those points that fewer than two cameras see.
pub fn generate(cameras: usize, points: usize, seed: u64) -> Problem {
    let mut random = SplitMix64::new(seed);
    let radius = 0.3 * cameras as f64;
    let angle = |i: usize| TAU * i as f64 / cameras as f64;
    let truth: Vec<([f64; 3], [f64; 9])> = (0..cameras)
        .map(|i| {
            let (sine, cosine) = angle(i).sin_cos();
            let shift = normals(&mut random, 0.1);
            let centre =
                [radius * cosine + shift[0], radius * sine + shift[1], 0.5 * (5.0 * angle(i)).sin() + shift[2]];
            // The rows are right, up and backwards, turned a little.
            let rows = [[-sine, cosine, 0.0], [0.0, 0.0, 1.0], [-cosine, -sine, 0.0]];
            let rows = [cross(rows[1], rows[2]), rows[1], rows[2]];
            let turn = compose(normals(&mut random, 0.1), axis_angle(rows));
            let mut camera = [0.0; 9];
            camera[..3].copy_from_slice(&turn);
            camera[3..6].copy_from_slice(&rotate(turn, centre).map(|v| -v));
            camera[6] = 500.0 * (1.0 + 0.05 * random.normal());
            camera[7] = -0.05 + 0.01 * random.normal();
            camera[8] = 0.01 + 0.002 * random.normal();
            (centre, camera)
        })
        .collect();
    let mut kept = vec![];
    let mut observations = vec![];
    for _ in 0..points {
        let direction = TAU * random.uniform();
        let distance = radius + 5.0 + 10.0 * random.uniform();
        let point = [distance * direction.cos(), distance * direction.sin(), 6.0 * (random.uniform() - 0.5)];
        let before = observations.len();
        // Only cameras within an arc of 15 to either side come into question.
        let reach = (15.0 / 0.3 / TAU).ceil() as usize;
        let nearest = (direction / TAU * cameras as f64) as usize;
        let candidates: Vec<usize> = if 2 * reach + 2 >= cameras {
            (0..cameras).collect()
        } else {
            (0..2 * reach + 2).map(|k| (nearest + cameras + k - reach) % cameras).collect()
        };
        for i in candidates {
            let camera = &truth[i].1;
            let turned = rotate([camera[0], camera[1], camera[2]], point);
            let mut x = [0.0; 12];
            x[..9].copy_from_slice(camera);
            x[9..].copy_from_slice(&point);
            let mut seen = [0.0; 2];
            reprojection(&x, [0.0; 2], &mut seen, None);
            let inside = turned[2] + camera[5] < -1.0 && seen[0].abs() < 320.0 && seen[1].abs() < 240.0;
            if inside && random.uniform() < 0.6 {
                let seen = seen.map(|v| v + 0.5 * random.normal());
                observations.push(Observation { camera: i, point: kept.len(), seen });
            }
        }
        if observations.len() - before < 2 {
            observations.truncate(before);
        } else {
            kept.push(point);
        }
    }
    let mut parameters = vec![];
    for (centre, camera) in &truth {
        let turn = compose(normals(&mut random, 0.005), [camera[0], camera[1], camera[2]]);
        let off = normals(&mut random, 0.1);
        let centre: [f64; 3] = std::array::from_fn(|i| centre[i] + off[i]);
        parameters.extend(turn);
        parameters.extend(rotate(turn, centre).map(|v| -v));
        parameters.extend([camera[6] * (1.0 + 0.01 * random.normal()), 0.0, 0.0]);
    }
    for point in &kept {
        let off = normals(&mut random, 0.2);
        parameters.extend((0..3).map(|i| point[i] + off[i]));
    }
    Problem { cameras, points: kept.len(), observations, parameters }
}

/// The rotation by b, then by a.
fn compose(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    let columns: [[f64; 3]; 3] = std::array::from_fn(|j| {
        let mut unit = [0.0; 3];
        unit[j] = 1.0;
        rotate(a, rotate(b, unit))
    });
    axis_angle(std::array::from_fn(|i| std::array::from_fn(|j| columns[j][i])))
}

/// The axis times the angle of a rotation matrix, by its quaternion (Shepperd, J. Guidance and Control 1 (1978)).
fn axis_angle(m: [[f64; 3]; 3]) -> [f64; 3] {
    let trace = m[0][0] + m[1][1] + m[2][2];
    let i = (0..3).fold(0, |best, k| if m[k][k] > m[best][best] { k } else { best });
    let (real, imaginary) = if trace > m[i][i] {
        let s = 2.0 * (1.0 + trace).sqrt();
        (0.25 * s, [(m[2][1] - m[1][2]) / s, (m[0][2] - m[2][0]) / s, (m[1][0] - m[0][1]) / s])
    } else {
        let (j, k) = ((i + 1) % 3, (i + 2) % 3);
        let s = 2.0 * (1.0 + m[i][i] - m[j][j] - m[k][k]).sqrt();
        let mut v = [0.0; 3];
        v[i] = 0.25 * s;
        v[j] = (m[j][i] + m[i][j]) / s;
        v[k] = (m[k][i] + m[i][k]) / s;
        ((m[k][j] - m[j][k]) / s, v)
    };
    let size = imaginary.iter().map(|v| v * v).sum::<f64>().sqrt();
    let factor = if size > 0.0 { 2.0 * size.atan2(real) / size } else { 2.0 };
    imaginary.map(|v| factor * v)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_compose() {
        for seed in 0..20 {
            let mut random = SplitMix64::new(seed);
            let (a, b, x) = (normals(&mut random, 1.5), normals(&mut random, 1.5), normals(&mut random, 1.0));
            let (once, twice) = (rotate(compose(a, b), x), rotate(a, rotate(b, x)));
            assert!(once.iter().zip(twice).all(|(a, b)| (a - b).abs() < 1e-13));
        }
    }

    #[test]
    fn a_loop_has_what_was_asked_for() {
        let problem = generate(20, 300, 1);
        assert_eq!((problem.cameras, problem.parameters.len()), (20, 180 + 3 * problem.points));
        assert!(problem.points > 50 && problem.observations.len() >= 2 * problem.points);
        assert_eq!(problem, generate(20, 300, 1));
        assert_ne!(problem, generate(20, 300, 2));
    }
}
