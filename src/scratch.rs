#![allow(missing_docs)]
use crate::base::kernels;
use crate::operator::{Linearization, LinearMap, Model};
use crate::step::Schur;
pub fn lm(model: &impl Model<f64>, x0: &[f64], implicit: bool, energy: f64, maxit: usize) -> Vec<f64> {
    let n = model.dim();
    let m = model.output_dim();
    let mut x = x0.to_vec();
    let mut radius = 1e4_f64;
    let mut nu = 2.0;
    let start = std::time::Instant::now();
    let mut d2 = vec![0.0; n];
    let mut total = 0;
    let mut schur: Option<Schur<f64>> = None;
    for it in 0..maxit {
        let t = start.elapsed();
        let x_here = x.clone();
        let at = model.linearize(&x_here);
        let t1 = start.elapsed();
        let r = at.outputs();
        let f = 0.5 * kernels::dot(r, r);
        at.column_norms_squared(&mut d2);
        let scaling: Vec<f64> = d2.iter().map(|d| 1.0 / d.clamp(1e-6, 1e32).sqrt()).collect();
        let mut g = vec![0.0; n];
        at.apply_transpose(r, &mut g);
        let t2 = start.elapsed();
        eprintln!("it {it} f {f:.6} g {:.3e} radius {radius:.2e} lin {:?} grad {:?}", kernels::max_abs(&g), t1 - t, t2 - t1);
        let blocks = at.blocks().unwrap();
        let schur = schur.get_or_insert_with(|| Schur::new(blocks.layout, implicit));
        let mut done = false;
        loop {
            schur.solve(blocks, r, &scaling, 1.0 / radius, energy);
            let step = schur.step_of();
            let mut image = vec![0.0; m];
            schur.image_of(blocks.layout, &mut image);
            let predicted = -(kernels::dot(&image, r) + 0.5 * kernels::dot(&image, &image));
            let mut trial = x.clone();
            kernels::axpy(1.0, step, &mut trial);
            let mut rt = vec![0.0; m];
            model.evaluate(&trial, &mut rt);
            let ft = 0.5 * kernels::dot(&rt, &rt);
            let rho = (f - ft) / predicted;
            eprintln!("   trial {ft:.6} rho {rho:.4} predicted {predicted:.3e} t {:?}", start.elapsed());
            if rho > 1e-3 {
                x = trial;
                radius /= (1.0 - (2.0 * rho - 1.0).powi(3)).max(1.0 / 3.0);
                nu = 2.0;
                done = (f - ft) < 1e-6 * f;
                break;
            }
            radius /= nu;
            nu *= 2.0;
            if radius < 1e-30 { done = true; break; }
        }
        total += 1;
        if done { break; }
    }
    let mut r = vec![0.0; m];
    model.evaluate(&x, &mut r);
    eprintln!("END f {:.6} its {total} inner {} factorisations {} time {:?}", 0.5 * kernels::dot(&r, &r), schur.as_ref().unwrap().iterations, schur.as_ref().unwrap().factorisations, start.elapsed());
    x
}
