//! The example of pose graphs: its geometry against differences, its files' faults.

#[path = "../examples/pose_graph/file.rs"]
#[allow(dead_code, reason = "the example draws and optimises, the tests do not")]
mod file;
#[path = "../examples/pose_graph/geometry.rs"]
#[allow(dead_code, reason = "the example draws and optimises, the tests do not")]
mod geometry;

use file::{Contents, read};
use geometry::{Plane, Pose, Space};
use proptest::prelude::*;

fn derivatives_agree<P: Pose<N>, const N: usize>(from: P, to: P, measured: P, x: [f64; N], y: [f64; N]) {
    let (mut by_own, mut by_other) = ([[0.0; N]; N], [[0.0; N]; N]);
    let error = |x: &[f64], y: &[f64]| from.at(x).error(x, &to.at(y), y, &measured, None);
    let here = from.at(&x).error(&x, &to.at(&y), &y, &measured, Some((&mut by_own, &mut by_other)));
    assert_eq!(here, error(&x, &y));
    let h = 1e-6;
    for j in 0..N {
        for (which, derivative) in [(0, &by_own), (1, &by_other)] {
            let moved = |h: f64| {
                let mut both = [x, y];
                both[which][j] += h;
                error(&both[0], &both[1])
            };
            let (ahead, behind) = (moved(h), moved(-h));
            for i in 0..N {
                let difference = (ahead[i] - behind[i]) / (2.0 * h);
                let scale = 1.0 + derivative[i][j].abs();
                assert!((difference - derivative[i][j]).abs() < 1e-7 * scale, "{which} {i} {j}");
            }
        }
    }
}

fn numbers<const N: usize>() -> impl Strategy<Value = [f64; N]> {
    prop::array::uniform(-1.0..1.0)
}

proptest! {
    #[test]
    fn derivatives_in_the_plane(own in numbers::<3>(), other in numbers::<3>(), measured in numbers::<3>()) {
        // The angle of the error stays away from π, where it jumps.
        derivatives_agree(Plane(own), Plane(other), Plane(measured), own, other);
    }

    #[test]
    fn derivatives_in_space(
        own in numbers::<6>(), other in numbers::<6>(), measured in numbers::<3>(), q in prop::array::uniform4(0.1..1.0),
    ) {
        let [x, y, z] = measured;
        let pose = |q: [f64; 4]| {
            let norm = q.iter().map(|q| q * q).sum::<f64>().sqrt();
            Space { position: [x, y, z], rotation: q.map(|q| q / norm) }
        };
        let (from, to, edge) = (pose(q), pose([q[1], -q[2], q[0], q[3]]), pose([0.1, -0.2, 0.1 * q[0], 1.0]));
        let turn = from.at(&own).error(&own, &to.at(&other), &other, &edge, None);
        // Away from half a turn, where the sign of the quaternion jumps.
        prop_assume!(turn[3..].iter().map(|t| t * t).sum::<f64>() < 3.9);
        derivatives_agree(from, to, edge, own, other);
    }
}

#[test]
fn an_exact_measurement_has_no_error() {
    let from = Plane([1.0, 2.0, 0.5 * std::f64::consts::PI]);
    let to = Plane([0.0, 4.0, -std::f64::consts::PI]);
    let error = from.error(&[], &to, &[], &Plane([2.0, 1.0, 0.5 * std::f64::consts::PI]), None);
    assert!(error.iter().all(|e| e.abs() < 1e-15), "{error:?}");
}

#[test]
fn faults_have_their_place() {
    let vertices = "VERTEX_SE2 0 0 0 0\nVERTEX_SE2 1 1 0 0\n";
    for (line, place, what) in [
        ("EDGE_SE2 0 1 1 0 0 1 0 0 1 0", "3:29", "9 numbers are needed"),
        ("EDGE_SE2 0 1 1 0 0 1 0 0 1 0 1 7", "3:32", "more than 9"),
        ("EDGE_SE2 0 1 1 0 oops 1 0 0 1 0 1", "3:18", "not a finite number"),
        ("EDGE_SE2 0 1 1 0 NaN 1 0 0 1 0 1", "3:18", "not a finite number"),
        ("EDGE_SE2 0 2 1 0 0 1 0 0 1 0 1", "3:10", "vertex 2"),
        ("EDGE_SE2 0 0 1 0 0 1 0 0 1 0 1", "3:12", "to itself"),
        ("EDGE_SE2 0 -1 1 0 0 1 0 0 1 0 1", "3:12", "not an id"),
        ("EDGE_SE2 0 1 1 0 0 1 0 0 -1 0 1", "3:20", "not positive definite"),
        ("VERTEX_SE2 1 1 0 0", "3:12", "there already"),
        ("EDGE_SE9 0 1", "3:1", "not known"),
        ("VERTEX_SE3:QUAT 2 0 0 0 0 0 0 2", "3:19", "length 2"),
        ("", "2:1", "no edge"),
    ] {
        let fault = read("g", &format!("{vertices}{line}")).err().unwrap();
        assert!(fault.starts_with(&format!("g:{place}: ")) && fault.contains(what), "{line}: {fault}");
    }
    assert!(read("g", "").is_err());
}

#[test]
fn both_formats_give_the_same_graph() {
    let g2o = "VERTEX_SE2 4 0 0 0\nVERTEX_SE2 7 1 0 0\nEDGE_SE2 4 7 1 2 3 10 1 2 20 3 30\n";
    let toro = "EDGE2 4 7 1 2 3 10 1 20 30 2 3\nVERTEX2 4 0 0 0\nVERTEX2 7 1 0 0\nEQUIV 4 7\n";
    let [Ok(Contents::Plane(a)), Ok(Contents::Plane(b))] = [g2o, toro].map(|text| read("g", text)) else {
        panic!("both are graphs of the plane")
    };
    assert_eq!((a.edges[0].from, a.edges[0].to), (0, 1));
    assert_eq!(a.edges[0].root, b.edges[0].root);
    let u = a.edges[0].root;
    let product = |i: usize, j: usize| (0..3).map(|k| u[k][i] * u[k][j]).sum::<f64>();
    for (i, j, omega) in [(0, 0, 10.0), (0, 1, 1.0), (0, 2, 2.0), (1, 1, 20.0), (1, 2, 3.0), (2, 2, 30.0)] {
        assert!((product(i, j) - omega).abs() < 1e-13);
    }
}
