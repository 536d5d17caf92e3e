//! experiment
#![allow(missing_docs)]
use crate::base::{kernels, Scalar};
use crate::operator::*;
use crate::step::*;

#[derive(Clone, Debug)]
pub struct Opt { pub mem: usize, pub cap: usize, pub eta: f64, pub trust: f64, pub ext: f64, pub verbose: bool, pub max_cost: usize, pub etamode: usize, pub fam: usize, pub ee: f64, pub maxm: usize, pub p1: f64, pub p2: f64, pub p3: f64, pub p4: f64, pub p5: f64, pub p6: f64 }
impl Default for Opt { fn default() -> Self { Opt { mem: 40, cap: 100, eta: 0.1, trust: 0.5, ext: 0.75, verbose: false, max_cost: 400000, etamode: 0, fam: 0, ee: 0.0, maxm: 1000, p1: 0.0, p2: 0.0, p3: 0.0, p4: 0.0, p5: 0.0, p6: 0.0 } } }
#[derive(Clone, Debug, Default)]
pub struct Out { pub f: f64, pub g: f64, pub nf: usize, pub ng: usize, pub nh: usize, pub outer: usize, pub ok: bool, pub nrem: usize, pub why: &'static str }

pub fn run<T: Scalar>(obj: &impl Objective<T>, x0: &[T], o: &Opt) -> Out {
    let d = x0.len();
    let mut r = Out::default();
    let mut x = x0.to_vec();
    let mut xt = x.clone();
    let mut step = vec![T::zero(); d];
    let mut g = vec![T::zero(); d];
    let mut gt = vec![T::zero(); d];
    let mut pg = vec![T::zero(); d]; // M s
    let mut y = vec![T::zero(); d];
    let mut space = KrylovSpace::<T>::new(d, o.cap.min(d));
    let mut model = RememberedModel::<T>::new(d, o.mem);
    let mut ee = o.ee;
    let mut f = obj.value(&x);
    r.nf += 1;
    let mut radius = f64::INFINITY;
    let mut first = true;
    let (mut pred, mut ft, mut ans_norm): (f64, f64, f64) = (0.0, f, 0.0);
    let mut on_boundary = false;
    let mut from_model = false;
    let mut trust = true;
    let mut g0 = 0.0;
    let mut eta: f64 = if o.p3 > 0.0 { o.p3 } else { o.eta };
    let mut gn_prev = f64::INFINITY;
    let mut cool = 0usize;
    let mut fails = 0usize;
    let mut great = false;
    let grow = if o.p4 > 0.0 { o.p4 } else { 4.0 };
    let (mut rate_m, mut rate_s, mut cost_prev) = (0.0, 0.0, 0usize);
    loop {
        let e = obj.expand(&x);
        e.gradient(&mut gt);
        r.ng += 1;
        let gn = kernels::norm(&gt);
        let mut accepted = true;
        if first { g0 = gn; first = false; g.copy_from_slice(&gt); }
        else if !gn.is_finite() { accepted = false; }
        if !accepted { r.why = "nan gradient"; break; }
        if r.outer > 0 {
            // judge
            kernels::add_scaled(&gt, -1.0, &g, &mut y);
            let ared = f - ft;
            let noise = 10.0 * T::epsilon_f64() * f.abs().max(ft.abs());
            let ratio = if pred.abs() <= noise && ared.abs() <= noise {
                -0.5 * (kernels::dot(&g, &step) + kernels::dot(&gt, &step)) / pred
            } else { ared / pred };
            // prediction error of gradient change
            kernels::axpby(1.0, &y, -1.0, &mut pg);
            let err = kernels::norm(&pg) / kernels::norm(&y).max(1e-300);
            let err2 = kernels::norm(&pg) / gn.max(1e-300);
            if space.len() > 0 {
                learn_space(&mut model, &mut space);
            }
            model.learn(&step, &y);
            if !from_model && o.p2 > 0.0 { ee = (o.p2 * err * err).clamp(1e-10, o.ee); }
            great = on_boundary && ratio > o.ext;
            // radius
            let slope = kernels::dot(&g, &step);
            let denom = ft - f - slope;
            let alpha = if denom <= 0.0 { 4.0 } else { (-0.5 * slope / denom).max(0.25) };
            if ratio < 0.25 { radius = (alpha * ans_norm).min(0.5 * ans_norm).max(0.25*ans_norm); }
            else if ratio < 0.75 { radius = (alpha * ans_norm).clamp(0.25*radius, radius); }
            else if on_boundary { radius = (alpha*ans_norm).clamp(radius, grow * radius).max(2.0*radius); }
            else { radius = radius.max((alpha*ans_norm).min(grow*radius)); }
            
            if o.verbose { println!("{} f {:.6e} g {:.3e} {} ratio {:.3} |s| {:.2e} rad {:.2e} err {:.2e} {:.2e} k {} nh {} nf {}", r.outer, ft, gn, if from_model {"M"} else {"S"}, ratio, ans_norm, radius, err, err2, space.len(), r.nh, r.nf); }
            trust = match o.fam { 0 => err < o.trust, 1 => err < o.trust && ratio > 0.25, 2 => ratio > o.trust, 3 => gn < o.trust * gn_prev || err < 0.3, _ => true };
            if from_model && ratio < 0.25 { fails += 1; cool = fails; }
            if from_model && ratio > 0.5 { fails = 0; }
            if cool > 0 && !from_model { cool -= 1; }
            let cost = r.nf + r.ng + 2 * r.nh;
            let rate = ared / (cost - cost_prev) as f64;
            cost_prev = cost;
            if from_model { rate_m = rate; } else { rate_s = rate; }
            if o.fam == 5 { trust = if from_model { rate_m >= o.trust * rate_s } else { true }; }
            if o.fam == 6 { trust = if from_model { rate_m >= o.trust * rate_s || err < 0.3 } else { err < 0.9 }; }
            if o.fam == 7 { trust = if from_model { (rate_m >= o.trust * rate_s && ratio > 0.1) || err < 0.3 } else { ratio > 0.5 }; }
            if o.fam == 4 { trust = cool == 0; }
            eta = match o.etamode { 0 => o.eta, 1 => (0.9 * (gn / gn_prev).powi(2)).clamp(1e-3, o.eta), _ => (gn/g0).sqrt().min(o.eta) };
            space.clear();
            std::mem::swap(&mut g, &mut gt);
            f = ft;
        }
        gn_prev = gn;
        r.f = f; r.g = gn;
        if gn <= 1e-6 * g0.max(1.0) { r.ok = true; r.why = "ok"; break; }
        if r.nf + r.ng + 2 * r.nh > o.max_cost { r.why = "cost"; break; }
        r.outer += 1;
        let mut use_model = trust && o.mem > 0 && !model.is_empty() && radius.is_finite();
        let mut tries = 0;
        let mut scaled = 1.0;
        let mut best: Option<(f64, f64, f64, bool)> = None;
        loop {
            tries += 1;
            if tries > 60 { r.why = "tries"; return r; }
            from_model = use_model;
            let ans;
            if use_model {
                match model.answer(Question::Radius(radius), &g, &mut step) {
                    Some(a) if a.decrease() > 0.0 => { ans = a; }
                    _ => { use_model = false; continue; }
                }
            } else {
                let q = |rad: f64| Question::Radius(if rad.is_finite() { rad } else { 1e300 });
                if space.len() == 0 {
                    // first direction
                    let dir = space.direction();
                    if o.mem > 0 && !model.is_empty() && radius.is_finite() && model.answer(Question::Radius(radius), &g, dir).is_some() {} else { dir.copy_from_slice(&g); }
                    match space.grow(&e, &g) { Growth::Grown => r.nh += 1, Growth::NotFinite => { r.nh += 1; }, _ => {} }
                    if space.len() == 0 { space.direction().copy_from_slice(&g); match space.grow(&e, &g) { Growth::Grown => r.nh += 1, _ => { r.why = "no space"; return r; } } }
                }
                if radius.is_infinite() {
                    let th = space.ritz_values()[0].abs().max(1e-300);
                    radius = gn / th; 
                }
                let mut a;
                loop {
                    a = space.answer(q(radius)).unwrap();
                    if space.is_full() { break; }
                    let res = space.residual(a.shift, &g);
                    if res <= eta * gn && (o.ee == 0.0 || model.is_empty()) { break; }
                    if o.mem > 0 && !model.is_empty() {
                        y.copy_from_slice(space.direction());
                        model.precondition(a.shift, space.direction());
                        if o.ee > 0.0 {
                            let energy = kernels::dot(&y, space.direction());
                            if energy <= 2.0 * ee * a.decrease() { break; }
                        }
                    }
                    match space.grow(&e, &g) {
                        Growth::Grown => r.nh += 1,
                        _ => { space.residual(a.shift, &g); match space.grow(&e, &g) { Growth::Grown => r.nh += 1, _ => break } }
                    }
                }
                ans = a;
                space.step(&mut step);
            }
            kernels::add_scaled(&x, 1.0, &step, &mut xt);
            let fv = obj.value(&xt);
            r.nf += 1;
            let ared = f - fv;
            pred = ans.decrease();
            let noise = 10.0 * T::epsilon_f64() * f.abs().max(fv.abs());
            let good = fv.is_finite() && (ared > 1e-4 * pred || (pred.abs() <= noise && ared.abs() <= noise));
            if let Some((bf, brad, _bn, _)) = best {
                // extension attempt (or shortening)
                if !(good && fv < bf) {
                    // go back
                    radius = brad;
                    if from_model { model.answer(Question::Radius(radius), &g, &mut step); } else { space.answer(Question::Radius(radius)).unwrap(); space.step(&mut step); }
                    let a = if from_model { model.answer(Question::Radius(radius), &g, &mut step).unwrap() } else { space.answer(Question::Radius(radius)).unwrap() };
                    pred = a.decrease(); ft = bf; ans_norm = a.norm; on_boundary = a.on_boundary;
                    kernels::add_scaled(&x, 1.0, &step, &mut xt);
                    break;
                }
            }
            if good {
                ft = fv; ans_norm = ans.norm; on_boundary = ans.on_boundary;
                if on_boundary && (r.outer == 1 || (o.maxm == 1000 && great) || o.maxm == 1) && ared > o.ext * pred && tries < 20 && pred.abs() > noise {
                    best = Some((fv, radius, ans.norm, ans.on_boundary));
                    radius *= 2.0;
                    continue;
                }
                if best.is_none() && pred.abs() > noise && o.p6 > 0.0 && ared < o.p6 * pred {
                    let alpha = (-0.5 * ans.slope / (fv - f - ans.slope)).clamp(0.1, 0.7);
                    best = Some((fv, radius, ans.norm, ans.on_boundary));
                    radius = alpha * ans.norm;
                    continue;
                }
                if !on_boundary && pred.abs() > noise && o.p5 > 0.0 && ared > o.p5 * pred {
                    let denom = fv - f - ans.slope;
                    let alpha = if denom > 0.0 { (-0.5 * ans.slope / denom).min(4.0) } else { 4.0 };
                    kernels::add_scaled(&x, alpha, &step, &mut y);
                    let f2 = obj.value(&y);
                    r.nf += 1;
                    if f2 < ft {
                        scaled = alpha;
                        pred = -(alpha * ans.slope + 0.5 * alpha * alpha * ans.curvature);
                        ft = f2; ans_norm = alpha * ans.norm;
                        xt.copy_from_slice(&y);
                        kernels::scale(alpha, &mut step);
                    }
                }
                break;
            }
            // reject
            if use_model { use_model = false; trust = false; cool += 1; fails += 1; if space.len() == 0 { continue; } }
            let slope = ans.slope;
            let denom = fv - f - slope;
            let alpha = if !fv.is_finite() || denom <= 0.0 { 0.25 } else { (-0.5 * slope / denom).clamp(0.1, 0.5) };
            radius = alpha * ans.norm;
            if !(radius > 1e-300) { r.why = "radius"; return r; }
        }
        if from_model { r.nrem += 1; model.product(&step, &mut pg); } else {
            space.product(&mut pg);
            if scaled != 1.0 { kernels::scale(scaled, &mut pg); }
        }
        drop(e);
        std::mem::swap(&mut x, &mut xt);
    }
    r
}

fn learn_space<T: Scalar>(model: &mut RememberedModel<T>, space: &mut KrylovSpace<T>) {
    let k = space.len();
    if model.is_empty() {
        let gm = space.ritz_values().iter().map(|t| t.abs().max(1e-300).ln()).sum::<f64>() / k as f64;
        model.set_exterior(gm.exp());
    }
    for j in 0..k {
        let (b, p) = (space.basis().column(j).to_vec(), space.products().column(j).to_vec());
        model.learn(&b, &p);
    }
}
