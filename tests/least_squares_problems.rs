//! Moré, Garbow & Hillstrom's problems as least squares, from x₀ and 10x₀.
use newton_krylov::problems::MoreGarbowHillstrom;
use newton_krylov::*;

#[test]
fn mgh() {
    for factor in [1.0, 10.0] {
        for problem in MoreGarbowHillstrom::all() {
            let p = &problem;
            let fit = least_squares(
                p.terms(),
                p.unknowns(),
                |x: &[f64], r: &mut [f64]| p.residuals(x, r),
                |x, v, jv: &mut [f64]| p.jacobian_product(x, v, jv),
                |x, u, out: &mut [f64]| p.jacobian_transpose_product(x, u, out),
            );
            let x0: Vec<f64> = p.scaled_start(factor);
            for gn in [false, true] {
                let report = if gn {
                    GaussNewton::default().minimize(&fit, &x0)
                } else {
                    LevenbergMarquardt::default().minimize(&fit, &x0)
                };
                let report = match report {
                    Ok(r) => r,
                    Err(e) => {
                        println!("{factor} {problem} {e}");
                        continue;
                    }
                };
                let best: Vec<f64> = p.minima().iter().map(|m| m.value).collect();
                let ok = best.iter().any(|b| (2.0 * report.value - b).abs() <= 1e-5 * b + 1e-12);
                println!(
                    "{} {factor} {problem}: {:.9e} {best:?} r {} J {} cos {:.1e} rank {:?} {} {}",
                    ["LM", "GN"][gn as usize],
                    2.0 * report.value,
                    report.counts.residuals,
                    report.counts.linearizations,
                    report.cosine,
                    report.rank,
                    report.termination,
                    if ok { "" } else { "<<<<" }
                );
            }
        }
    }
}
