//! The products that `Lanczos::extremes` makes on operators with known spectra; `eigsh.py` runs it and SciPy's `eigsh`.
//!
//!     cargo run --release --bin eigsh_peer -- [DIMENSION [SPECTRUM…]]
//!
//! Prints one JSON object for every spectrum and tolerance 1e-2, 3e-3, 1e-3, … until both ends are right to 1e-8.

use std::f64::consts::PI;
use std::time::Instant;

use newton_krylov::spectrum::Lanczos;
use newton_krylov::{
    SymmetricOperator, operator,
    operators::{DiagonalOperator, Shifted},
};
use serde_json::json;

fn main() {
    let dim: usize = std::env::args().nth(1).map_or(100_000, |text| text.parse().expect("a dimension"));
    let share = |i: usize| i as f64 / (dim - 1) as f64;
    let laplacian = || {
        operator(dim, move |v: &[f64], out: &mut [f64]| {
            out[0] = 2.0 * v[0] - v[1];
            for i in 1..dim - 1 {
                out[i] = 2.0 * v[i] - v[i - 1] - v[i + 1];
            }
            out[dim - 1] = 2.0 * v[dim - 1] - v[dim - 2];
        })
    };
    let ends = [1, dim].map(|j| 4.0 * (j as f64 * PI / (2 * dim + 2) as f64).sin().powi(2));
    race("laplacian", &laplacian(), ends);
    race("laplacian + 1", &Shifted { operator: laplacian(), shift: 1.0 }, ends.map(|end| end + 1.0));
    let geometric = (0..dim).map(|i| 10f64.powf(-4.0 * share(i))).collect();
    race("geometric", &DiagonalOperator(geometric), [1e-4, 1.0]);
    // Ten clusters of relative width 1e-3 at 1, 2, 4, …, 512.
    let clustered = (0..dim).map(|i| 2f64.powi((i % 10) as i32) * (1.0 + 1e-3 * share(i - i % 10))).collect::<Vec<_>>();
    let ends = [f64::min, f64::max].map(|f| clustered.iter().copied().reduce(f).expect("not empty"));
    race("clustered", &DiagonalOperator(clustered), ends);
    // A bulk in [1, 2] and five large ones, as Hessians of networks have.
    let outliers = (0..dim).map(|i| if i < 5 { 10.0 * (i + 1) as f64 } else { 1.0 + share(i) }).collect::<Vec<_>>();
    let ends = [1.0 + share(5), 50.0];
    race("outliers", &DiagonalOperator(outliers), ends);
}

fn race(name: &str, operator: &impl SymmetricOperator<f64>, exact: [f64; 2]) {
    let chosen: Vec<String> = std::env::args().skip(2).collect();
    if !chosen.is_empty() && !chosen.iter().any(|c| c == name) {
        return;
    }
    for half_digits in 4..=16 {
        let start = Instant::now();
        let tolerance = 10f64.powf(-0.5 * f64::from(half_digits));
        let lanczos = Lanczos { tolerance, max_products: 10_000_000, ..Lanczos::default() };
        let found = lanczos.extremes(operator).expect("valid options");
        let values = [found.smallest, found.largest];
        let errors = [0, 1].map(|end| (values[end].value - exact[end]).abs() / exact[end]);
        let bounded = (0..2).all(|end| (values[end].value - exact[end]).abs() <= values[end].error);
        println!(
            "{}",
            json!({
                "spectrum": name, "tolerance": tolerance, "products": found.products, "errors": errors,
                "exact": exact, "bounded": bounded, "status": found.status.to_string(),
                "seconds": start.elapsed().as_secs_f64(),
            })
        );
        // Tighter tolerances would only take longer.
        let unit = if name == "laplacian" { [exact[1]; 2] } else { exact };
        if (0..2).all(|end| errors[end] * exact[end] <= 1e-8 * unit[end]) {
            break;
        }
    }
}
