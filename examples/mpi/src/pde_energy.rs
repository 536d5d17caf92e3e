//! Minimises a Ginzburg–Landau energy on the unit cube whose grid is cut into slabs, one for every rank.
//!
//!   E_h(u) = h³ Σ [½ u·Au + (κ/4)(u² − 1)² − f u],   A the seven-point −Δ, u = 0 on the boundary
//!
//! Before a value, a gradient or a product a rank sends its first and its last plane to its neighbours: 2N² numbers. All else
//! that goes between ranks are the sums of the solver.
//!
//! ```sh
//! mpirun -n 2 target/release/pde_energy --points 100
//! ```

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;

use clap::Parser;
use newton_krylov::{
    CubicRegularization, NewtonCg, Objective, Stopping, TrustRegion, objective,
    ranks::{Communicator, Slices, check_equal, distributed},
};
use ranks::{Mpi, run, summary};
use rayon::prelude::*;

#[derive(Parser)]
struct Arguments {
    /// Inner points along each edge of the cube
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=2000))]
    points: u32,
    /// The factor of u³ − u
    #[arg(long, default_value_t = 20.0)]
    coupling: f64,
    /// trust-region, newton-cg or cubic
    #[arg(long, default_value = "trust-region")]
    solver: String,
    /// Stop at ‖∇E‖ ≤ this × ‖∇E‖ at the start
    #[arg(long, default_value_t = 1e-6)]
    tolerance: f64,
}

/// A rank's planes of the grid.
struct Slab {
    ranks: Rc<Mpi>,
    points: usize,
    h: f64,
    coupling: f64,
    source: Vec<f64>,
    /// The planes before and behind.
    halo: RefCell<[Vec<f64>; 2]>,
}

impl Slab {
    fn new(ranks: Rc<Mpi>, points: usize, coupling: f64) -> Result<Self, String> {
        let planes = ranks.part(points, "planes")?;
        let h = 1.0 / (points as f64 + 1.0);
        let at = |i: usize| (i as f64 + 1.0) * h;
        let area = points * points;
        let mut source = vec![0.0; planes.len() * area];
        source.par_chunks_mut(area).enumerate().for_each(|(k, plane)| {
            let z = at(planes.start + k);
            for (i, f) in plane.iter_mut().enumerate() {
                let (x, y) = (at(i % points), at(i / points));
                *f = 60.0 * (3.0 * x).sin() * (5.0 * y + 1.0).cos() * (1.0 + z * z) + 10.0 * z;
            }
        });
        let halo = RefCell::new([vec![0.0; area], vec![0.0; area]]);
        Ok(Slab { ranks, points, h, coupling, source, halo })
    }

    /// Calls `body(index of the first point, row of v, h·(row of Av)·h², plane of out)` for each row, plane by plane in
    /// parallel; the sums of a plane's results, in their order.
    fn rows(
        &self,
        v: &[f64],
        out: Option<&mut [f64]>,
        body: impl Fn(usize, &[f64], &[f64], Option<&mut [f64]>) -> f64 + Sync,
    ) -> f64 {
        // Threads see numbers only; MPI is called by this one.
        let (n, h, area) = (self.points, self.h, self.points * self.points);
        let mut halo = self.halo.borrow_mut();
        let [before, behind] = &mut *halo;
        self.ranks.exchange(&v[..area], &v[v.len() - area..], before, behind);
        let (before, behind) = (&before[..], &behind[..]);
        let planes = v.len() / area;
        let zero = vec![0.0; n];
        let plane = |k: usize, mut out: Option<&mut [f64]>| {
            let of = |k: isize| match k {
                -1 => before,
                _ if k as usize == planes => behind,
                _ => &v[k as usize * area..][..area],
            };
            let (low, here, high) = (of(k as isize - 1), of(k as isize), of(k as isize + 1));
            let mut stiff = vec![0.0; n];
            let mut sum = 0.0;
            for j in 0..n {
                let row = &here[j * n..][..n];
                let south = if j > 0 { &here[(j - 1) * n..][..n] } else { &zero };
                let north = if j + 1 < n { &here[(j + 1) * n..][..n] } else { &zero };
                let (below, above) = (&low[j * n..][..n], &high[j * n..][..n]);
                for i in 0..n {
                    stiff[i] = h * (6.0 * row[i] - (south[i] + north[i]) - (below[i] + above[i]));
                }
                stiff[1..].iter_mut().zip(row).for_each(|(stiff, west)| *stiff -= h * west);
                stiff.iter_mut().zip(&row[1..]).for_each(|(stiff, east)| *stiff -= h * east);
                let out = out.as_deref_mut().map(|out| &mut out[j * n..][..n]);
                sum += body(k * area + j * n, row, &stiff, out);
            }
            sum
        };
        let sums: Vec<f64> = match out {
            Some(out) => out.par_chunks_mut(area).enumerate().map(|(k, out)| plane(k, Some(out))).collect(),
            None => (0..planes).into_par_iter().map(|k| plane(k, None)).collect(),
        };
        sums.iter().sum()
    }

    fn value(&self, u: &[f64]) -> f64 {
        let (volume, coupling, source) = (self.h.powi(3), self.coupling, &self.source[..]);
        let mut sum = [self.rows(u, None, |start, u, stiff, _| {
            let source = &source[start..];
            let point = |i: usize| {
                let well = u[i] * u[i] - 1.0;
                0.5 * u[i] * stiff[i] + volume * (0.25 * coupling * well * well - source[i] * u[i])
            };
            (0..u.len()).map(point).sum()
        })];
        self.ranks.sum(&mut sum);
        sum[0]
    }

    fn gradient(&self, u: &[f64], g: &mut [f64]) {
        let (volume, coupling, source) = (self.h.powi(3), self.coupling, &self.source[..]);
        self.rows(u, Some(g), |start, u, stiff, g| {
            let (source, g) = (&source[start..], g.expect("a gradient is written"));
            for i in 0..u.len() {
                g[i] = stiff[i] + volume * (coupling * (u[i] * u[i] - 1.0) * u[i] - source[i]);
            }
            0.0
        });
    }

    fn product(&self, u: &[f64], v: &[f64], hv: &mut [f64]) {
        let weight = self.coupling * self.h.powi(3);
        self.rows(v, Some(hv), |start, v, stiff, hv| {
            let (u, hv) = (&u[start..], hv.expect("a product is written"));
            for i in 0..v.len() {
                hv[i] = stiff[i] + weight * (3.0 * u[i] * u[i] - 1.0) * v[i];
            }
            0.0
        });
    }
}

fn solve(ranks: Rc<Mpi>, arguments: &Arguments) -> Result<(), String> {
    let options = [arguments.points as f64, arguments.coupling, arguments.tolerance];
    check_equal(&*ranks, "the options", &options).map_err(|e| e.to_string())?;
    let slab = Slab::new(ranks.clone(), arguments.points as usize, arguments.coupling)?;
    let n = slab.source.len();
    let energy = objective(
        n,
        |u: &[f64]| slab.value(u),
        |u: &[f64], g: &mut [f64]| slab.gradient(u, g),
        |u: &[f64], v: &[f64], hv: &mut [f64]| slab.product(u, v, hv),
    );
    let start = vec![0.0; n];
    let mut gradient = vec![0.0; n];
    slab.gradient(&start, &mut gradient);
    let mut squared = [gradient.iter().map(|g| g * g).sum()];
    ranks.sum(&mut squared);
    // The norm alone ends the run, whatever f still promises.
    let stopping = Stopping { gradient_absolute: arguments.tolerance * squared[0].sqrt(), ..Stopping::default() };
    let report =
        distributed(ranks.clone(), Slices::Everything, || minimize(&arguments.solver, stopping, &energy, &start))?;
    if ranks.talks() {
        println!("{report}\n{}", summary(&ranks, &report));
    }
    Ok(())
}

fn minimize(
    solver: &str,
    stopping: Stopping,
    energy: &impl Objective<f64>,
    start: &[f64],
) -> Result<newton_krylov::Report<f64>, String> {
    let report = match solver {
        "trust-region" => TrustRegion { stopping, ..Default::default() }.minimize(energy, start),
        "newton-cg" => NewtonCg { stopping, ..Default::default() }.minimize(energy, start),
        "cubic" => CubicRegularization { stopping, ..Default::default() }.minimize(energy, start),
        other => return Err(format!("--solver {other} is not one of trust-region, newton-cg, cubic")),
    };
    report.map_err(|e| e.to_string())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    run(|ranks| solve(ranks, &arguments))
}
