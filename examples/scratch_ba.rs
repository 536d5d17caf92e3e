#![allow(missing_docs)]
#[path = "bundle_adjustment/bal.rs"]
mod bal;
#[path = "bundle_adjustment/camera.rs"]
mod camera;
use newton_krylov::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(&a[1]).unwrap();
    let p = bal::Problem::parse(&a[1], &text).unwrap();
    let implicit = a[2] == "implicit";
    rayon::ThreadPoolBuilder::new().num_threads(2).build_global().unwrap();
    let mut s = BlockStructure::new();
    let t = std::time::Instant::now();
    let c = s.parameters(p.cameras, 9).unwrap();
    let q = s.parameters(p.points, 3).unwrap();
    for o in &p.observations {
        s.residual(2, &[c.start + o.camera, q.start + o.point]).unwrap();
    }
    if a[3] == "1" {
        s.eliminate(q).unwrap();
    }
    let obs = &p.observations;
    let model = s.model(|i, x: &[f64], r, j| camera::reprojection(x, obs[i].seen, r, j));
    eprintln!("model {:?}", t.elapsed());
    let _ = (implicit, 0);
    let fit = LeastSquares::new(model);
    let solver = LevenbergMarquardt {
        stopping: Stopping { decrease: 1e-6, ..Stopping::default() },
        inner: match a[2].as_str() {
            "implicit" => Inner::Krylov,
            _ => Inner::Automatic,
        },
        ..LevenbergMarquardt::default()
    };
    let t = std::time::Instant::now();
    let report = solver.minimize(&fit, &p.parameters).unwrap();
    for h in &report.history {
        println!(
            "{:.6} ratio {:.3} shift {:.1e} products {} rejected {} {:?}",
            h.value, h.ratio, h.shift, h.products, h.rejected, h.inner
        );
    }
    println!("{report}\n{:?}", t.elapsed());
}
